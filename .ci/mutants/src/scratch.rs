//! The mutated copy of the project, and the build of it.
//!
//! Which mutants do not compile is what the compiler says: those that it blames are left out, and it is asked again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::list::Mutant;
use crate::rewrite::{Rewritten, rewrite};

/// What is built: the tests of `core`, and with the last one of these the program that runs scenarios and campaigns.
const ALL: [&str; 4] = ["--workspace", "--lib", "--test", "deploy"];
const TESTS: [&str; 3] = ["-p", "ackproof-core", "--lib"];
const BUILD: [&str; 10] =
    ["test", "--no-run", "--test", "config", "--test", "golden", "--test", "log_model", "--test", "record_batch"];
/// What the compiler says of a mutant that has the wrong type, names what is not there or takes what is not its own, by itself.
const UNVIABLE: [&str; 10] = ["E0277", "E0308", "E0369", "E0368", "E0507", "E0599", "E0600", "E0614", "E0728", "E0015"];
const NOT_EXHAUSTIVE: &str = "E0004";

/// Mutants that are left out, by number.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// The program does not compile with them.
    pub unviable: BTreeSet<usize>,
    /// They cannot be put behind a switch, with the reason.
    pub not_tried: BTreeMap<usize, String>,
}

/// The same by key, which stays what it is when the source changes elsewhere.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    unviable: BTreeSet<String>,
    not_tried: BTreeMap<String, String>,
}

/// Programs that were built.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Built {
    /// Test programs of `core`.
    pub tests: Vec<PathBuf>,
    /// `ackproof`.
    pub program: PathBuf,
}

#[derive(Debug)]
pub struct Scratch {
    pub source: PathBuf,
    pub folder: PathBuf,
    /// No scenario is run, and no campaign: the rest of the project need not be built.
    pub tests_only: bool,
}

impl Scratch {
    pub fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// Copies, rewrites and builds until it compiles.
    pub fn build(&self, mutants: &[Mutant]) -> Result<(Built, LeftOut), String> {
        let mut left_out = self.left_out(mutants);
        for round in 1.. {
            let files = self.write(mutants, &mut left_out)?;
            eprintln!(
                "build {round}: {} mutants are left out as unviable, {} are not tried",
                left_out.unviable.len(),
                left_out.not_tried.len()
            );
            let built = self.cargo(&files, &mut left_out)?;
            self.keep(mutants, &left_out)?;
            if let Some(built) = built {
                return Ok((built, left_out));
            }
        }
        unreachable!("a build ends or fails")
    }

    /// What has been left out so far.
    pub fn left_out(&self, mutants: &[Mutant]) -> LeftOut {
        let kept = fs::read(self.folder.join("left-out.json")).unwrap_or_default();
        let kept: Kept = serde_json::from_slice(&kept).unwrap_or_default();
        let unviable = mutants.iter().filter(|mutant| kept.unviable.contains(&mutant.key));
        let not_tried = |mutant: &Mutant| Some((mutant.number, kept.not_tried.get(&mutant.key)?.clone()));
        LeftOut {
            unviable: unviable.map(|mutant| mutant.number).collect(),
            not_tried: mutants.iter().filter_map(not_tried).collect(),
        }
    }

    fn keep(&self, mutants: &[Mutant], left_out: &LeftOut) -> Result<(), String> {
        let unviable = mutants.iter().filter(|mutant| left_out.unviable.contains(&mutant.number));
        let not_tried = |mutant: &Mutant| Some((mutant.key.clone(), left_out.not_tried.get(&mutant.number)?.clone()));
        let kept = Kept {
            unviable: unviable.map(|mutant| mutant.key.clone()).collect(),
            not_tried: mutants.iter().filter_map(not_tried).collect(),
        };
        let kept = serde_json::to_vec(&kept).expect("it is plain data");
        fs::write(self.folder.join("left-out.json"), kept).map_err(said)
    }

    fn write(&self, mutants: &[Mutant], left_out: &mut LeftOut) -> Result<BTreeMap<String, Rewritten>, String> {
        let listed = Command::new("git").arg("ls-files").current_dir(&self.source).output().map_err(said)?;
        let mut files = BTreeMap::new();
        for name in String::from_utf8_lossy(&listed.stdout).lines() {
            let path = self.source.join(name);
            let Ok(mut bytes) = fs::read(&path) else { continue };
            let own: Vec<&Mutant> = mutants
                .iter()
                .filter(|mutant| mutant.file == name)
                .filter(|mutant| !left_out.unviable.contains(&mutant.number))
                .filter(|mutant| !left_out.not_tried.contains_key(&mutant.number))
                .collect();
            if !own.is_empty() {
                let source = String::from_utf8_lossy(&bytes).into_owned();
                let rewritten = rewrite(&source, &own).map_err(|error| format!("{name}: {error}"))?;
                left_out.unviable.extend(&rewritten.unviable);
                for (number, why) in &rewritten.not_tried {
                    left_out.not_tried.insert(*number, (*why).to_owned());
                }
                bytes = rewritten.text.clone().into_bytes();
                files.insert(name.to_owned(), rewritten);
            }
            match name {
                "core/src/lib.rs" => bytes.extend_from_slice(b"\n#[allow(missing_docs)]\npub mod mutant;\n"),
                "core/Cargo.toml" => {
                    let text = String::from_utf8_lossy(&bytes).replace("[lints]\nworkspace = true\n", LINTS);
                    bytes = text.into_bytes();
                }
                _ => {}
            }
            write_if_different(&self.tree().join(name), &bytes)?;
        }
        write_if_different(&self.tree().join("core/src/mutant.rs"), include_bytes!("switch.rs"))?;
        Ok(files)
    }

    /// Builds. `None`: it did not compile, and `left_out` has what was to blame.
    fn cargo(&self, files: &BTreeMap<String, Rewritten>, left_out: &mut LeftOut) -> Result<Option<Built>, String> {
        let output = Command::new("cargo")
            .args(BUILD)
            .args(if self.tests_only { &TESTS[..] } else { &ALL })
            .args(["--message-format", "json"])
            .current_dir(self.tree())
            .stderr(Stdio::inherit())
            .output()
            .map_err(said)?;
        let mut built = Built::default();
        let before = left_out.unviable.len() + left_out.not_tried.len();
        let mut unexplained = Vec::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(said) = serde_json::from_str::<Said>(line) else { continue };
            if let (Some(executable), Some(target)) = (said.executable, said.target) {
                match target.name.as_str() {
                    "ackproof" if target.kind.contains(&"bin".to_owned()) => {
                        if !executable.components().any(|part| part.as_os_str() == "deps") {
                            built.program = executable;
                        }
                    }
                    _ if target.src_path.starts_with(self.tree().join("core")) => built.tests.push(executable),
                    _ => {}
                }
            }
            if let Some(error) = said.message.filter(|message| message.level == "error" && !message.spans.is_empty()) {
                if !blame(&error, files, left_out) {
                    unexplained.push(error.message);
                }
            }
        }
        if output.status.success() {
            return Ok(Some(built));
        }
        if left_out.unviable.len() + left_out.not_tried.len() == before {
            return Err(format!("the mutated copy does not compile, and no mutant is to blame: {unexplained:#?}"));
        }
        Ok(None)
    }
}

/// Leaves out what is behind an error; false if nothing is.
fn blame(error: &Message, files: &BTreeMap<String, Rewritten>, left_out: &mut LeftOut) -> bool {
    let code = error.code.as_ref().map_or("", |code| code.code.as_str());
    let primary = error.spans.iter().filter(|span| span.is_primary);
    for span in primary.chain(error.spans.iter().filter(|span| !span.is_primary)) {
        let Some(file) = files.get(&span.file_name) else { continue };
        if code == NOT_EXHAUSTIVE {
            // The compiler points at what is matched. An arm of it is missing.
            let behind = file.arms.iter().filter(|(start, _)| *start >= span.byte_end).min();
            left_out.unviable.extend(behind.map(|(_, number)| *number));
            return behind.is_some();
        }
        let inside = |range: &std::ops::Range<usize>| range.start <= span.byte_start && span.byte_end <= range.end;
        let alternative =
            file.alternatives.iter().filter(|(range, _)| inside(range)).min_by_key(|(range, _)| range.len());
        let place = file.places.iter().filter(|(range, _)| inside(range)).min_by_key(|(range, _)| range.len());
        match (alternative, place) {
            (Some((range, number)), place) if place.is_none_or(|(place, _)| range.len() <= place.len()) => {
                if UNVIABLE.contains(&code) {
                    left_out.unviable.insert(*number);
                } else {
                    left_out.not_tried.insert(*number, format!("does not compile behind a switch ({code})"));
                }
                return true;
            }
            (_, Some((_, numbers))) => {
                for number in numbers {
                    left_out.not_tried.insert(*number, format!("the place cannot be wrapped ({code})"));
                }
                return true;
            }
            _ => {}
        }
    }
    false
}

const LINTS: &str = "[lints.rust]\nwarnings = \"allow\"\narithmetic_overflow = \"allow\"\n\
                     unconditional_panic = \"allow\"\nunconditional_recursion = \"allow\"\n";

fn write_if_different(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().expect("a file lies in a folder")).map_err(said)?;
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

pub fn said(error: std::io::Error) -> String {
    error.to_string()
}

#[derive(Deserialize)]
struct Said {
    executable: Option<PathBuf>,
    target: Option<Target>,
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Message {
    level: String,
    message: String,
    code: Option<Code>,
    spans: Vec<Place>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Place {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
}

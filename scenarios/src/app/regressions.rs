//! The seeds under which a test has failed, in a file beside it: they run first, the next time and for everybody.
//!
//! The file is written as a whole or not at all. What follows a `#` is for people.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::name::TestName;
use crate::whole_file::WholeFile;

/// The folder of these files.
const FOLDER: &str = "ackproof-regressions";

/// Where a test keeps the seeds under which it has failed.
///
/// The file is meant to be committed: its seeds run first, the next time and for everybody. It has one seed a line, and whoever
/// thinks that one tells nothing any more may delete the line. A seed means something only together with the scenario and the
/// service: after a change of either it is one among others.
///
/// `ACKPROOF_REGRESSIONS=off` in the environment has the effect of [`Regressions::Off`] for all tests.
///
/// ```
/// use ackproof::app::{Regressions, Stage};
///
/// ackproof::simulate(Stage::kafka("3.9").topic("orders", 1, 3))
///     .producer("shop", [("acks", "all")])
///     .regressions(Regressions::Off)
///     .seeds(0..1)
///     .run(|cluster| async move {
///         cluster.producer("shop").send("orders", None, b"order 1").await.unwrap().await.unwrap();
///     });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Regressions {
    /// In `ackproof-regressions/<source file>/<test>.txt`, from the folder of the package.
    #[default]
    OfTheTest,
    /// In this file.
    File(PathBuf),
    /// Nowhere, for sources that cannot be written.
    Off,
}

impl Regressions {
    /// The file; nothing if there is to be none, or no package to keep it in.
    pub(super) fn path(&self, name: &TestName) -> Option<PathBuf> {
        match self {
            Regressions::Off => None,
            Regressions::File(path) => Some(path.clone()),
            Regressions::OfTheTest => {
                let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
                let test = name.told().replace("::", ".");
                Some(package.join(FOLDER).join(&name.file).join(format!("{test}.txt")))
            }
        }
    }
}

/// One such file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SeedFile {
    /// Its text; empty if it is not there.
    text: String,
    /// The seeds, in its order.
    pub seeds: Vec<u64>,
}

impl SeedFile {
    /// Reads it. One that is not there has no seeds. The error names the file and the line.
    pub fn read(path: &Path) -> Result<Self, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    fn parse(path: &Path, text: String) -> Result<Self, String> {
        let mut seeds = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let written = line.split('#').next().unwrap_or_default().trim();
            if written.is_empty() {
                continue;
            }
            let seed = written.strip_prefix("seed ").map(str::trim).and_then(|seed| seed.parse().ok());
            let Some(seed) = seed else {
                let path = path.display();
                return Err(format!("{path}:{number}: `{written}` is no seed: write `seed 17`, one a line"));
            };
            if !seeds.contains(&seed) {
                seeds.push(seed);
            }
        }
        Ok(Self { text, seeds })
    }

    /// Writes it with one seed more, and why.
    pub fn keep(&self, path: &Path, test: &str, seed: u64, why: &str) -> Result<(), String> {
        let mut text = self.text.clone();
        if text.is_empty() {
            let _ = writeln!(text, "# Seeds under which the test {test} has failed. They run first, each time.");
            let _ = writeln!(
                text,
                "# Commit this file, so that they do for everybody. A line that tells nothing any more may go."
            );
        } else if !text.ends_with('\n') {
            text.push('\n');
        }
        let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(text, "seed {seed} # {why}");
        let named = |error: std::io::Error| format!("{}: {error}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(named)?;
        }
        WholeFile::at(path).and_then(|file| file.write(&text)).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<u64>, String> {
        SeedFile::parse(Path::new("orders/lost.txt"), text.to_owned()).map(|file| file.seeds)
    }

    #[test]
    fn a_file_has_a_seed_a_line() {
        let text = "# Seeds\n\nseed 17 # lost-write\r\n  seed 3\nseed 17\nseed 18446744073709551615";
        assert_eq!(parse(text), Ok(vec![17, 3, u64::MAX]));
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn a_malformed_line_is_named() {
        for bad in ["17", "seed", "seed x", "seed -1", "seed 1 2", "\u{0}", "seed 18446744073709551616"] {
            let error = parse(&format!("# Seeds\n{bad}\n")).expect_err(bad);
            assert!(error.starts_with("orders/lost.txt:2: "), "{error}");
        }
    }
}

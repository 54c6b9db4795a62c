//! Each mutant against what reaches it: tests, then scenarios, then a campaign; the first that notices ends it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::list::Mutant;
use crate::scratch::{Built, LeftOut, Scratch, said};

/// The campaign.
const WORLDS: &str = "0..50";
/// No test takes so long.
const TEST_AT_MOST: Duration = Duration::from_secs(600);
/// A scenario that takes longer, the first time, is left out and named.
const SCENARIO_AT_MOST: Duration = Duration::from_secs(1);
/// Mutants that nothing can overlook.
const FATAL: &str = include_str!("../fatal.txt");

/// A test or a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Case {
    /// The test program; `None`: a scenario.
    program: Option<PathBuf>,
    name: String,
    took: Duration,
    /// Numbers of mutants, in order.
    reaches: Vec<usize>,
}

/// What became of a mutant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub key: String,
    pub verdict: Verdict,
    /// What noticed it.
    pub by: String,
    /// How far it came.
    #[serde(default)]
    pub stage: Stage,
}

/// What a mutant has been run with, all before included.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    #[default]
    Tests,
    Campaign,
    Scenarios,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Test,
    Scenario,
    Campaign,
    /// Survived; the campaign went another way with it, and nobody minded.
    Bytes,
    Survived,
    /// Survived; nothing reaches it.
    Unreached,
}

impl Verdict {
    pub fn is_killed(self) -> bool {
        matches!(self, Verdict::Test | Verdict::Scenario | Verdict::Campaign)
    }
}

/// What was found so far, by key. A later line takes the place of an earlier one.
pub fn outcomes(scratch: &Scratch) -> BTreeMap<String, Outcome> {
    let text = fs::read_to_string(scratch.folder.join("outcomes.ndjson")).unwrap_or_default();
    let outcomes = text.lines().filter_map(|line| serde_json::from_str::<Outcome>(line).ok());
    outcomes.map(|outcome| (outcome.key.clone(), outcome)).collect()
}

pub fn run(scratch: &Scratch, mutants: &[Mutant], again: bool, limit: Option<u64>) -> Result<(), String> {
    let started = Instant::now();
    let (built, left_out) = scratch.build(mutants)?;
    let mut runner = Runner::new(scratch, built)?;
    let known = outcomes(scratch);
    let is_killed = |mutant: &&Mutant| known.get(&mutant.key).is_some_and(|outcome| outcome.verdict.is_killed());
    let open: Vec<&Mutant> =
        mutants.iter().filter(|mutant| !is_left_out(mutant, &left_out)).filter(|mutant| !is_killed(mutant)).collect();
    let path = scratch.folder.join("outcomes.ndjson");
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(said)?;
    let in_time = || match limit.is_some_and(|limit| started.elapsed() > Duration::from_secs(limit)) {
        true => Err("out of time: the next call goes on from here".to_owned()),
        false => Ok(()),
    };
    let mut say = |mutant: &Mutant, verdict: Verdict, by: String, stage: Stage| {
        let outcome = Outcome { key: mutant.key.clone(), verdict, by, stage };
        let line = serde_json::to_string(&outcome).expect("it is plain data");
        writeln!(file, "{line}").map_err(said)
    };
    // What is quick for all of them first.
    let total = open.len();
    let mut left = Vec::new();
    for (done, mutant) in open.into_iter().enumerate() {
        in_time()?;
        let before = known.get(&mutant.key).map(|outcome| (outcome.verdict, outcome.stage));
        let by = if before.is_some() && !again { None } else { runner.tests(mutant.number)? };
        match (by, before) {
            (Some(by), _) => say(mutant, Verdict::Test, by, Stage::Tests)?,
            (None, Some((verdict, stage))) => left.push((mutant, verdict, stage)),
            (None, None) => {
                say(mutant, Verdict::Survived, String::new(), Stage::Tests)?;
                left.push((mutant, Verdict::Survived, Stage::Tests));
            }
        }
        if done % 50 == 49 {
            eprintln!("tests: {} of {total}, {} survived", done + 1, left.len());
        }
    }
    if scratch.tests_only {
        return Ok(());
    }
    runner.record_worlds()?;
    left.sort_by_key(|(mutant, ..)| mutant.module);
    let total = left.len();
    let mut still_left = Vec::new();
    for (done, (mutant, mut verdict, stage)) in left.into_iter().enumerate() {
        in_time()?;
        if stage < Stage::Campaign {
            let by;
            (verdict, by) = runner.campaign(mutant.number)?;
            say(mutant, verdict, by, Stage::Campaign)?;
        }
        if !verdict.is_killed() {
            still_left.push((mutant, verdict, stage));
        }
        if done % 10 == 9 {
            eprintln!("campaign: {} of {total}, {} survived", done + 1, still_left.len());
        }
    }
    let total = still_left.len();
    for (done, (mutant, verdict, stage)) in still_left.into_iter().enumerate() {
        in_time()?;
        if stage < Stage::Scenarios {
            match runner.scenarios(mutant.number)? {
                Some(by) => say(mutant, Verdict::Scenario, by, Stage::Scenarios)?,
                None => say(mutant, verdict, String::new(), Stage::Scenarios)?,
            }
        }
        if done % 10 == 9 {
            eprintln!("scenarios: {} of {total}", done + 1);
        }
    }
    Ok(())
}

pub fn check(scratch: &Scratch, mutants: &[Mutant]) -> Result<(), String> {
    let (built, _) = scratch.build(mutants)?;
    let mut runner = Runner::new(scratch, built)?;
    runner.record_worlds()?;
    if let Some(by) = runner.all(0)? {
        return Err(format!("without a mutant {by} fails"));
    }
    println!("no mutant: all passes");
    for key in FATAL.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mutant = mutants.iter().find(|mutant| mutant.key == key).ok_or_else(|| format!("{key}: no such mutant"))?;
        let by = runner.tests(mutant.number)?.ok_or_else(|| format!("{key}: survived the tests"))?;
        println!("killed: {key}: {by}");
    }
    Ok(())
}

pub fn is_left_out(mutant: &Mutant, left_out: &LeftOut) -> bool {
    left_out.unviable.contains(&mutant.number) || left_out.not_tried.contains_key(&mutant.number)
}

struct Runner {
    built: Built,
    tree: PathBuf,
    folder: PathBuf,
    /// Tests, then scenarios; the quickest first.
    tests: Vec<Case>,
    scenarios: Vec<Case>,
    campaign: Case,
    /// What the campaign says without a mutant.
    lines: String,
}

impl Runner {
    fn new(scratch: &Scratch, built: Built) -> Result<Runner, String> {
        let campaign = Case { program: None, name: String::new(), took: Duration::ZERO, reaches: Vec::new() };
        let mut runner = Runner {
            built,
            tree: scratch.tree(),
            folder: scratch.folder.clone(),
            tests: Vec::new(),
            scenarios: Vec::new(),
            campaign,
            lines: String::new(),
        };
        runner.tests = match runner.kept("tests.json") {
            Some(tests) => tests,
            None => {
                let tests = runner.record_tests()?;
                runner.keep("tests.json", &tests)?;
                tests
            }
        };
        Ok(runner)
    }

    /// What was recorded with these very programs.
    fn kept<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Option<T> {
        let path = self.folder.join(name);
        let built_at = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
        let programs = self.built.tests.iter().chain([&self.built.program]);
        if built_at(&path) <= programs.filter_map(built_at).max() {
            return None;
        }
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    fn keep(&self, name: &str, what: &impl Serialize) -> Result<(), String> {
        fs::write(self.folder.join(name), serde_json::to_vec(what).expect("it is plain data")).map_err(said)
    }

    /// Runs every test once without a mutant, and notes which ones it reaches.
    fn record_tests(&self) -> Result<Vec<Case>, String> {
        let mut tests = Vec::new();
        for program in &self.built.tests {
            let listed = Command::new(program).args(["--list", "--format", "terse"]).output().map_err(said)?;
            for name in String::from_utf8_lossy(&listed.stdout).lines().filter_map(|line| line.strip_suffix(": test")) {
                let end =
                    self.recorded(Some(program), name, |command| command.args(["--exact", name]), TEST_AT_MOST)?;
                tests.push(end.ok_or_else(|| format!("{name} is too slow"))?);
            }
        }
        // The program with the tests beside the code has most, and the quickest.
        let beside =
            |case: &Case| case.program.as_ref().is_some_and(|path| path.to_string_lossy().contains("ackproof_core"));
        tests.sort_by_key(|case| (!beside(case), case.program.clone(), case.took));
        eprintln!("{} tests", tests.len());
        Ok(tests)
    }

    /// The same for the campaign and every scenario that is quick enough.
    fn record_worlds(&mut self) -> Result<(), String> {
        if let Some(kept) = self.kept("worlds.json") {
            (self.scenarios, self.campaign, self.lines) = kept;
            return Ok(());
        }
        let campaign = self.recorded(None, "", |command| command.args(CAMPAIGN), TEST_AT_MOST)?;
        self.campaign = campaign.ok_or("the campaign is too slow")?;
        self.lines = fs::read_to_string(self.folder.join("said")).map_err(said)?;
        for file in scenarios(&self.tree.join("scenarios/library")).map_err(said)? {
            let name = file.display().to_string();
            match self.recorded(None, &name, |command| command.args(["run", &name]), SCENARIO_AT_MOST)? {
                Some(case) => self.scenarios.push(case),
                None => eprintln!("left out, because it takes longer than {SCENARIO_AT_MOST:?}: {name}"),
            }
        }
        self.scenarios.sort_by_key(|case| case.took);
        eprintln!("{} scenarios", self.scenarios.len());
        self.keep("worlds.json", &(&self.scenarios, &self.campaign, &self.lines))
    }

    /// `None` if it takes too long.
    fn recorded(
        &self,
        program: Option<&PathBuf>,
        name: &str,
        arguments: impl FnOnce(&mut Command) -> &mut Command,
        at_most: Duration,
    ) -> Result<Option<Case>, String> {
        let reached = self.folder.join("reached");
        let _ = fs::remove_file(&reached);
        let mut command = self.command(program.unwrap_or(&self.built.program));
        arguments(&mut command).env("ACKPROOF_MUTANT", "record").env("ACKPROOF_REACHED", &reached);
        let started = Instant::now();
        let end = self.end(command, at_most)?;
        let took = started.elapsed();
        if end == End::OutOfTime {
            return Ok(None);
        }
        if end != End::Passed {
            let said = fs::read_to_string(self.folder.join("said")).unwrap_or_default();
            return Err(format!("{name} does not pass without a mutant: {end:?}\n{said}"));
        }
        let text = fs::read_to_string(&reached).unwrap_or_default();
        let mut reaches: Vec<usize> = text.lines().filter_map(|line| line.parse().ok()).collect();
        reaches.sort_unstable();
        Ok(Some(Case { program: program.cloned(), name: name.to_owned(), took, reaches }))
    }

    /// Within bounds of memory: some mutants never stop to allocate.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 4000000; exec \"$0\" \"$@\""]).arg(program);
        command.current_dir(self.tree.join("core"));
        command.env("PROPTEST_RNG_SEED", "1").env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1");
        command.env("PROPTEST_MAX_SHRINK_ITERS", "0").env("INSTA_UPDATE", "no");
        command.env("RUST_BACKTRACE", "0");
        command
    }

    fn end(&self, mut command: Command, at_most: Duration) -> Result<End, String> {
        let out = File::create(self.folder.join("said")).map_err(said)?;
        let mut child = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::null()).spawn().map_err(said)?;
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(said)? {
                return Ok(if status.success() { End::Passed } else { End::Failed });
            }
            if started.elapsed() > at_most {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(End::OutOfTime);
            }
            std::thread::sleep(Duration::from_millis(1 + (started.elapsed().as_millis() as u64 / 20).min(20)));
        }
    }

    /// The test that fails.
    fn tests(&self, mutant: usize) -> Result<Option<String>, String> {
        let reaching = self.tests.iter().filter(|case| case.reaches.binary_search(&mutant).is_ok());
        self.some_tests(reaching.collect(), mutant)
    }

    fn some_tests(&self, cases: Vec<&Case>, mutant: usize) -> Result<Option<String>, String> {
        for (program, cases) in batches(&cases, [50, 500, 4000]) {
            let took: Duration = cases.iter().map(|case| case.took).sum();
            let mut command = self.command(program.expect("it is a test"));
            command.args(["--exact", "--test-threads=1"]).args(cases.iter().map(|case| &case.name));
            command.env("ACKPROOF_MUTANT", mutant.to_string());
            match self.end(command, took * 10 + Duration::from_secs(2))? {
                End::Passed => {}
                End::OutOfTime => return Ok(Some(format!("a hang in {}", cases[0].name))),
                End::Failed => {
                    let said = fs::read_to_string(self.folder.join("said")).unwrap_or_default();
                    let failed = said.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
                    return Ok(Some(failed.unwrap_or("an abort").to_owned()));
                }
            }
        }
        Ok(None)
    }

    /// The campaign; whether anything reaches it is known here too.
    fn campaign(&self, mutant: usize) -> Result<(Verdict, String), String> {
        if self.campaign.reaches.binary_search(&mutant).is_err() {
            let mut cases = self.tests.iter().chain(&self.scenarios);
            let reached = cases.any(|case| case.reaches.binary_search(&mutant).is_ok());
            return Ok((if reached { Verdict::Survived } else { Verdict::Unreached }, String::new()));
        }
        let mut command = self.command(&self.built.program);
        command.args(CAMPAIGN).env("ACKPROOF_MUTANT", mutant.to_string());
        Ok(match self.end(command, self.campaign.took * 10 + Duration::from_secs(2))? {
            End::Failed => (Verdict::Campaign, "a campaign".to_owned()),
            End::OutOfTime => (Verdict::Campaign, "a hang in a campaign".to_owned()),
            End::Passed if self.said_the_same() => (Verdict::Survived, String::new()),
            End::Passed => (Verdict::Bytes, String::new()),
        })
    }

    /// Whether the campaign's worlds are those without a mutant.
    fn said_the_same(&self) -> bool {
        let worlds = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.starts_with("{\"events\"")).map(str::to_owned).collect()
        };
        worlds(&fs::read_to_string(self.folder.join("said")).unwrap_or_default()) == worlds(&self.lines)
    }

    fn scenarios(&self, mutant: usize) -> Result<Option<String>, String> {
        let reaching: Vec<&Case> =
            self.scenarios.iter().filter(|case| case.reaches.binary_search(&mutant).is_ok()).collect();
        self.some_scenarios(&reaching, mutant)
    }

    fn some_scenarios(&self, cases: &[&Case], mutant: usize) -> Result<Option<String>, String> {
        for (_, cases) in batches(cases, [500, 2000, 3000]) {
            let took: Duration = cases.iter().map(|case| case.took).sum();
            let mut command = self.command(&self.built.program);
            command.arg("run").args(cases.iter().map(|case| &case.name));
            command.env("ACKPROOF_MUTANT", mutant.to_string());
            match self.end(command, took * 10 + Duration::from_secs(2))? {
                End::Passed => {}
                end => {
                    let name = cases[0].name.rsplit('/').next().unwrap_or_default();
                    let others = cases.len() - 1;
                    return Ok(Some(format!("{end:?} in {name} or {others} others")));
                }
            }
        }
        Ok(None)
    }

    /// Everything, whatever it reaches.
    fn all(&self, mutant: usize) -> Result<Option<String>, String> {
        match self.some_tests(self.tests.iter().collect(), mutant)? {
            Some(by) => Ok(Some(by)),
            None => self.some_scenarios(&self.scenarios.iter().collect::<Vec<_>>(), mutant),
        }
    }
}

const CAMPAIGN: [&str; 7] = ["chaos", "--seeds", WORLDS, "--format", "json", "--shrink", "0"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
    OutOfTime,
}

/// What runs together: one program's cases, the first batches short, no batch longer than the last of `limits` (milliseconds).
fn batches<'c>(cases: &[&'c Case], limits: [u64; 3]) -> Vec<(Option<&'c PathBuf>, Vec<&'c Case>)> {
    let mut batches: Vec<(Option<&PathBuf>, Vec<&Case>)> = Vec::new();
    let mut took = Duration::ZERO;
    for case in cases {
        let limit = Duration::from_millis(limits[batches.len().saturating_sub(1).min(limits.len() - 1)]);
        took += case.took;
        match batches.last_mut() {
            Some((program, batch)) if *program == case.program.as_ref() && took <= limit => batch.push(case),
            _ => {
                took = case.took;
                batches.push((case.program.as_ref(), vec![case]));
            }
        }
    }
    batches
}

fn scenarios(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(scenarios(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

//! Why a test fails, as it is told.

use std::error::Error;
use std::fmt;

/// Why a simulation has failed.
///
/// [`Simulation::run`](super::Simulation::run) panics with its text; [`Simulation::try_run`](super::Simulation::try_run) returns it.
///
/// ```
/// use ackproof::app::{Failure, Stage, Wrong};
///
/// let failure = ackproof::simulate(Stage::kafka("3.9").topic("orders", 1, 3))
///     .producer("shop", [("acks", "most")])
///     .try_run(|_cluster| async {})
///     .expect_err("that is no value of acks");
/// let Failure::NotRun(why) = failure else { panic!("nothing can have run") };
/// assert!(why.contains("most"));
///
/// let failure = ackproof::simulate(Stage::kafka("3.9").topic("orders", 1, 3))
///     .regressions(ackproof::app::Regressions::Off)
///     .try_run(|_cluster| async { Err("the shop is closed") })
///     .expect_err("so it said");
/// let Failure::Seed(bad) = failure else { panic!("a seed has run") };
/// assert_eq!(bad.seed, 0);
/// assert!(matches!(bad.what, Wrong::Program(_)));
/// ```
#[derive(Clone, Debug)]
pub enum Failure {
    /// Nothing was run: the scenario, the environment or the file of failing seeds is wrong. The text says where and what.
    NotRun(String),
    /// A seed went wrong.
    Seed(Box<BadSeed>),
}

/// The first seed that went wrong.
///
/// ```
/// use ackproof::app::{Failure, Regressions, Stage};
///
/// let failure = ackproof::simulate(Stage::kafka("3.9").topic("orders", 1, 3))
///     .regressions(Regressions::Off)
///     .seeds(5..7)
///     .try_run(|cluster| async move { assert_eq!(cluster.seed(), 0, "sold out") })
///     .expect_err("it panics");
/// let Failure::Seed(bad) = failure else { panic!("a seed has run") };
/// assert_eq!((bad.seed, bad.held, bad.not_run), (5, 0, 1));
/// assert!(bad.replay.starts_with("MADSIM_TEST_SEED=5 cargo test"));
/// ```
#[derive(Clone, Debug)]
pub struct BadSeed {
    /// The name of the test.
    pub test: String,
    /// The seed.
    pub seed: u64,
    /// What is wrong.
    pub what: Wrong,
    /// The verdict, and the story of every message that went wrong. Empty where two runs of the seed differ.
    pub story: String,
    /// The line that shows it again.
    pub replay: String,
    /// What became of the file of failing seeds; nothing if there is none.
    pub kept: Option<String>,
    /// How many seeds held before it.
    pub held: u64,
    /// How many were not run any more.
    pub not_run: u64,
}

/// What is wrong with a run.
///
/// ```
/// use ackproof::app::{Failure, Kind, Regressions, Stage, Wrong};
///
/// // Nobody sends anything: a test that tests nothing does not pass.
/// let failure = ackproof::simulate(Stage::kafka("3.9").topic("orders", 1, 3))
///     .step("at = \"1h\"\nkill = \"leader of orders-0\"")
///     .regressions(Regressions::Off)
///     .try_run(|_cluster| async {})
///     .expect_err("the leader was never killed");
/// let Failure::Seed(bad) = failure else { panic!("a seed has run") };
/// assert!(matches!(bad.what, Wrong::Untested(_)), "{}", bad.story);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It came out otherwise than expected; each line says what was expected and what was found.
    NotAsExpected(Vec<String>),
    /// It tested less than it should have: a step of the scenario never happened or never did anything, or time ran out. Each line says
    /// what.
    Untested(Vec<String>),
    /// The test's own code panicked or returned an error, with this message.
    Program(String),
    /// Two runs of the seed were not the same; the text has the first event that differs, twice.
    NotDeterministic(String),
}

impl Wrong {
    /// In a few words.
    pub(super) fn in_short(&self) -> String {
        let first = |lines: &[String]| lines.first().cloned().unwrap_or_default();
        match self {
            Wrong::NotAsExpected(lines) => first(lines),
            Wrong::Untested(lines) => format!("inconclusive: {}", first(lines)),
            Wrong::Program(message) => format!("the test's own code: {}", message.lines().next().unwrap_or_default()),
            Wrong::NotDeterministic(_) => "not deterministic".to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotRun(why) => f.write_str(why.trim_end()),
            Failure::Seed(bad) => bad.fmt(f),
        }
    }
}

impl Error for Failure {}

impl fmt::Display for BadSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with seed {}: ", self.test, self.seed)?;
        match &self.what {
            Wrong::NotAsExpected(_) => writeln!(f, "it did not come out as expected")?,
            Wrong::Untested(_) => writeln!(f, "it tested less than it should have")?,
            Wrong::Program(message) => {
                writeln!(f, "{message}")?;
                if message.contains("all tasks will block forever") {
                    writeln!(f, "  every task of the test waits, and nothing will happen any more")?;
                }
            }
            Wrong::NotDeterministic(both) => {
                writeln!(f, "two runs of it were not the same\n\n{}", both.trim_end())?;
            }
        }
        if !self.story.is_empty() {
            writeln!(f, "\n{}", self.story.trim_end())?;
        }
        writeln!(f, "\nreplay    {}", self.replay)?;
        if let Some(kept) = &self.kept {
            writeln!(f, "kept      {kept}")?;
        }
        write!(f, "seeds     {} held before it, {} were not run", self.held, self.not_run)
    }
}

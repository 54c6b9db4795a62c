//! A simulation: a scenario, the clients of a service, the seeds, what is expected; and running it.

use std::any::type_name;
use std::collections::BTreeSet;
use std::future::Future;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use ackproof_reports::Kind;
use ackproof_reports::render::text::PlainText;
use ackproof_sim::app::Cluster;

use super::environment::Environment;
use super::failure::{BadSeed, Failure, Wrong};
use super::hosted::{Ending, Hosted};
use super::name::TestName;
use super::regressions::{Regressions, SeedFile};
use super::script::{self, Properties, Script};
use crate::audit::Promise;
use crate::cli::run::{both_sides, human};
use crate::expectation::Standing;
use crate::parallel::in_order;
use crate::runner::{self, Options};
use crate::scenario::{AnomalyExpectation, Count, Scenario};

/// So many seeds are listed at a time; a test may have a million of them.
const CHUNK: u64 = 4096;

/// A scenario and a service's clients, to be run under many seeds.
///
/// Made by [`simulate`](super::simulate). What is not said is left to the scenario: its own seeds (`0..4` if it names none), its own
/// `[expect]`; without one, nothing at all may go wrong.
///
/// ```
/// use ackproof::app::{Kind, Promise, Stage};
///
/// ackproof::simulate(Stage::kafka("3.9").topic("orders", 1, 3))
///     .producer("shop", [("acks", "all")])
///     .consumer("billing", [("group.id", "billing"), ("auto.offset.reset", "earliest")])
///     .seeds(0..2)
///     .jobs(2)
///     .allowing(Kind::DuplicateDelivery)
///     .run(|cluster| async move {
///         let shop = cluster.producer("shop");
///         shop.send("orders", None, b"order 1").await.unwrap().await.unwrap();
///         let billing = cluster.consumer("billing");
///         billing.subscribe(&["orders"]);
///         let mut billed = 0;
///         while billed < 1 {
///             for record in billing.poll(std::time::Duration::from_millis(100)).await.unwrap() {
///                 billed += 1; // the effect ...
///                 billing.processed(&record); // ... is there
///             }
///             billing.commit_sync().await.unwrap();
///         }
///     });
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `run`"]
pub struct Simulation {
    script: Script,
    additions: String,
    seeds: Option<Range<u64>>,
    jobs: NonZeroUsize,
    check_determinism: bool,
    regressions: Regressions,
    allowed: BTreeSet<Kind>,
    name: Option<String>,
    caller: &'static Location<'static>,
}

/// What a simulation that has held has done.
///
/// ```
/// # use ackproof::app::Stage;
/// let passed = ackproof::simulate(Stage::kafka("3.9").topic("orders", 1, 3))
///     .producer("shop", [("acks", "all")])
///     .seeds(0..2)
///     .try_run(|cluster| async move {
///         cluster.producer("shop").send("orders", None, b"order 1").await?.await.map(drop)
///     });
/// assert_eq!(passed.expect("nothing happens to the order").seeds, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// How many seeds were run.
    pub seeds: u64,
}

impl Simulation {
    pub(super) fn new(script: Script, caller: &'static Location<'static>) -> Self {
        Self {
            script,
            additions: String::new(),
            seeds: None,
            jobs: NonZeroUsize::MIN,
            check_determinism: false,
            regressions: Regressions::default(),
            allowed: BTreeSet::new(),
            name: None,
            caller,
        }
    }

    /// Adds a producer, which the test takes with [`Cluster::producer`]. `properties`: pairs by Kafka's names, or the path of a file.
    pub fn producer(self, name: &str, properties: impl Into<Properties>) -> Self {
        self.client(name, "producer", &properties.into())
    }

    /// Adds a consumer, which the test takes with [`Cluster::consumer`]. With a `group.id` the judge holds what the service says that it has
    /// processed ([`Consumer::processed`](super::Consumer::processed)) against what it commits.
    pub fn consumer(self, name: &str, properties: impl Into<Properties>) -> Self {
        self.client(name, "consumer", &properties.into())
    }

    /// Adds an admin client, which the test takes with [`Cluster::admin`].
    pub fn admin(self, name: &str) -> Self {
        self.client(name, "admin", &Properties::default())
    }

    fn client(mut self, name: &str, kind: &str, properties: &Properties) -> Self {
        self.additions.push_str(&script::client(name, kind, properties));
        self
    }

    /// Adds a step, in the words of a scenario file (docs/scenario-format.md), without its `[[step]]`. Times count from the moment
    /// when the cluster is ready, which is when the test's own code begins.
    ///
    /// A step that never happens, or never does anything, fails the test: it tested less than it says.
    ///
    /// ```
    /// # use ackproof::app::Stage;
    /// let two_crashes = ackproof::simulate(Stage::kafka("3.9").topic("orders", 1, 3))
    ///     .step("name = \"first\"\nat = \"1s..2s\"\nkill = \"leader of orders-0\"\nfor = \"5s\"")
    ///     .step("after = \"first\"\nwait = \"20s\"\nkill = \"leader of orders-0\"\nfor = \"5s\"");
    /// # drop(two_crashes);
    /// ```
    pub fn step(mut self, step: &str) -> Self {
        self.additions.push_str(&script::step(step));
        self
    }

    /// Runs these seeds, after those that have failed before.
    pub fn seeds(self, seeds: Range<u64>) -> Self {
        Self { seeds: Some(seeds), ..self }
    }

    /// Runs so many seeds at a time; one if not said. What comes out is the same.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn jobs(self, jobs: usize) -> Self {
        Self { jobs: NonZeroUsize::new(jobs).expect("Simulation::jobs takes a number from 1"), ..self }
    }

    /// Runs every seed twice, and fails if the runs differ: a service that reads the machine's clock, keeps a static counter or draws its
    /// own random numbers cannot be replayed.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use ackproof::app::{Regressions, Stage};
    ///
    /// static ORDERS: AtomicU64 = AtomicU64::new(0);
    /// let failure = ackproof::simulate(Stage::kafka("3.9").topic("orders", 1, 3))
    ///     .producer("shop", [("acks", "all")])
    ///     .check_determinism()
    ///     .regressions(Regressions::Off)
    ///     .try_run(|cluster| async move {
    ///         let order = format!("order {}", ORDERS.fetch_add(1, Ordering::Relaxed));
    ///         cluster.producer("shop").send("orders", None, order.as_bytes()).await?.await.map(drop)
    ///     })
    ///     .expect_err("the second run goes on counting where the first one was");
    /// assert!(failure.to_string().contains("two runs of it were not the same"));
    /// ```
    pub fn check_determinism(self) -> Self {
        Self { check_determinism: true, ..self }
    }

    /// Lets this go wrong: an anomaly of this kind, as often as it likes.
    ///
    /// A consumer that commits after its effects is delivered some records again after a crash: `DuplicateDelivery`.
    pub fn allowing(mut self, kind: Kind) -> Self {
        self.allowed.insert(kind);
        self
    }

    /// Lets everything go wrong that breaks none of these promises.
    ///
    /// ```
    /// # use ackproof::app::{Promise, Stage};
    /// let only_losses_count = ackproof::simulate(Stage::kafka("3.9").topic("orders", 1, 3))
    ///     .promising(&[Promise::NothingLost, Promise::AllProcessed]);
    /// # drop(only_losses_count);
    /// ```
    pub fn promising(mut self, promises: &[Promise]) -> Self {
        self.allowed.extend(Kind::ALL.iter().filter(|kind| !promises.contains(&Promise::broken_by(**kind))));
        self
    }

    /// Where failing seeds are kept; in a file of the test's own if not said.
    pub fn regressions(self, regressions: Regressions) -> Self {
        Self { regressions, ..self }
    }

    /// Calls the test by another name than that of its function: in its messages, and for the file of its failing seeds. For a function
    /// that runs several simulations, and wants a file for each.
    pub fn name(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Runs the test's own code against the cluster, once for each seed, each time in a runtime and on a thread of its own.
    ///
    /// The code begins when the cluster is ready. When it returns, the cluster comes to rest and everything is judged.
    ///
    /// # Panics
    /// With the whole story, if a seed goes wrong, or with what is wrong with the scenario, the environment, or the file of failing
    /// seeds. That is how a test fails.
    #[track_caller]
    pub fn run<F, R>(self, program: F) -> Passed
    where
        F: Fn(Cluster) -> R + Sync,
        R: Future,
        R::Output: Ending,
    {
        match self.try_run(program) {
            Ok(passed) => passed,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// The same, with the failure as a value.
    pub fn try_run<F, R>(self, program: F) -> Result<Passed, Failure>
    where
        F: Fn(Cluster) -> R + Sync,
        R: Future,
        R::Output: Ending,
    {
        let name = TestName::present(type_name::<F>(), self.name.clone(), self.caller);
        let environment = Environment::read().map_err(Failure::NotRun)?;
        let path = match environment.no_regressions {
            true => None,
            false => self.regressions.path(&name),
        };
        let scenario = self.scenario(&name)?;
        let known = path.as_deref().map(SeedFile::read).transpose().map_err(Failure::NotRun)?.unwrap_or_default();
        let jobs = environment.jobs.unwrap_or(self.jobs);
        let (first, rest) = self.all_seeds(&scenario, &environment, &known)?;
        let check = self.check_determinism || environment.check_determinism;
        let trial = Trial { scenario: &scenario, program: &program, name: &name, check };
        trial.all(jobs, &first, rest).map_err(|mut bad| {
            bad.kept = path.and_then(|path| kept(&path, &known, &bad));
            Failure::Seed(bad)
        })
    }

    fn scenario(&self, name: &TestName) -> Result<Scenario, Failure> {
        let read = self.script.read(name.told(), &self.additions);
        let mut scenario = read.map_err(|found| Failure::NotRun(found.to_string()))?;
        for kind in &self.allowed {
            let allowed = || AnomalyExpectation { kind: *kind, count: Count::ANY, cause: None, permitted: None };
            scenario.expect.anomalies.push(allowed());
            if let Some(fix) = &mut scenario.fix {
                fix.1.expect.anomalies.push(allowed());
            }
        }
        Ok(scenario)
    }

    /// Those that have failed before, and the others.
    fn all_seeds(
        &self,
        scenario: &Scenario,
        environment: &Environment,
        known: &SeedFile,
    ) -> Result<(Vec<u64>, Range<u64>), Failure> {
        let own = self.seeds.clone().unwrap_or(scenario.seeds.test.clone());
        let asked = environment.seeds(own.start).map_err(Failure::NotRun)?;
        let mut first = match environment.seed {
            Some(_) => Vec::new(),
            None => known.seeds.clone(),
        };
        if self.seeds.is_none() && asked.is_none() {
            first.extend(&scenario.seeds.regression);
        }
        Ok((first, asked.unwrap_or(own)))
    }
}

/// Puts a failing seed into the file, and says what became of that.
fn kept(path: &PathBuf, known: &SeedFile, bad: &BadSeed) -> Option<String> {
    let shown = std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok().map(PathBuf::from));
    let shown = shown.as_ref().unwrap_or(path).display();
    if known.seeds.contains(&bad.seed) {
        return Some(format!("it is in {shown}"));
    }
    Some(match known.keep(path, &bad.test, bad.seed, &bad.what.in_short()) {
        Ok(()) => format!("in {shown}: it runs first from now on; commit that file"),
        Err(error) => format!("nowhere: {error} (ACKPROOF_REGRESSIONS=off where sources cannot be written)"),
    })
}

/// A test's code with its scenario.
struct Trial<'a, F> {
    scenario: &'a Scenario,
    program: &'a F,
    name: &'a TestName,
    check: bool,
}

impl<F, R> Trial<'_, F>
where
    F: Fn(Cluster) -> R + Sync,
    R: Future,
    R::Output: Ending,
{
    fn all(&self, jobs: NonZeroUsize, first: &[u64], rest: Range<u64>) -> Result<Passed, Box<BadSeed>> {
        let total = first.len() as u64 + (rest.end.saturating_sub(rest.start));
        let mut passed = Passed { seeds: 0 };
        let mut bad = self.some(jobs, first, &mut passed);
        let mut next = rest.start;
        while bad.is_none() && next < rest.end {
            let end = rest.end.min(next.saturating_add(CHUNK));
            let chunk: Vec<u64> = (next..end).collect();
            bad = self.some(jobs, &chunk, &mut passed);
            next = end;
        }
        match bad {
            None => Ok(passed),
            Some(bad) => {
                Err(Box::new(BadSeed { held: passed.seeds, not_run: total.saturating_sub(passed.seeds + 1), ..*bad }))
            }
        }
    }

    /// Runs some seeds up to the first that goes wrong.
    fn some(&self, jobs: NonZeroUsize, seeds: &[u64], passed: &mut Passed) -> Option<Box<BadSeed>> {
        let seeds: Vec<(u64, u64)> = (0..).zip(seeds.iter().copied()).collect();
        // What comes after a bad seed is of no interest any more.
        let first_bad = AtomicU64::new(u64::MAX);
        let run = |(place, seed): &(u64, u64)| {
            if *place > first_bad.load(Ordering::Relaxed) {
                return None;
            }
            let found = self.one(*seed);
            if found.is_some() {
                first_bad.fetch_min(*place, Ordering::Relaxed);
            }
            found
        };
        let mut bad = None;
        let stopped = in_order(jobs, &seeds, run, |_, found| match found {
            None => {
                passed.seeds += 1;
                Ok(())
            }
            Some(found) => {
                bad = Some(found);
                Err(std::io::ErrorKind::Interrupted.into())
            }
        });
        debug_assert_eq!(stopped.is_err(), bad.is_some(), "nothing else stops it");
        bad
    }

    fn one(&self, seed: u64) -> Option<Box<BadSeed>> {
        let host = Hosted::new(self.program, self.name);
        let options = Options { check_determinism: self.check, ..Options::default() };
        let run = match runner::run_by(&host, self.scenario, seed, options) {
            Ok(run) => run,
            Err(difference) => {
                return Some(self.bad(seed, Wrong::NotDeterministic(self.difference(&difference)), String::new()));
            }
        };
        let failed = host.take_failure();
        if failed.is_none() && run.standing == Standing::AsExpected {
            return None;
        }
        // Once more, for the whole story.
        let options = Options { keep_trace: true, chronicle: true, ..Options::default() };
        let told = runner::run_by(&host, self.scenario, seed, options);
        let story = told.map(|run| human(self.scenario, &run, false, &PlainText)).unwrap_or_default();
        let wrong = match (failed, run.standing) {
            (Some(message), _) => Wrong::Program(message),
            (None, Standing::NotAsExpected(lines)) => Wrong::NotAsExpected(lines),
            (None, Standing::Inconclusive(lines)) => Wrong::Untested(lines),
            (None, Standing::AsExpected) => unreachable!("that is not wrong"),
        };
        Some(self.bad(seed, wrong, story))
    }

    fn bad(&self, seed: u64, what: Wrong, story: String) -> Box<BadSeed> {
        let replay = match &what {
            Wrong::NotDeterministic(_) => format!("MADSIM_TEST_CHECK_DETERMINISM=1 {}", self.name.replay(seed)),
            Wrong::NotAsExpected(_) | Wrong::Untested(_) | Wrong::Program(_) => self.name.replay(seed),
        };
        let test = self.name.told().to_owned();
        Box::new(BadSeed { test, seed, what, story, replay, kept: None, held: 0, not_run: 0 })
    }

    fn difference(&self, difference: &runner::Difference) -> String {
        if *difference == (runner::Difference { first: None, second: None }) {
            return "  the cluster saw the same of both; the test's own tasks took another course\n".to_owned();
        }
        both_sides(self.scenario, difference)
    }
}

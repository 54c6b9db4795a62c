//! Worlds by the thousand: drawn, run, judged; failures put together by what went wrong.
//!
//! Worlds are drawn in generations. Half of each is drawn afresh, half bred from earlier worlds that reached states of the
//! protocol nobody had seen. What a world is depends on the generations before it and never on how many threads ran them.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ackproof_core::fact::{Event, Observer};
use ackproof_core::types::{Duration, Instant};
use ackproof_reports::{Judge, Kind};
use ackproof_sim::World;

use super::coverage::{Coverage, Watcher};
use super::dice::Dice;
use super::draw::{Basis, Parts, draw};
use super::survive::Budget;
use crate::contract::contract;
use crate::form::Form;
use crate::parallel::in_order;
use crate::runner;
use crate::scenario::Scenario;
use crate::signature::Signature;

/// So many worlds are drawn from what is known at one time.
const GENERATION: u64 = 64;
/// Worlds are bred from the newest so many that showed something new.
const STOCK: usize = 256;
/// So many worlds of each failure are named.
const NAMED: usize = 10;

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// What no configuration permits.
    #[default]
    Forbidden,
    /// Everything that went wrong, permitted or not.
    Any,
    /// These kinds.
    Kinds(Vec<Kind>),
}

impl Wanted {
    fn is(&self, signature: Signature) -> bool {
        match (self, signature) {
            (Wanted::Any, _) => true,
            (Wanted::Forbidden, signature) => signature.is_forbidden(),
            (Wanted::Kinds(kinds), Signature::Anomaly { kind, .. }) => kinds.contains(&kind),
            (Wanted::Kinds(_), Signature::Broken(_)) => false,
        }
    }
}

/// A campaign.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// What all worlds have in common.
    pub basis: Basis,
    /// What they must survive; without, anything is drawn.
    pub budget: Option<Budget>,
    /// What is looked for.
    pub wanted: Wanted,
    /// Whether worlds are bred from those that showed something new.
    pub guided: bool,
    /// It ends after so many worlds that showed nothing new.
    pub quiet_after: Option<u64>,
}

/// One way in which worlds failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// In how many worlds.
    pub times: u64,
    /// The first of them: their seeds, and those of their parts.
    pub worlds: Vec<(u64, Parts)>,
}

impl Failure {
    /// The first world that failed so.
    pub fn first(&self) -> (u64, Parts) {
        self.worlds.first().copied().unwrap_or((0, Parts::fresh(0)))
    }
}

/// What a campaign has come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Worlds that were run.
    pub worlds: u64,
    /// Events handled in them.
    pub events: u64,
    /// Virtual time passed in them.
    pub sim_time: Duration,
    /// Pairs of states that were seen.
    pub coverage: u32,
    /// Worlds since the last new pair.
    pub quiet: u64,
    /// What went wrong and was wanted.
    pub failures: BTreeMap<Signature, Failure>,
    /// Worlds whose program broke: the seed, its parts, what it said.
    pub panics: Vec<(u64, Parts, String)>,
}

/// One world, run.
struct Outcome {
    parts: Parts,
    events: u64,
    sim_time: Duration,
    coverage: Coverage,
    signatures: Vec<Signature>,
    panic: Option<String>,
}

impl Campaign {
    /// Runs the worlds of these seeds, all with the same parts if there are any. After each one `look` may end it.
    pub fn run(
        &self,
        seeds: Range<u64>,
        jobs: NonZeroUsize,
        parts: Option<Parts>,
        look: &mut dyn FnMut(&Report) -> ControlFlow<()>,
    ) -> io::Result<Report> {
        let mut report = Report::default();
        let mut seen = Coverage::default();
        let mut stock: Vec<Parts> = Vec::new();
        let mut next = seeds.start;
        while next < seeds.end {
            let generation = next..seeds.end.min(next.saturating_add(GENERATION));
            next = generation.end;
            let tasks: Vec<(u64, Parts)> =
                generation.map(|seed| (seed, parts.unwrap_or_else(|| self.parts(seed, &stock)))).collect();
            let mut over = false;
            let done = in_order(
                jobs,
                &tasks,
                |(seed, parts)| self.world(*seed, *parts),
                |place, outcome| {
                    let new = seen.add(&outcome.coverage);
                    report.quiet = if new > 0 { 0 } else { report.quiet + 1 };
                    report.coverage += new;
                    if new > 0 {
                        stock.push(outcome.parts);
                    }
                    report.take(tasks[place].0, outcome);
                    over = look(&report).is_break() || self.quiet_after.is_some_and(|after| report.quiet >= after);
                    // An error is how this loop is left early.
                    if over { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
                },
            );
            match done {
                Err(_) if over => break,
                done => done?,
            }
            stock.drain(..stock.len().saturating_sub(STOCK));
        }
        Ok(report)
    }

    fn parts(&self, seed: u64, stock: &[Parts]) -> Parts {
        let mut dice = Dice::new(seed, "parents");
        if self.guided && !stock.is_empty() && dice.chance(1, 2) {
            dice.pick(stock).bred(seed)
        } else {
            Parts::fresh(seed)
        }
    }

    /// The plan of a world.
    pub fn form(&self, parts: Parts) -> Form {
        draw(parts, &self.basis, self.budget.as_ref())
    }

    fn world(&self, seed: u64, parts: Parts) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| self.judged(seed, parts))).unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
            Outcome { panic: Some(said.unwrap_or_else(|| "no word".into())), ..Outcome::nothing(parts) }
        })
    }

    fn judged(&self, seed: u64, parts: Parts) -> Outcome {
        let place = self.basis.place("drawn.toml");
        let scenario = match self.form(parts).understand(&place) {
            Ok(scenario) => scenario,
            // Of a given scenario some plans are impossible; of a drawn one none should be.
            Err(found) => {
                let panic = matches!(self.basis, Basis::Nothing).then(|| format!("not a scenario: {found}"));
                return Outcome { panic, ..Outcome::nothing(parts) };
            }
        };
        let mut watch = Watch { judge: Judge::new(contract(&scenario)), watcher: Watcher::default() };
        let mut world = World::new(Arc::new(scenario.plan(seed)));
        world.run(&mut watch);
        let judgement = watch.judge.finish();
        let mut signatures: Vec<Signature> = Signature::all(&judgement).into_iter().collect();
        if !signatures.is_empty() {
            signatures = explained(&scenario, seed);
        }
        signatures.retain(|signature| self.wanted.is(*signature));
        Outcome {
            parts,
            events: world.events(),
            sim_time: world.now().since(Instant::START),
            coverage: watch.watcher.coverage,
            signatures,
            panic: None,
        }
    }
}

/// What went wrong, with its causes: the same run again, with its trace.
pub fn explained(scenario: &Scenario, seed: u64) -> Vec<Signature> {
    Signature::all(&runner::explained(scenario, seed).judgement).into_iter().collect()
}

/// Takes the facts of one world.
struct Watch {
    judge: Judge,
    watcher: Watcher,
}

impl Observer for Watch {
    fn observe(&mut self, event: &Event) {
        self.judge.observe(event);
        self.watcher.observe(event);
    }
}

impl Outcome {
    fn nothing(parts: Parts) -> Self {
        let (coverage, sim_time) = (Coverage::default(), Duration::ZERO);
        Self { parts, events: 0, sim_time, coverage, signatures: Vec::new(), panic: None }
    }
}

impl Report {
    fn take(&mut self, seed: u64, outcome: Outcome) {
        self.worlds += 1;
        self.events += outcome.events;
        self.sim_time = Duration(self.sim_time.0.saturating_add(outcome.sim_time.0));
        for signature in outcome.signatures {
            let failure = self.failures.entry(signature).or_insert(Failure { times: 0, worlds: Vec::new() });
            failure.times += 1;
            if failure.worlds.len() < NAMED {
                failure.worlds.push((seed, outcome.parts));
            }
        }
        if let Some(panic) = outcome.panic {
            self.panics.push((seed, outcome.parts, panic));
        }
    }
}

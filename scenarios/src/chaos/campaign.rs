//! Worlds by the thousand: drawn, run, judged; failures put together by what went wrong.
//!
//! Worlds are drawn in generations. Half of each is drawn afresh, half bred from earlier worlds that reached states of the
//! protocol nobody had seen. What a world is depends on the generations before it and never on how many threads ran them.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use ackproof_core::fact::{Event, Observer};
use ackproof_core::types::{Duration, Instant};
use ackproof_reports::{Judge, Judgement, Kind};
use ackproof_sim::World;
use ackproof_sim::faults::StepState;

use super::coverage::{Coverage, Watcher};
use super::dice::Dice;
use super::draw::{Basis, Parts, draw};
use super::keep::Worlds;
use super::survive::Budget;
use super::tally::{Plan, Report, WorldId, WorldResult};
use super::tested::faults;
use super::toggle::Toggle;
use crate::contract::contract;
use crate::form::Form;
use crate::guard::caught;
use crate::interrupt;
use crate::library::Place;
use crate::parallel::in_order;
use crate::runner;
use crate::scenario::Scenario;
use crate::signature::Signature;

/// So many worlds are drawn from what is known at one time.
const GENERATION: u64 = 64;
/// A longer world is not run again to be explained: a trace takes a kibibyte for each event. The mean is 5,000; what is beyond this goes round in
/// circles, like an application that sends again for ever.
const EXPLAINED_MAX: u64 = 500_000;
/// Worlds are bred from the newest so many that showed something new.
const STOCK: usize = 256;

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
    /// Whether it is looked for.
    pub fn is(&self, signature: Signature) -> bool {
        match (self, signature) {
            (Wanted::Any, _) => true,
            (Wanted::Forbidden, signature) => signature.is_forbidden(),
            (Wanted::Kinds(kinds), Signature::Anomaly { kind, .. }) => kinds.contains(&kind),
            (Wanted::Kinds(_), Signature::Broken(_)) => false,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Forbidden => f.write_str("forbidden"),
            Wanted::Any => f.write_str("any"),
            Wanted::Kinds(kinds) => f.write_str(&kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",")),
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
    /// Historical fixes that are switched off or on in all worlds.
    pub toggles: Vec<Toggle>,
    /// What is looked for.
    pub wanted: Wanted,
    /// Whether worlds are bred from those that showed something new.
    pub guided: bool,
    /// It ends after so many worlds that showed nothing new.
    pub quiet_after: Option<u64>,
}

/// One world, run.
#[derive(Default)]
pub(super) struct Outcome {
    events: u64,
    sim_time: Duration,
    coverage: Coverage,
    signatures: Vec<Signature>,
    permitted: bool,
    unexplained: bool,
    panic: Option<String>,
    /// Whether every fault of its plan happened and did something, and it is known what came of it.
    pub happened: bool,
}

impl Campaign {
    /// Runs the worlds of these seeds, all with the same parts if there are any. After each one `look` may end it.
    pub fn run(
        &self,
        seeds: Range<u64>,
        jobs: NonZeroUsize,
        parts: Option<Parts>,
        look: &mut dyn FnMut(&Report, &WorldResult) -> ControlFlow<()>,
    ) -> io::Result<Report> {
        let mut report = Report::default();
        let mut seen = Coverage::default();
        let mut stock: Vec<Parts> = Vec::new();
        let mut next = seeds.start;
        while next < seeds.end && !interrupt::is_asked() {
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
                    let (seed, parts) = tasks[place];
                    let world = outcome.result(WorldId { seed, plan: Plan::Drawn(parts) }, &mut seen);
                    if !world.new.is_empty() {
                        stock.push(parts);
                    }
                    report.take(&world);
                    let is_quiet = self.quiet_after.is_some_and(|after| report.quiet >= after);
                    over = look(&report, &world).is_break() || is_quiet || interrupt::is_asked();
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
    pub fn drawn(&self, parts: Parts) -> Form {
        let mut form = draw(parts, &self.basis, self.budget.as_ref());
        for toggle in &self.toggles {
            toggle.set(&mut form);
        }
        form
    }

    pub(super) fn world(&self, seed: u64, parts: Parts) -> Outcome {
        caught(|| self.judged(seed, parts)).unwrap_or_else(|said| Outcome { panic: Some(said), ..Outcome::default() })
    }

    fn judged(&self, seed: u64, parts: Parts) -> Outcome {
        let place = self.basis.place("drawn.toml");
        let form = self.drawn(parts);
        let scenario = match form.understand(&place) {
            Ok(scenario) => scenario,
            // Of a given scenario some plans are impossible; of a drawn one none should be.
            Err(found) => {
                let panic = matches!(self.basis, Basis::Nothing).then(|| format!("not a scenario: {found}"));
                return Outcome { panic, ..Outcome::default() };
            }
        };
        let mut watch = Watch { judge: Judge::new(contract(&scenario)), watcher: Watcher::default() };
        let mut world = World::new(Arc::new(scenario.plan(seed)));
        world.run(&mut watch);
        let judgement = watch.judge.finish();
        let happened = !Signature::all(&judgement).is_empty();
        let unexplained = happened && world.events() > EXPLAINED_MAX;
        let mut signatures = Vec::new();
        if happened && !unexplained {
            signatures = explained(&scenario, seed);
            signatures.retain(|signature| self.wanted.is(*signature));
        }
        Outcome {
            events: world.events(),
            sim_time: world.now().since(Instant::START),
            coverage: watch.watcher.coverage,
            permitted: happened && !unexplained && signatures.is_empty(),
            signatures,
            unexplained,
            panic: None,
            happened: !unexplained && everything_happened(&form, &world, &judgement),
        }
    }
}

/// Whether every fault of a plan happened and did something.
fn everything_happened(form: &Form, world: &World, judgement: &Judgement) -> bool {
    let idle = |place: usize| judgement.idle_faults.iter().any(|idle| u32::try_from(place + 1) == Ok(idle.fault));
    let has_begun = |place: usize| matches!(world.faults().state(place), StepState::InForce | StepState::Over);
    faults(form).into_iter().all(|place| has_begun(place) && !idle(place))
}

impl Worlds for Campaign {
    fn form(&self, world: WorldId) -> Form {
        match world.plan {
            Plan::Drawn(parts) => self.drawn(parts),
            // What is swept is another search; nobody asks this one for it.
            Plan::Swept(..) => Form::default(),
        }
    }

    fn place(&self) -> Place {
        self.basis.place("drawn.toml")
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
    pub(super) fn result(self, id: WorldId, seen: &mut Coverage) -> WorldResult {
        let Outcome { events, sim_time, coverage, signatures, permitted, unexplained, panic, .. } = self;
        let new = seen.add(&coverage);
        WorldResult { id, events, sim_time, new, failures: signatures, permitted, unexplained, panic }
    }
}

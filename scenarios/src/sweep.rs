//! The crash at every event: not at some random time, but at each of the moments that a run has.
//!
//! The world of a scenario is stepped event by event. Before each event it is forked once for every broker; in the fork that broker
//! crashes, is back after a while, and the run goes on to its end, judged like any other. For pairs the fork is swept in the
//! same way, so that worlds share their beginnings. Forking is cloning: nothing is run twice.
//!
//! The scenario's own crashes are left out, the one that is swept in takes their place; everything else that it does stays.
//!
//! A world is clean if it came to rest, no invariant was broken and nothing went wrong that the configuration forbids. Where the
//! crash keeps a step from happening that would have healed another fault of the scenario, it need not come to rest.
//! Not modelled: crashes of controllers and of clients.

use std::sync::Arc;

use ackproof_core::fact::Observer;
use ackproof_core::types::{Duration, NodeId};
use ackproof_reports::{Answer, Judge, Judgement, Kind};
use ackproof_sim::faults::{Action, StepState};
use ackproof_sim::world::{Crash, NodeIndex};
use ackproof_sim::{ClientKind, ClusterSpec, Outcome, World};

use crate::contract::contract;
use crate::scenario::Scenario;

/// What is swept through a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// What happens to a broker.
    pub crash: Crash,
    /// After how long it is back.
    pub back_after: Duration,
    /// One crash, or two.
    pub crashes: Crashes,
    /// Only every so many-th event, from the first on.
    pub stride: u64,
    /// Producers send no more records than this: a small world.
    pub records: u64,
}

/// How many crashes a world sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crashes {
    /// One, at every event of the run.
    One,
    /// Two: the first at every event of the run, the second at every event after that.
    Pairs,
}

/// One crash: before which event, of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// So many events had been handled.
    pub events: u64,
    /// The broker.
    pub broker: NodeId,
}

/// A world that was not clean.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The crashes in it.
    pub moments: Vec<Moment>,
    /// What is wrong, a line each.
    pub what: Vec<String>,
}

/// What a sweep has found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The moments of the run at which a crash was tried.
    pub moments: u64,
    /// The worlds that were run to their end.
    pub worlds: u64,
    /// Events handled in all of them, shared beginnings counted once.
    pub events: u64,
    /// Those in which something happened that the configuration permits.
    pub permitted: u64,
    /// The worlds that were not clean.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Adds what another sweep has found.
    pub fn add(&mut self, other: &Report) {
        self.moments += other.moments;
        self.worlds += other.worlds;
        self.events += other.events;
        self.permitted += other.permitted;
        self.findings.extend(other.findings.iter().cloned());
    }
}

/// A world with its judge.
#[derive(Clone)]
struct Fork {
    world: World,
    judge: Judge,
    moments: Vec<Moment>,
}

impl Fork {
    fn step(&mut self) -> bool {
        let Fork { world, judge, .. } = self;
        world.outcome() == Outcome::Running && world.step(judge)
    }

    /// The same world with a crash now.
    fn crashed(&self, victim: NodeIndex, broker: NodeId, sweep: &Sweep) -> Fork {
        let mut fork = self.clone();
        fork.moments.push(Moment { events: self.world.events(), broker });
        let Fork { world, judge, .. } = &mut fork;
        world.crash(victim, sweep.crash, sweep.back_after, judge);
        fork
    }

    /// The brokers that can crash now.
    fn victims(&self) -> Vec<(NodeIndex, NodeId)> {
        let nodes = (0..).zip(self.world.nodes());
        let brokers = nodes.filter(|(_, node)| matches!(node.id, NodeId::Broker(_)) && node.is_alive());
        brokers.map(|(index, node)| (NodeIndex(index), node.id)).collect()
    }
}

/// The scenario's world without its own crashes, and no larger than wanted.
fn plan(scenario: &Scenario, seed: u64, sweep: &Sweep) -> ClusterSpec {
    let mut spec = scenario.plan(seed);
    for client in &mut spec.clients {
        let (ClientKind::Producer(_, workload) | ClientKind::LegacyProducer(_, workload)) = &mut client.kind else {
            continue;
        };
        if let Some(workload) = workload {
            let records = workload.records.min(sweep.records);
            Arc::make_mut(workload).records = records;
        }
    }
    for step in &mut spec.steps {
        let crashes =
            matches!(step.action, Action::Kill(_) | Action::Stop(_) | Action::PowerLoss(..) | Action::Wipe(_));
        if crashes {
            step.action = Action::Mark;
        }
    }
    spec
}

/// Sweeps through a scenario under a seed.
pub fn run(scenario: &Scenario, seed: u64, sweep: &Sweep) -> Report {
    let mut report = Report::default();
    let world = World::new(Arc::new(plan(scenario, seed, sweep)));
    let mut fork = Fork { world, judge: Judge::new(contract(scenario)), moments: Vec::new() };
    while !fork.world.is_ready() && fork.step() {}
    sweep_from(fork, sweep, sweep.crashes, &mut report);
    report
}

/// One world of a sweep, run to its end, for a closer look.
pub fn single(scenario: &Scenario, seed: u64, sweep: &Sweep, moments: &[Moment], observer: &mut dyn Observer) -> bool {
    let mut world = World::new(Arc::new(plan(scenario, seed, sweep)));
    for moment in moments {
        while world.events() < moment.events && world.outcome() == Outcome::Running && world.step(observer) {}
        let Some(victim) = world.find(moment.broker) else { return false };
        world.crash(victim, sweep.crash, sweep.back_after, observer);
    }
    world.run(observer) == Outcome::Quiescent
}

/// Crashes every broker before each event from here on.
fn sweep_from(mut fork: Fork, sweep: &Sweep, crashes: Crashes, report: &mut Report) {
    let before = fork.world.events();
    let mut moments = 0;
    loop {
        if moments % sweep.stride == 0 && fork.world.outcome() == Outcome::Running {
            report.moments += 1;
            for (victim, broker) in fork.victims() {
                let crashed = fork.crashed(victim, broker, sweep);
                match crashes {
                    Crashes::One => finish(crashed, report),
                    Crashes::Pairs => sweep_from(crashed, sweep, Crashes::One, report),
                }
            }
        }
        moments += 1;
        if !fork.step() {
            break;
        }
    }
    report.events += fork.world.events() - before;
    if crashes == Crashes::One && !fork.moments.is_empty() {
        judge(fork, report);
    }
}

fn finish(mut fork: Fork, report: &mut Report) {
    let before = fork.world.events();
    while fork.step() {}
    report.events += fork.world.events() - before;
    judge(fork, report);
}

fn judge(fork: Fork, report: &mut Report) {
    report.worlds += 1;
    let faults = fork.world.faults();
    let heals = |action: &Action| matches!(action, Action::Resume(_) | Action::Start(_) | Action::Heal(_));
    let unhealed = faults.steps().iter().enumerate().any(|(number, step)| match faults.state(number) {
        StepState::InForce => true,
        StepState::Waiting => heals(&step.action),
        _ => false,
    });
    let at_rest = fork.world.outcome() == Outcome::Quiescent;
    let judgement = fork.judge.finish();
    let mut what = complaints(&judgement, if unhealed { Rest::Excused } else { Rest::Due });
    if !at_rest && !unhealed && what.is_empty() {
        what.push("it did not come to rest".to_owned());
    }
    if !what.is_empty() {
        report.findings.push(Finding { moments: fork.moments, what });
    } else if !judgement.anomalies.is_empty() || !judgement.broken.is_empty() {
        report.permitted += 1;
    }
}

/// Whether a world must come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// It must.
    Due,
    /// A fault of the scenario was never healed, because the crash kept the step from happening that would have done it.
    Excused,
}

/// What keeps a world from being clean.
fn complaints(judgement: &Judgement, rest: Rest) -> Vec<String> {
    let breaches = judgement.breaches().map(|broken| format!("{}: {}", broken.invariant, broken.what));
    let waits = |kind| matches!(kind, Kind::Stuck | Kind::Unavailable);
    let anomalies = judgement.anomalies.iter().filter(|anomaly| anomaly.permitted.answer != Answer::Yes);
    let anomalies = anomalies.filter(|anomaly| rest == Rest::Due || !waits(anomaly.kind));
    let mut what: Vec<String> = breaches
        .chain(anomalies.map(|anomaly| {
            let note = anomaly.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
            format!("{}{note}", anomaly.kind)
        }))
        .collect();
    what.dedup();
    what
}

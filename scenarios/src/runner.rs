//! Runs a scenario under a seed: plan, world, judge, and, where something went wrong, the same run again with its trace
//! to find out why, and once more with the fix.

use std::sync::Arc;

use ackproof_core::fact::{Event, Observer};
use ackproof_core::types::Duration;
use ackproof_reports::chronicle::Chronicle;
use ackproof_reports::explain::{KeepsIt, Step};
use ackproof_reports::names::listed;
use ackproof_reports::{Cost, Counterfactual, Digest, Explanation, Fixed, Judge, Judgement, Meter, Story, explain};
use ackproof_sim::faults::StepState;
use ackproof_sim::{Outcome, World};

use crate::contract::{contract, node_names};
use crate::counterfactual;
use crate::expectation::{Standing, explains_doubt};
use crate::log::FactLog;
use crate::scenario::Scenario;

/// Everything that came out of one scenario under one seed.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// What the judge says; causes are filled in.
    pub judgement: Judgement,
    /// The stories of what went wrong.
    pub explanation: Explanation,
    /// Whether it came out as the scenario says.
    pub standing: Standing,
    /// What became of it under the scenario's fix, if something went wrong and there is one.
    pub fix: Option<FixRun>,
    /// The smallest changes that keep the promise, if they were asked for.
    pub counterfactuals: Vec<Counterfactual>,
    /// One number for all facts.
    pub digest: Digest,
    /// How many events the world handled.
    pub events: u64,
    /// How much virtual time passed.
    pub sim_time: Duration,
    /// What happened, in a few lines, and how many more there would be; if it was asked for.
    pub chronicle: Option<(Vec<Step>, usize)>,
    /// The facts, if they were asked for.
    pub trace: Option<Vec<Event>>,
    /// The line that shows it again.
    pub replay: String,
}

/// The same seed under the scenario's fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixRun {
    /// The fix in words.
    pub change: String,
    /// What went wrong all the same; empty if it helps.
    pub anomalies: Vec<String>,
    /// Why nothing follows from it: steps that never happened, nothing that was sent.
    pub untested: Vec<String>,
    /// What it costs.
    pub cost: Cost,
}

impl FixRun {
    /// Whether the fix has been seen to help.
    pub fn helps(&self) -> bool {
        self.anomalies.is_empty() && self.untested.is_empty()
    }

    /// As a report has it.
    pub fn report(&self) -> Fixed {
        Fixed { change: self.change.clone(), helps: self.helps(), cost: self.cost }
    }
}

/// What a run should keep and do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep the facts.
    pub keep_trace: bool,
    /// Run again and compare.
    pub check_determinism: bool,
    /// Say in a few lines what happened.
    pub chronicle: bool,
    /// Look for the smallest change that keeps the promise: some ten to two hundred more runs.
    pub counterfactuals: bool,
}

/// Two runs of the same seed that differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The first event of the first run that the second one does not have at that place.
    pub first: Option<Event>,
    /// What the second run has there.
    pub second: Option<Event>,
}

/// How a scenario is run once, and shown again.
pub(crate) trait Host {
    /// Runs it.
    fn pass(&self, scenario: &Scenario, seed: u64, keep_trace: bool, log: Option<FactLog>) -> Pass;
    /// The line that shows the run again.
    fn replay(&self, scenario: &Scenario, seed: u64) -> String;
}

/// A world alone, with the programs of the file.
struct Alone;

impl Host for Alone {
    fn pass(&self, scenario: &Scenario, seed: u64, keep_trace: bool, log: Option<FactLog>) -> Pass {
        let mut world = World::new(Arc::new(scenario.plan(seed)));
        let mut watch = Watch::new(scenario, keep_trace, log);
        world.run(&mut watch);
        watch.finish(&world)
    }

    fn replay(&self, scenario: &Scenario, seed: u64) -> String {
        replay(scenario, seed)
    }
}

/// Takes the facts of one run.
pub(crate) struct Watch {
    judge: Judge,
    digest: Option<Digest>,
    meter: Option<Meter>,
    log: Option<FactLog>,
    trace: Option<Vec<Event>>,
}

impl Watch {
    /// For one run of a scenario.
    pub fn new(scenario: &Scenario, keep_trace: bool, log: Option<FactLog>) -> Self {
        let trace = keep_trace.then(Vec::new);
        let (digest, meter) = (Some(Digest::new()), Some(Meter::default()));
        Self { judge: Judge::new(contract(scenario)), digest, meter, log, trace }
    }

    /// What it has seen, now that the run is over.
    pub fn finish(self, world: &World) -> Pass {
        Pass {
            judgement: self.judge.finish(),
            digest: self.digest.unwrap_or_default(),
            meter: self.meter.unwrap_or_default(),
            trace: self.trace,
            events: world.events(),
            sim_time: world.now().since(ackproof_core::types::Instant::START),
            idle: idle(world),
            outside: 0,
        }
    }
}

impl Observer for Watch {
    fn observe(&mut self, event: &Event) {
        if let Some(log) = &mut self.log {
            log.observe(event);
        }
        self.judge.observe(event);
        if let Some(digest) = &mut self.digest {
            digest.observe(event);
        }
        if let Some(meter) = &mut self.meter {
            meter.observe(event);
        }
        if let Some(trace) = &mut self.trace {
            trace.push(event.clone());
        }
    }
}

/// One pass through the world.
pub(crate) struct Pass {
    pub judgement: Judgement,
    pub digest: Digest,
    /// What producers got.
    pub meter: Meter,
    pub trace: Option<Vec<Event>>,
    /// How many events the world handled.
    pub events: u64,
    pub sim_time: Duration,
    /// The steps that never happened.
    pub idle: Vec<String>,
    /// One number for what programs outside the world did, if there were any.
    pub outside: u64,
}

impl Pass {
    fn is_same_as(&self, other: &Pass) -> bool {
        self.digest == other.digest && self.outside == other.outside
    }
}

pub(crate) fn pass(scenario: &Scenario, seed: u64, keep_trace: bool) -> Pass {
    Alone.pass(scenario, seed, keep_trace, None)
}

/// Whether a pass is to be compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// Fact by fact, and by what producers got.
    ByFacts,
    /// By what went wrong. The digest is that of nothing; of large records it takes longer than the rest.
    ByVerdict,
}

/// One pass without a trace. None if the world handles more events than that.
pub(crate) fn pass_within(scenario: &Scenario, seed: u64, events_max: u64, compared: Compared) -> Option<Pass> {
    let mut world = World::new(Arc::new(scenario.plan(seed)));
    let mut watch = Watch::new(scenario, false, None);
    if compared == Compared::ByVerdict {
        (watch.digest, watch.meter) = (None, None);
    }
    while world.outcome() == Outcome::Running && world.step(&mut watch) {
        if world.events() > events_max {
            return None;
        }
    }
    Some(watch.finish(&world))
}

/// The steps that never happened. Those that happened and did nothing are found by the judge.
fn idle(world: &World) -> Vec<String> {
    let faults = world.faults();
    let steps = faults.steps().iter().enumerate();
    let never = steps.filter(|(number, _)| faults.state(*number) == StepState::Waiting);
    let mut idle: Vec<String> =
        never.map(|(number, step)| format!("step {} never happened: {}", number + 1, step.name)).collect();
    if world.outcome() == Outcome::Running {
        idle.push("the world had nothing more to do before it was over".to_owned());
    }
    idle
}

/// Runs a scenario. `Err` names the first event that differs, if determinism was to be checked and does not hold.
pub fn run(scenario: &Scenario, seed: u64, options: Options) -> Result<Run, Box<Difference>> {
    run_by(&Alone, scenario, seed, options)
}

/// The same with another host.
pub(crate) fn run_by(
    host: &dyn Host,
    scenario: &Scenario,
    seed: u64,
    options: Options,
) -> Result<Run, Box<Difference>> {
    // What is run again is not said again.
    let log = FactLog::if_heard(|| node_names(scenario));
    let first = host.pass(scenario, seed, options.keep_trace, log);
    let pass_again = |keep_trace| host.pass(scenario, seed, keep_trace, None);
    let wants_trace = options.keep_trace || !first.judgement.anomalies.is_empty();
    let mut pass = match &first.trace {
        Some(_) => first,
        None if wants_trace || options.check_determinism => {
            let again = pass_again(wants_trace);
            if !again.is_same_as(&first) {
                return Err(Box::new(difference(&pass_again)));
            }
            again
        }
        None => first,
    };
    if options.keep_trace && options.check_determinism && !pass_again(false).is_same_as(&pass) {
        return Err(Box::new(difference(&pass_again)));
    }
    let events = pass.trace.take().unwrap_or_default();
    let mut explanation = explain(&mut pass.judgement, &events, &contract(scenario));
    let standing = Standing::of(&scenario.expect, &pass.judgement, &pass.idle);
    let harmless = pass.judgement.anomalies.is_empty() && pass.judgement.broken.is_empty();
    let fix = if harmless { None } else { fixed(host, scenario, seed, &pass.meter) };
    let counterfactuals = match options.counterfactuals {
        true => counterfactual::search(scenario, seed, &pass.judgement, &pass.idle),
        false => Vec::new(),
    };
    let replay = host.replay(scenario, seed);
    for story in &mut explanation.stories {
        story.keeps_it = keeps_it(story, &counterfactuals, fix.as_ref());
        story.replay = Some(replay.clone());
    }
    let chronicle = options.chronicle.then(|| chronicle(scenario, seed, &events));
    Ok(Run {
        seed,
        chronicle,
        standing: with_fix(standing, fix.as_ref()),
        judgement: pass.judgement,
        explanation,
        fix,
        counterfactuals,
        digest: pass.digest,
        events: pass.events,
        sim_time: pass.sim_time,
        trace: options.keep_trace.then_some(events),
        replay,
    })
}

/// What happened, from the facts if they were kept, or from one more run.
fn chronicle(scenario: &Scenario, seed: u64, events: &[Event]) -> (Vec<Step>, usize) {
    let mut chronicle = Chronicle::new();
    if events.is_empty() {
        World::new(Arc::new(scenario.plan(seed))).run(&mut chronicle);
    }
    events.iter().for_each(|event| chronicle.observe(event));
    chronicle.steps()
}

/// What keeps the record of a story: what the search found, or else the scenario's own fix.
fn keeps_it(story: &Story, counterfactuals: &[Counterfactual], fix: Option<&FixRun>) -> Option<KeepsIt> {
    let is_about = |found: &&Counterfactual| found.kind == story.anomaly.kind && found.cause == story.anomaly.cause;
    let searched = counterfactuals.iter().find(is_about);
    if let Some(Counterfactual { change: Some(change), confirmed_seeds, cost, .. }) = searched {
        let seeds = listed(confirmed_seeds.iter().map(u64::to_string).collect());
        let how = format!("same seed, re-run; also seeds {seeds}");
        return Some(KeepsIt { change: change.clone(), how, cost: *cost });
    }
    let tried = searched.map(|searched| searched.tried);
    if let Some(fix) = fix.filter(|fix| fix.helps()) {
        let how = match tried {
            Some(tried) => format!("same seed, re-run; the scenario's own, beside {tried} smaller changes that do not"),
            None => "same seed, re-run".to_owned(),
        };
        return Some(KeepsIt { change: fix.change.clone(), how, cost: Some(fix.cost) });
    }
    let change = "nothing of what was tried".to_owned();
    tried.map(|tried| {
        let how = format!("{tried} changes of up to three settings, same seed, re-run");
        KeepsIt { change, how, cost: None }
    })
}

/// The line that shows a run again.
pub fn replay(scenario: &Scenario, seed: u64) -> String {
    format!("ackproof run {} --seed {seed}", quoted(&scenario.name()))
}

/// As a shell takes it.
pub(crate) fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@".contains(c);
    if name.chars().all(plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

/// A fix that does not help is not as expected; one that was not put to the test proves nothing.
fn with_fix(standing: Standing, fix: Option<&FixRun>) -> Standing {
    let Some(fix) = fix.filter(|fix| !fix.helps()) else { return standing };
    if fix.anomalies.is_empty() {
        let lines = fix.untested.iter().map(|line| format!("with {}: {line}", fix.change));
        return match standing {
            Standing::AsExpected => Standing::Inconclusive(lines.collect()),
            Standing::Inconclusive(known) => Standing::Inconclusive(known.into_iter().chain(lines).collect()),
            Standing::NotAsExpected(_) => standing,
        };
    }
    let line = format!("expected no anomaly with {}; found {}", fix.change, fix.anomalies.join(", "));
    match standing {
        Standing::NotAsExpected(known) => Standing::NotAsExpected(known.into_iter().chain([line]).collect()),
        Standing::AsExpected | Standing::Inconclusive(_) => Standing::NotAsExpected(vec![line]),
    }
}

/// One pass through the world, explained.
pub(crate) struct Explained {
    pub judgement: Judgement,
    pub explanation: Explanation,
    pub events: Vec<Event>,
    /// The steps that never happened.
    pub idle: Vec<String>,
    /// What producers got.
    pub meter: Meter,
}

/// Runs a scenario with its trace, and finds the causes of what went wrong.
pub(crate) fn explained(scenario: &Scenario, seed: u64) -> Explained {
    let Pass { mut judgement, trace, idle, meter, .. } = pass(scenario, seed, true);
    let events = trace.unwrap_or_default();
    let explanation = explain(&mut judgement, &events, &contract(scenario));
    Explained { judgement, explanation, events, idle, meter }
}

/// How a scenario comes out as it is written, and with its fix, whatever came out before.
pub fn tried_both_ways(scenario: &Scenario, seed: u64) -> (Standing, Option<FixRun>) {
    let Explained { judgement, idle, meter, .. } = explained(scenario, seed);
    (Standing::of(&scenario.expect, &judgement, &idle), fixed(&Alone, scenario, seed, &meter))
}

/// The seed under the scenario's fix; without it producers got what `before` says.
fn fixed(host: &dyn Host, scenario: &Scenario, seed: u64, before: &Meter) -> Option<FixRun> {
    let (change, fixed) = &**scenario.fix.as_ref()?;
    let Pass { judgement, idle: mut untested, meter, .. } = host.pass(fixed, seed, false, None);
    let kinds = judgement.kinds().into_iter().filter(|kind| !fixed.expect.mentions(*kind));
    let kinds = kinds.map(|kind| format!("{} {kind}", judgement.of_kind(kind).count()));
    let breaches = judgement.breaches().map(|broken| format!("{} broken: {}", broken.invariant, broken.what));
    let anomalies = kinds.chain(breaches).collect();
    // A fault that happened and met nothing to do may be what the fix is about.
    let counts = |doubt: &&String| !doubt.starts_with("fault ") && !explains_doubt(&fixed.expect, &judgement, doubt);
    untested.extend(judgement.doubts.iter().filter(counts).cloned());
    Some(FixRun { change: change.clone(), anomalies, untested, cost: Cost::of(before, &meter) })
}

/// Runs twice more, with traces, to name the first event that differs.
fn difference(pass: &dyn Fn(bool) -> Pass) -> Difference {
    let trace = || pass(true).trace.unwrap_or_default();
    let (one, other) = (trace(), trace());
    let place = one.iter().zip(&other).position(|(one, other)| one != other).unwrap_or(one.len().min(other.len()));
    Difference { first: one.get(place).cloned(), second: other.get(place).cloned() }
}

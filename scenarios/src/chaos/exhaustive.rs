//! Every moment of a small world: not some random time, but each event that a run has.
//!
//! The world of a scenario is stepped event by event. Before each event it is forked, once for every broker and every kind of fault; in
//! the fork the fault happens, ends after a while, and the run goes on to its end, judged like any other. For two faults the fork is swept
//! in the same way, so that worlds share their beginnings. Forking is cloning: nothing is run twice.
//!
//! What happens in a fork can be written as steps with `before-event`, so every world is a scenario file, and whatever goes wrong in one
//! is kept, made small and merged as what random worlds show. That it goes wrong in its file too is looked at.
//!
//! The scenario's own crashes and pauses are left out, the swept faults take their place; everything else that it does stays. Where a fault keeps
//! a step from happening that would have healed another one, the world need not come to rest.
//! Not modelled: faults of controllers and clients; links cut in one direction, or to some nodes only; torn writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::str::FromStr;
use std::sync::Arc;

use ackproof_core::types::{Instant, NodeId};
use ackproof_reports::{Judge, Judgement, Kind};
use ackproof_sim::faults::{Action, Step, StepState, Trigger};
use ackproof_sim::{Outcome, World};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::campaign::Wanted;
use super::keep::Worlds;
use super::seeds::Seeds;
use super::survive::Class;
use super::tally::{Plan, Report, Swept, WorldId, WorldResult};
use crate::contract::contract;
use crate::diagnostics::{Diagnostic, Diagnostics, Source};
use crate::form::{Form, table, text};
use crate::guard::caught;
use crate::interrupt;
use crate::library::Place;
use crate::parallel::in_order;
use crate::runner::{Explained, explained};
use crate::scenario::Scenario;
use crate::shrink;
use crate::signature::Signature;

/// So many moments are one task: its worker steps up to them once.
const TASK: u64 = 16;

/// What happens to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Its process is killed; the page cache stays.
    Kill,
    /// Its machine loses power, and all that was not synced.
    PowerLoss,
    /// It stands still.
    Pause,
    /// Nothing reaches it, and it reaches nobody.
    Cut,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 4] = [Fault::Kill, Fault::PowerLoss, Fault::Pause, Fault::Cut];

    /// Its name where worlds are named.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::PowerLoss => "power-loss",
            Fault::Pause => "pause",
            Fault::Cut => "cut",
        }
    }

    /// That of a class, if it can be swept.
    pub fn of(class: Class) -> Option<Fault> {
        match class {
            Class::ProcessCrash => Some(Fault::Kill),
            Class::MachinePowerLoss => Some(Fault::PowerLoss),
            Class::Pause => Some(Fault::Pause),
            Class::Partition => Some(Fault::Cut),
            _ => None,
        }
    }
}

/// One fault: before which event, which, of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blow {
    /// So many events had been handled.
    pub event: u64,
    /// What happens.
    pub fault: Fault,
    /// To which broker.
    pub broker: i32,
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.event, self.fault.name(), self.broker)
    }
}

impl FromStr for Blow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let blow = match parts[..] {
            [event, fault, broker] => Fault::ALL
                .into_iter()
                .find(|known| known.name() == fault)
                .and_then(|fault| Some(Blow { event: event.parse().ok()?, fault, broker: broker.parse().ok()? })),
            _ => None,
        };
        blow.ok_or_else(|| format!("`{text}`: write event:fault:broker, like 151:kill:1"))
    }
}

/// How far a sweep goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// How many faults a world has at most: 1 or 2.
    pub faults: u32,
    /// After how long each ends.
    pub lasts_ms: u64,
    /// Only every so many-th event, from the first on.
    pub stride: u64,
    /// Producers send no more records than that.
    pub records: u64,
}

impl Bounds {
    /// What no world of the sweep has in it.
    pub fn left_out(&self) -> String {
        let mut left_out = vec!["faults of the controller and of clients".to_owned()];
        left_out.push(format!("faults that end sooner or later than after {}ms", self.lasts_ms));
        if self.stride > 1 {
            left_out.push(format!("{} of {} events", self.stride - 1, self.stride));
        }
        left_out.push(format!(
            "more than {} record{} of a producer",
            self.records,
            if self.records == 1 { "" } else { "s" }
        ));
        left_out.push(format!(
            "more than {} fault{} in one world",
            self.faults,
            if self.faults == 1 { "" } else { "s" }
        ));
        left_out.join(", ")
    }
}

/// A sweep through a scenario.
#[derive(Clone, Debug)]
pub struct Exhaustive {
    /// The scenario without its own crashes, and no larger than wanted.
    form: Form,
    place: Place,
    /// What happens to brokers, with how often one world may have it.
    pub faults: Vec<(Fault, u32)>,
    /// How far it goes.
    pub bounds: Bounds,
    /// What is looked for.
    pub wanted: Wanted,
}

impl Exhaustive {
    /// A sweep through a scenario.
    pub fn new(form: &Form, place: &Place, faults: Vec<(Fault, u32)>, bounds: Bounds) -> Result<Self, Diagnostics> {
        let form = shrink::with_files(&without_crashes(&smaller(form, bounds.records)), place);
        form.understand(place)?;
        Ok(Self { form, place: place.clone(), faults, bounds, wanted: Wanted::Forbidden })
    }

    /// The scenario as it is swept.
    pub fn text(&self) -> String {
        self.form.text()
    }

    /// The moments of a run: the events from when the cluster is ready on.
    pub fn moments(&self, seed: u64) -> Result<Range<u64>, Diagnostics> {
        let mut fork = Fork::begin(&self.form.understand(&self.place())?, seed);
        while !fork.world.is_ready() && fork.step() {}
        let start = fork.world.events();
        while fork.step() {}
        Ok(start..fork.world.events())
    }

    /// Runs the worlds whose first fault is at one of these moments. After each world `look` may end it.
    pub fn run(
        &self,
        seed: u64,
        moments: Range<u64>,
        jobs: NonZeroUsize,
        report: &mut Report,
        look: &mut dyn FnMut(&Report, &WorldResult) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let wrong = |found: Diagnostics| io::Error::other(found.to_string());
        let all = self.moments(seed).map_err(wrong)?;
        let scenario = self.form.understand(&self.place()).map_err(wrong)?;
        let steps = self.steps(&scenario, seed).map_err(wrong)?;
        let length = if self.bounds.faults > 1 { 1 } else { TASK };
        let starts = (moments.start..moments.end).step_by(usize::try_from(length).unwrap_or(1));
        let tasks: Vec<Range<u64>> = starts.map(|start| start..moments.end.min(start + length)).collect();
        let mut over = false;
        let done = in_order(
            jobs,
            &tasks,
            |moments| {
                let mut sweep = Sweep { asked: self, steps: &steps, seed, first: all.start, worlds: Vec::new() };
                sweep.moments(Fork::begin(&scenario, seed), moments.clone());
                sweep.worlds.sort_by_key(|world| world.id);
                sweep.worlds
            },
            |place, worlds| {
                for world in worlds {
                    report.take(&world);
                    over = look(report, &world).is_break();
                    if over {
                        // An error is how this loop is left early.
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                }
                // These moments were perhaps not swept to their end.
                over = interrupt::is_asked();
                if over {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                report.sweep(seed, &Swept { events: Seeds::of(tasks[place].clone()), of: Seeds::of(all.clone()) });
                Ok(())
            },
        );
        if over { Ok(()) } else { done }
    }

    /// One world, run as its file says. An error if a fault of it never came: there is no such event.
    pub fn world(&self, id: WorldId) -> Result<WorldResult, Diagnostics> {
        let mut fork = Fork::begin(&self.form(id).understand(&self.place())?, id.seed);
        while fork.step() {}
        let events = fork.world.events();
        if let Plan::Swept(first, second) = id.plan
            && fork.panic.is_none()
            && let Some(blow) = std::iter::once(first).chain(second).find(|blow| blow.event >= events)
        {
            let message = format!(
                "there is no event {} under seed {}: the run ends with event {}",
                blow.event,
                id.seed,
                events.saturating_sub(1)
            );
            return Err(Diagnostic::about_file(&Source::new(format!("--parts {}", id.plan), ""), message).into());
        }
        Ok(self.judge(fork, id))
    }

    /// Each fault of each broker as a step, as its file would mean it.
    fn steps(&self, scenario: &Scenario, seed: u64) -> Result<BTreeMap<(Fault, i32), Step>, Diagnostics> {
        let mut steps = BTreeMap::new();
        for (fault, _) in &self.faults {
            for broker in scenario.cluster.brokers.iter().map(|config| config.broker_id) {
                let plan = Plan::Swept(Blow { event: 0, fault: *fault, broker }, None);
                let file = self.form(WorldId { seed, plan }).understand(&self.place())?;
                steps.extend(file.plan(seed).steps.pop().map(|step| ((*fault, broker), step)));
            }
        }
        Ok(steps)
    }

    /// What became of a world that is over.
    fn judge(&self, fork: Fork, id: WorldId) -> WorldResult {
        let Fork { world, judge, panic, .. } = fork;
        let Plan::Swept(first, _) = id.plan else { return WorldResult::nothing(id) };
        let mut result = WorldResult {
            events: world.events().saturating_sub(first.event),
            sim_time: world.now().since(Instant::START),
            panic,
            ..WorldResult::nothing(id)
        };
        if result.panic.is_some() {
            return result;
        }
        let judgement = judge.finish();
        let found = Signature::all(&judgement);
        if !found.is_empty() {
            match self.again(id, &judgement) {
                Ok(found) => {
                    let may_wait = is_unhealed(&world);
                    let counts = |found: &Signature| self.wanted.is(*found) && !(may_wait && waits(*found));
                    result.failures = found.iter().copied().filter(counts).collect();
                    result.permitted = result.failures.is_empty();
                }
                Err(said) => result.panic = Some(said),
            }
        } else if world.outcome() != Outcome::Quiescent && !is_unhealed(&world) {
            result.panic = Some("it did not come to rest, and nobody said why".to_owned());
        }
        result
    }

    /// What went wrong, with its causes: the same world from its file, with a trace. That it is the same is looked at.
    fn again(&self, id: WorldId, judgement: &Judgement) -> Result<BTreeSet<Signature>, String> {
        let scenario = self.form(id).understand(&self.place()).map_err(|found| format!("not a scenario: {found}"))?;
        let Explained { judgement: again, .. } = caught(|| explained(&scenario, id.seed))?;
        if (again.counts, again.events) == (judgement.counts, judgement.events) {
            Ok(Signature::all(&again))
        } else {
            Err("the world that was forked and its file differ".to_owned())
        }
    }
}

impl Worlds for Exhaustive {
    fn form(&self, world: WorldId) -> Form {
        let mut form = self.form.clone();
        if let Plan::Swept(first, second) = world.plan {
            let lasts = self.bounds.lasts_ms;
            let steps = std::iter::once(first).chain(second).map(|blow| Value::Table(written(blow, lasts)));
            form.sections_mut("step").extend(steps);
        }
        form
    }

    fn place(&self) -> Place {
        self.place.sibling("swept.toml")
    }
}

fn name(blow: Blow) -> String {
    format!("{} of broker {} before event {}", blow.fault.name(), blow.broker, blow.event)
}

/// A fault as a step of a file.
fn written(blow: Blow, lasts_ms: u64) -> Table {
    let broker = text(format!("broker {}", blow.broker));
    let (action, what) = match blow.fault {
        Fault::Kill => ("kill", broker),
        Fault::Pause => ("pause", broker),
        Fault::PowerLoss => ("power-loss", Value::Table(table([("nodes", broker), ("keep", text("nothing"))]))),
        Fault::Cut => {
            let others = ["all brokers", "controller", "all clients"];
            let others = Value::Array(others.into_iter().map(text).collect());
            ("cut", Value::Table(table([("from", broker), ("to", others)])))
        }
    };
    let event = Value::Integer(i64::try_from(blow.event).unwrap_or(i64::MAX));
    table([("name", text(name(blow))), ("before-event", event), (action, what), ("for", text(format!("{lasts_ms}ms")))])
}

/// The form with no producer that sends more than that, and nothing expected of it.
fn smaller(form: &Form, records: u64) -> Form {
    let mut form = form.clone();
    let most = i64::try_from(records).unwrap_or(i64::MAX);
    if form.0.contains_key("producer") {
        for producer in form.sections_mut("producer").iter_mut().filter_map(Value::as_table_mut) {
            if let Some(Value::Integer(records)) = producer.get_mut("records") {
                *records = most.min(*records);
            }
        }
    }
    for key in ["fix", "mutation", "seeds", "story", "catalog"] {
        form.0.remove(key);
    }
    form.0.insert("expect".into(), Value::Table(table([("clean", Value::Boolean(true))])));
    form
}

/// The form without steps that crash or pause something, and what depends on them.
fn without_crashes(form: &Form) -> Form {
    let crashes =
        |step: &Table| ["kill", "stop", "power-loss", "wipe", "pause"].iter().any(|key| step.contains_key(*key));
    let steps = form.sections("step").enumerate().filter(|(_, step)| crashes(step));
    let steps: BTreeSet<usize> = steps.map(|(place, _)| place).collect();
    if steps.is_empty() { form.clone() } else { shrink::without_steps(form, &steps) }
}

/// A world with its judge.
#[derive(Clone)]
struct Fork {
    world: World,
    judge: Judge,
    blows: Option<(Blow, Option<Blow>)>,
    /// What the program said when it broke: nothing more happens in it.
    panic: Option<String>,
}

impl Fork {
    fn begin(scenario: &Scenario, seed: u64) -> Self {
        let world = World::new(Arc::new(scenario.plan(seed)));
        Self { world, judge: Judge::new(contract(scenario)), blows: None, panic: None }
    }

    fn step(&mut self) -> bool {
        if self.panic.is_some() || self.world.outcome() != Outcome::Running {
            return false;
        }
        let Fork { world, judge, panic, .. } = self;
        caught(|| world.step(judge)).unwrap_or_else(|said| {
            *panic = Some(said);
            false
        })
    }

    /// The same world with a fault now.
    fn struck(&self, blow: Blow, step: &Step) -> Fork {
        let mut fork = self.clone();
        fork.blows = Some(self.blows.map_or((blow, None), |(first, _)| (first, Some(blow))));
        let step = Step { name: name(blow), trigger: Trigger::Event(blow.event), ..step.clone() };
        let Fork { world, judge, panic, .. } = &mut fork;
        *panic = caught(|| world.inject(step, judge)).err();
        fork
    }

    /// The brokers that something can be done to.
    fn victims(&self) -> Vec<i32> {
        let alive = self.world.nodes().iter().filter(|node| node.is_alive());
        alive.filter_map(|node| if let NodeId::Broker(broker) = node.id { Some(broker) } else { None }).collect()
    }
}

struct Sweep<'a> {
    asked: &'a Exhaustive,
    steps: &'a BTreeMap<(Fault, i32), Step>,
    seed: u64,
    /// The first moment of the run, from which every so many-th counts.
    first: u64,
    worlds: Vec<WorldResult>,
}

impl Sweep<'_> {
    /// The worlds whose first fault is at one of these moments.
    fn moments(&mut self, mut fork: Fork, moments: Range<u64>) {
        while fork.world.events() < moments.start && fork.step() {}
        while fork.world.events() < moments.end && fork.world.outcome() == Outcome::Running && !interrupt::is_asked() {
            if (fork.world.events() - self.first).is_multiple_of(self.asked.bounds.stride) {
                self.strike(&fork);
            }
            if !fork.step() {
                break;
            }
        }
    }

    fn strike(&mut self, fork: &Fork) {
        let event = fork.world.events();
        for broker in fork.victims() {
            for (fault, times) in &self.asked.faults {
                let Some(step) = self.steps.get(&(*fault, broker)) else { continue };
                let blow = Blow { event, fault: *fault, broker };
                match fork.blows {
                    None if self.asked.bounds.faults > 1 => self.strike_again(fork.struck(blow, step)),
                    Some((first, _)) if first.fault == *fault && *times < 2 => {}
                    None | Some(_) => self.finish(fork.struck(blow, step)),
                }
            }
        }
    }

    /// A world with one fault, and those with a second one at a moment after it.
    fn strike_again(&mut self, mut fork: Fork) {
        let mut moments = 0u64;
        loop {
            if moments.is_multiple_of(self.asked.bounds.stride) && fork.world.outcome() == Outcome::Running {
                self.strike(&fork);
            }
            moments += 1;
            if interrupt::is_asked() {
                return;
            }
            if !fork.step() {
                break;
            }
        }
        self.finish(fork);
    }

    fn finish(&mut self, mut fork: Fork) {
        while fork.step() {}
        if let Some((first, second)) = fork.blows {
            let id = WorldId { seed: self.seed, plan: Plan::Swept(first, second) };
            self.worlds.push(self.asked.judge(fork, id));
        }
    }
}

/// Whether something is to be expected where a fault never ends.
fn waits(found: Signature) -> bool {
    matches!(found, Signature::Anomaly { kind: Kind::Stuck | Kind::Unavailable, .. })
}

/// Whether a fault is in force for ever, because the step that would have ended it never happened.
fn is_unhealed(world: &World) -> bool {
    let faults = world.faults();
    let heals = |action: &Action| matches!(action, Action::Resume(_) | Action::Start(_) | Action::Heal(_));
    faults.steps().iter().enumerate().any(|(number, step)| match faults.state(number) {
        StepState::InForce => true,
        StepState::Waiting => heals(&step.action),
        StepState::Scheduled | StepState::Over => false,
    })
}

//! The smallest change of configuration under which the same seed keeps the promise, found by re-running.
//!
//! One setting after the other is changed, then two at once, then three, each time on the seed that went wrong. A change
//! is taken if every step of the scenario still happens and still does something, if none of the records in question goes
//! wrong that way any more, if nothing else goes wrong instead, and if no fewer records are kept. It must then do as well
//! under a few more seeds of the scenario, and, where other worlds are known in which the same went wrong, in those
//! (`elsewhere.rs`); nine of ten are enough. If no change helps in as many it is the one that helps in most, and it is said
//! in how many. Fewer settings win; among equally many the cheaper ones (`knobs.rs`). Settings that only make the cluster see a failure later come last, alone and together
//! with others: how long faults last is drawn, and what is longer than one of them keeps nothing.
//!
//! Which pairs and triples are tried is bounded: settings that helped a little or had to be refused alone go first, those
//! that changed nothing at all alone are left out.

pub mod elsewhere;
mod knobs;

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::types::RecordId;
use ackproof_reports::{Anomaly, Cause, Cost, Counterfactual, Judgement, Kind, Meter};

use crate::contract::contract;
use crate::document::Fix;
use crate::guard::caught;
use crate::runner::{Compared, Pass, pass_within};
use crate::scenario::{Scenario, fix::in_words};
use elsewhere::{Confirmed, Elsewhere};
use knobs::Knob;

/// How many changes are tried at most, besides those of one setting.
const COMBINATIONS_MAX: usize = 120;
/// And of those that have a setting of the last resort.
const LATE_COMBINATIONS_MAX: usize = 40;
/// How many events the worlds of one search handle at most: large scenarios are tried less often.
const EVENTS_MAX: u64 = 40_000_000;
/// A change may make a world handle so many times the events that it handled without, and not fewer than these.
const LONGER: u64 = 10;
const EVENTS_LEAST: u64 = 100_000;
/// How many settings one change has at most.
const SETTINGS_MAX: usize = 3;
/// Under how many more seeds a change must do as well.
const SEEDS_MORE: usize = 3;

/// Looks for a change for every kind and cause of anomaly that a run showed.
pub fn search(scenario: &Scenario, seed: u64, judgement: &Judgement, idle: &[String]) -> Vec<Counterfactual> {
    changes(scenario, seed, judgement, idle, None).found.into_iter().map(|change| change.found).collect()
}

/// What a search has found, each change as a file would say it too.
pub(crate) struct Changes {
    pub found: Vec<Change>,
    /// How many worlds it took.
    pub worlds: u64,
    /// How many events they handled.
    pub events: u64,
}

/// What keeps one kind and cause away, if anything does.
pub(crate) struct Change {
    pub found: Counterfactual,
    /// As a file would say it.
    pub fix: Option<Fix>,
    /// Where else it helped.
    pub elsewhere: Option<Confirmed>,
}

/// Looks for a change for every kind and cause of anomaly that a run showed.
pub(crate) fn changes(
    scenario: &Scenario,
    seed: u64,
    judgement: &Judgement,
    idle: &[String],
    elsewhere: Option<&Elsewhere>,
) -> Changes {
    let mut targets: Vec<Target> = Vec::new();
    for anomaly in &judgement.anomalies {
        match targets.iter_mut().find(|target| target.kind == anomaly.kind && target.cause == anomaly.cause) {
            Some(target) => target.add(anomaly),
            None => targets.push(Target::new(anomaly)),
        }
    }
    let base = Course::of(judgement, idle, Meter::default());
    let (seeds, is_bug) = (more_seeds(scenario, seed), judgement.has_forbidden());
    let mut search = Search {
        scenario,
        seed,
        base,
        targets,
        tried: 0,
        seeds,
        bases: BTreeMap::new(),
        is_bug,
        events: 0,
        events_max: u64::MAX,
        worlds: 0,
        elsewhere,
        bases_elsewhere: BTreeMap::new(),
    };
    search.run();
    let found = search.targets.into_iter().map(|target| target.into_change(search.tried)).collect();
    Changes { found, worlds: search.worlds, events: search.events }
}

/// The anomalies of one kind and cause, and what keeps them away.
struct Target {
    kind: Kind,
    cause: Option<Cause>,
    records: BTreeSet<RecordId>,
    times: u64,
    found: Option<Found>,
    /// What helps most, if nothing helps everywhere.
    best: Option<Found>,
}

/// A change that keeps anomalies away.
struct Found {
    change: Fix,
    words: String,
    /// The other seeds under which it does as well.
    seeds: Vec<u64>,
    /// How many changes had been tried by then.
    tried: usize,
    /// What it costs under all these seeds.
    cost: Cost,
    elsewhere: Option<Confirmed>,
}

impl Found {
    fn kept(&self) -> u64 {
        self.elsewhere.map_or(0, |elsewhere| elsewhere.kept)
    }
}

impl Target {
    fn new(anomaly: &Anomaly) -> Self {
        let (kind, cause) = (anomaly.kind, anomaly.cause);
        let mut target = Self { kind, cause, records: BTreeSet::new(), times: 0, found: None, best: None };
        target.add(anomaly);
        target
    }

    fn add(&mut self, anomaly: &Anomaly) {
        self.times += 1;
        self.records.extend(anomaly.record);
    }

    /// How many of this kind may be left: those that went wrong for another reason.
    fn may_remain(&self, base: &Course) -> u64 {
        base.times(self.kind).saturating_sub(self.times)
    }

    /// Takes a change that helps. One that does not help everywhere is kept until there is a better one.
    fn take(&mut self, found: Found) {
        if found.elsewhere.is_none_or(Confirmed::is_enough) {
            self.found = Some(found);
        } else if self.best.as_ref().is_none_or(|best| best.kept() < found.kept()) {
            self.best = Some(found);
        }
    }

    /// Is content with what helps in most worlds.
    fn settle(&mut self) {
        let helps_mostly = |found: &mut Found| found.elsewhere.is_some_and(|there| 2 * there.kept > there.of);
        if self.found.is_none() {
            self.found = self.best.take_if(helps_mostly);
        }
    }

    fn into_change(self, tried: usize) -> Change {
        let Self { kind, cause, found, best, .. } = self;
        match found.or(best) {
            Some(Found { change, words, seeds, tried, cost, elsewhere }) => {
                let (words, cost) = (Some(words), Some(cost));
                let found = Counterfactual { kind, cause, change: words, confirmed_seeds: seeds, tried, cost };
                Change { found, fix: Some(change), elsewhere }
            }
            None => {
                let found =
                    Counterfactual { kind, cause, change: None, confirmed_seeds: Vec::new(), tried, cost: None };
                Change { found, fix: None, elsewhere: None }
            }
        }
    }
}

/// What matters of a run.
#[derive(Clone, Debug)]
struct Course {
    anomalies: BTreeMap<Kind, u64>,
    wronged: BTreeSet<(Kind, RecordId)>,
    /// How many records were promised and are there.
    kept: u64,
    /// What did not happen, or met nothing to do.
    untested: BTreeSet<String>,
    /// What producers got.
    meter: Meter,
}

impl Course {
    fn of(judgement: &Judgement, idle: &[String], meter: Meter) -> Self {
        let mut anomalies = BTreeMap::new();
        for anomaly in &judgement.anomalies {
            *anomalies.entry(anomaly.kind).or_default() += 1;
        }
        let counts = &judgement.counts;
        Self {
            anomalies,
            wronged: judgement.anomalies.iter().filter_map(|anomaly| Some((anomaly.kind, anomaly.record?))).collect(),
            kept: counts.acknowledged.saturating_sub(counts.lost + counts.dropped),
            untested: idle.iter().chain(&judgement.doubts).cloned().collect(),
            meter,
        }
    }

    fn times(&self, kind: Kind) -> u64 {
        self.anomalies.get(&kind).copied().unwrap_or(0)
    }

    /// Whether everything happened that happened before, and nothing else went wrong.
    fn is_no_worse_than(&self, base: &Course) -> bool {
        self.untested.is_subset(&base.untested)
            && self.kept >= base.kept
            && self.anomalies.iter().all(|(kind, times)| *times <= base.times(*kind))
    }

    fn is_free_of(&self, target: &Target, may_remain: u64) -> bool {
        self.times(target.kind) <= may_remain
            && !target.records.iter().any(|record| self.wronged.contains(&(target.kind, *record)))
    }
}

/// What a change did, tried alone.
enum Alone {
    /// Nothing: not a fact was different, or it was so already.
    Nothing,
    /// The configuration is impossible without something else.
    Impossible,
    /// Something; how many of the anomalies in question were left.
    Something(u64),
}

struct Search<'a> {
    scenario: &'a Scenario,
    seed: u64,
    base: Course,
    targets: Vec<Target>,
    tried: usize,
    seeds: Vec<u64>,
    /// What the other seeds show without a change.
    bases: BTreeMap<u64, Course>,
    /// Whether something happened that the configuration forbids.
    is_bug: bool,
    /// How many events were handled.
    events: u64,
    /// How many a world may handle.
    events_max: u64,
    /// In how many worlds.
    worlds: u64,
    elsewhere: Option<&'a Elsewhere>,
    /// What other worlds show without a change, by their places; none if they take too long.
    bases_elsewhere: BTreeMap<usize, Option<Course>>,
}

impl Search<'_> {
    fn run(&mut self) {
        let Some(plain) = self.pass(self.scenario, self.seed) else { return };
        self.events_max = plain.events.saturating_mul(LONGER).max(EVENTS_LEAST);
        self.base.meter = plain.meter.clone();
        let spec = format!("{:?}", self.scenario.plan(self.seed));
        let (late, others): (Vec<Knob>, Vec<Knob>) =
            knobs::of(self.scenario, self.is_bug).into_iter().partition(Knob::is_late);
        let mut pool: Vec<(Knob, bool)> = Vec::new();
        for (knobs, combinations_max) in [(others, COMBINATIONS_MAX), (late, LATE_COMBINATIONS_MAX)] {
            let is_new = |knob: &Knob| knobs.contains(knob);
            for knob in &knobs {
                if self.is_over() {
                    return;
                }
                match self.alone(*knob, &plain, &spec) {
                    Alone::Nothing => {}
                    Alone::Impossible => pool.push((*knob, false)),
                    Alone::Something(left) => pool.push((*knob, left < self.in_question())),
                }
            }
            // Those that helped go first.
            pool.sort_by_key(|(knob, helped)| (!helped, knob.cost));
            self.together(&pool, is_new, combinations_max);
            // What helps in most of the other worlds is better than what is only longer than a fault.
            self.targets.iter_mut().for_each(Target::settle);
        }
    }

    /// Tries two and three settings at once, at least one of which has not been tried so before.
    fn together(&mut self, pool: &[(Knob, bool)], is_new: impl Fn(&Knob) -> bool, most: usize) {
        let mut left = most;
        for size in 2..=SETTINGS_MAX {
            let mut combinations = combinations(pool, size);
            combinations.retain(|knobs| knobs.iter().any(&is_new));
            // Half of the tries are for pairs.
            combinations.truncate(if size == SETTINGS_MAX { left } else { left / 2 });
            for knobs in combinations {
                if self.is_over() {
                    return;
                }
                left = left.saturating_sub(usize::from(self.attempt(&knobs, None).is_some()));
            }
        }
    }

    fn is_over(&self) -> bool {
        let most = self.elsewhere.map_or(EVENTS_MAX, |elsewhere| elsewhere.events_max.min(EVENTS_MAX));
        self.events > most || self.targets.iter().all(|target| target.found.is_some())
    }

    /// How many anomalies nothing was found against yet.
    fn in_question(&self) -> u64 {
        self.targets.iter().filter(|target| target.found.is_none()).map(|target| target.times).sum()
    }

    fn alone(&mut self, knob: Knob, plain: &Pass, spec: &str) -> Alone {
        let Ok(changed) = self.scenario.with(&knobs::change(&[knob])) else { return Alone::Impossible };
        if format!("{:?}", changed.plan(self.seed)) == spec {
            return Alone::Nothing;
        }
        match self.attempt(&[knob], Some(plain)) {
            Some(left) => Alone::Something(left),
            // No fact is different, and yet something else is promised: what a sink does to a second delivery, say, matters only
            // together with what makes it one.
            None if contract(&changed).consumers != contract(self.scenario).consumers => {
                Alone::Something(self.in_question())
            }
            None => Alone::Nothing,
        }
    }

    /// Runs the seed with a change, and notes for whom it is the one. None if it is impossible, or not a fact is different.
    fn attempt(&mut self, knobs: &[Knob], plain: Option<&Pass>) -> Option<u64> {
        let change = knobs::change(knobs);
        let changed = self.scenario.with(&change).ok()?;
        self.tried += 1;
        let tried = self.pass(&changed, self.seed)?;
        if plain.is_some_and(|plain| plain.digest == tried.digest && plain.judgement == tried.judgement) {
            return None;
        }
        let course = Course::of(&tried.judgement, &tried.idle, tried.meter);
        let open = self.targets.iter().filter(|target| target.found.is_none());
        let left = open.map(|target| course.times(target.kind).min(target.times)).sum();
        if course.is_no_worse_than(&self.base) {
            for target in 0..self.targets.len() {
                let of = &self.targets[target];
                let helps = of.found.is_none() && course.is_free_of(of, of.may_remain(&self.base));
                if let Some(cost) = helps.then(|| self.confirm(target, &changed, &course)).flatten() {
                    let words = in_words(&change) + &implied(self.scenario, &changed, knobs);
                    let elsewhere = self.elsewhere(self.targets[target].kind, &change);
                    let (change, tried, seeds) = (change.clone(), self.tried, self.seeds.clone());
                    self.targets[target].take(Found { change, words, seeds, tried, cost, elsewhere });
                }
            }
        }
        Some(left)
    }

    /// Runs a world. None if that takes too long, or the program breaks.
    fn pass(&mut self, scenario: &Scenario, seed: u64) -> Option<Pass> {
        self.worlds += 1;
        let pass = caught(|| pass_within(scenario, seed, self.events_max, Compared::ByFacts)).ok().flatten();
        self.events += pass.as_ref().map_or(self.events_max.min(EVENTS_MAX), |pass| pass.events);
        pass
    }

    fn course(&mut self, scenario: &Scenario, seed: u64) -> Option<Course> {
        let pass = self.pass(scenario, seed)?;
        Some(Course::of(&pass.judgement, &pass.idle, pass.meter))
    }

    /// What a change costs that comes out like this under the seed, if it does as well under all the others.
    fn confirm(&mut self, target: usize, changed: &Scenario, course: &Course) -> Option<Cost> {
        let (mut before, mut after) = (self.base.meter.clone(), course.meter.clone());
        for seed in self.seeds.clone() {
            let base = match self.bases.get(&seed) {
                Some(known) => known.clone(),
                None => self.course(self.scenario, seed)?,
            };
            self.bases.insert(seed, base.clone());
            let course = self.course(changed, seed)?;
            let target = &self.targets[target];
            let may_remain = target.may_remain(&self.base);
            if !course.is_no_worse_than(&base) || course.times(target.kind) > may_remain {
                return None;
            }
            before.add(&base.meter);
            after.add(&course.meter);
        }
        Some(Cost::of(&before, &after))
    }
}

/// What the client makes of a change besides: idempotence asks for `acks=all`.
fn implied(before: &Scenario, after: &Scenario, knobs: &[Knob]) -> String {
    let names = |name: &str| knobs.iter().any(|knob| knob.name() == name);
    let (before, after) = (contract(before), contract(after));
    for (before, after) in before.producers.iter().zip(&after.producers) {
        if before.acks != after.acks && !names("acks") && !names("request.required.acks") {
            let acks = if after.acks == -1 { "all".to_owned() } else { after.acks.to_string() };
            return format!(", and with it acks={acks}");
        }
        if !before.idempotence && after.idempotence && !names("enable.idempotence") {
            return ", and with it enable.idempotence=true".to_owned();
        }
    }
    String::new()
}

/// A few more seeds: those of the scenario's own tests, and the next ones if these are not enough.
fn more_seeds(scenario: &Scenario, seed: u64) -> Vec<u64> {
    let own = scenario.seeds.all().filter(|other| *other != seed);
    let next = (1..).map(|more| seed.wrapping_add(more)).take(SEEDS_MORE);
    let mut seeds: Vec<u64> = Vec::new();
    for seed in own.chain(next) {
        if seeds.len() < SEEDS_MORE && !seeds.contains(&seed) {
            seeds.push(seed);
        }
    }
    seeds
}

/// All choices of so many settings, each turned once: those with more of what helped first, then the cheaper ones.
fn combinations(pool: &[(Knob, bool)], size: usize) -> Vec<Vec<Knob>> {
    let mut chosen: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..size {
        let longer = chosen.iter().flat_map(|some| {
            let next = some.last().map_or(0, |last| last + 1);
            let fits = move |place: &usize| some.iter().all(|other| pool[*other].0.name() != pool[*place].0.name());
            (next..pool.len()).filter(fits).map(move |place| some.iter().copied().chain([place]).collect())
        });
        chosen = longer.collect();
    }
    chosen.sort_by_cached_key(|places: &Vec<usize>| {
        let unhelpful = places.iter().filter(|place| !pool[**place].1).count();
        let cost: u32 = places.iter().map(|place| pool[*place].0.cost).sum();
        (unhelpful, cost)
    });
    chosen.into_iter().map(|places| places.into_iter().map(|place| pool[place].0).collect()).collect()
}

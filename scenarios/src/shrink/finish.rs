//! The smallest form as a file of the library: title, story, seeds, expectation, and the fix if there is one.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_reports::Counterfactual;
use toml::{Table, Value};

use super::search::Search;
use super::size::Size;
use super::trial::{self, Trial};
use super::{Shrunk, story};
use crate::counterfactual::elsewhere::Elsewhere;
use crate::counterfactual::{self, Changes};
use crate::expectation::Standing;
use crate::form::Form;
use crate::guard::caught;
use crate::runner::{self, Options};
use crate::scenario::{Scenario, fix};
use crate::signature::{self, Signature};

/// Under these seeds it is looked whether the result shows the same.
const SEEDS: std::ops::Range<u64> = 0..20;
/// A file names no more test seeds than this.
const TESTS_MAX: usize = 4;

/// Writes the file, from the seed that people try first if it shows the same.
pub(super) fn finish(mut search: Search<'_>, original: &Form, cut_short: bool) -> Shrunk {
    let shown = shown_by(&mut search);
    let seed = if shown.contains_key(&0) { 0 } else { search.seed };
    let target = search.target;
    let elsewhere = elsewhere(&mut search, seed, &shown);
    let trial = shown.get(&seed).unwrap_or(&search.trial);
    let changes = counterfactual::changes(&trial.scenario, seed, &trial.judgement, &trial.untested, elsewhere.as_ref());
    search.worlds += changes.worlds;
    search.events = search.events.saturating_add(changes.events);
    let tests = tests(seed, &shown);
    let trials: Vec<&Trial> = tests.iter().filter_map(|seed| shown.get(seed)).collect();
    let trials = if trials.is_empty() { vec![trial] } else { trials };
    let mut candidates = Vec::new();
    for (tests, trials) in [(&tests[..], &trials[..]), (&tests[..1], &trials[..1])] {
        for fix in fixes(target, original, &changes) {
            candidates.push((written(&search.best, tests, target, trials, fix), tests.to_vec()));
        }
    }
    let mut doubts = Vec::new();
    let mut chosen = None;
    for (form, tests) in candidates {
        // A run, the same with its trace, and one with the fix.
        search.worlds += tests.len() as u64 * if form.0.contains_key("fix") { 3 } else { 2 };
        let found = complaints(&form, &search, &tests);
        let is_sound = found.is_empty();
        // The last candidate is the plainest: if even that is not as expected, its reasons are told.
        (doubts, chosen) = (found, Some(form));
        if is_sound {
            break;
        }
    }
    let mut form = chosen.unwrap_or_else(|| search.best.clone());
    if let Some(change) = prevention(&form, original, &search, &changes) {
        let story = form.0.get("story").and_then(Value::as_str).unwrap_or_default();
        let story = story::with_prevention(story, &change);
        form.0.insert("story".into(), Value::String(story));
    }
    let change = changes.found.into_iter().find(|change| is_about(&change.found, target));
    let (change, elsewhere) = change.map_or((None, None), |change| (Some(change.found), change.elsewhere));
    Shrunk {
        change,
        elsewhere,
        events: search.events,
        to: Size::of(&form),
        form,
        seed,
        signature: target,
        from: Size::of(original),
        worlds: search.worlds,
        cut_short,
        shown_by: shown.into_keys().filter(|seed| SEEDS.contains(seed)).collect(),
        doubts,
    }
}

/// Where else the fix is tried, if anybody asks: other worlds in which the same goes wrong, and this one under other seeds.
fn elsewhere(search: &mut Search<'_>, seed: u64, shown: &BTreeMap<u64, Trial>) -> Option<Elsewhere> {
    let most = search.beyond.confirm;
    let mut worlds = std::mem::take(&mut search.beyond.others);
    let same = shown.iter().filter(|(other, _)| **other != seed).map(|(seed, trial)| (trial.scenario.clone(), *seed));
    worlds.extend(same);
    worlds.truncate(most);
    let events_max = search.beyond.events.saturating_sub(search.events);
    (most > 0).then_some(Elsewhere { signature: search.target, worlds, events_max })
}

/// What there is when somebody interrupts: the smallest so far, and nothing looked for beside it.
pub(super) fn as_it_is(search: &Search<'_>, original: &Form) -> Shrunk {
    let form = file(&search.best, search.seed, search.target, &search.trial);
    Shrunk {
        change: None,
        elsewhere: None,
        events: search.events,
        to: Size::of(&form),
        form,
        seed: search.seed,
        signature: search.target,
        from: Size::of(original),
        worlds: search.worlds,
        cut_short: true,
        shown_by: Vec::new(),
        doubts: Vec::new(),
    }
}

/// The seeds that show the same, with how they do.
fn shown_by(search: &mut Search<'_>) -> BTreeMap<u64, Trial> {
    let mut shown = BTreeMap::from([(search.seed, search.trial.clone())]);
    let own = search.seed;
    for seed in SEEDS.filter(|seed| *seed != own) {
        if search.is_exhausted() {
            break;
        }
        let (trial, worlds) = trial::run(&search.trial.scenario, seed, search.target, search.events_max());
        search.count(worlds);
        if let Some(trial) = trial.filter(|trial| search.is_as_good(trial)) {
            shown.insert(seed, trial);
        }
    }
    shown
}

/// The seed and the next ones, as long as they show the same.
fn tests(seed: u64, shown: &BTreeMap<u64, Trial>) -> Vec<u64> {
    let next = (0..).map_while(|more| seed.checked_add(more)).take_while(|seed| shown.contains_key(seed));
    let tests: Vec<u64> = next.take(TESTS_MAX).collect();
    if tests.is_empty() { vec![seed] } else { tests }
}

/// What is not as expected about a file under its own seeds.
fn complaints(form: &Form, search: &Search<'_>, tests: &[u64]) -> Vec<String> {
    let scenario = match form.understand(search.place) {
        Ok(scenario) => scenario,
        Err(found) => return vec![found.to_string()],
    };
    tests.iter().flat_map(|seed| not_as_expected(&scenario, *seed)).collect()
}

fn not_as_expected(scenario: &Scenario, seed: u64) -> Vec<String> {
    match caught(|| runner::run(scenario, seed, Options::default()).map(|run| run.standing)) {
        Ok(Ok(Standing::AsExpected)) => Vec::new(),
        Ok(Ok(standing)) => standing.reasons().to_vec(),
        Ok(Err(_)) => vec![format!("seed {seed} differs from itself")],
        Err(said) => vec![format!("the program breaks under seed {seed}: {said}")],
    }
}

/// What prevents it, in words: what the search found for the target, unless the file has another fix.
fn prevention(form: &Form, original: &Form, search: &Search<'_>, changes: &Changes) -> Option<String> {
    let found = changes.found.iter().find(|change| is_about(&change.found, search.target));
    let change = |fix: &Table| found.is_some_and(|change| change.fix.as_ref().map(fix::as_table).as_ref() == Some(fix));
    match form.0.get("fix").and_then(Value::as_table) {
        Some(fix) if !change(fix) => form.understand(search.place).ok()?.fix.map(|fix| fix.0),
        None if is_known_bug(search.target, original) => None,
        Some(_) | None => found?.found.change.clone(),
    }
}

fn is_about(found: &Counterfactual, target: Signature) -> bool {
    match target {
        Signature::Broken(_) => false,
        Signature::Anomaly { kind, cause, .. } => found.kind == kind && found.cause == cause,
    }
}

/// Whether the author of the failure has said which fix a bug lacks: whatever else helps only works round it.
fn is_known_bug(target: Signature, original: &Form) -> bool {
    target.is_forbidden() && fix_of(original).is_some()
}

/// What `[fix]` may say, the best first: the author's own, unless a part of it does; what keeps the target away; what keeps
/// everything away; nothing.
fn fixes(target: Signature, original: &Form, changes: &Changes) -> Vec<Option<Table>> {
    let tables =
        || changes.found.iter().filter_map(|change| Some((&change.found, fix::as_table(change.fix.as_ref()?))));
    let own = tables().find(|(found, _)| is_about(found, target)).map(|(_, table)| table);
    let mut all = Table::new();
    tables().for_each(|(_, table)| merge(&mut all, table));
    let written = fix_of(original);
    if is_known_bug(target, original) {
        return vec![written, None];
    }
    let (mut first, mut second) = (written, own);
    if let (Some(written), Some(own)) = (&first, &second)
        && is_part(own, written)
    {
        std::mem::swap(&mut first, &mut second);
    }
    let mut fixes: Vec<Option<Table>> =
        [first, second, (!all.is_empty()).then_some(all)].into_iter().flatten().map(Some).collect();
    fixes.dedup();
    fixes.push(None);
    fixes
}

/// What the author of the failure says that helps.
fn fix_of(original: &Form) -> Option<Table> {
    let Some(Value::Table(mutation)) = original.0.get("mutation") else {
        return original.0.get("fix").and_then(Value::as_table).cloned();
    };
    let toggle = mutation.get("toggle").and_then(Value::as_str)?.to_owned();
    let on = mutation.get("on").cloned().unwrap_or(Value::Boolean(true));
    let table = |key: &str, value: Value| Table::from_iter([(key.to_owned(), value)]);
    let toggles = Value::Table(table(&toggle, on));
    Some(table("cluster", Value::Table(table("toggles", toggles))))
}

/// Whether a change is a part of another one.
fn is_part(part: &Table, whole: &Table) -> bool {
    part.iter().all(|(key, value)| match (value, whole.get(key)) {
        (Value::Table(part), Some(Value::Table(whole))) => is_part(part, whole),
        (value, other) => other == Some(value),
    })
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(known)), Value::Table(more)) => merge(known, more),
            (Some(_), _) => {}
            (None, value) => drop(into.insert(key, value)),
        }
    }
}

/// A file that can be run, before anything is known of fixes and other seeds.
pub(super) fn file(form: &Form, seed: u64, target: Signature, trial: &Trial) -> Form {
    written(form, &[seed], target, &[trial], None)
}

fn written(form: &Form, tests: &[u64], target: Signature, trials: &[&Trial], fix: Option<Table>) -> Form {
    let mut form = form.clone();
    let first = tests.first().copied().unwrap_or(0);
    let last = tests.last().copied().unwrap_or(first);
    let range = last.checked_add(1).map_or(first.to_string(), |end| format!("{first}..{end}"));
    form.0.insert("seeds".into(), Value::Table(Table::from_iter([("test".to_owned(), Value::String(range))])));
    form.0.insert("expect".into(), Value::Table(expectation(target, trials)));
    if let Some(trial) = trials.first() {
        form.0.insert("title".into(), Value::String(story::title(target)));
        form.0.insert("story".into(), Value::String(story::story(target, trial)));
    }
    match fix {
        Some(fix) => drop(form.0.insert("fix".into(), Value::Table(fix))),
        None => drop(form.0.remove("fix")),
    }
    form
}

/// Everything that was found: what every seed shows must occur, the rest may.
fn expectation(target: Signature, trials: &[&Trial]) -> Table {
    let all: BTreeSet<Signature> = trials.iter().flat_map(|trial| trial.signatures.iter().copied()).collect();
    let always = |found: &Signature| trials.iter().all(|trial| trial.signatures.contains(found));
    let mut ordered: Vec<Signature> = all.into_iter().collect();
    ordered.sort_by_key(|found| *found != target);
    signature::expectation(ordered.into_iter().map(|found| (found, always(&found))))
}

//! Fewer steps: chunks of them, then single ones with all that depends on them.
//!
//! What came after a step that is gone comes after that step's own trigger instead. What heals it, names the nodes that it
//! happened to, or rolls back to it goes with it.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::actions::with_step;
use super::nodes;
use super::search::{Search, Wanted};
use super::times;
use super::trial::Happenings;
use crate::form::Form;

pub(super) fn run(search: &mut Search<'_>) {
    idle(search);
    search.thin_out(count, |form, start, end| without(form, &(start..end).collect()));
    search.try_all(Wanted::Smaller, |search| {
        let form = &search.best;
        (0..count(form)).rev().map(|step| without(form, &with_followers(form, step))).collect()
    });
    search.try_all(Wanted::Smaller, |search| merged(&search.best, &search.trial.happenings()));
}

fn count(form: &Form) -> usize {
    form.sections("step").count()
}

/// Steps that never happened or did nothing, all at once. Of ends and marks it is not known.
fn idle(search: &mut Search<'_>) {
    let times = search.trial.happenings().began;
    let is_silent = |step: &Table| step.contains_key("heal") || step.contains_key("mark");
    let all = search.best.sections("step").enumerate();
    let never = all.filter(|(place, step)| !times.contains_key(place) && !is_silent(step)).map(|(place, _)| place);
    let idle =
        search.trial.judgement.idle_faults.iter().filter_map(|idle| usize::try_from(idle.fault).ok()?.checked_sub(1));
    let never: BTreeSet<usize> = never.chain(idle).collect();
    if !never.is_empty() {
        search.accept(without(&search.best, &never));
    }
}

fn text<'a>(step: &'a Table, key: &str) -> Option<&'a str> {
    step.get(key).and_then(Value::as_str)
}

/// The names of these steps.
fn names(form: &Form, steps: &BTreeSet<usize>) -> BTreeSet<String> {
    let all = form.sections("step").enumerate();
    all.filter(|(place, _)| steps.contains(place))
        .filter_map(|(_, step)| Some(text(step, "name")?.to_owned()))
        .collect()
}

/// These steps, and those that make no sense without them.
fn with_dependents(form: &Form, steps: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut gone = steps.clone();
    loop {
        let names = names(form, &gone);
        let all = || form.sections("step").enumerate();
        let bound: BTreeSet<&str> =
            all().filter(|(place, _)| gone.contains(place)).filter_map(|(_, step)| text(step, "as")).collect();
        let depends = |step: &Table| {
            let rollback = step.get("rollback").and_then(|rollback| rollback.get("to")).and_then(Value::as_str);
            let refers = [text(step, "heal"), rollback].into_iter().flatten().any(|name| names.contains(name));
            refers || bound.iter().any(|name| nodes::mentions(step, name))
        };
        let more: Vec<usize> =
            all().filter(|(place, step)| !gone.contains(place) && depends(step)).map(|(place, _)| place).collect();
        if more.is_empty() {
            return gone;
        }
        gone.extend(more);
    }
}

/// A step, and everything that comes after it.
fn with_followers(form: &Form, step: usize) -> BTreeSet<usize> {
    let mut gone = BTreeSet::from([step]);
    loop {
        let names = names(form, &gone);
        let follows = |step: &Table| text(step, "after").is_some_and(|after| names.contains(after));
        let all = form.sections("step").enumerate();
        let followers: Vec<usize> =
            all.filter(|(place, step)| !gone.contains(place) && follows(step)).map(|(place, _)| place).collect();
        if followers.is_empty() {
            return gone;
        }
        gone.extend(followers);
    }
}

/// The form without these steps and what depends on them.
pub(crate) fn without(form: &Form, steps: &BTreeSet<usize>) -> Form {
    let gone = with_dependents(form, steps);
    let all: Vec<Table> = form.sections("step").cloned().collect();
    let mut form = form.clone();
    let left = all.iter().enumerate().filter(|(place, _)| !gone.contains(place));
    let left: Vec<Value> = left.map(|(_, step)| Value::Table(rewired(step, &all, &gone))).collect();
    if left.is_empty() {
        form.0.remove("step");
    } else {
        *form.sections_mut("step") = left;
    }
    form
}

/// The step with the trigger of the one before, as long as that one is gone.
fn rewired(step: &Table, all: &[Table], gone: &BTreeSet<usize>) -> Table {
    let mut step = step.clone();
    // A chain is no longer than the steps that there are; whoever writes a ring of them gets it back.
    for _ in 0..all.len() {
        let Some(after) = text(&step, "after") else { break };
        let place = all.iter().position(|other| text(other, "name") == Some(after));
        let Some(before) = place.filter(|place| gone.contains(place)).map(|place| &all[place]) else { break };
        take_over(&mut step, before);
    }
    step
}

/// Puts a step in the place of the one that it came after.
fn take_over(step: &mut Table, before: &Table) {
    step.remove("after");
    let own_fact = step.contains_key("when");
    if let Some(after) = before.get("after") {
        step.insert("after".into(), after.clone());
    }
    if own_fact {
        // It waits for its own fact; how long the other one waited no longer matters.
        return;
    }
    let waits = [text(before, "wait"), text(step, "wait")];
    let wait = times::sum(waits.into_iter().flatten());
    let waits = waits.iter().any(Option::is_some);
    step.remove("wait");
    match (before.get("when"), text(before, "at")) {
        (Some(when), _) => drop(step.insert("when".into(), when.clone())),
        (None, Some(at)) => {
            let at = times::sum([at, &wait].into_iter());
            step.insert("at".into(), Value::String(at));
            return;
        }
        (None, None) => drop(before.get("before-event").map(|event| step.insert("before-event".into(), event.clone()))),
    }
    if waits {
        step.insert("wait".into(), Value::String(wait));
    }
}

/// Forms in which a step ends by itself instead of by another step that heals, starts or resumes.
fn merged(form: &Form, happened: &Happenings) -> Vec<Form> {
    let all: Vec<&Table> = form.sections("step").collect();
    let mut candidates = Vec::new();
    for (place, end) in all.iter().enumerate() {
        for (first, begin) in all.iter().enumerate().filter(|(first, begin)| *first != place && ends(end, begin)) {
            let to = if end.contains_key("heal") { happened.healed.get(&first) } else { happened.began.get(&place) };
            let (Some(from), Some(to)) = (happened.began.get(&first), to) else { continue };
            if begin.contains_key("for") || to <= from {
                continue;
            }
            let mut candidate = form.clone();
            if let Some(Value::Table(begin)) = candidate.sections_mut("step").get_mut(first) {
                begin.insert("for".into(), Value::String(times::text(to - from)));
            }
            candidates.push(without(&candidate, &BTreeSet::from([place])));
        }
    }
    candidates
}

/// Whether a step ends what another one has begun.
fn ends(end: &Table, begin: &Table) -> bool {
    if let Some(heal) = text(end, "heal") {
        return text(begin, "name") == Some(heal);
    }
    let begun = |keys: &[&str]| keys.iter().find_map(|key| begin.get(*key));
    let same = |nodes: &Value, begun: Option<&Value>| {
        let bound = text(begin, "as").is_some_and(|name| nodes.as_str() == Some(name));
        begun.is_some_and(|begun| bound || begun == nodes)
    };
    match (end.get("start"), end.get("resume")) {
        (Some(nodes), _) => {
            let lost_power = begin.get("power-loss").and_then(|loss| loss.get("nodes"));
            same(nodes, begun(&["kill", "stop"]).or(lost_power))
        }
        (None, Some(nodes)) => same(nodes, begun(&["pause"])),
        (None, None) => false,
    }
}

/// Forms in which a step with a time of its own comes after the one that happened last before it.
pub(super) fn following(form: &Form, happened: &Happenings) -> Vec<Form> {
    let all: Vec<&Table> = form.sections("step").collect();
    let mut candidates = Vec::new();
    for (place, step) in all.iter().enumerate().filter(|(_, step)| step.contains_key("at")) {
        let Some(time) = happened.began.get(&place) else { continue };
        let earlier = happened.began.iter().filter(|(other, began)| **other != place && *began <= time);
        let Some((before, began)) = earlier.max_by_key(|(other, began)| (**began, **other)) else { continue };
        let Some(name) = all.get(*before).and_then(|before| text(before, "name")) else { continue };
        let mut step = (*step).clone();
        step.remove("at");
        step.remove("wait");
        step.insert("after".into(), Value::String(name.to_owned()));
        candidates.push(with_step(form, place, step.clone()));
        if time > began {
            step.insert("wait".into(), Value::String(times::text(time - began)));
            candidates.push(with_step(form, place, step));
        }
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(steps: &str, gone: &[usize], left: &str) {
        let form = Form::parse(steps).expect("it is TOML");
        let left = Form::parse(left).expect("it is TOML");
        assert_eq!(without(&form, &gone.iter().copied().collect()).text(), left.text());
    }

    const CHAIN: &str = r#"
[[step]]
name = "a"
at = "2s"
wait = "500ms"
kill = "broker 1"
as = "victim"

[[step]]
name = "b"
after = "a"
wait = "1s"
pause = "broker 2"

[[step]]
name = "c"
after = "b"
when = { fact = "isr-changed" }
mark = "c"

[[step]]
name = "d"
after = "b"
wait = "1s"
start = ["victim"]

[[step]]
name = "e"
after = "b"
heal = "b"
"#;

    #[test]
    fn what_came_after_a_step_takes_its_place() {
        check(
            CHAIN,
            &[1, 3],
            r#"
[[step]]
name = "a"
at = "2s"
wait = "500ms"
kill = "broker 1"
as = "victim"

[[step]]
name = "c"
after = "a"
when = { fact = "isr-changed" }
mark = "c"
"#,
        );
    }

    #[test]
    fn what_names_the_nodes_of_a_step_goes_with_it() {
        check(
            CHAIN,
            &[0, 2],
            r#"
[[step]]
name = "b"
at = "3500ms"
pause = "broker 2"

[[step]]
name = "e"
after = "b"
heal = "b"
"#,
        );
    }

    #[test]
    fn a_step_goes_with_its_followers() {
        let form = Form::parse(CHAIN).expect("it is TOML");
        assert_eq!(with_followers(&form, 1), BTreeSet::from([1, 2, 3, 4]));
        check(CHAIN, &[0, 1, 2, 3, 4], "");
    }
}

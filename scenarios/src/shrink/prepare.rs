//! A form made ready: nothing in it is left to the seed, to other files or to names that follow from the text.
//!
//! The world of the seed stays the same: every choice is written as the seed makes it.

use std::collections::BTreeMap;

use ackproof_core::config::properties;
use ackproof_sim::faults::{Action, Step, Trigger};
use ackproof_sim::world::Interference;
use toml::{Table, Value};

use super::{times, tree};
use crate::form::Form;
use crate::library::Place;
use crate::scenario::Scenario;
use crate::scenario::fix::plain;

/// The form without what it expects and tells, and without its rows of the catalog (the least may show another one), with a name for every step, and its mutation as a toggle.
pub(super) fn bare(form: &Form, scenario: &Scenario) -> Form {
    let mut form = form.clone();
    for key in ["catalog", "story", "seeds", "fix", "mutation"] {
        form.0.remove(key);
    }
    form.0.insert("expect".into(), Value::Table(Table::from_iter([("clean".to_owned(), Value::Boolean(true))])));
    if let (Some(mutation), Some(Value::Table(cluster))) = (&scenario.mutation, form.0.get_mut("cluster")) {
        let toggles = cluster.entry("toggles").or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(toggles) = toggles {
            toggles.insert(mutation.toggle.clone(), plain(&mutation.off));
        }
    }
    if !scenario.steps.is_empty() {
        for (step, open) in form.sections_mut("step").iter_mut().zip(&scenario.steps) {
            if let Value::Table(step) = step {
                step.entry("name").or_insert_with(|| Value::String(open.step.name.clone()));
            }
        }
    }
    form
}

/// The form with every property file in place of its name. What cannot be read stays a name.
pub fn with_files(form: &Form, place: &Place) -> Form {
    let mut whole = form.clone();
    for (path, value) in tree::values(form).into_iter().rev() {
        let (Some(file), "config-file") = (value.as_str(), tree::name(&path)) else { continue };
        let Some(properties) = place.sibling(file).read().ok().and_then(|bytes| properties::parse(&bytes).ok()) else {
            continue;
        };
        let Some((_, way)) = path.split_last() else { continue };
        let Some(Value::Table(section)) = tree::at(&mut whole, way) else { continue };
        section.remove("config-file");
        let config = section.entry("config").or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(config) = config else { continue };
        // Of several lines with one name the last one counts; what the scenario says itself counts more.
        let own: Vec<String> = config.keys().cloned().collect();
        for property in properties {
            if !own.contains(&property.name) {
                config.insert(property.name, plain(&property.value));
            }
        }
    }
    whole
}

/// The form with every range of a step replaced by what the seed draws from it.
pub(super) fn settled(form: &Form, scenario: &Scenario, seed: u64) -> Form {
    let mut form = form.clone();
    if !scenario.steps.is_empty() {
        for (step, drawn) in form.sections_mut("step").iter_mut().zip(&scenario.plan(seed).steps) {
            if let Value::Table(step) = step {
                settle(step, drawn);
            }
        }
    }
    form
}

fn settle(step: &mut Table, drawn: &Step) {
    if let Trigger::At(at) = &drawn.trigger {
        set_time(step, "at", at.0);
    }
    set_time(step, "wait", drawn.delay.0);
    set_time(step, "for", drawn.lasts.map_or(0, |lasts| lasts.0));
    if let Action::Messages(fault) = &drawn.action {
        for (_, action) in step.iter_mut().filter(|(key, _)| *key != "when") {
            let Value::Table(messages) = action else { continue };
            if let Interference::Delay(by) | Interference::Duplicate(by) = fault.interference {
                set_time(messages, "by", by.0);
            }
            set_number(messages, "times", fault.times.unwrap_or(1));
            set_number(messages, "skip", fault.skip);
        }
    }
    let times: Vec<u64> = match &drawn.trigger {
        Trigger::Fact(pattern) => vec![pattern.times],
        Trigger::All(all) => {
            all.iter().map(|one| if let Trigger::Fact(pattern) = one { pattern.times } else { 1 }).collect()
        }
        Trigger::At(_) | Trigger::Event(_) | Trigger::After(_) => Vec::new(),
    };
    let patterns = match step.get_mut("when") {
        Some(Value::Array(patterns)) => patterns.iter_mut().filter_map(Value::as_table_mut).collect(),
        Some(Value::Table(pattern)) => vec![pattern],
        _ => Vec::new(),
    };
    for (pattern, times) in patterns.into_iter().zip(times) {
        set_number(pattern, "times", times);
    }
}

/// The form with times in place of numbers of events: a number means nothing any more once something else is missing. `began` is when the
/// steps happened.
pub(super) fn timed(form: &Form, began: &BTreeMap<usize, u64>) -> Form {
    let mut timed = form.clone();
    for (place, step) in form.sections("step").enumerate().filter(|(_, step)| step.contains_key("before-event")) {
        let Some(began) = began.get(&place) else { continue };
        let mut step = step.clone();
        step.remove("before-event");
        let wait = step.get("wait").and_then(Value::as_str).and_then(times::fixed).unwrap_or(0);
        // Behind the event that was the last one before it.
        step.insert("at".into(), Value::String(times::text(began.saturating_sub(wait) + 1)));
        if let Some(place) = timed.sections_mut("step").get_mut(place) {
            *place = Value::Table(step);
        }
    }
    timed
}

fn is_range(table: &Table, key: &str) -> bool {
    table.get(key).and_then(Value::as_str).is_some_and(|text| text.contains(".."))
}

fn set_time(table: &mut Table, key: &str, nanos: u64) {
    if is_range(table, key) {
        table.insert(key.into(), Value::String(times::text(nanos)));
    }
}

fn set_number(table: &mut Table, key: &str, number: u64) {
    if is_range(table, key) {
        table.insert(key.into(), Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)));
    }
}

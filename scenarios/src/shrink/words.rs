//! Names of steps that say what is done: a name that a reduction has made untrue, or that nobody wrote, is written anew.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::search::Search;
use crate::form::Form;

/// What a step does is a line no longer than this.
const LONGEST: usize = 60;

/// Whatever the limits say: a name that is untrue misleads.
pub(super) fn run(search: &mut Search<'_>, original: &Form) {
    let renamed = renamed(&search.best, original);
    if let Some(trial) = search.attempt(&renamed) {
        search.take(renamed, trial);
    }
}

fn text<'a>(step: &'a Table, key: &str) -> Option<&'a str> {
    step.get(key).and_then(Value::as_str)
}

fn renamed(form: &Form, original: &Form) -> Form {
    let steps: Vec<&Table> = form.sections("step").collect();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut names: Vec<(String, String)> = Vec::new();
    for step in &steps {
        let old = text(step, "name").unwrap_or_default();
        let is_written =
            original.sections("step").any(|was| text(was, "name") == Some(old) && action(was) == action(step));
        let wanted = if is_written { old.to_owned() } else { words(step).unwrap_or_else(|| old.to_owned()) };
        let again = (2..).map(|number| format!("{wanted}, {number}"));
        let name = std::iter::once(wanted.clone()).chain(again).find(|name| !taken.contains(name)).unwrap_or(wanted);
        taken.insert(name.clone());
        names.push((old.to_owned(), name));
    }
    let new = |old: &str| names.iter().find(|(known, _)| known == old).map(|(_, new)| Value::String(new.clone()));
    let mut form = form.clone();
    if names.is_empty() {
        return form;
    }
    for (step, (_, name)) in form.sections_mut("step").iter_mut().filter_map(Value::as_table_mut).zip(&names) {
        step.insert("name".into(), Value::String(name.clone()));
        for key in ["after", "heal"] {
            if let Some(name) = text(step, key).and_then(new) {
                step.insert(key.into(), name);
            }
        }
        if let Some(Value::Table(rollback)) = step.get_mut("rollback")
            && let Some(name) = text(rollback, "to").and_then(new)
        {
            rollback.insert("to".into(), name);
        }
    }
    form
}

/// The step without what says when.
fn action(step: &Table) -> Table {
    let when = ["name", "at", "when", "after", "wait", "for", "as"];
    step.iter()
        .filter(|(key, _)| !when.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// What a step does, in words.
fn words(step: &Table) -> Option<String> {
    let action = action(step);
    let (key, value) = action.iter().next()?;
    let inside = |key: &str| value.get(key).map(nodes).unwrap_or_default();
    let does = |who: Option<&Value>, one: &str, many: &str| {
        let verb = if who.is_some_and(are_many) { many } else { one };
        format!("{} {verb}", who.map(nodes).unwrap_or_default())
    };
    let (whom, those) = (Some(value), value.get("nodes"));
    let said = match key.as_str() {
        "kill" => does(whom, "dies", "die"),
        "stop" => does(whom, "is stopped", "are stopped"),
        "start" => does(whom, "starts", "start"),
        "pause" => does(whom, "hangs", "hang"),
        "resume" => does(whom, "goes on", "go on"),
        "power-loss" => does(those, "loses power", "lose power"),
        "wipe" => does(whom, "gets an empty disk", "get empty disks"),
        "rollback" => does(those, "gets an old disk", "get old disks"),
        "cut" => format!("{} from {}", does(value.get("from"), "is cut off", "are cut off"), inside("to")),
        "disconnect" => format!("connections of {} to {} are reset", inside("from"), inside("to")),
        "silence" => format!("connections of {} to {} fall silent", inside("from"), inside("to")),
        "link" => format!("the link from {} to {} is poor", inside("from"), inside("to")),
        "disk" => format!("the disk of {} is in trouble", inside("nodes")),
        "drop" => format!("{} are lost", messages(value)),
        "delay" => format!("{} are late", messages(value)),
        "hold" => format!("{} are held back", messages(value)),
        "reset" => format!("{} are reset", messages(value)),
        "duplicate" => format!("{} are repeated", messages(value)),
        "corrupt" => format!("{} are corrupted", messages(value)),
        _ => return None,
    };
    (said.chars().count() <= LONGEST).then_some(said)
}

fn are_many(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.len() > 1 || list.iter().any(are_many),
        Value::String(text) => text.starts_with("all ") || text.starts_with("followers of"),
        _ => false,
    }
}

fn nodes(value: &Value) -> String {
    match value {
        Value::Array(list) => list.iter().map(nodes).collect::<Vec<String>>().join(" and "),
        Value::String(text) if text.starts_with("leader of") || text.starts_with("followers of") => {
            format!("the {text}")
        }
        Value::String(text) => text.clone(),
        _ => String::new(),
    }
}

fn messages(value: &Value) -> String {
    let part = |key: &str| value.get(key).and_then(Value::as_str);
    let kind = part("message").map_or("messages".to_owned(), |message| format!("{message}s"));
    let api = part("api").map(|api| format!("{api} ")).unwrap_or_default();
    let to = value.get("to").map(|to| format!(" to {}", nodes(to))).unwrap_or_default();
    format!("{api}{kind}{to}")
}

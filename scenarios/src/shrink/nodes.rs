//! Where a step names nodes.

use toml::{Table, Value};

/// Keys of a step whose value is nodes.
const DIRECT: &[&str] = &["kill", "stop", "start", "pause", "resume", "wipe"];
/// Keys of an action, or of a fact that is waited for, whose value is nodes. `from` and `to` of a fact are numbers or lists of
/// numbers.
const INSIDE: &[&str] = &["nodes", "from", "to"];
/// What stands between nodes and those that are taken from them.
const EXCEPT: &str = " except ";

/// Hands every value that names nodes to `look`.
pub(super) fn each(step: &mut Table, look: &mut dyn FnMut(&mut Value)) {
    for (key, value) in step.iter_mut() {
        match (key.as_str(), value) {
            (key, value) if DIRECT.contains(&key) => look(value),
            ("when", Value::Array(patterns)) => patterns.iter_mut().for_each(|pattern| of_pattern(pattern, look)),
            ("when", pattern) => of_pattern(pattern, look),
            // `to` is a step here.
            ("rollback", Value::Table(action)) => action.get_mut("nodes").into_iter().for_each(&mut *look),
            (_, Value::Table(action)) => {
                for (key, value) in action.iter_mut() {
                    if INSIDE.contains(&key.as_str()) {
                        look(value);
                    }
                }
            }
            _ => {}
        }
    }
}

fn of_pattern(pattern: &mut Value, look: &mut dyn FnMut(&mut Value)) {
    pattern.get_mut("node").into_iter().for_each(look);
}

/// The single names in a value: `["leader of orders-0", "isr of orders-0 except old leader"]` has three.
fn names(nodes: &Value) -> Vec<&str> {
    match nodes {
        Value::String(text) => text.split(EXCEPT).map(str::trim).collect(),
        Value::Array(list) => list.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}

/// Whether a step names these nodes.
pub(super) fn mentions(step: &Table, name: &str) -> bool {
    let mut found = false;
    each(&mut step.clone(), &mut |nodes| found |= names(nodes).contains(&name));
    found
}

/// The step with every single name changed; `None` takes a name away. None if no node is left somewhere.
pub(super) fn renamed(step: &Table, change: &dyn Fn(&str) -> Option<String>) -> Option<Table> {
    let mut step = step.clone();
    let mut whole = true;
    each(&mut step, &mut |nodes| match changed(nodes, change) {
        Some(new) => *nodes = new,
        None => whole = false,
    });
    whole.then_some(step)
}

fn changed(nodes: &Value, change: &dyn Fn(&str) -> Option<String>) -> Option<Value> {
    match nodes {
        Value::String(text) => {
            let mut parts = text.split(EXCEPT).map(str::trim);
            let first = change(parts.next()?)?;
            let all = std::iter::once(first).chain(parts.filter_map(change));
            Some(Value::String(all.collect::<Vec<String>>().join(EXCEPT)))
        }
        Value::Array(list) => {
            let left: Vec<Value> = list.iter().filter_map(|element| changed(element, change)).collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        other => Some(other.clone()),
    }
}

//! Simpler faults: a process that dies instead of a machine that loses power, one node instead of several, one direction
//! instead of two, messages that vanish or come later instead of being held back.

use toml::{Table, Value};

use super::nodes;
use super::search::{Search, Wanted};
use crate::form::Form;

pub(super) fn run(search: &mut Search<'_>) {
    search.try_all(Wanted::NoRarer, |search| {
        let form = &search.best;
        let steps = form.sections("step").enumerate();
        steps
            .flat_map(|(place, step)| simpler(step).into_iter().map(move |step| with_step(form, place, step)))
            .collect()
    });
}

/// The form with another step at a place.
pub(super) fn with_step(form: &Form, place: usize, step: Table) -> Form {
    let mut form = form.clone();
    if let Some(old) = form.sections_mut("step").get_mut(place) {
        *old = Value::Table(step);
    }
    form
}

/// Steps that do less, the simplest first.
fn simpler(step: &Table) -> Vec<Table> {
    let mut found = Vec::new();
    if let Some(Value::Table(loss)) = step.get("power-loss") {
        found.extend(loss.get("nodes").map(|nodes| replaced(step, "power-loss", "kill", nodes.clone())));
        found.extend(with(step, loss, "power-loss", "keep", &["nothing"]));
    }
    if let Some(Value::Table(messages)) = step.get("hold") {
        found.push(replaced(step, "hold", "drop", Value::Table(messages.clone())));
        if let Some(lasts) = step.get("for") {
            let mut messages = messages.clone();
            messages.insert("by".into(), lasts.clone());
            found.push(replaced(step, "hold", "delay", Value::Table(messages)));
        }
    }
    if let Some(Value::Table(cut)) = step.get("cut")
        && cut.get("direction").and_then(Value::as_str) != Some("one-way")
    {
        let mut back = cut.clone();
        if let (Some(from), Some(to)) = (cut.get("from"), cut.get("to")) {
            back.insert("from".into(), to.clone());
            back.insert("to".into(), from.clone());
        }
        found.extend([cut, &back].into_iter().flat_map(|cut| with(step, cut, "cut", "direction", &["one-way"])));
    }
    if let Some(Value::Table(disk)) = step.get("disk")
        && let Some(Value::Array(faults)) = disk.get("faults")
        && faults.len() > 1
    {
        found.extend(faults.iter().map(|fault| {
            let mut disk = disk.clone();
            disk.insert("faults".into(), Value::Array(vec![fault.clone()]));
            replaced(step, "disk", "disk", Value::Table(disk))
        }));
    }
    found.extend(fewer_nodes(step));
    found
}

/// The step with one action in the place of another.
fn replaced(step: &Table, old: &str, new: &str, value: Value) -> Table {
    let mut step = step.clone();
    step.remove(old);
    step.insert(new.to_owned(), value);
    step
}

/// The step with a key of its action set to each of these, unless it is so already.
fn with(step: &Table, action: &Table, name: &str, key: &str, values: &[&str]) -> Vec<Table> {
    let other = values.iter().filter(|value| action.get(key).and_then(Value::as_str) != Some(value));
    let changed = other.map(|value| {
        let mut action = action.clone();
        action.insert(key.to_owned(), Value::String((*value).to_owned()));
        replaced(step, name, name, Value::Table(action))
    });
    changed.collect()
}

/// The step with fewer nodes in one place.
fn fewer_nodes(step: &Table) -> Vec<Table> {
    let mut places = 0;
    nodes::each(&mut step.clone(), &mut |_| places += 1);
    let mut found = Vec::new();
    for place in 0..places {
        let mut fewer = Vec::new();
        let mut at = 0;
        nodes::each(&mut step.clone(), &mut |nodes| {
            if at == place {
                fewer = fewer_of(nodes);
            }
            at += 1;
        });
        for value in fewer {
            let mut step = step.clone();
            let mut at = 0;
            nodes::each(&mut step, &mut |nodes| {
                if at == place {
                    *nodes = value.clone();
                }
                at += 1;
            });
            found.push(step);
        }
    }
    found
}

/// One of a list; one of those that play a part.
fn fewer_of(nodes: &Value) -> Vec<Value> {
    match nodes {
        Value::Array(list) => list.clone(),
        Value::String(text) => {
            if let Some((these, _)) = text.split_once(" except ") {
                return vec![Value::String(these.to_owned())];
            }
            let parts: &[(&str, &[&str])] = &[
                ("followers of ", &["a follower of "]),
                ("in-sync followers of ", &["a follower of ", "followers of "]),
                ("isr of ", &["leader of ", "a follower of "]),
                ("replicas of ", &["leader of ", "a follower of "]),
            ];
            let Some((part, smaller)) = parts.iter().find(|(part, _)| text.starts_with(part)) else {
                return Vec::new();
            };
            let partition = &text[part.len()..];
            smaller.iter().map(|smaller| Value::String(format!("{smaller}{partition}"))).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(step: &str, wanted: &[&str]) {
        let parse = |text: &str| text.parse::<Table>().expect("it is TOML");
        let wanted: Vec<Table> = wanted.iter().map(|text| parse(text)).collect();
        assert_eq!(simpler(&parse(step)), wanted);
    }

    #[test]
    fn faults_become_simpler() {
        check(
            "power-loss = { nodes = \"broker 1\", keep = \"torn\" }\nfor = \"2s\"",
            &[
                "kill = \"broker 1\"\nfor = \"2s\"",
                "power-loss = { nodes = \"broker 1\", keep = \"nothing\" }\nfor = \"2s\"",
            ],
        );
        check("kill = [\"broker 1\", \"broker 2\"]", &["kill = \"broker 1\"", "kill = \"broker 2\""]);
        check("kill = \"in-sync followers of a-0\"", &["kill = \"a follower of a-0\"", "kill = \"followers of a-0\""]);
        check(
            "hold = { api = \"Fetch\" }\nfor = \"2s\"",
            &["drop = { api = \"Fetch\" }\nfor = \"2s\"", "delay = { api = \"Fetch\", by = \"2s\" }\nfor = \"2s\""],
        );
        check(
            "cut = { from = \"broker 1\", to = \"p1\" }",
            &[
                "cut = { from = \"broker 1\", to = \"p1\", direction = \"one-way\" }",
                "cut = { from = \"p1\", to = \"broker 1\", direction = \"one-way\" }",
            ],
        );
        check("cut = { from = \"broker 1\", to = \"p1\", direction = \"one-way\" }", &[]);
        check("disk = { nodes = \"p1\", faults = [\"full\"] }", &[]);
    }
}

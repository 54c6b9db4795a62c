//! Fewer settings: what has a default gets it back, whole tables first.

use toml::Value;

use super::search::{Search, Wanted};
use super::tree::{self, Part, Path};
use crate::form::Form;

/// What a section must have, and what other reductions take care of.
const NEEDED: &[&str] = &["name", "topic", "records", "brokers", "id", "replicas", "subscribe"];
/// Keys of a step, of its action and of the facts it waits for, that may go. The others say what is done to whom: fewer of them would do
/// more, not less.
const OF_STEPS: &[&str] = &["wait", "for", "as", "skip", "part", "segment", "node", "times"];

pub(super) fn run(search: &mut Search<'_>) {
    search.thin_out(
        |form| removable(form).len(),
        |form, start, end| {
            let places = removable(form);
            let chunk = places[start.min(places.len())..end.min(places.len())].iter();
            // The last first: a place in a list stays where it is.
            chunk.rev().fold(form.clone(), |form, path| tree::without(&form, path))
        },
    );
    search.try_all(Wanted::NoRarer, |search| {
        let places = of_steps(&search.best);
        places.iter().map(|path| without_part_of_step(&search.best, path)).collect()
    });
}

/// The form without something in a step. One fact that is left of several needs no list.
fn without_part_of_step(form: &Form, path: &Path) -> Form {
    let mut left = tree::without(form, path);
    for step in left.sections_mut("step").iter_mut().filter_map(Value::as_table_mut) {
        if let Some(Value::Array(facts)) = step.get("when")
            && let [fact] = &facts[..]
        {
            let fact = fact.clone();
            step.insert("when".into(), fact);
        }
    }
    left
}

/// What may be missing from the cluster, topics and clients, and the limits of the run.
fn removable(form: &Form) -> Vec<Path> {
    let is_removable = |path: &[Part]| {
        let Some(Part::Key(first)) = path.first() else { return false };
        let Some(Part::Key(_)) = path.last() else { return false };
        match first.as_str() {
            "time-limit" | "settle-limit" => true,
            "cluster" | "topic" | "producer" | "consumer" => path.len() > 1 && !NEEDED.contains(&tree::name(path)),
            _ => false,
        }
    };
    tree::values(form).into_iter().map(|(path, _)| path).filter(|path| is_removable(path)).collect()
}

fn of_steps(form: &Form) -> Vec<Path> {
    let is_removable = |path: &[Part]| {
        let name = tree::name(path);
        let in_fact = tree::has_key(path, "when");
        let is_condition = in_fact && path.len() > 3 && name != "fact";
        let is_key = matches!(path.last(), Some(Part::Key(_)));
        // step, its place, when, the place of the fact.
        let is_fact = in_fact && path.len() == 4 && !is_key;
        // Without `times` a fault of messages would concern more of them.
        let widens = name == "times" && !in_fact;
        tree::has_key(path, "step") && (is_fact || is_key && (is_condition || OF_STEPS.contains(&name)) && !widens)
    };
    tree::values(form).into_iter().map(|(path, _)| path).filter(|path| is_removable(path)).collect()
}

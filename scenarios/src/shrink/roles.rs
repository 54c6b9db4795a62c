//! Roles instead of numbers: whoever reads `leader of orders-0` knows what matters about the broker.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::search::{Search, Wanted};
use super::{actions, nodes, tree};
use crate::form::Form;

/// Of so many partitions roles are tried.
const PARTITIONS_MAX: usize = 4;
/// Roles of one broker, and what a step calls the broker for later ones.
const ROLES: [(&str, &str); 2] = [("leader of", "old leader"), ("a follower of", "the follower")];

pub(super) fn run(search: &mut Search<'_>) {
    search.try_all(Wanted::NoRarer, |search| {
        let form = &search.best;
        let partitions = partitions(form);
        let numbered: BTreeSet<String> = form.sections("step").flat_map(numbers).collect();
        let one_by_one = |broker: &String| {
            let steps: Vec<(usize, &Table)> =
                form.sections("step").enumerate().filter(|(_, step)| nodes::mentions(step, broker)).collect();
            let mut candidates = Vec::new();
            for (partition, (role, name)) in partitions.iter().flat_map(|partition| ROLES.map(|role| (partition, role)))
            {
                let role = format!("{role} {partition}");
                candidates.extend(everywhere(form, broker, &role, name));
                candidates.extend(
                    steps.iter().filter_map(|(place, step)| {
                        Some(actions::with_step(form, *place, called(step, broker, &role)?))
                    }),
                );
            }
            candidates
        };
        numbered.iter().flat_map(one_by_one).collect()
    });
}

/// The brokers that a step names by their numbers.
fn numbers(step: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for (_, value) in tree::values(&Form(step.clone())) {
        let words = value.as_str().into_iter().flat_map(|text| text.split(" except "));
        found.extend(words.filter(|word| word.starts_with("broker ")).map(|word| word.trim().to_owned()));
    }
    found
}

fn called(step: &Table, broker: &str, name: &str) -> Option<Table> {
    nodes::renamed(step, &|node| Some(if node == broker { name.to_owned() } else { node.to_owned() }))
}

/// The role in the first step that names the broker; later ones mean whoever it was then.
fn everywhere(form: &Form, broker: &str, role: &str, name: &str) -> Option<Form> {
    let steps: Vec<&Table> = form.sections("step").collect();
    let mut places = (0..steps.len()).filter(|place| nodes::mentions(steps[*place], broker));
    let first = places.next()?;
    let later: Vec<usize> = places.collect();
    let mut step = called(steps[first], broker, role)?;
    let bound = step.get("as").and_then(Value::as_str).unwrap_or(name).to_owned();
    let is_taken = steps
        .iter()
        .enumerate()
        .any(|(place, step)| place != first && step.get("as").and_then(Value::as_str) == Some(&bound));
    if later.is_empty() || is_taken {
        return None;
    }
    step.insert("as".into(), Value::String(bound.clone()));
    let changed = actions::with_step(form, first, step);
    later
        .into_iter()
        .try_fold(changed, |form, place| Some(actions::with_step(&form, place, called(steps[place], broker, &bound)?)))
}

/// The first partitions of the topics.
fn partitions(form: &Form) -> Vec<String> {
    let of_topic = |topic: &Table| {
        let listed = topic.get("replicas").and_then(Value::as_array).map(Vec::len);
        let number =
            topic.get("partitions").and_then(Value::as_integer).and_then(|number| usize::try_from(number).ok());
        let name = topic.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        (0..listed.or(number).unwrap_or(1).min(PARTITIONS_MAX)).map(move |partition| format!("{name}-{partition}"))
    };
    form.sections("topic").flat_map(of_topic).take(PARTITIONS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_steps_mean_the_broker_that_it_was() {
        let form = Form::parse("[[step]]\nkill = \"broker 2\"\n[[step]]\nstart = [\"broker 2\", \"broker 1\"]\n")
            .expect("it is TOML");
        let changed = everywhere(&form, "broker 2", "leader of a-0", "old leader").expect("it is named twice").text();
        assert!(changed.contains("kill = \"leader of a-0\"\nas = \"old leader\""), "{changed}");
        assert!(changed.contains("start = [\"old leader\", \"broker 1\"]"), "{changed}");
        assert_eq!(everywhere(&form, "broker 1", "leader of a-0", "old leader"), None);
    }
}

//! Fewer consumers, producers, topics, partitions, replicas and brokers.
//!
//! A step that concerned only what is gone goes with it. Brokers and partitions keep their numbers dense: what was broker 5 is
//! broker 4 when one before it is gone, in replica lists, steps and conditions alike.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::search::{Search, Wanted};
use super::{nodes, steps, tree};
use crate::form::Form;

pub(super) fn clients_and_topics(search: &mut Search<'_>) {
    for kind in ["consumer", "producer"] {
        search.thin_out(
            |form| form.sections(kind).count(),
            |form, start, end| {
                (start..end).rev().fold(form.clone(), |form, client| without_client(&form, kind, client))
            },
        );
    }
    search.try_all(Wanted::Smaller, |search| {
        (0..search.best.sections("topic").count()).rev().map(|topic| without_topic(&search.best, topic)).collect()
    });
}

pub(super) fn partitions_and_replicas(search: &mut Search<'_>) {
    search.try_all(Wanted::Smaller, |search| partitions(&search.best));
    search.try_all(Wanted::Smaller, |search| replicas(&search.best));
}

pub(super) fn brokers(search: &mut Search<'_>) {
    search.try_all(Wanted::Smaller, |search| {
        let ids = ids(&search.best);
        if ids.len() < 2 { Vec::new() } else { ids.iter().rev().map(|id| without_broker(&search.best, *id)).collect() }
    });
}

/// Forms steps anew: a step that `change` makes nothing of goes, with what depends on it.
fn with_steps(form: &Form, change: impl Fn(&Table) -> Option<Table>) -> Form {
    let all: Vec<Option<Table>> = form.sections("step").map(change).collect();
    let gone: BTreeSet<usize> =
        all.iter().enumerate().filter(|(_, step)| step.is_none()).map(|(place, _)| place).collect();
    let mut changed = form.clone();
    for (place, step) in all.into_iter().enumerate() {
        if let (Some(step), Some(old)) = (step, changed.sections_mut("step").get_mut(place)) {
            *old = Value::Table(step);
        }
    }
    if gone.is_empty() { changed } else { steps::without(&changed, &gone) }
}

/// Takes an element from the sections of a kind; the sections go with the last.
fn drop_section(form: &mut Form, kind: &str, place: usize) {
    let sections = form.sections_mut(kind);
    if place < sections.len() {
        sections.remove(place);
    }
    if sections.is_empty() {
        form.0.remove(kind);
    }
}

fn without_client(form: &Form, kind: &str, place: usize) -> Form {
    let name =
        form.sections(kind).nth(place).and_then(|client| client.get("name")?.as_str()).unwrap_or_default().to_owned();
    let mut form = with_steps(form, |step| {
        let step = nodes::renamed(step, &|node| (node != name).then(|| node.to_owned()))?;
        let limits = step.get("alter-config").and_then(|action| action.get("client")).and_then(Value::as_str);
        (limits != Some(&name)).then_some(step)
    });
    drop_section(&mut form, kind, place);
    form
}

fn without_topic(form: &Form, place: usize) -> Form {
    let Some(name) =
        form.sections("topic").nth(place).and_then(|topic| topic.get("name")?.as_str()).map(ToOwned::to_owned)
    else {
        return form.clone();
    };
    let mut left = form.clone();
    for kind in ["consumer", "producer"] {
        for client in (0..form.sections(kind).count()).rev() {
            if left.sections(kind).nth(client).and_then(|client| client.get("topic")?.as_str()) == Some(&name) {
                left = without_client(&left, kind, client);
            }
        }
    }
    let is_of_topic = |text: &str| text == name || partition_of(text, &name).is_some();
    let concerned =
        |step: &Table| strings(&Value::Table(step.clone())).iter().any(|text| text.split(' ').any(is_of_topic));
    let mut left = with_steps(&left, |step| (!concerned(step)).then(|| step.clone()));
    drop_section(&mut left, "topic", place);
    left
}

/// All texts in a value but names.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().flat_map(strings).collect(),
        Value::Table(table) => {
            let said =
                table.iter().filter(|(key, _)| !matches!(key.as_str(), "name" | "after" | "heal" | "mark" | "as"));
            said.flat_map(|(_, value)| strings(value)).collect()
        }
        _ => Vec::new(),
    }
}

/// The number of a partition of a topic: 2 of `orders-2`.
fn partition_of(text: &str, topic: &str) -> Option<usize> {
    text.strip_prefix(topic)?.strip_prefix('-')?.parse().ok()
}

/// Forms with one partition less.
fn partitions(form: &Form) -> Vec<Form> {
    let mut candidates = Vec::new();
    for (place, topic) in form.sections("topic").enumerate() {
        let Some(name) = topic.get("name").and_then(Value::as_str) else { continue };
        let listed = topic.get("replicas").and_then(Value::as_array).map(Vec::len);
        let number =
            topic.get("partitions").and_then(Value::as_integer).and_then(|number| usize::try_from(number).ok());
        let count = listed.or(number).unwrap_or(1);
        if listed.is_none() && count > 2 {
            candidates
                .push((1..count).rev().fold(form.clone(), |form, gone| without_partition(&form, place, name, gone)));
        }
        if count > 1 {
            candidates.extend((0..count.min(16)).rev().map(|gone| without_partition(form, place, name, gone)));
        }
    }
    candidates
}

fn without_partition(form: &Form, topic: usize, name: &str, gone: usize) -> Form {
    let mut form = form.clone();
    if let Some(Value::Table(topic)) = form.sections_mut("topic").get_mut(topic) {
        if let Some(Value::Array(lists)) = topic.get_mut("replicas") {
            if gone < lists.len() {
                lists.remove(gone);
            }
        } else if let Some(Value::Integer(count)) = topic.get_mut("partitions") {
            *count -= 1;
        }
    }
    for kind in ["producer", "consumer"] {
        for client in form.sections_mut(kind).iter_mut().filter_map(Value::as_table_mut) {
            if client.get("topic").and_then(Value::as_str) == Some(name) {
                client_without_partition(client, gone);
            }
        }
    }
    with_steps(&form, |step| {
        let mut whole = true;
        let mut step = Value::Table(step.clone());
        shift_texts(&mut step, &mut |word| match partition_of(word, name) {
            Some(number) if number == gone => whole = false,
            Some(number) if number > gone => *word = format!("{name}-{}", number - 1),
            Some(_) | None => {}
        });
        match step {
            Value::Table(step) if whole => Some(step),
            _ => None,
        }
    })
}

fn client_without_partition(client: &mut Table, gone: usize) {
    let shifted = |number: i64| match usize::try_from(number) {
        Ok(number) if number == gone => None,
        Ok(number) if number > gone => i64::try_from(number - 1).ok(),
        Ok(_) | Err(_) => Some(number),
    };
    if let Some(number) = client.get("partition").and_then(Value::as_integer) {
        match shifted(number) {
            Some(number) => drop(client.insert("partition".into(), Value::Integer(number))),
            None => drop(client.remove("partition")),
        }
    }
    if let Some(Value::Array(list)) = client.get_mut("partitions") {
        *list = list.iter().filter_map(|number| Some(Value::Integer(shifted(number.as_integer()?)?))).collect();
        if list.is_empty() {
            client.remove("partitions");
        }
    }
}

/// Hands every word of every text to `change`, but those of names.
fn shift_texts(value: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => {
            let mut words: Vec<String> = text.split(' ').map(ToOwned::to_owned).collect();
            words.iter_mut().for_each(&mut *change);
            *text = words.join(" ");
        }
        Value::Array(list) => list.iter_mut().for_each(|element| shift_texts(element, change)),
        Value::Table(table) => {
            let said =
                table.iter_mut().filter(|(key, _)| !matches!(key.as_str(), "name" | "after" | "heal" | "mark" | "as"));
            said.for_each(|(_, value)| shift_texts(value, change));
        }
        _ => {}
    }
}

/// Forms with one replica less: in one list, in all lists, or by the number.
fn replicas(form: &Form) -> Vec<Form> {
    let mut candidates = Vec::new();
    for (path, value) in tree::values(form) {
        match (tree::name(&path), value) {
            ("replication-factor", Value::Integer(factor)) if *factor > 1 => {
                candidates.extend([1, factor - 1].map(|factor| tree::with(form, &path, Value::Integer(factor))));
            }
            ("replicas", Value::Array(list)) if list.len() > 1 && list.iter().all(Value::is_integer) => {
                candidates.extend((0..list.len()).rev().map(|replica| {
                    let left = list.iter().enumerate().filter(|(place, _)| *place != replica);
                    tree::with(form, &path, Value::Array(left.map(|(_, id)| id.clone()).collect()))
                }));
            }
            _ => {}
        }
    }
    candidates
}

/// The ids of the brokers.
fn ids(form: &Form) -> Vec<i64> {
    let cluster = form.0.get("cluster");
    let count = cluster.and_then(|cluster| cluster.get("brokers")).and_then(Value::as_integer);
    match count {
        Some(count) => (1..=count.min(100)).collect(),
        None => {
            let single =
                cluster.and_then(|cluster| cluster.get("broker")).and_then(Value::as_array).into_iter().flatten();
            single.filter_map(|broker| broker.get("id")?.as_integer()).collect()
        }
    }
}

fn without_broker(form: &Form, gone: i64) -> Form {
    let mut form = form.clone();
    let mut dense = false;
    if let Some(Value::Table(cluster)) = form.0.get_mut("cluster") {
        if let Some(Value::Integer(count)) = cluster.get_mut("brokers") {
            *count -= 1;
            dense = true;
        }
        if let Some(Value::Array(single)) = cluster.get_mut("broker") {
            single.retain(|broker| broker.get("id").and_then(Value::as_integer) != Some(gone));
            if single.is_empty() {
                cluster.remove("broker");
            }
        }
    }
    let shifted = |id: i64| match id {
        id if id == gone => None,
        id if id > gone && dense => Some(id - 1),
        id => Some(id),
    };
    if let Some(single) = form.0.get_mut("cluster").and_then(|cluster| cluster.get_mut("broker")) {
        ids_in(single, "id", &shifted);
    }
    for topic in form.sections_mut("topic") {
        ids_in(topic, "topic", &shifted);
    }
    with_steps(&form, |step| {
        let broker = |node: &str| node.strip_prefix("broker ").and_then(|id| id.trim().parse().ok());
        let rename = |node: &str| match broker(node) {
            Some(id) => shifted(id).map(|id| format!("broker {id}")),
            None => Some(node.to_owned()),
        };
        let mut step = Value::Table(nodes::renamed(step, &rename)?);
        ids_in(&mut step, "step", &shifted);
        match step {
            Value::Table(step) => Some(step),
            _ => None,
        }
    })
}

/// Changes the ids of brokers in a value, and takes away those that are gone from lists.
fn ids_in(value: &mut Value, key: &str, shifted: &dyn Fn(i64) -> Option<i64>) {
    match value {
        Value::Integer(id) if matches!(key, "id" | "broker" | "leader" | "follower") => {
            *id = shifted(*id).unwrap_or(*id)
        }
        Value::Integer(id) if key == "replicas" => *id = shifted(*id).unwrap_or(0),
        Value::Array(list) => {
            list.iter_mut().for_each(|element| ids_in(element, key, shifted));
            if key == "replicas" {
                list.retain(|element| {
                    element.as_integer() != Some(0) && element.as_array().is_none_or(|list| !list.is_empty())
                });
            }
        }
        Value::Table(table) => table.iter_mut().for_each(|(key, value)| ids_in(value, key, shifted)),
        Value::String(text) => {
            for word in ["contains ", "without "] {
                if let Some(id) = text.strip_prefix(word).and_then(|id| id.trim().parse().ok()).and_then(shifted) {
                    *text = format!("{word}{id}");
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = r#"
[cluster]
brokers = 3

[[cluster.broker]]
id = 3
config = { "broker.rack" = "r3" }

[[topic]]
name = "orders"
replicas = [[1, 2, 3], [3, 1]]

[[topic]]
name = "orders-late"
partitions = 2

[[producer]]
name = "p1"
topic = "orders"
partition = 1
records = 5

[[consumer]]
name = "c1"
topic = "orders-late"

[[step]]
name = "one"
at = "1s"
kill = ["broker 2", "broker 3"]

[[step]]
name = "two"
when = { fact = "isr-changed", partition = "orders-1", to = "without 3" }
cut = { from = "leader of orders-1 except p1", to = "p1" }

[[step]]
name = "three"
at = "3s"
pause = "broker 2"
"#;

    fn form() -> Form {
        Form::parse(FORM).expect("it is TOML")
    }

    #[track_caller]
    fn check(left: &Form, has: &[&str], has_not: &[&str]) {
        let text = left.text();
        for wanted in has {
            assert!(text.contains(wanted), "`{wanted}` is not in\n{text}");
        }
        for unwanted in has_not {
            assert!(!text.contains(unwanted), "`{unwanted}` is in\n{text}");
        }
    }

    #[test]
    fn a_broker_less_and_the_others_move_up() {
        let left = without_broker(&form(), 2);
        check(
            &left,
            &["brokers = 2", "[[1, 2], [2, 1]]", "id = 2", "kill = [\"broker 2\"]", "without 2"],
            &["three", "broker 3"],
        );
    }

    #[test]
    fn a_partition_less_and_the_others_move_up() {
        let left = without_partition(&form(), 0, "orders", 0);
        check(
            &left,
            &["[[3, 1]]", "partition = 0", "\"orders-0\"", "leader of orders-0 except p1", "partitions = 2"],
            &["orders-1"],
        );
        check(&without_partition(&form(), 0, "orders", 1), &["[[1, 2, 3]]", "one", "three"], &["two", "partition ="]);
    }

    #[test]
    fn a_topic_goes_with_its_clients_and_steps() {
        check(&without_topic(&form(), 0), &["orders-late", "c1", "one", "three"], &["p1", "two"]);
        check(&without_topic(&form(), 1), &["p1", "two"], &["late", "c1"]);
    }

    #[test]
    fn a_client_goes_with_what_is_done_to_it() {
        check(&without_client(&form(), "producer", 0), &["c1", "one"], &["p1", "two"]);
    }
}

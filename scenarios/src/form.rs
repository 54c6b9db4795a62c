//! A scenario file as a tree of values, to be changed and written again.
//!
//! Campaigns draw one, shrinking takes parts of it away. Written it looks as a person would write it: keys in the order of
//! `docs/scenario-format.md`, one section per topic, client and step, everything below that in one line.
//!
//! Not kept: comments, and the layout of the file that it was read from.

use std::fmt::Write as _;
use std::sync::Arc;

use toml::{Table, Value};

use crate::diagnostics::{Diagnostics, Source};
use crate::library::Place;
use crate::scenario::Scenario;

/// Keys in the order in which people write them; all others follow.
const ORDER: &[&str] = &[
    "name",
    "id",
    "kind",
    "fact",
    "format",
    "title",
    "catalog",
    "story",
    "seeds",
    "time-limit",
    "settle-limit",
    "mutation",
    "cluster",
    "topic",
    "producer",
    "consumer",
    "client",
    "store",
    "step",
    "expect",
    "fix",
    "partition",
    "kafka",
    "brokers",
    "subscribe",
    "config-file",
    "config",
    "toggles",
    "partitions",
    "replication-factor",
    "replicas",
    "records",
    "every",
    "at",
    "before-event",
    "after",
    "when",
    "wait",
    "nodes",
    "api",
    "message",
    "from",
    "to",
];

/// Keys of a step that stand behind its action.
const LAST: &[&str] = &["as", "for", "clean"];

/// The sections of a file, and what stands in each of them.
const SECTIONS: &[&str] = &["cluster", "topic", "producer", "consumer", "client", "store", "step", "expect", "fix"];

/// A scenario file as a tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Form(pub Table);

impl Form {
    /// Reads a text; what is wrong with it is said when it is understood as a scenario.
    pub fn parse(text: &str) -> Option<Form> {
        text.parse().ok().map(Form)
    }

    /// What it means, as if it stood at a place.
    pub fn understand(&self, place: &Place) -> Result<Scenario, Diagnostics> {
        let source: Arc<Source> = Source::new(place.display(), self.text());
        Scenario::read(place, &source)
    }

    /// The sections of a kind: steps, producers, ...
    pub fn sections(&self, kind: &str) -> impl Iterator<Item = &Table> {
        self.0.get(kind).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
    }

    /// The sections of a kind, to be changed; they are made if there are none.
    pub fn sections_mut(&mut self, kind: &str) -> &mut Vec<Value> {
        let place = self.0.entry(kind).or_insert_with(|| Value::Array(Vec::new()));
        if !place.is_array() {
            *place = Value::Array(Vec::new());
        }
        match place {
            Value::Array(sections) => sections,
            _ => unreachable!("it has just been made one"),
        }
    }

    /// As a file.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (key, value) in ordered(&self.0) {
            if !SECTIONS.contains(&key) {
                entry(&mut out, key, value);
            }
        }
        for (key, value) in ordered(&self.0).into_iter().filter(|(key, _)| SECTIONS.contains(key)) {
            match value {
                Value::Table(table) => section(&mut out, &format!("[{key}]"), key, table),
                Value::Array(sections) => {
                    for table in sections.iter().filter_map(Value::as_table) {
                        section(&mut out, &format!("[[{key}]]"), key, table);
                    }
                }
                other => entry(&mut out, key, other),
            }
        }
        out
    }
}

fn section(out: &mut String, header: &str, name: &str, table: &Table) {
    let is_list = |value: &Value| {
        name == "expect" && value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_table))
    };
    let (lists, entries): (Vec<_>, Vec<_>) = ordered(table).into_iter().partition(|(_, value)| is_list(value));
    if !entries.is_empty() || lists.is_empty() {
        let _ = writeln!(out, "\n{header}");
    }
    for (key, value) in entries {
        entry(out, key, value);
    }
    for (key, value) in lists {
        for table in value.as_array().into_iter().flatten().filter_map(Value::as_table) {
            section(out, &format!("[[{name}.{key}]]"), key, table);
        }
    }
}

fn entry(out: &mut String, key: &str, value: &Value) {
    let _ = writeln!(out, "{} = {}", quoted_key(key), written(value));
}

/// A value in one line; a text of several lines as one.
fn written(value: &Value) -> String {
    match value {
        Value::Table(table) if table.is_empty() => "{}".to_owned(),
        Value::Table(table) => {
            let entries = ordered(table).into_iter();
            let entries: Vec<String> =
                entries.map(|(key, value)| format!("{} = {}", quoted_key(key), written(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::String(text) if text.contains('\n') => {
            let lines: Vec<String> = text.split('\n').map(inner).collect();
            format!("\"\"\"\n{}\"\"\"", lines.join("\n"))
        }
        Value::String(text) => format!("\"{}\"", inner(text)),
        other => other.to_string(),
    }
}

/// A text as it stands between double quotes.
fn inner(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn quoted_key(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { format!("\"{}\"", inner(key)) }
}

fn ordered(table: &Table) -> Vec<(&str, &Value)> {
    let mut entries: Vec<(&str, &Value)> = table.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let place = |key: &str| match LAST.iter().position(|known| *known == key) {
        Some(place) => ORDER.len() + 1 + place,
        None => ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len()),
    };
    entries.sort_by_key(|(key, _)| (place(key), *key));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::library;
    use proptest::prelude::*;

    #[test]
    fn every_scenario_of_the_library_means_the_same_when_it_is_written_again() {
        for place in library() {
            let text = String::from_utf8(place.read().expect("it is there")).expect("it is text");
            let form = Form::parse(&text).expect("it is TOML");
            let again = Form::parse(&form.text());
            assert_eq!(again.as_ref(), Some(&form), "{}\n{}", place.name(), form.text());
            let (first, second) = (Scenario::load(&place), form.understand(&place));
            let (first, second) = (first.expect("it is sound"), second.expect("it is still sound"));
            assert_eq!(format!("{:?}", first.plan(1)), format!("{:?}", second.plan(1)), "{}", place.name());
        }
    }

    proptest! {
        #[test]
        fn any_text_survives(key in ".{0,8}", value in "(?s).{0,40}") {
            let mut form = Form::default();
            form.0.insert(key.clone(), Value::String(value.clone()));
            form.0.insert("cluster".into(), Value::Table(Table::from_iter([(key, Value::String(value))])));
            prop_assert_eq!(Form::parse(&form.text()), Some(form));
        }
    }
}

//! Places in a form: every value that stands in it, to be looked at, changed or taken away.

use toml::{Table, Value};

use crate::form::Form;

/// One step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A key of a table.
    Key(String),
    /// A place in a list, from 0.
    Place(usize),
}

/// The way to a value.
pub(super) type Path = Vec<Part>;

/// The last key on a way: what the value is called.
pub(super) fn name(path: &[Part]) -> &str {
    let keys = path.iter().rev().filter_map(|part| match part {
        Part::Key(key) => Some(key.as_str()),
        Part::Place(_) => None,
    });
    keys.into_iter().next().unwrap_or_default()
}

/// Whether a key stands on the way.
pub(super) fn has_key(path: &[Part], wanted: &str) -> bool {
    path.iter().any(|part| matches!(part, Part::Key(key) if key == wanted))
}

/// Every value, the outer ones first.
pub(super) fn values(form: &Form) -> Vec<(Path, &Value)> {
    let mut found = Vec::new();
    inside(&form.0, &[], &mut found);
    found
}

fn inside<'a>(table: &'a Table, way: &[Part], found: &mut Vec<(Path, &'a Value)>) {
    for (key, value) in table {
        let mut path = way.to_vec();
        path.push(Part::Key(key.clone()));
        value_at(path, value, found);
    }
}

fn value_at<'a>(path: Path, value: &'a Value, found: &mut Vec<(Path, &'a Value)>) {
    found.push((path.clone(), value));
    match value {
        Value::Table(table) => inside(table, &path, found),
        Value::Array(list) => {
            for (place, element) in list.iter().enumerate() {
                let mut path = path.clone();
                path.push(Part::Place(place));
                value_at(path, element, found);
            }
        }
        _ => {}
    }
}

/// The value at a place, to be changed.
pub(super) fn at<'a>(form: &'a mut Form, path: &[Part]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    let Part::Key(key) = first else { return None };
    rest.iter().try_fold(form.0.get_mut(key)?, |value, part| match (part, value) {
        (Part::Key(key), Value::Table(table)) => table.get_mut(key),
        (Part::Place(place), Value::Array(list)) => list.get_mut(*place),
        _ => None,
    })
}

/// The same form with another value at a place.
pub(super) fn with(form: &Form, path: &[Part], value: Value) -> Form {
    let mut form = form.clone();
    if let Some(place) = at(&mut form, path) {
        *place = value;
    }
    form
}

/// The same form without the value at a place. Tables that it leaves empty go with it, unless they are sections.
pub(super) fn without(form: &Form, path: &[Part]) -> Form {
    let mut form = form.clone();
    let mut path = path;
    while let Some((last, way)) = path.split_last() {
        if way.is_empty() {
            if let Part::Key(key) = last {
                form.0.remove(key);
            }
            break;
        }
        let Some(parent) = at(&mut form, way) else { break };
        match (last, &mut *parent) {
            (Part::Key(key), Value::Table(table)) => drop(table.remove(key)),
            (Part::Place(place), Value::Array(list)) if *place < list.len() => drop(list.remove(*place)),
            _ => break,
        }
        let is_empty = match parent {
            Value::Table(table) => table.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        };
        // `[cluster]` is needed, and an element of a list that became empty would be another element.
        if !is_empty || way.len() == 1 || matches!(way.last(), Some(Part::Place(_))) {
            break;
        }
        path = way;
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        Form::parse(
            "[cluster]\nbrokers = 3\nconfig = { a = 1 }\n[[step]]\nwhen = [{ fact = \"x\" }, { fact = \"y\" }]\n",
        )
        .expect("it is TOML")
    }

    #[test]
    fn every_value_can_be_reached() {
        let form = form();
        for (path, value) in values(&form) {
            assert_eq!(at(&mut form.clone(), &path), Some(&mut value.clone()), "{path:?}");
        }
    }

    #[test]
    fn what_is_left_empty_goes_too() {
        let form = form();
        let path = |keys: &[&str]| keys.iter().map(|key| Part::Key((*key).to_owned())).collect::<Path>();
        let left = without(&form, &path(&["cluster", "config", "a"]));
        assert!(!left.text().contains("config"), "{}", left.text());
        assert!(without(&left, &path(&["cluster", "brokers"])).text().contains("[cluster]"));
        assert_eq!(without(&form, &path(&["no", "such"])), form);
    }
}

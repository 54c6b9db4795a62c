//! Fewer records, and smaller numbers wherever one counts something.

use toml::Value;

use super::search::{Search, Wanted};
use super::{times, tree};
use crate::form::Form;

/// Keys whose values count something: smaller is simpler.
const COUNTS: &[&str] = &["records", "burst", "value-bytes", "times", "skip", "room"];

/// Fields of facts that are offsets, or count records.
const OFFSETS: &[&str] = &["last-offset", "base-offset", "offset", "from", "to", "log-end", "record.number"];

pub(super) fn run(search: &mut Search<'_>) {
    // Everything by half: records are needed until the fault has struck, and the fault is waited for by their number.
    loop {
        let halves = [halved(&search.best, &["at"]), halved(&search.best, &[])];
        if !halves.into_iter().any(|half| search.accept(half)) {
            break;
        }
    }
    search.try_all(Wanted::Smaller, |search| {
        let numbers =
            tree::values(&search.best).into_iter().filter_map(|(path, value)| Some((number(&path, value)?, path)));
        let mut candidates = Vec::new();
        for (number, path) in numbers {
            candidates.extend(number.smaller().into_iter().map(|value| tree::with(&search.best, &path, value)));
        }
        candidates
    });
}

/// A number that may be smaller.
struct Number {
    value: i64,
    least: i64,
    /// What stands before it: `>= ` of `>= 20`.
    sign: Option<String>,
}

impl Number {
    fn with(&self, value: i64) -> Value {
        match &self.sign {
            Some(sign) => Value::String(format!("{sign}{value}")),
            None => Value::Integer(value),
        }
    }

    /// The smallest first, then ever nearer.
    fn smaller(&self) -> Vec<Value> {
        let Self { value, least, .. } = *self;
        let nearer = (1..i64::BITS).map(|halves| value - (value >> halves)).take_while(|nearer| *nearer < value);
        let mut smaller: Vec<i64> = std::iter::once(least).chain(nearer).collect();
        smaller.retain(|smaller| (least..value).contains(smaller));
        smaller.dedup();
        smaller.into_iter().map(|value| self.with(value)).collect()
    }
}

fn number(path: &[tree::Part], value: &Value) -> Option<Number> {
    let name = tree::name(path);
    if tree::has_key(path, "config") || tree::has_key(path, "expect") || tree::has_key(path, "fix") {
        return None;
    }
    if COUNTS.contains(&name) {
        let least = i64::from(name != "skip");
        return Some(Number { value: value.as_integer()?, least, sign: None });
    }
    if !tree::has_key(path, "when") {
        return None;
    }
    if let Some(value) = value.as_integer().filter(|_| OFFSETS.contains(&name)) {
        return Some(Number { value, least: 0, sign: None });
    }
    let text = value.as_str()?;
    let sign = [">= ", "> "].into_iter().find(|sign| text.starts_with(sign))?;
    Some(Number { value: text[sign.len()..].trim().parse().ok()?, least: 0, sign: Some(sign.to_owned()) })
}

/// The form with every number, and the times under these keys, halved.
fn halved(form: &Form, keys: &[&str]) -> Form {
    let mut half = times::mapped(form, keys, |nanos| nanos / 2);
    for (path, value) in tree::values(form) {
        let Some(number) = number(&path, value).filter(|number| number.value / 2 >= number.least) else { continue };
        if let Some(place) = tree::at(&mut half, &path) {
            *place = number.with(number.value / 2);
        }
    }
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_by_half() {
        let form = Form::parse(
            "[[producer]]\nrecords = 40\nconfig = { records = 3 }\n[[step]]\nat = \"3s\"\nwhen = { fact = \"x\", last-offset = \">= 9\", times = 1, to = 8, leader-epoch = 4 }\n",
        );
        let half = halved(&form.expect("it is TOML"), &["at"]).text();
        for wanted in
            ["records = 20", "records = 3 ", "at = \"1500ms\"", "\">= 4\"", "times = 1", " to = 4", "leader-epoch = 4"]
        {
            assert!(half.contains(wanted), "{half}");
        }
    }

    #[test]
    fn smaller_ones_come_ever_nearer() {
        let number = Number { value: 20, least: 1, sign: None };
        assert_eq!(number.smaller(), [1, 10, 15, 18, 19].map(Value::Integer));
        let number = Number { value: 15_000, least: 1, sign: None };
        assert_eq!(number.smaller().len(), 14);
        let number = Number { value: 1, least: 0, sign: Some(">= ".into()) };
        assert_eq!(number.smaller(), [Value::String(">= 0".into())]);
    }
}

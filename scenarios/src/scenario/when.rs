//! What a step waits for: a fact, and conditions on its fields.

use std::ops::Range;

use ackproof_sim::faults::{Condition, FactPattern};
use serde_json::json;

use super::amounts::Between;
use super::reading::Reading;
use crate::document::steps::Pattern;
use crate::document::{Value, Written};
use crate::facts::{check_field, facts, has_field};

/// A pattern, and how many such facts it takes if the seed draws that.
pub(super) struct Waited {
    pub pattern: FactPattern,
    pub times: Between<u64>,
}

impl Reading<'_> {
    /// Reads one `{ fact = .., .. }`.
    pub fn waited(&mut self, pattern: &Pattern, span: Range<usize>) -> Option<Waited> {
        let key = |name: &str| pattern.iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value);
        let all_facts = facts();
        let Some(fact) = key("fact") else {
            let found = self.error(span, "`fact` is missing here");
            self.report(found.remedy("say which fact is waited for: { fact = \"appended\", .. }"));
            return None;
        };
        let kind = fact.to_string();
        let Some(fields) = all_facts.get(kind.as_str()) else {
            let found = self.error(fact.span(), format!("there is no fact `{kind}`"));
            self.report(found.nearest(&kind, all_facts.keys().copied()));
            return None;
        };
        let node = key("node").map(|nodes| self.nodes(nodes));
        let times = key("times").map_or(Some(Between { low: 1, high: 1 }), |times| self.number_or_range(times));
        let mut conditions = Some(Vec::new());
        for (name, value) in pattern {
            if ["fact", "node", "times"].contains(&name.as_str()) {
                continue;
            }
            match self.field(&kind, fields, name, value) {
                Some(condition) => conditions.iter_mut().for_each(|list| list.push(condition.clone())),
                None => conditions = None,
            }
        }
        let node = match node {
            None => None,
            Some(selector) => Some(selector?),
        };
        let times = times?;
        Some(Waited { pattern: FactPattern { kind, node, fields: conditions?, times: times.low }, times })
    }

    fn field(
        &mut self,
        fact: &str,
        fields: &[&str],
        name: &Written<String>,
        value: &Written<Value>,
    ) -> Option<(String, Condition)> {
        let field = name.replace('-', "_");
        let (first, inside) = field.split_once('.').map_or((field.as_str(), None), |(first, rest)| (first, Some(rest)));
        if !fields.contains(&first) || (inside.is_some() && !has_field(fact, &field)) {
            let known: Vec<String> = fields.iter().map(|field| field.replace('_', "-")).collect();
            let found = self.error(name.span(), format!("the fact `{fact}` has no `{}`", name.as_str()));
            let known = known.iter().map(String::as_str).chain(["node", "times"]);
            self.report(found.nearest(name, known));
            return None;
        }
        let condition = match condition(fact, &field, value) {
            Ok(condition) => condition,
            Err(why) => {
                let message = format!("the `{}` of `{fact}` can never be so", name.as_str());
                self.report(self.error(value.span(), message).remedy(possible(&why)));
                return None;
            }
        };
        if field == "partition"
            && let Value::Text(text) = &**value
            && let Condition::Is(_) = condition
        {
            self.partition(text, value.span())?;
        }
        Some((field, condition))
    }
}

/// What the field can be, from what serde says that it cannot.
fn possible(why: &str) -> String {
    let expected =
        why.split_once(", expected ").map(|(_, expected)| expected.split(" at line").next().unwrap_or(expected));
    match expected {
        Some("string or map" | "a string") => "it is a text".to_owned(),
        Some("i64" | "i32" | "i16" | "u64" | "u32") => "it is a number: 6, \">= 6\"".to_owned(),
        Some("a boolean") => "it is true or false".to_owned(),
        Some("a sequence") => "it is a list of numbers: \"contains 2\", \"length 1\", [1, 2]".to_owned(),
        Some(names) => format!("it can be {names}"),
        None => why.to_owned(),
    }
}

/// Makes a condition of the number in it.
type OfNumber = fn(i64) -> Option<Condition>;

/// Reads a condition and makes sure that the field could meet it.
fn condition(fact: &str, field: &str, value: &Value) -> Result<Condition, String> {
    let text = match value {
        Value::Text(text) => text.trim(),
        Value::Integer(_) | Value::Bool(_) | Value::List(_) => {
            let literal = literal(value);
            check_field(fact, field, &literal)?;
            return Ok(Condition::Is(literal));
        }
    };
    if let Some(unwanted) = text.strip_prefix("!=") {
        return literal_of_text(fact, field, unwanted.trim()).map(Condition::IsNot);
    }
    let words: [(&str, OfNumber); 7] = [
        (">=", |number| Some(Condition::AtLeast(number))),
        ("<=", |number| Some(Condition::AtMost(number))),
        (">", |number| number.checked_add(1).map(Condition::AtLeast)),
        ("<", |number| number.checked_sub(1).map(Condition::AtMost)),
        ("contains ", |number| Some(Condition::Contains(number))),
        ("without ", |number| Some(Condition::Lacks(number))),
        ("length ", |number| u64::try_from(number).ok().map(Condition::Length)),
    ];
    for (word, make) in words {
        if let Some(rest) = text.strip_prefix(word)
            && let Ok(number) = rest.trim().parse::<i64>()
        {
            let condition = make(number).ok_or_else(|| format!("{number} is out of range"))?;
            check_field(fact, field, &example(&condition))?;
            return Ok(condition);
        }
    }
    literal_of_text(fact, field, text).map(Condition::Is)
}

/// A value that meets the condition, as far as its type goes.
fn example(condition: &Condition) -> serde_json::Value {
    match condition {
        Condition::Is(value) | Condition::IsNot(value) => value.clone(),
        Condition::AtLeast(number) | Condition::AtMost(number) => json!(number),
        Condition::Contains(number) => json!([number]),
        Condition::Lacks(_) | Condition::Length(_) => json!([]),
    }
}

/// A text, or the number in it if the field is one.
fn literal_of_text(fact: &str, field: &str, text: &str) -> Result<serde_json::Value, String> {
    let as_text = json!(text);
    let Err(why) = check_field(fact, field, &as_text) else { return Ok(as_text) };
    let Ok(number) = text.parse::<i64>() else { return Err(why) };
    let as_number = json!(number);
    check_field(fact, field, &as_number).map(|()| as_number)
}

fn literal(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Bool(truth) => json!(truth),
        Value::List(list) => list.iter().map(|element| literal(element)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fact: &str, field: &str, text: &str) -> Result<Condition, String> {
        condition(fact, field, &Value::Text(text.into()))
    }

    #[test]
    fn conditions_fit_their_fields() {
        assert_eq!(read("appended", "last_offset", ">= 6"), Ok(Condition::AtLeast(6)));
        assert_eq!(read("appended", "last_offset", "< 6"), Ok(Condition::AtMost(5)));
        assert_eq!(read("appended", "role", "leader"), Ok(Condition::Is(json!("leader"))));
        assert_eq!(read("isr-changed", "to", "length 1"), Ok(Condition::Length(1)));
        assert_eq!(read("isr-changed", "to", "contains 2"), Ok(Condition::Contains(2)));
        assert_eq!(read("record-acknowledged", "record.number", ">= 5"), Ok(Condition::AtLeast(5)));
        assert_eq!(read("produce-answered", "to.client", "0"), Ok(Condition::Is(json!(0))));
        assert_eq!(read("produce-answered", "error", "!= NONE"), Ok(Condition::IsNot(json!("NONE"))));
    }

    #[test]
    fn what_can_never_be_is_refused() {
        for (fact, field, text) in [
            ("appended", "role", ">= 6"),
            ("appended", "last_offset", "contains 2"),
            ("appended", "role", "leder"),
            ("isr-changed", "to", ">= 2"),
            ("produce-answered", "error", "!= NOON"),
        ] {
            assert!(read(fact, field, text).is_err(), "{fact} {field} {text}");
        }
    }
}

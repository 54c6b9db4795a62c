//! Overrides, held against a schema: what a configuration is built from.
//!
//! Kafka warns of unknown names and goes on; here they are problems, because a misspelt property is the most common
//! way in which a configuration is not what its owner believes.

use std::collections::BTreeMap;

use super::definition::{Definition, Value};
use super::known::NoEffect;
use super::property::{ConfigProblem, Part, Property, Resolved};
use super::{ConfigKind, KafkaVersion};
use crate::types::{Duration, Ratio};

/// The properties of one kind of configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema {
    pub kind: ConfigKind,
    pub definitions: &'static [Definition],
    pub no_effect: &'static [&'static [NoEffect]],
}

/// Prefixes under which plug-ins and listeners keep properties of their own.
const OPEN_PREFIXES: &[&str] = &["listener.name.", "rsm.config.", "rlmm.config.", "config.providers"];

impl Schema {
    /// The property of this name, if it does something.
    pub fn definition(&self, name: &str) -> Option<&'static Definition> {
        self.definitions.iter().find(|definition| definition.name == name)
    }

    /// Why the property of this name does nothing here.
    pub fn no_effect(&self, name: &str) -> Option<&'static str> {
        let group = self.no_effect.iter().copied().flatten().find(|group| group.has(name));
        let open = || OPEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)).then_some("it belongs to a plug-in");
        group.map(|group| group.why).or_else(open)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        let without = self.no_effect.iter().copied().flatten().flat_map(NoEffect::names);
        self.definitions.iter().map(|definition| definition.name).chain(without)
    }
}

/// The values of one configuration, explicit or by default.
pub(super) struct Values {
    schema: Schema,
    pub version: KafkaVersion,
    explicit: BTreeMap<&'static str, (usize, Value)>,
    problems: Vec<ConfigProblem>,
    no_effect: Vec<(String, String)>,
    notices: Vec<String>,
}

impl Values {
    /// Holds each override against the schema. A name that comes twice counts as it stands last, as in Java.
    pub fn read(schema: Schema, version: KafkaVersion, overrides: &[Property]) -> Values {
        let mut values = Values {
            schema,
            version,
            explicit: BTreeMap::new(),
            problems: Vec::new(),
            no_effect: Vec::new(),
            notices: Vec::new(),
        };
        for (index, property) in overrides.iter().enumerate() {
            values.read_one(index, property);
        }
        values
    }

    fn read_one(&mut self, index: usize, property: &Property) {
        let name = property.name.as_str();
        let Some(definition) = self.schema.definition(name) else {
            match self.schema.no_effect(name) {
                Some(why) => self.no_effect.push((name.to_owned(), why.to_owned())),
                None => self.problems.push(unknown(self.schema, index, name)),
            }
            return;
        };
        if let Some(why) = definition.unknown_to(self.version) {
            self.no_effect.push((name.to_owned(), why));
            return;
        }
        match definition.read(self.version, &property.value) {
            Ok(value) => {
                if self.explicit.insert(definition.name, (index, value)).is_some() {
                    self.notices.push(format!("{name} is set more than once; the last value counts"));
                }
            }
            Err(reason) => {
                let message = format!("Invalid value {} for configuration {name}: {reason}", property.value);
                let suggestion = suggest_value(definition, &property.value);
                self.problems.push(ConfigProblem {
                    name: name.to_owned(),
                    index,
                    part: Part::Value,
                    message,
                    suggestion,
                });
            }
        }
    }

    /// Whether a property was set.
    pub fn is_set(&self, name: &str) -> bool {
        self.explicit.contains_key(name)
    }

    /// Says that a property contradicts others.
    pub fn refuse(&mut self, name: &str, message: impl Into<String>) {
        let index = self.explicit.get(name).map_or(0, |(index, _)| *index);
        let message = message.into();
        self.problems.push(ConfigProblem {
            name: name.to_owned(),
            index,
            part: Part::Value,
            message,
            suggestion: None,
        });
    }

    /// Says something that the owner should know.
    pub fn notice(&mut self, notice: impl Into<String>) {
        self.notices.push(notice.into());
    }

    /// Says that a property, if it was set, does nothing after all.
    pub fn without_effect(&mut self, name: &str, why: &str) {
        if self.is_set(name) {
            self.no_effect.push((name.to_owned(), why.to_owned()));
        }
    }

    /// The configuration, if nothing is wrong with it.
    pub fn resolved<C>(self, config: C) -> Result<Resolved<C>, Vec<ConfigProblem>> {
        if self.problems.is_empty() {
            Ok(Resolved { config, no_effect: self.no_effect, notices: self.notices })
        } else {
            Err(self.problems)
        }
    }

    /// The value of a property; none is null.
    ///
    /// # Panics
    /// If the schema has no such property or a default that is none: the program is wrong, and its tests say so.
    fn get(&self, name: &str) -> Option<Value> {
        if let Some((_, value)) = self.explicit.get(name) {
            return Some(value.clone());
        }
        let definition = self.schema.definition(name).expect("a property of the schema");
        let default = definition.default(self.version)?;
        Some(definition.read(self.version, default).expect("a default that is valid"))
    }

    pub fn opt_number(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Number(number) => Some(number),
            Value::Boolean(_) | Value::Text(_) => panic!("{name} is no number"),
        }
    }

    pub fn opt_text(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            Value::Boolean(_) | Value::Number(_) => panic!("{name} is no text"),
        }
    }

    pub fn number(&self, name: &str) -> i64 {
        self.opt_number(name).unwrap_or_else(|| panic!("{name} has no default"))
    }

    pub fn text(&self, name: &str) -> String {
        self.opt_text(name).unwrap_or_else(|| panic!("{name} has no default"))
    }

    pub fn boolean(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Boolean(value)) => value,
            Some(Value::Number(_) | Value::Text(_)) | None => panic!("{name} is no boolean"),
        }
    }

    pub fn int(&self, name: &str) -> i32 {
        i32::try_from(self.number(name)).expect("a property of type INT")
    }

    pub fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).expect("a size is not negative")
    }

    pub fn count(&self, name: &str) -> u64 {
        u64::try_from(self.number(name)).expect("a count is not negative")
    }

    /// A property of type DOUBLE from 0 to 1.
    pub fn ratio(&self, name: &str) -> Ratio {
        let millionths = u32::try_from(self.number(name)).expect("a ratio is at most 1");
        Ratio::new(millionths, 1_000_000)
    }

    pub fn opt_millis(&self, name: &str) -> Option<Duration> {
        self.opt_number(name).map(millis)
    }

    pub fn millis(&self, name: &str) -> Duration {
        millis(self.number(name))
    }
}

/// Kafka's largest number of milliseconds is for ever, and so is -1 where it is allowed at all.
pub(super) fn millis(number: i64) -> Duration {
    u64::try_from(number).map_or(Duration::FOREVER, Duration::from_millis)
}

fn unknown(schema: Schema, index: usize, name: &str) -> ConfigProblem {
    let elsewhere = ConfigKind::ALL.into_iter().find(|kind| {
        let other = kind.schema();
        *kind != schema.kind && other.names().any(|known| known == name)
    });
    let message = match elsewhere {
        Some(kind) => format!("`{name}` is a property of a {kind}, not of a {}", schema.kind),
        None => format!("unknown {} property `{name}`", schema.kind),
    };
    let suggestion = nearest(name, schema.names(), '.').map(str::to_owned);
    ConfigProblem { name: name.to_owned(), index, part: Part::Name, message, suggestion }
}

/// The known word that was probably meant.
/// Its parts are joined by `joint`, whatever the writer joined them with.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>, joint: char) -> Option<&'a str> {
    if word.len() > 100 {
        return None;
    }
    // A third of the word may be wrong, and more than that says nothing.
    let limit = (word.chars().count() / 3).min(6);
    let lowercase = word.to_lowercase().replace(['.', '_', '-'], joint.encode_utf8(&mut [0; 4]));
    known
        .map(|name| (strsim::damerau_levenshtein(&lowercase, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

fn suggest_value(definition: &Definition, value: &str) -> Option<String> {
    let value = value.trim();
    match definition.kind {
        super::Kind::Choice(words) | super::Kind::List(words) => words
            .iter()
            .find(|word| word.eq_ignore_ascii_case(value))
            .copied()
            .or_else(|| nearest(value, words.iter().copied(), '_'))
            .map(str::to_owned),
        super::Kind::Boolean => nearest(value, ["true", "false"].into_iter(), '_').map(str::to_owned),
        super::Kind::Number { .. } if definition.name.ends_with(".ms") => in_millis(value),
        super::Kind::Number { .. } => {
            Some(value.replace(['_', ','], "")).filter(|plain| plain != value && plain.parse::<i64>().is_ok())
        }
        super::Kind::Text | super::Kind::Ratio => None,
    }
}

/// `10s` is 10000: Kafka's times are plain numbers.
fn in_millis(value: &str) -> Option<String> {
    let digits = value.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = value[..digits].parse().ok()?;
    let unit = match value[digits..].trim().trim_start_matches('_') {
        "ms" => 1,
        "s" | "sec" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit).map(|millis| millis.to_string())
}

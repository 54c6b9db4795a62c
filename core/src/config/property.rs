//! A property as somebody wrote it, and what can be said about it.

use std::fmt;

/// A stretch of a text. Lines and columns count from 1, columns in characters; all zero is nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
    /// The line of the first byte.
    pub line: u32,
    /// The column of the first byte.
    pub column: u32,
}

/// Where a property was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: Span,
    /// Its value.
    pub value: Span,
}

/// A name and a value from a `.properties` file, a table of a scenario or a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Property {
    /// The name, `replica.lag.time.max.ms`.
    pub name: String,
    /// The value as text.
    pub value: String,
    /// Where it stands.
    pub place: Place,
}

impl Property {
    /// A property from nowhere in particular.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Property {
        Property { name: name.into(), value: value.into(), place: Place::default() }
    }
}

/// What a configuration is with defaults and overrides taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<C> {
    /// The configuration in effect.
    pub config: C,
    /// Properties that were set and change nothing here: their name, and why.
    pub no_effect: Vec<(String, String)>,
    /// What whoever wrote the properties should know.
    pub notices: Vec<String>,
}

/// A property that Kafka would refuse, or that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The property.
    pub name: String,
    /// Its position among the overrides.
    pub index: usize,
    /// Whether the name or the value is at fault.
    pub part: Part,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

/// A part of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its name.
    Name,
    /// Its value.
    Value,
}

impl ConfigProblem {
    /// The stretch of text at fault, where `overrides` are those that were resolved.
    pub fn span(&self, overrides: &[Property]) -> Option<Span> {
        let place = overrides.get(self.index)?.place;
        Some(match self.part {
            Part::Name => place.name,
            Part::Value => place.value,
        })
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigProblem {}

//! The small values of a scenario file, as they were written: each keeps its place.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, Range};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde_spanned::Spanned;

/// A value with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written<T>(Spanned<T>);

impl<T> Written<T> {
    /// A value at a place.
    pub fn new(value: T, span: Range<usize>) -> Self {
        Self(Spanned::new(span, value))
    }

    /// Which bytes of the file.
    pub fn span(&self) -> Range<usize> {
        self.0.span()
    }
}

impl<T> Deref for Written<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_ref()
    }
}

impl<T: fmt::Display> fmt::Display for Written<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().fmt(f)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Written<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Anything but a table: texts, numbers, truth values, and lists of these.
///
/// What may stand where is said when the document is understood, so that several mistakes are told at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// In quotes. Also numbers with a decimal point, which are kept as text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Bool(bool),
    /// In brackets.
    List(Vec<Written<Value>>),
}

impl Value {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Integer(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::List(_) => "a list",
        }
    }
}

impl fmt::Display for Value {
    /// As it would stand in a `.properties` file: lists with commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Integer(number) => number.fmt(f),
            Value::Bool(truth) => truth.fmt(f),
            Value::List(list) => {
                let texts: Vec<String> = list.iter().map(|element| element.to_string()).collect();
                f.write_str(&texts.join(","))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false, or a list of these")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Integer(number))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Text(number.to_string()))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
                Ok(Value::Text(number.to_string()))
            }
            fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
                Ok(Value::Bool(truth))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = elements.next_element()? {
                    list.push(element);
                }
                Ok(Value::List(list))
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Properties by Kafka's own names.
pub type Properties = BTreeMap<Written<String>, Written<Value>>;

impl JsonSchema for Value {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean", "array"] })
    }
}

/// For editors: what may stand where this crate reads a `String` or a [`Value`].
macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident: $schema:tt;)*) => {
        $(
            $(#[$doc])*
            pub(super) struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!($schema)
                }
            }
        )*
    };
}

schemas! {
    /// `5s`
    Time: {
        "type": "string", "examples": ["200us", "5s", "1m 30s"],
        "description": "A length of time with its unit: ns, us, ms, s, m, h."
    };
    /// `1s..3s`
    TimeOrRange: {
        "type": "string", "examples": ["5s", "1s..3s"],
        "description": "A length of time, or a range of them from which the seed draws one."
    };
    /// `+5s`
    SignedTime: {
        "type": "string", "examples": ["+5s", "-1h"],
        "description": "A length of time with its sign."
    };
    /// `orders-0`
    PartitionName: {
        "type": "string", "pattern": "^.+-[0-9]+$", "examples": ["orders-0"],
        "description": "A partition: its topic, a dash, its number from 0."
    };
    /// `1/100`
    Fraction: {
        "type": "string", "pattern": "^[0-9]+/[0-9]+$", "examples": ["1/100"],
        "description": "A probability as a fraction."
    };
    /// `0..20`
    SeedRange: {
        "type": "string", "pattern": "^[0-9]+(\\.\\.[0-9]+)?$", "examples": ["0..20"],
        "description": "Seeds from .. up to but without the last; or a single one."
    };
    /// `3.9`
    Version: {
        "type": "string", "pattern": "^[0-9]+\\.[0-9]+(\\.[0-9]+)?$", "examples": ["2.2", "3.9", "4.1"],
        "description": "A Kafka version, from which defaults and behaviour follow."
    };
    /// `leader of orders-0`
    Nodes: {
        "description": "Nodes by role or name, or a list of them: `leader of orders-0`, `a follower of orders-0`, \
            `followers of orders-0`, `in-sync followers of orders-0`, `isr of orders-0`, `replicas of orders-0`, `broker 2`, \
            `rack r1`, `controller`, `all brokers`, `all clients`, a client's name, a name given by `as`; `X except Y`.",
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }]
    };
    /// `"all"`, `[0, 1]`
    Partitions: {
        "description": "`all` or a list of partition numbers.",
        "anyOf": [{ "const": "all" }, { "type": "array", "items": { "type": "integer", "minimum": 0 } }]
    };
    /// `3`, `">= 1"`
    Count: {
        "description": "How many: 3, \">= 1\", \"<= 5\", \"1..10\" (both ends included).",
        "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^ *(>=|<=|<|>|=)? *[0-9]+( *\\.\\. *[0-9]+)? *$" }]
    };
    /// `3`, `"1..100"`
    NumberOrRange: {
        "description": "A number, or a range from which the seed draws one: 3, \"1..100\" (both ends included).",
        "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "pattern": "^[0-9]+\\.\\.[0-9]+$" }]
    };
    /// `{ fact = "appended", .. }`
    FactPatterns: {
        "description": "The fact that is waited for: its name as `fact`, and its fields.",
        "anyOf": [{ "$ref": "#/$defs/FactPattern" }, { "type": "array", "items": { "$ref": "#/$defs/FactPattern" } }]
    };
}

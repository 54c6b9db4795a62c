//! A scenario file as it was written: every key and value with its place.
//!
//! Nothing is understood here beyond names and types; that is [`crate::scenario`]'s work. Each part of the file is
//! read by itself, so that a mistake in one does not hide the mistakes in the others.
//!
//! The format is described in `docs/scenario-format.md` and, for editors, by `scenario.schema.json`.

pub mod clients;
pub mod cluster;
pub mod consumers;
pub mod expect;
pub mod faults;
pub mod operations;
pub mod steps;
pub mod values;

use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

pub use clients::{AtEnd, Client, ClientKind, OnError, Producer, ProducerKind};
pub use cluster::{Assignments, Broker, Cluster, Controller, Disk, Network, Replicas, Requests, Topic};
pub use consumers::{
    ByPattern, Commit, CommitFailure, CommitMode, Consumer, ConsumerKind, Fails, Group, OnFailure, OnStop, Persistence,
    Sink, Store, StoreKind, Subscribe, Then,
};
pub use expect::{
    Counts, Expect, ExpectedAnomaly, ExpectedInvariant, Fix, FixedCluster, FixedConsumer, FixedProducer, FixedTopic,
    Mutation,
};
pub use values::{Properties, Value, Written};

use crate::diagnostics::{Diagnostic, Diagnostics, Source};
use steps::Step;

/// The version of the format that this program reads.
pub const FORMAT: u32 = 1;

/// No file is read beyond this many syntax errors.
const SYNTAX_ERRORS_MAX: usize = 5;

/// A scenario file.
#[derive(Clone, Debug, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Document {
    /// The version of this format: 1.
    pub format: Option<Written<u32>>,
    /// What happens, in one line.
    pub title: Option<Written<String>>,
    /// The rows of the failure catalog that it shows.
    pub catalog: Vec<Written<String>>,
    /// The story, in prose.
    pub story: Option<Written<String>>,
    /// The seeds that are tests.
    pub seeds: Option<Written<Seeds>>,
    /// Virtual time after which the run ends if programs or faults are not through; 10m if not given.
    #[schemars(with = "Option<values::Time>")]
    pub time_limit: Option<Written<String>>,
    /// How long the cluster may take to come to rest after the last send and the last step; 2m if not given.
    #[schemars(with = "Option<values::Time>")]
    pub settle_limit: Option<Written<String>>,
    /// The brokers.
    pub cluster: Option<Written<Cluster>>,
    /// The topics.
    pub topic: Vec<Written<Topic>>,
    /// The producers.
    pub producer: Vec<Written<Producer>>,
    /// The consumers.
    pub consumer: Vec<Written<Consumer>>,
    /// Properties of groups.
    pub group: Vec<Written<Group>>,
    /// The clients that a test of your own uses.
    pub client: Vec<Written<Client>>,
    /// The stores outside Kafka.
    pub store: Vec<Written<Store>>,
    /// What is done to the cluster.
    pub step: Vec<Written<Step>>,
    /// What the run must show.
    pub expect: Option<Written<Expect>>,
    /// The smallest change under which the same seed shows no anomaly.
    pub fix: Option<Written<Fix>>,
    /// The historical fix without which this goes wrong.
    pub mutation: Option<Written<Mutation>>,
}

/// The seeds that are tests.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Seeds {
    /// `cargo test` runs these; 0..4 if not given.
    #[schemars(with = "Option<values::SeedRange>")]
    pub test: Option<Written<String>>,
    /// Seeds that once showed a bug; always run.
    pub regression: Vec<Written<u64>>,
}

impl Document {
    /// Reads a file. The error has everything that is wrong with its names and types.
    pub fn read(source: &Arc<Source>) -> Result<Document, Diagnostics> {
        let mut found = Diagnostics::default();
        if source.text.trim().is_empty() {
            let remedy = "a scenario has at least a title, a [cluster], a [[topic]], a [[producer]] and [expect]; see `ackproof schema`";
            return Err(Diagnostic::about_file(source, "the file is empty").remedy(remedy).into());
        }
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
            found.push(from_toml(source, error, 0..0));
        }
        if !found.is_empty() {
            return Err(found);
        }
        let mut reader = Reader { source, found };
        let document = reader.document(table.into_inner());
        reader.found.sort();
        if reader.found.is_empty() { Ok(document) } else { Err(reader.found) }
    }
}

/// The keys of a scenario file.
const KEYS: [&str; 18] = [
    "format",
    "title",
    "catalog",
    "story",
    "seeds",
    "time-limit",
    "settle-limit",
    "cluster",
    "topic",
    "producer",
    "consumer",
    "group",
    "client",
    "store",
    "step",
    "expect",
    "fix",
    "mutation",
];

struct Reader<'a> {
    source: &'a Arc<Source>,
    found: Diagnostics,
}

impl Reader<'_> {
    fn document(&mut self, table: DeTable<'_>) -> Document {
        let mut document = Document::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "format" => document.format = self.one(&key, value),
                "title" => document.title = self.one(&key, value),
                "catalog" => document.catalog = self.one(&key, value).unwrap_or_default(),
                "story" => document.story = self.one(&key, value),
                "seeds" => document.seeds = self.one(&key, value),
                "time-limit" => document.time_limit = self.one(&key, value),
                "settle-limit" => document.settle_limit = self.one(&key, value),
                "cluster" => document.cluster = self.one(&key, value),
                "topic" => document.topic = self.many(&key, value),
                "producer" => document.producer = self.many(&key, value),
                "consumer" => document.consumer = self.many(&key, value),
                "group" => document.group = self.many(&key, value),
                "client" => document.client = self.many(&key, value),
                "store" => document.store = self.many(&key, value),
                "step" => document.step = self.many(&key, value),
                "expect" => document.expect = self.one(&key, value),
                "fix" => document.fix = self.one(&key, value),
                "mutation" => document.mutation = self.one(&key, value),
                unknown => {
                    let message = format!("unknown key `{unknown}`");
                    self.found.push(Diagnostic::error(self.source, key.span(), message).nearest(unknown, KEYS));
                }
            }
        }
        self.check_format(&document);
        document
    }

    fn check_format(&mut self, document: &Document) {
        if let Some(format) = &document.format
            && **format != FORMAT
        {
            let message = format!("format {} is not known to this program", **format);
            let remedy = format!("this version of ackproof reads format {FORMAT}");
            self.found.push(Diagnostic::error(self.source, format.span(), message).remedy(remedy));
        }
    }

    fn one<T: DeserializeOwned>(&mut self, key: &Spanned<impl AsRef<str>>, value: Spanned<DeValue<'_>>) -> Option<T> {
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(part) => Some(part),
            Err(error) => {
                self.found.push(from_toml(self.source, &error, key.span()));
                None
            }
        }
    }

    fn many<T: DeserializeOwned>(&mut self, key: &Spanned<impl AsRef<str>>, value: Spanned<DeValue<'_>>) -> Vec<T> {
        let span = value.span();
        let DeValue::Array(elements) = value.into_inner() else {
            let name = key.get_ref().as_ref();
            let message = format!("`{name}` is a list of tables");
            self.found.push(Diagnostic::error(self.source, span, message).remedy(format!("write [[{name}]]")));
            return Vec::new();
        };
        elements.into_iter().filter_map(|element| self.one(key, element)).collect()
    }
}

/// Turns what serde or the TOML parser says into words for someone who never saw this code.
fn from_toml(source: &Arc<Source>, error: &toml::de::Error, otherwise: Range<usize>) -> Diagnostic {
    let span = error.span().unwrap_or(otherwise);
    let said = error.message();
    let names: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    if let Some(written) = names.first() {
        let known = || names[1..].iter().copied();
        if said.starts_with("unknown field") {
            return Diagnostic::error(source, span, format!("unknown key `{written}`")).nearest(written, known());
        }
        if said.starts_with("unknown variant") {
            return Diagnostic::error(source, span, format!("`{written}` is not possible here"))
                .nearest(written, known());
        }
        if said.starts_with("missing field") {
            return Diagnostic::error(source, span, format!("`{written}` is missing here"));
        }
    }
    if let Some((found, expected)) = said.trim_start_matches("invalid type: ").split_once(", expected ")
        && said.starts_with("invalid type: ")
    {
        if found.starts_with("integer") && plain(expected).contains("number") {
            return Diagnostic::error(source, span, "this number is too large").remedy("at most 9223372036854775807");
        }
        return Diagnostic::error(source, span, "wrong type")
            .label(format!("this is {}", a(found)))
            .remedy(format!("expected {}", plain(expected)));
    }
    if let Some((found, expected)) = said.trim_start_matches("invalid value: ").split_once(", expected ")
        && said.starts_with("invalid value: ")
    {
        return Diagnostic::error(source, span, format!("{found} is out of range"))
            .remedy(format!("expected {}", plain(expected)));
    }
    Diagnostic::error(source, span, said.lines().next().unwrap_or(said))
}

fn a(found: &str) -> String {
    let kind = found.split(' ').next().unwrap_or(found);
    match kind {
        "string" => "a text".into(),
        "integer" => "a whole number".into(),
        "boolean" => "true or false".into(),
        "floating" => "a number with a decimal point".into(),
        "map" => "a table".into(),
        "sequence" => "a list".into(),
        _ => found.into(),
    }
}

/// Rust's names of types in plain words.
fn plain(expected: &str) -> String {
    match expected {
        "u32" | "u64" => "a whole number from 0".into(),
        "i16" | "i32" | "i64" => "a whole number".into(),
        "a string" | "string" => "a text in quotes".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list in [ ]".into(),
        "a map" => "a table in { }".into(),
        _ if expected.starts_with("struct ") => "a table".into(),
        _ => expected.into(),
    }
}

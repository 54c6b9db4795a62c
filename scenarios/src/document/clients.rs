//! `[[producer]]` and `[[client]]`, as they were written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{Properties, Time, Version, Written};

/// A process that sends.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Producer {
    /// Its name: how steps and reports call it.
    pub name: Written<String>,
    /// Where it sends.
    pub topic: Written<String>,
    /// Which client it uses; the Java client if not given.
    #[serde(default)]
    pub kind: ProducerKind,
    /// The client's Kafka version; that of the cluster if not given.
    #[schemars(with = "Option<Version>")]
    pub kafka: Option<Written<String>>,
    /// A file of producer properties, relative to the scenario file.
    pub config_file: Option<Written<String>>,
    /// Producer properties by Kafka's names. They win over `config-file`.
    #[serde(default)]
    pub config: Properties,
    /// How many records it sends.
    pub records: Written<u64>,
    /// The pause after each `send()`, or after each burst; none if not given.
    #[schemars(with = "Option<Time>")]
    pub every: Option<Written<String>>,
    /// How many records are sent before each pause; 1 if not given.
    pub burst: Option<Written<u64>>,
    /// When the process starts, counted from the moment when the cluster is ready; 0s if not given.
    #[schemars(with = "Option<Time>")]
    pub starts_after: Option<Written<String>>,
    /// When it sends its first record, counted from its start; 0s if not given.
    #[schemars(with = "Option<Time>")]
    pub first_after: Option<Written<String>>,
    /// The key of each record: `{n}` is its number from 0, `{n%5}` the remainder. No key if not given.
    pub key: Option<Written<String>>,
    /// The value of each record; `{n}` if not given.
    pub value: Option<Written<String>>,
    /// Every value is filled with dots up to so many bytes.
    pub value_bytes: Option<Written<u32>>,
    /// Values are null: each record deletes its key.
    #[serde(default)]
    pub tombstones: bool,
    /// The partition; the partitioner chooses if not given.
    pub partition: Option<Written<i32>>,
    /// What the program does when a callback, or `send()` itself, brings an error.
    #[serde(default)]
    pub on_error: Option<Written<OnError>>,
    /// What it does after its last record.
    pub at_end: Option<Written<AtEnd>>,
    /// With `at-end = "close"`: the timeout of `close()`; for ever if not given.
    #[schemars(with = "Option<Time>")]
    pub close_timeout: Option<Written<String>>,
    /// With `at-end = "exit"`: how long after the last `send()`; 0s if not given.
    #[schemars(with = "Option<Time>")]
    pub exit_after: Option<Written<String>>,
}

/// Which producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ProducerKind {
    /// `org.apache.kafka.clients.producer.KafkaProducer`.
    #[default]
    #[serde(rename = "java")]
    Java,
    /// `kafka.producer.Producer`, the Scala producer of 0.8.
    #[serde(rename = "legacy-0.8")]
    Legacy,
}

/// What a program does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// It goes on with the next record (the default).
    Ignore,
    /// It sends the same record again.
    Resend,
    /// It sends no more.
    Stop,
}

/// What a producing program does after its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtEnd {
    /// `close()`, which waits for everything that is pending (the default).
    Close,
    /// `flush()`, and the process stays.
    Flush,
    /// It returns from `main` without `close()`: what is pending dies with the process.
    Exit,
}

/// A client whose program is a test of your own, in Rust: `ackproof::simulate`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Client {
    /// Its name: how the test asks for it, and how steps and reports call it.
    pub name: Written<String>,
    /// What it is.
    pub kind: Written<ClientKind>,
    /// Its Kafka version; that of the cluster if not given.
    #[schemars(with = "Option<Version>")]
    pub kafka: Option<Written<String>>,
    /// A file of its properties, relative to the scenario file.
    pub config_file: Option<Written<String>>,
    /// Its properties by Kafka's names. They win over `config-file`.
    #[serde(default)]
    pub config: Properties,
}

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientKind {
    /// `org.apache.kafka.clients.producer.KafkaProducer`.
    Producer,
    /// `org.apache.kafka.clients.consumer.KafkaConsumer`.
    Consumer,
    /// `org.apache.kafka.clients.admin.Admin`.
    Admin,
}

//! Kafka's configuration: real property names, real defaults per Kafka version.
//!
//! A field is the property name in snake_case (`replica.lag.time.max.ms` is `replica_lag_time_max_ms`); times are
//! [`Duration`], whatever unit the property has.
//!
//! Each kind of configuration has one table of its properties ([`Definition`]) and a `resolve`, which holds overrides
//! against it: unknown names, values that Kafka would refuse and contradictions are [`ConfigProblem`]s; names that Kafka
//! knows and the simulation has no use for are said aloud in [`Resolved::no_effect`].

use std::fmt;

mod assignor;
pub mod broker;
pub mod consumer;
pub mod definition;
pub mod dynamic;
mod groups;
mod known;
pub mod legacy_producer;
pub mod producer;
pub mod properties;
pub mod property;
mod request_times;
mod shares;
mod toggles;
pub mod topic;
mod values;
mod version;

pub use assignor::{Assignor, ServerAssignor};
pub use broker::{BrokerConfig, MetadataMode, ReplicaSelector};
pub use consumer::{AcknowledgementMode, AutoOffsetReset, ConsumerConfig, GroupProtocol};
pub use definition::{Definition, Kind};
pub use groups::GroupsConfig;
pub use legacy_producer::{LegacyProducerConfig, LegacyProducerType};
pub use producer::ProducerConfig;
pub use property::{ConfigProblem, Part, Place, Property, Resolved, Span};
pub use request_times::RequestTimes;
pub use shares::{ShareConfig, validate_group_property};
pub use toggles::{ToggleError, Toggles, Truncation};
pub use topic::{CleanupPolicy, LogConfig, TimestampType};
pub use version::{KafkaVersion, UnknownVersion};

use crate::types::Duration;

/// What a set of properties configures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigKind {
    /// `server.properties`.
    Broker,
    /// The overrides of a topic.
    Topic,
    /// `producer.properties` of the Java client.
    Producer,
    /// `consumer.properties` of the Java client.
    Consumer,
    /// `producer.properties` of the Scala client of 0.8.
    LegacyProducer,
}

/// A property as a schema or a page of documentation shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyInfo {
    /// Kafka's name.
    pub name: &'static str,
    /// Its type and range; none for a property without effect, which may be anything.
    pub kind: Option<Kind>,
    /// The default; none is null.
    pub default: Option<&'static str>,
    /// One sentence; empty for a property without effect.
    pub doc: &'static str,
    /// Why it has no effect here; none if it has one.
    pub no_effect: Option<String>,
}

impl ConfigKind {
    /// All of them.
    pub const ALL: [ConfigKind; 5] =
        [ConfigKind::Broker, ConfigKind::Topic, ConfigKind::Producer, ConfigKind::Consumer, ConfigKind::LegacyProducer];

    /// Every property of this kind that is accepted under a version: first those that do something, in the order of their
    /// tables, then those that do not.
    pub fn properties(self, version: KafkaVersion) -> Vec<PropertyInfo> {
        let schema = self.schema();
        let with_effect = schema.definitions.iter().map(|definition| PropertyInfo {
            name: definition.name,
            kind: Some(definition.kind(version)),
            default: definition.default(version),
            doc: definition.doc,
            no_effect: definition.unknown_to(version),
        });
        let without = schema.no_effect.iter().copied().flatten().flat_map(|group| {
            let info =
                |name| PropertyInfo { name, kind: None, default: None, doc: "", no_effect: Some(group.why.to_owned()) };
            group.names().map(info)
        });
        with_effect.chain(without).collect()
    }

    fn schema(self) -> values::Schema {
        match self {
            ConfigKind::Broker => broker::SCHEMA,
            ConfigKind::Topic => topic::SCHEMA,
            ConfigKind::Producer => producer::SCHEMA,
            ConfigKind::Consumer => consumer::SCHEMA,
            ConfigKind::LegacyProducer => legacy_producer::SCHEMA,
        }
    }
}

impl fmt::Display for ConfigKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConfigKind::Broker => "broker",
            ConfigKind::Topic => "topic",
            ConfigKind::Producer => "producer",
            ConfigKind::Consumer => "consumer",
            ConfigKind::LegacyProducer => "Scala producer",
        })
    }
}

/// `connections.max.idle.ms`: negative is never.
fn max_idle(values: &values::Values) -> Option<Duration> {
    let is_limited = values.number("connections.max.idle.ms") >= 0;
    is_limited.then(|| values.millis("connections.max.idle.ms"))
}

/// The pause before a client connects again, and what it grows to. Who sets only the pause wants one that does not grow.
fn reconnect_backoff(values: &values::Values) -> (Duration, Duration) {
    let initial = values.millis("reconnect.backoff.ms");
    if values.is_set("reconnect.backoff.ms") && !values.is_set("reconnect.backoff.max.ms") {
        return (initial, initial);
    }
    let max = values.millis("reconnect.backoff.max.ms");
    (initial.min(max), max)
}

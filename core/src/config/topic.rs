//! The configuration of one topic's logs: broker defaults with the topic's own overrides.
//!
//! Kafka: `LogConfig`, `TopicConfig`.

use std::collections::BTreeMap;

use super::definition::{Definition, Kind};
use super::property::{ConfigProblem, Property, Resolved};
use super::values::{Schema, Values};
use super::{BrokerConfig, ConfigKind, KafkaVersion, known};
use crate::types::Duration;

/// Which clock a record's timestamp comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's (`CreateTime`).
    CreateTime,
    /// The leader's, at the append (`LogAppendTime`).
    LogAppendTime,
}

/// Everything a log needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: size at which a segment is full.
    pub segment_bytes: u64,
    /// `segment.ms` (`log.roll.ms`, `log.roll.hours`): age at which a segment is full.
    pub segment_ms: Duration,
    /// `segment.index.bytes`: size of an index at which a segment is full.
    pub segment_index_bytes: u64,
    /// `index.interval.bytes`: bytes between two index entries.
    pub index_interval_bytes: u64,
    /// `flush.messages`: records between two fsyncs.
    pub flush_messages: u64,
    /// `flush.ms`: time between two fsyncs.
    pub flush_ms: Duration,
    /// `max.message.bytes`: the largest batch.
    pub max_message_bytes: u64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: u32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election_enable: bool,
    /// `message.timestamp.type`.
    pub message_timestamp_type: TimestampType,
}

impl TimestampType {
    /// The type of this name; the schema lets no other pass.
    pub(super) fn of(name: &str) -> TimestampType {
        if name == "LogAppendTime" { TimestampType::LogAppendTime } else { TimestampType::CreateTime }
    }
}

/// The properties that do something.
pub(super) const SCHEMA: Schema =
    Schema { kind: ConfigKind::Topic, definitions: DEFINITIONS, no_effect: &[known::TOPIC] };

const V2_5: KafkaVersion = KafkaVersion::new(2, 5);
const V4_0: KafkaVersion = KafkaVersion::new(4, 0);
/// Kafka's `Long.MAX_VALUE`.
const LONG_MAX: Option<&str> = Some("9223372036854775807");

#[rustfmt::skip]
const DEFINITIONS: &[Definition] = &[
    Definition::new("segment.bytes", Kind::int(14), Some("1073741824"), "The size at which a segment is full.").raised(V4_0, 1 << 20),
    Definition::new("segment.ms", Kind::long(1), Some("604800000"), "The age at which a segment is full."),
    Definition::new("segment.index.bytes", Kind::int(4), Some("10485760"), "The size of an index at which a segment is full."),
    Definition::new("index.interval.bytes", Kind::int(0), Some("4096"), "How many bytes lie between two index entries."),
    Definition::new("flush.messages", Kind::long(1), LONG_MAX, "How many records lie between two fsyncs."),
    Definition::new("flush.ms", Kind::long(0), LONG_MAX, "How much time lies between two fsyncs."),
    Definition::new("max.message.bytes", Kind::int(0), Some("1000012"), "The largest batch that the topic takes.").later(&[(V2_5, "1048588")]),
    Definition::new("min.insync.replicas", Kind::int(1), Some("1"), "How many replicas must be in sync for a write with acks=all."),
    Definition::new("unclean.leader.election.enable", Kind::Boolean, Some("false"), "Whether a replica out of sync may lead when no other can; records may be lost."),
    Definition::new("leader.replication.throttled.replicas", Kind::Text, Some(""), "Which replicas count under leader.replication.throttled.rate: partition:broker pairs, or *."),
    Definition::new("message.timestamp.type", Kind::Choice(&["CreateTime", "LogAppendTime"]), Some("CreateTime"), "Whether the producer's clock or the leader's stamps a record."),
];

impl LogConfig {
    /// The configuration of a topic: what the broker has by default, and what the topic overrides.
    pub fn resolve(broker: &BrokerConfig, overrides: &[Property]) -> Result<Resolved<LogConfig>, Vec<ConfigProblem>> {
        let values = Values::read(SCHEMA, broker.version, overrides);
        let mut config = broker.log.clone();
        config.apply(&values);
        values.resolved(config)
    }

    /// These defaults with what a topic overrides. A name that is not modelled, or a value that cannot be read, changes
    /// nothing: what a controller accepted it has checked.
    #[must_use]
    pub fn with_overrides(&self, overrides: &BTreeMap<String, String>) -> LogConfig {
        let overrides: Vec<Property> = overrides.iter().map(|(name, value)| Property::new(name, value)).collect();
        let mut config = self.clone();
        // The oldest profile has the widest ranges.
        config.apply(&Values::read(SCHEMA, KafkaVersion::SUPPORTED[0], &overrides));
        config
    }

    /// Takes over what was set.
    fn apply(&mut self, values: &Values) {
        let set = |name: &str| values.is_set(name);
        if set("segment.bytes") {
            self.segment_bytes = values.count("segment.bytes");
        }
        if set("segment.ms") {
            self.segment_ms = values.millis("segment.ms");
        }
        if set("segment.index.bytes") {
            self.segment_index_bytes = values.count("segment.index.bytes");
        }
        if set("index.interval.bytes") {
            self.index_interval_bytes = values.count("index.interval.bytes");
        }
        if set("flush.messages") {
            self.flush_messages = values.count("flush.messages");
        }
        if set("flush.ms") {
            self.flush_ms = values.millis("flush.ms");
        }
        if set("max.message.bytes") {
            self.max_message_bytes = values.count("max.message.bytes");
        }
        if set("min.insync.replicas") {
            self.min_insync_replicas = u32::try_from(values.count("min.insync.replicas")).unwrap_or(u32::MAX);
        }
        if set("unclean.leader.election.enable") {
            self.unclean_leader_election_enable = values.boolean("unclean.leader.election.enable");
        }
        if set("message.timestamp.type") {
            self.message_timestamp_type = TimestampType::of(&values.text("message.timestamp.type"));
        }
    }
}

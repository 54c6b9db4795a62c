//! The configuration of one topic's logs: broker defaults with the topic's own overrides.
//!
//! Kafka: `LogConfig`, `TopicConfig`.

use std::collections::BTreeMap;

use super::definition::{Definition, Kind};
use super::property::{ConfigProblem, Property, Resolved};
use super::values::{Schema, Values};
use super::{BrokerConfig, ConfigKind, KafkaVersion, known};
use crate::record::Compression;
use crate::types::{Duration, Ratio};

/// Which clock a record's timestamp comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's (`CreateTime`).
    CreateTime,
    /// The leader's, at the append (`LogAppendTime`).
    LogAppendTime,
}

/// What is done with old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Segments beyond `retention.ms` and `retention.bytes` are deleted.
    pub delete: bool,
    /// Of each key the last record is kept.
    pub compact: bool,
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
    /// `message.timestamp.before.max.ms`: how far a timestamp may lie behind the leader's clock.
    pub message_timestamp_before_max_ms: Duration,
    /// `message.timestamp.after.max.ms`: how far ahead of it.
    pub message_timestamp_after_max_ms: Duration,
    /// `segment.jitter.ms`: segments roll earlier by a random part of this.
    pub segment_jitter_ms: Duration,
    /// `compression.type`: none keeps what the producer chose.
    pub compression_type: Option<Compression>,
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `retention.ms`.
    pub retention_ms: Duration,
    /// `retention.bytes`; none is no limit.
    pub retention_bytes: Option<u64>,
    /// `file.delete.delay.ms`: how long a deleted file lies there under another name.
    pub file_delete_delay_ms: Duration,
    /// `delete.retention.ms`: how long the cleaner keeps a tombstone.
    pub delete_retention_ms: Duration,
    /// `min.compaction.lag.ms`: younger records are not compacted.
    pub min_compaction_lag_ms: Duration,
    /// `max.compaction.lag.ms`: older ones are, however clean the log is.
    pub max_compaction_lag_ms: Duration,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: Ratio,
}

impl CleanupPolicy {
    /// The policies in a list; the schema lets no other pass.
    pub(super) fn of(list: &str) -> CleanupPolicy {
        let has = |policy: &str| list.split(',').any(|word| word == policy);
        CleanupPolicy { delete: has("delete"), compact: has("compact") }
    }
}

/// The compression of this name; none for `producer`. The schema lets no other pass.
pub(super) fn compression_of(name: &str) -> Option<Compression> {
    match name {
        "uncompressed" => Some(Compression::None),
        other => Compression::from_name(other),
    }
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

/// What `compression.type` may be.
pub(super) const COMPRESSIONS: Kind = Kind::Choice(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
/// What `cleanup.policy` may be.
pub(super) const POLICIES: Kind = Kind::List(&["compact", "delete"]);

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
    Definition::new("cleanup.policy", POLICIES, Some("delete"), "Whether old segments are deleted, or of each key only the last record is kept, or both."),
    Definition::new("retention.ms", Kind::long(-1), Some("604800000"), "After how long a segment that is no longer written may be deleted."),
    Definition::new("retention.bytes", Kind::LONG, Some("-1"), "Above how many bytes a partition loses its oldest segments."),
    Definition::new("file.delete.delay.ms", Kind::long(0), Some("60000"), "How long a deleted file lies there under another name."),
    Definition::new("delete.retention.ms", Kind::long(0), Some("86400000"), "How long the cleaner keeps a tombstone."),
    Definition::new("min.compaction.lag.ms", Kind::long(0), Some("0"), "How long a record is safe from compaction."),
    Definition::new("max.compaction.lag.ms", Kind::long(1), LONG_MAX, "After how long a record is compacted however clean the log is.").since(2, 3),
    Definition::new("min.cleanable.dirty.ratio", Kind::Ratio, Some("0.5"), "Which part of a log must be dirty before it is compacted."),
    Definition::new("segment.jitter.ms", Kind::long(0), Some("0"), "By how much a segment may be rolled too early."),
    Definition::new("compression.type", COMPRESSIONS, Some("producer"), "How the broker compresses what it stores."),
    Definition::new("message.timestamp.difference.max.ms", Kind::long(0), LONG_MAX, "How far a timestamp may be from the leader's clock.").until(4, 0),
    Definition::new("message.timestamp.before.max.ms", Kind::long(0), LONG_MAX, "How far a timestamp may lie behind the leader's clock.").since(3, 6),
    Definition::new("message.timestamp.after.max.ms", Kind::long(0), LONG_MAX, "How far a timestamp may lie ahead of the leader's clock.").later(&[(V4_0, "3600000")]).since(3, 6),
    Definition::new("follower.replication.throttled.replicas", Kind::Text, Some(""), "Which replicas count under follower.replication.throttled.rate: partition:broker pairs, or *."),
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
    pub fn with_overrides(&self, overrides: &BTreeMap<String, String>, version: KafkaVersion) -> LogConfig {
        let overrides: Vec<Property> = overrides.iter().map(|(name, value)| Property::new(name, value)).collect();
        let mut config = self.clone();
        // The oldest profile has the widest ranges, this one knows more names.
        for version in [KafkaVersion::SUPPORTED[0], version] {
            config.apply(&Values::read(SCHEMA, version, &overrides));
        }
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
        if set("segment.jitter.ms") {
            self.segment_jitter_ms = values.millis("segment.jitter.ms");
        }
        if set("compression.type") {
            self.compression_type = compression_of(&values.text("compression.type"));
        }
        self.apply_timestamp_bounds(values);
        self.apply_retention(values);
    }

    /// The newer names go before the older one, whichever stands first.
    fn apply_timestamp_bounds(&mut self, values: &Values) {
        if values.is_set("message.timestamp.difference.max.ms") {
            let difference = values.millis("message.timestamp.difference.max.ms");
            (self.message_timestamp_before_max_ms, self.message_timestamp_after_max_ms) = (difference, difference);
        }
        if values.is_set("message.timestamp.before.max.ms") {
            self.message_timestamp_before_max_ms = values.millis("message.timestamp.before.max.ms");
        }
        if values.is_set("message.timestamp.after.max.ms") {
            self.message_timestamp_after_max_ms = values.millis("message.timestamp.after.max.ms");
        }
    }

    fn apply_retention(&mut self, values: &Values) {
        let set = |name: &str| values.is_set(name);
        if set("cleanup.policy") {
            self.cleanup_policy = CleanupPolicy::of(&values.text("cleanup.policy"));
        }
        if set("retention.ms") {
            self.retention_ms = values.millis("retention.ms");
        }
        if set("retention.bytes") {
            self.retention_bytes = u64::try_from(values.number("retention.bytes")).ok();
        }
        if set("file.delete.delay.ms") {
            self.file_delete_delay_ms = values.millis("file.delete.delay.ms");
        }
        if set("delete.retention.ms") {
            self.delete_retention_ms = values.millis("delete.retention.ms");
        }
        if set("min.compaction.lag.ms") {
            self.min_compaction_lag_ms = values.millis("min.compaction.lag.ms");
        }
        if set("max.compaction.lag.ms") {
            self.max_compaction_lag_ms = values.millis("max.compaction.lag.ms");
        }
        if set("min.cleanable.dirty.ratio") {
            self.min_cleanable_dirty_ratio = values.ratio("min.cleanable.dirty.ratio");
        }
    }

    /// The age at which a segment is full: one that is compacted must not stay active beyond `max.compaction.lag.ms`.
    pub fn segment_age_max(&self) -> Duration {
        if self.cleanup_policy.compact { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms }
    }
}

//! The configuration of one topic's logs: broker defaults with the topic's own overrides.
//!
//! Kafka: `LogConfig`, `TopicConfig`.

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

//! The configuration of one topic's logs: broker defaults with the topic's own overrides.
//!
//! Kafka: `LogConfig`, `TopicConfig`.

use std::collections::BTreeMap;

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

impl LogConfig {
    /// These defaults with what a topic overrides. A name that is not modelled, or a value that cannot be read, changes
    /// nothing: what a controller accepted it has checked.
    #[must_use]
    pub fn with_overrides(&self, overrides: &BTreeMap<String, String>) -> LogConfig {
        let mut config = self.clone();
        for (name, value) in overrides {
            config.set(name, value);
        }
        config
    }

    fn set(&mut self, name: &str, value: &str) {
        let value = value.trim();
        match name {
            "segment.bytes" => replace(&mut self.segment_bytes, value.parse().ok()),
            "segment.ms" => replace(&mut self.segment_ms, millis(value)),
            "segment.index.bytes" => replace(&mut self.segment_index_bytes, value.parse().ok()),
            "index.interval.bytes" => replace(&mut self.index_interval_bytes, value.parse().ok()),
            "flush.messages" => replace(&mut self.flush_messages, value.parse().ok()),
            "flush.ms" => replace(&mut self.flush_ms, millis(value)),
            "max.message.bytes" => replace(&mut self.max_message_bytes, value.parse().ok()),
            "min.insync.replicas" => replace(&mut self.min_insync_replicas, value.parse().ok()),
            "unclean.leader.election.enable" => {
                replace(&mut self.unclean_leader_election_enable, value.to_ascii_lowercase().parse().ok());
            }
            "message.timestamp.type" => {
                let timestamp_type = match value {
                    "CreateTime" => Some(TimestampType::CreateTime),
                    "LogAppendTime" => Some(TimestampType::LogAppendTime),
                    _ => None,
                };
                replace(&mut self.message_timestamp_type, timestamp_type);
            }
            _ => {}
        }
    }
}

fn replace<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Milliseconds; `Long.MAX_VALUE` is for ever.
fn millis(value: &str) -> Option<Duration> {
    let millis: i64 = value.parse().ok()?;
    if millis == i64::MAX { Some(Duration::FOREVER) } else { Some(Duration::from_millis(u64::try_from(millis).ok()?)) }
}

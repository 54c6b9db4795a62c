//! The consumer's properties.
//!
//! Kafka: `ConsumerConfig`.

use super::KafkaVersion;
use crate::types::Duration;

/// `auto.offset.reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoOffsetReset {
    /// From the log start.
    Earliest,
    /// From the log end: what was written before is skipped.
    Latest,
    /// `poll()` throws.
    None,
}

/// The configuration of a `KafkaConsumer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// The profile that the defaults come from.
    pub version: KafkaVersion,
    /// `client.id`.
    pub client_id: String,
    /// `group.id`.
    pub group_id: Option<String>,
    /// `auto.offset.reset`.
    pub auto_offset_reset: AutoOffsetReset,
    /// `enable.auto.commit`.
    pub enable_auto_commit: bool,
    /// `auto.commit.interval.ms`.
    pub auto_commit_interval_ms: Duration,
    /// `max.poll.records`.
    pub max_poll_records: usize,
    /// `fetch.min.bytes`.
    pub fetch_min_bytes: i32,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `fetch.max.wait.ms`.
    pub fetch_max_wait_ms: Duration,
    /// `max.partition.fetch.bytes`.
    pub max_partition_fetch_bytes: i32,
    /// `request.timeout.ms`.
    pub request_timeout_ms: Duration,
    /// `default.api.timeout.ms`.
    pub default_api_timeout_ms: Duration,
    /// `retry.backoff.ms`.
    pub retry_backoff_ms: Duration,
    /// `reconnect.backoff.ms`.
    pub reconnect_backoff_ms: Duration,
    /// `reconnect.backoff.max.ms`.
    pub reconnect_backoff_max_ms: Duration,
    /// `metadata.max.age.ms`.
    pub metadata_max_age_ms: Duration,
    /// `check.crcs`.
    pub check_crcs: bool,
}

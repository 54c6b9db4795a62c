//! What a broker's properties say of consumer groups.
//!
//! Kafka: `GroupCoordinatorConfig`, `OffsetConfig`.
//! Not modelled: properties of the KIP-848 protocol and of share groups, `group.max.size`.

use super::values::Values;
use crate::types::Duration;

/// The part of a broker's configuration that its group coordinator looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupsConfig {
    /// `group.min.session.timeout.ms`.
    pub group_min_session_timeout_ms: Duration,
    /// `group.max.session.timeout.ms`.
    pub group_max_session_timeout_ms: Duration,
    /// `group.initial.rebalance.delay.ms`.
    pub group_initial_rebalance_delay_ms: Duration,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_num_partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: u64,
    /// `offsets.commit.timeout.ms`.
    pub offsets_commit_timeout_ms: Duration,
    /// `offsets.retention.minutes`.
    pub offsets_retention_minutes: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: Duration,
}

pub(super) fn build(values: &Values) -> GroupsConfig {
    GroupsConfig {
        group_min_session_timeout_ms: values.millis("group.min.session.timeout.ms"),
        group_max_session_timeout_ms: values.millis("group.max.session.timeout.ms"),
        group_initial_rebalance_delay_ms: values.millis("group.initial.rebalance.delay.ms"),
        offsets_topic_num_partitions: values.int("offsets.topic.num.partitions"),
        offsets_topic_replication_factor: i16::try_from(values.number("offsets.topic.replication.factor"))
            .unwrap_or(i16::MAX),
        offsets_topic_segment_bytes: values.count("offsets.topic.segment.bytes"),
        offsets_commit_timeout_ms: values.millis("offsets.commit.timeout.ms"),
        offsets_retention_minutes: Duration::from_secs(values.count("offsets.retention.minutes").saturating_mul(60)),
        offsets_retention_check_interval_ms: values.millis("offsets.retention.check.interval.ms"),
    }
}

//! What a broker's properties say of share groups, and what can be set for one group while brokers run.
//!
//! Kafka: `ShareGroupConfig`, `ShareCoordinatorConfig`, `GroupConfig`; KIP-932.
//!
//! They came as early access with 4.0, as a preview with 4.1, and are for production from 4.2 on. A broker has them where
//! `group.coordinator.rebalance.protocols` names them; in a cluster of 4.1 the feature `share.version=1` says the same.
//! Not modelled: `group.share.max.groups`, `group.share.max.size`; for a group, `share.auto.offset.reset=by_duration`, sessions and heartbeats
//! of its own, and what came later (KIP-1240).

use super::KafkaVersion;
use super::values::Values;
use crate::types::Duration;

/// The part of a broker's configuration that concerns share groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareConfig {
    /// Whether there are share groups.
    pub enabled: bool,
    /// `group.share.session.timeout.ms`.
    pub session_timeout_ms: Duration,
    /// `group.share.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: Duration,
    /// `group.share.delivery.count.limit`: how often a record is delivered.
    pub delivery_count_limit: u16,
    /// `group.share.record.lock.duration.ms`: for how long a member has a record.
    pub record_lock_duration_ms: Duration,
    /// `group.share.min.record.lock.duration.ms` and `group.share.max.record.lock.duration.ms`, for single groups.
    pub record_lock_range_ms: (Duration, Duration),
    /// `group.share.partition.max.record.locks`: how many records of a partition are in flight.
    pub partition_max_record_locks: usize,
    /// `group.share.max.share.sessions`: how many share sessions a broker keeps.
    pub max_share_sessions: usize,
    /// `share.coordinator.state.topic.num.partitions`.
    pub state_topic_num_partitions: i32,
    /// `share.coordinator.state.topic.replication.factor`.
    pub state_topic_replication_factor: i16,
    /// `share.coordinator.state.topic.min.isr`.
    pub state_topic_min_isr: i32,
    /// `share.coordinator.write.timeout.ms`.
    pub coordinator_write_timeout_ms: Duration,
    /// `share.coordinator.snapshot.update.records.per.snapshot`.
    pub snapshot_update_records_per_snapshot: u32,
}

/// Early access to share groups.
const SHARE_GROUPS: KafkaVersion = KafkaVersion::new(4, 0);

pub(super) fn check(values: &mut Values, protocols: &'static str) {
    if wants_share_groups(values, protocols) && values.version < SHARE_GROUPS {
        let version = values.version;
        values.refuse(
            protocols,
            format!("Kafka {version} has no share groups: they came with 4.0 (early access) and 4.1 (preview)"),
        );
    }
    let (lock, min, max) = (
        "group.share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    );
    for (larger, smaller) in [(lock, min), (max, lock)] {
        if values.number(larger) < values.number(smaller) {
            let at_fault = if values.is_set(larger) { larger } else { smaller };
            values.refuse(at_fault, format!("{larger} must be greater than or equal to {smaller}"));
        }
    }
}

fn wants_share_groups(values: &Values, protocols: &str) -> bool {
    values.text(protocols).split(',').any(|word| word == "share")
}

pub(super) fn build(values: &Values, protocols: &str) -> ShareConfig {
    let small = |name: &str| u16::try_from(values.number(name)).unwrap_or(u16::MAX);
    ShareConfig {
        enabled: values.version >= SHARE_GROUPS && wants_share_groups(values, protocols),
        session_timeout_ms: values.millis("group.share.session.timeout.ms"),
        heartbeat_interval_ms: values.millis("group.share.heartbeat.interval.ms"),
        delivery_count_limit: small("group.share.delivery.count.limit"),
        record_lock_duration_ms: values.millis("group.share.record.lock.duration.ms"),
        record_lock_range_ms: (
            values.millis("group.share.min.record.lock.duration.ms"),
            values.millis("group.share.max.record.lock.duration.ms"),
        ),
        partition_max_record_locks: values.size("group.share.partition.max.record.locks"),
        max_share_sessions: values.size("group.share.max.share.sessions"),
        state_topic_num_partitions: values.int("share.coordinator.state.topic.num.partitions"),
        state_topic_replication_factor: i16::try_from(
            values.number("share.coordinator.state.topic.replication.factor"),
        )
        .unwrap_or(i16::MAX),
        state_topic_min_isr: values.int("share.coordinator.state.topic.min.isr"),
        coordinator_write_timeout_ms: values.millis("share.coordinator.write.timeout.ms"),
        snapshot_update_records_per_snapshot: u32::try_from(
            values.count("share.coordinator.snapshot.update.records.per.snapshot"),
        )
        .unwrap_or(u32::MAX),
    }
}

/// Whether this can be set for a group while brokers run; the error is what Kafka says, or why it cannot be simulated.
pub fn validate_group_property(share: &ShareConfig, name: &str, value: &str) -> Result<(), String> {
    let invalid = |why: &str| Err(format!("Invalid value {value} for configuration {name}: {why}"));
    match name {
        "share.auto.offset.reset" => match value {
            "earliest" | "latest" => Ok(()),
            _ if value.starts_with("by_duration:") => invalid("by_duration cannot be simulated"),
            _ => invalid("String must be one of: latest, earliest, by_duration:PnDTnHnMn.nS"),
        },
        "share.record.lock.duration.ms" => {
            let Ok(millis) = value.trim().parse::<u64>() else { return invalid("Not a number of type INT") };
            let (min, max) = share.record_lock_range_ms;
            if Duration::from_millis(millis) < min {
                return Err(format!("{name} must be greater than or equal to group.share.min.record.lock.duration.ms"));
            }
            if Duration::from_millis(millis) > max {
                return Err(format!("{name} must be less than or equal to group.share.max.record.lock.duration.ms"));
            }
            Ok(())
        }
        _ => Err(format!(
            "{name} cannot be set for a group here: there are share.auto.offset.reset and share.record.lock.duration.ms"
        )),
    }
}

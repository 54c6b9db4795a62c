//! What a broker's properties say of consumer groups.
//!
//! Kafka: `GroupCoordinatorConfig`, `OffsetConfig`.
//! What they say of share groups is in `shares`. Not modelled: `group.max.size`, `group.consumer.max.size`; conversions of groups with members
//! (`group.consumer.migration.policy`).

use super::values::Values;
use super::{KafkaVersion, ServerAssignor, ShareConfig};
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
    /// Whether `group.coordinator.rebalance.protocols` names the consumer protocol (KIP-848).
    pub consumer_protocol: bool,
    /// `group.consumer.session.timeout.ms`.
    pub group_consumer_session_timeout_ms: Duration,
    /// `group.consumer.heartbeat.interval.ms`.
    pub group_consumer_heartbeat_interval_ms: Duration,
    /// What concerns share groups.
    pub share: ShareConfig,
    /// `group.consumer.assignors`, the default first.
    pub group_consumer_assignors: Vec<ServerAssignor>,
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

/// Early access to the consumer protocol.
const CONSUMER_PROTOCOL: KafkaVersion = KafkaVersion::new(3, 7);

const PROTOCOLS: &str = "group.coordinator.rebalance.protocols";
const ASSIGNORS: &str = "group.consumer.assignors";

/// Kafka: the constructor of `GroupCoordinatorConfig`.
pub(super) fn check(values: &mut Values) {
    let kinds = ["consumer", "share"].into_iter();
    for (kind, what) in kinds.flat_map(|kind| [(kind, "session.timeout"), (kind, "heartbeat.interval")]) {
        let name = |which: &str| format!("group.{kind}.{which}{what}.ms");
        let (it, min, max) = (name(""), name("min."), name("max."));
        let mut at_least = |larger: &str, smaller: &str| {
            if values.number(larger) < values.number(smaller) {
                let at_fault = if values.is_set(larger) { larger } else { smaller };
                values.refuse(at_fault, format!("{larger} must be greater than or equal to {smaller}"));
            }
        };
        at_least(&max, &min);
        at_least(&it, &min);
        at_least(&max, &it);
    }
    for kind in ["consumer", "share"] {
        let (interval, session) =
            (&*format!("group.{kind}.heartbeat.interval.ms"), &*format!("group.{kind}.session.timeout.ms"));
        if values.number(interval) >= values.number(session) {
            let at_fault = if values.is_set(interval) { interval } else { session };
            values.refuse(at_fault, format!("{interval} must be less than {session}"));
        }
    }
    super::shares::check(values, PROTOCOLS);
    if assignors(values).is_empty() {
        values.refuse(ASSIGNORS, "an assignor is one of uniform, range, or their classes; others are not modelled");
    }
    if values.text(PROTOCOLS).split(',').any(|word| word == "streams") {
        values.notice(format!("{PROTOCOLS} names streams, and such groups are not modelled"));
    }
}

/// The assignors by their classes or names; none if one is not known.
fn assignors(values: &Values) -> Vec<ServerAssignor> {
    let text = values.text(ASSIGNORS);
    let classes: Vec<&str> = text.split(',').map(str::trim).filter(|class| !class.is_empty()).collect();
    let known: Vec<ServerAssignor> = classes.iter().filter_map(|class| ServerAssignor::by_class(class)).collect();
    if known.len() < classes.len() { Vec::new() } else { known }
}

pub(super) fn build(values: &Values) -> GroupsConfig {
    GroupsConfig {
        group_min_session_timeout_ms: values.millis("group.min.session.timeout.ms"),
        group_max_session_timeout_ms: values.millis("group.max.session.timeout.ms"),
        group_initial_rebalance_delay_ms: values.millis("group.initial.rebalance.delay.ms"),
        consumer_protocol: values.version >= CONSUMER_PROTOCOL
            && values.text(PROTOCOLS).split(',').any(|word| word == "consumer"),
        group_consumer_session_timeout_ms: values.millis("group.consumer.session.timeout.ms"),
        group_consumer_heartbeat_interval_ms: values.millis("group.consumer.heartbeat.interval.ms"),
        share: super::shares::build(values, PROTOCOLS),
        group_consumer_assignors: assignors(values),
        offsets_topic_num_partitions: values.int("offsets.topic.num.partitions"),
        offsets_topic_replication_factor: i16::try_from(values.number("offsets.topic.replication.factor"))
            .unwrap_or(i16::MAX),
        offsets_topic_segment_bytes: values.count("offsets.topic.segment.bytes"),
        offsets_commit_timeout_ms: values.millis("offsets.commit.timeout.ms"),
        offsets_retention_minutes: Duration::from_secs(values.count("offsets.retention.minutes").saturating_mul(60)),
        offsets_retention_check_interval_ms: values.millis("offsets.retention.check.interval.ms"),
    }
}

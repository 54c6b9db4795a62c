//! The consumer's properties.
//!
//! Kafka: `ConsumerConfig`, `KafkaConsumer`.

use super::definition::{Definition, Kind};
use super::property::{ConfigProblem, Property, Resolved};
use super::values::{Schema, Values};
use super::{Assignor, ConfigKind, KafkaVersion, Toggles, known};
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

/// `group.protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Members join, and one of them divides the partitions.
    Classic,
    /// The coordinator divides them (KIP-848).
    Consumer,
    /// Members share them (KIP-932). It is no value of the property: a share consumer is another class.
    Share,
}

/// `share.acknowledgement.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcknowledgementMode {
    /// The next `poll()` accepts what the last one returned.
    Implicit,
    /// The application says of each record what became of it.
    Explicit,
}

/// The configuration of a `KafkaConsumer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// The profile that the defaults come from.
    pub version: KafkaVersion,
    /// The historical fixes that the client has.
    pub toggles: Toggles,
    /// `client.id`.
    pub client_id: String,
    /// `client.rack`; empty is none.
    pub client_rack: String,
    /// `group.id`.
    pub group_id: Option<String>,
    /// `group.instance.id`.
    pub group_instance_id: Option<String>,
    /// `group.protocol`.
    pub group_protocol: GroupProtocol,
    /// `share.acknowledgement.mode`.
    pub share_acknowledgement_mode: AcknowledgementMode,
    /// `group.remote.assignor`.
    pub group_remote_assignor: Option<String>,
    /// `session.timeout.ms`.
    pub session_timeout_ms: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval_ms: Duration,
    /// `max.poll.interval.ms`.
    pub max_poll_interval_ms: Duration,
    /// `partition.assignment.strategy`, best first.
    pub partition_assignment_strategy: Vec<Assignor>,
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
    /// `connections.max.idle.ms`; none if it is negative.
    pub connections_max_idle_ms: Option<Duration>,
    /// `metadata.max.age.ms`.
    pub metadata_max_age_ms: Duration,
    /// `check.crcs`.
    pub check_crcs: bool,
}

/// The properties that do something.
pub(super) const SCHEMA: Schema =
    Schema { kind: ConfigKind::Consumer, definitions: DEFINITIONS, no_effect: &[known::CONSUMER, known::CLIENT] };

#[rustfmt::skip]
const DEFINITIONS: &[Definition] = &[
    Definition::new("client.id", Kind::Text, Some(""), "A name for logs and quotas."),
    Definition::new("client.rack", Kind::Text, Some(""), "The rack of the consumer: it reads from a replica there, if the brokers know how to choose one.").since(2, 4),
    Definition::new("group.id", Kind::Text, None, "The group in whose name offsets are committed."),
    Definition::new("group.instance.id", Kind::Text, None, "A name that survives a restart: the member comes back without a rebalance.").since(2, 3),
    Definition::new("group.protocol", Kind::Text, Some("classic"), "How the group divides its partitions: by its members (classic), or by its coordinator (consumer).").since(3, 7),
    Definition::new("group.remote.assignor", Kind::Text, None, "The assignor that the coordinator is to use, with group.protocol=consumer.").since(3, 7),
    Definition::new("session.timeout.ms", Kind::int(0), Some("10000"), "After how long without a heartbeat a member is out of its group.").later(&[(KafkaVersion::new(3, 0), "45000")]),
    Definition::new("heartbeat.interval.ms", Kind::int(0), Some("3000"), "How often a member sends a heartbeat."),
    Definition::new("max.poll.interval.ms", Kind::int(1), Some("300000"), "After how long without poll() a consumer leaves its group."),
    Definition::new("partition.assignment.strategy", Kind::Text, Some("org.apache.kafka.clients.consumer.RangeAssignor"), "Who of the group reads what: assignors, best first.").later(&[(KafkaVersion::new(3, 0), "org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor")]),
    Definition::new("share.acknowledgement.mode", Kind::Choice(&["implicit", "explicit"]), Some("implicit"), "Whether the next poll() of a share consumer accepts what the last one returned, or the application acknowledges each record.").since(4, 1),
    Definition::new("auto.offset.reset", Kind::Choice(&["latest", "earliest", "none"]), Some("latest"), "Where to read from when there is no position: from now on, from the start, or not at all."),
    Definition::new("enable.auto.commit", Kind::Boolean, Some("true"), "Whether poll() commits what the poll before returned."),
    Definition::new("auto.commit.interval.ms", Kind::int(0), Some("5000"), "How often poll() commits."),
    Definition::new("max.poll.records", Kind::int(1), Some("500"), "How many records poll() returns at most."),
    Definition::new("fetch.min.bytes", Kind::int(0), Some("1"), "How much data a fetch waits for."),
    Definition::new("fetch.max.bytes", Kind::int(0), Some("52428800"), "How much is fetched at once."),
    Definition::new("fetch.max.wait.ms", Kind::int(0), Some("500"), "How long a fetch waits for data."),
    Definition::new("max.partition.fetch.bytes", Kind::int(0), Some("1048576"), "How much is fetched per partition."),
    Definition::new("request.timeout.ms", Kind::int(0), Some("30000"), "How long the consumer waits for an answer."),
    Definition::new("default.api.timeout.ms", Kind::int(0), Some("60000"), "How long a call blocks that has no timeout of its own.").since(2, 0),
    Definition::new("retry.backoff.ms", Kind::long(0), Some("100"), "The pause before a request is sent again."),
    Definition::new("reconnect.backoff.ms", Kind::long(0), Some("50"), "The pause before a broker is connected to again."),
    Definition::new("reconnect.backoff.max.ms", Kind::long(0), Some("1000"), "What the pause grows to."),
    Definition::new("connections.max.idle.ms", Kind::LONG, Some("540000"), "After how long without a word a connection is closed; negative is never."),
    Definition::new("metadata.max.age.ms", Kind::long(0), Some("300000"), "After how long the consumer asks again who leads."),
    Definition::new("check.crcs", Kind::Boolean, Some("true"), "Whether corrupt batches are noticed."),
];

impl ConsumerConfig {
    /// Whether a position is compared with the epochs of a new leader's log (KIP-320 on the side of the consumer).
    pub fn validates_positions(&self) -> bool {
        self.version >= KafkaVersion::new(2, 3)
    }

    /// Whether a static leader that comes back leads on, without assigning anything (KAFKA-13435, KIP-814).
    pub fn leads_when_back(&self) -> bool {
        self.version >= KafkaVersion::new(3, 2)
    }

    /// The configuration of a consumer of `version` whose properties are `overrides`.
    pub fn resolve(
        version: KafkaVersion,
        overrides: &[Property],
    ) -> Result<Resolved<ConsumerConfig>, Vec<ConfigProblem>> {
        let mut values = Values::read(SCHEMA, version, overrides);
        values.without_effect("share.acknowledgement.mode", "this is no share consumer");
        Self::of(values)
    }

    /// The same of a share consumer. What its group or the brokers decide it must not set (`ShareConsumerConfig`).
    pub fn resolve_share(
        version: KafkaVersion,
        overrides: &[Property],
    ) -> Result<Resolved<ConsumerConfig>, Vec<ConfigProblem>> {
        let mut values = Values::read(SCHEMA, version, overrides);
        for name in NOT_OF_SHARE_GROUPS {
            if values.is_set(name) {
                values.refuse(name, format!("{name} cannot be set when using a share group."));
            }
        }
        let mut resolved = Self::of(values)?;
        resolved.config.group_protocol = GroupProtocol::Share;
        resolved.config.enable_auto_commit = false;
        Ok(resolved)
    }

    fn of(mut values: Values) -> Result<Resolved<ConsumerConfig>, Vec<ConfigProblem>> {
        let version = values.version;
        let group_id = values.opt_text("group.id");
        let partition_assignment_strategy = assignors(&mut values);
        let group_protocol = group_protocol(&mut values);
        match group_protocol {
            GroupProtocol::Classic => check_heartbeats(&mut values),
            GroupProtocol::Consumer | GroupProtocol::Share => check_classic_settings(&mut values),
        }
        let (reconnect_backoff_ms, reconnect_backoff_max_ms) = super::reconnect_backoff(&values);
        let config = ConsumerConfig {
            version,
            toggles: Toggles::of(version),
            client_id: values.text("client.id"),
            client_rack: if version < KafkaVersion::new(2, 4) { String::new() } else { values.text("client.rack") },
            enable_auto_commit: auto_commit(&mut values, group_id.is_some()),
            group_id,
            group_instance_id: values.opt_text("group.instance.id"),
            group_protocol,
            share_acknowledgement_mode: match values.text("share.acknowledgement.mode").as_str() {
                "explicit" => AcknowledgementMode::Explicit,
                _ => AcknowledgementMode::Implicit,
            },
            group_remote_assignor: values.opt_text("group.remote.assignor").filter(|_| version >= CONSUMER_PROTOCOL),
            session_timeout_ms: values.millis("session.timeout.ms"),
            heartbeat_interval_ms: values.millis("heartbeat.interval.ms"),
            max_poll_interval_ms: values.millis("max.poll.interval.ms"),
            partition_assignment_strategy,
            auto_offset_reset: match values.text("auto.offset.reset").as_str() {
                "earliest" => AutoOffsetReset::Earliest,
                "none" => AutoOffsetReset::None,
                _ => AutoOffsetReset::Latest,
            },
            auto_commit_interval_ms: values.millis("auto.commit.interval.ms"),
            max_poll_records: values.size("max.poll.records"),
            fetch_min_bytes: values.int("fetch.min.bytes"),
            fetch_max_bytes: values.int("fetch.max.bytes"),
            fetch_max_wait_ms: values.millis("fetch.max.wait.ms"),
            max_partition_fetch_bytes: values.int("max.partition.fetch.bytes"),
            request_timeout_ms: values.millis("request.timeout.ms"),
            default_api_timeout_ms: values.millis("default.api.timeout.ms"),
            retry_backoff_ms: values.millis("retry.backoff.ms"),
            reconnect_backoff_ms,
            reconnect_backoff_max_ms,
            connections_max_idle_ms: super::max_idle(&values),
            metadata_max_age_ms: values.millis("metadata.max.age.ms"),
            check_crcs: values.boolean("check.crcs"),
        };
        values.resolved(config)
    }
}

const NOT_OF_SHARE_GROUPS: [&str; 9] = [
    "auto.offset.reset",
    "enable.auto.commit",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "partition.assignment.strategy",
    "session.timeout.ms",
];

/// Early access to the consumer protocol.
const CONSUMER_PROTOCOL: KafkaVersion = KafkaVersion::new(3, 7);
/// Since when settings of the classic protocol are refused beside the other one (KAFKA-17338). Before, they did nothing.
const REFUSES_CLASSIC_SETTINGS: KafkaVersion = KafkaVersion::new(4, 0);

fn group_protocol(values: &mut Values) -> GroupProtocol {
    const NAME: &str = "group.protocol";
    let protocol = match values.text(NAME).to_lowercase().as_str() {
        "classic" => GroupProtocol::Classic,
        "consumer" if values.version >= CONSUMER_PROTOCOL => GroupProtocol::Consumer,
        _ => {
            values.refuse(NAME, "group.protocol is classic or consumer");
            GroupProtocol::Classic
        }
    };
    if protocol == GroupProtocol::Classic
        && values.opt_text("group.remote.assignor").is_some_and(|name| !name.is_empty())
    {
        values.refuse("group.remote.assignor", "group.remote.assignor cannot be set when group.protocol=CLASSIC");
    }
    protocol
}

fn check_classic_settings(values: &mut Values) {
    for name in ["partition.assignment.strategy", "heartbeat.interval.ms", "session.timeout.ms"] {
        if !values.is_set(name) {
            continue;
        }
        if values.version >= REFUSES_CLASSIC_SETTINGS {
            values.refuse(name, format!("{name} cannot be set when group.protocol=CONSUMER"));
        } else {
            values.without_effect(name, "with group.protocol=consumer the broker decides");
        }
    }
}

/// The assignors, by their classes.
fn assignors(values: &mut Values) -> Vec<Assignor> {
    const NAME: &str = "partition.assignment.strategy";
    let text = values.text(NAME);
    let classes: Vec<&str> =
        text.trim_matches(['[', ']']).split(',').map(str::trim).filter(|c| !c.is_empty()).collect();
    let known: Vec<Assignor> = classes.iter().filter_map(|class| Assignor::by_class(class)).collect();
    if known.len() < classes.len() || known.is_empty() {
        values.refuse(
            NAME,
            "an assignor is one of RangeAssignor, RoundRobinAssignor, StickyAssignor, CooperativeStickyAssignor; others \
             are not modelled",
        );
    }
    known
}

/// `ConsumerConfig` of 2.2 documents it, the coordinator of every version requires it.
fn check_heartbeats(values: &mut Values) {
    if values.number("heartbeat.interval.ms") >= values.number("session.timeout.ms") {
        let name = if values.is_set("heartbeat.interval.ms") { "heartbeat.interval.ms" } else { "session.timeout.ms" };
        values.refuse(name, "heartbeat.interval.ms must be less than session.timeout.ms");
    }
}

/// Without a group there is nothing to commit to (KIP-289, 2.2): the default gives way, a wish is an error.
fn auto_commit(values: &mut Values, has_group: bool) -> bool {
    let enabled = values.boolean("enable.auto.commit");
    if enabled && !has_group && values.is_set("enable.auto.commit") {
        values.refuse(
            "enable.auto.commit",
            "enable.auto.commit cannot be set to true when default group id (null) is used.",
        );
    }
    enabled && has_group
}

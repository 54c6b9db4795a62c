//! `server.properties`.
//!
//! Kafka: `KafkaConfig`.
//! Not modelled: ZooKeeper. Under profiles before 3.0 a KRaft controller stands in, with ZooKeeper's session timeout.

use super::definition::{Definition, Kind};
use super::groups::GroupsConfig;
use super::property::{ConfigProblem, Property, Resolved};
use super::request_times::RequestTimes;
use super::topic::{COMPRESSIONS, POLICIES, compression_of};
use super::values::{Schema, Values};
use super::{CleanupPolicy, ConfigKind, KafkaVersion, LogConfig, TimestampType, Toggles, known};
use crate::types::Duration;

/// The configuration of a broker or controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// The profile that the defaults come from.
    pub version: KafkaVersion,
    /// Where the metadata of the cluster would live. ZooKeeper has a stand-in; what its controller did otherwise than
    /// KRaft's, it does.
    pub metadata_mode: MetadataMode,
    /// Historical fixes.
    pub toggles: Toggles,
    /// `broker.id`, `node.id`.
    pub broker_id: i32,
    /// `log.dirs`, or `log.dir`: where logs lie.
    pub log_dirs: Vec<String>,
    /// Whether the controller hears of log directories: which replica lies where, and which have failed. In ZooKeeper mode,
    /// and in KRaft mode since 3.7 (KIP-858).
    pub tells_log_directories: bool,
    /// `broker.rack`.
    pub broker_rack: Option<String>,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `auto.create.topics.enable`.
    pub auto_create_topics_enable: bool,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// `log.*`: defaults for topics without an override.
    pub log: LogConfig,
    /// `log.flush.scheduler.interval.ms`: how often `flush.ms` is looked at.
    pub log_flush_scheduler_interval_ms: Duration,
    /// `log.flush.offset.checkpoint.interval.ms`: how often the recovery points are written.
    pub log_flush_offset_checkpoint_interval_ms: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub replica_high_watermark_checkpoint_interval_ms: Duration,
    /// `replica.selector.class`: from which replica consumers read.
    pub replica_selector_class: ReplicaSelector,
    /// `replica.lag.time.max.ms`: after it a follower that has not caught up leaves the ISR.
    pub replica_lag_time_max_ms: Duration,
    /// `replica.fetch.wait.max.ms`: how long a follower's fetch waits for data.
    pub replica_fetch_wait_max_ms: Duration,
    /// `replica.fetch.min.bytes`.
    pub replica_fetch_min_bytes: i32,
    /// `replica.fetch.max.bytes`: per partition.
    pub replica_fetch_max_bytes: i32,
    /// `replica.fetch.response.max.bytes`.
    pub replica_fetch_response_max_bytes: i32,
    /// `replica.fetch.backoff.ms`: pause after an error.
    pub replica_fetch_backoff_ms: Duration,
    /// `replica.socket.timeout.ms`: request timeout of a follower's connection.
    pub replica_socket_timeout_ms: Duration,
    /// `broker.heartbeat.interval.ms` (KRaft).
    pub broker_heartbeat_interval_ms: Duration,
    /// `broker.session.timeout.ms` (KRaft); in the stand-in for ZooKeeper it takes the value of `zookeeper.session.timeout.ms`.
    pub broker_session_timeout_ms: Duration,
    /// `num.io.threads`: how many requests are served at once, where serving takes time.
    pub num_io_threads: usize,
    /// How long serving a request takes; no time unless a scenario says so.
    pub request_times: RequestTimes,
    /// `connections.max.idle.ms`: after so long without a request a connection is closed; none if it is negative.
    pub connections_max_idle_ms: Option<Duration>,
    /// `controlled.shutdown.enable`.
    pub controlled_shutdown_enable: bool,
    /// `max.incremental.fetch.session.cache.slots` (KIP-227).
    pub max_incremental_fetch_session_cache_slots: usize,
    /// `unclean.leader.election.interval.ms` (KRaft, 3.9).
    pub unclean_leader_election_interval_ms: Duration,
    /// `auto.leader.rebalance.enable`.
    pub auto_leader_rebalance_enable: bool,
    /// `leader.imbalance.per.broker.percentage`: in ZooKeeper mode a broker gets its leaderships back when more than so
    /// many of a hundred are elsewhere; KRaft gives every one back.
    pub leader_imbalance_per_broker_percentage: u64,
    /// `leader.imbalance.check.interval.seconds`.
    pub leader_imbalance_check_interval_seconds: Duration,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: Duration,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval_ms: Duration,
    /// `log.initial.task.delay.ms`: how long after the start the scheduled tasks begin.
    pub log_initial_task_delay_ms: Duration,
    /// `log.retention.check.interval.ms`.
    pub log_retention_check_interval_ms: Duration,
    /// `log.flush.start.offset.checkpoint.interval.ms`: how often the log start offsets are written.
    pub log_flush_start_offset_checkpoint_interval_ms: Duration,
    /// `log.cleaner.enable`.
    pub log_cleaner_enable: bool,
    /// `log.cleaner.backoff.ms`: how long the cleaner rests when there is nothing to clean.
    pub log_cleaner_backoff_ms: Duration,
    /// `request.timeout.ms` of broker-to-controller requests (`controller.socket.timeout.ms`).
    pub controller_socket_timeout_ms: Duration,
    /// `group.*` and `offsets.*`.
    pub groups: GroupsConfig,
}

/// The properties that do something.
pub(super) const SCHEMA: Schema =
    Schema { kind: ConfigKind::Broker, definitions: DEFINITIONS, no_effect: &[known::BROKER] };

const V2_3: KafkaVersion = KafkaVersion::new(2, 3);
const V2_5: KafkaVersion = KafkaVersion::new(2, 5);
const V4_0: KafkaVersion = KafkaVersion::new(4, 0);
const V4_1: KafkaVersion = KafkaVersion::new(4, 1);
/// Kafka's `Long.MAX_VALUE`.
const LONG_MAX: Option<&str> = Some("9223372036854775807");

#[rustfmt::skip]
const DEFINITIONS: &[Definition] = &[
    Definition::new("broker.id", Kind::INT, Some("-1"), "The number of the broker.").floor(-1),
    Definition::new("node.id", Kind::INT, Some("-1"), "The number of the broker or controller in KRaft mode.").since(2, 8).floor(-1),
    Definition::new("process.roles", Kind::Text, None, "Whether the process is broker, controller or both; set, it means KRaft mode.").since(2, 8),
    Definition::new("zookeeper.connect", Kind::Text, None, "The ZooKeeper ensemble; set, it means ZooKeeper mode.").until(4, 0),
    Definition::new("broker.rack", Kind::Text, None, "The rack of the broker, across which replicas are spread."),
    Definition::new("num.partitions", Kind::int(1), Some("1"), "How many partitions a topic has unless it says so."),
    Definition::new("default.replication.factor", Kind::INT, Some("1"), "How many replicas a topic has unless it says so.").floor(1),
    Definition::new("delete.topic.enable", Kind::Boolean, Some("true"), "Whether topics can be deleted."),
    Definition::new("auto.create.topics.enable", Kind::Boolean, Some("true"), "Whether asking for an unknown topic creates it."),

    Definition::new("log.dir", Kind::Text, Some("/tmp/kafka-logs"), "The directory of the logs; log.dirs goes before it."),
    Definition::new("log.dirs", Kind::Text, None, "The directories of the logs, with commas: one can fail and the others go on."),
    Definition::new("log.segment.bytes", Kind::int(14), Some("1073741824"), "The size at which a segment is full.").raised(V4_0, 1 << 20),
    Definition::new("log.roll.ms", Kind::LONG, None, "The age at which a segment is full; goes before log.roll.hours.").floor(1),
    Definition::new("log.roll.hours", Kind::int(1), Some("168"), "The age at which a segment is full, in hours."),
    Definition::new("log.index.size.max.bytes", Kind::int(4), Some("10485760"), "The size of an index at which a segment is full."),
    Definition::new("log.index.interval.bytes", Kind::int(0), Some("4096"), "How many bytes lie between two index entries."),
    Definition::new("log.flush.interval.messages", Kind::long(1), LONG_MAX, "How many records lie between two fsyncs."),
    Definition::new("log.flush.interval.ms", Kind::LONG, None, "How much time lies between two fsyncs; null is log.flush.scheduler.interval.ms.").floor(0),
    Definition::new("log.flush.scheduler.interval.ms", Kind::LONG, LONG_MAX, "How often a log is looked at whether it needs an fsync.").floor(0),
    Definition::new("log.flush.offset.checkpoint.interval.ms", Kind::int(0), Some("60000"), "How often the recovery points are written."),
    Definition::new("message.max.bytes", Kind::int(0), Some("1000012"), "The largest batch that a broker takes.").later(&[(V2_5, "1048588")]),
    Definition::new("min.insync.replicas", Kind::int(1), Some("1"), "How many replicas must be in sync for a write with acks=all."),
    Definition::new("unclean.leader.election.enable", Kind::Boolean, Some("false"), "Whether a replica out of sync may lead when no other can; records may be lost."),
    Definition::new("log.cleanup.policy", POLICIES, Some("delete"), "Whether old segments are deleted, or of each key only the last record is kept, or both."),
    Definition::new("log.retention.ms", Kind::LONG, None, "After how long a segment that is no longer written may be deleted; goes before log.retention.minutes.").floor(-1),
    Definition::new("log.retention.minutes", Kind::INT, None, "The same in minutes; goes before log.retention.hours.").floor(-1),
    Definition::new("log.retention.hours", Kind::INT, Some("168"), "The same in hours.").floor(-1),
    Definition::new("log.retention.bytes", Kind::LONG, Some("-1"), "Above how many bytes a partition loses its oldest segments."),
    Definition::new("log.retention.check.interval.ms", Kind::long(1), Some("300000"), "How often logs are looked at whether something is to be deleted."),
    Definition::new("log.segment.delete.delay.ms", Kind::long(0), Some("60000"), "How long a deleted file lies there under another name."),
    Definition::new("log.flush.start.offset.checkpoint.interval.ms", Kind::int(0), Some("60000"), "How often the log start offsets are written."),
    Definition::new("log.initial.task.delay.ms", Kind::long(0), Some("30000"), "How long after the start the scheduled tasks of the logs begin.").since(3, 6),
    Definition::new("log.cleaner.enable", Kind::Boolean, Some("true"), "Whether logs are compacted at all."),
    Definition::new("log.cleaner.backoff.ms", Kind::long(0), Some("15000"), "How long the cleaner rests when there is nothing to clean.").floor(1),
    Definition::new("log.cleaner.delete.retention.ms", Kind::long(0), Some("86400000"), "How long the cleaner keeps a tombstone."),
    Definition::new("log.cleaner.min.compaction.lag.ms", Kind::long(0), Some("0"), "How long a record is safe from compaction."),
    Definition::new("log.cleaner.max.compaction.lag.ms", Kind::long(1), LONG_MAX, "After how long a record is compacted however clean the log is.").since(2, 3),
    Definition::new("log.cleaner.min.cleanable.ratio", Kind::Ratio, Some("0.5"), "Which part of a log must be dirty before it is compacted."),
    Definition::new("log.roll.jitter.ms", Kind::LONG, None, "By how much a segment may be rolled too early; goes before log.roll.jitter.hours.").floor(0),
    Definition::new("log.roll.jitter.hours", Kind::int(0), Some("0"), "The same in hours."),
    Definition::new("compression.type", COMPRESSIONS, Some("producer"), "How the broker compresses what it stores."),
    Definition::new("log.message.timestamp.difference.max.ms", Kind::long(0), LONG_MAX, "How far a timestamp may be from the leader's clock.").until(4, 0),
    Definition::new("log.message.timestamp.before.max.ms", Kind::long(0), LONG_MAX, "How far a timestamp may lie behind the leader's clock.").since(3, 6),
    Definition::new("log.message.timestamp.after.max.ms", Kind::long(0), LONG_MAX, "How far a timestamp may lie ahead of the leader's clock.").later(&[(V4_0, "3600000")]).since(3, 6),
    Definition::new("log.message.timestamp.type", Kind::Choice(&["CreateTime", "LogAppendTime"]), Some("CreateTime"), "Whether the producer's clock or the leader's stamps a record."),

    Definition::new("replica.selector.class", Kind::Text, None, "From which replica consumers read: the leader, or with RackAwareReplicaSelector the one in their client.rack.").since(2, 4),
    Definition::new("replica.lag.time.max.ms", Kind::LONG, Some("10000"), "After how long a follower that has not caught up leaves the ISR.").later(&[(V2_5, "30000")]).floor(0),
    Definition::new("replica.fetch.wait.max.ms", Kind::INT, Some("500"), "How long a follower's fetch waits for data.").floor(0),
    Definition::new("replica.fetch.min.bytes", Kind::INT, Some("1"), "How much data a follower's fetch waits for.").floor(0),
    Definition::new("replica.fetch.max.bytes", Kind::int(0), Some("1048576"), "How much a follower fetches per partition."),
    Definition::new("replica.fetch.response.max.bytes", Kind::int(0), Some("10485760"), "How much a follower fetches at once."),
    Definition::new("replica.fetch.backoff.ms", Kind::int(0), Some("1000"), "How long a follower pauses after an error."),
    Definition::new("replica.socket.timeout.ms", Kind::INT, Some("30000"), "How long a follower waits for an answer.").floor(0),
    Definition::new("replica.high.watermark.checkpoint.interval.ms", Kind::LONG, Some("5000"), "How often the high watermarks are written to disk.").floor(0),
    Definition::new("max.incremental.fetch.session.cache.slots", Kind::int(0), Some("1000"), "How many fetch sessions a broker keeps."),

    Definition::new("num.io.threads", Kind::int(1), Some("8"), "How many requests are served at once, where a scenario lets serving take time."),
    Definition::new("connections.max.idle.ms", Kind::LONG, Some("600000"), "After how long without a request a broker closes a connection; negative is never."),
    Definition::new("zookeeper.session.timeout.ms", Kind::INT, Some("6000"), "After how long without a sign of life a broker is dead, in ZooKeeper mode.").later(&[(V2_5, "18000")]).until(4, 0).floor(1),
    Definition::new("broker.session.timeout.ms", Kind::INT, Some("9000"), "After how long without a heartbeat a broker is fenced, in KRaft mode.").since(2, 8).floor(1),
    Definition::new("broker.heartbeat.interval.ms", Kind::INT, Some("2000"), "How often a broker sends a heartbeat, in KRaft mode.").since(2, 8).floor(1),
    Definition::new("controlled.shutdown.enable", Kind::Boolean, Some("true"), "Whether a broker hands its leaderships over before it stops."),
    Definition::new("controller.socket.timeout.ms", Kind::INT, Some("30000"), "How long a broker and the controller wait for each other's answer.").floor(0),
    Definition::new("unclean.leader.election.interval.ms", Kind::long(1), Some("300000"), "How often the controller looks for partitions that only an unclean election can help.").since(3, 9),
    Definition::new("auto.leader.rebalance.enable", Kind::Boolean, Some("true"), "Whether the controller gives leadership back to the preferred replica."),
    Definition::new("leader.imbalance.per.broker.percentage", Kind::INT, Some("10"), "How many of a hundred leaderships may be elsewhere before a broker gets them back, in ZooKeeper mode.").floor(0),
    Definition::new("leader.imbalance.check.interval.seconds", Kind::long(1), Some("300"), "How often the controller looks whether a preferred replica should lead."),
    Definition::new("producer.id.expiration.ms", Kind::int(1), Some("86400000"), "How long a broker remembers the sequences of a silent producer.").since(3, 4),
    Definition::new("producer.id.expiration.check.interval.ms", Kind::int(1), Some("600000"), "How often silent producers are looked for.").since(3, 4),
    Definition::new("transactional.id.expiration.ms", Kind::int(1), Some("604800000"), "Before 3.4: how long a broker remembers the sequences of a silent producer."),

    Definition::new("group.min.session.timeout.ms", Kind::int(0), Some("6000"), "The shortest session timeout that a member may ask for."),
    Definition::new("group.max.session.timeout.ms", Kind::int(0), Some("300000"), "The longest session timeout that a member may ask for.").later(&[(V2_3, "1800000")]),
    Definition::new("group.initial.rebalance.delay.ms", Kind::int(0), Some("3000"), "How long an empty group waits for more members before it begins."),
    Definition::new("group.coordinator.rebalance.protocols", Kind::List(&["classic", "consumer", "share", "streams"]), Some("classic"), "The protocols that groups may speak.").since(3, 7).later(&[(V4_0, "classic,consumer")]),
    Definition::new("group.consumer.session.timeout.ms", Kind::INT, Some("45000"), "After how long without a heartbeat a member is out of a group of the consumer protocol.").since(3, 7).floor(1),
    Definition::new("group.consumer.min.session.timeout.ms", Kind::INT, Some("45000"), "The least that group.consumer.session.timeout.ms may be.").since(3, 7).floor(1),
    Definition::new("group.consumer.max.session.timeout.ms", Kind::INT, Some("60000"), "The most that group.consumer.session.timeout.ms may be.").since(3, 7).floor(1),
    Definition::new("group.consumer.heartbeat.interval.ms", Kind::INT, Some("5000"), "How often members of a group of the consumer protocol are told to send a heartbeat.").since(3, 7).floor(1),
    Definition::new("group.consumer.min.heartbeat.interval.ms", Kind::INT, Some("5000"), "The least that group.consumer.heartbeat.interval.ms may be.").since(3, 7).floor(1),
    Definition::new("group.consumer.max.heartbeat.interval.ms", Kind::INT, Some("15000"), "The most that group.consumer.heartbeat.interval.ms may be.").since(3, 7).floor(1),
    Definition::new("group.consumer.assignors", Kind::Text, Some("org.apache.kafka.coordinator.group.assignor.UniformAssignor,org.apache.kafka.coordinator.group.assignor.RangeAssignor"), "The assignors of the consumer protocol, the default first.").since(3, 7).later(&[(V4_0, "uniform,range")]),
    Definition::new("group.share.session.timeout.ms", Kind::INT, Some("45000"), "After how long without a heartbeat a member is out of its share group.").since(3, 9).floor(1),
    Definition::new("group.share.min.session.timeout.ms", Kind::INT, Some("45000"), "The least that group.share.session.timeout.ms may be.").since(3, 9).floor(1),
    Definition::new("group.share.max.session.timeout.ms", Kind::INT, Some("60000"), "The most that group.share.session.timeout.ms may be.").since(3, 9).floor(1),
    Definition::new("group.share.heartbeat.interval.ms", Kind::INT, Some("5000"), "How often members of a share group are told to send a heartbeat.").since(3, 9).floor(1),
    Definition::new("group.share.min.heartbeat.interval.ms", Kind::INT, Some("5000"), "The least that group.share.heartbeat.interval.ms may be.").since(3, 9).floor(1),
    Definition::new("group.share.max.heartbeat.interval.ms", Kind::INT, Some("15000"), "The most that group.share.heartbeat.interval.ms may be.").since(3, 9).floor(1),
    Definition::new("group.share.delivery.count.limit", Kind::between(2, 10), Some("5"), "How often a record is delivered to a share group before it is archived.").since(3, 9),
    Definition::new("group.share.record.lock.duration.ms", Kind::between(1000, 3_600_000), Some("30000"), "For how long a member of a share group has a record before others may have it.").since(3, 9),
    Definition::new("group.share.min.record.lock.duration.ms", Kind::between(1000, 30000), Some("15000"), "The least that a share group may have for it.").since(3, 9),
    Definition::new("group.share.max.record.lock.duration.ms", Kind::between(30000, 3_600_000), Some("60000"), "The most that a share group may have for it.").since(3, 9),
    Definition::new("group.share.partition.max.record.locks", Kind::between(100, 10000), Some("200"), "How many records of a partition a share group has in flight.").later(&[(V4_1, "2000")]).since(3, 9),
    Definition::new("group.share.max.share.sessions", Kind::int(1), Some("2000"), "How many share sessions a broker keeps.").since(4, 1),
    Definition::new("share.coordinator.state.topic.num.partitions", Kind::int(1), Some("50"), "How many partitions __share_group_state has.").since(4, 0),
    Definition::new("share.coordinator.state.topic.replication.factor", Kind::INT, Some("3"), "How many replicas __share_group_state has; with fewer brokers share groups get nothing.").since(4, 0).floor(1),
    Definition::new("share.coordinator.state.topic.min.isr", Kind::INT, Some("2"), "How many replicas of __share_group_state must be in sync for a write.").since(4, 0).floor(1),
    Definition::new("share.coordinator.write.timeout.ms", Kind::int(1), Some("5000"), "How long the share coordinator waits for the replicas.").since(4, 0),
    Definition::new("share.coordinator.snapshot.update.records.per.snapshot", Kind::int(0), Some("500"), "How many updates the share coordinator writes between two snapshots.").since(4, 0),
    Definition::new("offsets.topic.num.partitions", Kind::int(1), Some("50"), "How many partitions __consumer_offsets has."),
    Definition::new("offsets.topic.replication.factor", Kind::INT, Some("3"), "How many replicas __consumer_offsets has; with fewer brokers there are no groups.").floor(1),
    Definition::new("offsets.topic.segment.bytes", Kind::int(1), Some("104857600"), "The size at which a segment of __consumer_offsets is full."),
    Definition::new("offsets.commit.timeout.ms", Kind::int(1), Some("5000"), "How long a commit waits for the replicas."),
    Definition::new("offsets.retention.minutes", Kind::int(1), Some("10080"), "How long committed offsets of a group without members are kept."),
    Definition::new("offsets.retention.check.interval.ms", Kind::long(1), Some("600000"), "How often expired offsets are looked for."),
];

const ZOOKEEPER_NOTICE: &str = "ZooKeeper mode is not modelled yet: a KRaft controller stands in for it; the session \
    timeout of its brokers is zookeeper.session.timeout.ms";

impl BrokerConfig {
    /// The configuration of a broker of `version` whose `server.properties` are `overrides`.
    pub fn resolve(
        version: KafkaVersion,
        overrides: &[Property],
    ) -> Result<Resolved<BrokerConfig>, Vec<ConfigProblem>> {
        let mut values = Values::read(SCHEMA, version, overrides);
        check(&mut values);
        let mode = MetadataMode::of(&mut values);
        let config = build(&values, mode);
        values.resolved(config)
    }
}

impl BrokerConfig {
    /// Where each of `log.dirs` lies in the broker's storage: a single one is its root.
    pub fn log_directory_roots(&self) -> Vec<String> {
        match self.log_dirs.as_slice() {
            [_] => vec![String::new()],
            several => several.iter().map(|name| name.trim_matches('/').to_owned()).collect(),
        }
    }
}

/// `replica.selector.class`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaSelector {
    /// Consumers read from the leader.
    Leader,
    /// Consumers read from the replica in their rack (KIP-392).
    RackAware,
}

impl ReplicaSelector {
    const LEADER: &'static str = "org.apache.kafka.common.replica.LeaderSelector";
    const RACK_AWARE: &'static str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

    fn of(values: &Values) -> ReplicaSelector {
        match values.opt_text("replica.selector.class").as_deref() {
            Some(ReplicaSelector::RACK_AWARE) => ReplicaSelector::RackAware,
            Some(_) | None => ReplicaSelector::Leader,
        }
    }

    /// Classes of somebody's own cannot be simulated.
    fn check(values: &mut Values) {
        let class = values.opt_text("replica.selector.class");
        if class.is_some_and(|class| ![Self::LEADER, Self::RACK_AWARE].contains(&class.as_str())) {
            values.refuse(
                "replica.selector.class",
                "replica.selector.class is LeaderSelector or RackAwareReplicaSelector (of org.apache.kafka.common.replica); others cannot be simulated",
            );
        }
    }
}

/// Where the cluster's metadata lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataMode {
    /// In ZooKeeper, by its session and by its controller.
    ZooKeeper,
    /// In the log of a controller quorum.
    KRaft,
}

impl MetadataMode {
    fn of(values: &mut Values) -> MetadataMode {
        // KRaft came with 2.8 as a preview; before 3.0 a file that does not ask for it means ZooKeeper.
        let by_default = values.version < KafkaVersion::new(3, 0) || values.is_set("zookeeper.connect");
        if !by_default || values.is_set("process.roles") {
            values.without_effect("zookeeper.connect", "process.roles is set: this is KRaft mode");
            values.without_effect("zookeeper.session.timeout.ms", "in KRaft mode broker.session.timeout.ms counts");
            return MetadataMode::KRaft;
        }
        if values.is_set("zookeeper.connect") {
            values.notice(ZOOKEEPER_NOTICE);
        }
        for name in ["broker.session.timeout.ms", "broker.heartbeat.interval.ms"] {
            values.without_effect(name, "in ZooKeeper mode zookeeper.session.timeout.ms counts");
        }
        MetadataMode::ZooKeeper
    }
}

/// What `KafkaConfig.validateValues` requires of several properties at once.
fn check(values: &mut Values) {
    ReplicaSelector::check(values);
    let wait = values.number("replica.fetch.wait.max.ms");
    let at_fault = |values: &Values, other: &'static str| {
        if values.is_set("replica.fetch.wait.max.ms") { "replica.fetch.wait.max.ms" } else { other }
    };
    if wait > values.number("replica.socket.timeout.ms") {
        let name = at_fault(values, "replica.socket.timeout.ms");
        values.refuse(name, "replica.socket.timeout.ms must be at least replica.fetch.wait.max.ms");
    }
    if wait > values.number("replica.lag.time.max.ms") {
        let name = at_fault(values, "replica.lag.time.max.ms");
        values.refuse(name, "replica.fetch.wait.max.ms must be at most replica.lag.time.max.ms");
    }
    if values.is_set("node.id") && values.is_set("broker.id") && values.number("node.id") != values.number("broker.id")
    {
        values.refuse("node.id", "node.id and broker.id must be the same if both are set");
    }
    let dirs = log_dirs(values);
    let at_fault = if values.is_set("log.dirs") { "log.dirs" } else { "log.dir" };
    if dirs.is_empty() {
        values.refuse(at_fault, format!("at least one log directory must be defined via {at_fault}"));
    } else if (1..dirs.len()).any(|place| dirs[..place].contains(&dirs[place])) {
        values.refuse(at_fault, "a log directory is named twice");
    }
    super::groups::check(values);
    for name in ["default.replication.factor", "offsets.topic.replication.factor"] {
        if values.number(name) > i64::from(i16::MAX) {
            values.refuse(name, format!("{name} must be at most 32767"));
        }
    }
}

fn build(values: &Values, mode: MetadataMode) -> BrokerConfig {
    let id = if values.is_set("node.id") { "node.id" } else { "broker.id" };
    let session_timeout = match mode {
        MetadataMode::ZooKeeper => values.millis("zookeeper.session.timeout.ms"),
        MetadataMode::KRaft => values.millis("broker.session.timeout.ms"),
    };
    let heartbeat_interval = match mode {
        // A ZooKeeper client makes itself heard every third of its session.
        MetadataMode::ZooKeeper => Duration(session_timeout.0 / 3).min(Duration::from_millis(2000)),
        MetadataMode::KRaft => values.millis("broker.heartbeat.interval.ms"),
    };
    let producer_id_expiration = if values.version < KafkaVersion::new(3, 4) {
        "transactional.id.expiration.ms"
    } else {
        "producer.id.expiration.ms"
    };
    BrokerConfig {
        version: values.version,
        metadata_mode: mode,
        toggles: Toggles::of(values.version),
        broker_id: values.int(id),
        broker_rack: values.opt_text("broker.rack"),
        log_dirs: log_dirs(values),
        tells_log_directories: mode == MetadataMode::ZooKeeper || values.version >= KafkaVersion::new(3, 7),
        num_partitions: values.int("num.partitions"),
        // A larger number is a problem already, and this configuration is not given out.
        default_replication_factor: i16::try_from(values.number("default.replication.factor")).unwrap_or(i16::MAX),
        auto_create_topics_enable: values.boolean("auto.create.topics.enable"),
        delete_topic_enable: values.boolean("delete.topic.enable"),
        log: log_defaults(values),
        log_flush_scheduler_interval_ms: values.millis("log.flush.scheduler.interval.ms"),
        log_flush_offset_checkpoint_interval_ms: values.millis("log.flush.offset.checkpoint.interval.ms"),
        replica_high_watermark_checkpoint_interval_ms: values.millis("replica.high.watermark.checkpoint.interval.ms"),
        replica_selector_class: ReplicaSelector::of(values),
        replica_lag_time_max_ms: values.millis("replica.lag.time.max.ms"),
        replica_fetch_wait_max_ms: values.millis("replica.fetch.wait.max.ms"),
        replica_fetch_min_bytes: values.int("replica.fetch.min.bytes"),
        replica_fetch_max_bytes: values.int("replica.fetch.max.bytes"),
        replica_fetch_response_max_bytes: values.int("replica.fetch.response.max.bytes"),
        replica_fetch_backoff_ms: values.millis("replica.fetch.backoff.ms"),
        replica_socket_timeout_ms: values.millis("replica.socket.timeout.ms"),
        broker_heartbeat_interval_ms: heartbeat_interval,
        broker_session_timeout_ms: session_timeout,
        num_io_threads: values.size("num.io.threads"),
        request_times: RequestTimes::default(),
        connections_max_idle_ms: super::max_idle(values),
        controlled_shutdown_enable: values.boolean("controlled.shutdown.enable"),
        max_incremental_fetch_session_cache_slots: values.size("max.incremental.fetch.session.cache.slots"),
        unclean_leader_election_interval_ms: values.millis("unclean.leader.election.interval.ms"),
        leader_imbalance_per_broker_percentage: values.count("leader.imbalance.per.broker.percentage"),
        auto_leader_rebalance_enable: values.boolean("auto.leader.rebalance.enable"),
        leader_imbalance_check_interval_seconds: Duration::from_secs(
            values.count("leader.imbalance.check.interval.seconds"),
        ),
        producer_id_expiration_ms: values.millis(producer_id_expiration),
        producer_id_expiration_check_interval_ms: values.millis("producer.id.expiration.check.interval.ms"),
        log_initial_task_delay_ms: values.millis("log.initial.task.delay.ms"),
        log_retention_check_interval_ms: values.millis("log.retention.check.interval.ms"),
        log_flush_start_offset_checkpoint_interval_ms: values.millis("log.flush.start.offset.checkpoint.interval.ms"),
        log_cleaner_enable: values.boolean("log.cleaner.enable"),
        log_cleaner_backoff_ms: values.millis("log.cleaner.backoff.ms"),
        controller_socket_timeout_ms: values.millis("controller.socket.timeout.ms"),
        groups: super::groups::build(values),
    }
}

fn log_dirs(values: &Values) -> Vec<String> {
    let written = values.opt_text("log.dirs").unwrap_or_else(|| values.text("log.dir"));
    written.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The defaults of topics on this broker.
fn log_defaults(values: &Values) -> LogConfig {
    let roll_hours = Duration::from_secs(values.count("log.roll.hours").saturating_mul(3600));
    let flush_ms = values.opt_millis("log.flush.interval.ms");
    let jitter_hours = Duration::from_secs(values.count("log.roll.jitter.hours").saturating_mul(3600));
    let difference = values.millis("log.message.timestamp.difference.max.ms");
    let bound =
        |name: &str| if values.is_set(name) { values.millis(name) } else { difference.min(values.millis(name)) };
    LogConfig {
        segment_bytes: values.count("log.segment.bytes"),
        segment_ms: values.opt_millis("log.roll.ms").unwrap_or(roll_hours),
        segment_index_bytes: values.count("log.index.size.max.bytes"),
        index_interval_bytes: values.count("log.index.interval.bytes"),
        flush_messages: values.count("log.flush.interval.messages"),
        flush_ms: flush_ms.unwrap_or_else(|| values.millis("log.flush.scheduler.interval.ms")),
        max_message_bytes: values.count("message.max.bytes"),
        min_insync_replicas: u32::try_from(values.count("min.insync.replicas")).unwrap_or(u32::MAX),
        unclean_leader_election_enable: values.boolean("unclean.leader.election.enable"),
        message_timestamp_type: TimestampType::of(&values.text("log.message.timestamp.type")),
        message_timestamp_before_max_ms: bound("log.message.timestamp.before.max.ms"),
        message_timestamp_after_max_ms: bound("log.message.timestamp.after.max.ms"),
        segment_jitter_ms: values.opt_millis("log.roll.jitter.ms").unwrap_or(jitter_hours),
        compression_type: compression_of(&values.text("compression.type")),
        cleanup_policy: CleanupPolicy::of(&values.text("log.cleanup.policy")),
        retention_ms: retention(values),
        retention_bytes: u64::try_from(values.number("log.retention.bytes")).ok(),
        file_delete_delay_ms: values.millis("log.segment.delete.delay.ms"),
        delete_retention_ms: values.millis("log.cleaner.delete.retention.ms"),
        min_compaction_lag_ms: values.millis("log.cleaner.min.compaction.lag.ms"),
        max_compaction_lag_ms: values.millis("log.cleaner.max.compaction.lag.ms"),
        min_cleanable_dirty_ratio: values.ratio("log.cleaner.min.cleanable.ratio"),
    }
}

/// Milliseconds go before minutes, and those before hours; any number below zero is for ever.
fn retention(values: &Values) -> Duration {
    let units = [("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)];
    let written = units.into_iter().find_map(|(name, unit)| values.opt_number(name).map(|number| (number, unit)));
    let (number, unit) = written.unwrap_or((-1, 1));
    u64::try_from(number).map_or(Duration::FOREVER, |number| Duration::from_millis(number.saturating_mul(unit)))
}

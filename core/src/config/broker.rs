//! `server.properties`.
//!
//! Kafka: `KafkaConfig`.

use super::{KafkaVersion, LogConfig, Toggles};
use crate::types::Duration;

/// The configuration of a broker or controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// The profile that the defaults come from.
    pub version: KafkaVersion,
    /// Historical fixes.
    pub toggles: Toggles,
    /// `broker.id`, `node.id`.
    pub broker_id: i32,
    /// `broker.rack`.
    pub broker_rack: Option<String>,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `auto.create.topics.enable`.
    pub auto_create_topics_enable: bool,
    /// `log.*`: defaults for topics without an override.
    pub log: LogConfig,
    /// `log.flush.scheduler.interval.ms`: how often `flush.ms` is looked at.
    pub log_flush_scheduler_interval_ms: Duration,
    /// `log.flush.offset.checkpoint.interval.ms`: how often the recovery points are written.
    pub log_flush_offset_checkpoint_interval_ms: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub replica_high_watermark_checkpoint_interval_ms: Duration,
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
    /// `controlled.shutdown.enable`.
    pub controlled_shutdown_enable: bool,
    /// `max.incremental.fetch.session.cache.slots` (KIP-227).
    pub max_incremental_fetch_session_cache_slots: usize,
    /// `unclean.leader.election.interval.ms` (KRaft, 3.9).
    pub unclean_leader_election_interval_ms: Duration,
    /// `auto.leader.rebalance.enable`.
    pub auto_leader_rebalance_enable: bool,
    /// `leader.imbalance.check.interval.seconds`.
    pub leader_imbalance_check_interval_seconds: Duration,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: Duration,
    /// `request.timeout.ms` of broker-to-controller requests (`controller.socket.timeout.ms`).
    pub controller_socket_timeout_ms: Duration,
}

//! What the tests of this folder share: a configuration, and the controller's end of a connection.

use std::sync::Arc;

use crate::client::testing::Bench;
use crate::config::{BrokerConfig, KafkaVersion, LogConfig, TimestampType, Toggles};
use crate::machine::Effect;
use crate::protocol::Request;
use crate::types::{ConnectionId, CorrelationId, Duration, NodeId};

pub(super) const CONTROLLER: NodeId = NodeId::Controller(100);

/// Kafka's defaults of 3.9, with one partition in three copies per topic.
pub(crate) fn config(broker_id: i32) -> Arc<BrokerConfig> {
    let version = KafkaVersion::new(3, 9);
    let millis = Duration::from_millis;
    Arc::new(BrokerConfig {
        version,
        toggles: Toggles::of(version),
        broker_id,
        broker_rack: None,
        num_partitions: 1,
        default_replication_factor: 3,
        auto_create_topics_enable: true,
        log: LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: millis(7 * 24 * 3_600_000),
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            flush_messages: u64::MAX,
            flush_ms: Duration::FOREVER,
            max_message_bytes: 1_048_588,
            min_insync_replicas: 2,
            unclean_leader_election_enable: false,
            message_timestamp_type: TimestampType::CreateTime,
        },
        log_flush_scheduler_interval_ms: Duration::FOREVER,
        log_flush_offset_checkpoint_interval_ms: millis(60_000),
        replica_high_watermark_checkpoint_interval_ms: millis(5_000),
        replica_lag_time_max_ms: millis(30_000),
        replica_fetch_wait_max_ms: millis(500),
        replica_fetch_min_bytes: 1,
        replica_fetch_max_bytes: 1 << 20,
        replica_fetch_response_max_bytes: 10 << 20,
        replica_fetch_backoff_ms: millis(1_000),
        replica_socket_timeout_ms: millis(30_000),
        broker_heartbeat_interval_ms: millis(2_000),
        broker_session_timeout_ms: millis(9_000),
        controlled_shutdown_enable: true,
        max_incremental_fetch_session_cache_slots: 1_000,
        unclean_leader_election_interval_ms: millis(300_000),
        auto_leader_rebalance_enable: true,
        leader_imbalance_check_interval_seconds: millis(300_000),
        producer_id_expiration_ms: millis(86_400_000),
        controller_socket_timeout_ms: millis(30_000),
    })
}

/// The request sent last, and how to answer it.
pub(super) fn sent(bench: &mut Bench) -> Option<(ConnectionId, CorrelationId, Request)> {
    let mut sends = bench.take().into_iter().filter_map(|effect| match effect {
        Effect::Send { connection, correlation_id, request } => Some((connection, correlation_id, request)),
        _ => None,
    });
    let first = sends.next();
    assert!(sends.next().is_none(), "one request at a time");
    first
}

/// The connections opened since the last time.
pub(super) fn opened(bench: &mut Bench) -> Vec<(ConnectionId, NodeId)> {
    let effects = bench.take().into_iter();
    effects
        .filter_map(|effect| match effect {
            Effect::Connect { connection, to } => Some((connection, to)),
            _ => None,
        })
        .collect()
}

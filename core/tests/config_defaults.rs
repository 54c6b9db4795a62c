//! The defaults of each version against the table of the failure catalog and Kafka's source at the tags.

use ackproof_core::config::{
    AutoOffsetReset, BrokerConfig, ConsumerConfig, KafkaVersion, LegacyProducerConfig, LegacyProducerType, LogConfig,
    ProducerConfig, Property, Resolved, TimestampType, Toggles,
};
use ackproof_core::record::Compression;
use ackproof_core::types::Duration;

const V2_2: KafkaVersion = KafkaVersion::new(2, 2);
const V2_8: KafkaVersion = KafkaVersion::new(2, 8);
const V3_5: KafkaVersion = KafkaVersion::new(3, 5);
const V3_9: KafkaVersion = KafkaVersion::new(3, 9);
const V4_0: KafkaVersion = KafkaVersion::new(4, 0);
const V4_1: KafkaVersion = KafkaVersion::new(4, 1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn broker(version: KafkaVersion) -> Resolved<BrokerConfig> {
    BrokerConfig::resolve(version, &[]).expect("defaults")
}

fn producer(version: KafkaVersion) -> Resolved<ProducerConfig> {
    ProducerConfig::resolve(version, &[]).expect("defaults")
}

#[test]
fn defaults_of_brokers_are_those_of_their_version() {
    //  version, replica.lag.time.max.ms, message.max.bytes, session, heartbeat, producer id expiry (days)
    let table = [
        (V2_2, 10_000, 1_000_012, 6_000, 2_000, 7),
        (V2_8, 30_000, 1_048_588, 18_000, 2_000, 7),
        (V3_5, 30_000, 1_048_588, 9_000, 2_000, 1),
        (V3_9, 30_000, 1_048_588, 9_000, 2_000, 1),
        (V4_0, 30_000, 1_048_588, 9_000, 2_000, 1),
        (V4_1, 30_000, 1_048_588, 9_000, 2_000, 1),
    ];
    for (version, lag, message, session, heartbeat, days) in table {
        let config = broker(version).config;
        assert_eq!(config.replica_lag_time_max_ms, ms(lag), "{version}");
        assert_eq!(config.log.max_message_bytes, message, "{version}");
        assert_eq!(config.broker_session_timeout_ms, ms(session), "{version}");
        assert_eq!(config.broker_heartbeat_interval_ms, ms(heartbeat), "{version}");
        assert_eq!(config.producer_id_expiration_ms, Duration::from_secs(days * 86_400), "{version}");
    }
}

#[test]
fn defaults_of_brokers_that_no_version_changed() {
    for version in KafkaVersion::SUPPORTED {
        let Resolved { config, no_effect, notices } = broker(version);
        assert_eq!((no_effect, notices), (vec![], vec![]));
        assert_eq!((config.version, config.toggles), (version, Toggles::of(version)));
        assert_eq!((config.broker_id, config.broker_rack), (-1, None));
        assert_eq!((config.num_partitions, config.default_replication_factor), (1, 1));
        assert!(config.auto_create_topics_enable && config.controlled_shutdown_enable);
        assert_eq!(config.replica_high_watermark_checkpoint_interval_ms, ms(5_000));
        assert_eq!(config.log_flush_offset_checkpoint_interval_ms, ms(60_000));
        assert_eq!(config.log_flush_scheduler_interval_ms, Duration::FOREVER);
        assert_eq!((config.replica_fetch_wait_max_ms, config.replica_fetch_backoff_ms), (ms(500), ms(1_000)));
        assert_eq!((config.replica_fetch_min_bytes, config.replica_fetch_max_bytes), (1, 1 << 20));
        assert_eq!(config.replica_fetch_response_max_bytes, 10 << 20);
        assert_eq!((config.replica_socket_timeout_ms, config.controller_socket_timeout_ms), (ms(30_000), ms(30_000)));
        assert_eq!(config.max_incremental_fetch_session_cache_slots, 1_000);
        assert!(config.auto_leader_rebalance_enable);
        assert_eq!(config.leader_imbalance_check_interval_seconds, Duration::from_secs(300));
        assert_eq!(config.unclean_leader_election_interval_ms, Duration::from_secs(300));
        let LogConfig { segment_bytes, segment_ms, flush_messages, flush_ms, .. } = config.log;
        assert_eq!((segment_bytes, segment_ms), (1 << 30, Duration::from_secs(7 * 86_400)));
        assert_eq!((flush_messages, flush_ms), (i64::MAX as u64, Duration::FOREVER), "never an fsync by itself");
        assert_eq!((config.log.segment_index_bytes, config.log.index_interval_bytes), (10 << 20, 4_096));
        assert_eq!((config.log.min_insync_replicas, config.log.unclean_leader_election_enable), (1, false));
        assert_eq!(config.log.message_timestamp_type, TimestampType::CreateTime);
    }
}

#[test]
fn defaults_of_producers_are_those_of_their_version() {
    //  version, acks, enable.idempotence, linger.ms, retry.backoff.max.ms
    let table = [
        (V2_2, 1, false, 0, 100),
        (V2_8, 1, false, 0, 100),
        (V3_5, -1, true, 0, 100),
        (V3_9, -1, true, 0, 1_000),
        (V4_0, -1, true, 5, 1_000),
        (V4_1, -1, true, 5, 1_000),
    ];
    for (version, acks, idempotence, linger, backoff_max) in table {
        let Resolved { config, no_effect, notices } = producer(version);
        assert_eq!((no_effect, notices, &config.warnings), (vec![], vec![], &vec![]));
        assert_eq!((config.version, config.acks, config.enable_idempotence), (version, acks, idempotence));
        assert_eq!((config.linger_ms, config.retry_backoff_max_ms), (ms(linger), ms(backoff_max)), "{version}");
        assert_eq!((config.retries, config.max_in_flight_requests_per_connection), (i32::MAX as u32, 5));
        assert_eq!((config.batch_size, config.buffer_memory, config.max_request_size), (16_384, 32 << 20, 1 << 20));
        assert_eq!((config.request_timeout_ms, config.delivery_timeout_ms), (ms(30_000), ms(120_000)));
        assert_eq!((config.max_block_ms, config.retry_backoff_ms), (ms(60_000), ms(100)));
        assert_eq!((config.reconnect_backoff_ms, config.reconnect_backoff_max_ms), (ms(50), ms(1_000)));
        assert_eq!(config.metadata_max_age_ms, ms(300_000));
        assert_eq!((config.compression_type, config.client_id.as_str()), (Compression::None, ""));
        assert!(!config.round_robin_partitioner && !config.partitioner_ignore_keys);
    }
}

#[test]
fn defaults_of_consumers() {
    for version in KafkaVersion::SUPPORTED {
        let config = ConsumerConfig::resolve(version, &[Property::new("group.id", "g")]).expect("defaults").config;
        assert_eq!((config.version, config.group_id.as_deref()), (version, Some("g")));
        assert_eq!((config.auto_offset_reset, config.enable_auto_commit), (AutoOffsetReset::Latest, true));
        assert_eq!((config.auto_commit_interval_ms, config.max_poll_records), (ms(5_000), 500));
        assert_eq!((config.fetch_min_bytes, config.fetch_max_bytes, config.fetch_max_wait_ms), (1, 50 << 20, ms(500)));
        assert_eq!(config.max_partition_fetch_bytes, 1 << 20);
        assert_eq!((config.request_timeout_ms, config.default_api_timeout_ms), (ms(30_000), ms(60_000)));
        assert_eq!(
            (config.retry_backoff_ms, config.metadata_max_age_ms, config.check_crcs),
            (ms(100), ms(300_000), true)
        );
        assert_eq!((config.reconnect_backoff_ms, config.reconnect_backoff_max_ms), (ms(50), ms(1_000)));
    }
}

#[test]
fn defaults_of_the_scala_producer() {
    let config = LegacyProducerConfig::resolve(&[]).expect("defaults").config;
    assert_eq!((config.producer_type, config.request_required_acks), (LegacyProducerType::Sync, 0));
    assert_eq!((config.request_timeout_ms, config.retry_backoff_ms), (ms(10_000), ms(100)));
    assert_eq!((config.message_send_max_retries, config.batch_num_messages), (3, 200));
    assert_eq!((config.queue_buffering_max_ms, config.queue_buffering_max_messages), (ms(5_000), 10_000));
    assert_eq!((config.queue_enqueue_timeout_ms, config.client_id.as_str()), (None, ""));
    assert_eq!(config.topic_metadata_refresh_interval_ms, ms(600_000));
}

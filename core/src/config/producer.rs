//! The producer's properties: the Java producer's, and those of the Scala producer of 0.8.
//!
//! Kafka: `ProducerConfig`; 0.8: `kafka.producer.ProducerConfig`, `AsyncProducerConfig`, `SyncProducerConfig`.

use super::KafkaVersion;
use crate::types::Duration;

/// The configuration of a `KafkaProducer`, with conflicts resolved as the version resolves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerConfig {
    /// The profile that the defaults come from; it also chooses the partitioner.
    pub version: KafkaVersion,
    /// `client.id`.
    pub client_id: String,
    /// `acks`: 0, 1 or -1 for all.
    pub acks: i16,
    /// `retries`.
    pub retries: u32,
    /// `enable.idempotence`, as it is in effect.
    pub enable_idempotence: bool,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight_requests_per_connection: usize,
    /// `batch.size` in bytes; 0 is one record per batch.
    pub batch_size: usize,
    /// `linger.ms`.
    pub linger_ms: Duration,
    /// `buffer.memory` in bytes.
    pub buffer_memory: u64,
    /// `max.block.ms`.
    pub max_block_ms: Duration,
    /// `max.request.size` in bytes.
    pub max_request_size: usize,
    /// `request.timeout.ms`.
    pub request_timeout_ms: Duration,
    /// `delivery.timeout.ms`.
    pub delivery_timeout_ms: Duration,
    /// `retry.backoff.ms`.
    pub retry_backoff_ms: Duration,
    /// `retry.backoff.max.ms` (KIP-580, 3.7); equal to `retry.backoff.ms` where there is none.
    pub retry_backoff_max_ms: Duration,
    /// `reconnect.backoff.ms`.
    pub reconnect_backoff_ms: Duration,
    /// `reconnect.backoff.max.ms`.
    pub reconnect_backoff_max_ms: Duration,
    /// `metadata.max.age.ms`.
    pub metadata_max_age_ms: Duration,
    /// `compression.type`.
    pub compression_type: crate::record::Compression,
    /// `partitioner.class`, where it is set to `RoundRobinPartitioner`.
    pub round_robin_partitioner: bool,
    /// `partitioner.ignore.keys` (KIP-794, 3.3).
    pub partitioner_ignore_keys: bool,
    /// `delivery.timeout.ms`-independent: what the client logged when it resolved conflicts ("idempotence will be
    /// disabled because retries is set to 0").
    pub warnings: Vec<String>,
}

/// `producer.type` of the Scala producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyProducerType {
    /// `send()` waits for the answer.
    Sync,
    /// `send()` puts the record into a queue; a thread sends batches.
    Async,
}

/// The configuration of the Scala producer of 0.8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyProducerConfig {
    /// `client.id`.
    pub client_id: String,
    /// `producer.type`.
    pub producer_type: LegacyProducerType,
    /// `request.required.acks`: 0, 1 or -1.
    pub request_required_acks: i16,
    /// `request.timeout.ms`.
    pub request_timeout_ms: Duration,
    /// `message.send.max.retries`.
    pub message_send_max_retries: u32,
    /// `retry.backoff.ms`.
    pub retry_backoff_ms: Duration,
    /// `queue.buffering.max.ms`.
    pub queue_buffering_max_ms: Duration,
    /// `queue.buffering.max.messages`.
    pub queue_buffering_max_messages: usize,
    /// `queue.enqueue.timeout.ms`: 0 drops when full, none (-1) blocks for ever.
    pub queue_enqueue_timeout_ms: Option<Duration>,
    /// `batch.num.messages`.
    pub batch_num_messages: usize,
    /// `topic.metadata.refresh.interval.ms`.
    pub topic_metadata_refresh_interval_ms: Duration,
}

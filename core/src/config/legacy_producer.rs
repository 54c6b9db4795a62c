//! The properties of the Scala producer of 0.8, the one with `request.required.acks`.
//!
//! It talks to brokers of later versions too, so its own defaults do not depend on the profile.
//!
//! Kafka 0.8.2: `kafka.producer.ProducerConfig`, `AsyncProducerConfig`, `SyncProducerConfig`.
//! Not modelled: compression.

use super::definition::{Definition, Kind};
use super::property::{ConfigProblem, Property, Resolved};
use super::values::{Schema, Values};
use super::{ConfigKind, KafkaVersion, known};
use crate::types::Duration;

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

/// The properties that do something.
pub(super) const SCHEMA: Schema =
    Schema { kind: ConfigKind::LegacyProducer, definitions: DEFINITIONS, no_effect: &[known::LEGACY_PRODUCER] };

/// The version that the defaults are of.
const V0_8: KafkaVersion = KafkaVersion::new(0, 8);

const ACKS: Kind = Kind::Number { of: "SHORT", min: -1, max: 1 };

#[rustfmt::skip]
const DEFINITIONS: &[Definition] = &[
    Definition::new("client.id", Kind::Text, Some(""), "A name for logs."),
    Definition::new("producer.type", Kind::Choice(&["sync", "async"]), Some("sync"), "Whether send() waits for the answer, or puts the record into a queue."),
    Definition::new("request.required.acks", ACKS, Some("0"), "How many replicas must have a record before it counts as written: 0 none, 1 the leader, -1 all in sync."),
    Definition::new("request.timeout.ms", Kind::int(1), Some("10000"), "How long the producer waits for an answer."),
    Definition::new("message.send.max.retries", Kind::INT, Some("3"), "How often a batch is sent again.").floor(0),
    Definition::new("retry.backoff.ms", Kind::INT, Some("100"), "The pause before a batch is sent again.").floor(0),
    Definition::new("queue.buffering.max.ms", Kind::INT, Some("5000"), "How long a record waits in the queue for others.").floor(0),
    Definition::new("queue.buffering.max.messages", Kind::INT, Some("10000"), "How many records the queue holds.").floor(1),
    Definition::new("queue.enqueue.timeout.ms", Kind::INT, Some("-1"), "How long send() waits for room in the queue: 0 drops the record, -1 waits for ever.").floor(-1),
    Definition::new("batch.num.messages", Kind::INT, Some("200"), "How many records make a batch.").floor(1),
    Definition::new("topic.metadata.refresh.interval.ms", Kind::INT, Some("600000"), "After how long the producer asks again who leads; -1 is only after a failure.").floor(-1),
];

impl LegacyProducerConfig {
    /// The configuration of a Scala producer whose properties are `overrides`.
    pub fn resolve(overrides: &[Property]) -> Result<Resolved<LegacyProducerConfig>, Vec<ConfigProblem>> {
        let mut values = Values::read(SCHEMA, V0_8, overrides);
        let (batch, queue) = (values.size("batch.num.messages"), values.size("queue.buffering.max.messages"));
        if batch > queue {
            let name =
                if values.is_set("batch.num.messages") { "batch.num.messages" } else { "queue.buffering.max.messages" };
            values.refuse(name, format!("Batch size = {batch} can't be larger than queue size = {queue}"));
        }
        let enqueue_timeout = values.number("queue.enqueue.timeout.ms");
        let config = LegacyProducerConfig {
            client_id: values.text("client.id"),
            producer_type: match values.text("producer.type").as_str() {
                "async" => LegacyProducerType::Async,
                _ => LegacyProducerType::Sync,
            },
            request_required_acks: i16::try_from(values.number("request.required.acks")).unwrap_or(-1),
            request_timeout_ms: values.millis("request.timeout.ms"),
            message_send_max_retries: u32::try_from(values.number("message.send.max.retries")).unwrap_or(u32::MAX),
            retry_backoff_ms: values.millis("retry.backoff.ms"),
            queue_buffering_max_ms: values.millis("queue.buffering.max.ms"),
            queue_buffering_max_messages: queue,
            queue_enqueue_timeout_ms: u64::try_from(enqueue_timeout).ok().map(Duration::from_millis),
            batch_num_messages: batch,
            topic_metadata_refresh_interval_ms: values.millis("topic.metadata.refresh.interval.ms"),
        };
        values.resolved(config)
    }
}

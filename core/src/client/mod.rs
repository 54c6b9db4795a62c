//! Kafka's clients: producer, consumer, admin, and the connections below them.

pub mod call;

pub use call::{Call, Completion, ConsumerRecord, NewTopic, ProducerRecord, RecordMetadata};

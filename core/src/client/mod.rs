//! Kafka's clients: producer, consumer, admin, and the connections below them.

pub mod backoff;
pub mod call;
pub mod metadata;
pub mod network_client;
#[cfg(test)]
pub(crate) mod testing;

pub use backoff::ExponentialBackoff;
pub use call::{Call, Completion, ConsumerRecord, NewTopic, ProducerRecord, RecordMetadata};
pub use metadata::{ClientMetadata, ClientMetadataConfig, PartitionMetadata};
pub use network_client::{DisconnectReason, Disconnection, Expect, NetworkClient, NetworkClientConfig, RequestToken};

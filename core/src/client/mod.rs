//! Kafka's clients: producer, consumer, admin, and the connections below them.

pub mod admin;
mod admin_requests;
pub mod backoff;
pub mod call;
pub mod consumer;
pub mod legacy;
pub mod metadata;
pub mod network_client;
pub mod producer;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod testing_cluster;
mod topic_pattern;

pub use admin::AdminClient;
pub use backoff::ExponentialBackoff;
pub use call::{
    AdminCall, Call, Completion, ConfigResource, ConsumerRecord, NewTopic, ProducerRecord, RecordMetadata, Work,
};
pub use consumer::{Consumer, ShareConsumer};
pub use legacy::LegacyProducer;
pub use metadata::{ClientMetadata, ClientMetadataConfig, PartitionMetadata};
pub use network_client::{DisconnectReason, Disconnection, Expect, NetworkClient, NetworkClientConfig, RequestToken};
pub use producer::{Abandoned, Producer};
pub use topic_pattern::TopicPattern;

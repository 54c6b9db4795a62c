//! The cluster's facts as records, and the image that they add up to.

pub mod batch;
pub mod frame;
pub mod image;
pub mod partition;
pub mod records;
pub(crate) mod wire;

pub use batch::{MetadataBatch, decode, encode};
pub use image::{BrokerRegistration, MetadataDelta, MetadataImage, ReplayError, TopicImage};
pub use partition::{LeaderRecoveryState, NO_LEADER, PartitionRegistration};
pub use records::MetadataRecord;
pub use wire::WireError;

/// The topic that the metadata log is; it has one partition, 0.
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// The topic id that the metadata log has everywhere (`Uuid.METADATA_TOPIC_ID`).
pub const CLUSTER_METADATA_TOPIC_ID: uuid::Uuid = uuid::Uuid::from_u128(1);

//! Words that everyone shares: identifiers, offsets, time, probability, randomness.

pub mod by_token;
pub mod ids;
pub mod kafka_uuid;
pub mod offsets;
pub mod prng;
pub mod rate;
pub mod ratio;
pub mod time;

pub use by_token::ByToken;
pub use ids::{ConnectionId, CorrelationId, NodeId, PartitionsById, RecordId, TopicPartition, is_internal};
pub use kafka_protocol::messages::{BrokerId, TopicName};
pub use kafka_protocol::protocol::StrBytes;
pub use offsets::{BrokerEpoch, LeaderEpoch, Offset, PartitionEpoch, ProducerEpoch, Sequence};
pub use prng::Prng;
pub use rate::Rate;
pub use ratio::Ratio;
pub use time::{Duration, Instant, Timestamp, earliest};

//! Kafka's configuration: real property names, real defaults per Kafka version.
//!
//! A field is the property name in snake_case (`replica.lag.time.max.ms` is `replica_lag_time_max_ms`); times are
//! [`Duration`](crate::types::Duration), whatever unit the property has.

pub mod broker;
pub mod consumer;
pub mod producer;
pub mod topic;
pub mod version;

pub use broker::BrokerConfig;
pub use consumer::{AutoOffsetReset, ConsumerConfig};
pub use producer::{LegacyProducerConfig, LegacyProducerType, ProducerConfig};
pub use topic::{LogConfig, TimestampType};
pub use version::{KafkaVersion, Toggles, Truncation};

//! What members of a consumer group tell each other through their coordinator, which only carries it.
//!
//! Kafka: `ConsumerProtocol.deserializeSubscription`, `deserializeAssignment`.

use std::collections::BTreeSet;

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::Decodable;

use crate::types::TopicPartition;

/// The newest version: 1 names owned partitions (KIP-429), 2 the generation (KIP-792), 3 the rack (KIP-881).
pub const VERSION: i16 = 3;

/// Reads a subscription, if it is one.
pub fn subscription(bytes: &Bytes) -> Option<ConsumerProtocolSubscription> {
    let mut rest = bytes.clone();
    let version = rest.try_get_i16().ok()?;
    ConsumerProtocolSubscription::decode(&mut rest, version.clamp(0, VERSION)).ok()
}

/// Reads an assignment. Empty bytes are none, and so is what is not an assignment.
pub fn assignment(bytes: &Bytes) -> BTreeSet<TopicPartition> {
    let mut rest = bytes.clone();
    let Ok(version) = rest.try_get_i16() else { return BTreeSet::new() };
    let read = ConsumerProtocolAssignment::decode(&mut rest, version.clamp(0, VERSION)).unwrap_or_default();
    let partitions = read.assigned_partitions.into_iter().flat_map(|topic| {
        let name = topic.topic;
        topic.partitions.into_iter().map(move |index| TopicPartition::new(name.clone(), index))
    });
    partitions.collect()
}

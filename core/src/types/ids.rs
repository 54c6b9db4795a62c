//! Who and what: nodes, connections, partitions, records.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A process of the simulated system. The number of a broker is its `broker.id`, of a controller its `node.id`;
/// clients (producers, consumers, admins) are numbered in the order in which the scenario names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeId {
    /// A KRaft controller.
    Controller(i32),
    /// A broker.
    Broker(i32),
    /// A producer, a consumer or an admin client.
    Client(u32),
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeId::Controller(id) => write!(f, "controller {id}"),
            NodeId::Broker(id) => write!(f, "broker {id}"),
            NodeId::Client(id) => write!(f, "client {id}"),
        }
    }
}

/// One connection between two nodes, unique in a run. Both ends know it by the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectionId(pub u64);

/// Pairs a response with its request on one connection.
pub type CorrelationId = i32;

/// A partition of a topic; `orders-0` in print.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition index, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: TopicName, partition: i32) -> Self {
        Self { topic, partition }
    }

    /// Names a partition of a topic given as text.
    pub fn of(topic: &str, partition: i32) -> Self {
        Self { topic: TopicName(StrBytes::from_string(topic.to_owned())), partition }
    }
}

/// Whether a topic is Kafka's own, like `__consumer_offsets`: nobody sent what is in it.
pub fn is_internal(topic: &str) -> bool {
    topic.starts_with("__")
}

impl Ord for TopicPartition {
    /// By topic, then by number. Nearly all names of a topic are copies of one, which need not be compared byte by byte:
    /// a broker with thousands of partitions does little else.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mine, theirs) = (self.topic.as_str(), other.topic.as_str());
        let topics = if std::ptr::eq(mine, theirs) { Ordering::Equal } else { mine.cmp(theirs) };
        topics.then(self.partition.cmp(&other.partition))
    }
}

impl PartialOrd for TopicPartition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic.as_str(), self.partition)
    }
}

impl Serialize for TopicPartition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TopicPartition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (topic, partition) = text.rsplit_once('-').ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is not a partition; write topic-number, like orders-0"))
        })?;
        let partition = partition
            .parse()
            .map_err(|_| serde::de::Error::custom(format!("`{partition}` in `{text}` is not a partition number")))?;
        Ok(Self::of(topic, partition))
    }
}

/// Partitions by the ids of their topics.
pub type PartitionsById = BTreeMap<Uuid, BTreeSet<i32>>;

/// One call of `send()`: the n-th of its client, from 0. A resend by the application is a new record
/// that names the one it repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordId {
    /// The client that sent it (the number in [`NodeId::Client`]).
    pub client: u32,
    /// The position in that client's sequence of `send()` calls.
    pub number: u64,
}

//! What travels on a connection, and rules that interfere with a class of messages.

use ackproof_core::protocol::{Request, Response};
use ackproof_core::types::{CorrelationId, Duration, Instant, TopicName, TopicPartition};

use super::NodeIndex;

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The sender's life when it was said; a process that died before `departs` never sent it.
    pub life: u32,
    /// When it leaves the sender: after the device time of what was written before it.
    pub departs: Instant,
    /// The fact that led to it.
    pub cause: u64,
    /// What it is.
    pub body: Body,
}

/// The kinds of packet.
#[derive(Clone, Debug)]
pub enum Body {
    /// A client wants to connect.
    Connect,
    /// The server's kernel accepted.
    Accepted,
    /// The end of the connection: closed, refused or reset.
    End,
    /// A request.
    Request(CorrelationId, Request),
    /// A response.
    Response(CorrelationId, Response),
}

/// Request or response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Requests only.
    Request,
    /// Responses only.
    Response,
}

/// Which messages a rule is about. What is `None` matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// The API, by Kafka's name: `Produce`.
    pub api: Option<String>,
    /// Requests or responses.
    pub direction: Option<Direction>,
    /// The senders.
    pub from: Option<Vec<NodeIndex>>,
    /// The receivers.
    pub to: Option<Vec<NodeIndex>>,
    /// A partition that the message carries (Produce and Fetch).
    pub partition: Option<TopicPartition>,
}

/// What happens to the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interference {
    /// It arrives so much later, and what is behind it on the connection too.
    Delay(Duration),
    /// It arrives when the rule ends, even if the sender has closed the connection by then; what is behind it waits too.
    Hold,
    /// It vanishes, and so does everything behind it in this direction: the connection has gone silent.
    Drop,
    /// It vanishes, and the connection is reset: each end learns it after the latency of the direction to it.
    Reset,
    /// A request that is executed once more, so much later: a proxy or a load balancer repeated it on a connection of its
    /// own, whose answer nobody waits for. TCP itself delivers nothing twice.
    Duplicate(Duration),
    /// It arrives with a bit flipped that TCP's checksum did not catch.
    Corrupt(Corruption),
    /// A Produce request that has not been written to its socket yet when the client gives the batch up and its buffer to the
    /// next batch (KAFKA-19012). It goes out when the rule ends, with its own header and the records of the last Produce
    /// request that the sender has sent meanwhile; what is behind it waits too.
    ReuseBuffer,
}

/// Where a bit of a message is flipped. Messages without such a part pass unharmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// In the records of a Produce request or a Fetch response, where the CRC covers them; the bit is drawn.
    Records,
    /// In the base offset of the first batch, which the CRC does not cover.
    BaseOffset,
    /// In the leader epoch of the first batch, which the CRC does not cover.
    LeaderEpoch,
    /// In the number of the first partition of a Produce request: its lowest bit.
    Partition,
}

/// A fault on a class of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRule {
    /// Which messages.
    pub filter: MessageFilter,
    /// What happens to them.
    pub interference: Interference,
    /// How many of them; none is all, until the rule ends.
    pub times: Option<u64>,
    /// How many matching messages pass first.
    pub skip: u64,
}

impl Interference {
    /// Whether it can be done to this message at all.
    pub fn concerns(self, body: &Body) -> bool {
        match self {
            Interference::Delay(_) | Interference::Hold | Interference::Drop | Interference::Reset => true,
            Interference::Duplicate(_) => matches!(body, Body::Request(..)),
            Interference::ReuseBuffer => body.has(Corruption::Records) && matches!(body, Body::Request(..)),
            Interference::Corrupt(corruption) => body.has(corruption),
        }
    }
}

impl Body {
    /// Rough size on the wire in bytes: record bytes exactly, the rest by a flat guess.
    pub fn size(&self) -> usize {
        const FRAME: usize = 100;
        match self {
            Body::Connect | Body::Accepted | Body::End => 40,
            Body::Request(_, Request::Produce(request)) => {
                let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
                FRAME + partitions.map(|data| 20 + data.records.as_ref().map_or(0, bytes::Bytes::len)).sum::<usize>()
            }
            Body::Response(_, Response::Fetch(response)) => {
                let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
                FRAME + partitions.map(|data| 40 + data.records.as_ref().map_or(0, bytes::Bytes::len)).sum::<usize>()
            }
            Body::Request(..) | Body::Response(..) => FRAME,
        }
    }

    /// `Produce request`; `None` for packets that only open or end a connection.
    pub fn describe(&self) -> Option<(&'static str, Direction)> {
        match self {
            Body::Connect | Body::Accepted | Body::End => None,
            Body::Request(_, request) => Some((request.name(), Direction::Request)),
            Body::Response(_, response) => Some((response.name(), Direction::Response)),
        }
    }

    fn carries(&self, wanted: &TopicPartition) -> bool {
        let is = |topic: &TopicName, partition: i32| *topic == wanted.topic && partition == wanted.partition;
        match self {
            Body::Request(_, Request::Produce(request)) => request
                .topic_data
                .iter()
                .any(|topic| topic.partition_data.iter().any(|data| is(&topic.name, data.index))),
            Body::Response(_, Response::Produce(response)) => response
                .responses
                .iter()
                .any(|topic| topic.partition_responses.iter().any(|data| is(&topic.name, data.index))),
            Body::Request(_, Request::Fetch(request)) => {
                request.topics.iter().any(|topic| topic.partitions.iter().any(|data| is(&topic.topic, data.partition)))
            }
            Body::Response(_, Response::Fetch(response)) => response
                .responses
                .iter()
                .any(|topic| topic.partitions.iter().any(|data| is(&topic.topic, data.partition_index))),
            Body::Connect | Body::Accepted | Body::End | Body::Request(..) | Body::Response(..) => false,
        }
    }
}

impl MessageFilter {
    /// Whether a message between two nodes is one of them.
    pub fn matches(&self, from: NodeIndex, to: NodeIndex, body: &Body) -> bool {
        let Some((api, direction)) = body.describe() else { return false };
        self.api.as_deref().is_none_or(|wanted| wanted == api)
            && self.direction.is_none_or(|wanted| wanted == direction)
            && self.from.as_ref().is_none_or(|wanted| wanted.contains(&from))
            && self.to.as_ref().is_none_or(|wanted| wanted.contains(&to))
            && self.partition.as_ref().is_none_or(|wanted| body.carries(wanted))
    }
}

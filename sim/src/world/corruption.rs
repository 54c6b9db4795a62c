//! A bit of a message flips on its way.

use ackproof_core::protocol::{Request, Response};
use ackproof_core::types::Prng;
use bytes::{Bytes, BytesMut};

use super::Body;
use super::message::Corruption;

/// What comes before the part of a batch that its CRC covers: base offset, length, leader epoch, magic, CRC.
const BEFORE_CRC: usize = 21;

impl Body {
    /// Whether the message has this part.
    pub(super) fn has(&self, part: Corruption) -> bool {
        let has = |records: &Option<Bytes>| records.as_ref().is_some_and(|records| records.len() > BEFORE_CRC);
        match (self, part) {
            (Body::Request(_, Request::Produce(request)), Corruption::Partition) => {
                request.topic_data.first().is_some_and(|topic| !topic.partition_data.is_empty())
            }
            (
                Body::Request(_, Request::Produce(request)),
                Corruption::Records | Corruption::BaseOffset | Corruption::LeaderEpoch,
            ) => request.topic_data.iter().flat_map(|topic| &topic.partition_data).any(|data| has(&data.records)),
            (
                Body::Response(_, Response::Fetch(response)),
                Corruption::Records | Corruption::BaseOffset | Corruption::LeaderEpoch,
            ) => response.responses.iter().flat_map(|topic| &topic.partitions).any(|data| has(&data.records)),
            (Body::Connect | Body::Accepted | Body::End | Body::Request(..) | Body::Response(..), _) => false,
        }
    }

    /// Flips a bit of the message, if it has the part.
    pub(super) fn corrupt(&mut self, where_: Corruption, rng: &mut Prng) -> bool {
        match where_ {
            Corruption::Partition => self.flip_partition(),
            Corruption::Records => self.records_mut().is_some_and(|records| {
                let covered = records.len().saturating_sub(BEFORE_CRC) as u64;
                covered > 0 && flip(records, BEFORE_CRC * 8 + rng.below(covered * 8) as usize)
            }),
            // The lowest bits: eight bytes of base offset, four of length, four of leader epoch, in big endian.
            Corruption::BaseOffset => self.records_mut().is_some_and(|records| flip(records, 7 * 8)),
            Corruption::LeaderEpoch => self.records_mut().is_some_and(|records| flip(records, 15 * 8)),
        }
    }

    fn flip_partition(&mut self) -> bool {
        match self {
            Body::Request(_, Request::Produce(request)) => {
                let data = request.topic_data.first_mut().and_then(|topic| topic.partition_data.first_mut());
                data.map(|data| data.index ^= 1).is_some()
            }
            Body::Connect | Body::Accepted | Body::End | Body::Request(..) | Body::Response(..) => false,
        }
    }

    /// The first records of the message.
    pub(super) fn records_mut(&mut self) -> Option<&mut Bytes> {
        match self {
            Body::Request(_, Request::Produce(request)) => request
                .topic_data
                .iter_mut()
                .flat_map(|topic| &mut topic.partition_data)
                .filter_map(|data| data.records.as_mut())
                .find(|records| !records.is_empty()),
            Body::Response(_, Response::Fetch(response)) => response
                .responses
                .iter_mut()
                .flat_map(|topic| &mut topic.partitions)
                .filter_map(|data| data.records.as_mut())
                .find(|records| !records.is_empty()),
            Body::Connect | Body::Accepted | Body::End | Body::Request(..) | Body::Response(..) => None,
        }
    }
}

/// Flips a bit, in a copy: other holders of the bytes are not concerned.
fn flip(bytes: &mut Bytes, bit: usize) -> bool {
    if bit / 8 >= bytes.len() {
        return false;
    }
    let mut copy = BytesMut::from(&bytes[..]);
    copy[bit / 8] ^= 1 << (bit % 8);
    *bytes = copy.freeze();
    true
}

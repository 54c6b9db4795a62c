//! A client's buffer is given to another batch before the request that it belongs to has been written to the socket.
//!
//! Kafka: KAFKA-19012 (clients 2.8.0 to 4.1.1): `Sender.failBatch` of a batch that expires in flight gives its buffer back to the
//! `BufferPool`, while the network thread still has the request in its queue. The header is a buffer of its own: it keeps topic
//! and partition, and what follows is whatever the pool's next user has written. Its CRC is good.
//! Not modelled: that buffers have a size, and that records beyond `batch.size` are not pooled; half of a request on the wire.

use ackproof_core::fact::Observer;
use ackproof_core::protocol::Request;
use bytes::Bytes;

use super::network::End;
use super::{Body, NodeIndex, World};

impl World {
    /// A request leaves a client: its records may be in a buffer that is waited for.
    pub(super) fn fill_buffers(&mut self, sender: NodeIndex, body: &Body) {
        for active in self.rules.iter_mut().filter(|active| active.buffer_of == Some(sender)) {
            if let Some(records) = records(body) {
                active.reused = Some(records.clone());
            }
        }
    }

    /// The requests that a step keeps are written to their sockets now, as their buffers are.
    pub(super) fn overwrite_buffers(&mut self, step: usize, observer: &mut dyn Observer) {
        let mut active = self.rules.iter().filter(|active| active.step == step);
        let Some(reused) = active.find_map(|active| active.reused.clone()) else { return };
        let mut overwritten = Vec::new();
        for (id, connection) in &mut self.network.connections {
            let lane = connection.lane(End::Client);
            if lane.held_by == Some(step)
                && let Some((_, packet)) = lane.waiting.front_mut()
                && let Some(records) = packet.body.records_mut()
            {
                *records = reused.clone();
                overwritten.push((*id, packet.clone()));
            }
        }
        for (id, packet) in overwritten {
            self.bite(step, "wrote the buffer of a later batch into", id, End::Client, &packet, observer);
        }
    }
}

/// The records of the first partition of a Produce request.
fn records(body: &Body) -> Option<&Bytes> {
    match body {
        Body::Request(_, Request::Produce(request)) => {
            request.topic_data.iter().flat_map(|topic| &topic.partition_data).find_map(|data| data.records.as_ref())
        }
        Body::Connect | Body::Accepted | Body::End | Body::Request(..) | Body::Response(..) => None,
    }
}

//! What a world shows of the faults in force and of the messages that wait, to those who say why something is stuck.

use ackproof_core::types::Instant;

use super::message::{Direction, MessageRule};
use super::{End, NodeIndex, World};

impl World {
    /// The links that each step in force has cut.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = (usize, &[(NodeIndex, NodeIndex)])> {
        self.cuts.iter().map(|(step, pairs)| (*step, pairs.as_slice()))
    }

    /// The message rules in force, each with its step.
    pub(crate) fn message_rules(&self) -> impl Iterator<Item = (usize, &MessageRule)> {
        self.rules.iter().map(|active| (active.step, &active.rule))
    }

    /// The nodes that a step in force was done to.
    pub(crate) fn targets_of(&self, step: usize) -> &[NodeIndex] {
        self.targets.get(&step).map_or(&[], Vec::as_slice)
    }

    /// Messages that wait on a connection: from whom, to whom, what, and since when.
    pub(crate) fn queued_messages(&self) -> Vec<(NodeIndex, NodeIndex, String, Instant)> {
        let mut found = Vec::new();
        for connection in self.network.connections.values() {
            for from in [End::Client, End::Server] {
                for (since, packet) in &connection.lanes[from as usize].waiting {
                    let Some((name, direction)) = packet.body.describe() else { continue };
                    let direction = match direction {
                        Direction::Request => "request",
                        Direction::Response => "response",
                    };
                    let (sender, receiver) = (connection.node(from), connection.node(from.other()));
                    found.push((sender, receiver, format!("{name} {direction}"), *since));
                }
            }
        }
        found
    }
}

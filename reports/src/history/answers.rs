//! Whose word an acknowledgement is, where a leader of a newer epoch had appended something by the time that the client heard it.
//!
//! A leader that has been deposed and has not heard of it goes on answering, and an answer may be long on its way. What it speaks of is
//! what its own log has at the offset; what is said there afterwards (that it is deleted, say) is said of the record of somebody else.
//! Which answer it was the chain of causes tells; without one the offset holds what was written there last before the client was told.

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{Instant, LeaderEpoch, NodeId};

use super::History;

/// A leader's answer.
#[derive(Clone, Copy, Debug)]
struct Answer {
    /// The number of its event, or of the last acknowledgement that came of it.
    event: u64,
    from: NodeId,
    at: Instant,
}

/// The answers of leaders, in the order of their events, and the last one that each client told its application of.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    given: Vec<Answer>,
    told: BTreeMap<NodeId, Answer>,
}

impl Answers {
    /// The answer that an acknowledgement comes from: by its cause, or as the next one of the same answer.
    fn of(&self, event: &Event) -> Option<Answer> {
        let given = self.given.binary_search_by_key(&event.cause, |answer| answer.event).ok();
        let told = || self.told.get(&event.node).copied().filter(|told| told.event == event.cause);
        given.map(|index| self.given[index]).or_else(told)
    }
}

/// In which epoch the leader led whose word it is, and when it said it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub epoch: LeaderEpoch,
    pub at: Instant,
}

impl History {
    pub(super) fn observe_answers(&mut self, event: &Event) {
        match &event.fact {
            Fact::BecameLeader { partition, leader_epoch, .. } => {
                let index = self.partition(partition);
                self.partitions[index].rewrites.led.push((event.node, *leader_epoch, event.time));
            }
            Fact::ProduceAnswered { error: ErrorCode::NONE, .. } => {
                self.answers.given.push(Answer { event: event.sequence, from: event.node, at: event.time });
            }
            Fact::RecordAcknowledged { record, partition, .. } => {
                let Some(answer) = self.answers.of(event) else { return };
                self.answers.told.insert(event.node, Answer { event: event.sequence, ..answer });
                let index = self.partition(partition);
                self.partitions[index].rewrites.told(*record, answer.from, answer.at);
            }
            _ => {}
        }
    }
}

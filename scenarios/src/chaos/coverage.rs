//! Which states of the protocol a world has been through, as a set of numbers.
//!
//! A state is what a fact says of one partition or group in a few small numbers: how large the ISR is, whether the leader
//! changed, how far the high watermark lags, which error was answered. Counted are pairs of states that follow each
//! other in the same place. A world that shows a new pair is worth breeding from.

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact, Observer, RetryReason, Role};
use ackproof_core::types::TopicPartition;

/// So many different pairs can be told apart.
pub(super) const SLOTS: usize = 1 << 16;

/// A set of pairs of states.
#[derive(Clone, PartialEq, Eq)]
pub struct Coverage {
    bits: Vec<u64>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { bits: vec![0; SLOTS / 64] }
    }
}

impl std::fmt::Debug for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Coverage({})", self.len())
    }
}

impl Coverage {
    fn insert(&mut self, slot: u32) {
        let slot = slot as usize % SLOTS;
        self.bits[slot / 64] |= 1 << (slot % 64);
    }

    /// How many pairs there are.
    pub fn len(&self) -> u32 {
        self.bits.iter().map(|bits| bits.count_ones()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|bits| *bits == 0)
    }

    /// Takes what another has. Says which were new, in order.
    pub fn add(&mut self, other: &Coverage) -> Vec<u32> {
        let mut new = Vec::new();
        for (place, (own, other)) in (0..).zip(self.bits.iter_mut().zip(&other.bits)) {
            let mut left = other & !*own;
            *own |= other;
            while left != 0 {
                new.push(place * 64 + left.trailing_zeros());
                left &= left - 1;
            }
        }
        new
    }

    /// Takes one pair. Says whether it was new.
    pub fn take(&mut self, slot: u32) -> bool {
        let before = self.has(slot);
        self.insert(slot);
        !before
    }

    fn has(&self, slot: u32) -> bool {
        let slot = slot as usize % SLOTS;
        self.bits[slot / 64] & (1 << (slot % 64)) != 0
    }
}

/// Watches a world.
#[derive(Clone, Debug, Default)]
pub struct Watcher {
    /// What it has seen.
    pub coverage: Coverage,
    partitions: BTreeMap<TopicPartition, Place>,
    elsewhere: Place,
}

/// A partition, or everything else.
#[derive(Clone, Debug, Default)]
struct Place {
    last: u32,
    isr: u32,
    leader_end: i64,
}

impl Watcher {
    fn step(&mut self, partition: Option<&TopicPartition>, state: u32) {
        let place = match partition {
            Some(partition) => place(&mut self.partitions, partition),
            None => &mut self.elsewhere,
        };
        let state = mix(state, place.isr);
        // What repeats itself is one state.
        if place.last != state {
            self.coverage.insert(mix(place.last, state));
            place.last = state;
        }
    }

    fn place(&mut self, partition: &TopicPartition) -> &mut Place {
        place(&mut self.partitions, partition)
    }
}

/// The place of a partition, made where there is none; a name is copied for a new one only.
fn place<'a>(places: &'a mut BTreeMap<TopicPartition, Place>, partition: &TopicPartition) -> &'a mut Place {
    if !places.contains_key(partition) {
        places.insert(partition.clone(), Place::default());
    }
    places.get_mut(partition).expect("it was just inserted")
}

fn mix(one: u32, other: u32) -> u32 {
    let mixed = (one.rotate_left(13) ^ other).wrapping_mul(0x9E37_79B1);
    mixed ^ (mixed >> 15)
}

fn bucket(number: i64) -> u32 {
    u64::try_from(number).map_or(0, |number| 64 - number.leading_zeros())
}

fn size(list: &[i32]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

impl Observer for Watcher {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::Appended { partition, role, last_offset, .. } => {
                if *role == Role::Leader {
                    self.place(partition).leader_end = last_offset.0;
                    self.step(Some(partition), 1);
                } else {
                    self.step(Some(partition), 2);
                }
            }
            Fact::HighWatermarkAdvanced { partition, role, to, .. } if *role == Role::Leader => {
                let lag = bucket(self.place(partition).leader_end.saturating_sub(to.0));
                self.step(Some(partition), mix(3, lag));
            }
            Fact::IsrChanged { partition, from, to, .. } => {
                self.place(partition).isr = size(to);
                self.step(Some(partition), mix(4, u32::from(to.len() > from.len())));
            }
            Fact::IsrProposed { partition, to, .. } => self.step(Some(partition), mix(5, size(to))),
            Fact::LeaderElected { partition, isr, clean, .. } => {
                self.place(partition).isr = size(isr);
                self.step(Some(partition), mix(6, u32::from(*clean)));
            }
            Fact::PartitionOffline { partition, .. } => self.step(Some(partition), 7),
            Fact::BecameLeader { partition, .. } => self.step(Some(partition), 8),
            Fact::BecameFollower { partition, .. } => self.step(Some(partition), 9),
            Fact::Truncated { partition, reason, from, to } => {
                let far = bucket(from.0.saturating_sub(to.0));
                self.step(Some(partition), mix(mix(10, *reason as u32), far));
            }
            Fact::AppendRefused { partition, error, .. } => {
                self.step(Some(partition), mix(11, error.0.unsigned_abs().into()));
            }
            Fact::DuplicateDetected { partition, .. } => self.step(Some(partition), 12),
            Fact::LogLoaded { partition, clean, .. } => self.step(Some(partition), mix(13, u32::from(*clean))),
            Fact::ReplicasReassigned { partition, adding, .. } => self.step(Some(partition), mix(14, size(adding))),
            Fact::EligibleLeadersChanged { partition, elr, .. } => self.step(Some(partition), mix(15, size(elr))),
            Fact::PollFailed { .. } => self.step(None, 16),
            Fact::OffsetCommitted { .. } => self.step(None, 17),
            Fact::CommitRefused { .. } => self.step(None, 18),
            Fact::GroupStateChanged { state, .. } => {
                self.step(None, state.bytes().fold(19, |mixed, byte| mix(mixed, byte.into())));
            }
            Fact::MemberRemoved { .. } => self.step(None, 20),
            Fact::PartitionsAssigned { .. } => self.step(None, 21),
            Fact::PartitionsRevoked { .. } => self.step(None, 22),
            Fact::BrokerFenced { .. } => self.step(None, 23),
            Fact::BrokerUnfenced { .. } => self.step(None, 24),
            Fact::StorageFailed { .. } => self.step(None, 25),
            Fact::BatchRetried { reason, .. } => {
                let reason = match reason {
                    RetryReason::Error(error) => error.0.unsigned_abs().into(),
                    RetryReason::Disconnected => 70_000,
                    RetryReason::RequestTimeout => 70_001,
                };
                self.step(None, mix(26, reason));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_counted_once() {
        let mut all = Coverage::default();
        let mut one = Coverage::default();
        assert!(one.is_empty());
        one.insert(7);
        one.insert(70_000);
        assert_eq!((all.add(&one), all.add(&one), all.len()), (vec![7, 4464], vec![], 2));
        assert!(!all.take(7) && all.take(8) && !all.take(8));
    }
}

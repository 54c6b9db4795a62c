//! How far a group has come, by its own word.
//!
//! Kafka: `OffsetAndMetadata`, `CommitRecordMetadataAndOffset`; last writer in the log wins, whatever offset it names.

use std::collections::BTreeMap;

use crate::types::{LeaderEpoch, Offset, StrBytes, Timestamp, TopicPartition};

/// What a member committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset of the next record to be processed.
    pub offset: Offset,
    /// The epoch of the last record processed; -1 is unknown.
    pub leader_epoch: LeaderEpoch,
    /// Free text.
    pub metadata: StrBytes,
    /// When, by the clock of the coordinator.
    pub commit_timestamp: Timestamp,
}

/// A committed offset, and where its record is in the log of the group's partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What was committed.
    pub committed: CommittedOffset,
    /// The offset of the record that says so.
    pub record: Offset,
}

/// The committed offsets of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupOffsets {
    stored: BTreeMap<TopicPartition, Stored>,
    /// Commits that are being written, counted: such an offset does not expire meanwhile.
    pending: BTreeMap<TopicPartition, u32>,
}

impl GroupOffsets {
    /// What is committed for a partition.
    pub fn get(&self, partition: &TopicPartition) -> Option<&CommittedOffset> {
        self.stored.get(partition).map(|stored| &stored.committed)
    }

    /// Everything committed.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        self.stored.iter().map(|(partition, stored)| (partition, &stored.committed))
    }

    /// Whether anything is committed or about to be.
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty() && self.pending.is_empty()
    }

    /// A commit is being written.
    pub fn prepare(&mut self, partition: &TopicPartition) {
        *self.pending.entry(partition.clone()).or_default() += 1;
    }

    /// It is written, or will not be.
    pub fn settle(&mut self, partition: &TopicPartition) {
        if let Some(count) = self.pending.get_mut(partition) {
            *count -= 1;
            if *count == 0 {
                self.pending.remove(partition);
            }
        }
    }

    /// A record of the log says this. One that lies before what is known already changes nothing.
    pub fn replay(&mut self, partition: TopicPartition, committed: Option<CommittedOffset>, record: Offset) {
        if self.stored.get(&partition).is_some_and(|stored| stored.record > record) {
            return;
        }
        match committed {
            Some(committed) => {
                self.stored.insert(partition, Stored { committed, record });
            }
            None => {
                self.stored.remove(&partition);
            }
        }
    }

    /// The partitions whose commit `expired` says has been there for too long; none that is just being renewed.
    pub fn expired(&self, mut expired: impl FnMut(&TopicPartition, &CommittedOffset) -> bool) -> Vec<TopicPartition> {
        self.stored
            .iter()
            .filter(|(partition, stored)| {
                !self.pending.contains_key(*partition) && expired(partition, &stored.committed)
            })
            .map(|(partition, _)| partition.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(offset: i64) -> CommittedOffset {
        CommittedOffset {
            offset: Offset(offset),
            leader_epoch: LeaderEpoch::NONE,
            metadata: StrBytes::default(),
            commit_timestamp: Timestamp(0),
        }
    }

    #[test]
    fn the_last_record_wins_even_if_it_names_a_smaller_offset() {
        let partition = TopicPartition::of("orders", 0);
        let mut offsets = GroupOffsets::default();
        offsets.replay(partition.clone(), Some(committed(200)), Offset(1));
        offsets.replay(partition.clone(), Some(committed(100)), Offset(2));
        assert_eq!(offsets.get(&partition), Some(&committed(100)));
        // Its own answer came later than that of the record behind it.
        offsets.replay(partition.clone(), Some(committed(50)), Offset(0));
        assert_eq!(offsets.get(&partition), Some(&committed(100)));
    }

    #[test]
    fn what_is_being_committed_does_not_expire() {
        let partition = TopicPartition::of("orders", 0);
        let mut offsets = GroupOffsets::default();
        offsets.replay(partition.clone(), Some(committed(1)), Offset(0));
        offsets.prepare(&partition);
        offsets.prepare(&partition);
        offsets.settle(&partition);
        assert_eq!(offsets.expired(|_, _| true), []);
        offsets.settle(&partition);
        assert_eq!(offsets.expired(|_, _| true), [partition]);
    }
}

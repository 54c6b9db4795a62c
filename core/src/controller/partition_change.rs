//! What is wanted of a partition, turned into one record: ISR, leader and recovery state together.
//!
//! Kafka: `PartitionChangeBuilder`.
//! Invariant: the ISR never becomes empty. The last member stays, and the partition waits for it without a leader.
//! Not modelled: reassignment (KIP-455), ELR (KIP-966).

use uuid::Uuid;

use super::election::{Elected, Election, elect};
use crate::metadata::records::PartitionChangeRecord;
use crate::metadata::{LeaderRecoveryState, PartitionRegistration};

/// Whether a smaller ISR alone makes the leader epoch advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochBump {
    /// It does not (metadata version 3.6).
    Never,
    /// It does: followers and leaders before 3.6 relied on it (KAFKA-15021).
    OnIsrShrink,
}

/// Builds one change.
#[derive(Clone, Debug)]
pub struct PartitionChangeBuilder<'a> {
    partition: &'a PartitionRegistration,
    topic_id: Uuid,
    partition_id: i32,
    target_isr: Vec<i32>,
    target_recovery_state: LeaderRecoveryState,
    election: Election,
    epoch_bump: EpochBump,
}

impl<'a> PartitionChangeBuilder<'a> {
    /// Wants everything as it is, and a leader.
    pub fn new(partition: &'a PartitionRegistration, topic_id: Uuid, partition_id: i32) -> Self {
        Self {
            partition,
            topic_id,
            partition_id,
            target_isr: partition.isr.clone(),
            target_recovery_state: partition.leader_recovery_state,
            election: Election::Online,
            epoch_bump: EpochBump::Never,
        }
    }

    /// Wants this ISR.
    #[must_use]
    pub fn target_isr(mut self, isr: Vec<i32>) -> Self {
        self.target_isr = isr;
        self
    }

    /// Wants this recovery state.
    #[must_use]
    pub fn target_recovery_state(mut self, state: LeaderRecoveryState) -> Self {
        self.target_recovery_state = state;
        self
    }

    /// How far an election may go.
    #[must_use]
    pub fn election(mut self, election: Election) -> Self {
        self.election = election;
        self
    }

    /// Whether a smaller ISR alone makes the leader epoch advance.
    #[must_use]
    pub fn epoch_bump(mut self, epoch_bump: EpochBump) -> Self {
        self.epoch_bump = epoch_bump;
        self
    }

    /// The record; `None` if nothing changes.
    pub fn build(self, is_acceptable: impl Fn(i32) -> bool) -> Option<PartitionChangeRecord> {
        let mut record = PartitionChangeRecord::new(self.topic_id, self.partition_id);
        let elected =
            elect(self.election, &self.partition.replicas, &self.target_isr, self.partition.leader, is_acceptable);
        if elected.leader() != self.partition.leader {
            record.leader = Some(elected.leader());
            if let Elected::Uncleanly(leader) = elected {
                // Nobody else is known to have what the new leader has.
                record.isr = Some(vec![leader]);
                if self.partition.leader_recovery_state == LeaderRecoveryState::Recovered {
                    record.leader_recovery_state = Some(LeaderRecoveryState::Recovering);
                }
            }
        }
        if record.isr.is_none() && !self.target_isr.is_empty() && self.target_isr != self.partition.isr {
            record.isr = Some(self.target_isr);
        }
        let shrinks = |isr: &Vec<i32>| self.partition.isr.iter().any(|replica| !isr.contains(replica));
        if self.epoch_bump == EpochBump::OnIsrShrink
            && record.leader.is_none()
            && record.isr.as_ref().is_some_and(shrinks)
        {
            record.leader = Some(self.partition.leader);
        }
        if self.target_recovery_state != self.partition.leader_recovery_state {
            record.leader_recovery_state = Some(self.target_recovery_state);
        }
        if record.is_no_op() { None } else { Some(record) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LeaderEpoch, PartitionEpoch};

    fn partition(leader: i32, isr: &[i32]) -> PartitionRegistration {
        PartitionRegistration {
            directories: Vec::new(),
            replicas: vec![1, 2, 3],
            isr: isr.to_vec(),
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader,
            leader_epoch: LeaderEpoch(5),
            partition_epoch: PartitionEpoch(9),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            elr: Vec::new(),
            last_known_elr: Vec::new(),
        }
    }

    /// The partition after the change that takes `gone` out of the ISR, as `leader isr recovery epoch`.
    fn after_fencing(partition: &PartitionRegistration, gone: i32, election: Election, bump: EpochBump) -> String {
        let isr = partition.isr.iter().copied().filter(|replica| *replica != gone).collect();
        let change = PartitionChangeBuilder::new(partition, Uuid::nil(), 0)
            .target_isr(isr)
            .election(election)
            .epoch_bump(bump)
            .build(|replica| replica != gone);
        let mut after = partition.clone();
        if let Some(change) = change {
            after.apply(&change);
        }
        format!("{} {:?} {:?} {}", after.leader, after.isr, after.leader_recovery_state, after.leader_epoch)
    }

    #[test]
    fn fencing_takes_a_broker_out_of_isr_and_leadership() {
        let (online, unclean) = (Election::Online, Election::Unclean);
        let (never, on_shrink) = (EpochBump::Never, EpochBump::OnIsrShrink);
        for (leader, isr, gone, election, bump, expected) in [
            (1, &[1, 2, 3][..], 1, online, never, "2 [2, 3] Recovered 6"),
            // A follower's loss changes the partition epoch only, but for a Kafka before 3.6.
            (1, &[1, 2, 3], 3, online, never, "1 [1, 2] Recovered 5"),
            (1, &[1, 2, 3], 3, online, on_shrink, "1 [1, 2] Recovered 6"),
            (1, &[1, 2, 3], 1, online, on_shrink, "2 [2, 3] Recovered 6"),
            // The last member of the ISR stays in it.
            (1, &[1], 1, online, never, "-1 [1] Recovered 6"),
            (-1, &[1], 1, online, never, "-1 [1] Recovered 5"),
            // Unless anybody will do.
            (1, &[1], 1, unclean, never, "2 [2] Recovering 6"),
            (1, &[1, 3], 1, unclean, never, "3 [3] Recovered 6"),
        ] {
            let got = after_fencing(&partition(leader, isr), gone, election, bump);
            assert_eq!(got, expected, "leader {leader}, ISR {isr:?}, broker {gone} fenced, {election:?}, {bump:?}");
        }
    }

    #[test]
    fn a_change_that_changes_nothing_is_no_record() {
        let partition = partition(2, &[1, 2]);
        assert_eq!(PartitionChangeBuilder::new(&partition, Uuid::nil(), 0).build(|_| true), None);
    }
}

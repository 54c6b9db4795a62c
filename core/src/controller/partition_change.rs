//! What is wanted of a partition, turned into one record: replicas, ISR, ELR, leader and recovery state together.
//!
//! Kafka: `PartitionChangeBuilder` (4.0), KIP-455, KIP-966.
//!
//! ```text
//! wanted ──▶ reassignment complete? ──▶ ELR ──▶ election ──▶ epoch bumps ──▶ what differs from before: the record
//! ```
//!
//! Invariant: without ELR the ISR never becomes empty. The last member stays, and the partition waits for it without a
//! leader. With ELR it may, and then the ELR waits.

use uuid::Uuid;

use super::election::{Candidates, Elected, Election, elect};
use super::reassignment::ReassignmentReplicas;
use crate::metadata::records::PartitionChangeRecord;
use crate::metadata::{LeaderRecoveryState, NO_LEADER, PartitionRegistration};

/// Whether a smaller ISR alone makes the leader epoch advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochBump {
    /// It does not (metadata version 3.6).
    Never,
    /// It does: followers and leaders before 3.6 relied on it (KAFKA-15021).
    OnIsrShrink,
}

/// Whether replicas that leave an ISR which has become too small stay eligible (KIP-966).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elr {
    /// They do not.
    Off,
    /// They do, while the ISR is smaller than this `min.insync.replicas`.
    Below(usize),
}

/// Builds one change.
#[derive(Clone, Debug)]
pub struct PartitionChangeBuilder<'a> {
    partition: &'a PartitionRegistration,
    topic_id: Uuid,
    partition_id: i32,
    target_isr: Vec<i32>,
    target: ReassignmentReplicas,
    target_recovery_state: LeaderRecoveryState,
    election: Election,
    epoch_bump: EpochBump,
    elr: Elr,
    unclean_shutdown: Option<i32>,
}

impl<'a> PartitionChangeBuilder<'a> {
    /// Wants everything as it is, and a leader.
    pub fn new(partition: &'a PartitionRegistration, topic_id: Uuid, partition_id: i32) -> Self {
        Self {
            partition,
            topic_id,
            partition_id,
            target_isr: partition.isr.clone(),
            target: ReassignmentReplicas::of(partition),
            target_recovery_state: partition.leader_recovery_state,
            election: Election::Online,
            epoch_bump: EpochBump::Never,
            elr: Elr::Off,
            unclean_shutdown: None,
        }
    }

    /// Wants this ISR.
    #[must_use]
    pub fn target_isr(mut self, isr: Vec<i32>) -> Self {
        self.target_isr = isr;
        self
    }

    /// Wants these replicas.
    #[must_use]
    pub fn target_replicas(mut self, target: ReassignmentReplicas) -> Self {
        self.target = target;
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

    /// Whether replicas that leave stay eligible.
    #[must_use]
    pub fn elr(mut self, elr: Elr) -> Self {
        self.elr = elr;
        self
    }

    /// This replica has come back without having stopped cleanly: what it had may be gone.
    #[must_use]
    pub fn unclean_shutdown(mut self, replica: i32) -> Self {
        self.unclean_shutdown = Some(replica);
        self
    }

    /// The record; `None` if nothing changes.
    pub fn build(mut self, is_acceptable: impl Fn(i32) -> bool) -> Option<PartitionChangeRecord> {
        let before = self.partition;
        let mut record = PartitionChangeRecord::new(self.topic_id, self.partition_id);
        if let Some((replicas, isr)) = self.target.completed(&self.target_isr) {
            self.target_isr = isr;
            self.target = ReassignmentReplicas { replicas, adding: Vec::new(), removing: Vec::new() };
        }
        let mut elr = self.eligible();
        self.elect(&mut record, &mut elr, is_acceptable);
        let drops = |after: &[i32], before: &[i32]| before.iter().any(|replica| !after.contains(replica));
        if record.leader.is_none() && drops(&self.target.replicas, &before.replicas) {
            // Whoever leaves must hear that it follows no more.
            record.leader = Some(before.leader);
        }
        if record.isr.is_some() || self.elr == Elr::Off {
            elr.clear();
        }
        if elr != before.elr {
            record.eligible_leader_replicas = Some(elr);
        }
        let may_be_empty = self.elr != Elr::Off;
        if record.isr.is_none() && (may_be_empty || !self.target_isr.is_empty()) && self.target_isr != before.isr {
            record.isr = Some(self.target_isr.clone());
        }
        if self.epoch_bump == EpochBump::OnIsrShrink
            && record.leader.is_none()
            && record.isr.as_ref().is_some_and(|isr| drops(isr, &before.isr))
        {
            record.leader = Some(before.leader);
        }
        self.note_last_known_leader(&mut record);
        self.note_replicas(&mut record);
        if self.target_recovery_state != before.leader_recovery_state {
            record.leader_recovery_state = Some(self.target_recovery_state);
        }
        if record.is_no_op() { None } else { Some(record) }
    }

    /// The ELR that goes with the wanted ISR, in ascending order.
    fn eligible(&self) -> Vec<i32> {
        let Elr::Below(min_isr) = self.elr else { return self.partition.elr.clone() };
        if self.target_isr.len() >= min_isr.min(self.target.replicas.len()) {
            return Vec::new();
        }
        let mut elr: Vec<i32> = self.partition.elr.iter().chain(&self.partition.isr).copied().collect();
        elr.sort_unstable();
        elr.dedup();
        elr.retain(|replica| !self.target_isr.contains(replica) && self.unclean_shutdown != Some(*replica));
        elr
    }

    fn elect(&mut self, record: &mut PartitionChangeRecord, elr: &mut Vec<i32>, is_acceptable: impl Fn(i32) -> bool) {
        let last_known_leader = match (self.elr, &self.partition.last_known_elr[..]) {
            (Elr::Below(_), [leader]) => Some(*leader),
            (Elr::Below(_) | Elr::Off, _) => None,
        };
        let candidates = Candidates {
            replicas: &self.target.replicas,
            isr: &self.target_isr,
            elr,
            leader: self.partition.leader,
            last_known_leader,
        };
        let elected = elect(self.election, candidates, is_acceptable);
        if elected.leader() == self.partition.leader {
            return;
        }
        record.leader = Some(elected.leader());
        match elected {
            Elected::Cleanly(_) | Elected::Nobody => {}
            Elected::Eligible(leader) => {
                self.target_isr = vec![leader];
                elr.retain(|replica| *replica != leader);
            }
            Elected::Uncleanly(leader) => {
                // Nobody else is known to have what the new leader has.
                record.isr = Some(vec![leader]);
                if self.partition.leader_recovery_state == LeaderRecoveryState::Recovered {
                    record.leader_recovery_state = Some(LeaderRecoveryState::Recovering);
                }
            }
        }
    }

    /// The leader is remembered when the ISR becomes empty, and forgotten when there is one again.
    fn note_last_known_leader(&self, record: &mut PartitionChangeRecord) {
        if self.elr == Elr::Off {
            if !self.partition.last_known_elr.is_empty() {
                record.last_known_elr = Some(Vec::new());
            }
            return;
        }
        let before = self.partition;
        let becomes_empty = record.isr.as_ref().is_some_and(Vec::is_empty);
        let leader_after = record.leader.unwrap_or(before.leader);
        if becomes_empty && before.leader != NO_LEADER && before.last_known_elr != [before.leader] {
            record.last_known_elr = Some(vec![before.leader]);
        } else if leader_after != NO_LEADER && !before.last_known_elr.is_empty() {
            record.last_known_elr = Some(Vec::new());
        }
    }

    fn note_replicas(&self, record: &mut PartitionChangeRecord) {
        let before = self.partition;
        let changed = |after: &Vec<i32>, before: &Vec<i32>| (after != before).then(|| after.clone());
        record.replicas = changed(&self.target.replicas, &before.replicas);
        record.removing_replicas = changed(&self.target.removing, &before.removing_replicas);
        record.adding_replicas = changed(&self.target.adding, &before.adding_replicas);
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

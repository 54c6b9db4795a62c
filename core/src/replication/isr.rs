//! The in-sync replica set of one partition, as its leader sees it.
//!
//! Kafka: `cluster/Partition.scala` (`PartitionState`, `handleAlterPartitionError`), KIP-497, KIP-903.
//! Invariant: maximal ISR ⊇ ISR (ReplicationQuorumSuperset).
//!
//! ```text
//!                 propose_expand(n)
//!  Committed{isr} ─────────────────▶ PendingExpand{isr, n}      maximal = isr + n: a member to come holds back the HW
//!      ▲   │      propose_shrink(out)
//!      │   └───────────────────────▶ PendingShrink{isr, out}    maximal = isr: the change may yet be refused
//!      │                                   │
//!      └── accepted · rejected outright ───┘                    any other error: pending until new metadata, or again
//! ```
//!
//! Not modelled: leader recovery state.

use crate::protocol::ErrorCode;

/// The ISR that the controller committed, and what has been proposed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsrState {
    /// Nothing is under way.
    Committed {
        /// The ISR.
        isr: Vec<i32>,
    },
    /// The leader asked for one more member.
    PendingExpand {
        /// The ISR that is still committed.
        isr: Vec<i32>,
        /// The member to come.
        new_member: i32,
    },
    /// The leader asked for members to leave.
    PendingShrink {
        /// The ISR that is still committed.
        isr: Vec<i32>,
        /// Those who shall leave.
        leaving: Vec<i32>,
    },
}

/// What becomes of a proposal that was answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterError {
    /// It was certainly not applied: back to the committed ISR.
    Reset,
    /// Nobody knows: the state stays pending until metadata says how things are.
    AwaitMetadata,
    /// Ask again.
    Retry,
}

impl Default for IsrState {
    fn default() -> Self {
        IsrState::Committed { isr: Vec::new() }
    }
}

impl IsrState {
    /// An ISR that the controller committed.
    pub fn committed(isr: Vec<i32>) -> Self {
        IsrState::Committed { isr }
    }

    /// The committed ISR.
    pub fn isr(&self) -> &[i32] {
        match self {
            IsrState::Committed { isr } | IsrState::PendingExpand { isr, .. } | IsrState::PendingShrink { isr, .. } => {
                isr
            }
        }
    }

    /// Whether `broker` is in the committed ISR.
    pub fn contains(&self, broker: i32) -> bool {
        self.isr().contains(&broker)
    }

    /// Whether `broker` may be in the ISR by now, for all the leader knows.
    pub fn maximal_contains(&self, broker: i32) -> bool {
        self.contains(broker) || matches!(self, IsrState::PendingExpand { new_member, .. } if *new_member == broker)
    }

    /// The size of the maximal ISR.
    pub fn maximal_len(&self) -> usize {
        self.isr().len() + usize::from(matches!(self, IsrState::PendingExpand { .. }))
    }

    /// Whether a proposal waits for its answer.
    pub fn is_inflight(&self) -> bool {
        match self {
            IsrState::Committed { .. } => false,
            IsrState::PendingExpand { .. } | IsrState::PendingShrink { .. } => true,
        }
    }

    /// The ISR that the pending proposal asks for; the committed one if there is none.
    pub fn wanted(&self) -> Vec<i32> {
        match self {
            IsrState::Committed { isr } => isr.clone(),
            IsrState::PendingExpand { isr, new_member } => isr.iter().copied().chain([*new_member]).collect(),
            IsrState::PendingShrink { isr, leaving } => {
                isr.iter().copied().filter(|member| !leaving.contains(member)).collect()
            }
        }
    }

    /// Proposes one more member. `false`, and nothing changes, while another proposal is pending or if it is a member.
    pub fn propose_expand(&mut self, new_member: i32) -> bool {
        if self.is_inflight() || self.contains(new_member) {
            return false;
        }
        *self = IsrState::PendingExpand { isr: std::mem::take(self.isr_mut()), new_member };
        true
    }

    /// Proposes that members leave. `false`, and nothing changes, while another proposal is pending or if nobody leaves.
    pub fn propose_shrink(&mut self, leaving: Vec<i32>) -> bool {
        if self.is_inflight() || !leaving.iter().any(|&member| self.contains(member)) {
            return false;
        }
        *self = IsrState::PendingShrink { isr: std::mem::take(self.isr_mut()), leaving };
        true
    }

    /// Back to the last committed ISR.
    pub fn reset(&mut self) {
        *self = IsrState::Committed { isr: std::mem::take(self.isr_mut()) };
    }

    fn isr_mut(&mut self) -> &mut Vec<i32> {
        match self {
            IsrState::Committed { isr } | IsrState::PendingExpand { isr, .. } | IsrState::PendingShrink { isr, .. } => {
                isr
            }
        }
    }
}

impl AfterError {
    /// What Kafka does after `error`.
    pub fn of(error: ErrorCode) -> AfterError {
        match error {
            // The controller says that the partition epoch is right and that the request was not applied.
            ErrorCode::OPERATION_NOT_ATTEMPTED | ErrorCode::INELIGIBLE_REPLICA => AfterError::Reset,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::INVALID_UPDATE_VERSION
            | ErrorCode::INVALID_REQUEST
            | ErrorCode::NEW_LEADER_ELECTED => AfterError::AwaitMetadata,
            _ => AfterError::Retry,
        }
    }
}

/// The `min.insync.replicas` that counts. Since 3.7 (KAFKA-15583) it is capped by the number of replicas, so that one
/// which can never be met does not stop a partition for ever.
pub fn effective_min_isr(min_insync_replicas: u32, replicas: usize, strict_min_isr: bool) -> usize {
    let configured = min_insync_replicas as usize;
    if strict_min_isr { configured.min(replicas) } else { configured }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Expand(i32),
        Shrink(Vec<i32>),
        Accept,
        Reset,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..6i32).prop_map(Step::Expand),
            proptest::collection::vec(2..6i32, 0..3).prop_map(Step::Shrink),
            Just(Step::Accept),
            Just(Step::Reset),
        ]
    }

    proptest! {
        /// ReplicationQuorumSuperset: whatever the controller decides, its ISR is among those whom the leader counts.
        #[test]
        fn the_maximal_isr_contains_every_isr_that_may_be_in_effect(steps in proptest::collection::vec(step(), 0..40)) {
            let mut state = IsrState::committed(vec![1, 2, 3]);
            for step in steps {
                let before = state.clone();
                match step {
                    Step::Expand(broker) => { state.propose_expand(broker); }
                    Step::Shrink(brokers) => { state.propose_shrink(brokers); }
                    Step::Accept => state = IsrState::committed(state.wanted()),
                    Step::Reset => state.reset(),
                }
                prop_assert!(state.isr().iter().all(|&member| state.maximal_contains(member)));
                prop_assert!(state.wanted().iter().all(|&member| state.maximal_contains(member)));
                prop_assert!(state.maximal_len() >= state.isr().len());
                prop_assert!(state.isr().contains(&1), "a leader never leaves its own ISR");
                if before.is_inflight() && state.is_inflight() {
                    prop_assert_eq!(&before, &state, "one proposal at a time");
                }
            }
        }
    }

    #[test]
    fn a_member_to_come_counts_and_a_member_to_leave_still_does() {
        let mut state = IsrState::committed(vec![1, 2]);
        assert!(state.propose_expand(3));
        assert!(state.maximal_contains(3) && !state.contains(3));
        assert_eq!((state.maximal_len(), state.wanted()), (3, vec![1, 2, 3]));
        state.reset();
        assert!(state.propose_shrink(vec![2]));
        assert!(state.maximal_contains(2));
        assert_eq!((state.maximal_len(), state.wanted()), (2, vec![1]));
    }

    #[test]
    fn nothing_is_proposed_for_nothing() {
        let mut state = IsrState::committed(vec![1, 2]);
        assert!(!state.propose_expand(2));
        assert!(!state.propose_shrink(vec![]));
        assert!(!state.propose_shrink(vec![9]));
        assert_eq!(state, IsrState::committed(vec![1, 2]));
    }

    #[test]
    fn only_an_error_that_says_not_applied_resets() {
        let cases = [
            (ErrorCode::INELIGIBLE_REPLICA, AfterError::Reset),
            (ErrorCode::OPERATION_NOT_ATTEMPTED, AfterError::Reset),
            (ErrorCode::INVALID_UPDATE_VERSION, AfterError::AwaitMetadata),
            (ErrorCode::FENCED_LEADER_EPOCH, AfterError::AwaitMetadata),
            (ErrorCode::NEW_LEADER_ELECTED, AfterError::AwaitMetadata),
            (ErrorCode::NOT_CONTROLLER, AfterError::Retry),
            (ErrorCode::REQUEST_TIMED_OUT, AfterError::Retry),
        ];
        for (error, then) in cases {
            assert_eq!(AfterError::of(error), then, "{error}");
        }
    }

    #[test]
    fn min_isr_is_capped_by_the_replicas_since_3_7() {
        assert_eq!(effective_min_isr(3, 1, false), 3);
        assert_eq!(effective_min_isr(3, 1, true), 1);
        assert_eq!(effective_min_isr(2, 3, true), 2);
    }
}

//! What a consumer knows of each partition that it reads: where it is, and whether that can be trusted.
//!
//! Kafka: `SubscriptionState`; KIP-320 (a position carries the epoch of what was read last, and is validated against
//! each new leader; 2.3).
//!
//! `pause()` is part of it: a partition that is given up and comes back, as in every eager rebalance, is paused no more.
//!
//! ```text
//!   AwaitCommitted ──▶ AwaitReset ──ListOffsets──▶ Fetching ◀──OffsetForLeaderEpoch── AwaitValidation
//!                        ▲                          │  │                                 ▲
//!                        └── OFFSET_OUT_OF_RANGE ───┘  └── the leader epoch has grown ───┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::commits::Positions;
use crate::client::RequestToken;
use crate::fact::ResetReason;
use crate::types::{Instant, LeaderEpoch, Offset, TopicPartition};

/// What the consumer does with a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchState {
    /// It has no position: what the group has committed must be asked for.
    AwaitCommitted,
    /// It has no valid position: one must be looked up.
    AwaitReset(ResetReason),
    /// It has a position, which the new leader must confirm.
    AwaitValidation,
    /// It reads.
    Fetching,
}

/// Why nothing more is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// There is no reason.
    Idle,
    /// This request is under way. Answers to all earlier ones are stale.
    Asked(RequestToken),
    /// What was fetched has not been returned yet.
    Buffered,
}

/// One partition.
#[derive(Clone, Debug)]
pub(super) struct PartitionState {
    pub state: FetchState,
    /// The offset of the next record to return.
    pub position: Offset,
    /// The epoch of the last record returned.
    pub offset_epoch: Option<LeaderEpoch>,
    /// The leader epoch that the position is validated against, or was last.
    pub leader_epoch: LeaderEpoch,
    /// A request is under way or data is buffered: nothing more is asked for meanwhile.
    pub busy: Busy,
    /// Nothing is asked for before this; the start of the run if there is nothing to wait for.
    pub not_before: Instant,
    /// As of the last fetch.
    pub high_watermark: Offset,
    /// The application has called `pause()`: it is not fetched, and nothing of it is returned.
    pub paused: bool,
    /// It is to be given up: nothing of it is read or returned any more.
    pub pending_revocation: bool,
    /// The follower from which to read instead of the leader, and until when (KIP-392).
    pub preferred: Option<(i32, Instant)>,
}

/// All partitions that a consumer reads.
#[derive(Clone, Debug, Default)]
pub(super) struct SubscriptionState {
    pub partitions: BTreeMap<TopicPartition, PartitionState>,
}

impl SubscriptionState {
    /// Reads these partitions and no others; what it knew of those that stay is kept. With a group, the others go on from
    /// where it had come.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>, has_group: bool) {
        let mut known = std::mem::take(&mut self.partitions);
        for partition in partitions {
            let state = known.remove(&partition).unwrap_or(PartitionState {
                state: if has_group {
                    FetchState::AwaitCommitted
                } else {
                    FetchState::AwaitReset(ResetReason::NoPosition)
                },
                position: Offset::NONE,
                offset_epoch: None,
                leader_epoch: LeaderEpoch::NONE,
                busy: Busy::Idle,
                not_before: Instant::START,
                high_watermark: Offset::NONE,
                paused: false,
                pending_revocation: false,
                preferred: None,
            });
            self.partitions.insert(partition, PartitionState { pending_revocation: false, ..state });
        }
    }

    /// Pauses partitions, or resumes them. Gives those for which that is a change; `pause()` of what it does not have throws in
    /// Kafka.
    pub fn set_paused(&mut self, partitions: Vec<TopicPartition>, paused: bool) -> Vec<TopicPartition> {
        let changes = |partition: &TopicPartition| match self.partitions.get_mut(partition) {
            Some(state) => std::mem::replace(&mut state.paused, paused) != paused,
            None => false,
        };
        partitions.into_iter().filter(changes).collect()
    }

    /// Reads only these until the others are given up.
    pub fn stop_reading_others(&mut self, kept: &BTreeSet<TopicPartition>) {
        for (_, state) in self.partitions.iter_mut().filter(|(partition, _)| !kept.contains(*partition)) {
            state.pending_revocation = true;
            state.busy = Busy::Idle;
        }
    }

    /// Whether what comes of a partition is returned.
    pub fn reads(&self, partition: &TopicPartition) -> bool {
        self.partitions.get(partition).is_some_and(|state| !state.pending_revocation)
    }

    /// Gives up everything but these.
    pub fn retain(&mut self, kept: &BTreeSet<TopicPartition>) {
        self.partitions.retain(|partition, _| kept.contains(partition));
    }

    /// Partitions of which the group's position is to be asked for.
    pub fn awaits_committed(&self) -> impl Iterator<Item = &TopicPartition> {
        let awaits = |state: &PartitionState| state.state == FetchState::AwaitCommitted;
        self.partitions.iter().filter(move |(_, state)| awaits(state)).map(|(partition, _)| partition)
    }

    /// Where it stands, in every partition that has a position.
    pub fn positions(&self) -> Positions {
        self.partitions
            .iter()
            .filter(|(_, state)| matches!(state.state, FetchState::Fetching | FetchState::AwaitValidation))
            .map(|(partition, state)| {
                (partition.clone(), (state.position, state.offset_epoch.unwrap_or(LeaderEpoch::NONE)))
            })
            .collect()
    }
}

//! What a consumer knows of each partition that it reads: where it is, and whether that can be trusted.
//!
//! Kafka: `SubscriptionState`; KIP-320 (a position carries the epoch of what was read last, and is validated against
//! each new leader; 2.3).
//!
//! ```text
//!   Initializing ──▶ AwaitReset ──ListOffsets──▶ Fetching ◀──OffsetForLeaderEpoch── AwaitValidation
//!                        ▲                          │  │                                 ▲
//!                        └── OFFSET_OUT_OF_RANGE ───┘  └── the leader epoch has grown ───┘
//! ```

use std::collections::BTreeMap;

use crate::client::RequestToken;
use crate::fact::ResetReason;
use crate::types::{Instant, LeaderEpoch, Offset, TopicPartition};

/// What the consumer does with a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchState {
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
    /// The follower from which to read instead of the leader, and until when (KIP-392).
    pub preferred: Option<(i32, Instant)>,
}

/// All partitions that a consumer reads.
#[derive(Clone, Debug, Default)]
pub(super) struct SubscriptionState {
    pub partitions: BTreeMap<TopicPartition, PartitionState>,
}

impl SubscriptionState {
    /// Reads these partitions and no others; what it knew of those that stay is kept.
    pub fn assign(&mut self, partitions: Vec<TopicPartition>) {
        let mut known = std::mem::take(&mut self.partitions);
        for partition in partitions {
            let state = known.remove(&partition).unwrap_or(PartitionState {
                state: FetchState::AwaitReset(ResetReason::NoPosition),
                position: Offset::NONE,
                offset_epoch: None,
                leader_epoch: LeaderEpoch::NONE,
                busy: Busy::Idle,
                not_before: Instant::START,
                high_watermark: Offset::NONE,
                preferred: None,
            });
            self.partitions.insert(partition, state);
        }
    }
}

//! One record that was handed out, and how such records are spoken of: in runs of neighbours that are alike.
//!
//! Kafka: `InFlightState`, `RecordState`, `ShareFetchResponseData.AcquiredRecords`, `PersisterStateBatch`.

use crate::fact::{ShareReason, ShareState};
use crate::types::{Instant, Offset, StrBytes};

/// A record between the start and the end of a share-partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InFlight {
    pub state: ShareState,
    /// How often it was acquired.
    pub delivery_count: u16,
    /// Who has it; empty unless it is acquired.
    pub member: StrBytes,
    /// Until when, if it is acquired.
    pub lock_until: Instant,
    /// Its state is being written; this is what it is again if it cannot be: acquired, so often, by this member.
    pub before: Option<(u16, StrBytes)>,
}

impl InFlight {
    pub fn acquired(member: StrBytes, delivery_count: u16, lock_until: Instant) -> Self {
        Self { state: ShareState::Acquired, delivery_count, member, lock_until, before: None }
    }

    pub fn loaded(state: ShareState, delivery_count: u16) -> Self {
        Self { state, delivery_count, member: StrBytes::default(), lock_until: Instant::NEVER, before: None }
    }

    /// Whether a member has it, with nothing under way that takes it from there.
    pub fn is_held(&self) -> bool {
        self.state == ShareState::Acquired
    }

    /// Whether somebody may have it.
    pub fn is_available(&self) -> bool {
        self.state == ShareState::Available && self.before.is_none()
    }

    /// Whether nobody will get it any more, and that is written.
    pub fn is_done(&self) -> bool {
        matches!(self.state, ShareState::Acknowledged | ShareState::Archived) && self.before.is_none()
    }

    /// It is given back. One that was delivered as often as may be is given to nobody any more.
    pub fn give_back(&mut self, limit: u16) {
        let is_last = self.delivery_count >= limit;
        self.state = if is_last { ShareState::Archived } else { ShareState::Available };
    }
}

/// Records that a member has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// The first.
    pub first: Offset,
    /// The last.
    pub last: Offset,
    /// The how many-th delivery of each it is.
    pub delivery_count: u16,
}

/// Records that are something else now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The first.
    pub first: Offset,
    /// The last.
    pub last: Offset,
    /// What they are.
    pub state: ShareState,
    /// How often they were delivered.
    pub delivery_count: u16,
    /// Who had them.
    pub member: StrBytes,
    /// Why.
    pub reason: ShareReason,
}

/// Records as they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBatch {
    /// The first.
    pub first: Offset,
    /// The last.
    pub last: Offset,
    /// What they are.
    pub state: ShareState,
    /// How often they were delivered.
    pub delivery_count: u16,
}

/// What is to be written down before it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWrite {
    /// Its number; [`super::SharePartition::written`] takes the result.
    pub number: u64,
    /// The start offset.
    pub start_offset: Offset,
    /// The records, ascending.
    pub batches: Vec<StateBatch>,
}

/// Joins neighbours that are alike. Each is given with its offset, ascending; `extend` says whether the next one goes with the last.
pub(super) fn runs<T, R>(
    each: impl IntoIterator<Item = (i64, T)>,
    mut begin: impl FnMut(Offset, T) -> R,
    mut extend: impl FnMut(&mut R, Offset, &T) -> bool,
) -> Vec<R> {
    let mut runs: Vec<R> = Vec::new();
    for (offset, value) in each {
        let goes_with_last = runs.last_mut().is_some_and(|last| extend(last, Offset(offset), &value));
        if !goes_with_last {
            runs.push(begin(Offset(offset), value));
        }
    }
    runs
}

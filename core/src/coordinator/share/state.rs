//! How far a share group is with a partition, as far as that is written.
//!
//! Kafka: `ShareGroupOffset`, `PersisterStateBatchCombiner`.

use super::records::{StateRecord, delivery_state};
use crate::share::StateBatch;
use crate::types::{LeaderEpoch, Offset};

/// The state of a share-partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptState {
    /// How often the whole was written before.
    pub snapshot_epoch: u16,
    /// Of which life of the group it is.
    pub state_epoch: i32,
    /// In which the partition was led.
    pub leader_epoch: LeaderEpoch,
    /// All before are done with.
    pub start_offset: Offset,
    /// Records behind, ascending.
    pub batches: Vec<StateBatch>,
    /// How often what has changed was written since the whole was.
    pub updates: u32,
}

impl KeptState {
    /// After one more record.
    pub fn replay(before: Option<KeptState>, record: &StateRecord) -> KeptState {
        let whole = KeptState {
            snapshot_epoch: record.snapshot_epoch,
            state_epoch: record.snapshot_of.unwrap_or(0),
            leader_epoch: record.leader_epoch,
            start_offset: record.start_offset,
            batches: record.batches.clone(),
            updates: 0,
        };
        match (record.snapshot_of, before) {
            (None, Some(before)) => {
                let start_offset =
                    if record.start_offset == Offset(-1) { before.start_offset } else { record.start_offset };
                KeptState {
                    state_epoch: before.state_epoch,
                    start_offset,
                    batches: combine(&before.batches, &record.batches, start_offset),
                    updates: before.updates + 1,
                    ..whole
                }
            }
            (Some(_), _) | (None, None) => whole,
        }
    }
}

/// What is known of records from `start` on, once `newer` is known beside `older`; both ascending. Where both speak of a record, the
/// higher delivery count is right, whichever came later; with the same count, what is further from being delivered again.
pub fn combine(older: &[StateBatch], newer: &[StateBatch], start: Offset) -> Vec<StateBatch> {
    let (mut older, mut newer) = (from(older, start), from(newer, start));
    let (mut one, mut other) = (older.next(), newer.next());
    let mut combined: Vec<StateBatch> = Vec::new();
    loop {
        let (first, second) = match (one, other) {
            (Some(first), Some(second)) if first.last >= second.first && second.last >= first.first => (first, second),
            (Some(first), second) if second.is_none_or(|second| first.last < second.first) => {
                push(&mut combined, first);
                one = older.next();
                continue;
            }
            (_, Some(second)) => {
                push(&mut combined, second);
                other = newer.next();
                continue;
            }
            (_, None) => return combined,
        };
        // What one of them says alone, then what both say; the rest is looked at again.
        let (begin, common) = (first.first.max(second.first), first.last.min(second.last));
        let earlier = if first.first < second.first { first } else { second };
        push(&mut combined, StateBatch { last: Offset(begin.0 - 1), ..earlier });
        let right = if rank(&first) > rank(&second) { first } else { second };
        push(&mut combined, StateBatch { first: begin, last: common, ..right });
        one = rest(first, common).or_else(|| older.next());
        other = rest(second, common).or_else(|| newer.next());
    }
}

fn from(batches: &[StateBatch], start: Offset) -> impl Iterator<Item = StateBatch> {
    let cut = move |batch: &StateBatch| StateBatch { first: batch.first.max(start), ..*batch };
    batches.iter().map(cut).filter(|batch| batch.first <= batch.last)
}

fn rank(batch: &StateBatch) -> (u16, i8) {
    (batch.delivery_count, delivery_state(batch.state))
}

fn rest(batch: StateBatch, behind: Offset) -> Option<StateBatch> {
    (batch.last > behind).then(|| StateBatch { first: Offset(behind.0 + 1), ..batch })
}

/// Adds a batch, if there is anything in it, to the last one if they are alike.
fn push(combined: &mut Vec<StateBatch>, batch: StateBatch) {
    if batch.first > batch.last {
        return;
    }
    match combined.last_mut() {
        Some(last) if goes_on(last, &batch) => last.last = batch.last,
        Some(_) | None => combined.push(batch),
    }
}

fn goes_on(last: &StateBatch, next: &StateBatch) -> bool {
    last.last.0 + 1 == next.first.0 && last.state == next.state && last.delivery_count == next.delivery_count
}

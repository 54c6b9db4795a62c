//! How far a share group is with a partition, as far as that is written.
//!
//! Kafka: `ShareGroupOffset`, `PersisterStateBatchCombiner`.
//!
//! Not modelled: where two writes speak of one record, Kafka keeps the one with the higher delivery count; here the later one counts.

use super::records::StateRecord;
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

/// What is known of records from `start` on, once `newer` is known beside `older`; both ascending.
pub fn combine(older: &[StateBatch], newer: &[StateBatch], start: Offset) -> Vec<StateBatch> {
    let mut all: Vec<StateBatch> =
        older.iter().flat_map(|batch| without(batch, newer)).chain(newer.iter().copied()).collect();
    all.sort_by_key(|batch| batch.first);
    let mut combined: Vec<StateBatch> = Vec::new();
    for mut batch in all.into_iter().filter(|batch| batch.last >= start) {
        batch.first = batch.first.max(start);
        match combined.last_mut() {
            Some(last) if goes_on(last, &batch) => last.last = batch.last,
            Some(_) | None => combined.push(batch),
        }
    }
    combined
}

fn goes_on(last: &StateBatch, next: &StateBatch) -> bool {
    last.last.0 + 1 == next.first.0 && last.state == next.state && last.delivery_count == next.delivery_count
}

/// What of a batch others do not speak of.
fn without(batch: &StateBatch, others: &[StateBatch]) -> Vec<StateBatch> {
    let mut rest = Vec::new();
    let mut from = batch.first;
    for other in others.iter().filter(|other| other.last >= batch.first && other.first <= batch.last) {
        if other.first > from {
            rest.push(StateBatch { first: from, last: Offset(other.first.0 - 1), ..*batch });
        }
        from = from.max(Offset(other.last.0 + 1));
    }
    if from <= batch.last {
        rest.push(StateBatch { first: from, ..*batch });
    }
    rest
}

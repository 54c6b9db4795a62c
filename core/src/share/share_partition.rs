//! What a share group has done with the records of one partition, as the leader of the partition knows it.
//!
//! Kafka: `SharePartition`; KIP-932. The defaults and ranges of its limits are those of `ShareGroupConfig`.
//!
//! ```text
//!   done with      in flight: each record by itself           not handed out yet
//!  ───────────┼─────────────────────────────────────────────┼──────────────────────▶
//!         start offset                                  end offset
//! ```
//!
//! A record that becomes available again is the next one to be fetched, whatever lies behind it: a group keeps no order.
//!
//! What a member says counts when it is written, and is taken back if it cannot be; a lock that expires counts at once. The start
//! offset moves over what is done with, and never goes back.
//!
//! Invariants: a record is in the hands of one member at most. No record is delivered more often than the limit.
//!
//! Not modelled: that Kafka keeps neighbours that are alike as one batch, and gives such a batch out again as a whole even if only a part
//! of it still fits; that releasing a session stops at the first record of somebody else within such a batch; aborted transactions;
//! limits that change while records are in flight. After a change of leader, offsets of which nothing was written are handed out anew,
//! with those that compaction has taken among them.

use std::collections::{BTreeMap, BTreeSet};

use super::in_flight::{Acquired, Change, InFlight, StateBatch, StateWrite, runs};
use crate::fact::{ShareReason, ShareState};
use crate::types::{Instant, Offset, StrBytes};

/// What a group may do at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareLimits {
    /// `group.share.delivery.count.limit`: how often a record is delivered.
    pub delivery_count: u16,
    /// `group.share.partition.max.record.locks`: how many records are in flight.
    pub record_locks: usize,
    /// Whether a delivery that ends with the session of its member does not count: the record was fetched and perhaps never seen
    /// (KAFKA-17541, 4.1).
    pub undelivered_does_not_count: bool,
}

/// What a leader has read for a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// From where it read.
    pub from: Offset,
    /// The first and the last offset of each batch of the log.
    pub batches: Vec<(Offset, Offset)>,
}

/// The state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharePartition {
    pub(super) limits: ShareLimits,
    start: Offset,
    /// The last offset in flight; where there is none, the next one to be handed out.
    end: Offset,
    pub(super) records: BTreeMap<i64, InFlight>,
    /// Those of them that somebody may have.
    available: BTreeSet<i64>,
    /// Those that somebody has, by the end of the lock.
    locks: BTreeSet<(Instant, i64)>,
    /// What is being written: the records that are something else then, and why.
    writes: BTreeMap<u64, Vec<(i64, ShareReason)>>,
    next_write: u64,
}

impl SharePartition {
    /// A group that begins at an offset.
    pub fn new(start: Offset, limits: ShareLimits) -> Self {
        Self {
            limits,
            start,
            end: start,
            records: BTreeMap::new(),
            available: BTreeSet::new(),
            locks: BTreeSet::new(),
            writes: BTreeMap::new(),
            next_write: 1,
        }
    }

    /// A group that goes on where it was, by what is written of it. Records in between of which nothing is written were in somebody's
    /// hands: they are handed out anew, and nobody knows how often they were delivered.
    pub fn loaded(start: Offset, batches: &[StateBatch], limits: ShareLimits) -> Self {
        let mut partition = Self::new(start, limits);
        let Some(last) = batches.last() else { return partition };
        partition.end = last.last;
        let mut next = start.0;
        for batch in batches {
            for offset in next..batch.first.0 {
                partition.insert(offset, InFlight::loaded(ShareState::Available, 0));
            }
            for offset in batch.first.0.max(next)..=batch.last.0 {
                partition.insert(offset, InFlight::loaded(batch.state, batch.delivery_count));
            }
            next = batch.last.0 + 1;
        }
        partition.advance();
        partition
    }

    /// The share-partition start offset (SPSO): everything below is done with.
    pub fn start_offset(&self) -> Offset {
        self.start
    }

    /// The share-partition end offset (SPEO): one past everything that was handed out.
    pub fn end_offset(&self) -> Offset {
        if self.records.is_empty() { self.end } else { self.end.next() }
    }

    /// How many records wait for somebody, and how many are in somebody's hands.
    pub fn in_flight(&self) -> (usize, usize) {
        (self.available.len(), self.locks.len())
    }

    /// From where the next member reads: the first record that was given back, else the first that nobody has had.
    pub fn next_fetch_offset(&self) -> Offset {
        self.available.first().map_or_else(|| self.end_offset(), |offset| Offset(*offset))
    }

    /// Whether somebody may have more.
    pub fn can_acquire(&self) -> bool {
        !self.available.is_empty() || self.records.is_empty() || self.window() < self.limits.record_locks
    }

    /// When the next lock expires.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.locks.first().map(|(until, _)| *until)
    }

    /// From the first to the last record in flight.
    fn window(&self) -> usize {
        let all = if self.records.is_empty() { 0 } else { self.end.0 - self.start.0 + 1 };
        usize::try_from(all).unwrap_or(0)
    }

    pub(super) fn bounds(&self) -> Option<(i64, i64)> {
        Some((*self.records.first_key_value()?.0, self.end.0))
    }

    /// A member gets what is available of what was read, up to about `max_records`: batches of the log are not divided.
    pub fn acquire(
        &mut self,
        member: &StrBytes,
        fetched: &Fetched,
        max_records: usize,
        lock_until: Instant,
    ) -> Vec<Acquired> {
        let (Some((first, _)), Some((_, last))) = (fetched.batches.first(), fetched.batches.last()) else {
            return Vec::new();
        };
        let (mut room, mut last) = (max_records.min(self.limits.record_locks.saturating_sub(self.window())), *last);
        if room == 0 && max_records > 0 && !self.records.is_empty() && fetched.from <= self.end {
            // There is no room for more, and what was given back has its room already.
            let left = usize::try_from(self.end.0 - fetched.from.0 + 1).unwrap_or(0);
            (room, last) = (max_records.min(left), last.min(self.end));
        }
        self.archive_compacted(fetched.from, *first);
        let mut taken: Vec<(i64, u16)> = Vec::new();
        for (base, batch_last) in &fetched.batches {
            if taken.len() >= room {
                break;
            }
            self.acquire_batch(member, (base.0, batch_last.min(&last).0), lock_until, &mut taken);
        }
        taken.sort_unstable();
        runs(
            taken,
            |offset, delivery_count| Acquired { first: offset, last: offset, delivery_count },
            |run, offset, delivery_count| {
                let goes_with = run.last.next() == offset && run.delivery_count == *delivery_count;
                if goes_with {
                    run.last = offset;
                }
                goes_with
            },
        )
    }

    fn acquire_batch(
        &mut self,
        member: &StrBytes,
        (base, last): (i64, i64),
        lock_until: Instant,
        taken: &mut Vec<(i64, u16)>,
    ) {
        if base > last {
            return;
        }
        let again: Vec<i64> = self.available.range(base..=last).copied().collect();
        for offset in again {
            self.update(offset, |record| {
                *record = InFlight::acquired(member.clone(), record.delivery_count + 1, lock_until);
                taken.push((offset, record.delivery_count));
            });
        }
        let is_first = self.records.is_empty();
        let from = base.max(self.end_offset().0);
        if from > last {
            return;
        }
        if is_first {
            self.start = Offset(from);
        }
        for offset in from..=last {
            self.insert(offset, InFlight::acquired(member.clone(), 1, lock_until));
            taken.push((offset, 1));
        }
        self.end = Offset(last);
    }

    /// Between where it was read and the first batch that there is, compaction has left nothing.
    fn archive_compacted(&mut self, from: Offset, first: Offset) {
        if from >= first {
            return;
        }
        let gone: Vec<i64> = self.available.range(from.0..first.0).copied().collect();
        for offset in gone {
            self.update(offset, |record| record.state = ShareState::Archived);
        }
        self.advance();
    }

    /// Locks that have expired by now: what they held is available, or archived if it was delivered often enough. That counts at once;
    /// it is to be written all the same.
    pub fn expire_locks(&mut self, now: Instant) -> Option<(Vec<Change>, StateWrite)> {
        let over: Vec<i64> =
            self.locks.iter().take_while(|(until, _)| *until <= now).map(|(_, offset)| *offset).collect();
        if over.is_empty() {
            return None;
        }
        let mut changed = BTreeMap::new();
        let limit = self.limits.delivery_count;
        for offset in over {
            self.update(offset, |record| {
                record.give_back(limit);
                changed.insert(offset, (record.state, record.delivery_count, std::mem::take(&mut record.member)));
            });
        }
        let batches = changed.iter().map(|(offset, (state, count, _))| (*offset, (*state, *count)));
        let batches = state_batches(batches);
        let changes = changes(changed.into_iter().map(|(offset, was)| (offset, (was, ShareReason::LockExpired))));
        let number = self.number(Vec::new());
        Some((changes, StateWrite { number, start_offset: self.start, batches }))
    }

    /// The log begins later: what was below is gone, in whosever hands it is.
    pub fn log_start_moved(&mut self, log_start: Offset) {
        if log_start <= self.start {
            return;
        }
        let kept = self.records.split_off(&log_start.0);
        let gone = std::mem::replace(&mut self.records, kept);
        for (offset, record) in gone {
            self.forget(offset, &record);
        }
        self.start = log_start;
        self.end = self.end.max(log_start);
    }

    /// What became of a write. What it was for is so now, or is as it was before. Returns what has changed.
    pub fn written(&mut self, number: u64, is_written: bool) -> Vec<Change> {
        let Some(said) = self.writes.remove(&number) else { return Vec::new() };
        let mut changed = BTreeMap::new();
        for (offset, reason) in said {
            self.update(offset, |record| {
                let Some((count, member)) = record.before.take() else { return };
                if is_written {
                    changed.insert(offset, ((record.state, record.delivery_count, member), reason));
                } else {
                    (record.state, record.delivery_count, record.member) = (ShareState::Acquired, count, member);
                }
            });
        }
        self.advance();
        changes(changed)
    }

    pub(super) fn write(&mut self, said: Vec<(i64, ShareReason)>) -> StateWrite {
        let states = said.iter().filter_map(|(offset, _)| {
            let record = self.records.get(offset)?;
            Some((*offset, (record.state, record.delivery_count)))
        });
        let batches = state_batches(states);
        StateWrite { number: self.number(said), start_offset: self.start, batches }
    }

    fn number(&mut self, said: Vec<(i64, ShareReason)>) -> u64 {
        let number = self.next_write;
        self.next_write += 1;
        self.writes.insert(number, said);
        number
    }

    /// The start offset moves over what is done with.
    fn advance(&mut self) {
        let mut has_moved = false;
        while let Some((offset, record)) = self.records.first_key_value().filter(|(_, record)| record.is_done()) {
            let (offset, record) = (*offset, record.clone());
            self.records.remove(&offset);
            self.forget(offset, &record);
            has_moved = true;
        }
        if !has_moved {
            return;
        }
        match self.records.first_key_value() {
            Some((first, _)) => self.start = Offset(*first),
            None => {
                self.end = self.end.next();
                self.start = self.end;
            }
        }
    }

    fn insert(&mut self, offset: i64, record: InFlight) {
        self.note(offset, &record);
        self.records.insert(offset, record);
    }

    /// Changes a record, if it is there, and what is known of it elsewhere.
    pub(super) fn update(&mut self, offset: i64, change: impl FnOnce(&mut InFlight)) {
        let Some(mut record) = self.records.remove(&offset) else { return };
        self.forget(offset, &record);
        change(&mut record);
        self.insert(offset, record);
    }

    fn note(&mut self, offset: i64, record: &InFlight) {
        if record.is_available() {
            self.available.insert(offset);
        }
        if record.is_held() {
            self.locks.insert((record.lock_until, offset));
        }
    }

    fn forget(&mut self, offset: i64, record: &InFlight) {
        if record.is_available() {
            self.available.remove(&offset);
        }
        if record.is_held() {
            self.locks.remove(&(record.lock_until, offset));
        }
    }
}

fn state_batches(states: impl IntoIterator<Item = (i64, (ShareState, u16))>) -> Vec<StateBatch> {
    runs(
        states,
        |offset, (state, delivery_count)| StateBatch { first: offset, last: offset, state, delivery_count },
        |run, offset, (state, count)| {
            let goes_with = run.last.next() == offset && run.state == *state && run.delivery_count == *count;
            if goes_with {
                run.last = offset;
            }
            goes_with
        },
    )
}

type Was = ((ShareState, u16, StrBytes), ShareReason);

fn changes(changed: impl IntoIterator<Item = (i64, Was)>) -> Vec<Change> {
    runs(
        changed,
        |offset, ((state, delivery_count, member), reason)| Change {
            first: offset,
            last: offset,
            state,
            delivery_count,
            member,
            reason,
        },
        |run, offset, ((state, count, member), reason)| {
            let is_alike = run.state == *state && run.delivery_count == *count && run.reason == *reason;
            let goes_with = run.last.next() == offset && is_alike && run.member == *member;
            if goes_with {
                run.last = offset;
            }
            goes_with
        },
    )
}

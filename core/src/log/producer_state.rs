//! The last five batches of every idempotent producer: what a leader recognises a duplicate by.
//!
//! Kafka: `ProducerStateManager`, `ProducerStateEntry`, `ProducerAppendInfo`; KIP-98, KIP-360.
//! Invariant: what is remembered is in the log, or was. Followers keep it too, so that a new leader knows what the old one
//! has appended; start and truncation build it anew from a snapshot ([`super::producer_snapshot`]) and the log above it.
//!
//! A batch from a client is checked against what is known of its producer:
//!
//! ```text
//! known               batch             answer
//! same epoch          one of the five   duplicate: its old offset
//! same epoch          last + 1          append           (0 follows i32::MAX)
//! same epoch          anything else     OUT_OF_ORDER_SEQUENCE_NUMBER
//! older epoch         sequence 0        append, forget the older epoch
//! older epoch         anything else     OUT_OF_ORDER_SEQUENCE_NUMBER
//! newer epoch         any               INVALID_PRODUCER_EPOCH
//! nothing             sequence 0        append
//! nothing             anything else     append; before 2.5 UNKNOWN_PRODUCER_ID
//! ```
//!
//! Transactions: the first record that a producer marks as part of one begins it in this partition, a marker ends it. What
//! lies behind the first one that is open, or ended by a marker that is not committed yet, is not stable:
//!
//! ```text
//!        9 begins    11 begins    9 ends      11 ends
//! ───────────┼───────────┼───────────┼────────────┼──────▶
//!            │◀ first unstable offset               until the end of 9 is committed
//!                        │◀                         then, until the end of 11 is
//! ```
//!
//! Not modelled: verification of transactions (KIP-890), timeouts of hanging ones; producers that write transactions.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Toggles;
use crate::protocol::ErrorCode;
use crate::record::{EndTransactionMarker, RecordBatch, TransactionResult};
use crate::types::{Duration, Offset, ProducerEpoch, Sequence, Timestamp};

/// How many batches of a producer are remembered.
const BATCHES_TO_RETAIN: usize = Toggles::DEDUPE_WINDOW_MAX;

/// A batch that was appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchMetadata {
    /// Sequence of its first record.
    pub first_sequence: Sequence,
    /// Sequence of its last record.
    pub last_sequence: Sequence,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Its largest timestamp.
    pub timestamp: Timestamp,
}

/// What is known of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStateEntry {
    /// The producer.
    pub producer_id: i64,
    /// Its newest epoch.
    pub producer_epoch: ProducerEpoch,
    /// The epoch of the last transaction coordinator that ended a transaction; -1 without one.
    pub coordinator_epoch: i32,
    /// Where its open transaction began.
    pub current_txn_first_offset: Option<Offset>,
    /// When it was heard of last.
    pub(super) last_timestamp: Timestamp,
    /// Its batches in that epoch, oldest first; only the first `count` mean anything.
    batches: [BatchMetadata; BATCHES_TO_RETAIN],
    count: usize,
}

/// A transaction that a marker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTxn {
    /// Whose.
    pub producer_id: i64,
    /// The offset of its first record.
    pub first_offset: Offset,
    /// The offset of the marker.
    pub last_offset: Offset,
    /// How it ended.
    pub result: TransactionResult,
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Append it.
    Append,
    /// It is there already.
    Duplicate(BatchMetadata),
    /// Answer with an error.
    Refuse(ErrorCode),
}

/// What is known of all producers of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStateManager {
    /// By producer id. Producers are few, so a sorted list does.
    entries: Vec<ProducerStateEntry>,
    /// Open transactions: where each began, and whose it is.
    ongoing: BTreeMap<Offset, i64>,
    /// Ended ones: where each began, and where its marker is. They go when the marker is committed.
    unreplicated: BTreeMap<Offset, Offset>,
    /// It is the state below this offset.
    pub(super) map_end: Offset,
    /// Where the last snapshot was taken.
    pub(super) last_snapshot: Offset,
    /// The snapshots on the disk.
    pub(super) snapshots: BTreeSet<Offset>,
}

impl ProducerStateEntry {
    /// The batches that are remembered, oldest first.
    pub fn batches(&self) -> &[BatchMetadata] {
        &self.batches[..self.count]
    }

    /// When it was heard of last.
    pub fn last_timestamp(&self) -> Timestamp {
        self.last_timestamp
    }

    pub(super) fn new(producer_id: i64, producer_epoch: ProducerEpoch) -> ProducerStateEntry {
        ProducerStateEntry {
            producer_id,
            producer_epoch,
            coordinator_epoch: -1,
            current_txn_first_offset: None,
            last_timestamp: Timestamp::NONE,
            batches: Default::default(),
            count: 0,
        }
    }

    pub(super) fn add(&mut self, epoch: ProducerEpoch, batch: BatchMetadata) {
        self.enter(epoch);
        self.last_timestamp = batch.timestamp;
        if self.count == BATCHES_TO_RETAIN {
            self.batches.rotate_left(1);
            self.count -= 1;
        }
        self.batches[self.count] = batch;
        self.count += 1;
    }

    fn enter(&mut self, epoch: ProducerEpoch) {
        if self.producer_epoch != epoch {
            self.producer_epoch = epoch;
            self.count = 0;
        }
    }

    fn duplicate_of(&self, batch: &RecordBatch, window: usize) -> Option<BatchMetadata> {
        let (first, last) = (batch.base_sequence(), batch.last_sequence());
        if batch.producer_epoch() != self.producer_epoch {
            return None;
        }
        self.batches()
            .iter()
            .rev()
            .take(window)
            .find(|known| known.first_sequence == first && known.last_sequence == last)
            .copied()
    }

    fn check_sequence(&self, epoch: ProducerEpoch, first: Sequence) -> Verdict {
        let in_sequence = if epoch == self.producer_epoch {
            self.batches().last().is_some_and(|last| last.last_sequence.plus(1) == first)
        } else {
            first == Sequence(0)
        };
        if in_sequence { Verdict::Append } else { Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER) }
    }
}

impl ProducerStateManager {
    /// What is to be done with a client's batch.
    pub fn check(&self, batch: &RecordBatch, toggles: Toggles) -> Verdict {
        // The idempotence of every scenario hangs on this line: with the toggle off, a retry is simply another batch.
        if !batch.has_producer_id() || !toggles.idempotence {
            return Verdict::Append;
        }
        let (epoch, first) = (batch.producer_epoch(), batch.base_sequence());
        let Some(entry) = self.entry(batch.producer_id()) else {
            return if first == Sequence(0) || toggles.unknown_producer_accepted {
                Verdict::Append
            } else {
                Verdict::Refuse(ErrorCode::UNKNOWN_PRODUCER_ID)
            };
        };
        if let Some(duplicate) = entry.duplicate_of(batch, toggles.dedupe_window) {
            return Verdict::Duplicate(duplicate);
        }
        if epoch < entry.producer_epoch {
            return Verdict::Refuse(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        match entry.check_sequence(epoch, first) {
            Verdict::Append if entry.current_txn_first_offset.is_some() && !batch.is_transactional() => {
                Verdict::Refuse(ErrorCode::INVALID_TXN_STATE)
            }
            verdict => verdict,
        }
    }

    /// Remembers a batch that is in the log with final offsets. Says which transaction it ends.
    pub fn update(&mut self, batch: &RecordBatch) -> Option<CompletedTxn> {
        if !batch.has_producer_id() {
            return None;
        }
        if batch.is_control() {
            return self.end_transaction(batch);
        }
        let producer_id = batch.producer_id();
        let epoch = batch.producer_epoch();
        let metadata = BatchMetadata {
            first_sequence: batch.base_sequence(),
            last_sequence: batch.last_sequence(),
            first_offset: batch.base_offset(),
            last_offset: batch.last_offset(),
            timestamp: batch.max_timestamp(),
        };
        let entry = self.entry_mut(producer_id, epoch);
        entry.add(epoch, metadata);
        if batch.is_transactional() && entry.current_txn_first_offset.is_none() {
            entry.current_txn_first_offset = Some(metadata.first_offset);
            self.ongoing.insert(metadata.first_offset, producer_id);
        }
        None
    }

    /// A marker without any record before it ends nothing that anybody would have to pass over.
    fn end_transaction(&mut self, batch: &RecordBatch) -> Option<CompletedTxn> {
        let (marker, timestamp) = EndTransactionMarker::of(batch)?;
        let (producer_id, epoch) = (batch.producer_id(), batch.producer_epoch());
        let entry = self.entry_mut(producer_id, epoch);
        entry.enter(epoch);
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = timestamp;
        let first_offset = entry.current_txn_first_offset.take()?;
        Some(CompletedTxn { producer_id, first_offset, last_offset: batch.base_offset(), result: marker.result })
    }

    /// A transaction that [`ProducerStateManager::update`] has told of is not open any more.
    pub(super) fn complete(&mut self, txn: &CompletedTxn) {
        self.ongoing.remove(&txn.first_offset);
        self.unreplicated.insert(txn.first_offset, txn.last_offset);
    }

    /// Up to where everything will be decided once the marker of `txn` is committed.
    pub(super) fn last_stable_offset(&self, txn: &CompletedTxn) -> Offset {
        let other = self.ongoing.iter().find(|(_, producer_id)| **producer_id != txn.producer_id);
        other.map_or(txn.last_offset.next(), |(first, _)| *first)
    }

    /// Where the first transaction begins that is open, or whose end is not committed.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        self.ongoing.keys().next().into_iter().chain(self.unreplicated.keys().next()).min().copied()
    }

    /// Everything below `high_watermark` is committed.
    pub(super) fn on_high_watermark(&mut self, high_watermark: Offset) {
        if !self.unreplicated.is_empty() {
            self.unreplicated.retain(|_, marker| *marker >= high_watermark);
        }
    }

    fn entry_mut(&mut self, producer_id: i64, epoch: ProducerEpoch) -> &mut ProducerStateEntry {
        let slot = match self.entries.binary_search_by_key(&producer_id, |entry| entry.producer_id) {
            Ok(slot) => slot,
            Err(slot) => {
                self.entries.insert(slot, ProducerStateEntry::new(producer_id, epoch));
                slot
            }
        };
        &mut self.entries[slot]
    }

    /// What is known of a producer.
    pub fn entry(&self, producer_id: i64) -> Option<&ProducerStateEntry> {
        let slot = self.entries.binary_search_by_key(&producer_id, |entry| entry.producer_id).ok()?;
        Some(&self.entries[slot])
    }

    /// Every producer, by id.
    pub fn entries(&self) -> &[ProducerStateEntry] {
        &self.entries
    }

    /// The log begins at `log_start` now. Before KAFKA-7190 a producer whose records are all below it is forgotten, and
    /// those batches of the others. Says who is forgotten.
    pub fn truncate_head(&mut self, log_start: Offset, toggles: Toggles) -> Vec<i64> {
        let mut forgotten = Vec::new();
        if toggles.pid_state_retained {
            return forgotten;
        }
        self.entries.retain_mut(|entry| {
            let gone = entry.batches().iter().take_while(|batch| batch.last_offset < log_start).count();
            entry.batches.rotate_left(gone);
            entry.count -= gone;
            if entry.count == 0 {
                forgotten.push(entry.producer_id);
            }
            entry.count > 0
        });
        self.ongoing.retain(|_, producer_id| !forgotten.contains(producer_id));
        forgotten
    }

    /// Forgets the producers whose last record is `expiration` old (`producer.id.expiration.ms`); says which.
    pub fn remove_expired(&mut self, now: Timestamp, expiration: Duration) -> Vec<i64> {
        let limit = i64::try_from(expiration.as_millis()).unwrap_or(i64::MAX);
        let expired = |entry: &ProducerStateEntry| {
            entry.current_txn_first_offset.is_none() && now.0.saturating_sub(entry.last_timestamp().0) >= limit
        };
        let gone = self.entries.iter().filter(|entry| expired(entry)).map(|entry| entry.producer_id).collect();
        self.entries.retain(|entry| !expired(entry));
        gone
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.ongoing.clear();
        self.unreplicated.clear();
    }

    /// It is the state below `end` now, whether or not a producer had a part in that.
    pub(super) fn set_map_end(&mut self, end: Offset) {
        self.map_end = end;
    }

    /// Takes over what a snapshot says.
    pub(super) fn load(&mut self, mut entries: Vec<ProducerStateEntry>) {
        entries.sort_by_key(|entry| entry.producer_id);
        entries.dedup_by_key(|entry| entry.producer_id);
        let open = entries.iter().filter_map(|entry| Some((entry.current_txn_first_offset?, entry.producer_id)));
        self.ongoing = open.collect();
        self.entries = entries;
    }

    /// The log begins later.
    pub(super) fn on_log_start_incremented(&mut self, log_start: Offset) {
        self.on_high_watermark(log_start);
        self.map_end = self.map_end.max(log_start);
        self.last_snapshot = self.snapshots.last().copied().unwrap_or(log_start);
    }

    /// Whether there is a snapshot of `offset`; it is not counted any more.
    pub(super) fn forget_snapshot(&mut self, offset: Offset) -> bool {
        self.snapshots.remove(&offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KafkaVersion;
    use crate::log::testing::{Batch, parse};

    const OUT_OF_ORDER: Verdict = Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);

    /// A producer's batch: epoch, first sequence, number of records.
    type Sent = (i16, i32, i32);

    fn batch((epoch, first, records): Sent, base_offset: i64) -> RecordBatch {
        parse(&Batch::of(records).producer(7, epoch, first).at(base_offset, 0).build())
    }

    fn after(appended: &[Sent]) -> ProducerStateManager {
        let mut state = ProducerStateManager::default();
        let mut offset = 100;
        for sent in appended {
            state.update(&batch(*sent, offset));
            offset += i64::from(sent.2);
        }
        state
    }

    fn check(appended: &[Sent], sent: Sent, version: KafkaVersion) -> Verdict {
        after(appended).check(&batch(sent, 0), Toggles::of(version))
    }

    #[test]
    fn in_a_window_of_one_only_the_last_batch_is_known() {
        let state = after(&[(0, 0, 1), (0, 1, 1)]);
        let toggles = Toggles { dedupe_window: 1, ..Toggles::of(KafkaVersion::new(3, 9)) };
        assert_eq!(duplicate_at(state.check(&batch((0, 1, 1), 0), toggles)), Some((101, 101)));
        assert_eq!(state.check(&batch((0, 0, 1), 0), toggles), OUT_OF_ORDER);
    }

    #[test]
    fn a_producer_is_forgotten_with_its_last_record_before_2_5() {
        for (version, batches) in [(KafkaVersion::new(2, 2), [1, 0]), (KafkaVersion::new(2, 8), [2, 2])] {
            let mut state = after(&[(0, 0, 1), (0, 1, 1)]);
            for (log_start, left) in [101, 102].into_iter().zip(batches) {
                state.truncate_head(Offset(log_start), Toggles::of(version));
                assert_eq!(state.entry(7).map_or(0, |entry| entry.batches().len()), left, "{version}, {log_start}");
            }
            let next = state.check(&batch((0, 2, 1), 0), Toggles::of(version));
            let unknown = Verdict::Refuse(ErrorCode::UNKNOWN_PRODUCER_ID);
            assert_eq!(next, if batches[1] == 0 { unknown } else { Verdict::Append });
        }
    }

    #[test]
    fn with_a_producer_its_open_transaction_is_forgotten_and_nobody_elses() {
        let mut state = ProducerStateManager::default();
        for (producer, offset) in [(7, 100), (8, 101), (8, 102)] {
            let first = i32::from(offset == 102);
            state.update(&parse(&Batch::of(1).producer(producer, 0, first).in_transaction().at(offset, 0).build()));
        }
        assert_eq!(state.first_unstable_offset(), Some(Offset(100)));
        assert_eq!(state.truncate_head(Offset(102), Toggles::of(KafkaVersion::new(2, 2))), [7]);
        let known: Vec<i64> = state.entries().iter().map(|entry| entry.producer_id).collect();
        assert_eq!((known, state.first_unstable_offset()), (vec![8], Some(Offset(101))));
    }

    #[test]
    fn the_state_is_that_of_the_log_start_at_least() {
        let mut state = after(&[(0, 0, 1)]);
        state.set_map_end(Offset(101));
        state.on_log_start_incremented(Offset(90));
        assert_eq!((state.map_end, state.last_snapshot), (Offset(101), Offset(90)));
        state.snapshots.extend([Offset(95), Offset(110)]);
        state.on_log_start_incremented(Offset(120));
        assert_eq!((state.map_end, state.last_snapshot), (Offset(120), Offset(110)));
        assert_eq!([110, 111].map(|offset| state.forget_snapshot(Offset(offset))), [true, false]);
        assert!(!state.forget_snapshot(Offset(110)), "it is forgotten");
    }

    fn duplicate_at(verdict: Verdict) -> Option<(i64, i64)> {
        match verdict {
            Verdict::Duplicate(found) => Some((found.first_offset.0, found.last_offset.0)),
            Verdict::Append | Verdict::Refuse(_) => None,
        }
    }

    #[test]
    fn sequences_and_epochs_are_checked_as_in_kafka() {
        let unknown = Verdict::Refuse(ErrorCode::UNKNOWN_PRODUCER_ID);
        let fenced = Verdict::Refuse(ErrorCode::INVALID_PRODUCER_EPOCH);
        type Row = (&'static str, &'static [Sent], Sent, Verdict, Verdict);
        // (what, appended, sent, answer in 2.2, answer in 3.9)
        let table: &[Row] = &[
            ("the first batch", &[], (0, 0, 3), Verdict::Append, Verdict::Append),
            ("an unknown producer in mid-sequence", &[], (0, 5, 1), unknown, Verdict::Append),
            ("the next", &[(0, 0, 3)], (0, 3, 1), Verdict::Append, Verdict::Append),
            ("a gap", &[(0, 0, 3)], (0, 4, 1), OUT_OF_ORDER, OUT_OF_ORDER),
            ("an overlap", &[(0, 0, 3)], (0, 2, 2), OUT_OF_ORDER, OUT_OF_ORDER),
            ("the same start, other length", &[(0, 0, 3)], (0, 0, 2), OUT_OF_ORDER, OUT_OF_ORDER),
            ("a new epoch from 0", &[(0, 0, 3)], (1, 0, 1), Verdict::Append, Verdict::Append),
            ("a new epoch in mid-sequence", &[(0, 0, 3)], (1, 3, 1), OUT_OF_ORDER, OUT_OF_ORDER),
            ("an old epoch", &[(0, 0, 3), (1, 0, 1)], (0, 3, 1), fenced, fenced),
            ("an old epoch's duplicate", &[(0, 0, 3), (1, 0, 1)], (0, 0, 3), fenced, fenced),
            ("0 after the largest", &[(0, i32::MAX - 1, 2)], (0, 0, 1), Verdict::Append, Verdict::Append),
            ("across the wrap", &[(0, i32::MAX - 1, 3)], (0, 1, 1), Verdict::Append, Verdict::Append),
            ("a gap across the wrap", &[(0, i32::MAX - 1, 3)], (0, 2, 1), OUT_OF_ORDER, OUT_OF_ORDER),
        ];
        for (what, appended, sent, in_2_2, in_3_9) in table {
            assert_eq!(check(appended, *sent, KafkaVersion::new(2, 2)), *in_2_2, "2.2: {what}");
            assert_eq!(check(appended, *sent, KafkaVersion::new(3, 9)), *in_3_9, "3.9: {what}");
        }
    }

    #[test]
    fn five_batches_are_remembered_and_the_sixth_last_is_not() {
        let appended: Vec<Sent> = (0..7).map(|n| (0, n * 2, 2)).collect();
        for n in 0..7 {
            let verdict = check(&appended, (0, n * 2, 2), KafkaVersion::new(3, 9));
            if n < 2 {
                assert_eq!(verdict, OUT_OF_ORDER, "batch {n} fell out of the window");
            } else {
                let first = 100 + i64::from(n) * 2;
                assert_eq!(duplicate_at(verdict), Some((first, first + 1)), "batch {n}");
            }
        }
    }

    #[test]
    fn without_the_fix_every_batch_is_appended() {
        let state = after(&[(0, 0, 1), (1, 0, 1)]);
        let off = Toggles { idempotence: false, ..Toggles::of(KafkaVersion::new(3, 9)) };
        for sent in [(1, 0, 1), (1, 9, 1), (0, 0, 1)] {
            assert_eq!(state.check(&batch(sent, 0), off), Verdict::Append, "{sent:?}");
        }
    }

    #[test]
    fn a_producer_that_has_been_quiet_for_long_is_forgotten() {
        let mut state = ProducerStateManager::default();
        state.update(&parse(&Batch::of(1).producer(7, 0, 0).timestamp(1_000).build()));
        state.update(&parse(&Batch::of(1).producer(8, 0, 0).timestamp(1_001).build()));
        state.remove_expired(Timestamp(2_000), Duration::from_millis(1_000));
        let left: Vec<i64> = state.entries().iter().map(|entry| entry.producer_id).collect();
        assert_eq!(left, [8]);
    }

    #[test]
    fn batches_without_a_producer_leave_no_trace() {
        let mut state = ProducerStateManager::default();
        state.update(&parse(&Batch::of(4).build()));
        assert!(state.entries().is_empty());
    }
}

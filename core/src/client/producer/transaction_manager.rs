//! Producer id, epoch and sequences: what makes a producer idempotent.
//!
//! Sequences are given out when a batch leaves its queue for the first time, per partition without a gap. A broker
//! recognises a repeated batch by them, and refuses one that leaves a gap. What remains is the question what to do when a
//! batch is given up whose fate is unknown: until 2.4 the producer takes a new id, since 2.5 (KIP-360) it raises its own
//! epoch and numbers what is in flight from 0 again.
//!
//! Kafka: `TransactionManager`, `TxnPartitionMap`, `TxnPartitionEntry`; KIP-98, KIP-185, KIP-360, KAFKA-5494.
//!
//! Not modelled: transactions. Before 2.5: a batch that fails for good after the id was changed does not lower the
//! sequences of the new id (Kafka's client throws an `IllegalStateException` at times).

use std::collections::{BTreeMap, BTreeSet};

use super::batch::{Batches, ProducerBatch};
use crate::protocol::ErrorCode;
use crate::record::ProducerState;
use crate::types::{Offset, ProducerEpoch, Sequence, TopicPartition};

/// A producer's id and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub id: i64,
    pub epoch: ProducerEpoch,
}

impl Identity {
    const NONE: Identity = Identity { id: -1, epoch: ProducerEpoch::NONE };

    fn of(batch: &ProducerBatch) -> Identity {
        Identity { id: batch.producer.producer_id, epoch: batch.producer.producer_epoch }
    }

    fn at(self, base_sequence: Sequence) -> ProducerState {
        ProducerState { producer_id: self.id, producer_epoch: self.epoch, base_sequence, transactional: false }
    }
}

/// What the producer does when a sequence is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recovery {
    /// Before 2.5: asks for a new producer id.
    NewId,
    /// KIP-360: raises its epoch by itself.
    BumpEpoch,
}

/// The sequences of an idempotent producer.
#[derive(Clone, Debug)]
pub(super) struct TransactionManager {
    recovery: Recovery,
    identity: Identity,
    partitions: BTreeMap<TopicPartition, Entry>,
    /// Partitions of which a batch was given up after it had been sent, with the sequence that follows it.
    unresolved: BTreeMap<TopicPartition, Sequence>,
    rewrite: BTreeSet<TopicPartition>,
    bump_required: bool,
    fatal: Option<ErrorCode>,
}

#[derive(Clone, Debug)]
struct Entry {
    identity: Identity,
    next_sequence: Sequence,
    last_acked: Sequence,
    last_acked_offset: Offset,
    /// Batches that have a sequence and no outcome, in the order of their sequences.
    in_flight: Vec<InFlight>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    identity: Identity,
    sequence: Sequence,
    batch: u64,
}

/// A broker's answer, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub error: ErrorCode,
    pub base_offset: Offset,
    pub log_start_offset: Offset,
}

impl TransactionManager {
    pub(super) fn new(bumps_epoch: bool) -> Self {
        Self {
            recovery: if bumps_epoch { Recovery::BumpEpoch } else { Recovery::NewId },
            identity: Identity::NONE,
            partitions: BTreeMap::new(),
            unresolved: BTreeMap::new(),
            rewrite: BTreeSet::new(),
            bump_required: false,
            fatal: None,
        }
    }

    pub(super) fn has_producer_id(&self) -> bool {
        self.identity != Identity::NONE
    }

    /// The broker's answer to InitProducerId.
    pub(super) fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
    }

    pub(super) fn fatal_error(&self) -> Option<ErrorCode> {
        self.fatal
    }

    pub(super) fn fail(&mut self, error: ErrorCode) {
        self.fatal = Some(error);
    }

    /// Whether a batch at the head of its queue has to stay there.
    pub(super) fn must_wait(&self, batch: &ProducerBatch) -> bool {
        if !self.has_producer_id() {
            return true;
        }
        let entry = self.partitions.get(&batch.partition);
        if batch.has_sequence() {
            // A retry: only the oldest may go. That brings what is in flight down to one while there is trouble.
            let first = entry.and_then(|entry| entry.in_flight.first());
            return first.is_some_and(|first| first.sequence != batch.producer.base_sequence);
        }
        let stale = entry.is_some_and(|entry| entry.identity != self.identity && !entry.in_flight.is_empty());
        stale || self.unresolved.contains_key(&batch.partition)
    }

    /// Gives a batch its sequence, if it has none, and follows its fate from now on.
    pub(super) fn assign_sequence(&mut self, batch: &mut ProducerBatch) {
        if batch.has_sequence() {
            return;
        }
        let identity = self.identity;
        let entry = self.partitions.entry(batch.partition.clone()).or_insert_with(|| Entry::new(identity));
        if entry.identity != identity && entry.in_flight.is_empty() {
            *entry = Entry::new(identity);
        }
        batch.producer = identity.at(entry.next_sequence);
        entry.next_sequence = entry.next_sequence.plus(batch.records_count());
        entry.add(batch);
    }

    /// A part of a split batch: it has its sequence already.
    pub(super) fn track(&mut self, batch: &ProducerBatch) {
        let identity = self.identity;
        self.partitions.entry(batch.partition.clone()).or_insert_with(|| Entry::new(identity)).add(batch);
    }

    pub(super) fn forget(&mut self, batch: &ProducerBatch) {
        if let Some(entry) = self.partitions.get_mut(&batch.partition) {
            entry.in_flight.retain(|in_flight| in_flight.batch != batch.number);
        }
    }

    /// Whether a refused batch may be sent again. It can have the sequences of the partition start anew.
    pub(super) fn can_retry(&mut self, number: u64, answer: Answer, batches: &mut Batches) -> bool {
        let Some(batch) = batches.get(&number) else { return false };
        match (self.recovery, answer.error) {
            (Recovery::NewId, error) => error.is_retriable() || self.can_retry_with_same_id(number, answer, batches),
            (Recovery::BumpEpoch, ErrorCode::UNKNOWN_PRODUCER_ID) => {
                // The broker has forgotten us. If it says where its log starts, and nothing was renumbered yet, epoch
                // and sequences start anew; otherwise the same again.
                if answer.log_start_offset != Offset::NONE && !batch.sequence_was_reset {
                    self.request_epoch_bump(&batch.partition);
                }
                true
            }
            (Recovery::BumpEpoch, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER) => {
                let gap = match self.unresolved.get(&batch.partition) {
                    None => !batch.sequence_was_reset && self.is_next(batch),
                    Some(next) => batch.producer.base_sequence == *next,
                };
                // Not a gap: an earlier batch is still under way, and this one's turn will come.
                if gap {
                    self.request_epoch_bump(&batch.partition);
                }
                true
            }
            (Recovery::BumpEpoch, error) => error.is_retriable(),
        }
    }

    fn can_retry_with_same_id(&mut self, number: u64, answer: Answer, batches: &mut Batches) -> bool {
        let Some(batch) = batches.get(&number) else { return false };
        if batch.producer.producer_id != self.identity.id {
            return false;
        }
        match answer.error {
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => {
                !self.unresolved.contains_key(&batch.partition) && (batch.sequence_was_reset || !self.is_next(batch))
            }
            ErrorCode::UNKNOWN_PRODUCER_ID => {
                if answer.log_start_offset == Offset::NONE || batch.sequence_was_reset {
                    return true;
                }
                let last_acked = self.partitions.get(&batch.partition).map_or(Offset::NONE, |e| e.last_acked_offset);
                // What we wrote was deleted by retention, and our state with it. Otherwise data is lost: do not go on.
                let deleted = last_acked < answer.log_start_offset;
                if deleted {
                    self.start_at_beginning(&batch.partition.clone(), batches);
                }
                deleted
            }
            _ => false,
        }
    }

    /// Whether a retry would still be recognised as one (before 2.5).
    pub(super) fn keeps_identity(&self, batch: &ProducerBatch) -> bool {
        self.recovery == Recovery::BumpEpoch || Identity::of(batch) == self.identity
    }

    /// A batch was written.
    pub(super) fn on_completed(&mut self, batch: &ProducerBatch, base_offset: Offset) {
        if self.keeps_identity(batch)
            && let Some(entry) = self.partitions.get_mut(&batch.partition)
        {
            entry.last_acked = entry.last_acked.max(batch.last_sequence());
            if base_offset != Offset::NONE {
                let last_offset = base_offset.plus(i64::from(batch.records_count()) - 1);
                entry.last_acked_offset = entry.last_acked_offset.max(last_offset);
            }
        }
        self.forget(batch);
    }

    /// A batch failed for good. `sequence_unused`: the broker did not take its sequence, so that the next one would
    /// leave a gap.
    pub(super) fn on_failed(
        &mut self,
        batch: &ProducerBatch,
        error: ErrorCode,
        sequence_unused: bool,
        batches: &mut Batches,
    ) {
        // Java's `UnknownProducerIdException` is an `OutOfOrderSequenceException`.
        let lost_order = matches!(error, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER | ErrorCode::UNKNOWN_PRODUCER_ID);
        if self.recovery == Recovery::NewId && lost_order && batch.producer.producer_id == self.identity.id {
            self.reset_producer_id();
        } else if error == ErrorCode::UNSUPPORTED_VERSION {
            self.fatal = Some(error);
        }
        self.forget(batch);
        if self.fatal.is_some() {
            return;
        }
        match self.recovery {
            Recovery::NewId if sequence_unused => self.lower_sequences(batch, batches),
            Recovery::NewId => {}
            Recovery::BumpEpoch if sequence_unused || lost_order => self.request_epoch_bump(&batch.partition),
            Recovery::BumpEpoch => {}
        }
    }

    /// A batch was given up after it had been sent: nothing new goes to the partition until the rest is known.
    pub(super) fn mark_unresolved(&mut self, batch: &ProducerBatch) {
        let next = batch.last_sequence().plus(1);
        let entry = self.unresolved.entry(batch.partition.clone()).or_insert(next);
        *entry = next.max(*entry);
    }

    /// Where nothing is in flight any more, finds out whether the sequences are complete.
    pub(super) fn resolve(&mut self) {
        let waiting = std::mem::take(&mut self.unresolved);
        for (partition, next) in waiting {
            let Some(entry) = self.partitions.get(&partition) else { continue };
            if !entry.in_flight.is_empty() {
                self.unresolved.insert(partition, next);
                continue;
            }
            // A later batch was written: the one that was given up must have been written too.
            if follows(entry.next_sequence, entry.last_acked) {
                continue;
            }
            match self.recovery {
                Recovery::BumpEpoch => self.request_epoch_bump(&partition),
                Recovery::NewId => {
                    self.reset_producer_id();
                    return;
                }
            }
        }
    }

    /// Raises the epoch if that was asked for.
    pub(super) fn maybe_bump_epoch(&mut self, batches: &mut Batches) {
        if !std::mem::take(&mut self.bump_required) {
            return;
        }
        self.identity = match self.identity {
            Identity { epoch: ProducerEpoch(i16::MAX), .. } => Identity::NONE,
            Identity { id, epoch } => Identity { id, epoch: ProducerEpoch(epoch.0 + 1) },
        };
        for partition in std::mem::take(&mut self.rewrite) {
            self.start_at_beginning(&partition, batches);
            self.unresolved.remove(&partition);
        }
    }

    fn request_epoch_bump(&mut self, partition: &TopicPartition) {
        self.bump_required = true;
        self.rewrite.insert(partition.clone());
    }

    fn reset_producer_id(&mut self) {
        self.identity = Identity::NONE;
        self.partitions.clear();
        self.unresolved.clear();
    }

    fn is_next(&self, batch: &ProducerBatch) -> bool {
        let last_acked = self.partitions.get(&batch.partition).map_or(Sequence::NONE, |entry| entry.last_acked);
        follows(batch.producer.base_sequence, last_acked)
    }

    /// Numbers what is in flight to the partition from 0, under the present identity.
    fn start_at_beginning(&mut self, partition: &TopicPartition, batches: &mut Batches) {
        let Some(entry) = self.partitions.get_mut(partition) else { return };
        entry.identity = self.identity;
        entry.last_acked = Sequence::NONE;
        entry.next_sequence = Sequence(0);
        for in_flight in &mut entry.in_flight {
            let Some(batch) = batches.get_mut(&in_flight.batch) else { continue };
            batch.reset_producer_state(self.identity.at(entry.next_sequence));
            in_flight.identity = self.identity;
            in_flight.sequence = entry.next_sequence;
            entry.next_sequence = entry.next_sequence.plus(batch.records_count());
        }
    }

    /// Closes the gap that a refused batch leaves (before 2.5).
    fn lower_sequences(&mut self, failed: &ProducerBatch, batches: &mut Batches) {
        if Identity::of(failed) != self.identity {
            return;
        }
        let Some(entry) = self.partitions.get_mut(&failed.partition) else { return };
        let count = failed.records_count();
        let lower = |sequence: Sequence| Sequence((sequence.0 - count).max(0));
        entry.next_sequence = lower(entry.next_sequence);
        for in_flight in &mut entry.in_flight {
            if in_flight.sequence < failed.producer.base_sequence {
                continue;
            }
            let Some(batch) = batches.get_mut(&in_flight.batch) else { continue };
            in_flight.sequence = lower(in_flight.sequence);
            batch.reset_producer_state(in_flight.identity.at(in_flight.sequence));
        }
    }
}

impl Entry {
    fn new(identity: Identity) -> Self {
        Self {
            identity,
            next_sequence: Sequence(0),
            last_acked: Sequence::NONE,
            last_acked_offset: Offset::NONE,
            in_flight: Vec::new(),
        }
    }

    fn add(&mut self, batch: &ProducerBatch) {
        let key = |identity: Identity, sequence| (identity.id, identity.epoch, sequence);
        let new =
            InFlight { identity: Identity::of(batch), sequence: batch.producer.base_sequence, batch: batch.number };
        let at =
            self.in_flight.partition_point(|old| key(old.identity, old.sequence) < key(new.identity, new.sequence));
        self.in_flight.insert(at, new);
    }
}

/// Whether `sequence` is the one after `last`.
fn follows(sequence: Sequence, last: Sequence) -> bool {
    sequence.0.wrapping_sub(last.0) == 1
}

#[cfg(test)]
#[path = "transaction_manager_tests.rs"]
mod tests;

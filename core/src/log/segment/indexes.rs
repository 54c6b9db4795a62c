//! The indexes of a segment: entries as batches come, rebuilding, and what happens to whoever believes a wrong one.
//!
//! Kafka: `LogSegment.recover`, `sanityCheck`, `translateOffset`, `OffsetIndex.lookup`; KAFKA-7283 (2.3).
//! Not modelled: a search that starts in the midst of a batch finds no header and fails; here it finds the next batch.

use std::io;

use super::{LogSegment, TXN_INDEX_SUFFIX, path};
use crate::log::producer_state::CompletedTxn;
use crate::log::transaction_index::{AbortedTxn, TransactionIndex};
use crate::record::{RecordBatch, TransactionResult};
use crate::storage::Storage;
use crate::types::{Offset, Timestamp};

/// Whether the files of a segment were fit for use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) enum Indexes {
    /// They can be used as they are.
    Sane,
    /// One cannot be right.
    Corrupt,
    /// One is missing: both are to be rebuilt.
    Missing,
}

impl LogSegment {
    /// Adds the entries that a batch would get if each was appended by itself: how an index is rebuilt.
    pub(in crate::log) fn index(
        &mut self,
        position: u64,
        batch: &RecordBatch,
        index_interval_bytes: u64,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        self.note_timestamp(batch);
        if self.bytes_since_last_index_entry > index_interval_bytes {
            self.offset_index.append(batch.last_offset(), position as u32, storage)?;
            self.time_index.maybe_append(self.max_timestamp.0, self.max_timestamp.1, storage)?;
            self.bytes_since_last_index_entry = 0;
        }
        self.bytes_since_last_index_entry += batch.size_in_bytes() as u64;
        Ok(())
    }

    /// Drops all index entries before they are rebuilt, and the largest timestamp, which grows along with them.
    pub(in crate::log) fn reset_indexes(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        self.max_timestamp = (Timestamp::NONE, self.base_offset);
        self.bytes_since_last_index_entry = 0;
        self.misleads = false;
        self.offset_index.reset(storage)?;
        self.time_index.reset(storage)
    }

    /// Believes the indexes, whether or not they fit.
    pub(in crate::log) fn believe_indexes(&mut self) {
        self.misleads = !self.indexes_fit();
    }

    /// The batch from which a search for an offset starts, where the index is not what it should be: what lies before it is
    /// not found.
    pub(super) fn misled_to(&self, offset: Offset) -> usize {
        if !self.misleads {
            return 0;
        }
        let (_, position) = self.offset_index.lookup(offset);
        self.batches.partition_point(|batch| u64::from(batch.position) < position)
    }

    /// Whether the entries of the indexes fit the batches that were found.
    pub(in crate::log) fn indexes_fit(&self) -> bool {
        let end = self.next_offset();
        self.time_index.last_offset().is_none_or(|last| last < end)
            && self.offset_index.iter().all(|(offset, position)| {
                let found = self.batches.binary_search_by_key(&position, |batch| u64::from(batch.position));
                found.is_ok_and(|at| offset < end && offset.0 - self.base_offset.0 >= i64::from(self.batches[at].last))
            })
    }

    /// The transactions that were aborted by markers in it.
    pub fn transaction_index(&self) -> &TransactionIndex {
        &self.txn_index
    }

    /// Whether its transaction index has to be built anew.
    pub(in crate::log) fn doubts_transaction_index(&self) -> bool {
        self.txn_index_is_wrong
    }

    /// Its transaction index is to be built anew, as all its indexes are.
    pub(in crate::log) fn doubt_transaction_index(&mut self) {
        self.txn_index_is_wrong = true;
    }

    /// Drops the entries of the transaction index before they are built anew.
    pub(in crate::log) fn reset_transaction_index(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        self.txn_index_is_wrong = false;
        self.txn_index.reset(storage)
    }

    /// A marker in this segment has ended a transaction; one that was aborted gets an entry.
    pub(in crate::log) fn note_completed(
        &mut self,
        txn: &CompletedTxn,
        last_stable_offset: Offset,
        directory: &str,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        match txn.result {
            TransactionResult::Commit => Ok(()),
            TransactionResult::Abort => {
                self.append_aborted(AbortedTxn::new(txn, last_stable_offset), directory, "", storage)
            }
        }
    }

    /// Adds an entry to the transaction index, in a file with this ending behind its name.
    pub(in crate::log) fn append_aborted(
        &mut self,
        aborted: AbortedTxn,
        directory: &str,
        suffix: &str,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        let path = format!("{}{suffix}", path(directory, self.base_offset, TXN_INDEX_SUFFIX));
        self.txn_index.append(aborted, &path, storage)
    }

    /// The last entry of the time index, which retention looks at: when the segment is closed or no longer active.
    pub(in crate::log) fn close_time_index(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        self.time_index.maybe_append(self.max_timestamp.0, self.max_timestamp.1, storage)
    }
}

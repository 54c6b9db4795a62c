//! The transactions that were aborted by markers in one segment: what a reader of committed records passes over.
//!
//! ```text
//! .txnindex, 34 bytes an entry
//!   version i16: 0 │ producer id i64 │ first offset i64 │ offset of the marker i64 │ last stable offset i64
//! ```
//!
//! The last stable offset of an entry is what it was when the marker was written: nobody who reads below it needs a later entry.
//! The file exists once there is an entry. That it is missing is therefore no error, and a segment whose file was deleted
//! shows its aborted records to everybody.
//!
//! Kafka: `TransactionIndex`, `AbortedTxn`; KIP-98.

use std::io;

use super::index_file::IndexFile;
use super::producer_state::CompletedTxn;
use crate::storage::Storage;
use crate::types::Offset;

const ENTRY_BYTES: usize = 34;
const VERSION: i16 = 0;

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    /// Whose.
    pub producer_id: i64,
    /// The offset of its first record in the partition.
    pub first_offset: Offset,
    /// The offset of its marker.
    pub last_offset: Offset,
    /// Below it everything was decided when the marker was written.
    pub last_stable_offset: Offset,
}

impl AbortedTxn {
    /// A transaction that has just been aborted.
    pub(super) fn new(completed: &CompletedTxn, last_stable_offset: Offset) -> AbortedTxn {
        let CompletedTxn { producer_id, first_offset, last_offset, .. } = *completed;
        AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset }
    }

    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
        let fields = [self.producer_id, self.first_offset.0, self.last_offset.0, self.last_stable_offset.0];
        for (place, field) in bytes[2..].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<AbortedTxn> {
        let version = i16::from_be_bytes([bytes[0], bytes[1]]);
        let field = |n: usize| i64::from_be_bytes(std::array::from_fn(|byte| bytes[2 + 8 * n + byte]));
        (version <= VERSION).then(|| AbortedTxn {
            producer_id: field(0),
            first_offset: Offset(field(1)),
            last_offset: Offset(field(2)),
            last_stable_offset: Offset(field(3)),
        })
    }
}

/// The index of one segment.
#[derive(Clone, Debug, Default)]
pub struct TransactionIndex {
    /// None before the first entry.
    file: Option<IndexFile>,
    entries: Vec<AbortedTxn>,
}

impl TransactionIndex {
    /// Opens the file, if there is one. Says whether its entries can be right; a piece of one at the end does not count.
    pub(super) fn open(
        path: &str,
        base_offset: Offset,
        storage: &mut dyn Storage,
    ) -> io::Result<(TransactionIndex, bool)> {
        if !storage.exists(path) {
            return Ok((TransactionIndex::default(), true));
        }
        let (file, content) = IndexFile::open(path, storage)?;
        let (whole, _) = content.as_chunks::<ENTRY_BYTES>();
        let entries: Vec<AbortedTxn> = whole.iter().filter_map(AbortedTxn::decode).collect();
        let sane = entries.len() == whole.len() && entries.iter().all(|entry| entry.last_offset >= base_offset);
        Ok((TransactionIndex { file: Some(file), entries }, sane))
    }

    /// The entries, by the offset of their markers.
    pub fn entries(&self) -> &[AbortedTxn] {
        &self.entries
    }

    /// Adds an entry; the file at `path` is created with the first one.
    pub(super) fn append(&mut self, entry: AbortedTxn, path: &str, storage: &mut dyn Storage) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(IndexFile::open(path, storage)?.0),
        };
        file.append(&entry.encode(), storage)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Drops the entries whose markers lie at `to` or beyond.
    pub(super) fn truncate_to(&mut self, to: Offset, storage: &mut dyn Storage) -> io::Result<()> {
        let keep = self.entries.partition_point(|entry| entry.last_offset < to);
        self.cut(keep, storage)
    }

    /// Drops all entries.
    pub(super) fn reset(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        self.cut(0, storage)
    }

    fn cut(&mut self, keep: usize, storage: &mut dyn Storage) -> io::Result<()> {
        if let Some(file) = self.file.as_mut().filter(|_| keep < self.entries.len() || keep == 0) {
            file.truncate((keep * ENTRY_BYTES) as u64, storage)?;
        }
        self.entries.truncate(keep);
        Ok(())
    }

    /// Makes it durable.
    pub(super) fn sync(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.sync(storage))
    }

    /// Forgets the handle.
    pub(super) fn close(self, storage: &mut dyn Storage) {
        if let Some(file) = self.file {
            file.close(storage);
        }
    }

    /// Adds to `found` what a reader of `from` up to below `up_to` passes over; says whether no later segment has more of it.
    pub(super) fn collect(&self, from: Offset, up_to: Offset, found: &mut Vec<AbortedTxn>) -> bool {
        for entry in &self.entries {
            if entry.last_offset >= from && entry.first_offset < up_to {
                found.push(*entry);
            }
            if entry.last_stable_offset >= up_to {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    const PATH: &str = "orders-0/00000000000000000100.txnindex";

    fn entry(producer_id: i64, first: i64, last: i64, stable: i64) -> AbortedTxn {
        let (first_offset, last_offset, last_stable_offset) = (Offset(first), Offset(last), Offset(stable));
        AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset }
    }

    fn written(entries: &[AbortedTxn]) -> (MemoryStorage, TransactionIndex) {
        let mut disk = MemoryStorage::default();
        disk.create_dir("orders-0").unwrap();
        let mut index = TransactionIndex::default();
        for entry in entries {
            index.append(*entry, PATH, &mut disk).unwrap();
        }
        (disk, index)
    }

    #[test]
    fn without_an_aborted_transaction_there_is_no_file() {
        let (mut disk, mut index) = written(&[]);
        index.truncate_to(Offset(0), &mut disk).unwrap();
        index.sync(&mut disk).unwrap();
        assert!(!disk.exists(PATH));
        let (index, sane) = TransactionIndex::open(PATH, Offset(100), &mut disk).unwrap();
        assert_eq!((index.entries().len(), sane), (0, true));
    }

    #[test]
    fn the_entries_are_read_as_they_were_written_and_torn_ones_are_not() {
        let entries = [entry(9, 100, 103, 102), entry(11, 102, 106, 104)];
        let (mut disk, _) = written(&entries);
        let content = disk.content(PATH).unwrap().to_vec();
        assert_eq!(content[..2], [0, 0]);
        assert_eq!(content[2..10], 9i64.to_be_bytes());
        assert_eq!(content[26..34], 102i64.to_be_bytes());
        assert_eq!(content.len(), 68);
        let (index, sane) = TransactionIndex::open(PATH, Offset(100), &mut disk).unwrap();
        assert_eq!((index.entries(), sane), (&entries[..], true));
        let (_, sane) = TransactionIndex::open(PATH, Offset(104), &mut disk).unwrap();
        assert!(!sane, "a marker below the segment");
        let (mut file, _) = IndexFile::open(PATH, &mut disk).unwrap();
        file.truncate(67, &mut disk).unwrap();
        let (index, sane) = TransactionIndex::open(PATH, Offset(100), &mut disk).unwrap();
        assert_eq!((index.entries(), sane), (&entries[..1], true));
    }

    #[test]
    fn a_truncation_drops_the_markers_that_are_cut() {
        let entries = [entry(9, 100, 103, 102), entry(11, 102, 106, 104)];
        for (to, left) in [(107, 2), (106, 1), (104, 1), (103, 0), (0, 0)] {
            let (mut disk, mut index) = written(&entries);
            index.truncate_to(Offset(to), &mut disk).unwrap();
            assert_eq!((index.entries().len(), disk.content(PATH).unwrap().len()), (left, left * 34), "to {to}");
        }
    }

    #[test]
    fn a_reader_gets_what_overlaps_and_stops_where_nothing_more_can() {
        // Kafka's rule: entries whose markers lie at or behind the first offset, and which begin below the end.
        let entries = [entry(1, 0, 10, 11), entry(2, 5, 20, 8), entry(3, 30, 40, 41)];
        let (_, index) = written(&entries);
        for (from, up_to, expected, done) in [
            (0, 5, &[1][..], true),
            (11, 12, &[2], true),
            (0, 50, &[1, 2, 3], false),
            (21, 30, &[], true),
            (45, 50, &[], false),
        ] {
            let mut found = Vec::new();
            let complete = index.collect(Offset(from), Offset(up_to), &mut found);
            let producers: Vec<i64> = found.iter().map(|entry| entry.producer_id).collect();
            assert_eq!((&producers[..], complete), (expected, done), "{from}..{up_to}");
        }
    }
}

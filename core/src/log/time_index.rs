//! When in a segment a timestamp was reached: a sparse list of (timestamp, offset), in memory and in `.timeindex`.
//!
//! An entry is 12 bytes: the largest timestamp so far (i64) and the last offset of the batch that has it, relative to
//! the segment's base (i32), big-endian. Entries come with those of the offset index, where the timestamp has grown,
//! and once more when the segment is closed or no longer active.
//!
//! Kafka: `TimeIndex`.

use std::io;

use super::index_file::IndexFile;
use crate::storage::Storage;
use crate::types::{Offset, Timestamp};

const ENTRY_BYTES: usize = 12;

/// The time index of one segment.
#[derive(Clone, Debug)]
pub struct TimeIndex {
    base_offset: Offset,
    entries: Vec<Entry>,
    file: IndexFile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    timestamp: Timestamp,
    relative_offset: u32,
}

impl TimeIndex {
    /// Opens the file; false with one that cannot be right: it is to be rebuilt after [`TimeIndex::reset`], or believed.
    pub(super) fn open(path: &str, base_offset: Offset, storage: &mut dyn Storage) -> io::Result<(TimeIndex, bool)> {
        let (file, content) = IndexFile::open(path, storage)?;
        let (entries, sane) = parse(&content);
        Ok((TimeIndex { base_offset, entries, file }, sane))
    }

    /// The entry with the largest timestamp that is not above `timestamp`; the segment's beginning if there is none.
    pub fn lookup(&self, timestamp: Timestamp) -> (Timestamp, Offset) {
        match self.entries.partition_point(|entry| entry.timestamp <= timestamp).checked_sub(1) {
            Some(slot) => self.at(slot),
            None => (Timestamp::NONE, self.base_offset),
        }
    }

    /// The bytes of the entries.
    pub(super) fn size_in_bytes(&self) -> u64 {
        (self.entries.len() * ENTRY_BYTES) as u64
    }

    /// The entries: timestamp and offset.
    pub fn iter(&self) -> impl Iterator<Item = (Timestamp, Offset)> + '_ {
        (0..self.entries.len()).map(|slot| self.at(slot))
    }

    /// The largest offset in it.
    pub(super) fn last_offset(&self) -> Option<Offset> {
        self.entries.len().checked_sub(1).map(|slot| self.at(slot).1)
    }

    /// Whether an index of at most `max_bytes` has no room for another entry; one place is kept for the closing entry.
    pub(super) fn is_full(&self, max_bytes: u64) -> bool {
        (self.entries.len() as u64).saturating_add(1) >= max_bytes / ENTRY_BYTES as u64
    }

    /// Adds an entry if the timestamp has grown.
    pub(super) fn maybe_append(
        &mut self,
        timestamp: Timestamp,
        offset: Offset,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        let Ok(relative_offset) = u32::try_from(offset.0 - self.base_offset.0) else { return Ok(()) };
        let last = self.entries.last().map_or(Timestamp::NONE, |last| last.timestamp);
        if timestamp <= last || self.entries.last().is_some_and(|last| last.relative_offset > relative_offset) {
            return Ok(());
        }
        let entry = Entry { timestamp, relative_offset };
        self.file.append(&entry.to_bytes(), storage)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Drops the entries for `offset` and above.
    pub(super) fn truncate_to(&mut self, offset: Offset, storage: &mut dyn Storage) -> io::Result<()> {
        let relative = offset.0 - self.base_offset.0;
        let keep = self.entries.partition_point(|entry| i64::from(entry.relative_offset) < relative);
        if keep < self.entries.len() {
            self.entries.truncate(keep);
            self.file.truncate((keep * ENTRY_BYTES) as u64, storage)?;
        }
        Ok(())
    }

    /// Drops everything, in the file too.
    pub(super) fn reset(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        self.entries.clear();
        self.file.truncate(0, storage)
    }

    /// The file under it.
    pub(super) fn file(&mut self) -> &mut IndexFile {
        &mut self.file
    }

    fn at(&self, slot: usize) -> (Timestamp, Offset) {
        let entry = self.entries[slot];
        (entry.timestamp, self.base_offset.plus(i64::from(entry.relative_offset)))
    }
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.timestamp.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.relative_offset.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Entry {
        let [t0, t1, t2, t3, t4, t5, t6, t7, o0, o1, o2, o3] = *bytes;
        Entry {
            timestamp: Timestamp(i64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7])),
            relative_offset: u32::from_be_bytes([o0, o1, o2, o3]),
        }
    }
}

/// The entries in a file; false if they are not whole, or timestamps or offsets go backwards.
fn parse(content: &[u8]) -> (Vec<Entry>, bool) {
    let (entries, rest) = content.as_chunks::<ENTRY_BYTES>();
    let entries: Vec<Entry> = entries.iter().map(Entry::from_bytes).collect();
    let grow = entries.is_sorted_by(|a, b| a.timestamp < b.timestamp && a.relative_offset <= b.relative_offset);
    let fit = entries.last().is_none_or(|last| last.relative_offset <= i32::MAX as u32);
    let sane = rest.is_empty() && grow && fit;
    (entries, sane)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::storage::MemoryStorage;

    fn index(disk: &mut MemoryStorage) -> TimeIndex {
        let (mut index, sane) = TimeIndex::open("x.timeindex", Offset(100), disk).unwrap();
        assert!(sane);
        for (timestamp, offset) in [(1000, 103), (1000, 105), (900, 107), (1005, 110)] {
            index.maybe_append(Timestamp(timestamp), Offset(offset), disk).unwrap();
        }
        index
    }

    #[test]
    fn only_growing_timestamps_get_an_entry_of_twelve_bytes() {
        let mut disk = MemoryStorage::default();
        let index = index(&mut disk);
        let entries: Vec<(Timestamp, Offset)> = index.iter().collect();
        assert_eq!(entries, [(Timestamp(1000), Offset(103)), (Timestamp(1005), Offset(110))]);
        let expected = [0, 0, 0, 0, 0, 0, 3, 232, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 3, 237, 0, 0, 0, 10];
        assert_eq!(disk.content("x.timeindex").unwrap(), expected[..]);
    }

    #[test]
    fn a_lookup_finds_the_floor_and_truncation_the_ceiling() {
        let mut disk = MemoryStorage::default();
        let mut index = index(&mut disk);
        assert_eq!(index.lookup(Timestamp(999)), (Timestamp::NONE, Offset(100)));
        assert_eq!(index.lookup(Timestamp(1004)), (Timestamp(1000), Offset(103)));
        index.truncate_to(Offset(110), &mut disk).unwrap();
        assert_eq!(index.lookup(Timestamp(2000)), (Timestamp(1000), Offset(103)));
        assert_eq!(disk.content("x.timeindex").unwrap().len(), 12);
    }

    #[test]
    fn an_entry_takes_twelve_bytes_and_the_last_place_is_for_the_closing_one() {
        let index = index(&mut MemoryStorage::default());
        assert_eq!(index.size_in_bytes(), 24);
        // Of two entries; `segment.index.bytes` is rounded down to whole ones.
        assert_eq!([35, 36, 47, 48, 60].map(|max| index.is_full(max)), [true, true, true, false, false]);
    }

    #[test]
    fn an_entry_may_have_the_offset_of_the_one_before_but_none_below() {
        let mut disk = MemoryStorage::default();
        let mut index = index(&mut disk);
        for (timestamp, offset, entries) in [(1006, 109, 2), (1006, 110, 3), (1007, 111, 4)] {
            index.maybe_append(Timestamp(timestamp), Offset(offset), &mut disk).unwrap();
            assert_eq!(index.iter().count(), entries, "{timestamp} at {offset}");
        }
    }

    #[test]
    fn entries_that_do_not_grow_or_fit_are_not_believed() {
        const MAX: u32 = i32::MAX as u32;
        let table: &[(&[(i64, u32)], bool)] = &[
            (&[], true),
            (&[(1000, 3)], true),
            (&[(1000, 3), (1001, 3)], true),
            (&[(1000, 3), (1000, 4)], false),
            (&[(1000, 3), (999, 4)], false),
            (&[(1000, 3), (1001, 2)], false),
            (&[(1000, MAX)], true),
            (&[(1000, MAX + 1)], false),
        ];
        for (entries, expected) in table {
            let bytes = |(time, offset): &(i64, u32)| [&time.to_be_bytes()[..], &offset.to_be_bytes()].concat();
            let content: Vec<u8> = entries.iter().flat_map(bytes).collect();
            assert_eq!(parse(&content).1, *expected, "{entries:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_loading_panic(content in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut disk = MemoryStorage::default();
            disk.put("x.timeindex", Bytes::from(content.clone()));
            let (index, sane) = TimeIndex::open("x.timeindex", Offset(100), &mut disk).unwrap();
            prop_assert_eq!(index.iter().count(), content.len() / 12, "as far as entries are whole");
            prop_assert!(!sane || content.len() % 12 == 0);
        }
    }
}

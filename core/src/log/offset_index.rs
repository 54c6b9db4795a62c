//! Where in a segment an offset lies: a sparse list of (offset, position), in memory and in `.index`.
//!
//! An entry is 8 bytes: the offset relative to the segment's base (i32) and the position in `.log` (i32), big-endian.
//! There is one only after more than `index.interval.bytes` have been written since the last one, and it names the
//! *last* offset of the append that starts at the position. So the first append of a segment never has one.
//!
//! Kafka: `OffsetIndex`.

use std::io;

use super::index_file::IndexFile;
use crate::storage::Storage;
use crate::types::Offset;

const ENTRY_BYTES: usize = 8;

/// The offset index of one segment.
#[derive(Clone, Debug)]
pub struct OffsetIndex {
    base_offset: Offset,
    entries: Vec<Entry>,
    file: IndexFile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    relative_offset: u32,
    position: u32,
}

impl OffsetIndex {
    /// Opens the file; false with one that cannot be right: it is to be rebuilt after [`OffsetIndex::reset`], or believed.
    pub(super) fn open(path: &str, base_offset: Offset, storage: &mut dyn Storage) -> io::Result<(OffsetIndex, bool)> {
        let (file, content) = IndexFile::open(path, storage)?;
        let (entries, sane) = parse(&content);
        Ok((OffsetIndex { base_offset, entries, file }, sane))
    }

    /// The largest indexed offset that is not above `offset`, and its position; the segment's beginning if there is none.
    pub fn lookup(&self, offset: Offset) -> (Offset, u64) {
        let relative = offset.0.saturating_sub(self.base_offset.0);
        match self.entries.partition_point(|entry| i64::from(entry.relative_offset) <= relative).checked_sub(1) {
            Some(slot) => self.at(slot),
            None => (self.base_offset, 0),
        }
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The bytes of the entries.
    pub(super) fn size_in_bytes(&self) -> u64 {
        (self.entries.len() * ENTRY_BYTES) as u64
    }

    /// The entries: offset and position.
    pub fn iter(&self) -> impl Iterator<Item = (Offset, u64)> + '_ {
        (0..self.entries.len()).map(|slot| self.at(slot))
    }

    /// Whether an index of at most `max_bytes` has no room for another entry.
    pub(super) fn is_full(&self, max_bytes: u64) -> bool {
        (self.entries.len() as u64) >= max_bytes / ENTRY_BYTES as u64
    }

    /// Adds an entry. Offsets grow: one that does not is dropped.
    pub(super) fn append(&mut self, offset: Offset, position: u32, storage: &mut dyn Storage) -> io::Result<()> {
        let Ok(relative_offset) = u32::try_from(offset.0 - self.base_offset.0) else { return Ok(()) };
        if self.entries.last().is_some_and(|last| last.relative_offset >= relative_offset) {
            return Ok(());
        }
        let entry = Entry { relative_offset, position };
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

    fn at(&self, slot: usize) -> (Offset, u64) {
        let entry = self.entries[slot];
        (self.base_offset.plus(i64::from(entry.relative_offset)), u64::from(entry.position))
    }
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        (u64::from(self.relative_offset) << 32 | u64::from(self.position)).to_be_bytes()
    }
}

/// The entries in a file; false if they are not whole, or neither offsets nor positions grow.
fn parse(content: &[u8]) -> (Vec<Entry>, bool) {
    let (entries, rest) = content.as_chunks::<ENTRY_BYTES>();
    let entries: Vec<Entry> = entries
        .iter()
        .map(|bytes| {
            let bits = u64::from_be_bytes(*bytes);
            Entry { relative_offset: (bits >> 32) as u32, position: bits as u32 }
        })
        .collect();
    let grow = entries.is_sorted_by(|a, b| a.relative_offset < b.relative_offset && a.position < b.position);
    let fit =
        entries.last().is_none_or(|last| last.relative_offset <= i32::MAX as u32 && last.position <= i32::MAX as u32);
    let sane = rest.is_empty() && grow && fit;
    (entries, sane)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::storage::MemoryStorage;

    fn index(entries: &[(i64, u32)], disk: &mut MemoryStorage) -> OffsetIndex {
        let (mut index, sane) = OffsetIndex::open("x.index", Offset(100), disk).unwrap();
        assert!(sane);
        for (offset, position) in entries {
            index.append(Offset(*offset), *position, disk).unwrap();
        }
        index
    }

    #[test]
    fn a_lookup_finds_the_floor() {
        let index = index(&[(103, 497), (110, 1200)], &mut MemoryStorage::default());
        let table = [(0, (100, 0)), (102, (100, 0)), (103, (103, 497)), (109, (103, 497)), (i64::MAX, (110, 1200))];
        for (offset, (found, position)) in table {
            assert_eq!(index.lookup(Offset(offset)), (Offset(found), position), "offset {offset}");
        }
    }

    #[test]
    fn truncation_drops_the_offset_itself_and_all_above() {
        let table: &[(i64, usize)] = &[(0, 0), (103, 0), (104, 1), (110, 1), (111, 2), (900, 2)];
        for (to, left) in table {
            let mut disk = MemoryStorage::default();
            let mut index = index(&[(103, 497), (110, 1200)], &mut disk);
            index.truncate_to(Offset(*to), &mut disk).unwrap();
            assert_eq!(index.entries(), *left, "to {to}");
            assert_eq!(disk.content("x.index").unwrap().len(), left * 8, "to {to}");
        }
    }

    /// Kafka's `OffsetIndex.sanityCheck`, and that its entries grow: a lookup is a binary search.
    #[test]
    fn entries_that_do_not_grow_or_fit_are_not_believed() {
        const MAX: u32 = i32::MAX as u32;
        let table: &[(&[(u32, u32)], bool)] = &[
            (&[], true),
            (&[(3, 497)], true),
            (&[(3, 497), (4, 498)], true),
            (&[(3, 497), (3, 498)], false),
            (&[(3, 497), (2, 498)], false),
            (&[(3, 497), (4, 497)], false),
            (&[(3, 497), (4, 496)], false),
            (&[(MAX, MAX)], true),
            (&[(MAX + 1, MAX)], false),
            (&[(MAX, MAX + 1)], false),
        ];
        for (entries, expected) in table {
            let bytes = |(offset, position): &(u32, u32)| [offset.to_be_bytes(), position.to_be_bytes()].concat();
            let content: Vec<u8> = entries.iter().flat_map(bytes).collect();
            assert_eq!(parse(&content).1, *expected, "{entries:?}");
        }
    }

    #[test]
    fn an_entry_takes_eight_bytes_and_the_size_is_that_of_whole_entries() {
        let index = index(&[(103, 497), (110, 1200), (111, 1300)], &mut MemoryStorage::default());
        assert_eq!(index.size_in_bytes(), 24);
        // `segment.index.bytes` is rounded down to whole entries.
        assert_eq!([23, 24, 31, 32].map(|max| index.is_full(max)), [true, true, true, false]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_loading_panic(content in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut disk = MemoryStorage::default();
            disk.put("x.index", Bytes::from(content.clone()));
            let (index, sane) = OffsetIndex::open("x.index", Offset(100), &mut disk).unwrap();
            prop_assert_eq!(index.entries(), content.len() / 8, "as far as entries are whole");
            prop_assert!(!sane || content.len() % 8 == 0);
        }
    }
}

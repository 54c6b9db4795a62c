//! Which leader epoch began at which offset: what followers and leaders compare to find where their logs part.
//!
//! Kafka: `LeaderEpochFileCache`, `LeaderEpochCheckpointFile`; KIP-101, KIP-279.
//! Invariant: epochs and start offsets both grow from entry to entry.
//!
//! Why it is needed (KIP-101): a follower that truncates to its high watermark cuts records that are committed but of
//! whose commit it had not heard yet; if the leader dies next, they are gone everywhere. Asking the leader where the
//! follower's last epoch ends cuts only what the leader never had.
//!
//! The file is written through, synced, whenever an entry comes or goes; Kafka 3.9 syncs removals later.

use std::io;

use super::checkpoints::{malformed, read_lines, write_lines};
use crate::storage::Storage;
use crate::types::{LeaderEpoch, Offset};

/// An epoch and the offset of its first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Where it began.
    pub start_offset: Offset,
}

/// The epochs of one log. Methods that change it say whether they did; `write` then makes it durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochFileCache {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochFileCache {
    /// Reads the file; empty if there is none.
    pub(super) fn read(path: &str, storage: &mut dyn Storage) -> io::Result<LeaderEpochFileCache> {
        let mut cache = LeaderEpochFileCache::default();
        for line in read_lines(path, storage)? {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [epoch, offset] = fields[..] else { return Err(malformed(path, &line)) };
            let (Ok(epoch), Ok(offset)) = (epoch.parse(), offset.parse()) else { return Err(malformed(path, &line)) };
            if epoch < 0 || offset < 0 {
                return Err(malformed(path, &line));
            }
            cache.assign(LeaderEpoch(epoch), Offset(offset));
        }
        Ok(cache)
    }

    /// Replaces the file.
    pub(super) fn write(&self, path: &str, storage: &mut dyn Storage) -> io::Result<()> {
        let lines = self.entries.iter().map(|entry| format!("{} {}", entry.epoch, entry.start_offset));
        write_lines(path, lines, storage)
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// `epoch` begins at `start_offset`. Entries that contradict it were never committed and go. No epoch is changed
    /// once records follow it; unknown epochs (-1) are not recorded.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        let known = self.entries.last().is_some_and(|last| last.epoch == epoch && last.start_offset <= start_offset);
        if known || epoch < LeaderEpoch(0) || start_offset < Offset(0) {
            return false;
        }
        let keep = self.entries.iter().rposition(|entry| entry.epoch < epoch && entry.start_offset < start_offset);
        self.entries.truncate(keep.map_or(0, |last| last + 1));
        self.entries.push(EpochEntry { epoch, start_offset });
        true
    }

    /// The largest known epoch not above `epoch`, and where it ends: where the next one begins, or the log's end if it
    /// is the newest. `None` if `epoch` is unknown because it is newer than all, or because nothing is known.
    ///
    /// An epoch older than all ends where the oldest begins: its records are no longer in the log.
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        if epoch == LeaderEpoch::NONE {
            return None;
        }
        if self.latest_epoch() == Some(epoch) {
            return Some((epoch, log_end));
        }
        let next = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end = self.entries.get(next)?.start_offset;
        let floor = next.checked_sub(1).map_or(epoch, |floor| self.entries[floor].epoch);
        Some((floor, end))
    }

    /// The epoch that covers `offset`.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.start_offset <= offset);
        Some(self.entries[after.checked_sub(1)?].epoch)
    }

    /// Drops the epochs that begin at `end` or later.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let keep = self.entries.partition_point(|entry| entry.start_offset < end);
        let cut = keep < self.entries.len();
        self.entries.truncate(keep);
        cut
    }

    /// Drops the epochs that end at `start` or earlier; the one that covers it now begins there.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let Some(covering) = self.entries.iter().rposition(|entry| entry.start_offset <= start) else { return false };
        let moved = covering > 0 || self.entries[covering].start_offset != start;
        self.entries.drain(..covering);
        self.entries[0].start_offset = start;
        moved
    }

    /// Drops everything.
    pub fn clear(&mut self) -> bool {
        let had = !self.entries.is_empty();
        self.entries.clear();
        had
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::storage::MemoryStorage;

    fn cache(entries: &[(i32, i64)]) -> LeaderEpochFileCache {
        let mut cache = LeaderEpochFileCache::default();
        for (epoch, start) in entries {
            cache.assign(LeaderEpoch(*epoch), Offset(*start));
        }
        cache
    }

    fn plain(cache: &LeaderEpochFileCache) -> Vec<(i32, i64)> {
        cache.entries().iter().map(|entry| (entry.epoch.0, entry.start_offset.0)).collect()
    }

    #[test]
    fn where_an_epoch_ends() {
        // (entries, log end, asked, answer)
        type Row = (&'static [(i32, i64)], i64, i32, Option<(i32, i64)>);
        let table: &[Row] = &[
            // Nothing is known.
            (&[], 9, 0, None),
            (&[(2, 5)], 9, -1, None),
            // KIP-101, scenario 1: A leads in epoch 1 what B wrote in epoch 0; B asks for 0 and keeps both records.
            (&[(0, 0), (1, 2)], 3, 0, Some((0, 2))),
            // The newest epoch ends with the log.
            (&[(0, 0), (1, 2)], 3, 1, Some((1, 3))),
            // Newer than all: the leader does not know it.
            (&[(0, 0), (1, 2)], 3, 2, None),
            // KIP-279, fast leader fail-over: B asks for its epoch 1, which A never had. A answers with the largest
            // below it, so that B compares again from there instead of keeping its own records of epoch 1.
            (&[(0, 0), (2, 20)], 30, 1, Some((0, 20))),
            (&[(2, 10), (4, 20), (6, 30)], 35, 5, Some((4, 30))),
            // Older than all: those records are gone, replication goes on where the oldest begins.
            (&[(2, 10), (4, 20)], 35, 1, Some((1, 10))),
        ];
        for (entries, log_end, asked, answer) in table {
            let found = cache(entries).end_offset_for(LeaderEpoch(*asked), Offset(*log_end));
            let expected = answer.map(|(epoch, end)| (LeaderEpoch(epoch), Offset(end)));
            assert_eq!(found, expected, "epoch {asked} in {entries:?}");
        }
    }

    #[test]
    fn a_new_entry_removes_what_contradicts_it() {
        type Row = (&'static [(i32, i64)], (i32, i64), &'static [(i32, i64)]);
        let table: &[Row] = &[
            (&[], (0, 0), &[(0, 0)]),
            (&[(0, 0)], (1, 5), &[(0, 0), (1, 5)]),
            // The same epoch again, later: it began where it began.
            (&[(0, 0), (1, 5)], (1, 7), &[(0, 0), (1, 5)]),
            // A leader of epoch 1 that wrote nothing, then one of epoch 2 at the same offset.
            (&[(0, 0), (1, 5)], (2, 5), &[(0, 0), (2, 5)]),
            // Offsets went back.
            (&[(0, 0), (1, 5), (2, 9)], (3, 4), &[(0, 0), (3, 4)]),
            // Epochs went back.
            (&[(0, 0), (3, 5)], (2, 9), &[(0, 0), (2, 9)]),
            (&[(0, 0)], (-1, 9), &[(0, 0)]),
        ];
        for (before, (epoch, start), after) in table {
            let mut cache = cache(before);
            let changed = cache.assign(LeaderEpoch(*epoch), Offset(*start));
            assert_eq!(plain(&cache), *after, "{before:?} then {epoch} at {start}");
            assert_eq!(changed, before != after);
        }
    }

    #[test]
    fn truncation_at_either_end() {
        let entries = &[(2, 10), (4, 20), (6, 30)];
        for (to, left) in [(31, 3), (30, 2), (20, 1), (11, 1), (10, 0)] {
            let mut cache = cache(entries);
            assert_eq!(cache.truncate_from_end(Offset(to)), left < 3, "to {to}");
            assert_eq!(cache.entries().len(), left, "to {to}");
        }
        type Row = (i64, &'static [(i32, i64)]);
        let table: &[Row] = &[
            (5, &[(2, 10), (4, 20), (6, 30)]),
            (10, &[(2, 10), (4, 20), (6, 30)]),
            (15, &[(2, 15), (4, 20), (6, 30)]),
            (20, &[(4, 20), (6, 30)]),
            (99, &[(6, 99)]),
        ];
        for (start, left) in table {
            let mut cache = cache(entries);
            assert_eq!(cache.truncate_from_start(Offset(*start)), *left != entries, "from {start}");
            assert_eq!(plain(&cache), *left, "from {start}");
        }
    }

    #[test]
    fn an_offset_belongs_to_the_epoch_before_or_at_it() {
        let cache = cache(&[(2, 10), (4, 20)]);
        for (offset, epoch) in [(9, None), (10, Some(2)), (19, Some(2)), (20, Some(4)), (900, Some(4))] {
            assert_eq!(cache.epoch_for_offset(Offset(offset)), epoch.map(LeaderEpoch), "offset {offset}");
        }
    }

    #[test]
    fn the_file_is_kafkas_text_and_reads_back() {
        let mut disk = MemoryStorage::default();
        let written = cache(&[(0, 0), (3, 17)]);
        written.write("leader-epoch-checkpoint", &mut disk).unwrap();
        assert_eq!(disk.content("leader-epoch-checkpoint").unwrap(), "0\n2\n0 0\n3 17\n");
        assert_eq!(LeaderEpochFileCache::read("leader-epoch-checkpoint", &mut disk).unwrap(), written);
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in "([0-9 -]{0,6}\n){0,6}") {
            let mut disk = MemoryStorage::default();
            disk.put("e", Bytes::from(text));
            if let Ok(cache) = LeaderEpochFileCache::read("e", &mut disk) {
                let grow = cache.entries().is_sorted_by(|a, b| a.epoch < b.epoch && a.start_offset < b.start_offset);
                prop_assert!(grow);
            }
        }

        #[test]
        fn entries_always_grow(assigned in proptest::collection::vec((-1..6, 0..20i64), 0..12)) {
            let cache = cache(&assigned);
            prop_assert!(cache.entries().is_sorted_by(|a, b| a.epoch < b.epoch && a.start_offset < b.start_offset));
        }
    }
}

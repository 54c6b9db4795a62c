//! One file of batches with its indexes.
//!
//! ```text
//! orders-0/00000000000000368769.log        the batches, one after the other
//! orders-0/00000000000000368769.index      offset → position, sparse
//! orders-0/00000000000000368769.timeindex  timestamp → offset, sparse
//! orders-0/00000000000000368769.txnindex   aborted transactions; only where there are some
//! ```
//!
//! The name is the offset of the first record that the file may hold (the base offset).
//!
//! Kafka: `LogSegment`.
//! Reads do not search the sparse index and then the file: the position of every batch is kept in memory (8 bytes a
//! batch), so that a read costs one look into the disk. The indexes are written, loaded and rebuilt as Kafka's are, and
//! searches by timestamp use them; so do reads where an index is known not to fit its log.
//! Not modelled: times of files (a segment counts as modified when it was opened or last written to).

use std::io;

use bytes::Bytes;

use super::batch_scanner::{BatchScanner, Scanned};
use super::offset_index::OffsetIndex;
use super::time_index::TimeIndex;
use super::transaction_index::TransactionIndex;
use super::validator::Analysis;
use crate::config::LogConfig;
use crate::record::RecordBatch;
use crate::storage::{FileId, OpenMode, Storage};
use crate::types::{Duration, LeaderEpoch, Offset, Timestamp};

mod indexes;

pub(super) use indexes::Indexes;

/// The endings of a segment's files.
pub(super) const LOG_SUFFIX: &str = ".log";
pub(super) const INDEX_SUFFIX: &str = ".index";
pub(super) const TIME_INDEX_SUFFIX: &str = ".timeindex";
pub(super) const TXN_INDEX_SUFFIX: &str = ".txnindex";
const SUFFIXES: [&str; 4] = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX];

/// A segment.
#[derive(Clone, Debug)]
pub struct LogSegment {
    base_offset: Offset,
    log: FileId,
    size: u64,
    batches: Vec<BatchPosition>,
    offset_index: OffsetIndex,
    time_index: TimeIndex,
    txn_index: TransactionIndex,
    /// The transaction index cannot be right.
    txn_index_is_wrong: bool,
    bytes_since_last_index_entry: u64,
    /// The largest timestamp, and the last offset of the first batch that has it.
    max_timestamp: (Timestamp, Offset),
    /// The timestamp of the first append, from which the age of the segment counts.
    rolling_timestamp: Option<Timestamp>,
    /// When it was created or opened, by the wall clock: the age counts from it where batches have no timestamp.
    created: Timestamp,
    /// When it was written to last, by the wall clock.
    modified: Timestamp,
    /// It rolls so much earlier than its age demands.
    roll_jitter: Duration,
    /// Its indexes do not fit its batches, and nobody has looked.
    misleads: bool,
    unsynced: bool,
}

/// A batch in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BatchPosition {
    /// Its last offset, relative to the segment's base.
    last: u32,
    position: u32,
}

/// The path of one of a segment's files.
pub(super) fn path(directory: &str, base_offset: Offset, suffix: &str) -> String {
    format!("{directory}/{:020}{suffix}", base_offset.0)
}

impl LogSegment {
    /// Opens the files of a segment; they are created if absent. Its batches are not known yet: see
    /// [`LogSegment::scanner`] and [`LogSegment::index`].
    pub(super) fn open(
        directory: &str,
        base_offset: Offset,
        now: Timestamp,
        storage: &mut dyn Storage,
    ) -> io::Result<(LogSegment, Indexes)> {
        LogSegment::open_as(directory, base_offset, "", now, storage)
    }

    fn open_as(
        directory: &str,
        base_offset: Offset,
        suffix: &str,
        now: Timestamp,
        storage: &mut dyn Storage,
    ) -> io::Result<(LogSegment, Indexes)> {
        let name = |ending: &str| format!("{}{suffix}", path(directory, base_offset, ending));
        let (index_path, time_index_path) = (name(INDEX_SUFFIX), name(TIME_INDEX_SUFFIX));
        let there = storage.exists(&index_path) && storage.exists(&time_index_path);
        let log = storage.open(&name(LOG_SUFFIX), OpenMode::Create)?;
        let size = storage.len(log)?;
        if size > i32::MAX as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a segment of {size} bytes in {directory}"),
            ));
        }
        let (offset_index, offsets_sane) = OffsetIndex::open(&index_path, base_offset, storage)?;
        let (time_index, times_sane) = TimeIndex::open(&time_index_path, base_offset, storage)?;
        let (txn_index, txns_sane) = TransactionIndex::open(&name(TXN_INDEX_SUFFIX), base_offset, storage)?;
        let segment = LogSegment {
            base_offset,
            log,
            size,
            batches: Vec::new(),
            offset_index,
            time_index,
            txn_index,
            txn_index_is_wrong: !txns_sane,
            bytes_since_last_index_entry: 0,
            max_timestamp: (Timestamp::NONE, base_offset),
            rolling_timestamp: None,
            created: now,
            modified: now,
            roll_jitter: Duration::ZERO,
            misleads: false,
            unsynced: true,
        };
        let indexes = match (there, offsets_sane && times_sane) {
            (true, true) => Indexes::Sane,
            (true, false) => Indexes::Corrupt,
            (false, _) => Indexes::Missing,
        };
        Ok((segment, indexes))
    }

    /// Creates the files of a segment under names with another ending; what is there is emptied.
    pub(super) fn create(
        directory: &str,
        base_offset: Offset,
        suffix: &str,
        now: Timestamp,
        storage: &mut dyn Storage,
    ) -> io::Result<LogSegment> {
        for ending in SUFFIXES {
            let name = path(directory, base_offset, &format!("{ending}{suffix}"));
            if ending != TXN_INDEX_SUFFIX || storage.exists(&name) {
                let file = storage.open(&name, OpenMode::Truncate)?;
                storage.close(file);
            }
        }
        LogSegment::open_as(directory, base_offset, suffix, now, storage).map(|(segment, _)| segment)
    }

    /// Renames the files of a segment from one ending to another; the segment stays as it is.
    pub(super) fn rename(
        directory: &str,
        base_offset: Offset,
        from: &str,
        to: &str,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        for ending in SUFFIXES {
            let name = path(directory, base_offset, ending);
            let before = format!("{name}{from}");
            if ending != TXN_INDEX_SUFFIX || storage.exists(&before) {
                storage.rename(&before, &format!("{name}{to}"))?;
            }
        }
        Ok(())
    }

    /// The first offset that it may hold.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The bytes of its batches.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The offset after its last record.
    pub fn next_offset(&self) -> Offset {
        self.batches.last().map_or(self.base_offset, |last| self.base_offset.plus(i64::from(last.last) + 1))
    }

    /// The index from offsets to positions.
    pub fn offset_index(&self) -> &OffsetIndex {
        &self.offset_index
    }

    /// The index from timestamps to offsets.
    pub fn time_index(&self) -> &TimeIndex {
        &self.time_index
    }

    /// The largest timestamp of its records; -1 if they have none.
    pub fn max_timestamp(&self) -> Timestamp {
        self.max_timestamp.0
    }

    /// The largest timestamp of its records; without any, when it was written to last.
    pub fn largest_timestamp(&self) -> Timestamp {
        if self.max_timestamp.0 >= Timestamp(0) { self.max_timestamp.0 } else { self.modified }
    }

    /// The largest timestamp of its first append; none if it has none.
    pub(super) fn first_timestamp(&self) -> Option<Timestamp> {
        self.rolling_timestamp.filter(|first| *first > Timestamp(0))
    }

    /// When it was written to last.
    pub(super) fn modified(&self) -> Timestamp {
        self.modified
    }

    /// A copy is as old as the original.
    pub(super) fn set_modified(&mut self, modified: Timestamp) {
        self.modified = modified;
    }

    /// The bytes of its indexes.
    pub(super) fn index_sizes(&self) -> (u64, u64) {
        (self.offset_index.size_in_bytes(), self.time_index.size_in_bytes())
    }

    /// It is to roll so much earlier than its age demands.
    pub(super) fn set_roll_jitter(&mut self, jitter: Duration) {
        self.roll_jitter = jitter;
    }

    /// Whether a record at `offset` can be in this file: offsets are stored relative to the base, in 31 bits.
    pub(super) fn can_hold(&self, offset: Offset) -> bool {
        (0..=i64::from(i32::MAX)).contains(&offset.0.saturating_sub(self.base_offset.0))
    }

    /// Whether `set` must go into a new segment.
    pub(super) fn should_roll(&self, set: &Analysis, config: &LogConfig, now: Timestamp) -> bool {
        let waited = match self.rolling_timestamp {
            Some(first) if first >= Timestamp(0) => set.max_timestamp.0.saturating_sub(first.0),
            Some(_) | None => now.0.saturating_sub(self.created.0),
        };
        let age_max = Duration(config.segment_age_max().as_nanos().saturating_sub(self.roll_jitter.as_nanos()));
        let old = u64::try_from(waited).is_ok_and(|waited| waited > age_max.as_millis());
        self.size + set.valid_bytes as u64 > config.segment_bytes
            || (self.size > 0 && old)
            || self.offset_index.is_full(config.segment_index_bytes)
            || self.time_index.is_full(config.segment_index_bytes)
            || !self.can_hold(set.last_offset)
    }

    /// Appends whole batches whose offsets it can hold; `bytes` are theirs, one behind the other.
    pub(super) fn append(
        &mut self,
        set: &Analysis,
        batches: &[RecordBatch],
        bytes: Bytes,
        index_interval_bytes: u64,
        now: Timestamp,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        let position = self.size;
        let len = bytes.len() as u64;
        self.unsynced = true;
        self.modified = now;
        storage.append(self.log, bytes)?;
        if position == 0 {
            self.rolling_timestamp = Some(set.max_timestamp);
        }
        if set.max_timestamp > self.max_timestamp.0 {
            self.max_timestamp = (set.max_timestamp, set.offset_of_max_timestamp);
        }
        for batch in batches {
            self.remember(batch.last_offset(), self.size);
            self.size += batch.size_in_bytes() as u64;
        }
        // The counter is looked at before the new bytes are added: an entry points at what comes after the interval.
        if self.bytes_since_last_index_entry > index_interval_bytes {
            self.offset_index.append(set.last_offset, position as u32, storage)?;
            self.time_index.maybe_append(self.max_timestamp.0, self.max_timestamp.1, storage)?;
            self.bytes_since_last_index_entry = 0;
        }
        self.bytes_since_last_index_entry += len;
        Ok(())
    }

    /// At most `max_bytes` of the whole batches from the one that contains `from` up to `up_to` (exclusive). `None` if
    /// everything here lies below `from`.
    pub(super) fn read(
        &self,
        from: Offset,
        up_to: Offset,
        max_bytes: usize,
        min_one_batch: bool,
        storage: &mut dyn Storage,
    ) -> io::Result<Option<Bytes>> {
        let first = self.first_reaching(from).max(self.misled_to(from));
        let Some(start) = self.batches.get(first).map(|batch| u64::from(batch.position)) else { return Ok(None) };
        let limit = self.first_reaching(up_to).max(first);
        let mut end = self.position_of(limit);
        if end - start > max_bytes as u64 {
            let fits = self.batches.partition_point(|batch| u64::from(batch.position) <= start + max_bytes as u64) - 1;
            let fits = if min_one_batch { fits.max(first + 1) } else { fits };
            end = self.position_of(fits.min(limit));
        }
        if end <= start {
            return Ok(Some(Bytes::new()));
        }
        storage.read_at(self.log, start, (end - start) as usize).map(Some)
    }

    /// Every batch from the one that contains `from` on.
    pub(super) fn survey(
        &self,
        from: Offset,
        into: &mut Vec<RecordBatch>,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        let mut scanner = self.scanner(self.position_of(self.first_reaching(from)));
        loop {
            match scanner.next(storage)? {
                Scanned::Batch { batch, .. } => into.push(batch),
                Scanned::End => return Ok(()),
                Scanned::Torn | Scanned::Broken => return Err(self.damaged()),
            }
        }
    }

    /// The first record at `from` or later whose timestamp is at least `timestamp`.
    pub(super) fn offset_by_timestamp(
        &self,
        timestamp: Timestamp,
        from: Offset,
        storage: &mut dyn Storage,
    ) -> io::Result<Option<(Timestamp, Offset, LeaderEpoch)>> {
        let (_, floor) = self.time_index.lookup(timestamp);
        let (_, position) = self.offset_index.lookup(floor.max(from));
        let mut scanner = self.scanner(position);
        loop {
            let batch = match scanner.next(storage)? {
                Scanned::Batch { batch, .. } => batch,
                Scanned::End => return Ok(None),
                Scanned::Torn | Scanned::Broken => return Err(self.damaged()),
            };
            if batch.max_timestamp() < timestamp || batch.last_offset() < from {
                continue;
            }
            for record in batch.records() {
                let record = record.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                if record.timestamp >= timestamp && record.offset >= from {
                    return Ok(Some((record.timestamp, record.offset, batch.partition_leader_epoch())));
                }
            }
        }
    }

    /// Drops the batches that reach `to` or beyond.
    pub(super) fn truncate_to(&mut self, to: Offset, now: Timestamp, storage: &mut dyn Storage) -> io::Result<()> {
        let keep = self.first_reaching(to);
        let size = self.position_of(keep);
        self.offset_index.truncate_to(to, storage)?;
        self.time_index.truncate_to(to, storage)?;
        self.txn_index.truncate_to(to, storage)?;
        if size < self.size {
            self.cut_file(size, storage)?;
            self.batches.truncate(keep);
        }
        if self.size == 0 {
            self.created = now;
            self.rolling_timestamp = None;
        }
        self.bytes_since_last_index_entry = 0;
        self.find_max_timestamp(storage)
    }

    /// A walk over the file from a position on.
    pub(super) fn scanner(&self, position: u64) -> BatchScanner {
        BatchScanner::new(self.log, position, self.size)
    }

    /// Where the first batch begins that reaches `offset` or beyond.
    pub(super) fn position_reaching(&self, offset: Offset) -> u64 {
        self.position_of(self.first_reaching(offset))
    }

    /// The bytes at a position, fewer at the end of the file.
    pub(super) fn bytes_at(&self, position: u64, len: usize, storage: &mut dyn Storage) -> io::Result<Bytes> {
        storage.read_at(self.log, position, len)
    }

    /// Takes note of a batch that was found in the file.
    pub(super) fn note(&mut self, position: u64, batch: &RecordBatch) {
        self.remember(batch.last_offset(), position);
        self.rolling_timestamp.get_or_insert(batch.max_timestamp());
        self.note_timestamp(batch);
    }

    /// Cuts the file: what follows is torn or corrupt.
    pub(super) fn cut_file(&mut self, size: u64, storage: &mut dyn Storage) -> io::Result<()> {
        self.unsynced = true;
        storage.truncate(self.log, size)?;
        self.size = size;
        Ok(())
    }

    /// Makes the file and its indexes durable.
    pub(super) fn flush(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        if self.unsynced {
            storage.sync(self.log)?;
            self.unsynced = false;
        }
        self.offset_index.file().sync(storage)?;
        self.time_index.file().sync(storage)?;
        self.txn_index.sync(storage)
    }

    /// Forgets the handles.
    pub(super) fn close(mut self, storage: &mut dyn Storage) {
        storage.close(self.log);
        self.offset_index.file().close(storage);
        self.time_index.file().close(storage);
        self.txn_index.close(storage);
    }

    /// Forgets the handles; says which files it has.
    pub(super) fn into_paths(self, directory: &str, storage: &mut dyn Storage) -> Vec<String> {
        let base_offset = self.base_offset;
        self.close(storage);
        SUFFIXES
            .into_iter()
            .map(|suffix| path(directory, base_offset, suffix))
            .filter(|path| storage.exists(path))
            .collect()
    }

    /// The number of the first batch that reaches `offset` or beyond.
    fn first_reaching(&self, offset: Offset) -> usize {
        let relative = offset.0.saturating_sub(self.base_offset.0);
        // Nearly every read is at the end of the log: look there first.
        if self.batches.last().is_none_or(|last| i64::from(last.last) < relative) {
            return self.batches.len();
        }
        self.batches.partition_point(|batch| i64::from(batch.last) < relative)
    }

    /// Where a batch begins, or the file ends.
    fn position_of(&self, batch: usize) -> u64 {
        self.batches.get(batch).map_or(self.size, |batch| u64::from(batch.position))
    }

    fn remember(&mut self, last_offset: Offset, position: u64) {
        let last = (last_offset.0 - self.base_offset.0) as u32;
        self.batches.push(BatchPosition { last, position: position as u32 });
    }

    /// After a truncation: the largest timestamp that is left.
    fn find_max_timestamp(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        self.max_timestamp = self.time_index.lookup(Timestamp(i64::MAX));
        let (_, position) = self.offset_index.lookup(self.max_timestamp.1);
        let mut scanner = self.scanner(position);
        while let Scanned::Batch { batch, .. } = scanner.next(storage)? {
            self.note_timestamp(&batch);
        }
        Ok(())
    }

    fn note_timestamp(&mut self, batch: &RecordBatch) {
        if batch.max_timestamp() > self.max_timestamp.0 {
            self.max_timestamp = (batch.max_timestamp(), batch.last_offset());
        }
    }

    /// The error for a file whose batches were whole once and are not any more.
    pub(super) fn damaged(&self) -> io::Error {
        let name = format!("{:020}{LOG_SUFFIX}", self.base_offset.0);
        io::Error::new(io::ErrorKind::InvalidData, format!("{name} is damaged below its end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{Batch, Bench, config, parse};
    use crate::storage::MemoryStorage;

    #[test]
    fn the_index_has_kafkas_bytes() {
        // Base 368769, index.interval.bytes 496, batches of 139, 200, 158 and 333 bytes. Before the fourth one 497
        // bytes have passed, so it gets the only entry: relative offset 3 at position 497.
        let mut disk = MemoryStorage::default();
        disk.create_dir("orders-0").unwrap();
        let (mut segment, _) = LogSegment::open("orders-0", Offset(368_769), Timestamp(0), &mut disk).unwrap();
        for (n, size) in [139, 200, 158, 333].into_iter().enumerate() {
            let sent = parse(&Batch::of_size(size));
            let bytes = crate::record::with_offset_and_epoch(&sent, Offset(368_769 + n as i64), LeaderEpoch(0));
            let batch = parse(&bytes);
            segment.append(&Analysis::of(&batch), &[batch], bytes, 496, Timestamp(0), &mut disk).unwrap();
        }
        let index = disk.content("orders-0/00000000000000368769.index").unwrap();
        assert_eq!(index, [0, 0, 0, 3, 0, 0, 1, 0xF1][..]);
        assert_eq!(segment.offset_index().lookup(Offset(368_775)), (Offset(368_772), 497));
        assert_eq!(segment.offset_index().lookup(Offset(368_770)), (Offset(368_769), 0));
        assert_eq!(disk.content("orders-0/00000000000000368769.log").unwrap().len(), 139 + 200 + 158 + 333);
    }

    #[test]
    fn a_segment_is_rolled_for_size_age_full_indexes_and_far_offsets() {
        let mut bench = Bench::new();
        bench.disk.create_dir("orders-0").unwrap();
        let (mut segment, _) = LogSegment::open("orders-0", Offset(10), Timestamp(0), &mut bench.disk).unwrap();
        let set = |bytes: &Bytes| Analysis::of(&parse(bytes));
        let first = Batch::of(1).at(10, 0).timestamp(1_000).build();
        let len = first.len() as u64;
        let old = Batch::of(1).at(11, 0).timestamp(1_000 + 61_000).build();
        let aged = LogConfig { segment_ms: crate::types::Duration::from_secs(60), ..config() };
        // An empty segment is not rolled for its age.
        assert!(!segment.should_roll(&set(&old), &aged, Timestamp(i64::MAX)));
        segment.append(&set(&first), &[parse(&first)], first, 0, Timestamp(0), &mut bench.disk).unwrap();

        let next = Batch::of(1).at(11, 0).timestamp(1_001).build();
        let far = Batch::of(1).at(10 + (1 << 31), 0).build();
        let table = [
            ("room enough", &next, config(), false),
            ("room to the byte", &next, LogConfig { segment_bytes: 2 * len, ..config() }, false),
            ("a byte too few", &next, LogConfig { segment_bytes: 2 * len - 1, ..config() }, true),
            ("young enough", &next, aged.clone(), false),
            ("too old by the batch's timestamp", &old, aged, true),
            ("no room in the index", &next, LogConfig { segment_index_bytes: 7, ..config() }, true),
            ("an offset too far from the base", &far, config(), true),
        ];
        for (what, bytes, config, expected) in table {
            assert_eq!(segment.should_roll(&set(bytes), &config, Timestamp(0)), expected, "{what}");
        }
    }

    #[test]
    fn a_read_returns_whole_batches_within_its_limits() {
        let mut disk = MemoryStorage::default();
        disk.create_dir("orders-0").unwrap();
        let (mut segment, _) = LogSegment::open("orders-0", Offset(0), Timestamp(0), &mut disk).unwrap();
        for n in 0..4 {
            let bytes = Batch::of(2).at(n * 2, 0).build();
            let batch = parse(&bytes);
            segment.append(&Analysis::of(&batch), &[batch], bytes, 4096, Timestamp(0), &mut disk).unwrap();
        }
        let len = Batch::of(2).build().len();
        // (from, up to, max bytes, min one, batches read)
        let table = [
            (0, 8, usize::MAX, false, Some(4)),
            (3, 8, usize::MAX, false, Some(3)),
            (3, 6, usize::MAX, false, Some(2)),
            (3, 5, usize::MAX, false, Some(1)),
            (4, 4, usize::MAX, true, Some(0)),
            (0, 8, 2 * len, false, Some(2)),
            (0, 8, 2 * len - 1, false, Some(1)),
            (0, 8, len - 1, false, Some(0)),
            (0, 8, 0, true, Some(1)),
            (2, 3, 0, true, Some(0)),
            (8, 9, usize::MAX, true, None),
        ];
        for (from, up_to, max, min_one, expected) in table {
            let max = max.min(1 << 20);
            let read = segment.read(Offset(from), Offset(up_to), max, min_one, &mut disk).unwrap();
            assert_eq!(read.map(|bytes| bytes.len() / len), expected, "{from}..{up_to} max {max} min one {min_one}");
        }
    }
}

//! Compaction of one log: of every key the last record is kept.
//!
//! ```text
//!  log start        first dirty             first uncleanable      log end
//!      │   clean        │        dirty             │                  │
//!      ├────────────────┼──────────────────────────┼──────────────────┤
//!      │ one record a key, gaps in between         │ never touched: the active segment, what is not committed,
//!                                                  │ what is younger than min.compaction.lag.ms
//! ```
//!
//! 1. The keys of the dirty part are read into a map: key → last offset.
//! 2. The segments from the beginning on are copied, several small ones into one. A record stays if the map does not
//!    know a later one of its key. A tombstone stays for `delete.retention.ms` more, so that who reads the log from its
//!    beginning has the time to see it.
//! 3. The copy takes the place of the originals.
//!
//! What is on the disk at each step, and what a start makes of it:
//!
//! ```text
//! N.log.cleaned     being written                             removed
//! N.log.swap        complete, the originals still there       takes their place, they are removed
//! M.log.deleted     the originals go                          removed
//! N.log             renamed from .swap                        as it is
//! ```
//!
//! Until KIP-534 a tombstone went when its segment had been modified `delete.retention.ms` before the segment in front of the
//! dirty part, which has nothing to do with when a reader could have seen it:
//!
//! 1. Small segments are joined, and the joined one is as young as its youngest record. In a busy log it is always young: the
//!    tombstone stays for ever.
//! 2. A log was quiet for long and then is not. The cleaner removes the old value in one round and its tombstone in the next;
//!    who had just read the value never hears that it was deleted.
//!
//! Kafka: `Cleaner.doClean`, `groupSegmentsBySize`, `cleanInto`, `LocalLog.replaceSegments`; KIP-354, KIP-534.
//! Not modelled: the size of the map (it holds all keys of the dirty part), aborted transactions and the removal of their
//! markers (control batches and entries of transaction indexes stay), splitting of overflowed segments.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;

use super::batch_scanner::Scanned;
use super::producer_snapshot::snapshot_path;
use super::segment::LogSegment;
use super::unified_log::UnifiedLog;
use super::validator::Analysis;
use crate::fact::Fact;
use crate::machine::Context;
use crate::record::{BatchError, Record, RecordBatch, WhenEmpty, filter};
use crate::types::{Offset, Timestamp};

/// The endings of files that are being written, and of those that are to take the place of others.
pub(super) const CLEANED_SUFFIX: &str = ".cleaned";
pub(super) const SWAP_SUFFIX: &str = ".swap";

/// So many bytes of the original are copied at once (`log.cleaner.io.buffer.size` for one thread, halved); each such piece
/// is one append, and gets one index entry.
const COPY_BYTES: usize = 256 * 1024;

/// What there is to be cleaned in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogToClean {
    /// The first offset that was not cleaned yet.
    pub first_dirty: Offset,
    /// The base offset of the first segment that must not be touched.
    pub first_uncleanable: Offset,
    pub clean_bytes: u64,
    pub cleanable_bytes: u64,
    /// Records have waited for longer than `max.compaction.lag.ms`.
    pub overdue: bool,
}

impl LogToClean {
    /// Whether it is dirty enough.
    pub fn is_due(&self, log: &UnifiedLog) -> bool {
        let limit = log.config.min_cleanable_dirty_ratio;
        let (dirty, all) = (u128::from(self.cleanable_bytes), u128::from(self.clean_bytes + self.cleanable_bytes));
        let dirty_enough = dirty * u128::from(limit.denominator) > all * u128::from(limit.numerator);
        (self.overdue && self.cleanable_bytes > 0) || dirty_enough
    }

    /// Whether it is dirtier than another one.
    pub fn is_dirtier_than(&self, other: &LogToClean) -> bool {
        let all = |log: &LogToClean| u128::from(log.clean_bytes + log.cleanable_bytes);
        u128::from(self.cleanable_bytes) * all(other) > u128::from(other.cleanable_bytes) * all(self)
    }
}

/// How much a segment's tombstones may be let go.
#[derive(Clone, Copy, Debug)]
struct Tombstones {
    now: Timestamp,
    /// What a batch that is seen for the first time is given; none without KIP-534.
    new_horizon: Option<Timestamp>,
    /// Without KIP-534: whether the segment is too young to lose any.
    segment_is_young: bool,
}

impl Tombstones {
    fn may_go(&self, batch: &RecordBatch) -> bool {
        match self.new_horizon {
            Some(_) => batch.delete_horizon().is_some_and(|horizon| horizon <= self.now),
            None => !self.segment_is_young,
        }
    }
}

impl UnifiedLog {
    /// What there is to be cleaned, `checkpoint` being where the last cleaning ended.
    pub(super) fn to_clean(&self, checkpoint: Option<Offset>, now: Timestamp) -> LogToClean {
        let first_dirty =
            checkpoint.filter(|at| (self.log_start..=self.log_end).contains(at)).unwrap_or(self.log_start);
        let closed = &self.segments[..self.segments.len() - 1];
        let dirty = &closed[closed.partition_point(|segment| segment.base_offset() <= first_dirty).saturating_sub(1)..];
        let lag = self.config.min_compaction_lag_ms.as_millis();
        let young = |segment: &&LogSegment| {
            u64::try_from(now.0.saturating_sub(segment.largest_timestamp().0)).is_ok_and(|age| age < lag)
        };
        let uncleanable = [self.high_watermark, self.active().base_offset()]
            .into_iter()
            .chain(dirty.iter().find(young).map(LogSegment::base_offset))
            .min()
            .unwrap_or(self.log_start)
            .max(first_dirty);
        let active = self.active().base_offset();
        let whole = closed.iter().rfind(|segment| segment.base_offset() <= uncleanable);
        let first_uncleanable =
            if uncleanable >= active { active } else { whole.map_or(uncleanable, LogSegment::base_offset) };
        let sum = |from: Offset, to: Offset| -> u64 {
            let within = |segment: &&LogSegment| segment.base_offset() < to && segment.next_offset() > from;
            closed.iter().filter(within).map(LogSegment::size).sum()
        };
        let clean = closed.iter().filter(|segment| segment.base_offset() < first_dirty);
        let max_lag = self.config.max_compaction_lag_ms.as_millis();
        let waited = dirty.iter().filter_map(LogSegment::first_timestamp).min();
        LogToClean {
            first_dirty,
            first_uncleanable,
            clean_bytes: clean.map(LogSegment::size).sum(),
            cleanable_bytes: sum(first_dirty.min(first_uncleanable), first_uncleanable),
            overdue: waited
                .is_some_and(|since| u64::try_from(now.0.saturating_sub(since.0)).is_ok_and(|waited| waited > max_lag)),
        }
    }

    /// Cleans a log, says `Cleaned`, and returns where the dirty part begins now. `InvalidData` if a batch cannot be read:
    /// then nothing has changed but for leftovers, which the next start removes.
    pub(super) fn clean(&mut self, todo: LogToClean, ctx: &mut Context<'_>) -> io::Result<Offset> {
        let last_of_keys = self.last_of_keys(todo, ctx)?;
        let end = todo.first_uncleanable;
        let now = ctx.wall_clock();
        let clean_part = self.segments.iter().rfind(|segment| segment.base_offset() < todo.first_dirty);
        let retention = i64::try_from(self.config.delete_retention_ms.as_millis()).unwrap_or(i64::MAX);
        let old_horizon = clean_part.map_or(0, |segment| segment.modified().0.saturating_sub(retention));
        let new_horizon = self.toggles.delete_horizon.then_some(Timestamp(now.0.saturating_add(retention)));
        let (mut before, mut after) = (0, 0);
        let mut at = 0;
        // The active segment begins at `end` or beyond.
        while self.segments[at].base_offset() < end {
            let count = self.group_from(at, end);
            let (cleaned, counts) = self.copy(at, count, (old_horizon, new_horizon), &last_of_keys, ctx)?;
            (before, after) = (before + counts.0, after + counts.1);
            self.replace(at, count, cleaned, ctx)?;
            at += 1;
        }
        ctx.fact(Fact::Cleaned {
            partition: self.partition.clone(),
            from: todo.first_dirty,
            to: end,
            records_before: before,
            records_after: after,
        });
        Ok(end)
    }

    /// The last offset of each key in the dirty part.
    fn last_of_keys(&self, todo: LogToClean, ctx: &mut Context<'_>) -> io::Result<BTreeMap<Bytes, Offset>> {
        let mut last = BTreeMap::new();
        let dirty = |segment: &&LogSegment| {
            segment.base_offset() < todo.first_uncleanable && segment.next_offset() > todo.first_dirty
        };
        for segment in self.segments.iter().filter(dirty) {
            let mut scanner = segment.scanner(0);
            loop {
                let batch = match scanner.next(ctx.storage())? {
                    Scanned::Batch { batch, .. } => batch,
                    Scanned::End => break,
                    Scanned::Torn | Scanned::Broken => return Err(segment.damaged()),
                };
                if batch.is_control() || batch.last_offset() < todo.first_dirty {
                    continue;
                }
                for record in batch.records() {
                    let record = record.map_err(invalid)?;
                    if let Some(key) = record.key.filter(|_| record.offset >= todo.first_dirty) {
                        // A copy: the key must not hold the whole batch in memory.
                        last.insert(Bytes::copy_from_slice(&key), record.offset);
                    }
                }
            }
        }
        Ok(last)
    }

    /// How many segments from `first` on fit into one.
    fn group_from(&self, first: usize, end: Offset) -> usize {
        let base = self.segments[first].base_offset();
        let (mut size, mut index, mut times) = (0, 0, 0);
        let fits = |segment: &&LogSegment| {
            let (entries, time_entries) = segment.index_sizes();
            size += segment.size();
            index += entries;
            times += time_entries;
            segment.base_offset() < end
                && size <= self.config.segment_bytes
                && index <= self.config.segment_index_bytes
                && times <= self.config.segment_index_bytes
                && (segment.size() == 0 || segment.next_offset().0 - base.0 <= i64::from(i32::MAX))
        };
        self.segments[first..].iter().take_while(fits).count().max(1)
    }

    /// Copies what is to be kept of `count` segments into a new one; also counts records before and after.
    fn copy(
        &self,
        first: usize,
        count: usize,
        (old_horizon, new_horizon): (i64, Option<Timestamp>),
        last_of_keys: &BTreeMap<Bytes, Offset>,
        ctx: &mut Context<'_>,
    ) -> io::Result<(LogSegment, (u64, u64))> {
        let originals = &self.segments[first..first + count];
        let now = ctx.wall_clock();
        let base = originals[0].base_offset();
        let mut cleaned = LogSegment::create(&self.directory, base, CLEANED_SUFFIX, now, ctx.storage())?;
        let mut counts = (0, 0);
        for original in originals {
            let segment_is_young = original.modified().0 > old_horizon;
            let tombstones = Tombstones { now, new_horizon, segment_is_young };
            let mut scanner = original.scanner(0);
            let mut piece = Piece::default();
            loop {
                let batch = match scanner.next(ctx.storage())? {
                    Scanned::Batch { batch, .. } => batch,
                    Scanned::End => break,
                    Scanned::Torn | Scanned::Broken => return Err(original.damaged()),
                };
                if piece.read + batch.size_in_bytes() > COPY_BYTES {
                    self.append_piece(&mut cleaned, &mut piece, ctx)?;
                }
                piece.read += batch.size_in_bytes();
                let filtered = self.filter_batch(&batch, tombstones, last_of_keys).map_err(invalid)?;
                counts.0 += u64::from(filtered.records_before);
                counts.1 += u64::from(filtered.records_after);
                piece.kept.extend(filtered.batch);
            }
            self.append_piece(&mut cleaned, &mut piece, ctx)?;
            for aborted in original.transaction_index().entries() {
                cleaned.append_aborted(*aborted, &self.directory, CLEANED_SUFFIX, ctx.storage())?;
            }
        }
        cleaned.close_time_index(ctx.storage())?;
        cleaned.flush(ctx.storage())?;
        cleaned.set_modified(originals[count - 1].modified());
        Ok((cleaned, counts))
    }

    fn filter_batch(
        &self,
        batch: &RecordBatch,
        tombstones: Tombstones,
        last_of_keys: &BTreeMap<Bytes, Offset>,
    ) -> Result<filter::Filtered, BatchError> {
        let is_last_of_producer = self
            .producers
            .entry(batch.producer_id())
            .is_some_and(|entry| entry.batches().last().is_some_and(|last| last.last_offset == batch.last_offset()));
        let when_empty =
            if batch.has_producer_id() && is_last_of_producer { WhenEmpty::KeepHeader } else { WhenEmpty::Drop };
        let may_go = tombstones.may_go(batch);
        let keep = |record: &Record| {
            if batch.is_control() {
                return true;
            }
            // A record without key cannot be compacted; there is none but from before the policy.
            let Some(key) = &record.key else { return false };
            let is_last = last_of_keys.get(key).is_none_or(|last| record.offset >= *last);
            is_last && (record.value.is_some() || !may_go)
        };
        filter::filter(batch, when_empty, tombstones.new_horizon, keep)
    }

    fn append_piece(&self, cleaned: &mut LogSegment, piece: &mut Piece, ctx: &mut Context<'_>) -> io::Result<()> {
        let Piece { kept, .. } = std::mem::take(piece);
        let parsed: Vec<RecordBatch> =
            kept.iter().map(|bytes| RecordBatch::parse(bytes, 0).map_err(invalid)).collect::<Result<_, _>>()?;
        let Some(set) = Analysis::of_all(&parsed) else { return Ok(()) };
        let now = ctx.wall_clock();
        cleaned.append(&set, &parsed, kept.concat().into(), self.config.index_interval_bytes, now, ctx.storage())
    }

    /// Puts the copy in the place of the originals. A crash between any two of these steps leaves what the next start can
    /// tell apart.
    fn replace(&mut self, first: usize, count: usize, cleaned: LogSegment, ctx: &mut Context<'_>) -> io::Result<()> {
        let base = cleaned.base_offset();
        let directory = self.directory.clone();
        let swapped = LogSegment::rename(&directory, base, CLEANED_SUFFIX, SWAP_SUFFIX, ctx.storage())
            .and_then(|()| ctx.storage().sync_dir(&directory));
        self.checked(swapped, "cleaning", ctx)?;
        let originals: Vec<LogSegment> = self.segments.splice(first..first + count, [cleaned]).collect();
        let gone: Vec<Offset> = originals.iter().map(LogSegment::base_offset).filter(|other| *other != base).collect();
        let marked = self.mark_deleted(originals, ctx);
        self.checked(marked, "cleaning", ctx)?;
        let renamed = LogSegment::rename(&directory, base, SWAP_SUFFIX, "", ctx.storage())
            .and_then(|()| ctx.storage().sync_dir(&directory));
        self.checked(renamed, "cleaning", ctx)?;
        for offset in gone {
            self.mark_snapshot_deleted(offset, ctx)?;
        }
        Ok(())
    }

    /// The snapshot of a segment that is gone goes as well.
    pub(super) fn mark_snapshot_deleted(&mut self, offset: Offset, ctx: &mut Context<'_>) -> io::Result<()> {
        let path = snapshot_path(&self.directory, offset);
        if self.producers.forget_snapshot(offset) && ctx.storage().exists(&path) {
            let marked = self.mark_file_deleted(&path, ctx);
            self.checked(marked, "deleting a snapshot of", ctx)?;
        }
        Ok(())
    }
}

/// What is copied at once.
#[derive(Debug, Default)]
struct Piece {
    /// Bytes of the original.
    read: usize,
    kept: Vec<Bytes>,
}

fn invalid(error: BatchError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

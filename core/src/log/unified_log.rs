//! The log of one replica: its segments, and the four offsets that everything turns on.
//!
//! ```text
//!  log start            recovery point       high watermark          log end (LEO)
//!      │ on the device        │  in the page cache  │                      │
//!      ├──────────────────────┴──────────┬──────────┴──────────┬───────────┤
//!      │ segment 0                       │ segment 1           │ active    │
//! ```
//!
//! * Below the recovery point everything has been synced; after an unclean stop what lies above is checked batch by
//!   batch. It moves when the log is flushed, and by default nothing flushes but the roll of a segment.
//! * Below the high watermark everything is committed. Who commits it is the replication layer's business.
//! * Below the last stable offset it is also decided: see `transactions.rs`.
//!
//! Kafka: `UnifiedLog`, `LocalLog`, `LogSegments`.
//! Invariants: log start ≤ high watermark ≤ log end; recovery point ≤ log end; segments lie in order of their base
//! offsets and the last one is active.
//! Not modelled: remote storage.
//!
//! An I/O error takes the log offline until the process starts again, as it does with Kafka's log directory: what is in
//! the file is no longer known.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::leader_epoch_cache::LeaderEpochFileCache;
use super::producer_state::ProducerStateManager;
use super::segment::LogSegment;
use crate::config::{LogConfig, Toggles};
use crate::fact::{Fact, ForgottenReason};
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::record::RecordBatch;
use crate::storage::{OpenMode, Storage};
use crate::types::{Duration, Instant, LeaderEpoch, Offset, Timestamp, TopicPartition};

/// The log of one replica.
///
/// Made by [`UnifiedLog::load`]; a leader calls [`append_as_leader`](UnifiedLog::append_as_leader), a follower
/// [`append_as_follower`](UnifiedLog::append_as_follower). What it does it says as facts.
#[derive(Clone, Debug)]
pub struct UnifiedLog {
    pub(super) partition: TopicPartition,
    pub(super) directory: Arc<str>,
    pub(super) config: LogConfig,
    pub(super) toggles: Toggles,
    /// In order of base offset; never empty, the last one is active.
    pub(super) segments: Vec<LogSegment>,
    pub(super) leader_epochs: LeaderEpochFileCache,
    pub(super) producers: ProducerStateManager,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) high_watermark: Offset,
    pub(super) recovery_point: Offset,
    pub(super) last_flush: Instant,
    /// Since when the segments below the active one wait to be flushed, if they do.
    pub(super) rolled_at: Option<Instant>,
    /// Snapshots of the producer state that are not synced yet.
    pub(super) unsynced_snapshots: Vec<String>,
    pub(super) offline: bool,
    /// Files that are to be removed, and when; the next one first.
    pub(super) deleted: Vec<(Instant, String)>,
}

impl UnifiedLog {
    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Where it lies in the storage.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The configuration.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Takes another configuration from now on.
    pub fn update_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// The first offset there is.
    pub fn log_start_offset(&self) -> Offset {
        self.log_start
    }

    /// The offset that the next record gets (LEO).
    pub fn log_end_offset(&self) -> Offset {
        self.log_end
    }

    /// Below it everything is committed.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Below it everything is on the device.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// Whether an I/O error has put an end to it.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// The bytes of all segments.
    pub fn size_in_bytes(&self) -> u64 {
        self.segments.iter().map(LogSegment::size).sum()
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> &[LogSegment] {
        &self.segments
    }

    /// The epochs and where they began.
    pub fn leader_epochs(&self) -> &LeaderEpochFileCache {
        &self.leader_epochs
    }

    /// What is known of producers.
    pub fn producers(&self) -> &ProducerStateManager {
        &self.producers
    }

    /// Sets the high watermark, clamped to [log start, log end]; true if it changed.
    pub fn set_high_watermark(&mut self, to: Offset) -> bool {
        let to = to.clamp(self.log_start, self.log_end);
        let changed = to != self.high_watermark;
        self.high_watermark = to;
        self.producers.on_high_watermark(to);
        changed
    }

    /// The largest known epoch not above `epoch`, and where it ends (KIP-101, KIP-279).
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.leader_epochs.end_offset_for(epoch, self.log_end)
    }

    /// The epoch of the last batch, or of this leader if it has written none yet.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.leader_epochs.latest_epoch()
    }

    /// The epoch that covers `offset`.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.leader_epochs.epoch_for_offset(offset)
    }

    /// A leader's epoch begins at `start`: said when it becomes leader, and of every batch that brings a new epoch.
    pub fn assign_epoch_start_offset(
        &mut self,
        epoch: LeaderEpoch,
        start: Offset,
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        if !self.leader_epochs.assign(epoch, start) {
            return Ok(());
        }
        self.write_leader_epochs(ctx)
    }

    /// Whole batches from the one that contains `from`, those that end below `up_to`, at most `max_bytes`; with
    /// `min_one_batch` the first one even if it is larger. They come from one segment: there may be more.
    ///
    /// `OFFSET_OUT_OF_RANGE` outside of [log start, log end]; `KAFKA_STORAGE_ERROR` if the disk fails.
    pub fn read(
        &self,
        from: Offset,
        up_to: Offset,
        max_bytes: usize,
        min_one_batch: bool,
        ctx: &mut Context<'_>,
    ) -> Result<Bytes, ErrorCode> {
        if from < self.log_start || from > self.log_end {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        let up_to = up_to.min(self.log_end);
        if from >= up_to {
            return Ok(Bytes::new());
        }
        if self.offline {
            return Err(ErrorCode::KAFKA_STORAGE_ERROR);
        }
        for segment in &self.segments[self.segment_of(from)..] {
            match segment.read(from, up_to, max_bytes, min_one_batch, ctx.storage()) {
                Ok(Some(bytes)) => return Ok(bytes),
                // Everything in it lies below: the next segment begins behind a gap.
                Ok(None) => {}
                Err(error) => {
                    let what = format!("reading {} at offset {from}: {error}", self.partition);
                    ctx.fact(Fact::StorageFailed { what });
                    return Err(ErrorCode::KAFKA_STORAGE_ERROR);
                }
            }
        }
        Ok(Bytes::new())
    }

    /// All batches from the one that contains `from` on, for those who look at a log from outside: the survey at the
    /// end of a run, and tests.
    pub fn survey(&self, from: Offset, storage: &mut dyn Storage) -> io::Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for segment in &self.segments[self.segment_of(from)..] {
            segment.survey(from, &mut batches, storage)?;
        }
        Ok(batches)
    }

    /// The first record whose timestamp is at least `timestamp`, and the epoch of its batch.
    pub fn offset_for_timestamp(
        &self,
        timestamp: Timestamp,
        ctx: &mut Context<'_>,
    ) -> io::Result<Option<(Timestamp, Offset, LeaderEpoch)>> {
        match self.segments.iter().find(|segment| segment.max_timestamp() >= timestamp) {
            Some(segment) => segment.offset_by_timestamp(timestamp, self.log_start, ctx.storage()),
            None => Ok(None),
        }
    }

    /// The largest timestamp, the first record that has it, and the epoch of its batch.
    pub fn max_timestamp(&self, ctx: &mut Context<'_>) -> io::Result<Option<(Timestamp, Offset, LeaderEpoch)>> {
        let largest = self.segments.iter().map(LogSegment::max_timestamp).max().unwrap_or(Timestamp::NONE);
        if largest < Timestamp(0) { Ok(None) } else { self.offset_for_timestamp(largest, ctx) }
    }

    /// Makes everything durable.
    pub fn flush(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        self.flush_up_to(self.log_end, ctx)
    }

    /// When something is to be done in the background, if anything is: flush the segments which were rolled, remove files
    /// that were deleted.
    pub fn task_due(&self) -> Option<Instant> {
        self.rolled_at.into_iter().chain(self.deleted.first().map(|(at, _)| *at)).min()
    }

    /// Does it. Kafka's scheduler flushes as soon as it can, the append does not wait for it.
    pub fn run_tasks(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        if self.offline {
            (self.rolled_at, self.deleted) = (None, Vec::new());
            return Ok(());
        }
        if self.rolled_at.take().is_some() {
            let synced = self.sync_snapshots(ctx.storage());
            self.checked(synced, "flushing", ctx)?;
            self.flush_up_to(self.active().base_offset(), ctx)?;
        }
        self.remove_deleted_files(ctx)
    }

    /// Flushes if `flush.ms` has passed since the last flush; asked every `log.flush.scheduler.interval.ms`.
    pub fn maybe_flush_by_time(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        if ctx.now().since(self.last_flush) < self.config.flush_ms { Ok(()) } else { self.flush(ctx) }
    }

    /// Forgets producers that were quiet for `expiration` (`producer.id.expiration.ms`).
    pub fn remove_expired_producers(&mut self, expiration: Duration, ctx: &mut Context<'_>) {
        for producer_id in self.producers.remove_expired(ctx.wall_clock(), expiration) {
            let (partition, reason) = (self.partition.clone(), ForgottenReason::Silent);
            ctx.fact(Fact::ProducerExpired { partition, producer_id, reason });
        }
    }

    /// Makes everything durable and closes the files. There is nothing to be done with the log after that.
    pub fn close(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        self.check_online()?;
        let closed = self.close_segments(ctx.storage());
        self.checked(closed, "closing", ctx)?;
        self.recovery_point = self.log_end;
        self.offline = true;
        Ok(())
    }

    pub(super) fn active(&self) -> &LogSegment {
        self.segments.last().expect("a log that is open has an active segment")
    }

    pub(super) fn active_mut(&mut self) -> &mut LogSegment {
        self.segments.last_mut().expect("a log that is open has an active segment")
    }

    /// An I/O error takes the log offline and is said.
    pub(super) fn checked<T>(&mut self, result: io::Result<T>, what: &str, ctx: &mut Context<'_>) -> io::Result<T> {
        if let Err(error) = &result {
            self.offline = true;
            ctx.fact(Fact::StorageFailed { what: format!("{what} {}: {error}", self.partition) });
        }
        result
    }

    pub(super) fn check_online(&self) -> io::Result<()> {
        if self.offline { Err(io::Error::other(format!("the log of {} is offline", self.partition))) } else { Ok(()) }
    }

    pub(super) fn write_leader_epochs(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let written = self.leader_epochs.write(&epochs_path(&self.directory), ctx.storage());
        self.checked(written, "writing the leader epochs of", ctx)
    }

    /// Syncs the segments that hold [recovery point, `to`), and moves the recovery point.
    pub(super) fn flush_up_to(&mut self, to: Offset, ctx: &mut Context<'_>) -> io::Result<()> {
        if to <= self.recovery_point {
            return Ok(());
        }
        self.check_online()?;
        let synced = self.sync_segments(to, ctx.storage());
        self.checked(synced, "flushing", ctx)?;
        self.recovery_point = to;
        self.last_flush = ctx.now();
        Ok(())
    }

    fn sync_segments(&mut self, to: Offset, storage: &mut dyn Storage) -> io::Result<()> {
        let first = self.segment_of(self.recovery_point);
        let mut new_file = false;
        for segment in self.segments[first..].iter_mut().take_while(|segment| segment.base_offset() < to) {
            segment.flush(storage)?;
            new_file |= segment.base_offset() >= self.recovery_point;
        }
        // A new file's name must be durable as well.
        if new_file { storage.sync_dir(&self.directory) } else { Ok(()) }
    }

    /// A file that was removed in the meantime needs no sync.
    fn sync_snapshots(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        for path in std::mem::take(&mut self.unsynced_snapshots) {
            if storage.exists(&path) {
                let file = storage.open(&path, OpenMode::Existing)?;
                let synced = storage.sync(file);
                storage.close(file);
                synced?;
            }
        }
        Ok(())
    }

    fn close_segments(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        self.sync_snapshots(storage)?;
        self.producers.take_snapshot(&self.directory, true, storage)?;
        self.active_mut().close_time_index(storage)?;
        // The active segment too if it is empty: its file must be there at the next start.
        self.sync_segments(self.log_end.next(), storage)?;
        for segment in self.segments.drain(..) {
            segment.close(storage);
        }
        Ok(())
    }

    /// The segment that `offset` falls into, by base offsets alone.
    fn segment_of(&self, offset: Offset) -> usize {
        if self.segments.last().is_some_and(|active| active.base_offset() <= offset) {
            return self.segments.len() - 1;
        }
        self.segments.partition_point(|segment| segment.base_offset() <= offset).saturating_sub(1)
    }
}

/// The file of the leader epochs.
pub(super) fn epochs_path(directory: &str) -> String {
    format!("{directory}/leader-epoch-checkpoint")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{Role, TruncationReason};
    use crate::log::testing::{Batch, Bench, config};

    /// Appends batches of one record each, in the given epochs.
    fn append(log: &mut UnifiedLog, bench: &mut Bench, epochs: &[i32]) {
        for epoch in epochs {
            bench.with(|ctx| log.append_as_leader(Batch::of(1).build(), LeaderEpoch(*epoch), ctx)).unwrap();
        }
    }

    fn one_batch_each() -> LogConfig {
        LogConfig { segment_bytes: Batch::of(1).build().len() as u64, ..config() }
    }

    #[test]
    fn what_was_appended_is_read_back_with_offsets_and_epochs() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        let first = bench.with(|ctx| log.append_as_leader(Batch::of(3).build(), LeaderEpoch(4), ctx)).unwrap();
        let second = bench.with(|ctx| log.append_as_leader(Batch::of(2).build(), LeaderEpoch(5), ctx)).unwrap();
        assert_eq!((first.base_offset, first.last_offset, first.records), (Offset(0), Offset(2), 3));
        assert_eq!(
            (second.base_offset, second.last_offset, second.leader_epoch),
            (Offset(3), Offset(4), LeaderEpoch(5))
        );
        assert_eq!(second.log_append_time, Timestamp::NONE);
        assert!(!second.duplicate);

        let batches = log.survey(Offset(0), &mut bench.disk).unwrap();
        assert_eq!(batches[1].partition_leader_epoch(), LeaderEpoch(5));
        assert_eq!(batches[1].verify_crc(), Ok(()));
        assert_eq!(log.end_offset_for_epoch(LeaderEpoch(4)), Some((LeaderEpoch(4), Offset(3))));
        let facts = bench.facts();
        assert_eq!(facts.len(), 2);
        assert!(matches!(facts[1], Fact::Appended { role: Role::Leader, base_offset: Offset(3), .. }));
    }

    #[test]
    fn a_read_of_the_last_batch_shares_the_bytes_that_were_appended() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        append(&mut log, &mut bench, &[0, 0]);
        let read = |bench: &mut Bench| bench.with(|ctx| log.read(Offset(1), Offset(2), 1000, true, ctx)).unwrap();
        assert_eq!(read(&mut bench).as_ptr(), read(&mut bench).as_ptr());
    }

    #[test]
    fn reads_keep_to_the_log_and_below_the_given_offset() {
        let mut bench = Bench::new();
        let mut log = bench.load(one_batch_each());
        bench.with(|ctx| log.truncate_fully_and_start_at(Offset(10), TruncationReason::OutOfRange, ctx)).unwrap();
        append(&mut log, &mut bench, &[0, 0, 0]);
        let len = Batch::of(1).build().len();
        // (from, up to, batches or error); each segment holds one batch, and a read stays in one segment.
        let out = Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        let table = [(9, 13, out), (10, 13, Ok(1)), (12, 13, Ok(1)), (12, 12, Ok(0)), (13, 99, Ok(0)), (14, 99, out)];
        for (from, up_to, expected) in table {
            let read = bench.with(|ctx| log.read(Offset(from), Offset(up_to), 9999, true, ctx));
            assert_eq!(read.map(|bytes| bytes.len() / len), expected, "{from}..{up_to}");
        }
        assert_eq!(log.segments().len(), 3);
    }

    #[test]
    fn the_high_watermark_stays_inside_the_log() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        append(&mut log, &mut bench, &[0, 0, 0]);
        assert!(log.set_high_watermark(Offset(99)));
        assert_eq!(log.high_watermark(), Offset(3));
        assert!(!log.set_high_watermark(Offset(3)));
        bench.with(|ctx| log.truncate_to(Offset(1), TruncationReason::Diverged, ctx)).unwrap();
        assert_eq!(log.high_watermark(), Offset(1));
        assert!(log.set_high_watermark(Offset(-5)));
        assert_eq!(log.high_watermark(), Offset(0));
    }

    #[test]
    fn offsets_are_found_by_timestamp() {
        let mut bench = Bench::new();
        let mut log = bench.load(LogConfig { segment_bytes: 400, index_interval_bytes: 0, ..config() });
        for timestamp in [1_000, 5_000, 3_000, 5_000, 9_000] {
            let bytes = Batch::of(2).timestamp(timestamp).build();
            bench.with(|ctx| log.append_as_leader(bytes, LeaderEpoch(1), ctx)).unwrap();
        }
        let table =
            [(0, Some(0)), (1_001, Some(1)), (1_002, Some(2)), (5_001, Some(3)), (5_002, Some(8)), (9_002, None)];
        for (timestamp, expected) in table {
            let found = bench.with(|ctx| log.offset_for_timestamp(Timestamp(timestamp), ctx)).unwrap();
            assert_eq!(found.map(|(_, offset, _)| offset.0), expected, "timestamp {timestamp}");
        }
        let largest = bench.with(|ctx| log.max_timestamp(ctx)).unwrap();
        assert_eq!(largest, Some((Timestamp(9_001), Offset(9), LeaderEpoch(1))));
        bench.with(|ctx| log.truncate_to(Offset(8), TruncationReason::Diverged, ctx)).unwrap();
        let largest = bench.with(|ctx| log.max_timestamp(ctx)).unwrap();
        assert_eq!(largest, Some((Timestamp(5_001), Offset(3), LeaderEpoch(1))));
    }

    #[test]
    fn the_log_is_flushed_by_count_by_time_and_when_a_segment_is_rolled() {
        let mut bench = Bench::new();
        let mut log = bench.load(LogConfig { flush_messages: 2, ..config() });
        append(&mut log, &mut bench, &[0]);
        assert_eq!(log.recovery_point(), Offset(0));
        append(&mut log, &mut bench, &[0]);
        assert_eq!(log.recovery_point(), Offset(2));

        log.update_config(LogConfig { flush_ms: Duration::from_millis(10), ..config() });
        append(&mut log, &mut bench, &[0]);
        bench.now = Instant(9_999_999);
        bench.with(|ctx| log.maybe_flush_by_time(ctx)).unwrap();
        assert_eq!(log.recovery_point(), Offset(2));
        bench.now = Instant(10_000_000);
        bench.with(|ctx| log.maybe_flush_by_time(ctx)).unwrap();
        assert_eq!(log.recovery_point(), Offset(3));

        log.update_config(one_batch_each());
        append(&mut log, &mut bench, &[0, 0]);
        assert_eq!(log.task_due(), Some(bench.now));
        bench.with(|ctx| log.run_tasks(ctx)).unwrap();
        assert_eq!((log.recovery_point(), log.task_due()), (Offset(4), None));
    }
}

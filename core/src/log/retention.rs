//! What a log may forget: old segments by age and size, and what an operator deletes.
//!
//! ```text
//!   log start moves up to here          never beyond the high watermark (KAFKA-5634)
//!         │                                   │
//!   ┌─────┴─────┬───────────┬───────────┬─────┴─────┐
//!   │ segment 0 │ segment 1 │ segment 2 │ active    │     only whole segments, oldest first, the first one that
//!   └───────────┴───────────┴───────────┴───────────┘     may not go stops it
//! ```
//!
//! * By age: the largest timestamp of a segment is older than `retention.ms` by the broker's clock. What the producer wrote
//!   into a record counts, so a record that is old when it is written may be gone minutes later.
//! * By size: the log stays above `retention.bytes` without the segment.
//! * DeleteRecords moves the log start offset at once; the segments below follow with the next look.
//! * The active segment may go too, if it is not empty: a new one takes its place.
//!
//! Every replica does this by itself, a follower also follows the log start offset of its leader. Files are renamed to
//! `.deleted`, and removed after `file.delete.delay.ms`.
//!
//! Without KAFKA-5634 the high watermark is not looked at:
//!
//! 1. Followers lag. The leader deletes segments that no follower has.
//! 2. A follower asks for an offset below the log start: out of range. It drops what it has and starts at the leader's start.
//! 3. Records that only the leader had are gone, and the leader's own high watermark lies below its log start.
//!
//! Kafka: `UnifiedLog.deleteOldSegments`, `maybeIncrementLogStartOffset`, `LocalLog.deleteSegmentFiles`.
//! Not modelled: tiered storage.

use std::io;

use super::segment::LogSegment;
use super::unified_log::UnifiedLog;
use crate::fact::{Fact, ForgottenReason, LogStartReason};
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{Instant, Offset};

/// The ending of a file that is to be removed.
pub(super) const DELETED_SUFFIX: &str = ".deleted";

impl UnifiedLog {
    /// Deletes the segments that may go: those below the log start, and with `cleanup.policy` delete the large and old ones.
    pub fn delete_old_segments(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        if self.offline {
            return Ok(());
        }
        let start = self.log_start;
        let below = self.deletable(|_, next| next.is_some_and(|next| next.base_offset() <= start));
        self.delete_oldest(below, LogStartReason::DeleteRecords, ctx)?;
        if !self.config.cleanup_policy.delete {
            return Ok(());
        }
        if let Some(limit) = self.config.retention_bytes {
            let mut excess = self.size_in_bytes().checked_sub(limit);
            let too_many = self.deletable(|segment, _| {
                excess = excess.and_then(|excess| excess.checked_sub(segment.size()));
                excess.is_some()
            });
            self.delete_oldest(too_many, LogStartReason::RetentionBytes, ctx)?;
        }
        let (now, limit) = (ctx.wall_clock(), self.config.retention_ms.as_millis());
        let too_old = self.deletable(|segment, _| {
            let age = now.0.saturating_sub(segment.largest_timestamp().0);
            u64::try_from(age).is_ok_and(|age| age > limit)
        });
        self.delete_oldest(too_old, LogStartReason::RetentionMs, ctx)
    }

    /// Moves the log start offset to `to` if it lies below; true if it moved. Not beyond the high watermark:
    /// `OFFSET_OUT_OF_RANGE`.
    pub fn maybe_increment_log_start_offset(
        &mut self,
        to: Offset,
        reason: LogStartReason,
        ctx: &mut Context<'_>,
    ) -> Result<bool, ErrorCode> {
        if to > self.high_watermark {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        self.advance_log_start(to, reason, ctx).map_err(|_| ErrorCode::KAFKA_STORAGE_ERROR)
    }

    /// Removes the files whose time has come.
    pub(super) fn remove_deleted_files(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let now = ctx.now();
        while self.deleted.first().is_some_and(|(at, _)| *at <= now) {
            let (_, path) = self.deleted.remove(0);
            if ctx.storage().exists(&path) {
                let removed = ctx.storage().remove(&path);
                self.checked(removed, "removing a file of", ctx)?;
            }
        }
        Ok(())
    }

    /// Renames the files of segments that are no longer part of the log; they are removed later.
    pub(super) fn mark_deleted(
        &mut self,
        segments: impl IntoIterator<Item = LogSegment>,
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        for segment in segments {
            let paths = segment.into_paths(&self.directory, ctx.storage());
            for path in paths {
                self.mark_file_deleted(&path, ctx)?;
            }
        }
        Ok(())
    }

    pub(super) fn mark_file_deleted(&mut self, path: &str, ctx: &mut Context<'_>) -> io::Result<()> {
        let at: Instant = ctx.now() + self.config.file_delete_delay_ms;
        let hidden = format!("{path}{DELETED_SUFFIX}");
        ctx.storage().rename(path, &hidden)?;
        // The delay may have been changed: the list stays in the order in which files go.
        let slot = self.deleted.partition_point(|(other, _)| *other <= at);
        self.deleted.insert(slot, (at, hidden));
        Ok(())
    }

    /// How many segments from the oldest on may go.
    fn deletable(&self, mut breaches: impl FnMut(&LogSegment, Option<&LogSegment>) -> bool) -> usize {
        let mut count = 0;
        for (n, segment) in self.segments.iter().enumerate() {
            let next = self.segments.get(n + 1);
            let end = next.map_or(self.log_end, LogSegment::base_offset);
            let committed = !self.toggles.retention_bounded_by_hw || self.high_watermark >= end;
            let last_and_empty = next.is_none() && segment.size() == 0;
            if !committed || last_and_empty || !breaches(segment, next) {
                break;
            }
            count += 1;
        }
        count
    }

    fn delete_oldest(&mut self, count: usize, reason: LogStartReason, ctx: &mut Context<'_>) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        if count == self.segments.len() {
            // There must always be an active segment.
            let rolled = self.roll(self.log_end, ctx);
            self.checked(rolled, "rolling a segment of", ctx)?;
        }
        self.advance_log_start(self.segments[count].base_offset(), reason, ctx)?;
        let oldest: Vec<LogSegment> = self.segments.drain(..count).collect();
        let bases: Vec<Offset> = oldest.iter().map(LogSegment::base_offset).collect();
        let marked = self.mark_deleted(oldest, ctx);
        self.checked(marked, "deleting segments of", ctx)?;
        bases.into_iter().try_for_each(|base| self.mark_snapshot_deleted(base, ctx))
    }

    fn advance_log_start(&mut self, to: Offset, reason: LogStartReason, ctx: &mut Context<'_>) -> io::Result<bool> {
        if to <= self.log_start {
            return Ok(false);
        }
        let from = std::mem::replace(&mut self.log_start, to);
        ctx.fact(Fact::LogStartOffsetAdvanced { partition: self.partition.clone(), from, to, reason });
        if self.leader_epochs.truncate_from_start(to) {
            self.write_leader_epochs(ctx)?;
        }
        for producer_id in self.producers.truncate_head(to, self.toggles) {
            let (partition, reason) = (self.partition.clone(), ForgottenReason::RecordsDeleted);
            ctx.fact(Fact::ProducerExpired { partition, producer_id, reason });
        }
        self.producers.on_log_start_incremented(to);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CleanupPolicy, LogConfig, Toggles};
    use crate::log::testing::{Batch, Bench, config, partition, toggles};
    use crate::storage::Storage;
    use crate::types::{Duration, LeaderEpoch};

    const NEVER: LogConfigTimes = LogConfigTimes { retention_ms: Duration::FOREVER, bytes: None };

    struct LogConfigTimes {
        retention_ms: Duration,
        bytes: Option<u64>,
    }

    fn one() -> u64 {
        Batch::of(1).build().len() as u64
    }

    fn small(times: &LogConfigTimes) -> LogConfig {
        LogConfig {
            segment_bytes: one(),
            retention_ms: times.retention_ms,
            retention_bytes: times.bytes,
            file_delete_delay_ms: Duration::from_millis(60_000),
            ..config()
        }
    }

    /// Four segments of one record each, at 1000, 2000, 3000 and 4000 ms, committed below `high_watermark`.
    fn four(config: LogConfig, toggles: Toggles, high_watermark: i64) -> (Bench, UnifiedLog) {
        let mut bench = Bench::new();
        let mut log = bench.with(|ctx| UnifiedLog::load(partition(), config, toggles, Offset(0), true, ctx)).unwrap();
        for n in 1..=4 {
            let batch = Batch::of(1).timestamp(n * 1_000).build();
            bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(n as i32), ctx)).unwrap();
        }
        log.set_high_watermark(Offset(high_watermark));
        bench.facts();
        (bench, log)
    }

    fn advances(bench: &mut Bench) -> Vec<(i64, i64, LogStartReason)> {
        let advance = |fact| match fact {
            Fact::LogStartOffsetAdvanced { from, to, reason, .. } => Some((from.0, to.0, reason)),
            _ => None,
        };
        bench.facts().into_iter().filter_map(advance).collect()
    }

    fn delete_at(log: &mut UnifiedLog, bench: &mut Bench, millis: u64) -> Vec<(i64, i64, LogStartReason)> {
        bench.now = Instant(millis * 1_000_000);
        bench.with(|ctx| log.delete_old_segments(ctx)).unwrap();
        advances(bench)
    }

    #[test]
    fn segments_go_by_their_largest_timestamp_and_the_active_one_too() {
        let times = LogConfigTimes { retention_ms: Duration::from_millis(500), ..NEVER };
        let (mut bench, mut log) = four(small(&times), toggles(), 4);
        assert_eq!(delete_at(&mut log, &mut bench, 1_500), []);
        assert_eq!(delete_at(&mut log, &mut bench, 2_501), [(0, 2, LogStartReason::RetentionMs)]);
        assert_eq!((log.log_start_offset(), log.segments().len()), (Offset(2), 2));
        assert_eq!(log.end_offset_for_epoch(LeaderEpoch(1)), Some((LeaderEpoch(1), Offset(2))));
        let read = bench.with(|ctx| log.read(Offset(1), Offset(4), 999, true, ctx));
        assert_eq!(read, Err(ErrorCode::OFFSET_OUT_OF_RANGE));

        assert_eq!(delete_at(&mut log, &mut bench, 9_000), [(2, 4, LogStartReason::RetentionMs)]);
        assert_eq!((log.log_start_offset(), log.log_end_offset(), log.segments().len()), (Offset(4), Offset(4), 1));
        assert_eq!(delete_at(&mut log, &mut bench, 99_000), [], "an empty active segment stays");
    }

    #[test]
    fn segments_go_while_the_log_stays_above_its_size() {
        for (limit, left) in
            [(4 * one() + 1, 4), (4 * one(), 4), (3 * one() + 1, 4), (3 * one(), 3), (one(), 1), (0, 1)]
        {
            let (mut bench, mut log) = four(small(&LogConfigTimes { bytes: Some(limit), ..NEVER }), toggles(), 4);
            delete_at(&mut log, &mut bench, 5_000);
            // Of nothing at all a new, empty segment is left.
            assert_eq!(log.segments().len(), left, "{limit} bytes");
            assert_eq!(log.size_in_bytes(), if limit == 0 { 0 } else { left as u64 * one() }, "{limit} bytes");
        }
    }

    #[test]
    fn what_is_not_committed_stays_unless_the_fix_is_off() {
        let times = LogConfigTimes { retention_ms: Duration::from_millis(500), ..NEVER };
        let (mut bench, mut log) = four(small(&times), toggles(), 1);
        assert_eq!(delete_at(&mut log, &mut bench, 9_000), [(0, 1, LogStartReason::RetentionMs)]);
        let off = Toggles { retention_bounded_by_hw: false, ..toggles() };
        let (mut bench, mut log) = four(small(&times), off, 1);
        assert_eq!(delete_at(&mut log, &mut bench, 9_000), [(0, 4, LogStartReason::RetentionMs)]);
        assert!(log.high_watermark() < log.log_start_offset());
    }

    #[test]
    fn without_the_policy_only_what_an_operator_deleted_goes() {
        let times = LogConfigTimes { retention_ms: Duration::from_millis(500), bytes: Some(0) };
        let compact = CleanupPolicy { delete: false, compact: true };
        let (mut bench, mut log) = four(small(&times), toggles(), 3);
        log.update_config(LogConfig { cleanup_policy: compact, ..small(&times) });
        assert_eq!(delete_at(&mut log, &mut bench, 9_000), []);

        let reason = LogStartReason::DeleteRecords;
        let beyond = bench.with(|ctx| log.maybe_increment_log_start_offset(Offset(4), reason, ctx));
        assert_eq!(beyond, Err(ErrorCode::OFFSET_OUT_OF_RANGE));
        for (to, moved) in [(3, true), (2, false), (3, false)] {
            let done = bench.with(|ctx| log.maybe_increment_log_start_offset(Offset(to), reason, ctx));
            assert_eq!(done, Ok(moved), "to {to}");
        }
        assert_eq!(advances(&mut bench), [(0, 3, reason)]);
        assert_eq!((log.log_start_offset(), log.segments().len()), (Offset(3), 4), "the files go later");
        assert_eq!(delete_at(&mut log, &mut bench, 9_000), []);
        assert_eq!(log.segments().len(), 1);
    }

    #[test]
    fn files_are_renamed_and_removed_after_their_delay() {
        let times = LogConfigTimes { retention_ms: Duration::from_millis(500), ..NEVER };
        let (mut bench, mut log) = four(small(&times), toggles(), 4);
        bench.with(|ctx| log.run_tasks(ctx)).unwrap();
        delete_at(&mut log, &mut bench, 1_501);
        let hidden = ["index", "log", "timeindex"].map(|ending| format!("00000000000000000000.{ending}.deleted"));
        let names = |bench: &mut Bench| -> Vec<String> {
            bench
                .disk
                .list("orders-0")
                .unwrap()
                .into_iter()
                .filter(|name| name.contains("00000000000000000000."))
                .collect()
        };
        assert_eq!(names(&mut bench), hidden);
        let at = log.task_due().unwrap();
        assert_eq!(at, bench.now + Duration::from_millis(60_000));
        let mut stopped = bench.clone();
        bench.now = at;
        bench.with(|ctx| log.run_tasks(ctx)).unwrap();
        assert_eq!((names(&mut bench), log.task_due()), (Vec::new(), None));
        // A start does not wait for the delay.
        assert_eq!(stopped.recover(small(&NEVER), 0).log_start_offset(), Offset(1));
        assert_eq!(names(&mut stopped), Vec::<String>::new());
    }

    #[test]
    fn a_log_start_within_a_segment_survives_by_its_checkpoint() {
        let (mut bench, mut log) = four(config(), toggles(), 4);
        let reason = LogStartReason::DeleteRecords;
        bench.with(|ctx| log.maybe_increment_log_start_offset(Offset(2), reason, ctx)).unwrap();
        bench.with(|ctx| log.close(ctx)).unwrap();
        for (checkpoint, start, end) in [(2, 2, 4), (0, 0, 4), (9, 9, 9)] {
            let checkpointed = crate::log::Checkpointed { recovery_point: Offset(4), log_start: Offset(checkpoint) };
            let mut bench = bench.clone();
            let log = bench
                .with(|ctx| UnifiedLog::load_in("orders-0", partition(), config(), toggles(), checkpointed, true, ctx))
                .unwrap();
            assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(start), Offset(end)));
        }
    }
}

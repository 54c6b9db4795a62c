//! Cutting a log: its end, or all of it.
//!
//! Leader epochs, producer state, indexes, high watermark and recovery point follow. The file is cut but not synced, so
//! after a loss of power the records may be back: the recovery point, which is written next
//! ([`LogManager::truncate_to`](super::LogManager::truncate_to)), lies below them, and they are looked at.
//!
//! Kafka: `UnifiedLog.truncateTo`, `truncateFullyAndStartAt`, `LocalLog.truncateTo`.

use std::io;

use bytes::Bytes;

use super::producer_loading::Rebuild;
use super::segment::LogSegment;
use super::unified_log::UnifiedLog;
use crate::fact::{Fact, TruncationReason};
use crate::machine::Context;
use crate::record::batches;
use crate::types::Offset;

impl UnifiedLog {
    /// Drops everything from `to` on; true if there was something.
    pub fn truncate_to(&mut self, to: Offset, reason: TruncationReason, ctx: &mut Context<'_>) -> io::Result<bool> {
        self.check_online()?;
        let to = to.max(Offset(0));
        if to >= self.log_end {
            // A leader that wrote nothing may have left an entry at the end that contradicts the next leader's.
            if self.leader_epochs.truncate_from_end(self.log_end) {
                self.write_leader_epochs(ctx)?;
            }
            return Ok(false);
        }
        if self.segments[0].base_offset() > to {
            self.start_anew_at(to, reason, ctx)?;
            return Ok(true);
        }
        let from = self.log_end;
        let done = self.cut_segments(to, ctx);
        self.checked(done, "truncating", ctx)?;
        self.log_end = to;
        self.log_start = self.log_start.min(to);
        self.recovery_point = self.recovery_point.min(to);
        self.high_watermark = self.high_watermark.min(to);
        if self.leader_epochs.truncate_from_end(to) {
            self.write_leader_epochs(ctx)?;
        }
        let rebuilt = self.rebuild_producer_state(to, Rebuild::Truncation, ctx.storage());
        self.checked(rebuilt, "rebuilding the producer state of", ctx)?;
        if self.high_watermark == to {
            self.producers.on_high_watermark(to);
        }
        ctx.fact(Fact::Truncated { partition: self.partition.clone(), from, to, reason });
        Ok(true)
    }

    /// Drops everything and starts anew at `offset`: it lies outside of what the leader has, or inside of a batch.
    pub fn truncate_fully_and_start_at(
        &mut self,
        offset: Offset,
        reason: TruncationReason,
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        self.check_online()?;
        self.start_anew_at(offset.max(Offset(0)), reason, ctx)
    }

    /// Where the first of these batches begins, if the log is empty and begins inside of them: its start, or its leader's, was set there
    /// (DeleteRecords), and batches come whole.
    pub fn begins_inside(&self, records: &Bytes) -> Option<Offset> {
        if self.log_start != self.log_end {
            return None;
        }
        let mut sent = batches(records.clone()).map_while(Result::ok);
        let first = sent.next()?;
        let last = sent.last().map_or(first.next_offset(), |last| last.next_offset());
        (first.base_offset() < self.log_end && last > self.log_end).then_some(first.base_offset())
    }

    fn cut_segments(&mut self, to: Offset, ctx: &mut Context<'_>) -> io::Result<()> {
        let keep = self.segments.partition_point(|segment| segment.base_offset() <= to);
        let beyond: Vec<LogSegment> = self.segments.drain(keep..).collect();
        self.mark_deleted(beyond, ctx)?;
        let now = ctx.wall_clock();
        self.active_mut().truncate_to(to, now, ctx.storage())
    }

    fn start_anew_at(&mut self, offset: Offset, reason: TruncationReason, ctx: &mut Context<'_>) -> io::Result<()> {
        let from = self.log_end;
        let done = self.replace_segments(offset, ctx);
        self.checked(done, "starting anew", ctx)?;
        (self.log_start, self.log_end, self.high_watermark) = (offset, offset, offset);
        self.recovery_point = self.recovery_point.min(offset);
        let emptied = self.producers.start_at(offset, &self.directory, ctx.storage());
        self.checked(emptied, "removing the snapshots of", ctx)?;
        if self.leader_epochs.clear() {
            self.write_leader_epochs(ctx)?;
        }
        ctx.fact(Fact::Truncated { partition: self.partition.clone(), from, to: offset, reason });
        Ok(())
    }

    fn replace_segments(&mut self, offset: Offset, ctx: &mut Context<'_>) -> io::Result<()> {
        let all = std::mem::take(&mut self.segments);
        self.mark_deleted(all, ctx)?;
        self.begin_at(offset, ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogConfig;
    use crate::log::AppendError;
    use crate::log::testing::{Batch, Bench, config, partition};
    use crate::protocol::ErrorCode;
    use crate::storage::Storage;
    use crate::types::LeaderEpoch;

    /// Appends batches of one record each, in the given epochs.
    fn append(log: &mut UnifiedLog, bench: &mut Bench, epochs: &[i32]) {
        for epoch in epochs {
            bench.with(|ctx| log.append_as_leader(Batch::of(1).build(), LeaderEpoch(*epoch), ctx)).unwrap();
        }
    }

    fn offsets(log: &UnifiedLog, bench: &mut Bench) -> Vec<i64> {
        log.survey(Offset(0), &mut bench.disk).unwrap().iter().map(|batch| batch.base_offset().0).collect()
    }

    fn one_batch_each() -> LogConfig {
        LogConfig { segment_bytes: Batch::of(1).build().len() as u64, ..config() }
    }

    #[test]
    fn truncation_takes_everything_along() {
        let mut bench = Bench::new();
        let mut log = bench.load(one_batch_each());
        append(&mut log, &mut bench, &[0, 0, 1, 1, 2]);
        bench.with(|ctx| log.flush(ctx)).unwrap();
        bench.facts();
        assert!(bench.with(|ctx| log.truncate_to(Offset(3), TruncationReason::Diverged, ctx)).unwrap());
        assert_eq!(offsets(&log, &mut bench), [0, 1, 2]);
        assert_eq!((log.log_end_offset(), log.recovery_point()), (Offset(3), Offset(3)));
        assert_eq!(log.latest_epoch(), Some(LeaderEpoch(1)));
        assert!(!bench.disk.exists("orders-0/00000000000000000004.log"));
        let (from, to, reason) = (Offset(5), Offset(3), TruncationReason::Diverged);
        assert_eq!(bench.facts(), [Fact::Truncated { partition: partition(), from, to, reason }]);
        // Nothing there: nothing to do.
        assert!(!bench.with(|ctx| log.truncate_to(Offset(3), TruncationReason::Diverged, ctx)).unwrap());
        assert_eq!(bench.facts(), []);
        append(&mut log, &mut bench, &[3]);
        assert_eq!(offsets(&log, &mut bench), [0, 1, 2, 3]);
    }

    #[test]
    fn an_epoch_that_wrote_nothing_goes_even_if_no_record_does() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        append(&mut log, &mut bench, &[0, 0]);
        bench.with(|ctx| log.assign_epoch_start_offset(LeaderEpoch(3), Offset(2), ctx)).unwrap();
        assert_eq!(log.latest_epoch(), Some(LeaderEpoch(3)));
        assert!(!bench.with(|ctx| log.truncate_to(Offset(2), TruncationReason::Diverged, ctx)).unwrap());
        assert_eq!(log.latest_epoch(), Some(LeaderEpoch(0)));
    }

    #[test]
    fn after_truncation_the_sequences_of_the_cut_batches_may_come_again() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        let mut send = |log: &mut UnifiedLog, sequence| {
            let bytes = Batch::of(1).producer(7, 0, sequence).build();
            bench.with(|ctx| log.append_as_leader(bytes, LeaderEpoch(0), ctx))
        };
        for sequence in 0..8 {
            send(&mut log, sequence).unwrap();
        }
        assert!(send(&mut log, 7).unwrap().duplicate);
        assert!(matches!(send(&mut log, 2), Err(AppendError::Refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER))));
        let mut send = |log: &mut UnifiedLog, sequence: i32, cut: Option<i64>| {
            let bytes = Batch::of(1).producer(7, 0, sequence).build();
            bench.with(|ctx| {
                if let Some(cut) = cut {
                    log.truncate_to(Offset(cut), TruncationReason::Diverged, ctx).unwrap();
                }
                log.append_as_leader(bytes, LeaderEpoch(0), ctx)
            })
        };
        // Down to 5 records: batches 0 to 4 are known again, also those that had left the window.
        assert!(send(&mut log, 1, Some(5)).unwrap().duplicate);
        assert_eq!(send(&mut log, 5, None).unwrap().base_offset, Offset(5));
    }

    #[test]
    fn a_log_that_starts_anew_is_empty_at_the_new_offset() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        append(&mut log, &mut bench, &[0, 0, 1]);
        bench.facts();
        bench.with(|ctx| log.truncate_fully_and_start_at(Offset(70), TruncationReason::OutOfRange, ctx)).unwrap();
        for offset in [log.log_start_offset(), log.log_end_offset(), log.high_watermark()] {
            assert_eq!(offset, Offset(70));
        }
        assert_eq!((log.latest_epoch(), log.recovery_point(), log.size_in_bytes()), (None, Offset(0), 0));
        assert_eq!(bench.facts().len(), 1);
        append(&mut log, &mut bench, &[2]);
        assert_eq!(offsets(&log, &mut bench), [70]);
        // Below all segments: truncation starts anew as well.
        assert!(bench.with(|ctx| log.truncate_to(Offset(20), TruncationReason::Diverged, ctx)).unwrap());
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(20), Offset(20)));
    }
}

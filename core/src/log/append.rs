//! What a log takes in: from clients as leader, from the leader as follower.
//!
//! Nothing is written, in memory or on disk, before everything is known to be in order; then the bytes, then the memory.
//!
//! Kafka: `UnifiedLog.append`, `maybeRoll`, `LocalLog.roll`.

use std::io;

use bytes::Bytes;

use super::producer_state::{BatchMetadata, Verdict};
use super::segment::LogSegment;
use super::unified_log::UnifiedLog;
use super::validator::{Analysis, in_compression_of, validate_from_client, validate_from_leader};
use crate::config::TimestampType;
use crate::fact::{Fact, Role};
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::record::{RecordBatch, with_max_timestamp, with_offset_and_epoch};
use crate::types::{Duration, LeaderEpoch, Offset, Timestamp};

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendInfo {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// The epoch stamped on the last batch.
    pub leader_epoch: LeaderEpoch,
    /// How many records.
    pub records: u32,
    /// The time that the leader stamped on the records; none unless `message.timestamp.type` says `LogAppendTime`. Of a
    /// duplicate it is the largest timestamp of the first copy.
    pub log_append_time: Timestamp,
    /// Log start offset.
    pub log_start_offset: Offset,
    /// Whether the batch was there already: the offsets are the old ones.
    pub duplicate: bool,
}

/// Why nothing was appended.
#[derive(Debug)]
pub enum AppendError {
    /// The batches break a rule; nothing was written.
    Refused(ErrorCode),
    /// The disk failed: answer `KAFKA_STORAGE_ERROR`. Part of the bytes may be in the file; the log is offline.
    Storage(io::Error),
}

impl AppendError {
    /// What a client is told.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            AppendError::Refused(error) => *error,
            AppendError::Storage(_) => ErrorCode::KAFKA_STORAGE_ERROR,
        }
    }
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        AppendError::Storage(error)
    }
}

impl UnifiedLog {
    /// Appends the one batch that a client sent for this partition: validates it, gives it offsets, stamps `epoch` on
    /// it. A batch that is among the last five of its producer is not appended again.
    ///
    /// Says `Appended`, `DuplicateDetected` or `AppendRefused`, and `SegmentRolled`.
    pub fn append_as_leader(
        &mut self,
        batches: Bytes,
        epoch: LeaderEpoch,
        ctx: &mut Context<'_>,
    ) -> Result<AppendInfo, AppendError> {
        self.check_online()?;
        let verdict = validate_from_client(batches, &self.config, ctx.wall_clock())
            .map(|batch| (self.producers.check(&batch, self.toggles), batch))
            .and_then(|(verdict, batch)| match verdict {
                Verdict::Append => Ok((verdict, in_compression_of(&self.config, batch)?)),
                Verdict::Duplicate(_) | Verdict::Refuse(_) => Ok((verdict, batch)),
            });
        match verdict {
            Ok((Verdict::Append, batch)) => self.append_batch(&batch, epoch, ctx),
            Ok((Verdict::Duplicate(first), batch)) => Ok(self.answer_duplicate(&batch, first, epoch, ctx)),
            Ok((Verdict::Refuse(error), _)) | Err(error) => {
                ctx.fact(Fact::AppendRefused { partition: self.partition.clone(), error });
                Err(AppendError::Refused(error))
            }
        }
    }

    /// Appends what the leader sent, byte for byte: batches from the log's end on. An incomplete last one is cut off;
    /// `None` if there is no whole one.
    ///
    /// Says `Appended` for each batch, and `SegmentRolled`.
    pub fn append_as_follower(
        &mut self,
        sent: Bytes,
        ctx: &mut Context<'_>,
    ) -> Result<Option<AppendInfo>, AppendError> {
        self.check_online()?;
        let valid = validate_from_leader(sent.clone(), self.log_end, &self.config).map_err(AppendError::Refused)?;
        let Some((set, batches)) = valid else { return Ok(None) };
        let mut bytes = sent;
        bytes.truncate(set.valid_bytes);
        for batch in &batches {
            self.assign_epoch_start_offset(batch.partition_leader_epoch(), batch.base_offset(), ctx)?;
        }
        self.append_set(&set, &batches, bytes, ctx)?;
        self.note_producers(&batches, ctx)?;
        for batch in &batches {
            self.say_appended(batch, Role::Follower, ctx);
        }
        self.flush_by_count(ctx)?;
        Ok(Some(self.info(&set, Timestamp::NONE)))
    }

    fn append_batch(
        &mut self,
        sent: &RecordBatch,
        epoch: LeaderEpoch,
        ctx: &mut Context<'_>,
    ) -> Result<AppendInfo, AppendError> {
        let (bytes, log_append_time) = match self.config.message_timestamp_type {
            TimestampType::CreateTime => (with_offset_and_epoch(sent, self.log_end, epoch), Timestamp::NONE),
            TimestampType::LogAppendTime => {
                let now = ctx.wall_clock();
                (with_max_timestamp(sent, self.log_end, epoch, TimestampType::LogAppendTime, now), now)
            }
        };
        let batch = RecordBatch::parse(&bytes, 0).expect("a batch stays whole when its offset is assigned");
        let set = Analysis::of(&batch);
        self.assign_epoch_start_offset(epoch, set.base_offset, ctx)?;
        self.append_set(&set, std::slice::from_ref(&batch), bytes, ctx)?;
        self.note_producers(std::slice::from_ref(&batch), ctx)?;
        self.say_appended(&batch, Role::Leader, ctx);
        self.flush_by_count(ctx)?;
        Ok(self.info(&set, log_append_time))
    }

    fn answer_duplicate(
        &self,
        sent: &RecordBatch,
        first: BatchMetadata,
        epoch: LeaderEpoch,
        ctx: &mut Context<'_>,
    ) -> AppendInfo {
        ctx.fact(Fact::DuplicateDetected {
            partition: self.partition.clone(),
            base_offset: first.first_offset,
            producer_id: sent.producer_id(),
            producer_epoch: sent.producer_epoch(),
            base_sequence: sent.base_sequence(),
        });
        AppendInfo {
            base_offset: first.first_offset,
            last_offset: first.last_offset,
            leader_epoch: self.epoch_for_offset(first.last_offset).unwrap_or(epoch),
            records: u32::try_from(sent.records_count()).unwrap_or(0),
            log_append_time: first.timestamp,
            log_start_offset: self.log_start,
            duplicate: true,
        }
    }

    /// Rolls if it must, and writes the bytes.
    fn append_set(
        &mut self,
        set: &Analysis,
        batches: &[RecordBatch],
        bytes: Bytes,
        ctx: &mut Context<'_>,
    ) -> Result<(), AppendError> {
        self.maybe_roll(set, ctx)?;
        if !self.active().can_hold(set.last_offset) {
            // Only a leader that sends offsets which are 2^31 apart in one response gets here.
            return Err(AppendError::Refused(ErrorCode::UNKNOWN_SERVER_ERROR));
        }
        let (interval, now) = (self.config.index_interval_bytes, ctx.wall_clock());
        let written = self.active_mut().append(set, batches, bytes, interval, now, ctx.storage());
        let checked = self.checked(written, "appending to", ctx);
        if checked.is_err() && !self.toggles.append_fence_after_error {
            // 1. A part of a batch is in the file, and the thread that takes the directory offline has yet to run.
            // 2. The next batch is written behind that part, and acknowledged.
            // 3. Recovery cuts the log at the broken batch: the acknowledged one goes with it.
            self.offline = false;
        }
        checked?;
        self.log_end = set.last_offset.next();
        Ok(())
    }

    fn maybe_roll(&mut self, set: &Analysis, ctx: &mut Context<'_>) -> io::Result<()> {
        if !self.active().should_roll(set, &self.config, ctx.wall_clock()) {
            return Ok(());
        }
        let base_offset = set.base_offset.max(self.log_end);
        if base_offset == self.active().base_offset() {
            // It is empty, and another one would have the same name.
            return Ok(());
        }
        let rolled = self.roll(base_offset, ctx);
        self.checked(rolled, "rolling a segment of", ctx)
    }

    /// The active segment is closed and a new one begun.
    pub(super) fn roll(&mut self, base_offset: Offset, ctx: &mut Context<'_>) -> io::Result<()> {
        self.active_mut().close_time_index(ctx.storage())?;
        let now = ctx.wall_clock();
        let (mut segment, _) = LogSegment::open(&self.directory, base_offset, now, ctx.storage())?;
        let jitter = self.config.segment_jitter_ms.min(self.config.segment_ms).as_millis();
        if jitter > 0 {
            segment.set_roll_jitter(Duration::from_millis(ctx.rng().below(jitter)));
        }
        self.segments.push(segment);
        self.producers.set_map_end(base_offset);
        let snapshot = self.producers.take_snapshot(&self.directory, false, ctx.storage())?;
        self.unsynced_snapshots.extend(snapshot);
        self.rolled_at.get_or_insert(ctx.now());
        ctx.fact(Fact::SegmentRolled { partition: self.partition.clone(), base_offset });
        Ok(())
    }

    /// Batches are in the file: remembers what is to be remembered of their producers. As in Kafka, all of them come before the
    /// transactions that they end: what a later one of them begins counts for the last stable offset in the index.
    fn note_producers(&mut self, batches: &[RecordBatch], ctx: &mut Context<'_>) -> io::Result<()> {
        let mut completed = Vec::new();
        for batch in batches {
            completed.extend(self.producers.update(batch));
            self.producers.set_map_end(batch.next_offset());
        }
        for txn in completed {
            let stable = self.producers.last_stable_offset(&txn);
            let directory = self.directory.clone();
            let noted = self.active_mut().note_completed(&txn, stable, &directory, ctx.storage());
            self.checked(noted, "writing the transaction index of", ctx)?;
            self.producers.complete(&txn);
        }
        Ok(())
    }

    fn say_appended(&self, batch: &RecordBatch, role: Role, ctx: &mut Context<'_>) {
        ctx.fact(Fact::Appended {
            partition: self.partition.clone(),
            role,
            base_offset: batch.base_offset(),
            last_offset: batch.last_offset(),
            leader_epoch: batch.partition_leader_epoch(),
            producer_id: batch.producer_id(),
            producer_epoch: batch.producer_epoch(),
            base_sequence: batch.base_sequence(),
            crc: batch.crc(),
        });
    }

    fn flush_by_count(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let unflushed = self.log_end.0.saturating_sub(self.recovery_point.0);
        if u64::try_from(unflushed).is_ok_and(|unflushed| unflushed >= self.config.flush_messages) {
            self.flush(ctx)?;
        }
        Ok(())
    }

    fn info(&self, set: &Analysis, log_append_time: Timestamp) -> AppendInfo {
        AppendInfo {
            base_offset: set.base_offset,
            last_offset: set.last_offset,
            leader_epoch: set.leader_epoch,
            records: set.records,
            log_append_time,
            log_start_offset: self.log_start,
            duplicate: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LogConfig, Toggles};
    use crate::fact::TruncationReason;
    use crate::log::testing::{Batch, Bench, config, partition, toggles};
    use crate::storage::{FileId, Storage};

    fn refused<T>(result: Result<T, AppendError>) -> Option<ErrorCode> {
        match result {
            Err(AppendError::Refused(error)) => Some(error),
            Err(AppendError::Storage(_)) | Ok(_) => None,
        }
    }

    fn join(batches: &[Bytes]) -> Bytes {
        batches.concat().into()
    }

    #[test]
    fn a_refused_batch_leaves_the_log_as_it_was() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        let mut corrupt = Batch::of(1).build().to_vec();
        corrupt[70] ^= 0x40;
        let result = bench.with(|ctx| log.append_as_leader(corrupt.into(), LeaderEpoch(3), ctx));
        assert_eq!(refused(result), Some(ErrorCode::CORRUPT_MESSAGE));
        assert_eq!((log.log_end_offset(), log.latest_epoch(), log.size_in_bytes()), (Offset(0), None, 0));
        assert_eq!(bench.facts(), [Fact::AppendRefused { partition: partition(), error: ErrorCode::CORRUPT_MESSAGE }]);
    }

    #[test]
    fn a_retry_gets_the_old_offsets_and_is_not_appended() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        let batch = Batch::of(2).producer(7, 0, 0).timestamp(5_000).build();
        bench.with(|ctx| log.append_as_leader(Batch::of(3).build(), LeaderEpoch(0), ctx)).unwrap();
        let first = bench.with(|ctx| log.append_as_leader(batch.clone(), LeaderEpoch(0), ctx)).unwrap();
        bench.facts();
        let again = bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(1), ctx)).unwrap();
        let expected = AppendInfo { duplicate: true, log_append_time: Timestamp(5_001), ..first };
        assert_eq!((again, log.log_end_offset()), (expected, Offset(5)));
        assert!(matches!(bench.facts()[..], [Fact::DuplicateDetected { base_offset: Offset(3), producer_id: 7, .. }]));
    }

    #[test]
    fn without_idempotence_a_retry_is_a_second_copy() {
        let mut bench = Bench::new();
        let off = Toggles { idempotence: false, ..toggles() };
        let mut log = bench.with(|ctx| UnifiedLog::load(partition(), config(), off, Offset(0), true, ctx)).unwrap();
        let batch = Batch::of(2).producer(7, 0, 0).build();
        for expected in [0, 2] {
            let info = bench.with(|ctx| log.append_as_leader(batch.clone(), LeaderEpoch(0), ctx)).unwrap();
            assert_eq!((info.base_offset, info.duplicate), (Offset(expected), false));
        }
    }

    #[test]
    fn a_follower_that_becomes_leader_knows_the_duplicates() {
        let (mut at_leader, mut at_follower) = (Bench::new(), Bench::new());
        let (mut leader, mut follower) = (at_leader.load(config()), at_follower.load(config()));
        let batch = Batch::of(2).producer(7, 0, 0).build();
        at_leader.with(|ctx| leader.append_as_leader(batch.clone(), LeaderEpoch(0), ctx)).unwrap();
        let fetched = at_leader.with(|ctx| leader.read(Offset(0), Offset(2), 9_999, true, ctx)).unwrap();
        let info = at_follower.with(|ctx| follower.append_as_follower(fetched, ctx)).unwrap().unwrap();
        assert_eq!((info.base_offset, info.last_offset, info.records), (Offset(0), Offset(1), 2));
        let retried = at_follower.with(|ctx| follower.append_as_leader(batch, LeaderEpoch(1), ctx)).unwrap();
        assert!(retried.duplicate);
        assert_eq!(retried.leader_epoch, LeaderEpoch(0));
    }

    #[test]
    fn a_follower_takes_whole_batches_as_they_are() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        let batches = [Batch::of(2).at(0, 3).build(), Batch::of(1).at(2, 3).build(), Batch::of(4).at(3, 5).build()];
        let sent = join(&batches);
        let cut = sent.slice(..sent.len() - 1);
        let info = bench.with(|ctx| log.append_as_follower(cut, ctx)).unwrap().unwrap();
        assert_eq!((info.last_offset, info.records), (Offset(2), 3));
        let file = bench.disk.content("orders-0/00000000000000000000.log").unwrap();
        assert_eq!(file, join(&batches[..2]));
        assert_eq!(bench.facts().len(), 2);
        // The same again lies below the end.
        let result = bench.with(|ctx| log.append_as_follower(sent, ctx));
        assert_eq!(refused(result), Some(ErrorCode::UNKNOWN_SERVER_ERROR));
        let info = bench.with(|ctx| log.append_as_follower(batches[2].clone(), ctx)).unwrap().unwrap();
        assert_eq!(info.last_offset, Offset(6));
        assert_eq!(log.end_offset_for_epoch(LeaderEpoch(4)), Some((LeaderEpoch(3), Offset(3))));
        assert!(bench.with(|ctx| log.append_as_follower(Bytes::new(), ctx)).unwrap().is_none());
    }

    #[test]
    fn the_leader_stamps_its_clock_where_the_topic_says_so() {
        let mut bench = Bench::new();
        let mut log = bench.load(LogConfig { message_timestamp_type: TimestampType::LogAppendTime, ..config() });
        bench.now = crate::types::Instant(77_000_000);
        let info = bench.with(|ctx| log.append_as_leader(Batch::of(2).build(), LeaderEpoch(0), ctx)).unwrap();
        assert_eq!(info.log_append_time, Timestamp(77));
        let batch = log.survey(Offset(0), &mut bench.disk).unwrap().remove(0);
        assert_eq!((batch.max_timestamp(), batch.timestamp_type()), (Timestamp(77), TimestampType::LogAppendTime));
        assert_eq!(batch.verify_crc(), Ok(()));
    }

    #[test]
    fn a_full_segment_is_rolled_and_named_after_its_first_offset() {
        let mut bench = Bench::new();
        let len = Batch::of(3).build().len() as u64;
        let mut log = bench.load(LogConfig { segment_bytes: 2 * len, ..config() });
        for _ in 0..3 {
            bench.with(|ctx| log.append_as_leader(Batch::of(3).build(), LeaderEpoch(0), ctx)).unwrap();
        }
        let names = bench.disk.list("orders-0").unwrap();
        let expected = ["00000000000000000000", "00000000000000000006"]
            .map(|base| [format!("{base}.index"), format!("{base}.log"), format!("{base}.timeindex")]);
        let segments: Vec<String> = names.iter().filter(|name| !name.ends_with("checkpoint")).cloned().collect();
        let mut expected = expected.concat();
        expected.insert(5, "00000000000000000006.snapshot".to_owned());
        assert_eq!(segments, expected);
        let rolled: Vec<Fact> =
            bench.facts().into_iter().filter(|fact| matches!(fact, Fact::SegmentRolled { .. })).collect();
        assert_eq!(rolled, [Fact::SegmentRolled { partition: partition(), base_offset: Offset(6) }]);
        // The closed segment's time index ends with its largest timestamp: 1002 at offset 2.
        let times = bench.disk.content("orders-0/00000000000000000000.timeindex").unwrap();
        assert_eq!(times, [0, 0, 0, 0, 0, 0, 3, 234, 0, 0, 0, 2][..]);
    }

    #[test]
    fn a_failing_disk_takes_the_log_offline() {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        bench.with(|ctx| log.append_as_leader(Batch::of(1).build(), LeaderEpoch(0), ctx)).unwrap();
        bench.facts();
        // Every call on a handle that is closed fails, as on a disk that is gone.
        (0..100).for_each(|handle| bench.disk.close(FileId(handle)));
        let result = bench.with(|ctx| log.append_as_leader(Batch::of(1).build(), LeaderEpoch(0), ctx));
        assert_eq!(result.unwrap_err().error_code(), ErrorCode::KAFKA_STORAGE_ERROR);
        assert!(matches!(bench.facts()[..], [Fact::StorageFailed { .. }]));
        assert_eq!((log.log_end_offset(), log.is_offline()), (Offset(1), true));

        let read = bench.with(|ctx| log.read(Offset(0), Offset(1), 9_999, true, ctx));
        assert_eq!(read, Err(ErrorCode::KAFKA_STORAGE_ERROR));
        assert!(bench.with(|ctx| log.truncate_to(Offset(0), TruncationReason::Diverged, ctx)).is_err());
        assert!(bench.with(|ctx| log.flush(ctx)).is_err());
        assert!(bench.with(|ctx| log.close(ctx)).is_err());
    }

    #[test]
    fn indexes_without_room_do_not_roll_an_empty_segment_for_ever() {
        let mut bench = Bench::new();
        let mut log = bench.load(LogConfig { segment_index_bytes: 0, ..config() });
        for _ in 0..3 {
            bench.with(|ctx| log.append_as_leader(Batch::of(1).build(), LeaderEpoch(0), ctx)).unwrap();
        }
        assert_eq!((log.segments().len(), log.log_end_offset()), (3, Offset(3)));
    }
}

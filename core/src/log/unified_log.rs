//! The log of one replica.

use std::io;

use bytes::Bytes;

use crate::config::{LogConfig, Toggles};
use crate::fact::TruncationReason;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::storage::Storage;
use crate::types::{LeaderEpoch, Offset, Timestamp, TopicPartition};

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
    /// The time that the leader stamped on the records; none unless `message.timestamp.type` says `LogAppendTime`.
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
    /// The disk failed (`KAFKA_STORAGE_ERROR`). Part of the bytes may be written.
    Storage(io::Error),
}

/// The log of one replica.
#[derive(Clone, Debug)]
pub struct UnifiedLog {
    partition: TopicPartition,
    config: LogConfig,
}

#[expect(unused_variables, reason = "the signatures come first; the bodies follow within the hour")]
impl UnifiedLog {
    /// Opens the log in the directory `topic-partition`, which is created if absent, and recovers it if the last stop
    /// was unclean. Says [`Fact::LogLoaded`](crate::Fact::LogLoaded), and `Truncated` if a corrupt tail was cut.
    pub fn load(
        partition: TopicPartition,
        config: LogConfig,
        toggles: Toggles,
        recovery_point: Offset,
        clean_shutdown: bool,
        ctx: &mut Context<'_>,
    ) -> io::Result<UnifiedLog> {
        unimplemented!("lands next")
    }

    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The configuration.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Takes another configuration from now on.
    pub fn update_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// Appends what a client sent: validates it, assigns offsets, stamps `epoch` on it.
    pub fn append_as_leader(
        &mut self,
        batches: Bytes,
        epoch: LeaderEpoch,
        ctx: &mut Context<'_>,
    ) -> Result<AppendInfo, AppendError> {
        unimplemented!("lands next")
    }

    /// Appends what the leader sent, byte for byte. `None` if there is no whole batch.
    pub fn append_as_follower(
        &mut self,
        batches: Bytes,
        ctx: &mut Context<'_>,
    ) -> Result<Option<AppendInfo>, AppendError> {
        unimplemented!("lands next")
    }

    /// Whole batches from the one that contains `from` up to `up_to` (exclusive), at most `max_bytes`; with
    /// `min_one_batch` the first one even if it is larger. `OFFSET_OUT_OF_RANGE` outside [log start, log end].
    pub fn read(
        &self,
        from: Offset,
        up_to: Offset,
        max_bytes: usize,
        min_one_batch: bool,
        ctx: &mut Context<'_>,
    ) -> Result<Bytes, ErrorCode> {
        unimplemented!("lands next")
    }

    /// Drops everything from `to` on; true if there was something.
    pub fn truncate_to(&mut self, to: Offset, reason: TruncationReason, ctx: &mut Context<'_>) -> io::Result<bool> {
        unimplemented!("lands next")
    }

    /// Drops everything and starts anew at `offset`: it lies outside of what the leader has.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset, ctx: &mut Context<'_>) -> io::Result<()> {
        unimplemented!("lands next")
    }

    /// The largest known epoch not above `epoch`, and where it ends (KIP-101, KIP-279).
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        unimplemented!("lands next")
    }

    /// The epoch of the last batch, or of this leader if it has written none yet.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        unimplemented!("lands next")
    }

    /// Where the epoch began that covers `offset`.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        unimplemented!("lands next")
    }

    /// A new leader's epoch begins at `start`.
    pub fn assign_epoch_start_offset(
        &mut self,
        epoch: LeaderEpoch,
        start: Offset,
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        unimplemented!("lands next")
    }

    /// The first offset there is.
    pub fn log_start_offset(&self) -> Offset {
        unimplemented!("lands next")
    }

    /// The offset that the next record gets (LEO).
    pub fn log_end_offset(&self) -> Offset {
        unimplemented!("lands next")
    }

    /// Below it everything is committed.
    pub fn high_watermark(&self) -> Offset {
        unimplemented!("lands next")
    }

    /// Sets the high watermark, clamped to [log start, log end]; true if it changed.
    pub fn set_high_watermark(&mut self, to: Offset) -> bool {
        unimplemented!("lands next")
    }

    /// Below it everything is on the device.
    pub fn recovery_point(&self) -> Offset {
        unimplemented!("lands next")
    }

    /// Makes everything durable.
    pub fn flush(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        unimplemented!("lands next")
    }

    /// The first record whose timestamp is at least `timestamp`.
    pub fn offset_for_timestamp(
        &self,
        timestamp: Timestamp,
        ctx: &mut Context<'_>,
    ) -> io::Result<Option<(Timestamp, Offset, LeaderEpoch)>> {
        unimplemented!("lands next")
    }

    /// The largest timestamp, and the first record that has it.
    pub fn max_timestamp(&self, ctx: &mut Context<'_>) -> io::Result<Option<(Timestamp, Offset, LeaderEpoch)>> {
        unimplemented!("lands next")
    }

    /// Flushes if `flush.ms` has passed since the last flush; the log manager asks at its interval.
    pub fn maybe_flush_by_time(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        unimplemented!("lands next")
    }

    /// Writes what is only in memory and closes the files. Flush first to make it durable.
    pub fn close(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        unimplemented!("lands next")
    }

    /// The bytes of all segments.
    pub fn size_in_bytes(&self) -> u64 {
        unimplemented!("lands next")
    }

    /// All bytes from `from` to the log end, for those who look at a log from outside (the survey at the end of a run).
    pub fn survey(&self, from: Offset, storage: &mut dyn Storage) -> io::Result<Vec<Bytes>> {
        unimplemented!("lands next")
    }
}

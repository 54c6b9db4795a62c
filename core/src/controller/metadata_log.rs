//! The metadata log of a controller: every decision is one batch, and is on the device before it counts.
//!
//! Kafka: `KafkaMetadataLog`, `KafkaRaftClient` of a quorum of one.
//! Not modelled: snapshots, leader change records, replication to other controllers (KIP-595). As in Kafka each life of
//! the controller is an epoch of its own, and the log is recovered from its beginning at every start.

use std::io;

use bytes::Bytes;
use thiserror::Error;

use crate::config::{BrokerConfig, CleanupPolicy, LogConfig, TimestampType};
use crate::log::{AppendError, UnifiedLog};
use crate::machine::Context;
use crate::metadata::{CLUSTER_METADATA_TOPIC, MetadataBatch, MetadataRecord, ReplayError, WireError, decode, encode};
use crate::protocol::ErrorCode;
use crate::types::{Duration, LeaderEpoch, Offset, TopicPartition};

const READ_BYTES: usize = 1 << 20;

/// The metadata log cannot be read or written, or is not one.
#[derive(Debug, Error)]
pub enum MetadataLogError {
    /// The disk failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The log refused.
    #[error("{0}")]
    Refused(ErrorCode),
    /// What is in it is no metadata.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// Its records do not fit one another.
    #[error("{0}")]
    Replay(#[from] ReplayError),
}

/// The log, and the epoch of this life.
#[derive(Clone, Debug)]
pub struct MetadataLog {
    log: UnifiedLog,
    epoch: LeaderEpoch,
}

impl MetadataLog {
    /// Opens the log, creates it if there is none, and begins a new epoch.
    pub fn open(config: &BrokerConfig, ctx: &mut Context<'_>) -> Result<Self, MetadataLogError> {
        let partition = TopicPartition::of(CLUSTER_METADATA_TOPIC, 0);
        let mut log = UnifiedLog::load(partition, log_config(&config.log), config.toggles, Offset(0), false, ctx)?;
        let epoch = log.latest_epoch().map_or(LeaderEpoch(1), LeaderEpoch::next);
        let end = log.log_end_offset();
        log.assign_epoch_start_offset(epoch, end, ctx)?;
        log.set_high_watermark(end);
        Ok(Self { log, epoch })
    }

    /// The epoch of this life.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The offset that the next record gets.
    pub fn end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    /// The first offset there is.
    pub fn start_offset(&self) -> Offset {
        self.log.log_start_offset()
    }

    /// The largest known epoch not above `epoch`, and where it ends.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.log.end_offset_for_epoch(epoch)
    }

    /// Gives every batch in the log to `apply`, in order.
    pub fn replay(
        &self,
        ctx: &mut Context<'_>,
        mut apply: impl FnMut(&MetadataBatch) -> Result<(), ReplayError>,
    ) -> Result<(), MetadataLogError> {
        let mut from = self.start_offset();
        while from < self.end_offset() {
            let bytes = self.read(from, READ_BYTES, ctx).map_err(MetadataLogError::Refused)?;
            let before = from;
            for batch in decode(bytes)? {
                apply(&batch)?;
                from = batch.last_offset.next();
            }
            if from <= before {
                return Err(WireError::Batch(format!("nothing can be read at offset {from}")).into());
            }
        }
        Ok(())
    }

    /// Whole batches from `from` on; at least one if there is one.
    pub fn read(&self, from: Offset, max_bytes: usize, ctx: &mut Context<'_>) -> Result<Bytes, ErrorCode> {
        self.log.read(from, self.end_offset(), max_bytes, true, ctx)
    }

    /// Writes records as one batch and makes it durable; says where it begins. After an error nobody knows whether
    /// it is there.
    pub fn append(&mut self, records: &[MetadataRecord], ctx: &mut Context<'_>) -> Result<Offset, MetadataLogError> {
        // The log assigns the offsets.
        let bytes = encode(records, Offset(0), self.epoch, ctx.wall_clock());
        let appended = self.log.append_as_leader(bytes, self.epoch, ctx).map_err(|error| match error {
            AppendError::Refused(code) => MetadataLogError::Refused(code),
            AppendError::Storage(error) => MetadataLogError::Io(error),
        })?;
        self.log.flush(ctx)?;
        self.log.set_high_watermark(appended.last_offset.next());
        Ok(appended.base_offset)
    }
}

/// `metadata.log.*` by their defaults; the controller flushes by itself.
fn log_config(broker_defaults: &LogConfig) -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 30,
        segment_ms: Duration::from_secs(7 * 24 * 3600),
        flush_messages: u64::MAX,
        flush_ms: Duration::FOREVER,
        max_message_bytes: 8 << 20,
        min_insync_replicas: 1,
        unclean_leader_election_enable: false,
        message_timestamp_type: TimestampType::CreateTime,
        message_timestamp_before_max_ms: Duration::FOREVER,
        message_timestamp_after_max_ms: Duration::FOREVER,
        segment_jitter_ms: Duration::ZERO,
        compression_type: None,
        cleanup_policy: CleanupPolicy { delete: true, compact: false },
        ..broker_defaults.clone()
    }
}

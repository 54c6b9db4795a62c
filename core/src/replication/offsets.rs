//! Questions about offsets that a leader answers at once.
//!
//! Kafka: `Partition.fetchOffsetForTimestamp`, `lastOffsetForLeaderEpoch`; KIP-79, KIP-101, KIP-207, KIP-320, KIP-734.
//! Not modelled: read_committed (without transactions the last stable offset is the high watermark), old versions that
//! list several offsets.

use super::api::{ListOffsetsQuery, ListedOffset};
use super::replica_manager::ReplicaManager;
use crate::fact::Fact;
use crate::log::UnifiedLog;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{LeaderEpoch, Offset, Timestamp, TopicPartition};

impl ReplicaManager {
    /// Offsets by time, the earliest or the latest. `None`: no record is that young.
    pub fn list_offsets(
        &mut self,
        name: &TopicPartition,
        query: ListOffsetsQuery,
        ctx: &mut Context<'_>,
    ) -> Result<Option<ListedOffset>, ErrorCode> {
        let (log, epoch_start, leader_epoch) = self.led(name, query.current_leader_epoch)?;
        let end = if query.isolation.is_some() { log.high_watermark() } else { log.log_end_offset() };
        // A leader that has just been elected may not know yet how far its predecessor had committed: what it would call
        // the end could lie before what consumers have already seen (KIP-207).
        let waits = self.around.config.toggles.listoffsets_waits_hw;
        let behind = waits && query.isolation.is_some() && epoch_start > log.high_watermark();
        let found = match query.timestamp {
            ListOffsetsQuery::LATEST if behind => return Err(ErrorCode::OFFSET_NOT_AVAILABLE),
            ListOffsetsQuery::LATEST => {
                return Ok(Some(ListedOffset { timestamp: Timestamp::NONE, offset: end, leader_epoch }));
            }
            ListOffsetsQuery::EARLIEST => return Ok(Some(earliest(log))),
            ListOffsetsQuery::MAX_TIMESTAMP => log.max_timestamp(ctx),
            timestamp => log.offset_for_timestamp(Timestamp(timestamp), ctx),
        };
        let found = found.map_err(|error| {
            ctx.fact(Fact::StorageFailed { what: format!("looking up a timestamp in {name}: {error}") });
            self.storage_failed(ctx);
            ErrorCode::KAFKA_STORAGE_ERROR
        })?;
        match found {
            Some((timestamp, offset, leader_epoch)) if offset < end => {
                Ok(Some(ListedOffset { timestamp, offset, leader_epoch }))
            }
            Some(_) | None if behind => Err(ErrorCode::OFFSET_NOT_AVAILABLE),
            Some(_) | None => Ok(None),
        }
    }

    /// The largest epoch not above `epoch` in the leader's log, and where it ends. `None`: it has none that old, or has
    /// never heard of that one.
    pub fn offset_for_leader_epoch(
        &self,
        name: &TopicPartition,
        current_leader_epoch: Option<LeaderEpoch>,
        epoch: LeaderEpoch,
    ) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
        let (log, _, _) = self.led(name, current_leader_epoch)?;
        Ok(log.end_offset_for_epoch(epoch))
    }

    /// The log of a partition that this broker leads, where its epoch started, and the epoch.
    fn led(
        &self,
        name: &TopicPartition,
        current_leader_epoch: Option<LeaderEpoch>,
    ) -> Result<(&UnifiedLog, Offset, LeaderEpoch), ErrorCode> {
        self.hosted(name)?;
        let partition = self.partitions.get(name).ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
        partition.check_epoch(current_leader_epoch, &self.around)?;
        let leader = partition.leader().ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
        let log = self.logs.get(name).ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
        Ok((log, leader.epoch_start, partition.leader_epoch))
    }
}

fn earliest(log: &UnifiedLog) -> ListedOffset {
    let offset = log.log_start_offset();
    let leader_epoch = log.epoch_for_offset(offset).unwrap_or(LeaderEpoch::NONE);
    ListedOffset { timestamp: Timestamp::NONE, offset, leader_epoch }
}

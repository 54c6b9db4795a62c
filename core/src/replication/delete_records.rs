//! DeleteRecords: an operator has the records below an offset forgotten.
//!
//! The leader moves its log start offset at once; the followers hear of it with their next fetch. The answer waits until all
//! of them that are alive have moved theirs (the low watermark), so that an election cannot bring the records back.
//!
//! Kafka: `ReplicaManager.deleteRecords`, `Partition.deleteRecordsOnLeader`, `lowWatermarkIfLeader`,
//! `DelayedDeleteRecords`; KIP-107.

use super::api::{Completed, DeleteRecordsCompleted, DeleteRecordsRequest, DeletedRecords};
use super::purgatory::DelayedDeleteRecords;
use super::replica_manager::ReplicaManager;
use crate::fact::LogStartReason;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{Offset, TopicPartition};

impl ReplicaManager {
    /// Forgets records. The answer comes through [`ReplicaManager::next_completed`].
    pub fn delete_records(&mut self, request: DeleteRecordsRequest, ctx: &mut Context<'_>) {
        let mut results = Vec::with_capacity(request.entries.len());
        let mut waits = Vec::new();
        for (name, before) in request.entries {
            let result = match self.delete_on_leader(&name, before, ctx) {
                Ok(required) => {
                    waits.push((results.len(), required));
                    DeletedRecords { error: ErrorCode::REQUEST_TIMED_OUT, low_watermark: self.low_watermark(&name) }
                }
                Err(error) => DeletedRecords { error, low_watermark: Offset::NONE },
            };
            results.push((name, result));
        }
        let expires = ctx.now() + request.timeout;
        self.purgatory.park_delete_records(request.token, DelayedDeleteRecords { expires, results, waits });
        self.check_delete_records(ctx);
    }

    /// A follower fetched, a leader changed: answers the requests that need wait no longer.
    pub(super) fn check_delete_records(&mut self, ctx: &mut Context<'_>) {
        for token in self.purgatory.waiting_delete_records() {
            let Some(mut delayed) = self.purgatory.take_delete_records(token) else { continue };
            let results = &mut delayed.results;
            delayed.waits.retain(|&(index, required)| {
                let (name, result) = &mut results[index];
                result.low_watermark = self.low_watermark(name);
                let settled = match self.hosted(name) {
                    Err(error) => Some(error),
                    Ok(_) if result.low_watermark == Offset::NONE => Some(ErrorCode::NOT_LEADER_OR_FOLLOWER),
                    Ok(_) => (result.low_watermark >= required).then_some(ErrorCode::NONE),
                };
                if let Some(error) = settled {
                    result.error = error;
                }
                settled.is_none()
            });
            if delayed.waits.is_empty() || delayed.expires <= ctx.now() {
                let completed = DeleteRecordsCompleted { token, results: delayed.results };
                self.completed.push_back(Completed::DeleteRecords(completed));
            } else {
                self.purgatory.park_delete_records(token, delayed);
            }
        }
    }

    /// Moves the log start offset of a leader; returns where to.
    fn delete_on_leader(
        &mut self,
        name: &TopicPartition,
        before: Offset,
        ctx: &mut Context<'_>,
    ) -> Result<Offset, ErrorCode> {
        self.hosted(name)?;
        let leads = self.partitions.get(name).is_some_and(|partition| partition.leader().is_some());
        let log = self.logs.get_mut(name).filter(|_| leads).ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER)?;
        if !log.config().cleanup_policy.delete {
            return Err(ErrorCode::POLICY_VIOLATION);
        }
        let to = if before == DeleteRecordsRequest::HIGH_WATERMARK { log.high_watermark() } else { before };
        if to < Offset(0) {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        let moved = log.maybe_increment_log_start_offset(to, LogStartReason::DeleteRecords, ctx);
        if moved == Err(ErrorCode::KAFKA_STORAGE_ERROR) {
            self.storage_failed(ctx);
        }
        moved.map(|_| to)
    }

    /// The smallest log start offset of the leader and its followers that are alive; -1 if it does not lead.
    fn low_watermark(&self, name: &TopicPartition) -> Offset {
        let (Some(partition), Some(log)) = (self.partitions.get(name), self.logs.get(name)) else {
            return Offset::NONE;
        };
        let Some(leader) = partition.leader() else { return Offset::NONE };
        let alive = |id: i32| self.around.brokers.get(&id).is_some_and(|broker| !broker.fenced);
        let followers = leader.followers.iter().filter(|follower| alive(follower.broker_id));
        // One that was never heard of counts as beginning at 0.
        followers.map(|follower| follower.log_start.max(Offset(0))).fold(log.log_start_offset(), Offset::min)
    }
}

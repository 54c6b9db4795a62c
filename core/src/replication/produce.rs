//! Produce requests: append to the leader's log, then answer, or wait for the replicas.
//!
//! Kafka: `ReplicaManager.appendRecords`, `Partition.appendRecordsToLeader`, `DelayedProduce`.
//!
//! ```text
//!  acks 0, 1   append ──▶ answered
//!  acks -1     |ISR| < min ──▶ NOT_ENOUGH_REPLICAS, nothing appended
//!              append ──▶ waits ──▶ high watermark there, |ISR| ≥ min    NONE
//!                               ├─▶ high watermark there, |ISR| < min    NOT_ENOUGH_REPLICAS_AFTER_APPEND
//!                               ├─▶ no longer leader                     NOT_LEADER_OR_FOLLOWER
//!                               └─▶ time is up                           REQUEST_TIMED_OUT
//! ```
//!
//! All but the first two may be in the log afterwards.

use bytes::Bytes;

use super::api::{AppendRequest, Completed, ProduceCompleted, ProduceResult};
use super::purgatory::{DelayedProduce, ReplicationWait};
use super::replica_manager::ReplicaManager;
use crate::fact::Fact;
use crate::log::{AppendError, AppendInfo};
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{NodeId, Offset, TopicPartition};

/// What an append to a leader's log did.
#[derive(Clone, Copy, Debug)]
struct Appended {
    info: AppendInfo,
    high_watermark_moved: bool,
}

impl ReplicaManager {
    /// Appends what a producer sent. The answer comes through [`ReplicaManager::next_completed`]: at once at acks 0 and
    /// 1, and as soon as the replicas have it, or the time is up, at acks=-1.
    pub fn append_records(&mut self, request: AppendRequest, ctx: &mut Context<'_>) {
        let AppendRequest { token, from, acks, timeout, entries } = request;
        let mut results = Vec::with_capacity(entries.len());
        let mut waits = Vec::new();
        let mut touched = Vec::with_capacity(entries.len());
        for (partition, batches) in entries {
            let result = match self.append_to_leader(&partition, batches, acks, ctx) {
                Ok(Appended { info, high_watermark_moved }) => {
                    touched.push((partition.clone(), high_watermark_moved));
                    if acks == -1 {
                        waits.push(ReplicationWait { index: results.len(), required: info.last_offset.next() });
                    }
                    ProduceResult {
                        error: if acks == -1 { ErrorCode::REQUEST_TIMED_OUT } else { ErrorCode::NONE },
                        base_offset: info.base_offset,
                        log_append_time: info.log_append_time,
                        log_start_offset: info.log_start_offset,
                    }
                }
                Err(error) => {
                    let log_start_offset = self.log_start_beside(error, &partition);
                    ProduceResult { log_start_offset, ..ProduceResult::failed(error) }
                }
            };
            results.push((partition, result));
        }
        if waits.is_empty() {
            self.answer_produce(token, from, acks, results, ctx);
        } else {
            for wait in &waits {
                if let Some(partition) = self.partitions.get_mut(&results[wait.index].0) {
                    partition.waiting_produces.push(token);
                }
            }
            self.purgatory.park_produce(token, DelayedProduce { from, expires: ctx.now() + timeout, results, waits });
        }
        for (partition, high_watermark_moved) in touched {
            // At acks=-1 the request itself may be waiting for nothing: a duplicate below the high watermark.
            if high_watermark_moved || acks == -1 {
                self.check_produces(&partition, ctx);
            }
            self.check_fetches(&partition, ctx);
        }
    }

    /// Where the log starts, in the answer to a batch that was refused. A producer that is told that it is unknown decides by it
    /// whether its records were deleted or lost (KAFKA-5793); with errors that say all there is to say it is left out.
    fn log_start_beside(&self, error: ErrorCode, name: &TopicPartition) -> Offset {
        match error {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::MESSAGE_TOO_LARGE
            | ErrorCode::CORRUPT_MESSAGE
            | ErrorCode::KAFKA_STORAGE_ERROR
            | ErrorCode::INVALID_TIMESTAMP => Offset::NONE,
            _ => self.logs.get(name).map_or(Offset::NONE, crate::log::UnifiedLog::log_start_offset),
        }
    }

    fn append_to_leader(
        &mut self,
        name: &TopicPartition,
        batches: Bytes,
        acks: i16,
        ctx: &mut Context<'_>,
    ) -> Result<Appended, ErrorCode> {
        let refused = |error: ErrorCode, ctx: &mut Context<'_>| {
            ctx.fact(Fact::AppendRefused { partition: name.clone(), error });
            Err(error)
        };
        if !matches!(acks, -1..=1) {
            return refused(ErrorCode::INVALID_REQUIRED_ACKS, ctx);
        }
        if let Err(error) = self.hosted(name) {
            return refused(error, ctx);
        }
        let around = &self.around;
        let (Some(partition), Some(log)) = (self.partitions.get(name), self.logs.get_mut(name)) else {
            return refused(ErrorCode::NOT_LEADER_OR_FOLLOWER, ctx);
        };
        let Some(leader) = partition.leader() else { return refused(ErrorCode::NOT_LEADER_OR_FOLLOWER, ctx) };
        if acks == -1 && leader.isr.isr().len() < leader.min_isr(log, around) {
            return refused(ErrorCode::NOT_ENOUGH_REPLICAS, ctx);
        }
        match log.append_as_leader(batches, partition.leader_epoch, ctx) {
            Ok(info) => {
                let high_watermark_moved = leader.maybe_advance_high_watermark(name, log, around, ctx);
                let task_due = log.task_due();
                self.note_roll(task_due);
                Ok(Appended { info, high_watermark_moved })
            }
            Err(AppendError::Refused(error)) => Err(error),
            Err(AppendError::Storage(_)) => {
                self.append_failed(name, ctx);
                Err(ErrorCode::KAFKA_STORAGE_ERROR)
            }
        }
    }

    /// Something happened to a partition: answers the produce requests that waited for it.
    pub(super) fn check_produces(&mut self, name: &TopicPartition, ctx: &mut Context<'_>) {
        let offline = self.lies_offline(name);
        let Some(partition) = self.partitions.get_mut(name) else { return };
        if partition.waiting_produces.is_empty() {
            return;
        }
        let mut tokens = std::mem::take(&mut partition.waiting_produces);
        let mut done = Vec::new();
        let around = &self.around;
        let (leader, log) = (partition.leader(), self.logs.get(name));
        let verdict = |required: Offset| match (leader, log) {
            _ if offline => Some(ErrorCode::KAFKA_STORAGE_ERROR),
            (Some(leader), Some(log)) => leader.acknowledge(required, log, around),
            _ => Some(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        };
        let purgatory = &mut self.purgatory;
        tokens.retain(|&token| {
            let Some(delayed) = purgatory.produce_mut(token) else { return false };
            if delayed.settle(name, verdict) {
                done.push(token);
                return false;
            }
            delayed.waits_for(name)
        });
        if let Some(partition) = self.partitions.get_mut(name) {
            partition.waiting_produces = tokens;
        }
        for token in done {
            self.complete_produce(token, ctx);
        }
    }

    /// Answers a produce request with what is known of it.
    pub(super) fn complete_produce(&mut self, token: u64, ctx: &mut Context<'_>) {
        if let Some(delayed) = self.purgatory.take_produce(token) {
            self.answer_produce(token, delayed.from, -1, delayed.results, ctx);
        }
    }

    fn answer_produce(
        &mut self,
        token: u64,
        to: NodeId,
        acks: i16,
        results: Vec<(TopicPartition, ProduceResult)>,
        ctx: &mut Context<'_>,
    ) {
        for (partition, result) in &results {
            let base_offset = if result.error.is_none() { result.base_offset } else { Offset::NONE };
            let partition = partition.clone();
            ctx.fact(Fact::ProduceAnswered { partition, to, base_offset, acks, error: result.error });
        }
        self.completed.push_back(Completed::Produce(ProduceCompleted { token, results }));
    }
}

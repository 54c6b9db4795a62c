//! Fetch requests of followers and consumers: read, answer, or wait for bytes.
//!
//! Kafka: `ReplicaManager.fetchMessages`, `readFromLog`; `Partition.fetchRecords`, `readRecords`; `DelayedFetch`.
//!
//! What a follower fetches *from* is what it has: the fetch itself moves its log end offset as the leader knows it, then
//! perhaps the ISR, then the high watermark. The answer carries the high watermark from before: a follower learns of
//! it one fetch later. A fetch that waited is read again when it is answered, but counts only once.
//!
//! A consumer in a rack where a follower is hears of it instead of records, and reads there, up to what that follower knows
//! to be committed (KIP-392).
//!
//! Not modelled: consumers without a rack that ask a follower (they hear that it does not lead), aborted
//! transactions, tiered storage; that a consumer whose offset lies between high watermark and log end is answered at once
//! with nothing (3.8): it waits, as before.

use bytes::Bytes;

use super::api::{Completed, FetchCompleted, FetchParams, FetchPartition, FetchResult};
use super::leader::{self, Leader};
use super::partition::Partition;
use super::purgatory::{Availability, DelayedFetch, FetchWait};
use super::replica::FollowerFetch;
use super::replica_manager::ReplicaManager;
use super::replica_selector::{ReplicaView, rack_aware};
use super::surroundings::Surroundings;
use crate::config::{KafkaVersion, ReplicaSelector};
use crate::fact::Fact;
use crate::log::UnifiedLog;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{LeaderEpoch, Offset, TopicPartition};

/// Since when consumers are sent to replicas in the ISR only (KAFKA-14372).
const READ_IN_SYNC_ONLY: KafkaVersion = KafkaVersion::new(3, 4);

/// A read that counts as a sign of life of the follower, or one that does not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    First,
    AfterWaiting,
}

/// What a fetcher is told about one partition, and whether the high watermark moved by its asking.
struct Answer {
    result: FetchResult,
    high_watermark_moved: bool,
}

/// What a response still has room for.
struct Limits {
    bytes: usize,
    /// The first batch of a response fits whatever its size, or a fetcher with small limits would never get on.
    min_one_batch: bool,
}

impl Limits {
    fn of(params: &FetchParams) -> Self {
        Self { bytes: usize::try_from(params.max_bytes).unwrap_or(0), min_one_batch: true }
    }
}

impl ReplicaManager {
    /// Reads for a follower or a consumer. The answer comes through [`ReplicaManager::next_completed`]: at once if there
    /// is enough, or something that must be heard; else when there is, or when the time is up.
    pub fn fetch(
        &mut self,
        params: FetchParams,
        partitions: Vec<(TopicPartition, FetchPartition)>,
        ctx: &mut Context<'_>,
    ) {
        let mut results = Vec::with_capacity(partitions.len());
        let mut moved = Vec::new();
        let mut limits = Limits::of(&params);
        for (name, ask) in &partitions {
            let answer = self.read_within(&params, Read::First, name, ask, &mut limits, ctx);
            if answer.high_watermark_moved {
                moved.push(name.clone());
            }
            results.push(answer.result);
        }
        for partition in moved {
            self.check_produces(&partition, ctx);
            self.check_fetches(&partition, ctx);
        }
        if params.is_from_follower() {
            self.check_delete_records(ctx);
        }
        let bytes: usize = results.iter().map(|result| result.records.len()).sum();
        let urgent = results.iter().any(|result| {
            !result.error.is_none() || result.diverging.is_some() || result.preferred_read_replica.is_some()
        });
        let enough = bytes >= usize::try_from(params.min_bytes).unwrap_or(0);
        if params.max_wait.as_nanos() == 0 || partitions.is_empty() || urgent || enough {
            let results = partitions.into_iter().map(|(name, _)| name).zip(results).collect();
            self.completed.push_back(Completed::Fetch(FetchCompleted { token: params.token, results }));
            return;
        }
        let mut available = 0;
        let mut entries = Vec::with_capacity(partitions.len());
        for (index, ((name, ask), result)) in partitions.into_iter().zip(&results).enumerate() {
            if let Some(partition) = self.partitions.get_mut(&name) {
                partition.waiting_fetches.push((params.token, index));
            }
            let bytes = result.records.len() as u64;
            available += bytes;
            entries.push(FetchWait { partition: name, ask, available: bytes });
        }
        let (token, expires) = (params.token, ctx.now() + params.max_wait);
        self.purgatory.park_fetch(token, DelayedFetch { params, expires, entries, available });
    }

    /// In which epoch this broker leads a partition, or why it does not.
    pub fn leadership(&self, name: &TopicPartition) -> Result<LeaderEpoch, ErrorCode> {
        let partition = self.hosted(name)?;
        partition.leader().map(|_| partition.leader_epoch).ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER)
    }

    /// What a log has that is committed, from an offset on; whole batches.
    pub fn read_committed(
        &mut self,
        name: &TopicPartition,
        from: Offset,
        (max_bytes, min_one_batch): (usize, bool),
        ctx: &mut Context<'_>,
    ) -> Result<Bytes, ErrorCode> {
        let log = self.logs.get(name).ok_or(ErrorCode::KAFKA_STORAGE_ERROR)?;
        let up_to = log.high_watermark();
        let read = log.read(from, up_to, max_bytes, min_one_batch, ctx);
        read.inspect_err(|error| self.read_failed(name, *error, ctx))
    }

    /// A log could not be read: where the disk is to blame, its directory is offline (`UnifiedLog.maybeHandleIOException`).
    pub fn read_failed(&mut self, name: &TopicPartition, error: ErrorCode, ctx: &mut Context<'_>) {
        if error == ErrorCode::KAFKA_STORAGE_ERROR {
            self.logs.blame(name);
            self.storage_failed(ctx);
        }
    }

    /// The connection on which a fetch came is gone: nobody waits for it any more. A produce request goes on waiting,
    /// its records are in the log.
    pub fn cancel(&mut self, token: u64) {
        if let Some(delayed) = self.purgatory.take_fetch(token) {
            self.forget_fetch(token, &delayed);
        }
    }

    /// Something happened to a partition: answers the fetch requests that waited for it and have enough now.
    pub(super) fn check_fetches(&mut self, name: &TopicPartition, ctx: &mut Context<'_>) {
        let Some(partition) = self.partitions.get(name) else { return };
        if partition.waiting_fetches.is_empty() {
            return;
        }
        let log = self.logs.get(name).filter(|_| !self.offline);
        let mut done = Vec::new();
        for &(token, index) in &partition.waiting_fetches {
            let Some(delayed) = self.purgatory.fetch_mut(token) else { continue };
            let found = match log {
                Some(log) => {
                    availability(partition, log, &self.around, &delayed.params, &delayed.entries[index].ask, ctx)
                }
                None => Availability::Urgent,
            };
            if delayed.note(index, found) {
                done.push(token);
            }
        }
        for token in done {
            self.complete_fetch(token, ctx);
        }
    }

    /// Answers a fetch request that waited, with what is there now.
    pub(super) fn complete_fetch(&mut self, token: u64, ctx: &mut Context<'_>) {
        let Some(delayed) = self.purgatory.take_fetch(token) else { return };
        self.forget_fetch(token, &delayed);
        let mut results = Vec::with_capacity(delayed.entries.len());
        let mut limits = Limits::of(&delayed.params);
        for FetchWait { partition, ask, .. } in delayed.entries {
            let answer = self.read_within(&delayed.params, Read::AfterWaiting, &partition, &ask, &mut limits, ctx);
            results.push((partition, answer.result));
        }
        self.completed.push_back(Completed::Fetch(FetchCompleted { token, results }));
    }

    fn forget_fetch(&mut self, token: u64, delayed: &DelayedFetch) {
        for entry in &delayed.entries {
            if let Some(partition) = self.partitions.get_mut(&entry.partition) {
                partition.waiting_fetches.retain(|&(waiting, _)| waiting != token);
            }
        }
    }

    /// Reads one partition within what the partitions before it have left of the limits.
    fn read_within(
        &mut self,
        params: &FetchParams,
        read: Read,
        name: &TopicPartition,
        ask: &FetchPartition,
        limits: &mut Limits,
        ctx: &mut Context<'_>,
    ) -> Answer {
        let max_bytes = usize::try_from(ask.max_bytes).unwrap_or(0).min(limits.bytes);
        let read = self.read_partition(params, read, name, ask, (max_bytes, limits.min_one_batch), ctx);
        let answer = read.unwrap_or_else(|error| {
            if !self.lies_offline(name) {
                self.read_failed(name, error, ctx);
            }
            Answer { result: FetchResult::failed(error), high_watermark_moved: false }
        });
        limits.min_one_batch &= answer.result.records.is_empty();
        limits.bytes = limits.bytes.saturating_sub(answer.result.records.len());
        answer
    }

    fn read_partition(
        &mut self,
        params: &FetchParams,
        read: Read,
        name: &TopicPartition,
        ask: &FetchPartition,
        (max_bytes, min_one_batch): (usize, bool),
        ctx: &mut Context<'_>,
    ) -> Result<Answer, ErrorCode> {
        let partition = self.hosted(name)?;
        let Some(log) = self.logs.get(name) else { return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER) };
        partition.check_epoch(ask.current_leader_epoch, &self.around)?;
        let follower = match partition.leader() {
            None if params.reads_followers() => None,
            None => return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            Some(leader) if params.is_from_follower() => Some(find_follower(leader, params, ask)?),
            Some(_) => None,
        };
        let leader_end = log.log_end_offset();
        let high_watermark = log.high_watermark();
        let mut result = FetchResult {
            error: ErrorCode::NONE,
            high_watermark,
            last_stable_offset: high_watermark,
            log_start_offset: log.log_start_offset(),
            diverging: diverging_epoch(log, ask)?,
            records: Bytes::new(),
            preferred_read_replica: self.preferred_read_replica(partition, params, ask),
        };
        if result.preferred_read_replica.is_some() {
            result.diverging = None;
            return Ok(Answer { result, high_watermark_moved: false });
        }
        if result.diverging.is_some() {
            return Ok(Answer { result, high_watermark_moved: false });
        }
        let up_to = if follower.is_some() { leader_end } else { high_watermark };
        // Read first: who is held back hears all the same that there is nothing at its offset.
        let records = log.read(ask.fetch_offset, up_to, max_bytes, min_one_batch, ctx)?;
        let lags = params.is_from_follower()
            && partition.leader().is_some_and(|leader| !leader.isr.contains(params.replica_id));
        let held_back = lags && self.throttle.holds_back(name, params.replica_id, ctx);
        if !held_back {
            result.records = records;
        }
        if follower.is_some() {
            self.throttle.record(name, result.records.len(), ctx.now());
        }
        let mut high_watermark_moved = false;
        if let (Some(follower), Read::First) = (follower, read) {
            if leader::is_stale(params.replica_id, params.replica_epoch, &self.around) {
                return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
            }
            let fetch = FollowerFetch {
                offset: ask.fetch_offset,
                log_start: ask.log_start_offset,
                at: ctx.wall_clock(),
                leader_end,
                broker_epoch: params.replica_epoch,
            };
            high_watermark_moved = self.follower_fetched(name, follower, fetch, ctx);
        }
        Ok(Answer { result, high_watermark_moved })
    }

    /// The follower from which a consumer should read, in the leader's opinion.
    fn preferred_read_replica(&self, partition: &Partition, params: &FetchParams, ask: &FetchPartition) -> Option<i32> {
        let config = &self.around.config;
        if !params.reads_followers() || config.replica_selector_class == ReplicaSelector::Leader {
            return None;
        }
        let leader = partition.leader()?;
        let rack = |id: i32| self.around.brokers.get(&id).filter(|broker| !broker.fenced)?.rack.as_deref();
        let followers = leader.followers.iter().filter(|replica| {
            (leader.isr.contains(replica.broker_id) || config.version < READ_IN_SYNC_ONLY)
                && replica.log_start <= ask.fetch_offset
                && ask.fetch_offset <= replica.log_end
        });
        let views = followers.map(|replica| ReplicaView {
            broker_id: replica.broker_id,
            rack: rack(replica.broker_id),
            log_end: replica.log_end,
            last_caught_up: replica.last_caught_up(),
        });
        rack_aware(&params.client_rack, rack(config.broker_id), views)
    }

    /// The leader learns from a fetch how far a follower is. True if the high watermark moved.
    fn follower_fetched(
        &mut self,
        name: &TopicPartition,
        follower: usize,
        fetch: FollowerFetch,
        ctx: &mut Context<'_>,
    ) -> bool {
        let (Some(partition), Some(log)) = (self.partitions.get_mut(name), self.logs.get_mut(name)) else {
            return false;
        };
        let Some(leader) = partition.leader_mut() else { return false };
        let effect = leader.follower_fetched(follower, fetch, log, &self.around);
        if effect.log_end_moved {
            let broker_id = leader.followers[follower].broker_id;
            ctx.fact(Fact::FollowerFetched { partition: name.clone(), follower: broker_id, log_end: fetch.offset });
        }
        if effect.expand {
            self.next_proposal += 1;
            self.proposals.extend(partition.propose(self.next_proposal, &self.around, ctx));
        }
        let Some(leader) = partition.leader() else { return false };
        Leader::looks_at_high_watermark(effect, &self.around)
            && leader.maybe_advance_high_watermark(name, log, &self.around, ctx)
    }
}

/// The follower that asks, if the leader knows it as one.
fn find_follower(leader: &Leader, params: &FetchParams, ask: &FetchPartition) -> Result<usize, ErrorCode> {
    leader.position(params.replica_id).ok_or(if ask.current_leader_epoch.is_some() {
        // Its assignment may be news that has not come here yet: it shall try again.
        ErrorCode::UNKNOWN_LEADER_EPOCH
    } else {
        ErrorCode::NOT_LEADER_OR_FOLLOWER
    })
}

/// Where the fetcher's log leaves that of the leader, if it does (KIP-595).
fn diverging_epoch(log: &UnifiedLog, ask: &FetchPartition) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
    let Some(last_epoch) = ask.last_fetched_epoch else { return Ok(None) };
    let (epoch, end) = log.end_offset_for_epoch(last_epoch).ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?;
    if ask.fetch_offset < log.log_start_offset() {
        return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
    }
    Ok((epoch < last_epoch || end < ask.fetch_offset).then_some((epoch, end)))
}

/// What a fetch that waits would find now.
fn availability(
    partition: &Partition,
    log: &UnifiedLog,
    around: &Surroundings,
    params: &FetchParams,
    ask: &FetchPartition,
    ctx: &mut Context<'_>,
) -> Availability {
    let served = partition.leader().is_some() || params.reads_followers();
    if !served || partition.check_epoch(ask.current_leader_epoch, around).is_err() {
        return Availability::Urgent;
    }
    let up_to = if params.is_from_follower() { log.log_end_offset() } else { log.high_watermark() };
    let diverges = !matches!(diverging_epoch(log, ask), Ok(None));
    if diverges || (params.is_from_follower() && ask.fetch_offset > up_to) {
        return Availability::Urgent;
    }
    if ask.fetch_offset >= up_to {
        return Availability::Bytes(0);
    }
    if params.min_bytes <= 1 {
        return Availability::Bytes(1);
    }
    let max_bytes = usize::try_from(ask.max_bytes).unwrap_or(0);
    match log.read(ask.fetch_offset, up_to, max_bytes, true, ctx) {
        Ok(records) => Availability::Bytes(records.len() as u64),
        Err(_) => Availability::Urgent,
    }
}

//! Copies the partitions that one leader broker leads.
//!
//! Kafka: `AbstractFetcherThread`, `ReplicaFetcherThread`, `RemoteLeaderEndPoint`.
//!
//! One request is in flight at a time, for all partitions together:
//!
//! ```text
//!              no epochs in the log: cut to the high watermark
//!  Truncating ─────────────────────────────────────────────────▶ Fetching ◀──┐ records: append, high watermark
//!      │  ▲ OffsetForLeaderEpoch, epoch by epoch (until 2.6)      │  │  ▲  └──┘ diverging epoch: cut, fetch on (2.7)
//!      └──┴───────────────────────────────────────────────────────┘  │  │
//!                                                 OFFSET_OUT_OF_RANGE ▼  │ ListOffsets: the leader's end, then its start
//!                                                               OutOfRange
//! ```
//!
//! A partition with an error rests for `replica.fetch.backoff.ms`; one whose leader is in a newer epoch is dropped until
//! metadata brings that epoch. A lost connection lets all of them rest. So does the follower's limit (KIP-73) those that are behind.
//!
//! Not modelled: several fetchers per leader, tiered storage, rotation of partitions in a full fetch that does not fit a response.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use uuid::Uuid;

use super::fetch_session::FetchSession;
use super::high_watermark;
use super::surroundings::Surroundings;
use super::throttle::ReplicationThrottle;
use super::truncation::{TruncationPoint, truncation_point};
use crate::client::network_client::RequestToken;
use crate::config::Truncation;
use crate::fact::{Fact, LogStartReason, Role, TruncationReason};
use crate::log::{AppendError, LogManager, UnifiedLog};
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{Instant, LeaderEpoch, Offset, TopicPartition, earliest};

/// The disk failed; the log has said how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageFailure;

/// Where fetching begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFrom {
    /// The topic's id.
    pub topic_id: Uuid,
    /// Records from here on.
    pub offset: Offset,
    /// The leader's epoch.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the last record in the log; none: the log has to be truncated before fetching.
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

/// One partition of a fetcher.
#[derive(Clone, Debug)]
pub(super) struct FetchState {
    pub(super) from: FetchFrom,
    pub(super) phase: Phase,
    rests_until: Option<Instant>,
    /// By how many records it is behind the leader's high watermark; none before the first answer.
    lag: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Truncating,
    Fetching,
    /// The leader does not have the offset: where does its log end?
    OutOfRange,
    /// Not before the follower's own end: where does it start?
    OutOfRangeBelow,
}

impl Phase {
    pub(super) fn is_out_of_range(self) -> bool {
        matches!(self, Phase::OutOfRange | Phase::OutOfRangeBelow)
    }
}

/// The request in flight.
#[derive(Clone, Debug)]
pub(super) enum InFlight {
    Fetch,
    /// Per partition the leader epoch in which it was asked.
    Epochs(BTreeMap<TopicPartition, LeaderEpoch>),
    /// Where does the leader's log end? Asked in this leader epoch.
    LatestOffset(TopicPartition, LeaderEpoch),
    /// Where does it start?
    EarliestOffset(TopicPartition, LeaderEpoch),
}

/// What a fetch response says of one partition.
#[derive(Clone, Debug)]
pub(super) struct FetchedPartition {
    pub(super) error: ErrorCode,
    pub(super) high_watermark: Offset,
    pub(super) log_start: Offset,
    pub(super) diverging: Option<(LeaderEpoch, Offset)>,
    pub(super) records: bytes::Bytes,
}

/// Copies the partitions that one broker leads.
#[derive(Clone, Debug)]
pub(super) struct ReplicaFetcher {
    pub(super) leader: i32,
    pub(super) partitions: BTreeMap<TopicPartition, FetchState>,
    pub(super) session: FetchSession,
    pub(super) in_flight: Option<(RequestToken, InFlight)>,
    pub(super) truncating: BTreeSet<TopicPartition>,
    pub(super) out_of_range: VecDeque<TopicPartition>,
    resting: BTreeSet<(Instant, TopicPartition)>,
    /// When a log that was appended to has something to do in the background.
    pub(super) task_due: Option<Instant>,
    /// Partitions whose high watermark has moved: consumers may be waiting for it (KIP-392).
    pub(super) advanced: Vec<TopicPartition>,
    /// What the last answer brought, in bytes.
    pub(super) fetched: Vec<(TopicPartition, usize)>,
}

impl FetchState {
    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Fetching && self.rests_until.is_none()
    }

    pub(super) fn rests(&self) -> bool {
        self.rests_until.is_some()
    }
}

impl ReplicaFetcher {
    pub(super) fn new(leader: i32) -> Self {
        Self {
            leader,
            partitions: BTreeMap::new(),
            session: FetchSession::default(),
            in_flight: None,
            truncating: BTreeSet::new(),
            out_of_range: VecDeque::new(),
            resting: BTreeSet::new(),
            task_due: None,
            advanced: Vec::new(),
            fetched: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, name: TopicPartition, from: FetchFrom) {
        let phase = if from.last_fetched_epoch.is_some() { Phase::Fetching } else { Phase::Truncating };
        if phase == Phase::Truncating {
            self.truncating.insert(name.clone());
        }
        self.session.changed(&name);
        self.partitions.insert(name, FetchState { from, phase, rests_until: None, lag: None });
    }

    pub(super) fn remove(&mut self, name: &TopicPartition) {
        let Some(state) = self.partitions.remove(name) else { return };
        self.truncating.remove(name);
        self.out_of_range.retain(|other| other != name);
        if let Some(until) = state.rests_until {
            self.resting.remove(&(until, name.clone()));
        }
        self.session.changed(name);
    }

    /// The leader goes on in a new epoch: it is asked in that one from now on. False if the partition is not here.
    pub(super) fn update_epoch(&mut self, name: &TopicPartition, epoch: LeaderEpoch) -> bool {
        let Some(state) = self.partitions.get_mut(name) else { return false };
        state.from.current_leader_epoch = epoch;
        self.session.changed(name);
        true
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.resting.first().map(|(at, _)| *at)
    }

    /// Wakes the partitions that have rested long enough.
    pub(super) fn wake(&mut self, now: Instant) {
        while self.resting.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, name)) = self.resting.pop_first() else { return };
            if let Some(state) = self.partitions.get_mut(&name) {
                state.rests_until = None;
                self.session.changed(&name);
            }
        }
    }

    /// Lets a partition rest after an error.
    pub(super) fn rest(&mut self, name: &TopicPartition, around: &Surroundings, now: Instant) {
        let Some(state) = self.partitions.get_mut(name) else { return };
        if state.phase.is_out_of_range() {
            state.phase = Phase::Fetching;
            self.out_of_range.retain(|other| other != name);
        }
        if state.rests_until.is_none() {
            let until = now + around.config.replica_fetch_backoff_ms;
            state.rests_until = Some(until);
            self.resting.insert((until, name.clone()));
        }
        self.session.changed(name);
    }

    /// Lets partitions rest that are behind while the limit is exceeded. One that is not stays in the ISR.
    pub(super) fn hold_back(
        &mut self,
        throttle: &mut ReplicationThrottle,
        around: &Surroundings,
        ctx: &mut Context<'_>,
    ) {
        if !throttle.is_set() {
            return;
        }
        let behind = self.partitions.iter().filter(|(_, state)| state.is_ready() && state.lag != Some(0));
        let names: Vec<TopicPartition> = behind.map(|(name, _)| name.clone()).collect();
        for name in names {
            if throttle.holds_back(&name, around.config.broker_id, ctx) {
                self.rest(&name, around, ctx.now());
            }
        }
    }

    /// The connection is gone, or could not be opened.
    pub(super) fn on_connection_lost(&mut self, around: &Surroundings, now: Instant) {
        self.in_flight = None;
        self.session.on_failure();
        let names: Vec<TopicPartition> = self.partitions.keys().cloned().collect();
        for name in names {
            self.rest(&name, around, now);
        }
    }

    /// The leader is in a newer epoch. If that is news to the question too, the partition is done with until metadata
    /// brings the epoch; else the state has moved on since the question.
    pub(super) fn on_fenced(
        &mut self,
        name: &TopicPartition,
        asked_in: LeaderEpoch,
        around: &Surroundings,
        now: Instant,
    ) {
        let Some(state) = self.partitions.get(name) else { return };
        if state.from.current_leader_epoch == asked_in {
            self.remove(name);
        } else {
            self.rest(name, around, now);
        }
    }

    /// Cuts the logs that have no epochs to ask about, or that nobody asks about, down to the high watermark.
    pub(super) fn truncate_without_epochs(
        &mut self,
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        let nobody_asks = around.config.toggles.truncation == Truncation::Hw;
        let without_epochs =
            |name: &&TopicPartition| logs.get(name).is_some_and(|log| nobody_asks || log.latest_epoch().is_none());
        let reason = if nobody_asks { TruncationReason::ToHighWatermark } else { TruncationReason::EpochsUnknown };
        let names: Vec<TopicPartition> = self
            .truncating
            .iter()
            .filter(|name| self.partitions.get(*name).is_some_and(|state| !state.rests()))
            .filter(without_epochs)
            .cloned()
            .collect();
        for name in names {
            let Some(state) = self.partitions.get(&name) else { continue };
            let point = TruncationPoint { offset: state.from.offset, completed: true };
            self.truncate(&name, point, reason, Truncation::OnFetch, logs, ctx)?;
        }
        Ok(())
    }

    /// The leader's answer about the last epoch of the follower's log, or the diverging epoch in a fetch response.
    pub(super) fn on_epoch_end(
        &mut self,
        name: &TopicPartition,
        answer: Option<(LeaderEpoch, Offset)>,
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        let (Some(state), Some(log)) = (self.partitions.get(name), logs.get(name)) else { return Ok(()) };
        let lookup = |epoch| log.end_offset_for_epoch(epoch);
        let method = around.config.toggles.truncation;
        let point = truncation_point(method, answer, state.from.offset, log.log_end_offset(), lookup);
        let reason = if answer.is_some() { TruncationReason::Diverged } else { TruncationReason::ToHighWatermark };
        self.truncate(name, point, reason, method, logs, ctx)
    }

    fn truncate(
        &mut self,
        name: &TopicPartition,
        point: TruncationPoint,
        reason: TruncationReason,
        method: Truncation,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        logs.truncate_to(name, point.offset, reason, ctx).map_err(|_| StorageFailure)?;
        let done = point.completed || method == Truncation::OnFetch;
        let phase = if done { Phase::Fetching } else { Phase::Truncating };
        self.move_to(name, point.offset, latest_epoch(logs, name), phase);
        Ok(())
    }

    fn move_to(&mut self, name: &TopicPartition, offset: Offset, last_epoch: Option<LeaderEpoch>, phase: Phase) {
        let Some(state) = self.partitions.get_mut(name) else { return };
        state.from.offset = offset;
        state.from.last_fetched_epoch = last_epoch;
        state.phase = phase;
        if phase != Phase::Truncating {
            self.truncating.remove(name);
        }
        self.session.changed(name);
    }

    /// What the leader answered about one partition in a fetch.
    pub(super) fn on_fetched(
        &mut self,
        name: &TopicPartition,
        fetched: FetchedPartition,
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        let (Some(state), Some(asked)) = (self.partitions.get_mut(name), self.session.asked(name)) else {
            return Ok(());
        };
        // It may have been truncated, or removed and added again, since it was asked for.
        if !state.is_ready() || asked.fetch_offset != state.from.offset {
            return Ok(());
        }
        match fetched.error {
            ErrorCode::NONE => match fetched.diverging {
                Some(_) if around.config.toggles.truncation == Truncation::OnFetch => {
                    self.on_epoch_end(name, fetched.diverging, around, logs, ctx)
                }
                Some(_) | None => self.on_records(name, fetched, around, logs, ctx),
            },
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                state.phase = Phase::OutOfRange;
                self.out_of_range.push_back(name.clone());
                self.session.changed(name);
                Ok(())
            }
            ErrorCode::FENCED_LEADER_EPOCH => {
                self.on_fenced(name, asked.current_leader_epoch, around, ctx.now());
                Ok(())
            }
            _ => {
                self.rest(name, around, ctx.now());
                Ok(())
            }
        }
    }

    fn on_records(
        &mut self,
        name: &TopicPartition,
        fetched: FetchedPartition,
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        let (Some(state), Some(log)) = (self.partitions.get_mut(name), logs.get_mut(name)) else { return Ok(()) };
        if state.from.offset != log.log_end_offset() {
            // The log is not where its fetcher left it. Kafka gives the partition up until there is a new epoch.
            self.remove(name);
            return Ok(());
        }
        // Kafka: `Partition.appendRecordsToFollowerOrFutureReplica`.
        if let Some(begin) = log.begins_inside(&fetched.records) {
            let reason = TruncationReason::InsideBatch;
            logs.truncate_fully_and_start_at(name, begin, reason, ctx).map_err(|_| StorageFailure)?;
        }
        let Some(log) = logs.get_mut(name) else { return Ok(()) };
        let had_records = !fetched.records.is_empty();
        if had_records {
            self.fetched.push((name.clone(), fetched.records.len()));
            match log.append_as_follower(fetched.records, ctx) {
                Ok(Some(info)) => {
                    state.from.offset = info.last_offset.next();
                    state.from.last_fetched_epoch = Some(info.leader_epoch);
                    self.session.changed(name);
                    self.task_due = earliest([self.task_due, log.task_due()]);
                }
                Ok(None) => {}
                Err(AppendError::Refused(error)) => {
                    let offset = state.from.offset;
                    ctx.fact(Fact::FetchRefused { partition: name.clone(), offset, error });
                    match error {
                        ErrorCode::CORRUPT_MESSAGE | ErrorCode::INVALID_RECORD => self.rest(name, around, ctx.now()),
                        // What was not foreseen: given up until there is a new epoch (`markPartitionFailed`, KIP-461).
                        _ => self.remove(name),
                    }
                    return Ok(());
                }
                Err(AppendError::Storage(_)) => return Err(StorageFailure),
            }
        }
        if had_records || state.lag.is_none() {
            state.lag = Some(fetched.high_watermark.0.saturating_sub(state.from.offset.0).max(0));
        }
        if follow_high_watermark(name, fetched.high_watermark, log, ctx) {
            self.advanced.push(name.clone());
        }
        match log.maybe_increment_log_start_offset(fetched.log_start, LogStartReason::Leader, ctx) {
            Ok(_) => Ok(()),
            // Its own high watermark has to get there first.
            Err(ErrorCode::OFFSET_OUT_OF_RANGE) => Ok(()),
            Err(_) => Err(StorageFailure),
        }
    }

    /// The leader's log ends at `end`. Its own log reaches further: that is cut, and it fetches from there. Otherwise
    /// what it asked for lies before the leader's start, or the leader has grown since: true, its start must be asked.
    pub(super) fn on_leader_end(
        &mut self,
        name: &TopicPartition,
        end: Offset,
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<bool, StorageFailure> {
        let Some(log) = logs.get(name).filter(|log| end < log.log_end_offset()) else { return Ok(true) };
        if !around.config.toggles.oor_not_fatal && !log.config().unclean_leader_election_enable {
            let (partition, log_end) = (name.clone(), log.log_end_offset());
            ctx.fact(Fact::TruncationForbidden { partition, leader_end: end, log_end });
            self.remove(name);
            ctx.exit();
            return Ok(false);
        }
        logs.truncate_to(name, end, TruncationReason::OutOfRange, ctx).map_err(|_| StorageFailure)?;
        self.out_of_range.retain(|other| other != name);
        self.move_to(name, end, latest_epoch(logs, name), Phase::Fetching);
        Ok(false)
    }

    /// The leader's log starts at `start`: if its own ends before that, it begins anew there; else it fetches on. Before
    /// KAFKA-2143 it did not look at its own end, and gave up all it had although the leader had only grown meanwhile.
    pub(super) fn on_leader_start(
        &mut self,
        name: &TopicPartition,
        start: Offset,
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        let Some(end) = logs.get(name).map(UnifiedLog::log_end_offset) else { return Ok(()) };
        let keeps_log = start <= end && around.config.toggles.oor_keep_log;
        if !keeps_log {
            logs.truncate_fully_and_start_at(name, start, TruncationReason::OutOfRange, ctx)
                .map_err(|_| StorageFailure)?;
        }
        self.out_of_range.retain(|other| other != name);
        let offset = if keeps_log { end } else { start };
        self.move_to(name, offset, latest_epoch(logs, name), Phase::Fetching);
        Ok(())
    }
}

fn latest_epoch(logs: &LogManager, name: &TopicPartition) -> Option<LeaderEpoch> {
    logs.get(name).and_then(UnifiedLog::latest_epoch)
}

fn follow_high_watermark(name: &TopicPartition, leaders: Offset, log: &mut UnifiedLog, ctx: &mut Context<'_>) -> bool {
    let from = log.high_watermark();
    let to = high_watermark::of_follower(leaders, log.log_start_offset(), log.log_end_offset());
    let moved = to != from && log.set_high_watermark(to);
    if moved {
        ctx.fact(Fact::HighWatermarkAdvanced { partition: name.clone(), role: Role::Follower, from, to });
    }
    moved
}

#[cfg(test)]
#[path = "fetcher_tests.rs"]
mod tests;

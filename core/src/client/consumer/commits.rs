//! Saying how far a consumer has come, and finding out how far its group had.
//!
//! Kafka: `ConsumerCoordinator` (`commitOffsetsSync`, `commitOffsetsAsync`, `maybeAutoCommitOffsetsAsync`,
//! `refreshCommittedOffsetsIfNeeded`), `CommitRequestManager` (`PendingRequests`).
//!
//! What is committed automatically are *positions*: what `poll()` has returned, processed or not. It happens at the start
//! of a `poll()`, so a program that has processed everything when it polls again loses nothing; before a rebalance; and
//! in `close()`. An asynchronous commit is never repeated by the consumer: a later one may have overtaken it.
//!
//! A commit that is tried again goes to the end of the queue. A client of the classic protocol has only one such at a time; one of the
//! consumer protocol may have several (`wakeup()` interrupts the call, not the commit), and then an older one can come last.
//!
//! A `commitSync()` that `wakeup()` interrupts has been sent, in general: that the call throws does not say that nothing is
//! committed. (Not modelled: one between two attempts sleeps to the end of its backoff first.)

use std::collections::BTreeMap;

use kafka_protocol::messages::{OffsetCommitResponse, OffsetFetchResponse};

use super::coordinator::{ConsumerCoordinator, GroupEvent, MemberState, Purpose};
use super::group_wire;
use super::subscription_state::{FetchState, SubscriptionState};
use crate::client::metadata::ClientMetadata;
use crate::config::KafkaVersion;
use crate::fact::{Fact, ResetReason};
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{Instant, LeaderEpoch, Offset, TopicPartition};

/// A member between two generations is told so, and not that it is none (KAFKA-8104).
const SAYS_REBALANCE_IN_PROGRESS: KafkaVersion = KafkaVersion::new(2, 5);

/// Offsets to commit: the next to be read, and the epoch of the last read.
pub(super) type Positions = BTreeMap<TopicPartition, (Offset, LeaderEpoch)>;

/// Who wants it, and whether it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitKind {
    /// `commitSync()`: until it succeeds, cannot succeed, or the time is up.
    Sync {
        /// The application's name for the call.
        call: u64,
        /// When the call throws a `TimeoutException`.
        until: Instant,
    },
    /// `commitSync()` that `wakeup()` has interrupted: nobody waits for it. One of the consumer protocol is tried again all the
    /// same, until then: a thread of the client's own does it.
    Interrupted {
        /// When it is given up.
        until: Instant,
    },
    /// `commitAsync()`: once.
    Async {
        /// The application's name for the call.
        call: u64,
    },
    /// Automatically, in `poll()`: once.
    Auto,
    /// Automatically, before a rebalance or in `close()`: until then.
    Last {
        /// When nobody waits for it any more.
        until: Instant,
    },
}

/// A commit on its way.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub kind: CommitKind,
    pub offsets: Positions,
    /// It is not sent before.
    pub not_before: Instant,
}

impl Commit {
    pub fn precedes_rejoin(&self) -> bool {
        matches!(self.kind, CommitKind::Last { .. })
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let until = match self.kind {
            CommitKind::Sync { until, .. } | CommitKind::Last { until } | CommitKind::Interrupted { until } => {
                Some(until)
            }
            CommitKind::Async { .. } | CommitKind::Auto => None,
        };
        let waits = (self.not_before > Instant::START).then_some(self.not_before);
        waits.into_iter().chain(until).min()
    }
}

impl ConsumerCoordinator {
    /// The application commits.
    pub fn commit(&mut self, kind: CommitKind, offsets: Positions) {
        if offsets.is_empty() {
            self.report(kind, Ok(()));
            return;
        }
        self.commits.push_back(Commit { kind, offsets, not_before: Instant::START });
    }

    pub fn maybe_auto_commit(&mut self, subscription: &SubscriptionState, now: Instant) {
        if self.modern.is_some() && self.is_managed() {
            return self.note_auto_commit(subscription, now);
        }
        if !self.config.enable_auto_commit || self.auto_commit_at > now {
            return;
        }
        self.auto_commit_at = now + self.config.auto_commit_interval_ms;
        let is_out = self.is_managed() && self.generation < 0;
        let offsets = subscription.positions();
        if !is_out && !offsets.is_empty() {
            self.commit(CommitKind::Auto, offsets);
        }
    }

    /// What has been returned is committed before it is given up. False if there is nothing.
    pub fn commit_before_rejoin(&mut self, subscription: &SubscriptionState, until: Instant) -> bool {
        let offsets = subscription.positions();
        if offsets.is_empty() {
            return false;
        }
        self.commit(CommitKind::Last { until }, offsets);
        true
    }

    pub fn is_committing_for_rejoin(&self) -> bool {
        self.commits.iter().any(Commit::precedes_rejoin)
            || self.is_under_way(|purpose| matches!(purpose, Purpose::Commit(commit) if commit.precedes_rejoin()))
    }

    pub fn send_commits(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let mut waiting = std::mem::take(&mut self.commits);
        while let Some(mut commit) = waiting.pop_front() {
            let until = match commit.kind {
                CommitKind::Sync { until, .. } | CommitKind::Last { until } | CommitKind::Interrupted { until } => {
                    until
                }
                CommitKind::Async { .. } | CommitKind::Auto => Instant::NEVER,
            };
            if until <= now {
                self.finish(&commit, ErrorCode::REQUEST_TIMED_OUT, ctx);
                continue;
            }
            if let Some(error) = self.has_no_right_to_commit() {
                self.finish(&commit, error, ctx);
                continue;
            }
            if commit.not_before <= now {
                commit.not_before = Instant::START;
            }
            // Like one socket: in the order in which they were wanted. In the consumer protocol none waits for the pause of another.
            let is_blocked = commit.not_before > now || self.modern.is_none() && !self.commits.is_empty();
            let request = |me: &Self| group_wire::commit(me, &commit.offsets);
            if is_blocked || !self.send(request, Purpose::Commit(commit.clone()), ctx) {
                self.commits.push_back(commit);
            }
        }
    }

    /// A member that is between two generations, or in none, does not even ask: `commitSync()` throws. If it asked
    /// without a generation, a group that has become empty meanwhile would take what a former member says.
    fn has_no_right_to_commit(&self) -> Option<ErrorCode> {
        match self.state {
            // A member of the consumer protocol asks in any case, without an epoch if it is none.
            _ if !self.is_managed() || self.modern.is_some() => None,
            MemberState::Stable | MemberState::Preparing(_) => None,
            _ if self.config.version < SAYS_REBALANCE_IN_PROGRESS => Some(ErrorCode::UNKNOWN_MEMBER_ID),
            MemberState::Unjoined if self.generation < 0 => Some(ErrorCode::UNKNOWN_MEMBER_ID),
            MemberState::Unjoined | MemberState::Joining | MemberState::Syncing => {
                Some(ErrorCode::REBALANCE_IN_PROGRESS)
            }
        }
    }

    pub fn commit_answered(&mut self, commit: Commit, response: &OffsetCommitResponse, ctx: &mut Context<'_>) {
        let mut codes = response.topics.iter().flat_map(|topic| &topic.partitions).map(|one| ErrorCode(one.error_code));
        match codes.find(|code| !code.is_none()) {
            None => self.finish(&commit, ErrorCode::NONE, ctx),
            Some(error) => self.commit_failed(commit, error, ctx),
        }
    }

    pub fn commit_failed(&mut self, mut commit: Commit, error: ErrorCode, ctx: &mut Context<'_>) {
        match error {
            ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::NOT_COORDINATOR | ErrorCode::REQUEST_TIMED_OUT => {
                self.coordinator_unknown(ctx);
            }
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION
                if self.is_managed() && self.state == MemberState::Stable =>
            {
                self.generation_is_over(error);
            }
            ErrorCode::REBALANCE_IN_PROGRESS => self.rejoin = true,
            _ => {}
        }
        let is_last = matches!(commit.kind, CommitKind::Last { .. });
        // The epoch has grown meanwhile.
        let in_new_epoch = error == ErrorCode::STALE_MEMBER_EPOCH && is_last && self.generation >= 0;
        if self.modern.is_some() && error.is_retriable() && commit.kind == CommitKind::Auto {
            self.auto_commit_at = ctx.now() + self.config.retry_backoff_ms;
        }
        let persists = match commit.kind {
            CommitKind::Sync { .. } | CommitKind::Last { .. } => true,
            CommitKind::Interrupted { .. } => self.modern.is_some(),
            CommitKind::Async { .. } | CommitKind::Auto => false,
        };
        let again = in_new_epoch || error.is_retriable() && persists;
        if again {
            commit.not_before = ctx.now() + self.config.retry_backoff_ms;
            self.commits.push_back(commit);
        } else {
            self.finish(&commit, error, ctx);
        }
    }

    fn finish(&mut self, commit: &Commit, error: ErrorCode, ctx: &mut Context<'_>) {
        for (partition, (offset, _)) in &commit.offsets {
            let (group, partition, offset) = (self.group.to_string(), partition.clone(), *offset);
            ctx.fact(Fact::CommitAnswered { group, partition, offset, error });
        }
        self.report(commit.kind, if error.is_none() { Ok(()) } else { Err(error) });
    }

    fn report(&mut self, kind: CommitKind, result: Result<(), ErrorCode>) {
        match kind {
            CommitKind::Sync { call, .. } | CommitKind::Async { call } => {
                self.events.push_back(GroupEvent::Committed(call, result));
            }
            CommitKind::Auto | CommitKind::Last { .. } | CommitKind::Interrupted { .. } => {}
        }
    }

    /// `wakeup()`: the `commitSync()` under way throws. What has been sent may succeed; what has not goes nowhere, unless
    /// a thread of the client's own sends it. Gives the application's name for the call.
    pub fn interrupt_commit(&mut self) -> Option<u64> {
        let is_modern = self.modern.is_some();
        let sent = self.in_flight.values_mut().filter_map(|purpose| match purpose {
            Purpose::Commit(commit) => Some(commit),
            _ => None,
        });
        let commit = sent.chain(&mut self.commits).find(|commit| matches!(commit.kind, CommitKind::Sync { .. }))?;
        let CommitKind::Sync { call, until } = commit.kind else { return None };
        commit.kind = CommitKind::Interrupted { until };
        self.commits.retain(|commit| is_modern || !matches!(commit.kind, CommitKind::Interrupted { .. }));
        Some(call)
    }

    /// Asks how far the group had come where the consumer has no position.
    pub fn fetch_offsets(&mut self, subscription: &SubscriptionState, ctx: &mut Context<'_>) {
        let is_asking = self.is_under_way(|purpose| matches!(purpose, Purpose::Offsets(_)));
        if is_asking || self.offsets_not_before > ctx.now() {
            return;
        }
        let wanted: Vec<TopicPartition> = subscription.awaits_committed().cloned().collect();
        if !wanted.is_empty() {
            self.send(|me| group_wire::fetch_offsets(me, &wanted), Purpose::Offsets(wanted.clone()), ctx);
        }
    }

    fn ask_for_offsets_later(&mut self, ctx: &Context<'_>) {
        self.offsets_not_before = ctx.now() + self.config.retry_backoff_ms;
    }

    pub fn offsets_fetched(
        &mut self,
        asked: &[TopicPartition],
        response: &OffsetFetchResponse,
        metadata: &mut ClientMetadata,
        subscription: &mut SubscriptionState,
        ctx: &mut Context<'_>,
    ) {
        let found = match group_wire::offsets(response) {
            Ok(found) => found,
            Err(ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE) => {
                return self.coordinator_unknown(ctx);
            }
            Err(error) if error.is_retriable() => return self.ask_for_offsets_later(ctx),
            // What the next heartbeat is answered says what to do.
            Err(ErrorCode::STALE_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID) if self.modern.is_some() => {
                return self.ask_for_offsets_later(ctx);
            }
            Err(error) => return self.events.push_back(GroupEvent::Failed(error)),
        };
        for partition in asked {
            let Some(state) = subscription.partitions.get_mut(partition) else { continue };
            if state.state != FetchState::AwaitCommitted {
                continue;
            }
            match found.get(partition) {
                Some((offset, epoch)) if offset.0 >= 0 => {
                    let from = std::mem::replace(&mut state.position, *offset);
                    state.offset_epoch = (*epoch > LeaderEpoch::NONE).then_some(*epoch);
                    state.state = FetchState::Fetching;
                    if let Some(epoch) = state.offset_epoch {
                        metadata.saw_epoch(partition, epoch);
                    }
                    let (partition, reason) = (partition.clone(), ResetReason::Committed);
                    ctx.fact(Fact::PositionReset { partition, from, to: *offset, reason, told_by: None });
                }
                Some(_) | None => state.state = FetchState::AwaitReset(ResetReason::NoPosition),
            }
        }
    }
}

#[cfg(test)]
#[path = "commits_tests.rs"]
mod tests;

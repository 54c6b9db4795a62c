//! A partition on the broker that leads it: its followers, its ISR, its high watermark.
//!
//! Kafka: `cluster/Partition.scala` (`makeLeader`, `updateFollowerFetchState`, `maybeExpandIsr`, `maybeShrinkIsr`,
//! `maybeIncrementLeaderHW`, `checkEnoughReplicasReachOffset`), KIP-497, KIP-841, KIP-903, KAFKA-15583.

use super::high_watermark::{self, Voice};
use super::isr::{AfterError, IsrState, effective_min_isr};
use super::replica::{FollowerFetch, Replica};
use super::surroundings::Surroundings;
use crate::config::KafkaVersion;
use crate::fact::{Fact, Role};
use crate::log::UnifiedLog;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{BrokerEpoch, Offset, Timestamp, TopicPartition};

/// `replica.lag.max.messages`, the default of 0.8.
const LAG_MAX_MESSAGES: i64 = 4000;
/// Since when a fetch that brings no news does not even look at the high watermark.
const HIGH_WATERMARK_ON_NEWS_ONLY: KafkaVersion = KafkaVersion::new(2, 3);

/// What a leader keeps.
#[derive(Clone, Debug, Default)]
pub struct Leader {
    /// The ISR.
    pub isr: IsrState,
    /// The other replicas.
    pub followers: Vec<Replica>,
    /// Where the epoch began in this log.
    pub epoch_start: Offset,
    /// The proposal that the pending ISR state stands for.
    pub pending: Option<u64>,
}

/// What a follower's fetch brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchEffect {
    /// The follower's log end offset is another one than before.
    pub log_end_moved: bool,
    /// The ISR state is now a pending expansion, to be proposed.
    pub expand: bool,
}

impl Leader {
    /// Takes over the assignment: keeps what is known of followers that stay.
    pub fn assign(&mut self, replicas: &[i32], local: i32) {
        let mut known = std::mem::take(&mut self.followers);
        self.followers = replicas
            .iter()
            .filter(|&&id| id != local)
            .map(|&id| match known.iter().position(|replica| replica.broker_id == id) {
                Some(index) => known.swap_remove(index),
                None => Replica::new(id),
            })
            .collect();
    }

    /// A new epoch of this leader begins at `start`.
    pub fn begin_epoch(&mut self, start: Offset, new_leader: bool, now: Timestamp) {
        self.epoch_start = start;
        for follower in &mut self.followers {
            let in_isr = self.isr.contains(follower.broker_id);
            follower.begin_epoch(now, start, new_leader, in_isr);
        }
    }

    /// The `min.insync.replicas` that counts here.
    pub fn min_isr(&self, log: &UnifiedLog, around: &Surroundings) -> usize {
        let strict = around.config.toggles.strict_min_isr;
        effective_min_isr(log.config().min_insync_replicas, self.followers.len() + 1, strict)
    }

    /// Moves the high watermark if everybody who counts has come further. Says so; true if it moved.
    pub fn maybe_advance_high_watermark(
        &self,
        partition: &TopicPartition,
        log: &mut UnifiedLog,
        around: &Surroundings,
        ctx: &mut Context<'_>,
    ) -> bool {
        if around.config.toggles.strict_min_isr && self.isr.isr().len() < self.min_isr(log, around) {
            return false;
        }
        let leader_end = log.log_end_offset();
        let now = ctx.wall_clock();
        let candidate = high_watermark::replicated_by_all(
            leader_end,
            self.followers.iter().map(|follower| {
                let in_isr = self.counts(follower.broker_id, around);
                let about_to_join =
                    !in_isr && is_in_sync(follower, leader_end, now, around) && is_eligible(follower, around);
                Voice { log_end: follower.log_end, in_isr, about_to_join }
            }),
        );
        let from = log.high_watermark();
        let Some(to) = high_watermark::advance(from, candidate) else { return false };
        if !log.set_high_watermark(to) {
            return false;
        }
        ctx.fact(Fact::HighWatermarkAdvanced { partition: partition.clone(), role: Role::Leader, from, to });
        true
    }

    /// Notes the fetch of a follower, and whether it may join the ISR now.
    pub fn follower_fetched(
        &mut self,
        follower: usize,
        fetch: FollowerFetch,
        log: &UnifiedLog,
        around: &Surroundings,
    ) -> FetchEffect {
        let replica = &mut self.followers[follower];
        let before = replica.log_end;
        replica.fetched(fetch);
        let replica = &self.followers[follower];
        let may_join = replica.log_end >= log.high_watermark()
            && (!around.config.toggles.isr_join_requires_epoch_start || replica.log_end >= self.epoch_start)
            && is_eligible(replica, around);
        FetchEffect {
            log_end_moved: before != replica.log_end,
            expand: may_join && self.isr.propose_expand(self.followers[follower].broker_id),
        }
    }

    /// Whether the high watermark is to be looked at after a fetch.
    pub fn looks_at_high_watermark(effect: FetchEffect, around: &Surroundings) -> bool {
        effect.log_end_moved || around.config.version < HIGH_WATERMARK_ON_NEWS_ONLY
    }

    /// Turns the ISR state into a pending shrink if members lag; true if so.
    pub fn maybe_shrink(&mut self, log: &UnifiedLog, around: &Surroundings, now: Timestamp) -> bool {
        if self.isr.is_inflight() {
            return false;
        }
        let leader_end = log.log_end_offset();
        let lags = |id: i32| {
            id != around.config.broker_id
                && self.follower(id).is_none_or(|replica| !is_in_sync(replica, leader_end, now, around))
        };
        let leaving: Vec<i32> = self.isr.isr().iter().copied().filter(|&id| lags(id)).collect();
        self.isr.propose_shrink(leaving)
    }

    /// The ISR that the pending state asks for, each member with its incarnation as this leader knows it.
    pub fn wanted_with_epochs(&self, around: &Surroundings) -> Vec<(i32, BrokerEpoch)> {
        let epoch = |id: i32| {
            if id == around.config.broker_id {
                return around.broker_epoch;
            }
            self.follower(id).and_then(|replica| replica.broker_epoch).unwrap_or(BrokerEpoch(-1))
        };
        self.isr.wanted().into_iter().map(|id| (id, epoch(id))).collect()
    }

    /// What to tell a producer that waits at acks=-1 for everything below `required`; none: go on waiting.
    pub fn acknowledge(&self, required: Offset, log: &UnifiedLog, around: &Surroundings) -> Option<ErrorCode> {
        if log.high_watermark() < required {
            return None;
        }
        let members = if around.config.toggles.maximal_isr { self.isr.maximal_len() } else { self.isr.isr().len() };
        Some(if self.min_isr(log, around) <= members {
            ErrorCode::NONE
        } else {
            ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
        })
    }

    /// A proposal of this leader failed; true if it is to be sent again.
    pub fn proposal_failed(&mut self, error: ErrorCode) -> bool {
        match AfterError::of(error) {
            AfterError::Reset => {
                self.isr.reset();
                self.pending = None;
                false
            }
            AfterError::AwaitMetadata => false,
            AfterError::Retry => true,
        }
    }

    /// The controller has committed `isr`.
    pub fn commit(&mut self, isr: Vec<i32>) {
        self.isr = IsrState::committed(isr);
        self.pending = None;
    }

    /// The index of a follower.
    pub fn position(&self, broker_id: i32) -> Option<usize> {
        self.followers.iter().position(|replica| replica.broker_id == broker_id)
    }

    fn follower(&self, broker_id: i32) -> Option<&Replica> {
        self.followers.iter().find(|replica| replica.broker_id == broker_id)
    }

    fn counts(&self, broker_id: i32, around: &Surroundings) -> bool {
        if around.config.toggles.maximal_isr {
            self.isr.maximal_contains(broker_id)
        } else {
            self.isr.contains(broker_id)
        }
    }
}

/// Whether a follower keeps up. By number of records a burst makes all followers slow at once (0.8).
fn is_in_sync(replica: &Replica, leader_end: Offset, now: Timestamp, around: &Surroundings) -> bool {
    let near = replica.log_end.0 < 0 || leader_end.0 - replica.log_end.0 <= LAG_MAX_MESSAGES;
    replica.is_caught_up(leader_end, now, around.config.replica_lag_time_max_ms)
        && (near || around.config.toggles.isr_by_time_only)
}

/// Whether a follower may be in an ISR at all: unfenced, not shutting down, and the incarnation that fetched.
fn is_eligible(replica: &Replica, around: &Surroundings) -> bool {
    if !around.config.toggles.isr_eligibility_unfenced {
        return true;
    }
    let Some(registration) = around.brokers.get(&replica.broker_id) else { return false };
    if !registration.is_active() {
        return false;
    }
    !around.config.toggles.isr_broker_epoch
        || replica.broker_epoch.is_some_and(|epoch| epoch.0 == -1 || epoch == registration.epoch)
}

/// Whether a fetch comes from an incarnation that the cluster has already replaced (KIP-903). One that names none (-1,
/// as all did before) is believed.
pub fn is_stale(broker_id: i32, epoch: BrokerEpoch, around: &Surroundings) -> bool {
    epoch.0 != -1 && around.brokers.get(&broker_id).is_some_and(|now| !now.fenced && now.epoch > epoch)
}

#[cfg(test)]
#[path = "leader_tests.rs"]
mod tests;

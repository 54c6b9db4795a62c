//! `close(timeout)`: the last automatic commit, what is still to be committed, good-bye; and nothing after the timeout.
//!
//! Kafka: `KafkaConsumer.close`, `ConsumerCoordinator.close` (`onLeavePrepare`, KIP-429), `AbstractCoordinator.close`,
//! `AsyncKafkaConsumer.close`.
//!
//! ```text
//!  close() ──▶ commit positions (enable.auto.commit) ──▶ send other commits ──▶ onPartitionsRevoked ──▶ leave ──▶ wait for answers ──▶ closed
//! ```
//!
//! What it commits are positions: what `poll()` has returned, *processed or not*. A program that closes in the middle of a
//! batch leaves the rest of it to nobody. Commits that the application has asked for, and that a `wakeup()` has interrupted, are
//! waited for here. The callback may commit as well, and takes its time: the timeout does not end it. A member without a
//! `group.instance.id` leaves, and its partitions have a new owner at once.
//!
//! Not modelled: `group.membership.operation` (KIP-1092).

use std::collections::BTreeSet;

use super::consumer::Consumer;
use super::coordinator::{ConsumerCoordinator, GroupEvent, MemberState, Purpose};
use super::membership::LOST_IS_NOT_REVOKED;
use crate::client::Completion;
use crate::config::KafkaVersion;
use crate::fact::Fact;
use crate::machine::Context;
use crate::types::{Instant, TopicPartition, earliest};

/// Since when partitions are lost, not revoked, for a member that closes in the midst of a rebalance.
const LOST_IN_REBALANCE: KafkaVersion = KafkaVersion::new(2, 6);

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// What is to be committed goes out.
    Committing,
    /// The application is inside its callback.
    CallingBack,
    /// It has said good-bye, and waits for answers.
    Leaving,
}

/// A consumer that closes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    /// It waits for no answer any more then.
    until: Instant,
    phase: Phase,
}

impl Closing {
    /// When its time is up.
    fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Committing | Phase::Leaving => Some(self.until),
            Phase::CallingBack => None,
        }
    }
}

impl Consumer {
    /// When something is to be done for who closes. Whoever has said good-bye sends no heartbeat any more (`closeHeartbeatThread`,
    /// `ConsumerMembershipManager.leaveGroup`), and who has nothing to commit any more looks for nobody.
    pub(super) fn deadline_of(&self, closing: &Closing) -> Option<Instant> {
        let group = self.group.as_ref();
        let (of_group, of_metadata) = match closing.phase {
            Phase::Committing => (group.and_then(|group| group.next_deadline(false)), self.metadata.next_deadline()),
            Phase::CallingBack => (group.and_then(|group| group.next_deadline(false)), None),
            Phase::Leaving => (group.and_then(|group| group.network.next_deadline()), None),
        };
        earliest([self.network.next_deadline(), closing.next_deadline(), of_group, of_metadata])
    }

    pub(super) fn begin_close(&mut self, until: Instant, ctx: &mut Context<'_>) {
        self.polling_until = None;
        self.is_woken = false;
        self.closing = Some(Closing { until, phase: Phase::Committing });
        if let Some(group) = &mut self.group {
            group.return_from_callback(&mut self.subscription);
            if self.config.enable_auto_commit {
                group.commit_before_rejoin(&self.subscription, until);
            }
        }
        self.proceed_closing(ctx);
    }

    pub(super) fn proceed_closing(&mut self, ctx: &mut Context<'_>) {
        let Some(Closing { until, phase }) = self.closing else { return };
        let in_time = until > ctx.now();
        let next = match phase {
            Phase::Committing => {
                self.proceed_with_group(ctx);
                if in_time && self.group.as_ref().is_some_and(ConsumerCoordinator::has_commits_to_send) {
                    self.metadata.maybe_update(&mut self.network, ctx);
                    return;
                }
                self.give_up_everything(ctx);
                Phase::CallingBack
            }
            Phase::CallingBack => {
                self.proceed_with_group(ctx);
                if self.group.as_ref().is_some_and(|group| group.in_callback) {
                    return;
                }
                self.group.iter_mut().for_each(|group| group.leave(ctx));
                Phase::Leaving
            }
            Phase::Leaving => {
                self.tell_application(ctx);
                let waits = self.group.as_ref().is_some_and(ConsumerCoordinator::waits_for_last_answers);
                if !waits || !in_time {
                    self.end(ctx);
                }
                return;
            }
        };
        self.closing = Some(Closing { until, phase: next });
        self.proceed_closing(ctx);
    }

    fn end(&mut self, ctx: &mut Context<'_>) {
        if let Some(group) = &mut self.group {
            group.network.close_all(ctx);
        }
        self.closed = true;
        self.network.close_all(ctx);
        self.in_flight.clear();
        ctx.complete(Completion::Closed);
    }

    /// What its group has given it is read no more. The application is told, by versions that do that.
    fn give_up_everything(&mut self, ctx: &mut Context<'_>) {
        let Some(group) = self.group.as_mut().filter(|group| group.is_managed()) else { return };
        let partitions: Vec<TopicPartition> = self.subscription.partitions.keys().cloned().collect();
        if partitions.is_empty() {
            return;
        }
        let lost = group.loses_when_it_closes();
        ctx.fact(Fact::PartitionsRevoked { group: group.group.to_string(), partitions: partitions.clone(), lost });
        if self.config.version >= LOST_IS_NOT_REVOKED {
            let event = if lost { GroupEvent::Lost(partitions) } else { GroupEvent::Revoked(partitions) };
            group.give_up_others(BTreeSet::new(), event, &mut self.subscription);
        } else {
            self.subscription.partitions.clear();
        }
        self.buffered.clear();
    }
}

impl ConsumerCoordinator {
    /// Whether commits have not gone out, or the last automatic one has no answer.
    fn has_commits_to_send(&self) -> bool {
        !self.commits.is_empty() || self.is_committing_for_rejoin()
    }

    /// Whether others may have what it has: it is no member, or a rebalance is under way.
    fn loses_when_it_closes(&self) -> bool {
        let in_rebalance = match self.state {
            MemberState::Joining | MemberState::Syncing => self.config.version >= LOST_IN_REBALANCE,
            MemberState::Unjoined | MemberState::Preparing(_) | MemberState::Stable => false,
        };
        self.generation < 0 || in_rebalance
    }

    /// Whether its coordinator has not answered a commit, or the good-bye.
    pub(super) fn waits_for_last_answers(&self) -> bool {
        self.node.is_some() && self.is_under_way(|purpose| matches!(purpose, Purpose::Commit(_) | Purpose::Leave))
    }
}

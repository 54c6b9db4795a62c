//! `close(timeout)`: the last automatic commit, what is still to be committed, good-bye; and nothing after the timeout.
//!
//! Kafka: `KafkaConsumer.close`, `ConsumerCoordinator.close`, `AbstractCoordinator.close`, `AsyncKafkaConsumer.close`.
//!
//! ```text
//!  close() ──▶ commit positions (enable.auto.commit) ──▶ send other commits ──▶ give up, leave ──▶ wait for answers ──▶ closed
//! ```
//!
//! What it commits are positions: what `poll()` has returned, *processed or not*. A program that closes in the middle of a
//! batch leaves the rest of it to nobody. Commits that the application has asked for, and that a `wakeup()` has interrupted, are
//! waited for here. A member without a `group.instance.id` leaves, and its partitions have a new owner at once.
//!
//! Not modelled: rebalance callbacks inside `close()` (KIP-429), `group.membership.operation` (KIP-1092).

use super::consumer::Consumer;
use super::coordinator::{ConsumerCoordinator, Purpose};
use crate::client::Completion;
use crate::fact::Fact;
use crate::machine::Context;
use crate::types::{Instant, TopicPartition};

/// A consumer that closes.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    /// It waits for nothing any more then.
    pub until: Instant,
    has_left: bool,
}

impl Consumer {
    pub(super) fn begin_close(&mut self, until: Instant, ctx: &mut Context<'_>) {
        self.polling_until = None;
        self.is_woken = false;
        self.closing = Some(Closing { until, has_left: false });
        if let Some(group) = &mut self.group {
            group.in_callback = false;
            if self.config.enable_auto_commit {
                group.commit_before_rejoin(&self.subscription, until);
            }
        }
        self.proceed_closing(ctx);
    }

    pub(super) fn proceed_closing(&mut self, ctx: &mut Context<'_>) {
        let Some(Closing { until, has_left }) = self.closing.clone() else { return };
        let in_time = until > ctx.now();
        if !has_left {
            self.proceed_with_group(ctx);
            if in_time && self.group.as_ref().is_some_and(ConsumerCoordinator::has_commits_to_send) {
                self.metadata.maybe_update(&mut self.network, ctx);
                return;
            }
            self.give_up_everything(ctx);
            self.group.iter_mut().for_each(|group| group.leave(ctx));
            self.closing = Some(Closing { until, has_left: true });
        }
        if in_time && self.group.as_ref().is_some_and(ConsumerCoordinator::waits_for_last_answers) {
            return;
        }
        if let Some(group) = &mut self.group {
            group.network.close_all(ctx);
        }
        self.closed = true;
        self.network.close_all(ctx);
        self.in_flight.clear();
        ctx.complete(Completion::Closed);
    }

    /// What its group has given it is read no more.
    fn give_up_everything(&mut self, ctx: &mut Context<'_>) {
        let Some(group) = self.group.as_ref().filter(|group| group.is_managed()) else { return };
        let partitions: Vec<TopicPartition> = self.subscription.partitions.keys().cloned().collect();
        if !partitions.is_empty() {
            let (group, lost) = (group.group.to_string(), group.generation < 0);
            ctx.fact(Fact::PartitionsRevoked { group, partitions, lost });
            self.subscription.partitions.clear();
            self.buffered.clear();
        }
    }
}

impl ConsumerCoordinator {
    /// Whether commits have not gone out, or the last automatic one has no answer.
    fn has_commits_to_send(&self) -> bool {
        !self.commits.is_empty() || self.is_committing_for_rejoin()
    }

    /// Whether its coordinator has not answered a commit, or the good-bye.
    pub(super) fn waits_for_last_answers(&self) -> bool {
        self.node.is_some() && self.is_under_way(|purpose| matches!(purpose, Purpose::Commit(_) | Purpose::Leave))
    }
}

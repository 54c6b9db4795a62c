//! A consumer with a group: what it hands to its coordinator's part, and hears from it.

use super::commits::{CommitKind, Positions};
use super::consumer::Consumer;
use super::coordinator::{ConsumerCoordinator, GroupEvent};
use crate::client::{Completion, Work};
use crate::fact::Fact;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{ConnectionId, LeaderEpoch, Offset, TopicPartition};

impl Consumer {
    pub(super) fn commit(
        &mut self,
        call: u64,
        offsets: Option<Vec<(TopicPartition, Offset)>>,
        sync: bool,
        ctx: &mut Context<'_>,
    ) {
        let Some(group) = &mut self.group else {
            return ctx.complete(Completion::Committed { call, result: Err(ErrorCode::INVALID_GROUP_ID) });
        };
        let positions = match offsets {
            Some(offsets) => offsets
                .into_iter()
                .map(|(partition, offset)| {
                    let read = self.subscription.partitions.get(&partition).and_then(|state| state.offset_epoch);
                    (partition, (offset, read.unwrap_or(LeaderEpoch::NONE)))
                })
                .collect::<Positions>(),
            None => self.subscription.positions(),
        };
        let until = ctx.now() + self.config.default_api_timeout_ms;
        group.commit(if sync { CommitKind::Sync { call, until } } else { CommitKind::Async { call } }, positions);
    }

    /// What the application says of its work, as a fact.
    pub(super) fn worked(&self, partition: TopicPartition, offset: Offset, work: Work) -> Fact {
        let group = self.config.group_id.clone();
        match work {
            Work::Done => Fact::Processed { group, partition, offset },
            Work::Failed(attempt) => Fact::ProcessingFailed { group, partition, offset, attempt },
            Work::GivenUp(to) => Fact::GaveUp { group, partition, offset, to: to.map(|topic| topic.to_string()) },
        }
    }

    /// `wakeup()` meets a `commitSync()`: the call throws, and what it has sent goes on to the coordinator.
    pub(super) fn interrupt_commit(&mut self, ctx: &mut Context<'_>) {
        let Some(call) = self.group.as_mut().and_then(ConsumerCoordinator::interrupt_commit) else { return };
        self.is_woken = false;
        ctx.fact(Fact::WokenUp { call: "commitSync()".to_owned() });
        ctx.complete(Completion::Committed { call, result: Err(ErrorCode::CLIENT_WAKEUP) });
    }

    /// The group goes on, and the application hears of it.
    pub(super) fn proceed_with_group(&mut self, ctx: &mut Context<'_>) {
        let Some(group) = &mut self.group else { return };
        group.forget_pause(ctx.now());
        group.proceed(&mut self.metadata, &mut self.subscription, self.polling_until.is_some(), ctx);
        self.tell_application(ctx);
        let subscription = &self.subscription;
        self.buffered.retain(|fetch| subscription.reads(&fetch.partition));
    }

    /// What its coordinator's part has for the application.
    pub(super) fn tell_application(&mut self, ctx: &mut Context<'_>) {
        let Some(group) = &mut self.group else { return };
        while let Some(event) = group.events.pop_front() {
            let completion = match event {
                GroupEvent::Revoked(partitions) => Completion::PartitionsRevoked(partitions),
                GroupEvent::Lost(partitions) => Completion::PartitionsLost(partitions),
                GroupEvent::Assigned(partitions) => Completion::PartitionsAssigned(partitions),
                GroupEvent::Committed(call, result) => Completion::Committed { call, result },
                GroupEvent::Failed(error) => {
                    // poll() throws it; without one, the next does.
                    self.failure = Some((TopicPartition::of("", -1), error));
                    continue;
                }
            };
            ctx.complete(completion);
        }
    }

    pub(super) fn is_of_group(&self, connection: ConnectionId) -> bool {
        self.group.as_ref().is_some_and(|group| group.owns(connection))
    }
}

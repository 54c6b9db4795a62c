//! Joining a group, staying in it, and giving up what one has.
//!
//! Kafka: `AbstractCoordinator` (`JoinGroupResponseHandler`, `SyncGroupResponseHandler`, `HeartbeatThread`),
//! `ConsumerCoordinator` (`onJoinPrepare`, `onJoinComplete`, `onLeavePrepare`); KIP-62 (a thread of its own sends
//! heartbeats, and leaves when `poll()` has not been called for `max.poll.interval.ms`), KIP-345, KIP-429, KIP-814.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

use super::coordinator::{ConsumerCoordinator, GroupEvent, MemberState, Purpose};
use super::group_wire;
use super::subscription_state::SubscriptionState;
use crate::client::metadata::ClientMetadata;
use crate::config::{Assignor, KafkaVersion};
use crate::machine::Context;
use crate::protocol::{ErrorCode, consumer_protocol};
use crate::types::{Duration, Instant, StrBytes, TopicName, TopicPartition};

/// Since when partitions that may have another owner already are lost, not revoked (KIP-429).
pub(super) const LOST_IS_NOT_REVOKED: KafkaVersion = KafkaVersion::new(2, 4);

/// Heartbeats go on while the member waits for its assignment (KAFKA-10134).
const HEARTBEATS_WHILE_SYNCING: KafkaVersion = KafkaVersion::new(2, 7);

/// What an answer says of a generation that is not the present one any more counts for nothing (KAFKA-9752).
const IGNORES_STALE_ANSWERS: KafkaVersion = KafkaVersion::new(2, 6);

/// A member whose generation is over keeps its id, which may still be valid (KAFKA-13419).
const KEEPS_ID_OF_OLD_GENERATION: KafkaVersion = KafkaVersion::new(3, 2);

/// Two heartbeats are not sent at the same instant, even with `heartbeat.interval.ms=0` and `retry.backoff.ms=0`.
const HEARTBEAT_PAUSE_LEAST: Duration = Duration::from_millis(1);

impl ConsumerCoordinator {
    pub fn is_a_member(&self) -> bool {
        match self.state {
            MemberState::Unjoined => false,
            MemberState::Preparing(_) | MemberState::Joining | MemberState::Syncing | MemberState::Stable => true,
        }
    }

    /// The application has not called `poll()` for too long: the consumer leaves, and others get what it has.
    pub fn check_poll_interval(&mut self, ctx: &mut Context<'_>) {
        if !self.watches_poll() || self.polled_at + self.config.max_poll_interval_ms > ctx.now() {
            return;
        }
        ctx.fact(crate::fact::Fact::ClientWarned {
            what: "poll() was not called for max.poll.interval.ms: the consumer leaves its group".to_owned(),
        });
        self.leave(ctx);
        self.reset_generation();
    }

    /// Whether a `poll()` that does not come is noticed: by the thread that sends heartbeats, and only while it does so.
    pub fn watches_poll(&self) -> bool {
        self.is_managed() && self.sends_heartbeats() && self.node.is_some()
    }

    /// A coordinator that is silent for a session is looked for again.
    pub fn check_session(&mut self, ctx: &mut Context<'_>) {
        if self.sends_heartbeats() && self.node.is_some() && self.heard_at + self.config.session_timeout_ms <= ctx.now()
        {
            self.coordinator_unknown(ctx);
        }
    }

    /// The coordinator is found: it has a session's time to say something.
    pub fn coordinator_found(&mut self, node: crate::types::NodeId, now: Instant) {
        self.node = Some(node);
        self.heard_at = now;
    }

    /// The thread that sends heartbeats wakes up, and all its clocks begin anew.
    fn enable_heartbeats(&mut self, now: Instant) {
        self.heard_at = now;
        self.polled_at = now;
        self.heartbeat_at = now + self.config.heartbeat_interval_ms;
    }

    /// Whoever assigned partitions looks whether there are others now.
    pub fn check_topics(&mut self, metadata: &ClientMetadata) {
        let Some(assigned_of) = &self.assigned_of else { return };
        if self.state == MemberState::Stable && partition_counts(metadata, assigned_of.keys()) != *assigned_of {
            self.rejoin = true;
        }
    }

    /// Inside `poll()`: the next step towards an assignment.
    pub fn advance_membership(
        &mut self,
        metadata: &mut ClientMetadata,
        subscription: &mut SubscriptionState,
        ctx: &mut Context<'_>,
    ) {
        if let Some(assigned) = self.assigned.take() {
            return self.take_over(assigned, subscription, ctx);
        }
        match self.state {
            MemberState::Stable if !self.rejoin => {}
            MemberState::Joining | MemberState::Syncing => {}
            MemberState::Stable | MemberState::Unjoined if !self.prepared => self.prepare(subscription, ctx),
            MemberState::Preparing(until) => {
                if until <= ctx.now() || !self.is_committing_for_rejoin() {
                    self.commits.retain(|commit| !commit.precedes_rejoin());
                    self.give_up(subscription, ctx);
                }
            }
            MemberState::Stable | MemberState::Unjoined => self.join(metadata, subscription, ctx),
        }
    }

    /// Before it joins again: commit what has been returned, then give up what must be given up.
    fn prepare(&mut self, subscription: &mut SubscriptionState, ctx: &mut Context<'_>) {
        if self.config.enable_auto_commit && self.generation >= 0 {
            let until = ctx.now() + self.config.max_poll_interval_ms;
            if self.commit_before_rejoin(subscription, until) {
                self.state = MemberState::Preparing(until);
                return;
            }
        }
        self.give_up(subscription, ctx);
    }

    fn give_up(&mut self, subscription: &mut SubscriptionState, ctx: &mut Context<'_>) {
        let owned: BTreeSet<TopicPartition> = subscription.partitions.keys().cloned().collect();
        let lost = self.generation < 0;
        let kept: BTreeSet<TopicPartition> = if self.is_cooperative() && !lost {
            owned.iter().filter(|partition| self.topics.contains(&partition.topic)).cloned().collect()
        } else {
            BTreeSet::new()
        };
        let gone: Vec<TopicPartition> = owned.difference(&kept).cloned().collect();
        if matches!(self.state, MemberState::Preparing(_)) {
            self.state = MemberState::Stable;
        }
        self.prepared = true;
        if gone.is_empty() {
            return;
        }
        ctx.fact(crate::fact::Fact::PartitionsRevoked {
            group: self.group.to_string(),
            partitions: gone.clone(),
            lost,
        });
        let is_lost = lost && self.config.version >= LOST_IS_NOT_REVOKED;
        let event = if is_lost { GroupEvent::Lost(gone) } else { GroupEvent::Revoked(gone) };
        self.give_up_others(kept, event, subscription);
    }

    /// The application is told that it reads no more than these. Until it returns from its callback it may still commit how far it
    /// has come with the others.
    pub fn give_up_others(
        &mut self,
        kept: BTreeSet<TopicPartition>,
        event: GroupEvent,
        subscription: &mut SubscriptionState,
    ) {
        if self.is_share() {
            // There are no rebalance callbacks.
            return subscription.retain(&kept);
        }
        subscription.stop_reading_others(&kept);
        self.keeps = Some(kept);
        self.call_back(event);
    }

    pub fn call_back(&mut self, event: GroupEvent) {
        self.in_callback = true;
        self.events.push_back(event);
    }

    pub fn return_from_callback(&mut self, subscription: &mut SubscriptionState) {
        self.in_callback = false;
        if let Some(kept) = self.keeps.take() {
            subscription.retain(&kept);
        }
    }

    fn is_cooperative(&self) -> bool {
        self.config.partition_assignment_strategy.iter().all(|assignor| assignor.is_cooperative())
    }

    fn join(&mut self, metadata: &mut ClientMetadata, subscription: &SubscriptionState, ctx: &mut Context<'_>) {
        for topic in &self.topics {
            if metadata.partitions(topic).is_none() && metadata.topic_error(topic).is_none() {
                // What there is to divide must be known to whoever becomes the leader.
                metadata.request_update();
                return;
            }
        }
        if !self.looks_before_joining(metadata) {
            return;
        }
        let owned: Vec<TopicPartition> = subscription.partitions.keys().cloned().collect();
        let sent = self.send(|me| group_wire::join(me, &owned), Purpose::Join, ctx);
        if sent {
            self.has_joined_by_pattern();
            self.state = MemberState::Joining;
            self.rejoin = false;
        }
    }

    pub fn joined(&mut self, response: JoinGroupResponse, metadata: &mut ClientMetadata, ctx: &mut Context<'_>) {
        let error = ErrorCode(response.error_code);
        if error == ErrorCode::MEMBER_ID_REQUIRED {
            self.member_id = response.member_id;
            self.state = MemberState::Unjoined;
            self.rejoin = true;
            return;
        }
        if !error.is_none() {
            return self.join_failed(error, ctx);
        }
        self.generation = response.generation_id;
        self.member_id = response.member_id.clone();
        self.assignor = response.protocol_name.as_ref().and_then(|name| Assignor::by_name(name));
        self.state = MemberState::Syncing;
        if self.sends_heartbeats() {
            self.enable_heartbeats(ctx.now());
        }
        let leads = response.leader == response.member_id;
        self.assigned_of = None;
        // Before, a leader that comes back is not told that it leads, and nobody looks for new partitions any more.
        let leads = leads && (!response.skip_assignment || self.config.leads_when_back());
        let assignments = if leads { self.assign(&response, metadata, ctx.now()) } else { BTreeMap::new() };
        if !self.send(|me| group_wire::sync(me, &assignments), Purpose::Sync, ctx) {
            self.state = MemberState::Unjoined;
            self.rejoin = true;
        }
    }

    /// The leader divides what there is, and remembers what there was: unless it comes back into a generation whose assignment
    /// stands.
    fn assign(
        &mut self,
        response: &JoinGroupResponse,
        metadata: &mut ClientMetadata,
        now: Instant,
    ) -> BTreeMap<StrBytes, BTreeSet<TopicPartition>> {
        let members: BTreeMap<_, _> = response
            .members
            .iter()
            .map(|member| {
                let subscription = group_wire::subscription(&member.metadata, member.group_instance_id.clone());
                (member.member_id.clone(), subscription)
            })
            .collect();
        let topics: BTreeSet<TopicName> = members.values().flat_map(|member| member.topics.clone()).collect();
        for topic in &topics {
            metadata.add_topic(topic, now);
        }
        let counts = partition_counts(metadata, topics.iter());
        let assignment = match response.skip_assignment {
            true => BTreeMap::new(),
            false => self.assignor.unwrap_or(Assignor::Range).assign(&members, &counts),
        };
        self.assigned_of = Some(counts);
        assignment
    }

    fn join_failed(&mut self, error: ErrorCode, ctx: &mut Context<'_>) {
        self.state = MemberState::Unjoined;
        self.rejoin = true;
        match error {
            ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::NOT_COORDINATOR => self.coordinator_unknown(ctx),
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => self.generation_is_over(error),
            ErrorCode::REBALANCE_IN_PROGRESS => {}
            error if error.is_retriable() => self.back_off(ctx),
            error => {
                self.back_off(ctx);
                self.events.push_back(GroupEvent::Failed(error));
            }
        }
    }

    pub fn synced(&mut self, response: SyncGroupResponse, ctx: &mut Context<'_>) {
        let error = ErrorCode(response.error_code);
        if !error.is_none() {
            return self.join_failed(error, ctx);
        }
        let slept = !self.sends_heartbeats();
        self.state = MemberState::Stable;
        if slept {
            self.enable_heartbeats(ctx.now());
        }
        self.assigned = Some(consumer_protocol::assignment(&response.assignment));
    }

    /// Inside `poll()`: the assignment of this generation becomes what the consumer reads.
    fn take_over(
        &mut self,
        assigned: BTreeSet<TopicPartition>,
        subscription: &mut SubscriptionState,
        ctx: &mut Context<'_>,
    ) {
        let owned: BTreeSet<TopicPartition> = subscription.partitions.keys().cloned().collect();
        self.prepared = false;
        self.auto_commit_at = ctx.now() + self.config.auto_commit_interval_ms;
        let revoked: Vec<TopicPartition> = owned.difference(&assigned).cloned().collect();
        if !revoked.is_empty() {
            // Only a cooperative member still has anything here. What it gives up can be given in the next generation.
            self.rejoin = true;
            let group = self.group.to_string();
            ctx.fact(crate::fact::Fact::PartitionsRevoked { group, partitions: revoked.clone(), lost: false });
            let kept = owned.intersection(&assigned).cloned().collect();
            // When the application knows what it has no more, it hears what it has.
            self.assigned = Some(assigned);
            return self.give_up_others(kept, GroupEvent::Revoked(revoked), subscription);
        }
        let added: Vec<TopicPartition> = assigned.difference(&owned).cloned().collect();
        ctx.fact(crate::fact::Fact::PartitionsAssigned {
            group: self.group.to_string(),
            member: self.member_id.to_string(),
            generation: self.generation,
            partitions: assigned.iter().cloned().collect(),
        });
        subscription.assign(assigned, true);
        self.call_back(GroupEvent::Assigned(added));
    }

    // ---- staying ----

    pub fn sends_heartbeats(&self) -> bool {
        match self.state {
            MemberState::Stable | MemberState::Preparing(_) => true,
            MemberState::Syncing => self.config.version >= HEARTBEATS_WHILE_SYNCING,
            MemberState::Unjoined | MemberState::Joining => false,
        }
    }

    /// As often as it is configured, answered or not: a coordinator that falls silent gets several before its session ends.
    pub fn send_heartbeat(&mut self, ctx: &mut Context<'_>) {
        let due = self.sends_heartbeats() && self.heartbeat_at <= ctx.now();
        if !due {
            return;
        }
        self.heartbeat_at = ctx.now() + self.config.heartbeat_interval_ms.max(HEARTBEAT_PAUSE_LEAST);
        let generation = self.generation;
        if !self.send(group_wire::heartbeat, Purpose::Heartbeat { generation }, ctx) {
            self.heartbeat_at = ctx.now() + self.config.retry_backoff_ms.max(HEARTBEAT_PAUSE_LEAST);
        }
    }

    pub fn heartbeat_answered(&mut self, error: ErrorCode, sent_in: i32, ctx: &mut Context<'_>) {
        let is_stale = sent_in != self.generation && self.config.version >= IGNORES_STALE_ANSWERS;
        match error {
            ErrorCode::NONE => self.heard_at = ctx.now(),
            ErrorCode::REBALANCE_IN_PROGRESS => {
                self.heard_at = ctx.now();
                // Who is on its way into the next generation knows it.
                self.rejoin |= matches!(self.state, MemberState::Stable | MemberState::Preparing(_));
            }
            ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::NOT_COORDINATOR => self.coordinator_unknown(ctx),
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION | ErrorCode::FENCED_INSTANCE_ID
                if is_stale =>
            {
                self.heard_at = ctx.now();
            }
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION if self.sends_heartbeats() => {
                self.generation_is_over(error);
            }
            ErrorCode::FENCED_INSTANCE_ID => {
                self.reset_generation();
                self.events.push_back(GroupEvent::Failed(error));
            }
            _ => self.heartbeat_at = ctx.now() + self.config.retry_backoff_ms.max(HEARTBEAT_PAUSE_LEAST),
        }
    }

    /// The coordinator does not know the member, or knows it in another generation.
    pub fn generation_is_over(&mut self, error: ErrorCode) {
        let known = self.member_id.clone();
        self.reset_generation();
        if error == ErrorCode::ILLEGAL_GENERATION && self.config.version >= KEEPS_ID_OF_OLD_GENERATION {
            self.member_id = known;
        }
    }

    /// It is a member no more: others may have what it has.
    pub fn reset_generation(&mut self) {
        self.generation = -1;
        self.member_id = StrBytes::default();
        self.assignor = None;
        self.assigned = None;
        self.assigned_of = None;
        self.prepared = false;
        self.state = MemberState::Unjoined;
        self.rejoin = true;
    }

    /// Says goodbye, unless it is a static member that will come back.
    pub fn leave(&mut self, ctx: &mut Context<'_>) {
        if let Some(modern) = &self.modern {
            if modern.is_in_group() {
                self.say_goodbye(ctx);
            }
            return;
        }
        if self.is_a_member() && !self.member_id.is_empty() && self.config.group_instance_id.is_none() {
            self.send(group_wire::leave, Purpose::Leave, ctx);
        }
    }
}

fn partition_counts<'a>(
    metadata: &ClientMetadata,
    topics: impl Iterator<Item = &'a TopicName>,
) -> BTreeMap<TopicName, i32> {
    topics
        .map(|topic| {
            let count = metadata.partitions(topic).map_or(0, <[_]>::len);
            (topic.clone(), i32::try_from(count).unwrap_or(i32::MAX))
        })
        .collect()
}

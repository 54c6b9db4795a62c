//! A member of a group whose coordinator decides who reads what (KIP-848): it says that it is there, hears what it is to
//! have, and follows step by step.
//!
//! Kafka: `ConsumerMembershipManager`, `AbstractMembershipManager`, `ConsumerHeartbeatRequestManager`.
//!
//! ```text
//!  Unsubscribed ──poll()──▶ Joining ──answer──▶ Reconciling ──commit, revoke, assign──▶ Acknowledging ──heartbeat──▶ Stable
//!                              ▲                    ▲                                                                │
//!                              │                    └───────────── another assignment ◀─────────────────────────────┤
//!                              │ onPartitionsLost                                                                    │
//!                              ├──────────────────── Fenced ◀──── FENCED_MEMBER_EPOCH, UNKNOWN_MEMBER_ID ◀───────────┤
//!                              └──poll()──────────── Stale ◀───── no poll() for max.poll.interval.ms ◀───────────────┘
//! ```
//!
//! Heartbeats go out whatever the application does; callbacks run inside `poll()`. There is no session at the member: one
//! that cannot reach its coordinator keeps what it has until it hears that it is none.
//!
//! Not modelled: subscriptions by a regular expression of the coordinator's (RE2J, 4.0); callbacks that throw; that `poll()` throws where a member asks for committed offsets and is none any more (its next heartbeat says
//! so); that a member which is fenced again and again tries without a pause; a heartbeat that was answered after its member had left does not count (Kafka takes it for the answer to the next).

use std::collections::BTreeSet;

use kafka_protocol::messages::ConsumerGroupHeartbeatResponse;

use super::commits::CommitKind;
use super::coordinator::{ConsumerCoordinator, GroupEvent, Purpose};
use super::group_wire;
use super::subscription_state::SubscriptionState;
use crate::client::metadata::ClientMetadata;
use crate::config::KafkaVersion;
use crate::fact::Fact;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{Duration, Instant, PartitionsById, TopicName, TopicPartition, earliest, kafka_uuid};

/// A member names itself (KIP-1082); before, its coordinator did, and one whose first answer was lost came twice.
const NAMES_ITSELF: KafkaVersion = KafkaVersion::new(4, 0);

const JOIN_GROUP_EPOCH: i32 = 0;
const LEAVE_GROUP_EPOCH: i32 = -1;
const LEAVE_GROUP_STATIC_EPOCH: i32 = -2;

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberState {
    /// It has not polled yet.
    Unsubscribed,
    /// It wants to be a member.
    Joining,
    /// It is on its way to what it is to have.
    Reconciling,
    /// It is there, and says so with the next heartbeat.
    Acknowledging,
    /// It is there.
    Stable,
    /// Its coordinator does not know it, or knows it in another epoch.
    Fenced,
    /// It has left because nobody polls.
    Stale,
    /// `poll()` has thrown, and it is over.
    Fatal,
}

/// An assignment, and the how many-th that the member has heard of; -1 is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LocalAssignment {
    number: i64,
    pub partitions: PartitionsById,
}

impl LocalAssignment {
    fn none() -> Self {
        Self { number: -1, partitions: PartitionsById::new() }
    }
}

/// How far the way to an assignment is done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// What was returned is being committed.
    Commit,
    /// What is not in it is to be given up.
    Revoke,
    /// What is new in it is to be taken over.
    Assign,
    /// The application has heard of everything.
    Finish,
}

/// An assignment that is being followed.
#[derive(Clone, Debug)]
struct Reconciliation {
    step: Step,
    to: LocalAssignment,
    named: BTreeSet<TopicPartition>,
}

/// What the last heartbeats said: it is not said again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub everything: bool,
    pub topics: Option<BTreeSet<TopicName>>,
    pub assignment: Option<LocalAssignment>,
}

/// The membership.
#[derive(Clone, Debug)]
pub(super) struct ConsumerMembership {
    pub state: MemberState,
    pub epoch: i32,
    /// What it has, and its coordinator is told.
    pub current: LocalAssignment,
    /// What it is to have.
    target: LocalAssignment,
    reconciliation: Option<Reconciliation>,
    pub said: Said,
    interval: Duration,
    heartbeat_at: Instant,
    /// After an error: not before this, whatever the news.
    not_before: Instant,
    is_asking: bool,
    /// Answers to heartbeats of former lives do not count.
    pub life: u32,
    /// It has left, and its last heartbeat has not gone out.
    owes_goodbye: bool,
    /// It is time to commit, as soon as can be (without `async_commit_snapshot`).
    commit_is_due: bool,
}

impl ConsumerMembership {
    pub fn new() -> Self {
        Self {
            state: MemberState::Unsubscribed,
            epoch: JOIN_GROUP_EPOCH,
            current: LocalAssignment::none(),
            target: LocalAssignment::none(),
            reconciliation: None,
            said: Said::default(),
            interval: Duration::ZERO,
            heartbeat_at: Instant::START,
            not_before: Instant::START,
            is_asking: false,
            life: 0,
            owes_goodbye: false,
            commit_is_due: false,
        }
    }

    fn has_what_it_is_to_have(&self) -> bool {
        self.current == self.target
    }

    /// Whether it has what it was given and knows of nothing else, or will never have anything again.
    pub fn is_settled(&self) -> bool {
        self.state == MemberState::Fatal || self.state == MemberState::Stable && self.has_what_it_is_to_have()
    }

    pub fn is_in_group(&self) -> bool {
        match self.state {
            MemberState::Joining | MemberState::Reconciling | MemberState::Acknowledging | MemberState::Stable => true,
            MemberState::Unsubscribed | MemberState::Fenced | MemberState::Stale | MemberState::Fatal => false,
        }
    }

    /// Whether a heartbeat is to go out however long ago the last one was.
    fn has_news(&self) -> bool {
        self.owes_goodbye || matches!(self.state, MemberState::Joining | MemberState::Acknowledging)
    }

    /// When the next heartbeat is to go out.
    fn wants_to_beat_at(&self) -> Instant {
        if self.has_news() { self.not_before } else { self.heartbeat_at.max(self.not_before) }
    }

    fn end(&mut self, state: MemberState) {
        self.state = state;
        self.epoch = JOIN_GROUP_EPOCH;
        self.reconciliation = None;
        self.said = Said::default();
        self.is_asking = false;
        self.life += 1;
        self.heartbeat_at = Instant::START;
        self.current = LocalAssignment::none();
        self.target = LocalAssignment::none();
    }
}

impl ConsumerCoordinator {
    /// Everything that can be done now.
    pub fn follow(
        &mut self,
        metadata: &mut ClientMetadata,
        subscription: &mut SubscriptionState,
        polling: bool,
        ctx: &mut Context<'_>,
    ) {
        self.leave_unless_polled(ctx);
        // A member of a share group has nothing to commit and nobody to call back: it follows whatever the application does, and
        // only one that has left because nobody polls waits for the poll.
        let is_stale = self.modern.as_ref().is_some_and(|me| me.state == MemberState::Stale);
        let in_poll = (polling && !self.in_callback) || (self.is_share() && !is_stale);
        let Some(me) = &mut self.modern else { return };
        match me.state {
            MemberState::Unsubscribed if in_poll => me.state = MemberState::Joining,
            MemberState::Fenced | MemberState::Stale => self.begin_anew(subscription, in_poll, ctx),
            MemberState::Fatal if in_poll => {
                self.lose_everything(subscription, ctx);
            }
            MemberState::Reconciling => self.reconcile(metadata, subscription, in_poll, ctx),
            MemberState::Unsubscribed
            | MemberState::Joining
            | MemberState::Acknowledging
            | MemberState::Stable
            | MemberState::Fatal => {}
        }
        self.beat(ctx);
    }

    /// The application has not called `poll()` for too long: the consumer leaves, and others get what it has.
    fn leave_unless_polled(&mut self, ctx: &mut Context<'_>) {
        let too_long = self.polled_at + self.config.max_poll_interval_ms <= ctx.now();
        let Some(me) = &mut self.modern else { return };
        if !too_long || self.node.is_none() || !me.is_in_group() {
            return;
        }
        ctx.fact(Fact::ClientWarned {
            what: "poll() was not called for max.poll.interval.ms: the consumer leaves its group".to_owned(),
        });
        me.end(MemberState::Stale);
        me.owes_goodbye = true;
        self.generation = -1;
    }

    /// What it had is lost; when the application knows, it joins again. A member that left because nobody polled waits for
    /// the poll.
    fn begin_anew(&mut self, subscription: &mut SubscriptionState, in_poll: bool, ctx: &mut Context<'_>) {
        let has_something = !subscription.partitions.is_empty();
        let waits_for_poll = self.modern.as_ref().is_some_and(|me| me.state == MemberState::Stale);
        if !in_poll && (has_something || waits_for_poll || self.in_callback) {
            return;
        }
        if has_something {
            return self.lose_everything(subscription, ctx);
        }
        if let Some(me) = &mut self.modern {
            me.state = MemberState::Joining;
        }
    }

    fn lose_everything(&mut self, subscription: &mut SubscriptionState, ctx: &mut Context<'_>) {
        let gone: Vec<TopicPartition> = subscription.partitions.keys().cloned().collect();
        if gone.is_empty() {
            return;
        }
        self.say_given_up(&gone, true, ctx);
        self.give_up_others(BTreeSet::new(), GroupEvent::Lost(gone), subscription);
    }

    // ---- following an assignment ----

    fn reconcile(
        &mut self,
        metadata: &mut ClientMetadata,
        subscription: &mut SubscriptionState,
        in_poll: bool,
        ctx: &mut Context<'_>,
    ) {
        if self.modern.as_ref().is_some_and(|me| me.reconciliation.is_none()) {
            self.begin_reconciliation(metadata, subscription, in_poll, ctx);
        }
        // One poll() may take several steps: there is not always something to be told.
        while let Some(doing) = self.modern.as_ref().and_then(|me| me.reconciliation.clone()) {
            let goes_on = match doing.step {
                Step::Commit => !self.is_committing_for_rejoin(),
                Step::Revoke | Step::Assign | Step::Finish => in_poll && !self.in_callback,
            };
            if !goes_on {
                return;
            }
            let next = match doing.step {
                Step::Commit => Some(Step::Revoke),
                Step::Revoke => {
                    self.revoke(&doing.named, subscription, ctx);
                    Some(Step::Assign)
                }
                Step::Assign => {
                    self.take_over_all(doing.named.clone(), subscription, ctx);
                    Some(Step::Finish)
                }
                Step::Finish => None,
            };
            let Some(me) = &mut self.modern else { return };
            match next {
                Some(step) => me.reconciliation = Some(Reconciliation { step, ..doing }),
                None => {
                    me.current = doing.to;
                    me.reconciliation = None;
                    me.state = MemberState::Acknowledging;
                    self.auto_commit_at = ctx.now() + self.config.auto_commit_interval_ms;
                }
            }
        }
    }

    /// The first step. What was returned is committed before anything is given up: inside `poll()`, when it has been
    /// processed; without the fix at once, whatever the application is doing.
    fn begin_reconciliation(
        &mut self,
        metadata: &mut ClientMetadata,
        subscription: &mut SubscriptionState,
        in_poll: bool,
        ctx: &mut Context<'_>,
    ) {
        let (commits, waits_for_poll) = (self.config.enable_auto_commit, self.config.toggles.async_commit_snapshot);
        let Some(me) = &mut self.modern else { return };
        if me.has_what_it_is_to_have() || (commits && waits_for_poll && !in_poll) {
            return;
        }
        let (named, known) = resolve(&me.target.partitions, metadata);
        let to = LocalAssignment { number: me.target.number, partitions: known };
        if me.current.number >= 0 && me.current.partitions == to.partitions {
            me.current = to;
            me.state = MemberState::Acknowledging;
            return;
        }
        if waits_for_poll {
            subscription.stop_reading_others(&named);
        }
        let committing = commits && {
            let until = ctx.now() + self.config.max_poll_interval_ms;
            self.commit_before_rejoin(subscription, until)
        };
        if let Some(me) = &mut self.modern {
            let step = if committing { Step::Commit } else { Step::Revoke };
            me.reconciliation = Some(Reconciliation { step, to, named });
        }
    }

    fn revoke(&mut self, kept: &BTreeSet<TopicPartition>, subscription: &mut SubscriptionState, ctx: &mut Context<'_>) {
        let owned = subscription.partitions.keys();
        let gone: Vec<TopicPartition> = owned.filter(|partition| !kept.contains(*partition)).cloned().collect();
        if gone.is_empty() {
            return;
        }
        self.say_given_up(&gone, false, ctx);
        self.give_up_others(kept.clone(), GroupEvent::Revoked(gone), subscription);
    }

    /// That it has a partition says nothing of its records where others may have it as well.
    fn say_given_up(&self, partitions: &[TopicPartition], lost: bool, ctx: &mut Context<'_>) {
        if !self.is_share() {
            let (group, partitions) = (self.group.to_string(), partitions.to_vec());
            ctx.fact(Fact::PartitionsRevoked { group, partitions, lost });
        }
    }

    fn take_over_all(
        &mut self,
        named: BTreeSet<TopicPartition>,
        subscription: &mut SubscriptionState,
        ctx: &mut Context<'_>,
    ) {
        let is_new = |partition: &&TopicPartition| !subscription.partitions.contains_key(*partition);
        let added: Vec<TopicPartition> = named.iter().filter(is_new).cloned().collect();
        if self.is_share() {
            ctx.fact(Fact::SharePartitionsAssigned {
                group: self.group.to_string(),
                member: self.member_id.to_string(),
                epoch: self.generation,
                partitions: named.iter().cloned().collect(),
            });
            return subscription.assign(named, false);
        }
        ctx.fact(Fact::PartitionsAssigned {
            group: self.group.to_string(),
            member: self.member_id.to_string(),
            generation: self.generation,
            partitions: named.iter().cloned().collect(),
        });
        subscription.assign(named, true);
        self.call_back(GroupEvent::Assigned(added));
    }

    // ---- heartbeats ----

    /// A heartbeat goes out if it is time, or if there is news.
    fn beat(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let Some(me) = &mut self.modern else { return };
        let wants = me.owes_goodbye || me.is_in_group();
        if !wants || me.is_asking || me.wants_to_beat_at() > now || self.node.is_none() {
            return;
        }
        if me.state == MemberState::Joining && self.member_id.is_empty() && self.config.version >= NAMES_ITSELF {
            self.member_id = kafka_uuid::random(ctx.rng());
        }
        if me.owes_goodbye {
            if self.say_goodbye(ctx) {
                self.modern.iter_mut().for_each(|me| me.owes_goodbye = false);
            } else {
                self.try_again_later(ctx);
            }
            return;
        }
        let (life, everything) = (me.life, me.state == MemberState::Joining);
        let say = |me: &Self| group_wire::consumer_heartbeat(me, everything);
        if !self.send(say, Purpose::ConsumerHeartbeat { life }, ctx) {
            return self.try_again_later(ctx);
        }
        let Some(me) = &mut self.modern else { return };
        me.is_asking = true;
        me.heartbeat_at = now + me.interval;
        me.said = Said { everything: true, topics: Some(self.topics.clone()), assignment: Some(me.current.clone()) };
        if me.state == MemberState::Acknowledging {
            let there = me.has_what_it_is_to_have();
            me.state = if there { MemberState::Stable } else { MemberState::Reconciling };
        }
    }

    fn try_again_later(&mut self, ctx: &Context<'_>) {
        let pause = self.config.retry_backoff_ms.max(Duration::from_millis(1));
        if let Some(me) = &mut self.modern {
            me.not_before = ctx.now() + pause;
        }
    }

    /// The last heartbeat; a static member says that it will come back. Nobody waits for the answer.
    pub fn say_goodbye(&mut self, ctx: &mut Context<'_>) -> bool {
        let is_static = self.config.group_instance_id.is_some();
        let epoch = if is_static { LEAVE_GROUP_STATIC_EPOCH } else { LEAVE_GROUP_EPOCH };
        self.send(|me| group_wire::consumer_leave(me, epoch), Purpose::Leave, ctx)
    }

    pub fn consumer_heartbeat_answered(
        &mut self,
        life: u32,
        response: ConsumerGroupHeartbeatResponse,
        ctx: &mut Context<'_>,
    ) {
        let Some(me) = self.modern.as_mut().filter(|me| me.life == life) else { return };
        me.is_asking = false;
        let error = ErrorCode(response.error_code);
        if !error.is_none() {
            return self.consumer_heartbeat_failed(life, error, ctx);
        }
        let interval = Duration::from_request_millis(response.heartbeat_interval_ms);
        if me.interval != interval {
            me.interval = interval;
            me.heartbeat_at = ctx.now() + interval;
        }
        me.epoch = response.member_epoch;
        self.generation = response.member_epoch;
        if let Some(member_id) = response.member_id {
            self.member_id = member_id;
        }
        if let Some(assignment) = response.assignment {
            me.told(group_wire::assigned(assignment));
        }
    }

    pub fn consumer_heartbeat_failed(&mut self, life: u32, error: ErrorCode, ctx: &mut Context<'_>) {
        let pause = self.config.retry_backoff_ms.max(Duration::from_millis(1));
        let Some(me) = self.modern.as_mut().filter(|me| me.life == life) else { return };
        me.is_asking = false;
        me.said = Said::default();
        me.not_before = ctx.now() + pause;
        match error {
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => self.coordinator_unknown(ctx),
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS | ErrorCode::NETWORK_EXCEPTION => {}
            ErrorCode::FENCED_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID => {
                me.end(MemberState::Fenced);
                self.generation = -1;
            }
            error => {
                me.end(MemberState::Fatal);
                self.generation = -1;
                self.events.push_back(GroupEvent::Failed(error));
            }
        }
    }

    /// When [`Self::follow`] has something to do. `polling`: the application is inside `poll()`, and not in a callback.
    pub fn next_beat(&self, polling: bool) -> Option<Instant> {
        let (me, _) = (self.modern.as_ref()?, self.node?);
        let beats = (me.is_in_group() || me.owes_goodbye) && !me.is_asking;
        let watches = me.is_in_group() && !polling;
        earliest([
            beats.then(|| me.wants_to_beat_at()),
            watches.then(|| self.polled_at + self.config.max_poll_interval_ms),
        ])
    }

    // ---- commits ----

    /// `poll()` is called and it may be time to commit. Another thread does it: with the fix before `poll()` goes on, without
    /// it when it comes to it.
    pub fn note_auto_commit(&mut self, subscription: &SubscriptionState, now: Instant) {
        if !self.config.enable_auto_commit || self.auto_commit_at > now {
            return;
        }
        if let Some(me) = &mut self.modern {
            me.commit_is_due = true;
        }
        if self.config.toggles.async_commit_snapshot {
            self.commit_what_is_due(subscription, now);
            // One that is under way is not overtaken; the next poll() tries again.
            self.modern.iter_mut().for_each(|me| me.commit_is_due = false);
        }
    }

    /// Without the fix: whatever `poll()` is doing, or the application, the positions of this moment are committed.
    pub fn commit_behind_poll(&mut self, subscription: &SubscriptionState, ctx: &mut Context<'_>) {
        self.commit_what_is_due(subscription, ctx.now());
        self.send_commits(ctx);
    }

    /// The positions as they are now, if it is time to commit and no such commit is under way.
    fn commit_what_is_due(&mut self, subscription: &SubscriptionState, now: Instant) {
        if !self.modern.as_ref().is_some_and(|me| me.commit_is_due) {
            return;
        }
        let is_auto = |kind: CommitKind| kind == CommitKind::Auto;
        let busy = self.commits.iter().any(|commit| is_auto(commit.kind))
            || self.is_under_way(|purpose| matches!(purpose, Purpose::Commit(commit) if is_auto(commit.kind)));
        let in_background = !self.config.toggles.async_commit_snapshot;
        if busy || (in_background && self.node.is_none()) {
            return;
        }
        self.modern.iter_mut().for_each(|me| me.commit_is_due = false);
        self.auto_commit_at = now + self.config.auto_commit_interval_ms;
        let positions = subscription.positions();
        if !positions.is_empty() {
            self.commit(CommitKind::Auto, positions);
        }
    }
}

impl ConsumerMembership {
    /// The coordinator has said what the member is to have.
    fn told(&mut self, partitions: PartitionsById) {
        if !self.is_in_group() {
            return;
        }
        if self.target.number < 0 || self.target.partitions != partitions {
            self.target = LocalAssignment { number: self.target.number + 1, partitions };
        }
        if !self.has_what_it_is_to_have() {
            self.state = MemberState::Reconciling;
        } else if matches!(self.state, MemberState::Joining | MemberState::Reconciling) {
            self.state = MemberState::Stable;
        }
    }
}

/// The names of partitions, and those that have one; metadata are asked for the others.
fn resolve(partitions: &PartitionsById, metadata: &mut ClientMetadata) -> (BTreeSet<TopicPartition>, PartitionsById) {
    let (mut named, mut known) = (BTreeSet::new(), PartitionsById::new());
    for (id, indexes) in partitions {
        match metadata.topic_by_id(*id).cloned() {
            Some(name) => {
                named.extend(indexes.iter().map(|index| TopicPartition::new(name.clone(), *index)));
                known.insert(*id, indexes.clone());
            }
            None => metadata.request_update(),
        }
    }
    (named, known)
}

//! A consumer's side of its group: finding the coordinator, and what to do next.
//!
//! Kafka: `AbstractCoordinator`, `ConsumerCoordinator`. `membership` joins and stays, `commits` says how far it has come,
//! `group_wire` writes and reads the requests.
//!
//! ```text
//!  Unjoined ──poll()──▶ Preparing ──commit, revoke──▶ Joining ──▶ Syncing ──poll()──▶ Stable
//!     ▲                                                                                 │ a rebalance is heard of
//!     └── fenced, left after max.poll.interval.ms ◀────────────────────────────────────┤
//!                                   Preparing ◀─────────────────────────poll()─────────┘
//! ```
//!
//! Heartbeats go out while the application works; everything else happens inside `poll()`. The coordinator has a
//! connection of its own.
//!
//! With `group.protocol=consumer` the membership is that of `consumer_membership`, and the states above are not entered.
//!
//! Who subscribes by a pattern joins with the topics that it knows of: each time that it hears of the cluster, in the worst
//! case `metadata.max.age.ms` after a topic was made.
//!
//! Not modelled: patterns that the coordinator resolves (`SubscriptionPattern`, 4.0).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kafka_protocol::messages::GroupId;

use super::commits::Commit;
use super::consumer::network_client;
use super::consumer_membership::ConsumerMembership;
use super::group_wire;
use super::subscription_state::SubscriptionState;
use crate::client::metadata::ClientMetadata;
use crate::client::{Disconnection, Expect, NetworkClient, RequestToken, TopicPattern};
use crate::config::{Assignor, ConsumerConfig, GroupProtocol};
use crate::machine::Context;
use crate::protocol::{ErrorCode, Request, Response};
use crate::types::{ConnectionId, CorrelationId, Instant, NodeId, StrBytes, TopicName, TopicPartition, earliest};

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberState {
    /// It is no member.
    Unjoined,
    /// It commits and gives up what it has; it may wait for this until then.
    Preparing(Instant),
    /// It has asked to join.
    Joining,
    /// It has asked for its assignment.
    Syncing,
    /// It has an assignment.
    Stable,
}

/// What the application is told inside `poll()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GroupEvent {
    /// `onPartitionsRevoked`.
    Revoked(Vec<TopicPartition>),
    /// `onPartitionsLost`: somebody else may have them already.
    Lost(Vec<TopicPartition>),
    /// `onPartitionsAssigned`.
    Assigned(Vec<TopicPartition>),
    /// A commit of the application is answered.
    Committed(u64, Result<(), ErrorCode>),
    /// `poll()` throws.
    Failed(ErrorCode),
}

/// What a request in flight is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Find,
    Join,
    Sync,
    /// Sent in this generation.
    Heartbeat {
        generation: i32,
    },
    /// Of the consumer protocol; sent in this life.
    ConsumerHeartbeat {
        life: u32,
    },
    Leave,
    Commit(Commit),
    Offsets(Vec<TopicPartition>),
}

/// A subscription by pattern.
#[derive(Clone, Debug)]
pub(super) struct Matching {
    pattern: TopicPattern,
    /// The metadata that were looked at last.
    seen: u64,
    /// It joins when there are newer metadata than these.
    stale: Option<u64>,
}

/// The group as one consumer sees it.
#[derive(Clone, Debug)]
pub(super) struct ConsumerCoordinator {
    pub config: Arc<ConsumerConfig>,
    pub group: GroupId,
    pub network: NetworkClient,
    pub node: Option<NodeId>,
    /// Nothing is tried before this.
    pub not_before: Instant,
    pub in_flight: BTreeMap<RequestToken, Purpose>,
    /// What it subscribed to; empty where it assigns its partitions itself.
    pub topics: BTreeSet<TopicName>,
    /// Where it subscribed by a pattern.
    pub pattern: Option<Matching>,
    pub state: MemberState,
    /// The membership of the consumer protocol, if that is spoken.
    pub modern: Option<ConsumerMembership>,
    /// The generation, or the epoch of the member; -1 is none.
    pub generation: i32,
    pub member_id: StrBytes,
    pub assignor: Option<Assignor>,
    /// A new generation is wanted.
    pub rejoin: bool,
    /// What was given up for it has been.
    pub prepared: bool,
    /// The assignment that the next `poll()` takes over.
    pub assigned: Option<BTreeSet<TopicPartition>>,
    /// For the leader: how many partitions the topics had when it assigned them.
    pub assigned_of: Option<BTreeMap<TopicName, i32>>,
    pub heartbeat_at: Instant,
    /// When the coordinator was heard of last.
    pub heard_at: Instant,
    pub polled_at: Instant,
    /// What the group has committed is not asked for before this. Such a question that fails holds up no heartbeat.
    pub offsets_not_before: Instant,
    pub commits: VecDeque<Commit>,
    pub auto_commit_at: Instant,
    pub events: VecDeque<GroupEvent>,
    /// The application is inside a rebalance callback.
    pub in_callback: bool,
    /// What it reads on when the callback is over, where that is about something that it gives up.
    pub keeps: Option<BTreeSet<TopicPartition>>,
}

impl ConsumerCoordinator {
    pub fn new(config: Arc<ConsumerConfig>, group: &str) -> Self {
        Self {
            group: GroupId(StrBytes::from_string(group.to_owned())),
            network: network_client(&config),
            node: None,
            not_before: Instant::START,
            in_flight: BTreeMap::new(),
            topics: BTreeSet::new(),
            pattern: None,
            state: MemberState::Unjoined,
            modern: (config.group_protocol != GroupProtocol::Classic).then(ConsumerMembership::new),
            generation: -1,
            member_id: StrBytes::default(),
            assignor: None,
            rejoin: true,
            prepared: false,
            assigned: None,
            assigned_of: None,
            heartbeat_at: Instant::NEVER,
            heard_at: Instant::START,
            polled_at: Instant::START,
            offsets_not_before: Instant::START,
            commits: VecDeque::new(),
            auto_commit_at: Instant::START,
            events: VecDeque::new(),
            in_callback: false,
            keeps: None,
            config,
        }
    }

    /// Whether it is a member of a share group.
    pub fn is_share(&self) -> bool {
        self.config.group_protocol == GroupProtocol::Share
    }

    /// Whether the group says what it reads.
    pub fn is_managed(&self) -> bool {
        self.pattern.is_some() || !self.topics.is_empty()
    }

    /// Whether it wants a topic, known to it or not.
    pub fn subscribes_to(&self, topic: &TopicName) -> bool {
        match &self.pattern {
            Some(matching) => matching.pattern.matches(topic),
            None => self.topics.contains(topic),
        }
    }

    /// Whether it is a member and knows of no rebalance.
    pub fn is_settled(&self) -> bool {
        if let Some(modern) = &self.modern {
            return modern.is_settled();
        }
        self.state == MemberState::Stable && !self.rejoin && self.assigned.is_none()
    }

    /// `subscribe(topics)`.
    pub fn subscribe(&mut self, topics: BTreeSet<TopicName>) {
        self.topics = topics;
        self.rejoin = true;
    }

    /// `subscribe(pattern)`.
    pub fn subscribe_pattern(&mut self, pattern: TopicPattern) {
        self.pattern = Some(Matching { pattern, seen: 0, stale: None });
        self.rejoin = true;
    }

    /// Inside `poll()`: which topics the pattern matches, if there is news.
    fn match_topics(&mut self, metadata: &ClientMetadata) {
        let Some(matching) = &mut self.pattern else { return };
        if matching.seen == metadata.version() {
            return;
        }
        matching.seen = metadata.version();
        let topics = metadata.topics().map(|(topic, _)| topic).filter(|topic| matching.pattern.matches(topic));
        let topics: BTreeSet<TopicName> = topics.cloned().collect();
        self.rejoin |= topics != self.topics;
        self.topics = topics;
    }

    /// Whether what is known of the cluster is new enough to join with a pattern. All members look before they join: so a new
    /// topic makes one rebalance, and not one per member.
    pub fn looks_before_joining(&mut self, metadata: &mut ClientMetadata) -> bool {
        let Some(matching) = &mut self.pattern else { return true };
        let stale = *matching.stale.get_or_insert_with(|| {
            metadata.request_update();
            metadata.version()
        });
        metadata.version() > stale
    }

    /// It has joined: before the next time it looks again.
    pub fn has_joined_by_pattern(&mut self) {
        self.pattern.iter_mut().for_each(|matching| matching.stale = None);
    }

    /// `poll()` is called: before anything is returned, what was returned before is committed if it is time.
    pub fn poll_begins(&mut self, subscription: &SubscriptionState, ctx: &Context<'_>) {
        self.polled_at = ctx.now();
        self.maybe_auto_commit(subscription, ctx.now());
    }

    /// Everything that can be done now. `polling`: the application is inside `poll()`.
    pub fn proceed(
        &mut self,
        metadata: &mut ClientMetadata,
        subscription: &mut SubscriptionState,
        polling: bool,
        ctx: &mut Context<'_>,
    ) {
        if polling && !self.in_callback {
            // However long one poll() takes, it is one.
            self.polled_at = ctx.now();
        }
        self.check_poll_interval(ctx);
        self.check_session(ctx);
        if polling && !self.in_callback {
            self.match_topics(metadata);
        }
        if self.is_managed() && self.modern.is_some() {
            self.follow(metadata, subscription, polling, ctx);
        } else if self.is_managed() && polling && !self.in_callback {
            self.check_topics(metadata);
            self.advance_membership(metadata, subscription, ctx);
        }
        if self.node.is_none() && self.wants_coordinator(subscription) {
            self.find(metadata, ctx);
        }
        self.send_commits(ctx);
        // A callback may seek: what it does not set is looked up when it has returned.
        if !self.in_callback {
            self.fetch_offsets(subscription, ctx);
        }
        self.send_heartbeat(ctx);
    }

    fn wants_coordinator(&self, subscription: &SubscriptionState) -> bool {
        self.is_managed() || !self.commits.is_empty() || subscription.awaits_committed().next().is_some()
    }

    fn find(&mut self, metadata: &ClientMetadata, ctx: &mut Context<'_>) {
        let under_way = self.in_flight.values().any(|purpose| matches!(purpose, Purpose::Find));
        if under_way || self.not_before > ctx.now() {
            return;
        }
        let now = ctx.now();
        let Some(node) = self.network.least_loaded_node(metadata.nodes(), now, ctx.rng()) else { return };
        if self.network.ready(node, ctx) {
            let request = group_wire::find_coordinator(&self.group, self.config.version);
            self.send_to(node, request, Purpose::Find, ctx);
        }
    }

    /// Sends a request to the coordinator; false if it is not known or not connected to.
    pub fn send(&mut self, request: impl FnOnce(&Self) -> Request, purpose: Purpose, ctx: &mut Context<'_>) -> bool {
        let Some(node) = self.node else { return false };
        if self.not_before > ctx.now() || !self.network.ready(node, ctx) {
            return false;
        }
        let request = request(self);
        self.send_to(node, request, purpose, ctx);
        true
    }

    fn send_to(&mut self, node: NodeId, request: Request, purpose: Purpose, ctx: &mut Context<'_>) {
        let timeout = match &purpose {
            // A join is answered when everybody has joined.
            Purpose::Join => {
                self.config.request_timeout_ms.max(self.config.max_poll_interval_ms) + group_wire::JOIN_LAPSE
            }
            Purpose::Find
            | Purpose::Sync
            | Purpose::Heartbeat { .. }
            | Purpose::ConsumerHeartbeat { .. }
            | Purpose::Leave
            | Purpose::Commit(_)
            | Purpose::Offsets(_) => self.config.request_timeout_ms,
        };
        let token = self.network.send(node, request, Expect::Response, timeout, ctx);
        self.in_flight.insert(token, purpose);
    }

    pub fn is_under_way(&self, which: impl Fn(&Purpose) -> bool) -> bool {
        self.in_flight.values().any(which)
    }

    /// The coordinator is somebody else, or nobody; it is looked for again after a pause.
    pub fn coordinator_unknown(&mut self, ctx: &mut Context<'_>) {
        self.back_off(ctx);
        if let Some(node) = self.node.take()
            && let Some(disconnection) = self.network.disconnect(node, ctx)
        {
            self.disconnected(&disconnection, ctx);
        }
    }

    pub fn back_off(&mut self, ctx: &Context<'_>) {
        self.not_before = ctx.now() + self.config.retry_backoff_ms;
    }

    // ---- input ----

    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.network.owns(connection)
    }

    pub fn on_connected(&mut self, connection: ConnectionId, now: Instant) {
        self.network.on_connected(connection, now);
    }

    pub fn on_disconnected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) {
        if let Some(disconnection) = self.network.on_disconnected(connection, ctx) {
            self.disconnected(&disconnection, ctx);
        }
    }

    pub fn on_deadline(&mut self, ctx: &mut Context<'_>) {
        for disconnection in self.network.on_deadline(ctx) {
            self.disconnected(&disconnection, ctx);
        }
    }

    fn disconnected(&mut self, disconnection: &Disconnection, ctx: &mut Context<'_>) {
        if self.node == Some(disconnection.node) {
            self.node = None;
            self.back_off(ctx);
        }
        for token in &disconnection.failed {
            let Some(purpose) = self.in_flight.remove(token) else { continue };
            self.failed(purpose, ErrorCode::NETWORK_EXCEPTION, ctx);
        }
    }

    pub fn on_response(
        &mut self,
        connection: ConnectionId,
        correlation_id: CorrelationId,
        response: Response,
        metadata: &mut ClientMetadata,
        subscription: &mut SubscriptionState,
        ctx: &mut Context<'_>,
    ) {
        let Some((_, token, response)) = self.network.on_response(connection, correlation_id, response, ctx.now())
        else {
            return;
        };
        let Some(purpose) = self.in_flight.remove(&token) else { return };
        match (purpose, response) {
            (Purpose::Find, Response::FindCoordinator(response)) => match group_wire::coordinator(&response) {
                Ok(node) => self.coordinator_found(node, ctx.now()),
                Err(_) => self.back_off(ctx),
            },
            (Purpose::Join, Response::JoinGroup(response)) => self.joined(*response, metadata, ctx),
            (Purpose::Sync, Response::SyncGroup(response)) => self.synced(*response, ctx),
            (Purpose::Heartbeat { generation }, Response::Heartbeat(response)) => {
                self.heartbeat_answered(ErrorCode(response.error_code), generation, ctx);
            }
            (Purpose::ConsumerHeartbeat { life }, Response::ConsumerGroupHeartbeat(response)) => {
                self.consumer_heartbeat_answered(life, *response, ctx);
            }
            (Purpose::ConsumerHeartbeat { life }, Response::ShareGroupHeartbeat(response)) => {
                self.consumer_heartbeat_answered(life, group_wire::of_share_group(*response), ctx);
            }
            (Purpose::Commit(commit), Response::OffsetCommit(response)) => {
                self.commit_answered(commit, &response, ctx);
            }
            (Purpose::Offsets(asked), Response::OffsetFetch(response)) => {
                self.offsets_fetched(&asked, &response, metadata, subscription, ctx);
            }
            (Purpose::Leave, _) => {}
            (purpose, _) => self.failed(purpose, ErrorCode::UNKNOWN_SERVER_ERROR, ctx),
        }
    }

    /// A request that will not be answered.
    fn failed(&mut self, purpose: Purpose, error: ErrorCode, ctx: &mut Context<'_>) {
        match purpose {
            Purpose::Join | Purpose::Sync => {
                self.state = MemberState::Unjoined;
                self.rejoin = true;
            }
            Purpose::Commit(commit) => self.commit_failed(commit, error, ctx),
            Purpose::Heartbeat { .. } => self.heartbeat_at = ctx.now() + self.config.retry_backoff_ms,
            Purpose::ConsumerHeartbeat { life } => self.consumer_heartbeat_failed(life, error, ctx),
            Purpose::Find | Purpose::Leave | Purpose::Offsets(_) => {}
        }
    }

    /// When there is something to do without any other input. `polling`: the application is inside `poll()`, and what is
    /// done there can be.
    pub fn next_deadline(&self, polling: bool) -> Option<Instant> {
        let waits = [self.not_before, self.offsets_not_before].into_iter().filter(|at| *at > Instant::START).min();
        let polling = polling && !self.in_callback;
        let poll = (self.watches_poll() && !polling).then(|| self.polled_at + self.config.max_poll_interval_ms);
        let preparing = match self.state {
            MemberState::Preparing(until) if polling => Some(until),
            MemberState::Preparing(_)
            | MemberState::Unjoined
            | MemberState::Joining
            | MemberState::Syncing
            | MemberState::Stable => None,
        };
        // Who knows no coordinator is told of one by an answer.
        let keeps_alive = self.sends_heartbeats() && self.node.is_some();
        let heartbeat = keeps_alive.then_some(self.heartbeat_at);
        let session = keeps_alive.then(|| self.heard_at + self.config.session_timeout_ms);
        let commits = self.commits.iter().filter_map(Commit::next_deadline).min();
        let beat = self.next_beat(polling);
        earliest([waits, poll, preparing, heartbeat, session, beat, commits, self.network.next_deadline()])
    }

    /// The pause after an error is over.
    pub fn forget_pause(&mut self, now: Instant) {
        if self.not_before <= now {
            self.not_before = Instant::START;
        }
        if self.offsets_not_before <= now {
            self.offsets_not_before = Instant::START;
        }
    }
}

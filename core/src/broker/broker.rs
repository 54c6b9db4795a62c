//! The broker: a machine that dispatches what comes in and hands on what comes out, and decides nothing itself.
//!
//! Kafka: `BrokerServer.scala`, `KafkaApis.scala`, `KafkaRequestHandler`.
//!
//! ```text
//! Request ──▶ SocketServer ──▶ apis/* ──▶ ReplicaManager ──▶ completed ──▶ apis/* ──▶ Reply
//!                                  └────▶ ControllerChannel ─▶ answered ──┘
//! ```
//!
//! Everything it knows of the cluster it has read from the metadata log, late; the truth it never sees.
//! Not modelled: transactions, a process that is broker
//! and controller at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use super::alter_partition::AlterPartitionManager;
use super::apis::{Forwarded, PendingFetch, PendingProduce};
use super::assignments::AssignmentsManager;
use super::client_quotas::{ClientQuotas, QuotaType};
use super::controller_channel::ControllerChannel;
use super::fetch_session::FetchManager;
use super::groups::Groups;
use super::lifecycle::{BrokerLifecycleManager, BrokerState};
use super::metadata_publisher::MetadataPublisher;
use super::persister::Persister;
use super::producer_ids::ProducerIdManager;
use super::request_handlers::RequestHandlers;
use super::share_states::ShareStates;
use super::shares::Shares;
use super::socket_server::{ReplyTo, SocketServer};
use crate::config::BrokerConfig;
use crate::coordinator::group::GroupCoordinator;
use crate::fact::Fact;
use crate::machine::{Context, Input, Machine};
use crate::metadata::MetadataImage;
use crate::protocol::{Request, Response};
use crate::replication::{Completed, ReplicaManager};
use crate::types::{BrokerEpoch, ByToken, ConnectionId, CorrelationId, Duration, Instant, NodeId, TopicName, earliest};

/// How long the forwarding channel tries to reach a controller.
const FORWARDING_TIMEOUT: Duration = Duration::from_secs(60);

/// One life of a broker process. Its storage is as the previous life left it.
#[derive(Clone, Debug)]
pub struct Broker {
    pub(super) config: Arc<BrokerConfig>,
    sockets: SocketServer,
    handlers: RequestHandlers,
    pub(super) replicas: ReplicaManager,
    pub(super) metadata: MetadataPublisher,
    lifecycle: BrokerLifecycleManager,
    alter_partition: AlterPartitionManager,
    assignments: AssignmentsManager,
    pub(super) forwarding: ControllerChannel<Forwarded>,
    pub(super) fetch_manager: FetchManager,
    pub(super) quotas: ClientQuotas,
    /// What each client calls itself in the header of its requests.
    pub(super) client_ids: Arc<BTreeMap<NodeId, String>>,
    pub(super) producer_ids: ProducerIdManager,
    pub(super) groups: Groups,
    pub(super) shares: Shares,
    pub(super) persister: Persister,
    pub(super) share_states: ShareStates,
    /// Topics whose creation a Metadata request has set off.
    pub(super) being_created: BTreeSet<TopicName>,
    /// Requests that the replicas have not answered yet, by token.
    pending: ByToken<Pending>,
    next_token: u64,
    /// Requests read from channels that were unmuted.
    readable: VecDeque<(ReplyTo, Request)>,
    exited: bool,
}

/// A request in the hands of the replicas.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    Produce(PendingProduce),
    Fetch(PendingFetch),
    DeleteRecords(ReplyTo),
    /// A write of the group coordinator.
    GroupRecords(u64),
    /// A write of the share coordinator.
    ShareState(u64),
}

impl Broker {
    /// A broker whose process begins with `Input::Start`.
    ///
    /// # Panics
    /// If there is no controller.
    pub fn new(config: Arc<BrokerConfig>, controllers: Vec<NodeId>) -> Self {
        let socket_timeout = config.controller_socket_timeout_ms;
        Self {
            sockets: SocketServer::new(config.connections_max_idle_ms),
            handlers: RequestHandlers::new(config.num_io_threads, config.request_times.clone()),
            replicas: ReplicaManager::new(config.clone()),
            metadata: MetadataPublisher::new(config.broker_id, controllers.clone()),
            lifecycle: BrokerLifecycleManager::new(config.clone(), controllers.clone()),
            alter_partition: AlterPartitionManager::new(config.clone(), controllers.clone()),
            assignments: AssignmentsManager::new(config.clone(), controllers.clone()),
            forwarding: ControllerChannel::new(controllers, socket_timeout, FORWARDING_TIMEOUT),
            fetch_manager: FetchManager::new(config.max_incremental_fetch_session_cache_slots),
            quotas: ClientQuotas::default(),
            client_ids: Arc::default(),
            producer_ids: ProducerIdManager::default(),
            groups: Groups::new(&config),
            shares: Shares::default(),
            persister: Persister::default(),
            share_states: ShareStates::new(&config),
            being_created: BTreeSet::new(),
            pending: ByToken::default(),
            next_token: 1,
            readable: VecDeque::new(),
            exited: false,
            config,
        }
    }

    /// With the `client.id` of each client. Messages between simulated nodes have no headers; this stands for them.
    #[must_use]
    pub fn with_client_ids(mut self, client_ids: Arc<BTreeMap<NodeId, String>>) -> Self {
        self.client_ids = client_ids;
        self
    }

    /// Notes what a client sent or is to get, and mutes its channel if that is over its limit; for how long, in
    /// milliseconds. Call it just before the answer.
    pub(super) fn throttle(&mut self, to: ReplyTo, quota: QuotaType, bytes: u64, ctx: &mut Context<'_>) -> i32 {
        let Some(client_id) = self.client_ids.get(&to.from) else { return 0 };
        let silence = self.quotas.record(self.metadata.image(), quota, client_id, bytes, ctx.now());
        if silence == Duration::ZERO {
            return 0;
        }
        if quota == QuotaType::Fetch {
            // The answer is left empty instead.
            self.quotas.unrecord(quota, client_id, bytes);
        }
        self.sockets.throttle(to.connection, ctx.now() + silence);
        let throttle_ms = i64::try_from(silence.as_millis()).unwrap_or(i64::MAX);
        ctx.fact(Fact::ClientThrottled { client: to.from, api: quota.api().to_owned(), throttle_ms });
        i32::try_from(throttle_ms).unwrap_or(i32::MAX)
    }

    /// The cluster as this broker has read it.
    pub fn image(&self) -> &MetadataImage {
        self.metadata.image()
    }

    /// The replicas of this broker.
    pub fn replica_manager(&self) -> &ReplicaManager {
        &self.replicas
    }

    /// The groups that it coordinates.
    pub fn group_coordinator(&self) -> &GroupCoordinator {
        &self.groups.coordinator
    }

    /// Where it is in its life.
    pub fn state(&self) -> BrokerState {
        self.lifecycle.state()
    }

    /// What waits inside it, a line each: for a run that does not come to an end.
    pub fn waiting(&self) -> Vec<String> {
        let line = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let count = |is: fn(&Pending) -> bool| self.pending.iter().filter(|(_, pending)| is(pending)).count();
        let fetches = count(|pending| matches!(pending, Pending::Fetch(_)));
        let lines = [
            line(count(|pending| matches!(pending, Pending::Produce(_))), "produce request(s) wait for replicas"),
            line(
                count(|pending| matches!(pending, Pending::DeleteRecords(_))),
                "DeleteRecords request(s) wait for replicas",
            ),
            line(fetches, "fetch request(s) wait for data"),
            line(self.alter_partition.pending(), "ISR proposal(s) wait for the controller"),
            line(self.handlers.waiting(), "request(s) wait for a thread"),
            line(self.assignments.pending(), "log director(ies) wait to be told to the controller"),
            line(self.forwarding.pending(), "forwarded request(s) wait for the controller"),
            line(self.groups.waiting(), "request(s) wait for the group coordinator"),
            line(self.shares.waiting(), "request(s) of members of share groups wait"),
            line(self.share_states.waiting(), "state(s) of share groups are being written"),
            line(self.producer_ids.waiting(), "request(s) wait for a block of producer ids"),
        ];
        lines.into_iter().flatten().collect()
    }

    pub(super) fn broker_epoch(&self) -> BrokerEpoch {
        self.lifecycle.broker_epoch().unwrap_or(BrokerEpoch(-1))
    }

    /// Answers a request. Its channel is read again.
    pub(super) fn reply(&mut self, to: ReplyTo, response: impl Into<Response>, ctx: &mut Context<'_>) {
        ctx.reply(to.connection, to.correlation_id, response.into());
        self.no_reply(to);
    }

    /// A request is done that has no answer. Its channel is read again.
    pub(super) fn no_reply(&mut self, to: ReplyTo) {
        if let Some(next) = self.sockets.done(to.connection) {
            self.readable.push_back(next);
        }
    }

    pub(super) fn close_connection(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) {
        if self.sockets.closed(connection) {
            self.close_share_sessions(connection);
            ctx.close(connection);
        }
    }

    /// Remembers a request until the replicas answer; returns their name for it.
    pub(super) fn wait_for(&mut self, pending: Pending) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        self.pending.insert(token, pending);
        token
    }

    fn serve(&mut self, from: ReplyTo, request: Request, ctx: &mut Context<'_>) {
        ctx.because(from.cause);
        match request {
            Request::Produce(request) => self.handle_produce(from, *request, ctx),
            Request::Fetch(request) => self.handle_fetch(from, *request, ctx),
            Request::ListOffsets(request) => self.handle_list_offsets(from, *request, ctx),
            Request::Metadata(request) => self.handle_metadata(from, *request, ctx),
            Request::ApiVersions(_) => self.handle_api_versions(from, ctx),
            Request::CreateTopics(request) => self.forward_create_topics(from, *request, ctx),
            Request::DeleteRecords(request) => self.handle_delete_records(from, *request, ctx),
            Request::InitProducerId(request) => self.handle_init_producer_id(from, &request, ctx),
            Request::OffsetForLeaderEpoch(request) => self.handle_offset_for_leader_epoch(from, *request, ctx),
            Request::ElectLeaders(request) => self.forward_elect_leaders(from, *request, ctx),
            Request::CreatePartitions(_)
            | Request::DeleteTopics(_)
            | Request::AlterPartitionReassignments(_)
            | Request::IncrementalAlterConfigs(_)
            | Request::AlterClientQuotas(_) => self.forward_to_controller(from, request, ctx),
            Request::FindCoordinator(request) => self.handle_find_coordinator(from, *request, ctx),
            Request::JoinGroup(request) => self.handle_join_group(from, *request, ctx),
            Request::SyncGroup(request) => self.handle_sync_group(from, *request, ctx),
            Request::Heartbeat(request) => self.handle_heartbeat(from, *request, ctx),
            Request::LeaveGroup(request) => self.handle_leave_group(from, *request, ctx),
            Request::ConsumerGroupHeartbeat(request) => self.handle_consumer_group_heartbeat(from, *request, ctx),
            Request::ShareGroupHeartbeat(request) => self.handle_share_group_heartbeat(from, *request, ctx),
            Request::ShareFetch(request) => self.handle_share_fetch(from, *request, ctx),
            Request::ShareAcknowledge(request) => self.handle_share_acknowledge(from, *request, ctx),
            Request::ReadShareGroupState(request) => self.handle_read_share_group_state(from, *request, ctx),
            Request::WriteShareGroupState(request) => self.handle_write_share_group_state(from, *request, ctx),
            Request::OffsetCommit(request) => self.handle_offset_commit(from, *request, ctx),
            Request::OffsetFetch(request) => self.handle_offset_fetch(from, *request, ctx),
            // A broker does not speak them: what cannot be parsed closes the connection.
            Request::AlterPartition(_)
            | Request::BrokerRegistration(_)
            | Request::BrokerHeartbeat(_)
            | Request::AssignReplicasToDirs(_)
            | Request::AllocateProducerIds(_)
            | Request::Store(_) => self.close_connection(from.connection, ctx),
        }
    }

    fn on_connected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) {
        if self.metadata.owns(connection) {
            self.metadata.on_connected(connection, ctx);
        } else if self.lifecycle.owns(connection) {
            self.lifecycle.channel().on_connected(connection, ctx);
        } else if self.alter_partition.owns(connection) {
            self.alter_partition.channel().on_connected(connection, ctx);
        } else if self.assignments.owns(connection) {
            self.assignments.channel().on_connected(connection, ctx);
        } else if self.forwarding.owns(connection) {
            self.forwarding.on_connected(connection, ctx);
        } else if self.persister.owns(connection) {
            self.persister.on_connected(connection, ctx);
        } else {
            self.replicas.on_connected(connection, ctx);
        }
    }

    fn on_disconnected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) {
        if self.sockets.closed(connection) {
            self.close_share_sessions(connection);
            return;
        }
        if self.metadata.owns(connection) {
            self.metadata.on_disconnected(connection, ctx);
        } else if self.lifecycle.owns(connection) {
            self.lifecycle.channel().on_disconnected(connection, ctx);
        } else if self.alter_partition.owns(connection) {
            self.alter_partition.channel().on_disconnected(connection, ctx);
        } else if self.assignments.owns(connection) {
            self.assignments.channel().on_disconnected(connection, ctx);
        } else if self.forwarding.owns(connection) {
            self.forwarding.on_disconnected(connection, ctx);
        } else if self.persister.owns(connection) {
            self.persister.on_disconnected(connection, ctx);
        } else {
            self.replicas.on_disconnected(connection, ctx);
        }
    }

    fn on_response(
        &mut self,
        connection: ConnectionId,
        correlation_id: CorrelationId,
        response: Response,
        ctx: &mut Context<'_>,
    ) {
        // Followers' fetches are by far the most.
        let Some(response) = self.replicas.on_response(connection, correlation_id, response, ctx) else { return };
        if self.metadata.owns(connection) {
            self.metadata.on_response(connection, correlation_id, response, ctx);
        } else if self.lifecycle.owns(connection) {
            self.lifecycle.channel().on_response(connection, correlation_id, response, ctx);
        } else if self.alter_partition.owns(connection) {
            self.alter_partition.channel().on_response(connection, correlation_id, response, ctx);
        } else if self.assignments.owns(connection) {
            self.assignments.channel().on_response(connection, correlation_id, response, ctx);
        } else if self.forwarding.owns(connection) {
            self.forwarding.on_response(connection, correlation_id, response, ctx);
        } else if self.persister.owns(connection) {
            self.on_persister_response(connection, correlation_id, response, ctx);
        }
    }

    fn on_deadline(&mut self, ctx: &mut Context<'_>) {
        for connection in self.sockets.close_idle() {
            self.close_share_sessions(connection);
            ctx.close(connection);
        }
        self.readable.extend(self.sockets.unthrottle(ctx.now()));
        self.metadata.on_deadline(ctx);
        self.lifecycle.channel().on_deadline(ctx);
        self.alter_partition.channel().on_deadline(ctx);
        self.assignments.channel().on_deadline(ctx);
        self.forwarding.on_deadline(ctx);
        self.replicas.on_deadline(ctx);
        self.on_groups_deadline(ctx);
        self.on_shares_deadline(ctx);
        self.persister.on_deadline(ctx);
        self.on_share_states_deadline(ctx);
    }

    /// Hands on, between the parts, what the input has led to, until nothing is left.
    fn settle(&mut self, ctx: &mut Context<'_>) {
        self.publish_metadata(ctx);
        loop {
            if let Some(completed) = self.replicas.next_completed() {
                self.on_completed(completed, ctx);
            } else if let Some((from, request)) = self.next_request(ctx.now()) {
                self.serve(from, request, ctx);
            } else if let Some((purpose, outcome)) = self.forwarding.take_outcome() {
                self.on_forwarded(purpose, outcome, ctx);
            } else if !self.settle_groups(ctx)
                && !self.settle_shares(ctx)
                && !self.settle_share_states(ctx)
                && !self.settle_isr_proposals(ctx)
                && !self.settle_lifecycle(ctx)
            {
                break;
            }
        }
        self.grant_producer_ids(ctx);
        for assignment in self.replicas.take_assignments() {
            self.assignments.submit(&assignment);
        }
        self.assignments.poll(self.lifecycle.broker_epoch(), ctx);
        self.metadata.poll(ctx);
    }

    /// What has been read goes to the threads; the next request that one of them is through with.
    fn next_request(&mut self, now: Instant) -> Option<(ReplyTo, Request)> {
        for asked in self.readable.drain(..) {
            self.handlers.add(asked);
        }
        self.handlers.next(now)
    }

    fn on_completed(&mut self, completed: Completed, ctx: &mut Context<'_>) {
        let token = match &completed {
            Completed::Produce(completed) => completed.token,
            Completed::Fetch(completed) => completed.token,
            Completed::DeleteRecords(completed) => completed.token,
        };
        match (completed, self.pending.remove(token)) {
            (Completed::Produce(completed), Some(Pending::Produce(pending))) => {
                self.finish_produce(pending, completed.results, ctx);
            }
            (Completed::Produce(completed), Some(Pending::GroupRecords(number))) => {
                self.group_records_written(number, completed, ctx);
            }
            (Completed::Produce(completed), Some(Pending::ShareState(number))) => {
                self.share_record_written(number, &completed);
            }
            (Completed::Fetch(completed), Some(Pending::Fetch(pending))) => {
                self.finish_fetch(pending, completed.results, ctx);
            }
            (Completed::DeleteRecords(completed), Some(Pending::DeleteRecords(reply_to))) => {
                self.finish_delete_records(reply_to, completed.results, ctx);
            }
            (completed, pending) => panic!("the replicas completed {completed:?}, and what waited was {pending:?}"),
        }
    }

    /// Acts on what the metadata log has said since the last time.
    fn publish_metadata(&mut self, ctx: &mut Context<'_>) {
        let acts = self.config.toggles.early_publishing || self.lifecycle.state() != BrokerState::Starting;
        if acts && let Some(delta) = self.metadata.take_delta() {
            self.replicas.apply_metadata(self.metadata.image(), &delta, ctx);
            self.apply_metadata_to_groups(&delta, ctx);
            self.apply_metadata_to_shares(&delta);
            self.apply_metadata_to_share_states(&delta, ctx);
        }
    }

    /// Proposals of leaders go to the controller, its answers to the leaders; whether there were answers.
    fn settle_isr_proposals(&mut self, ctx: &mut Context<'_>) -> bool {
        for proposal in self.replicas.take_isr_proposals() {
            self.alter_partition.submit(proposal);
        }
        self.alter_partition.poll(self.broker_epoch(), ctx);
        let resolved = self.alter_partition.take_resolved();
        let any = !resolved.is_empty();
        for one in resolved {
            self.replicas.on_alter_partition_result(&one.proposal, one.result, ctx);
        }
        any
    }

    /// Whether a step of its life was taken that others must hear of.
    fn settle_lifecycle(&mut self, ctx: &mut Context<'_>) -> bool {
        let before = (self.lifecycle.state(), self.lifecycle.broker_epoch());
        self.lifecycle.note_directories(self.replicas.directories(), ctx.now());
        self.lifecycle.poll(self.metadata.image().last_applied, ctx);
        if let Some(epoch) = self.lifecycle.broker_epoch() {
            self.replicas.set_broker_epoch(epoch);
        }
        match self.lifecycle.state() {
            BrokerState::Recovery if self.metadata.is_caught_up() => {
                self.publish_metadata(ctx);
                self.lifecycle.set_ready_to_unfence(ctx);
            }
            BrokerState::Running if !self.sockets.is_processing() => {
                self.readable.extend(self.sockets.enable_processing());
            }
            BrokerState::Running => {}
            BrokerState::ShuttingDown => self.shutdown(ctx),
            BrokerState::NotRunning
            | BrokerState::Starting
            | BrokerState::Recovery
            | BrokerState::PendingControlledShutdown => {}
        }
        before != (self.lifecycle.state(), self.lifecycle.broker_epoch()) || !self.readable.is_empty()
    }

    fn shutdown(&mut self, ctx: &mut Context<'_>) {
        if self.exited {
            return;
        }
        self.exited = true;
        self.sockets.stop_processing();
        self.readable.clear();
        self.handlers.stop();
        self.metadata.shutdown(ctx);
        let stopped = self.replicas.shutdown(ctx);
        self.check_storage(stopped, ctx);
        self.alter_partition.channel().shutdown(ctx);
        self.assignments.channel().shutdown(ctx);
        self.forwarding.shutdown(ctx);
        self.persister.shutdown(ctx);
        self.lifecycle.channel().shutdown(ctx);
        ctx.exit();
    }

    /// A broker that cannot load its logs does not start; one that cannot write them has not stopped cleanly.
    fn check_storage(&mut self, result: io::Result<()>, ctx: &mut Context<'_>) {
        if let Err(error) = result {
            ctx.fact(Fact::StorageFailed { what: error.to_string() });
            if !self.exited {
                self.exited = true;
                ctx.exit();
            }
        }
    }
}

impl Machine for Broker {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        if self.exited {
            return;
        }
        self.sockets.begin(ctx.now());
        match input {
            Input::Start => {
                let loaded = self.replicas.start(ctx);
                self.check_storage(loaded, ctx);
                self.lifecycle.note_directories(self.replicas.directories(), ctx.now());
                self.lifecycle.start(self.replicas.previous_broker_epoch(), ctx);
            }
            Input::Deadline => self.on_deadline(ctx),
            Input::Connected(connection) => self.on_connected(connection, ctx),
            Input::Disconnected(connection) => self.on_disconnected(connection, ctx),
            Input::Request { connection, from, correlation_id, request } => {
                let reply_to = ReplyTo { connection, correlation_id, from, cause: ctx.cause() };
                if let Some(served) = self.sockets.receive(reply_to, request) {
                    self.readable.push_back(served);
                }
            }
            Input::Response { connection, correlation_id, response } => {
                self.on_response(connection, correlation_id, response, ctx);
            }
            Input::MetadataLag(lag) => self.metadata.set_lag(lag, ctx),
            Input::Stop if self.config.controlled_shutdown_enable => {
                self.replicas.begin_controlled_shutdown();
                self.lifecycle.begin_controlled_shutdown(ctx);
            }
            Input::Stop => self.lifecycle.begin_shutdown(),
            // Nobody calls a broker; its clients do.
            Input::Call(_) => {}
        }
        if !self.exited {
            self.settle(ctx);
        }
        // The replicas have said that the process ends.
        self.exited |= self.replicas.is_offline();
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.exited {
            return None;
        }
        earliest([
            self.replicas.next_deadline(),
            self.sockets.next_deadline(),
            self.metadata.next_deadline(),
            self.lifecycle.next_deadline(),
            self.alter_partition.next_deadline(),
            self.assignments.next_deadline(),
            self.forwarding.next_deadline(),
            self.producer_ids.next_deadline(),
            self.sockets.next_deadline(),
            self.handlers.next_deadline(),
            self.groups.next_deadline(),
            self.shares.next_deadline(),
            self.persister.next_deadline(),
            self.share_states.next_deadline(),
        ])
    }
}

#[cfg(test)]
#[path = "broker_tests.rs"]
mod tests;

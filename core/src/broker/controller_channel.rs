//! A queue of requests to the active controller, one in flight at a time.
//!
//! Kafka: `NodeToControllerChannelManager` (`NodeToControllerRequestThread`), earlier `BrokerToControllerChannelManager`.
//! There is one per purpose (heartbeat, forwarding, alter-partition), each with a connection of its own. A request is
//! sent again, first in line, after a lost connection or `NOT_CONTROLLER`, until its owner's patience ends while it is
//! not in flight.
//! Not modelled: the broker's own knowledge of who leads the metadata quorum: it tries the controllers in turn.

use std::collections::VecDeque;

use crate::client::{Disconnection, Expect, ExponentialBackoff, NetworkClient, NetworkClientConfig, RequestToken};
use crate::machine::Context;
use crate::protocol::{ErrorCode, Request, Response};
use crate::types::{ConnectionId, CorrelationId, Duration, Instant, NodeId, earliest};

/// What came of a request, with the tag that its owner gave it.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The controller answered.
    Answered(Response),
    /// It could not be delivered in time (`onTimeout`).
    TimedOut,
}

/// The channel for one purpose. `T` tells its owner what a request was for.
#[derive(Clone, Debug)]
pub(super) struct ControllerChannel<T> {
    network: NetworkClient,
    controllers: Vec<NodeId>,
    active: usize,
    queue: VecDeque<Item<T>>,
    in_flight: Option<(RequestToken, Item<T>)>,
    request_timeout: Duration,
    retry_timeout: Duration,
    outcomes: VecDeque<(T, Outcome)>,
}

#[derive(Clone, Debug)]
struct Item<T> {
    tag: T,
    request: Request,
    give_up_at: Instant,
}

impl<T> ControllerChannel<T> {
    /// Without any connection. `socket_timeout` is `controller.socket.timeout.ms`.
    pub fn new(controllers: Vec<NodeId>, socket_timeout: Duration, retry_timeout: Duration) -> Self {
        assert!(!controllers.is_empty(), "a broker has at least one controller to talk to");
        let network = NetworkClient::new(NetworkClientConfig {
            reconnect_backoff: ExponentialBackoff::constant(Duration::from_millis(50)),
            connection_setup_timeout: Some(NetworkClientConfig::SETUP_TIMEOUT),
            max_in_flight: 1,
            max_idle: None,
        });
        Self {
            network,
            controllers,
            active: 0,
            queue: VecDeque::new(),
            in_flight: None,
            request_timeout: socket_timeout.min(retry_timeout),
            retry_timeout,
            outcomes: VecDeque::new(),
        }
    }

    /// Queues a request.
    pub fn send(&mut self, tag: T, request: impl Into<Request>, ctx: &mut Context<'_>) {
        let give_up_at = ctx.now() + self.retry_timeout;
        self.queue.push_back(Item { tag, request: request.into(), give_up_at });
        self.pump(ctx);
    }

    /// What came of the requests, oldest first; ask after every input until there is no more.
    pub fn take_outcome(&mut self) -> Option<(T, Outcome)> {
        self.outcomes.pop_front()
    }

    /// Whether the connection is this channel's.
    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.network.owns(connection)
    }

    /// `Input::Connected` on a connection of this channel.
    pub fn on_connected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) {
        self.network.on_connected(connection, ctx.now());
        self.pump(ctx);
    }

    /// `Input::Disconnected` on a connection of this channel.
    pub fn on_disconnected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) {
        if let Some(gone) = self.network.on_disconnected(connection, ctx) {
            self.lost(&gone);
        }
        self.pump(ctx);
    }

    /// `Input::Response` on a connection of this channel.
    pub fn on_response(
        &mut self,
        connection: ConnectionId,
        correlation_id: CorrelationId,
        response: Response,
        ctx: &mut Context<'_>,
    ) {
        let answered = self.network.on_response(connection, correlation_id, response, ctx.now());
        if let Some((node, token, response)) = answered
            && let Some((_, item)) = self.in_flight.take_if(|(sent, _)| *sent == token)
        {
            if says_not_controller(&response) {
                self.queue.push_front(item);
                self.network.disconnect(node, ctx);
                self.active = (self.active + 1) % self.controllers.len();
            } else {
                self.outcomes.push_back((item.tag, Outcome::Answered(response)));
            }
        }
        self.pump(ctx);
    }

    /// `Input::Deadline`.
    pub fn on_deadline(&mut self, ctx: &mut Context<'_>) {
        for gone in self.network.on_deadline(ctx) {
            self.lost(&gone);
        }
        self.pump(ctx);
    }

    /// When [`Self::on_deadline`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        // Items are in the order of their creation but for the front, which is older still.
        let patience = self.queue.front().map(|item| item.give_up_at).filter(|at| *at != Instant::NEVER);
        earliest([self.network.next_deadline(), patience])
    }

    /// Closes the connection and forgets what was to be sent.
    pub fn shutdown(&mut self, ctx: &mut Context<'_>) {
        self.network.close_all(ctx);
        self.queue.clear();
        self.in_flight = None;
        self.outcomes.clear();
    }

    /// How many requests wait or are in flight.
    pub fn pending(&self) -> usize {
        self.queue.len() + usize::from(self.in_flight.is_some())
    }

    fn lost(&mut self, gone: &Disconnection) {
        self.active = (self.active + 1) % self.controllers.len();
        if let Some((_, item)) = self.in_flight.take_if(|(sent, _)| gone.failed.contains(sent)) {
            self.queue.push_front(item);
        }
    }

    fn pump(&mut self, ctx: &mut Context<'_>) {
        while self.queue.front().is_some_and(|item| item.give_up_at <= ctx.now()) {
            self.outcomes.extend(self.queue.pop_front().map(|item| (item.tag, Outcome::TimedOut)));
        }
        if self.in_flight.is_some() || self.queue.is_empty() {
            return;
        }
        let controller = self.controllers[self.active];
        if !self.network.ready(controller, ctx) {
            return;
        }
        if let Some(item) = self.queue.pop_front() {
            let request = item.request.clone();
            let token = self.network.send(controller, request, Expect::Response, self.request_timeout, ctx);
            self.in_flight = Some((token, item));
        }
    }
}

/// `errorCounts().containsKey(NOT_CONTROLLER)`, for what controllers answer.
fn says_not_controller(response: &Response) -> bool {
    let says = |code: i16| code == ErrorCode::NOT_CONTROLLER.0;
    match response {
        Response::CreateTopics(r) => r.topics.iter().any(|topic| says(topic.error_code)),
        Response::ElectLeaders(r) => says(r.error_code),
        Response::AlterPartitionReassignments(r) => says(r.error_code),
        Response::DeleteTopics(r) => r.responses.iter().any(|topic| says(topic.error_code)),
        Response::CreatePartitions(r) => r.results.iter().any(|topic| says(topic.error_code)),
        Response::IncrementalAlterConfigs(r) => r.responses.iter().any(|resource| says(resource.error_code)),
        Response::AlterClientQuotas(r) => r.entries.iter().any(|entry| says(entry.error_code)),
        Response::AlterPartition(r) => says(r.error_code),
        Response::BrokerRegistration(r) => says(r.error_code),
        Response::BrokerHeartbeat(r) => says(r.error_code),
        Response::AllocateProducerIds(r) => says(r.error_code),
        Response::AssignReplicasToDirs(r) => says(r.error_code),
        Response::Produce(_)
        | Response::Fetch(_)
        | Response::ListOffsets(_)
        | Response::Metadata(_)
        | Response::ApiVersions(_)
        | Response::DeleteRecords(_)
        | Response::OffsetCommit(_)
        | Response::OffsetFetch(_)
        | Response::FindCoordinator(_)
        | Response::JoinGroup(_)
        | Response::Heartbeat(_)
        | Response::LeaveGroup(_)
        | Response::SyncGroup(_)
        | Response::ConsumerGroupHeartbeat(_)
        | Response::ShareGroupHeartbeat(_)
        | Response::ShareFetch(_)
        | Response::ShareAcknowledge(_)
        | Response::ReadShareGroupState(_)
        | Response::WriteShareGroupState(_)
        | Response::InitProducerId(_)
        | Response::Store(_)
        | Response::OffsetForLeaderEpoch(_) => false,
    }
}

#[cfg(test)]
#[path = "controller_channel_tests.rs"]
mod tests;

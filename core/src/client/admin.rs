//! The admin client: calls that any broker takes and passes on to the controller, and one that the leader takes.
//!
//! Kafka: `KafkaAdminClient`, `PartitionLeaderStrategy`; KIP-107 (deleteRecords), KIP-460 (electLeaders), KIP-590 (brokers forward to the controller).
//!
//! One call at a time, in order. A call that fails with a retriable error or loses its connection is made again until
//! `default.api.timeout.ms` (60 s) is over. What the leader takes goes to the leader that some broker names, and after every
//! failure it is asked for again.
//!
//! Not modelled: the timeout of `close()` (it waits for the calls made before it), finding the controller through metadata (brokers forward in every profile), call batching.

use std::collections::VecDeque;

use super::admin_requests::{REQUEST_TIMEOUT, admin_error, election_error, leader_in, lookup_of, request_of, words};
use super::{
    Call, Completion, Disconnection, Expect, ExponentialBackoff, NetworkClient, NetworkClientConfig, RequestToken,
};
use crate::fact::Fact;
use crate::machine::{Context, Input, Machine};
use crate::protocol::{ErrorCode, Response};
use crate::types::{Duration, Instant, NodeId, TopicName};

const API_TIMEOUT: Duration = Duration::from_secs(60);
const RETRY_BACKOFF: Duration = Duration::from_millis(100);

/// An admin client. Driven by [`Input::Call`] with [`Call::CreateTopics`], [`Call::ElectLeader`] and [`Call::Admin`].
#[derive(Clone, Debug)]
pub struct AdminClient {
    bootstrap: Vec<NodeId>,
    network: NetworkClient,
    calls: VecDeque<Pending>,
    in_flight: Option<RequestToken>,
    retry_at: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Pending {
    call: Call,
    expires_at: Instant,
    /// The leader of the partition that the call is about, once it is known.
    leader: Option<NodeId>,
}

impl AdminClient {
    /// A client that asks these brokers.
    pub fn new(bootstrap: Vec<NodeId>) -> Self {
        let network = NetworkClient::new(NetworkClientConfig {
            reconnect_backoff: ExponentialBackoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) },
            connection_setup_timeout: Some(NetworkClientConfig::SETUP_TIMEOUT),
            max_in_flight: 1,
            max_idle: None,
        });
        Self { bootstrap, network, calls: VecDeque::new(), in_flight: None, retry_at: None }
    }

    fn proceed(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let is_over = |pending: &Pending| pending.expires_at <= now || request_of(&pending.call).is_none();
        while self.in_flight.is_none() && self.calls.front().is_some_and(is_over) {
            self.finish(ErrorCode::CLIENT_DELIVERY_TIMEOUT, ctx);
        }
        if self.in_flight.is_some() || self.retry_at.is_some_and(|at| at > now) {
            return;
        }
        self.retry_at = None;
        let Some(pending) = self.calls.front() else { return };
        let Some(request) = lookup_of(&pending.call, pending.leader).or_else(|| request_of(&pending.call)) else {
            return;
        };
        // No attempt outlives its call.
        let timeout = REQUEST_TIMEOUT.min(pending.expires_at.since(now));
        let any = || self.network.least_loaded_node(&self.bootstrap, now, ctx.rng());
        let Some(node) = pending.leader.or_else(any) else {
            self.retry_at = Some(now + RETRY_BACKOFF);
            return;
        };
        if self.network.ready(node, ctx) {
            self.in_flight = Some(self.network.send(node, request, Expect::Response, timeout, ctx));
        }
    }

    /// Ends the first call with one error for everything it asked for.
    fn finish(&mut self, error: ErrorCode, ctx: &mut Context<'_>) {
        let Some(pending) = self.calls.pop_front() else { return };
        say(&pending.call, error, ctx);
        match pending.call {
            Call::Admin(_) => ctx.complete(Completion::AdminDone(Err(error))),
            Call::CreateTopics(topics) => {
                let results = topics.into_iter().map(|topic| (topic.name, Err(error))).collect();
                ctx.complete(Completion::TopicsCreated(results));
            }
            Call::ElectLeader { .. } => ctx.complete(Completion::LeadersElected(Err(error))),
            Call::Close { .. } => {
                self.network.close_all(ctx);
                ctx.complete(Completion::Closed);
            }
            Call::Send(_)
            | Call::Flush
            | Call::Assign(_)
            | Call::Subscribe(_)
            | Call::SubscribePattern(_)
            | Call::Pause(_)
            | Call::Resume(_)
            | Call::Wakeup
            | Call::Commit { .. }
            | Call::ReturnFromCallback
            | Call::Worked(..)
            | Call::Store(_)
            | Call::Acknowledge(..)
            | Call::Seek(..)
            | Call::Poll { .. } => {}
        }
    }

    fn disconnected(&mut self, disconnection: &Disconnection, ctx: &mut Context<'_>) {
        if let Some(pending) = self.calls.front_mut() {
            pending.leader = pending.leader.filter(|leader| *leader != disconnection.node);
        }
        if self.in_flight.is_some_and(|token| disconnection.failed.contains(&token)) {
            self.in_flight = None;
            self.retry_at = Some(ctx.now() + RETRY_BACKOFF);
        }
    }

    fn answered(&mut self, response: Response, ctx: &mut Context<'_>) {
        if let (Response::Metadata(response), Some(pending)) = (&response, self.calls.front_mut()) {
            pending.leader = leader_in(response, &pending.call);
            if pending.leader.is_none() {
                self.retry_at = Some(ctx.now() + RETRY_BACKOFF);
            }
            return;
        }
        let results: Vec<(TopicName, ErrorCode)> = match &response {
            Response::CreateTopics(response) => {
                response.topics.iter().map(|topic| (topic.name.clone(), ErrorCode(topic.error_code))).collect()
            }
            Response::ElectLeaders(response) => vec![(TopicName::default(), election_error(response))],
            other => vec![(TopicName::default(), admin_error(other))],
        };
        let again = match &response {
            // What became of one partition is the result, even if Kafka calls it retriable (ELECTION_NOT_NEEDED).
            Response::ElectLeaders(response) => ErrorCode(response.error_code).is_retriable(),
            _ => results.iter().any(|(_, error)| error.is_retriable()),
        };
        if again {
            if let Some(pending) = self.calls.front_mut() {
                pending.leader = None;
            }
            self.retry_at = Some(ctx.now() + RETRY_BACKOFF);
            return;
        }
        let Some(pending) = self.calls.pop_front() else { return };
        let as_result = |error: ErrorCode| if error.is_none() { Ok(()) } else { Err(error) };
        let first_error = results.iter().map(|(_, error)| *error).find(|error| !error.is_none());
        say(&pending.call, first_error.unwrap_or(ErrorCode::NONE), ctx);
        ctx.complete(match pending.call {
            Call::ElectLeader { .. } => {
                Completion::LeadersElected(results.first().map_or(Ok(()), |(_, error)| as_result(*error)))
            }
            Call::Admin(_) => Completion::AdminDone(as_result(first_error.unwrap_or(ErrorCode::NONE))),
            _ => {
                Completion::TopicsCreated(results.into_iter().map(|(topic, error)| (topic, as_result(error))).collect())
            }
        });
    }
}

impl Machine for AdminClient {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        match input {
            Input::Call(call) => {
                self.calls.push_back(Pending { call, expires_at: ctx.now() + API_TIMEOUT, leader: None });
            }
            Input::Connected(connection) => {
                self.network.on_connected(connection, ctx.now());
            }
            Input::Disconnected(connection) => {
                if let Some(disconnection) = self.network.on_disconnected(connection, ctx) {
                    self.disconnected(&disconnection, ctx);
                }
            }
            Input::Response { connection, correlation_id, response } => {
                let answer = self.network.on_response(connection, correlation_id, response, ctx.now());
                if let Some((_, token, response)) = answer
                    && self.in_flight == Some(token)
                {
                    self.in_flight = None;
                    self.answered(response, ctx);
                }
            }
            Input::Deadline => {
                for disconnection in self.network.on_deadline(ctx) {
                    self.disconnected(&disconnection, ctx);
                }
            }
            Input::Start | Input::Request { .. } | Input::MetadataLag(_) | Input::Stop => {}
        }
        self.proceed(ctx);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let expiry = self.calls.front().filter(|_| self.in_flight.is_none()).map(|pending| pending.expires_at);
        self.network.next_deadline().into_iter().chain(self.retry_at).chain(expiry).min()
    }
}

/// What became of an operator's call. The creation of topics tells of itself.
fn say(call: &Call, error: ErrorCode, ctx: &mut Context<'_>) {
    if let Some(call) = words(call) {
        ctx.fact(Fact::AdminAnswered { call, error });
    }
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;

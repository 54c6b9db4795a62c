//! The admin client: calls that any broker takes and passes on to the controller.
//!
//! Kafka: `KafkaAdminClient`; KIP-460 (electLeaders), KIP-590 (brokers forward to the controller).
//!
//! One call at a time, in order. A call that fails with a retriable error or loses its connection is made again until
//! `default.api.timeout.ms` (60 s) is over.
//!
//! Not modelled: the timeout of `close()` (it waits for the calls made before it), finding the controller through metadata (brokers forward in every profile), call batching.

use std::collections::VecDeque;

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, ElectLeadersRequest, ElectLeadersResponse};

use super::{
    Call, Completion, Disconnection, Expect, ExponentialBackoff, NetworkClient, NetworkClientConfig, NewTopic,
    RequestToken,
};
use crate::machine::{Context, Input, Machine};
use crate::protocol::{ErrorCode, Request, Response};
use crate::types::{Duration, Instant, NodeId, StrBytes, TopicName};

const API_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_BACKOFF: Duration = Duration::from_millis(100);

/// An admin client. Driven by [`Input::Call`] with [`Call::CreateTopics`] and [`Call::ElectLeader`].
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
        let is_over = |pending: &Pending| {
            pending.expires_at <= now || !matches!(pending.call, Call::CreateTopics(_) | Call::ElectLeader { .. })
        };
        while self.in_flight.is_none() && self.calls.front().is_some_and(is_over) {
            self.finish(ErrorCode::CLIENT_DELIVERY_TIMEOUT, ctx);
        }
        if self.in_flight.is_some() || self.retry_at.is_some_and(|at| at > now) {
            return;
        }
        self.retry_at = None;
        let Some(pending) = self.calls.front() else { return };
        let Some(request) = request_of(&pending.call) else { return };
        // No attempt outlives its call.
        let timeout = REQUEST_TIMEOUT.min(pending.expires_at.since(now));
        let Some(node) = self.network.least_loaded_node(&self.bootstrap, now, ctx.rng()) else {
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
        match pending.call {
            Call::CreateTopics(topics) => {
                let results = topics.into_iter().map(|topic| (topic.name, Err(error))).collect();
                ctx.complete(Completion::TopicsCreated(results));
            }
            Call::ElectLeader { .. } => ctx.complete(Completion::LeadersElected(Err(error))),
            Call::Close { .. } => {
                self.network.close_all(ctx);
                ctx.complete(Completion::Closed);
            }
            Call::Send(_) | Call::Flush | Call::Assign(_) | Call::Seek(..) | Call::Poll { .. } => {}
        }
    }

    fn disconnected(&mut self, disconnection: &Disconnection, ctx: &mut Context<'_>) {
        if self.in_flight.is_some_and(|token| disconnection.failed.contains(&token)) {
            self.in_flight = None;
            self.retry_at = Some(ctx.now() + RETRY_BACKOFF);
        }
    }

    fn answered(&mut self, response: Response, ctx: &mut Context<'_>) {
        let results: Vec<(TopicName, ErrorCode)> = match &response {
            Response::CreateTopics(response) => {
                response.topics.iter().map(|topic| (topic.name.clone(), ErrorCode(topic.error_code))).collect()
            }
            Response::ElectLeaders(response) => vec![(TopicName::default(), election_error(response))],
            _ => vec![(TopicName::default(), ErrorCode::UNKNOWN_SERVER_ERROR)],
        };
        let again = match &response {
            // What became of one partition is the result, even if Kafka calls it retriable (ELECTION_NOT_NEEDED).
            Response::ElectLeaders(response) => ErrorCode(response.error_code).is_retriable(),
            _ => results.iter().any(|(_, error)| error.is_retriable()),
        };
        if again {
            self.retry_at = Some(ctx.now() + RETRY_BACKOFF);
            return;
        }
        let Some(pending) = self.calls.pop_front() else { return };
        let as_result = |error: ErrorCode| if error.is_none() { Ok(()) } else { Err(error) };
        ctx.complete(match pending.call {
            Call::ElectLeader { .. } => {
                Completion::LeadersElected(results.first().map_or(Ok(()), |(_, error)| as_result(*error)))
            }
            _ => {
                Completion::TopicsCreated(results.into_iter().map(|(topic, error)| (topic, as_result(error))).collect())
            }
        });
    }
}

impl Machine for AdminClient {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        match input {
            Input::Call(call) => self.calls.push_back(Pending { call, expires_at: ctx.now() + API_TIMEOUT }),
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
            Input::Start | Input::Request { .. } | Input::Stop => {}
        }
        self.proceed(ctx);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let expiry = self.calls.front().filter(|_| self.in_flight.is_none()).map(|pending| pending.expires_at);
        self.network.next_deadline().into_iter().chain(self.retry_at).chain(expiry).min()
    }
}

fn request_of(call: &Call) -> Option<Request> {
    match call {
        Call::CreateTopics(topics) => Some(
            CreateTopicsRequest::default()
                .with_topics(topics.iter().map(creatable).collect())
                .with_timeout_ms(REQUEST_TIMEOUT.as_millis() as i32)
                .into(),
        ),
        Call::ElectLeader { partition, unclean } => Some(
            ElectLeadersRequest::default()
                .with_election_type(i8::from(*unclean))
                .with_topic_partitions(Some(vec![
                    TopicPartitions::default()
                        .with_topic(partition.topic.clone())
                        .with_partitions(vec![partition.partition]),
                ]))
                .with_timeout_ms(REQUEST_TIMEOUT.as_millis() as i32)
                .into(),
        ),
        Call::Send(_) | Call::Flush | Call::Close { .. } | Call::Assign(_) | Call::Seek(..) | Call::Poll { .. } => None,
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assignments = (0..).zip(&topic.assignments).map(|(partition, replicas)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(partition)
            .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
    });
    let configs = topic.configs.iter().map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    });
    let placed = topic.assignments.is_empty();
    CreatableTopic::default()
        .with_name(topic.name.clone())
        .with_num_partitions(if placed { topic.partitions } else { -1 })
        .with_replication_factor(if placed { topic.replication_factor } else { -1 })
        .with_assignments(assignments.collect())
        .with_configs(configs.collect())
}

fn election_error(response: &ElectLeadersResponse) -> ErrorCode {
    let partition = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result).next();
    let error =
        if response.error_code == 0 { partition.map_or(0, |result| result.error_code) } else { response.error_code };
    ErrorCode(error)
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;

//! From the leader of a partition to where the state of share groups is kept, and back.
//!
//! Kafka: `DefaultStatePersister`, `PersisterStateManager`, `ShareCoordinatorMetadataCacheHelper`; KIP-932.
//!
//! What a partition has for the coordinator goes there one by one. Who is not (yet) the coordinator, and a connection that is lost or cannot
//! be made, is tried again, later each time; the fifth time the leader is told, which takes back what it had decided.
//!
//! A leader that hears that somebody leads in a later epoch, or that the group is in another life, serves the partition no more
//! (`SharePartitionManager.handleFencedSharePartitionException`).
//!
//! Not modelled: that requests are gathered per coordinator; FindCoordinator (the coordinator is found in the broker's own metadata, and the
//! topic is created where there is none).

use std::collections::{BTreeMap, VecDeque};

use kafka_protocol::messages::read_share_group_state_request::{PartitionData as ReadPartition, ReadStateData};
use kafka_protocol::messages::write_share_group_state_request::{
    PartitionData as WritePartition, StateBatch as Written, WriteStateData,
};
use kafka_protocol::messages::{ReadShareGroupStateRequest, WriteShareGroupStateRequest};

use super::broker::Broker;
use super::share_states::share_state_topic;
use super::shares::{Persist, ShareKey};
use crate::client::{Disconnection, Expect, ExponentialBackoff, NetworkClient, NetworkClientConfig, RequestToken};
use crate::coordinator::group::partition_for;
use crate::coordinator::share::StateKey;
use crate::coordinator::share::records::{delivery_state, share_state};
use crate::machine::Context;
use crate::protocol::{ErrorCode, Request, Response};
use crate::share::{StateBatch, StateWrite};
use crate::types::{
    ConnectionId, CorrelationId, Duration, Instant, LeaderEpoch, NodeId, Offset, TopicPartition, earliest,
};

/// `REQUEST_BACKOFF_MS` to `REQUEST_BACKOFF_MAX_MS`.
const BACKOFF: ExponentialBackoff =
    ExponentialBackoff { initial: Duration::from_secs(1), max: Duration::from_secs(30) };
/// `MAX_FIND_COORD_ATTEMPTS`.
const ATTEMPTS: u32 = 5;
/// How long an answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How far a share-partition is by what is written, if anything is.
pub(super) type WrittenState = Option<(Offset, Vec<StateBatch>)>;

/// A question that a share-partition has for its coordinator on the same broker. Each has a number: an answer that comes late is none.
pub(super) type Ask = (ShareKey, u64);

/// What one share-partition has for its coordinator.
#[derive(Clone, Debug, Default)]
struct Line {
    waiting: VecDeque<Persist>,
    /// The first of them has been sent, under this number.
    asked: Option<u64>,
    /// It goes to this node as soon as there is a connection.
    connecting_to: Option<NodeId>,
    /// How often nobody was the coordinator.
    lookups: u32,
    /// How often the coordinator did not do it.
    attempts: u32,
    retry_at: Option<Instant>,
}

/// Why the first of a line is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    /// Nobody is the coordinator.
    LookUp,
    /// Whoever is has not done it.
    Request,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Persister {
    network: NetworkClient,
    lines: BTreeMap<ShareKey, Line>,
    in_flight: BTreeMap<RequestToken, ShareKey>,
    next_ask: u64,
    /// Whose connection is gone, before the leaders hear of it.
    lost: Vec<ShareKey>,
}

impl Default for Persister {
    fn default() -> Self {
        let network = NetworkClient::new(NetworkClientConfig {
            reconnect_backoff: ExponentialBackoff::constant(Duration::from_secs(1)),
            connection_setup_timeout: Some(NetworkClientConfig::SETUP_TIMEOUT),
            max_in_flight: 100,
            max_idle: None,
        });
        Self { network, lines: BTreeMap::new(), in_flight: BTreeMap::new(), next_ask: 0, lost: Vec::new() }
    }
}

impl Persister {
    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.network.owns(connection)
    }

    pub fn on_connected(&mut self, connection: ConnectionId, ctx: &Context<'_>) {
        self.network.on_connected(connection, ctx.now());
    }

    pub fn on_disconnected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) {
        if let Some(gone) = self.network.on_disconnected(connection, ctx) {
            self.note_lost(&gone);
        }
    }

    pub fn on_deadline(&mut self, ctx: &mut Context<'_>) {
        for gone in self.network.on_deadline(ctx) {
            self.note_lost(&gone);
        }
        for line in self.lines.values_mut() {
            line.retry_at = line.retry_at.filter(|at| *at > ctx.now());
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let retries = self.lines.values().filter_map(|line| line.retry_at).min();
        earliest([self.network.next_deadline(), retries])
    }

    pub fn shutdown(&mut self, ctx: &mut Context<'_>) {
        self.network.close_all(ctx);
        self.lines.clear();
        self.in_flight.clear();
        self.lost.clear();
    }

    /// Nobody wants to know it any more.
    pub fn forget(&mut self, key: &ShareKey) {
        self.lines.remove(key);
        self.in_flight.retain(|_, of| of != key);
        self.lost.retain(|of| of != key);
    }

    pub fn is_idle(&self) -> bool {
        self.lines.is_empty()
    }

    fn note_lost(&mut self, gone: &Disconnection) {
        self.lost.extend(gone.failed.iter().filter_map(|token| self.in_flight.remove(token)));
        let unsent = self.lines.iter().filter(|(_, line)| line.connecting_to == Some(gone.node));
        self.lost.extend(unsent.map(|(key, _)| key.clone()));
    }
}

impl Broker {
    /// Sends what is to be kept; whether anything came of it.
    pub(super) fn settle_persister(&mut self, ctx: &mut Context<'_>) -> bool {
        let persist = std::mem::take(&mut self.shares.persist);
        let mut any = !persist.is_empty();
        for one in persist {
            let (Persist::Read(key) | Persist::Write(key, _)) = &one;
            if self.shares.served.contains_key(key) {
                self.persister.lines.entry(key.clone()).or_default().waiting.push_back(one);
            }
        }
        for key in std::mem::take(&mut self.persister.lost) {
            any = true;
            self.persist_again(&key, Failed::Request, ErrorCode::NETWORK_EXCEPTION, ctx);
        }
        let ready = |line: &Line| line.asked.is_none() && line.retry_at.is_none();
        let lines = self.persister.lines.iter();
        let due: Vec<ShareKey> = lines.filter(|(_, line)| ready(line)).map(|(key, _)| key.clone()).collect();
        for key in due {
            any |= self.persist_next(&key, ctx);
        }
        any
    }

    fn persist_next(&mut self, key: &ShareKey, ctx: &mut Context<'_>) -> bool {
        let Some(line) = self.persister.lines.get(key) else { return false };
        let Some(first) = line.waiting.front().cloned() else {
            self.persister.lines.remove(key);
            return false;
        };
        let Some(served) = self.shares.served.get(key) else { return false };
        let (topic_id, leader_epoch) = (served.topic_id, served.leader_epoch);
        let state = StateKey { group: key.0.clone(), topic_id, partition: key.1.partition };
        let Some(coordinator) = self.share_coordinator_of(&state, ctx) else {
            self.persist_again(key, Failed::LookUp, ErrorCode::COORDINATOR_NOT_AVAILABLE, ctx);
            return true;
        };
        self.persister.next_ask += 1;
        let number = self.persister.next_ask;
        let Some(line) = self.persister.lines.get_mut(key) else { return false };
        line.lookups = 0;
        if coordinator == self.config.broker_id {
            (line.asked, line.connecting_to) = (Some(number), None);
            self.ask_own_share_state((key.clone(), number), &state, leader_epoch, first, ctx);
            return true;
        }
        let node = NodeId::Broker(coordinator);
        line.connecting_to = Some(node);
        if !self.persister.network.ready(node, ctx) {
            return false;
        }
        (line.asked, line.connecting_to) = (Some(number), None);
        let request = match first {
            Persist::Read(_) => read_request(&state, leader_epoch),
            Persist::Write(_, write) => write_request(&state, leader_epoch, &write),
        };
        let token = self.persister.network.send(node, request, Expect::Response, REQUEST_TIMEOUT, ctx);
        self.persister.in_flight.insert(token, key.clone());
        true
    }

    fn persist_again(&mut self, key: &ShareKey, failed: Failed, error: ErrorCode, ctx: &mut Context<'_>) {
        let Some(line) = self.persister.lines.get_mut(key) else { return };
        (line.asked, line.connecting_to) = (None, None);
        let times = match failed {
            Failed::LookUp => &mut line.lookups,
            Failed::Request => &mut line.attempts,
        };
        *times += 1;
        let times = *times;
        if times >= ATTEMPTS {
            return self.persist_failed(key, error, ctx);
        }
        line.retry_at = Some(ctx.now() + BACKOFF.after(times, ctx.rng()));
    }

    /// Who keeps it: whoever leads its partition of the topic.
    fn share_coordinator_of(&mut self, state: &StateKey, ctx: &mut Context<'_>) -> Option<i32> {
        let Some(topic) = self.image().topics.get(&share_state_topic()) else {
            self.create_share_state_topic(ctx);
            return None;
        };
        let partition = partition_for(&state.coordinator_key(), topic.partitions);
        let name = TopicPartition::new(share_state_topic(), partition);
        let leader = self.image().partitions.get(&name)?.leader;
        let is_alive = self.image().brokers.get(&leader).is_some_and(|registration| !registration.fenced);
        is_alive.then_some(leader)
    }

    pub(super) fn on_persister_response(
        &mut self,
        connection: ConnectionId,
        correlation_id: CorrelationId,
        response: Response,
        ctx: &mut Context<'_>,
    ) {
        let answered = self.persister.network.on_response(connection, correlation_id, response, ctx.now());
        let Some((_, token, response)) = answered else { return };
        let Some(key) = self.persister.in_flight.remove(&token) else { return };
        self.share_state_heard(&key, answer(response), ctx);
    }

    /// A coordinator on the same broker says what it has, or what became of a write.
    pub(super) fn share_state_answered(
        &mut self,
        (key, number): &Ask,
        answer: Result<WrittenState, ErrorCode>,
        ctx: &mut Context<'_>,
    ) {
        if self.persister.lines.get(key).is_some_and(|line| line.asked == Some(*number)) {
            self.share_state_heard(key, answer, ctx);
        }
    }

    fn share_state_heard(&mut self, key: &ShareKey, answer: Result<WrittenState, ErrorCode>, ctx: &mut Context<'_>) {
        match answer {
            Err(
                error @ (ErrorCode::NOT_COORDINATOR
                | ErrorCode::COORDINATOR_NOT_AVAILABLE
                | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
            ) => self.persist_again(key, Failed::Request, error, ctx),
            Err(error) => self.persist_failed(key, error, ctx),
            Ok(written) => match self.persisted(key) {
                // What was read in a new epoch says so, and nothing else.
                Some(Persist::Read(_)) => {
                    self.share_partition_loaded(key, written.filter(|(start, _)| start.0 >= 0), ctx);
                }
                Some(Persist::Write(key, write)) => self.share_state_written(key, write.number, ErrorCode::NONE, ctx),
                None => {}
            },
        }
    }

    /// The first of the line is done with.
    fn persisted(&mut self, key: &ShareKey) -> Option<Persist> {
        let line = self.persister.lines.get_mut(key)?;
        let done = line.waiting.pop_front();
        *line = Line { waiting: std::mem::take(&mut line.waiting), ..Line::default() };
        if line.waiting.is_empty() {
            self.persister.lines.remove(key);
        }
        done
    }

    /// The leader hears that it cannot be kept (`SharePartition.fetchPersisterError`). One that is fenced serves the partition no more.
    fn persist_failed(&mut self, key: &ShareKey, error: ErrorCode, ctx: &mut Context<'_>) {
        let (told, is_fenced) = match error {
            ErrorCode::FENCED_LEADER_EPOCH | ErrorCode::FENCED_STATE_EPOCH => (ErrorCode::NOT_LEADER_OR_FOLLOWER, true),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => (error, true),
            ErrorCode::NOT_COORDINATOR
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => (ErrorCode::COORDINATOR_NOT_AVAILABLE, false),
            _ => (ErrorCode::UNKNOWN_SERVER_ERROR, false),
        };
        match self.persisted(key) {
            Some(Persist::Write(key, _)) if is_fenced => self.forget_share_partition(&key, told),
            Some(Persist::Write(key, write)) => self.share_state_written(key, write.number, told, ctx),
            Some(Persist::Read(key)) => {
                self.shares.unreadable.insert(key.clone(), told);
                self.forget_share_partition(&key, told);
            }
            None => {}
        }
    }
}

/// What a coordinator on another broker says.
fn answer(response: Response) -> Result<WrittenState, ErrorCode> {
    const NOTHING: ErrorCode = ErrorCode::UNKNOWN_SERVER_ERROR;
    match response {
        Response::ReadShareGroupState(response) => {
            let topic = response.results.into_iter().next();
            let result = topic.and_then(|topic| topic.partitions.into_iter().next()).ok_or(NOTHING)?;
            if result.error_code != 0 {
                return Err(ErrorCode(result.error_code));
            }
            let batches = result.state_batches.iter().filter_map(|batch| {
                Some(StateBatch {
                    first: Offset(batch.first_offset),
                    last: Offset(batch.last_offset),
                    state: share_state(batch.delivery_state).ok()?,
                    delivery_count: u16::try_from(batch.delivery_count).unwrap_or(0),
                })
            });
            Ok(Some((Offset(result.start_offset), batches.collect())))
        }
        Response::WriteShareGroupState(response) => {
            let result = response.results.first().and_then(|topic| topic.partitions.first()).ok_or(NOTHING)?;
            if result.error_code == 0 { Ok(None) } else { Err(ErrorCode(result.error_code)) }
        }
        _ => Err(NOTHING),
    }
}

fn read_request(key: &StateKey, leader_epoch: LeaderEpoch) -> Request {
    let partition = ReadPartition::default().with_partition(key.partition).with_leader_epoch(leader_epoch.0);
    let topic = ReadStateData::default().with_topic_id(key.topic_id).with_partitions(vec![partition]);
    ReadShareGroupStateRequest::default().with_group_id(key.group.0.clone()).with_topics(vec![topic]).into()
}

fn write_request(key: &StateKey, leader_epoch: LeaderEpoch, write: &StateWrite) -> Request {
    let batches = write.batches.iter().map(|batch| {
        Written::default()
            .with_first_offset(batch.first.0)
            .with_last_offset(batch.last.0)
            .with_delivery_state(delivery_state(batch.state))
            .with_delivery_count(i16::try_from(batch.delivery_count).unwrap_or(i16::MAX))
    });
    let partition = WritePartition::default()
        .with_partition(key.partition)
        .with_leader_epoch(leader_epoch.0)
        .with_start_offset(write.start_offset.0)
        .with_state_batches(batches.collect());
    let topic = WriteStateData::default().with_topic_id(key.topic_id).with_partitions(vec![partition]);
    WriteShareGroupStateRequest::default().with_group_id(key.group.0.clone()).with_topics(vec![topic]).into()
}

#[cfg(test)]
#[path = "persister_tests.rs"]
mod tests;

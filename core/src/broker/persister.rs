//! From the leader of a partition to where the state of share groups is kept, and back.
//!
//! Kafka: `DefaultStatePersister`, `PersisterStateManager`, `ShareCoordinatorMetadataCacheHelper`; KIP-932.
//!
//! What a partition has for the coordinator goes there one by one. Who is not (yet) the coordinator, and a connection that is lost, is tried
//! again, later each time; after the fifth time the leader is told, which takes back what it had decided.
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
use crate::coordinator::share::records::{delivery_state, share_state};
use crate::coordinator::share::{KeptState, StateKey, StateUpdate};
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

/// What one share-partition has for its coordinator.
#[derive(Clone, Debug, Default)]
struct Line {
    waiting: VecDeque<Persist>,
    /// The first of them has been sent.
    under_way: bool,
    attempts: u32,
    retry_at: Option<Instant>,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Persister {
    network: NetworkClient,
    lines: BTreeMap<ShareKey, Line>,
    in_flight: BTreeMap<RequestToken, ShareKey>,
}

impl Default for Persister {
    fn default() -> Self {
        let network = NetworkClient::new(NetworkClientConfig {
            reconnect_backoff: ExponentialBackoff::constant(Duration::from_secs(1)),
            connection_setup_timeout: Some(NetworkClientConfig::SETUP_TIMEOUT),
            max_in_flight: 100,
            max_idle: None,
        });
        Self { network, lines: BTreeMap::new(), in_flight: BTreeMap::new() }
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
            self.lost(&gone, ctx);
        }
    }

    pub fn on_deadline(&mut self, ctx: &mut Context<'_>) {
        for gone in self.network.on_deadline(ctx) {
            self.lost(&gone, ctx);
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
    }

    /// Nobody wants to know it any more.
    pub fn forget(&mut self, key: &ShareKey) {
        self.lines.remove(key);
        self.in_flight.retain(|_, of| of != key);
    }

    pub fn is_idle(&self) -> bool {
        self.lines.is_empty()
    }

    fn lost(&mut self, gone: &Disconnection, ctx: &mut Context<'_>) {
        for token in &gone.failed {
            if let Some(line) = self.in_flight.remove(token).and_then(|key| self.lines.get_mut(&key)) {
                line.try_again(ctx);
            }
        }
    }
}

impl Line {
    fn try_again(&mut self, ctx: &mut Context<'_>) {
        self.under_way = false;
        self.retry_at = Some(ctx.now() + BACKOFF.after(self.attempts, ctx.rng()));
        self.attempts += 1;
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
        let ready = |line: &Line| !line.under_way && line.retry_at.is_none();
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
        if line.attempts >= ATTEMPTS {
            self.persist_failed(key, ErrorCode::COORDINATOR_NOT_AVAILABLE, ctx);
            return true;
        }
        let Some(served) = self.shares.served.get(key) else { return false };
        let (topic_id, leader_epoch) = (served.topic_id, served.leader_epoch);
        let state = StateKey { group: key.0.clone(), topic_id, partition: key.1.partition };
        let Some(coordinator) = self.share_coordinator_of(&state, ctx) else {
            self.persist_again(key, ctx);
            return false;
        };
        if coordinator == self.config.broker_id {
            self.persist_here(key, &state, leader_epoch, first, ctx);
            return true;
        }
        let node = NodeId::Broker(coordinator);
        if !self.persister.network.ready(node, ctx) {
            return false;
        }
        let request = match first {
            Persist::Read(_) => read_request(&state, leader_epoch),
            Persist::Write(_, write) => write_request(&state, leader_epoch, &write),
        };
        let token = self.persister.network.send(node, request, Expect::Response, REQUEST_TIMEOUT, ctx);
        self.persister.in_flight.insert(token, key.clone());
        if let Some(line) = self.persister.lines.get_mut(key) {
            line.under_way = true;
        }
        true
    }

    fn persist_again(&mut self, key: &ShareKey, ctx: &mut Context<'_>) {
        if let Some(line) = self.persister.lines.get_mut(key) {
            line.try_again(ctx);
        }
    }

    /// This broker is the coordinator itself.
    fn persist_here(
        &mut self,
        key: &ShareKey,
        state: &StateKey,
        leader_epoch: LeaderEpoch,
        what: Persist,
        ctx: &mut Context<'_>,
    ) {
        let result = match what {
            Persist::Read(_) => match self.share_states.coordinator.read(state, leader_epoch) {
                Ok(kept) => return self.share_state_read(key, kept, ctx),
                Err(error) => Err(error),
            },
            Persist::Write(_, write) => {
                let update = StateUpdate {
                    state_epoch: 0,
                    leader_epoch,
                    start_offset: write.start_offset,
                    batches: write.batches,
                };
                self.keep_own_share_state(key.clone(), state, update)
            }
        };
        match result {
            Ok(()) => {
                if let Some(line) = self.persister.lines.get_mut(key) {
                    line.under_way = true;
                }
            }
            Err(error) => self.persist_refused(key, error, ctx),
        }
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
        match response {
            Response::ReadShareGroupState(response) => {
                let topic = response.results.into_iter().next();
                let Some(result) = topic.and_then(|topic| topic.partitions.into_iter().next()) else {
                    return self.persist_refused(&key, ErrorCode::UNKNOWN_SERVER_ERROR, ctx);
                };
                if result.error_code != 0 {
                    return self.persist_refused(&key, ErrorCode(result.error_code), ctx);
                }
                let batches = result.state_batches.iter().filter_map(|batch| {
                    Some(StateBatch {
                        first: Offset(batch.first_offset),
                        last: Offset(batch.last_offset),
                        state: share_state(batch.delivery_state).ok()?,
                        delivery_count: u16::try_from(batch.delivery_count).unwrap_or(0),
                    })
                });
                let written = (result.start_offset >= 0).then(|| (Offset(result.start_offset), batches.collect()));
                self.share_state_known(&key, written, ctx);
            }
            Response::WriteShareGroupState(response) => {
                let result = response.results.first().and_then(|topic| topic.partitions.first());
                let error = result.map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |result| ErrorCode(result.error_code));
                self.share_state_stored(&key, error, ctx);
            }
            _ => self.persist_refused(&key, ErrorCode::UNKNOWN_SERVER_ERROR, ctx),
        }
    }

    fn share_state_read(&mut self, key: &ShareKey, kept: Option<KeptState>, ctx: &mut Context<'_>) {
        let written = kept.filter(|kept| kept.start_offset.0 >= 0).map(|kept| (kept.start_offset, kept.batches));
        self.share_state_known(key, written, ctx);
    }

    fn share_state_known(&mut self, key: &ShareKey, written: Option<(Offset, Vec<StateBatch>)>, ctx: &mut Context<'_>) {
        if self.persisted(key).is_some() {
            self.share_partition_loaded(key, written, ctx);
        }
    }

    /// What became of a write.
    pub(super) fn share_state_stored(&mut self, key: &ShareKey, error: ErrorCode, ctx: &mut Context<'_>) {
        if !error.is_none() {
            return self.persist_refused(key, error, ctx);
        }
        if let Some(Persist::Write(key, write)) = self.persisted(key) {
            self.share_state_written(key, write.number, ErrorCode::NONE, ctx);
        }
    }

    /// The first of the line is done with.
    fn persisted(&mut self, key: &ShareKey) -> Option<Persist> {
        let line = self.persister.lines.get_mut(key)?;
        let done = line.waiting.pop_front();
        line.under_way = false;
        line.attempts = 0;
        line.retry_at = None;
        if line.waiting.is_empty() {
            self.persister.lines.remove(key);
        }
        done
    }

    fn persist_refused(&mut self, key: &ShareKey, error: ErrorCode, ctx: &mut Context<'_>) {
        match error {
            ErrorCode::NOT_COORDINATOR
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => self.persist_again(key, ctx),
            _ => self.persist_failed(key, error, ctx),
        }
    }

    /// The leader hears that it cannot be kept (`SharePartition.fetchPersisterError`). One that is fenced leads no more.
    fn persist_failed(&mut self, key: &ShareKey, error: ErrorCode, ctx: &mut Context<'_>) {
        let told = match error {
            ErrorCode::FENCED_LEADER_EPOCH | ErrorCode::FENCED_STATE_EPOCH => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => error,
            _ => ErrorCode::UNKNOWN_SERVER_ERROR,
        };
        let is_fenced = told == ErrorCode::NOT_LEADER_OR_FOLLOWER;
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

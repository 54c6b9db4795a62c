//! The consumer: looks up positions, fetches from leaders, hands out records. What it reads it is told by the application
//! (`assign()`), or by its group (`subscribe()`).
//!
//! Kafka: `KafkaConsumer` (`assign`), `Fetcher`, `OffsetFetcher`; KIP-74 (size limits), KIP-320 (2.3: a position is
//! validated against each new leader epoch), KIP-392 (2.4: reads from the replica in its rack; KAFKA-14379, 3.5).
//!
//! One fetch per broker is in flight, for the partitions that it leads and of which nothing is buffered: what `poll()`
//! returns next is fetched while the application works.
//!
//! `wakeup()` may be called at any moment: the call that the application waits in, or the next one, throws. A `poll()` that
//! throws has returned nothing and moved no position.
//!
//! Not modelled: `read_committed`, fetch sessions (each request is full; the answers are the same), network input only
//! inside `poll()` (answers are taken in as they arrive).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::closing::Closing;
use super::completed_fetch::CompletedFetch;
use super::coordinator::ConsumerCoordinator;
use super::fetching::InFlight;
use super::subscription_state::{Busy, FetchState, SubscriptionState};
use crate::client::metadata::{ClientMetadata, ClientMetadataConfig, TELLS_RECREATED};
use crate::client::{
    Call, Completion, ConsumerRecord, Disconnection, ExponentialBackoff, NetworkClient, NetworkClientConfig,
    RequestToken,
};
use crate::config::{AutoOffsetReset, ConsumerConfig, KafkaVersion};
use crate::fact::{Fact, Payload, ResetReason};
use crate::machine::{Context, Input, Machine};
use crate::protocol::ErrorCode;
use crate::types::{Instant, NodeId, Offset, TopicName, TopicPartition, earliest};

/// Since when what has been fetched of a paused partition waits for it (KAFKA-7548). Before, it was thrown away.
const KEEPS_FETCHED_OF_PAUSED: KafkaVersion = KafkaVersion::new(2, 4);

/// A consumer. Driven by [`Input::Call`] with [`Call::Assign`] or [`Call::Subscribe`], [`Call::Poll`] and [`Call::Close`].
#[derive(Clone, Debug)]
pub struct Consumer {
    pub(super) config: Arc<ConsumerConfig>,
    pub(super) network: NetworkClient,
    pub(super) metadata: ClientMetadata,
    pub(super) subscription: SubscriptionState,
    /// Its group, if it has one.
    pub(super) group: Option<ConsumerCoordinator>,
    pub(super) buffered: VecDeque<CompletedFetch>,
    pub(super) in_flight: BTreeMap<RequestToken, InFlight>,
    /// Until when the application waits in `poll()`.
    pub(super) polling_until: Option<Instant>,
    /// The exception that the next `poll()` throws, unless the application seeks in that partition before.
    pub(super) failure: Option<(TopicPartition, ErrorCode)>,
    /// `wakeup()` was called, and nothing has thrown yet.
    pub(super) is_woken: bool,
    pub(super) closing: Option<Closing>,
    pub(super) closed: bool,
}

/// The connections of a consumer; those to its coordinator are its own.
pub(super) fn network_client(config: &ConsumerConfig) -> NetworkClient {
    NetworkClient::new(NetworkClientConfig {
        reconnect_backoff: ExponentialBackoff {
            initial: config.reconnect_backoff_ms,
            max: config.reconnect_backoff_max_ms,
        },
        connection_setup_timeout: (config.version >= KafkaVersion::new(2, 7))
            .then_some(NetworkClientConfig::SETUP_TIMEOUT),
        max_in_flight: 100,
        max_idle: config.connections_max_idle_ms,
    })
}

/// What it knows of the cluster.
pub(super) fn client_metadata(config: &ConsumerConfig, bootstrap: Vec<NodeId>) -> ClientMetadata {
    ClientMetadata::new(ClientMetadataConfig {
        bootstrap,
        retry_backoff: ExponentialBackoff::constant(config.retry_backoff_ms),
        max_age: config.metadata_max_age_ms,
        allow_auto_topic_creation: true,
        topic_idle: None,
        request_timeout: config.request_timeout_ms,
        tells_recreated: config.version >= TELLS_RECREATED,
    })
}

impl Consumer {
    /// A consumer that starts from these brokers. `_client` is its number, for symmetry with the producers.
    pub fn new(config: Arc<ConsumerConfig>, bootstrap: Vec<NodeId>, _client: u32) -> Self {
        let network = network_client(&config);
        let metadata = client_metadata(&config, bootstrap);
        let group = config.group_id.as_ref().map(|group| ConsumerCoordinator::new(config.clone(), group));
        Self {
            config,
            network,
            metadata,
            group,
            subscription: SubscriptionState::default(),
            buffered: VecDeque::new(),
            in_flight: BTreeMap::new(),
            polling_until: None,
            failure: None,
            is_woken: false,
            closing: None,
            closed: false,
        }
    }

    /// White-box: where it stands in each partition (the offset of the next record that `poll()` returns, or -1).
    pub fn positions(&self) -> impl Iterator<Item = (&TopicPartition, Offset)> {
        self.subscription.partitions.iter().map(|(partition, state)| (partition, state.position))
    }

    /// White-box: its group, and whether it has what it was given.
    pub fn membership(&self) -> Option<(&str, bool)> {
        let group = self.group.as_ref().filter(|group| group.is_managed())?;
        Some((group.group.as_str(), group.is_settled()))
    }

    /// White-box: whether it wants a topic of its group, known to it or not.
    pub fn subscribes_to(&self, topic: &TopicName) -> bool {
        self.group.as_ref().is_some_and(|group| group.subscribes_to(topic))
    }

    fn call(&mut self, call: Call, ctx: &mut Context<'_>) {
        match call {
            Call::Assign(partitions) => {
                for partition in &partitions {
                    self.metadata.add_topic(&partition.topic, ctx.now());
                }
                self.subscription.assign(partitions, self.group.is_some());
                self.forget_others();
            }
            Call::Subscribe(topics) => {
                for topic in &topics {
                    self.metadata.add_topic(topic, ctx.now());
                }
                if let Some(group) = &mut self.group {
                    group.subscribe(topics.into_iter().collect());
                }
            }
            Call::SubscribePattern(pattern) => {
                self.metadata.match_topics(pattern.clone());
                if let Some(group) = &mut self.group {
                    group.subscribe_pattern(pattern);
                }
            }
            Call::Pause(partitions) => self.pause(partitions, ctx),
            Call::Resume(partitions) => self.resume(partitions, ctx),
            Call::Wakeup => self.is_woken = self.closing.is_none(),
            Call::Commit { call, offsets, sync } => self.commit(call, offsets, sync, ctx),
            Call::Worked(partition, offset, work) => ctx.fact(self.worked(partition, offset, work)),
            Call::ReturnFromCallback => {
                if let Some(group) = &mut self.group {
                    group.return_from_callback(&mut self.subscription);
                }
            }
            Call::Seek(partition, offset) => self.seek(&partition, offset, ctx),
            Call::Poll { .. } if self.is_woken => self.throw_wakeup(ctx),
            Call::Poll { timeout } => {
                self.polling_until = Some(ctx.now() + timeout);
                if let Some(group) = &mut self.group {
                    group.poll_begins(&self.subscription, ctx);
                }
            }
            Call::Close { timeout } => self.begin_close(ctx.now() + timeout, ctx),
            Call::Send(_)
            | Call::Acknowledge(..)
            | Call::Flush
            | Call::Store(_)
            | Call::CreateTopics(_)
            | Call::ElectLeader { .. }
            | Call::Admin(_) => {}
        }
    }

    /// What it does not read any more is forgotten.
    fn forget_others(&mut self) {
        let subscription = &self.subscription;
        self.buffered.retain(|fetch| subscription.partitions.contains_key(&fetch.partition));
        self.failure.take_if(|(partition, _)| !subscription.partitions.contains_key(partition));
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset, ctx: &mut Context<'_>) {
        let Some(state) = self.subscription.partitions.get_mut(partition) else { return };
        let from = std::mem::replace(&mut state.position, offset);
        state.offset_epoch = None;
        state.state = FetchState::Fetching;
        state.busy = Busy::Idle;
        state.not_before = Instant::START;
        self.buffered.retain(|fetch| fetch.partition != *partition);
        self.failure.take_if(|(failed, _)| failed == partition);
        let reason = ResetReason::Seek;
        let partition = partition.clone();
        ctx.fact(Fact::PositionReset { partition, from, to: offset, reason, told_by: None });
    }

    fn pause(&mut self, partitions: Vec<TopicPartition>, ctx: &mut Context<'_>) {
        let paused = self.subscription.set_paused(partitions, true);
        if !paused.is_empty() {
            ctx.fact(Fact::PartitionsPaused { partitions: paused });
        }
    }

    fn resume(&mut self, partitions: Vec<TopicPartition>, ctx: &mut Context<'_>) {
        let resumed = self.subscription.set_paused(partitions, false);
        if !resumed.is_empty() {
            ctx.fact(Fact::PartitionsResumed { partitions: resumed });
        }
    }

    /// Everything that can be done now: answer `poll()`, refresh metadata, send requests.
    fn proceed(&mut self, ctx: &mut Context<'_>) {
        if self.closed {
            return;
        }
        if self.closing.is_some() {
            return self.proceed_closing(ctx);
        }
        self.proceed_with_group(ctx);
        if self.is_woken {
            self.interrupt_commit(ctx);
        }
        self.answer_poll(ctx);
        if let Some(group) = &mut self.group {
            group.commit_behind_poll(&self.subscription, ctx);
        }
        self.await_validation();
        self.send_requests(ctx);
        // Last, because who finds no leader asks for an update.
        self.metadata.maybe_update(&mut self.network, ctx);
    }

    fn answer_poll(&mut self, ctx: &mut Context<'_>) {
        let Some(until) = self.polling_until else { return };
        if self.group.as_ref().is_some_and(|group| group.in_callback) {
            return;
        }
        if self.is_woken {
            self.polling_until = None;
            return self.throw_wakeup(ctx);
        }
        if let Some(error) = self.exception(ctx) {
            self.polling_until = None;
            ctx.complete(Completion::Polled(Err(error)));
            return;
        }
        let records = self.take_records(ctx);
        if records.is_empty() && self.failure.is_some() {
            self.answer_poll(ctx);
        } else if !records.is_empty() || until <= ctx.now() {
            self.polling_until = None;
            ctx.complete(Completion::Polled(Ok(records)));
        }
    }

    /// `poll()` throws a `WakeupException`.
    fn throw_wakeup(&mut self, ctx: &mut Context<'_>) {
        self.is_woken = false;
        ctx.fact(Fact::WokenUp { call: "poll()".to_owned() });
        ctx.complete(Completion::Polled(Err(ErrorCode::CLIENT_WAKEUP)));
    }

    /// What `poll()` throws: a failure, or that a partition has no position and `auto.offset.reset=none`.
    fn exception(&mut self, ctx: &mut Context<'_>) -> Option<ErrorCode> {
        if let Some((partition, error)) = self.failure.take() {
            let position = self.subscription.partitions.get(&partition).map_or(Offset::NONE, |state| state.position);
            ctx.fact(Fact::PollFailed { partition, position, error });
            return Some(error);
        }
        if self.config.auto_offset_reset != AutoOffsetReset::None {
            return None;
        }
        let mut states = self.subscription.partitions.values();
        states.any(|state| matches!(state.state, FetchState::AwaitReset(_))).then_some(ErrorCode::OFFSET_OUT_OF_RANGE)
    }

    fn take_records(&mut self, ctx: &mut Context<'_>) -> Vec<ConsumerRecord> {
        let mut records = Vec::new();
        let mut of_paused = VecDeque::new();
        while records.len() < self.config.max_poll_records {
            let Some(fetch) = self.buffered.front_mut() else { break };
            let Some(state) = self.subscription.partitions.get_mut(&fetch.partition) else {
                self.buffered.pop_front();
                continue;
            };
            if state.paused {
                if self.config.version < KEEPS_FETCHED_OF_PAUSED {
                    state.busy = Busy::Idle;
                    self.buffered.pop_front();
                } else {
                    of_paused.extend(self.buffered.pop_front());
                }
                continue;
            }
            match fetch.next() {
                Ok(Some(record)) => {
                    state.position = fetch.next_offset;
                    state.offset_epoch = fetch.last_epoch;
                    ctx.fact(Fact::Polled {
                        partition: record.partition.clone(),
                        offset: record.offset,
                        key: record.key.clone().map(Payload),
                        value: record.value.clone().map(Payload),
                    });
                    records.push(record);
                }
                Ok(None) => {
                    state.position = state.position.max(fetch.next_offset);
                    state.busy = Busy::Idle;
                    self.buffered.pop_front();
                }
                Err(_) => {
                    state.busy = Busy::Idle;
                    self.failure = Some((fetch.partition.clone(), ErrorCode::CORRUPT_MESSAGE));
                    self.buffered.pop_front();
                    break;
                }
            }
        }
        self.buffered.append(&mut of_paused);
        records
    }

    /// Positions whose leader epoch has grown must be confirmed by the new leader (KIP-320). What the old one sent and
    /// `poll()` has not returned is dropped, and what is under way is not waited for.
    fn await_validation(&mut self) {
        if !self.config.validates_positions() {
            return;
        }
        for (partition, state) in &mut self.subscription.partitions {
            if matches!(state.state, FetchState::AwaitReset(_) | FetchState::AwaitCommitted) {
                continue;
            }
            let Some((_, epoch)) = self.metadata.leader(&partition.topic, partition.partition) else { continue };
            // A lower epoch is that of another topic of the same name.
            if epoch == state.leader_epoch {
                continue;
            }
            state.leader_epoch = epoch;
            if state.offset_epoch.is_some() {
                state.state = FetchState::AwaitValidation;
                state.busy = Busy::Idle;
                self.buffered.retain(|fetch| fetch.partition != *partition);
            }
        }
    }

    fn disconnected(&mut self, disconnection: &Disconnection, ctx: &mut Context<'_>) {
        self.metadata.on_disconnection(disconnection, ctx);
        for token in &disconnection.failed {
            self.take_in_flight(*token);
        }
    }
}

impl Machine for Consumer {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        match input {
            Input::Call(call) => self.call(call, ctx),
            Input::Connected(connection) => match &mut self.group {
                Some(group) if group.owns(connection) => group.on_connected(connection, ctx.now()),
                Some(_) | None => {
                    self.network.on_connected(connection, ctx.now());
                }
            },
            Input::Disconnected(connection) if self.is_of_group(connection) => {
                if let Some(group) = &mut self.group {
                    group.on_disconnected(connection, ctx);
                }
            }
            Input::Disconnected(connection) => {
                if let Some(disconnection) = self.network.on_disconnected(connection, ctx) {
                    self.disconnected(&disconnection, ctx);
                }
            }
            Input::Response { connection, correlation_id, response } if self.is_of_group(connection) => {
                if let Some(group) = &mut self.group {
                    let (metadata, subscription) = (&mut self.metadata, &mut self.subscription);
                    group.on_response(connection, correlation_id, response, metadata, subscription, ctx);
                }
            }
            Input::Response { connection, correlation_id, response } => {
                if let Some((node, token, response)) =
                    self.network.on_response(connection, correlation_id, response, ctx.now())
                {
                    self.network.throttle(node, &response, ctx.now());
                    self.answered(token, response, ctx);
                }
            }
            Input::Deadline => {
                for disconnection in self.network.on_deadline(ctx) {
                    self.disconnected(&disconnection, ctx);
                }
                if let Some(group) = &mut self.group {
                    group.on_deadline(ctx);
                }
            }
            Input::Start | Input::Request { .. } | Input::MetadataLag(_) | Input::Stop => {}
        }
        self.proceed(ctx);
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        if let Some(closing) = &self.closing {
            return self.deadline_of(closing);
        }
        let waiting =
            self.subscription.partitions.values().map(|state| state.not_before).filter(|at| *at > Instant::START);
        earliest([
            self.network.next_deadline(),
            self.metadata.next_deadline(),
            self.polling_until,
            self.group.as_ref().and_then(|group| group.next_deadline(self.polling_until.is_some())),
            waiting.min(),
        ])
    }
}

#[cfg(test)]
#[path = "consumer_tests.rs"]
mod tests;

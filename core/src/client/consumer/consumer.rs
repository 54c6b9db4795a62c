//! The consumer: looks up positions, fetches from leaders, hands out records. What it reads it is told by the application
//! (`assign()`), or by its group (`subscribe()`).
//!
//! Kafka: `KafkaConsumer` (`assign`), `Fetcher`, `OffsetFetcher`; KIP-74 (size limits), KIP-320 (2.3: a position is
//! validated against each new leader epoch), KIP-392 (2.4: reads from the replica in its rack; KAFKA-14379, 3.5).
//!
//! One fetch per broker is in flight, for the partitions that it leads and of which nothing is buffered: what `poll()`
//! returns next is fetched while the application works.
//!
//! Not modelled: `read_committed`, fetch sessions (each request is full; the answers are the same), network input only
//! inside `poll()` (answers are taken in as they arrive), `pause()`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchResponse, ListOffsetsResponse, OffsetForLeaderEpochResponse};

use super::completed_fetch::CompletedFetch;
use super::coordinator::ConsumerCoordinator;
use super::subscription_state::{Busy, FetchState, SubscriptionState};
use crate::client::metadata::{ClientMetadata, ClientMetadataConfig};
use crate::client::{
    Call, Completion, ConsumerRecord, Disconnection, Expect, ExponentialBackoff, NetworkClient, NetworkClientConfig,
    RequestToken,
};
use crate::config::{AutoOffsetReset, ConsumerConfig, KafkaVersion};
use crate::fact::{Fact, Payload, ResetReason};
use crate::machine::{Context, Input, Machine};
use crate::protocol::{ErrorCode, Response};
use crate::types::{Instant, LeaderEpoch, NodeId, Offset, TopicPartition, earliest};

/// Since when asking for metadata also gives up the preferred replica (KAFKA-14379).
const CLEARS_PREFERRED: KafkaVersion = KafkaVersion::new(3, 5);

/// A consumer. Driven by [`Input::Call`] with [`Call::Assign`], [`Call::Seek`], [`Call::Poll`] and [`Call::Close`].
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
    /// `close()` waits for the last commit until then.
    pub(super) closing: Option<Instant>,
    pub(super) closed: bool,
}

/// What a request asked for, per partition: the position it started from.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    node: NodeId,
    purpose: Purpose,
    /// Ascending.
    partitions: Vec<(TopicPartition, Offset)>,
}

impl InFlight {
    /// The position that a partition was asked for.
    fn asked_at(&self, partition: &TopicPartition) -> Option<Offset> {
        let at = self.partitions.binary_search_by(|(asked, _)| asked.cmp(partition)).ok()?;
        Some(self.partitions[at].1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    Fetch,
    LookUp,
    Validate,
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

impl Consumer {
    /// A consumer that starts from these brokers. `_client` is its number, for symmetry with the producers.
    pub fn new(config: Arc<ConsumerConfig>, bootstrap: Vec<NodeId>, _client: u32) -> Self {
        let network = network_client(&config);
        let metadata = ClientMetadata::new(ClientMetadataConfig {
            bootstrap,
            retry_backoff: ExponentialBackoff::constant(config.retry_backoff_ms),
            max_age: config.metadata_max_age_ms,
            allow_auto_topic_creation: true,
            topic_idle: None,
            request_timeout: config.request_timeout_ms,
        });
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
            closing: None,
            closed: false,
        }
    }

    /// White-box: where it stands in each partition (the offset of the next record that `poll()` returns, or -1).
    pub fn positions(&self) -> impl Iterator<Item = (&TopicPartition, Offset)> {
        self.subscription.partitions.iter().map(|(partition, state)| (partition, state.position))
    }

    /// White-box: its group, what it subscribed to, and whether it has what it was given.
    pub fn membership(&self) -> Option<(&str, impl Iterator<Item = &crate::types::TopicName>, bool)> {
        let group = self.group.as_ref().filter(|group| group.is_managed())?;
        Some((group.group.as_str(), group.topics.iter(), group.is_settled()))
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
            Call::Commit { call, offsets, sync } => self.commit(call, offsets, sync, ctx),
            Call::Worked(partition, offset, work) => ctx.fact(self.worked(partition, offset, work)),
            Call::ReturnFromCallback => {
                if let Some(group) = &mut self.group {
                    group.in_callback = false;
                }
            }
            Call::Seek(partition, offset) => self.seek(&partition, offset, ctx),
            Call::Poll { timeout } => {
                self.polling_until = Some(ctx.now() + timeout);
                if let Some(group) = &mut self.group {
                    group.poll_begins(&self.subscription, ctx);
                }
            }
            Call::Close { timeout } => self.begin_close(ctx.now() + timeout, ctx),
            Call::Send(_)
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
        ctx.fact(Fact::PositionReset { partition: partition.clone(), from, to: offset, reason });
    }

    /// Everything that can be done now: answer `poll()`, refresh metadata, send requests.
    fn proceed(&mut self, ctx: &mut Context<'_>) {
        if self.closed {
            return;
        }
        self.proceed_with_group(ctx);
        if self.closing.is_some() {
            return self.maybe_close(ctx);
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
        while records.len() < self.config.max_poll_records {
            let Some(fetch) = self.buffered.front_mut() else { break };
            let Some(state) = self.subscription.partitions.get_mut(&fetch.partition) else {
                self.buffered.pop_front();
                continue;
            };
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
            if epoch <= state.leader_epoch {
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

    fn send_requests(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let mut wanted: Vec<InFlight> = Vec::new();
        for (partition, state) in &mut self.subscription.partitions {
            if state.not_before <= now {
                state.not_before = Instant::START;
            }
            if state.busy != Busy::Idle || state.not_before > now || state.pending_revocation {
                continue;
            }
            let Some((leader, _)) = self.metadata.leader(&partition.topic, partition.partition) else {
                self.metadata.request_update();
                continue;
            };
            let mut node = leader;
            if state.state == FetchState::Fetching
                && let Some((preferred, until)) = state.preferred
            {
                let preferred = NodeId::Broker(preferred);
                if until <= now {
                    state.preferred = None;
                } else if self.metadata.nodes().contains(&preferred) {
                    node = preferred;
                } else {
                    state.preferred = state.preferred.filter(|_| self.config.version < CLEARS_PREFERRED);
                    self.metadata.request_update();
                }
            }
            let purpose = match state.state {
                FetchState::AwaitCommitted => continue,
                FetchState::Fetching => Purpose::Fetch,
                FetchState::AwaitReset(_) => Purpose::LookUp,
                FetchState::AwaitValidation => Purpose::Validate,
            };
            let asked = (partition.clone(), state.position);
            match wanted.iter_mut().find(|request| request.node == node && request.purpose == purpose) {
                Some(request) => request.partitions.push(asked),
                None => wanted.push(InFlight { node, purpose, partitions: vec![asked] }),
            }
        }
        wanted.sort_unstable_by_key(|request| (request.node, request.purpose));
        for request in wanted {
            self.send_request(request.node, request.purpose, request.partitions, ctx);
        }
    }

    fn send_request(
        &mut self,
        leader: NodeId,
        purpose: Purpose,
        partitions: Vec<(TopicPartition, Offset)>,
        ctx: &mut Context<'_>,
    ) {
        let fetching =
            self.in_flight.values().any(|request| request.node == leader && request.purpose == Purpose::Fetch);
        if (purpose == Purpose::Fetch && fetching) || !self.network.ready(leader, ctx) {
            return;
        }
        let timeout = self.config.request_timeout_ms;
        let token = match purpose {
            Purpose::Fetch => {
                self.network.send(leader, self.fetch_request(&partitions), Expect::Response, timeout, ctx)
            }
            Purpose::LookUp => match self.list_offsets_request(&partitions) {
                Some(request) => self.network.send(leader, request, Expect::Response, timeout, ctx),
                None => return,
            },
            Purpose::Validate => {
                self.network.send(leader, self.epochs_request(&partitions), Expect::Response, timeout, ctx)
            }
        };
        for (partition, _) in &partitions {
            if let Some(state) = self.subscription.partitions.get_mut(partition) {
                state.busy = Busy::Asked(token);
            }
        }
        self.in_flight.insert(token, InFlight { node: leader, purpose, partitions });
    }

    fn answered(&mut self, token: RequestToken, response: Response, ctx: &mut Context<'_>) {
        if let Response::Metadata(response) = &response
            && self.metadata.on_response(token, response, ctx)
        {
            return;
        }
        let Some(request) = self.take_in_flight(token) else { return };
        match response {
            Response::Fetch(response) => self.fetched(&request, *response, ctx),
            Response::ListOffsets(response) => self.looked_up(&request, &response, ctx),
            Response::OffsetForLeaderEpoch(response) => self.validated(&request, &response, ctx),
            _ => {}
        }
    }

    /// A request that is over, with those of its partitions that still wait for it.
    fn take_in_flight(&mut self, token: RequestToken) -> Option<InFlight> {
        let mut request = self.in_flight.remove(&token)?;
        request.partitions.retain(|(partition, _)| match self.subscription.partitions.get_mut(partition) {
            Some(state) if state.busy == Busy::Asked(token) => {
                state.busy = Busy::Idle;
                true
            }
            Some(_) | None => false,
        });
        Some(request)
    }

    fn fetched(&mut self, request: &InFlight, response: FetchResponse, ctx: &mut Context<'_>) {
        for topic in response.responses {
            for data in topic.partitions {
                let partition = TopicPartition::new(topic.topic.clone(), data.partition_index);
                if let Some(offset) = request.asked_at(&partition) {
                    self.fetched_partition(partition, offset, data, ctx);
                }
            }
        }
    }

    fn fetched_partition(
        &mut self,
        partition: TopicPartition,
        offset: Offset,
        data: PartitionData,
        ctx: &mut Context<'_>,
    ) {
        let Some(state) = self.subscription.partitions.get_mut(&partition) else { return };
        if state.position != offset || state.state != FetchState::Fetching {
            return;
        }
        let error = ErrorCode(data.error_code);
        if error.is_none() && data.preferred_read_replica.0 >= 0 {
            // It goes on there; the leader is asked again after metadata.max.age.ms.
            state.preferred = Some((data.preferred_read_replica.0, ctx.now() + self.config.metadata_max_age_ms));
            return;
        }
        if error.is_none() {
            state.high_watermark = Offset(data.high_watermark);
            let bytes = data.records.unwrap_or_default();
            if !bytes.is_empty() {
                state.busy = Busy::Buffered;
                self.buffered.push_back(CompletedFetch::new(partition, offset, bytes, self.config.check_crcs));
            }
            return;
        }
        // A follower may not be as far as the leader was: that is no reason to reset anything.
        if error == ErrorCode::OFFSET_OUT_OF_RANGE && state.preferred.take().is_some() {
            return;
        }
        if error == ErrorCode::OFFSET_OUT_OF_RANGE {
            state.state = FetchState::AwaitReset(ResetReason::OutOfRange);
        } else if error == ErrorCode::UNKNOWN_SERVER_ERROR
            || (error.is_retriable() && error != ErrorCode::CORRUPT_MESSAGE)
        {
            state.not_before = ctx.now() + self.config.retry_backoff_ms;
            state.preferred = state.preferred.filter(|_| self.config.version < CLEARS_PREFERRED);
            self.metadata.request_update();
        } else {
            self.failure = Some((partition, error));
        }
    }

    fn looked_up(&mut self, request: &InFlight, response: &ListOffsetsResponse, ctx: &mut Context<'_>) {
        for topic in &response.topics {
            for data in &topic.partitions {
                let partition = TopicPartition::new(topic.name.clone(), data.partition_index);
                let Some(state) = self.subscription.partitions.get_mut(&partition) else { continue };
                let FetchState::AwaitReset(reason) = state.state else { continue };
                if request.asked_at(&partition).is_none() {
                    continue;
                }
                if data.error_code != 0 {
                    state.not_before = ctx.now() + self.config.retry_backoff_ms;
                    self.metadata.request_update();
                    continue;
                }
                let from = std::mem::replace(&mut state.position, Offset(data.offset));
                state.state = FetchState::Fetching;
                state.offset_epoch = None;
                ctx.fact(Fact::PositionReset { partition, from, to: Offset(data.offset), reason });
            }
        }
    }

    fn validated(&mut self, request: &InFlight, response: &OffsetForLeaderEpochResponse, ctx: &mut Context<'_>) {
        for topic in &response.topics {
            for data in &topic.partitions {
                let partition = TopicPartition::new(topic.topic.clone(), data.partition);
                let Some(asked_at) = request.asked_at(&partition) else { continue };
                let Some(state) = self.subscription.partitions.get_mut(&partition) else { continue };
                if state.state != FetchState::AwaitValidation || state.position != asked_at {
                    continue;
                }
                if data.error_code != 0 {
                    state.not_before = ctx.now() + self.config.retry_backoff_ms;
                    self.metadata.request_update();
                    continue;
                }
                let end = Offset(data.end_offset);
                let unknown = data.leader_epoch < 0 || end.0 < 0;
                let truncated = unknown || end < state.position;
                if truncated && self.config.auto_offset_reset == AutoOffsetReset::None {
                    // The position stays doubtful: until the application seeks, it is asked for and thrown again.
                    state.not_before = ctx.now() + self.config.request_timeout_ms;
                    self.failure = Some((partition, ErrorCode::OFFSET_OUT_OF_RANGE));
                    continue;
                }
                state.state =
                    if unknown { FetchState::AwaitReset(ResetReason::Truncation) } else { FetchState::Fetching };
                if truncated && !unknown {
                    // The log was cut below the position: the consumer goes on from the cut.
                    let from = std::mem::replace(&mut state.position, end);
                    state.offset_epoch = Some(LeaderEpoch(data.leader_epoch));
                    ctx.fact(Fact::PositionReset { partition, from, to: end, reason: ResetReason::Truncation });
                }
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
        let waiting =
            self.subscription.partitions.values().map(|state| state.not_before).filter(|at| *at > Instant::START);
        earliest([
            self.network.next_deadline(),
            self.metadata.next_deadline(),
            self.polling_until,
            self.closing,
            self.group.as_ref().and_then(|group| group.next_deadline(self.polling_until.is_some())),
            waiting.min(),
        ])
    }
}

#[cfg(test)]
#[path = "consumer_tests.rs"]
mod tests;

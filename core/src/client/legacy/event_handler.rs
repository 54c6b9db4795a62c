//! What happens to a batch of messages: metadata, one request per broker, retries. One batch at a time, and everything in
//! it waits: in Kafka this is a thread that blocks.
//!
//! ```text
//!          ┌────────────────────────── retries are left ◀─────────────────────────────┐
//!          ▼                                                                          │
//! idle ─▶ metadata, if stale ─▶ group by leader ─▶ request, answer (each) ─▶ some failed: back off ─▶ metadata
//!   ▲                                                     │ all written                │ none left
//!   └─────────────────────────────────────────────────────┴────────────────────────────┘
//! ```
//!
//! Kafka 0.8.2: `async/DefaultEventHandler`, `BrokerPartitionInfo`, `SyncProducer`, `DefaultPartitioner`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, ProduceResponse};

use super::NOWHERE;
use crate::client::producer::Abandoned;
use crate::client::{
    DisconnectReason, Disconnection, Expect, ExponentialBackoff, NetworkClient, NetworkClientConfig, ProducerRecord,
    RecordMetadata, RequestToken,
};
use crate::config::LegacyProducerConfig;
use crate::fact::{Fact, RetryReason};
use crate::machine::Context;
use crate::protocol::{ErrorCode, Response};
use crate::record::{BatchBuilder, Compression, Header};
use crate::types::{
    Duration, Instant, NodeId, Offset, Prng, ProducerEpoch, Sequence, StrBytes, Timestamp, TopicName, TopicPartition,
};

/// A record, and how far it got.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub record: Box<ProducerRecord>,
    /// Where it was sent, or would have been, the last time.
    pub partition: Option<TopicPartition>,
    /// It left the process at least once.
    pub sent: bool,
    /// An attempt ended without a word that nothing was written.
    pub maybe_written: bool,
}

impl Message {
    pub(super) fn new(record: Box<ProducerRecord>) -> Self {
        Self { record, partition: None, sent: false, maybe_written: false }
    }

    pub(super) fn abandoned(&self) -> Abandoned {
        Abandoned { record: self.record.id, partition: self.partition.clone(), unsent: !self.sent }
    }
}

/// The end of a batch of messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Handled {
    pub written: Vec<(Message, RecordMetadata)>,
    /// Given up.
    pub failed: Vec<Message>,
}

/// The blocking part of the producer.
#[derive(Clone, Debug)]
pub(super) struct EventHandler {
    config: Arc<LegacyProducerConfig>,
    bootstrap: Vec<NodeId>,
    pub network: NetworkClient,
    /// The leader of every partition, by topic.
    leaders: BTreeMap<TopicName, Vec<Option<NodeId>>>,
    /// `sendPartitionPerTopicCache`: where messages without key go until the metadata are asked for again.
    sticky: BTreeMap<TopicName, i32>,
    refreshed_at: Option<Instant>,
    next_batch: u64,
    work: Work,
    outstanding: Vec<Message>,
    /// Tries left, the present one included.
    tries_left: u32,
    handled: Handled,
}

#[derive(Clone, Debug)]
enum Work {
    Idle,
    /// Asks one broker after the other until one answers.
    Metadata {
        candidates: Vec<NodeId>,
        asked: Option<Asked>,
        then: Then,
    },
    /// The messages are to be grouped.
    Group {
        unknown_topics_asked_for: bool,
    },
    /// One request after the other.
    Send {
        requests: VecDeque<BrokerRequest>,
        asked: Option<Asked>,
    },
    /// Before the metadata are asked for again.
    BackOff {
        until: Instant,
    },
    /// Done, unless messages and tries are left.
    NextTry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Group,
    GroupOrFail,
    NextTry,
}

/// A broker that something is expected of.
#[derive(Clone, Debug)]
struct Asked {
    node: NodeId,
    /// `None` while the connection is being opened.
    token: Option<RequestToken>,
    outcome: Option<Result<Response, DisconnectReason>>,
}

/// What goes to one broker.
#[derive(Clone, Debug)]
struct BrokerRequest {
    node: NodeId,
    batches: Vec<PartitionBatch>,
}

#[derive(Clone, Debug)]
struct PartitionBatch {
    number: u64,
    partition: TopicPartition,
    messages: Vec<Message>,
}

impl EventHandler {
    pub(super) fn new(config: Arc<LegacyProducerConfig>, bootstrap: Vec<NodeId>) -> Self {
        let network = NetworkClient::new(NetworkClientConfig {
            reconnect_backoff: ExponentialBackoff::constant(Duration::ZERO),
            connection_setup_timeout: Some(ExponentialBackoff::constant(config.request_timeout_ms)),
            max_in_flight: 1,
            max_idle: None,
        });
        Self {
            config,
            bootstrap,
            network,
            leaders: BTreeMap::new(),
            sticky: BTreeMap::new(),
            refreshed_at: None,
            next_batch: 1,
            work: Work::Idle,
            outstanding: Vec::new(),
            tries_left: 0,
            handled: Handled::default(),
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.work, Work::Idle)
    }

    /// Begins with a batch of messages.
    pub(super) fn handle(&mut self, messages: Vec<Message>, ctx: &mut Context<'_>) {
        self.outstanding = messages;
        self.tries_left = self.config.message_send_max_retries.saturating_add(1);
        self.handled = Handled::default();
        self.begin_try(ctx);
    }

    /// The messages that it works on.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        let in_requests = match &self.work {
            Work::Send { requests, .. } => Some(requests),
            Work::Idle | Work::Metadata { .. } | Work::Group { .. } | Work::BackOff { .. } | Work::NextTry => None,
        };
        let in_requests = in_requests.into_iter().flatten().flat_map(|request| &request.batches);
        self.outstanding.iter().chain(in_requests.flat_map(|batch| &batch.messages))
    }

    /// Goes on as far as it can; the result, once there is one.
    pub(super) fn advance(&mut self, ctx: &mut Context<'_>) -> Option<Handled> {
        loop {
            match std::mem::replace(&mut self.work, Work::Idle) {
                Work::Idle => return None,
                Work::Metadata { candidates, asked, then } => {
                    if self.ask_for_metadata(candidates, asked, then, ctx) {
                        return None;
                    }
                }
                Work::Group { unknown_topics_asked_for } => self.group(unknown_topics_asked_for, ctx),
                Work::Send { requests, asked } => {
                    if self.send_requests(requests, asked, ctx) {
                        return None;
                    }
                }
                Work::BackOff { until } if until > ctx.now() => {
                    self.work = Work::BackOff { until };
                    return None;
                }
                Work::BackOff { .. } => {
                    self.sticky.clear();
                    self.fetch_metadata(Then::NextTry, ctx);
                }
                Work::NextTry => {
                    self.tries_left = self.tries_left.saturating_sub(1);
                    if self.tries_left == 0 || self.outstanding.is_empty() {
                        self.handled.failed = std::mem::take(&mut self.outstanding);
                        return Some(std::mem::take(&mut self.handled));
                    }
                    self.begin_try(ctx);
                }
            }
        }
    }

    pub(super) fn on_response(&mut self, token: RequestToken, response: Response) {
        if let Some(asked) = self.asked().filter(|asked| asked.token == Some(token)) {
            asked.outcome = Some(Ok(response));
        }
    }

    pub(super) fn on_disconnection(&mut self, disconnection: &Disconnection) {
        if let Some(asked) = self.asked().filter(|asked| asked.node == disconnection.node) {
            asked.outcome = Some(Err(disconnection.reason));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let until = match self.work {
            Work::BackOff { until } => Some(until),
            Work::Idle | Work::Metadata { .. } | Work::Group { .. } | Work::Send { .. } | Work::NextTry => None,
        };
        [until, self.network.next_deadline()].into_iter().flatten().min()
    }

    pub(super) fn close(&mut self, ctx: &mut Context<'_>) {
        self.network.close_all(ctx);
    }

    fn asked(&mut self) -> Option<&mut Asked> {
        match &mut self.work {
            Work::Metadata { asked, .. } | Work::Send { asked, .. } => asked.as_mut(),
            Work::Idle | Work::Group { .. } | Work::BackOff { .. } | Work::NextTry => None,
        }
    }

    fn begin_try(&mut self, ctx: &mut Context<'_>) {
        let interval = self.config.topic_metadata_refresh_interval_ms;
        if self.refreshed_at.is_none_or(|at| ctx.now() > at + interval) {
            self.refreshed_at = Some(ctx.now());
            self.sticky.clear();
            self.fetch_metadata(Then::Group, ctx);
        } else {
            self.work = Work::Group { unknown_topics_asked_for: false };
        }
    }
}

impl EventHandler {
    fn fetch_metadata(&mut self, then: Then, ctx: &mut Context<'_>) {
        let mut candidates = self.bootstrap.clone();
        shuffle(&mut candidates, ctx.rng());
        self.work = Work::Metadata { candidates, asked: None, then };
    }

    /// True if it has to wait.
    fn ask_for_metadata(
        &mut self,
        mut candidates: Vec<NodeId>,
        asked: Option<Asked>,
        then: Then,
        ctx: &mut Context<'_>,
    ) -> bool {
        let mut asked = match asked.or_else(|| candidates.pop().map(Asked::new)) {
            Some(asked) => asked,
            None => {
                // Nobody answers. The error is swallowed; what was known stays.
                self.work = then.work();
                return false;
            }
        };
        match asked.outcome.take() {
            Some(Ok(Response::Metadata(response))) => {
                self.take_metadata(&response);
                self.work = then.work();
                false
            }
            Some(_) => {
                self.work = Work::Metadata { candidates, asked: None, then };
                false
            }
            None => {
                if asked.token.is_none() && self.network.ready(asked.node, ctx) {
                    let timeout = self.config.request_timeout_ms;
                    let request = self.metadata_request();
                    asked.token = Some(self.network.send(asked.node, request, Expect::Response, timeout, ctx));
                }
                self.work = Work::Metadata { candidates, asked: Some(asked), then };
                true
            }
        }
    }

    fn metadata_request(&self) -> MetadataRequest {
        let names: BTreeSet<&TopicName> = self.outstanding.iter().map(|message| &message.record.topic).collect();
        let topics = names.into_iter().map(|name| MetadataRequestTopic::default().with_name(Some(name.clone())));
        MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(true)
    }

    fn take_metadata(&mut self, response: &MetadataResponse) {
        for topic in &response.topics {
            let (Some(name), 0) = (&topic.name, topic.error_code) else { continue };
            let mut partitions: Vec<_> = topic.partitions.iter().map(|p| (p.partition_index, p.leader_id.0)).collect();
            partitions.sort_unstable();
            let leaders = partitions.into_iter().map(|(_, leader)| (leader >= 0).then_some(NodeId::Broker(leader)));
            self.leaders.insert(name.clone(), leaders.collect());
        }
    }

    /// `partitionAndCollate`: one batch per partition, one request per leader.
    fn group(&mut self, unknown_topics_asked_for: bool, ctx: &mut Context<'_>) {
        let leaders = &self.leaders;
        let unknown = |message: &Message| leaders.get(&message.record.topic).is_none_or(Vec::is_empty);
        if self.outstanding.iter().any(unknown) {
            // One message without a place keeps all of them back.
            match unknown_topics_asked_for {
                true => self.work = Work::BackOff { until: ctx.now() + self.config.retry_backoff_ms },
                false => self.fetch_metadata(Then::GroupOrFail, ctx),
            }
            return;
        }
        let mut groups: BTreeMap<NodeId, Vec<PartitionBatch>> = BTreeMap::new();
        for mut message in std::mem::take(&mut self.outstanding) {
            let Some((partition, leader)) = self.place(&message.record, ctx.rng()) else {
                self.outstanding.push(message);
                continue;
            };
            let place = TopicPartition::new(message.record.topic.clone(), partition);
            message.partition = Some(place.clone());
            let batches = groups.entry(leader).or_default();
            let position = batches.iter().position(|batch| batch.partition == place).unwrap_or_else(|| {
                batches.push(PartitionBatch {
                    number: self.next_batch,
                    partition: place.clone(),
                    messages: Vec::new(),
                });
                self.next_batch += 1;
                batches.len() - 1
            });
            let batch = &mut batches[position];
            ctx.fact(Fact::RecordBatched { record: message.record.id, partition: place, batch: batch.number });
            batch.messages.push(message);
        }
        let requests = groups.into_iter().map(|(node, batches)| BrokerRequest { node, batches }).collect();
        self.work = Work::Send { requests, asked: None };
    }

    /// Partition and leader; `None` if it has no leader, or there is no such partition.
    fn place(&mut self, record: &ProducerRecord, rng: &mut Prng) -> Option<(i32, NodeId)> {
        let leaders = self.leaders.get(&record.topic)?;
        let partition = match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, leaders.len()),
            (None, None) => match self.sticky.get(&record.topic) {
                Some(sticky) => *sticky,
                None => {
                    let led: Vec<usize> = (0..leaders.len()).filter(|index| leaders[*index].is_some()).collect();
                    let chosen = (!led.is_empty()).then(|| led[rng.below(led.len() as u64) as usize] as i32)?;
                    self.sticky.insert(record.topic.clone(), chosen);
                    chosen
                }
            },
        };
        let leader = usize::try_from(partition).ok().and_then(|index| *leaders.get(index)?)?;
        Some((partition, leader))
    }
}

impl EventHandler {
    /// True if it has to wait.
    fn send_requests(
        &mut self,
        mut requests: VecDeque<BrokerRequest>,
        asked: Option<Asked>,
        ctx: &mut Context<'_>,
    ) -> bool {
        let Some(request) = requests.front_mut() else {
            self.work = match self.outstanding.is_empty() {
                true => Work::NextTry,
                false => Work::BackOff { until: ctx.now() + self.config.retry_backoff_ms },
            };
            return false;
        };
        let mut asked = asked.unwrap_or_else(|| Asked::new(request.node));
        if asked.outcome.is_none() && asked.token.is_none() && self.network.ready(request.node, ctx) {
            let acks = self.config.request_required_acks;
            let expect = if acks == 0 { Expect::Nothing } else { Expect::Response };
            let timeout = self.config.request_timeout_ms;
            let attempt = self.config.message_send_max_retries.saturating_add(2).saturating_sub(self.tries_left);
            let produce = produce_request(request, acks, timeout, attempt, ctx);
            asked.token = Some(self.network.send(request.node, produce, expect, timeout, ctx));
            if expect == Expect::Nothing {
                let answer = ProduceResponse::default();
                asked.outcome = Some(Ok(answer.into()));
            }
        }
        match asked.outcome.take() {
            None => {
                self.work = Work::Send { requests, asked: Some(asked) };
                return true;
            }
            Some(outcome) => {
                let was_sent = asked.token.is_some();
                if let Some(request) = requests.pop_front() {
                    self.on_outcome(request, outcome, was_sent, ctx);
                }
            }
        }
        self.work = Work::Send { requests, asked: None };
        false
    }

    fn on_outcome(
        &mut self,
        request: BrokerRequest,
        outcome: Result<Response, DisconnectReason>,
        was_sent: bool,
        ctx: &mut Context<'_>,
    ) {
        for batch in request.batches {
            let result = match &outcome {
                Ok(_) if self.config.request_required_acks == 0 => Ok(NOWHERE),
                Ok(Response::Produce(response)) => answer_to(&batch.partition, response),
                Ok(_) => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
                Err(_) if !was_sent => Err(ErrorCode::LEADER_NOT_AVAILABLE),
                Err(_) => Err(ErrorCode::NETWORK_EXCEPTION),
            };
            match result {
                Ok(base_offset) => self.on_written(batch, base_offset, ctx),
                Err(error) => {
                    let reason = match &outcome {
                        Err(DisconnectReason::RequestTimeout) => RetryReason::RequestTimeout,
                        Err(_) => RetryReason::Disconnected,
                        Ok(_) => RetryReason::Error(error),
                    };
                    if self.tries_left > 1 && was_sent {
                        ctx.fact(Fact::BatchRetried { batch: batch.number, partition: batch.partition, reason });
                    }
                    for mut message in batch.messages {
                        message.maybe_written |= !error.is_definite();
                        self.outstanding.push(message);
                    }
                }
            }
        }
    }

    fn on_written(&mut self, batch: PartitionBatch, base_offset: Offset, ctx: &Context<'_>) {
        for (message, index) in batch.messages.into_iter().zip(0_i64..) {
            let offset = if base_offset == NOWHERE { NOWHERE } else { base_offset.plus(index) };
            let timestamp = message.record.timestamp.unwrap_or(ctx.wall_clock());
            let metadata = RecordMetadata { partition: batch.partition.clone(), offset, timestamp };
            self.handled.written.push((message, metadata));
        }
    }
}

impl Then {
    fn work(self) -> Work {
        match self {
            Then::Group => Work::Group { unknown_topics_asked_for: false },
            Then::GroupOrFail => Work::Group { unknown_topics_asked_for: true },
            Then::NextTry => Work::NextTry,
        }
    }
}

impl Asked {
    fn new(node: NodeId) -> Self {
        Self { node, token: None, outcome: None }
    }
}

fn produce_request(
    request: &mut BrokerRequest,
    acks: i16,
    timeout: Duration,
    attempt: u32,
    ctx: &mut Context<'_>,
) -> ProduceRequest {
    let mut produce = ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(acks)
        .with_timeout_ms(i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
    for batch in &mut request.batches {
        let NodeId::Broker(broker) = request.node else { continue };
        ctx.fact(Fact::BatchSent {
            batch: batch.number,
            partition: batch.partition.clone(),
            attempt,
            producer_id: -1,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: Sequence::NONE,
            broker,
        });
        let records = records_of(&mut batch.messages, ctx.wall_clock());
        let data = PartitionProduceData::default().with_index(batch.partition.partition).with_records(Some(records));
        match produce.topic_data.iter_mut().find(|topic| topic.name == batch.partition.topic) {
            Some(topic) => topic.partition_data.push(data),
            None => produce.topic_data.push(
                TopicProduceData::default().with_name(batch.partition.topic.clone()).with_partition_data(vec![data]),
            ),
        }
    }
    produce
}

fn records_of(messages: &mut [Message], wall_clock: Timestamp) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None, usize::MAX);
    for message in messages {
        message.sent = true;
        let record = &message.record;
        let headers: Vec<Header> =
            record.headers.iter().map(|(name, value)| (StrBytes::from_string(name.clone()), value.clone())).collect();
        let timestamp = record.timestamp.unwrap_or(wall_clock).max(Timestamp(0));
        builder.append(timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
    }
    builder.build().expect("a batch without compression can be built")
}

/// The base offset or the error of one partition.
fn answer_to(partition: &TopicPartition, response: &ProduceResponse) -> Result<Offset, ErrorCode> {
    let topics = response.responses.iter().filter(|topic| topic.name == partition.topic);
    let answer = topics.flat_map(|topic| &topic.partition_responses).find(|p| p.index == partition.partition);
    match answer {
        Some(answer) if answer.error_code == 0 => Ok(Offset(answer.base_offset)),
        Some(answer) => Err(ErrorCode(answer.error_code)),
        None => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
    }
}

/// `DefaultPartitioner`: Java's hash of the key as a string.
fn partition_for_key(key: &Bytes, partitions: usize) -> i32 {
    let hash = match std::str::from_utf8(key) {
        Ok(text) => text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit))),
        Err(_) => key.iter().fold(1_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(*byte as i8))),
    };
    (hash.checked_abs().unwrap_or(0) as usize % partitions) as i32
}

fn shuffle(nodes: &mut [NodeId], rng: &mut Prng) {
    for last in (1..nodes.len()).rev() {
        nodes.swap(last, rng.below(last as u64 + 1) as usize);
    }
}

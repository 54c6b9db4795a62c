//! Two brokers played by a test, around one client machine.
//!
//! Connections open at once, Metadata and InitProducerId are answered at once; Produce requests, and those that only
//! consumers and admin clients make, wait in two lists until the test answers them or breaks the connection. Topics have
//! two partitions, led by broker 1, unless the test or a hint said otherwise.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use kafka_protocol::messages::metadata_request::MetadataRequest;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_request::ProduceRequest;
use kafka_protocol::messages::produce_response::{LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    BrokerId, InitProducerIdResponse, MetadataResponse, ProduceResponse, ProducerId, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::testing::Bench;
use super::{Call, Completion, ProducerRecord};
use crate::fact::Fact;
use crate::machine::{Effect, Input, Machine};
use crate::protocol::{ErrorCode, Request, Response};
use crate::record::RecordBatch;
use crate::types::{ConnectionId, CorrelationId, Duration, NodeId, RecordId, TopicPartition};

/// A Produce request that was not answered.
pub(crate) struct Produce {
    pub(crate) node: i32,
    connection: ConnectionId,
    correlation_id: CorrelationId,
    pub(crate) batches: Vec<(TopicPartition, RecordBatch)>,
}

/// Any other request that was not answered.
pub(crate) struct Asked {
    pub(crate) node: i32,
    connection: ConnectionId,
    correlation_id: CorrelationId,
    pub(crate) request: Request,
}

/// The machine, its world, and what was heard of it.
pub(crate) struct Cluster<M> {
    bench: Bench,
    pub(crate) machine: M,
    connections: BTreeMap<ConnectionId, i32>,
    pub(crate) produce: Vec<Produce>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) metadata_requests: u64,
    /// Topics that no broker knows.
    pub(crate) unknown_topics: Vec<String>,
    /// Partitions without leader.
    pub(crate) leaderless: Vec<(String, i32)>,
    /// Who leads all other partitions, and since which epoch.
    pub(crate) leader: (i32, i32),
    /// How often a deadline may still be there after it was handled.
    pub(crate) repeated_deadlines: u32,
    /// Nobody accepts connections.
    pub(crate) refuses_connections: bool,
    /// How many partitions each topic has.
    pub(crate) partitions: i32,
    /// Metadata requests wait like others.
    pub(crate) holds_metadata: bool,
    /// So do requests for a producer id.
    pub(crate) holds_producer_ids: bool,
    /// What the next requests for a producer id are refused with.
    producer_id_errors: Vec<ErrorCode>,
    pub(crate) producer_id_requests: u64,
    next_producer_id: i64,
    next_offset: i64,
    facts: Vec<Fact>,
    completions: Vec<Completion>,
    delivered_taken: usize,
}

impl<M: Machine> Cluster<M> {
    pub(crate) fn new(machine: M) -> Self {
        Self::refusing_producer_ids(machine, Vec::new())
    }

    /// The same, but the first requests for a producer id are refused.
    pub(crate) fn refusing_producer_ids(machine: M, errors: Vec<ErrorCode>) -> Self {
        let mut cluster = Self {
            bench: Bench::default(),
            machine,
            connections: BTreeMap::new(),
            produce: Vec::new(),
            asked: Vec::new(),
            metadata_requests: 0,
            unknown_topics: Vec::new(),
            leaderless: Vec::new(),
            leader: (1, 0),
            repeated_deadlines: 99,
            refuses_connections: false,
            partitions: 2,
            holds_metadata: false,
            holds_producer_ids: false,
            producer_id_errors: errors,
            producer_id_requests: 0,
            next_producer_id: 7,
            next_offset: 0,
            facts: Vec::new(),
            completions: Vec::new(),
            delivered_taken: 0,
        };
        cluster.handle(Input::Start);
        cluster
    }

    pub(crate) fn call(&mut self, call: Call) {
        self.handle(Input::Call(call));
    }

    /// Sends records of 40 bytes; their values begin with their numbers.
    pub(crate) fn send(&mut self, topic: &str, partition: Option<i32>, numbers: Range<u64>) {
        for number in numbers {
            let mut value = [0; 40];
            value[..8].copy_from_slice(&number.to_be_bytes());
            self.send_value(topic, partition, number, &value);
        }
    }

    pub(crate) fn send_value(&mut self, topic: &str, partition: Option<i32>, number: u64, value: &[u8]) {
        self.call(Call::Send(Box::new(ProducerRecord {
            id: RecordId { client: 0, number },
            resend_of: None,
            topic: TopicName(StrBytes::from_string(topic.to_owned())),
            partition,
            key: None,
            value: Some(Bytes::copy_from_slice(value)),
            timestamp: None,
            headers: Vec::new(),
        })));
    }

    /// Lets time pass, with every deadline on the way.
    pub(crate) fn run_for(&mut self, length: Duration) {
        let end = self.bench.now() + length;
        let mut at_this_moment = 0;
        while let Some(deadline) = self.machine.next_deadline().filter(|deadline| *deadline <= end) {
            at_this_moment = if deadline > self.bench.now() { 0 } else { at_this_moment + 1 };
            assert!(at_this_moment <= self.repeated_deadlines, "the deadline {deadline} does not pass");
            self.bench.now_is(deadline.max(self.bench.now()));
            self.handle(Input::Deadline);
        }
        self.bench.now_is(end);
    }

    /// Time passes, and nobody looks at the clock.
    pub(crate) fn pass(&mut self, length: Duration) {
        self.bench.now_is(self.bench.now() + length);
    }

    /// Breaks every connection to a broker.
    pub(crate) fn disconnect(&mut self, broker: i32) {
        let gone: Vec<ConnectionId> =
            self.connections.iter().filter(|(_, node)| **node == broker).map(|(connection, _)| *connection).collect();
        for connection in gone {
            self.lose(connection);
        }
    }

    /// The connections that are open.
    pub(crate) fn connections(&self) -> Vec<ConnectionId> {
        self.connections.keys().copied().collect()
    }

    /// Breaks the connection of a Produce request.
    pub(crate) fn disconnect_produce(&mut self, index: usize) {
        self.lose(self.produce[index].connection);
    }

    pub(crate) fn answer_produce(&mut self, index: usize, error: ErrorCode, base_offset: i64) {
        self.answer_produce_from(index, error, base_offset, -1);
    }

    pub(crate) fn answer_produce_from(&mut self, index: usize, error: ErrorCode, base_offset: i64, log_start: i64) {
        self.answer_produce_each(index, |_, _| {
            PartitionProduceResponse::default()
                .with_error_code(error.0)
                .with_base_offset(base_offset)
                .with_log_start_offset(log_start)
                .with_log_append_time_ms(-1)
        });
    }

    /// Not the leader any more; another is.
    pub(crate) fn answer_produce_with_hint(&mut self, index: usize, leader: i32, epoch: i32) {
        let hint = LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader)).with_leader_epoch(epoch);
        self.answer_produce_each(index, |_, _| {
            PartitionProduceResponse::default()
                .with_error_code(ErrorCode::NOT_LEADER_OR_FOLLOWER.0)
                .with_current_leader(hint.clone())
        });
    }

    /// Acknowledges the first request, at the next offsets.
    pub(crate) fn answer_produce_in_sequence(&mut self) {
        let base = self.next_offset;
        self.next_offset +=
            self.produce[0].batches.iter().map(|(_, batch)| i64::from(batch.records_count())).sum::<i64>();
        self.answer_produce(0, ErrorCode::NONE, base);
    }

    /// Answers a request, each batch of it on its own.
    pub(crate) fn answer_produce_each(
        &mut self,
        index: usize,
        mut answer: impl FnMut(&TopicPartition, &RecordBatch) -> PartitionProduceResponse,
    ) {
        let Produce { connection, correlation_id, batches, .. } = self.produce.remove(index);
        let mut response = ProduceResponse::default();
        for (partition, batch) in &batches {
            let answer = answer(partition, batch).with_index(partition.partition);
            response.responses.push(
                TopicProduceResponse::default()
                    .with_name(partition.topic.clone())
                    .with_partition_responses(vec![answer]),
            );
        }
        self.handle(Input::Response { connection, correlation_id, response: response.into() });
    }

    /// Takes out the oldest request other than Produce.
    pub(crate) fn take_asked(&mut self) -> Asked {
        self.asked.remove(0)
    }

    pub(crate) fn answer(&mut self, asked: &Asked, response: impl Into<Response>) {
        let Asked { connection, correlation_id, .. } = *asked;
        self.handle(Input::Response { connection, correlation_id, response: response.into() });
    }

    /// Which records each request has.
    pub(crate) fn produce_records(&self) -> Vec<Vec<u64>> {
        let numbers = |request: &Produce| request.batches.iter().flat_map(|(_, batch)| numbers_in(batch)).collect();
        self.produce.iter().map(numbers).collect()
    }

    /// What `send()` returned so far.
    pub(crate) fn returned(&self) -> Vec<(u64, Result<(), ErrorCode>)> {
        let returned = self.completions.iter().filter_map(|completion| match completion {
            Completion::SendReturned { record, result } => Some((record.number, *result)),
            _ => None,
        });
        returned.collect()
    }

    /// Which callbacks ran since the last time, and with which offset.
    pub(crate) fn delivered(&mut self) -> Vec<(u64, Result<i64, ErrorCode>)> {
        let delivered = self.completions[self.delivered_taken..].iter().filter_map(|completion| match completion {
            Completion::Delivered { record, result } => {
                Some((record.number, result.as_ref().map(|metadata| metadata.offset.0).map_err(|error| *error)))
            }
            _ => None,
        });
        let delivered = delivered.collect();
        self.delivered_taken = self.completions.len();
        delivered
    }

    pub(crate) fn take_completions(&mut self) -> Vec<Completion> {
        self.delivered_taken = 0;
        std::mem::take(&mut self.completions)
    }

    pub(crate) fn completed(&self, wanted: &Completion) -> bool {
        self.completions.contains(wanted)
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Fact) -> bool) -> usize {
        self.facts.iter().filter(|fact| wanted(fact)).count()
    }

    pub(crate) fn facts(&self) -> &[Fact] {
        &self.facts
    }

    fn lose(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
        self.produce.retain(|request| request.connection != connection);
        self.asked.retain(|asked| asked.connection != connection);
        self.handle(Input::Disconnected(connection));
    }

    fn handle(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.machine.handle(input, &mut self.bench.context());
            for effect in self.bench.take() {
                if let Some(input) = self.carry_out(effect) {
                    inputs.insert(0, input);
                }
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Connect { connection, .. } if self.refuses_connections => Some(Input::Disconnected(connection)),
            Effect::Connect { connection, to: NodeId::Broker(broker) } => {
                self.connections.insert(connection, broker);
                Some(Input::Connected(connection))
            }
            Effect::Send { connection, correlation_id, request } => {
                self.take_request(connection, correlation_id, request)
            }
            Effect::Close(connection) => {
                self.connections.remove(&connection);
                self.produce.retain(|request| request.connection != connection);
                self.asked.retain(|asked| asked.connection != connection);
                None
            }
            Effect::Complete(completion) => {
                self.completions.push(completion);
                None
            }
            Effect::Fact(fact) => {
                self.facts.push(fact);
                None
            }
            Effect::Exit => None,
            Effect::Connect { .. } | Effect::Reply { .. } | Effect::Because(_) => {
                panic!("no client does that: {effect:?}")
            }
        }
    }

    fn take_request(
        &mut self,
        connection: ConnectionId,
        correlation_id: CorrelationId,
        request: Request,
    ) -> Option<Input> {
        let node = *self.connections.get(&connection).expect("it sends on open connections only");
        let response: Response = match request {
            Request::Produce(request) => {
                self.produce.push(Produce { node, connection, correlation_id, batches: batches_in(&request) });
                return None;
            }
            Request::Metadata(request) if !self.holds_metadata => {
                self.metadata_requests += 1;
                self.metadata(&request).into()
            }
            Request::InitProducerId(request) if !self.holds_producer_ids => {
                let asked_for = (request.producer_id.0, request.producer_epoch, request.transactional_id);
                assert_eq!(asked_for, (-1, -1, None), "it asks for a new one");
                self.producer_id_requests += 1;
                if let Some(error) = self.producer_id_errors.pop() {
                    let refusal = InitProducerIdResponse::default().with_error_code(error.0);
                    return Some(Input::Response { connection, correlation_id, response: refusal.into() });
                }
                self.next_producer_id += 1;
                InitProducerIdResponse::default().with_producer_id(ProducerId(self.next_producer_id - 1)).into()
            }
            request => {
                self.asked.push(Asked { node, connection, correlation_id, request });
                return None;
            }
        };
        Some(Input::Response { connection, correlation_id, response })
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let brokers = [1, 2].map(|id| MetadataResponseBroker::default().with_node_id(BrokerId(id)));
        let wanted = request.topics.iter().flatten().filter_map(|topic| topic.name.clone());
        let topics = wanted.map(|name| {
            if self.unknown_topics.iter().any(|unknown| unknown == name.as_str()) {
                return MetadataResponseTopic::default()
                    .with_name(Some(name))
                    .with_error_code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
            }
            let partition = |index| {
                let leaderless = self.leaderless.iter().any(|(topic, other)| topic == name.as_str() && *other == index);
                let leader = if leaderless { -1 } else { self.leader.0 };
                MetadataResponsePartition::default()
                    .with_partition_index(index)
                    .with_leader_id(BrokerId(leader))
                    .with_leader_epoch(self.leader.1)
            };
            let partitions = (0..self.partitions).map(partition).collect();
            MetadataResponseTopic::default().with_name(Some(name)).with_partitions(partitions)
        });
        MetadataResponse::default().with_brokers(brokers.to_vec()).with_topics(topics.collect())
    }
}

/// The numbers of the records in a batch.
pub(crate) fn numbers_in(batch: &RecordBatch) -> Vec<u64> {
    let number = |value: Bytes| u64::from_be_bytes(value[..8].try_into().expect("eight bytes"));
    batch.records().map(|record| number(record.expect("a good record").value.expect("a value"))).collect()
}

fn batches_in(request: &ProduceRequest) -> Vec<(TopicPartition, RecordBatch)> {
    let mut batches = Vec::new();
    for topic in &request.topic_data {
        for data in &topic.partition_data {
            let bytes = data.records.as_ref().expect("a Produce request has records");
            let batch = RecordBatch::parse(bytes, 0).expect("a good batch");
            batch.verify_crc().expect("a good CRC");
            batches.push((TopicPartition::new(topic.name.clone(), data.index), batch));
        }
    }
    batches
}

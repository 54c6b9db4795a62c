//! What a record costs the producer: from `send()` to the callback, in full batches of 100 records of 100 bytes, against a
//! broker that says yes at once.

use std::sync::Arc;

use ackproof_core::client::{Call, Producer, ProducerRecord};
use ackproof_core::config::{KafkaVersion, ProducerConfig};
use ackproof_core::protocol::{Request, Response};
use ackproof_core::record::Compression;
use ackproof_core::storage::MemoryStorage;
use ackproof_core::types::{Duration, Instant, NodeId, Prng, RecordId, StrBytes, Timestamp, TopicName};
use ackproof_core::{Context, Effect, Effects, Input, Machine};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{BrokerId, InitProducerIdResponse, MetadataResponse, ProduceResponse, ProducerId};

const RECORDS: u64 = 100_000;

fn config(idempotence: bool) -> ProducerConfig {
    let millis = Duration::from_millis;
    ProducerConfig {
        version: KafkaVersion::new(3, 9),
        client_id: "p1".to_owned(),
        acks: -1,
        retries: i32::MAX as u32,
        enable_idempotence: idempotence,
        max_in_flight_requests_per_connection: 5,
        batch_size: 61 + 100 * 109,
        linger_ms: millis(5),
        buffer_memory: 32 << 20,
        max_block_ms: millis(60_000),
        max_request_size: 1 << 20,
        request_timeout_ms: millis(30_000),
        delivery_timeout_ms: millis(120_000),
        retry_backoff_ms: millis(100),
        retry_backoff_max_ms: millis(1000),
        reconnect_backoff_ms: millis(50),
        reconnect_backoff_max_ms: millis(1000),
        connections_max_idle_ms: None,
        metadata_max_age_ms: millis(300_000),
        compression_type: Compression::None,
        round_robin_partitioner: false,
        partitioner_ignore_keys: false,
        warnings: Vec::new(),
    }
}

fn answer(request: Request) -> Response {
    match request {
        Request::Produce(request) => {
            let topics = request.topic_data.into_iter().map(|topic| {
                let partitions = topic.partition_data.iter().map(|partition| {
                    PartitionProduceResponse::default().with_index(partition.index).with_log_append_time_ms(-1)
                });
                TopicProduceResponse::default().with_name(topic.name).with_partition_responses(partitions.collect())
            });
            ProduceResponse::default().with_responses(topics.collect()).into()
        }
        Request::Metadata(request) => {
            let broker = MetadataResponseBroker::default().with_node_id(BrokerId(1));
            let partition =
                |index| MetadataResponsePartition::default().with_partition_index(index).with_leader_id(BrokerId(1));
            let topics = request.topics.into_iter().flatten().map(|topic| {
                MetadataResponseTopic::default().with_name(topic.name).with_partitions((0..3).map(partition).collect())
            });
            MetadataResponse::default().with_brokers(vec![broker]).with_topics(topics.collect()).into()
        }
        Request::InitProducerId(_) => InitProducerIdResponse::default().with_producer_id(ProducerId(1)).into(),
        other => panic!("a producer does not send {}", other.name()),
    }
}

/// Sends all records; how many effects that had.
fn run(idempotence: bool, topic: &TopicName, key: &Bytes, value: &Bytes) -> u64 {
    let mut producer = Producer::new(Arc::new(config(idempotence)), vec![NodeId::Broker(1)], 0);
    let (mut rng, mut storage, mut effects) = (Prng::new(1), MemoryStorage::default(), Effects::default());
    let mut inputs = vec![Input::Start];
    let mut sent = 0;
    let mut said = 0;
    loop {
        let input = inputs.pop().unwrap_or_else(|| {
            let record = ProducerRecord {
                id: RecordId { client: 0, number: sent },
                resend_of: None,
                topic: topic.clone(),
                partition: None,
                key: Some(key.clone()),
                value: Some(value.clone()),
                timestamp: None,
                headers: Vec::new(),
            };
            sent += 1;
            Input::Call(Call::Send(Box::new(record)))
        });
        if sent == RECORDS {
            return said;
        }
        let mut context = Context::new(Instant(sent * 1000), Timestamp(1), &mut rng, &mut storage, &mut effects);
        producer.handle(input, &mut context);
        said += effects.said.len() as u64;
        for (_, effect) in effects.said.drain(..) {
            match effect {
                Effect::Connect { connection, .. } => inputs.push(Input::Connected(connection)),
                Effect::Send { connection, correlation_id, request } => {
                    inputs.push(Input::Response { connection, correlation_id, response: answer(request) });
                }
                _ => {}
            }
        }
    }
}

fn producer(c: &mut Criterion) {
    let topic = TopicName(StrBytes::from_static_str("orders"));
    let (key, value) = (Bytes::from_static(b"k123"), Bytes::from(vec![b'v'; 96]));
    let mut group = c.benchmark_group("producer");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(10);
    group.bench_function("plain", |b| b.iter(|| run(false, &topic, &key, &value)));
    group.bench_function("idempotent", |b| b.iter(|| run(true, &topic, &key, &value)));
    group.finish();
}

criterion_group!(benches, producer);
criterion_main!(benches);

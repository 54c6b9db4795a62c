//! What judging costs per fact: a run of 100,000 records in which everything went well. And what a run costs in which a
//! group processed them and some went wrong, of a quarter of a million operations and of a whole one: the time must grow as they do.
//!
//! `cargo bench -p ackproof-reports`. The digest and the trace writer are measured over the same facts.

use std::hint::black_box;

use ackproof_core::fact::{Event, Fact, Observer, Payload};
use ackproof_core::types::{Instant, LeaderEpoch, NodeId, Offset, RecordId, TopicPartition};
use ackproof_reports::trace::{Header, TraceWriter};
use ackproof_reports::{Contract, Digest, Judge, Verdict};
use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const RECORDS: u64 = 100_000;

/// What happens to a record besides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    /// Nothing.
    Well,
    /// A group processes it and commits every hundredth; of a thousand records one is lost, one is written twice, one is never
    /// processed and one is processed twice.
    InAGroup,
}

/// Six partitions; every record is sent, batched, acknowledged, polled and surveyed.
fn facts(records: u64, course: Course) -> Vec<Event> {
    let partitions: Vec<TopicPartition> = (0..6).map(|number| TopicPartition::of("orders", number)).collect();
    let place = |number: u64| (partitions[(number % 6) as usize].clone(), Offset((number / 6) as i64));
    let payload = |number: u64| Some(Payload(Bytes::from(format!("order number {number:020}"))));
    let mut events = Vec::new();
    let mut say = |node: NodeId, fact: Fact| {
        let sequence = events.len() as u64 + 1;
        events.push(Event { sequence, time: Instant(sequence * 1_000), node, cause: sequence - 1, fact });
    };
    let (producer, consumer) = (NodeId::Client(1), NodeId::Client(2));
    for number in 0..records {
        let record = RecordId { client: 1, number };
        let (partition, offset) = place(number);
        let (topic, key, value) = ("orders".to_owned(), payload(number % 100), payload(number));
        say(producer, Fact::RecordSent { record, topic, key: key.clone(), value: value.clone(), resend_of: None });
        say(producer, Fact::RecordBatched { record, partition: partition.clone(), batch: number });
        say(producer, Fact::RecordAcknowledged { record, partition: partition.clone(), offset, acks: -1 });
        say(consumer, Fact::Polled { partition: partition.clone(), offset, key, value });
        if course == Course::InAGroup {
            let times = match number % 1_000 {
                300 => 0,
                400 => 2,
                _ => 1,
            };
            for _ in 0..times {
                say(consumer, Fact::Processed { group: Some("billing".into()), partition: partition.clone(), offset });
            }
            if number % 100 > 93 {
                let (group, offset) = ("billing".to_owned(), Offset(offset.0 + 1));
                say(NodeId::Broker(1), Fact::OffsetCommitted { group, partition, offset, generation: 1 });
            }
        }
    }
    let leader_epoch = LeaderEpoch(0);
    for partition in &partitions {
        say(
            consumer,
            Fact::ReplicaSurveyed {
                partition: partition.clone(),
                broker: 1,
                running: true,
                leader: true,
                in_isr: true,
                log_start: Offset(0),
                high_watermark: Offset(records as i64),
                log_end: Offset(records as i64),
                leader_epoch,
            },
        );
    }
    for number in 0..records {
        let (partition, offset) = place(number);
        // The place of one that is lost is taken by a second copy of another.
        let there = if course == Course::InAGroup && number % 1_000 == 200 { number - 100 } else { number };
        let (key, value) = (payload(there % 100), payload(there));
        say(consumer, Fact::RecordSurveyed { partition, broker: 1, offset, leader_epoch, key, value });
    }
    say(consumer, Fact::RunEnded { quiescent: true });
    events
}

fn judging(criterion: &mut Criterion) {
    let events = facts(RECORDS, Course::Well);
    let mut group = criterion.benchmark_group("facts");
    group.throughput(Throughput::Elements(events.len() as u64)).sample_size(10);
    group.bench_function("judge", |bencher| {
        bencher.iter_batched_ref(
            || Judge::new(Contract::default()),
            |judge| events.iter().for_each(|event| judge.observe(event)),
            BatchSize::PerIteration,
        );
    });
    let mut judge = Judge::new(Contract::default());
    events.iter().for_each(|event| judge.observe(event));
    group.bench_function("verdict", |bencher| {
        bencher.iter_batched(
            || judge.clone(),
            |judge| assert_eq!(judge.finish().verdict, Verdict::Valid),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("digest", |bencher| {
        bencher.iter(|| {
            let mut digest = Digest::new();
            events.iter().for_each(|event| digest.observe(event));
            black_box(digest.value())
        });
    });
    group.bench_function("trace", |bencher| {
        bencher.iter(|| {
            let header = Header::new("bench", 1, "cargo bench");
            let mut writer = TraceWriter::new(Vec::new(), &header).expect("memory can be written");
            events.iter().for_each(|event| writer.observe(event));
            writer.finish().map(|bytes| bytes.len()).expect("memory can be written")
        });
    });
    group.finish();
}

/// An operation is a `send()` with its answer, or a `poll()`.
fn operations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("operations");
    group.sample_size(10);
    for operations in [250_000, 1_000_000] {
        let events = facts(operations / 2, Course::InAGroup);
        group.throughput(Throughput::Elements(operations));
        group.bench_function(BenchmarkId::from_parameter(operations), |bencher| {
            bencher.iter(|| {
                let mut judge = Judge::new(Contract::default());
                events.iter().for_each(|event| judge.observe(event));
                let judgement = judge.finish();
                assert!(judgement.counts.lost > 0 && judgement.counts.lost_deliveries > 0, "some went wrong");
                judgement.counts.duplicate_deliveries
            });
        });
    }
    group.finish();
}

criterion_group!(benches, judging, operations);
criterion_main!(benches);

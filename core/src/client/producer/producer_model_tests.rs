//! A producer against a broker that loses, refuses and forgets at random.
//!
//! The broker is a log per partition that does what Kafka's does with sequences: it takes the next one, recognises the
//! last five batches, and refuses the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use proptest::prelude::*;

use super::*;
use crate::client::testing::producer_config;
use crate::client::testing_cluster::{Cluster, numbers_in};
use crate::record::RecordBatch;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send {
        partition: i32,
    },
    Wait {
        millis: u64,
    },
    /// The oldest request is carried out and answered.
    Answer,
    /// So many more requests are carried out, and the connection breaks before the answers.
    LoseAnswers(usize),
    /// The connection breaks before the oldest request arrives.
    LoseRequests,
    /// The oldest request is refused.
    Refuse(ErrorCode),
    /// The oldest request is carried out, and yet answered with an error.
    WriteAndRefuse(ErrorCode),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let refusals = prop::sample::select(vec![
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::MESSAGE_TOO_LARGE,
        ErrorCode::INVALID_RECORD,
    ]);
    let afterthoughts =
        prop::sample::select(vec![ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, ErrorCode::REQUEST_TIMED_OUT]);
    let step = prop_oneof![
        6 => (0..2_i32).prop_map(|partition| Step::Send { partition }),
        2 => (1..400_u64).prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Wait { millis: 15_000 }),
        4 => Just(Step::Answer),
        1 => (0..5_usize).prop_map(Step::LoseAnswers),
        1 => Just(Step::LoseRequests),
        1 => refusals.prop_map(Step::Refuse),
        1 => afterthoughts.prop_map(Step::WriteAndRefuse),
    ];
    prop::collection::vec(step, 1..120)
}

#[derive(Default)]
struct Broker {
    logs: BTreeMap<TopicPartition, Log>,
}

#[derive(Default)]
struct Log {
    records: Vec<u64>,
    /// The last batches of each producer id: epoch, first and last sequence, base offset.
    producers: BTreeMap<i64, Vec<(i16, i32, i32, i64)>>,
}

fn answer(error: ErrorCode, offset: i64) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_error_code(error.0)
        .with_base_offset(offset)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(0)
}

impl Broker {
    /// Whether it recognises the batch.
    fn has(&self, partition: &TopicPartition, batch: &RecordBatch) -> bool {
        let of_producer = self.logs.get(partition).and_then(|log| log.producers.get(&batch.producer_id()));
        let (epoch, first) = (batch.producer_epoch().0, batch.base_sequence().0);
        of_producer.is_some_and(|batches| batches.iter().any(|old| (old.0, old.1) == (epoch, first)))
    }

    fn write(&mut self, partition: &TopicPartition, batch: &RecordBatch) -> PartitionProduceResponse {
        let log = self.logs.entry(partition.clone()).or_default();
        let base_offset = log.records.len() as i64;
        if batch.producer_id() >= 0 {
            let (epoch, first, last) = (batch.producer_epoch().0, batch.base_sequence().0, batch.last_sequence().0);
            let known = log.producers.entry(batch.producer_id()).or_default();
            if let Some(same) = known.iter().find(|old| (old.0, old.1, old.2) == (epoch, first, last)) {
                return answer(ErrorCode::NONE, same.3);
            }
            let expected = match known.last() {
                Some((last_epoch, _, last_sequence, _)) if *last_epoch == epoch => last_sequence + 1,
                Some((last_epoch, ..)) if *last_epoch > epoch => return answer(ErrorCode::INVALID_PRODUCER_EPOCH, -1),
                Some(_) | None => 0,
            };
            if first < expected && known.last().is_some_and(|newest| newest.0 == epoch) {
                return answer(ErrorCode::DUPLICATE_SEQUENCE_NUMBER, -1);
            }
            if first != expected {
                return answer(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
            }
            known.push((epoch, first, last, base_offset));
            let surplus = known.len().saturating_sub(5);
            known.drain(..surplus);
        }
        log.records.extend(numbers_in(batch));
        answer(ErrorCode::NONE, base_offset)
    }
}

struct World {
    cluster: Cluster<Producer>,
    broker: Broker,
    sent: u64,
}

impl World {
    fn new(config: ProducerConfig) -> Self {
        let cluster = Cluster::new(Producer::new(Arc::new(config), vec![NodeId::Broker(1)], 0));
        Self { cluster, broker: Broker::default(), sent: 0 }
    }

    fn step(&mut self, step: Step) {
        let pending = self.cluster.produce.len();
        match step {
            Step::Send { partition } => {
                self.cluster.send("orders", Some(partition), self.sent..self.sent + 1);
                self.sent += 1;
            }
            Step::Wait { millis } => self.cluster.run_for(Duration::from_millis(millis)),
            _ if pending == 0 => {}
            Step::Answer => self.answer(),
            Step::LoseAnswers(more) => {
                for request in self.cluster.produce.iter().take(more + 1) {
                    for (partition, batch) in &request.batches {
                        self.broker.write(partition, batch);
                    }
                }
                self.cluster.disconnect_produce(0);
            }
            Step::LoseRequests => self.cluster.disconnect_produce(0),
            Step::Refuse(error) => {
                let broker = &mut self.broker;
                // What is wrong with a batch is found before it is written, not when it comes a second time.
                self.cluster.answer_produce_each(0, |partition, batch| match broker.has(partition, batch) {
                    true => broker.write(partition, batch),
                    false => answer(error, -1),
                });
            }
            Step::WriteAndRefuse(error) => {
                let broker = &mut self.broker;
                self.cluster.answer_produce_each(0, |partition, batch| {
                    let truth = broker.write(partition, batch);
                    if truth.error_code == 0 { answer(error, -1) } else { truth }
                });
            }
        }
    }

    fn answer(&mut self) {
        let broker = &mut self.broker;
        self.cluster.answer_produce_each(0, |partition, batch| broker.write(partition, batch));
    }

    /// Everything heals, and the application closes the producer.
    fn finish(&mut self) {
        for _ in 0..1000 {
            while !self.cluster.produce.is_empty() {
                self.answer();
            }
            if self.cluster.machine.accumulator.incomplete().count() == 0
                && self.cluster.machine.pending_sends.is_empty()
            {
                break;
            }
            self.cluster.run_for(Duration::from_millis(100));
        }
        self.cluster.call(Call::Close { timeout: Duration::from_secs(1) });
        self.cluster.run_for(Duration::from_secs(1));
        assert!(self.cluster.completed(&Completion::Closed));
    }

    /// Holds for every producer.
    fn check(&mut self) -> Vec<(u64, Result<i64, ErrorCode>)> {
        assert_eq!(self.cluster.machine.accumulator.memory_in_use(), 0, "memory leaked");
        let mut returned: Vec<u64> = self.cluster.returned().into_iter().map(|(record, _)| record).collect();
        returned.sort_unstable();
        assert_eq!(returned, (0..self.sent).collect::<Vec<_>>(), "every send() returns once");
        let accepted = self.cluster.returned().into_iter().filter(|(_, result)| result.is_ok()).count();
        let delivered = self.cluster.delivered();
        let mut heard: Vec<u64> = delivered.iter().map(|(record, _)| *record).collect();
        heard.sort_unstable();
        heard.dedup();
        assert_eq!((heard.len(), delivered.len()), (accepted, accepted), "every callback runs once");
        for fact in self.cluster.facts() {
            match fact {
                Fact::RecordAcknowledged { record, partition, offset, .. } if *offset >= crate::types::Offset(0) => {
                    let log = &self.broker.logs[partition].records;
                    assert_eq!(log.get(offset.0 as usize), Some(&record.number), "acknowledged where it is not");
                }
                Fact::RecordAcknowledged { record, partition, .. } => {
                    assert!(self.broker.logs[partition].records.contains(&record.number), "acknowledged, not written");
                }
                Fact::RecordFailed { record, definite: true, .. } => {
                    let written = self.broker.logs.values().any(|log| log.records.contains(&record.number));
                    assert!(!written, "record {} failed for certain, and is there", record.number);
                }
                _ => {}
            }
        }
        delivered
    }

    /// Holds for an idempotent producer: no record twice, and none before one that was sent earlier.
    fn check_idempotent(&self) {
        for (partition, log) in &self.broker.logs {
            let mut in_order = log.records.clone();
            in_order.sort_unstable();
            in_order.dedup();
            assert_eq!(log.records, in_order, "{partition} repeats or reorders");
        }
    }
}

fn config(minor: u16) -> ProducerConfig {
    ProducerConfig {
        batch_size: 300,
        buffer_memory: 4000,
        max_block_ms: Duration::from_secs(3),
        delivery_timeout_ms: Duration::from_secs(60),
        ..producer_config(KafkaVersion::new(if minor == 2 { 2 } else { 3 }, minor))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn every_record_has_one_fate_and_memory_comes_back(
        steps in steps(),
        // Kafka 2.2 with idempotence reuses sequences when a batch is given up: the test below.
        (minor, idempotence) in prop::sample::select(vec![(2_u16, false), (9, false), (9, true)]),
        in_flight in prop::sample::select(vec![1_usize, 5]),
        linger in prop::sample::select(vec![0_u64, 20]),
    ) {
        let mut world = World::new(ProducerConfig {
            enable_idempotence: idempotence,
            max_in_flight_requests_per_connection: in_flight,
            linger_ms: Duration::from_millis(linger),
            ..config(minor)
        });
        for step in steps {
            world.step(step);
        }
        world.finish();
        world.check();
    }

    /// As long as no batch is given up. Giving one up starts new sequences, and with them the order is anybody's guess.
    #[test]
    fn an_idempotent_producer_neither_repeats_nor_reorders(
        steps in steps(),
        minor in prop::sample::select(vec![2_u16, 9]),
    ) {
        let mut world = World::new(ProducerConfig {
            enable_idempotence: true,
            delivery_timeout_ms: Duration::FOREVER,
            ..config(minor)
        });
        for step in steps {
            let step = match step {
                Step::Refuse(ErrorCode::INVALID_RECORD | ErrorCode::MESSAGE_TOO_LARGE) => {
                    Step::Refuse(ErrorCode::NOT_ENOUGH_REPLICAS)
                },
                other => other,
            };
            world.step(step);
        }
        world.finish();
        let delivered = world.check();
        prop_assert!(delivered.iter().all(|(_, result)| result.is_ok()), "{delivered:?}");
        world.check_idempotent();
    }
}

/// The client of 2.2: the answer to a batch that has expired in flight lowers the sequences of those behind it, although the
/// broker may have taken it. The next batch then passes for the one before, and is acknowledged without being written.
#[test]
fn in_2_2_an_expired_batch_can_take_the_next_one_along() {
    let mut world = World::new(ProducerConfig {
        enable_idempotence: true,
        batch_size: 0,
        request_timeout_ms: Duration::from_secs(30),
        delivery_timeout_ms: Duration::from_secs(10),
        ..config(2)
    });
    for step in [
        Step::Send { partition: 0 },
        Step::Wait { millis: 5000 },
        Step::Send { partition: 0 },
        Step::Wait { millis: 5000 },
        Step::LoseAnswers(0),
    ] {
        world.step(step);
    }
    world.finish();
    let heard = world.cluster.delivered();
    assert_eq!(heard, [(0, Err(ErrorCode::CLIENT_DELIVERY_TIMEOUT)), (1, Ok(0))]);
    assert_eq!(world.broker.logs[&TopicPartition::of("orders", 0)].records, [0], "record 1 was acknowledged");
}

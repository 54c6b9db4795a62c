//! One producer, a broker played by the test: given calls and answers, which requests, callbacks and facts.

use super::*;
use crate::client::ProducerRecord;
use crate::client::testing::producer_config;
use crate::client::testing_cluster::Cluster;
use crate::fact::RetryReason;
use crate::record::RecordBatch;
use crate::types::{Offset, Sequence};

fn config(major: u16, minor: u16) -> ProducerConfig {
    producer_config(KafkaVersion::new(major, minor))
}

fn cluster(config: ProducerConfig) -> Cluster<Producer> {
    Cluster::new(Producer::new(Arc::new(config), vec![NodeId::Broker(1)], 0))
}

/// Like [`config`], with idempotence.
fn idempotent(major: u16, minor: u16) -> ProducerConfig {
    ProducerConfig { enable_idempotence: true, ..config(major, minor) }
}

fn sequences(cluster: &Cluster<Producer>) -> Vec<(i64, i16, i32)> {
    let state = |batch: &RecordBatch| (batch.producer_id(), batch.producer_epoch().0, batch.base_sequence().0);
    cluster.produce.iter().flat_map(|request| &request.batches).map(|(_, batch)| state(batch)).collect()
}

#[test]
fn a_record_is_sent_acknowledged_and_its_memory_given_back() {
    let mut cluster = cluster(config(2, 2));
    cluster.send("orders", Some(0), 0..1);
    assert_eq!(cluster.returned(), [(0, Ok(()))]);
    assert_eq!(cluster.produce.len(), 1);
    assert_eq!(cluster.machine.accumulator.memory_in_use(), 16_384);
    cluster.answer_produce(0, ErrorCode::NONE, 42);
    assert_eq!(cluster.delivered(), [(0, Ok(42))]);
    assert_eq!(cluster.machine.accumulator.memory_in_use(), 0);
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::RecordAcknowledged { offset: Offset(42), acks: -1, .. })), 1);
}

#[test]
fn send_waits_for_metadata_and_gives_up_after_max_block() {
    let mut cluster = cluster(config(2, 2));
    cluster.unknown_topics.push("nowhere".to_owned());
    cluster.send("nowhere", None, 0..1);
    assert_eq!(cluster.returned(), []);
    cluster.run_for(Duration::from_millis(59_999));
    assert_eq!(cluster.returned(), []);
    cluster.run_for(Duration::from_millis(1));
    assert_eq!(cluster.returned(), [(0, Err(ErrorCode::CLIENT_METADATA_TIMEOUT))]);
    assert!(cluster.metadata_requests > 500, "it asked again after every backoff: {}", cluster.metadata_requests);
}

#[test]
fn send_waits_for_memory_and_is_served_in_order() {
    let mut cluster = cluster(ProducerConfig {
        buffer_memory: 250,
        batch_size: 100,
        max_in_flight_requests_per_connection: 1,
        max_block_ms: Duration::from_secs(5),
        ..config(2, 2)
    });
    cluster.send("orders", Some(0), 0..4);
    let returned: Vec<u64> = cluster.returned().into_iter().map(|(record, _)| record).collect();
    assert_eq!(returned, [0, 1]);
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    assert_eq!(cluster.returned().last(), Some(&(2, Ok(()))));
    cluster.run_for(Duration::from_secs(5));
    assert_eq!(cluster.returned().last(), Some(&(3, Err(ErrorCode::CLIENT_BUFFER_EXHAUSTED))));
    cluster.answer_produce(0, ErrorCode::NONE, 1);
    cluster.answer_produce(0, ErrorCode::NONE, 2);
    assert_eq!(cluster.machine.accumulator.memory_in_use(), 0);
}

#[test]
fn linger_gathers_records_and_a_full_batch_does_not_linger() {
    let mut cluster = cluster(ProducerConfig {
        linger_ms: Duration::from_millis(5),
        batch_size: 200,
        max_in_flight_requests_per_connection: 20,
        ..config(2, 2)
    });
    cluster.send("orders", Some(0), 0..2);
    assert!(cluster.produce.is_empty());
    cluster.run_for(Duration::from_millis(5));
    assert_eq!(cluster.produce_records(), [vec![0, 1]]);
    cluster.send("orders", Some(0), 2..20);
    assert!(cluster.produce.len() >= 3, "full batches go out at once");
    cluster.run_for(Duration::from_millis(5));
    let sent: Vec<u64> = cluster.produce_records().concat();
    assert_eq!(sent, (0..20).collect::<Vec<_>>());
}

#[test]
fn a_record_larger_than_the_batch_size_goes_alone_and_one_larger_than_a_request_comes_back() {
    let mut cluster = cluster(ProducerConfig { batch_size: 0, max_request_size: 150, ..config(2, 2) });
    cluster.send("orders", Some(0), 0..2);
    assert_eq!(cluster.produce_records(), [vec![0], vec![1]]);
    cluster.send_value("orders", Some(0), 2, &[0; 100]);
    assert_eq!(cluster.returned()[2..], [(2, Err(ErrorCode::CLIENT_RECORD_TOO_LARGE))]);
}

#[test]
fn at_acks_0_written_to_the_socket_is_delivered() {
    let mut cluster = cluster(ProducerConfig { acks: 0, ..config(2, 2) });
    cluster.send("orders", Some(0), 0..2);
    assert_eq!(cluster.delivered(), [(0, Ok(-1)), (1, Ok(-1))]);
    let asked = cluster.metadata_requests;
    cluster.disconnect(1);
    cluster.run_for(Duration::from_secs(1));
    assert!(cluster.metadata_requests > asked, "a disconnection is all it ever hears");
    assert_eq!(cluster.delivered(), []);
}

#[test]
fn a_refused_batch_is_retried_after_the_backoff_and_the_metadata_asked_for() {
    let mut cluster = cluster(config(2, 2));
    cluster.send("orders", Some(0), 0..1);
    cluster.run_for(Duration::from_secs(1));
    let asked = cluster.metadata_requests;
    cluster.answer_produce(0, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1);
    assert!(cluster.produce.is_empty());
    assert_eq!(cluster.metadata_requests, asked + 1);
    cluster.run_for(Duration::from_millis(99));
    assert!(cluster.produce.is_empty());
    cluster.run_for(Duration::from_millis(1));
    assert_eq!(cluster.produce_records(), [vec![0]]);
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::BatchRetried { reason: RetryReason::Error(_), .. })), 1);
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::BatchSent { attempt: 2, .. })), 1);
}

#[test]
fn since_3_7_a_leader_hint_is_followed_without_backoff() {
    let mut cluster = cluster(config(3, 9));
    cluster.send("orders", Some(0), 0..1);
    assert_eq!(cluster.produce[0].node, 1);
    cluster.answer_produce_with_hint(0, 2, 5);
    assert_eq!(cluster.produce.iter().map(|request| request.node).collect::<Vec<_>>(), [2]);
}

#[test]
fn without_idempotence_batches_in_flight_together_can_change_places() {
    let mut cluster = cluster(ProducerConfig { batch_size: 0, ..config(2, 2) });
    cluster.send("orders", Some(0), 0..2);
    cluster.disconnect(1);
    cluster.run_for(Duration::from_millis(300));
    assert_eq!(cluster.produce_records(), [vec![1], vec![0]]);
}

#[test]
fn with_one_request_in_flight_nothing_is_overtaken() {
    let mut cluster =
        cluster(ProducerConfig { batch_size: 0, max_in_flight_requests_per_connection: 1, ..config(2, 2) });
    cluster.send("orders", Some(0), 0..3);
    assert_eq!(cluster.produce_records(), [vec![0]]);
    cluster.disconnect(1);
    cluster.run_for(Duration::from_millis(300));
    assert_eq!(cluster.produce_records(), [vec![0]]);
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    assert_eq!(cluster.produce_records(), [vec![1]]);
}

#[test]
fn a_batch_expires_unsent_in_its_queue_and_unknown_in_flight() {
    let mut cluster = cluster(ProducerConfig { delivery_timeout_ms: Duration::from_secs(20), ..config(2, 2) });
    cluster.send("orders", Some(0), 0..1);
    assert_eq!(cluster.produce.len(), 1);
    cluster.run_for(Duration::from_secs(10));
    cluster.leaderless.push(("orders".to_owned(), 1));
    cluster.run_for(Duration::from_secs(300));
    assert_eq!(cluster.delivered(), [(0, Err(ErrorCode::CLIENT_DELIVERY_TIMEOUT))]);
    cluster.send("orders", Some(1), 1..2);
    cluster.run_for(Duration::from_secs(20));
    assert_eq!(cluster.delivered(), [(1, Err(ErrorCode::CLIENT_EXPIRED_UNSENT))]);
    let definite =
        |expected| cluster.count(|fact| matches!(fact, Fact::RecordFailed { definite, .. } if *definite == expected));
    assert_eq!((definite(true), definite(false)), (1, 1));
    assert_eq!(cluster.machine.accumulator.memory_in_use(), 0);
}

#[test]
fn a_late_definite_error_does_not_make_an_earlier_attempt_undone() {
    let mut cluster = cluster(ProducerConfig { retries: 1, ..config(2, 2) });
    cluster.send("orders", Some(0), 0..1);
    cluster.disconnect(1);
    cluster.run_for(Duration::from_millis(300));
    cluster.answer_produce(0, ErrorCode::NOT_ENOUGH_REPLICAS, -1);
    assert_eq!(cluster.delivered(), [(0, Err(ErrorCode::NOT_ENOUGH_REPLICAS))]);
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::RecordFailed { definite: false, .. })), 1);
}

#[test]
fn a_request_timeout_disconnects_and_is_called_what_the_version_calls_it() {
    for (minor, major, error) in [(2, 2, ErrorCode::NETWORK_EXCEPTION), (9, 3, ErrorCode::REQUEST_TIMED_OUT)] {
        let mut cluster = cluster(ProducerConfig { retries: 0, ..config(major, minor) });
        cluster.send("orders", Some(0), 0..1);
        cluster.run_for(Duration::from_secs(30));
        assert_eq!(cluster.delivered(), [(0, Err(error))]);
    }
}

#[test]
fn a_batch_that_is_too_large_is_split_and_arrives_in_order() {
    let mut cluster =
        cluster(ProducerConfig { batch_size: 400, linger_ms: Duration::from_millis(5), ..idempotent(2, 2) });
    cluster.send("orders", Some(0), 0..10);
    cluster.run_for(Duration::from_millis(5));
    let records = cluster.produce_records().concat().len();
    let count = cluster.produce_records()[0].len();
    assert!(count > 2 && records == 10, "{:?}", cluster.produce_records());
    // The application has configured a smaller batch meanwhile, so to speak.
    cluster.machine.accumulator.set_batch_size(170);
    cluster.answer_produce(0, ErrorCode::MESSAGE_TOO_LARGE, -1);
    while !cluster.produce.is_empty() {
        cluster.answer_produce_in_sequence();
    }
    let delivered = cluster.delivered();
    assert_eq!(delivered.len(), 10);
    assert!(delivered.iter().all(|(_, result)| result.is_ok()));
    assert_eq!(cluster.machine.accumulator.memory_in_use(), 0);
}

#[test]
fn an_idempotent_producer_asks_for_its_id_and_numbers_its_records() {
    let mut cluster = cluster(ProducerConfig { batch_size: 0, ..idempotent(3, 9) });
    cluster.send("orders", Some(0), 0..2);
    cluster.send("orders", Some(1), 2..3);
    assert_eq!(sequences(&cluster), [(7, 0, 0), (7, 0, 1), (7, 0, 0)]);
}

#[test]
fn idempotent_batches_are_retried_in_the_order_of_their_sequences() {
    let mut cluster = cluster(ProducerConfig { batch_size: 0, ..idempotent(3, 9) });
    cluster.send("orders", Some(0), 0..3);
    cluster.answer_produce(0, ErrorCode::REQUEST_TIMED_OUT, -1);
    cluster.answer_produce(0, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    cluster.answer_produce(0, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    cluster.run_for(Duration::from_millis(100));
    assert_eq!(cluster.produce_records(), [vec![0]], "one at a time");
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    assert_eq!(cluster.produce_records(), [vec![1]]);
    cluster.answer_produce(0, ErrorCode::DUPLICATE_SEQUENCE_NUMBER, -1);
    cluster.answer_produce(0, ErrorCode::NONE, 2);
    assert_eq!(cluster.delivered(), [(0, Ok(0)), (1, Ok(-1)), (2, Ok(2))]);
}

#[test]
fn since_2_5_a_batch_given_up_raises_the_epoch_and_before_it_costs_the_producer_id() {
    for (major, minor, expected) in [(2, 5, (7, 1, 0)), (2, 2, (8, 0, 0))] {
        let mut cluster =
            cluster(ProducerConfig { delivery_timeout_ms: Duration::from_secs(40), ..idempotent(major, minor) });
        cluster.send("orders", Some(0), 0..1);
        // The first attempt times out after 30 s, the second is in flight when the batch expires.
        cluster.run_for(Duration::from_secs(41));
        assert_eq!(cluster.delivered(), [(0, Err(ErrorCode::CLIENT_DELIVERY_TIMEOUT))]);
        cluster.send("orders", Some(0), 1..2);
        cluster.run_for(Duration::from_secs(1));
        assert_eq!(sequences(&cluster).last(), Some(&expected), "{major}.{minor}");
    }
}

#[test]
fn a_forgotten_producer_starts_anew() {
    let mut cluster = cluster(idempotent(3, 9));
    cluster.send("orders", Some(0), 0..1);
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    cluster.send("orders", Some(0), 1..2);
    assert_eq!(sequences(&cluster), [(7, 0, 1)]);
    cluster.answer_produce_from(0, ErrorCode::UNKNOWN_PRODUCER_ID, -1, 0);
    cluster.run_for(Duration::from_millis(100));
    assert_eq!(sequences(&cluster), [(7, 1, 0)]);
}

#[test]
fn close_waits_for_what_is_pending_and_flush_for_what_was_there() {
    let mut cluster = cluster(ProducerConfig { linger_ms: Duration::from_secs(100), ..config(2, 2) });
    cluster.send("orders", Some(0), 0..1);
    assert!(cluster.produce.is_empty());
    cluster.call(Call::Flush);
    assert_eq!(cluster.produce.len(), 1);
    assert!(!cluster.completed(&Completion::Flushed));
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    assert!(cluster.completed(&Completion::Flushed));
    cluster.send("orders", Some(0), 1..2);
    cluster.call(Call::Close { timeout: Duration::from_secs(10) });
    assert!(!cluster.completed(&Completion::Closed));
    cluster.answer_produce(0, ErrorCode::NONE, 1);
    assert!(cluster.completed(&Completion::Closed));
    assert_eq!(cluster.delivered(), [(0, Ok(0)), (1, Ok(1))]);
    cluster.send("orders", Some(0), 2..3);
    assert_eq!(cluster.returned().last(), Some(&(2, Err(ErrorCode::CLIENT_CLOSED))));
    assert_eq!(cluster.machine.next_deadline(), None);
}

#[test]
fn close_gives_up_after_its_timeout() {
    let mut cluster = cluster(config(2, 2));
    cluster.send("orders", Some(0), 0..1);
    cluster.call(Call::Close { timeout: Duration::from_secs(10) });
    cluster.run_for(Duration::from_secs(10));
    assert_eq!(cluster.delivered(), [(0, Err(ErrorCode::CLIENT_CLOSED))]);
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::RecordFailed { definite: false, .. })), 1, "it was in flight");
    assert!(cluster.completed(&Completion::Closed));
}

#[test]
fn a_killed_process_abandons_what_it_holds() {
    let mut cluster = cluster(ProducerConfig { linger_ms: Duration::from_secs(1), batch_size: 80, ..config(2, 2) });
    cluster.send("orders", Some(0), 0..2);
    let abandoned = cluster.machine.abandoned();
    let brief: Vec<(u64, bool)> = abandoned.iter().map(|held| (held.record.number, held.unsent)).collect();
    assert_eq!(brief, [(0, false), (1, true)]);
}

#[test]
fn nothing_is_heard_of_sequences_without_idempotence() {
    let mut cluster = cluster(config(3, 9));
    cluster.send("orders", Some(0), 0..1);
    assert_eq!(sequences(&cluster), [(-1, -1, Sequence::NONE.0)]);
}

/// What the constructor of `ProducerRecord` does not let pass.
#[test]
fn a_record_of_no_partition_or_no_time_comes_back() {
    let record = |number, partition, timestamp| ProducerRecord {
        id: RecordId { client: 0, number },
        resend_of: None,
        topic: crate::types::TopicName(crate::types::StrBytes::from_static_str("orders")),
        partition: Some(partition),
        key: None,
        value: None,
        timestamp: Some(crate::types::Timestamp(timestamp)),
        headers: Vec::new(),
    };
    let mut cluster = cluster(config(2, 2));
    for record in [record(0, -1, 0), record(1, 0, -1), record(2, 0, 0)] {
        cluster.call(Call::Send(Box::new(record)));
    }
    let refused = [ErrorCode::INVALID_PARTITIONS, ErrorCode::INVALID_TIMESTAMP];
    assert_eq!(cluster.returned(), [(0, Err(refused[0])), (1, Err(refused[1])), (2, Ok(()))]);
}

/// A partition that the topic does not have is waited for: it may be news.
#[test]
fn a_partition_that_is_not_there_is_waited_for() {
    let mut cluster = cluster(config(2, 2));
    cluster.send("orders", Some(0), 0..1);
    cluster.send("orders", Some(1000), 1..2);
    assert_eq!(cluster.returned(), [(0, Ok(()))]);
    cluster.run_for(Duration::from_secs(60));
    assert_eq!(cluster.returned().last(), Some(&(1, Err(ErrorCode::CLIENT_METADATA_TIMEOUT))));
}

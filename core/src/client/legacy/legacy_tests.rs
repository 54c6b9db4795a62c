//! The producer of 0.8 against brokers played by the test.

use super::*;
use crate::client::testing_cluster::Cluster;
use crate::types::Duration;

fn config(producer_type: LegacyProducerType) -> LegacyProducerConfig {
    LegacyProducerConfig {
        client_id: "p1".to_owned(),
        producer_type,
        request_required_acks: 1,
        request_timeout_ms: Duration::from_secs(10),
        message_send_max_retries: 3,
        retry_backoff_ms: Duration::from_millis(100),
        queue_buffering_max_ms: Duration::from_secs(5),
        queue_buffering_max_messages: 10_000,
        queue_enqueue_timeout_ms: None,
        batch_num_messages: 200,
        topic_metadata_refresh_interval_ms: Duration::from_secs(600),
    }
}

fn cluster(config: LegacyProducerConfig) -> Cluster<LegacyProducer> {
    Cluster::new(LegacyProducer::new(Arc::new(config), vec![NodeId::Broker(1)], 0))
}

#[test]
fn in_sync_mode_send_returns_with_the_answer() {
    let mut cluster = cluster(config(LegacyProducerType::Sync));
    cluster.send("orders", Some(0), 0..2);
    assert_eq!(cluster.returned(), []);
    assert_eq!(cluster.produce_records(), [vec![0]], "the second waits for the first");
    cluster.answer_produce(0, ErrorCode::NONE, 42);
    assert_eq!(cluster.returned(), [(0, Ok(()))]);
    assert_eq!(cluster.delivered(), [(0, Ok(42))]);
    assert_eq!(cluster.produce_records(), [vec![1]]);
}

#[test]
fn it_retries_three_times_with_backoff_and_new_metadata_and_then_throws() {
    let mut cluster = cluster(config(LegacyProducerType::Sync));
    cluster.send("orders", Some(0), 0..1);
    for attempt in 1..=4 {
        assert_eq!(cluster.produce.len(), 1, "attempt {attempt}");
        assert_eq!(cluster.metadata_requests, attempt);
        cluster.answer_produce(0, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1);
        assert!(cluster.produce.is_empty());
        cluster.run_for(Duration::from_millis(100));
    }
    assert_eq!(cluster.returned(), [(0, Err(ErrorCode::CLIENT_FAILED_TO_SEND))]);
    assert!(cluster.produce.is_empty());
}

#[test]
fn an_answer_that_does_not_come_in_ten_seconds_is_a_retry_of_something_that_may_be_written() {
    let mut cluster = cluster(config(LegacyProducerType::Sync));
    cluster.send("orders", Some(0), 0..1);
    cluster.run_for(Duration::from_millis(10_100));
    assert_eq!(cluster.produce_records(), [vec![0]]);
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::BatchSent { attempt: 2, .. })), 1);
    cluster.run_for(Duration::from_secs(60));
    assert_eq!(cluster.returned(), [(0, Err(ErrorCode::CLIENT_FAILED_TO_SEND))]);
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::RecordFailed { definite: false, .. })), 1);
}

#[test]
fn what_no_broker_was_there_for_certainly_failed() {
    let mut cluster = cluster(config(LegacyProducerType::Sync));
    cluster.refuses_connections = true;
    cluster.send("orders", Some(0), 0..1);
    cluster.run_for(Duration::from_millis(400));
    assert_eq!(cluster.returned(), [(0, Err(ErrorCode::CLIENT_FAILED_TO_SEND))]);
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::RecordFailed { definite: true, .. })), 1);
}

#[test]
fn in_async_mode_send_returns_at_once_and_nothing_more_is_heard() {
    let mut cluster = cluster(LegacyProducerConfig { batch_num_messages: 3, ..config(LegacyProducerType::Async) });
    cluster.send("orders", Some(0), 0..4);
    assert_eq!(cluster.returned().len(), 4);
    assert_eq!(cluster.produce_records(), [vec![0, 1, 2]], "a full batch");
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    assert!(cluster.produce.is_empty());
    cluster.run_for(Duration::from_secs(5));
    assert_eq!(cluster.produce_records(), [vec![3]], "the time is over");
    cluster.answer_produce(0, ErrorCode::NONE, 3);
    assert_eq!(cluster.delivered(), []);
    assert_eq!(cluster.machine.abandoned(), []);
}

#[test]
fn a_batch_that_cannot_be_sent_is_dropped_with_a_line_in_the_log() {
    let mut cluster = cluster(LegacyProducerConfig {
        batch_num_messages: 2,
        message_send_max_retries: 0,
        ..config(LegacyProducerType::Async)
    });
    cluster.send("orders", Some(0), 0..2);
    cluster.answer_produce(0, ErrorCode::NOT_ENOUGH_REPLICAS, -1);
    cluster.run_for(Duration::from_millis(100));
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::ClientWarned { .. })), 1);
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::RecordAbandoned { unsent: false, .. })), 2);
    assert_eq!(cluster.delivered(), []);
}

#[test]
fn a_full_queue_drops_waits_or_blocks() {
    // While one batch of one is in flight, two fit into the queue.
    let with = |queue_enqueue_timeout_ms| {
        let mut cluster = cluster(LegacyProducerConfig {
            batch_num_messages: 1,
            queue_buffering_max_messages: 2,
            queue_enqueue_timeout_ms,
            ..config(LegacyProducerType::Async)
        });
        cluster.send("orders", Some(0), 0..4);
        cluster
    };
    let refused = Some((3, Err(ErrorCode::CLIENT_QUEUE_FULL)));

    let drops = with(Some(Duration::ZERO));
    assert_eq!(drops.returned().last().copied(), refused);

    let mut waits = with(Some(Duration::from_millis(50)));
    assert_eq!(waits.returned().len(), 3);
    waits.run_for(Duration::from_millis(50));
    assert_eq!(waits.returned().last().copied(), refused);

    let mut blocks = with(None);
    blocks.run_for(Duration::from_secs(9));
    assert_eq!(blocks.returned().len(), 3);
    blocks.answer_produce(0, ErrorCode::NONE, 0);
    assert_eq!(blocks.returned().last(), Some(&(3, Ok(()))));
}

#[test]
fn a_crash_loses_the_queue_and_the_batch_in_the_hands_of_the_send_thread() {
    let mut cluster = cluster(LegacyProducerConfig {
        batch_num_messages: 10,
        queue_buffering_max_messages: 50,
        ..config(LegacyProducerType::Async)
    });
    cluster.send("orders", Some(0), 0..100);
    assert_eq!(cluster.returned().len(), 60);
    let abandoned = cluster.machine.abandoned();
    assert_eq!(abandoned.len(), 100);
    assert_eq!(abandoned.iter().filter(|held| !held.unsent).count(), 10);
}

#[test]
fn close_empties_the_queue() {
    let mut cluster = cluster(config(LegacyProducerType::Async));
    cluster.send("orders", Some(0), 0..3);
    cluster.call(Call::Close { timeout: Duration::ZERO });
    assert!(!cluster.completed(&Completion::Closed));
    assert_eq!(cluster.produce_records(), [vec![0, 1, 2]]);
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    assert!(cluster.completed(&Completion::Closed));
    assert_eq!(cluster.machine.next_deadline(), None);
}

#[test]
fn records_without_key_stick_to_one_partition() {
    let mut cluster = cluster(LegacyProducerConfig { batch_num_messages: 20, ..config(LegacyProducerType::Async) });
    cluster.send("orders", None, 0..40);
    let first = cluster.produce[0].batches[0].0.clone();
    assert_eq!(cluster.produce[0].batches.len(), 1);
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    assert_eq!(cluster.produce[0].batches.len(), 1);
    assert_eq!(cluster.produce[0].batches[0].0, first);
}

#[test]
fn at_acks_0_nothing_is_awaited() {
    let mut cluster = cluster(LegacyProducerConfig { request_required_acks: 0, ..config(LegacyProducerType::Sync) });
    cluster.send("orders", Some(0), 0..2);
    assert_eq!(cluster.delivered(), [(0, Ok(-1)), (1, Ok(-1))]);
}

//! How brokers read the metadata log.

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ProduceRequest};

use super::*;
use crate::metadata::{CLUSTER_METADATA_TOPIC, CLUSTER_METADATA_TOPIC_ID, MetadataDelta, MetadataImage, decode};

fn fetch(from: i64) -> FetchRequest {
    let partition = FetchPartition::default().with_fetch_offset(from).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(name(CLUSTER_METADATA_TOPIC))
        .with_topic_id(CLUSTER_METADATA_TOPIC_ID)
        .with_partitions(vec![partition]);
    FetchRequest::default().with_max_wait_ms(500).with_min_bytes(1).with_max_bytes(1 << 20).with_topics(vec![topic])
}

fn fetched(outcome: Outcome) -> Vec<(u64, i32, FetchResponse)> {
    let fetches = outcome.replies.into_iter().filter_map(|(connection, correlation_id, response)| match response {
        Response::Fetch(response) => Some((connection.0, correlation_id, *response)),
        _ => None,
    });
    fetches.collect()
}

fn bytes(response: &FetchResponse) -> Bytes {
    response.responses[0].partitions[0].records.clone().unwrap_or_default()
}

fn error_of(response: &FetchResponse) -> ErrorCode {
    error(response.responses[0].partitions[0].error_code)
}

#[test]
fn a_broker_that_reads_the_log_sees_what_the_controller_sees() {
    let mut rig = Rig::with_brokers(3);
    rig.create_orders(&[1, 2, 3]);
    rig.lose(&[1]);
    let mut image = MetadataImage::default();
    let mut delta = MetadataDelta::default();
    // One batch at a time: a broker that takes little bites gets there as well.
    while image != *rig.controller.image() {
        let request = fetch(image.last_applied.0 + 1).with_max_bytes(1);
        let answers = fetched(rig.request(1, 1, request));
        let (_, _, response) = &answers[0];
        let batches = decode(bytes(response)).expect("the log is sound");
        assert_eq!(batches.len(), 1);
        image.replay_batch(&batches[0], &mut delta).expect("the log makes sense");
        let high_watermark = response.responses[0].partitions[0].high_watermark;
        assert_eq!(high_watermark, rig.controller.image().last_applied.0 + 1);
    }
    assert_eq!(delta.partitions.len(), 1);
}

#[test]
fn a_fetch_at_the_end_waits_for_the_next_decision() {
    let mut rig = Rig::with_brokers(1);
    let end = rig.controller.image().last_applied.0 + 1;
    assert!(rig.request(1, 77, fetch(end)).replies.is_empty());
    let outcome = rig.request(2, 1, BrokerRegistrationRequest::default().with_broker_id(BrokerId(2)));
    let kinds: Vec<_> = outcome.replies.iter().map(|(to, id, response)| (to.0, *id, response.name())).collect();
    assert_eq!(kinds, [(2, 1, "BrokerRegistration"), (1, 77, "Fetch")]);
    let answers = fetched(outcome);
    assert_eq!(decode(bytes(&answers[0].2)).map(|batches| batches[0].base_offset.0), Ok(end));
}

#[test]
fn a_fetch_is_answered_empty_when_its_patience_ends() {
    let mut rig = Rig::new();
    assert!(rig.request(1, 77, fetch(0)).replies.is_empty());
    assert_eq!(rig.controller.next_deadline(), Some(rig.now + Duration::from_millis(500)));
    rig.now += Duration::from_millis(500);
    let answers = fetched(rig.handle(Input::Deadline));
    assert_eq!((answers[0].0, answers[0].1, bytes(&answers[0].2).len()), (1, 77, 0));
    assert_eq!(error_of(&answers[0].2), ErrorCode::NONE);
    assert_eq!(rig.controller.next_deadline(), None);
}

#[test]
fn what_follows_a_waiting_fetch_on_its_connection_waits_too() {
    let mut rig = Rig::new();
    rig.request(1, 1, fetch(0));
    let register = |broker| BrokerRegistrationRequest::default().with_broker_id(BrokerId(broker));
    assert!(rig.request(1, 2, register(1)).replies.is_empty());
    assert!(rig.request(1, 3, fetch(0)).replies.is_empty());
    assert!(rig.controller.image().brokers.is_empty());
    let outcome = rig.request(2, 9, register(2));
    let order: Vec<_> = outcome.replies.iter().map(|(connection, id, _)| (connection.0, *id)).collect();
    assert_eq!(order, [(2, 9), (1, 1), (1, 2), (1, 3)]);
    assert_eq!(rig.controller.image().brokers.len(), 2);
}

#[test]
fn nobody_answers_a_connection_that_is_gone() {
    let mut rig = Rig::new();
    rig.request(1, 1, fetch(0));
    rig.handle(Input::Disconnected(ConnectionId(1)));
    assert_eq!(rig.controller.next_deadline(), None);
    rig.register(1, 1);
}

#[test]
fn a_fetch_from_beyond_the_end_is_told_so() {
    let mut rig = Rig::with_brokers(1);
    let answers = fetched(rig.request(1, 1, fetch(50)));
    assert_eq!(error_of(&answers[0].2), ErrorCode::OFFSET_OUT_OF_RANGE);
    let mut diverged = fetch(50);
    diverged.topics[0].partitions[0].last_fetched_epoch = 1;
    let answers = fetched(rig.request(1, 2, diverged));
    let diverging = &answers[0].2.responses[0].partitions[0].diverging_epoch;
    assert_eq!((diverging.epoch, diverging.end_offset), (1, 2));
}

#[test]
fn nothing_but_the_metadata_log_is_fetched_here() {
    let mut rig = Rig::with_brokers(1);
    let mut request = fetch(0);
    request.topics[0].topic = name("orders");
    request.topics[0].topic_id = Uuid::nil();
    let answers = fetched(rig.request(1, 1, request));
    assert_eq!(error_of(&answers[0].2), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn a_request_for_brokers_closes_the_connection() {
    let mut rig = Rig::new();
    let outcome = rig.request(4, 1, ProduceRequest::default());
    assert_eq!((outcome.closed, outcome.replies.len()), (vec![ConnectionId(4)], 0));
}

//! One controller and three brokers, whose messages are delivered by hand: one millisecond each, in order, never lost.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, FetchResponse, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
    MetadataResponse, ProduceRequest,
};

use super::super::test_cluster::Cluster;
use super::*;
use crate::protocol::ErrorCode;
use crate::record::{BatchBuilder, Compression};
use crate::types::{StrBytes, Timestamp, TopicPartition};

fn orders() -> TopicName {
    TopicName(StrBytes::from_static_str("orders"))
}

fn batch_of(value: &str) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None, 16_384);
    builder.append(Timestamp(1_000), None, Some(value.as_bytes()), &[]);
    builder.build().expect("an uncompressed batch")
}

fn produce(topic: TopicName, acks: i16, value: &str) -> Request {
    let data = PartitionProduceData::default().with_index(0).with_records(Some(batch_of(value)));
    let topic = TopicProduceData::default().with_name(topic).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(5_000).with_topic_data(vec![topic]).into()
}

fn fetch(offset: i64, max_wait_ms: i32) -> Request {
    let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(orders()).with_partitions(vec![partition]);
    FetchRequest::default().with_max_wait_ms(max_wait_ms).with_min_bytes(1).with_topics(vec![topic]).into()
}

fn metadata_of(topic: TopicName) -> Request {
    let topic = MetadataRequestTopic::default().with_name(Some(topic));
    MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true).into()
}

fn records_in(response: &FetchResponse) -> Vec<Bytes> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let records = partitions.filter_map(|data| data.records.clone()).filter(|records| !records.is_empty());
    records
        .flat_map(crate::record::batches)
        .flat_map(|batch| batch.expect("a sound batch").records().collect::<Vec<_>>())
        .filter_map(|record| record.expect("a sound record").value)
        .collect()
}

/// The cluster with the topic `orders`, one partition led by broker 1, in sync on all three.
fn with_orders() -> Cluster {
    with_orders_and(&[])
}

fn with_orders_and(properties: &'static [(&'static str, &'static str)]) -> Cluster {
    let mut cluster = Cluster::of_three_with(properties);
    let replicas = vec![1.into(), 2.into(), 3.into()];
    let assignment = CreatableReplicaAssignment::default().with_partition_index(0).with_broker_ids(replicas);
    let topic = CreatableTopic::default()
        .with_name(orders())
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(vec![assignment]);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
    let Response::CreateTopics(response) = cluster.ask(2, request) else { panic!("another API answers") };
    assert_eq!(response.topics[0].error_code, 0, "any broker hands it on to the controller");
    cluster.run_until("broker 1 leads", |cluster| leader_of_orders(cluster) == Some(1));
    cluster
}

/// The leader by the word of all running brokers, if they agree.
fn leader_of_orders(cluster: &Cluster) -> Option<i32> {
    let partition = TopicPartition::new(orders(), 0);
    let mut leaders =
        cluster.brokers().map(|broker| broker.image().partitions.get(&partition).map(|state| state.leader));
    let first = leaders.next()??;
    (first >= 0 && leaders.all(|leader| leader == Some(first))).then_some(first)
}

fn isr_of_orders(cluster: &Cluster) -> Vec<i32> {
    let partition = TopicPartition::new(orders(), 0);
    cluster.controller().image().partitions.get(&partition).map(|state| state.isr.clone()).unwrap_or_default()
}

fn produced(response: Response) -> (ErrorCode, i64) {
    let Response::Produce(response) = response else { panic!("another API answers") };
    let data = &response.responses[0].partition_responses[0];
    (ErrorCode(data.error_code), data.base_offset)
}

#[test]
fn a_record_is_replicated_acknowledged_and_read_back() {
    let mut cluster = with_orders();
    assert_eq!(produced(cluster.ask(1, produce(orders(), -1, "first"))), (ErrorCode::NONE, 0));
    assert_eq!(produced(cluster.ask(1, produce(orders(), 1, "second"))), (ErrorCode::NONE, 1));
    let Response::Fetch(read) = cluster.ask(1, fetch(0, 500)) else { panic!("another API answers") };
    assert_eq!(records_in(&read)[0], "first");
    cluster.run_until("every replica has both", |cluster| {
        cluster.brokers().all(|broker| {
            let replicas = broker.replica_manager().describe();
            replicas.iter().any(|replica| replica.log_end.0 == 2 && replica.high_watermark.0 == 2)
        })
    });
    assert_eq!(isr_of_orders(&cluster), [1, 2, 3]);
}

#[test]
fn a_consumer_waits_for_data_and_what_it_asks_behind_waits_too() {
    let mut cluster = with_orders();
    let consumer = cluster.connect(1);
    let waiting = cluster.send(consumer, fetch(0, 60_000));
    let behind = cluster.send(consumer, metadata_of(orders()));
    cluster.run_for(Duration::from_secs(2));
    assert!(cluster.answers_to(consumer).is_empty(), "one request at a time");
    cluster.ask(1, produce(orders(), -1, "news"));
    cluster.run_for(Duration::from_millis(10));
    let order: Vec<CorrelationId> = cluster.answers_to(consumer).iter().map(|(id, _)| *id).collect();
    assert_eq!(order, [waiting, behind]);
}

#[test]
fn a_follower_refuses_and_names_the_leader() {
    let mut cluster = with_orders();
    let Response::Produce(response) = cluster.ask(2, produce(orders(), -1, "x")) else { panic!("another API answers") };
    let data = &response.responses[0].partition_responses[0];
    assert_eq!(data.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER.0);
    assert_eq!((data.current_leader.leader_id.0, data.current_leader.leader_epoch), (1, 0));
    assert_eq!(response.node_endpoints[0].node_id.0, 1);
}

#[test]
fn requests_that_make_no_sense_are_refused_per_partition() {
    let mut cluster = with_orders();
    let nowhere = TopicName(StrBytes::from_static_str("nowhere"));
    assert_eq!(produced(cluster.ask(1, produce(nowhere, -1, "x"))).0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(produced(cluster.ask(1, produce(orders(), 2, "x"))).0, ErrorCode::INVALID_REQUIRED_ACKS);
    let two = [batch_of("x"), batch_of("y")].concat();
    let Request::Produce(mut request) = produce(orders(), -1, "x") else { panic!("produce makes produce requests") };
    for bytes in [two, Vec::new(), vec![0; 11]] {
        request.topic_data[0].partition_data[0].records = Some(bytes.into());
        assert_eq!(produced(cluster.ask(1, Request::Produce(request.clone()))).0, ErrorCode::INVALID_RECORD);
    }
}

#[test]
fn without_acks_there_is_no_answer_and_an_error_closes_the_connection() {
    let mut cluster = with_orders();
    let producer = cluster.connect(1);
    cluster.send(producer, produce(orders(), 0, "x"));
    let next = cluster.send(producer, metadata_of(orders()));
    cluster.run_for(Duration::from_millis(10));
    let answered: Vec<CorrelationId> = cluster.answers_to(producer).iter().map(|(id, _)| *id).collect();
    assert_eq!(answered, [next], "the channel is read on at once");

    let at_a_follower = cluster.connect(2);
    cluster.send(at_a_follower, produce(orders(), 0, "y"));
    cluster.send(at_a_follower, metadata_of(orders()));
    cluster.run_for(Duration::from_millis(10));
    assert!(cluster.is_closed(at_a_follower));
    assert!(cluster.answers_to(at_a_follower).is_empty(), "what waited in the socket is gone");
}

#[test]
fn a_topic_that_metadata_asks_for_is_created() {
    let mut cluster = Cluster::of_three();
    let Response::Metadata(first) = cluster.ask(3, metadata_of(orders())) else { panic!("another API answers") };
    assert_eq!(first.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
    cluster.run_until("all know it", |cluster| leader_of_orders(cluster).is_some());
    let Response::Metadata(then) = cluster.ask(3, metadata_of(orders())) else { panic!("another API answers") };
    let partition = &then.topics[0].partitions[0];
    assert_eq!((then.topics[0].error_code, partition.error_code), (0, 0));
    assert_eq!((partition.replica_nodes.len(), partition.offline_replicas.len()), (3, 0));
    assert_eq!(brokers_in(&then), [1, 2, 3]);
}

fn brokers_in(response: &MetadataResponse) -> Vec<i32> {
    response.brokers.iter().map(|broker| broker.node_id.0).collect()
}

#[test]
fn producer_ids_are_unique_over_brokers() {
    let mut cluster = Cluster::of_three();
    let mut ids = Vec::new();
    for broker in [1, 2, 1] {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let Response::InitProducerId(response) = cluster.ask(broker, request) else { panic!("another API answers") };
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        ids.push(response.producer_id.0);
    }
    assert_eq!((ids[1] - ids[0], ids[2] - ids[0]), (1_000, 1), "each broker has a block of its own: {ids:?}");
}

#[test]
fn the_log_end_is_listed() {
    let mut cluster = with_orders();
    cluster.ask(1, produce(orders(), -1, "first"));
    let partition = ListOffsetsPartition::default().with_timestamp(-1).with_current_leader_epoch(-1);
    let topic = ListOffsetsTopic::default().with_name(orders()).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let Response::ListOffsets(response) = cluster.ask(1, request) else { panic!("another API answers") };
    let listed = &response.topics[0].partitions[0];
    assert_eq!((listed.error_code, listed.offset), (0, 1));
}

#[test]
fn a_leader_that_stops_cleanly_hands_over_first() {
    let mut cluster = with_orders();
    cluster.ask(1, produce(orders(), -1, "first"));
    cluster.stop(1);
    cluster.run_until("broker 1 has ended", |cluster| cluster.broker(1).is_none());
    let leader = leader_of_orders(&cluster).expect("the others agree on a leader");
    assert_ne!(leader, 1);
    assert_eq!(produced(cluster.ask(leader, produce(orders(), -1, "second"))), (ErrorCode::NONE, 1));
    cluster.start(1);
    cluster.run_until("broker 1 is in sync again", |cluster| isr_of_orders(cluster).len() == 3);
    assert_eq!(loads_of(&cluster, 1), [true], "its last stop was clean");
}

/// For each time a broker loaded `orders`, whether its last stop had been clean.
fn loads_of(cluster: &Cluster, id: i32) -> Vec<bool> {
    let loaded = cluster.facts.iter().filter_map(|(by, fact)| match fact {
        Fact::LogLoaded { clean, .. } if *by == NodeId::Broker(id) => Some(*clean),
        _ => None,
    });
    loaded.collect()
}

#[test]
fn without_controlled_shutdown_a_leader_goes_at_once_and_leaves_its_partitions_behind() {
    let mut cluster = with_orders_and(&[("controlled.shutdown.enable", "false")]);
    cluster.stop(1);
    cluster.run_for(Duration::from_millis(10));
    assert!(cluster.broker(1).is_none());
    assert_eq!(leader_of_orders(&cluster), Some(1), "nobody knows yet");
    cluster.run_until("its session has run out", |cluster| leader_of_orders(cluster).is_some_and(|leader| leader != 1));
}

#[test]
fn an_acknowledgement_that_waits_outlives_its_connection() {
    let mut cluster = with_orders();
    let producer = cluster.connect(1);
    cluster.send(producer, produce(orders(), -1, "first"));
    cluster.send(producer, produce(orders(), -1, "never read"));
    // It has arrived, and no follower has come for it yet.
    cluster.run_for(Duration::from_millis(1));
    cluster.disconnect(producer);
    cluster.run_for(Duration::from_secs(2));
    let answered = cluster.facts.iter().filter(|(_, fact)| {
        matches!(fact, Fact::ProduceAnswered { error: ErrorCode::NONE, base_offset, .. } if base_offset.0 == 0)
    });
    assert_eq!(answered.count(), 1, "written, whether anybody hears of it or not");
    let replicas = cluster.broker(1).expect("it runs").replica_manager().describe();
    assert_eq!(replicas[0].log_end.0, 1, "what waited in the socket was never read");
}

#[test]
fn a_killed_leader_is_replaced_and_comes_back_in_sync() {
    let mut cluster = with_orders();
    cluster.ask(1, produce(orders(), -1, "first"));
    cluster.kill(1);
    cluster.run_until("another leads", |cluster| leader_of_orders(cluster).is_some_and(|leader| leader != 1));
    let leader = leader_of_orders(&cluster).expect("they agree");
    assert_eq!(produced(cluster.ask(leader, produce(orders(), -1, "second"))), (ErrorCode::NONE, 1));
    cluster.start(1);
    cluster.run_until("broker 1 is in sync again", |cluster| isr_of_orders(cluster).len() == 3);
    let replicas = cluster.broker(1).expect("it runs").replica_manager().describe();
    assert_eq!(replicas[0].log_end.0, 2);
    assert_eq!(loads_of(&cluster, 1), [false]);
}

#[test]
fn the_same_messages_lead_to_the_same_facts() {
    let run = || {
        let mut cluster = with_orders();
        cluster.ask(1, produce(orders(), -1, "first"));
        cluster.kill(1);
        cluster.run_for(Duration::from_secs(20));
        cluster.facts
    };
    assert_eq!(run(), run());
}

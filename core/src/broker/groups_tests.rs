//! Taking over partitions of `__consumer_offsets` of which there is nothing to read, or something else than before.

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{
    DeleteTopicsRequest, FindCoordinatorRequest, OffsetCommitRequest, OffsetFetchRequest, TopicName,
};

use super::super::test_cluster::Cluster;
use super::super::testing::{CONTROLLER, config_of};
use super::*;
use crate::client::testing::Bench;
use crate::config::KafkaVersion;
use crate::protocol::{Request, Response};
use crate::types::{Duration, LeaderEpoch};

fn billing() -> GroupId {
    GroupId(StrBytes::from_static_str("billing"))
}

/// A broker that is to read a partition of which it has no log.
fn without_a_log(version: KafkaVersion) -> Result<Option<i64>, ErrorCode> {
    let mut bench = Bench::default();
    let mut broker = Broker::new(config_of(version, 1), vec![CONTROLLER]);
    let partition = crate::coordinator::group::partition_for(&billing(), 50);
    broker.groups.coordinator.set_partitions(50);
    assert!(broker.groups.coordinator.elected(partition, LeaderEpoch(3)));
    broker.groups.loads.begin(partition, bench.now());
    bench.advance(Duration::from_millis(1));
    broker.on_groups_deadline(&mut bench.context());
    let found = broker.groups.coordinator.committed(&billing(), &TopicPartition::of("orders", 0));
    found.map(|found| found.map(|committed| committed.offset.0))
}

#[test]
fn nobody_is_told_for_ever_that_a_partition_is_loading() {
    assert_eq!(without_a_log(KafkaVersion::new(3, 9)), Ok(None));
    assert_eq!(without_a_log(KafkaVersion::new(4, 0)), Err(ErrorCode::NOT_COORDINATOR));
}

fn topic() -> TopicName {
    group_metadata_topic()
}

fn find() -> Request {
    FindCoordinatorRequest::default().with_coordinator_keys(vec![billing().0]).into()
}

/// Asks until there is a coordinator, and it answers for the group.
fn coordinator(cluster: &mut Cluster) -> i32 {
    for _ in 0..200 {
        cluster.run_for(Duration::from_millis(100));
        let Response::FindCoordinator(found) = cluster.ask(1, find()) else { panic!("another answer") };
        let Some(found) = found.coordinators.first().filter(|found| found.error_code == 0) else { continue };
        let node = found.node_id.0;
        if cluster.broker(node).is_some_and(|broker| broker.groups.coordinator.coordinates(&billing())) {
            return node;
        }
    }
    panic!("there is no coordinator after 20 s");
}

fn commit(offset: i64) -> Request {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("orders")))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default().with_group_id(billing()).with_topics(vec![topic]).into()
}

fn committed(cluster: &mut Cluster, broker: i32) -> i64 {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(TopicName(StrBytes::from_static_str("orders")))
        .with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default().with_group_id(billing()).with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_topics(None).with_groups(vec![group]);
    let Response::OffsetFetch(response) = cluster.ask(broker, request) else { panic!("another answer") };
    response.groups[0].topics[0].partitions[0].committed_offset
}

#[test]
fn a_topic_that_is_deleted_takes_its_groups_with_it() {
    let mut cluster = Cluster::of_three_with(&[("offsets.topic.num.partitions", "1")]);
    let orders = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("orders")))
        .with_num_partitions(1)
        .with_replication_factor(3);
    cluster.ask(1, CreateTopicsRequest::default().with_topics(vec![orders]).with_timeout_ms(5_000));
    let first = coordinator(&mut cluster);
    cluster.ask(first, commit(70));
    assert_eq!(committed(&mut cluster, first), 70);
    let gone = DeleteTopicState::default().with_name(Some(topic()));
    cluster.ask(1, DeleteTopicsRequest::default().with_topics(vec![gone]).with_timeout_ms(5_000));
    cluster.run_for(Duration::from_secs(1));
    assert!(
        cluster.brokers().all(|broker| broker.groups.coordinator.led().is_empty()),
        "there is nothing to coordinate"
    );
    let second = coordinator(&mut cluster);
    assert_eq!(committed(&mut cluster, second), -1);
}

//! CreateTopics and AllocateProducerIds.

use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;
use kafka_protocol::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};

use super::*;
use crate::types::{LeaderEpoch, PartitionEpoch};

fn sized(topic: &str, partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(replication_factor)
}

fn with_config(topic: CreatableTopic, property: &'static str, value: Option<&'static str>) -> CreatableTopic {
    topic.with_configs(vec![
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(property))
            .with_value(value.map(StrBytes::from_static_str)),
    ])
}

#[test]
fn a_topic_is_created_with_its_partitions_leaders_and_properties() {
    let mut rig = Rig::with_brokers(3);
    let topic = with_config(assigned("orders", &[&[2, 1], &[3, 2]]), "min.insync.replicas", Some("2"));
    let (facts, response) = rig.create_topics(vec![topic]);
    let elected = |partition, leader, isr: &[i32]| Fact::LeaderElected {
        partition: TopicPartition::of("orders", partition),
        leader,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        isr: isr.to_vec(),
        clean: true,
    };
    let created = Fact::TopicCreated { topic: "orders".to_owned(), replicas: vec![vec![2, 1], vec![3, 2]] };
    assert_eq!(facts, [created, elected(0, 2, &[2, 1]), elected(1, 3, &[3, 2])]);
    let result = &response.topics[0];
    let image = rig.controller.image();
    assert_eq!(result.topic_id, image.topics[&name("orders")].id);
    assert_eq!((result.num_partitions, result.replication_factor, result.error_code), (2, 2, 0));
    assert_eq!(image.topic_config(&name("orders"), "min.insync.replicas"), Some("2"));
}

#[test]
fn only_working_replicas_are_in_the_first_isr() {
    let mut rig = Rig::with_brokers(3);
    rig.lose(&[1]);
    rig.create_orders(&[1, 2, 3]);
    assert_eq!(rig.line(), "2 [2, 3] e0 p0");
}

#[test]
fn replicas_are_placed_on_distinct_brokers_led_evenly() {
    let mut rig = Rig::with_brokers(3);
    rig.create_topics(vec![sized("orders", 6, 2)]);
    let partitions: Vec<_> = rig.controller.image().partitions.values().collect();
    assert_eq!(partitions.len(), 6);
    for broker in 1..=3 {
        assert_eq!(partitions.iter().filter(|partition| partition.leader == broker).count(), 2, "broker {broker}");
    }
    assert!(partitions.iter().all(|partition| partition.replicas.len() == 2 && partition.isr.len() == 2));
}

#[test]
fn the_brokers_defaults_stand_for_minus_one() {
    let mut rig = Rig::with(BrokerConfig { num_partitions: 4, default_replication_factor: 2, ..config() });
    rig.join(1, 1);
    rig.join(2, 1);
    let (_, response) = rig.create_topics(vec![sized("orders", -1, -1)]);
    assert_eq!((response.topics[0].num_partitions, response.topics[0].replication_factor), (4, 2));
}

/// Three brokers, and a topic called `existing.topic`, none of which this changes.
fn refused(cases: &[(CreatableTopic, ErrorCode, &str)]) {
    let mut rig = Rig::with_brokers(3);
    rig.create_topics(vec![sized("existing.topic", 1, 1)]);
    let before = rig.controller.image().clone();
    for (topic, expected, words) in cases {
        let (facts, response) = rig.create_topics(vec![topic.clone()]);
        let result = &response.topics[0];
        assert_eq!((error(result.error_code), result.error_message.as_deref()), (*expected, Some(*words)));
        assert_eq!(facts, []);
    }
    assert_eq!(*rig.controller.image(), before);
}

#[test]
fn sizes_and_replicas_that_cannot_be_are_refused_in_kafkas_words() {
    refused(&[
        (
            sized("orders", 1, 4),
            ErrorCode::INVALID_REPLICATION_FACTOR,
            "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached because \
             only 3 broker(s) are registered.",
        ),
        (
            sized("orders", 1, 0),
            ErrorCode::INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            sized("orders", 0, 1),
            ErrorCode::INVALID_PARTITIONS,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            sized("orders", i32::MAX, 1),
            ErrorCode::POLICY_VIOLATION,
            "Unable to perform excessively large batch operation.",
        ),
        (
            assigned("orders", &[&[1, 2], &[3]]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with \
             previous partitions, which have 2 replica(s).",
        ),
        (
            assigned("orders", &[&[1, 1]]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            assigned("orders", &[&[9]]),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (
            assigned("orders", &[&[1]]).with_num_partitions(1),
            ErrorCode::INVALID_REQUEST,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
    ]);
}

#[test]
fn names_and_properties_that_cannot_be_are_refused_in_kafkas_words() {
    refused(&[
        (sized("existing.topic", 1, 1), ErrorCode::TOPIC_ALREADY_EXISTS, "Topic 'existing.topic' already exists."),
        (
            sized("existing_topic", 1, 1),
            ErrorCode::INVALID_TOPIC_EXCEPTION,
            "Topic 'existing_topic' collides with existing topic: existing.topic",
        ),
        (
            sized("or ders", 1, 1),
            ErrorCode::INVALID_TOPIC_EXCEPTION,
            "Topic name is invalid: 'or ders' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'",
        ),
        (sized("", 1, 1), ErrorCode::INVALID_TOPIC_EXCEPTION, "Topic name is invalid: the empty string is not allowed"),
        (
            sized("__cluster_metadata", 1, 1),
            ErrorCode::INVALID_REQUEST,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            with_config(sized("orders", 1, 1), "min.insync", Some("2")),
            ErrorCode::INVALID_CONFIG,
            "Unknown topic config name: min.insync",
        ),
        (
            with_config(sized("orders", 1, 1), "min.insync.replicas", None),
            ErrorCode::INVALID_CONFIG,
            "Null value not supported for topic configs: min.insync.replicas",
        ),
    ]);
}

#[test]
fn one_bad_topic_does_not_spoil_the_others() {
    let mut rig = Rig::with_brokers(1);
    let (_, response) = rig.create_topics(vec![
        sized("good", 1, 1),
        sized("twice", 1, 1),
        sized("bad", 1, 2),
        sized("twice", 2, 1),
        sized("also-good", 2, 1),
    ]);
    let errors: Vec<_> = response.topics.iter().map(|topic| (topic.name.as_str(), error(topic.error_code))).collect();
    assert_eq!(
        errors,
        [
            ("good", ErrorCode::NONE),
            ("twice", ErrorCode::INVALID_REQUEST),
            ("bad", ErrorCode::INVALID_REPLICATION_FACTOR),
            ("also-good", ErrorCode::NONE),
        ]
    );
    let topics: Vec<&str> = rig.controller.image().topics.keys().map(|topic| topic.as_str()).collect();
    assert_eq!(topics, ["also-good", "good"]);
}

#[test]
fn validation_only_writes_nothing() {
    let mut rig = Rig::with_brokers(1);
    let before = rig.controller.image().clone();
    let request = CreateTopicsRequest::default().with_topics(vec![sized("orders", 1, 1)]).with_validate_only(true);
    let (facts, response) = rig.ask(request);
    let Response::CreateTopics(response) = response else { panic!("{response:?}") };
    assert_eq!((facts, response.topics[0].error_code), (vec![], 0));
    assert_eq!(*rig.controller.image(), before);
}

#[test]
fn no_topic_without_a_working_broker() {
    let mut rig = Rig::new();
    rig.register(1, 1);
    let (_, response) = rig.create_topics(vec![sized("orders", 1, 1), assigned("refunds", &[&[1]])]);
    let messages: Vec<_> = response.topics.iter().map(|topic| topic.error_message.as_deref().unwrap_or("")).collect();
    assert_eq!(
        messages,
        [
            "Unable to replicate the partition 1 time(s): All brokers are currently fenced.",
            "All brokers specified in the manual partition assignment for partition 0 are fenced or in controlled \
             shutdown.",
        ]
    );
}

#[test]
fn producer_ids_come_in_blocks_that_nobody_gets_twice() {
    let mut rig = Rig::with_brokers(2);
    let mut allocate = |broker: i32, epoch: i64| -> AllocateProducerIdsResponse {
        let request = AllocateProducerIdsRequest::default().with_broker_id(BrokerId(broker)).with_broker_epoch(epoch);
        match rig.ask(request) {
            (facts, Response::AllocateProducerIds(response)) if facts.is_empty() => *response,
            other => panic!("not a block: {other:?}"),
        }
    };
    let block = |response: AllocateProducerIdsResponse| (response.producer_id_start.0, response.producer_id_len);
    assert_eq!(block(allocate(1, 0)), (0, 1000));
    assert_eq!(block(allocate(2, 2)), (1000, 1000));
    assert_eq!(error(allocate(2, 1).error_code), ErrorCode::STALE_BROKER_EPOCH);
    assert_eq!(block(allocate(1, 0)), (2000, 1000));
}

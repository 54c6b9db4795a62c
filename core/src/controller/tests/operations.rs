//! What operators ask for: other properties, more partitions, other replicas, topics that go.

use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, CreatePartitionsRequest, DeleteTopicsRequest, IncrementalAlterConfigsRequest,
};

use super::*;
use crate::config::MetadataMode;

fn set(rig: &mut Rig, resource_type: i8, resource: &str, property: &str, value: Option<&str>) -> (Vec<Fact>, i16) {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_string(property.to_owned()))
        .with_config_operation(i8::from(value.is_none()))
        .with_value(value.map(|value| StrBytes::from_string(value.to_owned())));
    let resource = AlterConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(StrBytes::from_string(resource.to_owned()))
        .with_configs(vec![config]);
    match rig.ask(IncrementalAlterConfigsRequest::default().with_resources(vec![resource])) {
        (facts, Response::IncrementalAlterConfigs(response)) => (facts, response.responses[0].error_code),
        other => panic!("not an answer: {other:?}"),
    }
}

fn reassign(rig: &mut Rig, replicas: Option<&[i32]>) -> (Vec<Fact>, ErrorCode) {
    let replicas = replicas.map(|replicas| replicas.iter().copied().map(BrokerId).collect());
    let partition = ReassignablePartition::default().with_partition_index(0).with_replicas(replicas);
    let topic = ReassignableTopic::default().with_name(name("orders")).with_partitions(vec![partition]);
    match rig.ask(AlterPartitionReassignmentsRequest::default().with_topics(vec![topic])) {
        (facts, Response::AlterPartitionReassignments(response)) => {
            (facts, error(response.responses[0].partitions[0].error_code))
        }
        other => panic!("not an answer: {other:?}"),
    }
}

fn moving(rig: &Rig) -> String {
    let orders = rig.orders();
    format!(
        "{} of {:?} ISR {:?} adding {:?} removing {:?}",
        orders.leader, orders.replicas, orders.isr, orders.adding_replicas, orders.removing_replicas
    )
}

fn six_brokers() -> Rig {
    let mut rig = Rig::with_brokers(6);
    rig.create_orders(&[1, 2, 3]);
    rig
}

#[test]
fn a_partition_moves_when_all_new_replicas_are_in_sync() {
    let mut rig = six_brokers();
    let (facts, code) = reassign(&mut rig, Some(&[4, 5, 6]));
    assert_eq!(code, ErrorCode::NONE);
    assert!(matches!(facts[..], [Fact::ReplicasReassigned { .. }]), "{facts:?}");
    assert_eq!(moving(&rig), "1 of [4, 5, 6, 1, 2, 3] ISR [1, 2, 3] adding [4, 5, 6] removing [1, 2, 3]");
    rig.alter_partition(1, &[1, 2, 3, 4, 5], |_| {});
    assert_eq!(moving(&rig), "1 of [4, 5, 6, 1, 2, 3] ISR [1, 2, 3, 4, 5] adding [4, 5, 6] removing [1, 2, 3]");
    let (facts, response) = rig.alter_partition(1, &[1, 2, 3, 4, 5, 6], |_| {});
    assert_eq!(error(response.topics[0].partitions[0].error_code), ErrorCode::NEW_LEADER_ELECTED);
    assert!(matches!(facts[0], Fact::ReplicasReassigned { .. }), "{facts:?}");
    assert_eq!(moving(&rig), "4 of [4, 5, 6] ISR [4, 5, 6] adding [] removing []");
    assert_eq!(rig.orders().leader_epoch.0, 1, "whoever left must hear of it");
}

/// The replica that a move waited for joins the ISR in the record that makes it the leader: no unclean election.
#[test]
fn the_only_new_replica_is_elected_cleanly() {
    let mut rig = six_brokers();
    reassign(&mut rig, Some(&[4]));
    let (facts, _) = rig.alter_partition(1, &[1, 2, 3, 4], |_| {});
    assert_eq!(moving(&rig), "4 of [4] ISR [4] adding [] removing []");
    assert!(matches!(facts[1], Fact::LeaderElected { leader: 4, clean: true, .. }), "{facts:?}");
}

#[test]
fn a_move_survives_the_loss_of_the_leader_and_can_be_cancelled() {
    let mut rig = six_brokers();
    reassign(&mut rig, Some(&[4, 5, 6]));
    rig.alter_partition(1, &[1, 2, 3, 4], |_| {});
    rig.lose(&[1]);
    assert_eq!(moving(&rig), "4 of [4, 5, 6, 1, 2, 3] ISR [2, 3, 4] adding [4, 5, 6] removing [1, 2, 3]");
    let (_, code) = reassign(&mut rig, None);
    assert_eq!(code, ErrorCode::NONE);
    assert_eq!(moving(&rig), "2 of [1, 2, 3] ISR [2, 3] adding [] removing []");
    assert_eq!(reassign(&mut rig, None).1, ErrorCode::NO_REASSIGNMENT_IN_PROGRESS);
}

#[test]
fn a_move_is_not_cancelled_into_nothing_and_needs_brokers_that_exist() {
    let mut rig = six_brokers();
    reassign(&mut rig, Some(&[4, 5, 6]));
    rig.alter_partition(1, &[1, 4], |_| {});
    rig.lose(&[1]);
    assert_eq!(moving(&rig), "4 of [4, 5, 6, 1, 2, 3] ISR [4] adding [4, 5, 6] removing [1, 2, 3]");
    assert_eq!(reassign(&mut rig, None).1, ErrorCode::INVALID_REPLICA_ASSIGNMENT);
    assert_eq!(reassign(&mut rig, Some(&[1, 9])).1, ErrorCode::INVALID_REPLICA_ASSIGNMENT);
    assert_eq!(reassign(&mut rig, Some(&[])).1, ErrorCode::INVALID_REPLICA_ASSIGNMENT);
}

#[test]
fn another_order_moves_nothing_but_the_preference() {
    let mut rig = six_brokers();
    assert_eq!(reassign(&mut rig, Some(&[3, 2, 1])).1, ErrorCode::NONE);
    assert_eq!(moving(&rig), "1 of [3, 2, 1] ISR [1, 2, 3] adding [] removing []");
    assert_eq!(rig.orders().leader_epoch.0, 0);
}

fn add_partitions(rig: &mut Rig, count: i32) -> (Vec<Fact>, ErrorCode) {
    let topic = CreatePartitionsTopic::default().with_name(name("orders")).with_count(count).with_assignments(None);
    match rig.ask(CreatePartitionsRequest::default().with_topics(vec![topic])) {
        (facts, Response::CreatePartitions(response)) => (facts, error(response.results[0].error_code)),
        other => panic!("not an answer: {other:?}"),
    }
}

#[test]
fn a_topic_only_grows() {
    let mut rig = six_brokers();
    let (facts, code) = add_partitions(&mut rig, 3);
    assert_eq!(code, ErrorCode::NONE);
    let Fact::PartitionsAdded { topic, first, replicas } = &facts[0] else { panic!("{facts:?}") };
    assert_eq!((topic.as_str(), *first, replicas.len(), replicas[0].len()), ("orders", 1, 2, 3));
    assert!(matches!(facts[1..], [Fact::LeaderElected { .. }, Fact::LeaderElected { .. }]), "{facts:?}");
    assert_eq!(rig.controller.image().topics[&name("orders")].partitions, 3);
    for count in [3, 2] {
        assert_eq!(add_partitions(&mut rig, count).1, ErrorCode::INVALID_PARTITIONS);
    }
}

fn delete_orders(rig: &mut Rig) -> (Vec<Fact>, ErrorCode) {
    let topics = vec![DeleteTopicState::default().with_name(Some(name("orders")))];
    match rig.ask(DeleteTopicsRequest::default().with_topics(topics)) {
        (facts, Response::DeleteTopics(response)) => (facts, error(response.responses[0].error_code)),
        other => panic!("not an answer: {other:?}"),
    }
}

#[test]
fn a_name_may_come_back_its_id_does_not() {
    let mut rig = six_brokers();
    let id = rig.controller.image().topics[&name("orders")].id;
    set(&mut rig, 2, "orders", "min.insync.replicas", Some("2"));
    assert_eq!(delete_orders(&mut rig), (vec![Fact::TopicDeleted { topic: "orders".into() }], ErrorCode::NONE));
    assert!(rig.controller.image().partitions.is_empty() && rig.controller.image().topic_configs.is_empty());
    assert_eq!(delete_orders(&mut rig).1, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    rig.create_orders(&[2, 3]);
    assert_ne!(rig.controller.image().topics[&name("orders")].id, id);
    let before = rig.controller.image().clone();
    rig.restart();
    assert_eq!(*rig.controller.image(), before, "the log says the same again");

    let mut rig = Rig::with(BrokerConfig { delete_topic_enable: false, ..config() });
    rig.join(1, 1);
    rig.create_orders(&[1]);
    assert_eq!(delete_orders(&mut rig), (vec![], ErrorCode::TOPIC_DELETION_DISABLED));
}

#[test]
fn properties_change_while_everything_runs() {
    let mut rig = six_brokers();
    let (facts, code) = set(&mut rig, 2, "orders", "min.insync.replicas", Some("2"));
    let altered = |resource: &str, value: Option<&str>| Fact::ConfigAltered {
        resource: resource.to_owned(),
        name: "min.insync.replicas".to_owned(),
        value: value.map(str::to_owned),
    };
    assert_eq!((facts, code), (vec![altered("topic orders", Some("2"))], 0));
    assert_eq!(set(&mut rig, 2, "orders", "min.insync.replicas", Some("2")), (vec![], 0), "it is so already");
    assert_eq!(set(&mut rig, 2, "orders", "min.insync.replicas", None).0, [altered("topic orders", None)]);
    assert_eq!(set(&mut rig, 4, "1", "min.insync.replicas", Some("2")).0, [altered("broker 1", Some("2"))]);
    assert_eq!(set(&mut rig, 4, "", "min.insync.replicas", Some("3")).0, [altered("all brokers", Some("3"))]);
    let image = rig.controller.image();
    let of = |broker| image.broker_config(broker, "min.insync.replicas");
    assert_eq!((of(1), of(2)), (Some("2"), Some("3")));
    for (resource_type, resource, property, value, expected) in [
        (2, "payments", "min.insync.replicas", "2", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (2, "orders", "min.insync.replicas", "none", ErrorCode::INVALID_CONFIG),
        (2, "orders", "replicas", "3", ErrorCode::INVALID_CONFIG),
        (4, "one", "min.insync.replicas", "2", ErrorCode::INVALID_REQUEST),
        (4, "1", "replica.lag.time.max.ms", "2", ErrorCode::INVALID_REQUEST),
        (8, "1", "min.insync.replicas", "2", ErrorCode::INVALID_REQUEST),
    ] {
        let (facts, code) = set(&mut rig, resource_type, resource, property, Some(value));
        assert_eq!((facts, error(code)), (vec![], expected), "{resource} {property}={value}");
    }
}

/// `orders` on brokers 1 and 2, whose ISR is broker 1 alone, and broker 1 is gone.
fn waiting_for_broker_1(config: BrokerConfig) -> Rig {
    let mut rig = Rig::with(config);
    for broker in [1, 2] {
        rig.join(broker, 1);
    }
    rig.create_orders(&[1, 2]);
    rig.lose(&[2]);
    rig.join(2, 2);
    rig.lose(&[1]);
    assert_eq!(rig.line(), "-1 [1] e1 p2");
    rig
}

#[test]
fn unclean_election_is_switched_on_live_at_once_in_zookeeper_mode_and_at_the_next_look_in_kraft() {
    let unclean = "unclean.leader.election.enable";
    let zookeeper = BrokerConfig { metadata_mode: MetadataMode::ZooKeeper, ..config() };
    let mut rig = waiting_for_broker_1(zookeeper);
    set(&mut rig, 2, "orders", unclean, Some("true"));
    assert_eq!(rig.line(), "2 [2] e2 p3");

    let mut rig = waiting_for_broker_1(config());
    set(&mut rig, 4, "", unclean, Some("true"));
    assert_eq!(rig.line(), "-1 [1] e1 p2");
    let mut waited = 0;
    while rig.orders().leader == -1 {
        rig.lose(&[]);
        waited += 10;
        assert!(waited <= 300, "it does not happen");
    }
    assert_eq!(rig.line(), "2 [2] e2 p3");
}

#[test]
fn kraft_did_not_look_at_the_property_before_3_9() {
    let mut old = BrokerConfig { version: KafkaVersion::new(3, 8), ..config() };
    old.log.unclean_leader_election_enable = true;
    waiting_for_broker_1(old);
}

#[test]
fn zookeepers_controller_leaves_a_broker_alone_while_little_is_elsewhere() {
    for (percentage, expected) in [(49, 1), (50, 2)] {
        let mut rig = Rig::with(BrokerConfig {
            metadata_mode: MetadataMode::ZooKeeper,
            auto_leader_rebalance_enable: true,
            leader_imbalance_per_broker_percentage: percentage,
            ..config()
        });
        for broker in [1, 2] {
            rig.join(broker, 1);
        }
        rig.create_orders(&[1, 2]);
        rig.lose(&[1]);
        rig.join(1, 2);
        rig.alter_partition(2, &[2, 1], |_| {});
        // One of the two partitions that broker 1 should lead is elsewhere.
        rig.create_topics(vec![assigned("payments", &[&[1, 2]])]);
        for _ in 0..40 {
            rig.lose(&[]);
        }
        assert_eq!(rig.orders().leader, expected, "{percentage} %");
    }
}

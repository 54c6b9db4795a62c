//! Log directories: where replicas lie, and what a failed one means (KIP-858).

use kafka_protocol::messages::AssignReplicasToDirsRequest;
use kafka_protocol::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};

use super::*;

const D1: Uuid = Uuid::from_u128(0xd1);
const D2: Uuid = Uuid::from_u128(0xd2);

fn join_with(rig: &mut Rig, broker: i32, life: u8, directories: &[Uuid]) {
    let request = BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(broker))
        .with_incarnation_id(incarnation(broker, life))
        .with_log_dirs(directories.to_vec());
    match rig.ask(request) {
        (_, Response::BrokerRegistration(response)) => assert_eq!(response.error_code, 0),
        other => panic!("not a registration: {other:?}"),
    }
    assert!(!rig.heartbeat(broker, |request| request).1.is_fenced);
}

/// The error for the one partition, which a broker says to lie in a directory.
fn assign(rig: &mut Rig, broker: i32, partition: i32, directory: Uuid) -> ErrorCode {
    let topic = TopicData::default()
        .with_topic_id(rig.controller.image().topics[&name("orders")].id)
        .with_partitions(vec![PartitionData::default().with_partition_index(partition)]);
    let request = AssignReplicasToDirsRequest::default()
        .with_broker_id(BrokerId(broker))
        .with_broker_epoch(rig.epoch_of(broker))
        .with_directories(vec![DirectoryData::default().with_id(directory).with_topics(vec![topic])]);
    match rig.ask(request) {
        (_, Response::AssignReplicasToDirs(response)) => {
            error(response.directories[0].topics[0].partitions[0].error_code)
        }
        other => panic!("not an assignment: {other:?}"),
    }
}

/// Two brokers with two directories each. Broker 1 leads `orders-0`, which lies in its first one, and `orders-1`, in the other.
fn rig() -> Rig {
    let mut rig = Rig::new();
    for broker in 1..=2 {
        join_with(&mut rig, broker, 1, &[D1, D2]);
    }
    rig.create_topics(vec![assigned("orders", &[&[1, 2], &[1, 2]])]);
    for broker in 1..=2 {
        assert_eq!(assign(&mut rig, broker, 0, D1), ErrorCode::NONE);
        assert_eq!(assign(&mut rig, broker, 1, D2), ErrorCode::NONE);
    }
    rig
}

fn leaders(rig: &Rig) -> Vec<i32> {
    rig.controller.image().partitions.values().map(|partition| partition.leader).collect()
}

fn fails(rig: &mut Rig, broker: i32, directory: Uuid) {
    rig.heartbeat(broker, |request| request.with_offline_log_dirs(vec![directory]));
}

#[test]
fn a_failed_directory_takes_its_replicas_out_and_no_others() {
    let mut rig = rig();
    assert_eq!(leaders(&rig), [1, 1]);
    fails(&mut rig, 1, D1);
    assert_eq!(leaders(&rig), [2, 1]);
    assert_eq!(rig.orders().isr, [2]);
    assert_eq!(rig.controller.image().brokers[&1].log_dirs, [D2]);
    let before = rig.controller.image().last_applied;
    fails(&mut rig, 1, D1);
    assert_eq!(rig.controller.image().last_applied, before, "it is said with every heartbeat and heard once");
}

#[test]
fn the_last_member_of_an_isr_leads_again_only_with_its_directory() {
    let mut rig = rig();
    rig.lose(&[2]);
    fails(&mut rig, 1, D1);
    assert_eq!((leaders(&rig), rig.orders().isr.clone()), (vec![-1, 1], vec![1]));
    rig.pass(Duration::from_secs(10));
    join_with(&mut rig, 1, 2, &[D2]);
    assert_eq!(leaders(&rig), [-1, 1]);
    rig.pass(Duration::from_secs(10));
    join_with(&mut rig, 1, 3, &[D1, D2]);
    assert_eq!(leaders(&rig), [1, 1]);
}

#[test]
fn a_replica_in_a_directory_that_has_failed_by_now_leaves_too() {
    let mut rig = rig();
    fails(&mut rig, 1, D1);
    assert_eq!(assign(&mut rig, 1, 1, D1), ErrorCode::NONE);
    assert_eq!(leaders(&rig), [2, 2]);
}

#[test]
fn what_does_not_exist_or_lies_elsewhere_is_refused() {
    let mut rig = rig();
    assert_eq!(assign(&mut rig, 1, 7, D1), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    join_with(&mut rig, 3, 1, &[D1, D2]);
    assert_eq!(assign(&mut rig, 3, 0, D1), ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

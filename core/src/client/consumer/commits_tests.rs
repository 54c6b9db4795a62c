//! One consumer of a group, the brokers played by the test: what it commits, in which order, and what `close()` says to whom.
//! Broker 2 is the coordinator.

use std::sync::Arc;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{
    BrokerId, FindCoordinatorResponse, HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, SyncGroupResponse,
};

use super::*;
use crate::client::consumer::Consumer;
use crate::client::testing_cluster::{Asked, Cluster};
use crate::client::{Call, Completion};
use crate::config::{ConsumerConfig, GroupProtocol};
use crate::protocol::Request;
use crate::types::{Duration, NodeId, StrBytes};

const BACKOFF: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

fn consumer(version: KafkaVersion, protocol: GroupProtocol) -> Cluster<Consumer> {
    let resolved = ConsumerConfig::resolve(version, &[]).expect("the defaults are good");
    let config = ConsumerConfig {
        group_id: Some("billing".to_owned()),
        group_protocol: protocol,
        enable_auto_commit: false,
        ..resolved.config
    };
    Cluster::new(Consumer::new(Arc::new(config), vec![NodeId::Broker(1)], 0))
}

/// A consumer that stands at offset 0 of partition 0 and knows its coordinator.
fn cluster(protocol: GroupProtocol) -> Cluster<Consumer> {
    let mut cluster = consumer(KafkaVersion::new(4, 0), protocol);
    cluster.call(Call::Assign(vec![orders()]));
    cluster.call(Call::Seek(orders(), Offset(0)));
    find(&mut cluster);
    cluster
}

fn find(cluster: &mut Cluster<Consumer>) {
    let asked = take(cluster, |request| matches!(request, Request::FindCoordinator(_)));
    let found = Coordinator::default().with_node_id(BrokerId(2)).with_key(StrBytes::from_static_str("billing"));
    let found = FindCoordinatorResponse::default().with_node_id(BrokerId(2)).with_coordinators(vec![found]);
    cluster.answer(&asked, found);
}

/// The only member of its group, inside `poll()`; it stands at offset 7 of partition 0, and has returned from `onPartitionsAssigned`.
fn member(version: KafkaVersion) -> Cluster<Consumer> {
    let mut cluster = consumer(version, GroupProtocol::Classic);
    cluster.call(Call::Subscribe(vec![orders().topic]));
    cluster.call(Call::Poll { timeout: SECOND });
    find(&mut cluster);
    let asked = take(&mut cluster, |request| matches!(request, Request::JoinGroup(_)));
    let id = StrBytes::from_static_str("m");
    let joined = JoinGroupResponse::default().with_generation_id(1).with_member_id(id.clone());
    cluster.answer(&asked, joined.with_leader(StrBytes::from_static_str("another")));
    let asked = take(&mut cluster, |request| matches!(request, Request::SyncGroup(_)));
    let assignment = group_wire::assignment_bytes(&[orders()].into());
    cluster.answer(&asked, SyncGroupResponse::default().with_assignment(assignment));
    assert_eq!(callbacks(&mut cluster), [Completion::PartitionsAssigned(vec![orders()])]);
    cluster.call(Call::Seek(orders(), Offset(7)));
    cluster.call(Call::ReturnFromCallback);
    cluster
}

/// What the application has heard since the last time, beside what `poll()` returned.
fn callbacks(cluster: &mut Cluster<Consumer>) -> Vec<Completion> {
    let heard = cluster.take_completions().into_iter();
    heard.filter(|completion| !matches!(completion, Completion::Polled(_))).collect()
}

fn is_leaving(cluster: &Cluster<Consumer>) -> bool {
    cluster.asked.iter().any(|asked| matches!(asked.request, Request::LeaveGroup(_)))
}

fn orders() -> TopicPartition {
    TopicPartition::of("orders", 0)
}

fn take(cluster: &mut Cluster<Consumer>, which: impl Fn(&Request) -> bool) -> Asked {
    let place = cluster.asked.iter().position(|asked| which(&asked.request)).expect("it has asked for it");
    cluster.asked.remove(place)
}

fn commit(cluster: &mut Cluster<Consumer>, call: u64, offset: i64, sync: bool) {
    cluster.call(Call::Commit { call, offsets: Some(vec![(orders(), Offset(offset))]), sync });
}

/// The commits that wait for an answer, by their offsets.
fn committing(cluster: &Cluster<Consumer>) -> Vec<i64> {
    let offset = |asked: &Asked| match &asked.request {
        Request::OffsetCommit(request) => Some(request.topics[0].partitions[0].committed_offset),
        _ => None,
    };
    cluster.asked.iter().filter_map(offset).collect()
}

/// Answers the oldest commit.
fn answer_commit(cluster: &mut Cluster<Consumer>, error: ErrorCode) {
    let asked = take(cluster, |request| matches!(request, Request::OffsetCommit(_)));
    let partition = OffsetCommitResponsePartition::default().with_error_code(error.0);
    let topic = OffsetCommitResponseTopic::default().with_name(orders().topic).with_partitions(vec![partition]);
    cluster.answer(&asked, OffsetCommitResponse::default().with_topics(vec![topic]));
}

/// `wakeup()` ends the `commitSync()` of this number.
fn wake_up(cluster: &mut Cluster<Consumer>, call: u64) {
    cluster.call(Call::Wakeup);
    assert!(cluster.completed(&Completion::Committed { call, result: Err(ErrorCode::CLIENT_WAKEUP) }));
}

#[test]
fn commits_that_fail_one_after_another_are_tried_again_in_that_order() {
    let mut cluster = cluster(GroupProtocol::Consumer);
    for call in 0..3 {
        commit(&mut cluster, call, 10 + call as i64, true);
        wake_up(&mut cluster, call);
    }
    assert_eq!(committing(&cluster), [10, 11, 12]);
    for _ in 0..3 {
        answer_commit(&mut cluster, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    }
    cluster.run_for(BACKOFF);
    assert_eq!(committing(&cluster), [10, 11, 12]);
}

#[test]
fn in_the_consumer_protocol_no_commit_waits_for_the_pause_of_another() {
    let mut cluster = cluster(GroupProtocol::Consumer);
    commit(&mut cluster, 0, 10, true);
    wake_up(&mut cluster, 0);
    answer_commit(&mut cluster, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    commit(&mut cluster, 1, 20, false);
    assert_eq!(committing(&cluster), [20]);
    answer_commit(&mut cluster, ErrorCode::NONE);
    // Nobody waits for it any more, and it takes the group back.
    cluster.run_for(BACKOFF);
    assert_eq!(committing(&cluster), [10]);
}

#[test]
fn in_the_classic_protocol_a_later_commit_waits_for_an_earlier_one() {
    let mut cluster = cluster(GroupProtocol::Classic);
    commit(&mut cluster, 0, 10, true);
    answer_commit(&mut cluster, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    commit(&mut cluster, 1, 20, false);
    assert_eq!(committing(&cluster), [0; 0]);
    cluster.run_for(BACKOFF);
    assert_eq!(committing(&cluster), [10, 20]);
}

#[test]
fn a_commit_that_wakeup_has_interrupted_is_tried_again_by_a_thread_and_only_where_there_is_one() {
    for (protocol, again) in [(GroupProtocol::Consumer, vec![10]), (GroupProtocol::Classic, vec![])] {
        let mut cluster = cluster(protocol);
        commit(&mut cluster, 0, 10, true);
        wake_up(&mut cluster, 0);
        answer_commit(&mut cluster, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        cluster.run_for(BACKOFF);
        assert_eq!(committing(&cluster), again);
    }
}

#[test]
fn what_is_revoked_can_be_committed_until_the_application_returns_from_its_callback() {
    let mut cluster = member(KafkaVersion::new(3, 9));
    cluster.run_for(Duration::from_secs(3));
    let asked = take(&mut cluster, |request| matches!(request, Request::Heartbeat(_)));
    let rebalance = HeartbeatResponse::default().with_error_code(ErrorCode::REBALANCE_IN_PROGRESS.0);
    cluster.answer(&asked, rebalance);
    cluster.call(Call::Poll { timeout: SECOND });
    assert_eq!(callbacks(&mut cluster), [Completion::PartitionsRevoked(vec![orders()])]);
    cluster.call(Call::Commit { call: 0, offsets: None, sync: true });
    assert_eq!(committing(&cluster), [7]);
    answer_commit(&mut cluster, ErrorCode::NONE);
    assert_eq!(callbacks(&mut cluster), [Completion::Committed { call: 0, result: Ok(()) }]);
    cluster.call(Call::ReturnFromCallback);
    take(&mut cluster, |request| matches!(request, Request::JoinGroup(_)));
    cluster.call(Call::Commit { call: 1, offsets: None, sync: true });
    assert_eq!(committing(&cluster), [0; 0], "it has nothing any more");
}

#[test]
fn close_tells_the_application_what_it_gives_up_before_it_leaves() {
    let mut cluster = member(KafkaVersion::new(3, 9));
    cluster.call(Call::Close { timeout: SECOND });
    assert_eq!(callbacks(&mut cluster), [Completion::PartitionsRevoked(vec![orders()])]);
    cluster.call(Call::Commit { call: 0, offsets: None, sync: true });
    assert_eq!(committing(&cluster), [7]);
    answer_commit(&mut cluster, ErrorCode::NONE);
    // The timeout does not end a callback.
    cluster.run_for(Duration::from_secs(2));
    assert_eq!(callbacks(&mut cluster), [Completion::Committed { call: 0, result: Ok(()) }]);
    assert!(!is_leaving(&cluster));
    cluster.call(Call::ReturnFromCallback);
    assert!(cluster.completed(&Completion::Closed), "its time is up");
}

#[test]
fn close_leaves_when_the_callback_is_over() {
    let mut cluster = member(KafkaVersion::new(3, 9));
    cluster.call(Call::Close { timeout: SECOND });
    cluster.call(Call::ReturnFromCallback);
    assert!(is_leaving(&cluster) && !cluster.completed(&Completion::Closed));
    let asked = take(&mut cluster, |request| matches!(request, Request::LeaveGroup(_)));
    cluster.answer(&asked, LeaveGroupResponse::default());
    assert!(cluster.completed(&Completion::Closed));
}

#[test]
fn who_has_said_goodbye_waits_without_heartbeats() {
    let mut cluster = member(KafkaVersion::new(3, 9));
    cluster.call(Call::Close { timeout: Duration::from_secs(30) });
    cluster.call(Call::ReturnFromCallback);
    cluster.run_for(Duration::from_secs(10));
    let beats = |asked: &Asked| matches!(asked.request, Request::Heartbeat(_));
    assert!(is_leaving(&cluster) && !cluster.asked.iter().any(beats));
    assert!(!cluster.completed(&Completion::Closed));
    cluster.run_for(Duration::from_secs(21));
    assert!(cluster.completed(&Completion::Closed), "its time is up");
}

#[test]
fn before_2_4_close_tells_nobody() {
    let mut cluster = member(KafkaVersion::new(2, 2));
    cluster.call(Call::Close { timeout: SECOND });
    assert_eq!(callbacks(&mut cluster), []);
    assert!(is_leaving(&cluster));
}

#[test]
fn what_somebody_else_may_have_is_lost_not_revoked() {
    let mut cluster = member(KafkaVersion::new(3, 9));
    cluster.run_for(Duration::from_secs(3));
    let asked = take(&mut cluster, |request| matches!(request, Request::Heartbeat(_)));
    let unknown = HeartbeatResponse::default().with_error_code(ErrorCode::UNKNOWN_MEMBER_ID.0);
    cluster.answer(&asked, unknown);
    cluster.call(Call::Close { timeout: SECOND });
    assert_eq!(callbacks(&mut cluster), [Completion::PartitionsLost(vec![orders()])]);
}

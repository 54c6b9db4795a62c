//! One admin client, the brokers played by the test: given calls and answers, which requests and results.

use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::CreateTopicsResponse;
use kafka_protocol::messages::ElectLeadersResponse;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};

use super::*;
use crate::client::testing_cluster::Cluster;
use crate::client::{AdminCall, ConfigResource, NewTopic};
use crate::protocol::Request;
use crate::types::{StrBytes, TopicPartition};

fn cluster() -> Cluster<AdminClient> {
    let mut cluster = Cluster::new(AdminClient::new(vec![NodeId::Broker(1)]));
    cluster.repeated_deadlines = 0;
    cluster
}

fn name(topic: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(topic))
}

fn topic(name_of_it: &'static str) -> NewTopic {
    NewTopic {
        name: name(name_of_it),
        partitions: 3,
        replication_factor: 2,
        assignments: Vec::new(),
        configs: vec![("min.insync.replicas".to_owned(), "2".to_owned())],
    }
}

fn elect(cluster: &mut Cluster<AdminClient>) {
    cluster.call(Call::ElectLeader { partition: TopicPartition::new(name("orders"), 1), unclean: true });
}

/// Answers the oldest request, a CreateTopics, with these errors in the order of the topics.
fn answer_create(cluster: &mut Cluster<AdminClient>, errors: &[ErrorCode]) {
    let asked = cluster.take_asked();
    let Request::CreateTopics(request) = &asked.request else { panic!("it is {}", asked.request.name()) };
    let results =
        request.topics.iter().zip(errors).map(|(topic, error)| {
            CreatableTopicResult::default().with_name(topic.name.clone()).with_error_code(error.0)
        });
    let response = CreateTopicsResponse::default().with_topics(results.collect());
    cluster.answer(&asked, response);
}

fn answer_election(cluster: &mut Cluster<AdminClient>, whole: ErrorCode, of_the_partition: ErrorCode) {
    let asked = cluster.take_asked();
    let partition = PartitionResult::default().with_partition_id(1).with_error_code(of_the_partition.0);
    let topic = ReplicaElectionResult::default().with_topic(name("orders")).with_partition_result(vec![partition]);
    let response = ElectLeadersResponse::default().with_error_code(whole.0).with_replica_election_results(vec![topic]);
    cluster.answer(&asked, response);
}

#[test]
fn each_topic_has_its_result() {
    let mut cluster = cluster();
    cluster.call(Call::CreateTopics(vec![topic("orders"), topic("payments")]));
    let Request::CreateTopics(request) = &cluster.asked[0].request else { panic!("it creates") };
    assert_eq!((request.topics[0].num_partitions, request.topics[0].replication_factor), (3, 2));
    assert_eq!(request.topics[0].configs[0].value.as_ref().map(|value| value.as_str()), Some("2"));
    answer_create(&mut cluster, &[ErrorCode::NONE, ErrorCode::TOPIC_ALREADY_EXISTS]);
    let results = vec![(name("orders"), Ok(())), (name("payments"), Err(ErrorCode::TOPIC_ALREADY_EXISTS))];
    assert_eq!(cluster.take_completions(), [Completion::TopicsCreated(results)]);
    assert_eq!(cluster.machine.next_deadline(), None);
}

#[test]
fn with_given_replicas_the_numbers_are_not_sent() {
    let mut cluster = cluster();
    let placed = NewTopic { assignments: vec![vec![1, 2], vec![2, 1]], ..topic("orders") };
    cluster.call(Call::CreateTopics(vec![placed]));
    let Request::CreateTopics(request) = &cluster.asked[0].request else { panic!("it creates") };
    assert_eq!((request.topics[0].num_partitions, request.topics[0].replication_factor), (-1, -1));
    let replicas = request.topics[0].assignments.iter().map(|a| (a.partition_index, a.broker_ids.clone()));
    let expected = [(0, vec![BrokerId(1), BrokerId(2)]), (1, vec![BrokerId(2), BrokerId(1)])];
    assert_eq!(replicas.collect::<Vec<_>>(), expected);
}

#[test]
fn a_retriable_error_is_retried_once_per_backoff_until_the_api_timeout() {
    let mut cluster = cluster();
    cluster.call(Call::CreateTopics(vec![topic("orders")]));
    for _ in 0..600 {
        assert_eq!(cluster.take_completions(), []);
        answer_create(&mut cluster, &[ErrorCode::NOT_CONTROLLER]);
        cluster.run_for(Duration::from_millis(99));
        assert!(cluster.asked.is_empty(), "not before the backoff is over");
        cluster.run_for(Duration::from_millis(1));
    }
    let results = vec![(name("orders"), Err(ErrorCode::CLIENT_DELIVERY_TIMEOUT))];
    assert_eq!(cluster.take_completions(), [Completion::TopicsCreated(results)]);
    assert!(cluster.asked.is_empty());
}

#[test]
fn a_lost_connection_is_retried() {
    let mut cluster = cluster();
    cluster.call(Call::CreateTopics(vec![topic("orders")]));
    cluster.disconnect(1);
    assert!(cluster.asked.is_empty());
    cluster.run_for(Duration::from_millis(300));
    answer_create(&mut cluster, &[ErrorCode::NONE]);
    assert_eq!(cluster.take_completions(), [Completion::TopicsCreated(vec![(name("orders"), Ok(()))])]);
}

#[test]
fn no_attempt_outlives_the_api_timeout() {
    for refuses_connections in [false, true] {
        let mut cluster = cluster();
        cluster.refuses_connections = refuses_connections;
        elect(&mut cluster);
        cluster.run_for(Duration::from_millis(59_999));
        assert_eq!(cluster.take_completions(), []);
        cluster.run_for(Duration::from_millis(1));
        let timed_out = Completion::LeadersElected(Err(ErrorCode::CLIENT_DELIVERY_TIMEOUT));
        assert_eq!(cluster.take_completions(), [timed_out]);
    }
}

#[test]
fn what_became_of_an_election_is_told_at_once() {
    for (error, result) in [
        (ErrorCode::NONE, Ok(())),
        (ErrorCode::ELECTION_NOT_NEEDED, Err(ErrorCode::ELECTION_NOT_NEEDED)),
        (ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE, Err(ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE)),
    ] {
        let mut cluster = cluster();
        elect(&mut cluster);
        let Request::ElectLeaders(request) = &cluster.asked[0].request else { panic!("it elects") };
        assert_eq!(request.election_type, 1);
        answer_election(&mut cluster, ErrorCode::NONE, error);
        assert_eq!(cluster.take_completions(), [Completion::LeadersElected(result)]);
    }
}

#[test]
fn an_election_that_did_not_reach_the_controller_is_asked_for_again() {
    let mut cluster = cluster();
    elect(&mut cluster);
    answer_election(&mut cluster, ErrorCode::REQUEST_TIMED_OUT, ErrorCode::REQUEST_TIMED_OUT);
    assert_eq!(cluster.take_completions(), []);
    cluster.run_for(Duration::from_millis(100));
    answer_election(&mut cluster, ErrorCode::NONE, ErrorCode::NONE);
    assert_eq!(cluster.take_completions(), [Completion::LeadersElected(Ok(()))]);
}

#[test]
fn calls_are_made_in_order_and_close_waits_for_them() {
    let mut cluster = cluster();
    cluster.call(Call::CreateTopics(vec![topic("orders")]));
    elect(&mut cluster);
    cluster.call(Call::Close { timeout: Duration::from_secs(5) });
    assert_eq!(cluster.asked.len(), 1);
    answer_create(&mut cluster, &[ErrorCode::NONE]);
    answer_election(&mut cluster, ErrorCode::NONE, ErrorCode::NONE);
    let created = Completion::TopicsCreated(vec![(name("orders"), Ok(()))]);
    assert_eq!(cluster.take_completions(), [created, Completion::LeadersElected(Ok(())), Completion::Closed]);
    assert_eq!(cluster.machine.next_deadline(), None);
}

fn answer_deletion(cluster: &mut Cluster<AdminClient>, broker: i32, error: ErrorCode) -> i64 {
    use kafka_protocol::messages::DeleteRecordsResponse;
    use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
    let asked = cluster.take_asked();
    let Request::DeleteRecords(request) = &asked.request else { panic!("it is {}", asked.request.name()) };
    assert_eq!(asked.node, broker);
    let offset = request.topics[0].partitions[0].offset;
    let result = DeleteRecordsPartitionResult::default().with_partition_index(1).with_error_code(error.0);
    let topic = DeleteRecordsTopicResult::default().with_name(name("orders")).with_partitions(vec![result]);
    cluster.answer(&asked, DeleteRecordsResponse::default().with_topics(vec![topic]));
    offset
}

#[test]
fn records_are_deleted_by_the_leader_which_is_looked_for_again_when_it_is_another() {
    let mut cluster = cluster();
    let partition = TopicPartition::new(name("orders"), 1);
    cluster.leaderless.push(("orders".to_owned(), 1));
    cluster.call(Call::Admin(AdminCall::DeleteRecords { partition, before: None }));
    cluster.run_for(Duration::from_millis(100));
    cluster.leaderless.clear();
    cluster.leader = (2, 0);
    cluster.run_for(Duration::from_millis(100));
    answer_deletion(&mut cluster, 2, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(cluster.take_completions(), []);
    cluster.leader = (1, 1);
    cluster.run_for(Duration::from_millis(100));
    cluster.disconnect(1);
    cluster.leader = (2, 2);
    cluster.run_for(Duration::from_millis(300));
    assert_eq!(answer_deletion(&mut cluster, 2, ErrorCode::NONE), -1, "everything committed");
    assert_eq!(cluster.take_completions(), [Completion::AdminDone(Ok(()))]);
}

#[test]
fn an_operators_call_is_answered_with_its_first_error() {
    use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
    use kafka_protocol::messages::{
        AlterPartitionReassignmentsResponse, DeleteTopicsResponse, IncrementalAlterConfigsResponse,
    };
    let mut cluster = cluster();
    let configs = vec![("min.insync.replicas".to_owned(), Some("1".to_owned())), ("retention.ms".to_owned(), None)];
    let resource = ConfigResource::Topic(name("orders"));
    cluster.call(Call::Admin(AdminCall::AlterConfigs { resource, configs }));
    let asked = cluster.take_asked();
    let Request::IncrementalAlterConfigs(request) = &asked.request else { panic!("it is {}", asked.request.name()) };
    let ops = request.resources[0].configs.iter().map(|config| (config.config_operation, config.value.is_some()));
    assert_eq!(ops.collect::<Vec<_>>(), [(0, true), (1, false)]);
    let refused = AlterConfigsResourceResponse::default().with_error_code(ErrorCode::INVALID_CONFIG.0);
    cluster.answer(&asked, IncrementalAlterConfigsResponse::default().with_responses(vec![refused]));
    assert_eq!(cluster.take_completions(), [Completion::AdminDone(Err(ErrorCode::INVALID_CONFIG))]);

    let partition = TopicPartition::new(name("orders"), 0);
    cluster.call(Call::Admin(AdminCall::Reassign { partition, replicas: Some(vec![4, 5]) }));
    let asked = cluster.take_asked();
    cluster.answer(&asked, AlterPartitionReassignmentsResponse::default());
    assert_eq!(cluster.take_completions(), [Completion::AdminDone(Ok(()))]);

    cluster.call(Call::Admin(AdminCall::DeleteTopic(name("orders"))));
    let asked = cluster.take_asked();
    cluster.answer(&asked, DeleteTopicsResponse::default());
    assert_eq!(cluster.take_completions(), [Completion::AdminDone(Ok(()))]);
}

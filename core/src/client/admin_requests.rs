//! An admin client's calls as requests, and what their answers say.
//!
//! Kafka: `KafkaAdminClient`; the tools `kafka-configs`, `kafka-reassign-partitions`, `kafka-topics`, `kafka-delete-records`.

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterPartitionReassignmentsRequest, BrokerId, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, ElectLeadersRequest, ElectLeadersResponse,
    IncrementalAlterConfigsRequest, MetadataRequest, MetadataResponse,
};

use super::{AdminCall, Call, ConfigResource, NewTopic};
use crate::metadata::records::ConfigRecord;
use crate::protocol::{ErrorCode, Request, Response};
use crate::types::{Duration, NodeId, Offset, StrBytes};

pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// As an offset of DeleteRecords: the high watermark.
const DELETE_COMMITTED: Offset = Offset(-1);
const TIMEOUT_MS: i32 = REQUEST_TIMEOUT.as_millis() as i32;

/// The request that a call is; none if it is not one of an admin client.
pub(super) fn request_of(call: &Call) -> Option<Request> {
    match call {
        Call::CreateTopics(topics) => Some(
            CreateTopicsRequest::default()
                .with_topics(topics.iter().map(creatable).collect())
                .with_timeout_ms(REQUEST_TIMEOUT.as_millis() as i32)
                .into(),
        ),
        Call::ElectLeader { partition, unclean } => Some(
            ElectLeadersRequest::default()
                .with_election_type(i8::from(*unclean))
                .with_topic_partitions(Some(vec![
                    TopicPartitions::default()
                        .with_topic(partition.topic.clone())
                        .with_partitions(vec![partition.partition]),
                ]))
                .with_timeout_ms(REQUEST_TIMEOUT.as_millis() as i32)
                .into(),
        ),
        Call::Admin(call) => Some(admin_request(call)),
        Call::Send(_)
        | Call::Flush
        | Call::Close { .. }
        | Call::Assign(_)
        | Call::Subscribe(_)
        | Call::SubscribePattern(_)
        | Call::Pause(_)
        | Call::Resume(_)
        | Call::Wakeup
        | Call::Commit { .. }
        | Call::Worked(..)
        | Call::Store(_)
        | Call::ReturnFromCallback
        | Call::Acknowledge(..)
        | Call::Seek(..)
        | Call::Poll { .. } => None,
    }
}

/// The request that finds the leader for a call that only the leader takes; none where it is known, or any broker will do.
pub(super) fn lookup_of(call: &Call, leader: Option<NodeId>) -> Option<Request> {
    let Call::Admin(AdminCall::DeleteRecords { partition, .. }) = call else { return None };
    let topic = MetadataRequestTopic::default().with_name(Some(partition.topic.clone()));
    let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
    leader.is_none().then(|| request.into())
}

/// The leader that an answer names.
pub(super) fn leader_in(response: &MetadataResponse, call: &Call) -> Option<NodeId> {
    let Call::Admin(AdminCall::DeleteRecords { partition, .. }) = call else { return None };
    let topic = response.topics.iter().find(|topic| topic.name.as_ref() == Some(&partition.topic))?;
    let found = topic.partitions.iter().find(|found| found.partition_index == partition.partition)?;
    (found.error_code == 0 && found.leader_id.0 >= 0).then_some(NodeId::Broker(found.leader_id.0))
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assignments = (0..).zip(&topic.assignments).map(|(partition, replicas)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(partition)
            .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
    });
    let configs = topic.configs.iter().map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    });
    let placed = topic.assignments.is_empty();
    CreatableTopic::default()
        .with_name(topic.name.clone())
        .with_num_partitions(if placed { topic.partitions } else { -1 })
        .with_replication_factor(if placed { topic.replication_factor } else { -1 })
        .with_assignments(assignments.collect())
        .with_configs(configs.collect())
}

/// What became of the one election that was asked for.
pub(super) fn election_error(response: &ElectLeadersResponse) -> ErrorCode {
    let partition = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result).next();
    let error =
        if response.error_code == 0 { partition.map_or(0, |result| result.error_code) } else { response.error_code };
    ErrorCode(error)
}

fn admin_request(call: &AdminCall) -> Request {
    match call {
        AdminCall::AlterConfigs { resource, configs } => alter_configs(resource, configs).into(),
        AdminCall::Reassign { partition, replicas } => {
            let replicas = replicas.as_ref().map(|replicas| replicas.iter().copied().map(BrokerId).collect());
            let target =
                ReassignablePartition::default().with_partition_index(partition.partition).with_replicas(replicas);
            let topic = ReassignableTopic::default().with_name(partition.topic.clone()).with_partitions(vec![target]);
            AlterPartitionReassignmentsRequest::default().with_timeout_ms(TIMEOUT_MS).with_topics(vec![topic]).into()
        }
        AdminCall::CreatePartitions { topic, count, assignments } => {
            let assignments = assignments.as_ref().map(|partitions| {
                let brokers = partitions.iter().map(|replicas| replicas.iter().copied().map(BrokerId).collect());
                brokers.map(|brokers| CreatePartitionsAssignment::default().with_broker_ids(brokers)).collect()
            });
            let topic = CreatePartitionsTopic::default().with_name(topic.clone()).with_count(*count);
            let topics = vec![topic.with_assignments(assignments)];
            CreatePartitionsRequest::default().with_timeout_ms(TIMEOUT_MS).with_topics(topics).into()
        }
        AdminCall::DeleteTopic(topic) => {
            let topics = vec![DeleteTopicState::default().with_name(Some(topic.clone()))];
            DeleteTopicsRequest::default().with_timeout_ms(TIMEOUT_MS).with_topics(topics).into()
        }
        AdminCall::DeleteRecords { partition, before } => {
            let records = DeleteRecordsPartition::default()
                .with_partition_index(partition.partition)
                .with_offset(before.unwrap_or(DELETE_COMMITTED).0);
            let topic = DeleteRecordsTopic::default().with_name(partition.topic.clone()).with_partitions(vec![records]);
            DeleteRecordsRequest::default().with_timeout_ms(TIMEOUT_MS).with_topics(vec![topic]).into()
        }
        AdminCall::AlterClientQuotas { client_id, quotas } => {
            let entity = EntityData::default()
                .with_entity_type(StrBytes::from_static_str("client-id"))
                .with_entity_name(client_id.clone().map(StrBytes::from_string));
            let ops = quotas.iter().map(|(key, value)| {
                OpData::default()
                    .with_key(StrBytes::from_string(key.clone()))
                    .with_value(value.map_or(0.0, f64::from))
                    .with_remove(value.is_none())
            });
            let entry = EntryData::default().with_entity(vec![entity]).with_ops(ops.collect());
            AlterClientQuotasRequest::default().with_entries(vec![entry]).into()
        }
    }
}

fn alter_configs(resource: &ConfigResource, configs: &[(String, Option<String>)]) -> IncrementalAlterConfigsRequest {
    let (resource_type, name) = match resource {
        ConfigResource::Topic(topic) => (ConfigRecord::TOPIC, topic.0.clone()),
        ConfigResource::Broker(id) => {
            (ConfigRecord::BROKER, StrBytes::from_string(id.map_or(String::new(), |id| id.to_string())))
        }
        ConfigResource::Group(group) => (ConfigRecord::GROUP, StrBytes::from_string(group.clone())),
    };
    let configs = configs.iter().map(|(name, value)| {
        AlterableConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_config_operation(i8::from(value.is_none()))
            .with_value(value.clone().map(StrBytes::from_string))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(name)
        .with_configs(configs.collect());
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

/// The first error in the answer to an [`AdminCall`].
pub(super) fn admin_error(response: &Response) -> ErrorCode {
    let first = |mut codes: Box<dyn Iterator<Item = i16> + '_>| codes.find(|code| *code != 0).unwrap_or(0);
    ErrorCode(match response {
        Response::IncrementalAlterConfigs(response) => {
            first(Box::new(response.responses.iter().map(|resource| resource.error_code)))
        }
        Response::AlterPartitionReassignments(response) => {
            let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
            let partitions = partitions.map(|partition| partition.error_code);
            first(Box::new([response.error_code].into_iter().chain(partitions)))
        }
        Response::CreatePartitions(response) => first(Box::new(response.results.iter().map(|topic| topic.error_code))),
        Response::DeleteTopics(response) => first(Box::new(response.responses.iter().map(|topic| topic.error_code))),
        Response::DeleteRecords(response) => {
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            first(Box::new(partitions.map(|partition| partition.error_code)))
        }
        Response::AlterClientQuotas(response) => first(Box::new(response.entries.iter().map(|entry| entry.error_code))),
        _ => ErrorCode::UNKNOWN_SERVER_ERROR.0,
    })
}

/// An operator's call in the words of Kafka's tools; none for what tells of itself.
pub(super) fn words(call: &Call) -> Option<String> {
    let Call::Admin(call) = call else { return None };
    let set = |configs: &mut dyn Iterator<Item = (&str, Option<String>)>| {
        let settings = configs.map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => format!("{name} removed"),
        });
        settings.collect::<Vec<String>>().join(", ")
    };
    let list = |brokers: &[i32]| brokers.iter().map(i32::to_string).collect::<Vec<String>>().join(",");
    Some(match call {
        AdminCall::AlterConfigs { resource, configs } => {
            let of = match resource {
                ConfigResource::Topic(topic) => format!("topic {}", topic.as_str()),
                ConfigResource::Broker(Some(id)) => format!("broker {id}"),
                ConfigResource::Broker(None) => "all brokers".to_owned(),
                ConfigResource::Group(group) => format!("group {group}"),
            };
            let configs = set(&mut configs.iter().map(|(name, value)| (name.as_str(), value.clone())));
            format!("alter the configuration of {of}: {configs}")
        }
        AdminCall::Reassign { partition, replicas: Some(replicas) } => {
            format!("reassign {partition} to {}", list(replicas))
        }
        AdminCall::Reassign { partition, replicas: None } => format!("cancel the reassignment of {partition}"),
        AdminCall::CreatePartitions { topic, count, .. } => {
            format!("let topic {} have {count} partitions", topic.as_str())
        }
        AdminCall::DeleteTopic(topic) => format!("delete topic {}", topic.as_str()),
        AdminCall::DeleteRecords { partition, before: Some(before) } => {
            format!("delete the records of {partition} below {before}")
        }
        AdminCall::DeleteRecords { partition, before: None } => format!("delete all committed records of {partition}"),
        AdminCall::AlterClientQuotas { client_id, quotas } => {
            let of = client_id.as_ref().map_or("all clients".to_owned(), |name| format!("client {name}"));
            let quotas =
                set(&mut quotas.iter().map(|(name, value)| (name.as_str(), value.map(|value| value.to_string()))));
            format!("alter the limits of {of}: {quotas}")
        }
    })
}

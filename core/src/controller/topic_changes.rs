//! CreatePartitions and DeleteTopics: topics that grow, and topics that go.
//!
//! Kafka: `ReplicationControlManager.createPartitions`, `deleteTopics`; `ControllerApis.deleteTopics`; KIP-195, KIP-516.
//! A key's partition is a hash modulo the number of partitions: where that grows, most keys move, and nobody moves their
//! records.
//! Not modelled: authorisation, mutation quotas.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};

use super::Decision;
use super::placement::place;
use super::topic_creation::{Refusal, Replicas, check_replicas, new_partition, settle, usable_brokers};
use crate::config::BrokerConfig;
use crate::metadata::records::RemoveTopicRecord;
use crate::metadata::{MetadataImage, MetadataRecord};
use crate::protocol::ErrorCode;
use crate::types::Prng;

/// Decides on a CreatePartitions request.
pub fn create_partitions(
    image: &MetadataImage,
    request: &CreatePartitionsRequest,
    rng: &mut Prng,
) -> Decision<CreatePartitionsResponse> {
    let mut records = Vec::new();
    let mut response = CreatePartitionsResponse::default();
    for topic in &request.topics {
        let result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
        let (error, message) = settle(added(image, topic, rng), &mut records);
        response.results.push(result.with_error_code(error).with_error_message(message));
    }
    if request.validate_only {
        records.clear();
    }
    Decision { records, response }
}

fn added(image: &MetadataImage, topic: &CreatePartitionsTopic, rng: &mut Prng) -> Result<Vec<MetadataRecord>, Refusal> {
    let name = topic.name.as_str();
    let Some(existing) = image.topics.get(&topic.name) else {
        return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.".into()));
    };
    let (has, wanted) = (existing.partitions, topic.count);
    if wanted <= has {
        let message = if wanted == has {
            format!("Topic already has {has} partition(s).")
        } else {
            format!("The topic {name} currently has {has} partition(s); {wanted} would not be an increase.")
        };
        return Err((ErrorCode::INVALID_PARTITIONS, message));
    }
    let additional = usize::try_from(wanted - has).unwrap_or(usize::MAX);
    let factor = image.partitions_of(&topic.name).next().map_or(0, |(_, partition)| partition.replicas.len());
    let (replicas, said) = match &topic.assignments {
        Some(assignments) => {
            if assignments.len() != additional {
                let message = format!(
                    "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                    assignments.len()
                );
                return Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
            }
            let mut named = Vec::new();
            for assignment in assignments {
                let replicas: Vec<i32> = assignment.broker_ids.iter().map(|broker| broker.0).collect();
                check_replicas(image, &replicas, Some(factor))
                    .map_err(|message| (ErrorCode::INVALID_REPLICA_ASSIGNMENT, message))?;
                named.push(replicas);
            }
            (named, Replicas::Named)
        }
        None => {
            let placed = place(&usable_brokers(image), additional, factor, rng).map_err(|why| {
                let message = format!("Unable to replicate the partition {factor} time(s): {why}");
                (ErrorCode::INVALID_REPLICATION_FACTOR, message)
            })?;
            (placed, Replicas::Placed)
        }
    };
    (has..).zip(replicas).map(|(number, replicas)| new_partition(image, existing.id, number, replicas, said)).collect()
}

/// Decides on a DeleteTopics request. What is deleted is gone: the id never comes back, the name may.
pub fn delete_topics(
    image: &MetadataImage,
    config: &BrokerConfig,
    request: &DeleteTopicsRequest,
) -> Decision<DeleteTopicsResponse> {
    let mut records = Vec::new();
    let mut response = DeleteTopicsResponse::default();
    let by_name = request.topic_names.iter().map(|name| DeleteTopicState::default().with_name(Some(name.clone())));
    for topic in request.topics.iter().cloned().chain(by_name) {
        let found = match &topic.name {
            Some(name) => image.topics.get(name).map(|known| (known.id, name.clone())),
            None => image.topic_names.get(&topic.topic_id).map(|name| (topic.topic_id, name.clone())),
        };
        let result = DeletableTopicResult::default().with_error_message(None);
        response.responses.push(match found {
            _ if !config.delete_topic_enable => result
                .with_name(topic.name)
                .with_topic_id(topic.topic_id)
                .with_error_code(ErrorCode::TOPIC_DELETION_DISABLED.0),
            Some((topic_id, name)) => {
                records.push(MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id }));
                result.with_name(Some(name)).with_topic_id(topic_id)
            }
            None => {
                let error = if topic.name.is_some() {
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                } else {
                    ErrorCode::UNKNOWN_TOPIC_ID
                };
                result.with_name(topic.name).with_topic_id(topic.topic_id).with_error_code(error.0)
            }
        });
    }
    Decision { records, response }
}

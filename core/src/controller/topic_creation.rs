//! CreateTopics: names, properties and replicas are checked topic by topic; those that pass are created in one batch.
//!
//! Kafka: `ControllerApis.createTopics`, `ReplicationControlManager.createTopics`, `Topic.validate`.
//! Not modelled: policies, quotas, authorisation, the effective configuration in the response.

use std::collections::BTreeMap;

use kafka_protocol::messages::CreateTopicsResponse;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use uuid::Uuid;

use super::placement::{UsableBroker, place};
use super::{Decision, topic_configs};
use crate::config::BrokerConfig;
use crate::metadata::records::{ConfigRecord, PartitionRecord, TopicRecord};
use crate::metadata::{CLUSTER_METADATA_TOPIC, LeaderRecoveryState, MetadataImage, MetadataRecord};
use crate::protocol::ErrorCode;
use crate::types::{LeaderEpoch, PartitionEpoch, Prng, StrBytes, TopicName};

/// As many records as one request may write (`MAX_RECORDS_PER_USER_OP`).
const MAX_RECORDS_PER_REQUEST: usize = 10_000;
const MAX_NAME_LENGTH: usize = 249;

/// Why something is not done, and the words for it.
pub(super) type Refusal = (ErrorCode, String);

/// The records of what is granted are kept; says the error code and the words of what is refused.
pub(super) fn settle(
    result: Result<impl IntoIterator<Item = MetadataRecord>, Refusal>,
    records: &mut Vec<MetadataRecord>,
) -> (i16, Option<StrBytes>) {
    match result {
        Ok(granted) => {
            records.extend(granted);
            (ErrorCode::NONE.0, None)
        }
        Err((error, message)) => (error.0, Some(StrBytes::from_string(message))),
    }
}

/// Creates topics in a cluster as it is.
#[derive(Clone, Copy, Debug)]
pub struct TopicCreation<'a> {
    /// The cluster.
    pub image: &'a MetadataImage,
    /// The controller's configuration.
    pub config: &'a BrokerConfig,
}

impl TopicCreation<'_> {
    /// Decides on a request.
    pub fn create_topics(&self, request: &CreateTopicsRequest, rng: &mut Prng) -> Decision<CreateTopicsResponse> {
        let mut records = Vec::new();
        let mut response = CreateTopicsResponse::default();
        let mut named: BTreeMap<&TopicName, usize> = BTreeMap::new();
        for topic in &request.topics {
            *named.entry(&topic.name).or_default() += 1;
        }
        for topic in &request.topics {
            let created = match named.get_mut(&topic.name) {
                Some(1) => self.create_topic(topic, MAX_RECORDS_PER_REQUEST - records.len(), rng),
                Some(0) | None => continue,
                Some(times) => {
                    *times = 0;
                    Err((ErrorCode::INVALID_REQUEST, "Duplicate topic name.".to_owned()))
                }
            };
            response.topics.push(match created {
                Ok((result, topic_records)) => {
                    records.extend(topic_records);
                    result
                }
                Err((error, message)) => CreatableTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_error_code(error.0)
                    .with_error_message(Some(StrBytes::from_string(message))),
            });
        }
        if request.validate_only {
            records.clear();
        }
        Decision { records, response }
    }

    fn create_topic(
        &self,
        topic: &CreatableTopic,
        records_left: usize,
        rng: &mut Prng,
    ) -> Result<(CreatableTopicResult, Vec<MetadataRecord>), Refusal> {
        self.check_name(&topic.name)?;
        let mut records = Vec::new();
        let topic_id = self.new_topic_id(rng);
        records.push(MetadataRecord::Topic(TopicRecord { name: topic.name.clone(), topic_id }));
        records.extend(config_records(topic)?);
        let (partitions, said) = if topic.assignments.is_empty() {
            (self.place(topic, records_left.saturating_sub(records.len()), rng)?, Replicas::Placed)
        } else {
            (self.check_assignment(topic)?, Replicas::Named)
        };
        let (partition_count, replication_factor) = (partitions.len(), partitions.first().map_or(0, Vec::len));
        for (partition_id, replicas) in (0..).zip(partitions) {
            records.push(new_partition(self.image, topic_id, partition_id, replicas, said)?);
        }
        if records.len() > records_left {
            return Err(too_much());
        }
        let result = CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic_id)
            .with_num_partitions(i32::try_from(partition_count).unwrap_or(i32::MAX))
            .with_replication_factor(i16::try_from(replication_factor).unwrap_or(i16::MAX));
        Ok((result, records))
    }

    fn check_name(&self, name: &TopicName) -> Result<(), Refusal> {
        if name.as_str() == CLUSTER_METADATA_TOPIC {
            let message = format!("Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited.");
            return Err((ErrorCode::INVALID_REQUEST, message));
        }
        if self.image.topics.contains_key(name) {
            return Err((ErrorCode::TOPIC_ALREADY_EXISTS, format!("Topic '{}' already exists.", name.as_str())));
        }
        validate_name(name.as_str())
            .map_err(|reason| (ErrorCode::INVALID_TOPIC_EXCEPTION, format!("Topic name is invalid: {reason}")))?;
        // Metric names do not tell a dot from an underscore.
        let unified = |name: &str| name.replace('.', "_");
        let wanted = unified(name.as_str());
        match self.image.topics.keys().find(|existing| unified(existing.as_str()) == wanted) {
            Some(existing) => Err((
                ErrorCode::INVALID_TOPIC_EXCEPTION,
                format!("Topic '{}' collides with existing topic: {}", name.as_str(), existing.as_str()),
            )),
            None => Ok(()),
        }
    }

    fn new_topic_id(&self, rng: &mut Prng) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&rng.next_u64().to_be_bytes());
        bytes[8..].copy_from_slice(&rng.next_u64().to_be_bytes());
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn place(&self, topic: &CreatableTopic, partitions_left: usize, rng: &mut Prng) -> Result<Vec<Vec<i32>>, Refusal> {
        let partitions = match topic.num_partitions {
            -1 => self.config.num_partitions,
            partitions => partitions,
        };
        let replication_factor = match topic.replication_factor {
            -1 => self.config.default_replication_factor,
            replication_factor => replication_factor,
        };
        let Some(factor) = usize::try_from(replication_factor).ok().filter(|factor| *factor > 0) else {
            let message = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err((ErrorCode::INVALID_REPLICATION_FACTOR, message.to_owned()));
        };
        let Some(partitions) = usize::try_from(partitions).ok().filter(|partitions| *partitions > 0) else {
            let message = "Number of partitions was set to an invalid non-positive value.";
            return Err((ErrorCode::INVALID_PARTITIONS, message.to_owned()));
        };
        if partitions > partitions_left {
            return Err(too_much());
        }
        place(&usable_brokers(self.image), partitions, factor, rng).map_err(|why| {
            let message = format!("Unable to replicate the partition {factor} time(s): {why}");
            (ErrorCode::INVALID_REPLICATION_FACTOR, message)
        })
    }

    /// The replicas that the request names, in the order of the partitions.
    fn check_assignment(&self, topic: &CreatableTopic) -> Result<Vec<Vec<i32>>, Refusal> {
        let invalid = |message: String| (ErrorCode::INVALID_REPLICA_ASSIGNMENT, message);
        if topic.replication_factor != -1 {
            let message = "A manual partition assignment was specified, but replication factor was not set to -1.";
            return Err((ErrorCode::INVALID_REQUEST, message.to_owned()));
        }
        if topic.num_partitions != -1 {
            let message = "A manual partition assignment was specified, but numPartitions was not set to -1.";
            return Err((ErrorCode::INVALID_REQUEST, message.to_owned()));
        }
        let mut partitions: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        let mut replication_factor = None;
        for assignment in &topic.assignments {
            let partition = assignment.partition_index;
            let replicas: Vec<i32> = assignment.broker_ids.iter().map(|id| id.0).collect();
            if partitions.contains_key(&partition) {
                let message = format!("Found multiple manual partition assignments for partition {partition}");
                return Err(invalid(message));
            }
            check_replicas(self.image, &replicas, replication_factor).map_err(invalid)?;
            replication_factor = Some(replicas.len());
            partitions.insert(partition, replicas);
        }
        if partitions.keys().zip(0..).any(|(partition, expected)| *partition != expected) {
            return Err(invalid("partitions should be a consecutive 0-based integer sequence".to_owned()));
        }
        Ok(partitions.into_values().collect())
    }
}

/// Who said where the replicas of a new partition go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replicas {
    /// The request.
    Named,
    /// The controller.
    Placed,
}

/// A partition whose ISR is what works of its replicas, and whose leader is the first of those.
pub(super) fn new_partition(
    image: &MetadataImage,
    topic_id: Uuid,
    partition_id: i32,
    replicas: Vec<i32>,
    said: Replicas,
) -> Result<MetadataRecord, Refusal> {
    let isr: Vec<i32> = replicas.iter().copied().filter(|broker| image.is_active(*broker)).collect();
    let Some(leader) = isr.first().copied() else {
        return Err(match said {
            Replicas::Placed => {
                let message = format!(
                    "Unable to replicate the partition {} time(s): All brokers are currently fenced or in controlled \
                     shutdown.",
                    replicas.len()
                );
                (ErrorCode::INVALID_REPLICATION_FACTOR, message)
            }
            Replicas::Named => {
                let message = format!(
                    "All brokers specified in the manual partition assignment for partition {partition_id} are fenced \
                     or in controlled shutdown."
                );
                (ErrorCode::INVALID_REPLICA_ASSIGNMENT, message)
            }
        });
    };
    Ok(MetadataRecord::Partition(PartitionRecord {
        partition_id,
        topic_id,
        replicas,
        isr,
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader,
        leader_recovery_state: LeaderRecoveryState::Recovered,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        directories: Vec::new(),
        eligible_leader_replicas: Vec::new(),
        last_known_elr: Vec::new(),
    }))
}

/// The brokers that may get replicas.
pub(super) fn usable_brokers(image: &MetadataImage) -> Vec<UsableBroker> {
    let brokers = image.brokers.iter().filter(|(_, broker)| broker.fenced || !broker.in_controlled_shutdown);
    brokers.map(|(id, broker)| UsableBroker { id: *id, fenced: broker.fenced }).collect()
}

/// Whether a partition can have these replicas; the error is what Kafka says.
pub(super) fn check_replicas(
    image: &MetadataImage,
    replicas: &[i32],
    replication_factor: Option<usize>,
) -> Result<(), String> {
    let includes = "The manual partition assignment includes";
    if replicas.is_empty() {
        return Err(format!("{includes} an empty replica list."));
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    for (position, broker) in sorted.iter().enumerate() {
        if !image.brokers.contains_key(broker) {
            return Err(format!("{includes} broker {broker}, but no such broker is registered."));
        }
        if position > 0 && sorted[position - 1] == *broker {
            return Err(format!("{includes} the broker {broker} more than once."));
        }
    }
    match replication_factor {
        Some(factor) if factor != replicas.len() => Err(format!(
            "{includes} a partition with {} replica(s), but this is not consistent with previous partitions, which \
             have {factor} replica(s).",
            replicas.len()
        )),
        Some(_) | None => Ok(()),
    }
}

fn too_much() -> Refusal {
    (ErrorCode::POLICY_VIOLATION, "Unable to perform excessively large batch operation.".to_owned())
}

fn config_records(topic: &CreatableTopic) -> Result<Vec<MetadataRecord>, Refusal> {
    let without_value: Vec<&str> =
        topic.configs.iter().filter(|config| config.value.is_none()).map(|config| config.name.as_str()).collect();
    if !without_value.is_empty() {
        let message = format!("Null value not supported for topic configs: {}", without_value.join(","));
        return Err((ErrorCode::INVALID_CONFIG, message));
    }
    // The last of several values of one name counts.
    let mut values: BTreeMap<&str, &StrBytes> = BTreeMap::new();
    for config in &topic.configs {
        if let Some(value) = &config.value {
            topic_configs::validate(&config.name, value).map_err(|why| (ErrorCode::INVALID_CONFIG, why))?;
            values.insert(config.name.as_str(), value);
        }
    }
    let records = values.into_iter().map(|(name, value)| {
        MetadataRecord::Config(ConfigRecord {
            resource_type: ConfigRecord::TOPIC,
            resource_name: topic.name.0.clone(),
            name: StrBytes::from_string(name.to_owned()),
            value: Some(value.clone()),
        })
    });
    Ok(records.collect())
}

/// Whether this can be the name of a topic; the error is the reason, in Kafka's words.
fn validate_name(name: &str) -> Result<(), String> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        "" => Err("the empty string is not allowed".to_owned()),
        "." => Err("'.' is not allowed".to_owned()),
        ".." => Err("'..' is not allowed".to_owned()),
        _ if name.len() > MAX_NAME_LENGTH => {
            Err(format!("the length of '{name}' is longer than the max allowed length {MAX_NAME_LENGTH}"))
        }
        _ if !name.bytes().all(is_legal) => {
            Err(format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"))
        }
        _ => Ok(()),
    }
}

//! IncrementalAlterConfigs and AlterClientQuotas: properties of topics and brokers, and limits for clients, that change
//! while everything runs.
//!
//! Kafka: `ConfigurationControlManager`, `ClientQuotaControlManager`, `ConfigAdminManager`; KIP-339, KIP-546, KIP-966.
//! What a change means is for those to say who use the property; the image only keeps it.
//! Not modelled: policies, the loggers of brokers, client metrics, limits for users and for addresses.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::alter_client_quotas_request::EntryData;
use kafka_protocol::messages::alter_client_quotas_response;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::replication_control::ReplicationControl;
use super::topic_creation::{Refusal, settle};
use super::{Decision, topic_configs};
use crate::config::{MetadataMode, dynamic, validate_group_property};
use crate::metadata::MetadataRecord;
use crate::metadata::records::{ClientQuotaRecord, ConfigRecord, QuotaEntity};
use crate::protocol::ErrorCode;
use crate::types::{StrBytes, TopicName, TopicPartition};

/// `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// The properties that are lists.
const LISTS: [&str; 4] = [
    "cleanup.policy",
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    "log.cleanup.policy",
];

/// The limits there are.
const QUOTAS: [&str; 2] = ["consumer_byte_rate", "producer_byte_rate"];

impl ReplicationControl<'_> {
    /// IncrementalAlterConfigs. Each resource changes as a whole or not at all.
    pub fn alter_configs(&self, request: &IncrementalAlterConfigsRequest) -> Decision<IncrementalAlterConfigsResponse> {
        let mut records = Vec::new();
        let mut response = IncrementalAlterConfigsResponse::default();
        for resource in &request.resources {
            let result = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            let (error, message) = settle(self.alter_resource(resource), &mut records);
            response.responses.push(result.with_error_code(error).with_error_message(message));
        }
        if request.validate_only {
            records.clear();
        }
        Decision { records, response }
    }

    fn alter_resource(&self, resource: &AlterConfigsResource) -> Result<Vec<MetadataRecord>, Refusal> {
        let name = resource.resource_name.as_str();
        let present = match resource.resource_type {
            ConfigRecord::TOPIC => {
                let topic = TopicName(resource.resource_name.clone());
                if !self.image.topics.contains_key(&topic) {
                    let message = format!("The topic '{name}' does not exist.");
                    return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message));
                }
                self.image.topic_configs.get(&topic)
            }
            ConfigRecord::BROKER => {
                if !name.is_empty() && name.parse::<i32>().is_err() {
                    let message = format!("Unable to parse broker name as a base 10 number: {name}");
                    return Err((ErrorCode::INVALID_REQUEST, message));
                }
                self.image.broker_configs.get(name)
            }
            ConfigRecord::GROUP => self.image.group_configs.get(name),
            other => {
                return Err((ErrorCode::INVALID_REQUEST, format!("Unable to alter a resource of type {other}.")));
            }
        };
        let mut records = Vec::new();
        for config in &resource.configs {
            let before = present.and_then(|present| present.get(config.name.as_str())).map(String::as_str);
            let value = new_value(config, before)?;
            if let Some(value) = &value {
                self.check_value(resource.resource_type, config.name.as_str(), value)?;
            }
            if value.as_deref() == before {
                continue;
            }
            records.push(MetadataRecord::Config(ConfigRecord {
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
                name: config.name.clone(),
                value: value.map(StrBytes::from_string),
            }));
        }
        Ok(records)
    }

    fn check_value(&self, resource_type: i8, name: &str, value: &str) -> Result<(), Refusal> {
        let (error, checked) = match resource_type {
            ConfigRecord::BROKER => (ErrorCode::INVALID_REQUEST, dynamic::validate(name, value)),
            ConfigRecord::GROUP => {
                (ErrorCode::INVALID_CONFIG, validate_group_property(&self.config.groups.share, name, value))
            }
            _ => (ErrorCode::INVALID_CONFIG, topic_configs::validate(name, value)),
        };
        checked.map_err(|why| (error, why))
    }

    /// What a change of properties, which the image has by now, leads to at once. KRaft's controller elects uncleanly only
    /// at its next periodic look; ZooKeeper's did as soon as that was allowed. With ELR another `min.insync.replicas` is
    /// another ELR.
    pub fn after_config_change(
        &self,
        request: &IncrementalAlterConfigsRequest,
        leaderless: &BTreeSet<TopicPartition>,
    ) -> Vec<MetadataRecord> {
        let alters =
            |resource: &AlterConfigsResource, name: &str| resource.configs.iter().any(|one| one.name.as_str() == name);
        let mut records = Vec::new();
        for resource in &request.resources {
            let concerns = |partition: &TopicPartition| {
                resource.resource_type != ConfigRecord::TOPIC || partition.topic.0 == resource.resource_name
            };
            if self.config.metadata_mode == MetadataMode::ZooKeeper
                && alters(resource, "unclean.leader.election.enable")
            {
                let waiting = leaderless.iter().filter(|partition| concerns(partition));
                records.extend(self.elect_unclean_leaders(waiting, usize::MAX));
            }
            if self.config.toggles.elr && alters(resource, "min.insync.replicas") {
                let partitions = self.image.partitions.keys().filter(|partition| concerns(partition));
                records.extend(self.refresh_elr(partitions));
            }
        }
        records
    }

    /// AlterClientQuotas.
    pub fn alter_client_quotas(&self, request: &AlterClientQuotasRequest) -> Decision<AlterClientQuotasResponse> {
        let mut records = Vec::new();
        let mut response = AlterClientQuotasResponse::default();
        for entry in &request.entries {
            let entity = entry.entity.iter().map(|entity| {
                alter_client_quotas_response::EntityData::default()
                    .with_entity_type(entity.entity_type.clone())
                    .with_entity_name(entity.entity_name.clone())
            });
            let result = alter_client_quotas_response::EntryData::default().with_entity(entity.collect());
            let (error, message) = settle(quota_records(entry), &mut records);
            response.entries.push(result.with_error_code(error).with_error_message(message));
        }
        if request.validate_only {
            records.clear();
        }
        Decision { records, response }
    }
}

/// The value after an operation; none is no value of its own.
fn new_value(config: &AlterableConfig, before: Option<&str>) -> Result<Option<String>, Refusal> {
    let name = config.name.as_str();
    let given = config.value.as_ref().map(|value| value.as_str());
    let items =
        |text: &str| text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
    match (config.config_operation, given) {
        (DELETE, _) => Ok(None),
        (SET, Some(value)) => Ok(Some(value.to_owned())),
        (APPEND | SUBTRACT, Some(value)) if LISTS.contains(&name) => {
            let (mut list, given): (Vec<String>, Vec<String>) = (items(before.unwrap_or_default()), items(value));
            list.retain(|item| !given.contains(item));
            if config.config_operation == APPEND {
                list.extend(given);
            }
            Ok(Some(list.join(",")))
        }
        (APPEND | SUBTRACT, Some(_)) => Err((
            ErrorCode::INVALID_CONFIG,
            format!("Can't append or subtract to key {name} because its type is not LIST."),
        )),
        (SET | APPEND | SUBTRACT, None) => {
            Err((ErrorCode::INVALID_REQUEST, format!("Null value not supported for : {name}")))
        }
        (other, _) => Err((ErrorCode::INVALID_REQUEST, format!("Unknown operation type {other}"))),
    }
}

fn quota_records(entry: &EntryData) -> Result<Vec<MetadataRecord>, Refusal> {
    let entity: QuotaEntity =
        entry.entity.iter().map(|entity| (entity.entity_type.clone(), entity.entity_name.clone())).collect();
    if entity.len() != 1 || entity[0].0.as_str() != "client-id" {
        let message = "Only limits for client ids are modelled: users and addresses are not.".to_owned();
        return Err((ErrorCode::INVALID_REQUEST, message));
    }
    let mut values: BTreeMap<StrBytes, Option<i64>> = BTreeMap::new();
    for op in &entry.ops {
        if !QUOTAS.contains(&op.key.as_str()) {
            let message = format!("Invalid configuration key {}", op.key.as_str());
            return Err((ErrorCode::INVALID_REQUEST, message));
        }
        let value = op.value as i64;
        if !op.remove && value < 1 {
            let message = format!("Quota {} must be greater than 0", op.key.as_str());
            return Err((ErrorCode::INVALID_REQUEST, message));
        }
        values.insert(op.key.clone(), (!op.remove).then_some(value));
    }
    let record = |(key, value)| MetadataRecord::ClientQuota(ClientQuotaRecord { entity: entity.clone(), key, value });
    Ok(values.into_iter().map(record).collect())
}

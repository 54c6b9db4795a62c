//! Key 3, Metadata: brokers, topics, leaders. As this broker believes.
//!
//! Kafka: `KafkaApis.handleTopicMetadataRequest`, `KRaftMetadataCache`, `AutoTopicCreationManager`. Versions 1 to 12;
//! KIP-4, KIP-516 (by topic id).
//! A leader that is registered but fenced is named as the leader and missing among the brokers, as in Kafka.
//! Not modelled: version 0, listeners, authorization, internal topics.

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{CreateTopicsRequest, MetadataRequest, MetadataResponse};
use uuid::Uuid;

use super::super::broker::Broker;
use super::super::socket_server::ReplyTo;
use super::super::{PORT, host_of};
use super::Forwarded;
use crate::config::KafkaVersion;
use crate::machine::Context;
use crate::metadata::{MetadataImage, PartitionRegistration};
use crate::protocol::ErrorCode;
use crate::types::{BrokerId, TopicName};

/// `request.timeout.ms` of the broker.
const REQUEST_TIMEOUT_MS: i32 = 30_000;

impl Broker {
    pub(in super::super) fn handle_metadata(
        &mut self,
        reply_to: ReplyTo,
        request: MetadataRequest,
        ctx: &mut Context<'_>,
    ) {
        let image = self.image();
        let mut topics = Vec::new();
        let mut missing = Vec::new();
        match request.topics {
            None => topics.extend(image.topics.keys().filter_map(|name| topic_metadata(image, name))),
            Some(asked) => {
                for topic in asked {
                    let by_id = !topic.topic_id.is_nil();
                    let name = if by_id { image.topic_names.get(&topic.topic_id).cloned() } else { topic.name };
                    match name.as_ref().and_then(|name| topic_metadata(image, name)) {
                        Some(metadata) => topics.push(metadata),
                        None if by_id => topics.push(unknown_id(topic.topic_id)),
                        None => missing.extend(name),
                    }
                }
            }
        }
        let may_create = request.allow_auto_topic_creation && self.config.auto_create_topics_enable;
        topics.extend(self.missing_topics(missing, may_create, ctx));
        let brokers = self.alive_brokers();
        // KRaft's brokers name any of themselves as the controller: whoever it is hands the request on.
        let controller_id = match brokers.len() {
            0 => BrokerId(-1),
            alive => brokers[ctx.rng().below(alive as u64) as usize].node_id,
        };
        let response =
            MetadataResponse::default().with_brokers(brokers).with_controller_id(controller_id).with_topics(topics);
        self.reply(reply_to, response, ctx);
    }

    fn alive_brokers(&self) -> Vec<MetadataResponseBroker> {
        let alive = self.image().brokers.iter().filter(|(_, registration)| !registration.fenced);
        let entry = alive.map(|(id, registration)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(*id))
                .with_host(host_of(*id))
                .with_port(PORT)
                .with_rack(registration.rack.clone())
        });
        entry.collect()
    }

    /// What is said about topics that do not exist; legal ones are created if they may be.
    fn missing_topics(
        &mut self,
        missing: Vec<TopicName>,
        may_create: bool,
        ctx: &mut Context<'_>,
    ) -> Vec<MetadataResponseTopic> {
        let mut topics = Vec::with_capacity(missing.len());
        let mut new = Vec::new();
        for name in missing {
            let error = if !is_legal(name.as_str()) {
                ErrorCode::INVALID_TOPIC_EXCEPTION
            } else if !may_create || !self.being_created.insert(name.clone()) {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            } else {
                new.push(name.clone());
                // A ZooKeeper broker writes the topic itself before it answers.
                if self.config.version < KafkaVersion::new(3, 0) {
                    ErrorCode::LEADER_NOT_AVAILABLE
                } else {
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                }
            };
            topics.push(MetadataResponseTopic::default().with_error_code(error.0).with_name(Some(name)));
        }
        if !new.is_empty() {
            let creatable = |name: &TopicName| {
                CreatableTopic::default()
                    .with_name(name.clone())
                    .with_num_partitions(self.config.num_partitions)
                    .with_replication_factor(self.config.default_replication_factor)
            };
            let request = CreateTopicsRequest::default()
                .with_topics(new.iter().map(creatable).collect())
                .with_timeout_ms(REQUEST_TIMEOUT_MS);
            self.forwarding.send(Forwarded::AutoCreation(new), request, ctx);
        }
        topics
    }
}

fn unknown_id(id: Uuid) -> MetadataResponseTopic {
    MetadataResponseTopic::default().with_error_code(ErrorCode::UNKNOWN_TOPIC_ID.0).with_topic_id(id).with_name(None)
}

fn topic_metadata(image: &MetadataImage, name: &TopicName) -> Option<MetadataResponseTopic> {
    let topic = image.topics.get(name)?;
    let partitions = image.partitions_of(name).map(|(p, state)| partition_metadata(image, p.partition, state));
    let response = MetadataResponseTopic::default()
        .with_name(Some(name.clone()))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect());
    Some(response)
}

fn partition_metadata(image: &MetadataImage, index: i32, state: &PartitionRegistration) -> MetadataResponsePartition {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    let has_leader = image.brokers.contains_key(&state.leader);
    let error = if has_leader { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE };
    let is_offline = |id: &&i32| image.brokers.get(id).is_none_or(|registration| registration.fenced);
    MetadataResponsePartition::default()
        .with_partition_index(index)
        .with_error_code(error.0)
        .with_leader_id(BrokerId(if has_leader { state.leader } else { -1 }))
        .with_leader_epoch(state.leader_epoch.0)
        .with_replica_nodes(ids(&state.replicas))
        .with_isr_nodes(ids(&state.isr))
        .with_offline_replicas(state.replicas.iter().filter(is_offline).copied().map(BrokerId).collect())
}

/// `Topic.validate`.
fn is_legal(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !matches!(name, "" | "." | "..") && name.len() <= 249 && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::is_legal;

    #[test]
    fn topic_names_are_what_kafka_allows() {
        for (name, legal) in [
            ("orders", true),
            ("a.b_c-D9", true),
            ("", false),
            (".", false),
            ("..", false),
            ("...", true),
            ("a b", false),
            ("über", false),
        ] {
            assert_eq!(is_legal(name), legal, "{name}");
        }
        assert!(is_legal(&"x".repeat(249)));
        assert!(!is_legal(&"x".repeat(250)));
    }
}

//! What a partition has to know of its broker and of the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{BrokerConfig, LogConfig};
use crate::metadata::{BrokerRegistration, MetadataDelta, MetadataImage};
use crate::types::{BrokerEpoch, TopicName};

/// The broker's configuration, and the cluster as its metadata has it.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// `server.properties`.
    pub config: Arc<BrokerConfig>,
    /// The incarnation of this broker; -1 until it is registered.
    pub broker_epoch: BrokerEpoch,
    /// All brokers.
    pub brokers: BTreeMap<i32, BrokerRegistration>,
    /// How many partitions each topic has.
    pub topics: BTreeMap<TopicName, i32>,
}

impl Surroundings {
    /// Nothing is known of the others.
    pub fn new(config: Arc<BrokerConfig>) -> Self {
        Self { config, broker_epoch: BrokerEpoch(-1), brokers: BTreeMap::new(), topics: BTreeMap::new() }
    }

    /// Takes over what changed.
    pub fn update(&mut self, image: &MetadataImage, delta: &MetadataDelta) {
        for id in &delta.brokers {
            match image.brokers.get(id) {
                Some(registration) => self.brokers.insert(*id, registration.clone()),
                None => self.brokers.remove(id),
            };
        }
        for partition in &delta.partitions {
            if let Some(topic) = image.topics.get(&partition.topic)
                && self.topics.get(&partition.topic) != Some(&topic.partitions)
            {
                self.topics.insert(partition.topic.clone(), topic.partitions);
            }
        }
    }

    /// The configuration of a topic's logs.
    pub fn log_config(&self, image: &MetadataImage, topic: &TopicName) -> LogConfig {
        match image.topic_configs.get(topic) {
            Some(overrides) => self.config.log.with_overrides(overrides, self.config.version),
            None => self.config.log.clone(),
        }
    }
}

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
    /// What topics have by default: `server.properties`, and what was set while brokers ran.
    log_defaults: LogConfig,
}

impl Surroundings {
    /// Nothing is known of the others.
    pub fn new(config: Arc<BrokerConfig>) -> Self {
        let log_defaults = config.log.clone();
        let broker_epoch = BrokerEpoch(-1);
        Self { config, broker_epoch, brokers: BTreeMap::new(), topics: BTreeMap::new(), log_defaults }
    }

    /// Takes over what changed.
    pub fn update(&mut self, image: &MetadataImage, delta: &MetadataDelta) {
        for id in &delta.brokers {
            match image.brokers.get(id) {
                Some(registration) => self.brokers.insert(*id, registration.clone()),
                None => self.brokers.remove(id),
            };
        }
        for topic in delta.topics.iter().filter(|topic| !image.topics.contains_key(*topic)) {
            self.topics.remove(topic);
        }
        if !delta.broker_configs.is_empty() {
            self.log_defaults = self.config.log_defaults(&image.broker_configs);
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
            Some(overrides) => self.log_defaults.with_overrides(overrides, self.config.version),
            None => self.log_defaults.clone(),
        }
    }
}

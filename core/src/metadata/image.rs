//! The state that a prefix of the metadata log means.
//!
//! Kafka: `MetadataImage`, `MetadataDelta`; the timeline maps of the control managers.
//! Invariant: an image is a function of the records replayed, in order, and of nothing else.
//! Not modelled: snapshots; configuration of anything but topics, brokers and groups.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;
use uuid::Uuid;

use super::batch::MetadataBatch;
use super::partition::PartitionRegistration;
use super::records::{
    BrokerRegistrationChangeRecord, ClientQuotaRecord, ConfigRecord, MetadataRecord, PartitionChangeRecord,
    PartitionRecord, ProducerIdsRecord, QuotaEntity, RegisterBrokerRecord, RemoveTopicRecord, TopicRecord,
    UnregisterBrokerRecord,
};
use crate::types::{BrokerEpoch, Offset, StrBytes, TopicName, TopicPartition};

/// A broker as it registered, and what the controller has made of it since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// Its incarnation, as a number.
    pub epoch: BrokerEpoch,
    /// Its incarnation, as the broker names it.
    pub incarnation_id: Uuid,
    /// Whether it may neither lead nor be in an ISR.
    pub fenced: bool,
    /// Whether it has asked to stop.
    pub in_controlled_shutdown: bool,
    /// Its rack.
    pub rack: Option<StrBytes>,
    /// Its log directories that work; empty where directories are not told.
    pub log_dirs: Vec<Uuid>,
    /// Where in the log it registered last; it differs from the epoch where a registration was amended.
    pub registered_at: Offset,
}

impl BrokerRegistration {
    /// Whether it may lead, and join an ISR.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Its id.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
}

/// What a stretch of the log changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataDelta {
    /// Partitions that were created, changed or deleted.
    pub partitions: BTreeSet<TopicPartition>,
    /// Brokers that registered, left, or whose state changed.
    pub brokers: BTreeSet<i32>,
    /// Topics that were created or deleted.
    pub topics: BTreeSet<TopicName>,
    /// Partitions that were deleted; the name may be another topic's by now.
    pub deleted: BTreeSet<TopicPartition>,
    /// Topics whose configuration changed.
    pub configs: BTreeSet<TopicName>,
    /// Brokers whose configuration changed; the empty name is that of all.
    pub broker_configs: BTreeSet<String>,
    /// Whether limits for clients changed.
    pub client_quotas: bool,
}

impl MetadataDelta {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        let MetadataDelta { partitions, brokers, topics, deleted, configs, broker_configs, client_quotas } = self;
        partitions.is_empty()
            && deleted.is_empty()
            && brokers.is_empty()
            && topics.is_empty()
            && configs.is_empty()
            && broker_configs.is_empty()
            && !client_quotas
    }
}

/// A record that does not fit what came before it: the log is not one that a controller wrote.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// It names a topic id that was never created.
    #[error("no topic has the id {0}")]
    UnknownTopic(Uuid),
    /// It names a partition that was never created.
    #[error("no partition {0}")]
    UnknownPartition(TopicPartition),
    /// It creates a topic that exists.
    #[error("topic {0} exists")]
    DuplicateTopic(String),
    /// It changes a broker that is not registered at this epoch.
    #[error("broker {broker} is not registered at epoch {epoch}")]
    UnknownBroker {
        /// The broker.
        broker: i32,
        /// The epoch that the record names.
        epoch: BrokerEpoch,
    },
    /// It hands out producer ids that were handed out before.
    #[error("producer id {0} was handed out before")]
    ProducerIdsGoBack(i64),
}

/// The state of the cluster after a prefix of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataImage {
    /// The brokers.
    pub brokers: BTreeMap<i32, BrokerRegistration>,
    /// The topics.
    pub topics: BTreeMap<TopicName, TopicImage>,
    /// The names of the topics, by their ids.
    pub topic_names: BTreeMap<Uuid, TopicName>,
    /// The partitions.
    pub partitions: BTreeMap<TopicPartition, PartitionRegistration>,
    /// What each topic overrides.
    pub topic_configs: BTreeMap<TopicName, BTreeMap<String, String>>,
    /// What was set for brokers while they ran, by their ids; the empty name is for all.
    pub broker_configs: BTreeMap<String, BTreeMap<String, String>>,
    /// Properties of groups, by their names.
    pub group_configs: BTreeMap<String, BTreeMap<String, String>>,
    /// Limits for clients, in bytes per second.
    pub client_quotas: BTreeMap<QuotaEntity, BTreeMap<String, i64>>,
    /// The first producer id that nobody has.
    pub next_producer_id: i64,
    /// The offset of the last record applied; -1 before the first.
    pub last_applied: Offset,
}

impl Default for MetadataImage {
    fn default() -> Self {
        Self {
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            topic_names: BTreeMap::new(),
            partitions: BTreeMap::new(),
            topic_configs: BTreeMap::new(),
            broker_configs: BTreeMap::new(),
            group_configs: BTreeMap::new(),
            client_quotas: BTreeMap::new(),
            next_producer_id: 0,
            last_applied: Offset::NONE,
        }
    }
}

impl MetadataImage {
    /// The partition of a topic given by its id.
    pub fn partition_by_id(
        &self,
        topic_id: Uuid,
        partition_id: i32,
    ) -> Option<(TopicPartition, &PartitionRegistration)> {
        let partition = TopicPartition::new(self.topic_names.get(&topic_id)?.clone(), partition_id);
        let registration = self.partitions.get(&partition)?;
        Some((partition, registration))
    }

    /// The partitions of a topic, in order.
    pub fn partitions_of<'a>(
        &'a self,
        topic: &TopicName,
    ) -> impl Iterator<Item = (&'a TopicPartition, &'a PartitionRegistration)> + use<'a> {
        let first = TopicPartition::new(topic.clone(), i32::MIN);
        let last = TopicPartition::new(topic.clone(), i32::MAX);
        self.partitions.range(first..=last)
    }

    /// Whether a broker may lead, and join an ISR.
    pub fn is_active(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(BrokerRegistration::is_active)
    }

    /// Whether a broker may lead this partition: it is active, and the log directory of its replica works.
    pub fn may_lead(&self, partition: &PartitionRegistration, broker: i32) -> bool {
        self.is_active(broker) && self.has_online_directory(partition, broker)
    }

    /// Whether the log directory of a broker's replica works, as far as that is known.
    pub fn has_online_directory(&self, partition: &PartitionRegistration, broker: i32) -> bool {
        let Some(registration) = self.brokers.get(&broker) else { return false };
        let online = |id: Uuid| registration.log_dirs.is_empty() || registration.log_dirs.contains(&id);
        partition.directory_of(broker).is_none_or(online)
    }

    /// A property that a topic overrides.
    pub fn topic_config(&self, topic: &TopicName, name: &str) -> Option<&str> {
        self.topic_configs.get(topic)?.get(name).map(String::as_str)
    }

    /// A property that was set for a broker while it ran: for it alone, else for all.
    pub fn broker_config(&self, broker: i32, name: &str) -> Option<&str> {
        let set_for = |resource: &str| self.broker_configs.get(resource)?.get(name).map(String::as_str);
        set_for(&broker.to_string()).or_else(|| set_for(""))
    }

    /// Applies the record at `offset` and notes in `delta` what it changed. A record that does not fit leaves the
    /// image as it was, but for its last offset.
    pub fn replay(
        &mut self,
        record: &MetadataRecord,
        offset: Offset,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        self.last_applied = offset;
        match record {
            MetadataRecord::RegisterBroker(record) => self.register(record, offset, delta),
            MetadataRecord::UnregisterBroker(record) => self.unregister(record, delta)?,
            MetadataRecord::BrokerRegistrationChange(record) => self.change_registration(record, delta)?,
            MetadataRecord::Topic(record) => self.create_topic(record, delta)?,
            MetadataRecord::Partition(record) => self.create_partition(record, delta)?,
            MetadataRecord::PartitionChange(record) => self.change_partition(record, delta)?,
            MetadataRecord::Config(record) => self.configure(record, delta),
            MetadataRecord::RemoveTopic(record) => self.remove_topic(record, delta)?,
            MetadataRecord::ClientQuota(record) => self.limit_client(record, delta),
            MetadataRecord::ProducerIds(record) => self.advance_producer_ids(record)?,
            MetadataRecord::NoOp => {}
        }
        Ok(())
    }

    /// Applies a whole batch.
    pub fn replay_batch(&mut self, batch: &MetadataBatch, delta: &mut MetadataDelta) -> Result<(), ReplayError> {
        for (position, record) in (0i64..).zip(&batch.records) {
            self.replay(record, batch.base_offset.plus(position), delta)?;
        }
        self.last_applied = batch.last_offset;
        Ok(())
    }

    fn register(&mut self, record: &RegisterBrokerRecord, offset: Offset, delta: &mut MetadataDelta) {
        let registration = BrokerRegistration {
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            rack: record.rack.clone(),
            log_dirs: record.log_dirs.clone(),
            registered_at: offset,
        };
        self.brokers.insert(record.broker_id, registration);
        delta.brokers.insert(record.broker_id);
    }

    fn unregister(&mut self, record: &UnregisterBrokerRecord, delta: &mut MetadataDelta) -> Result<(), ReplayError> {
        self.registration(record.broker_id, record.broker_epoch)?;
        self.brokers.remove(&record.broker_id);
        delta.brokers.insert(record.broker_id);
        Ok(())
    }

    fn change_registration(
        &mut self,
        record: &BrokerRegistrationChangeRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let registration = self.registration(record.broker_id, record.broker_epoch)?;
        registration.fenced = record.fenced.unwrap_or(registration.fenced);
        registration.in_controlled_shutdown |= record.in_controlled_shutdown;
        if !record.log_dirs.is_empty() {
            registration.log_dirs.clone_from(&record.log_dirs);
        }
        delta.brokers.insert(record.broker_id);
        Ok(())
    }

    fn registration(&mut self, broker: i32, epoch: BrokerEpoch) -> Result<&mut BrokerRegistration, ReplayError> {
        self.brokers
            .get_mut(&broker)
            .filter(|registration| registration.epoch == epoch)
            .ok_or(ReplayError::UnknownBroker { broker, epoch })
    }

    fn create_topic(&mut self, record: &TopicRecord, delta: &mut MetadataDelta) -> Result<(), ReplayError> {
        if self.topics.contains_key(&record.name) || self.topic_names.contains_key(&record.topic_id) {
            return Err(ReplayError::DuplicateTopic(record.name.as_str().to_owned()));
        }
        self.topics.insert(record.name.clone(), TopicImage { id: record.topic_id, partitions: 0 });
        self.topic_names.insert(record.topic_id, record.name.clone());
        delta.topics.insert(record.name.clone());
        Ok(())
    }

    fn remove_topic(&mut self, record: &RemoveTopicRecord, delta: &mut MetadataDelta) -> Result<(), ReplayError> {
        let name = self.topic_names.remove(&record.topic_id).ok_or(ReplayError::UnknownTopic(record.topic_id))?;
        let partitions: Vec<TopicPartition> =
            self.partitions_of(&name).map(|(partition, _)| partition.clone()).collect();
        for partition in partitions {
            self.partitions.remove(&partition);
            delta.deleted.insert(partition.clone());
            delta.partitions.insert(partition);
        }
        self.topics.remove(&name);
        self.topic_configs.remove(&name);
        delta.topics.insert(name);
        Ok(())
    }

    fn create_partition(&mut self, record: &PartitionRecord, delta: &mut MetadataDelta) -> Result<(), ReplayError> {
        let name = self.topic_names.get(&record.topic_id).ok_or(ReplayError::UnknownTopic(record.topic_id))?;
        let partition = TopicPartition::new(name.clone(), record.partition_id);
        if let Some(topic) = self.topics.get_mut(name) {
            topic.partitions = topic.partitions.max(record.partition_id.saturating_add(1));
        }
        self.partitions.insert(partition.clone(), PartitionRegistration::new(record));
        delta.partitions.insert(partition);
        Ok(())
    }

    fn change_partition(
        &mut self,
        record: &PartitionChangeRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let name = self.topic_names.get(&record.topic_id).ok_or(ReplayError::UnknownTopic(record.topic_id))?;
        let partition = TopicPartition::new(name.clone(), record.partition_id);
        let Some(registration) = self.partitions.get_mut(&partition) else {
            return Err(ReplayError::UnknownPartition(partition));
        };
        registration.apply(record);
        delta.partitions.insert(partition);
        Ok(())
    }

    fn configure(&mut self, record: &ConfigRecord, delta: &mut MetadataDelta) {
        match record.resource_type {
            ConfigRecord::TOPIC => {}
            ConfigRecord::BROKER => return self.configure_broker(record, delta),
            ConfigRecord::GROUP => return self.configure_group(record),
            _ => return,
        }
        let topic = TopicName(record.resource_name.clone());
        let overrides = self.topic_configs.entry(topic.clone()).or_default();
        match &record.value {
            Some(value) => overrides.insert(record.name.as_str().to_owned(), value.as_str().to_owned()),
            None => overrides.remove(record.name.as_str()),
        };
        if overrides.is_empty() {
            self.topic_configs.remove(&topic);
        }
        delta.configs.insert(topic);
    }

    fn configure_broker(&mut self, record: &ConfigRecord, delta: &mut MetadataDelta) {
        let broker = record.resource_name.as_str().to_owned();
        let overrides = self.broker_configs.entry(broker.clone()).or_default();
        match &record.value {
            Some(value) => overrides.insert(record.name.as_str().to_owned(), value.as_str().to_owned()),
            None => overrides.remove(record.name.as_str()),
        };
        if overrides.is_empty() {
            self.broker_configs.remove(&broker);
        }
        delta.broker_configs.insert(broker);
    }

    fn configure_group(&mut self, record: &ConfigRecord) {
        let group = record.resource_name.as_str().to_owned();
        let overrides = self.group_configs.entry(group.clone()).or_default();
        match &record.value {
            Some(value) => overrides.insert(record.name.as_str().to_owned(), value.as_str().to_owned()),
            None => overrides.remove(record.name.as_str()),
        };
        if overrides.is_empty() {
            self.group_configs.remove(&group);
        }
    }

    fn limit_client(&mut self, record: &ClientQuotaRecord, delta: &mut MetadataDelta) {
        let limits = self.client_quotas.entry(record.entity.clone()).or_default();
        match record.value {
            Some(value) => limits.insert(record.key.as_str().to_owned(), value),
            None => limits.remove(record.key.as_str()),
        };
        if limits.is_empty() {
            self.client_quotas.remove(&record.entity);
        }
        delta.client_quotas = true;
    }

    fn advance_producer_ids(&mut self, record: &ProducerIdsRecord) -> Result<(), ReplayError> {
        if record.next_producer_id <= self.next_producer_id {
            return Err(ReplayError::ProducerIdsGoBack(record.next_producer_id));
        }
        self.next_producer_id = record.next_producer_id;
        Ok(())
    }
}

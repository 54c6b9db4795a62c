//! The records of the metadata log: what the controller decides is said in these, and only these change its state.
//!
//! Kafka: `metadata/src/main/resources/common/metadata/*.json` (3.9), KIP-631.
//! Not modelled: features, ACLs, SCRAM, delegation tokens, transactions of the metadata log.

use uuid::Uuid;

use super::partition::LeaderRecoveryState;
use crate::types::{BrokerEpoch, LeaderEpoch, PartitionEpoch, StrBytes, TopicName};

/// One record of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataRecord {
    /// Type 0: a broker registered, or amended its registration.
    RegisterBroker(RegisterBrokerRecord),
    /// Type 1: a broker is gone for good.
    UnregisterBroker(UnregisterBrokerRecord),
    /// Type 2: a topic was created.
    Topic(TopicRecord),
    /// Type 3: a partition was created.
    Partition(PartitionRecord),
    /// Type 4: a property of a topic or broker was set or removed.
    Config(ConfigRecord),
    /// Type 5: leader, ISR or replicas of a partition changed.
    PartitionChange(PartitionChangeRecord),
    /// Type 9: a topic was deleted.
    RemoveTopic(RemoveTopicRecord),
    /// Type 14: a limit for clients was set or removed.
    ClientQuota(ClientQuotaRecord),
    /// Type 15: a block of producer ids was handed out.
    ProducerIds(ProducerIdsRecord),
    /// Type 17: a broker was fenced, unfenced or began its controlled shutdown.
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    /// Type 20: nothing; it makes the log advance.
    NoOp,
}

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerEndpoint {
    /// The listener's name.
    pub name: StrBytes,
    /// The host.
    pub host: StrBytes,
    /// The port.
    pub port: u16,
    /// `SecurityProtocol.id`.
    pub security_protocol: i16,
}

/// A feature that a broker supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerFeature {
    /// Its name.
    pub name: StrBytes,
    /// The lowest level.
    pub min_supported_version: i16,
    /// The highest level.
    pub max_supported_version: i16,
}

/// Type 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBrokerRecord {
    /// The broker.
    pub broker_id: i32,
    /// Names the life of the process.
    pub incarnation_id: Uuid,
    /// The epoch that the controller gave it.
    pub broker_epoch: BrokerEpoch,
    /// Where it listens.
    pub end_points: Vec<BrokerEndpoint>,
    /// What it can do.
    pub features: Vec<BrokerFeature>,
    /// Its rack.
    pub rack: Option<StrBytes>,
    /// Whether it is fenced.
    pub fenced: bool,
    /// Whether it is in controlled shutdown.
    pub in_controlled_shutdown: bool,
    /// Its log directories.
    pub log_dirs: Vec<Uuid>,
}

/// Type 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnregisterBrokerRecord {
    /// The broker.
    pub broker_id: i32,
    /// The epoch it has.
    pub broker_epoch: BrokerEpoch,
}

/// Type 17. What is `None` does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistrationChangeRecord {
    /// The broker.
    pub broker_id: i32,
    /// The epoch it has.
    pub broker_epoch: BrokerEpoch,
    /// Fenced or unfenced.
    pub fenced: Option<bool>,
    /// Whether its controlled shutdown begins; there is no way back but a new registration.
    pub in_controlled_shutdown: bool,
    /// Its log directories, where they change.
    pub log_dirs: Vec<Uuid>,
}

/// Type 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    /// The name.
    pub name: TopicName,
    /// The id, never used again.
    pub topic_id: Uuid,
}

/// Type 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRecord {
    /// Which partition.
    pub partition_id: i32,
    /// Of which topic.
    pub topic_id: Uuid,
    /// The replicas, preferred leader first.
    pub replicas: Vec<i32>,
    /// The in-sync replicas.
    pub isr: Vec<i32>,
    /// Replicas on their way out.
    pub removing_replicas: Vec<i32>,
    /// Replicas on their way in.
    pub adding_replicas: Vec<i32>,
    /// The leader, or -1.
    pub leader: i32,
    /// Whether the leader was elected uncleanly and has not recovered.
    pub leader_recovery_state: LeaderRecoveryState,
    /// The leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch.
    pub partition_epoch: PartitionEpoch,
    /// The log directory of each replica; empty where directories are not told.
    pub directories: Vec<Uuid>,
    /// The eligible leader replicas (KIP-966).
    pub eligible_leader_replicas: Vec<i32>,
    /// The last known eligible leader replicas (KIP-966).
    pub last_known_elr: Vec<i32>,
}

/// Type 5. What is `None` does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionChangeRecord {
    /// Which partition.
    pub partition_id: i32,
    /// Of which topic.
    pub topic_id: Uuid,
    /// The in-sync replicas.
    pub isr: Option<Vec<i32>>,
    /// The leader, -1 for none. Any value, even the same one, makes the leader epoch advance.
    pub leader: Option<i32>,
    /// The replicas.
    pub replicas: Option<Vec<i32>>,
    /// Replicas on their way out.
    pub removing_replicas: Option<Vec<i32>>,
    /// Replicas on their way in.
    pub adding_replicas: Option<Vec<i32>>,
    /// Whether the leader was elected uncleanly and has not recovered.
    pub leader_recovery_state: Option<LeaderRecoveryState>,
    /// The log directory of each replica.
    pub directories: Option<Vec<Uuid>>,
    /// The eligible leader replicas (KIP-966).
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// The last known eligible leader replicas (KIP-966).
    pub last_known_elr: Option<Vec<i32>>,
}

impl PartitionChangeRecord {
    /// A change that changes nothing yet.
    pub fn new(topic_id: Uuid, partition_id: i32) -> Self {
        Self {
            partition_id,
            topic_id,
            isr: None,
            leader: None,
            replicas: None,
            removing_replicas: None,
            adding_replicas: None,
            leader_recovery_state: None,
            directories: None,
            eligible_leader_replicas: None,
            last_known_elr: None,
        }
    }

    /// Whether it changes nothing.
    pub fn is_no_op(&self) -> bool {
        *self == Self::new(self.topic_id, self.partition_id)
    }
}

/// Type 4. Resources other than topics, brokers and groups are kept by Kafka, but not by this model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRecord {
    /// `ConfigResource.Type.id`: 2 is a topic, 4 a broker, 32 a group.
    pub resource_type: i8,
    /// The resource's name: a topic, a broker's id, or nothing for all brokers.
    pub resource_name: StrBytes,
    /// The property.
    pub name: StrBytes,
    /// Its value; `None` removes it.
    pub value: Option<StrBytes>,
}

impl ConfigRecord {
    /// The resource type of topics.
    pub const TOPIC: i8 = 2;
    /// The resource type of brokers.
    pub const BROKER: i8 = 4;
    /// The resource type of groups.
    pub const GROUP: i8 = 32;
}

/// Type 9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveTopicRecord {
    /// The topic.
    pub topic_id: Uuid,
}

/// Whom a limit is for: `user` and `client-id`, in this order, each a name or nothing for the default.
pub type QuotaEntity = Vec<(StrBytes, Option<StrBytes>)>;

/// Type 14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientQuotaRecord {
    /// Whom it is for.
    pub entity: QuotaEntity,
    /// What is limited: `producer_byte_rate`, `consumer_byte_rate`.
    pub key: StrBytes,
    /// Bytes per second; `None` removes the limit.
    pub value: Option<i64>,
}

/// Type 15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerIdsRecord {
    /// The broker that asked.
    pub broker_id: i32,
    /// Its epoch.
    pub broker_epoch: BrokerEpoch,
    /// The first id of the next block.
    pub next_producer_id: i64,
}

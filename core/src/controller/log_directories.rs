//! Log directories as the controller knows them: which replica lies where, and which directories have failed.
//!
//! Kafka: `ReplicationControlManager.handleDirectoriesOffline`, `handleAssignReplicasToDirs`; KIP-858.
//! In ZooKeeper mode brokers tell of failed directories through a znode and the answers to LeaderAndIsr (KIP-112); here they
//! tell the stand-in as KRaft brokers do.

use kafka_protocol::messages::assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
use kafka_protocol::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};
use uuid::Uuid;

use super::Decision;
use super::cluster_control::check_broker_epoch;
use super::replication_control::ReplicationControl;
use crate::metadata::records::PartitionChangeRecord;
use crate::metadata::{MetadataRecord, PartitionRegistration};
use crate::protocol::ErrorCode;
use crate::types::{BrokerEpoch, TopicPartition};

impl ReplicationControl<'_> {
    /// A heartbeat says which directories have failed: their replicas leave ISRs and leaderships, and the broker is
    /// registered without them.
    pub fn directories_offline(&self, broker: i32, offline: &[Uuid]) -> Vec<MetadataRecord> {
        let Some(registration) = self.image.brokers.get(&broker) else { return Vec::new() };
        let (failed, left): (Vec<Uuid>, Vec<Uuid>) =
            registration.log_dirs.iter().copied().partition(|id| offline.contains(id));
        if failed.is_empty() {
            return Vec::new();
        }
        let lies_there =
            |state: &PartitionRegistration| state.directory_of(broker).is_some_and(|id| failed.contains(&id));
        let partitions = self.image.partitions.iter().filter(|(_, state)| lies_there(state)).map(|(name, _)| name);
        let mut records = self.remove_from_isrs_of(broker, partitions);
        if let Some(MetadataRecord::BrokerRegistrationChange(mut change)) =
            self.registration_change(broker, None, false)
        {
            change.log_dirs = left;
            records.push(MetadataRecord::BrokerRegistrationChange(change));
        }
        records
    }

    /// AssignReplicasToDirs: a broker says where its replicas lie.
    pub fn assign_replicas_to_dirs(
        &self,
        request: &AssignReplicasToDirsRequest,
    ) -> Decision<AssignReplicasToDirsResponse> {
        let broker = request.broker_id.0;
        let mut records = Vec::new();
        let mut response = AssignReplicasToDirsResponse::default();
        if let Err(error) = check_broker_epoch(self.image, broker, BrokerEpoch(request.broker_epoch)) {
            return Decision { records, response: response.with_error_code(error.0) };
        }
        for directory in &request.directories {
            let mut topics = Vec::new();
            for topic in &directory.topics {
                let mut partitions = Vec::new();
                for partition in &topic.partitions {
                    let place = (topic.topic_id, partition.partition_index);
                    let error = match self.assign(broker, place, directory.id) {
                        Ok(assigned) => {
                            records.extend(assigned);
                            ErrorCode::NONE
                        }
                        Err(error) => error,
                    };
                    let answer = PartitionData::default().with_partition_index(place.1).with_error_code(error.0);
                    partitions.push(answer);
                }
                topics.push(TopicData::default().with_topic_id(topic.topic_id).with_partitions(partitions));
            }
            response.directories.push(DirectoryData::default().with_id(directory.id).with_topics(topics));
        }
        Decision { records, response }
    }

    fn assign(
        &self,
        broker: i32,
        (topic_id, partition_id): (Uuid, i32),
        directory: Uuid,
    ) -> Result<Vec<MetadataRecord>, ErrorCode> {
        if !self.image.topic_names.contains_key(&topic_id) {
            return Err(ErrorCode::UNKNOWN_TOPIC_ID);
        }
        let found: Option<(TopicPartition, &PartitionRegistration)> =
            self.image.partition_by_id(topic_id, partition_id);
        let (name, state) = found.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        if !state.replicas.contains(&broker) {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        if state.directory_of(broker) == Some(directory) {
            return Ok(Vec::new());
        }
        let mut change = PartitionChangeRecord::new(topic_id, partition_id);
        change.directories = Some(state.directories_with(broker, directory));
        let mut records = vec![MetadataRecord::PartitionChange(change)];
        // A directory that has failed by now.
        let online =
            self.image.brokers.get(&broker).is_some_and(|registration| {
                registration.log_dirs.is_empty() || registration.log_dirs.contains(&directory)
            });
        if !online {
            records.extend(self.remove_from_isrs_of(broker, [&name]));
        }
        Ok(records)
    }
}

//! Who leads and who is in sync, partition by partition: what broker state changes, AlterPartition and ElectLeaders
//! make of it.
//!
//! Kafka: `ReplicationControlManager`, KIP-497, KIP-841, KIP-903, KIP-966.
//! Other replicas are in [`super::reassignment`]. Not modelled: log directories (KIP-858).

use std::collections::BTreeMap;

use kafka_protocol::messages::alter_partition_request::{self, AlterPartitionRequest};
use kafka_protocol::messages::alter_partition_response::{self, AlterPartitionResponse};
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{BrokerId, ElectLeadersRequest, ElectLeadersResponse};

use super::Decision;
use super::cluster_control::check_broker_epoch;
use super::election::Election;
use super::partition_change::{Elr, EpochBump, PartitionChangeBuilder};
use super::topic_configs::is_true;
use crate::config::{BrokerConfig, KafkaVersion, MetadataMode};
use crate::metadata::records::{BrokerRegistrationChangeRecord, PartitionChangeRecord};
use crate::metadata::{LeaderRecoveryState, MetadataImage, MetadataRecord, PartitionRegistration};
use crate::protocol::ErrorCode;
use crate::types::{BrokerEpoch, LeaderEpoch, PartitionEpoch, TopicName, TopicPartition};

/// Decides on partitions of a cluster as it is.
#[derive(Clone, Copy, Debug)]
pub struct ReplicationControl<'a> {
    /// The cluster.
    pub image: &'a MetadataImage,
    /// The controller's configuration.
    pub config: &'a BrokerConfig,
}

/// A broker that is about to change, seen as it will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changing {
    /// It goes: it neither leads nor is in an ISR.
    Leaving(i32),
    /// It comes: it may lead.
    Joining(i32),
    /// It is back without having stopped cleanly: what it had may be gone, and it is not eligible either.
    Unclean(i32),
}

/// A member of a proposed ISR; the epoch is -1 where the leader did not say it (before KIP-903).
struct ProposedReplica {
    broker: i32,
    epoch: BrokerEpoch,
}

impl ReplicationControl<'_> {
    /// Fencing: the broker leaves every ISR and leads nothing.
    pub fn fence(&self, broker: i32) -> Vec<MetadataRecord> {
        let mut records = self.remove_from_isrs(broker);
        records.extend(self.registration_change(broker, Some(true), false));
        records
    }

    /// Unfencing: partitions without a leader get one, if the broker can be it.
    pub fn unfence<'p>(
        &self,
        broker: i32,
        leaderless: impl IntoIterator<Item = &'p TopicPartition>,
    ) -> Vec<MetadataRecord> {
        let mut records: Vec<MetadataRecord> =
            self.registration_change(broker, Some(false), false).into_iter().collect();
        records.extend(self.leader_and_isr_updates(Changing::Joining(broker), leaderless));
        records
    }

    /// A controlled shutdown begins: leaderships move while the broker still serves.
    pub fn begin_controlled_shutdown(&self, broker: i32) -> Vec<MetadataRecord> {
        let shutting_down = self.image.brokers.get(&broker).is_some_and(|broker| broker.in_controlled_shutdown);
        let change = if shutting_down { None } else { self.registration_change(broker, None, true) };
        change.into_iter().chain(self.remove_from_isrs(broker)).collect()
    }

    pub(super) fn registration_change(
        &self,
        broker: i32,
        fenced: Option<bool>,
        in_controlled_shutdown: bool,
    ) -> Option<MetadataRecord> {
        let registration = self.image.brokers.get(&broker)?;
        Some(MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
            broker_id: broker,
            broker_epoch: registration.epoch,
            fenced,
            in_controlled_shutdown,
            log_dirs: Vec::new(),
        }))
    }

    /// Takes the broker out of ISRs and leaderships.
    pub fn remove_from_isrs(&self, broker: i32) -> Vec<MetadataRecord> {
        let partitions = self.image.partitions.iter().filter(|(_, partition)| partition.isr.contains(&broker));
        self.leader_and_isr_updates(Changing::Leaving(broker), partitions.map(|(partition, _)| partition))
    }

    /// Takes a broker out of ISRs and ELRs that is back after an unclean stop (KIP-966).
    pub fn remove_after_unclean_shutdown(&self, broker: i32) -> Vec<MetadataRecord> {
        let counts =
            |partition: &PartitionRegistration| partition.isr.contains(&broker) || partition.elr.contains(&broker);
        let partitions = self.image.partitions.iter().filter(|(_, partition)| counts(partition));
        self.leader_and_isr_updates(Changing::Unclean(broker), partitions.map(|(partition, _)| partition))
    }

    /// Takes the broker out of the ISRs and leaderships of these partitions.
    pub(super) fn remove_from_isrs_of<'p>(
        &self,
        broker: i32,
        partitions: impl IntoIterator<Item = &'p TopicPartition>,
    ) -> Vec<MetadataRecord> {
        self.leader_and_isr_updates(Changing::Leaving(broker), partitions)
    }

    /// Whether the broker leads a partition.
    pub fn has_leaderships(&self, broker: i32) -> bool {
        self.image.partitions.values().any(|partition| partition.leader == broker)
    }

    fn leader_and_isr_updates<'p>(
        &self,
        changing: Changing,
        partitions: impl IntoIterator<Item = &'p TopicPartition>,
    ) -> Vec<MetadataRecord> {
        let epoch_bump =
            if self.config.version < KafkaVersion::new(3, 6) { EpochBump::OnIsrShrink } else { EpochBump::Never };
        let updates = partitions.into_iter().filter_map(|partition| {
            let registration = self.image.partitions.get(partition)?;
            let is_acceptable = |replica: i32| match changing {
                Changing::Leaving(broker) | Changing::Unclean(broker) => {
                    replica != broker && self.image.may_lead(registration, replica)
                }
                Changing::Joining(broker) => {
                    (replica == broker || self.image.is_active(replica))
                        && self.image.has_online_directory(registration, replica)
                }
            };
            let stays = |replica: &i32| ![Changing::Leaving(*replica), Changing::Unclean(*replica)].contains(&changing);
            let mut builder = self.builder(partition, registration)?;
            if let Changing::Unclean(broker) = changing {
                builder = builder.unclean_shutdown(broker);
            }
            let record = builder
                .target_isr(registration.isr.iter().copied().filter(stays).collect())
                .election(self.election(&partition.topic))
                .epoch_bump(epoch_bump)
                .build(is_acceptable)?;
            Some(MetadataRecord::PartitionChange(record))
        });
        updates.collect()
    }

    pub(super) fn builder<'p>(
        &self,
        partition: &TopicPartition,
        registration: &'p PartitionRegistration,
    ) -> Option<PartitionChangeBuilder<'p>> {
        let topic = self.image.topics.get(&partition.topic)?;
        let elr =
            if self.config.toggles.elr { Elr::Below(self.min_insync_replicas(&partition.topic)) } else { Elr::Off };
        Some(PartitionChangeBuilder::new(registration, topic.id, partition.partition).elr(elr))
    }

    /// A property of a topic: its own, else what brokers were given while they ran.
    fn effective(&self, topic: &TopicName, name: &str) -> Option<&str> {
        self.image.topic_config(topic, name).or_else(|| self.image.broker_config(self.config.broker_id, name))
    }

    fn min_insync_replicas(&self, topic: &TopicName) -> usize {
        let set = self.effective(topic, "min.insync.replicas").and_then(|value| value.trim().parse().ok());
        set.unwrap_or(self.config.log.min_insync_replicas) as usize
    }

    /// How far an election of this topic's leaders may go.
    pub(super) fn election(&self, topic: &TopicName) -> Election {
        // KRaft's controller did not look at the property before 3.9 (KAFKA-12670); an operator can still ask.
        if self.config.metadata_mode == MetadataMode::KRaft && self.config.version < KafkaVersion::new(3, 9) {
            return Election::Online;
        }
        let unclean = match self.effective(topic, "unclean.leader.election.enable") {
            Some(value) => is_true(value),
            None => self.config.log.unclean_leader_election_enable,
        };
        if unclean { Election::Unclean } else { Election::Online }
    }

    /// The ELR of partitions whose `min.insync.replicas` has changed.
    pub(super) fn refresh_elr<'p>(
        &self,
        partitions: impl IntoIterator<Item = &'p TopicPartition>,
    ) -> Vec<MetadataRecord> {
        let changes = partitions.into_iter().filter_map(|partition| {
            let registration = self.image.partitions.get(partition).filter(|state| !state.elr.is_empty())?;
            self.builder(partition, registration)?.build(|replica| self.image.is_active(replica))
        });
        changes.map(MetadataRecord::PartitionChange).collect()
    }

    /// Unclean elections for partitions without a leader, where their topics allow it; at most `max`.
    pub fn elect_unclean_leaders<'p>(
        &self,
        leaderless: impl IntoIterator<Item = &'p TopicPartition>,
        max: usize,
    ) -> Vec<MetadataRecord> {
        let candidates =
            leaderless.into_iter().filter(|partition| self.election(&partition.topic) == Election::Unclean);
        let changes = candidates.filter_map(|partition| self.elect(partition, Election::Unclean).ok());
        changes.take(max).map(MetadataRecord::PartitionChange).collect()
    }

    /// Preferred elections for partitions led by somebody else; at most `max`. ZooKeeper's controller leaves a broker alone
    /// while few enough of its leaderships are elsewhere.
    pub fn elect_preferred_leaders<'p>(
        &self,
        imbalanced: impl IntoIterator<Item = &'p TopicPartition>,
        max: usize,
    ) -> Vec<MetadataRecord> {
        let by_percentage = self.config.metadata_mode == MetadataMode::ZooKeeper;
        let shares = if by_percentage { self.leaderships_elsewhere() } else { BTreeMap::new() };
        let is_due = |partition: &&TopicPartition| {
            let Some(registration) = self.image.partitions.get(*partition) else { return false };
            let (elsewhere, all) = shares.get(&registration.preferred_replica()).copied().unwrap_or((1, 1));
            !by_percentage || elsewhere * 100 > all * self.config.leader_imbalance_per_broker_percentage
        };
        let due = imbalanced.into_iter().filter(is_due);
        let changes = due.filter_map(|partition| self.elect(partition, Election::Preferred).ok());
        changes.take(max).map(MetadataRecord::PartitionChange).collect()
    }

    /// Of each broker: how many partitions that should be led by it are led by others, and how many there are.
    fn leaderships_elsewhere(&self) -> BTreeMap<i32, (u64, u64)> {
        let mut shares: BTreeMap<i32, (u64, u64)> = BTreeMap::new();
        for registration in self.image.partitions.values() {
            let share = shares.entry(registration.preferred_replica()).or_default();
            share.0 += u64::from(!registration.has_preferred_leader());
            share.1 += 1;
        }
        shares
    }

    /// One election that somebody asked for.
    fn elect(&self, partition: &TopicPartition, election: Election) -> Result<PartitionChangeRecord, ErrorCode> {
        let unavailable = match election {
            Election::Preferred => ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE,
            Election::Online | Election::Unclean => ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE,
        };
        let registration = self.image.partitions.get(partition).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let needed = match election {
            Election::Preferred => !registration.has_preferred_leader(),
            Election::Online | Election::Unclean => !registration.has_leader(),
        };
        if !needed {
            return Err(ErrorCode::ELECTION_NOT_NEEDED);
        }
        let builder = self.builder(partition, registration).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        builder.election(election).build(|replica| self.image.may_lead(registration, replica)).ok_or(unavailable)
    }

    /// ElectLeaders (KIP-460).
    pub fn elect_leaders(&self, request: &ElectLeadersRequest) -> Decision<ElectLeadersResponse> {
        let mut response = ElectLeadersResponse::default();
        let mut records = Vec::new();
        let election = match request.election_type {
            0 => Election::Preferred,
            1 => Election::Unclean,
            _ => {
                return Decision { records, response: response.with_error_code(ErrorCode::INVALID_REQUEST.0) };
            }
        };
        let mut elect = |topic: &TopicName, partition: i32| {
            let elected = self.elect(&TopicPartition::new(topic.clone(), partition), election);
            let error = elected.map_or_else(
                |error| error,
                |change| {
                    records.push(MetadataRecord::PartitionChange(change));
                    ErrorCode::NONE
                },
            );
            PartitionResult::default().with_partition_id(partition).with_error_code(error.0)
        };
        match &request.topic_partitions {
            Some(topics) => {
                for topic in topics {
                    let results = topic.partitions.iter().map(|partition| elect(&topic.topic, *partition)).collect();
                    response.replica_election_results.push(
                        ReplicaElectionResult::default().with_topic(topic.topic.clone()).with_partition_result(results),
                    );
                }
            }
            // All partitions; those that have the leader they should have are left out of the answer.
            None => {
                for topic in self.image.topics.keys() {
                    let partitions = self.image.partitions_of(topic).map(|(partition, _)| partition.partition);
                    let results = partitions
                        .map(|partition| elect(topic, partition))
                        .filter(|result| result.error_code != ErrorCode::ELECTION_NOT_NEEDED.0)
                        .collect();
                    response.replica_election_results.push(
                        ReplicaElectionResult::default().with_topic(topic.clone()).with_partition_result(results),
                    );
                }
            }
        }
        Decision { records, response }
    }

    /// AlterPartition: a leader proposes an ISR.
    pub fn alter_partition(&self, request: &AlterPartitionRequest) -> Decision<AlterPartitionResponse> {
        let mut records = Vec::new();
        let mut response = AlterPartitionResponse::default();
        if let Err(error) = check_broker_epoch(self.image, request.broker_id.0, BrokerEpoch(request.broker_epoch)) {
            return Decision { records, response: response.with_error_code(error.0) };
        }
        for topic in &request.topics {
            let known = self.image.topic_names.contains_key(&topic.topic_id);
            let mut answer = alter_partition_response::TopicData::default().with_topic_id(topic.topic_id);
            for proposal in &topic.partitions {
                let decided = match self.image.partition_by_id(topic.topic_id, proposal.partition_index) {
                    Some((partition, registration)) => {
                        self.alter_one(request.broker_id.0, &partition, registration, proposal)
                    }
                    None if known => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                    None => Err(ErrorCode::UNKNOWN_TOPIC_ID),
                };
                let (data, record) = match decided {
                    Ok((data, record)) => (data, record),
                    Err(error) => (alter_partition_response::PartitionData::default().with_error_code(error.0), None),
                };
                answer.partitions.push(data.with_partition_index(proposal.partition_index));
                records.extend(record.map(MetadataRecord::PartitionChange));
            }
            response.topics.push(answer);
        }
        Decision { records, response }
    }

    fn alter_one(
        &self,
        leader: i32,
        partition: &TopicPartition,
        registration: &PartitionRegistration,
        proposal: &alter_partition_request::PartitionData,
    ) -> Result<(alter_partition_response::PartitionData, Option<PartitionChangeRecord>), ErrorCode> {
        let isr = proposed_isr(proposal);
        let recovery_state = self.check_proposal(leader, registration, proposal, &isr)?;
        let since = |major, minor| self.config.version >= KafkaVersion::new(major, minor);
        let epoch_bump = if since(3, 0) && !since(3, 6) { EpochBump::OnIsrShrink } else { EpochBump::Never };
        let record = self
            .builder(partition, registration)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?
            .target_isr(isr.iter().map(|replica| replica.broker).collect())
            .target_recovery_state(recovery_state)
            .election(self.election(&partition.topic))
            .epoch_bump(epoch_bump)
            .build(|replica| self.image.is_active(replica));
        let mut after = registration.clone();
        if let Some(record) = &record {
            after.apply(record);
        }
        let answer = alter_partition_response::PartitionData::default();
        if after.leader != leader {
            // The proposer no longer qualifies: it must read the metadata before it asks again.
            return Ok((answer.with_error_code(ErrorCode::NEW_LEADER_ELECTED.0), record));
        }
        let answer = answer
            .with_leader_id(BrokerId(after.leader))
            .with_leader_epoch(after.leader_epoch.0)
            .with_isr(after.isr.iter().map(|replica| BrokerId(*replica)).collect())
            .with_leader_recovery_state(after.leader_recovery_state.number())
            .with_partition_epoch(after.partition_epoch.0);
        Ok((answer, record))
    }

    /// The checks in Kafka's order. A proposal from the future means that this node is not the controller any more.
    fn check_proposal(
        &self,
        leader: i32,
        registration: &PartitionRegistration,
        proposal: &alter_partition_request::PartitionData,
        isr: &[ProposedReplica],
    ) -> Result<LeaderRecoveryState, ErrorCode> {
        let leader_epoch = LeaderEpoch(proposal.leader_epoch);
        let partition_epoch = PartitionEpoch(proposal.partition_epoch);
        if leader_epoch > registration.leader_epoch || partition_epoch > registration.partition_epoch {
            return Err(ErrorCode::NOT_CONTROLLER);
        }
        if leader_epoch < registration.leader_epoch {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        if leader != registration.leader {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if partition_epoch < registration.partition_epoch {
            return Err(ErrorCode::INVALID_UPDATE_VERSION);
        }
        let unique = isr.iter().enumerate().all(|(at, replica)| isr[..at].iter().all(|r| r.broker != replica.broker));
        let are_replicas = isr.iter().all(|replica| registration.replicas.contains(&replica.broker));
        if !unique || !are_replicas || isr.iter().all(|replica| replica.broker != leader) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let recovery_state =
            LeaderRecoveryState::from_number(proposal.leader_recovery_state).ok_or(ErrorCode::INVALID_REQUEST)?;
        if recovery_state == LeaderRecoveryState::Recovering
            && (isr.len() > 1 || registration.leader_recovery_state == LeaderRecoveryState::Recovered)
        {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if self.config.toggles.isr_eligibility_unfenced && !isr.iter().all(|replica| self.is_eligible(replica)) {
            return Err(ErrorCode::INELIGIBLE_REPLICA);
        }
        Ok(recovery_state)
    }

    /// Whether a replica may be in an ISR: unfenced, not stopping, and the incarnation that the leader saw.
    fn is_eligible(&self, replica: &ProposedReplica) -> bool {
        self.image.brokers.get(&replica.broker).is_some_and(|registration| {
            registration.is_active() && (replica.epoch.0 == -1 || replica.epoch == registration.epoch)
        })
    }
}

fn proposed_isr(proposal: &alter_partition_request::PartitionData) -> Vec<ProposedReplica> {
    if proposal.new_isr_with_epochs.is_empty() {
        let isr = proposal.new_isr.iter();
        return isr.map(|broker| ProposedReplica { broker: broker.0, epoch: BrokerEpoch(-1) }).collect();
    }
    let isr = proposal.new_isr_with_epochs.iter();
    isr.map(|state| ProposedReplica { broker: state.broker_id.0, epoch: BrokerEpoch(state.broker_epoch) }).collect()
}

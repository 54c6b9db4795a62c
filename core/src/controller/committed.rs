//! What a committed record says, as facts.
//!
//! Invariant: facts are told after the batch is on the device, never before; a restart tells none of them again.

use uuid::Uuid;

use crate::fact::Fact;
use crate::metadata::records::{
    BrokerRegistrationChangeRecord, ClientQuotaRecord, ConfigRecord, PartitionChangeRecord, TopicRecord,
};
use crate::metadata::{LeaderRecoveryState, MetadataImage, MetadataRecord, NO_LEADER, PartitionRegistration};
use crate::types::{TopicName, TopicPartition};

/// What becomes true by `record`, given the state just before it. Topics are told of when they are complete: see
/// [`topic_created`].
pub(super) fn facts_of(before: &MetadataImage, record: &MetadataRecord) -> Vec<Fact> {
    match record {
        MetadataRecord::RegisterBroker(record) => {
            let broker = record.broker_id;
            let was_unfenced = before.brokers.get(&broker).is_some_and(|registration| !registration.fenced);
            let fenced = (was_unfenced && record.fenced).then_some(Fact::BrokerFenced { broker });
            let registered = Fact::BrokerRegistered { broker, epoch: record.broker_epoch };
            fenced.into_iter().chain([registered]).collect()
        }
        MetadataRecord::BrokerRegistrationChange(record) => registration_changed(before, record),
        MetadataRecord::PartitionChange(record) => partition_changed(before, record),
        MetadataRecord::Config(record) => config_altered(before, record).into_iter().collect(),
        MetadataRecord::ClientQuota(record) => vec![quota_altered(record)],
        MetadataRecord::RemoveTopic(record) => {
            let name = before.topic_names.get(&record.topic_id);
            name.map(|name| Fact::TopicDeleted { topic: name.as_str().to_owned() }).into_iter().collect()
        }
        MetadataRecord::UnregisterBroker(_)
        | MetadataRecord::Topic(_)
        | MetadataRecord::Partition(_)
        | MetadataRecord::ProducerIds(_)
        | MetadataRecord::NoOp => Vec::new(),
    }
}

/// A property that changed; those that a topic is created with are part of its creation.
fn config_altered(before: &MetadataImage, record: &ConfigRecord) -> Option<Fact> {
    let name = record.resource_name.as_str();
    let is_topic = record.resource_type == ConfigRecord::TOPIC;
    if is_topic && before.partitions_of(&TopicName(record.resource_name.clone())).next().is_none() {
        return None;
    }
    Some(Fact::ConfigAltered {
        resource: match name {
            _ if is_topic => format!("topic {name}"),
            _ if record.resource_type == ConfigRecord::GROUP => format!("group {name}"),
            "" => "all brokers".to_owned(),
            _ => format!("broker {name}"),
        },
        name: record.name.as_str().to_owned(),
        value: record.value.as_ref().map(|value| value.as_str().to_owned()),
    })
}

fn quota_altered(record: &ClientQuotaRecord) -> Fact {
    let client = record.entity.first().and_then(|(_, name)| name.as_ref());
    Fact::ConfigAltered {
        resource: client.map_or("all clients".to_owned(), |name| format!("client {}", name.as_str())),
        name: record.key.as_str().to_owned(),
        value: record.value.map(|value| value.to_string()),
    }
}

fn registration_changed(before: &MetadataImage, record: &BrokerRegistrationChangeRecord) -> Vec<Fact> {
    let broker = record.broker_id;
    let was_stopping = before.brokers.get(&broker).is_some_and(|registration| registration.in_controlled_shutdown);
    if record.in_controlled_shutdown && !was_stopping {
        return vec![Fact::ControlledShutdownBegan { broker }];
    }
    let was_fenced = before.brokers.get(&broker).is_none_or(|registration| registration.fenced);
    match record.fenced {
        Some(true) if !was_fenced => vec![Fact::BrokerFenced { broker }],
        Some(false) if was_fenced => vec![Fact::BrokerUnfenced { broker }],
        Some(_) | None => Vec::new(),
    }
}

/// Whether the new leader was in sync or eligible. The last replica that a reassignment waited for joins the ISR in the very
/// record that completes it and makes it leader; an unclean leader has to recover.
fn is_clean(before: &PartitionRegistration, after: &PartitionRegistration) -> bool {
    let completes = !before.adding_replicas.is_empty() && after.adding_replicas.is_empty();
    before.isr.contains(&after.leader)
        || before.elr.contains(&after.leader)
        || (completes && after.leader_recovery_state == LeaderRecoveryState::Recovered)
}

fn partition_changed(before: &MetadataImage, record: &PartitionChangeRecord) -> Vec<Fact> {
    let Some((partition, before)) = before.partition_by_id(record.topic_id, record.partition_id) else {
        return Vec::new();
    };
    let mut after = before.clone();
    after.apply(record);
    let mut facts = Vec::new();
    let assignment = |state: &PartitionRegistration| {
        (state.replicas.clone(), state.adding_replicas.clone(), state.removing_replicas.clone())
    };
    if assignment(before) != assignment(&after) {
        facts.push(Fact::ReplicasReassigned {
            partition: partition.clone(),
            replicas: after.replicas.clone(),
            adding: after.adding_replicas.clone(),
            removing: after.removing_replicas.clone(),
        });
    }
    if after.leader_epoch != before.leader_epoch {
        facts.push(if after.leader == NO_LEADER {
            Fact::PartitionOffline {
                partition: partition.clone(),
                isr: after.isr.clone(),
                leader_epoch: after.leader_epoch,
                partition_epoch: after.partition_epoch,
            }
        } else {
            Fact::LeaderElected {
                partition: partition.clone(),
                leader: after.leader,
                leader_epoch: after.leader_epoch,
                partition_epoch: after.partition_epoch,
                isr: after.isr.clone(),
                clean: is_clean(before, &after),
            }
        });
    }
    if after.isr != before.isr {
        facts.push(Fact::IsrChanged {
            partition: partition.clone(),
            from: before.isr.clone(),
            to: after.isr,
            partition_epoch: after.partition_epoch,
        });
    }
    // The last of what one record says: whoever is remembered is so because of the ISR that there is now.
    if (&before.elr, &before.last_known_elr) != (&after.elr, &after.last_known_elr) {
        facts.push(Fact::EligibleLeadersChanged { partition, elr: after.elr, last_known_elr: after.last_known_elr });
    }
    facts
}

/// A topic that is complete: its replicas, and the first leader of each partition.
pub(super) fn topic_created(after: &MetadataImage, record: &TopicRecord) -> Vec<Fact> {
    let partitions: Vec<_> = after.partitions_of(&record.name).collect();
    let created = Fact::TopicCreated {
        topic: record.name.as_str().to_owned(),
        replicas: partitions.iter().map(|(_, registration)| registration.replicas.clone()).collect(),
    };
    let elected = partitions.iter().map(|(partition, registration)| first_leader(partition, registration));
    [created].into_iter().chain(elected).collect()
}

/// Partitions that were added to topics that are older than this batch.
pub(super) fn partitions_added(after: &MetadataImage, records: &[MetadataRecord]) -> Vec<Fact> {
    let is_new =
        |id: Uuid| records.iter().any(|record| matches!(record, MetadataRecord::Topic(topic) if topic.topic_id == id));
    let mut added: Vec<(Uuid, Vec<i32>)> = Vec::new();
    for record in records {
        let MetadataRecord::Partition(record) = record else { continue };
        match added.last_mut() {
            _ if is_new(record.topic_id) => {}
            Some((topic_id, numbers)) if *topic_id == record.topic_id => numbers.push(record.partition_id),
            Some(_) | None => added.push((record.topic_id, vec![record.partition_id])),
        }
    }
    let mut facts = Vec::new();
    for (topic_id, numbers) in added {
        let states: Vec<_> = numbers.iter().filter_map(|number| after.partition_by_id(topic_id, *number)).collect();
        let Some((first, _)) = states.first() else { continue };
        facts.push(Fact::PartitionsAdded {
            topic: first.topic.as_str().to_owned(),
            first: first.partition,
            replicas: states.iter().map(|(_, state)| state.replicas.clone()).collect(),
        });
        facts.extend(states.iter().map(|(partition, state)| first_leader(partition, state)));
    }
    facts
}

fn first_leader(partition: &TopicPartition, registration: &PartitionRegistration) -> Fact {
    Fact::LeaderElected {
        partition: partition.clone(),
        leader: registration.leader,
        leader_epoch: registration.leader_epoch,
        partition_epoch: registration.partition_epoch,
        isr: registration.isr.clone(),
        clean: true,
    }
}

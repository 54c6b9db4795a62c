//! What a committed record says, as facts.
//!
//! Invariant: facts are told after the batch is on the device, never before; a restart tells none of them again.

use crate::fact::Fact;
use crate::metadata::records::{BrokerRegistrationChangeRecord, PartitionChangeRecord, TopicRecord};
use crate::metadata::{MetadataImage, MetadataRecord, NO_LEADER};
use crate::types::TopicPartition;

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
        MetadataRecord::UnregisterBroker(_)
        | MetadataRecord::Topic(_)
        | MetadataRecord::Partition(_)
        | MetadataRecord::Config(_)
        | MetadataRecord::ProducerIds(_)
        | MetadataRecord::NoOp => Vec::new(),
    }
}

fn registration_changed(before: &MetadataImage, record: &BrokerRegistrationChangeRecord) -> Vec<Fact> {
    let broker = record.broker_id;
    let was_fenced = before.brokers.get(&broker).is_none_or(|registration| registration.fenced);
    match record.fenced {
        Some(true) if !was_fenced => vec![Fact::BrokerFenced { broker }],
        Some(false) if was_fenced => vec![Fact::BrokerUnfenced { broker }],
        Some(_) | None => Vec::new(),
    }
}

fn partition_changed(before: &MetadataImage, record: &PartitionChangeRecord) -> Vec<Fact> {
    let Some((partition, before)) = before.partition_by_id(record.topic_id, record.partition_id) else {
        return Vec::new();
    };
    let mut after = before.clone();
    after.apply(record);
    let mut facts = Vec::new();
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
                clean: before.isr.contains(&after.leader) || before.elr.contains(&after.leader),
            }
        });
    }
    if after.isr != before.isr {
        facts.push(Fact::IsrChanged {
            partition,
            from: before.isr.clone(),
            to: after.isr,
            partition_epoch: after.partition_epoch,
        });
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
    let elected = partitions.iter().map(|(partition, registration)| Fact::LeaderElected {
        partition: TopicPartition::clone(partition),
        leader: registration.leader,
        leader_epoch: registration.leader_epoch,
        partition_epoch: registration.partition_epoch,
        isr: registration.isr.clone(),
        clean: true,
    });
    [created].into_iter().chain(elected).collect()
}

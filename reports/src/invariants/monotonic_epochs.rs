//! `MonotonicEpochs`: leader epochs and partition epochs only grow, at the controller, at each broker, and along each log.
//!
//! Source: failure-catalog.md section 4 (e). Kafka: `PartitionRegistration.merge` (the partition epoch grows by one with every change).

use super::Scene;
use super::view::Change;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let decided = &scene.partition.decided;
    match scene.change {
        Change::Elected { leader_epoch, partition_epoch } => {
            if decided.leader_epoch <= *leader_epoch {
                return Some(went_back("leader epoch", *leader_epoch, decided.leader_epoch));
            }
            (decided.partition_epoch <= *partition_epoch)
                .then(|| went_back("partition epoch", *partition_epoch, decided.partition_epoch))
        }
        Change::Isr { partition_epoch, with_leader } => {
            let least = partition_epoch.saturating_add(i32::from(!with_leader));
            (decided.partition_epoch < least)
                .then(|| went_back("partition epoch", *partition_epoch, decided.partition_epoch))
        }
        Change::BecameLeader(broker, before) | Change::BecameFollower(broker, before) => {
            let epoch = scene.partition.replica(*broker)?.epoch;
            (epoch < *before).then(|| format!("broker {broker} went back from leader epoch {before} to {epoch}"))
        }
        Change::Appended { broker, batch, before } => (batch.epoch < *before).then(|| {
            format!(
                "broker {broker} appended a batch of epoch {} at offset {} after one of epoch {before}",
                batch.epoch, batch.base
            )
        }),
        _ => None,
    }
}

fn went_back(what: &str, from: i32, to: i32) -> String {
    format!("the controller's {what} was {from} and is {to}")
}

//! `NoTwoLeadersPerEpoch`: an epoch has one leader.
//!
//! Source: Vanlightly/kafka-tlaplus, `kip_853` and `kip_996` (`NeverTwoLeadersInSameEpoch`), said of partitions.

use super::Scene;
use super::view::Change;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let partition = scene.partition;
    let (epoch, leader) = match scene.change {
        Change::BecameLeader(broker, _) => {
            let epoch = partition.replica(*broker)?.leads.as_ref()?.epoch;
            (epoch, *broker)
        }
        Change::Elected { .. } if partition.decided.leader >= 0 => {
            (partition.decided.leader_epoch, partition.decided.leader)
        }
        _ => return None,
    };
    let first = partition.leaders.get(&epoch).filter(|first| **first != leader)?;
    Some(format!("brokers {first} and {leader} both lead in epoch {epoch}"))
}

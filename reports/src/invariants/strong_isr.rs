//! `StrongIsr`: what was exposed to consumers is on every replica that may be elected.
//!
//! Source: hachikuji/kafka-specification, `Kafka.tla`: as `WeakIsr`, but with the ISR of the quorum, which here is
//! the controller's.

use super::Scene;
use super::view::{Change, PartitionView, ReplicaView};

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let partition = scene.partition;
    let isr = &partition.decided.isr;
    match scene.change {
        Change::Committed { broker, .. } => {
            let leader = partition.replica(*broker).filter(|replica| replica.leads.is_some())?;
            isr.iter().find_map(|member| lacks(partition, (*broker, leader), *member))
        }
        Change::Isr { .. } | Change::Elected { .. } => all(partition, isr),
        Change::Lost(member) if isr.contains(member) => all(partition, std::slice::from_ref(member)),
        _ => None,
    }
}

fn all(partition: &PartitionView, members: &[i32]) -> Option<String> {
    let mut leaders = partition.presumed_leaders();
    leaders
        .find_map(|(broker, leader, _)| members.iter().find_map(|member| lacks(partition, (broker, leader), *member)))
}

fn lacks(partition: &PartitionView, (broker, leader): (i32, &ReplicaView), member: i32) -> Option<String> {
    let other = partition.replica(member).filter(|_| member != broker)?;
    let limit = leader.high_watermark;
    let committed = &partition.committed;
    if leader.log.holds(limit, committed) && other.log.holds(limit, committed) {
        return None;
    }
    let offset = leader.log.first_difference(&other.log, limit, committed)?;
    Some(format!(
        "broker {broker} shows consumers everything below {limit}, and broker {member}, which is in the ISR {:?}, does not hold the same at offset {offset}",
        partition.decided.isr
    ))
}

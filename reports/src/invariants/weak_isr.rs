//! `WeakIsr`: whoever believes to lead shares everything below its high watermark with whoever it counts as in sync.
//!
//! Source: hachikuji/kafka-specification, `Kafka.tla`: for every replica that presumes leadership, every member of its own
//! ISR, and every offset below its own high watermark, the two hold the same record.

use super::Scene;
use super::view::{Change, Leadership, PartitionView, ReplicaView};

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let partition = scene.partition;
    match scene.change {
        Change::Committed { broker, .. } | Change::LeaderIsr(broker) => {
            let replica = partition.replica(*broker)?;
            let leads = replica.leads.as_ref()?;
            leads.isr.iter().find_map(|member| differs(partition, (*broker, replica), *member))
        }
        Change::Lost(member) => {
            let counts = |leads: &Leadership| leads.isr.contains(member);
            let mut leaders = partition.presumed_leaders().filter(|(_, _, leads)| counts(leads));
            leaders.find_map(|(broker, replica, _)| differs(partition, (broker, replica), *member))
        }
        _ => None,
    }
}

fn differs(partition: &PartitionView, (leader, replica): (i32, &ReplicaView), member: i32) -> Option<String> {
    let other = partition.replica(member).filter(|_| member != leader)?;
    let limit = replica.high_watermark;
    let committed = &partition.committed;
    if replica.log.holds(limit, committed) && other.log.holds(limit, committed) {
        return None;
    }
    let offset = replica.log.first_difference(&other.log, limit, committed)?;
    Some(format!(
        "broker {leader} leads with high watermark {limit} and counts broker {member} as in sync, which does not hold the same at offset {offset}"
    ))
}

//! `LogMatching`: below the high watermarks of both, two replicas never hold different records.
//!
//! Source: Vanlightly/kafka-tlaplus, `kafka_data_replication/kraft`: for any two brokers and any offset below both log ends
//! and both high watermarks, the values are equal. What was removed by retention, or rewritten by compaction, is exempt.

use super::Scene;
use super::replica_log::{Batch, Commit};
use super::view::{Change, PartitionView, ReplicaView};

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let partition = scene.partition;
    match scene.change {
        Change::Committed { broker, commit, .. } => {
            if let Commit::Overruled(old) = commit {
                let holder = partition.replicas.iter().find(|(other, replica)| {
                    *other != broker && replica.high_watermark > old.last && replica.log.has_in_tail(old)
                });
                return holder.map(|(other, _)| differ(*broker, *other, old.base));
            }
            contradicts(partition, *broker)
        }
        Change::Followed(broker) => contradicts(partition, *broker),
        _ => None,
    }
}

fn contradicts(partition: &PartitionView, broker: i32) -> Option<String> {
    let replica = partition.replica(broker)?;
    let own = replica.log.contradiction(&partition.committed)?;
    if own.last >= replica.high_watermark {
        return None;
    }
    let holds_other = |other: &ReplicaView, own: &Batch| {
        let has_offset = other.log.start <= own.base && other.log.end > own.last;
        other.high_watermark > own.last && has_offset && !other.log.has_in_tail(own)
    };
    let other = partition.replicas.iter().find(|(other, view)| **other != broker && holds_other(view, &own))?;
    Some(differ(broker, *other.0, own.base))
}

fn differ(one: i32, other: i32, offset: i64) -> String {
    format!("brokers {one} and {other} hold different records at offset {offset}, below the high watermarks of both")
}

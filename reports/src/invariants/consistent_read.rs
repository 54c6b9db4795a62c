//! `ConsistentRead`: what a consumer has read stays where it was, unchanged, on every leader.
//!
//! Source: Vanlightly/kafka-tlaplus, `kafka_data_replication/kraft`: for every leader that is not stale, each record ever
//! consumed is still there at its offset. Retention and compaction may remove it; a leader may not lack or replace it.

use super::Scene;
use super::replica_log::Commit;
use super::view::Change;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let partition = scene.partition;
    match scene.change {
        Change::Consumed(_) | Change::Elected { .. } => {}
        Change::Lost(broker) | Change::BecameLeader(broker, _) if *broker == partition.decided.leader => {}
        Change::Committed { commit: Commit::Overruled(_), .. } => {}
        _ => return None,
    }
    let (broker, leader) = partition.current_leader()?;
    let read = partition.consumed.min(partition.committed.end());
    (read > partition.committed.deleted && leader.log.matched < read).then(|| {
        format!(
            "a consumer has read offset {}, and broker {broker}, which leads in epoch {}, does not hold what was read from offset {} on",
            read.saturating_sub(1),
            partition.decided.leader_epoch,
            leader.log.matched
        )
    })
}

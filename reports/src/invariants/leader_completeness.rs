//! `LeaderCompleteness`: the leader has every record that was ever committed, unchanged.
//!
//! Source: Vanlightly/kafka-tlaplus, `kafka_data_replication/kraft`: if the leader that the controller names is running, its
//! log reaches to the true high watermark and holds every acknowledged value. Committed stands for acknowledged here: with
//! acks=all a record is acknowledged only when it is committed.

use super::Scene;
use super::replica_log::Commit;
use super::view::Change;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let partition = scene.partition;
    match scene.change {
        Change::Committed { commit: Commit::Overruled(batch), broker, .. } => {
            return Some(format!("broker {broker} commits offset {} with another record than before", batch.base));
        }
        Change::Committed { .. } | Change::Elected { .. } => {}
        Change::Lost(broker) | Change::BecameLeader(broker, _) if *broker == partition.decided.leader => {}
        _ => return None,
    }
    let leader = partition.decided.leader;
    let replica = partition.replica(leader).filter(|_| !scene.cluster.down.contains(&leader))?;
    let committed = &partition.committed;
    if let Some(batch) = replica.log.contradiction(committed) {
        return Some(format!(
            "broker {leader} leads in epoch {} and has another record at offset {} than was committed",
            partition.decided.leader_epoch, batch.base
        ));
    }
    let lacks = committed.promises()
        && (replica.log.end < committed.high_watermark || !replica.log.holds(committed.end(), committed));
    lacks.then(|| {
        format!(
            "broker {leader} leads in epoch {}, and its log ends at {}; committed is everything below {}",
            partition.decided.leader_epoch, replica.log.end, committed.high_watermark
        )
    })
}

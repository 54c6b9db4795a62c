//! `NoCommittedRecordLostGlobally`: every record that was committed is on some broker.
//!
//! Source: Vanlightly/kafka-tlaplus, `kafka_data_replication/kraft`: every acknowledged value exists on some broker, unless as
//! many brokers as min.insync.replicas have lost their logs (that exemption is the contract's). A broker that does not run counts with
//! what it had; what it lost is known when it is back.

use super::Scene;
use super::replica_log::Commit;
use super::view::Change;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let partition = scene.partition;
    match scene.change {
        Change::Lost(_) | Change::Committed { commit: Commit::Overruled(_), .. } => {}
        _ => return None,
    }
    if let Some(batch) = &partition.overruled
        && !partition.replicas.values().any(|replica| replica.log.has_in_tail(batch))
    {
        return Some(format!("offset {} was committed, and no broker has that record any more", batch.base));
    }
    let committed = partition.committed.end();
    let held = partition.replicas.values().map(|replica| replica.log.matched).max()?;
    (partition.committed.promises() && held < committed)
        .then(|| format!("committed is everything below {committed}, and no broker has it beyond {held}"))
}

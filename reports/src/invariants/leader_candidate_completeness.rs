//! `LeaderCandidateCompleteness`: whoever may be elected has everything that was ever committed.
//!
//! Source: Vanlightly/kafka-tlaplus, `kafka_data_replication/kraft`: the log of every running member of the ISR of the
//! controller (KIP-966: and of its ELR) reaches at least to the true high watermark.

use super::Scene;
use super::view::Change;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let decided = &scene.partition.decided;
    let electable = || decided.isr.iter().chain(&decided.elr);
    match scene.change {
        Change::Committed { .. } | Change::Isr { .. } | Change::Elected { .. } | Change::Eligible => {
            electable().find_map(|member| lacks(scene, *member))
        }
        Change::Lost(member) if electable().any(|electable| electable == member) => lacks(scene, *member),
        _ => None,
    }
}

fn lacks(scene: &Scene<'_>, member: i32) -> Option<String> {
    let replica = scene.partition.replica(member).filter(|_| !scene.cluster.down.contains(&member))?;
    let committed = &scene.partition.committed;
    let high_watermark = committed.high_watermark;
    (committed.promises() && replica.log.end < high_watermark).then(|| {
        format!(
            "broker {member} may be elected (ISR {:?}), and its log ends at {}; committed is everything below {high_watermark}",
            scene.partition.decided.isr, replica.log.end
        )
    })
}

//! `LeaderInIsr`: the leader that the controller names is in the ISR that it names.
//!
//! Source: hachikuji/kafka-specification, `Kafka.tla`: quorumState.leader ∈ quorumState.isr.

use super::Scene;
use super::view::Change;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let decided = &scene.partition.decided;
    let looks = match scene.change {
        Change::Elected { .. } => true,
        // The leader that goes with it was looked at just before, with this very ISR.
        Change::Isr { with_leader, .. } => !with_leader,
        _ => false,
    };
    let broken = looks && decided.leader >= 0 && !decided.isr.contains(&decided.leader);
    broken.then(|| format!("broker {} leads and is not in the ISR {:?}", decided.leader, decided.isr))
}

//! `MinIsrRecoveryQuorum`: a partition that nobody may lead remembers whom it could be recovered from.
//!
//! Source: Vanlightly/kafka-tlaplus, KIP-966: with an empty ISR and an empty ELR the last known ELR has as many members as
//! min.insync.replicas. What Kafka has built (4.0, balanced recovery) remembers the last leader alone, so one will do here.
//! One decision of the controller is several facts, of which this one is the last: only then is it looked at.

use super::Scene;
use super::view::Change;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let Change::Eligible(last_known) = scene.change else { return None };
    let decided = &scene.partition.decided;
    let broken = decided.isr.is_empty() && decided.elr.is_empty() && last_known.is_empty();
    broken.then(|| "the ISR and the ELR are empty, and nobody is remembered who could recover the partition".to_owned())
}

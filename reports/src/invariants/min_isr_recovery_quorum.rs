//! `MinIsrRecoveryQuorum`: a partition that nobody may lead remembers whom it could be recovered from.
//!
//! Source: Vanlightly/kafka-tlaplus, KIP-966: with an empty ISR and an empty ELR the last known ELR has as many members as
//! min.insync.replicas. What Kafka has built (4.0, balanced recovery) remembers the last leader alone, so one will do here, and
//! how many min.insync.replicas asks for has no part in it.
//! It is looked at after every decision that leaves nobody in the ISR. One decision is several facts, so only when all are told.

use super::Scene;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let decided = &scene.partition.decided;
    let broken = decided.isr.is_empty() && decided.elr.is_empty() && decided.last_known_elr.is_empty();
    broken.then(|| "the ISR and the ELR are empty, and nobody is remembered who could recover the partition".to_owned())
}

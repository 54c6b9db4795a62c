//! `MonotonicHighWatermark`: what is committed stays committed.
//!
//! Source: failure-catalog.md section 4 (e); the *Applied HWM monotonicity* of Vanlightly's prose: a leader acts on its high
//! watermark only once that has reached the beginning of its epoch, and from there it is never below the true one.
//! Within one leadership it never goes back at all.

use super::Scene;
use super::view::Change;

/// What is wrong, if it is broken.
pub(super) fn check(scene: &Scene<'_>) -> Option<String> {
    let partition = scene.partition;
    let Change::Committed { broker, from, .. } = scene.change else { return None };
    let replica = partition.replica(*broker)?;
    let (leads, to) = (replica.leads.as_ref()?, replica.high_watermark);
    if to < *from {
        return Some(format!("the high watermark of the leader, broker {broker}, went back from {from} to {to}"));
    }
    if !partition.committed.promises() {
        return None;
    }
    let committed = partition.committed.high_watermark;
    let current = partition.decided.leader == *broker && partition.decided.leader_epoch == leads.epoch;
    (current && to >= leads.epoch_start && to < committed).then(|| {
        format!(
            "everything below {committed} was committed, and broker {broker} leads in epoch {} with {to}",
            leads.epoch
        )
    })
}

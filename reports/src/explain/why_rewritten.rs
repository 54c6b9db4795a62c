//! Why a record reads otherwise than it was sent, and no error says so: a bit of it had flipped on a disk, and the cleaner, which
//! looks at records and not at checksums, wrote its batch anew with a checksum that fits.
//!
//! Source: `failure-catalog.md` ST-08; Kafka: `MemoryRecords.filterTo`.
//! When not to say so: the cleaner had been there before the disk was harmed; or the offset is empty, then the record was dropped.

use ackproof_core::fact::Fact;
use ackproof_core::types::NodeId;

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::story::Mark;
use super::telling::Telling;
use crate::anomaly::Anomaly;

/// The tale, if that is what happened.
pub(super) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (partition, offset) = (Tale::partition(anomaly)?, anomaly.offset?);
    let is_taken = |broker: i32| {
        lineage.events.iter().rev().any(|event| match &event.fact {
            Fact::RecordSurveyed { partition: of, broker: on, offset: at, .. } => {
                *of == partition && *on == broker && *at == offset
            }
            _ => false,
        })
    };
    let removals = &lineage.partitions.get(&partition)?.removals;
    let (harmed, cleaned) = removals.iter().find_map(|at| {
        let event = &lineage.events[*at];
        let (Fact::Cleaned { to, .. }, NodeId::Broker(broker)) = (&event.fact, event.node) else { return None };
        let harmed = harm(lineage, event.node, *at)?;
        (*to > offset && is_taken(broker)).then_some((harmed, *at))
    })?;
    let mut telling = Telling::new(lineage);
    telling.tell_all(lineage.leader_appends(&partition, offset.0).first().copied());
    telling.tell_all(anomaly.record.and_then(|record| lineage.records.get(&record)).and_then(|line| line.told));
    telling.tell(harmed);
    telling.mark(cleaned, Mark::Loss);
    telling.tell_all(lineage.polls.get(&partition).and_then(|polls| polls.get(&offset.0)?.last().copied()));
    Some(Tale::new(Cause::RewrittenByCleaner, telling.into_steps()))
}

/// What was done to a node's disk before a moment: the fault, where it is known.
fn harm(lineage: &Lineage<'_>, node: NodeId, before: At) -> Option<At> {
    let is_harm =
        |at: &At| lineage.events[*at].node == node && matches!(lineage.events[*at].fact, Fact::DiskHarmed { .. });
    let harmed = (0..before).find(is_harm)?;
    Some(lineage.find(lineage.events[harmed].cause).unwrap_or(harmed))
}

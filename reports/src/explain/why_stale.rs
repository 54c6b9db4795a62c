//! Why the end of a log went back: the leader did not know better, or the log had become shorter.
//!
//! Source: KIP-207; `failure-catalog.md` RE-14.

use ackproof_core::fact::{Fact, ResetReason};
use ackproof_core::types::{Offset, TopicPartition};

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::steps::step;
use crate::anomaly::Anomaly;

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let (Some(partition), Some(end), Some(highest)) = (Tale::partition(anomaly), anomaly.offset, anomaly.other_offset)
    else {
        return Tale::unknown();
    };
    let mut told: Vec<At> = lineage
        .resets
        .iter()
        .filter(|((_, of), _)| **of == partition)
        .flat_map(|(_, places)| places.iter().copied())
        .collect();
    told.sort_unstable();
    let says = |at: &At, what: Offset| {
        matches!(&lineage.events[*at].fact,
            Fact::PositionReset { to, reason: ResetReason::NoPosition, .. } if *to == what)
    };
    let before = told.iter().copied().find(|at| says(at, highest));
    let Some((before, after)) =
        before.and_then(|before| Some((before, told.iter().copied().find(|at| *at > before && says(at, end))?)))
    else {
        return Tale::unknown();
    };
    let Some((leader, has_all)) = leader_between(lineage, &partition, (before, after), highest) else {
        return Tale::new(Cause::Unknown, vec![step(lineage, before), step(lineage, after)]);
    };
    let cause = if has_all { Cause::HighWatermarkBehind } else { Cause::LogReplaced };
    Tale::new(cause, [before, leader, after].map(|at| step(lineage, at)).into())
}

/// The last leader to begin in between, and whether it had everything below `highest`.
fn leader_between(
    lineage: &Lineage<'_>,
    partition: &TopicPartition,
    (before, after): (At, At),
    highest: Offset,
) -> Option<(At, bool)> {
    let structure = &lineage.partitions.get(partition)?.structure;
    structure.iter().rev().copied().filter(|at| *at > before && *at < after).find_map(|at| {
        match &lineage.events[at].fact {
            Fact::BecameLeader { log_end, .. } => Some((at, *log_end >= highest)),
            _ => None,
        }
    })
}

//! Why the end of a log went back: the leader did not know better, or the log had become shorter.
//!
//! Source: KIP-207; `failure-catalog.md` RE-14.

use ackproof_core::fact::{Fact, ResetReason};
use ackproof_core::types::{NodeId, Offset, TopicPartition};

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
    let resets = lineage.resets.iter().filter(|((_, of), _)| **of == partition);
    let mut told: Vec<(At, u32)> =
        resets.flat_map(|((client, _), places)| places.iter().map(|at| (*at, *client))).collect();
    told.sort_unstable();
    let says = |at: &At, what: Offset| {
        matches!(&lineage.events[*at].fact,
            Fact::PositionReset { to, reason: ResetReason::NoPosition, .. } if *to == what)
    };
    let heard = |(at, client): &(At, u32)| {
        Some(*client) == anomaly.client && Some(lineage.events[*at].time) == anomaly.told_at && says(at, end)
    };
    let after = told.iter().find(|told| heard(told)).map(|(at, _)| *at);
    let Some((before, after)) = after.and_then(|after| {
        let before = told.iter().find(|(at, _)| *at < after && says(at, highest))?;
        Some((before.0, after))
    }) else {
        return Tale::unknown();
    };
    if let Some((elected, teller)) = told_by_another(lineage, &partition, after) {
        let mut told = step(lineage, after);
        told.note.push_str(&format!("; broker {teller} said so"));
        return Tale::new(Cause::ToldByFormerLeader, vec![step(lineage, before), step(lineage, elected), told]);
    }
    let Some((leader, has_all)) = leader_between(lineage, &partition, (before, after), highest) else {
        return Tale::new(Cause::Unknown, vec![step(lineage, before), step(lineage, after)]);
    };
    let cause = if has_all { Cause::HighWatermarkBehind } else { Cause::LogReplaced };
    Tale::new(cause, [before, leader, after].map(|at| step(lineage, at)).into())
}

/// Where the leader was elected, if what a consumer was told came from another broker, and from which.
fn told_by_another(lineage: &Lineage<'_>, partition: &TopicPartition, after: At) -> Option<(At, i32)> {
    let Fact::PositionReset { told_by: Some(NodeId::Broker(teller)), .. } = lineage.events[after].fact else {
        return None;
    };
    let (elected, leader) = lineage.last_elected(partition, after)?;
    (leader != teller).then_some((elected, teller))
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

//! Why a consumer jumped over a record, went back, or never got one.
//!
//! Source: `failure-catalog.md` CO-11 (latest on the first start), RE-16 (position outside the log), RE-11 (log truncated).

use ackproof_core::fact::{Fact, ResetReason};
use ackproof_core::types::TopicPartition;

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::steps::step;
use crate::anomaly::{Anomaly, Kind};

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let (Some(partition), Some(offset)) = (Tale::partition(anomaly), anomaly.offset) else { return Tale::unknown() };
    let resets = lineage
        .resets
        .iter()
        .filter(|((client, of), _)| **of == partition && anomaly.client.is_none_or(|who| who == *client));
    let passed_over = |at: &At| match &lineage.events[*at].fact {
        Fact::PositionReset { to, .. } if anomaly.kind == Kind::Unseen => *to > offset,
        // The reset that led to this very read: between the two offsets, or back.
        Fact::PositionReset { to, .. } if anomaly.kind == Kind::PollSkip => {
            *to <= offset && anomaly.other_offset.is_none_or(|last| *to > last)
        }
        Fact::PositionReset { to, .. } => *to <= offset,
        _ => false,
    };
    let told = anomaly.told_at.filter(|_| anomaly.kind != Kind::Unseen);
    let reset = resets
        .flat_map(|(_, places)| places.iter().copied())
        .filter(|at| told.is_none_or(|told| lineage.events[*at].time <= told))
        .filter(passed_over)
        .max();
    let Some(reset) = reset else { return Tale::unknown() };
    let cause = match &lineage.events[reset].fact {
        Fact::PositionReset { reason: ResetReason::Truncation, .. } => Cause::LogReplaced,
        _ => Cause::PositionReset,
    };
    let mut places = vec![reset];
    if cause == Cause::LogReplaced {
        places.extend(last_truncation(lineage, &partition, reset));
    }
    places.sort_unstable();
    Tale::new(cause, places.into_iter().map(|at| step(lineage, at)).collect())
}

fn last_truncation(lineage: &Lineage<'_>, partition: &TopicPartition, before: At) -> Option<At> {
    let structure = &lineage.partitions.get(partition)?.structure;
    let is_truncation = |at: &At| matches!(lineage.events[*at].fact, Fact::Truncated { .. });
    structure.iter().rev().copied().filter(|at| *at < before).find(is_truncation)
}

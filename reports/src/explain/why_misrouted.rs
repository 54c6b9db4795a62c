//! Why a record is in a partition that it was not sent to.
//!
//! Source: `failure-catalog.md` NC-04 (c): a bit of the request flips where no checksum covers it. CR-14: the request of another
//! batch went out with this one's buffer.

use ackproof_core::fact::Fact;

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage, REACH};
use super::steps::step;
use super::story::Mark;
use crate::anomaly::Anomaly;

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let (Some(record), Some(partition)) = (anomaly.record, Tale::partition(anomaly)) else { return Tale::unknown() };
    let batches = lineage.batches_of(record);
    let lines = batches.iter().filter_map(|batch| lineage.batches.get(batch));
    let sent: Vec<At> = lines.flat_map(|line| line.sent.iter().copied()).collect();
    // The witness of the fault follows from the very transmission that it spoiled.
    let flipped = lineage.events.iter().enumerate().find_map(|(at, event)| match &event.fact {
        Fact::FaultBit { what, .. } if what.starts_with("flipped a bit of Produce request") => {
            let of = sent.iter().copied().find(|sent| lineage.events[*sent].sequence == event.cause)?;
            Some((of, at))
        }
        _ => None,
    });
    let append = anomaly.offset.and_then(|offset| lineage.surviving_append(&partition, offset.0));
    let reused = append.and_then(|append| buffer_reused(lineage, append));
    let (cause, found) = match (flipped, reused) {
        (Some(flipped), _) => (Cause::CorruptedInFlight, flipped),
        (None, Some(reused)) => (Cause::BufferReused, reused),
        (None, None) => return Tale::told_only(lineage, record),
    };
    let (transmission, spoiled) = found;
    let line = lineage.records.get(&record);
    let told = line.into_iter().flat_map(|line| line.sent.into_iter().chain(line.told));
    let mut places: Vec<At> = told.chain(sent).chain([transmission, spoiled]).collect();
    places.sort_unstable();
    places.dedup();
    let mut steps: Vec<_> = places.into_iter().map(|at| (at, step(lineage, at))).collect();
    steps.extend(append.map(|at| (at, step(lineage, at).mark(Mark::TookOffset))));
    steps.sort_by_key(|(at, _)| *at);
    Tale::new(cause, steps.into_iter().map(|(_, step)| step).collect())
}

/// Where the request that led to an append was given the buffer of another batch: its transmission, and the witness.
fn buffer_reused(lineage: &Lineage<'_>, append: At) -> Option<(At, At)> {
    let transmission =
        lineage.causes(append).take(REACH).find(|at| matches!(lineage.events[*at].fact, Fact::BatchSent { .. }))?;
    let sent = &lineage.events[transmission];
    let witness = lineage.events[transmission..append].iter().position(|event| match &event.fact {
        Fact::FaultBit { what, .. } => {
            event.cause == sent.sequence && what.starts_with("wrote the buffer of a later batch into Produce request")
        }
        _ => false,
    })?;
    Some((transmission, transmission + witness))
}

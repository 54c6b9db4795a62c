//! Why one logical record is in the log twice.
//!
//! Source: `failure-catalog.md` NC-01 (lost response), NC-02 (late request), CR-01 (through a fail-over), CR-05 (the application),
//! CR-02, CR-03 (what idempotence must recognise).

use ackproof_core::fact::{Fact, RetryReason};
use ackproof_core::types::{RecordId, TopicPartition};

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage, Origin};
use super::steps::step;
use super::story::Mark;
use crate::anomaly::Anomaly;

/// A copy: its append, and where that came from.
#[derive(Clone, Copy)]
struct Copied {
    append: At,
    origin: Option<Origin>,
}

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let (Some(record), Some(partition)) = (anomaly.record, Tale::partition(anomaly)) else { return Tale::unknown() };
    let copied = |offset: Option<i64>| copied(lineage, record, &partition, offset?);
    let first = copied(anomaly.other_offset.map(|offset| offset.0));
    let second = copied(anomaly.offset.map(|offset| offset.0));
    let (Some(first), Some(second)) = (first, second) else { return apart(lineage, record) };
    let cause = cause(lineage, record, first, second);
    let mut places: Vec<(At, Option<Mark>)> =
        vec![(first.append, Some(Mark::First)), (second.append, Some(Mark::Second))];
    for origin in [first.origin, second.origin].into_iter().flatten() {
        places.push((origin.sent, None));
    }
    if cause == Cause::ResentByApplication {
        for attempt in lineage.attempts(record) {
            let line = lineage.records.get(&attempt);
            let own = line.into_iter().flat_map(|line| line.sent.into_iter().chain(line.told));
            // What came after the second copy is no part of how it came about.
            places.extend(own.filter(|at| *at < second.append.max(first.append)).map(|at| (at, None)));
        }
    } else if let Some(retry) = retry_before(lineage, first, second) {
        places.push((retry, None));
        places.extend(lost_answer(lineage, first.append.min(second.append), retry).map(|at| (at, None)));
    }
    places.sort_unstable_by_key(|(at, mark)| (*at, mark.is_none()));
    places.dedup_by_key(|(at, _)| *at);
    let steps = places.into_iter().map(|(at, mark)| match mark {
        Some(mark) => step(lineage, at).mark(mark),
        None => step(lineage, at),
    });
    Tale::new(cause, steps.collect())
}

/// The append that the record at an offset survives from.
fn copied(lineage: &Lineage<'_>, record: RecordId, partition: &TopicPartition, offset: i64) -> Option<Copied> {
    let append = *lineage.leader_appends(partition, offset).last()?;
    Some(Copied { append, origin: lineage.origin(append, partition, &lineage.batches_of(record)) })
}

fn cause(lineage: &Lineage<'_>, record: RecordId, first: Copied, second: Copied) -> Cause {
    let (Some(one), Some(two)) = (first.origin, second.origin) else { return Cause::Unknown };
    if (one.client, one.batch) != (two.client, two.batch) {
        return match lineage.attempts(record).len() {
            0 | 1 => Cause::Unknown,
            _ => Cause::ResentByApplication,
        };
    }
    let certain = one.certain && two.certain;
    let (one_sequence, two_sequence) = (sequence(lineage, first.append), sequence(lineage, second.append));
    match (one_sequence, two_sequence) {
        (Some(one), Some(two)) if one == two => return Cause::DuplicateNotRecognised,
        (Some(_), Some(_)) => return Cause::SequenceReset,
        _ => {}
    }
    if certain && one.sent == two.sent {
        return Cause::RequestDeliveredTwice;
    }
    if certain && one.attempt > two.attempt {
        return Cause::LateRequestAppendedAfterRetry;
    }
    match retry_before(lineage, first, second).map(|retry| &lineage.events[retry].fact) {
        Some(Fact::BatchRetried { reason: RetryReason::Error(_), .. }) => Cause::ResentAfterIndefiniteError,
        Some(_) => Cause::ResentAfterLostResponse,
        None => Cause::Unknown,
    }
}

/// Producer id and sequence of an append; none without idempotence.
pub(super) fn sequence(lineage: &Lineage<'_>, append: At) -> Option<(i64, i32)> {
    match &lineage.events[append].fact {
        Fact::Appended { producer_id, base_sequence, .. } if *producer_id >= 0 => Some((*producer_id, base_sequence.0)),
        _ => None,
    }
}

/// The last time that the client decided to send the batch again, before both copies were there.
fn retry_before(lineage: &Lineage<'_>, first: Copied, second: Copied) -> Option<At> {
    let origin = second.origin?;
    let line = lineage.batches.get(&(origin.client, origin.batch))?;
    let end = first.append.max(second.append);
    line.retried.iter().rev().copied().find(|at| *at < end)
}

/// The answer that did not arrive, if its loss is in the trace.
fn lost_answer(lineage: &Lineage<'_>, append: At, retry: At) -> Option<At> {
    let client = lineage.events[retry].node;
    let window = append..retry.min(append.saturating_add(10_000));
    window.into_iter().find(|at| match &lineage.events[*at].fact {
        Fact::MessageLost { to, what, .. } => *to == client && what.contains("Produce"),
        _ => false,
    })
}

/// The copies are in different partitions, or their appends are not in the trace.
fn apart(lineage: &Lineage<'_>, record: RecordId) -> Tale {
    let attempts = lineage.attempts(record);
    if attempts.len() < 2 {
        return Tale::told_only(lineage, record);
    }
    let lines = attempts.iter().filter_map(|attempt| lineage.records.get(attempt));
    let mut places: Vec<At> = lines.flat_map(|line| line.sent.into_iter().chain(line.told)).collect();
    places.sort_unstable();
    Tale::new(Cause::ResentByApplication, places.into_iter().map(|at| step(lineage, at)).collect())
}

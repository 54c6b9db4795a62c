//! Why one logical record is in the log twice.
//!
//! Source: `failure-catalog.md` NC-01 (lost response), NC-02 (late request), CR-01 (through a fail-over), CR-05 (the application),
//! CR-02, CR-03 (what idempotence must recognise), CR-08, NC-08 (what it has forgotten).

use ackproof_core::fact::{Fact, RetryReason};
use ackproof_core::types::{NodeId, RecordId, TopicPartition};

use super::cause::Cause;
use super::forgotten::forgotten;
use super::lineage::{At, Lineage, Origin};
use super::nodes::leaves_hole_at;
use super::renumbered::renumbered;
use super::steps::step;
use super::story::Mark;
use super::telling::Telling;
use super::{Enough, Tale};
use crate::anomaly::Anomaly;

/// A copy: its append, and where that came from.
#[derive(Clone, Copy)]
struct Copied {
    append: At,
    origin: Option<Origin>,
}

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly, enough: Enough<'_>) -> Tale {
    let (Some(record), Some(partition)) = (anomaly.record, Tale::partition(anomaly)) else { return Tale::unknown() };
    let copied = |offset: Option<i64>| copied(lineage, record, &partition, offset?);
    let first = copied(anomaly.other_offset.map(|offset| offset.0));
    let second = copied(anomaly.offset.map(|offset| offset.0));
    let (Some(first), Some(second)) = (first, second) else { return apart(lineage, record) };
    let forgotten = forgotten(lineage, &partition, first.append, second.append);
    let lost = lost_before(lineage, &partition, first, second);
    let unclean = || elected_with_one(lineage, &partition, first, second);
    let cause = match (cause(lineage, record, first, second), forgotten) {
        (Cause::DuplicateNotRecognised, Some((how, _))) => how,
        (Cause::SequenceReset, Some((how @ Cause::ProducerForgottenWithItsRecords, _))) => how,
        (Cause::DuplicateNotRecognised, None) if lost.is_some() => Cause::UnsyncedDataLostWithPower,
        (Cause::DuplicateNotRecognised, None) if unclean().is_some() => Cause::UncleanElection,
        (cause, _) => cause,
    };
    let renumbered = first
        .origin
        .filter(|_| cause == Cause::SequenceReset)
        .and_then(|origin| renumbered(lineage, &partition, origin.batch, first.append.max(second.append)));
    let cause = renumbered.map_or(cause, |(cause, _)| cause);
    let (earlier, later) = (first.append.min(second.append), first.append.max(second.append));
    let start = [first.origin, second.origin].into_iter().flatten().map(|origin| origin.sent).min();
    let start = start.map_or(earlier, |sent| sent.min(earlier));
    let warned = Some(record.client).filter(|_| cause != Cause::ResentByApplication);
    let warned = warned.and_then(|client| lineage.idempotence_warning(client, start));
    let told = |steps| Tale { warned: warned.map(|(_, warning)| warning.to_owned()), ..Tale::new(cause, steps) };
    if enough(cause) {
        return told(Vec::new());
    }
    let mut telling = Telling::new(lineage);
    telling.tell_all([first.origin, second.origin].into_iter().flatten().map(|origin| origin.sent));
    telling.fail_over(&partition, start, earlier, later);
    telling.tell_all(warned.map(|(at, _)| at));
    if cause == Cause::ResentByApplication {
        resends(&mut telling, lineage, record, later);
    } else if let Some(retry) = retry_before(lineage, first, second) {
        telling.tell(retry);
        match lost_answer(lineage, earlier, retry) {
            Some(lost) => telling.tell_all([lost]),
            None => telling.faults(start, retry),
        }
    }
    telling.tell_all(forgotten.filter(|(how, _)| *how == cause).map(|(_, at)| at));
    telling.tell_all(lost.filter(|_| cause == Cause::UnsyncedDataLostWithPower));
    telling.tell_all((cause == Cause::UncleanElection).then(unclean).flatten());
    telling.tell_all(renumbered.map(|(_, decided)| decided));
    for (copy, mark) in [(first, Mark::First), (second, Mark::Second)] {
        let is_late = cause == Cause::LateRequestAppendedAfterRetry;
        let attempt = copy.origin.filter(|_| is_late).map(|origin| attempt_of(lineage, origin));
        telling.mark(copy.append, mark).note = attempt.unwrap_or_default();
    }
    told(telling.into_steps())
}

/// What the application sent and heard before both copies were there, and what kept the answers from it.
fn resends(telling: &mut Telling<'_, '_>, lineage: &Lineage<'_>, record: RecordId, end: At) {
    for attempt in lineage.attempts(record) {
        let Some(line) = lineage.records.get(&attempt) else { continue };
        let told = line.told.filter(|told| *told < end);
        telling.tell_all(line.sent.filter(|sent| *sent < end));
        telling.tell_all(told);
        if let Some(batch) = line.batch {
            telling.transmissions(batch, told.unwrap_or(end));
        }
        let failed = told.filter(|told| matches!(lineage.events[*told].fact, Fact::RecordFailed { .. }));
        if let (Some(sent), Some(failed)) = (line.sent, failed) {
            telling.faults(sent, failed);
        }
    }
}

/// The append that the record at an offset survives from.
fn copied(lineage: &Lineage<'_>, record: RecordId, partition: &TopicPartition, offset: i64) -> Option<Copied> {
    let append = lineage.surviving_append(partition, offset)?;
    Some(Copied { append, origin: lineage.origin_of_copy(append, partition, record) })
}

fn cause(lineage: &Lineage<'_>, record: RecordId, first: Copied, second: Copied) -> Cause {
    let resent = lineage.records.get(&record).is_some_and(|line| !line.resends.is_empty());
    let identities = (lineage.identity(first.append), lineage.identity(second.append));
    // Whichever requests brought them, if that is not certain: a leader recognises what the same batch brings again.
    let may_be_resent = resent && (identities.0.is_none() || identities.0 != identities.1);
    let (one, two) = match (first.origin, second.origin) {
        (Some(one), Some(two)) => (one, two),
        _ if may_be_resent => return Cause::ResentByApplication,
        _ => return Cause::Unknown,
    };
    if one.batch != two.batch {
        return if resent { Cause::ResentByApplication } else { Cause::Unknown };
    }
    let certain = one.certain && two.certain;
    if !certain && may_be_resent {
        return Cause::ResentByApplication;
    }
    match identities {
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

/// Where the leader that took the second copy came back without the first, which others still had: its log had a hole there, and what it
/// knows of producers it reads from its log.
fn lost_before(lineage: &Lineage<'_>, partition: &TopicPartition, first: Copied, second: Copied) -> Option<At> {
    let (earlier, later) = (first.append.min(second.append), first.append.max(second.append));
    let Fact::Appended { base_offset, .. } = &lineage.events[earlier].fact else { return None };
    let leader = lineage.events[later].node;
    let loaded = lineage.last_load(partition, leader, later)?;
    leaves_hole_at(&lineage.events[loaded].fact, *base_offset).then_some(loaded)
}

/// Where a replica was elected uncleanly that had one of the copies and never the other: that one was read, and the log has neither in the
/// place of the other.
fn elected_with_one(lineage: &Lineage<'_>, partition: &TopicPartition, first: Copied, second: Copied) -> Option<At> {
    let mut structure = lineage.partitions.get(partition)?.structure.iter().rev().copied();
    let has = |broker: i32, append: At| {
        let Fact::Appended { base_offset, leader_epoch: epoch, .. } = &lineage.events[append].fact else {
            return false;
        };
        lineage.appends(partition, base_offset.0).into_iter().any(|at| {
            lineage.events[at].node == NodeId::Broker(broker)
                && matches!(&lineage.events[at].fact, Fact::Appended { base_offset: base, leader_epoch, .. }
                    if base == base_offset && leader_epoch == epoch)
        })
    };
    structure.find(|at| match &lineage.events[*at].fact {
        Fact::LeaderElected { leader, clean: false, .. } => has(*leader, first.append) != has(*leader, second.append),
        _ => false,
    })
}

/// From which transmission of its batch an append came, where there were several: `from attempt 1, given up by the client`.
pub(super) fn attempt_of(lineage: &Lineage<'_>, origin: Origin) -> String {
    let Some(line) = lineage.batches.get(&origin.batch) else { return String::new() };
    if !origin.certain || line.sent.len() < 2 {
        return String::new();
    }
    let retried = line.retried.iter().filter(|at| **at > origin.sent).min();
    let given_up = retried.is_some_and(|at| {
        matches!(lineage.events[*at].fact, Fact::BatchRetried { reason: RetryReason::RequestTimeout, .. })
    });
    format!("from attempt {}{}", origin.attempt, if given_up { ", which the client had given up" } else { "" })
}

/// The last time that the client decided to send the batch again, before both copies were there.
fn retry_before(lineage: &Lineage<'_>, first: Copied, second: Copied) -> Option<At> {
    let origin = second.origin?;
    let line = lineage.batches.get(&origin.batch)?;
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

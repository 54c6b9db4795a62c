//! Why a record stands after one that its producer sent later.
//!
//! Source: `failure-catalog.md` CR-02 (a retry is overtaken in flight), NC-02 (a late request after its retry). What lies
//! between client and broker may also deliver a request twice.

use ackproof_core::fact::{Fact, RetryReason, Role};
use ackproof_core::types::{RecordId, TopicPartition};

use super::cause::Cause;
use super::forgotten::forgotten;
use super::lineage::{At, BatchLine, Lineage, Origin};
use super::renumbered::renumbered;
use super::story::Mark;
use super::telling::Telling;
use super::why_duplicated::attempt_of;
use super::{Enough, Tale};
use crate::anomaly::{Anomaly, Kind};

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly, enough: Enough<'_>) -> Tale {
    let (Some(record), Some(other), Some(partition)) = (anomaly.record, anomaly.other_record, Tale::partition(anomaly))
    else {
        return Tale::unknown();
    };
    let late = copied(lineage, record, &partition, anomaly.offset.map(|offset| offset.0));
    let ahead = copied(lineage, other, &partition, anomaly.other_offset.map(|offset| offset.0));
    let (Some((late, Some(from))), Some((ahead, ahead_from))) = (late, ahead) else {
        return Tale::told_only(lineage, record);
    };
    let Some(batch) = lineage.batches.get(&from.batch) else { return Tale::unknown() };
    let retry = batch.retried.iter().rev().copied().find(|at| *at < late);
    // At acks=0 nobody waits for the answer, and a new connection may be faster than what is under way on the old one.
    let is_given_up = |told: &At| match &lineage.events[*told].fact {
        Fact::RecordFailed { .. } | Fact::RecordAbandoned { unsent: false, .. } => true,
        fact => matches!(fact, Fact::RecordAcknowledged { acks: 0, .. }),
    };
    let told = lineage.records.get(&record).and_then(|line| line.told);
    let given_up = told.filter(|told| *told < late && is_given_up(told));
    // Under the same id a leader takes batches in their order, whatever was given up.
    let producer = |at: At| lineage.identity(at).map(|(id, epoch, _)| (id, epoch));
    let in_one_life = producer(late).is_some() && producer(late) == producer(ahead);
    let repeated = ahead_from.and_then(|origin| repetition(lineage, (&partition, other), origin, ahead));
    let cause = match (cause(lineage, (anomaly.kind, &partition), batch, from, late, ahead_from), given_up) {
        (Cause::Unknown, Some(_)) if from.certain && !in_one_life => Cause::LateRequestAppended,
        (Cause::Unknown, _) if repeated.is_some() => Cause::RequestDeliveredTwice,
        (cause, _) => cause,
    };
    let forgotten = first_under_its_sequence(lineage, &partition, late)
        .and_then(|first| forgotten(lineage, &partition, first, late));
    let cause = forgotten.map_or(cause, |(how, _)| how);
    let renumbered = renumbered(lineage, &partition, from.batch, late);
    let cause = renumbered.map_or(cause, |(cause, _)| cause);
    let start = batch.sent.first().map_or(from.sent, |first| from.sent.min(*first));
    let warned = lineage.idempotence_warning(from.batch.client, start);
    let told = |steps| Tale { warned: warned.map(|(_, warning)| warning.to_owned()), ..Tale::new(cause, steps) };
    if enough(cause) {
        return told(Vec::new());
    }
    let mut telling = Telling::new(lineage);
    telling.tell_all(warned.map(|(at, _)| at));
    telling.tell_all([start, from.sent]);
    telling.tell_all(ahead_from.map(|origin| origin.sent));
    if let Some(retry) = retry {
        telling.tell(retry);
        telling.tell_all(lineage.last_refusal(&partition, from.batch, retry));
        telling.faults(start, retry);
    }
    let is_late = cause == Cause::LateRequestAppendedAfterRetry;
    let again = batch.sent.iter().rev().copied().find(|sent| *sent < late);
    telling.tell_all(again.filter(|_| is_late));
    telling.tell_all(given_up.filter(|_| cause == Cause::LateRequestAppended));
    telling.tell_all(repeated.filter(|_| cause == Cause::RequestDeliveredTwice));
    telling.tell_all(forgotten.map(|(_, at)| at));
    telling.tell_all(renumbered.map(|(_, decided)| decided));
    telling.mark(ahead, Mark::WentAhead);
    telling.mark(late, Mark::OutOfOrder);
    if is_late {
        telling.tell(late).note = attempt_of(lineage, from);
    }
    told(telling.into_steps())
}

/// What shows that what went ahead was repeated on its way: a repetition comes on a connection of its own, and does not wait behind the
/// requests before it. The request itself was appended too; or nobody answered it, while a fault repeated such requests.
fn repetition(
    lineage: &Lineage<'_>,
    (partition, record): (&TopicPartition, RecordId),
    ahead: Origin,
    appended: At,
) -> Option<At> {
    if !ahead.certain {
        return None;
    }
    if let Some(again) = lineage.appends_of(partition, ahead).find(|at| *at != appended) {
        return Some(again);
    }
    let told = lineage.records.get(&record).and_then(|line| line.told);
    let is_answered = told.is_some_and(|told| matches!(lineage.events[told].fact, Fact::RecordAcknowledged { .. }));
    lineage.repeats("Produce", ahead.sent, appended).filter(|_| !is_answered)
}

/// Where a leader had appended a batch of the same producer and sequence before; of that copy nothing may be left.
fn first_under_its_sequence(lineage: &Lineage<'_>, partition: &TopicPartition, late: At) -> Option<At> {
    let identity = lineage.identity(late)?;
    lineage.events[..late].iter().position(|event| match &event.fact {
        Fact::Appended { partition: of, role: Role::Leader, producer_id, producer_epoch, base_sequence, .. } => {
            of == partition && (*producer_id, *producer_epoch, *base_sequence) == identity
        }
        _ => false,
    })
}

fn copied(
    lineage: &Lineage<'_>,
    record: RecordId,
    partition: &TopicPartition,
    offset: Option<i64>,
) -> Option<(At, Option<Origin>)> {
    let append = lineage.surviving_append(partition, offset?)?;
    Some((append, lineage.origin_of_copy(append, partition, record)))
}

fn cause(
    lineage: &Lineage<'_>,
    (kind, partition): (Kind, &TopicPartition),
    batch: &BatchLine,
    from: Origin,
    late: At,
    ahead: Option<Origin>,
) -> Cause {
    if kind == Kind::ReplayReorder && lineage.identity(late).is_some() {
        return Cause::DuplicateNotRecognised;
    }
    // Nobody sent it again, and yet it is there once more; of the first copy nothing may be left.
    if from.certain && lineage.was_appended(partition, from, late) {
        return Cause::RequestDeliveredTwice;
    }
    // The client had sent the batch again before this, older, transmission was appended.
    let given_up = batch.sent.iter().any(|sent| *sent > from.sent && *sent < late);
    if from.certain && given_up {
        return Cause::LateRequestAppendedAfterRetry;
    }
    let retry = batch.retried.iter().rev().find(|at| **at < late).map(|at| &lineage.events[*at].fact);
    // What went ahead may have come with the same batch, of whose first copy compaction has left the rest.
    let is_replay = kind == Kind::ReplayReorder || ahead.is_some_and(|ahead| ahead.batch == from.batch);
    match (is_replay, retry) {
        (_, None) => Cause::Unknown,
        (true, Some(Fact::BatchRetried { reason: RetryReason::Error(_), .. })) => Cause::ResentAfterIndefiniteError,
        (true, Some(_)) => Cause::ResentAfterLostResponse,
        (false, Some(_)) => match (ahead, batch.sent.first()) {
            // The later batch left while the first transmission of the earlier one was still unanswered.
            (Some(ahead), Some(first)) if ahead.sent > *first && ahead.sent < from.sent => {
                Cause::RetryOvertakenInFlight
            }
            (_, _) => Cause::Unknown,
        },
    }
}

//! Why a record for which no broker answered is nowhere.
//!
//! Source: `failure-catalog.md` PA-01, PA-02, CR-11, CR-12, LG-01, LG-02.

use ackproof_core::fact::{Fact, RetryReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{NodeId, RecordId, TopicPartition};

use super::cause::Cause;
use super::lineage::{At, BatchLine, Lineage};
use super::nodes::is_death;
use super::story::Mark;
use super::telling::Telling;
use super::{Tale, why_lost};
use crate::anomaly::Anomaly;
use crate::contract::{Contract, LegacyKind};

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Tale {
    let Some(record) = anomaly.record else { return Tale::unknown() };
    let Some(line) = lineage.records.get(&record) else { return Tale::unknown() };
    let Some(told) = line.told else { return Tale::told_only(lineage, record) };
    let batch = line.batch.and_then(|batch| lineage.batches.get(&batch));
    let legacy = contract.producer(record.client).and_then(|producer| producer.legacy);
    let given_up = lineage.warned_just_before(record.client, told).filter(|_| legacy == Some(LegacyKind::Async));
    let cause = match &lineage.events[told].fact {
        Fact::RecordAcknowledged { .. } => {
            return unasked(lineage, record, Tale::partition(anomaly).as_ref(), batch, told);
        }
        // The asynchronous producer gave it up, and says so before it names the records.
        Fact::RecordAbandoned { .. } if given_up.is_some() => Cause::RetriesExhausted,
        Fact::RecordAbandoned { unsent, .. } => abandoned(*unsent, legacy),
        Fact::RecordFailed { error, .. } => failed(*error, legacy),
        _ => Cause::Unknown,
    };
    let mut telling = Telling::new(lineage);
    telling.tell_all(line.sent);
    if let Some(batch) = line.batch {
        telling.transmissions(batch, told);
        telling.tell_all(lineage.batches.get(&batch).and_then(|batch| batch.retried.last().copied()));
    }
    let is_abandoned = matches!(lineage.events[told].fact, Fact::RecordAbandoned { .. });
    let why_abandoned = given_up.or_else(|| {
        // The end of the process and the facts about what it left behind stand close together, in either order.
        lineage.nearest_death(NodeId::Client(record.client), line.sent.unwrap_or(0), told)
    });
    telling.tell_all(why_abandoned.filter(|_| is_abandoned));
    telling.mark(told, Mark::Drop);
    if !matches!(cause, Cause::RecordTooLarge | Cause::RefusedByBroker | Cause::Unknown) {
        let start = line.sent.unwrap_or(told);
        if let Some(partition) = Tale::partition(anomaly).filter(|_| !is_abandoned) {
            telling.unavailability(&partition, start, told, batch.is_some_and(|batch| had_too_few(lineage, batch)));
        }
        telling.faults(start, told);
    }
    Tale::new(cause, telling.into_steps())
}

/// Whether the leader last refused a batch because too few replicas were in sync.
fn had_too_few(lineage: &Lineage<'_>, batch: &BatchLine) -> bool {
    batch.retried.last().is_some_and(|at| {
        matches!(
            &lineage.events[*at].fact,
            Fact::BatchRetried {
                reason: RetryReason::Error(
                    ErrorCode::NOT_ENOUGH_REPLICAS | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
                ),
                ..
            }
        )
    })
}

fn abandoned(unsent: bool, legacy: Option<LegacyKind>) -> Cause {
    match (unsent, legacy) {
        (true, Some(LegacyKind::Async)) => Cause::LegacyQueueLostWithProcess,
        (true, Some(LegacyKind::Sync) | None) => Cause::ProcessExitedWithUnsentRecords,
        (false, _) => Cause::ProcessExitedBeforeAnswer,
    }
}

fn failed(error: ErrorCode, legacy: Option<LegacyKind>) -> Cause {
    match error {
        ErrorCode::CLIENT_BUFFER_EXHAUSTED => Cause::ClientBufferExhausted,
        ErrorCode::CLIENT_METADATA_TIMEOUT => Cause::MetadataTimeout,
        ErrorCode::CLIENT_QUEUE_FULL => Cause::LegacyQueueFull,
        ErrorCode::CLIENT_DELIVERY_TIMEOUT | ErrorCode::CLIENT_EXPIRED_UNSENT => Cause::DeliveryTimeout,
        ErrorCode::CLIENT_RECORD_TOO_LARGE | ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => {
            Cause::RecordTooLarge
        }
        ErrorCode::CLIENT_CLOSED if legacy == Some(LegacyKind::Async) => Cause::LegacyQueueLostWithProcess,
        ErrorCode::CLIENT_CLOSED => Cause::ClientClosed,
        ErrorCode::CLIENT_FAILED_TO_SEND | ErrorCode::CLIENT_DISCONNECTED | ErrorCode::CLIENT_REQUEST_TIMEOUT => {
            Cause::RetriesExhausted
        }
        error if error.is_retriable() => Cause::RetriesExhausted,
        _ => Cause::RefusedByBroker,
    }
}

/// acks=0: whatever became of the batch, nobody was asked. The steps show what did.
fn unasked(
    lineage: &Lineage<'_>,
    record: RecordId,
    partition: Option<&TopicPartition>,
    batch: Option<&BatchLine>,
    told: At,
) -> Tale {
    let sent = batch.and_then(|batch| batch.sent.last().copied());
    let became = sent.and_then(|sent| lineage.consequences.get(&sent)).map_or(&[][..], Vec::as_slice);
    let append = became.iter().copied().find(|at| matches!(lineage.events[*at].fact, Fact::Appended { .. }));
    if let (Some(append), Some(partition)) = (append, partition) {
        let mut tale = why_lost::explain_from(lineage, record, partition, append);
        tale.cause = Cause::AcknowledgedWithoutAsking;
        return tale;
    }
    let broker = sent.and_then(|sent| lineage.sent_to(sent));
    let dead = broker.zip(sent).and_then(|(broker, sent)| lineage.dead_since(NodeId::Broker(broker), sent));
    let drop = became.first().copied().or_else(|| match dead {
        // It went to a broker that was dead already, over a connection that the client had not seen break.
        Some(_) => None,
        // Nothing is said of the request itself: the broker that it went to died with it.
        None => lineage
            .nodes
            .get(&NodeId::Broker(broker?))?
            .iter()
            .copied()
            .filter(|at| Some(*at) > sent)
            .find(|at| is_death(&lineage.events[*at].fact)),
    });
    let mut telling = Telling::new(lineage);
    telling.tell_all(lineage.records.get(&record).and_then(|line| line.sent));
    telling.tell_all(sent);
    telling.tell(told);
    telling.mark(drop.unwrap_or(told), Mark::Drop);
    if let (Some(sent), Some(broker)) = (sent, broker) {
        let until = drop.unwrap_or(told);
        let death = lineage.dead_since(NodeId::Broker(broker), until).or(dead);
        telling.tell_all(death);
        let was_refused = not_taken(&mut telling, lineage, record, (sent, broker), until);
        if death.is_none() && !was_refused {
            telling.faults(sent, until);
        }
    }
    Tale::new(Cause::AcknowledgedWithoutAsking, telling.into_steps())
}

/// Why a broker took nothing that it was not to answer for: it no longer led, or it had closed the connection.
fn not_taken(
    telling: &mut Telling<'_, '_>,
    lineage: &Lineage<'_>,
    record: RecordId,
    (sent, broker): (At, i32),
    until: At,
) -> bool {
    let is_refused = |at: At| matches!(lineage.events[at].fact, Fact::AppendRefused { .. });
    let refused = match is_refused(until) {
        true => Some(until),
        false => lineage.refused_unasked(record.client, broker, sent, until),
    };
    let Some(refused) = refused else { return false };
    let Fact::AppendRefused { partition, error } = &lineage.events[refused].fact else { return false };
    let step = telling.tell(refused);
    step.note = format!("{error}: nobody hears of it, the broker closes the connection");
    if *error == ErrorCode::NOT_LEADER_OR_FOLLOWER {
        let elected = lineage.last_change(partition, refused, |fact| matches!(fact, Fact::LeaderElected { .. }));
        telling.tell_all(elected);
    }
    true
}

//! Why a record was acknowledged that no leader ever appended: its batch had the sequence of another one, and was taken for that.
//!
//! Source: KAFKA-14397 (open): a batch that fails at delivery.timeout.ms may have been written, and a client before 2.5 gives
//! its sequence to the batches behind it all the same (`TransactionManager.adjustSequencesDueToFailedBatch`). Since 2.5
//! (KIP-360) it begins a new epoch instead, in which no sequence was used before. KAFKA-5494, KIP-360: a client before 2.5 whose records are all
//! deleted hears UNKNOWN_PRODUCER_ID and begins at sequence 0 in the same epoch (`TransactionManager.canRetry`); a leader that lost its power may
//! have the deleted records back, and knows them by these sequences.

use ackproof_core::fact::Fact;
use ackproof_core::types::{RecordId, TopicPartition};

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, BatchName, Lineage};
use super::story::Mark;
use super::telling::Telling;
use crate::anomaly::Anomaly;

/// The story of a record whose acknowledgement speaks of another one; of two that were told of at one offset, either may be it.
pub(super) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let partition = Tale::partition(anomaly)?;
    let records = anomaly.other_record.into_iter().chain(anomaly.record);
    records.flat_map(|record| lineage.attempts(record)).find_map(|attempt| of_attempt(lineage, attempt, &partition))
}

fn of_attempt(lineage: &Lineage<'_>, record: RecordId, partition: &TopicPartition) -> Option<Tale> {
    let line = lineage.records.get(&record)?;
    let (told, own_name) = (line.told?, line.batch?);
    let own = lineage.batches.get(&own_name)?;
    let Fact::RecordAcknowledged { .. } = &lineage.events[told].fact else { return None };
    // What the application sends again may go to another partition.
    let goes_here = |at: At| lineage.goes_to(at, partition);
    let recognised = |sent: At| Some((sent, lineage.recognised(sent, told).last().copied()?));
    let (sent, recognised) =
        own.sent.iter().rev().filter(|sent| **sent < told && goes_here(**sent)).find_map(|sent| recognised(*sent))?;
    let Fact::DuplicateDetected { base_offset, .. } = &lineage.events[recognised].fact else { return None };
    let appends = lineage.leader_appends(partition, base_offset.0);
    let append =
        appends.into_iter().rev().find(|at| *at < recognised && lineage.identity(*at) == lineage.identity(sent))?;
    // Sent under this sequence before: by another batch, and if by this one too, that other one was written.
    let under = |at: &At| *at < append && goes_here(*at) && lineage.identity(*at) == lineage.identity(sent);
    let of_client = lineage.batches.iter().filter(|(name, _)| name.client == record.client);
    let candidates: Vec<(BatchName, At)> =
        of_client.filter_map(|(name, line)| Some((*name, line.sent.iter().copied().find(under)?))).collect();
    if candidates.iter().any(|(name, _)| *name == own_name) {
        let names: Vec<BatchName> = candidates.iter().map(|(name, _)| *name).collect();
        lineage.origin(append, partition, &names).filter(|origin| origin.certain && origin.batch != own_name)?;
    }
    let (other, first) = candidates.into_iter().find(|(name, _)| *name != own_name)?;
    let failed = (first..sent).find(|at| match &lineage.events[*at].fact {
        Fact::RecordFailed { record, .. } => lineage.records.get(record).and_then(|line| line.batch) == Some(other),
        _ => false,
    });
    let again = (first..sent).rev().find(|at| match &lineage.events[*at].fact {
        Fact::BatchFailedAgain { batch, .. } => lineage.batch_name(record.client, *batch, *at) == other,
        _ => false,
    });
    let mut telling = Telling::new(lineage);
    telling.tell_all([first, append, sent, recognised].into_iter().chain(failed).chain(again));
    telling.mark(told, Mark::Promise);
    Some(Tale::new(Cause::AcknowledgedForAnother, telling.into_steps()))
}

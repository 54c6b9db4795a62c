//! Why an idempotent producer's batch came once more under another sequence, which no leader recognises.
//!
//! Source: KIP-360, KAFKA-14034 (`TransactionManager.startSequencesAtBeginning`): a producer that cannot go on in its epoch begins
//! a new one, and numbers anew what the partition has in flight, whether or not it was written. `ProducerStateManager`: a
//! snapshot holds the last batch of each producer, and so does a leader that was started again.

use ackproof_core::fact::Fact;
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::TopicPartition;

use super::cause::Cause;
use super::lineage::{At, Lineage};

/// Why a batch (of a client) was renumbered before an append of it, and the event that decided it.
pub(super) fn renumbered(
    lineage: &Lineage<'_>,
    partition: &TopicPartition,
    batch: (u32, u64),
    append: At,
) -> Option<(Cause, At)> {
    let first = *lineage.batches.get(&batch)?.sent.first()?;
    let (Fact::BatchSent { base_sequence: before, .. }, Fact::Appended { base_sequence: after, producer_id, .. }) =
        (&lineage.events[first].fact, &lineage.events[append].fact)
    else {
        return None;
    };
    if *producer_id < 0 || before == after {
        return None;
    }
    forgotten(lineage, partition, first, append).or_else(|| failed(lineage, partition, batch.0, first, append))
}

/// A leader whose log was loaded meanwhile did not know the sequence.
fn forgotten(lineage: &Lineage<'_>, partition: &TopicPartition, from: At, to: At) -> Option<(Cause, At)> {
    let line = lineage.partitions.get(partition)?;
    let unknown = |at: &At| match &lineage.events[*at].fact {
        Fact::AppendRefused { error, .. } => {
            matches!(*error, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER | ErrorCode::UNKNOWN_PRODUCER_ID)
        }
        _ => false,
    };
    let loaded = |refused: At| {
        line.structure.iter().any(|at| {
            (from..refused).contains(at)
                && lineage.events[*at].node == lineage.events[refused].node
                && matches!(lineage.events[*at].fact, Fact::LogLoaded { .. })
        })
    };
    let refused = line.refused.iter().copied().filter(|at| (from..to).contains(at)).filter(unknown);
    refused.filter(|at| loaded(*at)).last().map(|at| (Cause::BatchForgottenByRestart, at))
}

/// A batch of the partition failed for good. One that was never sent leaves the sequences alone.
fn failed(lineage: &Lineage<'_>, partition: &TopicPartition, client: u32, from: At, to: At) -> Option<(Cause, At)> {
    let is_one = |at: &At| match &lineage.events[*at].fact {
        Fact::RecordFailed { record, partition: Some(of), error, .. } => {
            record.client == client && of == partition && *error != ErrorCode::CLIENT_EXPIRED_UNSENT
        }
        _ => false,
    };
    (from..to).rev().find(is_one).map(|at| (Cause::RenumberedInFlight, at))
}

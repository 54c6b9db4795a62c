//! Why an idempotent producer's batch came once more under another epoch or sequence, which no leader recognises.
//!
//! Source: KIP-360, KAFKA-14034 (`TransactionManager.startSequencesAtBeginning`): a producer that cannot go on in its epoch begins
//! a new one, and numbers anew what the partition has in flight, whether or not it was written. `ProducerStateManager`: a
//! snapshot holds the last batch of each producer, and so does a leader that was started again.

use std::collections::BTreeSet;

use ackproof_core::fact::{Fact, Role};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{NodeId, Offset, Sequence, TopicPartition};

use super::cause::Cause;
use super::lineage::{At, BatchName, Lineage};

/// Why a batch (of a client) was renumbered before an append of it, and the event that decided it.
pub(super) fn renumbered(
    lineage: &Lineage<'_>,
    partition: &TopicPartition,
    batch: BatchName,
    append: At,
) -> Option<(Cause, At)> {
    let first = *lineage.batches.get(&batch)?.sent.first()?;
    if lineage.identity(first)? == lineage.identity(append)? {
        return None;
    }
    forgotten(lineage, partition, first, append)
        .or_else(|| failed(lineage, partition, batch.client, first, append))
        .or_else(|| compacted(lineage, partition, batch.client, append))
        .or_else(|| taken_first(lineage, partition, append))
}

/// Where the leader that appended a batch had last refused one as out of order.
fn out_of_order(lineage: &Lineage<'_>, partition: &TopicPartition, to: At) -> Option<At> {
    let leader = lineage.events[to].node;
    let refused = lineage.partitions.get(partition)?.refused.iter().copied();
    refused.filter(|at| *at < to && lineage.events[*at].node == leader).rfind(|at| {
        matches!(&lineage.events[*at].fact, Fact::AppendRefused { error: ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, .. })
    })
}

/// A leader that knew nothing of the producer took a later batch before the earlier ones, which it had not been sent, or had refused
/// (NOT_ENOUGH_REPLICAS): since 2.5 (KIP-360) whatever sequence comes first is taken. Then it refused those, or one that leads after it did.
fn taken_first(lineage: &Lineage<'_>, partition: &TopicPartition, to: At) -> Option<(Cause, At)> {
    let (id, ..) = lineage.identity(to)?;
    let refused = out_of_order(lineage, partition, to)?;
    let first = first_known(lineage, partition, id, refused)?;
    let (_, epoch, sequence) = lineage.identity(first)?;
    let Fact::Appended { base_offset: place, .. } = &lineage.events[first].fact else { return None };
    let earlier = |at: At| {
        lineage.identity(at).filter(|it| (it.0, it.1) == (id, epoch) && it.2 < sequence).map(|(.., sequence)| sequence)
    };
    let stands_before = |left_out: Sequence| {
        (0..first).any(|at| match &lineage.events[at].fact {
            Fact::Appended { partition: of, role: Role::Leader, base_offset, .. } => {
                of == partition && base_offset < place && earlier(at) == Some(left_out)
            }
            _ => false,
        })
    };
    let sent = (0..first).filter(|at| lineage.goes_to(*at, partition)).filter_map(earlier);
    let was_left_out = sent.collect::<BTreeSet<_>>().into_iter().any(|left_out| !stands_before(left_out));
    was_left_out.then_some((Cause::LaterBatchTakenFirst, first))
}

/// The first batch that a broker has had of a producer, of those that its log had not lost again before a moment.
fn first_known(lineage: &Lineage<'_>, partition: &TopicPartition, id: i64, before: At) -> Option<At> {
    let broker = lineage.events[before].node;
    let mut first: Option<(At, Offset)> = None;
    for (at, event) in lineage.events[..before].iter().enumerate().filter(|(_, event)| event.node == broker) {
        match &event.fact {
            Fact::Appended { partition: of, producer_id, base_offset, .. } if of == partition && *producer_id == id => {
                first = first.or(Some((at, *base_offset)));
            }
            Fact::Truncated { partition: of, to: end, .. } | Fact::LogLoaded { partition: of, log_end: end, .. }
                if of == partition =>
            {
                first = first.filter(|(_, place)| place < end);
            }
            Fact::LogDeleted { partition: of, .. } if of == partition => first = None,
            _ => {}
        }
    }
    first.map(|(at, _)| at)
}

/// A leader refused a batch that another one had appended: the cleaner had removed it before this one copied what is behind it. It keeps the
/// last batch of each producer, and no other for a producer's sake.
fn compacted(lineage: &Lineage<'_>, partition: &TopicPartition, client: u32, to: At) -> Option<(Cause, At)> {
    let line = lineage.partitions.get(partition)?;
    let leader = lineage.events[to].node;
    let refused = out_of_order(lineage, partition, to)?;
    let goes_here = |sent: &At| lineage.goes_to(*sent, partition);
    let of_client =
        lineage.batches.iter().filter(|(name, line)| name.client == client && line.sent.iter().any(goes_here));
    let batches: Vec<BatchName> = of_client.map(|(name, _)| *name).collect();
    let sent = lineage.origin(refused, partition, &batches)?.sent;
    let identity = lineage.identity(sent)?;
    let is_it = |at: &At| lineage.identity(*at) == Some(identity);
    let mut appends = (0..refused)
        .filter(|at| matches!(&lineage.events[*at].fact, Fact::Appended { partition: of, .. } if of == partition));
    let began = line.structure.iter().copied().filter(|at| *at < refused && lineage.events[*at].node == leader);
    let began = began.rev().find(|at| matches!(lineage.events[*at].fact, Fact::LogDeleted { .. })).unwrap_or(0);
    let own = |at: &At| *at >= began && lineage.events[*at].node == leader;
    if appends.clone().any(|at| own(&at) && is_it(&at)) {
        return None;
    }
    let first = appends.clone().find(is_it)?;
    let Fact::Appended { last_offset: end, .. } = &lineage.events[first].fact else { return None };
    let is_behind =
        |at: &At| matches!(&lineage.events[*at].fact, Fact::Appended { base_offset, .. } if base_offset > end);
    let copied = appends.find(|at| own(at) && is_behind(at))?;
    let takes_it = |at: &At| matches!(&lineage.events[*at].fact, Fact::Cleaned { to, .. } if to > end);
    let cleaned = line.removals.iter().copied().filter(|at| (first..copied).contains(at)).find(takes_it)?;
    Some((Cause::BatchCompactedBeforeCopied, cleaned))
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
        // What had expired on its way before 3.6 fails once more with its request.
        Fact::BatchFailedAgain { partition: of, .. } => {
            lineage.events[*at].node == NodeId::Client(client) && of == partition
        }
        _ => false,
    };
    (from..to).rev().find(is_one).map(|at| (Cause::RenumberedInFlight, at))
}

//! How a leader comes to know nothing of an idempotent producer whose batch it, or its predecessor, had appended.
//!
//! Source: `failure-catalog.md` CR-08, NC-08 (what has expired), KAFKA-7190 (what goes with its records).
//! Kafka: `ProducerStateManager.truncateAndReload` deletes the snapshots up to the log start, `truncateFullyAndStartAt` all of them.

use ackproof_core::fact::{Fact, ForgottenReason, TruncationReason};
use ackproof_core::types::TopicPartition;

use super::cause::Cause;
use super::lineage::{At, Lineage};

/// Where the leader that appended the second copy had forgotten the producer since the first, and how.
pub(super) fn forgotten(
    lineage: &Lineage<'_>,
    partition: &TopicPartition,
    first: At,
    second: At,
) -> Option<(Cause, At)> {
    expired(lineage, partition, first, second)
        .or_else(|| Some((Cause::ForgottenBelowLogStart, begun_behind(lineage, partition, first, second)?)))
}

fn expired(lineage: &Lineage<'_>, partition: &TopicPartition, first: At, second: At) -> Option<(Cause, At)> {
    let (id, ..) = lineage.identity(second)?;
    let places = lineage.partitions.get(partition)?.forgotten.iter().copied();
    let of_leader = |at: &At| lineage.events[*at].node == lineage.events[second].node;
    places.filter(|at| (first..second).contains(at)).filter(of_leader).find_map(|at| match &lineage.events[at].fact {
        Fact::ProducerExpired { producer_id, .. } if *producer_id != id => None,
        Fact::ProducerExpired { reason: ForgottenReason::RecordsDeleted, .. } => {
            Some((Cause::ProducerForgottenWithItsRecords, at))
        }
        Fact::ProducerExpired { .. } => Some((Cause::ProducerForgotten, at)),
        _ => None,
    })
}

/// Where the log of that leader began anew behind the first copy, with nothing of its producer since. What a broker knows of producers
/// whose records are deleted is in its memory, and in a snapshot at the end of the log after a clean stop: that goes as well if
/// everything up to the end is deleted. A follower that begins where its leader does never learns of them.
fn begun_behind(lineage: &Lineage<'_>, partition: &TopicPartition, first: At, second: At) -> Option<At> {
    let (id, epoch, sequence) = lineage.identity(second)?;
    let since = (epoch, sequence);
    let Fact::Appended { last_offset: copied, .. } = &lineage.events[first].fact else { return None };
    let leader = lineage.events[second].node;
    let structure = lineage.partitions.get(partition)?.structure.iter().rev().copied();
    let began =
        structure.filter(|at| (first..second).contains(at) && lineage.events[*at].node == leader).find(|at| {
            matches!(
                &lineage.events[*at].fact,
                Fact::LogLoaded { .. }
                    | Fact::Truncated { reason: TruncationReason::OutOfRange | TruncationReason::InsideBatch, .. }
            )
        })?;
    let knows_nothing = match &lineage.events[began].fact {
        Fact::LogLoaded { log_start, log_end, clean, .. } => log_start > copied && (log_start >= log_end || !clean),
        Fact::Truncated { reason: TruncationReason::InsideBatch, from, .. } => from > copied,
        Fact::Truncated { to, .. } => to > copied,
        _ => false,
    };
    // What it has heard of those before says nothing of this one.
    let has_heard = (began..second).any(|at| {
        let is_here = lineage.events[at].node == leader
            && matches!(&lineage.events[at].fact, Fact::Appended { partition: of, .. } if of == partition);
        is_here && lineage.identity(at).is_some_and(|(of, epoch, sequence)| of == id && (epoch, sequence) >= since)
    });
    (knows_nothing && !has_heard).then_some(began)
}

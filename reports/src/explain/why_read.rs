//! Why a consumer jumped over a record, went back, or never got one.
//!
//! Source: `failure-catalog.md` CO-11 (latest on the first start), ST-09 (a damaged index), RE-16 (position outside the log), RE-11 (log truncated).
//! Kafka: `OffsetFetcherUtils.resetPositionIfNeeded` ("this will ensure we skip validation"), `FetchCollector.fetchRecords`.

use ackproof_core::fact::{Event, Fact, ResetReason};
use ackproof_core::types::{NodeId, Offset, TopicPartition};

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::nodes::leaves_hole_at;
use super::steps::step;
use super::why_lost::election;
use crate::anomaly::{Anomaly, Kind};

/// A record that was passed over without any reset: a log had a hole there, or its index was damaged before.
pub(super) fn misled(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let damaged = |event: &Event| match &event.fact {
        Fact::FaultBit { what, .. } => what.contains(".index") && matches!(event.node, NodeId::Broker(_)),
        _ => false,
    };
    if !matches!(anomaly.kind, Kind::PollSkip | Kind::Unseen | Kind::LostDelivery) {
        return Tale::unknown();
    }
    if let Some(hole) = hole(lineage, anomaly) {
        return Tale::new(Cause::UnsyncedDataLostWithPower, vec![step(lineage, hole)]);
    }
    let told = |event: &Event| anomaly.kind == Kind::Unseen || anomaly.told_at.is_none_or(|told| event.time <= told);
    let Some(damage) = lineage.events.iter().position(|event| damaged(event) && told(event)) else {
        return Tale::unknown();
    };
    Tale::new(Cause::IndexMisleads, vec![step(lineage, damage)])
}

/// Where a broker came back with a log that lacks what was passed over in its middle.
fn hole(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<At> {
    let (partition, offset) = (Tale::partition(anomaly)?, anomaly.offset?);
    let first = match anomaly.kind {
        Kind::PollSkip => Offset(anomaly.other_offset?.0.saturating_add(1)),
        _ => offset,
    };
    let line = lineage.partitions.get(&partition)?;
    line.structure.iter().copied().find(|at| leaves_hole_at(&lineage.events[*at].fact, first))
}

/// A consumer has read another record at this offset (`reads`), which was gone before this one was appended, or had been in another
/// topic of this name.
pub(super) fn unnoticed(
    lineage: &Lineage<'_>,
    partition: &TopicPartition,
    offset: Offset,
    reads: &[At],
) -> Option<Tale> {
    let append = lineage.surviving_append(partition, offset.0)?;
    // What had been fetched before may have been returned since.
    let read = reads.iter().copied().filter(|read| *read < append).max().or(reads.first().copied())?;
    if let Some(deleted) = deletion(lineage, partition).filter(|at| *at < append) {
        return Some(told_in_order(lineage, Cause::LogReplaced, [read, deleted, append]));
    }
    let structure = &lineage.partitions.get(partition)?.structure;
    let from = if read < append { read } else { 0 };
    // Or it had been fetched from one whose successor led already.
    let before = || {
        let first = lineage.leader_appends(partition, offset.0).into_iter().min().filter(|first| *first < read)?;
        lineage.last_leader_without(partition, offset, first..read)
    };
    let cut = lineage.last_leader_without(partition, offset, from..append).or_else(before)?;
    let is_shared = |at: &At| matches!(lineage.events[*at].fact, Fact::SharePolled { .. });
    let cause = if reads.iter().all(is_shared) {
        // A share group knows records by their offsets, and compares no epochs (KIP-932).
        Cause::LogReplaced
    } else if lineage.written_before_in_epoch(partition, append).is_some() {
        Cause::WrittenTwiceInOneEpoch
    } else if may_have_forgotten_epochs(lineage, structure, append) {
        Cause::EpochsLostWithPower
    } else if reads.iter().any(|read| was_buffered(lineage, partition, *read, cut)) {
        Cause::BufferedWithoutEpoch
    } else if reads.iter().any(|read| *read < cut && stood_without_epoch(lineage, partition, (*read, cut))) {
        Cause::PositionWithoutEpoch
    } else if reads.iter().any(|read| older_epoch_reaches(lineage, partition, *read, cut)) {
        Cause::OlderEpochReachesFurther
    } else {
        Cause::TruncationUnnoticed
    };
    Some(told_in_order(lineage, cause, [read, cut, append]))
}

/// Whether a leader whose machine had lost something with its power after a record was there led later on.
fn may_have_forgotten_epochs(lineage: &Lineage<'_>, structure: &[At], append: At) -> bool {
    let leaders = structure.iter().copied().filter(|at| *at > append);
    let mut leaders = leaders.filter(|at| matches!(lineage.events[*at].fact, Fact::BecameLeader { .. }));
    leaders.any(|became| lineage.lost_something(lineage.events[became].node, append, became))
}

/// Whether a consumer had its position from before a leader without the record, and had been given nothing there by then: a position that was
/// set has no epoch, so it is not validated when the leader changes, and what was fetched from there is given to the program as it is.
fn was_buffered(lineage: &Lineage<'_>, partition: &TopicPartition, read: At, cut: At) -> bool {
    cut < read && has_no_epoch_at(lineage, partition, (read, read), cut)
}

/// Whether a consumer that had read there was sent on after that and before a leader without the record, and had been given nothing by then.
fn stood_without_epoch(lineage: &Lineage<'_>, partition: &TopicPartition, (read, cut): (At, At)) -> bool {
    has_no_epoch_at(lineage, partition, (read, cut), cut)
        && lineage.events[read..cut].iter().any(|event| {
            event.node == lineage.events[read].node
                && matches!(&event.fact, Fact::PositionReset { partition: of, .. } if of == partition)
        })
}

/// Whether the log that is left has, where a reader had come to, records of an older epoch than it had read there. Asked where the reader's
/// epoch ends, its leader says where the older one does, which is no less; the answer's epoch is not looked at
/// (`SubscriptionState.maybeCompleteValidation`).
fn older_epoch_reaches(lineage: &Lineage<'_>, partition: &TopicPartition, read: At, cut: At) -> bool {
    let reader = lineage.events[read].node;
    let given = lineage.events[..=read.max(cut)].iter().rev().filter(|event| event.node == reader);
    let last = given.filter_map(|event| match &event.fact {
        Fact::Polled { partition: of, offset, .. } if of == partition => Some((event.sequence, *offset)),
        _ => None,
    });
    let Some((last, offset)) = last.max_by_key(|(sequence, _)| *sequence) else { return false };
    let before = |at: &At| lineage.events[*at].sequence < last;
    let appends = lineage.leader_appends(partition, offset.0).into_iter().filter(before);
    let known = appends.filter_map(|at| lineage.append_epoch(at)).max();
    let left = lineage.surviving_append(partition, offset.0).and_then(|at| lineage.append_epoch(at));
    matches!((left, known), (Some(left), Some(known)) if left < known)
}

/// Whether the last position that a reader was set to before a moment lies before a cut, has no epoch, and led to nothing by then.
fn has_no_epoch_at(lineage: &Lineage<'_>, partition: &TopicPartition, (read, before): (At, At), cut: At) -> bool {
    let NodeId::Client(client) = lineage.events[read].node else { return false };
    let resets = lineage.resets.get(&(client, partition)).into_iter().flatten().copied();
    let Some(reset) = resets.filter(|reset| *reset < before).max().filter(|reset| *reset < cut) else {
        return false;
    };
    let has_no_epoch = match &lineage.events[reset].fact {
        Fact::PositionReset { reason, .. } => !matches!(reason, ResetReason::Committed | ResetReason::Truncation),
        _ => false,
    };
    let mut before = lineage.events[reset..cut].iter().filter(|event| event.node == NodeId::Client(client));
    let got_some = before.any(|event| matches!(&event.fact, Fact::Polled { partition: of, .. } if of == partition));
    has_no_epoch && !got_some
}

fn told_in_order(lineage: &Lineage<'_>, cause: Cause, mut places: [At; 3]) -> Tale {
    places.sort_unstable();
    Tale::new(cause, places.into_iter().map(|at| step(lineage, at)).collect())
}

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
    let Some(reset) = reset else {
        let reads = lineage.polls.get(&partition).and_then(|polls| polls.get(&offset.0));
        let reads = reads.filter(|_| anomaly.kind == Kind::Unseen);
        let unnoticed = reads.and_then(|reads| unnoticed(lineage, &partition, offset, reads));
        return unnoticed
            .or_else(|| began_behind(lineage, anomaly, &partition, offset))
            .or_else(|| super::why_removed::passed_over(lineage, anomaly))
            .unwrap_or_else(|| misled(lineage, anomaly));
    };
    let cause = match &lineage.events[reset].fact {
        Fact::PositionReset { reason: ResetReason::Truncation, .. } => Cause::LogReplaced,
        _ => Cause::PositionReset,
    };
    let mut places = vec![reset];
    let replacement = match anomaly.kind {
        Kind::NonmonotonicPoll => replacement(lineage, anomaly, &partition, reset),
        _ => None,
    };
    let unclean = replacement.as_ref().is_some_and(|replacement| {
        matches!(lineage.events[replacement.election].fact, Fact::LeaderElected { clean: false, .. })
    });
    match replacement {
        Some(Replacement { read, offline, election, truncated }) => {
            places.extend([read, election].into_iter().chain(offline).chain(truncated));
        }
        None if cause == Cause::LogReplaced => places.extend(last_truncation(lineage, &partition, reset)),
        None => {}
    }
    places.sort_unstable();
    let steps = places.into_iter().map(|at| step(lineage, at)).collect();
    let contributing = if unclean { vec![Cause::UncleanElection] } else { Vec::new() };
    Tale { contributing, ..Tale::new(cause, steps) }
}

/// A share group began behind the record: at the end of the log, or where the log began at the time. It may have come back since, with a
/// log start offset that went with the power.
fn began_behind(lineage: &Lineage<'_>, anomaly: &Anomaly, partition: &TopicPartition, offset: Offset) -> Option<Tale> {
    let is_beginning = |event: &Event| match &event.fact {
        Fact::SharePartitionLoaded { partition: of, start, known: false, .. } => of == partition && *start > offset,
        _ => false,
    };
    let began = lineage.events.iter().rposition(is_beginning).filter(|_| anomaly.kind == Kind::Unseen)?;
    let is_cut = |event: &Event| match &event.fact {
        Fact::LogStartOffsetAdvanced { partition: of, to, .. } => of == partition && *to > offset,
        _ => false,
    };
    let cut = lineage.events[..began].iter().position(is_cut);
    Some(Tale::new(Cause::PositionReset, cut.into_iter().chain([began]).map(|at| step(lineage, at)).collect()))
}

/// When a topic of this name was deleted last.
pub(super) fn deletion(lineage: &Lineage<'_>, partition: &TopicPartition) -> Option<At> {
    lineage.events.iter().rposition(
        |event| matches!(&event.fact, Fact::TopicDeleted { topic } if topic.as_str() == partition.topic.as_str()),
    )
}

/// How what a consumer had read went out of the log.
struct Replacement {
    /// It read it.
    read: At,
    /// Nobody could lead.
    offline: Option<At>,
    /// A leader without it was elected.
    election: At,
    /// A replica that had it cut it off; this may be later than the consumer's own discovery.
    truncated: Option<At>,
}

/// The election between the last read and the step back, of a leader whose log ended before what had been read.
fn replacement(lineage: &Lineage<'_>, anomaly: &Anomaly, partition: &TopicPartition, reset: At) -> Option<Replacement> {
    let last_read = anomaly.other_offset?;
    let structure = &lineage.partitions.get(partition)?.structure;
    let reader = lineage.events[reset].node;
    let read = (0..reset).rev().find(|at| {
        let event = &lineage.events[*at];
        event.node == reader
            && matches!(&event.fact, Fact::Polled { partition: of, offset, .. } if of == partition && *offset == last_read)
    })?;
    let decides = |at: At| match (&lineage.events[at].fact, lineage.events[at].node) {
        (Fact::BecameLeader { leader_epoch, log_end, .. }, NodeId::Broker(leader)) if *log_end <= last_read => {
            election(lineage, partition, at, leader, *leader_epoch)
        }
        _ => None,
    };
    // An election from before the read is that of the leader who served it, perhaps repeated after a restart.
    let election =
        structure.iter().copied().filter(|at| *at < reset).filter_map(decides).find(|election| *election > read)?;
    let truncated = structure.iter().copied().filter(|at| *at > election).find(|at| {
        matches!(&lineage.events[*at].fact, Fact::Truncated { from, to, .. } if *from > last_read && *to <= last_read)
    });
    let is_offline = |at: &At| matches!(lineage.events[*at].fact, Fact::PartitionOffline { .. });
    let offline = structure.iter().rev().copied().find(|at| *at > read && *at < election && is_offline(at));
    Some(Replacement { read, offline, election, truncated })
}

fn last_truncation(lineage: &Lineage<'_>, partition: &TopicPartition, before: At) -> Option<At> {
    let structure = &lineage.partitions.get(partition)?.structure;
    let is_truncation = |at: &At| matches!(lineage.events[*at].fact, Fact::Truncated { .. });
    structure.iter().rev().copied().filter(|at| *at < before).find(is_truncation)
}

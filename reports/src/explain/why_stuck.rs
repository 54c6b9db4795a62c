//! Why a partition has no leader, why a consumer cannot read what its position points at, and which faults keep something else
//! from its end.
//!
//! Source: `failure-catalog.md` PA-06, RE-02: without unclean election the partition waits for the last in-sync replica. ST-08: a
//! consumer does not get past a record whose checksum is wrong; a program does not get past one that it cannot process.

use ackproof_core::fact::{Event, Fact};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::NodeId;

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::steps::step;
use super::telling::Telling;
use crate::anomaly::{Anomaly, Kind};

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let Some(partition) = Tale::partition(anomaly) else { return without_partition(lineage, anomaly) };
    let Some(line) = lineage.partitions.get(&partition) else { return waiting(lineage, anomaly) };
    if line.final_leader.is_some() || (anomaly.kind == Kind::Stuck && anomaly.record.is_some()) {
        return waiting(lineage, anomaly);
    }
    let offline = line
        .structure
        .iter()
        .rev()
        .copied()
        .find(|at| matches!(lineage.events[*at].fact, Fact::PartitionOffline { .. } | Fact::LeaderElected { .. }));
    let Some(offline) = offline else { return Tale::unknown() };
    let Fact::PartitionOffline { isr, .. } = &lineage.events[offline].fact else { return Tale::unknown() };
    let mut places = vec![offline];
    // How those that it waits for went.
    places.extend(isr.iter().filter_map(|broker| lineage.last_death(NodeId::Broker(*broker), 0, lineage.events.len())));
    places.extend(line.structure.iter().rev().copied().find(|at| {
        *at < offline && matches!(&lineage.events[*at].fact, Fact::IsrChanged { from, to, .. } if to.len() < from.len())
    }));
    places.sort_unstable();
    Tale::new(Cause::NoEligibleLeader, places.into_iter().map(|at| step(lineage, at)).collect())
}

/// A follower refused what its leader offered, and both hold records of one epoch that its leader wrote twice over.
fn parted_in_one_epoch(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let note = anomaly.note.as_ref()?;
    let (refused, partition, offset) = lineage.events.iter().enumerate().rev().find_map(|(at, event)| {
        let Fact::FetchRefused { partition, offset, .. } = &event.fact else { return None };
        note.starts_with(&format!("{partition}: ")).then_some((at, partition, *offset))
    })?;
    let appends = lineage.leader_appends(partition, offset.0.checked_sub(1)?);
    let epoch = |at: At| match &lineage.events[at].fact {
        Fact::Appended { leader_epoch, .. } => Some(*leader_epoch),
        _ => None,
    };
    let twice = appends.windows(2).find(|pair| {
        epoch(pair[0]) == epoch(pair[1]) && lineage.events[pair[0]].node == lineage.events[pair[1]].node
    })?;
    let mut telling = Telling::new(lineage);
    telling.tell_all(twice.iter().copied().chain([refused]));
    telling.tell_all(lineage.last_death(lineage.events[twice[0]].node, twice[0], twice[1]));
    Some(Tale::new(Cause::WrittenTwiceInOneEpoch, telling.into_steps()))
}

/// Something waits although its partition is led: what the client did, and the faults that nobody has healed.
fn waiting(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let mut telling = Telling::new(lineage);
    if let Some(line) = anomaly.record.and_then(|record| lineage.records.get(&record)) {
        telling.tell_all(line.sent.into_iter().chain(line.told));
    }
    let open: Vec<(u32, At)> = lineage.faults_at_the_end().collect();
    telling.tell_all(open.iter().map(|(_, injected)| *injected));
    let names = open.iter().map(|(fault, injected)| match &lineage.events[*injected].fact {
        Fact::FaultInjected { what, .. } => format!("fault {fault} ({what})"),
        _ => format!("fault {fault}"),
    });
    let names = crate::names::listed(names.collect());
    let verb = if open.len() == 1 { "is" } else { "are" };
    let unhealed = (!open.is_empty()).then(|| format!("{names} {verb} in force to the end"));
    Tale { unhealed, ..Tale::new(Cause::Unknown, telling.into_steps()) }
}

fn without_partition(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let found = unreadable(lineage, anomaly)
        .or_else(|| poisoned(lineage, anomaly))
        .or_else(|| parted_in_one_epoch(lineage, anomaly));
    found.unwrap_or_else(|| waiting(lineage, anomaly))
}

/// A program stands before a record that it cannot process.
fn poisoned(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let note = anomaly.note.as_ref()?;
    let is_it = |event: &Event| match &event.fact {
        Fact::ProcessingFailed { partition, offset, .. } => {
            note.ends_with(&format!("process offset {offset} of {partition}"))
        }
        _ => false,
    };
    let first = lineage.events.iter().position(is_it)?;
    let last = lineage.events.iter().rposition(is_it)?;
    let end = lineage.nodes.get(&lineage.events[last].node)?.iter().copied().find(|at| *at > last);
    let mut telling = Telling::new(lineage);
    telling.tell_all([first, last].into_iter().chain(end));
    Some(Tale::new(Cause::StoppedByRecord, telling.into_steps()))
}

/// A consumer stands at an offset, and the last thing that its `poll()` said is that the bytes there are corrupt.
fn unreadable(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let note = anomaly.note.as_ref()?;
    let failed = |event: &Event| match &event.fact {
        Fact::PollFailed { partition, position, error: ErrorCode::CORRUPT_MESSAGE } => {
            note.contains(&format!("is at offset {position} of {partition}, "))
        }
        _ => false,
    };
    let at = lineage.events.iter().rposition(failed)?;
    let reader = lineage.events[at].node;
    let went_on =
        lineage.events[at..].iter().any(|event| event.node == reader && matches!(event.fact, Fact::Polled { .. }));
    if went_on {
        return None;
    }
    let faults = (0..at).filter(|at| matches!(lineage.events[*at].fact, Fact::FaultBit { .. }));
    let places: Vec<usize> = faults.chain([at]).collect();
    Some(Tale::new(Cause::CorruptRecord, places.into_iter().map(|at| step(lineage, at)).collect()))
}

//! Why an acknowledged record is gone: promise, decision, destruction.
//!
//! Source: `failure-catalog.md` PA-01..PA-06, RE-01..RE-06, ST-03, ST-06.
//!
//! `fate` says what became of every copy. The decision is the first leader without it after which no leader had it; the
//! destruction is the last copy to go. The cause is read off the decision: an unclean election; a leader that had had the
//! record and lost it (with the power, to a torn batch, to an old high watermark), alone or while others in sync still had it;
//! a leader that never had it, because the promise came first. Where nobody was elected any more, the destruction is the cause.
//!
//! A broker that restarts may lead for a moment in the epoch in which it died: that is no decision, unless nobody leads after it.
//!
//! Not modelled: retention and compaction (what they remove is no loss), transactions.

use ackproof_core::fact::{Event, Fact, TruncationReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{LeaderEpoch, NodeId, Offset, RecordId, TopicPartition};

use super::Tale;
use super::cause::Cause;
use super::fate::{Decision, Fate, Holding, Taken, fate};
use super::joined::{forgotten_proposal, joined_later, replaced_incarnation};
use super::lineage::{At, Lineage};
use super::nodes::leaves_hole_at;
use super::promise::{Promise, promise, promised_by};
use super::steps::{set, step};
use super::story::{Actor, Mark, Step};
use super::why_removed;
use crate::anomaly::{Anomaly, Kind};
use crate::contract::Contract;

/// How a failed write is told of that left something behind.
const HALF_WAY: &str = "after a part of the write";

/// A value of more characters does not fit into a step.
const LONGEST_VALUE: usize = 40;

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Tale {
    let (Some(record), Some(partition)) = (anomaly.record, Tale::partition(anomaly)) else { return Tale::unknown() };
    match promise(lineage, record, &partition, anomaly.offset.map(|offset| offset.0)) {
        Some(mut promise) => {
            if anomaly.kind == Kind::InconsistentOffsets {
                // Who led without what had been deleted by the rules had lost nothing: then it is the other one that is gone.
                promise.until = why_removed::deleted_where_it_stood(lineage, &partition, &promise);
            }
            let mut tale = follow(lineage, record, &partition, &promise);
            if tale.cause == Cause::Unknown && anomaly.kind == Kind::InconsistentOffsets {
                // It may be back with an old disk; then somebody led without it until another record had its offset.
                let appends = lineage.leader_appends(&partition, promise.offset);
                let given_away = appends.into_iter().rfind(|at| *at > promise.append);
                promise.until = given_away.into_iter().chain(promise.until).min();
                tale = follow(lineage, record, &partition, &promise);
            }
            if tale.cause == Cause::Unknown
                && let Some(at) = unreadable(lineage, &partition, promise.offset)
            {
                tale.cause = Cause::CorruptRecord;
                tale.add([step(lineage, at)]);
            }
            if tale.cause == Cause::Unknown
                && let Some(places) = behind_a_torn_write(lineage, &promise)
            {
                tale.cause = Cause::CorruptTail;
                tale.add(places.map(|at| step(lineage, at)));
            }
            if contract.topic(partition.topic.as_str()).is_some_and(|topic| topic.flush_messages == 1) {
                blame_the_disk(lineage, &partition, &promise, &mut tale);
                blame_a_failed_write(lineage, &partition, &promise, &mut tale);
            }
            if anomaly.kind == Kind::InconsistentOffsets {
                tale.add(replaced(lineage, anomaly, &partition, &promise));
                tale.steps.dedup_by_key(|step| step.event);
            }
            tale
        }
        None => Tale::told_only(lineage, record),
    }
}

/// Where a consumer could not read the record: its bytes are there, and do not match their checksum (ST-08).
fn unreadable(lineage: &Lineage<'_>, partition: &TopicPartition, offset: i64) -> Option<At> {
    let failed = |event: &Event| match &event.fact {
        Fact::PollFailed { partition: of, position, error: ErrorCode::CORRUPT_MESSAGE } => {
            of == partition && position.0 == offset
        }
        _ => false,
    };
    lineage.events.iter().position(failed)
}

/// The record was appended behind what a write that failed half-way had left, and the broker cannot read its log any more (KAFKA-10778).
fn behind_a_torn_write(lineage: &Lineage<'_>, promise: &Promise) -> Option<[At; 2]> {
    let by_leader =
        |at: At| Some(&lineage.events[at].fact).filter(|_| lineage.events[at].node == NodeId::Broker(promise.leader));
    let failed = |at: At, begins: &str, ends: &str| match by_leader(at) {
        Some(Fact::StorageFailed { what }) => what.starts_with(begins) && what.ends_with(ends),
        _ => false,
    };
    let torn = (0..promise.append).rfind(|at| failed(*at, "appending to ", HALF_WAY))?;
    let recovered = (torn..promise.append).any(|at| matches!(by_leader(at), Some(Fact::LogLoaded { .. })));
    let mut since = promise.append..lineage.events.len();
    let unread = since.rfind(|at| failed(*at, "loading the logs: ", " is damaged below its end"))?;
    (!recovered).then_some([torn, unread])
}

/// Every record was synced before it was acknowledged, and went with the power all the same: the disk had lied.
fn blame_the_disk(lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise, tale: &mut Tale) {
    if tale.cause != Cause::UnsyncedDataLostWithPower {
        return;
    }
    let fate = fate(lineage, partition, promise);
    let taken = fate.holders.iter().filter_map(|(broker, holding)| {
        let gone = holding.taken.filter(|taken| taken.with_power)?.gone;
        lineage.lie(NodeId::Broker(*broker), holding.since, gone)
    });
    let lies: Vec<At> = taken.collect();
    if lies.is_empty() {
        return;
    }
    (tale.cause, tale.contributing) = (Cause::DiskLiedAboutSync, vec![Cause::UnsyncedDataLostWithPower]);
    tale.add(lies.into_iter().map(|at| step(lineage, at)));
}

/// It was synced, but behind what a write that failed half-way had left, and there recovery cut the log (KAFKA-10778).
fn blame_a_failed_write(lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise, tale: &mut Tale) {
    if !matches!(tale.cause, Cause::UnsyncedDataLostWithPower | Cause::CorruptTail) {
        return;
    }
    let begins = format!("appending to {partition}: ");
    let behind = |(broker, holding): (&i32, &Holding)| {
        holding.taken.filter(|taken| taken.truncated == Some(TruncationReason::CorruptTail))?;
        let by_it = |at: &At| lineage.events[*at].node == NodeId::Broker(*broker);
        (0..holding.since).rev().filter(by_it).find_map(|at| match &lineage.events[at].fact {
            Fact::StorageFailed { what } if what.starts_with(&begins) && what.ends_with(HALF_WAY) => Some(Some(at)),
            Fact::LogLoaded { partition: of, .. } if of == partition => Some(None),
            _ => None,
        })?
    };
    let fate = fate(lineage, partition, promise);
    let failed: Vec<At> = fate.holders.iter().filter_map(behind).collect();
    if !failed.is_empty() {
        tale.cause = Cause::AppendedBehindFailedWrite;
        tale.add(failed.into_iter().map(|at| step(lineage, at)));
    }
}

/// The record that took the offset: its transmission, where that is certain, and its append by a leader.
fn replaced(lineage: &Lineage<'_>, anomaly: &Anomaly, partition: &TopicPartition, promise: &Promise) -> Vec<Step> {
    let offset = anomaly.offset.map_or(promise.offset, |offset| offset.0);
    let mut appends = lineage.leader_appends(partition, offset);
    appends.retain(|at| *at != promise.append);
    let batches = anomaly.other_record.map(|other| lineage.batches_of(other)).unwrap_or_default();
    let origin = |at: At| lineage.origin(at, partition, &batches).filter(|origin| origin.certain);
    let own = appends.iter().rev().find_map(|at| Some((*at, Some(origin(*at)?))));
    // Without a chain of causes the last other append there counts.
    let Some((at, origin)) = own.or_else(|| Some((*appends.last()?, None))) else { return Vec::new() };
    let sent = anomaly.other_record.and_then(|other| lineage.records.get(&other)?.sent);
    let value = match sent.map(|sent| &lineage.events[sent].fact) {
        Some(Fact::RecordSent { value, .. }) => value.as_ref(),
        _ => anomaly.value.as_ref(),
    };
    let value = value.map(|value| value.to_text());
    let what = match value {
        Some(value) if value.chars().count() <= LONGEST_VALUE => format!("appended {value:?} at offset {offset}"),
        Some(_) | None => format!("appended another record at offset {offset}"),
    };
    let append = Step { what, ..step(lineage, at) }.mark(Mark::TookOffset);
    let sent = origin.map(|origin| step(lineage, origin.sent));
    sent.into_iter().chain([append]).collect()
}

/// The story of a record from a known append on; for records that nobody answered for (acks=0).
pub(crate) fn explain_from(lineage: &Lineage<'_>, record: RecordId, partition: &TopicPartition, append: At) -> Tale {
    let Some(Fact::Appended { base_offset, .. }) = lineage.events.get(append).map(|event| &event.fact) else {
        return Tale::unknown();
    };
    match promised_by(lineage, record, partition, base_offset.0, append) {
        Some(promise) => follow(lineage, record, partition, &promise),
        None => Tale::unknown(),
    }
}

fn follow(lineage: &Lineage<'_>, record: RecordId, partition: &TopicPartition, promise: &Promise) -> Tale {
    let fate = fate(lineage, partition, promise);
    let (cause, mut contributing) = cause(lineage, partition, promise, &fate);
    contributing.retain(|other| *other != cause && *other != Cause::Unknown);
    let mut tale = Tale { contributing, ..Tale::new(cause, steps(lineage, record, partition, promise, &fate, cause)) };
    let places = match (cause, &fate.decision) {
        (Cause::ReplacedIncarnationJoined, Some(decision)) => replaced_incarnation(lineage, partition, decision),
        (Cause::ProposalForgotten, Some(decision)) => forgotten_proposal(lineage, partition, promise, decision),
        _ => None,
    };
    if let Some(places) = places {
        tale.add(places.map(|at| step(lineage, at)));
        tale.steps.dedup_by_key(|step| step.event);
    }
    tale
}

fn cause(lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise, fate: &Fate) -> (Cause, Vec<Cause>) {
    let line = lineage.partitions.get(partition);
    let mechanism = match fate.decision {
        Some(Decision { taken: Some(taken), .. }) if taken.truncated == Some(TruncationReason::OutOfRange) => {
            cause_of_taking(taken)
        }
        Some(decision) if decision.unclean && was_last_known(lineage, partition, &decision) => {
            Cause::LastKnownLeaderElected
        }
        Some(Decision { unclean: true, .. }) => Cause::UncleanElection,
        Some(decision) if has_hole(lineage, promise, &decision) => Cause::UnsyncedDataLostWithPower,
        Some(decision) if replaced_incarnation(lineage, partition, &decision).is_some() => {
            Cause::ReplacedIncarnationJoined
        }
        Some(decision) if overrules(lineage, partition, fate, &decision) => Cause::InSyncCopiesOverruled,
        Some(Decision { taken: Some(taken), .. }) => cause_of_taking(taken),
        Some(decision) if forgotten_proposal(lineage, partition, promise, &decision).is_some() => {
            Cause::ProposalForgotten
        }
        Some(decision) if joined_later(lineage, promise, &decision) => Cause::JoinedIsrWithoutIt,
        Some(Decision { taken: None, .. }) => Cause::AcknowledgedBeforeReplicated,
        None => {
            let taken = match line.and_then(|line| line.final_leader) {
                Some(leader) => fate.holders.get(&leader).and_then(|holding| holding.taken),
                None if fate.survives() => None,
                None => fate.last_taken(),
            };
            taken.map_or(Cause::Unknown, cause_of_taking)
        }
    };
    if promise.acks == Some(0) {
        return (Cause::AcknowledgedWithoutAsking, vec![mechanism]);
    }
    let replicas = line.map_or(0, |line| line.replicas);
    let alone = promise.acks == Some(-1) && promise.isr.len() == 1 && replicas > 1;
    let told = promise.told.unwrap_or(promise.append);
    let behind = promise.isr.iter().any(|broker| {
        fate.holders.get(broker).is_none_or(|holding| holding.since > told)
            || fate.is_unfinished(lineage, partition, *broker, promise.offset)
    });
    // The copy that was promised stood, or was cut to match the next leader's: that had not, or had not synced, what it was not asked for.
    let stood = fate.holders.get(&promise.leader).is_some_and(|holding| {
        holding.taken.is_none_or(|taken| {
            matches!(taken.truncated, Some(TruncationReason::Diverged | TruncationReason::OutOfRange))
        })
    });
    match mechanism {
        Cause::UnsyncedDataLostWithPower
        | Cause::EpochsLostWithPower
        | Cause::CorruptTail
        | Cause::LastKnownLeaderElected
            if promise.acks == Some(1) && stood && (behind || fate.is_uncommitted(lineage, partition, promise)) =>
        {
            (Cause::AcknowledgedBeforeReplicated, vec![mechanism])
        }
        Cause::UncleanElection if alone => (mechanism, vec![Cause::IsrShrunkToLeader]),
        Cause::UnsyncedDataLostWithPower | Cause::EpochsLostWithPower | Cause::CorruptTail | Cause::DiskLostData
            if alone =>
        {
            (Cause::IsrShrunkToLeader, vec![mechanism])
        }
        Cause::InSyncCopiesOverruled | Cause::LastKnownLeaderElected | Cause::ReplacedIncarnationJoined => {
            let taken = fate.decision.and_then(|decision| decision.taken);
            (mechanism, taken.map(cause_of_taking).into_iter().collect())
        }
        Cause::Unknown => (mechanism, Vec::new()),
        _ if promise.acks == Some(1) && behind => (mechanism, vec![Cause::AcknowledgedBeforeReplicated]),
        _ => (mechanism, Vec::new()),
    }
}

/// Whether the ISR was empty, and the controller elected whom it remembered (KIP-966). The last eligible replica may have gone in
/// that same decision.
fn was_last_known(lineage: &Lineage<'_>, partition: &TopicPartition, decision: &Decision) -> bool {
    let NodeId::Broker(elected) = lineage.events[decision.became].node else { return false };
    is_last_known(lineage, partition, elected, decision.place)
}

/// Whether the controller elected, at a moment, the one whom it remembered.
pub(super) fn is_last_known(lineage: &Lineage<'_>, partition: &TopicPartition, elected: i32, place: At) -> bool {
    let remembers = |fact: &Fact| matches!(fact, Fact::EligibleLeadersChanged { .. });
    let remembered = lineage.last_change(partition, place, remembers);
    remembered.is_some_and(|at| match &lineage.events[at].fact {
        Fact::EligibleLeadersChanged { last_known_elr, .. } => *last_known_elr == [elected],
        _ => false,
    })
}

/// Whether the leader had come back with a hole where the record was: its log reaches as far as any, and nobody cuts anything.
fn has_hole(lineage: &Lineage<'_>, promise: &Promise, decision: &Decision) -> bool {
    let found = decision.taken.filter(|taken| taken.with_power).and_then(|taken| taken.found);
    found.is_some_and(|found| leaves_hole_at(&lineage.events[found].fact, Offset(promise.offset)))
}

/// Whether a leader led that had lost the record with its power or to recovery, while another member of its ISR had it whose machine
/// had not lost power at all: of several that have, nobody can say before they are back who still has what. One that was not in the ISR
/// any more when its log was cut had left the partition to the others. If that member's
/// copy went with its own power later, before anybody had cut its log, nobody overruled it. That the
/// ISR is smaller than it was is how a partition is left to somebody who may have lost what is not synced; that somebody
/// like that leads others who have lost nothing is not foreseen.
fn overrules(lineage: &Lineage<'_>, partition: &TopicPartition, fate: &Fate, decision: &Decision) -> bool {
    let lost = decision.taken.map(cause_of_taking);
    if !matches!(lost, Some(Cause::UnsyncedDataLostWithPower | Cause::EpochsLostWithPower | Cause::CorruptTail)) {
        return false;
    }
    let was_dark = |broker: i32, since: At| {
        let mut life = lineage.nodes.get(&NodeId::Broker(broker)).into_iter().flatten();
        life.any(|at| {
            (since..decision.became).contains(at) && matches!(lineage.events[*at].fact, Fact::PowerLost { .. })
        })
    };
    let isr = |at: At| lineage.isr(partition, at).unwrap_or_default();
    let stayed = |broker: &i32, taken: Option<Taken>| isr(taken.map_or(At::MAX, |taken| taken.gone)).contains(broker);
    let has_it = |broker: &i32| {
        fate.holders.get(broker).is_some_and(|holding| {
            holding.since < decision.place
                && holding.taken.is_none_or(|taken| taken.gone > decision.became && !taken.with_power)
                && !was_dark(*broker, holding.since)
                && stayed(broker, holding.taken)
        })
    };
    isr(decision.became).iter().any(has_it)
}

fn cause_of_taking(taken: Taken) -> Cause {
    match taken.truncated {
        Some(TruncationReason::ToHighWatermark) => Cause::TruncatedToHighWatermark,
        Some(TruncationReason::OutOfRange) => Cause::TruncatedOutOfRange,
        Some(TruncationReason::Diverged | TruncationReason::InsideBatch) => Cause::Unknown,
        Some(TruncationReason::CorruptTail) | None if taken.with_power => Cause::UnsyncedDataLostWithPower,
        Some(TruncationReason::EpochsUnknown) if taken.with_power => Cause::EpochsLostWithPower,
        Some(TruncationReason::EpochsUnknown) => Cause::TruncatedToHighWatermark,
        Some(TruncationReason::CorruptTail) => Cause::CorruptTail,
        None => Cause::DiskLostData,
    }
}

/// The controller's decision behind a new leader.
pub(crate) fn election(
    lineage: &Lineage<'_>,
    partition: &TopicPartition,
    became: At,
    broker: i32,
    epoch: LeaderEpoch,
) -> Option<At> {
    let structure = &lineage.partitions.get(partition)?.structure;
    let end = structure.partition_point(|at| *at < became);
    structure[..end].iter().rev().copied().find(|at| match &lineage.events[*at].fact {
        Fact::LeaderElected { leader, leader_epoch, .. } => *leader == broker && *leader_epoch == epoch,
        _ => false,
    })
}

fn steps(
    lineage: &Lineage<'_>,
    record: RecordId,
    partition: &TopicPartition,
    promise: &Promise,
    fate: &Fate,
    cause: Cause,
) -> Vec<Step> {
    let mut told: Vec<(At, Step)> = vec![(promise.append, append_step(lineage, promise))];
    if let Some(at) = promise.told {
        told.push((at, promise_step(lineage, record, promise, at)));
    }
    let decision = fate.decision.map(|decision| decision.place);
    let last_destruction = fate.destructions.last().copied();
    let end = decision.unwrap_or(lineage.events.len());
    let mut places: Vec<At> = deaths(lineage, promise, fate, end);
    places.extend(turning_points(lineage, partition, promise, end, cause));
    places.extend(decision);
    places.extend(found_missing(lineage, partition, fate));
    // Copies that outlived the decision were destroyed by it; of many the last few tell the story.
    places.extend(fate.destructions.iter().rev().take(4));
    places.sort_unstable();
    places.dedup();
    let loss = if fate.survives() { decision } else { last_destruction.or(decision) };
    told.extend(places.into_iter().map(|at| {
        let step = step(lineage, at);
        (at, if Some(at) == loss { step.mark(Mark::Loss) } else { step })
    }));
    told.sort_by_key(|(at, _)| *at);
    told.into_iter().map(|(_, step)| step).collect()
}

fn append_step(lineage: &Lineage<'_>, promise: &Promise) -> Step {
    let event = &lineage.events[promise.append];
    let mut note = Vec::new();
    if !promise.isr_then.is_empty() {
        note.push(format!("ISR {}", set(&promise.isr_then)));
    }
    match promise.acks {
        Some(-1) => note.push("acks=all".to_owned()),
        Some(acks) => note.push(format!("acks={acks}")),
        None => {}
    }
    let actor = Actor::with_role(event.node, format!("leader, epoch {}", promise.epoch));
    Step::new(event.sequence, event.time, actor, format!("appended at offset {}", promise.offset)).note(note.join("  "))
}

fn promise_step(lineage: &Lineage<'_>, record: RecordId, promise: &Promise, at: At) -> Step {
    let event = &lineage.events[at];
    match promise.acks {
        Some(0) | None => step(lineage, at),
        Some(_) => {
            let actor = Actor::speaking(NodeId::Broker(promise.leader), NodeId::Client(record.client));
            let changed = (promise.isr != promise.isr_then).then(|| format!("ISR {}", set(&promise.isr)));
            Step::new(event.sequence, event.time, actor, "acknowledged")
                .note(changed.unwrap_or_default())
                .mark(Mark::Promise)
        }
    }
}

/// Where the leader that lacked the record found it missing, when it came back.
fn found_missing(lineage: &Lineage<'_>, partition: &TopicPartition, fate: &Fate) -> Option<At> {
    match fate.decision {
        Some(decision) => decision.taken?.found.filter(|found| *found < decision.became),
        None => fate.holders.get(&lineage.partitions.get(partition)?.final_leader?)?.taken?.found,
    }
}

/// How the brokers that had the record went: the leader before the decision, others before they lost it.
fn deaths(lineage: &Lineage<'_>, promise: &Promise, fate: &Fate, decision: At) -> Vec<At> {
    let mut deaths = Vec::new();
    for (broker, holding) in &fate.holders {
        let node = NodeId::Broker(*broker);
        let death = match holding.taken {
            Some(Taken { gone, with_power: true, .. }) => Some(gone),
            Some(Taken { gone, truncated: None | Some(TruncationReason::CorruptTail), .. }) => {
                lineage.last_death(node, holding.seen, gone)
            }
            Some(_) | None if *broker == promise.leader => lineage.last_death(node, promise.append, decision),
            Some(_) | None => None,
        };
        deaths.extend(death);
    }
    deaths
}

/// What made the loss possible between promise and decision: the shrinking of the ISR, the wait for a leader, the fencing.
fn turning_points(
    lineage: &Lineage<'_>,
    partition: &TopicPartition,
    promise: &Promise,
    end: At,
    cause: Cause,
) -> Vec<At> {
    let Some(line) = lineage.partitions.get(partition) else { return Vec::new() };
    let told = promise.told.unwrap_or(promise.append);
    let mut points = Vec::new();
    let shrunk = line.structure.iter().rev().copied().find(|at| {
        *at <= told && matches!(&lineage.events[*at].fact, Fact::IsrChanged { from, to, .. } if to.len() < from.len())
    });
    if promise.acks == Some(-1) && promise.isr.len() == 1 {
        points.extend(shrunk);
    }
    if end < promise.append {
        // The successor was there before the append: the old leader had not heard.
        let unheard = lineage.held_back.get(&NodeId::Broker(promise.leader)).into_iter().flatten().copied();
        points.extend(unheard.filter(|at| *at < promise.append).find(|at| *at > end));
    }
    let waits = [
        Cause::UncleanElection,
        Cause::LastKnownLeaderElected,
        Cause::UnsyncedDataLostWithPower,
        Cause::IsrShrunkToLeader,
    ];
    if waits.contains(&cause) {
        points.extend(
            line.structure.iter().rev().copied().find(|at| {
                *at > told && *at < end && matches!(lineage.events[*at].fact, Fact::PartitionOffline { .. })
            }),
        );
    }
    points
}

//! Why an acknowledged record is gone: promise, decision, destruction.
//!
//! Source: `failure-catalog.md` PA-01..PA-06, RE-01..RE-06, ST-03, ST-06.
//!
//! The walk follows every copy of the record from its append on: which replicas got it, which lost it and how. The
//! decision is the first leader without it; the destruction is the last copy to go. The cause is read off the decision: an
//! unclean election; a leader that had had the record and lost it (with the power, to a torn batch, to an old high watermark); a
//! leader that never had it, because the promise came first.
//!
//! Not modelled: retention and compaction (what they remove is no loss), transactions.

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact, Role, TruncationReason};
use ackproof_core::types::{LeaderEpoch, NodeId, RecordId, TopicPartition};

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::steps::{set, step};
use super::story::{Actor, Mark, Step};
use crate::anomaly::Anomaly;

/// How a replica lost the record.
#[derive(Clone, Copy, Debug)]
struct Taken {
    at: At,
    since: At,
    truncated: Option<TruncationReason>,
}

/// A replica that had the record.
#[derive(Clone, Copy, Debug)]
struct Holding {
    since: At,
    taken: Option<Taken>,
}

/// What became of the copies.
#[derive(Debug)]
struct Fate {
    holders: BTreeMap<i32, Holding>,
    /// The first leader that did not have the record: where it said so, and what it had had then.
    decision: Option<(At, i32, LeaderEpoch, Option<Taken>)>,
    /// Every time that a replica lost it.
    destructions: Vec<At>,
}

/// The promise.
struct Promise {
    append: At,
    told: Option<At>,
    acks: Option<i16>,
    offset: i64,
    epoch: LeaderEpoch,
    leader: i32,
    isr: Vec<i32>,
}

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let (Some(record), Some(partition)) = (anomaly.record, Tale::partition(anomaly)) else { return Tale::unknown() };
    match promise(lineage, record, &partition, anomaly.offset.map(|offset| offset.0)) {
        Some(promise) => follow(lineage, record, &partition, &promise),
        None => Tale::told_only(lineage, record),
    }
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

/// The append that the acknowledgement speaks of: the last one by a leader before it, at its offset.
fn promise(
    lineage: &Lineage<'_>,
    record: RecordId,
    partition: &TopicPartition,
    offset: Option<i64>,
) -> Option<Promise> {
    let told = lineage.records.get(&record)?.told;
    let offset = match told.map(|told| &lineage.events[told].fact) {
        Some(Fact::RecordAcknowledged { offset, .. }) if offset.0 >= 0 => offset.0,
        _ => offset?,
    };
    let appends = lineage.leader_appends(partition, offset);
    let before = |at: &&At| told.is_none_or(|told| **at < told);
    let batches = lineage.batches_of(record);
    let own = appends
        .iter()
        .rev()
        .filter(before)
        .find(|at| lineage.origin(**at, partition, &batches).is_some_and(|origin| origin.certain));
    let append = own.or_else(|| appends.iter().rev().find(before))?;
    promised_by(lineage, record, partition, offset, *append)
}

fn promised_by(
    lineage: &Lineage<'_>,
    record: RecordId,
    partition: &TopicPartition,
    offset: i64,
    append: At,
) -> Option<Promise> {
    let event = &lineage.events[append];
    let (Fact::Appended { leader_epoch, .. }, NodeId::Broker(leader)) = (&event.fact, event.node) else { return None };
    let told = lineage.records.get(&record)?.told;
    let acks = told.and_then(|told| match &lineage.events[told].fact {
        Fact::RecordAcknowledged { acks, .. } => Some(*acks),
        _ => None,
    });
    let isr = lineage.isr(partition, told.unwrap_or(append)).unwrap_or_default().to_vec();
    Some(Promise { append, told, acks, offset, epoch: *leader_epoch, leader, isr })
}

fn follow(lineage: &Lineage<'_>, record: RecordId, partition: &TopicPartition, promise: &Promise) -> Tale {
    let fate = fate(lineage, partition, promise);
    let (cause, mut contributing) = cause(lineage, partition, promise, &fate);
    contributing.retain(|other| *other != cause && *other != Cause::Unknown);
    Tale { cause, contributing, steps: steps(lineage, record, partition, promise, &fate, cause) }
}

/// Follows every copy to the end of the trace.
fn fate(lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise) -> Fate {
    let mut fate = Fate { holders: BTreeMap::new(), decision: None, destructions: Vec::new() };
    let Some(line) = lineage.partitions.get(partition) else { return fate };
    // A leader of an epoch beyond that of the append counts even if it was there first: the append was a zombie's.
    let mut walk: Vec<At> = lineage.appends(partition, promise.offset);
    walk.retain(|at| *at >= promise.append);
    walk.extend(line.structure.iter().copied().filter(|at| {
        *at > promise.append || matches!(&lineage.events[*at].fact, Fact::BecameLeader { leader_epoch, .. } if *leader_epoch > promise.epoch)
    }));
    walk.sort_unstable();
    for at in walk {
        let event = &lineage.events[at];
        let NodeId::Broker(broker) = event.node else { continue };
        fate.take(at, broker, event, promise);
    }
    fate
}

impl Fate {
    fn take(&mut self, at: At, broker: i32, event: &Event, promise: &Promise) {
        match &event.fact {
            Fact::Appended { leader_epoch, role, .. } => {
                let is_copy = *leader_epoch == promise.epoch && (*role == Role::Follower || at == promise.append);
                if is_copy {
                    self.holders.insert(broker, Holding { since: at, taken: None });
                }
            }
            Fact::Truncated { to, reason, .. } if to.0 <= promise.offset => self.lose(at, broker, Some(*reason)),
            Fact::LogLoaded { log_end, .. } if log_end.0 <= promise.offset => self.lose(at, broker, None),
            Fact::BecameLeader { leader_epoch, .. } if *leader_epoch >= promise.epoch && self.decision.is_none() => {
                let taken = match self.holders.get(&broker) {
                    Some(Holding { taken: None, .. }) => return,
                    Some(Holding { taken, .. }) => *taken,
                    None => None,
                };
                self.decision = Some((at, broker, *leader_epoch, taken));
            }
            _ => {}
        }
    }

    fn lose(&mut self, at: At, broker: i32, truncated: Option<TruncationReason>) {
        if let Some(holding) = self.holders.get_mut(&broker).filter(|holding| holding.taken.is_none()) {
            holding.taken = Some(Taken { at, since: holding.since, truncated });
            self.destructions.push(at);
        }
    }
}

fn cause(lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise, fate: &Fate) -> (Cause, Vec<Cause>) {
    let mechanism = match fate.decision {
        Some((at, broker, epoch, taken)) => {
            let election = election(lineage, partition, at, broker, epoch);
            let unclean = election.is_some_and(|election| {
                matches!(lineage.events[election].fact, Fact::LeaderElected { clean: false, .. })
            });
            match taken {
                _ if unclean => Cause::UncleanElection,
                Some(taken) => cause_of_taking(lineage, broker, taken),
                None => Cause::AcknowledgedBeforeReplicated,
            }
        }
        None => {
            let leader = lineage.partitions.get(partition).and_then(|line| line.final_leader);
            let taken = leader.and_then(|leader| Some((leader, fate.holders.get(&leader)?.taken?)));
            taken.map_or(Cause::Unknown, |(leader, taken)| cause_of_taking(lineage, leader, taken))
        }
    };
    if promise.acks == Some(0) {
        return (Cause::AcknowledgedWithoutAsking, vec![mechanism]);
    }
    let replicas = lineage.partitions.get(partition).map_or(0, |line| line.replicas);
    let alone = promise.acks == Some(-1) && promise.isr.len() == 1 && replicas > 1;
    let told = promise.told.unwrap_or(promise.append);
    let behind = promise.isr.iter().any(|broker| fate.holders.get(broker).is_none_or(|holding| holding.since > told));
    match mechanism {
        Cause::UncleanElection if alone => (mechanism, vec![Cause::IsrShrunkToLeader]),
        Cause::UnsyncedDataLostWithPower | Cause::CorruptTail | Cause::DiskLostData if alone => {
            (Cause::IsrShrunkToLeader, vec![mechanism])
        }
        Cause::Unknown => (mechanism, Vec::new()),
        _ if promise.acks == Some(1) && behind => (mechanism, vec![Cause::AcknowledgedBeforeReplicated]),
        _ => (mechanism, Vec::new()),
    }
}

fn cause_of_taking(lineage: &Lineage<'_>, broker: i32, taken: Taken) -> Cause {
    match taken.truncated {
        Some(TruncationReason::ToHighWatermark) => Cause::TruncatedToHighWatermark,
        Some(TruncationReason::Diverged | TruncationReason::OutOfRange) => Cause::Unknown,
        Some(TruncationReason::CorruptTail) | None => {
            let power = lineage.last_power_loss(NodeId::Broker(broker), taken.since, taken.at);
            match (power, taken.truncated) {
                (Some(_), _) => Cause::UnsyncedDataLostWithPower,
                (None, Some(_)) => Cause::CorruptTail,
                (None, None) => Cause::DiskLostData,
            }
        }
    }
}

/// The controller's decision behind a new leader.
fn election(
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
    let decision =
        fate.decision.map(|(at, broker, epoch, _)| election(lineage, partition, at, broker, epoch).unwrap_or(at));
    let last_destruction = fate.destructions.last().copied();
    let end = decision.max(last_destruction).unwrap_or(lineage.events.len());
    let mut places: Vec<At> = deaths(lineage, promise, fate, decision.unwrap_or(end));
    places.extend(turning_points(lineage, partition, promise, end, cause));
    places.extend(decision);
    // Copies that outlived the decision were destroyed by it; of many the last few tell the story.
    places.extend(fate.destructions.iter().rev().take(4));
    places.sort_unstable();
    places.dedup();
    let survives = fate.holders.values().any(|holding| holding.taken.is_none());
    let loss = if survives { decision } else { last_destruction.or(decision) };
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
    if !promise.isr.is_empty() {
        note.push(format!("ISR {}", set(&promise.isr)));
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
            Step::new(event.sequence, event.time, actor, "acknowledged").mark(Mark::Promise)
        }
    }
}

/// How the brokers that had the record went: the leader before the decision, others before they lost it.
fn deaths(lineage: &Lineage<'_>, promise: &Promise, fate: &Fate, decision: At) -> Vec<At> {
    let mut deaths = Vec::new();
    for (broker, holding) in &fate.holders {
        let node = NodeId::Broker(*broker);
        let death = match holding.taken {
            Some(Taken { at, since, truncated: None | Some(TruncationReason::CorruptTail) }) => {
                lineage.last_power_loss(node, since, at).or_else(|| lineage.last_death(node, since, at))
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
    if matches!(cause, Cause::UncleanElection | Cause::UnsyncedDataLostWithPower | Cause::IsrShrunkToLeader) {
        points.extend(
            line.structure.iter().rev().copied().find(|at| {
                *at > told && *at < end && matches!(lineage.events[*at].fact, Fact::PartitionOffline { .. })
            }),
        );
    }
    points
}

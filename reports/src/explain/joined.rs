//! How a replica without an acknowledged record got into the ISR, from where it was elected.
//!
//! Source: KIP-903 (what was asked for a process lets the next one in). Kafka: `Partition.makeLeader` takes the state of a partition epoch
//! that it knows already, and drops what is pending with it; a leader that has proposed a follower waits for it (KIP-497).

use ackproof_core::fact::Fact;
use ackproof_core::types::{NodeId, TopicPartition};

use super::fate::Decision;
use super::lineage::{At, Lineage};
use super::promise::Promise;

/// Whether all in-sync replicas had been asked, and the elected one was not among them: it joined the ISR afterwards.
pub(super) fn joined_later(lineage: &Lineage<'_>, promise: &Promise, decision: &Decision) -> bool {
    let NodeId::Broker(elected) = lineage.events[decision.became].node else { return false };
    promise.acks == Some(-1) && !promise.isr.is_empty() && !promise.isr.contains(&elected)
}

/// The elected broker had lost the record with its process, and got into the ISR by what a leader had asked for that process: where that was
/// asked, where the next process was registered, and where it was let in (KIP-903).
pub(super) fn replaced_incarnation(
    lineage: &Lineage<'_>,
    partition: &TopicPartition,
    decision: &Decision,
) -> Option<[At; 3]> {
    decision.taken?;
    let NodeId::Broker(elected) = lineage.events[decision.became].node else { return None };
    let (asked, joined) = let_in(lineage, partition, elected, decision.place)?;
    let registered = (asked..joined)
        .rfind(|at| matches!(lineage.events[*at].fact, Fact::BrokerRegistered { broker, .. } if broker == elected))?;
    Some([asked, registered, joined])
}

/// The leader that answered had asked for the elected broker, and then took a state without it, of a partition epoch that it knew or as the
/// next process in its epoch: it no longer waited for that broker, which the controller let in all the same. Where it asked, where it forgot
/// that, and where the broker was let in.
pub(super) fn forgotten_proposal(
    lineage: &Lineage<'_>,
    partition: &TopicPartition,
    promise: &Promise,
    decision: &Decision,
) -> Option<[At; 3]> {
    let NodeId::Broker(elected) = lineage.events[decision.became].node else { return None };
    if !joined_later(lineage, promise, decision) {
        return None;
    }
    let (asked, joined) = let_in(lineage, partition, elected, decision.place)?;
    let leader = NodeId::Broker(promise.leader);
    let structure = lineage.partitions.get(partition)?.structure.iter().copied();
    let told = promise.told.unwrap_or(promise.append);
    let mut heard = structure.filter(|at| (asked..told).contains(at) && lineage.events[*at].node == leader);
    let forgot = heard.find(|at| match &lineage.events[*at].fact {
        Fact::IsrAdopted { isr, .. } | Fact::BecameLeader { isr, .. } => !isr.contains(&elected),
        _ => false,
    })?;
    (lineage.events[asked].node == leader).then_some([asked, forgot, joined])
}

/// Where a broker was last let into the ISR before a moment, and where that had been asked for. Who gets into it by being elected from outside
/// of it was not let in by anybody.
fn let_in(lineage: &Lineage<'_>, partition: &TopicPartition, broker: i32, before: At) -> Option<(At, At)> {
    let structure = &lineage.partitions.get(partition)?.structure;
    let last = |before: At, wanted: &dyn Fn(&Fact) -> bool| {
        let mut back = structure.iter().rev().copied().skip_while(|at| *at >= before);
        back.find(|at| wanted(&lineage.events[*at].fact))
    };
    let lets_in = |from: &[i32], to: &[i32]| to.contains(&broker) && !from.contains(&broker);
    let joined = last(before, &|fact| matches!(fact, Fact::IsrChanged { from, to, .. } if lets_in(from, to)))?;
    let asked = last(joined, &|fact| matches!(fact, Fact::IsrProposed { from, to, .. } if lets_in(from, to)))?;
    let is_elected = lineage.causes(joined).next().is_some_and(
        |cause| matches!(lineage.events[cause].fact, Fact::LeaderElected { leader, .. } if leader == broker),
    );
    (!is_elected).then_some((asked, joined))
}

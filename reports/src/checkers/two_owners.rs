//! `two-owners`: one generation of a group, one partition, and two processes that have it.
//!
//! Source: `NoDoubleClientAssignment` of the TLA+ specification of KIP-848; `failure-catalog.md` GR-06.
//!
//! In a group of the consumer protocol (KIP-848) there are no generations. There the same holds at any moment: nobody is given
//! what a process has whose member the coordinator has not put out of the group. A process whose own member has been put out is
//! given nothing: it follows what it was told before, while it stood still (storm 742 of `scenarios/tests/storms.rs`).
//!
//! Owners of *different* generations at once are no anomaly: a member that stands still, or that has not heard of a
//! rebalance yet, believes to own what is another's (`duplicate-delivery` says what came of it). Nor is a process that has
//! ended, or has given the partition up, an owner: a static member that restarts goes on in its generation.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::types::{Instant, NodeId, TopicPartition};

use super::Findings;
use crate::anomaly::{Anomaly, Kind};

/// The generation in which each process was given a partition that it still has, and its member id.
type OwnersOfOne = BTreeMap<NodeId, (i32, String)>;

/// Follows who has what.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// Of each group: who has what.
    owners: BTreeMap<String, BTreeMap<TopicPartition, OwnersOfOne>>,
    /// The members of groups of the consumer protocol, by their coordinators' words.
    members: BTreeMap<String, BTreeSet<String>>,
    /// Where a process was given what another one had in the same generation.
    doubles: Vec<Double>,
    /// Of what was told already.
    told: BTreeSet<(String, TopicPartition, i32)>,
}

#[derive(Clone, Debug)]
struct Double {
    group: String,
    partition: TopicPartition,
    generation: i32,
    /// What the generation is called.
    number: &'static str,
    second: u32,
    at: Instant,
}

impl Observer for Owners {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::PartitionsAssigned { group, member, generation, partitions } => {
                self.assigned(event, group, (*generation, member), partitions);
            }
            Fact::MemberReconciled { group, member, .. } => {
                self.members.entry(group.clone()).or_default().insert(member.clone());
            }
            Fact::MemberRemoved { group, member, .. } => {
                self.members.get_mut(group).map(|members| members.remove(member));
            }
            Fact::PartitionsRevoked { group, partitions, .. } => {
                let Some(owned) = self.owners.get_mut(group) else { return };
                for partition in partitions {
                    owned.get_mut(partition).map(|owners| owners.remove(&event.node));
                }
            }
            Fact::NodeKilled | Fact::NodeStopped | Fact::PowerLost { .. } => {
                let everything = self.owners.values_mut().flat_map(BTreeMap::values_mut);
                everything.for_each(|owners| {
                    owners.remove(&event.node);
                });
            }
            _ => {}
        }
    }
}

impl Owners {
    /// An assignment names everything that a process has from then on.
    fn assigned(
        &mut self,
        event: &Event,
        group: &str,
        (generation, member): (i32, &String),
        partitions: &[TopicPartition],
    ) {
        let NodeId::Client(second) = event.node else { return };
        if !self.owners.contains_key(group) {
            self.owners.insert(group.to_owned(), BTreeMap::new());
        }
        let owned = self.owners.get_mut(group).expect("it was just inserted");
        for owners in owned.values_mut() {
            owners.remove(&event.node);
        }
        let members = self.members.get(group);
        for partition in partitions {
            let owners = owned.entry(partition.clone()).or_default();
            let is_double = owners.values().any(|(other, owner)| match members {
                Some(members) => members.contains(owner) && members.contains(member),
                None => *other == generation,
            });
            owners.insert(event.node, (generation, member.clone()));
            if is_double && self.told.insert((group.to_owned(), partition.clone(), generation)) {
                let (group, partition) = (group.to_owned(), partition.clone());
                let number = if members.is_some() { "epoch" } else { "generation" };
                self.doubles.push(Double { group, partition, generation, number, second, at: event.time });
            }
        }
    }

    pub(crate) fn check(&self, findings: &mut Findings) {
        for double in &self.doubles {
            findings.anomalies.push(Anomaly {
                topic: Some(double.partition.topic.as_str().to_owned()),
                partition: Some(double.partition.partition),
                group: Some(double.group.clone()),
                client: Some(double.second),
                told_at: Some(double.at),
                note: Some(format!("{} {}", double.number, double.generation)),
                ..Anomaly::new(Kind::TwoOwners)
            });
        }
    }
}

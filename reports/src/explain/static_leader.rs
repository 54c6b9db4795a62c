//! Nobody of a group of the classic protocol reads a partition that was added: its leader is a static member that has come back into the
//! assignment that stood, under a new member id.
//!
//! Kafka: who has divided the partitions looks whether there are others now (`ConsumerCoordinator.rejoinNeededOrPending` compares
//! `assignmentSnapshot` with `metadataSnapshot`). Before 3.2 a static leader that comes back is told the member id of its former self
//! as that of the leader, and nobody looks any more (KAFKA-13435). Since then it leads on without assigning anything (KIP-814), and its
//! snapshot is what it finds: partitions that were added while it was away it takes for assigned (`onLeaderElected`, 4.1 as well).
//!
//! When not to excuse: the group was divided anew since; another member, who has not gone, is known to lead; the partition was added
//! when the leader, of 3.2 or later, was back.

use std::collections::BTreeMap;

use ackproof_core::fact::Fact;
use ackproof_core::types::NodeId;

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::telling::Telling;
use crate::contract::Contract;

/// The tale of a partition that nobody reads, if that is why.
pub(super) fn came_back(lineage: &Lineage<'_>, (group, partition): (&str, &str), contract: &Contract) -> Option<Tale> {
    if lineage.epochs.contains(group) {
        return None;
    }
    let (divided, members, leader) = last_division(lineage, group)?;
    let added = added(lineage, partition)?;
    let back = (divided..lineage.events.len()).find(|at| {
        let event = &lineage.events[*at];
        let Fact::PartitionsAssigned { group: of, member, .. } = &event.fact else { return false };
        let of_group = |one: &&crate::contract::ConsumerContract| {
            NodeId::Client(one.client) == event.node && one.group.as_deref() == Some(group) && one.instance.is_some()
        };
        let consumer = contract.consumers.iter().find(of_group);
        let does_not_see = consumer.is_some_and(|one| one.returns_without_leading || added < *at);
        of == group && !members.contains(member) && does_not_see && leader.is_none_or(|leader| leader == event.node)
    })?;
    let mut telling = Telling::new(lineage);
    telling.tell_all([divided, added, back]);
    Some(Tale::new(Cause::StaticLeaderCameBack, telling.into_steps()))
}

/// The last word of a coordinator on the state of a group, who is in it, and its leader, where that is known: who was in it alone, for as
/// long as it stays.
fn last_division<'l>(lineage: &Lineage<'l>, group: &str) -> Option<(At, &'l Vec<String>, Option<NodeId>)> {
    let mut last = None;
    let mut leader: Option<&str> = None;
    let mut nodes: BTreeMap<&str, NodeId> = BTreeMap::new();
    for (at, event) in lineage.events.iter().enumerate() {
        match &event.fact {
            Fact::GroupStateChanged { group: of, members, .. } if of == group => {
                leader = match &members[..] {
                    [only] => Some(only),
                    members => leader.filter(|leader| members.iter().any(|member| member == leader)),
                };
                last = Some((at, members));
            }
            Fact::PartitionsAssigned { group: of, member, .. } if of == group => {
                // A static member has a new id when it comes back.
                let is_leader = leader.and_then(|leader| nodes.get(leader)) == Some(&event.node);
                leader = if is_leader { Some(member) } else { leader };
                nodes.insert(member, event.node);
            }
            _ => {}
        }
    }
    let (at, members) = last?;
    Some((at, members, leader.and_then(|leader| nodes.get(leader)).copied()))
}

/// Where the controller added a partition to its topic, or created that.
fn added(lineage: &Lineage<'_>, partition: &str) -> Option<At> {
    let (name, number) = partition.rsplit_once('-')?;
    let number: i32 = number.parse().ok()?;
    lineage.events.iter().rposition(|event| match &event.fact {
        Fact::PartitionsAdded { topic, first, .. } => topic == name && *first <= number,
        Fact::TopicCreated { topic, .. } => topic == name,
        _ => false,
    })
}

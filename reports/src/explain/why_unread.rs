//! Why nobody of a group reads a partition, or gets on with it.
//!
//! Source: `failure-catalog.md` GR-12: a consumer whose group is gone, or whose name is taken, hears it and does not join again
//! (`transitionToFatal`). `GroupMetadataManager.shareGroupHeartbeat` of 4.0.0: what a member of a share group has is in the answer to its
//! first heartbeat, and in the one answer after a change; 4.1.0 says it whenever the member names its topics (`isFullRequest`), which it does
//! after a heartbeat that failed (`ShareHeartbeatRequestManager.HeartbeatState`).

use std::collections::BTreeSet;

use ackproof_core::fact::{Event, Fact};
use ackproof_core::types::{NodeId, TopicPartition};

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::telling::Telling;
use crate::anomaly::Anomaly;
use crate::contract::Contract;

pub(super) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Option<Tale> {
    let note = anomaly.note.as_ref()?;
    if let Some(name) = waits_itself(note) {
        let consumer = contract.consumers.iter().find(|consumer| consumer.name == name)?;
        let gave_up = threw_last(lineage, NodeId::Client(consumer.client)).map(|at| gave_up_at(lineage, [at]));
        return gave_up.or_else(|| no_coordinator(lineage, consumer.group.as_deref()?, contract));
    }
    let unread = Unread::read(note)?;
    let other = given_up(lineage, &unread, contract).or_else(|| no_coordinator(lineage, unread.group, contract));
    other.or_else(|| match unread.is_share {
        true => told_once(lineage, &unread, contract),
        false => told_to_nobody(lineage, &unread)
            .or_else(|| super::static_leader::came_back(lineage, (unread.group, unread.partition), contract)),
    })
}

/// Nobody coordinates the group: the partition of `__consumer_offsets` in which it lives has no leader.
fn no_coordinator(lineage: &Lineage<'_>, group: &str, contract: &Contract) -> Option<Tale> {
    super::why_stuck::leaderless(lineage, &super::why_group::group_partition(lineage, group)?, contract)
}

/// Why nobody got a record that somebody has got beyond: those who should read it read no more.
pub(super) fn unseen(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Option<Tale> {
    let partition = Tale::partition(anomaly)?;
    let shares = lineage.events.iter().find_map(|event| match &event.fact {
        Fact::SharePolled { group, partition: of, .. } if *of == partition => Some(group.as_str()),
        _ => None,
    });
    let name = partition.to_string();
    let unread = |group| Unread { partition: &name, group, is_share: shares == Some(group) };
    if let Some(group) = shares {
        return given_up(lineage, &unread(group), contract);
    }
    let groups: Option<BTreeSet<&str>> = contract.consumers.iter().map(|consumer| consumer.group.as_deref()).collect();
    let told: Option<Vec<Tale>> =
        groups?.into_iter().map(|group| given_up(lineage, &unread(group), contract)).collect();
    told?.into_iter().next()
}

/// The consumer that owes its group something. Where it is no member any more, it owes that for ever.
fn waits_itself(note: &str) -> Option<&str> {
    let before = |ending: &str| note.split_once(ending).map(|(name, _)| name);
    note.strip_suffix(" has not said what became of its records")
        .or_else(|| before(" waits for a rebalance of group "))
        .or_else(|| before(" waits for its share group "))
}

/// What a world says of a partition that nobody gets on with.
#[derive(Clone, Copy, Debug)]
struct Unread<'n> {
    partition: &'n str,
    group: &'n str,
    is_share: bool,
}

impl<'n> Unread<'n> {
    fn read(note: &'n str) -> Option<Self> {
        let (partition, who) = note.split_once(": ")?;
        let who = who.strip_prefix("no member of ").unwrap_or(who);
        let share = who.strip_prefix("share ");
        let who = share.unwrap_or(who).strip_prefix("group ")?;
        let before = |ending: &str| who.split_once(ending).map(|(group, _)| group);
        let group = who
            .strip_suffix(" reads it")
            .or_else(|| before(" has asked broker "))
            .or_else(|| before(" is done with everything below offset "))?;
        Some(Self { partition, group, is_share: share.is_some() })
    }

    fn is_in(&self, partitions: &[TopicPartition]) -> bool {
        partitions.iter().any(|one| one.to_string() == self.partition)
    }
}

/// Each consumer of the group that could read it has thrown at its program what it does not get over, or is gone.
fn given_up(lineage: &Lineage<'_>, unread: &Unread<'_>, contract: &Contract) -> Option<Tale> {
    let (topic, _) = unread.partition.rsplit_once('-')?;
    let may_read = |topics: &[String]| topics.is_empty() || topics.iter().any(|one| one == topic);
    let consumers = contract.consumers.iter();
    let consumers = consumers.filter(|one| one.group.as_deref() == Some(unread.group) && may_read(&one.topics));
    let mut places = Vec::new();
    for client in consumers.map(|consumer| NodeId::Client(consumer.client)) {
        let is_gone = lineage.nodes.get(&client).and_then(|places| places.last()).is_some_and(|last| {
            !matches!(lineage.events[*last].fact, Fact::NodeStarted | Fact::NodeResumed | Fact::NodePaused)
        });
        if is_gone {
            continue;
        }
        places.push(threw_last(lineage, client)?);
    }
    (!places.is_empty()).then(|| gave_up_at(lineage, places))
}

fn gave_up_at(lineage: &Lineage<'_>, places: impl IntoIterator<Item = At>) -> Tale {
    let mut telling = Telling::new(lineage);
    telling.tell_all(places);
    Tale::new(Cause::ConsumerGaveUp, telling.into_steps())
}

/// Where a consumer threw an error of its group, if nothing has come of it since.
fn threw_last(lineage: &Lineage<'_>, client: NodeId) -> Option<At> {
    let says_how_it_is = |fact: &Fact| match fact {
        Fact::PollFailed { .. } | Fact::Polled { .. } | Fact::SharePolled { .. } => true,
        fact => matches!(fact, Fact::PartitionsAssigned { .. } | Fact::SharePartitionsAssigned { .. }),
    };
    let is_last = |event: &Event| event.node == client && says_how_it_is(&event.fact);
    let last = lineage.events.iter().rposition(is_last)?;
    // An error of the group, not of a partition.
    matches!(&lineage.events[last].fact, Fact::PollFailed { partition, .. } if partition.partition < 0).then_some(last)
}

/// No member to whom the coordinator of a share group has given it has heard so.
fn told_once(lineage: &Lineage<'_>, unread: &Unread<'_>, contract: &Contract) -> Option<Tale> {
    let unheard = |(coordinator, member)| given_unheard(lineage, unread, coordinator, member);
    let given: Vec<At> = given_to(lineage, unread).map(unheard).collect::<Option<_>>()?;
    let mut telling = Telling::new(lineage);
    for at in given.iter().copied() {
        telling.tell(at);
        telling.tell_all(lost_answer(lineage, unread, contract, at));
        telling.faults(at, at + 1);
    }
    (!given.is_empty()).then(|| Tale::new(Cause::AssignmentToldOnce, telling.into_steps()))
}

/// No member of a group of the consumer protocol to whom its coordinator has given it has heard so: a heartbeat that something between had
/// repeated was answered, and what is new is in one answer (`GroupMetadataManager.consumerGroupHeartbeat`).
fn told_to_nobody(lineage: &Lineage<'_>, unread: &Unread<'_>) -> Option<Tale> {
    let mut telling = Telling::new(lineage);
    let mut is_given = false;
    for (coordinator, member) in given_to(lineage, unread) {
        let given = given_unheard(lineage, unread, coordinator, member)?;
        telling.tell_all([repeated_heartbeat(lineage, given)?, given]);
        is_given = true;
    }
    is_given.then(|| Tale::new(Cause::RepeatedRequestAnswered, telling.into_steps()))
}

/// Where a fault had begun to repeat heartbeats. Of all that a fault does to messages its first is told, so nobody knows whose they were.
fn repeated_heartbeat(lineage: &Lineage<'_>, before: At) -> Option<At> {
    lineage.events[..before].iter().rposition(|event| {
        matches!(&event.fact,
            Fact::FaultBit { what, .. } if what.starts_with("repeated ConsumerGroupHeartbeat request"))
    })
}

/// Who has a partition by the word of the coordinator, at the end.
fn given_to<'l>(lineage: &Lineage<'l>, unread: &Unread<'_>) -> impl Iterator<Item = (NodeId, &'l str)> {
    lineage.events.iter().filter_map(|event| match &event.fact {
        Fact::GroupMemberSurveyed { group, member, assigned, .. } => {
            (group == unread.group && unread.is_in(assigned)).then_some((event.node, member.as_str()))
        }
        _ => None,
    })
}

/// Where a member was given the partition, if it has not heard so since. A coordinator that died between its decision and its answer said
/// nothing of it to anybody: then the next one has read of it.
fn given_unheard(lineage: &Lineage<'_>, unread: &Unread<'_>, coordinator: NodeId, member: &str) -> Option<At> {
    let (mut given, mut is_heard) = (None, false);
    for (at, event) in lineage.events.iter().enumerate() {
        let (group, whose, has_it) = match &event.fact {
            Fact::MemberReconciled { group, member, assigned, .. } => (group, member, unread.is_in(assigned)),
            Fact::MemberRemoved { group, member, .. } => (group, member, false),
            Fact::SharePartitionsAssigned { group, member: whose, partitions, .. }
            | Fact::PartitionsAssigned { group, member: whose, partitions, .. } => {
                is_heard |= group == unread.group && whose == member && unread.is_in(partitions);
                continue;
            }
            _ => continue,
        };
        if group != unread.group || whose != member {
            continue;
        }
        if !has_it {
            (given, is_heard) = (None, false);
        } else if given.is_none() {
            (given, is_heard) = (Some(at), false);
        }
    }
    let read = |event: &Event| {
        event.node == coordinator && matches!(event.fact, Fact::GroupsLoaded { groups, .. } if groups > 0)
    };
    let given = given.or_else(|| lineage.events.iter().rposition(read));
    given.filter(|_| !is_heard)
}

/// What became of the answer, where the network had it.
fn lost_answer(lineage: &Lineage<'_>, unread: &Unread<'_>, contract: &Contract, given: At) -> Option<At> {
    let is_of_group = |node: NodeId| {
        let mut members = contract.consumers.iter().filter(|one| one.group.as_deref() == Some(unread.group));
        members.any(|one| NodeId::Client(one.client) == node)
    };
    let is_it = |event: &Event| match &event.fact {
        Fact::MessageLost { to, what, .. } => is_of_group(*to) && what == "ShareGroupHeartbeat response",
        _ => false,
    };
    (given..lineage.events.len()).find(|at| is_it(&lineage.events[*at]))
}

//! Why a group gave a partition to two processes at once, or why its committed offset went back.
//!
//! Source: `failure-catalog.md` GR-06, GR-08 (two processes with one `group.instance.id`), CO-07, GR-04 (an older commit over a
//! newer one), GR-02 without its fence. A member that follows an older assignment: `old_assignment.rs`.

use std::collections::BTreeMap;

use ackproof_core::coordinator::group::{GROUP_METADATA_TOPIC, GroupId, partition_for};
use ackproof_core::fact::{Event, Fact};
use ackproof_core::types::{NodeId, StrBytes, TopicPartition};

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::nodes::is_death;
use super::steps::step;
use super::story::Mark;
use crate::anomaly::{Anomaly, Kind};
use crate::contract::Contract;

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Tale {
    let (Some(partition), Some(group)) = (Tale::partition(anomaly), &anomaly.group) else { return Tale::unknown() };
    let line = lineage.delivery.get(&(group.as_str(), partition)).map_or(&[][..], Vec::as_slice);
    let found = match anomaly.kind {
        Kind::TwoOwners => two_owners(lineage, anomaly, contract, line),
        _ => went_back(lineage, anomaly, line),
    };
    found.unwrap_or_else(Tale::unknown)
}

fn client(lineage: &Lineage<'_>, at: At) -> Option<u32> {
    match lineage.events[at].node {
        NodeId::Client(client) => Some(client),
        NodeId::Broker(_) | NodeId::Controller(_) => None,
    }
}

fn two_owners(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract, line: &[At]) -> Option<Tale> {
    let generation_of = |at: At| match &lineage.events[at].fact {
        Fact::PartitionsAssigned { generation, .. } => Some(*generation),
        _ => None,
    };
    let told_at = anomaly.told_at?;
    let second = line.iter().copied().find(|at| {
        lineage.events[*at].time == told_at && client(lineage, *at) == anomaly.client && generation_of(*at).is_some()
    })?;
    let (group, partition) = (anomaly.group.as_deref()?, Tale::partition(anomaly)?);
    let has_epochs = lineage.epochs.contains(group);
    let first = line.iter().rev().copied().find(|at| {
        let is_assignment = generation_of(*at).is_some();
        *at < second
            && lineage.events[*at].node != lineage.events[second].node
            && is_assignment
            && (has_epochs || generation_of(*at) == generation_of(second))
            && !gives_up(lineage, (group, &partition), *at, second)
    })?;
    let shared = match (client(lineage, first), anomaly.client) {
        (Some(first), Some(second)) => contract.share_an_instance(first, second),
        _ => false,
    };
    let lost = || lost_its_end(lineage, coordinator(lineage, group, second)?, first, second);
    let forgotten = began_anew(lineage, group, first, second).or_else(lost);
    let followed = super::old_assignment::followed(lineage, (group, &partition), [first, second]);
    let (cause, others) = match (shared, forgotten, followed) {
        (true, _, _) => (Cause::InstanceIdShared, Vec::new()),
        (false, Some(at), _) => (Cause::GroupForgotten, vec![at]),
        (false, None, Some(told)) => (Cause::OldAssignmentFollowed, told.to_vec()),
        (false, None, None) => (Cause::AssignedTwice, Vec::new()),
    };
    let mut told = Tale::new(cause, vec![step(lineage, first), step(lineage, second).mark(Mark::Again)]);
    told.add(others.into_iter().map(|at| step(lineage, at)));
    Some(told)
}

/// Whether the process that was assigned a partition at one moment has it no more at another.
pub(super) fn gives_up(lineage: &Lineage<'_>, (group, partition): (&str, &TopicPartition), from: At, to: At) -> bool {
    let node = lineage.events[from].node;
    let mut after = lineage.events[from + 1..to].iter().filter(|event| event.node == node);
    after.any(|event| match &event.fact {
        Fact::PartitionsRevoked { group: of, partitions, .. } => of == group && partitions.contains(partition),
        // It names everything that the process has from then on.
        Fact::PartitionsAssigned { group: of, partitions, .. } => of == group && !partitions.contains(partition),
        fact => is_death(fact),
    })
}

/// Where a group's generations began anew between two moments: they are counted from the start again, or the one that there was has
/// nobody of those who were in it.
fn began_anew(lineage: &Lineage<'_>, group: &str, from: At, to: At) -> Option<At> {
    let state_at = |at: At| match &lineage.events[at].fact {
        Fact::GroupStateChanged { group: of, generation, members, .. } if of == group => Some((*generation, members)),
        _ => None,
    };
    let mut last = (0..from).rev().find_map(state_at)?;
    (from..to).find(|at| {
        let Some((generation, members)) = state_at(*at) else { return false };
        let (before, were_in_it) = std::mem::replace(&mut last, (generation, members));
        let strangers =
            !members.is_empty() && !were_in_it.is_empty() && !members.iter().any(|it| were_in_it.contains(it));
        generation < before || generation == before && strangers
    })
}

/// The partition of `__consumer_offsets` in which a group lives.
pub(super) fn group_partition(lineage: &Lineage<'_>, group: &str) -> Option<TopicPartition> {
    let partitions = lineage.events.iter().rev().find_map(|event| match &event.fact {
        Fact::TopicCreated { topic, replicas } if topic == GROUP_METADATA_TOPIC => i32::try_from(replicas.len()).ok(),
        _ => None,
    })?;
    let own = partition_for(&GroupId(StrBytes::from_string(group.to_owned())), partitions);
    Some(TopicPartition::of(GROUP_METADATA_TOPIC, own))
}

/// Who coordinates a group at a moment: who has read of it, or spoken of its members, last.
fn coordinator(lineage: &Lineage<'_>, group: &str, at: At) -> Option<NodeId> {
    let own = group_partition(lineage, group).map(|own| own.partition);
    let speaks = |at: &At| match &lineage.events[*at].fact {
        Fact::GroupStateChanged { group: of, .. } | Fact::MemberReconciled { group: of, .. } => of == group,
        Fact::GroupsLoaded { partition, .. } => Some(*partition) == own,
        _ => false,
    };
    (0..at).rev().find(speaks).map(|at| lineage.events[at].node)
}

/// Where a coordinator came back between two moments with a log that did not reach as far as it had: it knows less of its groups.
fn lost_its_end(lineage: &Lineage<'_>, coordinator: NodeId, from: At, to: At) -> Option<At> {
    (from..to).rev().find(|at| match &lineage.events[*at].fact {
        Fact::LogLoaded { partition, log_end, .. } => {
            lineage.events[*at].node == coordinator
                && partition.topic.as_str() == GROUP_METADATA_TOPIC
                && lineage.leader_appends(partition, log_end.0).iter().any(|append| append < at)
        }
        _ => false,
    })
}

/// Where a consumer that has joined in the generation of a commit had last been assigned the partition: it may commit what it had read before.
fn assigned_to_who_commits(lineage: &Lineage<'_>, group: &str, line: &[At], commit: At, generation: i32) -> Option<At> {
    let is_in_it = |event: &&Event| matches!(&event.fact, Fact::PartitionsAssigned { group: of, generation: its, .. } if of == group && *its == generation);
    let client = lineage.events[..commit].iter().rev().find(is_in_it)?.node;
    let is_its = |at: &At| {
        *at < commit
            && lineage.events[*at].node == client
            && matches!(lineage.events[*at].fact, Fact::PartitionsAssigned { .. })
    };
    line.iter().rev().copied().find(is_its)
}

/// Whether a member of the consumer protocol that had the partition had this epoch when the offset was committed. There each member has its own, and
/// nobody asks whose the partition is (`ConsumerGroup.validateOffsetCommit`): one that has joined anew may have committed before what it had read.
fn is_epoch_of_owner(
    lineage: &Lineage<'_>,
    (group, partition): (&str, &TopicPartition),
    commit: At,
    epoch: i32,
) -> bool {
    let mut members = BTreeMap::new();
    for event in &lineage.events[..commit] {
        match &event.fact {
            Fact::MemberReconciled { group: of, member, epoch, assigned, revoking, .. } if of == group => {
                let has_it = assigned.contains(partition) || revoking.contains(partition);
                members.insert(member, (*epoch, has_it));
            }
            Fact::MemberRemoved { group: of, member, .. } if of == group => drop(members.remove(member)),
            _ => {}
        }
    }
    members.values().any(|of| *of == (epoch, true))
}

fn went_back(lineage: &Lineage<'_>, anomaly: &Anomaly, line: &[At]) -> Option<Tale> {
    let commit_at = |at: At| match &lineage.events[at].fact {
        Fact::OffsetCommitted { offset, generation, .. } => Some((*offset, *generation)),
        Fact::StoreWrote { offset, .. } => Some((*offset, -1)),
        _ => None,
    };
    let told_at = anomaly.told_at?;
    let commits: Vec<At> = line.iter().copied().filter(|at| commit_at(*at).is_some()).collect();
    let offset = |at: At| commit_at(at).map(|(offset, _)| offset);
    // Several may be written at one moment, and a former coordinator may have said something late in between.
    let is_back = |at: &At| lineage.events[*at].time == told_at && offset(*at) == anomaly.offset;
    let before_it = |back: At| commits.iter().copied().rfind(|at| *at < back && offset(*at) == anomaly.other_offset);
    let (before, back) = commits.iter().copied().filter(is_back).find_map(|back| Some((before_it(back)?, back)))?;
    let (generation, newer) = (commit_at(back)?.1, commit_at(before)?.1);
    let (partition, group) = (Tale::partition(anomaly)?, anomaly.group.as_deref().unwrap_or_default());
    let is_owner = || is_epoch_of_owner(lineage, (group, &partition), back, generation);
    let former = generation >= 0 && generation < newer && !is_owner();
    // Who has forgotten the newer generation takes the older one for the present.
    let forgotten = anomaly.group.as_deref().filter(|_| former).and_then(|group| {
        began_anew(lineage, group, before, back)
            .or_else(|| lost_its_end(lineage, lineage.events[back].node, before, back))
            .or_else(|| began_anew(lineage, group, assigned_to_who_commits(lineage, group, line, before, newer)?, back))
    });
    let cause = match (former, forgotten) {
        (true, Some(_)) => Cause::GroupForgotten,
        (true, None) => Cause::CommitOfFormerGeneration,
        (false, _) => Cause::CommitWentBack,
    };
    let is_assignment = |at: &At| matches!(lineage.events[*at].fact, Fact::PartitionsAssigned { .. });
    let assigned = line.iter().rev().copied().find(|at| *at < before && is_assignment(at));
    let steps = assigned.into_iter().chain([before]).chain(forgotten).map(|at| step(lineage, at));
    Some(Tale::new(cause, steps.chain([step(lineage, back).mark(Mark::WentBack)]).collect()))
}

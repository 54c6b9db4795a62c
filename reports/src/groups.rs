//! The consumer groups at the end of a run, as their coordinators have them.

use ackproof_core::fact::{Event, Fact};
use ackproof_core::types::{NodeId, Offset, TopicPartition};

/// A consumer group at the end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// `group.id`.
    pub group: String,
    /// The broker that coordinates it, if one that runs does.
    pub coordinator: Option<i32>,
    /// `Stable`, `Empty`, ...; `Unknown` without a coordinator.
    pub state: String,
    /// How its partitions are assigned; empty without members.
    pub assignor: String,
    /// The ids of its members.
    pub members: Vec<String>,
    /// The epochs of a group of the consumer protocol: its own, and that of its target assignment.
    pub epochs: Option<(i32, i32)>,
    /// How far the members of such a group have come.
    pub progress: Vec<MemberProgress>,
    /// The partitions that somebody has, or that something is committed for.
    pub partitions: Vec<GroupPartition>,
    /// Of a share group: the partitions that leaders serve to it.
    pub shared: Vec<SharedPartition>,
}

/// How far a share group is in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// Its leader.
    pub leader: NodeId,
    /// Everything below is done with.
    pub start: Offset,
    /// Nothing from here on was handed out.
    pub end: Offset,
    /// How many records in between wait for a member.
    pub available: u32,
    /// How many of them a member has.
    pub acquired: u32,
}

/// A member of a group of the consumer protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberProgress {
    /// Who it is.
    pub who: Owner,
    /// Its epoch.
    pub epoch: i32,
    /// What it may use.
    pub assigned: Vec<TopicPartition>,
    /// What it is to have in the end.
    pub target: Vec<TopicPartition>,
}

/// How far a group is in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// The committed offset, if there is one.
    pub committed: Option<Offset>,
    /// Whose it is.
    pub owner: Option<Owner>,
}

/// The member that has a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its member id.
    pub member: String,
    /// From where it connected.
    pub host: String,
    /// Its `client.id`.
    pub client_id: String,
}

/// Takes in what the survey says of groups.
pub(crate) fn observe(groups: &mut Vec<GroupState>, event: &Event) {
    match &event.fact {
        Fact::GroupSurveyed { group, state, assignor, members } => {
            let coordinator = match event.node {
                NodeId::Broker(id) => Some(id),
                NodeId::Controller(_) | NodeId::Client(_) => None,
            };
            groups.push(GroupState {
                group: group.clone(),
                coordinator,
                state: state.clone(),
                assignor: assignor.clone(),
                members: members.clone(),
                epochs: None,
                progress: Vec::new(),
                partitions: Vec::new(),
                shared: Vec::new(),
            });
        }
        Fact::SharePartitionSurveyed { group, partition, start, end, available, acquired } => {
            let Some(state) = groups.iter_mut().find(|state| state.group == *group) else { return };
            state.shared.push(SharedPartition {
                partition: partition.clone(),
                leader: event.node,
                start: *start,
                end: *end,
                available: *available,
                acquired: *acquired,
            });
        }
        Fact::GroupEpochsSurveyed { group, epoch, target_epoch } => {
            let Some(state) = groups.iter_mut().find(|state| state.group == *group) else { return };
            state.epochs = Some((*epoch, *target_epoch));
        }
        Fact::GroupMemberSurveyed { group, member, host, client_id, epoch, assigned, target } => {
            let Some(state) = groups.iter_mut().find(|state| state.group == *group) else { return };
            state.progress.push(MemberProgress {
                who: Owner { member: member.clone(), host: host.clone(), client_id: client_id.clone() },
                epoch: *epoch,
                assigned: assigned.clone(),
                target: target.clone(),
            });
        }
        Fact::GroupPartitionSurveyed { group, partition, committed, member, host, client_id } => {
            let Some(state) = groups.iter_mut().find(|state| state.group == *group) else { return };
            let owner = || Owner { member: member.clone(), host: host.clone(), client_id: client_id.clone() };
            state.partitions.push(GroupPartition {
                partition: partition.clone(),
                committed: (committed.0 >= 0).then_some(*committed),
                owner: (!member.is_empty()).then(owner),
            });
        }
        _ => {}
    }
}

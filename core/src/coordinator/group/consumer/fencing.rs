//! Leaving a group of the consumer protocol, or being put out of it.
//!
//! Kafka: `consumerGroupLeave`, `consumerGroupFenceMember`, `scheduleConsumerGroupSessionTimeout`,
//! `scheduleConsumerGroupRebalanceTimeout`, `cleanupGroupMetadata`.

use std::collections::BTreeSet;

use kafka_protocol::messages::GroupId;

use super::group::{ConsumerGroup, ModernProtocol};
use super::heartbeat::{Plan, Topics};
use super::records::{ConsumerGroupRecord, CurrentAssignment};
use super::{LEAVE_GROUP_STATIC_EPOCH, Partitions};
use crate::coordinator::group::api::{GroupToken, HeartbeatRequest, HeartbeatResult};
use crate::coordinator::group::coordinator::{Group, GroupCoordinator, Purpose};
use crate::fact::RemovalReason;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{Duration, StrBytes, Timestamp, TopicPartition};

/// A member is in the group no more.
pub(super) fn remove(plan: &mut Plan, member: &StrBytes) {
    plan.say(ConsumerGroupRecord::CurrentMember(member.clone(), None));
    plan.say(ConsumerGroupRecord::TargetMember(member.clone(), None));
    plan.say(ConsumerGroupRecord::Member(member.clone(), None));
}

/// The same, and the others will share what it had.
fn fence(plan: &mut Plan, member: &StrBytes, topics: &Topics) {
    remove(plan, member);
    plan.note_topics(topics);
    plan.bump_epoch();
}

impl GroupCoordinator {
    pub(super) fn leave_consumer_group(
        &mut self,
        token: GroupToken,
        request: &HeartbeatRequest,
        topics: &Topics,
    ) -> Result<(), ErrorCode> {
        let comes_back = request.epoch == LEAVE_GROUP_STATIC_EPOCH;
        if request.group.is_empty() || request.member_id.is_empty() || (comes_back && request.instance_id.is_none()) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let group = self.modern_group_mut(&request.group, request.protocol)?;
        let mut plan = Plan::of(group);
        if let Some(instance) = &request.instance_id {
            let owner = plan.state.static_member(instance).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
            if *owner != request.member_id {
                return Err(ErrorCode::FENCED_INSTANCE_ID);
            }
        }
        let member = plan.state.members.get(&request.member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if comes_back {
            let pending_revocation = Partitions::new();
            let away =
                CurrentAssignment { epoch: LEAVE_GROUP_STATIC_EPOCH, pending_revocation, ..member.current.clone() };
            plan.say(ConsumerGroupRecord::CurrentMember(request.member_id.clone(), Some(away)));
        } else {
            fence(&mut plan, &request.member_id, topics);
            group.removals.insert(request.member_id.clone(), RemovalReason::Left);
        }
        let result = HeartbeatResult {
            error: ErrorCode::NONE,
            member_id: request.member_id.clone(),
            epoch: request.epoch,
            interval: Duration::ZERO,
            assignment: None,
        };
        self.carry_out(token, &request.group, Vec::new(), plan, result);
        Ok(())
    }

    /// Members whose time is up are out.
    pub(in super::super) fn expire_consumers(&mut self, id: &GroupId, topics: &Topics, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let Ok(group) = self.consumer_group_mut(id) else { return };
        let mut out: Vec<(StrBytes, RemovalReason)> = Vec::new();
        for (member, clocks) in &group.clocks {
            if clocks.session <= now {
                out.push((member.clone(), RemovalReason::SessionExpired));
            } else if clocks.revocation.is_some_and(|(_, at)| at <= now) {
                out.push((member.clone(), RemovalReason::DidNotRevoke));
            }
        }
        for (member, reason) in out {
            let Ok(group) = self.consumer_group_mut(id) else { return };
            let mut plan = Plan::of(group);
            fence(&mut plan, &member, topics);
            group.removals.insert(member, reason);
            self.write_plan(id, plan);
        }
    }

    fn write_plan(&mut self, id: &GroupId, plan: Plan) {
        let record = |record: &ConsumerGroupRecord| plan.protocol.record(id, record.clone());
        let number =
            self.write(id, plan.records.iter().map(record).collect(), Purpose::Housekeeping { group: id.clone() });
        if let Ok(group) = self.consumer_group_mut(id) {
            group.decided(number, plan.state, plan.records);
        }
    }

    /// A group without members has nothing left to keep: it goes.
    pub(in super::super) fn delete_consumer_group(&mut self, id: &GroupId) {
        let Ok(group) = self.consumer_group_mut(id) else { return };
        let mut plan = Plan::of(group);
        tombstones().into_iter().for_each(|record| plan.say(record));
        self.write_plan(id, plan);
    }

    /// Somebody joins by the classic protocol: a group that has no members may become one of that. Returns what takes back
    /// the former one.
    pub(in super::super) fn close_consumer_group(&mut self, id: &GroupId, now: Timestamp) -> Result<(), ErrorCode> {
        let groups = self.groups_of_mut(id)?;
        let Some(Group::Consumer(group)) = groups.get_mut(id) else { return Ok(()) };
        if !group.state.members.is_empty() || group.protocol == ModernProtocol::Share {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        let is_in_the_log = !group.is_blank();
        let offsets = std::mem::take(&mut group.offsets);
        let mut classic = crate::coordinator::group::classic_group::ClassicGroup::new(id.clone(), now);
        classic.offsets = offsets;
        groups.insert(id.clone(), Group::Classic(classic));
        if is_in_the_log {
            let record = |record| ModernProtocol::Consumer.record(id, record);
            self.write(id, tombstones().into_iter().map(record).collect(), Purpose::Housekeeping { group: id.clone() });
        }
        Ok(())
    }
}

/// What takes back a group without members.
fn tombstones() -> [ConsumerGroupRecord; 3] {
    [
        ConsumerGroupRecord::TargetEpoch(None),
        ConsumerGroupRecord::PartitionMetadata(None),
        ConsumerGroupRecord::Epoch(None),
    ]
}

/// The commits of a group that are too old: those of topics that nobody reads, counted from the commit.
pub(in super::super) fn expired_offsets(
    group: &ConsumerGroup,
    is_old: impl Fn(Timestamp) -> bool,
) -> Vec<TopicPartition> {
    let read: BTreeSet<_> = group.state.subscribed();
    group.offsets.expired(|partition, committed| !read.contains(&partition.topic) && is_old(committed.commit_timestamp))
}

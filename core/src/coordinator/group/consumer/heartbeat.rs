//! ConsumerGroupHeartbeat: joining, staying, and getting closer to what a member is to have.
//!
//! Kafka: `GroupMetadataManager.consumerGroupHeartbeat`, `TargetAssignmentBuilder`, `maybeReconcile`; KIP-848.
//!
//! Not modelled: groups in which some speak the classic protocol, and conversions of groups with members
//! (`group.consumer.migration.policy`: a group changes its protocol when it is empty), `group.consumer.max.size`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use kafka_protocol::messages::GroupId;

use super::reconcile::Step;
use super::records::{ConsumerGroupRecord, MemberMetadata, SubscribedTopic};
use super::state::{ConsumerGroupMember, ConsumerGroupState};
use super::{
    ConsumerGroup, JOIN_GROUP_EPOCH, LEAVE_GROUP_EPOCH, LEAVE_GROUP_STATIC_EPOCH, ModernProtocol, Partitions,
    assignors, is_subset, simple,
};
use crate::config::ServerAssignor;
use crate::coordinator::group::api::{Answer, GroupToken, HeartbeatRequest, HeartbeatResult};
use crate::coordinator::group::classic_group::ClassicGroup;
use crate::coordinator::group::coordinator::{Group, GroupCoordinator, Purpose};
use crate::coordinator::group::offsets::GroupOffsets;
use crate::coordinator::group::records::GroupRecord;
use crate::machine::Context;
use crate::metadata::TopicImage;
use crate::protocol::ErrorCode;
use crate::types::{StrBytes, Timestamp, TopicName, kafka_uuid};

/// All topics of the cluster, as far as this broker knows.
pub type Topics = BTreeMap<TopicName, TopicImage>;

/// What is being decided: records, and what the group is with them.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub protocol: ModernProtocol,
    pub state: ConsumerGroupState,
    pub records: Vec<ConsumerGroupRecord>,
}

impl Plan {
    pub fn of(group: &ConsumerGroup) -> Self {
        Self { protocol: group.protocol, state: group.state.clone(), records: Vec::new() }
    }

    pub fn say(&mut self, record: ConsumerGroupRecord) {
        self.state.replay(&record);
        self.records.push(record);
    }

    /// Notes which topics there are; whether that is news.
    pub fn note_topics(&mut self, topics: &Topics) -> bool {
        let known = |name: &&TopicName| {
            let topic = topics.get(*name)?;
            Some(((*name).clone(), SubscribedTopic { id: topic.id, partitions: topic.partitions }))
        };
        let subscribed: BTreeMap<_, _> = self.state.subscribed().iter().filter_map(known).collect();
        if subscribed == self.state.topics {
            return false;
        }
        self.say(ConsumerGroupRecord::PartitionMetadata(Some(subscribed)));
        true
    }

    pub fn bump_epoch(&mut self) {
        self.say(ConsumerGroupRecord::Epoch(Some(self.state.epoch + 1)));
    }

    /// Asks the assignor, if it has not been asked in this epoch.
    fn update_target(&mut self, otherwise: ServerAssignor) {
        if self.state.epoch <= self.state.target_epoch {
            return;
        }
        let target = match self.protocol {
            ModernProtocol::Consumer => {
                assignors::target(self.state.preferred_assignor().unwrap_or(otherwise), &self.state)
            }
            ModernProtocol::Share => simple::target(&self.state),
        };
        for (id, partitions) in target {
            if self.state.target.get(&id) != Some(&partitions) {
                self.say(ConsumerGroupRecord::TargetMember(id, Some(partitions)));
            }
        }
        self.say(ConsumerGroupRecord::TargetEpoch(Some(self.state.epoch)));
    }

    /// The next step of a member towards its target.
    fn reconcile(&mut self, id: &StrBytes, owned: Option<&Partitions>) {
        let Some(member) = self.state.members.get(id) else { return };
        if member.is_reconciled_to(self.state.target_epoch) {
            return;
        }
        let (target_epoch, target) = (self.state.target_epoch, self.state.target_of(id));
        let step = Step { current: &member.current, target_epoch, target: &target, owned };
        let next = match self.protocol {
            ModernProtocol::Consumer => step.next(|topic, partition| self.state.is_held(topic, partition)),
            ModernProtocol::Share => step.at_once(),
        };
        if next != member.current {
            self.say(ConsumerGroupRecord::CurrentMember(id.clone(), Some(next)));
        }
    }
}

impl GroupCoordinator {
    /// A member is there, wants to be one, or goes. Answered when what it leads to is written.
    pub fn consumer_heartbeat(
        &mut self,
        token: GroupToken,
        request: HeartbeatRequest,
        topics: &Topics,
        ctx: &mut Context<'_>,
    ) {
        let member_id = request.member_id.clone();
        let leaves = matches!(request.epoch, LEAVE_GROUP_EPOCH | LEAVE_GROUP_STATIC_EPOCH);
        let decided = if leaves {
            self.leave_consumer_group(token, &request, topics)
        } else {
            self.try_consumer_heartbeat(token, request, topics, ctx)
        };
        if let Err(error) = decided {
            self.answers.push(Answer::Heartbeat(token, HeartbeatResult::failed(member_id, error)));
        }
    }

    fn try_consumer_heartbeat(
        &mut self,
        token: GroupToken,
        request: HeartbeatRequest,
        topics: &Topics,
        ctx: &mut Context<'_>,
    ) -> Result<(), ErrorCode> {
        self.check_request(&request)?;
        let joins = request.epoch == JOIN_GROUP_EPOCH;
        let (session_timeout, interval) = match request.protocol {
            ModernProtocol::Consumer => (self.config.consumer_session_timeout, self.config.consumer_heartbeat_interval),
            ModernProtocol::Share => (self.config.share_session_timeout, self.config.share_heartbeat_interval),
        };
        let says_everything = match request.protocol {
            ModernProtocol::Consumer => request.is_full(),
            ModernProtocol::Share => self.config.repeats_share_assignment && request.topics.is_some(),
        };
        let default_assignor = self.config.assignors[0];
        let former = match (joins, request.protocol) {
            (true, ModernProtocol::Consumer) => self.open_consumer_group(&request.group, ctx.wall_clock())?,
            (true, ModernProtocol::Share) => self.open_share_group(&request.group)?,
            (false, _) => Vec::new(),
        };
        let group = self.modern_group_mut(&request.group, request.protocol)?;
        let mut plan = Plan::of(group);
        let id = if request.member_id.is_empty() { kafka_uuid::random(ctx.rng()) } else { request.member_id.clone() };
        let before = find_member(&mut plan, &id, &request)?;
        let (had, had_topics) = match &before {
            Some(member) => (Some(member.current.assigned.clone()), member.metadata.topics.clone()),
            None => (None, Vec::new()),
        };
        let metadata = request.metadata_over(before.map(|member| member.metadata));
        let mut has_changed = metadata.topics != had_topics;
        if plan.state.members.get(&id).map(|member| &member.metadata) != Some(&metadata) {
            plan.say(ConsumerGroupRecord::Member(id.clone(), Some(metadata)));
        }
        has_changed |= plan.note_topics(topics);
        if has_changed {
            plan.bump_epoch();
        }
        plan.update_target(default_assignor);
        plan.reconcile(&id, request.owned.as_ref());
        let now = plan.state.members[&id].current.clone();
        let tells = joins || says_everything || had.as_ref() != Some(&now.assigned);
        let result = HeartbeatResult {
            error: ErrorCode::NONE,
            member_id: id.clone(),
            epoch: now.epoch,
            interval,
            assignment: tells.then_some(now.assigned),
        };
        self.carry_out(token, &request.group, former, plan, result);
        if let Ok(group) = self.consumer_group_mut(&request.group) {
            group.heard_of(&id, session_timeout, ctx.now());
        }
        Ok(())
    }

    fn check_request(&self, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
        self.groups_of(&request.group)?;
        let is_first = request.epoch == JOIN_GROUP_EPOCH;
        let is_share = request.protocol == ModernProtocol::Share;
        let lacks_timeout = request.rebalance_timeout_ms.is_none();
        let lacks_something = (lacks_timeout || request.owned.as_ref().is_none_or(|owned| !owned.is_empty()))
            && !is_share
            || request.topics.as_ref().is_none_or(Vec::is_empty);
        if request.group.is_empty() || request.epoch < 0 || (is_first && lacks_something) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if (is_share || !is_first) && request.member_id.is_empty() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let is_known = |name: &StrBytes| self.config.assignors.iter().any(|assignor| assignor.name() == name.as_str());
        if request.assignor.as_ref().is_some_and(|name| !is_known(name)) {
            return Err(ErrorCode::UNSUPPORTED_ASSIGNOR);
        }
        Ok(())
    }

    /// Somebody joins: a group that has no members may become one of this protocol. Returns what takes back the former one.
    fn open_consumer_group(&mut self, id: &GroupId, now: Timestamp) -> Result<Vec<GroupRecord>, ErrorCode> {
        let groups = self.groups_of_mut(id)?;
        let group = groups.entry(id.clone()).or_insert_with(|| Group::Classic(ClassicGroup::new(id.clone(), now)));
        let Group::Classic(classic) = group else { return Ok(Vec::new()) };
        if !classic.is_vacant() {
            return Err(ErrorCode::GROUP_ID_NOT_FOUND);
        }
        let is_in_the_log = classic.protocol_type.is_some();
        let offsets = std::mem::take(&mut classic.offsets);
        *group = Group::Consumer(ConsumerGroup::new(id.clone(), ModernProtocol::Consumer, offsets));
        let tombstone = GroupRecord::Group { group: id.clone(), metadata: None };
        Ok(if is_in_the_log { vec![tombstone] } else { Vec::new() })
    }

    /// The same for a share group. A group of another kind never becomes one.
    fn open_share_group(&mut self, id: &GroupId) -> Result<Vec<GroupRecord>, ErrorCode> {
        let groups = self.groups_of_mut(id)?;
        let new = || Group::Consumer(ConsumerGroup::new(id.clone(), ModernProtocol::Share, GroupOffsets::default()));
        groups.entry(id.clone()).or_insert_with(new);
        Ok(Vec::new())
    }

    /// What was decided counts from now on, and is answered when it is written. What needs no record is answered when
    /// everything before it is written: it may rest on that.
    pub(super) fn carry_out(
        &mut self,
        token: GroupToken,
        id: &GroupId,
        mut records: Vec<GroupRecord>,
        plan: Plan,
        result: HeartbeatResult,
    ) {
        let partition = self.partition_of(id);
        let own = plan.records.iter().map(|record| plan.protocol.record(id, record.clone()));
        records.extend(own);
        if records.is_empty() {
            let last = self.under_way.iter().rev().find(|(_, (of, ..))| *of == partition).map(|(number, _)| *number);
            match last {
                Some(number) => self.behind.entry(number).or_default().push((token, result)),
                None => self.answers.push(Answer::Heartbeat(token, result)),
            }
            return;
        }
        let purpose = Purpose::Heartbeat { group: id.clone(), token, result };
        let number = self.write(id, records, purpose);
        if let Ok(group) = self.consumer_group_mut(id) {
            group.decided(number, plan.state, plan.records);
        }
    }
}

/// Who it is that asks. None is somebody new.
fn find_member(
    plan: &mut Plan,
    id: &StrBytes,
    request: &HeartbeatRequest,
) -> Result<Option<ConsumerGroupMember>, ErrorCode> {
    let joins = request.epoch == JOIN_GROUP_EPOCH;
    let Some(instance) = &request.instance_id else {
        return match plan.state.members.get(id) {
            Some(member) => check_epoch(member, request).map(|()| Some(member.clone())),
            None if joins => Ok(None),
            None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        };
    };
    let Some(owner) = plan.state.static_member(instance).cloned() else {
        return if joins { Ok(plan.state.members.get(id).cloned()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) };
    };
    let member = plan.state.members[&owner].clone();
    if joins {
        if member.current.epoch != LEAVE_GROUP_STATIC_EPOCH {
            return Err(ErrorCode::UNRELEASED_INSTANCE_ID);
        }
        return Ok(Some(replace_member(plan, &owner, id, member)));
    }
    if owner != *id {
        return Err(ErrorCode::FENCED_INSTANCE_ID);
    }
    check_epoch(&member, request).map(|()| Some(member))
}

/// A static member has come back under another id, and gets what it had.
fn replace_member(
    plan: &mut Plan,
    old: &StrBytes,
    new: &StrBytes,
    mut member: ConsumerGroupMember,
) -> ConsumerGroupMember {
    let target = plan.state.target_of(old);
    member.current.epoch = JOIN_GROUP_EPOCH;
    member.current.previous_epoch = JOIN_GROUP_EPOCH;
    super::fencing::remove(plan, old);
    plan.say(ConsumerGroupRecord::Member(new.clone(), Some(member.metadata.clone())));
    plan.say(ConsumerGroupRecord::TargetMember(new.clone(), Some(target)));
    plan.say(ConsumerGroupRecord::CurrentMember(new.clone(), Some(member.current.clone())));
    member
}

/// One that comes with the epoch before may not have got its answer; it is believed if it has nothing that it should not.
fn check_epoch(member: &ConsumerGroupMember, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
    let current = &member.current;
    let has_no_more = || request.owned.as_ref().is_some_and(|owned| is_subset(owned, &current.assigned));
    let is_share = request.protocol == ModernProtocol::Share;
    let comes_again = || request.epoch == current.previous_epoch && (is_share || has_no_more());
    match request.epoch.cmp(&current.epoch) {
        Ordering::Equal => Ok(()),
        Ordering::Less if comes_again() => Ok(()),
        Ordering::Less | Ordering::Greater => Err(ErrorCode::FENCED_MEMBER_EPOCH),
    }
}

impl HeartbeatRequest {
    /// Whether it says everything that a consumer says, and wants to be told everything.
    fn is_full(&self) -> bool {
        self.rebalance_timeout_ms.is_some() && self.topics.is_some() && self.owned.is_some()
    }

    /// What it says of its member, over what was known.
    fn metadata_over(&self, known: Option<MemberMetadata>) -> MemberMetadata {
        let known = known.unwrap_or(MemberMetadata { rebalance_timeout_ms: -1, ..MemberMetadata::default() });
        let mut topics = self.topics.clone().unwrap_or(known.topics);
        topics.sort();
        topics.dedup();
        MemberMetadata {
            instance_id: self.instance_id.clone().or(known.instance_id),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            topics,
            rebalance_timeout_ms: self.rebalance_timeout_ms.unwrap_or(known.rebalance_timeout_ms),
            assignor: self.assignor.clone().or(known.assignor),
        }
    }
}

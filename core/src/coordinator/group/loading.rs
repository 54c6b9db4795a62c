//! Beginning and ceasing to coordinate, and what becomes of a write.
//!
//! Kafka: `GroupMetadataManager.doLoadGroupsAndOffsets`, `removeGroupsAndOffsets`, `storeGroup`, `storeOffsets`; KAFKA-2720.
//!
//! A coordinator that takes over reads the whole partition: the last word on each key counts. Members are as the last
//! written generation has them, and their sessions begin now. A rebalance that was under way is forgotten: members hear
//! REBALANCE_IN_PROGRESS or UNKNOWN_MEMBER_ID, and join again.

use std::collections::BTreeMap;

use kafka_protocol::messages::GroupId;

use super::api::{Answer, GroupToken, HeartbeatResult, JoinResult, SyncResult};
use super::classic_group::{ClassicGroup, GroupState};
use super::consumer::{ConsumerGroup, ConsumerGroupRecord, ModernProtocol};
use super::coordinator::{Group, GroupCoordinator, Purpose, Shard};
use super::member::Member;
use super::offsets::GroupOffsets;
use super::records::{GroupMetadataRecord, GroupRecord};
use crate::fact::Fact;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{Instant, LeaderEpoch, Offset, StrBytes, Timestamp};

impl GroupCoordinator {
    /// The broker leads a partition now; its log is to be read. False if that epoch is known already.
    pub fn elected(&mut self, partition: i32, epoch: LeaderEpoch) -> bool {
        let known = match self.shards.get(&partition) {
            Some(Shard::Loading(known) | Shard::Active(known, _)) => *known,
            None => LeaderEpoch::NONE,
        };
        if known >= epoch {
            return false;
        }
        match self.shards.get_mut(&partition) {
            // It led before and went on leading: what it has in memory is what the log says.
            Some(Shard::Active(known, _)) => {
                *known = epoch;
                false
            }
            Some(Shard::Loading(_)) | None => {
                self.shards.insert(partition, Shard::Loading(epoch));
                true
            }
        }
    }

    /// What the log of a partition says, oldest first, each record with its offset.
    pub fn loaded(
        &mut self,
        partition: i32,
        records: impl IntoIterator<Item = (Offset, GroupRecord)>,
        ctx: &mut Context<'_>,
    ) {
        let Some(Shard::Loading(epoch)) = self.shards.get(&partition) else { return };
        let epoch = *epoch;
        let mut groups = BTreeMap::new();
        for (offset, record) in records {
            replay(&mut groups, record, offset, ctx.now(), ctx.wall_clock());
        }
        for group in groups.values_mut() {
            if let Group::Consumer(group) = group {
                let session_timeout = match group.protocol {
                    ModernProtocol::Consumer => self.config.consumer_session_timeout,
                    ModernProtocol::Share => self.config.share_session_timeout,
                };
                group.start_clocks(session_timeout, ctx.now());
            }
        }
        ctx.fact(Fact::GroupsLoaded { partition, groups: u32::try_from(groups.len()).unwrap_or(u32::MAX) });
        self.shards.insert(partition, Shard::Active(epoch, groups));
        if self.next_retention_check.is_none() {
            self.next_retention_check = Some(ctx.now() + self.config.retention_check_interval);
        }
    }

    /// The broker does not lead a partition any more: who waits there is sent away.
    pub fn resigned(&mut self, partition: i32) {
        let Some(Shard::Active(_, groups)) = self.shards.remove(&partition) else { return };
        let away = ErrorCode::NOT_COORDINATOR;
        let classic = groups.into_values().filter_map(|group| match group {
            Group::Classic(group) => Some(group),
            // Who waits there waits for a write, which will be answered.
            Group::Consumer(_) => None,
        });
        for member in classic.flat_map(|group| group.members.into_values()) {
            if let Some(token) = member.awaiting_join {
                self.answers.push(Answer::Join(token, JoinResult::failed(member.id, away)));
            }
            if let Some(token) = member.awaiting_sync {
                self.answers.push(Answer::Sync(token, SyncResult::failed(away)));
            }
        }
        if self.shards.is_empty() {
            self.next_retention_check = None;
        }
    }

    /// A write is in the log at `base`, replicated; or is not, as far as is known.
    pub fn written(&mut self, number: u64, result: Result<Offset, ErrorCode>, ctx: &mut Context<'_>) {
        let Some((partition, purpose, records)) = self.under_way.remove(&number) else { return };
        if let (Ok(base), Some(Shard::Active(_, groups))) = (result, self.shards.get_mut(&partition)) {
            for (index, record) in (0..).zip(records) {
                // Members and generations are in memory already; of them the log holds a copy.
                let known = match &record {
                    GroupRecord::Group { metadata, .. } => metadata.is_some(),
                    GroupRecord::Consumer { .. } | GroupRecord::Share { .. } => true,
                    GroupRecord::OffsetCommit { .. } => false,
                };
                if let Purpose::Commit { generation, .. } = &purpose {
                    say_committed(&record, *generation, ctx);
                }
                if !known {
                    replay(groups, record, Offset(base.0 + index), ctx.now(), ctx.wall_clock());
                }
            }
        }
        let error = result.err().unwrap_or(ErrorCode::NONE);
        if let Purpose::Heartbeat { group, .. } | Purpose::Housekeeping { group } = &purpose {
            self.consumer_records_written(group, number, error, ctx);
        }
        self.conclude(purpose, error, ctx);
        for (token, result) in self.behind.remove(&number).unwrap_or_default() {
            self.answer_heartbeat(token, result, error);
        }
    }

    fn conclude(&mut self, purpose: Purpose, error: ErrorCode, ctx: &mut Context<'_>) {
        match purpose {
            Purpose::Assignment { group, generation, assignments } => {
                self.assignment_written(&group, generation, &assignments, group_error(error), ctx);
            }
            Purpose::StaticMember { group, token, result, former } => {
                if error != ErrorCode::NONE {
                    self.restore_static_member(&group, &result.member_id, *former, ctx.now());
                }
                self.static_member_written(&group, token, result, group_error(error), ctx);
            }
            Purpose::Commit { group, token, partitions, .. } => {
                if let Some(group) = self.groups_of_mut(&group).ok().and_then(|groups| groups.get_mut(&group)) {
                    partitions.iter().for_each(|partition| group.offsets_mut().settle(partition));
                }
                self.answers.push(Answer::Commit(token, commit_error(error)));
            }
            Purpose::Heartbeat { token, result, .. } => self.answer_heartbeat(token, result, error),
            Purpose::Housekeeping { .. } => {}
        }
    }

    fn answer_heartbeat(&mut self, token: GroupToken, result: HeartbeatResult, error: ErrorCode) {
        let result = match error {
            ErrorCode::NONE => result,
            ErrorCode::REQUEST_TIMED_OUT => {
                HeartbeatResult::failed(result.member_id, ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
            error => HeartbeatResult::failed(result.member_id, group_error(error)),
        };
        self.answers.push(Answer::Heartbeat(token, result));
    }

    /// The log does not know the new id of a static member: it is still who it was.
    fn restore_static_member(&mut self, group: &GroupId, new: &StrBytes, mut former: Member, now: Instant) {
        let Some(group) = self.group_mut(group) else { return };
        // It may have gone meanwhile, or come back once more.
        if group.members.remove(new).is_none() {
            return;
        }
        if group.is_leader(new) {
            group.leader = Some(former.id.clone());
        }
        if let Some(instance) = &former.instance_id {
            group.static_members.insert(instance.clone(), former.id.clone());
        }
        former.heard_of(now);
        group.members.insert(former.id.clone(), former);
    }

    /// A static member's new id is written; if it is not, the member must try again.
    fn static_member_written(
        &mut self,
        group: &GroupId,
        token: super::api::GroupToken,
        result: JoinResult,
        error: ErrorCode,
        ctx: &mut Context<'_>,
    ) {
        if let Some(member) = self.group_mut(group).and_then(|group| group.members.get_mut(&result.member_id)) {
            member.heard_of(ctx.now());
        }
        let answer = if error == ErrorCode::NONE { result } else { JoinResult::failed(StrBytes::default(), error) };
        self.answer_join(token, answer);
    }
}

impl GroupCoordinator {
    /// What became of a write: facts of what is written now, and a step back if it is not.
    fn consumer_records_written(&mut self, id: &GroupId, number: u64, error: ErrorCode, ctx: &mut Context<'_>) {
        let Ok(group) = self.consumer_group_mut(id) else { return };
        if error == ErrorCode::NONE || is_appended(error) {
            group.written(number, ctx);
        } else {
            group.not_written(number, ctx.now());
        }
        if let Ok(groups) = self.groups_of_mut(id) {
            forget_blank(groups, id);
        }
    }
}

/// Whether a write is in the log for all that, though it may not be replicated: what was decided stands.
fn is_appended(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::REQUEST_TIMED_OUT | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND)
}

fn say_committed(record: &GroupRecord, generation: i32, ctx: &mut Context<'_>) {
    if let GroupRecord::OffsetCommit { group, partition, committed: Some(committed) } = record {
        let (group, partition, offset) = (group.to_string(), partition.clone(), committed.offset);
        ctx.fact(Fact::OffsetCommitted { group, partition, offset, generation });
    }
}

/// Takes a record of the log into account.
pub(super) fn replay(
    groups: &mut BTreeMap<GroupId, Group>,
    record: GroupRecord,
    offset: Offset,
    now: Instant,
    wall_clock: Timestamp,
) {
    match record {
        GroupRecord::OffsetCommit { group: id, partition, committed } => {
            let is_tombstone = committed.is_none();
            if is_tombstone && !groups.contains_key(&id) {
                return;
            }
            let new = || Group::Classic(ClassicGroup::new(id.clone(), Timestamp::NONE));
            let group = groups.entry(id.clone()).or_insert_with(new);
            group.offsets_mut().replay(partition, committed, offset);
            if is_tombstone && is_nothing(group) {
                groups.remove(&id);
            }
        }
        GroupRecord::Group { group: id, metadata: Some(metadata) } => {
            let new = || Group::Classic(ClassicGroup::new(id.clone(), wall_clock));
            match groups.entry(id.clone()).or_insert_with(new) {
                Group::Classic(group) => load_generation(group, &metadata, now),
                // Whoever changes the protocol of a group takes back what it was first.
                Group::Consumer(_) => {}
            }
        }
        GroupRecord::Group { group: id, metadata: None } => {
            let Some(Group::Classic(group)) = groups.get_mut(&id) else { return };
            // Offsets that were committed after the group was found empty keep it.
            if group.offsets.is_empty() && group.members.is_empty() {
                groups.remove(&id);
            } else {
                let offsets = std::mem::take(&mut group.offsets);
                *group = ClassicGroup::new(id, wall_clock);
                group.offsets = offsets;
            }
        }
        GroupRecord::Consumer { group: id, record } => {
            replay_consumer(groups, &id, ModernProtocol::Consumer, &record);
        }
        GroupRecord::Share { group: id, record } => replay_consumer(groups, &id, ModernProtocol::Share, &record),
    }
}

/// Whether nothing is left of a group.
fn is_nothing(group: &Group) -> bool {
    let has_been_joined = match group {
        Group::Classic(group) => group.protocol_type.is_some(),
        Group::Consumer(group) => !group.is_blank(),
    };
    !has_been_joined && group.offsets().is_empty()
}

/// A record of the consumer protocol makes a group that only kept offsets one of that protocol; when the last one is
/// taken back, it is none any more.
fn replay_consumer(
    groups: &mut BTreeMap<GroupId, Group>,
    id: &GroupId,
    protocol: ModernProtocol,
    record: &ConsumerGroupRecord,
) {
    if !groups.contains_key(id) {
        let group = ConsumerGroup::new(id.clone(), protocol, GroupOffsets::default());
        groups.insert(id.clone(), Group::Consumer(group));
    }
    let Some(group) = groups.get_mut(id) else { return };
    if let Group::Classic(classic) = group
        && classic.protocol_type.is_none()
    {
        let offsets = std::mem::take(&mut classic.offsets);
        *group = Group::Consumer(ConsumerGroup::new(id.clone(), protocol, offsets));
    }
    if let Group::Consumer(consumer) = group {
        consumer.load(record);
    }
    forget_blank(groups, id);
}

/// A group of the consumer protocol of which nothing is said any more only keeps offsets, if that.
fn forget_blank(groups: &mut BTreeMap<GroupId, Group>, id: &GroupId) {
    let Some(Group::Consumer(group)) = groups.get_mut(id) else { return };
    if !group.is_blank() {
        return;
    }
    let offsets = std::mem::take(&mut group.offsets);
    if offsets.is_empty() {
        groups.remove(id);
    } else {
        let mut simple = ClassicGroup::new(id.clone(), Timestamp::NONE);
        simple.offsets = offsets;
        groups.insert(id.clone(), Group::Classic(simple));
    }
}

fn load_generation(group: &mut ClassicGroup, record: &GroupMetadataRecord, now: Instant) {
    group.members.clear();
    group.static_members.clear();
    group.generation = record.generation;
    group.protocol_type = (!record.protocol_type.is_empty()).then(|| record.protocol_type.clone());
    group.protocol.clone_from(&record.protocol);
    group.leader.clone_from(&record.leader);
    group.state_timestamp = record.state_timestamp;
    group.state = if record.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
    for member in &record.members {
        let member = Member::loaded(member, record.protocol.as_ref(), now);
        group.add(member, record.protocol_type.clone());
    }
}

/// What a failed write of a group means to its members (`GroupMetadataManager.storeGroup`).
fn group_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => ErrorCode::NOT_COORDINATOR,
        ErrorCode::REQUEST_TIMED_OUT => ErrorCode::REBALANCE_IN_PROGRESS,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => ErrorCode::UNKNOWN_SERVER_ERROR,
        other => other,
    }
}

/// What a failed commit means to whoever committed (`GroupMetadataManager.maybeConvertOffsetCommitError`).
fn commit_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => ErrorCode::NOT_COORDINATOR,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
        other => other,
    }
}

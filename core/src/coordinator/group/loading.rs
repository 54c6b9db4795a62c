//! Beginning and ceasing to coordinate, and what becomes of a write.
//!
//! Kafka: `GroupMetadataManager.doLoadGroupsAndOffsets`, `removeGroupsAndOffsets`, `storeGroup`, `storeOffsets`; KAFKA-2720.
//!
//! A coordinator that takes over reads the whole partition: the last word on each key counts. Members are as the last
//! written generation has them, and their sessions begin now. A rebalance that was under way is forgotten: members hear
//! REBALANCE_IN_PROGRESS or UNKNOWN_MEMBER_ID, and join again.

use std::collections::BTreeMap;

use kafka_protocol::messages::GroupId;

use super::api::{Answer, JoinResult, SyncResult};
use super::classic_group::{ClassicGroup, GroupState};
use super::coordinator::{GroupCoordinator, Purpose, Shard};
use super::member::Member;
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
        for member in groups.into_values().flat_map(|group| group.members.into_values()) {
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
        let generation = match &purpose {
            Purpose::Commit { generation, .. } => *generation,
            Purpose::Assignment { .. } | Purpose::StaticMember { .. } | Purpose::Housekeeping => -1,
        };
        if let (Ok(base), Some(Shard::Active(_, groups))) = (result, self.shards.get_mut(&partition)) {
            for (index, record) in (0..).zip(records) {
                // Members and generations are in memory already; of them the log holds a copy.
                let known = matches!(&record, GroupRecord::Group { metadata: Some(_), .. });
                say_committed(&record, generation, ctx);
                if !known {
                    replay(groups, record, Offset(base.0 + index), ctx.now(), ctx.wall_clock());
                }
            }
        }
        let error = result.err().unwrap_or(ErrorCode::NONE);
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
                if let Some(group) = self.group_mut(&group) {
                    partitions.iter().for_each(|partition| group.offsets.settle(partition));
                }
                self.answers.push(Answer::Commit(token, commit_error(error)));
            }
            Purpose::Housekeeping => {}
        }
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

fn say_committed(record: &GroupRecord, generation: i32, ctx: &mut Context<'_>) {
    if let GroupRecord::OffsetCommit { group, partition, committed: Some(committed) } = record {
        let (group, partition, offset) = (group.to_string(), partition.clone(), committed.offset);
        ctx.fact(Fact::OffsetCommitted { group, partition, offset, generation });
    }
}

/// Takes a record of the log into account.
pub(super) fn replay(
    groups: &mut BTreeMap<GroupId, ClassicGroup>,
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
            let group = groups.entry(id.clone()).or_insert_with(|| ClassicGroup::new(id.clone(), Timestamp::NONE));
            group.offsets.replay(partition, committed, offset);
            let nothing_left = group.protocol_type.is_none() && group.offsets.is_empty();
            if is_tombstone && nothing_left {
                groups.remove(&id);
            }
        }
        GroupRecord::Group { group: id, metadata: Some(metadata) } => {
            let group = groups.entry(id.clone()).or_insert_with(|| ClassicGroup::new(id, wall_clock));
            load_generation(group, &metadata, now);
        }
        GroupRecord::Group { group: id, metadata: None } => {
            // Offsets that were committed after the group was found empty keep it.
            if groups.get(&id).is_some_and(|group| group.offsets.is_empty() && group.members.is_empty()) {
                groups.remove(&id);
            } else if let Some(group) = groups.get_mut(&id) {
                let offsets = std::mem::take(&mut group.offsets);
                *group = ClassicGroup::new(id, wall_clock);
                group.offsets = offsets;
            }
        }
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

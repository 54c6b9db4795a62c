//! OffsetCommit and OffsetFetch: how far a group has come.
//!
//! Kafka: `GroupCoordinator.doCommitOffsets`, `validateOffsetCommit`, `GroupMetadataManager.storeOffsets`, `getOffsets`.
//!
//! The coordinator compares member and generation. It does not compare the partition with the assignment, nor the offset
//! with the one before: the last commit in the log wins, even if it goes backwards.
//!
//! Not modelled: `offset.metadata.max.bytes`, `offsets.commit.required.acks` (it is -1), a retention time in the request
//! (before version 5).

use kafka_protocol::messages::GroupId;

use super::api::{Answer, CommitRequest, GroupToken, MemberIdentity};
use super::classic_group::{ClassicGroup, GroupState};
use super::coordinator::{GroupCoordinator, Purpose};
use super::offsets::CommittedOffset;
use super::records::GroupRecord;
use crate::fact::Fact;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::TopicPartition;

impl GroupCoordinator {
    /// A member, or somebody without a group, says how far it has come. Answered when it is written.
    pub fn commit(&mut self, token: GroupToken, request: CommitRequest, ctx: &mut Context<'_>) {
        let (group, member) = (request.member.group.to_string(), request.member.member_id.to_string());
        if let Err(error) = self.try_commit(token, request, ctx) {
            ctx.fact(Fact::CommitRefused { group, member, error });
            self.answers.push(Answer::Commit(token, error));
        }
    }

    /// A commit of nothing is a success.
    pub fn nothing_to_commit(&mut self, token: GroupToken) {
        self.answers.push(Answer::Commit(token, ErrorCode::NONE));
    }

    fn try_commit(
        &mut self,
        token: GroupToken,
        request: CommitRequest,
        ctx: &mut Context<'_>,
    ) -> Result<(), ErrorCode> {
        let CommitRequest { member: identity, offsets } = request;
        let (id, generation) = (identity.group.clone(), identity.generation);
        let checks_generation = self.config.checks_generation;
        let groups = self.groups_of_mut(&id)?;
        if !groups.contains_key(&id) {
            if identity.generation >= 0 {
                return Err(ErrorCode::ILLEGAL_GENERATION);
            }
            groups.insert(id.clone(), ClassicGroup::new(id.clone(), ctx.wall_clock()));
        }
        let group = groups.get_mut(&id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if checks_generation {
            may_commit(group, &identity)?;
        }
        if group.state == GroupState::CompletingRebalance && checks_generation {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        if let Some(member) = group.members.get_mut(&identity.member_id) {
            member.heard_of(ctx.now());
        }
        let mut partitions = Vec::new();
        let mut records = Vec::new();
        for (partition, committed) in offsets {
            group.offsets.prepare(&partition);
            partitions.push(partition.clone());
            records.push(GroupRecord::OffsetCommit { group: id.clone(), partition, committed: Some(committed) });
        }
        self.write(&id, records, Purpose::Commit { group: id.clone(), token, partitions, generation });
        Ok(())
    }

    /// How far the group has come in a partition; none if it has not said.
    pub fn committed(
        &self,
        group: &GroupId,
        partition: &TopicPartition,
    ) -> Result<Option<&CommittedOffset>, ErrorCode> {
        Ok(self.groups_of(group)?.get(group).and_then(|group| group.offsets.get(partition)))
    }

    /// Everything that a group has committed.
    pub fn all_committed(
        &self,
        group: &GroupId,
    ) -> Result<impl Iterator<Item = (&TopicPartition, &CommittedOffset)>, ErrorCode> {
        Ok(self.groups_of(group)?.get(group).into_iter().flat_map(|group| group.offsets.iter()))
    }
}

/// Whether this commit may be taken from whoever it comes from.
fn may_commit(group: &ClassicGroup, member: &MemberIdentity) -> Result<(), ErrorCode> {
    if member.generation < 0 && group.state == GroupState::Empty {
        return Ok(());
    }
    if member.generation >= 0 || !member.member_id.is_empty() || member.instance_id.is_some() {
        return GroupCoordinator::check_member(group, member);
    }
    // Somebody who assigns its partitions itself, under the id of a group that has members.
    Err(ErrorCode::UNKNOWN_MEMBER_ID)
}

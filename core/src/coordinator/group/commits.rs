//! OffsetCommit and OffsetFetch: how far a group has come.
//!
//! Kafka: `GroupCoordinator.doCommitOffsets`, `validateOffsetCommit`, `GroupMetadataManager.storeOffsets`, `getOffsets`.
//!
//! The coordinator compares member and generation (or epoch, in a group of the consumer protocol). It does not compare the partition with the assignment, nor the offset
//! with the one before: the last commit in the log wins, even if it goes backwards.
//!
//! Not modelled: `offset.metadata.max.bytes`, `offsets.commit.required.acks` (it is -1), a retention time in the request
//! (before version 5).

use kafka_protocol::messages::GroupId;

use super::api::{Answer, CommitRequest, GroupToken, MemberIdentity};
use super::classic_group::{ClassicGroup, GroupState};
use super::consumer::{ConsumerGroup, ConsumerGroupState, ModernProtocol};
use super::coordinator::{Group, GroupCoordinator, Purpose};
use super::offsets::CommittedOffset;
use super::records::GroupRecord;
use crate::fact::Fact;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{StrBytes, TopicPartition};

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
            groups.insert(id.clone(), Group::Classic(ClassicGroup::new(id.clone(), ctx.wall_clock())));
        }
        let group = groups.get_mut(&id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        match group {
            Group::Classic(group) => {
                if checks_generation {
                    may_commit(group, &identity)?;
                }
                if let Some(member) = group.members.get_mut(&identity.member_id) {
                    member.heard_of(ctx.now());
                }
            }
            // A share group has no offsets of its own.
            Group::Consumer(group) if group.protocol == ModernProtocol::Share => {
                return Err(ErrorCode::GROUP_ID_NOT_FOUND);
            }
            Group::Consumer(group) if checks_generation => may_commit_as_consumer(group, &identity)?,
            Group::Consumer(_) => {}
        }
        let mut partitions = Vec::new();
        let mut records = Vec::new();
        for (partition, committed) in offsets {
            group.offsets_mut().prepare(&partition);
            partitions.push(partition.clone());
            records.push(GroupRecord::OffsetCommit { group: id.clone(), partition, committed: Some(committed) });
        }
        self.write(&id, records, Purpose::Commit { group: id.clone(), token, partitions, generation });
        Ok(())
    }

    /// Whether somebody who names itself as a member may ask how far the group has come (version 9 of OffsetFetch). Members
    /// of the classic protocol do not name themselves.
    pub fn may_fetch_offsets(&self, id: &GroupId, member: Option<(&StrBytes, i32)>) -> Result<(), ErrorCode> {
        let (Some((member, epoch)), Some(Group::Consumer(group))) = (member, self.groups_of(id)?.get(id)) else {
            return Ok(());
        };
        check_epoch(&group.written, member, epoch)
    }

    /// How far the group has come in a partition; none if it has not said.
    pub fn committed(
        &self,
        group: &GroupId,
        partition: &TopicPartition,
    ) -> Result<Option<&CommittedOffset>, ErrorCode> {
        Ok(self.groups_of(group)?.get(group).and_then(|group| group.offsets().get(partition)))
    }

    /// Everything that a group has committed.
    pub fn all_committed(
        &self,
        group: &GroupId,
    ) -> Result<impl Iterator<Item = (&TopicPartition, &CommittedOffset)>, ErrorCode> {
        Ok(self.groups_of(group)?.get(group).into_iter().flat_map(|group| group.offsets().iter()))
    }
}

/// Whether this commit may be taken from whoever it comes from.
fn may_commit(group: &ClassicGroup, member: &MemberIdentity) -> Result<(), ErrorCode> {
    may_be_heard(group, member)?;
    if group.state == GroupState::CompletingRebalance {
        return Err(ErrorCode::REBALANCE_IN_PROGRESS);
    }
    Ok(())
}

fn may_be_heard(group: &ClassicGroup, member: &MemberIdentity) -> Result<(), ErrorCode> {
    if member.generation < 0 && group.state == GroupState::Empty {
        return Ok(());
    }
    // Somebody who assigns its partitions itself, under the id of a group that has members, is none of them.
    GroupCoordinator::check_member(group, member)
}

/// The same in a group of the consumer protocol. A member must come with exactly the epoch that it is in; somebody without
/// one may commit as long as there are no members.
fn may_commit_as_consumer(group: &ConsumerGroup, member: &MemberIdentity) -> Result<(), ErrorCode> {
    if member.generation < 0 && group.state.members.is_empty() {
        return Ok(());
    }
    check_epoch(&group.state, &member.member_id, member.generation)
}

fn check_epoch(group: &ConsumerGroupState, member: &StrBytes, epoch: i32) -> Result<(), ErrorCode> {
    let member = group.members.get(member).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
    if member.current.epoch == epoch { Ok(()) } else { Err(ErrorCode::STALE_MEMBER_EPOCH) }
}

//! SyncGroup, Heartbeat, LeaveGroup: staying a member.
//!
//! Kafka: `GroupCoordinator.doSyncGroup`, `handleHeartbeat`, `handleLeaveGroup`.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::GroupId;

use super::api::{Answer, GroupToken, JoinResult, MemberIdentity, SyncRequest, SyncResult};
use super::classic_group::{ClassicGroup, GroupState};
use super::coordinator::{GroupCoordinator, Purpose};
use crate::fact::RemovalReason;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::StrBytes;

impl GroupCoordinator {
    /// A member asks for its assignment; the leader brings everybody's.
    pub fn sync(&mut self, token: GroupToken, request: SyncRequest, ctx: &mut Context<'_>) {
        let error = match self.try_sync(token, request, ctx) {
            Ok(()) => return,
            // Old clients do not expect this one here; to join again is right, since the rebalance is forgotten.
            Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS) => ErrorCode::REBALANCE_IN_PROGRESS,
            Err(error) => error,
        };
        self.answers.push(Answer::Sync(token, SyncResult::failed(error)));
    }

    fn try_sync(&mut self, token: GroupToken, request: SyncRequest, ctx: &mut Context<'_>) -> Result<(), ErrorCode> {
        let SyncRequest { member: identity, protocol_type, protocol, assignments } = request;
        let id = identity.group.clone();
        let group = self.classic_group_mut(&id)?;
        Self::check_member(group, &identity)?;
        if protocol_type.is_some() && protocol_type != group.protocol_type
            || protocol.is_some() && protocol != group.protocol
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        match group.state {
            GroupState::Empty => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            GroupState::PreparingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            GroupState::CompletingRebalance => {
                synced(group, &identity.member_id);
                let leads = group.is_leader(&identity.member_id);
                if let Some(member) = group.members.get_mut(&identity.member_id) {
                    member.awaiting_sync = Some(token);
                }
                if leads {
                    self.store_assignment(&id, assignments);
                }
                Ok(())
            }
            GroupState::Stable => {
                synced(group, &identity.member_id);
                let (protocol_type, protocol) = (group.protocol_type.clone(), group.protocol.clone());
                let Some(member) = group.members.get_mut(&identity.member_id) else { return Ok(()) };
                member.heard_of(ctx.now());
                let assignment = member.assignment.clone();
                let result = SyncResult { error: ErrorCode::NONE, protocol_type, protocol, assignment };
                self.answers.push(Answer::Sync(token, result));
                Ok(())
            }
        }
    }

    /// Who is not mentioned gets nothing; who is not a member is not mentioned.
    fn store_assignment(&mut self, id: &GroupId, assignments: Vec<(StrBytes, Bytes)>) {
        let Some(group) = self.group_mut(id) else { return };
        let mut given: BTreeMap<StrBytes, Bytes> = assignments.into_iter().collect();
        let assignments: BTreeMap<StrBytes, Bytes> =
            group.members.keys().map(|member| (member.clone(), given.remove(member).unwrap_or_default())).collect();
        let record = group.to_record(&assignments);
        let purpose = Purpose::Assignment { group: id.clone(), generation: group.generation, assignments };
        self.write(id, vec![record], purpose);
    }

    /// The leader's assignment is written, or is not: what its generation learns.
    pub(super) fn assignment_written(
        &mut self,
        id: &GroupId,
        generation: i32,
        assignments: &BTreeMap<StrBytes, Bytes>,
        error: ErrorCode,
        ctx: &mut Context<'_>,
    ) {
        let Some(group) = self.group_mut(id) else { return };
        // Another rebalance may have begun meanwhile; then nobody waits for this any more.
        if group.state != GroupState::CompletingRebalance || group.generation != generation {
            return;
        }
        for member in group.members.values_mut() {
            let given = if error == ErrorCode::NONE { assignments.get(&member.id).cloned() } else { None };
            member.assignment = given.unwrap_or_default();
        }
        self.propagate_assignment(id, error, ctx.now());
        if error != ErrorCode::NONE {
            self.maybe_prepare_rebalance(id, ctx);
        } else if let Some(group) = self.group_mut(id) {
            group.enter(GroupState::Stable, ctx);
        }
    }

    /// A member is there.
    pub fn heartbeat(&mut self, member: &MemberIdentity, ctx: &mut Context<'_>) -> ErrorCode {
        match self.try_heartbeat(member, ctx) {
            // The coordinator does not know yet; the member has nothing to do about it.
            Ok(()) | Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS) => ErrorCode::NONE,
            Err(error) => error,
        }
    }

    fn try_heartbeat(&mut self, identity: &MemberIdentity, ctx: &mut Context<'_>) -> Result<(), ErrorCode> {
        let id = &identity.group;
        let group = self.classic_group_mut(id)?;
        Self::check_member(group, identity)?;
        if group.state == GroupState::Empty {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if let Some(member) = group.members.get_mut(&identity.member_id) {
            member.heard_of(ctx.now());
        }
        if group.state == GroupState::PreparingRebalance { Err(ErrorCode::REBALANCE_IN_PROGRESS) } else { Ok(()) }
    }

    /// A member goes.
    pub fn leave(&mut self, member: &MemberIdentity, ctx: &mut Context<'_>) -> ErrorCode {
        match self.try_leave(member, ctx) {
            Ok(()) => ErrorCode::NONE,
            Err(error) => error,
        }
    }

    fn try_leave(&mut self, identity: &MemberIdentity, ctx: &mut Context<'_>) -> Result<(), ErrorCode> {
        let id = &identity.group;
        let group = self.classic_group_mut(id)?;
        if group.pending_members.remove(&identity.member_id).is_some() {
            self.maybe_complete_join(id, ctx);
            return Ok(());
        }
        // An operator may remove a static member by its instance alone.
        let by_instance = identity.instance_id.as_ref().filter(|_| identity.member_id.is_empty());
        let member_id = match by_instance {
            Some(instance) => group.static_members.get(instance).cloned().ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?,
            None => {
                Self::check_identity(group, &identity.member_id, identity.instance_id.as_ref())?;
                identity.member_id.clone()
            }
        };
        self.remove_member(id, &member_id, RemovalReason::Left, ctx);
        Ok(())
    }

    /// A member is out: it left, or it was silent for too long.
    pub(super) fn remove_member(
        &mut self,
        id: &GroupId,
        member: &StrBytes,
        reason: RemovalReason,
        ctx: &mut Context<'_>,
    ) {
        let Some(group) = self.group_mut(id) else { return };
        let Some(removed) = group.expel(member, reason, ctx) else { return };
        let state = group.state;
        if let Some(token) = removed.awaiting_join {
            let result = JoinResult::failed(StrBytes::default(), ErrorCode::UNKNOWN_MEMBER_ID);
            self.answer_join(token, result);
        }
        match state {
            GroupState::Empty => {}
            GroupState::Stable | GroupState::CompletingRebalance => self.maybe_prepare_rebalance(id, ctx),
            GroupState::PreparingRebalance => self.maybe_complete_join(id, ctx),
        }
    }
}

/// A member has asked for its assignment.
fn synced(group: &mut ClassicGroup, member: &StrBytes) {
    group.pending_sync.remove(member);
    if group.pending_sync.is_empty() {
        group.sync_deadline = None;
    }
}

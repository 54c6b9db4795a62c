//! JoinGroup: becoming a member, and the end of waiting for members.
//!
//! Kafka: `GroupCoordinator.handleJoinGroup`, `doNewMemberJoinGroup`, `doCurrentMemberJoinGroup`, `onCompleteJoin`; KIP-345
//! (static members), KIP-394 (a member learns its id before it counts).
//!
//! Not modelled: before 4.0 who comes late puts off only the very first generation of a group, not one after it was empty.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::GroupId;

use super::api::{GroupToken, JoinRequest, JoinResult};
use super::classic_group::{ClassicGroup, DelayedJoin, GroupState};
use super::coordinator::{Group, GroupCoordinator, Purpose};
use super::member::Member;
use crate::fact::RemovalReason;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{Duration, StrBytes};

impl GroupCoordinator {
    /// A client wants to be a member. It is answered when the next generation begins, or at once with an error.
    pub fn join(&mut self, token: GroupToken, request: &JoinRequest, ctx: &mut Context<'_>) {
        if let Err(error) = self.try_join(token, request, ctx) {
            self.answer_join(token, JoinResult::failed(request.member_id.clone(), error));
        }
    }

    fn try_join(&mut self, token: GroupToken, request: &JoinRequest, ctx: &mut Context<'_>) -> Result<(), ErrorCode> {
        if request.group.is_empty() {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        let (shortest, longest) = (self.config.min_session_timeout, self.config.max_session_timeout);
        let is_new = request.member_id.is_empty();
        self.groups_of(&request.group)?;
        if request.session_timeout < shortest || request.session_timeout > longest {
            return Err(ErrorCode::INVALID_SESSION_TIMEOUT);
        }
        if is_new {
            self.close_consumer_group(&request.group, ctx.wall_clock())?;
            let new = || Group::Classic(ClassicGroup::new(request.group.clone(), ctx.wall_clock()));
            self.groups_of_mut(&request.group)?.entry(request.group.clone()).or_insert_with(new);
        }
        let group = self.classic_group_mut(&request.group)?;
        if !group.supports(&request.protocol_type, &request.protocols) {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        if is_new {
            self.join_new(token, request, ctx);
        } else {
            self.join_known(token, request, ctx)?;
        }
        self.maybe_complete_join(&request.group, ctx);
        Ok(())
    }

    fn join_new(&mut self, token: GroupToken, request: &JoinRequest, ctx: &mut Context<'_>) {
        let id = new_member_id(request.instance_id.as_ref().unwrap_or(&request.client_id), ctx);
        let Some(group) = self.group_mut(&request.group) else { return };
        let replaced = request.instance_id.as_ref().and_then(|instance| group.static_members.get(instance)).cloned();
        if let Some(old) = replaced {
            self.replace_static_member(token, &old, id, request, ctx);
        } else if request.require_known_member_id && request.instance_id.is_none() {
            group.pending_members.insert(id.clone(), ctx.now() + request.session_timeout);
            self.answer_join(token, JoinResult::failed(id, ErrorCode::MEMBER_ID_REQUIRED));
        } else {
            self.add_member(token, id, request, ctx);
        }
    }

    fn add_member(&mut self, token: GroupToken, id: StrBytes, request: &JoinRequest, ctx: &mut Context<'_>) {
        let Some(group) = self.group_mut(&request.group) else { return };
        if let Some(DelayedJoin::Initial { extended, .. }) = &mut group.delayed_join {
            *extended = true;
        }
        group.add(Member::joining(id, request, token, ctx.now()), request.protocol_type.clone());
        self.maybe_prepare_rebalance(&request.group, ctx);
    }

    fn join_known(&mut self, token: GroupToken, request: &JoinRequest, ctx: &mut Context<'_>) -> Result<(), ErrorCode> {
        let Some(group) = self.group_mut(&request.group) else { return Err(ErrorCode::UNKNOWN_MEMBER_ID) };
        let id = &request.member_id;
        if group.pending_members.contains_key(id) {
            self.add_member(token, id.clone(), request, ctx);
            return Ok(());
        }
        Self::check_identity(group, id, request.instance_id.as_ref())?;
        let leads = group.is_leader(id);
        let unchanged = group.members.get(id).is_some_and(|member| member.protocols == request.protocols);
        let rebalances = match group.state {
            GroupState::PreparingRebalance => true,
            // The answer to its join may have been lost: it gets it again.
            GroupState::CompletingRebalance => !unchanged,
            // The leader joins when something has changed that only it sees: the topics.
            GroupState::Stable => leads || !unchanged,
            GroupState::Empty => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
        };
        if rebalances {
            if let Some(member) = group.members.get_mut(id) {
                member.update(request, token);
            }
            self.maybe_prepare_rebalance(&request.group, ctx);
        } else {
            let result = group.join_result(id);
            self.answer_join(token, result);
        }
        Ok(())
    }

    /// A static member has come back as a new process. The old one is fenced; in a stable group nobody else notices.
    fn replace_static_member(
        &mut self,
        token: GroupToken,
        old: &StrBytes,
        new: StrBytes,
        request: &JoinRequest,
        ctx: &mut Context<'_>,
    ) {
        let Some(group) = self.group_mut(&request.group) else { return };
        let Some(mut member) = group.members.remove(old) else { return };
        let former = member.clone();
        let fenced = (member.awaiting_join.take(), member.awaiting_sync.take());
        if group.is_leader(old) {
            group.leader = Some(new.clone());
        }
        if let Some(instance) = &request.instance_id {
            group.static_members.insert(instance.clone(), new.clone());
        }
        member.id = new.clone();
        member.heard_of(ctx.now());
        member.update(request, token);
        group.members.insert(new.clone(), member);
        let (state, same_protocol) = (group.state, group.select_protocol() == group.protocol);
        self.fence(old, fenced);
        match state {
            GroupState::Stable if same_protocol => self.keep_generation(token, &new, former, request),
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(&request.group, ctx),
            GroupState::PreparingRebalance | GroupState::Empty => {}
        }
    }

    fn fence(&mut self, old: &StrBytes, (join, sync): (Option<GroupToken>, Option<GroupToken>)) {
        if let Some(token) = join {
            self.answer_join(token, JoinResult::failed(old.clone(), ErrorCode::FENCED_INSTANCE_ID));
        }
        if let Some(token) = sync {
            let result = super::api::SyncResult::failed(ErrorCode::FENCED_INSTANCE_ID);
            self.answers.push(super::api::Answer::Sync(token, result));
        }
    }

    /// The generation goes on with a static member under its new id, once that is written. In a stable group nobody, its
    /// former self neither, waits for an answer.
    fn keep_generation(&mut self, token: GroupToken, member: &StrBytes, former: Member, request: &JoinRequest) {
        let Some(group) = self.group_mut(&request.group) else { return };
        if let Some(member) = group.members.get_mut(member) {
            member.awaiting_join = None;
        }
        let assignments: BTreeMap<StrBytes, Bytes> =
            group.members.values().map(|member| (member.id.clone(), member.assignment.clone())).collect();
        let record = group.to_record(&assignments);
        let mut result = group.join_result(member);
        // Its assignment stands; a leader must not make another one (KIP-814).
        result.skip_assignment = group.is_leader(member);
        let purpose = Purpose::StaticMember { group: request.group.clone(), token, result, former: Box::new(former) };
        self.write(&request.group, vec![record], purpose);
    }

    /// The rebalance goes on if nobody is waited for any more.
    pub(super) fn maybe_complete_join(&mut self, id: &GroupId, ctx: &mut Context<'_>) {
        let complete = self.group_mut(id).is_some_and(|group| {
            group.state == GroupState::PreparingRebalance
                && matches!(group.delayed_join, Some(DelayedJoin::Until(_)))
                && group.all_have_joined()
        });
        if complete {
            self.complete_join(id, ctx);
        }
    }

    /// The time for joining is over.
    pub(super) fn join_expired(&mut self, id: &GroupId, ctx: &mut Context<'_>) {
        let delay = self.config.initial_rebalance_delay;
        let Some(group) = self.group_mut(id) else { return };
        match group.delayed_join {
            Some(DelayedJoin::Initial { remaining, extended: true, .. }) if remaining > Duration::ZERO => {
                let more = delay.min(remaining);
                group.delayed_join = Some(DelayedJoin::Initial {
                    until: ctx.now() + more,
                    remaining: remaining - more,
                    extended: false,
                });
            }
            Some(DelayedJoin::Initial { .. } | DelayedJoin::Until(_)) => self.complete_join(id, ctx),
            None => {}
        }
    }

    /// Who has not joined is out, unless it is static; the others are the next generation.
    fn complete_join(&mut self, id: &GroupId, ctx: &mut Context<'_>) {
        let Some(group) = self.group_mut(id) else { return };
        let missing: Vec<StrBytes> = group
            .members
            .values()
            .filter(|member| member.awaiting_join.is_none() && member.instance_id.is_none())
            .map(|member| member.id.clone())
            .collect();
        for member in &missing {
            group.expel(member, RemovalReason::DidNotJoin, ctx);
        }
        if !group.elect_joined_leader() && !group.members.is_empty() {
            // Only static members are left, and none has come: they are waited for again.
            let again = ctx.now() + group.rebalance_timeout();
            group.delayed_join = Some(DelayedJoin::Until(again));
            return;
        }
        group.delayed_join = None;
        group.begin_generation(ctx);
        if group.members.is_empty() {
            let record = group.to_record(&BTreeMap::new());
            self.write(id, vec![record], Purpose::Housekeeping { group: id.clone() });
            return;
        }
        self.announce_generation(id, ctx);
    }

    fn announce_generation(&mut self, id: &GroupId, ctx: &mut Context<'_>) {
        let expires_syncs = self.config.expires_syncs;
        let Some(group) = self.group_mut(id) else { return };
        let members: Vec<StrBytes> = group.members.keys().cloned().collect();
        let mut answers = Vec::new();
        for member_id in &members {
            let result = group.join_result(member_id);
            let Some(member) = group.members.get_mut(member_id) else { continue };
            if let Some(token) = member.awaiting_join.take() {
                answers.push((token, result));
            }
            member.heard_of(ctx.now());
            member.is_new = false;
        }
        if expires_syncs {
            group.pending_sync.extend(members);
            group.sync_deadline = Some(ctx.now() + group.rebalance_timeout());
        }
        for (token, result) in answers {
            self.answer_join(token, result);
        }
    }
}

/// The name that a new member gets: that of the client, and a number that nobody else has.
fn new_member_id(prefix: &StrBytes, ctx: &mut Context<'_>) -> StrBytes {
    let high = ctx.rng().next_u64();
    let low = ctx.rng().next_u64();
    let uuid = uuid::Uuid::from_u64_pair(high, low);
    StrBytes::from_string(format!("{}-{}", prefix.as_str(), uuid))
}

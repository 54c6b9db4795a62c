//! A group of the classic protocol: members, a generation, and where it stands in its rebalance.
//!
//! Kafka: `GroupMetadata.scala`, `DelayedJoin`, `InitialDelayedJoin`, `DelayedSync`.
//!
//! ```text
//!            first member joins                 all have joined, or time is up
//!  Empty ───────────────────────▶ PreparingRebalance ───────────────────────▶ CompletingRebalance
//!    ▲                              ▲    │   ▲                                  │            │
//!    │ nobody has joined            │    │   │ a member joins, leaves, is       │            │ the leader's
//!    └──────────────────────────────┼────┘   │ silent too long, does not sync   │            │ assignment is written
//!                                   │        └──────────────────────────────────┘            ▼
//!                                   └─────────────────────────────────────────────────── Stable
//! ```
//!
//! Any state becomes Dead when the broker ceases to lead the partition, or when an empty group has no offsets left.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::messages::GroupId;

use super::api::JoinResult;
use super::member::Member;
use super::offsets::GroupOffsets;
use super::records::{GroupMetadataRecord, GroupRecord};
use crate::fact::{Fact, RemovalReason};
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{Duration, Instant, StrBytes, Timestamp};

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// It has no members, at most offsets.
    Empty,
    /// It waits for its members to join.
    PreparingRebalance,
    /// It waits for the leader's assignment.
    CompletingRebalance,
    /// Everybody knows what is theirs.
    Stable,
}

impl GroupState {
    /// As `kafka-consumer-groups` prints it.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
        }
    }
}

/// How long members are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayedJoin {
    /// Until all have joined, or until then.
    Until(Instant),
    /// The first members of an empty group: until then whoever comes (`group.initial.rebalance.delay.ms`), again if
    /// somebody came, and so much longer at most.
    Initial {
        /// Until then.
        until: Instant,
        /// What is left of the rebalance timeout after it.
        remaining: Duration,
        /// Somebody has come since it was last extended.
        extended: bool,
    },
}

impl DelayedJoin {
    /// When it is over.
    pub fn deadline(self) -> Instant {
        match self {
            DelayedJoin::Until(until) | DelayedJoin::Initial { until, .. } => until,
        }
    }
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicGroup {
    /// `group.id`.
    pub id: GroupId,
    /// Where it stands.
    pub state: GroupState,
    /// Since when, by the clock of the coordinator.
    pub state_timestamp: Timestamp,
    /// `consumer`; none if nobody has joined ever.
    pub protocol_type: Option<StrBytes>,
    /// Its generation.
    pub generation: i32,
    /// The assignor of this generation.
    pub protocol: Option<StrBytes>,
    /// The member that assigns.
    pub leader: Option<StrBytes>,
    /// The members, by id.
    pub members: BTreeMap<StrBytes, Member>,
    /// The member that a `group.instance.id` belongs to.
    pub static_members: BTreeMap<StrBytes, StrBytes>,
    /// Ids that were handed out to clients that have not come back with them, and how long they have.
    pub pending_members: BTreeMap<StrBytes, Instant>,
    /// Members of this generation that have not asked for their assignment.
    pub pending_sync: BTreeSet<StrBytes>,
    /// While members are waited for.
    pub delayed_join: Option<DelayedJoin>,
    /// While syncs are waited for: until when.
    pub sync_deadline: Option<Instant>,
    /// How far it has come.
    pub offsets: GroupOffsets,
}

impl ClassicGroup {
    /// A group without members.
    pub fn new(id: GroupId, now: Timestamp) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            state_timestamp: now,
            protocol_type: None,
            generation: 0,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            delayed_join: None,
            sync_deadline: None,
            offsets: GroupOffsets::default(),
        }
    }

    /// Goes on to another state, and says so.
    pub fn enter(&mut self, state: GroupState, ctx: &mut Context<'_>) {
        self.state = state;
        self.state_timestamp = ctx.wall_clock();
        ctx.fact(Fact::GroupStateChanged {
            group: self.id.to_string(),
            state: state.name().to_owned(),
            generation: self.generation,
            members: self.members.keys().map(ToString::to_string).collect(),
        });
    }

    /// A member is out, and that is said.
    pub fn expel(&mut self, member: &StrBytes, reason: RemovalReason, ctx: &mut Context<'_>) -> Option<Member> {
        let removed = self.remove(member)?;
        let (group, member) = (self.id.to_string(), member.to_string());
        ctx.fact(Fact::MemberRemoved { group, member, reason });
        Some(removed)
    }

    /// Whether a member assigns.
    pub fn is_leader(&self, member: &StrBytes) -> bool {
        self.leader.as_ref() == Some(member)
    }

    /// Whether nobody is in it.
    pub fn is_vacant(&self) -> bool {
        self.state == GroupState::Empty && self.members.is_empty()
    }

    /// Whether a rebalance can begin.
    pub fn can_rebalance(&self) -> bool {
        self.state != GroupState::PreparingRebalance
    }

    /// The longest that any member may take to join.
    pub fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or(Duration::ZERO)
    }

    /// Whether nobody is waited for any more.
    pub fn all_have_joined(&self) -> bool {
        self.pending_members.is_empty() && self.members.values().all(|member| member.awaiting_join.is_some())
    }

    /// Takes a member in.
    pub fn add(&mut self, member: Member, protocol_type: StrBytes) {
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(instance.clone(), member.id.clone());
        }
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type);
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        self.pending_members.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member, or an id that is pending, out.
    fn remove(&mut self, id: &StrBytes) -> Option<Member> {
        let removed = self.members.remove(id);
        if let Some(instance) = removed.as_ref().and_then(|member| member.instance_id.as_ref()) {
            self.static_members.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_members.remove(id);
        self.pending_sync.remove(id);
        removed
    }

    /// Whether somebody who speaks these assignors can be a member.
    pub fn supports(&self, protocol_type: &StrBytes, protocols: &[(StrBytes, Bytes)]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.members.values().all(|member| member.speaks(name)))
    }

    /// The assignor for which most members vote, each for its best among those that all speak. Kafka takes any of equals;
    /// here the one that comes first in the alphabet.
    pub fn select_protocol(&self) -> Option<StrBytes> {
        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for member in self.members.values() {
            let best = member.protocols.iter().find(|(name, _)| self.members.values().all(|other| other.speaks(name)));
            if let Some((name, _)) = best {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    /// A leader that has not joined loses the lead to somebody who has. False if there is a leader and nobody has joined.
    pub fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |member: &Member| member.awaiting_join.is_some();
        let Some(leader) = &self.leader else { return false };
        if self.members.get(leader).is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.values().find(|member| has_joined(member)).map(|member| member.id.clone());
        let found = joined.is_some();
        if found {
            self.leader = joined;
        }
        found
    }

    /// The next generation begins, of whoever is a member now.
    pub fn begin_generation(&mut self, ctx: &mut Context<'_>) {
        self.generation += 1;
        self.protocol = self.select_protocol();
        let next = if self.members.is_empty() { GroupState::Empty } else { GroupState::CompletingRebalance };
        self.enter(next, ctx);
    }

    /// What a member learns of the generation that it is in.
    pub fn join_result(&self, member: &StrBytes) -> JoinResult {
        let leads = self.is_leader(member);
        JoinResult {
            error: ErrorCode::NONE,
            member_id: member.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            protocol_type: self.protocol_type.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            members: if leads { self.subscriptions() } else { Vec::new() },
            skip_assignment: false,
        }
    }

    /// Everybody's subscription, for the leader.
    fn subscriptions(&self) -> Vec<(StrBytes, Option<StrBytes>, Bytes)> {
        let Some(protocol) = &self.protocol else { return Vec::new() };
        self.members
            .values()
            .map(|member| (member.id.clone(), member.instance_id.clone(), member.subscription(protocol)))
            .collect()
    }

    /// The group as it is to be written, with these assignments.
    pub fn to_record(&self, assignments: &BTreeMap<StrBytes, Bytes>) -> GroupRecord {
        let assignment = |member: &Member| assignments.get(&member.id).cloned().unwrap_or_default();
        GroupRecord::Group {
            group: self.id.clone(),
            metadata: Some(GroupMetadataRecord {
                protocol_type: self.protocol_type.clone().unwrap_or_default(),
                generation: self.generation,
                protocol: self.protocol.clone(),
                leader: self.leader.clone(),
                state_timestamp: self.state_timestamp,
                members: self
                    .members
                    .values()
                    .map(|member| member.to_record(self.protocol.as_ref(), assignment(member)))
                    .collect(),
            }),
        }
    }

    /// When the group next has something to do by itself.
    pub fn next_deadline(&self) -> Option<Instant> {
        let sessions = self.members.values().filter_map(|member| member.expires_at);
        let waits = self.delayed_join.map(DelayedJoin::deadline).into_iter().chain(self.sync_deadline);
        sessions.chain(self.pending_members.values().copied()).chain(waits).min()
    }
}

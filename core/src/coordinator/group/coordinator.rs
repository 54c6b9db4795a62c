//! All groups of one broker: those whose partition of `__consumer_offsets` it leads.
//!
//! Kafka: `GroupCoordinator.scala`, `GroupMetadataManager.scala`. Driven by the broker: requests come in, answers are taken
//! with [`GroupCoordinator::take_answers`], what is to be written with [`GroupCoordinator::take_writes`], and
//! [`GroupCoordinator::written`] says what became of it.
//!
//! Invariants: an answer that a write stands behind is given after the write, never before. What a coordinator that takes
//! over finds in the log is what this one has answered.
//!
//! Not modelled: the KIP-848 protocol, share groups, transactional commits, `group.max.size`, the event loop and timeline
//! of the coordinator of 4.0 (its answers are the same).

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::GroupId;

use super::api::{Answer, GroupToken, JoinResult, MemberIdentity, SyncResult, Write};
use super::classic_group::{ClassicGroup, GroupState};
use super::member::Member;
use super::partition_for;
use super::records::GroupRecord;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{Duration, Instant, LeaderEpoch, StrBytes, TopicPartition};

/// What of a broker's configuration the coordinator looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// Whether offsets of a group with members are kept, and the time counts from when it is empty (KIP-211, 2.1).
    pub expire_when_empty: bool,
    /// Whether a commit must come from the present generation (toggle `commit_generation_check`).
    pub checks_generation: bool,
    /// Whether a group waits for syncs no longer than for joins (KAFKA-13435, 3.1).
    pub expires_syncs: bool,
}

/// A partition of the topic that this broker leads.
#[derive(Clone, Debug)]
pub(super) enum Shard {
    /// Its log is being read.
    Loading(LeaderEpoch),
    /// Its groups.
    Active(LeaderEpoch, BTreeMap<GroupId, ClassicGroup>),
}

/// What a write stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The assignment of a generation.
    Assignment { group: GroupId, generation: i32, assignments: BTreeMap<StrBytes, Bytes> },
    /// A static member came back under a new id; what it is told if that could be written, and who it was before.
    StaticMember { group: GroupId, token: GroupToken, result: JoinResult, former: Box<Member> },
    /// A commit by whoever named this generation.
    Commit { group: GroupId, token: GroupToken, partitions: Vec<TopicPartition>, generation: i32 },
    /// Nobody waits for it: a group without members, or expired offsets.
    Housekeeping,
}

/// The coordinator.
#[derive(Clone, Debug)]
pub struct GroupCoordinator {
    pub(super) config: GroupConfig,
    /// How many partitions the topic has.
    pub(super) partitions: i32,
    pub(super) shards: BTreeMap<i32, Shard>,
    pub(super) answers: Vec<Answer>,
    pub(super) writes: Vec<Write>,
    pub(super) under_way: BTreeMap<u64, (i32, Purpose, Vec<GroupRecord>)>,
    pub(super) next_write: u64,
    pub(super) next_retention_check: Option<Instant>,
}

impl GroupCoordinator {
    /// A coordinator of no partition yet.
    pub fn new(config: GroupConfig, partitions: i32) -> Self {
        Self {
            config,
            partitions,
            shards: BTreeMap::new(),
            answers: Vec::new(),
            writes: Vec::new(),
            under_way: BTreeMap::new(),
            next_write: 1,
            next_retention_check: None,
        }
    }

    /// The topic has this many partitions.
    pub fn set_partitions(&mut self, partitions: i32) {
        self.partitions = partitions;
    }

    /// What is to be answered.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// What is to be written.
    pub fn take_writes(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.writes)
    }

    /// The partitions that this broker coordinates, or is about to.
    pub fn led(&self) -> Vec<i32> {
        self.shards.keys().copied().collect()
    }

    /// White-box: the groups.
    pub fn groups(&self) -> impl Iterator<Item = &ClassicGroup> {
        self.shards.values().flat_map(|shard| match shard {
            Shard::Loading(_) => None.into_iter().flatten(),
            Shard::Active(_, groups) => Some(groups.values()).into_iter().flatten(),
        })
    }

    /// White-box: whether this is the broker to ask for a group.
    pub fn coordinates(&self, group: &GroupId) -> bool {
        self.groups_of(group).is_ok()
    }

    /// How many writes have not been answered.
    pub fn writing(&self) -> usize {
        self.under_way.len()
    }

    /// Whether this broker coordinates a group: an error if not, or not yet.
    pub(super) fn groups_of(&self, group: &GroupId) -> Result<&BTreeMap<GroupId, ClassicGroup>, ErrorCode> {
        match self.shards.get(&partition_for(group, self.partitions)) {
            None => Err(ErrorCode::NOT_COORDINATOR),
            Some(Shard::Loading(_)) => Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
            Some(Shard::Active(_, groups)) => Ok(groups),
        }
    }

    pub(super) fn groups_of_mut(&mut self, group: &GroupId) -> Result<&mut BTreeMap<GroupId, ClassicGroup>, ErrorCode> {
        match self.shards.get_mut(&partition_for(group, self.partitions)) {
            None => Err(ErrorCode::NOT_COORDINATOR),
            Some(Shard::Loading(_)) => Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
            Some(Shard::Active(_, groups)) => Ok(groups),
        }
    }

    /// A group that was there a moment ago.
    pub(super) fn group_mut(&mut self, group: &GroupId) -> Option<&mut ClassicGroup> {
        self.groups_of_mut(group).ok()?.get_mut(group)
    }

    /// Whether a member is who it says it is.
    pub(super) fn check_identity(group: &ClassicGroup, member: &MemberIdentity) -> Result<(), ErrorCode> {
        if let Some(instance) = &member.instance_id {
            match group.static_members.get(instance) {
                Some(current) if *current != member.member_id => return Err(ErrorCode::FENCED_INSTANCE_ID),
                Some(_) => {}
                None => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
            }
        }
        if group.members.contains_key(&member.member_id) { Ok(()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) }
    }

    /// Whether it is, and in the present generation.
    pub(super) fn check_member(group: &ClassicGroup, member: &MemberIdentity) -> Result<(), ErrorCode> {
        Self::check_identity(group, member)?;
        if member.generation == group.generation { Ok(()) } else { Err(ErrorCode::ILLEGAL_GENERATION) }
    }

    pub(super) fn write(&mut self, group: &GroupId, records: Vec<GroupRecord>, purpose: Purpose) {
        let partition = partition_for(group, self.partitions);
        let number = self.next_write;
        self.next_write += 1;
        self.under_way.insert(number, (partition, purpose, records.clone()));
        self.writes.push(Write { number, partition, records });
    }

    pub(super) fn answer_join(&mut self, token: GroupToken, result: JoinResult) {
        self.answers.push(Answer::Join(token, result));
    }

    /// Answers who waits for a sync in this group; what each got, or the error.
    pub(super) fn propagate_assignment(&mut self, group: &GroupId, error: ErrorCode, now: Instant) {
        let Some(group) = self.group_mut(group) else { return };
        let (protocol_type, protocol) = (group.protocol_type.clone(), group.protocol.clone());
        let mut answers = Vec::new();
        for member in group.members.values_mut() {
            let Some(token) = member.awaiting_sync.take() else { continue };
            let result = if error == ErrorCode::NONE {
                let assignment = member.assignment.clone();
                SyncResult { error, protocol_type: protocol_type.clone(), protocol: protocol.clone(), assignment }
            } else {
                SyncResult::failed(error)
            };
            answers.push(Answer::Sync(token, result));
            member.heard_of(now);
        }
        self.answers.extend(answers);
    }

    /// A rebalance begins, unless one has begun.
    pub(super) fn maybe_prepare_rebalance(&mut self, id: &GroupId, ctx: &mut Context<'_>) {
        if self.group_mut(id).is_some_and(|group| group.can_rebalance()) {
            self.prepare_rebalance(id, ctx);
        }
    }

    /// A rebalance begins: members are waited for.
    pub(super) fn prepare_rebalance(&mut self, id: &GroupId, ctx: &mut Context<'_>) {
        let delay = self.config.initial_rebalance_delay;
        let Some(group) = self.group_mut(id) else { return };
        let was = group.state;
        group.pending_sync.clear();
        group.sync_deadline = None;
        let timeout = group.rebalance_timeout();
        group.delayed_join = Some(if was == GroupState::Empty {
            super::classic_group::DelayedJoin::Initial {
                until: ctx.now() + delay,
                remaining: timeout - delay,
                extended: false,
            }
        } else {
            super::classic_group::DelayedJoin::Until(ctx.now() + timeout)
        });
        if was == GroupState::CompletingRebalance {
            for member in group.members.values_mut() {
                member.assignment = Bytes::new();
            }
            self.propagate_assignment(id, ErrorCode::REBALANCE_IN_PROGRESS, ctx.now());
        }
        if let Some(group) = self.group_mut(id) {
            group.enter(GroupState::PreparingRebalance, ctx);
        }
        self.maybe_complete_join(id, ctx);
    }
}

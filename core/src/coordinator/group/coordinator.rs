//! All groups of one broker: those whose partition of `__consumer_offsets` it leads.
//!
//! Kafka: `GroupCoordinator.scala`, `GroupMetadataManager.scala`. Driven by the broker: requests come in, answers are taken
//! with [`GroupCoordinator::take_answers`], what is to be written with [`GroupCoordinator::take_writes`], and
//! [`GroupCoordinator::written`] says what became of it.
//!
//! Invariants: an answer that a write stands behind is given after the write, never before. What a coordinator that takes
//! over finds in the log is what this one has answered.
//!
//! Not modelled: transactional commits, `group.max.size`; of the coordinator of 4.0 its event loop, that it
//! gathers writes (`group.coordinator.append.linger.ms`), and that it appends whatever the ISR and waits for the high
//! watermark: here a write that too few replicas could take is refused.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::GroupId;

use super::api::{Answer, GroupToken, HeartbeatResult, JoinResult, MemberIdentity, SyncResult, Write};
use super::classic_group::{ClassicGroup, GroupState};
use super::consumer::{ConsumerGroup, ModernProtocol};
use super::member::Member;
use super::offsets::GroupOffsets;
use super::partition_for;
use super::records::GroupRecord;
use crate::config::ServerAssignor;
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
    /// `group.consumer.session.timeout.ms`.
    pub consumer_session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval: Duration,
    /// `group.share.session.timeout.ms`.
    pub share_session_timeout: Duration,
    /// `group.share.heartbeat.interval.ms`.
    pub share_heartbeat_interval: Duration,
    /// Whether a member of a share group that says everything is told everything (toggle `share_assignment_repeated`).
    pub repeats_share_assignment: bool,
    /// `group.consumer.assignors`: at least one, and the first is for groups that want none in particular.
    pub assignors: Vec<ServerAssignor>,
}

/// A group, by the protocol that its members speak. One that only keeps offsets is a classic one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// JoinGroup, SyncGroup: the members divide the partitions.
    Classic(ClassicGroup),
    /// ConsumerGroupHeartbeat: the coordinator divides them (KIP-848). ShareGroupHeartbeat: it lets members share them (KIP-932).
    Consumer(ConsumerGroup),
}

impl Group {
    /// `group.id`.
    pub fn id(&self) -> &GroupId {
        match self {
            Group::Classic(group) => &group.id,
            Group::Consumer(group) => &group.id,
        }
    }

    /// How far it has come.
    pub fn offsets(&self) -> &GroupOffsets {
        match self {
            Group::Classic(group) => &group.offsets,
            Group::Consumer(group) => &group.offsets,
        }
    }

    pub(super) fn offsets_mut(&mut self) -> &mut GroupOffsets {
        match self {
            Group::Classic(group) => &mut group.offsets,
            Group::Consumer(group) => &mut group.offsets,
        }
    }

    /// When it next has something to do by itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self {
            Group::Classic(group) => group.next_deadline(),
            Group::Consumer(group) => group.next_deadline(),
        }
    }
}

/// A partition of the topic that this broker leads.
#[derive(Clone, Debug)]
pub(super) enum Shard {
    /// Its log is being read.
    Loading(LeaderEpoch),
    /// Its groups.
    Active(LeaderEpoch, BTreeMap<GroupId, Group>),
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
    /// What a heartbeat of a member led to; what it is told if that could be written.
    Heartbeat { group: GroupId, token: GroupToken, result: HeartbeatResult },
    /// Nobody waits for it: a group without members, expired offsets, members that are out.
    Housekeeping { group: GroupId },
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
    /// Answers that wait for a write, though they have nothing to be written themselves: they may rest on it.
    pub(super) behind: BTreeMap<u64, Vec<(GroupToken, HeartbeatResult)>>,
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
            behind: BTreeMap::new(),
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
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.shards.values().flat_map(|shard| match shard {
            Shard::Loading(_) => None.into_iter().flatten(),
            Shard::Active(_, groups) => Some(groups.values()).into_iter().flatten(),
        })
    }

    /// White-box: who divides the partitions of a group of the consumer protocol.
    pub fn assignor_of(&self, group: &ConsumerGroup) -> ServerAssignor {
        group.written.preferred_assignor().unwrap_or(self.config.assignors[0])
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
    pub(super) fn groups_of(&self, group: &GroupId) -> Result<&BTreeMap<GroupId, Group>, ErrorCode> {
        match self.shards.get(&self.partition_of(group)) {
            None => Err(ErrorCode::NOT_COORDINATOR),
            Some(Shard::Loading(_)) => Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
            Some(Shard::Active(_, groups)) => Ok(groups),
        }
    }

    pub(super) fn groups_of_mut(&mut self, group: &GroupId) -> Result<&mut BTreeMap<GroupId, Group>, ErrorCode> {
        match self.shards.get_mut(&partition_for(group, self.partitions)) {
            None => Err(ErrorCode::NOT_COORDINATOR),
            Some(Shard::Loading(_)) => Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
            Some(Shard::Active(_, groups)) => Ok(groups),
        }
    }

    /// A classic group that was there a moment ago.
    pub(super) fn group_mut(&mut self, group: &GroupId) -> Option<&mut ClassicGroup> {
        self.classic_group_mut(group).ok()
    }

    /// A group whose members speak the classic protocol: others have no members for whoever speaks it.
    pub(super) fn classic_group_mut(&mut self, group: &GroupId) -> Result<&mut ClassicGroup, ErrorCode> {
        match self.groups_of_mut(group)?.get_mut(group) {
            Some(Group::Classic(group)) => Ok(group),
            Some(Group::Consumer(_)) | None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        }
    }

    /// A group whose members speak the consumer protocol.
    pub(super) fn consumer_group_mut(&mut self, group: &GroupId) -> Result<&mut ConsumerGroup, ErrorCode> {
        match self.groups_of_mut(group)?.get_mut(group) {
            Some(Group::Consumer(group)) => Ok(group),
            Some(Group::Classic(_)) | None => Err(ErrorCode::GROUP_ID_NOT_FOUND),
        }
    }

    /// The same, and they speak this one.
    pub(super) fn modern_group_mut(
        &mut self,
        group: &GroupId,
        protocol: ModernProtocol,
    ) -> Result<&mut ConsumerGroup, ErrorCode> {
        let found = self.consumer_group_mut(group)?;
        if found.protocol == protocol { Ok(found) } else { Err(ErrorCode::GROUP_ID_NOT_FOUND) }
    }

    pub(super) fn partition_of(&self, group: &GroupId) -> i32 {
        partition_for(group, self.partitions)
    }

    /// Whether a member is who it says it is.
    pub(super) fn check_identity(
        group: &ClassicGroup,
        member: &StrBytes,
        instance: Option<&StrBytes>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match group.static_members.get(instance) {
                Some(current) if current != member => return Err(ErrorCode::FENCED_INSTANCE_ID),
                Some(_) => {}
                None => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
            }
        }
        if group.members.contains_key(member) { Ok(()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) }
    }

    /// Whether it is, and in the present generation.
    pub(super) fn check_member(group: &ClassicGroup, member: &MemberIdentity) -> Result<(), ErrorCode> {
        Self::check_identity(group, &member.member_id, member.instance_id.as_ref())?;
        if member.generation == group.generation { Ok(()) } else { Err(ErrorCode::ILLEGAL_GENERATION) }
    }

    /// Returns the number of the write.
    pub(super) fn write(&mut self, group: &GroupId, records: Vec<GroupRecord>, purpose: Purpose) -> u64 {
        let partition = self.partition_of(group);
        let number = self.next_write;
        self.next_write += 1;
        self.under_way.insert(number, (partition, purpose, records.clone()));
        self.writes.push(Write { number, partition, records });
        number
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

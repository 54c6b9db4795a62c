//! Stories of groups, and that a coordinator that takes over finds what the last one answered.

use bytes::Bytes;
use kafka_protocol::messages::GroupId;
use proptest::prelude::*;

use super::classic_group::{ClassicGroup, GroupState};
use super::consumer::Topics;
use super::coordinator::GroupConfig;
use super::*;
use crate::config::ServerAssignor;
use crate::fact::Fact;
use crate::machine::{Context, Effect, Effects};
use crate::metadata::TopicImage;
use crate::protocol::ErrorCode;
use crate::storage::MemoryStorage;
use crate::types::{Duration, Instant, LeaderEpoch, Offset, Prng, StrBytes, Timestamp, TopicPartition};

pub(super) const ORDERS: uuid::Uuid = uuid::Uuid::from_u128(0x0dde);
pub(super) const SESSION: Duration = Duration::from_secs(10);
pub(super) const REBALANCE: Duration = Duration::from_secs(60);

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn group_id() -> GroupId {
    GroupId(text("billing"))
}

pub(super) fn config() -> GroupConfig {
    GroupConfig {
        min_session_timeout: Duration::from_secs(6),
        max_session_timeout: Duration::from_secs(300),
        initial_rebalance_delay: Duration::ZERO,
        offsets_retention: Duration::from_secs(7 * 24 * 3600),
        retention_check_interval: Duration::from_secs(600),
        expire_when_empty: true,
        checks_generation: true,
        expires_syncs: true,
        share_session_timeout: Duration::from_secs(45),
        share_heartbeat_interval: Duration::from_secs(5),
        consumer_session_timeout: Duration::from_secs(45),
        consumer_heartbeat_interval: Duration::from_secs(5),
        repeats_share_assignment: true,
        assignors: vec![ServerAssignor::Uniform, ServerAssignor::Range],
    }
}

/// A coordinator, its clock, and the log of its one partition: writes succeed unless they are told not to.
pub(super) struct Stage {
    /// The group that is acted upon.
    pub group: GroupId,
    pub config: GroupConfig,
    pub coordinator: GroupCoordinator,
    pub now: Instant,
    rng: Prng,
    pub log: Vec<GroupRecord>,
    pub answers: Vec<Answer>,
    pub facts: Vec<Fact>,
    /// The topics that there are.
    pub topics: Topics,
    next_token: u64,
}

impl Stage {
    pub fn new() -> Self {
        Self::configured(config())
    }

    pub fn configured(config: GroupConfig) -> Self {
        let mut stage = Self {
            group: group_id(),
            config,
            coordinator: GroupCoordinator::new(self::config(), 1),
            now: Instant(1_000_000_000),
            rng: Prng::new(7),
            log: Vec::new(),
            answers: Vec::new(),
            facts: Vec::new(),
            topics: Topics::from([(orders().topic, TopicImage { id: ORDERS, partitions: 2 })]),
            next_token: 0,
        };
        stage.take_over();
        stage
    }

    pub fn with<T>(&mut self, act: impl FnOnce(&mut GroupCoordinator, &mut Context<'_>) -> T) -> T {
        let (mut storage, mut effects) = (MemoryStorage::default(), Effects::default());
        let wall_clock = Timestamp((self.now.0 / 1_000_000) as i64);
        let mut ctx = Context::new(self.now, wall_clock, &mut self.rng, &mut storage, &mut effects);
        let result = act(&mut self.coordinator, &mut ctx);
        let fact = |effect| if let Effect::Fact(fact) = effect { Some(fact) } else { None };
        self.facts.extend(effects.said.into_iter().filter_map(|(_, effect)| fact(effect)));
        self.answers.extend(self.coordinator.take_answers());
        result
    }

    /// Everything that is to be written is.
    pub fn write(&mut self) {
        for write in self.coordinator.take_writes() {
            let base = Offset(self.log.len() as i64);
            self.log.extend(write.records);
            self.with(|coordinator, ctx| coordinator.written(write.number, Ok(base), ctx));
        }
    }

    pub fn token(&mut self) -> GroupToken {
        self.next_token += 1;
        GroupToken(self.next_token)
    }

    pub fn wait(&mut self, time: Duration) {
        self.now += time;
        let topics = self.topics.clone();
        self.with(|coordinator, ctx| coordinator.on_deadline(&topics, ctx));
        self.write();
    }

    pub fn join(&mut self, member: &str, instance: Option<&str>) -> GroupToken {
        let request = self.join_request(member, instance);
        self.ask_to_join(&request)
    }

    pub fn ask_to_join(&mut self, request: &JoinRequest) -> GroupToken {
        let token = self.token();
        self.with(|coordinator, ctx| coordinator.join(token, request, ctx));
        token
    }

    pub fn join_request(&self, member: &str, instance: Option<&str>) -> JoinRequest {
        JoinRequest {
            group: self.group.clone(),
            member_id: text(member),
            instance_id: instance.map(text),
            require_known_member_id: false,
            client_id: text("c"),
            client_host: text("/c"),
            rebalance_timeout: REBALANCE,
            session_timeout: SESSION,
            protocol_type: text("consumer"),
            protocols: vec![(text("range"), Bytes::from_static(b"orders"))],
        }
    }

    pub fn joined(&self, token: GroupToken) -> Option<JoinResult> {
        self.answers.iter().find_map(|answer| match answer {
            Answer::Join(to, result) if *to == token => Some(result.clone()),
            Answer::Join(..) | Answer::Sync(..) | Answer::Commit(..) | Answer::Heartbeat(..) => None,
        })
    }

    pub fn identity(&self, member: &str, generation: i32) -> MemberIdentity {
        MemberIdentity { group: self.group.clone(), member_id: text(member), instance_id: None, generation }
    }

    pub fn sync(&mut self, member: &str, generation: i32, assignments: &[(&str, &'static str)]) -> GroupToken {
        let token = self.token();
        let assignments =
            assignments.iter().map(|(id, given)| (text(id), Bytes::from_static(given.as_bytes()))).collect();
        let member = self.identity(member, generation);
        let request = SyncRequest { member, protocol_type: None, protocol: None, assignments };
        self.with(|coordinator, ctx| coordinator.sync(token, request, ctx));
        token
    }

    pub fn synced(&self, token: GroupToken) -> Option<SyncResult> {
        self.answers.iter().find_map(|answer| match answer {
            Answer::Sync(to, result) if *to == token => Some(result.clone()),
            Answer::Join(..) | Answer::Sync(..) | Answer::Commit(..) | Answer::Heartbeat(..) => None,
        })
    }

    pub fn commit(&mut self, member: &str, generation: i32, offset: i64) -> GroupToken {
        let token = self.token();
        let committed = CommittedOffset {
            offset: Offset(offset),
            leader_epoch: LeaderEpoch::NONE,
            metadata: StrBytes::default(),
            commit_timestamp: Timestamp((self.now.0 / 1_000_000) as i64),
        };
        let member = self.identity(member, generation);
        let request = CommitRequest { member, offsets: vec![(orders(), committed)] };
        self.with(|coordinator, ctx| coordinator.commit(token, request, ctx));
        token
    }

    pub fn commit_answer(&self, token: GroupToken) -> Option<ErrorCode> {
        self.answers.iter().find_map(|answer| match answer {
            Answer::Commit(to, error) if *to == token => Some(*error),
            Answer::Join(..) | Answer::Sync(..) | Answer::Commit(..) | Answer::Heartbeat(..) => None,
        })
    }

    pub fn heartbeat(&mut self, member: &str, generation: i32) -> ErrorCode {
        let identity = self.identity(member, generation);
        self.with(|coordinator, ctx| coordinator.heartbeat(&identity, ctx))
    }

    pub fn committed(&self) -> Option<i64> {
        self.coordinator.committed(&group_id(), &orders()).expect("it coordinates").map(|c| c.offset.0)
    }

    pub fn classic_groups(&self) -> impl Iterator<Item = &ClassicGroup> {
        self.coordinator.groups().filter_map(|group| match group {
            Group::Classic(group) => Some(group),
            Group::Consumer(_) => None,
        })
    }

    pub fn state(&self) -> (GroupState, i32, usize) {
        let group = self.classic_groups().next().expect("there is one group");
        (group.state, group.generation, group.members.len())
    }

    /// Another broker takes over: it has nothing but the log.
    pub fn take_over(&mut self) {
        self.coordinator = GroupCoordinator::new(self.config.clone(), 1);
        assert!(self.coordinator.elected(0, LeaderEpoch(1)));
        let log = self.log.clone();
        let numbered: Vec<(Offset, GroupRecord)> = (0..).map(Offset).zip(log).collect();
        self.with(|coordinator, ctx| coordinator.loaded(0, numbered, ctx));
    }

    /// Two members, stable: their ids, the leader first.
    pub fn two_members(&mut self) -> (String, String) {
        let first = self.join("", None);
        self.wait(Duration::ZERO);
        let first = self.joined(first).expect("a new group begins at once without a delay").member_id.to_string();
        let second = self.join("", None);
        let again = self.join(&first, None);
        let second = self.joined(second).expect("all have joined").member_id.to_string();
        assert_eq!(self.joined(again).expect("all have joined").members.len(), 2);
        let (_, generation, _) = self.state();
        self.sync(&second, generation, &[]);
        self.sync(&first, generation, &[(&first, "0"), (&second, "1")]);
        self.write();
        assert_eq!(self.state(), (GroupState::Stable, generation, 2));
        (first, second)
    }
}

pub(super) fn orders() -> TopicPartition {
    TopicPartition::of("orders", 0)
}

#[test]
fn a_group_lives_where_java_says() {
    for (group, partition) in [("test", 48), ("tedu", 34)] {
        assert_eq!(partition_for(&GroupId(text(group)), 50), partition, "{group}");
    }
}

#[test]
fn an_assignment_is_answered_when_it_is_written() {
    let mut stage = Stage::new();
    let join = stage.join("", None);
    stage.wait(Duration::ZERO);
    let member = stage.joined(join).expect("it is alone").member_id.to_string();
    let sync = stage.sync(&member, 1, &[(&member, "0")]);
    assert_eq!(stage.synced(sync), None);
    stage.write();
    let result = stage.synced(sync).expect("it is written");
    assert_eq!((result.error, &result.assignment[..]), (ErrorCode::NONE, &b"0"[..]));
}

#[test]
fn a_commit_counts_when_it_is_written_and_the_last_one_wins() {
    let mut stage = Stage::new();
    let (first, _) = stage.two_members();
    let commit = stage.commit(&first, 2, 200);
    assert_eq!((stage.commit_answer(commit), stage.committed()), (None, None));
    stage.write();
    assert_eq!((stage.commit_answer(commit), stage.committed()), (Some(ErrorCode::NONE), Some(200)));
    stage.commit(&first, 2, 100);
    stage.write();
    assert_eq!(stage.committed(), Some(100));
}

#[test]
fn a_member_of_an_old_generation_is_fenced() {
    let mut stage = Stage::new();
    let (first, second) = stage.two_members();
    let late = stage.commit(&second, 1, 50);
    assert_eq!(stage.commit_answer(late), Some(ErrorCode::ILLEGAL_GENERATION));
    assert_eq!(stage.heartbeat(&second, 1), ErrorCode::ILLEGAL_GENERATION);
    // The second one goes silent; the first one stays.
    for _ in 0..3 {
        stage.wait(Duration::from_secs(4));
        stage.heartbeat(&first, 2);
    }
    let zombie = stage.commit(&second, 2, 50);
    assert_eq!(stage.commit_answer(zombie), Some(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(stage.heartbeat(&first, 2), ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(stage.committed(), None);
}

#[test]
fn without_the_check_of_the_generation_anybody_commits() {
    let mut stage = Stage::new();
    let (_, second) = stage.two_members();
    stage.coordinator.config.checks_generation = false;
    stage.commit(&second, 1, 50);
    stage.write();
    assert_eq!(stage.committed(), Some(50));
}

#[test]
fn a_rebalance_waits_for_members_as_long_as_they_may_take_and_no_longer() {
    let mut stage = Stage::new();
    let (first, second) = stage.two_members();
    let third = stage.join("", None);
    let back = stage.join(&first, None);
    for _ in 0..14 {
        stage.wait(Duration::from_secs(4));
        assert_eq!(stage.heartbeat(&second, 2), ErrorCode::REBALANCE_IN_PROGRESS);
    }
    assert_eq!(stage.joined(third), None);
    stage.wait(Duration::from_secs(4));
    assert_eq!(stage.joined(back).expect("time is up").members.len(), 2);
    assert_eq!(stage.state(), (GroupState::CompletingRebalance, 3, 2));
    assert_eq!(stage.heartbeat(&second, 2), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn whoever_does_not_sync_is_out() {
    let mut stage = Stage::new();
    let (first, second) = stage.two_members();
    let (third, _) = (stage.join("", None), stage.join(&first, None));
    stage.join(&second, None);
    let third = stage.joined(third).expect("all have joined").member_id.to_string();
    stage.sync(&first, 3, &[]);
    stage.sync(&second, 3, &[]);
    stage.write();
    assert_eq!(stage.state(), (GroupState::Stable, 3, 3));
    for _ in 0..15 {
        stage.wait(Duration::from_secs(4));
        for member in [&first, &second, &third] {
            stage.heartbeat(member, 3);
        }
    }
    assert_eq!(stage.state(), (GroupState::PreparingRebalance, 3, 2));
}

#[test]
fn a_static_member_comes_back_without_a_rebalance_and_fences_its_former_self() {
    let mut stage = Stage::new();
    let join = stage.join("", Some("i1"));
    stage.wait(Duration::ZERO);
    let old = stage.joined(join).expect("it is alone").member_id.to_string();
    stage.sync(&old, 1, &[(&old, "0")]);
    stage.write();
    let again = stage.join("", Some("i1"));
    assert_eq!(stage.joined(again), None, "the new id is not written yet");
    stage.write();
    let result = stage.joined(again).expect("it is written");
    assert_eq!((result.error, result.generation, result.skip_assignment), (ErrorCode::NONE, 1, true));
    let mut zombie = stage.identity(&old, 1);
    zombie.instance_id = Some(text("i1"));
    let error = stage.with(|coordinator, ctx| coordinator.heartbeat(&zombie, ctx));
    assert_eq!(error, ErrorCode::FENCED_INSTANCE_ID);
    assert_eq!(stage.state(), (GroupState::Stable, 1, 1));
}

#[test]
fn a_coordinator_that_takes_over_knows_members_and_offsets() {
    let mut stage = Stage::new();
    let (first, second) = stage.two_members();
    stage.commit(&first, 2, 70);
    stage.write();
    stage.take_over();
    assert_eq!((stage.state(), stage.committed()), ((GroupState::Stable, 2, 2), Some(70)));
    assert_eq!(stage.heartbeat(&second, 2), ErrorCode::NONE);
    let sync = stage.sync(&second, 2, &[]);
    assert_eq!(stage.synced(sync).expect("it is stable").assignment, "1");
}

#[test]
fn offsets_expire_from_when_the_group_is_empty() {
    let mut stage = Stage::new();
    let (first, second) = stage.two_members();
    stage.commit(&first, 2, 70);
    stage.write();
    for member in [&first, &second] {
        let identity = stage.identity(member, 2);
        stage.with(|coordinator, ctx| coordinator.leave(&identity, ctx));
    }
    stage.write();
    assert_eq!(stage.state().0, GroupState::Empty);
    stage.wait(Duration::from_secs(6 * 24 * 3600));
    assert_eq!(stage.committed(), Some(70));
    stage.wait(Duration::from_secs(24 * 3600));
    assert_eq!(stage.committed(), None);
    let log = stage.log.clone();
    assert!(log.iter().any(|record| matches!(record, GroupRecord::OffsetCommit { committed: None, .. })));
}

#[test]
fn a_coordinator_that_is_not_sends_away() {
    let mut stage = Stage::new();
    let (first, _) = stage.two_members();
    let waiting = stage.join("", None);
    stage.with(|coordinator, _| coordinator.resigned(0));
    assert_eq!(stage.joined(waiting).expect("it is sent away").error, ErrorCode::NOT_COORDINATOR);
    assert_eq!(stage.heartbeat(&first, 2), ErrorCode::NOT_COORDINATOR);
}

#[derive(Clone, Debug)]
enum Act {
    Join(usize),
    JoinNew,
    Sync(usize),
    Heartbeat(usize),
    Leave(usize),
    Commit(usize, i64),
    Write,
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..4usize).prop_map(Act::Join),
        2 => Just(Act::JoinNew),
        4 => (0..4usize).prop_map(Act::Sync),
        2 => (0..4usize).prop_map(Act::Heartbeat),
        1 => (0..4usize).prop_map(Act::Leave),
        3 => (0..4usize, 0..100i64).prop_map(|(member, offset)| Act::Commit(member, offset)),
        4 => Just(Act::Write),
        2 => (0..30u64).prop_map(Act::Wait),
    ]
}

fn perform(stage: &mut Stage, act: &Act) {
    let members: Vec<String> =
        stage.classic_groups().flat_map(|group| group.members.keys().map(ToString::to_string)).collect();
    let generation = stage.classic_groups().next().map_or(0, |group| group.generation);
    let pick = |index: usize| members.get(index % members.len().max(1)).cloned();
    match act {
        Act::JoinNew => {
            stage.join("", None);
        }
        Act::Join(member) => {
            if let Some(member) = pick(*member) {
                stage.join(&member, None);
            }
        }
        Act::Sync(member) => {
            if let Some(member) = pick(*member) {
                stage.sync(&member, generation, &[(&member, "all")]);
            }
        }
        Act::Heartbeat(member) => {
            if let Some(member) = pick(*member) {
                stage.heartbeat(&member, generation);
            }
        }
        Act::Leave(member) => {
            if let Some(member) = pick(*member) {
                let identity = stage.identity(&member, generation);
                stage.with(|coordinator, ctx| coordinator.leave(&identity, ctx));
            }
        }
        Act::Commit(member, offset) => {
            if let Some(member) = pick(*member) {
                stage.commit(&member, generation, *offset);
            }
        }
        Act::Write => stage.write(),
        Act::Wait(seconds) => stage.wait(Duration::from_secs(*seconds)),
    }
}

proptest! {
    /// Nobody waits for ever: with time, every join and sync is answered.
    #[test]
    fn every_request_is_answered_in_the_end(acts in proptest::collection::vec(act(), 0..40)) {
        let mut stage = Stage::new();
        for act in &acts {
            perform(&mut stage, act);
        }
        for _ in 0..200 {
            stage.wait(Duration::from_secs(5));
        }
        let waiting = stage.classic_groups().flat_map(|group| group.members.values())
            .filter(|member| member.awaiting_join.is_some() || member.awaiting_sync.is_some()).count();
        prop_assert_eq!((waiting, stage.coordinator.writing()), (0, 0));
    }

    /// Hostile bytes are an error, and what was written is read.
    #[test]
    fn no_bytes_panic(key in proptest::collection::vec(any::<u8>(), 0..60), value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = GroupRecord::parse(Some(key.into()), Some(value.into()));
    }
}

#[test]
fn records_survive_the_log() {
    let mut stage = Stage::new();
    let (first, _) = stage.two_members();
    stage.commit(&first, 2, 70);
    stage.write();
    let tombstones = [
        GroupRecord::OffsetCommit { group: group_id(), partition: orders(), committed: None },
        GroupRecord::Group { group: group_id(), metadata: None },
    ];
    for record in stage.log.iter().chain(&tombstones) {
        let (key, value) = record.to_key_value(true);
        assert_eq!(GroupRecord::parse(Some(key), value).as_ref(), Ok(record));
    }
}

//! Stories of groups of the consumer protocol.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::coordinator::group::records::GroupRecord;
use crate::coordinator::group::tests::{ORDERS, Stage, group_id, text};
use crate::coordinator::group::{Answer, Group, GroupToken, HeartbeatRequest, HeartbeatResult};
use crate::protocol::ErrorCode;
use crate::types::{Duration, Offset, StrBytes, TopicPartition};

/// What a member does that follows the protocol: its id, its epoch, and what it has.
#[derive(Clone, Debug, Default)]
pub(super) struct Follower {
    pub id: StrBytes,
    pub epoch: i32,
    pub instance: Option<&'static str>,
    pub owned: BTreeSet<i32>,
    /// What it has been told to have.
    pub told: BTreeSet<i32>,
    /// It has not heard an answer, and says everything again.
    pub says_all: bool,
}

pub(super) fn orders(indexes: &BTreeSet<i32>) -> Partitions {
    if indexes.is_empty() { Partitions::new() } else { BTreeMap::from([(ORDERS, indexes.clone())]) }
}

impl Follower {
    /// One that has just started.
    pub fn new(name: &str) -> Self {
        Follower { id: text(name), ..Follower::default() }
    }

    pub fn request(&self) -> HeartbeatRequest {
        let says_all = self.epoch == JOIN_GROUP_EPOCH || self.says_all;
        HeartbeatRequest {
            protocol: ModernProtocol::Consumer,
            group: group_id(),
            member_id: self.id.clone(),
            epoch: self.epoch,
            instance_id: self.instance.map(text),
            rebalance_timeout_ms: says_all.then_some(60_000),
            topics: says_all.then(|| vec![TopicPartition::of("orders", 0).topic]),
            assignor: None,
            // One that is on its way to more says nothing: it may have it at any moment.
            owned: (says_all || self.told == self.owned).then(|| orders(&self.owned)),
            client_id: text("c"),
            client_host: text("/c"),
        }
    }

    pub fn hear(&mut self, result: &HeartbeatResult) {
        match result.error {
            ErrorCode::NONE => {
                (self.id, self.epoch, self.says_all) = (result.member_id.clone(), result.epoch, false);
                if let Some(assignment) = &result.assignment {
                    self.told = assignment.get(&ORDERS).cloned().unwrap_or_default();
                    // What it must not have it gives up at once; what is new it gets with the next step.
                    self.owned = self.owned.intersection(&self.told).copied().collect();
                }
            }
            ErrorCode::FENCED_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID => {
                *self = Follower { id: self.id.clone(), instance: self.instance, ..Follower::default() };
            }
            _ => self.hears_nothing(),
        }
    }

    /// It takes over nothing that it has not taken over yet, and asks again.
    pub fn hears_nothing(&mut self) {
        self.told = self.owned.clone();
        self.says_all = true;
    }
}

/// Asks; the answer comes when everything is written.
pub(super) fn ask(stage: &mut Stage, request: HeartbeatRequest) -> GroupToken {
    let (token, topics) = (stage.token(), stage.topics.clone());
    stage.with(|coordinator, ctx| coordinator.consumer_heartbeat(token, request, &topics, ctx));
    token
}

pub(super) fn answer(stage: &Stage, token: GroupToken) -> Option<HeartbeatResult> {
    stage.answers.iter().find_map(|answer| match answer {
        Answer::Heartbeat(to, result) if *to == token => Some(result.clone()),
        Answer::Heartbeat(..) | Answer::Join(..) | Answer::Sync(..) | Answer::Commit(..) => None,
    })
}

/// One heartbeat, written and answered.
pub(super) fn beat(stage: &mut Stage, member: &mut Follower) -> ErrorCode {
    let token = ask(stage, member.request());
    stage.write();
    let result = answer(stage, token).expect("it is written");
    member.hear(&result);
    member.owned = member.told.clone();
    result.error
}

pub(super) fn group(stage: &Stage) -> Option<&ConsumerGroup> {
    stage.coordinator.groups().find_map(|group| match group {
        Group::Consumer(group) if group.id == stage.group => Some(group),
        Group::Consumer(_) | Group::Classic(_) => None,
    })
}

pub(super) fn state(stage: &Stage) -> (&'static str, i32) {
    group(stage).map_or(("gone", 0), |group| (group.written.name(), group.written.epoch))
}

/// Two members that share two partitions.
pub(super) fn two(stage: &mut Stage) -> (Follower, Follower) {
    let (mut first, mut second) = (Follower::new("a"), Follower::new("b"));
    beat(stage, &mut first);
    assert_eq!((first.epoch, &first.told), (1, &BTreeSet::from([0, 1])));
    beat(stage, &mut second);
    assert_eq!((second.epoch, &second.told), (2, &BTreeSet::new()), "the first one has everything");
    assert_eq!(state(stage), ("Reconciling", 2));
    beat(stage, &mut first);
    assert_eq!((first.epoch, &first.told), (1, &BTreeSet::from([0])), "it has to give up one, and stays in its epoch");
    beat(stage, &mut second);
    assert_eq!(second.told, BTreeSet::new(), "nobody has said that it is given up");
    beat(stage, &mut first);
    assert_eq!(first.epoch, 2);
    beat(stage, &mut second);
    assert_eq!(second.told, BTreeSet::from([1]));
    assert_eq!(state(stage), ("Stable", 2));
    (first, second)
}

#[test]
fn a_partition_changes_hands_when_its_owner_has_given_it_up() {
    two(&mut Stage::new());
}

#[test]
fn a_heartbeat_is_answered_when_it_is_written_and_so_is_one_that_rests_on_it() {
    let mut stage = Stage::new();
    let (mut first, second) = (Follower::new("a"), Follower::new("b"));
    beat(&mut stage, &mut first);
    let joins = ask(&mut stage, second.request());
    let stays = ask(&mut stage, HeartbeatRequest { owned: None, ..first.request() });
    assert_eq!((answer(&stage, joins), answer(&stage, stays)), (None, None));
    assert_eq!(state(&stage), ("Stable", 1), "as far as is written");
    stage.write();
    assert!(answer(&stage, joins).is_some() && answer(&stage, stays).is_some());
    // The second one waits, and is in epoch 2 for good. Then nothing is under way any more, and nothing is to be written.
    for expected in [None, Some(ErrorCode::NONE)] {
        let request = HeartbeatRequest { owned: None, epoch: 2, member_id: text("b"), ..first.request() };
        let quiet = ask(&mut stage, request);
        assert_eq!(answer(&stage, quiet).map(|result| result.error), expected);
        stage.write();
    }
}

#[test]
fn a_member_that_is_silent_is_out_and_the_others_get_what_it_had() {
    let mut stage = Stage::new();
    let (mut first, mut second) = two(&mut stage);
    for _ in 0..10 {
        stage.wait(Duration::from_secs(5));
        beat(&mut stage, &mut first);
    }
    assert_eq!((first.told.clone(), first.epoch), (BTreeSet::from([0, 1]), 3));
    let commit = stage.commit("b", 2, 50);
    assert!(stage.answers.contains(&Answer::Commit(commit, ErrorCode::UNKNOWN_MEMBER_ID)));
    assert_eq!(beat(&mut stage, &mut second), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(beat(&mut stage, &mut second), ErrorCode::NONE, "it begins anew");
}

#[test]
fn a_member_that_does_not_give_up_is_out_after_its_rebalance_timeout() {
    let mut stage = Stage::new();
    let (mut first, mut second) = (Follower::new("a"), Follower::new("b"));
    beat(&mut stage, &mut first);
    beat(&mut stage, &mut second);
    // It is alive, and says that it has everything still.
    let mut stuck = first.request();
    stuck.owned = None;
    for _ in 0..14 {
        let heard = ask(&mut stage, stuck.clone());
        stage.write();
        assert_eq!(answer(&stage, heard).map(|result| (result.error, result.epoch)), Some((ErrorCode::NONE, 1)));
        stage.wait(Duration::from_secs(4));
        beat(&mut stage, &mut second);
        assert_eq!(second.told, BTreeSet::new());
    }
    stage.wait(Duration::from_secs(4));
    stage.wait(Duration::from_secs(1));
    beat(&mut stage, &mut second);
    assert_eq!(second.told, BTreeSet::from([0, 1]));
    assert_eq!(beat(&mut stage, &mut first), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_lost_answer_is_given_again_but_nobody_goes_back_further() {
    let mut stage = Stage::new();
    let (mut first, mut second) = two(&mut stage);
    let third = ask(&mut stage, Follower::new("c").request());
    stage.write();
    assert!(answer(&stage, third).is_some());
    // The second one goes on to epoch 3 and does not hear of it.
    let before = second.clone();
    beat(&mut stage, &mut second);
    let again = ask(&mut stage, before.request());
    stage.write();
    assert_eq!(answer(&stage, again).map(|result| (result.error, result.epoch)), Some((ErrorCode::NONE, 3)));
    let older = Follower { epoch: 1, ..before.clone() };
    let newer = Follower { epoch: 9, ..before };
    for wrong in [older, newer] {
        let token = ask(&mut stage, wrong.request());
        assert_eq!(answer(&stage, token).map(|result| result.error), Some(ErrorCode::FENCED_MEMBER_EPOCH));
    }
    beat(&mut stage, &mut first);
}

#[test]
fn a_commit_must_come_with_the_epoch_that_the_member_is_in() {
    let mut stage = Stage::new();
    let (_, second) = two(&mut stage);
    for (member, epoch, expected) in [
        ("b", 1, ErrorCode::STALE_MEMBER_EPOCH),
        ("b", 3, ErrorCode::STALE_MEMBER_EPOCH),
        ("z", 2, ErrorCode::UNKNOWN_MEMBER_ID),
        ("", -1, ErrorCode::UNKNOWN_MEMBER_ID),
        ("b", 2, ErrorCode::NONE),
    ] {
        let commit = stage.commit(member, epoch, 50);
        stage.write();
        assert!(stage.answers.contains(&Answer::Commit(commit, expected)), "{member} in {epoch}");
    }
    let asks = |epoch| stage.coordinator.may_fetch_offsets(&stage.group, Some((&second.id, epoch)));
    assert_eq!((asks(2), asks(1)), (Ok(()), Err(ErrorCode::STALE_MEMBER_EPOCH)));
}

#[test]
fn a_static_member_comes_back_to_what_it_had_if_it_said_good_bye() {
    let mut stage = Stage::new();
    let mut old = Follower { instance: Some("i1"), ..Follower::new("a") };
    let mut other = Follower::new("b");
    beat(&mut stage, &mut old);
    beat(&mut stage, &mut other);
    beat(&mut stage, &mut old);
    beat(&mut stage, &mut old);
    beat(&mut stage, &mut other);
    let mut new = Follower { instance: Some("i1"), ..Follower::new("c") };
    assert_eq!(beat(&mut stage, &mut new), ErrorCode::UNRELEASED_INSTANCE_ID);
    let away = ask(&mut stage, HeartbeatRequest { epoch: LEAVE_GROUP_STATIC_EPOCH, ..old.request() });
    stage.write();
    assert_eq!(answer(&stage, away).map(|result| (result.error, result.epoch)), Some((ErrorCode::NONE, -2)));
    let mut new = Follower { instance: Some("i1"), ..Follower::new("c") };
    assert_eq!(beat(&mut stage, &mut new), ErrorCode::NONE);
    assert_eq!((new.epoch, new.told.clone()), (2, BTreeSet::from([0])), "nobody else notices");
    assert_eq!(beat(&mut stage, &mut other), ErrorCode::NONE);
    assert_eq!(other.told, BTreeSet::from([1]));
    assert_eq!(beat(&mut stage, &mut old), ErrorCode::FENCED_INSTANCE_ID);
}

#[test]
fn who_leaves_is_out_at_once() {
    let mut stage = Stage::new();
    let (mut first, second) = two(&mut stage);
    let goes = ask(&mut stage, HeartbeatRequest { epoch: LEAVE_GROUP_EPOCH, ..second.request() });
    stage.write();
    assert_eq!(answer(&stage, goes).map(|result| result.error), Some(ErrorCode::NONE));
    assert_eq!(state(&stage), ("Assigning", 3));
    beat(&mut stage, &mut first);
    assert_eq!(first.told, BTreeSet::from([0, 1]));
}

#[test]
fn what_cannot_be_written_has_not_been_decided() {
    let mut stage = Stage::new();
    let (_, second) = two(&mut stage);
    let before = group(&stage).map(|group| group.state.clone());
    let third = ask(&mut stage, Follower::new("c").request());
    let quiet = ask(&mut stage, HeartbeatRequest { epoch: LEAVE_GROUP_EPOCH, ..second.request() });
    for write in stage.coordinator.take_writes() {
        let refused = Err(ErrorCode::NOT_ENOUGH_REPLICAS);
        stage.with(|coordinator, ctx| coordinator.written(write.number, refused, ctx));
    }
    for token in [third, quiet] {
        assert_eq!(answer(&stage, token).map(|result| result.error), Some(ErrorCode::COORDINATOR_NOT_AVAILABLE));
    }
    assert_eq!(group(&stage).map(|group| group.state.clone()), before);
}

#[test]
fn more_partitions_are_shared_with_the_next_heartbeat() {
    let mut stage = Stage::new();
    let (mut first, mut second) = two(&mut stage);
    stage.topics.values_mut().for_each(|topic| topic.partitions = 4);
    beat(&mut stage, &mut second);
    beat(&mut stage, &mut first);
    assert_eq!((first.told.len(), second.told.len(), state(&stage)), (2, 2, ("Stable", 3)));
}

#[test]
fn a_group_changes_its_protocol_while_it_is_empty() {
    let mut stage = Stage::new();
    let mut first = Follower::new("a");
    stage.commit("", -1, 70);
    stage.write();
    beat(&mut stage, &mut first);
    stage.commit("a", 1, 80);
    stage.write();
    let refused = stage.join("", None);
    let refusal = |answer: &Answer| matches!(answer, Answer::Join(to, result) if *to == refused && result.error == ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    assert!(stage.answers.iter().any(refusal));
    ask(&mut stage, HeartbeatRequest { epoch: LEAVE_GROUP_EPOCH, ..first.request() });
    stage.write();
    stage.join("", None);
    stage.wait(Duration::ZERO);
    assert_eq!(stage.classic_groups().map(|group| group.members.len()).sum::<usize>(), 1);
    let mut late = Follower::new("a");
    assert_eq!(beat(&mut stage, &mut late), ErrorCode::GROUP_ID_NOT_FOUND);
    for _ in 0..3 {
        stage.take_over();
        let committed = stage.coordinator.committed(&stage.group, &TopicPartition::of("orders", 0));
        assert_eq!(committed.map(|committed| committed.map(|c| c.offset)), Ok(Some(Offset(80))));
        assert!(group(&stage).is_none());
    }
}

#[test]
fn a_group_without_members_goes_with_its_last_offset() {
    let mut stage = Stage::new();
    let mut first = Follower::new("a");
    beat(&mut stage, &mut first);
    stage.commit("a", 1, 80);
    ask(&mut stage, HeartbeatRequest { epoch: LEAVE_GROUP_EPOCH, ..first.request() });
    stage.write();
    assert_eq!(state(&stage), ("Empty", 2));
    stage.wait(Duration::from_secs(8 * 24 * 3600));
    assert_eq!(stage.coordinator.groups().count(), 0);
    stage.take_over();
    assert_eq!(stage.coordinator.groups().count(), 0);
}

#[test]
fn records_survive_the_log() {
    let mut stage = Stage::new();
    let (first, _) = two(&mut stage);
    ask(&mut stage, HeartbeatRequest { epoch: LEAVE_GROUP_EPOCH, ..first.request() });
    let mut with_all = Follower { instance: Some("i1"), ..Follower::new("c") }.request();
    with_all.assignor = Some(text("range"));
    ask(&mut stage, with_all);
    stage.write();
    assert!(stage.log.len() > 20);
    for record in &stage.log {
        let (key, value) = record.to_key_value(true);
        assert_eq!(GroupRecord::parse(Some(key), value).as_ref(), Ok(record));
    }
}

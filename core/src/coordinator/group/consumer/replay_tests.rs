//! Replay equivalence of groups of the consumer protocol, and that a partition has one owner, whatever members, brokers and
//! networks do.
//!
//! The members are a model of their own: they believe what they are told, and use what they are told to use, until they
//! hear that it is over. Answers get lost, writes fail, coordinators move.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tests::{Follower, answer, ask, group, orders};
use super::*;
use crate::coordinator::group::tests::Stage;
use crate::coordinator::group::{GroupRecord, HeartbeatRequest};
use crate::protocol::ErrorCode;
use crate::types::Duration;

#[derive(Clone, Debug)]
enum Act {
    /// A member sends a heartbeat and hears the answer.
    Beat(usize),
    /// It does not hear the answer.
    Deaf(usize),
    /// It has taken over what it was told to have.
    TakeOver(usize),
    Leave(usize),
    /// A static member leaves for a while.
    Rest(usize),
    /// A process starts anew in its place.
    Restart(usize),
    Commit(usize, i64),
    /// What is to be written is not.
    Fail,
    /// It is, and the coordinator hears that time was up.
    Lose,
    Grow,
    Wait(u64),
    /// Another broker takes over.
    Move,
}

fn act() -> impl Strategy<Value = Act> {
    let member = 0..4usize;
    prop_oneof![
        10 => member.clone().prop_map(Act::Beat),
        2 => member.clone().prop_map(Act::Deaf),
        6 => member.clone().prop_map(Act::TakeOver),
        1 => member.clone().prop_map(Act::Leave),
        1 => member.clone().prop_map(Act::Rest),
        1 => member.clone().prop_map(Act::Restart),
        3 => (member, 0..100i64).prop_map(|(member, offset)| Act::Commit(member, offset)),
        1 => Just(Act::Fail),
        1 => Just(Act::Lose),
        1 => Just(Act::Grow),
        3 => (0..30u64).prop_map(Act::Wait),
        1 => Just(Act::Move),
    ]
}

struct Play {
    stage: Stage,
    members: Vec<Follower>,
    starts: u32,
}

impl Play {
    fn new() -> Self {
        let mut play = Play { stage: Stage::new(), members: Vec::new(), starts: 0 };
        for index in 0..4 {
            let started = play.start(index);
            play.members.push(started);
        }
        play
    }

    /// The first two are static members.
    fn start(&mut self, index: usize) -> Follower {
        self.starts += 1;
        let instance = [Some("i1"), Some("i2"), None, None][index];
        Follower { instance, ..Follower::new(&format!("m{index}-{}", self.starts)) }
    }

    fn perform(&mut self, act: &Act) {
        match act {
            Act::Beat(index) => {
                let token = ask(&mut self.stage, self.members[*index].request());
                self.stage.write();
                let result = answer(&self.stage, token).expect("everything is written");
                self.members[*index].hear(&result);
            }
            Act::Deaf(index) => {
                ask(&mut self.stage, self.members[*index].request());
                self.stage.write();
                self.members[*index].hears_nothing();
            }
            Act::TakeOver(index) => {
                let member = &mut self.members[*index];
                member.owned = member.told.clone();
            }
            Act::Leave(index) => self.go(*index, LEAVE_GROUP_EPOCH),
            Act::Rest(index) if self.members[*index].instance.is_some() => self.go(*index, LEAVE_GROUP_STATIC_EPOCH),
            Act::Rest(_) => {}
            Act::Restart(index) => self.members[*index] = self.start(*index),
            Act::Commit(index, offset) => {
                let Follower { id, epoch, .. } = self.members[*index].clone();
                self.stage.commit(&id, epoch, *offset);
                self.stage.write();
            }
            Act::Fail => self.answer_writes(ErrorCode::NOT_ENOUGH_REPLICAS),
            Act::Lose => self.answer_writes(ErrorCode::REQUEST_TIMED_OUT),
            Act::Grow => {
                self.stage.topics.values_mut().for_each(|topic| topic.partitions = (topic.partitions + 1).min(6));
            }
            Act::Wait(seconds) => self.stage.wait(Duration::from_secs(*seconds)),
            Act::Move => self.stage.take_over(),
        }
    }

    fn go(&mut self, index: usize, epoch: i32) {
        let request = HeartbeatRequest { epoch, ..self.members[index].request() };
        ask(&mut self.stage, request);
        self.stage.write();
        self.members[index] = self.start(index);
    }

    /// A heartbeat of everybody meets a log that does not take it.
    fn answer_writes(&mut self, error: ErrorCode) {
        let tokens: Vec<_> = (0..4).map(|index| ask(&mut self.stage, self.members[index].request())).collect();
        for write in self.stage.coordinator.take_writes() {
            if error == ErrorCode::REQUEST_TIMED_OUT {
                self.stage.log.extend(write.records);
            }
            self.stage.with(|coordinator, ctx| coordinator.written(write.number, Err(error), ctx));
        }
        for (index, token) in (0..4).zip(tokens) {
            let result = answer(&self.stage, token).expect("everything is answered");
            self.members[index].hear(&result);
        }
    }

    /// Of the members that their coordinator counts on, no two have the same.
    fn owners_are_one(&self) -> Result<(), TestCaseError> {
        let Some(group) = group(&self.stage) else { return Ok(()) };
        let current = |member: &&Follower| group.written.members.contains_key(&member.id);
        let members: Vec<&Follower> = self.members.iter().filter(current).collect();
        for (index, one) in members.iter().enumerate() {
            for other in &members[..index] {
                prop_assert!(one.owned.is_disjoint(&other.owned), "{:?} and {:?}", one, other);
            }
            let known = &group.written.members[&one.id].current;
            let holds = |index: &i32| {
                let one = orders(&BTreeSet::from([*index]));
                overlap(&one, &known.assigned) || overlap(&one, &known.pending_revocation)
            };
            prop_assert!(one.owned.iter().all(holds), "{:?} has more than {:?}", one, known);
        }
        Ok(())
    }
}

/// The group that the records of a log add up to.
fn said_by(log: &[GroupRecord]) -> ConsumerGroupState {
    let mut said = ConsumerGroupState::default();
    for record in log {
        if let GroupRecord::Consumer { record, .. } = record {
            said.replay(record);
        }
    }
    said
}

fn in_memory(stage: &Stage) -> ConsumerGroupState {
    group(stage).map(|group| group.written.clone()).unwrap_or_default()
}

/// Only the last record of each key, as after compaction.
fn compacted(log: &[GroupRecord]) -> Vec<GroupRecord> {
    let key = |record: &GroupRecord| record.to_key_value(true).0;
    let is_last = |at: usize| log[at + 1..].iter().all(|later| key(later) != key(&log[at]));
    (0..log.len()).filter(|at| is_last(*at)).map(|at| log[at].clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// ReplayEquivalence, NoDoubleClientAssignment.
    #[test]
    fn the_next_coordinator_finds_what_was_answered(acts in proptest::collection::vec(act(), 0..80)) {
        let mut play = Play::new();
        for act in &acts {
            play.perform(act);
            play.owners_are_one()?;
        }
        play.stage.write();
        let before = in_memory(&play.stage);
        prop_assert_eq!(&before, &said_by(&play.stage.log), "what was answered is in the log");
        play.stage.take_over();
        prop_assert_eq!(&in_memory(&play.stage), &before, "what is in the log is found");
        let group = group(&play.stage).cloned();
        prop_assert!(group.is_none_or(|group| group.state == group.written), "and nothing else is decided");
        play.stage.log = compacted(&play.stage.log);
        play.stage.take_over();
        prop_assert_eq!(&in_memory(&play.stage), &before, "and it is found in what a cleaner leaves");
    }

    /// EventuallyConverges: with time everybody is in the epoch of the group, and has what it is to have.
    #[test]
    fn members_that_follow_converge(acts in proptest::collection::vec(act(), 0..60)) {
        let mut play = Play::new();
        for act in &acts {
            play.perform(act);
        }
        for _ in 0..60 {
            for index in 0..4 {
                play.perform(&Act::Beat(index));
                play.perform(&Act::TakeOver(index));
            }
            play.perform(&Act::Wait(5));
        }
        let written = in_memory(&play.stage);
        prop_assert_eq!(written.name(), "Stable");
        let partitions: i32 = written.topics.values().map(|topic| topic.partitions).sum();
        let mut had: Vec<i32> = play.members.iter().flat_map(|member| member.owned.iter().copied()).collect();
        had.sort_unstable();
        prop_assert_eq!(had, (0..partitions).collect::<Vec<_>>());
    }
}

//! Replay equivalence: whatever has happened to its groups, a coordinator that takes over finds what the log says, and what
//! the log says is what the last coordinator had answered.
//!
//! Checked against a model that knows nothing of coordinators: the last record of each key.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::GroupId;
use proptest::prelude::*;

use super::classic_group::{ClassicGroup, GroupState};
use super::records::{GroupMetadataRecord, MemberRecord};
use super::tests::{Stage, text};
use super::*;
use crate::protocol::ErrorCode;
use crate::types::{Duration, LeaderEpoch, Offset, StrBytes, Timestamp, TopicPartition};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Act {
    /// What follows happens to this group.
    Group(usize),
    /// A process comes, perhaps a static member's.
    JoinNew(Option<usize>),
    /// A member joins again.
    Join(usize),
    Sync(usize),
    Heartbeat(usize),
    Leave(usize),
    /// An operator removes a static member by its instance id.
    Remove(usize),
    Commit(usize, i32, i64),
    /// Somebody without a group commits under its id.
    CommitAlone(i32, i64),
    /// What is to be written is written.
    Write,
    /// It is not, and the coordinator hears so.
    Fail,
    /// It is, and the coordinator hears that time was up.
    Lose,
    Wait(u64),
    /// Long enough for offsets to expire.
    WaitDays(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..2usize).prop_map(Act::Group),
        3 => proptest::option::of(0..2usize).prop_map(Act::JoinNew),
        3 => (0..4usize).prop_map(Act::Join),
        5 => (0..4usize).prop_map(Act::Sync),
        2 => (0..4usize).prop_map(Act::Heartbeat),
        1 => (0..4usize).prop_map(Act::Leave),
        1 => (0..2usize).prop_map(Act::Remove),
        4 => (0..4usize, 0..2i32, 0..100i64).prop_map(|(member, partition, offset)| Act::Commit(member, partition, offset)),
        1 => (0..2i32, 0..100i64).prop_map(|(partition, offset)| Act::CommitAlone(partition, offset)),
        5 => Just(Act::Write),
        1 => Just(Act::Fail),
        1 => Just(Act::Lose),
        2 => (0..30u64).prop_map(Act::Wait),
        1 => (1..9u64).prop_map(Act::WaitDays),
    ]
}

/// The stage, and what its log need not agree with memory about.
struct Play {
    stage: Stage,
    /// A write is in the log of which the coordinator has heard that it failed.
    lost: bool,
    /// A generation, or a static member's new id, could not be written.
    failed: bool,
}

impl Play {
    fn group(&self) -> Option<&ClassicGroup> {
        self.stage.classic_groups().find(|group| group.id == self.stage.group)
    }

    fn member(&self, index: usize) -> Option<String> {
        let group = self.group()?;
        let ids: Vec<&StrBytes> = group.members.keys().collect();
        ids.get(index % ids.len().max(1)).map(ToString::to_string)
    }

    fn perform(&mut self, act: &Act) {
        let generation = self.group().map_or(0, |group| group.generation);
        match act {
            Act::Group(index) => self.stage.group = GroupId(text(["billing", "audit"][*index])),
            Act::JoinNew(instance) => {
                self.stage.join("", instance.map(|index| ["i1", "i2"][index]));
            }
            Act::Join(index) => {
                let Some(member) = self.member(*index) else { return };
                let instance = self.instance_of(&member);
                self.stage.join(&member, instance.as_deref());
            }
            Act::Sync(index) => {
                let Some(member) = self.member(*index) else { return };
                self.sync(&member, generation);
            }
            Act::Heartbeat(index) => {
                let Some(member) = self.member(*index) else { return };
                self.stage.heartbeat(&member, generation);
            }
            Act::Leave(index) => {
                let Some(member) = self.member(*index) else { return };
                let identity = self.stage.identity(&member, generation);
                self.stage.with(|coordinator, ctx| coordinator.leave(&identity, ctx));
            }
            Act::Remove(index) => {
                let mut identity = self.stage.identity("", -1);
                identity.instance_id = Some(text(["i1", "i2"][*index]));
                self.stage.with(|coordinator, ctx| coordinator.leave(&identity, ctx));
            }
            Act::Commit(index, partition, offset) => {
                let Some(member) = self.member(*index) else { return };
                self.commit(&member, generation, *partition, *offset);
            }
            Act::CommitAlone(partition, offset) => self.commit("", -1, *partition, *offset),
            Act::Write => self.stage.write(),
            Act::Fail => self.answer_writes(ErrorCode::NOT_ENOUGH_REPLICAS),
            Act::Lose => self.answer_writes(ErrorCode::REQUEST_TIMED_OUT),
            Act::Wait(seconds) => self.stage.wait(Duration::from_secs(*seconds)),
            Act::WaitDays(days) => self.stage.wait(Duration::from_secs(days * 24 * 3600)),
        }
    }

    fn instance_of(&self, member: &str) -> Option<String> {
        self.group()?.members.get(&text(member))?.instance_id.as_ref().map(ToString::to_string)
    }

    /// Everybody brings an assignment; the leader's counts.
    fn sync(&mut self, member: &str, generation: i32) {
        let Some(group) = self.group() else { return };
        let given = |id: &StrBytes| Bytes::from(format!("{id} in {generation}"));
        let assignments = group.members.keys().map(|id| (id.clone(), given(id))).collect();
        let member = self.stage.identity(member, generation);
        let (request, token) =
            (SyncRequest { member, protocol_type: None, protocol: None, assignments }, self.stage.token());
        self.stage.with(|coordinator, ctx| coordinator.sync(token, request, ctx));
    }

    fn commit(&mut self, member: &str, generation: i32, partition: i32, offset: i64) {
        let committed = CommittedOffset {
            offset: Offset(offset),
            leader_epoch: LeaderEpoch(3),
            metadata: text("note"),
            commit_timestamp: Timestamp((self.stage.now.0 / 1_000_000) as i64),
        };
        let member = self.stage.identity(member, generation);
        let request = CommitRequest { member, offsets: vec![(TopicPartition::of("orders", partition), committed)] };
        let token = self.stage.token();
        self.stage.with(|coordinator, ctx| coordinator.commit(token, request, ctx));
    }

    fn answer_writes(&mut self, error: ErrorCode) {
        for write in self.stage.coordinator.take_writes() {
            let of_members = |record: &GroupRecord| matches!(record, GroupRecord::Group { .. });
            self.failed |= write.records.iter().any(of_members);
            if error == ErrorCode::REQUEST_TIMED_OUT {
                self.lost = true;
                self.stage.log.extend(write.records);
            }
            self.stage.with(|coordinator, ctx| coordinator.written(write.number, Err(error), ctx));
        }
    }
}

type Offsets = BTreeMap<TopicPartition, CommittedOffset>;

/// What the log says: the last record of each key.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    offsets: BTreeMap<GroupId, Offsets>,
    generations: BTreeMap<GroupId, GroupMetadataRecord>,
}

impl Said {
    fn by(log: &[GroupRecord]) -> Said {
        let mut said = Said::default();
        for record in log {
            match record.clone() {
                GroupRecord::OffsetCommit { group, partition, committed: Some(committed) } => {
                    said.offsets.entry(group).or_default().insert(partition, committed);
                }
                GroupRecord::OffsetCommit { group, partition, committed: None } => {
                    said.offsets.entry(group).or_default().remove(&partition);
                }
                GroupRecord::Group { group, metadata: Some(metadata) } => {
                    said.generations.insert(group, metadata);
                }
                GroupRecord::Group { group, metadata: None } => {
                    said.generations.remove(&group);
                }
                GroupRecord::Consumer { .. } | GroupRecord::Share { .. } => {
                    panic!("nobody speaks these protocols here")
                }
            }
        }
        said.offsets.retain(|_, offsets| !offsets.is_empty());
        said
    }

    /// What a coordinator would say now, of the groups that are in no rebalance.
    fn in_memory(stage: &Stage) -> Said {
        let mut said = Said::default();
        for group in stage.classic_groups() {
            let offsets: Offsets = group.offsets.iter().map(|(at, what)| (at.clone(), what.clone())).collect();
            if !offsets.is_empty() {
                said.offsets.insert(group.id.clone(), offsets);
            }
            let is_settled = matches!(group.state, GroupState::Stable | GroupState::Empty);
            if is_settled && group.protocol_type.is_some() && group.generation > 0 {
                said.generations.insert(group.id.clone(), as_record(group));
            }
        }
        said
    }
}

fn as_record(group: &ClassicGroup) -> GroupMetadataRecord {
    let assignments = group.members.values().map(|member| (member.id.clone(), member.assignment.clone())).collect();
    match group.to_record(&assignments) {
        GroupRecord::Group { metadata: Some(metadata), .. } => metadata,
        GroupRecord::Group { metadata: None, .. }
        | GroupRecord::OffsetCommit { .. }
        | GroupRecord::Consumer { .. }
        | GroupRecord::Share { .. } => panic!("it is a generation"),
    }
}

/// When a group entered its state is written before it does.
fn without_time(mut record: GroupMetadataRecord) -> GroupMetadataRecord {
    record.state_timestamp = Timestamp::NONE;
    record.members.sort_by(|a: &MemberRecord, b: &MemberRecord| a.member_id.cmp(&b.member_id));
    record
}

/// The generations of `some`, and what `others` says of the same groups.
fn both(some: &Said, others: &Said) -> Vec<(Option<GroupMetadataRecord>, Option<GroupMetadataRecord>)> {
    let of = |said: &Said, group: &GroupId| said.generations.get(group).cloned().map(without_time);
    some.generations.keys().map(|group| (of(some, group), of(others, group))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// ReplayEquivalence.
    #[test]
    fn the_next_coordinator_finds_what_was_answered(acts in proptest::collection::vec(act(), 0..80)) {
        let mut play = Play { stage: Stage::new(), lost: false, failed: false };
        for act in &acts {
            play.perform(act);
        }
        play.stage.write();
        let (before, said) = (Said::in_memory(&play.stage), Said::by(&play.stage.log));
        if !play.lost {
            prop_assert_eq!(&before.offsets, &said.offsets, "what was answered is in the log");
        }
        if !play.lost && !play.failed {
            for (mine, written) in both(&before, &said) {
                prop_assert_eq!(mine, written, "a generation that is settled is in the log");
            }
        }
        play.stage.take_over();
        let after = Said::in_memory(&play.stage);
        prop_assert_eq!(&after.offsets, &said.offsets, "what is in the log is found");
        prop_assert_eq!(after.generations.len(), said.generations.len());
        for (found, written) in both(&after, &said) {
            prop_assert_eq!(found, written, "the last generation that was written is found");
        }
    }
}

#[test]
fn a_static_member_whose_new_id_cannot_be_written_is_who_it_was() {
    let mut play = Play { stage: Stage::new(), lost: false, failed: false };
    play.stage.join("", Some("i1"));
    play.stage.wait(Duration::ZERO);
    let old = play.member(0).expect("it is alone");
    play.sync(&old, 1);
    play.stage.write();
    let again = play.stage.join("", Some("i1"));
    play.answer_writes(ErrorCode::NOT_ENOUGH_REPLICAS);
    let refused = play.stage.answers.iter().any(|answer| match answer {
        Answer::Join(token, result) => *token == again && result.error == ErrorCode::COORDINATOR_NOT_AVAILABLE,
        Answer::Sync(..) | Answer::Commit(..) | Answer::Heartbeat(..) => false,
    });
    assert!(refused, "whoever came back hears that it must try again");
    assert_eq!(play.stage.heartbeat(&old, 1), ErrorCode::NONE);
    assert_eq!(Said::in_memory(&play.stage), Said::by(&play.stage.log));
}

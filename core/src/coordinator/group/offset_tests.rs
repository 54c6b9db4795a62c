//! Committed offsets of classic groups: who may commit, what a commit hears, and what the log of the topic says.

use super::coordinator::Group;
use super::member::Member;
use super::records::{GroupMetadataRecord, MemberRecord};
use super::tests::{Stage, config, group_id, orders, text};
use super::*;
use crate::coordinator::group::consumer::ConsumerGroupRecord;
use crate::fact::Fact;
use crate::protocol::ErrorCode;
use crate::types::{Duration, LeaderEpoch, Offset, StrBytes, Timestamp, TopicPartition};

fn committed(offset: i64) -> CommittedOffset {
    CommittedOffset {
        offset: Offset(offset),
        leader_epoch: LeaderEpoch::NONE,
        metadata: StrBytes::default(),
        commit_timestamp: Timestamp(0),
    }
}

impl Stage {
    /// Commits an offset for each of these partitions.
    fn commit_all(&mut self, partitions: &[i32], offset: i64) {
        let token = self.token();
        let offsets =
            partitions.iter().map(|index| (TopicPartition::of("orders", *index), committed(offset))).collect();
        let request = CommitRequest { member: self.identity("", -1), offsets };
        self.with(|coordinator, ctx| coordinator.commit(token, request, ctx));
    }

    /// A broker takes over that finds these records.
    fn load(&mut self, records: Vec<GroupRecord>) {
        self.log = records;
        self.take_over();
    }
}

fn commit_of(partition: TopicPartition, committed: Option<CommittedOffset>) -> GroupRecord {
    GroupRecord::OffsetCommit { group: group_id(), partition, committed }
}

fn generation(members: Vec<MemberRecord>) -> GroupRecord {
    let metadata = GroupMetadataRecord {
        protocol_type: text("consumer"),
        generation: 3,
        protocol: Some(text("range")),
        leader: members.first().map(|member| member.member_id.clone()),
        state_timestamp: Timestamp(0),
        members,
    };
    GroupRecord::Group { group: group_id(), metadata: Some(metadata) }
}

#[test]
fn whoever_has_no_generation_commits_to_a_group_without_members() {
    for (member, epoch, expected) in
        [("", -1, ErrorCode::NONE), ("", 0, ErrorCode::UNKNOWN_MEMBER_ID), ("gone", 3, ErrorCode::UNKNOWN_MEMBER_ID)]
    {
        let mut stage = Stage::new();
        stage.load(vec![generation(Vec::new())]);
        let commit = stage.commit(member, epoch, 70);
        stage.write();
        assert_eq!(stage.commit_answer(commit), Some(expected), "{member} in {epoch}");
    }
}

#[test]
fn a_share_group_has_no_offsets_of_its_own() {
    let mut stage = Stage::new();
    stage.load(vec![GroupRecord::Share { group: group_id(), record: ConsumerGroupRecord::Epoch(Some(1)) }]);
    let commit = stage.commit("", -1, 70);
    assert_eq!(stage.commit_answer(commit), Some(ErrorCode::GROUP_ID_NOT_FOUND));
}

#[test]
fn what_a_member_was_given_is_read_from_the_log() {
    // `ConsumerProtocolAssignment` of version 0: partitions 0 and 2 of orders.
    let given = [&[0, 0, 0, 0, 0, 1, 0, 6][..], b"orders", &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2], &[0xff; 4]].concat();
    let member = MemberRecord {
        member_id: text("m1"),
        instance_id: None,
        client_id: text("c"),
        client_host: text("/c"),
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 10_000,
        subscription: bytes::Bytes::new(),
        assignment: given.into(),
    };
    let mut stage = Stage::new();
    stage.load(vec![generation(vec![member])]);
    let assigned: Vec<_> =
        stage.classic_groups().flat_map(|group| group.members.values()).map(Member::assigned).collect();
    assert_eq!(assigned, [[orders(), TopicPartition::of("orders", 2)].into()]);
}

#[test]
fn a_group_with_members_takes_commits_of_its_members_alone() {
    let mut stage = Stage::new();
    let (first, _) = stage.two_members();
    for (member, epoch, expected) in [
        (&first[..], 2, ErrorCode::NONE),
        (&first, -1, ErrorCode::ILLEGAL_GENERATION),
        (&first, 1, ErrorCode::ILLEGAL_GENERATION),
        ("", -1, ErrorCode::UNKNOWN_MEMBER_ID),
        ("", 2, ErrorCode::UNKNOWN_MEMBER_ID),
    ] {
        let commit = stage.commit(member, epoch, 70);
        stage.write();
        assert_eq!(stage.commit_answer(commit), Some(expected), "{member} in {epoch}");
    }
    let waits = stage.join("", None);
    let commit = stage.commit(&first, 2, 80);
    stage.write();
    assert_eq!(stage.commit_answer(commit), Some(ErrorCode::NONE), "before it joins again");
    stage.join(&first, None);
    stage.wait(Duration::from_secs(60));
    let third = stage.joined(waits).expect("time is up").member_id;
    let commit = stage.commit(&third, 3, 90);
    assert_eq!(stage.commit_answer(commit), Some(ErrorCode::REBALANCE_IN_PROGRESS), "it has no assignment yet");
    assert_eq!(stage.committed(), Some(80));
}

#[test]
fn a_commit_of_nothing_succeeds_at_once() {
    let mut stage = Stage::new();
    let token = stage.token();
    stage.with(|coordinator, _| coordinator.nothing_to_commit(token));
    assert_eq!((stage.commit_answer(token), stage.coordinator.writing()), (Some(ErrorCode::NONE), 0));
}

#[test]
fn a_commit_that_cannot_be_written_is_answered_as_clients_understand_it() {
    for (write, answer) in [
        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::COORDINATOR_NOT_AVAILABLE),
        (ErrorCode::NOT_ENOUGH_REPLICAS, ErrorCode::COORDINATOR_NOT_AVAILABLE),
        (ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, ErrorCode::COORDINATOR_NOT_AVAILABLE),
        (ErrorCode::NOT_LEADER_OR_FOLLOWER, ErrorCode::NOT_COORDINATOR),
        (ErrorCode::KAFKA_STORAGE_ERROR, ErrorCode::NOT_COORDINATOR),
        (ErrorCode::MESSAGE_TOO_LARGE, ErrorCode::INVALID_COMMIT_OFFSET_SIZE),
        (ErrorCode::RECORD_LIST_TOO_LARGE, ErrorCode::INVALID_COMMIT_OFFSET_SIZE),
        (ErrorCode::REQUEST_TIMED_OUT, ErrorCode::REQUEST_TIMED_OUT),
    ] {
        let mut stage = Stage::new();
        let commit = stage.commit("", -1, 70);
        assert_eq!(stage.coordinator.writing(), 1);
        let number = stage.coordinator.take_writes()[0].number;
        stage.with(|coordinator, ctx| coordinator.written(number, Err(write), ctx));
        assert_eq!((stage.commit_answer(commit), stage.committed()), (Some(answer), None), "{write:?}");
        assert_eq!((stage.coordinator.writing(), stage.facts.len()), (0, 1), "nothing but that it has read its log");
    }
}

#[test]
fn what_is_committed_is_said_when_it_is_written() {
    let mut stage = Stage::new();
    let (first, _) = stage.two_members();
    stage.commit(&first, 2, 70);
    let said = |stage: &Stage| {
        let of = |fact: &Fact| matches!(fact, Fact::OffsetCommitted { offset: Offset(70), generation: 2, .. });
        stage.facts.iter().filter(|fact| of(fact)).count()
    };
    assert_eq!(said(&stage), 0);
    stage.write();
    assert_eq!(said(&stage), 1);
}

#[test]
fn commits_count_in_the_order_of_the_log_whichever_is_answered_first() {
    let mut stage = Stage::new();
    stage.commit_all(&[2, 0], 10);
    stage.commit_all(&[0, 1, 2], 20);
    let writes = stage.coordinator.take_writes();
    for (write, base) in writes.iter().zip([0, 2]).rev() {
        stage.with(|coordinator, ctx| coordinator.written(write.number, Ok(Offset(base)), ctx));
    }
    for index in 0..3 {
        let found = stage.coordinator.committed(&group_id(), &TopicPartition::of("orders", index));
        assert_eq!(found.map(|found| found.map(|it| it.offset)), Ok(Some(Offset(20))), "{index}");
    }
}

#[test]
fn a_group_that_kept_nothing_but_offsets_goes_with_the_last_of_them() {
    let (commit, tombstone) = (commit_of(orders(), Some(committed(70))), commit_of(orders(), None));
    let other = commit_of(TopicPartition::of("orders", 1), Some(committed(70)));
    let consumers = GroupRecord::Consumer { group: group_id(), record: ConsumerGroupRecord::Epoch(Some(1)) };
    for (records, groups) in [
        (vec![commit.clone(), tombstone.clone()], 0),
        (vec![tombstone.clone()], 0),
        (vec![commit.clone(), other, tombstone.clone()], 1),
        (vec![generation(Vec::new()), commit.clone(), tombstone.clone()], 1),
        (vec![consumers, commit, tombstone], 1),
    ] {
        let mut stage = Stage::new();
        stage.load(records.clone());
        assert_eq!(stage.coordinator.groups().count(), groups, "{records:?}");
    }
}

#[test]
fn offsets_go_with_their_partitions() {
    let mut stage = Stage::new();
    stage.commit_all(&[0, 1], 70);
    stage.write();
    let before = stage.log.len();
    stage.with(|coordinator, _| coordinator.partitions_deleted(&[TopicPartition::of("payments", 0)].into()));
    stage.write();
    assert_eq!(stage.log.len(), before);
    stage.with(|coordinator, _| coordinator.partitions_deleted(&[orders()].into()));
    stage.write();
    assert_eq!(stage.log[before..], [commit_of(orders(), None)]);
    assert_eq!(stage.committed(), None);
    assert_eq!(stage.coordinator.groups().map(|group| group.offsets().iter().count()).sum::<usize>(), 1);
}

#[test]
fn with_the_check_of_the_generation_off_groups_of_the_consumer_protocol_take_commits_of_anybody() {
    for checks_generation in [true, false] {
        let mut stage = Stage::configured(coordinator::GroupConfig { checks_generation, ..config() });
        stage.load(vec![GroupRecord::Consumer { group: group_id(), record: ConsumerGroupRecord::Epoch(Some(1)) }]);
        assert!(stage.coordinator.groups().all(|group| matches!(group, Group::Consumer(_))));
        for (epoch, expected) in
            [(-1, ErrorCode::NONE), (0, ErrorCode::UNKNOWN_MEMBER_ID), (1, ErrorCode::UNKNOWN_MEMBER_ID)]
        {
            let commit = stage.commit("nobody", epoch, 70);
            stage.write();
            let expected = if checks_generation { expected } else { ErrorCode::NONE };
            assert_eq!(stage.commit_answer(commit), Some(expected), "in {epoch}, checked: {checks_generation}");
        }
    }
}

/// The value of a group with one member, as each version has it (`GroupMetadataValue.json`).
fn group_value(version: i16) -> Vec<u8> {
    fn string(text: &str) -> Vec<u8> {
        [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat()
    }
    let mut value = [&version.to_be_bytes()[..], &string("consumer"), &7i32.to_be_bytes()].concat();
    value.extend([string("range"), string("m1")].concat());
    if version >= 2 {
        value.extend(500i64.to_be_bytes());
    }
    value.extend([&1i32.to_be_bytes()[..], &string("m1")].concat());
    if version >= 3 {
        value.extend(string("i1"));
    }
    value.extend([string("c"), string("/c")].concat());
    if version >= 1 {
        value.extend(60_000i32.to_be_bytes());
    }
    value.extend(10_000i32.to_be_bytes());
    value.extend([&1i32.to_be_bytes()[..], b"s", &1i32.to_be_bytes(), b"a"].concat());
    value
}

#[test]
fn generations_written_by_older_brokers_are_read() {
    for version in 0..=3 {
        let (key, _) = generation(Vec::new()).to_key_value(true);
        let member = MemberRecord {
            member_id: text("m1"),
            instance_id: (version >= 3).then(|| text("i1")),
            client_id: text("c"),
            client_host: text("/c"),
            rebalance_timeout_ms: if version >= 1 { 60_000 } else { 10_000 },
            session_timeout_ms: 10_000,
            subscription: bytes::Bytes::from_static(b"s"),
            assignment: bytes::Bytes::from_static(b"a"),
        };
        let metadata = GroupMetadataRecord {
            protocol_type: text("consumer"),
            generation: 7,
            protocol: Some(text("range")),
            leader: Some(text("m1")),
            state_timestamp: if version >= 2 { Timestamp(500) } else { Timestamp::NONE },
            members: vec![member],
        };
        let expected = GroupRecord::Group { group: group_id(), metadata: Some(metadata) };
        let read = GroupRecord::parse(Some(key), Some(group_value(version).into()));
        assert_eq!(read, Ok(expected), "version {version}");
    }
}

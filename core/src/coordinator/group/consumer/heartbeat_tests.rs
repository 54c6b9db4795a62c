//! ConsumerGroupHeartbeat at its edges: what a request must say, what it is told, and what is written of it.

use std::collections::BTreeSet;

use super::records::{CurrentAssignment, MemberMetadata, MemberState};
use super::tests::{Follower, answer, ask, beat, group, orders, state, two};
use super::*;
use crate::config::ServerAssignor;
use crate::coordinator::group::coordinator::GroupConfig;
use crate::coordinator::group::tests::{REBALANCE, Stage, config, group_id, text};
use crate::coordinator::group::{
    GroupCoordinator, GroupId, GroupRecord, HeartbeatRequest, HeartbeatResult, partition_for,
};
use crate::fact::Fact;
use crate::metadata::TopicImage;
use crate::protocol::ErrorCode;
use crate::types::{Duration, LeaderEpoch, Offset, TopicName, TopicPartition};

const SESSION: Duration = Duration::from_secs(45);

/// Asks, and writes.
fn heard(stage: &mut Stage, request: HeartbeatRequest) -> HeartbeatResult {
    let token = ask(stage, request);
    stage.write();
    answer(stage, token).expect("it is written")
}

/// A request that leaves out whatever may be left out.
fn quiet(member: &Follower) -> HeartbeatRequest {
    HeartbeatRequest { rebalance_timeout_ms: None, topics: None, owned: None, ..member.request() }
}

#[test]
fn a_member_that_joins_says_everything() {
    let joins = Follower::new("a").request();
    let shares =
        HeartbeatRequest { protocol: ModernProtocol::Share, rebalance_timeout_ms: None, owned: None, ..joins.clone() };
    let some = orders(&BTreeSet::from([0]));
    let group = GroupId::default();
    let wants = |assignor| HeartbeatRequest { assignor: Some(text(assignor)), ..joins.clone() };
    let (fine, invalid) = (ErrorCode::NONE, ErrorCode::INVALID_REQUEST);
    let cases = [
        ("all", joins.clone(), fine),
        ("no group", HeartbeatRequest { group: group.clone(), ..joins.clone() }, invalid),
        ("no id", HeartbeatRequest { member_id: text(""), ..joins.clone() }, fine),
        ("no id, but an epoch", HeartbeatRequest { member_id: text(""), epoch: 1, ..joins.clone() }, invalid),
        ("an impossible epoch", HeartbeatRequest { epoch: -3, ..joins.clone() }, invalid),
        ("no timeout", HeartbeatRequest { rebalance_timeout_ms: None, ..joins.clone() }, invalid),
        ("no topics", HeartbeatRequest { topics: None, ..joins.clone() }, invalid),
        ("empty topics", HeartbeatRequest { topics: Some(Vec::new()), ..joins.clone() }, invalid),
        ("not what it has", HeartbeatRequest { owned: None, ..joins.clone() }, invalid),
        ("it has something", HeartbeatRequest { owned: Some(some), ..joins.clone() }, invalid),
        ("an assignor", wants("range"), fine),
        ("an assignor of clients", wants("cooperative-sticky"), ErrorCode::UNSUPPORTED_ASSIGNOR),
        ("all of a share group", shares.clone(), fine),
        ("a share group, no group", HeartbeatRequest { group, ..shares.clone() }, invalid),
        ("a share group, no id", HeartbeatRequest { member_id: text(""), ..shares.clone() }, invalid),
        ("a share group, no topics", HeartbeatRequest { topics: None, ..shares }, invalid),
    ];
    for (what, request, expected) in cases {
        let mut stage = Stage::new();
        assert_eq!(heard(&mut stage, request).error, expected, "{what}");
    }
}

#[test]
fn an_assignor_that_the_broker_does_not_offer_is_refused() {
    let mut stage = Stage::configured(GroupConfig { assignors: vec![ServerAssignor::Range], ..config() });
    let request = HeartbeatRequest { assignor: Some(text("uniform")), ..Follower::new("a").request() };
    assert_eq!(heard(&mut stage, request).error, ErrorCode::UNSUPPORTED_ASSIGNOR);
}

#[test]
fn a_coordinator_that_is_not_or_has_not_read_its_log_refuses() {
    let mut stage = Stage::new();
    stage.coordinator = GroupCoordinator::new(config(), 1);
    for expected in [ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS] {
        assert_eq!(heard(&mut stage, Follower::new("a").request()).error, expected);
        stage.coordinator.elected(0, LeaderEpoch(1));
    }
}

#[test]
fn who_leaves_says_who_it_is() {
    for (member, epoch, instance, expected) in [
        ("b", LEAVE_GROUP_EPOCH, None, ErrorCode::NONE),
        ("", LEAVE_GROUP_EPOCH, None, ErrorCode::INVALID_REQUEST),
        ("b", LEAVE_GROUP_STATIC_EPOCH, None, ErrorCode::INVALID_REQUEST),
        ("b", LEAVE_GROUP_STATIC_EPOCH, Some("i9"), ErrorCode::UNKNOWN_MEMBER_ID),
        ("z", LEAVE_GROUP_EPOCH, None, ErrorCode::UNKNOWN_MEMBER_ID),
    ] {
        let mut stage = Stage::new();
        let (_, second) = two(&mut stage);
        let instance_id = instance.map(text);
        let request = HeartbeatRequest { member_id: text(member), epoch, instance_id, ..second.request() };
        assert_eq!(heard(&mut stage, request.clone()).error, expected, "{member} {epoch} {instance:?}");
        let nowhere = HeartbeatRequest { group: GroupId::default(), ..request };
        assert_eq!(heard(&mut stage, nowhere).error, ErrorCode::INVALID_REQUEST);
    }
}

#[test]
fn who_says_everything_is_told_everything_and_nobody_else_is() {
    for says in 0..8 {
        let (timeout, topics, owned) = (says & 1 != 0, says & 2 != 0, says & 4 != 0);
        let mut stage = Stage::new();
        let mut member = Follower::new("a");
        beat(&mut stage, &mut member);
        let all = Follower { says_all: true, ..member.clone() }.request();
        let request = HeartbeatRequest {
            rebalance_timeout_ms: all.rebalance_timeout_ms.filter(|_| timeout),
            topics: all.topics.clone().filter(|_| topics),
            owned: all.owned.clone().filter(|_| owned),
            ..all
        };
        let told = heard(&mut stage, request).assignment;
        let expected = (says == 7).then(|| orders(&BTreeSet::from([0, 1])));
        assert_eq!(told, expected, "timeout: {timeout}, topics: {topics}, owned: {owned}");
    }
}

#[test]
fn who_comes_with_the_epoch_before_is_believed_if_it_has_no_more_than_it_may() {
    let mut stage = Stage::new();
    let (_, second) = two(&mut stage);
    heard(&mut stage, Follower::new("c").request());
    assert_eq!(heard(&mut stage, quiet(&second)).epoch, 3);
    for (owned, expected) in [
        (Some(&[1][..]), ErrorCode::NONE),
        (Some(&[]), ErrorCode::NONE),
        (Some(&[0, 1]), ErrorCode::FENCED_MEMBER_EPOCH),
        (None, ErrorCode::FENCED_MEMBER_EPOCH),
    ] {
        let owned = owned.map(|indexes| orders(&indexes.iter().copied().collect()));
        let request = HeartbeatRequest { epoch: 2, owned: owned.clone(), ..quiet(&second) };
        assert_eq!(heard(&mut stage, request).error, expected, "{owned:?}");
    }
}

#[test]
fn a_static_member_that_is_away_has_given_up_what_it_had_to_and_cannot_go_on_as_it_was() {
    let mut stage = Stage::new();
    let mut fixed = Follower { instance: Some("i1"), ..Follower::new("a") };
    let mut other = Follower::new("b");
    beat(&mut stage, &mut fixed);
    beat(&mut stage, &mut other);
    // It has to give up one, and has not.
    heard(&mut stage, quiet(&fixed));
    beat(&mut stage, &mut other);
    assert_eq!(other.told, BTreeSet::new());
    let away = HeartbeatRequest { epoch: LEAVE_GROUP_STATIC_EPOCH, ..quiet(&fixed) };
    assert_eq!(heard(&mut stage, away).error, ErrorCode::NONE);
    beat(&mut stage, &mut other);
    assert_eq!(other.told, BTreeSet::from([1]));
    let before = group(&stage).map(|group| group.state.members[&text("a")].current.previous_epoch);
    for epoch in [fixed.epoch, before.expect("it is away, not out")] {
        let zombie = HeartbeatRequest { epoch, owned: Some(Partitions::new()), ..quiet(&fixed) };
        assert_eq!(heard(&mut stage, zombie).error, ErrorCode::FENCED_MEMBER_EPOCH, "in {epoch}");
    }
}

/// What was said of a group, in short.
fn said(stage: &Stage) -> Vec<String> {
    let names = |partitions: &[TopicPartition]| partitions.iter().map(|p| format!(" {p}")).collect::<String>();
    let short = |fact: &Fact| match fact {
        Fact::GroupStateChanged { state, generation, members, .. } => Some(format!("{state} {generation} {members:?}")),
        Fact::MemberReconciled { member, epoch, state, assigned, revoking, .. } => {
            Some(format!("{member} {epoch} {state}{} -{}", names(assigned), names(revoking)))
        }
        Fact::MemberRemoved { member, reason, .. } => Some(format!("{member} {reason:?}")),
        _ => None,
    };
    stage.facts.iter().filter_map(short).collect()
}

#[test]
fn every_step_of_a_member_is_said_and_every_change_of_the_group() {
    let mut stage = Stage::new();
    let (_, second) = two(&mut stage);
    let expected = [
        "a 1 STABLE orders-0 orders-1 -",
        r#"Stable 1 ["a"]"#,
        "b 2 UNRELEASED_PARTITIONS -",
        r#"Reconciling 2 ["a", "b"]"#,
        "a 1 UNREVOKED_PARTITIONS orders-0 - orders-1",
        // Its epoch is the one before as well now.
        "b 2 UNRELEASED_PARTITIONS -",
        "a 2 STABLE orders-0 -",
        "b 2 STABLE orders-1 -",
        r#"Stable 2 ["a", "b"]"#,
    ];
    assert_eq!(said(&stage), expected);
    heard(&mut stage, HeartbeatRequest { epoch: LEAVE_GROUP_EPOCH, ..second.request() });
    assert_eq!(said(&stage)[expected.len()..], ["b Left", r#"Assigning 3 ["a"]"#]);
}

#[test]
fn a_departure_that_cannot_be_written_takes_back_no_other() {
    let mut stage = Stage::new();
    let (first, second) = two(&mut stage);
    let before = said(&stage).len();
    for member in [&second, &first] {
        ask(&mut stage, HeartbeatRequest { epoch: LEAVE_GROUP_EPOCH, ..member.request() });
    }
    let writes = stage.coordinator.take_writes();
    let results = [Err(ErrorCode::NOT_ENOUGH_REPLICAS), Ok(Offset(50))];
    for (write, result) in writes.iter().zip(results) {
        stage.with(|coordinator, ctx| coordinator.written(write.number, result, ctx));
    }
    assert_eq!(said(&stage)[before..], ["a Left", r#"Assigning 4 ["b"]"#]);
}

#[test]
fn the_time_to_give_up_begins_anew_when_there_is_more_to_give_up() {
    let mut stage = Stage::new();
    stage.topics.values_mut().for_each(|topic| topic.partitions = 3);
    let mut first = Follower::new("a");
    beat(&mut stage, &mut first);
    assert_eq!(stage.coordinator.next_deadline(), Some(stage.now + SESSION));
    heard(&mut stage, Follower::new("b").request());
    heard(&mut stage, quiet(&first));
    let until = |stage: &Stage| group(stage).and_then(|group| group.clocks[&text("a")].revocation);
    let begun = stage.now;
    assert_eq!(until(&stage), Some((1, begun + REBALANCE)));
    stage.wait(Duration::from_secs(20));
    heard(&mut stage, quiet(&first));
    assert_eq!(until(&stage), Some((1, begun + REBALANCE)), "it has heard that before");
    heard(&mut stage, Follower::new("c").request());
    // Of three it has given up the last; now the second has to go as well.
    let has = orders(&BTreeSet::from([0, 1]));
    assert_eq!(heard(&mut stage, HeartbeatRequest { owned: Some(has), ..quiet(&first) }).epoch, 2);
    assert_eq!(until(&stage), Some((2, stage.now + REBALANCE)));
}

#[test]
fn a_heartbeat_waits_for_writes_of_its_own_partition_alone() {
    let (here, there) = (group_id(), GroupId(text("test")));
    let mut stage = Stage::new();
    stage.coordinator = GroupCoordinator::new(config(), 50);
    for group in [&here, &there] {
        let partition = partition_for(group, 50);
        stage.coordinator.elected(partition, LeaderEpoch(1));
        stage.with(|coordinator, ctx| coordinator.loaded(partition, [], ctx));
    }
    let joins = Follower::new("a").request();
    for group in [&here, &there] {
        heard(&mut stage, HeartbeatRequest { group: group.clone(), ..joins.clone() });
    }
    ask(&mut stage, Follower::new("b").request());
    let stays = HeartbeatRequest { epoch: 1, rebalance_timeout_ms: None, topics: None, owned: None, ..joins };
    let waits = ask(&mut stage, HeartbeatRequest { group: here, ..stays.clone() });
    let goes_on = ask(&mut stage, HeartbeatRequest { group: there, ..stays });
    assert_eq!(answer(&stage, waits), None);
    assert_eq!(answer(&stage, goes_on).map(|result| result.error), Some(ErrorCode::NONE));
}

#[test]
fn most_members_decide_on_the_assignor() {
    let cases: [(&[Option<&str>], Option<ServerAssignor>); 5] = [
        (&[None, None], None),
        (&[None, Some("uniform"), None], Some(ServerAssignor::Uniform)),
        (&[Some("range"), Some("uniform"), Some("uniform")], Some(ServerAssignor::Uniform)),
        (&[Some("range"), Some("uniform"), Some("range")], Some(ServerAssignor::Range)),
        (&[Some("uniform"), Some("range")], Some(ServerAssignor::Range)),
    ];
    for (wanted, expected) in cases {
        let mut state = ConsumerGroupState::default();
        for (index, assignor) in wanted.iter().enumerate() {
            let metadata = MemberMetadata { assignor: assignor.map(text), ..MemberMetadata::default() };
            state.replay(&ConsumerGroupRecord::Member(text(&format!("m{index}")), Some(metadata)));
        }
        assert_eq!(state.preferred_assignor(), expected, "{wanted:?}");
    }
}

#[test]
fn a_member_whose_assignment_is_taken_back_has_left_and_holds_nothing() {
    let mut state = ConsumerGroupState::default();
    let current = CurrentAssignment {
        epoch: 4,
        previous_epoch: 3,
        state: MemberState::Stable,
        assigned: orders(&BTreeSet::from([0])),
        pending_revocation: orders(&BTreeSet::from([1])),
    };
    state.replay(&ConsumerGroupRecord::CurrentMember(text("a"), Some(current)));
    state.replay(&ConsumerGroupRecord::CurrentMember(text("a"), None));
    let left = &state.members[&text("a")].current;
    assert_eq!((left.epoch, left.previous_epoch), (LEAVE_GROUP_EPOCH, LEAVE_GROUP_EPOCH));
    assert_eq!((left.assigned.len(), left.pending_revocation.len()), (0, 0));
}

/// A member of a share group joins.
fn shares(member: &str) -> HeartbeatRequest {
    HeartbeatRequest {
        protocol: ModernProtocol::Share,
        rebalance_timeout_ms: None,
        owned: None,
        ..Follower::new(member).request()
    }
}

#[test]
fn members_of_a_share_group_get_their_shares_at_once_and_its_state_is_said_as_tools_print_it() {
    let mut stage = Stage::new();
    let told = |result: &HeartbeatResult| result.assignment.clone().map(|it| it.into_values().flatten().collect());
    let all: Option<BTreeSet<i32>> = Some(BTreeSet::from([0, 1]));
    assert_eq!(told(&heard(&mut stage, shares("a"))), all);
    assert_eq!(told(&heard(&mut stage, shares("b"))), Some(BTreeSet::from([1])));
    // Another topic: nothing is divided, each has all of its own.
    let mut other = shares("c");
    stage.topics.insert(TopicName(text("payments")), TopicImage { id: uuid::Uuid::from_u128(9), partitions: 3 });
    other.topics = Some(vec![TopicName(text("payments"))]);
    assert_eq!(told(&heard(&mut stage, other)), Some(BTreeSet::from([0, 1, 2])));
    let stays = HeartbeatRequest { epoch: 2, topics: None, ..shares("b") };
    assert_eq!(told(&heard(&mut stage, stays)), all);
    for member in ["a", "b", "c"] {
        let leaves = HeartbeatRequest { epoch: LEAVE_GROUP_EPOCH, ..shares(member) };
        assert_eq!(heard(&mut stage, leaves).error, ErrorCode::NONE);
    }
    let names: Vec<String> = said(&stage).into_iter().filter(|line| line.contains('[')).collect();
    assert_eq!(names.first().map(String::as_str), Some(r#"Stable 1 ["a"]"#));
    assert_eq!(names.last().map(String::as_str), Some("Empty 6 []"));
}

/// The topic has grown, and the answer that said so did not arrive: the member says everything once more, in its old epoch.
#[test]
fn a_member_of_a_share_group_that_says_everything_hears_what_it_has() {
    let told = |result: HeartbeatResult| result.assignment.map(|it| it.into_values().flatten().collect::<Vec<_>>());
    for repeats_share_assignment in [true, false] {
        let mut stage = Stage::configured(GroupConfig { repeats_share_assignment, ..config() });
        assert_eq!(told(heard(&mut stage, shares("a"))), Some(vec![0, 1]));
        let again = HeartbeatRequest { epoch: 1, ..shares("a") };
        let quiet = HeartbeatRequest { topics: None, ..again.clone() };
        assert_eq!(told(heard(&mut stage, quiet.clone())), None);
        stage.topics.values_mut().for_each(|topic| topic.partitions = 3);
        assert_eq!(told(heard(&mut stage, quiet.clone())), Some(vec![0, 1, 2]));
        assert_eq!(told(heard(&mut stage, quiet)), None, "nothing is asked");
        let result = heard(&mut stage, again);
        assert_eq!((result.error, result.epoch), (ErrorCode::NONE, 2));
        assert_eq!(told(result), repeats_share_assignment.then(|| vec![0, 1, 2]));
    }
}

#[test]
fn a_share_group_is_the_same_after_a_move() {
    let mut stage = Stage::new();
    assert_eq!(heard(&mut stage, shares("a")).error, ErrorCode::NONE);
    let before = group(&stage).map(|group| group.state.clone());
    // Through the bytes of the log.
    for record in &mut stage.log {
        let (key, value) = record.to_key_value(true);
        *record = GroupRecord::parse(Some(key), value).expect("it was written");
    }
    stage.take_over();
    assert_eq!(group(&stage).map(|group| group.state.clone()), before);
}

#[test]
fn a_classic_group_that_waits_for_members_is_no_empty_one() {
    let mut stage = Stage::configured(GroupConfig { initial_rebalance_delay: Duration::from_secs(3), ..config() });
    stage.join("", None);
    let member = stage.classic_groups().flat_map(|group| group.members.keys()).next().cloned();
    let identity = stage.identity(&member.expect("it has joined"), -1);
    stage.with(|coordinator, ctx| coordinator.leave(&identity, ctx));
    assert_eq!(heard(&mut stage, Follower::new("a").request()).error, ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(state(&stage), ("gone", 0));
}

//! Who may be a member of a classic group, what each hears, and how long a rebalance waits: `GroupCoordinator.scala` at its edges.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::classic_group::GroupState;
use super::coordinator::GroupConfig;
use super::tests::{REBALANCE, SESSION, Stage, config, text};
use super::*;
use crate::fact::Fact;
use crate::protocol::ErrorCode;
use crate::types::{Duration, LeaderEpoch, Offset, StrBytes};

const NANOSECOND: Duration = Duration::from_nanos(1);

/// Assignors, best first, each with a subscription of its own.
fn speaks(assignors: &[&str], of: &str) -> Vec<(StrBytes, Bytes)> {
    assignors.iter().map(|name| (text(name), Bytes::from(format!("{name} of {of}")))).collect()
}

impl Stage {
    fn join_speaking(&mut self, member: &str, protocols: Vec<(StrBytes, Bytes)>) -> GroupToken {
        let request = JoinRequest { protocols, ..self.join_request(member, None) };
        self.ask_to_join(&request)
    }

    /// Asks for an id, without which it would not count (KIP-394).
    fn ask_for_id(&mut self) -> JoinResult {
        let request = JoinRequest { require_known_member_id: true, ..self.join_request("", None) };
        let token = self.ask_to_join(&request);
        self.joined(token).expect("an id is told at once")
    }

    /// Two members that have joined, the leader first; nobody has asked for an assignment.
    fn two_joined(&mut self) -> (String, String) {
        let tokens = [self.join("", None), self.join("", None)];
        self.settle();
        let results = tokens.map(|token| self.joined(token).expect("both have joined"));
        let [first, second] = results.map(|result| result.member_id.to_string());
        (first, second)
    }

    /// The first generation begins, without a delay. For whoever came second it is put off once.
    fn settle(&mut self) {
        self.wait(Duration::ZERO);
        self.wait(Duration::ZERO);
    }

    /// Time passes in which this member lets itself be heard of.
    fn wait_with(&mut self, times: usize, seconds: u64, member: &str, generation: i32) {
        for _ in 0..times {
            self.wait(Duration::from_secs(seconds));
            self.heartbeat(member, generation);
        }
    }
}

#[test]
fn a_session_is_as_long_as_the_broker_allows() {
    for (millis, expected) in [
        (5_999, ErrorCode::INVALID_SESSION_TIMEOUT),
        (6_000, ErrorCode::NONE),
        (300_000, ErrorCode::NONE),
        (300_001, ErrorCode::INVALID_SESSION_TIMEOUT),
    ] {
        let mut stage = Stage::new();
        let request = JoinRequest { session_timeout: Duration::from_millis(millis), ..stage.join_request("", None) };
        let token = stage.ask_to_join(&request);
        stage.wait(Duration::ZERO);
        let result = stage.joined(token).expect("it is answered");
        let generation = if expected == ErrorCode::NONE { 1 } else { -1 };
        assert_eq!((result.error, result.generation), (expected, generation), "{millis} ms");
    }
}

#[test]
fn a_group_takes_in_whoever_speaks_what_all_its_members_speak() {
    let refused = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
    /// What each member speaks, the type of protocol of one more, and what that one speaks.
    type Case = (&'static [&'static [&'static str]], &'static str, &'static [&'static str], ErrorCode);
    let cases: [Case; 7] = [
        (&[], "", &["range"], refused),
        (&[], "consumer", &[], refused),
        (&[], "connect", &["eager"], ErrorCode::NONE),
        (&[&["range"]], "connect", &["range"], refused),
        (&[&["range"]], "consumer", &["sticky"], refused),
        (&[&["range", "sticky"], &["sticky"]], "consumer", &["range"], refused),
        (&[&["range", "sticky"], &["sticky"]], "consumer", &["range", "sticky"], ErrorCode::NONE),
    ];
    for (members, protocol_type, assignors, expected) in cases {
        let mut stage = Stage::new();
        for member in members {
            stage.join_speaking("", speaks(member, "a member"));
        }
        let request = JoinRequest {
            protocol_type: text(protocol_type),
            protocols: speaks(assignors, "it"),
            ..stage.join_request("", None)
        };
        let token = stage.ask_to_join(&request);
        stage.settle();
        let result = stage.joined(token).expect("it is answered");
        assert_eq!(result.error, expected, "{protocol_type} {assignors:?} among {members:?}");
    }
}

#[test]
fn members_vote_for_the_assignor_and_the_leader_alone_hears_of_everybody() {
    let (range_first, sticky_first) = (["range", "sticky"], ["sticky", "range"]);
    let cases: [(&[[&str; 2]], &str); 3] = [
        (&[range_first, sticky_first, sticky_first], "sticky"),
        (&[sticky_first, range_first, range_first], "range"),
        // Equal votes: the one that is first in the alphabet.
        (&[sticky_first, range_first], "range"),
    ];
    for (members, chosen) in cases {
        let mut stage = Stage::new();
        let tokens: Vec<GroupToken> =
            (0..).zip(members).map(|(n, it)| stage.join_speaking("", speaks(it, &format!("{n}")))).collect();
        stage.settle();
        let results: Vec<JoinResult> = tokens.iter().map(|token| stage.joined(*token).expect("all joined")).collect();
        for (index, result) in results.iter().enumerate() {
            assert_eq!((result.protocol.clone(), &result.leader), (Some(text(chosen)), &results[0].member_id));
            assert_eq!(result.members.is_empty(), index > 0);
        }
        let heard: BTreeSet<Bytes> =
            results[0].members.iter().map(|(_, _, subscription)| subscription.clone()).collect();
        let said = (0..members.len()).map(|index| Bytes::from(format!("{chosen} of {index}"))).collect();
        assert_eq!(heard, said);
    }
}

#[test]
fn the_first_rebalance_waits_for_latecomers_as_long_as_members_may_take() {
    let config = GroupConfig { initial_rebalance_delay: Duration::from_secs(3), ..config() };
    // Seconds between those who come, and after how many seconds the generation begins.
    let cases: [(&[u64], u64); 5] = [(&[], 3), (&[2], 6), (&[2, 2], 8), (&[1, 1], 6), (&[2, 3, 2], 8)];
    for (gaps, begins) in cases {
        let mut stage = Stage::configured(config.clone());
        let start = stage.now;
        let join = |stage: &mut Stage| {
            let request = JoinRequest { rebalance_timeout: Duration::from_secs(8), ..stage.join_request("", None) };
            stage.ask_to_join(&request)
        };
        let mut tokens = vec![join(&mut stage)];
        assert_eq!(stage.coordinator.next_deadline(), Some(start + Duration::from_secs(3)));
        let wait_until = |stage: &mut Stage, time: Duration| {
            while let Some(at) = stage.coordinator.next_deadline().filter(|at| *at <= start + time) {
                let before = stage.now;
                stage.wait(at.since(before));
                assert!(stage.coordinator.next_deadline() > Some(stage.now), "it is not woken in vain");
            }
            let before = stage.now;
            stage.wait((start + time).since(before));
        };
        let mut time = 0;
        for gap in gaps {
            time += gap;
            wait_until(&mut stage, Duration::from_secs(time));
            tokens.push(join(&mut stage));
        }
        wait_until(&mut stage, Duration::from_millis(begins * 1000 - 1));
        assert!(tokens.iter().all(|token| stage.joined(*token).is_none()), "{gaps:?}: too early");
        wait_until(&mut stage, Duration::from_secs(begins));
        assert!(tokens.iter().all(|token| stage.joined(*token).is_some()), "{gaps:?}: too late");
    }
}

#[test]
fn a_rebalance_takes_no_longer_because_more_come_while_it_lasts() {
    let mut stage = Stage::new();
    let (first, second) = stage.two_members();
    let third = stage.join("", None);
    stage.join(&first, None);
    stage.wait_with(7, 4, &second, 2);
    let fourth = stage.join("", None);
    stage.wait_with(7, 4, &second, 2);
    assert_eq!((stage.joined(third), stage.joined(fourth)), (None, None));
    stage.wait(Duration::from_secs(4));
    assert_eq!(stage.joined(fourth).map(|result| result.generation), Some(3));
    assert_eq!(stage.state(), (GroupState::CompletingRebalance, 3, 3));
}

#[test]
fn a_static_leader_that_does_not_join_stays_and_loses_the_lead() {
    let mut stage = Stage::new();
    let join = stage.join("", Some("i1"));
    stage.wait(Duration::ZERO);
    let old = stage.joined(join).expect("it is alone").member_id.to_string();
    stage.sync(&old, 1, &[]);
    stage.write();
    let join = stage.join("", None);
    stage.wait_with(15, 4, &old, 1);
    let result = stage.joined(join).expect("time is up");
    assert_eq!((&result.leader, result.members.len()), (&result.member_id, 2));
}

#[test]
fn a_group_of_which_only_silent_static_members_are_left_waits_again() {
    let mut stage = Stage::new();
    let request = JoinRequest { session_timeout: Duration::from_secs(300), ..stage.join_request("", Some("i1")) };
    let join = stage.ask_to_join(&request);
    stage.wait(Duration::ZERO);
    let member = stage.joined(join).expect("it is alone").member_id.to_string();
    stage.sync(&member, 1, &[]);
    stage.write();
    let other = stage.join("", None);
    let identity = stage.identity("", -1);
    assert_eq!(stage.with(|coordinator, ctx| coordinator.leave(&identity, ctx)), ErrorCode::UNKNOWN_MEMBER_ID);
    let other_id = stage.classic_groups().flat_map(|group| group.members.keys()).find(|id| ***id != member).cloned();
    let identity = stage.identity(&other_id.expect("it has joined"), -1);
    stage.with(|coordinator, ctx| coordinator.leave(&identity, ctx));
    assert_eq!(stage.joined(other).map(|result| result.error), Some(ErrorCode::UNKNOWN_MEMBER_ID));
    stage.wait(REBALANCE);
    assert_eq!(stage.state(), (GroupState::PreparingRebalance, 1, 1));
    let back = stage.join(&member, Some("i1"));
    assert_eq!(stage.joined(back).map(|result| result.generation), Some(2));
}

/// A member joins again, as it was or with another subscription. `heard`: of how many members it is told at once.
fn check_join_again(is_stable: bool, leads: bool, changed: bool, heard: Option<usize>, state: GroupState) {
    let mut stage = Stage::new();
    let (first, second) = if is_stable { stage.two_members() } else { stage.two_joined() };
    let member = if leads { first } else { second };
    let mut request = stage.join_request(&member, None);
    if changed {
        request.protocols = speaks(&["range"], "it");
    }
    let (_, generation, _) = stage.state();
    let again = stage.ask_to_join(&request);
    let what = format!("stable: {is_stable}, leads: {leads}, changed: {changed}");
    let result = stage.joined(again);
    assert_eq!(result.as_ref().map(|result| result.members.len()), heard, "{what}");
    assert!(result.is_none_or(|result| (result.error, result.generation) == (ErrorCode::NONE, generation)), "{what}");
    assert_eq!(stage.state(), (state, generation, 2), "{what}");
}

#[test]
fn a_member_that_joins_again_begins_a_rebalance_if_it_brings_news() {
    use GroupState::{CompletingRebalance, PreparingRebalance, Stable};
    // The answer may have been lost: it is given again.
    check_join_again(false, true, false, Some(2), CompletingRebalance);
    check_join_again(false, false, false, Some(0), CompletingRebalance);
    check_join_again(false, false, true, None, PreparingRebalance);
    check_join_again(true, false, false, Some(0), Stable);
    check_join_again(true, false, true, None, PreparingRebalance);
    // The leader has seen other topics.
    check_join_again(true, true, false, None, PreparingRebalance);
}

#[test]
fn a_static_member_that_comes_back_with_another_assignor_begins_a_rebalance() {
    let mut stage = Stage::new();
    let request = stage.join_request("", Some("i1"));
    let join = stage.ask_to_join(&JoinRequest { protocols: speaks(&["range", "sticky"], "it"), ..request.clone() });
    stage.wait(Duration::ZERO);
    let old = stage.joined(join).expect("it is alone").member_id.to_string();
    stage.sync(&old, 1, &[]);
    stage.write();
    let again = stage.ask_to_join(&JoinRequest { protocols: speaks(&["sticky", "range"], "it"), ..request });
    let result = stage.joined(again).expect("nobody else is waited for");
    assert_eq!((result.generation, result.protocol, result.skip_assignment), (2, Some(text("sticky")), false));
}

#[test]
fn the_former_self_of_a_static_member_hears_that_it_is_fenced() {
    let mut stage = Stage::new();
    stage.two_members();
    let joins = stage.join("", Some("i1"));
    stage.join("", Some("i1"));
    assert_eq!(stage.joined(joins).map(|result| result.error), Some(ErrorCode::FENCED_INSTANCE_ID));

    let mut stage = Stage::new();
    let tokens = [stage.join("", None), stage.join("", Some("i1"))];
    stage.settle();
    let member = stage.joined(tokens[1]).expect("both have joined").member_id.to_string();
    let syncs = stage.sync(&member, 1, &[]);
    stage.join("", Some("i1"));
    assert_eq!(stage.synced(syncs).map(|result| result.error), Some(ErrorCode::FENCED_INSTANCE_ID));
    assert_eq!(stage.state(), (GroupState::PreparingRebalance, 1, 2));
}

#[test]
fn a_member_is_who_it_says_it_is() {
    let mut stage = Stage::new();
    let tokens = [stage.join("", Some("i1")), stage.join("", None)];
    stage.settle();
    let [fixed, dynamic] = tokens.map(|token| stage.joined(token).expect("both have joined").member_id.to_string());
    for (member, instance, generation, expected) in [
        (&fixed[..], Some("i1"), 1, ErrorCode::NONE),
        (&fixed, None, 1, ErrorCode::NONE),
        (&dynamic, None, 1, ErrorCode::NONE),
        (&dynamic, Some("i1"), 1, ErrorCode::FENCED_INSTANCE_ID),
        (&fixed, Some("i9"), 1, ErrorCode::UNKNOWN_MEMBER_ID),
        ("nobody", None, 1, ErrorCode::UNKNOWN_MEMBER_ID),
        (&fixed, Some("i1"), 0, ErrorCode::ILLEGAL_GENERATION),
        (&dynamic, None, 2, ErrorCode::ILLEGAL_GENERATION),
    ] {
        let identity = MemberIdentity { instance_id: instance.map(text), ..stage.identity(member, generation) };
        let heard = stage.with(|coordinator, ctx| coordinator.heartbeat(&identity, ctx));
        assert_eq!(heard, expected, "{member} as {instance:?} in {generation}");
    }
}

#[test]
fn who_syncs_must_speak_what_the_group_speaks() {
    let refused = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
    for (protocol_type, protocol, expected) in [
        (None, None, ErrorCode::NONE),
        (Some("consumer"), Some("range"), ErrorCode::NONE),
        (Some("connect"), None, refused),
        (Some("connect"), Some("range"), refused),
        (None, Some("sticky"), refused),
    ] {
        let mut stage = Stage::new();
        let (_, second) = stage.two_members();
        let token = stage.token();
        let request = SyncRequest {
            member: stage.identity(&second, 2),
            protocol_type: protocol_type.map(text),
            protocol: protocol.map(text),
            assignments: Vec::new(),
        };
        stage.with(|coordinator, ctx| coordinator.sync(token, request, ctx));
        let result = stage.synced(token).expect("the group is stable");
        assert_eq!(result.error, expected, "{protocol_type:?} {protocol:?}");
    }
}

#[test]
fn who_waits_for_an_assignment_hears_that_a_rebalance_has_begun() {
    let mut stage = Stage::new();
    let (_, second) = stage.two_joined();
    let waits = stage.sync(&second, 1, &[]);
    stage.join("", None);
    assert_eq!(stage.synced(waits).map(|result| result.error), Some(ErrorCode::REBALANCE_IN_PROGRESS));
}

#[test]
fn an_assignment_that_is_written_too_late_is_nobodys() {
    let mut stage = Stage::new();
    let (first, second) = stage.two_joined();
    stage.sync(&first, 1, &[(&first, "0"), (&second, "1")]);
    stage.join("", None);
    // Of the present generation, but it has ended.
    let write = stage.coordinator.take_writes().remove(0);
    let rejoined = [stage.join(&first, None), stage.join(&second, None)];
    assert_eq!(stage.joined(rejoined[0]).map(|result| result.generation), Some(2));
    let waits = stage.sync(&second, 2, &[]);
    stage.with(|coordinator, ctx| coordinator.written(write.number, Ok(Offset(0)), ctx));
    assert_eq!((stage.synced(waits), stage.state()), (None, (GroupState::CompletingRebalance, 2, 3)));
}

#[test]
fn a_silent_member_is_out_when_its_session_is_over_and_not_before() {
    let mut stage = Stage::new();
    let (first, second) = stage.two_members();
    let silent_since = stage.now;
    stage.wait(Duration::from_secs(5));
    stage.heartbeat(&first, 2);
    assert_eq!(stage.coordinator.next_deadline(), Some(silent_since + SESSION));
    let (now, until) = (stage.now, silent_since + SESSION);
    stage.wait(Duration(until.since(now).0 - 1));
    assert_eq!(stage.state(), (GroupState::Stable, 2, 2));
    stage.wait(NANOSECOND);
    assert_eq!(stage.state(), (GroupState::PreparingRebalance, 2, 1));
    assert_eq!(stage.heartbeat(&second, 2), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_client_that_was_told_its_id_is_waited_for_as_long_as_its_session_lasts() {
    let mut stage = Stage::new();
    let (first, second) = stage.two_members();
    let pending = stage.ask_for_id();
    assert_eq!((pending.error, pending.generation), (ErrorCode::MEMBER_ID_REQUIRED, -1));
    let third = stage.join("", None);
    let rejoined = [stage.join(&first, None), stage.join(&second, None)];
    stage.wait(Duration(SESSION.0 - 1));
    assert_eq!(stage.joined(third), None, "somebody may come back with that id");
    stage.wait(NANOSECOND);
    assert!([third, rejoined[0], rejoined[1]].iter().all(|token| stage.joined(*token).is_some()));
}

#[test]
fn nobody_is_put_out_for_not_syncing_while_there_is_time() {
    let mut stage = Stage::new();
    let join = stage.join("", None);
    stage.wait(Duration::ZERO);
    let member = stage.joined(join).expect("it is alone").member_id.to_string();
    stage.ask_for_id();
    // Something else is due after ten seconds.
    stage.wait_with(4, 3, &member, 1);
    assert_eq!(stage.state(), (GroupState::CompletingRebalance, 1, 1));
}

#[test]
fn states_are_said_as_tools_print_them() {
    let mut stage = Stage::new();
    let (first, second) = stage.two_members();
    for member in [first, second] {
        let identity = stage.identity(&member, 2);
        stage.with(|coordinator, ctx| coordinator.leave(&identity, ctx));
    }
    stage.wait(REBALANCE);
    let states: Vec<&str> = stage.facts.iter().filter_map(|fact| match_state(fact)).collect();
    let rebalance = ["PreparingRebalance", "CompletingRebalance"];
    let expected = [&rebalance[..], &rebalance, &["Stable", "PreparingRebalance", "Empty"]].concat();
    assert_eq!(states, expected);
}

fn match_state(fact: &Fact) -> Option<&str> {
    if let Fact::GroupStateChanged { state, .. } = fact { Some(state) } else { None }
}

#[test]
fn a_broker_coordinates_the_groups_of_the_partitions_that_it_leads() {
    let mut stage = Stage::new();
    let (here, elsewhere) = (GroupId(text("test")), GroupId(text("tedu")));
    stage.coordinator = GroupCoordinator::new(config(), 1);
    stage.coordinator.set_partitions(50);
    assert!(stage.coordinator.elected(48, LeaderEpoch(1)));
    assert_eq!((stage.coordinator.led(), stage.coordinator.coordinates(&here)), (vec![48], false));
    stage.with(|coordinator, ctx| coordinator.loaded(48, [], ctx));
    assert!(stage.coordinator.coordinates(&here));
    assert!(!stage.coordinator.coordinates(&elsewhere));
}

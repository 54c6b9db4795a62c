//! Each fault does what it says, leaves its witness, and heals.

use ackproof_core::fact::{Event, Fact};
use ackproof_core::types::{Duration, NodeId};
use ackproof_sim::Outcome;
use ackproof_sim::faults::{Action, MessageFault, Selector, Step, Trigger};
use ackproof_sim::workload::AtEnd;
use ackproof_sim::world::{Direction, Interference, Keep};

use crate::build::{Build, Facts, leader, step, when_appended};

pub fn lasting(seconds: u64, step: Step) -> Step {
    Step { lasts: Some(Duration::from_secs(seconds)), ..step }
}

pub fn messages(api: &str, direction: Direction, interference: Interference) -> Action {
    Action::Messages(MessageFault {
        api: Some(api.to_owned()),
        direction: Some(direction),
        from: None,
        to: None,
        partition: None,
        interference,
        times: Some(1),
        skip: 0,
    })
}

pub fn safe() -> Build {
    Build::new("3.9").broker("min.insync.replicas", "2").records(100)
}

/// Nothing acknowledged is lost, everything came to rest, and the fault bit.
pub fn check_harmless(build: Build, seed: u64) -> Facts {
    let (world, facts) = build.run(seed);
    assert_eq!(world.outcome(), Outcome::Quiescent, "seed {seed}: {:#?}", facts.events.last_chunk::<8>());
    let failed = || facts.events.iter().find(|event| matches!(event.fact, Fact::RecordFailed { .. }));
    assert_eq!(facts.acknowledged(), 100, "seed {seed}: {:#?}", failed());
    assert_eq!(facts.surveyed(), 100, "seed {seed}");
    assert_eq!(facts.polled_offsets(), (0..100).collect::<Vec<i64>>(), "seed {seed}");
    assert!(facts.count(|fact| matches!(fact, Fact::FaultBit { .. })) > 0, "seed {seed}: the fault never bit");
    facts
}

#[test]
fn a_killed_leader_is_replaced_and_comes_back() {
    for seed in 0..20 {
        let facts = check_harmless(safe().kill_leader_after(50), seed);
        assert!(facts.count(|fact| matches!(fact, Fact::LeaderElected { .. })) >= 2, "seed {seed}");
    }
}

#[test]
fn a_paused_leader_is_fenced_and_follows_when_it_wakes() {
    for seed in 0..10 {
        check_harmless(safe().step(lasting(20, when_appended(50, Action::Pause(leader())))), seed);
    }
}

#[test]
fn a_cut_leader_is_replaced_and_catches_up_when_the_link_heals() {
    for seed in 0..10 {
        let everybody_else = Selector::Except(
            Box::new(Selector::Any(vec![Selector::AllBrokers, Selector::AllClients, Selector::Controller])),
            Box::new(leader()),
        );
        let cut = Action::Cut { from: leader(), to: everybody_else, both_ways: true };
        check_harmless(safe().step(lasting(40, when_appended(50, cut))), seed);
    }
}

#[test]
fn a_lost_response_is_asked_for_again() {
    for seed in 0..10 {
        for interference in [Interference::Drop, Interference::Reset, Interference::Delay(Duration::from_secs(40))] {
            let fault = messages("Produce", Direction::Response, interference);
            check_harmless(safe().step(lasting(60, when_appended(50, fault))), seed);
        }
    }
}

#[test]
fn a_machine_without_power_loses_what_it_had_not_synced_and_fetches_it_again() {
    for seed in 0..10 {
        for keep in [Keep::Nothing, Keep::Prefix, Keep::Torn, Keep::Subset] {
            let power = Action::PowerLoss(Selector::AFollowerOf(crate::build::partition()), keep);
            let facts = check_harmless(safe().step(lasting(20, when_appended(50, power))), seed);
            let lost =
                facts.count(|fact| matches!(fact, Fact::PowerLost { unsynced_bytes, .. } if *unsynced_bytes > 0));
            assert_eq!(lost, 1, "there were unsynced records");
        }
    }
}

#[test]
fn a_stopped_broker_hands_over_its_leadership_first() {
    for seed in 0..10 {
        let facts = check_harmless(safe().step(lasting(20, when_appended(50, Action::Stop(leader())))), seed);
        let refused = facts.count(|fact| matches!(fact, Fact::BrokerFenced { .. }));
        assert!(refused <= 1, "a clean stop needs no session timeout");
    }
}

#[test]
fn a_broker_that_is_told_to_stop_while_it_is_paused_starts_again_whatever_else_is_over_meanwhile() {
    let victim = || Selector::Bound("victim".to_owned());
    let later = |seconds, lasts, action| {
        let step = step(Trigger::After(0), action);
        lasting(lasts, Step { delay: Duration::from_secs(seconds), ..step })
    };
    let mut kill = lasting(10, when_appended(20, Action::Kill(Selector::AFollowerOf(crate::build::partition()))));
    kill.bind = Some("victim".to_owned());
    let mut start = step(Trigger::After(0), Action::Start(victim()));
    start.delay = Duration::from_secs(2);
    // It stops when it is resumed, after 18 seconds: until then, 2 seconds of rest are over, and so is what killed it once.
    let pause = later(3, 15, Action::Pause(victim()));
    let stop = later(4, 2, Action::Stop(victim()));
    let facts = check_harmless(safe().step(kill).step(start).step(pause).step(stop), 1);
    let stops = |event: &&Event| event.fact == Fact::NodeStopped && matches!(event.node, NodeId::Broker(_));
    assert_eq!(facts.events.iter().filter(stops).count(), 1);
}

#[test]
fn a_process_that_exits_without_close_abandons_what_it_holds() {
    let (_, facts) =
        Build::new("3.9").producer("linger.ms", "1000").records(10).at_end(AtEnd::Exit(Duration::ZERO)).run(1);
    assert_eq!(facts.count(|fact| matches!(fact, Fact::RecordAbandoned { unsent: true, .. })), 10);
    assert_eq!(facts.surveyed(), 0);
}

#[test]
fn a_leader_that_acknowledges_alone_loses_what_its_followers_have_not_fetched() {
    let hold = Action::Messages(MessageFault {
        api: Some("Fetch".to_owned()),
        direction: Some(Direction::Request),
        from: Some(Selector::AllBrokers),
        to: Some(leader()),
        partition: None,
        interference: Interference::Drop,
        times: None,
        skip: 0,
    });
    let kill = Step { not_before: Some(0), ..when_appended(60, Action::Kill(leader())) };
    let build =
        Build::new("3.9").producer("acks", "1").step(lasting(40, when_appended(50, hold))).step(lasting(60, kill));
    let (world, facts) = build.run(2);
    assert_eq!(world.outcome(), Outcome::Quiescent);
    assert_eq!(facts.acknowledged(), 100);
    assert!(facts.surveyed() < 100, "records acknowledged by the dead leader alone are gone");
    assert!(facts.count(|fact| matches!(fact, Fact::Truncated { .. })) > 0);
}

#[test]
fn a_step_follows_another_and_names_what_it_was_done_to() {
    let mut kill = when_appended(20, Action::Kill(leader()));
    kill.bind = Some("old leader".to_owned());
    let mut start = step(Trigger::After(0), Action::Start(Selector::Bound("old leader".to_owned())));
    start.delay = Duration::from_secs(15);
    let facts = check_harmless(safe().step(kill).step(start), 3);
    let killed: Vec<NodeId> =
        facts.events.iter().filter(|event| event.fact == Fact::NodeKilled).map(|event| event.node).collect();
    let restarted = facts.events.iter().rfind(|event| event.fact == Fact::NodeStarted).map(|event| event.node);
    assert_eq!(restarted, killed.first().copied());
}

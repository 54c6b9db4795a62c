//! What never comes to rest says who waits for whom, and what stands in between.

use std::sync::Arc;

use ackproof_core::fact::Fact;
use ackproof_core::types::Duration;
use ackproof_sim::faults::{Action, Condition, FactPattern, MessageFault, Selector, Step, Trigger};
use ackproof_sim::world::{Direction, Interference};
use ackproof_sim::{Outcome, World};

use crate::build::{Build, Facts, leader, partition, step, when_appended};

/// The fault never heals; one of the sentences says all of this.
#[track_caller]
fn check(fault: Action, says: &[&str]) {
    let step = Step { name: "something in between".to_owned(), ..when_appended(20, fault) };
    let (world, facts) = Build::new("3.9").records(50).step(step).run(1);
    assert_eq!(world.outcome(), Outcome::TimeLimit);
    let stuck: Vec<&str> = facts
        .events
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::Stuck { what } => Some(what.as_str()),
            _ => None,
        })
        .collect();
    assert!(stuck.iter().any(|what| says.iter().all(|word| what.contains(word))), "{says:?} is not in {stuck:#?}");
}

fn fetches_of_followers(interference: Interference) -> Action {
    Action::Messages(MessageFault {
        api: Some("Fetch".to_owned()),
        direction: Some(Direction::Request),
        from: Some(Selector::FollowersOf(partition())),
        to: Some(leader()),
        partition: None,
        interference,
        times: None,
        skip: 0,
    })
}

#[test]
fn a_follower_behind_a_cut_waits_for_its_leader() {
    let cut = Action::Cut { from: Selector::FollowersOf(partition()), to: leader(), both_ways: true };
    check(cut, &["orders-0: broker", "to answer its fetch", "under an unhealed cut: fault 1 (something in between)"]);
}

#[test]
fn a_follower_whose_requests_are_swallowed_names_the_rule() {
    let drop = fetches_of_followers(Interference::Drop);
    check(drop, &["orders-0: broker", "to answer its fetch", "fault 1 (something in between) drops Fetch messages"]);
}

#[test]
fn a_held_request_is_told_with_both_ends() {
    let hold = fetches_of_followers(Interference::Hold);
    check(hold, &["Fetch request from broker", "has waited since", "holds Fetch messages"]);
}

#[test]
fn a_producer_behind_a_cut_has_not_finished() {
    let everybody = Selector::Any(vec![Selector::AllBrokers]);
    let cut = Action::Cut { from: Selector::AllClients, to: everybody, both_ways: true };
    check(cut, &["c1 is at offset", "under an unhealed cut: fault 1"]);
}

/// Two leaders are killed for good one after the other, the second when it is elected and all else is done: each time a session has to end first.
#[test]
fn what_happens_while_the_cluster_comes_to_rest_has_its_own_time() {
    let outcome = |settle_limit: Duration| {
        let kill = Step { delay: Duration::from_secs(1), ..when_appended(49, Action::Kill(leader())) };
        let fields = vec![("partition".to_owned(), Condition::Is("orders-0".into()))];
        let elected = FactPattern { kind: "leader-elected".to_owned(), node: None, fields, times: 2 };
        let again = step(Trigger::Fact(elected), Action::Kill(leader()));
        let mut spec =
            Build::new("3.9").records(50).step(kill).step(Step { name: "again".to_owned(), ..again }).spec(1);
        spec.settle_limit = settle_limit;
        let mut world = World::new(Arc::new(spec));
        world.run(&mut Facts::default());
        world.outcome()
    };
    assert_eq!(outcome(Duration::from_secs(12)), Outcome::Quiescent);
    assert_eq!(outcome(Duration::from_secs(5)), Outcome::TimeLimit);
}

/// A broker is killed for good shortly before the end of the time that there is for faults; its successor is elected after that.
#[test]
fn what_was_hurt_last_has_its_time_to_come_to_rest() {
    let outcome = |settle_limit: Duration| {
        let kill = when_appended(49, Action::Kill(leader()));
        let mut spec = Build::new("3.9").records(50).step(Step { delay: Duration::from_secs(1), ..kill }).spec(1);
        (spec.time_limit, spec.settle_limit) = (Duration::from_secs(4), settle_limit);
        let mut world = World::new(Arc::new(spec));
        world.run(&mut Facts::default());
        world.outcome()
    };
    assert_eq!(outcome(Duration::from_secs(60)), Outcome::Quiescent);
    assert_eq!(outcome(Duration::from_secs(2)), Outcome::TimeLimit);
}

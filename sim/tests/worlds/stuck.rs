//! What never comes to rest says who waits for whom, and what stands in between.

use ackproof_core::fact::Fact;
use ackproof_sim::Outcome;
use ackproof_sim::faults::{Action, MessageFault, Selector, Step};
use ackproof_sim::world::{Direction, Interference};

use crate::build::{Build, leader, partition, when_appended};

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

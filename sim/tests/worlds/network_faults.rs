//! What a network does beside losing messages: repeats them, corrupts them, falls silent, gets slow.

use ackproof_core::fact::Fact;
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{Duration, NodeId, Ratio};
use ackproof_sim::faults::{Action, FactPattern, LinkChange, MessageFault, Selector, Step, Trigger};
use ackproof_sim::world::{Corruption, Direction, Interference, Keep};

use crate::build::{Build, Facts, leader, step, when_appended};
use crate::faults::{check_harmless, lasting, messages, safe};

fn everybody() -> Selector {
    Selector::Any(vec![Selector::AllBrokers, Selector::AllClients, Selector::Controller])
}

fn produce(interference: Interference) -> Step {
    lasting(60, when_appended(50, messages("Produce", Direction::Request, interference)))
}

fn errors(facts: &Facts, error: ErrorCode) -> usize {
    facts.count(|fact| matches!(fact, Fact::ProduceAnswered { error: found, .. } if *found == error))
}

#[test]
fn a_repeated_request_is_appended_twice_unless_the_producer_is_idempotent() {
    for seed in 0..5 {
        let repeat = || produce(Interference::Duplicate(Duration::from_millis(300)));
        check_harmless(safe().step(repeat()), seed);
        let (_, facts) = Build::new("3.9").producer("enable.idempotence", "false").step(repeat()).run(seed);
        assert_eq!((facts.acknowledged(), facts.surveyed()), (100, 101), "seed {seed}");
    }
}

#[test]
fn a_bit_flipped_in_a_record_is_caught_by_the_leader_and_the_batch_is_sent_again() {
    for seed in 0..5 {
        let facts = check_harmless(safe().step(produce(Interference::Corrupt(Corruption::Records))), seed);
        assert_eq!(errors(&facts, ErrorCode::CORRUPT_MESSAGE), 1, "seed {seed}");
    }
}

#[test]
fn a_bit_flipped_in_a_leader_epoch_changes_nothing() {
    let facts = check_harmless(safe().step(produce(Interference::Corrupt(Corruption::LeaderEpoch))), 1);
    assert_eq!(errors(&facts, ErrorCode::CORRUPT_MESSAGE), 0);
}

#[test]
fn a_bit_flipped_in_a_base_offset_is_refused_because_clients_count_from_0() {
    let (_, facts) = safe().step(produce(Interference::Corrupt(Corruption::BaseOffset))).run(1);
    assert_eq!((facts.acknowledged(), facts.surveyed()), (99, 99));
    assert_eq!(facts.count(|fact| matches!(fact, Fact::RecordFailed { definite: true, .. })), 1);
}

#[test]
fn a_bit_flipped_on_the_way_to_a_follower_is_caught_and_fetched_again() {
    let fault = Action::Messages(MessageFault {
        api: Some("Fetch".to_owned()),
        direction: Some(Direction::Response),
        from: Some(leader()),
        to: Some(Selector::AllBrokers),
        partition: None,
        interference: Interference::Corrupt(Corruption::Records),
        times: Some(3),
        skip: 0,
    });
    for seed in 0..5 {
        check_harmless(safe().step(lasting(60, when_appended(50, fault.clone()))), seed);
    }
}

#[test]
fn a_silent_connection_is_given_up_after_its_timeout_and_opened_anew() {
    let silence = Action::Silence { from: Selector::Client("p1".to_owned()), to: leader() };
    for seed in 0..5 {
        let build = safe().producer("request.timeout.ms", "5000").producer("delivery.timeout.ms", "30000");
        let facts = check_harmless(build.step(when_appended(50, silence.clone())), seed);
        assert!(facts.count(|fact| matches!(fact, Fact::MessageLost { .. })) > 0, "seed {seed}");
        assert!(facts.count(|fact| matches!(fact, Fact::BatchRetried { .. })) > 0, "seed {seed}");
    }
}

#[test]
fn a_reset_reaches_each_end_later_than_the_place_where_it_happened() {
    let fault = messages("Produce", Direction::Request, Interference::Reset);
    let (_, facts) = safe().step(lasting(60, when_appended(50, fault))).run(1);
    let bit = facts.events.iter().find(|event| matches!(event.fact, Fact::FaultBit { .. })).expect("it bit");
    let retried = facts.events.iter().find(|event| matches!(event.fact, Fact::BatchRetried { .. })).expect("it told");
    assert!(retried.time > bit.time, "the producer learned of it at once: {} {}", bit.time, retried.time);
}

/// Everything from and to the leader is slow.
fn slow_link() -> Action {
    Action::Link(LinkChange {
        from: leader(),
        to: everybody(),
        both_ways: true,
        latency: Some((Duration::from_millis(200), Duration::from_millis(300))),
        loss: None,
        bandwidth: None,
    })
}

#[test]
fn a_link_gets_slow_and_recovers() {
    let (_, facts) = safe().step(lasting(5, when_appended(50, slow_link()))).run(1);
    let end = |facts: &Facts| {
        facts.events.iter().rfind(|event| matches!(event.fact, Fact::RecordAcknowledged { .. })).map(|event| event.time)
    };
    let (_, quick) = safe().run(1);
    assert_eq!((facts.acknowledged(), facts.surveyed()), (100, 100));
    assert!(end(&facts) > end(&quick).map(|at| at + Duration::from_millis(100)));
}

#[test]
fn links_that_were_slow_twice_at_once_recover_from_both() {
    // The one that began first ends first.
    let build = safe().records(1_000).step(lasting(2, when_appended(50, slow_link())));
    let (_, facts) = build.step(lasting(4, when_appended(60, slow_link()))).run(1);
    let last = |is: fn(&Fact) -> bool| {
        facts.events.iter().rfind(|event| is(&event.fact)).map(|event| event.time).expect("there are some")
    };
    let sent = last(|fact| matches!(fact, Fact::RecordSent { .. }));
    let answered = last(|fact| matches!(fact, Fact::RecordAcknowledged { .. }));
    assert!(answered < sent + Duration::from_millis(100), "sent at {sent}, answered at {answered}");
}

#[test]
fn racks_are_cut_and_lose_power_together() {
    let rack = |name: &str| Selector::Rack(name.to_owned());
    let build = safe().rack(1, "a").rack(2, "b").rack(3, "b");
    let power = Action::PowerLoss(rack("b"), ackproof_sim::world::Keep::Everything);
    let (_, facts) = build.step(lasting(20, when_appended(50, power))).run(1);
    let dark: Vec<NodeId> = facts
        .events
        .iter()
        .filter(|event| matches!(event.fact, Fact::PowerLost { .. }))
        .map(|event| event.node)
        .collect();
    assert_eq!(dark, [NodeId::Broker(2), NodeId::Broker(3)]);
}

/// A client says that everything is sent, and a cut keeps it from the brokers. Its process dies, or its machine loses power, before the cut heals.
#[test]
fn what_waits_behind_a_cut_goes_with_the_machine_that_sent_it() {
    let arrived = |death: Action| {
        let cut = Action::Cut { from: Selector::AllClients, to: everybody(), both_ways: true };
        let death = Step { delay: Duration::from_millis(500), ..when_appended(20, death) };
        let build = Build::new("3.9").producer("acks", "0").producer("enable.idempotence", "false");
        build.step(lasting(3, when_appended(20, cut))).step(lasting(5, death)).run(1).1.surveyed()
    };
    let producer = || Selector::Client("p1".to_owned());
    let (killed, dark) = (arrived(Action::Kill(producer())), arrived(Action::PowerLoss(producer(), Keep::Everything)));
    assert!(killed > dark + 20, "{killed} arrive of a process that was killed, {dark} of a machine without power");
}

/// Of what a client sends, much is lost and has to be sent again. Its process dies, or its machine loses power.
#[test]
fn what_would_be_sent_again_goes_with_the_machine_that_sent_it() {
    let arrived = |death: Action| {
        let lossy = Action::Link(LinkChange {
            from: Selector::AllClients,
            to: everybody(),
            both_ways: false,
            latency: None,
            loss: Some(Ratio::new(9, 10)),
            bandwidth: None,
        });
        let death = Step { delay: Duration::from_millis(50), ..when_appended(20, death) };
        let build = Build::new("3.9").producer("acks", "0").producer("enable.idempotence", "false");
        build.step(lasting(3, when_appended(20, lossy))).step(lasting(60, death)).run(1).1.surveyed()
    };
    let producer = || Selector::Client("p1".to_owned());
    let (killed, dark) = (arrived(Action::Kill(producer())), arrived(Action::PowerLoss(producer(), Keep::Everything)));
    assert!(killed > dark, "{killed} arrive of a process that was killed, {dark} of a machine without power");
}

/// A client asks to connect; the answer waits behind a cut, and is gone with the power of the brokers. The client's kernel asks again: before
/// 2.7 nothing else would (KIP-601).
#[test]
fn who_is_not_answered_before_a_broker_loses_its_power_asks_again() {
    let when_ready = |delay: u64, action: Action| {
        let (kind, fields) = ("cluster-ready".to_owned(), Vec::new());
        let pattern = FactPattern { kind, node: None, fields, times: 1 };
        Step { delay: Duration::from_millis(delay), ..step(Trigger::Fact(pattern), action) }
    };
    let cut = Action::Cut { from: Selector::AllBrokers, to: Selector::AllClients, both_ways: false };
    let dark = Action::PowerLoss(Selector::AllBrokers, Keep::Everything);
    let build = Build::new("2.2").step(lasting(5, when_ready(0, cut))).step(lasting(2, when_ready(500, dark)));
    let (_, facts) = build.run(1);
    assert_eq!((facts.acknowledged(), facts.surveyed()), (100, 100));
}

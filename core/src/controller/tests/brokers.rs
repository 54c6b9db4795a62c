//! Registration, heartbeats, sessions, controlled shutdown.

use super::*;
use crate::types::{BrokerEpoch, LeaderEpoch, Offset, PartitionEpoch};

#[test]
fn a_broker_registers_fenced_and_is_unfenced_once_it_has_read_its_own_registration() {
    let mut rig = Rig::new();
    let (facts, response) = rig.register(1, 1);
    assert_eq!(facts, [Fact::BrokerRegistered { broker: 1, epoch: BrokerEpoch(0) }]);
    assert_eq!((response.error_code, response.broker_epoch), (0, 0));
    assert!(rig.controller.image().brokers[&1].fenced);

    let (facts, response) = rig.heartbeat(1, |request| request.with_current_metadata_offset(-1));
    assert_eq!(facts, []);
    assert!(response.is_fenced && !response.is_caught_up);

    let (facts, response) = rig.heartbeat(1, |request| request.with_current_metadata_offset(0));
    assert_eq!(facts, [Fact::BrokerUnfenced { broker: 1 }]);
    assert!(!response.is_fenced && response.is_caught_up && !response.should_shut_down);

    let (facts, response) = rig.heartbeat(1, |request| request);
    assert_eq!(facts, [], "nothing happens twice");
    assert!(!response.is_fenced);
    assert_eq!(rig.controller.image().last_applied, Offset(1));
}

#[test]
fn the_epoch_of_a_broker_is_the_offset_of_its_registration() {
    let rig = Rig::with_brokers(2);
    assert_eq!((rig.epoch_of(1), rig.epoch_of(2)), (0, 2));
}

#[test]
fn another_incarnation_is_turned_away_while_the_session_lasts() {
    let mut rig = Rig::with_brokers(1);
    rig.pass(Duration::from_secs(8));
    let (facts, response) = rig.register(1, 2);
    assert_eq!(facts, []);
    assert_eq!(error(response.error_code), ErrorCode::DUPLICATE_BROKER_REGISTRATION);

    assert_eq!(rig.pass(Duration::from_secs(1)), [Fact::BrokerFenced { broker: 1 }]);
    let (facts, response) = rig.register(1, 2);
    assert_eq!(error(response.error_code), ErrorCode::NONE);
    assert_eq!(facts, [Fact::BrokerRegistered { broker: 1, epoch: BrokerEpoch(3) }]);
}

#[test]
fn a_registration_whose_answer_was_lost_keeps_its_epoch() {
    let mut rig = Rig::with_brokers(2);
    let before = rig.controller.image().brokers[&1].clone();
    let (_, response) = rig.register(1, 1);
    assert_eq!((response.error_code, response.broker_epoch), (0, before.epoch.0));
    let after = &rig.controller.image().brokers[&1];
    assert_eq!((after.fenced, after.epoch), (false, before.epoch));
    assert!(after.registered_at > before.registered_at);
}

#[test]
fn an_old_incarnation_is_not_listened_to() {
    let mut rig = Rig::with_brokers(1);
    let old_epoch = rig.epoch_of(1);
    rig.lose(&[1]);
    rig.join(1, 2);
    let (facts, response) = rig.heartbeat(1, |request| request.with_broker_epoch(old_epoch).with_want_fence(true));
    assert_eq!((facts, error(response.error_code)), (vec![], ErrorCode::STALE_BROKER_EPOCH));
    let (_, response) = rig.heartbeat(7, |request| request);
    assert_eq!(error(response.error_code), ErrorCode::STALE_BROKER_EPOCH, "it never registered");
}

#[test]
fn a_silent_broker_is_fenced_when_its_session_runs_out_and_not_before() {
    let mut rig = Rig::with_brokers(1);
    assert_eq!(rig.pass(Duration::from_nanos(SESSION.as_nanos() - 1)), []);
    assert_eq!(rig.pass(Duration::from_nanos(1)), [Fact::BrokerFenced { broker: 1 }]);
    assert_eq!(rig.controller.next_deadline(), None);
}

#[test]
fn a_heartbeat_that_comes_too_late_finds_the_broker_fenced_and_unfences_it() {
    let mut rig = Rig::with_brokers(1);
    rig.now += SESSION.times(2); // The controller was paused: its deadline comes late.
    let (facts, response) = rig.heartbeat(1, |request| request);
    assert_eq!(facts, [Fact::BrokerFenced { broker: 1 }, Fact::BrokerUnfenced { broker: 1 }]);
    assert!(!response.is_fenced);
}

#[test]
fn sessions_begin_anew_when_the_controller_starts() {
    let mut rig = Rig::with_brokers(1);
    rig.pass(Duration::from_secs(8));
    rig.restart();
    assert_eq!(rig.pass(Duration::from_secs(8)), []);
    assert_eq!(error(rig.register(1, 2).1.error_code), ErrorCode::DUPLICATE_BROKER_REGISTRATION);
    assert_eq!(rig.pass(Duration::from_secs(1)), [Fact::BrokerFenced { broker: 1 }]);
}

#[test]
fn a_controlled_shutdown_moves_leaders_first_and_waits_until_everyone_knows() {
    let mut rig = Rig::with_brokers(2);
    rig.create_orders(&[1, 2]);
    let read_so_far = rig.controller.image().last_applied.0;
    rig.heartbeat(2, |request| request.with_current_metadata_offset(read_so_far));

    let (facts, response) = rig.heartbeat(1, |request| request.with_want_shut_down(true));
    assert_eq!(rig.line(), "2 [2] e1 p1");
    let [Fact::ControlledShutdownBegan { broker: 1 }, moved @ ..] = &facts[..] else { panic!("{facts:?}") };
    assert!(matches!(moved, [Fact::LeaderElected { leader: 2, clean: true, .. }, Fact::IsrChanged { .. }]));
    assert!(!response.is_fenced && !response.should_shut_down);

    let (facts, response) = rig.heartbeat(1, |request| request.with_want_shut_down(true));
    assert_eq!(facts, []);
    assert!(!response.should_shut_down, "broker 2 has not read of it yet");

    rig.heartbeat(2, |request| request);
    let (facts, response) = rig.heartbeat(1, |request| request.with_want_shut_down(true));
    assert_eq!(facts, [Fact::BrokerFenced { broker: 1 }]);
    assert!(response.should_shut_down && response.is_fenced);
}

#[test]
fn the_last_leader_cannot_hand_over_and_goes_when_its_session_ends() {
    let mut rig = Rig::with_brokers(1);
    rig.create_orders(&[1]);
    let (facts, response) = rig.heartbeat(1, |request| request.with_want_shut_down(true));
    let (leader_epoch, partition_epoch) = (LeaderEpoch(1), PartitionEpoch(1));
    let partition = TopicPartition::of("orders", 0);
    let offline = Fact::PartitionOffline { partition, isr: vec![1], leader_epoch, partition_epoch };
    assert_eq!(facts, [Fact::ControlledShutdownBegan { broker: 1 }, offline]);
    assert!(!response.should_shut_down);
    let (_, response) = rig.heartbeat(1, |request| request.with_want_shut_down(true));
    assert!(response.should_shut_down, "it leads nothing any more");
    assert_eq!(rig.line(), "-1 [1] e1 p1");
}

#[test]
fn a_broker_that_leads_nothing_may_stop_at_once() {
    let mut rig = Rig::with_brokers(1);
    let (facts, response) = rig.heartbeat(1, |request| request.with_want_shut_down(true));
    assert_eq!(facts, [Fact::BrokerFenced { broker: 1 }]);
    assert!(response.should_shut_down);
}

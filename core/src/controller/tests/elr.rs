//! Eligible leader replicas (KIP-966): who may lead when nobody is in sync, and who may not.

use super::*;
use crate::config::LogConfig;
use crate::types::BrokerEpoch;

/// `orders` on three brokers with `min.insync.replicas=2`.
fn three_replicas() -> Rig {
    let mut config = config();
    config.toggles.elr = true;
    config.log = LogConfig { min_insync_replicas: 2, ..config.log };
    let mut rig = Rig::with(config);
    for broker in [1, 2, 3] {
        rig.join(broker, 1);
    }
    rig.create_orders(&[1, 2, 3]);
    rig
}

fn state(rig: &Rig) -> String {
    let orders = rig.orders();
    format!("{} ISR {:?} ELR {:?} last {:?}", orders.leader, orders.isr, orders.elr, orders.last_known_elr)
}

fn register_after(rig: &mut Rig, broker: i32, life: u8, previous_epoch: i64) {
    let request = BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(broker))
        .with_incarnation_id(incarnation(broker, life))
        .with_previous_broker_epoch(previous_epoch);
    match rig.ask(request) {
        (_, Response::BrokerRegistration(response)) => assert_eq!(response.error_code, 0),
        other => panic!("not a registration: {other:?}"),
    }
    let (_, response) = rig.heartbeat(broker, |request| request);
    assert!(!response.is_fenced);
}

#[test]
fn a_replica_that_leaves_a_small_isr_stays_eligible() {
    let mut rig = three_replicas();
    rig.lose(&[3]);
    assert_eq!(state(&rig), "1 ISR [1, 2] ELR [] last []", "two are enough: broker 3 is missed by nobody");
    rig.lose(&[2]);
    assert_eq!(state(&rig), "1 ISR [1] ELR [2] last []");
    rig.lose(&[1]);
    assert_eq!(state(&rig), "-1 ISR [] ELR [1, 2] last [1]");

    // Broker 3 lacks what was committed without it, and it does not matter that it is back first.
    rig.join(3, 2);
    assert_eq!(state(&rig), "-1 ISR [] ELR [1, 2] last [1]");
    let epoch = rig.epoch_of(2);
    register_after(&mut rig, 2, 2, epoch);
    assert_eq!(state(&rig), "2 ISR [2] ELR [1] last []");
    rig.alter_partition(2, &[2, 3], |_| {});
    assert_eq!(state(&rig), "2 ISR [2, 3] ELR [] last []");
}

#[test]
fn whoever_did_not_stop_cleanly_is_not_eligible_and_then_the_last_leader_is_all_there_is() {
    let mut rig = three_replicas();
    for broker in [3, 2, 1] {
        rig.lose(&[broker]);
    }
    register_after(&mut rig, 2, 2, -1);
    assert_eq!(state(&rig), "-1 ISR [] ELR [1] last [1]");
    register_after(&mut rig, 3, 2, -1);
    register_after(&mut rig, 1, 2, -1);
    assert_eq!(state(&rig), "1 ISR [1] ELR [] last []");
    assert_eq!(rig.orders().leader_recovery_state, crate::metadata::LeaderRecoveryState::Recovering);
}

#[test]
fn a_live_member_of_the_elr_takes_over_from_a_leader_that_lost_its_disk() {
    let mut rig = three_replicas();
    rig.lose(&[3]);
    // Broker 1 leads, falls behind in the eyes of nobody; broker 2 hangs but is alive.
    rig.alter_partition(1, &[1], |_| {});
    assert_eq!(state(&rig), "1 ISR [1] ELR [2] last []");
    let facts = rig.lose(&[1]);
    assert_eq!(state(&rig), "2 ISR [2] ELR [1] last []");
    assert!(facts.iter().any(|fact| matches!(fact, Fact::LeaderElected { leader: 2, clean: true, .. })), "{facts:?}");
    register_after(&mut rig, 1, 2, -1);
    assert_eq!(state(&rig), "2 ISR [2] ELR [] last []", "its log may have lost its end");
}

#[test]
fn without_the_fix_nobody_is_eligible() {
    let mut config = config();
    config.toggles.elr = false;
    config.log = LogConfig { min_insync_replicas: 2, ..config.log };
    let mut rig = Rig::with(config);
    for broker in [1, 2, 3] {
        rig.join(broker, 1);
    }
    rig.create_orders(&[1, 2, 3]);
    for broker in [3, 2, 1] {
        rig.lose(&[broker]);
    }
    assert_eq!(state(&rig), "-1 ISR [1] ELR [] last []");
}

#[test]
fn a_bounce_within_the_session_is_refused_or_without_the_fix_not_even_noticed() {
    for fix in [true, false] {
        let mut config = config();
        config.toggles.bounce_requires_fencing = fix;
        let mut rig = Rig::with(config);
        for broker in [1, 2] {
            rig.join(broker, 1);
        }
        rig.create_orders(&[1, 2]);
        let before = rig.epoch_of(1);
        let (facts, response) = rig.register(1, 2);
        if fix {
            assert_eq!(error(response.error_code), ErrorCode::DUPLICATE_BROKER_REGISTRATION);
            assert_eq!(facts, []);
            continue;
        }
        assert_eq!(response.error_code, 0);
        assert_eq!(facts, [Fact::BrokerRegistered { broker: 1, epoch: BrokerEpoch(rig.epoch_of(1)) }]);
        assert!(rig.epoch_of(1) > before && !rig.controller.image().brokers[&1].fenced);
        assert_eq!(rig.line(), "1 [1, 2] e0 p0", "it leads on, whatever its disk has lost");
        let (_, answer) = rig.heartbeat(1, |request| request.with_want_fence(true));
        assert!(!answer.is_fenced, "its place is its own, ready or not");
    }
}

//! What a leader makes of its followers: who keeps up, who may join, when the high watermark is looked at.

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::config::{BrokerConfig, Toggles};
use crate::metadata::BrokerRegistration;
use crate::types::Duration;

fn around(version: KafkaVersion, adjust: impl FnOnce(&mut Toggles)) -> Surroundings {
    let mut config = BrokerConfig::resolve(version, &[]).expect("the defaults are in order").config;
    config.broker_id = 1;
    config.replica_lag_time_max_ms = Duration::from_millis(1_000);
    adjust(&mut config.toggles);
    let mut around = Surroundings::new(Arc::new(config));
    around.broker_epoch = BrokerEpoch(10);
    around
}

fn fetched(offset: i64, broker_epoch: i64) -> Replica {
    let mut replica = Replica::new(2);
    replica.fetched(FollowerFetch {
        offset: Offset(offset),
        log_start: Offset(0),
        at: Timestamp(500),
        leader_end: Offset(offset),
        broker_epoch: BrokerEpoch(broker_epoch),
    });
    replica
}

#[test]
fn before_2_3_every_fetch_has_the_high_watermark_looked_at() {
    for (version, moved, expected) in [
        ((2, 2), false, true),
        ((2, 3), false, false),
        ((2, 4), false, false),
        ((2, 2), true, true),
        ((2, 3), true, true),
    ] {
        let around = around(KafkaVersion::new(version.0, version.1), |_| ());
        let effect = FetchEffect { log_end_moved: moved, expand: false };
        assert_eq!(Leader::looks_at_high_watermark(effect, &around), expected, "{version:?}, moved: {moved}");
    }
}

#[test]
fn in_0_8_a_follower_was_out_of_sync_by_the_number_of_records() {
    for (log_end, leader_end, by_time_only, expected) in [
        (5_000, 9_000, false, true),
        (4_999, 9_000, false, false),
        (4_999, 9_000, true, true),
        (9_000, 9_000, false, true),
        // It has not fetched in this leadership yet.
        (-1, 9_000, false, true),
    ] {
        let around = around(KafkaVersion::new(3, 9), |toggles| toggles.isr_by_time_only = by_time_only);
        let mut replica = fetched(log_end, 20);
        let in_sync = |replica: &Replica, now| is_in_sync(replica, Offset(leader_end), Timestamp(now), &around);
        assert_eq!(in_sync(&replica, 1_500), expected, "{log_end} of {leader_end}, by time only: {by_time_only}");
        // By time it is out of sync as well, unless it has everything.
        replica.broker_epoch = None;
        assert_eq!(in_sync(&replica, 1_501), log_end == leader_end);
    }
    assert_eq!(fetched(7, 20).last_caught_up(), Some(Timestamp(500)));
    assert_eq!(Replica::new(2).last_caught_up(), None);
}

#[test]
fn who_may_be_in_an_isr_is_registered_as_the_incarnation_that_fetched() {
    let registered = |fenced: bool, in_controlled_shutdown: bool| BrokerRegistration {
        epoch: BrokerEpoch(20),
        incarnation_id: Uuid::nil(),
        fenced,
        in_controlled_shutdown,
        rack: None,
        log_dirs: Vec::new(),
        registered_at: Offset(0),
    };
    let never = Replica::new(2);
    for (what, registration, replica, eligible, without_epochs) in [
        ("as registered", Some(registered(false, false)), fetched(0, 20), true, true),
        ("it does not say who it is", Some(registered(false, false)), fetched(0, -1), true, true),
        ("another incarnation", Some(registered(false, false)), fetched(0, 19), false, true),
        ("it never fetched", Some(registered(false, false)), never, false, true),
        ("fenced", Some(registered(true, false)), fetched(0, 20), false, false),
        ("shutting down", Some(registered(false, true)), fetched(0, 20), false, false),
        ("not registered", None, fetched(0, 20), false, false),
    ] {
        for (isr_broker_epoch, expected) in [(true, eligible), (false, without_epochs)] {
            let mut around = around(KafkaVersion::new(3, 9), |toggles| {
                (toggles.isr_eligibility_unfenced, toggles.isr_broker_epoch) = (true, isr_broker_epoch);
            });
            around.brokers.extend(registration.clone().map(|registration| (2, registration)));
            assert_eq!(is_eligible(&replica, &around), expected, "{what}, epochs count: {isr_broker_epoch}");
        }
        let anybody = around(KafkaVersion::new(3, 9), |toggles| toggles.isr_eligibility_unfenced = false);
        assert!(is_eligible(&replica, &anybody), "{what}, before KIP-841");
    }
}

#[test]
fn a_proposal_names_the_incarnations_as_far_as_they_are_known() {
    let around = around(KafkaVersion::new(3, 9), |_| ());
    let mut leader = Leader::default();
    leader.assign(&[1, 2, 3], 1);
    leader.isr = IsrState::committed(vec![1, 2, 3]);
    leader.followers[0] = fetched(0, 20);
    let wanted = leader.wanted_with_epochs(&around);
    assert_eq!(wanted, [(1, BrokerEpoch(10)), (2, BrokerEpoch(20)), (3, BrokerEpoch(-1))]);
}

#[test]
fn of_followers_that_stay_what_is_known_stays_and_of_new_ones_nothing_is() {
    let mut leader = Leader::default();
    leader.assign(&[1, 2, 3], 1);
    leader.followers[0] = fetched(7, 20);
    leader.assign(&[4, 3, 1, 2], 1);
    let known: Vec<(i32, bool)> =
        leader.followers.iter().map(|replica| (replica.broker_id, replica.last_caught_up().is_some())).collect();
    assert_eq!(known, [(4, false), (3, false), (2, true)]);
    // Who comes back is a new one.
    leader.assign(&[1, 3], 1);
    leader.assign(&[1, 2, 3], 1);
    assert!(leader.followers.iter().all(|replica| replica.last_caught_up().is_none()));
}

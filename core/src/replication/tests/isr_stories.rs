//! How replicas leave the ISR and come back.

use super::cluster::{Cluster, Controller};
use crate::protocol::ErrorCode;

#[test]
fn a_follower_that_stops_fetching_leaves_and_comes_back() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.isolate(2);
    let sent = cluster.produce(1, -1, &["a"]);
    cluster.advance(900);
    assert_eq!((cluster.isr(1), cluster.answer(sent)), (vec![1, 2], None));
    cluster.advance(700);
    assert_eq!(cluster.isr(1), [1]);
    assert_eq!(cluster.answer(sent), Some(ErrorCode::NONE), "the ISR is the leader alone");
    cluster.heal();
    cluster.advance(1_000);
    assert_eq!(cluster.isr(1), [1, 2]);
    assert_eq!(cluster.ends(2), (1, 1));
}

#[test]
fn one_with_everything_stays_while_there_is_nothing_to_fetch() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.produce(1, -1, &["a"]);
    cluster.isolate(2);
    cluster.advance(10_000);
    assert_eq!(cluster.isr(1), [1, 2]);
}

/// A follower was out and has everything again; that it may join is with the controller.
fn nearly_joined(cluster: &mut Cluster) {
    cluster.isolate(2);
    cluster.produce(1, -1, &["a"]);
    cluster.advance(1_600);
    assert_eq!(cluster.isr(1), [1]);
    cluster.heal();
    cluster.controller = Controller::Holds;
    cluster.advance(200);
}

/// A follower has nearly joined when it is cut off; the leader goes on; then the controller commits the expansion.
/// Returns the record that was sent in between.
fn an_expansion_that_is_committed_late(cluster: &mut Cluster) -> u64 {
    nearly_joined(cluster);
    assert!(cluster.replica(1).isr_change_pending);
    cluster.isolate(2);
    // Long enough for the follower not to be caught up any more: only the proposal holds it back.
    cluster.advance(1_100);
    cluster.produce(1, -1, &["b"])
}

#[test]
fn a_member_to_come_holds_back_the_high_watermark() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    let sent = an_expansion_that_is_committed_late(&mut cluster);
    assert_eq!((cluster.answer(sent), cluster.ends(1)), (None, (2, 1)));
    cluster.release();
    assert_eq!((cluster.isr(1), cluster.answer(sent)), (vec![1, 2], None));
    cluster.heal();
    cluster.advance(200);
    assert_eq!(cluster.answer(sent), Some(ErrorCode::NONE));
}

/// RE-22: without the maximal ISR the record is acknowledged, and then there is a member of the ISR without it.
#[test]
fn without_the_maximal_isr_a_member_lacks_what_was_acknowledged() {
    let mut cluster = Cluster::with((3, 9), &[1, 2], 1, |config| config.toggles.maximal_isr = false);
    let sent = an_expansion_that_is_committed_late(&mut cluster);
    assert_eq!(cluster.answer(sent), Some(ErrorCode::NONE));
    cluster.release();
    assert_eq!((cluster.isr(1), cluster.ends(2).0), (vec![1, 2], 1));
}

#[test]
fn a_shrink_that_is_not_committed_does_not_count() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.controller = Controller::Holds;
    cluster.isolate(2);
    let sent = cluster.produce(1, -1, &["a"]);
    cluster.advance(2_000);
    assert!(cluster.replica(1).isr_change_pending);
    assert_eq!((cluster.answer(sent), cluster.ends(1)), (None, (1, 0)));
    cluster.release();
    assert_eq!((cluster.answer(sent), cluster.ends(1)), (Some(ErrorCode::NONE), (1, 1)));
}

#[test]
fn what_follows_an_error_of_the_controller() {
    // The error, and whether the change is made all the same some time later without any new metadata.
    let cases = [
        (ErrorCode::INELIGIBLE_REPLICA, true),
        (ErrorCode::UNKNOWN_SERVER_ERROR, true),
        (ErrorCode::INVALID_UPDATE_VERSION, false),
        (ErrorCode::FENCED_LEADER_EPOCH, false),
    ];
    for (error, comes_right) in cases {
        let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
        cluster.controller = Controller::Answers(error);
        cluster.isolate(2);
        cluster.produce(1, -1, &["a"]);
        cluster.advance(4_000);
        assert_eq!(cluster.isr(1) == [1], comes_right, "{error}");
        assert_eq!(cluster.replica(1).isr_change_pending, !comes_right, "{error}");
        cluster.publish();
        assert!(!cluster.replica(1).isr_change_pending, "new metadata settles it: {error}");
    }
}

#[test]
fn a_fenced_follower_does_not_join_since_3_3() {
    for (version, joins) in [((3, 2), true), ((3, 3), false)] {
        let mut cluster = Cluster::of(version, &[1, 2], 1);
        cluster.isolate(2);
        cluster.produce(1, -1, &["a"]);
        cluster.advance(2_000);
        cluster.image.brokers.get_mut(&2).expect("broker 2").fenced = true;
        cluster.publish();
        cluster.heal();
        cluster.advance(1_000);
        assert_eq!(cluster.isr(1) == [1, 2], joins, "{version:?}");
        cluster.image.brokers.get_mut(&2).expect("broker 2").fenced = false;
        cluster.publish();
        cluster.advance(1_000);
        assert_eq!(cluster.isr(1), [1, 2], "{version:?}");
    }
}

#[test]
fn an_incarnation_that_was_replaced_is_not_heard() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.image.brokers.get_mut(&2).expect("broker 2").epoch.0 += 1;
    cluster.publish_to(1);
    let sent = cluster.produce(1, -1, &["a"]);
    cluster.advance(400);
    assert_eq!(cluster.answer(sent), None, "the fetches are those of the old incarnation");
    cluster.kill(2);
    cluster.start(2);
    cluster.advance(400);
    assert_eq!(cluster.answer(sent), Some(ErrorCode::NONE));
}

#[test]
fn a_follower_outside_the_isr_joins_only_with_all_of_the_old_epochs() {
    let mut cluster = Cluster::of((3, 9), &[1, 2, 3], 1);
    cluster.isolate(3);
    cluster.produce(1, -1, &["a", "b"]);
    cluster.advance(1_600);
    assert_eq!(cluster.isr(1), [1, 2]);
    cluster.kill(1);
    cluster.elect(2, &[2]);
    cluster.publish();
    cluster.take_transcript();
    cluster.heal();
    cluster.advance(300);
    assert_eq!(cluster.isr(2), [2, 3]);
    assert_eq!(cluster.ends(3).0, 2);
    let transcript = cluster.take_transcript();
    let at = |line: &str| {
        transcript.iter().position(|said| said == line).unwrap_or_else(|| panic!("{line}: {transcript:#?}"))
    };
    assert!(at("2: hears that 3 is at 2") < at("2: proposes ISR [2] -> [2, 3]"));
}

/// An answer is about one proposal. One that comes late must not settle another.
#[test]
fn every_proposal_has_a_number_of_its_own() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.controller = Controller::Holds;
    let mut numbers = Vec::new();
    for _ in 0..2 {
        for leaves in [true, false] {
            if leaves {
                cluster.isolate(2);
                cluster.produce(1, 1, &["a"]);
            } else {
                cluster.heal();
            }
            cluster.advance(2_000);
            numbers.extend(cluster.held.iter().map(|(_, proposal)| proposal.number));
            cluster.release();
            assert_eq!(cluster.isr(1).len(), if leaves { 1 } else { 2 });
        }
    }
    assert!(numbers.len() == 4 && numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}

/// Without the maximal ISR too (until 2.6): whoever keeps up is about to join, and must have what is committed by then.
#[test]
fn a_follower_that_keeps_up_is_waited_for_until_it_does_not_any_more() {
    let mut cluster = Cluster::with((3, 9), &[1, 2], 1, |config| config.toggles.maximal_isr = false);
    nearly_joined(&mut cluster);
    cluster.isolate(2);
    let sent = cluster.produce(1, -1, &["b"]);
    assert_eq!((cluster.answer(sent), cluster.ends(1)), (None, (2, 1)));
    cluster.advance(1_100);
    // Whoever sends next has the leader look again, and those before it hear what comes of it.
    let next = cluster.produce(1, 1, &["c"]);
    assert_eq!([sent, next].map(|token| cluster.answer(token)), [Some(ErrorCode::NONE); 2]);
    assert_eq!(cluster.ends(1), (3, 3));
}

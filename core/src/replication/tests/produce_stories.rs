//! How a produce request ends.

use super::cluster::{Cluster, batch};
use crate::protocol::ErrorCode;
use crate::record::ProducerState;
use crate::types::{Offset, ProducerEpoch, Sequence};

const TIMED_OUT: Option<ErrorCode> = Some(ErrorCode::REQUEST_TIMED_OUT);
const WRITTEN: Option<ErrorCode> = Some(ErrorCode::NONE);

#[test]
fn acks_all_is_answered_when_the_follower_asks_for_more() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.take_transcript();
    let sent = cluster.produce(1, -1, &["a", "b"]);
    assert_eq!(cluster.answer(sent), WRITTEN);
    assert_eq!(
        cluster.take_transcript(),
        [
            "1: appends 0-1",
            "2: copies 0-1",
            "1: hears that 2 is at 2",
            "1: high watermark 0 -> 2",
            "1: answers acks=-1 NONE",
        ]
    );
    // The follower learns of it with the next answer, here after replica.fetch.wait.max.ms.
    assert_eq!(cluster.ends(2), (2, 0));
    cluster.advance(500);
    assert_eq!(cluster.take_transcript(), ["2: high watermark 0 -> 2"]);
}

#[test]
fn acks_0_and_1_do_not_wait() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.isolate(2);
    for acks in [0, 1] {
        let sent = cluster.produce(1, acks, &["a"]);
        assert_eq!(cluster.answer(sent), WRITTEN);
    }
    assert_eq!(cluster.ends(1), (2, 0));
}

#[test]
fn a_leader_alone_commits_at_once() {
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    let sent = cluster.produce(1, -1, &["a"]);
    assert_eq!(cluster.answer(sent), WRITTEN);
    assert_eq!(cluster.ends(1), (1, 1));
}

#[test]
fn too_few_in_sync_replicas_refuse_before_anything_is_appended() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 2);
    cluster.isolate(2);
    // acks=1 does not care.
    let sent = cluster.produce(1, 1, &["a"]);
    assert_eq!(cluster.answer(sent), WRITTEN);
    cluster.advance(2_000);
    assert_eq!(cluster.isr(1), [1]);
    let sent = cluster.produce(1, -1, &["b"]);
    assert_eq!(cluster.answer(sent), Some(ErrorCode::NOT_ENOUGH_REPLICAS));
    assert_eq!(cluster.ends(1), (1, 0));
}

#[test]
fn an_isr_that_shrinks_meanwhile_says_so_before_3_7_and_waits_since() {
    for (version, expected) in [
        ((2, 2), Some(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND)),
        ((3, 6), Some(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND)),
        ((3, 7), TIMED_OUT),
    ] {
        let mut cluster = Cluster::of(version, &[1, 2], 2);
        cluster.isolate(2);
        let sent = cluster.produce(1, -1, &["a"]);
        assert_eq!(cluster.answer(sent), None);
        cluster.advance(4_000);
        assert_eq!(cluster.isr(1), [1]);
        assert_eq!(cluster.answer(sent), expected, "{version:?}");
        let high_watermark = if expected == TIMED_OUT { 0 } else { 1 };
        assert_eq!(cluster.ends(1), (1, high_watermark), "{version:?}");
    }
}

#[test]
fn a_follower_that_hangs_within_the_lag_time_makes_it_time_out() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 2);
    // The controller is not heard of, so that the ISR stays.
    cluster.controller = super::cluster::Controller::Holds;
    cluster.isolate(2);
    let sent = cluster.produce(1, -1, &["a"]);
    cluster.advance(2_900);
    assert_eq!(cluster.answer(sent), None);
    cluster.advance(200);
    assert_eq!(cluster.answer(sent), TIMED_OUT);
    assert_eq!(cluster.ends(1), (1, 0), "it is in the log all the same");
}

#[test]
fn a_leader_that_resigns_says_so_to_those_who_wait() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.isolate(2);
    let sent = cluster.produce(1, -1, &["a"]);
    cluster.elect(2, &[2]);
    cluster.publish();
    assert_eq!(cluster.answer(sent), Some(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    let sent = cluster.produce(1, 1, &["b"]);
    assert_eq!(cluster.answer(sent), Some(ErrorCode::NOT_LEADER_OR_FOLLOWER));
}

#[test]
fn acks_that_do_not_exist_are_refused() {
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    let sent = cluster.produce(1, 2, &["a"]);
    assert_eq!(cluster.answer(sent), Some(ErrorCode::INVALID_REQUIRED_ACKS));
}

#[test]
fn a_new_leader_does_not_tell_its_end_before_it_knows_what_was_committed() {
    for (version, expected) in [((2, 1), Ok(0)), ((2, 2), Err(ErrorCode::OFFSET_NOT_AVAILABLE))] {
        let mut cluster = Cluster::of(version, &[1, 2], 1);
        let sent = cluster.produce(1, -1, &["a"]);
        assert_eq!(cluster.answer(sent), WRITTEN);
        cluster.kill(1);
        // Broker 2 has the record, but has not heard that it is committed; broker 1 is still in the ISR.
        cluster.elect(2, &[1, 2]);
        cluster.publish();
        assert_eq!(cluster.ends(2), (1, 0));
        assert_eq!(cluster.list_latest(2), expected, "{version:?}");
        cluster.advance(2_000);
        assert_eq!(cluster.list_latest(2), Ok(1), "{version:?}");
    }
}

#[test]
fn a_disk_that_fails_ends_the_process() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.take_transcript();
    cluster.fail_disk(1);
    let sent = cluster.produce(1, -1, &["a"]);
    assert_eq!(cluster.answer(sent), Some(ErrorCode::KAFKA_STORAGE_ERROR));
    let transcript = cluster.take_transcript();
    assert!(transcript[0].starts_with("1: storage failed: appending to orders-0"), "{transcript:#?}");
    assert!(transcript.contains(&"1: exits".to_owned()), "{transcript:#?}");
}

#[test]
fn a_follower_whose_disk_fails_ends_too() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.fail_disk(2);
    cluster.take_transcript();
    let sent = cluster.produce(1, -1, &["a"]);
    assert_eq!(cluster.answer(sent), None);
    assert!(cluster.take_transcript().contains(&"2: exits".to_owned()));
    cluster.advance(2_000);
    assert_eq!(cluster.answer(sent), WRITTEN, "the ISR is the leader alone by now");
}

/// KAFKA-5793: a producer that is refused is told where the log starts, unless the error says all there is to say.
#[test]
fn where_the_log_starts_is_told_beside_some_errors() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 2);
    let elsewhere = cluster.produce(2, -1, &["a"]);
    let odd = cluster.produce(1, 2, &["a"]);
    let start = |cluster: &Cluster, token| (cluster.answer(token), cluster.produced[&token].log_start_offset.0);
    assert_eq!(start(&cluster, elsewhere), (Some(ErrorCode::NOT_LEADER_OR_FOLLOWER), -1));
    assert_eq!(start(&cluster, odd), (Some(ErrorCode::INVALID_REQUIRED_ACKS), 0));
}

#[test]
fn a_timestamp_is_found_among_what_is_committed() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.isolate(2);
    cluster.produce(1, 1, &["a"]);
    assert_eq!(cluster.list(1, 0), Ok(-1), "it is in the log, but not committed");
    cluster.heal();
    cluster.advance(1_000);
    assert_eq!(cluster.list(1, 0), Ok(0));
    assert_eq!(cluster.list(1, 1_000), Ok(0), "its very timestamp");
    assert_eq!(cluster.list(1, 1_001), Ok(-1), "nothing so late");
    // A leader that does not know yet what was committed does not say that there is nothing (KIP-207).
    cluster.produce(1, -1, &["b"]);
    cluster.kill(1);
    cluster.elect(2, &[1, 2]);
    cluster.publish();
    assert_eq!(cluster.list(2, 1_001), Err(ErrorCode::OFFSET_NOT_AVAILABLE));
    cluster.advance(2_000);
    assert_eq!(cluster.list(2, 1_001), Ok(-1));
}

/// A batch that came before is not appended again, and what it waits for is there already.
#[test]
fn a_batch_that_is_sent_again_is_answered_at_once_if_it_is_committed() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    let mut once = batch(&["a"]);
    let (producer_epoch, base_sequence) = (ProducerEpoch(0), Sequence(0));
    once.set_producer_state(ProducerState { producer_id: 7, producer_epoch, base_sequence, transactional: false });
    let once = once.build().expect("a batch");
    for _ in 0..2 {
        let sent = cluster.produce_batch(1, -1, once.clone());
        assert_eq!((cluster.answer(sent), cluster.ends(1)), (WRITTEN, (1, 1)));
        assert_eq!(cluster.produced[&sent].base_offset, Offset(0));
    }
}

//! What a consumer gets to see, and when.

use super::cluster::{Cluster, asking, consumers};
use super::metadata_stories::{set, tell};
use crate::config::{BrokerConfig, ReplicaSelector};
use crate::protocol::ErrorCode;
use crate::replication::{FetchParams, FetchPartition};
use crate::types::LeaderEpoch;

fn records(values: &str) -> Option<Result<String, ErrorCode>> {
    Some(Ok(values.to_owned()))
}

#[test]
fn a_consumer_sees_what_is_committed_and_no_more() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.produce(1, -1, &["a"]);
    cluster.isolate(2);
    cluster.produce(1, 1, &["b"]);
    let fetch = cluster.consume(1, 0, 1);
    assert_eq!(cluster.consumed(fetch), records("a"));
    let fetch = cluster.consume(1, 1, 1);
    assert_eq!(cluster.consumed(fetch), None, "it waits for the follower");
    cluster.heal();
    cluster.advance(200);
    assert_eq!(cluster.consumed(fetch), records("b"));
}

#[test]
fn a_fetch_waits_for_its_bytes_and_no_longer_than_it_said() {
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    let (hungry, patient) = (cluster.consume(1, 0, 1), cluster.consume(1, 0, 10_000));
    assert_eq!(cluster.waiting(1), (0, 2));
    cluster.produce(1, 1, &["a"]);
    assert_eq!((cluster.consumed(hungry), cluster.consumed(patient)), (records("a"), None));
    cluster.advance(499);
    assert_eq!(cluster.consumed(patient), None);
    cluster.advance(1);
    assert_eq!(cluster.consumed(patient), records("a"));
    assert_eq!(cluster.waiting(1), (0, 0));
}

#[test]
fn bytes_of_several_appends_add_up() {
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    let fetch = cluster.consume(1, 0, 100);
    cluster.produce(1, 1, &["a"]);
    assert_eq!(cluster.consumed(fetch), None);
    cluster.produce(1, 1, &["b"]);
    assert_eq!(cluster.consumed(fetch), records("a b"));
}

#[test]
fn a_fetch_whose_connection_is_gone_is_forgotten() {
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    let fetch = cluster.consume(1, 0, 1);
    cluster.cancel(1, fetch);
    assert_eq!(cluster.waiting(1), (0, 0));
    cluster.produce(1, 1, &["a"]);
    cluster.advance(1_000);
    assert_eq!(cluster.consumed(fetch), None);
}

#[test]
fn outside_of_the_log_there_is_nothing() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.produce(1, -1, &["a"]);
    for (broker, offset, expected) in [
        (1, 5, ErrorCode::OFFSET_OUT_OF_RANGE),
        (1, -1, ErrorCode::OFFSET_OUT_OF_RANGE),
        (2, 0, ErrorCode::NOT_LEADER_OR_FOLLOWER),
    ] {
        let fetch = cluster.consume(broker, offset, 1);
        assert_eq!(cluster.consumed(fetch), Some(Err(expected)), "broker {broker}, offset {offset}");
    }
}

#[test]
fn a_consumer_that_waits_at_a_leader_that_resigns_hears_of_it() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    let fetch = cluster.consume(1, 0, 1);
    cluster.elect(2, &[2]);
    cluster.publish();
    assert_eq!(cluster.consumed(fetch), Some(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)));
}

/// KIP-392: a consumer is sent to the replica in its rack, and reads there what that replica knows to be committed.
#[test]
fn a_consumer_reads_from_the_replica_in_its_rack() {
    let adjust = |config: &mut BrokerConfig| config.replica_selector_class = ReplicaSelector::RackAware;
    let mut cluster = Cluster::with((3, 9), &[1, 2, 3], 1, adjust);
    cluster.spread();
    cluster.produce(1, -1, &["a"]);
    let asked = cluster.consume_in("rack-2", 1, 0, 1);
    assert_eq!((cluster.sent_to(asked), cluster.consumed(asked)), (Some(2), Some(Ok(String::new()))));
    let near = cluster.consume_in("rack-2", 2, 0, 1);
    assert_eq!(cluster.consumed(near), None, "broker 2 has not heard that it is committed");
    cluster.produce(1, -1, &["b"]);
    assert_eq!(cluster.consumed(near), Some(Ok("a".to_owned())), "its high watermark wakes those who wait");
    for (rack, broker, answer) in [("rack-1", 1, Ok("a b")), ("elsewhere", 1, Ok("a b")), ("", 1, Ok("a b"))] {
        let asked = cluster.consume_in(rack, broker, 0, 1);
        assert_eq!(cluster.consumed(asked), Some(answer.map(str::to_owned)), "{rack}");
    }
    let unaware = cluster.consume(2, 0, 1);
    assert_eq!(cluster.consumed(unaware), Some(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)));
}

#[test]
fn since_3_4_no_consumer_is_sent_to_a_replica_out_of_sync() {
    for (version, sent_to) in [((3, 3), Some(2)), ((3, 4), None)] {
        let adjust = |config: &mut BrokerConfig| config.replica_selector_class = ReplicaSelector::RackAware;
        let mut cluster = Cluster::with(version, &[1, 2], 1, adjust);
        cluster.spread();
        cluster.produce(1, -1, &["a"]);
        cluster.isolate(2);
        cluster.produce(1, 1, &["b"]);
        cluster.advance(2_000);
        assert_eq!(cluster.isr(1), [1]);
        let asked = cluster.consume_in("rack-2", 1, 0, 1);
        assert_eq!(cluster.sent_to(asked), sent_to, "{version:?}");
    }
}

/// KIP-74: the first batch of a response fits whatever the limits, and takes its room from those behind it.
#[test]
fn what_a_response_has_room_for() {
    let plenty = 1 << 20;
    for (response, partition, expected) in
        [(plenty, plenty, ["a b", "b"]), (1, plenty, ["a", ""]), (plenty, 1, ["a", ""]), (0, 0, ["a", ""])]
    {
        let mut cluster = Cluster::of((3, 9), &[1], 1);
        cluster.produce(1, 1, &["a"]);
        cluster.produce(1, 1, &["b"]);
        let asks = [0, 1].map(|offset| FetchPartition { max_bytes: partition, ..asking(offset) });
        cluster.fetch(1, FetchParams { max_bytes: response, ..consumers(99) }, &asks);
        let found = cluster.consumed_each(99).expect("it is answered at once");
        assert_eq!(found, expected.map(|values| Ok(values.to_owned())), "{response} and {partition} bytes");
    }
}

/// KIP-320: a consumer that says in which epoch it believes the leader to be is told if that is not so, and at once.
#[test]
fn a_consumer_of_another_epoch_is_told_so() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.elect(1, &[1, 2]);
    cluster.publish();
    for (epoch, expected) in
        [(0, Some(Err(ErrorCode::FENCED_LEADER_EPOCH))), (1, None), (2, Some(Err(ErrorCode::UNKNOWN_LEADER_EPOCH)))]
    {
        let token = 100 + epoch as u64;
        let ask = FetchPartition { current_leader_epoch: Some(LeaderEpoch(epoch)), ..asking(0) };
        cluster.fetch(1, consumers(token), &[ask]);
        assert_eq!(cluster.consumed(token), expected, "epoch {epoch}");
    }
}

/// A fetch that asks for no bytes, or may not wait, is answered with what is there.
#[test]
fn who_does_not_want_to_wait_does_not() {
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    cluster.fetch(1, FetchParams { min_bytes: 0, ..consumers(99) }, &[asking(0)]);
    assert_eq!(cluster.consumed(99), records(""));
    let impatient = FetchParams { max_wait: crate::types::Duration::from_millis(0), ..consumers(98) };
    cluster.fetch(1, impatient, &[asking(0)]);
    assert_eq!(cluster.consumed(98), records(""));
    cluster.fetch(1, consumers(97), &[]);
    assert_eq!(cluster.consumed_each(97), Some(Vec::new()), "a fetch of nothing");
}

/// What is there in each partition counts, once.
#[test]
fn bytes_of_several_partitions_add_up_while_a_fetch_waits() {
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    cluster.produce(1, 1, &["a"]);
    let sizes = FetchParams { min_bytes: 150, ..consumers(99) };
    // The first finds one batch of some 70 bytes, the second nothing yet.
    cluster.fetch(1, sizes, &[asking(0), asking(1)]);
    assert_eq!(cluster.consumed_each(99), None);
    cluster.produce(1, 1, &["b"]);
    assert_eq!(cluster.consumed_each(99), Some(vec![Ok("a b".to_owned()), Ok("b".to_owned())]));
    assert_eq!(cluster.waiting(1), (0, 0), "and nothing of it is left");
}

/// KIP-73: who is in the ISR, and who is no replica, is never held back.
#[test]
fn a_leader_holds_back_followers_that_are_behind_and_nobody_else() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    let delta = set(&mut cluster, Some("orders"), "leader.replication.throttled.replicas", "*");
    tell(&mut cluster, 1, &delta);
    let delta = set(&mut cluster, None, "leader.replication.throttled.rate", "1");
    tell(&mut cluster, 1, &delta);
    for value in ["a", "b"] {
        let sent = cluster.produce(1, -1, &[value]);
        assert_eq!(cluster.answer(sent), Some(ErrorCode::NONE), "{value}");
    }
    let asked = cluster.consume(1, 0, 1);
    assert_eq!(cluster.consumed(asked), records("a b"));
    cluster.isolate(2);
    cluster.produce(1, 1, &["c"]);
    cluster.advance(2_000);
    assert_eq!(cluster.isr(1), [1]);
    cluster.heal();
    cluster.advance(2_000);
    assert_eq!((cluster.ends(2).0, cluster.isr(1)), (2, vec![1]));
    // What went out is forgotten after ten seconds or so.
    cluster.advance(20_000);
    assert_eq!((cluster.ends(2).0, cluster.isr(1)), (3, vec![1, 2]));
}

//! What a consumer gets to see, and when.

use super::cluster::Cluster;
use crate::config::{BrokerConfig, ReplicaSelector};
use crate::protocol::ErrorCode;

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

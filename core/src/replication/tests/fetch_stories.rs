//! What a consumer gets to see, and when.

use super::cluster::{Cluster, asking, consumers, orders, values};
use super::metadata_stories::{set, tell};
use crate::config::{BrokerConfig, ReplicaSelector};
use crate::protocol::ErrorCode;
use crate::replication::{FetchParams, FetchPartition};
use crate::types::{BrokerEpoch, Duration, LeaderEpoch, Offset, StrBytes, TopicPartition};

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
    cluster.fetch(1, as_follower(99, 1), &[asking(9)]);
    assert_eq!(cluster.consumed(99), Some(Err(ErrorCode::OFFSET_OUT_OF_RANGE)), "that is said all the same");
    // What went out is forgotten after ten seconds or so.
    cluster.advance(20_000);
    assert_eq!((cluster.ends(2).0, cluster.isr(1)), (3, vec![1, 2]));
}

/// What broker 2 asks as a follower, by hand: it waits half a second for this many bytes.
fn as_follower(token: u64, min_bytes: i32) -> FetchParams {
    FetchParams { replica_id: 2, replica_epoch: BrokerEpoch(20), min_bytes, ..consumers(token) }
}

fn diverging(cluster: &Cluster, token: u64) -> Option<(i32, i64)> {
    let answer = cluster.consumed.get(&token)?;
    answer[0].diverging.map(|(epoch, end)| (epoch.0, end.0))
}

#[test]
fn a_follower_waits_for_as_many_bytes_as_it_wants() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.isolate(2);
    cluster.fetch(1, as_follower(99, 100), &[asking(0)]);
    cluster.produce(1, 1, &["a"]);
    assert_eq!(cluster.consumed(99), None, "that are some 70");
    cluster.produce(1, 1, &["b"]);
    assert_eq!(cluster.consumed(99), records("a b"));
}

#[test]
fn an_epoch_that_the_leader_never_had_diverges_even_where_its_log_goes_on() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.produce(1, -1, &["a", "b"]);
    cluster.isolate(2);
    for value in ["c", "d"] {
        cluster.elect(1, &[1]);
        cluster.publish_to(1);
        if value == "d" {
            cluster.produce(1, 1, &[value]);
        }
    }
    // The leader's epochs are 0, up to offset 2, and 2.
    for (epoch, expected) in [(0, None), (1, Some((0, 2)))] {
        let token = 100 + epoch as u64;
        let ask = FetchPartition { last_fetched_epoch: Some(LeaderEpoch(epoch)), ..asking(1) };
        cluster.fetch(1, as_follower(token, 1), &[ask]);
        assert_eq!(diverging(&cluster, token), expected, "epoch {epoch}");
    }
}

#[test]
fn who_waits_at_a_replica_whose_log_is_cut_hears_where() {
    let mut cluster = near_consumers();
    cluster.produce(1, -1, &["a", "b", "c"]);
    cluster.advance(600);
    let ask = FetchPartition { last_fetched_epoch: Some(LeaderEpoch(0)), ..asking(3) };
    cluster.fetch(2, FetchParams { max_wait: Duration::from_secs(60), ..near(99) }, &[ask]);
    // The leader comes back with nothing.
    cluster.kill(1);
    cluster.wipe_disk(1);
    cluster.elect(1, &[1]);
    cluster.start(1);
    cluster.publish();
    cluster.produce(1, 1, &["x"]);
    assert_eq!(diverging(&cluster, 99), None);
    cluster.advance(1_000);
    assert_eq!((cluster.ends(2), diverging(&cluster, 99)), ((1, 1), Some((0, 0))));
}

#[test]
fn a_consumer_that_waits_at_a_follower_hears_of_a_new_epoch_even_if_the_follower_just_goes_on() {
    let mut cluster = near_consumers();
    let ask = FetchPartition { current_leader_epoch: Some(LeaderEpoch(0)), ..asking(0) };
    cluster.fetch(2, near(99), &[ask]);
    cluster.elect(1, &[1, 2]);
    assert_eq!(cluster.consumed(99), None);
    cluster.publish_to(2);
    assert_eq!(cluster.consumed(99), Some(Err(ErrorCode::FENCED_LEADER_EPOCH)));
}

#[test]
fn a_consumer_in_a_rack_is_sent_nowhere_unless_replicas_are_selected_by_rack() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.spread();
    cluster.produce(1, -1, &["a"]);
    let asked = cluster.consume_in("rack-2", 1, 0, 1);
    assert_eq!((cluster.sent_to(asked), cluster.consumed(asked)), (None, records("a")));
}

#[test]
fn a_fetch_that_is_over_leaves_nothing_at_its_partitions() {
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    let waiting = |cluster: &Cluster| cluster.nodes[&1].replicas.partitions[&orders()].waiting_fetches.len();
    for cancelled in [true, false] {
        let asked = cluster.consume(1, 0, 1);
        assert_eq!(waiting(&cluster), 1);
        if cancelled {
            cluster.cancel(1, asked);
        } else {
            cluster.advance(500);
        }
        assert_eq!((cluster.consumed(asked).is_some(), waiting(&cluster)), (!cancelled, 0));
    }
}

/// What a share group reads: what is committed, at the leader.
#[test]
fn a_share_group_reads_what_is_committed_where_it_is_led() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.elect(1, &[1, 2]);
    cluster.publish();
    let leads = |cluster: &Cluster, id: i32, name: &TopicPartition| cluster.nodes[&id].replicas.leadership(name);
    assert_eq!(leads(&cluster, 1, &orders()), Ok(LeaderEpoch(1)));
    assert_eq!(leads(&cluster, 2, &orders()), Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    let nowhere = TopicPartition::of("nowhere", 0);
    assert_eq!(leads(&cluster, 1, &nowhere), Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));

    cluster.produce(1, -1, &["a"]);
    cluster.isolate(2);
    cluster.produce(1, 1, &["b"]);
    let read = |cluster: &mut Cluster, name: &TopicPartition| {
        let mut found = Err(ErrorCode::NONE);
        let room = (1 << 20, true);
        cluster.call(1, |replicas, ctx| found = replicas.read_committed(name, Offset(0), room, ctx));
        found.map(values)
    };
    assert_eq!(read(&mut cluster, &orders()), Ok("a".to_owned()));
    assert_eq!(read(&mut cluster, &nowhere), Err(ErrorCode::KAFKA_STORAGE_ERROR));
    assert!(cluster.nodes[&1].alive);
    cluster.close_files(1);
    assert_eq!(read(&mut cluster, &orders()), Err(ErrorCode::KAFKA_STORAGE_ERROR));
    assert!(!cluster.nodes[&1].alive, "its disk is to blame");
}

/// Two brokers in two racks, and consumers that read from the nearest; a follower of the same leader just goes on.
fn near_consumers() -> Cluster {
    let mut cluster = Cluster::with((3, 9), &[1, 2], 1, |config| {
        config.replica_selector_class = ReplicaSelector::RackAware;
        config.toggles.truncate_on_every_epoch = false;
    });
    cluster.spread();
    cluster
}

/// A fetch of a consumer in the rack of broker 2.
fn near(token: u64) -> FetchParams {
    FetchParams { client_rack: StrBytes::from_static_str("rack-2"), ..consumers(token) }
}

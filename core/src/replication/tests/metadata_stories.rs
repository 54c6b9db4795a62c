//! What new metadata makes of replicas: who hosts what, whose log is whose, which configuration counts.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::cluster::{Cluster, config, orders};
use crate::config::{BrokerConfig, KafkaVersion};
use crate::metadata::records::ConfigRecord;
use crate::metadata::{MetadataDelta, MetadataRecord};
use crate::protocol::ErrorCode;
use crate::replication::surroundings::Surroundings;
use crate::types::{ConnectionId, Duration, Offset, StrBytes, TopicPartition};

/// A broker hears of this alone.
pub(super) fn tell(cluster: &mut Cluster, id: i32, delta: &MetadataDelta) {
    let image = cluster.image.clone();
    cluster.call(id, |replicas, ctx| replicas.apply_metadata(&image, delta, ctx));
    cluster.settle();
}

fn partition_changed(topic_changed: bool) -> MetadataDelta {
    let topics = if topic_changed { BTreeSet::from([orders().topic]) } else { BTreeSet::new() };
    MetadataDelta { partitions: [orders()].into(), topics, ..MetadataDelta::default() }
}

fn has_log(cluster: &Cluster, id: i32) -> bool {
    cluster.nodes[&id].replicas.logs().any(|(partition, _)| *partition == orders())
}

#[test]
fn a_replica_that_is_moved_elsewhere_or_whose_topic_is_deleted_goes_with_its_log() {
    // Whether the partition is still there, without this broker, whether its topic has changed, and whether a log is left.
    for (is_there, topic_changed, left) in [(true, false, false), (false, true, false), (false, false, true)] {
        let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
        cluster.produce(1, -1, &["a"]);
        if is_there {
            cluster.image.partitions.get_mut(&orders()).expect("it is there").replicas = vec![1, 3];
        } else {
            cluster.image.partitions.remove(&orders());
        }
        tell(&mut cluster, 2, &partition_changed(topic_changed));
        assert_eq!(has_log(&cluster, 2), left, "there: {is_there}, topic changed: {topic_changed}");
        assert!(cluster.nodes[&2].replicas.describe().is_empty(), "nothing is hosted");
    }
}

#[test]
fn who_waits_for_a_partition_that_is_gone_hears_so() {
    let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let deleted = |cluster: &mut Cluster| {
        cluster.image.partitions.remove(&orders());
        tell(cluster, 1, &partition_changed(true));
    };
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    let asked = cluster.consume(1, 0, 1);
    assert_eq!(cluster.waiting(1), (0, 1));
    deleted(&mut cluster);
    assert_eq!((cluster.consumed(asked), cluster.waiting(1)), (Some(Err(gone)), (0, 0)));

    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    cluster.kill(2);
    let sent = cluster.produce(1, -1, &["a"]);
    assert_eq!((cluster.answer(sent), cluster.waiting(1).0), (None, 1));
    deleted(&mut cluster);
    assert_eq!((cluster.answer(sent), cluster.waiting(1).0), (Some(gone), 0));
}

#[test]
fn a_log_of_a_topic_that_was_deleted_meanwhile_is_not_taken_for_that_of_its_namesake() {
    for (changes, left) in [(false, 1), (true, 0)] {
        let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
        cluster.produce(1, -1, &["a"]);
        cluster.kill(2);
        cluster.isolate(1);
        if changes {
            cluster.image.topics.get_mut(&orders().topic).expect("it is there").id = Uuid::from_u128(78);
        }
        cluster.start(2);
        assert_eq!(cluster.ends(2).0, left, "the id changes: {changes}");
        // The same on a broker that was there all the time.
        cluster.publish_to(1);
        assert_eq!(cluster.ends(1).0, left, "the id changes: {changes}");
    }
}

#[test]
fn since_2_8_a_log_says_whose_it_is() {
    for (version, says) in [((2, 7), false), ((2, 8), true), ((3, 9), true)] {
        let cluster = Cluster::of(version, &[1], 1);
        let file = cluster.disks[&1].disk.content("orders-0/partition.metadata");
        assert_eq!(file.is_some(), says, "{version:?}");
    }
}

/// A property of a topic, or of all brokers, is set.
pub(super) fn set(cluster: &mut Cluster, topic: Option<&str>, name: &str, value: &str) -> MetadataDelta {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let resource_type = if topic.is_some() { ConfigRecord::TOPIC } else { ConfigRecord::BROKER };
    let (resource_name, name, value) = (text(topic.unwrap_or_default()), text(name), Some(text(value)));
    let mut delta = MetadataDelta::default();
    let record = MetadataRecord::Config(ConfigRecord { resource_type, resource_name, name, value });
    cluster.image.replay(&record, Offset(0), &mut delta).expect("a property fits everywhere");
    delta
}

#[test]
fn what_is_configured_while_a_broker_runs_counts_for_the_logs_that_it_has() {
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    let retention =
        |cluster: &Cluster| cluster.nodes[&1].replicas.log(&orders()).map(|log| log.config().retention_ms.as_millis());
    let delta = set(&mut cluster, None, "log.retention.ms", "5000");
    tell(&mut cluster, 1, &delta);
    assert_eq!(retention(&cluster), Some(5_000), "a default of all brokers");
    let delta = set(&mut cluster, Some("orders"), "retention.ms", "7000");
    tell(&mut cluster, 1, &delta);
    assert_eq!(retention(&cluster), Some(7_000), "what the topic says comes before it");
    let delta = set(&mut cluster, None, "log.retention.ms", "6000");
    tell(&mut cluster, 1, &delta);
    assert_eq!(retention(&cluster), Some(7_000));
}

#[test]
fn the_surroundings_are_those_of_the_last_change() {
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    let mut around = Surroundings::new(config(1, KafkaVersion::new(3, 9), 1).into());
    around.update(&cluster.image, &partition_changed(true));
    assert_eq!(around.topics.get(&orders().topic), Some(&1));
    cluster.image.topics.get_mut(&orders().topic).expect("it is there").partitions = 3;
    around.update(&cluster.image, &partition_changed(true));
    assert_eq!(around.topics.get(&orders().topic), Some(&3), "the topic is there still");
    let before = around.log_config(&cluster.image, &orders().topic).retention_ms;
    let delta = set(&mut cluster, None, "log.retention.ms", "5000");
    around.update(&cluster.image, &partition_changed(false));
    assert_eq!(around.log_config(&cluster.image, &orders().topic).retention_ms, before, "that is not what has changed");
    around.update(&cluster.image, &delta);
    assert_eq!(around.log_config(&cluster.image, &orders().topic).retention_ms, Duration::from_millis(5_000));
    cluster.image.topics.remove(&orders().topic);
    around.update(&cluster.image, &partition_changed(true));
    assert_eq!(around.topics.get(&orders().topic), None);
}

#[test]
fn connections_of_its_fetchers_are_a_brokers_own() {
    let cluster = Cluster::of((3, 9), &[1, 2], 1);
    for (connection, (one, other)) in &cluster.connections {
        let owner = if *one == 1 || *other == 1 { 2 } else { *one };
        assert!(cluster.nodes[&owner].replicas.owns(*connection));
        assert!(!cluster.nodes[&1].replicas.owns(*connection));
    }
    assert!(!cluster.connections.is_empty());
    assert!(!cluster.nodes[&2].replicas.owns(ConnectionId(9_999)));
}

#[test]
fn a_log_that_nobody_hosts_is_seen_from_outside() {
    let cluster = Cluster::of((3, 9), &[1], 1);
    let logs: Vec<&TopicPartition> = cluster.nodes[&1].replicas.logs().map(|(partition, _)| partition).collect();
    assert_eq!(logs, [&orders()]);
}

#[test]
fn a_replica_without_a_leader_says_so() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    assert_eq!(cluster.replica(2).leader, 1);
    cluster.elect(-1, &[2]);
    cluster.publish();
    assert_eq!([1, 2].map(|id| cluster.replica(id).leader), [-1, -1]);
}

#[test]
fn who_leads_or_stops_fetches_no_more() {
    let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
    assert!(cluster.is_connected(2, 1));
    cluster.elect(2, &[1, 2]);
    cluster.publish();
    assert!(cluster.is_connected(1, 2) && !cluster.is_connected(2, 1));
    cluster.call(1, |replicas, ctx| replicas.shutdown(ctx).expect("a clean stop"));
    assert!(!cluster.is_connected(1, 2));
}

#[test]
fn during_a_controlled_shutdown_a_replica_that_nobody_needs_stops_fetching() {
    for (shuts_down, isr, fetches) in
        [(true, [1, 2].as_slice(), true), (true, &[1], false), (false, &[1, 2], true), (false, &[1], true)]
    {
        let mut cluster = Cluster::of((3, 9), &[1, 2], 1);
        if shuts_down {
            cluster.call(2, |replicas, _| replicas.begin_controlled_shutdown());
        }
        cluster.elect(1, isr);
        cluster.publish();
        assert_eq!(cluster.is_connected(2, 1), fetches, "shuts down: {shuts_down}, ISR {isr:?}");
    }
}

/// Before KAFKA-7164 a follower did not compare its log again with that of the same leader; but it says the new epoch.
#[test]
fn the_same_leader_is_followed_in_its_new_epoch() {
    for anew in [true, false] {
        let adjust: fn(&mut BrokerConfig) =
            if anew { |_| () } else { |config| config.toggles.truncate_on_every_epoch = false };
        let mut cluster = Cluster::with((3, 9), &[1, 2], 1, adjust);
        cluster.elect(1, &[1, 2]);
        cluster.publish();
        let sent = cluster.produce(1, -1, &["a"]);
        // The fetch that was under way is answered with an error, and the follower rests for a moment.
        cluster.advance(200);
        assert_eq!(cluster.answer(sent), Some(ErrorCode::NONE), "compared again: {anew}");
    }
}

#[test]
fn a_segment_that_is_closed_is_flushed_soon_by_leader_and_follower_and_none_if_none_is() {
    let mut cluster = Cluster::with((3, 9), &[1, 2], 1, |config| config.log.segment_bytes = 100);
    let flushed = |cluster: &Cluster| {
        [1, 2].map(|id| cluster.nodes[&id].replicas.log(&orders()).map_or(-1, |log| log.recovery_point().0))
    };
    cluster.produce(1, -1, &["a"]);
    for id in [1, 2] {
        let next = cluster.nodes[&id].replicas.next_deadline();
        assert!(next.is_some_and(|at| at > cluster.now), "broker {id} has nothing to do now");
    }
    cluster.produce(1, -1, &["b"]);
    assert_eq!(flushed(&cluster), [0, 0]);
    cluster.advance(0);
    assert_eq!((flushed(&cluster), cluster.ends(1)), ([1, 1], (2, 2)));
}

//! Brokers whose disks fail: with several log directories one of them takes its replicas along, and the broker goes on.

use super::cluster::{Cluster, orders};
use crate::config::BrokerConfig;
use crate::metadata::PartitionRegistration;
use crate::protocol::ErrorCode;
use crate::replication::replica_manager::DirectoryAssignment;
use crate::types::Duration;

const STORAGE: ErrorCode = ErrorCode::KAFKA_STORAGE_ERROR;

fn two_directories(config: &mut BrokerConfig) {
    config.log_dirs = vec!["/data/d1".to_owned(), "/data/d2".to_owned()];
}

fn goes_on(cluster: &Cluster) -> bool {
    cluster.nodes[&1].alive && !cluster.nodes[&1].replicas.is_offline()
}

/// What broker 1 wants to tell the controller about where its replicas lie.
fn assignments(cluster: &mut Cluster) -> Vec<DirectoryAssignment> {
    cluster.nodes.get_mut(&1).expect("a broker").replicas.take_assignments()
}

#[test]
fn who_waits_for_a_replica_whose_directory_fails_hears_so_and_so_does_who_comes_later() {
    let mut cluster = Cluster::with((3, 9), &[1, 2], 1, two_directories);
    cluster.isolate(2);
    let waits = cluster.produce(1, -1, &["a"]);
    let asks = cluster.consume(1, 0, 1);
    assert_eq!(cluster.waiting(1), (1, 1));
    cluster.fail_disk(1);
    let fails = cluster.produce(1, -1, &["b"]);
    assert_eq!([waits, fails].map(|token| cluster.answer(token)), [Some(STORAGE); 2]);
    assert_eq!(cluster.consumed(asks), Some(Err(STORAGE)));
    assert_eq!((cluster.waiting(1), cluster.nodes[&1].replicas.describe().len()), ((0, 0), 0));
    let late = cluster.produce(1, 1, &["c"]);
    let asks = cluster.consume(1, 0, 1);
    assert_eq!((cluster.answer(late), cluster.consumed(asks)), (Some(STORAGE), Some(Err(STORAGE))));
    assert!(goes_on(&cluster), "the other directory is well");
}

#[test]
fn what_cannot_be_read_is_offline() {
    for (adjust, goes_on) in [(two_directories as fn(&mut BrokerConfig), true), (|_| (), false)] {
        let mut cluster = Cluster::with((3, 9), &[1, 2], 1, adjust);
        cluster.produce(1, -1, &["a"]);
        assert!(self::goes_on(&cluster));
        cluster.close_files(1);
        let asks = cluster.consume(1, 0, 1);
        assert_eq!(cluster.consumed(asks), Some(Err(STORAGE)));
        assert_eq!(self::goes_on(&cluster), goes_on);
    }
}

/// KIP-858: a controller that believes a replica elsewhere would not notice that its directory fails.
#[test]
fn the_controller_hears_where_a_replica_lies_unless_it_knows_or_there_is_no_choice() {
    let silent: fn(&mut BrokerConfig) = |config| {
        two_directories(config);
        config.tells_log_directories = false;
    };
    for (adjust, told) in [(two_directories as fn(&mut BrokerConfig), 1), (silent, 0), (|_| (), 0)] {
        let mut cluster = Cluster::with((3, 9), &[1, 2], 1, adjust);
        assert_eq!(assignments(&mut cluster).len(), told);
        assert!(assignments(&mut cluster).is_empty(), "it is told once");
    }
    let mut cluster = Cluster::with((3, 9), &[1, 2], 1, two_directories);
    let ids: Vec<uuid::Uuid> = cluster.nodes[&1].replicas.directories().all().iter().map(|found| found.id).collect();
    let topic_id = cluster.image.topics[&orders().topic].id;
    let here = DirectoryAssignment { topic_id, partition: 0, directory: ids[0] };
    assert_eq!(assignments(&mut cluster), std::slice::from_ref(&here));
    for (believed, told) in [(ids[0], vec![]), (ids[1], vec![here])] {
        let registration: &mut PartitionRegistration =
            cluster.image.partitions.get_mut(&orders()).expect("it is there");
        registration.directories = vec![believed, uuid::Uuid::nil()];
        cluster.kill(1);
        cluster.start(1);
        assert_eq!(assignments(&mut cluster), told);
    }
}

/// Where logs are not fenced at once, the thread that handles failed directories comes a little later.
#[test]
fn until_2_7_a_broker_outlives_its_disk_for_a_moment() {
    let mut cluster = Cluster::of((2, 7), &[1, 2], 1);
    cluster.fail_disk(1);
    let sent = cluster.produce(1, -1, &["a"]);
    assert_eq!(cluster.answer(sent), Some(STORAGE));
    for (millis, alive) in [(99, true), (1, false)] {
        cluster.now += Duration::from_millis(millis);
        cluster.call(1, |replicas, ctx| replicas.on_deadline(ctx));
        let is_offline = cluster.nodes[&1].replicas.is_offline();
        assert_eq!((cluster.nodes[&1].alive, is_offline), (alive, !alive), "{millis} ms later");
    }
}

#[test]
fn a_clean_stop_leaves_word_of_who_it_was() {
    let mut cluster = Cluster::of((3, 9), &[1], 1);
    let former = |cluster: &Cluster| cluster.nodes[&1].replicas.previous_broker_epoch().0;
    assert_eq!(former(&cluster), -1, "there was none before");
    cluster.stop_cleanly(1);
    cluster.start(1);
    assert_eq!(former(&cluster), cluster.image.brokers[&1].epoch.0);
    cluster.kill(1);
    cluster.start(1);
    assert_eq!(former(&cluster), -1);
}

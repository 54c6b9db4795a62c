//! What the log manager does by the clock, and what becomes of directories that fail.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::config::CleanupPolicy;
use crate::fact::{ForgottenReason, LogStartReason, TruncationReason};
use crate::log::testing::{Batch, Bench, broker_config, config, partition};
use crate::storage::Storage;
use crate::types::{Duration, LeaderEpoch};

fn orders(number: i32) -> TopicPartition {
    TopicPartition::of("orders", number)
}

fn started(bench: &mut Bench, config: BrokerConfig) -> LogManager {
    let mut manager = LogManager::new(config.into());
    bench.with(|ctx| manager.load_all(ctx)).expect("the disk is well");
    manager
}

fn create(manager: &mut LogManager, bench: &mut Bench, number: i32, log: &LogConfig) {
    bench.with(|ctx| manager.get_or_create(&orders(number), log, None, ctx).map(|_| ())).expect("the disk is well");
}

fn append(manager: &mut LogManager, bench: &mut Bench, number: i32, batch: Bytes) {
    let log = manager.get_mut(&orders(number)).expect("there is one");
    bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).expect("there is room");
}

fn at(manager: &mut LogManager, bench: &mut Bench, second: u64) {
    bench.now = Instant(second * 1_000_000_000);
    bench.with(|ctx| manager.on_deadline(ctx)).expect("the disk is well");
}

/// A broker with two log directories.
fn two_directories() -> BrokerConfig {
    let mut broker = broker_config(config());
    Arc::make_mut(&mut broker).log_dirs = vec!["/data/d1".into(), "/data/d2".into()];
    (*broker).clone()
}

fn failures(bench: &mut Bench) -> Vec<String> {
    let what = |fact| if let Fact::StorageFailed { what } = fact { Some(what) } else { None };
    bench.facts().into_iter().filter_map(what).collect()
}

#[test]
fn by_the_clock_logs_are_flushed_whose_time_has_come() {
    let broker =
        BrokerConfig { log_flush_scheduler_interval_ms: Duration::from_secs(5), ..(*broker_config(config())).clone() };
    let mut bench = Bench::new();
    let mut manager = started(&mut bench, broker);
    create(&mut manager, &mut bench, 0, &LogConfig { flush_ms: Duration::from_secs(32), ..config() });
    create(&mut manager, &mut bench, 1, &config());
    for number in 0..2 {
        append(&mut manager, &mut bench, number, Batch::of(1).build());
    }
    for (second, point) in [(30, 0), (34, 0), (35, 1)] {
        at(&mut manager, &mut bench, second);
        let points = [0, 1].map(|number| manager.get(&orders(number)).map(|log| log.recovery_point().0));
        assert_eq!(points, [Some(point), Some(0)], "after {second} s");
    }
}

#[test]
fn producers_that_were_silent_for_long_are_forgotten_when_it_is_looked() {
    let broker = BrokerConfig {
        producer_id_expiration_check_interval_ms: Duration::from_secs(600),
        producer_id_expiration_ms: Duration::from_secs(1_000),
        ..(*broker_config(config())).clone()
    };
    let mut bench = Bench::new();
    let mut manager = started(&mut bench, broker);
    create(&mut manager, &mut bench, 0, &config());
    append(&mut manager, &mut bench, 0, Batch::of(1).timestamp(0).producer(7, 0, 0).build());
    bench.facts();
    let forgotten = Fact::ProducerExpired { partition: partition(), producer_id: 7, reason: ForgottenReason::Silent };
    for (second, expected) in [(599, false), (600, false), (1_199, false), (1_200, true)] {
        at(&mut manager, &mut bench, second);
        assert_eq!(bench.facts().contains(&forgotten), expected, "after {second} s");
    }
    assert_eq!(manager.get(&orders(0)).map(|log| log.producers().entries().len()), Some(0));
}

#[test]
fn old_segments_are_deleted_by_the_clock_but_those_of_compacted_logs_are_not() {
    let old = LogConfig { retention_ms: Duration::from_secs(10), ..config() };
    let both = CleanupPolicy { delete: true, compact: true };
    let mut bench = Bench::new();
    let mut manager = started(&mut bench, (*broker_config(config())).clone());
    create(&mut manager, &mut bench, 0, &old);
    create(&mut manager, &mut bench, 1, &old);
    for number in 0..2 {
        append(&mut manager, &mut bench, number, Batch::of(1).timestamp(0).build());
        manager.get_mut(&orders(number)).expect("there is one").set_high_watermark(Offset(1));
    }
    create(&mut manager, &mut bench, 1, &LogConfig { cleanup_policy: both, ..old });
    at(&mut manager, &mut bench, 30);
    let starts = [0, 1].map(|number| manager.get(&orders(number)).map(|log| log.log_start_offset().0));
    assert_eq!(starts, [Some(1), Some(0)]);
}

#[test]
fn log_starts_are_written_of_logs_that_begin_within_their_first_segment() {
    let mut bench = Bench::new();
    let mut manager = started(&mut bench, (*broker_config(config())).clone());
    for number in 0..3 {
        create(&mut manager, &mut bench, number, &config());
        for _ in 0..3 {
            append(&mut manager, &mut bench, number, Batch::of(1).build());
        }
        manager.get_mut(&orders(number)).expect("there is one").set_high_watermark(Offset(3));
    }
    let file = "log-start-offset-checkpoint";
    at(&mut manager, &mut bench, 30);
    assert_eq!(bench.disk.content(file), None, "they begin where their files do");
    for (number, start) in [(0, 1), (2, 3)] {
        let log = manager.get_mut(&orders(number)).expect("there is one");
        let reason = LogStartReason::DeleteRecords;
        bench.with(|ctx| log.maybe_increment_log_start_offset(Offset(start), reason, ctx)).expect("it is committed");
    }
    // A segment that begins where the log does.
    let log = manager.get_mut(&orders(2)).expect("there is one");
    bench
        .with(|ctx| log.truncate_fully_and_start_at(Offset(3), TruncationReason::OutOfRange, ctx))
        .expect("the disk is well");
    at(&mut manager, &mut bench, 90);
    assert_eq!(bench.disk.content(file).expect("it is written"), "0\n1\norders 0 1\n");
    bench.disk.remove(file).expect("it is there");
    at(&mut manager, &mut bench, 150);
    assert_eq!(bench.disk.content(file), None, "the same is not written again");
}

#[test]
fn a_manager_that_has_nothing_to_do_names_no_time() {
    let never = BrokerConfig {
        log_initial_task_delay_ms: Duration::FOREVER,
        producer_id_expiration_check_interval_ms: Duration::FOREVER,
        ..(*broker_config(config())).clone()
    };
    let mut bench = Bench::new();
    let mut manager = started(&mut bench, never);
    assert_eq!(manager.next_deadline(), None);
    create(&mut manager, &mut bench, 0, &LogConfig { file_delete_delay_ms: Duration::from_secs(60), ..config() });
    append(&mut manager, &mut bench, 0, Batch::of(1).build());
    bench.with(|ctx| manager.get_mut(&orders(0)).expect("there is one").roll(Offset(1), ctx)).expect("it is well");
    at(&mut manager, &mut bench, 5);
    assert_eq!((manager.next_deadline(), manager.noted_deadline()), (None, None));
    let reason = TruncationReason::Diverged;
    bench.with(|ctx| manager.truncate_to(&orders(0), Offset(0), reason, ctx)).expect("the disk is well");
    let removal = Some(Instant(65_000_000_000));
    assert_eq!((manager.next_deadline(), manager.noted_deadline()), (removal, removal));
    at(&mut manager, &mut bench, 65);
    assert_eq!((manager.next_deadline(), manager.noted_deadline()), (None, None));
}

#[test]
fn since_3_7_a_clean_stop_says_of_which_broker_epoch_it_was() {
    let marker = |epoch| format!("{{\"version\":0,\"brokerEpoch\":{epoch}}}");
    for (version, text) in [((3, 6), String::new()), ((3, 7), marker(7)), ((3, 8), marker(7))] {
        let version = KafkaVersion::new(version.0, version.1);
        let mut bench = Bench::new();
        let mut manager = started(&mut bench, BrokerConfig { version, ..(*broker_config(config())).clone() });
        bench.with(|ctx| manager.shutdown(BrokerEpoch(7), ctx)).expect("the disk is well");
        assert_eq!(bench.disk.content(CLEAN_SHUTDOWN_FILE).expect("it is clean"), text, "{version}");
    }
}

#[test]
fn a_log_that_is_offline_can_be_deleted() {
    let mut bench = Bench::new();
    let mut manager = started(&mut bench, (*broker_config(config())).clone());
    create(&mut manager, &mut bench, 0, &config());
    manager.get_mut(&orders(0)).expect("there is one").offline = true;
    assert_eq!(bench.with(|ctx| manager.delete(&orders(0), ctx)).expect("its directory goes"), Some(Offset(0)));
    assert!(!bench.disk.exists("orders-0"));
}

#[test]
fn the_only_directory_has_no_name_and_takes_everything_along() {
    let mut bench = Bench::new();
    let mut manager = started(&mut bench, (*broker_config(config())).clone());
    create(&mut manager, &mut bench, 0, &config());
    append(&mut manager, &mut bench, 0, Batch::of(1).build());
    assert!(bench.disk.exists("orders-0") && !bench.disk.exists("meta.properties"));
    manager.blame(&orders(0));
    assert_eq!(bench.with(|ctx| manager.fail_directories(ctx)), None);
    assert!(manager.directories().online().count() == 1, "it is the broker that fails");
    bench.with(|ctx| manager.shutdown(BrokerEpoch(7), ctx)).expect("the disk is well");
    bench.disk.put("orders-0/00000000000000000000.log", Bytes::from_static(&[0; 100]));
    let mut again = LogManager::new(broker_config(config()));
    let error = bench.with(|ctx| again.load_all(ctx)).expect_err("its log is damaged");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(failures(&mut bench), [] as [String; 0]);
}

#[test]
fn a_directory_that_cannot_be_loaded_is_said_and_none_of_its_logs_is_there() {
    let mut bench = Bench::new();
    let mut manager = started(&mut bench, two_directories());
    for number in 0..4 {
        create(&mut manager, &mut bench, number, &config());
        append(&mut manager, &mut bench, number, Batch::of(1).build());
    }
    assert_eq!(bench.with(|ctx| manager.fail_directories(ctx)), None, "nothing has failed");
    bench.with(|ctx| manager.shutdown(BrokerEpoch(7), ctx)).expect("the disks are well");
    bench.disk.put("data/d1/orders-2/00000000000000000000.log", Bytes::from_static(&[0; 100]));
    bench.facts();
    let manager = started(&mut bench, two_directories());
    let left: Vec<&TopicPartition> = manager.logs().map(|(partition, _)| partition).collect();
    assert_eq!(left, [&orders(1), &orders(3)]);
    let said = failures(&mut bench);
    assert!(said.len() == 1 && said[0].starts_with("log directory /data/d1 is offline: "), "{said:?}");
}

#[test]
fn a_log_is_not_created_where_its_records_may_lie_in_a_directory_that_is_offline() {
    let mut bench = Bench::new();
    let mut manager = started(&mut bench, two_directories());
    create(&mut manager, &mut bench, 0, &config());
    create(&mut manager, &mut bench, 1, &config());
    let [first, second] = [0, 1].map(|place| Some(manager.directories().all()[place].id));
    let elsewhere = Some(Uuid::from_u128(1));
    let may = |manager: &LogManager, number: i32| {
        [None, first, second, elsewhere].map(|assigned| manager.may_create(&orders(number), assigned))
    };
    assert_eq!(may(&manager, 9), [true; 4], "all directories work");
    manager.blame(&orders(0));
    assert_eq!(bench.with(|ctx| manager.fail_directories(ctx)), Some(vec![orders(0)]));
    assert_eq!(may(&manager, 9), [true, false, true, false]);
    assert_eq!(may(&manager, 1), [true; 4], "it is there");
    let said = failures(&mut bench);
    assert_eq!(said, ["log directory /data/d1 is offline: its logs are offline"]);
}

//! All logs of a broker: what a stop leaves behind, and what a start makes of it.

use super::*;
use crate::log::testing::{Batch, Bench, broker_config, config, partition};
use crate::storage::Storage;
use crate::types::LeaderEpoch;

fn manager(bench: &mut Bench, log: LogConfig) -> LogManager {
    let mut manager = LogManager::new(broker_config(log));
    bench.with(|ctx| manager.load_all(ctx)).unwrap();
    manager
}

fn append(manager: &mut LogManager, bench: &mut Bench, partition: &TopicPartition, batches: i32) {
    for _ in 0..batches {
        let log = manager.get_mut(partition).unwrap();
        bench.with(|ctx| log.append_as_leader(Batch::of(1).build(), LeaderEpoch(0), ctx)).unwrap();
    }
}

/// A broker with three records in each of two logs.
fn two_logs() -> (Bench, LogManager, [TopicPartition; 2]) {
    let mut bench = Bench::new();
    let mut manager = manager(&mut bench, config());
    let partitions = [partition(), TopicPartition::of("with-dash", 11)];
    for partition in &partitions {
        bench.with(|ctx| manager.get_or_create(partition, &config(), None, ctx).map(|_| ())).unwrap();
        append(&mut manager, &mut bench, partition, 3);
    }
    bench.facts();
    (bench, manager, partitions)
}

fn loaded_cleanly(bench: &mut Bench) -> Vec<bool> {
    let clean = |fact| match fact {
        Fact::LogLoaded { clean, .. } => Some(clean),
        _ => None,
    };
    bench.facts().into_iter().filter_map(clean).collect()
}

#[test]
fn a_clean_stop_leaves_the_marker_and_the_recovery_points() {
    let (mut bench, mut before, partitions) = two_logs();
    bench.with(|ctx| before.shutdown(BrokerEpoch(7), ctx)).unwrap();
    assert!(bench.disk.exists(CLEAN_SHUTDOWN_FILE));
    let points = bench.disk.content("recovery-point-offset-checkpoint").unwrap();
    assert_eq!(points, "0\n2\norders 0 3\nwith-dash 11 3\n");
    assert_eq!(before.next_deadline(), None);

    let after = manager(&mut bench, config());
    assert_eq!(after.previous_broker_epoch(), BrokerEpoch(7));
    assert_eq!(loaded_cleanly(&mut bench), [true, true]);
    for partition in &partitions {
        let log = after.get(partition).unwrap();
        assert_eq!((log.log_end_offset(), log.recovery_point()), (Offset(3), Offset(3)));
    }
    // The marker is for one start only.
    assert_eq!(manager(&mut bench, config()).previous_broker_epoch(), NO_EPOCH);
    assert_eq!(loaded_cleanly(&mut bench), [false, false]);
}

#[test]
fn a_deleted_log_is_gone_for_good() {
    let (mut bench, mut before, partitions) = two_logs();
    assert_eq!(bench.with(|ctx| before.delete(&partitions[0], ctx)).unwrap(), Some(Offset(3)));
    assert_eq!(bench.with(|ctx| before.delete(&partitions[0], ctx)).unwrap(), None);
    let points = bench.disk.content("recovery-point-offset-checkpoint").unwrap();
    assert_eq!(points, "0\n1\nwith-dash 11 0\n");
    let after = manager(&mut bench, config());
    assert!(after.get(&partitions[0]).is_none() && after.get(&partitions[1]).is_some());
}

#[test]
fn a_kill_leaves_no_marker_and_the_logs_are_recovered() {
    let (mut bench, _, partitions) = two_logs();
    let after = manager(&mut bench, config());
    assert_eq!(loaded_cleanly(&mut bench), [false, false]);
    for partition in &partitions {
        let log = after.get(partition).unwrap();
        assert_eq!((log.log_end_offset(), log.recovery_point()), (Offset(3), Offset(0)));
    }
}

#[test]
fn recovery_points_are_written_every_minute_from_half_a_minute_on() {
    let (mut bench, mut manager, partitions) = two_logs();
    assert_eq!(manager.next_deadline(), Some(Instant(30_000_000_000)));
    bench.with(|ctx| manager.get_mut(&partitions[0]).unwrap().flush(ctx)).unwrap();
    assert!(!bench.disk.exists("recovery-point-offset-checkpoint"));
    bench.now = Instant(30_000_000_000);
    bench.with(|ctx| manager.on_deadline(ctx)).unwrap();
    let points = bench.disk.content("recovery-point-offset-checkpoint").unwrap();
    assert_eq!(points, "0\n2\norders 0 3\nwith-dash 11 0\n");
    assert_eq!(manager.next_deadline(), Some(Instant(90_000_000_000)));
}

#[test]
fn truncation_writes_the_recovery_points_at_once() {
    let (mut bench, mut manager, partitions) = two_logs();
    bench.with(|ctx| manager.get_mut(&partitions[0]).unwrap().flush(ctx)).unwrap();
    let reason = TruncationReason::Diverged;
    assert!(bench.with(|ctx| manager.truncate_to(&partitions[0], Offset(1), reason, ctx)).unwrap());
    let points = bench.disk.content("recovery-point-offset-checkpoint").unwrap();
    assert_eq!(points, "0\n2\norders 0 1\nwith-dash 11 0\n");
    bench
        .with(|ctx| manager.truncate_fully_and_start_at(&partitions[1], Offset(9), TruncationReason::OutOfRange, ctx))
        .unwrap();
    assert_eq!(manager.get(&partitions[1]).unwrap().log_end_offset(), Offset(9));
}

#[test]
fn a_rolled_segment_is_flushed_at_once_in_the_background() {
    let (mut bench, mut manager, partitions) = two_logs();
    let small = LogConfig { segment_bytes: Batch::of(1).build().len() as u64, ..config() };
    bench.now = Instant(5);
    bench.with(|ctx| manager.get_or_create(&partitions[0], &small, None, ctx).map(|_| ())).unwrap();
    append(&mut manager, &mut bench, &partitions[0], 1);
    assert_eq!(manager.next_deadline(), Some(Instant(5)));
    bench.with(|ctx| manager.on_deadline(ctx)).unwrap();
    assert_eq!(manager.get(&partitions[0]).unwrap().recovery_point(), Offset(3));
    assert_eq!(manager.next_deadline(), Some(Instant(30_000_000_000)));
}

#[test]
fn unreadable_recovery_points_mean_that_nothing_is_known_to_be_synced() {
    let (mut bench, _, partitions) = two_logs();
    bench.disk.put("recovery-point-offset-checkpoint", bytes::Bytes::from_static(b"0\n7\n"));
    let after = manager(&mut bench, config());
    assert_eq!(after.get(&partitions[0]).unwrap().log_end_offset(), Offset(3));
    assert!(matches!(bench.facts()[0], Fact::StorageFailed { .. }));
}

#[test]
fn only_directories_that_are_named_after_partitions_are_logs() {
    let mut bench = Bench::new();
    for name in ["orders-0", "lost+found", "orders-0.1f3-delete", "-1", "x-", "y-+5", "a-b-3"] {
        bench.with(|ctx| ctx.storage().create_dir(name)).unwrap();
    }
    let manager = manager(&mut bench, config());
    let names: Vec<String> = manager.logs().map(|(partition, _)| partition.to_string()).collect();
    assert_eq!(names, ["a-b-3", "orders-0"]);
}

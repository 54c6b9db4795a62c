//! The cleaner at its edges: which log is dirty enough, which segments are joined, and what must not be taken for a value.

use bytes::Bytes;

use super::tests::{Fixture, compacted, put};
use super::*;
use crate::config::{CleanupPolicy, LogConfig, Toggles};
use crate::fact::TruncationReason;
use crate::log::LogManager;
use crate::log::testing::{Bench, broker_config, partition, toggles};
use crate::record::{BatchBuilder, Compression, EndTransactionMarker, TransactionResult};
use crate::storage::Storage;
use crate::types::{BrokerEpoch, Duration, Instant, LeaderEpoch, ProducerEpoch};

const DAY: u64 = 86_400_000;
const HOUR: u64 = 3_600_000;

fn to_clean(clean_bytes: u64, cleanable_bytes: u64) -> LogToClean {
    let (first_dirty, first_uncleanable, overdue) = (Offset(0), Offset(0), false);
    LogToClean { first_dirty, first_uncleanable, clean_bytes, cleanable_bytes, overdue }
}

#[test]
fn a_log_is_due_when_more_than_its_ratio_is_dirty_or_its_records_have_waited_too_long() {
    // Half of it.
    let mut fixture = Fixture::new(compacted(), toggles());
    let log = fixture.log();
    for (clean, dirty, overdue, expected) in [
        (100, 100, false, false),
        (99, 100, false, true),
        (100, 100, true, true),
        (1_000, 1, true, true),
        (100, 0, true, false),
        (0, 0, false, false),
    ] {
        let todo = LogToClean { overdue, ..to_clean(clean, dirty) };
        assert_eq!(todo.is_due(log), expected, "{dirty} dirty bytes, {clean} clean ones, overdue: {overdue}");
    }
}

#[test]
fn of_two_logs_the_one_comes_first_of_which_the_larger_part_is_dirty() {
    let (half, two_fifths, all) = (to_clean(100, 100), to_clean(300, 200), to_clean(0, 10));
    for (one, other, expected) in [
        (half, two_fifths, true),
        (two_fifths, half, false),
        (half, to_clean(7, 7), false),
        (to_clean(7, 7), half, false),
        (all, half, true),
        (half, all, false),
    ] {
        assert_eq!(one.is_dirtier_than(&other), expected, "{one:?} {other:?}");
    }
    // And that is the one which the cleaner takes, whatever its name.
    for dirtier in ["a", "z"] {
        let mut fixture = Fixture::new(compacted(), toggles());
        fixture.append(&["a=1", "b=1"]);
        fixture.roll();
        fixture.run();
        fixture.append(&["a=2", "b=2", "a=3"]);
        fixture.roll();
        let one = fixture.logs[&partition()].clone();
        fixture.logs.clear();
        for name in ["a", "z"] {
            let name_of = TopicPartition::of(name, 0);
            let clean_to = if name == dirtier { Offset(0) } else { Offset(2) };
            fixture.cleaner.checkpoints.insert(name_of.clone(), clean_to);
            fixture.logs.insert(name_of, one.clone());
        }
        let found = fixture.cleaner.dirtiest(&fixture.logs, Timestamp(0));
        assert_eq!(found.map(|(partition, _)| partition), Some(TopicPartition::of(dirtier, 0)));
    }
}

#[test]
fn a_log_is_cleaned_if_it_is_compacted_and_neither_its_disk_nor_the_cleaner_has_given_it_up() {
    let deleting = LogConfig { cleanup_policy: CleanupPolicy { compact: false, delete: true }, ..compacted() };
    for (what, config, offline, uncleanable, expected) in [
        ("as it should be", compacted(), false, false, Cleaned::One),
        ("not compacted", deleting, false, false, Cleaned::Nothing),
        ("its disk has failed", compacted(), true, false, Cleaned::Nothing),
        ("it could not be cleaned before", compacted(), false, true, Cleaned::Nothing),
    ] {
        let mut fixture = Fixture::new(config, toggles());
        fixture.append(&["a=1", "a=2"]);
        fixture.roll();
        fixture.log().offline = offline;
        fixture.cleaner.uncleanable.extend(uncleanable.then(partition));
        assert_eq!(fixture.run(), expected, "{what}");
    }
}

#[test]
fn only_records_that_are_dirty_and_closed_can_have_waited_too_long() {
    let config = LogConfig { max_compaction_lag_ms: Duration::from_millis(1_000), ..compacted() };
    let mut fixture = Fixture::new(config, toggles());
    fixture.append_batch(put(Some("a"), Some("clean"), 100, None));
    fixture.roll();
    fixture.append_batch(put(Some("a"), Some("dirty"), 5_000, None));
    fixture.roll();
    // The active segment has an old record.
    fixture.append_batch(put(Some("a"), Some("active"), 50, None));
    let overdue = |checkpoint: i64, now: i64| {
        fixture.logs[&partition()].to_clean(Some(Offset(checkpoint)), Timestamp(now)).overdue
    };
    assert!(!overdue(1, 6_000), "as long as they may");
    assert!(overdue(1, 6_001));
    assert!(overdue(0, 1_101));
}

/// How many segments are left of four with these timestamps, each with an append of its own.
fn check_joined(segment_bytes: u64, segment_index_bytes: u64, timestamps: [i64; 3], expected: usize) {
    let large = LogConfig { segment_bytes: 1 << 20, index_interval_bytes: 0, ..compacted() };
    let mut fixture = Fixture::new(large.clone(), toggles());
    for segment in 0..4 {
        for (n, timestamp) in timestamps.into_iter().enumerate() {
            // No key comes twice: the copy is as large as the original.
            fixture.append_batch(put(Some(&format!("{segment}{n}")), Some("v"), timestamp + segment * 10, None));
        }
        fixture.roll();
    }
    fixture.log().update_config(LogConfig { segment_bytes, segment_index_bytes, ..large });
    fixture.run();
    let found = fixture.log().segments().len() - 1;
    assert_eq!(found, expected, "{segment_bytes} bytes, {segment_index_bytes} bytes of index, {timestamps:?}");
}

#[test]
fn segments_are_joined_as_far_as_they_and_their_indexes_fit_into_one() {
    let one = 3 * put(Some("00"), Some("v"), 0, None).len() as u64;
    // Two entries of 8 bytes in each offset index; in each time index one or two of 12, and the closing one if it is news.
    let (same, growing) = ([5, 5, 5], [5, 6, 7]);
    check_joined(1 << 20, 1 << 20, same, 1);
    check_joined(2 * one, 1 << 20, same, 2);
    check_joined(2 * one - 1, 1 << 20, same, 4);
    check_joined(1 << 20, 32, same, 2);
    check_joined(1 << 20, 31, same, 4);
    check_joined(1 << 20, 48, growing, 2);
    check_joined(1 << 20, 47, growing, 4);
}

#[test]
fn segments_whose_offsets_are_too_far_apart_are_not_joined() {
    // Where the log begins, and how far behind the second batch lies.
    for (begin, gap, joined) in [(0, 10, true), (0, 1 << 31, false), (1 << 31, 10, true), (1 << 31, 1 << 31, false)] {
        let config = LogConfig { segment_bytes: 1 << 20, ..compacted() };
        let mut fixture = Fixture::new(config, toggles());
        let at = |offset: i64, key: &str| {
            let mut builder = BatchBuilder::new(Compression::None, usize::MAX).at(Offset(offset), LeaderEpoch(0));
            builder.append(Timestamp(5), Some(key.as_bytes()), Some(b"v"), &[]);
            builder.build().expect("uncompressed")
        };
        let Fixture { bench, logs, .. } = &mut fixture;
        let log = logs.get_mut(&partition()).expect("there is one");
        bench.with(|ctx| {
            log.truncate_fully_and_start_at(Offset(begin), TruncationReason::OutOfRange, ctx)
                .expect("the disk is well");
            log.append_as_follower(at(begin, "a"), ctx).expect("it follows");
            if gap < i64::from(i32::MAX) {
                log.roll(log.log_end_offset(), ctx).expect("the disk is well");
            }
            log.append_as_follower(at(begin + gap, "b"), ctx).expect("it follows");
            log.set_high_watermark(log.log_end_offset());
            log.roll(log.log_end_offset(), ctx).expect("the disk is well");
        });
        fixture.run();
        assert_eq!(fixture.log().segments().len(), if joined { 2 } else { 3 }, "{gap} behind {begin}");
    }
}

#[test]
fn what_must_not_be_touched_is_neither_joined_nor_counted() {
    let mut fixture = Fixture::new(LogConfig { segment_bytes: 1 << 20, ..compacted() }, toggles());
    fixture.append(&["a=1", "a=2"]);
    fixture.roll();
    fixture.append(&["a=3"]);
    fixture.roll();
    fixture.log().high_watermark = Offset(2);
    assert_eq!(fixture.run(), Cleaned::One);
    let counted = fixture.bench.facts().into_iter().find_map(|fact| match fact {
        Fact::Cleaned { to, records_before, records_after, .. } => Some((to, records_before, records_after)),
        _ => None,
    });
    assert_eq!(counted, Some((Offset(2), 2, 1)));
    assert_eq!((fixture.log().segments().len(), fixture.records()), (3, vec!["1:a=2".into(), "2:a=3".into()]));
}

#[test]
fn a_dirty_record_is_looked_at_and_a_clean_one_is_not() {
    let mut fixture = Fixture::new(LogConfig { segment_bytes: 1 << 20, ..compacted() }, toggles());
    fixture.append(&["a=1", "b=1"]);
    fixture.roll();
    // The first dirty record is alone in its batch.
    fixture.append(&["a=2"]);
    fixture.roll();
    fixture.cleaner.checkpoints.insert(partition(), Offset(2));
    fixture.log().update_config(LogConfig { min_cleanable_dirty_ratio: crate::types::Ratio::new(0, 1), ..compacted() });
    assert_eq!(fixture.run(), Cleaned::One);
    assert_eq!(fixture.records(), ["1:b=1", "2:a=2"]);
}

#[test]
fn a_marker_is_no_value_of_a_key_and_no_value_takes_its_place() {
    // Version 0, type 1: what a commit marker has as its key.
    let key = "\0\0\0\u{1}";
    let mut fixture = Fixture::new(LogConfig { segment_bytes: 1 << 20, ..compacted() }, toggles());
    fixture.append_batch(put(Some(key), Some("before"), 5, None));
    let marker = EndTransactionMarker { result: TransactionResult::Commit, coordinator_epoch: 0 };
    let marker = marker.batch((9, ProducerEpoch(0)), (Offset(1), LeaderEpoch(0)), Timestamp(5));
    let Fixture { bench, logs, .. } = &mut fixture;
    let log = logs.get_mut(&partition()).expect("there is one");
    bench.with(|ctx| log.append_as_follower(marker, ctx)).expect("it follows");
    fixture.append(&["b=1"]);
    fixture.roll();
    let batches = |fixture: &mut Fixture| {
        let batches = fixture.logs[&partition()].survey(Offset(0), &mut fixture.bench.disk).expect("the disk is well");
        batches.iter().map(|batch| (batch.base_offset().0, batch.is_control())).collect::<Vec<_>>()
    };
    fixture.run();
    assert_eq!(batches(&mut fixture), [(0, false), (1, true), (2, false)]);
    fixture.append_batch(put(Some(key), Some("after"), 5, None));
    fixture.append(&["b=2", "c=1", "d=1"]);
    fixture.roll();
    fixture.run();
    let left = batches(&mut fixture);
    assert!(left.contains(&(1, true)) && !left.contains(&(0, false)), "{left:?}");
}

/// Without KIP-534: a tombstone of one o'clock, a segment of the same hour plus `delete.retention.ms` and so many milliseconds,
/// which is clean, and a younger one, which is dirty.
fn is_tombstone_left(later_ms: i64) -> bool {
    let toggles = Toggles { delete_horizon: false, ..toggles() };
    let one_record = put(Some("a"), None, 5, None).len() as u64;
    // No two segments fit into one.
    let mut fixture = Fixture::new(LogConfig { segment_bytes: one_record + 2, ..compacted() }, toggles);
    fixture.at(HOUR);
    fixture.append(&["a="]);
    fixture.roll();
    fixture.run();
    fixture.at(HOUR + DAY.checked_add_signed(later_ms).expect("a small number"));
    fixture.append(&["b=1", "c=1"]);
    fixture.roll();
    fixture.run();
    fixture.at(HOUR + 3 * DAY);
    assert!(fixture.records().contains(&"0:a=".to_owned()));
    fixture.append(&["b=2", "c=2", "d=2", "e=2"]);
    fixture.roll();
    assert_eq!(fixture.run(), Cleaned::One);
    fixture.records().contains(&"0:a=".to_owned())
}

#[test]
fn before_kip_534_a_tombstone_went_by_the_age_of_its_segment_and_the_last_clean_one() {
    assert!(is_tombstone_left(-1));
    assert!(!is_tombstone_left(0));
}

#[test]
fn a_copy_is_as_old_as_what_it_was_made_of() {
    let mut fixture = Fixture::new(compacted(), toggles());
    fixture.at(HOUR);
    fixture.append(&["a=1", "a=2"]);
    fixture.roll();
    fixture.at(2 * HOUR);
    fixture.run();
    assert_eq!(fixture.log().segments()[0].modified(), Timestamp(HOUR as i64));
}

/// A batch of one record and this many bytes.
fn of_size(size: usize, key: &str) -> Bytes {
    let overhead = size - 100_000;
    let fits = |value: usize| Some(put(Some(key), Some(&"v".repeat(value)), 5, None)).filter(|it| it.len() == size);
    (100_000 + overhead - 200..size).find_map(fits).expect("some value fills it")
}

#[test]
fn a_copy_is_written_in_pieces_of_256_kilobytes_of_the_original() {
    for (sizes, pieces) in [
        (vec![131_072; 4], 2),
        (vec![131_072, 131_073, 131_072], 3),
        (vec![131_072, 131_072], 1),
        (vec![200_000; 3], 3),
    ] {
        let config = LogConfig { segment_bytes: 1 << 22, index_interval_bytes: 0, ..compacted() };
        let mut fixture = Fixture::new(config, toggles());
        for (n, size) in sizes.iter().enumerate() {
            fixture.append_batch(of_size(*size, &format!("key {n}")));
        }
        fixture.roll();
        fixture.run();
        // The first append of a segment gets no entry.
        assert_eq!(fixture.log().segments()[0].offset_index().entries() + 1, pieces, "{sizes:?}");
    }
}

#[test]
fn snapshots_of_joined_segments_go_with_them() {
    let mut fixture = Fixture::new(LogConfig { segment_bytes: 1 << 20, ..compacted() }, toggles());
    for sequence in 0..3 {
        fixture.append_batch(put(Some("a"), Some("v"), 5, Some(sequence)));
        fixture.roll();
    }
    fixture.append(&["b=1"]);
    let snapshots = |fixture: &mut Fixture| {
        let mut names = fixture.bench.disk.list("orders-0").expect("the disk is well");
        names.retain(|name| name.ends_with(".snapshot"));
        names
    };
    assert_eq!(snapshots(&mut fixture).len(), 3);
    // One that somebody has removed is no error.
    fixture.bench.disk.remove("orders-0/00000000000000000002.snapshot").expect("it is there");
    fixture.run();
    assert_eq!(snapshots(&mut fixture), ["00000000000000000003.snapshot"]);
    // Nobody looks for those that are gone.
    let Fixture { bench, logs, .. } = &mut fixture;
    let log = logs.get_mut(&partition()).expect("there is one");
    bench.with(|ctx| log.truncate_to(Offset(2), TruncationReason::Diverged, ctx)).expect("it is as it says it is");
    assert_eq!(log.log_end_offset(), Offset(2));
}

#[test]
fn what_is_cut_is_dirty_and_what_was_clean_stays_so() {
    for (active, expected) in [(4, Some(4)), (6, None), (9, None)] {
        let mut cleaner = CleanerManager::default();
        cleaner.load([(partition(), Offset(6))].into());
        assert_eq!(cleaner.changed_checkpoints(), None, "it is as it was written");
        cleaner.truncated(&partition(), Offset(active));
        let expected = expected.map(|offset| vec![(partition(), Offset(offset))]);
        assert_eq!(cleaner.changed_checkpoints(), expected, "cut at {active}");
    }
}

#[test]
fn after_a_start_the_cleaner_goes_on_where_it_was() {
    let mut bench = Bench::new();
    let broker = crate::config::BrokerConfig { log_cleaner_enable: true, ..(*broker_config(compacted())).clone() };
    let start = |bench: &mut Bench| {
        let mut manager = LogManager::new(broker.clone().into());
        bench.with(|ctx| manager.load_all(ctx)).expect("the disk is well");
        bench.with(|ctx| manager.get_or_create(&partition(), &compacted(), None, ctx).map(|_| ())).expect("it is well");
        manager
    };
    let cleanings = |bench: &mut Bench, manager: &mut LogManager| {
        bench.now += Duration::from_secs(15);
        bench.with(|ctx| manager.on_deadline(ctx)).expect("the disk is well");
        bench.facts().iter().filter(|fact| matches!(fact, Fact::Cleaned { .. })).count()
    };
    let mut manager = start(&mut bench);
    let log = manager.get_mut(&partition()).expect("there is one");
    for value in ["1", "2"] {
        bench
            .with(|ctx| log.append_as_leader(put(Some("a"), Some(value), 5, None), LeaderEpoch(0), ctx))
            .expect("it fits");
    }
    bench.with(|ctx| log.roll(Offset(2), ctx)).expect("the disk is well");
    log.set_high_watermark(Offset(2));
    assert_eq!(cleanings(&mut bench, &mut manager), 1);
    bench.with(|ctx| manager.shutdown(BrokerEpoch(1), ctx)).expect("the disk is well");
    let mut manager = start(&mut bench);
    manager.get_mut(&partition()).expect("there is one").set_high_watermark(Offset(2));
    assert_eq!(cleanings(&mut bench, &mut manager), 0);
    assert!(bench.now > Instant(0));
}

//! How a log comes back after each kind of stop, and after each kind of damage.

use bytes::Bytes;

use super::*;
use crate::config::CleanupPolicy;
use crate::log::producer_state::BatchMetadata;
use crate::log::testing::{Batch, Bench, config, partition, toggles};
use crate::record::RecordBatch;
use crate::storage::OpenMode;
use crate::types::{LeaderEpoch, Timestamp};

const FIRST: &str = "orders-0/00000000000000000000.log";

/// A disk with a log of four batches of two records each, in the epochs 0, 0, 1 and 2, by producer 7.
fn four_batches(config: LogConfig) -> (Bench, UnifiedLog) {
    let mut bench = Bench::new();
    let mut log = bench.load(config);
    for (n, epoch) in [0, 0, 1, 2].into_iter().enumerate() {
        let bytes = Batch::of(2).producer(7, 0, n as i32 * 2).timestamp(1_000 + n as i64 * 10).build();
        bench.with(|ctx| log.append_as_leader(bytes, LeaderEpoch(epoch), ctx)).unwrap();
    }
    bench.facts();
    (bench, log)
}

fn len() -> usize {
    Batch::of(2).build().len()
}

fn one_batch_each() -> LogConfig {
    LogConfig { segment_bytes: len() as u64, ..config() }
}

/// Bytes, epochs, the last batch of each producer, start and end.
type State = (Vec<Bytes>, LeaderEpochFileCache, Vec<(i64, Option<BatchMetadata>)>, [Offset; 2]);

/// What is in the log: everything but its handles.
fn state(log: &UnifiedLog, bench: &mut Bench) -> State {
    let batches = log.survey(Offset(0), &mut bench.disk).unwrap();
    let bytes = batches.iter().map(|batch| batch.bytes().clone()).collect();
    // Of a producer the snapshots know the last batch.
    let producers = log.producers.entries().iter();
    let producers = producers.map(|entry| (entry.producer_id, entry.batches().last().copied())).collect();
    (bytes, log.leader_epochs.clone(), producers, [log.log_start, log.log_end])
}

#[test]
fn a_log_comes_back_as_it_was_after_any_stop() {
    for config in [config(), one_batch_each(), LogConfig { index_interval_bytes: 0, ..config() }] {
        let (mut bench, mut log) = four_batches(config.clone());
        let before = state(&log, &mut bench);

        let mut killed = bench.clone();
        let recovered = killed.recover(config.clone(), 0);
        assert_eq!(state(&recovered, &mut killed), before);
        assert_eq!(recovered.recovery_point(), Offset(0), "nothing was synced, so the next start looks again");
        assert_eq!(recovered.segments().len(), log.segments().len());

        bench.with(|ctx| log.close(ctx)).unwrap();
        let stopped = bench.load(config);
        assert_eq!(state(&stopped, &mut bench), before);
        assert_eq!(stopped.recovery_point(), Offset(8));
        let (log_start, log_end) = (Offset(0), Offset(8));
        assert_eq!(
            bench.facts(),
            [Fact::LogLoaded { partition: partition(), log_start, log_end, clean: true, hole: None }]
        );
    }
}

#[test]
fn a_segment_that_lost_its_records_leaves_a_hole_which_only_the_fact_tells() {
    let compacted = CleanupPolicy { compact: true, delete: false };
    for (cleanup_policy, hole) in [(config().cleanup_policy, Some((Offset(4), Offset(6)))), (compacted, None)] {
        let (mut bench, _) = four_batches(one_batch_each());
        bench.disk.put("orders-0/00000000000000000004.log", Bytes::new());
        let log = bench.recover(LogConfig { cleanup_policy, ..one_batch_each() }, 0);
        assert_eq!((log.log_end_offset(), log.segments().len()), (Offset(8), 4));
        let (log_start, log_end) = (Offset(0), Offset(8));
        let loaded = Fact::LogLoaded { partition: partition(), log_start, log_end, clean: false, hole };
        assert_eq!(bench.facts(), [loaded]);
    }
}

#[test]
fn a_log_that_lost_its_last_records_ends_with_a_hole_compacted_or_not() {
    let compacted = CleanupPolicy { compact: true, delete: false };
    for cleanup_policy in [config().cleanup_policy, compacted] {
        let (mut bench, _) = four_batches(one_batch_each());
        for segment in ["00000000000000000004", "00000000000000000006"] {
            bench.disk.put(&format!("orders-0/{segment}.log"), Bytes::new());
        }
        let log = bench.recover(LogConfig { cleanup_policy, ..one_batch_each() }, 0);
        assert_eq!(log.log_end_offset(), Offset(6));
        let hole = Some((Offset(4), Offset(6)));
        let (log_start, log_end) = (Offset(0), Offset(6));
        assert_eq!(bench.facts(), [Fact::LogLoaded { partition: partition(), log_start, log_end, clean: false, hole }]);
    }
}

#[test]
fn a_hole_is_told_by_the_start_that_looks_for_it_and_there_is_none_where_nothing_is_missing() {
    let holes = |bench: &mut Bench| -> Vec<Option<(Offset, Offset)>> {
        let loaded = bench.facts().into_iter().filter_map(|fact| match fact {
            Fact::LogLoaded { hole, .. } => Some(hole),
            _ => None,
        });
        loaded.collect()
    };
    let (mut bench, _) = four_batches(one_batch_each());
    let mut whole = bench.clone();
    whole.recover(one_batch_each(), 0);
    assert_eq!(holes(&mut whole), [None]);
    bench.disk.put("orders-0/00000000000000000002.log", Bytes::new());
    let mut log = bench.recover(one_batch_each(), 0);
    assert_eq!(holes(&mut bench), [Some((Offset(2), Offset(4)))]);
    // What was synced is taken as it is, and so is everything after a clean stop.
    let mut killed = bench.clone();
    killed.recover(one_batch_each(), 6);
    assert_eq!(holes(&mut killed), [None]);
    bench.with(|ctx| log.close(ctx)).unwrap();
    bench.load(one_batch_each());
    assert_eq!(holes(&mut bench), [None]);
}

#[test]
fn a_torn_end_of_a_closed_segment_does_no_harm_and_one_of_the_active_segment_is_damage() {
    let tear = |bench: &mut Bench, segment: &str| {
        let name = format!("orders-0/{segment}.log");
        let whole = bench.disk.content(&name).unwrap();
        bench.disk.put(&name, [&whole[..], &whole[..whole.len() / 2]].concat().into());
    };
    let (bench, log) = four_batches(one_batch_each());
    let before = log.survey(Offset(0), &mut bench.clone().disk).unwrap();
    let mut torn = bench.clone();
    tear(&mut torn, "00000000000000000002");
    let mut log = torn.recover(one_batch_each(), 8);
    assert_eq!(log.survey(Offset(0), &mut torn.disk).unwrap(), before);
    assert!(!torn.facts().iter().any(|fact| matches!(fact, Fact::Truncated { .. })), "no record is gone");
    torn.with(|ctx| log.close(ctx)).unwrap();
    tear(&mut torn, "00000000000000000006");
    let loads =
        |ctx: &mut Context<'_>| UnifiedLog::load(partition(), one_batch_each(), toggles(), Offset(8), true, ctx);
    assert!(torn.with(loads).is_err());
}

#[test]
fn a_torn_tail_is_cut_wherever_it_is_torn() {
    let (bench, _) = four_batches(config());
    let whole = bench.disk.content(FIRST).unwrap();
    for size in 0..whole.len() {
        let mut bench = bench.clone();
        bench.disk.put(FIRST, whole.slice(..size));
        let mut log = bench.recover(config(), 0);
        let batches = size / len();
        assert_eq!(log.log_end_offset(), Offset(batches as i64 * 2), "torn at {size}");
        assert_eq!(bench.disk.content(FIRST).unwrap().len(), batches * len(), "torn at {size}");
        assert_eq!(log.latest_epoch(), [None, Some(0), Some(0), Some(1)][batches].map(LeaderEpoch));
        let truncated = bench.facts().iter().any(|fact| matches!(fact, Fact::Truncated { .. }));
        assert_eq!(truncated, size % len() != 0, "torn at {size}");
        // It goes on from there, and a second look finds nothing wrong.
        let next = Batch::of(2).producer(7, 0, batches as i32 * 2).build();
        bench.with(|ctx| log.append_as_leader(next, LeaderEpoch(3), ctx)).unwrap();
        let again = bench.recover(config(), 0);
        assert_eq!(state(&again, &mut bench), state(&log, &mut bench), "torn at {size}");
    }
}

#[test]
fn a_flipped_bit_anywhere_above_the_recovery_point_cuts_the_log_there() {
    let (mut bench, log) = four_batches(config());
    let whole = bench.disk.content(FIRST).unwrap();
    let before = log.survey(Offset(0), &mut bench.disk).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x10;
        let mut bench = bench.clone();
        bench.disk.put(FIRST, bytes.into());
        let log = bench.recover(config(), 0);
        let found = log.survey(Offset(0), &mut bench.disk).unwrap();
        let hit = at / len();
        // The leader epoch lies outside the CRC, and so do the high bytes of the base offset: Kafka cannot see a
        // flip there either, as long as offsets grow.
        let unseen = matches!(at % len(), 0..8 | 12..16);
        if unseen {
            assert!(found.len() >= hit, "byte {at}");
        } else {
            assert_eq!(found, before[..hit], "byte {at}");
        }
    }
}

#[test]
fn what_lies_behind_a_cut_goes_with_it() {
    let (mut bench, _) = four_batches(one_batch_each());
    let second = "orders-0/00000000000000000002.log";
    let torn = bench.disk.content(second).unwrap().slice(..len() - 1);
    bench.disk.put(second, torn);
    let log = bench.recover(one_batch_each(), 0);
    assert_eq!((log.log_end_offset(), log.segments().len()), (Offset(2), 2));
    assert!(!bench.disk.exists("orders-0/00000000000000000004.log"));
    assert!(!bench.disk.exists("orders-0/00000000000000000006.timeindex"));
    // The header of the torn batch and the later segments still tell where the log ended.
    let cut = Fact::Truncated {
        partition: partition(),
        from: Offset(8),
        to: Offset(2),
        reason: TruncationReason::CorruptTail,
    };
    assert_eq!(bench.facts()[0], cut);
}

#[test]
fn below_the_recovery_point_nothing_is_checked_but_frames() {
    let (mut bench, _) = four_batches(one_batch_each());
    let mut flip = bench.disk.content(FIRST).unwrap().to_vec();
    flip[len() - 1] ^= 1;
    bench.disk.put(FIRST, flip.into());
    // Recovery begins with the segment that holds the recovery point, which is the second one.
    assert_eq!(bench.clone().recover(one_batch_each(), 2).log_end_offset(), Offset(8));
    assert_eq!(bench.clone().recover(one_batch_each(), 1).log_end_offset(), Offset(0));
    bench.disk.put(FIRST, Bytes::from_static(&[0; 100]));
    let error = bench
        .with(|ctx| UnifiedLog::load(partition(), one_batch_each(), toggles(), Offset(2), false, ctx))
        .expect_err("a log that was synced and is damaged cannot be loaded");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn since_2_3_an_index_is_believed_and_misleads_whoever_reads_by_it() {
    let config = LogConfig { index_interval_bytes: 80, ..config() };
    let (mut bench, mut log) = four_batches(config.clone());
    bench.with(|ctx| log.close(ctx)).unwrap();
    // The batch with offset 3 is the second one, not the third.
    let entry = ((3 << 32) | (2 * len() as u64)).to_be_bytes();
    bench.disk.put("orders-0/00000000000000000000.index", Bytes::copy_from_slice(&entry));
    let first_read = |bench: &mut Bench, log: &UnifiedLog| {
        let read = bench.with(|ctx| log.read(Offset(3), Offset(8), 1, true, ctx)).expect("there is something");
        read.first_chunk().map(|base| i64::from_be_bytes(*base))
    };
    let believed = bench.load(config.clone());
    assert_eq!(first_read(&mut bench, &believed), Some(4), "what it asked for is passed over");
    bench.disk.remove("orders-0/00000000000000000000.index").unwrap();
    let rebuilt = bench.load(config);
    assert_eq!(first_read(&mut bench, &rebuilt), Some(2));
}

#[test]
fn missing_corrupt_and_foreign_indexes_are_built_anew() {
    let config = LogConfig { index_interval_bytes: 80, ..config() };
    let (mut bench, mut log) = four_batches(config.clone());
    bench.with(|ctx| log.close(ctx)).unwrap();
    let (index, times) = ("orders-0/00000000000000000000.index", "orders-0/00000000000000000000.timeindex");
    let written = (bench.disk.content(index).unwrap(), bench.disk.content(times).unwrap());
    assert_eq!((written.0.len(), written.1.len()), (24, 36));
    let damages: [fn(&mut Bench); 5] = [
        |bench| bench.disk.remove("orders-0/00000000000000000000.index").unwrap(),
        |bench| bench.disk.remove("orders-0/00000000000000000000.timeindex").unwrap(),
        |bench| bench.disk.put("orders-0/00000000000000000000.index", Bytes::from_static(b"seven b")),
        // Well formed, but no batch starts at position 9.
        |bench| bench.disk.put("orders-0/00000000000000000000.index", Bytes::from_static(&[0, 0, 0, 3, 0, 0, 0, 9])),
        // Well formed, but beyond the end of the log.
        |bench| {
            let entry = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 1, 0];
            bench.disk.put("orders-0/00000000000000000000.timeindex", Bytes::copy_from_slice(&entry));
        },
    ];
    for (n, damage) in damages.into_iter().enumerate() {
        let mut bench = bench.clone();
        damage(&mut bench);
        let checked = Toggles { index_check_skipped: false, ..toggles() };
        bench
            .with(|ctx| UnifiedLog::load(partition(), config.clone(), checked, Offset(0), true, ctx))
            .expect("it is loaded");
        let rebuilt = (bench.disk.content(index).unwrap(), bench.disk.content(times).unwrap());
        assert_eq!(rebuilt, written, "damage {n}");
    }
}

#[test]
fn index_files_without_a_log_are_removed_and_other_files_left_alone() {
    let mut bench = Bench::new();
    bench.disk.create_dir("orders-0").unwrap();
    for name in ["00000000000000000009.index", "00000000000000000009.timeindex", "partition.metadata", "7.log"] {
        bench.disk.put(&format!("orders-0/{name}"), Bytes::new());
    }
    let log = bench.load(config());
    assert_eq!((log.log_end_offset(), log.segments().len()), (Offset(0), 1));
    let names = bench.disk.list("orders-0").unwrap();
    assert_eq!(
        names,
        [
            "00000000000000000000.index",
            "00000000000000000000.log",
            "00000000000000000000.timeindex",
            "7.log",
            "partition.metadata"
        ]
    );
}

#[test]
fn epochs_beyond_the_end_are_forgotten_and_missing_ones_found_in_the_batches() {
    let (mut bench, _) = four_batches(config());
    let whole = bench.disk.content(FIRST).unwrap();
    bench.disk.put(FIRST, whole.slice(..3 * len()));
    // The file knows epoch 2, whose records are lost, and never heard of epoch 1.
    bench.disk.put("orders-0/leader-epoch-checkpoint", Bytes::from_static(b"0\n1\n0 0\n"));
    let log = bench.recover(config(), 0);
    assert_eq!(log.end_offset_for_epoch(LeaderEpoch(0)), Some((LeaderEpoch(0), Offset(4))));
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(1)));
    assert_eq!(bench.disk.content("orders-0/leader-epoch-checkpoint").unwrap(), "0\n2\n0 0\n1 4\n");

    bench.disk.put("orders-0/leader-epoch-checkpoint", Bytes::from_static(b"0\n3\n0 0\n1 4\n2 6\n"));
    assert_eq!(bench.recover(config(), 0).latest_epoch(), Some(LeaderEpoch(1)));
}

#[test]
fn the_largest_timestamp_survives_a_restart() {
    let (mut bench, mut log) = four_batches(one_batch_each());
    bench.with(|ctx| log.close(ctx)).unwrap();
    let log = bench.load(one_batch_each());
    let largest = bench.with(|ctx| log.max_timestamp(ctx)).unwrap();
    assert_eq!(largest, Some((Timestamp(1_031), Offset(7), LeaderEpoch(2))));
}

proptest::proptest! {
    #[test]
    fn no_bytes_in_any_file_make_loading_panic(
        log in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        tail in proptest::bool::ANY,
        index in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..30),
        clean in proptest::bool::ANY,
    ) {
        let (mut bench, _) = four_batches(config());
        let whole = bench.disk.content(FIRST).unwrap();
        // Noise behind good batches reaches further than noise alone.
        let content = if tail { [&whole[..], &log].concat() } else { log };
        bench.disk.put(FIRST, content.clone().into());
        bench.disk.put("orders-0/00000000000000000000.index", index.clone().into());
        bench.disk.put("orders-0/00000000000000000000.timeindex", index.into());
        let loaded = bench.with(|ctx| UnifiedLog::load(partition(), config(), toggles(), Offset(0), clean, ctx));
        match loaded {
            Ok(log) => {
                let batches = log.survey(Offset(0), &mut bench.disk).unwrap();
                let bytes: usize = batches.iter().map(RecordBatch::size_in_bytes).sum();
                let file = bench.disk.open(FIRST, OpenMode::Existing).unwrap();
                proptest::prop_assert_eq!(bytes as u64, bench.disk.len(file).unwrap());
                proptest::prop_assert!(!tail || log.log_end_offset() >= Offset(8));
            }
            Err(error) => {
                proptest::prop_assert!(clean, "recovery repairs everything: {}", error);
                proptest::prop_assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            }
        }
    }
}

//! What a start makes of files that contradict each other: overlaps, gaps, torn tails, snapshots that say too much.

use std::io;

use bytes::Bytes;

use super::leader_epoch_cache::LeaderEpochFileCache;
use super::leftovers::finish_swaps;
use super::testing::{Batch, Bench, config, partition, toggles};
use super::*;
use crate::config::LogConfig;
use crate::fact::{Fact, LogStartReason, TruncationReason};
use crate::record::{EndTransactionMarker, TransactionResult};
use crate::storage::{MemoryStorage, Storage};
use crate::types::{Duration, Instant, LeaderEpoch, Offset, ProducerEpoch, Timestamp};

const FIRST: &str = "orders-0/00000000000000000000.log";

fn len() -> usize {
    Batch::of(2).build().len()
}

fn one_batch_each() -> LogConfig {
    LogConfig { segment_bytes: len() as u64, ..config() }
}

/// A disk with a log of four batches of two records each.
fn four_batches(config: LogConfig) -> (Bench, UnifiedLog) {
    let mut bench = Bench::new();
    let mut log = bench.load(config);
    for n in 0..4 {
        // Of one producer the first, of another the rest.
        let producer = if n == 0 { (7, 0) } else { (8, (n - 1) * 2) };
        let batch = Batch::of(2).producer(producer.0, 0, producer.1).build();
        bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).expect("there is room");
    }
    bench.facts();
    (bench, log)
}

/// From where to where the tail was cut.
fn cut(bench: &mut Bench) -> Option<(i64, i64)> {
    bench.facts().into_iter().find_map(|fact| match fact {
        Fact::Truncated { from, to, reason: TruncationReason::CorruptTail, .. } => Some((from.0, to.0)),
        _ => None,
    })
}

#[test]
fn where_the_log_ended_is_read_from_headers_that_continue_it() {
    // What is done to the four batches, and what is said of the cut.
    type Damage = fn(&mut Vec<u8>, usize);
    let cases: [(&str, Damage, (i64, i64)); 7] = [
        ("the last byte is missing", |bytes, _| bytes.truncate(bytes.len() - 1), (8, 6)),
        ("all but the offsets of the last batch is missing", |bytes, len| bytes.truncate(3 * len + 27), (8, 6)),
        ("half of them is missing as well", |bytes, len| bytes.truncate(3 * len + 26), (6, 6)),
        (
            "a bit of the second batch, and the last byte",
            |bytes, len| {
                bytes[2 * len - 1] ^= 1;
                bytes.truncate(bytes.len() - 1);
            },
            (8, 2),
        ),
        (
            "a bit of the second batch, and the third lies elsewhere",
            |bytes, len| {
                bytes[2 * len - 1] ^= 1;
                bytes[2 * len + 7] = 40;
            },
            (4, 2),
        ),
        (
            "the last batch is torn and of another kind",
            |bytes, len| {
                bytes.truncate(3 * len + 40);
                bytes[3 * len + 16] = 1;
            },
            (6, 6),
        ),
        (
            "the last batch is torn and ends before it begins",
            |bytes, len| {
                bytes.truncate(3 * len + 40);
                bytes[3 * len + 23] = 0xff;
            },
            (6, 6),
        ),
    ];
    for (what, damage, expected) in cases {
        let (mut bench, _) = four_batches(config());
        let mut bytes = bench.disk.content(FIRST).expect("it is there").to_vec();
        damage(&mut bytes, len());
        bench.disk.put(FIRST, bytes.into());
        bench.recover(config(), 0);
        assert_eq!(cut(&mut bench), Some(expected), "{what}");
    }
}

#[test]
fn a_segment_on_top_of_another_goes_after_an_unclean_stop_and_stops_a_clean_start() {
    let (mut bench, _) = four_batches(one_batch_each());
    bench.disk.put("orders-0/00000000000000000005.log", Batch::of(2).at(5, 0).build());
    let mut unclean = bench.clone();
    assert_eq!(unclean.recover(one_batch_each(), 0).log_end_offset(), Offset(6));
    assert_eq!(cut(&mut unclean), Some((8, 6)), "and everything behind it");
    let clean = bench.with(|ctx| UnifiedLog::load(partition(), one_batch_each(), toggles(), Offset(8), true, ctx));
    assert_eq!(clean.err().map(|error| error.kind()), Some(io::ErrorKind::InvalidData));
}

#[test]
fn a_batch_that_no_segment_can_hold_there_is_no_batch() {
    for (second, what) in [(1 << 31, "too far from the base"), (1, "below the one before")] {
        let content = [Batch::of(2).at(0, 0).build(), Batch::of(2).at(second, 0).build()].concat();
        let mut bench = Bench::new();
        bench.disk.create_dir("orders-0").expect("the disk is well");
        bench.disk.put(FIRST, content.into());
        let clean = bench.with(|ctx| UnifiedLog::load(partition(), config(), toggles(), Offset(0), true, ctx));
        assert_eq!(clean.err().map(|error| error.kind()), Some(io::ErrorKind::InvalidData), "{what}");
        assert_eq!(bench.recover(config(), 0).log_end_offset(), Offset(2), "{what}");
    }
}

#[test]
fn a_snapshot_at_the_segment_that_is_recovered_is_believed_and_a_later_one_is_not() {
    let (mut bench, mut log) = four_batches(one_batch_each());
    // The records of producer 7 are gone; the snapshots know it.
    log.set_high_watermark(Offset(8));
    let reason = LogStartReason::DeleteRecords;
    bench.with(|ctx| log.maybe_increment_log_start_offset(Offset(4), reason, ctx)).expect("it is committed");
    bench.with(|ctx| log.delete_old_segments(ctx)).expect("the disk is well");
    assert!(bench.disk.exists("orders-0/00000000000000000006.snapshot"));
    let known = |log: &UnifiedLog| log.producers().entries().iter().map(|entry| entry.producer_id).collect::<Vec<_>>();
    assert_eq!(known(&log), [7, 8]);
    let liar = producer_snapshot::encode(&[]);
    bench.disk.put("orders-0/00000000000000000008.snapshot", liar.into());
    assert_eq!(known(&bench.recover(one_batch_each(), 7)), [7, 8]);
}

#[test]
fn indexes_of_aborted_transactions_are_built_anew_segment_by_segment() {
    let mut bench = Bench::new();
    let mut log = bench.load(config());
    for segment in 0..3 {
        let at = log.log_end_offset();
        let batch = Batch::of(1).producer(7, 0, segment).in_transaction().at(at.0, 0).build();
        let marker = EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch: 0 };
        let marker = marker.batch((7, ProducerEpoch(0)), (at.next(), LeaderEpoch(0)), Timestamp(1_000));
        bench.with(|ctx| {
            log.append_as_follower(batch, ctx).expect("it follows");
            log.append_as_follower(marker, ctx).expect("it follows");
            log.roll(log.log_end_offset(), ctx).expect("the disk is well");
        });
    }
    bench.with(|ctx| log.close(ctx)).expect("the disk is well");
    let name = |base: i64, ending: &str| format!("orders-0/{base:020}{ending}");
    let before: Vec<Option<Bytes>> = [0, 2, 4].map(|base| bench.disk.content(&name(base, ".txnindex"))).to_vec();
    assert!(before.iter().flatten().all(|content| content.len() == 34));
    for base in [0, 2, 4] {
        bench.disk.remove(&name(base, ".index")).expect("it is there");
    }
    let log = bench.load(config());
    let first_offsets: Vec<Vec<i64>> = log.segments()[..3]
        .iter()
        .map(|segment| segment.transaction_index().entries().iter().map(|entry| entry.first_offset.0).collect())
        .collect();
    assert_eq!(first_offsets, [[0], [2], [4]]);
    assert_eq!([0, 2, 4].map(|base| bench.disk.content(&name(base, ".txnindex"))).to_vec(), before);
}

#[test]
fn a_finished_copy_of_the_cleaner_takes_the_place_of_all_that_it_was_made_of() {
    let mut disk = MemoryStorage::default();
    disk.create_dir("orders-0").expect("the disk is well");
    let copy = [Batch::of(2).at(0, 0).build(), Batch::of(2).at(4, 0).build()].concat();
    let mut put = |name: &str, content: &[u8]| disk.put(&format!("orders-0/{name}"), Bytes::copy_from_slice(content));
    put("00000000000000000000.log.swap", &copy);
    put("00000000000000000000.index.swap", &[]);
    for base in [0, 2, 4, 6] {
        put(&format!("{base:020}.log"), b"original");
        put(&format!("{base:020}.index"), b"original");
    }
    put("leader-epoch-checkpoint", b"0\n0\n");
    finish_swaps("orders-0", &mut disk).expect("the disk is well");
    let left = disk.list("orders-0").expect("the disk is well");
    let expected = [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000006.index",
        "00000000000000000006.log",
        "leader-epoch-checkpoint",
    ];
    assert_eq!(left, expected);
    assert_eq!(disk.content(FIRST).map(|content| content.len()), Some(copy.len()));
}

#[test]
fn neither_epochs_nor_offsets_are_negative() {
    for (text, is_sound) in [("0\n1\n0 0\n", true), ("0\n1\n-1 0\n", false), ("0\n1\n0 -1\n", false)] {
        let mut disk = MemoryStorage::default();
        disk.put("leader-epoch-checkpoint", Bytes::from_static(text.as_bytes()));
        let read = LeaderEpochFileCache::read("leader-epoch-checkpoint", &mut disk);
        assert_eq!(read.is_ok(), is_sound, "{text:?}");
    }
}

#[test]
fn a_log_that_is_cut_at_its_beginning_keeps_its_file() {
    let (mut bench, mut log) = four_batches(config());
    bench.with(|ctx| log.truncate_to(Offset(0), TruncationReason::Diverged, ctx)).expect("the disk is well");
    assert_eq!((log.log_end_offset(), log.task_due()), (Offset(0), None), "nothing waits to be removed");
}

#[test]
fn files_are_removed_when_their_own_delay_is_over() {
    let config = LogConfig { file_delete_delay_ms: Duration::from_secs(60), ..one_batch_each() };
    let (mut bench, mut log) = four_batches(config.clone());
    let cut = |bench: &mut Bench, log: &mut UnifiedLog, to: i64, second: u64| {
        bench.now = Instant(second * 1_000_000_000);
        bench.with(|ctx| log.truncate_to(Offset(to), TruncationReason::Diverged, ctx)).expect("the disk is well");
    };
    log.run_tasks_of(&mut bench);
    cut(&mut bench, &mut log, 4, 0);
    cut(&mut bench, &mut log, 2, 10);
    log.update_config(LogConfig { file_delete_delay_ms: Duration::from_secs(1), ..config });
    cut(&mut bench, &mut log, 0, 20);
    let mut due = Vec::new();
    while let Some(at) = log.task_due() {
        due.push(at.0 / 1_000_000_000);
        bench.now = at;
        log.run_tasks_of(&mut bench);
    }
    assert_eq!(due, [21, 60, 70]);
    let left = bench.disk.list("orders-0").expect("the disk is well");
    assert!(!left.iter().any(|name| name.ends_with(".deleted")), "{left:?}");
}

impl UnifiedLog {
    fn run_tasks_of(&mut self, bench: &mut Bench) {
        bench.with(|ctx| self.run_tasks(ctx)).expect("the disk is well");
    }
}

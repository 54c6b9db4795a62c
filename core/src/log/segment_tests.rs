//! One segment at its edges: when it is rolled, when its indexes get an entry, what a search finds in it.

use bytes::Bytes;

use super::segment::LogSegment;
use super::testing::{Batch, Bench, config, parse, partition, toggles};
use super::validator::Analysis;
use super::*;
use crate::config::{LogConfig, Toggles};
use crate::storage::Storage;
use crate::types::{Duration, LeaderEpoch, Offset, Timestamp};

fn open(bench: &mut Bench, base: i64) -> LogSegment {
    bench.disk.create_dir("orders-0").expect("the disk is well");
    LogSegment::open("orders-0", Offset(base), Timestamp(0), &mut bench.disk).expect("the disk is well").0
}

fn append(segment: &mut LogSegment, bench: &mut Bench, bytes: Bytes, interval: u64) {
    let batch = parse(&bytes);
    let set = Analysis::of(&batch);
    segment.append(&set, &[batch], bytes, interval, Timestamp(0), &mut bench.disk).expect("the disk is well");
}

#[test]
fn a_segment_is_rolled_when_it_is_older_than_it_may_be() {
    let minute = LogConfig { segment_ms: Duration::from_secs(60), ..config() };
    // Timestamps of the first and the next record, jitter, the wall clock, whether it is rolled.
    for (first, next, jitter, now, expected) in [
        (1_000, 61_000, 0, 0, false),
        (1_000, 61_001, 0, 0, true),
        (1_000, 51_000, 10_000, 0, false),
        (1_000, 51_001, 10_000, 0, true),
        // Records without a time: since when there is the segment.
        (-1, -1, 0, 60_000, false),
        (-1, -1, 0, 60_001, true),
        (0, 60_000, 0, 90_000, false),
        (0, 60_001, 0, 90_000, true),
    ] {
        let mut bench = Bench::new();
        let mut segment = open(&mut bench, 0);
        append(&mut segment, &mut bench, Batch::of(1).timestamp(first).build(), 4096);
        segment.set_roll_jitter(Duration::from_millis(jitter));
        let set = Analysis::of(&parse(&Batch::of(1).at(1, 0).timestamp(next).build()));
        let rolled = segment.should_roll(&set, &minute, Timestamp(now));
        assert_eq!(rolled, expected, "{first} {next} less {jitter}, at {now}");
    }
}

#[test]
fn with_jitter_a_segment_is_rolled_earlier() {
    for (jitter, rolled) in [(0, false), (30_000, true)] {
        let mut bench = Bench::new();
        let segment_jitter_ms = Duration::from_millis(jitter);
        let mut log = bench.load(LogConfig { segment_ms: Duration::from_secs(60), segment_jitter_ms, ..config() });
        for timestamp in [1_000, 1_000, 61_000] {
            let batch = Batch::of(1).timestamp(timestamp).build();
            bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).expect("there is room");
            if log.log_end_offset() == Offset(1) {
                bench.with(|ctx| log.roll(Offset(1), ctx)).expect("the disk is well");
            }
        }
        assert_eq!(log.segments().len() == 3, rolled, "{jitter}");
    }
}

#[test]
fn an_index_gets_an_entry_when_more_than_the_interval_was_written_and_is_rebuilt_the_same() {
    let paths = [".index", ".timeindex"].map(|ending| format!("orders-0/00000000000000000000{ending}"));
    let len = Batch::of(1).build().len() as u64;
    // Bytes between entries, entries of the offset index after five batches.
    for (index_interval_bytes, entries) in [(0, 4), (len - 1, 4), (len, 2), (4 * len - 1, 1), (4 * len, 0)] {
        let config = LogConfig { index_interval_bytes, ..config() };
        let mut bench = Bench::new();
        let mut log = bench.load(config.clone());
        for timestamp in [1_000, 1_000, 1_005, 1_005, 1_005] {
            let batch = Batch::of(1).timestamp(timestamp).build();
            bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).expect("there is room");
        }
        assert_eq!(log.segments()[0].offset_index().entries(), entries, "every {index_interval_bytes} bytes");
        bench.with(|ctx| log.close(ctx)).expect("the disk is well");
        let written = paths.clone().map(|path| bench.disk.content(&path));
        for path in &paths {
            bench.disk.remove(path).expect("it is there");
        }
        let log = bench.load(config);
        assert_eq!(paths.clone().map(|path| bench.disk.content(&path)), written, "every {index_interval_bytes} bytes");
        // Of equal times the first one counts.
        let last = log.segments()[0].time_index().iter().last();
        assert_eq!(last, Some((Timestamp(1_005), Offset(2))), "every {index_interval_bytes} bytes");
    }
}

#[test]
fn a_read_of_exactly_what_is_left_gives_all_of_it() {
    let mut bench = Bench::new();
    let mut segment = open(&mut bench, 0);
    for n in 0..4 {
        append(&mut segment, &mut bench, Batch::of(2).at(n * 2, 0).build(), 4096);
    }
    let len = Batch::of(2).build().len();
    for (from, bytes, batches) in [(0, 4 * len, 4), (4, 2 * len, 2), (4, 2 * len - 1, 1), (6, len, 1), (6, len - 1, 0)]
    {
        let read = segment.read(Offset(from), Offset(8), bytes, false, &mut bench.disk).expect("the disk is well");
        assert_eq!(read.map(|read| read.len() / len), Some(batches), "{bytes} bytes from {from}");
    }
}

#[test]
fn a_damaged_batch_hides_nothing_that_it_cannot_hold() {
    let mut bench = Bench::new();
    let mut log = bench.load(config());
    for timestamp in [1_000, 2_000] {
        let batch = Batch::of(1).timestamp(timestamp).build();
        bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).expect("there is room");
    }
    bench.with(|ctx| log.close(ctx)).expect("the disk is well");
    let path = "orders-0/00000000000000000000.log";
    let mut bytes = bench.disk.content(path).expect("it is there").to_vec();
    // The length of the first record.
    bytes[61] = 0x7e;
    bench.disk.put(path, bytes.into());
    let log = bench.load(config());
    let found = bench.with(|ctx| log.offset_for_timestamp(Timestamp(1_500), ctx)).expect("that one is whole");
    assert_eq!(found.map(|(_, offset, _)| offset), Some(Offset(1)));
    assert!(bench.with(|ctx| log.offset_for_timestamp(Timestamp(900), ctx)).is_err());
}

#[test]
fn the_largest_time_is_none_where_records_have_none() {
    for (timestamps, expected) in
        [(&[][..], None), (&[-1, -1], None), (&[-1, 0], Some((0, 1))), (&[5, 5], Some((5, 0)))]
    {
        let mut bench = Bench::new();
        let mut log = bench.load(config());
        for timestamp in timestamps {
            let batch = Batch::of(1).timestamp(*timestamp).build();
            bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).expect("there is room");
        }
        let found = bench.with(|ctx| log.max_timestamp(ctx)).expect("the disk is well");
        assert_eq!(found.map(|(timestamp, offset, _)| (timestamp.0, offset.0)), expected, "{timestamps:?}");
    }
}

/// Before 2.3 an index that does not fit its log was built anew. The second segment has offsets 4 and 5, 6 and 7.
#[test]
fn indexes_fit_if_every_entry_names_what_lies_where_it_says() {
    let len = Batch::of(2).build().len() as u32;
    let small = LogConfig { segment_bytes: 2 * u64::from(len), index_interval_bytes: 0, ..config() };
    let mut bench = Bench::new();
    let mut log = bench.load(small.clone());
    for timestamp in [1_000, 1_010, 1_020, 1_030] {
        let batch = Batch::of(2).timestamp(timestamp).build();
        bench.with(|ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).expect("there is room");
    }
    bench.with(|ctx| log.close(ctx)).expect("the disk is well");
    let offset = |relative: u32, position: u32| [relative.to_be_bytes(), position.to_be_bytes()].concat();
    let time = |time: i64, relative: u32| [&time.to_be_bytes()[..], &relative.to_be_bytes()].concat();
    let (index, times) = ("orders-0/00000000000000000004.index", "orders-0/00000000000000000004.timeindex");
    for (what, path, content, fits) in [
        ("no entry", index, Vec::new(), true),
        ("the last offset of the second batch", index, offset(3, len), true),
        ("the last offset of the first", index, offset(1, 0), true),
        ("an offset within the second batch", index, offset(2, len), false),
        ("an offset beyond the end", index, offset(4, len), false),
        ("a position where no batch begins", index, offset(3, len - 1), false),
        ("the last time", times, time(1_031, 3), true),
        ("a time beyond the end", times, time(1_031, 4), false),
    ] {
        let mut bench = bench.clone();
        bench.disk.put(path, content.clone().into());
        let checked = Toggles { index_check_skipped: false, ..toggles() };
        let config = small.clone();
        bench.with(|ctx| UnifiedLog::load(partition(), config, checked, Offset(8), true, ctx)).expect("it loads");
        let left = bench.disk.content(path).is_some_and(|left| left == content);
        assert_eq!(left, fits, "{what}");
    }
}

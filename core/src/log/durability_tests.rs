//! What of a log is on the device, and when; and that no handle is left behind.

use std::io;

use super::*;
use crate::config::{LogConfig, Toggles};
use crate::fact::TruncationReason;
use crate::log::offset_index::OffsetIndex;
use crate::log::segment::LogSegment;
use crate::log::testing::{Batch, Bench, broker_config, config, parse, partition, toggles};
use crate::log::time_index::TimeIndex;
use crate::log::validator::Analysis;
use crate::log::watched_disk::WatchedDisk;
use crate::machine::{Context, Effects};
use crate::record::{EndTransactionMarker, TransactionResult};
use crate::storage::Storage;
use crate::types::{Duration, Instant, LeaderEpoch, Offset, Prng, ProducerEpoch, Timestamp};

/// Calls something that needs a context.
fn with<R>(disk: &mut dyn Storage, call: impl FnOnce(&mut Context<'_>) -> R) -> R {
    let (mut rng, mut effects) = (Prng::new(1), Effects::default());
    call(&mut Context::new(Instant(0), Timestamp(0), &mut rng, disk, &mut effects))
}

fn load(disk: &mut WatchedDisk, config: LogConfig, clean: bool) -> UnifiedLog {
    with(disk, |ctx| UnifiedLog::load(partition(), config, toggles(), Offset(0), clean, ctx)).expect("it loads")
}

/// Appends what a leader sent: a batch of a transaction, and the marker that aborts it.
fn append_aborted(log: &mut UnifiedLog, disk: &mut WatchedDisk) {
    let at = log.log_end_offset();
    let batch = Batch::of(1).producer(7, 0, 0).in_transaction().at(at.0, 0).build();
    let marker = EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch: 0 };
    let marker = marker.batch((7, ProducerEpoch(0)), (at.next(), LeaderEpoch(0)), Timestamp(1_000));
    with(disk, |ctx| {
        log.append_as_follower(batch, ctx).expect("it follows");
        log.append_as_follower(marker, ctx).expect("it follows");
    });
}

fn append(log: &mut UnifiedLog, disk: &mut WatchedDisk, batches: i64) {
    for n in 0..batches {
        let batch = Batch::of(1).timestamp(1_000 + log.log_end_offset().0 + n).build();
        with(disk, |ctx| log.append_as_leader(batch, LeaderEpoch(0), ctx)).expect("there is room");
    }
}

fn dense() -> LogConfig {
    LogConfig { index_interval_bytes: 0, ..config() }
}

#[test]
fn a_flush_makes_all_files_of_the_log_durable() {
    let mut disk = WatchedDisk::default();
    let mut log = load(&mut disk, dense(), true);
    append(&mut log, &mut disk, 2);
    append_aborted(&mut log, &mut disk);
    let endings = [".index", ".log", ".timeindex", ".txnindex"];
    let changed: Vec<String> = endings.iter().map(|ending| format!("{:020}{ending}", 0)).collect();
    assert!(changed.iter().all(|name| disk.unsynced().contains(&name.as_str())), "{:?}", disk.unsynced());
    with(&mut disk, |ctx| log.flush(ctx)).expect("the disk is well");
    assert!(changed.iter().all(|name| !disk.unsynced().contains(&name.as_str())), "{:?}", disk.unsynced());
    assert_eq!(disk.unsynced_names(), [] as [&str; 0], "its names as well");
}

#[test]
fn a_roll_makes_what_is_closed_durable_in_the_background_and_no_more() {
    let mut disk = WatchedDisk::default();
    let mut log = load(&mut disk, dense(), true);
    append(&mut log, &mut disk, 2);
    with(&mut disk, |ctx| log.flush(ctx)).expect("the disk is well");
    append(&mut log, &mut disk, 1);
    with(&mut disk, |ctx| log.roll(Offset(3), ctx)).expect("the disk is well");
    append(&mut log, &mut disk, 1);
    assert!(disk.unsynced().contains(&"00000000000000000003.snapshot"), "the append does not wait for it");
    with(&mut disk, |ctx| log.run_tasks(ctx)).expect("the disk is well");
    let active: Vec<&str> = disk.unsynced();
    assert!(active.iter().all(|name| name.starts_with("00000000000000000003.")), "{active:?}");
    assert!(active.contains(&"00000000000000000003.log"));
    assert!(!active.contains(&"00000000000000000003.snapshot"));
    // A file that is new has a name that is new; what is only longer has not.
    with(&mut disk, |ctx| log.flush(ctx)).expect("the disk is well");
    assert_eq!((disk.unsynced_names(), log.recovery_point()), (Vec::new(), Offset(4)));
}

#[test]
fn a_log_that_is_closed_is_durable_and_has_no_handle_left() {
    let mut disk = WatchedDisk::default();
    let mut log = load(&mut disk, dense(), true);
    append(&mut log, &mut disk, 2);
    append_aborted(&mut log, &mut disk);
    with(&mut disk, |ctx| log.roll(Offset(4), ctx)).expect("the disk is well");
    assert!(!disk.open_files().is_empty());
    with(&mut disk, |ctx| log.close(ctx)).expect("the disk is well");
    assert_eq!(disk.open_files(), [] as [&str; 0]);
    assert_eq!(disk.unsynced(), [] as [&str; 0]);
    assert_eq!(disk.unsynced_names(), [] as [&str; 0]);
    // There is nothing to be done with it any more.
    let late = with(&mut disk, |ctx| log.append_as_leader(Batch::of(1).build(), LeaderEpoch(0), ctx));
    assert!(matches!(late, Err(AppendError::Storage(_))));
    assert!(with(&mut disk, |ctx| log.truncate_to(Offset(1), TruncationReason::Diverged, ctx)).is_err());
}

#[test]
fn segments_that_are_deleted_leave_no_handle() {
    let mut disk = WatchedDisk::default();
    let mut log = load(&mut disk, dense(), true);
    append(&mut log, &mut disk, 2);
    with(&mut disk, |ctx| log.roll(Offset(2), ctx)).expect("the disk is well");
    append_aborted(&mut log, &mut disk);
    with(&mut disk, |ctx| log.truncate_to(Offset(1), TruncationReason::Diverged, ctx)).expect("the disk is well");
    let open = disk.open_files();
    assert_eq!(open.len(), 3, "{open:?}");
    assert!(open.iter().all(|name| name.starts_with("orders-0/00000000000000000000.")), "{open:?}");
}

#[test]
fn a_clean_start_writes_nothing_over_what_fits() {
    for index_check_skipped in [true, false] {
        let mut disk = WatchedDisk::default();
        let mut log = load(&mut disk, dense(), true);
        append(&mut log, &mut disk, 4);
        with(&mut disk, |ctx| log.close(ctx)).expect("the disk is well");
        let mut disk = WatchedDisk::of(disk.disk);
        let toggles = Toggles { index_check_skipped, ..toggles() };
        with(&mut disk, |ctx| UnifiedLog::load(partition(), dense(), toggles, Offset(4), true, ctx)).expect("it loads");
        assert_eq!(disk.unsynced(), [] as [&str; 0], "indexes are looked at: {}", !index_check_skipped);
    }
}

#[test]
fn cutting_where_there_is_nothing_changes_no_file() {
    let mut disk = WatchedDisk::default();
    let mut log = load(&mut disk, dense(), true);
    append(&mut log, &mut disk, 2);
    append_aborted(&mut log, &mut disk);
    with(&mut disk, |ctx| log.flush(ctx)).expect("the disk is well");
    let before = disk.unsynced().len();
    let segment = log.active_mut();
    segment.truncate_to(Offset(9), Timestamp(0), &mut disk).expect("the disk is well");
    assert_eq!(disk.unsynced().len(), before, "{:?}", disk.unsynced());
    let (mut offsets, _) = OffsetIndex::open("x.index", Offset(0), &mut disk).expect("the disk is well");
    let (mut times, _) = TimeIndex::open("x.timeindex", Offset(0), &mut disk).expect("the disk is well");
    offsets.append(Offset(1), 5, &mut disk).expect("the disk is well");
    times.maybe_append(Timestamp(1), Offset(1), &mut disk).expect("the disk is well");
    offsets.file().sync(&mut disk).expect("the disk is well");
    times.file().sync(&mut disk).expect("the disk is well");
    offsets.truncate_to(Offset(2), &mut disk).expect("the disk is well");
    times.truncate_to(Offset(2), &mut disk).expect("the disk is well");
    assert!(!disk.unsynced().iter().any(|name| name.starts_with('x')), "{:?}", disk.unsynced());
}

#[test]
fn a_segment_has_at_most_two_gigabytes() {
    for (len, expected) in [(i32::MAX as u64, None), (i32::MAX as u64 + 1, Some(io::ErrorKind::InvalidData))] {
        let mut disk = WatchedDisk::default();
        disk.create_dir("orders-0").expect("the disk is well");
        disk.pretends.insert("orders-0/00000000000000000000.log".to_owned(), len);
        let opened = LogSegment::open("orders-0", Offset(0), Timestamp(0), &mut disk);
        assert_eq!(opened.err().map(|error| error.kind()), expected, "{len}");
    }
}

#[test]
fn a_file_of_offsets_that_the_disk_does_not_give_is_an_error_and_one_that_is_no_such_file_says_nothing() {
    let file = "recovery-point-offset-checkpoint";
    for (content, unreadable, loads) in [("0\n1\n", None, true), ("0\n0\n", Some(file.to_owned()), false)] {
        let mut disk = WatchedDisk::default();
        disk.unreadable = unreadable;
        disk.disk.put(file, bytes::Bytes::from_static(content.as_bytes()));
        let mut manager = LogManager::new(broker_config(config()));
        assert_eq!(with(&mut disk, |ctx| manager.load_all(ctx)).is_ok(), loads, "{content:?}");
    }
}

#[test]
fn a_segment_that_is_created_anew_begins_with_empty_files_and_is_renamed_with_all_of_them() {
    let mut bench = Bench::new();
    bench.disk.create_dir("orders-0").expect("the disk is well");
    let name = |ending: &str| format!("orders-0/00000000000000000000{ending}");
    let create = |bench: &mut Bench| {
        LogSegment::create("orders-0", Offset(0), ".cleaned", Timestamp(0), &mut bench.disk).expect("the disk is well")
    };
    create(&mut bench);
    assert!(!bench.disk.exists(&name(".txnindex.cleaned")), "there are no aborted transactions");
    for ending in [".log.cleaned", ".index.cleaned", ".timeindex.cleaned", ".txnindex.cleaned"] {
        bench.disk.put(&name(ending), bytes::Bytes::from_static(&[7; 34]));
    }
    let segment = create(&mut bench);
    assert_eq!((segment.size(), segment.index_sizes(), segment.transaction_index().entries().len()), (0, (0, 0), 0));
    assert!(bench.disk.content(&name(".txnindex.cleaned")).is_some_and(|content| content.is_empty()));
    LogSegment::rename("orders-0", Offset(0), ".cleaned", "", &mut bench.disk).expect("the disk is well");
    let names = bench.disk.list("orders-0").expect("the disk is well");
    assert_eq!(names.len(), 4);
    assert!(names.iter().all(|name| !name.ends_with(".cleaned")), "{names:?}");
}

#[test]
fn a_torn_entry_of_a_transaction_index_goes_when_the_index_is_built_anew() {
    let mut bench = Bench::new();
    bench.disk.put("x.txnindex", bytes::Bytes::from_static(&[0; 33]));
    let (mut index, _) = TransactionIndex::open("x.txnindex", Offset(0), &mut bench.disk).expect("the disk is well");
    index.reset(&mut bench.disk).expect("the disk is well");
    assert_eq!(bench.disk.content("x.txnindex").map(|content| content.len()), Some(0));
}

#[test]
fn a_segment_that_is_cut_to_nothing_is_as_old_as_its_next_record() {
    let mut bench = Bench::new();
    bench.disk.create_dir("orders-0").expect("the disk is well");
    let opened = LogSegment::open("orders-0", Offset(0), Timestamp(0), &mut bench.disk);
    let (mut segment, _) = opened.expect("the disk is well");
    for offset in 0..2 {
        let bytes = Batch::of(1).at(offset, 0).timestamp(1_000 + offset).build();
        let batch = parse(&bytes);
        let set = Analysis::of(&batch);
        segment.append(&set, &[batch], bytes, 4096, Timestamp(0), &mut bench.disk).expect("the disk is well");
    }
    segment.truncate_to(Offset(1), Timestamp(50), &mut bench.disk).expect("the disk is well");
    assert_eq!(segment.first_timestamp(), Some(Timestamp(1_000)));
    segment.truncate_to(Offset(0), Timestamp(50), &mut bench.disk).expect("the disk is well");
    assert_eq!(segment.first_timestamp(), None);
    // Its age counts from the cut.
    let minute = LogConfig { segment_ms: Duration::from_secs(60), ..config() };
    let without_time = parse(&Batch::of(1).timestamp(-1).build());
    for (now, old) in [(60_050, false), (60_051, true)] {
        segment
            .append(&Analysis::of(&without_time), &[], bytes::Bytes::new(), 4096, Timestamp(0), &mut bench.disk)
            .expect("the disk is well");
        assert!(!segment.should_roll(&Analysis::of(&without_time), &minute, Timestamp(now)), "it is empty, {old}");
    }
}

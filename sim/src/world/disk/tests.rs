//! What a disk keeps, and what it does not.

use ackproof_core::storage::{OpenMode, Storage as _};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const WELL: &str = "the disk is well";

fn written(parts: &[&[u8]]) -> (SimDisk, FileId) {
    let mut disk = SimDisk::new(DiskSpec::default(), Prng::new(1));
    let file = disk.open("a", OpenMode::Create).expect(WELL);
    for part in parts {
        disk.append(file, Bytes::copy_from_slice(part)).expect(WELL);
    }
    (disk, file)
}

fn content(disk: &mut SimDisk, file: FileId) -> Bytes {
    disk.read_at(file, 0, usize::MAX >> 1).expect(WELL)
}

#[test]
fn a_killed_process_leaves_everything_and_a_loss_of_power_only_what_was_synced() {
    let (mut disk, file) = written(&[b"one", b"two"]);
    disk.sync(file).expect(WELL);
    disk.append(file, Bytes::from_static(b"three")).expect(WELL);
    assert_eq!(content(&mut disk, file), "onetwothree");
    let loss = disk.lose_power(Instant(1), Keep::Nothing, &mut Prng::new(1));
    assert_eq!(loss, PowerLoss { unsynced_bytes: 5, lost_bytes: 5 });
    assert_eq!(content(&mut disk, file), "onetwo");
}

#[test]
fn the_operating_system_writes_back_after_a_while() {
    let (mut disk, file) = written(&[b"old"]);
    let later = Instant::START + DiskSpec::default().writeback;
    disk.begin(later);
    disk.append(file, Bytes::from_static(b"new")).expect(WELL);
    disk.lose_power(later, Keep::Nothing, &mut Prng::new(1));
    assert_eq!(content(&mut disk, file), "old");
}

#[test]
fn a_lying_sync_keeps_nothing_and_counts_as_a_bite() {
    let (mut disk, file) = written(&[b"one"]);
    disk.add_faults(3, faults(DiskFault::SyncLies), Instant::START);
    disk.sync(file).expect("it says yes");
    assert_eq!(disk.take_bitten(), [3]);
    disk.lose_power(Instant(1), Keep::Nothing, &mut Prng::new(1));
    assert_eq!(content(&mut disk, file), "");
}

#[test]
fn names_move_with_their_directory() {
    let mut disk = SimDisk::new(DiskSpec::default(), Prng::new(1));
    disk.create_dir("t-0").expect(WELL);
    let file = disk.open("t-0/log", OpenMode::Create).expect("the directory exists");
    disk.append(file, Bytes::from_static(b"x")).expect(WELL);
    disk.rename("t-0", "t-0-delete").expect("it exists");
    assert_eq!(disk.list("").expect(WELL), ["t-0-delete/"]);
    assert_eq!(disk.list("t-0-delete").expect("it exists"), ["log"]);
    assert_eq!(content(&mut disk, file), "x", "a handle survives a rename");
    disk.remove("t-0-delete").expect("it exists");
    assert!(disk.read_at(file, 0, 1).is_err(), "a handle does not survive a removal");
}

fn faults(kind: DiskFault) -> DiskFaults {
    DiskFaults { kinds: vec![kind], ..DiskFaults::default() }
}

#[test]
fn the_operating_system_looks_for_old_pages_every_few_seconds() {
    let (mut disk, _) = written(&[b"old"]);
    disk.begin(Instant(1));
    let file = disk.open("a", OpenMode::Existing).expect(WELL);
    disk.append(file, Bytes::from_static(b"er")).expect(WELL);
    let at = |seconds: u64| disk.durable_length("a", Instant(seconds * 1_000_000_000));
    assert_eq!([at(29), at(30), at(34), at(35)], [(0, 5), (3, 5), (3, 5), (5, 5)].map(Some));
}

#[test]
fn too_many_dirty_pages_are_written_back_at_once_oldest_first() {
    let spec = DiskSpec { dirty_bytes: Some(4), ..DiskSpec::default() };
    let mut disk = SimDisk::new(spec, Prng::new(1));
    let (a, b) = (disk.open("a", OpenMode::Create).expect(WELL), disk.open("b", OpenMode::Create).expect(WELL));
    for (now, file) in [(1, a), (2, b), (3, a)] {
        disk.begin(Instant(now));
        disk.append(file, Bytes::from_static(b"xx")).expect(WELL);
    }
    let durable = |path: &str| disk.durable_length(path, Instant(3)).expect("it exists").0;
    assert_eq!((durable("a"), durable("b")), (2, 0), "six bytes were dirty, and four may be");
}

#[test]
fn a_device_that_fails_writes_nothing_back_until_it_is_well() {
    let (mut disk, file) = written(&[b"one"]);
    disk.add_faults(0, faults(DiskFault::IoError), Instant(5));
    let later = Instant(100_000_000_000);
    assert_eq!(disk.clone().lose_power(later, Keep::Nothing, &mut Prng::new(1)).lost_bytes, 3);
    disk.end_faults(0, later);
    assert_eq!(disk.lose_power(later, Keep::Nothing, &mut Prng::new(1)).lost_bytes, 0, "now it is written back");
    assert!(disk.read_at(file, 0, 1).is_ok());
}

#[test]
fn after_a_failed_sync_that_dropped_its_pages_the_next_one_says_yes_and_keeps_nothing_of_them() {
    let (mut disk, file) = written(&[b"one"]);
    let once = DiskFaults { times: Some(1), ..faults(DiskFault::SyncErrorDropsPages) };
    disk.add_faults(0, once, Instant::START);
    assert!(disk.sync(file).is_err());
    disk.append(file, Bytes::from_static(b"two")).expect(WELL);
    disk.sync(file).expect("the error was told once");
    assert_eq!(content(&mut disk, file), "onetwo", "the page cache still has it");
    let loss = disk.lose_power(Instant(1), Keep::Prefix, &mut Prng::new(1));
    assert_eq!(loss, PowerLoss { unsynced_bytes: 3, lost_bytes: 3 });
    assert_eq!(content(&mut disk, file), "\0\0\0two");
}

#[test]
fn a_write_that_breaks_off_leaves_a_piece() {
    for seed in 0..20 {
        let mut disk = SimDisk::new(DiskSpec::default(), Prng::new(seed));
        let file = disk.open("a", OpenMode::Create).expect(WELL);
        disk.add_faults(0, faults(DiskFault::PartialWrite), Instant::START);
        assert!(disk.append(file, Bytes::from_static(b"0123456789")).is_err());
        let left = content(&mut disk, file);
        assert!(left.len() < 10 && b"0123456789".starts_with(&left), "{left:?}");
    }
}

#[test]
fn what_does_not_fit_is_cut_off_and_room_comes_back_with_what_is_removed() {
    let (mut disk, file) = written(&[b"one"]);
    disk.add_faults(0, DiskFaults { room: Some(5), ..DiskFaults::default() }, Instant::START);
    disk.append(file, Bytes::from_static(b"two")).expect("it fits");
    let error = disk.append(file, Bytes::from_static(b"three")).expect_err("two bytes are left");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!((content(&mut disk, file).as_ref(), disk.take_bitten()), (&b"onetwoth"[..], vec![0]));
    disk.truncate(file, 0).expect(WELL);
    disk.append(file, Bytes::from_static(b"12345678")).expect("there is room again");
    assert!(disk.append(file, Bytes::from_static(b"9")).is_err());
}

#[test]
fn a_capacity_counts_for_each_device() {
    let spec = DiskSpec { capacity: Some(4), ..DiskSpec::default() };
    let mut disk = SimDisk::new(spec, Prng::new(1)).with_devices(vec!["d1".into(), "d2".into()]);
    for directory in ["d1", "d2"] {
        disk.create_dir(directory).expect(WELL);
        let file = disk.open(&format!("{directory}/a"), OpenMode::Create).expect(WELL);
        disk.append(file, Bytes::from_static(b"1234")).expect("it fits");
        assert!(disk.append(file, Bytes::from_static(b"5")).is_err(), "{directory}");
    }
}

#[test]
fn a_fault_of_one_directory_leaves_the_other_alone() {
    let mut disk = SimDisk::new(DiskSpec::default(), Prng::new(1));
    let mut open = |directory: &str| {
        disk.create_dir(directory).expect(WELL);
        disk.open(&format!("{directory}/a"), OpenMode::Create).expect(WELL)
    };
    let (one, other) = (open("d1"), open("d10"));
    let fault = DiskFaults { directory: Some("d1".into()), ..faults(DiskFault::IoError) };
    disk.add_faults(0, fault, Instant::START);
    assert!(disk.append(one, Bytes::from_static(b"x")).is_err());
    assert!(disk.append(other, Bytes::from_static(b"x")).is_ok());
    assert!(disk.list("d1").is_err());
}

#[test]
fn a_stalled_call_comes_back_when_the_device_does() {
    let (mut disk, file) = written(&[b"one"]);
    disk.add_faults(0, faults(DiskFault::Stalled), Instant::START);
    disk.begin(Instant(1));
    disk.append(file, Bytes::from_static(b"two")).expect("it comes back some day");
    assert!(disk.elapsed() >= STALLED);
}

#[test]
fn files_are_damaged_where_they_are_told_to_be() {
    let (mut disk, file) = written(&[b"one", b"two"]);
    assert!(disk.damage("a", Damage::FlipBit, Extent::From(1), 0));
    assert_eq!(content(&mut disk, file), "ooetwo");
    assert!(disk.damage("a", Damage::ZeroTail, Extent::Last(4), 0));
    assert_eq!(content(&mut disk, file), "oo\0\0\0\0");
    assert!(disk.damage("a", Damage::Truncate, Extent::From(3), 0));
    assert_eq!(content(&mut disk, file), "oo\0");
    assert!(!disk.damage("a", Damage::Truncate, Extent::From(3), 0), "there is nothing to cut");
    assert!(disk.damage("a", Damage::Delete, Extent::From(0), 0));
    assert!(disk.open("a", OpenMode::Existing).is_err());
    assert_eq!(content(&mut disk, file), "oo\0", "who has it open keeps it");
}

#[test]
fn a_disk_goes_back_to_an_earlier_time() {
    let (mut disk, file) = written(&[b"one"]);
    let earlier = disk.clone();
    disk.append(file, Bytes::from_static(b"two")).expect(WELL);
    assert_eq!(disk.roll_back(&earlier), 3);
    assert_eq!(content(&mut disk, file), "one");
}

proptest! {
    #[test]
    fn what_was_synced_survives_and_what_survives_was_written(
        parts in prop::collection::vec(prop::collection::vec(1u8.., 1..6000), 1..8),
        synced in 0usize..8,
        keep in prop::sample::select(vec![Keep::Nothing, Keep::Prefix, Keep::Torn, Keep::Subset, Keep::Everything]),
        seed in any::<u64>(),
    ) {
        let mut disk = SimDisk::new(DiskSpec::default(), Prng::new(1));
        let file = disk.open("a", OpenMode::Create).unwrap();
        let mut all = Vec::new();
        let mut safe = 0;
        for (number, part) in parts.iter().enumerate() {
            disk.append(file, Bytes::copy_from_slice(part)).unwrap();
            all.extend_from_slice(part);
            if number == synced {
                disk.sync(file).unwrap();
                safe = all.len();
            }
        }
        disk.lose_power(Instant(1), keep, &mut Prng::new(seed));
        let left = content(&mut disk, file);
        prop_assert!(left.len() >= safe && left.len() <= all.len());
        prop_assert_eq!(&left[..safe], &all[..safe]);
        for (at, byte) in left.iter().enumerate() {
            prop_assert!(*byte == all[at] || (*byte == 0 && keep == Keep::Subset));
        }
    }

    #[test]
    fn reading_across_writes_is_reading_one_file(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10),
        cut in 0usize..200, position in 0usize..200, len in 0usize..200,
    ) {
        let mut disk = SimDisk::new(DiskSpec::default(), Prng::new(1));
        let file = disk.open("a", OpenMode::Create).unwrap();
        for part in &parts {
            disk.append(file, Bytes::copy_from_slice(part)).unwrap();
        }
        let mut all: Vec<u8> = parts.concat();
        if cut < all.len() {
            disk.truncate(file, cut as u64).unwrap();
            all.truncate(cut);
        }
        let expected = &all[position.min(all.len())..(position + len).min(all.len())];
        let read = disk.read_at(file, position as u64, len).unwrap();
        prop_assert_eq!(&read[..], expected);
    }
}

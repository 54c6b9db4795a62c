//! What a disk does to a broker, and how the broker comes back.

use ackproof_core::fact::Fact;
use ackproof_core::types::{Duration, NodeId};
use ackproof_sim::Outcome;
use ackproof_sim::faults::{Action, FileDamage, FileKind, Place, SegmentChoice, Selector, Step, Trigger};
use ackproof_sim::world::{Damage, DiskFault, DiskFaults, Keep};

use crate::build::{Build, Facts, leader, partition, step, when_appended};
use crate::faults::{check_harmless, lasting, safe};

fn wrong(kind: DiskFault) -> DiskFaults {
    DiskFaults { kinds: vec![kind], ..DiskFaults::default() }
}

/// The leader's disk goes wrong, its process is started again when the disk is well.
fn broken_leader(build: Build, faults: DiskFaults) -> Build {
    let mut disk = when_appended(50, Action::Disk(leader(), faults));
    disk.bind = Some("old leader".to_owned());
    let mut start = step(Trigger::After(0), Action::Start(Selector::Bound("old leader".to_owned())));
    start.delay = Duration::from_secs(20);
    build.step(lasting(10, disk)).step(start)
}

fn stopped(facts: &Facts) -> usize {
    facts.count(|fact| matches!(fact, Fact::NodeStopped))
}

#[test]
fn a_leader_whose_disk_fails_ends_and_comes_back() {
    use DiskFault::{Full, IoError, NoFileHandles, PartialWrite, WriteError};
    for kind in [IoError, WriteError, PartialWrite, Full, NoFileHandles] {
        for seed in 0..4 {
            // Small segments: a file is opened now and then.
            let build = safe().broker("log.segment.bytes", "2000");
            let facts = check_harmless(broken_leader(build, wrong(kind)), seed);
            assert!(stopped(&facts) >= 1, "{kind:?}, seed {seed}");
        }
    }
}

#[test]
fn a_leader_whose_syncs_fail_ends_and_comes_back() {
    for kind in [DiskFault::SyncError, DiskFault::SyncErrorDropsPages] {
        for seed in 0..4 {
            let build = safe().broker("log.flush.interval.messages", "1");
            let facts = check_harmless(broken_leader(build, DiskFaults { times: Some(1), ..wrong(kind) }), seed);
            assert!(stopped(&facts) >= 1, "{kind:?}, seed {seed}");
        }
    }
}

#[test]
fn a_disk_that_fills_up_breaks_off_the_write_that_does_not_fit() {
    for seed in 0..4 {
        let facts =
            check_harmless(broken_leader(safe(), DiskFaults { room: Some(500), ..DiskFaults::default() }), seed);
        assert!(stopped(&facts) >= 1, "seed {seed}");
    }
}

#[test]
fn a_stalled_disk_holds_answers_back_until_it_answers() {
    for seed in 0..4 {
        let stall = when_appended(50, Action::Disk(leader(), wrong(DiskFault::Stalled)));
        let facts = check_harmless(safe().step(lasting(3, stall)), seed);
        let at = |is: fn(&Fact) -> bool| facts.events.iter().find(|event| is(&event.fact)).map(|event| event.time);
        let (bit, healed) =
            (at(|fact| matches!(fact, Fact::FaultBit { .. })), at(|fact| matches!(fact, Fact::FaultHealed { .. })));
        let told = facts.events.iter().filter(|event| {
            matches!(event.fact, Fact::RecordAcknowledged { .. })
                && Some(event.time) > bit.map(|at| at + Duration::from_millis(5))
        });
        assert!(told.map(|event| event.time).min() > healed, "seed {seed}: nobody was answered meanwhile");
    }
}

/// A follower is killed, its files are damaged, and it starts again.
fn damaged_follower(damage: FileDamage) -> Build {
    let mut kill = when_appended(50, Action::Kill(Selector::AFollowerOf(partition())));
    kill.bind = Some("victim".to_owned());
    let harm = step(Trigger::After(0), Action::Damage(Selector::Bound("victim".to_owned()), damage));
    let mut start = step(Trigger::After(0), Action::Start(Selector::Bound("victim".to_owned())));
    start.delay = Duration::from_secs(20);
    safe().step(kill).step(harm).step(start)
}

fn damage(damage: Damage, file: FileKind, place: Place) -> FileDamage {
    let partition = file.is_of_partition().then(partition);
    FileDamage { damage, file, partition, segment: SegmentChoice::Last, place, bit: 3 }
}

#[test]
fn a_follower_recovers_from_damage_to_its_log_above_the_recovery_point() {
    for (seed, what) in (0..).zip([
        damage(Damage::FlipBit, FileKind::Log, Place::Offset(20)),
        damage(Damage::FlipBit, FileKind::Log, Place::From(0)),
        damage(Damage::Truncate, FileKind::Log, Place::Last(10)),
        damage(Damage::Truncate, FileKind::Log, Place::Offset(7)),
        damage(Damage::ZeroTail, FileKind::Log, Place::Last(700)),
        damage(Damage::Delete, FileKind::Log, Place::Last(1)),
        damage(Damage::Delete, FileKind::Index, Place::Last(1)),
        damage(Damage::Delete, FileKind::TimeIndex, Place::Last(1)),
        damage(Damage::Delete, FileKind::LeaderEpochCheckpoint, Place::Last(1)),
        damage(Damage::Delete, FileKind::HighWatermarkCheckpoint, Place::Last(1)),
    ]) {
        check_harmless(damaged_follower(what), seed);
    }
}

#[test]
fn a_replica_with_a_zeroed_tail_and_a_clean_marker_does_not_load_its_log() {
    // The marker says that nothing has to be looked at.
    let mut stop = when_appended(50, Action::Stop(Selector::AFollowerOf(partition())));
    stop.bind = Some("victim".to_owned());
    let victim = || Selector::Bound("victim".to_owned());
    let mut harm =
        step(Trigger::After(0), Action::Damage(victim(), damage(Damage::ZeroTail, FileKind::Log, Place::Last(300))));
    harm.delay = Duration::from_secs(10);
    let mut start = step(Trigger::After(0), Action::Start(victim()));
    start.delay = Duration::from_secs(20);
    let (_, facts) = safe().step(stop).step(harm).step(start).run(1);
    assert!(facts.count(|fact| matches!(fact, Fact::StorageFailed { .. })) > 0);
    assert_eq!((facts.acknowledged(), facts.surveyed()), (100, 100), "the others have everything");
}

#[test]
fn a_disk_rolled_back_to_an_earlier_time_is_filled_up_again() {
    for seed in 0..4 {
        let mark = when_appended(20, Action::Mark);
        let mut kill =
            Step { not_before: Some(0), ..when_appended(50, Action::Kill(Selector::AFollowerOf(partition()))) };
        kill.bind = Some("victim".to_owned());
        let victim = || Selector::Bound("victim".to_owned());
        let back = step(Trigger::After(1), Action::RollBack(victim(), 0));
        let mut start = step(Trigger::After(1), Action::Start(victim()));
        start.delay = Duration::from_secs(20);
        let facts = check_harmless(safe().step(mark).step(kill).step(back).step(start), seed);
        let ends: Vec<i64> = facts
            .events
            .iter()
            .filter_map(|event| match &event.fact {
                Fact::LogLoaded { log_end, .. } => Some(log_end.0),
                _ => None,
            })
            .collect();
        assert!(ends.len() == 1 && (15..=21).contains(&ends[0]), "seed {seed}: {ends:?}");
    }
}

#[test]
fn a_sync_that_drops_its_pages_loses_what_was_acknowledged_when_the_power_goes() {
    let faults = wrong(DiskFault::SyncDropsPages);
    let replicas = Selector::ReplicasOf(partition());
    let disk = when_appended(0, Action::Disk(replicas.clone(), faults));
    let power = when_appended(99, Action::PowerLoss(replicas, Keep::Prefix));
    let build = safe().broker("log.flush.interval.messages", "1").step(disk);
    let (world, facts) = build.step(Step { delay: Duration::from_secs(1), ..lasting(20, power) }).run(1);
    assert_eq!(world.outcome(), Outcome::Quiescent);
    assert_eq!(facts.acknowledged(), 100);
    assert!(facts.surveyed() < 100, "{} records are left", facts.surveyed());
}

#[test]
fn a_process_without_file_handles_takes_no_new_connections() {
    let faults = wrong(DiskFault::NoFileHandles);
    let disk = when_appended(50, Action::Disk(leader(), faults));
    let cut = step(Trigger::After(0), Action::Disconnect { from: Selector::Client("p1".to_owned()), to: leader() });
    let build = safe()
        .broker("replica.high.watermark.checkpoint.interval.ms", "600000")
        .broker("log.flush.offset.checkpoint.interval.ms", "600000")
        .producer("request.timeout.ms", "3000")
        .producer("delivery.timeout.ms", "120000");
    let (_, facts) = build.step(lasting(30, disk)).step(cut).run(3);
    let of_producer = |event: &&ackproof_core::fact::Event| {
        event.node == NodeId::Client(0) && matches!(event.fact, Fact::RecordAcknowledged { .. })
    };
    let reset =
        facts.events.iter().find(|event| matches!(&event.fact, Fact::FaultBit { fault: 2, .. })).expect("it bit");
    let after = facts
        .events
        .iter()
        .filter(of_producer)
        .map(|event| event.time)
        .find(|at| *at > reset.time + Duration::from_millis(50));
    assert!(after > Some(reset.time + Duration::from_secs(25)), "nobody answers until there are handles again");
    assert_eq!(facts.acknowledged(), 100);
}

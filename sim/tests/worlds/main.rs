//! Whole worlds: without faults, with them, forked, and twice.

mod build;
mod disk_faults;
mod faults;
mod network_faults;
mod stuck;

use ackproof_core::fact::{Fact, Role};
use ackproof_core::types::Duration;
use ackproof_sim::{Outcome, World};
use build::{Build, Facts};

#[test]
fn without_faults_everything_arrives_once_and_in_order() {
    for version in ["2.2", "3.9", "4.1"] {
        let (world, facts) = Build::new(version).producer("acks", "all").records(50).run(1);
        assert_eq!(world.outcome(), Outcome::Quiescent, "{version}");
        assert_eq!(facts.acknowledged(), 50, "{version}");
        assert_eq!(facts.polled_offsets(), (0..50).collect::<Vec<i64>>(), "{version}");
        assert_eq!(facts.surveyed(), 50, "{version}");
    }
}

#[test]
fn the_same_seed_gives_the_same_facts_and_another_seed_others() {
    let run = |seed| Build::new("3.9").records(20).kill_leader_after(10).run(seed).1.events;
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn a_fork_goes_on_as_its_original_does() {
    let mut world = Build::new("3.9").records(20).kill_leader_after(10).world(5);
    let mut start = Facts::default();
    while start.acknowledged() < 5 {
        world.step(&mut start);
    }
    let mut fork = world.clone();
    let (mut one, mut other) = (Facts::default(), Facts::default());
    world.run(&mut one);
    fork.run(&mut other);
    assert_eq!(one.events, other.events);
    assert!(one.count(|fact| matches!(fact, Fact::LeaderElected { .. })) > 0, "the fork was made before the fault");
}

#[test]
fn a_burst_of_large_values_fills_batches_and_arrives() {
    let (_, facts) = Build::new("3.9").records(3_000).every(Duration::ZERO).value_bytes(1_000).run(1);
    assert_eq!(facts.polled_offsets(), (0..3_000).collect::<Vec<i64>>());
    let batches = facts.count(|fact| matches!(fact, Fact::BatchSent { .. }));
    assert!(
        (3_000 / 16..3_000 / 8).contains(&batches),
        "16 KiB hold up to 15 records of 1,000 bytes: {batches} batches"
    );
}

#[test]
fn a_world_without_clients_comes_to_rest() {
    let mut world: World = Build::new("3.9").records(0).world(1);
    assert_eq!(world.run(&mut Facts::default()), Outcome::Quiescent);
}

/// Five requests are under way on one connection, and each waits there until the one before is answered.
#[test]
fn a_request_that_waited_goes_back_to_its_own_transmission() {
    let (_, facts) =
        Build::new("3.9").producer("acks", "all").producer("batch.size", "0").records(50).every(Duration::ZERO).run(1);
    let sequence = |at: usize| match &facts.events[at].fact {
        Fact::BatchSent { base_sequence, .. } => Some(*base_sequence),
        _ => None,
    };
    let causes = |at: usize| std::iter::successors(Some(at), |at| (facts.events[*at].cause as usize).checked_sub(1));
    let mut appended = 0;
    for (at, event) in facts.events.iter().enumerate() {
        if let Fact::Appended { partition, role: Role::Leader, base_sequence, .. } = &event.fact
            && *partition == build::partition()
        {
            assert_eq!(causes(at).find_map(sequence), Some(*base_sequence), "event {}", event.sequence);
            appended += 1;
        }
    }
    assert!(appended > 10, "{appended} batches");
}

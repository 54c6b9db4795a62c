//! Vectors, and where records go version by version.

use super::*;
use crate::client::testing::producer_config;
use crate::types::{LeaderEpoch, NodeId, StrBytes};

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("orders"))
}

/// Partitions from 0, of which some have no leader.
fn partitions(count: usize, leaderless: &[usize]) -> Vec<PartitionMetadata> {
    let leader = |index| (!leaderless.contains(&index)).then_some(NodeId::Broker(1));
    let partition = |index| PartitionMetadata {
        leader: leader(index),
        leader_epoch: LeaderEpoch(0),
        replicas: vec![1],
        isr: vec![1],
    };
    (0..count).map(partition).collect()
}

fn partitioner(major: u16, minor: u16) -> Partitioner {
    Partitioner::new(&producer_config(KafkaVersion::new(major, minor)))
}

#[test]
fn murmur2_is_that_of_kafka() {
    let vectors = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("abc", 479_470_107),
        ("", 275_646_681),
    ];
    for (text, hash) in vectors {
        assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
    }
    assert_eq!(partition_for_key(b"21", 12), (-973_932_308 & 0x7fff_ffff) % 12);
}

#[test]
fn a_key_decides_whatever_the_version_and_even_without_a_leader() {
    let all = partitions(7, &[0, 1, 2, 3, 4, 5, 6]);
    for minor in [2, 4, 9] {
        let chosen = partitioner(if minor == 9 { 3 } else { 2 }, minor).partition(
            &topic(),
            Some(b"k3"),
            &all,
            &mut Prng::new(1),
        );
        assert_eq!(chosen, partition_for_key(b"k3", 7));
    }
}

#[test]
fn before_2_4_records_without_key_go_round_the_partitions_with_a_leader() {
    let mut partitioner = partitioner(2, 2);
    let some = partitions(4, &[1]);
    let mut rng = Prng::new(5);
    let went: Vec<i32> = (0..6).map(|_| partitioner.partition(&topic(), None, &some, &mut rng)).collect();
    assert_eq!(went[..3], went[3..]);
    let mut turn = went[..3].to_vec();
    turn.sort_unstable();
    assert_eq!(turn, [0, 2, 3]);
}

#[test]
fn from_2_4_they_stick_to_one_until_a_batch_is_complete() {
    let mut partitioner = partitioner(2, 4);
    let all = partitions(3, &[]);
    let mut rng = Prng::new(5);
    let first = partitioner.partition(&topic(), None, &all, &mut rng);
    assert!((0..10).all(|_| partitioner.partition(&topic(), None, &all, &mut rng) == first));
    assert!(partitioner.on_new_batch(&topic(), (first + 1) % 3, &all, &mut rng), "another partition's batch");
    assert_eq!(partitioner.partition(&topic(), None, &all, &mut rng), first);
    partitioner.on_new_batch(&topic(), first, &all, &mut rng);
    assert_ne!(partitioner.partition(&topic(), None, &all, &mut rng), first);
}

#[test]
fn from_3_3_they_stick_to_one_for_a_batch_size_of_bytes() {
    let mut config = producer_config(KafkaVersion::new(3, 3));
    config.batch_size = 1000;
    let mut partitioner = Partitioner::new(&config);
    let all = partitions(3, &[]);
    let mut rng = Prng::new(5);
    partitioner.partition(&topic(), None, &all, &mut rng);
    assert!(!partitioner.produced(&topic(), 999, true, &all, &mut rng), "not enough");
    assert!(!partitioner.produced(&topic(), 500, false, &all, &mut rng), "the batch has room");
    assert!(partitioner.produced(&topic(), 0, true, &all, &mut rng));
    assert!(partitioner.produced(&topic(), 2000, false, &all, &mut rng), "twice the size is enough in any case");
    assert!(!partitioner.on_new_batch(&topic(), 0, &all, &mut rng));
}

#[test]
fn from_3_3_short_queues_are_chosen_more_often() {
    let mut partitioner = partitioner(3, 9);
    let all = partitions(3, &[]);
    let mut rng = Prng::new(5);
    partitioner.update_load(&topic(), &[(0, 0), (1, 3), (2, 1)], 3);
    let mut chosen = [0_u32; 3];
    for _ in 0..8000 {
        let partition = partitioner.partition(&topic(), None, &all, &mut rng);
        chosen[partition as usize] += 1;
        partitioner.produced(&topic(), u64::MAX / 4, true, &all, &mut rng);
    }
    // Weights 4, 1 and 3 of 8.
    for (count, expected) in chosen.into_iter().zip([4000, 1000, 3000]) {
        assert!(count.abs_diff(expected) < 250, "{chosen:?}");
    }
}

#[test]
fn round_robin_starts_at_the_first_and_takes_keys_too() {
    let mut config = producer_config(KafkaVersion::new(2, 2));
    config.round_robin_partitioner = true;
    let mut partitioner = Partitioner::new(&config);
    let all = partitions(3, &[]);
    let mut rng = Prng::new(5);
    let went: Vec<i32> = (0..4).map(|_| partitioner.partition(&topic(), Some(b"k"), &all, &mut rng)).collect();
    assert_eq!(went, [0, 1, 2, 0]);
}

#[test]
fn a_new_batch_goes_to_another_partition_if_there_is_one() {
    let mut rng = Prng::new(5);
    for (leaderless, choice) in [(&[1][..], true), (&[0, 1], false)] {
        let mut partitioner = partitioner(2, 4);
        let some = partitions(3, leaderless);
        for _ in 0..20 {
            let before = partitioner.partition(&topic(), None, &some, &mut rng);
            partitioner.on_new_batch(&topic(), before, &some, &mut rng);
            let after = partitioner.partition(&topic(), None, &some, &mut rng);
            assert!(!leaderless.contains(&(after as usize)), "{after} has no leader");
            assert_eq!(after != before, choice);
        }
    }
}

/// KIP-794: only who has no key, or ignores it, is placed by what batches hold.
#[test]
fn which_records_the_built_in_partitioner_places() {
    let new = partitioner(3, 3);
    assert_eq!((new.is_built_in(None), new.is_built_in(Some(b"k")), new.is_adaptive()), (true, false, true));
    let old = partitioner(2, 4);
    assert_eq!((old.is_built_in(None), old.is_built_in(Some(b"k")), old.is_adaptive()), (false, false, false));
    let mut config = producer_config(KafkaVersion::new(3, 3));
    config.partitioner_ignore_keys = true;
    assert!(Partitioner::new(&config).is_built_in(Some(b"k")));
}

#[test]
fn where_no_partition_has_a_leader_they_go_round_all() {
    let mut partitioner = partitioner(2, 2);
    let all = partitions(3, &[0, 1, 2]);
    let mut rng = Prng::new(5);
    let mut went: Vec<i32> = (0..3).map(|_| partitioner.partition(&topic(), None, &all, &mut rng)).collect();
    went.sort_unstable();
    assert_eq!(went, [0, 1, 2]);
}

/// How often each partition of three is chosen in a thousand.
fn choices(queues: &[(i32, usize)], all: usize) -> [u32; 3] {
    let mut partitioner = partitioner(3, 9);
    let led = partitions(3, &[]);
    let mut rng = Prng::new(5);
    partitioner.update_load(&topic(), queues, all);
    let mut chosen = [0; 3];
    for _ in 0..1000 {
        chosen[partitioner.partition(&topic(), None, &led, &mut rng) as usize] += 1;
        partitioner.produced(&topic(), u64::MAX / 4, true, &led, &mut rng);
    }
    chosen
}

#[test]
fn from_3_3_queues_say_something_if_they_differ_or_one_has_no_leader() {
    let [first, second, third] = choices(&[(0, 6), (1, 0)], 2);
    assert!(second > 5 * first && third == 0, "two that differ: {first} {second} {third}");
    let [first, second, third] = choices(&[(0, 1), (1, 1)], 3);
    assert!(first > 400 && second > 400 && third == 0, "two alike, the third has no leader: {first} {second} {third}");
    let [first, second, third] = choices(&[(0, 1), (1, 1)], 2);
    assert!(first < 400 && second < 400 && third > 250, "two alike say nothing: {first} {second} {third}");
    let [first, second, third] = choices(&[(0, 1)], 1);
    assert!(first < 400 && second > 250 && third > 250, "one alone says nothing: {first} {second} {third}");
}

#[test]
fn a_key_has_its_place() {
    assert_eq!(partition_for_key(b"21", 7), 3);
    assert_eq!(partition_for_key(b"abc", 7), 479_470_107 % 7);
}

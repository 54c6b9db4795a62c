//! Which partition a record goes to.
//!
//! | Version | with a key | without a key |
//! |---|---|---|
//! | before 2.4 | murmur2 of the key | round robin over the partitions that have a leader, from a random start |
//! | 2.4 to 3.2 | murmur2 of the key | one partition until a batch is complete, then another (KIP-480) |
//! | from 3.3 | murmur2 of the key | one partition for `batch.size` bytes, then another; shorter queues more often (KIP-794) |
//! | `RoundRobinPartitioner` | round robin from 0 | round robin from 0 |
//!
//! Kafka: `DefaultPartitioner`, `StickyPartitionCache`, `BuiltInPartitioner`, `RoundRobinPartitioner`, `Utils.murmur2`.
//!
//! Historical: since 2.4 a partitioner is asked a second time for a record that needs a new batch, so
//! `RoundRobinPartitioner` skips every other partition when every record does (KAFKA-9965).
//!
//! Not modelled: `partitioner.adaptive.partitioning.enable=false`, `partitioner.availability.timeout.ms`, custom classes.

use std::collections::BTreeMap;

use crate::client::PartitionMetadata;
use crate::config::{KafkaVersion, ProducerConfig};
use crate::types::{Prng, TopicName};

/// Chooses partitions for records that do not name one.
#[derive(Clone, Debug)]
pub struct Partitioner {
    strategy: Strategy,
    ignore_keys: bool,
    /// Since 2.4, a record that needs a new batch is partitioned anew, for all but the built-in partitioner.
    repeats_for_new_batch: bool,
    topics: BTreeMap<TopicName, TopicState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    /// `RoundRobinPartitioner`.
    RoundRobin,
    /// The default before 2.4.
    RoundRobinWithoutKey,
    /// The default from 2.4 to 3.2.
    StickyPerBatch,
    /// The default from 3.3; changes after so many bytes.
    StickyPerBytes { batch_size: u64 },
}

#[derive(Clone, Debug, Default)]
struct TopicState {
    counter: Option<u32>,
    sticky: Option<i32>,
    /// Bytes since the sticky partition was chosen.
    produced_bytes: u64,
    load: Option<Load>,
}

/// How likely each partition is: cumulative, as `BuiltInPartitioner.PartitionLoadStats`.
#[derive(Clone, Debug)]
struct Load {
    cumulative: Vec<u64>,
    partitions: Vec<i32>,
}

impl Partitioner {
    /// The one that `config` has.
    pub fn new(config: &ProducerConfig) -> Self {
        let since = |major, minor| config.version >= KafkaVersion::new(major, minor);
        let strategy = if config.round_robin_partitioner {
            Strategy::RoundRobin
        } else if since(3, 3) {
            Strategy::StickyPerBytes { batch_size: (config.batch_size as u64).max(1) }
        } else if since(2, 4) {
            Strategy::StickyPerBatch
        } else {
            Strategy::RoundRobinWithoutKey
        };
        let built_in = matches!(strategy, Strategy::StickyPerBytes { .. });
        Self {
            strategy,
            ignore_keys: built_in && config.partitioner_ignore_keys,
            repeats_for_new_batch: since(2, 4) && !built_in,
            topics: BTreeMap::new(),
        }
    }

    /// The partition for a record of `topic`.
    ///
    /// # Panics
    /// If the topic has no partitions.
    pub fn partition(
        &mut self,
        topic: &TopicName,
        key: Option<&[u8]>,
        partitions: &[PartitionMetadata],
        rng: &mut Prng,
    ) -> i32 {
        assert!(!partitions.is_empty(), "a topic has partitions");
        if let (Some(key), false, false) = (key, self.ignore_keys, self.strategy == Strategy::RoundRobin) {
            return partition_for_key(key, partitions.len());
        }
        let strategy = self.strategy;
        let state = self.topic(topic);
        match strategy {
            Strategy::RoundRobin => next_in_turn(state.counter.get_or_insert(0), partitions),
            Strategy::RoundRobinWithoutKey => {
                next_in_turn(state.counter.get_or_insert_with(|| rng.next_u64() as u32), partitions)
            }
            Strategy::StickyPerBatch => {
                *state.sticky.get_or_insert_with(|| any(&available(partitions), partitions.len(), rng))
            }
            Strategy::StickyPerBytes { .. } => match state.sticky {
                Some(sticky) => sticky,
                None => state.choose(partitions, rng),
            },
        }
    }

    /// The record needs a new batch in `partition`, where it would have gone: whether to ask for its partition again.
    pub fn on_new_batch(
        &mut self,
        topic: &TopicName,
        partition: i32,
        partitions: &[PartitionMetadata],
        rng: &mut Prng,
    ) -> bool {
        if self.strategy == Strategy::StickyPerBatch {
            let state = self.topic(topic);
            if state.sticky.is_none_or(|sticky| sticky == partition) {
                state.sticky = Some(another(state.sticky, partitions, rng));
            }
        }
        self.repeats_for_new_batch
    }

    /// So many bytes were appended to the partition chosen last, or (0) are about to be; `all_batches_full` is the state of
    /// its queue. True if the choice changed with it.
    pub fn produced(
        &mut self,
        topic: &TopicName,
        bytes: u64,
        all_batches_full: bool,
        partitions: &[PartitionMetadata],
        rng: &mut Prng,
    ) -> bool {
        let Strategy::StickyPerBytes { batch_size } = self.strategy else { return false };
        let state = self.topic(topic);
        state.produced_bytes += bytes;
        // A change while the last batch has room leaves fragments of batches behind, so it waits for a full batch, but
        // not for more than twice the size.
        let enough = state.produced_bytes >= batch_size && all_batches_full;
        let change = enough || state.produced_bytes >= batch_size.saturating_mul(2);
        if change {
            state.choose(partitions, rng);
        }
        change
    }

    /// Whether a record with this key is placed by what its batches hold, and [`Self::produced`] wants to know.
    pub fn is_built_in(&self, key: Option<&[u8]>) -> bool {
        matches!(self.strategy, Strategy::StickyPerBytes { .. }) && (key.is_none() || self.ignore_keys)
    }

    /// How many batches are queued per partition that has a leader, and how many partitions have a queue at all.
    pub fn update_load(&mut self, topic: &TopicName, queues: &[(i32, usize)], all: usize) {
        if matches!(self.strategy, Strategy::StickyPerBytes { .. }) {
            self.topic(topic).load = Load::of(queues, all);
        }
    }

    /// Whether [`Self::update_load`] makes a difference.
    pub fn is_adaptive(&self) -> bool {
        matches!(self.strategy, Strategy::StickyPerBytes { .. })
    }

    fn topic(&mut self, topic: &TopicName) -> &mut TopicState {
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.clone(), TopicState::default());
        }
        self.topics.get_mut(topic).expect("it was just inserted")
    }
}

impl TopicState {
    fn choose(&mut self, partitions: &[PartitionMetadata], rng: &mut Prng) -> i32 {
        let chosen = match &self.load {
            Some(load) => load.draw(rng),
            None => any(&available(partitions), partitions.len(), rng),
        };
        self.sticky = Some(chosen);
        self.produced_bytes = 0;
        chosen
    }
}

impl Load {
    /// `None` if all partitions are alike, so that chance alone decides.
    fn of(queues: &[(i32, usize)], all: usize) -> Option<Load> {
        let longest = queues.iter().map(|(_, length)| *length).max()?;
        let all_equal = queues.iter().all(|(_, length)| *length == longest);
        if all < 2 || (all_equal && queues.len() == all) {
            return None;
        }
        // Each weighs as much as its queue is shorter than the longest, plus one.
        let weights = queues.iter().map(|(_, length)| (longest + 1 - length) as u64);
        let cumulative = weights.scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Some(Load { cumulative: cumulative.collect(), partitions: queues.iter().map(|(id, _)| *id).collect() })
    }

    fn draw(&self, rng: &mut Prng) -> i32 {
        let drawn = rng.below(*self.cumulative.last().expect("there is at least one queue"));
        self.partitions[self.cumulative.partition_point(|sum| *sum <= drawn)]
    }
}

/// The partitions that have a leader.
fn available(partitions: &[PartitionMetadata]) -> Vec<i32> {
    let numbered = partitions.iter().enumerate();
    numbered.filter(|(_, partition)| partition.leader.is_some()).map(|(index, _)| index as i32).collect()
}

/// One of `available`, or of all if there is none.
fn any(available: &[i32], all: usize, rng: &mut Prng) -> i32 {
    match available {
        [] => rng.below(all as u64) as i32,
        some => some[rng.below(some.len() as u64) as usize],
    }
}

/// Any available partition but `before`, if there is a choice.
fn another(before: Option<i32>, partitions: &[PartitionMetadata], rng: &mut Prng) -> i32 {
    let mut candidates = available(partitions);
    if candidates.len() > 1 {
        candidates.retain(|candidate| Some(*candidate) != before);
    }
    any(&candidates, partitions.len(), rng)
}

/// The next available partition, or the next of all if there is none.
fn next_in_turn(counter: &mut u32, partitions: &[PartitionMetadata]) -> i32 {
    let turn = (*counter & 0x7fff_ffff) as usize;
    *counter = counter.wrapping_add(1);
    let led = partitions.iter().filter(|partition| partition.leader.is_some()).count();
    if led == 0 || led == partitions.len() {
        return (turn % partitions.len()) as i32;
    }
    available(partitions)[turn % led]
}

/// Where a key belongs among so many partitions.
pub fn partition_for_key(key: &[u8], partitions: usize) -> i32 {
    ((murmur2(key) & 0x7fff_ffff) as usize % partitions) as i32
}

/// Kafka's 32-bit murmur2.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
#[path = "partitioner_tests.rs"]
mod tests;

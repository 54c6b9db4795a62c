//! Where records wait: a queue of batches per partition, and what is ready to leave it.
//!
//! Kafka: `RecordAccumulator`; KIP-91 (a batch expires `delivery.timeout.ms` after its creation), KIP-126 (a batch that is
//! too large is split), KIP-580, KIP-951 (a new leader ends the backoff).
//! Invariant: the memory in use is that of the batches that are not done.
//!
//! Not modelled: `partitioner.availability.timeout.ms`.

use std::collections::{BTreeMap, VecDeque};

use super::batch::{Batches, Callback, Place, ProducerBatch};
use super::buffer_pool::{BufferPool, NoMemory};
use super::partitioner::Partitioner;
use super::transaction_manager::TransactionManager;
use crate::client::{ClientMetadata, ExponentialBackoff};
use crate::config::{KafkaVersion, ProducerConfig};
use crate::record::{BatchBuilder, Compression, CompressionRatioEstimator, Header, ProducerState, RecordBatch};
use crate::types::{
    Duration, Instant, LeaderEpoch, NodeId, Prng, RecordId, Timestamp, TopicName, TopicPartition, earliest,
};

/// A record on its way into a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Append<'a> {
    pub record: RecordId,
    pub timestamp: Timestamp,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header],
}

/// Where a record went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    pub batch: u64,
    /// By how much the batch grew.
    pub bytes: u64,
    /// There is a batch that was not there before, or one is full: the sender has something to do.
    pub wakes_sender: bool,
}

/// What [`RecordAccumulator::ready`] found.
#[derive(Clone, Debug, Default)]
pub(super) struct Ready {
    /// Leaders of partitions that have something to send.
    pub nodes: Vec<NodeId>,
    /// When to look again, if nothing else happens.
    pub next_check: Option<Instant>,
    /// Topics with something to send and no leader.
    pub leaderless: Vec<TopicName>,
}

/// The queues of all partitions.
#[derive(Clone, Debug)]
pub(super) struct RecordAccumulator {
    config: Settings,
    pool: BufferPool,
    pub batches: Batches,
    queues: BTreeMap<TopicName, BTreeMap<i32, Queue>>,
    ratios: BTreeMap<TopicName, CompressionRatioEstimator>,
    next_number: u64,
    drain_index: BTreeMap<NodeId, usize>,
    /// Everything goes out at once: the producer is closing.
    pub closed: bool,
    flushes: Vec<Flush>,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    batch_size: usize,
    compression: Compression,
    linger: Duration,
    delivery_timeout: Duration,
    retry_backoff: ExponentialBackoff,
    /// KIP-951, 3.7.
    new_leader_ends_backoff: bool,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    waiting: VecDeque<u64>,
    in_request: Vec<u64>,
    muted: bool,
}

/// A `flush()`: the batches up to a number, and how many of them are left.
#[derive(Clone, Copy, Debug)]
struct Flush {
    up_to: u64,
    left: usize,
}

impl RecordAccumulator {
    pub(super) fn new(config: &ProducerConfig) -> Self {
        let new_leader_ends_backoff = config.version >= KafkaVersion::new(3, 7);
        Self {
            config: Settings {
                batch_size: config.batch_size.max(1),
                compression: config.compression_type,
                linger: config.linger_ms,
                delivery_timeout: config.delivery_timeout_ms,
                retry_backoff: ExponentialBackoff {
                    initial: config.retry_backoff_ms,
                    max: config.retry_backoff_max_ms,
                },
                new_leader_ends_backoff,
            },
            pool: BufferPool::new(config.buffer_memory),
            batches: Batches::new(),
            queues: BTreeMap::new(),
            ratios: BTreeMap::new(),
            next_number: 1,
            drain_index: BTreeMap::new(),
            closed: false,
            flushes: Vec::new(),
        }
    }

    /// Whether the next record for the partition needs a batch of its own, as far as can be told without seeing it.
    pub(super) fn all_batches_full(&self, topic: &TopicName, partition: i32) -> bool {
        let queue = self.queues.get(topic).and_then(|queues| queues.get(&partition));
        let last = queue.and_then(|queue| self.batches.get(queue.waiting.back()?));
        last.is_none_or(ProducerBatch::is_full)
    }

    /// Appends to the last batch of the partition, if there is room.
    pub(super) fn try_append(&mut self, topic: &TopicName, partition: i32, record: Append<'_>) -> Option<Appended> {
        let queue = self.queues.get(topic)?.get(&partition)?;
        let batch = self.batches.get_mut(queue.waiting.back()?)?;
        let builder = batch.builder()?;
        if !builder.has_room_for(record.timestamp, record.key, record.value, record.headers) {
            batch.close_for_appends();
            return None;
        }
        let before = builder.estimated_size_in_bytes();
        builder.append(record.timestamp, record.key, record.value, record.headers);
        let bytes = (builder.estimated_size_in_bytes() - before) as u64;
        batch.add(Callback { record: record.record, timestamp: record.timestamp });
        let wakes_sender = queue.waiting.len() > 1 || batch.is_full();
        Some(Appended { batch: batch.number, bytes, wakes_sender })
    }

    /// Appends to a new batch, if there is memory for it.
    pub(super) fn append_to_new_batch(
        &mut self,
        partition: &TopicPartition,
        record: Append<'_>,
        now: Instant,
    ) -> Result<Appended, NoMemory> {
        let bound = BatchBuilder::size_upper_bound(record.key, record.value, record.headers);
        let size = bound.max(self.config.batch_size);
        self.pool.allocate(size as u64)?;
        let mut batch = self.new_batch(partition, size, size as u64, now);
        if let Some(builder) = batch.builder() {
            builder.append(record.timestamp, record.key, record.value, record.headers);
        }
        batch.add(Callback { record: record.record, timestamp: record.timestamp });
        let appended = Appended { batch: batch.number, bytes: batch.size_in_bytes() as u64, wakes_sender: true };
        self.queue(partition).waiting.push_back(batch.number);
        self.batches.insert(batch.number, batch);
        Ok(appended)
    }

    /// Which leaders can be sent to, when to look again, and which topics lack a leader.
    pub(super) fn ready(
        &self,
        metadata: &ClientMetadata,
        memory_exhausted: bool,
        partitioner: &mut Partitioner,
        now: Instant,
    ) -> Ready {
        let mut ready = Ready::default();
        let sends_all = memory_exhausted || self.closed || !self.flushes.is_empty();
        for (topic, queues) in &self.queues {
            for (partition, queue) in queues {
                let Some(first) = queue.waiting.front().and_then(|number| self.batches.get(number)) else { continue };
                let Some((leader, epoch)) = metadata.leader(topic, *partition) else {
                    if ready.leaderless.last() != Some(topic) {
                        ready.leaderless.push(topic.clone());
                    }
                    continue;
                };
                if queue.muted || ready.nodes.contains(&leader) {
                    continue;
                }
                let backs_off = self.backs_off(first, epoch, now);
                let lingers_until = first.last_attempt + self.config.linger;
                // Where another batch is behind it, it is full.
                let complete = first.is_full() || lingers_until <= now || sends_all;
                if complete && !backs_off {
                    ready.nodes.push(leader);
                    continue;
                }
                let look_at = if backs_off { first.backoff_until } else { lingers_until };
                ready.next_check = Some(ready.next_check.map_or(look_at, |at| at.min(look_at)));
            }
            self.update_load(topic, queues, metadata, partitioner);
        }
        ready
    }

    /// Takes at most one batch per partition that `node` leads, up to `size_max` bytes, with their sequences given out.
    pub(super) fn drain(
        &mut self,
        node: NodeId,
        metadata: &ClientMetadata,
        size_max: usize,
        mut transactions: Option<&mut TransactionManager>,
        now: Instant,
    ) -> Vec<u64> {
        let led: Vec<(&TopicName, i32, LeaderEpoch)> = partitions_led_by(node, metadata).collect();
        let mut drained = Vec::new();
        if led.is_empty() {
            return drained;
        }
        let start = self.drain_index.get(&node).copied().unwrap_or(0);
        let mut size = 0;
        for turn in 0..led.len() {
            let index = (start + turn) % led.len();
            let (topic, partition, epoch) = led[index];
            // Where this round ends, the next one begins.
            self.drain_index.insert(node, index);
            let Some(queue) = self.queues.get_mut(topic).and_then(|queues| queues.get_mut(&partition)) else {
                continue;
            };
            let Some(number) = queue.waiting.front().copied().filter(|_| !queue.muted) else { continue };
            let Some(batch) = self.batches.get_mut(&number) else { continue };
            batch.maybe_update_leader_epoch(epoch);
            if backs_off(self.config, batch, epoch, now) {
                continue;
            }
            let too_much = size + batch.size_in_bytes() > size_max && !drained.is_empty();
            if too_much || transactions.as_ref().is_some_and(|transactions| transactions.must_wait(batch)) {
                break;
            }
            if let Some(transactions) = transactions.as_deref_mut() {
                transactions.assign_sequence(batch);
            }
            queue.waiting.pop_front();
            queue.in_request.push(number);
            batch.place = Place::InRequest;
            batch.close_for_appends();
            size += batch.size_in_bytes();
            drained.push(number);
        }
        drained
    }

    /// Takes the batches of which `delivery.timeout.ms` is over, those in a request included, and says when the next
    /// one is due.
    pub(super) fn expired(&mut self, now: Instant) -> (Vec<u64>, Option<Instant>) {
        let timeout = self.config.delivery_timeout;
        let mut expired = Vec::new();
        let mut next: Option<Instant> = None;
        let batches = &self.batches;
        // `None` for a batch whose time has come, else the moment when it will.
        let expiry = |number: &u64| {
            let at = batches.get(number).map_or(Instant::NEVER, |batch| batch.created + timeout);
            (at > now).then_some(at)
        };
        for queues in self.queues.values_mut() {
            for queue in queues.values_mut() {
                while let Some(number) = queue.waiting.front() {
                    if let Some(at) = expiry(number) {
                        next = earliest([next, Some(at)]);
                        break;
                    }
                    expired.extend(queue.waiting.pop_front());
                }
                while let Some(number) = queue.in_request.first() {
                    if let Some(at) = expiry(number) {
                        next = earliest([next, Some(at)]);
                        break;
                    }
                    expired.push(queue.in_request.remove(0));
                }
            }
        }
        (expired, next.filter(|at| *at != Instant::NEVER))
    }

    /// Puts a batch back to be sent again: in front, or among those with a sequence in the order of these.
    pub(super) fn reenqueue(&mut self, number: u64, idempotent: bool, now: Instant, rng: &mut Prng) {
        let backoff = self.config.retry_backoff;
        let Some(batch) = self.batches.get_mut(&number) else { return };
        batch.backoff_until = now + backoff.after(batch.attempts, rng);
        batch.attempts += 1;
        batch.last_attempt = now;
        batch.place = Place::Queued;
        let partition = batch.partition.clone();
        self.queue(&partition).in_request.retain(|other| *other != number);
        self.insert_first(number, idempotent);
    }

    /// Cuts a batch that a broker found too large into batches of `batch.size`, which take its place.
    pub(super) fn split(&mut self, number: u64, mut transactions: Option<&mut TransactionManager>) {
        let Some(mut batch) = self.batches.remove(&number) else { return };
        if let Some(transactions) = transactions.as_deref_mut() {
            transactions.forget(&batch);
        }
        let partition = batch.partition.clone();
        self.queue(&partition).in_request.retain(|other| *other != number);
        self.pool.deallocate(batch.memory);
        let parts = self.parts_of(&mut batch);
        for flush in self.flushes.iter_mut().filter(|flush| batch.origin <= flush.up_to) {
            flush.left = flush.left + parts.len() - 1;
        }
        let mut numbers: Vec<u64> = Vec::with_capacity(parts.len());
        for part in parts {
            if let Some(transactions) = transactions.as_deref_mut() {
                transactions.track(&part);
            }
            numbers.push(part.number);
            self.batches.insert(part.number, part);
        }
        for part in numbers.into_iter().rev() {
            self.insert_first(part, transactions.is_some());
        }
    }

    /// A batch is done: gives its memory back and hands it over. It stays known as long as an answer may come.
    pub(super) fn finish(&mut self, number: u64, answer_pending: bool) -> Option<ProducerBatch> {
        if self.batches.get(&number)?.is_done() {
            return None;
        }
        let mut batch = self.batches.remove(&number)?;
        self.pool.deallocate(batch.memory);
        for flush in self.flushes.iter_mut().filter(|flush| batch.origin <= flush.up_to) {
            flush.left -= 1;
        }
        // Whoever gives up one that waits has taken it out of its queue.
        self.queue(&batch.partition).in_request.retain(|other| *other != number);
        if answer_pending {
            self.batches.insert(number, batch.take_remains());
        }
        Some(batch)
    }

    /// Empties the queues, and names every batch that is not done: they will be failed.
    pub(super) fn abort(&mut self) -> Vec<u64> {
        for queue in self.queues.values_mut().flat_map(BTreeMap::values_mut) {
            queue.waiting.clear();
        }
        self.incomplete().map(|batch| batch.number).collect()
    }

    pub(super) fn set_muted(&mut self, partition: &TopicPartition, muted: bool) {
        self.queue(partition).muted = muted;
    }

    /// The bytes of a batch, for a request.
    pub(super) fn close(&mut self, number: u64) -> Option<bytes::Bytes> {
        let batch = self.batches.get_mut(&number)?;
        let ratio = (self.config.compression != Compression::None)
            .then(|| self.ratios.entry(batch.partition.topic.clone()).or_default());
        batch.close(self.config.compression, ratio).ok()
    }

    /// Whether anything waits in a queue.
    pub(super) fn has_undrained(&self) -> bool {
        self.queues.values().flat_map(BTreeMap::values).any(|queue| !queue.waiting.is_empty())
    }

    /// Batches whose callbacks have not run, oldest first.
    pub(super) fn incomplete(&self) -> impl Iterator<Item = &ProducerBatch> {
        self.batches.values().filter(|batch| !batch.is_done())
    }

    /// Waits for everything that is here now.
    pub(super) fn begin_flush(&mut self) {
        let left = self.incomplete().count();
        self.flushes.push(Flush { up_to: self.next_number - 1, left });
    }

    /// How many flushes have come to an end since the last time.
    pub(super) fn take_finished_flushes(&mut self) -> usize {
        let before = self.flushes.len();
        self.flushes.retain(|flush| flush.left > 0);
        before - self.flushes.len()
    }

    #[cfg(test)]
    pub(super) fn set_batch_size(&mut self, batch_size: usize) {
        self.config.batch_size = batch_size;
    }

    #[cfg(test)]
    pub(super) fn memory_in_use(&self) -> u64 {
        self.pool.in_use()
    }
}

impl RecordAccumulator {
    fn queue(&mut self, partition: &TopicPartition) -> &mut Queue {
        if !self.queues.contains_key(&partition.topic) {
            self.queues.insert(partition.topic.clone(), BTreeMap::new());
        }
        let queues = self.queues.get_mut(&partition.topic).expect("it was just inserted");
        queues.entry(partition.partition).or_default()
    }

    fn new_batch(&mut self, partition: &TopicPartition, limit: usize, memory: u64, now: Instant) -> ProducerBatch {
        let number = self.next_number;
        self.next_number += 1;
        let mut builder = BatchBuilder::new(self.config.compression, limit);
        if let Some(ratio) = self.ratios.get(&partition.topic) {
            builder = builder.with_estimated_ratio_permille(ratio.permille(self.config.compression));
        }
        ProducerBatch::new(number, partition.clone(), builder, memory, now)
    }

    fn backs_off(&self, batch: &ProducerBatch, leader_epoch: LeaderEpoch, now: Instant) -> bool {
        backs_off(self.config, batch, leader_epoch, now)
    }

    fn update_load(
        &self,
        topic: &TopicName,
        queues: &BTreeMap<i32, Queue>,
        metadata: &ClientMetadata,
        partitioner: &mut Partitioner,
    ) {
        if !partitioner.is_adaptive() {
            return;
        }
        if queues.len() < 2 {
            // One queue says nothing about which partition is slow, and there never were more.
            return;
        }
        let known = metadata.partitions(topic).map_or(0, <[_]>::len);
        // Until every partition has a queue, their lengths say nothing.
        let led = queues.iter().filter(|(partition, _)| metadata.leader(topic, **partition).is_some());
        let lengths: Vec<(i32, usize)> = match queues.len() >= known {
            true => led.map(|(partition, queue)| (*partition, queue.waiting.len())).collect(),
            false => Vec::new(),
        };
        partitioner.update_load(topic, &lengths, queues.len());
    }

    fn insert_first(&mut self, number: u64, idempotent: bool) {
        let Some(batch) = self.batches.get(&number) else { return };
        let (partition, sequence) = (batch.partition.clone(), batch.producer.base_sequence);
        let batches = &self.batches;
        let queues = self.queues.entry(partition.topic).or_default();
        let waiting = &mut queues.entry(partition.partition).or_default().waiting;
        let is_earlier = |other: &u64| {
            batches.get(other).is_some_and(|other| other.has_sequence() && other.producer.base_sequence < sequence)
        };
        let at = if idempotent { waiting.iter().take_while(|other| is_earlier(other)).count() } else { 0 };
        waiting.insert(at, number);
    }

    /// The records of `batch` in new batches, with their shares of its sequences.
    fn parts_of(&mut self, batch: &mut ProducerBatch) -> Vec<ProducerBatch> {
        let bytes = batch.close(self.config.compression, None).expect("it was sent");
        let records = RecordBatch::parse(&bytes, 0).expect("we built it").records();
        // What was guessed of the compression was too good.
        self.ratios.remove(&batch.partition.topic);
        let mut parts: Vec<ProducerBatch> = Vec::new();
        for (record, callback) in records.map_while(Result::ok).zip(&batch.callbacks) {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            let has_room = parts
                .last_mut()
                .and_then(ProducerBatch::builder)
                .is_some_and(|builder| builder.has_room_for(record.timestamp, key, value, &record.headers));
            if !has_room {
                let limit = BatchBuilder::size_upper_bound(key, value, &record.headers).max(self.config.batch_size);
                parts.push(self.new_batch(&batch.partition, limit, 0, batch.created));
            }
            let part = parts.last_mut().expect("there is at least one now");
            if let Some(builder) = part.builder() {
                builder.append(record.timestamp, key, value, &record.headers);
            }
            part.add(*callback);
        }
        let mut sequence = batch.producer.base_sequence;
        for part in &mut parts {
            part.close_for_appends();
            part.origin = batch.origin;
            part.transmissions = batch.transmissions;
            part.maybe_written = batch.maybe_written;
            if batch.has_sequence() {
                part.producer = ProducerState { base_sequence: sequence, ..batch.producer };
                sequence = sequence.plus(part.records_count());
            }
        }
        parts
    }
}

fn backs_off(config: Settings, batch: &ProducerBatch, leader_epoch: LeaderEpoch, now: Instant) -> bool {
    let new_leader = config.new_leader_ends_backoff && batch.leader_changed_since_retry(leader_epoch);
    now < batch.backoff_until && !new_leader
}

/// The partitions that `node` leads, in a fixed order.
fn partitions_led_by(node: NodeId, metadata: &ClientMetadata) -> impl Iterator<Item = (&TopicName, i32, LeaderEpoch)> {
    metadata.topics().flat_map(move |(topic, partitions)| {
        let led = partitions.iter().enumerate().filter(move |(_, partition)| partition.leader == Some(node));
        led.map(move |(index, partition)| (topic, index as i32, partition.leader_epoch))
    })
}

#[cfg(test)]
#[path = "record_accumulator_tests.rs"]
mod tests;

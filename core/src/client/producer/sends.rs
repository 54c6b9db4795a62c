//! `send()`: from the call until the record is in a batch, or thrown back.
//!
//! Kafka: `KafkaProducer.doSend`, `waitOnMetadata`, `RecordAccumulator.append`.

use super::buffer_pool::NoMemory;
use super::record_accumulator::{Append, Appended};
use super::{Lifecycle, Producer};
use crate::client::{Completion, ProducerRecord};
use crate::fact::{Fact, Payload};
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::record::{BatchBuilder, Header};
use crate::types::{Instant, StrBytes, Timestamp, TopicPartition};

/// A `send()` that has not returned.
#[derive(Clone, Debug)]
pub(super) struct PendingSend {
    pub record: Box<ProducerRecord>,
    /// `max.block.ms` after the call.
    pub give_up_at: Instant,
    waits_for: Need,
    /// The partitioner is asked once; while the record waits for memory its word stands.
    partition: Option<i32>,
}

/// What a `send()` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing yet: it has not been tried.
    Turn,
    /// The partitions of its topic, in an answer later than this version.
    Metadata { version: u64 },
    /// Room in `buffer.memory`.
    Memory,
}

/// How an attempt to append ended.
enum Attempt {
    Appended { partition: TopicPartition, appended: Appended },
    NeedsMetadata,
    NeedsMemory,
    Refused(ErrorCode),
}

impl Producer {
    pub(super) fn send(&mut self, record: Box<ProducerRecord>, ctx: &mut Context<'_>) {
        ctx.fact(Fact::RecordSent {
            record: record.id,
            topic: record.topic.as_str().to_owned(),
            key: record.key.clone().map(Payload),
            value: record.value.clone().map(Payload),
            resend_of: record.resend_of,
        });
        let give_up_at = ctx.now() + self.config.max_block_ms;
        let mut send = PendingSend { record, give_up_at, waits_for: Need::Turn, partition: None };
        if self.lifecycle != Lifecycle::Open {
            return self.refuse(&send, ErrorCode::CLIENT_CLOSED, ctx);
        }
        if self.pending_sends.is_empty() {
            match self.attempt(&mut send, ctx) {
                Some(wakes_sender) => {
                    if wakes_sender {
                        self.run(ctx);
                    }
                }
                None => {
                    self.pending_sends.push_front(send);
                    self.run(ctx);
                }
            }
        } else {
            self.pending_sends.push_back(send);
            self.run(ctx);
        }
    }

    /// Whether somebody waits for `buffer.memory`: then nothing lingers.
    pub(super) fn memory_exhausted(&self) -> bool {
        self.pending_sends.front().is_some_and(|send| send.waits_for == Need::Memory)
    }

    /// Serves those who wait, in order; true if any was served.
    pub(super) fn serve_pending_sends(&mut self, ctx: &mut Context<'_>) -> bool {
        let mut served = false;
        while let Some(mut send) = self.pending_sends.pop_front() {
            if self.attempt(&mut send, ctx).is_none() {
                self.pending_sends.push_front(send);
                break;
            }
            served = true;
        }
        served
    }

    /// Throws back what has waited for `max.block.ms`.
    pub(super) fn expire_pending_sends(&mut self, ctx: &mut Context<'_>) {
        while self.pending_sends.front().is_some_and(|send| send.give_up_at <= ctx.now()) {
            let Some(send) = self.pending_sends.pop_front() else { break };
            let error = match self.metadata.partitions(&send.record.topic) {
                _ if send.waits_for == Need::Memory => ErrorCode::CLIENT_BUFFER_EXHAUSTED,
                Some(_) if send.waits_for == Need::Turn => ErrorCode::CLIENT_BUFFER_EXHAUSTED,
                Some(_) | None => ErrorCode::CLIENT_METADATA_TIMEOUT,
            };
            self.refuse(&send, error, ctx);
        }
    }

    /// `send()` comes back with an exception, or a future that has failed already.
    pub(super) fn refuse(&self, send: &PendingSend, error: ErrorCode, ctx: &mut Context<'_>) {
        let record = send.record.id;
        let partition = send.record.partition.or(send.partition);
        let partition = partition.map(|partition| TopicPartition::new(send.record.topic.clone(), partition));
        ctx.fact(Fact::RecordFailed { record, partition, error, definite: true });
        ctx.complete(Completion::SendReturned { record, result: Err(error) });
    }

    /// Tries to append. `None` if the record has to wait; otherwise `send()` has returned, and the answer is whether the
    /// sender has something to do.
    fn attempt(&mut self, send: &mut PendingSend, ctx: &mut Context<'_>) -> Option<bool> {
        match self.try_append(send, ctx) {
            Attempt::Appended { partition, appended } => {
                let record = send.record.id;
                ctx.fact(Fact::RecordBatched { record, partition, batch: appended.batch });
                ctx.complete(Completion::SendReturned { record, result: Ok(()) });
                Some(appended.wakes_sender)
            }
            Attempt::Refused(error) => {
                self.refuse(send, error, ctx);
                Some(false)
            }
            Attempt::NeedsMemory => {
                send.waits_for = Need::Memory;
                None
            }
            Attempt::NeedsMetadata => {
                let version = self.metadata.version();
                // Every answer without the topic is followed by another request.
                if send.waits_for != (Need::Metadata { version }) {
                    send.waits_for = Need::Metadata { version };
                    self.metadata.request_update();
                }
                None
            }
        }
    }

    fn try_append(&mut self, send: &mut PendingSend, ctx: &mut Context<'_>) -> Attempt {
        let record = &*send.record;
        if let Err(error) = self.check(record) {
            return Attempt::Refused(error);
        }
        let now = ctx.now();
        self.metadata.add_topic(&record.topic, now);
        let known = self.metadata.partitions(&record.topic).filter(|partitions| {
            !partitions.is_empty() && record.partition.is_none_or(|wanted| (wanted as usize) < partitions.len())
        });
        let Some(partitions) = known else {
            return match self.metadata.topic_error(&record.topic) {
                Some(ErrorCode::INVALID_TOPIC_EXCEPTION) => Attempt::Refused(ErrorCode::INVALID_TOPIC_EXCEPTION),
                Some(_) | None => Attempt::NeedsMetadata,
            };
        };
        let headers: Vec<Header> =
            record.headers.iter().map(|(name, value)| (StrBytes::from_string(name.clone()), value.clone())).collect();
        let (topic, key, value) = (&record.topic, record.key.as_deref(), record.value.as_deref());
        let bound = BatchBuilder::size_upper_bound(key, value, &headers);
        if bound > self.config.max_request_size || bound as u64 > self.config.buffer_memory {
            return Attempt::Refused(ErrorCode::CLIENT_RECORD_TOO_LARGE);
        }
        let timestamp = record.timestamp.unwrap_or(Timestamp(ctx.wall_clock().0.max(0)));
        let append = Append { record: record.id, timestamp, key, value, headers: &headers };

        let built_in = record.partition.is_none() && self.partitioner.is_built_in(key);
        let fixed = record.partition.or(send.partition);
        let mut partition = fixed.unwrap_or_else(|| self.partitioner.partition(topic, key, partitions, ctx.rng()));
        if built_in {
            let full = self.accumulator.all_batches_full(topic, partition);
            if self.partitioner.produced(topic, 0, full, partitions, ctx.rng()) {
                partition = self.partitioner.partition(topic, key, partitions, ctx.rng());
            }
        }
        let mut appended = self.accumulator.try_append(topic, partition, append);
        if appended.is_none() && send.partition.is_none() {
            if self.partitioner.on_new_batch(topic, partition, partitions, ctx.rng()) {
                partition =
                    record.partition.unwrap_or_else(|| self.partitioner.partition(topic, key, partitions, ctx.rng()));
                appended = self.accumulator.try_append(topic, partition, append);
            }
            send.partition = (!built_in).then_some(partition);
        }
        let place = TopicPartition::new(topic.clone(), partition);
        let appended = match appended.map_or_else(|| self.accumulator.append_to_new_batch(&place, append, now), Ok) {
            Ok(appended) => appended,
            Err(NoMemory::Exhausted) => return Attempt::NeedsMemory,
            Err(NoMemory::MoreThanTotal) => return Attempt::Refused(ErrorCode::CLIENT_RECORD_TOO_LARGE),
        };
        if built_in {
            let full = self.accumulator.all_batches_full(topic, partition);
            self.partitioner.produced(topic, appended.bytes, full, partitions, ctx.rng());
        }
        Attempt::Appended { partition: place, appended }
    }

    /// What `ProducerRecord`'s constructor would refuse.
    fn check(&self, record: &ProducerRecord) -> Result<(), ErrorCode> {
        if record.partition.is_some_and(|partition| partition < 0) {
            return Err(ErrorCode::INVALID_PARTITIONS);
        }
        if record.timestamp.is_some_and(|timestamp| timestamp < Timestamp(0)) {
            return Err(ErrorCode::INVALID_TIMESTAMP);
        }
        Ok(())
    }
}

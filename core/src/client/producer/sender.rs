//! The sender: from the queues into requests, and what follows from the answers.
//!
//! Kafka: `Sender`; KIP-91 (delivery timeout), KIP-126 (split), KIP-580 and KIP-951 (3.7), KIP-98 (idempotence).
//!
//! Historical: before 3.6 an error that answers an expired batch is held against its sequences a second time. Before 2.5
//! that can have the next batch taken for a repetition, and acknowledged without being written.
//!
//! As in Kafka, nothing is sent and nothing expires while an idempotent producer waits for its producer id.

use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::Producer;
use super::batch::{Place, ProducerBatch};
use super::transaction_manager::{Answer, Identity};
use crate::client::metadata::is_invalid_metadata;
use crate::client::{Completion, DisconnectReason, Disconnection, Expect, RecordMetadata, RequestToken};
use crate::config::KafkaVersion;
use crate::fact::{Fact, RetryReason};
use crate::machine::Context;
use crate::protocol::{ErrorCode, Response};
use crate::types::{BrokerId, Instant, LeaderEpoch, NodeId, Offset, ProducerEpoch, Timestamp, TopicPartition};

/// Produce requests in flight, each with its batches.
pub(super) type ProduceRequests = Vec<(RequestToken, Vec<u64>)>;

/// How far the request for a producer id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProducerIdRequest {
    /// There is none.
    None,
    /// It waits for its answer.
    InFlight(RequestToken),
    /// It failed, and is repeated then.
    RetryAt(Instant),
}

/// How one batch of a request fared.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    answer: Answer,
    /// With LogAppendTime, that of the append.
    log_append_time: Timestamp,
    /// Why it goes out again, if it does.
    reason: RetryReason,
}

impl Producer {
    /// One round of the sender; true if another round may find more: something was sent, or memory that somebody waits for
    /// was given back.
    pub(super) fn run_sender(&mut self, ctx: &mut Context<'_>) -> bool {
        self.sender_wakes_at = None;
        if let Some(transactions) = &mut self.transactions {
            transactions.resolve();
            if let Some(error) = transactions.fatal_error() {
                for number in self.accumulator.abort() {
                    self.fail_batch(number, error, false, ctx);
                }
                return false;
            }
            transactions.maybe_bump_epoch(&mut self.accumulator.batches);
            if !transactions.has_producer_id() {
                self.request_producer_id(ctx);
                return false;
            }
        }
        self.send_batches(ctx)
    }

    fn send_batches(&mut self, ctx: &mut Context<'_>) -> bool {
        let now = ctx.now();
        let exhausted = self.memory_exhausted();
        let mut ready = self.accumulator.ready(&self.metadata, exhausted, &mut self.partitioner, now);
        if !ready.leaderless.is_empty() {
            for topic in &ready.leaderless {
                self.metadata.add_topic(topic, now);
            }
            self.metadata.request_update();
        }
        // A metadata request that is due goes first, as in NetworkClient.isReady.
        let update_due = self.metadata.is_update_due(now);
        ready.nodes.retain(|node| self.network.ready(*node, ctx) && !update_due);

        let mut requests: Vec<(NodeId, Vec<u64>)> = Vec::with_capacity(ready.nodes.len());
        for node in ready.nodes {
            let size_max = self.config.max_request_size;
            let batches = self.accumulator.drain(node, &self.metadata, size_max, self.transactions.as_mut(), now);
            if !batches.is_empty() {
                requests.push((node, batches));
            }
        }
        // With one request in flight at a time, a partition is silent until its batch is answered: no overtaking.
        if self.config.max_in_flight_requests_per_connection == 1 {
            for number in requests.iter().flat_map(|(_, batches)| batches) {
                self.set_muted(*number, true);
            }
        }
        let (expired, next_expiry) = self.expire_batches(ctx);
        self.sender_wakes_at = [ready.next_check, next_expiry].into_iter().flatten().min();
        let finds_more = !requests.is_empty() || (expired && exhausted);
        for (node, batches) in requests {
            self.send_produce_request(node, batches, ctx);
        }
        finds_more
    }

    /// Gives up what is too old. Whether there was anything, and when there will be.
    fn expire_batches(&mut self, ctx: &mut Context<'_>) -> (bool, Option<Instant>) {
        let (expired, next_expiry) = self.accumulator.expired(ctx.now());
        let any = !expired.is_empty();
        for number in expired {
            let Some(batch) = self.accumulator.batches.get(&number) else { continue };
            let was_retried = batch.attempts > 0;
            let error = match batch.transmissions {
                0 if batch.place == Place::Queued => ErrorCode::CLIENT_EXPIRED_UNSENT,
                _ => ErrorCode::CLIENT_DELIVERY_TIMEOUT,
            };
            let Some(batch) = self.fail_batch(number, error, false, ctx) else { continue };
            if let Some(transactions) = self.transactions.as_mut().filter(|_| was_retried) {
                transactions.mark_unresolved(&batch);
            }
        }
        (any, next_expiry)
    }

    fn send_produce_request(&mut self, node: NodeId, mut batches: Vec<u64>, ctx: &mut Context<'_>) {
        let mut request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(self.config.acks)
            .with_timeout_ms(i32::try_from(self.config.request_timeout_ms.as_millis()).unwrap_or(i32::MAX));
        batches.retain(|&number| {
            let Some(bytes) = self.accumulator.close(number) else {
                self.fail_batch(number, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, true, ctx);
                self.accumulator.batches.remove(&number);
                return false;
            };
            let Some(batch) = self.accumulator.batches.get_mut(&number) else { return false };
            batch.transmissions += 1;
            if let NodeId::Broker(broker) = node {
                ctx.fact(batch_sent(batch, broker));
            }
            let data = PartitionProduceData::default().with_index(batch.partition.partition).with_records(Some(bytes));
            match request.topic_data.iter_mut().find(|topic| topic.name == batch.partition.topic) {
                Some(topic) => topic.partition_data.push(data),
                None => request.topic_data.push(
                    TopicProduceData::default()
                        .with_name(batch.partition.topic.clone())
                        .with_partition_data(vec![data]),
                ),
            }
            true
        });
        if batches.is_empty() {
            return;
        }
        let expect = if self.config.acks == 0 { Expect::Nothing } else { Expect::Response };
        let token = self.network.send(node, request, expect, self.config.request_timeout_ms, ctx);
        match expect {
            Expect::Response => self.requests.push((token, batches)),
            Expect::Nothing => {
                // Written to the socket is all that anybody will ever know.
                for number in batches {
                    self.on_outcome(number, Outcome::of(ErrorCode::NONE, RetryReason::Disconnected), ctx);
                }
            }
        }
    }

    pub(super) fn on_response(&mut self, token: RequestToken, response: Response, ctx: &mut Context<'_>) {
        match response {
            Response::Produce(response) => {
                if let Some(index) = self.requests.iter().position(|(request, _)| *request == token) {
                    let (_, batches) = self.requests.remove(index);
                    self.on_produce_response(batches, &response, ctx);
                }
            }
            Response::Metadata(response) => {
                self.metadata.on_response(token, &response, ctx);
            }
            Response::InitProducerId(response) if self.producer_id_request == ProducerIdRequest::InFlight(token) => {
                self.on_init_producer_id(&response, ctx);
            }
            // An answer to what a producer never asks.
            _ => {}
        }
    }

    /// A connection is gone, and with it the answers to what was in flight on it.
    pub(super) fn fail_requests(&mut self, disconnection: &Disconnection, ctx: &mut Context<'_>) {
        let timed_out = disconnection.reason == DisconnectReason::RequestTimeout;
        let reason = if timed_out { RetryReason::RequestTimeout } else { RetryReason::Disconnected };
        // Since 3.5 a request that timed out says so.
        let says_so = timed_out && self.config.version >= KafkaVersion::new(3, 5);
        let error = if says_so { ErrorCode::REQUEST_TIMED_OUT } else { ErrorCode::NETWORK_EXCEPTION };
        for token in &disconnection.failed {
            if self.producer_id_request == ProducerIdRequest::InFlight(*token) {
                self.retry_producer_id(ctx);
            }
            let Some(index) = self.requests.iter().position(|(request, _)| request == token) else { continue };
            let (_, batches) = self.requests.remove(index);
            for number in batches {
                self.on_outcome(number, Outcome::of(error, reason), ctx);
            }
        }
    }

    fn on_produce_response(&mut self, batches: Vec<u64>, response: &ProduceResponse, ctx: &mut Context<'_>) {
        for number in batches {
            let Some(batch) = self.accumulator.batches.get(&number) else { continue };
            let partition = batch.partition.clone();
            let answer = response
                .responses
                .iter()
                .filter(|topic| topic.name == partition.topic)
                .flat_map(|topic| &topic.partition_responses)
                .find(|answer| answer.index == partition.partition);
            // Kafka trips over an answer that says nothing of the batch (a NullPointerException in the callback): the batch stays
            // where it is and expires.
            let Some(answer) = answer else { continue };
            self.on_outcome(number, Outcome::from_response(answer), ctx);
            self.take_leader_hint(&partition, answer);
        }
    }

    /// KIP-951: who leads now, in the answer of who does not lead any more.
    fn take_leader_hint(&mut self, partition: &TopicPartition, answer: &PartitionProduceResponse) {
        let moved =
            matches!(ErrorCode(answer.error_code), ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH);
        if moved && self.config.version >= KafkaVersion::new(3, 7) {
            let BrokerId(leader) = answer.current_leader.leader_id;
            let epoch = LeaderEpoch(answer.current_leader.leader_epoch);
            self.metadata.hint_leader(&partition.topic, partition.partition, leader, epoch);
        }
    }

    /// The fate of one batch of a request: written, put back, split or failed.
    fn on_outcome(&mut self, number: u64, outcome: Outcome, ctx: &mut Context<'_>) {
        let error = outcome.answer.error;
        let Some(batch) = self.accumulator.batches.get_mut(&number) else { return };
        let partition = batch.partition.clone();
        batch.maybe_written |= !error.is_definite();
        if batch.is_done() {
            self.on_late_outcome(number, outcome.answer, ctx);
        } else if error == ErrorCode::MESSAGE_TOO_LARGE && batch.records_count() > 1 {
            self.accumulator.split(number, self.transactions.as_mut());
        } else if error.is_none() {
            self.complete_batch(number, outcome, ctx);
        } else if self.can_retry(number, outcome.answer, ctx) {
            self.retry_batch(number, outcome, ctx);
        } else if error == ErrorCode::DUPLICATE_SEQUENCE_NUMBER {
            // It was written so long ago that the broker has forgotten where.
            self.complete_batch(number, outcome, ctx);
        } else {
            let attempts = self.accumulator.batches.get(&number).map_or(0, |batch| batch.attempts);
            // After the last attempt nobody knows whether the sequence was used.
            self.fail_answered(number, error, attempts < self.config.retries, ctx);
        }
        if is_invalid_metadata(error) {
            self.metadata.request_update();
        }
        if self.config.max_in_flight_requests_per_connection == 1 {
            self.accumulator.set_muted(&partition, false);
        }
    }

    fn can_retry(&mut self, number: u64, answer: Answer, ctx: &Context<'_>) -> bool {
        let Some(batch) = self.accumulator.batches.get(&number) else { return false };
        let in_time = ctx.now() < batch.created + self.config.delivery_timeout_ms;
        if !in_time || batch.attempts >= self.config.retries {
            return false;
        }
        match &mut self.transactions {
            Some(transactions) => transactions.can_retry(number, answer, &mut self.accumulator.batches),
            None => answer.error.is_retriable(),
        }
    }

    fn retry_batch(&mut self, number: u64, outcome: Outcome, ctx: &mut Context<'_>) {
        let Some(batch) = self.accumulator.batches.get(&number) else { return };
        if self.transactions.as_ref().is_some_and(|transactions| !transactions.keeps_identity(batch)) {
            // The producer has a new id by now: under it the batch would be written a second time (before 2.5).
            self.fail_answered(number, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, false, ctx);
            return;
        }
        ctx.fact(Fact::BatchRetried { batch: number, partition: batch.partition.clone(), reason: outcome.reason });
        self.accumulator.reenqueue(number, self.transactions.is_some(), ctx.now(), ctx.rng());
    }

    fn complete_batch(&mut self, number: u64, outcome: Outcome, ctx: &mut Context<'_>) {
        let Some(batch) = self.accumulator.finish(number, false) else { return };
        let base = outcome.answer.base_offset;
        if let Some(transactions) = &mut self.transactions {
            transactions.on_completed(&batch, base);
        }
        for (callback, index) in batch.callbacks.iter().zip(0_i64..) {
            let offset = if base == Offset::NONE { base } else { base.plus(index) };
            let (record, partition) = (callback.record, batch.partition.clone());
            let acks = self.config.acks;
            ctx.fact(Fact::RecordAcknowledged { record, partition: partition.clone(), offset, acks });
            let timestamp = match outcome.log_append_time {
                Timestamp::NONE => callback.timestamp,
                append_time => append_time,
            };
            let metadata = RecordMetadata { partition, offset, timestamp };
            ctx.complete(Completion::Delivered { record, result: Ok(metadata) });
        }
    }

    /// The answer to a batch that had expired: only the sequences learn from it.
    fn on_late_outcome(&mut self, number: u64, answer: Answer, ctx: &mut Context<'_>) {
        let Some(batch) = self.accumulator.batches.remove(&number) else { return };
        let Some(transactions) = &mut self.transactions else { return };
        if answer.error.is_none() || answer.error == ErrorCode::DUPLICATE_SEQUENCE_NUMBER {
            transactions.on_completed(&batch, answer.base_offset);
        } else if self.config.version < KafkaVersion::new(3, 6) {
            // As if the batch had failed only now. Before 2.5 that lowers the sequences behind it, and loses records.
            let unused = batch.attempts < self.config.retries;
            ctx.fact(Fact::BatchFailedAgain { batch: number, partition: batch.partition.clone(), error: answer.error });
            transactions.on_failed(&batch, answer.error, unused, &mut self.accumulator.batches);
        }
    }

    /// Fails a batch whose answer is there.
    fn fail_answered(&mut self, number: u64, error: ErrorCode, sequence_unused: bool, ctx: &mut Context<'_>) {
        if let Some(batch) = self.accumulator.batches.get_mut(&number) {
            batch.place = Place::Queued;
        }
        self.fail_batch(number, error, sequence_unused, ctx);
    }

    /// Runs the callbacks of a batch with an error.
    pub(super) fn fail_batch(
        &mut self,
        number: u64,
        error: ErrorCode,
        sequence_unused: bool,
        ctx: &mut Context<'_>,
    ) -> Option<ProducerBatch> {
        let in_request = self.accumulator.batches.get(&number)?.place == Place::InRequest;
        let batch = self.accumulator.finish(number, in_request)?;
        if let Some(transactions) = &mut self.transactions {
            transactions.on_failed(&batch, error, sequence_unused, &mut self.accumulator.batches);
        }
        // An attempt that is still under way, or one before it, may have been written whatever the last one said.
        let certain = !batch.maybe_written && !in_request;
        let definite = certain && (error.is_definite() || error == ErrorCode::CLIENT_DELIVERY_TIMEOUT);
        for callback in &batch.callbacks {
            let (record, partition) = (callback.record, Some(batch.partition.clone()));
            ctx.fact(Fact::RecordFailed { record, partition, error, definite });
            ctx.complete(Completion::Delivered { record, result: Err(error) });
        }
        Some(batch)
    }

    fn set_muted(&mut self, number: u64, muted: bool) {
        if let Some(partition) = self.accumulator.batches.get(&number).map(|batch| batch.partition.clone()) {
            self.accumulator.set_muted(&partition, muted);
        }
    }
}

impl Producer {
    /// Asks any broker for a producer id, unless that is under way.
    fn request_producer_id(&mut self, ctx: &mut Context<'_>) {
        match self.producer_id_request {
            ProducerIdRequest::InFlight(_) => return,
            ProducerIdRequest::RetryAt(at) if ctx.now() < at => {
                self.sender_wakes_at = Some(at);
                return;
            }
            ProducerIdRequest::RetryAt(_) | ProducerIdRequest::None => {}
        }
        let now = ctx.now();
        let Some(node) = self.network.least_loaded_node(self.metadata.nodes(), now, ctx.rng()) else {
            self.retry_producer_id(ctx);
            return;
        };
        if !self.network.ready(node, ctx) || self.metadata.is_update_due(now) {
            return;
        }
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let token = self.network.send(node, request, Expect::Response, self.config.request_timeout_ms, ctx);
        self.producer_id_request = ProducerIdRequest::InFlight(token);
    }

    fn retry_producer_id(&mut self, ctx: &mut Context<'_>) {
        let at = ctx.now() + self.config.retry_backoff_ms;
        self.producer_id_request = ProducerIdRequest::RetryAt(at);
        self.sender_wakes_at = Some(at);
        self.metadata.request_update();
    }

    fn on_init_producer_id(&mut self, response: &InitProducerIdResponse, ctx: &mut Context<'_>) {
        let error = ErrorCode(response.error_code);
        let Some(transactions) = &mut self.transactions else { return };
        if error.is_none() {
            let ProducerId(id) = response.producer_id;
            transactions.set_identity(Identity { id, epoch: ProducerEpoch(response.producer_epoch) });
            self.producer_id_request = ProducerIdRequest::None;
        } else if error.is_retriable() {
            self.retry_producer_id(ctx);
        } else {
            transactions.fail(error);
            self.producer_id_request = ProducerIdRequest::None;
        }
    }
}

impl Outcome {
    /// One that no broker told.
    fn of(error: ErrorCode, reason: RetryReason) -> Self {
        let answer = Answer { error, base_offset: Offset::NONE, log_start_offset: Offset::NONE };
        Self { answer, log_append_time: Timestamp::NONE, reason }
    }

    fn from_response(response: &PartitionProduceResponse) -> Self {
        let error = ErrorCode(response.error_code);
        let answer = Answer {
            error,
            base_offset: Offset(response.base_offset),
            log_start_offset: Offset(response.log_start_offset),
        };
        Self { answer, log_append_time: Timestamp(response.log_append_time_ms), reason: RetryReason::Error(error) }
    }
}

fn batch_sent(batch: &ProducerBatch, broker: i32) -> Fact {
    Fact::BatchSent {
        batch: batch.number,
        partition: batch.partition.clone(),
        attempt: batch.transmissions,
        producer_id: batch.producer.producer_id,
        producer_epoch: batch.producer.producer_epoch,
        base_sequence: batch.producer.base_sequence,
        broker,
    }
}

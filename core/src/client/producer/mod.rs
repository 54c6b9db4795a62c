//! The Java producer.
//!
//! ```text
//! send() ─▶ sends ──▶ RecordAccumulator ──▶ sender ──▶ NetworkClient
//!           metadata,  a queue of batches    leaders,   connections,
//!           partition, per partition         requests,  requests in flight
//!           memory                           answers, retries
//! ```
//!
//! It is driven as any [`Machine`]: `Call::Send` is answered by `SendReturned` when the record is in a batch (which can
//! take `max.block.ms`), and later by `Delivered`. Sends that wait are served in order.
//!
//! Kafka: `KafkaProducer`; versions from 2.2.
//! Invariant: every record that was sent gets one `SendReturned`, and if that was `Ok` one `Delivered`, unless the
//! process ends first: then [`Producer::abandoned`] has it.
//! Not modelled: transactions, interceptors, quota throttling, custom partitioners and serialisers, calls from several
//! threads overtaking one another.

mod batch;
mod buffer_pool;
pub mod partitioner;
mod record_accumulator;
mod sender;
mod sends;
mod transaction_manager;

use std::collections::VecDeque;
use std::sync::Arc;

use super::{
    Call, ClientMetadata, ClientMetadataConfig, Completion, Disconnection, ExponentialBackoff, NetworkClient,
    NetworkClientConfig,
};
use crate::config::{KafkaVersion, ProducerConfig};
use crate::fact::Fact;
use crate::machine::{Context, Input, Machine};
use crate::protocol::ErrorCode;
use crate::types::{ConnectionId, Duration, Instant, NodeId, RecordId, TopicPartition, earliest};
use partitioner::Partitioner;
use record_accumulator::RecordAccumulator;
use sender::{ProduceRequests, ProducerIdRequest};
use sends::PendingSend;
use transaction_manager::TransactionManager;

/// A `KafkaProducer`.
#[derive(Clone, Debug)]
pub struct Producer {
    config: Arc<ProducerConfig>,
    client: u32,
    network: NetworkClient,
    metadata: ClientMetadata,
    partitioner: Partitioner,
    accumulator: RecordAccumulator,
    transactions: Option<TransactionManager>,
    pending_sends: VecDeque<PendingSend>,
    requests: ProduceRequests,
    producer_id_request: ProducerIdRequest,
    lifecycle: Lifecycle,
    /// When the sender has something to do, as far as the clock decides it.
    sender_wakes_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifecycle {
    Open,
    /// `close()` was called; what is not done by then is failed.
    Closing {
        force_at: Instant,
    },
    Closed,
}

/// A record that was in the memory of a producer whose process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abandoned {
    /// The record.
    pub record: RecordId,
    /// Its partition, if that was chosen.
    pub partition: Option<TopicPartition>,
    /// Whether it certainly never left the process.
    pub unsent: bool,
}

impl Producer {
    /// Whether a connection is its own.
    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.network.owns(connection)
    }

    /// A producer that knows the bootstrap brokers. `client` is its number in [`NodeId::Client`].
    pub fn new(config: Arc<ProducerConfig>, bootstrap: Vec<NodeId>, client: u32) -> Self {
        let since = |major, minor| config.version >= KafkaVersion::new(major, minor);
        let network = NetworkClient::new(NetworkClientConfig {
            reconnect_backoff: ExponentialBackoff {
                initial: config.reconnect_backoff_ms,
                max: config.reconnect_backoff_max_ms,
            },
            connection_setup_timeout: since(2, 7).then_some(NetworkClientConfig::SETUP_TIMEOUT),
            max_in_flight: config.max_in_flight_requests_per_connection,
            max_idle: config.connections_max_idle_ms,
        });
        let metadata = ClientMetadata::new(ClientMetadataConfig {
            bootstrap,
            retry_backoff: ExponentialBackoff { initial: config.retry_backoff_ms, max: config.retry_backoff_max_ms },
            max_age: config.metadata_max_age_ms,
            allow_auto_topic_creation: true,
            topic_idle: Some(Duration::from_secs(300)),
            request_timeout: config.request_timeout_ms,
            tells_recreated: config.version >= super::metadata::TELLS_RECREATED,
        });
        Self {
            client,
            network,
            metadata,
            partitioner: Partitioner::new(&config),
            accumulator: RecordAccumulator::new(&config),
            transactions: config.enable_idempotence.then(|| TransactionManager::new(since(2, 5))),
            pending_sends: VecDeque::new(),
            requests: ProduceRequests::default(),
            producer_id_request: ProducerIdRequest::None,
            lifecycle: Lifecycle::Open,
            sender_wakes_at: None,
            config,
        }
    }

    /// The node that this producer is.
    pub fn node(&self) -> NodeId {
        NodeId::Client(self.client)
    }

    /// What it holds, in the order of `send()`: for the world to report when the process ends without `close()`.
    pub fn abandoned(&self) -> Vec<Abandoned> {
        let mut held: Vec<Abandoned> = Vec::new();
        for batch in self.accumulator.incomplete() {
            held.extend(batch.callbacks.iter().map(|callback| Abandoned {
                record: callback.record,
                partition: Some(batch.partition.clone()),
                unsent: batch.transmissions == 0,
            }));
        }
        held.extend(self.pending_sends.iter().map(|send| Abandoned {
            record: send.record.id,
            partition: None,
            unsent: true,
        }));
        held.sort_by_key(|abandoned| abandoned.record);
        held
    }

    fn call(&mut self, call: Call, ctx: &mut Context<'_>) {
        match call {
            Call::Send(record) => self.send(record, ctx),
            Call::Flush if self.lifecycle == Lifecycle::Closed => ctx.complete(Completion::Flushed),
            Call::Flush => {
                self.accumulator.begin_flush();
                self.run(ctx);
            }
            Call::Close { timeout } => self.close(timeout, ctx),
            Call::Assign(_)
            | Call::Subscribe(_)
            | Call::SubscribePattern(_)
            | Call::Pause(_)
            | Call::Resume(_)
            | Call::Wakeup
            | Call::Commit { .. }
            | Call::ReturnFromCallback
            | Call::Worked(..)
            | Call::Store(_)
            | Call::Acknowledge(..)
            | Call::Seek(..)
            | Call::Poll { .. }
            | Call::CreateTopics(_)
            | Call::ElectLeader { .. }
            | Call::Admin(_) => {
                ctx.fact(Fact::ClientWarned { what: "a producer was called as if it were another client".to_owned() });
            }
        }
    }

    fn close(&mut self, timeout: Duration, ctx: &mut Context<'_>) {
        if self.lifecycle == Lifecycle::Closed {
            ctx.complete(Completion::Closed);
            return;
        }
        self.lifecycle = Lifecycle::Closing { force_at: ctx.now() + timeout };
        self.accumulator.closed = true;
        while let Some(send) = self.pending_sends.pop_front() {
            self.refuse(&send, ErrorCode::CLIENT_CLOSED, ctx);
        }
        self.run(ctx);
    }

    /// Everything that follows from whatever happened: until nothing does.
    fn run(&mut self, ctx: &mut Context<'_>) {
        if self.lifecycle == Lifecycle::Closed {
            return;
        }
        loop {
            let asked = self.metadata.maybe_update(&mut self.network, ctx);
            let appended = self.serve_pending_sends(ctx);
            let sent = self.run_sender(ctx);
            if !(asked || appended || sent) {
                break;
            }
        }
        // The sender may have found that a partition has no leader: then the metadata are asked for, or will be.
        self.metadata.maybe_update(&mut self.network, ctx);
        self.expire_pending_sends(ctx);
        self.maybe_finish_close(ctx);
        for _ in 0..self.accumulator.take_finished_flushes() {
            ctx.complete(Completion::Flushed);
        }
    }

    fn maybe_finish_close(&mut self, ctx: &mut Context<'_>) {
        let Lifecycle::Closing { force_at } = self.lifecycle else { return };
        let busy = self.accumulator.has_undrained() || self.network.in_flight_total() > 0;
        if busy && ctx.now() < force_at {
            return;
        }
        for number in self.accumulator.abort() {
            self.fail_batch(number, ErrorCode::CLIENT_CLOSED, false, ctx);
        }
        self.network.close_all(ctx);
        self.lifecycle = Lifecycle::Closed;
        for _ in 0..self.accumulator.take_finished_flushes() {
            ctx.complete(Completion::Flushed);
        }
        ctx.complete(Completion::Closed);
    }

    fn on_disconnection(&mut self, disconnection: &Disconnection, ctx: &mut Context<'_>) {
        self.metadata.on_disconnection(disconnection, ctx);
        self.fail_requests(disconnection, ctx);
    }
}

impl Machine for Producer {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        match input {
            Input::Start => {
                for warning in &self.config.warnings {
                    ctx.fact(Fact::ClientWarned { what: warning.clone() });
                }
            }
            Input::Deadline => {
                for disconnection in self.network.on_deadline(ctx) {
                    self.on_disconnection(&disconnection, ctx);
                }
            }
            Input::Connected(connection) => {
                self.network.on_connected(connection, ctx.now());
            }
            Input::Disconnected(connection) => {
                if let Some(disconnection) = self.network.on_disconnected(connection, ctx) {
                    self.on_disconnection(&disconnection, ctx);
                }
            }
            Input::Response { connection, correlation_id, response } => {
                if let Some((node, token, response)) =
                    self.network.on_response(connection, correlation_id, response, ctx.now())
                {
                    self.network.throttle(node, &response, ctx.now());
                    self.on_response(token, response, ctx);
                }
            }
            // Nobody connects to a producer, and it publishes no metadata.
            Input::Request { .. } | Input::MetadataLag(_) => {}
            // The sender runs if the call gave it something to do.
            Input::Call(call) => return self.call(call, ctx),
            // A process that ends without close() takes what is in its memory along.
            Input::Stop => return ctx.exit(),
        }
        self.run(ctx);
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.lifecycle == Lifecycle::Closed {
            return None;
        }
        let force_at = match self.lifecycle {
            Lifecycle::Closing { force_at } => Some(force_at),
            Lifecycle::Open | Lifecycle::Closed => None,
        };
        let send = self.pending_sends.front().map(|send| send.give_up_at);
        let (network, metadata) = (self.network.next_deadline(), self.metadata.next_deadline());
        earliest([network, metadata, self.sender_wakes_at, send, force_at]).filter(|at| *at != Instant::NEVER)
    }
}

#[cfg(test)]
#[path = "producer_edge_tests.rs"]
mod edge_tests;

#[cfg(test)]
#[path = "producer_id_tests.rs"]
mod id_tests;

#[cfg(test)]
#[path = "producer_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "producer_model_tests.rs"]
mod model_tests;

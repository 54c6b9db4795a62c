//! The Scala producer of Kafka 0.8, as it was before the Java producer took its place.
//!
//! ```text
//! sync     send() ─────────────────────────▶ event handler: metadata, requests, retries; send() returns at its end
//! async    send() ─▶ queue ─▶ send thread ─▶ event handler; send() returned long ago, and no callback ever runs
//! ```
//!
//! What the application hears: in sync mode `SendReturned` when the answer is there, followed by `Delivered`; in async mode
//! `SendReturned` when the record is in the queue, and nothing more. A batch that could not be sent is dropped with a line
//! in the log ([`Fact::ClientWarned`]), its records are [`Fact::RecordAbandoned`].
//!
//! Kafka 0.8.2: `kafka.producer.Producer`, `async/ProducerSendThread`; catalog LG-01, LG-02.
//!
//! Not modelled: message formats 0 and 1 (it writes record batches of format 2), compression, custom partitioners and
//! serialisers, a connection of its own for each metadata request.

mod event_handler;

use std::collections::VecDeque;
use std::sync::Arc;

use super::producer::Abandoned;
use super::{Call, Completion, Disconnection, ProducerRecord};
use crate::config::{LegacyProducerConfig, LegacyProducerType};
use crate::fact::{Fact, Payload};
use crate::machine::{Context, Input, Machine};
use crate::protocol::ErrorCode;
use crate::types::{Instant, NodeId, Offset};
use event_handler::{EventHandler, Handled, Message};

/// A producer of 0.8.
#[derive(Clone, Debug)]
pub struct LegacyProducer {
    config: Arc<LegacyProducerConfig>,
    client: u32,
    handler: EventHandler,
    /// Sync: sends that wait for the one before. Async: those that wait for room in the queue.
    waiting: VecDeque<Waiting>,
    /// Async: `queue.buffering.max.messages` of them at most.
    queue: VecDeque<Message>,
    /// Async: what the send thread has taken out of the queue already.
    events: Vec<Message>,
    /// Async: when the send thread handled something the last time.
    last_send: Instant,
    lifecycle: Lifecycle,
}

#[derive(Clone, Debug)]
struct Waiting {
    message: Message,
    give_up_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifecycle {
    Open,
    Closing,
    Closed,
}

impl LegacyProducer {
    /// A producer that asks the `bootstrap` brokers (`metadata.broker.list`). `client` is its number in [`NodeId::Client`].
    pub fn new(config: Arc<LegacyProducerConfig>, bootstrap: Vec<NodeId>, client: u32) -> Self {
        Self {
            handler: EventHandler::new(config.clone(), bootstrap),
            config,
            client,
            waiting: VecDeque::new(),
            queue: VecDeque::new(),
            events: Vec::new(),
            last_send: Instant::START,
            lifecycle: Lifecycle::Open,
        }
    }

    /// The node that this producer is.
    pub fn node(&self) -> NodeId {
        NodeId::Client(self.client)
    }

    /// What it holds, in the order of `send()`: for the world to report when the process ends without `close()`.
    pub fn abandoned(&self) -> Vec<Abandoned> {
        let waiting = self.waiting.iter().map(|waiting| &waiting.message);
        let held = self.handler.messages().chain(&self.events).chain(&self.queue).chain(waiting);
        let mut held: Vec<Abandoned> = held.map(Message::abandoned).collect();
        held.sort_by_key(|abandoned| abandoned.record);
        held
    }

    fn call(&mut self, call: Call, ctx: &mut Context<'_>) {
        match call {
            Call::Send(record) => self.send(record, ctx),
            Call::Flush => {
                ctx.fact(Fact::ClientWarned { what: "the producer of 0.8 has no flush()".to_owned() });
                ctx.complete(Completion::Flushed);
            }
            Call::Close { .. } if self.lifecycle == Lifecycle::Closed => ctx.complete(Completion::Closed),
            // It knows no timeout: it waits until the queue is empty.
            Call::Close { .. } => self.lifecycle = Lifecycle::Closing,
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

    fn send(&mut self, record: Box<ProducerRecord>, ctx: &mut Context<'_>) {
        ctx.fact(Fact::RecordSent {
            record: record.id,
            topic: record.topic.as_str().to_owned(),
            key: record.key.clone().map(Payload),
            value: record.value.clone().map(Payload),
            resend_of: record.resend_of,
        });
        let message = Message::new(record);
        if self.lifecycle != Lifecycle::Open {
            return refuse(&message, ErrorCode::CLIENT_CLOSED, ctx);
        }
        let patience = match self.config.producer_type {
            LegacyProducerType::Sync => None,
            LegacyProducerType::Async => self.config.queue_enqueue_timeout_ms,
        };
        let give_up_at = patience.map_or(Instant::NEVER, |patience| ctx.now() + patience);
        self.waiting.push_back(Waiting { message, give_up_at });
    }

    /// Everything that follows from whatever happened.
    fn run(&mut self, ctx: &mut Context<'_>) {
        if self.lifecycle == Lifecycle::Closed {
            return;
        }
        loop {
            if let Some(handled) = self.handler.advance(ctx) {
                self.on_handled(handled, ctx);
            }
            if self.handler.is_busy() || !self.start_next(ctx) {
                break;
            }
        }
        self.admit(ctx);
        let idle =
            !self.handler.is_busy() && self.waiting.is_empty() && self.queue.is_empty() && self.events.is_empty();
        if self.lifecycle == Lifecycle::Closing && idle {
            self.handler.close(ctx);
            self.lifecycle = Lifecycle::Closed;
            ctx.complete(Completion::Closed);
        }
    }

    /// Gives the idle event handler something to do, if there is something.
    fn start_next(&mut self, ctx: &mut Context<'_>) -> bool {
        match self.config.producer_type {
            LegacyProducerType::Sync => {
                let Some(next) = self.waiting.pop_front() else { return false };
                self.handler.handle(vec![next.message], ctx);
            }
            LegacyProducerType::Async => {
                self.gather(ctx);
                let full = self.events.len() >= self.config.batch_num_messages;
                let expired = !self.events.is_empty() && self.window_ends_at() <= ctx.now();
                let last = self.lifecycle == Lifecycle::Closing && !self.events.is_empty();
                if !(full || expired || last) {
                    return false;
                }
                self.handler.handle(std::mem::take(&mut self.events), ctx);
            }
        }
        true
    }

    /// The send thread takes messages out of the queue, which makes room for others.
    fn gather(&mut self, ctx: &mut Context<'_>) {
        self.admit(ctx);
        while self.events.len() < self.config.batch_num_messages
            && let Some(message) = self.queue.pop_front()
        {
            if self.events.is_empty() {
                self.skip_empty_windows(ctx.now());
            }
            self.events.push(message);
            self.admit(ctx);
        }
    }

    /// Lets waiting messages into the queue while there is room, and throws back those whose patience is over.
    fn admit(&mut self, ctx: &mut Context<'_>) {
        if self.config.producer_type == LegacyProducerType::Sync {
            return;
        }
        while self.queue.len() < self.config.queue_buffering_max_messages
            && let Some(next) = self.waiting.pop_front()
        {
            ctx.complete(Completion::SendReturned { record: next.message.record.id, result: Ok(()) });
            self.queue.push_back(next.message);
        }
        while self.waiting.front().is_some_and(|waiting| waiting.give_up_at <= ctx.now()) {
            let Some(refused) = self.waiting.pop_front() else { break };
            refuse(&refused.message, ErrorCode::CLIENT_QUEUE_FULL, ctx);
        }
    }

    /// The send thread wakes every `queue.buffering.max.ms`, also when there is nothing to do.
    fn skip_empty_windows(&mut self, now: Instant) {
        let window = self.config.queue_buffering_max_ms;
        let windows = now.since(self.last_send).as_nanos().checked_div(window.as_nanos());
        self.last_send = windows.map_or(now, |windows| self.last_send + window.times(windows));
    }

    fn window_ends_at(&self) -> Instant {
        self.last_send + self.config.queue_buffering_max_ms
    }

    fn on_handled(&mut self, handled: Handled, ctx: &mut Context<'_>) {
        self.last_send = ctx.now();
        match self.config.producer_type {
            LegacyProducerType::Sync => {
                for (message, metadata) in handled.written {
                    let record = message.record.id;
                    let partition = metadata.partition.clone();
                    let offset = metadata.offset;
                    let acks = self.config.request_required_acks;
                    ctx.complete(Completion::SendReturned { record, result: Ok(()) });
                    ctx.fact(Fact::RecordAcknowledged { record, partition, offset, acks });
                    ctx.complete(Completion::Delivered { record, result: Ok(metadata) });
                }
                for message in handled.failed {
                    refuse(&message, ErrorCode::CLIENT_FAILED_TO_SEND, ctx);
                }
            }
            LegacyProducerType::Async if handled.failed.is_empty() => {}
            LegacyProducerType::Async => {
                let tries = self.config.message_send_max_retries;
                let what = format!("{} messages were dropped after {tries} retries", handled.failed.len());
                ctx.fact(Fact::ClientWarned { what });
                for message in handled.failed {
                    ctx.fact(Fact::RecordAbandoned { record: message.record.id, unsent: !message.sent });
                }
            }
        }
    }

    fn on_disconnection(&mut self, disconnection: &Disconnection) {
        self.handler.on_disconnection(disconnection);
    }
}

impl Machine for LegacyProducer {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        match input {
            Input::Start => self.last_send = ctx.now(),
            Input::Deadline => {
                for disconnection in self.handler.network.on_deadline(ctx) {
                    self.on_disconnection(&disconnection);
                }
            }
            Input::Connected(connection) => {
                self.handler.network.on_connected(connection, ctx.now());
            }
            Input::Disconnected(connection) => {
                if let Some(disconnection) = self.handler.network.on_disconnected(connection, ctx) {
                    self.on_disconnection(&disconnection);
                }
            }
            Input::Response { connection, correlation_id, response } => {
                let answer = self.handler.network.on_response(connection, correlation_id, response, ctx.now());
                if let Some((_, token, response)) = answer {
                    self.handler.on_response(token, response);
                }
            }
            // Nobody connects to a producer, and it publishes no metadata.
            Input::Request { .. } | Input::MetadataLag(_) => {}
            Input::Call(call) => self.call(call, ctx),
            // A process that ends without close() takes its queue along.
            Input::Stop => return ctx.exit(),
        }
        self.run(ctx);
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.lifecycle == Lifecycle::Closed {
            return None;
        }
        let gathering = !self.handler.is_busy() && !self.events.is_empty();
        let window = gathering.then(|| self.window_ends_at());
        let waiting = self.waiting.front().map(|waiting| waiting.give_up_at).filter(|at| *at != Instant::NEVER);
        [self.handler.next_deadline(), window, waiting].into_iter().flatten().min()
    }
}

/// `send()` throws.
fn refuse(message: &Message, error: ErrorCode, ctx: &mut Context<'_>) {
    let record = message.record.id;
    // Given up after retries: whether it was written depends on what the attempts met.
    let definite = if error == ErrorCode::CLIENT_FAILED_TO_SEND { !message.maybe_written } else { error.is_definite() };
    ctx.fact(Fact::RecordFailed { record, partition: message.partition.clone(), error, definite });
    ctx.complete(Completion::SendReturned { record, result: Err(error) });
}

/// At acks=0 nobody knows where a message went.
const NOWHERE: Offset = Offset::NONE;

#[cfg(test)]
#[path = "legacy_tests.rs"]
mod tests;

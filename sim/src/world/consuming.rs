//! The process of a consuming program: its consumer, the producer by which it hands on what it cannot process, and its connection
//! to a store outside Kafka.
//!
//! All are clients of their own, with their own connections, in one process: they live and die together.

use std::sync::Arc;

use ackproof_core::client::{Call, Consumer, Producer, ShareConsumer};
use ackproof_core::config::{ConsumerConfig, GroupProtocol};
use ackproof_core::store::StoreClient;
use ackproof_core::types::{ConnectionId, Instant, NodeId, earliest};
use ackproof_core::{Context, Input, Machine};

use crate::workload::ConsumerWorkload;

/// The two kinds of consumer.
#[derive(Clone, Debug)]
pub enum AnyConsumer {
    /// It reads partitions.
    Plain(Box<Consumer>),
    /// It gets records, as a member of a share group.
    Share(Box<ShareConsumer>),
}

impl Machine for AnyConsumer {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        match self {
            AnyConsumer::Plain(consumer) => consumer.handle(input, ctx),
            AnyConsumer::Share(consumer) => consumer.handle(input, ctx),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match self {
            AnyConsumer::Plain(consumer) => consumer.next_deadline(),
            AnyConsumer::Share(consumer) => consumer.next_deadline(),
        }
    }
}

/// A process that consumes.
#[derive(Clone, Debug)]
pub struct ConsumingProcess {
    /// Its consumer.
    pub consumer: AnyConsumer,
    /// Its producer, where it has one.
    pub producer: Option<Producer>,
    /// Its store, where it has one.
    pub store: Option<StoreClient>,
}

/// Which of the clients of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Consumer,
    Producer,
    Store,
}

impl ConsumingProcess {
    /// A process with a consumer alone, of which `client` is the number.
    pub fn new(config: Arc<ConsumerConfig>, bootstrap: &[NodeId], client: u32) -> Self {
        let consumer = match config.group_protocol {
            GroupProtocol::Classic | GroupProtocol::Consumer => {
                AnyConsumer::Plain(Box::new(Consumer::new(config, bootstrap.to_vec(), client)))
            }
            GroupProtocol::Share => AnyConsumer::Share(Box::new(ShareConsumer::new(config, bootstrap.to_vec()))),
        };
        Self { consumer, producer: None, store: None }
    }

    /// With what a program has beside its consumer.
    #[must_use]
    pub fn with(mut self, workload: &ConsumerWorkload, bootstrap: &[NodeId], client: u32) -> Self {
        self.producer = workload.producer().map(|config| Producer::new(config.clone(), bootstrap.to_vec(), client));
        self.store = workload.store.as_ref().map(|using| StoreClient::new(using.node));
        self
    }

    /// Whose a connection is.
    fn owner(&self, connection: ConnectionId) -> Client {
        if self.producer.as_ref().is_some_and(|producer| producer.owns(connection)) {
            Client::Producer
        } else if self.store.as_ref().is_some_and(|store| store.owns(connection)) {
            Client::Store
        } else {
            Client::Consumer
        }
    }

    fn deadline(&mut self, ctx: &mut Context<'_>) {
        let is_due = |at: Option<Instant>, ctx: &Context<'_>| at.is_some_and(|at| at <= ctx.now());
        if let Some(producer) = &mut self.producer
            && is_due(producer.next_deadline(), ctx)
        {
            producer.handle(Input::Deadline, ctx);
        }
        if let Some(store) = &mut self.store
            && is_due(store.next_deadline(), ctx)
        {
            store.on_deadline(ctx);
        }
        if is_due(self.consumer.next_deadline(), ctx) {
            self.consumer.handle(Input::Deadline, ctx);
        }
    }

    fn hand(&mut self, client: Client, input: Input, ctx: &mut Context<'_>) {
        match (client, &mut self.producer, &mut self.store) {
            (Client::Producer, Some(producer), _) => producer.handle(input, ctx),
            (Client::Store, _, Some(store)) => match input {
                Input::Connected(connection) => store.on_connected(connection, ctx),
                Input::Disconnected(connection) => store.on_disconnected(connection, ctx),
                Input::Response { connection, correlation_id, response } => {
                    store.on_response((connection, correlation_id), response, ctx);
                }
                Input::Call(Call::Store(request)) => store.ask(request, ctx),
                _ => {}
            },
            _ => self.consumer.handle(input, ctx),
        }
    }
}

impl Machine for ConsumingProcess {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        let client = match &input {
            Input::Connected(connection) | Input::Disconnected(connection) => self.owner(*connection),
            Input::Response { connection, .. } => self.owner(*connection),
            Input::Call(Call::Send(_) | Call::Flush) => Client::Producer,
            Input::Call(Call::Store(_)) => Client::Store,
            Input::Deadline => return self.deadline(ctx),
            Input::Start => {
                if let Some(producer) = &mut self.producer {
                    producer.handle(Input::Start, ctx);
                }
                Client::Consumer
            }
            Input::Call(_) | Input::Stop | Input::Request { .. } | Input::MetadataLag(_) => Client::Consumer,
        };
        self.hand(client, input, ctx);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let producer = self.producer.as_ref().and_then(Machine::next_deadline);
        let store = self.store.as_ref().and_then(StoreClient::next_deadline);
        earliest([producer, store, self.consumer.next_deadline()])
    }
}

//! The process of a consuming program: its consumer, and the producer by which it hands on what it cannot process.
//!
//! Both are clients of their own, with their own connections, in one process: they live and die together.

use std::sync::Arc;

use ackproof_core::client::{Call, Consumer, Producer};
use ackproof_core::config::{ConsumerConfig, ProducerConfig};
use ackproof_core::types::{ConnectionId, Instant, NodeId, earliest};
use ackproof_core::{Context, Input, Machine};

/// A process that consumes.
#[derive(Clone, Debug)]
pub struct ConsumingProcess {
    /// Its consumer.
    pub consumer: Consumer,
    /// Its producer, where it has one.
    pub producer: Option<Producer>,
}

impl ConsumingProcess {
    /// A process with these clients, of which `client` is the number.
    pub fn new(
        consumer: Arc<ConsumerConfig>,
        producer: Option<Arc<ProducerConfig>>,
        bootstrap: &[NodeId],
        client: u32,
    ) -> Self {
        Self {
            consumer: Consumer::new(consumer, bootstrap.to_vec(), client),
            producer: producer.map(|config| Producer::new(config, bootstrap.to_vec(), client)),
        }
    }
}

/// Whom an input is for.
fn is_for(producer: &Producer, input: &Input) -> bool {
    let owns = |connection: &ConnectionId| producer.owns(*connection);
    match input {
        Input::Connected(connection) | Input::Disconnected(connection) => owns(connection),
        Input::Response { connection, .. } | Input::Request { connection, .. } => owns(connection),
        Input::Call(Call::Send(_) | Call::Flush) => true,
        Input::Call(_) | Input::Start | Input::Stop | Input::Deadline => false,
    }
}

impl Machine for ConsumingProcess {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let is_due = |machine: &dyn Machine| machine.next_deadline().is_some_and(|at| at <= now);
        let Some(producer) = &mut self.producer else { return self.consumer.handle(input, ctx) };
        if is_for(producer, &input) {
            return producer.handle(input, ctx);
        }
        match input {
            Input::Start => producer.handle(Input::Start, ctx),
            Input::Deadline if is_due(producer) => {
                producer.handle(Input::Deadline, ctx);
                if !is_due(&self.consumer) {
                    return;
                }
            }
            _ => {}
        }
        self.consumer.handle(input, ctx);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let producer = self.producer.as_ref().and_then(Machine::next_deadline);
        earliest([producer, self.consumer.next_deadline()])
    }
}

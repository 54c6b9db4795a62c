//! A program that reads: `assign()`, then `poll()` in a loop.

use std::collections::VecDeque;
use std::sync::Arc;

use ackproof_core::client::{Call, Completion};
use ackproof_core::types::{Duration, Instant, TopicPartition};

/// What a consuming program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerWorkload {
    /// What it reads.
    pub partitions: Vec<TopicPartition>,
    /// The timeout of each `poll()`.
    pub poll_timeout: Duration,
    /// The time it takes to process what a `poll()` brought.
    pub processing: Duration,
}

/// The program at work.
#[derive(Clone, Debug)]
pub struct ConsumerApp {
    workload: Arc<ConsumerWorkload>,
    next_poll: Option<Instant>,
    queued: VecDeque<Call>,
    failed: bool,
}

impl ConsumerApp {
    /// A process that starts at `now`.
    pub fn new(workload: Arc<ConsumerWorkload>, now: Instant) -> Self {
        let queued = VecDeque::from([Call::Assign(workload.partitions.clone())]);
        Self { workload, next_poll: Some(now), queued, failed: false }
    }

    /// Whether `poll()` threw: the loop has ended.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// When it wants to go on.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next_poll
    }

    /// What it calls next at `now`, if anything. To be asked until there is nothing.
    pub fn next_call(&mut self, now: Instant) -> Option<Call> {
        if let Some(call) = self.queued.pop_front() {
            return Some(call);
        }
        if self.next_poll.is_some_and(|at| at <= now) {
            self.next_poll = None;
            return Some(Call::Poll { timeout: self.workload.poll_timeout });
        }
        None
    }

    /// Hears from its client.
    pub fn completed(&mut self, completion: Completion, now: Instant) {
        match completion {
            Completion::Polled(Ok(records)) => {
                let pause = if records.is_empty() { Duration::ZERO } else { self.workload.processing };
                self.next_poll = Some(now + pause);
            }
            Completion::Polled(Err(_)) => self.failed = true,
            Completion::SendReturned { .. }
            | Completion::Delivered { .. }
            | Completion::Flushed
            | Completion::Closed
            | Completion::TopicsCreated(_)
            | Completion::LeadersElected(_)
            | Completion::AdminDone(_) => {}
        }
    }
}

//! A program that sends records: one after the other, as fast as it is told to.
//!
//! Like the usual loop: `send(record, callback)`, then sleep. While `send()` blocks, the loop stands still.

use std::collections::VecDeque;
use std::sync::Arc;

use ackproof_core::client::{Call, Completion, ProducerRecord};
use ackproof_core::types::{Duration, Instant, RecordId, TopicName};

use super::Template;

/// What the application does when the callback of a record brings an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It goes on.
    Ignore,
    /// It sends the record again.
    Resend,
    /// It sends no more.
    Stop,
}

/// What it does after its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// `close()`: waits for everything that is pending, at most so long.
    Close(Duration),
    /// `flush()`, and stays.
    Flush,
    /// It returns from `main` so long after the last `send()`; what is pending dies with the process.
    Exit(Duration),
}

/// What a producing program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerWorkload {
    /// The topic.
    pub topic: TopicName,
    /// The partition; the partitioner chooses where there is none.
    pub partition: Option<i32>,
    /// How many records.
    pub records: u64,
    /// When the first one is sent, counted from the start of the process.
    pub first_after: Duration,
    /// The pause after each `send()`.
    pub every: Duration,
    /// So many records are sent before each pause.
    pub burst: u64,
    /// The keys.
    pub key: Option<Template>,
    /// The values.
    pub value: Template,
    /// Values are null instead.
    pub tombstones: bool,
    /// What an error leads to.
    pub on_error: OnError,
    /// How it ends.
    pub at_end: AtEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sending,
    /// `send()` has not come back.
    Blocked,
    /// All sent; callbacks are outstanding, and each may bring a resend.
    Awaiting,
    /// `flush()` or `close()` has been called.
    Ending,
    /// It will return from `main`.
    Leaving(Instant),
    Done,
    Exited,
}

/// The program at work.
#[derive(Clone, Debug)]
pub struct ProducerApp {
    workload: Arc<ProducerWorkload>,
    client: u32,
    state: State,
    /// How many of the workload's records have been handed to `send()`.
    sent: u64,
    /// How many calls of `send()` there were: the number of the next [`RecordId`].
    calls: u64,
    in_burst: u64,
    outstanding: u64,
    next_send: Instant,
    resends: VecDeque<(RecordId, u64)>,
    /// Which record of the workload each outstanding call carried, for resends only.
    carried: std::collections::BTreeMap<RecordId, u64>,
    queued: VecDeque<Call>,
}

impl ProducerApp {
    /// A process that starts at `now`, sending the workload from record `sent` on; its calls are numbered from `calls`.
    pub fn new(workload: Arc<ProducerWorkload>, client: u32, now: Instant, sent: u64, calls: u64) -> Self {
        Self {
            next_send: now + workload.first_after,
            workload,
            client,
            state: State::Sending,
            sent,
            calls,
            in_burst: 0,
            outstanding: 0,
            resends: VecDeque::new(),
            carried: std::collections::BTreeMap::new(),
            queued: VecDeque::new(),
        }
    }

    /// How many records and calls there have been, for the next life of the process.
    pub fn progress(&self) -> (u64, u64) {
        (self.sent, self.calls)
    }

    /// Whether it has nothing more to do.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done | State::Exited)
    }

    /// Whether the process should end now.
    pub fn wants_exit(&self) -> bool {
        self.state == State::Exited
    }

    /// When it wants to go on.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Sending => Some(self.next_send),
            State::Leaving(at) => Some(at),
            State::Blocked | State::Awaiting | State::Ending | State::Done | State::Exited => None,
        }
    }

    /// What it calls next at `now`, if anything. To be asked until there is nothing.
    pub fn next_call(&mut self, now: Instant) -> Option<Call> {
        if let Some(call) = self.queued.pop_front() {
            return Some(call);
        }
        match self.state {
            State::Sending if now >= self.next_send => self.send().or_else(|| {
                self.maybe_end(now);
                self.queued.pop_front()
            }),
            State::Leaving(at) if now >= at => {
                self.state = State::Exited;
                None
            }
            State::Sending
            | State::Blocked
            | State::Awaiting
            | State::Ending
            | State::Leaving(_)
            | State::Done
            | State::Exited => None,
        }
    }

    fn send(&mut self) -> Option<Call> {
        let (resend_of, number) = match self.resends.pop_front() {
            Some((original, number)) => (Some(original), number),
            None if self.sent < self.workload.records => {
                self.sent += 1;
                (None, self.sent - 1)
            }
            None => return None,
        };
        let id = RecordId { client: self.client, number: self.calls };
        self.calls += 1;
        self.outstanding += 1;
        self.state = State::Blocked;
        if self.workload.on_error == OnError::Resend {
            self.carried.insert(id, number);
        }
        Some(Call::Send(Box::new(ProducerRecord {
            id,
            resend_of,
            topic: self.workload.topic.clone(),
            partition: self.workload.partition,
            key: self.workload.key.as_ref().map(|key| key.render(number)),
            value: (!self.workload.tombstones).then(|| self.workload.value.render(number)),
            timestamp: None,
            headers: Vec::new(),
        })))
    }

    /// Hears from its client.
    pub fn completed(&mut self, completion: Completion, now: Instant) {
        match completion {
            Completion::SendReturned { record, result } => {
                if result.is_err() {
                    self.failed(record);
                }
                self.after_send(now);
            }
            Completion::Delivered { record, result } => match result {
                Ok(_) => {
                    self.outstanding = self.outstanding.saturating_sub(1);
                    self.carried.remove(&record);
                    self.maybe_end(now);
                }
                Err(_) => {
                    self.failed(record);
                    self.maybe_end(now);
                }
            },
            Completion::Flushed => self.state = State::Done,
            Completion::Closed => self.state = State::Exited,
            Completion::Polled(_)
            | Completion::Committed { .. }
            | Completion::StoreAnswered(_)
            | Completion::PartitionsRevoked(_)
            | Completion::PartitionsLost(_)
            | Completion::PartitionsAssigned(_)
            | Completion::TopicsCreated(_)
            | Completion::LeadersElected(_)
            | Completion::AdminDone(_) => {}
        }
    }

    fn failed(&mut self, record: RecordId) {
        self.outstanding = self.outstanding.saturating_sub(1);
        match self.workload.on_error {
            OnError::Ignore => {}
            OnError::Stop => self.sent = self.workload.records,
            OnError::Resend => {
                if let Some(number) = self.carried.remove(&record) {
                    self.resends.push_back((record, number));
                }
            }
        }
    }

    fn after_send(&mut self, now: Instant) {
        if self.state != State::Blocked {
            return;
        }
        self.in_burst += 1;
        if self.in_burst >= self.workload.burst.max(1) {
            self.in_burst = 0;
            self.next_send = now + self.workload.every;
        }
        self.state = State::Sending;
        self.maybe_end(now);
    }

    fn maybe_end(&mut self, now: Instant) {
        if !matches!(self.state, State::Sending | State::Awaiting) || self.sent < self.workload.records {
            return;
        }
        if !self.resends.is_empty() {
            self.state = State::Sending;
            self.next_send = self.next_send.max(now);
            return;
        }
        self.state = match self.workload.at_end {
            AtEnd::Exit(after) => State::Leaving(now + after),
            AtEnd::Close(_) | AtEnd::Flush if self.outstanding > 0 && self.workload.on_error == OnError::Resend => {
                State::Awaiting
            }
            AtEnd::Close(timeout) => {
                self.queued.push_back(Call::Close { timeout });
                State::Ending
            }
            AtEnd::Flush => {
                self.queued.push_back(Call::Flush);
                State::Ending
            }
        };
    }
}

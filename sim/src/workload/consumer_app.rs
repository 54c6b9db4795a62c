//! A program that reads: `assign()` or `subscribe()`, then `poll()` in a loop, and does something with every record.
//!
//! ```text
//!            ┌──────────────────────────────────────────────────────────────────────┐
//!            ▼                                                                      │
//!  poll() ──▶ records ──▶ [commit] ──▶ process one ──▶ [commit] ──▶ ... ──▶ [commit] ┘
//!                          before        each           each record         after
//!                          processing    takes time
//! ```
//!
//! With workers the loop goes on at once, and the records are processed beside it.

use std::collections::VecDeque;
use std::sync::Arc;

use ackproof_core::client::{Call, Completion, ConsumerRecord};
use ackproof_core::types::{Duration, Instant, Offset, TopicName, TopicPartition};

/// Where a program gets its partitions from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It names them.
    Assign(Vec<TopicPartition>),
    /// Its group does.
    Subscribe(Vec<TopicName>),
}

/// When a program commits, beside what `enable.auto.commit` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitPolicy {
    /// It does not.
    Never,
    /// All that `poll()` returned, before the first record is processed.
    BeforeProcessing,
    /// All that `poll()` returned, after the last record was processed.
    AfterProcessing,
    /// Each record, after it was processed.
    AfterEach,
}

/// Where the effects of a program go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Every time a record is processed there is one effect more.
    Append,
    /// An effect is written under a key of its record: a second time changes nothing.
    Upsert,
}

/// What a consuming program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerWorkload {
    /// What it reads.
    pub source: Source,
    /// The timeout of each `poll()`.
    pub poll_timeout: Duration,
    /// The time it takes to process what a `poll()` brought, before the first record.
    pub processing: Duration,
    /// The time it takes to process each record.
    pub processing_each: Duration,
    /// Whether records are handed to a worker, and the loop goes on.
    pub hand_over: bool,
    /// Where the effects go.
    pub sink: Sink,
    /// When it commits.
    pub commit: CommitPolicy,
    /// `commitSync()`, or `commitAsync()` without a look at the result.
    pub commit_sync: bool,
}

impl ConsumerWorkload {
    /// A program that polls a source and does nothing with what it gets.
    pub fn reading(source: Source, poll_timeout: Duration) -> ConsumerWorkload {
        ConsumerWorkload {
            source,
            poll_timeout,
            processing: Duration::ZERO,
            processing_each: Duration::ZERO,
            hand_over: false,
            sink: Sink::Append,
            commit: CommitPolicy::Never,
            commit_sync: true,
        }
    }
}

/// What the loop is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It will poll at this time.
    Resting(Instant),
    /// It is inside `poll()`.
    Polling,
    /// It waits for `commitSync()`; then it goes on with what there is to process.
    Committing(u64),
    /// It processes.
    Processing,
    /// `poll()` threw: the loop has ended.
    Failed,
}

/// The program at work.
#[derive(Clone, Debug)]
pub struct ConsumerApp {
    workload: Arc<ConsumerWorkload>,
    doing: Doing,
    queued: VecDeque<Call>,
    /// Records to be processed, and when the next one will have been.
    records: VecDeque<(TopicPartition, Offset)>,
    next_done: Instant,
    /// What is committed when the last of them is done.
    commit_after: bool,
    commits: u64,
}

impl ConsumerApp {
    /// A process that starts at `now`.
    pub fn new(workload: Arc<ConsumerWorkload>, now: Instant) -> Self {
        let first = match &workload.source {
            Source::Assign(partitions) => Call::Assign(partitions.clone()),
            Source::Subscribe(topics) => Call::Subscribe(topics.clone()),
        };
        Self {
            workload,
            doing: Doing::Resting(now),
            queued: VecDeque::from([first]),
            records: VecDeque::new(),
            next_done: now,
            commit_after: false,
            commits: 0,
        }
    }

    /// Whether `poll()` threw: the loop has ended.
    pub fn has_failed(&self) -> bool {
        self.doing == Doing::Failed
    }

    /// Whether it has records in hand.
    pub fn is_processing(&self) -> bool {
        !self.records.is_empty() || matches!(self.doing, Doing::Committing(_))
    }

    /// When it wants to go on.
    pub fn next_deadline(&self) -> Option<Instant> {
        let poll = match self.doing {
            Doing::Resting(at) => Some(at),
            Doing::Polling | Doing::Committing(_) | Doing::Processing | Doing::Failed => None,
        };
        let processes = self.doing == Doing::Processing || self.workload.hand_over;
        let done = (processes && !self.records.is_empty()).then_some(self.next_done);
        poll.into_iter().chain(done).min()
    }

    /// What it calls next at `now`, if anything. To be asked until there is nothing.
    pub fn next_call(&mut self, now: Instant) -> Option<Call> {
        if let Some(call) = self.queued.pop_front() {
            return Some(call);
        }
        let processes = self.doing == Doing::Processing || self.workload.hand_over;
        if processes
            && self.next_done <= now
            && let Some((partition, offset)) = self.records.pop_front()
        {
            self.processed(&partition, offset, now);
            return Some(Call::Processed(partition, offset));
        }
        if self.doing == Doing::Processing && self.records.is_empty() {
            self.finish(now);
            return self.next_call(now);
        }
        if matches!(self.doing, Doing::Resting(at) if at <= now) {
            self.doing = Doing::Polling;
            return Some(Call::Poll { timeout: self.workload.poll_timeout });
        }
        None
    }

    /// A record's effect is there.
    fn processed(&mut self, partition: &TopicPartition, offset: Offset, now: Instant) {
        self.next_done = now + self.workload.processing_each;
        if self.workload.commit == CommitPolicy::AfterEach {
            self.commit(Some(vec![(partition.clone(), offset.next())]));
        }
    }

    /// Everything that `poll()` brought has been processed.
    fn finish(&mut self, now: Instant) {
        self.doing = Doing::Resting(now);
        if std::mem::take(&mut self.commit_after) {
            self.commit(None);
        }
    }

    fn commit(&mut self, offsets: Option<Vec<(TopicPartition, Offset)>>) {
        let (call, sync) = (self.commits, self.workload.commit_sync);
        self.commits += 1;
        self.queued.push_back(Call::Commit { call, offsets, sync });
        if sync {
            self.doing = Doing::Committing(call);
        }
    }

    fn polled(&mut self, records: Vec<ConsumerRecord>, now: Instant) {
        if records.is_empty() {
            self.doing = Doing::Resting(now);
            return;
        }
        if self.records.is_empty() {
            self.next_done = now + self.workload.processing + self.workload.processing_each;
        }
        self.records.extend(records.into_iter().map(|record| (record.partition, record.offset)));
        self.doing = if self.workload.hand_over { Doing::Resting(now) } else { Doing::Processing };
        match self.workload.commit {
            CommitPolicy::BeforeProcessing => self.commit(None),
            CommitPolicy::AfterProcessing if self.workload.hand_over => self.commit(None),
            CommitPolicy::AfterProcessing => self.commit_after = true,
            CommitPolicy::AfterEach | CommitPolicy::Never => {}
        }
    }

    /// Hears from its client.
    pub fn completed(&mut self, completion: Completion, now: Instant) {
        match completion {
            Completion::Polled(Ok(records)) => self.polled(records, now),
            Completion::Polled(Err(_)) => self.doing = Doing::Failed,
            Completion::Committed { call, .. } if self.doing == Doing::Committing(call) => self.resume(now),
            Completion::PartitionsRevoked(_) | Completion::PartitionsLost(_) | Completion::PartitionsAssigned(_) => {
                self.queued.push_back(Call::ReturnFromCallback);
            }
            Completion::Committed { .. }
            | Completion::SendReturned { .. }
            | Completion::Delivered { .. }
            | Completion::Flushed
            | Completion::Closed
            | Completion::TopicsCreated(_)
            | Completion::LeadersElected(_)
            | Completion::AdminDone(_) => {}
        }
    }

    /// `commitSync()` came back, with or without success.
    fn resume(&mut self, now: Instant) {
        let has_more = !self.records.is_empty() && !self.workload.hand_over;
        self.next_done = self.next_done.max(now);
        self.doing = if has_more { Doing::Processing } else { Doing::Resting(now) };
    }
}

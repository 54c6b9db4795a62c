//! A program that reads: `assign()` or `subscribe()`, then `poll()` in a loop, and does something with every record.
//!
//! ```text
//!            ┌──────────────────────────────────────────────────────────────────────┐
//!            ▼                                                                      │
//!  poll() ──▶ records ──▶ [commit] ──▶ process one ──▶ [commit] ──▶ ... ──▶ [commit] ┘
//!                          before      │ each           each record         after
//!                          processing  │ takes time
//!                                      └─▶ it throws ──▶ again, after a pause ──▶ skip it, hand it on, or end
//! ```
//!
//! With workers the loop goes on at once, and the records are processed beside it. A loop that pauses its partitions gets nothing
//! meanwhile; when the worker is done, it commits and resumes them. What a worker wants committed the loop commits: a consumer is one
//! thread's, and one `commitSync()` comes after another.
//!
//! A program that is told to stop may catch that: `wakeup()` ends the loop, and `close()` is the last that it calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ackproof_core::client::{Call, Completion, ConsumerRecord, ProducerRecord, Work};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::share::AcknowledgeType;
use ackproof_core::store::StoreResponse;
use ackproof_core::types::{Duration, Instant, Offset, RecordId, TopicName, TopicPartition};

use super::consumer_commits::Commits;
use super::consumer_store::{Next, StoreSide};
use super::consumer_workload::{CommitMode, CommitPolicy, ConsumerWorkload, HandOn, OnFailure, OnStop, Source, Then};

/// No program tries again without letting time pass.
const BACKOFF_LEAST: Duration = Duration::from_millis(1);

/// What the loop is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It will poll at this time.
    Resting(Instant),
    /// It is inside `poll()`.
    Polling,
    /// It waits for its store before it begins, or after a write: then it goes on with what there is to process.
    Storing,
    /// It waits for `commitSync()`; then it goes on with what there is to process.
    Committing(u64),
    /// It processes.
    Processing,
    /// `poll()` threw: the loop has ended.
    Failed,
    /// Processing threw, and nothing caught it: the process ends.
    Crashed,
    /// The loop has ended, and it waits for `close()`.
    Closing,
    /// The process ends.
    Exited,
}

/// The program at work.
#[derive(Clone, Debug)]
pub struct ConsumerApp {
    workload: Arc<ConsumerWorkload>,
    client: u32,
    doing: Doing,
    queued: VecDeque<Call>,
    /// Records to be processed, and when the next one will have been.
    records: VecDeque<ConsumerRecord>,
    next_done: Instant,
    /// How often the first of them could not be processed.
    attempts: u32,
    /// The same of records that were given back, until then.
    given_back: BTreeMap<(TopicPartition, Offset), u32>,
    /// Under which number it was sent to another topic, where the answer is outstanding.
    handed_on: Option<RecordId>,
    /// Under which number it was sent first, where that failed.
    sent_first: Option<RecordId>,
    /// How many calls of `send()` there were, in all lives.
    sends: u64,
    /// Whether what it works with is away: nothing can be processed.
    is_cut_off: bool,
    /// What is committed when the last of them is done.
    commit_after: bool,
    commits: Commits,
    /// What the worker wants committed while the loop is inside another call: a consumer is one thread's.
    waiting_commits: VecDeque<Option<Vec<(TopicPartition, Offset)>>>,
    store: Option<StoreSide>,
    /// What it calls when it has read its rows for the first time.
    begins_with: Option<Call>,
    /// Whether it reads its rows in the rebalance callback.
    in_callback: bool,
    /// What it reads, as far as it has been told.
    assignment: BTreeSet<TopicPartition>,
    /// Whether it has paused what it reads.
    is_paused: bool,
    /// Whether it has been told to stop.
    is_stopping: bool,
}

impl ConsumerApp {
    /// A process that starts at `now`; its calls of `send()` are numbered from `sends`.
    pub fn new(workload: Arc<ConsumerWorkload>, client: u32, now: Instant, sends: u64) -> Self {
        let first = match &workload.source {
            Source::Assign(partitions) => Call::Assign(partitions.clone()),
            Source::Subscribe(topics) => Call::Subscribe(topics.clone()),
            Source::Pattern(pattern) => Call::SubscribePattern(pattern.clone()),
        };
        let assignment = match &workload.source {
            Source::Assign(partitions) => partitions.iter().cloned().collect(),
            Source::Subscribe(_) | Source::Pattern(_) => BTreeSet::new(),
        };
        let mut store = workload.store.clone().map(StoreSide::new);
        let mut doing = Doing::Resting(now);
        let mut begins_with = Some(first);
        match (&mut store, &workload.source) {
            (Some(store), Source::Assign(partitions)) => {
                store.read(partitions.clone(), now);
                doing = Doing::Storing;
            }
            (Some(_), Source::Subscribe(_) | Source::Pattern(_)) | (None, _) => {}
        }
        let queued = begins_with.take_if(|_| doing != Doing::Storing).into_iter().collect();
        Self {
            commits: Commits::new(workload.commit_mode),
            workload,
            client,
            doing,
            queued,
            records: VecDeque::new(),
            next_done: now,
            attempts: 0,
            given_back: BTreeMap::new(),
            handed_on: None,
            sent_first: None,
            sends,
            is_cut_off: false,
            commit_after: false,
            waiting_commits: VecDeque::new(),
            store,
            begins_with,
            in_callback: false,
            assignment,
            is_paused: false,
            is_stopping: false,
        }
    }

    /// Whether processing threw, and the process should end; and the record that it could not process.
    pub fn crashed_at(&self) -> Option<(&TopicPartition, Offset)> {
        let record = self.records.front().filter(|_| self.doing == Doing::Crashed)?;
        Some((&record.partition, record.offset))
    }

    /// Whether its process should end.
    pub fn wants_exit(&self) -> bool {
        matches!(self.doing, Doing::Crashed | Doing::Exited)
    }

    /// SIGTERM. False if nothing catches it.
    pub fn stop(&mut self) -> bool {
        let catches = match self.workload.on_stop {
            OnStop::Exit => false,
            OnStop::Wakeup(_) | OnStop::Break(_) => !matches!(self.doing, Doing::Failed | Doing::Crashed),
        };
        if catches && !self.is_stopping {
            self.is_stopping = true;
            self.queued.push_back(Call::Wakeup);
        }
        catches
    }

    /// The loop has ended: `close()`, and whatever is still in hand stays undone.
    fn close(&mut self) {
        let (OnStop::Wakeup(timeout) | OnStop::Break(timeout)) = self.workload.on_stop else { return };
        self.records.clear();
        self.waiting_commits.clear();
        self.commit_after = false;
        self.doing = Doing::Closing;
        self.queued.push_back(Call::Close { timeout });
    }

    /// The record that it tries again and again.
    pub fn struggles_with(&self) -> Option<(&TopicPartition, Offset)> {
        let record = self.records.front().filter(|_| self.attempts > 0)?;
        Some((&record.partition, record.offset))
    }

    /// How long after its end somebody starts it again.
    pub fn restarts_after(&self) -> Option<Duration> {
        match self.workload.on_failure.then {
            Then::Crash(after) => after.filter(|_| self.doing == Doing::Crashed),
            Then::Skip | Then::Block | Then::HandOn(_) | Then::Release | Then::Reject => None,
        }
    }

    /// How many calls of `send()` there were, for the next life of the process.
    pub fn progress(&self) -> (u64, u64) {
        (0, self.sends)
    }

    /// What the program works with goes away, or comes back.
    pub fn cut_off(&mut self, is_cut_off: bool) {
        self.is_cut_off = is_cut_off;
    }

    /// Whether it has something in hand.
    pub fn is_processing(&self) -> bool {
        !self.wants_exit()
            && (!self.records.is_empty()
                || !self.waiting_commits.is_empty()
                || matches!(self.doing, Doing::Committing(_) | Doing::Storing | Doing::Closing)
                || self.store.as_ref().is_some_and(StoreSide::is_waiting)
                || self.commits.next_deadline().is_some())
    }

    fn may_work(&self) -> bool {
        let has_turn = match self.doing {
            Doing::Processing => true,
            Doing::Resting(_) | Doing::Polling | Doing::Committing(_) | Doing::Storing | Doing::Failed => {
                self.workload.hand_over
            }
            Doing::Crashed | Doing::Closing | Doing::Exited => false,
        };
        has_turn && self.handed_on.is_none() && !self.records.is_empty()
    }

    /// When it wants to go on.
    pub fn next_deadline(&self) -> Option<Instant> {
        if !self.queued.is_empty() {
            return Some(Instant::START);
        }
        let poll = match self.doing {
            Doing::Resting(at) => Some(at),
            Doing::Polling
            | Doing::Committing(_)
            | Doing::Storing
            | Doing::Processing
            | Doing::Failed
            | Doing::Crashed
            | Doing::Closing
            | Doing::Exited => None,
        };
        if self.wants_exit() || self.doing == Doing::Closing {
            return None;
        }
        let asks = self.store.as_ref().and_then(StoreSide::next_deadline);
        let done = self.may_work().then_some(self.next_done);
        poll.into_iter().chain(done).chain(asks).chain(self.commits.next_deadline()).min()
    }

    /// What it calls next at `now`, if anything. To be asked until there is nothing.
    pub fn next_call(&mut self, now: Instant) -> Option<Call> {
        if let Some(call) = self.queued.pop_front() {
            return Some(call);
        }
        if self.wants_exit() || self.doing == Doing::Closing {
            return None;
        }
        if let Some(call) = self.store.as_mut().and_then(|store| store.call(now)) {
            return Some(call);
        }
        if let Some(call) = self.commits.repeat(now) {
            return Some(call);
        }
        if self.may_work() && self.next_done <= now {
            return self.work(now);
        }
        if self.doing == Doing::Processing && self.records.is_empty() {
            self.finish(now);
            return self.next_call(now);
        }
        if matches!(self.doing, Doing::Resting(at) if at <= now) {
            if self.is_paused && self.records.is_empty() && self.handed_on.is_none() {
                self.go_on(now);
                return self.next_call(now);
            }
            self.doing = Doing::Polling;
            return Some(Call::Poll { timeout: self.workload.poll_timeout });
        }
        None
    }

    /// The worker is done with everything: the loop commits, and its partitions go on.
    fn go_on(&mut self, now: Instant) {
        self.is_paused = false;
        self.queued.push_back(Call::Resume(self.assignment.iter().cloned().collect()));
        self.finish(now);
    }

    /// The next record is processed, or it cannot be.
    fn work(&mut self, now: Instant) -> Option<Call> {
        let record = self.records.front()?;
        let poison = self.workload.poison.as_ref();
        if self.is_cut_off || poison.is_some_and(|poison| poison.spoils(record, self.failed(record))) {
            return Some(self.could_not(now));
        }
        let (partition, offset) = (record.partition.clone(), record.offset);
        let is_stored = self.store.as_mut().is_some_and(|store| store.takes(&partition, offset));
        self.next_record(AcknowledgeType::Accept, now)?;
        // A result that is stored with the row is there when the store has written it.
        if is_stored { self.next_call(now) } else { Some(Call::Worked(partition, offset, Work::Done)) }
    }

    /// How often a record could not be processed.
    fn failed(&self, record: &ConsumerRecord) -> u32 {
        self.attempts + self.given_back.get(&(record.partition.clone(), record.offset)).copied().unwrap_or(0)
    }

    /// The first record is done with: its effect is there, or somebody else has it, or nobody.
    fn next_record(&mut self, said: AcknowledgeType, now: Instant) -> Option<(TopicPartition, Offset)> {
        let ConsumerRecord { partition, offset, .. } = self.records.pop_front()?;
        self.attempts = 0;
        self.sent_first = None;
        self.next_done = now + self.workload.processing_each;
        if self.is_stopping && matches!(self.workload.on_stop, OnStop::Break(_)) {
            // Nothing more of it: the loop ends with the next call that throws.
            self.records.clear();
            self.commit_after = false;
        }
        if self.workload.acknowledges {
            self.queued.push_back(Call::Acknowledge(partition.clone(), offset, said));
        }
        if self.workload.commit == CommitPolicy::AfterEach {
            self.commit(Some(vec![(partition.clone(), offset.next())]), now);
        }
        Some((partition, offset))
    }

    fn could_not(&mut self, now: Instant) -> Call {
        self.attempts += 1;
        let record = &self.records[0];
        let failed = self.failed(record);
        let call = Call::Worked(record.partition.clone(), record.offset, Work::Failed(failed));
        let workload = self.workload.clone();
        let OnFailure { retries, backoff, then } = &workload.on_failure;
        self.next_done = now + (*backoff).max(BACKOFF_LEAST);
        if self.attempts <= *retries {
            return call;
        }
        match then {
            Then::Block => {}
            Then::Crash(_) => self.doing = Doing::Crashed,
            Then::Skip => self.give_up(None, now),
            Then::Release => {
                if let Some(place) = self.next_record(AcknowledgeType::Release, now) {
                    self.given_back.insert(place, failed);
                }
            }
            Then::Reject => {
                self.next_record(AcknowledgeType::Reject, now);
            }
            Then::HandOn(to) => {
                let record = self.send(to);
                self.handed_on = Some(record).filter(|_| to.waits);
                if !to.waits {
                    self.give_up(Some(to.topic.clone()), now);
                }
            }
        }
        call
    }

    /// It goes on without the first record.
    fn give_up(&mut self, to: Option<TopicName>, now: Instant) {
        let place = self.queued.len();
        let Some((partition, offset)) = self.next_record(AcknowledgeType::Accept, now) else { return };
        self.queued.insert(place, Call::Worked(partition, offset, Work::GivenUp(to)));
    }

    fn send(&mut self, to: &HandOn) -> RecordId {
        let record = &self.records[0];
        let id = RecordId { client: self.client, number: self.sends };
        self.sends += 1;
        self.queued.push_back(Call::Send(Box::new(ProducerRecord {
            id,
            resend_of: self.sent_first,
            topic: to.topic.clone(),
            partition: None,
            key: record.key.clone(),
            value: record.value.clone(),
            timestamp: None,
            headers: record.headers.clone(),
        })));
        id
    }

    /// The other topic has the record, or has not.
    fn handed_on(&mut self, record: RecordId, result: Result<(), ErrorCode>, now: Instant) {
        if self.handed_on != Some(record) {
            return;
        }
        self.handed_on = None;
        let to = match &self.workload.on_failure.then {
            Then::HandOn(to) => to.topic.clone(),
            Then::Crash(_) | Then::Skip | Then::Block | Then::Release | Then::Reject => return,
        };
        match result {
            Ok(()) => self.give_up(Some(to), now),
            // It is tried from the start.
            Err(_) => {
                self.sent_first.get_or_insert(record);
                self.next_done = now + self.workload.on_failure.backoff.max(BACKOFF_LEAST);
            }
        }
    }

    /// Everything that `poll()` brought is done with.
    fn finish(&mut self, now: Instant) {
        self.doing = Doing::Resting(now);
        if std::mem::take(&mut self.commit_after) {
            self.commit(None, now);
        }
    }

    fn commit(&mut self, offsets: Option<Vec<(TopicPartition, Offset)>>, now: Instant) {
        if let Some(store) = &mut self.store {
            store.write(offsets, now);
            self.doing = Doing::Storing;
            return;
        }
        let is_sync = self.workload.commit_mode == CommitMode::Sync;
        match self.doing {
            Doing::Polling | Doing::Committing(_) if is_sync => return self.waiting_commits.push_back(offsets),
            // There is no loop any more that could.
            Doing::Failed if is_sync => return,
            Doing::Resting(_)
            | Doing::Polling
            | Doing::Storing
            | Doing::Committing(_)
            | Doing::Processing
            | Doing::Failed
            | Doing::Crashed
            | Doing::Closing
            | Doing::Exited => {}
        }
        let (call, commit) = self.commits.next(offsets);
        self.queued.push_back(commit);
        if is_sync {
            self.doing = Doing::Committing(call);
        }
    }

    /// The loop is out of its call, and commits what has waited for that, one after another.
    fn next_commit(&mut self, now: Instant) {
        if matches!(self.doing, Doing::Resting(_))
            && let Some(offsets) = self.waiting_commits.pop_front()
        {
            self.commit(offsets, now);
        }
    }

    fn polled(&mut self, records: Vec<ConsumerRecord>, now: Instant) {
        if records.is_empty() {
            self.doing = Doing::Resting(now);
            return self.next_commit(now);
        }
        if self.records.is_empty() {
            self.next_done = now + self.workload.processing + self.workload.processing_each;
        }
        self.commits.polled(&records);
        if let Some(store) = &mut self.store {
            store.polled(&records);
        }
        self.records.extend(records);
        if self.workload.pauses {
            self.is_paused = true;
            self.queued.push_back(Call::Pause(self.assignment.iter().cloned().collect()));
        }
        self.doing = if self.workload.hand_over { Doing::Resting(now) } else { Doing::Processing };
        match self.workload.commit {
            CommitPolicy::BeforeProcessing => self.commit(None, now),
            CommitPolicy::AfterProcessing if self.workload.hand_over && !self.workload.pauses => self.commit(None, now),
            CommitPolicy::AfterProcessing => self.commit_after = true,
            CommitPolicy::AfterEach | CommitPolicy::Never => {}
        }
        self.next_commit(now);
    }

    /// Hears from its client.
    pub fn completed(&mut self, completion: Completion, now: Instant) {
        match completion {
            Completion::Polled(Ok(records)) => self.polled(records, now),
            Completion::Polled(Err(ErrorCode::CLIENT_WAKEUP)) => self.close(),
            Completion::Polled(Err(_)) => {
                self.doing = Doing::Failed;
                self.waiting_commits.clear();
            }
            Completion::Committed { call, result } => {
                self.commits.answered(call, result, now);
                if self.doing == Doing::Committing(call) {
                    match result {
                        Err(ErrorCode::CLIENT_WAKEUP) => self.close(),
                        Ok(()) | Err(_) => self.resume(now),
                    }
                }
            }
            Completion::PartitionsRevoked(partitions) | Completion::PartitionsLost(partitions) => {
                self.assignment.retain(|partition| !partitions.contains(partition));
                self.commits.revoked(&partitions);
                if let Some(store) = &mut self.store {
                    store.revoked(&partitions);
                }
                self.queued.push_back(Call::ReturnFromCallback);
            }
            Completion::PartitionsAssigned(partitions) => {
                self.assignment.extend(partitions.iter().cloned());
                match &mut self.store {
                    Some(store) if !partitions.is_empty() => {
                        store.read(partitions, now);
                        self.in_callback = true;
                    }
                    Some(_) | None => self.queued.push_back(Call::ReturnFromCallback),
                }
            }
            Completion::StoreAnswered(answer) => self.stored(answer, now),
            Completion::Closed => self.doing = Doing::Exited,
            Completion::SendReturned { record, result: Err(error) } => self.handed_on(record, Err(error), now),
            Completion::Delivered { record, result } => self.handed_on(record, result.map(|_| ()), now),
            Completion::SendReturned { result: Ok(()), .. }
            | Completion::Flushed
            | Completion::TopicsCreated(_)
            | Completion::LeadersElected(_)
            | Completion::AdminDone(_) => {}
        }
    }

    /// The store has answered, or has not.
    fn stored(&mut self, answer: Option<StoreResponse>, now: Instant) {
        let Some(store) = &mut self.store else { return };
        match store.answered(answer, now) {
            Next::Wait => {}
            Next::Written => self.resume(now),
            Next::Seek(places) => {
                self.queued.extend(self.begins_with.take());
                self.queued.extend(places.into_iter().map(|(partition, offset)| Call::Seek(partition, offset)));
                if std::mem::take(&mut self.in_callback) {
                    self.queued.push_back(Call::ReturnFromCallback);
                } else {
                    // Whatever it had in hand comes again from there.
                    self.records.clear();
                    self.attempts = 0;
                    self.commit_after = false;
                    self.doing = Doing::Resting(now);
                }
            }
        }
    }

    /// `commitSync()` came back, with or without success.
    fn resume(&mut self, now: Instant) {
        let has_more = !self.records.is_empty() && !self.workload.hand_over;
        self.next_done = self.next_done.max(now);
        self.doing = if has_more { Doing::Processing } else { Doing::Resting(now) };
        self.next_commit(now);
    }
}

#[cfg(test)]
#[path = "consumer_app_tests.rs"]
mod tests;

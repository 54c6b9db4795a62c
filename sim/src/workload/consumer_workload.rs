//! What a consuming program does, as data: what it reads, how it works, when it commits, and what it does with a record that it
//! cannot process.

use std::sync::Arc;

use ackproof_core::client::{ConsumerRecord, TopicPattern};
use ackproof_core::config::ProducerConfig;
use ackproof_core::types::{Duration, NodeId, TopicName, TopicPartition};
use bytes::Bytes;

/// Where a program gets its partitions from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It names them.
    Assign(Vec<TopicPartition>),
    /// Its group does.
    Subscribe(Vec<TopicName>),
    /// Its group does, of topics that match.
    Pattern(TopicPattern),
}

/// What a program does when it is told to stop (SIGTERM).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// Nothing: the process ends where it is.
    Exit,
    /// Another thread calls `wakeup()`. The loop ends with the exception, and calls `close()` with this timeout.
    Wakeup(Duration),
    /// The same, and the loop looks after each record whether it is to end: the rest of the batch is left undone.
    Break(Duration),
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

/// How a program commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitMode {
    /// `commitSync()`: it waits.
    Sync,
    /// `commitAsync()`; what becomes of a commit that failed.
    Async(OnCommitFailure),
}

/// What the callback of `commitAsync()` does with a retriable failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCommitFailure {
    /// Nothing: a later commit makes up for it.
    Ignore,
    /// It commits the same offsets again, so much later.
    Repeat(Duration),
    /// The same, unless the program has committed since.
    RepeatIfLatest(Duration),
}

/// Where the effects of a program go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Every time a record is processed there is one effect more.
    Append,
    /// An effect is written under a key of its record's own: a second time changes nothing.
    Upsert,
    /// An effect is the value of its record's key: the last write wins.
    LastWrite,
    /// The same with the record's place as version: an older one changes nothing.
    Versioned,
}

/// How a program uses a store outside Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUse {
    /// Where it is.
    pub node: NodeId,
    /// In whose name: the group.
    pub group: String,
    /// Whether results are written there too, in one transaction with how far the program has come.
    pub with_results: bool,
    /// Whether a transaction is written only where the row is as the program expects it.
    pub guarded: bool,
}

/// Which records cannot be processed. What is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poison {
    /// Those with this key.
    pub key: Option<Bytes>,
    /// Those with this value.
    pub value: Option<Bytes>,
    /// The one at this offset, of each partition.
    pub offset: Option<i64>,
    /// Only the first attempts of each life of the program fail; all, if not given.
    pub attempts: Option<u32>,
}

impl Poison {
    /// Whether working on a record fails, `failed` attempts having failed before.
    pub fn spoils(&self, record: &ConsumerRecord, failed: u32) -> bool {
        self.attempts.is_none_or(|attempts| failed < attempts)
            && self.offset.is_none_or(|offset| record.offset.0 == offset)
            && (self.key.is_none() || self.key == record.key)
            && (self.value.is_none() || self.value == record.value)
    }
}

/// What a program does about a record that it could not process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnFailure {
    /// How often it tries again at once; the records behind it wait.
    pub retries: u32,
    /// The pause before it tries again.
    pub backoff: Duration,
    /// What it does when that did not help.
    pub then: Then,
}

/// What is done with a record that cannot be processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// The exception ends the process; somebody starts it again after so long, or nobody.
    Crash(Option<Duration>),
    /// The exception is caught, and the loop goes on with the next record.
    Skip,
    /// It is tried for ever.
    Block,
    /// It is sent to another topic, and the loop goes on.
    HandOn(HandOn),
    /// Of a share group: it is given back, and delivered again.
    Release,
    /// Of a share group: it is delivered to nobody any more.
    Reject,
}

/// How records are sent to a topic for retries, or for dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOn {
    /// The topic.
    pub topic: TopicName,
    /// The producer that the program has for it.
    pub producer: Arc<ProducerConfig>,
    /// Whether it waits until the record is acknowledged there, before it goes on.
    pub waits: bool,
}

impl Default for OnFailure {
    /// Nothing is caught, and nobody starts the process again.
    fn default() -> Self {
        Self { retries: 0, backoff: Duration::ZERO, then: Then::Crash(None) }
    }
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
    /// Whether it pauses its partitions meanwhile: it polls to stay in its group, and gets nothing.
    pub pauses: bool,
    /// What it does when it is told to stop.
    pub on_stop: OnStop,
    /// Which records cannot be processed.
    pub poison: Option<Poison>,
    /// What it does about them.
    pub on_failure: OnFailure,
    /// Whether it says of each record of its share group what became of it.
    pub acknowledges: bool,
    /// Where the effects go.
    pub sink: Sink,
    /// Where it keeps how far it has come, if not with its group.
    pub store: Option<StoreUse>,
    /// When it commits.
    pub commit: CommitPolicy,
    /// How.
    pub commit_mode: CommitMode,
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
            pauses: false,
            on_stop: OnStop::Exit,
            poison: None,
            on_failure: OnFailure::default(),
            acknowledges: false,
            sink: Sink::Append,
            store: None,
            commit: CommitPolicy::Never,
            commit_mode: CommitMode::Sync,
        }
    }

    /// The configuration of the producer that it has beside its consumer.
    pub fn producer(&self) -> Option<&Arc<ProducerConfig>> {
        match &self.on_failure.then {
            Then::HandOn(to) => Some(&to.producer),
            Then::Crash(_) | Then::Skip | Then::Block | Then::Release | Then::Reject => None,
        }
    }
}

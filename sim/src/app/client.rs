//! Handles to client processes. Dropping one kills its process, as the death of the application does.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ackproof_core::client::{Call, Completion, ConsumerRecord, ProducerRecord, RecordMetadata, TopicPattern, Work};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{Duration, Offset, RecordId, StrBytes, TopicName, TopicPartition};
use bytes::Bytes;

use super::host::Shared;
use crate::world::NodeIndex;

/// A client process, in one of its lives.
struct Process {
    shared: Shared,
    client: NodeIndex,
    life: u32,
}

impl Process {
    /// Starts it; one that runs is replaced. The node of a killed application lets go of its handles only when madsim comes to
    /// it, and by then the next application may have started.
    fn start(shared: Shared, client: NodeIndex) -> Self {
        let life = shared.begin(client);
        Self { shared, client, life }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.shared.end(self.client, self.life);
    }
}

/// A producer.
pub struct Producer {
    process: Process,
    number: u32,
    sent: Arc<AtomicU64>,
}

/// The promise of [`Producer::send`]: awaiting it is waiting for the callback.
pub struct Delivery {
    outcome: std::pin::Pin<Box<dyn Future<Output = Result<RecordMetadata, ErrorCode>> + Send>>,
    /// The call of `send()` that it belongs to, for a resend.
    pub record: RecordId,
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ErrorCode>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        self.outcome.as_mut().poll(cx)
    }
}

impl Producer {
    pub(super) fn start(shared: Shared, client: NodeIndex) -> Self {
        let (number, calls) = shared.with(|world, _| world.client_number(client));
        Self { process: Process::start(shared, client), number, sent: Arc::new(AtomicU64::new(calls)) }
    }

    /// `producer.send(..)`: returns when the record is in the accumulator, which takes up to `max.block.ms`.
    pub async fn send(&self, topic: &str, key: Option<&[u8]>, value: &[u8]) -> Result<Delivery, ErrorCode> {
        self.send_again(topic, key, value, None).await
    }

    /// Sends a record that repeats an earlier one, and says so: judges then know that the two are one.
    pub async fn send_again(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: &[u8],
        resend_of: Option<RecordId>,
    ) -> Result<Delivery, ErrorCode> {
        let Process { shared, client, .. } = &self.process;
        let (client, number) = (*client, self.sent.fetch_add(1, Ordering::Relaxed));
        let record = RecordId { client: self.number, number };
        let call = Call::Send(Box::new(ProducerRecord {
            id: record,
            resend_of,
            topic: TopicName(StrBytes::from_string(topic.to_owned())),
            partition: None,
            key: key.map(Bytes::copy_from_slice),
            value: Some(Bytes::copy_from_slice(value)),
            timestamp: None,
            headers: Vec::new(),
        }));
        shared.with(|world, observer| {
            world.count_call(client, number + 1);
            world.call(client, call, observer);
        });
        let returned = shared.hear(client, |completion| match completion {
            Completion::SendReturned { record: returned, result } if *returned == record => Some(*result),
            _ => None,
        });
        returned.await?;
        let shared = shared.clone();
        let outcome = Box::pin(async move {
            let delivered = shared.hear(client, |completion| match completion {
                Completion::Delivered { record: delivered, result } if *delivered == record => Some(result.clone()),
                _ => None,
            });
            delivered.await
        });
        Ok(Delivery { outcome, record })
    }

    /// `producer.flush()`.
    pub async fn flush(&self) {
        let Process { shared, client, .. } = &self.process;
        shared.call(*client, Call::Flush);
        shared.hear(*client, |completion| (*completion == Completion::Flushed).then_some(())).await;
    }

    /// `producer.close(timeout)`.
    pub async fn close(self, timeout: impl Into<Duration>) {
        let timeout = timeout.into();
        let Process { shared, client, .. } = &self.process;
        shared.call(*client, Call::Close { timeout });
        shared.hear(*client, |completion| (*completion == Completion::Closed).then_some(())).await;
    }
}

/// What `poll()` and `close()` have for their application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// It is over, and brought these.
    Records(Vec<ConsumerRecord>),
    /// `onPartitionsRevoked`.
    Revoked(Vec<TopicPartition>),
    /// `onPartitionsLost`: somebody else may have them already.
    Lost(Vec<TopicPartition>),
    /// `onPartitionsAssigned`.
    Assigned(Vec<TopicPartition>),
}

/// A consumer.
pub struct Consumer {
    process: Process,
    commits: AtomicU64,
    in_callback: AtomicBool,
    is_closing: AtomicBool,
}

impl Consumer {
    pub(super) fn start(shared: Shared, client: NodeIndex) -> Self {
        Self {
            process: Process::start(shared, client),
            commits: AtomicU64::new(0),
            in_callback: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
        }
    }

    /// `consumer.subscribe(topics)`: its group (`group.id`) says what it reads.
    pub fn subscribe(&self, topics: &[&str]) {
        let topics = topics.iter().map(|topic| TopicName(StrBytes::from_string((*topic).to_owned()))).collect();
        self.process.shared.call(self.process.client, Call::Subscribe(topics));
    }

    /// `consumer.subscribe(pattern)`: to the topics that match, and those that will. A pattern that cannot be read panics, as Java's
    /// `Pattern.compile` throws.
    pub fn subscribe_pattern(&self, pattern: &str) {
        let pattern = TopicPattern::parse(pattern).unwrap_or_else(|error| panic!("{error}"));
        self.process.shared.call(self.process.client, Call::SubscribePattern(pattern));
    }

    /// `consumer.assign(partitions)`.
    pub fn assign(&self, partitions: &[(&str, i32)]) {
        self.process.shared.call(self.process.client, Call::Assign(named(partitions)));
    }

    /// `consumer.pause(partitions)`: `poll()` returns nothing of them, and the consumer stays in its group by polling. A partition
    /// that is given up and comes back is paused no more.
    pub fn pause(&self, partitions: &[(&str, i32)]) {
        self.process.shared.call(self.process.client, Call::Pause(named(partitions)));
    }

    /// `consumer.resume(partitions)`.
    pub fn resume(&self, partitions: &[(&str, i32)]) {
        self.process.shared.call(self.process.client, Call::Resume(named(partitions)));
    }

    /// `consumer.wakeup()`, from any task: the `poll()` or `commit_sync()` that is waited for, or the next one, ends with
    /// `CLIENT_WAKEUP`. What a commit has sent may succeed all the same.
    pub fn wakeup(&self) {
        self.process.shared.call(self.process.client, Call::Wakeup);
    }

    /// `consumer.seek(partition, offset)`.
    pub fn seek(&self, topic: &str, partition: i32, offset: i64) {
        let call = Call::Seek(TopicPartition::of(topic, partition), Offset(offset));
        self.process.shared.call(self.process.client, call);
    }

    /// `consumer.poll(timeout)`. A rebalance takes place in here, and nobody listens.
    pub async fn poll(&self, timeout: impl Into<Duration>) -> Result<Vec<ConsumerRecord>, ErrorCode> {
        let timeout = timeout.into();
        loop {
            if let Polled::Records(records) = self.poll_listening(timeout).await? {
                return Ok(records);
            }
        }
    }

    /// `consumer.poll(timeout)` of an application with a `ConsumerRebalanceListener`. What the listener is told comes as a
    /// value, and the rebalance waits: the application may commit or seek, and goes on by calling this again.
    pub async fn poll_listening(&self, timeout: impl Into<Duration>) -> Result<Polled, ErrorCode> {
        let timeout = timeout.into();
        let Process { shared, client, .. } = &self.process;
        let goes_on = self.in_callback.swap(false, Ordering::Relaxed);
        shared.call(*client, if goes_on { Call::ReturnFromCallback } else { Call::Poll { timeout } });
        let polled = shared.hear(*client, |completion| match completion {
            Completion::Polled(result) => Some(result.clone().map(Polled::Records)),
            Completion::PartitionsRevoked(partitions) => Some(Ok(Polled::Revoked(partitions.clone()))),
            Completion::PartitionsLost(partitions) => Some(Ok(Polled::Lost(partitions.clone()))),
            Completion::PartitionsAssigned(partitions) => Some(Ok(Polled::Assigned(partitions.clone()))),
            _ => None,
        });
        let polled = polled.await;
        let is_over = matches!(polled, Ok(Polled::Records(_)) | Err(_));
        self.in_callback.store(!is_over, Ordering::Relaxed);
        polled
    }

    /// Says that the effect of a record is there: what the judge holds against what is committed.
    pub fn processed(&self, record: &ConsumerRecord) {
        self.worked(record, Work::Done);
    }

    /// Says that a record could not be processed, for the n-th time.
    pub fn processing_failed(&self, record: &ConsumerRecord, attempt: u32) {
        self.worked(record, Work::Failed(attempt));
    }

    /// Says that the program goes on without having processed a record: that a topic has it now, for retries or for dead
    /// letters, or that nobody has.
    pub fn gave_up(&self, record: &ConsumerRecord, to: Option<&str>) {
        self.worked(record, Work::GivenUp(to.map(|topic| TopicPartition::of(topic, 0).topic)));
    }

    fn worked(&self, record: &ConsumerRecord, work: Work) {
        let call = Call::Worked(record.partition.clone(), record.offset, work);
        self.process.shared.call(self.process.client, call);
    }

    /// `consumer.commitSync()`: everything that `poll()` has returned.
    pub async fn commit_sync(&self) -> Result<(), ErrorCode> {
        let call = self.commit(true);
        let Process { shared, client, .. } = &self.process;
        let committed = shared.hear(*client, |completion| match completion {
            Completion::Committed { call: answered, result } if *answered == call => Some(*result),
            _ => None,
        });
        committed.await
    }

    /// `consumer.commitAsync()`, without a look at the result.
    pub fn commit_async(&self) {
        self.commit(false);
    }

    fn commit(&self, sync: bool) -> u64 {
        let call = self.commits.fetch_add(1, Ordering::Relaxed);
        self.process.shared.call(self.process.client, Call::Commit { call, offsets: None, sync });
        call
    }

    /// `consumer.close(timeout)`: commits what `poll()` has returned, where that is automatic, waits for other commits, and leaves the
    /// group. Nobody listens.
    pub async fn close(self, timeout: impl Into<Duration>) {
        let timeout = timeout.into();
        while self.close_listening(timeout).await.is_some() {}
    }

    /// `consumer.close(timeout)` of an application with a `ConsumerRebalanceListener`. What the listener is told (since 2.4) comes as
    /// a value, and the consumer waits: the application may commit, and goes on by calling this again, until there is nothing more.
    pub async fn close_listening(&self, timeout: impl Into<Duration>) -> Option<Polled> {
        let timeout = timeout.into();
        let Process { shared, client, .. } = &self.process;
        let goes_on = self.is_closing.swap(true, Ordering::Relaxed);
        shared.call(*client, if goes_on { Call::ReturnFromCallback } else { Call::Close { timeout } });
        let told = shared.hear(*client, |completion| match completion {
            Completion::Closed => Some(None),
            Completion::PartitionsRevoked(partitions) => Some(Some(Polled::Revoked(partitions.clone()))),
            Completion::PartitionsLost(partitions) => Some(Some(Polled::Lost(partitions.clone()))),
            _ => None,
        });
        told.await
    }
}

fn named(partitions: &[(&str, i32)]) -> Vec<TopicPartition> {
    partitions.iter().map(|(topic, partition)| TopicPartition::of(topic, *partition)).collect()
}

/// An admin client.
pub struct Admin {
    process: Process,
}

impl Admin {
    pub(super) fn start(shared: Shared, client: NodeIndex) -> Self {
        Self { process: Process::start(shared, client) }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.process.shared
    }

    pub(super) fn index(&self) -> NodeIndex {
        self.process.client
    }
}

//! What an application says to its client, and what it hears back.
//!
//! Kafka: the public methods of `KafkaProducer`, `KafkaConsumer` and `Admin`. Calls that block in Kafka
//! return later through a [`Completion`]; until then the application must not call again.

use bytes::Bytes;

use super::TopicPattern;
use crate::protocol::ErrorCode;
use crate::share::AcknowledgeType;
use crate::store::{StoreRequest, StoreResponse};
use crate::types::{Duration, Offset, RecordId, Timestamp, TopicName, TopicPartition};

/// A record to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerRecord {
    /// Names this call of `send()`; chosen by the application, counting from 0.
    pub id: RecordId,
    /// The earlier call that the application repeats with it.
    pub resend_of: Option<RecordId>,
    /// The topic.
    pub topic: TopicName,
    /// The partition; the partitioner chooses where there is none.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; none is a tombstone.
    pub value: Option<Bytes>,
    /// CreateTime; now, where there is none.
    pub timestamp: Option<Timestamp>,
    /// Headers, in order; names may repeat.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// Where a record went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset, or -1 if it is unknown.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: Timestamp,
}

/// A record read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: Timestamp,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// Headers, in order; names may repeat.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions; -1 for `num.partitions`.
    pub partitions: i32,
    /// How many replicas; -1 for `default.replication.factor`.
    pub replication_factor: i16,
    /// Replicas per partition, preferred leader first, instead of the two numbers above; empty to let the
    /// controller place them.
    pub assignments: Vec<Vec<i32>>,
    /// Topic properties, by Kafka's names.
    pub configs: Vec<(String, String)>,
}

/// A call by the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `producer.send(record, callback)`. Answered by `SendReturned`, and later by `Delivered` if that was `Ok`.
    Send(Box<ProducerRecord>),
    /// `producer.flush()`. Answered by `Flushed`.
    Flush,
    /// `close(timeout)` of any client. Answered by `Closed`.
    Close {
        /// How long to wait for what is pending.
        timeout: Duration,
    },
    /// `consumer.assign(partitions)`.
    Assign(Vec<TopicPartition>),
    /// `consumer.subscribe(topics)`: the group says which partitions.
    Subscribe(Vec<TopicName>),
    /// `consumer.subscribe(pattern)`: to the topics that match, and those that will.
    SubscribePattern(TopicPattern),
    /// `consumer.pause(partitions)`: `poll()` returns nothing of them, and goes on for everything else.
    Pause(Vec<TopicPartition>),
    /// `consumer.resume(partitions)`.
    Resume(Vec<TopicPartition>),
    /// `consumer.wakeup()`, the one method that another thread may call: the `poll()` or `commitSync()` that the application waits
    /// in, or the next one, throws `CLIENT_WAKEUP`.
    Wakeup,
    /// `commitSync(offsets)` or `commitAsync(offsets, callback)`. Answered by `Committed`.
    Commit {
        /// The application's name for the call.
        call: u64,
        /// The next offset to be read, per partition; none is what `poll()` has returned.
        offsets: Option<Vec<(TopicPartition, Offset)>>,
        /// Whether it is tried until it succeeds or cannot.
        sync: bool,
    },
    /// `shareConsumer.acknowledge(record, type)`.
    Acknowledge(TopicPartition, Offset, AcknowledgeType),
    /// Not a method of Kafka's: the application says what became of its work on a record.
    Worked(TopicPartition, Offset, Work),
    /// Not a method of Kafka's: the program asks the store that it has outside Kafka. Answered by `StoreAnswered`.
    Store(StoreRequest),
    /// The rebalance callback returns.
    ReturnFromCallback,
    /// `consumer.seek(partition, offset)`.
    Seek(TopicPartition, Offset),
    /// `consumer.poll(timeout)`. Answered by `Polled`.
    Poll {
        /// How long to wait for the first record.
        timeout: Duration,
    },
    /// `admin.createTopics(..)`. Answered by `TopicsCreated`.
    CreateTopics(Vec<NewTopic>),
    /// `admin.electLeaders(type, partition)`. Answered by `LeadersElected`.
    ElectLeader {
        /// Where.
        partition: TopicPartition,
        /// Of any replica, even one that is not in sync (`ElectionType.UNCLEAN`, KIP-460).
        unclean: bool,
    },
    /// An operator's call. Answered by `AdminDone`.
    Admin(AdminCall),
}

/// What became of an application's work on a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// It is processed: its effect is there.
    Done,
    /// It could not be processed, for the n-th time in this life of the program.
    Failed(u32),
    /// The application goes on without having processed it; this topic, if any, has it now.
    GivenUp(Option<TopicName>),
}

/// What an operator asks of the cluster. Answered by [`Completion::AdminDone`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCall {
    /// `admin.incrementalAlterConfigs(..)`, as of `kafka-configs --alter`: sets properties, or removes them where there is
    /// no value.
    AlterConfigs {
        /// Whose.
        resource: ConfigResource,
        /// The properties, by Kafka's names.
        configs: Vec<(String, Option<String>)>,
    },
    /// `admin.alterPartitionReassignments(..)`, as of `kafka-reassign-partitions`.
    Reassign {
        /// Which partition.
        partition: TopicPartition,
        /// Where to, preferred leader first; none cancels.
        replicas: Option<Vec<i32>>,
    },
    /// `admin.createPartitions(..)`, as of `kafka-topics --alter --partitions`.
    CreatePartitions {
        /// The topic.
        topic: TopicName,
        /// How many it is to have in all.
        count: i32,
        /// The replicas of each new one; none: the controller places them.
        assignments: Option<Vec<Vec<i32>>>,
    },
    /// `admin.deleteTopics(..)`, as of `kafka-topics --delete`.
    DeleteTopic(TopicName),
    /// `admin.deleteRecords(..)`, as of `kafka-delete-records`: the leader of the partition is asked.
    DeleteRecords {
        /// Which partition.
        partition: TopicPartition,
        /// Records below this offset go; none: all that are committed.
        before: Option<Offset>,
    },
    /// `admin.alterClientQuotas(..)`, as of `kafka-configs --alter --entity-type clients`: sets limits, or removes them where
    /// there is no value.
    AlterClientQuotas {
        /// The `client.id`; none is every client that has no limit of its own.
        client_id: Option<String>,
        /// `producer_byte_rate` and `consumer_byte_rate`, in bytes per second.
        quotas: Vec<(String, Option<u32>)>,
    },
}

/// What has properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// A broker; none is all of them.
    Broker(Option<i32>),
    /// A group.
    Group(String),
}

/// What the application hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// `send()` came back: the record is in the accumulator, or it was thrown back.
    SendReturned {
        /// The record.
        record: RecordId,
        /// The exception thrown, if any.
        result: Result<(), ErrorCode>,
    },
    /// The callback of a record.
    Delivered {
        /// The record.
        record: RecordId,
        /// Written where, or failed how.
        result: Result<RecordMetadata, ErrorCode>,
    },
    /// `flush()` came back.
    Flushed,
    /// `close()` came back.
    Closed,
    /// `poll()` came back.
    Polled(Result<Vec<ConsumerRecord>, ErrorCode>),
    /// `onPartitionsRevoked` inside `poll()` or `close()`; the consumer waits for `ReturnFromCallback`.
    PartitionsRevoked(Vec<TopicPartition>),
    /// `onPartitionsLost` inside `poll()` or `close()`; the consumer waits for `ReturnFromCallback`.
    PartitionsLost(Vec<TopicPartition>),
    /// `onPartitionsAssigned` inside `poll()`; the consumer waits for `ReturnFromCallback`.
    PartitionsAssigned(Vec<TopicPartition>),
    /// A commit is answered.
    Committed {
        /// The call.
        call: u64,
        /// Whether the group has come so far.
        result: Result<(), ErrorCode>,
    },
    /// The store answered, or did not.
    StoreAnswered(Option<StoreResponse>),
    /// `createTopics()` came back: per topic its result.
    TopicsCreated(Vec<(TopicName, Result<(), ErrorCode>)>),
    /// `electLeaders()` came back.
    LeadersElected(Result<(), ErrorCode>),
    /// An operator's call came back.
    AdminDone(Result<(), ErrorCode>),
}

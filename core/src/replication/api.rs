//! What a broker asks of its replicas, and what it hears back.
//!
//! Kafka: `FetchParams`, `FetchPartitionData`, `ProduceResponse.PartitionResponse`, `AlterPartitionItem`.

use bytes::Bytes;
use uuid::Uuid;

use crate::fact::Role;
use crate::protocol::ErrorCode;
use crate::types::{
    BrokerEpoch, Duration, LeaderEpoch, NodeId, Offset, PartitionEpoch, StrBytes, Timestamp, TopicPartition,
};

/// A produce request.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    /// Names the request in its [`ProduceCompleted`].
    pub token: u64,
    /// The client, for the facts.
    pub from: NodeId,
    /// `acks`: -1, 0 or 1.
    pub acks: i16,
    /// How long to wait for the replicas at acks=-1 (the producer's `request.timeout.ms`).
    pub timeout: Duration,
    /// Record batches per partition.
    pub entries: Vec<(TopicPartition, Bytes)>,
}

/// What became of the batches for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceResult {
    /// `NONE` if they are written as `acks` asked.
    pub error: ErrorCode,
    /// Offset of the first record; -1 with an error before the append.
    pub base_offset: Offset,
    /// The time the leader stamped on the records, or none.
    pub log_append_time: Timestamp,
    /// Log start offset; -1 if unknown.
    pub log_start_offset: Offset,
}

/// Which records a consumer may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset; without transactions that is the high watermark too.
    ReadCommitted,
}

/// A fetch request.
#[derive(Clone, Debug)]
pub struct FetchParams {
    /// Names the request in its [`FetchCompleted`].
    pub token: u64,
    /// The follower that asks, or -1 for a consumer.
    pub replica_id: i32,
    /// The incarnation of that follower (KIP-903), or -1.
    pub replica_epoch: BrokerEpoch,
    /// How long to wait for `min_bytes`.
    pub max_wait: Duration,
    /// With fewer bytes the answer waits.
    pub min_bytes: i32,
    /// At most so many bytes, except that the first batch always fits.
    pub max_bytes: i32,
    /// What a consumer may see; a follower sees everything.
    pub isolation: IsolationLevel,
    /// The rack of a consumer (KIP-392); empty is none.
    pub client_rack: StrBytes,
}

/// What is asked of one partition in a fetch request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    /// Records from here on.
    pub fetch_offset: Offset,
    /// The epoch in which the fetcher believes the leader to be (KIP-320).
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record the fetcher has (KIP-595).
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// The follower's log start offset; -1 from a consumer.
    pub log_start_offset: Offset,
    /// At most so many bytes.
    pub max_bytes: i32,
}

/// What a fetch found in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchResult {
    /// The error, or `NONE`.
    pub error: ErrorCode,
    /// High watermark; -1 with an error.
    pub high_watermark: Offset,
    /// Last stable offset; -1 with an error.
    pub last_stable_offset: Offset,
    /// Log start offset; -1 with an error.
    pub log_start_offset: Offset,
    /// Where the fetcher's log leaves that of the leader: its largest epoch not above the fetcher's, and its end.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// Whole batches.
    pub records: Bytes,
    /// The follower from which the consumer should read instead (KIP-392).
    pub preferred_read_replica: Option<i32>,
}

/// A produce request is answered (at acks=0: would be).
#[derive(Clone, Debug)]
pub struct ProduceCompleted {
    /// That of the request.
    pub token: u64,
    /// Per partition, in the order of the request.
    pub results: Vec<(TopicPartition, ProduceResult)>,
}

/// A fetch request is answered.
#[derive(Clone, Debug)]
pub struct FetchCompleted {
    /// That of the request.
    pub token: u64,
    /// Per partition, in the order of the request.
    pub results: Vec<(TopicPartition, FetchResult)>,
}

/// A DeleteRecords request.
#[derive(Clone, Debug)]
pub struct DeleteRecordsRequest {
    /// Names the request in its [`DeleteRecordsCompleted`].
    pub token: u64,
    /// How long to wait for the followers.
    pub timeout: Duration,
    /// Below which offset records are to be forgotten.
    pub entries: Vec<(TopicPartition, Offset)>,
}

impl DeleteRecordsRequest {
    /// Instead of an offset: everything that is committed.
    pub const HIGH_WATERMARK: Offset = Offset(-1);
}

/// What became of it in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletedRecords {
    /// `NONE` if all replicas that are alive have forgotten the records.
    pub error: ErrorCode,
    /// The smallest log start offset of them; -1 with an error before that.
    pub low_watermark: Offset,
}

/// A DeleteRecords request is answered.
#[derive(Clone, Debug)]
pub struct DeleteRecordsCompleted {
    /// That of the request.
    pub token: u64,
    /// Per partition, in the order of the request.
    pub results: Vec<(TopicPartition, DeletedRecords)>,
}

/// A request that was handed over is answered.
#[derive(Clone, Debug)]
pub enum Completed {
    /// A DeleteRecords request.
    DeleteRecords(DeleteRecordsCompleted),
    /// A produce request.
    Produce(ProduceCompleted),
    /// A fetch request.
    Fetch(FetchCompleted),
}

/// What ListOffsets asks of one partition.
#[derive(Clone, Copy, Debug)]
pub struct ListOffsetsQuery {
    /// A time, or one of the constants below.
    pub timestamp: i64,
    /// Of a consumer; none for a follower, who may see the log end.
    pub isolation: Option<IsolationLevel>,
    /// The epoch in which the asker believes the leader to be (KIP-320).
    pub current_leader_epoch: Option<LeaderEpoch>,
}

impl ListOffsetsQuery {
    /// The end of what the asker may see.
    pub const LATEST: i64 = -1;
    /// The log start offset.
    pub const EARLIEST: i64 = -2;
    /// The record with the largest timestamp (KIP-734).
    pub const MAX_TIMESTAMP: i64 = -3;
}

/// What ListOffsets found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The record's timestamp, where the question was one of time.
    pub timestamp: Timestamp,
    /// The offset; -1 if there is none.
    pub offset: Offset,
    /// The epoch of that offset; -1 if unknown.
    pub leader_epoch: LeaderEpoch,
}

/// A leader wants another ISR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrProposal {
    /// Names the proposal when its result comes.
    pub number: u64,
    /// The partition.
    pub partition: TopicPartition,
    /// The topic's id.
    pub topic_id: Uuid,
    /// The epoch of this leader.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch on which the change builds.
    pub partition_epoch: PartitionEpoch,
    /// The ISR it wants, each member with the incarnation that fetched (-1: never fetched from this leader).
    pub new_isr: Vec<(i32, BrokerEpoch)>,
}

/// The state of a partition as the controller has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderAndIsr {
    /// The leader; -1 is none.
    pub leader: i32,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
    /// The ISR.
    pub isr: Vec<i32>,
    /// The partition epoch.
    pub partition_epoch: PartitionEpoch,
}

/// A replica as its broker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaDescription {
    /// The partition.
    pub partition: TopicPartition,
    /// Leader or follower.
    pub role: Role,
    /// The leader; -1 is none.
    pub leader: i32,
    /// The leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch.
    pub partition_epoch: PartitionEpoch,
    /// The committed ISR, known to leaders only.
    pub isr: Vec<i32>,
    /// Whether an ISR proposal of this leader waits for its answer.
    pub isr_change_pending: bool,
    /// The assigned replicas.
    pub replicas: Vec<i32>,
    /// Log start offset.
    pub log_start: Offset,
    /// High watermark.
    pub high_watermark: Offset,
    /// Log end offset.
    pub log_end: Offset,
    /// The epoch of the last record; -1 if there is none.
    pub last_epoch: LeaderEpoch,
}

impl ProduceResult {
    /// Nothing was appended.
    pub fn failed(error: ErrorCode) -> Self {
        Self { error, base_offset: Offset::NONE, log_append_time: Timestamp::NONE, log_start_offset: Offset::NONE }
    }
}

impl FetchResult {
    /// Nothing could be read.
    pub fn failed(error: ErrorCode) -> Self {
        Self {
            error,
            high_watermark: Offset::NONE,
            last_stable_offset: Offset::NONE,
            log_start_offset: Offset::NONE,
            diverging: None,
            records: Bytes::new(),
            preferred_read_replica: None,
        }
    }
}

impl FetchParams {
    /// Whether a replica that does not lead may answer: consumers with a rack know how to be sent there.
    pub fn reads_followers(&self) -> bool {
        !self.is_from_follower() && !self.client_rack.is_empty()
    }

    /// Whether a follower asks.
    pub fn is_from_follower(&self) -> bool {
        self.replica_id >= 0
    }
}

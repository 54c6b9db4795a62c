//! Everything worth knowing that happens in a run: one enum, a sentence per variant.
//!
//! A fact is a line of the trace, a step of an explanation and a mark of coverage. It replaces logging. Judges take
//! facts one by one as they happen, through [`Observer`].

use serde::{Deserialize, Serialize};

mod event;
mod kind;
mod payload;
mod reasons;

pub use event::{Event, Observer};
pub use payload::Payload;
pub use reasons::{
    ForgottenReason, LogStartReason, RemovalReason, ResetReason, RetryReason, Role, ShareReason, ShareState,
    TruncationReason,
};

use crate::protocol::ErrorCode;
use crate::types::{
    BrokerEpoch, ConnectionId, LeaderEpoch, NodeId, Offset, PartitionEpoch, ProducerEpoch, RecordId, Sequence,
    TopicPartition,
};

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    // ---- processes, machines, faults: said by the world ----
    /// All brokers are registered, all topics exist, all replicas are in sync: clients start, and times count from here.
    ClusterReady,
    /// The process began.
    NodeStarted,
    /// The process was killed (SIGKILL): its memory is gone, the page cache stays.
    NodeKilled,
    /// The process ended by itself or after SIGTERM.
    NodeStopped,
    /// The process was stopped in its tracks (SIGSTOP, GC): timers fire late, sockets stay.
    NodePaused,
    /// The process goes on.
    NodeResumed,
    /// The machine lost power: memory and everything that was not synced is gone.
    PowerLost {
        /// Bytes that had been written but not synced.
        unsynced_bytes: u64,
        /// Of those, how many did not survive.
        lost_bytes: u64,
    },
    /// A fault of the plan was triggered.
    FaultInjected {
        /// Its number in the plan, from 1.
        fault: u32,
        /// In words: "kill the leader of orders-0".
        what: String,
    },
    /// A fault did something: its witness.
    FaultBit {
        /// Its number in the plan.
        fault: u32,
        /// In words: "dropped Produce response to p1".
        what: String,
    },
    /// A fault is over.
    FaultHealed {
        /// Its number in the plan.
        fault: u32,
    },
    /// A disk lost or changed what had been synced: it was emptied or replaced, a bit flipped, a sync had lied.
    DiskHarmed {
        /// What was done to it.
        what: String,
    },
    /// A message was lost or discarded on its way: the network, a dead process, or a closed connection took it.
    MessageLost {
        /// The connection it travelled on.
        connection: ConnectionId,
        /// Where it was going.
        to: NodeId,
        /// `Produce request`, `Fetch response`, ...
        what: String,
    },

    // ---- brokers ----
    /// A log was loaded at start.
    LogLoaded {
        /// The partition.
        partition: TopicPartition,
        /// Log start offset.
        log_start: Offset,
        /// Log end offset.
        log_end: Offset,
        /// Whether the previous stop was clean.
        clean: bool,
        /// From where to where records are missing that nobody deleted: the end of a segment went with the power, and the next one was
        /// there all the same. The last such place; of a compacted log only its end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hole: Option<(Offset, Offset)>,
    },
    /// A batch was appended.
    Appended {
        /// The partition.
        partition: TopicPartition,
        /// As leader or as follower.
        role: Role,
        /// Offset of its first record.
        base_offset: Offset,
        /// Offset of its last record.
        last_offset: Offset,
        /// The epoch stamped on it.
        leader_epoch: LeaderEpoch,
        /// Producer id, or -1.
        producer_id: i64,
        /// Its epoch, or -1.
        producer_epoch: ProducerEpoch,
        /// Sequence of the first record, or -1.
        base_sequence: Sequence,
        /// Its checksum, by which copies of it are compared.
        crc: u32,
    },
    /// A leader recognised a batch that it has already.
    DuplicateDetected {
        /// The partition.
        partition: TopicPartition,
        /// Where it is.
        base_offset: Offset,
        /// Producer id.
        producer_id: i64,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
        /// Sequence of the first record.
        base_sequence: Sequence,
    },
    /// A leader refused a batch.
    AppendRefused {
        /// The partition.
        partition: TopicPartition,
        /// Why.
        error: ErrorCode,
    },
    /// A follower refused what its leader sent it, and will ask for it again.
    FetchRefused {
        /// The partition.
        partition: TopicPartition,
        /// Where its own log ends: what it had asked for.
        offset: Offset,
        /// Why.
        error: ErrorCode,
    },
    /// A leader answered a produce request (at acks=0: would have answered).
    ProduceAnswered {
        /// The partition.
        partition: TopicPartition,
        /// The client.
        to: NodeId,
        /// Offset of the first record; -1 with an error.
        base_offset: Offset,
        /// acks of the request: -1, 0 or 1.
        acks: i16,
        /// The error, or `NONE`.
        error: ErrorCode,
    },
    /// A leader learned how far a follower is: the follower asked for this offset.
    FollowerFetched {
        /// The partition.
        partition: TopicPartition,
        /// The follower.
        follower: i32,
        /// Its log end offset.
        log_end: Offset,
    },
    /// A replica's high watermark moved.
    HighWatermarkAdvanced {
        /// The partition.
        partition: TopicPartition,
        /// As leader or as follower.
        role: Role,
        /// Before.
        from: Offset,
        /// After.
        to: Offset,
    },
    /// A leader asked the controller for another ISR.
    IsrProposed {
        /// The partition.
        partition: TopicPartition,
        /// The ISR it has.
        from: Vec<i32>,
        /// The ISR it wants.
        to: Vec<i32>,
    },
    /// A leader knows this ISR to be decided, in the epoch that it leads; whatever it had proposed is settled.
    IsrAdopted {
        /// The partition.
        partition: TopicPartition,
        /// The ISR.
        isr: Vec<i32>,
        /// The partition epoch as it knows it.
        partition_epoch: PartitionEpoch,
    },
    /// A broker became leader.
    BecameLeader {
        /// The partition.
        partition: TopicPartition,
        /// The epoch.
        leader_epoch: LeaderEpoch,
        /// The ISR.
        isr: Vec<i32>,
        /// Its log end offset: where the epoch starts.
        log_end: Offset,
    },
    /// A broker became follower.
    BecameFollower {
        /// The partition.
        partition: TopicPartition,
        /// The epoch.
        leader_epoch: LeaderEpoch,
        /// The leader; -1 is none.
        leader: i32,
        /// Its log end offset.
        log_end: Offset,
    },
    /// A log was cut: the records from `to` up to `from` are gone here.
    Truncated {
        /// The partition.
        partition: TopicPartition,
        /// Log end offset before.
        from: Offset,
        /// Log end offset after.
        to: Offset,
        /// Why.
        reason: TruncationReason,
    },
    /// A follower is ahead of its leader and may not cut its log, as unclean elections are off: it halts (before 2.1).
    TruncationForbidden {
        /// The partition.
        partition: TopicPartition,
        /// Where the leader's log ends.
        leader_end: Offset,
        /// Where its own ends.
        log_end: Offset,
    },
    /// The replica of a topic that was deleted, or of a partition that was moved elsewhere, is gone here.
    LogDeleted {
        /// The partition.
        partition: TopicPartition,
        /// Its log end offset.
        log_end: Offset,
    },
    /// A client is over its limit: it should be silent, and until then nothing more is read from its connection.
    ClientThrottled {
        /// The client.
        client: NodeId,
        /// `Produce` or `Fetch`.
        api: String,
        /// For how long, in milliseconds.
        throttle_ms: i64,
    },
    /// A replica that catches up gets nothing for now: replication is over its limit (KIP-73).
    ReplicaThrottled {
        /// The partition.
        partition: TopicPartition,
        /// The replica.
        follower: i32,
        /// Whose limit: of the leader, or of the follower itself.
        role: Role,
    },
    /// A new segment was begun.
    SegmentRolled {
        /// The partition.
        partition: TopicPartition,
        /// Its base offset.
        base_offset: Offset,
    },
    /// A log begins later than before: the records below are gone here because a rule says so. No loss.
    LogStartOffsetAdvanced {
        /// The partition.
        partition: TopicPartition,
        /// Log start offset before.
        from: Offset,
        /// Log start offset after.
        to: Offset,
        /// Which rule.
        reason: LogStartReason,
    },
    /// The cleaner went over a log: of the records below `to`, the last of each key are left here.
    Cleaned {
        /// The partition.
        partition: TopicPartition,
        /// The first offset that had not been cleaned before.
        from: Offset,
        /// The end of what it looked at.
        to: Offset,
        /// Records below `to` before.
        records_before: u64,
        /// Records below `to` after.
        records_after: u64,
    },
    /// The cleaner gave a partition up until the process starts again.
    CleaningFailed {
        /// The partition.
        partition: TopicPartition,
        /// Why.
        what: String,
    },
    /// A replica forgot a producer: it will take any sequence from it, or (before KIP-360) none but 0.
    ProducerExpired {
        /// The partition.
        partition: TopicPartition,
        /// Producer id.
        producer_id: i64,
        /// Why.
        #[serde(default)]
        reason: ForgottenReason,
    },
    /// A broker has read a batch of the metadata log and does not go by it yet: its publishing thread is behind.
    MetadataHeldBack {
        /// Offset of its first record.
        base_offset: Offset,
        /// Offset of its last record.
        last_offset: Offset,
        /// How long it is held back, in milliseconds.
        lag_ms: u64,
    },
    /// A broker read a batch of the metadata log and goes by it.
    MetadataReplayed {
        /// Offset of its first record.
        base_offset: Offset,
        /// Offset of its last record.
        last_offset: Offset,
        /// The epoch of the controller that wrote it.
        leader_epoch: LeaderEpoch,
        /// Its checksum.
        crc: u32,
    },
    /// A disk operation failed.
    StorageFailed {
        /// In words.
        what: String,
    },

    /// A coordinator has written a commit: the group has come so far.
    OffsetCommitted {
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// The offset of the next record.
        offset: Offset,
        /// The generation; -1 from somebody without one.
        generation: i32,
    },
    /// A coordinator refused a commit.
    CommitRefused {
        /// The group.
        group: String,
        /// The member, or empty.
        member: String,
        /// Why.
        error: ErrorCode,
    },
    /// A group entered another state.
    GroupStateChanged {
        /// The group.
        group: String,
        /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable`; of the consumer protocol `Empty`, `Assigning`,
        /// `Reconciling`, `Stable`.
        state: String,
        /// Its generation, or epoch.
        generation: i32,
        /// Its members.
        members: Vec<String>,
    },
    /// A coordinator removed a member.
    MemberRemoved {
        /// The group.
        group: String,
        /// The member.
        member: String,
        /// Why.
        reason: RemovalReason,
    },
    /// A coordinator has written how far a member is on its way to what it is to have (KIP-848).
    MemberReconciled {
        /// The group.
        group: String,
        /// The member.
        member: String,
        /// Its epoch.
        epoch: i32,
        /// `STABLE`, `UNREVOKED_PARTITIONS`, `UNRELEASED_PARTITIONS`.
        state: String,
        /// What it may use.
        assigned: Vec<TopicPartition>,
        /// What it must give up before it goes on.
        revoking: Vec<TopicPartition>,
    },
    /// A broker coordinates the groups of a partition of `__consumer_offsets` now: it has read it.
    GroupsLoaded {
        /// The partition of the topic.
        partition: i32,
        /// How many groups there are.
        groups: u32,
    },

    /// A broker leads a partition of `__consumer_offsets` and could not read its log to the end.
    GroupsNotLoaded {
        /// The partition of the topic.
        partition: i32,
    },

    // ---- share groups: said by the leader of the partition ----
    /// A leader knows what a share group has done with a partition so far.
    SharePartitionLoaded {
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// Everything below is done with (SPSO).
        start: Offset,
        /// Whether that was written before; if not, `share.auto.offset.reset` has decided.
        known: bool,
        /// How many records are in flight.
        in_flight: u32,
    },
    /// A member of a share group has got records.
    ShareAcquired {
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// Who.
        member: String,
        /// The first.
        first: Offset,
        /// The last.
        last: Offset,
        /// The how many-th delivery of each it is.
        delivery_count: u16,
        /// For how long, in milliseconds.
        lock_ms: u64,
    },
    /// Records are something else to a share group now.
    ShareStateChanged {
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// Who had them.
        member: String,
        /// The first.
        first: Offset,
        /// The last.
        last: Offset,
        /// What they are.
        state: ShareState,
        /// How often they were delivered.
        delivery_count: u16,
        /// Why.
        reason: ShareReason,
    },
    /// A leader did not take what a member of a share group says of records.
    ShareAcknowledgeRefused {
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// Who.
        member: String,
        /// The first.
        first: Offset,
        /// The last.
        last: Offset,
        /// Why.
        error: ErrorCode,
    },

    // ---- controller ----
    /// A broker registered.
    BrokerRegistered {
        /// The broker.
        broker: i32,
        /// Its incarnation.
        epoch: BrokerEpoch,
    },
    /// A broker may lead and be in an ISR.
    BrokerUnfenced {
        /// The broker.
        broker: i32,
    },
    /// A broker is out: its session ran out, or it registered anew.
    BrokerFenced {
        /// The broker.
        broker: i32,
    },
    /// A broker wants to stop: it hands over its leaderships, and may not join an ISR or lead any more.
    ControlledShutdownBegan {
        /// The broker.
        broker: i32,
    },
    /// A topic was created.
    TopicCreated {
        /// One line per partition: its replicas, preferred leader first.
        topic: String,
        /// The replicas of each partition, in order.
        replicas: Vec<Vec<i32>>,
    },
    /// A leader was elected.
    LeaderElected {
        /// The partition.
        partition: TopicPartition,
        /// The leader.
        leader: i32,
        /// The new epoch.
        leader_epoch: LeaderEpoch,
        /// The new partition epoch.
        partition_epoch: PartitionEpoch,
        /// The new ISR.
        isr: Vec<i32>,
        /// Whether it was in the ISR (or ELR).
        clean: bool,
    },
    /// No replica may lead.
    PartitionOffline {
        /// The partition.
        partition: TopicPartition,
        /// The ISR that must come back.
        isr: Vec<i32>,
        /// The new leader epoch.
        leader_epoch: LeaderEpoch,
        /// The new partition epoch.
        partition_epoch: PartitionEpoch,
    },
    /// The ISR changed.
    IsrChanged {
        /// The partition.
        partition: TopicPartition,
        /// Before.
        from: Vec<i32>,
        /// After.
        to: Vec<i32>,
        /// The new partition epoch.
        partition_epoch: PartitionEpoch,
    },
    /// A topic got more partitions.
    PartitionsAdded {
        /// The topic.
        topic: String,
        /// The number of the first of them.
        first: i32,
        /// The replicas of each, in order.
        replicas: Vec<Vec<i32>>,
    },
    /// A topic was deleted, with everything in it.
    TopicDeleted {
        /// The topic.
        topic: String,
    },
    /// A partition moves to other replicas, has arrived, or goes back (KIP-455).
    ReplicasReassigned {
        /// The partition.
        partition: TopicPartition,
        /// All its replicas now, preferred leader first.
        replicas: Vec<i32>,
        /// Those on their way in.
        adding: Vec<i32>,
        /// Those on their way out.
        removing: Vec<i32>,
    },
    /// Other replicas outside the ISR are known to have everything committed, or none any more (KIP-966).
    EligibleLeadersChanged {
        /// The partition.
        partition: TopicPartition,
        /// The eligible leader replicas.
        elr: Vec<i32>,
        /// The last leader, where ISR and ELR are empty.
        last_known_elr: Vec<i32>,
    },
    /// A property was changed while everything runs.
    ConfigAltered {
        /// Whose: `topic orders`, `broker 1`, `all brokers`, `client p1`.
        resource: String,
        /// The property, by Kafka's name.
        name: String,
        /// Its value; none is the default again.
        value: Option<String>,
    },

    // ---- clients ----
    /// An admin client heard what became of a call.
    AdminAnswered {
        /// The call.
        call: String,
        /// The error, or `NONE`.
        error: ErrorCode,
    },
    /// The application called `send()`.
    RecordSent {
        /// This call.
        record: RecordId,
        /// The topic.
        topic: String,
        /// The key.
        key: Option<Payload>,
        /// The value.
        value: Option<Payload>,
        /// The earlier call that the application repeats with it.
        resend_of: Option<RecordId>,
    },
    /// A record found its place in a batch.
    RecordBatched {
        /// The record.
        record: RecordId,
        /// The partition.
        partition: TopicPartition,
        /// The batch: the n-th of this client, from 1.
        batch: u64,
    },
    /// A batch was handed to the network.
    BatchSent {
        /// The batch.
        batch: u64,
        /// The partition.
        partition: TopicPartition,
        /// 1 for the first time.
        attempt: u32,
        /// Producer id, or -1.
        producer_id: i64,
        /// Its epoch, or -1.
        producer_epoch: ProducerEpoch,
        /// Sequence of the first record, or -1.
        base_sequence: Sequence,
        /// To which broker.
        broker: i32,
    },
    /// A batch will be sent again.
    BatchRetried {
        /// The batch.
        batch: u64,
        /// The partition.
        partition: TopicPartition,
        /// Why.
        reason: RetryReason,
    },
    /// A batch that had expired on its way failed once more, and that too is held against its sequences (clients before 3.6).
    BatchFailedAgain {
        /// The batch.
        batch: u64,
        /// The partition.
        partition: TopicPartition,
        /// How its request ended.
        error: ErrorCode,
    },
    /// The callback of a record said: written.
    RecordAcknowledged {
        /// The record.
        record: RecordId,
        /// The partition.
        partition: TopicPartition,
        /// Where; -1 if unknown (acks=0, or a duplicate that fell out of the window).
        offset: Offset,
        /// acks of the producer.
        acks: i16,
    },
    /// The callback of a record, or `send()` itself, said: failed.
    RecordFailed {
        /// The record.
        record: RecordId,
        /// The partition, if it was chosen.
        partition: Option<TopicPartition>,
        /// Why.
        error: ErrorCode,
        /// Whether the write certainly did not happen.
        definite: bool,
    },
    /// A client's process ended with the record in its memory, or the asynchronous producer of 0.8 gave it up: no callback.
    RecordAbandoned {
        /// The record.
        record: RecordId,
        /// Whether it certainly never left the process.
        unsent: bool,
    },
    /// The application got a record from `poll()`.
    Polled {
        /// The partition.
        partition: TopicPartition,
        /// The offset.
        offset: Offset,
        /// The key.
        key: Option<Payload>,
        /// The value.
        value: Option<Payload>,
    },
    /// `poll()` threw.
    PollFailed {
        /// The partition.
        partition: TopicPartition,
        /// The position, where the next `poll()` begins again.
        position: Offset,
        /// Why.
        error: ErrorCode,
    },
    /// A consumer's position was set, not by reading.
    PositionReset {
        /// The partition.
        partition: TopicPartition,
        /// The position before, or -1.
        from: Offset,
        /// The position now.
        to: Offset,
        /// Why.
        reason: ResetReason,
        /// The replica that was asked and said so; none where none was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        told_by: Option<NodeId>,
    },
    /// A consumer has an assignment of its group.
    PartitionsAssigned {
        /// The group.
        group: String,
        /// Its member id.
        member: String,
        /// The generation, or the epoch of the member.
        generation: i32,
        /// All that it has now.
        partitions: Vec<TopicPartition>,
    },
    /// A consumer gives up partitions.
    PartitionsRevoked {
        /// The group.
        group: String,
        /// Which.
        partitions: Vec<TopicPartition>,
        /// It was fenced or left: somebody else may have them already.
        lost: bool,
    },
    /// `pause()`: `poll()` returns nothing of these partitions any more.
    PartitionsPaused {
        /// Which.
        partitions: Vec<TopicPartition>,
    },
    /// `resume()`: it does again.
    PartitionsResumed {
        /// Which.
        partitions: Vec<TopicPartition>,
    },
    /// A call of the application threw a `WakeupException`, because another thread had called `wakeup()`.
    WokenUp {
        /// `poll()` or `commitSync()`.
        call: String,
    },
    /// A consumer heard what became of a commit.
    CommitAnswered {
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// The offset of the next record.
        offset: Offset,
        /// The error, or `NONE`.
        error: ErrorCode,
    },
    /// The application has processed a record: its effect is there.
    Processed {
        /// The group, if it has one.
        group: Option<String>,
        /// The partition.
        partition: TopicPartition,
        /// The offset.
        offset: Offset,
    },
    /// The application could not process a record: its code threw.
    ProcessingFailed {
        /// The group, if it has one.
        group: Option<String>,
        /// The partition.
        partition: TopicPartition,
        /// The offset.
        offset: Offset,
        /// The how many-th time in this life of the program.
        attempt: u32,
    },
    /// The application goes on without having processed a record.
    GaveUp {
        /// The group, if it has one.
        group: Option<String>,
        /// The partition.
        partition: TopicPartition,
        /// The offset.
        offset: Offset,
        /// The topic that has it now: one for retries, or for dead letters. Without one nobody has it.
        to: Option<String>,
    },
    /// A member of a share group has heard which partitions it may be given records of, and asks their leaders from now on. Other
    /// members may have the same ones.
    SharePartitionsAssigned {
        /// The group.
        group: String,
        /// The member.
        member: String,
        /// Its epoch.
        epoch: i32,
        /// All that it has now.
        partitions: Vec<TopicPartition>,
    },
    /// The application got a record of a share group from `poll()`.
    SharePolled {
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// The offset.
        offset: Offset,
        /// The how many-th delivery it is.
        delivery_count: u16,
        /// The key.
        key: Option<Payload>,
        /// The value.
        value: Option<Payload>,
    },
    /// A member of a share group heard what became of what it had said of records.
    ShareAcknowledgeAnswered {
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// The first.
        first: Offset,
        /// The last.
        last: Offset,
        /// The error, or `NONE`.
        error: ErrorCode,
    },
    /// A store outside Kafka has written how far a program has come, in a transaction with what else was in it.
    StoreWrote {
        /// The number of the transaction.
        transaction: u64,
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// The offset of the next record.
        offset: Offset,
        /// The records whose results are in the transaction.
        results: Vec<Offset>,
        /// The client that asked for it.
        client: u32,
    },
    /// A store refused a transaction: a row was not as the program expected it.
    StoreRefused {
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// What the program expected, or -1.
        expected: Offset,
        /// What was there, or -1.
        found: Offset,
        /// The client that asked for it.
        client: u32,
    },
    /// A store has started, and read what its disk had kept.
    StoreLoaded {
        /// The number of the last transaction that it has.
        transactions: u64,
    },
    /// A client believes something that its owner should know: a disabled guarantee, a setting without effect.
    ClientWarned {
        /// In words.
        what: String,
    },

    // ---- the end: what the disks hold, read by the world ----
    /// A partition as it is at the end, by the controller's word.
    PartitionSurveyed {
        /// The partition.
        partition: TopicPartition,
        /// All its replicas, preferred leader first.
        replicas: Vec<i32>,
        /// Those on their way in.
        adding: Vec<i32>,
        /// Those on their way out.
        removing: Vec<i32>,
        /// The eligible leader replicas.
        elr: Vec<i32>,
        /// The last leader, where ISR and ELR are empty.
        last_known_elr: Vec<i32>,
    },
    /// A replica as it is at the end.
    ReplicaSurveyed {
        /// The partition.
        partition: TopicPartition,
        /// The broker.
        broker: i32,
        /// Whether its process runs.
        running: bool,
        /// Whether it leads, by the controller's word.
        leader: bool,
        /// Whether it is in the ISR, by the controller's word.
        in_isr: bool,
        /// Log start offset.
        log_start: Offset,
        /// High watermark.
        high_watermark: Offset,
        /// Log end offset.
        log_end: Offset,
        /// The epoch of its last record.
        leader_epoch: LeaderEpoch,
    },
    /// A consumer group as it is at the end, by its coordinator's word: the node of this fact.
    GroupSurveyed {
        /// The group.
        group: String,
        /// Its state; `Unknown` if no broker that runs coordinates it.
        state: String,
        /// How its partitions are assigned; empty without members.
        assignor: String,
        /// The ids of its members.
        members: Vec<String>,
    },
    /// The epochs of a group of the consumer protocol at the end (KIP-848).
    GroupEpochsSurveyed {
        /// The group.
        group: String,
        /// The epoch of the group.
        epoch: i32,
        /// The group epoch of which the target assignment is.
        target_epoch: i32,
    },
    /// A member of such a group at the end.
    GroupMemberSurveyed {
        /// The group.
        group: String,
        /// Its member id.
        member: String,
        /// From where it connected.
        host: String,
        /// Its `client.id`.
        client_id: String,
        /// Its epoch.
        epoch: i32,
        /// What it may use.
        assigned: Vec<TopicPartition>,
        /// What it is to have in the end.
        target: Vec<TopicPartition>,
    },
    /// How far a group is in a partition at the end, and whose that partition is.
    GroupPartitionSurveyed {
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// The committed offset, or -1.
        committed: Offset,
        /// The member that it is assigned to; empty if it is nobody's.
        member: String,
        /// From where that member connected.
        host: String,
        /// Its `client.id`.
        client_id: String,
    },
    /// What a share group has done with a partition at the end, by the word of its leader: the node of this fact.
    SharePartitionSurveyed {
        /// The group.
        group: String,
        /// The partition.
        partition: TopicPartition,
        /// Everything below is done with (SPSO).
        start: Offset,
        /// Nothing from here on was handed out (SPEO).
        end: Offset,
        /// How many in between wait for a member.
        available: u32,
        /// How many of them a member has.
        acquired: u32,
    },
    /// A record in the surviving log: that of the leader, or of every replica if there is no leader.
    RecordSurveyed {
        /// The partition.
        partition: TopicPartition,
        /// On which broker.
        broker: i32,
        /// The offset.
        offset: Offset,
        /// The epoch of its batch.
        leader_epoch: LeaderEpoch,
        /// The key.
        key: Option<Payload>,
        /// The value.
        value: Option<Payload>,
    },
    /// Something did not come to an end in time.
    Stuck {
        /// What waits, and for what.
        what: String,
    },
    /// The run is over.
    RunEnded {
        /// Whether everything came to rest before time ran out.
        quiescent: bool,
    },
}

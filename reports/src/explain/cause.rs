//! Why an anomaly happened: a closed list of mechanisms, a sentence each.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $sentence:literal;)*) => {
        /// A mechanism. `unknown` where the walk over causes does not reach one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Cause {
            $($(#[$doc])* #[doc = concat!("`", $name, "`: ", $sentence, ".")] #[serde(rename = $name)] $variant),*
        }

        impl Cause {
            /// Every cause.
            pub const ALL: &'static [Cause] = &[$(Cause::$variant),*];

            /// The name in reports and expectations.
            pub fn name(self) -> &'static str {
                match self { $(Cause::$variant => $name),* }
            }

            /// What happened, in a sentence without its full stop.
            pub fn sentence(self) -> &'static str {
                match self { $(Cause::$variant => $sentence),* }
            }
        }
    };
}

causes! {
    // ---- lost ----
    AcknowledgedBeforeReplicated = "acknowledged-before-replicated",
        "the leader acknowledged the record before its successor had a copy";
    AcknowledgedForAnother = "acknowledged-for-another",
        "the client gave the record's batch the sequence of one that it had given up, and the leader took it for that one";
    AcknowledgedWithoutAsking = "acknowledged-without-asking",
        "at acks=0 the client reported success once the record was on its way; nobody answered for it";
    IsrShrunkToLeader = "isr-shrunk-to-leader",
        "the in-sync replicas had shrunk to the leader, so that acks=all asked it alone";
    UncleanElection = "unclean-election",
        "a replica outside the ISR was elected, and the others cut their logs to match it";
    LastKnownLeaderElected = "last-known-leader-elected",
        "nobody was in sync or eligible any more, and the last known leader was elected, whatever its log still had";
    InSyncCopiesOverruled = "in-sync-copies-overruled",
        "a replica that had lost the record led on while others in sync still had it, and they cut their logs to match";
    ReplacedIncarnationJoined = "replaced-incarnation-joined",
        "the leader asked for a broker's place in the ISR, and the next process of that broker, which lacked the record, got it";
    UnsyncedDataLostWithPower = "unsynced-data-lost-with-power",
        "the record was in the page cache of a machine that lost power, not on its disk";
    EpochsLostWithPower = "epochs-lost-with-power",
        "the log was there, but what it knew of leader epochs had gone with the power";
    EpochsDeletedWithRecords = "epochs-deleted-with-records",
        "a leader that has deleted records knows their epochs no more, and does not cut a follower that parted from it there";
    DiskLostData = "disk-lost-data",
        "a broker came back with less than it had been given, without a loss of power";
    DiskLiedAboutSync = "disk-lied-about-sync",
        "the disk had said that the record was synced, and it was not: it went with the power";
    CorruptTail = "corrupt-tail",
        "recovery cut a log at a torn or corrupt batch";
    AppendedBehindFailedWrite = "appended-behind-failed-write",
        "a write to the log had failed half-way, the broker went on behind it, and recovery cut the log there";
    TruncatedToHighWatermark = "truncated-to-high-watermark",
        "a replica cut its log to a high watermark that was behind (before KIP-101)";
    DeletedBeforeCommit = "deleted-before-commit",
        "retention deleted the record while it was not committed";
    CompactedWithoutKey = "compacted-without-key",
        "the cleaner of a compacted topic drops records without a key";
    CompactedAway = "compacted-away",
        "the cleaner dropped the last record of a key";
    RewrittenByCleaner = "rewritten-by-cleaner",
        "a bit of the record had flipped on a disk, and the cleaner wrote it anew with a checksum that fits";
    TruncatedOutOfRange = "truncated-out-of-range",
        "a follower gave up its log because its offset lay outside of the leader's";
    JoinedIsrWithoutIt = "joined-isr-without-it",
        "a replica that lacked the record was let into the ISR, and elected from there";
    ProposalForgotten = "proposal-forgotten",
        "a leader had proposed a replica for the ISR, forgot that, and did not wait for it; the controller let that replica in, and elected it later";
    // ---- dropped ----
    ClientBufferExhausted = "client-buffer-exhausted",
        "send() found no room in buffer.memory within max.block.ms and failed the record";
    MetadataTimeout = "metadata-timeout",
        "send() learned of no partition within max.block.ms and failed the record";
    RecordTooLarge = "record-too-large",
        "the record was larger than the client or the broker takes";
    ProcessExitedWithUnsentRecords = "process-exited-with-unsent-records",
        "the process ended while the record was still in its memory";
    ProcessExitedBeforeAnswer = "process-exited-before-answer",
        "the process ended while the record was on its way";
    LegacyQueueFull = "legacy-queue-full",
        "the queue of the legacy producer was full and the record was dropped";
    LegacyQueueLostWithProcess = "legacy-queue-lost-with-process",
        "the process ended with the record in the queue of the legacy producer";
    DeliveryTimeout = "delivery-timeout",
        "the record was not delivered in time and the client gave up";
    RetriesExhausted = "retries-exhausted",
        "the client used up its retries";
    RefusedByBroker = "refused-by-broker",
        "the leader refused the record";
    ClientClosed = "client-closed",
        "the producer was closed before the record was delivered";
    // ---- duplicated, reordered ----
    ResentAfterLostResponse = "resent-after-lost-response",
        "the answer was lost, the client sent the batch again, and the leader could not know it";
    ResentAfterIndefiniteError = "resent-after-indefinite-error",
        "the leader answered with an error after the append, and the client sent the batch again";
    LateRequestAppendedAfterRetry = "late-request-appended-after-retry",
        "a request that the client had given up was still appended, after its retry";
    LateRequestAppended = "late-request-appended",
        "the client had given the request up, or waited for no answer, or its process had ended, and it arrived all the same, behind later ones";
    RequestDeliveredTwice = "request-delivered-twice",
        "one request was appended twice";
    DuplicateNotRecognised = "duplicate-not-recognised",
        "the leader appended a sequence number that it had appended before";
    SequenceReset = "sequence-reset",
        "the client sent the batch again under another producer id, epoch or sequence";
    RenumberedInFlight = "renumbered-in-flight",
        "another batch of the partition failed for good, and the client sent this one again under a new epoch and sequence";
    BatchForgottenByRestart = "batch-forgotten-by-restart",
        "a leader that was started again knew only the last batch of the producer, and the client sent this one again under another sequence";
    LaterBatchTakenFirst = "later-batch-taken-first",
        "a leader that knew nothing of the producer took a later batch first and refused the earlier ones, and the client sent all of them again under a new epoch";
    BatchCompactedBeforeCopied = "batch-compacted-before-copied",
        "the cleaner had removed the batch before the next leader copied the log, which did not know it when it came again, and the client sent all of them again under a new epoch";
    ResentByApplication = "resent-by-application",
        "the application sent the record again, which is a new record to the broker";
    RetryOvertakenInFlight = "retry-overtaken-in-flight",
        "the batch was refused or lost while a later one in flight was appended, and was then sent again";
    CorruptedInFlight = "corrupted-in-flight",
        "a bit of the request flipped on its way, where no checksum covers it";
    KeysMoved = "keys-moved",
        "the topic got more partitions, and the new records of a key went to another one than its old ones";
    BufferReused = "buffer-reused",
        "the client gave the buffer of a request that it had not sent yet to another batch";
    ProducerForgotten = "producer-forgotten",
        "the leader had forgotten the producer by the time its batch came again";
    ProducerForgottenWithItsRecords = "producer-forgotten-with-its-records",
        "retention had deleted the producer's last record, and what the leader knew of the producer with it";
    ForgottenBelowLogStart = "forgotten-below-log-start",
        "the log of the leader began anew behind the producer's records, which had been deleted, and it knew nothing of the producer";
    // ---- read, stuck ----
    DeletedByRetention = "deleted-by-retention",
        "the record was beyond retention.ms or retention.bytes before it was read";
    DeletedByOperator = "deleted-by-operator",
        "an operator deleted the record before it was read";
    TombstoneRemovedEarly = "tombstone-removed-early",
        "the cleaner removed a tombstone before delete.retention.ms had passed for its readers";
    ReaderSlowerThanTombstones = "reader-slower-than-tombstones",
        "the consumer took longer than delete.retention.ms to get from the value to where its deletion had been";
    ClockMovedAhead = "clock-moved-ahead",
        "the clock of the broker that compacted had been moved ahead, and with it the time after which tombstones go";
    ReadFromOlderCopy = "read-from-older-copy",
        "the reader got the deleted record from a copy of the log that was older than what the leader had compacted";
    PositionReset = "position-reset",
        "the consumer's position was set, not reached by reading";
    IndexMisleads = "index-misleads",
        "an index on the leader's disk points behind the record, and whoever starts to read there does not get it";
    LogReplaced = "log-replaced",
        "the log was cut and written anew below what had been told or read";
    OlderEpochReachesFurther = "older-epoch-reaches-further",
        "the log that a consumer had read lost its end to one in which an older epoch reaches as far, and the consumer compares only how far";
    TruncationUnnoticed = "truncation-unnoticed",
        "the log was cut below the consumer's position and had grown beyond it again before the consumer asked";
    PositionWithoutEpoch = "position-without-epoch",
        "the consumer's position had been set, not reached by reading, and has no epoch that would show that the log is another one";
    BufferedWithoutEpoch = "buffered-without-epoch",
        "the consumer had fetched older records where its position had been set, with no epoch to compare, and got them when others stood there";
    CorruptRecord = "corrupt-record",
        "the bytes of the record do not match their checksum, and nobody offers others";
    HighWatermarkBehind = "high-watermark-behind",
        "a new leader had not heard yet how far its predecessor had committed";
    ToldByFormerLeader = "told-by-former-leader",
        "the broker that said so did not know yet that it leads no more";
    CommittedBeforeProcessed = "committed-before-processed",
        "the group had committed the record before anybody had processed it";
    SwallowedByProgram = "swallowed-by-program",
        "the program could not process the record, caught the exception, and went on as if it had";
    StoreLostWrites = "store-lost-writes",
        "the store came back without the last transactions that it had answered";
    StaticLeaderCameBack = "static-leader-came-back",
        "the static member that leads the group came back into the assignment that stood, and nobody compared that with the partitions that there are";
    StoppedByRecord = "stopped-by-record",
        "the program does not get past a record that it cannot process";
    ConsumerGaveUp = "consumer-gave-up",
        "`poll()` threw what its consumer does not get over, and nobody started another one";
    RepeatedRequestAnswered = "repeated-request-answered",
        "something between had repeated a heartbeat, and its answer, which nobody waited for, was the one that told what is new";
    AssignmentToldOnce = "assignment-told-once",
        "a member of the share group did not get the answer that says what it has, and the coordinator does not say it again";
    SentAgainForEver = "sent-again-for-ever",
        "the application sends again whatever fails, and it fails again";
    LogEndsWithHole = "log-ends-with-hole",
        "recovery found an empty segment behind records that were lost with the power: the log ends where none of its records do";
    FetchedMoreThanSegment = "fetched-more-than-segment",
        "what a follower fetched at once was larger than segment.bytes, and it gave the partition up";
    CommittedAllTheTime = "committed-all-the-time",
        "consumers that commit by themselves write to their offsets topic all the time, and the run ended in between";
    ProcessedBeforeCommitted = "processed-before-committed",
        "the record had been processed and not committed when the partition began anew from the last commit";
    ProcessedAfterLosingPartition = "processed-after-losing-partition",
        "a member went on processing a partition that its group had given to another one";
    CommitWentBack = "commit-went-back",
        "an older commit was written over a newer one";
    CommitOfFormerGeneration = "commit-of-former-generation",
        "a member of a former generation committed over what a later one had";
    GroupForgotten = "group-forgotten",
        "the log of the groups had lost the group, and its generations began anew while a member still had the old one";
    AssignedTwice = "assigned-twice",
        "one assignment gave the partition to two members";
    OldAssignmentFollowed = "old-assignment-followed",
        "a member was still taking over what it had been given when its coordinator took it back, by what it said it had, and took it over all the same";
    InstanceIdShared = "instance-id-shared",
        "two processes named one group.instance.id, and the group took the second for the first";
    WrittenTwiceInOneEpoch = "written-twice-in-one-epoch",
        "a leader lost what it had appended, led on in the same epoch and appended something else, and nothing tells the two apart";
    NoEligibleLeader = "no-eligible-leader",
        "no replica that may lead is alive";
    NoLiveReplica = "no-live-replica",
        "an unclean election would take any replica, and the process of none runs";
    TooFewReplicasRun = "too-few-replicas-run",
        "fewer replicas run than min.insync.replicas says, and nothing is committed before there are more";
    TargetReplicaDown = "target-replica-down",
        "a partition moves when all replicas that are to have it are in sync, and one of them does not run";
    ProposalRefused = "proposal-refused",
        "the controller refused a proposal for which the leader had held the high watermark back, and the leader looks again only when somebody appends or fetches something new";
    EpochNotNoted = "epoch-not-noted",
        "a leader has written nothing in its epoch and has not noted it either, and cannot tell a follower with a newer epoch than it knows where that one ends";
    KeptWhereItParted = "kept-where-it-parted",
        "a follower was not cut where its log had parted from its leader's, and refuses what it is offered there";
    AcquisitionLockExpired = "acquisition-lock-expired",
        "a member of the share group kept the record for longer than group.share.record.lock.duration.ms, and the leader gave it to somebody else";
    AcquisitionForgotten = "acquisition-forgotten",
        "the partition got another leader, and that one does not know in whose hands the record was";
    ProcessedBeforeAcknowledged = "processed-before-acknowledged",
        "the record had been processed and not acknowledged when the share session of its member ended";
    AcknowledgedBeforeProcessed = "acknowledged-before-processed",
        "a member of the share group accepted the record before anybody had processed it";
    DeliveryLimitReached = "delivery-limit-reached",
        "the record was delivered group.share.delivery.count.limit times without being accepted, and the leader archived it";
    RejectedByProgram = "rejected-by-program",
        "a member of the share group rejected the record, and the leader archived it";
    SharedWithoutOrder = "shared-without-order",
        "members of a share group have records of one partition at the same time, and each works at its own pace";
    // ---- neither ----
    Unknown = "unknown",
        "the facts do not tell";
}

impl Cause {
    /// The cause of this name.
    pub fn by_name(name: &str) -> Option<Cause> {
        Cause::ALL.iter().copied().find(|cause| cause.name() == name)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

//! Which anomalies a configuration permits: a permitted one is a lesson, a forbidden one a bug.
//!
//! Kafka: what `ProducerConfig`, `TopicConfig` and `KafkaConfig` promise in their documentation.
//! Not modelled: transactions promise nothing here yet.

mod breaks;
mod groups;
mod reading;
mod sequences;
mod stuck;

use ackproof_core::coordinator::group::GROUP_METADATA_TOPIC;
use serde::{Deserialize, Serialize};

use crate::anomaly::{Anomaly, Kind};
use crate::explain::Cause;
use sequences::{is_renumbering, permits_renumbering, permits_taking_for_another};

/// Everything that a verdict depends on besides the facts, built by the caller from the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The producers.
    #[serde(default)]
    pub producers: Vec<ProducerContract>,
    /// The topics.
    #[serde(default)]
    pub topics: Vec<TopicContract>,
    /// The consumers.
    #[serde(default)]
    pub consumers: Vec<ConsumerContract>,
    /// The fixes that this version of the brokers does not have yet, of those in [`Contract::FIXES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// What else a reader should know: network, power domains. Repeated in reports, never judged by.
    #[serde(default)]
    pub notes: Vec<String>,
}

const PID_STATE_RETAINED: &str = "pid_state_retained";
const APPEND_FENCE: &str = "append_fence_after_error";
const DELETE_HORIZON: &str = "delete_horizon";
const ISR_BROKER_EPOCH: &str = "isr_broker_epoch";
const SHARE_ASSIGNMENT_REPEATED: &str = "share_assignment_repeated";
const STRICT_MIN_ISR: &str = "strict_min_isr";

/// `Partition.makeLeader` takes a state of the partition epoch that it has, and with it drops what is pending. Until it knows the next one it
/// does not wait for whom it has proposed, and the controller may have let in. The next process of a leader knows of no proposal either, and the
/// controller accepts what the one before had sent as long as its session lasts (`ClusterControlManager.checkBrokerEpoch`).
const DROPPED: &str = "the leader did not know of a proposal of its own that was under way, as in Kafka: metadata of a partition epoch that it knew had made it drop it, or it is the next process in the same epoch";
/// `AlterPartition` before 3.5 names a broker and not its incarnation.
const REPLACED: &str = "before 3.5 a leader's proposal names no process, and that of a broker that has been replaced lets the next one in: KIP-903";
const UNFENCED: &str = "before 2.8 a broker goes on appending behind what a failed write has left: KAFKA-10778";

impl Contract {
    /// Fixes without which a version promises less than its documentation says, by the names of their toggles.
    pub const FIXES: [&str; 6] =
        [PID_STATE_RETAINED, APPEND_FENCE, DELETE_HORIZON, ISR_BROKER_EPOCH, SHARE_ASSIGNMENT_REPEATED, STRICT_MIN_ISR];

    /// Whether a high watermark stands still while the ISR is smaller than `min.insync.replicas` (KAFKA-15583).
    pub(crate) fn has_strict_min_isr(&self) -> bool {
        !self.lacks(STRICT_MIN_ISR)
    }

    fn lacks(&self, fix: &str) -> bool {
        self.lacks.iter().any(|lacked| lacked == fix)
    }
}

/// What a producer asks for, and what its application does with the answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerContract {
    /// Its number, as in `NodeId::Client`.
    pub client: u32,
    /// Its name in the scenario.
    pub name: String,
    /// `client.id`.
    pub client_id: String,
    /// `acks`, or `request.required.acks`: 0, 1 or -1 for all.
    pub acks: i16,
    /// `enable.idempotence`, as it is in effect.
    pub idempotence: bool,
    /// `retries`, or `message.send.max.retries`.
    pub retries: u32,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: u32,
    /// Whether it begins a new epoch where a sequence is lost (KIP-360; clients since 2.5), and uses none twice.
    #[serde(default)]
    pub bumps_epoch: bool,
    /// Whether it is the Scala producer of 0.8.
    pub legacy: Option<LegacyKind>,
    /// What the application does when a record fails.
    pub on_error: OnError,
    /// How the application ends.
    pub ending: Ending,
}

/// `producer.type` of the Scala producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegacyKind {
    /// `send()` waits for the answer.
    Sync,
    /// `send()` fills a queue.
    Async,
}

/// What the application does when a record fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// Nothing: fire and forget.
    Ignore,
    /// It sends the record again.
    Resend,
    /// It stops, and somebody knows.
    Stop,
}

/// How the application ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It calls `close()`, which waits for what is pending.
    Closes,
    /// It exits as it is.
    Exits,
}

/// What a topic's configuration promises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicContract {
    /// Its name.
    pub name: String,
    /// How many replicas.
    pub replication_factor: i16,
    /// `min.insync.replicas`.
    pub min_insync_replicas: u32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// Whether replicas that left the ISR below `min.insync.replicas` stay eligible as leaders (KIP-966).
    pub eligible_leader_replicas: bool,
    /// Whether an operator asks for unclean elections, which no setting forbids.
    #[serde(default)]
    pub unclean_by_operator: bool,
    /// `flush.messages`.
    pub flush_messages: u64,
    /// Whether `cleanup.policy` has `compact`.
    #[serde(default)]
    pub compacted: bool,
    /// `delete.retention.ms`.
    #[serde(default)]
    pub delete_retention_ms: u64,
}

/// What a consumer's configuration promises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerContract {
    /// Its number, as in `NodeId::Client`.
    pub client: u32,
    /// Its name in the scenario.
    pub name: String,
    /// Whether `auto.offset.reset` is `latest`.
    pub resets_to_latest: bool,
    /// Whether it compares its position with the epochs of a new leader's log (KIP-320; clients since 2.3).
    #[serde(default)]
    pub validates_position: bool,
    /// The topics that it reads; none if that is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// `group.id`.
    pub group: Option<String>,
    /// `group.instance.id`.
    #[serde(default)]
    pub instance: Option<String>,
    /// Whether it is not told that it leads when it comes back as a static member (KAFKA-13435; clients before 3.2).
    #[serde(default)]
    pub returns_without_leading: bool,
    /// Whether its program says what it has processed.
    pub says_processed: bool,
    /// Whether its program commits what it has not processed yet.
    pub commits_before_processing: bool,
    /// Whether processing a record again changes nothing.
    pub upserts: bool,
    /// Whether its sink has one value for each key, and what is written last wins.
    #[serde(default)]
    pub last_wins: bool,
    /// Whether its sink has one value for each key, and an older record changes nothing.
    #[serde(default)]
    pub versioned: bool,
}

/// Whether a configuration permits an anomaly, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permitted {
    /// Yes, no, or it depends on what is not known.
    #[serde(rename = "permitted")]
    pub answer: Answer,
    /// A sentence without its full stop.
    #[serde(rename = "permitted_because")]
    pub because: String,
}

/// Three-valued: what is not known stays unknown. In JSON `true`, `false` or `"unknown"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "WrittenAnswer", into = "WrittenAnswer")]
pub enum Answer {
    /// Permitted: a lesson.
    Yes,
    /// Forbidden: a bug.
    No,
    /// It depends.
    Unknown,
}

/// An answer as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenAnswer {
    Known(bool),
    Unknown(NotKnown),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NotKnown {
    Unknown,
}

impl From<WrittenAnswer> for Answer {
    fn from(written: WrittenAnswer) -> Self {
        match written {
            WrittenAnswer::Known(true) => Answer::Yes,
            WrittenAnswer::Known(false) => Answer::No,
            WrittenAnswer::Unknown(NotKnown::Unknown) => Answer::Unknown,
        }
    }
}

impl From<Answer> for WrittenAnswer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Yes => WrittenAnswer::Known(true),
            Answer::No => WrittenAnswer::Known(false),
            Answer::Unknown => WrittenAnswer::Unknown(NotKnown::Unknown),
        }
    }
}

impl Answer {
    /// `yes`, `no` or `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::No => "no",
            Answer::Unknown => "unknown",
        }
    }
}

impl Permitted {
    /// Permitted.
    pub fn yes(because: impl Into<String>) -> Self {
        Self { answer: Answer::Yes, because: because.into() }
    }
    /// Forbidden.
    pub fn no(because: impl Into<String>) -> Self {
        Self { answer: Answer::No, because: because.into() }
    }
    /// It depends.
    pub fn unknown(because: impl Into<String>) -> Self {
        Self { answer: Answer::Unknown, because: because.into() }
    }
}

impl Contract {
    /// What the producer of this number asks for.
    pub fn producer(&self, client: u32) -> Option<&ProducerContract> {
        self.producers.iter().find(|producer| producer.client == client)
    }

    /// What the topic of this name promises.
    pub fn topic(&self, name: &str) -> Option<&TopicContract> {
        self.topics.iter().find(|topic| topic.name == name)
    }

    /// Whether two consumers are one static member to their group.
    pub fn share_an_instance(&self, one: u32, other: u32) -> bool {
        let of = |client: u32| {
            let consumer = self.consumers.iter().find(|consumer| consumer.client == client)?;
            Some((consumer.group.as_ref()?, consumer.instance.as_ref()?))
        };
        one != other && of(one).is_some() && of(one) == of(other)
    }

    /// Whether this configuration permits the anomaly with its cause; without one, whether it permits its kind.
    pub fn permits(&self, anomaly: &Anomaly) -> Permitted {
        match anomaly.kind {
            Kind::LostWrite | Kind::InconsistentOffsets
                if matches!(anomaly.cause, Some(Cause::DeletedByRetention | Cause::DeletedByOperator)) =>
            {
                Permitted::yes(
                    "what was deleted by the rules is promised no more, and a leader that does not know of its successor gives the offset out again",
                )
            }
            Kind::LostWrite | Kind::InconsistentOffsets => self.permits_loss(anomaly),
            Kind::SilentDrop => self.permits_drop(anomaly),
            Kind::Unavailable => self.permits_unavailability(anomaly),
            Kind::Duplicate => self.permits_duplicate(anomaly),
            Kind::Reorder | Kind::ReplayReorder => self.permits_reorder(anomaly),
            Kind::KeyReorder => Permitted::yes("order is kept within a partition, and more partitions move keys"),
            Kind::Phantom => Permitted::no("what was reported as certainly not written must not appear"),
            Kind::Misrouted => match anomaly.cause {
                Some(Cause::CorruptedInFlight) => {
                    Permitted::yes("the CRC of a batch covers its records, not where they go; TLS would")
                }
                Some(_) | None => Permitted::no("a record must arrive in the partition it was sent to"),
            },
            Kind::Stuck if matches!(anomaly.cause, Some(Cause::NoEligibleLeader | Cause::NoLiveReplica)) => {
                self.permits_unavailability(anomaly)
            }
            Kind::Stuck => stuck::permits(anomaly.cause, self.lacks(SHARE_ASSIGNMENT_REPEATED)),
            Kind::StaleEndOffset => reading::permits_stale_end(anomaly),
            Kind::PollSkip | Kind::NonmonotonicPoll | Kind::Unseen => self.permits_reading(anomaly),
            Kind::LostDelivery => self.permits_lost_delivery(anomaly),
            Kind::EffectReorder => groups::permits_effect_reorder(anomaly),
            Kind::DuplicateDelivery => groups::permits_duplicate_delivery(anomaly),
            Kind::TwoOwners => groups::permits_two_owners(anomaly),
            Kind::NonmonotonicCommit => groups::permits_nonmonotonic_commit(anomaly),
            Kind::ExpiredUnread => {
                Permitted::yes("a log keeps records for as long as retention and its operators say, read or not")
            }
            Kind::StaleKey => self.permits_missed_deletion(anomaly),
        }
    }

    fn permits_loss(&self, anomaly: &Anomaly) -> Permitted {
        let acks = anomaly.record.and_then(|record| self.producer(record.client)).map(|producer| producer.acks);
        let topic = anomaly.topic.as_deref().and_then(|name| self.topic(name));
        let Some(cause) = anomaly.cause else { return loss_by_kind(acks, topic) };
        match cause {
            Cause::AcknowledgedWithoutAsking => Permitted::yes("acks=0 promises nothing"),
            Cause::AcknowledgedBeforeReplicated => match acks {
                Some(1) => Permitted::yes("acks=1 promises only the leader's copy"),
                Some(0) => Permitted::yes("acks=0 promises nothing"),
                Some(_) => Permitted::no("acks=all promises a copy on every in-sync replica"),
                None => Permitted::unknown("it depends on acks, which is not known"),
            },
            Cause::AcknowledgedForAnother => {
                permits_taking_for_another(anomaly.record.and_then(|record| self.producer(record.client)))
            }
            Cause::IsrShrunkToLeader => match topic.map(|topic| topic.min_insync_replicas) {
                Some(..=1) => Permitted::yes("min.insync.replicas=1 lets the leader alone stand for all"),
                Some(replicas) => Permitted::no(format!("min.insync.replicas={replicas} promises that many copies")),
                None => Permitted::unknown("it depends on min.insync.replicas, which is not known"),
            },
            Cause::UncleanElection => permits_unclean(topic),
            Cause::UnsyncedDataLostWithPower | Cause::CorruptTail => match topic.map(|topic| topic.flush_messages) {
                Some(1) => Permitted::no("flush.messages=1 syncs every record before it is acknowledged"),
                Some(_) => Permitted::yes(
                    "an acknowledgement promises copies, not fsync: what is unsynced may go with the power",
                ),
                None => Permitted::unknown("it depends on flush.messages, which is not known"),
            },
            Cause::EpochsLostWithPower => Permitted::yes(
                "flush.messages syncs records; a log that has lost its leader epochs with the power is cut to its high watermark all the same",
            ),
            Cause::LastKnownLeaderElected => match topic.map(|topic| topic.flush_messages) {
                Some(1) => Permitted::no("flush.messages=1 syncs every record before it is acknowledged"),
                Some(_) => Permitted::yes(
                    "without ISR and ELR the last known leader leads again, and what was not synced may be gone from it",
                ),
                None => Permitted::unknown("it depends on flush.messages, which is not known"),
            },
            Cause::InSyncCopiesOverruled => match acks {
                Some(1) => Permitted::yes("acks=1 promises only the leader's copy"),
                Some(_) => Permitted::no("what acks=all acknowledged survives as long as one in-sync replica has it"),
                None => Permitted::unknown("it depends on acks, which is not known"),
            },
            Cause::ReplacedIncarnationJoined => self.permits_replacement(),
            Cause::AppendedBehindFailedWrite => self.permits_appending_behind(),
            Cause::ProposalForgotten => Permitted::yes(DROPPED),
            Cause::DiskLiedAboutSync => {
                Permitted::yes("no setting of Kafka survives a disk that says synced and is not")
            }
            Cause::DeletedBeforeCommit => Permitted::no("retention must not delete what is not committed"),
            Cause::CompactedWithoutKey => {
                Permitted::yes("cleanup.policy=compact keeps the last record of each key, and there is no key")
            }
            Cause::CompactedAway => Permitted::no("cleanup.policy=compact keeps the last record of each key"),
            Cause::DiskLostData | Cause::CorruptRecord => {
                Permitted::unknown("a disk that loses what was synced breaks Kafka's own assumption")
            }
            Cause::TruncatedToHighWatermark | Cause::TruncatedOutOfRange | Cause::JoinedIsrWithoutIt => {
                Permitted::no("an acknowledged record must survive a change of leader")
            }
            _ => loss_by_kind(acks, topic),
        }
    }

    fn permits_appending_behind(&self) -> Permitted {
        if self.lacks(APPEND_FENCE) {
            Permitted::yes(UNFENCED)
        } else {
            Permitted::no("since 2.8 a broker takes a log directory out of use after a failed append: KAFKA-10778")
        }
    }

    fn permits_replacement(&self) -> Permitted {
        if self.lacks(ISR_BROKER_EPOCH) {
            Permitted::yes(REPLACED)
        } else {
            Permitted::no("since 3.5 a process that has been replaced is not let into the ISR: KIP-903")
        }
    }

    fn permits_drop(&self, anomaly: &Anomaly) -> Permitted {
        let producer = anomaly.record.and_then(|record| self.producer(record.client));
        match anomaly.cause {
            Some(Cause::AcknowledgedWithoutAsking) => Permitted::yes("acks=0 promises nothing"),
            Some(Cause::LegacyQueueLostWithProcess) => {
                Permitted::yes("producer.type=async returns before anything is sent, and its queue is in memory")
            }
            Some(Cause::ProcessExitedWithUnsentRecords | Cause::ProcessExitedBeforeAnswer) => {
                Permitted::yes("send() only fills a buffer in memory: what was not acknowledged was not promised")
            }
            Some(Cause::RetriesExhausted)
                if producer.is_some_and(|producer| producer.legacy == Some(LegacyKind::Async)) =>
            {
                Permitted::yes("producer.type=async gives up after its retries and tells its log, not the program")
            }
            Some(_) | None => match producer {
                Some(ProducerContract { on_error: OnError::Ignore, .. }) => {
                    Permitted::yes("the client reported it and the application ignores what send() reports")
                }
                Some(_) | None => Permitted::yes("no broker had acknowledged it"),
            },
        }
    }

    fn permits_unavailability(&self, anomaly: &Anomaly) -> Permitted {
        if anomaly.cause == Some(Cause::NoLiveReplica) {
            return Permitted::yes("no setting lets a broker lead that does not run");
        }
        // Who waits for a group waits for the partition in which that lives.
        let topic = anomaly.topic.as_deref().unwrap_or(GROUP_METADATA_TOPIC);
        match self.topic(topic) {
            Some(TopicContract { unclean_leader_election: false, .. }) => Permitted::yes(
                "unclean.leader.election.enable=false waits for an in-sync replica rather than lose records",
            ),
            Some(_) => Permitted::no("unclean.leader.election.enable=true lets any live replica lead"),
            None => Permitted::unknown("it depends on unclean.leader.election.enable, which is not known"),
        }
    }

    fn permits_duplicate(&self, anomaly: &Anomaly) -> Permitted {
        let resend = Permitted::yes("what the application sends again is a new record: no setting recognises it");
        let producer = anomaly.record.and_then(|record| self.producer(record.client));
        let forgotten = producer.and(anomaly.cause).and_then(|cause| self.permits_forgetting(cause));
        if let Some(permitted) = forgotten {
            return permitted;
        }
        match (anomaly.cause, producer) {
            (Some(Cause::ResentByApplication), _) => resend,
            (_, None) => Permitted::unknown("it depends on the producer's configuration, which is not known"),
            (Some(Cause::UnsyncedDataLostWithPower), Some(_)) => Permitted::yes(
                "unsynced records may go with the power, and what a leader knew of their producer goes with them",
            ),
            (Some(Cause::UncleanElection), Some(_)) => {
                permits_unclean(anomaly.topic.as_deref().and_then(|name| self.topic(name)))
            }
            (Some(Cause::DuplicateNotRecognised), Some(_)) => {
                Permitted::no("a leader recognises the last five batches of an idempotent producer")
            }
            (Some(cause), Some(producer)) if is_renumbering(cause) => permits_renumbering(cause, producer),
            (None | Some(Cause::Unknown), Some(ProducerContract { on_error: OnError::Resend, .. })) => {
                Permitted::unknown("the application resends what failed, which no setting recognises")
            }
            (_, Some(producer)) if producer.idempotence => {
                Permitted::no("enable.idempotence=true promises each send() once in the log")
            }
            (Some(Cause::RequestDeliveredTwice), Some(_)) => repeated_by_network(),
            (_, Some(producer)) if producer.retries == 0 => Permitted::no("retries=0 sends a batch once"),
            (_, Some(_)) => Permitted::yes("without idempotence the broker cannot tell a retry from a new record"),
        }
    }

    fn permits_reorder(&self, anomaly: &Anomaly) -> Permitted {
        let Some(producer) = anomaly.record.and_then(|record| self.producer(record.client)) else {
            return Permitted::unknown("it depends on the producer's configuration, which is not known");
        };
        if let Some(cause) = anomaly.cause.filter(|cause| is_renumbering(*cause)) {
            return permits_renumbering(cause, producer);
        }
        if let Some(permitted) = anomaly.cause.and_then(|cause| self.permits_forgetting(cause)) {
            return permitted;
        }
        if producer.idempotence && anomaly.cause == Some(Cause::LateRequestAppended) {
            return Permitted::yes(
                "the producer had given the record up, or ended, and went on under another id: that ends what is promised of it",
            );
        }
        if producer.idempotence {
            return Permitted::no("enable.idempotence=true promises the order of send()");
        }
        if anomaly.cause == Some(Cause::RequestDeliveredTwice) {
            return repeated_by_network();
        }
        if anomaly.cause == Some(Cause::LateRequestAppended) {
            return Permitted::yes("without idempotence the broker cannot tell that a request is late");
        }
        if producer.retries == 0 {
            return Permitted::no("retries=0 sends every batch once, in order");
        }
        let is_replay =
            matches!(anomaly.cause, Some(Cause::ResentAfterLostResponse | Cause::ResentAfterIndefiniteError));
        if anomaly.kind == Kind::ReplayReorder || is_replay {
            return Permitted::yes("without idempotence a retry is a new record at the end of the log");
        }
        match anomaly.cause {
            Some(Cause::LateRequestAppendedAfterRetry) => {
                Permitted::yes("without idempotence the broker cannot tell that a request is late")
            }
            Some(_) | None if producer.max_in_flight > 1 => Permitted::yes(format!(
                "max.in.flight.requests.per.connection={} lets a retry be overtaken",
                producer.max_in_flight
            )),
            Some(_) | None => Permitted::no("max.in.flight.requests.per.connection=1 lets nothing overtake"),
        }
    }
}

fn permits_unclean(topic: Option<&TopicContract>) -> Permitted {
    match topic {
        Some(topic) if topic.unclean_leader_election => {
            Permitted::yes("unclean.leader.election.enable=true lets a replica lead that lacks acknowledged records")
        }
        Some(topic) if topic.unclean_by_operator => Permitted::yes(
            "an operator asked for an unclean election, which unclean.leader.election.enable=false does not prevent",
        ),
        Some(_) => Permitted::no("unclean.leader.election.enable=false lets only in-sync replicas lead"),
        None => Permitted::unknown("it depends on unclean.leader.election.enable, which is not known"),
    }
}

fn repeated_by_network() -> Permitted {
    Permitted::yes(
        "without idempotence the broker cannot tell a request that something between repeated from a new one",
    )
}

/// Whether a loss of unknown mechanism is within the contract.
fn loss_by_kind(acks: Option<i16>, topic: Option<&TopicContract>) -> Permitted {
    match (acks, topic) {
        (Some(0), _) => Permitted::yes("acks=0 promises nothing"),
        (Some(1), _) => Permitted::yes("acks=1 promises only the leader's copy"),
        (Some(_), Some(topic)) if topic.min_insync_replicas <= 1 => {
            Permitted::unknown("min.insync.replicas=1 permits it once the ISR has shrunk to the leader")
        }
        (Some(_), Some(topic)) if topic.unclean_leader_election => {
            Permitted::unknown("unclean.leader.election.enable=true permits it after an unclean election")
        }
        (Some(_), Some(topic)) if topic.unclean_by_operator => {
            Permitted::unknown("an operator's unclean election permits it")
        }
        (Some(_), Some(topic)) if topic.flush_messages != 1 => {
            Permitted::unknown("nothing is synced before it is acknowledged: power loss permits it")
        }
        (Some(_), Some(_)) => Permitted::no("acks=all with these settings keeps what it acknowledged"),
        (None, _) | (_, None) => Permitted::unknown("it depends on a configuration that is not known"),
    }
}

//! Kafka's error codes: number, name, whether a client retries them, and whether they are *definite*.
//!
//! Kafka: `org.apache.kafka.common.protocol.Errors`, `RetriableException`.
//!
//! A definite error says that the write did not happen and never will; after any other one the record may be in
//! the log, now or later. Judges call a write with an indefinite error *indeterminate*.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An error code on the wire, or one of the client's own below -1000 (see the constants).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

/// Whether a client tries again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Retry {
    Retriable,
    Fatal,
}

/// Whether the write certainly did not happen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Certainty {
    Definite,
    Indefinite,
}

use Certainty::{Definite, Indefinite};
use Retry::{Fatal, Retriable};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $retry:ident, $certainty:ident;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: ErrorCode = ErrorCode($code);)*

            fn row(self) -> Option<(&'static str, Retry, Certainty)> {
                match self.0 {
                    $($code => Some((stringify!($name), $retry, $certainty)),)*
                    _ => None,
                }
            }

            fn by_name(name: &str) -> Option<ErrorCode> {
                match name {
                    $(stringify!($name) => Some(ErrorCode($code)),)*
                    _ => None,
                }
            }
        }
    };
}

error_codes! {
    /// No error.
    NONE = 0, Fatal, Definite;
    /// Something unexpected at the broker.
    UNKNOWN_SERVER_ERROR = -1, Fatal, Indefinite;
    /// The offset lies outside the log.
    OFFSET_OUT_OF_RANGE = 1, Fatal, Definite;
    /// A batch failed its CRC.
    CORRUPT_MESSAGE = 2, Retriable, Definite;
    /// The broker does not know the partition.
    UNKNOWN_TOPIC_OR_PARTITION = 3, Retriable, Definite;
    /// The partition has no leader right now.
    LEADER_NOT_AVAILABLE = 5, Retriable, Definite;
    /// The broker does not lead (or follow) the partition. It can come after the append (a leader that resigned while
    /// the request waited in purgatory), so it is not definite.
    NOT_LEADER_OR_FOLLOWER = 6, Retriable, Indefinite;
    /// The request waited longer than its timeout.
    REQUEST_TIMED_OUT = 7, Retriable, Indefinite;
    /// The replica is not available.
    REPLICA_NOT_AVAILABLE = 9, Retriable, Definite;
    /// A batch is larger than `max.message.bytes`.
    MESSAGE_TOO_LARGE = 10, Fatal, Definite;
    /// The text beside a committed offset is too long.
    OFFSET_METADATA_TOO_LARGE = 12, Fatal, Definite;
    /// The connection broke before the answer came.
    NETWORK_EXCEPTION = 13, Retriable, Indefinite;
    /// The coordinator is reading its log.
    COORDINATOR_LOAD_IN_PROGRESS = 14, Retriable, Definite;
    /// There is no coordinator right now, or what it wrote is not replicated enough.
    COORDINATOR_NOT_AVAILABLE = 15, Retriable, Indefinite;
    /// Another broker coordinates the group.
    NOT_COORDINATOR = 16, Retriable, Indefinite;
    /// The topic name is not legal.
    INVALID_TOPIC_EXCEPTION = 17, Fatal, Definite;
    /// A batch is larger than a segment.
    RECORD_LIST_TOO_LARGE = 18, Fatal, Definite;
    /// Fewer in-sync replicas than `min.insync.replicas`; nothing was appended.
    NOT_ENOUGH_REPLICAS = 19, Retriable, Definite;
    /// Fewer in-sync replicas than `min.insync.replicas` once it had been appended.
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20, Retriable, Indefinite;
    /// acks is none of -1, 0, 1.
    INVALID_REQUIRED_ACKS = 21, Fatal, Definite;
    /// The member is of another generation of its group.
    ILLEGAL_GENERATION = 22, Fatal, Definite;
    /// The member speaks no assignor that all the others speak.
    INCONSISTENT_GROUP_PROTOCOL = 23, Fatal, Definite;
    /// Not a group id.
    INVALID_GROUP_ID = 24, Fatal, Definite;
    /// The coordinator knows no such member.
    UNKNOWN_MEMBER_ID = 25, Fatal, Definite;
    /// The session timeout lies outside what the broker allows.
    INVALID_SESSION_TIMEOUT = 26, Fatal, Definite;
    /// The group is between two generations: join again.
    REBALANCE_IN_PROGRESS = 27, Fatal, Definite;
    /// The commit does not fit into a batch.
    INVALID_COMMIT_OFFSET_SIZE = 28, Fatal, Definite;
    /// The timestamp lies outside what the topic allows.
    INVALID_TIMESTAMP = 32, Fatal, Definite;
    /// The version of the request is not spoken.
    UNSUPPORTED_VERSION = 35, Fatal, Definite;
    /// The topic exists.
    TOPIC_ALREADY_EXISTS = 36, Fatal, Definite;
    /// Not a number of partitions.
    INVALID_PARTITIONS = 37, Fatal, Definite;
    /// More replicas than brokers, or none.
    INVALID_REPLICATION_FACTOR = 38, Fatal, Definite;
    /// Not an assignment of replicas.
    INVALID_REPLICA_ASSIGNMENT = 39, Fatal, Definite;
    /// Not a configuration.
    INVALID_CONFIG = 40, Fatal, Definite;
    /// The node is not the active controller.
    NOT_CONTROLLER = 41, Retriable, Definite;
    /// The request makes no sense.
    INVALID_REQUEST = 42, Fatal, Definite;
    /// A policy forbids it; also, one request wants too much.
    POLICY_VIOLATION = 44, Fatal, Definite;
    /// A sequence that does not follow the last one.
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45, Fatal, Definite;
    /// A batch that was appended before, but is no longer in the window of five.
    DUPLICATE_SEQUENCE_NUMBER = 46, Fatal, Indefinite;
    /// A newer producer has the same id.
    INVALID_PRODUCER_EPOCH = 47, Fatal, Definite;
    /// The producer has an open transaction, and the batch is not part of it.
    INVALID_TXN_STATE = 48, Fatal, Definite;
    /// The request was not even tried: another one for the same partition is under way.
    OPERATION_NOT_ATTEMPTED = 55, Fatal, Definite;
    /// The disk failed.
    KAFKA_STORAGE_ERROR = 56, Retriable, Indefinite;
    /// The broker has forgotten the producer id.
    UNKNOWN_PRODUCER_ID = 59, Fatal, Definite;
    /// There is no such group, or it speaks another protocol.
    GROUP_ID_NOT_FOUND = 69, Fatal, Definite;
    /// The fetch session is unknown (KIP-227).
    FETCH_SESSION_ID_NOT_FOUND = 70, Retriable, Definite;
    /// The fetch session is at another epoch (KIP-227).
    INVALID_FETCH_SESSION_EPOCH = 71, Retriable, Definite;
    /// `delete.topic.enable` is false.
    TOPIC_DELETION_DISABLED = 73, Fatal, Definite;
    /// The client's leader epoch is older than the broker's (KIP-320).
    FENCED_LEADER_EPOCH = 74, Retriable, Definite;
    /// The client's leader epoch is newer than the broker's (KIP-320).
    UNKNOWN_LEADER_EPOCH = 75, Retriable, Definite;
    /// The codec is not supported.
    UNSUPPORTED_COMPRESSION_TYPE = 76, Fatal, Definite;
    /// The broker epoch is not that of the current incarnation.
    STALE_BROKER_EPOCH = 77, Fatal, Definite;
    /// The high watermark has not reached this leader's epoch yet (KIP-207).
    OFFSET_NOT_AVAILABLE = 78, Retriable, Definite;
    /// The member must come back with the id it was given (KIP-394).
    MEMBER_ID_REQUIRED = 79, Fatal, Definite;
    /// The preferred replica cannot lead.
    PREFERRED_LEADER_NOT_AVAILABLE = 80, Retriable, Definite;
    /// Another process has the same `group.instance.id` now (KIP-345).
    FENCED_INSTANCE_ID = 82, Fatal, Definite;
    /// No replica can lead.
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83, Retriable, Definite;
    /// The leader is the wanted one already.
    ELECTION_NOT_NEEDED = 84, Retriable, Definite;
    /// There is no reassignment to be cancelled.
    NO_REASSIGNMENT_IN_PROGRESS = 85, Fatal, Definite;
    /// A record failed validation.
    INVALID_RECORD = 87, Fatal, Definite;
    /// The proposed partition state is older than the controller's.
    INVALID_UPDATE_VERSION = 95, Fatal, Definite;
    /// The topic id is unknown (KIP-516).
    UNKNOWN_TOPIC_ID = 100, Retriable, Definite;
    /// Another live broker has this id.
    DUPLICATE_BROKER_REGISTRATION = 101, Fatal, Definite;
    /// The broker never registered.
    BROKER_ID_NOT_REGISTERED = 102, Fatal, Definite;
    /// A replica that may not join the ISR (KIP-841).
    INELIGIBLE_REPLICA = 107, Fatal, Definite;
    /// The change elected another leader (KIP-966).
    NEW_LEADER_ELECTED = 108, Fatal, Definite;
    /// The member is in another epoch of its group, and must begin anew (KIP-848).
    FENCED_MEMBER_EPOCH = 110, Fatal, Definite;
    /// Another member with this `group.instance.id` has not left (KIP-848).
    UNRELEASED_INSTANCE_ID = 111, Fatal, Definite;
    /// The coordinator has no such assignor (KIP-848).
    UNSUPPORTED_ASSIGNOR = 112, Fatal, Definite;
    /// The member commits, or asks, in another epoch than it is in (KIP-848).
    STALE_MEMBER_EPOCH = 113, Fatal, Definite;
    /// A record is not in the hands of this member, or not any more (KIP-932).
    INVALID_RECORD_STATE = 121, Fatal, Definite;
    /// The leader knows of no such share session (KIP-932).
    SHARE_SESSION_NOT_FOUND = 122, Retriable, Definite;
    /// The share session is in another epoch (KIP-932).
    INVALID_SHARE_SESSION_EPOCH = 123, Retriable, Definite;
    /// The state of a share-partition has been set anew since (KIP-932).
    FENCED_STATE_EPOCH = 124, Fatal, Definite;
    /// The leader keeps no more share sessions (KIP-932).
    SHARE_SESSION_LIMIT_REACHED = 133, Retriable, Definite;
    /// Client: `delivery.timeout.ms` (or the legacy equivalent) passed. Nothing is known of the record.
    CLIENT_DELIVERY_TIMEOUT = -1001, Fatal, Indefinite;
    /// Client: the record waited for its first transmission until the timeout; it never left.
    CLIENT_EXPIRED_UNSENT = -1002, Fatal, Definite;
    /// Client: `send()` waited `max.block.ms` for room in `buffer.memory`.
    CLIENT_BUFFER_EXHAUSTED = -1003, Fatal, Definite;
    /// Client: `send()` waited `max.block.ms` for metadata.
    CLIENT_METADATA_TIMEOUT = -1004, Fatal, Definite;
    /// Client: the record is larger than `max.request.size` or `buffer.memory`.
    CLIENT_RECORD_TOO_LARGE = -1005, Fatal, Definite;
    /// Client: the producer was closed, or its process ended.
    CLIENT_CLOSED = -1006, Fatal, Definite;
    /// Client: the queue of the legacy producer is full (`QueueFullException`).
    CLIENT_QUEUE_FULL = -1007, Fatal, Definite;
    /// Client: `message.send.max.retries` of the legacy producer are used up (`FailedToSendMessageException`).
    CLIENT_FAILED_TO_SEND = -1008, Fatal, Indefinite;
    /// Client: the connection broke while the request was in flight.
    CLIENT_DISCONNECTED = -1009, Retriable, Indefinite;
    /// Client: `request.timeout.ms` passed without an answer.
    CLIENT_REQUEST_TIMEOUT = -1010, Retriable, Indefinite;
    /// Client: another thread has called `wakeup()` (`WakeupException`). A commit that it met may have been sent.
    CLIENT_WAKEUP = -1011, Fatal, Indefinite;
    /// Client: the call is not possible now (`IllegalStateException`): a share consumer polls before it has acknowledged everything.
    CLIENT_ILLEGAL_STATE = -1012, Fatal, Definite;
}

impl ErrorCode {
    /// Whether this is no error.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether Kafka's clients try again after it (`RetriableException`).
    pub fn is_retriable(self) -> bool {
        self.row().is_some_and(|(_, retry, _)| retry == Retriable)
    }

    /// Whether the write certainly did not happen.
    pub fn is_definite(self) -> bool {
        self.row().is_some_and(|(_, _, certainty)| certainty == Definite)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row() {
            Some((name, _, _)) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        ErrorCode::by_name(&text)
            .or_else(|| text.strip_prefix("error ")?.parse().ok().map(ErrorCode))
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not the name of a Kafka error")))
    }
}

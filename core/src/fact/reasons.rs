//! What facts say beside numbers: roles and reasons.

use serde::{Deserialize, Serialize};

use crate::protocol::ErrorCode;

/// How a replica takes part in its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It takes writes.
    Leader,
    /// It copies the leader.
    Follower,
}

/// Why a log lost its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TruncationReason {
    /// The leader's epochs end earlier (KIP-101, KIP-279, KIP-595).
    Diverged,
    /// Down to the high watermark, as before KIP-101.
    ToHighWatermark,
    /// Down to the high watermark, because the follower's log knows no leader epochs: their checkpoint went with the power.
    EpochsUnknown,
    /// The follower's end lies beyond anything the leader has.
    OutOfRange,
    /// Recovery after an unclean stop found a torn or corrupt batch.
    CorruptTail,
    /// The follower's log was empty, and began inside of the batch that the leader sent: it begins with that (KAFKA-6975).
    InsideBatch,
}

/// Why a log begins later than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogStartReason {
    /// Segments were older than `retention.ms`.
    RetentionMs,
    /// The log was larger than `retention.bytes`.
    RetentionBytes,
    /// An operator deleted records (DeleteRecords).
    DeleteRecords,
    /// The leader's log begins there.
    Leader,
}

/// Why a replica forgot a producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForgottenReason {
    /// It was silent for `producer.id.expiration.ms`.
    #[default]
    Silent,
    /// Its last record is deleted (before KAFKA-7190).
    RecordsDeleted,
}

/// Why a consumer's position was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetReason {
    /// It had none: `auto.offset.reset` decided.
    NoPosition,
    /// It lay outside the log: `auto.offset.reset` decided.
    OutOfRange,
    /// The log was truncated below it (KIP-320).
    Truncation,
    /// The group had committed this.
    Committed,
    /// The application sought.
    Seek,
}

/// Why a batch goes out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryReason {
    /// The broker answered with a retriable error.
    Error(ErrorCode),
    /// The connection broke before the answer.
    Disconnected,
    /// `request.timeout.ms` passed.
    RequestTimeout,
}

/// Why a member is none any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemovalReason {
    /// It said so.
    Left,
    /// It was silent for `session.timeout.ms`.
    SessionExpired,
    /// It did not join the next generation in time.
    DidNotJoin,
    /// It did not ask for its assignment in time.
    DidNotSync,
    /// It did not give up in time what it had to (KIP-848).
    DidNotRevoke,
}

/// What a record is to a share group (KIP-932).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShareState {
    /// Any member may have it.
    Available,
    /// A member has it.
    Acquired,
    /// A member has processed it.
    Acknowledged,
    /// It is delivered to nobody any more.
    Archived,
}

/// Why a record is something else to a share group than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShareReason {
    /// Its member has accepted it.
    Accepted,
    /// Its member has given it back.
    Released,
    /// Its member has rejected it.
    Rejected,
    /// There was no record at its offset.
    Gap,
    /// Its member has said nothing of it for `group.share.record.lock.duration.ms`.
    LockExpired,
    /// The session of its member is over.
    SessionClosed,
}

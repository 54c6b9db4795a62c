//! One anomaly: what went wrong with which record.

use std::fmt;

use ackproof_core::fact::Payload;
use ackproof_core::types::{Instant, Offset, RecordId};
use serde::{Deserialize, Serialize};

use crate::contract::Permitted;
use crate::explain::Cause;

/// What went wrong, by the field's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Acknowledged, and absent from the surviving log (Jepsen `lost-write`, ground truth instead of reads).
    LostWrite,
    /// Never acknowledged by a broker, in no log, and the application heard nothing or did nothing about it.
    SilentDrop,
    /// Acknowledged and on some disk, but the partition has no leader.
    Unavailable,
    /// One logical record at two offsets (Jepsen `duplicate`).
    Duplicate,
    /// The log has a record after one that its producer sent later.
    Reorder,
    /// A second copy of a record stands after one that its producer sent later.
    ReplayReorder,
    /// A key's later record was read before an earlier one, which is in the partition that the key had before.
    KeyReorder,
    /// One offset was seen with two values (Jepsen `inconsistent-offsets`).
    InconsistentOffsets,
    /// Reported as certainly not written, or never sent, and yet in the log (Jepsen `G1a`, aborted read).
    Phantom,
    /// A record is in a partition that it was not sent to.
    Misrouted,
    /// Something waits for ever.
    Stuck,
    /// A consumer jumped over a record (Jepsen `poll-skip`).
    PollSkip,
    /// A consumer went back (Jepsen `nonmonotonic-poll`).
    NonmonotonicPoll,
    /// Acknowledged and in the log, but no consumer got it although one read beyond it (Jepsen `unseen`).
    Unseen,
    /// Acknowledged, and deleted by retention before any consumer got it.
    ExpiredUnread,
    /// A consumer believes that a key has a value, and the key was deleted.
    StaleKey,
    /// The end of a log, as consumers are told it, went back (KIP-207).
    StaleEndOffset,
    /// A group went past a record that it never processed.
    LostDelivery,
    /// A group processed a record more than once.
    DuplicateDelivery,
    /// At the sink of a group, a record took effect after a newer one of its key.
    EffectReorder,
    /// One generation of a group gave a partition to two processes.
    TwoOwners,
    /// The committed offset of a group went back.
    NonmonotonicCommit,
}

impl Kind {
    /// All kinds, in the order in which reports list them.
    pub const ALL: [Kind; 22] = [
        Kind::LostWrite,
        Kind::SilentDrop,
        Kind::Unavailable,
        Kind::Duplicate,
        Kind::Reorder,
        Kind::ReplayReorder,
        Kind::KeyReorder,
        Kind::InconsistentOffsets,
        Kind::Phantom,
        Kind::Misrouted,
        Kind::Stuck,
        Kind::PollSkip,
        Kind::NonmonotonicPoll,
        Kind::Unseen,
        Kind::ExpiredUnread,
        Kind::StaleKey,
        Kind::StaleEndOffset,
        Kind::LostDelivery,
        Kind::DuplicateDelivery,
        Kind::EffectReorder,
        Kind::TwoOwners,
        Kind::NonmonotonicCommit,
    ];

    /// The name in reports and expectations: `lost-write`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::LostWrite => "lost-write",
            Kind::SilentDrop => "silent-drop",
            Kind::Unavailable => "unavailable",
            Kind::Duplicate => "duplicate",
            Kind::Reorder => "reorder",
            Kind::ReplayReorder => "replay-reorder",
            Kind::KeyReorder => "key-reorder",
            Kind::InconsistentOffsets => "inconsistent-offsets",
            Kind::Phantom => "phantom",
            Kind::Misrouted => "misrouted",
            Kind::Stuck => "stuck",
            Kind::PollSkip => "poll-skip",
            Kind::NonmonotonicPoll => "nonmonotonic-poll",
            Kind::Unseen => "unseen",
            Kind::ExpiredUnread => "expired-unread",
            Kind::StaleKey => "stale-key",
            Kind::StaleEndOffset => "stale-end-offset",
            Kind::LostDelivery => "lost-delivery",
            Kind::DuplicateDelivery => "duplicate-delivery",
            Kind::EffectReorder => "effect-reorder",
            Kind::TwoOwners => "two-owners",
            Kind::NonmonotonicCommit => "nonmonotonic-commit",
        }
    }

    /// The word that begins its story: `LOST`.
    pub fn headline(self) -> &'static str {
        match self {
            Kind::LostWrite => "LOST",
            Kind::SilentDrop => "DROPPED",
            Kind::Unavailable => "UNAVAILABLE",
            Kind::Duplicate => "DUPLICATED",
            Kind::Reorder => "REORDERED",
            Kind::ReplayReorder => "REPLAYED",
            Kind::KeyReorder => "REORDERED",
            Kind::InconsistentOffsets => "INCONSISTENT",
            Kind::Phantom => "PHANTOM",
            Kind::Misrouted => "MISROUTED",
            Kind::Stuck => "STUCK",
            Kind::PollSkip => "SKIPPED",
            Kind::NonmonotonicPoll => "REREAD",
            Kind::Unseen => "UNSEEN",
            Kind::ExpiredUnread => "EXPIRED",
            Kind::StaleKey => "STALE",
            Kind::StaleEndOffset => "STALE",
            Kind::LostDelivery => "NEVER PROCESSED",
            Kind::DuplicateDelivery => "PROCESSED TWICE",
            Kind::EffectReorder => "OUT OF ORDER",
            Kind::TwoOwners => "OWNED TWICE",
            Kind::NonmonotonicCommit => "COMMITTED BACK",
        }
    }

    /// The kind of this name.
    pub fn by_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One anomaly. What does not apply is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What went wrong.
    pub kind: Kind,
    /// The topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Where: the acknowledged offset of a lost write, the second copy of a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
    /// The other place: the first copy of a duplicate, the last offset before a skip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_offset: Option<Offset>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Payload>,
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Payload>,
    /// The logical record: its first `send()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordId>,
    /// The other record: the one that overtook, or that took the offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_record: Option<RecordId>,
    /// The client whose anomaly it is, where there is no record: the consumer that skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u32>,
    /// The consumer group whose delivery it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When the client was told, or read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Instant>,
    /// In words, what the fields do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why, where a trace was kept and explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What else had to be so for it to happen; an expectation may name one of these instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contributing: Vec<Cause>,
    /// Whether the configuration permits it, and why: `permitted` and `permitted_because`.
    #[serde(flatten)]
    pub permitted: Permitted,
}

impl Anomaly {
    /// An anomaly of which only the kind is known.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            topic: None,
            partition: None,
            offset: None,
            other_offset: None,
            key: None,
            value: None,
            record: None,
            other_record: None,
            client: None,
            group: None,
            told_at: None,
            note: None,
            cause: None,
            contributing: Vec::new(),
            permitted: Permitted::unknown("not judged yet"),
        }
    }

    /// Whether `cause` is why it happened, or part of it.
    pub fn is_due_to(&self, cause: Cause) -> bool {
        self.cause == Some(cause) || self.contributing.contains(&cause)
    }
}

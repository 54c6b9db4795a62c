//! Versions of Kafka, and the historical fixes that each has.

/// A Kafka version, as in the profile `kafka = "2.2"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KafkaVersion {
    /// Major.
    pub major: u16,
    /// Minor.
    pub minor: u16,
}

impl KafkaVersion {
    /// A version.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

/// How a follower finds out how much of its log the leader does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncation {
    /// It asks with OffsetForLeaderEpoch before it fetches, epoch by epoch (KIP-101, KIP-279; 2.0 to 2.6).
    Kip279,
    /// The fetch itself carries the epoch of the last record; the leader answers with the diverging epoch (2.7, KIP-595).
    OnFetch,
}

/// Historical fixes: the only conditional wrongness in this crate, each guarded in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toggles {
    /// How followers truncate.
    pub truncation: Truncation,
    /// The high watermark stands still while the ISR is smaller than `min.insync.replicas`, and that is capped by the
    /// replication factor (KAFKA-15583, 3.7).
    pub strict_min_isr: bool,
    /// Only an unfenced broker may join an ISR (KIP-841, 3.3).
    pub isr_eligibility_unfenced: bool,
    /// A leader counts replicas that it has proposed for the ISR as members already (KIP-497, 2.7).
    pub maximal_isr: bool,
    /// ListOffsets for the end waits until the high watermark has reached this leader's epoch (KIP-207, 2.2).
    pub listoffsets_waits_hw: bool,
    /// The leader answers a batch that it has among the last five of a producer with its old offset.
    pub idempotence: bool,
    /// A leader that knows nothing of a producer takes its batch whatever the sequence, instead of answering
    /// UNKNOWN_PRODUCER_ID (KIP-360, 2.5).
    pub unknown_producer_accepted: bool,
}

impl Toggles {
    /// What `version` has.
    pub fn of(version: KafkaVersion) -> Self {
        let since = |major, minor| version >= KafkaVersion::new(major, minor);
        Self {
            truncation: if since(2, 7) { Truncation::OnFetch } else { Truncation::Kip279 },
            strict_min_isr: since(3, 7),
            isr_eligibility_unfenced: since(3, 3),
            maximal_isr: since(2, 7),
            listoffsets_waits_hw: since(2, 2),
            idempotence: true,
            unknown_producer_accepted: since(2, 5),
        }
    }
}

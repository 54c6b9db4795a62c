//! Versions of Kafka, and the historical fixes that each has.

use std::fmt;
use std::str::FromStr;

use super::values::nearest;

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

    /// The versions that there are profiles of, oldest first.
    pub const SUPPORTED: [KafkaVersion; 6] = [
        KafkaVersion::new(2, 2),
        KafkaVersion::new(2, 8),
        KafkaVersion::new(3, 5),
        KafkaVersion::new(3, 9),
        KafkaVersion::new(4, 0),
        KafkaVersion::new(4, 1),
    ];
}

impl fmt::Display for KafkaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A version that there is no profile of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile of Kafka {version}; there are those of {}", supported())]
pub struct UnknownVersion {
    /// What was asked for.
    pub version: String,
}

fn supported() -> String {
    KafkaVersion::SUPPORTED.map(|version| version.to_string()).join(", ")
}

impl FromStr for KafkaVersion {
    type Err = UnknownVersion;

    /// `2.2`; a bug-fix number after it, as in `2.2.1`, is left out of account.
    fn from_str(text: &str) -> Result<KafkaVersion, UnknownVersion> {
        let unknown = || UnknownVersion { version: text.to_owned() };
        let mut parts = text.trim().split('.').map(|part| part.parse::<u16>().map_err(|_| unknown()));
        let mut part = || parts.next().unwrap_or_else(|| Err(unknown()));
        let version = KafkaVersion::new(part()?, part()?);
        let rest: Vec<u16> = parts.collect::<Result<_, _>>()?;
        if rest.len() > 1 || !KafkaVersion::SUPPORTED.contains(&version) {
            return Err(unknown());
        }
        Ok(version)
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

impl Toggles {
    /// The names for [`Toggles::set`], as in the table of mutations of the failure catalog.
    pub const NAMES: [&'static str; 7] = [
        "truncation",
        "strict_min_isr",
        "isr_eligibility_unfenced",
        "maximal_isr",
        "listoffsets_waits_hw",
        "idempotence",
        "unknown_producer_accepted",
    ];

    /// Switches a fix on or off: `true` or `false`; `kip279` or `truncate_on_fetch` for `truncation`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ToggleError> {
        let value = value.trim();
        if name == "truncation" {
            self.truncation = match value {
                "kip279" => Truncation::Kip279,
                "truncate_on_fetch" => Truncation::OnFetch,
                _ => return Err(ToggleError::value(name, value, "kip279 or truncate_on_fetch")),
            };
            return Ok(());
        }
        let Some(toggle) = self.switch(name) else {
            let suggestion = nearest(name, Toggles::NAMES.into_iter(), '_').map(str::to_owned);
            return Err(ToggleError::Unknown { name: name.to_owned(), suggestion });
        };
        *toggle = value.parse().map_err(|_| ToggleError::value(name, value, "true or false"))?;
        Ok(())
    }

    fn switch(&mut self, name: &str) -> Option<&mut bool> {
        match name {
            "strict_min_isr" => Some(&mut self.strict_min_isr),
            "isr_eligibility_unfenced" => Some(&mut self.isr_eligibility_unfenced),
            "maximal_isr" => Some(&mut self.maximal_isr),
            "listoffsets_waits_hw" => Some(&mut self.listoffsets_waits_hw),
            "idempotence" => Some(&mut self.idempotence),
            "unknown_producer_accepted" => Some(&mut self.unknown_producer_accepted),
            _ => None,
        }
    }
}

/// A toggle that cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToggleError {
    /// There is none of this name.
    #[error("there is no toggle `{name}`; there are {}", Toggles::NAMES.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// It does not take this value.
    #[error("the toggle `{name}` is {expected}, not `{value}`")]
    Value {
        /// The name.
        name: String,
        /// The value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

impl ToggleError {
    fn value(name: &str, value: &str, expected: &'static str) -> ToggleError {
        ToggleError::Value { name: name.to_owned(), value: value.to_owned(), expected }
    }
}

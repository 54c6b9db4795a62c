//! The historical fixes that a version of Kafka has: each a toggle that a test may switch off.
//!
//! They are the only conditional wrongness in this crate. Each is guarded in one place; a scenario with the fix off must be
//! convicted, its control with the fix on acquitted (`failure-catalog.md`, section 3).

use super::KafkaVersion;
use super::values::nearest;

/// How a follower finds out how much of its log the leader does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncation {
    /// It asks with OffsetForLeaderEpoch before it fetches, epoch by epoch (KIP-101, KIP-279; 2.0 to 2.6).
    Kip279,
    /// The fetch itself carries the epoch of the last record; the leader answers with the diverging epoch (2.7, KIP-595).
    OnFetch,
}

impl Truncation {
    /// How `version` does it.
    fn of(version: KafkaVersion) -> Self {
        if version >= KafkaVersion::new(2, 7) { Truncation::OnFetch } else { Truncation::Kip279 }
    }

    /// By the name that scenarios use.
    fn parse(value: &str) -> Option<Truncation> {
        match value {
            "kip279" => Some(Truncation::Kip279),
            "truncate_on_fetch" => Some(Truncation::OnFetch),
            _ => None,
        }
    }
}

/// One line per fix: what it does, its name, and the version that has it.
macro_rules! toggles {
    ($($(#[$doc:meta])* $name:ident since ($major:literal, $minor:literal),)*) => {
        /// Historical fixes, on or off.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Toggles {
            /// How followers truncate.
            pub truncation: Truncation,
            $($(#[$doc])* pub $name: bool,)*
        }

        impl Toggles {
            /// The names for [`Toggles::set`], as in the table of mutations of the failure catalog.
            pub const NAMES: &'static [&'static str] = &["truncation", $(stringify!($name),)*];

            /// What `version` has.
            pub fn of(version: KafkaVersion) -> Self {
                Self {
                    truncation: Truncation::of(version),
                    $($name: version >= KafkaVersion::new($major, $minor),)*
                }
            }

            fn switch(&mut self, name: &str) -> Option<&mut bool> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

toggles! {
    /// The high watermark stands still while the ISR is smaller than `min.insync.replicas`, and that is capped by the
    /// replication factor (KAFKA-15583).
    strict_min_isr since (3, 7),
    /// Only an unfenced broker may join an ISR (KIP-841).
    isr_eligibility_unfenced since (3, 3),
    /// The registration of a new process is refused until the old one's session is over, and takes it out of ISRs and
    /// leaderships (KIP-380 in ZooKeeper mode, KIP-631 in KRaft). Without it a broker that is back soon is taken for the
    /// one that was, whatever its disk has lost.
    bounce_requires_fencing since (2, 2),
    /// Replicas that leave an ISR smaller than `min.insync.replicas` stay eligible as leaders unless they stop uncleanly
    /// (KIP-966: `eligible.leader.replicas.version` 1, which new clusters have since 4.1).
    elr since (4, 1),
    /// A leader counts replicas that it has proposed for the ISR as members already (KIP-497).
    maximal_isr since (2, 7),
    /// ListOffsets for the end waits until the high watermark has reached this leader's epoch (KIP-207).
    listoffsets_waits_hw since (2, 2),
    /// The leader answers a batch that it has among the last five of a producer with its old offset (KIP-98).
    idempotence since (0, 11),
    /// A leader that knows nothing of a producer takes its batch whatever the sequence, instead of answering
    /// UNKNOWN_PRODUCER_ID (KIP-360).
    unknown_producer_accepted since (2, 5),
}

impl Toggles {
    /// Switches a fix on or off: `true` or `false`; `kip279` or `truncate_on_fetch` for `truncation`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ToggleError> {
        let value = value.trim();
        if name == "truncation" {
            self.truncation = Truncation::parse(value)
                .ok_or_else(|| ToggleError::value(name, value, "kip279 or truncate_on_fetch"))?;
            return Ok(());
        }
        let Some(toggle) = self.switch(name) else {
            let suggestion = nearest(name, Toggles::NAMES.iter().copied(), '_').map(str::to_owned);
            return Err(ToggleError::Unknown { name: name.to_owned(), suggestion });
        };
        *toggle = value.parse().map_err(|_| ToggleError::value(name, value, "true or false"))?;
        Ok(())
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

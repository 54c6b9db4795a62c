//! Versions of Kafka.

use std::fmt;
use std::str::FromStr;

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

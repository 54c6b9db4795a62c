//! What went wrong in a run, in so few words that two runs can be said to have gone wrong in the same way.
//!
//! Campaigns put failures of one signature together, and shrinking keeps it.

use std::collections::BTreeSet;
use std::fmt;

use ackproof_reports::{Answer, Cause, Invariant, Judgement, Kind};

/// One way to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signature {
    /// An invariant was broken that nothing excuses.
    Broken(Invariant),
    /// An anomaly, by its mechanism.
    Anomaly {
        /// What went wrong.
        kind: Kind,
        /// Why; none before the run was explained.
        cause: Option<Cause>,
        /// Whether the configuration permits it.
        permitted: Answer,
    },
}

impl Signature {
    /// All of a run, once each. Causes are there if it was explained.
    pub fn all(judgement: &Judgement) -> BTreeSet<Signature> {
        let anomalies = judgement.anomalies.iter().map(|anomaly| Signature::Anomaly {
            kind: anomaly.kind,
            cause: anomaly.cause,
            permitted: anomaly.permitted.answer,
        });
        anomalies.chain(judgement.breaches().map(|broken| Signature::Broken(broken.invariant))).collect()
    }

    /// Whether no configuration permits it, or none is known to.
    pub fn is_forbidden(self) -> bool {
        match self {
            Signature::Broken(_) => true,
            Signature::Anomaly { permitted, .. } => permitted != Answer::Yes,
        }
    }

    /// As a part of a file's name.
    pub fn slug(self) -> String {
        match self {
            Signature::Broken(invariant) => invariant.name().to_ascii_lowercase(),
            Signature::Anomaly { kind, cause, .. } => {
                let cause = cause.map(|cause| format!("-{cause}")).unwrap_or_default();
                let mark = if self.is_forbidden() { "forbidden-" } else { "" };
                format!("{mark}{kind}{cause}")
            }
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signature::Broken(invariant) => write!(f, "{invariant} broken"),
            Signature::Anomaly { kind, cause, permitted } => {
                write!(f, "{kind}")?;
                if let Some(cause) = cause {
                    write!(f, " because {cause}")?;
                }
                f.write_str(match permitted {
                    Answer::Yes => ", permitted",
                    Answer::No => ", forbidden",
                    Answer::Unknown => ", permitted or not: unknown",
                })
            }
        }
    }
}

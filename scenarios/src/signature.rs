//! What went wrong in a run, in so few words that two runs can be said to have gone wrong in the same way.
//!
//! Campaigns put failures of one signature together, and shrinking keeps it.

use std::collections::BTreeSet;
use std::fmt;

use ackproof_reports::{Anomaly, Answer, Cause, Invariant, Judgement, Kind};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// One way to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
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
    /// That of an anomaly.
    pub fn of(anomaly: &Anomaly) -> Signature {
        Signature::Anomaly { kind: anomaly.kind, cause: anomaly.cause, permitted: anomaly.permitted.answer }
    }

    /// All of a run, once each. Causes are there if it was explained.
    pub fn all(judgement: &Judgement) -> BTreeSet<Signature> {
        let anomalies = judgement.anomalies.iter().map(Signature::of);
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

/// What was found as the `[expect]` of a file; with each, whether it must occur or merely may. Nothing found expects nothing.
pub(crate) fn expectation(found: impl IntoIterator<Item = (Signature, bool)>) -> Table {
    let (mut anomalies, mut invariants) = (Vec::new(), Vec::new());
    for (signature, must) in found {
        let mut entry = Table::new();
        if !must {
            entry.insert("count".into(), Value::String(">= 0".into()));
        }
        match signature {
            Signature::Broken(invariant) => {
                entry.insert("name".into(), Value::String(invariant.name().to_owned()));
                invariants.push(Value::Table(entry));
            }
            Signature::Anomaly { kind, cause, permitted } => {
                entry.insert("kind".into(), Value::String(kind.name().to_owned()));
                if let Some(cause) = cause {
                    entry.insert("cause".into(), Value::String(cause.name().to_owned()));
                }
                match permitted {
                    Answer::Yes => drop(entry.insert("permitted".into(), Value::Boolean(true))),
                    Answer::No => drop(entry.insert("permitted".into(), Value::Boolean(false))),
                    Answer::Unknown => {}
                }
                anomalies.push(Value::Table(entry));
            }
        }
    }
    let lists = [("anomaly", anomalies), ("invariant", invariants)].into_iter().filter(|(_, list)| !list.is_empty());
    lists.map(|(key, list)| (key.to_owned(), Value::Array(list))).collect()
}

/// A signature as JSON has it: an invariant alone, or the parts of an anomaly.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    invariant: Option<Invariant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permitted: Option<Answer>,
}

impl From<Signature> for Written {
    fn from(signature: Signature) -> Self {
        match signature {
            Signature::Broken(invariant) => Written { invariant: Some(invariant), ..Written::default() },
            Signature::Anomaly { kind, cause, permitted } => {
                Written { invariant: None, kind: Some(kind), cause, permitted: Some(permitted) }
            }
        }
    }
}

impl TryFrom<Written> for Signature {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written { invariant: Some(invariant), kind: None, cause: None, permitted: None } => {
                Ok(Signature::Broken(invariant))
            }
            Written { invariant: None, kind: Some(kind), cause, permitted: Some(permitted) } => {
                Ok(Signature::Anomaly { kind, cause, permitted })
            }
            _ => Err("a failure is an `invariant`, or a `kind` with `permitted` and perhaps a `cause`"),
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

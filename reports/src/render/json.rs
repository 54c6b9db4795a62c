//! One run as one JSON object on one line.

use ackproof_core::types::{Duration, Instant};
use serde::{Deserialize, Serialize};

use crate::anomaly::Anomaly;
use crate::digest::Digest;
use crate::trace::number_as_text;
use crate::verdict::{Counts, IdleFault, Judgement, Verdict, Witness};

/// Everything that a machine wants to know of a run. Seeds and digests are text: 64 bits do not fit the numbers of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The scenario.
    pub scenario: String,
    /// The seed.
    #[serde(with = "number_as_text")]
    pub seed: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether that is what the scenario expects.
    pub as_expected: bool,
    /// How long the run was in virtual time.
    pub sim_seconds: f64,
    /// How long it took.
    pub wall_seconds: f64,
    /// How many facts it said.
    pub events: u64,
    /// The digest of all facts, in hexadecimal.
    pub digest: String,
    /// How often what happened.
    pub counts: Counts,
    /// What went wrong.
    pub anomalies: Vec<Anomaly>,
    /// The faults that did something.
    pub witnesses: Vec<Witness>,
    /// The faults that did nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle_faults: Vec<IdleFault>,
    /// Why no better verdict is possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

impl RunReport {
    /// The report of a judgement. What only the caller knows is passed in.
    pub fn new(
        scenario: impl Into<String>,
        seed: u64,
        judgement: &Judgement,
        digest: Digest,
        as_expected: bool,
        wall: Duration,
    ) -> Self {
        Self {
            scenario: scenario.into(),
            seed,
            verdict: judgement.verdict,
            as_expected,
            sim_seconds: seconds(judgement.ended_at.since(Instant::START)),
            wall_seconds: seconds(wall),
            events: judgement.events,
            digest: digest.to_string(),
            counts: judgement.counts,
            anomalies: judgement.anomalies.clone(),
            witnesses: judgement.witnesses.clone(),
            idle_faults: judgement.idle_faults.clone(),
            doubts: judgement.doubts.clone(),
        }
    }

    /// The line, without a line break.
    ///
    /// # Errors
    /// If a number is not one that JSON has.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// Seconds with nine decimals, by way of text: the same on every machine.
fn seconds(length: Duration) -> f64 {
    let text = format!("{}.{:09}", length.0 / 1_000_000_000, length.0 % 1_000_000_000);
    text.parse().unwrap_or_default()
}

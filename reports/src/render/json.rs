//! One run as one JSON object on one line. `docs/report-format.md` describes it, and what changed from version to version.

use ackproof_core::types::{Duration, Instant};
use serde::{Deserialize, Serialize};

use crate::anomaly::{Anomaly, Kind};
use crate::digest::Digest;
use crate::explain::Cause;
use crate::invariants::Broken;
use crate::service::Cost;
use crate::trace::number_as_text;
use crate::verdict::{Counts, IdleFault, Judgement, Verdict, Witness};

/// The version of the report: it grows when a field changes its meaning or goes, not when one is added.
pub const VERSION: u32 = 2;

/// How a run compares with what was expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// It came out as expected.
    AsExpected,
    /// It tested less than it should have: nothing follows from it.
    Inconclusive,
    /// It did not come out as expected.
    NotAsExpected,
}

/// Everything that a machine wants to know of a run. Seeds and digests are text: 64 bits do not fit the numbers of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The version of this object: [`VERSION`].
    pub version: u32,
    /// The scenario.
    pub scenario: String,
    /// The seed.
    #[serde(with = "number_as_text")]
    pub seed: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether that is what the scenario expects; `outcome` tells the two ways in which it may not be apart.
    pub as_expected: bool,
    /// As expected, not as expected, or inconclusive.
    pub outcome: RunOutcome,
    /// What was expected and not found, found and not expected, or not put to the test; empty if it came out as expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
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
    /// The smallest change that keeps what went wrong from it, where one was looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counterfactuals: Vec<Counterfactual>,
    /// What became of the seed under the scenario's own fix, if something went wrong and it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fixed>,
    /// The invariants that were broken, permitted or not, each at its first event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invariants: Vec<Broken>,
    /// The faults that did something.
    pub witnesses: Vec<Witness>,
    /// The faults that did nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle_faults: Vec<IdleFault>,
    /// Why no better verdict is possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// What a search for a change that keeps the promise came to, for the anomalies of one kind and cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterfactual {
    /// What went wrong.
    pub kind: Kind,
    /// Why.
    pub cause: Option<Cause>,
    /// The smallest change under which the same seed keeps it, in words; none was found if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Under which other seeds that was seen to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confirmed_seeds: Vec<u64>,
    /// How many changes were tried.
    pub tried: usize,
    /// What it costs, as measured under the seed of the run and those that confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// The same seed under the scenario's own fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixed {
    /// The fix in words.
    pub change: String,
    /// Whether it was seen to help.
    pub helps: bool,
    /// What it costs, as measured under this seed.
    pub cost: Cost,
}

impl RunReport {
    /// The report of a judgement. What only the caller knows is passed in.
    pub fn new(
        scenario: impl Into<String>,
        seed: u64,
        judgement: &Judgement,
        digest: Digest,
        (outcome, reasons): (RunOutcome, Vec<String>),
        wall: Duration,
    ) -> Self {
        Self {
            version: VERSION,
            scenario: scenario.into(),
            seed,
            verdict: judgement.verdict,
            as_expected: outcome == RunOutcome::AsExpected,
            outcome,
            reasons,
            sim_seconds: seconds(judgement.ended_at.since(Instant::START)),
            wall_seconds: seconds(wall),
            events: judgement.events,
            digest: digest.to_string(),
            counts: judgement.counts,
            anomalies: judgement.anomalies.clone(),
            counterfactuals: Vec::new(),
            fix: None,
            invariants: judgement.broken.clone(),
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

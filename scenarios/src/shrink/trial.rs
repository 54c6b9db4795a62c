//! A candidate, run: what goes wrong in it, and what of it was not put to the test.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::fact::{Event, Fact};
use ackproof_core::types::Instant;
use ackproof_reports::{Explanation, Judgement};

use crate::expectation::explains_doubt;
use crate::guard::caught;
use crate::runner::{self, Compared, Explained, pass_within};
use crate::scenario::{AnomalyExpectation, Count, Expect, Scenario};
use crate::signature::Signature;

/// A run that showed what was looked for, with its trace and its causes.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub scenario: Scenario,
    pub judgement: Judgement,
    pub explanation: Explanation,
    /// All that went wrong.
    pub signatures: BTreeSet<Signature>,
    pub events: Vec<Event>,
    /// How many events its world handled; 0 where nobody looked.
    pub handled: u64,
    /// What did not happen or met nothing to do, in words.
    pub untested: Vec<String>,
}

/// Runs a scenario; without a trace first, since most candidates do not even show the kind. None if it does not show the
/// signature, or handles more events than that. A program that breaks goes wrong in another way. The number is that of the worlds it took.
pub(super) fn run(scenario: &Scenario, seed: u64, target: Signature, events_max: u64) -> (Option<Trial>, u64) {
    let plain = caught(|| pass_within(scenario, seed, events_max, Compared::ByVerdict)).ok().flatten();
    let Some(plain) = plain.filter(|plain| shows_kind(&plain.judgement, target)) else { return (None, 1) };
    let trial = caught(|| Trial { handled: plain.events, ..explained(scenario, seed) });
    (trial.ok().filter(|trial| trial.shows(target)), 2)
}

/// Runs a scenario with its trace.
pub(super) fn explained(scenario: &Scenario, seed: u64) -> Trial {
    let Explained { judgement, explanation, events, idle, .. } = runner::explained(scenario, seed);
    let signatures = Signature::all(&judgement);
    let found = found(&judgement);
    let doubts = judgement.doubts.iter().filter(|doubt| !explains_doubt(&found, &judgement, doubt));
    let untested = idle.into_iter().chain(doubts.cloned()).collect();
    Trial { scenario: scenario.clone(), explanation, signatures, events, handled: 0, untested, judgement }
}

/// An expectation of just what was found.
fn found(judgement: &Judgement) -> Expect {
    let kinds = judgement.kinds().into_iter();
    let any = |kind| AnomalyExpectation { kind, count: Count::ANY, cause: None, permitted: None };
    Expect { anomalies: kinds.map(any).collect(), ..Expect::default() }
}

fn shows_kind(judgement: &Judgement, target: Signature) -> bool {
    match target {
        Signature::Broken(invariant) => judgement.breaches().any(|broken| broken.invariant == invariant),
        Signature::Anomaly { kind, .. } => judgement.of_kind(kind).next().is_some(),
    }
}

impl Trial {
    /// Whether it goes wrong that way.
    pub fn shows(&self, target: Signature) -> bool {
        self.signatures.contains(&target)
    }

    /// When the steps happened.
    pub fn happenings(&self) -> Happenings {
        let mut happenings = Happenings::default();
        for event in &self.events {
            let times = match event.fact {
                Fact::ClusterReady => {
                    happenings.ready = event.time;
                    continue;
                }
                Fact::FaultInjected { fault, .. } => (&mut happenings.began, fault),
                Fact::FaultHealed { fault } => (&mut happenings.healed, fault),
                _ => continue,
            };
            let (times, fault) = times;
            if let Some(step) = usize::try_from(fault).ok().and_then(|fault| fault.checked_sub(1)) {
                times.insert(step, event.time.since(happenings.ready).0);
            }
        }
        happenings
    }
}

/// When the steps happened, in nanoseconds from the moment when the cluster was ready; steps by their number from 0.
/// Nothing is known of steps that end others, and of mere marks.
#[derive(Clone, Debug, Default)]
pub(super) struct Happenings {
    pub ready: Instant,
    pub began: BTreeMap<usize, u64>,
    pub healed: BTreeMap<usize, u64>,
}

//! Expected against found: whether a run came out as its scenario says.

use ackproof_reports::{Anomaly, Answer, Broken, Judgement, RunOutcome};

use crate::scenario::{AnomalyExpectation, Expect};

/// How a run compares with what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It came out as expected.
    AsExpected,
    /// It did not; each line says what was expected and what was found.
    NotAsExpected(Vec<String>),
    /// It tested less than it should have; each line says what did not happen.
    Inconclusive(Vec<String>),
}

impl Standing {
    /// As a report says it.
    pub fn outcome(&self) -> RunOutcome {
        match self {
            Standing::AsExpected => RunOutcome::AsExpected,
            Standing::NotAsExpected(_) => RunOutcome::NotAsExpected,
            Standing::Inconclusive(_) => RunOutcome::Inconclusive,
        }
    }

    /// What was not as expected, or not put to the test.
    pub fn reasons(&self) -> &[String] {
        match self {
            Standing::AsExpected => &[],
            Standing::NotAsExpected(lines) | Standing::Inconclusive(lines) => lines,
        }
    }

    /// Compares. `idle` says which steps never happened or did nothing.
    ///
    /// What was found and not expected is a failure however little was tested. What was expected and not found is one
    /// only if everything that was to happen did happen.
    pub fn of(expect: &Expect, judgement: &Judgement, idle: &[String]) -> Standing {
        let unexpected = unexpected(expect, judgement);
        let missing = missing(expect, judgement);
        let mut untested = idle.to_vec();
        untested.extend(judgement.doubts.iter().filter(|doubt| !explains_doubt(expect, judgement, doubt)).cloned());
        untested.dedup();
        if !unexpected.is_empty() || (!missing.is_empty() && untested.is_empty()) {
            Standing::NotAsExpected(unexpected.into_iter().chain(missing).collect())
        } else if untested.is_empty() {
            Standing::AsExpected
        } else {
            Standing::Inconclusive(untested.into_iter().chain(missing).collect())
        }
    }
}

/// Whether a doubt is a part of what was expected: who expects something to be stuck expects time to run out.
pub(crate) fn explains_doubt(expect: &Expect, judgement: &Judgement, doubt: &str) -> bool {
    use ackproof_reports::Kind;
    let expected = |kind| expect.mentions(kind);
    let found = |kind| judgement.of_kind(kind).next().is_some();
    doubt.starts_with("time ran out")
        && [Kind::Stuck, Kind::Unavailable].into_iter().any(|kind| expected(kind) && found(kind))
}

fn unexpected(expect: &Expect, judgement: &Judgement) -> Vec<String> {
    let mut lines: Vec<(String, u64)> = Vec::new();
    for anomaly in &judgement.anomalies {
        if expect.anomalies.iter().any(|expected| meets(expected, anomaly)) {
            continue;
        }
        let line = describe(anomaly);
        match lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, times)) => *times += 1,
            None => lines.push((line, 1)),
        }
    }
    let unlisted = |broken: &&Broken| {
        !expect.mutated && !expect.invariants.iter().any(|expected| expected.invariant == broken.invariant)
    };
    let breaches = judgement.breaches().filter(unlisted).map(breach);
    lines.into_iter().map(|(line, times)| format!("expected no {line}; found {times}")).chain(breaches).collect()
}

fn breach(broken: &Broken) -> String {
    let place = broken.partition.as_ref().map(|partition| format!(" in {partition}")).unwrap_or_default();
    format!("expected {} to hold{place}; event {} at {}: {}", broken.invariant, broken.event, broken.at, broken.what)
}

fn missing(expect: &Expect, judgement: &Judgement) -> Vec<String> {
    let mut lines = Vec::new();
    for expected in &expect.anomalies {
        let found = judgement.anomalies.iter().filter(|anomaly| meets(expected, anomaly)).count() as u64;
        if !expected.count.allows(found) {
            lines.push(format!("expected {} {}; found {found}", expected.count, words(expected)));
        }
    }
    for expected in &expect.invariants {
        let is_broken = |broken: &&Broken| broken.invariant == expected.invariant;
        let found = judgement.broken.iter().filter(is_broken).count() as u64;
        if !expected.count.allows(found) {
            lines.push(format!("expected {} broken {}; found {found}", expected.count, expected.invariant));
        }
    }
    for (name, wanted) in &expect.counts {
        let found = judgement.counts.named().find(|(known, _)| known == name).map_or(0, |(_, found)| found);
        if !wanted.allows(found) {
            lines.push(format!("expected {wanted} {name}; found {found}"));
        }
    }
    lines
}

fn meets(expected: &AnomalyExpectation, anomaly: &Anomaly) -> bool {
    expected.kind == anomaly.kind
        && expected.cause.is_none_or(|cause| anomaly.cause == Some(cause) || anomaly.contributing.contains(&cause))
        && expected.permitted.is_none_or(|permitted| match anomaly.permitted.answer {
            Answer::Yes => permitted,
            Answer::No => !permitted,
            Answer::Unknown => false,
        })
}

fn words(expected: &AnomalyExpectation) -> String {
    let cause = expected.cause.map(|cause| format!(" because {cause}")).unwrap_or_default();
    let permitted = match expected.permitted {
        None => "",
        Some(true) => ", permitted",
        Some(false) => ", forbidden",
    };
    format!("{}{cause}{permitted}", expected.kind)
}

fn describe(anomaly: &Anomaly) -> String {
    let cause = anomaly.cause.map(|cause| format!(" because {cause}")).unwrap_or_default();
    let permitted = match anomaly.permitted.answer {
        Answer::Yes => ", permitted",
        Answer::No => ", forbidden",
        Answer::Unknown => "",
    };
    format!("{}{cause}{permitted}", anomaly.kind)
}

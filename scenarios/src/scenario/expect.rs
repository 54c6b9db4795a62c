//! What a scenario expects: which anomalies, how many, why, and whether its configuration permits them.

use ackproof_reports::{Cause, Invariant, Kind};

use super::amounts::Count;
use super::reading::Reading;
use crate::document::{Expect as Written, ExpectedAnomaly, ExpectedInvariant, Written as At};

/// Everything that must come out of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// Anomalies, one entry per kind and cause. What is not listed must not occur.
    pub anomalies: Vec<AnomalyExpectation>,
    /// Invariants that must be broken. Where the run has been through nothing that excuses it, others must hold.
    pub invariants: Vec<InvariantExpectation>,
    /// Whether others may be broken all the same: a historical fix is switched off.
    pub mutated: bool,
    /// Numbers of records, by the names of the counts in reports.
    pub counts: Vec<(&'static str, Count)>,
}

/// One invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvariantExpectation {
    /// Which.
    pub invariant: Invariant,
    /// In how many partitions it is broken.
    pub count: Count,
}

/// One kind of anomaly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnomalyExpectation {
    /// What goes wrong.
    pub kind: Kind,
    /// How often.
    pub count: Count,
    /// Why; any cause if not given.
    pub cause: Option<Cause>,
    /// Whether the configuration permits it; either if not given.
    pub permitted: Option<bool>,
}

impl Expect {
    /// Whether something must go wrong.
    pub fn accuses(&self) -> bool {
        self.anomalies.iter().any(|anomaly| !anomaly.count.allows(0))
            || self.invariants.iter().any(|invariant| !invariant.count.allows(0))
    }

    /// Whether anomalies of this kind may occur, for one cause or another.
    pub fn mentions(&self, kind: Kind) -> bool {
        self.anomalies.iter().any(|anomaly| anomaly.kind == kind)
    }
}

impl Reading<'_> {
    /// Reads `[expect]`.
    pub fn expect(&mut self, written: &Written) -> Expect {
        if let (Some(clean), Some(first)) = (&written.clean, written.anomaly.first())
            && **clean
        {
            let found = self.error(first.kind.span(), "a clean run has no anomaly");
            self.report(found.related(clean.span(), "`clean` is said here").remedy("keep one of the two"));
        }
        let anomalies = written.anomaly.iter().filter_map(|anomaly| self.anomaly(anomaly)).collect();
        let invariants = written.invariant.iter().filter_map(|invariant| self.invariant(invariant)).collect();
        let counts = &written.counts;
        let counts = [
            ("sent", &counts.sent),
            ("acknowledged", &counts.acknowledged),
            ("failed", &counts.failed),
            ("indeterminate", &counts.indeterminate),
            ("pending", &counts.pending),
            ("delivered", &counts.delivered),
            ("lost", &counts.lost),
            ("dropped", &counts.dropped),
            ("duplicated", &counts.duplicated),
            ("reordered", &counts.reordered),
            ("processed", &counts.processed),
            ("lost_deliveries", &counts.lost_deliveries),
            ("duplicate_deliveries", &counts.duplicate_deliveries),
            ("reordered_effects", &counts.reordered_effects),
            ("handed_on", &counts.handed_on),
            ("absorbed_deliveries", &counts.absorbed_deliveries),
        ];
        let counts =
            counts.into_iter().filter_map(|(name, count)| Some((name, self.count(count.as_ref()?)?))).collect();
        Expect { anomalies, invariants, mutated: false, counts }
    }

    fn invariant(&mut self, written: &ExpectedInvariant) -> Option<InvariantExpectation> {
        let invariant = Invariant::by_name(&written.name);
        if invariant.is_none() {
            let name = &written.name;
            let found = self.error(name.span(), format!("there is no invariant `{}`", name.as_str()));
            self.report(found.nearest(name, Invariant::ALL.iter().map(|invariant| invariant.name())));
        }
        let count = match &written.count {
            None => Some(Count::SOME),
            Some(count) => self.count(count),
        };
        Some(InvariantExpectation { invariant: invariant?, count: count? })
    }

    fn anomaly(&mut self, written: &ExpectedAnomaly) -> Option<AnomalyExpectation> {
        let kind = self.kind(&written.kind);
        let cause = match &written.cause {
            None => Some(None),
            Some(name) => {
                let cause = Cause::by_name(name);
                if cause.is_none() {
                    let found = self.error(name.span(), format!("there is no cause `{}`", name.as_str()));
                    self.report(found.nearest(name, Cause::ALL.iter().map(|cause| cause.name())));
                }
                cause.map(Some)
            }
        };
        let count = match &written.count {
            None => Some(Count::SOME),
            Some(count) => self.count(count),
        };
        Some(AnomalyExpectation {
            kind: kind?,
            count: count?,
            cause: cause?,
            permitted: written.permitted.as_ref().map(|permitted| **permitted),
        })
    }

    /// A kind of anomaly by its name.
    pub fn kind(&mut self, name: &At<String>) -> Option<Kind> {
        let kind = Kind::by_name(name);
        if kind.is_none() {
            let found = self.error(name.span(), format!("there is no anomaly `{}`", name.as_str()));
            self.report(found.nearest(name, Kind::ALL.iter().map(|kind| kind.name())));
        }
        kind
    }
}

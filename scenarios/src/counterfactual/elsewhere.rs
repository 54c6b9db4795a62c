//! Whether a change helps elsewhere: in other worlds, with other faults at other times, in which the same went wrong without it.
//!
//! What helps in one world only may be an accident of that world: a pause that is just shorter than a longer session.

use std::fmt;

use serde::Serialize;

use super::{Course, Kind, Search};
use crate::document::Fix;
use crate::guard::caught;
use crate::runner::explained;
use crate::scenario::Scenario;
use crate::signature::Signature;

/// Other worlds that show a signature.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    /// What they show.
    pub signature: Signature,
    /// They and their seeds.
    pub worlds: Vec<(Scenario, u64)>,
    /// How many events the whole search may handle.
    pub events_max: u64,
}

/// In how many other worlds a change was tried, and in how many it helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Confirmed {
    /// In which nothing went wrong that way any more, and nothing that had not gone wrong before.
    pub kept: u64,
    /// In which it was tried. Where a step never happens with the change nothing is known.
    pub of: u64,
}

impl Confirmed {
    /// Whether it helped in nearly all of them: nine of ten. One world too many is no reason for a setting more.
    pub(super) fn is_enough(self) -> bool {
        10 * self.kept >= 9 * self.of
    }
}

impl fmt::Display for Confirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {} of {} other worlds that broke it", self.kept, self.of)
    }
}

impl Search<'_> {
    /// Tries a change elsewhere. None if nothing is known of other worlds.
    pub(super) fn elsewhere(&mut self, kind: Kind, change: &Fix) -> Option<Confirmed> {
        let elsewhere = self
            .elsewhere
            .filter(|elsewhere| matches!(elsewhere.signature, Signature::Anomaly { kind: its, .. } if its == kind))?;
        let mut confirmed = Confirmed::default();
        for (place, (world, seed)) in elsewhere.worlds.iter().enumerate() {
            let Some(base) = self.base_elsewhere(place, world, *seed) else { continue };
            let Ok(changed) = world.with(change) else { continue };
            let Some(course) = self.course(&changed, *seed) else {
                confirmed.of += 1;
                continue;
            };
            if !course.untested.is_subset(&base.untested) {
                continue;
            }
            confirmed.of += 1;
            let is_gone = course.times(kind) == 0 || !shows(&changed, *seed, elsewhere.signature);
            let brings_nothing = course.anomalies.keys().all(|kind| base.anomalies.contains_key(kind));
            confirmed.kept += u64::from(is_gone && brings_nothing);
        }
        Some(confirmed).filter(|confirmed| confirmed.of > 0)
    }

    fn base_elsewhere(&mut self, place: usize, world: &Scenario, seed: u64) -> Option<Course> {
        if let Some(known) = self.bases_elsewhere.get(&place) {
            return known.clone();
        }
        let base = self.course(world, seed);
        self.bases_elsewhere.insert(place, base.clone());
        base
    }
}

/// Whether a world shows a signature. One that breaks the program shows something.
fn shows(scenario: &Scenario, seed: u64, signature: Signature) -> bool {
    caught(|| Signature::all(&explained(scenario, seed).judgement)).map_or(true, |found| found.contains(&signature))
}

//! Worlds that count: those in which the failures happened that were asked about.
//!
//! A fault whose moment never comes, or that meets nothing to do, tests nothing; a plan may also have fewer faults than its
//! budget. Worlds are drawn from seed 0 on until there are enough of those that count, or too many that do not. Which ones
//! these are does not depend on how many threads ran them.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroUsize;

use toml::Table;

use super::campaign::Campaign;
use super::coverage::Coverage;
use super::draw::Parts;
use super::survive::Budget;
use super::tally::{Plan, Report, WorldId};
use crate::form::Form;
use crate::interrupt;
use crate::parallel::in_order;

/// For each world that is wanted no more than so many are run,
const RUN_MAX: u64 = 3;
/// and no more than so many drawn: most plans have fewer faults than a budget of several.
const DRAWN_MAX: u64 = 60;

/// What became of the worlds of one budget.
#[derive(Clone, Debug, Default)]
pub struct Tested {
    /// Those in which all its faults happened and did something.
    pub happened: Report,
    /// Those that were run, and some fault of theirs did not.
    pub missed: Report,
}

impl Campaign {
    /// Runs worlds until in so many everything happened that the budget has.
    pub fn tested(&self, wanted: u64, jobs: NonZeroUsize, look: &mut dyn FnMut(bool)) -> io::Result<Tested> {
        let mut tested = Tested::default();
        let mut seen = Coverage::default();
        let mut seeds = (0..wanted.saturating_mul(DRAWN_MAX)).filter(|seed| self.is_whole(*seed));
        loop {
            let run = tested.happened.worlds + tested.missed.worlds;
            let missing = wanted.saturating_sub(tested.happened.worlds);
            let next = missing.min(wanted.saturating_mul(RUN_MAX).saturating_sub(run));
            let tasks: Vec<u64> = seeds.by_ref().take(usize::try_from(next).unwrap_or(usize::MAX)).collect();
            if tasks.is_empty() || interrupt::is_asked() {
                return Ok(tested);
            }
            let work = |seed: &u64| self.world(*seed, Parts::fresh(*seed));
            let done = in_order(jobs, &tasks, work, |place, outcome| {
                let (seed, happened) = (tasks[place], outcome.happened);
                let id = WorldId { seed, plan: Plan::Drawn(Parts::fresh(seed)) };
                let world = outcome.result(id, &mut seen);
                if happened {
                    tested.happened.take(&world)
                } else {
                    tested.missed.take(&world)
                }
                look(happened);
                // An error is how this loop is left early.
                if interrupt::is_asked() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
            });
            match done {
                Err(_) if interrupt::is_asked() => return Ok(tested),
                done => done?,
            }
        }
    }

    /// Whether a plan has all the faults of the budget.
    fn is_whole(&self, seed: u64) -> bool {
        let form = self.drawn(Parts::fresh(seed));
        self.budget.as_ref().is_none_or(|budget| faults(&form).len() == budget.faults())
    }
}

impl Budget {
    /// How many faults it has at most.
    pub fn faults(&self) -> usize {
        self.0.values().map(|number| usize::try_from(*number).unwrap_or(usize::MAX)).sum()
    }
}

/// The places of a plan's steps that are faults. Marks are none, and repairs come after one.
pub(super) fn faults(form: &Form) -> BTreeSet<usize> {
    let is_fault = |step: &Table| !step.contains_key("mark") && !step.contains_key("start");
    form.sections("step").enumerate().filter(|(_, step)| is_fault(step)).map(|(place, _)| place).collect()
}

//! The best scenario so far, and the one door through which a smaller one becomes it.

use std::collections::BTreeSet;

use super::size::Size;
use super::trial::{self, Trial};
use super::{Beyond, Limits, Progress};
use crate::form::Form;
use crate::interrupt;
use crate::library::Place;
use crate::signature::Signature;

/// Whether something shows under one seed only is found out with these.
const OTHER_SEEDS: std::ops::Range<u64> = 0..5;
/// A candidate may handle so many times the events of the best so far. One that is smaller and takes longer explains less.
const LONGER: u64 = 2;
/// And so many more: what small worlds do without anything happening.
const EVENTS_MORE: u64 = 20_000;

/// What a proposal has to be, besides going wrong in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Smaller; that is enough.
    Smaller,
    /// Simpler, and shown by no fewer of a few other seeds.
    NoRarer,
}

pub(super) struct Search<'a> {
    pub place: &'a Place,
    pub seed: u64,
    pub target: Signature,
    /// The best so far, and how it ran.
    pub best: Form,
    pub trial: Trial,
    /// How many worlds were run.
    pub worlds: u64,
    /// How many events they handled, as if each were as long as the best at its time.
    pub events: u64,
    pub beyond: Beyond,
    limits: Limits,
    /// Under how many other seeds the best shows the same, once that has been counted.
    shown: Option<usize>,
    /// What the first form shows: nothing else may go wrong that is forbidden.
    allowed: BTreeSet<Signature>,
    /// The texts of what was tried.
    tried: BTreeSet<String>,
    progress: &'a mut dyn FnMut(&Progress<'_>),
}

impl<'a> Search<'a> {
    /// Begins with a form that shows the signature. None if it does not.
    pub fn begin(
        (form, place): (Form, &'a Place),
        seed: u64,
        target: Signature,
        limits: Limits,
        progress: &'a mut dyn FnMut(&Progress<'_>),
    ) -> Option<Self> {
        let scenario = form.understand(place).ok()?;
        let (trial, worlds) = trial::run(&scenario, seed, target, u64::MAX);
        let trial = trial?;
        let allowed = trial.signatures.clone();
        let tried = BTreeSet::from([form.text()]);
        let (events, beyond) = (worlds * trial.handled, Beyond::default());
        let best = form;
        Some(Self {
            place,
            seed,
            target,
            best,
            trial,
            worlds,
            events,
            beyond,
            limits,
            shown: None,
            allowed,
            tried,
            progress,
        })
    }

    /// How many events a candidate may handle.
    pub fn events_max(&self) -> u64 {
        self.trial.handled.saturating_mul(LONGER).saturating_add(EVENTS_MORE)
    }

    /// Whether no more worlds may be run.
    pub fn is_over(&self) -> bool {
        self.worlds >= self.limits.worlds || self.is_exhausted() || interrupt::is_asked()
    }

    /// Whether no more events may be handled.
    pub fn is_exhausted(&self) -> bool {
        self.events >= self.beyond.events
    }

    /// Counts worlds that were run.
    pub fn count(&mut self, worlds: u64) {
        self.worlds += worlds;
        self.events = self.events.saturating_add(worlds.saturating_mul(self.trial.handled));
    }

    /// Tries a candidate. It becomes the best if it is a scenario, goes wrong in the same way, brings nothing forbidden
    /// with it, and leaves no more untested than the best does.
    pub fn accept(&mut self, candidate: Form) -> bool {
        let Some(trial) = (!self.is_over()).then(|| self.attempt(&candidate)).flatten() else { return false };
        self.take(candidate, trial);
        true
    }

    /// Makes a candidate the best that has been run and is as good.
    pub fn take(&mut self, candidate: Form, trial: Trial) {
        self.best = candidate;
        self.trial = trial;
        self.shown = None;
        self.tell(true);
    }

    /// Tries a candidate that is no smaller, but simpler: it must not be rarer either. What needs a certain seed explains
    /// less than what a few others show too.
    fn accept_unless_rarer(&mut self, candidate: Form) -> bool {
        let Some(trial) = (!self.is_over()).then(|| self.attempt(&candidate)).flatten() else { return false };
        let before = self.shown();
        let shown = self.shown_by_others(&candidate);
        if shown >= before {
            self.take(candidate, trial);
            self.shown = Some(shown);
        }
        shown >= before
    }

    /// Under how many of a few other seeds the best shows the same.
    pub fn shown(&mut self) -> usize {
        let shown = match self.shown {
            Some(shown) => shown,
            None => self.shown_by_others(&self.best.clone()),
        };
        self.shown = Some(shown);
        shown
    }

    /// Under how many of a few other seeds a form shows the same.
    pub fn shown_by_others(&mut self, form: &Form) -> usize {
        let Ok(scenario) = form.understand(self.place) else { return 0 };
        let mut shown = 0;
        let own = self.seed;
        for seed in OTHER_SEEDS.filter(|seed| *seed != own) {
            let (trial, worlds) = trial::run(&scenario, seed, self.target, self.events_max());
            self.count(worlds);
            shown += usize::from(trial.is_some_and(|trial| self.is_as_good(&trial)));
        }
        shown
    }

    /// How a candidate runs that has not been tried yet, if it is as good as the best.
    pub fn attempt(&mut self, candidate: &Form) -> Option<Trial> {
        if !self.tried.insert(candidate.text()) {
            return None;
        }
        let scenario = candidate.understand(self.place).ok()?;
        let (trial, worlds) = trial::run(&scenario, self.seed, self.target, self.events_max());
        self.count(worlds);
        let trial = trial.filter(|trial| self.is_as_good(trial));
        if trial.is_none() {
            self.tell(false);
        }
        trial
    }

    /// Whether nothing else is wrong with a run that shows the signature.
    pub fn is_as_good(&self, trial: &Trial) -> bool {
        trial.untested.len() <= self.trial.untested.len()
            && trial.signatures.iter().all(|found| !found.is_forbidden() || self.allowed.contains(found))
    }

    fn tell(&mut self, improved: bool) {
        let Self { worlds, best, trial, target, seed, .. } = self;
        let size = Size::of(best);
        let progress = Progress { worlds: *worlds, size, improved, best, trial, target: *target, seed: *seed };
        (self.progress)(&progress);
    }

    /// Takes parts away, many at a time at first and one by one at last, the last ones first. `without` says what the form
    /// is without the parts from .. to.
    pub fn thin_out(&mut self, count: impl Fn(&Form) -> usize, without: impl Fn(&Form, usize, usize) -> Form) {
        let mut chunk = count(&self.best);
        while chunk > 0 {
            let mut end = count(&self.best);
            while end > 0 {
                let start = end.saturating_sub(chunk);
                let candidate = without(&self.best, start, end);
                self.accept(candidate);
                end = start.min(count(&self.best));
            }
            chunk /= 2;
        }
    }

    /// Tries what `of` proposes about the best form, one after the other, until it proposes nothing that is any good.
    pub fn try_all(&mut self, wanted: Wanted, of: impl Fn(&Self) -> Vec<Form>) {
        let mut place = 0;
        loop {
            let candidates = of(self).into_iter().enumerate().skip(place);
            let mut accept = |candidate| match wanted {
                Wanted::Smaller => self.accept(candidate),
                Wanted::NoRarer => self.accept_unless_rarer(candidate),
            };
            let accepted = candidates.into_iter().find_map(|(place, candidate)| accept(candidate).then_some(place));
            let Some(accepted) = accepted else { return };
            // What was refused before stays refused for now: the next round comes to it again.
            place = accepted;
        }
    }
}

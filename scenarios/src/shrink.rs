//! From a failure to the smallest scenario that goes wrong in the same way.
//!
//! Greedy, with delta debugging where there are many parts: a part is taken away, a number made smaller, a fault made
//! simpler, and the change stays if the result is a scenario, shows the same signature under the same seed (anomaly, cause,
//! and whether it is permitted), brings nothing forbidden with it that the failure did not have, and leaves no more untested.
//! Rounds go on until one changes nothing. Everything follows from the form and the seed: the same call gives the same bytes.
//!
//! The smallest is that of these changes one by one; two changes that help only together are found where a reduction
//! proposes both at once, and not otherwise. `docs/shrink.md` lists the reductions in their order.

mod actions;
mod amounts;
mod finish;
mod members;
mod nodes;
mod prepare;
mod roles;
mod search;
mod settings;
mod size;
mod steps;
mod story;
mod times;
mod tree;
mod trial;
mod triggers;
mod words;

pub use prepare::with_files;
pub use size::Size;
pub(crate) use steps::without as without_steps;

use ackproof_reports::Counterfactual;

use crate::counterfactual::elsewhere::Confirmed;
use crate::form::Form;
use crate::interrupt;
use crate::library::Place;
use crate::scenario::Scenario;
use crate::signature::Signature;
use search::Search;
use trial::Trial;

/// How far a search may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many worlds are run to make it smaller. What is told of the result takes some more.
    pub worlds: u64,
    /// Whether brokers, replicas and properties stay as they are: whoever asks about a configuration wants an answer about that one.
    pub keeps_configuration: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { worlds: 5_000, keeps_configuration: false }
    }
}

/// What else is known and asked by those who make many failures small.
#[derive(Clone, Debug)]
pub struct Beyond {
    /// How many events all worlds of the search may handle.
    pub events: u64,
    /// Other worlds in which the same goes wrong, with their seeds: the fix is tried there too.
    pub others: Vec<(Scenario, u64)>,
    /// In how many other worlds the fix is tried: these, and the result under other seeds.
    pub confirm: usize,
}

impl Default for Beyond {
    fn default() -> Self {
        Self { events: u64::MAX, others: Vec::new(), confirm: 0 }
    }
}

/// How far it has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// How many worlds were run.
    pub worlds: u64,
    /// How large the smallest so far is.
    pub size: Size,
    /// Whether it has just become smaller.
    pub improved: bool,
    best: &'a Form,
    trial: &'a Trial,
    target: Signature,
    seed: u64,
}

impl Progress<'_> {
    /// The smallest so far as a file that can be run, for those who may be interrupted.
    pub fn file(&self) -> Form {
        finish::file(self.best, self.seed, self.target, self.trial)
    }
}

/// What has become of a failure.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// A scenario with title, story, expectation and, if one was found, its fix.
    pub form: Form,
    /// The seed that shows it: 0 if that does, or else the one that was given.
    pub seed: u64,
    /// What it shows.
    pub signature: Signature,
    /// How large the failure was.
    pub from: Size,
    /// How large it is.
    pub to: Size,
    /// How many worlds were run.
    pub worlds: u64,
    /// How many events they handled, more or less.
    pub events: u64,
    /// The smallest change that keeps the promise, if it was looked for.
    pub change: Option<Counterfactual>,
    /// Where else that helped.
    pub elsewhere: Option<Confirmed>,
    /// Whether the limit of worlds ended the search before a round changed nothing.
    pub cut_short: bool,
    /// Which of the seeds from 0 to 19 show the same.
    pub shown_by: Vec<u64>,
    /// What does not come out as the result expects it; empty unless something is wrong with the failure itself, such as a fault that
    /// never bites and cannot be taken away.
    pub doubts: Vec<String>,
}

/// What goes wrong in a scenario under a seed, the worst first: broken invariants, then what is forbidden, then the rest.
pub fn failures(scenario: &Scenario, seed: u64) -> Vec<Signature> {
    let mut found: Vec<Signature> = trial::explained(scenario, seed).signatures.into_iter().collect();
    found.sort_by_key(|found| (!matches!(found, Signature::Broken(_)), !found.is_forbidden()));
    found
}

/// One way to make a scenario smaller.
type Reduction = fn(&mut Search<'_>);

/// What makes it smaller, the most at first.
const REDUCTIONS: &[Reduction] = &[
    steps::run,
    members::clients_and_topics,
    amounts::run,
    settings::run,
    members::brokers,
    members::partitions_and_replicas,
    actions::run,
];

/// Those of them that change what is configured.
const CONFIGURATION: &[Reduction] = &[settings::run, members::brokers, members::partitions_and_replicas];

/// What makes it simpler once it is small.
const POLISH: &[Reduction] = &[times::run, roles::run, triggers::run, triggers::follow];

/// Makes a failure as small as it gets. None if the form does not show the signature under the seed.
pub fn shrink(
    form: &Form,
    place: &Place,
    seed: u64,
    target: Signature,
    limits: Limits,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Option<Shrunk> {
    shrink_beyond(form, place, (seed, target), limits, Beyond::default(), progress)
}

/// The same where more is known, or asked.
pub fn shrink_beyond(
    form: &Form,
    place: &Place,
    (seed, target): (u64, Signature),
    limits: Limits,
    beyond: Beyond,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Option<Shrunk> {
    let scenario = form.understand(place).ok()?;
    let bare = prepare::bare(form, &scenario);
    let mut search = Search::begin((bare, place), seed, target, limits, progress)?;
    search.beyond = beyond;
    search.accept(prepare::with_files(&search.best, place));
    search.accept(prepare::settled(&search.best, &scenario, seed));
    search.accept(prepare::timed(&search.best, &search.trial.happenings().began));
    let is_allowed = |reduction: &&Reduction| {
        !limits.keeps_configuration || !CONFIGURATION.iter().any(|of| std::ptr::fn_addr_eq(*of, **reduction))
    };
    let reductions: Vec<Reduction> = REDUCTIONS.iter().filter(is_allowed).copied().collect();
    while round(&mut search, &reductions) || round(&mut search, POLISH) {}
    let cut_short = search.is_over();
    if interrupt::is_asked() {
        return Some(finish::as_it_is(&search, form));
    }
    words::run(&mut search, form);
    Some(finish::finish(search, form, cut_short))
}

/// Applies reductions. Says whether anything changed.
fn round(search: &mut Search<'_>, reductions: &[Reduction]) -> bool {
    let before = search.best.clone();
    for reduction in reductions {
        reduction(search);
    }
    search.best != before && !search.is_over()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::{find, library};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn read(place: &Place) -> Form {
        let text = String::from_utf8(place.read().expect("it is there")).expect("it is text");
        Form::parse(&text).expect("it is TOML")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Most of these are no scenarios any more, and that is all that comes of it.
        #[test]
        fn a_form_with_pieces_missing_does_no_harm(
            pick in 0usize..1000,
            gone in prop::collection::vec(0usize..10_000, 0..6),
        ) {
            let places = library();
            let place = &places[pick % places.len()];
            let mut form = read(place);
            for gone in gone {
                let paths: Vec<_> = tree::values(&form).into_iter().map(|(path, _)| path).collect();
                form = paths.get(gone % paths.len().max(1)).map_or(form.clone(), |path| tree::without(&form, path));
            }
            let target = Signature::Broken(ackproof_reports::Invariant::ALL[0]);
            let shrunk = shrink(&form, place, 0, target, Limits { worlds: 1, ..Limits::default() }, &mut |_| {});
            prop_assert!(shrunk.is_none());
            for step in 0..form.sections("step").count() {
                let left = steps::without(&form, &BTreeSet::from([step]));
                prop_assert!(left.sections("step").count() < form.sections("step").count());
            }
            let whole = prepare::with_files(&form, place);
            prop_assert_eq!(Form::parse(&whole.text()).map(|form| form.text()), Some(whole.text()));
            propose_everything(form);
        }
    }

    /// Lets every reduction propose what it likes about a form; no limit allows that any of it is run.
    fn propose_everything(form: Form) {
        let place = find("control/more-partitions-move-keys").expect("it is in the library").remove(0);
        let scenario = Scenario::load(&place).expect("it is sound");
        let target = *failures(&scenario, 0).first().expect("it goes wrong");
        let mut progress = |_: &Progress<'_>| {};
        let begun = prepare::bare(&read(&place), &scenario);
        let search =
            Search::begin((begun, &place), 0, target, Limits { worlds: 0, ..Limits::default() }, &mut progress);
        let mut search = search.expect("it shows what it shows");
        search.best = form.clone();
        for reduction in REDUCTIONS.iter().chain(POLISH) {
            reduction(&mut search);
        }
        for (place, step) in form.sections("step").enumerate() {
            triggers::proposals(&search, place, step);
        }
        assert_eq!(search.best, form, "nothing was run, so nothing is better");
    }
}

//! What every drawn plan must be, whatever the seed.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use super::campaign::{Campaign, Wanted};
use super::draw::{Basis, Given, Parts, draw};
use super::survive::{Budget, Class};
use super::tally::Report;
use super::tested::{Tested, faults};
use super::toggle::Toggle;
use crate::form::Form;
use crate::library::{Place, find};

fn campaign(wanted: Wanted) -> Campaign {
    Campaign { basis: Basis::Nothing, budget: None, toggles: Vec::new(), wanted, guided: true, quiet_after: None }
}

fn run(campaign: &Campaign, seeds: std::ops::Range<u64>, jobs: usize) -> Report {
    let jobs = NonZeroUsize::new(jobs).expect("not zero");
    campaign.run(seeds, jobs, None, &mut |_, _| ControlFlow::Continue(())).expect("nothing is written")
}

#[test]
fn every_drawn_plan_is_a_scenario_and_is_the_same_again() {
    for seed in 0..400 {
        let form = draw(Parts::fresh(seed), &Basis::Nothing, None);
        assert_eq!(form, draw(Parts::fresh(seed), &Basis::Nothing, None));
        if let Err(found) = form.understand(&Basis::Nothing.place("drawn.toml")) {
            panic!("seed {seed}: {found}\n{}", form.text());
        }
    }
}

#[test]
fn a_story_is_told_in_order() {
    let mut stories = 0;
    for seed in 0..400 {
        let form = draw(Parts::fresh(seed), &Basis::Nothing, None);
        let steps: Vec<_> = form.sections("step").collect();
        let is_story =
            steps.first().is_some_and(|step| step["name"].as_str().is_some_and(|name| name.starts_with("1: ")));
        if !is_story {
            continue;
        }
        stories += 1;
        assert!(steps.windows(2).all(|two| two[1].get("after") == two[0].get("name")), "seed {seed}");
        let ends = ["for", "heal", "elect", "mark", "add-partitions"];
        let has_end = |step: &toml::Table| ends.iter().any(|key| step.contains_key(*key));
        assert!(steps.iter().all(|step| has_end(step)), "seed {seed}: something lasts for ever");
    }
    assert!(stories > 40, "{stories}");
}

#[test]
fn a_budget_is_kept() {
    let budget = Budget([(Class::ProcessCrash, 1), (Class::Pause, 2)].into());
    for seed in 0..100 {
        let form = draw(Parts::fresh(seed), &Basis::Nothing, Some(&budget));
        let count = |action: &str| form.sections("step").filter(|step| step.contains_key(action)).count();
        assert!(count("kill") <= 1 && count("pause") <= 2, "seed {seed}");
        let faults = form.sections("step").count() - count("mark");
        assert_eq!(count("kill") + count("pause"), faults, "seed {seed}");
        assert!(faults > 0, "seed {seed}");
    }
}

#[test]
fn what_is_found_does_not_depend_on_the_threads() {
    let campaign = campaign(Wanted::Any);
    let report = run(&campaign, 0..70, 1);
    assert_eq!(report, run(&campaign, 0..70, 3));
    assert!(report.coverage > 100, "{report:?}");
    assert!(report.panics.is_empty(), "{:?}", report.panics);
}

#[test]
fn only_faults_are_drawn_for_a_given_scenario() {
    let place = find("durability/acks-1-leader-crash").expect("it is there").remove(0);
    let basis = Basis::Given(Box::new(Given::load(&place).expect("it is sound")));
    let forms: Vec<_> = (0..20).map(|seed| draw(Parts::fresh(seed), &basis, None)).collect();
    for form in &forms {
        assert_eq!(form.0.get("producer"), forms[0].0.get("producer"));
        form.understand(&basis.place("drawn.toml")).expect("a scenario");
    }
    assert!(forms.iter().any(|form| form.0.get("step") != forms[0].0.get("step")));
}

/// The hole that a switched-off fix leaves is there in every world, and in the file that shows it again.
#[test]
fn a_toggle_is_in_every_world() {
    let toggle = |text: &str| text.parse::<Toggle>();
    let toggles =
        ["maximal_isr=false", "truncation=hw", "dedupe_window=1"].map(|text| toggle(text).expect("a toggle")).to_vec();
    let campaign = Campaign { toggles, ..campaign(Wanted::Forbidden) };
    for seed in 0..8 {
        let text = campaign.drawn(Parts::fresh(seed)).text();
        assert!(text.contains(r#"toggles = { dedupe_window = 1, maximal_isr = false, truncation = "hw" }"#), "{text}");
        let form = Form::parse(&text).expect("TOML");
        assert!(form.understand(&Place::Disk("drawn.toml".into())).is_ok(), "{text}");
    }
    for (wrong, says) in [("maximal_isr", "name=value"), ("maximal_isrs=false", "maximal_isrs"), ("truncation=x", "hw")]
    {
        assert!(toggle(wrong).expect_err(wrong).contains(says), "{wrong}");
    }
}

#[test]
fn where_a_rack_loses_its_power_there_are_racks() {
    let budget = Budget([(Class::RackPowerLoss, 1)].into());
    for seed in 0..40 {
        let form = draw(Parts::fresh(seed), &Basis::Nothing, Some(&budget));
        form.understand(&Place::Disk("drawn.toml".into())).expect("a scenario");
        assert_eq!(faults(&form).len(), 1, "seed {seed}: {}", form.text());
    }
}

/// Plans with fewer faults than the budget do not count, and neither do worlds in which some did not happen.
#[test]
fn only_worlds_in_which_it_happened_count() {
    let place = find("durability/acks-1-leader-crash").expect("it is there").remove(0);
    let basis = Basis::Given(Box::new(Given::load(&place).expect("it is sound")));
    let budget = Some(Budget([(Class::MachinePowerLoss, 2)].into()));
    let campaign = Campaign { basis, budget, guided: false, ..campaign(Wanted::Any) };
    let tested = |jobs| campaign.tested(6, NonZeroUsize::new(jobs).expect("not zero"), &mut |_| {}).expect("no file");
    let Tested { happened, missed } = tested(1);
    let again = tested(3);
    assert_eq!((&happened, &missed), (&again.happened, &again.missed));
    assert!(missed.worlds > 0 && happened.worlds > 0, "{happened:?} {missed:?}");
    assert!(happened.worlds == 6 || happened.worlds + missed.worlds == 18, "{happened:?} {missed:?}");
    for seed in [happened, missed].iter().flat_map(|report| report.seeds.ranges().to_vec()).flatten() {
        assert_eq!(faults(&campaign.drawn(Parts::fresh(seed))).len(), 2, "seed {seed}");
    }
}

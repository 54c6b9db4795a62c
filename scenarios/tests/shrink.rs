//! From a failure to the smallest scenario that goes wrong in the same way.

use std::path::PathBuf;

use ackproof::expectation::Standing;
use ackproof::form::Form;
use ackproof::library::Place;
use ackproof::runner::{Options, run};
use ackproof::scenario::Scenario;
use ackproof::shrink::{Limits, Shrunk, Size, failures, shrink};

fn load(place: &Place) -> (Scenario, Form) {
    let scenario = Scenario::load(place).unwrap_or_else(|found| panic!("{found}"));
    let text = String::from_utf8(place.read().expect("it is there")).expect("it is text");
    (scenario, Form::parse(&text).expect("it is TOML"))
}

fn big() -> Place {
    Place::Disk(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shrink/big.toml")))
}

/// Shrinks the worst that a scenario shows under its first seed, and looks whether the result is what it says.
#[track_caller]
fn shrunk(place: &Place, limits: Limits) -> Shrunk {
    let (scenario, form) = load(place);
    let seed = scenario.seeds.test.start;
    let target = *failures(&scenario, seed).first().expect("something goes wrong");
    let shrunk = shrink(&form, place, seed, target, limits, &mut |_| {}).expect("it shows what it shows");
    assert_eq!(shrunk.doubts, [""; 0], "{}\n{}", place.name(), shrunk.form.text());
    let again = shrunk.form.understand(place).unwrap_or_else(|found| panic!("{found}\n{}", shrunk.form.text()));
    for seed in again.seeds.all() {
        let run = run(&again, seed, Options::default()).expect("it is deterministic");
        assert_eq!(run.standing, Standing::AsExpected, "seed {seed}\n{}", shrunk.form.text());
    }
    shrunk
}

#[test]
fn of_much_that_happens_what_loses_a_record_is_left() {
    let shrunk = shrunk(&big(), Limits::default());
    println!(
        "{}\nfrom {}\nto   {}\n{} worlds, shown by {:?}",
        shrunk.form.text(),
        shrunk.from,
        shrunk.to,
        shrunk.worlds,
        shrunk.shown_by
    );
    let Size { steps, clients, records, config_keys, .. } = shrunk.to;
    assert!(shrunk.from.steps >= 15 && shrunk.from.clients == 5, "{}", shrunk.from);
    assert!(steps <= 3 && clients == 1 && records <= 60 && config_keys <= 3, "{}\n{}", shrunk.to, shrunk.form.text());
}

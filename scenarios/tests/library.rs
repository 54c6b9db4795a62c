//! Every scenario of the library is a test, over all seeds that its file names.
//!
//! `cargo test -p ackproof --test library durability/` runs those of a chapter.

use ackproof::cli::replayed;
use ackproof::expectation::Standing;
use ackproof::library::{Place, library};
use ackproof::runner::{Options, run};
use ackproof::scenario::Scenario;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let trials = library().into_iter().map(|place| Trial::test(place.name(), move || check(&place))).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// The first seed is also run twice: the same facts must come out.
fn check(place: &Place) -> Result<(), Failed> {
    let scenario = Scenario::load(place).map_err(|found| Failed::from(found.to_string()))?;
    for (number, seed) in scenario.seeds.all().enumerate() {
        let options = Options { check_determinism: number == 0, ..Options::default() };
        let run = run(&scenario, seed, options).map_err(|difference| {
            Failed::from(format!(
                "seed {seed} differs from itself: {:?} and then {:?}",
                difference.first, difference.second
            ))
        })?;
        if run.standing != Standing::AsExpected {
            return Err(Failed::from(replayed(&scenario, &run)));
        }
    }
    Ok(())
}

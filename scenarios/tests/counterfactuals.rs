//! What would have kept the promise: found by re-running, and only if the scenario was still put to the test.

use ackproof::diagnostics::Source;
use ackproof::library::{Place, library};
use ackproof::runner::{Options, Run, run};
use ackproof::scenario::Scenario;
use ackproof_reports::{Cost, Kind};

fn searched(scenario: &Scenario, seed: u64) -> Run {
    let options = Options { counterfactuals: true, ..Options::default() };
    run(scenario, seed, options).unwrap_or_else(|difference| panic!("not deterministic: {difference:?}"))
}

fn of_library(name: &str) -> Scenario {
    let place = library().into_iter().find(|place| place.name() == name);
    Scenario::load(&place.expect("it is in the library")).unwrap_or_else(|found| panic!("{found}"))
}

/// What was found for a kind of anomaly.
#[track_caller]
fn check(run: &Run, kind: Kind, expected: Option<&str>) {
    let found = run.counterfactuals.iter().find(|found| found.kind == kind);
    let found = found.unwrap_or_else(|| panic!("no {kind} among {:?}", run.judgement.kinds()));
    assert_eq!(found.change.as_deref(), expected, "{found:?}");
    assert_eq!(found.confirmed_seeds.len(), if expected.is_some() { 3 } else { 0 });
}

#[test]
fn the_smallest_change_keeps_the_message() {
    let run = searched(&of_library("durability/acks-1-leader-crash-slow-network"), 3);
    check(&run, Kind::LostWrite, Some("acks=all, and with it enable.idempotence=true"));
    let story = &run.explanation.stories[0];
    let keeps_it = story.keeps_it.as_ref().expect("one was found");
    assert_eq!(keeps_it.how, "same seed, re-run; also seeds 0, 1 and 2");
    // All four seeds, without the change and with it: who waits for the followers waits longer.
    let Cost { before, after } = keeps_it.cost.expect("it was measured");
    assert_eq!((before.records, run.counterfactuals[0].cost), (4 * run.judgement.counts.sent, keeps_it.cost));
    assert!(after.p50_us > before.p50_us && after.acknowledged <= after.records, "{before:?} {after:?}");
}

#[test]
fn a_change_that_brings_something_else_is_none() {
    // acks=all alone would write a record twice after the crash.
    let run = searched(&of_library("durability/acks-1-leader-crash"), 3);
    check(&run, Kind::LostWrite, Some("enable.idempotence=true, and with it acks=all"));
}

#[test]
fn where_one_setting_is_not_enough_two_are_tried() {
    let run = searched(&of_library("durability/lost-response-app-resends"), 3);
    check(&run, Kind::Duplicate, Some("enable.idempotence=true with retries=2147483647"));
}

#[test]
fn a_bug_is_mended_by_its_historical_fix() {
    let run = searched(&of_library("replication/maximal-isr"), 3);
    check(&run, Kind::LostWrite, Some("the fix maximal_isr"));
}

#[test]
fn what_a_program_does_is_changed_where_no_setting_helps() {
    // To commit later alone would process records twice.
    let run = searched(&of_library("delivery/at-most-once"), 3);
    let both = "a commit after processing with a sink that takes each record once (upsert)";
    check(&run, Kind::LostDelivery, Some(both));
    // Not a fact is different: the sink alone is.
    let run = searched(&of_library("delivery/at-least-once"), 3);
    check(&run, Kind::DuplicateDelivery, Some("a sink that takes each record once (upsert)"));
}

#[test]
fn where_nothing_keeps_it_the_story_says_how_much_was_tried() {
    let run = searched(&of_library("storage/swallowed-fsync-error"), 3);
    check(&run, Kind::LostWrite, None);
    let story = run.explanation.stories.iter().find(|story| story.anomaly.kind == Kind::LostWrite);
    let keeps_it = story.and_then(|story| story.keeps_it.as_ref()).expect("it says so");
    assert_eq!(keeps_it.change, "nothing of what was tried");
    assert!(keeps_it.how.ends_with("changes of up to three settings, same seed, re-run"), "{}", keeps_it.how);
}

/// The leader fails after a record has failed; resending it, or waiting longer, would let the second step never happen.
const WAITS_FOR_A_FAILURE: &str = r#"
title = "a step that waits for a failed record"
time-limit = "2m"

[cluster]
brokers = 1

[[topic]]
name = "orders"
replicas = [[1]]

[[producer]]
name = "p1"
topic = "orders"
config = { acks = 1, "delivery.timeout.ms" = 3000, "request.timeout.ms" = 2000, "enable.idempotence" = false }
records = 20
every = "100ms"

[[step]]
name = "the broker is cut off"
when = { fact = "record-acknowledged" }
cut = { from = "all clients", to = "all brokers" }

[[step]]
name = "the link is back once a record has failed"
when = { fact = "record-failed" }
heal = "the broker is cut off"

[[expect.anomaly]]
kind = "silent-drop"
"#;

#[test]
fn a_change_under_which_a_step_never_happens_is_none() {
    let place = Place::Disk("waits.toml".into());
    let scenario = Scenario::read(&place, &Source::new("waits.toml", WAITS_FOR_A_FAILURE));
    let run = searched(&scenario.unwrap_or_else(|found| panic!("{found}")), 1);
    let found = run.counterfactuals.iter().find(|found| found.kind == Kind::SilentDrop).expect("it was looked for");
    // With a longer time nothing fails, so the link never comes back: that is no fix, although nothing is dropped either.
    assert_ne!(found.change.as_deref(), Some("delivery.timeout.ms=300000"));
    assert!(found.tried > 5, "{found:?}");
}

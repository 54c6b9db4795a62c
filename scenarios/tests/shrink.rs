//! From a failure to the smallest scenario that goes wrong in the same way.

use std::path::PathBuf;

use ackproof::expectation::Standing;
use ackproof::form::Form;
use ackproof::library::{Place, find};
use ackproof::runner::{Options, run};
use ackproof::scenario::Scenario;
use ackproof::shrink::{Limits, Shrunk, Size, failures, shrink};

use crate::common::{ackproof, folder};

mod common;

fn load(place: &Place) -> (Scenario, Form) {
    let scenario = Scenario::load(place).unwrap_or_else(|found| panic!("{found}"));
    let text = String::from_utf8(place.read().expect("it is there")).expect("it is text");
    (scenario, Form::parse(&text).expect("it is TOML"))
}

/// Many steps, brokers, clients and settings, and one step that loses a record.
const BIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shrink/big.toml");

fn of_library(name: &str) -> Place {
    find(name).expect("it is in the library").remove(0)
}

/// Shrinks the worst that a scenario shows under its first seed, and looks whether the result is what it says.
#[track_caller]
fn shrunk(place: &Place, limits: Limits) -> Shrunk {
    let (scenario, form) = load(place);
    let seed = scenario.seeds.test.start;
    let target = *failures(&scenario, seed).first().expect("something goes wrong");
    let mut last = (0, 0);
    let shrunk = shrink(&form, place, seed, target, limits, &mut |progress| {
        assert!(progress.worlds >= last.0, "worlds are counted up");
        last = (progress.worlds, last.1 + u32::from(progress.improved));
    });
    let shrunk = shrunk.expect("it shows what it shows");
    assert_eq!(shrunk.doubts, [""; 0], "{}\n{}", place.name(), shrunk.form.text());
    assert!(last.1 > 0 && shrunk.worlds >= last.0, "{} improvements in {} worlds", last.1, shrunk.worlds);
    let again = shrunk.form.understand(place).unwrap_or_else(|found| panic!("{found}\n{}", shrunk.form.text()));
    for seed in again.seeds.all() {
        let run = run(&again, seed, Options::default()).expect("it is deterministic");
        assert_eq!(run.standing, Standing::AsExpected, "seed {seed}\n{}", shrunk.form.text());
    }
    shrunk
}

#[test]
fn of_much_that_happens_what_loses_a_record_is_left() {
    let shrunk = shrunk(&Place::Disk(PathBuf::from(BIG)), Limits::default());
    let Size { steps, clients, records, config_keys, .. } = shrunk.to;
    assert!(shrunk.from.steps >= 15 && shrunk.from.clients == 5, "{}", shrunk.from);
    let text = shrunk.form.text();
    assert!(text.contains("when = ") && !text.contains("at = ") && !text.contains("\"broker "), "{text}");
    assert!(steps <= 3 && clients == 1 && records <= 10 && config_keys <= 2, "{}\n{}", shrunk.to, shrunk.form.text());
}

#[test]
fn it_comes_out_the_same_every_time() {
    let place = of_library("durability/acks-1-leader-crash");
    let texts = [(), ()].map(|()| shrunk(&place, Limits { worlds: 150, ..Limits::default() }).form.text());
    assert_eq!(texts[0], texts[1]);
}

/// Of different chapters and causes: what a file of the library shows may be shrunk, and nothing grows.
#[test]
fn scenarios_of_the_library_do_not_grow() {
    for name in [
        "control/more-partitions-move-keys",
        "delivery/at-most-once",
        "durability/exit-without-close-linger-5",
        "durability/lost-response-app-resends",
        "replication/maximal-isr",
        "storage/swallowed-fsync-error",
    ] {
        let Shrunk { from, to, form, .. } = shrunk(&of_library(name), Limits { worlds: 120, ..Limits::default() });
        let pairs = [(from.steps, to.steps), (from.nodes, to.nodes), (from.clients, to.clients)];
        let is_no_larger = pairs.iter().all(|(from, to)| to <= from) && to.records <= from.records;
        assert!(is_no_larger && to != from, "{name}: from {from} to {to}\n{}", form.text());
    }
}

#[test]
fn a_bug_keeps_the_fix_that_it_lacks() {
    let text = shrunk(&of_library("replication/maximal-isr"), Limits { worlds: 60, ..Limits::default() }).form.text();
    for wanted in ["toggles = { maximal_isr = false }", "[fix]\ncluster = { toggles = { maximal_isr = true } }"] {
        assert!(text.contains(wanted), "{text}");
    }
    assert!(text.contains("StrongIsr is broken") && !text.contains("mutation"), "{text}");
}

#[test]
fn a_search_that_is_cut_short_says_so_and_is_sound() {
    let place = of_library("durability/acks-1-leader-crash");
    assert!(shrunk(&place, Limits { worlds: 12, ..Limits::default() }).cut_short);
}

#[test]
fn a_configuration_that_is_asked_about_stays() {
    let place = Place::Disk(PathBuf::from(BIG));
    let limits = Limits { worlds: 150, keeps_configuration: true };
    let Shrunk { from, to, form: small, .. } = shrunk(&place, limits);
    let configured = |form: &Form| {
        let cluster = form.0["cluster"].as_table().expect("a table");
        let topics: Vec<_> = form.sections("topic").map(|topic| topic.get("config").cloned()).collect();
        (cluster.get("config").cloned(), cluster.get("brokers").cloned(), topics.first().cloned())
    };
    assert_eq!(configured(&small), configured(&load(&place).1));
    assert!(to.steps < from.steps && to.records < from.records, "from {from} to {to}");
}

#[test]
fn what_is_printed_and_written() {
    let out = folder("shrink").join("small.toml");
    let name = out.to_string_lossy().into_owned();
    let (output, _) = ackproof(&["shrink", "durability/acks-1-leader-crash", "-o", &name], &[]);
    assert_eq!(output.status.code(), Some(0));
    let told =
        String::from_utf8_lossy(&output.stderr).into_owned() + "---\n" + &String::from_utf8_lossy(&output.stdout);
    let text = std::fs::read_to_string(&out).expect("it was written");
    insta::assert_snapshot!("shrink_told", told.replace(&name, "small.toml"));
    insta::assert_snapshot!("shrink_written", text);
    let left = std::fs::read_dir(out.parent().expect("it is in a folder")).expect("it is there").count();
    assert_eq!(left, 1, "only the file itself is left");
    assert_eq!(ackproof(&["run", &name], &[]).0.status.code(), Some(0));
    let (output, told) = ackproof(&["shrink", &name, "--format", "json"], &[]);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((&told["from"]["steps"], &told["to"]["records"]), (&told["to"]["steps"], &told["from"]["records"]));
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, says: &str) {
    let (output, told) = ackproof(arguments, &[]);
    assert_eq!(output.status.code(), Some(code), "{arguments:?} said\n{told}");
    assert!(told.contains(says), "{arguments:?} does not say `{says}` but\n{told}");
}

#[test]
fn what_cannot_be_shrunk_is_said_kindly() {
    refused(
        &["shrink", "durability/acks-all-leader-crashes"],
        3,
        "nothing goes wrong in durability/acks-all-leader-crashes",
    );
    refused(&["shrink", "no-such-scenario"], 2, "ackproof list");
    refused(&["shrink", "durability"], 2, "one is shrunk at a time");
    refused(&["shrink", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], 2, "unknown key");
    refused(&["shrink", "durability/acks-1-leader-crash", "--signature", "phantom"], 2, "shows no `phantom` but");
    refused(&["shrink", "durability/acks-1-leader-crash", "--max-worlds", "0"], 2, "--max-worlds");
    refused(&["shrink", "durability/acks-1-leader-crash", "-o", env!("CARGO_MANIFEST_DIR")], 2, "folder");
    refused(&["shrink", "durability/acks-1-leader-crash", "-o", "no/such/folder/x.toml"], 2, "no/such/folder/x.toml");
}

//! Every moment of a small world: nothing that was promised is lost, whenever a broker dies, loses power, stands still or is cut off.
//!
//! `docs/sweep.md` has the figures of the whole library; this is what every `cargo test` can afford.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use ackproof::chaos::campaign::Wanted;
use ackproof::chaos::exhaustive::{Bounds, Exhaustive, Fault};
use ackproof::chaos::keep::Worlds;
use ackproof::chaos::results::{Asked, Merger};
use ackproof::chaos::seeds::Seeds;
use ackproof::chaos::tally::{Report, WorldResult};
use ackproof::form::Form;
use ackproof::library::Place;

/// Three records one after the other; or, where they come in bursts, some of them while followers are busy with others.
fn sweep(acks: &str, burst: u32, faults: &[(Fault, u32)], bounds: (u32, u64, u64)) -> Exhaustive {
    let records = 3 * burst;
    let text = format!(
        r#"title = "a small world"
[cluster]
kafka = "3.9"
brokers = 3
config = {{ "broker.session.timeout.ms" = 3000, "broker.heartbeat.interval.ms" = 500 }}
[[topic]]
name = "orders"
replicas = [[1, 2, 3]]
config = {{ "min.insync.replicas" = 2 }}
[[producer]]
name = "p1"
topic = "orders"
config = {{ acks = "{acks}", "batch.size" = 1 }}
records = {records}
burst = {burst}
every = "20ms"
[[consumer]]
name = "c1"
topic = "orders"
config = {{ "auto.offset.reset" = "earliest" }}
[[step]]
name = "its own crash is left out"
at = "1s"
kill = "broker 1"
as = "victim"
[[step]]
after = "its own crash is left out"
wait = "1s"
start = "victim"
"#
    );
    let (faults, (most, lasts_ms, stride)) = (faults.to_vec(), bounds);
    let bounds = Bounds { faults: most, lasts_ms, stride, records: 100 };
    let form = Form::parse(&text).expect("it is TOML");
    let sweep = Exhaustive::new(&form, &Place::Disk("small.toml".into()), faults, bounds);
    sweep.unwrap_or_else(|found| panic!("{found}"))
}

fn swept(sweep: &Exhaustive, seed: u64) -> (Report, Vec<WorldResult>) {
    let (mut report, mut worlds) = (Report::default(), Vec::new());
    let moments = sweep.moments(seed).expect("it is a scenario");
    let done = sweep.run(seed, moments, NonZeroUsize::MIN, &mut report, &mut |_, world| {
        worlds.push(world.clone());
        ControlFlow::Continue(())
    });
    done.expect("nothing is written");
    (report, worlds)
}

#[track_caller]
fn all_clean(sweep: &Exhaustive, seed: u64, worlds: u64) {
    let (report, found) = swept(sweep, seed);
    let first = found.iter().find(|world| !world.failures.is_empty() || world.panic.is_some());
    assert!(report.is_clean(), "{} of {} worlds are not clean: {first:?}", report.ways(), report.worlds);
    assert!(report.worlds >= worlds, "only {} worlds", report.worlds);
}

#[test]
fn a_kill_before_any_event_harms_nothing() {
    for lasts_ms in [200, 6_000] {
        all_clean(&sweep("all", 1, &[(Fault::Kill, 1)], (1, lasts_ms, 1)), 0, 250);
    }
}

#[test]
fn a_loss_of_power_a_pause_or_a_cut_before_any_event_harms_nothing() {
    all_clean(&sweep("all", 1, &[(Fault::PowerLoss, 1)], (1, 1_000, 1)), 1, 250);
    all_clean(&sweep("all", 1, &[(Fault::Pause, 1), (Fault::Cut, 1)], (1, 5_000, 3)), 1, 150);
}

#[test]
fn two_faults_harm_nothing() {
    all_clean(&sweep("all", 1, &[(Fault::Kill, 2)], (2, 1_000, 12)), 2, 1_000);
    all_clean(&sweep("all", 1, &[(Fault::PowerLoss, 1), (Fault::Cut, 1)], (2, 1_000, 40)), 3, 50);
}

#[test]
fn a_sweep_finds_what_acks_1_permits_and_each_world_is_a_file() {
    let mut sweep = sweep("1", 4, &[(Fault::Kill, 1)], (1, 6_000, 1));
    let (report, worlds) = swept(&sweep, 0);
    assert!(
        report.is_clean() && report.permitted > 0,
        "of {} worlds none lost what only the leader had",
        report.worlds
    );
    for world in worlds.iter().step_by(37) {
        assert_eq!(sweep.world(world.id).as_ref().ok(), Some(world), "{}", sweep.form(world.id).text());
    }
    sweep.wanted = Wanted::Any;
    let id = worlds.iter().find(|world| world.permitted).expect("one of them lost something").id;
    let world = sweep.world(id).expect("it is a scenario");
    assert!(!world.failures.is_empty() && !world.permitted);
}

#[test]
fn two_faults_are_a_file_too() {
    let sweep =
        sweep("1", 4, &[(Fault::Kill, 1), (Fault::Pause, 1), (Fault::PowerLoss, 1), (Fault::Cut, 1)], (2, 3_000, 60));
    let (_, worlds) = swept(&sweep, 0);
    assert!(worlds.len() > 500, "{}", worlds.len());
    for world in worlds.iter().step_by(61) {
        assert_eq!(sweep.world(world.id).as_ref().ok(), Some(world), "{}", sweep.form(world.id).text());
    }
}

#[test]
fn shards_of_a_sweep_are_merged_into_the_whole() {
    let sweep = sweep("1", 4, &[(Fault::Kill, 1)], (1, 6_000, 7));
    let asked = Asked::of_sweep(&sweep, ("small.toml".into(), vec!["1 process crash".into()]), 0);
    let seeds = Seeds::of(4..5);
    let file = |from: u64, to: u64| {
        let moments = sweep.moments(4).expect("it is a scenario");
        let length = moments.end - moments.start;
        let part = moments.start + length * from / 3..moments.start + length * to / 3;
        let (mut lines, mut report) = (vec![asked.line(&seeds)], Report::default());
        let done = sweep.run(4, part, NonZeroUsize::MIN, &mut report, &mut |_, world| {
            lines.push(world.line());
            ControlFlow::Continue(())
        });
        done.expect("nothing is written");
        lines.extend(report.swept_lines());
        lines.push(report.line(&seeds, &asked));
        (lines.join("\n") + "\n", report.missing(&seeds, &asked))
    };
    let merged = |files: &[&str]| {
        let mut merger = Merger::default();
        files.iter().for_each(|file| merger.take(file.as_bytes()).expect("it is a result"));
        merger.finish().expect("there are files").text()
    };
    let (whole, missing) = file(0, 3);
    assert_eq!(missing, [""; 0]);
    let ((one, gap), (two, _)) = (file(0, 1), file(1, 3));
    assert!(gap.len() == 1 && gap[0].ends_with(" of seed 4"), "{gap:?}");
    assert_eq!(merged(&[&two, &one, &file(0, 2).0]), whole);
    assert_eq!(merged(&[&merged(&[&one, &one]), &two]), whole);
}

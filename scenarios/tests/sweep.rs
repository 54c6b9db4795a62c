//! The crash at every event, on a small world: nothing that was promised is lost, whenever a broker dies.
//!
//! `docs/sweep.md` has the figures of the whole library; this is what every `cargo test` can afford.

use ackproof::diagnostics::Source;
use ackproof::library::Place;
use ackproof::scenario::Scenario;
use ackproof::sweep::{Crashes, Report, Sweep, run};
use ackproof_core::types::Duration;
use ackproof_sim::world::{Crash, Keep};

/// Three records one after the other; or, where they come in bursts, some of them while followers are busy with others.
fn scenario(acks: &str, burst: u32) -> Scenario {
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
[expect]
clean = true
"#
    );
    let source = Source::new("small.toml", text);
    Scenario::read(&Place::Library("small.toml".into()), &source).unwrap_or_else(|found| panic!("{found}"))
}

fn sweep(crash: Crash, back_after: Duration, crashes: Crashes, stride: u64) -> Sweep {
    Sweep { crash, back_after, crashes, stride, records: 100 }
}

#[track_caller]
fn all_clean(report: &Report, worlds: u64) {
    let first = report.findings.first();
    assert!(first.is_none(), "{} of {} worlds are not clean: {first:?}", report.findings.len(), report.worlds);
    assert!(report.worlds >= worlds, "only {} worlds", report.worlds);
}

#[test]
fn a_kill_at_any_event_harms_nothing() {
    let scenario = scenario("all", 1);
    for back_after in [Duration::from_millis(200), Duration::from_secs(6)] {
        all_clean(&run(&scenario, 0, &sweep(Crash::Kill, back_after, Crashes::One, 1)), 250);
    }
}

#[test]
fn a_loss_of_power_at_any_event_harms_nothing() {
    let back_after = Duration::from_secs(1);
    let report = run(&scenario("all", 1), 1, &sweep(Crash::PowerLoss(Keep::Nothing), back_after, Crashes::One, 1));
    all_clean(&report, 250);
}

#[test]
fn two_kills_harm_nothing() {
    let back_after = Duration::from_secs(1);
    all_clean(&run(&scenario("all", 1), 2, &sweep(Crash::Kill, back_after, Crashes::Pairs, 12)), 1_000);
}

#[test]
fn the_sweep_finds_what_acks_1_permits() {
    let report = run(&scenario("1", 4), 0, &sweep(Crash::Kill, Duration::from_secs(6), Crashes::One, 1));
    assert!(report.findings.is_empty(), "{:?}", report.findings.first());
    assert!(report.permitted > 0, "of {} worlds none lost what only the leader had", report.worlds);
}

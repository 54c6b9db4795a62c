//! What a run costs as it grows: from 3 to 30 brokers, from 1 to 5,000 partitions, from a thousand to a million records.
//!
//! `cargo run --release -p ackproof --example growth` measures everything, writes `docs/growth.csv` and `docs/growth.svg`, and prints
//! the table that stands in `docs/performance.md`. `-- partitions` measures one of the three and writes nothing.
//!
//! The judge and the digest are on, the trace is off, as in a campaign. Requests are those that clients, brokers and the controller send
//! to one another: what a real cluster of that size would send in the same time.

mod picture;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ackproof::contract::contract;
use ackproof::diagnostics::Source;
use ackproof::library::Place;
use ackproof::scenario::Scenario;
use ackproof_core::fact::{Event, Observer};
use ackproof_reports::{Digest, Judge, Verdict};
use ackproof_sim::{Outcome, World};

/// One line of the table.
pub struct Measured {
    size: u64,
    simulated_ms: u64,
    requests: u64,
    events: u64,
    wall_us: u64,
}

/// What grows, and how it has grown.
pub struct Growth {
    what: &'static str,
    lines: Vec<Measured>,
}

/// What is measured: the sizes, and the scenario of a size.
struct Sweep {
    what: &'static str,
    sizes: &'static [u64],
    scenario: fn(u64) -> String,
}

const SWEEPS: [Sweep; 3] = [
    Sweep { what: "brokers", sizes: &[3, 6, 10, 20, 30], scenario: |brokers| slow(brokers, 2 * brokers) },
    Sweep { what: "partitions", sizes: &[1, 10, 100, 1_000, 5_000], scenario: |partitions| slow(3, partitions) },
    Sweep { what: "records", sizes: &[1_000, 10_000, 100_000, 1_000_000], scenario: fast },
];

/// A thousand records in fifty seconds, one after the other to all partitions.
fn slow(brokers: u64, partitions: u64) -> String {
    scenario(brokers, partitions, 1_000, "every = \"50ms\"", "\"partitioner.class\" = \"RoundRobinPartitioner\"")
}

/// Ten thousand records a second to one partition, in batches of a hundred.
fn fast(records: u64) -> String {
    scenario(3, 1, records, "every = \"10ms\"\nburst = 100", "\"linger.ms\" = 5")
}

fn scenario(brokers: u64, partitions: u64, records: u64, pace: &str, producer: &str) -> String {
    format!(
        r#"
title = "growth"
time-limit = "10h"
[cluster]
kafka = "3.9"
brokers = {brokers}
config = {{ "min.insync.replicas" = 2 }}
[[topic]]
name = "orders"
partitions = {partitions}
replication-factor = 3
[[producer]]
name = "p1"
topic = "orders"
records = {records}
{pace}
value-bytes = 100
config = {{ acks = "all", {producer} }}
[[consumer]]
name = "c1"
topic = "orders"
config = {{ "auto.offset.reset" = "earliest" }}
[expect]
clean = true
"#
    )
}

struct Watch {
    judge: Judge,
    digest: Digest,
}

impl Observer for Watch {
    fn observe(&mut self, event: &Event) {
        self.judge.observe(event);
        self.digest.observe(event);
    }
}

/// The wall clock is what this is about; nothing in the run sees it.
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "how long a run takes is measured, never used")]
fn measure(size: u64, text: &str) -> Measured {
    let place = Place::Disk(PathBuf::from("growth.toml"));
    let scenario =
        Scenario::read(&place, &Source::new("growth.toml", text)).unwrap_or_else(|found| panic!("{found:?}"));
    let mut best: Option<Measured> = None;
    // The best of some: what disturbs a measurement makes it longer.
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let mut world = World::new(Arc::new(scenario.plan(7)));
        let mut watch = Watch { judge: Judge::new(contract(&scenario)), digest: Digest::new() };
        assert_eq!(world.run(&mut watch), Outcome::Quiescent, "a run without faults comes to rest");
        assert_eq!(watch.judge.finish().verdict, Verdict::Valid, "nothing goes wrong without faults");
        let wall_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (simulated_ms, requests, events) = (world.now().0 / 1_000_000, world.requests(), world.events());
        if best.as_ref().is_none_or(|best| wall_us < best.wall_us) {
            best = Some(Measured { size, simulated_ms, requests, events, wall_us });
        }
        if wall_us > 5_000_000 {
            break;
        }
    }
    best.expect("it was measured at least once")
}

fn table(growths: &[Growth]) -> String {
    let mut out = String::from(
        "| | | simulated s | requests | events | ms | µs per event | µs per request |\n|---|---|---|---|---|---|---|---|\n",
    );
    for growth in growths {
        for line in &growth.lines {
            let tenths = |per: u64| line.wall_us * 10 / per.max(1);
            let tenths = |per: u64| format!("{}.{}", tenths(per) / 10, tenths(per) % 10);
            out += &format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
                growth.what,
                line.size,
                line.simulated_ms / 1_000,
                line.requests,
                line.events,
                line.wall_us / 1_000,
                tenths(line.events),
                tenths(line.requests)
            );
        }
    }
    out
}

fn csv(growths: &[Growth]) -> String {
    let mut out = String::from("what,size,simulated_ms,requests,events,wall_us\n");
    for growth in growths {
        for Measured { size, simulated_ms, requests, events, wall_us } in &growth.lines {
            out += &format!("{},{size},{simulated_ms},{requests},{events},{wall_us}\n", growth.what);
        }
    }
    out
}

fn main() -> std::io::Result<()> {
    let only = std::env::args().nth(1);
    let mut growths = Vec::new();
    for sweep in SWEEPS.iter().filter(|sweep| only.as_deref().is_none_or(|only| only == sweep.what)) {
        let mut growth = Growth { what: sweep.what, lines: Vec::new() };
        for &size in sweep.sizes {
            growth.lines.push(measure(size, &(sweep.scenario)(size)));
            let line = growth.lines.last().expect("just measured");
            eprintln!("{} {}: {} events, {} ms", sweep.what, size, line.events, line.wall_us / 1_000);
        }
        growths.push(growth);
    }
    if growths.is_empty() {
        eprintln!("nothing of this name grows: say brokers, partitions or records, or nothing for all");
        std::process::exit(2);
    }
    print!("{}", table(&growths));
    if only.is_none() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        std::fs::write(docs.join("growth.csv"), csv(&growths))?;
        std::fs::write(docs.join("growth.svg"), picture::draw(&growths))?;
    }
    Ok(())
}

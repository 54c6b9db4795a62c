//! The digest of a run depends on the scenario and the seed, and on nothing else: not on whether its facts are kept or told, nor on
//! how many runs there are at a time.

use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};

use ackproof::library::find;
use ackproof::log::{LogFilter, LogFormat, VirtualTime, tell};
use ackproof::runner::{self, Options};
use ackproof::scenario::Scenario;
use serde_json::Value;
use tracing_subscriber::Layer as _;

/// Scenarios with a loss, a loss of power, a duplicate, and none of them.
const NAMES: [&str; 4] = [
    "durability/acks-1-leader-crash",
    "durability/power-loss-empties-the-page-cache",
    "durability/lost-answer-without-idempotence",
    "durability/tutorial/orders",
];

const SEEDS: std::ops::Range<u64> = 0..3;

fn scenario(name: &str) -> Scenario {
    let places = find(name).unwrap_or_else(|found| panic!("{name}: {found:?}"));
    Scenario::load(&places[0]).unwrap_or_else(|_| panic!("{name} is valid"))
}

/// A log in memory.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nothing panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nothing panics with it").clone()).expect("a log is text")
    }
}

/// Runs with a log, and returns the run and what was logged.
fn logged(scenario: &Scenario, seed: u64, filter: &str, format: LogFormat) -> (runner::Run, String) {
    let paper = Paper::default();
    let filter: LogFilter = filter.parse().expect("a filter");
    let layer = VirtualTime::new(format, paper.clone()).with_filter(filter.targets());
    let run = tell(layer, || runner::run(scenario, seed, Options::default()).expect("it is deterministic"));
    (run, paper.text())
}

#[test]
fn a_kept_trace_changes_nothing() {
    for name in NAMES {
        let scenario = scenario(name);
        for seed in SEEDS {
            let run = |keep_trace, check_determinism| {
                let run = runner::run(&scenario, seed, Options { keep_trace, check_determinism, ..Options::default() })
                    .expect("deterministic");
                assert_eq!(run.trace.is_some(), keep_trace);
                (run.digest, run.events, run.sim_time)
            };
            let without = run(false, false);
            assert_eq!(without, run(true, false), "{name} --seed {seed}");
            assert_eq!(without, run(true, true), "{name} --seed {seed}");
        }
    }
}

#[test]
fn what_is_logged_changes_nothing() {
    for name in NAMES {
        let scenario = scenario(name);
        for seed in SEEDS {
            let silent = runner::run(&scenario, seed, Options::default()).expect("it is deterministic");
            let mut lines_before = 0;
            for level in ["off", "error", "warn", "info", "debug", "trace"] {
                let (run, log) = logged(&scenario, seed, level, LogFormat::Human);
                assert_eq!(run.digest, silent.digest, "{name} --seed {seed} --log {level}");
                assert_eq!(run.events, silent.events, "{name} --seed {seed} --log {level}");
                let lines = log.lines().count();
                let is_louder = match level {
                    "off" | "error" => lines == 0,
                    "warn" => true,
                    _ => lines > lines_before,
                };
                assert!(is_louder, "{name} --seed {seed}: {level} says {lines} lines after {lines_before}");
                lines_before = lines;
            }
        }
    }
}

#[test]
fn the_log_tells_virtual_time_node_and_fact() {
    let scenario = scenario("durability/acks-1-leader-crash");
    let (run, log) = logged(&scenario, 7, "warn,ackproof::broker=debug", LogFormat::Human);
    let trace = runner::run(&scenario, 7, Options { keep_trace: true, ..Options::default() }).expect("deterministic");
    let events = trace.trace.expect("it was asked for");
    assert_eq!(run.digest, trace.digest);
    let killed = events.iter().find(|event| event.fact.kind() == "node-killed").expect("the leader dies");
    let micros = killed.time.0 / 1_000;
    let line = format!(
        "{:>13} WARN  {}: was killed",
        format!("{}.{:06}s", micros / 1_000_000, micros % 1_000_000),
        killed.node
    );
    assert!(log.lines().any(|written| written == line), "no line `{line}` in\n{log}");
    assert!(log.contains(": appended offset 0 of orders-0 as leader, epoch 0"), "{log}");
    assert!(!log.contains("DEBUG p1: "), "clients were to speak of trouble only:\n{log}");
}

#[test]
fn as_json_every_fact_is_one_object_in_the_order_of_the_trace() {
    let scenario = scenario("durability/acks-1-leader-crash");
    let (run, log) = logged(&scenario, 7, "trace", LogFormat::Json);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let trace = runner::run(&scenario, 7, Options { keep_trace: true, ..Options::default() }).expect("deterministic");
    assert_eq!(run.digest, trace.digest);
    let told: Vec<_> =
        lines.iter().map(|line| (line["sequence"].as_u64(), line["time_ns"].as_u64(), line["fact"].as_str())).collect();
    let events = trace.trace.expect("it was asked for");
    let happened: Vec<_> =
        events.iter().map(|event| (Some(event.sequence), Some(event.time.0), Some(event.fact.kind()))).collect();
    assert_eq!(told, happened);
    assert!(lines.iter().all(|line| line["node"].is_string()
        && line["target"].as_str().is_some_and(|target| target.starts_with("ackproof::"))));
}

/// Digests by scenario and seed, as the command line gives them, and what it said on standard error.
fn digests(arguments: &[&str]) -> (Vec<(String, String, String)>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ackproof"))
        .args(["run", "--format", "json"])
        .args(NAMES)
        .args(["--seeds", "0..3"])
        .args(arguments)
        .env_remove("ACKPROOF_LOG")
        .output()
        .expect("the binary can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    let line = |line: &str| {
        let run: Value = serde_json::from_str(line).expect("one object per line");
        let word = |key: &str| run[key].as_str().unwrap_or_else(|| panic!("{key} in {line}")).to_owned();
        (word("scenario"), word("seed"), word("digest"))
    };
    (text(&output.stdout).lines().map(line).collect(), text(&output.stderr))
}

#[test]
fn jobs_and_logs_of_the_command_line_change_nothing() {
    let (one_job, silence) = digests(&["--jobs", "1"]);
    assert_eq!(one_job.len(), 12);
    assert_eq!(silence, "");
    let (two_jobs, _) = digests(&["--jobs", "2"]);
    assert_eq!(one_job, two_jobs);
    let (logged, log) = digests(&["--jobs", "2", "--log", "trace", "--log-format", "json"]);
    assert_eq!(one_job, logged);
    let named = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        (event["run"]["scenario"].as_str().is_some(), event["run"]["seed"].as_str().is_some())
    };
    assert!(log.lines().count() > 1_000);
    assert!(log.lines().all(|line| named(line) == (true, true)), "of several runs every line says whose it is");
}

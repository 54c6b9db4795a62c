//! The binary as its users meet it: what it prints and how it ends.

use std::process::{Command, Output, Stdio};

fn ackproof(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ackproof"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn check(arguments: &[&str], code: i32, says: &str) {
    let output = ackproof(arguments);
    let all = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?} said\n{all}");
    assert!(all.contains(says), "{arguments:?} does not say `{says}` but\n{all}");
    assert!(!all.contains('\u{1b}'), "{arguments:?} writes colours although NO_COLOR is set");
}

#[test]
fn without_a_command_it_says_what_it_can_do() {
    check(&[], 0, "ackproof run durability");
}

/// What the first screen of the README shows is what comes out.
#[test]
fn the_readme_begins_with_what_is_printed() {
    let readme = include_str!("../../README.md");
    let (_, example) = readme.split_once("```text\n$ cargo run --release -- ").expect("it begins with an example");
    let (call, shown) = example.split_once("\n\n").expect("the call, and what it prints");
    let (shown, _) = shown.split_once("\n```").expect("the example ends");
    let arguments: Vec<&str> = call.split_whitespace().collect();
    check(&arguments, 0, shown);
}

#[test]
fn a_wrong_call_ends_with_two() {
    check(&["run"], 2, "nothing to run");
    check(&["run", "no-such-scenario"], 2, "ackproof list");
    check(&["run", "no/such/file.toml"], 2, "no such file");
    check(&["run", "orders", "--seed", "18446744073709551616"], 2, "--seed");
    check(&["run", "orders", "--seeds", "9..3"], 2, "end is not included");
    check(&["run", "orders", "--seeds", "0..3", "--trace", "x"], 2, "--trace takes one run");
    check(&["run", "--catalog", "XX-99"], 2, "XX-99");
    check(&["report", "no-such.ndjson"], 2, "cannot be read");
    check(&["report", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], 2, "error");
    check(&["validate", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], 2, "unknown key");
}

#[test]
fn the_library_is_valid_and_listed() {
    check(&["validate"], 0, "valid");
    check(&["list"], 0, "durability/tutorial/orders");
    check(&["list", "--format", "json"], 0, r#""scenario":"durability/tutorial/orders""#);
    check(&["schema", "--facts"], 0, "high-watermark-advanced");
    check(&["schema"], 0, "$defs");
}

#[test]
fn help_has_examples() {
    for command in ["run", "list", "validate", "schema", "explain", "shrink", "report", "chaos", "merge", "audit"] {
        check(&[command, "--help"], 0, "Examples");
    }
}

#[test]
fn a_reader_who_leaves_early_causes_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ackproof"))
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success(), "{:?}", output.status);
}

/// A scenario whose leader dies at `at`, which expects `expect`, in a file of its own.
fn scenario(name: &str, at: &str, expect: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let text = format!(
        r#"
title = "the leader dies"
time-limit = "2m"
[cluster]
brokers = 3
[[topic]]
name = "orders"
replication-factor = 3
[[producer]]
name = "p1"
topic = "orders"
records = 20
every = "10ms"
[[step]]
when = {{ fact = "appended", role = "leader", partition = "orders-0", last-offset = "{at}" }}
kill = "leader of orders-0"
for = "5s"
{expect}
"#
    );
    std::fs::write(&path, text).expect("a file in the target folder can be written");
    path.display().to_string()
}

#[test]
fn a_run_as_expected_ends_with_zero() {
    check(&["run", "orders"], 0, "as expected");
    check(
        &["run", "orders", "--seed", "18446744073709551615", "--format", "json"],
        0,
        r#""seed":"18446744073709551615""#,
    );
    check(&["run", "--catalog", "pa-03", "--seeds", "0..3", "--jobs", "2"], 0, "6 of 6 runs as expected");
    check(&["run", "--catalog", "NC-01", "--check-determinism"], 0, "as expected");
    check(&["explain", "acks-1-leader-crash"], 0, "What helps: acks=all");
}

#[test]
fn runs_are_told_to_ci() {
    let wrong = scenario("ci.toml", "7", "[[expect.anomaly]]\nkind = \"phantom\"");
    check(&["run", &wrong, "orders", "--format", "junit"], 1, "<testsuite name=\"run\" tests=\"2\" failures=\"1\"");
    check(&["run", &wrong, "--format", "junit"], 1, "<failure type=\"not-as-expected\" message=\"not as expected\">");
    check(&["run", &wrong, "--format", "github"], 1, &format!("::error file={wrong},line=1,title={wrong} under seed"));
    check(&["run", "orders", "--format", "github"], 0, "1 of 1 runs as expected");
    check(&["run", "--toggles", "--format", "junit"], 2, "human or json");
}

#[test]
fn the_log_goes_to_standard_error_in_virtual_time() {
    let run = |arguments: &[&str], environment: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_ackproof"))
            .args(["run", "acks-1-leader-crash", "--seed", "7"])
            .args(arguments)
            .env("ACKPROOF_LOG", environment)
            .env("NO_COLOR", "1")
            .output()
            .expect("the binary can be started");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let (silent, nothing) = run(&[], "");
    assert!(!nothing.contains(" INFO "), "{nothing}");
    for (output, log) in [run(&["--log", "info"], ""), run(&[], "info"), run(&["--log", "info"], "off")] {
        assert_eq!(output, silent);
        assert!(log.contains(" WARN  broker 1: was killed\n"), "{log}");
        assert!(log.contains(" INFO  controller: elected broker"), "{log}");
    }
    check(&["run", "orders", "--log", "debgu"], 2, "did you mean `debug`?");
    check(&["run", "--help"], 0, "ACKPROOF_LOG");
}

#[test]
fn an_unmet_expectation_ends_with_one_and_shows_both_sides() {
    let file = scenario("unmet.toml", ">= 5", "[[expect.anomaly]]\nkind = \"lost-write\"\ncount = 3");
    check(&["run", &file], 1, "expected 3 lost-write; found 0");
}

#[test]
fn a_fault_that_never_bit_ends_with_three_and_is_named() {
    let file = scenario("idle.toml", ">= 5000", "[expect]\nclean = true");
    check(&["run", &file], 3, "step 1 never happened: kill leader of orders-0");
}

#[test]
fn a_run_without_an_anomaly_shows_what_was_done_and_what_it_cost() {
    let clean = "durability/power-loss-empties-the-page-cache";
    check(&["run", clean, "--seed", "3"], 0, "came back with log end offset 50 ");
    check(&["run", clean, "--seed", "3"], 0, "after an unclean stop; 50 records are missing");
    check(&["run", clean, "--seed", "3"], 0, "the leader's machine loses power");
    // Where there are stories, they tell it; all of it with -v.
    let story = "durability/acks-1-leader-crash";
    check(&["run", story, "--seed", "3"], 0, "witness   fault 2: killed broker 1");
    check(&["run", story, "--seed", "3", "-v"], 0, "killed broker 1; over at");
}

#[test]
fn json_tells_how_it_came_out_and_searches_only_if_asked() {
    let report = |arguments: &[&str]| -> serde_json::Value {
        let output = ackproof(&[&["run", "--seed", "3", "--format", "json"][..], arguments].concat());
        serde_json::from_slice(&output.stdout).expect("one JSON object")
    };
    let plain = report(&["durability/acks-0-leader-crash"]);
    assert_eq!((&plain["version"], &plain["outcome"]), (&2.into(), &"as-expected".into()));
    assert_eq!((&plain["counterfactuals"], &plain["reasons"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!(plain["anomalies"][0]["permitted"], true);
    let searched = report(&["durability/acks-0-leader-crash", "--counterfactuals"]);
    assert_eq!(searched["counterfactuals"][0]["change"], "acks=all, and with it enable.idempotence=true");
    let idle = report(&[&scenario("never.toml", ">= 5000", "[expect]\nclean = true")]);
    assert_eq!((&idle["outcome"], &idle["as_expected"]), (&"inconclusive".into(), &false.into()));
    assert_eq!(idle["reasons"][0], "step 1 never happened: kill leader of orders-0");
    let unmet = report(&[&scenario("missed.toml", ">= 5", "[[expect.anomaly]]\nkind = \"lost-write\"")]);
    assert_eq!(unmet["outcome"], "not-as-expected");
}

#[test]
fn a_fix_that_does_not_help_is_told() {
    let story = |name: &str, fix: &str| {
        let source = include_str!("../library/durability/acks-1-leader-crash.toml");
        let start = source.find("[fix]").expect("it has a fix");
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let text = format!("{}[fix]\n{fix}\n", &source[..start]);
        std::fs::write(&path, text).expect("a file in the target folder can be written");
        path.display().to_string()
    };
    check(
        &["run", &story("useless-fix.toml", "producer = { config = { \"linger.ms\" = 1 } }")],
        1,
        "expected no anomaly with linger.ms=1",
    );
}

#[test]
fn a_trace_is_judged_as_the_run_was() {
    let trace = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("judged-again.ndjson");
    let trace = trace.display().to_string();
    let run = ackproof(&["run", "acks-1-leader-crash", "--seed", "7", "--trace", &trace, "--format", "json"]);
    let again = ackproof(&["report", &trace, "--format", "json"]);
    assert_eq!((run.status.code(), again.status.code()), (Some(0), Some(0)), "{}", text(&again.stderr));
    let parse = |output: &Output| {
        let mut value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        value["wall_seconds"].take();
        // What a fix does is seen by running it, and a trace cannot be run.
        value.as_object_mut().expect("an object").remove("fix");
        value
    };
    assert_eq!(parse(&run), parse(&again));
    // A trace that was cut off is an error with its place.
    let whole = std::fs::read(&trace).expect("it was written");
    std::fs::write(&trace, &whole[..whole.len() / 2]).expect("it can be written");
    check(&["report", &trace], 2, "cut off");
}

#[test]
fn the_mutation_matrix_says_who_misses_a_fix() {
    let scenario = "replication/maximal-isr";
    check(&["run", "--toggles", scenario, "--seed", "0"], 0, "maximal_isr=false  replication/maximal-isr  1 of 1");
    let row = "| `maximal_isr=false` | `replication/maximal-isr` | 1 of 1 | 1 of 1 |";
    check(&["run", "--toggles=markdown", scenario, "--seed", "0"], 0, row);
    check(&["run", "--toggles", scenario, "--seed", "0", "--format", "json"], 0, r#"{"holds":true,"#);
    check(&["run", "--toggles", scenario, "--trace", "x"], 2, "--trace");
}

#[test]
fn a_sweep_says_how_much_it_covered_and_shows_one_of_its_worlds() {
    let keep = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("swept").display().to_string();
    let scenario = ["chaos", "acks-1-leader-crash", "--exhaustive", "--keep", &keep, "--shrink", "0"];
    let sweep = [&scenario[..], &["--survive", "1 process crash", "--records", "2", "--stride", "50"]].concat();
    check(&sweep, 0, " events of the run; left out: the cluster's start (");
    check(&sweep, 0, "49 of 50 events");
    check(&[&sweep[..], &["--format", "json", "--shard", "0/9"]].concat(), 0, "\"missing\":[\"events ");
    check(&[&sweep[..], &["--seed", "0", "--parts", "150:kill:1", "--plan"]].concat(), 0, "before-event = 150");
    check(
        &[&sweep[..], &["--seed", "0", "--parts", "150:kill:1"]].concat(),
        0,
        "1 world (seeds 0..1, 1 process crash)",
    );
    check(&[&sweep[..], &["--seed", "0", "--parts", "99999:kill:1"]].concat(), 2, "there is no event 99999");
    check(&[&sweep[..], &["--seed", "0", "--parts", "1500"]].concat(), 2, "write three seeds");
    check(&[&sweep[..], &["--seed", "0", "--parts", "1/2/3"]].concat(), 2, "one of a sweep is like");
    check(&[&scenario[..], &["--survive", "1 restart"]].concat(), 2, "machine power loss");
    check(&[&scenario[..], &["--survive", "3 pauses"]].concat(), 2, "one fault or two");
    check(&["chaos", "--exhaustive"], 2, "SCENARIO");
    check(&["chaos", "--seed", "0", "--parts", "1:kill:1"], 2, "--exhaustive");
}

#[test]
fn a_scenario_for_a_test_of_ones_own_is_valid_and_not_run() {
    let text = r#"
title = "The shop takes orders"
[cluster]
brokers = 3
[[topic]]
name = "orders"
replication-factor = 3
[[client]]
name = "shop"
kind = "producer"
config = { acks = "all" }
[expect]
clean = true
"#;
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("shop.toml");
    std::fs::write(&path, text).expect("it can be written");
    let path = path.display().to_string();
    check(&["validate", &path], 0, "The shop takes orders");
    for command in [&["run", &path][..], &["shrink", &path], &["chaos", &path, "--seeds", "0..1"]] {
        check(command, 2, "`shop` is used by a program outside this file");
    }
}

#[test]
fn an_audit_names_the_properties_file_that_is_wrong() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("audited-topic.properties");
    std::fs::write(&path, "# A topic\nmin.insync.replica=2\n").expect("it can be written");
    let path = path.display().to_string();
    for option in ["--topic", "--server"] {
        check(&["audit", option, &path], 2, "audited-topic.properties:2:1");
    }
    check(&["audit", "--producer", "no-such.properties"], 2, "no-such.properties");
    check(&["audit", "--brokers", "2", "--replication-factor", "3"], 2, "3 replicas need 3 brokers");
}

/// Without its internal topic no group ever gets a record, and every world would say so at length.
#[test]
fn an_audit_that_cannot_work_says_what_to_set() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("audited-server.properties");
    std::fs::write(&path, "offsets.topic.replication.factor=2\n").expect("it can be written");
    let path = path.display().to_string();
    check(&["audit", "--brokers", "2"], 2, "offsets.topic.replication.factor is 3 by default");
    check(&["audit", "--brokers", "1"], 2, "set offsets.topic.replication.factor=1 in a file for --server");
    check(&["audit", "--brokers", "1", "--server", &path], 2, "audited-server.properties:1:34");
    check(&["audit", "--keep", &path], 2, &format!("--keep {path}"));
}

#[test]
fn numbers_are_refused_in_our_own_words() {
    for command in [&["chaos"][..], &["audit"], &["run", "orders"], &["chaos", "orders", "--exhaustive"]] {
        for jobs in ["0", "99999999999", "99999999999999999999999"] {
            check(&[command, &["--jobs", jobs]].concat(), 2, "from 1 to 1024");
        }
    }
    check(&["chaos", "--seed", "x"], 2, "a whole number is needed");
    check(&["chaos", "--seed", "-1"], 2, "a whole number is needed, from 0 on");
    check(&["chaos", "--shard", "-1/3"], 2, "counted from 0");
    check(&["audit", "--worlds", "0"], 2, "at least 1");
    check(&["chaos", "orders", "--exhaustive", "--stride", "0"], 2, "at least 1");
    check(&["shrink", "orders", "--max-worlds", "0"], 2, "at least 1");
}

#[test]
fn a_campaign_takes_budgets_and_plans_one_world() {
    let keep = folder("budgets");
    let keep = ["chaos", "--seeds", "0..2", "--keep", &keep];
    check(&[&keep[..], &["--budget", "1 process crash, 1 partition"]].concat(), 0, "1 process crash, 1 partition");
    check(&[&keep[..], &["--plan"]].concat(), 2, "--plan");
    check(&["chaos", "--seeds", "0..9", "--shard", "0/100"], 0, "0 worlds (no seed, any faults)");
    check(&[&keep[..], &["--quiet-after", "1", "--unguided"]].concat(), 0, "2 worlds");
}

/// A folder of this name that is not there yet.
fn folder(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&path));
    drop(std::fs::remove_file(&path));
    path.display().to_string()
}

#[test]
fn a_folder_for_failures_is_looked_at_first() {
    let file = folder("no-folder");
    std::fs::write(&file, "").expect("it can be written");
    for keep in [&file, &format!("{file}/below"), "/proc/nowhere"] {
        check(&["chaos", "--seeds", "0..100000", "--keep", keep], 2, &format!("--keep {keep}: "));
    }
}

/// A campaign that finds something at once, in its fewest worlds.
const FINDS: [&str; 8] = ["chaos", "--seeds", "27..28", "--toggle", "idempotence=false", "--shrink", "0", "--unguided"];

#[test]
fn a_report_says_what_shows_a_world_again_and_keeps_its_failure() {
    let keep = folder("hints");
    let campaign = [&FINDS[..], &["--keep", &keep]].concat();
    let slug = "forbidden-duplicate-duplicate-not-recognised";
    check(&campaign, 1, &format!("{slug}.toml --seed 27 --signature {slug}"));
    check(&campaign, 1, "ackproof chaos --toggle idempotence=false --seed 27 --parts 27/27/27");
    check(&campaign, 1, "in 1 of 1 world; seed 27\n");
    // The hint is a call that works, and keeps that failure.
    let file = format!("{keep}/{slug}.toml");
    let small = format!("{keep}/small.toml");
    let shrink = ["shrink", &file, "--seed", "27", "--signature", slug, "-o", &small];
    check(&shrink, 0, "keeping  duplicate because duplicate-not-recognised");
}

#[test]
fn a_file_that_says_something_else_is_not_overwritten() {
    let keep = folder("kept-twice");
    let campaign = [&FINDS[..], &["--keep", &keep]].concat();
    let file = format!("{keep}/forbidden-duplicate-duplicate-not-recognised");
    check(&campaign, 1, &format!("{file}.toml"));
    let first = std::fs::read_to_string(format!("{file}.toml")).expect("it was kept");
    check(&campaign, 1, &format!("replay  ackproof run {file}.toml"));
    assert!(!std::path::Path::new(&format!("{file}-2.toml")).exists(), "the same was there already");
    std::fs::write(format!("{file}.toml"), "# my own\n").expect("it can be written");
    check(&campaign, 1, &format!("{file}.toml was there and says something else: it stays, and this is {file}-2.toml"));
    assert_eq!(std::fs::read_to_string(format!("{file}.toml")).expect("it is there"), "# my own\n");
    assert_eq!(std::fs::read_to_string(format!("{file}-2.toml")).expect("it is there"), first);
}

#[test]
fn a_byte_order_mark_is_named() {
    let path = folder("marked.properties");
    std::fs::write(&path, "\u{feff}acks=all\n").expect("it can be written");
    check(&["audit", "--producer", &path], 2, "byte order mark");
}

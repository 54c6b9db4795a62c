//! `ackproof::simulate` as a test of a service uses it: what it convicts, what it prints, what it keeps, what it is told.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ackproof::app::{BadSeed, Cluster, Failure, Kind, Producer, Promise, Regressions, Simulation, Stage, Wrong};
use ackproof::simulate;
use madsim::runtime::Handle;
use madsim::time::sleep;

fn stage() -> Stage {
    Stage::kafka("3.9").brokers(3).broker_config("min.insync.replicas", 2).topic("orders", 1, 3)
}

/// From the tenth order on no follower hears of them; then the leader dies.
fn late_followers(acks: &str) -> Simulation {
    simulate(stage())
        .producer("shop", [("acks", acks)])
        .step(
            r#"name = "the followers hear nothing"
               when = { fact = "appended", partition = "orders-0", role = "leader", last-offset = ">= 10" }
               drop = { api = "Fetch", message = "request", from = "followers of orders-0", to = "leader of orders-0" }
               for = "5s""#,
        )
        .step("after = \"the followers hear nothing\"\nwait = \"200ms\"\nkill = \"leader of orders-0\"\nfor = \"20s\"")
        .regressions(Regressions::Off)
}

async fn send(producer: &Producer, order: u64) -> Result<(), String> {
    let sent = producer.send("orders", None, format!("order {order}").as_bytes()).await;
    sent.map_err(|error| error.to_string())?.await.map(drop).map_err(|error| error.to_string())
}

/// Sends thirty orders, one at a time.
async fn shop(cluster: Cluster) {
    let producer = cluster.producer("shop");
    for order in 0..30 {
        let _ = send(&producer, order).await;
        sleep(Duration::from_millis(50)).await;
    }
}

fn bad_seed(failure: Failure) -> BadSeed {
    match failure {
        Failure::Seed(bad) => *bad,
        Failure::NotRun(why) => panic!("a seed should have run: {why}"),
    }
}

/// A file that no other test has, and that is not there yet.
fn file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("simulate").join(name);
    let _ = std::fs::remove_dir_all(path.parent().expect("it has one").join(name));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn a_service_that_asks_the_leader_alone_is_convicted_with_the_line_that_replays_it() {
    let failure = late_followers("1").seeds(3..6).try_run(shop).expect_err("acks=1 loses what only the leader has");
    let told = failure.to_string();
    let bad = bad_seed(failure);
    let test = "a_service_that_asks_the_leader_alone_is_convicted_with_the_line_that_replays_it";
    assert_eq!((bad.test.as_str(), bad.seed, bad.held, bad.not_run), (test, 3, 0, 2));
    assert!(matches!(&bad.what, Wrong::NotAsExpected(lines) if lines[0].contains("lost-write")), "{:?}", bad.what);
    assert_eq!(bad.replay, format!("MADSIM_TEST_SEED=3 cargo test {test} -- --exact"));
    for part in
        ["LOST  orders-0", "← the promise", "← the loss", "because   acknowledged-before-replicated", &bad.replay]
    {
        assert!(told.contains(part), "`{part}` is missing in\n{told}");
    }
}

#[test]
fn a_service_that_waits_for_all_replicas_passes() {
    let passed = late_followers("all").seeds(3..6).jobs(2).run(shop);
    assert_eq!(passed.seeds, 3);
}

#[test]
fn jobs_change_nothing_of_what_comes_out() {
    let of = |jobs| late_followers("1").seeds(0..4).jobs(jobs).try_run(shop).expect_err("it loses").to_string();
    assert_eq!(of(1), of(2));
}

#[test]
fn what_is_allowed_or_breaks_no_promise_that_counts_does_not_fail_a_test() {
    late_followers("1").seeds(3..4).promising(&[Promise::NoDuplicate]).run(shop);
    let simulation = late_followers("1").seeds(3..4).allowing(Kind::LostWrite).allowing(Kind::InconsistentOffsets);
    simulation.run(shop);
    let promised = late_followers("1").seeds(3..4).promising(&[Promise::NothingLost]).try_run(shop);
    promised.expect_err("that is the promise that it breaks");
}

/// A billing service that does what it does before or after it commits, and dies at its work.
fn billing(commits_first: bool) -> Result<ackproof::app::Passed, Failure> {
    simulate(stage())
        .producer("shop", [("acks", "all")])
        .consumer(
            "billing",
            [("group.id", "billing"), ("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")],
        )
        .allowing(Kind::DuplicateDelivery)
        .regressions(Regressions::Off)
        .seeds(0..2)
        .try_run(move |cluster| async move {
            let producer = cluster.producer("shop");
            for order in 0..20 {
                send(&producer, order).await?;
            }
            let bill = |cluster: Cluster| async move {
                let consumer = cluster.consumer("billing");
                consumer.subscribe(&["orders"]);
                loop {
                    let records = consumer.poll(Duration::from_millis(100)).await.unwrap_or_default();
                    if commits_first {
                        let _ = consumer.commit_sync().await;
                    }
                    for record in &records {
                        sleep(Duration::from_millis(20)).await;
                        consumer.processed(record);
                    }
                    if !commits_first {
                        let _ = consumer.commit_sync().await;
                    }
                }
            };
            let first = Handle::current().create_node().name("billing").build();
            first.spawn(bill(cluster.clone()));
            // Until it is in the middle of them.
            sleep(Duration::from_millis(3_300)).await;
            Handle::current().kill(first.id());
            // Its successor starts at once, before madsim has come to the dead node.
            let second = Handle::current().create_node().name("billing again").build();
            second.spawn(bill(cluster.clone()));
            sleep(Duration::from_secs(90)).await;
            Ok::<(), String>(())
        })
}

#[test]
fn a_service_that_commits_before_its_effects_is_convicted() {
    let bad = bad_seed(billing(true).expect_err("what it had committed is never billed"));
    assert!(matches!(&bad.what, Wrong::NotAsExpected(lines) if lines[0].contains("lost-delivery")), "{}", bad.story);
    assert!(bad.story.contains("committed-before-processed"), "{}", bad.story);
}

#[test]
fn a_service_that_commits_after_its_effects_passes() {
    billing(false).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_test_that_panics_is_told_with_what_became_of_its_messages() {
    let failure = late_followers("1")
        .seeds(3..4)
        .try_run(|cluster| async move {
            shop(cluster.clone()).await;
            assert_eq!(1 + 1, 3, "the shop cannot count");
        })
        .expect_err("it panics");
    let bad = bad_seed(failure);
    assert!(
        matches!(&bad.what, Wrong::Program(message) if message.contains("the shop cannot count")),
        "{:?}",
        bad.what
    );
    assert!(bad.story.contains("LOST  orders-0"), "{}", bad.story);
}

#[test]
fn a_task_that_panics_on_its_own_node_fails_the_test() {
    let failure = simulate(stage())
        .producer("shop", [("acks", "all")])
        .regressions(Regressions::Off)
        .seeds(0..1)
        .try_run(|cluster| async move {
            let node = Handle::current().create_node().name("shop").build();
            let producer = cluster.producer("shop");
            let task = node.spawn(async move {
                send(&producer, 1).await.expect("nothing fails here");
                panic!("out of paper");
            });
            let _ = task.await;
        })
        .expect_err("it panics");
    let bad = bad_seed(failure);
    assert!(matches!(&bad.what, Wrong::Program(message) if message.contains("out of paper")), "{:?}", bad.what);
    assert!(bad.story.contains("1 acknowledged") || bad.story.contains("acknowledged"), "{}", bad.story);
}

#[test]
fn a_test_that_waits_for_ever_is_told_so() {
    let failure = simulate(stage())
        .regressions(Regressions::Off)
        .seeds(0..1)
        .try_run(|_| std::future::pending::<()>())
        .expect_err("it never ends");
    assert!(failure.to_string().contains("every task of the test waits"), "{failure}");
}

static CALLS: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_service_with_a_memory_beyond_its_runs_is_not_deterministic() {
    let counts = |visible: bool| {
        simulate(stage())
            .producer("shop", [("acks", "all")])
            .regressions(Regressions::Off)
            .check_determinism()
            .seeds(0..1)
            .try_run(move |cluster| async move {
                let call = CALLS.fetch_add(1, Ordering::Relaxed);
                let producer = cluster.producer("shop");
                if visible {
                    send(&producer, call).await.expect("nothing fails here");
                } else {
                    send(&producer, 0).await.expect("nothing fails here");
                    drop(producer);
                    for _ in 0..call {
                        madsim::task::yield_now().await;
                    }
                }
            })
            .expect_err("two runs differ")
    };
    let failure = counts(true);
    let told = failure.to_string();
    assert!(told.contains("\n  once   event ") && told.contains("\n  again  event "), "{told}");
    let bad = bad_seed(failure);
    assert!(matches!(bad.what, Wrong::NotDeterministic(_)), "{told}");
    assert!(bad.replay.starts_with("MADSIM_TEST_CHECK_DETERMINISM=1 MADSIM_TEST_SEED=0 cargo test "), "{}", bad.replay);
    // What the cluster cannot see is found too.
    let told = counts(false).to_string();
    assert!(told.contains("the test's own tasks took another course"), "{told}");
}

#[test]
fn a_failing_seed_is_kept_and_runs_first_from_then_on() {
    let path = file("kept.txt");
    let seen = Mutex::new(Vec::new());
    let run = |bad: u64| {
        seen.lock().expect("nothing panics with it").clear();
        let simulation = simulate(stage()).producer("shop", [("acks", "all")]).seeds(0..6);
        simulation.regressions(Regressions::File(path.clone())).try_run(|cluster| {
            seen.lock().expect("nothing panics with it").push(cluster.seed());
            async move {
                send(&cluster.producer("shop"), 1).await?;
                if cluster.seed() == bad { Err("sold\nout".to_owned()) } else { Ok(()) }
            }
        })
    };
    let seeds = || {
        let mut seeds = seen.lock().expect("nothing panics with it").clone();
        seeds.dedup();
        seeds
    };

    let told = run(4).expect_err("seed 4 is bad").to_string();
    assert!(told.contains("kept.txt: it runs first from now on; commit that file"), "{told}");
    assert_eq!(seeds(), [0, 1, 2, 3, 4]);
    let text = std::fs::read_to_string(&path).expect("it was written");
    assert!(text.starts_with("# Seeds under which the test a_failing_seed_is_kept"), "{text}");
    assert!(text.contains("Commit this file"), "{text}");
    assert!(text.lines().last().is_some_and(|line| line.starts_with("seed 4 # ")), "{text}");

    let told = run(4).expect_err("seed 4 is still bad").to_string();
    assert_eq!(seeds(), [4], "it runs first");
    assert!(told.contains("it is in "), "{told}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text, "and is not written twice");

    run(2).expect_err("now seed 2 is bad");
    assert_eq!(seeds(), [4, 0, 1, 2]);
    run(99).expect("no seed is bad");
    assert_eq!(seeds(), [4, 2, 0, 1, 2, 3, 4, 5]);
    let folder = path.parent().expect("it has one");
    let drafts = std::fs::read_dir(folder)
        .expect("it can be read")
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(".kept.txt")));
    assert_eq!(drafts.count(), 0, "nothing half-written is left");
}

#[test]
fn a_malformed_file_of_seeds_is_named_with_its_line() {
    let path = file("malformed.txt");
    std::fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
    std::fs::write(&path, "# Seeds\nseed 3\nseed three\n").expect("it can be written");
    let failure = simulate(stage()).regressions(Regressions::File(path)).try_run(|_| async {}).expect_err("line 3");
    let told = failure.to_string();
    assert!(matches!(failure, Failure::NotRun(_)) && told.contains("malformed.txt:3: `seed three`"), "{told}");
}

#[test]
fn where_sources_cannot_be_written_the_failure_says_so_and_loses_nothing() {
    // A file in the place of its folder.
    let folder = file("no-folder");
    std::fs::create_dir_all(folder.parent().expect("it has one")).expect("it can be made");
    std::fs::write(&folder, "").expect("it can be written");
    let path = folder.join("seeds.txt");
    let failure = simulate(stage()).regressions(Regressions::File(path)).try_run(|_| async { Err(()) });
    let told = failure.expect_err("it fails").to_string();
    assert!(told.contains("ot a directory") || told.contains("nowhere: "), "{told}");
}

#[test]
fn what_is_wrong_with_a_scenario_is_said_with_its_place() {
    let not_run = |simulation: Simulation| {
        let failure = simulation.try_run(|_| async {}).expect_err("it is wrong");
        assert!(matches!(failure, Failure::NotRun(_)), "{failure}");
        failure.to_string()
    };
    let told = not_run(simulate("title = \"none\"\n[cluster]\nbrokers = 0\n"));
    assert!(told.contains("what_is_wrong_with_a_scenario_is_said_with_its_place:3"), "{told}");
    assert!(not_run(simulate("tests/none.toml")).contains("no such file"));
    assert!(not_run(simulate("durability")).contains("a test simulates one"));
    assert!(not_run(simulate(stage()).producer("shop", "none.properties")).contains("none.properties"));
    assert!(
        not_run(simulate(stage()).step("kill = \"leader of invoices-0\"\nat = \"1s\"")).contains("no topic `invoices`")
    );
}

/// Runs the probe below in a process of its own, and returns what it said.
fn probe(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("tests have an executable"));
    command.args(["a_probe_says_which_seeds_it_runs", "--exact", "--nocapture", "--test-threads=1"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MADSIM_") || name.starts_with("ACKPROOF_")) {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).output().expect("it starts")
}

fn seeds_of(output: &Output) -> Vec<u64> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter_map(|line| line.strip_prefix("probe: seed ")?.parse().ok()).collect()
}

#[test]
fn a_probe_says_which_seeds_it_runs() {
    let simulation = simulate(stage()).producer("shop", [("acks", "all")]).seeds(0..2).regressions(Regressions::Off);
    simulation.run(|cluster| async move {
        send(&cluster.producer("shop"), 1).await.expect("nothing fails here");
        eprintln!("probe: seed {}", cluster.seed());
        assert_ne!(cluster.seed(), 13, "unlucky");
    });
}

#[test]
fn the_environment_is_madsims() {
    assert_eq!(seeds_of(&probe(&[])), [0, 1]);
    assert_eq!(seeds_of(&probe(&[("MADSIM_TEST_SEED", "17")])), [17]);
    assert_eq!(seeds_of(&probe(&[("MADSIM_TEST_SEED", "17"), ("MADSIM_TEST_NUM", "2")])), [17, 18]);
    assert_eq!(seeds_of(&probe(&[("MADSIM_TEST_NUM", "3"), ("MADSIM_TEST_JOBS", "1")])), [0, 1, 2]);
    assert_eq!(seeds_of(&probe(&[("MADSIM_TEST_CHECK_DETERMINISM", "1")])), [0, 0, 1, 1]);

    let bad = probe(&[("MADSIM_TEST_SEED", "13")]);
    let told = String::from_utf8_lossy(&bad.stderr);
    assert!(!bad.status.success(), "{told}");
    // On the main thread, where libtest names nothing.
    let replay = "MADSIM_TEST_SEED=13 cargo test a_probe_says_which_seeds_it_runs -- --exact";
    assert!(told.contains(replay), "{told}");

    let wrong = probe(&[("MADSIM_TEST_NUM", "several")]);
    let told = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        !wrong.status.success() && told.contains("MADSIM_TEST_NUM=several: this environment variable must be"),
        "{told}"
    );
    let late = probe(&[("MADSIM_TEST_TIME_LIMIT", "0.001")]);
    let told = String::from_utf8_lossy(&late.stderr);
    assert!(!late.status.success() && told.contains("time limit exceeded"), "{told}");
}

//! Well-known configurations through `ackproof audit`: `docs/audits.md` is what comes out, and beside the properties files of each stands
//! the smallest counterexample of the gravest promise that it breaks.
//!
//! The worlds are run each time, and so is each counterexample; making one small takes longer, and is done when all is written anew:
//!
//! ```text
//! ACKPROOF_UPDATE_AUDITS=1 cargo test --test audits
//! ```

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ackproof::audit::{self, Audit, Finding, Promise, Question};
use ackproof::chaos::keep;
use ackproof::expectation::Standing;
use ackproof::form::Form;
use ackproof::library::Place;
use ackproof::parallel::in_order;
use ackproof::runner::{self, Options};
use ackproof_core::config::properties::parse;
use ackproof_reports::render::text::PlainText;

/// How many worlds of each class of failure.
const WORLDS: u64 = 10;

/// One configuration.
struct Configuration {
    name: &'static str,
    kafka: &'static str,
    replication_factor: u32,
    /// What it is, for the document.
    about: &'static str,
}

const CONFIGURATIONS: &[Configuration] = &[
    Configuration {
        name: "java-defaults-2.2",
        kafka: "2.2",
        replication_factor: 3,
        about: "What the Java clients and the brokers of 2.2 do if nobody says anything: `acks=1`, no idempotence, `min.insync.replicas=1`, commits by themselves every five seconds, new groups begin at the end.",
    },
    Configuration {
        name: "java-defaults-3.9",
        kafka: "3.9",
        replication_factor: 3,
        about: "The same of 3.9: since 3.0 `acks=all` and idempotence. The broker's side is what it was: `min.insync.replicas=1`.",
    },
    Configuration { name: "java-defaults-4.1", kafka: "4.1", replication_factor: 3, about: "The same of 4.1." },
    Configuration {
        name: "tutorial",
        kafka: "2.2",
        replication_factor: 2,
        about: "The properties files of the tutorial: `acks=all`, but `retries=0`, two replicas, `min.insync.replicas=1`; the consumer commits by itself every second.",
    },
    Configuration {
        name: "acks-1",
        kafka: "3.9",
        replication_factor: 3,
        about: "For throughput. `acks=1` switches idempotence off, which the client only warns of. The consumer commits by hand, after its work. A leader that is killed takes a record with it only if it dies between the acknowledgement and its followers' \
next fetch, which is a millisecond: few worlds meet it.",
    },
    Configuration {
        name: "acks-all-min-isr-1",
        kafka: "3.9",
        replication_factor: 3,
        about: "`acks=all` without a thought for `min.insync.replicas`. With three replicas it takes three failures to see what that is for: two followers that are away, and then the leader's machine. Few worlds meet that; `ackproof run durability/isr-alone-leader-gone` shows it step by step.",
    },
    Configuration {
        name: "unclean-election",
        kafka: "3.9",
        replication_factor: 3,
        about: "Like `safe`, but any replica may lead rather than none: `unclean.leader.election.enable=true`. With three replicas, two of them in sync, that too takes three failures: the one that was away the longest comes back first (`ackproof run durability/unclean-election`).",
    },
    Configuration {
        name: "auto-commit",
        kafka: "3.9",
        replication_factor: 3,
        about: "Like `safe`, but the consumer commits by itself every second. Its program works on what `poll()` returned before it polls again, so nothing is committed that was not processed.",
    },
    Configuration {
        name: "retries-without-idempotence",
        kafka: "3.9",
        replication_factor: 3,
        about: "The recipe of the years before idempotence: `acks=all`, retries without end, five requests in flight.",
    },
    Configuration {
        name: "safe",
        kafka: "3.9",
        replication_factor: 3,
        about: "The recipe that most people give: three replicas, `min.insync.replicas=2`, `acks=all`, idempotence, no unclean elections, commits by hand after the work.",
    },
    Configuration {
        name: "safe-flushed",
        kafka: "3.9",
        replication_factor: 3,
        about: "Like `safe`, and every record is on the device before it is acknowledged: `flush.messages=1` for the topic. `__consumer_offsets` is left as it comes.",
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("audits")
}

impl Configuration {
    fn folder(&self) -> PathBuf {
        root().join(self.name)
    }

    /// The properties of a file, in order; nothing if it has none.
    fn properties(&self, file: &str) -> Option<Vec<(String, String)>> {
        let bytes = fs::read(self.folder().join(file)).ok()?;
        let properties = parse(&bytes).unwrap_or_else(|errors| panic!("{}/{file}: {errors:?}", self.name));
        Some(properties.into_iter().map(|property| (property.name, property.value)).collect())
    }

    /// What the command line makes of `--server`, `--topic`, `--producer`, `--consumer` and `--kafka`.
    fn question(&self) -> Question {
        let named = |file: &str| self.folder().join(file).exists().then(|| file.to_owned());
        Question {
            server: named("broker.properties"),
            topic: named("topic.properties"),
            producer: named("producer.properties"),
            consumer: named("consumer.properties"),
            kafka: self.kafka.to_owned(),
            brokers: 3,
            replication_factor: self.replication_factor,
            commit: Some("after-processing".to_owned()),
        }
    }

    fn counterexample(&self) -> PathBuf {
        self.folder().join("counterexample.toml")
    }

    fn survey(&self) -> Audit {
        let place = Place::Disk(self.folder().join("audit.toml"));
        let (given, _) =
            audit::check(&self.question(), &place).unwrap_or_else(|found| panic!("{}: {found}", self.name));
        audit::survey(&given, WORLDS, NonZeroUsize::MIN, &mut |_, _| {}).expect("nothing is written")
    }

    /// The command that asks the same.
    fn command(&self) -> String {
        let mut command = format!("ackproof audit --kafka {} --worlds {WORLDS}", self.kafka);
        for (option, file) in
            [("server", "broker"), ("topic", "topic"), ("producer", "producer"), ("consumer", "consumer")]
        {
            let file = format!("{file}.properties");
            if self.folder().join(&file).exists() {
                let _ = write!(command, " --{option} {file}");
            }
        }
        if self.replication_factor != 3 {
            let _ = write!(command, " --replication-factor {}", self.replication_factor);
        }
        command
    }
}

/// The first finding of the gravest promise that broke.
fn gravest(audit: &Audit) -> Option<&Finding> {
    audit.findings.iter().min_by_key(|finding| finding.promise)
}

/// Makes the gravest finding small, and writes it beside the properties.
fn write_counterexample(configuration: &Configuration, audit: &mut Audit) {
    let path = configuration.counterexample();
    match audit.findings.iter_mut().min_by_key(|finding| finding.promise) {
        Some(finding) => {
            finding.look_closer(u64::MAX);
            fs::write(path, finding.form.text()).expect("it can be written");
        }
        None => drop(fs::remove_file(path)),
    }
}

/// What the counterexample shows, and what keeps the promise in it; it must still be as its file says.
fn story_and_fix(configuration: &Configuration, finding: &Finding) -> (String, String) {
    let path = configuration.counterexample();
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; run\n  ACKPROOF_UPDATE_AUDITS=1 cargo test --test audits", path.display())
    });
    let form = Form::parse(&text).expect("it is TOML");
    let place = Place::Disk(format!("scenarios/audits/{}/counterexample.toml", configuration.name).into());
    let scenario = form.understand(&place).unwrap_or_else(|found| panic!("{found}"));
    let seed = scenario.seeds.test.start;
    let run = runner::run(&scenario, seed, Options::default()).expect("it is deterministic");
    assert_eq!(run.standing, Standing::AsExpected, "{}", path.display());
    let story = keep::story(&form, &place, seed, finding.signature, &PlainText).expect("it shows what was found");
    (story, run.fix.map_or("nothing of what was tried".to_owned(), |fix| fix.change))
}

fn shown(configuration: &Configuration, finding: &Finding) -> String {
    let (story, fix) = story_and_fix(configuration, finding);
    let link = format!("../scenarios/audits/{}/counterexample.toml", configuration.name);
    format!(
        "The smallest counterexample to \"{}\" ([file]({link})). **Keeps it:** {fix}.\n\n```text\n{}\n```\n",
        finding.promise.name(),
        story.trim_end()
    )
}

/// Cells as Markdown has them.
fn markdown(rows: &[Vec<String>]) -> String {
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let _ = writeln!(out, "| {} |", row.join(" | "));
        if number == 0 {
            let _ = writeln!(out, "|{}", "---|".repeat(row.len()));
        }
    }
    out
}

/// Under which failures each promise broke, in one row.
fn overview(configuration: &Configuration, audit: &Audit) -> Vec<String> {
    let name = format!("[`{0}`](#{1})", configuration.name, configuration.name.replace('.', ""));
    let cells = Promise::ALL.map(|promise| {
        let under: Vec<&str> =
            audit.rows.iter().filter(|row| row.broken.contains_key(&promise)).map(|row| &*row.failure).collect();
        if under.is_empty() { "held".to_owned() } else { under.join(", ") }
    });
    [name].into_iter().chain(cells).collect()
}

fn section(configuration: &Configuration, audit: &Audit) -> String {
    let mut out = format!("## {}\n\n{}\n\n", configuration.name, configuration.about);
    for file in ["broker", "topic", "producer", "consumer"] {
        let file = format!("{file}.properties");
        if let Some(properties) = configuration.properties(&file) {
            let path = format!("../scenarios/audits/{}/{file}", configuration.name);
            let lines: Vec<String> = properties.iter().map(|(name, value)| format!("`{name}={value}`")).collect();
            let _ = writeln!(out, "* [{file}]({path}): {}", lines.join(" "));
        }
    }
    let _ = writeln!(out, "\n```sh\n{}\n```\n", configuration.command());
    out.push_str(&markdown(&audit.cells()));
    for remark in audit.remarks() {
        let _ = write!(out, "\n{remark}\n");
    }
    let Some(gravest) = gravest(audit) else {
        out.push_str("\nEverything held.\n");
        return out;
    };
    let mut rows = vec![["Promise", "What broke it", "Under"].map(str::to_owned).to_vec()];
    for finding in &audit.findings {
        let under: Vec<&str> = finding.under.iter().map(|(failure, _)| failure.as_str()).collect();
        rows.push(vec![finding.promise.name().to_owned(), finding.signature.to_string(), under.join(", ")]);
    }
    let _ = write!(out, "\n{}\n{}", markdown(&rows), shown(configuration, gravest));
    out
}

/// All configurations, two at a time.
fn sections(update: bool) -> Vec<(Vec<String>, String)> {
    let mut all = Vec::new();
    let work = |configuration: &&Configuration| {
        let mut audit = configuration.survey();
        if update {
            write_counterexample(configuration, &mut audit);
        }
        (overview(configuration, &audit), section(configuration, &audit))
    };
    let tasks: Vec<&Configuration> = CONFIGURATIONS.iter().collect();
    in_order(NonZeroUsize::new(2).expect("not zero"), &tasks, work, |_, result| {
        all.push(result);
        Ok(())
    })
    .expect("nothing is written");
    all
}

const HEAD: &str = "# Well-known configurations, audited

What do the configurations keep that everybody uses, and what not? Each of them was put through `ackproof audit`: three brokers, one topic with one partition, a producer that sends a hundred records in bursts of five, a consumer that works five milliseconds on each, and
failures of one class at a time, drawn from the seed. [chaos.md](chaos.md#ackproof-audit) says what the classes are, and what is counted.

This page is written by a test (`scenarios/tests/audits.rs`), from the properties files in [scenarios/audits](../scenarios/audits). It says what happened in the worlds that were run, WORLDS of each class of failure (only those count in which it happened and did something; where these are fewer it is said), and no more: **`held` is not proved**,
and a promise that broke in one world of WORLDS breaks in that share of *these* worlds, not of yours. What broke may be permitted by the configuration; that it is says the last word of each cause.

| Promise | Broken when |
|---|---|
| no acknowledged record lost | the producer was told that a record is written, and it is gone, or another one is at its offset |
| no record given up | the producer's program ends without one that it has handed to `send()`, or ignores that it failed. No setting helps a process that is killed: what is not acknowledged is not promised |
| no duplicate | one `send()`, two copies in the log |
| order per key | records of one partition are not in the order of `send()`, or are read in another one than they have |
| all processed | the consumer's program never sees a record |
| no effect twice | it processes one twice |
| available | something still does not go on when the failure is over |

";

#[test]
fn the_document_is_what_the_audits_say() {
    let update = std::env::var_os("ACKPROOF_UPDATE_AUDITS").is_some();
    let (rows, sections): (Vec<Vec<String>>, Vec<String>) = sections(update).into_iter().unzip();
    let header = ["configuration"].into_iter().chain(Promise::ALL.map(Promise::name)).map(str::to_owned).collect();
    let rows: Vec<Vec<String>> = [header].into_iter().chain(rows).collect();
    let text = format!("{}{}\n{}", HEAD.replace("WORLDS", &WORLDS.to_string()), markdown(&rows), sections.join("\n"));
    agree(&root().join("../../docs/audits.md"), update, |_| text.clone());
    let readme = |now: &str| with_block(now, "the audit of the tutorial", &worked_example());
    agree(&root().join("../../README.md"), update, readme);
}

/// What stands in a file is what should, or is written anew.
fn agree(path: &Path, update: bool, should_be: impl Fn(&str) -> String) {
    let written = fs::read_to_string(path).unwrap_or_default();
    let text = should_be(&written);
    if update {
        fs::write(path, text).expect("it can be written");
        return;
    }
    let differs = written.lines().zip(text.lines()).find(|(written, now)| written != now);
    assert!(
        written == text,
        "{} is out of date: {differs:?}; run\n  ACKPROOF_UPDATE_AUDITS=1 cargo test --test audits",
        path.display()
    );
}

/// The document with `text` in the code block behind the mark.
fn with_block(document: &str, mark: &str, text: &str) -> String {
    let mark = format!("<!-- {mark} -->\n```text\n");
    let (before, behind) = document.split_once(&mark).unwrap_or_else(|| panic!("the document has no {mark}"));
    let end = behind.find("```").expect("a block ends");
    format!("{before}{mark}{text}{}", &behind[end..])
}

/// The tutorial's own configuration, as `ackproof audit` tells it: the table, and the first of what broke.
fn worked_example() -> String {
    let tutorial = CONFIGURATIONS.iter().find(|configuration| configuration.name == "tutorial").expect("it is there");
    let audit = tutorial.survey();
    let worst = gravest(&audit).expect("it breaks something");
    let (story, _) = story_and_fix(tutorial, worst);
    let under: Vec<String> = worst.under.iter().map(|(failure, times)| format!("{failure} ({times})")).collect();
    let remarks: String = audit.remarks().iter().map(|remark| format!("{remark}\n")).collect();
    format!(
        "{}{remarks}\nBROKEN  {}: {}\n  under     {}\n\n{}\n",
        audit.table(),
        worst.promise.name(),
        worst.signature,
        under.join(", "),
        story.trim_end()
    )
}

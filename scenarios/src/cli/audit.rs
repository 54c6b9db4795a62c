//! `ackproof audit`: what a configuration keeps, and what it does not, in random worlds of each class of failure.

use std::fmt::Write as _;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use ackproof_core::config::KafkaVersion;
use ackproof_reports::render::text::PlainText;
use clap::Args;
use serde_json::json;

use super::screen::{Screen, WORLDS};
use super::{End, numbers};
use crate::audit::{self, Audit, FAILURES, Finding, Promise, Question};
use crate::chaos::keep::{self, Shelf};
use crate::diagnostics::{Diagnostic, Diagnostics, Source};
use crate::interrupt;
use crate::library::Place;

/// Say what a configuration keeps and what it does not, under which failures, and what would
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ackproof audit --producer producer.properties
  ackproof audit --server server.properties --topic topic.properties --producer producer.properties --consumer consumer.properties
  ackproof audit --kafka 2.2 --producer producer.properties --worlds 500 --jobs 2
  ackproof audit --producer producer.properties --format markdown > audit.md

What is not given has the defaults of its version. Failures are drawn, so `held` means held in so many worlds, not proved.
Ctrl-C or SIGTERM ends it with the rows so far; a second one ends it at once.
Exit codes: 0 everything held, 1 something broke, 2 the input or the call is wrong, 130 and 143 interrupted.")]
pub(super) struct AuditCommand {
    /// A server.properties, for all brokers
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// A file of topic properties
    #[arg(long, value_name = "FILE")]
    topic: Option<PathBuf>,
    /// A producer.properties
    #[arg(long, value_name = "FILE")]
    producer: Option<PathBuf>,
    /// A consumer.properties
    #[arg(long, value_name = "FILE")]
    consumer: Option<PathBuf>,
    /// The version of brokers and clients
    #[arg(long, value_name = "VERSION", default_value = "3.9")]
    kafka: KafkaVersion,
    /// How many brokers
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=30))]
    brokers: u32,
    /// How many replicas the topic has; as many as brokers up to three if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=30))]
    replication_factor: Option<u32>,
    /// When the consumer's program commits, where enable.auto.commit is false
    #[arg(long, value_name = "WHEN", default_value = "after-processing", value_parser = ["before-processing", "after-processing", "after-each", "never"])]
    commit: String,
    /// How many worlds of each class of failure
    #[arg(long, value_name = "N", default_value = "100", value_parser = numbers::worlds, allow_negative_numbers = true)]
    worlds: NonZeroUsize,
    /// How many worlds at a time
    #[arg(long, value_name = "N", default_value = "1", value_parser = numbers::jobs, allow_negative_numbers = true)]
    jobs: NonZeroUsize,
    /// The folder for counterexamples
    #[arg(long, value_name = "DIR", default_value = "audit")]
    keep: PathBuf,
    /// How results are written
    #[arg(long, value_enum, default_value_t)]
    format: TableFormat,
}

/// The format of the JSON object; it changes when the meaning of what is there does.
const FORMAT: u32 = 1;

/// How a table is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum TableFormat {
    /// For people
    #[default]
    Human,
    /// One JSON object
    Json,
    /// A table in Markdown
    Markdown,
}

impl AuditCommand {
    /// Runs it.
    pub fn run(&self, screen: &mut Screen) -> io::Result<End> {
        // It is no file. If it were one it would lie in the current folder, from which the paths in it count.
        let place = Place::Disk("the audited scenario".into());
        let (given, notes) = match self.unreadable().and_then(|()| audit::check(&self.question(), &place)) {
            Ok(checked) => checked,
            Err(found) => {
                screen.diagnose(&found);
                return Ok(End::WrongInput);
            }
        };
        if !notes.is_empty() {
            screen.complain(notes.condensed().trim_end());
        }
        if let Err(error) = Shelf::at(&self.keep) {
            screen.complain(&format!("error: --keep {}: {error}", self.keep.display()));
            return Ok(End::WrongInput);
        }
        let progress = screen.bar(audit::all_wanted(self.worlds.get() as u64), WORLDS);
        interrupt::watch()?;
        let mut audit = audit::run(&given, self.worlds.get() as u64, self.jobs, &mut |failure, happened| {
            progress.inc(u64::from(happened));
            progress.set_message(failure.to_owned());
        })?;
        progress.finish_and_clear();
        // Somebody interrupted it before their turn.
        audit.rows.retain(|row| row.worlds > 0 || row.missed > 0);
        let mut unwritten = None;
        for finding in &audit.findings {
            if let Err(error) = keep::put(&self.keep, finding.signature, &finding.form) {
                unwritten.get_or_insert(error);
            }
        }
        screen.print(&match self.format {
            TableFormat::Human => self.told(&audit),
            TableFormat::Json => self.json(&audit),
            TableFormat::Markdown => self.markdown(&audit),
        })?;
        if let Some(error) = unwritten {
            screen.complain(&format!("error: --keep {}: {error}", self.keep.display()));
            return Ok(End::WrongInput);
        }
        if let Some(code) = interrupt::code() {
            screen.complain(&format!("interrupted in row {} of {}", audit.rows.len(), FAILURES.len()));
            return Ok(End::Interrupted(code));
        }
        Ok(if audit.findings.is_empty() { End::AsExpected } else { End::NotAsExpected })
    }

    fn question(&self) -> Question {
        let named = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        Question {
            server: named(&self.server),
            topic: named(&self.topic),
            producer: named(&self.producer),
            consumer: named(&self.consumer),
            kafka: self.kafka.to_string(),
            brokers: self.brokers,
            replication_factor: self.replication_factor.unwrap_or(self.brokers.min(3)),
            commit: Some(self.commit.clone()).filter(|commit| commit != "never"),
        }
    }

    /// Which of the files cannot be read.
    fn unreadable(&self) -> Result<(), Diagnostics> {
        let mut found = Diagnostics::default();
        for path in [&self.server, &self.topic, &self.producer, &self.consumer].into_iter().flatten() {
            if let Err(error) = std::fs::read(path) {
                let source = Source::new(path.display().to_string(), "");
                found.push(Diagnostic::about_file(&source, format!("cannot be read: {error}")));
            }
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    fn told(&self, audit: &Audit) -> String {
        let mut out = audit.table();
        for remark in audit.remarks() {
            let _ = writeln!(out, "{remark}");
        }
        for finding in &audit.findings {
            let under: Vec<String> =
                finding.under.iter().map(|(failure, times)| format!("{failure} ({times})")).collect();
            let told = out.len();
            let _ = writeln!(out, "\nBROKEN  {}: {}", finding.promise.name(), finding.signature);
            let _ = writeln!(out, "  under     {}", under.join(", "));
            let path = keep::path(&self.keep, finding.signature);
            if let Some(story) = self.story(finding) {
                let _ = writeln!(out, "{}", super::told::indented(story.trim_end()));
            }
            if !out[told..].contains("keeps it") {
                let _ = writeln!(out, "  keeps it  {}", finding.remedy());
                let _ = finding.cost.map(|cost| writeln!(out, "  costs     {cost}"));
            } else if let Some(confirmed) = finding.confirmed {
                let _ = writeln!(out, "  confirmed {confirmed}");
            }
            let _ = writeln!(out, "  replay    ackproof run {} --seed {}", path.display(), finding.seed);
        }
        out.push_str(&summary(audit));
        out
    }

    /// What happens in a counterexample.
    fn story(&self, finding: &Finding) -> Option<String> {
        let place = Place::Disk(keep::path(&self.keep, finding.signature));
        keep::story(&finding.form, &place, finding.seed, finding.signature, &PlainText)
    }

    fn json(&self, audit: &Audit) -> String {
        let findings = audit.findings.iter().map(|finding| {
            json!({
                "promise": finding.promise,
                "what": finding.signature.to_string(),
                "forbidden": finding.signature.is_forbidden(),
                "under": finding.under,
                "keeps_it": finding.keeps_it,
                "confirmed": finding.confirmed,
                "cost": finding.cost,
                "seed": finding.seed,
                "story": self.story(finding),
                "file": keep::path(&self.keep, finding.signature),
            })
        });
        let files = json!({
            "server": self.server,
            "topic": self.topic,
            "producer": self.producer,
            "consumer": self.consumer,
        });
        let configuration = json!({
            "kafka": self.kafka.to_string(),
            "brokers": self.brokers,
            "replication_factor": self.question().replication_factor,
            "commit": self.commit,
            "files": files,
        });
        json!({
            "format": FORMAT,
            "ackproof": env!("CARGO_PKG_VERSION"),
            "configuration": configuration,
            "worlds_wanted": audit.wanted,
            "rows": audit.rows,
            "remarks": audit.remarks(),
            "findings": findings.collect::<Vec<_>>(),
        })
        .to_string()
    }

    /// The table, what broke, and the counterexamples, for a document.
    fn markdown(&self, audit: &Audit) -> String {
        let rows = audit.cells();
        let mut out = String::new();
        for (number, row) in rows.iter().enumerate() {
            let _ = writeln!(out, "| {} |", row.join(" | "));
            if number == 0 {
                let _ = writeln!(out, "|{}", "---|".repeat(row.len()));
            }
        }
        for remark in audit.remarks() {
            let _ = writeln!(out, "\n{remark}");
        }
        let header = "| Promise | What broke it | Under | Keeps it | What that costs |\n|---|---|---|---|---|";
        let _ = writeln!(out, "\n{header}");
        for finding in &audit.findings {
            let under: Vec<&str> = finding.under.iter().map(|(failure, _)| failure.as_str()).collect();
            let (promise, what, under) = (finding.promise.name(), finding.signature, under.join(", "));
            let cost = finding.cost.map_or("-".to_owned(), |cost| cost.to_string());
            let _ = writeln!(out, "| {promise} | {what} | {under} | {} | {cost} |", finding.remedy());
        }
        for finding in &audit.findings {
            let path = keep::path(&self.keep, finding.signature);
            let _ = writeln!(out, "\n## {}: {}\n", finding.promise.name(), finding.signature);
            if let Some(story) = self.story(finding) {
                let _ = writeln!(out, "```text\n{}\n```\n", story.trim_end());
            }
            let _ = writeln!(out, "`ackproof run {} --seed {}`", path.display(), finding.seed);
        }
        out
    }
}

fn summary(audit: &Audit) -> String {
    let worlds: u64 = audit.rows.iter().map(|row| row.worlds).sum();
    let broken: std::collections::BTreeSet<Promise> = audit.findings.iter().map(|finding| finding.promise).collect();
    match broken.len() {
        0 => format!("\nin {worlds} worlds every promise held; that is no proof\n"),
        number => format!(
            "\nin {worlds} worlds {number} of {} promises broke, in {}\n",
            Promise::ALL.len(),
            super::told::counted(audit.findings.len() as u64, "way")
        ),
    }
}

//! `ackproof report`: judges a recorded trace again, without simulating.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use ackproof_core::fact::Observer;
use ackproof_core::types::Duration;
use ackproof_reports::chronicle::Chronicle;
use ackproof_reports::render::{groups, text, topics};
use ackproof_reports::trace::TraceReader;
use ackproof_reports::{Answer, Digest, Judge, Judgement, RunOutcome, RunReport, Verdict, explain};
use clap::Args;

use super::End;
use super::screen::{Colours, Format, Screen};

/// Judge a recorded trace again, without simulating.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ackproof run --catalog PA-03 --seed 7 --trace run.ndjson
  ackproof report run.ndjson

A trace has no expectation: 0 says that nothing went wrong or only what the configuration permits, 1 that something did that
it forbids, 3 that nothing can be said.")]
pub(super) struct Report {
    /// A file written by `ackproof run --trace`
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Report {
    /// Judges it.
    pub fn run(&self, screen: &mut Screen) -> io::Result<End> {
        let name = self.trace.display();
        let file = match File::open(&self.trace) {
            Ok(file) => file,
            Err(error) => {
                screen.complain(&format!("error: {name}: cannot be read: {error}"));
                return Ok(End::WrongInput);
            }
        };
        let (header, events) = match TraceReader::open(BufReader::new(file)).and_then(TraceReader::read_all) {
            Ok(trace) => trace,
            Err(error) => {
                screen.complain(&format!("error: {name}: {error}"));
                return Ok(End::WrongInput);
            }
        };
        let mut judge = Judge::new(header.contract.clone());
        let mut digest = Digest::new();
        let mut chronicle = Chronicle::new();
        for event in &events {
            chronicle.observe(event);
            judge.observe(event);
            digest.observe(event);
        }
        let mut judgement = judge.finish();
        let mut explanation = explain(&mut judgement, &events, &header.contract);
        for story in &mut explanation.stories {
            story.replay = Some(header.replay.clone());
        }
        let (end, outcome) = match judgement.verdict {
            Verdict::Unknown => (End::Inconclusive, RunOutcome::Inconclusive),
            Verdict::Invalid if judgement.has_forbidden() => (End::NotAsExpected, RunOutcome::NotAsExpected),
            Verdict::Valid | Verdict::Invalid => (End::AsExpected, RunOutcome::AsExpected),
        };
        match self.format {
            Format::Human => {
                screen.print(&text::verdict_line(&header.scenario, header.seed, &judgement, &Colours))?;
                screen.print(&text::remarks(&header.contract, &judgement, &Colours))?;
                if !explanation.stories.is_empty() {
                    screen.print(&format!("\n{}", text::explanation(&explanation, &header.nodes, &Colours)))?;
                }
                let chronicle = text::chronicle(&chronicle.steps(), &header.nodes, &Colours);
                screen.print(&if chronicle.is_empty() { chronicle } else { format!("\n{chronicle}\n") })?;
                screen.print(&topics::topics(&judgement))?;
                screen.print(&groups::groups(&judgement))?;
                screen.print(&text::invariants(&judgement, &Colours))?;
                screen.print(&text::doubts(&judgement, &Colours))?;
                screen.print(&text::idle(&judgement, &Colours))?;
            }
            Format::Json => {
                let reasons = match outcome {
                    RunOutcome::AsExpected => Vec::new(),
                    RunOutcome::Inconclusive => judgement.doubts.clone(),
                    RunOutcome::NotAsExpected => forbidden(&judgement),
                };
                let outcome = (outcome, reasons);
                let report = RunReport::new(&header.scenario, header.seed, &judgement, digest, outcome, Duration::ZERO);
                screen.print(&report.to_line()?)?;
            }
        }
        Ok(end)
    }
}

/// What was found that the configuration forbids: a line per kind.
fn forbidden(judgement: &Judgement) -> Vec<String> {
    let forbidden = |kind| judgement.of_kind(kind).filter(|anomaly| anomaly.permitted.answer == Answer::No).count();
    let kinds = judgement.kinds().into_iter().map(|kind| (kind, forbidden(kind))).filter(|(_, times)| *times > 0);
    let kinds = kinds.map(|(kind, times)| format!("{times} {kind} that the configuration forbids"));
    let breaches = judgement.broken.iter().filter(|broken| broken.permitted.answer == Answer::No);
    kinds.chain(breaches.map(|broken| format!("{} broken: {}", broken.invariant, broken.what))).collect()
}

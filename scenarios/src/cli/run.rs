//! `ackproof run`: scenarios under seeds, each with its verdict and the story of what went wrong.

use std::fs::File;
use std::io::{self, BufWriter};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use ackproof_core::fact::Observer;
use ackproof_core::types::{Duration, Instant};
use ackproof_reports::RunReport;
use ackproof_reports::render::text::{self, PlainText, Style};
use ackproof_reports::render::{groups, topics};
use ackproof_reports::trace::{Header, TraceWriter};
use clap::Args;
use indicatif::ProgressBar;

use super::End;
use super::ci;
use super::log::{LogChoice, run_span};
use super::screen::{Colours, Format, ReportFormat, Screen, hidden};
use super::select::{SeedChoice, Selection};
use super::toggles::{Scope, Table, matrix};
use crate::contract::{contract, node_names};
use crate::expectation::Standing;
use crate::export;
use crate::parallel::in_order;
use crate::runner::{self, Difference, FixRun, Options, replay};
use crate::scenario::Scenario;

/// Run scenarios and say whether they came out as expected.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ackproof run durability
  ackproof run durability --seeds 0..20 --format json --jobs 2
  ackproof run --catalog PA-03 --seed 7 --trace run.ndjson
  ackproof run --catalog CP-04 --seed 7 --export-disk disks
  ackproof run my-scenario.toml --seeds 0..200 --check-determinism
  ackproof run acks-1-leader-crash --log info,ackproof::client=debug
  ackproof run --toggles                            every historical fix switched off and on
  ackproof run --toggles=markdown replication")]
pub(super) struct Run {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    seeds: SeedChoice,
    /// How many runs at a time
    #[arg(long, value_name = "N", default_value = "1", value_parser = super::numbers::jobs, allow_negative_numbers = true)]
    jobs: NonZeroUsize,
    /// How results are written
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Write every fact of the run to this file (one scenario and one seed only)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the log directory of each broker, as it is at the end, below this folder (one scenario and one seed only)
    #[arg(long, value_name = "DIR")]
    export_disk: Option<PathBuf>,
    /// Run each twice and compare all facts
    #[arg(long)]
    check_determinism: bool,
    /// Say what was done and what followed in every run, not only in those without a story
    #[arg(short, long)]
    verbose: bool,
    /// Whether to look, by re-running, for the smallest change that keeps a broken promise
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, num_args = 0..=1, default_missing_value = "always")]
    counterfactuals: Counterfactuals,
    #[command(flatten)]
    log: LogChoice,
    /// The mutation matrix instead: every scenario with a `mutation`, without the fix and with it, under all its seeds
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "plain", conflicts_with_all = ["trace", "check_determinism"])]
    toggles: Option<Table>,
}

/// When a change is looked for that keeps a broken promise; it takes many more runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Counterfactuals {
    /// For people, with one seed per scenario
    #[default]
    Auto,
    /// In every run
    Always,
    /// The scenario's own fix must do
    Never,
}

/// One scenario under one seed, run.
struct Result {
    run: std::result::Result<runner::Run, Box<Difference>>,
    wall: Duration,
}

impl Run {
    /// Runs them.
    pub fn run(&self, screen: &mut Screen) -> io::Result<End> {
        if self.selection.is_empty() && self.toggles.is_none() {
            screen.complain("error: nothing to run\n\n  ackproof run durability            a chapter of the library\n  ackproof run my-scenario.toml      a file\n\n`ackproof list` shows what the library has.");
            return Ok(End::WrongInput);
        }
        let selected = self.selection.read_to_run();
        screen.diagnose(&selected.found);
        if selected.found.has_errors() {
            return Ok(End::WrongInput);
        }
        let scenarios = &selected.scenarios;
        if let Some(table) = self.toggles {
            return self.matrix(table, scenarios, screen);
        }
        let tasks: Vec<(&Scenario, u64)> = scenarios
            .iter()
            .flat_map(|scenario| self.seeds.of(scenario).into_iter().map(move |seed| (scenario, seed)))
            .collect();
        let of_one = [("--trace", self.trace.is_some()), ("--export-disk", self.export_disk.is_some())];
        if let Some((option, _)) = of_one.iter().find(|(_, given)| *given && tasks.len() != 1) {
            screen.complain(&format!(
                "error: {option} takes one run, and this is {} of them; choose one with --seed",
                tasks.len()
            ));
            return Ok(End::WrongInput);
        }
        if let (Some(folder), [(scenario, seed)]) = (&self.export_disk, &tasks[..]) {
            let files = export::export(scenario, *seed, folder)?;
            screen.complain(&format!("{files} files of the brokers' disks are in {}", folder.display()));
        }
        if self.format == ReportFormat::Human {
            for scenario in scenarios.iter().filter(|scenario| !scenario.notes.is_empty()) {
                screen.complain(&remarks(scenario));
            }
        }
        self.log.start(screen);
        let progress = self.progress(tasks.len(), screen);
        let one_of_many = tasks.len() > 1;
        let mut ends = Vec::new();
        let mut reports = Vec::new();
        let options = self.options(tasks.len() == scenarios.len());
        in_order(
            self.jobs,
            &tasks,
            |(scenario, seed)| {
                let _named = one_of_many.then(|| run_span(scenario, *seed).entered());
                timed(scenario, *seed, options)
            },
            |place, result| {
                let (scenario, seed) = tasks[place];
                progress.inc(1);
                if self.format == ReportFormat::Human && place > 0 {
                    progress.suspend(|| screen.print("\n"))?;
                }
                let (end, report) = progress.suspend(|| self.show(scenario, seed, result, screen))?;
                ends.push(end);
                reports.extend(report);
                Ok(())
            },
        )?;
        progress.finish_and_clear();
        if self.format == ReportFormat::Human && ends.len() > 1 {
            screen.print(&format!("\n{}\n", summary(&ends)))?;
        }
        ci::tell(&reports, self.format, &summary(&ends), screen)?;
        Ok(ends.into_iter().max().unwrap_or(End::AsExpected))
    }

    /// The mutation matrix.
    fn matrix(&self, table: Table, scenarios: &[Scenario], screen: &mut Screen) -> io::Result<End> {
        let format = match self.format {
            ReportFormat::Human => Format::Human,
            ReportFormat::Json => Format::Json,
            ReportFormat::Junit | ReportFormat::Github => {
                screen.complain("error: --toggles is written with --format human or json");
                return Ok(End::WrongInput);
            }
        };
        let scope = if self.selection.is_empty() { Scope::Library } else { Scope::Chosen };
        matrix((scenarios, scope), &self.seeds, self.jobs, (table, format), screen)
    }

    /// What each run is to do; a change that helps is looked for where few runs are shown to somebody.
    fn options(&self, one_seed_each: bool) -> Options {
        Options {
            keep_trace: self.trace.is_some(),
            check_determinism: self.check_determinism,
            chronicle: self.format == ReportFormat::Human,
            counterfactuals: match self.counterfactuals {
                Counterfactuals::Auto => self.format == ReportFormat::Human && one_seed_each,
                Counterfactuals::Always => true,
                Counterfactuals::Never => false,
            },
        }
    }

    fn progress(&self, runs: usize, screen: &Screen) -> ProgressBar {
        if runs < 2 || self.log.is_on() {
            return hidden();
        }
        screen.bar(runs as u64, "{bar:30} {pos}/{len} runs, {eta} left")
    }

    /// Says how a run came out; what CI reads is given back, to be told of all runs at once.
    fn show(
        &self,
        scenario: &Scenario,
        seed: u64,
        result: Result,
        screen: &mut Screen,
    ) -> io::Result<(End, Option<ci::RunResult>)> {
        let wall = result.wall;
        let for_ci =
            |end, text| Some(ci::RunResult::new(scenario, seed, (end, wall), text)).filter(|_| self.is_for_ci());
        let run = match result.run {
            Ok(run) => run,
            Err(difference) => {
                let text = not_deterministic(scenario, seed, &difference);
                screen.complain(&text);
                return Ok((End::NotDeterministic, for_ci(End::NotDeterministic, text)));
            }
        };
        if let Some(path) = &self.trace {
            write_trace(path, scenario, &run)?;
        }
        let end = end(&run.standing);
        match self.format {
            ReportFormat::Human => screen.print(&human(scenario, &run, self.verbose, &Colours))?,
            ReportFormat::Json => {
                let outcome = (run.standing.outcome(), run.standing.reasons().to_vec());
                let report = RunReport {
                    counterfactuals: run.counterfactuals.clone(),
                    fix: run.fix.as_ref().map(FixRun::report),
                    ..RunReport::new(scenario.name(), seed, &run.judgement, run.digest, outcome, wall)
                };
                screen.print(&report.to_line()?)?;
            }
            ReportFormat::Junit | ReportFormat::Github => {
                let text = if end == End::AsExpected { String::new() } else { human(scenario, &run, true, &PlainText) };
                return Ok((end, for_ci(end, text)));
            }
        }
        Ok((end, None))
    }

    fn is_for_ci(&self) -> bool {
        matches!(self.format, ReportFormat::Junit | ReportFormat::Github)
    }
}

/// What the configuration says that has no effect here, and what else its author should know.
fn remarks(scenario: &Scenario) -> String {
    let mut without_effect = std::collections::BTreeSet::new();
    let mut others = std::collections::BTreeSet::new();
    for note in &scenario.notes.0 {
        match note.message.split_once("` has no effect here") {
            Some((name, _)) => without_effect.insert(name.trim_start_matches('`')),
            None => others.insert(note.message.as_str()),
        };
    }
    let mut lines: Vec<String> = others.into_iter().map(|note| format!("note: {}: {note}", scenario.name())).collect();
    if !without_effect.is_empty() {
        let names: Vec<&str> = without_effect.into_iter().collect();
        let why = format!("`ackproof validate {}` says why", scenario.name());
        lines.push(format!("note: {}: no effect here: {} ({why})", scenario.name(), names.join(", ")));
    }
    lines.join("\n")
}

/// How a run counts.
pub(super) fn end(standing: &Standing) -> End {
    match standing {
        Standing::AsExpected => End::AsExpected,
        Standing::NotAsExpected(_) => End::NotAsExpected,
        Standing::Inconclusive(_) => End::Inconclusive,
    }
}

/// The verdict, the stories, the topics, and expected against found.
pub(crate) fn human(scenario: &Scenario, run: &runner::Run, verbose: bool, style: &dyn Style) -> String {
    let names = node_names(scenario);
    let mut out = text::verdict_line(&scenario.name(), run.seed, &run.judgement, style);
    out.push_str(&text::remarks(&contract(scenario), &run.judgement, style));
    if !run.explanation.stories.is_empty() {
        out.push('\n');
        out.push_str(&text::explanation(&run.explanation, &names, style));
        out.push('\n');
    }
    let told = run.explanation.stories.is_empty() || verbose;
    match run.chronicle.as_ref().filter(|(steps, _)| told && !steps.is_empty()) {
        Some(chronicle) => {
            out.push_str(&format!("\n{}\n", text::chronicle(chronicle, &names, style)));
            out.push_str(&topics::topics(&run.judgement));
            out.push_str(&groups::groups(&run.judgement));
            out.push_str(&text::invariants(&run.judgement, style));
            out.push_str(&text::doubts(&run.judgement, style));
            out.push_str(&text::idle(&run.judgement, style));
        }
        None => {
            out.push_str(&topics::topics(&run.judgement));
            out.push_str(&groups::groups(&run.judgement));
            out.push_str(&text::invariants(&run.judgement, style));
            out.push_str(&text::witnesses(&run.judgement, style));
        }
    }
    out.push_str(&standing(run));
    out
}

fn standing(run: &runner::Run) -> String {
    let replay = &run.replay;
    match &run.standing {
        Standing::AsExpected => "as expected\n".to_owned(),
        Standing::NotAsExpected(lines) => format!("NOT AS EXPECTED\n{}  replay: {replay}\n", listed(lines)),
        Standing::Inconclusive(lines) => format!("INCONCLUSIVE\n{}  replay: {replay}\n", listed(lines)),
    }
}

fn listed(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

fn not_deterministic(scenario: &Scenario, seed: u64, difference: &Difference) -> String {
    format!(
        "NOT DETERMINISTIC: {} differs from itself under seed {seed}\n{}  replay: {} --check-determinism",
        scenario.name(),
        both_sides(scenario, difference),
        replay(scenario, seed)
    )
}

/// The first event that differs, as it was and as it was again.
pub(crate) fn both_sides(scenario: &Scenario, difference: &Difference) -> String {
    let names = node_names(scenario);
    let side = |event: &Option<ackproof_core::fact::Event>, time: fn(Instant) -> String| match event {
        None => "nothing more".to_owned(),
        Some(event) => {
            let what = ackproof_reports::render::describe::describe(event, &names);
            format!("event {} at {}: {what}", event.sequence, time(event.time))
        }
    };
    let sides = |time| (side(&difference.first, time), side(&difference.second, time));
    let (mut once, mut again) = sides(|time| time.to_string());
    if once == again {
        (once, again) = sides(|time| format!("{} ns", time.0));
    }
    format!("  once   {once}\n  again  {again}\n")
}

fn summary(ends: &[End]) -> String {
    let count = |wanted: End| ends.iter().filter(|end| **end == wanted).count();
    let mut parts = vec![format!("{} of {} runs as expected", count(End::AsExpected), ends.len())];
    for (end, words) in [
        (End::NotAsExpected, "not as expected"),
        (End::Inconclusive, "inconclusive"),
        (End::NotDeterministic, "not deterministic"),
    ] {
        if count(end) > 0 {
            parts.push(format!("{} {words}", count(end)));
        }
    }
    parts.join(", ")
}

fn write_trace(path: &PathBuf, scenario: &Scenario, run: &runner::Run) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let header = Header {
        contract: contract(scenario),
        nodes: node_names(scenario),
        ..Header::new(scenario.name(), run.seed, replay(scenario, run.seed))
    };
    let mut writer = TraceWriter::new(BufWriter::new(File::create(path).map_err(named)?), &header).map_err(named)?;
    for event in run.trace.iter().flatten() {
        writer.observe(event);
    }
    writer.finish().map(drop).map_err(named)
}

/// The wall clock is for the report alone; nothing in the run sees it.
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "how long the run took is told, never used")]
fn timed(scenario: &Scenario, seed: u64, options: Options) -> Result {
    let start = std::time::Instant::now();
    let run = runner::run(scenario, seed, options);
    let wall = Duration::from_nanos(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    Result { run, wall }
}

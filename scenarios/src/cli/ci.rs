//! Runs as CI systems read them: a case of JUnit each, or an annotation of GitHub Actions for each that is not as expected.

use std::fmt::Write as _;
use std::io;

use ackproof_core::types::Duration;
use ackproof_reports::render::github::{self, Annotation, Level};
use ackproof_reports::render::junit::{Case, CaseEnd, Detail, Suite};

use super::End;
use super::screen::{ReportFormat, Screen, add_to_summary};
use crate::library::Place;
use crate::runner::replay;
use crate::scenario::Scenario;

/// How a run came out.
pub(super) struct RunResult {
    scenario: String,
    /// Its file, if it is one.
    file: Option<String>,
    seed: u64,
    end: End,
    wall: Duration,
    /// The line that shows it again.
    replay: String,
    /// The whole story, of a run that is not as expected.
    text: String,
}

impl RunResult {
    /// That of a scenario under a seed.
    pub fn new(scenario: &Scenario, seed: u64, (end, wall): (End, Duration), text: String) -> Self {
        let file = match &scenario.place {
            Place::Disk(path) => Some(path.display().to_string()),
            Place::Library(_) => None,
        };
        Self { scenario: scenario.name(), file, seed, end, wall, replay: replay(scenario, seed), text }
    }

    fn word(&self) -> &'static str {
        match self.end {
            End::AsExpected => "as expected",
            End::Inconclusive => "inconclusive",
            End::NotAsExpected => "not as expected",
            End::WrongInput => "wrong input",
            End::NotDeterministic => "not deterministic",
            End::Interrupted(_) => "interrupted",
        }
    }

    fn case(&self) -> Case {
        let detail =
            || Detail { kind: self.word().replace(' ', "-"), message: self.word().into(), text: self.text.clone() };
        let end = match self.end {
            End::AsExpected => CaseEnd::Passed,
            End::NotAsExpected => CaseEnd::Failed(detail()),
            // What tested nothing has not passed.
            End::Inconclusive | End::WrongInput | End::NotDeterministic | End::Interrupted(_) => {
                CaseEnd::Broken(detail())
            }
        };
        Case { class: self.scenario.clone(), name: format!("seed {}", self.seed), time: self.wall, end }
    }

    fn annotation(&self) -> Annotation {
        Annotation {
            level: if self.end == End::Inconclusive { Level::Warning } else { Level::Error },
            file: self.file.clone(),
            title: format!("{} under seed {}: {}", self.scenario, self.seed, self.word()),
            message: self.text.clone(),
        }
    }
}

/// Tells all runs at once, where the format is one for CI.
pub(super) fn tell(runs: &[RunResult], format: ReportFormat, summary: &str, screen: &mut Screen) -> io::Result<()> {
    match format {
        ReportFormat::Human | ReportFormat::Json => Ok(()),
        ReportFormat::Junit => {
            let cases = runs.iter().map(RunResult::case).collect();
            screen.print(&Suite { name: "run".into(), cases }.document())
        }
        ReportFormat::Github => {
            let bad: Vec<&RunResult> = runs.iter().filter(|run| run.end != End::AsExpected).collect();
            let mut out = String::new();
            for run in &bad {
                let _ = writeln!(out, "{}", run.annotation());
            }
            screen.print(&format!("{out}{summary}\n"))?;
            let row = |run: &&RunResult| {
                vec![run.scenario.clone(), run.seed.to_string(), run.word().to_owned(), run.replay.clone()]
            };
            let rows: Vec<Vec<String>> = bad.iter().map(row).collect();
            let mut markdown = format!("### ackproof run\n\n{summary}\n\n");
            if !rows.is_empty() {
                markdown.push_str(&github::table(&["Scenario", "Seed", "Came out", "See it again"], &rows));
                markdown.push('\n');
            }
            add_to_summary(&markdown)
        }
    }
}

//! `ackproof explain`: what a scenario is about, and what happens in it.

use std::fmt::Write as _;
use std::io;

use clap::Args;

use super::End;
use super::log::LogChoice;
use super::run::{end, human};
use super::screen::{Colours, Screen};
use super::select::{SeedChoice, Selection};
use crate::runner::{self, Options};
use crate::scenario::Scenario;

/// Say what a scenario is about, and tell what happens in it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ackproof explain durability/acks-1-leader-crash\n  ackproof explain my-scenario.toml --seed 7"
)]
pub(super) struct Explain {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    seeds: SeedChoice,
    #[command(flatten)]
    log: LogChoice,
}

impl Explain {
    /// Explains them.
    pub fn run(&self, screen: &mut Screen) -> io::Result<End> {
        if self.selection.is_empty() {
            screen.complain("error: nothing to explain\n\n  ackproof explain durability/acks-1-leader-crash\n\n`ackproof list` shows what the library has.");
            return Ok(End::WrongInput);
        }
        let selected = self.selection.read();
        screen.diagnose(&selected.found);
        if selected.found.has_errors() {
            return Ok(End::WrongInput);
        }
        let options = Options { counterfactuals: self.seeds.seeds.is_none(), chronicle: true, ..Options::default() };
        self.log.start(screen);
        let mut worst = End::AsExpected;
        for scenario in &selected.scenarios {
            screen.print(&introduction(scenario))?;
            for seed in self.seeds.of(scenario) {
                let Ok(run) = runner::run(scenario, seed, options) else {
                    screen
                        .complain("error: two runs of this seed differ; `ackproof run --check-determinism` says where");
                    return Ok(End::NotDeterministic);
                };
                screen.print(&format!("{}\n", human(scenario, &run, true, &Colours)))?;
                worst = worst.max(end(&run.standing));
            }
        }
        Ok(worst)
    }
}

/// Title, story, and what is done, in the words of the file.
fn introduction(scenario: &Scenario) -> String {
    let mut out = format!("{}\n", scenario.title);
    // Writing to a string succeeds.
    if !scenario.catalog.is_empty() {
        let _ = writeln!(out, "{}, catalog {}", scenario.name(), scenario.catalog.join(" "));
    }
    if !scenario.story.is_empty() {
        let _ = writeln!(out, "\n{}", scenario.story);
    }
    if !scenario.steps.is_empty() {
        out.push_str("\nWhat is done to the cluster:\n");
        for (number, open) in scenario.steps.iter().enumerate() {
            let _ = writeln!(out, "  {}. {}", number + 1, open.step.name);
        }
    }
    if let Some(fix) = &scenario.fix {
        let _ = writeln!(out, "\nWhat helps: {}", fix.0);
    }
    out.push('\n');
    out
}

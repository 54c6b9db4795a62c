//! `ackproof validate`: what is wrong with scenario files, without running them.

use std::io;

use clap::Args;

use super::End;
use super::screen::Screen;
use super::select::Selection;

/// Check scenario files without running them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ackproof validate my-scenario.toml\n  ackproof validate scenarios/")]
pub(super) struct Validate {
    #[command(flatten)]
    selection: Selection,
}

impl Validate {
    /// Checks them.
    pub fn run(&self, screen: &mut Screen) -> io::Result<End> {
        let selected = self.selection.read();
        screen.diagnose(&selected.found);
        for scenario in &selected.scenarios {
            screen.print(&format!("valid  {}  {}", scenario.place.display(), scenario.title))?;
            screen.print(&scenario.notes.condensed())?;
        }
        Ok(if selected.found.has_errors() { End::WrongInput } else { End::AsExpected })
    }
}

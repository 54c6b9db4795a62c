//! `ackproof list`: which scenarios there are.

use std::io;

use clap::Args;
use serde_json::json;

use super::End;
use super::screen::{Format, Screen};
use super::select::Selection;

/// List scenarios.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ackproof list\n  ackproof list durability --format json\n  ackproof list --catalog PA-03"
)]
pub(super) struct List {
    #[command(flatten)]
    selection: Selection,
    /// How they are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl List {
    /// Lists them.
    pub fn run(&self, screen: &mut Screen) -> io::Result<End> {
        let selected = self.selection.read();
        screen.diagnose(&selected.found);
        match self.format {
            Format::Human => {
                let rows: Vec<[String; 3]> = selected
                    .scenarios
                    .iter()
                    .map(|scenario| [scenario.name(), scenario.catalog.join(" "), scenario.title.clone()])
                    .collect();
                screen.print(&table(&rows))?;
            }
            Format::Json => {
                for scenario in &selected.scenarios {
                    let regression: Vec<String> = scenario.seeds.regression.iter().map(u64::to_string).collect();
                    let test = &scenario.seeds.test;
                    let line = json!({
                        "scenario": scenario.name(),
                        "title": scenario.title,
                        "catalog": scenario.catalog,
                        "seeds": { "test": format!("{}..{}", test.start, test.end), "regression": regression },
                    });
                    screen.print(&line.to_string())?;
                }
            }
        }
        Ok(if selected.found.has_errors() { End::WrongInput } else { End::AsExpected })
    }
}

/// Columns side by side, each as wide as it must be.
fn table(rows: &[[String; 3]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    rows.iter().map(|[name, catalog, title]| format!("{name:first$}  {catalog:second$}  {title}\n")).collect()
}

//! `ackproof schema`: the JSON Schema of scenario files, and the facts that a step can wait for.

use std::io;

use clap::Args;

use super::End;
use super::screen::Screen;

/// Print the JSON Schema of scenario files, or the facts that a step can wait for.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ackproof schema > scenario.schema.json\n  ackproof schema --facts")]
pub(super) struct Schema {
    /// The facts and their fields, as `when = { fact = .., .. }` takes them
    #[arg(long)]
    facts: bool,
}

impl Schema {
    /// Prints it.
    pub fn run(&self, screen: &mut Screen) -> io::Result<End> {
        if self.facts {
            let facts = crate::facts::facts();
            let width = facts.keys().map(|name| name.len()).max().unwrap_or(0);
            let line =
                |(name, fields): (&&str, &&[&str])| format!("{name:width$}  {}\n", fields.join(" ").replace('_', "-"));
            screen.print(&facts.iter().map(line).collect::<String>())?;
        } else {
            screen.print(&crate::schema::schema_text())?;
        }
        Ok(End::AsExpected)
    }
}

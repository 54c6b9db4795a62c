//! `ackproof merge`: what several shards of a campaign came to, as if one process had run it.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use clap::Args;

use super::End;
use super::chaos::complaints;
use super::screen::{ReportFormat, Screen};
use super::told::Told;
use crate::chaos::keep::Shelf;
use crate::chaos::results::{Merger, Wrong};

/// Put the results of several shards of a campaign together
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ackproof chaos --seeds 0..10000 --shard 0/4 --format json > shard-0.ndjson
  ackproof merge shard-*.ndjson                                             what all of them came to, for people
  ackproof merge shard-*.ndjson --format junit > chaos.xml
  ackproof merge monday.ndjson tuesday.ndjson --format json > both.ndjson   to be merged again

The order of the files does not matter, and a world that is in several of them counts once.
Exit codes: 0 nothing found, 1 something found, 2 the input or the call is wrong, 3 worlds are missing.")]
pub(super) struct Merge {
    /// What `ackproof chaos --format json` or `ackproof merge --format json` has written
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The folder for failures
    #[arg(long, value_name = "DIR", default_value = "failures")]
    keep: PathBuf,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

impl Merge {
    /// Merges them.
    pub fn run(&self, screen: &mut Screen) -> io::Result<End> {
        let mut shelf = match Shelf::at(&self.keep) {
            Ok(shelf) => shelf,
            Err(error) => {
                screen.complain(&format!("error: --keep {}: {error}", self.keep.display()));
                return Ok(End::WrongInput);
            }
        };
        let mut merger = Merger::default();
        for path in &self.files {
            let cannot = |error: io::Error| Wrong { line: None, message: format!("cannot be read: {error}") };
            let taken = File::open(path).map_err(cannot).and_then(|file| merger.take(BufReader::new(file)));
            if let Err(Wrong { line, message }) = taken {
                let line = line.map(|line| format!(":{line}")).unwrap_or_default();
                screen.complain(&format!("error: {}{line}: {message}", path.display()));
                return Ok(End::WrongInput);
            }
        }
        // There is at least one file, and each begins with a campaign.
        let Some(results) = merger.finish() else { return Ok(End::WrongInput) };
        results.kept.iter().for_each(|(signature, kept)| shelf.put(*signature, &kept.form));
        let report = results.report();
        let missing = match results.asked.quiet_after {
            // Such a campaign ends when it has seen enough.
            Some(_) => Vec::new(),
            None => report.missing(&results.seeds, &results.asked),
        };
        if self.format == ReportFormat::Json {
            screen.print(&results.text())?;
        }
        let (asked, kept, shelf) = (&results.asked, &results.kept, &shelf);
        Told { asked, report: &report, kept, shelf, missing: &missing, interrupted: None }.tell(
            self.format,
            None,
            screen,
        )?;
        if complaints(shelf, screen) {
            return Ok(End::WrongInput);
        }
        Ok(match (report.is_clean(), missing.is_empty()) {
            (false, _) => End::NotAsExpected,
            (true, false) => End::Inconclusive,
            (true, true) => End::AsExpected,
        })
    }
}

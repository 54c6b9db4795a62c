//! Which scenarios and seeds a command is about.

use std::ops::Range;

use clap::Args;

use crate::diagnostics::{Diagnostic, Diagnostics, Source, nearest};
use crate::library::{find, library};
use crate::scenario::{Scenario, parse_seeds};

/// Scenarios by file, folder, name or catalog row.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// A file, a folder, or the name of a scenario or chapter of the library
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// Only those that show this row of the failure catalog, like PA-03
    #[arg(long, value_name = "ID")]
    pub catalog: Vec<String>,
}

/// Scenarios that could be read, and what is wrong with the others.
pub(super) struct Selected {
    pub scenarios: Vec<Scenario>,
    pub found: Diagnostics,
}

impl Selection {
    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.scenarios.is_empty() && self.catalog.is_empty()
    }

    /// Reads them, to be run: without those whose programs are elsewhere.
    pub fn read_to_run(&self) -> Selected {
        let mut selected = self.read();
        selected.scenarios.retain(|scenario| match scenario.runs_alone() {
            Ok(()) => true,
            Err(found) => {
                selected.found.append(found);
                false
            }
        });
        selected
    }

    /// Reads them. Without a name: all of the library.
    pub fn read(&self) -> Selected {
        let mut selected = Selected { scenarios: Vec::new(), found: Diagnostics::default() };
        let mut places = Vec::new();
        for name in &self.scenarios {
            match find(name) {
                Ok(found) => places.extend(found),
                Err(found) => selected.found.append(found),
            }
        }
        if self.scenarios.is_empty() {
            places = library();
        }
        let mut seen = std::collections::BTreeSet::new();
        places.retain(|place| seen.insert(place.clone()));
        for place in places {
            match Scenario::load(&place) {
                Ok(scenario) => selected.scenarios.push(scenario),
                Err(found) => selected.found.append(found),
            }
        }
        self.keep_catalog(&mut selected);
        selected
    }

    fn keep_catalog(&self, selected: &mut Selected) {
        if self.catalog.is_empty() {
            return;
        }
        let is_wanted = |id: &String| self.catalog.iter().any(|wanted| wanted.eq_ignore_ascii_case(id));
        let known: Vec<String> = selected.scenarios.iter().flat_map(|scenario| scenario.catalog.clone()).collect();
        for wanted in &self.catalog {
            if !known.iter().any(|id| id.eq_ignore_ascii_case(wanted)) {
                let message = format!("no scenario shows the catalog row `{wanted}`");
                let found = Diagnostic::about_file(&Source::new("--catalog", ""), message);
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                selected.found.push(match nearest(wanted, &known) {
                    Some(id) => found.remedy(format!("did you mean `{id}`?")),
                    None => found.remedy("`ackproof list` shows the rows of each scenario"),
                });
            }
        }
        selected.scenarios.retain(|scenario| scenario.catalog.iter().any(is_wanted));
    }
}

/// Which seeds.
#[derive(Debug, Args)]
pub(super) struct SeedChoice {
    /// This seed; the first of the scenario's own if not given
    #[arg(long, value_name = "N", conflicts_with = "seeds", value_parser = super::numbers::whole, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// These seeds, without the last one: 0..20
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    pub seeds: Option<Range<u64>>,
}

impl SeedChoice {
    /// The seeds for a scenario.
    pub fn of(&self, scenario: &Scenario) -> Vec<u64> {
        match (self.seed, &self.seeds) {
            (Some(seed), _) => vec![seed],
            (None, Some(range)) => range.clone().collect(),
            (None, None) => vec![scenario.seeds.test.start],
        }
    }

    /// The seeds for a scenario where all of its own are meant unless others are named.
    pub fn all_of(&self, scenario: &Scenario) -> Vec<u64> {
        match (self.seed, &self.seeds) {
            (None, None) => scenario.seeds.all().collect(),
            (Some(_), _) | (None, Some(_)) => self.of(scenario),
        }
    }
}

//! The mutation matrix: every historical fix switched off and on, in each scenario that puts it to the test.
//!
//! Off, the scenario must come out as its file expects: convicted. On, nothing may go wrong: acquitted. A fix that is not missed
//! when it is off is not tested, whatever its tests say.

use ackproof_core::config::Toggles;
use serde::Serialize;

use crate::expectation::Standing;
use crate::runner::{FixRun, replay, tried_both_ways};
use crate::scenario::Scenario;

/// One fix in one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The toggle.
    pub toggle: String,
    /// Its value without the fix.
    pub off: String,
    /// Its value with the fix.
    pub on: String,
    /// The scenario.
    pub scenario: String,
    /// How many seeds were run, both ways.
    pub seeds: usize,
    /// Under how many the scenario came out as expected without the fix.
    pub convicted: usize,
    /// Under how many nothing went wrong with the fix.
    pub acquitted: usize,
    /// What was otherwise, a line each, with what shows it again.
    pub failures: Vec<String>,
}

impl Row {
    /// Whether the fix was missed when it was off, and nothing when it was on.
    pub fn holds(&self) -> bool {
        self.convicted == self.seeds && self.acquitted == self.seeds && self.seeds > 0
    }
}

/// Runs a scenario both ways under each of the seeds; none if it puts no fix to the test.
pub fn try_out(scenario: &Scenario, seeds: &[u64]) -> Option<Row> {
    let mutation = scenario.mutation.as_ref()?;
    let mut row = Row {
        toggle: mutation.toggle.clone(),
        off: mutation.off.clone(),
        on: mutation.on.clone(),
        scenario: scenario.name(),
        seeds: seeds.len(),
        convicted: 0,
        acquitted: 0,
        failures: Vec::new(),
    };
    for seed in seeds {
        let (off, on) = tried_both_ways(scenario, *seed);
        let mut fail = |what: String| row.failures.push(format!("{what}   replay: {}", replay(scenario, *seed)));
        match off {
            Standing::AsExpected => row.convicted += 1,
            Standing::NotAsExpected(lines) | Standing::Inconclusive(lines) => {
                fail(format!("not convicted with {}={}: {}", row.toggle, row.off, lines.join("; ")));
            }
        }
        match on {
            Some(on) if on.helps() => row.acquitted += 1,
            Some(FixRun { anomalies, untested, .. }) => {
                let lines: Vec<String> = anomalies.into_iter().chain(untested).collect();
                fail(format!("not acquitted with {}={}: {}", row.toggle, row.on, lines.join("; ")));
            }
            None => fail("the scenario has no fix".to_owned()),
        }
    }
    Some(row)
}

/// The toggles that no row is about.
pub fn untested(rows: &[Row]) -> Vec<&'static str> {
    Toggles::NAMES.iter().copied().filter(|name| !rows.iter().any(|row| row.toggle == *name)).collect()
}

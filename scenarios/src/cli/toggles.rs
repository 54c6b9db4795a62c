//! `ackproof run --toggles`: the mutation matrix as a table.

use std::io;
use std::num::NonZeroUsize;

use serde_json::json;

use super::End;
use super::screen::{Format, Screen};
use super::select::SeedChoice;
use crate::mutations::{Row, try_out, untested};
use crate::parallel::in_order;
use crate::scenario::Scenario;

/// How the matrix is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Table {
    /// As `--format` says
    Plain,
    /// For documents
    Markdown,
}

/// Whether toggles that no scenario is about are missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everything was to be run: they are.
    Library,
    /// Some scenarios were named.
    Chosen,
}

/// Runs every scenario that puts a fix to the test, both ways, and shows what came out.
pub(super) fn matrix(
    (scenarios, scope): (&[Scenario], Scope),
    seeds: &SeedChoice,
    jobs: NonZeroUsize,
    (table, format): (Table, Format),
    screen: &mut Screen,
) -> io::Result<End> {
    let concerned: Vec<&Scenario> = scenarios.iter().filter(|scenario| scenario.mutation.is_some()).collect();
    let mut rows: Vec<Row> = Vec::new();
    let work = |scenario: &&Scenario| try_out(scenario, &seeds.all_of(scenario));
    in_order(jobs, &concerned, work, |_, row| {
        rows.extend(row);
        Ok(())
    })?;
    rows.sort_by(|one, other| (&one.toggle, &one.scenario).cmp(&(&other.toggle, &other.scenario)));
    let untested = match scope {
        Scope::Library => untested(&rows),
        Scope::Chosen => Vec::new(),
    };
    screen.print(&match (table, format) {
        (Table::Markdown, _) => markdown(&rows, &untested),
        (Table::Plain, Format::Human) => plain(&rows, &untested),
        (Table::Plain, Format::Json) => lines(&rows, &untested),
    })?;
    Ok(match (rows.iter().all(Row::holds), untested.is_empty()) {
        (false, _) => End::NotAsExpected,
        (true, false) => End::Inconclusive,
        (true, true) => End::AsExpected,
    })
}

fn cells(row: &Row) -> [String; 4] {
    [
        format!("{}={}", row.toggle, row.off),
        row.scenario.clone(),
        format!("{} of {}", row.convicted, row.seeds),
        format!("{} of {}", row.acquitted, row.seeds),
    ]
}

const HEAD: [&str; 4] = ["without", "scenario", "convicted", "acquitted with"];

fn plain(rows: &[Row], untested: &[&str]) -> String {
    let mut table: Vec<[String; 4]> = vec![HEAD.map(String::from)];
    table.extend(rows.iter().map(cells));
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second, third) = (width(0), width(1), width(2));
    let mut out: String = table
        .iter()
        .map(|[fix, scenario, off, on]| format!("{fix:first$}  {scenario:second$}  {off:third$}  {on}\n"))
        .collect();
    for line in rows.iter().flat_map(|row| &row.failures) {
        out.push_str(&format!("  {line}\n"));
    }
    if !untested.is_empty() {
        out.push_str(&format!("\nno scenario: {}\n", untested.join(", ")));
    }
    out
}

fn markdown(rows: &[Row], untested: &[&str]) -> String {
    let mut out = format!("| {} |\n|---|---|---|---|\n", HEAD.join(" | "));
    for row in rows {
        let [fix, scenario, off, on] = cells(row);
        out.push_str(&format!("| `{fix}` | `{scenario}` | {off} | {on} |\n"));
    }
    for toggle in untested {
        out.push_str(&format!("| `{toggle}` | none | | |\n"));
    }
    out
}

fn lines(rows: &[Row], untested: &[&str]) -> String {
    let tested = rows.iter().map(|row| json!({ "holds": row.holds(), "row": row }).to_string());
    let missing = untested.iter().map(|toggle| json!({ "holds": false, "untested": toggle }).to_string());
    tested.chain(missing).map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(convicted: usize) -> Row {
        Row {
            toggle: "maximal_isr".into(),
            off: "false".into(),
            on: "true".into(),
            scenario: "replication/maximal-isr".into(),
            seeds: 4,
            convicted,
            acquitted: 4,
            failures: Vec::new(),
        }
    }

    #[test]
    fn a_table_has_a_row_for_every_fix() {
        assert_eq!(
            plain(&[row(4)], &["elr"]),
            "without            scenario                 convicted  acquitted with\n\
             maximal_isr=false  replication/maximal-isr  4 of 4     4 of 4\n\
             \nno scenario: elr\n"
        );
        assert!(
            markdown(&[row(4)], &["elr"])
                .contains("| `maximal_isr=false` | `replication/maximal-isr` | 4 of 4 | 4 of 4 |\n")
        );
        assert!(lines(&[row(3)], &[]).starts_with("{\"holds\":false,"));
    }

    #[test]
    fn a_fix_that_is_missed_under_some_seeds_only_does_not_hold() {
        assert!(row(4).holds());
        assert!(!row(3).holds());
        assert!(!Row { seeds: 0, convicted: 0, acquitted: 0, ..row(0) }.holds());
    }
}

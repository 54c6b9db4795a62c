//! The tables of `docs/mutation.md`: what is between its two marks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

use crate::list::{MODULES, Mutant};
use crate::run::{Outcome, Stage, Verdict, outcomes};
use crate::scratch::{LeftOut, Scratch, said};

/// Survivors that no test can tell from the program, by reason: a line that begins with `= ` is a reason, those after it are mutants.
const EQUIVALENT: &str = include_str!("../equivalent.txt");
const MARKS: [&str; 2] = ["<!-- tables: written by .ci/mutants -->", "<!-- end of the tables -->"];

pub fn write(scratch: &Scratch, mutants: &[Mutant]) -> Result<(), String> {
    let path = scratch.source.join("docs/mutation.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (Some(start), Some(end)) = (text.find(MARKS[0]), text.find(MARKS[1])) else {
        return Err(format!("{}: the marks are missing", path.display()));
    };
    let left_out = scratch.left_out(mutants);
    let tables = Tables { mutants, left_out, outcomes: outcomes(scratch), equivalent: equivalent()? };
    let tables = tables.write()?;
    fs::write(&path, format!("{}\n\n{tables}\n{}", &text[..start + MARKS[0].len()], &text[end..])).map_err(said)
}

/// Keys of equivalent mutants, with the reason.
fn equivalent() -> Result<BTreeMap<&'static str, &'static str>, String> {
    let mut reason = None;
    let mut found = BTreeMap::new();
    for line in EQUIVALENT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("= ") {
            Some(why) => reason = Some(why),
            None => {
                let why = reason.ok_or("equivalent.txt: a mutant before the first reason")?;
                if found.insert(line, why).is_some() {
                    return Err(format!("equivalent.txt: twice: {line}"));
                }
            }
        }
    }
    Ok(found)
}

struct Tables<'t> {
    mutants: &'t [Mutant],
    left_out: LeftOut,
    outcomes: BTreeMap<String, Outcome>,
    equivalent: BTreeMap<&'static str, &'static str>,
}

/// What became of a mutant, for the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Unviable,
    NotTried,
    Test,
    Scenario,
    Campaign,
    Equivalent,
    Bytes,
    Survived,
    Unreached,
    /// No test notices it; the campaign is still to come.
    TestsOnly,
    NotRun,
}

const COLUMNS: [(Column, &str); 11] = [
    (Column::Unviable, "not viable"),
    (Column::NotTried, "not tried"),
    (Column::Test, "test"),
    (Column::Scenario, "scenario"),
    (Column::Campaign, "campaign"),
    (Column::Equivalent, "equivalent"),
    (Column::Bytes, "other bytes"),
    (Column::Survived, "survived"),
    (Column::Unreached, "unreached"),
    (Column::TestsOnly, "survived the tests, no more run"),
    (Column::NotRun, "not run"),
];

impl Tables<'_> {
    fn column(&self, mutant: &Mutant) -> Column {
        if self.left_out.unviable.contains(&mutant.number) {
            return Column::Unviable;
        }
        if self.left_out.not_tried.contains_key(&mutant.number) {
            return Column::NotTried;
        }
        let equivalent = self.equivalent.contains_key(mutant.key.as_str());
        let outcome = self.outcomes.get(&mutant.key);
        match outcome.map(|outcome| outcome.verdict) {
            None => Column::NotRun,
            Some(Verdict::Test) => Column::Test,
            Some(Verdict::Scenario) => Column::Scenario,
            Some(Verdict::Campaign) => Column::Campaign,
            Some(_) if equivalent => Column::Equivalent,
            Some(_) if outcome.is_some_and(|outcome| outcome.stage == Stage::Tests) => Column::TestsOnly,
            Some(Verdict::Bytes) => Column::Bytes,
            Some(Verdict::Survived) => Column::Survived,
            Some(Verdict::Unreached) => Column::Unreached,
        }
    }

    fn write(&self) -> Result<String, String> {
        self.equivalents_survive()?;
        let mut out = String::new();
        self.counts(&mut out);
        self.equivalents(&mut out);
        self.survivors(&mut out);
        self.not_tried(&mut out);
        Ok(out)
    }

    /// Whoever explains a mutant that is killed, or that there is not, is wrong.
    fn equivalents_survive(&self) -> Result<(), String> {
        let keys: BTreeSet<&str> = self.mutants.iter().map(|mutant| mutant.key.as_str()).collect();
        for key in self.equivalent.keys() {
            if !keys.contains(key) {
                return Err(format!("equivalent.txt: no such mutant: {key}"));
            }
            if let Some(outcome) = self.outcomes.get(*key).filter(|outcome| outcome.verdict.is_killed()) {
                return Err(format!("equivalent.txt: {key} is killed by {}", outcome.by));
            }
        }
        Ok(())
    }

    fn counts(&self, out: &mut String) {
        let heads: Vec<&str> = COLUMNS.iter().map(|(_, head)| *head).collect();
        let _ = writeln!(out, "| Module | mutants | {} | score |", heads.join(" | "));
        let _ = writeln!(out, "|---|{}---|", "--:|".repeat(COLUMNS.len() + 1));
        for (module, (name, _)) in MODULES.iter().enumerate() {
            let own = self.mutants.iter().filter(|mutant| mutant.module == module);
            self.row(out, name, own.map(|mutant| self.column(mutant)).collect());
        }
        self.row(out, "all", self.mutants.iter().map(|mutant| self.column(mutant)).collect());
    }

    fn row(&self, out: &mut String, name: &str, found: Vec<Column>) {
        let count = |column: Column| found.iter().filter(|other| **other == column).count();
        let counts: Vec<String> = COLUMNS.iter().map(|(column, _)| count(*column).to_string()).collect();
        let killed = count(Column::Test) + count(Column::Scenario) + count(Column::Campaign);
        let alive =
            [Column::Bytes, Column::Survived, Column::Unreached, Column::TestsOnly].map(count).iter().sum::<usize>();
        let per_mille = (killed * 1000).checked_div(killed + alive).unwrap_or(0);
        let score = format!("{}.{} %", per_mille / 10, per_mille % 10);
        let _ = writeln!(out, "| {name} | {} | {} | {score} |", found.len(), counts.join(" | "));
    }

    fn equivalents(&self, out: &mut String) {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in EQUIVALENT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match (line.strip_prefix("= "), reasons.last_mut()) {
                (Some(reason), _) => reasons.push((reason, Vec::new())),
                (None, Some((_, mutants))) => mutants.push(line),
                (None, None) => {}
            }
        }
        let _ = writeln!(out, "\n### Equivalent\n");
        for (reason, mutants) in reasons {
            let _ = writeln!(out, "* {reason}\n");
            for mutant in mutants {
                let _ = writeln!(out, "  * `{mutant}`");
            }
            let _ = writeln!(out);
        }
    }

    fn survivors(&self, out: &mut String) {
        let _ = writeln!(out, "### Survivors\n");
        for (module, (name, _)) in MODULES.iter().enumerate() {
            let _ = writeln!(out, "{name}:\n");
            for mutant in self.mutants.iter().filter(|mutant| mutant.module == module) {
                let how = match self.column(mutant) {
                    Column::Bytes => " (other bytes)",
                    Column::Survived => "",
                    Column::Unreached => " (unreached)",
                    Column::TestsOnly => " (tests only)",
                    _ => continue,
                };
                let _ = writeln!(out, "* `{}`{how}", mutant.key);
            }
            let _ = writeln!(out);
        }
    }

    fn not_tried(&self, out: &mut String) {
        let _ = writeln!(out, "### Not tried\n");
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for mutant in self.mutants.iter().filter(|mutant| self.column(mutant) == Column::NotTried) {
            reasons.entry(&self.left_out.not_tried[&mutant.number]).or_default().push(&mutant.key);
        }
        for (reason, mutants) in reasons {
            let _ = writeln!(out, "* {reason}:\n");
            for mutant in mutants {
                let _ = writeln!(out, "  * `{mutant}`");
            }
            let _ = writeln!(out);
        }
    }
}

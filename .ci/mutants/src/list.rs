//! The mutants, as `cargo mutants --list --json` names them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// The modules of `core` that are mutated, in the order in which they are told.
pub const MODULES: [(&str, &str); 4] = [
    ("replication", "core/src/replication/"),
    ("client/producer", "core/src/client/producer/"),
    ("log", "core/src/log/"),
    ("coordinator/group", "core/src/coordinator/group/"),
];

/// One change of the source.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// Its place in the list, from 1; 0 is the program as it is.
    pub number: usize,
    /// Index into [`MODULES`].
    pub module: usize,
    pub file: String,
    pub genre: Genre,
    pub replacement: String,
    pub start: Position,
    /// File and what is changed, without line and column, so that it is the same after edits elsewhere; the second of
    /// the same words in a file has ` #2` behind it.
    pub key: String,
    /// As cargo-mutants says it, with line and column.
    pub name: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub enum Genre {
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    StructField,
}

/// Lines and columns from 1; a column counts characters.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

#[derive(Deserialize)]
struct Listed {
    file: String,
    genre: Genre,
    name: String,
    replacement: String,
    span: Span,
}

#[derive(Deserialize)]
struct Span {
    start: Position,
}

/// The mutants of [`MODULES`].
pub fn read(path: &Path) -> Result<Vec<Mutant>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let listed: Vec<Listed> = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut mutants = Vec::new();
    for (number, mutant) in (1..).zip(listed) {
        let Some(module) = MODULES.iter().position(|(_, folder)| mutant.file.starts_with(folder)) else { continue };
        let words = mutant.name.splitn(4, ':').nth(3).unwrap_or(&mutant.name).trim();
        let mut key = format!("{}: {words}", mutant.file.trim_start_matches("core/src/"));
        let times = seen.entry(key.clone()).or_insert(0);
        *times += 1;
        if *times > 1 {
            key = format!("{key} #{times}");
        }
        mutants.push(Mutant {
            number,
            module,
            file: mutant.file,
            genre: mutant.genre,
            replacement: mutant.replacement,
            start: mutant.span.start,
            key,
            name: mutant.name,
        });
    }
    Ok(mutants)
}

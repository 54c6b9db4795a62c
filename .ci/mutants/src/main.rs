//! Which mutants of `core` the tests, the library of scenarios and a campaign notice. `docs/mutation.md` says what came out.
//!
//! A build for each of thousands of mutants takes days. Here all of them are in one build, each behind a switch
//! (mutant schemata), and a run of it picks one by `ACKPROOF_MUTANT`. The mutants are those that cargo-mutants lists.

mod list;
mod rewrite;
mod run;
mod scratch;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use scratch::{Scratch, said};

const USAGE: &str = "\
usage: mutants COMMAND [--scratch FOLDER] [--list FILE] [--limit SECONDS] [--tests]

  run     list, rewrite, build, note what reaches what, run each mutant; goes on where it was stopped
  again   as run, but mutants that survived are run again
  check   the switch is honest: with none on all passes, and mutants that are plainly fatal are killed
  table   write the tables of docs/mutation.md

  --tests  no campaign and no scenarios: quick, for whoever writes tests";

fn main() -> ExitCode {
    match mutants(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn mutants(arguments: Vec<String>) -> Result<(), String> {
    let option =
        |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect(".ci/mutants lies in it").to_owned();
    let folder = option("--scratch").map_or_else(|| std::env::temp_dir().join("ackproof-mutants"), PathBuf::from);
    std::fs::create_dir_all(&folder).map_err(said)?;
    let tests_only = arguments.iter().any(|argument| argument == "--tests");
    let scratch = Scratch { source, folder, tests_only };
    let listed = match option("--list") {
        Some(path) => PathBuf::from(path),
        None => list_mutants(&scratch)?,
    };
    let mutants = list::read(&listed)?;
    let limit = option("--limit").and_then(|seconds| seconds.parse().ok());
    match arguments.first().map(String::as_str) {
        Some("run") => run::run(&scratch, &mutants, false, limit),
        Some("again") => run::run(&scratch, &mutants, true, limit),
        Some("check") => run::check(&scratch, &mutants),
        Some("table") => table::write(&scratch, &mutants),
        _ => Err(USAGE.to_owned()),
    }
}

/// Asks cargo-mutants for its list.
fn list_mutants(scratch: &Scratch) -> Result<PathBuf, String> {
    let output = Command::new("cargo")
        .args(["mutants", "--list", "--json", "-p", "ackproof-core"])
        .current_dir(&scratch.source)
        .output()
        .map_err(said)?;
    if !output.status.success() {
        return Err(format!("cargo mutants --list: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let path = scratch.folder.join("list.json");
    std::fs::write(&path, output.stdout).map_err(said)?;
    Ok(path)
}

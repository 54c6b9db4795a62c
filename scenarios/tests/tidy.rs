//! Keeps the layers, and keeps files readable.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest file that still holds one idea.
const LINES_MAX: usize = 600;
/// One list, a sentence per fact: it is as long as what is modelled.
const LONG_LIST: &str = "core/src/fact/mod.rs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("it is listed").map(|entry| entry.expect("it can be read").path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
    found
}

/// Lines of the sources below `folders` that contain one of `words`.
fn offenders(folders: &[&str], words: &[&str], except: &str) -> Vec<String> {
    let mut found = Vec::new();
    for file in folders.iter().flat_map(|folder| sources(&root().join(folder))) {
        if !except.is_empty() && file.starts_with(root().join(except)) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("sources are text");
        for (number, line) in (1..).zip(text.lines()) {
            let is_comment = line.trim_start().starts_with("//");
            if !is_comment && words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    found
}

#[test]
fn layers_point_one_way() {
    assert_eq!(offenders(&["core/src"], &["ackproof_sim", "ackproof_reports", "madsim"], ""), [""; 0]);
    assert_eq!(offenders(&["reports/src"], &["ackproof_sim", "madsim"], ""), [""; 0]);
    assert_eq!(offenders(&["sim/src"], &["ackproof_reports"], ""), [""; 0]);
}

#[test]
fn machines_worlds_and_judges_know_no_operating_system() {
    let words = ["std::fs", "std::net", "std::thread", "std::env", "HashMap", "HashSet", "thread_rng"];
    assert_eq!(offenders(&["core/src", "reports/src", "sim/src"], &words, ""), [""; 0]);
}

#[test]
fn files_hold_one_idea() {
    let too_long: Vec<String> = ["core", "sim", "reports", "scenarios"]
        .iter()
        .flat_map(|folder| sources(&root().join(folder).join("src")))
        .filter_map(|file| {
            let lines = fs::read_to_string(&file).expect("sources are text").lines().count();
            (lines > LINES_MAX && !file.ends_with(LONG_LIST)).then(|| format!("{} has {lines} lines", file.display()))
        })
        .collect();
    assert_eq!(too_long, [""; 0]);
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> = ["core", "sim", "reports", "scenarios"]
        .iter()
        .flat_map(|folder| sources(&root().join(folder).join("src")))
        .filter(|file| !fs::read_to_string(file).expect("sources are text").starts_with("//!"))
        .map(|file| file.display().to_string())
        .collect();
    assert_eq!(silent, [""; 0]);
}

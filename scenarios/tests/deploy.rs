//! What documents, manifests and workflows tell people to type is what the command line takes.

use std::fs;
use std::path::{Path, PathBuf};

use ackproof::cli::accepts;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// The files below these places, with their text.
fn files(places: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = places.iter().map(|place| root().join(place)).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).expect("it is listed").map(|entry| entry.expect("it is there").path()));
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path.strip_prefix(root()).expect("it is below").display().to_string(), text));
        }
    }
    found.sort();
    found
}

/// The words of a line as a shell has them, each with whether it was quoted; what a variable holds is some number, each a larger one.
fn words(line: &str) -> Vec<(String, bool)> {
    let mut words: Vec<(String, bool)> = Vec::new();
    let (mut word, mut is_word, mut was_quoted, mut quote, mut number) = (String::new(), false, false, None, 1);
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match (c, quote) {
            ('\'' | '"', None) => (quote, is_word, was_quoted) = (Some(c), true, true),
            (c, Some(open)) if c == open => quote = None,
            ('$', None | Some('"')) => {
                let end = if rest.starts_with("{{") {
                    rest.find("}}").map(|end| end + 2)
                } else if rest.starts_with("((") {
                    rest.find("))").map(|end| end + 2)
                } else {
                    Some(rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len()))
                };
                // A dollar alone is a prompt.
                if let Some(end) = end.filter(|end| *end > 0) {
                    rest = &rest[end..];
                    word.push_str(&number.to_string());
                    (number, is_word) = (number + 1, true);
                }
            }
            (c, None) if c.is_whitespace() => {
                if std::mem::take(&mut is_word) {
                    words.push((std::mem::take(&mut word), std::mem::take(&mut was_quoted)));
                }
            }
            (c, _) => {
                word.push(c);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push((word, was_quoted));
    }
    words
}

/// What the calls of Ackproof in a line are given.
fn calls(line: &str) -> Vec<Vec<String>> {
    let words = words(line);
    let mut calls = Vec::new();
    let mut place = 0;
    // Lists, comments and prompts stand before a call.
    while words.get(place).is_some_and(|(word, _)| matches!(word.as_str(), "-" | "#" | "replay" | "small")) {
        place += 1;
    }
    let is = |place: usize, wanted: &str| words.get(place).is_some_and(|(word, _)| word == wanted);
    let begin = match words.get(place) {
        // In a Cargo.toml it is the name of a dependency.
        Some((word, false)) if word == "ackproof" && is(place + 1, "=") => None,
        Some((word, false)) if word == "ackproof" || word.ends_with("/ackproof") => Some(place + 1),
        // Another project's program, by its manifest, is not this one.
        Some((word, false))
            if word == "cargo" && is(place + 1, "run") && !words.iter().any(|it| it.0 == "--manifest-path") =>
        {
            words.iter().position(|(word, _)| word == "--").map(|end| end + 1)
        }
        _ => None,
    };
    if let Some(begin) = begin {
        let ends = |(word, quoted): &&(String, bool)| {
            !quoted && (word.starts_with(['>', '|', '&', ';', '#']) || word.starts_with("2>"))
        };
        let own: Vec<&(String, bool)> = words[begin..].iter().take_while(|word| !ends(word)).collect();
        calls.push(own.into_iter().map(|(word, _)| word.clone()).collect());
    }
    let quoted = words.iter().filter(|(word, quoted)| *quoted && word.starts_with("ackproof "));
    calls.extend(quoted.flat_map(|(word, _)| self::calls(word)));
    calls
}

/// What stands between backquotes in a document, outside of its examples.
fn spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("ackproof ")).collect()
}

#[track_caller]
fn check(name: &str, number: usize, call: &[String]) {
    if let Err(error) = accepts(call) {
        panic!("{name}:{number}: ackproof {}\n{error}", call.join(" "));
    }
}

#[test]
fn every_command_line_is_taken() {
    let mut checked = 0;
    for (name, text) in files(&["deploy", ".github", "docs", "README.md"]) {
        let is_document = name.ends_with(".md");
        let mut is_example = false;
        for (number, line) in (1..).zip(text.lines()) {
            if is_document && line.trim_start().starts_with("```") {
                is_example = !is_example;
                continue;
            }
            let found = match is_document && !is_example {
                true => spans(line).into_iter().flat_map(calls).collect(),
                false => calls(line),
            };
            for call in found {
                check(&name, number, &call);
                checked += 1;
            }
        }
    }
    assert!(checked > 40, "{checked} calls were found");
}

#[test]
fn a_call_is_found_in_its_line() {
    let check = |line: &str, expected: &[&[&str]]| assert_eq!(calls(line), expected, "{line}");
    check("  ackproof run a.toml --seed 7   # why", &[&["run", "a.toml", "--seed", "7"]]);
    check("$ cargo run --release -- run 'a b' | less", &[&["run", "a b"]]);
    check("cargo run --release --manifest-path .ci/mutants/Cargo.toml -- table", &[]);
    check("- ./ackproof chaos --seeds \"$A..${{ b }}\" > \"x\" || s=$?", &[&["chaos", "--seeds", "1..2"]]);
    check("#   sbatch --wrap 'ackproof merge x-*.ndjson'", &[&["merge", "x-*.ndjson"]]);
    check("path: target/release/ackproof", &[]);
    check("cargo build --package ackproof", &[]);
    check("ackproof = { path = \"..\" }", &[]);
    assert!(accepts(&["merge".into(), "--no-such".into()]).is_err());
}

/// The lines of a YAML file that are its own, each with its depth and its key: texts in blocks are left out.
fn yaml(name: &str, text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut block: Option<usize> = None;
    for (number, line) in (1..).zip(text.lines()) {
        assert!(!line.contains('\t') && line.trim_end() == line, "{name}:{number}: tabs or blanks at the end");
        let depth = line.len() - line.trim_start().len();
        let own = line.trim_start();
        if own.is_empty() || block.is_some_and(|outer| depth > outer) || own.starts_with('#') {
            continue;
        }
        block = None;
        assert!(depth % 2 == 0, "{name}:{number}: an odd indentation");
        // What stands behind a dash is two blanks further in.
        let (mut depth, mut own) = (depth, own);
        while let Some(inner) = own.strip_prefix("- ") {
            lines.push((depth, "-".to_owned()));
            (depth, own) = (depth + 2, inner);
        }
        if own.ends_with(": |") || own == "|" {
            block = Some(depth.saturating_sub(usize::from(own == "|")));
        }
        match own.split_once(": ").map(|(key, _)| key).or(own.strip_suffix(':')) {
            Some(key) if !key.contains([' ', '"', '{']) => lines.push((depth, key.to_owned())),
            _ => {
                assert!(lines.last().is_some_and(|(_, last)| last == "-"), "{name}:{number}: neither a key nor an item")
            }
        }
    }
    lines
}

#[test]
fn manifests_are_yaml_and_name_no_machine() {
    let all = files(&["deploy", ".github"]);
    assert!(all.len() >= 4, "{all:?}");
    for (name, text) in all {
        for word in ["/home/", "/work/", "/root/", "/usr/", "docker.io", "ghcr.io", "quay.io", "gcr.io"] {
            assert!(!text.contains(word), "{name} has {word}");
        }
        if !name.ends_with(".yml") && !name.ends_with(".yaml") {
            continue;
        }
        let lines = yaml(&name, &text);
        for (place, (depth, key)) in lines.iter().enumerate().filter(|(_, (_, key))| key != "-") {
            // Back to where this mapping began: no other key of it may be the same.
            let mapping = lines[..place].iter().rev().take_while(|(other, _)| other >= depth);
            let same = mapping.filter(|(other, known)| other == depth && known == key).count();
            assert_eq!(same, 0, "{name}: `{key}` stands twice in one mapping");
        }
    }
}

#[test]
fn the_parts_are_as_many_as_the_jobs() {
    let text = |name: &str| fs::read_to_string(root().join(name)).expect("it is there");
    let kubernetes = text("deploy/kubernetes.yaml");
    let number = |key: &str| {
        kubernetes
            .split(key)
            .nth(1)
            .expect(key)
            .trim_start_matches(['"', ' '])
            .chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    };
    assert_eq!(number("completions: "), number("value: "));
    let workflow = text(".github/workflows/chaos.yml");
    let matrix = workflow.split("shard: [").nth(1).and_then(|rest| rest.split(']').next()).expect("it has a matrix");
    let parts = matrix.split(',').map(str::trim).collect::<Vec<_>>();
    assert_eq!(parts, (0..parts.len()).map(|part| part.to_string()).collect::<Vec<_>>());
    assert!(workflow.contains(&format!("matrix.shard }}}}/{}\"", parts.len())));
}

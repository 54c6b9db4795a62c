//! `docs/consumer-claims.md` names scenarios: each of them is in the library, whose every file is run by `library.rs`.

use std::collections::BTreeSet;
use std::path::Path;

const CLAIMS: &str = "docs/consumer-claims.md";
/// The rows of the checklist: its chapters, and how many rows each has.
const CHAPTERS: &[(&str, usize)] = &[("A5", 5), ("A8", 8), ("A9", 4)];
/// Rows of other chapters.
const OTHERS: &[&str] = &["A3.14"];
/// What is no claim about what a cluster or a client does.
const NOT_TESTABLE: &[&str] = &["A8.6"];

#[test]
fn every_claim_names_scenarios_of_the_library() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let text = std::fs::read_to_string(root.join(CLAIMS)).expect("it is there");
    let mut rows = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| A")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [row, .., scenarios] = cells[..] else { panic!("{line}") };
        let names: Vec<&str> =
            scenarios.split(", ").filter_map(|name| name.strip_prefix('`')?.strip_suffix('`')).collect();
        assert_eq!(names.is_empty(), NOT_TESTABLE.contains(&row), "{row} names {names:?}");
        for name in names {
            let file = root.join("scenarios/library").join(format!("{name}.toml"));
            assert!(file.is_file(), "{row} names {name}, which the library does not have");
        }
        rows.insert(row.to_owned());
    }
    let expected = CHAPTERS.iter().flat_map(|(chapter, count)| (1..=*count).map(move |row| format!("{chapter}.{row}")));
    assert_eq!(rows, expected.chain(OTHERS.iter().map(|row| (*row).to_owned())).collect());
}

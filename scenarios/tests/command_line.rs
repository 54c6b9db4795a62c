//! The binary as its users meet it: what it prints and how it ends.

use std::process::{Command, Output, Stdio};

fn ackproof(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ackproof"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn check(arguments: &[&str], code: i32, says: &str) {
    let output = ackproof(arguments);
    let all = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?} said\n{all}");
    assert!(all.contains(says), "{arguments:?} does not say `{says}` but\n{all}");
    assert!(!all.contains('\u{1b}'), "{arguments:?} writes colours although NO_COLOR is set");
}

#[test]
fn without_a_command_it_says_what_it_can_do() {
    check(&[], 0, "ackproof run durability");
}

#[test]
fn a_wrong_call_ends_with_two() {
    check(&["report", "no-such.ndjson"], 2, "cannot be read");
    check(&["report", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], 2, "error");
    check(&["validate", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], 2, "unknown key");
}

#[test]
fn the_library_is_valid_and_listed() {
    check(&["validate"], 0, "valid");
    check(&["list"], 0, "durability/tutorial/orders");
    check(&["list", "--format", "json"], 0, r#""scenario":"durability/tutorial/orders""#);
    check(&["schema", "--facts"], 0, "high-watermark-advanced");
    check(&["schema"], 0, "$defs");
}

#[test]
fn help_has_examples() {
    for command in ["list", "validate", "schema", "report"] {
        check(&[command, "--help"], 0, "Examples");
    }
}

#[test]
fn a_reader_who_leaves_early_causes_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ackproof"))
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success(), "{:?}", output.status);
}

//! Ctrl-C and SIGTERM: what was found is kept and told, and the exit code is that of the signal.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A folder or a file of this name that is not there yet.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&path));
    drop(std::fs::remove_file(&path));
    path
}

fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ackproof"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started")
}

/// Waits until a file is there, sends the signal, and waits for the end.
fn interrupted(child: Child, file: &Path, signal: &str) -> Output {
    while !file.exists() {
        std::thread::yield_now();
    }
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill is there");
    assert!(sent.success());
    child.wait_with_output().expect("it ends")
}

const SLUG: &str = "forbidden-duplicate-duplicate-not-recognised";
const FINDS: [&str; 6] = ["chaos", "--seeds", "27..10000000", "--toggle", "idempotence=false", "--unguided"];

#[track_caller]
fn check(name: &str, more: &[&str], (signal, code): (&str, i32), says: &[&str]) {
    let keep = folder(name);
    let shown = keep.display().to_string();
    let child = start(&[&FINDS[..], &["--keep", &shown], more].concat());
    let output = interrupted(child, &keep.join(format!("{SLUG}.toml")), signal);
    let all = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{all}");
    for says in says {
        assert!(all.contains(says), "it does not say `{says}` but\n{all}");
    }
}

#[test]
fn a_campaign_tells_what_it_found() {
    let told = [" of 9999973 worlds", "interrupted after ", "--signature forbidden-duplicate-duplicate-not-recognised"];
    check("stopped-human", &[], ("-INT", 130), &told);
    check("stopped-github", &["--format", "github"], ("-TERM", 143), &["::warning title=interrupted::", "::error "]);
    check("stopped-junit", &["--format", "junit"], ("-TERM", 143), &["<error type=\"interrupted\"", "</testsuite>"]);
    let json = ["{\"total\":{", "interrupted after ", "{\"failure\":{", "\"missing\":[\"seeds "];
    check("stopped-json", &["--format", "json", "--jobs", "2"], ("-INT", 130), &json);
}

#[test]
fn shrinking_tells_the_smallest_so_far() {
    let (keep, small) = (folder("stopped-shrinking"), folder("stopped-small.toml"));
    let shown = keep.display().to_string();
    let found = [&FINDS[..], &["--keep", &shown, "--shrink", "0", "--fail-fast"]].concat();
    assert_eq!(start(&found).wait_with_output().expect("it ends").status.code(), Some(1));
    let (file, small_shown) = (format!("{shown}/{SLUG}.toml"), small.display().to_string());
    let child = start(&["shrink", &file, "--signature", SLUG, "-o", &small_shown]);
    let output = interrupted(child, &small, "-INT");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted, this is the smallest so far"), "{said}");
    let run = start(&["run", &small_shown]).wait_with_output().expect("it ends");
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stdout));
}

#[test]
fn a_sweep_tells_how_far_it_came() {
    let shown = folder("stopped-sweep").display().to_string();
    let sweep =
        ["chaos", "acks-1-leader-crash", "--exhaustive", "--survive", "1 process crash", "--seeds", "0..100000"];
    let mut child = start(&[&sweep[..], &["--shrink", "0", "--keep", &shown, "--format", "json"]].concat());
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut said = String::new();
    // The campaign, and a world of it.
    for _ in 0..2 {
        output.read_line(&mut said).expect("it is text");
    }
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill is there");
    assert!(sent.success());
    output.read_to_string(&mut said).expect("it is text");
    let end = child.wait_with_output().expect("it ends");
    assert_eq!(end.status.code(), Some(143));
    assert!(String::from_utf8_lossy(&end.stderr).contains("interrupted after "));
    assert!(said.contains("{\"total\":{") && said.contains("\"missing\":["), "the sum is told");
}

//! Shards of a campaign put together: it makes no difference who ran which world, or how often, or in which order it is told.

use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::sync::OnceLock;

use ackproof::chaos::campaign::{Campaign, Wanted};
use ackproof::chaos::draw::Basis;
use ackproof::chaos::keep;
use ackproof::chaos::results::{Asked, Kept, Merger};
use ackproof::chaos::seeds::Seeds;
use proptest::prelude::*;

use crate::common::{ackproof, folder};

mod common;

/// All worlds, and shards of them, some of which overlap.
const ALL: Range<u64> = 0..48;
const SHARDS: [Range<u64>; 6] = [0..16, 16..32, 32..48, 0..1, 10..40, 24..48];

fn campaign(guided: bool) -> Campaign {
    Campaign {
        basis: Basis::Nothing,
        budget: None,
        toggles: Vec::new(),
        wanted: Wanted::Any,
        guided,
        quiet_after: None,
    }
}

/// What `ackproof chaos --format json` writes of some worlds.
fn file(campaign: &Campaign, range: Range<u64>) -> String {
    let (asked, seeds) = (Asked::of(campaign, 0), Seeds::of(ALL));
    let mut lines = vec![asked.line(&seeds)];
    let report = campaign.run(range, NonZeroUsize::MIN, None, &mut |_, world| {
        lines.push(world.line());
        ControlFlow::Continue(())
    });
    let report = report.expect("nothing is written");
    for (signature, failure) in &report.failures {
        let (world, form) = (failure.first(), keep::form(campaign, *signature, failure));
        lines.push(Kept { world, is_small: false, form, seed: world.seed }.line(*signature));
    }
    lines.push(report.line(&seeds, &asked));
    lines.join("\n") + "\n"
}

/// The whole, and its shards.
fn files(guided: bool) -> &'static (String, Vec<String>) {
    static FILES: [OnceLock<(String, Vec<String>)>; 2] = [OnceLock::new(), OnceLock::new()];
    FILES[usize::from(guided)].get_or_init(|| {
        let campaign = campaign(guided);
        (file(&campaign, ALL), SHARDS.into_iter().map(|shard| file(&campaign, shard)).collect())
    })
}

fn merged<'a>(files: impl IntoIterator<Item = &'a str>) -> String {
    let mut merger = Merger::default();
    files.into_iter().for_each(|file| merger.take(file.as_bytes()).expect("it is a result"));
    merger.finish().expect("there are files").text()
}

#[test]
fn one_file_is_merged_into_itself() {
    let (whole, shards) = files(false);
    assert_eq!(merged([whole.as_str()]), *whole);
    assert!(whole.matches("\"failure\":").count() > 3, "something goes wrong in these worlds\n{whole}");
    shards.iter().for_each(|shard| assert_eq!(merged([shard.as_str()]), *shard));
    // Files behind one another are files too: the logs of all pods of a job, for one.
    assert_eq!(merged([shards.concat().as_str()]), *whole);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// In any order, any grouping, any of them any number of times.
    #[test]
    fn shards_are_merged_into_what_one_run_says(
        more in prop::collection::vec(0usize..SHARDS.len(), 0..6),
        order in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (whole, shards) = files(false);
        let mut chosen: Vec<&str> = [0, 1, 2].into_iter().chain(more).map(|shard| shards[shard].as_str()).collect();
        let turn = order.index(chosen.len());
        chosen.rotate_left(turn);
        prop_assert_eq!(&merged(chosen.iter().copied()), whole);
        let (left, right) = chosen.split_at(cut.index(chosen.len() - 1) + 1);
        let (left, right) = (merged(left.iter().copied()), merged(right.iter().copied()));
        prop_assert_eq!(&merged([left.as_str(), right.as_str()]), whole);
        prop_assert_eq!(&merged([right.as_str(), left.as_str(), right.as_str()]), whole);
    }

    /// What is bred depends on what a shard has seen, so the whole is another; but merging is merging.
    #[test]
    fn shards_of_bred_worlds_are_merged_in_any_way(
        chosen in prop::collection::vec(0usize..SHARDS.len(), 2..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let shards: Vec<&str> = chosen.iter().map(|shard| files(true).1[*shard].as_str()).collect();
        let all = merged(shards.iter().copied());
        prop_assert_eq!(&merged(shards.iter().rev().copied()), &all);
        let (left, right) = shards.split_at(cut.index(shards.len() - 1) + 1);
        let (left, right) = (merged(left.iter().copied()), merged(right.iter().copied()));
        prop_assert_eq!(&merged([left.as_str(), right.as_str()]), &all);
        prop_assert_eq!(&merged([all.as_str(), left.as_str()]), &all);
    }

    /// Pieces missing, bytes changed: it is merged, or said to be wrong.
    #[test]
    fn a_broken_file_does_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = files(false).1[0].clone().into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let mut merger = Merger::default();
        if merger.take(bytes.as_slice()).is_ok() {
            merger.finish().expect("it was a result").text();
        }
    }
}

#[track_caller]
fn refused(text: &str, line: Option<u64>, says: &str) {
    let mut merger = Merger::default();
    let wrong = merger.take(text.as_bytes()).expect_err("it is wrong");
    assert!(wrong.line == line && wrong.message.contains(says), "{wrong:?}");
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let (_, shards) = files(false);
    let (head, rest) = shards[0].split_once('\n').expect("it has lines");
    let first = rest.lines().next().expect("it has worlds");
    refused("", None, "nothing in it");
    refused("\n  \n", None, "nothing in it");
    refused(rest, Some(1), "does not begin with a campaign");
    refused("hello\n", Some(1), "no result of `ackproof chaos");
    refused("[1]\n", Some(1), "does not begin with a campaign");
    refused(&format!("{head}\n{}", &first[..first.len() / 2]), Some(2), "cut off");
    refused(&format!("{head}\n\n{{\"x\":1}}\n"), Some(3), "neither a campaign nor a world");
    refused(&head.replace("\"format\":1", "\"format\":2"), Some(1), "format is 2");
    refused(&head.replace(env!("CARGO_PKG_VERSION"), "0.0.1"), Some(1), "written by ackproof 0.0.1");
    refused(&head.replace("\"guided\"", "\"gilded\""), Some(1), "gilded");
    refused(&head.replace("0..48", "48..0"), Some(1), "end is not included");
    refused(&format!("{head}\n{}", head.replace("\"any\"", "\"forbidden\"")), Some(2), "looks for");
    refused(&format!("{head}\n{}", first.replace("\"world\":\"0\"", "\"world\":\"99\"")), Some(2), "world 99 is none");
    refused(
        &format!("{head}\n{}", first.replace("\"world\":\"0\"", "\"world\":\"-1\"")),
        Some(2),
        "`-1` is not a seed",
    );
    refused(&format!("{head}\n{}", first.replace("0/0/0", "0/0")), Some(2), "three seeds");
    refused(&format!("{head}\n{}", first.replace("\"new\":[", "\"new\":[65536,")), Some(2), "65536");
    let other = first.replace("\"events\":", "\"events\":1");
    refused(&format!("{head}\n{first}\n{other}"), Some(3), "world 0 came out otherwise before");
    let kept = rest.lines().find(|line| line.contains("\"failure\":")).expect("something went wrong");
    refused(&format!("{head}\n{}", kept.replace("\"scenario\":\"", "\"scenario\":\"x")), Some(2), "`scenario`");
    refused(&format!("{head}\n{}", kept.replace("\"permitted\"", "\"permits\"")), Some(2), "permits");
}

#[test]
fn a_cluster_comes_to_what_one_process_comes_to() {
    let folder = folder("merge");
    let keep = folder.join("failures").display().to_string();
    let asked = ["chaos", "--seeds", "0..24", "--unguided", "--looking-for", "any", "--shrink", "0", "--keep", &keep];
    let (whole, _) = ackproof(&[&asked[..], &["--format", "json"]].concat(), &[]);
    assert_eq!(whole.status.code(), Some(1));
    let mut names = Vec::new();
    // In another folder: where a shard shows the same in another world, its file stands beside that of the whole.
    let apart = folder.join("of-shards").display().to_string();
    let mut shard = asked;
    shard[9] = &apart;
    for index in ["0", "1", "2"] {
        let variables = [("JOB_COMPLETION_INDEX", index), ("ACKPROOF_SHARDS", "3")];
        let (output, told) = ackproof(&[&shard[..], &["--format", "json"]].concat(), &variables);
        assert!(told.contains(&format!("part {index} of 3, counted from 0 (JOB_COMPLETION_INDEX={index}")), "{told}");
        let path = folder.join(format!("shard-{index}.ndjson"));
        std::fs::write(&path, &output.stdout).expect("there is room");
        names.push(path.display().to_string());
    }
    let merge = |files: &[&str], format: &str, variables: &[(&str, &str)]| {
        ackproof(&[&["merge", "--keep", &keep, "--format", format], files].concat(), variables)
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (output, told) = merge(&names, "json", &[]);
    assert_eq!((output.stdout, output.status.code()), (whole.stdout, Some(1)), "{told}");
    // For people it is the same but for the speed.
    let (_, once) = ackproof(&asked, &[]);
    let (_, told) = merge(&[names[2], names[0], names[1], names[0]], "human", &[]);
    let speedless =
        |told: &str| told.lines().filter(|line| !line.contains(" simulated s, ")).collect::<Vec<_>>().join("\n");
    assert_eq!(speedless(&told), speedless(&once));
    assert!(told.contains("replay  ackproof run "), "{told}");
    // For machines there is a case, an annotation and a row for each.
    let ways = std::fs::read_dir(&keep).expect("it is there").count();
    let (_, xml) = merge(&names, "junit", &[]);
    assert_eq!((xml.matches("<failure ").count(), xml.matches("<testcase ").count()), (ways, ways + 1), "{xml}");
    let summary = folder.join("summary.md");
    let (_, told) = merge(&names, "github", &[("GITHUB_STEP_SUMMARY", &summary.display().to_string())]);
    assert_eq!((told.matches("::error file=").count(), told.lines().count()), (ways, ways + 1), "{told}");
    let summary = std::fs::read_to_string(summary).expect("it was written");
    assert_eq!(summary.matches("ackproof run ").count(), ways, "{summary}");
    // A world whose program broke is told like any other failure.
    let broken = std::fs::read_to_string(names[0]).expect("it is there").replacen(
        "\"sim_ns\"",
        "\"panic\":\"no <way>\",\"sim_ns\"",
        1,
    );
    let path = folder.join("broken.ndjson").display().to_string();
    std::fs::write(&path, broken).expect("there is room");
    let (_, told) = merge(&[&path, names[1], names[2]], "human", &[]);
    assert!(told.contains("panic: no <way>\n  in 1 of 24 worlds; seed 0\n"), "{told}");
    assert!(told.contains("  replay  ackproof chaos --looking-for any --seed 0 --parts 0/0/0\n"), "{told}");
    assert!(merge(&[&path, names[1]], "junit", &[]).1.contains("<error type=\"panic\" message=\"no &lt;way&gt;\">"));
    let (output, told) = merge(&[names[0], &path], "human", &[]);
    assert!(
        output.status.code() == Some(2) && told.contains("broken.ndjson:2: world 0 came out otherwise before"),
        "{told}"
    );
    // What is missing is said.
    let (output, told) = merge(&names[..2], "human", &[]);
    assert!(told.contains("not run: seeds 16..24") && output.status.code() == Some(1), "{told}");
}

#[test]
fn what_cannot_be_merged_is_said_kindly() {
    let path = folder("merge-wrong").join("wrong.ndjson");
    let name = path.display().to_string();
    std::fs::write(&path, "\n{\"campaign\":").expect("there is room");
    let (output, told) = ackproof(&["merge", &name], &[]);
    assert!(output.status.code() == Some(2) && told.contains(&format!("{name}:2: the line is cut off")), "{told}");
    let (output, told) = ackproof(&["merge", "no-such.ndjson"], &[]);
    assert!(output.status.code() == Some(2) && told.contains("no-such.ndjson: cannot be read"), "{told}");
    let (output, told) = ackproof(&["chaos"], &[("JOB_COMPLETION_INDEX", "1")]);
    assert!(output.status.code() == Some(2) && told.contains("ACKPROOF_SHARDS"), "{told}");
}

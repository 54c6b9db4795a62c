//! The document `docs/testing-your-service.md` says what this crate is and prints, word by word.

#[path = "shop.rs"]
mod shop_tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ackproof::app::{Failure, Kind, Promise, Properties, Regressions};
use shop::Inbox;
use shop_tests::{Billing, billing_crashes, cluster, open_the_shop};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn file(name: &str) -> String {
    fs::read_to_string(path(name)).expect(name)
}

/// The document with `text` in the code block behind the mark.
fn with_block(document: &str, mark: &str, text: &str) -> String {
    let mark = format!("<!-- {mark} -->\n```");
    let (before, behind) = document.split_once(&mark).unwrap_or_else(|| panic!("the document has no {mark}"));
    let (language, block) = behind.split_once('\n').expect("a block has lines");
    let end = block.find("```").expect("a block ends");
    format!("{before}{mark}{language}\n{}\n{}", text.trim_end(), &block[end..])
}

#[test]
fn the_document_says_what_this_crate_is_and_prints() {
    let tests = file("tests/shop.rs");
    let (first, second) = tests.split_once("/// Billing starts").expect("there are two");
    let (_, early) = include_str!("document.rs").split_once("// Committed too early.\n").expect("it is below");
    let (early, _) = early.split_once("\n}\n").expect("it ends");
    let blocks = [
        ("file Cargo.toml", file("Cargo.toml")),
        ("file .cargo/config.toml", file(".cargo/config.toml")),
        ("file src/lib.rs", file("src/lib.rs")),
        ("file config/consumer.properties", file("config/consumer.properties")),
        ("file config/producer.properties at first", file("config/producer.properties").replace("acks=all", "acks=1")),
        ("file config/producer.properties", file("config/producer.properties")),
        ("file tests/shop.rs", first.to_owned()),
        ("file tests/shop.rs, continued", format!("/// Billing starts{second}")),
        ("file src/lib.rs, wrong", format!("{early}\n}}")),
        ("output of the first run", a_lost_order()),
        ("output with the wrong loop", an_order_that_is_never_billed()),
    ];
    let document = path("../../../docs/testing-your-service.md");
    let now = fs::read_to_string(&document).expect("it is there");
    let should_be = blocks.iter().fold(now.clone(), |text, (mark, block)| with_block(&text, mark, block));
    if std::env::var_os("ACKPROOF_UPDATE_DOCS").is_some() {
        fs::write(&document, &should_be).expect("the document can be written");
    } else {
        let differs = now.lines().zip(should_be.lines()).find(|(now, should_be)| now != should_be);
        assert!(
            now == should_be,
            "docs/testing-your-service.md is out of date: {differs:?}; run\n  ACKPROOF_UPDATE_DOCS=1 cargo test --test document"
        );
    }
}

/// What a test of `tests/shop.rs` prints: its first story, and the end.
fn printed(failure: Failure, test: &str) -> String {
    let Failure::Seed(mut bad) = failure else { panic!("a seed should have run: {failure}") };
    let here = std::mem::replace(&mut bad.test, test.to_owned());
    bad.kept = Some(format!("in ackproof-regressions/shop/{test}.txt: it runs first from now on; commit that file"));
    let text = bad.to_string().replace(&here, test);
    let replay = format!("replay    {}\n", bad.replay.replace(&here, test));
    let (first, rest) = text.split_once(&replay).expect("a story ends with its replay");
    let (_, end) = rest.split_once("NOT AS EXPECTED").expect("it is not");
    format!("{first}{replay}\n...\n\nNOT AS EXPECTED{end}")
}

fn a_lost_order() -> String {
    let careless = Properties::from("config/producer.properties").with("acks", 1);
    let failure = ackproof::simulate(cluster())
        .producer("shop", careless)
        .step("name = \"the leader dies\"\nat = \"500ms..1500ms\"\nkill = \"leader of orders-0\"\nfor = \"20s\"")
        .promising(&[Promise::NothingLost])
        .regressions(Regressions::Off)
        .seeds(0..50)
        .try_run(open_the_shop);
    printed(failure.expect_err("one copy is none"), "an_order_that_was_taken_is_never_lost")
}

fn an_order_that_is_never_billed() -> String {
    let failure = ackproof::simulate(cluster())
        .producer("shop", "config/producer.properties")
        .consumer("billing", "config/consumer.properties")
        .allowing(Kind::DuplicateDelivery)
        .regressions(Regressions::Off)
        .seeds(0..20)
        .try_run(|cluster| billing_crashes(cluster, |billing: Billing| bill_all(billing, drop)));
    printed(failure.expect_err("what is committed is not read again"), "every_order_is_billed_although_billing_crashes")
}

// Committed too early.
pub async fn bill_all<I: Inbox>(inbox: I, bill: impl Fn(String)) {
    loop {
        let orders = inbox.poll().await;
        inbox.commit().await;
        for order in orders {
            tokio::time::sleep(Duration::from_millis(20)).await;
            bill(I::text(&order));
            inbox.billed(&order);
        }
    }
}

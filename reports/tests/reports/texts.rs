//! What a reader sees.

use ackproof_core::fact::{Fact, RetryReason, TruncationReason};
use ackproof_core::types::{Duration, NodeId};
use ackproof_reports::contract::LegacyKind;
use ackproof_reports::explain::KeepsIt;
use ackproof_reports::render::text::{self, PlainText, Style, Tone};
use ackproof_reports::render::topics::topics;
use ackproof_reports::{Contract, Digest, RunOutcome, RunReport};
use ackproof_reports::{Cost, Service};

use crate::run::{P1, Run, acks, names, with_producer};

/// The run of the example in the design: acks=1, the leader is killed four milliseconds after the append.
fn leader_crash() -> Run {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 17);
    run.at(2_110).sent_with_key(42, "k3", "order 42");
    run.batched(42, 9);
    let sent = run.transmits(9, 1, 1);
    run.at(2_116).appends(sent, 1, 4, 17);
    run.at(2_118).acked(42, 17, 1);
    run.at(2_120);
    let fault = run.say(P1, Fact::FaultInjected { fault: 1, what: "kill the leader of orders-0".into() });
    run.say(P1, Fact::FaultBit { fault: 1, what: "killed broker 1".into() });
    run.at(2_120).because(fault, NodeId::Broker(1), Fact::NodeKilled);
    run.at(4_310).elected(2, 5, &[2, 3], true, 17);
    run.at(7_655).truncated(1, 18, 17, TruncationReason::Diverged);
    run.at(9_000).ends_with(2, &[]);
    run
}

#[test]
fn the_example_of_the_design() {
    let (_, mut explanation) = leader_crash().explain(&acks(1));
    let story = &mut explanation.stories[0];
    let (change, how) = ("acks=all with min.insync.replicas=2".into(), "same seed, re-run".into());
    let service = |acknowledged, p50_us| Service { records: 100, acknowledged, p50_us, p99_us: 5 * p50_us };
    let cost = Some(Cost { before: service(100, 1_020), after: service(97, 2_130) });
    story.keeps_it = Some(KeepsIt { change, how, cost });
    story.replay = Some("ackproof run scenarios/library/durability/acks-1-leader-crash.toml --seed 7".into());
    let expected = "\
LOST  orders-0 @ 17   key=k3 \"order 42\"   acknowledged to p1 at 2.118s                     lost-write

  2.116s  broker 1  leader, epoch 4     appended at offset 17        ISR {1,2,3}  acks=1
  2.118s  broker 1 → p1                 acknowledged                 ← the promise
  2.120s  broker 1                      killed                       fault 1: leader of orders-0
  4.310s  controller                    elected broker 2, epoch 5    clean: in ISR; log end offset 17
  7.655s  broker 1                      truncated 18 → 17            ← the loss

because   acknowledged-before-replicated
permitted yes: acks=1 promises only the leader's copy
keeps it  acks=all with min.insync.replicas=2     (same seed, re-run)
costs     acknowledged after 2.130 ms (p99 10.650 ms), before 1.020 ms (p99 5.100 ms); 97.0% of records acknowledged, before 100.0%
replay    ackproof run scenarios/library/durability/acks-1-leader-crash.toml --seed 7
";
    assert_eq!(text::story(story, &names(), &PlainText), expected);
}

#[test]
fn colour_takes_no_room() {
    struct Angles;
    impl Style for Angles {
        fn paint(&self, tone: Tone, text: &str, out: &mut String) {
            if tone == Tone::Plain {
                out.push_str(text);
            } else {
                out.push_str(&format!("<{text}>"));
            }
        }
    }
    let (_, explanation) = leader_crash().explain(&acks(1));
    let painted = text::explanation(&explanation, &names(), &Angles);
    assert!(painted.starts_with("<LOST>  orders-0 @ 17"), "{painted}");
    let plain = text::explanation(&explanation, &names(), &PlainText);
    assert_eq!(painted.replace(['<', '>'], ""), plain);
}

#[test]
fn the_other_stories() {
    let mut told = Vec::new();
    // A duplicate, a drop, a partition without a leader, a reorder.
    let mut twice = Run::default();
    twice.elected(1, 4, &[1, 2, 3], true, 0);
    twice.sent_with_key(0, "订单", "订单信息！1");
    twice.batched(0, 1);
    let first = twice.transmits(1, 1, 1);
    let append = twice.appends(first, 1, 4, 0);
    twice.lost_message(append, P1, "Produce response");
    twice.retries(1, RetryReason::Disconnected);
    let second = twice.transmits(1, 2, 1);
    twice.appends(second, 1, 4, 1);
    twice.acked(0, 1, -1);
    twice.ends_with(1, &["订单信息！1", "订单信息！1"]);
    told.push(twice);

    let mut dropped = Run::default();
    dropped.sent(0, "a \"quoted\"\nvalue");
    dropped.abandoned(0, true);
    dropped.killed(P1);
    dropped.ends_with(1, &[]);
    told.push(dropped);

    let mut waiting = Run::default();
    waiting.elected(1, 4, &[1, 2, 3], true, 0);
    waiting.isr(&[1, 2, 3], &[1]);
    waiting.sent(0, "a");
    waiting.acked(0, 0, -1);
    waiting.killed(NodeId::Broker(1));
    waiting.offline(&[1]);
    waiting.ends_without_leader(&["a"]);
    told.push(waiting);

    let mut late = Run::default();
    for (number, value) in [(0, "a"), (1, "b")] {
        late.sent_with_key(number, "k", value);
        late.batched(number, number + 1);
    }
    late.transmits(1, 1, 1);
    let ahead = late.transmits(2, 1, 1);
    late.retries(1, RetryReason::RequestTimeout);
    late.appends(ahead, 1, 4, 0);
    let again = late.transmits(1, 2, 1);
    late.appends(again, 1, 4, 1);
    late.acked(1, 0, -1);
    late.acked(0, 1, -1);
    late.ends_with(1, &["b", "a"]);
    told.push(late);

    let texts: Vec<String> =
        told.iter().map(|run| text::explanation(&run.explain(&acks(-1)).1, &names(), &PlainText)).collect();
    insta::assert_snapshot!("stories", texts.join("\n\n"));
}

#[test]
fn verdict_line_witnesses_and_topics() {
    let run = leader_crash();
    let judgement = run.judge(&acks(1));
    let mut waiting = Run::default();
    waiting.say(P1, Fact::FaultInjected { fault: 2, what: "drop a Fetch response".into() });
    waiting.ends_without_leader(&["a"]);
    let nothing = {
        let mut run = Run::default();
        run.say(P1, Fact::FaultInjected { fault: 2, what: "drop a Fetch response".into() });
        run.ends_with(1, &[]);
        run.judge(&acks(1))
    };
    let text = [
        text::verdict_line("acks-1-leader-crash", 7, &judgement, &PlainText),
        text::witnesses(&judgement, &PlainText),
        topics(&judgement),
        topics(&waiting.judge(&acks(1))),
        text::verdict_line("quiet", 8, &nothing, &PlainText),
        text::witnesses(&nothing, &PlainText),
    ]
    .join("\n");
    insta::assert_snapshot!("verdict", text);
}

#[test]
fn numbers_are_words_and_a_producer_without_callbacks_is_explained() {
    let mut run = Run::default();
    for number in 0..3 {
        run.sent(number, &format!("order {number}"));
    }
    run.acked(0, 0, -1);
    run.ends_with(1, &["order 0", "order 1"]);
    let line = |contract: &Contract| {
        let judgement = run.judge(contract);
        text::verdict_line("numbers", 7, &judgement, &PlainText) + &text::remarks(contract, &judgement, &PlainText)
    };
    assert_eq!(
        line(&acks(-1)),
        "invalid  numbers  seed 7   sent 3  acknowledged 1  never answered 2 (1 of them in the log)\n"
    );
    let legacy = with_producer(acks(1), |producer| producer.legacy = Some(LegacyKind::Async));
    assert_eq!(
        line(&legacy).lines().last(),
        Some("note      p1: producer.type=async has no callback and never answers the program")
    );
}

#[test]
fn one_run_is_one_line_of_json() {
    let (judgement, _) = leader_crash().explain(&acks(1));
    let as_expected = (RunOutcome::AsExpected, Vec::new());
    let report = RunReport::new(
        "acks-1-leader-crash",
        u64::MAX,
        &judgement,
        Digest::new(),
        as_expected,
        Duration::from_micros(1_500),
    );
    let line = report.to_line().expect("it is JSON");
    assert!(!line.contains('\n'));
    assert_eq!(serde_json::from_str::<RunReport>(&line).expect("it is a report"), report);
    let pretty = serde_json::to_string_pretty(&report).expect("it is JSON");
    insta::assert_snapshot!("report", pretty);
}

//! What a run shows in which nothing went wrong: its steps, their witnesses, and what the logs came back with.

use ackproof_core::fact::{Fact, Observer, TruncationReason};
use ackproof_core::types::NodeId;
use ackproof_reports::chronicle::Chronicle;
use ackproof_reports::render::text::{self, PlainText};

use crate::run::{CONTROLLER, Run, names};

const BROKER_1: NodeId = NodeId::Broker(1);

#[track_caller]
fn check(run: &Run, expected: &str) {
    let mut chronicle = Chronicle::new();
    run.events.iter().for_each(|event| chronicle.observe(event));
    let text = text::chronicle(&chronicle.steps(), &names(), &PlainText);
    assert_eq!(text, expected, "\n{text}");
}

/// Broker 1 has two records, and the cluster is ready.
fn started() -> Run {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2, 3], true, 0);
    run.loaded(1, 0);
    run.say(CONTROLLER, Fact::ClusterReady);
    for offset in [0, 1] {
        run.appends(0, 1, 0, offset);
    }
    run
}

fn step(run: &mut Run, fault: u32, what: &str, did: &str) -> u64 {
    let injected = run.say(CONTROLLER, Fact::FaultInjected { fault, what: what.into() });
    run.because(injected, BROKER_1, Fact::FaultBit { fault, what: did.into() });
    injected
}

#[test]
fn a_kill_keeps_the_log_and_the_loss_of_power_does_not() {
    let mut run = started();
    let fault = step(&mut run, 1, "the leader dies", "killed broker 1");
    run.because(fault, BROKER_1, Fact::NodeKilled);
    run.at(50).say(CONTROLLER, Fact::FaultHealed { fault: 1 });
    run.loaded(1, 2);
    let fault = step(&mut run, 2, "its machine dies", "cut the power of broker 1");
    run.because(fault, BROKER_1, Fact::PowerLost { unsynced_bytes: 900, lost_bytes: 300 });
    run.at(90).loaded(1, 1);
    run.elected(2, 1, &[2, 3], true, 2);
    run.isr(&[2, 3], &[2, 3, 1]);
    run.truncated(3, 3, 2, TruncationReason::Diverged);
    run.truncated(3, 2, 2, TruncationReason::CorruptTail);
    let expected = [
        "  0.006s  fault 1        the leader dies                    killed broker 1; over at 0.050s",
        "  0.051s  broker 1       came back with log end offset 2    after an unclean stop; nothing is missing",
        "  0.052s  fault 2        its machine dies                   cut the power of broker 1",
        "  0.054s  broker 1       lost power                         300 of 900 unsynced bytes gone",
        "  0.090s  broker 1       came back with log end offset 1    after an unclean stop; 1 record is missing",
        "  0.091s  controller     elected broker 2, epoch 1          clean: in ISR; log end offset 2",
        "  0.093s  controller     ISR {2,3} → {2,3,1}",
        "  0.094s  broker 3       truncated 3 → 2",
        "  0.095s  broker 3       cut off what stood beyond 2        torn or corrupt batch",
        "",
    ];
    check(&run, &expected.join("\n"));
}

#[test]
fn what_happens_before_the_cluster_is_ready_is_not_told() {
    check(&started(), "");
}

#[test]
fn a_step_that_did_nothing_says_so() {
    let mut run = started();
    run.say(CONTROLLER, Fact::FaultInjected { fault: 1, what: "a fetch is dropped".into() });
    check(&run, "  0.006s  fault 1     a fetch is dropped    did nothing\n");
}

#[test]
fn of_many_lines_the_first_are_shown_and_the_rest_counted() {
    let mut run = started();
    for epoch in 1..=30 {
        run.elected(1, epoch, &[1, 2, 3], true, 2);
    }
    let mut chronicle = Chronicle::new();
    run.events.iter().for_each(|event| chronicle.observe(event));
    let (steps, more) = chronicle.steps();
    assert_eq!((steps.len(), more), (24, 6));
}

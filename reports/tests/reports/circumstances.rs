//! What stories tell besides the mechanism: who ended it, what made it wait, what the client had said.

use ackproof_core::fact::{Fact, RetryReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{NodeId, Offset, ProducerEpoch, Sequence};
use ackproof_reports::contract::{LegacyKind, OnError};
use ackproof_reports::render::text::{self, PlainText};
use ackproof_reports::{Cause, Contract};

use crate::run::{P1, Run, acks, names, orders, with_producer};

const BROKER_1: NodeId = NodeId::Broker(1);

#[track_caller]
fn check(run: &Run, contract: &Contract, expected: &str) {
    let (_, explanation) = run.explain(contract);
    let text = text::explanation(&explanation, &names(), &PlainText);
    assert_eq!(text.trim_end(), expected.trim_end(), "\n{text}");
}

fn legacy_async() -> Contract {
    with_producer(acks(1), |producer| producer.legacy = Some(LegacyKind::Async))
}

fn injected(run: &mut Run, fault: u32, what: &str, did: &str) -> u64 {
    let injected = run.say(NodeId::Controller(100), Fact::FaultInjected { fault, what: what.into() });
    run.because(injected, BROKER_1, Fact::FaultBit { fault, what: did.into() });
    injected
}

#[test]
fn a_program_that_ends_twice_abandons_at_the_nearer_end() {
    let mut run = Run::default();
    run.sent(0, "a");
    let fault = injected(&mut run, 1, "the program dies", "killed p1");
    run.abandoned(0, true);
    run.because(fault, P1, Fact::NodeKilled);
    run.at(20).say(P1, Fact::NodeStarted);
    run.at(50).say(P1, Fact::NodeStopped);
    run.ends_with(1, &[]);
    check(
        &run,
        &legacy_async(),
        "\
DROPPED  orders   \"a\"   abandoned by p1 at 0.003s                       silent-drop

  0.000s  p1     send()
  0.003s  p1     abandoned the record    it had never left the process   ← the drop
  0.004s  p1     killed                  fault 1: the program dies

because   legacy-queue-lost-with-process
permitted yes: producer.type=async returns before anything is sent, and its queue is in memory
",
    );
}

#[test]
fn a_record_abandoned_by_the_second_process_is_not_the_doing_of_the_first_death() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.killed(P1);
    run.at(20).say(P1, Fact::NodeStarted);
    run.at(50).say(P1, Fact::NodeStopped);
    run.abandoned(0, true);
    run.ends_with(1, &[]);
    let (_, explanation) = run.explain(&acks(1));
    let whats: Vec<&str> = explanation.stories[0].steps.iter().map(|step| step.what.as_str()).collect();
    assert_eq!(whats, ["send()", "exited", "abandoned the record"]);
}

#[test]
fn a_sigterm_stops_a_program_which_does_not_exit_by_itself() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.abandoned(0, true);
    let fault = injected(&mut run, 1, "SIGTERM to p1", "sent SIGTERM to p1");
    run.because(fault, P1, Fact::NodeStopped);
    run.ends_with(1, &[]);
    let (_, explanation) = run.explain(&acks(1));
    assert_eq!(explanation.stories[0].steps.last().map(|step| step.what.as_str()), Some("stopped"));
}

#[test]
fn the_asynchronous_producer_gives_up_without_dying() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.at(9).say(P1, Fact::ClientWarned { what: "1 messages were dropped after 3 retries".into() });
    run.at(9).abandoned(0, false);
    run.at(50).say(P1, Fact::NodeStopped);
    run.ends_with(1, &[]);
    let (judgement, explanation) = run.explain(&legacy_async());
    assert_eq!(judgement.anomalies[0].cause, Some(Cause::RetriesExhausted));
    let whats: Vec<&str> = explanation.stories[0].steps.iter().map(|step| step.what.as_str()).collect();
    assert_eq!(whats, ["send()", "warned", "abandoned the record"]);
}

#[test]
fn a_full_buffer_has_the_fault_that_filled_it() {
    let mut run = Run::default();
    // Over before the record was sent: no part of the story.
    injected(&mut run, 1, "pause broker 2", "paused broker 2");
    run.say(NodeId::Controller(100), Fact::FaultHealed { fault: 1 });
    injected(&mut run, 2, "pause all brokers", "paused broker 1");
    // Never bit.
    run.say(NodeId::Controller(100), Fact::FaultInjected { fault: 3, what: "drop a Fetch response".into() });
    run.at(1_000).sent(0, "a");
    run.at(61_000).failed(0, ErrorCode::CLIENT_BUFFER_EXHAUSTED);
    run.at(65_000).say(NodeId::Controller(100), Fact::FaultHealed { fault: 2 });
    run.ends_with(1, &[]);
    check(
        &run,
        &acks(1),
        "\
DROPPED  orders-0   \"a\"   failed, and ignored by p1 at 61.000s                                                                  silent-drop

  0.003s   fault 2     pause all brokers                   in force until 65.000s
  1.000s   p1          send()
  61.000s  p1          failed: BufferExhaustedException    no room in buffer.memory within max.block.ms; certainly not written   ← the drop

because   client-buffer-exhausted
permitted yes: the client reported it and the application ignores what send() reports
",
    );
}

#[test]
fn a_resend_shows_that_idempotence_recognised_all_but_it() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    injected(&mut run, 1, "hold every Produce response", "Produce response from broker 1 to p1");
    run.at(100).sent(0, "a");
    run.batched(0, 1);
    let first = run.transmits_as(1, 1, 1, 7);
    run.appends_as(first, 1, 4, 0, 7, 1);
    for attempt in 2..=4 {
        run.retries(1, RetryReason::RequestTimeout);
        let again = run.at(u64::from(attempt) * 1_000).transmits_as(1, attempt, 1, 7);
        let found = Fact::DuplicateDetected {
            partition: orders(),
            base_offset: Offset(0),
            producer_id: 7,
            producer_epoch: ProducerEpoch(0),
            base_sequence: Sequence(1),
        };
        run.because(again, BROKER_1, found);
    }
    run.at(5_000).failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    run.say(NodeId::Controller(100), Fact::FaultHealed { fault: 1 });
    run.resent(1, 0, "a");
    run.batched(1, 2);
    let resend = run.transmits_as(2, 1, 1, 7);
    run.appends_as(resend, 1, 4, 1, 7, 2);
    run.acked(1, 1, -1);
    run.ends_with(1, &["a", "a"]);
    let resending = with_producer(acks(-1), |producer| {
        producer.idempotence = true;
        producer.on_error = OnError::Resend;
    });
    check(
        &run,
        &resending,
        "\
DUPLICATED  orders-0 @ 0 and 1   \"a\"   sent by p1                                                                duplicate

  0.002s  fault 1                       hold every Produce response    in force until 5.001s
  0.100s  p1                            send()
  0.102s  p1 → broker 1                 sent batch 1                   attempt 1, producer id 7, sequence 1
  0.103s  broker 1  leader, epoch 4     appended at offset 0           ← the first copy
  4.000s  p1 → broker 1                 sent batch 1 again 3 times     attempts 2 to 4; recognised as a duplicate 3 times
  5.000s  p1                            failed: TimeoutException       delivery.timeout.ms passed; written or not: unknown
  5.002s  p1                            send() again                   the application repeats record 0
  5.004s  p1 → broker 1                 sent batch 2                   attempt 1, producer id 7, sequence 2
  5.005s  broker 1  leader, epoch 4     appended at offset 1           ← the second copy

because   resent-by-application
permitted yes: what the application sends again is a new record: no setting recognises it
",
    );
}

/// Broker 1 appends and dies before it answers; the retry goes to broker 2.
#[test]
fn a_duplicate_through_a_fail_over_tells_of_it_and_of_the_warning() {
    let mut run = Run::default();
    let what = "Idempotence will be disabled because acks is set to 1, not set to 'all'.";
    run.say(P1, Fact::ClientWarned { what: what.into() });
    run.elected(1, 4, &[1, 2, 3], true, 0);
    run.sent(0, "a");
    run.batched(0, 1);
    let first = run.transmits(1, 1, 1);
    run.appends(first, 1, 4, 0);
    run.copies(2, 4, 0);
    let fault = injected(&mut run, 1, "kill the leader of orders-0", "killed broker 1");
    run.because(fault, BROKER_1, Fact::NodeKilled);
    run.retries(1, RetryReason::Disconnected);
    run.elected(2, 5, &[2, 3], true, 1);
    let second = run.transmits(1, 2, 2);
    run.appends(second, 2, 5, 1);
    run.acked(0, 1, 1);
    run.ends_with(2, &["a", "a"]);
    check(
        &run,
        &acks(1),
        "\
DUPLICATED  orders-0 @ 0 and 1   \"a\"   sent by p1                                                                                  duplicate

  0.000s  p1                            warned                       Idempotence will be disabled because acks is set to 1, not set to 'all'
  0.005s  p1 → broker 1                 sent batch 1                 attempt 1
  0.006s  broker 1  leader, epoch 4     appended at offset 0         ← the first copy
  0.010s  broker 1                      killed                       fault 1: leader of orders-0
  0.011s  p1                            will retry batch 1           disconnected before the answer
  0.012s  controller                    elected broker 2, epoch 5    clean: in ISR; log end offset 1
  0.014s  p1 → broker 2                 sent batch 1 again           attempt 2
  0.015s  broker 2  leader, epoch 5     appended at offset 1         ← the second copy

because   resent-after-lost-response
permitted yes: without idempotence the broker cannot tell a retry from a new record; the client had warned: Idempotence will be disabled because acks is set to 1, not set to 'all'
",
    );
}

#[test]
fn stories_that_differ_in_their_steps_are_all_told() {
    let mut run = Run::default();
    for number in 0..4 {
        run.sent(number, &format!("v{number}"));
    }
    run.batched(2, 1);
    run.transmits(1, 1, 1);
    for number in 0..4 {
        run.failed(number, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    }
    run.ends_with(1, &[]);
    let (_, explanation) = run.explain(&acks(1));
    let told: Vec<_> =
        explanation.stories.iter().map(|story| story.anomaly.record.map(|record| record.number)).collect();
    assert_eq!(told, [Some(0), Some(2)]);
    assert_eq!(explanation.more.iter().map(|more| more.times).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_restarted_leader_of_the_old_epoch_decides_nothing_if_another_follows() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    run.sent(0, "a");
    run.batched(0, 1);
    let sent = run.transmits(1, 1, 1);
    run.appends(sent, 1, 4, 0);
    run.acked(0, 0, -1);
    run.lost_power(1);
    run.loaded(1, 0);
    run.elected(1, 4, &[1, 2, 3], true, 0);
    // The fact of the old election is not said again.
    run.events.remove(run.events.len() - 2);
    run.elected(2, 5, &[2], true, 0);
    run.ends_with(2, &[]);
    let (_, explanation) = run.explain(&acks(-1));
    let whats: Vec<&str> = explanation.stories[0].steps.iter().map(|step| step.what.as_str()).collect();
    assert!(whats.contains(&"elected broker 2, epoch 5"), "{whats:?}");
    assert!(!whats.contains(&"elected broker 1, epoch 4"), "{whats:?}");
}

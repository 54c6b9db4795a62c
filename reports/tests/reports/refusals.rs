//! Why nothing took a record, and what else a story must not leave out: the ISR of that moment, the dead broker, the refusal,
//! the attempt that came too late, the operator, the fault that nobody healed.

use ackproof_core::fact::{Fact, RetryReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::NodeId;
use ackproof_reports::contract::Permitted;
use ackproof_reports::render::text::{self, PlainText};
use ackproof_reports::{Answer, Cause, Contract, Kind, Story};

use crate::run::{CONTROLLER, P1, Run, acks, names, orders, with_producer, with_topic};

const BROKER_1: NodeId = NodeId::Broker(1);

#[track_caller]
fn story(run: &Run, contract: &Contract, kind: Kind) -> Story {
    let (judgement, explanation) = run.explain(contract);
    let story = explanation.stories.iter().find(|story| story.anomaly.kind == kind);
    story.unwrap_or_else(|| panic!("no {kind} in {:?}", judgement.kinds())).clone()
}

/// Its steps, a line each: what, and the note.
#[track_caller]
fn check(story: &Story, expected: &[&str]) {
    let lines: Vec<String> = story
        .steps
        .iter()
        .map(|step| format!("{} | {}", step.what, step.note).trim_end_matches(" | ").to_owned())
        .collect();
    assert_eq!(lines, expected);
}

/// Record 0 is sent to broker 1 at acks=0, and reported as sent.
fn unasked(run: &mut Run) -> u64 {
    run.sent(0, "a");
    run.batched(0, 1);
    let sent = run.transmits(1, 1, 1);
    run.acked(0, -1, 0);
    sent
}

#[test]
fn the_isr_is_that_of_the_append_and_of_the_promise() {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 3], true, 0);
    run.sent(0, "a");
    run.batched(0, 1);
    let sent = run.transmits(1, 1, 1);
    run.appends(sent, 1, 0, 0);
    run.isr(&[1, 3], &[1]);
    run.acked(0, 0, -1);
    run.killed(BROKER_1);
    run.elected(2, 1, &[2], false, 0);
    run.ends_with(2, &[]);
    let unclean = with_topic(acks(-1), |topic| topic.unclean_leader_election = true);
    let story = story(&run, &unclean, Kind::LostWrite);
    assert_eq!(story.steps[0].note, "ISR {1,3}  acks=all");
    assert_eq!(story.steps[2].note, "ISR {1}");
    assert_eq!(story.anomaly.contributing, [Cause::IsrShrunkToLeader]);
}

#[test]
fn what_goes_to_a_dead_broker_at_acks_0_names_its_death() {
    let mut run = Run::default();
    run.killed(BROKER_1);
    unasked(&mut run);
    run.ends_with(2, &[]);
    check(
        &story(&run, &acks(0), Kind::SilentDrop),
        &["killed", "send()", "sent batch 1 | attempt 1", "reported as sent | acks=0"],
    );
}

#[test]
fn innocent_a_broker_that_came_back_did_not_swallow_it() {
    let mut run = Run::default();
    run.killed(BROKER_1);
    run.say(BROKER_1, Fact::NodeStarted);
    let sent = unasked(&mut run);
    run.lost_message(sent, BROKER_1, "Produce request");
    run.ends_with(2, &[]);
    check(
        &story(&run, &acks(0), Kind::SilentDrop),
        &["send()", "sent batch 1 | attempt 1", "reported as sent | acks=0", "Produce request lost"],
    );
}

#[test]
fn what_is_lost_behind_a_refusal_names_the_refusal_and_who_leads() {
    let mut run = Run::default();
    run.elected(2, 3, &[2, 3], true, 0);
    let other = run.transmits(7, 1, 1);
    let sent = unasked(&mut run);
    let error = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    run.because(other, BROKER_1, Fact::AppendRefused { partition: orders(), error });
    run.lost_message(sent, BROKER_1, "Produce request");
    run.ends_with(2, &[]);
    check(
        &story(&run, &acks(0), Kind::SilentDrop),
        &[
            "elected broker 2, epoch 3 | clean: in ISR; log end offset 0",
            "send()",
            "sent batch 1 | attempt 1",
            "reported as sent | acks=0",
            "refused the batch | NOT_LEADER_OR_FOLLOWER: nobody hears of it, the broker closes the connection",
            "Produce request lost",
        ],
    );
}

/// Record 0 waits from 100 ms to 200 ms and expires.
fn expires(run: &mut Run, retry: Option<ErrorCode>) {
    run.at(100).sent(0, "a");
    run.batched(0, 1);
    if let Some(error) = retry {
        run.transmits(1, 1, 1);
        run.retries(1, RetryReason::Error(error));
    }
    run.at(200).failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
}

#[test]
fn a_record_that_expired_names_the_time_without_a_leader() {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2, 3], true, 0);
    run.isr(&[1, 2, 3], &[1]);
    run.offline(&[1]);
    expires(&mut run, None);
    run.elected(1, 1, &[1], true, 0);
    run.ends_with(1, &[]);
    check(
        &story(&run, &acks(-1), Kind::SilentDrop),
        &[
            "ISR {1,2,3} → {1}",
            "no replica may lead | waits for {1}",
            "send()",
            "failed: TimeoutException | delivery.timeout.ms passed; written or not: unknown",
        ],
    );
}

#[test]
fn innocent_a_time_without_a_leader_that_was_over_is_not_told() {
    let mut run = Run::default();
    run.offline(&[1]);
    run.elected(1, 1, &[1], true, 0);
    expires(&mut run, None);
    run.ends_with(1, &[]);
    let told = story(&run, &acks(-1), Kind::SilentDrop);
    check(&told, &["send()", "failed: TimeoutException | delivery.timeout.ms passed; written or not: unknown"]);
}

#[test]
fn too_few_in_sync_replicas_name_the_shrinking() {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2, 3], true, 0);
    run.isr(&[1, 2, 3], &[1]);
    expires(&mut run, Some(ErrorCode::NOT_ENOUGH_REPLICAS));
    run.ends_with(1, &[]);
    let told = story(&run, &acks(-1), Kind::SilentDrop);
    assert_eq!(told.steps[0].what, "ISR {1,2,3} → {1}");
    assert_eq!(told.steps[3].note, "NOT_ENOUGH_REPLICAS");

    let mut innocent = Run::default();
    innocent.isr(&[1, 2, 3], &[1]);
    expires(&mut innocent, None);
    innocent.ends_with(1, &[]);
    assert_eq!(story(&innocent, &acks(-1), Kind::SilentDrop).steps[0].what, "send()");
}

#[test]
fn a_reorder_shows_the_refusal_that_made_room() {
    let mut run = Run::default();
    for (number, value) in [(0, "a"), (1, "b")] {
        run.sent(number, value);
        run.batched(number, number + 1);
    }
    let first = run.transmits(1, 1, 1);
    let ahead = run.transmits(2, 1, 1);
    let error = ErrorCode::NOT_ENOUGH_REPLICAS;
    run.because(first, BROKER_1, Fact::AppendRefused { partition: orders(), error });
    run.appends(ahead, 1, 4, 0);
    run.retries(1, RetryReason::Error(error));
    let again = run.transmits(1, 2, 1);
    run.appends(again, 1, 4, 1);
    run.acked(1, 0, -1);
    run.acked(0, 1, -1);
    run.ends_with(1, &["b", "a"]);
    check(
        &story(&run, &acks(-1), Kind::Reorder),
        &[
            "sent batch 1 | attempt 1",
            "sent batch 2 | attempt 1",
            "refused the batch | NOT_ENOUGH_REPLICAS",
            "appended at offset 0",
            "will retry batch 1 | NOT_ENOUGH_REPLICAS",
            "sent batch 1 again | attempt 2",
            "appended at offset 1",
        ],
    );
}

#[test]
fn a_request_that_was_given_up_may_still_arrive_behind_later_ones() {
    let late = |told: &dyn Fn(&mut Run)| {
        let mut run = Run::default();
        for (number, value) in [(0, "a"), (1, "b")] {
            run.sent(number, value);
            run.batched(number, number + 1);
        }
        let held = run.transmits(1, 1, 1);
        told(&mut run);
        let ahead = run.transmits(2, 1, 1);
        run.appends(ahead, 1, 4, 0);
        run.acked(1, 0, -1);
        run.appends(held, 1, 4, 1);
        run.ends_with(1, &["b", "a"]);
        let once = with_producer(acks(-1), |producer| producer.retries = 0);
        let judgement = run.explain(&once).0;
        let found = judgement.of_kind(Kind::Reorder).map(|anomaly| (anomaly.cause, anomaly.permitted.answer));
        found.collect::<Vec<_>>()
    };
    let given_up = [(Some(Cause::LateRequestAppended), Answer::Yes)];
    assert_eq!(late(&|run| assert!(run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT) > 0)), given_up);
    assert_eq!(late(&|run| assert!(run.acked(0, -1, 0) > 0)), given_up, "nobody waits for its answer");
    assert_eq!(late(&|run| assert!(run.acked(0, 1, 1) > 0)), [(Some(Cause::Unknown), Answer::No)]);
    assert_eq!(late(&|_| {}), [(Some(Cause::Unknown), Answer::No)]);
}

#[test]
fn a_late_copy_says_which_attempt_it_was() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.batched(0, 1);
    let held = run.transmits(1, 1, 1);
    run.retries(1, RetryReason::RequestTimeout);
    let again = run.transmits(1, 2, 1);
    run.appends(again, 1, 4, 0);
    run.acked(0, 0, -1);
    run.appends(held, 1, 4, 1);
    run.ends_with(1, &["a", "a"]);
    check(
        &story(&run, &acks(-1), Kind::Duplicate),
        &[
            "sent batch 1 | attempt 1",
            "will retry batch 1 | no answer within request.timeout.ms",
            "sent batch 1 again | attempt 2",
            "appended at offset 0 | from attempt 2",
            "appended at offset 1 | from attempt 1, which the client had given up",
        ],
    );
}

#[test]
fn an_unclean_election_is_the_operators_or_the_settings_doing() {
    let mut run = Run::default();
    run.elected(1, 0, &[1], true, 0);
    run.sent(0, "a");
    run.batched(0, 1);
    let sent = run.transmits(1, 1, 1);
    run.appends(sent, 1, 0, 0);
    run.acked(0, 0, -1);
    run.killed(BROKER_1);
    run.elected(2, 1, &[2], false, 0);
    run.ends_with(2, &[]);
    let by_operator = with_topic(acks(-1), |topic| topic.unclean_by_operator = true);
    let permitted = |contract: &Contract| story(&run, contract, Kind::LostWrite).anomaly.permitted;
    assert_eq!(
        permitted(&by_operator),
        Permitted::yes(
            "an operator asked for an unclean election, which unclean.leader.election.enable=false does not prevent"
        )
    );
    assert_eq!(permitted(&acks(-1)).answer, Answer::No);
}

fn waits_under_a_cut(healed: bool) -> Run {
    let mut run = Run::default();
    let what = "p1 is cut off".to_owned();
    let fault = run.say(CONTROLLER, Fact::FaultInjected { fault: 2, what });
    run.because(fault, P1, Fact::FaultBit { fault: 2, what: "cut links of p1".into() });
    run.sent(0, "a");
    if healed {
        run.say(CONTROLLER, Fact::FaultHealed { fault: 2 });
    }
    run.ends_with(1, &[]);
    run
}

#[test]
fn what_waits_under_a_fault_that_nobody_healed_may_wait() {
    let told = story(&waits_under_a_cut(false), &acks(-1), Kind::Stuck);
    check(&told, &["p1 is cut off", "send()"]);
    let because = "fault 2 (p1 is cut off) is in force to the end: what waits for that may wait";
    assert_eq!(told.anomaly.permitted, Permitted::unknown(because));

    let innocent = story(&waits_under_a_cut(true), &acks(-1), Kind::Stuck);
    check(&innocent, &["send()"]);
    let because = "no setting lets anything wait for ever once the faults are over";
    assert_eq!(innocent.anomaly.permitted, Permitted::unknown(because));
}

#[test]
fn padding_is_counted_not_shown() {
    let mut run = Run::default();
    let padded = format!("order 7{}", ".".repeat(193));
    run.sent(0, &padded);
    run.abandoned(0, true);
    run.ends_with(1, &[]);
    let (_, explanation) = run.explain(&acks(-1));
    let text = text::explanation(&explanation, &names(), &PlainText);
    assert!(text.starts_with("DROPPED  orders   \"order 7\" (200 bytes)   abandoned by p1"), "{text}");
}

#[test]
fn the_last_record_may_be_of_an_older_epoch_than_the_leader() {
    let mut run = Run::default();
    run.elected(1, 7, &[1, 2, 3], true, 0);
    run.sent(0, "a");
    run.acked(0, 0, -1);
    run.ends_with(1, &["a"]);
    let table = ackproof_reports::render::topics::topics(&run.judge(&acks(-1)));
    assert!(table.contains("Isr: 1,2,3\tLeaderEpoch: 7\n"), "{table}");
    assert!(table.contains("broker 2  LEO 1  HW 1  last record's epoch 5\n"), "{table}");
}

#[test]
fn permitted_is_a_plain_value_in_json_with_its_reason_beside_it() {
    let values = [
        (Permitted::yes("a"), serde_json::json!({ "permitted": true, "permitted_because": "a" })),
        (Permitted::no("b"), serde_json::json!({ "permitted": false, "permitted_because": "b" })),
        (Permitted::unknown("c"), serde_json::json!({ "permitted": "unknown", "permitted_because": "c" })),
    ];
    for (permitted, written) in values {
        assert_eq!(serde_json::to_value(&permitted).expect("it is JSON"), written);
        assert_eq!(serde_json::from_value::<Permitted>(written).expect("it is read"), permitted);
    }
}

//! What the checkers convict, and whom they acquit.

use ackproof_core::fact::{Fact, ResetReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{Offset, TopicPartition};
use ackproof_reports::contract::{LegacyKind, OnError};
use ackproof_reports::{Answer, Kind, Verdict};

use crate::run::{P1, Run, acks, p1, with_producer};

/// The anomalies of a run, as `kind@offset`.
#[track_caller]
fn check(run: &Run, expected: &[&str]) {
    check_under(run, &acks(1), expected);
}

#[track_caller]
fn check_under(run: &Run, contract: &ackproof_reports::Contract, expected: &[&str]) {
    let judgement = run.judge(contract);
    let found: Vec<String> = judgement
        .anomalies
        .iter()
        .map(|anomaly| match anomaly.offset {
            Some(Offset(offset)) => format!("{}@{offset}", anomaly.kind),
            None => anomaly.kind.to_string(),
        })
        .collect();
    assert_eq!(found, expected);
    let verdict = if expected.is_empty() { Verdict::Valid } else { Verdict::Invalid };
    assert_eq!(judgement.verdict, verdict, "doubts: {:?}", judgement.doubts);
}

/// Sends values as records 0, 1, ... and acknowledges each at the offset of the same number.
fn acknowledged(values: &[&str]) -> Run {
    let mut run = Run::default();
    for (number, value) in (0..).zip(values) {
        run.sent(number, value);
        run.acked(number, number as i64, 1);
    }
    run
}

#[test]
fn an_acknowledged_record_that_is_gone_is_lost() {
    check(acknowledged(&["a", "b", "c"]).ends_with(1, &["a", "b"]), &["lost-write@2"]);
    check(acknowledged(&["a", "b", "c"]).ends_with(1, &["a", "b", "c"]), &[]);
}

#[test]
fn an_offset_that_holds_another_value_than_was_acknowledged_is_inconsistent() {
    let mut run = acknowledged(&["a", "b"]);
    run.sent(2, "c");
    run.acked(2, 1, 1);
    check(run.ends_with(1, &["a", "c"]), &["lost-write@1", "inconsistent-offsets@1"]);
}

#[test]
fn two_polls_of_one_offset_with_two_values_are_inconsistent() {
    let mut run = acknowledged(&["a", "b"]);
    run.sent(2, "ghost");
    run.failed(2, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    run.polled(0, "a");
    run.polled(1, "ghost");
    run.repositioned(2, 1, ResetReason::Seek);
    run.polled(1, "b");
    let run = run.ends_with(1, &["a", "b"]);
    check_under(
        run,
        &with_producer(acks(1), |producer| producer.on_error = OnError::Stop),
        &["inconsistent-offsets@1"],
    );
}

#[test]
fn what_retention_removed_is_not_lost() {
    let mut run = acknowledged(&["a", "b"]);
    run.ends_from(Some(1), 1, &["b"]);
    check(&run, &[]);
    assert_eq!(run.judge(&acks(1)).counts.removed, 1);
}

#[test]
fn an_indeterminate_write_is_neither_lost_nor_a_phantom() {
    let stop = with_producer(acks(1), |producer| producer.on_error = OnError::Stop);
    let mut run = acknowledged(&["a"]);
    run.sent(1, "b");
    run.failed(1, ErrorCode::NETWORK_EXCEPTION);
    let (mut absent, mut present) = (run.clone(), run);
    check_under(absent.ends_with(1, &["a"]), &stop, &[]);
    check_under(present.ends_with(1, &["a", "b"]), &stop, &[]);
    assert_eq!(present.judge(&stop).counts.surfaced, 1);
    assert_eq!(present.judge(&stop).counts.indeterminate, 1);
}

#[test]
fn a_definite_failure_that_is_there_is_a_phantom() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.failed(0, ErrorCode::NOT_ENOUGH_REPLICAS);
    run.polled(0, "a");
    check(run.clone().ends_with(1, &["a"]), &["phantom@0"]);
    // In no log any more, but somebody got it.
    let stop = with_producer(acks(1), |producer| producer.on_error = OnError::Stop);
    check_under(run.ends_with(1, &[]), &stop, &["phantom"]);
}

#[test]
fn a_record_that_nobody_sent_is_a_phantom() {
    check(acknowledged(&["a"]).ends_with(1, &["a", "?"]), &["phantom@1"]);
}

#[test]
fn a_failure_is_a_silent_drop_only_if_the_application_ignores_it() {
    let mut run = acknowledged(&["a"]);
    run.sent(1, "b");
    run.failed(1, ErrorCode::CLIENT_BUFFER_EXHAUSTED);
    run.ends_with(1, &["a"]);
    check(&run, &["silent-drop"]);
    for reaction in [OnError::Stop, OnError::Resend] {
        check_under(&run, &with_producer(acks(1), |producer| producer.on_error = reaction), &[]);
    }
}

#[test]
fn a_failure_that_was_resent_with_success_is_no_drop() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.failed(0, ErrorCode::CLIENT_BUFFER_EXHAUSTED);
    run.resent(1, 0, "a");
    run.acked(1, 0, 1);
    check(run.ends_with(1, &["a"]), &[]);
}

#[test]
fn success_at_acks_0_is_no_acknowledgement() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.acked(0, -1, 0);
    check(run.clone().ends_with(1, &[]), &["silent-drop"]);
    check(run.ends_with(1, &["a"]), &[]);
}

#[test]
fn records_that_die_with_their_process_are_dropped_unless_they_arrived() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.abandoned(0, false);
    check(run.clone().ends_with(1, &[]), &["silent-drop"]);
    check(run.ends_with(1, &["a"]), &[]);
}

#[test]
fn copies_are_counted_against_what_was_sent() {
    check(acknowledged(&["a", "b"]).ends_with(1, &["a", "b", "a"]), &["duplicate@2", "replay-reorder@2"]);
    // Two records of equal content may be there twice, not three times.
    check(acknowledged(&["a", "a"]).ends_with(1, &["a", "a"]), &[]);
    check(acknowledged(&["a", "a"]).ends_with(1, &["a", "a", "a"]), &["duplicate@2"]);
    check(acknowledged(&["a", "a"]).ends_with(1, &["a"]), &["lost-write@1"]);
}

#[test]
fn the_first_copy_may_be_in_another_partition() {
    let other = TopicPartition::of("orders", 1);
    let mut run = Run::default();
    run.sent(0, "a");
    run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    run.resent(1, 0, "a");
    run.say(P1, Fact::RecordAcknowledged { record: p1(1), partition: other.clone(), offset: Offset(0), acks: -1 });
    run.surveyed(&other, 2, &["a"]);
    run.ends_with(1, &["a"]);
    let judgement = run.judge(&acks(-1));
    let duplicate = judgement.of_kind(Kind::Duplicate).next().expect("two copies of one record");
    assert_eq!((duplicate.offset, duplicate.other_offset), (Some(Offset(0)), None));
    assert_eq!(duplicate.note.as_deref(), Some("first at orders-1 @ 0"));
}

#[test]
fn a_resend_by_the_application_is_the_same_logical_record() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    run.resent(1, 0, "a");
    run.acked(1, 1, -1);
    check(run.clone().ends_with(1, &["a", "a"]), &["duplicate@1"]);
    let mut once = Run::default();
    once.sent(0, "a");
    once.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    once.resent(1, 0, "a");
    once.acked(1, 0, -1);
    check(once.ends_with(1, &["a"]), &[]);
}

#[test]
fn the_order_of_the_log_is_the_order_of_send() {
    let mut run = Run::default();
    run.sent_with_key(0, "k", "a");
    run.sent_with_key(1, "k", "b");
    run.acked(1, 0, 1);
    run.acked(0, 1, 1);
    run.ends_with(1, &["b", "a"]);
    check(&run, &["reorder@1"]);
    let judgement = run.judge(&acks(1));
    assert_eq!((judgement.counts.reordered, judgement.counts.reordered_keys), (1, 1));
    assert_eq!(judgement.anomalies[0].record, Some(p1(0)));
    assert_eq!(judgement.anomalies[0].other_record, Some(p1(1)));
}

#[test]
fn what_the_application_sent_again_later_may_stand_later() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.sent(1, "b");
    run.failed(0, ErrorCode::NOT_ENOUGH_REPLICAS);
    run.acked(1, 0, 1);
    run.resent(2, 0, "a");
    run.acked(2, 1, 1);
    check(run.ends_with(1, &["b", "a"]), &[]);
}

#[test]
fn without_a_leader_records_on_disk_are_unavailable_and_others_lost() {
    let mut run = acknowledged(&["a", "b"]);
    run.ends_without_leader(&["a"]);
    check(&run, &["lost-write@1", "unavailable", "stuck"]);
    assert_eq!(run.judge(&acks(1)).counts.unavailable, 1);
    let unavailable = run.judge(&acks(1)).of_kind(Kind::Unavailable).next().cloned();
    assert_eq!(unavailable.map(|anomaly| anomaly.permitted.answer), Some(Answer::Yes));
}

#[test]
fn a_send_that_is_never_answered_is_stuck() {
    let mut run = acknowledged(&["a"]);
    run.sent(1, "b");
    run.ends_with(1, &["a"]);
    check(&run, &["stuck"]);
    assert_eq!(run.judge(&acks(1)).counts.pending, 1);
}

#[test]
fn what_the_world_calls_stuck_is_stuck() {
    let mut run = acknowledged(&["a"]);
    run.say(crate::run::CONTROLLER, Fact::Stuck { what: "c1 waits for metadata".into() });
    check(run.ends_with(1, &["a"]), &["stuck"]);
}

#[test]
fn a_consumer_reads_every_record_once_in_order() {
    let read = |offsets: &[i64]| {
        let values = ["a", "b", "c"];
        let mut run = acknowledged(&values);
        for offset in offsets {
            run.polled(*offset, values[*offset as usize]);
        }
        run.ends_with(1, &values);
        run
    };
    check(&read(&[0, 1, 2]), &[]);
    check(&read(&[0, 1]), &[]);
    check(&read(&[0, 2]), &["poll-skip@2", "unseen@1"]);
    check(&read(&[0, 1, 2, 1]), &["nonmonotonic-poll@1"]);
    check(&read(&[1, 2]), &["unseen@0"]);
}

#[test]
fn a_consumer_may_seek_and_offsets_without_records_are_no_skip() {
    let mut run = acknowledged(&["a", "b"]);
    run.polled(0, "a");
    run.polled(1, "b");
    run.repositioned(2, 0, ResetReason::Seek);
    run.polled(0, "a");
    run.polled(1, "b");
    assert_eq!(run.judge(&acks(1)).counts.delivered, 2);
    check(run.ends_with(1, &["a", "b"]), &[]);
}

#[test]
fn nothing_sent_nothing_surveyed_or_a_fault_that_never_bit_is_unknown() {
    let mut quiet = Run::default();
    quiet.ends_with(1, &[]);
    let fault = |bit: bool| {
        let mut run = acknowledged(&["a"]);
        run.say(crate::run::CONTROLLER, Fact::FaultInjected { fault: 1, what: "drop a response".into() });
        if bit {
            run.say(crate::run::CONTROLLER, Fact::FaultBit { fault: 1, what: "dropped it".into() });
        }
        run.ends_with(1, &["a"]);
        run
    };
    let cut_off = acknowledged(&["a"]);
    for (run, doubt) in [
        (&quiet, "nothing was sent"),
        (&fault(false), "fault 1 did nothing: drop a response"),
        (&cut_off, "nobody looked at the log of orders-0"),
    ] {
        let judgement = run.judge(&acks(1));
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert!(judgement.doubts.iter().any(|other| other == doubt), "{:?}", judgement.doubts);
    }
    let judgement = fault(true).judge(&acks(1));
    assert_eq!(judgement.verdict, Verdict::Valid);
    assert_eq!(judgement.witnesses.len(), 1);
}

#[test]
fn a_send_without_an_answer_is_stuck_unless_its_producer_never_answers() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.batched(0, 1);
    run.ends_with(1, &["a"]);
    let legacy = |kind| with_producer(acks(1), move |producer| producer.legacy = Some(kind));
    check(&run, &["stuck"]);
    check_under(&run, &legacy(LegacyKind::Sync), &["stuck"]);
    check_under(&run, &legacy(LegacyKind::Async), &[]);
}

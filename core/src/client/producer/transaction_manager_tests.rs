//! Sequences at their edges: who waits, what may be tried again, and what a failure costs.

use super::*;
use crate::client::producer::batch::Callback;
use crate::record::{BatchBuilder, Compression};
use crate::types::{Instant, RecordId, Timestamp};

const ME: Identity = Identity { id: 7, epoch: ProducerEpoch(0) };
const ANOTHER: Identity = Identity { id: 8, epoch: ProducerEpoch(0) };

fn orders() -> TopicPartition {
    TopicPartition::of("orders", 0)
}

fn batch(number: u64, records: i32) -> ProducerBatch {
    let builder = BatchBuilder::new(Compression::None, 1 << 20);
    let mut batch = ProducerBatch::new(number, orders(), builder, 0, Instant(0));
    for n in 0..records {
        let record = RecordId { client: 0, number: u64::try_from(n).unwrap_or(0) };
        batch.add(Callback { record, timestamp: Timestamp(0) });
    }
    batch
}

/// A producer that has its id, and batches of two records in flight.
fn in_flight(recovery: Recovery, batches: u64) -> (TransactionManager, Batches) {
    let mut transactions = TransactionManager::new(recovery == Recovery::BumpEpoch);
    transactions.set_identity(ME);
    let mut all = Batches::new();
    for number in 1..=batches {
        let mut batch = batch(number, 2);
        transactions.assign_sequence(&mut batch);
        all.insert(number, batch);
    }
    (transactions, all)
}

fn sequences(batches: &Batches) -> Vec<(i64, i16, i32)> {
    let state = |batch: &ProducerBatch| {
        (batch.producer.producer_id, batch.producer.producer_epoch.0, batch.producer.base_sequence.0)
    };
    batches.values().map(state).collect()
}

fn answer(error: ErrorCode, log_start: i64) -> Answer {
    Answer { error, base_offset: Offset::NONE, log_start_offset: Offset(log_start) }
}

#[test]
fn a_new_batch_waits_while_the_fate_of_what_was_before_is_not_known() {
    let (mut transactions, mut batches) = in_flight(Recovery::BumpEpoch, 1);
    let (next, mut elsewhere) = (batch(2, 1), batch(3, 1));
    elsewhere.partition = TopicPartition::of("orders", 1);
    assert!(!transactions.must_wait(&next));
    // The epoch was raised for another partition: what is in flight here still has the old one.
    transactions.request_epoch_bump(&elsewhere.partition);
    transactions.maybe_bump_epoch(&mut batches);
    assert!(transactions.must_wait(&next) && !transactions.must_wait(&elsewhere));
    transactions.on_completed(&batches[&1], Offset(0));
    assert!(!transactions.must_wait(&next));
    // It was given up, and may have been written.
    transactions.mark_unresolved(&batches[&1]);
    assert!(transactions.must_wait(&next) && !transactions.must_wait(&elsewhere));
    let without_id = TransactionManager::new(true);
    assert!(without_id.must_wait(&next));
}

#[test]
fn of_those_that_are_sent_again_the_oldest_goes_first() {
    let (mut transactions, batches) = in_flight(Recovery::BumpEpoch, 2);
    assert_eq!([1, 2].map(|number| transactions.must_wait(&batches[&number])), [false, true]);
    transactions.on_completed(&batches[&1], Offset(0));
    assert!(!transactions.must_wait(&batches[&2]));
}

#[test]
fn what_was_given_up_and_must_have_been_written_costs_nothing() {
    for (written, bumps) in [(&[1, 2][..], false), (&[2], false), (&[1], true), (&[], true)] {
        let (mut transactions, mut batches) = in_flight(Recovery::BumpEpoch, 2);
        for number in 1..=2 {
            if written.contains(&number) {
                transactions.on_completed(&batches[&number], Offset(0));
            } else {
                transactions.mark_unresolved(&batches[&number]);
                transactions.resolve();
                assert!(!transactions.bump_required, "it is still under way");
                transactions.forget(&batches[&number]);
            }
        }
        transactions.mark_unresolved(&batches[&2]);
        transactions.resolve();
        assert_eq!(transactions.bump_required, bumps, "{written:?}");
        transactions.maybe_bump_epoch(&mut batches);
        assert_eq!(transactions.identity.epoch, ProducerEpoch(i16::from(bumps)));
    }
}

/// Since 2.5. Batch 2 of two is refused; `acked`: batch 1 was acknowledged.
fn check_bump(error: ErrorCode, log_start: i64, acked: bool, was_reset: bool, unresolved: Option<i32>, bumps: bool) {
    let (mut transactions, mut batches) = in_flight(Recovery::BumpEpoch, 2);
    if acked {
        transactions.on_completed(&batches[&1], Offset(0));
    }
    if let Some(next) = unresolved {
        transactions.unresolved.insert(orders(), Sequence(next));
    }
    batches.get_mut(&2).expect("it is there").sequence_was_reset = was_reset;
    let what = format!("{error} {log_start} acked {acked} reset {was_reset} unresolved {unresolved:?}");
    assert!(transactions.can_retry(2, answer(error, log_start), &mut batches), "{what}");
    assert_eq!(transactions.bump_required, bumps, "{what}");
}

#[test]
fn since_2_5_the_epoch_is_raised_where_the_broker_has_forgotten_us_or_there_is_a_gap() {
    let (forgotten, gap) = (ErrorCode::UNKNOWN_PRODUCER_ID, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    check_bump(forgotten, 5, true, false, None, true);
    check_bump(forgotten, -1, true, false, None, false);
    check_bump(forgotten, 5, true, true, None, false);
    check_bump(forgotten, -1, true, true, None, false);
    check_bump(gap, -1, true, false, None, true);
    check_bump(gap, -1, false, false, None, false);
    check_bump(gap, -1, true, true, None, false);
    check_bump(gap, -1, false, true, None, false);
    // One before it was given up; this one is the next.
    check_bump(gap, -1, true, false, Some(2), true);
    check_bump(gap, -1, true, false, Some(4), false);
    check_bump(ErrorCode::NOT_LEADER_OR_FOLLOWER, -1, true, false, None, false);
}

/// Before 2.5. Batch 2 of two is refused, batch 1 was written at offsets 10 and 11.
fn check_same_id(change: impl Fn(&mut TransactionManager, &mut ProducerBatch), answer: Answer, expected: bool) {
    let (mut transactions, mut batches) = in_flight(Recovery::NewId, 3);
    transactions.on_completed(&batches[&1], Offset(10));
    let mut second = batches.remove(&2).expect("it is there");
    change(&mut transactions, &mut second);
    batches.insert(2, second);
    assert_eq!(transactions.can_retry(2, answer, &mut batches), expected, "{answer:?}");
}

#[test]
fn before_2_5_a_batch_is_tried_again_if_the_order_can_be_kept() {
    let (forgotten, gap) = (ErrorCode::UNKNOWN_PRODUCER_ID, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let as_it_is = |_: &mut TransactionManager, _: &mut ProducerBatch| {};
    check_same_id(as_it_is, answer(ErrorCode::NOT_LEADER_OR_FOLLOWER, -1), true);
    check_same_id(as_it_is, answer(ErrorCode::INVALID_RECORD, -1), false);
    // It is the next one, and yet there is a gap: something is lost.
    check_same_id(as_it_is, answer(gap, -1), false);
    check_same_id(|transactions, _| transactions.partitions.clear(), answer(gap, -1), true);
    check_same_id(|_, batch| batch.sequence_was_reset = true, answer(gap, -1), true);
    let unresolved = |transactions: &mut TransactionManager, batch: &mut ProducerBatch| {
        transactions.mark_unresolved(batch);
        batch.sequence_was_reset = true;
    };
    check_same_id(unresolved, answer(gap, -1), false);
    let of_another = |transactions: &mut TransactionManager, _: &mut ProducerBatch| transactions.identity = ANOTHER;
    check_same_id(of_another, answer(gap, -1), false);
    check_same_id(of_another, answer(forgotten, 99), false);
    // The broker has deleted what we wrote, or it has not.
    check_same_id(as_it_is, answer(forgotten, 12), true);
    check_same_id(as_it_is, answer(forgotten, 11), false);
    check_same_id(as_it_is, answer(forgotten, 10), false);
    check_same_id(as_it_is, answer(forgotten, -1), true);
    check_same_id(|_, batch| batch.sequence_was_reset = true, answer(forgotten, 5), true);
}

#[test]
fn before_2_5_sequences_start_anew_when_the_broker_has_deleted_what_it_knew_of_us() {
    let (mut transactions, mut batches) = in_flight(Recovery::NewId, 3);
    transactions.on_completed(&batches[&1], Offset(10));
    batches.remove(&1);
    assert!(transactions.can_retry(2, answer(ErrorCode::UNKNOWN_PRODUCER_ID, 12), &mut batches));
    assert_eq!(sequences(&batches), [(7, 0, 0), (7, 0, 2)]);
}

#[test]
fn before_2_5_a_batch_of_a_former_id_is_not_sent_again() {
    for (recovery, identity, expected) in [
        (Recovery::NewId, ME, true),
        (Recovery::NewId, ANOTHER, false),
        (Recovery::BumpEpoch, ME, true),
        (Recovery::BumpEpoch, ANOTHER, true),
    ] {
        let (mut transactions, batches) = in_flight(recovery, 1);
        transactions.identity = identity;
        assert_eq!(transactions.keeps_identity(&batches[&1]), expected, "{recovery:?} {identity:?}");
    }
}

#[test]
fn the_last_acknowledged_offset_is_that_of_the_last_record_as_far_as_it_is_known() {
    let (mut transactions, batches) = in_flight(Recovery::NewId, 3);
    let last = |transactions: &TransactionManager| {
        let entry = &transactions.partitions[&orders()];
        (entry.last_acked.0, entry.last_acked_offset.0)
    };
    transactions.on_completed(&batches[&1], Offset(10));
    assert_eq!(last(&transactions), (1, 11));
    transactions.on_completed(&batches[&3], Offset::NONE);
    assert_eq!(last(&transactions), (5, 11));
    transactions.on_completed(&batches[&2], Offset(4));
    assert_eq!(last(&transactions), (5, 11));
}

/// What a failure of the second of three batches costs.
fn cost(recovery: Recovery, error: ErrorCode, unused: bool, of_another: bool) -> &'static str {
    let (mut transactions, mut batches) = in_flight(recovery, 3);
    let mut failed = batches.remove(&2).expect("it is there");
    if of_another {
        failed.producer.producer_id = ANOTHER.id;
    }
    transactions.on_failed(&failed, error, unused, &mut batches);
    if transactions.fatal_error() == Some(error) {
        return "everything";
    }
    assert_eq!(transactions.fatal_error(), None);
    match (transactions.has_producer_id(), transactions.bump_required, &sequences(&batches)[..]) {
        (false, false, _) => "the id",
        (true, true, _) => "the epoch",
        (true, false, [(7, 0, 0), (7, 0, 4)]) => "nothing",
        (true, false, [(7, 0, 0), (7, 0, 2)]) => {
            assert_eq!(transactions.partitions[&orders()].next_sequence, Sequence(4));
            "its sequences"
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_that_fails_for_good_costs_what_the_version_says() {
    let (gap, forgotten) = (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, ErrorCode::UNKNOWN_PRODUCER_ID);
    let (refused, unsupported) = (ErrorCode::INVALID_RECORD, ErrorCode::UNSUPPORTED_VERSION);
    for (recovery, error, unused, of_another, expected) in [
        (Recovery::NewId, gap, true, false, "the id"),
        (Recovery::NewId, forgotten, false, false, "the id"),
        (Recovery::NewId, gap, false, true, "nothing"),
        (Recovery::NewId, refused, true, false, "its sequences"),
        (Recovery::NewId, refused, false, false, "nothing"),
        (Recovery::NewId, refused, true, true, "nothing"),
        (Recovery::NewId, unsupported, true, false, "everything"),
        (Recovery::BumpEpoch, gap, false, false, "the epoch"),
        (Recovery::BumpEpoch, forgotten, false, false, "the epoch"),
        (Recovery::BumpEpoch, refused, true, false, "the epoch"),
        (Recovery::BumpEpoch, refused, false, false, "nothing"),
        (Recovery::BumpEpoch, unsupported, true, false, "everything"),
    ] {
        let found = cost(recovery, error, unused, of_another);
        assert_eq!(found, expected, "{recovery:?} {error} unused: {unused}, of another id: {of_another}");
    }
}

#[test]
fn before_2_5_the_sequences_behind_a_batch_that_was_not_written_close_the_gap_and_those_before_it_stay() {
    let (mut transactions, mut batches) = in_flight(Recovery::NewId, 5);
    let failed = batches.remove(&3).expect("it is there");
    transactions.on_failed(&failed, ErrorCode::INVALID_RECORD, true, &mut batches);
    assert_eq!(sequences(&batches), [(7, 0, 0), (7, 0, 2), (7, 0, 4), (7, 0, 6)]);
}

#[test]
fn after_the_last_epoch_there_is_a_new_id() {
    let (mut transactions, mut batches) = in_flight(Recovery::BumpEpoch, 1);
    transactions.identity.epoch = ProducerEpoch(i16::MAX);
    transactions.request_epoch_bump(&orders());
    transactions.maybe_bump_epoch(&mut batches);
    assert!(!transactions.has_producer_id());
}

#[test]
fn a_refusal_of_an_id_is_final() {
    let mut transactions = TransactionManager::new(true);
    assert_eq!(transactions.fatal_error(), None);
    transactions.fail(ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(transactions.fatal_error(), Some(ErrorCode::UNSUPPORTED_VERSION));
}

//! What a producer sends once more, too late or elsewhere.

use ackproof_core::fact::{Fact, LogStartReason, RetryReason, Role, TruncationReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{NodeId, Offset, ProducerEpoch, Sequence, TopicPartition};
use ackproof_reports::{Answer, Cause, Contract, Kind};

use super::operators::created;
use super::run::{C1, CONTROLLER, P1, Run, acks, group, of, orders, p1, payload, with_producer, with_topic};

fn idempotent() -> Contract {
    with_producer(acks(-1), |producer| producer.idempotence = true)
}

/// The leader answers the first request too late, or refuses it; the producer gives the record up, or its process ends, and it begins anew
/// under another id.
#[test]
fn nc_02_a_late_request_of_an_idempotent_producer_that_had_given_it_up() {
    let late = |gives_up: &dyn Fn(&mut Run), retries: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        for (number, value) in [(0, "a"), (1, "b")] {
            run.sent(number, value);
            run.batched(number, number + 1);
        }
        let mut held = run.transmits_under(1, 1, 1, (7, 0, 0));
        gives_up(&mut run);
        let ahead = run.transmits_under(2, 1, 1, (8, 0, 0));
        if retries {
            run.retries(1, RetryReason::Error(ErrorCode::NOT_ENOUGH_REPLICAS));
            held = run.transmits_under(1, 2, 1, (7, 0, 0));
        }
        run.appends_under(ahead, 1, 4, 0, (8, 0, 0));
        run.acked(1, 0, -1);
        run.appends_under(held, 1, 4, 1, (7, 0, 0));
        run.ends_with(1, &["b", "a"]);
        of(Kind::Reorder, &run, &idempotent())
    };
    let waits = |_: &mut Run| {};
    let fails = |run: &mut Run| assert!(run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT) > 0);
    let ends = |run: &mut Run| assert!(run.abandoned(0, false) > 0);
    assert_eq!(late(&fails, false), [(1, Some(Cause::LateRequestAppended), Answer::Yes)]);
    assert_eq!(late(&ends, false), [(1, Some(Cause::LateRequestAppended), Answer::Yes)]);
    assert_eq!(late(&waits, false), [(1, Some(Cause::Unknown), Answer::No)], "it waits for an answer still");
    assert_eq!(late(&waits, true), [(1, Some(Cause::RetryOvertakenInFlight), Answer::No)]);
}

fn elsewhere() -> TopicPartition {
    TopicPartition::of("orders", 1)
}

fn grows(run: &mut Run) {
    run.say(CONTROLLER, Fact::PartitionsAdded { topic: "orders".into(), first: 1, replicas: vec![vec![2, 3, 1]] });
}

/// A record of key k leaves its producer for a partition.
fn leaves_for(run: &mut Run, number: u64, partition: &TopicPartition) {
    run.say(P1, Fact::RecordBatched { record: p1(number), partition: partition.clone(), batch: number + 1 });
    let (producer_epoch, base_sequence) = (ProducerEpoch::NONE, Sequence::NONE);
    let sent = Fact::BatchSent {
        batch: number + 1,
        partition: partition.clone(),
        attempt: 1,
        producer_id: -1,
        producer_epoch,
        base_sequence,
        broker: 1,
    };
    run.say(P1, sent);
}

/// The group processes these in this order, which is not that of their key.
fn takes_effect(run: &mut Run, effects: &[(&TopicPartition, i64, &str)]) {
    for (partition, offset, value) in effects {
        let (partition, offset) = ((*partition).clone(), Offset(*offset));
        let (key, value) = (payload("k"), payload(value));
        run.say(C1, Fact::Polled { partition: partition.clone(), offset, key, value });
        run.say(C1, Fact::Processed { group: Some("billing".into()), partition, offset });
    }
}

fn reordered(run: &mut Run, logs: &[(&TopicPartition, &[&str])]) -> Vec<(Option<Cause>, Answer)> {
    for (partition, log) in logs {
        let log: Vec<(Option<&str>, &str)> = log.iter().map(|value| (Some("k"), *value)).collect();
        run.surveyed_with_key(partition, 1, &log);
    }
    run.say(CONTROLLER, Fact::RunEnded { quiescent: true });
    let found = of(Kind::EffectReorder, run, &group(|_| {})).into_iter();
    found.map(|(_, cause, answer)| (cause, answer)).collect()
}

/// The topic grows between two records of a key; nobody is ever told of the second one, which is in the log all the same.
#[test]
fn mc_14_a_key_moved_with_a_record_that_nobody_was_told_of() {
    let history = |is_grown: bool, moves: bool| {
        let mut run = Run::default();
        created(&mut run);
        run.sent_with_key(0, "k", "a");
        leaves_for(&mut run, 0, &orders());
        run.acked(0, 0, -1);
        if is_grown {
            grows(&mut run);
        }
        let to = if moves { elsewhere() } else { orders() };
        run.sent_with_key(1, "k", "b");
        leaves_for(&mut run, 1, &to);
        run.killed(P1);
        if moves {
            takes_effect(&mut run, &[(&to, 0, "b"), (&orders(), 0, "a")]);
            reordered(&mut run, &[(&orders(), &["a"]), (&to, &["b"])])
        } else {
            takes_effect(&mut run, &[(&to, 1, "b"), (&orders(), 0, "a")]);
            reordered(&mut run, &[(&orders(), &["a", "b"])])
        }
    };
    assert_eq!(history(true, true), [(Some(Cause::KeysMoved), Answer::Yes)]);
    assert_ne!(history(false, true)[0].0, Some(Cause::KeysMoved), "its producer spreads the key by itself");
    assert_eq!(history(true, false), [(Some(Cause::Unknown), Answer::No)], "both are in one partition");
}

/// The application sends the older record once more when the topic has grown: that one is elsewhere.
#[test]
fn mc_14_a_key_moved_with_the_older_record() {
    let history = |is_grown: bool| {
        let mut run = Run::default();
        created(&mut run);
        for (number, value) in [(0, "a"), (1, "b")] {
            run.sent_with_key(number, "k", value);
            leaves_for(&mut run, number, &orders());
        }
        run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
        run.acked(1, 0, -1);
        if is_grown {
            grows(&mut run);
        }
        run.resent(2, 0, "a");
        leaves_for(&mut run, 2, &elsewhere());
        let (record, partition, offset) = (p1(2), elsewhere(), Offset(0));
        run.say(P1, Fact::RecordAcknowledged { record, partition, offset, acks: -1 });
        takes_effect(&mut run, &[(&orders(), 0, "b"), (&elsewhere(), 0, "a")]);
        reordered(&mut run, &[(&orders(), &["b"]), (&elsewhere(), &["a"])])
    };
    assert_eq!(history(true), [(Some(Cause::KeysMoved), Answer::Yes)]);
    assert_ne!(history(false)[0].0, Some(Cause::KeysMoved));
}

/// Broker 2 appends something that no transmission to it was told of, under this identity.
#[test]
fn cr_05_a_second_copy_of_which_nobody_says_who_brought_it() {
    let history = |resends: bool, before: (i64, i16, i32), identity: (i64, i16, i32)| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        run.sent(0, "a");
        run.batched(0, 1);
        let sent = run.transmits_under(1, 1, 1, before);
        run.appends_under(sent, 1, 4, 0, before);
        run.copies(2, 4, 0);
        run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
        if resends {
            run.resent(1, 0, "a");
            run.batched(1, 2);
        }
        run.killed(NodeId::Broker(1));
        run.elected(2, 5, &[2], true, 1);
        run.appends_under(0, 2, 5, 1, identity);
        run.ends_with(2, &["a", "a"]);
        run
    };
    let (first, again, nobody) = ((7, 0, 0), (7, 1, 0), (-1, -1, -1));
    let found = |run: &Run| of(Kind::Duplicate, run, &idempotent());
    assert_eq!(found(&history(true, first, again)), [(1, Some(Cause::ResentByApplication), Answer::Yes)]);
    let unknown = [(1, Some(Cause::Unknown), Answer::No)];
    assert_eq!(found(&history(true, first, first)), unknown, "a leader recognises what the same batch brings again");
    assert_eq!(found(&history(false, first, again)), unknown, "the application sent it once");
    // Without idempotence nobody recognises anything.
    let resent = of(Kind::Duplicate, &history(true, nobody, nobody), &acks(-1));
    assert_eq!(resent, [(1, Some(Cause::ResentByApplication), Answer::Yes)]);
    assert_eq!(of(Kind::Duplicate, &history(false, nobody, nobody), &acks(-1))[0].1, Some(Cause::Unknown));
}

/// Broker 1 takes batch 2 first (sequence 1), as it knows nothing of the producer, or after batch 1; it refuses batch 1, and both come
/// once more under a new epoch. The answer to batch 2 had been lost.
#[test]
fn a_leader_that_takes_a_later_batch_first() {
    let judged = |in_flight: u32, takes_later_first: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1], true, 0);
        for (number, value) in [(0, "a"), (1, "b")] {
            run.sent(number, value);
            run.batched(number, number + 1);
        }
        let first = run.transmits_under(1, 1, 1, (7, 0, 0));
        if !takes_later_first {
            run.appends_under(first, 1, 4, 0, (7, 0, 0));
        }
        let later = run.transmits_under(2, 1, 1, (7, 0, 1));
        run.appends_under(later, 1, 4, 1, (7, 0, 1));
        let error = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
        run.say(NodeId::Broker(1), Fact::AppendRefused { partition: orders(), error });
        run.retries(2, RetryReason::RequestTimeout);
        let again = run.transmits_under(2, 2, 1, (7, 1, 1));
        run.appends_under(again, 1, 4, 2, (7, 1, 1));
        run.acked(1, 2, -1);
        run.ends_with(1, &["a", "b", "b"]);
        let idempotent = with_producer(acks(-1), |producer| {
            (producer.idempotence, producer.max_in_flight) = (true, in_flight);
        });
        of(Kind::Duplicate, &run, &idempotent).into_iter().map(|(_, cause, answer)| (cause, answer)).collect::<Vec<_>>()
    };
    assert_eq!(judged(5, true), [(Some(Cause::LaterBatchTakenFirst), Answer::Yes)]);
    assert_eq!(judged(1, true), [(Some(Cause::LaterBatchTakenFirst), Answer::No)]);
    assert_eq!(judged(5, false), [(Some(Cause::SequenceReset), Answer::No)]);
}

/// Broker 1 refuses batch 1, as its ISR is too small, and takes batch 2; broker 2, which has copied batch 2, leads next, refuses batch 1, and
/// both come under a new epoch. Or broker 1 had taken batch 1 before, in front of batch 2 or where that stands now.
#[test]
fn a_leader_that_has_copied_a_later_batch_that_was_taken_first() {
    let judged = |in_flight: u32, batch_1_at: Option<i64>, lost_again: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        for (number, value) in [(0, "a"), (1, "b")] {
            run.sent(number, value);
            run.batched(number, number + 1);
        }
        let first = run.transmits_under(1, 1, 1, (7, 0, 0));
        match batch_1_at {
            Some(offset) => run.appends_under(first, 1, 4, offset, (7, 0, 0)),
            None => {
                let error = ErrorCode::NOT_ENOUGH_REPLICAS;
                run.because(first, NodeId::Broker(1), Fact::AppendRefused { partition: orders(), error })
            }
        };
        let later = run.transmits_under(2, 1, 1, (7, 0, 1));
        run.appends_under(later, 1, 4, 1, (7, 0, 1));
        copies_sequence(&mut run, 2, 1);
        if lost_again {
            run.truncated(2, 2, 1, TruncationReason::Diverged);
        }
        run.elected(2, 5, &[2], true, 2);
        run.retries(1, RetryReason::Error(ErrorCode::NOT_ENOUGH_REPLICAS));
        let again = run.transmits_under(1, 2, 2, (7, 0, 0));
        let error = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
        run.because(again, NodeId::Broker(2), Fact::AppendRefused { partition: orders(), error });
        run.retries(2, RetryReason::RequestTimeout);
        let again = run.transmits_under(2, 2, 2, (7, 1, 1));
        run.appends_under(again, 2, 5, 2, (7, 1, 1));
        run.acked(1, 2, -1);
        run.ends_with(2, &["x", "b", "b"]);
        let idempotent = with_producer(acks(-1), |producer| {
            (producer.idempotence, producer.max_in_flight) = (true, in_flight);
        });
        of(Kind::Duplicate, &run, &idempotent).into_iter().map(|(_, cause, answer)| (cause, answer)).collect::<Vec<_>>()
    };
    let taken_first = |answer| [(Some(Cause::LaterBatchTakenFirst), answer)];
    assert_eq!(judged(5, None, false), taken_first(Answer::Yes));
    assert_eq!(judged(1, None, false), taken_first(Answer::No));
    assert_eq!(judged(5, Some(1), false), taken_first(Answer::Yes), "what broker 1 had taken is gone");
    let reset = [(Some(Cause::SequenceReset), Answer::No)];
    assert_eq!(judged(5, Some(0), false), reset, "batch 1 stands before batch 2");
    assert_eq!(judged(5, None, true), reset, "broker 2 has nothing of the producer");
}

/// Broker 2 leads cleanly without what broker 1 appends late; both take the batch, broker 1 is elected, and both copies were read before the log is
/// emptied by DeleteRecords.
#[test]
fn two_logs_of_which_one_was_elected_uncleanly_have_a_copy_each() {
    let judged = |clean: bool, copied: bool, unclean_allowed: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        run.sent(0, "a");
        run.batched(0, 1);
        let late = run.transmits_under(1, 1, 1, (7, 0, 0));
        run.elected(2, 5, &[2], true, 0);
        run.retries(1, RetryReason::RequestTimeout);
        let again = run.transmits_under(1, 2, 2, (7, 0, 0));
        run.appends_under(again, 2, 5, 0, (7, 0, 0));
        run.polled(0, "a");
        if copied {
            run.copies(1, 5, 0);
        }
        run.appends_under(late, 1, 4, 1, (7, 0, 0));
        run.elected(1, 6, &[1], clean, 2);
        run.polled(1, "a");
        run.deletes(1, 2, LogStartReason::DeleteRecords);
        run.acked(0, 1, -1);
        run.ends_from(Some(1), 2, &[]);
        let mut contract = with_topic(acks(-1), |topic| topic.unclean_leader_election = unclean_allowed);
        contract = with_producer(contract, |producer| producer.idempotence = true);
        of(Kind::Duplicate, &run, &contract).into_iter().map(|(_, cause, answer)| (cause, answer)).collect::<Vec<_>>()
    };
    assert_eq!(judged(false, false, true), [(Some(Cause::UncleanElection), Answer::Yes)]);
    assert_eq!(judged(false, false, false), [(Some(Cause::UncleanElection), Answer::No)]);
    let unrecognised = [(Some(Cause::DuplicateNotRecognised), Answer::No)];
    assert_eq!(judged(true, false, true), unrecognised);
    assert_eq!(judged(false, true, true), unrecognised, "broker 1 had the other copy");
}

/// A follower copies what has this sequence, which is also its offset.
fn copies_sequence(run: &mut Run, broker: i32, sequence: i32) {
    let offset = i64::from(sequence);
    run.appended(0, broker, (Role::Follower, 4), (offset, offset), (7, 0, sequence), sequence.cast_unsigned());
}

/// What became of batch 1 before broker 2 led.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Batch1 {
    CompactedBeforeCopied,
    CompactedAfterCopied,
    CopiedAndCompacted,
    NotCompacted,
}

/// Broker 1 has batches 1 and 2 and answers for neither; broker 2, which has copied batch 2, refuses batch 1, and both come once more under a new epoch.
fn copied_after_cleaning(batch_1: Batch1) -> Run {
    let mut run = Run::default();
    run.elected(1, 4, &[1], true, 0);
    for (number, value) in [(0, "a"), (1, "b")] {
        run.sent_with_key(number, "k", value);
        run.batched(number, number + 1);
        let sent = run.transmits_under(number + 1, 1, 1, (7, 0, number as i32));
        run.appends_under(sent, 1, 4, number as i64, (7, 0, number as i32));
    }
    if batch_1 == Batch1::CopiedAndCompacted {
        copies_sequence(&mut run, 2, 0);
    }
    if batch_1 == Batch1::CompactedAfterCopied {
        copies_sequence(&mut run, 2, 1);
    }
    if batch_1 != Batch1::NotCompacted {
        run.cleaned(1, 2);
    }
    copies_sequence(&mut run, 2, 1);
    run.elected(2, 5, &[2], true, 2);
    let error = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    let refused = run.transmits_under(1, 2, 2, (7, 0, 0));
    run.because(refused, NodeId::Broker(2), Fact::AppendRefused { partition: orders(), error });
    run.retries(1, RetryReason::Error(error));
    run.retries(2, RetryReason::RequestTimeout);
    for (number, attempt) in [(0, 3), (1, 2)] {
        let again = run.transmits_under(number + 1, attempt, 2, (7, 1, number as i32));
        run.appends_under(again, 2, 5, number as i64 + 2, (7, 1, number as i32));
        run.acked(number, number as i64 + 2, -1);
    }
    run.ends_with(2, &["-", "b", "a", "b"]);
    run
}

#[test]
fn a_batch_that_was_compacted_before_the_next_leader_copied_the_log() {
    let judged = |in_flight: u32, batch_1: Batch1, kind: Kind| {
        let idempotent = with_topic(acks(-1), |topic| topic.compacted = true);
        let idempotent = with_producer(idempotent, |producer| {
            (producer.idempotence, producer.max_in_flight) = (true, in_flight);
        });
        let found = of(kind, &copied_after_cleaning(batch_1), &idempotent);
        found.into_iter().map(|(_, cause, answer)| (cause, answer)).collect::<Vec<_>>()
    };
    let named = Some(Cause::BatchCompactedBeforeCopied);
    for kind in [Kind::Duplicate, Kind::Reorder] {
        assert_eq!(judged(5, Batch1::CompactedBeforeCopied, kind), [(named, Answer::Yes)], "{kind:?}");
        assert_eq!(judged(1, Batch1::CompactedBeforeCopied, kind), [(named, Answer::No)], "{kind:?}");
    }
    for other in [Batch1::CompactedAfterCopied, Batch1::CopiedAndCompacted, Batch1::NotCompacted] {
        assert_eq!(judged(5, other, Kind::Duplicate), [(Some(Cause::SequenceReset), Answer::No)], "{other:?}");
    }
}

/// Two batches leave once more, in one breath, and each is appended once more: one in the other's place is no second copy of its request.
#[test]
fn two_requests_that_leave_in_one_breath_are_told_apart() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    for (number, value) in [(0, "a"), (1, "b")] {
        run.sent(number, value);
        run.batched(number, number + 1);
        let sent = run.transmits(number + 1, 1, 1);
        run.appends(sent, 1, 4, number as i64);
    }
    for batch in [1, 2] {
        run.retries(batch, RetryReason::Disconnected);
    }
    let again = [2, 1].map(|batch| run.at(5_000).transmits(batch, 2, 1));
    for (sent, offset) in again.into_iter().zip(2..) {
        run.appends(sent, 1, 4, offset);
    }
    run.acked(0, 3, -1);
    run.acked(1, 2, -1);
    run.ends_with(1, &["a", "b", "b", "a"]);
    let found = of(Kind::ReplayReorder, &run, &with_producer(acks(-1), |producer| producer.idempotence = false));
    assert_eq!(found, [(3, Some(Cause::ResentAfterLostResponse), Answer::Yes)]);
}

/// Batch 1 is repeated on its way, and its first copy is deleted: what came once more is out of order.
#[test]
fn a_repeated_request_of_which_the_first_copy_is_gone() {
    let judged = |repeats: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        for (number, value) in [(0, "a"), (1, "b")] {
            run.sent(number, value);
            run.batched(number, number + 1);
        }
        let first = run.transmits(1, 1, 1);
        if repeats {
            run.appends(first, 1, 4, 0);
        }
        let second = run.transmits(2, 1, 1);
        run.appends(second, 1, 4, 1);
        run.appends(first, 1, 4, 2);
        run.acked(0, 0, 1);
        run.acked(1, 1, 1);
        run.ends_from(Some(1), 1, &["b", "a"]);
        of(Kind::Reorder, &run, &with_producer(acks(1), |producer| producer.max_in_flight = 1))
    };
    assert_eq!(judged(true), [(2, Some(Cause::RequestDeliveredTwice), Answer::Yes)]);
    assert_eq!(judged(false), [(2, Some(Cause::Unknown), Answer::No)]);
}

/// Batches 1 and 2 wait in their connection, and something between repeats the second on another one, which overtakes them.
#[test]
fn a_repetition_that_overtakes_what_waits_in_the_connection() {
    let judged = |again: bool, repeats: bool, answered: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        for (number, value) in [(0, "a"), (1, "b")] {
            run.sent(number, value);
            run.batched(number, number + 1);
        }
        let (first, second) = (run.transmits(1, 1, 1), run.transmits(2, 1, 1));
        if repeats {
            run.say(CONTROLLER, Fact::FaultInjected { fault: 1, what: "message fault 1".into() });
            run.say(P1, Fact::FaultBit { fault: 1, what: "repeated Produce request from p1 to broker 1".into() });
        }
        run.appends(second, 1, 4, 0);
        run.appends(first, 1, 4, 1);
        run.acked(0, 1, 1);
        let mut log = vec!["b", "a"];
        if again {
            run.appends(second, 1, 4, 2);
            log.push("b");
        }
        if answered {
            run.acked(1, 0, 1);
        } else {
            run.failed(1, ErrorCode::CLIENT_DISCONNECTED);
        }
        run.ends_from(Some(1), 0, &log);
        of(Kind::Reorder, &run, &with_producer(acks(1), |producer| producer.retries = 0))
    };
    let twice = [(1, Some(Cause::RequestDeliveredTwice), Answer::Yes)];
    assert_eq!(judged(true, true, true), twice);
    assert_eq!(judged(true, false, true), twice, "the log says it");
    assert_eq!(judged(false, true, false), twice, "the request itself was lost, and nobody answered it");
    let unknown = [(1, Some(Cause::Unknown), Answer::No)];
    assert_eq!(
        judged(false, true, true),
        unknown,
        "it is there once, and was answered: nothing but itself was appended"
    );
    assert_eq!(judged(false, false, false), unknown, "nothing repeats requests");
}

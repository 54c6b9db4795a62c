//! Offsets that were given out again: what was done with the old records, and what became of the new ones.

use ackproof_core::fact::{Fact, LogStartReason, ResetReason, Role, TruncationReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{NodeId, Offset, TopicPartition};
use ackproof_reports::{Answer, Cause, Contract, Kind};

use super::deliveries::{C2, assigned, committed, loaded, lost, reads, twice, wrote};
use super::run::{C1, P1, Run, acks, group, of, orders, p1, processed, with_topic};
use super::shares;

/// Record after record from this offset on, in the epoch of this leader; each has the number of its letter.
fn writes(run: &mut Run, leader: i32, epoch: i32, offset: i64, values: &[&str]) {
    for (offset, value) in (offset..).zip(values) {
        let number = u64::from(value.as_bytes()[0]);
        run.sent_and_appended(number, value, leader, epoch, offset);
        run.acked(number, offset, -1);
    }
}

/// Brokers 1 and then 2 lead; broker 2 has nothing from this offset on.
fn loses_its_end(run: &mut Run, log_end: i64) {
    run.killed(NodeId::Broker(1));
    run.elected(2, 5, &[2], false, log_end);
}

fn first_log(values: &[&str]) -> Run {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2], true, 0);
    writes(&mut run, 1, 4, 0, values);
    run
}

/// A consumer has read six records, of which three are lost, and does not see that others stand there.
#[test]
fn who_read_further_before_the_log_lost_its_end_has_not_read_the_new_records() {
    let history = |reads_on: bool, is_late: bool| {
        let mut run = first_log(&["a", "b", "c", "d", "e", "f"]);
        if is_late {
            loses_its_end(&mut run, 3);
        }
        for (offset, value) in (0..).zip(["a", "b", "c", "d", "e", "f"]) {
            run.polled(offset, value);
        }
        if !is_late {
            loses_its_end(&mut run, 3);
        }
        writes(&mut run, 2, 5, 3, &["x", "y", "z", "w"]);
        if reads_on {
            run.polled(6, "w");
        }
        run.ends_with(2, &["a", "b", "c", "x", "y", "z", "w"]);
        of(Kind::Unseen, &run, &group(|consumer| consumer.validates_position = false))
    };
    let unnoticed = [3, 4, 5].map(|offset| (offset, Some(Cause::TruncationUnnoticed), Answer::Yes));
    assert_eq!(history(false, false), [], "they may only be late");
    assert_eq!(history(true, false), unnoticed);
    assert_eq!(history(true, true), unnoticed, "what it had fetched before was returned when there was another leader");
}

/// c1 begins at offset 0 and fetches a and o. It is given them when broker 2, which never had them, has written b and c there; or some of it before.
#[test]
fn what_was_fetched_where_a_position_had_been_set_is_given_when_others_stand_there() {
    let history = |reason: ResetReason, is_set_late: bool, read_before: i64| {
        let mut run = first_log(&["a", "o"]);
        if !is_set_late {
            run.repositioned(-1, 0, reason);
        }
        for (offset, value) in (0..read_before).zip(["a", "o"]) {
            run.polled(offset, value);
        }
        loses_its_end(&mut run, 0);
        if is_set_late {
            run.repositioned(-1, 0, reason);
        }
        writes(&mut run, 2, 5, 0, &["b", "c", "d"]);
        for (offset, value) in (0..2).zip(["a", "o"]).filter(|(offset, _)| *offset >= read_before) {
            run.polled(offset, value);
        }
        run.polled(2, "d");
        run.ends_with(2, &["b", "c", "d"]);
        of(Kind::Unseen, &run, &group(|consumer| consumer.validates_position = true))
    };
    let both = |cause: Cause, answer: Answer| [0, 1].map(|offset| (offset, Some(cause), answer));
    let unnoticed = both(Cause::TruncationUnnoticed, Answer::No);
    for reason in [ResetReason::NoPosition, ResetReason::Seek] {
        assert_eq!(history(reason, false, 0), both(Cause::BufferedWithoutEpoch, Answer::Yes));
    }
    assert_eq!(history(ResetReason::Committed, false, 0), unnoticed, "a committed position has an epoch");
    assert_eq!(history(ResetReason::NoPosition, false, 1), unnoticed, "it has the epoch of what it was given");
    assert_eq!(history(ResetReason::NoPosition, false, 2), unnoticed, "it has the epoch of what it was given");
    assert_eq!(history(ResetReason::NoPosition, true, 0), unnoticed, "the log had been cut by then");
}

/// A cleaner took b before c1 got there; the log is lost, and x to z stand there later.
#[test]
fn what_was_written_later_at_an_offset_was_not_passed_over() {
    let history = |is_lost: bool| {
        let mut run = first_log(&["a", "b", "c"]);
        run.polled(0, "a");
        run.at(5_000);
        run.polled(2, "c");
        run.at(9_000);
        if is_lost {
            loses_its_end(&mut run, 0);
            writes(&mut run, 2, 5, 0, &["x", "y", "z"]);
            run.ends_with(2, &["x", "y", "z"]);
        } else {
            run.ends_with(1, &["a", "b", "c"]);
        }
        of(Kind::PollSkip, &run, &acks(-1)).len()
    };
    assert_eq!((history(true), history(false)), (0, 1));
}

/// c1 has read four records; it hears that its group is gone, or does not, before the log loses two of them and d stands there again.
#[test]
fn who_reads_no_more_since_the_log_lost_its_end_has_not_overlooked_that() {
    let history = |gives_up: bool| {
        let mut run = first_log(&["a", "b", "c", "d"]);
        for (offset, value) in (0..).zip(["a", "b", "c", "d"]) {
            run.polled(offset, value);
        }
        run.killed(C2);
        if gives_up {
            let (partition, position) = (TopicPartition::of("-", -1), Offset::NONE);
            let error = ErrorCode::GROUP_ID_NOT_FOUND;
            run.say(C1, Fact::PollFailed { partition, position, error });
        }
        loses_its_end(&mut run, 2);
        writes(&mut run, 2, 5, 2, &["x"]);
        run.appends(0, 2, 5, 3);
        run.ends_with(2, &["a", "b", "x", "d"]);
        of(Kind::Unseen, &run, &group(|consumer| consumer.validates_position = true))
    };
    assert_eq!(history(true), [(2, Some(Cause::ConsumerGaveUp), Answer::Yes)]);
    assert_eq!(history(false), [(2, Some(Cause::TruncationUnnoticed), Answer::No)]);
}

/// c1 has read a and b of epoch 7 or 4, and broker 1, which wrote w to z there in epoch 5, leads next.
#[test]
fn where_an_older_epoch_reaches_as_far_nothing_shows_that_the_log_is_another_one() {
    let history = |read_epoch: i32| {
        let mut run = Run::default();
        let values = ["w", "x", "y", "z"];
        run.elected(1, 3, &[1, 2], true, 0);
        run.elected(2, read_epoch, &[2], true, 0);
        if read_epoch > 5 {
            writes(&mut run, 1, 5, 0, &values);
        }
        writes(&mut run, 2, read_epoch, 0, &["a", "b"]);
        run.polled(0, "a");
        run.polled(1, "b");
        if read_epoch > 5 {
            run.elected(1, 8, &[1], false, 4);
        } else {
            run.elected(1, 5, &[1], false, 0);
            writes(&mut run, 1, 5, 0, &values);
        }
        run.truncated(2, 2, 0, TruncationReason::Diverged);
        run.polled(2, "y");
        run.polled(3, "z");
        run.ends_with(1, &values);
        of(Kind::Unseen, &run, &group(|consumer| consumer.validates_position = true))
    };
    let both = |cause: Cause, answer: Answer| [0, 1].map(|offset| (offset, Some(cause), answer));
    assert_eq!(history(7), both(Cause::OlderEpochReachesFurther, Answer::Yes));
    assert_eq!(history(4), both(Cause::TruncationUnnoticed, Answer::No));
}

/// c1 has read a and o and is sent on to offset 5; broker 2, which never had them, writes b to g.
#[test]
fn who_was_sent_on_before_the_log_lost_its_end_does_not_see_it() {
    let history = |reason: Option<ResetReason>, reads_there: bool| {
        let mut run = first_log(&["a", "o", "p", "q", "r", "s"]);
        assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
        for (offset, value) in (0..).zip(["a", "o"]) {
            run.polled(offset, value);
            processed(&mut run, C1, offset);
        }
        if let Some(reason) = reason {
            run.repositioned(2, 5, reason);
        }
        if reads_there {
            run.polled(5, "s");
            processed(&mut run, C1, 5);
        }
        loses_its_end(&mut run, 0);
        writes(&mut run, 2, 5, 0, &["b", "c", "d", "e", "f", "g", "h"]);
        run.polled(6, "h");
        processed(&mut run, C1, 6);
        committed(&mut run, 7);
        run.ends_with(2, &["b", "c", "d", "e", "f", "g", "h"]);
        let found = of(Kind::LostDelivery, &run, &group(|consumer| consumer.validates_position = true));
        found
            .into_iter()
            .filter(|(offset, ..)| *offset < 2)
            .map(|(_, cause, answer)| (cause, answer))
            .collect::<Vec<_>>()
    };
    let unnoticed = [(Some(Cause::TruncationUnnoticed), Answer::No); 2];
    let permitted = [(Some(Cause::PositionWithoutEpoch), Answer::Yes); 2];
    assert_eq!(history(Some(ResetReason::OutOfRange), false), permitted);
    assert_eq!(history(Some(ResetReason::OutOfRange), true), unnoticed, "it has the epoch of what it was given");
    assert_eq!(history(Some(ResetReason::Committed), false), unnoticed, "a committed position has an epoch");
    assert_eq!(history(None, false), unnoticed, "it has the epoch of what it was given");
}

/// What c1 did with the old records, in one of these ways; some of it when the new ones are there.
#[derive(Clone, Copy, Debug)]
enum Old {
    Processed,
    Committed,
    Stored,
    InBuffer,
    CommittedLate,
}

/// Records b, c and d stand behind a, where c1 had had others.
fn worked_on(old: Old) -> Run {
    let mut run = first_log(&["a", "o", "p"]);
    assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
    reads(&mut run, 0, "a");
    for (offset, value) in [(1, "o"), (2, "p")] {
        run.polled(offset, value);
    }
    let processes = |run: &mut Run| (1..3).for_each(|offset| processed(run, C1, offset));
    match old {
        Old::Processed | Old::CommittedLate => processes(&mut run),
        Old::Committed => committed(&mut run, 3),
        Old::Stored => wrote(&mut run, 1, 3, &[1, 2], 2),
        Old::InBuffer => {}
    }
    loses_its_end(&mut run, 1);
    writes(&mut run, 2, 5, 1, &["b", "c", "d"]);
    match old {
        Old::InBuffer => processes(&mut run),
        // It was under way.
        Old::CommittedLate => committed(&mut run, 3),
        Old::Processed | Old::Committed | Old::Stored => {}
    }
    run
}

/// The offsets that the group has missed at the end.
fn missed(mut run: Run) -> Vec<i64> {
    run.ends_with(2, &["a", "b", "c", "d"]);
    let contract = group(|_| {});
    assert_eq!(twice(&run, &contract), []);
    lost(&run, &contract).iter().map(|(offset, ..)| *offset).collect()
}

#[test]
fn nobody_is_past_a_new_record_because_it_was_past_the_old_one() {
    for old in [Old::Processed, Old::Committed, Old::Stored, Old::InBuffer, Old::CommittedLate] {
        assert_eq!(missed(worked_on(old)), [0; 0], "{old:?}: they may only be late");
        let mut run = worked_on(old);
        match old {
            Old::Stored => wrote(&mut run, 2, 4, &[3], 2),
            _ => reads(&mut run, 3, "d"),
        }
        assert_eq!(missed(run), [1, 2], "{old:?}: the group goes on behind them");
        let mut run = worked_on(old);
        let (group, partition, to) = (Some("billing".into()), orders(), Some("orders-dlt".into()));
        run.polled(3, "d");
        run.say(C1, Fact::GaveUp { group, partition, offset: Offset(3), to });
        assert_eq!(missed(run), [1, 2], "{old:?}: it hands on what is behind them");
    }
}

/// Who goes on behind them by what a store lost again has not gone on.
#[test]
fn a_store_passes_new_records_by_what_it_has_at_the_end() {
    let history = |kept: u64| {
        let mut run = worked_on(Old::Stored);
        wrote(&mut run, 2, 4, &[3], 2);
        loaded(&mut run, kept);
        missed(run)
    };
    assert_eq!(history(2), [1, 2]);
    assert_eq!(history(1), [0; 0]);
}

/// A share group accepts offset 2 and its member dies with it, or the log loses the record afterwards.
#[test]
fn a_share_group_takes_another_record_for_the_one_that_it_has_acknowledged() {
    let history = |is_replaced: bool| {
        let mut run = first_log(&["a", "b", "o"]);
        shares::loaded(&mut run, 0, false);
        for offset in 0..3 {
            shares::polled(&mut run, C1, offset, 1);
            if offset < 2 || is_replaced {
                processed(&mut run, C1, offset);
            }
            shares::accepted(&mut run, offset);
        }
        if is_replaced {
            loses_its_end(&mut run, 2);
            writes(&mut run, 2, 5, 2, &["c"]);
        }
        run.ends_with(2, &["a", "b", if is_replaced { "c" } else { "o" }]);
        of(Kind::LostDelivery, &run, &group(|_| {}))
    };
    assert_eq!(history(true), [(2, Some(Cause::LogReplaced), Answer::Yes)]);
    assert_eq!(history(false), [(2, Some(Cause::AcknowledgedBeforeProcessed), Answer::No)]);
}

fn is_committed(run: &mut Run, leader: i32, to: i64) {
    let (from, to, role) = (Offset(0), Offset(to), Role::Leader);
    run.say(NodeId::Broker(leader), Fact::HighWatermarkAdvanced { partition: orders(), role, from, to });
}

/// Brokers 1 and 2 lose all that they have, and broker 1 leads on in the next epoch.
fn lose_all(run: &mut Run, epoch: i32) {
    run.lost_power(1);
    run.lost_power(2);
    run.loaded(1, 0);
    run.loaded(2, 0);
    run.elected(1, epoch, &[1, 2], true, 0);
}

fn lost_writes(run: &Run, contract: &Contract) -> Vec<(u64, Option<Cause>, Answer)> {
    let (judgement, _) = run.explain(contract);
    let found = judgement.of_kind(Kind::LostWrite);
    found.map(|one| (one.record.map_or(0, |record| record.number), one.cause, one.permitted.answer)).collect()
}

/// The operator deletes what is committed while its acknowledgement is under way; then the log is lost, and begins at 0 again.
#[test]
fn what_is_deleted_before_its_acknowledgement_arrives_is_not_lost() {
    let history = |deletes: bool, writes_again: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        run.sent_and_appended(0, "a", 1, 4, 0);
        is_committed(&mut run, 1, 1);
        if deletes {
            run.deletes(1, 1, LogStartReason::DeleteRecords);
        }
        run.acked(0, 0, -1);
        lose_all(&mut run, 5);
        if writes_again {
            run.sent_and_appended(1, "b", 1, 5, 0);
            run.acked(1, 0, -1);
            lose_all(&mut run, 6);
        }
        run.ends_with(1, &[]);
        run
    };
    let power = |number| (number, Some(Cause::UnsyncedDataLostWithPower), Answer::Yes);
    let contract = acks(-1);
    assert_eq!(lost_writes(&history(true, false), &contract), []);
    assert_eq!(lost_writes(&history(false, false), &contract), [power(0)]);
    assert_eq!(lost_writes(&history(true, true), &contract), [power(1)], "the second stood there after the deletion");
    assert_eq!(history(true, true).judge(&contract).counts.removed, 1);
}

/// Broker 1 does not know that broker 2 leads, appends a where b stands, and answers; or it had appended and answered before, and its answer
/// is late. Then an operator deletes what is committed; b is back with an older start of the log, or stays deleted.
#[test]
fn what_a_deposed_leader_appended_was_not_deleted_where_another_record_stood() {
    let judged = |is_late: bool, is_back: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        let appends_a = |run: &mut Run| {
            run.sent_and_appended(0, "a", 1, 4, 0);
            let (partition, to, base_offset) = (orders(), P1, Offset(0));
            let answer = Fact::ProduceAnswered { partition, to, base_offset, acks: 1, error: ErrorCode::NONE };
            run.say(NodeId::Broker(1), answer)
        };
        let before = is_late.then(|| appends_a(&mut run));
        run.elected(2, 5, &[2], true, 0);
        run.sent_and_appended(1, "b", 2, 5, 0);
        run.acked(1, 0, 1);
        let answer = before.unwrap_or_else(|| appends_a(&mut run));
        let (record, partition, offset) = (p1(0), orders(), Offset(0));
        run.because(answer, P1, Fact::RecordAcknowledged { record, partition, offset, acks: 1 });
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        is_committed(&mut run, 2, 1);
        run.deletes(2, 1, LogStartReason::DeleteRecords);
        match is_back {
            true => run.ends_with(2, &["b"]),
            false => run.ends_from(Some(2), 1, &[]),
        };
        let removed = run.judge(&acks(1)).counts.removed;
        (lost_writes(&run, &acks(1)), of(Kind::InconsistentOffsets, &run, &acks(1)), removed)
    };
    let because = Some(Cause::AcknowledgedBeforeReplicated);
    let lost = (vec![(0, because, Answer::Yes)], vec![(0, because, Answer::Yes)]);
    for is_late in [false, true] {
        let (writes, offsets, removed) = judged(is_late, true);
        assert_eq!((writes, offsets), lost, "{is_late}");
        assert_eq!(removed, 0, "b is there");
        let (writes, offsets, removed) = judged(is_late, false);
        assert_eq!((writes, offsets), lost, "{is_late}");
        assert_eq!(removed, 1, "b was deleted by the rules, a was not");
    }
}

/// The next leader has what the one before had answered for; the answer is late, and the record deleted by the rules.
#[test]
fn what_the_next_leader_has_is_deleted_whoever_answered_for_it() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2], true, 0);
    run.sent_and_appended(0, "a", 1, 4, 0);
    let (partition, to, base_offset) = (orders(), P1, Offset(0));
    let answer = Fact::ProduceAnswered { partition, to, base_offset, acks: 1, error: ErrorCode::NONE };
    let answer = run.say(NodeId::Broker(1), answer);
    run.copies(2, 4, 0);
    run.elected(2, 5, &[2], true, 1);
    run.sent_and_appended(1, "b", 2, 5, 1);
    run.acked(1, 1, 1);
    let (record, partition, offset) = (p1(0), orders(), Offset(0));
    run.because(answer, P1, Fact::RecordAcknowledged { record, partition, offset, acks: 1 });
    is_committed(&mut run, 2, 2);
    run.deletes(2, 1, LogStartReason::DeleteRecords);
    run.ends_from(Some(2), 1, &["b"]);
    assert_eq!(lost_writes(&run, &acks(1)), []);
    assert_eq!(run.judge(&acks(1)).counts.removed, 1);
}

/// Nothing of it was committed when it was deleted, before it was written or after.
#[test]
fn a_deletion_from_before_the_append_took_nothing_of_it() {
    let history = |deletes_again: bool| {
        let mut run = first_log(&["a"]);
        is_committed(&mut run, 1, 1);
        run.deletes(1, 1, LogStartReason::DeleteRecords);
        lose_all(&mut run, 5);
        is_committed(&mut run, 1, 0);
        writes(&mut run, 1, 5, 0, &["b"]);
        match deletes_again {
            true => drop(run.deletes(1, 1, LogStartReason::DeleteRecords)),
            false => lose_all(&mut run, 6),
        }
        run.ends_with(1, &[]);
        assert_eq!(run.judge(&acks(-1)).of_kind(Kind::LostWrite).next().and_then(|lost| lost.record), Some(p1(98)));
        lost_writes(&run, &acks(-1))
    };
    assert_eq!(history(true), [(98, Some(Cause::DeletedBeforeCommit), Answer::No)]);
    assert_eq!(history(false), [(98, Some(Cause::UnsyncedDataLostWithPower), Answer::Yes)]);
}

/// A cleaner had kept a; broker 2, which lacks it, is elected uncleanly and gives its offset to b; broker 3, which has b, finds a torn batch behind
/// it, leads in the end, and has b still.
#[test]
fn what_stands_in_the_log_is_not_the_one_that_is_gone() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    run.sent_with_key(0, "k", "a");
    run.batched(0, 1);
    let sent = run.transmits(1, 1, 1);
    run.appends(sent, 1, 4, 0);
    run.acked(0, 0, -1);
    run.cleaned(1, 1);
    run.killed(NodeId::Broker(1));
    run.elected(2, 5, &[2, 3], false, 0);
    run.sent_with_key(1, "l", "b");
    run.batched(1, 2);
    let sent = run.transmits(2, 1, 2);
    run.appends(sent, 2, 5, 0);
    run.copies(3, 5, 0);
    run.acked(1, 0, -1);
    run.truncated(3, 1, 1, TruncationReason::CorruptTail);
    run.elected(3, 6, &[2, 3], true, 1);
    run.surveyed_with_key(&orders(), 3, &[(Some("l"), "b")]);
    let contract = with_topic(acks(-1), |topic| topic.compacted = true);
    let found = of(Kind::InconsistentOffsets, &run, &contract);
    assert_eq!(found, [(0, Some(Cause::UncleanElection), Answer::No)]);
}

//! What share groups did with records: for each cause a guilty history and an innocent one.

use ackproof_core::fact::{Fact, ShareReason, ShareState};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{NodeId, Offset, TopicPartition};
use ackproof_reports::{Answer, Cause, Kind};

use super::run::{C1, Run, group, of, orders, payload, processed};

const C2: NodeId = NodeId::Client(3);
const LEADER: NodeId = NodeId::Broker(1);

pub(super) fn loaded(run: &mut Run, start: i64, known: bool) {
    let (group, partition, start) = ("billing".into(), orders(), Offset(start));
    run.say(LEADER, Fact::SharePartitionLoaded { group, partition, start, known, in_flight: 0 });
}

pub(super) fn polled(run: &mut Run, member: NodeId, offset: i64, delivery_count: u16) {
    let (group, partition, offset) = ("billing".into(), orders(), Offset(offset));
    run.say(member, Fact::SharePolled { group, partition, offset, delivery_count, key: None, value: None });
}

fn failed(run: &mut Run, member: NodeId, offset: i64) {
    let (group, partition, offset) = (Some("billing".into()), orders(), Offset(offset));
    run.say(member, Fact::ProcessingFailed { group, partition, offset, attempt: 1 });
}

fn changed(run: &mut Run, offset: i64, state: ShareState, reason: ShareReason) {
    let (first, last) = (Offset(offset), Offset(offset));
    let (group, member, partition) = ("billing".into(), "m".into(), orders());
    run.say(
        LEADER,
        Fact::ShareStateChanged { group, partition, member, first, last, state, delivery_count: 1, reason },
    );
}

pub(super) fn accepted(run: &mut Run, offset: i64) {
    changed(run, offset, ShareState::Acknowledged, ShareReason::Accepted);
}

/// Three records written and acknowledged; the group begins at `start`, and c1 gets what there is.
fn written(start: i64) -> Run {
    let mut run = Run::default();
    for (number, value) in (0..).zip(["a", "b", "c"]) {
        run.sent(number, value);
        run.acked(number, number as i64, -1);
    }
    loaded(&mut run, start, false);
    for offset in start..3 {
        polled(&mut run, C1, offset, 1);
    }
    run
}

/// The last two records are processed and accepted.
fn ended(mut run: Run) -> Run {
    for offset in 1..3 {
        processed(&mut run, C1, offset);
        accepted(&mut run, offset);
    }
    run.ends_with(1, &["a", "b", "c"]);
    run
}

fn lost(run: &Run) -> Vec<(i64, Option<Cause>, Answer)> {
    of(Kind::LostDelivery, run, &group(|_| {}))
}

fn twice(run: &Run) -> Vec<(i64, Option<Cause>, Answer)> {
    of(Kind::DuplicateDelivery, run, &group(|_| {}))
}

#[test]
fn everything_is_processed_and_accepted_in_any_order() {
    let mut run = written(0);
    for offset in [2, 0, 1] {
        processed(&mut run, C1, offset);
        accepted(&mut run, offset);
    }
    run.ends_with(1, &["a", "b", "c"]);
    assert_eq!((lost(&run), twice(&run)), (vec![], vec![]));
}

#[test]
fn gr_14_a_lock_expires() {
    let stalls = |late: bool| {
        let mut run = written(0);
        changed(&mut run, 0, ShareState::Available, ShareReason::LockExpired);
        polled(&mut run, C2, 0, 2);
        processed(&mut run, C2, 0);
        accepted(&mut run, 0);
        if late {
            processed(&mut run, C1, 0);
            let (group, partition, first, last) = ("billing".into(), orders(), Offset(0), Offset(0));
            let (member, error) = ("m".into(), ErrorCode::INVALID_RECORD_STATE);
            run.say(LEADER, Fact::ShareAcknowledgeRefused { group, partition, member, first, last, error });
        }
        ended(run)
    };
    assert_eq!(twice(&stalls(true)), [(0, Some(Cause::AcquisitionLockExpired), Answer::Yes)]);
    assert_eq!(lost(&stalls(true)), []);
    assert_eq!(twice(&stalls(false)), [], "the first member has done nothing with it");
    let upserts = group(|consumer| consumer.upserts = true);
    assert_eq!(of(Kind::DuplicateDelivery, &stalls(true), &upserts), [], "an upsert takes each record once");
}

#[test]
fn gr_14_a_record_is_archived_after_its_last_delivery() {
    let gives_back = |times: u16, last: ShareState| {
        let mut run = written(0);
        for delivery in 1..=times {
            failed(&mut run, C1, 0);
            let is_last = delivery == times;
            let state = if is_last { last } else { ShareState::Available };
            changed(&mut run, 0, state, ShareReason::Released);
            if !is_last {
                polled(&mut run, C1, 0, delivery + 1);
            }
        }
        ended(run)
    };
    let archived = gives_back(5, ShareState::Archived);
    assert_eq!(lost(&archived), [(0, Some(Cause::DeliveryLimitReached), Answer::Yes)]);
    assert_eq!(twice(&archived), []);
    assert_eq!(lost(&gives_back(4, ShareState::Available)), [], "somebody may still get it");
}

#[test]
fn gr_14_a_program_rejects_a_record() {
    let ends = |reason: ShareReason| {
        let mut run = written(0);
        failed(&mut run, C1, 0);
        match reason {
            ShareReason::Rejected => changed(&mut run, 0, ShareState::Archived, reason),
            _ => {
                processed(&mut run, C1, 0);
                accepted(&mut run, 0);
            }
        }
        ended(run)
    };
    assert_eq!(lost(&ends(ShareReason::Rejected)), [(0, Some(Cause::RejectedByProgram), Answer::Yes)]);
    assert_eq!(lost(&ends(ShareReason::Accepted)), [], "it succeeds the second time");
}

#[test]
fn a_program_accepts_what_it_has_not_processed() {
    let gave_up = |to: Option<&str>| {
        let mut run = written(0);
        failed(&mut run, C1, 0);
        let (group, partition, to) = (Some("billing".into()), orders(), to.map(str::to_owned));
        run.say(C1, Fact::GaveUp { group, partition, offset: Offset(0), to });
        accepted(&mut run, 0);
        ended(run)
    };
    assert_eq!(lost(&gave_up(None)), [(0, Some(Cause::SwallowedByProgram), Answer::Yes)]);
    assert_eq!(lost(&gave_up(Some("orders-dlt"))), [], "the other topic has it");
}

#[test]
fn accepted_by_the_next_poll_and_never_processed() {
    let hands_over = |dies: bool| {
        let mut run = written(0);
        accepted(&mut run, 0);
        if dies {
            run.say(C1, Fact::NodeKilled);
        } else {
            processed(&mut run, C1, 0);
        }
        for offset in 1..3 {
            polled(&mut run, C2, offset, 2);
            processed(&mut run, C2, offset);
            accepted(&mut run, offset);
        }
        run.ends_with(1, &["a", "b", "c"]);
        run
    };
    let cause = Some(Cause::AcknowledgedBeforeProcessed);
    assert_eq!(lost(&hands_over(true)), [(0, cause, Answer::No)]);
    let at_most_once = group(|consumer| consumer.commits_before_processing = true);
    assert_eq!(of(Kind::LostDelivery, &hands_over(true), &at_most_once), [(0, cause, Answer::Yes)]);
    assert_eq!(lost(&hands_over(false)), []);
}

#[test]
fn a_member_dies_with_what_it_has_done() {
    let dies = |after_processing: bool| {
        let mut run = written(0);
        if after_processing {
            processed(&mut run, C1, 0);
        }
        run.say(C1, Fact::NodeKilled);
        for offset in 0..3 {
            changed(&mut run, offset, ShareState::Available, ShareReason::SessionClosed);
            polled(&mut run, C2, offset, 1);
            processed(&mut run, C2, offset);
            accepted(&mut run, offset);
        }
        run.ends_with(1, &["a", "b", "c"]);
        run
    };
    assert_eq!(twice(&dies(true)), [(0, Some(Cause::ProcessedBeforeAcknowledged), Answer::Yes)]);
    assert_eq!(twice(&dies(false)), []);
}

#[test]
fn another_leader_knows_what_was_acknowledged_and_no_more() {
    let fails_over = |acknowledged: bool| {
        let mut run = written(0);
        processed(&mut run, C1, 0);
        if acknowledged {
            accepted(&mut run, 0);
        }
        loaded(&mut run, 0, true);
        polled(&mut run, C2, 0, 1);
        processed(&mut run, C2, 0);
        accepted(&mut run, 0);
        ended(run)
    };
    assert_eq!(twice(&fails_over(false)), [(0, Some(Cause::AcquisitionForgotten), Answer::Yes)]);
    assert_eq!(twice(&fails_over(true)), [(0, Some(Cause::GroupForgotten), Answer::Yes)]);
}

#[test]
fn a_group_that_begins_at_the_end_never_gets_what_was_there() {
    let begins = |start: i64, latest: bool| {
        let mut run = written(start);
        if start == 0 {
            processed(&mut run, C1, 0);
            accepted(&mut run, 0);
        }
        of(Kind::LostDelivery, &ended(run), &group(|consumer| consumer.resets_to_latest = latest))
    };
    assert_eq!(begins(1, true), [(0, Some(Cause::PositionReset), Answer::Yes)]);
    assert_eq!(begins(0, true), []);
}

/// Nothing had been written of the group when its leader died: the next one begins at the end of the log, as `latest` says.
#[test]
fn another_leader_begins_at_the_end_again() {
    let fails_over = |known: bool, dies: bool| {
        let mut run = written(0);
        if known {
            processed(&mut run, C1, 0);
            accepted(&mut run, 0);
        }
        if dies {
            run.say(C1, Fact::NodeKilled);
        } else {
            for offset in i64::from(known)..3 {
                processed(&mut run, C1, offset);
            }
        }
        loaded(&mut run, if known { 1 } else { 3 }, known);
        for offset in i64::from(known)..3 {
            if known && dies {
                polled(&mut run, C2, offset, 1);
                processed(&mut run, C2, offset);
                accepted(&mut run, offset);
            }
        }
        run.ends_with(1, &["a", "b", "c"]);
        of(Kind::LostDelivery, &run, &group(|consumer| consumer.resets_to_latest = true))
    };
    let lost = |offset| (offset, Some(Cause::PositionReset), Answer::Yes);
    assert_eq!(fails_over(false, true), [lost(0), lost(1), lost(2)]);
    assert_eq!(fails_over(false, false), [], "the member has done what it had in hand");
    assert_eq!(fails_over(true, true), [], "the next one knows where the group is");
}

/// Records a, b and c, all of key k3; members have done them in this order.
fn done(by: &[(NodeId, i64)]) -> Run {
    let mut run = Run::default();
    for (number, value) in (0..).zip(["a", "b", "c"]) {
        run.sent_with_key(number, "k3", value);
        run.acked(number, number as i64, -1);
    }
    loaded(&mut run, 0, false);
    for (member, offset) in [(C1, 0), (C2, 1), (C1, 2)] {
        polled(&mut run, member, offset, 1);
    }
    for (member, offset) in by {
        processed(&mut run, *member, *offset);
        accepted(&mut run, *offset);
    }
    run.ends_with(1, &["a", "b", "c"]);
    run
}

#[test]
fn members_have_records_of_one_key_at_the_same_time() {
    let reordered = |run: &Run, contract: &_| of(Kind::EffectReorder, run, contract);
    let last_wins = group(|consumer| (consumer.upserts, consumer.last_wins) = (true, true));
    let overtaken = done(&[(C2, 1), (C1, 0), (C1, 2)]);
    assert_eq!(reordered(&overtaken, &last_wins), [(0, Some(Cause::SharedWithoutOrder), Answer::Yes)]);
    assert_eq!(reordered(&done(&[(C1, 0), (C2, 1), (C1, 2)]), &last_wins), [], "nobody was overtaken");
    let versioned = group(|consumer| (consumer.upserts, consumer.versioned) = (true, true));
    assert_eq!(reordered(&overtaken, &versioned), [], "an older value changes nothing");
    assert_eq!(reordered(&overtaken, &group(|_| {})), [], "each effect is there for itself, and no order is promised");
}

/// A member of the share group gets this value there.
fn got(run: &mut Run, offset: i64, value: &str) {
    let (group, partition, offset) = ("billing".into(), orders(), Offset(offset));
    let fact = Fact::SharePolled { group, partition, offset, delivery_count: 1, key: None, value: payload(value) };
    run.say(C1, fact);
}

fn unseen(run: &Run) -> Vec<(i64, Option<Cause>, Answer)> {
    of(Kind::Unseen, run, &group(|_| {}))
}

/// Two records are written and read, and lost; the next leader writes others in their place, and a member gets some of them. `plain`: a
/// consumer without a group has read the first two as well.
fn written_anew(reads: std::ops::Range<i64>, plain: bool) -> Vec<(i64, Option<Cause>, Answer)> {
    let mut run = Run::default();
    run.elected(1, 1, &[1, 2, 3], true, 0);
    for (offset, value) in (0..).zip(["a", "b"]) {
        run.sent_and_appended(offset as u64, value, 1, 1, offset);
        run.acked(offset as u64, offset, -1);
        got(&mut run, offset, value);
        if plain {
            run.polled(offset, value);
        }
    }
    run.lost_power(1);
    run.elected(2, 2, &[2], false, 0);
    let values = ["c", "d", "e"];
    for (offset, value) in (0..).zip(values) {
        run.sent_and_appended(offset as u64 + 2, value, 2, 2, offset);
        run.acked(offset as u64 + 2, offset, -1);
    }
    for offset in reads {
        got(&mut run, offset, values[offset as usize]);
    }
    run.ends_with(2, &values);
    unseen(&run)
}

#[test]
fn what_members_got_of_a_former_log_does_not_lie_beyond_records_of_the_present_one() {
    assert_eq!(written_anew(0..3, false), []);
    assert_eq!(written_anew(3..3, false), [], "nobody has read the log that there is");
    assert_eq!(written_anew(0..1, false), [], "what lies beyond may only be late");
    let replaced = |offset| (offset, Some(Cause::LogReplaced), Answer::Yes);
    assert_eq!(written_anew(2..3, false), [replaced(0), replaced(1)], "the group was done with these offsets");
    // A consumer with a position compares epochs.
    let unnoticed = |offset| (offset, Some(Cause::TruncationUnnoticed), Answer::No);
    assert_eq!(written_anew(2..3, true), [unnoticed(0), unnoticed(1)]);
}

/// An operator has deleted what the group would have begun with, and it is back with an older log start offset.
#[test]
fn what_lies_below_where_a_share_group_began_is_not_for_it() {
    let judged = |start: i64, known: bool| {
        let mut run = Run::default();
        for (offset, value) in (0..).zip(["a", "b", "c"]) {
            run.sent(offset, value);
            run.acked(offset, offset as i64, -1);
        }
        loaded(&mut run, start, known);
        got(&mut run, 2, "c");
        run.ends_with(1, &["a", "b", "c"]);
        unseen(&run)
    };
    let (reset, unknown) = ((Some(Cause::PositionReset), Answer::Yes), (Some(Cause::Unknown), Answer::No));
    let each = |first: (Option<Cause>, Answer), second: (Option<Cause>, Answer)| {
        vec![(0, first.0, first.1), (1, second.0, second.1)]
    };
    assert_eq!(judged(2, false), each(reset, reset));
    assert_eq!(judged(1, false), each(reset, unknown));
    assert_eq!(judged(2, true), each(unknown, unknown), "the group says that it is done with them, and it is not");
}

/// Two members have two records each. One of them dies before `poll()` returns its own, and then the other hears that its group is gone.
#[test]
fn what_a_share_group_gave_to_a_member_that_reads_no_more_is_unseen_because_of_that() {
    let judged = |gives_up: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1], true, 0);
        for (offset, value) in (0..).zip(["a", "b"]) {
            run.sent_and_appended(offset, value, 1, 4, offset as i64);
            run.acked(offset, offset as i64, -1);
        }
        got(&mut run, 1, "b");
        run.killed(C2);
        if gives_up {
            let (partition, position, error) =
                (TopicPartition::of("-", -1), Offset::NONE, ErrorCode::GROUP_ID_NOT_FOUND);
            run.say(C1, Fact::PollFailed { partition, position, error });
        }
        run.ends_with(1, &["a", "b"]);
        unseen(&run)
    };
    assert_eq!(judged(true), [(0, Some(Cause::ConsumerGaveUp), Answer::Yes)]);
    assert_eq!(judged(false), [(0, Some(Cause::Unknown), Answer::No)]);
}

/// The leader gives a record to members that die before `poll()` returns it, until it is archived; or nothing is said of what became of it, or a
/// consumer that is in no share group reads there.
#[test]
fn what_a_share_group_was_given_as_often_as_it_may_be_is_unseen_because_of_that() {
    let judged = |end: Option<(ShareState, ShareReason)>, plain: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1], true, 0);
        for (offset, value) in (0..).zip(["a", "b"]) {
            run.sent_and_appended(offset, value, 1, 4, offset as i64);
            run.acked(offset, offset as i64, -1);
        }
        if let Some((state, reason)) = end {
            changed(&mut run, 0, ShareState::Available, ShareReason::LockExpired);
            changed(&mut run, 0, state, reason);
        }
        if plain {
            run.polled(1, "b");
        }
        got(&mut run, 1, "b");
        run.ends_with(1, &["a", "b"]);
        unseen(&run)
    };
    let limit = Some((ShareState::Archived, ShareReason::LockExpired));
    assert_eq!(judged(limit, false), [(0, Some(Cause::DeliveryLimitReached), Answer::Yes)]);
    let rejected = Some((ShareState::Archived, ShareReason::Rejected));
    assert_eq!(judged(rejected, false), [(0, Some(Cause::RejectedByProgram), Answer::Yes)]);
    let unknown = [(0, Some(Cause::Unknown), Answer::No)];
    assert_eq!(judged(None, false), unknown);
    assert_eq!(judged(limit, true), unknown, "the consumer should have got it");
}

//! What a log may forget, and what must not go with it: retention, DeleteRecords, compaction, tombstones.

use ackproof_core::fact::{Event, Fact, ForgottenReason, LogStartReason, ResetReason, Role, TruncationReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{NodeId, Offset};
use ackproof_reports::{Answer, Cause, Contract, Kind, Verdict};

use crate::run::{C1, Run, acks, group, of, orders, payload, processed, with_topic};

const LEADER: NodeId = NodeId::Broker(1);

fn compacted() -> Contract {
    with_topic(acks(-1), |topic| topic.compacted = true)
}

/// Records 0, 1, ... acknowledged at the offset of the same number and committed; `key=value`, or a value without a key.
fn acknowledged(records: &[&str]) -> Run {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    for (number, record) in (0..).zip(records) {
        match record.split_once('=') {
            Some((key, value)) => run.sent_with_key(number, key, value),
            None => run.sent(number, record),
        };
        run.batched(number, number + 1);
        let sent = run.transmits(number + 1, 1, 1);
        run.appends(sent, 1, 4, number as i64);
        run.acked(number, number as i64, -1);
    }
    committed(&mut run, records.len() as i64);
    run
}

fn committed(run: &mut Run, to: i64) {
    let fact = Fact::HighWatermarkAdvanced { partition: orders(), role: Role::Leader, from: Offset(0), to: Offset(to) };
    run.say(LEADER, fact);
}

/// The end of a compacted log: the records at these offsets are left.
fn ends_with_gaps(run: &mut Run, end: i64, left: &[(i64, &str, Option<&str>)]) {
    for broker in 1..=3 {
        run.say(
            crate::run::CONTROLLER,
            Fact::ReplicaSurveyed {
                partition: orders(),
                broker,
                running: true,
                leader: broker == 1,
                in_isr: true,
                log_start: Offset(0),
                high_watermark: Offset(end),
                log_end: Offset(end),
                leader_epoch: ackproof_core::types::LeaderEpoch(4),
            },
        );
    }
    for (offset, key, value) in left {
        run.say(
            crate::run::CONTROLLER,
            Fact::RecordSurveyed {
                partition: orders(),
                broker: 1,
                offset: Offset(*offset),
                leader_epoch: ackproof_core::types::LeaderEpoch(4),
                key: payload(key),
                value: value.and_then(payload),
            },
        );
    }
    run.say(crate::run::CONTROLLER, Fact::RunEnded { quiescent: true });
}

#[track_caller]
fn check(run: &Run, contract: &Contract, expected: Option<(Kind, Cause, Answer)>) {
    let (judgement, explanation) = run.explain(contract);
    match expected {
        None => {
            assert_eq!(judgement.anomalies, [], "{explanation:#?}");
            assert_eq!(judgement.verdict, Verdict::Valid, "{:?}", judgement.doubts);
        }
        Some((kind, cause, permitted)) => {
            assert_eq!(judgement.kinds(), [kind]);
            for anomaly in &judgement.anomalies {
                assert_eq!(anomaly.cause, Some(cause), "{explanation:#?}");
                assert_eq!(anomaly.permitted.answer, permitted, "{}", anomaly.permitted.because);
            }
            assert!(explanation.stories.iter().all(|story| !story.steps.is_empty()));
        }
    }
}

/// Retention takes offset 0; the consumer begins at `first` with what the log had then.
fn deleted(reads_first: bool, reason: LogStartReason) -> Run {
    let mut run = acknowledged(&["a", "b"]);
    if reads_first {
        run.repositioned(-1, 0, ResetReason::NoPosition);
        run.polled(0, "a");
    }
    run.deletes(1, 1, reason);
    if !reads_first {
        run.repositioned(-1, 1, ResetReason::NoPosition);
    }
    run.polled(1, "b");
    run.ends_from(Some(1), 1, &["b"]);
    run
}

#[test]
fn what_retention_takes_before_it_is_read_has_expired_unread() {
    for (reason, cause) in [
        (LogStartReason::RetentionMs, Cause::DeletedByRetention),
        (LogStartReason::RetentionBytes, Cause::DeletedByRetention),
        (LogStartReason::DeleteRecords, Cause::DeletedByOperator),
    ] {
        check(&deleted(false, reason), &acks(-1), Some((Kind::ExpiredUnread, cause, Answer::Yes)));
        check(&deleted(true, reason), &acks(-1), None);
    }
}

/// Then the power goes with all that was not synced, and the log begins at 0 again.
#[test]
fn what_was_deleted_is_not_lost_with_the_log() {
    let mut run = acknowledged(&["a", "b", "c"]);
    run.deletes(1, 2, LogStartReason::DeleteRecords);
    run.lost_power(1);
    run.loaded(1, 0);
    run.elected(1, 5, &[1], true, 0);
    run.sent_and_appended(3, "d", 1, 5, 0);
    run.acked(3, 0, -1);
    run.ends_with(1, &[]);
    let judgement = run.judge(&acks(-1));
    // The third was not deleted, and the last came after the deletion, at an offset that lies below it.
    let lost: Vec<_> = judgement.of_kind(Kind::LostWrite).map(|lost| lost.record.map(|record| record.number)).collect();
    assert_eq!((judgement.counts.removed, lost), (2, vec![Some(2), Some(3)]));
}

/// What was deleted is back: the checkpoint of the log's start went with the power.
#[test]
fn what_was_deleted_and_is_back_is_not_missed() {
    let unseen = |reason: Option<LogStartReason>| {
        let mut run = acknowledged(&["a", "b", "c"]);
        run.polled(0, "a");
        if let Some(reason) = reason {
            run.deletes(1, 2, reason);
        }
        run.polled(2, "c");
        run.lost_power(1);
        run.loaded(1, 3);
        run.ends_with(1, &["a", "b", "c"]);
        of(Kind::Unseen, &run, &acks(-1)).len()
    };
    assert_eq!(unseen(Some(LogStartReason::DeleteRecords)), 0);
    assert_eq!(unseen(Some(LogStartReason::RetentionMs)), 0);
    assert_eq!(unseen(None), 1);
}

/// The same of a record that its application sends again after that.
#[test]
fn what_was_deleted_and_is_back_is_not_missed_though_it_was_sent_again() {
    let unseen = |deletes: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        run.sent_and_appended(0, "a", 1, 4, 0);
        run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
        run.sent_and_appended(1, "b", 1, 4, 1);
        run.acked(1, 1, -1);
        committed(&mut run, 2);
        if deletes {
            run.deletes(1, 1, LogStartReason::DeleteRecords);
        }
        run.polled(1, "b");
        run.resent(2, 0, "a");
        run.acked(2, 2, -1);
        run.ends_with(1, &["a", "b", "a"]);
        of(Kind::Unseen, &run, &acks(-1)).len()
    };
    assert_eq!((unseen(true), unseen(false)), (0, 1));
}

#[test]
fn without_a_reader_nothing_expires_unread() {
    let mut run = acknowledged(&["a", "b"]);
    run.deletes(1, 1, LogStartReason::RetentionMs);
    run.ends_from(Some(1), 1, &["b"]);
    check(&run, &acks(-1), None);
    assert_eq!(run.judge(&acks(-1)).counts.removed, 1);
}

#[test]
fn cr_07_a_copy_that_was_read_and_forgotten_is_a_copy() {
    let history = |reads: bool, reason: LogStartReason| {
        let mut run = Run::default();
        run.sent(0, "a");
        run.acked(0, 1, -1);
        if reads {
            run.polled(0, "a");
        }
        run.polled(1, "a");
        committed(&mut run, 2);
        run.deletes(1, 1, reason);
        run.ends_from(Some(1), 1, &["a"]);
        let judgement = run.judge(&acks(-1));
        let found: Vec<_> =
            judgement.of_kind(Kind::Duplicate).map(|found| (found.offset, found.other_offset)).collect();
        (found, judgement.counts.duplicated)
    };
    let twice = (vec![(Some(Offset(1)), Some(Offset(0)))], 1);
    assert_eq!(history(true, LogStartReason::RetentionMs), twice);
    assert_eq!(history(false, LogStartReason::RetentionMs), (Vec::new(), 0));
}

/// Both copies were read. The log loses them with the power, or not, and other records take their places; then all of it is deleted.
#[test]
fn copies_that_were_lost_are_not_forgotten_by_the_rules() {
    let copies = |loses_them: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1], true, 0);
        let sent = run.sent_and_appended(0, "a", 1, 4, 0);
        run.appends(sent, 1, 4, 1);
        run.acked(0, 0, 1);
        run.polled(0, "a");
        run.polled(1, "a");
        if loses_them {
            run.lost_power(1);
            run.loaded(1, 0);
            run.elected(1, 5, &[1], true, 0);
            run.sent_and_appended(1, "b", 1, 5, 0);
            run.sent_and_appended(2, "c", 1, 5, 1);
        }
        committed(&mut run, 2);
        run.deletes(1, 2, LogStartReason::RetentionMs);
        run.ends_from(Some(1), 2, &[]);
        run.judge(&acks(1)).counts.duplicated
    };
    assert_eq!([copies(false), copies(true)], [1, 0]);
}

#[test]
fn what_was_not_committed_must_not_be_deleted() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    run.sent(0, "a");
    run.batched(0, 1);
    let sent = run.transmits(1, 1, 1);
    run.appends(sent, 1, 4, 0);
    run.acked(0, 0, 1);
    committed(&mut run, 0);
    run.deletes(1, 1, LogStartReason::RetentionMs);
    run.ends_from(Some(1), 1, &[]);
    check(&run, &acks(1), Some((Kind::LostWrite, Cause::DeletedBeforeCommit, Answer::No)));
}

#[test]
fn compaction_keeps_the_last_of_each_key_and_may_take_the_others() {
    let mut run = acknowledged(&["k=1", "l=2", "k=3"]);
    run.cleaned(1, 3);
    ends_with_gaps(&mut run, 3, &[(1, "l", Some("2")), (2, "k", Some("3"))]);
    check(&run, &compacted(), None);
    assert_eq!(run.judge(&compacted()).counts.compacted, 1);

    // A cleaner that drops the last one as well is convicted, and so is a gap where no cleaner has been.
    let mut mutant = acknowledged(&["k=1", "l=2", "k=3"]);
    mutant.cleaned(1, 3);
    ends_with_gaps(&mut mutant, 3, &[(1, "l", Some("2"))]);
    check(&mutant, &compacted(), Some((Kind::LostWrite, Cause::CompactedAway, Answer::No)));
    let mut gap = acknowledged(&["k=1", "l=2", "k=3"]);
    ends_with_gaps(&mut gap, 3, &[(1, "l", Some("2")), (2, "k", Some("3"))]);
    assert_eq!(gap.judge(&compacted()).kinds(), [Kind::LostWrite]);
}

/// The group reads from a replica that has compacted its log; the one that leads at the end has not.
#[test]
fn what_compaction_took_where_a_group_read_is_not_missed() {
    let read = |cleaned_to: i64| {
        let mut run = acknowledged(&["k=a", "k=b", "j=c", "k=d"]);
        run.cleaned(1, cleaned_to);
        run.polled(0, "a");
        processed(&mut run, C1, 0);
        for (offset, value) in [(2, "c"), (3, "d")] {
            run.polled(offset, value);
            processed(&mut run, C1, offset);
        }
        let left = [(0, "k", Some("a")), (1, "k", Some("b")), (2, "j", Some("c")), (3, "k", Some("d"))];
        ends_with_gaps(&mut run, 4, &left);
        run
    };
    let contract = with_topic(group(|_| {}), |topic| topic.compacted = true);
    let missed = |run: &Run| {
        [Kind::LostDelivery, Kind::PollSkip, Kind::Unseen].map(|kind| {
            let offsets = of(kind, run, &contract).into_iter().map(|one| one.0);
            offsets.collect::<Vec<i64>>()
        })
    };
    assert_eq!(missed(&read(4)), [vec![0_i64; 0], vec![], vec![]]);
    assert_eq!(missed(&read(1)), [vec![1], vec![2], vec![1]], "the cleaner was never there");
}

/// The replica that the reader asked had compacted k=a for k=b, which the one that leads at the end has lost.
#[test]
fn what_was_compacted_for_a_record_that_was_lost_elsewhere_is_not_missed() {
    let missed = |later: &str, cleaned: bool| {
        let mut run = acknowledged(&["z=0", "k=a", "j=c", later]);
        if cleaned {
            run.cleaned(1, 4);
        }
        for (offset, value) in [(0, "0"), (2, "c"), (3, "b")] {
            run.polled(offset, value);
        }
        ends_with_gaps(&mut run, 4, &[(0, "z", Some("0")), (1, "k", Some("a")), (2, "j", Some("c"))]);
        [Kind::PollSkip, Kind::Unseen].map(|kind| of(kind, &run, &compacted()).len())
    };
    assert_eq!(missed("k=b", true), [0, 0]);
    assert_eq!(missed("l=b", true), [1, 1], "nothing came after k=a");
    assert_eq!(missed("k=b", false), [1, 1], "the cleaner was never there");
}

/// Nobody was told of k=b, nor read it: broker 1 compacts k=a for it and is read, and then k=b goes with an unclean election.
#[test]
fn what_was_compacted_for_a_record_that_nobody_saw_is_missed_for_a_reason() {
    let missed = |later: &str, cleaned_to: i64| {
        let mut run = acknowledged(&["z=0", "k=a", "j=c"]);
        run.sent_with_key(3, later, "b");
        run.batched(3, 4);
        let sent = run.transmits(4, 1, 1);
        run.appends(sent, 1, 4, 3);
        run.cleaned(1, cleaned_to);
        run.polled(0, "0");
        run.polled(2, "c");
        run.killed(LEADER);
        run.elected(2, 5, &[2], false, 3);
        run.truncated(1, 4, 3, TruncationReason::Diverged);
        run.elected(1, 6, &[1, 2], true, 3);
        ends_with_gaps(&mut run, 3, &[(0, "z", Some("0")), (1, "k", Some("a")), (2, "j", Some("c"))]);
        let contract = with_topic(compacted(), |topic| topic.unclean_leader_election = true);
        [Kind::PollSkip, Kind::Unseen].map(|kind| {
            let found = of(kind, &run, &contract).into_iter().map(|(_, cause, answer)| (cause, answer));
            found.collect::<Vec<_>>()
        })
    };
    let (unclean, unknown) = ((Some(Cause::UncleanElection), Answer::Yes), (Some(Cause::Unknown), Answer::No));
    assert_eq!(missed("k", 4), [[unclean], [unclean]]);
    assert_eq!(missed("l", 4), [[unknown], [unknown]], "nothing came after k=a");
    assert_eq!(missed("k", 3), [[unknown], [unknown]], "the cleaner was not there");
}

/// The group reads where the cleaner has taken k=a and, when its time was over, what came after it. The replica that leads at the end was away
/// for all that time and still has k=a.
#[test]
fn what_is_newer_somewhere_else_is_not_missed() {
    let missed = |second: &str, cleaned_to: i64| {
        let mut run = acknowledged(&["k=a", second, "j=c"]);
        run.cleaned(1, cleaned_to);
        run.polled(2, "c");
        processed(&mut run, C1, 2);
        ends_with_gaps(&mut run, 3, &[(0, "k", Some("a")), (2, "j", Some("c"))]);
        let contract = with_topic(group(|_| {}), |topic| topic.compacted = true);
        let lost = of(Kind::LostDelivery, &run, &contract).into_iter().map(|one| one.0);
        lost.collect::<Vec<i64>>()
    };
    assert_eq!(missed("k=b", 3), [0; 0]);
    assert_eq!(missed("l=b", 3), [0], "that is another key");
    assert_eq!(missed("k=b", 0), [0], "the cleaner was never there");
}

/// The log had lost it with the power, and another record was compacted at its offset.
#[test]
fn what_was_gone_before_the_cleaner_came_was_not_compacted_away() {
    let cause = |is_rewritten: bool| {
        let mut run = acknowledged(&["k=a", "k=b"]);
        if is_rewritten {
            for broker in 1..=3 {
                run.lost_power(broker);
                run.loaded(broker, 1);
            }
            run.elected(1, 5, &[1], true, 1);
            run.appends(0, 1, 5, 1);
        }
        run.cleaned(1, 2);
        ends_with_gaps(&mut run, 2, &[(0, "k", Some("a"))]);
        of(Kind::LostWrite, &run, &compacted())
    };
    assert_eq!(cause(false), [(1, Some(Cause::CompactedAway), Answer::No)]);
    assert_ne!(cause(true)[0].1, Some(Cause::CompactedAway));
}

/// The cleaner had passed it and kept it; what came after that took it, if anything did.
#[test]
fn a_cleaner_is_not_blamed_for_what_went_with_the_end_of_the_log() {
    let history = |then: &dyn Fn(&mut Run)| {
        let mut run = acknowledged(&["k=a", "l=b"]);
        run.cleaned(1, 2);
        then(&mut run);
        ends_with_gaps(&mut run, 1, &[(0, "k", Some("a"))]);
        of(Kind::LostWrite, &run, &compacted())
    };
    let unclean = |run: &mut Run| {
        run.killed(LEADER);
        run.elected(2, 5, &[2], false, 1);
    };
    let hole = |run: &mut Run| {
        run.lost_power(1);
        run.loaded_without(1, Some((1, 2)), 2);
        run.elected(1, 5, &[1], true, 2);
    };
    assert_eq!(history(&unclean), [(1, Some(Cause::UncleanElection), Answer::No)]);
    assert_eq!(history(&hole), [(1, Some(Cause::UnsyncedDataLostWithPower), Answer::Yes)]);
    assert_eq!(history(&|_| {}), [(1, Some(Cause::CompactedAway), Answer::No)]);
}

/// All have k=a; brokers 1 and 2 have its successor, which broker 2 loses with its power. Broker 1 compacts, broker 2 leads without the
/// successor and cuts broker 1's log, and broker 1 leads in the end.
#[test]
fn the_record_for_which_a_cleaner_dropped_another_went_with_the_power() {
    let history = |key: &str, is_cut: bool| {
        let mut run = acknowledged(&["l=0", "k=a"]);
        run.copies(2, 4, 0);
        run.copies(2, 4, 1);
        run.isr_decided(&[1, 2, 3], &[1, 2]);
        run.sent_with_key(2, key, "b");
        run.batched(2, 3);
        let sent = run.transmits(3, 1, 1);
        run.appends(sent, 1, 4, 2);
        run.copies(2, 4, 2);
        committed(&mut run, 3);
        run.lost_power(2);
        run.loaded(2, 2);
        run.cleaned(1, 3);
        if is_cut {
            run.elected(2, 5, &[2], true, 2);
            run.failed(2, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
            run.truncated(1, 3, 2, TruncationReason::Diverged);
        }
        run.elected(1, 6, &[1, 2], true, 2);
        ends_with_gaps(&mut run, 2, &[(0, "l", Some("0"))]);
        of(Kind::LostWrite, &run, &compacted())
    };
    assert_eq!(history("k", true), [(1, Some(Cause::UnsyncedDataLostWithPower), Answer::Yes)]);
    assert_eq!(history("other", true), [(1, Some(Cause::CompactedAway), Answer::No)], "it was dropped for nothing");
    assert_eq!(history("k", false), [(1, Some(Cause::CompactedAway), Answer::No)], "the later one is there");
}

#[test]
fn bit_rot_that_the_cleaner_wrote_anew_is_told_from_a_record_that_it_dropped() {
    // In the order of the history: the disk is harmed, the cleaner comes by. Otherwise it had nothing to write anew.
    for (harmed, left, cause) in [
        (true, &[(0, "k", Some("x"))][..], Cause::RewrittenByCleaner),
        (true, &[], Cause::CompactedAway),
        (false, &[(0, "k", Some("x"))], Cause::CompactedAway),
    ] {
        let mut run = acknowledged(&["k=1"]);
        if harmed {
            run.say(LEADER, Fact::DiskHarmed { what: "flipped a bit".into() });
        }
        run.cleaned(1, 1);
        ends_with_gaps(&mut run, 1, left);
        let (judgement, explanation) = run.explain(&compacted());
        let lost = judgement.anomalies.iter().find(|anomaly| anomaly.kind == Kind::LostWrite);
        assert_eq!(lost.and_then(|anomaly| anomaly.cause), Some(cause), "{explanation:#?}");
    }
}

#[test]
fn a_record_without_a_key_is_lost_to_compaction() {
    let mut run = acknowledged(&["nobody's", "k=1"]);
    run.cleaned(1, 2);
    ends_with_gaps(&mut run, 2, &[(1, "k", Some("1"))]);
    check(&run, &compacted(), Some((Kind::LostWrite, Cause::CompactedWithoutKey, Answer::Yes)));
}

/// k=1 is read at once; its tombstone at offset 1 is compacted away; the reader goes on after so many seconds.
fn deletion_missed(seconds: u64, sees_it: bool) -> Run {
    deletion_read(seconds, sees_it, None)
}

/// The same; `late`: the cleaner of this broker had been there before k=1 is read.
fn deletion_read(seconds: u64, sees_it: bool, late: Option<i32>) -> Run {
    let mut run = acknowledged(&["k=1"]);
    let (record, partition) = (crate::run::p1(1), orders());
    run.repositioned(-1, 0, ResetReason::NoPosition);
    if let Some(broker) = late {
        run.cleaned(broker, 2);
    }
    run.polled(0, "1");
    run.say(
        crate::run::P1,
        Fact::RecordSent { record, topic: "orders".into(), key: payload("k"), value: None, resend_of: None },
    );
    run.batched(1, 2);
    let sent = run.transmits(2, 1, 1);
    run.appends(sent, 1, 4, 1);
    run.say(crate::run::P1, Fact::RecordAcknowledged { record, partition: orders(), offset: Offset(1), acks: -1 });
    run.sent_with_key(2, "l", "2");
    run.batched(2, 3);
    let sent = run.transmits(3, 1, 1);
    run.appends(sent, 1, 4, 2);
    run.acked(2, 2, -1);
    committed(&mut run, 3);
    if sees_it {
        run.say(C1, Fact::Polled { partition, offset: Offset(1), key: payload("k"), value: None });
    }
    run.cleaned(1, 2);
    run.at(seconds * 1_000);
    run.polled(2, "2");
    ends_with_gaps(&mut run, 3, &[(2, "l", Some("2"))]);
    run
}

/// Broker 2 leads when the reader gets beyond the tombstone: its log was loaded with a hole, or ends where the tombstone stood, or has it.
#[test]
fn a_deletion_that_a_log_has_lost_was_not_removed_early() {
    let judged = |hole: Option<(i64, i64)>, log_end: i64, flush_messages: u64, clean: bool| {
        let mut run = deletion_missed(30, false);
        let reads = |event: &Event| matches!(event.fact, Fact::Polled { offset: Offset(2), .. });
        let place = run.events.iter().rposition(reads).expect("it gets beyond");
        let after = run.events.split_off(place);
        run.loaded_without(2, hole, 3);
        run.elected(2, 5, &[2], clean, log_end);
        run.events.extend(after);
        let contract = with_topic(compacted(), |topic| {
            (topic.delete_retention_ms, topic.flush_messages) = (60_000, flush_messages);
            topic.unclean_leader_election = true;
        });
        let (judgement, _) = run.explain(&contract);
        let found = judgement.of_kind(Kind::StaleKey).next().expect("it missed a deletion");
        (found.cause, found.permitted.answer)
    };
    let power = Some(Cause::UnsyncedDataLostWithPower);
    assert_eq!(judged(Some((1, 2)), 3, 9, true), (power, Answer::Yes));
    assert_eq!(judged(Some((1, 2)), 3, 1, true), (power, Answer::No), "it was synced");
    assert_eq!(judged(None, 1, 1, false), (Some(Cause::UncleanElection), Answer::Yes));
    assert_eq!(judged(None, 3, 9, false), (Some(Cause::TombstoneRemovedEarly), Answer::No));
    assert_eq!(
        judged(Some((0, 1)), 3, 9, true),
        (Some(Cause::TombstoneRemovedEarly), Answer::No),
        "it is not in the hole"
    );
}

#[test]
fn a_reader_that_is_fast_enough_must_see_every_deletion() {
    let contract = with_topic(compacted(), |topic| topic.delete_retention_ms = 60_000);
    let convicted = |cause, permitted| Some((Kind::StaleKey, cause, permitted));
    check(&deletion_missed(30, false), &contract, convicted(Cause::TombstoneRemovedEarly, Answer::No));
    let mut before_3_1 = contract.clone();
    before_3_1.lacks.push("delete_horizon".into());
    check(&deletion_missed(30, false), &before_3_1, convicted(Cause::TombstoneRemovedEarly, Answer::Yes));
    check(&deletion_missed(90, false), &contract, convicted(Cause::ReaderSlowerThanTombstones, Answer::Yes));
    check(&deletion_read(30, false, Some(1)), &contract, convicted(Cause::ReadFromOlderCopy, Answer::Yes));
    check(&deletion_read(30, false, Some(2)), &contract, convicted(Cause::TombstoneRemovedEarly, Answer::No));
    check(&deletion_missed(30, true), &contract, None);
    // It had got what lay at that offset before the log lost its end.
    let mut run = deletion_missed(90, false);
    let first = run.events.iter().position(|event| matches!(event.fact, Fact::Polled { .. })).expect("k=1 is read");
    let mut beyond =
        run.events.iter().rfind(|event| matches!(event.fact, Fact::Polled { .. })).cloned().expect("l=2 is read");
    beyond.time = run.events[first].time;
    run.events.insert(first + 1, beyond);
    let slow: Vec<_> = of(Kind::StaleKey, &run, &contract).into_iter().map(|one| one.1).collect();
    assert_eq!(slow, [Some(Cause::ReaderSlowerThanTombstones)]);
    // The clock of the one that compacts is moved, ahead or back, or that of another.
    for (broker, direction, cause, answer) in [
        (1, "ahead", Cause::ClockMovedAhead, Answer::Yes),
        (1, "back", Cause::TombstoneRemovedEarly, Answer::No),
        (2, "ahead", Cause::TombstoneRemovedEarly, Answer::No),
    ] {
        let mut run = deletion_missed(30, false);
        let cleaned = run.events.iter().position(|event| matches!(event.fact, Fact::Cleaned { .. }));
        let what = format!("moved {direction} the clock of broker {broker}");
        run.say(NodeId::Broker(broker), Fact::FaultBit { fault: 1, what });
        let mut moved = run.events.pop().expect("it was just said");
        let cleaned = cleaned.expect("it was compacted");
        moved.time = run.events[cleaned].time;
        run.events.insert(cleaned, moved);
        check(&run, &contract, convicted(cause, answer));
    }
    // What it got beyond was of a log that lost its end before the tombstone was sent.
    let mut run = deletion_missed(30, false);
    let beyond = |event: &Event| matches!(event.fact, Fact::Polled { offset: Offset(2), .. });
    let place = run.events.iter().rposition(beyond).expect("it got on");
    let mut early = run.events.remove(place);
    early.time = run.events[0].time;
    let polled = run.events.iter().position(|event| matches!(event.fact, Fact::Polled { .. })).expect("it reads");
    run.events.insert(polled + 1, early);
    check(&run, &contract, None);
}

/// Record a is acknowledged and deleted; broker 3, which does not know that it has been deposed, gives its offset to record b, and leads later.
fn given_out_again(deletes: bool, cleans: bool) -> Run {
    let mut run = acknowledged(&["k=a"]);
    if deletes {
        run.deletes(1, 1, LogStartReason::RetentionBytes);
    }
    if cleans {
        run.cleaned(1, 1);
    }
    run.sent_with_key(1, "k", "b");
    run.batched(1, 2);
    let sent = run.transmits(2, 1, 3);
    run.appends(sent, 3, 3, 0);
    run.acked(1, 0, 1);
    if cleans {
        run.truncated(3, 1, 0, TruncationReason::Diverged);
    }
    run.elected(3, 5, &[3], true, 1);
    ends_with_gaps(&mut run, 1, if cleans { &[] } else { &[(0, "k", Some("b"))] });
    run
}

#[test]
fn an_offset_that_is_given_out_again_was_not_lost_if_it_had_been_deleted_before() {
    let judged = |run: &Run, contract: &Contract| {
        let (judgement, _) = run.explain(contract);
        let found = judgement.of_kind(Kind::InconsistentOffsets).next().expect("it has two values");
        (found.record, found.cause, found.permitted.answer)
    };
    let (first, second) = (Some(crate::run::p1(0)), Some(crate::run::p1(1)));
    let deleted = judged(&given_out_again(true, false), &acks(-1));
    assert_eq!(deleted, (first, Some(Cause::DeletedByRetention), Answer::Yes));
    let lost = judged(&given_out_again(false, false), &acks(-1));
    assert!(lost.0 == first && lost.1 != Some(Cause::DeletedByRetention) && lost.2 != Answer::Yes, "{lost:?}");
    // What a cleaner took is not lost either: the other one is.
    let gone = judged(&given_out_again(false, true), &compacted());
    assert_eq!(gone.0, second, "{gone:?}");
}

/// Record b is acknowledged by broker 3 alone, and loses its place to record a, which had been there before, and whose answer comes late. Then a
/// cleaner takes what stands there: on a broker that never had record b, or on broker 3 before it is cut.
#[test]
fn what_a_cleaner_took_where_another_record_stood_was_not_compacted() {
    let judged = |cleaners: &[i32]| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        run.sent_with_key(0, "k", "a");
        run.batched(0, 1);
        let sent = run.transmits(1, 1, 1);
        run.appends(sent, 1, 4, 0);
        run.copies(2, 4, 0);
        run.elected(3, 5, &[2, 3], true, 0);
        run.sent_with_key(1, "k", "b");
        run.batched(1, 2);
        let sent = run.transmits(2, 1, 3);
        run.appends(sent, 3, 5, 0);
        run.acked(1, 0, 1);
        if cleaners.contains(&3) {
            run.cleaned(3, 1);
        }
        run.elected(2, 6, &[2], true, 1);
        run.truncated(3, 1, 0, TruncationReason::Diverged);
        if cleaners.contains(&2) {
            run.cleaned(2, 1);
        }
        run.acked(0, 0, -1);
        ends_with_gaps(&mut run, 1, &[]);
        let (judgement, _) = run.explain(&with_topic(acks(1), |topic| topic.compacted = true));
        let found = judgement.of_kind(Kind::InconsistentOffsets).next().expect("it has two values");
        (found.record.map(|record| record.number), found.cause, found.permitted.answer)
    };
    let second_is_gone = (Some(1), Some(Cause::AcknowledgedBeforeReplicated), Answer::Yes);
    assert_eq!(judged(&[2]), second_is_gone);
    assert_eq!(judged(&[3]).0, Some(0), "record b was compacted, so it is record a that is gone");
    assert_eq!(judged(&[2, 3]), second_is_gone, "both were");
}

/// Broker 1 deletes record a, which it leads with, committed or not; broker 2 has kept record b from before, and leads later.
#[test]
fn what_was_deleted_by_the_rules_may_stand_elsewhere_as_another_record() {
    let judged = |high_watermark: i64| {
        let mut run = Run::default();
        run.elected(2, 4, &[1, 2], true, 0);
        run.sent_and_appended(1, "b", 2, 4, 0);
        run.elected(1, 5, &[1], true, 0);
        run.sent_and_appended(0, "a", 1, 5, 0);
        committed(&mut run, high_watermark);
        run.acked(0, 0, -1);
        run.polled(0, "a");
        run.deletes(1, 1, LogStartReason::DeleteRecords);
        run.polled_by(NodeId::Client(3), 0, "b");
        run.ends_with(1, &["b"]);
        let (judgement, _) = run.explain(&acks(-1));
        let found = judgement.of_kind(Kind::InconsistentOffsets).next().expect("it has two values");
        (found.record.map(|record| record.number), found.cause, found.permitted.answer)
    };
    assert_eq!(judged(1), (Some(0), Some(Cause::DeletedByOperator), Answer::Yes));
    assert_ne!(judged(0).1, Some(Cause::DeletedByOperator), "it was not committed");
}

/// Record b took the offset of record a from nobody: broker 3 had been deposed when it appended it. Then record a is deleted where it stands, and
/// broker 3, which never had it, leads.
#[test]
fn who_leads_without_what_was_deleted_where_it_stood_has_lost_nothing() {
    let judged = |high_watermark: i64, deleted_by: Option<i32>| {
        let mut run = Run::default();
        run.elected(3, 0, &[1, 3], true, 0);
        run.elected(1, 1, &[1], true, 0);
        run.sent_and_appended(0, "a", 1, 1, 0);
        committed(&mut run, high_watermark);
        run.acked(0, 0, -1);
        run.sent_and_appended(1, "b", 3, 0, 0);
        run.acked(1, 0, 1);
        run.truncated(3, 1, 0, TruncationReason::Diverged);
        if let Some(broker) = deleted_by {
            run.deletes(broker, 1, LogStartReason::DeleteRecords);
        }
        run.isr(&[1], &[1, 3]);
        run.killed(LEADER);
        run.elected(3, 2, &[3], true, 1);
        run.ends_from(Some(3), 1, &[]);
        let (judgement, _) = run.explain(&acks(1));
        let found = judgement.of_kind(Kind::InconsistentOffsets).next().expect("it has two values");
        (found.record.map(|record| record.number), found.cause, found.permitted.answer)
    };
    let first_is_lost = (Some(0), Some(Cause::JoinedIsrWithoutIt), Answer::No);
    assert_eq!(judged(1, Some(1)), (Some(1), Some(Cause::AcknowledgedBeforeReplicated), Answer::Yes));
    assert_eq!(judged(0, Some(1)), first_is_lost, "it was not committed");
    assert_eq!(judged(1, Some(3)), first_is_lost, "who deleted there had another record");
    assert_eq!(judged(1, None), first_is_lost);
}

/// Record a is read at offset 0 and never acknowledged there; another leader, elected uncleanly or not, or as the one whom the controller
/// remembered, writes record b at that offset.
#[test]
fn what_was_read_before_an_unclean_election_may_stand_elsewhere_after_it() {
    let judged = |clean: bool, remembered: Option<i32>, unclean_allowed: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        run.sent_and_appended(0, "a", 1, 4, 0);
        run.polled(0, "a");
        if let Some(broker) = remembered {
            let (elr, last_known_elr) = (Vec::new(), vec![broker]);
            let fact = Fact::EligibleLeadersChanged { partition: orders(), elr, last_known_elr };
            run.say(crate::run::CONTROLLER, fact);
        }
        run.elected(2, 5, &[2], clean, 0);
        run.sent_and_appended(1, "b", 2, 5, 0);
        run.acked(1, 0, -1);
        let again = run.transmits(1, 2, 2);
        run.appends(again, 2, 5, 1);
        run.acked(0, 1, -1);
        run.ends_with(2, &["b", "a"]);
        let contract = with_topic(acks(-1), |topic| topic.unclean_leader_election = unclean_allowed);
        let (judgement, _) = run.explain(&contract);
        judgement.of_kind(Kind::InconsistentOffsets).map(|found| (found.cause, found.permitted.answer)).next()
    };
    let unclean = |answer| Some((Some(Cause::UncleanElection), answer));
    assert_eq!(judged(false, None, true), unclean(Answer::Yes));
    assert_ne!(judged(true, None, true).and_then(|(cause, _)| cause), Some(Cause::UncleanElection));
    assert_eq!(judged(false, Some(2), false), Some((Some(Cause::LastKnownLeaderElected), Answer::Yes)));
    assert_eq!(judged(false, Some(1), false), unclean(Answer::No), "the controller remembers another one");
}

/// A record of producer 7 is at offset 0.
fn appended_as_7() -> Run {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    run.sent(0, "a");
    run.batched(0, 1);
    let sent = run.transmits_as(1, 1, 1, 7);
    run.appends_as(sent, 1, 4, 0, 7, 1);
    run
}

/// The leader's log came back with a hole where the first copy was; the others have it still.
#[test]
fn a_leader_that_lost_a_batch_in_the_middle_of_its_log_does_not_recognise_it() {
    for (hole, cause, permitted) in [
        (Some((0, 2)), Cause::UnsyncedDataLostWithPower, Answer::Yes),
        (Some((1, 2)), Cause::DuplicateNotRecognised, Answer::No),
        (None, Cause::DuplicateNotRecognised, Answer::No),
    ] {
        let mut run = appended_as_7();
        run.lost_power(1);
        run.loaded_without(1, hole, 2);
        run.elected(1, 5, &[1], true, 2);
        run.retries(1, ackproof_core::fact::RetryReason::RequestTimeout);
        let sent = run.transmits_as(1, 2, 1, 7);
        run.appends_as(sent, 1, 5, 2, 7, 1);
        run.acked(0, 2, -1);
        run.ends_with(1, &["a", "-", "a"]);
        let contract = crate::run::with_producer(acks(-1), |producer| producer.idempotence = true);
        assert_eq!(of(Kind::Duplicate, &run, &contract), [(2, Some(cause), permitted)]);
    }
}

#[test]
fn a_producer_that_was_forgotten_is_not_recognised() {
    use ForgottenReason::{RecordsDeleted, Silent};
    for forgotten in [None, Some(Silent), Some(RecordsDeleted)] {
        let mut run = appended_as_7();
        if let Some(reason) = forgotten {
            run.say(LEADER, Fact::ProducerExpired { partition: orders(), producer_id: 7, reason });
        }
        run.retries(1, ackproof_core::fact::RetryReason::RequestTimeout);
        let sent = run.transmits_as(1, 2, 1, 7);
        run.appends_as(sent, 1, 4, 1, 7, 1);
        run.acked(0, 1, -1);
        run.ends_with(1, &["a", "a"]);
        let contract = crate::run::with_producer(acks(-1), |producer| producer.idempotence = true);
        if forgotten == Some(RecordsDeleted) {
            let before_2_5 = Contract { lacks: vec!["pid_state_retained".into()], ..contract.clone() };
            let expected = (Kind::Duplicate, Cause::ProducerForgottenWithItsRecords, Answer::Yes);
            check(&run, &before_2_5, Some(expected));
        }
        let (cause, permitted) = match forgotten {
            Some(Silent) => (Cause::ProducerForgotten, Answer::Yes),
            Some(RecordsDeleted) => (Cause::ProducerForgottenWithItsRecords, Answer::No),
            None => (Cause::DuplicateNotRecognised, Answer::No),
        };
        check(&run, &contract, Some((Kind::Duplicate, cause, permitted)));
    }
}

/// Two batches are appended, the first is deleted, its producer is forgotten, and the batch is sent again. In the end the first copy is back, or
/// not.
#[test]
fn what_is_sent_again_after_its_first_copy_was_deleted_is_out_of_order() {
    let judged = |kind: Kind, forgets: bool, lacks: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        for (number, value, identity) in [(0, "a", (7, 0, 1)), (1, "b", (7, 0, 2))] {
            run.sent(number, value);
            run.batched(number, number + 1);
            let sent = run.transmits_under(number + 1, 1, 1, identity);
            run.appends_under(sent, 1, 4, number as i64, identity);
        }
        committed(&mut run, 2);
        run.deletes(1, 1, LogStartReason::DeleteRecords);
        if forgets {
            let reason = ForgottenReason::RecordsDeleted;
            run.say(LEADER, Fact::ProducerExpired { partition: orders(), producer_id: 7, reason });
        }
        run.retries(1, ackproof_core::fact::RetryReason::RequestTimeout);
        let again = run.transmits_under(1, 2, 1, (7, 0, 1));
        run.appends_under(again, 1, 4, 2, (7, 0, 1));
        run.acked(1, 1, -1);
        run.acked(0, 2, -1);
        match kind {
            Kind::ReplayReorder => run.ends_with(1, &["a", "b", "a"]),
            _ => run.ends_from(Some(1), 1, &["b", "a"]),
        };
        let mut contract = crate::run::with_producer(acks(-1), |producer| producer.idempotence = true);
        contract.lacks.extend(lacks.then(|| "pid_state_retained".to_owned()));
        of(kind, &run, &contract)
    };
    let forgotten = Some(Cause::ProducerForgottenWithItsRecords);
    for kind in [Kind::Reorder, Kind::ReplayReorder] {
        assert_eq!(judged(kind, true, true), [(2, forgotten, Answer::Yes)], "{kind}");
        assert_eq!(judged(kind, true, false), [(2, forgotten, Answer::No)], "{kind}");
    }
    assert_eq!(judged(Kind::Reorder, false, true), [(2, Some(Cause::RetryOvertakenInFlight), Answer::No)]);
    assert_eq!(judged(Kind::ReplayReorder, false, true), [(2, Some(Cause::DuplicateNotRecognised), Answer::No)]);
}

/// The first copy is at offset 0. Between it and the second the log of the leader is loaded, or begins anew.
#[test]
fn a_leader_whose_log_began_anew_behind_deleted_records_knows_nothing_of_their_producers() {
    let judged_after = |began: Fact, heard: Option<i32>| {
        let mut run = appended_as_7();
        run.say(LEADER, began);
        if let Some(sequence) = heard {
            run.appends_as(0, 1, 4, 1, 7, sequence);
        }
        run.retries(1, ackproof_core::fact::RetryReason::RequestTimeout);
        let sent = run.transmits_as(1, 2, 1, 7);
        run.appends_as(sent, 1, 4, 2, 7, 1);
        run.acked(0, 2, -1);
        run.ends_with(1, &["a", "-", "a"]);
        let contract = crate::run::with_producer(acks(-1), |producer| producer.idempotence = true);
        of(Kind::Duplicate, &run, &contract)
    };
    let loaded = |start: i64, end: i64, clean: bool| {
        let (log_start, log_end) = (Offset(start), Offset(end));
        Fact::LogLoaded { partition: orders(), log_start, log_end, clean, hole: None }
    };
    let gives_up = |to: i64, reason: TruncationReason| Fact::Truncated {
        partition: orders(),
        from: Offset(1),
        to: Offset(to),
        reason,
    };
    let judged = |began: Fact, hears_of_it: bool| judged_after(began, hears_of_it.then_some(2));
    let permitted = [(2, Some(Cause::ForgottenBelowLogStart), Answer::Yes)];
    let forbidden = [(2, Some(Cause::DuplicateNotRecognised), Answer::No)];
    assert_eq!(judged(loaded(1, 1, true), false), permitted);
    assert_eq!(judged_after(loaded(1, 1, true), Some(0)), permitted, "of what was before it");
    assert_eq!(judged(gives_up(0, TruncationReason::InsideBatch), false), permitted, "it had nothing");
    assert_eq!(judged(loaded(1, 2, false), false), permitted);
    assert_eq!(judged(gives_up(1, TruncationReason::OutOfRange), false), permitted);
    assert_eq!(judged(loaded(1, 1, true), true), forbidden, "it has heard of the producer since");
    assert_eq!(judged(loaded(1, 2, true), false), forbidden, "there is a snapshot at the end of the log");
    assert_eq!(judged(loaded(0, 1, false), false), forbidden, "the record is still there");
    assert_eq!(judged(gives_up(0, TruncationReason::OutOfRange), false), forbidden, "so it copies the record");
    assert_eq!(judged(gives_up(1, TruncationReason::Diverged), false), forbidden, "nothing was given up");
}

//! What became of the copies of a record: who had it, who had left, who gave its offset to another one.

use ackproof_core::fact::{Fact, LogStartReason, Role, TruncationReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{LeaderEpoch, NodeId, Offset, TopicPartition};
use ackproof_reports::{Answer, Cause, Contract, Kind};

use super::invariants::Replication as _;
use super::run::{CONTROLLER, NOBODY, P1, Run, acks, orders, p1, with_topic};

const POWER: Cause = Cause::UnsyncedDataLostWithPower;

/// Record 0 is lost: the cause, what contributed, and whether it is permitted.
#[track_caller]
fn lost(run: &Run, contract: &Contract) -> (Option<Cause>, Vec<Cause>, Answer) {
    let (judgement, _) = run.explain(contract);
    let found = judgement.of_kind(Kind::LostWrite).find(|one| one.record == Some(p1(0)));
    let one = found.unwrap_or_else(|| panic!("record 0 is not lost: {:?}", judgement.kinds()));
    (one.cause, one.contributing.clone(), one.permitted.answer)
}

/// Broker 1 leads in epoch 4, and record 0 is at offset 0 of its log and of these followers'.
fn held_by(isr: &[i32], followers: &[i32]) -> Run {
    let mut run = Run::default();
    run.elected(1, 4, isr, true, 0);
    run.sent_and_appended(0, "a", 1, 4, 0);
    for follower in followers {
        run.copies(*follower, 4, 0);
    }
    run
}

/// Broker 1 loses the record with its power, and leads on before anybody has taken its place.
fn leads_on_without_it(run: &mut Run, isr: &[i32]) {
    run.lost_power(1);
    run.loaded(1, 0);
    let (leader_epoch, isr, log_end) = (LeaderEpoch(4), isr.to_vec(), Offset(0));
    run.say(NodeId::Broker(1), Fact::BecameLeader { partition: orders(), leader_epoch, isr, log_end });
}

/// Broker 2 is elected without record 0, puts another one there and deletes that, or not; broker 1 comes back, begins where its leader does, and
/// leads again.
#[test]
fn who_begins_where_its_leader_does_has_lost_what_stood_before() {
    let judged = |begins_late: bool, clean: bool| {
        let mut run = held_by(&[1], &[]);
        run.acked(0, 0, -1);
        run.killed(NodeId::Broker(1));
        run.elected(2, 5, &[2], clean, 0);
        run.sent_and_appended(1, "b", 2, 5, 0);
        run.acked(1, 0, -1);
        run.deletes(2, 1, LogStartReason::DeleteRecords);
        if begins_late {
            run.deletes(1, 1, LogStartReason::Leader);
        }
        run.elected(1, 6, &[1], true, 1);
        run.ends_from(Some(1), 1, &[]);
        lost(&run, &with_topic(acks(-1), |topic| topic.unclean_leader_election = true))
    };
    assert_eq!(judged(true, false), (Some(Cause::UncleanElection), vec![Cause::IsrShrunkToLeader], Answer::Yes));
    assert_ne!(judged(false, false).0, Some(Cause::UncleanElection), "the next leader has it");
    assert_ne!(judged(true, true).0, Some(Cause::UncleanElection));
}

/// Broker 1 has been deposed when it appends record 0 and answers for it; then it begins where its leader does, which has the record or not.
#[test]
fn a_deposed_leader_that_begins_where_its_successor_does_had_not_deleted_before_commit() {
    let judged = |copied: bool, reason: LogStartReason| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        run.elected(2, 5, &[2], true, 0);
        run.sent_and_appended(1, "b", 2, 5, 0);
        let sent = run.sent_and_appended(0, "a", 1, 4, 0);
        if copied {
            run.copies(2, 4, 0);
        }
        let error = ErrorCode::NONE;
        let answer = Fact::ProduceAnswered { partition: orders(), to: P1, base_offset: Offset(0), acks: 1, error };
        let answered = run.because(sent, NodeId::Broker(1), answer);
        let told = Fact::RecordAcknowledged { record: p1(0), partition: orders(), offset: Offset(0), acks: 1 };
        run.because(answered, P1, told);
        run.deletes(1, 1, reason);
        run.ends_from(Some(2), 1, &["c"]);
        lost(&run, &acks(1))
    };
    let (unreplicated, too_early) = (Some(Cause::AcknowledgedBeforeReplicated), Some(Cause::DeletedBeforeCommit));
    assert_eq!(judged(false, LogStartReason::Leader).0, unreplicated);
    assert_eq!(judged(true, LogStartReason::Leader).0, too_early);
    assert_eq!(judged(false, LogStartReason::RetentionMs).0, too_early);
}

/// Broker 2 copies what a cleaner has left of the batch, or something else without a cleaner, and loses it with its power before it is elected.
#[test]
fn what_a_cleaner_has_left_of_a_batch_is_a_copy_of_it() {
    let judged = |cleaned: bool| {
        let mut run = held_by(&[1], &[]);
        run.acked(0, 0, -1);
        if cleaned {
            run.cleaned(1, 1);
        }
        run.appended(0, 2, (Role::Follower, 4), (0, 0), NOBODY, 77);
        run.isr(&[1], &[1, 2]);
        run.killed(NodeId::Broker(1));
        run.lost_power(2);
        run.loaded(2, 0);
        run.elected(2, 5, &[2], true, 0);
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        run.ends_with(2, &[]);
        lost(&run, &acks(-1)).0
    };
    assert_eq!(judged(true), Some(Cause::IsrShrunkToLeader), "with its power");
    assert_eq!(judged(false), Some(Cause::JoinedIsrWithoutIt));
}

/// Broker 1 has been deposed when it appends record 0 and answers for it; it leads again and deletes it by the rules, committed or not.
#[test]
fn what_a_deposed_leader_answered_for_and_deleted_when_it_led_again_is_not_lost() {
    let judged = |high_watermark: i64| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        run.elected(2, 5, &[2], true, 0);
        run.sent_and_appended(1, "b", 2, 5, 0);
        let sent = run.sent_and_appended(0, "a", 1, 4, 0);
        let error = ErrorCode::NONE;
        let answer = Fact::ProduceAnswered { partition: orders(), to: P1, base_offset: Offset(0), acks: 1, error };
        let answered = run.because(sent, NodeId::Broker(1), answer);
        let told = Fact::RecordAcknowledged { record: p1(0), partition: orders(), offset: Offset(0), acks: 1 };
        run.because(answered, P1, told);
        run.elected(1, 6, &[1], true, 1);
        run.high_watermark(1, Role::Leader, 0, high_watermark);
        run.deletes(1, 1, LogStartReason::RetentionMs);
        run.ends_from(Some(1), 1, &[]);
        lost(&run, &acks(1))
    };
    assert_eq!(judged(1), (Some(Cause::DeletedByRetention), vec![], Answer::Yes));
    assert_eq!(judged(0), (Some(Cause::DeletedBeforeCommit), vec![], Answer::No));
}

/// Broker 2 puts another record in the place of record 0; broker 1, which has it, is elected uncleanly and deletes it by the rules, or before
/// that, when it does not lead any more.
#[test]
fn what_stood_there_again_when_it_was_deleted_is_not_lost() {
    let judged = |deletes: Option<bool>| {
        let mut run = held_by(&[1], &[]);
        run.high_watermark(1, Role::Leader, 0, 1);
        run.acked(0, 0, 1);
        run.elected(2, 5, &[2], false, 0);
        run.sent_and_appended(1, "b", 2, 5, 0);
        run.acked(1, 0, 1);
        if deletes == Some(false) {
            run.deletes(1, 1, LogStartReason::RetentionMs);
        }
        run.elected(1, 6, &[1], false, 1);
        if deletes == Some(true) {
            // A follower may be quicker.
            run.truncated(2, 1, 0, TruncationReason::Diverged);
            run.copies(2, 4, 0);
            run.high_watermark(2, Role::Follower, 0, 1);
            run.deletes(2, 1, LogStartReason::RetentionMs);
            run.deletes(1, 1, LogStartReason::DeleteRecords);
        }
        run.elected(3, 7, &[3], false, 1);
        run.ends_from(Some(3), 1, &[]);
        lost(&run, &with_topic(acks(1), |topic| topic.unclean_leader_election = true))
    };
    assert_eq!(judged(Some(true)), (Some(Cause::DeletedByOperator), vec![], Answer::Yes));
    assert_ne!(judged(Some(false)).0, Some(Cause::DeletedByRetention), "it did not lead");
    assert_eq!(judged(None).0, Some(Cause::UncleanElection));
}

/// The others have the record, and cut their logs while they are in sync or after they have left the ISR.
#[test]
fn who_has_left_the_isr_is_not_overruled() {
    let history = |leave: &[i32]| {
        let mut run = held_by(&[1, 2, 3], &[2, 3]);
        run.acked(0, 0, -1);
        leads_on_without_it(&mut run, &[1, 2, 3]);
        let left: Vec<i32> = (1..=3).filter(|broker| !leave.contains(broker)).collect();
        if !leave.is_empty() {
            run.isr(&[1, 2, 3], &left);
        }
        run.truncated(2, 1, 0, TruncationReason::Diverged);
        run.truncated(3, 1, 0, TruncationReason::Diverged);
        run.ends_with(1, &[]);
        lost(&run, &acks(-1))
    };
    assert_eq!(history(&[2, 3]), (Some(POWER), vec![], Answer::Yes));
    for leave in [&[][..], &[2], &[3]] {
        assert_eq!(history(leave), (Some(Cause::InSyncCopiesOverruled), vec![POWER], Answer::No), "{leave:?} left");
    }
}

/// Every record is synced when it is acknowledged, by the leader. What the next leader had not, or had not synced, it had not promised.
#[test]
fn at_acks_1_the_copy_of_the_next_leader_was_not_asked_for() {
    let history = |acks: i16, copied_first: bool, torn: bool| {
        let mut run = held_by(&[1, 2], if copied_first { &[2] } else { &[] });
        run.acked(0, 0, acks);
        if !copied_first {
            run.copies(2, 4, 0);
        }
        run.killed(NodeId::Broker(1));
        if torn {
            run.killed(NodeId::Broker(2));
            run.truncated(2, 1, 0, TruncationReason::CorruptTail);
        } else {
            run.lost_power(2);
        }
        run.loaded(2, 0);
        run.elected(2, 5, &[2], true, 0);
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        run.ends_with(2, &[]);
        run
    };
    for (torn, cause) in [(false, POWER), (true, Cause::CorruptTail)] {
        let judged = |level: i16, copied_first: bool| {
            let synced = with_topic(acks(level), |topic| topic.flush_messages = 1);
            lost(&history(level, copied_first, torn), &synced)
        };
        assert_eq!(judged(1, false), (Some(Cause::AcknowledgedBeforeReplicated), vec![cause], Answer::Yes));
        assert_eq!(judged(1, true), (Some(cause), vec![], Answer::No), "every copy was there, and synced");
        assert_eq!(judged(-1, true), (Some(cause), vec![], Answer::No));
    }
}

/// ISR and ELR are empty, and the controller elects whom it remembers (KIP-966).
#[test]
fn at_acks_1_the_copy_of_the_last_known_leader_was_not_asked_for() {
    let judged = |level: i16, copied_first: bool| {
        let mut run = held_by(&[1, 2], if copied_first { &[2] } else { &[] });
        run.acked(0, 0, level);
        if !copied_first {
            run.copies(2, 4, 0);
        }
        run.lost_power(1);
        run.lost_power(2);
        run.offline(&[]);
        let (elr, last_known_elr) = (Vec::new(), vec![2]);
        run.say(CONTROLLER, Fact::EligibleLeadersChanged { partition: orders(), elr, last_known_elr });
        run.loaded(2, 0);
        run.elected(2, 6, &[2], false, 0);
        run.loaded(1, 1);
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        run.ends_with(2, &[]);
        let synced = with_topic(acks(level), |topic| {
            topic.eligible_leader_replicas = true;
            topic.flush_messages = 1;
        });
        lost(&run, &synced)
    };
    let cause = Some(Cause::LastKnownLeaderElected);
    let weak = Some(Cause::AcknowledgedBeforeReplicated);
    assert_eq!(judged(1, false), (weak, vec![Cause::LastKnownLeaderElected], Answer::Yes));
    assert_eq!(judged(1, true), (cause, vec![POWER], Answer::No), "every copy was there, and synced");
    assert_eq!(judged(-1, true), (cause, vec![POWER], Answer::No));
}

/// Broker 2 comes back with the record, and has lost what it knew of leader epochs: it cuts its log to its high watermark, and leads.
#[test]
fn a_log_that_has_lost_its_epochs_with_the_power_is_cut_below_what_was_synced() {
    let history = |power: bool, reason: TruncationReason| {
        let mut run = held_by(&[1, 2], &[2]);
        run.acked(0, 0, -1);
        match power {
            true => run.lost_power(2),
            false => run.killed(NodeId::Broker(2)),
        };
        run.loaded(2, 1);
        run.truncated(2, 1, 0, reason);
        run.killed(NodeId::Broker(1));
        run.elected(2, 5, &[2], true, 0);
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        run.ends_with(2, &[]);
        lost(&run, &with_topic(acks(-1), |topic| topic.flush_messages = 1))
    };
    let unknown = TruncationReason::EpochsUnknown;
    assert_eq!(history(true, unknown), (Some(Cause::EpochsLostWithPower), vec![], Answer::Yes));
    assert_eq!(history(false, unknown), (Some(Cause::TruncatedToHighWatermark), vec![], Answer::No));
    let high_watermark = TruncationReason::ToHighWatermark;
    assert_eq!(history(true, high_watermark), (Some(Cause::TruncatedToHighWatermark), vec![], Answer::No));
}

/// Broker 3 has a copy until the partition is taken from it; brokers 1 and 2 lose theirs with the power. It comes back, leads, and an
/// unclean election follows.
#[test]
fn a_replica_that_was_taken_away_has_nothing_to_bring_back() {
    let history = |is_taken_away: bool| {
        let mut run = held_by(&[1, 2, 3], &[2, 3]);
        run.acked(0, 0, -1);
        run.isr(&[1, 2, 3], &[1, 2]);
        if is_taken_away {
            run.say(NodeId::Broker(3), Fact::LogDeleted { partition: orders(), log_end: Offset(1) });
        }
        run.lost_power(1);
        run.lost_power(2);
        run.loaded(1, 0);
        run.elected(1, 5, &[1], true, 0);
        run.loaded(2, 0);
        run.isr(&[1], &[1, 3]);
        run.killed(NodeId::Broker(1));
        run.elected(3, 6, &[3], true, i64::from(!is_taken_away));
        run.killed(NodeId::Broker(3));
        run.elected(2, 7, &[2], false, 0);
        run.truncated(3, 1, 0, TruncationReason::Diverged);
        run.ends_with(2, &[]);
        lost(&run, &acks(-1))
    };
    assert_eq!(history(true), (Some(POWER), vec![], Answer::Yes));
    assert_eq!(history(false), (Some(Cause::UncleanElection), vec![], Answer::No), "until then broker 3 had it");
}

/// Brokers 1 and 2 lose record 0 with the power, and record 1 takes its offset, which the rules delete, or not. Then broker 3 leads, which
/// has record 0 still.
fn an_old_copy_leads(is_deleted: bool, is_given_away: bool) -> Run {
    let mut run = held_by(&[1, 2], &[2, 3]);
    run.acked(0, 0, -1);
    run.killed(NodeId::Broker(3));
    run.lost_power(1);
    run.lost_power(2);
    run.loaded(1, 0);
    run.elected(1, 5, &[1], true, 0);
    run.loaded(2, 0);
    if is_given_away {
        run.sent_and_appended(1, "b", 1, 5, 0);
        let (from, to, role) = (Offset(0), Offset(1), Role::Leader);
        run.say(NodeId::Broker(1), Fact::HighWatermarkAdvanced { partition: orders(), role, from, to });
        run.acked(1, 0, -1);
    }
    if is_deleted {
        run.deletes(1, 1, LogStartReason::DeleteRecords);
    }
    run.killed(NodeId::Broker(1));
    run.elected(3, 6, &[3], false, 1);
    run
}

#[test]
fn of_two_values_at_an_offset_the_one_that_was_deleted_is_not_the_one_that_is_gone() {
    let history = |is_deleted: bool| {
        let mut run = an_old_copy_leads(is_deleted, true);
        run.ends_with(3, &["a"]);
        let (judgement, _) = run.explain(&acks(-1));
        let found: Vec<_> = judgement.of_kind(Kind::InconsistentOffsets).collect();
        let [one] = found[..] else { panic!("{} in {:?}", found.len(), judgement.kinds()) };
        (one.record, one.other_record, one.cause, one.permitted.answer)
    };
    assert_eq!(history(true), (Some(p1(0)), Some(p1(1)), Some(POWER), Answer::Yes));
    assert_eq!(history(false), (Some(p1(1)), Some(p1(0)), Some(Cause::UncleanElection), Answer::No));
}

/// Broker 1 has answered for "a" when broker 2 leads without it, which commits "b" at its offset; the client hears of "b" first. Broker 2 may
/// lose its power, and something else with it. The rules delete "b", or it is lost as well.
#[test]
fn of_two_values_of_which_the_log_has_neither_the_deleted_one_is_not_lost() {
    let history = |is_deleted: bool, loses_power: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        run.sent_and_appended(0, "a", 1, 4, 0);
        run.elected(2, 5, &[2], true, 0);
        run.sent_and_appended(1, "b", 2, 5, 0);
        let (from, to, role) = (Offset(0), Offset(1), Role::Leader);
        run.say(NodeId::Broker(2), Fact::HighWatermarkAdvanced { partition: orders(), role, from, to });
        run.acked(1, 0, -1);
        run.acked(0, 0, 1);
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        if loses_power {
            run.lost_power(2);
            run.loaded(2, 1);
            run.elected(2, 6, &[2], true, 1);
        }
        if is_deleted {
            run.deletes(2, 1, LogStartReason::RetentionMs);
        }
        run.isr_decided(&[2], &[2, 1]);
        run.elected(1, 7, &[2, 1], true, i64::from(is_deleted));
        run.ends_from(Some(1), i64::from(is_deleted), &[]);
        let (judgement, _) = run.explain(&acks(1));
        let found: Vec<_> = judgement.of_kind(Kind::InconsistentOffsets).collect();
        let [one] = found[..] else { panic!("{} in {:?}", found.len(), judgement.kinds()) };
        (one.record, one.cause, one.permitted.answer)
    };
    let deposed = (Some(p1(0)), Some(Cause::AcknowledgedBeforeReplicated), Answer::Yes);
    assert_eq!(history(true, false), deposed);
    assert_eq!(history(true, true), deposed);
    assert_eq!(history(false, false), (Some(p1(1)), Some(Cause::JoinedIsrWithoutIt), Answer::No));
}

/// Broker 1 loses the record with its power and leads, and broker 2 cuts its log to match; broker 3 still has it and leads for a while. Then
/// broker 2 does, which cut its log because of that first decision, or because of none.
#[test]
fn who_cut_its_log_to_match_a_leader_lost_the_record_by_that_leader() {
    let history = |loses_it: bool, cuts_before: bool| {
        let mut run = held_by(&[1, 2, 3], &[2, 3]);
        run.acked(0, 0, -1);
        if cuts_before {
            run.truncated(2, 1, 0, TruncationReason::Diverged);
        }
        if loses_it {
            run.lost_power(1);
            run.loaded(1, 0);
        }
        run.elected(1, 5, &[1], true, 0);
        if !cuts_before {
            run.truncated(2, 1, 0, TruncationReason::Diverged);
        }
        run.elected(3, 6, &[2, 3], true, 1);
        run.elected(2, 7, &[2], true, 0);
        run.truncated(3, 1, 0, TruncationReason::OutOfRange);
        run.truncated(1, 1, 0, TruncationReason::OutOfRange);
        run.ends_with(2, &[]);
        lost(&run, &acks(-1)).0
    };
    assert_eq!(history(true, false), Some(POWER));
    assert_eq!(history(true, true), Some(Cause::Unknown), "nobody had led without it yet");
    assert_eq!(history(false, false), Some(Cause::Unknown), "nobody had lost it");
}

/// Broker 3 appends the record and cannot sync it, before or after it has told the leader; then it loses it with its power, and is elected.
#[test]
fn a_copy_that_could_not_be_synced_and_of_which_nobody_was_told_is_none() {
    let history = |tells: bool, fails: bool| {
        let mut run = held_by(&[1, 2, 3], &[2, 3]);
        if tells {
            let (partition, log_end) = (orders(), Offset(1));
            run.say(NodeId::Broker(1), Fact::FollowerFetched { partition, follower: 3, log_end });
        }
        if fails {
            run.say(NodeId::Broker(3), Fact::StorageFailed { what: "flushing orders-0: EIO: fsync failed".into() });
        }
        run.acked(0, 0, 1);
        run.lost_power(3);
        run.isr(&[1, 2, 3], &[3]);
        run.killed(NodeId::Broker(1));
        run.loaded(3, 0);
        run.elected(3, 5, &[3], true, 0);
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        run.truncated(2, 1, 0, TruncationReason::Diverged);
        run.ends_with(3, &[]);
        lost(&run, &with_topic(acks(1), |topic| topic.flush_messages = 1))
    };
    assert_eq!(history(false, true), (Some(Cause::AcknowledgedBeforeReplicated), vec![POWER], Answer::Yes));
    for (tells, fails) in [(true, true), (true, false), (false, false)] {
        assert_eq!(history(tells, fails), (Some(POWER), vec![], Answer::No), "tells {tells}, fails {fails}");
    }
}

/// Both in sync have what is acknowledged, but they are fewer than `min.insync.replicas`; the last known leader was out of sync when it was written.
#[test]
fn what_is_not_committed_at_acks_1_the_last_known_leader_may_lack() {
    let judged_later = |level: i16, high_watermark: Option<i64>, later: Option<(i32, i64)>| {
        let mut run = held_by(&[1, 3], &[3]);
        run.acked(0, 0, level);
        if let Some(to) = high_watermark {
            let (partition, role, from, to) = (orders(), Role::Leader, Offset(0), Offset(to));
            run.say(NodeId::Broker(1), Fact::HighWatermarkAdvanced { partition, role, from, to });
        }
        run.killed(NodeId::Broker(1));
        run.offline(&[]);
        let (elr, last_known_elr) = (Vec::new(), vec![2]);
        run.say(CONTROLLER, Fact::EligibleLeadersChanged { partition: orders(), elr, last_known_elr });
        run.elected(2, 6, &[2], false, 0);
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        run.truncated(3, 1, 0, TruncationReason::Diverged);
        if let Some((number, to)) = later {
            let (partition, role) = (TopicPartition::of("orders", number), Role::Leader);
            let (from, to) = (Offset(0), Offset(to));
            run.say(NodeId::Broker(2), Fact::HighWatermarkAdvanced { partition, role, from, to });
        }
        run.ends_with(2, &[]);
        let synced = with_topic(acks(level), |topic| {
            topic.eligible_leader_replicas = true;
            topic.flush_messages = 1;
        });
        lost(&run, &synced)
    };
    let judged = |level: i16, high_watermark: Option<i64>| judged_later(level, high_watermark, None);
    let elected = Some(Cause::LastKnownLeaderElected);
    let weak = (Some(Cause::AcknowledgedBeforeReplicated), vec![Cause::LastKnownLeaderElected], Answer::Yes);
    assert_eq!(judged(1, Some(0)), weak);
    assert_eq!(judged(1, Some(1)), (elected, vec![], Answer::No), "it was committed");
    assert_eq!(judged(1, None), (elected, vec![], Answer::No), "nobody says whether it was committed");
    assert_eq!(judged(-1, Some(0)), (elected, vec![], Answer::No), "it was to be on all");
    let weak = (Some(Cause::AcknowledgedBeforeReplicated), vec![Cause::LastKnownLeaderElected], Answer::Yes);
    assert_eq!(judged_later(1, None, Some((0, 9))), weak, "the first high watermark of all is the next leader's");
    assert_eq!(judged_later(1, None, Some((1, 9))), weak, "or another partition's");
}

/// Leader 3's batch is at broker 2 when broker 1 leads, which appends it once more. Broker 2 leads next, recognises what it has and answers, or broker 1
/// had answered before.
#[test]
fn who_answers_for_what_it_recognises_speaks_of_its_own_copy() {
    let history = |answers: i32| {
        let mut run = Run::default();
        run.elected(3, 4, &[1, 2, 3], true, 0);
        run.sent(0, "a");
        run.batched(0, 1);
        let sent = run.transmits(1, 1, 3);
        run.appends(sent, 3, 4, 0);
        run.copies(2, 4, 0);
        run.elected(1, 5, &[1, 2], true, 0);
        let again = run.transmits(1, 2, 1);
        run.appends(again, 1, 5, 0);
        let answered = |run: &mut Run| {
            let (error, to) = (ErrorCode::NONE, P1);
            let answer = Fact::ProduceAnswered { partition: orders(), to, base_offset: Offset(0), acks: -1, error };
            let answer = run.say(NodeId::Broker(answers), answer);
            let (record, partition, offset) = (p1(0), orders(), Offset(0));
            run.because(answer, P1, Fact::RecordAcknowledged { record, partition, offset, acks: -1 });
        };
        if answers == 1 {
            answered(&mut run);
        }
        run.elected(2, 6, &[2], true, 1);
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        if answers == 2 {
            answered(&mut run);
        }
        run.killed(NodeId::Broker(2));
        run.lost_power(3);
        run.loaded(3, 0);
        run.elected(3, 7, &[3], false, 0);
        run.truncated(2, 1, 0, TruncationReason::Diverged);
        run.ends_with(3, &[]);
        lost(&run, &acks(-1)).0
    };
    assert_eq!(history(2), Some(Cause::UncleanElection));
    assert_eq!(history(1), Some(Cause::AcknowledgedBeforeReplicated), "broker 2 has a batch of another epoch");
}

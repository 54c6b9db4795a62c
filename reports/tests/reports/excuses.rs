//! What a cluster has promised no longer, or never: records that a leader has deleted, and records that were committed without somebody whom
//! the controller had let in.

use ackproof_core::fact::{Fact, LogStartReason, Role, TruncationReason};
use ackproof_core::types::{LeaderEpoch, NodeId, Offset, PartitionEpoch, ProducerEpoch, Sequence};
use ackproof_reports::{Answer, Invariant};

use super::invariants::{Replication, broken, first};
use super::run::{Run, acks, orders};

/// Brokers 1 and 2 are in sync, and the leader knows that they have both records.
fn two_committed() -> Run {
    let mut run = Run::started();
    run.isr_decided(&[1, 2, 3], &[1, 2]);
    run.adopts(1, &[1, 2]);
    for offset in 0..2 {
        run.written(1, 4, offset, &[2]);
    }
    run.high_watermark(1, Role::Leader, 0, 2);
    run
}

/// Brokers 1 and 2 have committed two records that a consumer has read, and the leader has deleted all below `start`. Broker 3 has `own`
/// records of its own there, joins the ISR, and is elected.
fn led_by_a_stranger(start: i64, own: i64) -> Run {
    let mut run = two_committed();
    run.high_watermark(2, Role::Follower, 0, 2);
    run.polled(0, "a");
    run.polled(1, "b");
    if start > 0 {
        run.deletes(1, start, LogStartReason::RetentionMs);
    }
    for offset in 0..own {
        run.copies(3, 3, offset);
    }
    // Where the leader's log begins.
    run.copies(3, 3, own);
    run.truncated(3, own + 1, own, TruncationReason::Diverged);
    run.high_watermark(3, Role::Follower, 0, own);
    run.proposes(1, &[1, 2], &[1, 2, 3]);
    run.isr_decided(&[1, 2], &[1, 2, 3]);
    run.adopts(1, &[1, 2, 3]);
    run.killed(NodeId::Broker(1));
    run.killed(NodeId::Broker(2));
    run.elected(3, 5, &[3], true, own);
    run.appends(0, 3, 5, own);
    run.high_watermark(3, Role::Leader, own, own + 1);
    for broker in [1, 2] {
        run.loaded(broker, 2);
        run.registered(broker);
        run.follows(broker, 5, 3, 2);
        run.truncated(broker, 2, 0, TruncationReason::Diverged);
    }
    run
}

/// What was broken. Nothing excuses it.
fn forbidden(run: &Run) -> Vec<Invariant> {
    let found = broken(run);
    assert!(found.iter().all(|(_, answer)| *answer == Answer::No), "{found:?}");
    found.into_iter().map(|(invariant, _)| invariant).collect()
}

#[test]
fn what_a_leader_has_deleted_by_its_rules_is_promised_no_more() {
    use Invariant as I;
    for own in 0..=2 {
        assert_eq!(forbidden(&led_by_a_stranger(2, own)), [], "{own} records of its own");
    }
    let always = [I::StrongIsr, I::WeakIsr, I::LeaderCompleteness, I::ConsistentRead, I::NoCommittedRecordLostGlobally];
    // Nothing was deleted, or not all of it.
    for (start, own, also) in [
        (0, 0, &[I::LeaderCandidateCompleteness][..]),
        (0, 1, &[I::LogMatching, I::LeaderCandidateCompleteness]),
        (0, 2, &[I::LogMatching]),
        (1, 0, &[I::LeaderCandidateCompleteness, I::MonotonicHighWatermark]),
        (1, 1, &[I::LeaderCandidateCompleteness]),
        (1, 2, &[I::LogMatching]),
    ] {
        let mut expected: Vec<Invariant> = always.iter().chain(also).copied().collect();
        let mut found = forbidden(&led_by_a_stranger(start, own));
        expected.sort_by_key(|invariant| invariant.name());
        found.sort_by_key(|invariant| invariant.name());
        assert_eq!(found, expected, "begins at {start}, {own} records of its own");
    }
}

/// Who deletes decides: a follower that begins later has not released the others from anything.
#[test]
fn what_a_follower_has_deleted_is_promised_all_the_same() {
    let deleted_by = |broker: i32| {
        let mut run = led_by_a_stranger(2, 2);
        let deletes = |fact: &Fact| matches!(fact, Fact::LogStartOffsetAdvanced { .. });
        let place = run.events.iter().position(|event| deletes(&event.fact)).expect("somebody deletes");
        run.events[place].node = NodeId::Broker(broker);
        first(&run, Invariant::LeaderCompleteness).map(|found| found.permitted.answer)
    };
    assert_eq!(deleted_by(1), None);
    assert_eq!(deleted_by(2), Some(Answer::No));
}

/// Broker 2 deletes as a follower, by its own retention; then it leads.
#[test]
fn what_a_follower_has_deleted_it_tells_the_others_as_their_leader() {
    let judged = |deletes: bool| {
        let mut run = two_committed();
        run.high_watermark(2, Role::Follower, 0, 2);
        if deletes {
            run.deletes(2, 2, LogStartReason::RetentionBytes);
        }
        // A leader that had been deposed has written something else there.
        run.appends(0, 3, 3, 0);
        run.appends(0, 3, 3, 1);
        run.killed(NodeId::Broker(1));
        run.elected(2, 5, &[2], true, 2);
        run.follows(3, 5, 2, 2);
        run.high_watermark(3, Role::Follower, 0, 2);
        first(&run, Invariant::LogMatching).map(|found| found.permitted.answer)
    };
    assert_eq!(judged(true), None);
    assert_eq!(judged(false), Some(Answer::No));
}

/// Broker 3 has batches of these epochs at offsets 0 and 1, which the leader has deleted; it may lose the second and take another one there.
fn epochs_below_the_line(first: i32, second: i32, third: Option<i32>) -> Run {
    let mut run = two_committed();
    run.deletes(1, 2, LogStartReason::RetentionMs);
    run.copies(3, first, 0);
    run.copies(3, second, 1);
    if let Some(third) = third {
        run.truncated(3, 2, 1, TruncationReason::Diverged);
        run.copies(3, third, 1);
    }
    run
}

#[test]
fn below_what_a_leader_has_deleted_a_log_has_epochs_of_its_own() {
    for (first, second, third) in [(3, 3, None), (2, 3, None), (4, 4, None), (2, 3, Some(2))] {
        assert_eq!(broken(&epochs_below_the_line(first, second, third)), [], "{first}, {second}, {third:?}");
    }
    for (first, second) in [(3, 2), (4, 3)] {
        let run = epochs_below_the_line(first, second, None);
        assert_eq!(broken(&run), [(Invariant::MonotonicEpochs, Answer::No)], "{first}, {second}");
    }
}

/// When the leader commits: before the metadata log tells it of its ISR once more, after that, or not at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Commits {
    Before,
    After,
    Never,
}

/// The leader asks for [1, 2, 3], and the controller lets broker 3 in. Then the leader hears of [1, 2] in these partition epochs, of which it
/// knows 9. What it commits broker 3 has not, and is elected.
fn hears_of_its_isr(partition_epochs: &[i32], commits: Commits) -> Run {
    let mut run = Run::started();
    run.isr_decided(&[1, 2, 3], &[1, 2]);
    run.adopts(1, &[1, 2]);
    run.proposes(1, &[1, 2], &[1, 2, 3]);
    run.isr_decided(&[1, 2], &[1, 2, 3]);
    run.written(1, 4, 0, &[2]);
    if commits == Commits::Before {
        run.high_watermark(1, Role::Leader, 0, 1);
    }
    for partition_epoch in partition_epochs {
        let partition_epoch = PartitionEpoch(*partition_epoch);
        run.say(NodeId::Broker(1), Fact::IsrAdopted { partition: orders(), isr: vec![1, 2], partition_epoch });
    }
    if commits == Commits::After {
        run.high_watermark(1, Role::Leader, 0, 1);
    }
    run.killed(NodeId::Broker(1));
    run.killed(NodeId::Broker(2));
    run.elected(3, 5, &[3], true, 0);
    run
}

#[test]
fn a_leader_that_dropped_its_proposal_as_kafka_does_commits_without_whom_the_controller_let_in() {
    let answer = |partition_epochs: &[i32], commits: Commits, invariant: Invariant| {
        first(&hears_of_its_isr(partition_epochs, commits), invariant).map(|found| found.permitted.answer)
    };
    for invariant in [Invariant::StrongIsr, Invariant::LeaderCandidateCompleteness, Invariant::LeaderCompleteness] {
        for known in [&[9][..], &[9, 9]] {
            assert_eq!(answer(known, Commits::After, invariant), Some(Answer::Yes), "{invariant}");
            assert_eq!(
                answer(known, Commits::Before, invariant),
                Some(Answer::No),
                "{invariant}: it waited for nobody"
            );
            assert_eq!(answer(known, Commits::Never, invariant), None, "{invariant}");
        }
        for unknown in [&[][..], &[10]] {
            assert_eq!(answer(unknown, Commits::After, invariant), Some(Answer::No), "{invariant}: {unknown:?}");
        }
    }
}

/// What happens to the leader that has asked for [1, 2, 3] before the controller lets broker 3 in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    EndsAndIsBack,
    IsBackInTheNextEpoch,
    IsRegistered,
    WasAnsweredBefore,
}

/// The process of the leader ends with a proposal under way. The next one reads that it leads, and does not know of it.
fn asked_by_the_process_before(asked: Asked) -> Run {
    let mut run = Run::started();
    run.isr_decided(&[1, 2, 3], &[1, 2]);
    run.adopts(1, &[1, 2]);
    run.proposes(1, &[1, 2], &[1, 2, 3]);
    if asked == Asked::WasAnsweredBefore {
        run.adopts(1, &[1, 2]);
        let (isr, partition_epoch) = (vec![1, 2], PartitionEpoch(10));
        run.say(NodeId::Broker(1), Fact::IsrAdopted { partition: orders(), isr, partition_epoch });
    }
    run.killed(NodeId::Broker(1));
    if asked == Asked::IsRegistered {
        run.registered(1);
    }
    match asked {
        Asked::IsBackInTheNextEpoch => drop(run.elected(1, 5, &[1, 2], true, 0)),
        Asked::EndsAndIsBack | Asked::IsRegistered | Asked::WasAnsweredBefore => {
            let (leader_epoch, isr, log_end) = (LeaderEpoch(4), vec![1, 2], Offset(0));
            run.say(NodeId::Broker(1), Fact::BecameLeader { partition: orders(), leader_epoch, isr, log_end });
        }
    }
    run.isr_decided(&[1, 2], &[1, 2, 3]);
    run
}

#[test]
fn the_next_process_of_a_leader_does_not_know_what_the_one_before_had_asked_for() {
    let answer = |asked: Asked| {
        let found = first(&asked_by_the_process_before(asked), Invariant::ReplicationQuorumSuperset);
        found.map(|found| found.permitted.answer)
    };
    assert_eq!(answer(Asked::EndsAndIsBack), Some(Answer::Yes));
    for other in [Asked::IsBackInTheNextEpoch, Asked::IsRegistered, Asked::WasAnsweredBefore] {
        assert_eq!(answer(other), Some(Answer::No), "{other:?}");
    }
}

/// The leader asks for broker 3's place in the ISR; broker 3 loses its power and its log, and its next process gets the place, and leads.
#[test]
fn before_3_5_the_next_process_gets_the_place_of_the_one_before() {
    let judged = |lacks: bool, asks_late: bool, catches_up: bool| {
        let mut run = two_committed();
        run.copies(3, 4, 0);
        run.copies(3, 4, 1);
        run.proposes(1, &[1, 2], &[1, 2, 3]);
        run.lost_power(3);
        run.loaded(3, 0);
        run.registered(3);
        if asks_late {
            run.proposes(1, &[1, 2], &[1, 2, 3]);
        }
        run.isr_decided(&[1, 2], &[1, 2, 3]);
        if catches_up {
            run.copies(3, 4, 0);
            run.copies(3, 4, 1);
            run.lost_power(3);
            run.loaded(3, 0);
            run.registered(3);
        }
        run.killed(NodeId::Broker(1));
        run.elected(3, 5, &[2, 3], true, 0);
        let mut contract = acks(-1);
        contract.lacks.extend(lacks.then(|| "isr_broker_epoch".to_owned()));
        let judgement = run.judge(&contract);
        let found = judgement.broken.iter().find(|broken| broken.invariant == Invariant::LeaderCompleteness);
        found.map(|found| found.permitted.answer)
    };
    assert_eq!(judged(true, false, false), Some(Answer::Yes));
    assert_eq!(judged(false, false, false), Some(Answer::No), "KIP-903 forbids it");
    assert_eq!(judged(true, true, false), Some(Answer::No), "it asked for the one that is there");
    assert_eq!(judged(true, false, true), Some(Answer::No), "the one that joined had everything once");
}

/// Broker 1 loses what all have, leads on in its epoch before it is registered again, and writes another record at that offset. Later it is
/// elected over broker 2, which has the first.
#[test]
fn of_two_records_of_one_epoch_nobody_can_tell_which_was_first() {
    let judged = |epoch_of_second: i32| {
        let mut run = two_committed();
        run.lost_power(1);
        run.loaded(1, 1);
        let (leader_epoch, isr, log_end) = (LeaderEpoch(4), vec![1, 2], Offset(1));
        run.say(NodeId::Broker(1), Fact::BecameLeader { partition: orders(), leader_epoch, isr, log_end });
        run.say(
            NodeId::Broker(1),
            Fact::Appended {
                partition: orders(),
                role: Role::Leader,
                base_offset: Offset(1),
                last_offset: Offset(1),
                leader_epoch: LeaderEpoch(epoch_of_second),
                producer_id: -1,
                producer_epoch: ProducerEpoch::NONE,
                base_sequence: Sequence::NONE,
                crc: 77,
            },
        );
        run.elected(2, 5, &[2], true, 2);
        run.follows(1, 5, 2, 2);
        run.registered(1);
        run.elected(1, 6, &[1, 2], true, 2);
        let found = first(&run, Invariant::LeaderCompleteness).expect("it leads with another record");
        found.permitted.answer
    };
    assert_eq!(judged(4), Answer::Yes);
    assert_eq!(judged(5), Answer::No, "the epochs tell");
}

/// Broker 1 leads from epoch 3 to 4, loses what it wrote in both, leads on in epoch 4 (or is elected anew), and writes there; then it copies from
/// broker 2 what that had of epoch 3.
#[test]
fn who_leads_on_in_its_epoch_after_a_loss_has_newer_epochs_before_older_ones() {
    let judged = |loses: bool| {
        let mut run = Run::default();
        run.elected(1, 3, &[1, 2], true, 0);
        run.follows(2, 3, 1, 0);
        for offset in 0..2 {
            run.written(1, 3, offset, &[2]);
        }
        run.elected(1, 4, &[1, 2], true, 2);
        run.written(1, 4, 2, &[2]);
        if loses {
            run.lost_power(1);
            run.loaded(1, 0);
            let (leader_epoch, isr, log_end) = (LeaderEpoch(4), vec![1, 2], Offset(0));
            run.say(NodeId::Broker(1), Fact::BecameLeader { partition: orders(), leader_epoch, isr, log_end });
        } else {
            run.truncated(1, 3, 0, TruncationReason::Diverged);
        }
        run.appends(0, 1, 4, 0);
        run.elected(2, 5, &[2], true, 3);
        run.follows(1, 5, 2, 1);
        run.copies(1, 3, 1);
        first(&run, Invariant::MonotonicEpochs).map(|found| found.permitted.answer)
    };
    assert_eq!(judged(true), Some(Answer::Yes));
    assert_eq!(judged(false), Some(Answer::No), "it had lost nothing with its power");
}

/// Whatever was there before is deleted: what comes next is the first batch of its log.
#[test]
fn a_log_that_was_deleted_to_its_end_has_no_last_epoch() {
    let judged = |deletes: bool| {
        let mut run = Run::started();
        run.written(1, 4, 0, &[2]);
        if deletes {
            run.deletes(2, 1, LogStartReason::RetentionMs);
        }
        run.copies(2, 3, 1);
        first(&run, Invariant::MonotonicEpochs).map(|found| found.permitted.answer)
    };
    assert_eq!(judged(true), None);
    assert_eq!(judged(false), Some(Answer::No));
}

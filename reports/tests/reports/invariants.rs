//! Every invariant with a guilty and an innocent history, and what excuses a guilty one.

use ackproof_core::fact::{Fact, LogStartReason, Role, TruncationReason};
use ackproof_core::types::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionEpoch, ProducerEpoch, Sequence};
use ackproof_reports::{Answer, Broken, Contract, Invariant};

use crate::run::{CONTROLLER, Run, acks, orders, with_topic};

/// What was broken, and whether it was permitted.
pub(super) fn broken(run: &Run) -> Vec<(Invariant, Answer)> {
    let judgement = run.judge(&acks(-1));
    judgement.broken.iter().map(|broken| (broken.invariant, broken.permitted.answer)).collect()
}

pub(super) fn first(run: &Run, invariant: Invariant) -> Option<Broken> {
    run.judge(&acks(-1)).broken.into_iter().find(|broken| broken.invariant == invariant)
}

/// The guilty history breaks it at this event; the innocent one breaks nothing at all.
fn check(invariant: Invariant, guilty: &Run, at: u64, innocent: &Run) {
    let found = first(guilty, invariant).unwrap_or_else(|| panic!("{invariant} is not broken: {:?}", broken(guilty)));
    assert_eq!((found.event, found.permitted.answer), (at, Answer::No), "{invariant}: {}", found.what);
    assert!(guilty.judge(&acks(-1)).has_forbidden());
    assert_eq!(broken(innocent), [], "{invariant}");
}

pub(super) trait Replication {
    /// Brokers 1 to 3 are in sync, and broker 1 leads in epoch 4.
    fn started() -> Run;
    /// The leader takes the batch at this offset, and these followers copy it.
    fn written(&mut self, leader: i32, epoch: i32, offset: i64, followers: &[i32]);
    fn follows(&mut self, broker: i32, epoch: i32, leader: i32, log_end: i64) -> u64;
    fn high_watermark(&mut self, broker: i32, role: Role, from: i64, to: i64) -> u64;
    fn proposes(&mut self, broker: i32, from: &[i32], to: &[i32]) -> u64;
    fn adopts(&mut self, broker: i32, isr: &[i32]) -> u64;
    fn registered(&mut self, broker: i32) -> u64;
    fn now(&self) -> u64;
}

impl Replication for Run {
    fn started() -> Run {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2, 3], true, 0);
        run.follows(2, 4, 1, 0);
        run.follows(3, 4, 1, 0);
        run
    }

    fn written(&mut self, leader: i32, epoch: i32, offset: i64, followers: &[i32]) {
        let cause = self.appends(0, leader, epoch, offset);
        assert!(cause > 0);
        for follower in followers {
            self.copies(*follower, epoch, offset);
        }
    }

    fn follows(&mut self, broker: i32, epoch: i32, leader: i32, log_end: i64) -> u64 {
        let (leader_epoch, log_end) = (LeaderEpoch(epoch), Offset(log_end));
        self.say(NodeId::Broker(broker), Fact::BecameFollower { partition: orders(), leader_epoch, leader, log_end })
    }

    fn high_watermark(&mut self, broker: i32, role: Role, from: i64, to: i64) -> u64 {
        let (from, to) = (Offset(from), Offset(to));
        self.say(NodeId::Broker(broker), Fact::HighWatermarkAdvanced { partition: orders(), role, from, to })
    }

    fn proposes(&mut self, broker: i32, from: &[i32], to: &[i32]) -> u64 {
        let (from, to) = (from.to_vec(), to.to_vec());
        self.say(NodeId::Broker(broker), Fact::IsrProposed { partition: orders(), from, to })
    }

    fn adopts(&mut self, broker: i32, isr: &[i32]) -> u64 {
        let partition_epoch = PartitionEpoch(9);
        self.say(NodeId::Broker(broker), Fact::IsrAdopted { partition: orders(), isr: isr.to_vec(), partition_epoch })
    }

    fn registered(&mut self, broker: i32) -> u64 {
        self.say(CONTROLLER, Fact::BrokerRegistered { broker, epoch: BrokerEpoch(7) })
    }

    fn now(&self) -> u64 {
        self.events.len() as u64
    }
}

/// Two records on all three, committed everywhere.
fn two_committed() -> Run {
    let mut run = Run::started();
    run.written(1, 4, 0, &[2, 3]);
    run.written(1, 4, 1, &[2, 3]);
    run.high_watermark(1, Role::Leader, 0, 2);
    run.high_watermark(2, Role::Follower, 0, 2);
    run.high_watermark(3, Role::Follower, 0, 2);
    run
}

#[test]
fn an_ordinary_life_breaks_nothing() {
    let mut run = two_committed();
    run.killed(NodeId::Broker(1));
    run.elected(2, 5, &[2, 3], true, 2);
    run.follows(3, 5, 2, 2);
    run.written(2, 5, 2, &[3]);
    run.high_watermark(2, Role::Leader, 2, 3);
    run.loaded(1, 2);
    run.registered(1);
    run.follows(1, 5, 2, 2);
    run.copies(1, 5, 2);
    run.proposes(2, &[2, 3], &[2, 3, 1]);
    run.isr_decided(&[2, 3], &[2, 3, 1]);
    run.adopts(2, &[2, 3, 1]);
    run.written(2, 5, 3, &[3, 1]);
    run.high_watermark(2, Role::Leader, 3, 4);
    assert_eq!(broken(&run), []);
}

#[test]
fn leader_in_isr() {
    let mut guilty = Run::started();
    guilty.elected(2, 5, &[1, 3], true, 0);
    let at = guilty.now() - 1;
    let mut innocent = Run::started();
    innocent.elected(2, 5, &[2, 3], true, 0);
    innocent.offline(&[2]);
    check(Invariant::LeaderInIsr, &guilty, at, &innocent);
}

#[test]
fn no_two_leaders_per_epoch() {
    let leads = |run: &mut Run, broker: i32, epoch: i32| {
        let (leader_epoch, isr, log_end) = (LeaderEpoch(epoch), vec![1, 2, 3], Offset(0));
        run.say(NodeId::Broker(broker), Fact::BecameLeader { partition: orders(), leader_epoch, isr, log_end })
    };
    let mut guilty = Run::started();
    let at = leads(&mut guilty, 2, 4);
    let mut innocent = Run::started();
    innocent.elected(2, 5, &[1, 2, 3], true, 0);
    // The one that was deposed has not heard of it.
    innocent.high_watermark(1, Role::Leader, 0, 0);
    check(Invariant::NoTwoLeadersPerEpoch, &guilty, at, &innocent);
}

#[test]
fn monotonic_epochs() {
    let mut guilty = Run::started();
    let at = guilty.follows(3, 3, 2, 0);
    let mut innocent = Run::started();
    innocent.follows(3, 5, 2, 0);
    check(Invariant::MonotonicEpochs, &guilty, at, &innocent);

    let mut guilty = Run::started();
    guilty.written(1, 4, 0, &[]);
    let at = guilty.appends(0, 1, 3, 1);
    check(Invariant::MonotonicEpochs, &guilty, at, &two_committed());

    let mut guilty = Run::started();
    let partition_epoch = PartitionEpoch(1);
    let at = guilty.say(
        CONTROLLER,
        Fact::IsrChanged { partition: orders(), from: vec![1, 2, 3], to: vec![1, 2], partition_epoch },
    );
    let mut innocent = Run::started();
    innocent.isr_decided(&[1, 2, 3], &[1, 2]);
    check(Invariant::MonotonicEpochs, &guilty, at, &innocent);
}

#[test]
fn replication_quorum_superset() {
    // The controller lets a replica in that the leader has not asked for.
    let mut guilty = Run::started();
    guilty.isr_decided(&[1, 2, 3], &[1, 2]);
    guilty.adopts(1, &[1, 2]);
    let at = guilty.isr_decided(&[1, 2], &[1, 2, 3]);
    let mut innocent = Run::started();
    innocent.isr_decided(&[1, 2, 3], &[1, 2]);
    innocent.adopts(1, &[1, 2]);
    innocent.proposes(1, &[1, 2], &[1, 2, 3]);
    innocent.isr_decided(&[1, 2], &[1, 2, 3]);
    innocent.adopts(1, &[1, 2, 3]);
    check(Invariant::ReplicationQuorumSuperset, &guilty, at, &innocent);

    // The leader takes its own proposal for refused, and it was not.
    let forgets = |partition_epochs: &[i32]| {
        let mut run = Run::started();
        run.isr_decided(&[1, 2, 3], &[1, 2]);
        run.adopts(1, &[1, 2]);
        run.proposes(1, &[1, 2], &[1, 2, 3]);
        for partition_epoch in partition_epochs {
            let partition_epoch = PartitionEpoch(*partition_epoch);
            run.say(NodeId::Broker(1), Fact::IsrAdopted { partition: orders(), isr: vec![1, 2], partition_epoch });
        }
        run.isr_decided(&[1, 2], &[1, 2, 3]);
        run
    };
    let guilty = forgets(&[10]);
    check(Invariant::ReplicationQuorumSuperset, &guilty, guilty.now(), &innocent);
    // Kafka does this where the metadata log tells it of what it knows. It asks again, in vain, while the request is under way.
    for known in [&[9][..], &[9, 9]] {
        assert_eq!(broken(&forgets(known)), [(Invariant::ReplicationQuorumSuperset, Answer::Yes)]);
    }
}

#[test]
fn weak_and_strong_isr() {
    // The high watermark passes a record that broker 3 does not have.
    let mut guilty = Run::started();
    guilty.written(1, 4, 0, &[2]);
    let at = guilty.high_watermark(1, Role::Leader, 0, 1);
    let mut innocent = Run::started();
    innocent.written(1, 4, 0, &[2]);
    innocent.isr_decided(&[1, 2, 3], &[1, 2]);
    innocent.adopts(1, &[1, 2]);
    innocent.high_watermark(1, Role::Leader, 0, 1);
    check(Invariant::WeakIsr, &guilty, at, &innocent);
    check(Invariant::StrongIsr, &guilty, at, &innocent);
    check(Invariant::LeaderCandidateCompleteness, &guilty, at, &innocent);
}

/// Broker 3 is no replica any more and deletes its log; it becomes one again before the leader has heard of either.
#[test]
fn who_comes_back_as_a_new_replica_is_not_the_one_that_a_leader_counts() {
    let judged = |has_left_isr: bool| {
        let mut run = two_committed();
        if has_left_isr {
            run.isr_decided(&[1, 2, 3], &[1, 2]);
        }
        run.say(NodeId::Broker(3), Fact::LogDeleted { partition: orders(), log_end: Offset(2) });
        run.truncated(3, 0, 1, TruncationReason::OutOfRange);
        first(&run, Invariant::WeakIsr).is_some()
    };
    assert!(!judged(true));
    assert!(judged(false), "it was to keep its log");
}

/// The leader has deleted everything; the follower that comes back kept its own record where that had been.
#[test]
fn what_lies_before_the_beginning_of_the_leaders_log_is_shown_to_nobody() {
    let judged = |deletes: bool| {
        let mut run = Run::started();
        run.written(1, 4, 0, &[3]);
        run.isr_decided(&[1, 2, 3], &[1, 3]);
        run.adopts(1, &[1, 3]);
        run.high_watermark(1, Role::Leader, 0, 1);
        if deletes {
            run.deletes(1, 1, LogStartReason::RetentionMs);
        }
        run.copies(2, 3, 0);
        run.isr_decided(&[1, 3], &[1, 2, 3]);
        run.adopts(1, &[1, 2, 3]);
        [Invariant::WeakIsr, Invariant::StrongIsr].map(|invariant| first(&run, invariant).is_some())
    };
    assert_eq!(judged(true), [false, false]);
    assert_eq!(judged(false), [true, true]);
}

#[test]
fn strong_isr_is_about_the_isr_of_the_controller() {
    // The leader does not count broker 3, the controller does: the mutant of KIP-497.
    let mut guilty = Run::started();
    guilty.isr_decided(&[1, 2, 3], &[1, 2]);
    guilty.adopts(1, &[1, 2]);
    guilty.proposes(1, &[1, 2], &[1, 2, 3]);
    guilty.isr_decided(&[1, 2], &[1, 2, 3]);
    guilty.written(1, 4, 0, &[2]);
    let at = guilty.high_watermark(1, Role::Leader, 0, 1);
    check(Invariant::StrongIsr, &guilty, at, &two_committed());
    assert_eq!(first(&guilty, Invariant::WeakIsr), None);
}

#[test]
fn leader_candidate_completeness() {
    let mut guilty = two_committed();
    let at = guilty.truncated(3, 2, 1, TruncationReason::ToHighWatermark);
    let mut innocent = two_committed();
    innocent.written(1, 4, 2, &[3]);
    innocent.truncated(3, 3, 2, TruncationReason::Diverged);
    check(Invariant::LeaderCandidateCompleteness, &guilty, at, &innocent);
}

#[test]
fn leader_completeness() {
    // Broker 3 lags and is elected.
    let lagging = |isr: &[i32]| {
        let mut run = Run::started();
        run.isr_decided(&[1, 2, 3], &[1, 2]);
        run.adopts(1, &[1, 2]);
        run.written(1, 4, 0, &[2]);
        run.high_watermark(1, Role::Leader, 0, 1);
        run.killed(NodeId::Broker(1));
        let leader = isr[0];
        run.elected(leader, 5, isr, true, i64::from(leader == 2));
        run
    };
    let guilty = lagging(&[3]);
    check(Invariant::LeaderCompleteness, &guilty, guilty.now() - 1, &lagging(&[2]));
}

#[test]
fn log_matching() {
    // Broker 3 holds another record where the others have theirs, and all of them think it is committed.
    let history = |epoch_of_third: i32| {
        let mut run = Run::started();
        run.copies(3, epoch_of_third, 0);
        run.written(1, 4, 0, &[2]);
        run.isr_decided(&[1, 2, 3], &[1, 2]);
        run.adopts(1, &[1, 2]);
        run.high_watermark(1, Role::Leader, 0, 1);
        run.high_watermark(3, Role::Follower, 0, 1);
        run
    };
    let guilty = history(3);
    check(Invariant::LogMatching, &guilty, guilty.now(), &history(4));
}

#[test]
fn monotonic_high_watermark() {
    let mut guilty = two_committed();
    let at = guilty.high_watermark(1, Role::Leader, 2, 1);
    let mut innocent = two_committed();
    innocent.killed(NodeId::Broker(1));
    innocent.elected(2, 5, &[2, 3], true, 2);
    // A new leader may know less of what is committed, until it has committed something of its own epoch.
    innocent.follows(3, 5, 2, 2);
    innocent.high_watermark(3, Role::Follower, 2, 1);
    innocent.written(2, 5, 2, &[3]);
    innocent.high_watermark(2, Role::Leader, 2, 3);
    check(Invariant::MonotonicHighWatermark, &guilty, at, &innocent);
}

#[test]
fn log_start_offset() {
    let begins = |run: &mut Run, from: i64, to: i64| {
        let (from, to, reason) = (Offset(from), Offset(to), LogStartReason::RetentionMs);
        run.say(NodeId::Broker(1), Fact::LogStartOffsetAdvanced { partition: orders(), from, to, reason })
    };
    // Retention that does not mind the high watermark (KAFKA-5634).
    let mut guilty = two_committed();
    guilty.written(1, 4, 2, &[]);
    let at = begins(&mut guilty, 0, 3);
    let mut innocent = two_committed();
    begins(&mut innocent, 0, 2);
    check(Invariant::LogStartOffset, &guilty, at, &innocent);
    let mut guilty = two_committed();
    begins(&mut guilty, 0, 2);
    let at = begins(&mut guilty, 2, 1);
    check(Invariant::LogStartOffset, &guilty, at, &innocent);
}

#[test]
fn what_was_removed_or_rewritten_by_a_rule_is_not_missed() {
    let mut run = two_committed();
    run.deletes(2, 1, LogStartReason::RetentionMs);
    run.cleaned(1, 2);
    // A replica that lost everything fetches what the cleaner has left of it.
    run.truncated(3, 2, 0, TruncationReason::OutOfRange);
    let judgement = run.judge(&acks(-1));
    assert!(
        judgement.broken.iter().all(|broken| broken.invariant == Invariant::LeaderCandidateCompleteness
            || broken.invariant == Invariant::StrongIsr
            || broken.invariant == Invariant::WeakIsr),
        "{:?}",
        judgement.broken
    );
    let copied = Fact::Appended {
        partition: orders(),
        role: Role::Follower,
        base_offset: Offset(0),
        last_offset: Offset(1),
        leader_epoch: LeaderEpoch(4),
        producer_id: -1,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: Sequence::NONE,
        crc: 99,
    };
    run.say(NodeId::Broker(3), copied);
    run.high_watermark(3, Role::Follower, 0, 2);
    assert_eq!(first(&run, Invariant::LogMatching), None);
}

#[test]
fn what_a_deposed_leader_appends_where_others_have_compacted_is_its_own() {
    let mut run = two_committed();
    run.elected(2, 5, &[2, 3], true, 2);
    run.follows(3, 5, 2, 2);
    run.written(2, 5, 2, &[3]);
    run.written(2, 5, 3, &[3]);
    run.high_watermark(2, Role::Leader, 2, 4);
    run.cleaned(2, 4);
    // Broker 1 was paused and does not know yet.
    run.written(1, 4, 2, &[]);
    run.written(1, 4, 3, &[]);
    assert_eq!(broken(&run), []);
}

#[test]
fn min_isr_recovery_quorum() {
    // One decision: its facts are told at one instant.
    let nobody_left = |remembered: Option<&[i32]>| {
        let mut run = Run::started();
        run.offline(&[]);
        if let Some(last_known) = remembered {
            let (elr, last_known_elr) = (Vec::new(), last_known.to_vec());
            run.say(CONTROLLER, Fact::EligibleLeadersChanged { partition: orders(), elr, last_known_elr });
            let at = run.events.len() - 1;
            run.events[at].time = run.events[at - 1].time;
        }
        run
    };
    // Nobody is remembered; or nothing is said of it at all, and something else happens.
    for remembered in [Some(&[][..]), None] {
        let mut guilty = nobody_left(remembered);
        let decided = guilty.now();
        check(Invariant::MinIsrRecoveryQuorum, &guilty, decided, &nobody_left(Some(&[1])));
        guilty.polled(0, "a");
        assert_eq!(first(&guilty, Invariant::MinIsrRecoveryQuorum).map(|found| found.event), Some(decided));
    }
}

#[test]
fn consistent_read() {
    // A consumer has read what only broker 1 has, and broker 2 leads.
    let history = |leader: i32, log_end: i64| {
        let mut run = Run::started();
        run.isr_decided(&[1, 2, 3], &[1, 3]);
        run.adopts(1, &[1, 3]);
        run.written(1, 4, 0, &[3]);
        run.high_watermark(1, Role::Leader, 0, 1);
        run.polled(0, "a");
        run.killed(NodeId::Broker(1));
        run.elected(leader, 5, &[leader], true, log_end);
        run
    };
    let guilty = history(2, 0);
    check(Invariant::ConsistentRead, &guilty, guilty.now(), &history(3, 1));
}

#[test]
fn no_committed_record_lost_globally() {
    let mut guilty = two_committed();
    for broker in 1..=3 {
        guilty.truncated(broker, 2, 1, TruncationReason::Diverged);
    }
    let mut innocent = two_committed();
    innocent.written(1, 4, 2, &[]);
    innocent.truncated(1, 3, 2, TruncationReason::Diverged);
    check(Invariant::NoCommittedRecordLostGlobally, &guilty, guilty.now(), &innocent);
}

#[test]
fn a_record_that_was_overruled_is_lost_when_the_last_copy_is_cut() {
    let mut run = two_committed();
    run.elected(3, 5, &[3], true, 2);
    run.truncated(3, 2, 1, TruncationReason::ToHighWatermark);
    run.appends(0, 3, 5, 1);
    run.high_watermark(3, Role::Leader, 2, 2);
    assert_eq!(first(&run, Invariant::NoCommittedRecordLostGlobally), None, "brokers 1 and 2 have it");
    assert!(first(&run, Invariant::LeaderCompleteness).is_some());
    run.truncated(1, 2, 1, TruncationReason::Diverged);
    assert_eq!(first(&run, Invariant::NoCommittedRecordLostGlobally), None, "broker 2 has it");
    let at = run.truncated(2, 2, 1, TruncationReason::Diverged);
    assert_eq!(first(&run, Invariant::NoCommittedRecordLostGlobally).map(|broken| broken.event), Some(at));
}

/// A write broke off, and what was appended behind the torn batch went with it when the log was loaded (KAFKA-10778).
#[test]
fn a_version_that_appends_behind_what_a_failed_write_left_may_lose_that() {
    let answer = |fails: bool, lacks: &[&str]| {
        let mut run = two_committed();
        run.isr_decided(&[1, 2, 3], &[1]);
        run.adopts(1, &[1]);
        if fails {
            let what = "appending to orders-0: EIO: input/output error, after a part of the write".into();
            run.say(NodeId::Broker(1), Fact::StorageFailed { what });
        }
        run.killed(NodeId::Broker(1));
        run.loaded(1, 1);
        run.registered(1);
        run.elected(1, 5, &[1], true, 1);
        let contract = Contract { lacks: lacks.iter().map(|fix| (*fix).to_owned()).collect(), ..acks(-1) };
        let broken = run.judge(&contract).broken.into_iter();
        broken
            .map(|broken| broken.permitted.answer)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(answer(true, &["append_fence_after_error"]), [Answer::Yes]);
    assert_eq!(answer(true, &[]), [Answer::No], "since 2.8 nothing is appended there any more");
    assert_eq!(answer(false, &["append_fence_after_error"]), [Answer::No], "no write had failed");
}

#[test]
fn metadata_log_matching() {
    let reads = |run: &mut Run, broker: i32, offset: i64, crc: u32| {
        let (base_offset, last_offset, leader_epoch) = (Offset(offset), Offset(offset), LeaderEpoch(1));
        let fact = Fact::MetadataReplayed { base_offset, last_offset, leader_epoch, crc };
        run.say(NodeId::Broker(broker), fact)
    };
    let mut guilty = Run::default();
    reads(&mut guilty, 1, 0, 10);
    let at = reads(&mut guilty, 2, 0, 11);
    let mut innocent = Run::default();
    reads(&mut innocent, 1, 0, 10);
    reads(&mut innocent, 1, 1, 11);
    reads(&mut innocent, 2, 0, 10);
    reads(&mut innocent, 2, 1, 11);
    // A new life reads it again.
    reads(&mut innocent, 1, 0, 10);
    check(Invariant::MetadataLogMatching, &guilty, at, &innocent);
}

// ---- what excuses a broken invariant ----

/// Broker 1 loses its two committed records with its power and comes back as the only one in sync.
fn lost_with_power() -> Run {
    let mut run = two_committed();
    run.isr_decided(&[1, 2, 3], &[1]);
    run.adopts(1, &[1]);
    run.lost_power(1);
    run.loaded(1, 0);
    run.registered(1);
    run.elected(1, 5, &[1], true, 0);
    run
}

#[test]
fn what_is_lost_with_the_power_is_excused_unless_every_record_is_synced() {
    let run = lost_with_power();
    let answer = |contract: &ackproof_reports::Contract| {
        let judgement = run.judge(contract);
        let broken = judgement.broken.into_iter().find(|broken| broken.invariant == Invariant::LeaderCompleteness);
        broken.expect("the leader lacks two records").permitted.answer
    };
    assert_eq!(answer(&acks(-1)), Answer::Yes);
    assert_eq!(answer(&with_topic(acks(-1), |topic| topic.flush_messages = 1)), Answer::No);
}

#[test]
fn a_loss_of_power_does_not_excuse_a_leader_that_others_in_sync_could_replace() {
    // Broker 1 is back before anybody has taken its place, with a shorter log.
    let leads_on = |isr: &[i32]| {
        let mut run = two_committed();
        run.isr_decided(&[1, 2, 3], isr);
        run.lost_power(1);
        run.loaded(1, 0);
        run.registered(1);
        let (leader_epoch, log_end) = (LeaderEpoch(4), Offset(0));
        let isr = isr.to_vec();
        run.say(NodeId::Broker(1), Fact::BecameLeader { partition: orders(), leader_epoch, isr, log_end });
        first(&run, Invariant::LeaderCompleteness).expect("the leader lacks two records").permitted.answer
    };
    assert_eq!(leads_on(&[1, 3]), Answer::No);
    assert_eq!(leads_on(&[1]), Answer::Yes);
}

#[test]
fn whose_machine_lost_power_too_could_have_replaced_nobody_for_certain() {
    let mut run = two_committed();
    run.isr_decided(&[1, 2, 3], &[1, 3]);
    run.lost_power(1);
    run.say(NodeId::Broker(3), Fact::PowerLost { unsynced_bytes: 900, lost_bytes: 0 });
    run.loaded(1, 0);
    run.registered(1);
    let (leader_epoch, log_end, isr) = (LeaderEpoch(4), Offset(0), vec![1, 3]);
    run.say(NodeId::Broker(1), Fact::BecameLeader { partition: orders(), leader_epoch, isr, log_end });
    let found = first(&run, Invariant::LeaderCompleteness).expect("the leader lacks two records");
    assert_eq!(found.permitted.answer, Answer::Yes);
}

#[test]
fn what_befell_a_broker_without_a_replica_excuses_nothing() {
    // The ISR has broker 3, which lacks a record that consumers can see.
    let after = |befallen: Option<(i32, Fact)>| {
        let mut run = Run::started();
        if let Some((broker, fact)) = befallen {
            run.say(NodeId::Broker(broker), fact);
        }
        run.written(1, 4, 0, &[2]);
        run.adopts(1, &[1, 2]);
        run.high_watermark(1, Role::Leader, 0, 1);
        first(&run, Invariant::StrongIsr).expect("broker 3 lacks a record").permitted.answer
    };
    assert_eq!(after(None), Answer::No);
    let power_lost = Fact::PowerLost { unsynced_bytes: 900, lost_bytes: 300 };
    let harmed = Fact::DiskHarmed { what: "emptied a disk".into() };
    for fact in [power_lost, harmed] {
        assert_eq!(after(Some((4, fact.clone()))), Answer::No);
        assert_eq!(after(Some((2, fact))), Answer::Yes);
    }
}

#[test]
fn one_loss_of_power_does_not_excuse_the_loss_of_every_copy_where_two_are_promised() {
    let mut run = lost_with_power();
    run.truncated(2, 2, 0, TruncationReason::Diverged);
    run.truncated(3, 2, 0, TruncationReason::Diverged);
    let lost_globally = |replicas: u32| {
        let promised = with_topic(acks(-1), |topic| {
            topic.min_insync_replicas = replicas;
            topic.eligible_leader_replicas = true;
        });
        let judgement = run.judge(&promised);
        let mut broken = judgement.broken.into_iter();
        let found = broken.find(|broken| broken.invariant == Invariant::NoCommittedRecordLostGlobally);
        found.expect("no copy is left").permitted.answer
    };
    assert_eq!(lost_globally(1), Answer::Yes);
    assert_eq!(lost_globally(2), Answer::No);
}

#[test]
fn an_unclean_election_excuses_what_follows_from_it() {
    let mut run = Run::started();
    run.isr_decided(&[1, 2, 3], &[1]);
    run.adopts(1, &[1]);
    run.written(1, 4, 0, &[]);
    run.high_watermark(1, Role::Leader, 0, 1);
    run.killed(NodeId::Broker(1));
    run.elected(2, 5, &[2], false, 0);
    let found = first(&run, Invariant::LeaderCompleteness).expect("broker 2 lacks a record");
    assert_eq!(found.permitted.answer, Answer::Yes, "{}", found.permitted.because);
    assert!(found.after.unclean_election);
    assert!(!run.judge(&acks(-1)).has_forbidden());
}

#[test]
fn a_harmed_disk_excuses_what_it_lost() {
    let mut run = two_committed();
    run.isr_decided(&[1, 2, 3], &[1]);
    run.adopts(1, &[1]);
    run.killed(NodeId::Broker(1));
    run.say(NodeId::Broker(1), Fact::DiskHarmed { what: "emptied the disk of broker 1".into() });
    run.registered(1);
    run.elected(1, 5, &[1], true, 0);
    let found = first(&run, Invariant::LeaderCompleteness).expect("broker 1 lacks two records");
    assert_eq!(found.permitted.answer, Answer::Yes);
}

#[test]
fn what_no_fact_has_told_is_not_held_against_anybody() {
    // A trace that begins in the middle: the logs are found with records that nobody has seen being written.
    let mut run = Run::default();
    run.loaded(1, 40);
    run.loaded(2, 40);
    run.elected(1, 7, &[1, 2], true, 40);
    run.follows(2, 7, 1, 40);
    run.written(1, 7, 40, &[2]);
    run.high_watermark(1, Role::Leader, 0, 41);
    run.polled(12, "old");
    run.follows(3, 7, 1, 0);
    run.copies(3, 2, 0);
    assert_eq!(broken(&run), []);
}

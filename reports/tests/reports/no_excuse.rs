//! Guilty histories that an excuse for something near them must not acquit.

use ackproof_core::coordinator::group::{GroupId, partition_for};
use ackproof_core::fact::{Fact, LogStartReason, ResetReason, Role, TruncationReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{NodeId, Offset, PartitionEpoch, StrBytes};
use ackproof_reports::{Answer, Cause, Invariant, Kind};

use super::coordinators::one_partition;
use super::deliveries::{assigned, lost, reads, rewritten};
use super::invariants::{Replication, broken};
use super::run::{C1, CONTROLLER, Run, acks, group, of, orders, p1, with_producer, with_topic};

fn offsets(found: Vec<(i64, Option<Cause>, Answer)>) -> Vec<i64> {
    found.into_iter().map(|(offset, ..)| offset).collect()
}

/// The new record is given up by its program; nothing comes behind it.
#[test]
fn a_new_record_is_swallowed() {
    let mut run = rewritten(3);
    run.repositioned(3, 1, ResetReason::Truncation);
    reads(&mut run, 1, "b");
    run.polled(2, "c");
    run.say(C1, Fact::GaveUp { group: Some("billing".into()), partition: orders(), offset: Offset(2), to: None });
    run.ends_with(1, &["a", "b", "c"]);
    assert_eq!(lost(&run, &group(|_| {})), [(2, Some(Cause::SwallowedByProgram), Answer::Yes)]);
}

/// `auto.offset.reset=latest` puts the group behind the new records.
#[test]
fn a_position_is_set_behind_new_records() {
    let mut run = rewritten(3);
    run.repositioned(-1, 3, ResetReason::NoPosition);
    run.ends_with(1, &["a", "b", "c"]);
    let latest = group(|consumer| consumer.resets_to_latest = true);
    assert_eq!(lost(&run, &latest), [1, 2].map(|offset| (offset, Some(Cause::PositionReset), Answer::Yes)));
}

/// The producer went on under the same id and epoch: the leader must not take sequence 1 before sequence 0.
#[test]
fn a_late_request_under_the_id_that_went_on() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    for (number, value) in [(0, "a"), (1, "b")] {
        run.sent(number, value);
        run.batched(number, number + 1);
    }
    let held = run.transmits_under(1, 1, 1, (7, 0, 0));
    run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    let ahead = run.transmits_under(2, 1, 1, (7, 0, 1));
    run.appends_under(ahead, 1, 4, 0, (7, 0, 1));
    run.acked(1, 0, -1);
    run.appends_under(held, 1, 4, 1, (7, 0, 0));
    run.ends_with(1, &["b", "a"]);
    let found = of(Kind::Reorder, &run, &with_producer(acks(-1), |producer| producer.idempotence = true));
    assert_eq!(found.iter().map(|one| one.2).collect::<Vec<_>>(), [Answer::No]);
}

/// a goes with the power, b takes its offset, and b is deleted by the rules: a is lost.
#[test]
fn what_was_deleted_is_the_record_that_took_the_offset() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2], true, 0);
    run.sent_and_appended(0, "a", 1, 4, 0);
    run.copies(2, 4, 0);
    run.acked(0, 0, -1);
    run.at(10);
    for broker in [1, 2] {
        run.lost_power(broker);
        run.loaded(broker, 0);
    }
    run.elected(1, 5, &[1, 2], true, 0);
    run.at(20);
    run.sent_and_appended(1, "b", 1, 5, 0);
    run.copies(2, 5, 0);
    run.acked(1, 0, -1);
    let (from, to, role) = (Offset(0), Offset(1), Role::Leader);
    run.say(NodeId::Broker(1), Fact::HighWatermarkAdvanced { partition: orders(), role, from, to });
    run.deletes(1, 1, LogStartReason::RetentionMs);
    run.ends_from(Some(1), 1, &[]);
    let judgement = run.judge(&acks(-1));
    let lost: Vec<_> = judgement.of_kind(Kind::LostWrite).map(|one| one.record).collect();
    assert_eq!((lost, judgement.counts.removed), (vec![Some(p1(0))], 1));
}

/// Somebody got the second copy of a, behind b.
#[test]
fn a_reader_of_a_second_copy_has_read_beyond() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2], true, 0);
    for (number, value) in [(0, "a"), (1, "b")] {
        run.sent_and_appended(number, value, 1, 4, number as i64);
        run.acked(number, number as i64, -1);
    }
    run.appends(0, 1, 4, 2);
    run.polled(0, "a");
    run.polled(2, "a");
    run.ends_with(1, &["a", "b", "a"]);
    assert_eq!(offsets(of(Kind::Unseen, &run, &acks(-1))), [1]);
}

/// The leader knows its ISR again; a follower that lacks nothing is elected and cuts what is committed.
#[test]
fn a_proposal_that_was_dropped_long_ago_excuses_nothing() {
    let mut run = Run::started();
    run.isr_decided(&[1, 2, 3], &[1, 2]);
    run.adopts(1, &[1, 2]);
    run.proposes(1, &[1, 2], &[1, 2, 3]);
    run.adopts(1, &[1, 2]);
    run.written(1, 4, 0, &[2, 3]);
    run.high_watermark(1, Role::Leader, 0, 1);
    let (isr, partition_epoch) = (vec![1, 2], PartitionEpoch(10));
    run.say(NodeId::Broker(1), Fact::IsrAdopted { partition: orders(), isr, partition_epoch });
    run.written(1, 4, 1, &[2]);
    run.high_watermark(1, Role::Leader, 1, 2);
    run.killed(NodeId::Broker(1));
    run.elected(2, 5, &[2], true, 2);
    run.truncated(2, 2, 1, TruncationReason::ToHighWatermark);
    let found = broken(&run);
    assert!(!found.is_empty() && found.iter().all(|(_, answer)| *answer == Answer::No), "{found:?}");
}

/// Broker 3 loads the groups of another partition: it has not taken this one back.
#[test]
fn a_former_coordinator_takes_over_other_groups() {
    let mut run = Run::default();
    assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
    let loads = |run: &mut Run, broker: i32, partition: i32| {
        run.say(NodeId::Broker(broker), Fact::GroupsLoaded { partition, groups: 1 });
    };
    let says = |run: &mut Run, broker: i32, offset: i64| {
        let (group, partition, offset) = ("billing".into(), orders(), Offset(offset));
        run.say(NodeId::Broker(broker), Fact::OffsetCommitted { group, partition, offset, generation: 1 });
    };
    let (topic, replicas) = ("__consumer_offsets".to_owned(), vec![vec![2, 3]; 2]);
    run.say(CONTROLLER, Fact::TopicCreated { topic, replicas });
    let home = partition_for(&GroupId(StrBytes::from_static_str("billing")), 2);
    loads(&mut run, 3, home);
    says(&mut run, 3, 3);
    loads(&mut run, 2, home);
    loads(&mut run, 3, 1 - home);
    says(&mut run, 2, 1);
    run.ends_with(1, &[]);
    assert_eq!(offsets(of(Kind::NonmonotonicCommit, &run, &group(|_| {}))), [1]);
}

/// acks=1 and flush.messages=1: the copy that goes is the leader's own, which was synced.
#[test]
fn the_copy_of_the_leader_was_asked_for() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2], true, 0);
    run.sent_and_appended(0, "a", 1, 4, 0);
    run.acked(0, 0, 1);
    run.lost_power(1);
    run.loaded(1, 0);
    run.elected(1, 5, &[1], true, 0);
    run.ends_with(1, &[]);
    let synced = with_topic(acks(1), |topic| topic.flush_messages = 1);
    assert_eq!(of(Kind::LostWrite, &run, &synced), [(0, Some(Cause::UnsyncedDataLostWithPower), Answer::No)]);
}

/// Broker 1 has not heard of its successor, and deletes by age what the others must keep.
#[test]
fn what_a_deposed_leader_deletes_is_promised_all_the_same() {
    let mut run = Run::started();
    for offset in 0..2 {
        run.written(1, 4, offset, &[2, 3]);
    }
    run.high_watermark(1, Role::Leader, 0, 2);
    run.elected(2, 5, &[2, 3], true, 2);
    run.follows(3, 5, 2, 2);
    run.deletes(1, 2, LogStartReason::RetentionMs);
    run.truncated(2, 2, 0, TruncationReason::ToHighWatermark);
    let found: Vec<Invariant> = broken(&run).into_iter().map(|(invariant, _)| invariant).collect();
    assert!(found.contains(&Invariant::LeaderCompleteness), "{found:?}");
}

/// The next word of the coordinator goes back from its own last one; the story must not stumble over the late word between them.
#[test]
fn a_late_word_between_two_of_the_coordinator() {
    let mut run = Run::default();
    one_partition(&mut run);
    assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
    for broker in [2, 3] {
        run.say(NodeId::Broker(broker), Fact::GroupsLoaded { partition: 0, groups: 1 });
    }
    for (broker, offset) in [(3, 3), (2, 1), (3, 2)] {
        let (group, partition, offset) = ("billing".into(), orders(), Offset(offset));
        run.say(NodeId::Broker(broker), Fact::OffsetCommitted { group, partition, offset, generation: 1 });
    }
    run.ends_with(1, &[]);
    let back = [(2, Some(Cause::CommitWentBack), Answer::Yes)];
    assert_eq!(of(Kind::NonmonotonicCommit, &run, &group(|_| {})), back);
}

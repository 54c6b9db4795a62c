//! What operators do, as the judge and the reader see it.

use ackproof_core::fact::{Fact, ResetReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{NodeId, Offset, TopicPartition};
use ackproof_reports::render::topics::topics;
use ackproof_reports::{Answer, Cause, Kind};

use crate::run::{C1, CONTROLLER, P1, Run, acks, group, orders, p1, payload};

fn deleted(run: &mut Run) {
    run.say(CONTROLLER, Fact::TopicDeleted { topic: "orders".into() });
    (1..=3).for_each(|broker| log_goes(run, broker, 1));
}

/// A new topic, on brokers 1 to 3.
pub(super) fn created(run: &mut Run) {
    run.say(CONTROLLER, Fact::TopicCreated { topic: "orders".into(), replicas: vec![vec![1, 2, 3]] });
}

fn log_goes(run: &mut Run, broker: i32, log_end: i64) {
    run.say(NodeId::Broker(broker), Fact::LogDeleted { partition: orders(), log_end: Offset(log_end) });
}

fn kinds(run: &Run) -> Vec<String> {
    run.judge(&acks(-1)).anomalies.iter().map(|anomaly| anomaly.kind.to_string()).collect()
}

#[test]
fn what_went_with_its_topic_is_not_lost_what_came_later_is() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.acked(0, 0, -1);
    deleted(&mut run);
    run.sent(1, "b");
    run.acked(1, 0, -1);
    assert_eq!(kinds(run.clone().ends_with(1, &["b"])), [""; 0], "the offset is another one: the topic is");
    assert_eq!(kinds(run.ends_with(1, &[])), ["lost-write"]);
}

#[test]
fn a_log_that_goes_while_its_topic_stays_excuses_nobody() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.acked(0, 0, -1);
    run.say(NodeId::Broker(1), Fact::LogDeleted { partition: orders(), log_end: Offset(1) });
    assert_eq!(kinds(run.ends_with(2, &[])), ["lost-write"]);
}

#[test]
fn an_answer_of_the_old_topic_may_come_when_its_logs_are_gone() {
    let mut run = Run::default();
    created(&mut run);
    run.sent(0, "a");
    deleted(&mut run);
    run.acked(0, 0, -1);
    created(&mut run);
    run.sent(1, "b");
    run.acked(1, 0, -1);
    let mut guilty = run.clone();
    assert_eq!(kinds(run.ends_with(1, &["b"])), [""; 0]);
    guilty.sent(2, "c");
    guilty.acked(2, 0, -1);
    assert_eq!(kinds(guilty.ends_with(1, &["b"])), ["lost-write", "inconsistent-offsets"], "both are of the new topic");
}

#[test]
fn a_leader_that_has_not_heard_of_the_deletion_answers_for_the_old_topic() {
    let mut run = Run::default();
    created(&mut run);
    run.say(CONTROLLER, Fact::TopicDeleted { topic: "orders".into() });
    log_goes(&mut run, 2, 0);
    log_goes(&mut run, 3, 0);
    created(&mut run);
    run.sent(0, "a");
    run.acked(0, 0, -1);
    run.sent(1, "b");
    run.acked(1, 0, -1);
    let mut never_heard = run.clone();
    log_goes(&mut run, 1, 1);
    run.sent(2, "c");
    run.acked(2, 1, -1);
    assert_eq!(kinds(run.clone().ends_with(2, &["b", "c"])), [""; 0], "a went with the old log");
    assert_eq!(kinds(run.ends_with(2, &["b"])), ["lost-write"], "no old log was that long");
    // The old leader dies before it hears of anything; nobody knows how long its log was.
    never_heard.killed(NodeId::Broker(1));
    assert_eq!(kinds(never_heard.ends_with(2, &["b"])), [""; 0]);
}

#[test]
fn a_late_remainder_of_the_old_topic_excuses_no_loss_in_the_new_one() {
    let mut run = Run::default();
    created(&mut run);
    run.killed(NodeId::Broker(3));
    run.say(CONTROLLER, Fact::TopicDeleted { topic: "orders".into() });
    log_goes(&mut run, 1, 7);
    log_goes(&mut run, 2, 7);
    created(&mut run);
    run.sent(0, "a");
    run.acked(0, 0, -1);
    run.say(NodeId::Broker(3), Fact::NodeStarted);
    log_goes(&mut run, 3, 7);
    assert_eq!(kinds(run.clone().ends_with(1, &["a"])), [""; 0]);
    assert_eq!(kinds(run.clone().ends_with(1, &[])), ["lost-write"]);
    // Nor does a replica of the new topic that is moved elsewhere.
    log_goes(&mut run, 2, 1);
    assert_eq!(kinds(run.ends_with(1, &[])), ["lost-write"]);
}

#[test]
fn what_consumers_knew_of_positions_ends_with_the_topic() {
    let history = |deletes: bool| {
        let mut run = Run::default();
        created(&mut run);
        for (number, value) in (0..).zip(["a", "b"]) {
            run.sent(number, value);
            run.acked(number, number as i64, -1);
            run.polled(number as i64, value);
        }
        if deletes {
            run.say(CONTROLLER, Fact::TopicDeleted { topic: "orders".into() });
            (1..=3).for_each(|broker| log_goes(&mut run, broker, 2));
            created(&mut run);
        }
        run.repositioned(2, 0, ResetReason::OutOfRange);
        run.sent(2, "c");
        run.acked(2, 0, -1);
        run.polled(0, "c");
        kinds(run.ends_with(1, &["c"]))
    };
    assert_eq!(history(true), [""; 0]);
    assert_eq!(history(false), ["lost-write", "lost-write", "inconsistent-offsets", "nonmonotonic-poll"]);
}

/// Records a and b of one key, a topic with one more partition in between; read from these partitions, b first.
fn grown(grows: bool, partitions: [i32; 2]) -> Run {
    let mut run = Run::default();
    created(&mut run);
    run.sent_with_key(0, "k", "a");
    if grows {
        run.say(CONTROLLER, Fact::PartitionsAdded { topic: "orders".into(), first: 1, replicas: vec![vec![2, 3, 1]] });
    }
    run.sent_with_key(1, "k", "b");
    for (number, partition) in [(0, partitions[0]), (1, partitions[1])] {
        let partition = TopicPartition::of("orders", partition);
        run.say(P1, Fact::RecordBatched { record: p1(number), partition: partition.clone(), batch: number + 1 });
        run.say(P1, Fact::RecordAcknowledged { record: p1(number), partition, offset: Offset(0), acks: -1 });
    }
    for (value, partition) in [("b", partitions[1]), ("a", partitions[0])] {
        let (key, value) = (payload("k"), payload(value));
        run.say(C1, Fact::Polled { partition: TopicPartition::of("orders", partition), offset: Offset(0), key, value });
    }
    for (value, partition) in [("a", partitions[0]), ("b", partitions[1])] {
        run.surveyed_with_key(&TopicPartition::of("orders", partition), 1, &[(Some("k"), value)]);
    }
    run.say(CONTROLLER, Fact::RunEnded { quiescent: true });
    run
}

/// Record b fails before the topic grows, and is sent again afterwards: it is in the new partition.
#[test]
fn mc_14_a_key_that_moved_between_two_attempts() {
    let history = |grows: bool| {
        let elsewhere = TopicPartition::of("orders", 1);
        let mut run = Run::default();
        created(&mut run);
        for (number, value) in [(0, "a"), (1, "b")] {
            run.sent_with_key(number, "k", value);
            run.batched(number, number + 1);
        }
        run.acked(0, 0, -1);
        run.failed(1, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
        if grows {
            run.say(
                CONTROLLER,
                Fact::PartitionsAdded { topic: "orders".into(), first: 1, replicas: vec![vec![2, 3, 1]] },
            );
        }
        run.resent(2, 1, "b");
        run.say(P1, Fact::RecordBatched { record: p1(2), partition: elsewhere.clone(), batch: 3 });
        let sent = run.transmits(3, 1, 1);
        let Fact::BatchSent { partition, .. } = &mut run.events[sent as usize - 1].fact else { unreachable!() };
        *partition = elsewhere.clone();
        run.say(
            P1,
            Fact::RecordAcknowledged { record: p1(2), partition: elsewhere.clone(), offset: Offset(0), acks: -1 },
        );
        for (value, partition) in [("b", &elsewhere), ("a", &orders())] {
            let (partition, offset, key, value) = (partition.clone(), Offset(0), payload("k"), payload(value));
            run.say(C1, Fact::Polled { partition: partition.clone(), offset, key, value });
            run.say(C1, Fact::Processed { group: Some("billing".into()), partition, offset });
        }
        run.surveyed_with_key(&orders(), 1, &[(Some("k"), "a")]);
        run.surveyed_with_key(&elsewhere, 1, &[(Some("k"), "b")]);
        run.say(CONTROLLER, Fact::RunEnded { quiescent: true });
        run
    };
    for (grows, cause) in [(true, Cause::KeysMoved), (false, Cause::Unknown)] {
        let (judgement, _) = history(grows).explain(&group(|_| {}));
        let found: Vec<_> = judgement.of_kind(Kind::EffectReorder).map(|anomaly| anomaly.cause).collect();
        assert_eq!(found, [Some(cause)], "grows {grows}");
    }
}

#[test]
fn mc_14_a_key_that_moved_may_be_read_in_another_order() {
    let contract = acks(-1);
    let (judgement, explanation) = grown(true, [0, 1]).explain(&contract);
    let found: Vec<_> =
        judgement.anomalies.iter().map(|found| (found.kind, found.cause, found.permitted.answer)).collect();
    assert_eq!(found, [(Kind::KeyReorder, Some(Cause::KeysMoved), Answer::Yes)], "{explanation:#?}");
    assert!(explanation.stories[0].steps.len() >= 5, "{explanation:#?}");
    // Whoever spreads a key over partitions by itself was promised nothing.
    assert_eq!(kinds(&grown(false, [0, 1])), [""; 0]);
}

#[test]
fn moves_and_eligible_leaders_stand_in_the_description() {
    let mut run = Run::default();
    run.sent(0, "a");
    run.acked(0, 0, -1);
    run.say(CONTROLLER, Fact::TopicCreated { topic: "orders".into(), replicas: vec![vec![1, 2, 3]] });
    run.say(
        CONTROLLER,
        Fact::ReplicasReassigned {
            partition: orders(),
            replicas: vec![4, 1, 2, 3],
            adding: vec![4],
            removing: vec![1, 2],
        },
    );
    run.say(
        CONTROLLER,
        Fact::PartitionSurveyed {
            partition: orders(),
            replicas: vec![4, 1, 2, 3],
            adding: vec![4],
            removing: vec![1, 2],
            elr: vec![2, 3],
            last_known_elr: vec![1],
        },
    );
    let table = topics(&run.ends_with(1, &["a"]).judge(&acks(-1)));
    assert!(table.contains("Replicas: 4,1,2,3\tIsr: 1,2,3"), "{table}");
    let words = "\tElr: 2,3\tLastKnownElr: 1\tAdding Replicas: 4\tRemoving Replicas: 1,2\n";
    assert!(table.contains(words), "{table}");
}

//! What waits for ever, and why: consumers that gave up, applications that go round in circles.

use ackproof_core::fact::Fact;
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{NodeId, Offset, TopicPartition};
use ackproof_reports::contract::OnError;
use ackproof_reports::{Answer, Cause, Contract, Kind};

use crate::run::{C1, Run, acks, group, orders, with_producer};

const WORLD: NodeId = NodeId::Controller(100);
const C2: NodeId = NodeId::Client(3);

/// What the world says is stuck at the end, with the cause that is found.
fn stuck(run: &mut Run, contract: &Contract, what: &str) -> Vec<(Option<Cause>, Answer)> {
    if !what.contains("never answered") {
        run.say(WORLD, Fact::Stuck { what: what.into() });
    }
    run.ends_with(1, &["a"]);
    let (judgement, _) = run.explain(contract);
    let said = judgement.of_kind(Kind::Stuck).filter(|anomaly| anomaly.note.as_deref() == Some(what));
    said.map(|anomaly| (anomaly.cause, anomaly.permitted.answer)).collect()
}

fn written() -> Run {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    run.sent_and_appended(0, "a", 1, 4, 0);
    run.acked(0, 0, -1);
    run
}

fn threw(run: &mut Run, client: NodeId, partition: TopicPartition, error: ErrorCode) {
    run.say(client, Fact::PollFailed { partition, position: Offset::NONE, error });
}

fn of_group() -> TopicPartition {
    TopicPartition::of("-", -1)
}

fn assigned(run: &mut Run, client: NodeId) {
    let (group, member) = ("billing".to_owned(), format!("{client:?}"));
    run.say(client, Fact::PartitionsAssigned { group, member, generation: 1, partitions: vec![orders()] });
}

const UNREAD: &str = "orders-0: no member of group billing reads it";

#[test]
fn a_group_whose_consumers_all_gave_up_reads_nothing() {
    let mut run = written();
    assigned(&mut run, C1);
    threw(&mut run, C1, of_group(), ErrorCode::GROUP_ID_NOT_FOUND);
    run.killed(C2);
    assert_eq!(stuck(&mut run, &group(|_| {}), UNREAD), [(Some(Cause::ConsumerGaveUp), Answer::Yes)]);
}

/// The leader's log ends at offset 5 and its last record is at 0: nobody can fetch what would bring him to its end.
#[test]
fn a_log_that_ends_with_a_hole_keeps_its_followers_out_of_sync() {
    let what = "orders-0: the high watermark 0 of broker 1 waits for the ISR [1] to reach log end offset 5";
    let ends_at = |what: &str| {
        let mut run = written();
        run.lost_power(1);
        run.loaded_without(1, Some((1, 5)), 5);
        stuck(&mut run, &acks(-1), what)
    };
    let found = [(Some(Cause::LogEndsWithHole), Answer::Yes)];
    assert_eq!(ends_at("c1 is at offset 1 of orders-0, which ends at 5"), found, "nor do consumers get past it");
    assert_eq!(ends_at("c1 is at offset 1 of orders-1, which ends at 5"), [(Some(Cause::Unknown), Answer::Unknown)]);
    let judged = |hole: Option<(i64, i64)>, grows: bool| {
        let mut run = written();
        run.lost_power(1);
        run.loaded_without(1, hole, 5);
        if grows {
            run.appends(0, 1, 4, 5);
        }
        stuck(&mut run, &acks(-1), what)
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    assert_eq!(judged(Some((1, 5)), false), found);
    assert_eq!(judged(None, false), unknown, "it has everything up to its end");
    assert_eq!(judged(Some((1, 3)), false), unknown, "there is something behind the hole");
    assert_eq!(judged(Some((1, 5)), true), unknown, "there is something to fetch");
}

#[test]
fn a_consumer_of_another_topic_reads_nothing_of_this_one() {
    let judged = |topic: &str| {
        let mut run = written();
        assigned(&mut run, C1);
        threw(&mut run, C1, of_group(), ErrorCode::GROUP_ID_NOT_FOUND);
        assigned(&mut run, C2);
        let mut contract = group(|_| {});
        contract.consumers[1].topics = vec![topic.into()];
        stuck(&mut run, &contract, UNREAD)
    };
    assert_eq!(judged("payments"), [(Some(Cause::ConsumerGaveUp), Answer::Yes)]);
    assert_eq!(judged("orders"), [(Some(Cause::Unknown), Answer::Unknown)]);
}

#[test]
fn a_share_group_whose_consumers_all_gave_up_reads_nothing() {
    const UNASKED: &str = "orders-0: no member of share group billing has asked broker 1 for records";
    const UNREAD: &str = "orders-0: no member of share group billing reads it";
    let polled = |run: &mut Run| {
        let (group, partition, offset) = ("billing".to_owned(), orders(), Offset(0));
        run.say(C1, Fact::SharePolled { group, partition, offset, delivery_count: 1, key: None, value: None });
    };
    for what in [UNREAD, UNASKED] {
        let mut run = written();
        polled(&mut run);
        threw(&mut run, C1, of_group(), ErrorCode::GROUP_ID_NOT_FOUND);
        run.killed(C2);
        assert_eq!(stuck(&mut run, &group(|_| {}), what), [(Some(Cause::ConsumerGaveUp), Answer::Yes)], "{what}");
    }
    // c1 has got something since.
    let mut run = written();
    threw(&mut run, C1, of_group(), ErrorCode::GROUP_ID_NOT_FOUND);
    polled(&mut run);
    run.killed(C2);
    assert_eq!(stuck(&mut run, &group(|_| {}), UNREAD), [(Some(Cause::Unknown), Answer::Unknown)]);
}

#[test]
fn a_consumer_that_lives_should_read() {
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    // c2 was never heard of again, and nothing says that it gave up.
    let mut run = written();
    threw(&mut run, C1, of_group(), ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(stuck(&mut run, &group(|_| {}), UNREAD), unknown);
    // c1 has come back since.
    let mut run = written();
    threw(&mut run, C1, of_group(), ErrorCode::GROUP_ID_NOT_FOUND);
    assigned(&mut run, C1);
    run.killed(C2);
    assert_eq!(stuck(&mut run, &group(|_| {}), UNREAD), unknown);
    // What c1 heard was about one partition: its consumer goes on.
    let mut run = written();
    threw(&mut run, C1, orders(), ErrorCode::OFFSET_OUT_OF_RANGE);
    run.killed(C2);
    assert_eq!(stuck(&mut run, &group(|_| {}), UNREAD), unknown);
}

/// Record 0 is sent again so often, each time in vain, and then some records are acknowledged.
fn repeated(times: u64, acknowledged: u64) -> Run {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2, 3], true, 0);
    run.sent(0, "a");
    run.batched(0, 1);
    for again in 1..=times {
        run.transmits(again, 1, 1);
        run.failed(again - 1, ErrorCode::RECORD_LIST_TOO_LARGE);
        run.resent(again, 0, "a");
        run.batched(again, again + 1);
    }
    for number in 0..acknowledged {
        let number = 1_000 + number;
        run.sent(number, "b");
        run.acked(number, number as i64, -1);
    }
    run
}

const UNSENT: &str = "p1 has not finished sending";

#[test]
fn an_application_that_sends_again_what_fails_each_time_goes_round_in_circles() {
    let resending = with_producer(acks(-1), |producer| producer.on_error = OnError::Resend);
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    let circles = [(Some(Cause::SentAgainForEver), Answer::Yes)];
    for what in [UNSENT, "1 send() was never answered; this is the first"] {
        assert_eq!(stuck(&mut repeated(30, 0), &resending, what), circles, "{what}");
        // A few failures are not a circle, and a producer that gets on is not in one.
        assert_eq!(stuck(&mut repeated(5, 0), &resending, what), unknown, "{what}");
        assert_eq!(stuck(&mut repeated(30, 40), &resending, what), unknown, "{what}");
        // Nor is one whose application repeats nothing.
        assert_eq!(stuck(&mut repeated(30, 0), &acks(-1), what), unknown, "{what}");
    }
}

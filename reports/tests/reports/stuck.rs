//! What waits for ever, and why: consumers that gave up, applications that go round in circles.

use ackproof_core::coordinator::group::{GROUP_METADATA_TOPIC, GroupId, partition_for};
use ackproof_core::fact::{Fact, LogStartReason, Role, TruncationReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{LeaderEpoch, NodeId, Offset, PartitionEpoch, StrBytes, TopicPartition};
use ackproof_reports::contract::{OnError, TopicContract};
use ackproof_reports::{Answer, Cause, Contract, Kind};

use crate::invariants::Replication;
use crate::run::{C1, NOBODY, Run, acks, group, orders, with_producer, with_topic};

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
        // It stops politely and is started again, which looks at nothing.
        let (partition, log_start, log_end) = (orders(), Offset(0), Offset(5));
        let fact = Fact::LogLoaded { partition, log_start, log_end, clean: true, hole: None };
        run.say(NodeId::Broker(1), fact);
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
    const UNDONE: &str = "orders-0: share group billing is done with everything below offset 0, and the log ends at 1";
    for what in [UNREAD, UNASKED, UNDONE] {
        let mut run = written();
        polled(&mut run);
        threw(&mut run, C1, of_group(), ErrorCode::GROUP_ID_NOT_FOUND);
        run.killed(C2);
        assert_eq!(stuck(&mut run, &group(|_| {}), what), [(Some(Cause::ConsumerGaveUp), Answer::Yes)], "{what}");
    }
    // c1 has got something since.
    const UNSAID: &str = "c1 has not said what became of its records";
    for what in [UNREAD, UNDONE, UNSAID] {
        let mut run = written();
        threw(&mut run, C1, of_group(), ErrorCode::GROUP_ID_NOT_FOUND);
        polled(&mut run);
        run.killed(C2);
        assert_eq!(stuck(&mut run, &group(|_| {}), what), [(Some(Cause::Unknown), Answer::Unknown)], "{what}");
    }
    // Whether the others live or not, c1 says no more.
    const UNSETTLED: [&str; 2] = ["c1 waits for a rebalance of group billing", "c1 waits for its share group billing"];
    for what in [UNSAID].into_iter().chain(UNSETTLED) {
        let mut run = written();
        polled(&mut run);
        threw(&mut run, C1, of_group(), ErrorCode::GROUP_ID_NOT_FOUND);
        assert_eq!(stuck(&mut run, &group(|_| {}), what), [(Some(Cause::ConsumerGaveUp), Answer::Yes)], "{what}");
        let other = what.replace("c1", "c2");
        assert_eq!(stuck(&mut run, &group(|_| {}), &other), [(Some(Cause::Unknown), Answer::Unknown)], "{other}");
    }
}

const GROUP: &str = "billing";

fn reconciled(run: &mut Run, member: &str, epoch: i32, assigned: &[i32]) {
    let assigned = assigned.iter().map(|index| TopicPartition::of("orders", *index)).collect();
    let (group, member, state, revoking) = (GROUP.to_owned(), member.to_owned(), "STABLE".to_owned(), Vec::new());
    run.say(NodeId::Broker(2), Fact::MemberReconciled { group, member, epoch, state, assigned, revoking });
}

fn heard(run: &mut Run, member: &str, epoch: i32, partitions: &[i32]) {
    let partitions = partitions.iter().map(|index| TopicPartition::of("orders", *index)).collect();
    let (group, member) = (GROUP.to_owned(), member.to_owned());
    run.say(C1, Fact::SharePartitionsAssigned { group, member, epoch, partitions });
}

fn surveyed(run: &mut Run, member: &str, assigned: &[i32]) {
    let assigned: Vec<TopicPartition> = assigned.iter().map(|index| TopicPartition::of("orders", *index)).collect();
    let (group, member, target) = (GROUP.to_owned(), member.to_owned(), assigned.clone());
    let (host, client_id) = ("/client-2".to_owned(), "c1".to_owned());
    let fact = Fact::GroupMemberSurveyed { group, member, host, client_id, epoch: 2, assigned, target };
    run.say(NodeId::Broker(2), fact);
}

/// The coordinator has given partition 1 to m-1, and its answer did not arrive: before 4.1 it does not say so again.
#[test]
fn a_member_of_a_share_group_that_was_not_told_what_it_has_reads_nothing_of_it() {
    const UNREAD: &str = "orders-1: no member of share group billing reads it";
    let judged = |what: &str, lacks: bool, history: &dyn Fn(&mut Run)| {
        let mut run = written();
        reconciled(&mut run, "m-1", 1, &[0]);
        heard(&mut run, "m-1", 1, &[0]);
        history(&mut run);
        let mut contract = group(|_| {});
        contract.lacks.extend(lacks.then(|| "share_assignment_repeated".to_owned()));
        stuck(&mut run, &contract, what)
    };
    let grows = |run: &mut Run| {
        reconciled(run, "m-1", 2, &[0, 1]);
        surveyed(run, "m-1", &[0, 1]);
    };
    let (cause, unknown) = (Some(Cause::AssignmentToldOnce), [(Some(Cause::Unknown), Answer::Unknown)]);
    for what in [UNREAD, "orders-1: no member of share group billing has asked broker 1 for records"] {
        assert_eq!(judged(what, true, &grows), [(cause, Answer::Yes)], "{what}");
        assert_eq!(judged(what, false, &grows), [(cause, Answer::No)], "{what}: 4.1 says it again");
    }
    let other = UNREAD.replace("share group", "group");
    assert_eq!(
        judged(&other, true, &grows),
        unknown,
        "a consumer that says everything has always been told everything"
    );
    let another = UNREAD.replace("orders-1", "orders-0");
    assert_eq!(judged(&another, true, &grows), unknown, "it has heard of partition 0");
    let hears = |run: &mut Run| {
        reconciled(run, "m-1", 2, &[0, 1]);
        heard(run, "m-1", 2, &[0, 1]);
        surveyed(run, "m-1", &[0, 1]);
    };
    assert_eq!(judged(UNREAD, true, &hears), unknown, "it has heard of it, and should read it");
    let loads = |run: &mut Run, assigned: &[i32]| {
        run.killed(NodeId::Broker(2));
        run.say(NodeId::Broker(2), Fact::GroupsLoaded { partition: 0, groups: 1 });
        surveyed(run, "m-1", assigned);
    };
    let died = |run: &mut Run| loads(run, &[0, 1]);
    assert_eq!(judged(UNREAD, true, &died), [(cause, Answer::Yes)], "the coordinator decided it and died");
    let heard_and_died = |run: &mut Run| {
        heard(run, "m-1", 2, &[0, 1]);
        died(run);
    };
    assert_eq!(judged(UNREAD, true, &heard_and_died), unknown, "it was told all the same");
    let decides_nothing = |run: &mut Run| loads(run, &[0]);
    assert_eq!(judged(UNREAD, true, &decides_nothing), unknown, "nobody was given it");
    let one_hears = |run: &mut Run| {
        hears(run);
        reconciled(run, "m-2", 2, &[0, 1]);
        surveyed(run, "m-2", &[0, 1]);
    };
    assert_eq!(judged(UNREAD, true, &one_hears), unknown, "one of two has heard of it");
    assert_eq!(judged(UNREAD, true, &|_| {}), unknown, "nobody was given it");
    let again = |run: &mut Run| {
        reconciled(run, "m-1", 2, &[0, 1]);
        heard(run, "m-1", 2, &[0, 1]);
        reconciled(run, "m-1", 3, &[0]);
        reconciled(run, "m-1", 4, &[0, 1]);
        surveyed(run, "m-1", &[0, 1]);
    };
    assert_eq!(judged(UNREAD, true, &again), [(cause, Answer::Yes)], "what it heard was another assignment");
}

/// A heartbeat is repeated, and the repeated one is answered with partition 1.
#[test]
fn a_repeated_heartbeat_takes_the_answer_that_tells_what_is_new() {
    let judged = |repeats: &str, hears: bool| {
        let mut run = written();
        reconciled(&mut run, "m-1", 1, &[]);
        let told = |run: &mut Run, generation: i32, partitions: &[i32]| {
            let partitions = partitions.iter().map(|index| TopicPartition::of("orders", *index)).collect();
            let (group, member) = (GROUP.to_owned(), "m-1".to_owned());
            run.say(C1, Fact::PartitionsAssigned { group, member, generation, partitions });
        };
        told(&mut run, 1, &[]);
        let what = format!("{repeats} request from c1 to broker 2");
        run.say(C1, Fact::FaultBit { fault: 1, what });
        reconciled(&mut run, "m-1", 2, &[1]);
        if hears {
            told(&mut run, 2, &[1]);
        }
        surveyed(&mut run, "m-1", &[1]);
        stuck(&mut run, &group(|_| {}), "orders-1: no member of group billing reads it")
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    let heartbeat = "repeated ConsumerGroupHeartbeat";
    assert_eq!(judged(heartbeat, false), [(Some(Cause::RepeatedRequestAnswered), Answer::Yes)]);
    assert_eq!(judged("repeated OffsetCommit", false), unknown, "that tells nothing of assignments");
    assert_eq!(judged("delayed ConsumerGroupHeartbeat", false), unknown, "its answer arrives");
    assert_eq!(judged(heartbeat, true), unknown, "it has heard of it, and should read it");
}

/// c1 has divided one partition, goes, and comes back into its generation under another id; the topic grows while it is away, or when it is back.
#[test]
fn a_static_leader_that_comes_back_does_not_look_for_new_partitions() {
    let divides = |run: &mut Run, generation: i32, members: &[&str]| {
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        let (group, state) = (GROUP.to_owned(), "Stable".to_owned());
        run.say(NodeId::Broker(2), Fact::GroupStateChanged { group, state, generation, members });
    };
    let has = |run: &mut Run, client: NodeId, member: &str| {
        let (group, member) = (GROUP.to_owned(), member.to_owned());
        run.say(client, Fact::PartitionsAssigned { group, member, generation: 1, partitions: vec![orders()] });
    };
    let grows = |run: &mut Run| {
        let (topic, replicas) = ("orders".to_owned(), vec![vec![1, 2, 3]]);
        run.say(WORLD, Fact::PartitionsAdded { topic, first: 1, replicas });
    };
    let judged = |is_old: bool, does: &[&str]| {
        let mut run = written();
        for step in does {
            match *step {
                "c1 joins" => divides(&mut run, 1, &["c1-a"]),
                "c2 joins" => divides(&mut run, 1, &["c2-a"]),
                "both divide" => divides(&mut run, 1, &["c1-a", "c2-a"]),
                "c1 has" => has(&mut run, C1, "c1-a"),
                "c2 has" => has(&mut run, C2, "c2-a"),
                "c1 is back" => has(&mut run, C1, "c1-b"),
                "divides anew" => divides(&mut run, 2, &["c1-b"]),
                "grows" => grows(&mut run),
                _ => unreachable!("{step}"),
            }
        }
        let contract = group(|consumer| {
            consumer.instance = Some(consumer.name.clone());
            consumer.returns_without_leading = is_old;
        });
        stuck(&mut run, &contract, "orders-1: no member of group billing reads it")
    };
    let came_back = [(Some(Cause::StaticLeaderCameBack), Answer::Yes)];
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    let later: &[&str] = &["c1 joins", "c1 has", "c1 is back", "grows"];
    let meanwhile: &[&str] = &["c1 joins", "c1 has", "grows", "c1 is back"];
    assert_eq!(judged(true, later), came_back);
    assert_eq!(judged(true, meanwhile), came_back);
    assert_eq!(judged(false, meanwhile), came_back, "it takes what it finds for assigned");
    assert_eq!(judged(false, later), unknown, "since 3.2 it leads on, and should see what is new");
    assert_eq!(judged(true, &["c1 joins", "c1 has", "grows"]), unknown, "it has not been away");
    assert_eq!(judged(true, &["c1 joins", "c1 has", "c1 is back"]), unknown, "there is no such partition");
    let anew: &[&str] = &["c1 joins", "c1 has", "grows", "c1 is back", "divides anew"];
    assert_eq!(judged(true, anew), unknown, "the group was divided anew, and the new partition with it");
    let of_another: &[&str] = &["c2 joins", "both divide", "c1 has", "c2 has", "grows", "c1 is back"];
    assert_eq!(judged(true, of_another), unknown, "c2 leads, and should see it");
    let own: &[&str] = &["c1 joins", "both divide", "c1 has", "c2 has", "grows", "c1 is back"];
    assert_eq!(judged(true, own), came_back);
}

/// The group lives in one of two partitions of `__consumer_offsets`; of one of them the last in-sync replica has ended its process.
#[test]
fn a_group_that_nobody_coordinates_waits_for_a_leader_of_its_partition() {
    let judged = |offline: i32, is_back: bool, unclean: bool, what: &str| {
        let mut run = written();
        let (topic, replicas) = (GROUP_METADATA_TOPIC.to_owned(), vec![vec![2, 3], vec![3, 2]]);
        run.say(WORLD, Fact::TopicCreated { topic, replicas });
        run.killed(NodeId::Broker(2));
        run.killed(NodeId::Broker(3));
        let partition = TopicPartition::of(GROUP_METADATA_TOPIC, offline);
        let (leader_epoch, partition_epoch) = (LeaderEpoch(3), PartitionEpoch(3));
        let isr = vec![2];
        let fact =
            Fact::PartitionOffline { partition: partition.clone(), isr: isr.clone(), leader_epoch, partition_epoch };
        run.say(WORLD, fact);
        if is_back {
            let (leader, leader_epoch, partition_epoch) = (2, LeaderEpoch(4), PartitionEpoch(4));
            let fact = Fact::LeaderElected { partition, leader, leader_epoch, partition_epoch, isr, clean: true };
            run.say(WORLD, fact);
        }
        let mut contract = group(|_| {});
        let topic = contract.topics[0].clone();
        let name = GROUP_METADATA_TOPIC.to_owned();
        contract.topics.push(TopicContract { name, unclean_leader_election: unclean, ..topic });
        stuck(&mut run, &contract, what)
    };
    let own = partition_for(&GroupId(StrBytes::from_static_str("billing")), 2);
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    for what in ["c1 waits for a rebalance of group billing", UNREAD] {
        assert_eq!(judged(own, false, false, what), [(Some(Cause::NoEligibleLeader), Answer::Yes)], "{what}");
        assert_eq!(judged(own, false, true, what), [(Some(Cause::NoLiveReplica), Answer::Yes)], "{what}");
        assert_eq!(judged(own, true, false, what), unknown, "it has a leader again: {what}");
        assert_eq!(judged(1 - own, false, false, what), unknown, "the group lives in the other one: {what}");
    }
}

/// Broker 1 has a batch of three records and cuts its log at the second of them, or where the batch begins; or it appends once more.
#[test]
fn a_log_that_was_cut_inside_of_a_batch_ends_with_a_hole() {
    let what = "c1 is at offset 0 of orders-0, which ends at 1";
    let judged = |end: i64, grows: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1], true, 0);
        run.appended(0, 1, (Role::Leader, 4), (0, 2), NOBODY, 5);
        run.truncated(1, 3, end, TruncationReason::Diverged);
        if grows {
            run.appends(0, 1, 4, end);
        }
        stuck(&mut run, &acks(-1), what)
    };
    assert_eq!(judged(1, false), [(Some(Cause::LogEndsWithHole), Answer::Yes)]);
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    assert_eq!(judged(0, false), unknown, "nothing is left of it");
    assert_eq!(judged(1, true), unknown, "there is something behind the hole");
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

/// The run ended while the application was still going round in circles: its last records were on their way.
#[test]
fn what_an_application_in_a_circle_keeps_in_motion_is_not_stuck_by_itself() {
    let what = "orders-0: the high watermark 1 of broker 1 waits for the ISR [1, 2, 3] to reach log end offset 2";
    let resending = with_producer(acks(-1), |producer| producer.on_error = OnError::Resend);
    let judged = |contract: &Contract, of: &str, pause: u64| {
        let mut run = repeated(30, 0);
        let (partition, role) = (TopicPartition::of(of, 0), Role::Leader);
        run.say(NodeId::Broker(1), Fact::HighWatermarkAdvanced { partition, role, from: Offset(0), to: Offset(1) });
        run.at(pause);
        stuck(&mut run, contract, what)
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    assert_eq!(judged(&resending, "orders", 1_000), [(Some(Cause::SentAgainForEver), Answer::Yes)]);
    assert_eq!(judged(&resending, "orders", 600_000), unknown, "it has stood still for long");
    assert_eq!(judged(&resending, "payments", 1_000), unknown, "another partition moved");
    assert_eq!(judged(&acks(-1), "orders", 1_000), unknown, "nobody sends again");
}

/// The cleaner has taken what newer records of their keys had replaced; then the log is cut, and the newer ones are gone.
#[test]
fn a_log_that_is_cut_where_its_cleaner_has_been_ends_with_a_hole() {
    let what = "c1 is at offset 0 of orders-0, which ends at 5";
    let judged = |cleaned_to: i64, cleaner: i32, grows: bool| {
        let mut run = written();
        run.cleaned(cleaner, cleaned_to);
        run.truncated(1, 9, 5, TruncationReason::Diverged);
        if grows {
            run.appends(0, 1, 4, 5);
        }
        stuck(&mut run, &acks(-1), what)
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    assert_eq!(judged(7, 1, false), [(Some(Cause::LogEndsWithHole), Answer::Yes)]);
    assert_eq!(judged(4, 1, false), unknown, "the last record that is left was never cleaned");
    assert_eq!(judged(7, 2, false), unknown, "it was the cleaner of another replica");
    assert_eq!(judged(7, 1, true), unknown, "there is something to read at its end");
}

/// Only broker 1 has the partition, its topic takes unclean leaders, and it waits for one.
#[test]
fn an_unclean_election_takes_nobody_who_does_not_run() {
    let judged = |unclean: bool, running: bool| {
        let mut run = written();
        run.killed(NodeId::Broker(1));
        run.offline(&[1]);
        run.say(WORLD, Fact::Stuck { what: "orders-0: no leader".into() });
        run.ends_without_leader(&["a"]);
        for event in &mut run.events {
            if let Fact::ReplicaSurveyed { running: runs, .. } = &mut event.fact {
                *runs = running;
            }
        }
        let contract = with_topic(acks(-1), |topic| topic.unclean_leader_election = unclean);
        let (judgement, _) = run.explain(&contract);
        let found: Vec<_> =
            judgement.of_kind(Kind::Unavailable).map(|found| (found.cause, found.permitted.answer)).collect();
        found
    };
    assert_eq!(judged(true, false), [(Some(Cause::NoLiveReplica), Answer::Yes)]);
    assert_eq!(judged(true, true), [(Some(Cause::NoEligibleLeader), Answer::No)]);
    assert_eq!(judged(false, false), [(Some(Cause::NoEligibleLeader), Answer::Yes)]);
}

/// Broker 2 has ended its process, and nothing is committed without it.
#[test]
fn a_high_watermark_waits_for_as_many_replicas_as_there_have_to_be() {
    let what = "orders-0: the high watermark 0 of broker 1 waits for the ISR [1] to reach log end offset 1";
    let judged = |least: u32, lacks: bool, runs: bool| {
        let mut run = written();
        run.killed(NodeId::Broker(2));
        run.say(WORLD, Fact::Stuck { what: what.into() });
        run.ends_with(1, &["a"]);
        for event in &mut run.events {
            if let Fact::ReplicaSurveyed { broker, running, .. } = &mut event.fact {
                *running = *broker == 1 || runs;
            }
        }
        let mut contract = with_topic(acks(-1), |topic| topic.min_insync_replicas = least);
        contract.lacks.extend(lacks.then(|| "strict_min_isr".to_owned()));
        let (judgement, _) = run.explain(&contract);
        judgement.of_kind(Kind::Stuck).map(|found| (found.cause, found.permitted.answer)).collect::<Vec<_>>()
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    assert_eq!(judged(2, false, false), [(Some(Cause::TooFewReplicasRun), Answer::Yes)]);
    assert_eq!(judged(1, false, false), unknown, "one is enough");
    assert_eq!(judged(2, false, true), unknown, "both run");
    assert_eq!(judged(2, true, false), unknown, "before 3.7 the ISR is enough, however small");
}

/// The leader has proposed broker 3, is told no, and is back at the ISR that it had; broker 2 has had everything all the time.
#[test]
fn after_a_refused_proposal_a_high_watermark_stays_where_it_was() {
    let what = "orders-0: the high watermark 0 of broker 1 waits for the ISR [1, 2] to reach log end offset 1";
    let judged = |answer: &[i32], grows: bool| {
        let mut run = written();
        run.proposes(1, &[1, 2], &[1, 2, 3]);
        run.adopts(1, answer);
        if grows {
            run.appends(0, 1, 4, 1);
        }
        stuck(&mut run, &acks(-1), what)
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    assert_eq!(judged(&[1, 2], false), [(Some(Cause::ProposalRefused), Answer::Yes)]);
    assert_eq!(judged(&[1, 2, 3], false), unknown, "it was accepted");
    assert_eq!(judged(&[1, 2], true), unknown, "what is appended makes it look again");
}

/// Broker 2 has what it wrote at offset 0 in epoch 5, and broker 1, which leads once more, what stood there before.
#[test]
fn a_follower_that_is_not_cut_where_it_parted_refuses_what_it_is_offered() {
    let what = "orders-0: broker 2 is at offset 1 and waits for broker 1 to answer its fetch: the leader is at 5";
    let judged = |epoch: i32, cut: bool| {
        let mut run = written();
        run.appends(0, 2, epoch, 0);
        run.elected(1, 6, &[1], true, 1);
        let (partition, offset, error) = (orders(), Offset(1), ErrorCode::UNKNOWN_SERVER_ERROR);
        run.say(NodeId::Broker(2), Fact::FetchRefused { partition, offset, error });
        if cut {
            run.truncated(2, 1, 0, TruncationReason::Diverged);
        }
        stuck(&mut run, &acks(-1), what)
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    assert_eq!(judged(5, false), [(Some(Cause::KeptWhereItParted), Answer::No)]);
    assert_eq!(judged(4, false), unknown, "one epoch, and different leaders: nobody can tell");
    assert_eq!(judged(5, true), unknown, "it was cut");
}

/// Broker 2 has written in epoch 5. Broker 1 leads in epoch 6, has written nothing in it, and has noted nothing.
#[test]
fn a_leader_that_notes_no_epoch_keeps_a_follower_with_a_newer_one_out() {
    let what = "orders-0: broker 2 has caught up at offset 1 and waits for broker 1 to bring it into the ISR [1]";
    let judged = |epoch: i32, grows: bool, runs: bool| {
        let mut run = written();
        run.elected(1, 6, &[1], false, 1);
        if grows {
            run.appends(0, 1, 6, 1);
        }
        run.say(WORLD, Fact::Stuck { what: what.into() });
        run.ends_with(1, &["a"]);
        for event in &mut run.events {
            if let Fact::ReplicaSurveyed { broker, running, leader_epoch, .. } = &mut event.fact {
                *leader_epoch = LeaderEpoch(if *broker == 2 { epoch } else { 4 });
                *running = *broker != 2 || runs;
            }
        }
        let (judgement, _) = run.explain(&acks(-1));
        judgement.of_kind(Kind::Stuck).map(|found| (found.cause, found.permitted.answer)).collect::<Vec<_>>()
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    assert_eq!(judged(5, false, true), [(Some(Cause::EpochNotNoted), Answer::No)]);
    assert_eq!(judged(4, false, true), unknown, "the leader knows that epoch");
    assert_eq!(judged(5, true, true), unknown, "what it writes notes its epoch");
    assert_eq!(judged(5, false, false), unknown, "who does not run asks nobody");
}

/// Broker 2 has a record of its own at offset 0; the leader has deleted what was there, and with it the epoch that would have told them apart.
#[test]
fn a_follower_that_parted_where_its_leader_has_deleted_is_not_cut_there() {
    let what = "orders-0: broker 2 is at offset 1 and waits for broker 1 to answer its fetch: the leader is at 5";
    let judged = |by: i32, to: i64| {
        let mut run = written();
        run.deletes(by, to, LogStartReason::DeleteRecords);
        let (partition, offset, error) = (orders(), Offset(1), ErrorCode::UNKNOWN_SERVER_ERROR);
        run.say(NodeId::Broker(2), Fact::FetchRefused { partition, offset, error });
        stuck(&mut run, &acks(-1), what)
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    assert_eq!(judged(1, 3), [(Some(Cause::EpochsDeletedWithRecords), Answer::Yes)]);
    assert_eq!(judged(1, 1), unknown, "what the follower asks for was never deleted");
    assert_eq!(judged(3, 3), unknown, "another replica has deleted it");
}

/// What broker 2 fetched at once is larger than a segment may be.
#[test]
fn a_follower_gives_up_what_does_not_fit_into_a_segment() {
    let what = "orders-0: broker 2 is at offset 1 and waits for broker 1 to answer its fetch: the leader is at 5";
    let judged = |error: ErrorCode| {
        let mut run = written();
        run.say(NodeId::Broker(2), Fact::FetchRefused { partition: orders(), offset: Offset(1), error });
        stuck(&mut run, &acks(-1), what)
    };
    let too_large = judged(ErrorCode::RECORD_LIST_TOO_LARGE);
    assert_eq!(too_large, [(Some(Cause::FetchedMoreThanSegment), Answer::Yes)]);
    assert_eq!(judged(ErrorCode::UNKNOWN_SERVER_ERROR), [(Some(Cause::Unknown), Answer::Unknown)]);
}

/// Consumers commit every few moments, and the run ended between two of them.
#[test]
fn a_topic_of_commits_that_moves_on_is_not_stuck() {
    let judged = |topic: &str, pause: u64| {
        let what =
            format!("{topic}-0: the high watermark 7 of broker 1 waits for the ISR [1, 2] to reach log end offset 8");
        let mut run = written();
        let (partition, role) = (TopicPartition::of(topic, 0), Role::Leader);
        run.say(NodeId::Broker(1), Fact::HighWatermarkAdvanced { partition, role, from: Offset(6), to: Offset(7) });
        run.at(pause);
        stuck(&mut run, &acks(-1), &what)
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    assert_eq!(judged("__consumer_offsets", 1_000), [(Some(Cause::CommittedAllTheTime), Answer::Yes)]);
    assert_eq!(judged("__consumer_offsets", 600_000), unknown, "it has stood still for long");
    assert_eq!(judged("orders", 1_000), unknown, "nobody commits there");
}

/// `poll()` says it of another partition, and nothing else until somebody seeks past it.
#[test]
fn st_08_a_damaged_record_holds_up_the_other_partitions() {
    let waits = |reads_on: bool| {
        let mut run = Run::default();
        let (partition, position, error) = (TopicPartition::of("payments", 0), Offset(7), ErrorCode::CORRUPT_MESSAGE);
        run.say(C1, Fact::PollFailed { partition, position, error });
        if reads_on {
            run.polled(0, "a");
        }
        stuck(&mut run, &group(|_| {}), "c1 is at offset 0 of orders-0, which ends at 1")
    };
    assert_eq!(waits(false), [(Some(Cause::CorruptRecord), Answer::Yes)]);
    assert_eq!(waits(true), [(Some(Cause::Unknown), Answer::Unknown)]);
}

/// The partition is to be moved to brokers 1 and 2. Broker 2 has ended its process, or broker 3 has, which is to go.
#[test]
fn a_reassignment_waits_for_who_does_not_run() {
    let what = "orders-0: the reassignment to [1, 2, 3] is not complete";
    let judged = |down: i32, what: &str| {
        let mut run = written();
        run.killed(NodeId::Broker(down));
        let (replicas, adding, removing) = (vec![1, 2, 3], vec![2], vec![3]);
        let (elr, last_known_elr) = (Vec::new(), Vec::new());
        let partition = orders();
        run.say(WORLD, Fact::PartitionSurveyed { partition, replicas, adding, removing, elr, last_known_elr });
        run.say(WORLD, Fact::Stuck { what: what.into() });
        run.ends_with(1, &["a"]);
        for event in &mut run.events {
            if let Fact::ReplicaSurveyed { broker, running, .. } = &mut event.fact {
                *running = *broker != down;
            }
        }
        let (judgement, _) = run.explain(&acks(-1));
        judgement.of_kind(Kind::Stuck).map(|found| (found.cause, found.permitted.answer)).collect::<Vec<_>>()
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    assert_eq!(judged(2, what), [(Some(Cause::TargetReplicaDown), Answer::Yes)]);
    assert_eq!(judged(3, what), unknown, "it is to go");
    assert_eq!(judged(2, "orders-0: something else"), unknown);
}

/// Few sends have failed, and all for a partition whose log ends with a hole.
#[test]
fn an_application_waits_behind_a_partition_that_is_stuck() {
    let judged = |stuck_partition: &str| {
        let mut run = written();
        run.lost_power(1);
        run.loaded_without(1, Some((1, 5)), 5);
        run.sent(1, "b");
        run.failed(1, ErrorCode::NOT_ENOUGH_REPLICAS);
        let high_watermark = "the high watermark 0 of broker 1 waits for the ISR [1] to reach log end offset 5";
        run.say(WORLD, Fact::Stuck { what: format!("{stuck_partition}: {high_watermark}") });
        stuck(&mut run, &acks(-1), UNSENT)
    };
    assert_eq!(judged("orders-0"), [(Some(Cause::LogEndsWithHole), Answer::Yes)]);
    assert_eq!(judged("orders-1"), [(Some(Cause::Unknown), Answer::Unknown)], "it is another one that is stuck");
}

/// The run ended while an application was going round in circles: a consumer has just worked on what it had sent.
#[test]
fn who_works_on_what_a_circle_sends_is_not_stuck_by_himself() {
    let resending = |contract: Contract| with_producer(contract, |producer| producer.on_error = OnError::Resend);
    let judged = |contract: &Contract, worker: NodeId, pause: u64| {
        let mut run = repeated(30, 0);
        let (group, partition, offset) = (Some("billing".into()), orders(), Offset(0));
        run.say(worker, Fact::Processed { group, partition, offset });
        run.at(pause);
        stuck(&mut run, contract, "c1 has not finished processing")
    };
    let unknown = [(Some(Cause::Unknown), Answer::Unknown)];
    let (circle, quiet) = (resending(group(|_| {})), group(|_| {}));
    assert_eq!(judged(&circle, C1, 1_000), [(Some(Cause::SentAgainForEver), Answer::Yes)]);
    assert_eq!(judged(&circle, C1, 600_000), unknown, "it has done nothing for long");
    assert_eq!(judged(&circle, C2, 1_000), unknown, "that is another one");
    assert_eq!(judged(&quiet, C1, 1_000), unknown, "nobody sends again");
}

//! How a loss is told: which election decided it, which step is the loss, and what came to stand in its place.

use ackproof_core::fact::{Event, Fact, ResetReason, TruncationReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{LeaderEpoch, NodeId, Offset};
use ackproof_reports::contract::ConsumerContract;
use ackproof_reports::explain::{Mark, Step};
use ackproof_reports::render::text::{self, PlainText};
use ackproof_reports::{Answer, Cause, Contract, Kind, Story};

use crate::run::{CONTROLLER, P1, Run, acks, names, orders, p1, with_topic};

/// The first story of a kind.
#[track_caller]
fn story(run: &Run, contract: &Contract, kind: Kind) -> Story {
    let (judgement, explanation) = run.explain(contract);
    let story = explanation.stories.iter().find(|story| story.anomaly.kind == kind);
    story.unwrap_or_else(|| panic!("no {kind} in {:?}", judgement.kinds())).clone()
}

/// Its steps, a line each: what, and the mark.
fn lines(story: &Story) -> Vec<String> {
    let line = |step: &Step| match step.mark {
        Some(mark) => format!("{} <- {}", step.what, mark.name()),
        None => step.what.clone(),
    };
    story.steps.iter().map(line).collect()
}

fn unclean() -> Contract {
    with_topic(acks(-1), |topic| topic.unclean_leader_election = true)
}

/// Record 0 is at offset 0 on brokers 1 to 3 and acknowledged.
fn on_three() -> Run {
    let mut run = appended(-1);
    run.copies(2, 0, 0);
    run.copies(3, 0, 0);
    run.acked(0, 0, -1);
    run
}

fn appended(acks: i16) -> Run {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2, 3], true, 0);
    run.sent_and_appended(0, "a", 1, 0, 0);
    if acks == 1 {
        run.acked(0, 0, 1);
    }
    run
}

/// A broker says that it leads, from metadata that it replays.
fn leads(run: &mut Run, broker: i32, epoch: i32, log_end: i64) {
    let leads = Fact::BecameLeader {
        partition: orders(),
        leader_epoch: LeaderEpoch(epoch),
        isr: vec![1, 2, 3],
        log_end: Offset(log_end),
    };
    run.say(NodeId::Broker(broker), leads);
}

/// All lose power; broker 1 comes back, believes to lead as before, and broker 2 is elected.
fn restarted(end_of_2: i64) -> Run {
    let mut run = on_three();
    for broker in 1..=3 {
        run.lost_power(broker);
    }
    run.loaded(1, 0);
    leads(&mut run, 1, 0, 0);
    run.loaded(2, end_of_2);
    run.offline(&[2]);
    run.elected(2, 3, &[2], true, end_of_2);
    run.loaded(3, 1);
    run
}

#[test]
fn a_restarted_leader_of_the_old_epoch_decides_nothing() {
    let mut run = restarted(0);
    run.truncated(3, 1, 0, TruncationReason::Diverged);
    run.ends_with(2, &[]);
    let told = lines(&story(&run, &acks(-1), Kind::LostWrite));
    assert_eq!(
        told,
        [
            "appended at offset 0",
            "acknowledged <- the promise",
            "lost power",
            "lost power",
            "came back with log end offset 0",
            "no replica may lead",
            "elected broker 2, epoch 3",
            "truncated 1 → 0 <- the loss",
        ]
    );
}

#[test]
fn of_two_elections_of_one_broker_that_was_not_back_yet_the_second_decides() {
    let elections = |was_back: bool| {
        let mut run = on_three();
        for broker in 1..=3 {
            run.lost_power(broker);
        }
        if was_back {
            run.say(NodeId::Broker(2), Fact::NodeStarted);
        }
        run.elects(2, 3, &[2], true);
        if !was_back {
            run.say(NodeId::Broker(2), Fact::NodeStarted);
        }
        run.loaded(2, 0);
        leads(&mut run, 2, 3, 0);
        run.loaded(3, 1);
        run.offline(&[2]);
        run.elected(2, 5, &[2], true, 0);
        run.truncated(3, 1, 0, TruncationReason::Diverged);
        run.elected(2, 6, &[2], true, 0);
        run.ends_with(2, &[]);
        let told = lines(&story(&run, &acks(-1), Kind::LostWrite)).into_iter();
        told.filter_map(|line| Some(line.strip_prefix("elected broker 2, ")?.split(' ').nth(1)?.to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(elections(false), ["5"]);
    assert_eq!(elections(true), ["3"], "the others only say it again");
}

#[test]
fn innocent_the_elected_leader_had_the_record_so_a_later_election_decides() {
    let mut run = restarted(1);
    run.isr(&[2], &[2, 3]);
    run.elected(1, 4, &[1], false, 0);
    run.truncated(2, 1, 0, TruncationReason::Diverged);
    run.truncated(3, 1, 0, TruncationReason::Diverged);
    run.ends_with(1, &[]);
    let story = story(&run, &unclean(), Kind::LostWrite);
    assert_eq!(story.anomaly.cause, Some(Cause::UncleanElection));
    let told = lines(&story);
    assert!(told.contains(&"elected broker 1, epoch 4".to_owned()), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("epoch 3") || line.contains("epoch 0")), "{told:?}");
}

#[test]
fn a_record_that_an_election_brought_back_was_not_lost_before_it() {
    let mut run = on_three();
    run.killed(NodeId::Broker(1));
    run.truncated(2, 1, 0, TruncationReason::ToHighWatermark);
    run.elected(2, 1, &[2], true, 0);
    run.elected(3, 2, &[3], false, 1);
    run.truncated(3, 1, 0, TruncationReason::ToHighWatermark);
    run.elected(2, 3, &[2], true, 0);
    run.truncated(1, 1, 0, TruncationReason::ToHighWatermark);
    run.ends_with(2, &[]);
    let story = story(&run, &acks(-1), Kind::LostWrite);
    let told = lines(&story);
    assert!(told.contains(&"elected broker 2, epoch 3".to_owned()), "{told:?}");
    assert!(!told.contains(&"elected broker 2, epoch 1".to_owned()), "{told:?}");
}

#[test]
fn a_restart_in_the_old_epoch_decides_where_nobody_leads_after_it() {
    let mut run = appended(1);
    run.lost_power(1);
    run.loaded(1, 0);
    leads(&mut run, 1, 0, 0);
    run.ends_with(1, &[]);
    let story = story(&run, &acks(1), Kind::LostWrite);
    assert_eq!(story.anomaly.cause, Some(Cause::UnsyncedDataLostWithPower));
    assert_eq!(lines(&story).last().map(String::as_str), Some("leads, epoch 0"));
    assert!(lines(&story).contains(&"lost power <- the loss".to_owned()));
}

#[test]
fn the_power_is_the_loss_not_the_return_after_the_election() {
    let mut run = on_three();
    for broker in [2, 3, 1] {
        run.lost_power(broker);
    }
    run.loaded(3, 0);
    run.elected(3, 1, &[3], true, 0);
    run.loaded(1, 0);
    run.loaded(2, 0);
    run.ends_with(3, &[]);
    let story = story(&run, &acks(-1), Kind::LostWrite);
    let told = lines(&story);
    assert_eq!(
        told[told.len() - 3..],
        ["lost power <- the loss", "came back with log end offset 0", "elected broker 3, epoch 1"]
    );
    let loss = story.steps.iter().find(|step| step.mark == Some(Mark::Loss)).map(|step| step.actor.node);
    assert_eq!(loss, Some(NodeId::Broker(1)), "the last machine to lose power");
}

#[test]
fn a_disk_that_lost_data_without_power_is_seen_when_the_broker_comes_back() {
    let mut run = appended(1);
    run.lost_power(1);
    // The power did not take it: it was there at the next start.
    run.loaded(1, 1);
    run.killed(NodeId::Broker(1));
    run.loaded(1, 0);
    run.elected(1, 1, &[1], true, 0);
    run.ends_with(1, &[]);
    let story = story(&run, &acks(1), Kind::LostWrite);
    assert_eq!(story.anomaly.cause, Some(Cause::DiskLostData));
    assert!(lines(&story).contains(&"came back with log end offset 0 <- the loss".to_owned()));
}

/// The leader alone in the ISR acknowledges, and its process or machine never comes back.
fn alone_and_gone(power: bool) -> Run {
    let mut run = appended(-1);
    run.isr(&[1, 2, 3], &[1]);
    run.acked(0, 0, -1);
    match power {
        true => run.lost_power(1),
        false => run.killed(NodeId::Broker(1)),
    };
    run.offline(&[1]);
    run
}

#[test]
fn the_only_copy_goes_with_a_machine_that_never_comes_back() {
    let mut run = alone_and_gone(true);
    run.ends_without_leader(&[]);
    let lost = story(&run, &acks(-1), Kind::LostWrite);
    assert_eq!(lost.anomaly.cause, Some(Cause::IsrShrunkToLeader));
    assert_eq!(lost.anomaly.contributing, [Cause::UnsyncedDataLostWithPower]);
    assert_eq!(lost.anomaly.permitted.answer, Answer::Yes);
    assert_eq!(
        lines(&lost),
        [
            "appended at offset 0",
            "ISR {1,2,3} → {1}",
            "acknowledged <- the promise",
            "lost power <- the loss",
            "no replica may lead",
        ]
    );
    let two = with_topic(acks(-1), |topic| topic.min_insync_replicas = 2);
    assert_eq!(story(&run, &two, Kind::LostWrite).anomaly.permitted.answer, Answer::No);
}

#[test]
fn the_copies_of_all_in_sync_machines_go_with_the_power_for_good() {
    let mut run = on_three();
    for broker in 1..=3 {
        run.lost_power(broker);
    }
    run.ends_without_leader(&[]);
    let story = story(&run, &acks(-1), Kind::LostWrite);
    assert_eq!(story.anomaly.cause, Some(Cause::UnsyncedDataLostWithPower));
    let told = lines(&story);
    assert_eq!(told[told.len() - 3..], ["lost power", "lost power", "lost power <- the loss"]);
}

#[test]
fn innocent_a_killed_leaders_disk_keeps_the_only_copy() {
    let mut run = alone_and_gone(false);
    run.ends_without_leader(&["a"]);
    let story = story(&run, &acks(-1), Kind::Unavailable);
    assert_eq!(story.anomaly.cause, Some(Cause::NoEligibleLeader));
    assert_eq!(run.judge(&acks(-1)).counts.lost, 0);
}

#[test]
fn innocent_a_kill_does_not_explain_a_record_that_is_on_no_disk() {
    let mut run = alone_and_gone(false);
    run.ends_without_leader(&[]);
    assert_eq!(story(&run, &acks(-1), Kind::LostWrite).anomaly.cause, Some(Cause::Unknown));
}

/// Broker 1 goes, broker 2 is elected without record 0 and takes another one at its offset.
fn replaced(certain: bool) -> Run {
    let mut run = appended(1);
    run.killed(NodeId::Broker(1));
    run.elected(2, 1, &[2, 3], true, 0);
    run.sent(1, "b");
    run.batched(1, 2);
    let sent = run.transmits(2, 1, 2);
    run.appends(if certain { sent } else { 0 }, 2, 1, 0);
    run.acked(1, 0, 1);
    run.truncated(1, 1, 0, TruncationReason::Diverged);
    run.ends_with(2, &["b"]);
    run
}

#[test]
fn inconsistent_offsets_tells_who_took_the_offset() {
    let run = replaced(true);
    let told = lines(&story(&run, &acks(1), Kind::InconsistentOffsets));
    assert_eq!(
        told,
        [
            "appended at offset 0",
            "acknowledged <- the promise",
            "killed",
            "elected broker 2, epoch 1",
            "sent batch 2",
            "appended \"b\" at offset 0 <- took its offset",
            "truncated 1 → 0 <- the loss",
        ]
    );
    let (_, explanation) = run.explain(&acks(1));
    let all = text::explanation(&explanation, &names(), &PlainText);
    assert!(all.contains("broker 2  leader, epoch 1"), "{all}");
}

/// Broker 1 is elected uncleanly, and the record that was first at the offset is there again.
#[test]
fn inconsistent_offsets_of_a_record_that_came_back() {
    let mut run = appended(1);
    run.killed(NodeId::Broker(1));
    run.elected(2, 1, &[2, 3], true, 0);
    run.sent_and_appended(1, "b", 2, 1, 0);
    run.acked(1, 0, 1);
    run.killed(NodeId::Broker(2));
    run.elected(1, 2, &[1], false, 1);
    run.truncated(2, 1, 0, TruncationReason::Diverged);
    run.copies(2, 0, 0);
    run.ends_with(1, &["a"]);
    let story = story(&run, &acks(1), Kind::InconsistentOffsets);
    assert_eq!(story.anomaly.cause, Some(Cause::UncleanElection), "the other one is gone: {:?}", lines(&story));
    assert_eq!(story.anomaly.record, Some(p1(1)));
}

/// Broker 1 has not heard of its successor, and answers for another record at the same offset, which nobody keeps.
#[test]
fn re_05_inconsistent_offsets_by_a_leader_that_nobody_follows() {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2, 3], true, 0);
    run.elected(2, 1, &[2, 3], true, 0);
    run.sent_and_appended(0, "a", 2, 1, 0);
    run.acked(0, 0, -1);
    run.sent_and_appended(1, "b", 1, 0, 0);
    run.acked(1, 0, 1);
    run.truncated(1, 1, 0, TruncationReason::Diverged);
    run.ends_with(2, &["a"]);
    let story = story(&run, &acks(1), Kind::InconsistentOffsets);
    assert_eq!(story.anomaly.cause, Some(Cause::AcknowledgedBeforeReplicated), "{:?}", lines(&story));
    assert_eq!((story.anomaly.record, story.anomaly.other_record), (Some(p1(1)), Some(p1(0))));
    assert!(lines(&story).iter().any(|line| line.starts_with("appended \"a\"")), "{:?}", lines(&story));
}

/// Record 0 fails at offset 1, where it was read, goes with the power, and is acknowledged at offset 0 when it is sent again.
#[test]
fn inconsistent_offsets_of_a_copy_that_was_not_the_acknowledged_one() {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2, 3], true, 1);
    run.sent_and_appended(0, "a", 1, 0, 1);
    run.polled(1, "a");
    run.failed(0, ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    run.lost_power(1);
    run.loaded(1, 0);
    run.elected(1, 1, &[1], true, 0);
    run.resent(1, 0, "a");
    run.sent(2, "b");
    for (number, batch, offset) in [(1, 2, 0), (2, 3, 1)] {
        run.batched(number, batch);
        let sent = run.transmits(batch, 1, 1);
        run.appends(sent, 1, 1, offset);
        run.acked(number, offset, -1);
    }
    run.ends_with(1, &["a", "b"]);
    let story = story(&run, &acks(-1), Kind::InconsistentOffsets);
    assert_eq!(story.anomaly.cause, Some(Cause::UnsyncedDataLostWithPower), "{:?}", lines(&story));
}

/// The process dies with batch 1 on its way; started again, it counts its batches anew, and batch 1 is another one.
#[test]
fn inconsistent_offsets_across_two_lives_of_a_producer() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2], true, 0);
    run.say(P1, Fact::NodeStarted);
    run.sent(0, "a");
    run.batched(0, 1);
    let sent = run.transmits(1, 1, 1);
    run.appends(sent, 1, 4, 0);
    run.copies(2, 4, 0);
    run.polled(0, "a");
    run.killed(P1);
    run.abandoned(0, false);
    run.lost_power(1);
    run.lost_power(2);
    run.loaded(2, 0);
    run.elected(2, 5, &[2], true, 0);
    run.loaded(1, 0);
    run.say(P1, Fact::NodeStarted);
    run.sent(1, "b");
    run.batched(1, 1);
    let sent = run.transmits(1, 1, 2);
    run.appends(sent, 2, 5, 0);
    run.acked(1, 0, -1);
    run.ends_with(2, &["b"]);
    let story = story(&run, &acks(-1), Kind::InconsistentOffsets);
    assert_eq!(story.anomaly.cause, Some(Cause::UnsyncedDataLostWithPower));
    assert_eq!(story.anomaly.permitted.answer, Answer::Yes);
}

/// Record 0 fails without an answer and is read; it goes with the power, and record 1 of another producer has its offset.
#[test]
fn inconsistent_offsets_of_what_was_only_read() {
    let mut run = Run::default();
    run.elected(1, 4, &[1, 2], true, 0);
    // No chain of causes: the request waited in its connection.
    run.sent(0, "a");
    run.batched(0, 1);
    run.transmits(1, 1, 1);
    run.appends(0, 1, 4, 0);
    run.polled(0, "a");
    run.failed(0, ErrorCode::NETWORK_EXCEPTION);
    run.lost_power(1);
    run.loaded(1, 0);
    run.elected(1, 5, &[1], true, 0);
    run.sent_and_appended(1, "b", 1, 5, 0);
    run.acked(1, 0, -1);
    run.ends_with(1, &["b"]);
    let story = story(&run, &acks(-1), Kind::InconsistentOffsets);
    assert_eq!(story.anomaly.cause, Some(Cause::UnsyncedDataLostWithPower), "{:?}", lines(&story));
}

/// The leader answers while broker 2 is in sync too; by the time the client hears of it the ISR has shrunk, before the answer or after.
#[test]
fn a_promise_stands_on_the_isr_of_the_answer() {
    let answered = |late: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        run.sent_and_appended(0, "a", 1, 4, 0);
        run.copies(2, 4, 0);
        let (partition, to, base_offset) = (orders(), P1, Offset(0));
        let answer = Fact::ProduceAnswered { partition, to, base_offset, acks: -1, error: ErrorCode::NONE };
        if late {
            run.isr(&[1, 2], &[1]);
            run.say(NodeId::Broker(1), answer);
        } else {
            run.say(NodeId::Broker(1), answer);
            run.isr(&[1, 2], &[1]);
        }
        run.acked(0, 0, -1);
        run.lost_power(1);
        run.loaded(1, 0);
        run.elected(1, 5, &[1], true, 0);
        run.truncated(2, 1, 0, TruncationReason::Diverged);
        run.ends_with(1, &[]);
        run
    };
    let two = with_topic(acks(-1), |topic| topic.min_insync_replicas = 2);
    let told = story(&answered(false), &two, Kind::LostWrite).anomaly;
    assert_eq!((told.cause, told.permitted.answer), (Some(Cause::UnsyncedDataLostWithPower), Answer::Yes));
    let told = story(&answered(true), &two, Kind::LostWrite).anomaly;
    assert_eq!((told.cause, told.permitted.answer), (Some(Cause::IsrShrunkToLeader), Answer::No));
}

/// Broker 1 is elected although it lacks the record, loses power before it leads, and is elected again as the only one in sync.
#[test]
fn an_unclean_election_of_somebody_who_came_to_lead_only_after_the_next_one() {
    let history = |led: bool| {
        let mut run = Run::default();
        run.elected(2, 4, &[2], true, 0);
        run.sent_and_appended(0, "a", 2, 4, 0);
        run.acked(0, 0, -1);
        if led {
            run.elected(1, 5, &[1], false, 0);
        } else {
            run.elects(1, 5, &[1], false);
        }
        run.lost_power(1);
        run.offline(&[1]);
        run.loaded(1, 0);
        run.elected(1, 7, &[1], true, 0);
        run.truncated(2, 1, 0, TruncationReason::Diverged);
        run.ends_with(1, &[]);
        run
    };
    for led in [false, true] {
        let told = story(&history(led), &unclean(), Kind::LostWrite).anomaly;
        assert_eq!((told.cause, told.permitted.answer), (Some(Cause::UncleanElection), Answer::Yes), "led {led}");
    }
}

/// What the controller has decided the leader has not heard.
#[test]
fn a_promise_stands_on_the_isr_that_the_leader_went_by() {
    let promised = |heard: bool| {
        let mut run = Run::default();
        run.elected(1, 4, &[1, 2], true, 0);
        run.sent_and_appended(0, "a", 1, 4, 0);
        if heard {
            run.isr(&[1, 2], &[1]);
        } else {
            run.isr_decided(&[1, 2], &[1]);
        }
        run.copies(2, 4, 0);
        run.acked(0, 0, -1);
        run.lost_power(2);
        run.lost_power(1);
        run.loaded(1, 0);
        run.elected(1, 5, &[1], true, 0);
        run.loaded(2, 0);
        run.ends_with(1, &[]);
        run
    };
    let two = with_topic(acks(-1), |topic| topic.min_insync_replicas = 2);
    let told = story(&promised(false), &two, Kind::LostWrite).anomaly;
    assert_eq!((told.cause, told.permitted.answer), (Some(Cause::UnsyncedDataLostWithPower), Answer::Yes));
    let told = story(&promised(true), &two, Kind::LostWrite).anomaly;
    assert_eq!((told.cause, told.permitted.answer), (Some(Cause::IsrShrunkToLeader), Answer::No));
}

#[test]
fn inconsistent_offsets_at_acks_0() {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2, 3], true, 0);
    run.sent(0, "a");
    run.batched(0, 1);
    let sent = run.transmits(1, 1, 1);
    run.acked(0, -1, 0);
    run.appends(sent, 1, 0, 0);
    run.polled(0, "a");
    run.lost_power(1);
    run.loaded(1, 0);
    run.elected(1, 1, &[1], true, 0);
    run.sent_and_appended(1, "b", 1, 1, 0);
    run.acked(1, 0, -1);
    run.ends_with(1, &["b"]);
    let story = story(&run, &acks(0), Kind::InconsistentOffsets);
    assert_eq!(story.anomaly.cause, Some(Cause::AcknowledgedWithoutAsking), "{:?}", lines(&story));
    assert_eq!(story.anomaly.contributing, [Cause::UnsyncedDataLostWithPower]);
}

/// Broker 2 is elected without the record, which broker 3 has; before it cuts its log it loses power, and the record, or not.
#[test]
fn in_sync_copies_that_were_not_overruled_but_went_with_the_power() {
    let elected_without_it = |then: &dyn Fn(&mut Run)| {
        let mut run = on_three();
        run.killed(NodeId::Broker(1));
        run.lost_power(2);
        run.loaded(2, 0);
        run.elected(2, 1, &[2, 3], true, 0);
        then(&mut run);
        run.elected(3, 2, &[3], true, 0);
        run.truncated(1, 1, 0, TruncationReason::Diverged);
        run.ends_with(3, &[]);
        story(&run, &acks(-1), Kind::LostWrite).anomaly.cause
    };
    let power = |run: &mut Run| {
        run.lost_power(3);
        run.loaded(3, 0);
    };
    let cut = |run: &mut Run| {
        run.truncated(3, 1, 0, TruncationReason::Diverged);
    };
    assert_eq!(elected_without_it(&power), Some(Cause::UnsyncedDataLostWithPower));
    assert_eq!(elected_without_it(&cut), Some(Cause::InSyncCopiesOverruled));
}

/// Broker 1 has a segment less than the next one after its machine lost power: its log is as long as it was.
#[test]
fn st_03_a_hole_in_the_log() {
    let mut run = appended(1);
    run.sent_and_appended(1, "b", 1, 0, 1);
    run.acked(1, 1, 1);
    run.lost_power(1);
    run.say(NodeId::Broker(1), Fact::PowerLost { unsynced_bytes: 0, lost_bytes: 0 });
    run.loaded(1, 2);
    leads(&mut run, 1, 0, 2);
    run.surveyed(&orders(), 1, &["b"]);
    let Some(Fact::RecordSurveyed { offset, .. }) = run.events.last_mut().map(|event| &mut event.fact) else {
        unreachable!("one record was surveyed")
    };
    *offset = Offset(1);
    run.say(CONTROLLER, Fact::RunEnded { quiescent: true });
    let story = story(&run, &acks(1), Kind::LostWrite);
    assert_eq!(story.anomaly.cause, Some(Cause::UnsyncedDataLostWithPower));
    assert!(lines(&story).contains(&"lost power <- the loss".to_owned()), "{:?}", lines(&story));
}

#[test]
fn without_a_chain_of_causes_the_other_append_is_still_told_but_not_its_sender() {
    let told = lines(&story(&replaced(false), &acks(1), Kind::InconsistentOffsets));
    assert!(told.contains(&"appended \"b\" at offset 0 <- took its offset".to_owned()), "{told:?}");
    assert!(!told.contains(&"sent batch 2".to_owned()), "{told:?}");
}

#[test]
fn innocent_a_lost_write_does_not_speak_of_what_took_its_offset() {
    let told = lines(&story(&replaced(true), &acks(1), Kind::LostWrite));
    assert!(!told.iter().any(|line| line.contains("took its offset")), "{told:?}");
}

/// A consumer reads offset 0, and goes back to `to` after an election.
fn reread(clean: bool, log_end: i64) -> Run {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2, 3], true, 0);
    run.polled(0, "a");
    run.polled(1, "b");
    run.isr(&[1, 2, 3], &[1]);
    run.killed(NodeId::Broker(1));
    run.offline(&[1]);
    run.elected(2, 1, &[2], clean, log_end);
    run.repositioned(2, 0, ResetReason::Truncation);
    run.polled(0, "a");
    run.truncated(1, 2, 0, TruncationReason::Diverged);
    run.ends_with(2, &["a"]);
    run
}

#[test]
fn a_consumer_sent_back_by_an_unclean_election_hears_of_it() {
    let story = story(&reread(false, 0), &unclean(), Kind::NonmonotonicPoll);
    assert_eq!(story.anomaly.cause, Some(Cause::LogReplaced));
    assert_eq!(story.anomaly.contributing, [Cause::UncleanElection]);
    assert_eq!(story.anomaly.permitted.answer, Answer::Yes);
    assert_eq!(
        lines(&story),
        ["polled offset 1", "no replica may lead", "elected broker 2, epoch 1", "position 2 → 0", "truncated 2 → 0",]
    );
}

#[test]
fn a_clean_election_is_told_but_not_blamed() {
    let story = story(&reread(true, 0), &acks(-1), Kind::NonmonotonicPoll);
    assert!(story.anomaly.contributing.is_empty());
    assert!(lines(&story).contains(&"elected broker 2, epoch 1".to_owned()));
}

#[test]
fn innocent_a_leader_that_has_what_was_read_did_not_send_the_consumer_back() {
    let story = story(&reread(false, 2), &unclean(), Kind::NonmonotonicPoll);
    assert!(story.anomaly.contributing.is_empty());
    assert_eq!(lines(&story), ["position 2 → 0"]);
}

/// Acknowledged by brokers 1 and 2; broker 3 joins later and is elected.
fn joined(with_it: bool) -> Run {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2], true, 0);
    run.sent_and_appended(0, "a", 1, 0, 0);
    run.copies(2, 0, 0);
    run.acked(0, 0, -1);
    if with_it {
        run.copies(3, 0, 0);
    }
    run.isr(&[1, 2], &[1, 2, 3]);
    run.killed(NodeId::Broker(1));
    run.killed(NodeId::Broker(2));
    run
}

#[test]
fn a_member_of_the_isr_that_joined_without_the_record_is_the_cause() {
    let mut run = joined(false);
    run.elected(3, 1, &[3], true, 0);
    run.ends_with(3, &[]);
    let story = story(&run, &acks(-1), Kind::LostWrite);
    assert_eq!(story.anomaly.cause, Some(Cause::JoinedIsrWithoutIt));
    assert_eq!(story.anomaly.permitted.answer, Answer::No);
}

#[test]
fn innocent_a_member_that_had_the_record_when_it_joined_and_lost_it_with_the_power() {
    let mut run = joined(true);
    run.lost_power(3);
    run.loaded(3, 0);
    run.elected(3, 1, &[3], true, 0);
    run.ends_with(3, &[]);
    assert_eq!(story(&run, &acks(-1), Kind::LostWrite).anomaly.cause, Some(Cause::UnsyncedDataLostWithPower));
}

#[test]
fn a_follower_that_gave_up_its_log_and_leads_is_the_cause_even_of_an_unclean_election() {
    for (reason, cause) in [
        (TruncationReason::OutOfRange, Cause::TruncatedOutOfRange),
        (TruncationReason::Diverged, Cause::UncleanElection),
    ] {
        let mut run = on_three();
        run.killed(NodeId::Broker(1));
        run.elected(3, 1, &[3], true, 1);
        run.truncated(2, 1, 0, reason);
        run.killed(NodeId::Broker(3));
        run.elected(2, 2, &[2], false, 0);
        run.ends_with(2, &[]);
        assert_eq!(story(&run, &acks(-1), Kind::LostWrite).anomaly.cause, Some(cause));
    }
}

/// Consumers that start from the end are told 2, and after an election `end`, by a leader whose log ends at `log_end`.
fn ends(log_end: i64, end: i64) -> Run {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2, 3], true, 0);
    run.repositioned(-1, 2, ResetReason::NoPosition);
    run.killed(NodeId::Broker(1));
    run.elected(2, 1, &[2, 3], true, log_end);
    run.repositioned(-1, end, ResetReason::NoPosition);
    run.ends_with(2, &[]);
    run
}

fn latest(resets_to_latest: bool) -> Contract {
    reader(resets_to_latest, true)
}

fn reader(resets_to_latest: bool, validates_position: bool) -> Contract {
    let consumer = ConsumerContract {
        client: 2,
        name: "c1".into(),
        resets_to_latest,
        validates_position,
        topics: Vec::new(),
        group: None,
        instance: None,
        returns_without_leading: false,
        says_processed: false,
        commits_before_processing: false,
        upserts: false,
        last_wins: false,
        versioned: false,
    };
    Contract { consumers: vec![consumer], ..acks(-1) }
}

#[test]
fn the_end_of_a_log_goes_back_with_a_high_watermark_that_lags() {
    let stale = story(&ends(2, 1), &latest(true), Kind::StaleEndOffset);
    assert_eq!(stale.anomaly.cause, Some(Cause::HighWatermarkBehind));
    assert_eq!(stale.anomaly.permitted.answer, Answer::No);
    assert_eq!(lines(&stale).len(), 3);
    // Broker 1 was only paused, and answers once more.
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2, 3], true, 0);
    run.repositioned(-1, 2, ResetReason::NoPosition);
    run.elected(2, 1, &[2, 3], true, 2);
    let (partition, from, to, reason) = (orders(), Offset(-1), Offset(1), ResetReason::NoPosition);
    let told_by = Some(NodeId::Broker(1));
    run.say(NodeId::Client(2), Fact::PositionReset { partition, from, to, reason, told_by });
    run.ends_with(2, &[]);
    let former = story(&run, &latest(true), Kind::StaleEndOffset);
    assert_eq!(former.anomaly.cause, Some(Cause::ToldByFormerLeader));
    assert!(former.steps[2].note.ends_with("; broker 1 said so"), "{:?}", former.steps);
    assert_eq!(former.anomaly.permitted.answer, Answer::Yes);
    // Another consumer begins at the start, where the end goes back to.
    let mut run = ends(1, 0);
    let election = |event: &Event| matches!(event.fact, Fact::LeaderElected { leader: 2, .. });
    let place = run.events.iter().position(election).expect("broker 2 is elected");
    let mut other = run.events[1..].iter().find(|event| matches!(event.fact, Fact::PositionReset { .. })).cloned();
    let mut other = other.take().expect("somebody has no position");
    other.node = NodeId::Client(3);
    if let Fact::PositionReset { to, .. } = &mut other.fact {
        *to = Offset(0);
    }
    run.events.insert(place, other);
    let replaced = story(&run, &latest(true), Kind::StaleEndOffset);
    assert_eq!((replaced.anomaly.cause, replaced.anomaly.client), (Some(Cause::LogReplaced), Some(2)));
    let shorter = story(&ends(1, 1), &latest(true), Kind::StaleEndOffset);
    assert_eq!(shorter.anomaly.cause, Some(Cause::LogReplaced));
    assert_eq!(shorter.anomaly.permitted.answer, Answer::Yes);
}

#[test]
fn innocent_an_end_that_stays_and_a_start_that_is_no_end() {
    for (run, contract) in [(ends(2, 2), latest(true)), (ends(2, 1), latest(false))] {
        assert!(!run.judge(&contract).kinds().contains(&Kind::StaleEndOffset));
    }
}

/// All three replicas lose power with the record, which the disk of the leader may have said to be synced.
fn synced_and_gone(lies: bool) -> Run {
    let mut run = on_three();
    let fault = run.say(NodeId::Controller(100), Fact::FaultInjected { fault: 1, what: "the disk lies".into() });
    if lies {
        run.because(
            fault,
            NodeId::Broker(1),
            Fact::FaultBit { fault: 1, what: "lied about a sync to broker 1".into() },
        );
    }
    for broker in 1..=3 {
        run.lost_power(broker);
    }
    for broker in 1..=3 {
        run.loaded(broker, 0);
    }
    run.elected(1, 1, &[1, 2, 3], true, 0);
    run.ends_with(1, &[]);
    run
}

fn flushed() -> Contract {
    with_topic(acks(-1), |topic| topic.flush_messages = 1)
}

#[test]
fn a_disk_that_lied_about_a_sync_is_named_where_every_record_was_synced() {
    let story = story(&synced_and_gone(true), &flushed(), Kind::LostWrite);
    assert_eq!(story.anomaly.cause, Some(Cause::DiskLiedAboutSync));
    assert_eq!(story.anomaly.contributing, [Cause::UnsyncedDataLostWithPower]);
    assert_eq!(story.anomaly.permitted.answer, Answer::Yes);
    assert!(lines(&story).contains(&"lied about a sync to broker 1".to_owned()), "{:?}", lines(&story));
}

#[test]
fn innocent_without_a_lie_a_synced_record_that_goes_is_a_bug() {
    let story = story(&synced_and_gone(false), &flushed(), Kind::LostWrite);
    assert_eq!(story.anomaly.cause, Some(Cause::UnsyncedDataLostWithPower));
    assert_eq!(story.anomaly.permitted.answer, Answer::No);
}

#[test]
fn innocent_where_nothing_was_to_be_synced_the_lie_took_nothing() {
    let story = story(&synced_and_gone(true), &acks(-1), Kind::LostWrite);
    assert_eq!(story.anomaly.cause, Some(Cause::UnsyncedDataLostWithPower));
}

#[test]
fn an_eligible_leader_replica_outside_the_isr_is_a_clean_choice() {
    let elected = |isr_before: &[i32]| {
        let mut run = on_three();
        run.isr(&[1, 2, 3], isr_before);
        run.lost_power(1);
        run.loaded(1, 0);
        run.truncated(2, 1, 0, TruncationReason::Diverged);
        run.elected(2, 1, &[2], true, 0);
        run.ends_with(2, &[]);
        let story = story(&run, &acks(-1), Kind::LostWrite);
        let step = story.steps.iter().find(|step| step.what.starts_with("elected")).expect("somebody was elected");
        step.note.clone()
    };
    assert_eq!(elected(&[1]), "clean: an eligible leader replica; log end offset 0");
    assert_eq!(elected(&[1, 2]), "clean: in ISR; log end offset 0");
}

/// A consumer reads offsets 0 and 1; the log is cut to nothing and has grown to offset 2 before it asks again.
#[test]
fn re_11_a_log_that_grew_again_beyond_the_position() {
    let mut run = Run::default();
    run.elected(1, 0, &[1, 2, 3], true, 0);
    run.polled(0, "a");
    run.polled(1, "b");
    run.killed(NodeId::Broker(1));
    run.elected(2, 1, &[2, 3], true, 0);
    for (number, value) in [(10, "c"), (11, "d"), (12, "e")] {
        run.sent(number, value);
        run.batched(number, number);
        let sent = run.transmits(number, 1, 2);
        run.appends(sent, 2, 1, number as i64 - 10);
        run.acked(number, number as i64 - 10, -1);
    }
    run.polled(2, "e");
    run.ends_with(2, &["c", "d", "e"]);
    for (validates, permitted) in [(false, Answer::Yes), (true, Answer::No)] {
        let story = story(&run, &reader(false, validates), Kind::Unseen);
        assert_eq!(story.anomaly.cause, Some(Cause::TruncationUnnoticed));
        assert_eq!(story.anomaly.permitted.answer, permitted);
        assert_eq!(lines(&story).len(), 3, "{:?}", lines(&story));
    }
    // Who had read nothing else there was not misled by a cut.
    run.events.retain(|event| !matches!(&event.fact, Fact::Polled { offset, .. } if offset.0 < 2));
    assert_eq!(story(&run, &reader(false, false), Kind::Unseen).anomaly.cause, Some(Cause::Unknown));
}

//! What groups did with records: for each cause a guilty history and an innocent one.

use ackproof_core::fact::{Fact, ResetReason};
use ackproof_core::types::{NodeId, Offset};
use ackproof_reports::{Answer, Cause, Contract, Kind};

use super::run::{C1, Run, group, of, orders, processed};

pub(super) const C2: NodeId = NodeId::Client(3);
const COORDINATOR: NodeId = NodeId::Broker(2);

pub(super) fn committed(run: &mut Run, offset: i64) {
    committed_in(run, 1, offset);
}

fn committed_in(run: &mut Run, generation: i32, offset: i64) {
    let (group, partition, offset) = ("billing".into(), orders(), Offset(offset));
    run.say(COORDINATOR, Fact::OffsetCommitted { group, partition, offset, generation });
}

pub(super) fn assigned(run: &mut Run, member: NodeId, generation: i32, position: i64, reason: ResetReason) {
    let (group, name) = ("billing".into(), "m".into());
    run.say(member, Fact::PartitionsAssigned { group, member: name, generation, partitions: vec![orders()] });
    let (from, to) = (Offset(-1), Offset(position));
    run.say(member, Fact::PositionReset { partition: orders(), from, to, reason, told_by: None });
}

/// Three records written and acknowledged, and c1 given the partition.
fn written() -> Run {
    let mut run = Run::default();
    for (number, value) in (0..).zip(["a", "b", "c"]) {
        run.sent(number, value);
        run.acked(number, number as i64, -1);
    }
    assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
    run
}

fn ended(mut run: Run) -> Run {
    run.ends_with(1, &["a", "b", "c"]);
    run
}

pub(super) fn lost(run: &Run, contract: &Contract) -> Vec<(i64, Option<Cause>, Answer)> {
    of(Kind::LostDelivery, run, contract)
}

pub(super) fn twice(run: &Run, contract: &Contract) -> Vec<(i64, Option<Cause>, Answer)> {
    of(Kind::DuplicateDelivery, run, contract)
}

/// c1 polls all three; it commits before or after it processes; it dies after the first.
fn crash(commits_first: bool) -> Run {
    let mut run = written();
    for (offset, value) in (0..).zip(["a", "b", "c"]) {
        run.polled(offset, value);
    }
    if commits_first {
        committed(&mut run, 3);
    }
    processed(&mut run, C1, 0);
    run.say(C1, Fact::NodeKilled);
    run
}

#[test]
fn co_05_committed_and_then_died() {
    let mut run = crash(true);
    assigned(&mut run, C2, 2, 3, ResetReason::Committed);
    let run = ended(run);
    let at_most_once = group(|consumer| consumer.commits_before_processing = true);
    let expected = |answer| {
        vec![(1, Some(Cause::CommittedBeforeProcessed), answer), (2, Some(Cause::CommittedBeforeProcessed), answer)]
    };
    assert_eq!(lost(&run, &at_most_once), expected(Answer::Yes));
    assert_eq!(lost(&run, &group(|_| {})), expected(Answer::No), "a program that commits afterwards must not lose");
    assert_eq!(twice(&run, &at_most_once), []);
}

/// What was done with the records of a topic that is gone says nothing about one that has its name.
#[test]
fn mc_12_another_topic_has_the_name() {
    let read_from = |first: usize| {
        let mut run = Run::default();
        run.sent(0, "old");
        run.acked(0, 0, -1);
        assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
        run.polled(0, "old");
        processed(&mut run, C1, 0);
        committed(&mut run, 1);
        run.say(NodeId::Controller(4), Fact::TopicDeleted { topic: "orders".into() });
        for (number, value) in (1..).zip(["a", "b"]) {
            run.sent(number, value);
            run.acked(number, number as i64 - 1, -1);
        }
        for (offset, value) in (0..).zip(["a", "b"]).skip(first) {
            run.polled(offset, value);
            processed(&mut run, C1, offset);
        }
        committed(&mut run, 2);
        run.ends_with(1, &["a", "b"]);
        run
    };
    let contract = group(|_| {});
    assert_eq!(twice(&read_from(0), &contract), [], "it has its own offsets");
    assert_eq!(lost(&read_from(0), &contract), []);
    assert_eq!(lost(&read_from(1), &contract), [(0, Some(Cause::LogReplaced), Answer::Yes)], "its head");
}

#[test]
fn co_06_processed_and_then_died() {
    let mut run = crash(false);
    assigned(&mut run, C2, 2, 0, ResetReason::Committed);
    for offset in 0..3 {
        processed(&mut run, C2, offset);
    }
    committed(&mut run, 3);
    let run = ended(run);
    assert_eq!(twice(&run, &group(|_| {})), [(0, Some(Cause::ProcessedBeforeCommitted), Answer::Yes)]);
    assert_eq!(lost(&run, &group(|_| {})), []);
    assert_eq!(twice(&run, &group(|consumer| consumer.upserts = true)), [], "an upsert takes each record once");
}

/// The log lost what the group had read and committed, another record took the offset, and the group's next position is beyond it.
#[test]
fn a_commit_of_what_stood_there_before_decides_nothing() {
    let after = |replaced: bool| {
        let mut run = written();
        run.polled(0, if replaced { "z" } else { "a" });
        committed(&mut run, 1);
        if replaced {
            run.appends(0, 1, 5, 0);
        }
        run.say(C1, Fact::NodeKilled);
        assigned(&mut run, C2, 2, 1, ResetReason::NoPosition);
        for (offset, value) in [(1, "b"), (2, "c")] {
            run.polled(offset, value);
            processed(&mut run, C2, offset);
        }
        committed_in(&mut run, 2, 3);
        lost(&ended(run), &group(|consumer| consumer.resets_to_latest = true))
    };
    assert_eq!(after(true), [(0, Some(Cause::PositionReset), Answer::Yes)]);
    assert_eq!(after(false), [(0, Some(Cause::CommittedBeforeProcessed), Answer::No)]);
}

#[test]
fn what_is_processed_and_committed_once_is_neither() {
    let mut run = written();
    for (offset, value) in (0..).zip(["a", "b", "c"]) {
        run.polled(offset, value);
        processed(&mut run, C1, offset);
    }
    committed(&mut run, 3);
    run.say(C1, Fact::NodeKilled);
    assigned(&mut run, C2, 2, 3, ResetReason::Committed);
    let run = ended(run);
    assert_eq!((lost(&run, &group(|_| {})), twice(&run, &group(|_| {}))), (vec![], vec![]));
}

#[test]
fn what_nobody_has_reached_yet_is_not_lost() {
    let run = ended(crash(false));
    assert_eq!(lost(&run, &group(|_| {})), []);
}

#[test]
fn gr_01_a_member_that_does_not_know_that_it_is_none() {
    let mut run = written();
    run.polled(0, "a");
    run.say(C1, Fact::NodePaused);
    assigned(&mut run, C2, 2, 0, ResetReason::Committed);
    processed(&mut run, C2, 0);
    run.say(C1, Fact::NodeResumed);
    processed(&mut run, C1, 0);
    let run = ended(run);
    assert_eq!(twice(&run, &group(|_| {})), [(0, Some(Cause::ProcessedAfterLosingPartition), Answer::Yes)]);
    // Here the member that lost the partition processes first.
    let mut run = written();
    run.polled(0, "a");
    run.say(C1, Fact::NodePaused);
    assigned(&mut run, C2, 2, 0, ResetReason::Committed);
    run.say(C1, Fact::NodeResumed);
    processed(&mut run, C1, 0);
    processed(&mut run, C2, 0);
    let run = ended(run);
    assert_eq!(twice(&run, &group(|_| {})), [(0, Some(Cause::ProcessedAfterLosingPartition), Answer::Yes)]);
}

/// What it did while the partition was its own is no fault of a member that lost it later.
#[test]
fn gr_01_what_was_processed_before_the_partition_was_lost() {
    let mut run = written();
    processed(&mut run, C1, 0);
    run.say(C1, Fact::NodePaused);
    assigned(&mut run, C2, 2, 0, ResetReason::NoPosition);
    processed(&mut run, C2, 0);
    let run = ended(run);
    assert_eq!(twice(&run, &group(|_| {})), [(0, Some(Cause::ProcessedBeforeCommitted), Answer::Yes)]);
}

#[test]
fn co_13_a_commit_that_was_forgotten() {
    let mut run = written();
    processed(&mut run, C1, 0);
    committed(&mut run, 1);
    run.say(C1, Fact::NodeKilled);
    assigned(&mut run, C2, 2, 0, ResetReason::NoPosition);
    processed(&mut run, C2, 0);
    let run = ended(run);
    assert_eq!(twice(&run, &group(|_| {})), [(0, Some(Cause::PositionReset), Answer::Yes)]);
}

#[test]
fn co_07_a_commit_that_went_back() {
    let mut run = written();
    for offset in 0..3 {
        processed(&mut run, C1, offset);
    }
    committed(&mut run, 3);
    committed(&mut run, 1);
    run.say(C1, Fact::NodeKilled);
    assigned(&mut run, C2, 2, 1, ResetReason::Committed);
    processed(&mut run, C2, 1);
    processed(&mut run, C2, 2);
    let run = ended(run);
    let cause = Some(Cause::CommitWentBack);
    assert_eq!(twice(&run, &group(|_| {})), [(1, cause, Answer::Yes), (2, cause, Answer::Yes)]);
}

#[test]
fn co_11_latest_passes_over_what_was_written_before() {
    let mut run = Run::default();
    for (number, value) in (0..).zip(["a", "b", "c"]) {
        run.sent(number, value);
        run.acked(number, number as i64, -1);
    }
    assigned(&mut run, C1, 1, 2, ResetReason::NoPosition);
    run.polled(2, "c");
    processed(&mut run, C1, 2);
    let run = ended(run);
    let latest = group(|consumer| consumer.resets_to_latest = true);
    let cause = Some(Cause::PositionReset);
    assert_eq!(lost(&run, &latest), [(0, cause, Answer::Yes), (1, cause, Answer::Yes)]);
}

/// A member starts again before anything was committed, and is put behind what came meanwhile.
#[test]
fn co_11_latest_passes_over_what_was_written_before_although_nothing_follows() {
    let mut run = written();
    run.polled(0, "a");
    processed(&mut run, C1, 0);
    // It dies with this one in its hands.
    run.polled(1, "b");
    let innocent = ended(run.clone());
    assigned(&mut run, C2, 2, 3, ResetReason::NoPosition);
    let guilty = ended(run);
    let latest = group(|consumer| consumer.resets_to_latest = true);
    let cause = Some(Cause::PositionReset);
    assert_eq!(lost(&guilty, &latest), [(1, cause, Answer::Yes), (2, cause, Answer::Yes)]);
    assert_eq!(lost(&innocent, &latest), [], "what nobody has reached yet may still come");
}

/// The same, and the member that was put behind them commits where it is: that is not what lost them. What its former member committed is.
#[test]
fn co_11_what_is_committed_after_latest_has_passed_over_it() {
    let then = |first: fn(&mut Run), second: fn(&mut Run)| {
        let mut run = written();
        run.polled(0, "a");
        processed(&mut run, C1, 0);
        run.polled(1, "b");
        run.polled(2, "c");
        first(&mut run);
        second(&mut run);
        lost(&ended(run), &group(|consumer| consumer.resets_to_latest = true))
    };
    let put = |run: &mut Run| assigned(run, C2, 2, 3, ResetReason::NoPosition);
    let commits = |run: &mut Run| committed(run, 3);
    let both = |cause: Cause, answer: Answer| [1, 2].map(|offset| (offset, Some(cause), answer));
    assert_eq!(then(put, commits), both(Cause::PositionReset, Answer::Yes));
    assert_eq!(then(commits, put), both(Cause::CommittedBeforeProcessed, Answer::No));
}

/// What another group read does not make up for it, nor does it explain it.
#[test]
fn co_11_another_group_reads_the_same_records() {
    let mut run = Run::default();
    for (number, value) in (0..).zip(["a", "b", "c"]) {
        run.sent(number, value);
        run.acked(number, number as i64, -1);
    }
    assigned(&mut run, C1, 1, 2, ResetReason::NoPosition);
    let (group_id, name) = ("audit".into(), "m".into());
    let partitions = vec![orders()];
    run.say(C2, Fact::PartitionsAssigned { group: group_id, member: name, generation: 1, partitions });
    run.say(C2, Fact::Polled { partition: orders(), offset: Offset(0), key: None, value: None });
    processed(&mut run, C1, 2);
    let run = ended(run);
    let mut latest = group(|consumer| consumer.resets_to_latest = true);
    latest.consumers[1].group = Some("audit".into());
    latest.consumers[1].resets_to_latest = false;
    let cause = Some(Cause::PositionReset);
    assert_eq!(lost(&run, &latest), [(0, cause, Answer::Yes), (1, cause, Answer::Yes)]);
}

fn kinds(run: &Run, contract: &Contract, kind: Kind) -> Vec<(Option<Cause>, Answer)> {
    of(kind, run, contract).into_iter().map(|(_, cause, answer)| (cause, answer)).collect()
}

#[test]
fn gr_06_one_generation_with_two_owners() {
    let mut run = written();
    assigned(&mut run, C2, 1, 0, ResetReason::Committed);
    let run = ended(run);
    assert_eq!(kinds(&run, &group(|_| {}), Kind::TwoOwners), [(Some(Cause::AssignedTwice), Answer::No)]);
    let twins = group(|consumer| consumer.instance = Some("i1".into()));
    assert_eq!(kinds(&run, &twins, Kind::TwoOwners), [(Some(Cause::InstanceIdShared), Answer::Yes)]);
}

/// The log of the groups was lost: the coordinator that took over knew of no generation, and began with the first.
#[test]
fn gr_06_generations_that_begin_anew() {
    let in_state = |(generation, members): (i32, &[&str])| Fact::GroupStateChanged {
        group: "billing".into(),
        state: "CompletingRebalance".into(),
        generation,
        members: members.iter().map(|member| (*member).to_owned()).collect(),
    };
    let coordinated = |generations: [(i32, &[&str]); 2]| {
        let mut run = Run::default();
        run.say(NodeId::Broker(3), in_state(generations[0]));
        for event in written().events {
            run.say(event.node, event.fact);
        }
        run.say(NodeId::Broker(3), in_state(generations[1]));
        assigned(&mut run, C2, 1, 0, ResetReason::Committed);
        kinds(&ended(run), &group(|_| {}), Kind::TwoOwners)
    };
    let (forgotten, twice) = ([(Some(Cause::GroupForgotten), Answer::Yes)], [(Some(Cause::AssignedTwice), Answer::No)]);
    assert_eq!(coordinated([(1, &[]), (0, &[])]), forgotten);
    assert_eq!(coordinated([(1, &[]), (1, &[])]), twice);
    // A generation of nobody but strangers is another one; one that somebody joined is not.
    assert_eq!(coordinated([(1, &["c1"]), (1, &["c2"])]), forgotten);
    assert_eq!(coordinated([(1, &["c1"]), (1, &["c1", "c2"])]), twice);
}

/// In another generation, after the first one gave it up, after it ended: a partition has one owner.
#[test]
fn gr_06_one_owner_after_the_other() {
    let revoked = Fact::PartitionsRevoked { group: "billing".into(), partitions: vec![orders()], lost: false };
    for (ending, generation) in [(Fact::NodePaused, 2), (revoked, 1), (Fact::NodeKilled, 1)] {
        let mut run = written();
        run.say(C1, ending);
        assigned(&mut run, C2, generation, 0, ResetReason::Committed);
        let run = ended(run);
        assert_eq!(kinds(&run, &group(|_| {}), Kind::TwoOwners), []);
    }
}

#[test]
fn gr_02_a_commit_of_a_former_generation_is_written_all_the_same() {
    let mut run = written();
    assigned(&mut run, C2, 2, 0, ResetReason::Committed);
    committed_in(&mut run, 2, 3);
    committed_in(&mut run, 1, 1);
    let run = ended(run);
    let expected = [(1, Some(Cause::CommitOfFormerGeneration), Answer::No)];
    assert_eq!(of(Kind::NonmonotonicCommit, &run, &group(|_| {})), expected);
}

#[test]
fn co_07_an_older_commit_of_the_same_member_is_written_last() {
    let mut run = written();
    committed(&mut run, 3);
    committed(&mut run, 1);
    let run = ended(run);
    let expected = [(1, Some(Cause::CommitWentBack), Answer::Yes)];
    assert_eq!(of(Kind::NonmonotonicCommit, &run, &group(|_| {})), expected);
}

/// The log of the group was stuck, and three commits are written at one moment; only the last goes back.
#[test]
fn a_commit_that_went_back_among_others_at_one_moment() {
    let mut run = written();
    for offset in [1, 3, 1] {
        committed(run.at(50), offset);
    }
    let run = ended(run);
    let expected = [(1, Some(Cause::CommitWentBack), Answer::Yes)];
    assert_eq!(of(Kind::NonmonotonicCommit, &run, &group(|_| {})), expected);
}

/// A member that went back, and says so.
#[test]
fn a_member_that_sought_commits_where_it_is() {
    let mut run = written();
    committed(&mut run, 3);
    run.repositioned(3, 0, ResetReason::Seek);
    committed(&mut run, 1);
    committed(&mut run, 2);
    let run = ended(run);
    assert_eq!(of(Kind::NonmonotonicCommit, &run, &group(|_| {})), []);
    // It is nobody of another group.
    let mut others = group(|_| {});
    others.consumers.iter_mut().for_each(|consumer| consumer.group = Some("audit".into()));
    let expected = [(1, Some(Cause::CommitWentBack), Answer::Yes)];
    assert_eq!(of(Kind::NonmonotonicCommit, &run, &others), expected);
}

/// The commit was under way when it sought: that it arrives later takes nobody back.
#[test]
fn a_commit_that_was_under_way_when_its_member_sought() {
    let sought = |reads_on: bool| {
        let mut run = written();
        for (offset, value) in (0..).zip(["a", "b", "c"]) {
            run.polled(offset, value);
        }
        run.repositioned(3, 0, ResetReason::Seek);
        committed(&mut run, 3);
        for (offset, value) in (0..).zip(["a", "b", "c"]).take(if reads_on { 3 } else { 1 }) {
            run.polled(offset, value);
        }
        committed(&mut run, 1);
        ended(run)
    };
    assert_eq!(of(Kind::NonmonotonicCommit, &sought(false), &group(|_| {})), []);
    // Read to the end again, it may have committed that, too: then the second commit went back.
    let expected = [(1, Some(Cause::CommitWentBack), Answer::Yes)];
    assert_eq!(of(Kind::NonmonotonicCommit, &sought(true), &group(|_| {})), expected);
}

fn could_not(run: &mut Run, offset: i64, attempt: u32) {
    let (group, partition, offset) = (Some("billing".into()), orders(), Offset(offset));
    run.say(C1, Fact::ProcessingFailed { group, partition, offset, attempt });
}

fn gave_up(run: &mut Run, offset: i64, to: Option<&str>) {
    let (group, partition, offset) = (Some("billing".into()), orders(), Offset(offset));
    run.say(C1, Fact::GaveUp { group, partition, offset, to: to.map(str::to_owned) });
}

/// The second of three cannot be processed; `to` is where it goes.
fn poisoned(to: Option<&str>) -> Run {
    let mut run = written();
    for (offset, value) in (0..).zip(["a", "b", "c"]) {
        run.polled(offset, value);
    }
    processed(&mut run, C1, 0);
    could_not(&mut run, 1, 1);
    gave_up(&mut run, 1, to);
    processed(&mut run, C1, 2);
    committed(&mut run, 3);
    ended(run)
}

#[test]
fn co_10_an_exception_that_was_swallowed() {
    let run = poisoned(None);
    assert_eq!(lost(&run, &group(|_| {})), [(1, Some(Cause::SwallowedByProgram), Answer::Yes)]);
}

#[test]
fn co_10_a_record_that_was_handed_on() {
    let run = poisoned(Some("orders-dlt"));
    assert_eq!(lost(&run, &group(|_| {})), []);
    let (judgement, _) = run.explain(&group(|_| {}));
    assert_eq!((judgement.counts.processed, judgement.counts.handed_on), (2, 1));
}

/// The last record that there is, given up and not committed: nobody will ask for it again either.
#[test]
fn co_10_the_last_record_is_swallowed() {
    let mut run = written();
    for offset in 0..2 {
        processed(&mut run, C1, offset);
    }
    could_not(&mut run, 2, 1);
    gave_up(&mut run, 2, None);
    let run = ended(run);
    assert_eq!(lost(&run, &group(|_| {})), [(2, Some(Cause::SwallowedByProgram), Answer::Yes)]);
}

#[test]
fn co_10_a_program_that_stands_before_a_record() {
    let stuck = |what: &str| {
        let mut run = written();
        could_not(&mut run, 0, 1);
        could_not(&mut run, 0, 2);
        run.say(C1, Fact::NodeStopped);
        run.say(COORDINATOR, Fact::Stuck { what: what.into() });
        kinds(&ended(run), &group(|_| {}), Kind::Stuck)
    };
    let poisoned = stuck("c1 ended with an exception: it could not process offset 0 of orders-0");
    assert_eq!(poisoned, [(Some(Cause::StoppedByRecord), Answer::Yes)]);
    let elsewhere = stuck("c1 ended with an exception: it could not process offset 0 of orders-1");
    assert_eq!(elsewhere, [(Some(Cause::Unknown), Answer::Unknown)]);
}

const STORE: NodeId = NodeId::Client(9);

pub(super) fn wrote(run: &mut Run, transaction: u64, offset: i64, results: &[i64], client: u32) {
    let (group, partition) = ("billing".into(), orders());
    let results = results.iter().copied().map(Offset).collect();
    run.say(STORE, Fact::StoreWrote { transaction, group, partition, offset: Offset(offset), results, client });
}

pub(super) fn loaded(run: &mut Run, transactions: u64) {
    run.say(STORE, Fact::StoreLoaded { transactions });
}

#[test]
fn co_22_results_that_are_written_with_the_offset() {
    let mut run = written();
    wrote(&mut run, 1, 2, &[0, 1], 2);
    run.say(C1, Fact::NodeKilled);
    loaded(&mut run, 1);
    assigned(&mut run, C2, 2, 2, ResetReason::Seek);
    wrote(&mut run, 2, 3, &[2], 3);
    let run = ended(run);
    assert_eq!((lost(&run, &group(|_| {})), twice(&run, &group(|_| {}))), (vec![], vec![]));
}

#[test]
fn co_22_a_member_that_lost_the_partition_writes_its_transaction() {
    let mut run = written();
    run.say(C1, Fact::NodePaused);
    assigned(&mut run, C2, 2, 0, ResetReason::NoPosition);
    wrote(&mut run, 1, 3, &[0, 1, 2], 3);
    run.say(C1, Fact::NodeResumed);
    wrote(&mut run, 2, 1, &[0], 2);
    let run = ended(run);
    assert_eq!(twice(&run, &group(|_| {})), [(0, Some(Cause::ProcessedAfterLosingPartition), Answer::Yes)]);
    let went_back = of(Kind::NonmonotonicCommit, &run, &group(|_| {}));
    assert_eq!(went_back, [(1, Some(Cause::CommitWentBack), Answer::Yes)]);
}

/// The results are elsewhere; the offset was in a store that forgot it.
#[test]
fn lg_11_an_offset_that_a_store_has_lost() {
    let history = |kept: u64| {
        let mut run = written();
        for offset in 0..3 {
            processed(&mut run, C1, offset);
            wrote(&mut run, offset as u64 + 1, offset + 1, &[], 2);
        }
        run.say(C1, Fact::NodeKilled);
        loaded(&mut run, kept);
        assigned(&mut run, C2, 2, kept as i64, ResetReason::Seek);
        for offset in kept as i64..3 {
            processed(&mut run, C2, offset);
        }
        ended(run)
    };
    assert_eq!(twice(&history(2), &group(|_| {})), [(2, Some(Cause::StoreLostWrites), Answer::Yes)]);
    assert_eq!(twice(&history(3), &group(|_| {})), []);
}

/// The program goes on from what it remembers, and the store has less.
#[test]
fn lg_11_results_that_a_store_has_lost() {
    let history = |kept: u64| {
        let mut run = written();
        wrote(&mut run, 1, 1, &[0], 2);
        wrote(&mut run, 2, 2, &[1], 2);
        loaded(&mut run, kept);
        wrote(&mut run, kept + 1, 3, &[2], 2);
        ended(run)
    };
    assert_eq!(lost(&history(1), &group(|_| {})), [(1, Some(Cause::StoreLostWrites), Answer::Yes)]);
    assert_eq!(lost(&history(2), &group(|_| {})), []);
}

/// Records a, b and c, all of key k3; the effects come in this order, by a first and then a second member.
fn effects(first: &[i64], second: &[i64]) -> Run {
    let mut run = Run::default();
    for (number, value) in (0..).zip(["a", "b", "c"]) {
        run.sent_with_key(number, "k3", value);
        run.acked(number, number as i64, -1);
    }
    assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
    first.iter().for_each(|offset| processed(&mut run, C1, *offset));
    run.say(C1, Fact::NodeKilled);
    assigned(&mut run, C2, 2, 0, ResetReason::Committed);
    second.iter().for_each(|offset| processed(&mut run, C2, *offset));
    ended(run)
}

fn reordered(run: &Run, contract: &Contract) -> Vec<(i64, Option<Cause>, Answer)> {
    of(Kind::EffectReorder, run, contract)
}

#[test]
fn lg_10_a_redelivery_brings_an_older_value_back() {
    let run = effects(&[0, 1], &[0, 1, 2]);
    let last_wins = group(|consumer| (consumer.upserts, consumer.last_wins) = (true, true));
    assert_eq!(reordered(&run, &last_wins), [(0, Some(Cause::ProcessedBeforeCommitted), Answer::Yes)]);
    let versioned = group(|consumer| (consumer.upserts, consumer.versioned) = (true, true));
    assert_eq!(reordered(&run, &versioned), []);
    assert_eq!(reordered(&run, &group(|_| {})), [], "each effect is there for itself: it is a duplicate, no more");
}

#[test]
fn effects_of_a_key_in_another_order_than_the_log_has_them() {
    let forbidden = (1, Some(Cause::Unknown), Answer::No);
    assert_eq!(reordered(&effects(&[0, 2, 1], &[]), &group(|_| {})), [forbidden]);
    assert_eq!(reordered(&effects(&[0, 1, 2], &[]), &group(|_| {})), []);
}

/// c1 has all three records; c2 is given the partition behind them, or c1 keeps it, and c1 works on.
#[test]
fn gr_01_workers_that_go_on_beside_the_next_member() {
    let history = |taken: bool| {
        let mut run = effects(&[0], &[]);
        run.events.truncate(run.events.iter().position(|event| event.fact == Fact::NodeKilled).expect("c1 ends"));
        if taken {
            assigned(&mut run, C2, 2, 2, ResetReason::Committed);
        }
        processed(&mut run, if taken { C2 } else { C1 }, 2);
        processed(&mut run, C1, 1);
        ended(run)
    };
    let cause = |taken| reordered(&history(taken), &group(|_| {}));
    assert_eq!(cause(true), [(1, Some(Cause::ProcessedAfterLosingPartition), Answer::Yes)]);
    assert_eq!(cause(false), [(1, Some(Cause::Unknown), Answer::No)]);
}

/// c1 has the second record when c2 takes over, which works on the third and goes; c1 has the partition again when its workers come to the second, which
/// it had been given before, or once more.
#[test]
fn gr_01_workers_that_go_on_until_their_member_has_the_partition_again() {
    let cause = |reads_again: bool| {
        let mut run = effects(&[0], &[]);
        run.events.truncate(run.events.iter().position(|event| event.fact == Fact::NodeKilled).expect("c1 ends"));
        run.polled_by(C1, 1, "b");
        assigned(&mut run, C2, 2, 2, ResetReason::Committed);
        processed(&mut run, C2, 2);
        assigned(&mut run, C1, 3, if reads_again { 1 } else { 3 }, ResetReason::Committed);
        if reads_again {
            run.polled_by(C1, 1, "b");
        }
        processed(&mut run, C1, 1);
        reordered(&ended(run), &group(|_| {}))[0].1
    };
    assert_eq!(cause(false), Some(Cause::ProcessedAfterLosingPartition));
    assert_eq!(
        cause(true),
        Some(Cause::PositionReset),
        "it was given it once more, from where the group had committed"
    );
}

/// The leader comes back from a loss of power without the second record, which others have, or with all of them; the group reads past it.
#[test]
fn a_group_reads_past_a_hole_in_a_log() {
    let cause = |hole: Option<(i64, i64)>| {
        let mut run = Run::default();
        for (number, value) in (0..).zip(["a", "b", "c"]) {
            run.sent(number, value);
            run.acked(number, number as i64, -1);
        }
        run.lost_power(1);
        run.loaded_without(1, hole, 3);
        assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
        for (offset, value) in [(0, "a"), (2, "c")] {
            run.polled(offset, value);
            processed(&mut run, C1, offset);
        }
        run.ends_with(2, &["a", "b", "c"]);
        of(Kind::LostDelivery, &run, &group(|_| {}))
    };
    assert_eq!(cause(Some((1, 2))), [(1, Some(Cause::UnsyncedDataLostWithPower), Answer::Yes)]);
    assert_eq!(cause(Some((0, 1))), [(1, Some(Cause::Unknown), Answer::No)], "it was there");
    assert_eq!(cause(None), [(1, Some(Cause::Unknown), Answer::No)]);
}

/// c2 is given the partition and has committed what it has not processed yet; c1, who does not know that it is no member any more, or c2
/// itself, works on from there, and c2 comes to it later.
#[test]
fn gr_01_a_former_member_that_runs_ahead_of_the_next_one() {
    let history = |ahead: NodeId, knows: bool| {
        let mut run = effects(&[0], &[]);
        run.events.truncate(run.events.iter().position(|event| event.fact == Fact::NodeKilled).expect("c1 ends"));
        if knows {
            processed(&mut run, ahead, 2);
        }
        let (group, member) = ("billing".into(), "m".into());
        run.say(C2, Fact::PartitionsAssigned { group, member, generation: 2, partitions: vec![orders()] });
        if !knows {
            processed(&mut run, ahead, 2);
        }
        processed(&mut run, C2, 1);
        ended(run)
    };
    let cause = |ahead, knows| reordered(&history(ahead, knows), &group(|_| {}));
    assert_eq!(cause(C1, false), [(1, Some(Cause::ProcessedAfterLosingPartition), Answer::Yes)]);
    assert_eq!(cause(C1, true), [(1, Some(Cause::Unknown), Answer::No)], "it was its own, and it skipped a record");
    assert_eq!(cause(C2, false), [(1, Some(Cause::Unknown), Answer::No)], "nobody was beside it");
}

/// c1 began behind the first record. The log lost its end, and where it began with it: `auto.offset.reset` goes back further than c1 was.
#[test]
fn a_position_that_was_set_back_to_where_nobody_had_been() {
    let history = |is_reset: bool| {
        let mut run = effects(&[2], &[]);
        run.events.truncate(run.events.iter().position(|event| event.fact == Fact::NodeKilled).expect("c1 ends"));
        if is_reset {
            run.repositioned(3, 1, ResetReason::OutOfRange);
        }
        processed(&mut run, C1, 1);
        ended(run)
    };
    assert_eq!(reordered(&history(true), &group(|_| {})), [(1, Some(Cause::PositionReset), Answer::Yes)]);
    assert_eq!(reordered(&history(false), &group(|_| {})), [(1, Some(Cause::Unknown), Answer::No)]);
}

/// c1 works on the third record and dies; c2 goes on where the group has committed, and works on the second one first of all.
#[test]
fn what_the_next_member_begins_with_was_passed_over_by_the_one_before() {
    let history = |begins_at: i64| {
        let mut run = effects(&[], &[]);
        run.events.truncate(run.events.iter().position(|event| event.fact == Fact::NodeKilled).expect("c1 ends"));
        run.repositioned(-1, begins_at, ResetReason::NoPosition);
        processed(&mut run, C1, 2);
        run.say(C1, Fact::NodeKilled);
        assigned(&mut run, C2, 2, 1, ResetReason::Committed);
        processed(&mut run, C2, 1);
        ended(run)
    };
    assert_eq!(reordered(&history(2), &group(|_| {})), [(1, Some(Cause::PositionReset), Answer::Yes)]);
    assert_eq!(reordered(&history(0), &group(|_| {})), [(1, Some(Cause::Unknown), Answer::No)], "c1 passed it over");
}

pub(super) fn reads(run: &mut Run, offset: i64, value: &str) {
    run.polled(offset, value);
    processed(run, C1, offset);
}

/// Three records, of which c1 processes `old`; then the log loses the last two of them, and has others there.
pub(super) fn rewritten(old: i64) -> Run {
    let mut run = Run::default();
    for (number, value) in (0..).zip(["a", "old b", "old c"]) {
        run.sent(number, value);
        run.appends(0, 1, 4, number as i64);
    }
    assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
    for (offset, value) in (0..old).zip(["a", "old b", "old c"]) {
        reads(&mut run, offset, value);
    }
    run.elected(2, 5, &[2], false, 1);
    for (number, value) in (3..).zip(["b", "c"]) {
        run.sent(number, value);
        run.appends(0, 2, 5, number as i64 - 2);
    }
    run
}

#[test]
fn co_15_other_records_at_offsets_that_were_processed() {
    let contract = group(|_| {});
    let mut once = rewritten(3);
    once.repositioned(3, 1, ResetReason::OutOfRange);
    reads(&mut once, 1, "b");
    reads(&mut once, 2, "c");
    let once = ended(once);
    assert_eq!(twice(&once, &contract), [], "each is processed once");
    assert_eq!(lost(&once, &contract), []);
    let mut again = rewritten(0);
    for (offset, value) in [(0, "a"), (1, "b"), (2, "c")] {
        reads(&mut again, offset, value);
    }
    again.repositioned(3, 1, ResetReason::OutOfRange);
    reads(&mut again, 1, "b");
    reads(&mut again, 2, "c");
    let cause = |offset| (offset, Some(Cause::PositionReset), Answer::Yes);
    assert_eq!(twice(&ended(again), &contract), [cause(1), cause(2)]);
}

/// What was in the consumer's buffer when the log was cut is an old record, whenever it is worked on.
#[test]
fn co_15_old_records_that_are_processed_when_the_new_ones_are_there() {
    let mut run = rewritten(1);
    reads(&mut run, 1, "old b");
    reads(&mut run, 2, "old c");
    run.repositioned(3, 1, ResetReason::Truncation);
    reads(&mut run, 1, "b");
    reads(&mut run, 2, "c");
    assert_eq!(twice(&ended(run), &group(|_| {})), []);
}

/// A fourth record comes, which this member processes.
fn goes_on(mut run: Run, member: NodeId) -> Run {
    run.sent(5, "d");
    run.appends(0, 2, 5, 3);
    run.polled_by(member, 3, "d");
    processed(&mut run, member, 3);
    run.ends_with(1, &["a", "b", "c", "d"]);
    run
}

/// A member that was paused finds out late that the log was cut: what the others have done since then counts.
#[test]
fn co_15_a_member_that_is_late_to_see_that_the_log_was_cut() {
    let history = |new_ones: usize| {
        let mut run = rewritten(3);
        assigned(&mut run, C2, 2, 1, ResetReason::Committed);
        for (offset, value) in (1..).zip(["b", "c"]).take(new_ones) {
            run.polled_by(C2, offset, value);
            processed(&mut run, C2, offset);
        }
        run.repositioned(3, 1, ResetReason::Truncation);
        goes_on(run, C2)
    };
    assert_eq!(lost(&history(2), &group(|_| {})), []);
    assert_eq!(twice(&history(2), &group(|_| {})), []);
    let missed: Vec<i64> = lost(&history(1), &group(|_| {})).iter().map(|(offset, ..)| *offset).collect();
    assert_eq!(missed, [2], "what was done with the old record does not count for the new one");
}

/// c1 has worked on the old records and does not see that others stand there: it goes on behind them.
#[test]
fn re_11_records_that_a_group_took_for_those_that_it_had_read() {
    let old = group(|consumer| consumer.validates_position = false);
    let missed = |answer| [1, 2].map(|offset| (offset, Some(Cause::TruncationUnnoticed), answer));
    assert_eq!(lost(&goes_on(rewritten(3), C1), &old), missed(Answer::Yes));
    assert_eq!(
        lost(&goes_on(rewritten(3), C1), &group(|_| {})),
        missed(Answer::No),
        "clients since 2.3 compare epochs"
    );
    let mut run = rewritten(3);
    run.repositioned(-1, 3, ResetReason::NoPosition);
    assert_eq!(
        lost(&goes_on(run, C1), &group(|consumer| consumer.resets_to_latest = true)),
        [1, 2].map(|offset| (offset, Some(Cause::PositionReset), Answer::Yes))
    );
    // The leader that lost them with its power leads on in its epoch: there is nothing to compare.
    let mut run = rewritten(3);
    for event in &mut run.events {
        if let Fact::Appended { leader_epoch, .. } = &mut event.fact {
            (event.node, *leader_epoch) = (NodeId::Broker(2), ackproof_core::types::LeaderEpoch(5));
        }
    }
    let twice_in_5 = [1, 2].map(|offset| (offset, Some(Cause::WrittenTwiceInOneEpoch), Answer::Yes));
    assert_eq!(lost(&goes_on(run, C1), &group(|_| {})), twice_in_5);
}

//! Coordinators of groups that come too late, or back with less than they had.

use ackproof_core::coordinator::group::GROUP_METADATA_TOPIC;
use ackproof_core::fact::{Fact, ResetReason, Role};
use ackproof_core::types::{LeaderEpoch, NodeId, Offset, ProducerEpoch, Sequence, TopicPartition};
use ackproof_reports::{Answer, Cause, Kind};

use super::deliveries::{C2, assigned};
use super::run::{C1, CONTROLLER, Run, group, of, orders};

/// All groups live in one partition.
pub(super) fn one_partition(run: &mut Run) {
    let (topic, replicas) = ("__consumer_offsets".to_owned(), vec![vec![2, 3]]);
    run.say(CONTROLLER, Fact::TopicCreated { topic, replicas });
}

fn says_committed(run: &mut Run, broker: i32, offset: i64) {
    commits(run, broker, offset, 1);
}

fn commits(run: &mut Run, broker: i32, offset: i64, generation: i32) {
    let (group, partition, offset) = ("billing".into(), orders(), Offset(offset));
    run.say(NodeId::Broker(broker), Fact::OffsetCommitted { group, partition, offset, generation });
}

/// Brokers take over the group in this order; broker 3 says that offset 3 is committed, and then this one that offset 1 is.
fn speaks_late(loads: &[i32], last: i32) -> Vec<(i64, Option<Cause>, Answer)> {
    let mut run = Run::default();
    one_partition(&mut run);
    assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
    for broker in loads {
        run.say(NodeId::Broker(*broker), Fact::GroupsLoaded { partition: 0, groups: 1 });
    }
    says_committed(&mut run, 3, 3);
    says_committed(&mut run, last, 1);
    run.ends_with(1, &[]);
    of(Kind::NonmonotonicCommit, &run, &group(|_| {}))
}

#[test]
fn what_a_former_coordinator_says_late_is_no_step_back() {
    let back = [(1, Some(Cause::CommitWentBack), Answer::Yes)];
    assert_eq!(speaks_late(&[2, 3], 2), []);
    assert_eq!(speaks_late(&[3], 2), [], "nobody has heard of it taking over");
    assert_eq!(speaks_late(&[3, 2], 2), back, "it took over from broker 3");
    assert_eq!(speaks_late(&[2, 3, 2], 2), back, "once more");
    assert_eq!(speaks_late(&[2, 3], 3), back, "it says so itself");
}

/// The late word is passed over: what the coordinator says next is compared with its own.
#[test]
fn after_a_late_word_the_coordinator_is_compared_with_itself() {
    let then = |next: i64| {
        let mut run = Run::default();
        one_partition(&mut run);
        assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
        for broker in [2, 3] {
            run.say(NodeId::Broker(broker), Fact::GroupsLoaded { partition: 0, groups: 1 });
        }
        for (broker, offset) in [(3, 3), (2, 1), (3, next)] {
            says_committed(&mut run, broker, offset);
        }
        run.ends_with(1, &[]);
        let found = of(Kind::NonmonotonicCommit, &run, &group(|_| {})).into_iter();
        found.map(|(offset, ..)| offset).collect::<Vec<_>>()
    };
    assert_eq!(then(4), [0; 0]);
    assert_eq!(then(2), [2]);
}

/// Three batches of the log of the groups.
fn writes_of_groups(run: &mut Run, log: &TopicPartition, coordinator: NodeId) {
    for offset in 0..3 {
        run.say(
            coordinator,
            Fact::Appended {
                partition: log.clone(),
                role: Role::Leader,
                base_offset: Offset(offset),
                last_offset: Offset(offset),
                leader_epoch: LeaderEpoch(1),
                producer_id: -1,
                producer_epoch: ProducerEpoch::NONE,
                base_sequence: Sequence::NONE,
                crc: 7,
            },
        );
    }
}

/// A broker loses its power, and its log of the groups ends here afterwards.
fn comes_back(run: &mut Run, log: &TopicPartition, broker: i32, log_end: i64) {
    run.lost_power(broker);
    let (log_start, log_end) = (Offset(0), Offset(log_end));
    run.say(
        NodeId::Broker(broker),
        Fact::LogLoaded { partition: log.clone(), log_start, log_end, clean: false, hole: None },
    );
}

/// Broker 2 has written a commit of generation 2. This broker comes back with a log of its groups that ends here, and broker 3 writes one of generation 1.
fn commits_in_an_older_generation(broker: i32, log_end: i64) -> Vec<(i64, Option<Cause>, Answer)> {
    let log = TopicPartition::of(GROUP_METADATA_TOPIC, 7);
    let mut run = Run::default();
    assigned(&mut run, C1, 2, 0, ResetReason::NoPosition);
    writes_of_groups(&mut run, &log, NodeId::Broker(2));
    commits(&mut run, 2, 3, 2);
    comes_back(&mut run, &log, broker, log_end);
    commits(&mut run, 3, 1, 1);
    run.ends_with(1, &[]);
    of(Kind::NonmonotonicCommit, &run, &group(|_| {}))
}

#[test]
fn a_coordinator_whose_log_came_back_shorter_takes_an_older_generation_for_the_present() {
    let former = [(1, Some(Cause::CommitOfFormerGeneration), Answer::No)];
    assert_eq!(commits_in_an_older_generation(3, 2), [(1, Some(Cause::GroupForgotten), Answer::Yes)]);
    assert_eq!(commits_in_an_older_generation(3, 3), former, "it has all that was written");
    assert_eq!(commits_in_an_older_generation(1, 2), former, "it does not coordinate the group");
}

/// c1 has the partition; the group is forgotten, or not, and c2 has the partition in generation 1. c1 joins anew, in generation 2, and commits what
/// it has read; c2 commits less.
#[test]
fn who_joins_anew_after_its_group_was_forgotten_commits_under_a_later_epoch_than_the_owner() {
    let judged = |is_forgotten: bool| {
        let in_state = |generation: i32, members: &[&str]| Fact::GroupStateChanged {
            group: "billing".into(),
            state: "Stable".into(),
            generation,
            members: members.iter().map(|member| (*member).to_owned()).collect(),
        };
        let mut run = Run::default();
        run.say(NodeId::Broker(2), in_state(1, &["m1"]));
        assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
        run.say(NodeId::Broker(2), in_state(1, if is_forgotten { &["m2"] } else { &["m1", "m2"] }));
        assigned(&mut run, C2, 1, 0, ResetReason::NoPosition);
        let (group_, member) = ("billing".into(), "m1".into());
        run.say(C1, Fact::PartitionsAssigned { group: group_, member, generation: 2, partitions: Vec::new() });
        commits(&mut run, 2, 3, 2);
        commits(&mut run, 2, 1, 1);
        run.ends_with(1, &[]);
        of(Kind::NonmonotonicCommit, &run, &group(|_| {}))
    };
    assert_eq!(judged(true), [(1, Some(Cause::GroupForgotten), Answer::Yes)]);
    assert_eq!(judged(false), [(1, Some(Cause::CommitOfFormerGeneration), Answer::No)]);
}

/// c1 has the partition in generation 1, and so has c2. Between the two this broker comes back with a log of its groups that ends here.
fn owned_twice(broker: i32, log_end: i64) -> Vec<(Option<Cause>, Answer)> {
    let log = TopicPartition::of(GROUP_METADATA_TOPIC, 7);
    let coordinator = NodeId::Broker(3);
    let in_state = |members: &[&str]| Fact::GroupStateChanged {
        group: "billing".into(),
        state: "CompletingRebalance".into(),
        generation: 1,
        members: members.iter().map(|member| (*member).to_owned()).collect(),
    };
    let mut run = Run::default();
    writes_of_groups(&mut run, &log, coordinator);
    run.say(coordinator, in_state(&["c1"]));
    assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
    comes_back(&mut run, &log, broker, log_end);
    run.say(coordinator, in_state(&["c1", "c2"]));
    assigned(&mut run, C2, 1, 0, ResetReason::Committed);
    run.ends_with(1, &[]);
    of(Kind::TwoOwners, &run, &group(|_| {})).into_iter().map(|(_, cause, answer)| (cause, answer)).collect()
}

#[test]
fn a_coordinator_whose_log_came_back_shorter_has_forgotten_its_members() {
    let twice = [(Some(Cause::AssignedTwice), Answer::No)];
    assert_eq!(owned_twice(3, 2), [(Some(Cause::GroupForgotten), Answer::Yes)]);
    assert_eq!(owned_twice(3, 3), twice, "it has all that was written");
    assert_eq!(owned_twice(2, 2), twice, "it does not coordinate the group");
}

/// Broker 3 has given the partition to c1. Broker 2 comes back with a log of the groups that ends here, takes the group over, or another one, and gives it to
/// c2 in the same generation by what it has read.
fn owned_twice_by_another(log_end: i64, loaded: i32) -> Vec<(Option<Cause>, Answer)> {
    let log = TopicPartition::of(GROUP_METADATA_TOPIC, 0);
    let (former, next) = (NodeId::Broker(3), NodeId::Broker(2));
    let (group_, state, members) = ("billing".into(), "Stable".into(), vec!["c1".to_owned()]);
    let mut run = Run::default();
    run.say(former, Fact::TopicCreated { topic: GROUP_METADATA_TOPIC.into(), replicas: vec![vec![3, 2]] });
    writes_of_groups(&mut run, &log, former);
    run.say(former, Fact::GroupStateChanged { group: group_, state, generation: 1, members });
    assigned(&mut run, C1, 1, 0, ResetReason::NoPosition);
    comes_back(&mut run, &log, 2, log_end);
    run.say(next, Fact::GroupsLoaded { partition: loaded, groups: 1 });
    assigned(&mut run, C2, 1, 0, ResetReason::Committed);
    run.ends_with(1, &[]);
    of(Kind::TwoOwners, &run, &group(|_| {})).into_iter().map(|(_, cause, answer)| (cause, answer)).collect()
}

#[test]
fn a_coordinator_that_takes_over_with_a_shorter_log_has_forgotten_its_members() {
    let twice = [(Some(Cause::AssignedTwice), Answer::No)];
    assert_eq!(owned_twice_by_another(2, 0), [(Some(Cause::GroupForgotten), Answer::Yes)]);
    assert_eq!(owned_twice_by_another(3, 0), twice, "it has all that was written");
    assert_eq!(owned_twice_by_another(2, 1), twice, "the group does not live there");
}

/// c1 has been put out and has joined anew, in epoch 2, without the partition, and commits what it had read; then somebody commits less in epoch 1, which is
/// c2's, who has the partition, or has had it.
#[test]
fn who_has_the_partition_commits_in_his_own_epoch() {
    let judged = |epoch_of_c2: i32, has_it: bool| {
        let mut run = Run::default();
        let reconciled = |run: &mut Run, member: &str, epoch: i32, has_it: bool| {
            let (group, member, state) = ("billing".to_owned(), member.to_owned(), "STABLE".to_owned());
            let (assigned, revoking) = (if has_it { vec![orders()] } else { Vec::new() }, Vec::new());
            let fact = Fact::MemberReconciled { group, member, epoch, state, assigned, revoking };
            run.say(NodeId::Broker(2), fact);
        };
        reconciled(&mut run, "m2", 1, true);
        assigned(&mut run, C2, 1, 0, ResetReason::NoPosition);
        reconciled(&mut run, "m1", 2, false);
        reconciled(&mut run, "m2", epoch_of_c2, has_it);
        commits(&mut run, 2, 3, 2);
        commits(&mut run, 2, 1, 1);
        run.ends_with(1, &[]);
        of(Kind::NonmonotonicCommit, &run, &group(|_| {}))
    };
    assert_eq!(judged(1, true), [(1, Some(Cause::CommitWentBack), Answer::Yes)]);
    let former = [(1, Some(Cause::CommitOfFormerGeneration), Answer::No)];
    assert_eq!(judged(2, true), former, "its epoch is another one by now");
    assert_eq!(judged(1, false), former, "it has nothing to do with the partition any more");
}

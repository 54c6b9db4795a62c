//! Epochs of a partition: which state is news, which answer still counts.

use std::sync::Arc;

use super::*;
use crate::config::{BrokerConfig, KafkaVersion};
use crate::log::LogManager;
use crate::machine::Effects;
use crate::metadata::LeaderRecoveryState;
use crate::storage::MemoryStorage;
use crate::types::{Instant, Prng, Timestamp};

fn state(leader: i32, leader_epoch: i32, partition_epoch: i32) -> PartitionRegistration {
    PartitionRegistration {
        directories: Vec::new(),
        replicas: vec![1, 2],
        isr: vec![1, 2],
        removing_replicas: vec![],
        adding_replicas: vec![],
        leader,
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch: PartitionEpoch(partition_epoch),
        leader_recovery_state: LeaderRecoveryState::Recovered,
        elr: vec![],
        last_known_elr: vec![],
    }
}

/// Broker 1 with one replica, and what it has said.
struct Stage {
    partition: Partition,
    around: Surroundings,
    logs: LogManager,
    disk: MemoryStorage,
    rng: Prng,
    effects: Effects,
}

impl Stage {
    fn new() -> Stage {
        let mut config = BrokerConfig::resolve(KafkaVersion::new(3, 9), &[]).expect("the defaults are in order").config;
        config.broker_id = 1;
        let config = Arc::new(config);
        let name = TopicPartition::of("orders", 0);
        let mut stage = Stage {
            partition: Partition::new(name.clone(), Uuid::nil()),
            around: Surroundings::new(config.clone()),
            logs: LogManager::new(config.clone()),
            disk: MemoryStorage::default(),
            rng: Prng::new(1),
            effects: Effects::default(),
        };
        let Stage { logs, disk, rng, effects, .. } = &mut stage;
        let mut ctx = Context::new(Instant(0), Timestamp(0), rng, disk, effects);
        logs.load_all(&mut ctx).expect("the disk is well");
        logs.get_or_create(&name, &config.log, None, &mut ctx).expect("the disk is well");
        stage
    }

    fn with<R>(
        &mut self,
        call: impl FnOnce(&mut Partition, &mut UnifiedLog, &Surroundings, &mut Context<'_>) -> R,
    ) -> R {
        let Stage { partition, around, logs, disk, rng, effects } = self;
        let mut ctx = Context::new(Instant(0), Timestamp(0), rng, disk, effects);
        let log = logs.get_mut(&partition.name).expect("there is one");
        call(partition, log, around, &mut ctx)
    }

    fn lead(&mut self, leader_epoch: i32, partition_epoch: i32) {
        let state = state(1, leader_epoch, partition_epoch);
        self.with(|partition, log, around, ctx| partition.make_leader(&state, log, around, ctx)).expect("it is well");
    }

    fn follow(&mut self, leader: i32, leader_epoch: i32, partition_epoch: i32) -> Following {
        let state = state(leader, leader_epoch, partition_epoch);
        self.with(|partition, log, around, ctx| partition.make_follower(&state, log, around, ctx))
    }

    /// How often it was said since the last time that it leads, follows, has another ISR.
    fn said(&mut self) -> [usize; 3] {
        let said = std::mem::take(&mut self.effects.said);
        let mut counts = [0; 3];
        for (_, effect) in said {
            match effect {
                crate::machine::Effect::Fact(Fact::BecameLeader { .. }) => counts[0] += 1,
                crate::machine::Effect::Fact(Fact::BecameFollower { .. }) => counts[1] += 1,
                crate::machine::Effect::Fact(Fact::IsrAdopted { .. }) => counts[2] += 1,
                _ => {}
            }
        }
        counts
    }
}

#[test]
fn an_older_state_is_no_news_and_the_same_epoch_is_no_new_one() {
    let mut stage = Stage::new();
    stage.said();
    stage.lead(3, 5);
    assert_eq!(stage.said(), [1, 0, 0]);
    stage.lead(3, 5);
    stage.lead(3, 6);
    assert_eq!(stage.said()[0], 0, "it leads already");
    stage.lead(4, 5);
    assert_eq!((stage.said(), stage.partition.leader_epoch), ([0, 0, 0], LeaderEpoch(3)), "that is older");
    assert_eq!(stage.follow(2, 4, 5), Following::AsBefore, "and so is this");
    assert!(stage.partition.leader().is_some());
    assert_eq!(stage.follow(2, 4, 6), Following::Anew);
    assert_eq!(stage.said(), [0, 1, 0]);
    assert_eq!(stage.follow(2, 4, 6), Following::AsBefore);
    assert_eq!(stage.follow(2, 4, 7), Following::AsBefore);
    assert_eq!((stage.said(), stage.partition.partition_epoch), ([0, 0, 0], PartitionEpoch(7)));
}

#[test]
fn the_answer_to_a_proposal_counts_if_it_is_about_this_one_and_no_older_than_what_is_known() {
    for (what, number, leader_epoch, partition_epoch, counts) in [
        ("it is the answer", 8, 3, 6, true),
        ("metadata brought as much", 8, 3, 5, true),
        ("another proposal", 9, 3, 6, false),
        ("another leader epoch", 8, 4, 6, false),
        ("an older one", 8, 2, 6, false),
        ("less than is known", 8, 3, 4, false),
    ] {
        let mut stage = Stage::new();
        stage.lead(3, 5);
        stage.partition.leader_mut().expect("it leads").isr.propose_shrink(vec![2]);
        assert!(stage.with(|partition, _, around, ctx| partition.propose(8, around, ctx)).is_some());
        stage.said();
        let answer = LeaderAndIsr {
            leader: 1,
            leader_epoch: LeaderEpoch(leader_epoch),
            isr: vec![1],
            partition_epoch: PartitionEpoch(partition_epoch),
        };
        let taken = stage.with(|partition, _, _, ctx| partition.proposal_accepted(number, answer, ctx));
        let isr = stage.partition.leader().map(|leader| leader.isr.isr().to_vec());
        let expected = if counts { vec![1] } else { vec![1, 2] };
        assert_eq!((taken, isr, stage.said()), (counts, Some(expected), [0, 0, usize::from(counts)]), "{what}");
    }
}

#[test]
fn a_proposal_that_fails_is_sent_again_given_up_or_waits_for_metadata() {
    // Whether it is sent again, and whether it is said that the ISR is what it was.
    for (error, again, said) in [
        (ErrorCode::REQUEST_TIMED_OUT, true, 0),
        (ErrorCode::INELIGIBLE_REPLICA, false, 1),
        (ErrorCode::FENCED_LEADER_EPOCH, false, 0),
    ] {
        let mut stage = Stage::new();
        stage.lead(3, 5);
        stage.partition.leader_mut().expect("it leads").isr.propose_shrink(vec![2]);
        assert!(stage.with(|partition, _, around, ctx| partition.propose(8, around, ctx)).is_some());
        stage.said();
        assert!(!stage.with(|partition, _, _, ctx| partition.proposal_failed(9, error, ctx)), "another one");
        let found = stage.with(|partition, _, _, ctx| partition.proposal_failed(8, error, ctx));
        assert_eq!((found, stage.said()), (again, [0, 0, said]), "{error}");
        // While one is under way another one is not even attempted.
        if again {
            stage.partition.leader_mut().expect("it leads").isr.propose_shrink(vec![2]);
            assert!(stage.with(|partition, _, around, ctx| partition.propose(10, around, ctx)).is_none());
            assert_eq!(stage.said(), [0, 0, 1]);
        }
    }
}

#[test]
fn metadata_of_an_epoch_that_is_known_tell_the_leader_another_isr_or_that_its_proposal_is_off() {
    for (what, proposes, isr, said) in [
        ("nothing new", false, vec![1, 2], 0),
        ("another ISR", false, vec![1], 1),
        ("the ISR that it wanted to change", true, vec![1, 2], 1),
        ("the ISR that it wanted", true, vec![1], 1),
    ] {
        let mut stage = Stage::new();
        stage.lead(3, 5);
        if proposes {
            stage.partition.leader_mut().expect("it leads").isr.propose_shrink(vec![2]);
            assert!(stage.with(|partition, _, around, ctx| partition.propose(8, around, ctx)).is_some());
        }
        stage.said();
        let news = PartitionRegistration { isr: isr.clone(), ..state(1, 3, 6) };
        stage.with(|partition, log, around, ctx| partition.make_leader(&news, log, around, ctx)).expect("it is well");
        assert_eq!(stage.said(), [0, 0, said], "{what}");
        let leader = stage.partition.leader().expect("it leads");
        assert_eq!((leader.isr.isr(), leader.isr.is_inflight()), (&isr[..], false), "{what}");
    }
}

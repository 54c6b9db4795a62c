//! What was decided outlives the process; what could not be written was never decided.

use kafka_protocol::messages::AllocateProducerIdsRequest;
use proptest::prelude::*;

use super::*;
use crate::metadata::LeaderRecoveryState;
use crate::record::{BatchBuilder, Compression};
use crate::types::{LeaderEpoch, Offset};

#[test]
fn a_decision_that_cannot_be_written_ends_the_process_and_changes_nothing() {
    for sync in [true, false] {
        let mut rig = Rig::with_brokers(2);
        rig.create_orders(&[1, 2]);
        let before = rig.controller.image().clone();
        rig.disk.sync_fails = sync;
        rig.disk.append_fails = !sync;
        rig.now += SESSION;
        let outcome = rig.handle(Input::Deadline);
        assert!(outcome.exited);
        let failed = |fact: &Fact| matches!(fact, Fact::StorageFailed { .. });
        assert!(!outcome.facts.is_empty() && outcome.facts.iter().all(failed), "{:?}", outcome.facts);
        assert_eq!(*rig.controller.image(), before);
        assert_eq!(rig.controller.next_deadline(), None);
        let late = rig.request(1, 1, BrokerRegistrationRequest::default());
        assert!(late.replies.is_empty() && late.facts.is_empty(), "the dead do not answer");
    }
}

#[test]
fn a_log_that_is_no_metadata_is_refused_at_start() {
    let mut rig = Rig::with_brokers(1);
    let path = "__cluster_metadata-0/00000000000000000000.log";
    let good = rig.disk.memory.content(path).expect("the log is there");
    // A sound batch from elsewhere.
    let mut builder = BatchBuilder::new(Compression::None, 1000).at(Offset(2), LeaderEpoch(1));
    builder.append(Timestamp(0), None, Some(b"not a frame"), &[]);
    let alien = builder.build().expect("it is not compressed");
    rig.disk.memory.put(path, [good, alien].concat().into());
    let outcome = rig.restart();
    assert!(outcome.exited);
    assert!(outcome.facts.iter().any(|fact| matches!(fact, Fact::StorageFailed { .. })), "{:?}", outcome.facts);
}

#[test]
fn a_torn_last_batch_was_never_decided() {
    let mut rig = Rig::with_brokers(2);
    let before = rig.controller.image().clone();
    rig.create_orders(&[1, 2]);
    let path = "__cluster_metadata-0/00000000000000000000.log";
    let whole = rig.disk.memory.content(path).expect("the log is there");
    rig.disk.memory.put(path, whole.slice(..whole.len() - 1));
    assert!(!rig.restart().exited);
    assert_eq!(*rig.controller.image(), before, "all of the topic or nothing of it");
}

#[test]
fn a_restart_tells_no_fact_twice() {
    let mut rig = Rig::with_brokers(2);
    rig.create_orders(&[1, 2]);
    rig.lose(&[1]);
    let facts = rig.restart().facts;
    assert!(facts.iter().all(|fact| matches!(fact, Fact::LogLoaded { .. })), "{facts:?}");
    assert_eq!(rig.line(), "2 [2] e1 p1");
}

/// Anything that brokers and operators may do, in any order.
#[derive(Clone, Debug)]
enum Step {
    Register { broker: i32, life: u8 },
    Heartbeat { broker: i32, stale_epoch: bool, caught_up: bool, want_fence: bool, want_shut_down: bool },
    CreateTopic { topic: u8, partitions: i32, replication_factor: i16, unclean: bool },
    AlterPartition { leader: i32, isr: Vec<i32>, epochs_off: (i32, i32), recovering: i8 },
    ElectLeaders { unclean: bool },
    AllocateProducerIds { broker: i32 },
    Wait { seconds: u64 },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let broker = 1..4i32;
    prop_oneof![
        3 => (broker.clone(), 0..3u8).prop_map(|(broker, life)| Step::Register { broker, life }),
        6 => (broker.clone(), prop::bool::weighted(0.1), prop::bool::weighted(0.9), prop::bool::weighted(0.1),
            prop::bool::weighted(0.15)).prop_map(|(broker, stale_epoch, caught_up, want_fence, want_shut_down)| {
                Step::Heartbeat { broker, stale_epoch, caught_up, want_fence, want_shut_down }
            }),
        2 => (0..3u8, 1..4i32, 1..4i16, any::<bool>()).prop_map(|(topic, partitions, replication_factor, unclean)| {
            Step::CreateTopic { topic, partitions, replication_factor, unclean }
        }),
        6 => (broker.clone(), prop::collection::vec(1..4i32, 1..4), (-1..2i32, -1..2i32), 0..2i8).prop_map(
            |(leader, isr, epochs_off, recovering)| Step::AlterPartition {
                leader, isr, recovering,
                epochs_off: if epochs_off.0 == epochs_off.1 { (0, 0) } else { epochs_off },
            }),
        1 => any::<bool>().prop_map(|unclean| Step::ElectLeaders { unclean }),
        1 => broker.prop_map(|broker| Step::AllocateProducerIds { broker }),
        2 => (1..12u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Restart),
    ]
}

fn take(rig: &mut Rig, step: &Step) {
    match step.clone() {
        Step::Register { broker, life } => {
            rig.register(broker, life);
        }
        Step::Heartbeat { broker, stale_epoch, caught_up, want_fence, want_shut_down } => {
            rig.heartbeat(broker, |mut request| {
                request.broker_epoch -= i64::from(stale_epoch);
                if !caught_up {
                    request.current_metadata_offset = 0;
                }
                request.with_want_fence(want_fence).with_want_shut_down(want_shut_down)
            });
        }
        Step::CreateTopic { topic, partitions, replication_factor, unclean } => {
            let config = kafka_protocol::messages::create_topics_request::CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str("unclean.leader.election.enable"))
                .with_value(Some(StrBytes::from_static_str(if unclean { "true" } else { "false" })));
            let topic = CreatableTopic::default()
                .with_name(name(&format!("topic-{topic}")))
                .with_num_partitions(partitions)
                .with_replication_factor(replication_factor)
                .with_configs(vec![config]);
            rig.create_topics(vec![topic]);
        }
        Step::AlterPartition { leader, isr, epochs_off, recovering } => {
            alter_all(rig, leader, &isr, epochs_off, recovering);
        }
        Step::ElectLeaders { unclean } => {
            rig.ask(
                kafka_protocol::messages::ElectLeadersRequest::default()
                    .with_election_type(i8::from(unclean))
                    .with_topic_partitions(None),
            );
        }
        Step::AllocateProducerIds { broker } => {
            let epoch = rig.epoch_of(broker);
            rig.ask(AllocateProducerIdsRequest::default().with_broker_id(BrokerId(broker)).with_broker_epoch(epoch));
        }
        Step::Wait { seconds } => {
            rig.pass(Duration::from_secs(seconds));
        }
        Step::Restart => assert!(!rig.restart().exited),
    }
}

/// The broker proposes the same ISR for every partition there is.
fn alter_all(rig: &mut Rig, leader: i32, isr: &[i32], epochs_off: (i32, i32), recovering: i8) {
    let image = rig.controller.image();
    let topics = image.topics.iter().map(|(topic, info)| {
        let partitions = image.partitions_of(topic).map(|(partition, registration)| {
            let states = isr.iter().map(|broker| {
                BrokerState::default().with_broker_id(BrokerId(*broker)).with_broker_epoch(rig.epoch_of(*broker))
            });
            alter_partition_request::PartitionData::default()
                .with_partition_index(partition.partition)
                .with_leader_epoch(registration.leader_epoch.0 + epochs_off.0)
                .with_partition_epoch(registration.partition_epoch.0 + epochs_off.1)
                .with_leader_recovery_state(recovering)
                .with_new_isr_with_epochs(states.collect())
        });
        alter_partition_request::TopicData::default().with_topic_id(info.id).with_partitions(partitions.collect())
    });
    let request = AlterPartitionRequest::default()
        .with_broker_id(BrokerId(leader))
        .with_broker_epoch(rig.epoch_of(leader))
        .with_topics(topics.collect());
    rig.ask(request);
}

/// What holds at every moment.
fn check(rig: &Rig) {
    let image = rig.controller.image();
    for (partition, registration) in &image.partitions {
        let PartitionRegistration { isr, replicas, leader, .. } = registration;
        assert!(!isr.is_empty(), "{partition} has an empty ISR");
        assert!(isr.iter().all(|replica| replicas.contains(replica)), "{partition}: {registration:?}");
        if registration.has_leader() {
            assert!(isr.contains(leader), "{partition} is led from outside the ISR: {registration:?}");
            assert!(!image.brokers[leader].fenced, "{partition} is led by a fenced broker: {registration:?}");
        }
        let fenced = isr.iter().any(|replica| image.brokers[replica].fenced);
        assert!(isr.len() == 1 || !fenced, "{partition} has a fenced broker in its ISR: {registration:?}");
        let recovering = registration.leader_recovery_state == LeaderRecoveryState::Recovering;
        assert!(!recovering || isr.len() == 1, "{partition} has grown before it recovered: {registration:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_controller_killed_between_any_two_inputs_loses_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let mut rig = Rig::with_brokers(3);
        for step in &steps {
            take(&mut rig, step);
            check(&rig);
            let mut successor = rig.clone();
            prop_assert!(!successor.restart().exited);
            prop_assert_eq!(successor.controller.image(), rig.controller.image(), "after {:?}", step);
        }
    }
}

//! Leaders and in-sync replicas.

use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::*;
use crate::metadata::LeaderRecoveryState;
use crate::types::{LeaderEpoch, PartitionEpoch};

fn orders() -> TopicPartition {
    TopicPartition::of("orders", 0)
}

fn three_replicas() -> Rig {
    let mut rig = Rig::with_brokers(3);
    rig.create_orders(&[1, 2, 3]);
    rig
}

#[test]
fn a_lost_leader_is_replaced_from_the_isr_in_one_batch() {
    let mut rig = three_replicas();
    let facts = rig.lose(&[1]);
    assert_eq!(
        facts,
        [
            Fact::LeaderElected {
                partition: orders(),
                leader: 2,
                leader_epoch: LeaderEpoch(1),
                partition_epoch: PartitionEpoch(1),
                isr: vec![2, 3],
                clean: true,
            },
            Fact::IsrChanged {
                partition: orders(),
                from: vec![1, 2, 3],
                to: vec![2, 3],
                partition_epoch: PartitionEpoch(1),
            },
            Fact::BrokerFenced { broker: 1 },
        ]
    );
    assert_eq!(rig.line(), "2 [2, 3] e1 p1");
}

#[test]
fn the_isr_never_becomes_empty_and_its_last_member_leads_again() {
    let mut rig = three_replicas();
    rig.lose(&[3]);
    rig.lose(&[2]);
    assert_eq!(rig.line(), "1 [1] e0 p2");
    let facts = rig.lose(&[1]);
    let (leader_epoch, partition_epoch) = (LeaderEpoch(1), PartitionEpoch(3));
    let offline = Fact::PartitionOffline { partition: orders(), isr: vec![1], leader_epoch, partition_epoch };
    assert_eq!(facts, [offline, Fact::BrokerFenced { broker: 1 }]);
    assert_eq!(rig.line(), "-1 [1] e1 p3");

    rig.join(2, 2);
    assert_eq!(rig.line(), "-1 [1] e1 p3", "broker 2 is alive, but was not in sync");
    let facts = rig.join(1, 2);
    assert!(matches!(
        facts[..],
        [Fact::BrokerUnfenced { broker: 1 }, Fact::LeaderElected { leader: 1, clean: true, .. }]
    ));
    assert_eq!(rig.line(), "1 [1] e2 p4");
}

#[test]
fn with_unclean_election_any_live_replica_leads_at_once() {
    let mut config = config();
    config.log.unclean_leader_election_enable = true;
    let mut rig = Rig::with(config);
    for broker in [1, 2] {
        rig.join(broker, 1);
    }
    rig.create_orders(&[1, 2]);
    rig.lose(&[2]);
    rig.join(2, 2);
    assert_eq!(rig.line(), "1 [1] e0 p1");
    let facts = rig.lose(&[1]);
    assert_eq!(
        facts,
        [
            Fact::LeaderElected {
                partition: orders(),
                leader: 2,
                leader_epoch: LeaderEpoch(1),
                partition_epoch: PartitionEpoch(2),
                isr: vec![2],
                clean: false,
            },
            Fact::IsrChanged { partition: orders(), from: vec![1], to: vec![2], partition_epoch: PartitionEpoch(2) },
            Fact::BrokerFenced { broker: 1 },
        ]
    );
    assert_eq!(rig.orders().leader_recovery_state, LeaderRecoveryState::Recovering);

    // While it recovers, the ISR cannot grow; the leader says when it has.
    rig.join(1, 2);
    let grow = |recovering: i8| {
        move |request: &mut AlterPartitionRequest| {
            request.topics[0].partitions[0].leader_recovery_state = recovering;
        }
    };
    let (_, response) = rig.alter_partition(2, &[2, 1], grow(1));
    assert_eq!(error(response.topics[0].partitions[0].error_code), ErrorCode::INVALID_REQUEST);
    let (_, response) = rig.alter_partition(2, &[2, 1], grow(0));
    assert_eq!(error(response.topics[0].partitions[0].error_code), ErrorCode::NONE);
    assert_eq!(rig.orders().leader_recovery_state, LeaderRecoveryState::Recovered);
    assert_eq!(rig.line(), "2 [2, 1] e1 p3");
}

#[test]
fn a_topic_may_allow_what_the_cluster_forbids() {
    let mut rig = Rig::with_brokers(2);
    let config = kafka_protocol::messages::create_topics_request::CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("unclean.leader.election.enable"))
        .with_value(Some(StrBytes::from_static_str("true")));
    rig.create_topics(vec![assigned("orders", &[&[1, 2]]).with_configs(vec![config])]);
    rig.lose(&[2]);
    rig.join(2, 2);
    rig.lose(&[1]);
    assert_eq!(rig.line(), "2 [2] e1 p2");
}

#[test]
fn a_fenced_leader_is_not_in_the_way_of_its_next_incarnation() {
    let mut rig = three_replicas();
    rig.lose(&[1]);
    rig.register(1, 2);
    assert_eq!(rig.line(), "2 [2, 3] e1 p1", "it comes back as a follower that must catch up");
    assert!(rig.controller.image().brokers[&1].fenced);
}

#[test]
fn a_leader_grows_and_shrinks_its_isr() {
    let mut rig = three_replicas();
    let (facts, response) = rig.alter_partition(1, &[1, 2], |_| {});
    let changed = |from: &[i32], to: &[i32], epoch: i32| Fact::IsrChanged {
        partition: orders(),
        from: from.to_vec(),
        to: to.to_vec(),
        partition_epoch: PartitionEpoch(epoch),
    };
    assert_eq!(facts, [changed(&[1, 2, 3], &[1, 2], 1)]);
    let answer = &response.topics[0].partitions[0];
    let isr: Vec<i32> = answer.isr.iter().map(|broker| broker.0).collect();
    assert_eq!((answer.error_code, answer.leader_id.0, answer.leader_epoch, answer.partition_epoch), (0, 1, 0, 1));
    assert_eq!(isr, [1, 2]);
    let (facts, _) = rig.alter_partition(1, &[1, 2, 3], |_| {});
    assert_eq!(facts, [changed(&[1, 2], &[1, 2, 3], 2)]);

    let (facts, response) = rig.alter_partition(1, &[1, 2, 3], |_| {});
    assert_eq!(facts, [], "what is so already is not written again");
    assert_eq!((response.topics[0].partitions[0].error_code, rig.orders().partition_epoch.0), (0, 2));
}

#[test]
fn before_3_6_a_smaller_isr_makes_the_leader_epoch_advance() {
    let mut rig = Rig::with(BrokerConfig { version: KafkaVersion::new(3, 5), ..config() });
    for broker in [1, 2] {
        rig.join(broker, 1);
    }
    rig.create_orders(&[1, 2]);
    rig.alter_partition(1, &[1], |_| {});
    assert_eq!(rig.line(), "1 [1] e1 p1");
}

#[test]
fn proposals_are_checked_in_kafkas_order() {
    type Change = fn(&mut AlterPartitionRequest);
    let refused: [(i32, &[i32], Change, ErrorCode); 12] = [
        (1, &[1], |r| r.topics[0].partitions[0].leader_epoch += 1, ErrorCode::NOT_CONTROLLER),
        (1, &[1], |r| r.topics[0].partitions[0].partition_epoch += 1, ErrorCode::NOT_CONTROLLER),
        // From the future in one epoch, from the past in the other.
        (
            1,
            &[1],
            |r| {
                r.topics[0].partitions[0].leader_epoch -= 1;
                r.topics[0].partitions[0].partition_epoch += 1;
            },
            ErrorCode::NOT_CONTROLLER,
        ),
        (1, &[1], |r| r.topics[0].partitions[0].leader_epoch -= 1, ErrorCode::FENCED_LEADER_EPOCH),
        (2, &[2], |_| {}, ErrorCode::INVALID_REQUEST),
        (1, &[1], |r| r.topics[0].partitions[0].partition_epoch -= 1, ErrorCode::INVALID_UPDATE_VERSION),
        (1, &[1, 9], |_| {}, ErrorCode::INVALID_REQUEST),
        (1, &[1, 1], |_| {}, ErrorCode::INVALID_REQUEST),
        (1, &[2, 3], |_| {}, ErrorCode::INVALID_REQUEST),
        (1, &[1], |r| r.topics[0].partitions[0].leader_recovery_state = 1, ErrorCode::INVALID_REQUEST),
        (
            1,
            &[1, 2],
            |r| r.topics[0].partitions[0].new_isr_with_epochs[1].broker_epoch += 1,
            ErrorCode::INELIGIBLE_REPLICA,
        ),
        (1, &[1], |r| r.topics[0].partitions[0].partition_index = 5, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ];
    let mut rig = three_replicas();
    let before = rig.line();
    for (number, (leader, isr, change, expected)) in refused.into_iter().enumerate() {
        let (facts, response) = rig.alter_partition(leader, isr, change);
        assert_eq!(error(response.topics[0].partitions[0].error_code), expected, "case {number}");
        assert_eq!((facts, rig.line()), (vec![], before.clone()), "case {number}");
    }
    let (_, response) = rig.alter_partition(1, &[1], |request| request.topics[0].topic_id = Uuid::max());
    assert_eq!(error(response.topics[0].partitions[0].error_code), ErrorCode::UNKNOWN_TOPIC_ID);
    let (_, response) = rig.alter_partition(1, &[1], |request| request.broker_epoch += 1);
    assert_eq!(error(response.error_code), ErrorCode::STALE_BROKER_EPOCH);
}

#[test]
fn a_fenced_broker_cannot_join_an_isr_since_kip_841() {
    for (fix, expected) in [(true, ErrorCode::INELIGIBLE_REPLICA), (false, ErrorCode::NONE)] {
        let mut config = config();
        config.toggles.isr_eligibility_unfenced = fix;
        let mut rig = Rig::with(config);
        for broker in [1, 2] {
            rig.join(broker, 1);
        }
        rig.create_orders(&[1, 2]);
        rig.lose(&[2]);
        let (_, response) = rig.alter_partition(1, &[1, 2], |_| {});
        assert_eq!(error(response.topics[0].partitions[0].error_code), expected);
    }
}

#[test]
fn a_partition_that_waits_is_led_uncleanly_once_the_operator_allows_it() {
    let mut rig = Rig::with_brokers(2);
    rig.create_orders(&[1, 2]);
    rig.lose(&[2]);
    rig.join(2, 2);
    rig.lose(&[1]);
    assert_eq!(rig.line(), "-1 [1] e1 p2");

    let mut config = config();
    config.log.unclean_leader_election_enable = true;
    rig.config = Arc::new(config);
    rig.restart();
    let mut waited = 0;
    while rig.orders().leader == -1 {
        rig.lose(&[]);
        waited += 10;
        assert!(waited <= 300, "it does not happen");
    }
    assert_eq!((waited, rig.line()), (300, "2 [2] e2 p3".to_owned()));
}

fn elect(rig: &mut Rig, election_type: i8, partitions: Option<Vec<i32>>) -> (Vec<Fact>, ElectLeadersResponse) {
    let topics = partitions
        .map(|partitions| vec![TopicPartitions::default().with_topic(name("orders")).with_partitions(partitions)]);
    let request = ElectLeadersRequest::default().with_election_type(election_type).with_topic_partitions(topics);
    match rig.ask(request) {
        (facts, Response::ElectLeaders(response)) => (facts, *response),
        other => panic!("not an election: {other:?}"),
    }
}

fn results(response: &ElectLeadersResponse) -> Vec<ErrorCode> {
    let results = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
    results.map(|result| error(result.error_code)).collect()
}

#[test]
fn the_preferred_replica_leads_when_asked_if_it_is_in_sync() {
    let mut rig = three_replicas();
    assert_eq!(results(&elect(&mut rig, 0, Some(vec![0])).1), [ErrorCode::ELECTION_NOT_NEEDED]);
    rig.lose(&[1]);
    assert_eq!(results(&elect(&mut rig, 0, Some(vec![0])).1), [ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE]);
    rig.join(1, 2);
    rig.alter_partition(2, &[2, 3, 1], |_| {});
    let (facts, response) = elect(&mut rig, 0, None);
    assert_eq!(results(&response), [ErrorCode::NONE]);
    assert!(matches!(facts[..], [Fact::LeaderElected { leader: 1, clean: true, .. }]));
    assert_eq!(rig.line(), "1 [2, 3, 1] e2 p3");
    assert_eq!(results(&elect(&mut rig, 0, None).1), [], "those that need none are left out");
}

#[test]
fn an_operator_can_elect_uncleanly() {
    let mut rig = three_replicas();
    rig.lose(&[2]);
    rig.lose(&[3]);
    assert_eq!(results(&elect(&mut rig, 1, Some(vec![0])).1), [ErrorCode::ELECTION_NOT_NEEDED]);
    rig.lose(&[1]);
    assert_eq!(results(&elect(&mut rig, 1, Some(vec![0])).1), [ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE]);
    rig.join(3, 2);
    let (facts, response) = elect(&mut rig, 1, Some(vec![0, 8]));
    assert_eq!(results(&response), [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]);
    assert!(matches!(facts[..], [Fact::LeaderElected { leader: 3, clean: false, .. }, Fact::IsrChanged { .. }]));
    assert_eq!(error(elect(&mut rig, 2, None).1.error_code), ErrorCode::INVALID_REQUEST);
}

#[test]
fn leaders_go_back_to_the_preferred_replicas_by_themselves() {
    let mut rig = Rig::with(BrokerConfig { auto_leader_rebalance_enable: true, ..config() });
    for broker in [1, 2] {
        rig.join(broker, 1);
    }
    rig.create_orders(&[1, 2]);
    rig.lose(&[1]);
    rig.join(1, 2);
    rig.alter_partition(2, &[2, 1], |_| {});
    let mut waited = 0;
    while rig.orders().leader != 1 {
        rig.lose(&[]);
        waited += 10;
        assert!(waited <= 310, "it does not happen");
    }
    assert!(waited > 270, "it happens after leader.imbalance.check.interval.seconds, not after {waited} s");
    assert_eq!(rig.line(), "1 [2, 1] e2 p3");
}

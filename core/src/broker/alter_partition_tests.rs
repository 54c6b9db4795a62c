//! Tests of `alter_partition.rs`.

use kafka_protocol::messages::alter_partition_response::{PartitionData as AnswerData, TopicData as AnswerTopic};
use uuid::Uuid;

use super::super::testing::{CONTROLLER, config, opened, sent};
use super::*;
use crate::client::testing::Bench;
use crate::protocol::Request;
use crate::types::CorrelationId;

const ORDERS: Uuid = Uuid::from_u128(77);

struct Rig {
    bench: Bench,
    manager: AlterPartitionManager,
    asked: Option<(ConnectionId, CorrelationId, Box<AlterPartitionRequest>)>,
}

fn proposal(number: u64, partition: i32) -> IsrProposal {
    IsrProposal {
        number,
        partition: TopicPartition::of("orders", partition),
        topic_id: ORDERS,
        leader_epoch: LeaderEpoch(4),
        partition_epoch: PartitionEpoch(9),
        new_isr: vec![(1, BrokerEpoch(11)), (2, BrokerEpoch(12))],
    }
}

fn accepted(partitions: &[i32]) -> AlterPartitionResponse {
    let isr = vec![BrokerId(1), BrokerId(2)];
    let data = |index: &i32| {
        AnswerData::default()
            .with_partition_index(*index)
            .with_leader_id(BrokerId(1))
            .with_leader_epoch(4)
            .with_isr(isr.clone())
            .with_partition_epoch(10)
    };
    let topic = AnswerTopic::default().with_topic_id(ORDERS).with_partitions(partitions.iter().map(data).collect());
    AlterPartitionResponse::default().with_topics(vec![topic])
}

impl Rig {
    fn proposing(partitions: &[i32]) -> Self {
        let manager = AlterPartitionManager::new(config(1), vec![CONTROLLER]);
        let mut rig = Self { bench: Bench::default(), manager, asked: None };
        for partition in partitions {
            rig.manager.submit(proposal(1, *partition));
        }
        rig.manager.poll(BrokerEpoch(5), &mut rig.bench.context());
        let [(connection, _)] = opened(&mut rig.bench)[..] else { panic!("it connects to its controller") };
        rig.manager.channel().on_connected(connection, &mut rig.bench.context());
        rig.poll();
        rig
    }

    fn poll(&mut self) {
        self.manager.poll(BrokerEpoch(5), &mut self.bench.context());
        if let Some((connection, id, request)) = sent(&mut self.bench) {
            let Request::AlterPartition(request) = request else { panic!("{request:?}") };
            self.asked = Some((connection, id, request));
        }
    }

    fn answer(&mut self, response: AlterPartitionResponse) -> Vec<Resolved> {
        let (connection, id, _) = self.asked.take().expect("there is a request to answer");
        self.manager.channel().on_response(connection, id, response.into(), &mut self.bench.context());
        self.poll();
        self.manager.take_resolved()
    }

    fn asked_for(&self) -> Vec<i32> {
        let partitions = self.asked.iter().flat_map(|(_, _, request)| &request.topics).flat_map(|t| &t.partitions);
        partitions.map(|data| data.partition_index).collect()
    }
}

#[test]
fn what_piles_up_behind_a_request_goes_out_together() {
    let mut rig = Rig::proposing(&[0]);
    assert_eq!(rig.asked_for(), [0]);
    rig.manager.submit(proposal(2, 1));
    rig.manager.submit(proposal(3, 2));
    rig.poll();
    let resolved = rig.answer(accepted(&[0]));
    let isr =
        LeaderAndIsr { leader: 1, leader_epoch: LeaderEpoch(4), isr: vec![1, 2], partition_epoch: PartitionEpoch(10) };
    assert_eq!(resolved, [Resolved { proposal: proposal(1, 0), result: Ok(isr) }]);
    assert_eq!(rig.asked_for(), [1, 2]);
}

#[test]
fn members_carry_their_incarnations() {
    let rig = Rig::proposing(&[0]);
    let (_, _, request) = rig.asked.as_ref().expect("it is sent");
    let data = &request.topics[0].partitions[0];
    let members: Vec<(i32, i64)> = data.new_isr_with_epochs.iter().map(|m| (m.broker_id.0, m.broker_epoch)).collect();
    assert_eq!((members, data.new_isr.len()), (vec![(1, 11), (2, 12)], 0));
    assert_eq!((request.broker_id.0, request.broker_epoch, data.leader_epoch, data.partition_epoch), (1, 5, 4, 9));
}

#[test]
fn an_error_of_one_partition_resolves_it_and_one_left_out_is_sent_again() {
    let mut rig = Rig::proposing(&[0, 1]);
    let mut response = accepted(&[0]);
    response.topics[0].partitions[0].error_code = ErrorCode::INVALID_UPDATE_VERSION.0;
    let resolved = rig.answer(response);
    assert_eq!(resolved, [Resolved { proposal: proposal(1, 0), result: Err(ErrorCode::INVALID_UPDATE_VERSION) }]);
    assert_eq!(rig.asked_for(), [1]);
}

#[test]
fn a_stale_broker_epoch_resolves_nothing_and_everything_is_sent_again_after_a_while() {
    let mut rig = Rig::proposing(&[0]);
    let stale = AlterPartitionResponse::default().with_error_code(ErrorCode::STALE_BROKER_EPOCH.0);
    assert!(rig.answer(stale).is_empty());
    assert!(rig.asked.is_none());
    rig.bench.advance(RETRY_BACKOFF);
    rig.poll();
    assert_eq!(rig.asked_for(), [0]);
}

#[test]
fn a_second_proposal_for_the_same_partition_is_not_attempted() {
    let mut rig = Rig::proposing(&[0]);
    rig.manager.submit(proposal(2, 0));
    let refused = Resolved { proposal: proposal(2, 0), result: Err(ErrorCode::OPERATION_NOT_ATTEMPTED) };
    assert_eq!(rig.manager.take_resolved(), [refused]);
}

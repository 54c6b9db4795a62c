//! What becomes of what the leader of a share-partition wants to be kept, where it may not be or cannot be.
//!
//! Broker 1 to 3 lead partition 0 to 2 of `orders`. One of them leads the only partition of `__share_group_state`, of which there is one
//! replica; the member reads a partition of another leader.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch,
};
use kafka_protocol::messages::share_fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{
    CreateTopicsRequest, GroupId, ProduceRequest, ShareAcknowledgeRequest, ShareFetchRequest, TopicName,
};
use uuid::Uuid;

use super::super::test_cluster::Cluster;
use super::*;
use crate::config::KafkaVersion;
use crate::fact::ShareState;
use crate::record::{BatchBuilder, Compression};
use crate::types::{StrBytes, Timestamp};

const PROPERTIES: &[(&str, &str)] = &[
    ("group.coordinator.rebalance.protocols", "classic,consumer,share"),
    ("group.share.record.lock.duration.ms", "60000"),
    ("share.coordinator.state.topic.num.partitions", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    // The whole is written each time.
    ("share.coordinator.snapshot.update.records.per.snapshot", "0"),
];

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn workers() -> GroupId {
    GroupId(text("workers"))
}

/// A member of a share group, and the cluster around it.
struct Member {
    cluster: Cluster,
    /// Who keeps the state.
    keeper: i32,
    /// Who leads the partition that it reads.
    leader: i32,
    topic_id: Uuid,
    connection: ConnectionId,
    session_epoch: i32,
}

impl Member {
    /// A member that reads a partition that is empty so far.
    fn new() -> Self {
        let mut cluster = Cluster::of_three_of(KafkaVersion::new(4, 1), PROPERTIES);
        let of = |index: i32| {
            let replicas = (0..3).map(|more| ((index + more) % 3 + 1).into()).collect();
            CreatableReplicaAssignment::default().with_partition_index(index).with_broker_ids(replicas)
        };
        let topic = CreatableTopic::default()
            .with_name(TopicName(text("orders")))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments((0..3).map(of).collect());
        cluster.ask(1, CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000));
        cluster.run_for(Duration::from_secs(1));
        let topic_id = topic_id(&cluster);
        let connection = cluster.connect(1);
        let mut member = Self { cluster, keeper: 0, leader: 1, topic_id, connection, session_epoch: 0 };
        member.fetch();
        member.cluster.run_for(Duration::from_secs(3));
        member.keeper = member.keeper_by_the_word_of(1);
        member.leader = member.keeper % 3 + 1;
        member.connection = member.cluster.connect(member.leader);
        member.session_epoch = 0;
        member.fetch();
        member.cluster.run_for(Duration::from_secs(3));
        assert_eq!(member.in_flight(), Some((0, 0)), "the group begins at the end");
        member
    }

    fn keeper_by_the_word_of(&self, broker: i32) -> i32 {
        let name = TopicPartition::new(share_state_topic(), 0);
        let broker = self.cluster.broker(broker).expect("it runs");
        broker.image().partitions.get(&name).map_or(-1, |state| state.leader)
    }

    fn partition(&self) -> i32 {
        self.leader - 1
    }

    /// How many records are available and how many in somebody's hands, if the leader serves the partition.
    fn in_flight(&self) -> Option<(usize, usize)> {
        let broker = self.cluster.broker(self.leader).expect("it runs");
        let mut served = broker.share_partitions();
        served.find(|(_, name, _)| name.partition == self.partition()).map(|(_, _, partition)| partition.in_flight())
    }

    /// What the leader answers: an error of the partition, and how many records the member has got.
    fn fetch(&mut self) -> (ErrorCode, i64) {
        let partition =
            FetchPartition::default().with_partition_index(self.partition()).with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic_id(self.topic_id).with_partitions(vec![partition]);
        let request = ShareFetchRequest::default()
            .with_group_id(Some(workers()))
            .with_member_id(Some(text("m")))
            .with_share_session_epoch(self.session_epoch)
            .with_max_bytes(1 << 20)
            .with_max_records(10)
            .with_topics(vec![topic]);
        self.session_epoch += 1;
        let Response::ShareFetch(response) = self.answer(request) else { panic!("another API answers") };
        assert_eq!(response.error_code, 0);
        let Some(data) = response.responses.first().and_then(|topic| topic.partitions.first()) else {
            return (ErrorCode::NONE, 0);
        };
        let acquired = data.acquired_records.iter().map(|run| run.last_offset - run.first_offset + 1).sum();
        (ErrorCode(data.error_code), acquired)
    }

    fn answer(&mut self, request: impl Into<Request>) -> Response {
        let connection = self.connection;
        let sent = self.cluster.send(connection, request);
        let is_answered = |cluster: &Cluster| cluster.answers_to(connection).iter().any(|(id, _)| *id == sent);
        self.cluster.run_until("an answer", is_answered);
        let (_, answer) = self.cluster.answers_to(connection).pop().expect("it is answered");
        answer.clone()
    }

    /// A record is written, and the member gets it.
    fn gets_a_record(&mut self) {
        let mut builder = BatchBuilder::new(Compression::None, 16_384);
        builder.append(Timestamp(1_000), None, Some(b"a"), &[]);
        let batch: Bytes = builder.build().expect("an uncompressed batch");
        let data = PartitionProduceData::default().with_index(self.partition()).with_records(Some(batch));
        let topic = TopicProduceData::default().with_name(TopicName(text("orders"))).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(5_000).with_topic_data(vec![topic]);
        self.cluster.ask(self.leader, request);
        assert_eq!(self.fetch(), (ErrorCode::NONE, 1));
        assert_eq!(self.in_flight(), Some((0, 1)));
    }

    /// It accepts the record; what it is told.
    fn accepts(&mut self) -> ErrorCode {
        let batch = AcknowledgementBatch::default().with_acknowledge_types(vec![1]);
        let partition = AcknowledgePartition::default()
            .with_partition_index(self.partition())
            .with_acknowledgement_batches(vec![batch]);
        let topic = AcknowledgeTopic::default().with_topic_id(self.topic_id).with_partitions(vec![partition]);
        let request = ShareAcknowledgeRequest::default()
            .with_group_id(Some(workers()))
            .with_member_id(Some(text("m")))
            .with_share_session_epoch(self.session_epoch)
            .with_topics(vec![topic]);
        self.session_epoch += 1;
        let Response::ShareAcknowledge(response) = self.answer(request) else { panic!("another API answers") };
        assert_eq!(response.error_code, 0);
        ErrorCode(response.responses[0].partitions[0].error_code)
    }

    fn state_key(&self) -> StateKey {
        StateKey { group: workers(), topic_id: self.topic_id, partition: self.partition() }
    }

    fn leader_epoch(&self) -> LeaderEpoch {
        let served = &self.cluster.broker(self.leader).expect("it runs").shares.served;
        let key = (workers(), TopicPartition::of("orders", self.partition()));
        served[&key].leader_epoch
    }
}

fn topic_id(cluster: &Cluster) -> Uuid {
    cluster.broker(1).expect("it runs").image().topics[&TopicName(text("orders"))].id
}

#[test]
fn what_is_accepted_is_kept_by_the_coordinator() {
    let mut member = Member::new();
    member.gets_a_record();
    assert_eq!(member.accepts(), ErrorCode::NONE);
    assert_eq!(member.in_flight(), Some((0, 0)));
    let read = member.cluster.ask(member.keeper, read_request(&member.state_key(), member.leader_epoch()));
    let done = StateBatch { first: Offset(0), last: Offset(0), state: ShareState::Acknowledged, delivery_count: 1 };
    assert_eq!(answer(read), Ok(Some((Offset(0), vec![done]))));
}

#[test]
fn a_leader_that_is_fenced_by_a_later_one_serves_the_partition_no_more() {
    let mut member = Member::new();
    member.gets_a_record();
    let later = LeaderEpoch(member.leader_epoch().0 + 1);
    let read = member.cluster.ask(member.keeper, read_request(&member.state_key(), later));
    assert_eq!(answer(read), Ok(Some((Offset(-1), vec![]))), "nothing is acknowledged so far");
    assert_eq!(member.accepts(), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(member.in_flight(), None);
    member.fetch();
    member.cluster.run_for(Duration::from_secs(1));
    assert_eq!(member.fetch(), (ErrorCode::NOT_LEADER_OR_FOLLOWER, 0), "nor may it read what there is");
}

#[test]
fn a_leader_of_a_group_in_its_former_life_is_fenced() {
    let mut member = Member::new();
    member.gets_a_record();
    let begin = StateWrite { number: 0, start_offset: Offset(0), batches: Vec::new() };
    let Request::WriteShareGroupState(mut write) = write_request(&member.state_key(), member.leader_epoch(), &begin)
    else {
        panic!("it is a write")
    };
    write.topics[0].partitions[0].state_epoch = 1;
    let written = member.cluster.ask(member.keeper, *write);
    assert_eq!(answer(written), Ok(None));
    assert_eq!(member.accepts(), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(member.in_flight(), None);
}

#[test]
fn without_a_coordinator_the_leader_gives_up_the_fifth_time_and_takes_back_what_it_decided() {
    let mut member = Member::new();
    member.cluster.kill(member.keeper);
    member.cluster.run_for(Duration::from_secs(20));
    assert_eq!(member.keeper_by_the_word_of(member.leader), -1);
    member.gets_a_record();
    let begin = member.cluster.elapsed();
    assert_eq!(member.accepts(), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    let took = member.cluster.elapsed() - begin;
    // 2, 4, 8 and 16 seconds, each up to a fifth more or less.
    assert!((Duration::from_secs(24)..Duration::from_secs(36)).contains(&took), "it took {took:?}");
    assert_eq!(member.in_flight(), Some((0, 1)), "the member has it still");
}

#[test]
fn a_coordinator_that_comes_back_in_time_keeps_it() {
    let mut member = Member::new();
    member.gets_a_record();
    member.cluster.kill(member.keeper);
    member.cluster.run_for(Duration::from_secs(1));
    member.cluster.start(member.keeper);
    assert_eq!(member.accepts(), ErrorCode::NONE);
    assert_eq!(member.in_flight(), Some((0, 0)));
}

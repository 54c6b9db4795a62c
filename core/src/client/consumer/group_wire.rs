//! The requests of a group's member, written and read.
//!
//! Kafka: `JoinGroupRequest`, ..., `ConsumerProtocol` (subscription and assignment: two bytes of version, then the message).

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as HeldTopic;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedTopic;
use kafka_protocol::messages::consumer_protocol_subscription::TopicPartition as OwnedTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ConsumerProtocolAssignment,
    ConsumerProtocolSubscription, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest, OffsetFetchResponse,
    ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse, SyncGroupRequest,
};
use kafka_protocol::protocol::Encodable;

use super::commits::Positions;
use super::coordinator::ConsumerCoordinator;
use crate::config::KafkaVersion;
use crate::protocol::assignors::MemberSubscription;
use crate::protocol::{ErrorCode, Request, consumer_protocol};
use crate::types::{Duration, LeaderEpoch, NodeId, Offset, PartitionsById, StrBytes, TopicName, TopicPartition};

/// How much longer than the rebalance timeout a join waits for its answer (`JOIN_GROUP_TIMEOUT_LAPSE`).
pub(super) const JOIN_LAPSE: Duration = Duration::from_secs(5);
const CONSUMER: &str = "consumer";
const ASSIGNMENT_VERSION: i16 = 0;
const GROUP: i8 = 0;
/// Requests that name several coordinators or groups at once (KIP-699, KIP-709).
const BATCHED: KafkaVersion = KafkaVersion::new(3, 0);

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Partitions by topic.
fn by_topic<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> BTreeMap<TopicName, Vec<i32>> {
    let mut topics: BTreeMap<TopicName, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic.clone()).or_default().push(partition.partition);
    }
    topics
}

pub(super) fn find_coordinator(group: &GroupId, version: KafkaVersion) -> Request {
    let request = FindCoordinatorRequest::default().with_key_type(GROUP);
    if version < BATCHED {
        request.with_key(group.0.clone()).into()
    } else {
        request.with_coordinator_keys(vec![group.0.clone()]).into()
    }
}

pub(super) fn coordinator(response: &FindCoordinatorResponse) -> Result<NodeId, ErrorCode> {
    let (error, node) = match response.coordinators.first() {
        Some(one) => (one.error_code, one.node_id),
        None => (response.error_code, response.node_id),
    };
    if error == 0 { Ok(NodeId::Broker(node.0)) } else { Err(ErrorCode(error)) }
}

pub(super) fn join(me: &ConsumerCoordinator, owned: &[TopicPartition]) -> Request {
    let subscription = subscription_bytes(me, owned);
    let protocols = me.config.partition_assignment_strategy.iter().map(|assignor| {
        JoinGroupRequestProtocol::default().with_name(text(assignor.name())).with_metadata(subscription.clone())
    });
    JoinGroupRequest::default()
        .with_group_id(me.group.clone())
        .with_session_timeout_ms(millis(me.config.session_timeout_ms))
        .with_rebalance_timeout_ms(millis(me.config.max_poll_interval_ms))
        .with_member_id(me.member_id.clone())
        .with_group_instance_id(me.config.group_instance_id.as_deref().map(text))
        .with_protocol_type(text(CONSUMER))
        .with_protocols(protocols.collect())
        .with_reason(None)
        .into()
}

fn subscription_bytes(me: &ConsumerCoordinator, owned: &[TopicPartition]) -> Bytes {
    let owned = by_topic(owned)
        .into_iter()
        .map(|(topic, partitions)| OwnedTopic::default().with_topic(topic).with_partitions(partitions));
    let subscription = ConsumerProtocolSubscription::default()
        .with_topics(me.topics.iter().map(|topic| topic.0.clone()).collect())
        .with_user_data(None)
        .with_owned_partitions(owned.collect())
        .with_generation_id(me.generation)
        .with_rack_id(None);
    let mut bytes = BytesMut::new();
    bytes.put_i16(consumer_protocol::VERSION);
    subscription.encode(&mut bytes, consumer_protocol::VERSION).expect("every field has a place in version 3");
    bytes.freeze()
}

/// Reads a member's subscription; what cannot be read subscribes to nothing.
pub(super) fn subscription(bytes: &Bytes, instance_id: Option<StrBytes>) -> MemberSubscription {
    let read = consumer_protocol::subscription(bytes).unwrap_or_default();
    let owned = read.owned_partitions.into_iter().flat_map(|topic| {
        let name = topic.topic;
        topic.partitions.into_iter().map(move |index| TopicPartition::new(name.clone(), index))
    });
    MemberSubscription {
        instance_id,
        topics: read.topics.into_iter().map(TopicName).collect(),
        owned: owned.collect(),
        generation: read.generation_id,
    }
}

pub(super) fn sync(me: &ConsumerCoordinator, assignments: &BTreeMap<StrBytes, BTreeSet<TopicPartition>>) -> Request {
    let assignments = assignments.iter().map(|(member, partitions)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(member.clone())
            .with_assignment(assignment_bytes(partitions))
    });
    SyncGroupRequest::default()
        .with_group_id(me.group.clone())
        .with_generation_id(me.generation)
        .with_member_id(me.member_id.clone())
        .with_group_instance_id(me.config.group_instance_id.as_deref().map(text))
        .with_protocol_type(Some(text(CONSUMER)))
        .with_protocol_name(me.assignor.map(|assignor| text(assignor.name())))
        .with_assignments(assignments.collect())
        .into()
}

pub(super) fn assignment_bytes(partitions: &BTreeSet<TopicPartition>) -> Bytes {
    let topics = by_topic(partitions)
        .into_iter()
        .map(|(topic, partitions)| AssignedTopic::default().with_topic(topic).with_partitions(partitions));
    let assignment =
        ConsumerProtocolAssignment::default().with_assigned_partitions(topics.collect()).with_user_data(None);
    let mut bytes = BytesMut::new();
    bytes.put_i16(ASSIGNMENT_VERSION);
    assignment.encode(&mut bytes, ASSIGNMENT_VERSION).expect("every field has a place in version 0");
    bytes.freeze()
}

pub(super) fn heartbeat(me: &ConsumerCoordinator) -> Request {
    HeartbeatRequest::default()
        .with_group_id(me.group.clone())
        .with_generation_id(me.generation)
        .with_member_id(me.member_id.clone())
        .with_group_instance_id(me.config.group_instance_id.as_deref().map(text))
        .into()
}

pub(super) fn leave(me: &ConsumerCoordinator) -> Request {
    let member = MemberIdentity::default()
        .with_member_id(me.member_id.clone())
        .with_group_instance_id(me.config.group_instance_id.as_deref().map(text))
        .with_reason(None);
    LeaveGroupRequest::default().with_group_id(me.group.clone()).with_members(vec![member]).into()
}

/// The heartbeat of the consumer protocol: what has not been said yet, or everything.
pub(super) fn consumer_heartbeat(me: &ConsumerCoordinator, everything: bool) -> Request {
    if me.is_share() {
        return share_heartbeat(me, everything);
    }
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(me.group.clone())
        .with_member_id(me.member_id.clone())
        .with_instance_id(me.config.group_instance_id.as_deref().map(text));
    let Some(modern) = &me.modern else { return request.into() };
    let says_self = everything || !modern.said.everything;
    let topics: Option<Vec<TopicName>> =
        (everything || modern.said.topics.as_ref() != Some(&me.topics)).then(|| me.topics.iter().cloned().collect());
    let owned = (everything || modern.said.assignment.as_ref() != Some(&modern.current)).then(|| {
        let topic = |(id, indexes): (&uuid::Uuid, &BTreeSet<i32>)| {
            HeldTopic::default().with_topic_id(*id).with_partitions(indexes.iter().copied().collect())
        };
        modern.current.partitions.iter().map(topic).collect()
    });
    request
        .with_member_epoch(modern.epoch)
        .with_rebalance_timeout_ms(if says_self { millis(me.config.max_poll_interval_ms) } else { -1 })
        .with_server_assignor(me.config.group_remote_assignor.as_deref().filter(|_| says_self).map(text))
        .with_subscribed_topic_names(topics)
        .with_topic_partitions(owned)
        .into()
}

/// That of a share group.
fn share_heartbeat(me: &ConsumerCoordinator, everything: bool) -> Request {
    let request = ShareGroupHeartbeatRequest::default()
        .with_group_id(me.group.clone())
        .with_member_id(me.member_id.clone())
        .with_subscribed_topic_names(None);
    let Some(modern) = &me.modern else { return request.into() };
    let is_news = everything || modern.said.topics.as_ref() != Some(&me.topics);
    let topics = is_news.then(|| me.topics.iter().cloned().collect());
    request.with_member_epoch(modern.epoch).with_subscribed_topic_names(topics).into()
}

/// The answer to it, as if it were one to a ConsumerGroupHeartbeat.
pub(super) fn of_share_group(response: ShareGroupHeartbeatResponse) -> ConsumerGroupHeartbeatResponse {
    let assignment = response.assignment.map(|assignment| {
        let topics = assignment
            .topic_partitions
            .into_iter()
            .map(|topic| TopicPartitions::default().with_topic_id(topic.topic_id).with_partitions(topic.partitions));
        Assignment::default().with_topic_partitions(topics.collect())
    });
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(response.error_code)
        .with_member_id(response.member_id)
        .with_member_epoch(response.member_epoch)
        .with_heartbeat_interval_ms(response.heartbeat_interval_ms)
        .with_assignment(assignment)
}

/// The last heartbeat.
pub(super) fn consumer_leave(me: &ConsumerCoordinator, epoch: i32) -> Request {
    if me.is_share() {
        return ShareGroupHeartbeatRequest::default()
            .with_group_id(me.group.clone())
            .with_member_id(me.member_id.clone())
            .with_member_epoch(epoch)
            .with_subscribed_topic_names(None)
            .into();
    }
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(me.group.clone())
        .with_member_id(me.member_id.clone())
        .with_instance_id(me.config.group_instance_id.as_deref().map(text))
        .with_member_epoch(epoch)
        .with_subscribed_topic_names(None)
        .with_topic_partitions(None)
        .into()
}

/// What a coordinator lets a member use.
pub(super) fn assigned(assignment: Assignment) -> PartitionsById {
    let topics = assignment.topic_partitions.into_iter();
    topics.map(|topic| (topic.topic_id, topic.partitions.into_iter().collect())).collect()
}

pub(super) fn commit(me: &ConsumerCoordinator, offsets: &Positions) -> Request {
    let mut topics: BTreeMap<TopicName, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for (partition, (offset, epoch)) in offsets {
        topics.entry(partition.topic.clone()).or_default().push(
            OffsetCommitRequestPartition::default()
                .with_partition_index(partition.partition)
                .with_committed_offset(offset.0)
                .with_committed_leader_epoch(epoch.0)
                .with_committed_metadata(Some(StrBytes::default())),
        );
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| OffsetCommitRequestTopic::default().with_name(name).with_partitions(partitions));
    OffsetCommitRequest::default()
        .with_group_id(me.group.clone())
        .with_generation_id_or_member_epoch(me.generation)
        .with_member_id(if me.modern.is_some() && me.generation < 0 {
            StrBytes::default()
        } else {
            me.member_id.clone()
        })
        .with_group_instance_id(me.config.group_instance_id.as_deref().map(text))
        .with_topics(topics.collect())
        .into()
}

pub(super) fn fetch_offsets(me: &ConsumerCoordinator, wanted: &[TopicPartition]) -> Request {
    let topics = by_topic(wanted)
        .into_iter()
        .map(|(name, indexes)| OffsetFetchRequestTopics::default().with_name(name).with_partition_indexes(indexes));
    let names_itself = me.modern.is_some() && me.generation >= 0;
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(me.group.clone())
        .with_member_id(names_itself.then(|| me.member_id.clone()))
        .with_member_epoch(if names_itself { me.generation } else { -1 })
        .with_topics(Some(topics.collect()));
    OffsetFetchRequest::default().with_topics(None).with_groups(vec![group]).into()
}

/// What a group had committed, per partition; -1 is nothing.
pub(super) fn offsets(
    response: &OffsetFetchResponse,
) -> Result<BTreeMap<TopicPartition, (Offset, LeaderEpoch)>, ErrorCode> {
    let Some(group) = response.groups.first() else { return Err(ErrorCode(response.error_code)) };
    if group.error_code != 0 {
        return Err(ErrorCode(group.error_code));
    }
    let mut found = BTreeMap::new();
    for topic in &group.topics {
        for one in &topic.partitions {
            if one.error_code != 0 {
                return Err(ErrorCode(one.error_code));
            }
            let partition = TopicPartition::new(topic.name.clone(), one.partition_index);
            found.insert(partition, (Offset(one.committed_offset), LeaderEpoch(one.committed_leader_epoch)));
        }
    }
    Ok(found)
}

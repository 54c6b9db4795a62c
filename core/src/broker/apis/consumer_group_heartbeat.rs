//! Key 68, ConsumerGroupHeartbeat: being a member of a group whose coordinator decides who reads what.
//!
//! Kafka: `KafkaApis.handleConsumerGroupHeartbeatRequest`. Versions 0 and 1; KIP-848, KIP-1082 (the member names itself).
//! A broker that does not have the protocol (`group.coordinator.rebalance.protocols`) answers UNSUPPORTED_VERSION; one that
//! has never heard of it, where Kafka's client would not even ask, as well.
//! Not modelled: subscriptions by regular expression, racks.

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions as Assigned};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::super::broker::Broker;
use super::super::groups::{Asked, client_host_of};
use super::super::socket_server::ReplyTo;
use crate::coordinator::group::consumer::{ModernProtocol, Partitions};
use crate::coordinator::group::{HeartbeatRequest, HeartbeatResult};
use crate::machine::Context;
use crate::protocol::ErrorCode;

impl Broker {
    pub(in super::super) fn handle_consumer_group_heartbeat(
        &mut self,
        reply_to: ReplyTo,
        request: ConsumerGroupHeartbeatRequest,
        ctx: &mut Context<'_>,
    ) {
        if !self.config.groups.consumer_protocol {
            let refused = HeartbeatResult::failed(request.member_id, ErrorCode::UNSUPPORTED_VERSION);
            return self.finish_consumer_group_heartbeat(reply_to, refused, ctx);
        }
        let request = HeartbeatRequest {
            protocol: ModernProtocol::Consumer,
            client_id: self.client_id_of(&request.group_id, reply_to.from),
            client_host: client_host_of(reply_to.from),
            group: request.group_id,
            member_id: request.member_id,
            epoch: request.member_epoch,
            instance_id: request.instance_id,
            rebalance_timeout_ms: (request.rebalance_timeout_ms != -1).then_some(request.rebalance_timeout_ms),
            topics: request.subscribed_topic_names,
            assignor: request.server_assignor,
            owned: request.topic_partitions.map(partitions),
        };
        let token = self.groups.ask(Asked::Heartbeat(reply_to));
        let topics = &self.metadata.image().topics;
        self.groups.coordinator.consumer_heartbeat(token, request, topics, ctx);
    }

    pub(in super::super) fn finish_consumer_group_heartbeat(
        &mut self,
        to: ReplyTo,
        result: HeartbeatResult,
        ctx: &mut Context<'_>,
    ) {
        let response = ConsumerGroupHeartbeatResponse::default()
            .with_error_code(result.error.0)
            .with_member_id(Some(result.member_id))
            .with_member_epoch(result.epoch)
            .with_heartbeat_interval_ms(i32::try_from(result.interval.as_millis()).unwrap_or(i32::MAX))
            .with_assignment(result.assignment.map(assignment));
        self.reply(to, response, ctx);
    }
}

fn partitions(topics: Vec<Owned>) -> Partitions {
    topics.into_iter().map(|topic| (topic.topic_id, topic.partitions.into_iter().collect())).collect()
}

fn assignment(partitions: Partitions) -> Assignment {
    let topic = |(id, indexes): (_, std::collections::BTreeSet<i32>)| {
        Assigned::default().with_topic_id(id).with_partitions(indexes.into_iter().collect())
    };
    Assignment::default().with_topic_partitions(partitions.into_iter().map(topic).collect())
}

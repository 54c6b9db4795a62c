//! Key 76, ShareGroupHeartbeat: being a member of a group whose members share partitions.
//!
//! Kafka: `KafkaApis.handleShareGroupHeartbeat`. Version 1; KIP-932. A broker without share groups answers UNSUPPORTED_VERSION.
//! Not modelled: racks.

use kafka_protocol::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};

use super::super::broker::Broker;
use super::super::groups::{Asked, client_host_of};
use super::super::socket_server::ReplyTo;
use crate::coordinator::group::consumer::{ModernProtocol, Partitions};
use crate::coordinator::group::{HeartbeatRequest, HeartbeatResult};
use crate::machine::Context;
use crate::protocol::ErrorCode;

impl Broker {
    pub(in super::super) fn handle_share_group_heartbeat(
        &mut self,
        reply_to: ReplyTo,
        request: ShareGroupHeartbeatRequest,
        ctx: &mut Context<'_>,
    ) {
        if !self.config.groups.share.enabled {
            let refused = HeartbeatResult::failed(request.member_id, ErrorCode::UNSUPPORTED_VERSION);
            return self.finish_share_group_heartbeat(reply_to, refused, ctx);
        }
        let request = HeartbeatRequest {
            protocol: ModernProtocol::Share,
            client_id: self.client_id_of(&request.group_id, reply_to.from),
            client_host: client_host_of(reply_to.from),
            group: request.group_id,
            member_id: request.member_id,
            epoch: request.member_epoch,
            instance_id: None,
            rebalance_timeout_ms: None,
            topics: request.subscribed_topic_names,
            assignor: None,
            owned: None,
        };
        let token = self.groups.ask(Asked::ShareHeartbeat(reply_to));
        let topics = &self.metadata.image().topics;
        self.groups.coordinator.consumer_heartbeat(token, request, topics, ctx);
    }

    pub(in super::super) fn finish_share_group_heartbeat(
        &mut self,
        to: ReplyTo,
        result: HeartbeatResult,
        ctx: &mut Context<'_>,
    ) {
        let response = ShareGroupHeartbeatResponse::default()
            .with_error_code(result.error.0)
            .with_member_id(Some(result.member_id))
            .with_member_epoch(result.epoch)
            .with_heartbeat_interval_ms(i32::try_from(result.interval.as_millis()).unwrap_or(i32::MAX))
            .with_assignment(result.assignment.map(assignment));
        self.reply(to, response, ctx);
    }
}

fn assignment(partitions: Partitions) -> Assignment {
    let topic = |(id, indexes): (_, std::collections::BTreeSet<i32>)| {
        TopicPartitions::default().with_topic_id(id).with_partitions(indexes.into_iter().collect())
    };
    Assignment::default().with_topic_partitions(partitions.into_iter().map(topic).collect())
}

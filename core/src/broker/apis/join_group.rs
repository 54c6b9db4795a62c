//! Key 11, JoinGroup: becoming a member of a group.
//!
//! Kafka: `KafkaApis.handleJoinGroupRequest`. Versions 4 to 9; KIP-345 (instance ids), KIP-394 (a member comes back with the
//! id it was given), KIP-814 (a static leader need not assign again).

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::super::broker::Broker;
use super::super::groups::{Asked, client_host_of};
use super::super::socket_server::ReplyTo;
use crate::coordinator::group::{JoinRequest, JoinResult};
use crate::machine::Context;
use crate::types::Duration;

impl Broker {
    pub(in super::super) fn handle_join_group(
        &mut self,
        reply_to: ReplyTo,
        request: JoinGroupRequest,
        ctx: &mut Context<'_>,
    ) {
        let request = JoinRequest {
            client_id: self.client_id_of(&request.group_id, reply_to.from),
            client_host: client_host_of(reply_to.from),
            group: request.group_id,
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            require_known_member_id: true,
            rebalance_timeout: Duration::from_request_millis(request.rebalance_timeout_ms),
            session_timeout: Duration::from_request_millis(request.session_timeout_ms),
            protocol_type: request.protocol_type,
            protocols: request.protocols.into_iter().map(|protocol| (protocol.name, protocol.metadata)).collect(),
        };
        let token = self.groups.ask(Asked::Join(reply_to));
        self.groups.coordinator.join(token, &request, ctx);
    }

    pub(in super::super) fn finish_join_group(&mut self, to: ReplyTo, result: JoinResult, ctx: &mut Context<'_>) {
        let member = |(id, instance, metadata)| {
            JoinGroupResponseMember::default()
                .with_member_id(id)
                .with_group_instance_id(instance)
                .with_metadata(metadata)
        };
        let response = JoinGroupResponse::default()
            .with_error_code(result.error.0)
            .with_generation_id(result.generation)
            .with_protocol_type(result.protocol_type)
            .with_protocol_name(result.protocol)
            .with_leader(result.leader)
            .with_skip_assignment(result.skip_assignment)
            .with_member_id(result.member_id)
            .with_members(result.members.into_iter().map(member).collect());
        self.reply(to, response, ctx);
    }
}

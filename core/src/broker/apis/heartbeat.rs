//! Key 12, Heartbeat: staying a member of a group, and hearing of a rebalance.
//!
//! Kafka: `KafkaApis.handleHeartbeatRequest`. Versions 2 to 4.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::super::broker::Broker;
use super::super::socket_server::ReplyTo;
use crate::coordinator::group::MemberIdentity;
use crate::machine::Context;

impl Broker {
    pub(in super::super) fn handle_heartbeat(
        &mut self,
        reply_to: ReplyTo,
        request: HeartbeatRequest,
        ctx: &mut Context<'_>,
    ) {
        let member = MemberIdentity {
            group: request.group_id,
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id,
        };
        let error = self.groups.coordinator.heartbeat(&member, ctx);
        self.reply(reply_to, HeartbeatResponse::default().with_error_code(error.0), ctx);
    }
}

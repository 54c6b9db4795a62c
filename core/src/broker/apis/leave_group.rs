//! Key 13, LeaveGroup: being no member any more.
//!
//! Kafka: `KafkaApis.handleLeaveGroupRequest`. Versions 2 to 5; KIP-345 (several members at once, static ones by instance).

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::super::broker::Broker;
use super::super::socket_server::ReplyTo;
use crate::coordinator::group::MemberIdentity;
use crate::machine::Context;

impl Broker {
    pub(in super::super) fn handle_leave_group(
        &mut self,
        reply_to: ReplyTo,
        request: LeaveGroupRequest,
        ctx: &mut Context<'_>,
    ) {
        let identity = |member_id, instance_id| MemberIdentity {
            group: request.group_id.clone(),
            member_id,
            instance_id,
            generation: -1,
        };
        let mut response = LeaveGroupResponse::default();
        if request.members.is_empty() {
            let error = self.groups.coordinator.leave(&identity(request.member_id.clone(), None), ctx);
            response.error_code = error.0;
        }
        for member in &request.members {
            let member = identity(member.member_id.clone(), member.group_instance_id.clone());
            let error = self.groups.coordinator.leave(&member, ctx);
            response.members.push(
                MemberResponse::default()
                    .with_member_id(member.member_id)
                    .with_group_instance_id(member.instance_id)
                    .with_error_code(error.0),
            );
        }
        self.reply(reply_to, response, ctx);
    }
}

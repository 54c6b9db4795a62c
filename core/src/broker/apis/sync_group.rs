//! Key 14, SyncGroup: getting an assignment; the leader brings everybody's.
//!
//! Kafka: `KafkaApis.handleSyncGroupRequest`. Versions 2 to 5; KIP-345, KIP-559 (the protocol is checked).

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::super::broker::Broker;
use super::super::groups::Asked;
use super::super::socket_server::ReplyTo;
use crate::coordinator::group::{MemberIdentity, SyncRequest, SyncResult};
use crate::machine::Context;

impl Broker {
    pub(in super::super) fn handle_sync_group(
        &mut self,
        reply_to: ReplyTo,
        request: SyncGroupRequest,
        ctx: &mut Context<'_>,
    ) {
        let member = MemberIdentity {
            group: request.group_id,
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id,
        };
        let assignments = request.assignments.into_iter().map(|one| (one.member_id, one.assignment)).collect();
        let (protocol_type, protocol) = (request.protocol_type, request.protocol_name);
        let request = SyncRequest { member, protocol_type, protocol, assignments };
        let token = self.groups.ask(Asked::Sync(reply_to));
        self.groups.coordinator.sync(token, request, ctx);
    }

    pub(in super::super) fn finish_sync_group(&mut self, to: ReplyTo, result: SyncResult, ctx: &mut Context<'_>) {
        let response = SyncGroupResponse::default()
            .with_error_code(result.error.0)
            .with_protocol_type(result.protocol_type)
            .with_protocol_name(result.protocol)
            .with_assignment(result.assignment);
        self.reply(to, response, ctx);
    }
}

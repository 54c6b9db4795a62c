//! Key 10, FindCoordinator: which broker coordinates a group.
//!
//! Kafka: `KafkaApis.handleFindCoordinatorRequest`. Versions 0 to 5; KIP-699 (several keys at once).
//! Whoever leads the group's partition of `__consumer_offsets` coordinates it. Where the topic does not exist yet, asking
//! creates it; until it is there, the answer is COORDINATOR_NOT_AVAILABLE.
//! Not modelled: transaction coordinators (key type 1).

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse, GroupId};

use super::super::broker::Broker;
use super::super::socket_server::ReplyTo;
use super::super::{PORT, host_of};
use crate::coordinator::group::{GROUP_METADATA_TOPIC, partition_for};
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{BrokerId, StrBytes, TopicPartition};

const GROUP: i8 = 0;

impl Broker {
    pub(in super::super) fn handle_find_coordinator(
        &mut self,
        reply_to: ReplyTo,
        request: FindCoordinatorRequest,
        ctx: &mut Context<'_>,
    ) {
        let is_old = request.coordinator_keys.is_empty();
        let keys = if is_old { vec![request.key] } else { request.coordinator_keys };
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let result = if request.key_type == GROUP {
                self.coordinator_of(&GroupId(key.clone()), ctx)
            } else {
                Err(ErrorCode::INVALID_REQUEST)
            };
            found.push(entry(key, result));
        }
        let mut response = FindCoordinatorResponse::default();
        if is_old {
            for one in found {
                response = response
                    .with_error_code(one.error_code)
                    .with_node_id(one.node_id)
                    .with_host(one.host)
                    .with_port(one.port);
            }
        } else {
            response.coordinators = found;
        }
        self.reply(reply_to, response, ctx);
    }

    fn coordinator_of(&mut self, group: &GroupId, ctx: &mut Context<'_>) -> Result<i32, ErrorCode> {
        let name = TopicPartition::of(GROUP_METADATA_TOPIC, 0).topic;
        let Some(topic) = self.image().topics.get(&name) else {
            self.create_group_metadata_topic(name, ctx);
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        };
        let partition = TopicPartition::new(name, partition_for(group, topic.partitions));
        let leader = self.image().partitions.get(&partition).map_or(-1, |state| state.leader);
        let is_alive = self.image().brokers.get(&leader).is_some_and(|registration| !registration.fenced);
        if is_alive { Ok(leader) } else { Err(ErrorCode::COORDINATOR_NOT_AVAILABLE) }
    }
}

fn entry(key: StrBytes, result: Result<i32, ErrorCode>) -> Coordinator {
    let (error, node) = match result {
        Ok(node) => (ErrorCode::NONE, node),
        Err(error) => (error, -1),
    };
    let (host, port) = if node < 0 { (StrBytes::default(), -1) } else { (host_of(node), PORT) };
    Coordinator::default()
        .with_key(key)
        .with_error_code(error.0)
        .with_error_message(None)
        .with_node_id(BrokerId(node))
        .with_host(host)
        .with_port(port)
}

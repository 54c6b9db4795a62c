//! Key 2, ListOffsets: offsets by timestamp, earliest or latest.
//!
//! Kafka: `KafkaApis.handleListOffsetRequestV1AndAbove`. Versions 1 to 9; KIP-79, KIP-207 (OFFSET_NOT_AVAILABLE, 2.2),
//! KIP-734 (max timestamp).
//! Not modelled: version 0, tiered storage.

use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::super::broker::Broker;
use super::super::socket_server::ReplyTo;
use super::epoch;
use crate::config::KafkaVersion;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::replication::{IsolationLevel, ListOffsetsQuery, ListedOffset};
use crate::types::{LeaderEpoch, Offset, Timestamp, TopicPartition};

/// A `replica_id` of a consumer.
const CONSUMER: i32 = -1;

impl Broker {
    pub(in super::super) fn handle_list_offsets(
        &mut self,
        reply_to: ReplyTo,
        request: ListOffsetsRequest,
        ctx: &mut Context<'_>,
    ) {
        let isolation = (request.replica_id.0 == CONSUMER).then_some(match request.isolation_level {
            1 => IsolationLevel::ReadCommitted,
            _ => IsolationLevel::ReadUncommitted,
        });
        let mut response = ListOffsetsResponse::default();
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in topic.partitions {
                let partition = TopicPartition::new(topic.name.clone(), asked.partition_index);
                let query = ListOffsetsQuery {
                    timestamp: asked.timestamp,
                    isolation,
                    current_leader_epoch: epoch(asked.current_leader_epoch),
                };
                let result = self.replicas.list_offsets(&partition, query, ctx);
                partitions.push(self.listed(asked.partition_index, result));
            }
            let entry = ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions);
            response.topics.push(entry);
        }
        self.reply(reply_to, response, ctx);
    }

    fn listed(&self, index: i32, result: Result<Option<ListedOffset>, ErrorCode>) -> ListOffsetsPartitionResponse {
        let none = ListedOffset { timestamp: Timestamp::NONE, offset: Offset::NONE, leader_epoch: LeaderEpoch::NONE };
        let (error, found) = match result {
            Ok(found) => (ErrorCode::NONE, found.unwrap_or(none)),
            // Clients know the better error since version 5.
            Err(ErrorCode::OFFSET_NOT_AVAILABLE) if self.config.version < KafkaVersion::new(2, 2) => {
                (ErrorCode::LEADER_NOT_AVAILABLE, none)
            }
            Err(error) => (error, none),
        };
        ListOffsetsPartitionResponse::default()
            .with_partition_index(index)
            .with_error_code(error.0)
            .with_timestamp(found.timestamp.0)
            .with_offset(found.offset.0)
            .with_leader_epoch(found.leader_epoch.0)
    }
}

//! Key 23, OffsetForLeaderEpoch: where a leader epoch ends.
//!
//! Kafka: `KafkaApis.handleOffsetForLeaderEpochRequest`, `ReplicaManager.lastOffsetForLeaderEpoch`. Versions 2 to 4;
//! KIP-101, KIP-279, KIP-320.

use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::super::broker::Broker;
use super::super::socket_server::ReplyTo;
use super::epoch;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{LeaderEpoch, Offset, TopicPartition};

impl Broker {
    pub(in super::super) fn handle_offset_for_leader_epoch(
        &mut self,
        reply_to: ReplyTo,
        request: OffsetForLeaderEpochRequest,
        ctx: &mut Context<'_>,
    ) {
        let mut response = OffsetForLeaderEpochResponse::default();
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in topic.partitions {
                let partition = TopicPartition::new(topic.topic.clone(), asked.partition);
                let result = self.replicas.offset_for_leader_epoch(
                    &partition,
                    epoch(asked.current_leader_epoch),
                    LeaderEpoch(asked.leader_epoch),
                );
                let (error, found) = match result {
                    Ok(found) => (ErrorCode::NONE, found),
                    Err(error) => (error, None),
                };
                let (epoch, end) = found.unwrap_or((LeaderEpoch::NONE, Offset::NONE));
                let entry = EpochEndOffset::default()
                    .with_partition(asked.partition)
                    .with_error_code(error.0)
                    .with_leader_epoch(epoch.0)
                    .with_end_offset(end.0);
                partitions.push(entry);
            }
            let entry = OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions);
            response.topics.push(entry);
        }
        self.reply(reply_to, response, ctx);
    }
}

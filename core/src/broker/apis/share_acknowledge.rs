//! Key 79, ShareAcknowledge: what a member of a share group has done with records.
//!
//! Kafka: `KafkaApis.handleShareAcknowledgeRequest`. Version 1; KIP-932.

use kafka_protocol::messages::share_acknowledge_request::AcknowledgementBatch;
use kafka_protocol::messages::share_acknowledge_response::{PartitionData, ShareAcknowledgeTopicResponse};
use kafka_protocol::messages::{ShareAcknowledgeRequest, ShareAcknowledgeResponse};
use uuid::Uuid;

use super::super::broker::Broker;
use super::super::shares::ShareRequest;
use super::super::socket_server::ReplyTo;
use super::share_fetch::acknowledgement;
use super::topic_entry;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::share::Acknowledgement;
use crate::share::share_session::FINAL_EPOCH;
use crate::types::TopicPartition;

impl Broker {
    pub(in super::super) fn handle_share_acknowledge(
        &mut self,
        reply_to: ReplyTo,
        request: ShareAcknowledgeRequest,
        ctx: &mut Context<'_>,
    ) {
        let refuse = |error: ErrorCode| ShareAcknowledgeResponse::default().with_error_code(error.0);
        if !self.config.groups.share.enabled {
            return self.reply(reply_to, refuse(ErrorCode::UNSUPPORTED_VERSION), ctx);
        }
        let (Some(group), Some(member)) = (request.group_id, request.member_id) else {
            return self.reply(reply_to, refuse(ErrorCode::INVALID_REQUEST), ctx);
        };
        let (key, epoch) = ((group, member), request.share_session_epoch);
        if let Err(error) = self.shares.sessions.acknowledge(&key, epoch) {
            return self.reply(reply_to, refuse(error), ctx);
        }
        let (mut said, mut unknown) = (Vec::new(), Vec::new());
        for topic in &request.topics {
            let Some(name) = self.topic_name(topic.topic_id) else {
                unknown.extend(topic.partitions.iter().map(|asked| (topic.topic_id, asked.partition_index)));
                continue;
            };
            for asked in &topic.partitions {
                let partition = TopicPartition::new(name.clone(), asked.partition_index);
                said.push((partition, asked.acknowledgement_batches.iter().map(read).collect()));
            }
        }
        let request = ShareRequest {
            reply_to,
            key,
            fetches: false,
            closes: epoch == FINAL_EPOCH,
            acknowledged: said.iter().map(|(partition, _)| (partition.clone(), None)).collect(),
            waiting: None,
            fetched: Vec::new(),
            unknown,
        };
        self.begin_share_request(request, said, ctx);
    }

    pub(in super::super) fn finish_share_acknowledge(&mut self, request: ShareRequest, ctx: &mut Context<'_>) {
        let mut response = ShareAcknowledgeResponse::default();
        for (name, error) in request.acknowledged {
            let topic_id = self.image().topics.get(&name.topic).map_or(Uuid::nil(), |topic| topic.id);
            add(&mut response, topic_id, name.partition, error.unwrap_or(ErrorCode::NONE));
        }
        for (topic_id, index) in request.unknown {
            add(&mut response, topic_id, index, ErrorCode::UNKNOWN_TOPIC_ID);
        }
        self.reply(request.reply_to, response, ctx);
    }
}

fn add(response: &mut ShareAcknowledgeResponse, topic_id: Uuid, index: i32, error: ErrorCode) {
    let new = || ShareAcknowledgeTopicResponse::default().with_topic_id(topic_id);
    let topic = topic_entry(&mut response.responses, |topic| topic.topic_id == topic_id, new);
    topic.partitions.push(PartitionData::default().with_partition_index(index).with_error_code(error.0));
}

fn read(batch: &AcknowledgementBatch) -> Result<Acknowledgement, ErrorCode> {
    acknowledgement(batch.first_offset, batch.last_offset, &batch.acknowledge_types)
}

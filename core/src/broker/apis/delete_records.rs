//! Key 21, DeleteRecords: forget the records below an offset.
//!
//! Kafka: `KafkaApis.handleDeleteRecordsRequest`. Versions 0 to 2; KIP-107.
//! Not modelled: authorization.

use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::super::broker::{Broker, Pending};
use super::super::socket_server::ReplyTo;
use super::topic_entry;
use crate::machine::Context;
use crate::replication::{self, DeletedRecords};
use crate::types::{Duration, Offset, TopicPartition};

impl Broker {
    pub(in super::super) fn handle_delete_records(
        &mut self,
        reply_to: ReplyTo,
        request: DeleteRecordsRequest,
        ctx: &mut Context<'_>,
    ) {
        let entries = request.topics.into_iter().flat_map(|topic| {
            let name = topic.name;
            let partitions = topic.partitions.into_iter();
            partitions
                .map(move |asked| (TopicPartition::new(name.clone(), asked.partition_index), Offset(asked.offset)))
        });
        let entries = entries.collect();
        let timeout = Duration::from_request_millis(request.timeout_ms);
        let token = self.wait_for(Pending::DeleteRecords(reply_to));
        self.replicas.delete_records(replication::DeleteRecordsRequest { token, timeout, entries }, ctx);
    }

    pub(in super::super) fn finish_delete_records(
        &mut self,
        reply_to: ReplyTo,
        results: Vec<(TopicPartition, DeletedRecords)>,
        ctx: &mut Context<'_>,
    ) {
        let mut topics: Vec<DeleteRecordsTopicResult> = Vec::new();
        for (partition, result) in results {
            let topic = topic_entry(
                &mut topics,
                |topic| topic.name == partition.topic,
                || DeleteRecordsTopicResult::default().with_name(partition.topic.clone()),
            );
            topic.partitions.push(
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(partition.partition)
                    .with_low_watermark(result.low_watermark.0)
                    .with_error_code(result.error.0),
            );
        }
        self.reply(reply_to, DeleteRecordsResponse::default().with_topics(topics), ctx);
    }
}

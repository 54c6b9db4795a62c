//! Key 0, Produce: append record batches.
//!
//! Kafka: `KafkaApis.handleProduceRequest`, `ProduceRequest.validateRecords`. Versions 3 to 12; KIP-98 (format v2),
//! KIP-951 (leader hints, 3.7).
//! Not modelled: message formats 0 and 1, transactions, authorization, topic ids (version 13).

use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::ProduceResponse;
use kafka_protocol::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};

use super::super::broker::{Broker, Pending};
use super::super::client_quotas::QuotaType;
use super::super::socket_server::ReplyTo;
use super::super::{PORT, host_of};
use super::{leader_hint, topic_entry};
use crate::config::KafkaVersion;
use crate::fact::Fact;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::replication::{AppendRequest, ProduceResult};
use crate::types::{BrokerId, Duration, Offset, TopicPartition};

/// A produce request that waits for its replicas.
#[derive(Clone, Debug)]
pub(in super::super) struct PendingProduce {
    pub reply_to: ReplyTo,
    acks: i16,
    /// How much was sent, as far as limits count it.
    bytes: u64,
    /// Partitions that were refused before the append.
    refused: Vec<(TopicPartition, ErrorCode)>,
}

impl Broker {
    pub(in super::super) fn handle_produce(
        &mut self,
        reply_to: ReplyTo,
        request: ProduceRequest,
        ctx: &mut Context<'_>,
    ) {
        let acks = request.acks;
        let sent = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
        let bytes = sent.map(|data| data.records.as_ref().map_or(0, |records| records.len() as u64)).sum();
        let acks_valid = (-1..=1).contains(&acks);
        let mut entries = Vec::with_capacity(request.topic_data.len());
        let mut refused = Vec::new();
        for topic in request.topic_data {
            for data in topic.partition_data {
                let partition = TopicPartition::new(topic.name.clone(), data.index);
                let records = data.records.unwrap_or_default();
                if !self.image().partitions.contains_key(&partition) {
                    refused.push((partition, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
                } else if !is_one_batch(&records) {
                    refused.push((partition, ErrorCode::INVALID_RECORD));
                } else if !acks_valid {
                    refused.push((partition, ErrorCode::INVALID_REQUIRED_ACKS));
                } else {
                    entries.push((partition, records));
                }
            }
        }
        for (partition, error) in &refused {
            let partition = partition.clone();
            let base_offset = Offset::NONE;
            ctx.fact(Fact::ProduceAnswered { partition, to: reply_to.from, base_offset, acks, error: *error });
        }
        let pending = PendingProduce { reply_to, acks, bytes, refused };
        if entries.is_empty() {
            return self.finish_produce(pending, Vec::new(), ctx);
        }
        let token = self.wait_for(Pending::Produce(pending));
        let timeout = Duration::from_request_millis(request.timeout_ms);
        self.replicas.append_records(AppendRequest { token, from: reply_to.from, acks, timeout, entries }, ctx);
    }

    pub(in super::super) fn finish_produce(
        &mut self,
        pending: PendingProduce,
        results: Vec<(TopicPartition, ProduceResult)>,
        ctx: &mut Context<'_>,
    ) {
        let PendingProduce { reply_to, acks, bytes, refused } = pending;
        let throttle_time_ms = self.throttle(reply_to, QuotaType::Produce, bytes, ctx);
        if acks == 0 {
            // There is no response in which to say so: the producer learns from the closed connection.
            return if refused.is_empty() && results.iter().all(|(_, result)| result.error.is_none()) {
                self.no_reply(reply_to);
            } else {
                self.close_connection(reply_to.connection, ctx);
            };
        }
        let mut response = ProduceResponse::default().with_throttle_time_ms(throttle_time_ms);
        let refused = refused.into_iter().map(|(partition, error)| (partition, ProduceResult::failed(error)));
        for (partition, result) in results.into_iter().chain(refused) {
            let mut entry = PartitionProduceResponse::default()
                .with_index(partition.partition)
                .with_error_code(result.error.0)
                .with_base_offset(result.base_offset.0)
                .with_log_append_time_ms(result.log_append_time.0)
                .with_log_start_offset(result.log_start_offset.0);
            if result.error == ErrorCode::NOT_LEADER_OR_FOLLOWER {
                self.hint_produce(&partition, &mut entry, &mut response.node_endpoints);
            }
            let new = || TopicProduceResponse::default().with_name(partition.topic.clone());
            let topic = topic_entry(&mut response.responses, |topic| topic.name == partition.topic, new);
            topic.partition_responses.push(entry);
        }
        self.reply(reply_to, response, ctx);
    }

    fn hint_produce(
        &self,
        partition: &TopicPartition,
        entry: &mut PartitionProduceResponse,
        endpoints: &mut Vec<NodeEndpoint>,
    ) {
        if self.config.version < KafkaVersion::new(3, 7) {
            return;
        }
        let hint = leader_hint(self.image(), partition);
        entry.current_leader =
            LeaderIdAndEpoch::default().with_leader_id(BrokerId(hint.leader)).with_leader_epoch(hint.leader_epoch);
        if hint.registered && endpoints.iter().all(|node| node.node_id.0 != hint.leader) {
            let node = NodeEndpoint::default().with_node_id(BrokerId(hint.leader));
            endpoints.push(node.with_host(host_of(hint.leader)).with_port(PORT));
        }
    }
}

/// Whether the records are one batch, by its length field: base offset (8 bytes), length of what follows (4 bytes).
fn is_one_batch(records: &Bytes) -> bool {
    let Some(length) = records.get(8..12).and_then(|field| <[u8; 4]>::try_from(field).ok()) else { return false };
    usize::try_from(i32::from_be_bytes(length)).is_ok_and(|length| length + 12 == records.len())
}

//! Key 1, Fetch: read record batches; by consumers and followers.
//!
//! Kafka: `KafkaApis.handleFetchRequest`. Versions 4 to 17 without topic ids; KIP-74 (size limits), KIP-227 (sessions),
//! KIP-320 (epochs), KIP-392 (closest replica), KIP-595 (diverging epoch), KIP-903 (replica epoch), KIP-951 (leader hints, 3.7).
//! Not modelled: topic ids (KIP-516), down-conversion, aborted transactions.

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_response::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};

use super::super::broker::{Broker, Pending};
use super::super::client_quotas::QuotaType;
use super::super::fetch_session::FetchContext;
use super::super::socket_server::ReplyTo;
use super::super::{PORT, host_of};
use super::{epoch, leader_hint};
use crate::config::KafkaVersion;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::replication::{FetchParams, FetchPartition, FetchResult, IsolationLevel};
use crate::types::{BrokerEpoch, BrokerId, Duration, Offset, TopicName, TopicPartition};

/// `fetch.max.bytes` of the broker (KIP-541).
const FETCH_MAX_BYTES: i32 = 55 * 1024 * 1024;

/// A fetch request that waits for data.
#[derive(Clone, Debug)]
pub(in super::super) struct PendingFetch {
    pub reply_to: ReplyTo,
    context: FetchContext,
    /// Partitions that nobody knows, with their positions in the answer, ascending.
    unknown: Vec<(usize, TopicPartition)>,
}

impl Broker {
    pub(in super::super) fn handle_fetch(
        &mut self,
        reply_to: ReplyTo,
        mut request: FetchRequest,
        ctx: &mut Context<'_>,
    ) {
        // Version 15 moved the follower's id into its state.
        let replica_id = request.replica_id.0.max(request.replica_state.replica_id.0);
        let requested = requested_partitions(&mut request);
        let forgotten: Vec<TopicPartition> = request
            .forgotten_topics_data
            .iter()
            .flat_map(|t| t.partitions.iter().map(|partition| TopicPartition::new(t.topic.clone(), *partition)))
            .collect();
        let session = (request.session_id, request.session_epoch);
        let (context, mut asked) =
            self.fetch_manager.new_context(session, replica_id >= 0, requested, &forgotten, ctx.now());
        let mut unknown = Vec::new();
        let mut position = 0;
        let image = self.metadata.image();
        asked.retain(|(partition, _)| {
            let known = image.partitions.contains_key(partition);
            if !known {
                unknown.push((position, partition.clone()));
            }
            position += 1;
            known
        });
        let pending = PendingFetch { reply_to, context, unknown };
        if asked.is_empty() {
            return self.finish_fetch(pending, Vec::new(), ctx);
        }
        let max_bytes = request.max_bytes.min(FETCH_MAX_BYTES);
        let params = FetchParams {
            token: self.wait_for(Pending::Fetch(pending)),
            replica_id,
            replica_epoch: BrokerEpoch(request.replica_state.replica_epoch),
            max_wait: Duration::from_request_millis(request.max_wait_ms),
            min_bytes: request.min_bytes.min(max_bytes),
            max_bytes,
            isolation: match request.isolation_level {
                1 => IsolationLevel::ReadCommitted,
                _ => IsolationLevel::ReadUncommitted,
            },
            client_rack: request.rack_id.clone(),
        };
        self.replicas.fetch(params, asked, ctx);
    }

    pub(in super::super) fn finish_fetch(
        &mut self,
        pending: PendingFetch,
        results: Vec<(TopicPartition, FetchResult)>,
        ctx: &mut Context<'_>,
    ) {
        let PendingFetch { reply_to, context, unknown } = pending;
        let mut found = results;
        for (position, partition) in unknown {
            let error = FetchResult::failed(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            found.insert(position.min(found.len()), (partition, error));
        }
        let bytes = found.iter().map(|(_, result)| result.records.len() as u64).sum();
        let throttle_time_ms = self.throttle(reply_to, QuotaType::Fetch, bytes, ctx);
        if throttle_time_ms > 0 {
            let response = FetchResponse::default().with_throttle_time_ms(throttle_time_ms);
            return self.reply(reply_to, response, ctx);
        }
        let now = ctx.now();
        let answer = self.fetch_manager.respond(context, found, now, ctx.rng());
        let mut response = FetchResponse::default();
        response.error_code = answer.error.0;
        response.session_id = answer.session_id;
        for (partition, result) in answer.partitions {
            let data = self.partition_data(&partition, result, &mut response.node_endpoints);
            add(&mut response.responses, partition.topic, data);
        }
        self.reply(reply_to, response, ctx);
    }

    fn partition_data(
        &self,
        partition: &TopicPartition,
        result: FetchResult,
        endpoints: &mut Vec<NodeEndpoint>,
    ) -> PartitionData {
        // Field by field: each `with_` would move the whole of it.
        let mut data = PartitionData::default();
        data.partition_index = partition.partition;
        data.error_code = result.error.0;
        data.high_watermark = result.high_watermark.0;
        data.last_stable_offset = result.last_stable_offset.0;
        data.log_start_offset = result.log_start_offset.0;
        data.preferred_read_replica = BrokerId(result.preferred_read_replica.unwrap_or(-1));
        data.records = Some(result.records);
        if let Some((epoch, end)) = result.diverging {
            data.diverging_epoch = EpochEndOffset::default().with_epoch(epoch.0).with_end_offset(end.0);
        }
        let hinted = [ErrorCode::NOT_LEADER_OR_FOLLOWER, ErrorCode::FENCED_LEADER_EPOCH].contains(&result.error);
        if hinted && self.config.version >= KafkaVersion::new(3, 7) {
            let hint = leader_hint(self.image(), partition);
            data.current_leader =
                LeaderIdAndEpoch::default().with_leader_id(BrokerId(hint.leader)).with_leader_epoch(hint.leader_epoch);
            if hint.registered && endpoints.iter().all(|node| node.node_id.0 != hint.leader) {
                let node = NodeEndpoint::default().with_node_id(BrokerId(hint.leader));
                endpoints.push(node.with_host(host_of(hint.leader)).with_port(PORT));
            }
        }
        data
    }
}

/// Adds one partition; neighbours of one topic share an entry.
fn add(responses: &mut Vec<FetchableTopicResponse>, topic: TopicName, data: PartitionData) {
    match responses.last_mut() {
        Some(last) if last.topic == topic => last.partitions.push(data),
        Some(_) | None => {
            let mut entry = FetchableTopicResponse::default();
            entry.topic = topic;
            entry.partitions = vec![data];
            responses.push(entry);
        }
    }
}

fn requested_partitions(request: &mut FetchRequest) -> Vec<(TopicPartition, FetchPartition)> {
    let mut requested = Vec::with_capacity(request.topics.iter().map(|topic| topic.partitions.len()).sum());
    for topic in request.topics.drain(..) {
        for asked in topic.partitions {
            let partition = FetchPartition {
                fetch_offset: Offset(asked.fetch_offset),
                current_leader_epoch: epoch(asked.current_leader_epoch),
                last_fetched_epoch: epoch(asked.last_fetched_epoch),
                log_start_offset: Offset(asked.log_start_offset),
                max_bytes: asked.partition_max_bytes,
            };
            requested.push((TopicPartition::new(topic.topic.clone(), asked.partition), partition));
        }
    }
    requested
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_topic_share_an_entry() {
        let mut responses = Vec::new();
        for (topic, partition) in [("orders", 0), ("orders", 1), ("bills", 0), ("orders", 2)] {
            let name = TopicPartition::of(topic, partition);
            add(&mut responses, name.topic, PartitionData::default().with_partition_index(partition));
        }
        let entries: Vec<(&str, usize)> =
            responses.iter().map(|entry| (entry.topic.as_str(), entry.partitions.len())).collect();
        assert_eq!(entries, [("orders", 2), ("bills", 1), ("orders", 1)]);
    }
}

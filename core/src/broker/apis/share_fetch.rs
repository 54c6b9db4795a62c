//! Key 78, ShareFetch: records for a member of a share group, and what it has done with others.
//!
//! Kafka: `KafkaApis.handleShareFetchRequest`. Version 1; KIP-932, KIP-951 (leader hints). A partition with `PartitionMaxBytes` 0 is only
//! acknowledged, not read (version 0).

use kafka_protocol::messages::share_fetch_request::AcknowledgementBatch;
use kafka_protocol::messages::share_fetch_response::{
    AcquiredRecords, LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareFetchableTopicResponse,
};
use kafka_protocol::messages::{ShareFetchRequest, ShareFetchResponse};
use uuid::Uuid;

use super::super::broker::Broker;
use super::super::shares::{ShareFetched, ShareRequest, WaitingFetch};
use super::super::socket_server::ReplyTo;
use super::super::{PORT, host_of};
use super::{leader_hint, topic_entry};
use crate::config::KafkaVersion;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::share::share_session::{FINAL_EPOCH, Told};
use crate::share::{AcknowledgeType, Acknowledgement, Acquired};
use crate::types::{BrokerId, Duration, Offset, TopicPartition};

/// Requests say how many records they want at most.
const MAX_RECORDS: KafkaVersion = KafkaVersion::new(4, 1);

impl Broker {
    pub(in super::super) fn handle_share_fetch(
        &mut self,
        reply_to: ReplyTo,
        request: ShareFetchRequest,
        ctx: &mut Context<'_>,
    ) {
        let refuse = |error: ErrorCode| ShareFetchResponse::default().with_error_code(error.0);
        if !self.config.groups.share.enabled {
            return self.reply(reply_to, refuse(ErrorCode::UNSUPPORTED_VERSION), ctx);
        }
        let (Some(group), Some(member)) = (request.group_id.clone(), request.member_id.clone()) else {
            return self.reply(reply_to, refuse(ErrorCode::INVALID_REQUEST), ctx);
        };
        let mut told = Told {
            epoch: request.share_session_epoch,
            added: Vec::new(),
            forgotten: Vec::new(),
            acknowledges: false,
            connection: reply_to.connection,
        };
        let (mut said, mut unknown) = (Vec::new(), Vec::new());
        for topic in &request.topics {
            let Some(name) = self.topic_name(topic.topic_id) else {
                unknown.extend(topic.partitions.iter().map(|asked| (topic.topic_id, asked.partition_index)));
                continue;
            };
            for asked in &topic.partitions {
                let partition = TopicPartition::new(name.clone(), asked.partition_index);
                if !asked.acknowledgement_batches.is_empty() {
                    said.push((partition.clone(), asked.acknowledgement_batches.iter().map(read).collect()));
                }
                if asked.partition_max_bytes > 0 {
                    told.added.push(partition);
                }
            }
        }
        for topic in &request.forgotten_topics_data {
            let Some(name) = self.topic_name(topic.topic_id) else { continue };
            told.forgotten.extend(topic.partitions.iter().map(|index| TopicPartition::new(name.clone(), *index)));
        }
        told.acknowledges = !said.is_empty();
        let closes = told.epoch == FINAL_EPOCH;
        let key = (group, member);
        let partitions = match self.shares.sessions.fetch(&key, told, self.config.groups.share.max_share_sessions) {
            Ok(partitions) => partitions,
            Err(error) => return self.reply(reply_to, refuse(error), ctx),
        };
        let says_how_many = self.config.version >= MAX_RECORDS;
        let waiting = (!closes).then(|| WaitingFetch {
            partitions,
            until: ctx.now() + Duration::from_request_millis(request.max_wait_ms),
            max_bytes: request.max_bytes,
            max_records: if says_how_many { usize::try_from(request.max_records).unwrap_or(0) } else { usize::MAX },
        });
        let request = ShareRequest {
            reply_to,
            key,
            fetches: true,
            closes,
            acknowledged: said.iter().map(|(partition, _)| (partition.clone(), None)).collect(),
            waiting,
            fetched: Vec::new(),
            unknown,
        };
        self.begin_share_request(request, said, ctx);
    }

    /// What it says is taken, and what it wants is waited for.
    pub(super) fn begin_share_request(
        &mut self,
        request: ShareRequest,
        said: Vec<(TopicPartition, Result<Vec<Acknowledgement>, ErrorCode>)>,
        ctx: &mut Context<'_>,
    ) {
        let key = request.key.clone();
        let token = self.shares.add(request);
        for (partition, said) in said {
            let result = match said {
                Ok(said) => self.acknowledge_share(token, &key, &partition, &said, ctx),
                Err(error) => Some(error),
            };
            if let Some(request) = self.shares.requests.get_mut(&token) {
                request.acknowledged.insert(partition, result);
            }
        }
    }

    pub(in super::super) fn finish_share_fetch(&mut self, request: ShareRequest, ctx: &mut Context<'_>) {
        let lock = self.share_record_lock(&request.key.0);
        let mut response = ShareFetchResponse::default()
            .with_acquisition_lock_timeout_ms(i32::try_from(lock.as_millis()).unwrap_or(i32::MAX));
        let mut endpoints = Vec::new();
        for one in request.fetched {
            let name = one.partition.clone();
            let data = self.share_partition_data(one, &mut endpoints);
            *self.share_entry(&mut response, &name) = data;
        }
        for (name, error) in request.acknowledged {
            let error = error.unwrap_or(ErrorCode::NONE);
            self.share_entry(&mut response, &name).acknowledge_error_code = error.0;
        }
        for (topic_id, index) in request.unknown {
            *entry(&mut response, topic_id, index) = PartitionData::default()
                .with_partition_index(index)
                .with_error_code(ErrorCode::UNKNOWN_TOPIC_ID.0)
                .with_records(None);
        }
        response.node_endpoints = endpoints;
        self.reply(request.reply_to, response, ctx);
    }

    fn share_entry<'a>(&self, response: &'a mut ShareFetchResponse, name: &TopicPartition) -> &'a mut PartitionData {
        let topic_id = self.image().topics.get(&name.topic).map_or(Uuid::nil(), |topic| topic.id);
        entry(response, topic_id, name.partition)
    }

    fn share_partition_data(&self, one: ShareFetched, endpoints: &mut Vec<NodeEndpoint>) -> PartitionData {
        let mut data = PartitionData::default()
            .with_partition_index(one.partition.partition)
            .with_error_code(one.error.0)
            .with_records(Some(one.records))
            .with_acquired_records(one.acquired.iter().map(written).collect());
        if one.error == ErrorCode::NOT_LEADER_OR_FOLLOWER {
            let hint = leader_hint(self.image(), &one.partition);
            data.current_leader = LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(hint.leader).0)
                .with_leader_epoch(hint.leader_epoch);
            if hint.registered && endpoints.iter().all(|node| node.node_id.0 != hint.leader) {
                let node = NodeEndpoint::default().with_node_id(BrokerId(hint.leader));
                endpoints.push(node.with_host(host_of(hint.leader)).with_port(PORT));
            }
        }
        data
    }
}

fn entry(response: &mut ShareFetchResponse, topic_id: Uuid, index: i32) -> &mut PartitionData {
    let new = || ShareFetchableTopicResponse::default().with_topic_id(topic_id);
    let topic = topic_entry(&mut response.responses, |topic| topic.topic_id == topic_id, new);
    let new = || PartitionData::default().with_partition_index(index).with_records(None);
    topic_entry(&mut topic.partitions, |data| data.partition_index == index, new)
}

fn written(run: &Acquired) -> AcquiredRecords {
    AcquiredRecords::default()
        .with_first_offset(run.first.0)
        .with_last_offset(run.last.0)
        .with_delivery_count(i16::try_from(run.delivery_count).unwrap_or(i16::MAX))
}

fn read(batch: &AcknowledgementBatch) -> Result<Acknowledgement, ErrorCode> {
    acknowledgement(batch.first_offset, batch.last_offset, &batch.acknowledge_types)
}

/// What a member says of neighbours.
pub(super) fn acknowledgement(first: i64, last: i64, types: &[i8]) -> Result<Acknowledgement, ErrorCode> {
    let types: Option<Vec<AcknowledgeType>> = types.iter().map(|id| AcknowledgeType::of(*id)).collect();
    let types = types.ok_or(ErrorCode::INVALID_REQUEST)?;
    Ok(Acknowledgement { first: Offset(first), last: Offset(last), types })
}

//! ShareFetch and ShareAcknowledge as a member writes them.
//!
//! Kafka: `ShareFetchRequest.Builder`, `ShareAcknowledgeRequest.Builder`.

use std::collections::BTreeMap;

use kafka_protocol::messages::share_acknowledge_request as acknowledge;
use kafka_protocol::messages::share_fetch_request as fetch;
use kafka_protocol::messages::{GroupId, ShareAcknowledgeRequest, ShareFetchRequest};
use uuid::Uuid;

use super::in_hand::runs;
use crate::config::ConsumerConfig;
use crate::share::{AcknowledgeType, Acknowledgement};
use crate::types::{StrBytes, TopicPartition};

/// What is said of partitions whose topics have ids.
pub(super) type Said = Vec<(Uuid, TopicPartition, BTreeMap<i64, AcknowledgeType>)>;

fn types(run: &Acknowledgement) -> Vec<i8> {
    run.types.iter().map(|said| said.id()).collect()
}

/// Whose request it is, and in which epoch of the session.
pub(super) struct Header {
    pub group: GroupId,
    pub member: StrBytes,
    pub epoch: i32,
}

/// More records, and what is said of others on this occasion.
pub(super) fn share_fetch(
    header: Header,
    config: &ConsumerConfig,
    added: &[(Uuid, i32)],
    forgotten: &[(Uuid, i32)],
    said: &Said,
) -> ShareFetchRequest {
    let mut topics = Topics::new();
    for (id, index) in added {
        entry(&mut topics, *id, *index).partition_max_bytes = config.max_partition_fetch_bytes.max(1);
    }
    for (id, partition, said) in said {
        let batch = |run: Acknowledgement| {
            fetch::AcknowledgementBatch::default()
                .with_first_offset(run.first.0)
                .with_last_offset(run.last.0)
                .with_acknowledge_types(types(&run))
        };
        entry(&mut topics, *id, partition.partition).acknowledgement_batches =
            runs(said).into_iter().map(batch).collect();
    }
    let mut gone: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (id, index) in forgotten {
        gone.entry(*id).or_default().push(*index);
    }
    let gone = gone.into_iter();
    let gone = gone.map(|(id, indexes)| fetch::ForgottenTopic::default().with_topic_id(id).with_partitions(indexes));
    let topics = topics.into_iter().map(|(id, partitions)| {
        fetch::FetchTopic::default().with_topic_id(id).with_partitions(partitions.into_values().collect())
    });
    let records = i32::try_from(config.max_poll_records).unwrap_or(i32::MAX);
    ShareFetchRequest::default()
        .with_group_id(Some(header.group))
        .with_member_id(Some(header.member))
        .with_share_session_epoch(header.epoch)
        .with_max_wait_ms(i32::try_from(config.fetch_max_wait_ms.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(config.fetch_min_bytes)
        .with_max_bytes(config.fetch_max_bytes)
        .with_max_records(records)
        .with_batch_size(records)
        .with_topics(topics.collect())
        .with_forgotten_topics_data(gone.collect())
}

type Topics = BTreeMap<Uuid, BTreeMap<i32, fetch::FetchPartition>>;

fn entry(topics: &mut Topics, id: Uuid, index: i32) -> &mut fetch::FetchPartition {
    let new = || fetch::FetchPartition::default().with_partition_index(index);
    topics.entry(id).or_default().entry(index).or_insert_with(new)
}

/// What is said of records, and nothing else.
pub(super) fn share_acknowledge(header: Header, said: &Said) -> ShareAcknowledgeRequest {
    let mut topics: BTreeMap<Uuid, Vec<acknowledge::AcknowledgePartition>> = BTreeMap::new();
    for (id, partition, said) in said {
        let batch = |run: Acknowledgement| {
            acknowledge::AcknowledgementBatch::default()
                .with_first_offset(run.first.0)
                .with_last_offset(run.last.0)
                .with_acknowledge_types(types(&run))
        };
        topics.entry(*id).or_default().push(
            acknowledge::AcknowledgePartition::default()
                .with_partition_index(partition.partition)
                .with_acknowledgement_batches(runs(said).into_iter().map(batch).collect()),
        );
    }
    let topics = topics
        .into_iter()
        .map(|(id, partitions)| acknowledge::AcknowledgeTopic::default().with_topic_id(id).with_partitions(partitions));
    ShareAcknowledgeRequest::default()
        .with_group_id(Some(header.group))
        .with_member_id(Some(header.member))
        .with_share_session_epoch(header.epoch)
        .with_topics(topics.collect())
}

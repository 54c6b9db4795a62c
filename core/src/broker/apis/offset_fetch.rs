//! Key 9, OffsetFetch: how far a group had come.
//!
//! Kafka: `KafkaApis.handleOffsetFetchRequest`. Versions 5 to 9; KIP-709 (several groups at once).
//! A partition of which nothing was committed has offset -1 and no error.
//! A member of a group of the consumer protocol says which, and in which epoch it is (version 9, KIP-848).
//! Not modelled: `require_stable` (KIP-447: there are no transactional commits that could be pending).

use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse};

use super::super::broker::Broker;
use super::super::socket_server::ReplyTo;
use super::topic_entry;
use crate::coordinator::group::CommittedOffset;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{TopicName, TopicPartition};

type Found = Vec<(TopicPartition, Option<CommittedOffset>)>;

impl Broker {
    pub(in super::super) fn handle_offset_fetch(
        &mut self,
        reply_to: ReplyTo,
        request: OffsetFetchRequest,
        ctx: &mut Context<'_>,
    ) {
        let mut response = OffsetFetchResponse::default();
        if request.groups.is_empty() {
            let asked = request.topics.map(|topics| names(topics.into_iter().map(|t| (t.name, t.partition_indexes))));
            match self.committed_offsets(&request.group_id, asked) {
                Ok(found) => response.topics = old_topics(found),
                Err(error) => response.error_code = error.0,
            }
        }
        for group in request.groups {
            let asked = group.topics.map(|topics| names(topics.into_iter().map(|t| (t.name, t.partition_indexes))));
            let mut entry = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
            let member = group.member_id.as_ref().map(|member| (member, group.member_epoch));
            let may = self.groups.coordinator.may_fetch_offsets(&group.group_id, member);
            match may.and_then(|()| self.committed_offsets(&group.group_id, asked)) {
                Ok(found) => entry.topics = topics(found),
                Err(error) => entry.error_code = error.0,
            }
            response.groups.push(entry);
        }
        self.reply(reply_to, response, ctx);
    }

    fn committed_offsets(&self, group: &GroupId, asked: Option<Vec<TopicPartition>>) -> Result<Found, ErrorCode> {
        let coordinator = &self.groups.coordinator;
        match asked {
            Some(partitions) => partitions
                .into_iter()
                .map(|partition| {
                    let committed = coordinator.committed(group, &partition)?.cloned();
                    Ok((partition, committed))
                })
                .collect(),
            None => {
                let all = coordinator.all_committed(group)?;
                Ok(all.map(|(partition, committed)| (partition.clone(), Some(committed.clone()))).collect())
            }
        }
    }
}

fn names(topics: impl Iterator<Item = (TopicName, Vec<i32>)>) -> Vec<TopicPartition> {
    topics
        .flat_map(|(name, indexes)| indexes.into_iter().map(move |index| TopicPartition::new(name.clone(), index)))
        .collect()
}

fn topics(found: Found) -> Vec<OffsetFetchResponseTopics> {
    let mut topics = Vec::new();
    for (partition, committed) in found {
        let new = || OffsetFetchResponseTopics::default().with_name(partition.topic.clone());
        let entry = topic_entry(&mut topics, |topic| topic.name == partition.topic, new);
        let (offset, epoch) = committed.as_ref().map_or((-1, -1), |c| (c.offset.0, c.leader_epoch.0));
        entry.partitions.push(
            OffsetFetchResponsePartitions::default()
                .with_partition_index(partition.partition)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(Some(committed.map(|c| c.metadata).unwrap_or_default())),
        );
    }
    topics
}

fn old_topics(found: Found) -> Vec<OffsetFetchResponseTopic> {
    topics(found)
        .into_iter()
        .map(|topic| {
            let partitions = topic.partitions.into_iter().map(|one| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(one.partition_index)
                    .with_committed_offset(one.committed_offset)
                    .with_committed_leader_epoch(one.committed_leader_epoch)
                    .with_metadata(one.metadata)
            });
            OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
        })
        .collect()
}

//! Key 8, OffsetCommit: how far a group has come.
//!
//! Kafka: `KafkaApis.handleOffsetCommitRequest`. Versions 6 to 9; KIP-320 (with leader epochs), KIP-345.
//! Partitions that this broker has never heard of are refused; the others are written as one batch, or not at all.

use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::super::broker::Broker;
use super::super::groups::Asked;
use super::super::socket_server::ReplyTo;
use super::topic_entry;
use crate::coordinator::group::{CommitRequest, CommittedOffset, MemberIdentity};
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{LeaderEpoch, Offset, TopicPartition};

impl Broker {
    pub(in super::super) fn handle_offset_commit(
        &mut self,
        reply_to: ReplyTo,
        request: OffsetCommitRequest,
        ctx: &mut Context<'_>,
    ) {
        let member = MemberIdentity {
            group: request.group_id,
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id_or_member_epoch,
        };
        let mut unknown = Vec::new();
        let mut offsets = Vec::new();
        for topic in request.topics {
            for asked in topic.partitions {
                let partition = TopicPartition::new(topic.name.clone(), asked.partition_index);
                if !self.image().partitions.contains_key(&partition) {
                    unknown.push(partition);
                    continue;
                }
                let committed = CommittedOffset {
                    offset: Offset(asked.committed_offset),
                    leader_epoch: LeaderEpoch(asked.committed_leader_epoch),
                    metadata: asked.committed_metadata.unwrap_or_default(),
                    commit_timestamp: ctx.wall_clock(),
                };
                offsets.push((partition, committed));
            }
        }
        let partitions = offsets.iter().map(|(partition, _)| partition.clone()).collect();
        let token = self.groups.ask(Asked::Commit { reply_to, partitions, unknown });
        if offsets.is_empty() {
            self.groups.coordinator.nothing_to_commit(token);
        } else {
            self.groups.coordinator.commit(token, CommitRequest { member, offsets }, ctx);
        }
    }

    pub(in super::super) fn finish_offset_commit(
        &mut self,
        to: ReplyTo,
        partitions: Vec<TopicPartition>,
        unknown: Vec<TopicPartition>,
        error: ErrorCode,
        ctx: &mut Context<'_>,
    ) {
        let mut response = OffsetCommitResponse::default();
        let known = partitions.into_iter().map(|partition| (partition, error));
        let unknown = unknown.into_iter().map(|partition| (partition, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
        for (partition, error) in known.chain(unknown) {
            let new = || OffsetCommitResponseTopic::default().with_name(partition.topic.clone());
            let topic = topic_entry(&mut response.topics, |topic| topic.name == partition.topic, new);
            topic.partitions.push(
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition)
                    .with_error_code(error.0),
            );
        }
        self.reply(to, response, ctx);
    }
}

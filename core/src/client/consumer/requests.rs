//! What a consumer asks brokers about its partitions: records, offsets, epochs.
//!
//! Kafka: `FetchRequest`, `ListOffsetsRequest`, `OffsetsForLeaderEpochRequest` as `Fetcher` and `OffsetFetcher` build them.

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest};

use super::consumer::Consumer;
use super::subscription_state::{FetchState, PartitionState};
use crate::config::AutoOffsetReset;
use crate::types::{LeaderEpoch, Offset, StrBytes, TopicPartition};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

impl Consumer {
    /// White-box: whether it knows of this leader epoch, and believes in its position under it (KIP-320).
    pub fn has_heard_of(&self, partition: &TopicPartition, epoch: LeaderEpoch) -> bool {
        let stands = |state: &PartitionState| state.state == FetchState::Fetching && state.leader_epoch >= epoch;
        !self.config.validates_positions() || self.subscription.partitions.get(partition).is_none_or(stands)
    }

    /// The epoch that fences requests (KIP-320); consumers before 2.3 send none.
    pub(super) fn current_epoch(&self, partition: &TopicPartition) -> LeaderEpoch {
        if !self.config.validates_positions() {
            return LeaderEpoch::NONE;
        }
        self.metadata.leader(&partition.topic, partition.partition).map_or(LeaderEpoch::NONE, |(_, epoch)| epoch)
    }

    pub(super) fn fetch_request(&self, partitions: &[(TopicPartition, Offset)]) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for (partition, offset) in partitions {
            if topics.last().is_none_or(|topic| topic.topic != partition.topic) {
                topics.push(FetchTopic::default().with_topic(partition.topic.clone()));
            }
            let Some(topic) = topics.last_mut() else { continue };
            topic.partitions.push(
                FetchPartition::default()
                    .with_partition(partition.partition)
                    .with_current_leader_epoch(self.current_epoch(partition).0)
                    .with_fetch_offset(offset.0)
                    .with_last_fetched_epoch(-1)
                    .with_log_start_offset(-1)
                    .with_partition_max_bytes(self.config.max_partition_fetch_bytes),
            );
        }
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(i32::try_from(self.config.fetch_max_wait_ms.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(self.config.fetch_min_bytes)
            .with_max_bytes(self.config.fetch_max_bytes)
            .with_session_epoch(-1)
            .with_rack_id(StrBytes::from_string(self.config.client_rack.clone()))
            .with_topics(topics)
    }

    /// `None` where `auto.offset.reset=none` forbids to look.
    pub(super) fn list_offsets_request(&self, partitions: &[(TopicPartition, Offset)]) -> Option<ListOffsetsRequest> {
        let timestamp = match self.config.auto_offset_reset {
            AutoOffsetReset::Earliest => EARLIEST,
            AutoOffsetReset::Latest => LATEST,
            AutoOffsetReset::None => return None,
        };
        let topics = partitions.iter().map(|(partition, _)| {
            ListOffsetsTopic::default().with_name(partition.topic.clone()).with_partitions(vec![
                ListOffsetsPartition::default()
                    .with_partition_index(partition.partition)
                    .with_current_leader_epoch(self.current_epoch(partition).0)
                    .with_timestamp(timestamp),
            ])
        });
        Some(ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect()))
    }

    pub(super) fn epochs_request(&self, partitions: &[(TopicPartition, Offset)]) -> OffsetForLeaderEpochRequest {
        let topics = partitions.iter().map(|(partition, _)| {
            let state = self.subscription.partitions.get(partition);
            let epoch = state.and_then(|state| state.offset_epoch).unwrap_or(LeaderEpoch::NONE);
            OffsetForLeaderTopic::default().with_topic(partition.topic.clone()).with_partitions(vec![
                OffsetForLeaderPartition::default()
                    .with_partition(partition.partition)
                    .with_current_leader_epoch(self.current_epoch(partition).0)
                    .with_leader_epoch(epoch.0),
            ])
        });
        OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect())
    }
}

//! The group coordinator inside a broker: requests that wait for it, its writes, and the partitions it takes over.
//!
//! Kafka: `GroupCoordinator` and `GroupMetadataManager` as `KafkaApis` and `BrokerMetadataPublisher` drive them.
//!
//! A partition of `__consumer_offsets` that this broker begins to lead is read in the background: until that is done its
//! groups are answered with COORDINATOR_LOAD_IN_PROGRESS.
//!
//! Not modelled: `offsets.load.buffer.size` (the log is read as a whole), `group.coordinator.threads`.

use std::collections::BTreeMap;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, GroupId};

use super::apis::Forwarded;
use super::broker::{Broker, Pending};
use super::loads::Loads;
use super::socket_server::ReplyTo;
use crate::config::{BrokerConfig, KafkaVersion};
use crate::coordinator::group::coordinator::GroupConfig;
use crate::coordinator::group::{Answer, GROUP_METADATA_TOPIC, GroupCoordinator, GroupRecord, GroupToken, Write};
use crate::fact::Fact;
use crate::machine::Context;
use crate::metadata::MetadataDelta;
use crate::protocol::ErrorCode;
use crate::record::{BatchBuilder, Compression, Record};
use crate::replication::{AppendRequest, ProduceCompleted};
use crate::types::{Instant, NodeId, StrBytes, TopicName, TopicPartition, earliest};

/// Members have instance ids in the log (KIP-345).
const STATIC_MEMBERSHIP: KafkaVersion = KafkaVersion::new(2, 3);
/// Joins without syncs expire (KAFKA-13435).
const SYNCS_EXPIRE: KafkaVersion = KafkaVersion::new(3, 1);
/// A partition whose log cannot be read to its end has no coordinator (`CoordinatorRuntime`: FAILED). Before, the broker
/// went on as if there were no groups (`loadGroupsAndOffsets`), and answered that nothing had ever been committed.
const FAILED_LOADS_FAIL: KafkaVersion = KafkaVersion::new(4, 0);

/// A request that waits for the coordinator.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Join(ReplyTo),
    Sync(ReplyTo),
    Heartbeat(ReplyTo),
    ShareHeartbeat(ReplyTo),
    Commit { reply_to: ReplyTo, partitions: Vec<TopicPartition>, unknown: Vec<TopicPartition> },
}

/// The coordinator and what surrounds it.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    pub coordinator: GroupCoordinator,
    asked: BTreeMap<GroupToken, Asked>,
    next_token: u64,
    loads: Loads,
}

impl Groups {
    pub fn new(config: &BrokerConfig) -> Self {
        let groups = &config.groups;
        let coordinator = GroupCoordinator::new(
            GroupConfig {
                min_session_timeout: groups.group_min_session_timeout_ms,
                max_session_timeout: groups.group_max_session_timeout_ms,
                initial_rebalance_delay: groups.group_initial_rebalance_delay_ms,
                offsets_retention: groups.offsets_retention_minutes,
                retention_check_interval: groups.offsets_retention_check_interval_ms,
                // KIP-211 came with 2.1, before the first profile.
                expire_when_empty: true,
                checks_generation: config.toggles.commit_generation_check,
                expires_syncs: config.version >= SYNCS_EXPIRE,
                consumer_session_timeout: groups.group_consumer_session_timeout_ms,
                consumer_heartbeat_interval: groups.group_consumer_heartbeat_interval_ms,
                share_session_timeout: groups.share.session_timeout_ms,
                share_heartbeat_interval: groups.share.heartbeat_interval_ms,
                repeats_share_assignment: config.toggles.share_assignment_repeated,
                assignors: groups.group_consumer_assignors.clone(),
            },
            groups.offsets_topic_num_partitions,
        );
        Self { coordinator, asked: BTreeMap::new(), next_token: 1, loads: Loads::default() }
    }

    /// Remembers a request until the coordinator answers.
    pub fn ask(&mut self, asked: Asked) -> GroupToken {
        let token = GroupToken(self.next_token);
        self.next_token += 1;
        self.asked.insert(token, asked);
        token
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.asked.len()
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        earliest([self.coordinator.next_deadline(), self.loads.next_deadline()])
    }
}

impl Broker {
    /// Leaderships of the topic have changed, or the topic has come into being.
    pub(super) fn apply_metadata_to_groups(&mut self, delta: &MetadataDelta, ctx: &mut Context<'_>) {
        let name = group_metadata_topic();
        self.groups.coordinator.partitions_deleted(&delta.deleted);
        if delta.topics.contains(&name) {
            // Whatever has this name now, it is another topic: its partitions begin empty, and their epochs anew.
            self.resign_from_former_partitions();
        }
        let Some(topic) = self.metadata.image().topics.get(&name) else { return };
        self.groups.coordinator.set_partitions(topic.partitions);
        for partition in delta.partitions.iter().filter(|partition| partition.topic == name) {
            let Some(state) = self.metadata.image().partitions.get(partition) else { continue };
            if state.leader != self.config.broker_id {
                self.groups.loads.forget(partition.partition);
                self.groups.coordinator.resigned(partition.partition);
            } else if self.groups.coordinator.elected(partition.partition, state.leader_epoch) {
                self.groups.loads.begin(partition.partition, ctx.now());
            }
        }
    }

    pub(super) fn on_groups_deadline(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        for partition in self.groups.loads.take_due(now) {
            self.load_groups(partition, ctx);
        }
        if self.groups.coordinator.next_deadline().is_some_and(|at| at <= now) {
            self.groups.coordinator.on_deadline(&self.metadata.image().topics, ctx);
        }
    }

    fn resign_from_former_partitions(&mut self) {
        for partition in self.groups.coordinator.led() {
            self.groups.loads.forget(partition);
            self.groups.coordinator.resigned(partition);
        }
    }

    /// Reads a partition of the topic. In the end the broker coordinates its groups, or says that it does not: nobody is
    /// told for ever that it is loading.
    fn load_groups(&mut self, partition: i32, ctx: &mut Context<'_>) {
        let name = TopicPartition::new(group_metadata_topic(), partition);
        let Some(records) = self.read_group_log(&name, ctx) else {
            ctx.fact(Fact::GroupsNotLoaded { partition });
            return if self.config.version >= FAILED_LOADS_FAIL {
                self.groups.coordinator.resigned(partition);
            } else {
                self.groups.coordinator.loaded(partition, [], ctx);
            };
        };
        // A record that cannot be read is left out, as in Kafka; so is what a later version wrote.
        let known = records
            .into_iter()
            .filter_map(|record| Some((record.offset, GroupRecord::parse(record.key, record.value).ok()?)));
        self.groups.coordinator.loaded(partition, known, ctx);
    }

    /// What a partition of the topic holds; none if the log is gone with its directory, or breaks off in the middle.
    pub(super) fn read_group_log(&mut self, name: &TopicPartition, ctx: &mut Context<'_>) -> Option<Vec<Record>> {
        let mut records = Vec::new();
        let log = self.replicas.log(name)?;
        let (mut from, end) = (log.log_start_offset(), log.log_end_offset());
        while from < end {
            let read = self.replicas.log(name)?.read(from, end, usize::MAX, true, ctx);
            let bytes = read.inspect_err(|error| self.replicas.read_failed(name, *error, ctx)).ok()?;
            let before = from;
            for batch in crate::record::batches(bytes) {
                let batch = batch.ok()?;
                from = from.max(batch.next_offset());
                if !batch.is_control() {
                    for record in batch.records() {
                        records.push(record.ok()?);
                    }
                }
            }
            if from == before {
                return None;
            }
        }
        Some(records)
    }

    /// Carries out what the coordinator has said; whether there was anything.
    pub(super) fn settle_groups(&mut self, ctx: &mut Context<'_>) -> bool {
        let (answers, writes) = (self.groups.coordinator.take_answers(), self.groups.coordinator.take_writes());
        let any = !answers.is_empty() || !writes.is_empty();
        for answer in answers {
            self.answer_member(answer, ctx);
        }
        for write in writes {
            self.write_group_records(write, ctx);
        }
        any
    }

    fn answer_member(&mut self, answer: Answer, ctx: &mut Context<'_>) {
        let token = match &answer {
            Answer::Join(token, _)
            | Answer::Sync(token, _)
            | Answer::Commit(token, _)
            | Answer::Heartbeat(token, _) => *token,
        };
        match (answer, self.groups.asked.remove(&token)) {
            (Answer::Join(_, result), Some(Asked::Join(to))) => self.finish_join_group(to, result, ctx),
            (Answer::Sync(_, result), Some(Asked::Sync(to))) => self.finish_sync_group(to, result, ctx),
            (Answer::Heartbeat(_, result), Some(Asked::Heartbeat(to))) => {
                self.finish_consumer_group_heartbeat(to, result, ctx);
            }
            (Answer::Heartbeat(_, result), Some(Asked::ShareHeartbeat(to))) => {
                self.finish_share_group_heartbeat(to, result, ctx);
            }
            (Answer::Commit(_, error), Some(Asked::Commit { reply_to, partitions, unknown })) => {
                self.finish_offset_commit(reply_to, partitions, unknown, error, ctx);
            }
            (_, Some(_)) => panic!("the coordinator answered something else than was asked"),
            (_, None) => panic!("the coordinator answered twice"),
        }
    }

    fn write_group_records(&mut self, write: Write, ctx: &mut Context<'_>) {
        let Write { number, partition, records } = write;
        let static_membership = self.config.version >= STATIC_MEMBERSHIP;
        let mut builder = BatchBuilder::new(Compression::None, usize::MAX);
        for record in &records {
            let (key, value) = record.to_key_value(static_membership);
            builder.append(ctx.wall_clock(), Some(&key), value.as_deref(), &[]);
        }
        let partition = TopicPartition::new(group_metadata_topic(), partition);
        let Ok(batch) = builder.build() else {
            return self.groups.coordinator.written(number, Err(ErrorCode::UNKNOWN_SERVER_ERROR), ctx);
        };
        let token = self.wait_for(Pending::GroupRecords(number));
        let request = AppendRequest {
            token,
            from: NodeId::Broker(self.config.broker_id),
            acks: -1,
            timeout: self.config.groups.offsets_commit_timeout_ms,
            entries: vec![(partition, batch)],
        };
        self.replicas.append_records(request, ctx);
    }

    /// What became of a write of the coordinator.
    pub(super) fn group_records_written(&mut self, number: u64, completed: ProduceCompleted, ctx: &mut Context<'_>) {
        let result = completed.results.first().map_or(Err(ErrorCode::UNKNOWN_SERVER_ERROR), |(_, result)| {
            if result.error.is_none() { Ok(result.base_offset) } else { Err(result.error) }
        });
        self.groups.coordinator.written(number, result, ctx);
    }

    /// The topic is created when somebody asks for a coordinator first.
    pub(super) fn create_group_metadata_topic(&mut self, name: TopicName, ctx: &mut Context<'_>) {
        let groups = &self.config.groups;
        let configs = [
            ("cleanup.policy", "compact".to_owned()),
            ("segment.bytes", groups.offsets_topic_segment_bytes.to_string()),
        ];
        let topic = CreatableTopic::default()
            .with_name(name)
            .with_num_partitions(groups.offsets_topic_num_partitions)
            .with_replication_factor(groups.offsets_topic_replication_factor);
        self.create_internal_topic(topic, configs, ctx);
    }

    /// A topic in which a coordinator keeps something; once for all who want it.
    pub(super) fn create_internal_topic(
        &mut self,
        topic: CreatableTopic,
        configs: impl IntoIterator<Item = (&'static str, String)>,
        ctx: &mut Context<'_>,
    ) {
        let name = topic.name.clone();
        if !self.being_created.insert(name.clone()) {
            return;
        }
        let config = |(name, value): (&'static str, String)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_string(value)))
        };
        let topic = topic.with_configs(configs.into_iter().map(config).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        self.forwarding.send(Forwarded::AutoCreation(vec![name]), request, ctx);
    }
}

impl Broker {
    /// What a consumer calls itself: its `client.id`, or what a Java consumer without one makes up.
    pub(super) fn client_id_of(&self, group: &GroupId, from: NodeId) -> StrBytes {
        if let Some(set) = self.client_ids.get(&from).filter(|set| !set.is_empty()) {
            return StrBytes::from_string(set.clone());
        }
        let number = match from {
            NodeId::Client(number) => i64::from(number),
            NodeId::Broker(number) | NodeId::Controller(number) => i64::from(number),
        };
        StrBytes::from_string(format!("consumer-{}-{number}", group.as_str()))
    }
}

/// From where it connected.
pub(super) fn client_host_of(from: NodeId) -> StrBytes {
    StrBytes::from_string(format!("/{from}").replace(' ', "-"))
}

fn group_metadata_topic() -> TopicName {
    TopicName(StrBytes::from_static_str(GROUP_METADATA_TOPIC))
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;

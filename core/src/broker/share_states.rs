//! The share coordinator inside a broker: requests of those who lead partitions, its writes, and the partitions it takes over.
//!
//! Kafka: `ShareCoordinatorService` as `KafkaApis` and `BrokerMetadataPublisher` drive it. Keys 84 (ReadShareGroupState) and
//! 85 (WriteShareGroupState), version 0; KIP-932.
//!
//! A log that cannot be read to its end has no coordinator. Not modelled: as in `groups`; a request has one partition, as Kafka's brokers send.

use std::collections::BTreeMap;

use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::read_share_group_state_response::{PartitionResult, ReadStateResult, StateBatch as Read};
use kafka_protocol::messages::write_share_group_state_response::{PartitionResult as Result_, WriteStateResult};
use kafka_protocol::messages::{
    ReadShareGroupStateRequest, ReadShareGroupStateResponse, WriteShareGroupStateRequest, WriteShareGroupStateResponse,
};
use uuid::Uuid;

use super::broker::{Broker, Pending};
use super::loads::Loads;
use super::persister::Ask;
use super::shares::Persist;
use super::socket_server::ReplyTo;
use crate::config::BrokerConfig;
use crate::coordinator::share::coordinator::{Answer, StateWritten};
use crate::coordinator::share::records::{delivery_state, share_state};
use crate::coordinator::share::{
    KeptState, SHARE_GROUP_STATE_TOPIC, ShareCoordinator, StateKey, StateRecord, StateUpdate,
};
use crate::machine::Context;
use crate::metadata::MetadataDelta;
use crate::protocol::ErrorCode;
use crate::record::{BatchBuilder, Compression};
use crate::replication::{AppendRequest, ProduceCompleted};
use crate::share::{StateBatch, StateWrite};
use crate::types::{Instant, LeaderEpoch, NodeId, Offset, StrBytes, TopicName, TopicPartition};

/// Who waits for an answer.
#[derive(Clone, Debug)]
enum Asked {
    /// The leader of a partition, on another broker, which reads.
    Reader(ReplyTo, Uuid, i32),
    /// The same, which writes.
    Writer(ReplyTo, Uuid, i32),
    /// One on this broker, which does either.
    Own(Ask),
}

/// The coordinator and what surrounds it.
#[derive(Clone, Debug)]
pub(super) struct ShareStates {
    pub coordinator: ShareCoordinator,
    asked: BTreeMap<u64, Asked>,
    next_token: u64,
    loads: Loads,
}

impl ShareStates {
    pub fn new(config: &BrokerConfig) -> Self {
        let share = &config.groups.share;
        Self {
            coordinator: ShareCoordinator::new(
                share.state_topic_num_partitions,
                share.snapshot_update_records_per_snapshot,
            ),
            asked: BTreeMap::new(),
            next_token: 1,
            loads: Loads::default(),
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.loads.next_deadline()
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.asked.len()
    }

    fn ask(&mut self, asked: Asked) -> u64 {
        self.next_token += 1;
        self.asked.insert(self.next_token, asked);
        self.next_token
    }
}

pub(super) fn share_state_topic() -> TopicName {
    TopicName(StrBytes::from_static_str(SHARE_GROUP_STATE_TOPIC))
}

impl Broker {
    /// Leaderships of the topic have changed, or the topic has come into being.
    pub(super) fn apply_metadata_to_share_states(&mut self, delta: &MetadataDelta, ctx: &mut Context<'_>) {
        let name = share_state_topic();
        if delta.topics.contains(&name) {
            // Whatever has this name now, it is another topic.
            self.share_states.loads.clear();
            self.share_states.coordinator.resigned_from_all();
        }
        let Some(topic) = self.metadata.image().topics.get(&name) else { return };
        self.share_states.coordinator.set_partitions(topic.partitions);
        for partition in delta.partitions.iter().filter(|partition| partition.topic == name) {
            let Some(state) = self.metadata.image().partitions.get(partition) else { continue };
            if state.leader != self.config.broker_id {
                self.share_states.loads.forget(partition.partition);
                self.share_states.coordinator.resigned(partition.partition);
            } else if self.share_states.coordinator.elected(partition.partition, state.leader_epoch) {
                self.share_states.loads.begin(partition.partition, ctx.now());
            }
        }
    }

    pub(super) fn on_share_states_deadline(&mut self, ctx: &mut Context<'_>) {
        for partition in self.share_states.loads.take_due(ctx.now()) {
            let name = TopicPartition::new(share_state_topic(), partition);
            match self.read_group_log(&name, ctx) {
                Some(records) => {
                    let records =
                        records.into_iter().filter_map(|record| StateRecord::parse(record.key?, record.value?).ok());
                    self.share_states.coordinator.loaded(partition, records);
                }
                None => self.share_states.coordinator.resigned(partition),
            }
        }
    }

    /// The topic is created when the first partition of a share group is looked for.
    pub(super) fn create_share_state_topic(&mut self, ctx: &mut Context<'_>) {
        let share = &self.config.groups.share;
        let configs = [
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("min.insync.replicas", share.state_topic_min_isr.to_string()),
            ("segment.bytes", (100 << 20).to_string()),
        ];
        let topic = CreatableTopic::default()
            .with_name(share_state_topic())
            .with_num_partitions(share.state_topic_num_partitions)
            .with_replication_factor(share.state_topic_replication_factor);
        self.create_internal_topic(topic, configs, ctx);
    }

    /// Carries out what the coordinator has said; whether there was anything.
    pub(super) fn settle_share_states(&mut self, ctx: &mut Context<'_>) -> bool {
        let coordinator = &mut self.share_states.coordinator;
        let (answers, writes) = (coordinator.take_answers(), coordinator.take_writes());
        let any = !answers.is_empty() || !writes.is_empty();
        for (token, answer) in answers {
            self.answer_share_state(token, answer, ctx);
        }
        for write in writes {
            self.write_share_state(write, ctx);
        }
        any
    }

    fn answer_share_state(&mut self, token: u64, answer: Answer, ctx: &mut Context<'_>) {
        match self.share_states.asked.remove(&token) {
            Some(Asked::Reader(to, topic_id, partition)) => self.reply(to, read(topic_id, partition, answer), ctx),
            Some(Asked::Writer(to, topic_id, partition)) => {
                let error = answer.err().unwrap_or(ErrorCode::NONE);
                self.reply(to, written(topic_id, partition, error), ctx);
            }
            Some(Asked::Own(ask)) => {
                let written = |kept: KeptState| (kept.start_offset, kept.batches);
                self.share_state_answered(&ask, answer.map(|kept| kept.map(written)), ctx);
            }
            None => panic!("the share coordinator answered twice"),
        }
    }

    fn write_share_state(&mut self, write: StateWritten, ctx: &mut Context<'_>) {
        let (key, value) = write.record.to_key_value();
        let mut builder = BatchBuilder::new(Compression::None, usize::MAX);
        builder.append(ctx.wall_clock(), Some(&key), Some(&value), &[]);
        let Ok(batch) = builder.build() else {
            return self.share_states.coordinator.written(write.number, ErrorCode::UNKNOWN_SERVER_ERROR);
        };
        let token = self.wait_for(Pending::ShareState(write.number));
        let request = AppendRequest {
            token,
            from: NodeId::Broker(self.config.broker_id),
            acks: -1,
            timeout: self.config.groups.share.coordinator_write_timeout_ms,
            entries: vec![(TopicPartition::new(share_state_topic(), write.partition), batch)],
        };
        self.replicas.append_records(request, ctx);
    }

    /// What became of a write of the coordinator.
    pub(super) fn share_record_written(&mut self, number: u64, completed: &ProduceCompleted) {
        let error = completed.results.first().map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |(_, result)| result.error);
        self.share_states.coordinator.written(number, error);
    }

    /// A partition led by this broker is kept here.
    pub(super) fn ask_own_share_state(
        &mut self,
        ask: Ask,
        state: &StateKey,
        leader_epoch: LeaderEpoch,
        what: Persist,
        ctx: &mut Context<'_>,
    ) {
        let token = self.share_states.ask(Asked::Own(ask));
        let result = match what {
            Persist::Read(_) => self.share_states.coordinator.read(token, state, leader_epoch),
            Persist::Write(_, StateWrite { start_offset, batches, .. }) => {
                let update = StateUpdate { state_epoch: 0, leader_epoch, start_offset, batches };
                self.share_states.coordinator.write(token, state, update)
            }
        };
        if let Err(error) = result {
            self.answer_share_state(token, Err(error), ctx);
        }
    }

    pub(super) fn handle_read_share_group_state(
        &mut self,
        reply_to: ReplyTo,
        request: ReadShareGroupStateRequest,
        ctx: &mut Context<'_>,
    ) {
        let asked = request.topics.into_iter().find_map(|topic| {
            let partition = topic.partitions.into_iter().next()?;
            Some((topic.topic_id, partition))
        });
        let Some((topic_id, asked)) = asked else {
            return self.reply(reply_to, ReadShareGroupStateResponse::default(), ctx);
        };
        let key = state_key(&request.group_id, topic_id, asked.partition);
        let token = self.share_states.ask(Asked::Reader(reply_to, topic_id, asked.partition));
        if let Err(error) = self.share_states.coordinator.read(token, &key, LeaderEpoch(asked.leader_epoch)) {
            self.answer_share_state(token, Err(error), ctx);
        }
    }

    pub(super) fn handle_write_share_group_state(
        &mut self,
        reply_to: ReplyTo,
        request: WriteShareGroupStateRequest,
        ctx: &mut Context<'_>,
    ) {
        let asked = request.topics.into_iter().find_map(|topic| {
            let partition = topic.partitions.into_iter().next()?;
            Some((topic.topic_id, partition))
        });
        let Some((topic_id, asked)) = asked else {
            return self.reply(reply_to, WriteShareGroupStateResponse::default(), ctx);
        };
        let key = state_key(&request.group_id, topic_id, asked.partition);
        let batches = asked.state_batches.iter().filter_map(|batch| {
            Some(StateBatch {
                first: Offset(batch.first_offset),
                last: Offset(batch.last_offset),
                state: share_state(batch.delivery_state).ok()?,
                delivery_count: u16::try_from(batch.delivery_count).unwrap_or(0),
            })
        });
        let update = StateUpdate {
            state_epoch: asked.state_epoch,
            leader_epoch: LeaderEpoch(asked.leader_epoch),
            start_offset: Offset(asked.start_offset),
            batches: batches.collect(),
        };
        let token = self.share_states.ask(Asked::Writer(reply_to, topic_id, asked.partition));
        if let Err(error) = self.share_states.coordinator.write(token, &key, update) {
            self.answer_share_state(token, Err(error), ctx);
        }
    }
}

fn state_key(group: &StrBytes, topic_id: Uuid, partition: i32) -> StateKey {
    StateKey { group: GroupId(group.clone()), topic_id, partition }
}

fn written(topic_id: Uuid, partition: i32, error: ErrorCode) -> WriteShareGroupStateResponse {
    let result = Result_::default().with_partition(partition).with_error_code(error.0);
    let topic = WriteStateResult::default().with_topic_id(topic_id).with_partitions(vec![result]);
    WriteShareGroupStateResponse::default().with_results(vec![topic])
}

fn read(topic_id: Uuid, partition: i32, answer: Answer) -> ReadShareGroupStateResponse {
    let result = PartitionResult::default().with_partition(partition);
    let result = match answer {
        Err(error) => result.with_error_code(error.0),
        Ok(None) => result.with_start_offset(-1),
        Ok(Some(state)) => {
            let batches = state.batches.iter().map(|batch| {
                Read::default()
                    .with_first_offset(batch.first.0)
                    .with_last_offset(batch.last.0)
                    .with_delivery_state(delivery_state(batch.state))
                    .with_delivery_count(i16::try_from(batch.delivery_count).unwrap_or(i16::MAX))
            });
            result
                .with_state_epoch(state.state_epoch)
                .with_start_offset(state.start_offset.0)
                .with_state_batches(batches.collect())
        }
    };
    let topic = ReadStateResult::default().with_topic_id(topic_id).with_partitions(vec![result]);
    ReadShareGroupStateResponse::default().with_results(vec![topic])
}

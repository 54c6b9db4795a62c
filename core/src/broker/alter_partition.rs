//! Proposing ISRs to the controller: one request in flight, carrying everything that is pending.
//!
//! Kafka: `AlterPartitionManager.scala` (DefaultAlterPartitionManager), KIP-497, KIP-903.
//! Invariant: at most one pending proposal per partition.
//! A proposal stays pending until the controller has answered for its partition; after an error that concerns the
//! whole request (such as `STALE_BROKER_EPOCH`) everything is sent again.
//! Not modelled: ISR changes through ZooKeeper (versions before 2.7 propose to the controller as well here).

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse};

use super::controller_channel::{ControllerChannel, Outcome};
use crate::config::{BrokerConfig, KafkaVersion};
use crate::machine::Context;
use crate::protocol::{ErrorCode, Response};
use crate::replication::{IsrProposal, LeaderAndIsr};
use crate::types::{
    BrokerEpoch, BrokerId, ConnectionId, Duration, Instant, LeaderEpoch, NodeId, PartitionEpoch, TopicPartition,
    earliest,
};

/// Wait before the next attempt after an error that concerns the whole request.
const RETRY_BACKOFF: Duration = Duration::from_millis(50);

/// What became of one proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The proposal.
    pub proposal: IsrProposal,
    /// The partition as the controller has it now, or why not.
    pub result: Result<LeaderAndIsr, ErrorCode>,
}

/// The proposals on their way.
#[derive(Clone, Debug)]
pub(super) struct AlterPartitionManager {
    config: Arc<BrokerConfig>,
    channel: ControllerChannel<Vec<TopicPartition>>,
    unsent: BTreeMap<TopicPartition, IsrProposal>,
    in_flight: bool,
    retry_at: Option<Instant>,
    resolved: Vec<Resolved>,
}

impl AlterPartitionManager {
    pub fn new(config: Arc<BrokerConfig>, controllers: Vec<NodeId>) -> Self {
        let timeout = config.controller_socket_timeout_ms;
        Self {
            config,
            channel: ControllerChannel::new(controllers, timeout, Duration::FOREVER),
            unsent: BTreeMap::new(),
            in_flight: false,
            retry_at: None,
            resolved: Vec::new(),
        }
    }

    /// Takes a proposal; it goes out with the next [`Self::poll`].
    pub fn submit(&mut self, proposal: IsrProposal) {
        if self.unsent.contains_key(&proposal.partition) {
            self.resolved.push(Resolved { proposal, result: Err(ErrorCode::OPERATION_NOT_ATTEMPTED) });
        } else {
            self.unsent.insert(proposal.partition.clone(), proposal);
        }
    }

    /// What was resolved since the last time.
    pub fn take_resolved(&mut self) -> Vec<Resolved> {
        std::mem::take(&mut self.resolved)
    }

    pub fn channel(&mut self) -> &mut ControllerChannel<Vec<TopicPartition>> {
        &mut self.channel
    }

    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.channel.owns(connection)
    }

    /// How many partitions have a proposal pending.
    pub fn pending(&self) -> usize {
        self.unsent.len()
    }

    /// After every input: takes answers, sends what is pending.
    pub fn poll(&mut self, broker_epoch: BrokerEpoch, ctx: &mut Context<'_>) {
        while let Some((sent, outcome)) = self.channel.take_outcome() {
            self.in_flight = false;
            match outcome {
                Outcome::Answered(Response::AlterPartition(response)) if response.error_code == 0 => {
                    self.on_response(&sent, &response);
                }
                Outcome::Answered(_) | Outcome::TimedOut => self.retry_at = Some(ctx.now() + RETRY_BACKOFF),
            }
        }
        if self.retry_at.is_some_and(|at| at <= ctx.now()) {
            self.retry_at = None;
        }
        if !self.in_flight && self.retry_at.is_none() && !self.unsent.is_empty() {
            self.in_flight = true;
            let request = self.request(broker_epoch);
            self.channel.send(self.unsent.keys().cloned().collect(), request, ctx);
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        earliest([self.retry_at, self.channel.next_deadline()])
    }

    fn request(&self, broker_epoch: BrokerEpoch) -> AlterPartitionRequest {
        let with_epochs = self.config.version >= KafkaVersion::new(3, 5);
        let mut topics: Vec<TopicData> = Vec::new();
        for proposal in self.unsent.values() {
            let mut data = PartitionData::default()
                .with_partition_index(proposal.partition.partition)
                .with_leader_epoch(proposal.leader_epoch.0)
                .with_partition_epoch(proposal.partition_epoch.0);
            if with_epochs {
                let member = |(id, epoch): &(i32, BrokerEpoch)| {
                    BrokerState::default().with_broker_id(BrokerId(*id)).with_broker_epoch(epoch.0)
                };
                data.new_isr_with_epochs = proposal.new_isr.iter().map(member).collect();
            } else {
                data.new_isr = proposal.new_isr.iter().map(|(id, _)| BrokerId(*id)).collect();
            }
            match topics.last_mut() {
                Some(last) if last.topic_id == proposal.topic_id => last.partitions.push(data),
                Some(_) | None => {
                    topics.push(TopicData::default().with_topic_id(proposal.topic_id).with_partitions(vec![data]))
                }
            }
        }
        AlterPartitionRequest::default()
            .with_broker_id(BrokerId(self.config.broker_id))
            .with_broker_epoch(broker_epoch.0)
            .with_topics(topics)
    }

    fn on_response(&mut self, sent: &[TopicPartition], response: &AlterPartitionResponse) {
        for partition in sent {
            let Some(proposal) = self.unsent.get(partition) else { continue };
            let answer = response
                .topics
                .iter()
                .filter(|topic| topic.topic_id == proposal.topic_id)
                .flat_map(|topic| &topic.partitions)
                .find(|data| data.partition_index == partition.partition);
            // What the controller passed over stays pending and is sent again.
            let Some(answer) = answer else { continue };
            let result = match ErrorCode(answer.error_code) {
                ErrorCode::NONE => Ok(LeaderAndIsr {
                    leader: answer.leader_id.0,
                    leader_epoch: LeaderEpoch(answer.leader_epoch),
                    isr: answer.isr.iter().map(|id| id.0).collect(),
                    partition_epoch: PartitionEpoch(answer.partition_epoch),
                }),
                error => Err(error),
            };
            if let Some(proposal) = self.unsent.remove(partition) {
                self.resolved.push(Resolved { proposal, result });
            }
        }
    }
}

#[cfg(test)]
#[path = "alter_partition_tests.rs"]
mod tests;

//! Telling the controller in which log directory each replica lies.
//!
//! Kafka: `AssignmentsManager`, KIP-858. One request in flight, with everything that is to be told; what the controller
//! refuses for good (the topic is gone, the replica is elsewhere) is not told again.
//! Not modelled: that requests wait half a second for company.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::AssignReplicasToDirsRequest;
use kafka_protocol::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use uuid::Uuid;

use super::controller_channel::{ControllerChannel, Outcome};
use crate::config::BrokerConfig;
use crate::machine::Context;
use crate::protocol::Response;
use crate::replication::DirectoryAssignment;
use crate::types::{BrokerEpoch, BrokerId, ConnectionId, Duration, Instant, NodeId};

/// Wait before the next attempt.
const RETRY_BACKOFF: Duration = Duration::from_millis(100);

/// A partition, by its topic's id.
type Place = (Uuid, i32);

/// What is to be told, and what is on its way.
#[derive(Clone, Debug)]
pub(super) struct AssignmentsManager {
    config: Arc<BrokerConfig>,
    channel: ControllerChannel<Vec<(Place, Uuid)>>,
    pending: BTreeMap<Place, Uuid>,
    in_flight: bool,
    retry_at: Option<Instant>,
}

impl AssignmentsManager {
    pub fn new(config: Arc<BrokerConfig>, controllers: Vec<NodeId>) -> Self {
        let channel = ControllerChannel::new(controllers, config.controller_socket_timeout_ms, Duration::FOREVER);
        Self { config, channel, pending: BTreeMap::new(), in_flight: false, retry_at: None }
    }

    pub fn submit(&mut self, assignment: &DirectoryAssignment) {
        self.pending.insert((assignment.topic_id, assignment.partition), assignment.directory);
    }

    pub fn channel(&mut self) -> &mut ControllerChannel<Vec<(Place, Uuid)>> {
        &mut self.channel
    }

    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.channel.owns(connection)
    }

    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// After every input: takes answers, sends what is to be told. There is nothing to tell before the registration.
    pub fn poll(&mut self, broker_epoch: Option<BrokerEpoch>, ctx: &mut Context<'_>) {
        while let Some((sent, outcome)) = self.channel.take_outcome() {
            self.in_flight = false;
            match outcome {
                Outcome::Answered(Response::AssignReplicasToDirs(response)) if response.error_code == 0 => {
                    for (place, directory) in sent {
                        // It may have moved meanwhile.
                        if self.pending.get(&place) == Some(&directory) {
                            self.pending.remove(&place);
                        }
                    }
                }
                Outcome::Answered(_) | Outcome::TimedOut => self.retry_at = Some(ctx.now() + RETRY_BACKOFF),
            }
        }
        if self.retry_at.is_some_and(|at| at <= ctx.now()) {
            self.retry_at = None;
        }
        let Some(epoch) = broker_epoch else { return };
        if !self.in_flight && self.retry_at.is_none() && !self.pending.is_empty() {
            self.in_flight = true;
            let sent: Vec<(Place, Uuid)> = self.pending.iter().map(|(place, id)| (*place, *id)).collect();
            let request = self.request(epoch, &sent);
            self.channel.send(sent, request, ctx);
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        [self.retry_at, self.channel.next_deadline()].into_iter().flatten().min()
    }

    fn request(&self, epoch: BrokerEpoch, sent: &[(Place, Uuid)]) -> AssignReplicasToDirsRequest {
        let mut directories: BTreeMap<Uuid, BTreeMap<Uuid, Vec<PartitionData>>> = BTreeMap::new();
        for ((topic_id, partition), directory) in sent {
            let topics = directories.entry(*directory).or_default();
            topics.entry(*topic_id).or_default().push(PartitionData::default().with_partition_index(*partition));
        }
        let topic = |(id, partitions)| TopicData::default().with_topic_id(id).with_partitions(partitions);
        let directory = |(id, topics): (Uuid, BTreeMap<Uuid, Vec<PartitionData>>)| {
            DirectoryData::default().with_id(id).with_topics(topics.into_iter().map(topic).collect())
        };
        AssignReplicasToDirsRequest::default()
            .with_broker_id(BrokerId(self.config.broker_id))
            .with_broker_epoch(epoch.0)
            .with_directories(directories.into_iter().map(directory).collect())
    }
}

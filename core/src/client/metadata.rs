//! What a client believes about the cluster: brokers, topics, who leads which partition. As last heard, and often wrong.
//!
//! Kafka: `clients/Metadata`, `ProducerMetadata`, `NetworkClient.DefaultMetadataUpdater`; KIP-320 (an answer with an
//! older leader epoch changes nothing), KIP-580 (backoff grows while answers bring nothing new), KIP-951 (leader hints).
//!
//! It is part of a machine: call [`ClientMetadata::maybe_update`] at the end of every input, and hand it every
//! Metadata response and every disconnection.
//!
//! Not modelled: partial updates for new topics (KIP-526: it asks for all its topics), rebootstrapping (KIP-899),
//! authorization, cluster id.

use std::collections::BTreeMap;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use uuid::Uuid;

use super::{Disconnection, Expect, ExponentialBackoff, NetworkClient, RequestToken, TopicPattern};
use crate::config::KafkaVersion;
use crate::machine::Context;
use crate::protocol::ErrorCode;
use crate::types::{Duration, Instant, LeaderEpoch, NodeId, Prng, TopicName, TopicPartition};

/// How a [`ClientMetadata`] keeps itself up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientMetadataConfig {
    /// `bootstrap.servers`: whom to ask as long as nobody has answered.
    pub bootstrap: Vec<NodeId>,
    /// `retry.backoff.ms` to `retry.backoff.max.ms`: between two requests.
    pub retry_backoff: ExponentialBackoff,
    /// `metadata.max.age.ms`.
    pub max_age: Duration,
    /// `allow.auto.create.topics`; true for producers.
    pub allow_auto_topic_creation: bool,
    /// `metadata.max.idle.ms`: a producer forgets a topic it has not sent to for so long. `None` for consumers.
    pub topic_idle: Option<Duration>,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// Whether leader epochs begin anew where a topic has another id (KAFKA-12257, 3.2). Before, what is said of a topic that was
    /// deleted and created again looks stale, until its epochs have caught up.
    pub tells_recreated: bool,
}

/// See [`ClientMetadataConfig::tells_recreated`].
pub const TELLS_RECREATED: KafkaVersion = KafkaVersion::new(3, 2);

/// One partition as last heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its leader; `None` if there is none or it is not among the brokers.
    pub leader: Option<NodeId>,
    /// The epoch of that leader, or [`LeaderEpoch::NONE`].
    pub leader_epoch: LeaderEpoch,
    /// Its replicas, preferred leader first.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
}

/// A client's view of the cluster.
#[derive(Clone, Debug)]
pub struct ClientMetadata {
    config: ClientMetadataConfig,
    brokers: Vec<NodeId>,
    interest: BTreeMap<TopicName, Interest>,
    /// It wants to know about these too, which may not be there yet: it asks for all topics.
    pattern: Option<TopicPattern>,
    topics: BTreeMap<TopicName, Topic>,
    errors: BTreeMap<TopicName, ErrorCode>,
    last_seen_epochs: BTreeMap<TopicPartition, LeaderEpoch>,
    version: u64,
    need_update: bool,
    /// Counts the topics ever added: an answer to a request made before the last one does not cover it.
    additions: u64,
    allowed_at: Instant,
    expires_at: Instant,
    failed_attempts: u32,
    equivalent_responses: u32,
    in_progress: Option<InProgress>,
    /// When the next request is due, as far as the clock decides it; computed by `maybe_update`.
    wake_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Interest {
    forgotten_at: Instant,
}

#[derive(Clone, Debug)]
struct Topic {
    id: Uuid,
    partitions: Vec<PartitionMetadata>,
}

#[derive(Clone, Copy, Debug)]
struct InProgress {
    token: RequestToken,
    additions: u64,
}

impl ClientMetadata {
    /// Knows the bootstrap nodes and nothing else, and wants to know more.
    pub fn new(config: ClientMetadataConfig) -> Self {
        Self {
            brokers: config.bootstrap.clone(),
            config,
            interest: BTreeMap::new(),
            pattern: None,
            topics: BTreeMap::new(),
            errors: BTreeMap::new(),
            last_seen_epochs: BTreeMap::new(),
            version: 0,
            need_update: true,
            additions: 0,
            allowed_at: Instant::START,
            expires_at: Instant::NEVER,
            failed_attempts: 0,
            equivalent_responses: 0,
            in_progress: None,
            wake_at: None,
        }
    }

    /// Counts the answers that were taken in: whoever waits for news compares.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The brokers, or the bootstrap nodes as long as nobody has answered.
    pub fn nodes(&self) -> &[NodeId] {
        &self.brokers
    }

    /// Wants to know about `topic`; asks at once if it is new.
    pub fn add_topic(&mut self, topic: &TopicName, now: Instant) {
        let forgotten_at = self.config.topic_idle.map_or(Instant::NEVER, |idle| now + idle);
        match self.interest.get_mut(topic) {
            Some(interest) => interest.forgotten_at = forgotten_at,
            None => {
                self.interest.insert(topic.clone(), Interest { forgotten_at });
                self.additions += 1;
                self.need_update = true;
                self.allowed_at = Instant::START;
                self.equivalent_responses = 0;
            }
        }
    }

    /// Wants to know about every topic that matches; asks at once.
    pub fn match_topics(&mut self, pattern: TopicPattern) {
        self.pattern = Some(pattern);
        self.additions += 1;
        self.need_update = true;
        self.allowed_at = Instant::START;
    }

    fn retains(&self, topic: &TopicName) -> bool {
        self.interest.contains_key(topic) || self.pattern.as_ref().is_some_and(|pattern| pattern.matches(topic))
    }

    /// Wants a new answer as soon as the backoff allows.
    pub fn request_update(&mut self) {
        self.need_update = true;
    }

    /// Whether a request should go out before anything else does.
    pub fn is_update_due(&self, now: Instant) -> bool {
        self.in_progress.is_none() && self.due_at() <= now
    }

    /// The topic that has this id, if it is known.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&TopicName> {
        self.topics.iter().find(|(_, topic)| topic.id == id).map(|(name, _)| name)
    }

    /// The id of a topic, if it is known.
    pub fn topic_id(&self, topic: &TopicName) -> Option<Uuid> {
        self.topics.get(topic).map(|topic| topic.id)
    }

    /// The partitions of `topic`, by number. `None` if it is not known.
    pub fn partitions(&self, topic: &TopicName) -> Option<&[PartitionMetadata]> {
        self.topics.get(topic).map(|t| t.partitions.as_slice())
    }

    /// One partition, if it is known.
    pub fn partition(&self, topic: &TopicName, partition: i32) -> Option<&PartitionMetadata> {
        self.partitions(topic)?.get(usize::try_from(partition).ok()?)
    }

    /// The leader of a partition and its epoch, if there is one.
    pub fn leader(&self, topic: &TopicName, partition: i32) -> Option<(NodeId, LeaderEpoch)> {
        let known = self.partition(topic, partition)?;
        Some((known.leader?, known.leader_epoch))
    }

    /// Every topic that is known, with its partitions.
    pub fn topics(&self) -> impl Iterator<Item = (&TopicName, &[PartitionMetadata])> {
        self.topics.iter().map(|(name, topic)| (name, topic.partitions.as_slice()))
    }

    /// What the last answer said of `topic`, if it was an error.
    pub fn topic_error(&self, topic: &TopicName) -> Option<ErrorCode> {
        self.errors.get(topic).copied()
    }

    /// The highest leader epoch ever heard of a partition.
    pub fn last_seen_epoch(&self, partition: &TopicPartition) -> Option<LeaderEpoch> {
        self.last_seen_epochs.get(partition).copied()
    }

    /// Heard of a leader epoch elsewhere (a fetched batch, a commit): if it is news, what is known is stale.
    pub fn saw_epoch(&mut self, partition: &TopicPartition, epoch: LeaderEpoch) -> bool {
        match self.last_seen_epochs.get_mut(partition) {
            Some(seen) if epoch > *seen => {
                *seen = epoch;
                self.need_update = true;
                true
            }
            Some(_) | None => false,
        }
    }

    /// A leader hint in a Produce or Fetch response (KIP-951). Taken if it is newer, and the broker and the partition are known.
    pub fn hint_leader(&mut self, topic: &TopicName, partition: i32, leader: i32, epoch: LeaderEpoch) -> bool {
        let node = NodeId::Broker(leader);
        if leader < 0 || epoch < LeaderEpoch(0) || !self.brokers.contains(&node) {
            return false;
        }
        let Ok(index) = usize::try_from(partition) else { return false };
        let Some(known) = self.topics.get_mut(topic).and_then(|t| t.partitions.get_mut(index)) else { return false };
        let key = TopicPartition::new(topic.clone(), partition);
        if self.last_seen_epochs.get(&key).is_some_and(|seen| *seen >= epoch) {
            return false;
        }
        known.leader = Some(node);
        known.leader_epoch = epoch;
        self.last_seen_epochs.insert(key, epoch);
        true
    }

    /// Sends a request if one is due and somebody can take it. Call it at the end of every input: it also finds out when
    /// to wake up next. True if a request was sent.
    pub fn maybe_update(&mut self, network: &mut NetworkClient, ctx: &mut Context<'_>) -> bool {
        self.wake_at = None;
        if self.in_progress.is_some() {
            return false;
        }
        if self.due_at() > ctx.now() {
            self.wake_at = Some(self.due_at()).filter(|at| *at != Instant::NEVER);
            return false;
        }
        let now = ctx.now();
        let Some(node) = network.least_loaded_node(&self.brokers, now, ctx.rng()) else {
            // All are full or in backoff. Asking for each has us woken when a backoff ends.
            for node in &self.brokers {
                network.ready(*node, ctx);
            }
            return false;
        };
        if !network.ready(node, ctx) {
            return false;
        }
        let request = self.request();
        let token = network.send(node, request, Expect::Response, self.config.request_timeout, ctx);
        self.in_progress = Some(InProgress { token, additions: self.additions });
        true
    }

    /// A Metadata response. False if it answers somebody else's request.
    pub fn on_response(&mut self, token: RequestToken, response: &MetadataResponse, ctx: &mut Context<'_>) -> bool {
        let Some(request) = self.in_progress.filter(|request| request.token == token) else { return false };
        self.in_progress = None;
        if response.brokers.is_empty() {
            // A broker that is still starting up knows nobody.
            self.failed(ctx);
            return true;
        }
        self.need_update = request.additions < self.additions;
        self.version += 1;
        self.failed_attempts = 0;
        self.equivalent_responses = self.equivalent_responses.saturating_add(1);
        self.brokers = response.brokers.iter().map(|broker| NodeId::Broker(broker.node_id.0)).collect();
        let now = ctx.now();
        self.interest.retain(|_, interest| interest.forgotten_at > now);
        self.take_topics(&response.topics);
        let mut epochs = std::mem::take(&mut self.last_seen_epochs);
        epochs.retain(|partition, _| self.retains(&partition.topic));
        self.last_seen_epochs = epochs;
        self.expires_at = now + self.config.max_age;
        self.allowed_at = now + self.backoff(ctx.rng());
        true
    }

    /// A connection is gone. If it carried our request, that has failed; in any case what is known may be stale.
    pub fn on_disconnection(&mut self, disconnection: &Disconnection, ctx: &mut Context<'_>) {
        let ours = self.in_progress.is_some_and(|request| disconnection.failed.contains(&request.token));
        if ours || self.is_update_due(ctx.now()) {
            self.in_progress = self.in_progress.filter(|_| !ours);
            self.failed(ctx);
        }
        self.need_update = true;
    }

    /// When [`Self::maybe_update`] must run again, if nothing else happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.wake_at
    }

    fn due_at(&self) -> Instant {
        let wanted_at = if self.need_update { Instant::START } else { self.expires_at };
        wanted_at.max(self.allowed_at)
    }

    fn failed(&mut self, ctx: &mut Context<'_>) {
        self.failed_attempts = self.failed_attempts.saturating_add(1);
        self.equivalent_responses = 0;
        self.allowed_at = ctx.now() + self.backoff(ctx.rng());
    }

    fn backoff(&self, rng: &mut Prng) -> Duration {
        let attempts = self.failed_attempts.max(self.equivalent_responses);
        self.config.retry_backoff.after(attempts.saturating_sub(1), rng)
    }

    fn request(&self) -> MetadataRequest {
        let topics = self.interest.keys().map(|name| MetadataRequestTopic::default().with_name(Some(name.clone())));
        MetadataRequest::default()
            .with_topics(self.pattern.is_none().then(|| topics.collect()))
            .with_allow_auto_topic_creation(self.config.allow_auto_topic_creation)
    }

    /// Replaces what is known by what the answer says, but for partitions of which it knows an older epoch.
    fn take_topics(&mut self, topics: &[MetadataResponseTopic]) {
        let mut known = std::mem::take(&mut self.topics);
        self.errors.clear();
        for topic in topics {
            let Some(name) = topic.name.as_ref().filter(|name| self.retains(name)) else { continue };
            let error = ErrorCode(topic.error_code);
            if !error.is_none() {
                self.errors.insert(name.clone(), error);
                self.need_update |= is_invalid_metadata(error);
                continue;
            }
            let before = known.remove(name);
            let has_other_id = !topic.topic_id.is_nil() && before.as_ref().is_none_or(|old| old.id != topic.topic_id);
            let recreated = self.config.tells_recreated && has_other_id;
            let before = before.filter(|_| !recreated).map(|old| old.partitions).unwrap_or_default();
            let partitions = self.take_partitions(name, &topic.partitions, before, recreated);
            self.topics.insert(name.clone(), Topic { id: topic.topic_id, partitions });
        }
    }

    fn take_partitions(
        &mut self,
        topic: &TopicName,
        heard: &[MetadataResponsePartition],
        before: Vec<PartitionMetadata>,
        recreated: bool,
    ) -> Vec<PartitionMetadata> {
        let nobody =
            PartitionMetadata { leader: None, leader_epoch: LeaderEpoch::NONE, replicas: Vec::new(), isr: Vec::new() };
        let mut partitions = vec![nobody; heard.len()];
        for (position, partition) in heard.iter().enumerate() {
            self.need_update |= is_invalid_metadata(ErrorCode(partition.error_code));
            let index = usize::try_from(partition.partition_index).unwrap_or(position);
            // Partitions are numbered without a gap; an answer that is not is cut to what can be addressed.
            let Some(slot) = partitions.get_mut(index) else { continue };
            let key = TopicPartition::new(topic.clone(), partition.partition_index);
            let epoch = LeaderEpoch(partition.leader_epoch);
            let seen = self.last_seen_epochs.get(&key).copied().filter(|_| !recreated);
            match (seen, before.get(index)) {
                // Stale news. Where nothing is known of it any more, nobody leads it until somebody says better.
                (Some(seen), old) if epoch >= LeaderEpoch(0) && epoch < seen => {
                    old.into_iter().for_each(|old| slot.clone_from(old));
                    continue;
                }
                (Some(seen), _) if epoch == seen => {}
                (Some(_) | None, _) => self.equivalent_responses = 0,
            }
            if epoch >= LeaderEpoch(0) {
                self.last_seen_epochs.insert(key, epoch);
            } else {
                self.last_seen_epochs.remove(&key);
            }
            let leader = NodeId::Broker(partition.leader_id.0);
            *slot = PartitionMetadata {
                leader: self.brokers.contains(&leader).then_some(leader),
                leader_epoch: epoch,
                replicas: partition.replica_nodes.iter().map(|id| id.0).collect(),
                isr: partition.isr_nodes.iter().map(|id| id.0).collect(),
            };
        }
        partitions
    }
}

/// Kafka's `InvalidMetadataException`s: the cure is to ask again.
pub(crate) fn is_invalid_metadata(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::LEADER_NOT_AVAILABLE
            | ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::REPLICA_NOT_AVAILABLE
            | ErrorCode::NETWORK_EXCEPTION
            | ErrorCode::KAFKA_STORAGE_ERROR
            | ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::UNKNOWN_TOPIC_ID
    )
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;

//! What clients were told, derived from the facts of clients alone, and what the logs hold at the end.
//!
//! Source: Jepsen's histories (ok, fail, info); `failure-catalog.md` section 4 (i) on definite and indeterminate failures.
//!
//! The history is streaming: it keeps one entry per `send()` and per offset read, never an event. Keys and values are
//! reference counts on the bytes that the facts carry; everything is compared by a 64-bit digest of its content.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::fact::{Event, Fact, Observer, Payload};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{Instant, LeaderEpoch, NodeId, Offset, RecordId, TopicPartition};

use crate::deletion::Deletions;
use crate::digest::{self, Digest};
use crate::numbered::Numbered;
use crate::removal::Removal;

mod answers;
mod deleted;
mod rewrites;

use answers::Answers;
use rewrites::Rewrites;
pub(crate) use rewrites::Survivor;

/// What the application was told of one `send()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing, ever.
    Pending,
    /// Written.
    Acknowledged {
        /// With these acks.
        acks: i16,
        /// Where, or -1.
        offset: Offset,
    },
    /// Failed.
    Failed {
        /// How.
        error: ErrorCode,
        /// Whether it certainly was not written.
        definite: bool,
    },
    /// The process ended first.
    Abandoned {
        /// Whether it certainly never left the process.
        unsent: bool,
    },
}

/// One `send()`.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its name.
    pub id: RecordId,
    /// The key.
    pub key: Option<Payload>,
    /// The value.
    pub value: Option<Payload>,
    /// What the application was told.
    pub outcome: Outcome,
    /// When it was sent.
    pub sent_at: Instant,
    /// When it was told.
    pub told_at: Option<Instant>,
    /// The first `send()` of the same logical record; its own index if it is that.
    pub(crate) root: usize,
    pub(crate) topic: usize,
    pub(crate) partition: Option<usize>,
    pub(crate) digest: u64,
}

/// A replica at the end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The broker.
    pub broker: i32,
    /// Whether its process runs.
    pub running: bool,
    /// Whether it leads.
    pub leader: bool,
    /// Whether it is in the ISR.
    pub in_isr: bool,
    /// Log start offset.
    pub log_start: Offset,
    /// High watermark.
    pub high_watermark: Offset,
    /// Log end offset.
    pub log_end: Offset,
    /// The epoch of its last record.
    pub leader_epoch: LeaderEpoch,
}

/// What else the controller knows of a partition at the end of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moving {
    /// Replicas on their way in.
    pub adding: Vec<i32>,
    /// Replicas on their way out.
    pub removing: Vec<i32>,
    /// Eligible leader replicas.
    pub elr: Vec<i32>,
    /// The last leader, where ISR and ELR are empty.
    pub last_known_elr: Vec<i32>,
}

/// A record in a log at the end of the run.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub broker: i32,
    pub offset: i64,
    pub leader_epoch: LeaderEpoch,
    pub digest: u64,
    pub key: Option<Payload>,
    pub value: Option<Payload>,
}

/// What an offset was first seen with.
#[derive(Clone, Copy, Debug)]
struct Seen {
    digest: u64,
    polled: bool,
}

/// An offset that was seen with two values.
#[derive(Clone, Debug)]
pub(crate) struct Conflict {
    pub offset: i64,
    pub first: u64,
    pub second: u64,
    pub key: Option<Payload>,
    pub value: Option<Payload>,
}

/// Everything about one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionHistory {
    seen: Numbered<Seen>,
    polled_besides: BTreeMap<(i64, u64), ()>,
    pub conflicts: Vec<Conflict>,
    pub delivered: u64,
    pub replicas: Vec<Replica>,
    pub copies: Vec<Copy>,
    /// The newest epoch that a leader was elected for.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Where each consumer began to read.
    pub first_positions: BTreeMap<u32, i64>,
    /// What may be gone.
    pub removal: Removal,
    rewrites: Rewrites,
}

/// Where a value was seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sighting {
    Polled,
    Acknowledged,
}

impl PartitionHistory {
    /// Notes what an offset was seen with, and the first disagreement.
    fn see(&mut self, offset: Offset, digest: u64, how: Sighting, key: Option<&Payload>, value: Option<&Payload>) {
        let Ok(number) = u64::try_from(offset.0) else { return };
        let polled = how == Sighting::Polled;
        let Some(seen) = self.seen.get_mut(number) else {
            self.seen.insert_new(number, Seen { digest, polled });
            self.delivered += u64::from(polled);
            return;
        };
        if seen.digest == digest {
            self.delivered += u64::from(polled && !seen.polled);
            seen.polled |= polled;
            return;
        }
        let first = seen.digest;
        self.conflicts.push(Conflict {
            offset: offset.0,
            first,
            second: digest,
            key: key.cloned(),
            value: value.cloned(),
        });
        if polled {
            self.saw_besides(offset.0, digest);
        }
    }

    /// A consumer got a value that is not the first at its offset, or not one of this topic.
    fn saw_besides(&mut self, offset: i64, digest: u64) {
        self.delivered += u64::from(self.polled_besides.insert((offset, digest), ()).is_none());
    }

    /// The topic is deleted: its offsets end. What consumers got they have.
    fn end(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        self.polled_besides.extend(seen.iter().filter(|(_, seen)| seen.polled).map(|(offset, seen)| {
            // Offsets that were seen are not negative.
            ((i64::try_from(offset).unwrap_or(i64::MAX), seen.digest), ())
        }));
        self.leader_epoch = None;
        (self.removal, self.rewrites) = (Removal::default(), Rewrites::default());
    }

    /// Whether a consumer got this value at this offset.
    pub(crate) fn was_polled(&self, offset: i64, digest: u64) -> bool {
        let first = u64::try_from(offset).ok().and_then(|number| self.seen.get(number));
        first.is_some_and(|seen| seen.polled && seen.digest == digest)
            || self.polled_besides.contains_key(&(offset, digest))
    }

    /// What an offset was first told or read with.
    pub(crate) fn first_seen(&self, offset: i64) -> Option<u64> {
        u64::try_from(offset).ok().and_then(|number| self.seen.get(number)).map(|seen| seen.digest)
    }

    /// What consumers got at offsets that the leader's log has forgotten by its rules since. Where an offset was given out again, that was another
    /// record, or may have been.
    pub(crate) fn forgotten_reads(&self) -> impl Iterator<Item = (i64, u64)> {
        let start = self.leader().map_or(Offset(0), |leader| leader.log_start);
        let below = move |offset: Offset| offset < start && self.removal.may_be_forgotten(offset);
        let seen = if start > Offset(0) { Some(self.seen.iter()) } else { None };
        seen.into_iter().flatten().filter_map(move |(number, seen)| {
            let offset = Offset(i64::try_from(number).ok()?);
            let is_it = seen.polled && below(offset) && !self.rewrites.is_given_out_again(offset);
            is_it.then_some((offset.0, seen.digest))
        })
    }

    /// Every value that a consumer got.
    pub(crate) fn polled_values(&self) -> impl Iterator<Item = u64> {
        let first = self.seen.values().filter(|seen| seen.polled).map(|seen| seen.digest);
        first.chain(self.polled_besides.keys().map(|(_, digest)| *digest))
    }

    /// The leader at the end, by the controller's word.
    pub(crate) fn leader(&self) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.leader)
    }
}

/// What clients were told, and what the logs hold.
#[derive(Clone, Debug, Default)]
pub struct History {
    topics: Vec<(String, Digest)>,
    topic_index: BTreeMap<String, usize>,
    partition_names: Vec<TopicPartition>,
    partition_index: BTreeMap<TopicPartition, usize>,
    last_partition: usize,
    last_topic: usize,
    pub(crate) partitions: Vec<PartitionHistory>,
    pub(crate) sends: Vec<Sent>,
    by_number: BTreeMap<u32, Numbered<usize>>,
    pub(crate) resends: BTreeMap<usize, Vec<usize>>,
    pub(crate) replica_lists: BTreeMap<String, Vec<Vec<i32>>>,
    pub(crate) moving: BTreeMap<TopicPartition, Moving>,
    deletions: Deletions,
    answers: Answers,
    /// Brokers whose processes have ended.
    down: BTreeSet<i32>,
    pub(crate) ended: Option<bool>,
}

impl History {
    /// Nothing was told yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All calls of `send()`, in the order of the facts.
    pub fn sends(&self) -> &[Sent] {
        &self.sends
    }

    /// The partitions that were named, in the order in which they appeared, with their replicas at the end.
    pub fn partitions(&self) -> impl Iterator<Item = (&TopicPartition, &[Replica])> {
        self.partition_names.iter().zip(self.partitions.iter().map(|partition| partition.replicas.as_slice()))
    }

    /// The epoch of the last leader of a partition.
    pub fn leader_epoch(&self, partition: &TopicPartition) -> Option<LeaderEpoch> {
        self.partitions[*self.partition_index.get(partition)?].leader_epoch
    }

    /// The replicas that a topic was created with, per partition.
    pub fn replica_list(&self, partition: &TopicPartition) -> Option<&[i32]> {
        let lists = self.replica_lists.get(partition.topic.as_str())?;
        lists.get(usize::try_from(partition.partition).ok()?).map(Vec::as_slice)
    }

    /// The keys in the surviving log of a partition.
    pub(crate) fn surviving_keys(&self, name: &TopicPartition) -> BTreeSet<Payload> {
        let partition = self.partition_index.get(name).map(|index| &self.partitions[*index]);
        let leader = partition.and_then(PartitionHistory::leader).map(|replica| replica.broker);
        let copies = partition.into_iter().flat_map(|partition| &partition.copies);
        copies
            .filter(|copy| leader.is_none_or(|leader| leader == copy.broker))
            .filter_map(|copy| copy.key.clone())
            .collect()
    }

    /// What the log of a partition may forget.
    pub(crate) fn removal(&self, name: &TopicPartition) -> Option<&Removal> {
        self.partition_index.get(name).map(|index| &self.partitions[*index].removal)
    }

    pub(crate) fn index_of(&self, name: &TopicPartition) -> Option<usize> {
        self.partition_index.get(name).copied()
    }

    pub(crate) fn topic_name(&self, topic: usize) -> &str {
        &self.topics[topic].0
    }

    pub(crate) fn partition_name(&self, partition: usize) -> &TopicPartition {
        &self.partition_names[partition]
    }

    fn topic(&mut self, name: &str) -> usize {
        if self.topics.get(self.last_topic).is_some_and(|(last, _)| last == name) {
            return self.last_topic;
        }
        self.last_topic = match self.topic_index.get(name) {
            Some(index) => *index,
            None => {
                let mut digest = Digest::new();
                digest.bytes(name.as_bytes());
                self.topics.push((name.to_owned(), digest));
                self.topic_index.insert(name.to_owned(), self.topics.len() - 1);
                self.topics.len() - 1
            }
        };
        self.last_topic
    }

    fn partition(&mut self, name: &TopicPartition) -> usize {
        if self.partition_names.get(self.last_partition) == Some(name) {
            return self.last_partition;
        }
        self.last_partition = match self.partition_index.get(name) {
            Some(index) => *index,
            None => {
                self.partition_names.push(name.clone());
                self.partitions.push(PartitionHistory::default());
                self.partition_index.insert(name.clone(), self.partition_names.len() - 1);
                self.partition_names.len() - 1
            }
        };
        self.last_partition
    }

    fn digest(&mut self, topic: &str, key: Option<&Payload>, value: Option<&Payload>) -> u64 {
        let topic = self.topic(topic);
        digest::content(self.topics[topic].1, key, value)
    }

    fn find(&self, record: RecordId) -> Option<usize> {
        self.by_number.get(&record.client)?.get(record.number).copied()
    }

    fn sent(
        &mut self,
        id: RecordId,
        topic: &str,
        (key, value): (Option<&Payload>, Option<&Payload>),
        of: Option<RecordId>,
        at: Instant,
    ) {
        let digest = self.digest(topic, key, value);
        // A resend repeats the content; what claims to be one and does not is a record of its own.
        let root = of.and_then(|of| self.find(of)).map(|of| self.sends[of].root);
        let root = root.filter(|root| self.sends[*root].digest == digest);
        let index = self.sends.len();
        if !self.by_number.entry(id.client).or_default().insert_new(id.number, index) {
            return;
        }
        let root = root.unwrap_or(index);
        if root != index {
            self.resends.entry(root).or_default().push(index);
        }
        self.sends.push(Sent {
            id,
            key: key.cloned(),
            value: value.cloned(),
            outcome: Outcome::Pending,
            sent_at: at,
            told_at: None,
            root,
            topic: self.last_topic,
            partition: None,
            digest,
        });
    }

    /// The first word counts: a client says one thing of a record.
    fn told(&mut self, record: RecordId, partition: Option<&TopicPartition>, outcome: Outcome, at: Instant) {
        let Some(index) = self.find(record) else { return };
        if self.sends[index].outcome != Outcome::Pending {
            return;
        }
        let partition = partition.map(|partition| self.partition(partition));
        let sent = &mut self.sends[index];
        sent.outcome = outcome;
        sent.told_at = Some(at);
        sent.partition = partition.or(sent.partition);
        if let (Outcome::Acknowledged { offset, .. }, Some(partition)) = (outcome, partition) {
            if self.may_be_old(partition, self.sends[index].digest) {
                return;
            }
            let sent = &self.sends[index];
            self.partitions[partition].see(
                offset,
                sent.digest,
                Sighting::Acknowledged,
                sent.key.as_ref(),
                sent.value.as_ref(),
            );
        }
    }

    fn polled(&mut self, partition: &TopicPartition, offset: Offset, key: Option<&Payload>, value: Option<&Payload>) {
        let digest = self.digest(partition.topic.as_str(), key, value);
        let index = self.partition(partition);
        let may_be_old = self.may_be_old(index, digest);
        let partition = &mut self.partitions[index];
        if may_be_old {
            partition.saw_besides(offset.0, digest);
            return;
        }
        partition.see(offset, digest, Sighting::Polled, key, value);
    }
}

impl History {
    /// What was told of logs: what they may forget, where they are read from, what they hold at the end.
    fn observe_logs(&mut self, event: &Event) {
        match &event.fact {
            Fact::PositionReset { partition, to, .. } => {
                let index = self.partition(partition);
                if let NodeId::Client(client) = event.node {
                    self.partitions[index].first_positions.entry(client).or_insert(to.0);
                }
            }
            Fact::HighWatermarkAdvanced { partition, to, .. } => {
                let index = self.partition(partition);
                self.partitions[index].removal.committed(event.node, *to);
            }
            Fact::LogStartOffsetAdvanced { partition, to, .. } => {
                let index = self.partition(partition);
                self.partitions[index].removal.begins(event.node, *to, event.time);
            }
            Fact::Cleaned { partition, to, .. } => {
                let index = self.partition(partition);
                self.partitions[index].removal.cleaned(*to);
            }
            Fact::PartitionSurveyed { partition, adding, removing, elr, last_known_elr, .. } => {
                let moving = Moving {
                    adding: adding.clone(),
                    removing: removing.clone(),
                    elr: elr.clone(),
                    last_known_elr: last_known_elr.clone(),
                };
                self.moving.insert(partition.clone(), moving);
            }
            Fact::ReplicaSurveyed {
                partition,
                broker,
                running,
                leader,
                in_isr,
                log_start,
                high_watermark,
                log_end,
                leader_epoch,
            } => {
                let partition = self.partition(partition);
                self.partitions[partition].replicas.push(Replica {
                    broker: *broker,
                    running: *running,
                    leader: *leader,
                    in_isr: *in_isr,
                    log_start: *log_start,
                    high_watermark: *high_watermark,
                    log_end: *log_end,
                    leader_epoch: *leader_epoch,
                });
            }
            Fact::RecordSurveyed { partition, broker, offset, leader_epoch, key, value } => {
                let digest = self.digest(partition.topic.as_str(), key.as_ref(), value.as_ref());
                let partition = self.partition(partition);
                self.partitions[partition].copies.push(Copy {
                    broker: *broker,
                    offset: offset.0,
                    leader_epoch: *leader_epoch,
                    digest,
                    key: key.clone(),
                    value: value.clone(),
                });
            }
            _ => {}
        }
    }
}

impl Observer for History {
    fn observe(&mut self, event: &Event) {
        self.observe_rewrites(event);
        self.observe_answers(event);
        match &event.fact {
            Fact::RecordSent { record, topic, key, value, resend_of } => {
                self.sent(*record, topic, (key.as_ref(), value.as_ref()), *resend_of, event.time);
            }
            Fact::RecordBatched { record, partition, .. } => {
                let partition = self.partition(partition);
                if let Some(index) = self.find(*record) {
                    self.sends[index].partition = Some(partition);
                }
            }
            Fact::RecordAcknowledged { record, partition, offset, acks } => {
                let outcome = Outcome::Acknowledged { acks: *acks, offset: *offset };
                self.told(*record, Some(partition), outcome, event.time);
            }
            Fact::RecordFailed { record, partition, error, definite } => {
                let outcome = Outcome::Failed { error: *error, definite: *definite };
                self.told(*record, partition.as_ref(), outcome, event.time);
            }
            Fact::RecordAbandoned { record, unsent } => {
                self.told(*record, None, Outcome::Abandoned { unsent: *unsent }, event.time);
            }
            Fact::Polled { partition, offset, key, value }
            | Fact::SharePolled { partition, offset, key, value, .. } => {
                self.polled(partition, *offset, key.as_ref(), value.as_ref());
            }
            Fact::TopicCreated { topic, replicas } => {
                self.deletions.created(topic);
                self.replica_lists.insert(topic.clone(), replicas.clone());
            }
            Fact::LeaderElected { partition, leader_epoch, .. }
            | Fact::BecameLeader { partition, leader_epoch, .. } => {
                let partition = self.partition(partition);
                let newest = &mut self.partitions[partition].leader_epoch;
                *newest = (*newest).max(Some(*leader_epoch));
            }
            Fact::TopicDeleted { topic } => self.topic_deleted(topic),
            Fact::LogDeleted { partition, log_end } => {
                if let NodeId::Broker(broker) = event.node {
                    self.deletions.log_deleted(partition, broker, *log_end, self.sends.len());
                }
            }
            Fact::NodeStarted | Fact::NodeKilled | Fact::NodeStopped | Fact::PowerLost { .. } => {
                if let NodeId::Broker(broker) = event.node {
                    self.lives(broker, matches!(event.fact, Fact::NodeStarted));
                }
            }
            Fact::PartitionsAdded { topic, replicas, .. } => {
                self.replica_lists.entry(topic.clone()).or_default().extend(replicas.iter().cloned());
            }
            Fact::ReplicasReassigned { partition, replicas, .. } => {
                let number = usize::try_from(partition.partition).unwrap_or(usize::MAX);
                let lists = self.replica_lists.get_mut(partition.topic.as_str());
                if let Some(list) = lists.and_then(|lists| lists.get_mut(number)) {
                    list.clone_from(replicas);
                }
            }
            Fact::RunEnded { quiescent } => self.ended = Some(*quiescent),
            _ => self.observe_logs(event),
        }
    }
}

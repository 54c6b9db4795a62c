//! The trace, indexed: what happened to a record, a batch, an offset, a partition, a node.
//!
//! Which request an append came from is read off the chain of causes: append, request, `BatchSent`. Where a trace has no such
//! chain (one recorded from a real cluster), the latest transmission to that broker before the append is taken, and the
//! origin is marked as not certain.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ackproof_core::fact::{Event, Fact, Role};
use ackproof_core::types::{NodeId, ProducerEpoch, RecordId, Sequence, TopicPartition};

use super::nodes::FaultLine;

/// The place of an event in the trace.
pub(crate) type At = usize;

/// By what a leader knows an idempotent batch: producer id, its epoch, the sequence of the first record.
pub(crate) type Identity = (i64, ProducerEpoch, Sequence);

/// A batch. A program that starts again counts its batches from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchName {
    pub client: u32,
    /// How often its process had started.
    pub life: usize,
    pub number: u64,
}

/// What happened to a record.
#[derive(Debug, Default)]
pub(crate) struct RecordLine {
    pub sent: Option<At>,
    pub batch: Option<BatchName>,
    pub told: Option<At>,
    pub resends: Vec<RecordId>,
}

/// What happened to a batch.
#[derive(Debug, Default)]
pub(crate) struct BatchLine {
    pub sent: Vec<At>,
    pub retried: Vec<At>,
}

/// What happened to a partition.
#[derive(Debug, Default)]
pub(crate) struct PartitionLine {
    /// Appends by base offset.
    pub(super) appends: BTreeMap<i64, Vec<At>>,
    /// The most offsets that one append spans.
    pub(super) span: i64,
    /// Elections, ISRs as decided and as leaders heard of them, truncations, loads.
    pub structure: Vec<At>,
    /// Refused appends.
    pub refused: Vec<At>,
    /// What retention and the cleaner did.
    pub removals: Vec<At>,
    /// Where a replica forgot a producer.
    pub forgotten: Vec<At>,
    /// The broker that leads at the end.
    pub final_leader: Option<i32>,
    /// Leader epochs in its log, each by the first offset that has it.
    epochs: BTreeMap<i64, i32>,
    /// How many replicas it has.
    pub replicas: usize,
}

/// Where an append came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The transmission.
    pub sent: At,
    /// The batch.
    pub batch: BatchName,
    /// 1 for the first time.
    pub attempt: u32,
    /// Whether the chain of causes says so.
    pub certain: bool,
}

/// The trace, indexed.
#[derive(Debug)]
pub(crate) struct Lineage<'a> {
    pub events: &'a [Event],
    pub records: BTreeMap<RecordId, RecordLine>,
    pub batches: BTreeMap<BatchName, BatchLine>,
    pub partitions: BTreeMap<&'a TopicPartition, PartitionLine>,
    pub nodes: BTreeMap<NodeId, Vec<At>>,
    pub resets: BTreeMap<(u32, &'a TopicPartition), Vec<At>>,
    /// Who got an offset.
    pub polls: BTreeMap<&'a TopicPartition, BTreeMap<i64, Vec<At>>>,
    /// What a group did with a partition: assigned, processed, committed, revoked.
    pub delivery: BTreeMap<(&'a str, TopicPartition), Vec<At>>,
    /// Groups of the consumer protocol: they have epochs, not generations.
    pub epochs: BTreeSet<&'a str>,
    /// Where coordinators put members out of a group.
    pub removals: BTreeMap<&'a str, Vec<At>>,
    /// The clients that a group had.
    pub members: BTreeMap<&'a str, BTreeSet<NodeId>>,
    /// Groups whose members share partitions.
    pub share_groups: BTreeSet<&'a str>,
    /// Where stores have started.
    pub store_loads: Vec<At>,
    /// What became of transmissions at acks=0, by their place: appends, refusals, lost messages.
    pub consequences: BTreeMap<At, Vec<At>>,
    pub(super) faults: BTreeMap<u32, FaultLine>,
    /// Where leaders recognised a batch.
    recognised: BTreeMap<(&'a TopicPartition, Identity), Vec<At>>,
    /// What clients warned of.
    pub(super) warnings: BTreeMap<u32, Vec<At>>,
    /// The batches of records that were asked for: of one that is sent again for minutes there are thousands, and as many
    /// duplicates that ask.
    families: RefCell<BTreeMap<RecordId, Rc<[BatchName]>>>,
    /// What each broker had read of the metadata log and did not go by yet.
    pub(super) held_back: BTreeMap<NodeId, Vec<At>>,
    /// Where disks said that something was synced, and it was not.
    pub(super) lies: BTreeMap<NodeId, Vec<(At, u32)>>,
}

/// How far up the chain of causes a request is looked for. Between a transmission and its append lie one or two facts;
/// the chains of followers, who fetch because they fetched, reach back to the start of the run.
pub(super) const REACH: usize = 8;

impl<'a> Lineage<'a> {
    /// Indexes a trace; one pass.
    pub(crate) fn new(events: &'a [Event]) -> Self {
        let mut lineage = Self {
            events,
            records: BTreeMap::new(),
            batches: BTreeMap::new(),
            partitions: BTreeMap::new(),
            nodes: BTreeMap::new(),
            resets: BTreeMap::new(),
            polls: BTreeMap::new(),
            delivery: BTreeMap::new(),
            epochs: BTreeSet::new(),
            removals: BTreeMap::new(),
            members: BTreeMap::new(),
            share_groups: BTreeSet::new(),
            store_loads: Vec::new(),
            consequences: BTreeMap::new(),
            faults: BTreeMap::new(),
            recognised: BTreeMap::new(),
            warnings: BTreeMap::new(),
            families: RefCell::default(),
            held_back: BTreeMap::new(),
            lies: BTreeMap::new(),
        };
        let mut unasked = false;
        for (at, event) in events.iter().enumerate() {
            match event.node {
                NodeId::Client(client) => lineage.index_client(at, client, &event.fact),
                NodeId::Broker(_) | NodeId::Controller(_) => {}
            }
            lineage.index(at, event);
            lineage.index_fault(at, event);
            lineage.index_group(at, event);
            unasked |= matches!(event.fact, Fact::RecordAcknowledged { acks: 0, .. });
        }
        if unasked {
            lineage.index_consequences();
        }
        lineage
    }

    fn index_consequences(&mut self) {
        for (at, event) in self.events.iter().enumerate() {
            let (partition, is_one) = match &event.fact {
                Fact::Appended { partition, role: Role::Leader, .. } | Fact::AppendRefused { partition, .. } => {
                    (Some(partition), true)
                }
                Fact::MessageLost { .. } => (None, true),
                _ => (None, false),
            };
            if !is_one {
                continue;
            }
            let causes: Vec<At> = self.causes(at).take(REACH).collect();
            let Some(sent) = causes.iter().find(|cause| self.is_transmission(**cause)) else { continue };
            // A request carries the batches of many partitions, said in the same breath.
            for together in self.said_together(*sent) {
                let same = match &self.events[together].fact {
                    Fact::BatchSent { partition: to, .. } => partition.is_none_or(|partition| partition == to),
                    _ => false,
                };
                if same {
                    self.consequences.entry(together).or_default().push(at);
                }
            }
        }
    }

    /// The batch that a client calls so at a moment.
    pub(crate) fn batch_name(&self, client: u32, number: u64, at: At) -> BatchName {
        let life = self.nodes.get(&NodeId::Client(client)).into_iter().flatten();
        let starts = life.filter(|start| **start < at && matches!(self.events[**start].fact, Fact::NodeStarted));
        BatchName { client, life: starts.count(), number }
    }

    /// Whether a transmission to a partition is at an event.
    pub(crate) fn goes_to(&self, at: At, partition: &TopicPartition) -> bool {
        matches!(&self.events[at].fact, Fact::BatchSent { partition: to, .. } if to == partition)
    }

    fn is_transmission(&self, at: At) -> bool {
        matches!(self.events[at].fact, Fact::BatchSent { .. })
    }

    /// The transmissions around one, by the same client at the same moment to the same broker.
    fn said_together(&self, at: At) -> Vec<At> {
        let here = &self.events[at];
        let together = |other: &At| {
            let event = &self.events[*other];
            event.node == here.node && event.time == here.time && self.sent_to(*other) == self.sent_to(at)
        };
        let before = (0..=at).rev().take_while(together);
        let after = (at + 1..self.events.len()).take_while(together);
        before.chain(after).collect()
    }

    fn index_client(&mut self, at: At, client: u32, fact: &'a Fact) {
        match fact {
            Fact::RecordSent { record, resend_of, .. } => {
                self.records.entry(*record).or_default().sent = Some(at);
                if let Some(of) = resend_of {
                    self.records.entry(*of).or_default().resends.push(*record);
                }
            }
            Fact::RecordBatched { record, batch, .. } => {
                self.records.entry(*record).or_default().batch = Some(self.batch_name(client, *batch, at));
            }
            Fact::RecordAcknowledged { record, .. }
            | Fact::RecordFailed { record, .. }
            | Fact::RecordAbandoned { record, .. } => {
                self.records.entry(*record).or_default().told.get_or_insert(at);
            }
            Fact::BatchSent { batch, .. } => {
                let name = self.batch_name(client, *batch, at);
                self.batches.entry(name).or_default().sent.push(at);
            }
            Fact::BatchRetried { batch, .. } => {
                let name = self.batch_name(client, *batch, at);
                self.batches.entry(name).or_default().retried.push(at);
            }
            Fact::ClientWarned { .. } => {
                self.warnings.entry(client).or_default().push(at);
            }
            Fact::PositionReset { partition, .. } => {
                self.resets.entry((client, partition)).or_default().push(at);
            }
            Fact::Polled { partition, offset, .. } | Fact::SharePolled { partition, offset, .. } => {
                self.polls.entry(partition).or_default().entry(offset.0).or_default().push(at);
            }
            _ => {}
        }
    }

    fn index_group(&mut self, at: At, event: &'a Event) {
        if let Fact::StoreLoaded { .. } = event.fact {
            self.store_loads.push(at);
        }
        let (group, partitions) = match &event.fact {
            Fact::Processed { group: Some(group), partition, .. }
            | Fact::ProcessingFailed { group: Some(group), partition, .. }
            | Fact::GaveUp { group: Some(group), partition, .. }
            | Fact::StoreWrote { group, partition, .. }
            | Fact::StoreRefused { group, partition, .. }
            | Fact::OffsetCommitted { group, partition, .. } => (group, std::slice::from_ref(partition)),
            Fact::SharePartitionLoaded { group, partition, .. }
            | Fact::ShareAcquired { group, partition, .. }
            | Fact::ShareStateChanged { group, partition, .. }
            | Fact::ShareAcknowledgeRefused { group, partition, .. }
            | Fact::SharePolled { group, partition, .. } => {
                self.share_groups.insert(group);
                (group, std::slice::from_ref(partition))
            }
            Fact::PartitionsAssigned { group, partitions, .. } | Fact::PartitionsRevoked { group, partitions, .. } => {
                (group, partitions.as_slice())
            }
            Fact::MemberReconciled { group, .. } => {
                self.epochs.insert(group);
                return;
            }
            Fact::MemberRemoved { group, .. } => {
                self.removals.entry(group).or_default().push(at);
                return;
            }
            _ => return,
        };
        if let NodeId::Client(_) = event.node
            && !matches!(event.fact, Fact::StoreWrote { .. } | Fact::StoreRefused { .. })
        {
            self.members.entry(group).or_default().insert(event.node);
        }
        for partition in partitions {
            self.delivery.entry((group.as_str(), partition.clone())).or_default().push(at);
        }
    }

    fn index(&mut self, at: At, event: &'a Event) {
        match &event.fact {
            Fact::NodeStarted
            | Fact::NodeKilled
            | Fact::NodeStopped
            | Fact::NodePaused
            | Fact::NodeResumed
            | Fact::PowerLost { .. } => self.nodes.entry(event.node).or_default().push(at),
            Fact::Appended { partition, base_offset, last_offset, .. } => {
                let line = self.partitions.entry(partition).or_default();
                line.appends.entry(base_offset.0).or_default().push(at);
                line.span = line.span.max(last_offset.0.saturating_sub(base_offset.0));
            }
            Fact::DuplicateDetected { partition, .. } => {
                if let Some(identity) = self.identity(at) {
                    self.recognised.entry((partition, identity)).or_default().push(at);
                }
            }
            Fact::AppendRefused { partition, .. } => {
                self.partitions.entry(partition).or_default().refused.push(at);
            }
            Fact::LeaderElected { partition, .. }
            | Fact::IsrChanged { partition, .. }
            | Fact::PartitionOffline { partition, .. }
            | Fact::EligibleLeadersChanged { partition, .. }
            | Fact::BecameLeader { partition, .. }
            | Fact::IsrAdopted { partition, .. }
            | Fact::IsrProposed { partition, .. }
            | Fact::Truncated { partition, .. }
            | Fact::LogDeleted { partition, .. }
            | Fact::LogLoaded { partition, .. } => {
                self.partitions.entry(partition).or_default().structure.push(at);
            }
            Fact::MetadataHeldBack { .. } => self.held_back.entry(event.node).or_default().push(at),
            Fact::LogStartOffsetAdvanced { partition, .. } | Fact::Cleaned { partition, .. } => {
                self.partitions.entry(partition).or_default().removals.push(at);
            }
            Fact::ProducerExpired { partition, .. } => {
                self.partitions.entry(partition).or_default().forgotten.push(at);
            }
            Fact::ReplicaSurveyed { partition, broker, leader, .. } => {
                let line = self.partitions.entry(partition).or_default();
                line.replicas += 1;
                if *leader {
                    line.final_leader = Some(*broker);
                }
            }
            Fact::RecordSurveyed { partition, broker, offset, leader_epoch, .. } => {
                let line = self.partitions.entry(partition).or_default();
                let last = line.epochs.last_key_value().map(|(_, epoch)| *epoch);
                if line.final_leader == Some(*broker) && last != Some(leader_epoch.0) {
                    line.epochs.insert(offset.0, leader_epoch.0);
                }
            }
            _ => {}
        }
    }

    /// The appends that cover an offset, on any broker, in the order of the trace.
    pub(crate) fn appends(&self, partition: &TopicPartition, offset: i64) -> Vec<At> {
        let Some(line) = self.partitions.get(partition) else { return Vec::new() };
        let mut found: Vec<At> = line
            .appends
            .range(offset.saturating_sub(line.span)..=offset)
            .flat_map(|(_, appends)| appends.iter().copied())
            .filter(|at| match &self.events[*at].fact {
                Fact::Appended { last_offset, .. } => last_offset.0 >= offset,
                _ => false,
            })
            .collect();
        found.sort_unstable();
        found
    }

    /// The appends by leaders that cover an offset.
    pub(crate) fn leader_appends(&self, partition: &TopicPartition, offset: i64) -> Vec<At> {
        let mut appends = self.appends(partition, offset);
        appends.retain(|at| matches!(&self.events[*at].fact, Fact::Appended { role: Role::Leader, .. }));
        appends
    }

    /// Whether a leader had appended the same transmission before.
    pub(crate) fn was_appended(&self, partition: &TopicPartition, origin: Origin, before: At) -> bool {
        self.appends_of(partition, origin).any(|at| at < before)
    }

    /// Where leaders appended a transmission.
    pub(crate) fn appends_of(&self, partition: &TopicPartition, origin: Origin) -> impl Iterator<Item = At> {
        let appends = self.partitions.get(partition).map(|line| line.appends.values().flatten().copied());
        let by_leader = |at: &At| matches!(&self.events[*at].fact, Fact::Appended { role: Role::Leader, .. });
        appends.into_iter().flatten().filter(by_leader).filter(move |at| {
            let found = self.origin(*at, partition, &[origin.batch]);
            found.is_some_and(|found| found.certain && found.sent == origin.sent)
        })
    }

    /// The append by a leader that what stands at an offset in the end comes from. An old leader that comes to itself late
    /// may append at the same offset after it: that one is gone.
    pub(crate) fn surviving_append(&self, partition: &TopicPartition, offset: i64) -> Option<At> {
        let appends = self.leader_appends(partition, offset);
        let epoch = self.partitions.get(partition)?.epochs.range(..=offset).next_back().map(|(_, epoch)| *epoch);
        let of_epoch = |at: &&At| match &self.events[**at].fact {
            Fact::Appended { leader_epoch, .. } => Some(leader_epoch.0) == epoch,
            _ => false,
        };
        appends.iter().rfind(of_epoch).or(appends.last()).copied()
    }

    /// The event of a number.
    pub(crate) fn find(&self, sequence: u64) -> Option<At> {
        self.events.binary_search_by_key(&sequence, |event| event.sequence).ok()
    }

    /// The events that led to one, the nearest first.
    pub(crate) fn causes(&self, at: At) -> impl Iterator<Item = At> {
        let mut here = at;
        std::iter::from_fn(move || {
            // A cause lies before its effect, so the walk ends.
            here = self.find(self.events[here].cause).filter(|cause| *cause < here)?;
            Some(here)
        })
    }

    /// The fault of the plan that led to an event.
    pub(crate) fn fault(&self, at: At) -> Option<(u32, &'a str)> {
        self.causes(at).take(REACH).find_map(|cause| match &self.events[cause].fact {
            Fact::FaultInjected { fault, what } | Fact::FaultBit { fault, what } => Some((*fault, what.as_str())),
            _ => None,
        })
    }

    /// Where an append (or a refusal) came from. `batches` are those that it may have been, sorted.
    pub(crate) fn origin(&self, at: At, partition: &TopicPartition, batches: &[BatchName]) -> Option<Origin> {
        // A request that waited in its connection is looked at when the one before it is answered, and what led to that is not
        // what led to it: producer id, epoch and sequence tell the two apart.
        let identity = self.identity(at);
        let is_its = |origin: &Origin| identity.is_none() || self.identity(origin.sent) == identity;
        let cause = self.causes(at).take(REACH).find(|cause| self.is_transmission(*cause));
        let by_cause = cause.and_then(|cause| self.transmission_near(cause, partition, batches)).filter(is_its);
        if by_cause.is_some() {
            return by_cause;
        }
        let NodeId::Broker(here) = self.events[at].node else { return None };
        let sent =
            batches.iter().filter_map(|batch| self.batches.get(batch)).flat_map(|line| line.sent.iter().copied());
        let sent = sent.filter(|sent| *sent < at && self.sent_to(*sent) == Some(here));
        let own = sent.clone().filter(|sent| identity.is_some() && self.identity(*sent) == identity).max();
        match own {
            Some(own) => self.transmission(own, true),
            None => self.transmission(sent.max()?, false),
        }
    }

    /// Where the append of what is known to be a copy of a record came from. There is no doubt if it left its client once only.
    pub(crate) fn origin_of_copy(&self, at: At, partition: &TopicPartition, record: RecordId) -> Option<Origin> {
        let batches = self.batches_of(record);
        let origin = self.origin(at, partition, &batches)?;
        let sent = batches.iter().filter_map(|batch| self.batches.get(batch)).flat_map(|line| &line.sent);
        let once = sent.filter(|sent| **sent < at).count() == 1;
        Some(Origin { certain: origin.certain || once, ..origin })
    }

    /// The identity of a batch that is sent, appended or recognised; none without idempotence.
    pub(crate) fn identity(&self, at: At) -> Option<Identity> {
        match &self.events[at].fact {
            Fact::Appended { producer_id, producer_epoch, base_sequence, .. }
            | Fact::BatchSent { producer_id, producer_epoch, base_sequence, .. }
            | Fact::DuplicateDetected { producer_id, producer_epoch, base_sequence, .. } => {
                (*producer_id >= 0).then_some((*producer_id, *producer_epoch, *base_sequence))
            }
            _ => None,
        }
    }

    /// What a request whose last transmission is said at an event carries to a partition, if it is one of these. A request carries the
    /// batches of many partitions, and several may leave in one breath: the nearest transmission before is the request's own.
    fn transmission_near(&self, at: At, partition: &TopicPartition, batches: &[BatchName]) -> Option<Origin> {
        let sent = self.said_together(at).into_iter().find(|other| self.goes_to(*other, partition))?;
        self.transmission(sent, true).filter(|origin| batches.binary_search(&origin.batch).is_ok())
    }

    fn transmission(&self, at: At, certain: bool) -> Option<Origin> {
        match (&self.events[at].fact, self.events[at].node) {
            (Fact::BatchSent { batch, attempt, .. }, NodeId::Client(client)) => {
                let batch = self.batch_name(client, *batch, at);
                Some(Origin { sent: at, batch, attempt: *attempt, certain })
            }
            _ => None,
        }
    }

    pub(crate) fn sent_to(&self, at: At) -> Option<i32> {
        match &self.events[at].fact {
            Fact::BatchSent { broker, .. } => Some(*broker),
            _ => None,
        }
    }

    /// The batches that a logical record was in, its own and those of its resends, sorted.
    pub(crate) fn batches_of(&self, record: RecordId) -> Rc<[BatchName]> {
        let mut families = self.families.borrow_mut();
        let family = families.entry(record).or_insert_with(|| {
            let attempts = self.attempts(record).into_iter();
            let batches: BTreeSet<BatchName> =
                attempts.filter_map(|attempt| self.records.get(&attempt)?.batch).collect();
            batches.into_iter().collect()
        });
        Rc::clone(family)
    }

    /// A record and its resends, the first one first.
    pub(crate) fn attempts(&self, record: RecordId) -> Vec<RecordId> {
        let mut attempts = vec![record];
        let mut known = BTreeSet::from([record]);
        let mut next = 0;
        while let Some(line) = attempts.get(next).and_then(|attempt| self.records.get(attempt)) {
            attempts.extend(line.resends.iter().filter(|resend| known.insert(**resend)));
            next += 1;
        }
        attempts
    }

    /// The attempt of a record that was acknowledged; the first one if none was.
    pub(crate) fn acknowledged(&self, record: RecordId) -> RecordId {
        let is_told = |attempt: &RecordId| {
            let told = self.records.get(attempt).and_then(|line| line.told);
            told.is_some_and(|told| matches!(self.events[told].fact, Fact::RecordAcknowledged { .. }))
        };
        self.attempts(record).into_iter().find(is_told).unwrap_or(record)
    }

    /// The ISR at a moment, as last said before it.
    pub(crate) fn isr(&self, partition: &TopicPartition, at: At) -> Option<&'a [i32]> {
        let structure = &self.partitions.get(partition)?.structure;
        let end = structure.partition_point(|other| *other <= at);
        structure[..end].iter().rev().find_map(|other| match &self.events[*other].fact {
            Fact::LeaderElected { isr, .. }
            | Fact::BecameLeader { isr, .. }
            | Fact::PartitionOffline { isr, .. }
            | Fact::IsrChanged { to: isr, .. } => Some(isr.as_slice()),
            _ => None,
        })
    }

    /// The ISR that a leader went by at a moment, whatever the controller had decided that it had not heard of.
    pub(crate) fn leader_isr(&self, partition: &TopicPartition, leader: i32, at: At) -> Option<&'a [i32]> {
        let structure = &self.partitions.get(partition)?.structure;
        let end = structure.partition_point(|other| *other <= at);
        let said = structure[..end].iter().rev().filter(|at| self.events[**at].node == NodeId::Broker(leader));
        let mut own = said.filter_map(|at| match &self.events[*at].fact {
            Fact::BecameLeader { isr, .. } | Fact::IsrAdopted { isr, .. } => Some(isr.as_slice()),
            // It waits for whom it lets in, and counts them, before it knows the answer (`maximalIsr`).
            Fact::IsrProposed { from, to, .. } if to.len() > from.len() => Some(to.as_slice()),
            _ => None,
        });
        own.next().or_else(|| self.isr(partition, at))
    }

    /// The last refusal of what a client sent to a broker at acks=0, in a stretch of the trace.
    pub(crate) fn refused_unasked(&self, client: u32, broker: i32, after: At, before: At) -> Option<At> {
        let from_here =
            |sent: &At| self.events[*sent].node == NodeId::Client(client) && self.sent_to(*sent) == Some(broker);
        let became = self.consequences.iter().filter(|(sent, _)| from_here(sent)).flat_map(|(_, became)| became);
        let refusals = became.copied().filter(|at| matches!(self.events[*at].fact, Fact::AppendRefused { .. }));
        refusals.filter(|at| *at > after && *at < before).max()
    }

    /// The last change of a partition before a moment that fits.
    pub(crate) fn last_change(
        &self,
        partition: &TopicPartition,
        before: At,
        fits: impl Fn(&Fact) -> bool,
    ) -> Option<At> {
        let structure = &self.partitions.get(partition)?.structure;
        let end = structure.partition_point(|at| *at < before);
        structure[..end].iter().rev().copied().find(|at| fits(&self.events[*at].fact))
    }

    /// The refusal of a transmission of these batches, the last one before a moment.
    pub(crate) fn last_refusal(&self, partition: &TopicPartition, batch: BatchName, before: At) -> Option<At> {
        let refused = &self.partitions.get(partition)?.refused;
        let end = refused.partition_point(|at| *at < before);
        refused[..end].iter().rev().copied().find(|at| self.origin(*at, partition, &[batch]).is_some())
    }

    /// Where leaders recognised the batch of a transmission before a moment.
    pub(crate) fn recognised(&self, sent: At, until: At) -> &[At] {
        let Fact::BatchSent { partition, .. } = &self.events[sent].fact else { return &[] };
        let Some(identity) = self.identity(sent) else { return &[] };
        let found = self.recognised.get(&(partition, identity)).map_or(&[][..], Vec::as_slice);
        let (from, to) = (found.partition_point(|at| *at < sent), found.partition_point(|at| *at < until));
        found.get(from..to).unwrap_or_default()
    }
}

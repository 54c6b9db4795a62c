//! `lost-delivery` and `duplicate-delivery`: what a group was given and what became of it.
//!
//! Source: delivery accounting, processed x committed (`failure-catalog.md` section 4, c). A record below what its group
//! has committed, or below one that it has done with, or below where `auto.offset.reset` has put a member, is past: nobody of the
//! group will ask for it again. If nobody processed it either, its delivery is lost. If it was processed twice, it was delivered twice; a sink that takes each record
//! once absorbs that.
//!
//! A record that a program hands on to another topic, for retries or for dead letters, is no loss: it is somebody else's from
//! then on. One that it swallows is.
//!
//! Results that a program writes into a store, in one transaction with how far it has come, are there as long as the transaction
//! is: what a store has lost when it comes back was not processed after all.
//!
//! Where a log lost its end (a loss of power, an unclean election), what stands there later are other records: what was done with the
//! old ones is told as `lost-write`, and counts for nothing here; nor is a new one past because an old one was, unless somebody of the group
//! goes on behind it. A log that is compacted may be read with gaps, wherever its reader was.
//!
//! A topic that is deleted takes its records along, done or not; one that is created with its name begins at offset 0 for everybody.
//!
//! Only groups whose applications say what they have processed are judged.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::fact::{Event, Fact, Observer, ResetReason, Role};
use ackproof_core::types::{Instant, NodeId, Offset, TopicPartition};

use super::Findings;
use super::effects::Effects;
use crate::contract::Contract;
use crate::history::{History, Survivor};

/// Follows groups.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    groups: Groups,
    /// The group of each client that was given partitions by one.
    group_of: BTreeMap<u32, String>,
    /// What stores have written, until the run is over or they have lost it.
    written: Vec<Written>,
    /// After the last offset that any leader of a partition gave out.
    ends: BTreeMap<TopicPartition, i64>,
}

type Groups = BTreeMap<String, BTreeMap<TopicPartition, Progress>>;

/// A row that a store has written.
#[derive(Clone, Debug)]
struct Written {
    store: NodeId,
    transaction: u64,
    group: String,
    partition: TopicPartition,
    offset: Offset,
    results: Vec<Offset>,
    client: u32,
    at: Instant,
}

/// How far a group has come in one partition.
#[derive(Clone, Debug, Default)]
struct Progress {
    effects: Effects,
    /// Everything below has been committed.
    committed: i64,
    /// Something above was given up, or a member was put there.
    left: i64,
}

impl Observer for Delivery {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::Processed { group: Some(group), partition, offset } => {
                let NodeId::Client(client) = event.node else { return };
                self.progress(group, partition).effects.process(*offset, client, event.time);
            }
            Fact::GaveUp { group: Some(group), partition, offset, to } => {
                let NodeId::Client(client) = event.node else { return };
                let progress = self.progress(group, partition);
                progress.left = progress.left.max(offset.0.saturating_add(1));
                if to.is_some() {
                    progress.effects.hand_on(*offset, client, event.time);
                }
            }
            Fact::StoreWrote { transaction, group, partition, offset, results, client } => {
                self.written.push(Written {
                    store: event.node,
                    transaction: *transaction,
                    group: group.clone(),
                    partition: partition.clone(),
                    offset: *offset,
                    results: results.clone(),
                    client: *client,
                    at: event.time,
                });
            }
            Fact::PartitionsAssigned { group, .. } => {
                let NodeId::Client(client) = event.node else { return };
                if self.group_of.get(&client) != Some(group) {
                    self.group_of.insert(client, group.clone());
                }
            }
            Fact::PositionReset {
                partition, to, reason: ResetReason::NoPosition | ResetReason::OutOfRange, ..
            } => {
                let NodeId::Client(client) = event.node else { return };
                if let Some(group) = self.group_of.get(&client).cloned() {
                    let progress = self.progress(&group, partition);
                    progress.left = progress.left.max(to.0);
                }
            }
            Fact::PositionReset { partition, to, reason: ResetReason::Truncation, .. } => {
                let NodeId::Client(client) = event.node else { return };
                let group = self.group_of.get(&client).and_then(|group| self.groups.get_mut(group));
                if let Some(progress) = group.and_then(|partitions| partitions.get_mut(partition)) {
                    // It asks for them again.
                    progress.committed = progress.committed.min(to.0);
                    progress.left = progress.left.min(to.0);
                }
            }
            Fact::TopicDeleted { topic } => {
                let of_topic = |partition: &TopicPartition| partition.topic.as_str() == topic;
                let all = self.groups.values_mut().flatten().filter(|(partition, _)| of_topic(partition));
                all.for_each(|(_, progress)| progress.begin_anew());
            }
            Fact::StoreLoaded { transactions } => {
                self.written.retain(|row| row.store != event.node || row.transaction <= *transactions);
            }
            Fact::Appended { partition, role: Role::Leader, base_offset, last_offset, .. } => {
                self.appended(partition, base_offset.0, last_offset.0);
            }
            Fact::OffsetCommitted { group, partition, offset, .. } => {
                let progress = self.progress(group, partition);
                progress.committed = progress.committed.max(offset.0);
            }
            _ => {}
        }
    }
}

impl Delivery {
    fn progress(&mut self, group: &str, partition: &TopicPartition) -> &mut Progress {
        if !self.groups.contains_key(group) {
            self.groups.insert(group.to_owned(), BTreeMap::new());
        }
        self.groups.get_mut(group).expect("it was just inserted").entry(partition.clone()).or_default()
    }

    /// A leader appended a batch. Where other records had stood, nobody has left the new ones behind.
    fn appended(&mut self, partition: &TopicPartition, base: i64, last: i64) {
        let Some(end) = self.ends.get_mut(partition) else {
            self.ends.insert(partition.clone(), last.saturating_add(1));
            return;
        };
        if base < *end {
            let progress = self.groups.values_mut().filter_map(|partitions| partitions.get_mut(partition));
            progress.for_each(|progress| progress.left = progress.left.min(base));
        }
        *end = (*end).max(last.saturating_add(1));
    }

    /// With what stores have at the end.
    fn with_stores(&self) -> Groups {
        let mut all = Self { groups: self.groups.clone(), ..Self::default() };
        for row in &self.written {
            let progress = all.progress(&row.group, &row.partition);
            row.results.iter().for_each(|offset| progress.effects.process(*offset, row.client, row.at));
            progress.committed = progress.committed.max(row.offset.0);
        }
        all.groups
    }

    /// Share groups are judged by `share_delivery`.
    pub(crate) fn check(
        &self,
        history: &History,
        contract: &Contract,
        is_share: impl Fn(&str) -> bool,
        findings: &mut Findings,
    ) {
        let says: BTreeSet<&str> = contract
            .consumers
            .iter()
            .filter(|consumer| consumer.says_processed)
            .filter_map(|consumer| consumer.group.as_deref())
            .collect();
        let with_stores = (!self.written.is_empty()).then(|| self.with_stores());
        for (group, partitions) in with_stores.as_ref().unwrap_or(&self.groups) {
            let said = partitions.values().any(|progress| progress.effects.any());
            if is_share(group) || (!said && !says.contains(group.as_str())) {
                continue;
            }
            for (partition, progress) in partitions {
                let is_past = |record: &Survivor<'_>, last_done| {
                    // Members get records in their order. A commit speaks of what its member had got, not of what stands there since.
                    let is_committed = record.offset < progress.committed && !record.is_rewritten();
                    last_done > Some(record.offset) || is_committed || record.offset < progress.left
                };
                progress.effects.check((group, partition), is_past, contract.upserts(group), history, findings);
            }
        }
    }
}

impl Progress {
    /// The topic is gone.
    fn begin_anew(&mut self) {
        *self = Self { effects: self.effects.of_former(), ..Self::default() };
    }
}

//! `lost-delivery` and `duplicate-delivery` of share groups: what became of each record, by the word of the leader and of the programs.
//!
//! Source: KIP-932 (a record is acknowledged or archived, and then delivered to nobody any more); delivery accounting as in `delivery`.
//!
//! A share group has no position: a record is done with when it is acknowledged or archived, or lies below where the group began. If nobody
//! of the group has processed it by the end, its delivery is lost. If it was processed twice, it was delivered twice; a sink that takes each
//! record once absorbs that. What a program hands on to another topic is no loss; what it rejects is one.
//!
//! When not to accuse: a record that is still available or in somebody's hands at the end (who waits for it is `stuck`). Order is promised
//! to nobody.

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact, Observer, ShareState};
use ackproof_core::types::{NodeId, TopicPartition};

use super::Findings;
use super::effects::Effects;
use crate::contract::Contract;
use crate::history::{History, Survivor};

/// Follows share groups.
#[derive(Clone, Debug, Default)]
pub struct ShareDelivery {
    groups: BTreeMap<String, BTreeMap<TopicPartition, Shared>>,
}

/// What a share group has done with a partition.
#[derive(Clone, Debug, Default)]
struct Shared {
    effects: Effects,
    /// What leaders give to nobody any more.
    done: Offsets,
    /// The group began here: what is below was never its.
    begin: i64,
}

/// Offsets by ranges that do not overlap, each by its first one: a leader says it of thousands at once.
#[derive(Clone, Debug, Default)]
struct Offsets(BTreeMap<i64, i64>);

impl Offsets {
    fn insert(&mut self, first: i64, last: i64) {
        let (mut first, mut last) = (first, last);
        if first > last {
            return;
        }
        while let Some((from, to)) = self.0.range(..=last).next_back().map(|(from, to)| (*from, *to)) {
            if to < first {
                break;
            }
            (first, last) = (first.min(from), last.max(to));
            self.0.remove(&from);
        }
        self.0.insert(first, last);
    }

    fn contains(&self, offset: i64) -> bool {
        self.0.range(..=offset).next_back().is_some_and(|(_, last)| offset <= *last)
    }
}

impl Observer for ShareDelivery {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::SharePartitionLoaded { group, partition, start, known, .. } => {
                let shared = self.groups.entry(group.clone()).or_default().entry(partition.clone()).or_default();
                if !known {
                    shared.begin = shared.begin.max(start.0);
                }
            }
            Fact::ShareStateChanged {
                group,
                partition,
                first,
                last,
                state: ShareState::Acknowledged | ShareState::Archived,
                ..
            } => {
                if let Some(shared) = self.shared(group, partition) {
                    shared.done.insert(first.0, last.0);
                }
            }
            Fact::Processed { group: Some(group), partition, offset } => {
                let NodeId::Client(client) = event.node else { return };
                if let Some(shared) = self.shared(group, partition) {
                    shared.effects.process(*offset, client, event.time);
                }
            }
            Fact::GaveUp { group: Some(group), partition, offset, to: Some(_) } => {
                let NodeId::Client(client) = event.node else { return };
                if let Some(shared) = self.shared(group, partition) {
                    shared.effects.hand_on(*offset, client, event.time);
                }
            }
            Fact::TopicDeleted { topic } => {
                let of_topic = |partition: &TopicPartition| partition.topic.as_str() == topic;
                let all = self.groups.values_mut().flatten().filter(|(partition, _)| of_topic(partition));
                for (_, shared) in all {
                    *shared = Shared { effects: shared.effects.of_former(), ..Shared::default() };
                }
            }
            _ => {}
        }
    }
}

impl ShareDelivery {
    fn shared(&mut self, group: &str, partition: &TopicPartition) -> Option<&mut Shared> {
        self.groups.get_mut(group)?.get_mut(partition)
    }

    /// Whether a group is one.
    pub(crate) fn is_share(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    pub(crate) fn check(&self, history: &History, contract: &Contract, findings: &mut Findings) {
        for (group, partitions) in &self.groups {
            for (partition, shared) in partitions {
                let is_past =
                    |record: &Survivor<'_>, _| record.offset < shared.begin || shared.done.contains(record.offset);
                shared.effects.check((group, partition), is_past, contract.upserts(group), history, findings);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Offsets;

    #[test]
    fn ranges_are_put_together_where_they_overlap() {
        let mut offsets = Offsets::default();
        for (first, last) in [(10, 19), (30, 39), (5, 4), (15, 30), (50, i64::MAX)] {
            offsets.insert(first, last);
        }
        assert_eq!(offsets.0.into_iter().collect::<Vec<_>>(), [(10, 39), (50, i64::MAX)]);
        let mut offsets = Offsets::default();
        offsets.insert(3, 7);
        assert_eq!([2, 3, 7, 8].map(|offset| offsets.contains(offset)), [false, true, true, false]);
    }
}

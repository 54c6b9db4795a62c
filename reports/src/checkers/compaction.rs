//! What compaction may take: a record with a later one of its key, and a tombstone.
//!
//! Source: Kafka's documentation of log compaction; `failure-catalog.md` CP-04, CP-05.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::fact::Payload;
use ackproof_core::types::{Offset, TopicPartition};

use crate::history::{History, Survivor};
use crate::ledger::Ledger;

/// The last offset of each key of the partitions that the cleaner has been to.
#[derive(Debug, Default)]
pub(crate) struct Newest<'a> {
    by_key: BTreeMap<(usize, &'a [u8]), i64>,
}

impl<'a> Newest<'a> {
    /// From what was acknowledged and what is in the logs.
    pub(crate) fn new(ledger: &Ledger<'a>) -> Self {
        let mut newest = Newest::default();
        let history: &'a History = ledger.history;
        let any: Vec<bool> =
            history.partitions.iter().map(|partition| partition.removal.is_compacted(Offset(0))).collect();
        for sent in history.sends() {
            let (Some(partition), Some(offset)) = (sent.partition, sent.acknowledged_offset()) else { continue };
            if any[partition] {
                newest.note(partition, sent.key.as_ref(), offset);
            }
        }
        for (partition, log) in history.partitions.iter().enumerate().filter(|(partition, _)| any[*partition]) {
            for copy in &log.copies {
                newest.note(partition, copy.key.as_ref(), copy.offset);
            }
        }
        newest
    }

    fn note(&mut self, partition: usize, key: Option<&'a Payload>, offset: i64) {
        if let Some(key) = key {
            let last = self.by_key.entry((partition, &key.0)).or_insert(offset);
            *last = (*last).max(offset);
        }
    }

    /// Whether a later record has the same key.
    pub(crate) fn is_superseded(&self, partition: usize, key: &Payload, offset: i64) -> bool {
        self.by_key.get(&(partition, &key.0[..])).is_some_and(|last| *last > offset)
    }
}

/// Of the records that are left in a log, in order, those that the cleaner may have taken elsewhere: each replica compacts its own log,
/// so that a consumer may not find on one what is still on another. Of its later record the one that has it still may have lost the only copy.
pub(crate) fn may_be_gone_elsewhere(history: &History, name: &TopicPartition, left: &[Survivor<'_>]) -> BTreeSet<i64> {
    let Some(removal) = history.removal(name).filter(|removal| removal.is_compacted(Offset(0))) else {
        return BTreeSet::new();
    };
    let acknowledged = last_acknowledged(history, name);
    let mut later: BTreeSet<&[u8]> = BTreeSet::new();
    let mut gone = BTreeSet::new();
    for Survivor { offset, key, value, .. } in left.iter().rev() {
        let Some(key) = key else { continue };
        let has_later = !later.insert(&key.0) || acknowledged.get(&key.0[..]).is_some_and(|last| last > offset);
        if (has_later || value.is_none()) && removal.is_compacted(Offset(*offset)) {
            gone.insert(*offset);
        }
    }
    gone
}

/// The last offset of each key that a producer was told of.
fn last_acknowledged<'h>(history: &'h History, name: &TopicPartition) -> BTreeMap<&'h [u8], i64> {
    let mut last = BTreeMap::new();
    for sent in history.sends() {
        let here = sent.partition.is_some_and(|index| history.partition_name(index) == name);
        let (true, Some(offset), Some(key)) = (here, sent.acknowledged_offset(), &sent.key) else { continue };
        let newest = last.entry(&key.0[..]).or_insert(offset);
        *newest = offset.max(*newest);
    }
    last
}

/// The offsets of a log that nobody reads past without a reason.
pub(crate) fn offsets_to_read(history: &History, name: &TopicPartition) -> Vec<i64> {
    let left = history.surviving_records(name);
    let gone = may_be_gone_elsewhere(history, name, &left);
    left.iter().map(|record| record.offset).filter(|offset| !gone.contains(offset)).collect()
}

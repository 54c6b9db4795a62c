//! What compaction may take: a record with a later one of its key, and a tombstone.
//!
//! Source: Kafka's documentation of log compaction; `failure-catalog.md` CP-04, CP-05.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::fact::Payload;
use ackproof_core::types::{Offset, TopicPartition};

use crate::history::{History, Survivor};

/// The last offset of each key of the partitions that the cleaner has been to.
#[derive(Debug, Default)]
pub(crate) struct Newest<'a> {
    by_key: BTreeMap<(usize, &'a [u8]), i64>,
}

impl<'a> Newest<'a> {
    /// From what was acknowledged and what is in the logs.
    pub(crate) fn new(history: &'a History) -> Self {
        let mut newest = Newest::default();
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
/// so that a consumer may not find on one what is still on another. The later record of the key need not be left: a tombstone goes when its time is
/// over, and a replica that was away for so long never hears of it. Who has it still may have lost the only copy of the later one.
pub(crate) fn may_be_gone_elsewhere(history: &History, name: &TopicPartition, left: &[Survivor<'_>]) -> BTreeSet<i64> {
    let Some(removal) = history.removal(name).filter(|removal| removal.is_compacted(Offset(0))) else {
        return BTreeSet::new();
    };
    let (newest, partition) = (Newest::new(history), history.index_of(name));
    let may_go = |record: &&Survivor<'_>| {
        let (Some(key), Some(partition)) = (&record.key, partition) else { return false };
        let is_older = record.value.is_none() || newest.is_superseded(partition, key, record.offset);
        is_older && removal.is_compacted(Offset(record.offset))
    };
    left.iter().filter(may_go).map(|record| record.offset).collect()
}

/// The offsets of a log that nobody reads past without a reason.
pub(crate) fn offsets_to_read(history: &History, name: &TopicPartition) -> Vec<i64> {
    let left = history.surviving_records(name);
    let gone = may_be_gone_elsewhere(history, name, &left);
    left.iter().map(|record| record.offset).filter(|offset| !gone.contains(offset)).collect()
}

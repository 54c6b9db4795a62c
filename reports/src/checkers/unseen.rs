//! `unseen`: acknowledged and in the log, but no consumer got it although one read beyond it.
//!
//! Source: Jepsen `jepsen.tests.kafka` `unseen`. A partition counts as drained up to the last record of the log that any consumer
//! got; what lies beyond may only be late, and who read further before the log lost its end read other records. What compaction may have
//! taken where consumers read is not missed. Nor is what was deleted by the rules, and came back because a power loss took the checkpoint of the
//! log's start.

use std::collections::BTreeMap;

use ackproof_core::types::Offset;

use super::compaction::offsets_to_read;
use super::{Findings, at, of_record};
use crate::anomaly::Kind;
use crate::history::{Copy, PartitionHistory};
use crate::ledger::{Ledger, Standing};

pub(crate) fn check(ledger: &Ledger<'_>, findings: &mut Findings) {
    let mut drained_to: BTreeMap<usize, Option<i64>> = BTreeMap::new();
    let mut to_read: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for (root, sent) in ledger.roots() {
        let Some(place) = ledger.first[root] else { continue };
        let partition = &ledger.history.partitions[place.partition];
        let offset = ledger.history.offset(place);
        let last_read = *drained_to.entry(place.partition).or_insert_with(|| drained(partition));
        if last_read < Some(offset) || partition.was_polled(offset, sent.digest) {
            continue;
        }
        let (Standing::Acknowledged, told) = ledger.standing(root) else { continue };
        if told.told_at.is_some_and(|at| partition.was_deleted(Offset(offset), sent, at)) {
            continue;
        }
        let to_read = to_read
            .entry(place.partition)
            .or_insert_with(|| offsets_to_read(ledger.history, ledger.history.partition_name(place.partition)));
        if to_read.binary_search(&offset).is_ok() {
            findings.counts.unseen += 1;
            findings.anomalies.push(at(ledger, of_record(ledger, Kind::Unseen, root), place));
        }
    }
}

/// The offset of the last record in the log of a partition that somebody got.
fn drained(partition: &PartitionHistory) -> Option<i64> {
    let leader = partition.leader()?.broker;
    let read = |copy: &&Copy| copy.broker == leader && partition.was_polled(copy.offset, copy.digest);
    partition.copies.iter().filter(read).map(|copy| copy.offset).max()
}

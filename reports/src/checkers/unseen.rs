//! `unseen`: acknowledged and in the log, but no consumer got it although one read beyond it.
//!
//! Source: Jepsen `jepsen.tests.kafka` `unseen`. A partition counts as drained up to the highest offset that any consumer
//! got; what lies beyond may only be late. A share group has no position: where its log was cut and written anew, what its members got
//! before is not beyond anything. What compaction may have taken where consumers read is not missed.

use std::collections::BTreeMap;

use super::compaction::offsets_to_read;
use super::{Findings, at, of_record};
use crate::anomaly::Kind;
use crate::ledger::{Ledger, Standing};

pub(crate) fn check(ledger: &Ledger<'_>, findings: &mut Findings) {
    let mut to_read: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for (root, sent) in ledger.roots() {
        let Some(place) = ledger.first[root] else { continue };
        let partition = &ledger.history.partitions[place.partition];
        let offset = ledger.history.offset(place);
        let drained = partition.max_polled.max(partition.max_shared).is_some_and(|polled| polled >= offset);
        if !drained || partition.was_polled(offset, sent.digest) {
            continue;
        }
        if ledger.standing(root).0 != Standing::Acknowledged {
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

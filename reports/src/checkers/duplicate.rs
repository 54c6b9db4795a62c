//! `duplicate`: one logical record at two offsets.
//!
//! Source: Jepsen `jepsen.tests.kafka` `duplicate-cases` ("a value occurs at two offsets of a key's log"), with content
//! counted: what the application sent k times as k records may be there k times.
//!
//! A copy that a consumer got, and that the log has forgotten since by its rules, is one too.
//!
//! When not to accuse: the copy is in a partition that it was not sent to; that is `misrouted`. A copy that was read and is gone by
//! anything but the rules of the log: whoever read it read what was not to be. Where its offset was given out again, that is taken for granted.

use std::collections::BTreeMap;

use ackproof_core::types::Offset;

use super::{Findings, at, of_partition, of_record};
use crate::anomaly::{Anomaly, Kind};
use crate::ledger::Ledger;

/// Where copies of a content were: partition and offset, the oldest first.
type Places = Vec<(usize, i64)>;

pub(crate) fn check(ledger: &Ledger<'_>, findings: &mut Findings) {
    for extra in ledger.extra.iter().filter(|extra| !ledger.is_astray(extra.root, extra.place)) {
        findings.counts.duplicated += 1;
        let mut anomaly = at(ledger, of_record(ledger, Kind::Duplicate, extra.root), extra.place);
        if let Some(first) = ledger.first[extra.root] {
            point_to(ledger, &mut anomaly, extra.place.partition, (first.partition, ledger.history.offset(first)));
        }
        findings.anomalies.push(anomaly);
    }
    read_and_forgotten(ledger, findings);
}

/// Says where the first copy is: the application may have sent the record again to another partition.
fn point_to(ledger: &Ledger<'_>, anomaly: &mut Anomaly, partition: usize, first: (usize, i64)) {
    if first.0 == partition {
        anomaly.other_offset = Some(Offset(first.1));
    } else {
        anomaly.note = Some(format!("first at {} @ {}", ledger.history.partition_name(first.0), first.1));
    }
}

/// Copies beyond the first where the first has been read and is forgotten.
fn read_and_forgotten(ledger: &Ledger<'_>, findings: &mut Findings) {
    let history = ledger.history;
    let mut places: BTreeMap<u64, Places> = BTreeMap::new();
    for (index, partition) in history.partitions.iter().enumerate() {
        for (offset, digest) in partition.forgotten_reads() {
            places.entry(digest).or_default().push((index, offset));
        }
    }
    if places.is_empty() {
        return;
    }
    let mut there: BTreeMap<u64, Places> = BTreeMap::new();
    for (index, partition) in history.partitions.iter().enumerate() {
        let leader = partition.leader().map(|leader| leader.broker);
        for copy in partition.copies.iter().filter(|copy| Some(copy.broker) == leader) {
            if places.contains_key(&copy.digest) {
                there.entry(copy.digest).or_default().push((index, copy.offset));
            }
        }
    }
    let mut roots: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (root, sent) in ledger.roots().filter(|(_, sent)| places.contains_key(&sent.digest)) {
        roots.entry(sent.digest).or_default().push(root);
    }
    for (digest, mut gone) in places {
        let (Some(roots), remaining) = (roots.get(&digest), there.remove(&digest).unwrap_or_default()) else {
            continue;
        };
        gone.sort_unstable();
        // Those beyond what is accounted for among the copies that are still there.
        let known = remaining.len().saturating_sub(roots.len());
        let more = (gone.len() + remaining.len()).saturating_sub(roots.len()) - known;
        let first = gone[0];
        for (partition, offset) in gone.iter().chain(&remaining).skip(roots.len()).take(more) {
            findings.counts.duplicated += 1;
            let record = of_record(ledger, Kind::Duplicate, roots[0]);
            let mut anomaly = of_partition(ledger, Kind::Duplicate, *partition);
            (anomaly.key, anomaly.value, anomaly.record) = (record.key, record.value, record.record);
            anomaly.told_at = record.told_at;
            anomaly.offset = Some(Offset(*offset));
            point_to(ledger, &mut anomaly, *partition, first);
            anomaly.note.get_or_insert_with(|| "the first copy was read, and is forgotten since".to_owned());
            findings.anomalies.push(anomaly);
        }
    }
}

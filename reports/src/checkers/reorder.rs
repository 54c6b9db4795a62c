//! `reorder`: the log has a record after one that its producer sent later; `replay-reorder`: a second copy has.
//!
//! Source: `failure-catalog.md` section 4 (b), CR-02, NC-02. Jepsen's `nonmonotonic-send` sees it only inside one
//! transaction.
//!
//! Order is judged per producer and partition, and per key within that (`counts.reordered_keys`): Kafka promises none
//! between partitions. Only first copies count for `reorder`. When not to accuse: a record that the application sent
//! again has two places in the order of `send()`; unless an acknowledgement tells which of its attempts a copy is, it is
//! left out.

use std::collections::BTreeMap;

use ackproof_core::types::{Offset, RecordId};

use super::{Findings, at, of_record};
use crate::anomaly::Kind;
use crate::history::Outcome;
use crate::ledger::{Ledger, Place};

/// A copy in the log of one producer and partition.
struct Entry {
    client: u32,
    partition: usize,
    offset: i64,
    number: u64,
    root: usize,
    place: Place,
    is_first: bool,
}

pub(crate) fn check(ledger: &Ledger<'_>, findings: &mut Findings) {
    let entries = entries(ledger);
    for log in entries.chunk_by(|one, other| (one.client, one.partition) == (other.client, other.partition)) {
        let mut latest: Option<&Entry> = None;
        let mut latest_of_key: BTreeMap<&[u8], u64> = BTreeMap::new();
        // Most logs are in order, and those need no map of keys.
        let disordered = !log.is_sorted_by_key(|entry| entry.number);
        for entry in log {
            if disordered {
                let key = ledger.history.sends[entry.root].key.as_ref();
                if let Some(key) = key.filter(|_| entry.is_first) {
                    let latest = latest_of_key.entry(&key.0).or_insert(entry.number);
                    findings.counts.reordered_keys += u64::from(entry.number < *latest);
                    *latest = entry.number.max(*latest);
                }
            }
            match latest {
                Some(later) if later.number > entry.number => accuse(ledger, entry, later, findings),
                Some(_) | None if entry.is_first => latest = Some(entry),
                Some(_) | None => {}
            }
        }
    }
}

fn accuse(ledger: &Ledger<'_>, entry: &Entry, later: &Entry, findings: &mut Findings) {
    let kind = if entry.is_first { Kind::Reorder } else { Kind::ReplayReorder };
    match entry.is_first {
        true => findings.counts.reordered += 1,
        false => findings.counts.replayed += 1,
    }
    let mut anomaly = at(ledger, of_record(ledger, kind, entry.root), entry.place);
    anomaly.record = Some(RecordId { client: entry.client, number: entry.number });
    anomaly.other_record = Some(RecordId { client: later.client, number: later.number });
    anomaly.other_offset = Some(Offset(later.offset));
    let sends = &ledger.history.sends;
    if sends[entry.root].key.is_some() && sends[entry.root].key == sends[later.root].key {
        anomaly.note = Some("same key".to_owned());
    }
    findings.anomalies.push(anomaly);
}

fn entries(ledger: &Ledger<'_>) -> Vec<Entry> {
    let first = ledger.first.iter().enumerate().filter_map(|(root, place)| place.map(|place| (root, place, true)));
    let extra = ledger.extra.iter().map(|extra| (extra.root, extra.place, false));
    let mut entries: Vec<Entry> = first
        .chain(extra)
        .filter_map(|(root, place, is_first)| {
            let id = attempt_at(ledger, root, place)?;
            let offset = ledger.history.offset(place);
            Some(Entry {
                client: id.client,
                partition: place.partition,
                offset,
                number: id.number,
                root,
                place,
                is_first,
            })
        })
        .collect();
    entries.sort_unstable_by_key(|entry| (entry.client, entry.partition, entry.offset));
    entries
}

/// The call of `send()` that a copy comes from, where that is certain.
fn attempt_at(ledger: &Ledger<'_>, root: usize, place: Place) -> Option<RecordId> {
    let offset = ledger.history.offset(place);
    let mut attempts = ledger.attempts(root);
    match (attempts.next()?, attempts.next()) {
        (only, None) => Some(only.id),
        (_, Some(_)) => ledger
            .attempts(root)
            .find(|sent| {
                let acknowledged = matches!(sent.outcome, Outcome::Acknowledged { offset: at, .. } if at.0 == offset);
                acknowledged && sent.partition == Some(place.partition)
            })
            .map(|sent| sent.id),
    }
}

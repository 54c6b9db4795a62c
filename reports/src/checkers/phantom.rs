//! `phantom`: reported as certainly not written, or never sent, and yet there.
//!
//! Source: Jepsen `jepsen.tests.kafka` `G1a` (aborted read); outcome PHANTOM of `failure-catalog.md`. A record counts as there
//! if it is in a surviving log or if a consumer got it.
//!
//! When not to accuse: an indeterminate failure that shows up; that is counted as `surfaced` and is what indeterminate means.

use std::collections::BTreeSet;

use ackproof_core::types::Offset;

use super::{Findings, at, of_partition, of_record};
use crate::anomaly::Kind;
use crate::ledger::{Ledger, Standing};

pub(crate) fn check(ledger: &Ledger<'_>, findings: &mut Findings) {
    let mut failed: Vec<(u64, usize)> = Vec::new();
    for (root, sent) in ledger.roots() {
        let standing = ledger.standing(root).0;
        match (standing, ledger.first[root]) {
            (Standing::Failed, Some(place)) => {
                findings.counts.phantom += 1;
                findings.anomalies.push(at(ledger, of_record(ledger, Kind::Phantom, root), place));
            }
            (Standing::Failed, None) => failed.push((sent.digest, root)),
            (Standing::Indeterminate | Standing::Pending, Some(_)) => findings.counts.surfaced += 1,
            (Standing::Acknowledged | Standing::Unasked | Standing::Indeterminate | Standing::Pending, _) => {}
        }
    }
    read_but_gone(ledger, failed, findings);
    for place in &ledger.foreign {
        findings.counts.phantom += 1;
        let copy = ledger.copy(*place);
        let mut anomaly = of_partition(ledger, Kind::Phantom, place.partition);
        anomaly.offset = Some(Offset(copy.offset));
        anomaly.key = copy.key.clone();
        anomaly.value = copy.value.clone();
        anomaly.note = Some("nobody sent it".to_owned());
        findings.anomalies.push(anomaly);
    }
}

/// Failed records that a consumer got although they are in no log any more.
fn read_but_gone(ledger: &Ledger<'_>, mut failed: Vec<(u64, usize)>, findings: &mut Findings) {
    if failed.is_empty() {
        return;
    }
    // Content that was also sent with success may well have been read.
    let failed_digests: BTreeSet<u64> = failed.iter().map(|(digest, _)| *digest).collect();
    let innocent: BTreeSet<u64> = ledger
        .roots()
        .filter(|(root, sent)| failed_digests.contains(&sent.digest) && ledger.standing(*root).0 != Standing::Failed)
        .map(|(_, sent)| sent.digest)
        .collect();
    failed.retain(|(digest, _)| !innocent.contains(digest));
    let read: BTreeSet<u64> = ledger
        .history
        .partitions
        .iter()
        .flat_map(|partition| partition.polled_values())
        .filter(|digest| failed_digests.contains(digest))
        .collect();
    for (_, root) in failed.into_iter().filter(|(digest, _)| read.contains(digest)) {
        findings.counts.phantom += 1;
        let mut anomaly = of_record(ledger, Kind::Phantom, root);
        anomaly.note = Some("a consumer got it".to_owned());
        findings.anomalies.push(anomaly);
    }
}

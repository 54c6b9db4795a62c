//! `misrouted`: a record is in a partition that it was not sent to.
//!
//! Source: outcome CORRUPT of `failure-catalog.md` NC-04 (c) and CR-14: the CRC of a batch does not cover where it goes.
//!
//! When not to accuse: nobody knows where it was sent (no `RecordBatched`); a resend of the application went there.

use super::{Findings, at, of_record};
use crate::anomaly::Kind;
use crate::ledger::{Ledger, Place};

pub(crate) fn check(ledger: &Ledger<'_>, findings: &mut Findings) {
    let first = ledger.roots().filter_map(|(root, _)| Some((root, ledger.first[root]?)));
    let extra = ledger.extra.iter().map(|extra| (extra.root, extra.place));
    let mut astray: Vec<(usize, Place)> =
        first.chain(extra).filter(|(root, place)| ledger.is_astray(*root, *place)).collect();
    astray.sort_unstable_by_key(|(_, place)| *place);
    for (root, place) in astray {
        let mut anomaly = at(ledger, of_record(ledger, Kind::Misrouted, root), place);
        let meant = ledger.attempts(root).find_map(|sent| sent.partition);
        anomaly.note = meant.map(|meant| format!("it was sent to {}", ledger.history.partition_name(meant)));
        findings.anomalies.push(anomaly);
    }
}

//! `duplicate`: one logical record at two offsets.
//!
//! Source: Jepsen `jepsen.tests.kafka` `duplicate-cases` ("a value occurs at two offsets of a key's log"), with content
//! counted: what the application sent k times as k records may be there k times.
//!
//! When not to accuse: the copy is in a partition that it was not sent to; that is `misrouted`.

use ackproof_core::types::Offset;

use super::{Findings, at, of_record};
use crate::anomaly::Kind;
use crate::ledger::Ledger;

pub(crate) fn check(ledger: &Ledger<'_>, findings: &mut Findings) {
    for extra in ledger.extra.iter().filter(|extra| !ledger.is_astray(extra.root, extra.place)) {
        findings.counts.duplicated += 1;
        let mut anomaly = at(ledger, of_record(ledger, Kind::Duplicate, extra.root), extra.place);
        anomaly.other_offset = ledger.first[extra.root].map(|first| Offset(ledger.history.offset(first)));
        findings.anomalies.push(anomaly);
    }
}

//! `expired-unread`: acknowledged, and deleted by the rules before any consumer got it.
//!
//! The log has kept what it promised, the application has lost a record all the same (`failure-catalog.md` CP-01, NC-06).
//!
//! When not to accuse: nobody reads the partition; a consumer with `auto.offset.reset=latest` does not ask for what was there
//! before it.

use ackproof_core::types::Offset;

use super::{Findings, of_record};
use crate::anomaly::{Anomaly, Kind};
use crate::contract::Contract;
use crate::history::Sent;
use crate::ledger::Ledger;

/// The anomaly, if the record that was told with `told` and is legally gone was wanted.
pub(crate) fn check(
    ledger: &Ledger<'_>,
    contract: &Contract,
    (root, told, partition, offset): (usize, &Sent, usize, Offset),
    findings: &mut Findings,
) {
    let log = &ledger.history.partitions[partition];
    let latest =
        |client: u32| contract.consumers.iter().any(|consumer| consumer.client == client && consumer.resets_to_latest);
    let wanted = log.first_positions.iter().any(|(client, first)| *first <= offset.0 || !latest(*client));
    if !wanted || log.was_polled(offset.0, told.digest) {
        return;
    }
    findings.counts.expired += 1;
    findings.anomalies.push(Anomaly {
        partition: Some(ledger.history.partition_name(partition).partition),
        offset: Some(offset),
        told_at: told.told_at,
        record: Some(told.id),
        ..of_record(ledger, Kind::ExpiredUnread, root)
    });
}

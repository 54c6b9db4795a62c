//! `lost-write`: acknowledged by a broker, and absent from the surviving log.
//!
//! Source: Jepsen `jepsen.tests.kafka` `lost-write-cases`, with the disks as ground truth instead of what was read
//! (`failure-catalog.md` section 4 (a)).
//!
//! When not to accuse: retention or an operator removed it (the offset lies below the log start, or did once, and was committed: then it may be
//! `expired-unread`); compaction did (there is a later record of its key, or it was a tombstone); somebody deleted the topic; the failure was indeterminate; acks=0,
//! where no broker ever answered (that is `silent-drop`); the partition has no leader but some disk has the record
//! (`unavailable`, one per partition); nobody looked at the log (then the verdict is unknown).

use std::collections::BTreeMap;

use ackproof_core::types::Offset;

use super::compaction::Newest;
use super::{Findings, expired_unread, of_partition, of_record};
use crate::anomaly::Kind;
use crate::contract::Contract;
use crate::history::Outcome;
use crate::ledger::{Ledger, Standing};

pub(crate) fn check(ledger: &Ledger<'_>, contract: &Contract, findings: &mut Findings) {
    let newest = Newest::new(ledger.history);
    let mut waiting: BTreeMap<usize, u64> = BTreeMap::new();
    for (root, _) in ledger.roots() {
        let (Standing::Acknowledged, told) = ledger.standing(root) else { continue };
        let (Outcome::Acknowledged { offset, .. }, Some(partition)) = (told.outcome, told.partition) else { continue };
        let history = &ledger.history.partitions[partition];
        if let Some(place) = ledger.first[root] {
            if ledger.history.partitions[place.partition].leader().is_none() {
                *waiting.entry(place.partition).or_default() += 1;
            }
            continue;
        }
        if history.replicas.is_empty() {
            findings.doubt(format!("nobody looked at the log of {}", ledger.history.partition_name(partition)));
            continue;
        }
        let forgotten = history.leader().is_some_and(|leader| offset.0 >= 0 && offset < leader.log_start);
        let deleted = told.told_at.is_some_and(|at| history.was_deleted(offset, told, at));
        let given_away = told.told_at.is_some_and(|at| history.is_given_away(offset, told, at));
        if ledger.history.was_deleted(root, partition, offset)
            || forgotten && !given_away && history.removal.may_be_forgotten(offset)
            || deleted
        {
            findings.counts.removed += 1;
            expired_unread::check(ledger, contract, (root, told, partition, offset), findings);
            continue;
        }
        let superseded =
            told.key.as_ref().is_some_and(|key| told.value.is_none() || newest.is_superseded(partition, key, offset.0));
        if superseded && history.removal.is_compacted(offset) {
            findings.counts.compacted += 1;
            continue;
        }
        if history.replicas.is_empty() {
            findings.doubt(format!("nobody looked at the log of {}", ledger.history.partition_name(partition)));
            continue;
        }
        findings.counts.lost += 1;
        let mut anomaly = of_record(ledger, Kind::LostWrite, root);
        anomaly.partition = Some(ledger.history.partition_name(partition).partition);
        anomaly.offset = Some(offset).filter(|offset| *offset > Offset::NONE);
        anomaly.told_at = told.told_at;
        anomaly.record = Some(told.id);
        findings.anomalies.push(anomaly);
    }
    for (partition, records) in waiting {
        findings.counts.unavailable += records;
        let mut anomaly = of_partition(ledger, Kind::Unavailable, partition);
        let word = if records == 1 { "record is" } else { "records are" };
        anomaly.note = Some(format!("{records} acknowledged {word} on disk, but no replica leads"));
        findings.anomalies.push(anomaly);
    }
}

//! `silent-drop`: no broker ever answered for the record, it is in no log, and the application knows nothing of it.
//!
//! Source: `failure-catalog.md` PA-01, PA-02 (acks=0), CR-11 (buffer full), CR-12 (exit without close), LG-01, LG-02 (legacy
//! queue). Not one of Jepsen's, whose clients always wait for an answer.
//!
//! The application knows nothing if it was told of success at acks=0, if the process ended before any callback, or if the
//! contract says that it ignores errors. When not to accuse: it resends or stops on errors; what it does is not known; the
//! callback is still to come (`pending`); nobody looked at the log.

use super::{Findings, of_record};
use crate::anomaly::Kind;
use crate::contract::{Contract, OnError};
use crate::history::Outcome;
use crate::ledger::{Ledger, Standing};

pub(crate) fn check(ledger: &Ledger<'_>, contract: &Contract, findings: &mut Findings) {
    for (root, sent) in ledger.roots() {
        if ledger.first[root].is_some() {
            continue;
        }
        let (standing, told) = ledger.standing(root);
        if standing == Standing::Acknowledged {
            continue;
        }
        let unheard = match told.outcome {
            Outcome::Acknowledged { .. } => Some("reported as sent"),
            // It has not gone past the record of which this is the dead letter: that is delivered again.
            Outcome::Abandoned { .. } if waits_for_dead_letters(contract, sent.id.client) => None,
            Outcome::Abandoned { .. } => Some("abandoned"),
            Outcome::Failed { .. } if ignores_errors(contract, sent.id.client) => Some("failed, and ignored"),
            Outcome::Failed { .. } | Outcome::Pending => None,
        };
        let Some(note) = unheard else { continue };
        // A record without a partition never got as far as a log that could be looked at.
        if let Some(partition) = told.partition {
            let history = &ledger.history.partitions[partition];
            if history.replicas.is_empty() {
                findings.doubt(format!("nobody looked at the log of {}", ledger.history.partition_name(partition)));
                continue;
            }
            // Without offsets nothing tells a dropped record from one that retention removed.
            if history.leader().is_some_and(|leader| leader.log_start.0 > 0) && standing != Standing::Failed {
                findings.counts.removed += 1;
                continue;
            }
        }
        findings.counts.dropped += 1;
        let mut anomaly = of_record(ledger, Kind::SilentDrop, root);
        anomaly.record = Some(told.id);
        anomaly.told_at = told.told_at;
        anomaly.note = Some(note.to_owned());
        findings.anomalies.push(anomaly);
    }
}

fn ignores_errors(contract: &Contract, client: u32) -> bool {
    contract.producer(client).is_some_and(|producer| producer.on_error == OnError::Ignore)
}

/// Whether it is a consuming program that commits a record only when the topic that it is handed on to has it.
fn waits_for_dead_letters(contract: &Contract, client: u32) -> bool {
    let consumes = contract.consumers.iter().any(|consumer| consumer.client == client);
    consumes && contract.producer(client).is_some_and(|producer| producer.on_error == OnError::Resend)
}

//! `stuck`: something waits for ever.
//!
//! Source: `failure-catalog.md` section 4 (h), outcomes STALL and STUCK. The world says what did not come to rest
//! (`Fact::Stuck`); here it is joined by partitions without a leader and by sends that were never answered.
//!
//! When not to accuse: a run that was cut off (`RunEnded` not quiescent) has answers still to come; the asynchronous producer
//! of 0.8 has no callback and never answers.

use std::collections::BTreeMap;

use super::{Findings, of_partition};
use crate::anomaly::{Anomaly, Kind};
use crate::contract::{Contract, LegacyKind};
use crate::history::Outcome;
use crate::ledger::Ledger;

pub(crate) fn check(ledger: &Ledger<'_>, contract: &Contract, findings: &mut Findings) {
    for (index, partition) in ledger.history.partitions.iter().enumerate() {
        if partition.replicas.is_empty() || partition.leader().is_some() {
            continue;
        }
        let mut anomaly = of_partition(ledger, Kind::Stuck, index);
        let isr: Vec<String> = partition
            .replicas
            .iter()
            .filter(|replica| replica.in_isr)
            .map(|replica| match replica.running {
                true => format!("broker {}", replica.broker),
                false => format!("broker {} (down)", replica.broker),
            })
            .collect();
        anomaly.note =
            Some(format!("no leader; in sync: {}", if isr.is_empty() { "none".into() } else { isr.join(", ") }));
        findings.anomalies.push(anomaly);
    }
    if ledger.history.ended != Some(true) {
        return;
    }
    let mut unanswered: BTreeMap<u32, (u64, usize)> = BTreeMap::new();
    for (index, sent) in ledger.history.sends.iter().enumerate() {
        if sent.outcome == Outcome::Pending {
            unanswered.entry(sent.id.client).or_insert((0, index)).0 += 1;
        }
    }
    unanswered.retain(|client, _| answers(contract, *client));
    for (client, (sends, first)) in unanswered {
        let record = &ledger.history.sends[first];
        let word = if sends == 1 { "send() was" } else { "sends were" };
        findings.anomalies.push(Anomaly {
            client: Some(client),
            topic: Some(ledger.history.topic_name(record.topic).to_owned()),
            partition: record.partition.map(|partition| ledger.history.partition_name(partition).partition),
            key: record.key.clone(),
            value: record.value.clone(),
            record: Some(record.id),
            note: Some(format!("{sends} {word} never answered; this is the first")),
            ..Anomaly::new(Kind::Stuck)
        });
    }
}

fn answers(contract: &Contract, client: u32) -> bool {
    contract.producer(client).is_none_or(|producer| producer.legacy != Some(LegacyKind::Async))
}

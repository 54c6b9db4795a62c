//! `inconsistent-offsets`: one offset was seen with two values.
//!
//! Source: Jepsen `jepsen.tests.kafka` `inconsistent-offsets`. Seen by polls, by acknowledgements, and in the surviving log
//! of a leader. Replicas that differ while the partition has no leader are not accused: nobody was shown both. Nor is a topic
//! for what another one of its name had, which was deleted.

use ackproof_core::types::Offset;

use super::{Findings, of_partition};
use crate::anomaly::Kind;
use crate::history::Conflict;
use crate::ledger::Ledger;

pub(crate) fn check(ledger: &Ledger<'_>, findings: &mut Findings) {
    let mut senders: Vec<(u64, usize)> = Vec::new();
    for (index, partition) in ledger.history.partitions.iter().enumerate() {
        let leader = partition.leader().map(|replica| replica.broker);
        let surveyed = partition.copies.iter().filter(|copy| Some(copy.broker) == leader).filter_map(|copy| {
            let first = partition.first_seen(copy.offset).filter(|first| *first != copy.digest)?;
            Some(Conflict {
                offset: copy.offset,
                first,
                second: copy.digest,
                key: copy.key.clone(),
                value: copy.value.clone(),
            })
        });
        let mut conflicts: Vec<Conflict> = partition.conflicts.iter().cloned().chain(surveyed).collect();
        if conflicts.is_empty() {
            continue;
        }
        if senders.is_empty() {
            senders = ledger.roots().map(|(root, sent)| (sent.digest, root)).collect();
            senders.sort_unstable();
        }
        conflicts.sort_by_key(|conflict| conflict.offset);
        conflicts.dedup_by_key(|conflict| conflict.offset);
        for conflict in conflicts {
            findings.counts.inconsistent += 1;
            let mut anomaly = of_partition(ledger, Kind::InconsistentOffsets, index);
            anomaly.offset = Some(Offset(conflict.offset));
            anomaly.key = conflict.key;
            anomaly.value = conflict.value;
            let sender = |digest: u64| {
                let position = senders.partition_point(|(other, _)| *other < digest);
                let (found, root) = senders.get(position)?;
                (*found == digest).then(|| &ledger.history.sends[*root])
            };
            // The one that is gone, and the one that is there instead: a leader that nobody follows any more may be the later one. What was
            // deleted by the rules is not gone.
            let was_deleted = |digest: u64| {
                let told = sender(digest).and_then(|sent| Some((sent, sent.told_at?)));
                told.is_some_and(|(sent, told)| partition.was_deleted(Offset(conflict.offset), sent, told))
            };
            let stands = partition.copies.iter().any(|copy| {
                Some(copy.broker) == leader && copy.offset == conflict.offset && copy.digest == conflict.first
            });
            let (gone, there) = if stands && !was_deleted(conflict.second) {
                (conflict.second, conflict.first)
            } else {
                (conflict.first, conflict.second)
            };
            anomaly.record = sender(gone).map(|sent| sent.id);
            anomaly.other_record = sender(there).map(|sent| sent.id);
            let before = sender(conflict.first).and_then(|sent| sent.value.as_ref());
            let before = before.map_or("another value".to_owned(), |value| format!("{:?}", value.to_text()));
            anomaly.note = Some(format!("was {before} before"));
            findings.anomalies.push(anomaly);
        }
    }
}

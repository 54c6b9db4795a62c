//! Why a key's records were read out of order: the topic got more partitions, and the key another one of them.
//!
//! Source: `failure-catalog.md` MC-14.

use ackproof_core::fact::Fact;
use ackproof_core::types::RecordId;

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::steps::step;
use crate::anomaly::Anomaly;

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let (Some(record), Some(later), Some(topic)) = (anomaly.record, anomaly.other_record, &anomaly.topic) else {
        return Tale::unknown();
    };
    let (record, later) = (lineage.acknowledged(record), lineage.acknowledged(later));
    let sent = |record: RecordId| lineage.records.get(&record).and_then(|line| line.sent);
    let (Some(before), Some(after)) = (sent(record), sent(later)) else { return Tale::unknown() };
    // Its producer may have heard of the new partitions late, and sent both after they were there; or sent the older one once more.
    let grew = (0..after.max(before))
        .rev()
        .find(|at| matches!(&lineage.events[*at].fact, Fact::PartitionsAdded { topic: grown, .. } if grown == topic));
    let Some(grew) = grew else { return Tale::told_only(lineage, record) };
    let told = [record, later].into_iter().filter_map(|record| lineage.records.get(&record)?.told);
    let reads = [(after, later), (before, record)].into_iter().filter_map(|(from, record)| read(lineage, from, record));
    let mut places: Vec<At> = [before, grew, after].into_iter().chain(told).chain(reads).collect();
    places.sort_unstable();
    Tale::new(Cause::KeysMoved, places.into_iter().map(|at| step(lineage, at)).collect())
}

/// The first time that a record was read.
fn read(lineage: &Lineage<'_>, from: At, record: RecordId) -> Option<At> {
    let sent = lineage.records.get(&record)?.sent?;
    let Fact::RecordSent { topic, key, value, .. } = &lineage.events[sent].fact else { return None };
    let is_it = |at: &At| match &lineage.events[*at].fact {
        Fact::Polled { partition, key: read_key, value: read_value, .. } => {
            partition.topic.as_str() == topic && read_key == key && read_value == value
        }
        _ => false,
    };
    (from..lineage.events.len()).find(is_it)
}

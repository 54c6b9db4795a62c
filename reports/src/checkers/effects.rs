//! What the programs of a group have done with the records of a partition: the part that groups and share groups have in common.

use std::collections::BTreeMap;

use ackproof_core::types::{Instant, Offset, TopicPartition};

use super::Findings;
use super::compaction::may_be_gone_elsewhere;
use crate::anomaly::{Anomaly, Kind};
use crate::history::{History, Survivor};

/// What was done with each offset.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects {
    processed: BTreeMap<i64, Processing>,
    /// What went to another topic instead, by whom and when.
    handed_on: BTreeMap<i64, (u32, Instant)>,
    /// How many records of former topics of this name were processed.
    of_former: u64,
}

/// What was done with one offset.
#[derive(Clone, Debug)]
struct Processing {
    /// Who did it last, and when.
    last: (u32, Instant),
    /// Who did it before that: seldom anybody.
    earlier: Vec<(u32, Instant)>,
}

impl Processing {
    /// How often it was done with this record.
    fn times(&self, record: &Survivor<'_>) -> u64 {
        let is_of_it = |(client, at): &&(u32, Instant)| record.was_worked_on(*client, *at);
        self.earlier.iter().chain([&self.last]).filter(is_of_it).count() as u64
    }
}

impl Effects {
    /// The effect of a record is there, perhaps once more.
    pub fn process(&mut self, offset: Offset, client: u32, at: Instant) {
        let processing = self.processed.entry(offset.0).and_modify(|known| {
            let before = std::mem::replace(&mut known.last, (client, at));
            known.earlier.push(before);
        });
        processing.or_insert_with(|| Processing { last: (client, at), earlier: Vec::new() });
    }

    pub fn hand_on(&mut self, offset: Offset, client: u32, at: Instant) {
        self.handed_on.insert(offset.0, (client, at));
    }

    /// What is left when the topic is gone: a number.
    pub fn of_former(&self) -> Effects {
        Effects { of_former: self.of_former + self.processed.len() as u64, ..Effects::default() }
    }

    /// Whether anything was processed at all.
    pub fn any(&self) -> bool {
        self.of_former > 0 || !self.processed.is_empty()
    }

    fn is_handed_on(&self, record: &Survivor<'_>) -> bool {
        self.handed_on.get(&record.offset).is_some_and(|(client, at)| record.was_worked_on(*client, *at))
    }

    /// Whether anybody processed this very record, or handed it on.
    fn is_done(&self, record: &Survivor<'_>) -> bool {
        let processing = self.processed.get(&record.offset);
        processing.is_some_and(|processing| processing.times(record) > 0) || self.is_handed_on(record)
    }

    /// Says of each record of the log what became of it. Nobody of the group will ask for one that is past; what is may depend on the
    /// last one that was done with.
    pub fn check(
        &self,
        (group, partition): (&str, &TopicPartition),
        is_past: impl Fn(&Survivor<'_>, Option<i64>) -> bool,
        upserts: bool,
        history: &History,
        findings: &mut Findings,
    ) {
        findings.counts.processed += self.of_former + self.processed.len() as u64;
        let left = history.surviving_records(partition);
        let may_be_unread = may_be_gone_elsewhere(history, partition, &left);
        let last_done = left.iter().rev().find(|record| self.is_done(record)).map(|record| record.offset);
        for record in &left {
            let anomaly = |kind| Anomaly {
                topic: Some(partition.topic.as_str().to_owned()),
                partition: Some(partition.partition),
                offset: Some(Offset(record.offset)),
                key: record.key.clone(),
                value: record.value.clone(),
                group: Some(group.to_owned()),
                ..Anomaly::new(kind)
            };
            let processing = self.processed.get(&record.offset);
            let times = processing.map_or(0, |processing| processing.times(record));
            match processing {
                Some(_) if times > 1 && upserts => findings.counts.absorbed_deliveries += times - 1,
                Some(processing) if times > 1 => {
                    findings.counts.duplicate_deliveries += times - 1;
                    findings.anomalies.push(Anomaly {
                        note: (times > 2).then(|| format!("{times} times")),
                        client: Some(processing.last.0),
                        told_at: Some(processing.last.1),
                        ..anomaly(Kind::DuplicateDelivery)
                    });
                }
                Some(_) if times == 1 => {}
                _ if self.is_handed_on(record) => {
                    findings.counts.handed_on += 1;
                }
                _ if is_past(record, last_done) && !may_be_unread.contains(&record.offset) => {
                    findings.counts.lost_deliveries += 1;
                    findings.anomalies.push(anomaly(Kind::LostDelivery));
                }
                _ => {}
            }
        }
    }
}

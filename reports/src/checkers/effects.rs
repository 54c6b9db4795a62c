//! What the programs of a group have done with the records of a partition: the part that groups and share groups have in common.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::types::{Instant, Offset, TopicPartition};

use super::Findings;
use crate::anomaly::{Anomaly, Kind};
use crate::history::History;

/// What was done with each offset.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects {
    processed: BTreeMap<i64, Processing>,
    /// What went to another topic instead.
    handed_on: BTreeSet<i64>,
    /// How many records of former topics of this name were processed.
    of_former: u64,
}

/// What was done with one offset.
#[derive(Clone, Copy, Debug)]
struct Processing {
    times: u64,
    client: u32,
    at: Instant,
}

impl Effects {
    /// The effect of a record is there, perhaps once more.
    pub fn process(&mut self, offset: Offset, client: u32, at: Instant) {
        let times = self.processed.get(&offset.0).map_or(0, |before| before.times) + 1;
        self.processed.insert(offset.0, Processing { times, client, at });
    }

    pub fn hand_on(&mut self, offset: Offset) {
        self.handed_on.insert(offset.0);
    }

    /// From there on the log has other records.
    pub fn cut(&mut self, to: Offset) {
        self.processed.split_off(&to.0);
        self.handed_on.split_off(&to.0);
    }

    /// What is left when the topic is gone: a number.
    pub fn of_former(&self) -> Effects {
        Effects { of_former: self.of_former + self.processed.len() as u64, ..Effects::default() }
    }

    /// Whether anything was processed at all.
    pub fn any(&self) -> bool {
        self.of_former > 0 || !self.processed.is_empty()
    }

    /// Says of each record of the log what became of it. Nobody of the group will ask for one that is past.
    pub fn check(
        &self,
        (group, partition): (&str, &TopicPartition),
        is_past: impl Fn(i64) -> bool,
        upserts: bool,
        history: &History,
        findings: &mut Findings,
    ) {
        findings.counts.processed += self.of_former + self.processed.len() as u64;
        for (offset, content) in history.surviving_records(partition) {
            let anomaly = |kind| Anomaly {
                topic: Some(partition.topic.as_str().to_owned()),
                partition: Some(partition.partition),
                offset: Some(Offset(offset)),
                key: content.0.clone(),
                value: content.1.clone(),
                group: Some(group.to_owned()),
                ..Anomaly::new(kind)
            };
            match self.processed.get(&offset) {
                None if self.handed_on.contains(&offset) => findings.counts.handed_on += 1,
                None if is_past(offset) => {
                    findings.counts.lost_deliveries += 1;
                    findings.anomalies.push(anomaly(Kind::LostDelivery));
                }
                Some(processing) if processing.times > 1 && upserts => {
                    findings.counts.absorbed_deliveries += processing.times - 1;
                }
                Some(processing) if processing.times > 1 => {
                    findings.counts.duplicate_deliveries += processing.times - 1;
                    findings.anomalies.push(Anomaly {
                        note: (processing.times > 2).then(|| format!("{} times", processing.times)),
                        client: Some(processing.client),
                        told_at: Some(processing.at),
                        ..anomaly(Kind::DuplicateDelivery)
                    });
                }
                None | Some(_) => {}
            }
        }
    }
}

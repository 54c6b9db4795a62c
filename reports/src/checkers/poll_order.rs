//! `poll-skip` and `nonmonotonic-poll`: a consumer with an assigned partition jumps over a record, or goes back.
//!
//! Source: Jepsen `jepsen.tests.kafka` `poll-skip`, `nonmonotonic-poll`. Gaps are measured in records, not in offsets: offsets
//! without a record (retention, compaction, control records) are no skip, nor are those of records that were written there later.
//!
//! The memory of a position ends with the process, with the topic, with a seek and with the first position (`auto.offset.reset` where
//! there was none; what the group had committed), and when the group takes the partition away; a position that was reset
//! because the log had changed is judged.

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact, Observer, ResetReason};
use ackproof_core::types::{Instant, NodeId, Offset, TopicPartition};

use super::Findings;
use super::compaction::offsets_to_read;
use crate::anomaly::{Anomaly, Kind};
use crate::history::History;

/// Follows the positions of consumers.
#[derive(Clone, Debug, Default)]
pub struct PollOrder {
    positions: BTreeMap<u32, BTreeMap<TopicPartition, Offset>>,
    jumps: Vec<Jump>,
}

/// Two reads in a row that are not neighbours.
#[derive(Clone, Debug)]
struct Jump {
    client: u32,
    partition: TopicPartition,
    from: Offset,
    to: Offset,
    at: Instant,
}

impl Observer for PollOrder {
    fn observe(&mut self, event: &Event) {
        if let Fact::TopicDeleted { topic } = &event.fact {
            for positions in self.positions.values_mut() {
                positions.retain(|partition, _| partition.topic.as_str() != topic);
            }
        }
        let NodeId::Client(client) = event.node else { return };
        match &event.fact {
            Fact::Polled { partition, offset, .. } => {
                let positions = self.positions.entry(client).or_default();
                let Some(last) = positions.get_mut(partition) else {
                    positions.insert(partition.clone(), *offset);
                    return;
                };
                if last.0.checked_add(1) != Some(offset.0) {
                    let partition = partition.clone();
                    self.jumps.push(Jump { client, partition, from: *last, to: *offset, at: event.time });
                }
                *last = *offset;
            }
            Fact::PositionReset {
                partition,
                reason: ResetReason::Seek | ResetReason::NoPosition | ResetReason::Committed,
                ..
            } => {
                if let Some(positions) = self.positions.get_mut(&client) {
                    positions.remove(partition);
                }
            }
            Fact::PartitionsRevoked { partitions, .. } => {
                if let Some(positions) = self.positions.get_mut(&client) {
                    partitions.iter().for_each(|partition| {
                        positions.remove(partition);
                    });
                }
            }
            Fact::NodeStarted => {
                self.positions.remove(&client);
            }
            _ => {}
        }
    }
}

impl PollOrder {
    pub(crate) fn check(&self, history: &History, findings: &mut Findings) {
        let mut offsets: BTreeMap<&TopicPartition, Vec<i64>> = BTreeMap::new();
        for jump in &self.jumps {
            let kind = if jump.to <= jump.from { Kind::NonmonotonicPoll } else { Kind::PollSkip };
            let log = offsets.entry(&jump.partition).or_insert_with(|| offsets_to_read(history, &jump.partition));
            let next = log.partition_point(|offset| *offset <= jump.from.0);
            let passed = log[next..].iter().take_while(|offset| **offset < jump.to.0);
            let skipped =
                passed.filter(|offset| !history.was_written_after(&jump.partition, **offset, jump.at)).count();
            if kind == Kind::PollSkip && skipped == 0 {
                continue;
            }
            match kind {
                Kind::PollSkip => findings.counts.poll_skips += 1,
                _ => findings.counts.nonmonotonic_polls += 1,
            }
            findings.anomalies.push(Anomaly {
                topic: Some(jump.partition.topic.as_str().to_owned()),
                partition: Some(jump.partition.partition),
                offset: Some(jump.to),
                other_offset: Some(jump.from),
                client: Some(jump.client),
                told_at: Some(jump.at),
                note: (kind == Kind::PollSkip).then(|| match skipped {
                    1 => "1 record was skipped".to_owned(),
                    _ => format!("{skipped} records were skipped"),
                }),
                ..Anomaly::new(kind)
            });
        }
    }
}

//! `stale-end-offset`: a consumer was told an end of the log that lies before one that was told earlier.
//!
//! Source: KAFKA-2334, KIP-207; `failure-catalog.md` RE-14. Ends are known from consumers with `auto.offset.reset=latest` that had
//! no position: what they start from is what ListOffsets answered. The ends of a topic are no longer known when it is deleted.

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact, Observer, ResetReason};
use ackproof_core::types::{Instant, NodeId, Offset, TopicPartition};

use super::Findings;
use crate::anomaly::{Anomaly, Kind};
use crate::contract::Contract;

/// Follows the first positions of consumers.
#[derive(Clone, Debug, Default)]
pub struct EndOffsets {
    told: Vec<Told>,
}

/// What a consumer started from, or the end of all that was told of a topic.
#[derive(Clone, Debug)]
enum Told {
    End(u32, TopicPartition, Offset, Instant),
    Deleted(String),
}

impl Observer for EndOffsets {
    fn observe(&mut self, event: &Event) {
        if let (NodeId::Client(client), Fact::PositionReset { partition, to, reason: ResetReason::NoPosition, .. }) =
            (event.node, &event.fact)
        {
            self.told.push(Told::End(client, partition.clone(), *to, event.time));
        }
        if let Fact::TopicDeleted { topic } = &event.fact {
            self.told.push(Told::Deleted(topic.clone()));
        }
    }
}

impl EndOffsets {
    pub(crate) fn check(&self, contract: &Contract, findings: &mut Findings) {
        let latest = |client: u32| {
            contract.consumers.iter().any(|consumer| consumer.client == client && consumer.resets_to_latest)
        };
        let mut ends: BTreeMap<&TopicPartition, Offset> = BTreeMap::new();
        for told in &self.told {
            let (client, partition, end, at) = match told {
                Told::End(client, partition, end, at) if latest(*client) => (client, partition, end, at),
                Told::End(..) => continue,
                Told::Deleted(topic) => {
                    ends.retain(|partition, _| partition.topic.as_str() != topic);
                    continue;
                }
            };
            let highest = ends.entry(partition).or_insert(*end);
            if end < highest {
                findings.anomalies.push(Anomaly {
                    topic: Some(partition.topic.as_str().to_owned()),
                    partition: Some(partition.partition),
                    offset: Some(*end),
                    other_offset: Some(*highest),
                    client: Some(*client),
                    told_at: Some(*at),
                    ..Anomaly::new(Kind::StaleEndOffset)
                });
            }
            *highest = (*highest).max(*end);
        }
    }
}

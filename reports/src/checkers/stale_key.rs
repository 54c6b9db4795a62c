//! `stale-key`: a consumer of a compacted topic believes that a key has a value, and the key was deleted.
//!
//! Source: Kafka's documentation of log compaction: who reads from the beginning and comes to the end within
//! `delete.retention.ms` sees all tombstones. `failure-catalog.md` section 3 (`delete_horizon`), KIP-534.
//!
//! A consumer has passed the tombstone when it got a record beyond it. When not to accuse: the key has a record in the log
//! still; the consumer's process began anew in between; it got what lies beyond before the tombstone was sent (of a log that lost its end since).

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact, Observer, Payload};
use ackproof_core::types::{Instant, NodeId, Offset, TopicPartition};

use super::Findings;
use crate::anomaly::{Anomaly, Kind};
use crate::history::{History, Outcome, Sent};

/// What consumers know of keys.
#[derive(Clone, Debug, Default)]
pub struct StaleKeys {
    topics: Vec<String>,
    readers: BTreeMap<u32, BTreeMap<TopicPartition, Knowledge>>,
}

/// What one consumer has got of one partition.
#[derive(Clone, Debug, Default)]
struct Knowledge {
    /// Per key the last record, and whether it was a value.
    keys: BTreeMap<Payload, (Offset, bool)>,
    /// What it got last, and when.
    reads: Vec<(Offset, Instant)>,
}

impl StaleKeys {
    /// For the compacted topics of these names.
    pub(crate) fn new(topics: Vec<String>) -> Self {
        Self { topics, readers: BTreeMap::new() }
    }

    pub(crate) fn check(&self, history: &History, findings: &mut Findings) {
        for (client, partitions) in &self.readers {
            for (partition, knowledge) in partitions {
                let deleted = deletions(history, partition);
                for (key, (offset, is_value)) in &knowledge.keys {
                    let Some((tombstone, sent)) = deleted.get(key).filter(|(at, _)| at > offset && *is_value) else {
                        continue;
                    };
                    let passes = |(read, at): &&(Offset, Instant)| read > tombstone && *at >= sent.sent_at;
                    let Some((_, passed)) = knowledge.reads.iter().find(passes) else { continue };
                    findings.counts.stale_keys += 1;
                    findings.anomalies.push(Anomaly {
                        topic: Some(partition.topic.as_str().to_owned()),
                        partition: Some(partition.partition),
                        offset: Some(*tombstone),
                        other_offset: Some(*offset),
                        key: Some(key.clone()),
                        record: Some(sent.id),
                        client: Some(*client),
                        told_at: Some(*passed),
                        ..Anomaly::new(Kind::StaleKey)
                    });
                }
            }
        }
    }
}

/// The keys of a partition whose last acknowledged record was a tombstone and of which the log has nothing.
fn deletions<'h>(history: &'h History, partition: &TopicPartition) -> BTreeMap<Payload, (Offset, &'h Sent)> {
    let mut last = BTreeMap::new();
    for sent in history.sends() {
        let here = sent.partition.is_some_and(|index| history.partition_name(index) == partition);
        let (true, Outcome::Acknowledged { offset, .. }, Some(key)) = (here, sent.outcome, &sent.key) else { continue };
        let newest = last.entry(key.clone()).or_insert((offset, sent));
        if offset > newest.0 {
            *newest = (offset, sent);
        }
    }
    let there = history.surviving_keys(partition);
    last.into_iter().filter(|(key, (_, sent))| sent.value.is_none() && !there.contains(key)).collect()
}

impl Observer for StaleKeys {
    fn observe(&mut self, event: &Event) {
        let NodeId::Client(client) = event.node else { return };
        match &event.fact {
            Fact::Polled { partition, offset, key, value } => {
                if !self.topics.iter().any(|topic| topic == partition.topic.as_str()) {
                    return;
                }
                let known = self.readers.entry(client).or_default().entry(partition.clone()).or_default();
                known.reads.push((*offset, event.time));
                if let Some(key) = key {
                    known.keys.insert(key.clone(), (*offset, value.is_some()));
                }
            }
            Fact::NodeStarted => {
                self.readers.remove(&client);
            }
            _ => {}
        }
    }
}

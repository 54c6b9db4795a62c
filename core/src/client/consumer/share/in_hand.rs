//! The records that `poll()` has returned, and what the application says of them.
//!
//! Kafka: `ShareFetch`, `ShareInFlightBatch`, `Acknowledgements`, `ShareCompletedFetch`.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::client::ConsumerRecord;
use crate::client::consumer::completed_fetch::CompletedFetch;
use crate::share::{AcknowledgeType, Acknowledgement, Acquired};
use crate::types::{NodeId, Offset, TopicPartition};

/// What is said of records, by the leader that gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Acknowledgements(pub BTreeMap<NodeId, BTreeMap<TopicPartition, BTreeMap<i64, AcknowledgeType>>>);

impl Acknowledgements {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn say(&mut self, node: NodeId, partition: &TopicPartition, offset: i64, said: AcknowledgeType) {
        let of_node = self.0.entry(node).or_default();
        if !of_node.contains_key(partition) {
            of_node.insert(partition.clone(), BTreeMap::new());
        }
        if let Some(of_partition) = of_node.get_mut(partition) {
            of_partition.insert(offset, said);
        }
    }

    /// What is said to one leader. It is not said again.
    pub fn take(&mut self, node: NodeId) -> BTreeMap<TopicPartition, BTreeMap<i64, AcknowledgeType>> {
        self.0.remove(&node).unwrap_or_default()
    }

    pub fn merge(&mut self, other: Acknowledgements) {
        for (node, partitions) in other.0 {
            let of_node = self.0.entry(node).or_default();
            for (partition, said) in partitions {
                of_node.entry(partition).or_default().extend(said);
            }
        }
    }
}

/// In runs of neighbours, as they are sent.
pub(super) fn runs(said: &BTreeMap<i64, AcknowledgeType>) -> Vec<Acknowledgement> {
    let mut runs: Vec<Acknowledgement> = Vec::new();
    for (offset, said) in said {
        match runs.last_mut() {
            Some(last) if last.last.0 + 1 == *offset => {
                last.last = Offset(*offset);
                last.types.push(*said);
            }
            Some(_) | None => {
                runs.push(Acknowledgement { first: Offset(*offset), last: Offset(*offset), types: vec![*said] });
            }
        }
    }
    for run in &mut runs {
        if run.types.iter().all(|said| *said == run.types[0]) {
            run.types.truncate(1);
        }
    }
    runs
}

/// A record that an application has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    node: NodeId,
    said: Option<AcknowledgeType>,
}

/// What `poll()` has returned last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InHand(BTreeMap<TopicPartition, BTreeMap<i64, Held>>);

impl InHand {
    pub fn add(&mut self, record: &ConsumerRecord, node: NodeId) {
        self.0.entry(record.partition.clone()).or_default().insert(record.offset.0, Held { node, said: None });
    }

    /// The application says something of a record. False if it has it no more.
    pub fn say(&mut self, partition: &TopicPartition, offset: Offset, said: AcknowledgeType) -> bool {
        let held = self.0.get_mut(partition).and_then(|held| held.get_mut(&offset.0));
        held.map(|held| held.said = Some(said)).is_some()
    }

    /// Whatever nothing was said of is accepted.
    pub fn accept_all(&mut self) {
        for held in self.0.values_mut().flat_map(BTreeMap::values_mut) {
            held.said.get_or_insert(AcknowledgeType::Accept);
        }
    }

    /// Whether nothing was said of some.
    pub fn has_unsaid(&self) -> bool {
        self.0.values().flat_map(BTreeMap::values).any(|held| held.said.is_none())
    }

    /// What was said; the application does not have those records any more.
    pub fn take_said(&mut self) -> Acknowledgements {
        let mut said = Acknowledgements::default();
        for (partition, held) in &mut self.0 {
            held.retain(|offset, held| {
                let Some(word) = held.said else { return true };
                said.say(held.node, partition, *offset, word);
                false
            });
        }
        self.0.retain(|_, held| !held.is_empty());
        said
    }
}

/// Records that have arrived and that `poll()` has not returned.
#[derive(Clone, Debug)]
pub(super) struct ShareCompletedFetch {
    pub node: NodeId,
    pub partition: TopicPartition,
    pub records: VecDeque<(ConsumerRecord, u16)>,
    /// Offsets that were acquired and have no record, and those that cannot be read.
    pub others: Vec<(i64, AcknowledgeType)>,
}

impl ShareCompletedFetch {
    pub fn new(node: NodeId, partition: TopicPartition, bytes: Bytes, acquired: &[Acquired], check_crcs: bool) -> Self {
        let mut records = VecDeque::new();
        let mut missing: BTreeMap<i64, u16> = acquired
            .iter()
            .flat_map(|run| (run.first.0..=run.last.0).map(|offset| (offset, run.delivery_count)))
            .collect();
        let first = missing.first_key_value().map_or(Offset::NONE, |(offset, _)| Offset(*offset));
        let mut read = CompletedFetch::new(partition.clone(), first, bytes, check_crcs);
        let word = loop {
            match read.next() {
                Ok(Some(record)) => {
                    if let Some(delivery_count) = missing.remove(&record.offset.0) {
                        records.push_back((record, delivery_count));
                    }
                }
                Ok(None) => break AcknowledgeType::Gap,
                Err(_) => break AcknowledgeType::Reject,
            }
        };
        let others = missing.into_keys().map(|offset| (offset, word)).collect();
        Self { node, partition, records, others }
    }
}

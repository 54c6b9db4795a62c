//! Topics that were deleted, and which records and offsets were theirs and not those of a topic of the same name that came later.
//!
//! Kafka: KIP-516 (a topic is its id, not its name), `StopReplica`, `ReplicaManager.applyDelta`.
//!
//! ```text
//!  TopicDeleted        LogDeleted        LogDeleted
//!  (controller)        (broker 2)        (broker 1)
//! ──────┼──────────────────┼─────────────────┼──────────▶
//!  old  │ old logs answer, though the topic is gone     │ whoever sends from here on writes to the new topic
//! ```
//!
//! That a topic is gone is the controller's word. A leader that has not heard it goes on answering, and an answer may be under
//! way when the log that gave it is gone. So a record that was sent before the last of the old logs was gone may be in either
//! topic: what its offset held is compared with nothing, and if it is nowhere, it went with its topic, unless it was told an
//! offset that no old log reached.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::types::{Offset, TopicPartition};

/// The deleted topics, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletions {
    of: BTreeMap<String, Deletion>,
}

/// The last deletion of a topic.
#[derive(Clone, Debug, Default)]
struct Deletion {
    /// How many records had been sent, to whatever topic, when the last log that could answer was gone.
    sent: usize,
    /// Contents of those that were sent to this topic.
    contents: BTreeSet<u64>,
    /// How many records were looked at for `contents`.
    looked_at: usize,
    /// Old logs that may still answer: partition and broker.
    answering: BTreeSet<(i32, i32)>,
    /// Old logs whose end nobody has told yet.
    untold: BTreeSet<(i32, i32)>,
    /// Where the longest old log of each partition ended.
    ends: BTreeMap<i32, Offset>,
    /// Whether there is a topic of this name again.
    is_created_again: bool,
}

impl Deletions {
    /// A topic is deleted. `replicas` are its brokers per partition, as far as they are known; `is_down` says whose process is
    /// not there to answer.
    pub(crate) fn deleted(&mut self, topic: &str, replicas: &[Vec<i32>], is_down: impl Fn(i32) -> bool, sent: usize) {
        let numbered = (0..).zip(replicas);
        let logs: BTreeSet<(i32, i32)> =
            numbered.flat_map(|(number, brokers)| brokers.iter().map(move |broker| (number, *broker))).collect();
        let deletion = self.of.entry(topic.to_owned()).or_default();
        deletion.answering.extend(logs.iter().copied().filter(|(_, broker)| !is_down(*broker)));
        deletion.untold.extend(logs);
        deletion.sent = sent;
        deletion.is_created_again = false;
    }

    /// There is a topic of this name again.
    pub(crate) fn created(&mut self, topic: &str) {
        if let Some(deletion) = self.of.get_mut(topic) {
            deletion.is_created_again = true;
        }
    }

    /// A log is gone from a broker. It was one of the old topic if it is known to be, or if there is no new one yet.
    pub(crate) fn log_deleted(&mut self, partition: &TopicPartition, broker: i32, end: Offset, sent: usize) {
        let Some(deletion) = self.of.get_mut(partition.topic.as_str()) else { return };
        let log = (partition.partition, broker);
        let answered = deletion.answering.remove(&log);
        if deletion.untold.remove(&log) || !deletion.is_created_again {
            let longest = deletion.ends.entry(partition.partition).or_insert(end);
            *longest = end.max(*longest);
        }
        if answered || !deletion.is_created_again {
            deletion.sent = sent;
        }
    }

    /// A process is gone: what it finds when it comes back it deletes before it serves anybody.
    pub(crate) fn went_down(&mut self, broker: i32, sent: usize) {
        for deletion in self.of.values_mut() {
            let before = deletion.answering.len();
            deletion.answering.retain(|(_, answering)| *answering != broker);
            if deletion.answering.len() < before {
                deletion.sent = sent;
            }
        }
    }

    /// Whether what an offset of a topic is said to hold may be a word of the old topic. `sent` are the topic and the content of
    /// all records, from the n-th on.
    pub(crate) fn may_be_old<'a, S: Iterator<Item = (&'a str, u64)>>(
        &mut self,
        topic: &str,
        content: u64,
        sent: impl FnOnce(usize) -> S,
    ) -> bool {
        let Some(deletion) = self.of.get_mut(topic) else { return false };
        if !deletion.answering.is_empty() {
            return true;
        }
        let new = sent(deletion.looked_at).take(deletion.sent - deletion.looked_at);
        deletion.contents.extend(new.filter(|(of, _)| *of == topic).map(|(_, content)| content));
        deletion.looked_at = deletion.sent;
        deletion.contents.contains(&content)
    }

    /// Whether the n-th record, which was told to be at an offset, went with its topic.
    pub(crate) fn took(&self, index: usize, partition: &TopicPartition, offset: Offset) -> bool {
        let Some(deletion) = self.of.get(partition.topic.as_str()) else { return false };
        let number = partition.partition;
        let all_told = deletion.untold.range((number, i32::MIN)..=(number, i32::MAX)).next().is_none();
        let end = deletion.ends.get(&number).filter(|_| all_told);
        index < deletion.sent && end.is_none_or(|end| offset < *end)
    }
}

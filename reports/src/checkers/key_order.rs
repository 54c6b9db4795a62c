//! `key-reorder`: a key's later record was read before an earlier one, which lies in the partition that the key had before the
//! topic got more of them.
//!
//! Source: `failure-catalog.md` MC-14: the partition of a key is `murmur2(key) % partitions`. Kafka keeps order within a partition
//! alone, and `reorder` judges that; a key is in order as long as it stays in one.
//!
//! When not to accuse: no partitions were added between the two sends (who spreads a key over partitions by itself was promised
//! nothing); both were read from one partition; a record was sent again by its application, or its content is not its own; it was
//! read once more.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::types::{Instant, NodeId, Offset, TopicPartition};

use super::{Findings, of_record};
use crate::anomaly::{Anomaly, Kind};
use crate::digest::{self, Digest};
use crate::ledger::Ledger;

/// Follows what is read of topics that have grown.
#[derive(Clone, Debug, Default)]
pub struct KeyOrder {
    /// How many records had been sent, to whatever topic.
    sent: usize,
    grown: BTreeMap<String, Grown>,
}

/// A topic with more partitions than it had.
#[derive(Clone, Debug)]
struct Grown {
    /// How many records had been sent when it grew, each time.
    at: Vec<usize>,
    /// What was read since. What was read before was sent before.
    polls: Vec<Poll>,
}

#[derive(Clone, Debug)]
struct Poll {
    partition: TopicPartition,
    offset: Offset,
    content: u64,
    client: u32,
    at: Instant,
}

impl Observer for KeyOrder {
    fn observe(&mut self, event: &Event) {
        match (&event.fact, event.node) {
            (Fact::RecordSent { .. }, _) => self.sent += 1,
            (Fact::PartitionsAdded { topic, .. }, _) => {
                let new = || Grown { at: Vec::new(), polls: Vec::new() };
                self.grown.entry(topic.clone()).or_insert_with(new).at.push(self.sent);
            }
            (Fact::TopicDeleted { topic }, _) => {
                self.grown.remove(topic);
            }
            (Fact::Polled { partition, offset, key: Some(key), value }, NodeId::Client(client)) => {
                let Some(grown) = self.grown.get_mut(partition.topic.as_str()) else { return };
                let mut topic = Digest::new();
                topic.bytes(partition.topic.as_str().as_bytes());
                let content = digest::content(topic, Some(key), value.as_ref());
                let (partition, offset, at) = (partition.clone(), *offset, event.time);
                grown.polls.push(Poll { partition, offset, content, client, at });
            }
            _ => {}
        }
    }
}

impl KeyOrder {
    pub(crate) fn check(&self, ledger: &Ledger<'_>, findings: &mut Findings) {
        for (topic, grown) in &self.grown {
            check(ledger, topic, grown, findings);
        }
    }
}

fn check(ledger: &Ledger<'_>, topic: &str, grown: &Grown, findings: &mut Findings) {
    let own = own_contents(ledger, topic);
    let sends = &ledger.history.sends;
    let mut read: BTreeSet<usize> = BTreeSet::new();
    // Of each producer and key the record that was sent last among those that were read.
    let mut latest: BTreeMap<(u32, &[u8]), (usize, &Poll)> = BTreeMap::new();
    for poll in &grown.polls {
        let Some(index) = own.get(&poll.content).copied().flatten() else { continue };
        let (Some(key), true) = (&sends[index].key, read.insert(index)) else { continue };
        let of = (sends[index].id.client, &key.0[..]);
        match latest.get(&of) {
            Some((later, first)) if *later > index => {
                let moved = grown.at.iter().any(|at| (index + 1..=*later).contains(at));
                if moved && first.partition != poll.partition {
                    findings.anomalies.push(accuse(ledger, (index, poll), (*later, first)));
                }
            }
            Some(_) | None => {
                latest.insert(of, (index, poll));
            }
        }
    }
}

/// The records of a topic by their content; none where it is not theirs alone.
fn own_contents(ledger: &Ledger<'_>, topic: &str) -> BTreeMap<u64, Option<usize>> {
    let mut own = BTreeMap::new();
    for (index, sent) in ledger.roots().filter(|(_, sent)| ledger.history.topic_name(sent.topic) == topic) {
        let alone = ledger.attempts(index).nth(1).is_none();
        own.entry(sent.digest).and_modify(|known| *known = None).or_insert(alone.then_some(index));
    }
    own
}

fn accuse(ledger: &Ledger<'_>, (index, poll): (usize, &Poll), (later, first): (usize, &Poll)) -> Anomaly {
    Anomaly {
        partition: Some(poll.partition.partition),
        offset: Some(poll.offset),
        other_offset: Some(first.offset),
        other_record: Some(ledger.history.sends[later].id),
        client: Some(poll.client),
        told_at: Some(poll.at),
        note: Some(format!("after a later one from {} @ {}", first.partition, first.offset)),
        ..of_record(ledger, Kind::KeyReorder, index)
    }
}

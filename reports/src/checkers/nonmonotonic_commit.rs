//! `nonmonotonic-commit`: the committed offset of a group went back, and nobody had gone back.
//!
//! Source: `failure-catalog.md` CO-07, GR-02, GR-04. Named after Jepsen's `nonmonotonic-poll`.
//!
//! A coordinator compares members and generations, never offsets: the last commit in its log wins. A member that has gone
//! back itself - it sought, the log had been cut, its position was out of range or gone - may say so; that is exempt. So is one
//! whose commit was still under way when it went back: it has not read again up to where that commit says that it is. And what a
//! former coordinator says late, of a commit that was in the log before the next one read it, is no step.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::coordinator::group::{GROUP_METADATA_TOPIC, GroupId, partition_for};
use ackproof_core::fact::{Event, Fact, Observer, ResetReason};
use ackproof_core::types::{Instant, NodeId, Offset, StrBytes, TopicPartition};

use super::Findings;
use crate::anomaly::{Anomaly, Kind};
use crate::contract::Contract;

/// Follows commits.
#[derive(Clone, Debug, Default)]
pub struct Commits {
    /// The last commit of each group and partition: how far, and when.
    last: BTreeMap<String, BTreeMap<TopicPartition, Place>>,
    /// Where each client was put last, and not by what its group had committed.
    put: BTreeMap<TopicPartition, BTreeMap<u32, Put>>,
    /// When each broker last took over the groups of a partition of the offsets topic.
    loads: BTreeMap<(i32, NodeId), u64>,
    /// How many partitions that topic has.
    partitions: i32,
    steps_back: Vec<StepBack>,
}

/// An offset, and the event that says it.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: Offset,
    event: u64,
    node: NodeId,
}

/// Where a client was put, from where, and how far it has read since.
#[derive(Clone, Copy, Debug)]
struct Put {
    place: Place,
    from: Offset,
    read: Offset,
}

#[derive(Clone, Debug)]
struct StepBack {
    group: String,
    partition: TopicPartition,
    from: Offset,
    to: Offset,
    at: Instant,
    /// Clients that had gone as far back themselves since the commit before.
    went_back: BTreeSet<u32>,
}

impl Observer for Commits {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::PositionReset { partition, from, to, reason, .. } if *reason != ResetReason::Committed => {
                let NodeId::Client(client) = event.node else { return };
                let place = Place { offset: *to, event: event.sequence, node: event.node };
                self.put.entry(partition.clone()).or_default().insert(client, Put { place, from: *from, read: *to });
            }
            Fact::Polled { partition, offset, .. } => {
                let NodeId::Client(client) = event.node else { return };
                let put = self.put.get_mut(partition).and_then(|clients| clients.get_mut(&client));
                if let Some(Put { read, .. }) = put {
                    *read = (*read).max(Offset(offset.0.saturating_add(1)));
                }
            }
            Fact::TopicCreated { topic, replicas } if topic == GROUP_METADATA_TOPIC => {
                self.partitions = i32::try_from(replicas.len()).unwrap_or(i32::MAX);
            }
            Fact::GroupsLoaded { partition, .. } => {
                self.loads.insert((*partition, event.node), event.sequence);
            }
            Fact::OffsetCommitted { group, partition, offset, .. }
            | Fact::StoreWrote { group, partition, offset, .. } => {
                let place = Place { offset: *offset, event: event.sequence, node: event.node };
                self.committed(event.time, group, partition, place);
            }
            _ => {}
        }
    }
}

impl Commits {
    fn committed(&mut self, at: Instant, group: &str, partition: &TopicPartition, to: Place) {
        if !self.last.contains_key(group) {
            self.last.insert(group.to_owned(), BTreeMap::new());
        }
        let last = self.last.get_mut(group).expect("it was just inserted");
        // It is seldom somebody else who speaks.
        if let Some(from) = last.get(partition).filter(|from| from.node != to.node) {
            let home = partition_for(&GroupId(StrBytes::from_string(group.to_owned())), self.partitions);
            if self.loads.get(&(home, to.node)) < self.loads.get(&(home, from.node)) {
                return;
            }
        }
        let Some(from) = last.insert(partition.clone(), to).filter(|from| from.offset > to.offset) else { return };
        let put = self.put.get(partition).into_iter().flatten();
        let is_so = |put: &Put| {
            // The commit before was under way: it speaks of where the client had been, and has not been since.
            let was_under_way = put.from >= from.offset && put.read < from.offset;
            put.place.offset <= to.offset && (put.place.event > from.event || was_under_way)
        };
        let went_back = put.filter(|(_, put)| is_so(put)).map(|(client, _)| *client).collect();
        self.steps_back.push(StepBack {
            group: group.to_owned(),
            partition: partition.clone(),
            from: from.offset,
            to: to.offset,
            at,
            went_back,
        });
    }

    pub(crate) fn check(&self, contract: &Contract, findings: &mut Findings) {
        for step in &self.steps_back {
            let is_of_group = |client: &u32| {
                let known = contract.consumers.iter().find(|consumer| consumer.client == *client);
                known.is_none_or(|consumer| consumer.group.as_deref() == Some(step.group.as_str()))
            };
            if step.went_back.iter().any(is_of_group) {
                continue;
            }
            findings.anomalies.push(Anomaly {
                topic: Some(step.partition.topic.as_str().to_owned()),
                partition: Some(step.partition.partition),
                offset: Some(step.to),
                other_offset: Some(step.from),
                group: Some(step.group.clone()),
                told_at: Some(step.at),
                ..Anomaly::new(Kind::NonmonotonicCommit)
            });
        }
    }
}

//! What happened in a run, in a few lines: the steps with their witnesses, and what became of leaders and logs.
//!
//! A run in which nothing went wrong has no stories; its chronicle shows that it was put to the test, and what that cost.
//! It reads the stream and keeps little: no record, and of appends only how far each log reached.
//!
//! Of Kafka's own topics it says nothing: what goes wrong with them is a broken invariant or a story, and is told there.
//!
//! Not modelled: what clients did; that is what counts and stories are for.

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::types::{NodeId, TopicPartition, is_internal};

use crate::explain::lineage::{At, Lineage};
use crate::explain::steps::step;
use crate::explain::{Actor, Step};

/// More events than this are counted only.
const EVENTS_MAX: usize = 2_000;
/// More lines than this are not shown.
const LINES_MAX: usize = 24;
/// More witnesses of one step than this are not named.
const WITNESSES_MAX: usize = 3;

/// Takes the facts of a run as they happen.
#[derive(Clone, Debug, Default)]
pub struct Chronicle {
    events: Vec<Event>,
    is_ready: bool,
    /// How far each log reached.
    ends: BTreeMap<(NodeId, TopicPartition), i64>,
    /// How far a log had reached when it was loaded again, by the number of that event.
    had: BTreeMap<u64, i64>,
}

impl Observer for Chronicle {
    fn observe(&mut self, event: &Event) {
        if is_of_internal_topic(&event.fact) {
            return;
        }
        match &event.fact {
            Fact::ClusterReady => self.is_ready = true,
            Fact::Appended { partition, last_offset, .. } => self.reached(event.node, partition, last_offset.0 + 1),
            Fact::Truncated { partition, to, .. } => {
                self.reached(event.node, partition, to.0);
                self.keep(event);
            }
            Fact::LogLoaded { partition, log_end, .. } => {
                if let Some(had) = self.ends.get(&(event.node, partition.clone())) {
                    self.had.insert(event.sequence, *had);
                    self.keep(event);
                }
                self.reached(event.node, partition, log_end.0);
            }
            Fact::FaultInjected { .. }
            | Fact::FaultBit { .. }
            | Fact::FaultHealed { .. }
            | Fact::NodeStopped
            | Fact::PowerLost { .. }
            | Fact::LeaderElected { .. }
            | Fact::PartitionOffline { .. }
            | Fact::BecameLeader { .. }
            | Fact::IsrChanged { .. }
            | Fact::StorageFailed { .. } => self.keep(event),
            _ => {}
        }
    }
}

/// Whether it happened to a topic of Kafka's own.
fn is_of_internal_topic(fact: &Fact) -> bool {
    match fact {
        Fact::Appended { partition, .. }
        | Fact::Truncated { partition, .. }
        | Fact::LogLoaded { partition, .. }
        | Fact::LeaderElected { partition, .. }
        | Fact::PartitionOffline { partition, .. }
        | Fact::BecameLeader { partition, .. }
        | Fact::IsrChanged { partition, .. } => is_internal(partition.topic.as_str()),
        _ => false,
    }
}

impl Chronicle {
    /// Nothing happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn reached(&mut self, node: NodeId, partition: &TopicPartition, end: i64) {
        match self.ends.get_mut(&(node, partition.clone())) {
            Some(known) => *known = end,
            None => {
                self.ends.insert((node, partition.clone()), end);
            }
        }
    }

    fn keep(&mut self, event: &Event) {
        if self.is_ready && self.events.len() < EVENTS_MAX {
            self.events.push(event.clone());
        }
    }

    /// The lines, and how many were left out.
    pub fn steps(&self) -> (Vec<Step>, usize) {
        let lineage = Lineage::new(&self.events);
        let mut partitions: Vec<&TopicPartition> = self.ends.keys().map(|(_, partition)| partition).collect();
        partitions.sort();
        partitions.dedup();
        let lines = (0..self.events.len()).filter_map(|at| self.line(&lineage, at, partitions.len() > 1));
        let mut lines: Vec<Step> = lines.collect();
        let more = lines.len().saturating_sub(LINES_MAX);
        lines.truncate(LINES_MAX);
        (lines, more)
    }

    fn line(&self, lineage: &Lineage<'_>, at: At, names_partition: bool) -> Option<Step> {
        let event = &self.events[at];
        let mut told = step(lineage, at);
        let partition = match &event.fact {
            Fact::FaultInjected { fault, .. } => {
                told.actor = Actor::fault(event.node, *fault);
                told.note = self.witnesses(lineage, *fault);
                None
            }
            Fact::PowerLost { .. } => {
                // Whose doing it was stands beside the step.
                told.note = told.note.split("; ").next().unwrap_or_default().to_owned();
                None
            }
            // Of processes, only the end that nobody else tells of.
            Fact::NodeStopped if told.what != "exited" => return None,
            Fact::NodeStopped => None,
            Fact::StorageFailed { what } => {
                told.what = format!("its disk failed: {what}");
                None
            }
            Fact::LogLoaded { partition, log_end, .. } => {
                let missing = self.had.get(&event.sequence).copied().unwrap_or(log_end.0) - log_end.0;
                told.note.push_str(&match missing {
                    ..=0 => "; nothing is missing".to_owned(),
                    1 => "; 1 record is missing".to_owned(),
                    2.. => format!("; {missing} records are missing"),
                });
                Some(partition)
            }
            Fact::Truncated { partition, .. }
            | Fact::LeaderElected { partition, .. }
            | Fact::PartitionOffline { partition, .. }
            | Fact::IsrChanged { partition, .. } => Some(partition),
            _ => return None,
        };
        if let Some(partition) = partition.filter(|_| names_partition) {
            told.what = format!("{partition}: {}", told.what);
        }
        Some(told)
    }

    /// What a step did, and when it was over: `killed broker 1; over at 32.040s`.
    fn witnesses(&self, lineage: &Lineage<'_>, of: u32) -> String {
        let mut done: Vec<&str> = Vec::new();
        for event in &self.events {
            match &event.fact {
                Fact::FaultBit { fault, what } if *fault == of && !done.contains(&what.as_str()) => done.push(what),
                _ => {}
            }
        }
        let more = done.len().saturating_sub(WITNESSES_MAX);
        let mut note = done.iter().take(WITNESSES_MAX).copied().collect::<Vec<&str>>().join(", ");
        if done.is_empty() {
            note.push_str("did nothing");
        }
        if more > 0 {
            note.push_str(&format!(" and {more} more"));
        }
        if let Some(at) = lineage.healed(of) {
            note.push_str(&format!("; over at {}", self.events[at].time));
        }
        note
    }
}

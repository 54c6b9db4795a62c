//! What stories share: steps in the order of the trace, and the circumstances of a wait, a resend or a fail-over.
//!
//! A circumstance is told only where the facts put it beside the event: a fault that did something and was in force, a
//! leader that went between two appends, a warning that the client had said.

use std::collections::BTreeMap;

use ackproof_core::fact::Fact;
use ackproof_core::types::{NodeId, TopicPartition};

use super::lineage::{At, BatchName, Lineage};
use super::steps::step;
use super::story::{Mark, Step};

/// How many faults one story shows: of many in force the last few.
const FAULTS_SHOWN: usize = 3;

/// A story while it is put together.
pub(super) struct Telling<'l, 'a> {
    lineage: &'l Lineage<'a>,
    steps: BTreeMap<At, Step>,
}

impl<'l, 'a> Telling<'l, 'a> {
    /// Nothing was told yet.
    pub(super) fn new(lineage: &'l Lineage<'a>) -> Self {
        Self { lineage, steps: BTreeMap::new() }
    }

    /// An event belongs to the story.
    pub(super) fn tell(&mut self, at: At) -> &mut Step {
        self.steps.entry(at).or_insert_with(|| step(self.lineage, at))
    }

    /// Several do.
    pub(super) fn tell_all(&mut self, places: impl IntoIterator<Item = At>) {
        for at in places {
            self.tell(at);
        }
    }

    /// An event that matters.
    pub(super) fn mark(&mut self, at: At, mark: Mark) -> &mut Step {
        let step = self.tell(at);
        step.mark = Some(mark);
        step
    }

    /// The steps, in the order of time.
    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps.into_values().collect()
    }

    /// The transmissions of a batch before a moment: the first, and all others in one line.
    pub(super) fn transmissions(&mut self, batch: BatchName, until: At) {
        let Some(line) = self.lineage.batches.get(&batch) else { return };
        let end = line.sent.partition_point(|at| *at < until);
        let (Some(first), Some(last)) = (line.sent[..end].first(), line.sent[..end].last()) else { return };
        let again = end - 1;
        let recognised = self.lineage.recognised(*first, until).len();
        self.tell(*first);
        if again == 0 {
            return;
        }
        let step = self.tell(*last);
        if again > 1 {
            step.what = format!("sent batch {} again {again} times", batch.number);
            step.note = format!("attempts 2 to {}", again + 1);
        }
        match recognised {
            0 => {}
            1 => step.note.push_str("; recognised as a duplicate"),
            times => step.note.push_str(&format!("; recognised as a duplicate {times} times")),
        }
    }

    /// The faults that were in force in a stretch of the trace, but for those that a step names already.
    pub(super) fn faults(&mut self, from: At, to: At) {
        let named: Vec<u32> = self
            .steps
            .keys()
            .filter(|at| is_taken_by_fault(&self.lineage.events[**at].fact))
            .filter_map(|at| self.lineage.fault(*at))
            .map(|(fault, _)| fault)
            .collect();
        let mut injected: Vec<At> = self
            .lineage
            .faults_in_force(from, to)
            .filter(|(fault, _)| !named.contains(fault))
            .map(|(_, injected)| injected)
            .collect();
        injected.sort_unstable();
        let first = injected.len().saturating_sub(FAULTS_SHOWN);
        self.tell_all(injected.into_iter().skip(first));
    }

    /// What lies between the appends of two leaders: how the first one went, and the election of the second.
    pub(super) fn fail_over(&mut self, partition: &TopicPartition, from: At, first: At, second: At) {
        let (old, new) = (self.lineage.events[first].node, self.lineage.events[second].node);
        let NodeId::Broker(leader) = new else { return };
        if old == new {
            return;
        }
        let election = self.lineage.partitions.get(partition).and_then(|line| {
            line.structure.iter().rev().copied().find(|at| {
                let fact = &self.lineage.events[*at].fact;
                *at > from && *at < second && matches!(fact, Fact::LeaderElected { leader: of, .. } if *of == leader)
            })
        });
        match self.lineage.last_death(old, from, second).or_else(|| self.lineage.last_pause(old, from, second)) {
            Some(gone) => self.tell_all([gone]),
            // It lives, but something kept it from the controller.
            None => self.faults(from, election.unwrap_or(second)),
        }
        self.tell_all(election);
    }

    /// Why the partition took nothing in a stretch of the trace: nobody could lead it, or too few replicas were in sync.
    pub(super) fn unavailability(&mut self, partition: &TopicPartition, from: At, to: At, too_few: bool) {
        let shrinks = |fact: &Fact| matches!(fact, Fact::IsrChanged { from, to, .. } if to.len() < from.len());
        let leads_or_not = |fact: &Fact| matches!(fact, Fact::LeaderElected { .. } | Fact::PartitionOffline { .. });
        let offline = self.lineage.last_change(partition, to, |fact| matches!(fact, Fact::PartitionOffline { .. }));
        // It was over before the stretch began if somebody was elected in between.
        let offline = offline.filter(|at| {
            *at > from || self.lineage.last_change(partition, from, leads_or_not).is_none_or(|last| last == *at)
        });
        if let Some(offline) = offline {
            self.tell(offline);
            self.tell_all(self.lineage.last_change(partition, offline, shrinks));
        } else if too_few {
            self.tell_all(self.lineage.last_change(partition, to, shrinks));
        }
    }
}

/// Whether the step of a fact names the fault behind it.
fn is_taken_by_fault(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::NodeKilled | Fact::NodeStopped | Fact::NodePaused | Fact::PowerLost { .. } | Fact::MessageLost { .. }
    )
}

//! The trace, indexed: what became of nodes and of faults, and what clients warned of.

use std::ops::Range;

use ackproof_core::fact::{Event, Fact, Role};
use ackproof_core::types::{LeaderEpoch, NodeId, Offset, TopicPartition};

use super::lineage::{At, Lineage};
use super::steps::one_sentence;

/// What became of a fault of the plan.
#[derive(Debug)]
pub(crate) struct FaultLine {
    injected: At,
    healed: Option<At>,
    bitten: Vec<At>,
}

/// How the witness of a disk that lies begins.
const LIED: &str = "lied about a sync";

impl Lineage<'_> {
    pub(super) fn index_fault(&mut self, at: At, event: &Event) {
        match &event.fact {
            Fact::FaultInjected { fault, .. } => {
                self.faults.insert(*fault, FaultLine { injected: at, healed: None, bitten: Vec::new() });
            }
            Fact::FaultBit { fault, what } => {
                if what.starts_with(LIED) {
                    self.lies.entry(event.node).or_default().push((at, *fault));
                }
                if let Some(line) = self.faults.get_mut(fault) {
                    line.bitten.push(at);
                }
            }
            Fact::FaultHealed { fault } => {
                if let Some(line) = self.faults.get_mut(fault) {
                    line.healed.get_or_insert(at);
                }
            }
            _ => {}
        }
    }

    /// The last end of a process or machine in a stretch of the trace.
    pub(crate) fn last_death(&self, node: NodeId, after: At, before: At) -> Option<At> {
        let line = self.nodes.get(&node)?;
        line.iter().rev().copied().filter(|at| *at > after && *at < before).find(|at| is_death(&self.events[*at].fact))
    }

    /// The end that a node has not come back from at a moment.
    pub(crate) fn dead_since(&self, node: NodeId, moment: At) -> Option<At> {
        let line = self.nodes.get(&node)?;
        let until = &line[..line.partition_point(|at| *at <= moment)];
        let ends_or_starts = |at: &At| {
            let fact = &self.events[*at].fact;
            is_death(fact) || matches!(fact, Fact::NodeStarted)
        };
        until.iter().rev().copied().find(ends_or_starts).filter(|at| is_death(&self.events[*at].fact))
    }

    /// The last time that a broker loaded a log, before that.
    pub(crate) fn last_load(&self, partition: &TopicPartition, broker: NodeId, before: At) -> Option<At> {
        let structure = self.partitions.get(partition)?.structure.iter().rev().copied();
        let mut of_broker = structure.filter(|at| *at < before && self.events[*at].node == broker);
        of_broker.find(|at| matches!(self.events[*at].fact, Fact::LogLoaded { .. }))
    }

    /// In which epoch a leader took a batch.
    pub(crate) fn append_epoch(&self, at: At) -> Option<LeaderEpoch> {
        match &self.events[at].fact {
            Fact::Appended { leader_epoch, .. } => Some(*leader_epoch),
            _ => None,
        }
    }

    /// What a leader had written in the epoch of an append of its own, there or further on, before it made that: it has lost it, and no
    /// comparison of epochs tells.
    pub(crate) fn written_before_in_epoch(&self, partition: &TopicPartition, append: At) -> Option<At> {
        let Fact::Appended { base_offset, leader_epoch, .. } = &self.events[append].fact else { return None };
        let line = self.partitions.get(partition)?;
        let from = line.appends.range(base_offset.0.saturating_sub(line.span)..).flat_map(|(_, appends)| appends);
        let is_of_epoch = |at: &At| match &self.events[*at].fact {
            Fact::Appended { role: Role::Leader, leader_epoch: epoch, last_offset, .. } => {
                epoch == leader_epoch && last_offset >= base_offset
            }
            _ => false,
        };
        let by_it = from.copied().filter(|at| *at < append && self.events[*at].node == self.events[append].node);
        by_it.filter(is_of_epoch).max()
    }

    /// The last loss of power of a machine in a stretch of the trace; rather one that took something.
    pub(crate) fn last_power_loss(&self, node: NodeId, after: At, before: At) -> Option<At> {
        let line = self.nodes.get(&node)?;
        let inside = line.iter().rev().copied().filter(|at| *at > after && *at < before);
        let mut losses = inside.filter(|at| matches!(self.events[*at].fact, Fact::PowerLost { .. })).peekable();
        let last = losses.peek().copied();
        losses.find(|at| took_something(&self.events[*at].fact)).or(last)
    }

    /// Whether a loss of power took something from a machine in a stretch of the trace.
    pub(crate) fn lost_something(&self, node: NodeId, after: At, before: At) -> bool {
        self.last_power_loss(node, after, before).is_some_and(|at| took_something(&self.events[at].fact))
    }

    /// The controller's last election in a partition before a moment, and whom it elected.
    pub(crate) fn last_elected(&self, partition: &TopicPartition, before: At) -> Option<(At, i32)> {
        let structure = self.partitions.get(partition)?.structure.iter().rev().copied();
        structure.filter(|at| *at < before).find_map(|at| match &self.events[at].fact {
            Fact::LeaderElected { leader, .. } => Some((at, *leader)),
            _ => None,
        })
    }

    /// The last time in a stretch of the trace that somebody led whose log did not reach an offset.
    pub(crate) fn last_leader_without(
        &self,
        partition: &TopicPartition,
        offset: Offset,
        between: Range<At>,
    ) -> Option<At> {
        let structure = self.partitions.get(partition)?.structure.iter().copied();
        structure
            .filter(|at| between.contains(at))
            .rfind(|at| matches!(&self.events[*at].fact, Fact::BecameLeader { log_end, .. } if *log_end <= offset))
    }

    /// The end of a process or machine that is nearest in time to an event, but not before another.
    pub(crate) fn nearest_death(&self, node: NodeId, after: At, around: At) -> Option<At> {
        let moment = self.events[around].time.0;
        let distance = |at: At| (self.events[at].time.0.abs_diff(moment), at.abs_diff(around));
        let deaths =
            self.nodes.get(&node)?.iter().copied().filter(|at| *at > after && is_death(&self.events[*at].fact));
        deaths.min_by_key(|at| distance(*at))
    }

    /// The last time that a process was paused in a stretch of the trace.
    pub(crate) fn last_pause(&self, node: NodeId, after: At, before: At) -> Option<At> {
        let mut line = self.nodes.get(&node)?.iter().rev().copied().filter(|at| *at > after && *at < before);
        line.find(|at| matches!(self.events[*at].fact, Fact::NodePaused))
    }

    /// The faults that did something and were in force in a stretch of the trace, with where they began.
    ///
    /// A fault that is never healed is over at once, unless a node that it took is still gone at the end of the stretch.
    pub(crate) fn faults_in_force(&self, from: At, to: At) -> impl Iterator<Item = (u32, At)> {
        let lines = self.faults.iter().filter(move |(_, line)| line.injected < to && !line.bitten.is_empty());
        let in_force = lines.filter(move |(fault, line)| match line.healed {
            Some(healed) => healed > from,
            None => line.bitten.iter().any(|at| *at > from && *at < to) || self.keeps_down(**fault, to),
        });
        in_force.map(|(fault, line)| (*fault, line.injected))
    }

    /// Where a fault that is in force in a stretch of the trace had begun to repeat such requests. Of all that it does to messages its first
    /// is told, so nobody knows whose the others were.
    pub(crate) fn repeats(&self, request: &str, from: At, to: At) -> Option<At> {
        let start = format!("repeated {request} request");
        let is_it = |at: &At| {
            *at < to && matches!(&self.events[*at].fact, Fact::FaultBit { what, .. } if what.starts_with(&start))
        };
        self.faults_in_force(from, to)
            .find_map(|(fault, _)| self.faults.get(&fault)?.bitten.iter().copied().find(is_it))
    }

    /// The faults that are still in force when the trace ends, with where they began.
    pub(crate) fn faults_at_the_end(&self) -> impl Iterator<Item = (u32, At)> {
        let end = self.events.len();
        let open = self.faults.iter().filter(move |(fault, line)| {
            let lasts = || line.bitten.iter().any(|at| is_lasting(&self.events[*at].fact));
            line.healed.is_none() && !line.bitten.is_empty() && (lasts() || self.keeps_down(**fault, end))
        });
        open.map(|(fault, line)| (*fault, line.injected))
    }

    /// Whether a node is down or paused at a moment because of a fault.
    fn keeps_down(&self, fault: u32, moment: At) -> bool {
        self.nodes.values().any(|line| {
            let last = line[..line.partition_point(|at| *at < moment)].last();
            last.is_some_and(|at| {
                let fact = &self.events[*at].fact;
                (is_death(fact) || matches!(fact, Fact::NodePaused))
                    && self.fault(*at).is_some_and(|(by, _)| by == fault)
            })
        })
    }

    /// Where the disk of a node lied about a sync, by a fault that was in force some time between two moments.
    pub(crate) fn lie(&self, node: NodeId, from: At, to: At) -> Option<At> {
        let lies = self.lies.get(&node)?.iter().rev();
        let mut in_force =
            lies.filter(|(at, fault)| *at < to && self.healed(*fault).is_none_or(|healed| healed > from));
        in_force.next().map(|(at, _)| *at)
    }

    /// When a fault was healed.
    pub(crate) fn healed(&self, fault: u32) -> Option<At> {
        self.faults.get(&fault)?.healed
    }
}

/// Whether what a fault did goes on until it is healed: links, messages and disks; nodes are looked at themselves.
fn is_lasting(witness: &Fact) -> bool {
    let Fact::FaultBit { what, .. } = witness else { return false };
    ["cut links", "dropped", "held", "delayed"].iter().any(|verb| what.starts_with(verb))
}

/// Whether it is a loss of power that took something.
pub(super) fn took_something(fact: &Fact) -> bool {
    matches!(fact, Fact::PowerLost { lost_bytes: 1.., .. })
}

/// Whether a log came back with it, and with a hole at an offset.
pub(super) fn leaves_hole_at(fact: &Fact, offset: Offset) -> bool {
    matches!(fact, Fact::LogLoaded { hole: Some((from, to)), .. } if (*from..*to).contains(&offset))
}

/// Whether a process ended with it.
pub(super) fn is_death(fact: &Fact) -> bool {
    matches!(fact, Fact::NodeKilled | Fact::NodeStopped | Fact::PowerLost { .. })
}

impl<'a> Lineage<'a> {
    /// The last thing that a client said of its idempotence before a moment, in one sentence.
    pub(crate) fn idempotence_warning(&self, client: u32, before: At) -> Option<(At, &'a str)> {
        let mut warnings = self.warnings.get(&client)?.iter().rev().copied().filter(|at| *at < before);
        warnings.find_map(|at| match &self.events[at].fact {
            Fact::ClientWarned { what } if what.contains("dempotence") => Some((at, one_sentence(what))),
            _ => None,
        })
    }

    /// What a client warned of in the same breath, before it said this.
    pub(crate) fn warned_just_before(&self, client: u32, at: At) -> Option<At> {
        let warnings = self.warnings.get(&client)?;
        let last = warnings[..warnings.partition_point(|warning| *warning < at)].last().copied();
        last.filter(|warning| self.events[*warning].time == self.events[at].time)
    }
}

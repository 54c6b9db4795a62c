//! Why a share group never processed a record, or processed it twice: the lock, the limit, the word of a program or the change of leader that
//! decided it.
//!
//! Source: KIP-932; `failure-catalog.md` GR-14.

use ackproof_core::fact::{Fact, ShareReason, ShareState};
use ackproof_core::types::{NodeId, Offset, TopicPartition};

use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::nodes::is_death;
use super::steps::step;
use super::story::Mark;
use super::{Step, Tale};
use crate::anomaly::{Anomaly, Kind};

/// The story, if it is one of a share group.
pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (partition, offset, group) = (Tale::partition(anomaly)?, anomaly.offset?, anomaly.group.as_deref()?);
    if !lineage.share_groups.contains(group) {
        return None;
    }
    let key = (group, partition);
    let line = lineage.delivery.get(&key).map_or(&[][..], Vec::as_slice);
    let walk = Walk { lineage, partition: &key.1, line, offset };
    Some(match anomaly.kind {
        Kind::LostDelivery => walk.lost(),
        _ => walk.duplicated(),
    })
}

/// Why no member of any share group that reads a partition ever got a record of it: the members to whom the leader gave it died with it, or a
/// program rejected what it had not looked at.
pub(crate) fn never_given(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (partition, offset) = (Tale::partition(anomaly)?, anomaly.offset?);
    let is_plain = |at: &At| matches!(lineage.events[*at].fact, Fact::Polled { .. });
    if lineage.polls.get(&partition).into_iter().flat_map(|polls| polls.values()).flatten().any(is_plain) {
        return None;
    }
    let lines =
        lineage.delivery.iter().filter(|((group, of), _)| *of == partition && lineage.share_groups.contains(group));
    let tales = lines.map(|((_, partition), line)| Walk { lineage, partition, line, offset }.lost());
    let ends = |tale: &Tale| matches!(tale.cause, Cause::DeliveryLimitReached | Cause::RejectedByProgram);
    let tales: Option<Vec<Tale>> = tales.map(|tale| Some(tale).filter(ends)).collect();
    tales?.into_iter().next()
}

/// Why an older record of a key took effect after a newer one, if it was in a share group.
pub(crate) fn explain_order(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (partition, group) = (Tale::partition(anomaly)?, anomaly.group.as_deref()?);
    if !lineage.share_groups.contains(group) {
        return None;
    }
    let key = (group, partition);
    let line = lineage.delivery.get(&key).map_or(&[][..], Vec::as_slice);
    let (older, newer) = (anomaly.offset?, anomaly.other_offset?);
    let of = |wanted: Offset| {
        line.iter().copied().filter(move |at| match &lineage.events[*at].fact {
            Fact::Processed { offset, .. } | Fact::SharePolled { offset, .. } => *offset == wanted,
            _ => false,
        })
    };
    let decisive = of(older).next_back()?;
    let walk = Walk { lineage, partition: &key.1, line, offset: older };
    Some(walk.tale(Cause::SharedWithoutOrder, of(newer).chain(of(older)), (decisive, Mark::Again)))
}

/// What happened to one partition of a share group, and the offset in question.
struct Walk<'a> {
    lineage: &'a Lineage<'a>,
    partition: &'a TopicPartition,
    line: &'a [At],
    offset: Offset,
}

impl Walk<'_> {
    fn fact(&self, at: At) -> &Fact {
        &self.lineage.events[at].fact
    }

    fn all(&self, is_one: impl Fn(&Fact) -> bool) -> Vec<At> {
        self.line.iter().copied().filter(|at| is_one(self.fact(*at))).collect()
    }

    /// Where the record became something else.
    fn changes(&self) -> Vec<At> {
        self.all(|fact| match fact {
            Fact::ShareStateChanged { first, last, .. } => (*first..=*last).contains(&self.offset),
            _ => false,
        })
    }

    fn polls(&self) -> Vec<At> {
        self.all(|fact| matches!(fact, Fact::SharePolled { offset, .. } if *offset == self.offset))
    }

    fn failures(&self) -> Vec<At> {
        self.all(|fact| matches!(fact, Fact::ProcessingFailed { offset, .. } if *offset == self.offset))
    }

    fn change(&self, at: At) -> Option<(ShareState, ShareReason)> {
        match self.fact(at) {
            Fact::ShareStateChanged { state, reason, .. } => Some((*state, *reason)),
            _ => None,
        }
    }

    fn tale(&self, cause: Cause, places: impl IntoIterator<Item = At>, (decisive, mark): (At, Mark)) -> Tale {
        let mut places: Vec<At> = places.into_iter().chain([decisive]).collect();
        places.sort_unstable();
        places.dedup();
        let steps = places.into_iter().map(|at| {
            let step: Step = step(self.lineage, at);
            if at == decisive { step.mark(mark) } else { step }
        });
        Tale::new(cause, steps.collect())
    }

    fn lost(&self) -> Tale {
        let changes = self.changes();
        let is_end = |at: &At| matches!(self.change(*at), Some((ShareState::Acknowledged | ShareState::Archived, _)));
        let Some(end) = changes.iter().rev().copied().find(is_end) else { return self.passed_over() };
        if let Some(replaced) = self.replaced(end) {
            return replaced;
        }
        let before = |places: Vec<At>| places.into_iter().rfind(|at| *at < end);
        let (polled, failed) = (before(self.polls()), before(self.failures()));
        let last: Vec<At> = polled.into_iter().chain(failed).collect();
        match self.change(end) {
            Some((ShareState::Archived, ShareReason::Rejected | ShareReason::Gap)) => {
                self.tale(Cause::RejectedByProgram, last, (end, Mark::Loss))
            }
            Some((ShareState::Archived, _)) => {
                let given_back = changes.iter().copied().filter(|at| *at < end);
                let first = self.polls().first().copied();
                let places = given_back.chain(first).chain(last);
                self.tale(Cause::DeliveryLimitReached, places, (end, Mark::Loss))
            }
            _ => self.accepted(end, last),
        }
    }

    /// What was done with was another record, which the log has lost since. A share group knows records by their offsets, and compares
    /// no epochs (KIP-932).
    fn replaced(&self, end: At) -> Option<Tale> {
        let append = self.lineage.surviving_append(self.partition, self.offset.0).filter(|append| *append > end)?;
        let cut = self.lineage.last_leader_without(self.partition, self.offset, end..append);
        Some(self.tale(Cause::LogReplaced, cut.into_iter().chain([end]), (append, Mark::Loss)))
    }

    /// A program accepted it, and nobody processed it.
    fn accepted(&self, end: At, last: Vec<At>) -> Tale {
        let of = |fact: &Fact| matches!(fact, Fact::GaveUp { offset, to: None, .. } if *offset == self.offset);
        if let Some(gave_up) = self.all(of).first().copied() {
            return self.tale(Cause::SwallowedByProgram, last.into_iter().chain([end]), (gave_up, Mark::Loss));
        }
        let member = last.first().map(|polled| self.lineage.events[*polled].node);
        let death = member.and_then(|member| self.death(member, end));
        let decisive = death.unwrap_or(end);
        self.tale(Cause::AcknowledgedBeforeProcessed, last.into_iter().chain([end]), (decisive, Mark::Loss))
    }

    fn death(&self, node: NodeId, after: At) -> Option<At> {
        let nodes = self.lineage.nodes.get(&node)?;
        nodes.iter().copied().find(|at| *at > after && is_death(self.fact(*at)))
    }

    /// Nobody is to get it any more: the group began behind it, or began there again with another leader.
    fn passed_over(&self) -> Tale {
        let of = |fact: &Fact| match fact {
            Fact::SharePartitionLoaded { start, known: false, .. } => *start > self.offset,
            _ => false,
        };
        match self.all(of).first().copied() {
            Some(loaded) => {
                let before = self.all(|fact| matches!(fact, Fact::SharePartitionLoaded { .. }));
                let before = before.into_iter().chain(self.polls()).filter(|at| *at < loaded);
                self.tale(Cause::PositionReset, before, (loaded, Mark::Loss))
            }
            None => Tale::unknown(),
        }
    }

    fn duplicated(&self) -> Tale {
        let done = self.all(|fact| matches!(fact, Fact::Processed { offset, .. } if *offset == self.offset));
        let [first, .., second] = done[..] else { return Tale::unknown() };
        let polls: Vec<At> = self.polls().into_iter().filter(|at| *at < second).collect();
        let given_back = self
            .changes()
            .into_iter()
            .rfind(|at| *at < second && matches!(self.change(*at), Some((ShareState::Available, _))));
        let loaded = self.all(|fact| matches!(fact, Fact::SharePartitionLoaded { .. }));
        let loaded = loaded.into_iter().rfind(|at| *at < second && polls.first().is_some_and(|poll| poll < at));
        let refused = self.all(|fact| match fact {
            Fact::ShareAcknowledgeRefused { first, last, .. } => (*first..=*last).contains(&self.offset),
            _ => false,
        });
        let acknowledged = self
            .changes()
            .into_iter()
            .rfind(|at| Some(*at) < loaded && matches!(self.change(*at), Some((ShareState::Acknowledged, _))));
        let cause = match (given_back.and_then(|at| self.change(at)), loaded > given_back) {
            (_, true) if acknowledged.is_some() => Cause::GroupForgotten,
            (_, true) => Cause::AcquisitionForgotten,
            (Some((_, ShareReason::LockExpired)), _) => Cause::AcquisitionLockExpired,
            (Some(_), _) => Cause::ProcessedBeforeAcknowledged,
            (None, _) => Cause::Unknown,
        };
        let decided = if loaded > given_back { loaded } else { given_back };
        let places =
            polls.into_iter().chain([first]).chain(acknowledged).chain(decided).chain(refused.first().copied());
        self.tale(cause, places, (second, Mark::Again))
    }
}

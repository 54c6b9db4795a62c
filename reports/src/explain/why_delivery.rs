//! Why a group never processed a record, or processed it twice: the commit, rebalance or crash that decided it.
//!
//! Source: `failure-catalog.md` CO-01, CO-05 (committed, then died), CO-06, GR-09 (processed, then died), GR-01 (a member that
//! does not know that it is none any more), CO-07 (a commit that went back), CO-11 (`latest`).

use std::collections::BTreeSet;

use ackproof_core::fact::{Fact, Payload, ResetReason};
use ackproof_core::types::{NodeId, Offset, TopicPartition};

use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::nodes::is_death;
use super::steps::step;
use super::story::Mark;
use super::{Step, Tale};
use crate::anomaly::{Anomaly, Kind};

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let (Some(partition), Some(offset), Some(group)) = (Tale::partition(anomaly), anomaly.offset, &anomaly.group)
    else {
        return Tale::unknown();
    };
    let line = lineage.delivery.get(&(group.as_str(), partition.clone())).map_or(&[][..], Vec::as_slice);
    let members = lineage.members.get(group.as_str());
    let appended = lineage.surviving_append(&partition, offset.0);
    let born = appended.max(super::why_read::deletion(lineage, &partition)).unwrap_or(0);
    let content = (&anomaly.key, &anomaly.value);
    let walk = Walk { lineage, partition, offset, content, line, members, born };
    match anomaly.kind {
        Kind::DuplicateDelivery => walk.duplicated(),
        Kind::EffectReorder => walk.reordered(anomaly.other_offset),
        _ => {
            let lost = walk.lost();
            let nobody_got_it = lost.cause == Cause::Unknown && walk.polls().is_empty();
            if nobody_got_it { super::why_read::misled(lineage, anomaly) } else { lost }
        }
    }
}

/// Why an older record of a key took effect after a newer one: its key had moved, it was delivered again, or two members worked
/// side by side.
pub(crate) fn explain_order(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let newer = anomaly.other_record.map(|record| lineage.batches_of(record)).unwrap_or_default();
    let sent = newer.iter().filter_map(|batch| lineage.batches.get(batch)).flat_map(|line| line.sent.iter());
    let mut partitions = sent.filter_map(|sent| match &lineage.events[*sent].fact {
        Fact::BatchSent { partition, .. } => Some(partition),
        _ => None,
    });
    if partitions.any(|partition| Some(partition) != Tale::partition(anomaly).as_ref()) {
        return super::why_keys_moved::explain(lineage, anomaly);
    }
    explain(lineage, anomaly)
}

/// What happened to one partition of a group, and the offset in question.
struct Walk<'a> {
    lineage: &'a Lineage<'a>,
    partition: TopicPartition,
    offset: Offset,
    /// Key and value of the record.
    content: (&'a Option<Payload>, &'a Option<Payload>),
    line: &'a [At],
    /// The clients of the group, where the trace names any.
    members: Option<&'a BTreeSet<NodeId>>,
    /// Where a leader took the record last, or its topic had taken the place of another one. What the group did with the offset before was
    /// about another record, which the log has lost.
    born: At,
}

impl Walk<'_> {
    fn fact(&self, at: At) -> &Fact {
        &self.lineage.events[at].fact
    }

    /// How far the group has come by a commit, to its coordinator or to a store of its own.
    fn committed(&self, at: At) -> Option<Offset> {
        match self.fact(at) {
            Fact::OffsetCommitted { offset, .. } | Fact::StoreWrote { offset, .. } => Some(*offset),
            _ => None,
        }
    }

    /// Whether it is where the effect of the record came to be.
    fn is_done_by(&self, at: At) -> bool {
        match self.fact(at) {
            Fact::Processed { offset, .. } => *offset == self.offset,
            Fact::StoreWrote { results, .. } => results.contains(&self.offset),
            _ => false,
        }
    }

    /// Whose doing it was.
    fn doer(&self, at: At) -> NodeId {
        match self.fact(at) {
            Fact::StoreWrote { client, .. } => NodeId::Client(*client),
            _ => self.lineage.events[at].node,
        }
    }

    /// Where a store came back without what it had written for this record, between two moments.
    fn loss_of_store(&self, after: At, before: At) -> Option<At> {
        let mut writes = self.line.iter().copied().filter(|at| *at < before);
        writes.find_map(|at| {
            let Fact::StoreWrote { transaction, offset, .. } = self.fact(at) else { return None };
            let store = self.lineage.events[at].node;
            let is_loss = |load: &At| {
                *load > at.max(after)
                    && *load < before
                    && self.lineage.events[*load].node == store
                    && matches!(self.fact(*load), Fact::StoreLoaded { transactions } if transactions < transaction)
            };
            let is_of_record = *offset > self.offset;
            is_of_record.then(|| self.lineage.store_loads.iter().copied().find(is_loss)).flatten()
        })
    }

    /// Its effect was there, and a store lost it.
    fn undone(&self) -> Option<Tale> {
        let done = self.line.iter().copied().find(|at| self.is_done_by(*at))?;
        let lost = self.loss_of_store(done, At::MAX)?;
        let next = self.line.iter().copied().find(|at| *at > lost && self.committed(*at).is_some());
        Some(self.tale(Cause::StoreLostWrites, [Some(done), Some(lost), next], (Some(lost), Mark::Loss)))
    }

    /// The story of these places, of which one decided it.
    fn tale(
        &self,
        cause: Cause,
        places: impl IntoIterator<Item = Option<At>>,
        (decisive, mark): (Option<At>, Mark),
    ) -> Tale {
        let mut places: Vec<At> = places.into_iter().flatten().collect();
        places.sort_unstable();
        places.dedup();
        let steps = places.into_iter().map(|at| {
            let step: Step = step(self.lineage, at);
            if Some(at) == decisive { step.mark(mark) } else { step }
        });
        Tale::new(cause, steps.collect())
    }

    fn lost(&self) -> Tale {
        if let Some(told) = self.swallowed().or_else(|| self.undone()) {
            return told;
        }
        let is_past = |at: &At| *at > self.born && self.committed(*at).is_some_and(|offset| offset > self.offset);
        let commit = self.line.iter().copied().find(is_past);
        let (polls, others): (Vec<At>, Vec<At>) = self.polls().into_iter().partition(|at| self.is_of_it(*at));
        let polled = match commit {
            Some(commit) => polls.iter().rev().find(|at| **at < commit).or(polls.first()).copied(),
            None => polls.first().copied(),
        };
        let Some(polled) = polled else {
            let is_passed_over = self.resets().any(|at| at > self.born && self.is_put_beyond(at));
            let unnoticed = super::why_read::unnoticed(self.lineage, &self.partition, self.offset, &others);
            return unnoticed.filter(|_| !is_passed_over).unwrap_or_else(|| self.passed_over(commit));
        };
        let end = self.end_of_ownership(self.lineage.events[polled].node, polled);
        let next = commit.and_then(|commit| self.reset_after(commit.max(end.unwrap_or(commit))));
        // It died at work, and `auto.offset.reset` puts the next one behind what nobody had committed.
        let is_put = |at: &At| *at > polled && self.is_put_beyond(*at);
        let put = self.resets().find(is_put).filter(|at| commit.is_none_or(|commit| *at < commit));
        match commit.filter(|_| put.is_none()) {
            Some(_) => self.tale(Cause::CommittedBeforeProcessed, [Some(polled), commit, end, next], (end, Mark::Loss)),
            None => match put {
                reset @ Some(_) => self.tale(Cause::PositionReset, [Some(polled), end, reset], (reset, Mark::Loss)),
                None => self.tale(Cause::Unknown, [Some(polled), end], (end, Mark::Loss)),
            },
        }
    }

    fn is_put_beyond(&self, at: At) -> bool {
        matches!(self.fact(at), Fact::PositionReset { to, .. } if *to > self.offset)
    }

    /// Somebody could not process it, and went on.
    fn swallowed(&self) -> Option<Tale> {
        let of = |at: &At| match self.fact(*at) {
            Fact::GaveUp { offset, to: None, .. } => *offset == self.offset,
            _ => false,
        };
        let gave_up = self.line.iter().copied().find(of)?;
        let failed = self.line.iter().copied().filter(|at| {
            *at < gave_up && matches!(self.fact(*at), Fact::ProcessingFailed { offset, .. } if *offset == self.offset)
        });
        let polled = self.polls().into_iter().rev().find(|at| *at < gave_up);
        let is_past = |at: At| at > gave_up && self.committed(at).is_some_and(|offset| offset > self.offset);
        let commit = self.line.iter().copied().find(|at| is_past(*at));
        let places = [polled, failed.last(), Some(gave_up), commit];
        Some(self.tale(Cause::SwallowedByProgram, places, (Some(gave_up), Mark::Loss)))
    }

    /// Nobody ever got it: a position was set beyond it.
    fn passed_over(&self, commit: Option<At>) -> Tale {
        let beyond: Vec<At> = self.resets().filter(|at| self.is_put_beyond(*at)).collect();
        match beyond.iter().find(|at| **at > self.born).or(beyond.first()).copied() {
            Some(reset) => self.tale(Cause::PositionReset, [Some(reset), commit], (Some(reset), Mark::Loss)),
            // A member that goes by the name goes on in another topic where it was in the former.
            None => match super::why_read::deletion(self.lineage, &self.partition) {
                Some(deleted) => self.tale(Cause::LogReplaced, [Some(deleted), commit], (Some(deleted), Mark::Loss)),
                None => Tale::unknown(),
            },
        }
    }

    fn duplicated(&self) -> Tale {
        let done: Vec<At> = self.line.iter().copied().filter(|at| self.is_done_by(*at)).collect();
        let [first, .., second] = done[..] else { return Tale::unknown() };
        let (former, latter) = (self.doer(first), self.doer(second));
        let reset = self.resets_of(latter).filter(|at| *at < second).last();
        let commit = reset.and_then(|reset| {
            let is_commit = |at: &At| self.committed(*at).is_some();
            self.line.iter().rev().copied().filter(|at| *at < reset).find(is_commit)
        });
        let end = self.end_of_ownership(former, first);
        let (loser, taken) = match self.taken_from(former, first) {
            Some(taken) => (former, Some(taken)),
            None => (latter, self.taken_from(latter, second)),
        };
        let lost = self.loss_of_store(first, second);
        let seeks_by_store = self.line.iter().any(|at| matches!(self.fact(*at), Fact::StoreWrote { .. }));
        let cause = match reset.map(|at| (at, self.fact(at))) {
            _ if lost.is_some() => Cause::StoreLostWrites,
            Some((_, Fact::PositionReset { reason: ResetReason::OutOfRange, .. })) => Cause::PositionReset,
            Some((_, Fact::PositionReset { reason: ResetReason::Seek, .. })) if !seeks_by_store => Cause::PositionReset,
            Some((_, Fact::PositionReset { reason: ResetReason::Truncation, .. })) => Cause::LogReplaced,
            _ if taken.is_some() => Cause::ProcessedAfterLosingPartition,
            // A member that finds no commit begins anew. Where there never was one, that there was none is the reason.
            Some((at, Fact::PositionReset { reason: ResetReason::NoPosition, .. })) if self.was_committed(at) => {
                Cause::PositionReset
            }
            _ if self.went_back(commit) => Cause::CommitWentBack,
            _ => Cause::ProcessedBeforeCommitted,
        };
        let end = end.filter(|end| *end < second);
        let removed = taken.and_then(|taken| self.put_out(loser, taken));
        let told = [Some(first), commit, lost, end, removed, taken, reset, Some(second)];
        self.tale(cause, told, (Some(second), Mark::Again))
    }

    fn reordered(&self, newer: Option<Offset>) -> Tale {
        let again = self.duplicated();
        if again.cause != Cause::Unknown {
            return again;
        }
        newer.and_then(|newer| self.side_by_side(newer).or_else(|| self.set_back(newer))).unwrap_or(again)
    }

    /// The position was set back to where nobody had been: the log begins earlier than it did (it lost its end and how far it had been
    /// deleted, with the power).
    fn set_back(&self, newer: Offset) -> Option<Tale> {
        let done = self.line.iter().copied().find(|at| self.is_done_by(*at))?;
        let ahead = self.line.iter().copied().take_while(|at| *at < done).find(|at| self.has_effect(*at, newer))?;
        let reset = self.resets_of(self.doer(done)).filter(|at| (ahead..done).contains(at)).last()?;
        // Who begins where the group has committed sets nothing back: then the other one had begun further on, or had another record there.
        let is_committed = matches!(self.fact(reset), Fact::PositionReset { reason: ResetReason::Committed, .. });
        let began = self.resets_of(self.doer(ahead)).filter(|at| *at < ahead).last();
        let began = began.filter(|began| self.is_put_beyond(*began));
        if is_committed && began.is_none() && !self.had_another(self.doer(ahead), ahead) {
            return None;
        }
        let told = [began, Some(ahead), Some(reset), Some(done)];
        Some(self.tale(Cause::PositionReset, told, (Some(done), Mark::OutOfOrder)))
    }

    /// Whether somebody was given another record at the offset, before that.
    fn had_another(&self, node: NodeId, before: At) -> bool {
        let polls = self.polls().into_iter().filter(|at| *at < before && self.lineage.events[*at].node == node);
        polls.into_iter().any(|at| !self.is_of_it(at))
    }

    /// Whether this is the effect of a record.
    fn has_effect(&self, at: At, of: Offset) -> bool {
        match self.fact(at) {
            Fact::Processed { offset, .. } => *offset == of,
            Fact::StoreWrote { results, .. } => results.contains(&of),
            _ => false,
        }
    }

    /// Of two members who worked on a partition side by side, one went on although it had been given to another: with what it had
    /// (its workers), or ahead of its heir, from where that one had committed.
    fn side_by_side(&self, newer: Offset) -> Option<Tale> {
        let done = self.line.iter().copied().find(|at| self.is_done_by(*at))?;
        let is_newer = |at: &At| self.has_effect(*at, newer) && *at < done && self.doer(*at) != self.doer(done);
        let ahead = self.line.iter().copied().find(is_newer)?;
        let taken = |at: At| self.taken_from(self.doer(at), at).map(|taken| (self.doer(at), at, taken));
        let since = || Some((self.doer(done), done, self.taken_since_read(done)?));
        let (former, at, taken) = taken(done).or_else(since).or_else(|| taken(ahead))?;
        let of_former = |poll: &At| *poll < at && self.lineage.events[*poll].node == former;
        let polled = self.polls().into_iter().rev().find(of_former);
        let reset = self.resets_of(former).filter(|reset| (taken..at).contains(reset)).last();
        let end = self.end_of_ownership(former, polled.unwrap_or(taken)).filter(|end| *end < done);
        let told = [polled, end, Some(taken), reset, Some(ahead), Some(done)];
        Some(self.tale(Cause::ProcessedAfterLosingPartition, told, (Some(done), Mark::OutOfOrder)))
    }

    /// Whether the last commit before the second delivery names less than one before it.
    fn went_back(&self, commit: Option<At>) -> bool {
        let Some(commit) = commit else { return false };
        let is_before = self.committed(commit).is_some_and(|offset| offset <= self.offset);
        is_before && self.was_committed(commit)
    }

    /// Whether the group had committed the offset before that.
    fn was_committed(&self, before: At) -> bool {
        let mut earlier = self.line.iter().take_while(|at| **at < before);
        earlier.any(|at| self.committed(*at).is_some_and(|offset| offset > self.offset))
    }

    /// Where somebody else was given the partition that this one processed all the same.
    fn taken_from(&self, member: NodeId, at: At) -> Option<At> {
        let mut before = self.line.iter().rev().copied().filter(|other| *other < at);
        let last = before.find(|other| matches!(self.fact(*other), Fact::PartitionsAssigned { .. }));
        last.filter(|last| self.lineage.events[*last].node != member)
    }

    /// Where somebody else was given the partition after this one had been given the record, whoever has the partition since.
    fn taken_since_read(&self, done: At) -> Option<At> {
        let node = self.doer(done);
        let read = self.polls().into_iter().rev().find(|at| *at < done && self.lineage.events[*at].node == node)?;
        let mut meanwhile = self.line.iter().copied().filter(|at| (read..done).contains(at));
        meanwhile.find(|at| {
            self.lineage.events[*at].node != node && matches!(self.fact(*at), Fact::PartitionsAssigned { .. })
        })
    }

    /// Where the coordinator of a group of the consumer protocol put a member out, before that.
    fn put_out(&self, node: NodeId, before: At) -> Option<At> {
        let mut earlier = self.line.iter().rev().copied().filter(|at| *at < before);
        let (group, id) = earlier.find_map(|at| match self.fact(at) {
            Fact::PartitionsAssigned { group, member, .. } if self.lineage.events[at].node == node => {
                Some((group.as_str(), member))
            }
            _ => None,
        })?;
        let removals = self.lineage.removals.get(group).filter(|_| self.lineage.epochs.contains(group))?;
        let is_it = |at: &At| matches!(self.fact(*at), Fact::MemberRemoved { member, .. } if member == id);
        removals.iter().rev().copied().filter(|at| *at < before).find(is_it)
    }

    /// Whether somebody was given this record, and not one that was at its offset before. Such a one may have been fetched long ago.
    fn is_of_it(&self, poll: At) -> bool {
        match self.fact(poll) {
            Fact::Polled { key, value, .. } => poll > self.born && (key, value) == self.content,
            _ => false,
        }
    }

    fn polls(&self) -> Vec<At> {
        let polls = self.lineage.polls.get(&self.partition).and_then(|polls| polls.get(&self.offset.0));
        polls.into_iter().flatten().copied().filter(|at| self.is_of_group(self.lineage.events[*at].node)).collect()
    }

    fn resets(&self) -> impl Iterator<Item = At> {
        let mut all: Vec<At> = self
            .lineage
            .resets
            .iter()
            .filter(|((client, of), _)| **of == self.partition && self.is_of_group(NodeId::Client(*client)))
            .flat_map(|(_, places)| places.iter().copied())
            .collect();
        all.sort_unstable();
        all.into_iter()
    }

    /// Other groups read the same records, and are no part of this.
    fn is_of_group(&self, client: NodeId) -> bool {
        self.members.is_none_or(|members| members.contains(&client))
    }

    fn resets_of(&self, node: NodeId) -> impl Iterator<Item = At> {
        self.resets().filter(move |at| self.lineage.events[*at].node == node)
    }

    fn reset_after(&self, at: At) -> Option<At> {
        self.resets().find(|reset| *reset > at)
    }

    /// When a process that had the partition died or gave it up.
    fn end_of_ownership(&self, node: NodeId, after: At) -> Option<At> {
        let died = self
            .lineage
            .nodes
            .get(&node)
            .into_iter()
            .flatten()
            .copied()
            .find(|at| *at > after && is_death(self.fact(*at)));
        let revoked = self.line.iter().copied().find(|at| {
            *at > after
                && self.lineage.events[*at].node == node
                && matches!(self.fact(*at), Fact::PartitionsRevoked { .. })
        });
        died.into_iter().chain(revoked).min()
    }
}

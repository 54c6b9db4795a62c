//! Why: a walk over the causes of an anomaly, from the promise over the decision to the destruction.
//!
//! The walk needs the trace. It never guesses: where it does not reach a mechanism the cause is `unknown`. Many similar
//! anomalies are condensed: all get their cause, the first few of each kind and cause that went differently their story,
//! the rest are counted.

pub mod cause;
mod exceptions;
mod fate;
mod forgotten;
mod joined;
pub(crate) mod lineage;
mod nodes;
mod old_assignment;
mod promise;
mod renumbered;
mod share_steps;
mod static_leader;
pub(crate) mod steps;
pub mod story;
mod taken_for_another;
mod telling;
mod why_delivery;
mod why_dropped;
mod why_duplicated;
mod why_group;
mod why_keys_moved;
mod why_lost;
mod why_misrouted;
mod why_read;
mod why_removed;
mod why_reordered;
mod why_rewritten;
mod why_shared;
mod why_stale;
mod why_stuck;
mod why_unread;

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact};
use ackproof_core::types::{RecordId, TopicPartition};

pub use cause::Cause;
pub use story::{Actor, KeepsIt, Mark, Step, Story};

use crate::anomaly::{Anomaly, Kind};
use crate::contract::{Answer, Contract, Permitted};
use crate::verdict::Judgement;
use lineage::{At, Lineage};

/// How many stories of one kind and cause are told; those that differ in nothing but the record are told once.
pub const STORIES_PER_CAUSE: usize = 3;

/// After so many that went like one that was told, no other way is looked for: an application that resends for minutes makes
/// duplicates by the ten thousand, each with a story as long as all its resends.
const ALIKE: u64 = 100;

/// The stories of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    /// The first few of each kind and cause, in the order of [`Kind::ALL`].
    pub stories: Vec<Story>,
    /// What was not told, because it went the same way.
    pub more: Vec<More>,
}

/// Anomalies that went the way of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct More {
    /// What went wrong.
    pub kind: Kind,
    /// Why.
    pub cause: Cause,
    /// How many besides those that were told.
    pub times: u64,
}

/// What a walk found.
#[derive(Debug)]
pub(crate) struct Tale {
    pub cause: Cause,
    pub contributing: Vec<Cause>,
    pub steps: Vec<Step>,
    /// What the client had said of its idempotence.
    pub warned: Option<String>,
    /// Faults that were in force to the end, in words.
    pub unhealed: Option<String>,
}

impl Tale {
    /// The facts do not tell.
    pub(crate) fn unknown() -> Self {
        Self { cause: Cause::Unknown, contributing: Vec::new(), steps: Vec::new(), warned: None, unhealed: None }
    }

    /// A mechanism and its steps.
    pub(crate) fn new(cause: Cause, steps: Vec<Step>) -> Self {
        Self { cause, contributing: Vec::new(), steps, warned: None, unhealed: None }
    }

    /// What the application did and heard, and nothing more.
    pub(crate) fn told_only(lineage: &Lineage<'_>, record: RecordId) -> Self {
        let line = lineage.records.get(&record);
        let places = line.map(|line| line.sent.into_iter().chain(line.told).collect::<Vec<_>>()).unwrap_or_default();
        Self::new(Cause::Unknown, places.into_iter().map(|at| steps::step(lineage, at)).collect())
    }

    /// Takes further steps, each in its place.
    pub(crate) fn add(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.steps.extend(steps);
        self.steps.sort_by_key(|step| step.event);
    }

    /// The partition of an anomaly.
    pub(crate) fn partition(anomaly: &Anomaly) -> Option<TopicPartition> {
        Some(TopicPartition::of(anomaly.topic.as_deref()?, anomaly.partition?))
    }
}

/// Finds the cause of every anomaly in the trace, fills it in with what the contract says of it, and tells the first
/// few stories of each kind that differ in their steps.
pub fn explain(judgement: &mut Judgement, events: &[Event], contract: &Contract) -> Explanation {
    let mut explanation = Explanation::default();
    if judgement.anomalies.is_empty() {
        return explanation;
    }
    let lineage = Lineage::new(events);
    let mut told: BTreeMap<(Kind, Cause), Told> = BTreeMap::new();
    for anomaly in &mut judgement.anomalies {
        let enough = |cause| told.get(&(anomaly.kind, cause)).is_some_and(Told::is_enough);
        let mut tale = tale(&lineage, anomaly, contract, &enough);
        if let Some((turned, other)) = turned_round(&lineage, anomaly, contract, &tale) {
            (*anomaly, tale) = (turned, other);
        }
        if let (Kind::InconsistentOffsets, Cause::Unknown) = (anomaly.kind, tale.cause) {
            tale = why_removed::deleted_when_back(&lineage, anomaly).unwrap_or(tale);
        }
        anomaly.cause = Some(tale.cause);
        anomaly.contributing = tale.contributing;
        anomaly.permitted = contract.permits(anomaly);
        if let (Some(warned), Answer::Yes) = (&tale.warned, anomaly.permitted.answer) {
            anomaly.permitted.because.push_str(&format!("; the client had warned: {warned}"));
        }
        if let (Some(unhealed), Answer::Unknown) = (&tale.unhealed, anomaly.permitted.answer) {
            anomaly.permitted = Permitted::unknown(format!("{unhealed}: what waits for that may wait"));
        }
        if told.entry((anomaly.kind, tale.cause)).or_default().is_worth_telling(&tale.steps) {
            let anomaly = anomaly.clone();
            explanation.stories.push(Story { anomaly, steps: tale.steps, keeps_it: None, replay: None });
        }
    }
    explanation.more = told
        .into_iter()
        .filter(|(_, told)| told.untold > 0)
        .map(|((kind, cause), told)| More { kind, cause, times: told.untold })
        .collect();
    explanation
}

/// The stories of one kind and cause: how those went that were told, and how many were not.
#[derive(Debug, Default)]
struct Told {
    courses: Vec<Vec<String>>,
    untold: u64,
}

impl Told {
    fn is_enough(&self) -> bool {
        self.courses.len() >= STORIES_PER_CAUSE || self.untold >= ALIKE
    }

    fn is_worth_telling(&mut self, steps: &[Step]) -> bool {
        if !self.is_enough() {
            let course: Vec<String> = steps.iter().map(Step::course).collect();
            if !self.courses.contains(&course) {
                self.courses.push(course);
                return true;
            }
        }
        self.untold += 1;
        false
    }
}

/// Of two records at an offset, the one that was heard of last may be the one that is gone: a leader that had been deposed answered for
/// it, and the answer was late. Where the log has neither any more, the judge cannot tell.
fn turned_round(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract, tale: &Tale) -> Option<(Anomaly, Tale)> {
    let gone = anomaly.other_record.filter(|_| anomaly.kind == Kind::InconsistentOffsets)?;
    let turned = Anomaly { record: Some(gone), other_record: anomaly.record, ..anomaly.clone() };
    // What was taken by the rules is not lost, whoever led without it, unless both were.
    let by_rule = |one: &Anomaly| why_removed::taken_where_it_stood(lineage, one);
    let is_in_doubt = tale.cause == Cause::Unknown || (by_rule(anomaly) && !by_rule(&turned));
    if !is_in_doubt || is_in_the_log(lineage, anomaly) {
        return None;
    }
    let other = why_lost::explain(lineage, &turned, contract);
    (other.cause != Cause::Unknown).then_some((turned, other))
}

/// Whether somebody looked at the log in the end and found a record at the offset: the other one, by the checker's word.
fn is_in_the_log(lineage: &Lineage<'_>, anomaly: &Anomaly) -> bool {
    let (Some(partition), Some(place)) = (Tale::partition(anomaly), anomaly.offset) else { return false };
    lineage.events.iter().rev().take_while(|event| !matches!(event.fact, Fact::Appended { .. })).any(|event| {
        matches!(&event.fact, Fact::RecordSurveyed { partition: of, offset, .. } if *of == partition && *offset == place)
    })
}

/// Whether enough is told of a cause: then its steps are not wanted.
type Enough<'e> = &'e dyn Fn(Cause) -> bool;

fn lost_write(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Tale {
    let known = why_rewritten::explain(lineage, anomaly)
        .or_else(|| taken_for_another::explain(lineage, anomaly))
        .or_else(|| why_removed::deleted_when_back(lineage, anomaly))
        .or_else(|| why_removed::deleted(lineage, anomaly));
    if let Some(tale) = known {
        return tale;
    }
    let lost = why_lost::explain(lineage, anomaly, contract);
    // A cleaner that was there took nothing that was lost with the end of a log.
    match lost.cause {
        Cause::Unknown => why_removed::compacted(lineage, anomaly).unwrap_or(lost),
        _ => lost,
    }
}

/// Between two records at an offset a replica that lacked the first was elected uncleanly: what had not been acknowledged there may have been
/// read, and was written again elsewhere.
fn shifted(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (partition, offset) = (Tale::partition(anomaly)?, anomaly.offset?);
    let appends = lineage.leader_appends(&partition, offset.0);
    let (first, last) = (*appends.iter().min()?, *appends.iter().max()?);
    let structure = &lineage.partitions.get(&partition)?.structure;
    let unclean = |at: &At| matches!(lineage.events[*at].fact, Fact::LeaderElected { clean: false, .. });
    let elected = structure.iter().copied().find(|at| (first..last).contains(at) && unclean(at))?;
    let is_last_known = match lineage.events[elected].fact {
        Fact::LeaderElected { leader, .. } => why_lost::is_last_known(lineage, &partition, leader, elected),
        _ => false,
    };
    let cause = if is_last_known { Cause::LastKnownLeaderElected } else { Cause::UncleanElection };
    Some(Tale::new(cause, [first, elected, last].map(|at| steps::step(lineage, at)).into()))
}

fn overwritten(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Tale {
    let lost = why_lost::explain(lineage, anomaly, contract);
    // Who led without what had been deleted by the rules had lost nothing.
    match lost.cause {
        Cause::Unknown | Cause::JoinedIsrWithoutIt | Cause::ProposalForgotten | Cause::AcknowledgedBeforeReplicated => {
            let other = why_removed::given_out_again(lineage, anomaly);
            other.or_else(|| shifted(lineage, anomaly).filter(|_| lost.cause == Cause::Unknown)).unwrap_or(lost)
        }
        _ => lost,
    }
}

fn tale(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract, enough: Enough<'_>) -> Tale {
    match anomaly.kind {
        Kind::LostWrite => lost_write(lineage, anomaly, contract),
        Kind::InconsistentOffsets => why_rewritten::explain(lineage, anomaly)
            .or_else(|| taken_for_another::explain(lineage, anomaly))
            .unwrap_or_else(|| overwritten(lineage, anomaly, contract)),
        Kind::ExpiredUnread => why_removed::expired(lineage, anomaly),
        Kind::StaleKey => why_removed::stale(lineage, anomaly, contract),
        Kind::SilentDrop => why_dropped::explain(lineage, anomaly, contract),
        Kind::Duplicate => why_duplicated::explain(lineage, anomaly, enough),
        Kind::Reorder | Kind::ReplayReorder => why_reordered::explain(lineage, anomaly, enough),
        Kind::KeyReorder => why_keys_moved::explain(lineage, anomaly),
        Kind::Unavailable | Kind::Stuck => why_stuck::explain(lineage, anomaly, contract),
        Kind::PollSkip | Kind::NonmonotonicPoll => why_read::explain(lineage, anomaly),
        Kind::Unseen => {
            let read = why_read::explain(lineage, anomaly);
            match read.cause {
                Cause::Unknown | Cause::TruncationUnnoticed => why_unread::unseen(lineage, anomaly, contract)
                    .or_else(|| why_shared::never_given(lineage, anomaly))
                    .unwrap_or(read),
                _ => read,
            }
        }
        Kind::Misrouted => why_misrouted::explain(lineage, anomaly),
        Kind::StaleEndOffset => why_stale::explain(lineage, anomaly),
        Kind::LostDelivery | Kind::DuplicateDelivery => {
            why_shared::explain(lineage, anomaly).unwrap_or_else(|| why_delivery::explain(lineage, anomaly))
        }
        Kind::EffectReorder => {
            why_shared::explain_order(lineage, anomaly).unwrap_or_else(|| why_delivery::explain_order(lineage, anomaly))
        }
        Kind::TwoOwners | Kind::NonmonotonicCommit => why_group::explain(lineage, anomaly, contract),
        Kind::Phantom => match anomaly.record {
            Some(record) => Tale::told_only(lineage, record),
            None => why_rewritten::explain(lineage, anomaly).unwrap_or_else(Tale::unknown),
        },
    }
}

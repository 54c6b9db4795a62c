//! The judge: takes the facts of a run as they happen and says at the end whether every promise was kept.
//!
//! `valid` means that something was promised, looked at and kept; `invalid` that an anomaly was found, permitted by the
//! configuration or not (each anomaly says which), or an invariant was broken that had to hold; `unknown` that nothing is wrong as far as can be seen and not
//! everything can: nothing was sent, nobody looked at a log, time ran out, or a fault never bit.

use std::collections::BTreeMap;
use std::fmt;

use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::types::{Instant, LeaderEpoch, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::anomaly::{Anomaly, Kind};
use crate::checkers::delivery::Delivery;
use crate::checkers::effect_order::EffectOrder;
use crate::checkers::key_order::KeyOrder;
use crate::checkers::nonmonotonic_commit::Commits;
use crate::checkers::poll_order::PollOrder;
use crate::checkers::share_delivery::ShareDelivery;
use crate::checkers::stale_end_offset::EndOffsets;
use crate::checkers::stale_key::StaleKeys;
use crate::checkers::two_owners::Owners;
use crate::checkers::{self, Findings};
use crate::contract::{Answer, Contract};
use crate::groups::{self, GroupState};
use crate::history::{History, Moving, Outcome, Replica};
use crate::invariants::{Broken, Invariants};
use crate::ledger::Ledger;

/// Three-valued: what is not known stays unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every promise was kept.
    Valid,
    /// An anomaly was found.
    Invalid,
    /// Neither can be said; see [`Judgement::doubts`].
    Unknown,
}

impl Verdict {
    /// `valid`, `invalid` or `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Valid => "valid",
            Verdict::Invalid => "invalid",
            Verdict::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

macro_rules! counts {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// How often what happened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Counts {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl Counts {
            /// Every count with its name, in order.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field)),*].into_iter()
            }
        }
    };
}

counts! {
    /// Calls of `send()`.
    sent,
    /// Of those: reported as written (at acks=0: as sent).
    acknowledged,
    /// Of those: reported as certainly not written.
    failed,
    /// Of those: reported as failed, and possibly written.
    indeterminate,
    /// Of those: never reported on.
    pending,
    /// Values that a consumer got, each offset counted once.
    delivered,
    /// Records of `lost-write`.
    lost,
    /// Records of `silent-drop`.
    dropped,
    /// Acknowledged records on disks of partitions without a leader.
    unavailable,
    /// Copies beyond the first.
    duplicated,
    /// Records after one that was sent later.
    reordered,
    /// Of those: after one with the same key.
    reordered_keys,
    /// Second copies after a record that was sent later.
    replayed,
    /// Offsets seen with two values.
    inconsistent,
    /// Records there that should not be.
    phantom,
    /// Indeterminate or pending records that are in the log.
    surfaced,
    /// Acknowledged records that no consumer got.
    unseen,
    /// Jumps over a record.
    poll_skips,
    /// Reads that went back.
    nonmonotonic_polls,
    /// Records that retention may have removed.
    removed,
    /// Of those: that no consumer had got.
    expired,
    /// Records that compaction may have removed.
    compacted,
    /// Keys that a consumer believes to have a value and that were deleted.
    stale_keys,
    /// Records that groups processed, each once per group.
    processed,
    /// Records that a group went past without processing them.
    lost_deliveries,
    /// Records that groups did not process, and handed on to another topic.
    handed_on,
    /// Times that a record was processed again.
    duplicate_deliveries,
    /// Records that took effect after a newer one of their key.
    reordered_effects,
    /// Times that a record was processed again, to no effect: the sink takes each once.
    absorbed_deliveries,
}

/// A fault that did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Its number in the plan.
    pub fault: u32,
    /// What it did.
    pub what: String,
    /// How often.
    pub times: u64,
}

/// A fault that was triggered and did nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleFault {
    /// Its number in the plan.
    pub fault: u32,
    /// What it should have done.
    pub what: String,
}

/// A partition at the end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// Its name.
    pub partition: TopicPartition,
    /// The brokers it was assigned to, preferred leader first.
    pub assigned: Vec<i32>,
    /// The epoch of its last leader, where an election was seen.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Its replicas.
    pub replicas: Vec<Replica>,
    /// Replicas that come and go, and eligible ones outside the ISR.
    pub moving: Moving,
}

/// What the judge says.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Whether every promise was kept.
    pub verdict: Verdict,
    /// Why no better verdict is possible; they matter where it is unknown.
    pub doubts: Vec<String>,
    /// What went wrong, in the order of [`Kind::ALL`].
    pub anomalies: Vec<Anomaly>,
    /// The invariants that were broken, in the order in which they were.
    pub broken: Vec<Broken>,
    /// How often what happened.
    pub counts: Counts,
    /// The faults that did something.
    pub witnesses: Vec<Witness>,
    /// The faults that did nothing.
    pub idle_faults: Vec<IdleFault>,
    /// The partitions at the end.
    pub partitions: Vec<PartitionState>,
    /// The consumer groups at the end.
    pub groups: Vec<GroupState>,
    /// When the run ended.
    pub ended_at: Instant,
    /// How many facts were judged.
    pub events: u64,
}

impl Judgement {
    /// Whether an anomaly was found that the configuration forbids, or an invariant was broken that had to hold: a bug.
    pub fn has_forbidden(&self) -> bool {
        self.anomalies.iter().any(|anomaly| anomaly.permitted.answer == Answer::No)
            || self.broken.iter().any(|broken| broken.permitted.answer == Answer::No)
    }

    /// The invariants that were broken although nothing had happened that would excuse it.
    pub fn breaches(&self) -> impl Iterator<Item = &Broken> {
        self.broken.iter().filter(|broken| broken.permitted.answer != Answer::Yes)
    }

    /// The anomalies of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Anomaly> {
        self.anomalies.iter().filter(move |anomaly| anomaly.kind == kind)
    }

    /// Which kinds of anomaly were found.
    pub fn kinds(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| self.of_kind(*kind).next().is_some()).collect()
    }
}

/// Holds all checkers. It keeps no trace.
#[derive(Clone, Debug)]
pub struct Judge {
    contract: Contract,
    history: History,
    poll_order: PollOrder,
    key_order: KeyOrder,
    stale_keys: StaleKeys,
    end_offsets: EndOffsets,
    invariants: Invariants,
    delivery: Delivery,
    share_delivery: ShareDelivery,
    effects: EffectOrder,
    owners: Owners,
    commits: Commits,
    groups: Vec<GroupState>,
    faults: BTreeMap<u32, String>,
    witnesses: BTreeMap<(u32, String), u64>,
    stuck: Vec<(String, Instant)>,
    last: Instant,
    events: u64,
}

impl Observer for Judge {
    fn observe(&mut self, event: &Event) {
        self.events += 1;
        self.last = self.last.max(event.time);
        match &event.fact {
            Fact::FaultInjected { fault, what } => {
                self.faults.insert(*fault, what.clone());
            }
            Fact::FaultBit { fault, what } => match self.witnesses.get_mut(&(*fault, what.clone())) {
                Some(times) => *times += 1,
                None => {
                    self.witnesses.insert((*fault, what.clone()), 1);
                }
            },
            Fact::Stuck { what } => self.stuck.push((what.clone(), event.time)),
            Fact::GroupSurveyed { .. }
            | Fact::GroupEpochsSurveyed { .. }
            | Fact::GroupMemberSurveyed { .. }
            | Fact::GroupPartitionSurveyed { .. }
            | Fact::SharePartitionSurveyed { .. } => {
                groups::observe(&mut self.groups, event);
            }
            _ => {
                self.history.observe(event);
                self.poll_order.observe(event);
                self.key_order.observe(event);
                self.stale_keys.observe(event);
                self.end_offsets.observe(event);
                self.invariants.observe(event);
                self.delivery.observe(event);
                self.share_delivery.observe(event);
                self.effects.observe(event);
                self.owners.observe(event);
                self.commits.observe(event);
            }
        }
    }
}

impl Judge {
    /// A judge who knows what was promised and has seen nothing yet.
    pub fn new(contract: Contract) -> Self {
        let compacted = contract.topics.iter().filter(|topic| topic.compacted).map(|topic| topic.name.clone());
        Self {
            stale_keys: StaleKeys::new(compacted.collect()),
            contract,
            history: History::new(),
            poll_order: PollOrder::default(),
            key_order: KeyOrder::default(),
            end_offsets: EndOffsets::default(),
            invariants: Invariants::default(),
            delivery: Delivery::default(),
            share_delivery: ShareDelivery::default(),
            effects: EffectOrder::default(),
            owners: Owners::default(),
            commits: Commits::default(),
            groups: Vec::new(),
            faults: BTreeMap::new(),
            witnesses: BTreeMap::new(),
            stuck: Vec::new(),
            last: Instant::START,
            events: 0,
        }
    }

    /// The verdict on what was seen. Causes are for [`crate::explain()`] to find.
    pub fn finish(self) -> Judgement {
        let mut findings = Findings::default();
        self.count_outcomes(&mut findings);
        self.check(&mut findings);
        let idle_faults: Vec<IdleFault> = self
            .faults
            .iter()
            .filter(|(fault, _)| !self.witnesses.keys().any(|(witness, _)| witness == *fault))
            .map(|(fault, what)| IdleFault { fault: *fault, what: what.clone() })
            .collect();
        self.doubt(&idle_faults, &mut findings);
        let Findings { mut anomalies, counts, doubts } = findings;
        anomalies.sort_by_key(|anomaly| anomaly.kind);
        for anomaly in &mut anomalies {
            anomaly.permitted = self.contract.permits(anomaly);
        }
        let mut broken = self.invariants.into_broken();
        for broken in &mut broken {
            broken.permitted = self.contract.permits_break(broken);
        }
        let breached = broken.iter().any(|broken| broken.permitted.answer != Answer::Yes);
        let verdict = match (anomalies.is_empty() && !breached, doubts.is_empty()) {
            (false, _) => Verdict::Invalid,
            (true, true) => Verdict::Valid,
            (true, false) => Verdict::Unknown,
        };
        let witnesses =
            self.witnesses.into_iter().map(|((fault, what), times)| Witness { fault, what, times }).collect();
        let partitions = partition_states(&self.history);
        Judgement {
            verdict,
            doubts,
            anomalies,
            broken,
            counts,
            witnesses,
            idle_faults,
            partitions,
            groups: self.groups,
            ended_at: self.last,
            events: self.events,
        }
    }

    fn count_outcomes(&self, findings: &mut Findings) {
        let counts = &mut findings.counts;
        for sent in self.history.sends() {
            counts.sent += 1;
            match sent.outcome {
                Outcome::Acknowledged { .. } => counts.acknowledged += 1,
                Outcome::Failed { definite: true, .. } => counts.failed += 1,
                Outcome::Failed { definite: false, .. } => counts.indeterminate += 1,
                Outcome::Pending | Outcome::Abandoned { .. } => counts.pending += 1,
            }
        }
        counts.delivered = self.history.partitions.iter().map(|partition| partition.delivered).sum();
    }

    fn check(&self, findings: &mut Findings) {
        let ledger = Ledger::new(&self.history);
        checkers::lost_write::check(&ledger, &self.contract, findings);
        checkers::silent_drop::check(&ledger, &self.contract, findings);
        checkers::duplicate::check(&ledger, findings);
        checkers::reorder::check(&ledger, findings);
        checkers::inconsistent_offsets::check(&ledger, findings);
        checkers::phantom::check(&ledger, findings);
        checkers::misrouted::check(&ledger, findings);
        checkers::stuck::check(&ledger, &self.contract, findings);
        checkers::unseen::check(&ledger, findings);
        self.poll_order.check(&self.history, findings);
        self.key_order.check(&ledger, findings);
        self.stale_keys.check(&self.history, findings);
        self.end_offsets.check(&self.contract, findings);
        let is_share = |group: &str| self.share_delivery.is_share(group);
        self.delivery.check(&self.history, &self.contract, is_share, findings);
        self.share_delivery.check(&self.history, &self.contract, findings);
        self.effects.check(&ledger, &self.contract, is_share, findings);
        self.owners.check(findings);
        self.commits.check(&self.contract, findings);
        for (what, at) in &self.stuck {
            findings.anomalies.push(Anomaly {
                note: Some(what.clone()),
                told_at: Some(*at),
                ..Anomaly::new(Kind::Stuck)
            });
        }
    }

    fn doubt(&self, idle_faults: &[IdleFault], findings: &mut Findings) {
        if findings.counts.sent == 0 {
            findings.doubt("nothing was sent".to_owned());
        }
        match self.history.ended {
            None => findings.doubt("the run has no end".to_owned()),
            Some(false) => findings.doubt("time ran out before everything came to rest".to_owned()),
            Some(true) => {}
        }
        for idle in idle_faults {
            findings.doubt(format!("fault {} did nothing: {}", idle.fault, idle.what));
        }
    }
}

fn partition_states(history: &History) -> Vec<PartitionState> {
    let mut states: Vec<PartitionState> = history
        .partitions()
        .filter(|(_, replicas)| !replicas.is_empty())
        .map(|(partition, replicas)| PartitionState {
            partition: partition.clone(),
            assigned: match history.replica_list(partition) {
                Some(brokers) => brokers.to_vec(),
                None => replicas.iter().map(|replica| replica.broker).collect(),
            },
            leader_epoch: history.leader_epoch(partition),
            replicas: replicas.to_vec(),
            moving: history.moving.get(partition).cloned().unwrap_or_default(),
        })
        .collect();
    states.sort_by(|one, other| one.partition.cmp(&other.partition));
    states
}

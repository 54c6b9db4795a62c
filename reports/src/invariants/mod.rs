//! What must hold at every step of a run, watched on the stream of facts: one invariant per file, with its published name.
//!
//! Source: failure-catalog.md section 5: hachikuji/kafka-specification, Vanlightly/kafka-tlaplus; section 4 (d) and (e).
//!
//! `view` is the cluster as the facts tell it, `replica_log` what replicas hold, each invariant a function of that view and
//! of what has just changed in it. The first event at which an invariant breaks in a partition is kept; what follows from it is
//! not told again. Whether the run was one in which it may break is for the contract to say.

use std::fmt;

use ackproof_core::fact::{Event, Observer};
use ackproof_core::types::{Instant, NodeId, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::contract::Permitted;
use metadata_log_matching::MetadataLogs;
use view::{Change, ClusterView, PartitionView};

mod consistent_read;
mod leader_candidate_completeness;
mod leader_completeness;
mod leader_in_isr;
mod log_matching;
mod log_start_offset;
mod metadata_log_matching;
mod min_isr_recovery_quorum;
mod monotonic_epochs;
mod monotonic_high_watermark;
mod no_committed_record_lost_globally;
mod no_two_leaders_per_epoch;
mod replica_log;
mod replication_quorum_superset;
mod strong_isr;
mod view;
mod weak_isr;

macro_rules! invariants {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// An invariant, by its published name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Invariant {
            $($(#[$doc])* $name,)*
        }

        impl Invariant {
            /// All of them, in the order in which reports list them.
            pub const ALL: &'static [Invariant] = &[$(Invariant::$name,)*];

            /// The published name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Invariant::$name => stringify!($name),)*
                }
            }
        }
    };
}

invariants! {
    /// The leader is in the ISR.
    LeaderInIsr,
    /// An epoch has one leader.
    NoTwoLeadersPerEpoch,
    /// Epochs only grow.
    MonotonicEpochs,
    /// A leader waits for everybody who may be elected.
    ReplicationQuorumSuperset,
    /// Whoever believes to lead shares what it exposes with its own ISR.
    WeakIsr,
    /// What is exposed is on every replica of the controller's ISR.
    StrongIsr,
    /// Whoever may be elected has everything committed.
    LeaderCandidateCompleteness,
    /// The leader has everything committed.
    LeaderCompleteness,
    /// Below both high watermarks two replicas hold the same.
    LogMatching,
    /// Every broker has read the metadata log that the controller wrote.
    MetadataLogMatching,
    /// What is committed stays committed.
    MonotonicHighWatermark,
    /// Logs begin where they did or later, and not beyond what is committed.
    LogStartOffset,
    /// What was read stays where it was.
    ConsistentRead,
    /// A partition without candidates remembers whom to recover from.
    MinIsrRecoveryQuorum,
    /// What is committed is on some broker.
    NoCommittedRecordLostGlobally,
}

impl Invariant {
    /// The invariant of this name.
    pub fn by_name(name: &str) -> Option<Invariant> {
        Invariant::ALL.iter().copied().find(|invariant| invariant.name() == name)
    }

    /// What is wrong, if it has just been broken.
    fn check(self, scene: &Scene<'_>) -> Option<String> {
        match self {
            Invariant::LeaderInIsr => leader_in_isr::check(scene),
            Invariant::NoTwoLeadersPerEpoch => no_two_leaders_per_epoch::check(scene),
            Invariant::MonotonicEpochs => monotonic_epochs::check(scene),
            Invariant::ReplicationQuorumSuperset => replication_quorum_superset::check(scene),
            Invariant::WeakIsr => weak_isr::check(scene),
            Invariant::StrongIsr => strong_isr::check(scene),
            Invariant::LeaderCandidateCompleteness => leader_candidate_completeness::check(scene),
            Invariant::LeaderCompleteness => leader_completeness::check(scene),
            Invariant::LogMatching => log_matching::check(scene),
            Invariant::MonotonicHighWatermark => monotonic_high_watermark::check(scene),
            Invariant::LogStartOffset => log_start_offset::check(scene),
            Invariant::ConsistentRead => consistent_read::check(scene),
            Invariant::MinIsrRecoveryQuorum => min_isr_recovery_quorum::check(scene),
            Invariant::NoCommittedRecordLostGlobally => no_committed_record_lost_globally::check(scene),
            // It is about the metadata log, which is no partition of this view.
            Invariant::MetadataLogMatching => None,
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A partition at the moment of a change.
struct Scene<'a> {
    /// The cluster.
    cluster: &'a ClusterView,
    /// The partition, after the change.
    partition: &'a PartitionView,
    /// The change.
    change: &'a Change,
}

/// The invariants that a change can break. A busy run is made of the first two and of `Consumed`.
fn concerned(change: &Change) -> &'static [Invariant] {
    use Invariant as I;
    match change {
        Change::Appended { .. } => &[I::MonotonicEpochs],
        Change::Committed { .. } => &[
            I::WeakIsr,
            I::StrongIsr,
            I::LeaderCandidateCompleteness,
            I::LeaderCompleteness,
            I::LogMatching,
            I::MonotonicHighWatermark,
            I::ConsistentRead,
            I::NoCommittedRecordLostGlobally,
        ],
        Change::Consumed(_) => &[I::ConsistentRead],
        Change::Followed(_) => &[I::LogMatching],
        Change::Lost(_) => &[
            I::WeakIsr,
            I::StrongIsr,
            I::LeaderCandidateCompleteness,
            I::LeaderCompleteness,
            I::ConsistentRead,
            I::NoCommittedRecordLostGlobally,
        ],
        Change::LogStart(..) => &[I::LogStartOffset],
        Change::BecameLeader(..) => &[
            I::NoTwoLeadersPerEpoch,
            I::MonotonicEpochs,
            I::ReplicationQuorumSuperset,
            I::LeaderCompleteness,
            I::ConsistentRead,
        ],
        Change::BecameFollower(..) => &[I::MonotonicEpochs],
        Change::LeaderIsr(_) => &[I::ReplicationQuorumSuperset, I::WeakIsr],
        Change::Elected { .. } => &[
            I::LeaderInIsr,
            I::NoTwoLeadersPerEpoch,
            I::MonotonicEpochs,
            I::StrongIsr,
            I::LeaderCandidateCompleteness,
            I::LeaderCompleteness,
            I::ConsistentRead,
        ],
        Change::Eligible => &[I::LeaderCandidateCompleteness],
        Change::Decided => &[I::MinIsrRecoveryQuorum],
        Change::Isr { .. } => &[
            I::LeaderInIsr,
            I::MonotonicEpochs,
            I::ReplicationQuorumSuperset,
            I::StrongIsr,
            I::LeaderCandidateCompleteness,
        ],
    }
}

/// An invariant that was broken, and the first event at which it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// In which partition; none for the metadata log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<TopicPartition>,
    /// The number of the event.
    pub event: u64,
    /// When.
    pub at: Instant,
    /// At which node.
    pub node: NodeId,
    /// What is wrong.
    pub what: String,
    /// What the run had been through by then.
    pub after: Circumstances,
    /// Whether the protocol promises nothing after that, and why: `permitted` and `permitted_because`.
    #[serde(flatten)]
    pub permitted: Permitted,
}

/// What a run had been through when an invariant broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Whether a replica that was not in the ISR had been elected in the partition.
    pub unclean_election: bool,
    /// How many brokers of the partition had lost unsynced bytes together with their power.
    pub power_losses: u32,
    /// How many disks of its brokers, or of controllers, had lost or changed what was synced.
    pub harmed_disks: u32,
    /// At how many of its brokers an append had failed.
    #[serde(default)]
    pub failed_appends: u32,
    /// Whether the leader had dropped a proposal that nobody had answered, because metadata told it of its own ISR again, or the process before
    /// it in the same epoch had ended with one under way.
    #[serde(default)]
    pub dropped_proposal: bool,
    /// Whether a leader had committed after that, so that it may not have waited for whom the controller had let in.
    #[serde(default)]
    pub committed_after_drop: bool,
    /// Whether the next process of a broker got the place in the ISR that the leader had asked for the one before.
    #[serde(default)]
    pub replaced_in_isr: bool,
    /// Whether a leader that had lost its end with its power had led on in the epoch in which it had written that.
    #[serde(default)]
    pub led_on_after_loss: bool,
    /// Whether a member of the ISR other than the leader had everything committed, its machine no loss behind it, and the leader's
    /// epochs showed that the leader had not.
    #[serde(default)]
    pub intact_in_sync: bool,
}

/// Watches all invariants.
#[derive(Clone, Debug, Default)]
pub struct Invariants {
    view: ClusterView,
    metadata: MetadataLogs,
    /// Per partition of the view: a bit for each invariant that is broken already.
    known: Vec<u32>,
    broken: Vec<Broken>,
    /// Decisions that left nobody in an ISR: the partition, and the last fact of it so far.
    untold: Vec<(usize, Event)>,
}

impl Invariants {
    /// What was broken, in the order of the events.
    pub fn into_broken(mut self) -> Vec<Broken> {
        self.decided();
        self.broken
    }

    /// One decision is several facts said at one instant, in which order is not for a judge to rely on.
    fn hear(&mut self, index: usize, change: &Change, event: &Event) {
        let by_controller = matches!(change, Change::Elected { .. } | Change::Isr { .. } | Change::Eligible);
        if by_controller && self.view.partitions[index].decided.isr.is_empty() {
            self.untold.retain(|(other, _)| *other != index);
            self.untold.push((index, event.clone()));
        }
    }

    /// Time has passed: what was decided is told.
    fn decided(&mut self) {
        for (index, event) in std::mem::take(&mut self.untold) {
            self.look(index, &Change::Decided, &event);
        }
    }

    fn circumstances(&self, partition: Option<&PartitionView>) -> Circumstances {
        let ordeal = &self.view.ordeal;
        let leader = partition.and_then(PartitionView::current_leader).and_then(|(_, leader)| leader.leads.as_ref());
        let concerns = |broker: i32| partition.is_none_or(|partition| partition.is_or_was_on(broker));
        // A controller's disk decides over every partition.
        let harms = |node: &&NodeId| !matches!(node, NodeId::Broker(broker) if !concerns(*broker));
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Circumstances {
            unclean_election: partition.is_some_and(|partition| partition.decided.unclean),
            dropped_proposal: leader.is_some_and(|leads| leads.forgot),
            committed_after_drop: partition.is_some_and(|partition| partition.committed_after_drop),
            replaced_in_isr: partition.is_some_and(|partition| !partition.replaced_in_isr.is_empty()),
            led_on_after_loss: partition.is_some_and(|partition| partition.led_on_after_loss),
            intact_in_sync: partition.is_some_and(|partition| self.view.has_intact_follower(partition)),
            power_losses: count(ordeal.lossy.iter().filter(|broker| concerns(**broker)).count()),
            harmed_disks: count(ordeal.harmed.iter().filter(harms).count()),
            failed_appends: count(ordeal.failed_appends.iter().filter(|broker| concerns(**broker)).count()),
        }
    }

    fn breaks(&mut self, invariant: Invariant, partition: Option<usize>, event: &Event, what: String) {
        let partition = partition.map(|index| &self.view.partitions[index]);
        let after = self.circumstances(partition);
        self.broken.push(Broken {
            invariant,
            partition: partition.map(|partition| partition.name.clone()),
            event: event.sequence,
            at: event.time,
            node: event.node,
            what,
            after,
            permitted: Permitted::unknown("not judged yet"),
        });
    }
}

impl Observer for Invariants {
    fn observe(&mut self, event: &Event) {
        if self.untold.first().is_some_and(|(_, told)| told.time < event.time) {
            self.decided();
        }
        if let Some(what) = self.metadata.take(event) {
            self.breaks(Invariant::MetadataLogMatching, None, event, what);
        }
        let Some((index, change)) = self.view.take(event) else { return };
        if self.known.len() <= index {
            self.known.resize(index + 1, 0);
        }
        if let Some(broker) = self.view.take_loss() {
            self.look(index, &Change::Lost(broker), event);
        }
        self.look(index, &change, event);
        self.hear(index, &change, event);
    }
}

impl Invariants {
    fn look(&mut self, index: usize, change: &Change, event: &Event) {
        for invariant in concerned(change) {
            let bit = 1 << *invariant as u32;
            if self.known[index] & bit != 0 {
                continue;
            }
            let scene = Scene { cluster: &self.view, partition: &self.view.partitions[index], change };
            if let Some(what) = invariant.check(&scene) {
                self.known[index] |= bit;
                self.breaks(*invariant, Some(index), event, what);
            }
        }
    }
}

//! Which invariants may break, after what brokers and disks have been through.

use super::{APPEND_FENCE, Contract, DROPPED, ISR_BROKER_EPOCH, Permitted, REPLACED, UNFENCED};
use crate::invariants::{Broken, Invariant};

/// How much an invariant endures: it holds while this does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endurance {
    /// It breaks when a replica loses records that it had: with its power, by its disk, by an unclean election.
    DisksKeep,
    /// It breaks when as many replicas lose records as min.insync.replicas says, or by an unclean election.
    AnyCopySurvives,
    /// It breaks only by a disk that loses what was synced.
    SyncedSurvives,
}

/// What an invariant endures; none: everything.
fn endurance(invariant: Invariant) -> Option<Endurance> {
    match invariant {
        Invariant::LeaderInIsr
        | Invariant::NoTwoLeadersPerEpoch
        | Invariant::ReplicationQuorumSuperset
        | Invariant::MinIsrRecoveryQuorum => None,
        Invariant::WeakIsr
        | Invariant::StrongIsr
        | Invariant::LeaderCandidateCompleteness
        | Invariant::LeaderCompleteness
        | Invariant::LogMatching
        | Invariant::MonotonicHighWatermark
        | Invariant::LogStartOffset
        | Invariant::ConsistentRead => Some(Endurance::DisksKeep),
        Invariant::NoCommittedRecordLostGlobally => Some(Endurance::AnyCopySurvives),
        // The controller syncs a decision before anybody hears of it.
        Invariant::MetadataLogMatching | Invariant::MonotonicEpochs => Some(Endurance::SyncedSurvives),
    }
}

impl Contract {
    /// Whether the protocol lets an invariant break after what the run had been through.
    pub fn permits_break(&self, broken: &Broken) -> Permitted {
        if broken.invariant == Invariant::ReplicationQuorumSuperset && broken.after.dropped_proposal {
            return Permitted::yes(DROPPED);
        }
        let Some(endurance) = endurance(broken.invariant) else {
            return Permitted::no("it holds whatever happens to brokers and disks");
        };
        let topic = broken.partition.as_ref().and_then(|partition| self.topic(partition.topic.as_str()));
        let after = &broken.after;
        let copies = topic.map_or(1, |topic| match endurance {
            // Without them the last member of the ISR leads, whatever its disk has lost (KIP-966).
            Endurance::AnyCopySurvives if topic.eligible_leader_replicas => topic.min_insync_replicas.max(1),
            Endurance::AnyCopySurvives => 1,
            Endurance::DisksKeep | Endurance::SyncedSurvives => 1,
        });
        if after.committed_after_drop && endurance != Endurance::SyncedSurvives {
            return Permitted::yes(DROPPED);
        }
        if after.replaced_in_isr && self.lacks(ISR_BROKER_EPOCH) && endurance != Endurance::SyncedSurvives {
            return Permitted::yes(REPLACED);
        }
        if after.unclean_election && endurance != Endurance::SyncedSurvives {
            return Permitted::yes("a replica that lacked committed records was elected uncleanly");
        }
        if self.lacks(APPEND_FENCE) && after.failed_appends >= copies && endurance != Endurance::SyncedSurvives {
            return Permitted::yes(UNFENCED);
        }
        // Not a decision of the controller: those are synced before anybody hears of them.
        if broken.invariant == Invariant::MonotonicEpochs
            && after.led_on_after_loss
            && broken.what.contains("appended a batch")
        {
            return Permitted::yes(
                "a leader that is back before it is missed keeps its epoch, and what it writes anew looks newer than what the others have there",
            );
        }
        if after.harmed_disks >= copies {
            return Permitted::yes("a disk lost what had been synced, which Kafka takes to be impossible");
        }
        if endurance == Endurance::SyncedSurvives || after.harmed_disks + after.power_losses < copies {
            return Permitted::no("nothing has happened that the protocol does not promise to survive");
        }
        if broken.invariant == Invariant::LeaderCompleteness && after.intact_in_sync {
            return Permitted::no("another in-sync replica had everything that was committed");
        }
        match topic.map(|topic| topic.flush_messages) {
            Some(1) => Permitted::no("flush.messages=1 syncs every record before it is acknowledged"),
            Some(_) => Permitted::yes("unsynced records were lost with the power"),
            None => Permitted::unknown("it depends on flush.messages, which is not known"),
        }
    }
}

//! What may wait for ever although every fault is over.

use super::Permitted;
use crate::explain::Cause;

/// Why a consumer reads no more, and nobody is to blame.
pub(super) const GAVE_UP: &str =
    "the program heard it, and a consumer that `poll()` has thrown this from never joins again";

/// `tells_once`: whether a coordinator tells a member of a share group only once what it has.
pub(super) fn permits(cause: Option<Cause>, tells_once: bool) -> Permitted {
    match cause {
        Some(Cause::CorruptRecord) => {
            Permitted::yes("a checksum tells that a record is damaged; no replica repairs another's disk on read")
        }
        Some(Cause::WrittenTwiceInOneEpoch) => Permitted::yes(
            "unsynced records may go with the power, and a leader that is back before it is missed keeps its epoch",
        ),
        Some(Cause::EpochsLostWithPower) => Permitted::yes(
            "what a log knows of leader epochs may go with the power, and a follower that was not cut where it parted gives up until the next epoch",
        ),
        Some(Cause::StoppedByRecord) => {
            Permitted::yes("the program goes no further without it, and no setting of Kafka makes it")
        }
        Some(Cause::ConsumerGaveUp) => Permitted::yes(GAVE_UP),
        Some(Cause::StaticLeaderCameBack) => Permitted::yes(
            "a static leader that comes back takes the assignment that stands: before 3.2 it does not know that it leads (KAFKA-13435), and since then it takes what partitions there are for what was assigned (`ConsumerCoordinator.onLeaderElected`)",
        ),
        Some(Cause::RepeatedRequestAnswered) => {
            Permitted::yes("nothing tells a broker that a request was repeated on its way, and TCP repeats none")
        }
        Some(Cause::AssignmentToldOnce) if tells_once => Permitted::yes(
            "before 4.1 a coordinator tells a member of a share group what it has in one answer, and an answer may be lost",
        ),
        Some(Cause::AssignmentToldOnce) => Permitted::no(
            "since 4.1 a coordinator tells a member of a share group what it has until the member has heard it",
        ),
        Some(Cause::TooFewReplicasRun) => Permitted::yes(
            "since 3.7 nothing is committed while the ISR is smaller than min.insync.replicas, and who does not run is in no ISR",
        ),
        Some(Cause::TargetReplicaDown) => Permitted::yes(
            "a reassignment waits for all replicas that are to stay (`PartitionReassignmentReplicas.maybeCompleteReassignment`), whether they run or not",
        ),
        Some(Cause::ProposalRefused) => Permitted::yes(
            "so it is in Kafka: `Partition.handleAlterPartitionError` goes back to the ISR that was, and does not look at the high watermark",
        ),
        Some(Cause::EpochNotNoted) => {
            Permitted::no("since 2.1 a leader notes its epoch when it is elected: KAFKA-7415")
        }
        Some(Cause::KeptWhereItParted) => {
            Permitted::no("a follower is cut where its log has parted from its leader's: KIP-101, KIP-279")
        }
        Some(Cause::EpochsDeletedWithRecords) => Permitted::yes(
            "`LeaderEpochFileCache` forgets what is deleted, and the log may begin at its old start again after a crash",
        ),
        Some(Cause::FetchedMoreThanSegment) => Permitted::yes(
            "segment.bytes has to be larger than what a follower may fetch at once (replica.fetch.max.bytes)",
        ),
        Some(Cause::CommittedAllTheTime) => Permitted::yes("what moves on is not stuck"),
        Some(Cause::LogEndsWithHole) => Permitted::yes(
            "what goes with the power, or is cut off where a cleaner has been, may leave a hole at the end of a log, and nobody can fetch up to there until something is written behind it",
        ),
        Some(Cause::SentAgainForEver) => {
            Permitted::yes("what failed is the application's to repeat, and it repeats it without an end")
        }
        Some(_) | None => Permitted::unknown("no setting lets anything wait for ever once the faults are over"),
    }
}

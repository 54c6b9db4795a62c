//! What consumers and their programs are promised: which deliveries may be lost or doubled, which commits may go back.

use super::{ConsumerContract, Contract, Permitted};
use crate::anomaly::Anomaly;
use crate::explain::Cause;

pub(super) const LIMIT: &str = "group.share.delivery.count.limit is how often a record is delivered; after that it is archived, and nobody gets it";
pub(super) const REJECTS: &str = "the program rejects what it cannot process: nobody of its group is to get it again";

const STORE: &str = "the store is outside Kafka, and answers before its writes are safe from what befell it";

const FORGOTTEN: &str = "a group is what its log has: whether that may lose records is said of __consumer_offsets";

impl Contract {
    /// Whether every member of a group writes to a sink that takes each record once.
    pub(crate) fn upserts(&self, group: &str) -> bool {
        self.all_members(group, |member| member.upserts)
    }

    /// Whether every member of a group writes to a sink that keeps the last value of each key.
    pub(crate) fn keeps_last_value(&self, group: &str) -> bool {
        self.all_members(group, |member| member.last_wins)
    }

    /// Whether every member of a group writes to a sink that keeps the newest value of each key.
    pub(crate) fn versions(&self, group: &str) -> bool {
        self.all_members(group, |member| member.versioned)
    }

    fn all_members(&self, group: &str, is_so: impl Fn(&ConsumerContract) -> bool) -> bool {
        let mut members = self.consumers.iter().filter(|consumer| consumer.group.as_deref() == Some(group)).peekable();
        members.peek().is_some() && members.all(is_so)
    }

    pub(super) fn permits_lost_delivery(&self, anomaly: &Anomaly) -> Permitted {
        let members = || self.consumers.iter().filter(|consumer| consumer.group == anomaly.group);
        match anomaly.cause {
            Some(Cause::PositionReset) if members().any(|member| member.resets_to_latest) => {
                Permitted::yes("auto.offset.reset=latest skips what was written before the group had a position")
            }
            Some(
                Cause::PositionReset
                | Cause::TruncationUnnoticed
                | Cause::OlderEpochReachesFurther
                | Cause::BufferedWithoutEpoch
                | Cause::PositionWithoutEpoch
                | Cause::WrittenTwiceInOneEpoch
                | Cause::EpochsLostWithPower
                | Cause::UnsyncedDataLostWithPower
                | Cause::IndexMisleads,
            ) => self.permits_reading(anomaly),
            Some(Cause::StoreLostWrites) => Permitted::yes(STORE),
            Some(Cause::LogReplaced) => Permitted::yes(
                "a group knows records by the name of their topic and their offsets, and others stand there since",
            ),
            Some(Cause::SwallowedByProgram) => {
                Permitted::yes("the program catches what it cannot process, and commits it like everything else")
            }
            Some(Cause::DeliveryLimitReached) => Permitted::yes(LIMIT),
            Some(Cause::RejectedByProgram) => Permitted::yes(REJECTS),
            Some(Cause::CommittedBeforeProcessed | Cause::AcknowledgedBeforeProcessed) | None
                if members().any(|member| member.commits_before_processing) =>
            {
                Permitted::yes("the program commits what it has not processed: at most once")
            }
            Some(_) | None => Permitted::no("a program that commits what it has processed processes every record"),
        }
    }
}

pub(super) fn permits_duplicate_delivery(anomaly: &Anomaly) -> Permitted {
    match anomaly.cause {
        Some(Cause::ProcessedAfterLosingPartition) => {
            Permitted::yes("a group fences commits of former members, not what they do elsewhere")
        }
        Some(Cause::CommitWentBack) => Permitted::yes("a coordinator takes the last commit, whatever offset it names"),
        Some(Cause::StoreLostWrites) => Permitted::yes(STORE),
        Some(Cause::AcquisitionLockExpired) => Permitted::yes(
            "a lock that expires gives the record to somebody else, whatever its member is doing: at least once",
        ),
        Some(Cause::AcquisitionForgotten | Cause::ProcessedBeforeAcknowledged) => {
            Permitted::yes("delivery is at least once: what was not acknowledged is delivered again")
        }
        Some(_) | None => Permitted::yes("delivery is at least once: what was not committed is delivered again"),
    }
}

pub(super) fn permits_two_owners(anomaly: &Anomaly) -> Permitted {
    match anomaly.cause {
        Some(Cause::InstanceIdShared) => {
            Permitted::yes("who uses a group.instance.id twice is one member to the group until one of them is fenced")
        }
        Some(Cause::GroupForgotten) => Permitted::yes(FORGOTTEN),
        Some(Cause::OldAssignmentFollowed) => Permitted::yes(
            "a consumer goes on with the assignment that it has begun to follow, whatever it hears meanwhile (up to 4.1)",
        ),
        Some(_) | None => Permitted::no("a generation gives each partition to one member"),
    }
}

pub(super) fn permits_nonmonotonic_commit(anomaly: &Anomaly) -> Permitted {
    match anomaly.cause {
        Some(Cause::CommitOfFormerGeneration) => {
            Permitted::no("a coordinator refuses what a member of a former generation commits")
        }
        Some(Cause::GroupForgotten) => Permitted::yes(FORGOTTEN),
        Some(Cause::CommitWentBack) => Permitted::yes("a coordinator takes the last commit, whatever offset it names"),
        Some(_) | None => Permitted::unknown("it depends on who committed"),
    }
}

pub(super) fn permits_effect_reorder(anomaly: &Anomaly) -> Permitted {
    match anomaly.cause {
        Some(Cause::SharedWithoutOrder) => Permitted::yes("a share group promises no order"),
        Some(Cause::KeysMoved) => Permitted::yes("order is kept within a partition, and more partitions move keys"),
        Some(Cause::Unknown) | None => {
            Permitted::no("a program that works on what poll() returns in its order keeps the order of each key")
        }
        Some(Cause::ProcessedAfterLosingPartition) => Permitted::yes(
            "a member that goes on with what it had works beside the next one, unless onPartitionsRevoked waits for its workers",
        ),
        Some(Cause::PositionReset) => {
            Permitted::yes("a consumer whose position lay outside the log goes back behind what it has done")
        }
        Some(_) => Permitted::yes("what is delivered again comes after what is newer, and the last write wins"),
    }
}

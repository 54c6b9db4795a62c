//! What a consumer is promised of the log that it reads: every record once and in order, deletions, an end that never goes back.

use super::{Contract, DELETE_HORIZON, Permitted, groups, stuck};
use crate::anomaly::{Anomaly, Kind};
use crate::explain::Cause;

impl Contract {
    pub(super) fn permits_reading(&self, anomaly: &Anomaly) -> Permitted {
        let latest = match anomaly.client {
            Some(client) => {
                self.consumers.iter().any(|consumer| consumer.client == client && consumer.resets_to_latest)
            }
            None => self.consumers.iter().any(|consumer| consumer.resets_to_latest),
        };
        match (anomaly.kind, anomaly.cause) {
            (Kind::PollSkip | Kind::Unseen, _) if latest => {
                Permitted::yes("auto.offset.reset=latest skips what was written before the consumer had a position")
            }
            (_, Some(Cause::TruncationUnnoticed))
                if self.consumers.iter().any(|consumer| !consumer.validates_position) =>
            {
                Permitted::yes("a consumer before 2.3 knows its position by the offset alone (KIP-320)")
            }
            (_, Some(Cause::PositionWithoutEpoch)) => Permitted::yes(
                "a position that was set and not reached by reading has no epoch, and is not validated when the leader changes",
            ),
            (_, Some(Cause::BufferedWithoutEpoch)) => Permitted::yes(
                "a position that was set and not reached by reading has no epoch, and is not validated when the leader changes; what had been fetched from there is not fetched again",
            ),
            (_, Some(Cause::OlderEpochReachesFurther)) => Permitted::yes(
                "a consumer that asks where its epoch ends is told where an older one does, and looks at the offset alone",
            ),
            (_, Some(Cause::WrittenTwiceInOneEpoch)) => Permitted::yes(
                "a leader that is back before it is missed keeps its epoch, and what it lost with the power reads like what it writes anew",
            ),
            (_, Some(Cause::UnsyncedDataLostWithPower)) => Permitted::yes(
                "what was not synced went with the power of a leader, from the middle of its log, and readers pass over it",
            ),
            (_, Some(Cause::EpochsLostWithPower)) => Permitted::yes(
                "what a log knows of leader epochs may go with the power, and then no comparison shows that its records are others",
            ),
            (_, Some(Cause::IndexMisleads)) => {
                Permitted::yes("since 2.3 a broker believes an index that was written before its last clean stop")
            }
            (Kind::Unseen, Some(Cause::LogReplaced)) => Permitted::yes(
                "records are known by the name of their topic and their offsets, and others stand there since",
            ),
            (Kind::Unseen, Some(Cause::DeliveryLimitReached)) => Permitted::yes(groups::LIMIT),
            (Kind::Unseen, Some(Cause::RejectedByProgram)) => Permitted::yes(groups::REJECTS),
            (Kind::Unseen, Some(Cause::ConsumerGaveUp)) => Permitted::yes(stuck::GAVE_UP),
            (_, Some(Cause::PositionReset | Cause::LogReplaced)) => {
                Permitted::yes("the log no longer had what the consumer asked for")
            }
            // The log has lost the later record of the key for which it had compacted what was passed over.
            (_, Some(_)) if anomaly.contributing.contains(&Cause::CompactedAway) => self.permits_loss(anomaly),
            (_, _) => Permitted::no("a consumer with an assigned partition reads every record once, in order"),
        }
    }

    pub(super) fn permits_missed_deletion(&self, anomaly: &Anomaly) -> Permitted {
        match anomaly.cause {
            Some(Cause::ReaderSlowerThanTombstones) => {
                Permitted::yes("who takes longer than delete.retention.ms may miss a deletion")
            }
            Some(Cause::ClockMovedAhead) => {
                Permitted::yes("delete.retention.ms is counted by the clock of each broker, which must be right")
            }
            Some(Cause::ReadFromOlderCopy) => Permitted::yes(
                "a broker that does not know of its successor, and what was fetched long ago, may be older than what the leader has compacted",
            ),
            Some(Cause::TombstoneRemovedEarly) if self.lacks(DELETE_HORIZON) => Permitted::yes(
                "before 3.1 delete.retention.ms counts from when the segment below was written, not from when the tombstone was compacted: KIP-534",
            ),
            Some(Cause::TombstoneRemovedEarly) => {
                Permitted::no("delete.retention.ms promises every reader that is fast enough all deletions")
            }
            Some(_) => self.permits_loss(anomaly),
            None => Permitted::unknown("it depends on how long the consumer took"),
        }
    }
}

pub(super) fn permits_stale_end(anomaly: &Anomaly) -> Permitted {
    match anomaly.cause {
        Some(Cause::LogReplaced) => Permitted::yes("the log no longer had what it had been told to have"),
        Some(Cause::ToldByFormerLeader) => {
            Permitted::yes("a leader that does not know of its successor answers with what it knows")
        }
        Some(_) | None => Permitted::no("the end of a log that consumers are told never goes back"),
    }
}

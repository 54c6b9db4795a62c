//! Where the Java client loses count of its own sequences: holes of Kafka itself, with what permits them.

use super::{Contract, PID_STATE_RETAINED, Permitted, ProducerContract};
use crate::explain::Cause;

impl Contract {
    /// Whether a leader may know nothing of a producer whose batch it, or its predecessor, had appended.
    pub(super) fn permits_forgetting(&self, cause: Cause) -> Option<Permitted> {
        Some(match cause {
            Cause::ProducerForgotten => {
                Permitted::yes("a leader remembers a producer for producer.id.expiration.ms after its last batch")
            }
            Cause::ProducerForgottenWithItsRecords if self.lacks(PID_STATE_RETAINED) => {
                Permitted::yes("before 2.5 a leader forgets a producer together with its last record: KAFKA-7190")
            }
            // A snapshot at the log start is deleted like those below it (`ProducerStateManager.truncateAndReload`).
            Cause::ForgottenBelowLogStart => Permitted::yes(
                "when a log begins anew, what its broker knew of producers goes with their records if all of these are deleted",
            ),
            _ => return None,
        })
    }
}

/// Whether the client sent a batch again under another epoch or sequence.
pub(super) fn is_renumbering(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::RenumberedInFlight
            | Cause::BatchForgottenByRestart
            | Cause::LaterBatchTakenFirst
            | Cause::BatchCompactedBeforeCopied
    )
}

/// Where the Java client gives up what idempotence promises: no setting but the number of requests in flight has a part in it.
pub(super) fn permits_renumbering(cause: Cause, producer: &ProducerContract) -> Permitted {
    match cause {
        Cause::BatchForgottenByRestart if producer.max_in_flight <= 1 => {
            Permitted::no("a leader knows the last batch of a producer when it is started again")
        }
        Cause::LaterBatchTakenFirst if producer.max_in_flight <= 1 => {
            Permitted::no("with one request in flight no batch is on its way before the one ahead of it is answered")
        }
        Cause::BatchCompactedBeforeCopied if producer.max_in_flight <= 1 => {
            Permitted::no("the cleaner keeps the last batch of each producer")
        }
        Cause::BatchCompactedBeforeCopied => Permitted::yes(
            "the cleaner keeps the last batch of each producer, and max.in.flight.requests.per.connection lets others be unanswered when a replica copies what is left",
        ),
        Cause::LaterBatchTakenFirst => Permitted::yes(
            "since 2.5 a leader that knows nothing of a producer takes whatever sequence comes first, and the client numbers anew what that leaves out",
        ),
        Cause::BatchForgottenByRestart => Permitted::yes(
            "a leader that is started again knows only a producer's last batch, and max.in.flight.requests.per.connection lets others be unanswered",
        ),
        _ => Permitted::yes(
            "a batch that fails for good begins a new epoch, and what is in flight behind it begins anew: KAFKA-14034, open",
        ),
    }
}

/// What a batch that failed may have been written under is free for others only in the eyes of a client before 2.5.
pub(super) fn permits_taking_for_another(producer: Option<&ProducerContract>) -> Permitted {
    match producer {
        Some(ProducerContract { bumps_epoch: true, .. }) => {
            Permitted::no("a producer since 2.5 uses no sequence twice in one epoch")
        }
        Some(_) => Permitted::yes(
            "a client before 2.5 uses sequences again in the same epoch: those of a batch that failed at delivery.timeout.ms, written or not (KAFKA-14397), and all once its records are deleted",
        ),
        None => Permitted::unknown("it depends on the version of the producer, which is not known"),
    }
}

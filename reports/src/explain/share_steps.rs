//! What leaders and members of share groups do, as steps of a story.

use ackproof_core::fact::{Event, Fact, ShareState};

use super::story::Actor;
use crate::render::describe_shares::{because, offsets};

/// A fact of a share group; none for any other.
pub(super) fn share(event: &Event) -> Option<(Actor, String, String)> {
    let (what, note) = match &event.fact {
        Fact::SharePartitionsAssigned { group, epoch, partitions, .. } => {
            let what = format!("was assigned {} partitions", partitions.len());
            (what, format!("share group {group}, epoch {epoch}"))
        }
        Fact::SharePartitionLoaded { group, start, known, .. } => {
            let note =
                if *known { "what was acquired and not acknowledged is available" } else { "share.auto.offset.reset" };
            (format!("serves share group {group} from offset {start}"), note.to_owned())
        }
        Fact::ShareAcquired { member, first, last, delivery_count, lock_ms, .. } => (
            format!("gave {} to {member}", offsets(*first, *last)),
            format!("delivery {delivery_count}; for {lock_ms} ms"),
        ),
        Fact::ShareStateChanged { first, last, state, delivery_count, reason, member, .. } => {
            let what = offsets(*first, *last);
            let what = match state {
                ShareState::Available => format!("has {what} available again"),
                ShareState::Acquired => format!("has {what} acquired"),
                ShareState::Acknowledged => format!("has {what} acknowledged"),
                ShareState::Archived => format!("archived {what}"),
            };
            (what, format!("{}; delivery count {delivery_count}", because(*reason, member, *state)))
        }
        Fact::ShareAcknowledgeRefused { first, last, error, member, .. } => {
            (format!("refused what {member} said of {}", offsets(*first, *last)), error.to_string())
        }
        Fact::SharePolled { offset, delivery_count, .. } => {
            (format!("polled offset {offset}"), format!("delivery {delivery_count}"))
        }
        _ => return None,
    };
    Some((Actor::node(event.node), what, note))
}

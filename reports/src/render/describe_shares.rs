//! Facts of share groups, in a sentence each.

use ackproof_core::fact::{Fact, ShareReason, ShareState};
use ackproof_core::types::Offset;

use super::describe::{content, partition_list};

/// A fact of a share group; none for any other.
pub(super) fn shares(who: &str, fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::SharePartitionsAssigned { group, epoch, partitions, .. } => {
            format!("{who} was assigned {} by share group {group} in epoch {epoch}", partition_list(partitions))
        }
        Fact::SharePartitionLoaded { group, partition, start, known, in_flight } => {
            let why = if *known { "as it was written" } else { "by share.auto.offset.reset" };
            format!("{who} serves {partition} to share group {group} from offset {start}, {why}; {in_flight} in flight")
        }
        Fact::ShareAcquired { group, partition, member, first, last, delivery_count, lock_ms } => format!(
            "{who} gave {} of {partition} to {member} of share group {group} for {lock_ms} ms, delivery {delivery_count}",
            offsets(*first, *last)
        ),
        Fact::ShareStateChanged { group, partition, member, first, last, state, delivery_count, reason } => {
            let what = offsets(*first, *last);
            let (state, why) = (state_name(*state), because(*reason, member, *state));
            format!(
                "{who}: {what} of {partition} {state} for share group {group} after delivery {delivery_count}: {why}"
            )
        }
        Fact::ShareAcknowledgeRefused { group, partition, member, first, last, error } => format!(
            "{who} did not take what {member} of share group {group} said of {} of {partition}: {error}",
            offsets(*first, *last)
        ),
        Fact::SharePolled { partition, offset, delivery_count, key, value, .. } => format!(
            "{who} polled offset {offset} of {partition}, delivery {delivery_count}: {}",
            content(key.as_ref(), value.as_ref())
        ),
        Fact::ShareAcknowledgeAnswered { partition, first, last, error, .. } => {
            let what = offsets(*first, *last);
            match error.is_none() {
                true => format!("{who} was told that what it said of {what} of {partition} counts"),
                false => format!("{who} was told that what it said of {what} of {partition} does not count: {error}"),
            }
        }
        Fact::SharePartitionSurveyed { group, partition, start, end, available, acquired } => format!(
            "at the end share group {group} is done with {partition} up to offset {start}, and has had it up to {end}: \
             {available} available, {acquired} acquired"
        ),
        _ => return None,
    })
}

/// One offset, or several.
pub(crate) fn offsets(first: Offset, last: Offset) -> String {
    if first == last { format!("offset {first}") } else { format!("offsets {first} to {last}") }
}

/// What records are.
fn state_name(state: ShareState) -> &'static str {
    match state {
        ShareState::Available => "available again",
        ShareState::Acquired => "acquired",
        ShareState::Acknowledged => "acknowledged",
        ShareState::Archived => "archived",
    }
}

/// Why.
pub(crate) fn because(reason: ShareReason, member: &str, state: ShareState) -> String {
    let limit = if state == ShareState::Archived { ", and the delivery count is at its limit" } else { "" };
    match reason {
        ShareReason::Accepted => format!("{member} accepted it"),
        ShareReason::Released => format!("{member} released it{limit}"),
        ShareReason::Rejected => format!("{member} rejected it"),
        ShareReason::Gap => format!("{member} found no record there"),
        ShareReason::LockExpired => format!("the acquisition lock of {member} expired{limit}"),
        ShareReason::SessionClosed => format!("the session of {member} is over{limit}"),
    }
}

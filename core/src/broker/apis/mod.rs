//! One file per API key: what a request asks of the broker, and how the answer is written.

mod api_versions;
mod consumer_group_heartbeat;
mod delete_records;
mod fetch;
mod find_coordinator;
mod forwarded;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod share_acknowledge;
mod share_fetch;
mod share_group_heartbeat;
mod sync_group;

pub(super) use fetch::PendingFetch;
pub(super) use forwarded::Forwarded;
pub(super) use produce::PendingProduce;

use crate::metadata::MetadataImage;
use crate::types::{LeaderEpoch, TopicPartition};

/// The epoch that a request names; -1 is none.
fn epoch(number: i32) -> Option<LeaderEpoch> {
    (number >= 0).then_some(LeaderEpoch(number))
}

/// The entry of a topic in a response, made where there is none. Neighbours share a topic, so the last is tried first.
fn topic_entry<T>(topics: &mut Vec<T>, is_it: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
    let index = topics.iter().rposition(is_it).unwrap_or_else(|| {
        topics.push(new());
        topics.len() - 1
    });
    &mut topics[index]
}

/// Who leads a partition, as this broker believes: the hint in an error response (KIP-951).
struct LeaderHint {
    leader: i32,
    leader_epoch: i32,
    /// Whether its address can be told.
    registered: bool,
}

fn leader_hint(image: &MetadataImage, partition: &TopicPartition) -> LeaderHint {
    match image.partitions.get(partition) {
        Some(state) => LeaderHint {
            leader: state.leader,
            leader_epoch: state.leader_epoch.0,
            registered: image.brokers.contains_key(&state.leader),
        },
        None => LeaderHint { leader: -1, leader_epoch: -1, registered: false },
    }
}

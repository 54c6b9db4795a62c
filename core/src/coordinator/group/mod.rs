//! Consumer groups: members, generations, assignments and committed offsets, kept in `__consumer_offsets`.
//!
//! Reading order: [`records`] is what is written, [`offsets`] what a group has committed, [`member`] and [`classic_group`]
//! are the group as its coordinator sees it, [`coordinator`] is all groups of one broker: `joins`, `membership` and
//! `commits` are its requests, `timers` what happens when nobody asks, `loading` what happens when the broker begins or
//! ceases to lead a partition of the topic. [`consumer`] are the groups of the consumer protocol (KIP-848).

pub mod api;
pub mod classic_group;
pub mod consumer;
pub mod coordinator;
pub mod member;
pub mod offsets;
pub mod records;

mod commits;
mod joins;
mod loading;
mod membership;
mod timers;

pub use api::{
    Answer, CommitRequest, GroupToken, HeartbeatRequest, HeartbeatResult, JoinRequest, JoinResult, MemberIdentity,
    SyncRequest, SyncResult, Write,
};
pub use coordinator::{Group, GroupCoordinator};
pub use offsets::CommittedOffset;
pub use records::GroupRecord;

pub use kafka_protocol::messages::GroupId;

/// The topic.
pub const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";

/// The partition of the topic in which a group lives: Java's `String.hashCode` of its id, its sign bit cleared, modulo
/// the number of partitions (`Utils.abs`, `GroupMetadataManager.partitionFor`).
pub fn partition_for(group: &GroupId, partitions: i32) -> i32 {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    positive % partitions.max(1)
}

#[cfg(test)]
mod expiry_tests;
#[cfg(test)]
mod join_tests;
#[cfg(test)]
mod offset_tests;
#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod tests;

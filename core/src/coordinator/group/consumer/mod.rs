//! Groups of the consumer protocol (KIP-848): the coordinator decides who reads what, and each member follows at its own pace.
//! Share groups (KIP-932) are the same but for what a member must do to follow, which is nothing: partitions have several members.
//!
//! Reading order: [`records`] is what is written, [`state`] what a prefix of it means, [`reconcile`] the next step of one
//! member, [`assignors`] and `simple` who is to have what, [`group`] a group with what is being written and its clocks; `heartbeat` and
//! `fencing` are what the coordinator decides.
//!
//! ```text
//!  group epoch       grows with every change of members, subscriptions or topics
//!      │
//!      ▼  the assignor is asked
//!  target epoch      the group epoch of which the target assignment is
//!      │
//!      ▼  heartbeat by heartbeat: give up first, then get what others have given up
//!  member epoch      the target epoch that a member has come to
//! ```
//!
//! Invariant: a partition has one owner (NoDoubleClientAssignment): a member gets it when whoever had it has said that it
//! has given it up, or is no member any more.

pub mod assignors;
pub mod group;
pub mod reconcile;
pub mod records;
pub mod state;

mod fencing;
mod heartbeat;
mod simple;

pub(super) use fencing::expired_offsets as expired_offsets_of_consumers;
pub use group::{ConsumerGroup, ModernProtocol};
pub use heartbeat::Topics;
pub use records::ConsumerGroupRecord;
pub use state::{ConsumerGroupMember, ConsumerGroupState};

pub use crate::types::PartitionsById as Partitions;

/// The epoch with which a member joins.
pub const JOIN_GROUP_EPOCH: i32 = 0;
/// The epoch with which a member leaves.
pub const LEAVE_GROUP_EPOCH: i32 = -1;
/// The epoch with which a static member leaves that will come back.
pub const LEAVE_GROUP_STATIC_EPOCH: i32 = -2;

/// Whether the first have nothing that the second have not.
pub(super) fn is_subset(some: &Partitions, all: &Partitions) -> bool {
    some.iter().all(|(topic, indexes)| all.get(topic).is_some_and(|of_all| indexes.is_subset(of_all)))
}

/// Whether they have one in common.
pub(super) fn overlap(some: &Partitions, others: &Partitions) -> bool {
    some.iter().any(|(topic, indexes)| others.get(topic).is_some_and(|of_others| !indexes.is_disjoint(of_others)))
}

#[cfg(test)]
mod heartbeat_tests;
#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod tests;

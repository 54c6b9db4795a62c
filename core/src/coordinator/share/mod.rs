//! How far share groups are with each partition, kept in `__share_group_state` (KIP-932).
//!
//! Reading order: [`records`] is what is written, [`state`] what it adds up to, [`coordinator`] all share-partitions of one broker.

pub mod coordinator;
pub mod records;
pub mod state;

pub use coordinator::{ShareCoordinator, StateUpdate};
pub use records::{StateKey, StateRecord};
pub use state::KeptState;

/// The topic.
pub const SHARE_GROUP_STATE_TOPIC: &str = "__share_group_state";

#[cfg(test)]
mod tests;

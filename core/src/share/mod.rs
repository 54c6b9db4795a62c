//! Share groups at the leader of a partition (KIP-932): which record is in whose hands, how often it was delivered, and until when.
//!
//! Reading order: [`share_partition`] is the state of one partition for one group, `acknowledgements` and `in_flight` belong to it;
//! [`share_session`] is what a member and a leader have said to each other before.
//!
//! ```text
//!                    acquire                  ACCEPT
//!   Available ──────────────────▶ Acquired ───────────▶ Acknowledged
//!       ▲      delivery count + 1    │  │
//!       │                            │  └── REJECT ────▶ Archived
//!       └── RELEASE, lock expired, ──┘                       ▲
//!           session over             └── the same, and the delivery count is at its limit
//! ```

mod acknowledgements;
mod in_flight;
pub mod share_partition;
pub mod share_session;

pub use acknowledgements::{AcknowledgeType, Acknowledgement};
pub use in_flight::{Acquired, Change, StateBatch, StateWrite};
pub use share_partition::{ShareLimits, SharePartition};
pub use share_session::{ShareSession, ShareSessions};

#[cfg(test)]
mod share_partition_model_tests;
#[cfg(test)]
mod share_partition_tests;

//! The share consumer: a member of a share group, which gets records, not partitions (KIP-932).
//!
//! Reading order: `in_hand` are the records that an application has and what it says of them, `session` what a leader has been told,
//! `wire` the requests, `share_consumer` the machine, `sending` what it sends and hears.

mod in_hand;
mod sending;
mod session;
mod share_consumer;
mod wire;

pub use share_consumer::ShareConsumer;

#[cfg(test)]
mod in_hand_tests;

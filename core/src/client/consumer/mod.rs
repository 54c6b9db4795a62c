//! The consumer: positions, fetches, `poll()`; and its side of a group.
//!
//! Reading order: `subscription_state`, `consumer`; then `coordinator`, `membership` and `commits`.

mod commits;
mod completed_fetch;
#[expect(clippy::module_inception, reason = "Kafka's name for it")]
mod consumer;
mod coordinator;
mod group_wire;
mod grouped;
mod membership;
mod requests;
mod subscription_state;

pub use consumer::Consumer;

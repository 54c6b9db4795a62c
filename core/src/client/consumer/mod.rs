//! The consumer: positions, fetches, `poll()`; and its side of a group.
//!
//! Reading order: `subscription_state`, `consumer`, `fetching`; then `coordinator`, `membership` (of the classic
//! protocol), `consumer_membership` (of KIP-848), `commits` and `closing`. `share` is the consumer of share groups.

mod closing;
mod commits;
mod completed_fetch;
#[expect(clippy::module_inception, reason = "Kafka's name for it")]
mod consumer;
mod consumer_membership;
mod coordinator;
mod fetching;
mod group_wire;
mod grouped;
mod membership;
mod requests;
mod share;
mod subscription_state;

pub use consumer::Consumer;
pub use share::ShareConsumer;

//! The consumer: positions, fetches, `poll()`.

mod completed_fetch;
#[expect(clippy::module_inception, reason = "Kafka's name for it")]
mod consumer;
mod subscription_state;

pub use consumer::Consumer;

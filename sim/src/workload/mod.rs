//! Programs that use a client: what an application does with a producer or consumer.

pub mod consumer_app;
pub mod producer_app;
pub mod template;

pub use consumer_app::{CommitPolicy, ConsumerApp, ConsumerWorkload, Sink, Source};
pub use producer_app::{AtEnd, OnError, ProducerApp, ProducerWorkload};
pub use template::Template;

//! Programs that use a client: what an application does with a producer or consumer.

pub mod consumer_app;
mod consumer_commits;
mod consumer_store;
pub mod consumer_workload;
pub mod producer_app;
pub mod template;

pub use consumer_app::ConsumerApp;
pub use consumer_workload::{
    CommitMode, CommitPolicy, ConsumerWorkload, HandOn, OnCommitFailure, OnFailure, OnStop, Poison, Sink, Source,
    StoreUse, Then,
};
pub use producer_app::{AtEnd, OnError, ProducerApp, ProducerWorkload};
pub use template::Template;

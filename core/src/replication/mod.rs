//! A partition as its leader and its followers see it.
//!
//! Reading order: [`high_watermark`] and [`isr`] are the rules in their pure form, [`replica`] what a leader knows of a
//! follower, [`truncation`] what a follower has to give up, [`api`] what a broker asks of its replicas.

pub mod api;
pub mod high_watermark;
pub mod isr;
pub mod replica;
pub mod truncation;

pub use api::{
    AppendRequest, Completed, FetchCompleted, FetchParams, FetchPartition, FetchResult, IsolationLevel, IsrProposal,
    LeaderAndIsr, ListOffsetsQuery, ListedOffset, ProduceCompleted, ProduceResult, ReplicaDescription,
};

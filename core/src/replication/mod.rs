//! A partition as its leader and its followers see it.
//!
//! Reading order: [`high_watermark`] and [`isr`] are the rules in their pure form, [`replica`] is what a leader knows of a
//! follower, [`truncation`] what a follower has to give up, [`replica_selector`] where a consumer reads best; `leader` and
//! `partition` put them together for one replica. `fetcher` copies from a leader. [`replica_manager`] is all replicas of a
//! broker: `produce`, `fetch`, `offsets` and `delete_records` are
//! its requests ([`api`]), `metadata_changes` is what moves replicas between roles, `purgatory` is where requests wait.

pub mod api;
pub mod high_watermark;
pub mod isr;
pub mod replica;
pub mod replica_manager;
pub mod replica_selector;
pub mod truncation;

mod delete_records;
mod fetch;
mod fetch_requests;
mod fetch_session;
mod fetcher;
mod fetcher_manager;
mod leader;
mod metadata_changes;
mod offsets;
mod partition;
mod produce;
mod purgatory;
mod surroundings;
mod throttle;

pub use api::{
    AppendRequest, Completed, DeleteRecordsCompleted, DeleteRecordsRequest, DeletedRecords, FetchCompleted,
    FetchParams, FetchPartition, FetchResult, IsolationLevel, IsrProposal, LeaderAndIsr, ListOffsetsQuery,
    ListedOffset, ProduceCompleted, ProduceResult, ReplicaDescription,
};
pub use replica_manager::{DirectoryAssignment, ReplicaManager};

#[cfg(test)]
mod tests;

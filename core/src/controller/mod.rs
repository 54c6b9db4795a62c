//! Who leads, who is in sync.
//!
//! Reading order: [`election`] and [`partition_change`] are the rules; [`cluster_control`], [`replication_control`],
//! [`reassignment`], [`topic_creation`], [`topic_changes`], [`configuration_control`] and [`producer_ids`] answer requests with records to be written, [`broker_heartbeats`] knows who
//! is alive; [`quorum_controller`] is the machine that writes the records to its [`metadata_log`] and replays them, and
//! [`metadata_fetch`] how brokers hear of it.

pub mod broker_heartbeats;
pub mod cluster_control;
mod committed;
pub mod configuration_control;
pub mod election;
pub mod log_directories;
pub mod metadata_fetch;
pub mod metadata_log;
pub mod partition_change;
pub mod placement;
pub mod producer_ids;
pub mod quorum_controller;
pub mod reassignment;
pub mod replication_control;
pub mod topic_changes;
pub mod topic_configs;
pub mod topic_creation;

#[cfg(test)]
mod tests;

pub use quorum_controller::Controller;

use crate::metadata::MetadataRecord;

/// What was decided: records to be written, and what to answer once they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<R> {
    /// Written as one batch; nothing is true before that.
    pub records: Vec<MetadataRecord>,
    /// The answer.
    pub response: R,
}

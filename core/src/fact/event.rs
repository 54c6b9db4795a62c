//! A fact with its place in the run, and who hears of it.

use serde::{Deserialize, Serialize};

use super::Fact;
use crate::types::{Instant, NodeId};

/// A fact with its place in the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number, from 1; the order of the trace.
    #[serde(rename = "n")]
    pub sequence: u64,
    /// When, in nanoseconds of virtual time.
    #[serde(rename = "t")]
    pub time: Instant,
    /// At which node.
    pub node: NodeId,
    /// The number of the fact that led to it; 0 if nothing did (a timer of its own, a fault at a time).
    pub cause: u64,
    /// What happened.
    pub fact: Fact,
}

/// Takes the facts of a run as they happen.
pub trait Observer {
    /// Takes the next fact.
    fn observe(&mut self, event: &Event);
}

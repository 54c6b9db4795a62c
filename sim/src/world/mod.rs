//! The world: one value, one loop. No threads, no async, no globals; cloning it forks the universe.

mod actions;
mod buffer_reuse;
mod clock;
mod consuming;
mod corruption;
mod delivery;
mod disk;
mod disk_actions;
mod event_queue;
mod inject;
mod link_actions;
mod looks;
mod message;
mod network;
mod node;
mod program;
mod run;
mod setup;

pub use clock::{NodeClock, RUN_STARTS_AT};
pub use consuming::{AnyConsumer, ConsumingProcess};
pub use disk::{Damage, DiskFault, DiskFaults, DiskSpec, Extent, Keep, PowerLoss, SimDisk};
pub use event_queue::EventQueue;
pub use message::{Body, Corruption, Direction, Interference, MessageFilter, MessageRule, Packet};
pub use network::{Connection, End, LinkSpec, Network};
pub use node::{App, Node, Process, SimMachine};
pub use run::{Outcome, World};

/// A node's place in the world's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

//! The world that Ackproof's machines live in: event queue, network, disk, clocks, processes, and faults in all of them.
//!
//! A world is one value: no threads, no async, no globals. Cloning it forks the universe. Reading order: [`world`]
//! (the loop and what surrounds a machine), [`faults`] (what is done to it), [`workload`] (programs that use clients),
//! [`cluster`] (how one is made and described).

pub mod cluster;
pub mod faults;
pub mod workload;
pub mod world;

pub use cluster::{ClientKind, ClientSpec, ClusterSpec};
pub use world::NodeIndex;

//! The world that Ackproof's machines live in: event queue, network, disk, clocks, processes, and faults in all of them.
//!
//! A [`World`] is one value: no threads, no async, no globals. Cloning it forks the universe. Reading order: [`world`]
//! (the loop and what surrounds a machine), [`faults`] (what is done to it), [`workload`] (programs that use clients),
//! [`cluster`] (how one is made and described).

#[cfg(all(feature = "app", madsim))]
pub mod app;
pub mod cluster;
pub mod faults;
pub mod workload;
pub mod world;

pub use cluster::{ClientKind, ClientSpec, ClusterSpec};
pub use world::{NodeIndex, Outcome, World};

#[cfg(all(feature = "app", not(madsim)))]
compile_error!(
    "the feature `app` runs async code inside madsim and needs `--cfg madsim`: put\n\n    [build]\n    rustflags = [\"--cfg\", \"madsim\"]\n\ninto .cargo/config.toml, and mind that a RUSTFLAGS in the environment, even an empty one, replaces it"
);

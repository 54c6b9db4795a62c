//! Ordinary async Rust against a simulated cluster: the host of a [`World`] inside a madsim runtime.
//!
//! The cluster lives in the world; the application lives in madsim tasks, on madsim nodes, in the same virtual time. It
//! talks to the cluster through [`Producer`], [`Consumer`] and [`Admin`]. When madsim kills the application's node, the
//! handles are dropped, and the world kills the client processes behind them.
//!
//! A world driven from here gives the same facts as one driven by [`World::run`]: nothing of it comes from madsim's
//! randomness or from the order in which madsim polls tasks that do not touch it.
//!
//! Needs `--cfg madsim`, in `.cargo/config.toml`:
//!
//! ```toml
//! [build]
//! rustflags = ["--cfg", "madsim"]
//! ```
//!
//! Not modelled here: third-party Kafka clients over madsim's simulated TCP.

mod client;
mod clock;
mod cluster;
mod host;

pub use client::{Admin, Consumer, Delivery, Polled, Producer};
pub use clock::elapsed;
pub use cluster::Cluster;

#[cfg(doc)]
use crate::world::World;

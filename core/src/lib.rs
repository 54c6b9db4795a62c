//! A Kafka-like system as pure state machines, and the facts they report.
//!
//! Reading order: [`types`] are the words, [`machine`] is the contract, [`fact`] what a run leaves behind,
//! [`storage`] the disk, [`protocol`] what nodes say to each other; then [`record`], [`log`], [`metadata`],
//! [`replication`], [`controller`], [`share`], [`broker`] and [`client`], each on top of those before it; [`store`] is what programs keep
//! outside Kafka.
//!
//! Nothing in here knows a clock, a socket, a file, a thread or the operating system's randomness.

pub mod broker;
pub mod client;
pub mod config;
pub mod controller;
pub mod coordinator;
pub mod fact;
pub mod log;
pub mod machine;
pub mod metadata;
pub mod protocol;
pub mod record;
pub mod replication;
pub mod share;
pub mod storage;
pub mod store;
pub mod types;

pub use fact::{Event, Fact, Observer};
pub use machine::{Context, Effect, Effects, Input, Machine};

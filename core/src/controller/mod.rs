//! Who leads, who is in sync.

pub mod election;
pub mod quorum_controller;

pub use quorum_controller::Controller;

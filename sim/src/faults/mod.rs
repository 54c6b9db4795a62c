//! Faults are data. Each has its trigger, its healing and its witness.

pub mod engine;
mod fields;
pub mod plan;
pub mod trigger;

pub use engine::{FaultEngine, StepState};
pub use plan::{Action, Condition, FactPattern, MessageFault, Selector, Step, Trigger};

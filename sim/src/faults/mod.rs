//! Faults are data. Each has its trigger, its healing and its witness.

pub mod engine;
mod fields;
mod files;
pub mod plan;
pub mod trigger;

pub use engine::{FaultEngine, StepState};
pub use files::{FileDamage, FileKind, Place, SegmentChoice};
pub use plan::{Action, Condition, FactPattern, LinkChange, MessageFault, Selector, Step, Trigger};

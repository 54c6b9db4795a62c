//! Why: a walk over the causes of an anomaly, from the promise over the decision to the destruction.

pub mod cause;
pub mod story;

pub use cause::Cause;
pub use story::{Actor, Mark, Step, Story};

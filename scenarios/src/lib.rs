//! Scenario files, the runner, the library of scenarios, and the command line.
//!
//! Reading order: [`document`] is what was written, [`scenario`] what it means, [`diagnostics`] how mistakes are said.

pub mod diagnostics;
pub mod document;
pub mod facts;
pub mod schema;

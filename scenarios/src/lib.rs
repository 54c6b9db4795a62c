//! Scenario files, the runner, the library of scenarios, and the command line.
//!
//! Reading order: [`document`] is what was written, [`scenario`] what it means, [`diagnostics`] how mistakes are said,
//! [`library`] where files come from, [`runner`] what happens when one is run, [`expectation`] whether that was expected,
//! [`counterfactual`] what would have kept the promise,
//! [`log`] what of it can be watched.

pub mod cli;
pub mod contract;
pub mod counterfactual;
pub mod diagnostics;
pub mod document;
pub mod expectation;
pub mod export;
pub mod facts;
pub mod form;
pub mod library;
pub mod log;
pub mod mutations;
pub mod runner;
pub mod scenario;
pub mod schema;
pub mod signature;
pub mod sweep;

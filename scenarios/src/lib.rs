//! Scenario files, the runner, the library of scenarios, and the command line.
//!
//! Reading order: [`document`] is what was written, [`scenario`] what it means, [`diagnostics`] how mistakes are said,
//! [`library`] where files come from, [`runner`] what happens when one is run, [`expectation`] whether that was expected,
//! [`counterfactual`] what would have kept the promise, [`shrink`] how little it takes to break it,
//! [`log`] what of it can be watched. `app` (with the feature of that name) is for tests of one's own service.

#[cfg(all(feature = "app", madsim))]
pub mod app;
pub mod audit;
pub mod chaos;
pub mod cli;
pub mod contract;
pub mod counterfactual;
pub mod diagnostics;
pub mod document;
pub mod expectation;
pub mod export;
pub mod facts;
pub mod form;
mod guard;
mod interrupt;
pub mod library;
pub mod log;
pub mod mutations;
pub mod parallel;
pub mod runner;
pub mod scenario;
pub mod schema;
pub mod shrink;
pub mod signature;
mod whole_file;

#[cfg(all(feature = "app", madsim))]
pub use app::simulate;

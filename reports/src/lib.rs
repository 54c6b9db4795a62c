//! The judge: what clients were told against what the logs hold, and why the two differ.
//!
//! Reading order: [`trace`] is a run on paper, [`history`] what clients were told, [`checkers`] one property per file, [`invariants`] what must hold
//! at every step,
//! [`contract`] which anomalies a configuration permits, [`verdict`] the judge that holds them all, [`mod@explain`] the walk
//! over causes for runs that kept their trace, [`chronicle`] what happened where nothing went wrong, [`render`] text and JSON, [`digest`] one number per run, [`service`] what producers got.
//!
//! ```
//! use ackproof_core::fact::Observer;
//! use ackproof_reports::{Contract, Judge, Verdict};
//!
//! let mut judge = Judge::new(Contract::default());
//! // world.run(&mut judge);
//! assert_eq!(judge.finish().verdict, Verdict::Unknown, "nothing was sent");
//! ```
//!
//! The judge shares no code with the accused: this crate knows facts and the words of `ackproof_core::types`, no machine
//! and no world. It reads no files: [`trace`] is generic over `Read` and `Write`.

pub mod anomaly;
pub mod checkers;
pub mod chronicle;
pub mod contract;
mod deletion;
pub mod digest;
pub mod explain;
pub mod groups;
pub mod history;
pub mod invariants;
mod ledger;
pub mod names;
mod numbered;
mod removal;
pub mod render;
pub mod service;
pub mod trace;
pub mod verdict;

pub use anomaly::{Anomaly, Kind};
pub use contract::{Answer, Contract, Permitted};
pub use digest::Digest;
pub use explain::{Cause, Explanation, Story, explain};
pub use invariants::{Broken, Invariant};
pub use names::NodeNames;
pub use render::json::{Counterfactual, Fixed, RunOutcome, RunReport};
pub use service::{Cost, Meter, Service};
pub use verdict::{Counts, Judge, Judgement, Verdict};

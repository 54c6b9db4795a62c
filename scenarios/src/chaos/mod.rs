//! From "run this scenario" to "find me the scenario": random worlds, drawn from a seed, run and judged by the thousand.
//!
//! Reading order: [`survive`] what may be done to a world, [`draw`] a world's plan, `faults.rs` what happens in it, [`coverage`]
//! which states of the protocol it has been through, [`campaign`] many of them, [`exhaustive`] every moment of a small one, [`tally`] what they have come to, [`tested`] those in which what was asked about happened, [`keep`] what is left of
//! those that failed, [`results`] the same as lines that can be merged.

pub mod campaign;
mod chains;
pub mod coverage;
mod dice;
pub mod draw;
pub mod exhaustive;
mod faults;
mod focus;
mod group_stories;
mod groups;
mod habits;
pub mod keep;
pub mod results;
mod returns;
pub mod seeds;
mod sharing;
pub mod survive;
pub mod tally;
pub mod tested;
pub mod toggle;

#[cfg(test)]
mod tests;

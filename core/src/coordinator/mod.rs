//! State that lives in a partition of an internal topic and is rebuilt from it: who consumes what, and how far.
//!
//! Decide, then replay: a coordinator says what is to be written; what has been written, and nothing else, is what a
//! coordinator that takes over will find.

pub mod group;
pub mod share;

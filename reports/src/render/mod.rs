//! How a judgement reaches its reader: text for people, a JSON line for machines.

pub mod describe;
pub mod groups;
pub mod json;
pub mod text;
pub mod topics;

//! How a judgement reaches its reader: text for people, a JSON line for machines, JUnit and annotations for CI.

pub mod describe;
pub(crate) mod describe_shares;
pub mod github;
pub mod groups;
pub mod json;
pub mod junit;
pub mod text;
pub mod topics;

//! A cluster: what it is made of, how its nodes are found, what it looks like at the end.

mod select;
mod share_waits;
mod spec;
mod survey;
mod survey_groups;
mod waits;

pub use spec::{ClientKind, ClientSpec, ClusterSpec};

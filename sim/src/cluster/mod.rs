//! A cluster: what it is made of, how its nodes are found, what it looks like at the end.

mod select;
mod spec;
mod survey;

pub use spec::{ClientKind, ClientSpec, ClusterSpec};

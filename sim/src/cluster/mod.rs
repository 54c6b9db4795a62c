//! A cluster: what it is made of, how its nodes are found, what it looks like at the end.

mod spec;

pub use spec::{ClientKind, ClientSpec, ClusterSpec};

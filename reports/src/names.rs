//! What nodes are called in reports: `broker 1`, `p1`, `controller`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ackproof_core::types::NodeId;
use serde::{Deserialize, Serialize};

/// Names of nodes. A node without one is called by its kind and number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<NodeName>", into = "Vec<NodeName>")]
pub struct NodeNames(BTreeMap<NodeId, String>);

/// `a`, `a and b`, `a, b and c`.
pub fn listed(mut words: Vec<String>) -> String {
    let last = words.pop().unwrap_or_default();
    if words.is_empty() { last } else { format!("{} and {last}", words.join(", ")) }
}

/// One name, as it is written in the header of a trace.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct NodeName {
    node: NodeId,
    name: String,
}

impl NodeNames {
    /// No names yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names a node.
    pub fn insert(&mut self, node: NodeId, name: impl Into<String>) {
        self.0.insert(node, name.into());
    }

    /// What a node is called.
    pub fn name(&self, node: NodeId) -> Cow<'_, str> {
        match self.0.get(&node) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(node.to_string()),
        }
    }

    /// What a client is called.
    pub fn client(&self, client: u32) -> Cow<'_, str> {
        self.name(NodeId::Client(client))
    }
}

impl From<Vec<NodeName>> for NodeNames {
    fn from(list: Vec<NodeName>) -> Self {
        Self(list.into_iter().map(|entry| (entry.node, entry.name)).collect())
    }
}

impl From<NodeNames> for Vec<NodeName> {
    fn from(names: NodeNames) -> Self {
        names.0.into_iter().map(|(node, name)| NodeName { node, name }).collect()
    }
}

impl<S: Into<String>> FromIterator<(NodeId, S)> for NodeNames {
    fn from_iter<I: IntoIterator<Item = (NodeId, S)>>(names: I) -> Self {
        Self(names.into_iter().map(|(node, name)| (node, name.into())).collect())
    }
}

//! What the plan does to links and connections.

use ackproof_core::fact::Observer;
use ackproof_core::types::ConnectionId;

use super::{End, LinkSpec, NodeIndex, World};
use crate::faults::{LinkChange, Selector};

impl World {
    pub(super) fn cut(
        &mut self,
        number: usize,
        from: &Selector,
        to: &Selector,
        both_ways: bool,
        cause: u64,
        observer: &mut dyn Observer,
    ) {
        let pairs = self.pairs(from, to, both_ways, number);
        for (a, b) in &pairs {
            self.network.cut(*a, *b);
        }
        if let Some((a, _)) = pairs.first() {
            self.hit(number, *a, "cut links of", cause, observer);
        }
        self.cuts.insert(number, pairs);
    }

    pub(super) fn disconnect(
        &mut self,
        number: usize,
        from: &Selector,
        to: &Selector,
        cause: u64,
        observer: &mut dyn Observer,
    ) {
        let (from, to) = (self.resolve(from, number), self.resolve(to, number));
        for id in self.connections_between(&from, &to) {
            let client = self.network.connections[&id].node(End::Client);
            self.hit(number, client, "reset connections of", cause, observer);
            self.reset(id, number, cause);
        }
    }

    /// Connections between these nodes carry nothing any more, and nobody is told. What is swallowed first is the witness.
    pub(super) fn silence(&mut self, number: usize, from: &Selector, to: &Selector) {
        let (from, to) = (self.resolve(from, number), self.resolve(to, number));
        for id in self.connections_between(&from, &to) {
            let Some(connection) = self.network.connections.get_mut(&id) else { continue };
            for end in [End::Client, End::Server] {
                connection.lane(end).silenced_by.get_or_insert(number);
            }
        }
    }

    fn connections_between(&self, from: &[NodeIndex], to: &[NodeIndex]) -> Vec<ConnectionId> {
        let between = |a: NodeIndex, b: NodeIndex| {
            (from.contains(&a) && to.contains(&b)) || (from.contains(&b) && to.contains(&a))
        };
        let connections = self.network.connections.iter();
        let found = connections.filter(|(_, it)| between(it.node(End::Client), it.node(End::Server)));
        found.map(|(id, _)| *id).collect()
    }

    /// Links behave otherwise for a while.
    pub(super) fn change_links(&mut self, number: usize, change: &LinkChange, cause: u64, observer: &mut dyn Observer) {
        let pairs = self.pairs(&change.from, &change.to, change.both_ways, number);
        let mut before = Vec::new();
        for (a, b) in &pairs {
            let old = self.network.link_spec(*a, *b).clone();
            let (latency_min, latency_max) = change.latency.unwrap_or((old.latency_min, old.latency_max));
            let new = LinkSpec {
                latency_min,
                latency_max,
                loss: change.loss.unwrap_or(old.loss),
                bandwidth: change.bandwidth.or(old.bandwidth),
            };
            self.network.set_link(*a, *b, new);
            before.push((*a, *b, old));
        }
        if let Some((a, _)) = pairs.first() {
            self.hit(number, *a, "changed links of", cause, observer);
        }
        self.changed_links.insert(number, before);
    }

    /// Links are as they were before a step.
    pub(super) fn restore_links(&mut self, number: usize) {
        for (a, b, spec) in self.changed_links.remove(&number).unwrap_or_default() {
            self.network.set_link(a, b, spec);
        }
    }

    fn pairs(&mut self, from: &Selector, to: &Selector, both_ways: bool, number: usize) -> Vec<(NodeIndex, NodeIndex)> {
        let (from, to) = (self.resolve(from, number), self.resolve(to, number));
        let mut pairs = Vec::new();
        for a in &from {
            for b in to.iter().filter(|b| *b != a) {
                pairs.push((*a, *b));
                if both_ways {
                    pairs.push((*b, *a));
                }
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }
}

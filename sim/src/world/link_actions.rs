//! What the plan does to links and connections.

use ackproof_core::fact::Observer;
use ackproof_core::types::ConnectionId;

use super::{End, LinkSpec, NodeIndex, World};
use crate::faults::{Action, LinkChange, Selector};

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
        self.changed_links.push((number, pairs.clone()));
        self.set_links(&pairs);
        if let Some((a, _)) = pairs.first() {
            self.hit(number, *a, "changed links of", cause, observer);
        }
    }

    /// Links are as they would be without a step.
    pub(super) fn restore_links(&mut self, number: usize) {
        let Some(place) = self.changed_links.iter().position(|(step, _)| *step == number) else { return };
        let (_, pairs) = self.changed_links.remove(place);
        self.set_links(&pairs);
    }

    /// A link is what the changes in force make of it, the latest last: several may be, and end in any order.
    fn set_links(&mut self, pairs: &[(NodeIndex, NodeIndex)]) {
        let steps = self.faults.steps().clone();
        for pair in pairs {
            let mut spec = self.spec.network.clone();
            for (step, _) in self.changed_links.iter().filter(|(_, changed)| changed.contains(pair)) {
                if let Action::Link(change) = &steps[*step].action {
                    spec = change.of(&spec);
                }
            }
            self.network.set_link(pair.0, pair.1, spec);
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

impl LinkChange {
    /// What it makes of a link.
    fn of(&self, link: &LinkSpec) -> LinkSpec {
        let (latency_min, latency_max) = self.latency.unwrap_or((link.latency_min, link.latency_max));
        LinkSpec {
            latency_min,
            latency_max,
            loss: self.loss.unwrap_or(link.loss),
            bandwidth: self.bandwidth.or(link.bandwidth),
        }
    }
}

//! Nodes by role or name: `leader of orders-0`, `broker 2`, `isr of orders-0 except old leader`.

use std::ops::Range;

use ackproof_core::types::{NodeId, TopicPartition};
use ackproof_sim::faults::Selector;

use super::reading::Reading;
use crate::document::{Value, Written};

/// Makes a selector of a partition.
type Of = fn(TopicPartition) -> Selector;

/// The roles that a partition gives to brokers.
const ROLES: [(&str, Of); 6] = [
    ("leader of", Selector::LeaderOf),
    ("followers of", Selector::FollowersOf),
    ("a follower of", Selector::AFollowerOf),
    ("in-sync followers of", Selector::InSyncFollowersOf),
    ("isr of", Selector::IsrOf),
    ("replicas of", Selector::ReplicasOf),
];

/// The role that a group gives to a broker.
const COORDINATOR: &str = "coordinator of ";

/// Words that are no names.
const KEYWORDS: [&str; 3] = ["controller", "all brokers", "all clients"];

/// Whether a client or a step's `as` may have this name.
pub(super) fn is_free_name(name: &str) -> bool {
    !KEYWORDS.contains(&name)
        && !name.starts_with("broker ")
        && !name.starts_with("rack ")
        && !name.starts_with(COORDINATOR)
        && !name.contains(" except ")
        && ROLES.iter().all(|(role, _)| !name.starts_with(role))
}

impl Reading<'_> {
    /// One text, or a list of texts.
    pub fn nodes(&mut self, written: &Written<Value>) -> Option<Selector> {
        match &**written {
            Value::Text(text) => self.selector(text, written.span()),
            Value::List(list) if list.is_empty() => {
                self.report(self.error(written.span(), "a list without nodes").remedy("name at least one"));
                None
            }
            Value::List(list) => {
                // Every element is read, so that every mistake is told.
                let all: Vec<Option<Selector>> = list.iter().map(|element| self.nodes(element)).collect();
                all.into_iter().collect::<Option<Vec<Selector>>>().map(Selector::Any)
            }
            Value::Integer(number) => {
                let remedy = format!("write \"broker {number}\"");
                self.report(self.error(written.span(), "a number names no node").remedy(remedy));
                None
            }
            Value::Bool(_) => {
                self.report(self.error(written.span(), "true or false names no node"));
                None
            }
        }
    }

    fn selector(&mut self, text: &str, span: Range<usize>) -> Option<Selector> {
        let text = text.trim();
        if let Some((these, those)) = text.split_once(" except ") {
            let these = self.selector(these, span.clone());
            let those = self.selector(those, span);
            return Some(Selector::Except(Box::new(these?), Box::new(those?)));
        }
        for (role, of) in ROLES {
            if let Some(partition) = text.strip_prefix(role) {
                return self.partition(partition.trim(), span).map(of);
            }
        }
        if let Some(group) = text.strip_prefix(COORDINATOR) {
            return Some(Selector::CoordinatorOf(group.trim().to_owned()));
        }
        match text {
            "controller" => return Some(Selector::Controller),
            "all brokers" => return Some(Selector::AllBrokers),
            "all clients" => return Some(Selector::AllClients),
            _ => {}
        }
        if let Some(id) = text.strip_prefix("broker ").and_then(|id| id.trim().parse().ok()) {
            return self.broker(id, span);
        }
        if let Some(rack) = text.strip_prefix("rack ").map(str::trim).filter(|rack| self.names.racks.contains(*rack)) {
            return Some(Selector::Rack(rack.to_owned()));
        }
        if self.names.bound.iter().any(|name| name == text) {
            return Some(Selector::Bound(text.to_owned()));
        }
        if self.names.clients.iter().any(|name| name == text) {
            return Some(Selector::Client(text.to_owned()));
        }
        self.unknown(text, span);
        None
    }

    fn broker(&mut self, id: i32, span: Range<usize>) -> Option<Selector> {
        if self.names.brokers.contains(&id) {
            return Some(Selector::Node(NodeId::Broker(id)));
        }
        let ids: Vec<String> = self.names.brokers.iter().map(i32::to_string).collect();
        let found = self.error(span, format!("there is no broker {id}"));
        self.report(found.remedy(format!("the brokers are {}", ids.join(", "))));
        None
    }

    fn unknown(&mut self, text: &str, span: Range<usize>) {
        let topic = self.names.topics.keys().next().map_or("orders", String::as_str);
        let mut known: Vec<String> = ROLES.iter().map(|(role, _)| format!("{role} {topic}-0")).collect();
        known.extend(KEYWORDS.map(String::from));
        known.extend(self.names.brokers.iter().map(|id| format!("broker {id}")));
        known.extend(self.names.racks.iter().map(|rack| format!("rack {rack}")));
        known.extend(self.names.clients.iter().chain(&self.names.bound).cloned());
        let found = self.error(span, format!("`{text}` names no node"));
        self.report(found.nearest(text, known.iter().map(String::as_str)));
    }
}

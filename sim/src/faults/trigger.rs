//! Whether a fact is one that a step waits for.

use ackproof_core::fact::Event;
use ackproof_core::types::NodeId;
use serde_json::Value;

use super::fields;
use super::plan::{Condition, FactPattern, Trigger};

/// How far a trigger has come.
#[derive(Clone, Debug)]
pub enum Waiting {
    /// It does not wait for facts.
    NotForFacts,
    /// So many more matching facts are needed.
    Facts(u64),
    /// Each of these.
    All(Vec<Waiting>),
}

impl Waiting {
    /// The start of waiting.
    pub fn for_trigger(trigger: &Trigger) -> Waiting {
        match trigger {
            Trigger::At(_) | Trigger::Event(_) | Trigger::After(_) => Waiting::NotForFacts,
            Trigger::Fact(pattern) => Waiting::Facts(pattern.times.max(1)),
            Trigger::All(triggers) => Waiting::All(triggers.iter().map(Waiting::for_trigger).collect()),
        }
    }

    /// Takes a fact. Returns whether the trigger has now been met.
    ///
    /// `is_node` says whether a selector names the node where the fact happened.
    pub fn take(
        &mut self,
        trigger: &Trigger,
        event: &Event,
        is_node: &mut dyn FnMut(&super::Selector, NodeId) -> bool,
    ) -> bool {
        match (self, trigger) {
            (Waiting::Facts(0), Trigger::Fact(_)) => true,
            (Waiting::Facts(missing), Trigger::Fact(pattern)) => {
                if matches(pattern, event, is_node) {
                    *missing -= 1;
                }
                *missing == 0
            }
            (Waiting::All(parts), Trigger::All(triggers)) => {
                // Every part must see the fact: no short circuit.
                let met: Vec<bool> =
                    parts.iter_mut().zip(triggers).map(|(part, trigger)| part.take(trigger, event, is_node)).collect();
                met.into_iter().all(|part| part)
            }
            (Waiting::NotForFacts | Waiting::Facts(_) | Waiting::All(_), _) => false,
        }
    }
}

impl Trigger {
    /// Whether a fact of this kind can meet it, or bring it nearer.
    pub(super) fn concerns(&self, kind: &str) -> bool {
        match self {
            Trigger::At(_) | Trigger::Event(_) | Trigger::After(_) => false,
            Trigger::Fact(pattern) => pattern.kind == kind,
            // Without parts there is nothing to wait for: it is met by the next fact, whatever that is.
            Trigger::All(parts) => parts.is_empty() || parts.iter().any(|part| part.concerns(kind)),
        }
    }
}

fn matches(pattern: &FactPattern, event: &Event, is_node: &mut dyn FnMut(&super::Selector, NodeId) -> bool) -> bool {
    if event.fact.kind() != pattern.kind {
        return false;
    }
    if !fields::all_hold(&event.fact, &pattern.fields) {
        return false;
    }
    pattern.node.as_ref().is_none_or(|selector| is_node(selector, event.node))
}

impl Condition {
    /// Whether it can hold of a number only.
    pub(super) fn is_about_a_number(&self) -> bool {
        match self {
            Condition::AtLeast(_) | Condition::AtMost(_) => true,
            Condition::Is(_)
            | Condition::IsNot(_)
            | Condition::Contains(_)
            | Condition::Lacks(_)
            | Condition::Length(_) => false,
        }
    }

    /// Whether a field's value is as wanted.
    pub fn holds(&self, found: &Value) -> bool {
        let number = || found.as_i64();
        let list = || found.as_array();
        match self {
            Condition::Is(wanted) => found == wanted,
            Condition::IsNot(unwanted) => found != unwanted,
            Condition::AtLeast(least) => number().is_some_and(|found| found >= *least),
            Condition::AtMost(most) => number().is_some_and(|found| found <= *most),
            Condition::Contains(wanted) => {
                list().is_some_and(|list| list.iter().any(|item| item.as_i64() == Some(*wanted)))
            }
            Condition::Lacks(wanted) => {
                list().is_some_and(|list| list.iter().all(|item| item.as_i64() != Some(*wanted)))
            }
            Condition::Length(length) => list().is_some_and(|list| list.len() as u64 == *length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ackproof_core::fact::{Fact, Role};
    use ackproof_core::types::{Instant, LeaderEpoch, Offset, ProducerEpoch, RecordId, Sequence, TopicPartition};

    fn appended(last_offset: i64) -> Event {
        Event {
            sequence: 1,
            time: Instant(0),
            node: NodeId::Broker(1),
            cause: 0,
            fact: Fact::Appended {
                partition: TopicPartition::of("orders", 0),
                role: Role::Leader,
                base_offset: Offset(last_offset),
                last_offset: Offset(last_offset),
                leader_epoch: LeaderEpoch(0),
                producer_id: -1,
                producer_epoch: ProducerEpoch::NONE,
                base_sequence: Sequence::NONE,
                crc: 0,
            },
        }
    }

    fn pattern(times: u64) -> Trigger {
        Trigger::Fact(FactPattern {
            kind: "appended".into(),
            node: None,
            fields: vec![
                ("partition".into(), Condition::Is("orders-0".into())),
                ("role".into(), Condition::Is("leader".into())),
                ("last_offset".into(), Condition::AtLeast(6)),
            ],
            times,
        })
    }

    #[test]
    fn the_second_of_the_facts_that_match_is_the_second() {
        let trigger = pattern(2);
        let mut waiting = Waiting::for_trigger(&trigger);
        let met: Vec<bool> =
            [5, 6, 2, 7].map(|offset| waiting.take(&trigger, &appended(offset), &mut |_, _| true)).into();
        assert_eq!(met, [false, false, false, true]);
    }

    #[test]
    fn a_field_of_a_field_is_named_with_a_dot() {
        let fact = Fact::RecordAbandoned { record: RecordId { client: 2, number: 7 }, unsent: true };
        let holds = |name: &str, condition| fields::all_hold(&fact, &[(name.to_owned(), condition)]);
        assert!(holds("record.number", Condition::AtLeast(7)));
        assert!(!holds("record.number", Condition::AtLeast(8)));
        assert!(holds("record.client", Condition::Is(2.into())));
        assert!(!holds("record.topic", Condition::IsNot(2.into())), "there is no such field");
        assert!(!holds("rec", Condition::IsNot(2.into())), "nor this");
    }

    #[test]
    fn the_kind_in_the_trace_is_the_kind() {
        let event = appended(1);
        let value = serde_json::to_value(&event.fact).expect("a fact is plain data");
        assert!(value.get(event.fact.kind()).is_some(), "{value}");
    }
}

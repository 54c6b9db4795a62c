//! What a share consumer has in hand, and what it says of it.

use std::collections::BTreeMap;

use super::in_hand::{InHand, runs};
use crate::client::ConsumerRecord;
use crate::share::AcknowledgeType::{self, Accept, Gap, Reject, Release};
use crate::types::{NodeId, Offset, Timestamp, TopicPartition};

fn record(partition: i32, offset: i64) -> ConsumerRecord {
    ConsumerRecord {
        partition: TopicPartition::of("orders", partition),
        offset: Offset(offset),
        timestamp: Timestamp(0),
        key: None,
        value: None,
        headers: Vec::new(),
    }
}

/// From 10 on.
fn in_runs(said: &[AcknowledgeType]) -> Vec<(i64, i64, usize)> {
    let said: BTreeMap<i64, AcknowledgeType> = (10..).zip(said.iter().copied()).collect();
    runs(&said).into_iter().map(|run| (run.first.0, run.last.0, run.types.len())).collect()
}

#[test]
fn neighbours_are_said_together_and_what_is_alike_once() {
    assert_eq!(in_runs(&[]), []);
    assert_eq!(in_runs(&[Accept, Accept, Accept]), [(10, 12, 1)]);
    assert_eq!(in_runs(&[Accept, Release, Reject, Gap]), [(10, 13, 4)]);
    let apart = BTreeMap::from([(3, Accept), (5, Accept), (6, Accept)]);
    let apart: Vec<(i64, i64)> = runs(&apart).into_iter().map(|run| (run.first.0, run.last.0)).collect();
    assert_eq!(apart, [(3, 3), (5, 6)]);
}

#[test]
fn what_was_said_leaves_the_hand() {
    let mut hand = InHand::default();
    for (partition, offset) in [(0, 0), (0, 1), (1, 0)] {
        hand.add(&record(partition, offset), NodeId::Broker(partition + 1));
    }
    assert!(hand.say(&TopicPartition::of("orders", 0), Offset(1), Release));
    assert!(!hand.say(&TopicPartition::of("orders", 0), Offset(7), Accept), "it was never there");
    let said = hand.take_said();
    assert_eq!(said.0.keys().copied().collect::<Vec<_>>(), [NodeId::Broker(1)]);
    assert!(hand.has_unsaid());
    hand.accept_all();
    let said = hand.take_said();
    assert_eq!(said.0.keys().copied().collect::<Vec<_>>(), [NodeId::Broker(1), NodeId::Broker(2)]);
    assert!(!hand.has_unsaid() && hand.take_said().is_empty());
}

//! `effect-reorder`: at the sink of a group, the effect of a record came after that of a newer one of its key.
//!
//! Source: `failure-catalog.md` GR-01, LG-10 (a replay overwrites newer cells), MC-14 (keys that move). Within a partition the log
//! says which of two records is the newer one, between partitions their producer does.
//!
//! Where a sink has an effect for each record, its first one counts: that a record was processed again is told as
//! `duplicate-delivery`. Where it has one value for each key, and what is written last wins, every write counts.
//!
//! When not to accuse: the record has no key; another producer sent it; the sink compares versions, so that an older one
//! changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::types::{Instant, NodeId, Offset, TopicPartition};

use super::{Findings, at, of_record};
use crate::anomaly::{Anomaly, Kind};
use crate::contract::Contract;
use crate::ledger::{Ledger, Place};

/// Follows effects.
#[derive(Clone, Debug, Default)]
pub struct EffectOrder {
    groups: BTreeMap<String, Vec<Effect>>,
    partitions: BTreeMap<TopicPartition, u32>,
}

/// A record took effect.
#[derive(Clone, Copy, Debug)]
struct Effect {
    partition: u32,
    offset: i64,
    client: u32,
    at: Instant,
}

impl Observer for EffectOrder {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::Processed { group: Some(group), partition, offset } => {
                let NodeId::Client(client) = event.node else { return };
                self.effects(group, partition, std::slice::from_ref(offset), (client, event.time));
            }
            Fact::StoreWrote { group, partition, results, client, .. } => {
                self.effects(group, partition, results, (*client, event.time));
            }
            _ => {}
        }
    }
}

impl EffectOrder {
    fn effects(&mut self, group: &str, partition: &TopicPartition, offsets: &[Offset], by: (u32, Instant)) {
        let number = match self.partitions.get(partition) {
            Some(number) => *number,
            None => {
                let number = self.partitions.len() as u32;
                self.partitions.insert(partition.clone(), number);
                number
            }
        };
        if !self.groups.contains_key(group) {
            self.groups.insert(group.to_owned(), Vec::new());
        }
        let effects = self.groups.get_mut(group).expect("it was just inserted");
        let (client, at) = by;
        effects.extend(offsets.iter().map(|offset| Effect { partition: number, offset: offset.0, client, at }));
    }

    /// A share group keeps no order: it matters only where an older record overwrites a newer one.
    pub(crate) fn check(
        &self,
        ledger: &Ledger<'_>,
        contract: &Contract,
        is_share: impl Fn(&str) -> bool,
        findings: &mut Findings,
    ) {
        if self.groups.is_empty() {
            return;
        }
        let places = self.places(ledger);
        for (group, effects) in &self.groups {
            let is_promised_nothing = is_share(group) && !contract.keeps_last_value(group);
            if !contract.versions(group) && !is_promised_nothing {
                check(ledger, group, effects, &places, contract.keeps_last_value(group), findings);
            }
        }
    }

    /// The records whose effects were seen, each with where it is.
    fn places(&self, ledger: &Ledger<'_>) -> BTreeMap<(u32, i64), (usize, Place)> {
        let numbers: Vec<Option<u32>> = (0..ledger.history.partitions.len())
            .map(|index| self.partitions.get(ledger.history.partition_name(index)).copied())
            .collect();
        let first = |(root, place): (usize, &Option<Place>)| {
            let place = (*place)?;
            let number = numbers[place.partition]?;
            Some(((number, ledger.history.offset(place)), (root, place)))
        };
        ledger.first.iter().enumerate().filter_map(first).collect()
    }
}

fn check(
    ledger: &Ledger<'_>,
    group: &str,
    effects: &[Effect],
    places: &BTreeMap<(u32, i64), (usize, Place)>,
    last_wins: bool,
    findings: &mut Findings,
) {
    let mut seen: BTreeSet<(u32, i64)> = BTreeSet::new();
    let mut accused: BTreeSet<usize> = BTreeSet::new();
    // Of each topic, producer and key the newest record that took effect.
    let mut newest: BTreeMap<(usize, u32, &[u8]), (usize, Effect)> = BTreeMap::new();
    for effect in effects {
        let Some((root, place)) = places.get(&(effect.partition, effect.offset)).copied() else { continue };
        let partition = &ledger.history.partitions[place.partition];
        if !partition.was_worked_on(&partition.copies[place.copy], effect.client, effect.at) {
            continue;
        }
        let is_again = !seen.insert((effect.partition, effect.offset));
        if is_again && !last_wins {
            continue;
        }
        let sent = &ledger.history.sends[root];
        let Some(key) = &sent.key else { continue };
        let of = (sent.topic, sent.id.client, &key.0[..]);
        let is_older = |newer: &(usize, Effect)| match newer.1.partition == effect.partition {
            true => newer.1.offset > effect.offset,
            false => newer.0 > root,
        };
        match newest.get(&of) {
            Some(newer) if is_older(newer) => {
                if accused.insert(root) {
                    findings.counts.reordered_effects += 1;
                    findings.anomalies.push(accuse(ledger, group, (root, place, effect), newer));
                }
            }
            Some(_) | None => {
                newest.insert(of, (root, *effect));
            }
        }
    }
}

fn accuse(
    ledger: &Ledger<'_>,
    group: &str,
    (root, place, effect): (usize, Place, &Effect),
    (newer, newer_effect): &(usize, Effect),
) -> Anomaly {
    let anomaly = Anomaly {
        group: Some(group.to_owned()),
        other_record: Some(ledger.history.sends[*newer].id),
        other_offset: Some(Offset(newer_effect.offset)),
        client: Some(effect.client),
        told_at: Some(effect.at),
        note: Some(format!("after offset {}, which is newer", newer_effect.offset)),
        ..of_record(ledger, Kind::EffectReorder, root)
    };
    at(ledger, anomaly, place)
}

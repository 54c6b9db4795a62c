//! Offsets that were given out again, and which of the records at such an offset a program has worked on.
//!
//! A log that loses its end (a loss of power, an unclean election, a leader that nobody followed) is written on from there: other
//! records stand at the same offsets. What a program did with an old one was not done with the new one, even if it had the old one
//! in its buffer for long. So what counts is what it had been given.

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact, Payload, Role};
use ackproof_core::types::{Instant, LeaderEpoch, NodeId, Offset, RecordId, TopicPartition};

use super::answers::Word;
use super::{Copy, History, PartitionHistory, Sent};

/// What happened twice at offsets of one partition. Costs nothing as long as nothing did.
#[derive(Clone, Debug, Default)]
pub(super) struct Rewrites {
    /// After the last offset that any leader gave out.
    end: i64,
    /// The newest epoch in which any was.
    newest: LeaderEpoch,
    again: Vec<Stretch>,
    /// What each client was given last at an offset, since the first offset was given out again.
    given: BTreeMap<(u32, i64), u64>,
    /// What it worked on, and when.
    worked_on: BTreeMap<(u32, i64, Instant), u64>,
    /// Who led in which epoch, and since when.
    pub(super) led: Vec<(NodeId, LeaderEpoch, Instant)>,
    /// Records of which the client heard by a leader when one of a newer epoch had appended something.
    late: BTreeMap<RecordId, Word>,
}

/// Batches that a leader appended one after another.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    base: i64,
    last: i64,
    epoch: LeaderEpoch,
    /// When the first of them was.
    since: Instant,
    /// By a deposed leader that had not heard of it: the offset is still another record's.
    is_stale: bool,
}

impl Rewrites {
    /// A leader appended a batch.
    fn appended(&mut self, base: Offset, last: Offset, epoch: LeaderEpoch, at: Instant) {
        if base.0 < self.end {
            match self
                .again
                .last_mut()
                .filter(|known| known.epoch == epoch && known.last.checked_add(1) == Some(base.0))
            {
                Some(known) => known.last = last.0,
                None => {
                    let is_stale = epoch < self.newest;
                    self.again.push(Stretch { base: base.0, last: last.0, epoch, since: at, is_stale });
                }
            }
        }
        self.end = self.end.max(last.0.saturating_add(1));
        self.newest = self.newest.max(epoch);
    }

    /// A client was told of a record by what a broker had answered.
    pub(super) fn told(&mut self, record: RecordId, by: NodeId, at: Instant) {
        let led = self.led.iter().rev().find(|(node, _, since)| *node == by && *since <= at);
        if let Some((_, epoch, _)) = led.filter(|(_, epoch, _)| *epoch < self.newest) {
            self.late.entry(record).or_insert(Word { epoch: *epoch, at });
        }
    }

    /// From when to when an offset held the record that a client was told of at a moment.
    fn held_it(&self, offset: Offset, record: RecordId, told: Instant) -> (Instant, Instant) {
        self.late.get(&record).map_or_else(|| self.held(offset, told), |word| self.held_by_word_of(offset, *word))
    }

    /// From when to when an offset held what it held at a moment: from the beginning, if nothing had stood there before; from that moment,
    /// if nobody said when it was written.
    fn held(&self, offset: Offset, moment: Instant) -> (Instant, Instant) {
        let (mut from, mut until) = (Instant::default(), Instant(u64::MAX));
        if offset.0 >= self.end {
            from = moment;
        }
        for stretch in self.again_at(offset).filter(|stretch| !stretch.is_stale) {
            if stretch.since <= moment {
                from = from.max(stretch.since);
            } else {
                until = until.min(stretch.since);
            }
        }
        (from, until)
    }

    /// From when to when an offset held what a leader meant that a newer one had taken the place of: never, if another record stood
    /// there when it appended this one.
    fn held_by_word_of(&self, offset: Offset, word: Word) -> (Instant, Instant) {
        let is_known = |stretch: &&Stretch| stretch.since <= word.at && stretch.epoch <= word.epoch;
        let of_it = |stretch: &&Stretch| !stretch.is_stale || stretch.epoch == word.epoch;
        let own = self.again_at(offset).filter(is_known).filter(of_it).last();
        if own.is_some_and(|own| own.is_stale) {
            return (word.at, word.at);
        }
        let from = own.map(|own| own.since).unwrap_or_default();
        let next = self.again_at(offset).filter(|stretch| !stretch.is_stale && !is_known(stretch));
        (from, next.map(|stretch| stretch.since).min().unwrap_or(Instant(u64::MAX)))
    }

    /// What was appended at an offset where something stood, or had stood.
    fn again_at(&self, offset: Offset) -> impl Iterator<Item = &Stretch> {
        self.again.iter().filter(move |stretch| (stretch.base..=stretch.last).contains(&offset.0))
    }

    /// Whether an offset was given to another record, by a leader that had not been deposed.
    pub(super) fn is_given_out_again(&self, offset: Offset) -> bool {
        self.again_at(offset).any(|stretch| !stretch.is_stale)
    }

    fn any(&self) -> bool {
        !self.again.is_empty()
    }

    fn worked_on(&mut self, client: u32, offset: Offset, at: Instant) {
        if let Some(digest) = self.given.get(&(client, offset.0)) {
            self.worked_on.insert((client, offset.0, at), *digest);
        }
    }

    fn was_worked_on(&self, client: u32, offset: i64, at: Instant, digest: u64) -> bool {
        self.worked_on.get(&(client, offset, at)).is_some_and(|worked_on| *worked_on == digest)
    }

    /// Whether another record had stood at the offset of this one.
    fn is_rewritten(&self, copy: &Copy) -> bool {
        let is_it =
            |known: &Stretch| known.epoch == copy.leader_epoch && (known.base..=known.last).contains(&copy.offset);
        self.again.iter().any(is_it)
    }
}

/// A record of the log that is left.
#[derive(Clone, Debug)]
pub(crate) struct Survivor<'h> {
    pub offset: i64,
    pub key: Option<Payload>,
    pub value: Option<Payload>,
    /// If another one had stood there: what this one is.
    rewritten: Option<(&'h Rewrites, u64)>,
}

impl Survivor<'_> {
    /// Whether another record had stood there.
    pub fn is_rewritten(&self) -> bool {
        self.rewritten.is_some()
    }

    /// Whether it was this record that a client worked on at that time. What it had been given before any offset was given out again
    /// was an older one.
    pub fn was_worked_on(&self, client: u32, at: Instant) -> bool {
        self.rewritten.is_none_or(|(rewrites, digest)| rewrites.was_worked_on(client, self.offset, at, digest))
    }
}

impl PartitionHistory {
    /// Whether a record that was told to be at an offset was deleted by the rules: not before it was sent.
    pub(crate) fn was_deleted(&self, offset: Offset, sent: &Sent, told: Instant) -> bool {
        let (since, until) = self.rewrites.held_it(offset, sent.id, told);
        self.removal.was_deleted(offset, (since.max(sent.sent_at), until))
    }

    /// Whether it was this copy that a client worked on at that time.
    pub(crate) fn was_worked_on(&self, copy: &Copy, client: u32, at: Instant) -> bool {
        !self.rewrites.is_rewritten(copy) || self.rewrites.was_worked_on(client, copy.offset, at, copy.digest)
    }

    /// Whether the offset was given to another record than the one that was told to be there.
    pub(crate) fn is_given_away(&self, offset: Offset, sent: &Sent, told: Instant) -> bool {
        self.rewrites.held_it(offset, sent.id, told).1 < Instant(u64::MAX)
    }
}

impl History {
    /// Whether what is left at an offset was written there, once more, after a moment.
    pub(crate) fn was_written_after(&self, name: &TopicPartition, offset: i64, moment: Instant) -> bool {
        let Some(partition) = self.partition_index.get(name).map(|index| &self.partitions[*index]) else {
            return false;
        };
        let stretches = partition.rewrites.again_at(Offset(offset)).filter(|stretch| !stretch.is_stale);
        stretches.map(|stretch| stretch.since).max().is_some_and(|since| since > moment)
    }

    /// The records in the surviving log of a partition, in order.
    pub(crate) fn surviving_records(&self, name: &TopicPartition) -> Vec<Survivor<'_>> {
        let Some(partition) = self.partition_index.get(name).map(|index| &self.partitions[*index]) else {
            return Vec::new();
        };
        let leader = partition.leader().map(|replica| replica.broker);
        let copies = partition.copies.iter().filter(|copy| leader.is_none_or(|leader| leader == copy.broker));
        let records: BTreeMap<i64, &Copy> = copies.map(|copy| (copy.offset, copy)).collect();
        let rewrites = &partition.rewrites;
        let survivor = |copy: &Copy| Survivor {
            offset: copy.offset,
            key: copy.key.clone(),
            value: copy.value.clone(),
            rewritten: rewrites.is_rewritten(copy).then_some((rewrites, copy.digest)),
        };
        records.into_values().map(survivor).collect()
    }

    pub(super) fn observe_rewrites(&mut self, event: &Event) {
        match (&event.fact, event.node) {
            (Fact::Appended { partition, role: Role::Leader, base_offset, last_offset, leader_epoch, .. }, _) => {
                let index = self.partition(partition);
                let rewrites = &mut self.partitions[index].rewrites;
                rewrites.appended(*base_offset, *last_offset, *leader_epoch, event.time);
            }
            (
                Fact::Polled { partition, offset, key, value }
                | Fact::SharePolled { partition, offset, key, value, .. },
                NodeId::Client(client),
            ) => {
                let index = self.partition(partition);
                if self.partitions[index].rewrites.any() {
                    let digest = self.digest(partition.topic.as_str(), key.as_ref(), value.as_ref());
                    self.partitions[index].rewrites.given.insert((client, offset.0), digest);
                }
            }
            (
                Fact::Processed { partition, offset, .. } | Fact::GaveUp { partition, offset, .. },
                NodeId::Client(client),
            ) => self.worked_on(client, partition, &[*offset], event.time),
            (Fact::StoreWrote { partition, results, client, .. }, _) => {
                self.worked_on(*client, partition, results, event.time);
            }
            _ => {}
        }
    }

    fn worked_on(&mut self, client: u32, partition: &TopicPartition, offsets: &[Offset], at: Instant) {
        let index = self.partition(partition);
        let rewrites = &mut self.partitions[index].rewrites;
        if rewrites.any() {
            offsets.iter().for_each(|offset| rewrites.worked_on(client, *offset, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_where_something_stood_is_rewritten() {
        let mut rewrites = Rewrites::default();
        rewrites.appended(Offset(0), Offset(4), LeaderEpoch(1), Instant(0));
        rewrites.appended(Offset(5), Offset(5), LeaderEpoch(1), Instant(0));
        assert!(!rewrites.any());
        // The next leader has nothing from offset 3 on.
        rewrites.appended(Offset(3), Offset(6), LeaderEpoch(2), Instant(0));
        let is_rewritten = |offset, epoch| {
            let leader_epoch = LeaderEpoch(epoch);
            rewrites.is_rewritten(&Copy { broker: 1, offset, leader_epoch, digest: 0, key: None, value: None })
        };
        assert_eq!([is_rewritten(2, 1), is_rewritten(3, 1), is_rewritten(5, 1)], [false; 3], "the first there");
        assert_eq!([is_rewritten(3, 2), is_rewritten(6, 2), is_rewritten(7, 2)], [true, true, false]);
    }
}

//! Whatever members do, in whatever order: who has what, how often, and that the start offset never goes back.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::share_partition::Fetched;
use super::{AcknowledgeType, Acknowledgement, ShareLimits, SharePartition};
use crate::fact::ShareState;
use crate::types::{Instant, Offset, StrBytes};

const LIMIT: u16 = 3;
const LOCK: u64 = 10;

#[derive(Clone, Debug)]
enum Step {
    /// A member reads up to so many records.
    Acquire(usize, usize),
    /// A member speaks of records from an offset after the start.
    Say(usize, i64, i64, i8),
    /// The session of a member ends.
    Leave(usize),
    /// What is written first is written, or is not.
    Written(bool),
    /// Time passes.
    Wait(u64),
    /// The log begins so much later.
    Cut(i64),
    /// Another leader reads what is written.
    FailOver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize, 1..12usize).prop_map(|(member, records)| Step::Acquire(member, records)),
        6 => (0..3usize, 0..12i64, 0..4i64, 0..4i8).prop_map(|(member, from, more, said)| Step::Say(member, from, more, said)),
        1 => (0..3usize).prop_map(Step::Leave),
        5 => prop::bool::weighted(0.8).prop_map(Step::Written),
        3 => (1..LOCK).prop_map(Step::Wait),
        1 => (0..5i64).prop_map(Step::Cut),
        1 => Just(Step::FailOver),
    ]
}

/// Offsets, who has them, and until when.
type Held = Vec<(i64, (usize, u64))>;

struct World {
    partition: SharePartition,
    limits: ShareLimits,
    log_start: i64,
    now: u64,
    /// What is being written, and who had what of it.
    pending: Vec<(super::StateWrite, Held)>,
    /// Who has what, until when, by what members were told.
    held: BTreeMap<i64, (usize, u64)>,
    /// How often each offset was delivered in the life of this leader.
    deliveries: BTreeMap<i64, u16>,
}

fn name(member: usize) -> StrBytes {
    StrBytes::from_string(format!("m{member}"))
}

impl World {
    fn acquire(&mut self, member: usize, records: usize) {
        if !self.partition.can_acquire() {
            return;
        }
        let from = self.partition.next_fetch_offset();
        // Batches of three.
        let first = from.0.max(self.log_start) / 3 * 3;
        let batches = (0..4).map(|batch| (Offset(first + 3 * batch), Offset(first + 3 * batch + 2))).collect();
        let until = self.now + LOCK;
        let fetched = Fetched { from, batches };
        for run in self.partition.acquire(&name(member), &fetched, records, Instant(until)) {
            assert!(run.delivery_count <= LIMIT, "delivered {} times", run.delivery_count);
            for offset in run.first.0..=run.last.0 {
                if let Some((other, until)) = self.held.insert(offset, (member, until)) {
                    assert!(until <= self.now, "{offset} is in the hands of m{other} until {until}, and of m{member}");
                }
                assert!(offset >= self.partition.start_offset().0);
                let count = self.deliveries.entry(offset).or_default();
                *count += 1;
            }
        }
    }

    fn say(&mut self, member: usize, from: i64, more: i64, said: i8) {
        let first = self.partition.start_offset().plus(from);
        let types = vec![AcknowledgeType::of(said).expect("0 to 3")];
        let batch = Acknowledgement { first, last: first.plus(more), types };
        if let Ok(Some(write)) = self.partition.acknowledge(&name(member), &[batch]) {
            self.give(write, member);
        }
    }

    /// A member gives records away, unless that cannot be written.
    fn give(&mut self, write: super::StateWrite, member: usize) {
        let mut given = Vec::new();
        for offset in write.batches.iter().flat_map(|batch| batch.first.0..=batch.last.0) {
            let held = self.held.remove(&offset);
            assert_eq!(held.map(|(holder, _)| holder), Some(member));
            given.extend(held.map(|held| (offset, held)));
        }
        self.pending.push((write, given));
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Acquire(member, records) => self.acquire(*member, *records),
            Step::Say(member, from, more, said) => self.say(*member, *from, *more, *said),
            Step::Leave(member) => {
                if let Some(write) = self.partition.release(&name(*member)) {
                    self.give(write, *member);
                }
            }
            Step::Written(well) if !self.pending.is_empty() => {
                let (write, given) = self.pending.remove(0);
                self.partition.written(write.number, *well);
                if !well {
                    self.held.extend(given);
                }
            }
            Step::Written(_) => {}
            Step::Wait(time) => {
                self.now += time;
                if let Some((changes, write)) = self.partition.expire_locks(Instant(self.now)) {
                    for change in changes {
                        let is_last = change.delivery_count >= LIMIT;
                        assert_eq!(change.state == ShareState::Archived, is_last);
                    }
                    self.pending.push((write, Vec::new()));
                }
            }
            Step::Cut(more) => {
                self.log_start += more;
                self.partition.log_start_moved(Offset(self.log_start));
            }
            Step::FailOver => {
                let start = self.partition.start_offset();
                let batches: Vec<_> = self.pending.drain(..).flat_map(|(write, _)| write.batches).collect();
                let above = |batch: &super::StateBatch| batch.first >= start;
                let mut batches: Vec<_> = batches.into_iter().filter(above).collect();
                batches.sort_by_key(|batch| batch.first);
                batches.dedup_by(|later, first| later.first <= first.last);
                self.partition = SharePartition::loaded(start, &batches, self.limits);
                // The former leader is none any more: its locks hold nobody.
                self.held.clear();
                self.deliveries.clear();
            }
        }
    }
}

proptest! {
    #[test]
    fn a_record_is_in_one_hand_and_delivered_to_the_limit(
        steps in prop::collection::vec(step(), 1..120),
        undelivered_does_not_count: bool,
        record_locks in 4..30usize,
    ) {
        let limits = ShareLimits { delivery_count: LIMIT, record_locks, undelivered_does_not_count };
        let mut world = World {
            partition: SharePartition::new(Offset(0), limits),
            limits,
            log_start: 0,
            now: 0,
            pending: Vec::new(),
            held: BTreeMap::new(),
            deliveries: BTreeMap::new(),
        };
        for step in &steps {
            let before = world.partition.start_offset();
            world.take(step);
            let after = world.partition.start_offset();
            prop_assert!(after >= before, "{step:?}: {before} to {after}");
            prop_assert!(world.partition.end_offset() >= after);
            prop_assert!(world.partition.next_fetch_offset() >= after);
            if !undelivered_does_not_count {
                prop_assert!(world.deliveries.values().all(|count| *count <= LIMIT));
            }
        }
    }
}

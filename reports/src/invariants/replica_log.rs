//! The logs of a partition as far as replicas have to agree: which batches each holds, and which were ever committed.
//!
//! ```text
//!  committed   [0..3][4..4][5..9][10..10]         what a leader's high watermark has passed, once and for all
//!  replica 1   [0..3][4..4][5..9][10..10][11..12]    matched = 11, tail = [11..12]
//!  replica 2   [0..3][4..4]                          matched =  5, tail = []
//! ```
//!
//! A replica keeps only its tail: what lies beyond the committed batches, or contradicts them. Everything before `matched`
//! is equal to the committed batches, so each batch is compared once per replica and a campaign can afford it.
//!
//! What the facts do not tell is unknown, and unknown contradicts nothing. Below `cleaned` no batch may be of a newer epoch than what was
//! committed there: compaction may have rewritten a batch on one replica and not on the other, but it keeps the epoch of each.

use std::collections::VecDeque;

/// One batch, as far as two replicas have to agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Offset of its first record.
    pub(super) base: i64,
    /// Offset of its last record.
    pub(super) last: i64,
    /// The epoch in which a leader took it.
    pub(super) epoch: i32,
    /// The checksum of its content; none if it is not known.
    pub(super) crc: Option<u32>,
}

impl Batch {
    /// A range of records of which nothing is known.
    fn unknown(base: i64, end: i64) -> Batch {
        Batch { base, last: end.saturating_sub(1), epoch: -1, crc: None }
    }

    fn agrees(&self, other: &Batch) -> bool {
        match (self.crc, other.crc) {
            (Some(one), Some(two)) => {
                one == two && self.epoch == other.epoch && self.base == other.base && self.last == other.last
            }
            (None, _) | (_, None) => true,
        }
    }

    /// Whether both may be what compaction left of the same batch. Or of another one: a leader whose log has lost the first records of
    /// an epoch to compaction takes the former epoch to reach further than it did (`LeaderEpochFileCache` has an epoch from the first batch
    /// that was fetched), and lets a follower keep what nobody has committed.
    fn is_remnant_of(&self, other: &Batch) -> bool {
        self.epoch <= other.epoch || self.crc.is_none() || other.crc.is_none()
    }
}

/// How a batch compares with what was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing was committed there yet.
    Beyond,
    /// The same, or unknown, or deleted since: then nothing is promised.
    Same,
    /// Another one was committed there.
    Differs,
}

/// The batches that a leader's high watermark has passed.
#[derive(Clone, Debug, Default)]
pub(super) struct Committed {
    batches: Vec<Batch>,
    /// Below this offset, batches may have been rewritten by compaction.
    cleaned: i64,
    /// A leader has deleted everything below this offset by its rules: nothing is promised of it any more. A follower that it cut there may
    /// have its own records below, as the leader has no epochs for them (`LeaderEpochFileCache.endOffsetFor`).
    pub(super) deleted: i64,
    /// The true high watermark: the furthest that any leader's has come.
    pub(super) high_watermark: i64,
    /// The epoch of the leader that committed last.
    pub(super) epoch: i32,
}

impl Committed {
    /// The offset after the last batch.
    pub(super) fn end(&self) -> i64 {
        self.batches.last().map_or(0, |batch| batch.last.saturating_add(1))
    }

    /// Compaction has rewritten batches below `offset` somewhere.
    pub(super) fn clean_below(&mut self, offset: i64) {
        self.cleaned = self.cleaned.max(offset);
    }

    /// A leader begins at `start` by its rules.
    pub(super) fn delete_below(&mut self, start: i64) {
        self.deleted = self.deleted.max(start.min(self.high_watermark));
    }

    /// Whether anything that was committed is still promised.
    pub(super) fn promises(&self) -> bool {
        self.high_watermark > self.deleted
    }

    fn compare(&self, batch: &Batch) -> Verdict {
        if batch.last < self.deleted {
            return Verdict::Same;
        }
        if batch.base >= self.end() {
            return Verdict::Beyond;
        }
        let is_same = |committed: &Batch| {
            committed.agrees(batch) || (batch.base < self.cleaned && batch.is_remnant_of(committed))
        };
        // The first committed batch that ends at or after the beginning of this one, and is still promised.
        let place = self.batches.partition_point(|committed| committed.last < batch.base.max(self.deleted));
        match self.batches.get(place) {
            Some(committed) if committed.base > batch.last || is_same(committed) => Verdict::Same,
            Some(_) => Verdict::Differs,
            None => Verdict::Beyond,
        }
    }

    /// The committed batches from `from` up to `to`.
    pub(super) fn range(&self, from: i64, to: i64) -> impl Iterator<Item = Batch> {
        let place = self.batches.partition_point(|batch| batch.last < from);
        self.batches[place..].iter().copied().take_while(move |batch| batch.base < to)
    }
}

/// The log of one replica.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplicaLog {
    /// Log start offset.
    pub(super) start: i64,
    /// Log end offset.
    pub(super) end: i64,
    /// Everything before this offset is as it was committed.
    pub(super) matched: i64,
    tail: VecDeque<Batch>,
    /// The epoch of the last batch before `matched`, if it is known: compaction and deletion forgive a replica an older one.
    absorbed: Option<i32>,
}

impl ReplicaLog {
    /// A batch was appended.
    pub(super) fn append(&mut self, batch: Batch, committed: &Committed) {
        if batch.base < self.end {
            self.cut(batch.base);
        }
        self.end = batch.last.saturating_add(1);
        self.tail.push_back(batch);
        self.absorb(committed);
    }

    /// The epoch of its last batch, or -1.
    pub(super) fn last_epoch(&self, committed: &Committed) -> i32 {
        match self.tail.back() {
            // Everything was deleted or cut.
            _ if self.start >= self.end => -1,
            Some(batch) => batch.epoch,
            None if self.absorbed.is_some() => self.absorbed.unwrap_or(-1),
            // Where nothing is promised it may have had other records.
            None if self.matched <= committed.deleted => -1,
            None if self.matched == committed.end() => committed.batches.last().map_or(-1, |batch| batch.epoch),
            None => {
                committed.range(self.matched.saturating_sub(1), self.matched).last().map_or(-1, |batch| batch.epoch)
            }
        }
    }

    /// Everything from `to` on is gone.
    pub(super) fn cut(&mut self, to: i64) {
        self.end = self.end.min(to);
        if to < self.matched {
            (self.matched, self.absorbed) = (to, None);
        }
        self.start = self.start.min(to);
        while self.tail.back().is_some_and(|batch| batch.last >= to) {
            self.tail.pop_back();
        }
    }

    /// The log was found to reach from `start` to `end`.
    pub(super) fn found(&mut self, start: i64, end: i64, committed: &Committed) {
        self.cut(end);
        if end > self.end {
            self.tail.push_back(Batch::unknown(self.end, end));
            self.end = end;
        }
        self.start = start;
        self.begin_at(start, committed);
    }

    /// Everything before `start` was removed: by retention, by DeleteRecords, or because the log began anew there.
    pub(super) fn begin_at(&mut self, start: i64, committed: &Committed) {
        self.start = start;
        self.end = self.end.max(start);
        if start > self.matched {
            while self.tail.front().is_some_and(|batch| batch.last < start) {
                self.tail.pop_front();
            }
            self.matched = start;
        }
        self.absorb(committed);
    }

    /// Compares the tail as far as anything is committed.
    pub(super) fn absorb(&mut self, committed: &Committed) {
        while let Some(batch) = self.tail.front() {
            if batch.crc.is_none() && committed.end() > batch.base {
                self.absorb_unknown(committed);
            } else if committed.compare(batch) == Verdict::Same {
                self.matched = batch.last.saturating_add(1);
                self.absorbed = Some(batch.epoch);
                self.tail.pop_front();
            } else {
                break;
            }
        }
    }

    /// What is unknown is as it was committed, as far as anything was.
    fn absorb_unknown(&mut self, committed: &Committed) {
        let Some(batch) = self.tail.front_mut() else { return };
        self.matched = committed.end().min(batch.last.saturating_add(1));
        batch.base = self.matched;
        if batch.base > batch.last {
            self.tail.pop_front();
        }
    }

    /// The first batch that contradicts what was committed there.
    pub(super) fn contradiction(&self, committed: &Committed) -> Option<Batch> {
        self.tail.front().copied().filter(|batch| committed.compare(batch) == Verdict::Differs)
    }

    /// Whether it has another record of the same epoch where it first contradicts what was committed: a leader that has lost its end
    /// with its power, and leads on before anybody notices, gives the offsets out again in that epoch.
    pub(super) fn contradicts_in_its_epoch(&self, committed: &Committed) -> bool {
        self.contradiction(committed).is_some_and(|own| {
            committed.range(own.base, own.last.saturating_add(1)).any(|batch| batch.epoch == own.epoch)
        })
    }

    /// Whether it has all that was committed below `limit`.
    pub(super) fn holds(&self, limit: i64, committed: &Committed) -> bool {
        self.matched >= limit.min(committed.end())
    }

    /// Whether it has this very batch beyond what it shares with the committed ones.
    pub(super) fn has_in_tail(&self, wanted: &Batch) -> bool {
        self.tail.iter().any(|batch| batch.base == wanted.base && batch.agrees(wanted))
    }

    /// Its batches from `from` on.
    fn batches<'a>(&'a self, from: i64, committed: &'a Committed) -> impl Iterator<Item = Batch> + 'a {
        committed.range(from, self.matched).chain(self.tail.iter().copied()).filter(move |batch| batch.last >= from)
    }

    /// The first offset below `limit` at which the two do not hold the same. Where this log does not reach, because it begins later,
    /// nobody is shown anything: a leader that has deleted what it has epochs for lets a follower keep its own records below that
    /// (`LeaderEpochFileCache.endOffsetFor`), until the follower hears of the new beginning.
    pub(super) fn first_difference(&self, other: &ReplicaLog, limit: i64, committed: &Committed) -> Option<i64> {
        let shared = self.matched.min(other.matched).max(self.start);
        let (mut ours, mut theirs) = (self.batches(shared, committed), other.batches(shared, committed));
        loop {
            let (one, two) = (ours.next(), theirs.next());
            let is_unknown = |batch: &Option<Batch>| batch.is_some_and(|batch| batch.crc.is_none());
            if is_unknown(&one) || is_unknown(&two) {
                return None;
            }
            let base = match (one, two) {
                (Some(one), Some(two)) if one.agrees(&two) => continue,
                (Some(one), Some(two)) => one.base.min(two.base),
                (Some(batch), None) | (None, Some(batch)) => batch.base,
                (None, None) => return None,
            };
            return Some(base.max(shared)).filter(|base| *base < limit && *base >= committed.cleaned);
        }
    }
}

/// What a leader's high watermark brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commit {
    /// What it passed is committed now, or was before.
    Agreed,
    /// Another batch had been committed where this leader has its own: the old one.
    Overruled(Batch),
}

/// A leader's high watermark has come to `to`: what it passed is committed.
///
/// Where a leader of a newer epoch commits something else than was committed before, its word counts from now on.
pub(super) fn commit(
    committed: &mut Committed,
    leader: &mut ReplicaLog,
    others: &mut dyn Iterator<Item = &mut ReplicaLog>,
    epoch: i32,
    to: i64,
) -> Commit {
    let mut outcome = Commit::Agreed;
    let mut dropped = Vec::new();
    while let Some(batch) = leader.tail.front().copied().filter(|batch| batch.last < to) {
        match committed.compare(&batch) {
            Verdict::Beyond => committed.batches.push(batch),
            Verdict::Same => {}
            // A leader that was deposed long ago has no say.
            Verdict::Differs if epoch < committed.epoch => break,
            Verdict::Differs => {
                let place = committed.batches.partition_point(|old| old.last < batch.base);
                dropped = committed.batches.split_off(place);
                outcome = dropped.first().map_or(outcome, |old| Commit::Overruled(*old));
                committed.high_watermark = committed.end();
                committed.batches.push(batch);
            }
        }
        leader.matched = batch.last.saturating_add(1);
        leader.tail.pop_front();
    }
    committed.high_watermark = committed.high_watermark.max(to);
    committed.epoch = committed.epoch.max(epoch);
    for other in others {
        if let Some(first) = dropped.first() {
            other.disown(&dropped, first.base);
        }
        other.absorb(committed);
    }
    outcome
}

impl ReplicaLog {
    /// What it shared from `from` on counts no more as committed: it is its own again.
    fn disown(&mut self, dropped: &[Batch], from: i64) {
        let own: Vec<Batch> = dropped.iter().copied().filter(|batch| batch.last < self.matched).collect();
        for batch in own.into_iter().rev() {
            self.tail.push_front(batch);
        }
        if from < self.matched {
            (self.matched, self.absorbed) = (from, None);
        }
    }
}

//! The history laid beside the surviving logs: which copy belongs to which logical record.
//!
//! A logical record is the first `send()` together with the application's resends of it. Copies are matched by content
//! and counted: k logical records of equal content may appear k times, and a copy beyond that is a duplicate.
//!
//! The surviving log of a partition is that of its leader; without a leader, whatever any replica holds.

use crate::history::{Copy, History, Outcome, Sent};

/// Where a copy is: partition and place in its list of copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub partition: usize,
    pub copy: usize,
}

/// A copy beyond the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra {
    /// The logical record.
    pub root: usize,
    /// The copy.
    pub place: Place,
}

/// What a logical record came to, over all its attempts; the best one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// A broker answered for it.
    Acknowledged,
    /// The client reported success at acks=0.
    Unasked,
    /// It may or may not be written.
    Indeterminate,
    /// No callback ever ran.
    Pending,
    /// It certainly was not written.
    Failed,
}

/// The match of records and copies.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    /// What clients were told.
    pub history: &'a History,
    /// The first copy of each logical record, by the index of its root.
    pub first: Vec<Option<Place>>,
    /// Copies beyond the first.
    pub extra: Vec<Extra>,
    /// Copies that nobody sent.
    pub foreign: Vec<Place>,
}

impl Sent {
    pub(crate) fn standing(&self) -> Standing {
        match self.outcome {
            Outcome::Acknowledged { acks: 0, .. } => Standing::Unasked,
            Outcome::Acknowledged { .. } => Standing::Acknowledged,
            Outcome::Failed { definite: true, .. } => Standing::Failed,
            Outcome::Failed { definite: false, .. } => Standing::Indeterminate,
            Outcome::Pending => Standing::Pending,
            Outcome::Abandoned { unsent: true } => Standing::Failed,
            Outcome::Abandoned { unsent: false } => Standing::Indeterminate,
        }
    }

    pub(crate) fn acknowledged_offset(&self) -> Option<i64> {
        match self.outcome {
            Outcome::Acknowledged { offset, .. } if offset.0 >= 0 => Some(offset.0),
            _ => None,
        }
    }
}

impl<'a> Ledger<'a> {
    /// Matches what was sent with what is there.
    pub(crate) fn new(history: &'a History) -> Self {
        let mut ledger =
            Ledger { history, first: vec![None; history.sends.len()], extra: Vec::new(), foreign: Vec::new() };
        let copies = surviving_copies(history);
        let mut roots: Vec<(u64, usize)> = history
            .sends
            .iter()
            .enumerate()
            .filter(|(index, sent)| sent.root == *index)
            .map(|(index, sent)| (sent.digest, index))
            .collect();
        roots.sort_unstable();
        let mut next_root = 0;
        for group in copies.chunk_by(|one, other| one.0 == other.0) {
            let digest = group[0].0;
            next_root += roots[next_root..].iter().take_while(|(root, _)| *root < digest).count();
            let same = roots[next_root..].iter().take_while(|(root, _)| *root == digest).count();
            ledger.assign(&roots[next_root..next_root + same], group);
            next_root += same;
        }
        ledger.extra.sort_unstable_by_key(|extra| (extra.place.partition, ledger.history.offset(extra.place)));
        ledger.foreign.sort_unstable();
        ledger
    }

    /// The `send()` calls of a logical record, the first one first.
    pub(crate) fn attempts(&self, root: usize) -> impl Iterator<Item = &'a Sent> {
        let history = self.history;
        let resends = history.resends.get(&root).map_or(&[][..], Vec::as_slice);
        std::iter::once(root).chain(resends.iter().copied()).map(move |index| &history.sends[index])
    }

    /// What a logical record came to, and the attempt that says so.
    pub(crate) fn standing(&self, root: usize) -> (Standing, &'a Sent) {
        let first = &self.history.sends[root];
        self.attempts(root)
            .map(|sent| (sent.standing(), sent))
            .min_by_key(|(standing, _)| *standing)
            .unwrap_or((first.standing(), first))
    }

    /// The logical records, each with its root.
    pub(crate) fn roots(&self) -> impl Iterator<Item = (usize, &'a Sent)> {
        self.history.sends.iter().enumerate().filter(|(index, sent)| sent.root == *index)
    }

    /// Whether a copy is in a partition that none of its record's attempts was sent to.
    pub(crate) fn is_astray(&self, root: usize, place: Place) -> bool {
        let mut meant = self.attempts(root).filter_map(|sent| sent.partition).peekable();
        meant.peek().is_some() && meant.all(|partition| partition != place.partition)
    }

    /// The copy at a place.
    pub(crate) fn copy(&self, place: Place) -> &'a Copy {
        &self.history.partitions[place.partition].copies[place.copy]
    }

    fn assign(&mut self, roots: &[(u64, usize)], copies: &[(u64, usize, i64, usize)]) {
        let places = || copies.iter().map(|(_, partition, _, copy)| Place { partition: *partition, copy: *copy });
        match roots {
            [] => self.foreign.extend(places()),
            [(_, root)] => {
                let first = copies.iter().position(|copy| self.was_acknowledged_at(*root, copy)).unwrap_or(0);
                for place in places() {
                    // The acknowledged copy decides the partition; within it, the lowest offset is the first copy.
                    if place.partition == copies[first].1 && self.first[*root].is_none() {
                        self.first[*root] = Some(place);
                    } else {
                        self.extra.push(Extra { root: *root, place });
                    }
                }
            }
            _ => self.assign_many(roots, copies, &places().collect::<Vec<_>>()),
        }
    }

    /// Several logical records of equal content: those that know their offset choose first, then the better
    /// standing, then the order of `send()`.
    fn assign_many(&mut self, roots: &[(u64, usize)], copies: &[(u64, usize, i64, usize)], places: &[Place]) {
        let mut owners: Vec<Option<usize>> = vec![None; places.len()];
        for (_, root) in roots {
            let claim = self.attempts(*root).find_map(|sent| {
                let place = (sent.partition?, sent.acknowledged_offset()?);
                copies.binary_search_by_key(&place, |copy| (copy.1, copy.2)).ok()
            });
            if let Some(position) = claim.filter(|position| owners[*position].is_none()) {
                owners[position] = Some(*root);
                self.first[*root] = Some(places[position]);
            }
        }
        let mut waiting: Vec<usize> =
            roots.iter().map(|(_, root)| *root).filter(|root| self.first[*root].is_none()).collect();
        waiting.sort_by_key(|root| (self.standing(*root).0, *root));
        let free: Vec<usize> = (0..places.len()).filter(|position| owners[*position].is_none()).collect();
        for (root, position) in waiting.iter().zip(&free) {
            owners[*position] = Some(*root);
            self.first[*root] = Some(places[*position]);
        }
        // What is left is another copy of its nearest predecessor.
        let mut owner = roots[0].1;
        for (position, place) in places.iter().enumerate() {
            match owners[position] {
                Some(root) => owner = root,
                None => self.extra.push(Extra { root: owner, place: *place }),
            }
        }
    }

    fn was_acknowledged_at(&self, root: usize, copy: &(u64, usize, i64, usize)) -> bool {
        self.attempts(root).any(|sent| sent.partition == Some(copy.1) && sent.acknowledged_offset() == Some(copy.2))
    }
}

impl History {
    pub(crate) fn offset(&self, place: Place) -> i64 {
        self.partitions[place.partition].copies[place.copy].offset
    }
}

/// The copies of all surviving logs as (content, partition, offset, place), sorted.
fn surviving_copies(history: &History) -> Vec<(u64, usize, i64, usize)> {
    let mut copies = Vec::new();
    for (index, partition) in history.partitions.iter().enumerate() {
        let leader = partition.leader().map(|replica| replica.broker);
        for (position, copy) in partition.copies.iter().enumerate() {
            if leader.is_none_or(|leader| leader == copy.broker) {
                copies.push((copy.digest, index, copy.offset, position));
            }
        }
    }
    copies.sort_unstable();
    // Without a leader every replica is read: its copies of the same record are one.
    copies.dedup_by_key(|copy| (copy.0, copy.1, copy.2));
    copies
}

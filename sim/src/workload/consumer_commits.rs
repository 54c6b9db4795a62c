//! The commits of a consuming program: their numbers, and what the callback of `commitAsync()` does when one has failed.
//!
//! The client repeats no asynchronous commit: a later one may have overtaken it, and the coordinator takes whichever comes last.
//! A callback that commits the same offsets once more takes the group back, unless it looks whether it is still the latest.
//!
//! Kafka: `OffsetCommitCallback`, `RetriableCommitFailedException`.

use std::collections::{BTreeMap, VecDeque};

use ackproof_core::client::{Call, ConsumerRecord};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{Duration, Instant, Offset, TopicPartition};

use super::consumer_workload::{CommitMode, OnCommitFailure};

type Offsets = Vec<(TopicPartition, Offset)>;

/// The commits of one life of a program.
#[derive(Clone, Debug)]
pub(super) struct Commits {
    mode: CommitMode,
    /// How many calls there were.
    calls: u64,
    /// What `poll()` has returned, where a callback needs to know.
    positions: BTreeMap<TopicPartition, Offset>,
    /// What outstanding calls have committed, and which commit it is: a repetition is none of its own.
    outstanding: BTreeMap<u64, (u64, Offsets)>,
    /// What is committed again, and when.
    repeats: VecDeque<(Instant, u64, Offsets)>,
    /// How many commits there were that are no repetitions.
    latest: u64,
}

impl Commits {
    pub fn new(mode: CommitMode) -> Self {
        Self {
            mode,
            calls: 0,
            positions: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            repeats: VecDeque::new(),
            latest: 0,
        }
    }

    /// After how long a failed commit is repeated, and whether even behind a later one.
    fn repetition(&self) -> Option<(Duration, bool)> {
        match self.mode {
            CommitMode::Sync | CommitMode::Async(OnCommitFailure::Ignore) => None,
            CommitMode::Async(OnCommitFailure::Repeat(after)) => Some((after, true)),
            CommitMode::Async(OnCommitFailure::RepeatIfLatest(after)) => Some((after, false)),
        }
    }

    pub fn polled(&mut self, records: &[ConsumerRecord]) {
        if self.repetition().is_some() {
            let next = |record: &ConsumerRecord| (record.partition.clone(), record.offset.next());
            self.positions.extend(records.iter().map(next));
        }
    }

    /// `commitAsync()` without offsets commits what is assigned.
    pub fn revoked(&mut self, partitions: &[TopicPartition]) {
        self.positions.retain(|partition, _| !partitions.contains(partition));
    }

    /// The next commit: of these offsets, or of what `poll()` has returned. Gives its number and the call.
    pub fn next(&mut self, offsets: Option<Offsets>) -> (u64, Call) {
        self.latest += 1;
        let offsets = match self.repetition() {
            Some(_) => Some(offsets.unwrap_or_else(|| self.positions.clone().into_iter().collect())),
            None => offsets,
        };
        self.call(self.latest, offsets)
    }

    fn call(&mut self, commit: u64, offsets: Option<Offsets>) -> (u64, Call) {
        let call = self.calls;
        self.calls += 1;
        if let (Some(offsets), Some(_)) = (&offsets, self.repetition()) {
            self.outstanding.insert(call, (commit, offsets.clone()));
        }
        (call, Call::Commit { call, offsets, sync: self.mode == CommitMode::Sync })
    }

    /// The callback.
    pub fn answered(&mut self, call: u64, result: Result<(), ErrorCode>, now: Instant) {
        let Some((commit, offsets)) = self.outstanding.remove(&call) else { return };
        let Some((after, _)) = self.repetition() else { return };
        if result.is_err_and(ErrorCode::is_retriable) {
            self.repeats.push_back((now + after, commit, offsets));
        }
    }

    /// When a commit is repeated.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.repeats.front().map(|(at, ..)| *at)
    }

    /// A commit that is due once more.
    pub fn repeat(&mut self, now: Instant) -> Option<Call> {
        let (_, even_if_old) = self.repetition()?;
        while self.repeats.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, commit, offsets) = self.repeats.pop_front()?;
            if even_if_old || commit == self.latest {
                return Some(self.call(commit, Some(offsets)).1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use ackproof_core::types::Timestamp;

    use super::*;

    #[test]
    fn what_is_revoked_is_committed_no_more() {
        let partition = |index| TopicPartition::of("orders", index);
        let record = |index| ConsumerRecord {
            partition: partition(index),
            offset: Offset(4),
            timestamp: Timestamp::NONE,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let mut commits = Commits::new(CommitMode::Async(OnCommitFailure::Repeat(Duration::from_millis(100))));
        commits.polled(&[record(0), record(1)]);
        commits.revoked(&[partition(1)]);
        let (_, call) = commits.next(None);
        let Call::Commit { offsets: Some(offsets), .. } = call else { panic!("it commits offsets: {call:?}") };
        assert_eq!(offsets, [(partition(0), Offset(5))]);
    }
}

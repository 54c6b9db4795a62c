//! What a share consumer has told one leader, and in which epoch their session is.
//!
//! Kafka: `ShareSessionHandler`.

use std::collections::BTreeSet;

use crate::share::share_session::{INITIAL_EPOCH, next_epoch};
use crate::types::{Instant, TopicPartition};

/// A session as its member knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShareSessionHandler {
    /// The epoch of the next request.
    pub epoch: i32,
    /// What the leader reads for it.
    pub partitions: BTreeSet<TopicPartition>,
    /// After an error nothing is asked for before this.
    pub not_before: Instant,
}

impl ShareSessionHandler {
    pub fn new() -> Self {
        Self { epoch: INITIAL_EPOCH, partitions: BTreeSet::new(), not_before: Instant::START }
    }

    pub fn is_new(&self) -> bool {
        self.epoch == INITIAL_EPOCH
    }

    /// The leader has answered.
    pub fn goes_on(&mut self) {
        self.epoch = next_epoch(self.epoch);
    }

    /// The leader knows of no such session, or did not answer: the next request opens another one.
    pub fn begin_anew(&mut self) {
        self.epoch = INITIAL_EPOCH;
        self.partitions.clear();
    }

    /// It reads these from now on: what is to be said of that.
    pub fn read(&mut self, wanted: BTreeSet<TopicPartition>) -> (Vec<TopicPartition>, Vec<TopicPartition>) {
        let added = wanted.difference(&self.partitions).cloned().collect();
        let forgotten = self.partitions.difference(&wanted).cloned().collect();
        self.partitions = wanted;
        (added, forgotten)
    }
}

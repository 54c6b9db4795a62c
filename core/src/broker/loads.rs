//! Which partitions of a coordinator's topic are to be read, and when: in the background, a moment after the broker begins to lead them.
//!
//! Kafka: `CoordinatorRuntime.scheduleLoadOperation`, `GroupMetadataManager.scheduleLoadGroupAndOffsets`.

use std::collections::BTreeMap;

use crate::types::{Duration, Instant};

/// Until the background thread has begun to read.
const STARTS_AFTER: Duration = Duration::from_millis(1);

/// The partitions, by their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Loads(BTreeMap<i32, Instant>);

impl Loads {
    /// The broker leads it now.
    pub fn begin(&mut self, partition: i32, now: Instant) {
        self.0.insert(partition, now + STARTS_AFTER);
    }

    /// It leads it no more.
    pub fn forget(&mut self, partition: i32) {
        self.0.remove(&partition);
    }

    /// The same of all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Those that are to be read by now; they are begun.
    pub fn take_due(&mut self, now: Instant) -> Vec<i32> {
        let due = self.0.iter().filter(|(_, at)| **at <= now).map(|(partition, _)| *partition).collect();
        self.0.retain(|_, at| *at > now);
        due
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.values().copied().min()
    }
}

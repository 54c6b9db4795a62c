//! Which log is compacted next, and how far each one has come.
//!
//! The dirtiest log that is dirty enough comes first; when there is none the cleaner rests for `log.cleaner.backoff.ms`. Each
//! time it also deletes what compacted logs may forget by age and size (`compact,delete`) or below their log start. How far it
//! has come is in `cleaner-offset-checkpoint`; a log with a batch that cannot be read is left alone until the next start.
//!
//! Kafka: `LogCleanerManager`, `LogCleaner.CleanerThread`, KIP-58, KIP-354.
//! Not modelled: several threads; throttling; that appends go on while a log is cleaned (it is cleaned at one instant).

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::cleaner::LogToClean;
use super::unified_log::UnifiedLog;
use crate::fact::Fact;
use crate::machine::Context;
use crate::types::{Offset, Timestamp, TopicPartition};

/// The cleaner of a broker.
#[derive(Clone, Debug, Default)]
pub(super) struct CleanerManager {
    /// Where the dirty part of each log begins.
    checkpoints: BTreeMap<TopicPartition, Offset>,
    /// Logs that it has given up.
    uncleanable: BTreeSet<TopicPartition>,
    /// The checkpoints are not written yet.
    changed: bool,
}

/// Whether there was something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cleaned {
    /// A log was cleaned: there may be another one.
    One,
    /// Nothing is dirty enough.
    Nothing,
}

impl CleanerManager {
    /// Takes over what the file says.
    pub fn load(&mut self, checkpoints: BTreeMap<TopicPartition, Offset>) {
        self.checkpoints.extend(checkpoints);
    }

    /// Where the dirty part of each log begins, if that is to be written.
    pub fn changed_checkpoints(&mut self) -> Option<Vec<(TopicPartition, Offset)>> {
        let changed = std::mem::take(&mut self.changed);
        changed.then(|| self.checkpoints.iter().map(|(partition, offset)| (partition.clone(), *offset)).collect())
    }

    /// Cleans the dirtiest log, and deletes what compacted logs may forget.
    pub fn run(
        &mut self,
        logs: &mut BTreeMap<TopicPartition, UnifiedLog>,
        ctx: &mut Context<'_>,
    ) -> io::Result<Cleaned> {
        let cleaned = match self.dirtiest(logs, ctx.wall_clock()) {
            Some((partition, todo)) => {
                self.clean(&partition, todo, logs, ctx)?;
                Cleaned::One
            }
            None => Cleaned::Nothing,
        };
        for (partition, log) in logs.iter_mut().filter(|(_, log)| log.config().cleanup_policy.compact) {
            if !self.uncleanable.contains(partition) {
                log.delete_old_segments(ctx)?;
            }
        }
        Ok(cleaned)
    }

    /// A log was cut, and its active segment begins at `active`: what lies above is dirty.
    pub fn truncated(&mut self, partition: &TopicPartition, active: Offset) {
        if let Some(checkpoint) = self.checkpoints.get_mut(partition).filter(|checkpoint| **checkpoint > active) {
            *checkpoint = active;
            self.changed = true;
        }
    }

    fn dirtiest(
        &self,
        logs: &BTreeMap<TopicPartition, UnifiedLog>,
        now: Timestamp,
    ) -> Option<(TopicPartition, LogToClean)> {
        let mut dirtiest: Option<(&TopicPartition, LogToClean)> = None;
        for (partition, log) in logs {
            if !log.config().cleanup_policy.compact || log.is_offline() || self.uncleanable.contains(partition) {
                continue;
            }
            let todo = log.to_clean(self.checkpoints.get(partition).copied(), now);
            if todo.is_due(log) && dirtiest.is_none_or(|(_, other)| todo.is_dirtier_than(&other)) {
                dirtiest = Some((partition, todo));
            }
        }
        dirtiest.map(|(partition, todo)| (partition.clone(), todo))
    }

    fn clean(
        &mut self,
        partition: &TopicPartition,
        todo: LogToClean,
        logs: &mut BTreeMap<TopicPartition, UnifiedLog>,
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        let Some(log) = logs.get_mut(partition) else { return Ok(()) };
        match log.clean(todo, ctx) {
            Ok(end) => {
                self.checkpoints.insert(partition.clone(), end);
                self.changed = true;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.uncleanable.insert(partition.clone());
                ctx.fact(Fact::CleaningFailed { partition: partition.clone(), what: error.to_string() });
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
#[path = "cleaner_edge_tests.rs"]
mod edge_tests;
#[cfg(test)]
#[path = "cleaner_tests.rs"]
mod tests;

//! How the state of the producers comes back: from the newest snapshot that fits, and the log above it.
//!
//! Kafka: `UnifiedLog.rebuildProducerState`, `loadProducersFromRecords`.

use std::collections::BTreeSet;
use std::io;

use super::batch_scanner::Scanned;
use super::producer_state::ProducerStateManager;
use super::segment::LogSegment;
use super::unified_log::UnifiedLog;
use crate::storage::Storage;
use crate::types::Offset;

/// Why the state is built anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rebuild {
    /// The process starts after a clean stop. Without any snapshot nothing is read: this version has just been installed
    /// over one that had none, or somebody has removed them.
    CleanStart,
    /// The process starts after an unclean stop. Segments from this base offset on were looked at batch by batch, and no
    /// snapshot above it is believed.
    Recovery(Offset),
    /// The log was cut.
    Truncation,
}

impl UnifiedLog {
    /// The state of all producers below `end`, and the transaction indexes that are in doubt.
    pub(super) fn rebuild_producer_state(
        &mut self,
        end: Offset,
        why: Rebuild,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        self.rebuild_state(end, why, storage)?;
        self.repair_transaction_indexes(storage)
    }

    fn rebuild_state(&mut self, end: Offset, why: Rebuild, storage: &mut dyn Storage) -> io::Result<()> {
        let directory = self.directory.clone();
        let bases: Vec<Offset> = self.segments.iter().map(LogSegment::base_offset).collect();
        let mut snapshot_at: BTreeSet<Offset> = bases.iter().rev().take(2).copied().collect();
        let producers = &mut self.producers;
        match why {
            Rebuild::CleanStart => {
                producers.find_snapshots(&directory, &bases, storage)?;
                if producers.snapshots.is_empty() {
                    for at in snapshot_at.into_iter().chain([end]) {
                        producers.set_map_end(at);
                        producers.take_snapshot(&directory, true, storage)?;
                    }
                    return Ok(());
                }
            }
            Rebuild::Recovery(from) => {
                producers.find_snapshots(&directory, &bases, storage)?;
                let doubtful: Vec<Offset> = producers.snapshots.iter().copied().filter(|at| *at > from).collect();
                for at in doubtful {
                    producers.remove_snapshot(at, &directory, storage)?;
                }
                snapshot_at.extend(bases.iter().filter(|base| **base >= from));
            }
            Rebuild::Truncation => {}
        }
        let nothing_known = producers.entries().is_empty() && producers.map_end >= end;
        producers.truncate_and_reload(self.log_start, end, &directory, storage)?;
        if !nothing_known {
            let mut producers = std::mem::take(&mut self.producers);
            let read = self.read_producers(&mut producers, end, &snapshot_at, storage);
            self.producers = producers;
            read?;
        }
        self.producers.set_map_end(end);
        self.producers.take_snapshot(&directory, true, storage)?;
        Ok(())
    }

    /// Transaction indexes are built anew that nobody has read along for: to know where the transactions began that end in a
    /// segment, the state below it is needed.
    fn repair_transaction_indexes(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        for at in 0..self.segments.len() {
            let (base, end) = (self.segments[at].base_offset(), self.segments[at].next_offset());
            if self.segments[at].doubts_transaction_index() {
                let mut below = ProducerStateManager::default();
                below.snapshots = self.producers.snapshots.range(..=base).copied().collect();
                below.truncate_and_reload(self.log_start, base, &self.directory, storage)?;
                self.read_producers(&mut below, end, &BTreeSet::new(), storage)?;
            }
            if self.segments[at].doubts_transaction_index() {
                // There was nothing to read.
                self.segments[at].reset_transaction_index(storage)?;
            }
        }
        Ok(())
    }

    /// Reads the batches from the end of the map up to `end`; transaction indexes that are in doubt are built anew on the way.
    fn read_producers(
        &mut self,
        producers: &mut ProducerStateManager,
        end: Offset,
        snapshot_at: &BTreeSet<Offset>,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        let UnifiedLog { segments, directory, log_start, .. } = self;
        let from = producers.map_end;
        let first = segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
        for segment in segments[first..].iter_mut().take_while(|segment| segment.base_offset() < end) {
            let base = segment.base_offset();
            let start = base.max(producers.map_end).max(*log_start);
            producers.set_map_end(start);
            if snapshot_at.contains(&base) {
                producers.take_snapshot(directory, true, storage)?;
            }
            let rebuilds_index = segment.doubts_transaction_index() && start <= base.max(*log_start);
            if rebuilds_index {
                segment.reset_transaction_index(storage)?;
            }
            let mut scanner = segment.scanner(segment.position_reaching(start));
            loop {
                let batch = match scanner.next(storage)? {
                    Scanned::Batch { batch, .. } => batch,
                    Scanned::End => break,
                    Scanned::Torn | Scanned::Broken => return Err(segment.damaged()),
                };
                if let Some(txn) = producers.update(&batch) {
                    if rebuilds_index {
                        segment.note_completed(&txn, producers.last_stable_offset(&txn), directory, storage)?;
                    }
                    producers.complete(&txn);
                }
            }
        }
        Ok(())
    }
}

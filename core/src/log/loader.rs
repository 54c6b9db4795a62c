//! How a log starts: what is on the disk is read, and after an unclean stop not believed.
//!
//! After a clean stop the segments are taken as they are. Otherwise every segment from the one that holds the recovery
//! point on is read batch by batch; at the first one whose frame, CRC or offsets are wrong the file is cut, and all
//! later segments go. Leader epochs and producer state follow. Index files that are missing are built anew, those of segments
//! that are read because the stop was unclean too. Others are believed since 2.3; before, one that does not fit was built anew.
//!
//! How records get lost here although they were acknowledged, and why Kafka wants replicas on other machines:
//!
//! 1. A produce request is answered before anything is synced.
//! 2. Power is lost; the file comes back shorter, or with a hole in it.
//! 3. Everything from the first bad batch on is cut. If this replica is elected next, the others follow it.
//!
//! Kafka: `LogLoader`, `LogSegment.recover`, `UnifiedLog.rebuildProducerState`.
//! Not modelled: splitting of overflowed segments. All segments are read, for the positions of their batches, so a start
//! reads more than Kafka's, and damage to the frame of an old batch is an error at the start instead of at the fetch. What a failed write
//! left at the end of a closed segment is cut off; Kafka leaves it there, and no reader gets to it.

use std::io;
use std::sync::Arc;

use super::batch_scanner::Scanned;
use super::leader_epoch_cache::LeaderEpochFileCache;
use super::leftovers::{finish_swaps, remove_leftovers};
use super::producer_loading::Rebuild;
use super::producer_snapshot::offset_in;
use super::producer_state::ProducerStateManager;
use super::segment::{INDEX_SUFFIX, Indexes, LOG_SUFFIX, LogSegment, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX};
use super::torn_tail::readable_end;
use super::unified_log::{UnifiedLog, epochs_path};
use super::validator::offsets_follow;
use crate::config::{LogConfig, Toggles};
use crate::fact::{Fact, TruncationReason};
use crate::machine::Context;
use crate::storage::Storage;
use crate::types::{Offset, TopicPartition};

/// What the broker's checkpoint files say of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpointed {
    /// Below it everything is on the device.
    pub recovery_point: Offset,
    /// Where the log begins at the earliest.
    pub log_start: Offset,
}

/// What the segments looked like.
struct Found {
    /// If a tail was cut: up to which offset there was something.
    cut: Option<Offset>,
    /// Where records are missing between two segments.
    hole: Option<(Offset, Offset)>,
}

/// How much a segment is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// It was synced, or the stop was clean: its frames and offsets must be right.
    Synced,
    /// So was it, and others follow. A write that failed half-way just before may have left a piece of a batch at its end.
    Closed,
    /// It may be torn: it is cut where it is wrong.
    Unflushed,
}

impl UnifiedLog {
    /// Opens the log in the directory `topic-partition`, which is created if absent, and recovers it if the last stop
    /// was unclean. Says `LogLoaded` (not of a new log), and `Truncated` if a corrupt tail was cut; where that ended is
    /// an estimate from what can still be read of it.
    pub fn load(
        partition: TopicPartition,
        config: LogConfig,
        toggles: Toggles,
        recovery_point: Offset,
        clean_shutdown: bool,
        ctx: &mut Context<'_>,
    ) -> io::Result<UnifiedLog> {
        let directory = partition.to_string();
        let checkpointed = Checkpointed { recovery_point, log_start: Offset(0) };
        Self::load_in(&directory, partition, config, toggles, checkpointed, clean_shutdown, ctx)
    }

    /// As [`UnifiedLog::load`], in a directory of another name: that of one log directory of several; and of a log that may
    /// begin within its first segment.
    pub fn load_in(
        directory: &str,
        partition: TopicPartition,
        config: LogConfig,
        toggles: Toggles,
        checkpointed: Checkpointed,
        clean_shutdown: bool,
        ctx: &mut Context<'_>,
    ) -> io::Result<UnifiedLog> {
        let directory: Arc<str> = directory.into();
        let new = !ctx.storage().exists(&directory);
        if new {
            ctx.storage().create_dir(&directory)?;
            ctx.storage().sync_dir(directory.rsplit_once('/').map_or("", |(parent, _)| parent))?;
        }
        let stored_epochs = LeaderEpochFileCache::read(&epochs_path(&directory), ctx.storage())?;
        let mut log = UnifiedLog {
            partition,
            directory,
            config,
            toggles,
            segments: Vec::new(),
            leader_epochs: stored_epochs.clone(),
            producers: ProducerStateManager::default(),
            log_start: checkpointed.log_start,
            log_end: Offset(0),
            high_watermark: Offset(0),
            recovery_point: checkpointed.recovery_point,
            last_flush: ctx.now(),
            rolled_at: None,
            unsynced_snapshots: Vec::new(),
            offline: false,
            deleted: Vec::new(),
        };
        remove_leftovers(&log.directory, ctx.storage())?;
        finish_swaps(&log.directory, ctx.storage())?;
        let Found { cut, hole } = log.load_segments(clean_shutdown, ctx)?;
        let recovered_from = log.recovered_from();
        log.settle(clean_shutdown, ctx)?;
        let rebuild = if clean_shutdown { Rebuild::CleanStart } else { Rebuild::Recovery(recovered_from) };
        log.rebuild_producer_state(log.log_end, rebuild, ctx.storage())?;
        if log.leader_epochs != stored_epochs {
            log.write_leader_epochs(ctx)?;
        }
        if let Some(lost_end) = cut {
            let (partition, from, to) = (log.partition.clone(), lost_end.max(log.log_end), log.log_end);
            ctx.fact(Fact::Truncated { partition, from, to, reason: TruncationReason::CorruptTail });
        }
        if !new {
            ctx.fact(Fact::LogLoaded {
                partition: log.partition.clone(),
                log_start: log.log_start,
                log_end: log.log_end,
                clean: clean_shutdown,
                hole,
            });
        }
        Ok(log)
    }

    /// Reads all segments.
    fn load_segments(&mut self, clean: bool, ctx: &mut Context<'_>) -> io::Result<Found> {
        let bases = base_offsets(&self.directory, ctx.storage())?;
        let recovered_from = bases.partition_point(|base| *base <= self.recovery_point).saturating_sub(1);
        let last = bases.len().saturating_sub(1);
        let (mut cut, mut hole) = (None, None);
        for (n, base) in bases.into_iter().enumerate() {
            let now = ctx.wall_clock();
            let (segment, indexes) = LogSegment::open(&self.directory, base, now, ctx.storage())?;
            let trust = match clean || n < recovered_from {
                true if n < last => Trust::Closed,
                true => Trust::Synced,
                false => Trust::Unflushed,
            };
            let expected = self.segments.last().map_or(base, LogSegment::next_offset);
            if cut.is_some() || (trust == Trust::Unflushed && base < expected) {
                // It lies behind a hole, or on top of what is there already.
                cut = cut.max(Some(readable_end(&segment, 0, ctx.storage())?));
                self.mark_deleted([segment], ctx)?;
                continue;
            }
            if base < expected {
                return Err(segment.damaged());
            }
            // Kafka looks at each segment by itself and does not see it.
            if trust == Trust::Unflushed && base > expected {
                hole = Some((expected, base));
            }
            cut = self.load_segment(segment, indexes, trust, ctx.storage())?;
        }
        if self.segments.is_empty() {
            self.begin_at(self.log_start, ctx)?;
        }
        // Where a cleaner works, offsets may be missing anyhow; but it keeps the last record.
        let log_end = self.segments.last().map(LogSegment::next_offset);
        hole = hole.filter(|(_, to)| !self.config.cleanup_policy.compact || Some(*to) == log_end);
        Ok(Found { cut, hole })
    }

    /// Reads one segment. If its tail was cut, says up to which offset there was something.
    fn load_segment(
        &mut self,
        mut segment: LogSegment,
        indexes: Indexes,
        trust: Trust,
        storage: &mut dyn Storage,
    ) -> io::Result<Option<Offset>> {
        let broken_at = self.read_segment(&mut segment, trust, storage)?;
        let mut cut = None;
        if let Some(position) = broken_at {
            cut = Some(readable_end(&segment, position, storage)?);
            segment.cut_file(position, storage)?;
        }
        let rebuilds = match (trust, indexes) {
            (Trust::Unflushed, _) | (_, Indexes::Missing) => true,
            _ if self.toggles.index_check_skipped => false,
            (_, Indexes::Corrupt) => true,
            (_, Indexes::Sane) => !segment.indexes_fit(),
        };
        if rebuilds {
            rebuild_indexes(&mut segment, self.config.index_interval_bytes, storage)?;
            segment.doubt_transaction_index();
        } else {
            segment.believe_indexes();
        }
        self.segments.push(segment);
        Ok(cut)
    }

    /// Walks over the batches of a segment and remembers them. Where it is not to be believed any further, it stops and
    /// says so.
    fn read_segment(
        &mut self,
        segment: &mut LogSegment,
        trust: Trust,
        storage: &mut dyn Storage,
    ) -> io::Result<Option<u64>> {
        let mut scanner = segment.scanner(0);
        let mut end = 0;
        loop {
            let (position, batch) = match scanner.next(storage)? {
                Scanned::Batch { position, batch } => (position, batch),
                Scanned::End => return Ok(None),
                Scanned::Torn | Scanned::Broken if trust == Trust::Unflushed => return Ok(Some(end)),
                Scanned::Torn if trust == Trust::Closed => {
                    segment.cut_file(end, storage)?;
                    return Ok(None);
                }
                Scanned::Torn | Scanned::Broken => return Err(segment.damaged()),
            };
            let fits = offsets_follow(&batch, segment.next_offset()) && segment.can_hold(batch.last_offset());
            match trust {
                Trust::Synced | Trust::Closed if !fits => return Err(segment.damaged()),
                Trust::Unflushed if !fits || batch.verify_crc().is_err() => return Ok(Some(position)),
                Trust::Synced | Trust::Closed => {}
                Trust::Unflushed => {
                    if self.latest_epoch().is_none_or(|latest| latest < batch.partition_leader_epoch()) {
                        self.leader_epochs.assign(batch.partition_leader_epoch(), batch.base_offset());
                    }
                }
            }
            segment.note(position, &batch);
            end = position + batch.size_in_bytes() as u64;
        }
    }

    /// The segments are known: so are the offsets, and the leader epochs follow them.
    fn settle(&mut self, clean: bool, ctx: &mut Context<'_>) -> io::Result<()> {
        if self.active().next_offset() < self.log_start {
            // Files are missing: what is left lies below the log start, and nothing of it may be seen.
            let all = std::mem::take(&mut self.segments);
            self.mark_deleted(all, ctx)?;
            self.begin_at(self.log_start, ctx)?;
        }
        self.log_start = self.log_start.max(self.segments[0].base_offset());
        self.log_end = self.active().next_offset();
        self.high_watermark = self.log_start;
        // The recovery point moves when the log is flushed, not here: a second crash must find it where it was.
        self.recovery_point = if clean { self.log_end } else { self.recovery_point.min(self.log_end) };
        self.leader_epochs.truncate_from_end(self.log_end);
        self.leader_epochs.truncate_from_start(self.log_start);
        Ok(())
    }

    /// The first segment of a log without any.
    pub(super) fn begin_at(&mut self, offset: Offset, ctx: &mut Context<'_>) -> io::Result<()> {
        let now = ctx.wall_clock();
        let (segment, _) = LogSegment::open(&self.directory, offset, now, ctx.storage())?;
        self.segments.push(segment);
        Ok(())
    }

    /// The base offset of the first segment that an unclean stop makes doubtful.
    fn recovered_from(&self) -> Offset {
        let doubtful = self.segments.partition_point(|segment| segment.base_offset() <= self.recovery_point);
        self.segments[doubtful.saturating_sub(1)].base_offset()
    }
}

/// The base offsets of the `.log` files in a directory, in order. Index files without one are removed.
fn base_offsets(directory: &str, storage: &mut dyn Storage) -> io::Result<Vec<Offset>> {
    let names = storage.list(directory)?;
    let mut bases: Vec<Offset> = names.iter().filter_map(|name| offset_in(name, LOG_SUFFIX)).collect();
    bases.sort_unstable();
    for name in &names {
        let of_index =
            [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX].iter().find_map(|suffix| offset_in(name, suffix));
        if of_index.is_some_and(|base| bases.binary_search(&base).is_err()) {
            storage.remove(&format!("{directory}/{name}"))?;
        }
    }
    Ok(bases)
}

fn rebuild_indexes(segment: &mut LogSegment, index_interval_bytes: u64, storage: &mut dyn Storage) -> io::Result<()> {
    segment.reset_indexes(storage)?;
    let mut scanner = segment.scanner(0);
    while let Scanned::Batch { position, batch } = scanner.next(storage)? {
        segment.index(position, &batch, index_interval_bytes, storage)?;
    }
    segment.close_time_index(storage)
}

#[cfg(test)]
#[path = "loader_tests.rs"]
mod tests;

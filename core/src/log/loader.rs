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
//! reads more than Kafka's, and damage to the frame of an old batch is an error at the start instead of at the fetch.

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
        let (mut cut, mut hole) = (None, None);
        for (n, base) in bases.into_iter().enumerate() {
            let now = ctx.wall_clock();
            let (segment, indexes) = LogSegment::open(&self.directory, base, now, ctx.storage())?;
            let trust = if clean || n < recovered_from { Trust::Synced } else { Trust::Unflushed };
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
            // Kafka looks at each segment by itself and does not see it. Where a cleaner works, offsets may be missing anyhow.
            if trust == Trust::Unflushed && base > expected && !self.config.cleanup_policy.compact {
                hole = Some((expected, base));
            }
            cut = self.load_segment(segment, indexes, trust, ctx.storage())?;
        }
        if self.segments.is_empty() {
            self.begin_at(self.log_start, ctx)?;
        }
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
            (Trust::Unflushed, _) | (Trust::Synced, Indexes::Missing) => true,
            (Trust::Synced, _) if self.toggles.index_check_skipped => false,
            (Trust::Synced, Indexes::Corrupt) => true,
            (Trust::Synced, Indexes::Sane) => !segment.indexes_fit(),
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
                Scanned::Broken if trust == Trust::Unflushed => return Ok(Some(end)),
                Scanned::Broken => return Err(segment.damaged()),
            };
            let fits = offsets_follow(&batch, segment.next_offset()) && segment.can_hold(batch.last_offset());
            match trust {
                Trust::Synced if !fits => return Err(segment.damaged()),
                Trust::Unflushed if !fits || batch.verify_crc().is_err() => return Ok(Some(position)),
                Trust::Synced => {}
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
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::CleanupPolicy;
    use crate::log::producer_state::BatchMetadata;
    use crate::log::testing::{Batch, Bench, config, partition, toggles};
    use crate::record::RecordBatch;
    use crate::storage::OpenMode;
    use crate::types::{LeaderEpoch, Timestamp};

    const FIRST: &str = "orders-0/00000000000000000000.log";

    /// A disk with a log of four batches of two records each, in the epochs 0, 0, 1 and 2, by producer 7.
    fn four_batches(config: LogConfig) -> (Bench, UnifiedLog) {
        let mut bench = Bench::new();
        let mut log = bench.load(config);
        for (n, epoch) in [0, 0, 1, 2].into_iter().enumerate() {
            let bytes = Batch::of(2).producer(7, 0, n as i32 * 2).timestamp(1_000 + n as i64 * 10).build();
            bench.with(|ctx| log.append_as_leader(bytes, LeaderEpoch(epoch), ctx)).unwrap();
        }
        bench.facts();
        (bench, log)
    }

    fn len() -> usize {
        Batch::of(2).build().len()
    }

    fn one_batch_each() -> LogConfig {
        LogConfig { segment_bytes: len() as u64, ..config() }
    }

    /// Bytes, epochs, the last batch of each producer, start and end.
    type State = (Vec<Bytes>, LeaderEpochFileCache, Vec<(i64, Option<BatchMetadata>)>, [Offset; 2]);

    /// What is in the log: everything but its handles.
    fn state(log: &UnifiedLog, bench: &mut Bench) -> State {
        let batches = log.survey(Offset(0), &mut bench.disk).unwrap();
        let bytes = batches.iter().map(|batch| batch.bytes().clone()).collect();
        // Of a producer the snapshots know the last batch.
        let producers = log.producers.entries().iter();
        let producers = producers.map(|entry| (entry.producer_id, entry.batches().last().copied())).collect();
        (bytes, log.leader_epochs.clone(), producers, [log.log_start, log.log_end])
    }

    #[test]
    fn a_log_comes_back_as_it_was_after_any_stop() {
        for config in [config(), one_batch_each(), LogConfig { index_interval_bytes: 0, ..config() }] {
            let (mut bench, mut log) = four_batches(config.clone());
            let before = state(&log, &mut bench);

            let mut killed = bench.clone();
            let recovered = killed.recover(config.clone(), 0);
            assert_eq!(state(&recovered, &mut killed), before);
            assert_eq!(recovered.recovery_point(), Offset(0), "nothing was synced, so the next start looks again");
            assert_eq!(recovered.segments().len(), log.segments().len());

            bench.with(|ctx| log.close(ctx)).unwrap();
            let stopped = bench.load(config);
            assert_eq!(state(&stopped, &mut bench), before);
            assert_eq!(stopped.recovery_point(), Offset(8));
            let (log_start, log_end) = (Offset(0), Offset(8));
            assert_eq!(
                bench.facts(),
                [Fact::LogLoaded { partition: partition(), log_start, log_end, clean: true, hole: None }]
            );
        }
    }

    #[test]
    fn a_segment_that_lost_its_records_leaves_a_hole_which_only_the_fact_tells() {
        let compacted = CleanupPolicy { compact: true, delete: false };
        for (cleanup_policy, hole) in [(config().cleanup_policy, Some((Offset(4), Offset(6)))), (compacted, None)] {
            let (mut bench, _) = four_batches(one_batch_each());
            bench.disk.put("orders-0/00000000000000000004.log", Bytes::new());
            let log = bench.recover(LogConfig { cleanup_policy, ..one_batch_each() }, 0);
            assert_eq!((log.log_end_offset(), log.segments().len()), (Offset(8), 4));
            let (log_start, log_end) = (Offset(0), Offset(8));
            let loaded = Fact::LogLoaded { partition: partition(), log_start, log_end, clean: false, hole };
            assert_eq!(bench.facts(), [loaded]);
        }
    }

    #[test]
    fn a_torn_tail_is_cut_wherever_it_is_torn() {
        let (bench, _) = four_batches(config());
        let whole = bench.disk.content(FIRST).unwrap();
        for size in 0..whole.len() {
            let mut bench = bench.clone();
            bench.disk.put(FIRST, whole.slice(..size));
            let mut log = bench.recover(config(), 0);
            let batches = size / len();
            assert_eq!(log.log_end_offset(), Offset(batches as i64 * 2), "torn at {size}");
            assert_eq!(bench.disk.content(FIRST).unwrap().len(), batches * len(), "torn at {size}");
            assert_eq!(log.latest_epoch(), [None, Some(0), Some(0), Some(1)][batches].map(LeaderEpoch));
            let truncated = bench.facts().iter().any(|fact| matches!(fact, Fact::Truncated { .. }));
            assert_eq!(truncated, size % len() != 0, "torn at {size}");
            // It goes on from there, and a second look finds nothing wrong.
            let next = Batch::of(2).producer(7, 0, batches as i32 * 2).build();
            bench.with(|ctx| log.append_as_leader(next, LeaderEpoch(3), ctx)).unwrap();
            let again = bench.recover(config(), 0);
            assert_eq!(state(&again, &mut bench), state(&log, &mut bench), "torn at {size}");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_above_the_recovery_point_cuts_the_log_there() {
        let (mut bench, log) = four_batches(config());
        let whole = bench.disk.content(FIRST).unwrap();
        let before = log.survey(Offset(0), &mut bench.disk).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 0x10;
            let mut bench = bench.clone();
            bench.disk.put(FIRST, bytes.into());
            let log = bench.recover(config(), 0);
            let found = log.survey(Offset(0), &mut bench.disk).unwrap();
            let hit = at / len();
            // The leader epoch lies outside the CRC, and so do the high bytes of the base offset: Kafka cannot see a
            // flip there either, as long as offsets grow.
            let unseen = matches!(at % len(), 0..8 | 12..16);
            if unseen {
                assert!(found.len() >= hit, "byte {at}");
            } else {
                assert_eq!(found, before[..hit], "byte {at}");
            }
        }
    }

    #[test]
    fn what_lies_behind_a_cut_goes_with_it() {
        let (mut bench, _) = four_batches(one_batch_each());
        let second = "orders-0/00000000000000000002.log";
        let torn = bench.disk.content(second).unwrap().slice(..len() - 1);
        bench.disk.put(second, torn);
        let log = bench.recover(one_batch_each(), 0);
        assert_eq!((log.log_end_offset(), log.segments().len()), (Offset(2), 2));
        assert!(!bench.disk.exists("orders-0/00000000000000000004.log"));
        assert!(!bench.disk.exists("orders-0/00000000000000000006.timeindex"));
        // The header of the torn batch and the later segments still tell where the log ended.
        let cut = Fact::Truncated {
            partition: partition(),
            from: Offset(8),
            to: Offset(2),
            reason: TruncationReason::CorruptTail,
        };
        assert_eq!(bench.facts()[0], cut);
    }

    #[test]
    fn below_the_recovery_point_nothing_is_checked_but_frames() {
        let (mut bench, _) = four_batches(one_batch_each());
        let mut flip = bench.disk.content(FIRST).unwrap().to_vec();
        flip[len() - 1] ^= 1;
        bench.disk.put(FIRST, flip.into());
        // Recovery begins with the segment that holds the recovery point, which is the second one.
        assert_eq!(bench.clone().recover(one_batch_each(), 2).log_end_offset(), Offset(8));
        assert_eq!(bench.clone().recover(one_batch_each(), 1).log_end_offset(), Offset(0));
        bench.disk.put(FIRST, Bytes::from_static(&[0; 100]));
        let error = bench
            .with(|ctx| UnifiedLog::load(partition(), one_batch_each(), toggles(), Offset(2), false, ctx))
            .expect_err("a log that was synced and is damaged cannot be loaded");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn since_2_3_an_index_is_believed_and_misleads_whoever_reads_by_it() {
        let config = LogConfig { index_interval_bytes: 80, ..config() };
        let (mut bench, mut log) = four_batches(config.clone());
        bench.with(|ctx| log.close(ctx)).unwrap();
        // The batch with offset 3 is the second one, not the third.
        let entry = ((3 << 32) | (2 * len() as u64)).to_be_bytes();
        bench.disk.put("orders-0/00000000000000000000.index", Bytes::copy_from_slice(&entry));
        let first_read = |bench: &mut Bench, log: &UnifiedLog| {
            let read = bench.with(|ctx| log.read(Offset(3), Offset(8), 1, true, ctx)).expect("there is something");
            read.first_chunk().map(|base| i64::from_be_bytes(*base))
        };
        let believed = bench.load(config.clone());
        assert_eq!(first_read(&mut bench, &believed), Some(4), "what it asked for is passed over");
        bench.disk.remove("orders-0/00000000000000000000.index").unwrap();
        let rebuilt = bench.load(config);
        assert_eq!(first_read(&mut bench, &rebuilt), Some(2));
    }

    #[test]
    fn missing_corrupt_and_foreign_indexes_are_built_anew() {
        let config = LogConfig { index_interval_bytes: 80, ..config() };
        let (mut bench, mut log) = four_batches(config.clone());
        bench.with(|ctx| log.close(ctx)).unwrap();
        let (index, times) = ("orders-0/00000000000000000000.index", "orders-0/00000000000000000000.timeindex");
        let written = (bench.disk.content(index).unwrap(), bench.disk.content(times).unwrap());
        assert_eq!((written.0.len(), written.1.len()), (24, 36));
        let damages: [fn(&mut Bench); 5] = [
            |bench| bench.disk.remove("orders-0/00000000000000000000.index").unwrap(),
            |bench| bench.disk.remove("orders-0/00000000000000000000.timeindex").unwrap(),
            |bench| bench.disk.put("orders-0/00000000000000000000.index", Bytes::from_static(b"seven b")),
            // Well formed, but no batch starts at position 9.
            |bench| {
                bench.disk.put("orders-0/00000000000000000000.index", Bytes::from_static(&[0, 0, 0, 3, 0, 0, 0, 9]))
            },
            // Well formed, but beyond the end of the log.
            |bench| {
                let entry = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 1, 0];
                bench.disk.put("orders-0/00000000000000000000.timeindex", Bytes::copy_from_slice(&entry));
            },
        ];
        for (n, damage) in damages.into_iter().enumerate() {
            let mut bench = bench.clone();
            damage(&mut bench);
            let checked = Toggles { index_check_skipped: false, ..toggles() };
            bench
                .with(|ctx| UnifiedLog::load(partition(), config.clone(), checked, Offset(0), true, ctx))
                .expect("it is loaded");
            let rebuilt = (bench.disk.content(index).unwrap(), bench.disk.content(times).unwrap());
            assert_eq!(rebuilt, written, "damage {n}");
        }
    }

    #[test]
    fn index_files_without_a_log_are_removed_and_other_files_left_alone() {
        let mut bench = Bench::new();
        bench.disk.create_dir("orders-0").unwrap();
        for name in ["00000000000000000009.index", "00000000000000000009.timeindex", "partition.metadata", "7.log"] {
            bench.disk.put(&format!("orders-0/{name}"), Bytes::new());
        }
        let log = bench.load(config());
        assert_eq!((log.log_end_offset(), log.segments().len()), (Offset(0), 1));
        let names = bench.disk.list("orders-0").unwrap();
        assert_eq!(
            names,
            [
                "00000000000000000000.index",
                "00000000000000000000.log",
                "00000000000000000000.timeindex",
                "7.log",
                "partition.metadata"
            ]
        );
    }

    #[test]
    fn epochs_beyond_the_end_are_forgotten_and_missing_ones_found_in_the_batches() {
        let (mut bench, _) = four_batches(config());
        let whole = bench.disk.content(FIRST).unwrap();
        bench.disk.put(FIRST, whole.slice(..3 * len()));
        // The file knows epoch 2, whose records are lost, and never heard of epoch 1.
        bench.disk.put("orders-0/leader-epoch-checkpoint", Bytes::from_static(b"0\n1\n0 0\n"));
        let log = bench.recover(config(), 0);
        assert_eq!(log.end_offset_for_epoch(LeaderEpoch(0)), Some((LeaderEpoch(0), Offset(4))));
        assert_eq!(log.latest_epoch(), Some(LeaderEpoch(1)));
        assert_eq!(bench.disk.content("orders-0/leader-epoch-checkpoint").unwrap(), "0\n2\n0 0\n1 4\n");

        bench.disk.put("orders-0/leader-epoch-checkpoint", Bytes::from_static(b"0\n3\n0 0\n1 4\n2 6\n"));
        assert_eq!(bench.recover(config(), 0).latest_epoch(), Some(LeaderEpoch(1)));
    }

    #[test]
    fn the_largest_timestamp_survives_a_restart() {
        let (mut bench, mut log) = four_batches(one_batch_each());
        bench.with(|ctx| log.close(ctx)).unwrap();
        let log = bench.load(one_batch_each());
        let largest = bench.with(|ctx| log.max_timestamp(ctx)).unwrap();
        assert_eq!(largest, Some((Timestamp(1_031), Offset(7), LeaderEpoch(2))));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_in_any_file_make_loading_panic(
            log in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            tail in proptest::bool::ANY,
            index in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..30),
            clean in proptest::bool::ANY,
        ) {
            let (mut bench, _) = four_batches(config());
            let whole = bench.disk.content(FIRST).unwrap();
            // Noise behind good batches reaches further than noise alone.
            let content = if tail { [&whole[..], &log].concat() } else { log };
            bench.disk.put(FIRST, content.clone().into());
            bench.disk.put("orders-0/00000000000000000000.index", index.clone().into());
            bench.disk.put("orders-0/00000000000000000000.timeindex", index.into());
            let loaded = bench.with(|ctx| UnifiedLog::load(partition(), config(), toggles(), Offset(0), clean, ctx));
            match loaded {
                Ok(log) => {
                    let batches = log.survey(Offset(0), &mut bench.disk).unwrap();
                    let bytes: usize = batches.iter().map(RecordBatch::size_in_bytes).sum();
                    let file = bench.disk.open(FIRST, OpenMode::Existing).unwrap();
                    proptest::prop_assert_eq!(bytes as u64, bench.disk.len(file).unwrap());
                    proptest::prop_assert!(!tail || log.log_end_offset() >= Offset(8));
                }
                Err(error) => {
                    proptest::prop_assert!(clean, "recovery repairs everything: {}", error);
                    proptest::prop_assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                }
            }
        }
    }
}

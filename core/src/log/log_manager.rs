//! All logs of a broker, what is remembered about them between two lives of the process, and when they are flushed.
//!
//! ```text
//! .kafka_cleanshutdown               there: the last stop was clean, of the process with this broker epoch; removed when seen
//! recovery-point-offset-checkpoint   per partition, below which offset everything is on the device
//! orders-0/ orders-1/ ...            one directory per log
//! ```
//!
//! Kafka: `LogManager`.
//! Not modelled: several log directories, retention and cleaner threads, recovery in parallel, `file.delete.delay.ms` for
//! whole logs (a deleted one goes at once).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::checkpoints::OffsetCheckpointFile;
use super::unified_log::UnifiedLog;
use crate::config::{BrokerConfig, KafkaVersion, LogConfig};
use crate::fact::{Fact, TruncationReason};
use crate::machine::Context;
use crate::storage::OpenMode;
use crate::types::{BrokerEpoch, Duration, Instant, Offset, TopicPartition};

/// The file that says that the last stop was clean.
const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
/// The broker epoch of a previous life of which none is known.
const NO_EPOCH: BrokerEpoch = BrokerEpoch(-1);
/// How long after the start the scheduled tasks begin (`log.initial.task.delay.ms`).
const INITIAL_TASK_DELAY: Duration = Duration::from_secs(30);
/// How often old producers are looked for (`producer.id.expiration.check.interval.ms`).
const PRODUCER_EXPIRATION_CHECK_INTERVAL: Duration = Duration::from_secs(600);

/// All logs of a broker.
///
/// [`load_all`](LogManager::load_all) comes first, [`shutdown`](LogManager::shutdown) last; in between
/// [`on_deadline`](LogManager::on_deadline) when [`next_deadline`](LogManager::next_deadline) has come.
#[derive(Clone, Debug)]
pub struct LogManager {
    config: Arc<BrokerConfig>,
    logs: BTreeMap<TopicPartition, UnifiedLog>,
    /// The scheduled tasks, once the logs are loaded.
    schedule: Option<Schedule>,
    /// The broker epoch of the previous life, if that stopped cleanly (KIP-966).
    previous_broker_epoch: BrokerEpoch,
}

/// When each task runs next.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    /// `kafka-log-flusher`; by default its interval is for ever, so that it runs once.
    flush: Instant,
    /// `kafka-recovery-point-checkpoint`.
    checkpoint: Instant,
    /// `PeriodicProducerExpirationCheck`.
    expiration: Instant,
}

impl LogManager {
    /// A manager without logs.
    pub fn new(config: Arc<BrokerConfig>) -> Self {
        Self { config, logs: BTreeMap::new(), schedule: None, previous_broker_epoch: NO_EPOCH }
    }

    /// The broker epoch of the previous life, if that stopped cleanly; else -1.
    pub fn previous_broker_epoch(&self) -> BrokerEpoch {
        self.previous_broker_epoch
    }

    /// The broker's configuration.
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// Loads every log in the log directory, and recovers them if the last stop was unclean. Topics' own configuration
    /// comes later, with [`LogManager::get_or_create`].
    pub fn load_all(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let clean = ctx.storage().exists(CLEAN_SHUTDOWN_FILE);
        if clean {
            self.previous_broker_epoch = read_broker_epoch(ctx)?;
            // A crash from now on is unclean, even before anything is written.
            ctx.storage().remove(CLEAN_SHUTDOWN_FILE)?;
            ctx.storage().sync_dir("")?;
        }
        let recovery_points = self.read_recovery_points(ctx)?;
        for name in ctx.storage().list("")? {
            let Some(partition) = name.strip_suffix('/').and_then(partition_of) else { continue };
            let recovery_point = recovery_points.get(&partition).copied().unwrap_or(Offset(0));
            let (config, toggles) = (self.config.log.clone(), self.config.toggles);
            let log = UnifiedLog::load(partition.clone(), config, toggles, recovery_point, clean, ctx)?;
            self.logs.insert(partition, log);
        }
        let begin = ctx.now() + INITIAL_TASK_DELAY;
        self.schedule = Some(Schedule {
            flush: begin,
            checkpoint: begin,
            expiration: ctx.now() + PRODUCER_EXPIRATION_CHECK_INTERVAL,
        });
        Ok(())
    }

    /// A log.
    pub fn get(&self, partition: &TopicPartition) -> Option<&UnifiedLog> {
        self.logs.get(partition)
    }

    /// A log, to append to it and to move its high watermark. Truncate through
    /// [`LogManager::truncate_to`] and [`LogManager::truncate_fully_and_start_at`].
    pub fn get_mut(&mut self, partition: &TopicPartition) -> Option<&mut UnifiedLog> {
        self.logs.get_mut(partition)
    }

    /// A log with the topic's configuration, created if there is none.
    pub fn get_or_create(
        &mut self,
        partition: &TopicPartition,
        config: &LogConfig,
        ctx: &mut Context<'_>,
    ) -> io::Result<&mut UnifiedLog> {
        if !self.logs.contains_key(partition) {
            let log = UnifiedLog::load(
                partition.clone(),
                config.clone(),
                self.config.toggles,
                Offset(0),
                // What is in a directory that was not there at the start is nothing to be trusted.
                false,
                ctx,
            )?;
            self.logs.insert(partition.clone(), log);
        }
        let log = self.logs.get_mut(partition).expect("it was there, or was just inserted");
        if log.config() != config {
            log.update_config(config.clone());
        }
        Ok(log)
    }

    /// Deletes a log and everything in its directory; says where it ended, if there was one.
    pub fn delete(&mut self, partition: &TopicPartition, ctx: &mut Context<'_>) -> io::Result<Option<Offset>> {
        let Some(mut log) = self.logs.remove(partition) else { return Ok(None) };
        let end = log.log_end_offset();
        if !log.is_offline() {
            log.close(ctx)?;
        }
        ctx.storage().remove(&partition.to_string())?;
        ctx.storage().sync_dir("")?;
        self.checkpoint_recovery_points(ctx)?;
        Ok(Some(end))
    }

    /// All logs, by partition.
    pub fn logs(&self) -> impl Iterator<Item = (&TopicPartition, &UnifiedLog)> {
        self.logs.iter()
    }

    /// Truncates a log and writes the recovery points: they must not lie beyond its end. True if something was cut.
    pub fn truncate_to(
        &mut self,
        partition: &TopicPartition,
        to: Offset,
        reason: TruncationReason,
        ctx: &mut Context<'_>,
    ) -> io::Result<bool> {
        let Some(log) = self.logs.get_mut(partition) else { return Ok(false) };
        let cut = log.truncate_to(to, reason, ctx)?;
        if cut {
            self.checkpoint_recovery_points(ctx)?;
        }
        Ok(cut)
    }

    /// Drops all of a log, starts it anew at `offset` and writes the recovery points.
    pub fn truncate_fully_and_start_at(
        &mut self,
        partition: &TopicPartition,
        offset: Offset,
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        let Some(log) = self.logs.get_mut(partition) else { return Ok(()) };
        log.truncate_fully_and_start_at(offset, ctx)?;
        self.checkpoint_recovery_points(ctx)
    }

    /// When [`LogManager::on_deadline`] wants to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        let schedule = self.schedule?;
        let rolled = self.logs.values().filter_map(UnifiedLog::flush_due).min().unwrap_or(Instant::NEVER);
        let next = rolled.min(schedule.flush).min(schedule.checkpoint).min(schedule.expiration);
        (next < Instant::NEVER).then_some(next)
    }

    /// Flushes, writes checkpoints and forgets producers, as far as any of it is due.
    pub fn on_deadline(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let Some(mut schedule) = self.schedule else { return Ok(()) };
        let now = ctx.now();
        for log in self.logs.values_mut() {
            log.flush_rolled(ctx)?;
        }
        if schedule.flush <= now {
            schedule.flush = now + self.config.log_flush_scheduler_interval_ms;
            self.schedule = Some(schedule);
            for log in self.logs.values_mut().filter(|log| !log.is_offline()) {
                log.maybe_flush_by_time(ctx)?;
            }
        }
        if schedule.expiration <= now {
            schedule.expiration = now + PRODUCER_EXPIRATION_CHECK_INTERVAL;
            self.schedule = Some(schedule);
            for log in self.logs.values_mut() {
                log.remove_expired_producers(self.config.producer_id_expiration_ms, ctx);
            }
        }
        if schedule.checkpoint <= now {
            schedule.checkpoint = now + self.config.log_flush_offset_checkpoint_interval_ms;
            self.schedule = Some(schedule);
            self.checkpoint_recovery_points(ctx)?;
        }
        Ok(())
    }

    /// Writes the recovery point of every log.
    pub fn checkpoint_recovery_points(&self, ctx: &mut Context<'_>) -> io::Result<()> {
        let points = self.logs.iter().map(|(partition, log)| (partition, log.recovery_point()));
        let written = OffsetCheckpointFile::RECOVERY_POINT.write(points, ctx.storage());
        if let Err(error) = &written {
            ctx.fact(Fact::StorageFailed { what: format!("writing the recovery points: {error}") });
        }
        written
    }

    /// Flushes everything, writes the recovery points and the clean marker: the next start needs no recovery. After an
    /// error there is no marker. Since 3.7 the marker says the broker epoch (KIP-966).
    pub fn shutdown(&mut self, epoch: BrokerEpoch, ctx: &mut Context<'_>) -> io::Result<()> {
        self.schedule = None;
        for log in self.logs.values_mut() {
            log.close(ctx)?;
        }
        self.checkpoint_recovery_points(ctx)?;
        let marker = ctx.storage().open(CLEAN_SHUTDOWN_FILE, OpenMode::Truncate)?;
        let marked = if self.config.version < KafkaVersion::new(3, 7) {
            Ok(())
        } else {
            let text = format!("{{\"version\":0,\"brokerEpoch\":{}}}", epoch.0);
            ctx.storage().append(marker, Bytes::from(text))
        };
        let synced = marked.and_then(|()| ctx.storage().sync(marker));
        ctx.storage().close(marker);
        synced?;
        ctx.storage().sync_dir("")
    }

    /// A file that cannot be read means that nothing is known to be on the device; only a disk error is an error.
    fn read_recovery_points(&self, ctx: &mut Context<'_>) -> io::Result<BTreeMap<TopicPartition, Offset>> {
        match OffsetCheckpointFile::RECOVERY_POINT.read(ctx.storage()) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                ctx.fact(Fact::StorageFailed { what: format!("{error}: all logs are recovered from their beginning") });
                Ok(BTreeMap::new())
            }
            other => other,
        }
    }
}

/// What a clean stop wrote; `CleanShutdownFileHandler`.
fn read_broker_epoch(ctx: &mut Context<'_>) -> io::Result<BrokerEpoch> {
    let marker = ctx.storage().open(CLEAN_SHUTDOWN_FILE, OpenMode::Existing)?;
    let bytes = ctx.storage().read_at(marker, 0, 256);
    ctx.storage().close(marker);
    let bytes = bytes?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let epoch =
        text.rsplit_once("\"brokerEpoch\":").and_then(|(_, rest)| rest.trim_end_matches('}').trim().parse().ok());
    Ok(epoch.map_or(NO_EPOCH, BrokerEpoch))
}

/// The partition that a directory is named after.
fn partition_of(directory: &str) -> Option<TopicPartition> {
    let (topic, number) = directory.rsplit_once('-')?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { number.parse().ok()? } else { return None };
    (!topic.is_empty()).then(|| TopicPartition::of(topic, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{Batch, Bench, broker_config, config, partition};
    use crate::storage::Storage;
    use crate::types::LeaderEpoch;

    fn manager(bench: &mut Bench, log: LogConfig) -> LogManager {
        let mut manager = LogManager::new(broker_config(log));
        bench.with(|ctx| manager.load_all(ctx)).unwrap();
        manager
    }

    fn append(manager: &mut LogManager, bench: &mut Bench, partition: &TopicPartition, batches: i32) {
        for _ in 0..batches {
            let log = manager.get_mut(partition).unwrap();
            bench.with(|ctx| log.append_as_leader(Batch::of(1).build(), LeaderEpoch(0), ctx)).unwrap();
        }
    }

    /// A broker with three records in each of two logs.
    fn two_logs() -> (Bench, LogManager, [TopicPartition; 2]) {
        let mut bench = Bench::new();
        let mut manager = manager(&mut bench, config());
        let partitions = [partition(), TopicPartition::of("with-dash", 11)];
        for partition in &partitions {
            bench.with(|ctx| manager.get_or_create(partition, &config(), ctx).map(|_| ())).unwrap();
            append(&mut manager, &mut bench, partition, 3);
        }
        bench.facts();
        (bench, manager, partitions)
    }

    fn loaded_cleanly(bench: &mut Bench) -> Vec<bool> {
        let clean = |fact| match fact {
            Fact::LogLoaded { clean, .. } => Some(clean),
            _ => None,
        };
        bench.facts().into_iter().filter_map(clean).collect()
    }

    #[test]
    fn a_clean_stop_leaves_the_marker_and_the_recovery_points() {
        let (mut bench, mut before, partitions) = two_logs();
        bench.with(|ctx| before.shutdown(BrokerEpoch(7), ctx)).unwrap();
        assert!(bench.disk.exists(CLEAN_SHUTDOWN_FILE));
        let points = bench.disk.content("recovery-point-offset-checkpoint").unwrap();
        assert_eq!(points, "0\n2\norders 0 3\nwith-dash 11 3\n");
        assert_eq!(before.next_deadline(), None);

        let after = manager(&mut bench, config());
        assert_eq!(after.previous_broker_epoch(), BrokerEpoch(7));
        assert_eq!(loaded_cleanly(&mut bench), [true, true]);
        for partition in &partitions {
            let log = after.get(partition).unwrap();
            assert_eq!((log.log_end_offset(), log.recovery_point()), (Offset(3), Offset(3)));
        }
        // The marker is for one start only.
        assert_eq!(manager(&mut bench, config()).previous_broker_epoch(), NO_EPOCH);
        assert_eq!(loaded_cleanly(&mut bench), [false, false]);
    }

    #[test]
    fn a_deleted_log_is_gone_for_good() {
        let (mut bench, mut before, partitions) = two_logs();
        assert_eq!(bench.with(|ctx| before.delete(&partitions[0], ctx)).unwrap(), Some(Offset(3)));
        assert_eq!(bench.with(|ctx| before.delete(&partitions[0], ctx)).unwrap(), None);
        let points = bench.disk.content("recovery-point-offset-checkpoint").unwrap();
        assert_eq!(points, "0\n1\nwith-dash 11 0\n");
        let after = manager(&mut bench, config());
        assert!(after.get(&partitions[0]).is_none() && after.get(&partitions[1]).is_some());
    }

    #[test]
    fn a_kill_leaves_no_marker_and_the_logs_are_recovered() {
        let (mut bench, _, partitions) = two_logs();
        let after = manager(&mut bench, config());
        assert_eq!(loaded_cleanly(&mut bench), [false, false]);
        for partition in &partitions {
            let log = after.get(partition).unwrap();
            assert_eq!((log.log_end_offset(), log.recovery_point()), (Offset(3), Offset(0)));
        }
    }

    #[test]
    fn recovery_points_are_written_every_minute_from_half_a_minute_on() {
        let (mut bench, mut manager, partitions) = two_logs();
        assert_eq!(manager.next_deadline(), Some(Instant(30_000_000_000)));
        bench.with(|ctx| manager.get_mut(&partitions[0]).unwrap().flush(ctx)).unwrap();
        assert!(!bench.disk.exists("recovery-point-offset-checkpoint"));
        bench.now = Instant(30_000_000_000);
        bench.with(|ctx| manager.on_deadline(ctx)).unwrap();
        let points = bench.disk.content("recovery-point-offset-checkpoint").unwrap();
        assert_eq!(points, "0\n2\norders 0 3\nwith-dash 11 0\n");
        assert_eq!(manager.next_deadline(), Some(Instant(90_000_000_000)));
    }

    #[test]
    fn truncation_writes_the_recovery_points_at_once() {
        let (mut bench, mut manager, partitions) = two_logs();
        bench.with(|ctx| manager.get_mut(&partitions[0]).unwrap().flush(ctx)).unwrap();
        let reason = TruncationReason::Diverged;
        assert!(bench.with(|ctx| manager.truncate_to(&partitions[0], Offset(1), reason, ctx)).unwrap());
        let points = bench.disk.content("recovery-point-offset-checkpoint").unwrap();
        assert_eq!(points, "0\n2\norders 0 1\nwith-dash 11 0\n");
        bench.with(|ctx| manager.truncate_fully_and_start_at(&partitions[1], Offset(9), ctx)).unwrap();
        assert_eq!(manager.get(&partitions[1]).unwrap().log_end_offset(), Offset(9));
    }

    #[test]
    fn a_rolled_segment_is_flushed_at_once_in_the_background() {
        let (mut bench, mut manager, partitions) = two_logs();
        let small = LogConfig { segment_bytes: Batch::of(1).build().len() as u64, ..config() };
        bench.now = Instant(5);
        bench.with(|ctx| manager.get_or_create(&partitions[0], &small, ctx).map(|_| ())).unwrap();
        append(&mut manager, &mut bench, &partitions[0], 1);
        assert_eq!(manager.next_deadline(), Some(Instant(5)));
        bench.with(|ctx| manager.on_deadline(ctx)).unwrap();
        assert_eq!(manager.get(&partitions[0]).unwrap().recovery_point(), Offset(3));
        assert_eq!(manager.next_deadline(), Some(Instant(30_000_000_000)));
    }

    #[test]
    fn unreadable_recovery_points_mean_that_nothing_is_known_to_be_synced() {
        let (mut bench, _, partitions) = two_logs();
        bench.disk.put("recovery-point-offset-checkpoint", bytes::Bytes::from_static(b"0\n7\n"));
        let after = manager(&mut bench, config());
        assert_eq!(after.get(&partitions[0]).unwrap().log_end_offset(), Offset(3));
        assert!(matches!(bench.facts()[0], Fact::StorageFailed { .. }));
    }

    #[test]
    fn only_directories_that_are_named_after_partitions_are_logs() {
        let mut bench = Bench::new();
        for name in ["orders-0", "lost+found", "orders-0.1f3-delete", "-1", "x-", "a-b-3"] {
            bench.with(|ctx| ctx.storage().create_dir(name)).unwrap();
        }
        let manager = manager(&mut bench, config());
        let names: Vec<String> = manager.logs().map(|(partition, _)| partition.to_string()).collect();
        assert_eq!(names, ["a-b-3", "orders-0"]);
    }
}

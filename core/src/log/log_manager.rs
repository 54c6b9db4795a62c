//! All logs of a broker, what is remembered about them between two lives of the process, and when they are flushed.
//!
//! ```text
//! .kafka_cleanshutdown               there: the last stop was clean, of the process with this broker epoch; removed when seen
//! recovery-point-offset-checkpoint   per partition, below which offset everything is on the device
//! log-start-offset-checkpoint        per partition, where it begins, if that is within its first segment
//! cleaner-offset-checkpoint          per partition, up to which offset it is compacted
//! orders-0/ orders-1/ ...            one directory per log
//! ```
//!
//! Kafka: `LogManager`.
//! Not modelled: recovery in parallel, `file.delete.delay.ms` for whole logs (a deleted one goes at once).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::checkpoints::OffsetCheckpointFile;
use super::cleaner_manager::{Cleaned, CleanerManager};
use super::loader::Checkpointed;
use super::log_directories::{LogDirectories, LogDirectory};
use super::unified_log::UnifiedLog;
use crate::config::{BrokerConfig, KafkaVersion, LogConfig};
use crate::fact::{Fact, TruncationReason};
use crate::machine::Context;
use crate::storage::OpenMode;
use crate::types::{BrokerEpoch, Instant, Offset, TopicPartition};

/// The file that says that the last stop was clean.
const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
/// The broker epoch of a previous life of which none is known.
const NO_EPOCH: BrokerEpoch = BrokerEpoch(-1);

/// All logs of a broker.
///
/// [`load_all`](LogManager::load_all) comes first, [`shutdown`](LogManager::shutdown) last; in between
/// [`on_deadline`](LogManager::on_deadline) when [`next_deadline`](LogManager::next_deadline) has come.
#[derive(Clone, Debug)]
pub struct LogManager {
    config: Arc<BrokerConfig>,
    directories: LogDirectories,
    /// Directories in which something failed that no log knows of.
    blamed: BTreeSet<usize>,
    logs: BTreeMap<TopicPartition, UnifiedLog>,
    /// The scheduled tasks, once the logs are loaded.
    schedule: Option<Schedule>,
    /// A log got something to do since [`LogManager::next_deadline`] was asked.
    noted: Option<Instant>,
    cleaner: CleanerManager,
    /// What the file of log start offsets holds; the same again is not written.
    checkpointed_starts: Vec<(TopicPartition, Offset)>,
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
    /// `kafka-log-retention`.
    retention: Instant,
    /// `kafka-log-start-offset-checkpoint`.
    log_starts: Instant,
    /// The cleaner's thread; never if it is off.
    clean: Instant,
}

impl LogManager {
    /// A manager without logs.
    pub fn new(config: Arc<BrokerConfig>) -> Self {
        let directories = LogDirectories::new(&config);
        Self {
            config,
            directories,
            blamed: BTreeSet::new(),
            logs: BTreeMap::new(),
            schedule: None,
            noted: None,
            cleaner: CleanerManager::default(),
            checkpointed_starts: Vec::new(),
            previous_broker_epoch: NO_EPOCH,
        }
    }

    /// The broker epoch of the previous life, if that stopped cleanly; else -1.
    pub fn previous_broker_epoch(&self) -> BrokerEpoch {
        self.previous_broker_epoch
    }

    /// The broker's configuration.
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// Loads every log in every log directory, and recovers them if the last stop was unclean. Topics' own configuration
    /// comes later, with [`LogManager::get_or_create`]. A directory that cannot be loaded is offline; an error if none is left.
    pub fn load_all(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let mut epochs = BTreeSet::new();
        for place in 0..self.directories.all().len() {
            let loaded = self.directories.open(place, ctx).and_then(|()| self.load_directory(place, ctx));
            match loaded {
                Ok(epoch) => {
                    epochs.insert(epoch);
                }
                Err(error) if self.directories.are_several() => {
                    self.say_failed(place, &error.to_string(), ctx);
                    self.directories.fail(place);
                    let directories = &self.directories;
                    self.logs.retain(|_, log| directories.of(log.directory()) != place);
                }
                Err(error) => return Err(error),
            }
        }
        if self.directories.online().next().is_none() {
            return Err(io::Error::other("no log directory is left"));
        }
        // Directories that do not agree say nothing.
        let agreed = if epochs.len() == 1 { epochs.pop_first() } else { None };
        self.previous_broker_epoch = agreed.unwrap_or(NO_EPOCH);
        let begin = ctx.now() + self.config.log_initial_task_delay_ms;
        self.schedule = Some(Schedule {
            flush: begin,
            checkpoint: begin,
            expiration: ctx.now() + self.config.producer_id_expiration_check_interval_ms,
            retention: begin,
            log_starts: begin,
            clean: if self.config.log_cleaner_enable {
                ctx.now() + self.config.log_cleaner_backoff_ms
            } else {
                Instant::NEVER
            },
        });
        Ok(())
    }

    /// Loads the logs of a directory; returns the broker epoch that a clean stop wrote there.
    fn load_directory(&mut self, place: usize, ctx: &mut Context<'_>) -> io::Result<BrokerEpoch> {
        let directory = self.directories.all()[place].clone();
        let marker = directory.path(CLEAN_SHUTDOWN_FILE);
        let clean = ctx.storage().exists(&marker);
        let epoch = if clean { read_broker_epoch(&marker, ctx)? } else { NO_EPOCH };
        if clean {
            // A crash from now on is unclean, even before anything is written.
            ctx.storage().remove(&marker)?;
            ctx.storage().sync_dir(&directory.root)?;
        }
        let recovered = "all logs are recovered from their beginning";
        let recovery_points = read(&directory, &OffsetCheckpointFile::RECOVERY_POINT, recovered, ctx)?;
        let log_starts =
            read(&directory, &OffsetCheckpointFile::LOG_START, "logs begin with their first segments", ctx)?;
        let cleaned = read(&directory, &OffsetCheckpointFile::CLEANER, "compacted logs count as dirty", ctx)?;
        self.cleaner.load(cleaned);
        for name in ctx.storage().list(&directory.root)? {
            let Some(partition) = name.strip_suffix('/').and_then(partition_of) else { continue };
            let checkpointed = Checkpointed {
                recovery_point: recovery_points.get(&partition).copied().unwrap_or(Offset(0)),
                log_start: log_starts.get(&partition).copied().unwrap_or(Offset(0)),
            };
            let (config, toggles) = (self.config.log.clone(), self.config.toggles);
            let path = directory.path(name.trim_end_matches('/'));
            let log = UnifiedLog::load_in(&path, partition.clone(), config, toggles, checkpointed, clean, ctx)?;
            self.logs.insert(partition, log);
        }
        Ok(epoch)
    }

    /// The log directories.
    pub fn directories(&self) -> &LogDirectories {
        &self.directories
    }

    /// The id of the directory in which a log lies.
    pub fn directory_id(&self, partition: &TopicPartition) -> Option<Uuid> {
        let log = self.logs.get(partition)?;
        Some(self.directories.all()[self.directories.of(log.directory())].id)
    }

    /// Whether a log that is not there may be created. Not where it may lie in a directory that is offline: it would come
    /// back empty in another one, and be taken for all there ever was.
    pub fn may_create(&self, partition: &TopicPartition, assigned: Option<Uuid>) -> bool {
        let online = |id: Uuid| self.directories.online().any(|(_, directory)| directory.id == id);
        let all_online = self.directories.all().iter().all(|directory| directory.online);
        self.logs.contains_key(partition) || all_online || assigned.is_none_or(online)
    }

    /// Takes every directory offline in which something failed. Returns the partitions that went with them; none if no
    /// directory is left, or no single one is to blame.
    pub fn fail_directories(&mut self, ctx: &mut Context<'_>) -> Option<Vec<TopicPartition>> {
        let mut failed = std::mem::take(&mut self.blamed);
        let offline = self.logs.values().filter(|log| log.is_offline());
        failed.extend(offline.map(|log| self.directories.of(log.directory())));
        if failed.is_empty() || !self.directories.are_several() {
            return None;
        }
        for place in &failed {
            self.say_failed(*place, "its logs are offline", ctx);
            self.directories.fail(*place);
        }
        self.directories.online().next()?;
        let is_gone = |log: &UnifiedLog| failed.contains(&self.directories.of(log.directory()));
        let gone: Vec<_> = self.logs.iter().filter(|(_, log)| is_gone(log)).map(|(name, _)| name.clone()).collect();
        for name in &gone {
            self.logs.remove(name);
        }
        Some(gone)
    }

    /// Something failed in the directory of a log, which does not know it.
    pub fn blame(&mut self, partition: &TopicPartition) {
        if let Some(log) = self.logs.get(partition) {
            self.blamed.insert(self.directories.of(log.directory()));
        }
    }

    fn say_failed(&self, place: usize, why: &str, ctx: &mut Context<'_>) {
        let name = &self.directories.all()[place].name;
        ctx.fact(Fact::StorageFailed { what: format!("log directory {name} is offline: {why}") });
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

    /// A log with the topic's configuration, created if there is none: in the directory `assigned`, or in the one with the
    /// fewest logs.
    pub fn get_or_create(
        &mut self,
        partition: &TopicPartition,
        config: &LogConfig,
        assigned: Option<Uuid>,
        ctx: &mut Context<'_>,
    ) -> io::Result<&mut UnifiedLog> {
        if !self.logs.contains_key(partition) {
            let place = self.place_for_new(assigned);
            let directory = self.directories.all()[place].path(&partition.to_string());
            let loaded = UnifiedLog::load_in(
                &directory,
                partition.clone(),
                config.clone(),
                self.config.toggles,
                Checkpointed::default(),
                // What is in a directory that was not there at the start is nothing to be trusted.
                false,
                ctx,
            );
            if loaded.is_err() {
                self.blamed.insert(place);
            }
            self.logs.insert(partition.clone(), loaded?);
        }
        let log = self.logs.get_mut(partition).expect("it was there, or was just inserted");
        if log.config() != config {
            log.update_config(config.clone());
        }
        Ok(log)
    }

    fn place_for_new(&self, assigned: Option<Uuid>) -> usize {
        // Counting looks at every log, for each new one: not where there is no choice.
        if !self.directories.are_several() {
            return 0;
        }
        let assigned = self.directories.online().find(|(_, directory)| Some(directory.id) == assigned);
        let logs_in =
            |place: usize| self.logs.values().filter(|log| self.directories.of(log.directory()) == place).count();
        let fewest = || self.directories.online().min_by_key(|(place, _)| logs_in(*place));
        assigned.or_else(fewest).map_or(0, |(place, _)| place)
    }

    /// Deletes a log and everything in its directory; says where it ended, if there was one.
    pub fn delete(&mut self, partition: &TopicPartition, ctx: &mut Context<'_>) -> io::Result<Option<Offset>> {
        let Some(mut log) = self.logs.remove(partition) else { return Ok(None) };
        let end = log.log_end_offset();
        if !log.is_offline() {
            log.close(ctx)?;
        }
        let directory = &self.directories.all()[self.directories.of(log.directory())];
        ctx.storage().remove(log.directory())?;
        ctx.storage().sync_dir(&directory.root)?;
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
        self.noted = self.noted.into_iter().chain(log.task_due()).min();
        if cut {
            let active = log.active().base_offset();
            self.cleaner.truncated(partition, active);
            self.checkpoint_cleaner(ctx)?;
            self.checkpoint_recovery_points(ctx)?;
        }
        Ok(cut)
    }

    /// Drops all of a log, starts it anew at `offset` and writes the recovery points.
    pub fn truncate_fully_and_start_at(
        &mut self,
        partition: &TopicPartition,
        offset: Offset,
        reason: TruncationReason,
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        let Some(log) = self.logs.get_mut(partition) else { return Ok(()) };
        log.truncate_fully_and_start_at(offset, reason, ctx)?;
        self.noted = self.noted.into_iter().chain(log.task_due()).min();
        self.cleaner.truncated(partition, offset);
        self.checkpoint_cleaner(ctx)?;
        self.checkpoint_recovery_points(ctx)
    }

    /// When [`LogManager::on_deadline`] wants to be called. It looks at every log.
    pub fn next_deadline(&self) -> Option<Instant> {
        let Schedule { flush, checkpoint, expiration, retention, log_starts, clean } = self.schedule?;
        let scheduled = [flush, checkpoint, expiration, retention, log_starts, clean];
        let next = self.logs.values().filter_map(UnifiedLog::task_due).chain(scheduled).min()?;
        (next < Instant::NEVER).then_some(next)
    }

    /// The earliest of what has become due for the background by truncations since the last [`LogManager::on_deadline`];
    /// it looks at no log.
    pub fn noted_deadline(&self) -> Option<Instant> {
        self.noted
    }

    /// Flushes, writes checkpoints and forgets producers, as far as any of it is due.
    pub fn on_deadline(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let Some(mut schedule) = self.schedule else { return Ok(()) };
        let now = ctx.now();
        self.noted = None;
        for log in self.logs.values_mut().filter(|log| log.task_due().is_some_and(|at| at <= now)) {
            log.run_tasks(ctx)?;
        }
        if schedule.flush <= now {
            schedule.flush = now + self.config.log_flush_scheduler_interval_ms;
            self.schedule = Some(schedule);
            for log in self.logs.values_mut().filter(|log| !log.is_offline()) {
                log.maybe_flush_by_time(ctx)?;
            }
        }
        if schedule.expiration <= now {
            schedule.expiration = now + self.config.producer_id_expiration_check_interval_ms;
            self.schedule = Some(schedule);
            for log in self.logs.values_mut() {
                log.remove_expired_producers(self.config.producer_id_expiration_ms, ctx);
            }
        }
        if schedule.retention <= now {
            schedule.retention = now + self.config.log_retention_check_interval_ms;
            self.schedule = Some(schedule);
            // Compacted logs are the cleaner's.
            for log in self.logs.values_mut().filter(|log| !log.config().cleanup_policy.compact) {
                log.delete_old_segments(ctx)?;
            }
        }
        if schedule.clean <= now {
            // One log at a time: whatever else is due comes in between.
            let cleaned = self.cleaner.run(&mut self.logs, ctx)?;
            self.checkpoint_cleaner(ctx)?;
            schedule.clean = match cleaned {
                Cleaned::One => now,
                Cleaned::Nothing => now + self.config.log_cleaner_backoff_ms,
            };
            self.schedule = Some(schedule);
        }
        if schedule.log_starts <= now {
            schedule.log_starts = now + self.config.log_flush_start_offset_checkpoint_interval_ms;
            self.schedule = Some(schedule);
            self.checkpoint_log_starts(ctx)?;
        }
        if schedule.checkpoint <= now {
            schedule.checkpoint = now + self.config.log_flush_offset_checkpoint_interval_ms;
            self.schedule = Some(schedule);
            self.checkpoint_recovery_points(ctx)?;
        }
        Ok(())
    }

    /// Writes the recovery point of every log.
    pub fn checkpoint_recovery_points(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let points = self.logs.iter().map(|(name, log)| (name.clone(), log.recovery_point())).collect::<Vec<_>>();
        let written = self.checkpoint(&OffsetCheckpointFile::RECOVERY_POINT, &points, ctx);
        if let Err(error) = &written {
            ctx.fact(Fact::StorageFailed { what: format!("writing the recovery points: {error}") });
        }
        written
    }

    /// Writes offsets of logs, in each directory those of its own logs.
    pub fn checkpoint(
        &mut self,
        file: &OffsetCheckpointFile,
        offsets: &[(TopicPartition, Offset)],
        ctx: &mut Context<'_>,
    ) -> io::Result<()> {
        for (place, directory) in self.directories.online() {
            let lies_here = |name: &TopicPartition| {
                self.logs.get(name).is_some_and(|log| self.directories.of(log.directory()) == place)
            };
            let lines = offsets.iter().filter(|(name, _)| lies_here(name)).map(|(name, offset)| (name, *offset));
            let written = file.write_at(&directory.path(file.name()), lines, ctx.storage());
            if written.is_err() {
                self.blamed.insert(place);
                return written;
            }
        }
        Ok(())
    }

    /// Reads such a file of every directory.
    pub fn read_checkpoint(
        &self,
        file: &OffsetCheckpointFile,
        ctx: &mut Context<'_>,
    ) -> io::Result<BTreeMap<TopicPartition, Offset>> {
        let mut all = BTreeMap::new();
        for (_, directory) in self.directories.online() {
            all.extend(file.read_at(&directory.path(file.name()), ctx.storage())?);
        }
        Ok(all)
    }

    /// Writes where logs begin, of those that begin within their first segment.
    pub fn checkpoint_log_starts(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let within =
            |log: &UnifiedLog| log.segments().first().is_some_and(|first| log.log_start_offset() > first.base_offset());
        let starts: Vec<(TopicPartition, Offset)> = self
            .logs
            .iter()
            .filter(|(_, log)| within(log))
            .map(|(partition, log)| (partition.clone(), log.log_start_offset()))
            .collect();
        if starts == self.checkpointed_starts {
            return Ok(());
        }
        let written = self.checkpoint(&OffsetCheckpointFile::LOG_START, &starts, ctx);
        match &written {
            Ok(()) => self.checkpointed_starts = starts,
            Err(error) => ctx.fact(Fact::StorageFailed { what: format!("writing the log start offsets: {error}") }),
        }
        written
    }

    /// Writes how far the cleaner has come, if that has changed.
    fn checkpoint_cleaner(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let Some(offsets) = self.cleaner.changed_checkpoints() else { return Ok(()) };
        let written = self.checkpoint(&OffsetCheckpointFile::CLEANER, &offsets, ctx);
        if let Err(error) = &written {
            ctx.fact(Fact::StorageFailed { what: format!("writing the offsets of the cleaner: {error}") });
        }
        written
    }

    /// Flushes everything, writes the recovery points and the clean marker: the next start needs no recovery. After an
    /// error there is no marker. Since 3.7 the marker says the broker epoch (KIP-966).
    pub fn shutdown(&mut self, epoch: BrokerEpoch, ctx: &mut Context<'_>) -> io::Result<()> {
        self.schedule = None;
        self.checkpoint_log_starts(ctx)?;
        for log in self.logs.values_mut() {
            log.close(ctx)?;
        }
        self.checkpoint_recovery_points(ctx)?;
        for (_, directory) in self.directories.online() {
            let marker = ctx.storage().open(&directory.path(CLEAN_SHUTDOWN_FILE), OpenMode::Truncate)?;
            let marked = if self.config.version < KafkaVersion::new(3, 7) {
                Ok(())
            } else {
                let text = format!("{{\"version\":0,\"brokerEpoch\":{}}}", epoch.0);
                ctx.storage().append(marker, Bytes::from(text))
            };
            let synced = marked.and_then(|()| ctx.storage().sync(marker));
            ctx.storage().close(marker);
            synced?;
            ctx.storage().sync_dir(&directory.root)?;
        }
        Ok(())
    }
}

/// A file that cannot be read says nothing, which has a `consequence`; only a disk error is an error.
fn read(
    directory: &LogDirectory,
    file: &OffsetCheckpointFile,
    consequence: &str,
    ctx: &mut Context<'_>,
) -> io::Result<BTreeMap<TopicPartition, Offset>> {
    match file.read_at(&directory.path(file.name()), ctx.storage()) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            ctx.fact(Fact::StorageFailed { what: format!("{error}: {consequence}") });
            Ok(BTreeMap::new())
        }
        other => other,
    }
}

/// What a clean stop wrote; `CleanShutdownFileHandler`.
fn read_broker_epoch(path: &str, ctx: &mut Context<'_>) -> io::Result<BrokerEpoch> {
    let marker = ctx.storage().open(path, OpenMode::Existing)?;
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
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { number.parse().ok()? } else { return None };
    (!topic.is_empty()).then(|| TopicPartition::of(topic, number))
}

#[cfg(test)]
#[path = "log_manager_task_tests.rs"]
mod task_tests;
#[cfg(test)]
#[path = "log_manager_tests.rs"]
mod tests;

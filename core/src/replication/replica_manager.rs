//! All replicas of a broker.
//!
//! Kafka: `server/ReplicaManager.scala`.
//!
//! It is part of the broker, not a machine: hand it metadata, requests, and the inputs of its connections; call
//! [`ReplicaManager::on_deadline`] on `Input::Deadline` and count [`ReplicaManager::next_deadline`] among your own.
//! After each call collect what is done ([`ReplicaManager::next_completed`]) and what it wants of the controller
//! ([`ReplicaManager::take_isr_proposals`]).
//!
//! Requests for partitions are in `produce`, `fetch` and `offsets`, the fetchers of followers in `fetcher_manager`.
//!
//! There is one log directory: a disk that fails takes every replica offline and ends the process, as Kafka ends when
//! its last log directory is gone.
//!
//! Not modelled: several log directories.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use super::api::{Completed, IsrProposal, LeaderAndIsr, ReplicaDescription};
use super::fetcher::StorageFailure;
use super::fetcher_manager::FetcherManager;
use super::partition::{Partition, ReplicaRole};
use super::purgatory::{Delayed, Purgatory};
use super::surroundings::Surroundings;
use super::throttle::ReplicationThrottle;
use crate::config::BrokerConfig;
use crate::fact::{Fact, Role};
use crate::log::log_directories::LogDirectories;
use crate::log::{LogManager, OffsetCheckpointFile, UnifiedLog};
use crate::machine::Context;
use crate::protocol::{ErrorCode, Response};
use crate::types::{
    BrokerEpoch, ConnectionId, CorrelationId, Duration, Instant, LeaderEpoch, Offset, TopicPartition, earliest,
};

/// A replica lies in this log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryAssignment {
    /// The topic.
    pub topic_id: uuid::Uuid,
    /// The partition.
    pub partition: i32,
    /// The directory.
    pub directory: uuid::Uuid,
}

/// How long the thread that handles failed log directories takes, where that matters.
const FAILURE_HANDLER_DELAY: Duration = Duration::from_millis(100);

/// All replicas of a broker.
#[derive(Clone, Debug)]
pub struct ReplicaManager {
    pub(super) around: Surroundings,
    pub(super) logs: LogManager,
    pub(super) partitions: BTreeMap<TopicPartition, Partition>,
    pub(super) fetchers: FetcherManager,
    pub(super) purgatory: Purgatory,
    pub(super) completed: VecDeque<Completed>,
    pub(super) proposals: Vec<IsrProposal>,
    pub(super) next_proposal: u64,
    pub(super) throttle: ReplicationThrottle,
    /// The disk has failed.
    pub(super) offline: bool,
    /// Replicas in log directories that have failed while others go on.
    pub(super) offline_partitions: BTreeSet<TopicPartition>,
    /// Replicas whose log directory the controller does not know, since the last look.
    pub(super) assignments: Vec<DirectoryAssignment>,
    /// During a controlled shutdown replicas that nobody needs stop fetching.
    pub(super) in_controlled_shutdown: bool,
    /// When the failure of an append will have been noticed.
    pub(super) failure_due: Option<Instant>,
    next_isr_check: Option<Instant>,
    /// None until the first metadata, as in Kafka: before it nobody knows which replicas this broker has.
    next_checkpoint: Option<Instant>,
    /// When the log manager has something to do. It has to look at every log to say so, so it is asked only after its own
    /// tasks; an append that rolls a segment is noted by [`ReplicaManager::note_roll`].
    next_log_task: Option<Instant>,
    /// What the checkpoint file holds; the same again is not written.
    checkpointed: Vec<(TopicPartition, Offset)>,
}

impl ReplicaManager {
    /// Without any replica; [`ReplicaManager::start`] comes next.
    pub fn new(config: Arc<BrokerConfig>) -> Self {
        Self {
            logs: LogManager::new(Arc::clone(&config)),
            fetchers: FetcherManager::new(Arc::clone(&config)),
            around: Surroundings::new(config),
            partitions: BTreeMap::new(),
            purgatory: Purgatory::default(),
            completed: VecDeque::new(),
            proposals: Vec::new(),
            next_proposal: 0,
            throttle: ReplicationThrottle::new(Role::Leader),
            offline: false,
            offline_partitions: BTreeSet::new(),
            assignments: Vec::new(),
            in_controlled_shutdown: false,
            failure_due: None,
            next_isr_check: None,
            next_checkpoint: None,
            next_log_task: None,
            checkpointed: Vec::new(),
        }
    }

    /// Loads the logs, and the high watermarks that were written down last. After an error, which it says, the broker has
    /// to exit.
    pub fn start(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let loaded = self.load(ctx);
        if let Err(error) = &loaded {
            self.offline = true;
            ctx.fact(Fact::StorageFailed { what: format!("loading the logs: {error}") });
        }
        loaded
    }

    fn load(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        self.logs.load_all(ctx)?;
        let high_watermarks = self.logs.read_checkpoint(&OffsetCheckpointFile::HIGH_WATERMARK, ctx)?;
        for (partition, high_watermark) in high_watermarks {
            if let Some(log) = self.logs.get_mut(&partition) {
                log.set_high_watermark(high_watermark);
            }
        }
        self.next_log_task = self.logs.next_deadline();
        self.next_isr_check = Some(ctx.now() + self.isr_check_interval());
        Ok(())
    }

    /// The incarnation that the controller gave this broker; followers' fetches and ISR proposals carry it.
    pub fn set_broker_epoch(&mut self, epoch: BrokerEpoch) {
        self.around.broker_epoch = epoch;
    }

    /// The incarnation of the previous life, if that stopped cleanly; else -1 (KIP-966).
    pub fn previous_broker_epoch(&self) -> BrokerEpoch {
        self.logs.previous_broker_epoch()
    }

    /// The broker asked the controller for leave to stop.
    pub fn begin_controlled_shutdown(&mut self) {
        self.in_controlled_shutdown = true;
    }

    /// The next request that is done.
    pub fn next_completed(&mut self) -> Option<Completed> {
        self.completed.pop_front()
    }

    /// The ISRs that leaders here want, since the last call. Each one is answered, sooner or later, through
    /// [`ReplicaManager::on_alter_partition_result`].
    pub fn take_isr_proposals(&mut self) -> Vec<IsrProposal> {
        std::mem::take(&mut self.proposals)
    }

    /// The controller's answer to a proposal.
    pub fn on_alter_partition_result(
        &mut self,
        proposal: &IsrProposal,
        result: Result<LeaderAndIsr, ErrorCode>,
        ctx: &mut Context<'_>,
    ) {
        let (number, name) = (proposal.number, &proposal.partition);
        let Some(partition) = self.partitions.get_mut(name) else { return };
        if partition.outstanding == Some(number) {
            partition.outstanding = None;
        }
        match result {
            Ok(state) => {
                if partition.proposal_accepted(number, state, ctx) {
                    self.maybe_advance_high_watermark(name, ctx);
                }
            }
            Err(error) => {
                if partition.proposal_failed(number, error, ctx) {
                    self.proposals.push(proposal.clone());
                }
            }
        }
    }

    /// `Input::Connected`: whether it is a connection of the followers here.
    pub fn on_connected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) -> bool {
        let mine = self.fetchers.owns(connection);
        if mine {
            let result = self.fetchers.on_connected(connection, &self.around, &mut self.logs, ctx);
            self.check_fetchers(result, ctx);
        }
        mine
    }

    /// `Input::Disconnected`: whether it was a connection of the followers here.
    pub fn on_disconnected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) -> bool {
        let mine = self.fetchers.owns(connection);
        if mine {
            let result = self.fetchers.on_disconnected(connection, &self.around, &mut self.logs, ctx);
            self.check_fetchers(result, ctx);
        }
        mine
    }

    /// Whether a response on this connection is for [`ReplicaManager::on_response`].
    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.fetchers.owns(connection)
    }

    /// `Input::Response`. Gives the response back if the connection is not one of the followers here.
    pub fn on_response(
        &mut self,
        connection: ConnectionId,
        correlation_id: CorrelationId,
        response: Response,
        ctx: &mut Context<'_>,
    ) -> Option<Response> {
        if !self.fetchers.owns(connection) {
            return Some(response);
        }
        let answer = (connection, correlation_id, response);
        let result = self.fetchers.on_response(answer, &self.around, &mut self.logs, ctx);
        let task_due = self.fetchers.take_task_due();
        self.note_roll(task_due);
        self.check_fetchers(result, ctx);
        for name in self.fetchers.take_advanced() {
            self.check_fetches(&name, ctx);
        }
        None
    }

    /// `Input::Deadline`: everything that is due.
    pub fn on_deadline(&mut self, ctx: &mut Context<'_>) {
        while let Some(delayed) = self.purgatory.next_expired(ctx.now()) {
            match delayed {
                Delayed::Produce(token) => self.complete_produce(token, ctx),
                Delayed::Fetch(token) => self.complete_fetch(token, ctx),
                Delayed::DeleteRecords(_) => self.check_delete_records(ctx),
            }
        }
        if self.failure_due.is_some_and(|at| at <= ctx.now()) {
            self.storage_failed(ctx);
        }
        if self.offline {
            return;
        }
        if self.next_isr_check.is_some_and(|at| at <= ctx.now()) {
            self.next_isr_check = Some(ctx.now() + self.isr_check_interval());
            self.shrink_isrs(ctx);
        }
        if self.next_checkpoint.is_some_and(|at| at <= ctx.now()) {
            self.next_checkpoint = Some(ctx.now() + self.around.config.replica_high_watermark_checkpoint_interval_ms);
            if let Err(error) = self.checkpoint_high_watermarks(ctx) {
                ctx.fact(Fact::StorageFailed { what: format!("writing the high watermarks: {error}") });
                self.storage_failed(ctx);
                return;
            }
        }
        if self.log_deadline().is_some_and(|at| at <= ctx.now()) {
            let result = self.logs.on_deadline(ctx);
            self.next_log_task = self.logs.next_deadline();
            if result.is_err() {
                self.storage_failed(ctx);
                return;
            }
        }
        if self.fetchers.next_deadline().is_some_and(|at| at <= ctx.now()) {
            let result = self.fetchers.on_deadline(&self.around, &mut self.logs, ctx);
            self.check_fetchers(result, ctx);
        }
    }

    /// When [`ReplicaManager::on_deadline`] wants to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        let purgatory = self.purgatory.next_deadline();
        if self.offline {
            return purgatory;
        }
        earliest([
            purgatory,
            self.next_isr_check,
            self.next_checkpoint,
            self.failure_due,
            self.log_deadline(),
            self.fetchers.next_deadline(),
        ])
    }

    /// A clean stop: fetchers end, high watermarks and logs are written, and the marker that says so.
    pub fn shutdown(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        self.fetchers.close(ctx);
        self.next_isr_check = None;
        if self.offline {
            return Ok(());
        }
        if self.next_checkpoint.take().is_some() {
            self.checkpoint_high_watermarks(ctx)?;
        }
        let epoch = self.around.broker_epoch;
        self.logs.shutdown(epoch, ctx)
    }

    /// Every replica as this broker sees it.
    pub fn describe(&self) -> Vec<ReplicaDescription> {
        self.partitions.values().filter_map(|partition| self.describe_partition(partition)).collect()
    }

    /// A log, for those who look at it from outside.
    pub fn log(&self, partition: &TopicPartition) -> Option<&UnifiedLog> {
        self.logs.get(partition)
    }

    /// All logs, hosted or left over.
    pub fn logs(&self) -> impl Iterator<Item = (&TopicPartition, &UnifiedLog)> {
        self.logs.logs()
    }

    /// The log directories.
    pub fn directories(&self) -> &LogDirectories {
        self.logs.directories()
    }

    /// Where replicas lie that the controller does not know to lie there, since the last call.
    pub fn take_assignments(&mut self) -> Vec<DirectoryAssignment> {
        std::mem::take(&mut self.assignments)
    }

    /// The directory of a replica has failed: those who wait for it hear so.
    fn take_offline(&mut self, name: &TopicPartition, ctx: &mut Context<'_>) {
        self.offline_partitions.insert(name.clone());
        self.stop_replica(name, ctx);
    }

    /// Whether the disk has failed; the broker has said that it exits.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// How many produce and fetch requests wait.
    pub fn waiting(&self) -> (usize, usize) {
        (self.purgatory.waiting_produces(), self.purgatory.waiting_fetches())
    }

    fn describe_partition(&self, partition: &Partition) -> Option<ReplicaDescription> {
        let log = self.logs.get(&partition.name)?;
        let (role, leader, isr, isr_change_pending) = match &partition.role {
            ReplicaRole::Leader(leader) => {
                let id = self.around.config.broker_id;
                (Role::Leader, id, leader.isr.isr().to_vec(), leader.isr.is_inflight())
            }
            ReplicaRole::Follower { leader } => (Role::Follower, leader.unwrap_or(-1), Vec::new(), false),
        };
        Some(ReplicaDescription {
            partition: partition.name.clone(),
            role,
            leader,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            isr,
            isr_change_pending,
            replicas: partition.replicas.clone(),
            log_start: log.log_start_offset(),
            high_watermark: log.high_watermark(),
            log_end: log.log_end_offset(),
            last_epoch: log.latest_epoch().unwrap_or(LeaderEpoch::NONE),
        })
    }

    /// Whether a replica lies on a disk that is known to have failed.
    pub(super) fn lies_offline(&self, name: &TopicPartition) -> bool {
        self.offline || self.offline_partitions.contains(name)
    }

    /// A replica of this broker, or why there is none.
    pub(super) fn hosted(&self, name: &TopicPartition) -> Result<&Partition, ErrorCode> {
        if self.lies_offline(name) {
            return Err(ErrorCode::KAFKA_STORAGE_ERROR);
        }
        if let Some(partition) = self.partitions.get(name) {
            return Ok(partition);
        }
        let exists = self.around.topics.get(&name.topic).is_some_and(|&count| (0..count).contains(&name.partition));
        Err(if exists { ErrorCode::NOT_LEADER_OR_FOLLOWER } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION })
    }

    pub(super) fn start_checkpoints(&mut self, now: Instant) {
        if self.next_checkpoint.is_none() {
            self.next_checkpoint = Some(now + self.around.config.replica_high_watermark_checkpoint_interval_ms);
        }
    }

    /// Something was appended: if that rolled a segment, the one before waits to be flushed.
    pub(super) fn note_roll(&mut self, task_due: Option<Instant>) {
        self.next_log_task = earliest([self.next_log_task, task_due]);
    }

    fn log_deadline(&self) -> Option<Instant> {
        earliest([self.next_log_task, self.logs.noted_deadline()])
    }

    fn isr_check_interval(&self) -> Duration {
        Duration::from_nanos(self.around.config.replica_lag_time_max_ms.as_nanos() / 2)
    }

    /// Proposes that members leave who lag. A follower that stops is found after `replica.lag.time.max.ms` to one and a
    /// half times that.
    fn shrink_isrs(&mut self, ctx: &mut Context<'_>) {
        for (name, partition) in &mut self.partitions {
            let Some(log) = self.logs.get(name) else { continue };
            let Some(leader) = partition.leader_mut() else { continue };
            if leader.maybe_shrink(log, &self.around, ctx.wall_clock()) {
                self.next_proposal += 1;
                self.proposals.extend(partition.propose(self.next_proposal, &self.around, ctx));
            }
        }
    }

    fn maybe_advance_high_watermark(&mut self, name: &TopicPartition, ctx: &mut Context<'_>) {
        let (Some(partition), Some(log)) = (self.partitions.get(name), self.logs.get_mut(name)) else { return };
        let Some(leader) = partition.leader() else { return };
        if leader.maybe_advance_high_watermark(name, log, &self.around, ctx) {
            self.check_produces(name, ctx);
            self.check_fetches(name, ctx);
        }
    }

    fn checkpoint_high_watermarks(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let current =
            self.partitions.keys().filter_map(|name| Some((name.clone(), self.logs.get(name)?.high_watermark())));
        if current.clone().eq(self.checkpointed.iter().cloned()) {
            return Ok(());
        }
        let current: Vec<(TopicPartition, Offset)> = current.collect();
        self.logs.checkpoint(&OffsetCheckpointFile::HIGH_WATERMARK, &current, ctx)?;
        self.checkpointed = current;
        Ok(())
    }

    pub(super) fn check_fetchers(&mut self, result: Result<(), StorageFailure>, ctx: &mut Context<'_>) {
        if result.is_err() {
            self.storage_failed(ctx);
        }
    }

    /// An append failed. Another thread takes the log directory offline (`LogDirFailureHandler`); where logs are not fenced
    /// until then, it matters that it does so a little later.
    pub(super) fn append_failed(&mut self, name: &TopicPartition, ctx: &mut Context<'_>) {
        self.logs.blame(name);
        if self.around.config.toggles.append_fence_after_error {
            self.storage_failed(ctx);
        } else {
            self.failure_due.get_or_insert(ctx.now() + FAILURE_HANDLER_DELAY);
        }
    }

    /// The disk failed (the log has said how), and with it the only log directory: every replica is offline, and the
    /// process ends.
    pub(super) fn storage_failed(&mut self, ctx: &mut Context<'_>) {
        if self.offline {
            return;
        }
        if let Some(gone) = self.logs.fail_directories(ctx) {
            for name in gone {
                self.take_offline(&name, ctx);
            }
            self.failure_due = None;
            return;
        }
        self.offline = true;
        self.fetchers.close(ctx);
        ctx.exit();
    }
}

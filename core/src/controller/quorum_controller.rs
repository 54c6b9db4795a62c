//! The KRaft controller on one node: decide, write, replay, then say what was decided.
//!
//! Kafka: `QuorumController`, `ControllerApis`, KIP-631.
//!
//! ```text
//! request ──▶ decide(image) ──▶ records ──▶ metadata log, one batch, fsync ──▶ replay: image ──▶ facts, response,
//!   timer ──▶                                └─ fails: nothing is replayed, the process ends           waiting fetches
//! ```
//!
//! Invariant: the image is what the log says, and nothing else; nothing is answered that is not on the device.
//! Not modelled: a quorum of several controllers (KIP-595), ZooKeeper, snapshots, NoOp records, delegation of requests
//! that expire in the queue.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
    CreateTopicsRequest, CreateTopicsResponse, FetchRequest, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::Decision;
use super::broker_heartbeats::{BrokerControlState, BrokerHeartbeats, Heartbeat};
use super::cluster_control::{check_broker_epoch, register_broker};
use super::committed::{facts_of, partitions_added, topic_created};
use super::metadata_fetch::{FetchPurgatory, ParkedFetch, Worth, answer, is_at_the_end, max_wait};
use super::metadata_log::{MetadataLog, MetadataLogError};
use super::producer_ids;
use super::replication_control::ReplicationControl;
use super::topic_changes::{create_partitions, delete_topics};
use super::topic_creation::TopicCreation;
use crate::config::{BrokerConfig, KafkaVersion};
use crate::fact::Fact;
use crate::machine::{Context, Input, Machine};
use crate::metadata::{MetadataDelta, MetadataImage, MetadataRecord, PartitionRegistration};
use crate::protocol::{ErrorCode, Request, Response};
use crate::types::{BrokerEpoch, ConnectionId, CorrelationId, Duration, Instant, Offset, TopicPartition, earliest};

/// As many elections as one scan makes before it lets others have a turn.
const MAX_ELECTIONS_PER_SCAN: usize = 1_000;
/// How soon a scan that made as many goes on.
const SCAN_AGAIN: Duration = Duration::from_millis(10);
/// `BrokerHeartbeatTracker`.
const SESSIONS_BY_EPOCH: KafkaVersion = KafkaVersion::new(4, 0);

/// A controller. It is driven by requests of brokers and by its deadline: the end of a session, a scan for elections,
/// the end of a fetch's patience.
#[derive(Clone, Debug)]
pub struct Controller {
    node_id: i32,
    config: Arc<BrokerConfig>,
    /// `None` before the start, and after the disk has failed.
    log: Option<MetadataLog>,
    image: MetadataImage,
    heartbeats: BrokerHeartbeats,
    fetches: FetchPurgatory,
    /// Partitions without a leader.
    leaderless: BTreeSet<TopicPartition>,
    /// Partitions that are not led by their preferred replica.
    imbalanced: BTreeSet<TopicPartition>,
    next_unclean_scan: Option<Instant>,
    next_rebalance: Option<Instant>,
}

/// A decision could not be written: there is nothing to say any more.
struct Failed;

impl Controller {
    /// A controller that has not started. Its log lies in its storage.
    pub fn new(node_id: i32, config: Arc<BrokerConfig>) -> Self {
        Self {
            node_id,
            heartbeats: BrokerHeartbeats::new(config.broker_session_timeout_ms, config.version >= SESSIONS_BY_EPOCH),
            config,
            log: None,
            image: MetadataImage::default(),
            fetches: FetchPurgatory::default(),
            leaderless: BTreeSet::new(),
            imbalanced: BTreeSet::new(),
            next_unclean_scan: None,
            next_rebalance: None,
        }
    }

    /// What has been decided so far, as of the last record written.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    fn replication(&self) -> ReplicationControl<'_> {
        ReplicationControl { image: &self.image, config: &self.config }
    }

    fn start(&mut self, ctx: &mut Context<'_>) {
        if let Err(error) = self.load(ctx) {
            self.fail("loading the metadata log", &error, ctx);
        }
    }

    fn load(&mut self, ctx: &mut Context<'_>) -> Result<(), MetadataLogError> {
        let log = MetadataLog::open(&self.config, ctx)?;
        let mut delta = MetadataDelta::default();
        log.replay(ctx, |batch| self.image.replay_batch(batch, &mut delta))?;
        self.log = Some(log);
        self.note_leaders(&delta);
        // Nobody's last heartbeat is known: everybody gets a session that begins now.
        for (broker, registration) in &self.image.brokers {
            self.heartbeats.take_over(*broker, registration.epoch, registration.fenced, ctx.now());
        }
        Ok(())
    }

    /// The disk has failed: what is on it is not known any more, only a new life can find out.
    fn fail(&mut self, doing: &str, error: &MetadataLogError, ctx: &mut Context<'_>) {
        ctx.fact(Fact::StorageFailed { what: format!("{doing}: {error}") });
        self.log = None;
        ctx.exit();
    }

    /// Writes a decision, replays it and tells of it.
    fn commit(&mut self, records: &[MetadataRecord], ctx: &mut Context<'_>) -> Result<(), Failed> {
        if records.is_empty() {
            return Ok(());
        }
        let Some(log) = &mut self.log else { return Err(Failed) };
        let base_offset = match log.append(records, ctx) {
            Ok(base_offset) => base_offset,
            Err(error) => {
                self.fail("writing a decision", &error, ctx);
                return Err(Failed);
            }
        };
        let mut delta = MetadataDelta::default();
        for (position, record) in (0i64..).zip(records) {
            let facts = facts_of(&self.image, record);
            let replayed = self.image.replay(record, base_offset.plus(position), &mut delta);
            assert!(replayed.is_ok(), "a decision does not fit the state it was made in: {replayed:?}");
            self.note_broker(record, ctx.now());
            facts.into_iter().for_each(|fact| ctx.fact(fact));
        }
        for record in records {
            if let MetadataRecord::Topic(record) = record {
                topic_created(&self.image, record).into_iter().for_each(|fact| ctx.fact(fact));
            }
        }
        partitions_added(&self.image, records).into_iter().for_each(|fact| ctx.fact(fact));
        self.note_leaders(&delta);
        Ok(())
    }

    fn note_broker(&mut self, record: &MetadataRecord, now: Instant) {
        match record {
            MetadataRecord::RegisterBroker(record) => {
                self.heartbeats.register(record.broker_id, record.broker_epoch, record.fenced, now);
            }
            MetadataRecord::UnregisterBroker(record) => self.heartbeats.remove(record.broker_id),
            MetadataRecord::BrokerRegistrationChange(record) => {
                if let Some(fenced) = record.fenced {
                    self.heartbeats.set_fenced(record.broker_id, fenced);
                }
            }
            MetadataRecord::Topic(_)
            | MetadataRecord::RemoveTopic(_)
            | MetadataRecord::ClientQuota(_)
            | MetadataRecord::Partition(_)
            | MetadataRecord::PartitionChange(_)
            | MetadataRecord::Config(_)
            | MetadataRecord::ProducerIds(_)
            | MetadataRecord::NoOp => {}
        }
    }

    fn note_leaders(&mut self, delta: &MetadataDelta) {
        let note = |set: &mut BTreeSet<TopicPartition>, partition: &TopicPartition, belongs: bool| {
            if belongs {
                set.insert(partition.clone());
            } else {
                set.remove(partition);
            }
        };
        for partition in &delta.partitions {
            let registration = self.image.partitions.get(partition);
            let is = |holds: fn(&PartitionRegistration) -> bool| registration.is_some_and(holds);
            note(&mut self.leaderless, partition, is(|partition| !partition.has_leader()));
            note(&mut self.imbalanced, partition, is(|partition| !partition.has_preferred_leader()));
        }
    }

    // ---- timers ----

    /// What is due by itself comes before what arrived: a session that has run out is not saved by a late heartbeat.
    fn run_timers(&mut self, ctx: &mut Context<'_>) -> Result<(), Failed> {
        let now = ctx.now();
        // One by one, so that each is judged with the one before it gone.
        while let Some(broker) = self.heartbeats.find_one_stale(now) {
            let records = self.replication().fence(broker);
            self.commit(&records, ctx)?;
        }
        if self.next_unclean_scan.is_some_and(|due| due <= now) {
            let records = self.replication().elect_unclean_leaders(&self.leaderless, MAX_ELECTIONS_PER_SCAN);
            self.next_unclean_scan = scan_again(&records, now);
            self.commit(&records, ctx)?;
        }
        if self.next_rebalance.is_some_and(|due| due <= now) {
            let records = self.replication().elect_preferred_leaders(&self.imbalanced, MAX_ELECTIONS_PER_SCAN);
            self.next_rebalance = scan_again(&records, now);
            self.commit(&records, ctx)?;
        }
        Ok(())
    }

    /// A scan is planned while there is something to look for.
    fn plan_scans(&mut self, now: Instant) {
        let scans_for_unclean = self.config.version >= KafkaVersion::new(3, 9);
        let unclean_interval = self.config.unclean_leader_election_interval_ms;
        let rebalance_interval = self.config.leader_imbalance_check_interval_seconds;
        plan(&mut self.next_unclean_scan, scans_for_unclean && !self.leaderless.is_empty(), now + unclean_interval);
        let rebalances = self.config.auto_leader_rebalance_enable && !self.imbalanced.is_empty();
        plan(&mut self.next_rebalance, rebalances, now + rebalance_interval);
    }

    // ---- requests ----

    fn request(
        &mut self,
        connection: ConnectionId,
        correlation_id: CorrelationId,
        request: Request,
        ctx: &mut Context<'_>,
    ) -> Result<(), Failed> {
        let response: Response = match request {
            Request::BrokerRegistration(request) => self.register(&request, ctx)?.into(),
            Request::BrokerHeartbeat(request) => self.heartbeat(&request, ctx)?.into(),
            Request::AlterPartition(request) => {
                let decision = self.replication().alter_partition(&request);
                self.carry_out(decision, ctx)?.into()
            }
            Request::ElectLeaders(request) => {
                let decision = self.replication().elect_leaders(&request);
                self.carry_out(decision, ctx)?.into()
            }
            Request::AssignReplicasToDirs(request) => {
                let decision = self.replication().assign_replicas_to_dirs(&request);
                self.carry_out(decision, ctx)?.into()
            }
            Request::CreateTopics(request) => self.create_topics(&request, ctx)?.into(),
            Request::CreatePartitions(request) => {
                let decision = create_partitions(&self.image, &request, ctx.rng());
                self.carry_out(decision, ctx)?.into()
            }
            Request::DeleteTopics(request) => {
                let decision = delete_topics(&self.image, &self.config, &request);
                self.carry_out(decision, ctx)?.into()
            }
            Request::AlterPartitionReassignments(request) => {
                let decision = self.replication().alter_reassignments(&request);
                self.carry_out(decision, ctx)?.into()
            }
            Request::IncrementalAlterConfigs(request) => self.alter_configs(&request, ctx)?.into(),
            Request::AlterClientQuotas(request) => {
                let decision = self.replication().alter_client_quotas(&request);
                self.carry_out(decision, ctx)?.into()
            }
            Request::AllocateProducerIds(request) => {
                let decision = producer_ids::allocate(&self.image, &request);
                self.carry_out(decision, ctx)?.into()
            }
            Request::Fetch(request) => {
                self.fetch(connection, correlation_id, *request, ctx);
                return Ok(());
            }
            // A controller does not listen to these.
            Request::Produce(_)
            | Request::ShareGroupHeartbeat(_)
            | Request::ShareFetch(_)
            | Request::ShareAcknowledge(_)
            | Request::ReadShareGroupState(_)
            | Request::WriteShareGroupState(_)
            | Request::ListOffsets(_)
            | Request::Metadata(_)
            | Request::ApiVersions(_)
            | Request::DeleteRecords(_)
            | Request::OffsetCommit(_)
            | Request::OffsetFetch(_)
            | Request::FindCoordinator(_)
            | Request::JoinGroup(_)
            | Request::Heartbeat(_)
            | Request::LeaveGroup(_)
            | Request::SyncGroup(_)
            | Request::ConsumerGroupHeartbeat(_)
            | Request::InitProducerId(_)
            | Request::Store(_)
            | Request::OffsetForLeaderEpoch(_) => {
                self.fetches.forget(connection);
                ctx.close(connection);
                return Ok(());
            }
        };
        ctx.reply(connection, correlation_id, response);
        Ok(())
    }

    fn carry_out<R>(&mut self, decision: Decision<R>, ctx: &mut Context<'_>) -> Result<R, Failed> {
        self.commit(&decision.records, ctx)?;
        Ok(decision.response)
    }

    fn create_topics(
        &mut self,
        request: &CreateTopicsRequest,
        ctx: &mut Context<'_>,
    ) -> Result<CreateTopicsResponse, Failed> {
        let creation = TopicCreation { image: &self.image, config: &self.config };
        let decision = creation.create_topics(request, ctx.rng());
        self.carry_out(decision, ctx)
    }

    fn alter_configs(
        &mut self,
        request: &IncrementalAlterConfigsRequest,
        ctx: &mut Context<'_>,
    ) -> Result<IncrementalAlterConfigsResponse, Failed> {
        let decision = self.replication().alter_configs(request);
        let response = self.carry_out(decision, ctx)?;
        let follow_up = self.replication().after_config_change(request, &self.leaderless);
        self.commit(&follow_up, ctx)?;
        Ok(response)
    }

    fn next_offset(&self) -> Offset {
        self.log.as_ref().map_or(Offset(0), MetadataLog::end_offset)
    }

    fn register(
        &mut self,
        request: &BrokerRegistrationRequest,
        ctx: &mut Context<'_>,
    ) -> Result<BrokerRegistrationResponse, Failed> {
        let next_offset = self.next_offset();
        let decision = register_broker(&self.replication(), &self.heartbeats, request, next_offset, ctx.now());
        let response = BrokerRegistrationResponse::default();
        Ok(match self.carry_out(decision, ctx)? {
            Ok(epoch) => response.with_broker_epoch(epoch.0),
            Err(error) => response.with_error_code(error.0),
        })
    }

    fn heartbeat(
        &mut self,
        request: &BrokerHeartbeatRequest,
        ctx: &mut Context<'_>,
    ) -> Result<BrokerHeartbeatResponse, Failed> {
        let broker = request.broker_id.0;
        let response = BrokerHeartbeatResponse::default();
        let checked = check_broker_epoch(&self.image, broker, BrokerEpoch(request.broker_epoch));
        let registration = self.image.brokers.get(&broker).filter(|_| checked.is_ok());
        let Some(registered_at) = registration.map(|registration| registration.registered_at) else {
            return Ok(response.with_error_code(ErrorCode::STALE_BROKER_EPOCH.0));
        };
        let said = Heartbeat {
            metadata_offset: Offset(request.current_metadata_offset),
            // Without the fix the place that a bounced broker has is its own, ready or not.
            want_fence: request.want_fence && self.config.toggles.bounce_requires_fencing,
            want_shut_down: request.want_shut_down,
        };
        let offline = self.replication().directories_offline(broker, &request.offline_log_dirs);
        self.commit(&offline, ctx)?;
        let current = self.heartbeats.current_state(broker);
        let replication = self.replication();
        let next = self.heartbeats.next_state(broker, &said, registered_at, || replication.has_leaderships(broker));
        let records = match next {
            _ if current == next => Vec::new(),
            BrokerControlState::Fenced | BrokerControlState::ShutdownNow if current.is_fenced() => Vec::new(),
            BrokerControlState::Fenced | BrokerControlState::ShutdownNow => replication.fence(broker),
            BrokerControlState::Unfenced => replication.unfence(broker, &self.leaderless),
            BrokerControlState::ControlledShutdown => replication.begin_controlled_shutdown(broker),
        };
        self.commit(&records, ctx)?;
        self.heartbeats.touch(broker, said.metadata_offset, ctx.now());
        if next == BrokerControlState::ControlledShutdown {
            self.heartbeats.begin_controlled_shutdown(broker, self.image.last_applied);
        }
        Ok(response
            .with_is_caught_up(said.metadata_offset >= registered_at)
            .with_is_fenced(next.is_fenced())
            .with_should_shut_down(next == BrokerControlState::ShutdownNow))
    }

    // ---- the metadata log, as brokers fetch it ----

    fn fetch(
        &mut self,
        connection: ConnectionId,
        correlation_id: CorrelationId,
        request: FetchRequest,
        ctx: &mut Context<'_>,
    ) {
        let deadline = ctx.now() + max_wait(&request);
        self.answer_or_park(connection, ParkedFetch { correlation_id, request, deadline }, ctx);
    }

    fn answer_or_park(&mut self, connection: ConnectionId, fetch: ParkedFetch, ctx: &mut Context<'_>) {
        let Some(log) = &self.log else { return };
        if fetch.deadline > ctx.now() && is_at_the_end(&fetch.request, log) {
            return self.fetches.park(connection, fetch);
        }
        match answer(&fetch.request, self.node_id, log, ctx) {
            (_, Worth::Waiting) if fetch.deadline > ctx.now() => self.fetches.park(connection, fetch),
            (response, Worth::Waiting | Worth::Giving) => {
                ctx.reply(connection, fetch.correlation_id, response.into());
            }
        }
    }

    fn answer_fetches(&mut self, written: bool, ctx: &mut Context<'_>) {
        let waiting: Vec<_> =
            if written { self.fetches.take_all().into_iter().collect() } else { self.fetches.take_expired(ctx.now()) };
        for (connection, fetch) in waiting {
            self.answer_or_park(connection, fetch, ctx);
        }
    }

    /// One input, and what it sets free.
    fn step(&mut self, input: Input, ctx: &mut Context<'_>) -> Result<(), Failed> {
        self.run_timers(ctx)?;
        match input {
            Input::Request { connection, correlation_id, request, .. } if self.fetches.is_muted(connection) => {
                self.fetches.queue(connection, correlation_id, request);
            }
            Input::Request { connection, correlation_id, request, .. } => {
                self.request(connection, correlation_id, request, ctx)?;
            }
            Input::Disconnected(connection) => self.fetches.forget(connection),
            Input::Stop => {
                self.log = None;
                ctx.exit();
            }
            Input::Start
            | Input::Deadline
            | Input::Connected(_)
            | Input::Response { .. }
            | Input::Call(_)
            | Input::MetadataLag(_) => {}
        }
        Ok(())
    }

    fn settle(&mut self, end_before: Offset, ctx: &mut Context<'_>) -> Result<(), Failed> {
        self.answer_fetches(self.next_offset() != end_before, ctx);
        while let Some((connection, correlation_id, request)) = self.fetches.unmuted() {
            let end_before = self.next_offset();
            self.request(connection, correlation_id, request, ctx)?;
            self.answer_fetches(self.next_offset() != end_before, ctx);
        }
        Ok(())
    }
}

/// When a scan that made these elections goes on, if it was cut short.
fn scan_again(records: &[MetadataRecord], now: Instant) -> Option<Instant> {
    (records.len() >= MAX_ELECTIONS_PER_SCAN).then_some(now + SCAN_AGAIN)
}

fn plan(scan: &mut Option<Instant>, needed: bool, due: Instant) {
    if needed {
        scan.get_or_insert(due);
    } else {
        *scan = None;
    }
}

impl Machine for Controller {
    fn handle(&mut self, input: Input, ctx: &mut Context<'_>) {
        if matches!(input, Input::Start) {
            self.start(ctx);
        }
        if self.log.is_none() {
            return;
        }
        let end_before = self.next_offset();
        let stepped = self.step(input, ctx);
        if stepped.is_ok() && self.log.is_some() && self.settle(end_before, ctx).is_ok() {
            self.plan_scans(ctx.now());
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.log.as_ref()?;
        earliest([
            self.heartbeats.next_expiry(),
            self.fetches.next_deadline(),
            self.next_unclean_scan,
            self.next_rebalance,
        ])
    }
}

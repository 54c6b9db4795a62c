//! A few brokers without their broker: replica managers, one partition `orders-0`, a network without delay, a controller
//! that does what the test says. What happens is kept as a transcript.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::config::{BrokerConfig, KafkaVersion, LogConfig};
use crate::fact::{Fact, Role};
use crate::metadata::{
    BrokerRegistration, LeaderRecoveryState, MetadataDelta, MetadataImage, PartitionRegistration, TopicImage,
};
use crate::protocol::{ErrorCode, Request, Response};
use crate::record::{BatchBuilder, Compression, batches};
use crate::replication::{
    AppendRequest, DeletedRecords, FetchParams, FetchPartition, FetchResult, IsolationLevel, IsrProposal,
    ListOffsetsQuery, ProduceResult, ReplicaDescription, ReplicaManager,
};
use crate::storage::{FailingDisk, FileId, MemoryStorage, Storage};
use crate::types::{
    BrokerEpoch, ConnectionId, CorrelationId, Duration, Instant, LeaderEpoch, NodeId, Offset, PartitionEpoch, Prng,
    Timestamp, TopicPartition,
};

pub(super) fn orders() -> TopicPartition {
    TopicPartition::of("orders", 0)
}

/// The defaults of a version, with a lag time of one second.
pub(super) fn config(broker_id: i32, version: KafkaVersion, min_insync_replicas: u32) -> BrokerConfig {
    let defaults = BrokerConfig::resolve(version, &[]).expect("the defaults are in order").config;
    BrokerConfig {
        broker_id,
        default_replication_factor: 2,
        auto_create_topics_enable: false,
        log: LogConfig { min_insync_replicas, ..defaults.log.clone() },
        replica_lag_time_max_ms: Duration::from_millis(1_000),
        replica_fetch_backoff_ms: Duration::from_millis(100),
        ..defaults
    }
}

/// A consumer's fetch that waits half a second for a byte.
pub(super) fn consumers(token: u64) -> FetchParams {
    FetchParams {
        token,
        replica_id: -1,
        replica_epoch: BrokerEpoch(-1),
        max_wait: Duration::from_millis(500),
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation: IsolationLevel::ReadUncommitted,
        client_rack: crate::types::StrBytes::default(),
    }
}

/// What a consumer that knows no epochs asks for.
pub(super) fn asking(offset: i64) -> FetchPartition {
    FetchPartition {
        fetch_offset: Offset(offset),
        current_leader_epoch: None,
        last_fetched_epoch: None,
        log_start_offset: Offset::NONE,
        max_bytes: 1 << 20,
    }
}

/// What the controller does with proposals.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Accepts,
    Holds,
    Answers(ErrorCode),
}

pub(super) enum Event {
    Connected(i32, ConnectionId),
    Disconnected(i32, ConnectionId),
    Request { to: i32, connection: ConnectionId, correlation_id: CorrelationId, request: Request },
    Response { to: i32, connection: ConnectionId, correlation_id: CorrelationId, response: Response },
}

pub(super) struct Node {
    pub(super) replicas: ReplicaManager,
    pub(super) alive: bool,
}

/// Who asked, and where the answer goes.
pub(super) type ReplyTo = (ConnectionId, CorrelationId);

pub(super) struct Cluster {
    pub(super) version: KafkaVersion,
    pub(super) min_insync_replicas: u32,
    pub(super) adjust: fn(&mut BrokerConfig),
    pub(super) now: Instant,
    pub(super) nodes: BTreeMap<i32, Node>,
    pub(super) disks: BTreeMap<i32, FailingDisk<MemoryStorage>>,
    pub(super) rng: Prng,
    pub(super) next_connection: u64,
    pub(super) connections: BTreeMap<ConnectionId, (i32, i32)>,
    pub(super) cut: BTreeSet<i32>,
    pub(super) events: VecDeque<Event>,
    pub(super) next_token: u64,
    pub(super) fetches: BTreeMap<u64, ReplyTo>,
    pub(super) produced: BTreeMap<u64, ProduceResult>,
    pub(super) consumed: BTreeMap<u64, Vec<FetchResult>>,
    pub(super) deleted: BTreeMap<u64, DeletedRecords>,
    pub(super) image: MetadataImage,
    pub(super) controller: Controller,
    pub(super) held: Vec<(i32, IsrProposal)>,
    pub(super) transcript: Vec<String>,
}

impl Cluster {
    /// Brokers `replicas` of a version, alive and unfenced; broker 1 leads `orders-0` in epoch 0, all are in sync.
    pub(super) fn of(version: (u16, u16), replicas: &[i32], min_insync_replicas: u32) -> Cluster {
        Cluster::with(version, replicas, min_insync_replicas, |_| ())
    }

    /// The same, with another configuration.
    pub(super) fn with(
        version: (u16, u16),
        replicas: &[i32],
        min_insync_replicas: u32,
        adjust: fn(&mut BrokerConfig),
    ) -> Cluster {
        let mut image = MetadataImage::default();
        for &id in replicas {
            let registration = BrokerRegistration {
                log_dirs: Vec::new(),
                epoch: BrokerEpoch(i64::from(id) * 10),
                incarnation_id: Uuid::from_u128(id as u128),
                fenced: false,
                in_controlled_shutdown: false,
                rack: None,
                registered_at: Offset(0),
            };
            image.brokers.insert(id, registration);
        }
        let id = Uuid::from_u128(77);
        image.topics.insert(orders().topic, TopicImage { id, partitions: 1 });
        image.topic_names.insert(id, orders().topic);
        let registration = PartitionRegistration {
            directories: Vec::new(),
            replicas: replicas.to_vec(),
            isr: replicas.to_vec(),
            removing_replicas: vec![],
            adding_replicas: vec![],
            leader: 1,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            elr: vec![],
            last_known_elr: vec![],
        };
        image.partitions.insert(orders(), registration);
        let mut cluster = Cluster {
            version: KafkaVersion::new(version.0, version.1),
            min_insync_replicas,
            adjust,
            now: Instant(Duration::from_secs(10).as_nanos()),
            nodes: BTreeMap::new(),
            disks: replicas.iter().map(|&id| (id, FailingDisk::default())).collect(),
            rng: Prng::new(1),
            next_connection: 1,
            connections: BTreeMap::new(),
            cut: BTreeSet::new(),
            events: VecDeque::new(),
            next_token: 1,
            fetches: BTreeMap::new(),
            produced: BTreeMap::new(),
            consumed: BTreeMap::new(),
            deleted: BTreeMap::new(),
            image,
            controller: Controller::Accepts,
            held: Vec::new(),
            transcript: Vec::new(),
        };
        for &id in replicas {
            cluster.start(id);
        }
        cluster.settle();
        cluster.take_transcript();
        cluster
    }

    // ---- what a test does ----

    /// The process of a broker begins, with what its disk holds, and hears of everything.
    pub(super) fn start(&mut self, id: i32) {
        let mut config = config(id, self.version, self.min_insync_replicas);
        (self.adjust)(&mut config);
        self.nodes.insert(id, Node { replicas: ReplicaManager::new(Arc::new(config)), alive: true });
        let epoch = self.image.brokers[&id].epoch;
        self.call(id, |replicas, ctx| {
            replicas.set_broker_epoch(epoch);
            replicas.start(ctx).expect("it starts");
        });
        self.publish_to(id);
        self.settle();
    }

    /// The process of a broker is killed: its connections break, its disk keeps what was written.
    pub(super) fn kill(&mut self, id: i32) {
        self.nodes.get_mut(&id).expect("a broker").alive = false;
        self.break_connections(id);
        self.settle();
    }

    pub(super) fn stop_cleanly(&mut self, id: i32) {
        self.call(id, |replicas, ctx| replicas.shutdown(ctx).expect("a clean stop"));
        self.kill(id);
    }

    pub(super) fn wipe_disk(&mut self, id: i32) {
        self.disks.insert(id, FailingDisk::default());
    }

    /// From now on nothing can be written.
    pub(super) fn fail_disk(&mut self, id: i32) {
        self.disks.get_mut(&id).expect("a disk").left = Some(0);
    }

    /// What the broker has open cannot be read any more.
    pub(super) fn close_files(&mut self, id: i32) {
        let disk = self.disks.get_mut(&id).expect("a disk");
        (0..1_000).for_each(|file| disk.close(FileId(file)));
    }

    /// Nobody reaches the broker, and it reaches nobody.
    pub(super) fn isolate(&mut self, id: i32) {
        self.cut.insert(id);
        self.break_connections(id);
        self.settle();
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    /// The controller elects; brokers hear of it when it is published.
    pub(super) fn elect(&mut self, leader: i32, isr: &[i32]) {
        let partition = self.image.partitions.get_mut(&orders()).expect("orders-0");
        partition.leader = leader;
        partition.isr = isr.to_vec();
        partition.leader_epoch = partition.leader_epoch.next();
        partition.partition_epoch = PartitionEpoch(partition.partition_epoch.0 + 1);
    }

    pub(super) fn publish_to(&mut self, id: i32) {
        let image = self.image.clone();
        let delta = MetadataDelta {
            partitions: image.partitions.keys().cloned().collect(),
            brokers: image.brokers.keys().copied().collect(),
            ..MetadataDelta::default()
        };
        if self.nodes[&id].alive {
            self.call(id, |replicas, ctx| replicas.apply_metadata(&image, &delta, ctx));
        }
    }

    pub(super) fn publish(&mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<i32>>() {
            self.publish_to(id);
        }
        self.settle();
    }

    /// Sends records with these values, in one batch; the token of the request.
    pub(super) fn produce(&mut self, to: i32, acks: i16, values: &[&str]) -> u64 {
        self.produce_batch(to, acks, batch(values).build().expect("a batch"))
    }

    /// The same of a batch that is there already.
    pub(super) fn produce_batch(&mut self, to: i32, acks: i16, batch: Bytes) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        let request = AppendRequest {
            token,
            from: NodeId::Client(1),
            acks,
            timeout: Duration::from_millis(3_000),
            entries: vec![(orders(), batch)],
        };
        self.call(to, |replicas, ctx| replicas.append_records(request, ctx));
        self.settle();
        token
    }

    /// The error of a produce request, if it is answered.
    pub(super) fn answer(&self, token: u64) -> Option<ErrorCode> {
        self.produced.get(&token).map(|result| result.error)
    }

    /// A consumer's fetch; the token of the request.
    pub(super) fn consume(&mut self, from: i32, offset: i64, min_bytes: i32) -> u64 {
        self.consume_in("", from, offset, min_bytes)
    }

    /// The same of a consumer in a rack.
    pub(super) fn consume_in(&mut self, rack: &'static str, from: i32, offset: i64, min_bytes: i32) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        let client_rack = crate::types::StrBytes::from_static_str(rack);
        let params = FetchParams { min_bytes, client_rack, ..consumers(token) };
        self.fetch(from, params, &[asking(offset)]);
        token
    }

    /// A fetch that asks `orders-0` for several things at once.
    pub(super) fn fetch(&mut self, from: i32, params: FetchParams, asks: &[FetchPartition]) {
        let asks = asks.iter().map(|ask| (orders(), *ask)).collect();
        self.call(from, |replicas, ctx| replicas.fetch(params, asks, ctx));
        self.settle();
    }

    /// The values that a consumer's fetch brought, or its error; none while it waits.
    pub(super) fn consumed(&self, token: u64) -> Option<Result<String, ErrorCode>> {
        self.consumed_each(token).map(|mut each| each.remove(0))
    }

    /// The same for every partition of a fetch.
    pub(super) fn consumed_each(&self, token: u64) -> Option<Vec<Result<String, ErrorCode>>> {
        let each = |result: &FetchResult| match result.error {
            ErrorCode::NONE => Ok(values(result.records.clone())),
            error => Err(error),
        };
        self.consumed.get(&token).map(|results| results.iter().map(each).collect())
    }

    /// Where a consumer's fetch was told to read instead.
    pub(super) fn sent_to(&self, token: u64) -> Option<i32> {
        self.consumed.get(&token).and_then(|results| results[0].preferred_read_replica)
    }

    /// Each broker in a rack of its own: broker 1 in `rack-1`.
    pub(super) fn spread(&mut self) {
        for (id, broker) in &mut self.image.brokers {
            broker.rack = Some(crate::types::StrBytes::from_string(format!("rack-{id}")));
        }
        self.publish();
    }

    pub(super) fn cancel(&mut self, id: i32, token: u64) {
        self.call(id, |replicas, _| replicas.cancel(token));
    }

    /// How many produce and fetch requests wait.
    pub(super) fn waiting(&self, id: i32) -> (usize, usize) {
        self.nodes[&id].replicas.waiting()
    }

    pub(super) fn list_latest(&mut self, id: i32) -> Result<i64, ErrorCode> {
        self.list(id, ListOffsetsQuery::LATEST)
    }

    /// The first offset at a timestamp or after it, for a consumer; -1 if there is none.
    pub(super) fn list(&mut self, id: i32, timestamp: i64) -> Result<i64, ErrorCode> {
        let query = ListOffsetsQuery {
            timestamp,
            isolation: Some(IsolationLevel::ReadUncommitted),
            current_leader_epoch: None,
        };
        let mut found = Ok(None);
        self.call(id, |replicas, ctx| found = replicas.list_offsets(&orders(), query, ctx));
        found.map(|listed| listed.map_or(-1, |listed| listed.offset.0))
    }

    /// Time passes, and what is due happens.
    pub(super) fn advance(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        loop {
            self.settle();
            let due =
                self.nodes.values().filter(|node| node.alive).filter_map(|node| node.replicas.next_deadline()).min();
            match due {
                Some(at) if at <= end => self.now = self.now.max(at),
                Some(_) | None => break,
            }
            for id in self.nodes.keys().copied().collect::<Vec<i32>>() {
                let node = &self.nodes[&id];
                if node.alive && node.replicas.next_deadline().is_some_and(|at| at <= self.now) {
                    self.call(id, |replicas, ctx| replicas.on_deadline(ctx));
                }
            }
        }
        self.now = end;
    }

    /// Answers a proposal that was held.
    pub(super) fn release(&mut self) {
        for (id, proposal) in std::mem::take(&mut self.held) {
            self.decide(id, &proposal, None);
        }
        self.settle();
    }

    // ---- what a test looks at ----

    pub(super) fn replica(&self, id: i32) -> ReplicaDescription {
        self.nodes[&id].replicas.describe().into_iter().next().expect("it has a replica of orders-0")
    }

    /// Log end and high watermark.
    pub(super) fn ends(&self, id: i32) -> (i64, i64) {
        let replica = self.replica(id);
        (replica.log_end.0, replica.high_watermark.0)
    }

    /// Whether a broker has a connection to another one.
    pub(super) fn is_connected(&self, from: i32, to: i32) -> bool {
        self.connections.values().any(|ends| *ends == (from, to))
    }

    pub(super) fn isr(&self, id: i32) -> Vec<i32> {
        self.replica(id).isr
    }

    /// The values in a log with their epochs: `0:a 0:b 1:c`.
    pub(super) fn log(&mut self, id: i32) -> String {
        let log = self.nodes[&id].replicas.log(&orders()).expect("a log");
        let batches = log.survey(Offset(0), self.disks.get_mut(&id).expect("a disk")).expect("readable");
        let mut words = Vec::new();
        for batch in batches {
            for record in batch.records() {
                let value = record.expect("a record").value.unwrap_or_default();
                words.push(format!("{}:{}", batch.partition_leader_epoch(), String::from_utf8_lossy(&value)));
            }
        }
        words.join(" ")
    }

    /// What was said since the last time, a line each.
    pub(super) fn take_transcript(&mut self) -> Vec<String> {
        std::mem::take(&mut self.transcript)
    }

    pub(super) fn note(&mut self, id: i32, fact: &Fact) {
        let line = match fact {
            Fact::BecameLeader { leader_epoch, isr, log_end, .. } => {
                format!("leads in epoch {leader_epoch} from {log_end}, ISR {isr:?}")
            }
            Fact::BecameFollower { leader_epoch, leader, log_end, .. } => {
                format!("follows {leader} in epoch {leader_epoch} from {log_end}")
            }
            Fact::Appended { role, base_offset, last_offset, .. } => match role {
                Role::Leader => format!("appends {base_offset}-{last_offset}"),
                Role::Follower => format!("copies {base_offset}-{last_offset}"),
            },
            Fact::HighWatermarkAdvanced { from, to, .. } => format!("high watermark {from} -> {to}"),
            Fact::FollowerFetched { follower, log_end, .. } => format!("hears that {follower} is at {log_end}"),
            Fact::ProduceAnswered { acks, error, .. } => format!("answers acks={acks} {error}"),
            Fact::IsrProposed { from, to, .. } => format!("proposes ISR {from:?} -> {to:?}"),
            Fact::Truncated { from, to, reason, .. } => format!("truncates {from} -> {to} {reason:?}"),
            Fact::TruncationForbidden { leader_end, log_end, .. } => {
                format!("may not truncate {log_end} -> {leader_end}")
            }
            Fact::AppendRefused { error, .. } => format!("refuses {error}"),
            Fact::StorageFailed { what } => format!("storage failed: {what}"),
            _ => return,
        };
        self.transcript.push(format!("{id}: {line}"));
    }
}

/// The values in what was read.
pub(super) fn values(records: Bytes) -> String {
    let mut words = Vec::new();
    for batch in batches(records) {
        for record in batch.expect("a batch").records() {
            let value = record.expect("a record").value.unwrap_or_default();
            words.push(String::from_utf8_lossy(&value).into_owned());
        }
    }
    words.join(" ")
}

/// A batch of records with these values.
pub(super) fn batch(values: &[&str]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(Compression::None, usize::MAX);
    for value in values {
        builder.append(Timestamp(1_000), None, Some(value.as_bytes()), &[]);
    }
    builder
}

//! The whole machine: given a state, one input, exactly these effects.

mod brokers;
mod durability;
mod elr;
mod fetches;
mod log_directories;
mod operations;
mod partitions;
mod topics;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::alter_partition_request::{self, AlterPartitionRequest, BrokerState};
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::{
    AlterPartitionResponse, BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerId, BrokerRegistrationRequest,
    BrokerRegistrationResponse, CreateTopicsRequest, CreateTopicsResponse,
};
use uuid::Uuid;

use super::Controller;
use crate::Fact;
use crate::config::{BrokerConfig, KafkaVersion};
use crate::machine::{Context, Effect, Effects, Input, Machine};
use crate::metadata::PartitionRegistration;
use crate::protocol::{ErrorCode, Request, Response};
use crate::storage::{FileId, MemoryStorage, OpenMode, Storage};
use crate::types::{
    ConnectionId, CorrelationId, Duration, Instant, NodeId, Prng, StrBytes, Timestamp, TopicName, TopicPartition,
};

const SESSION: Duration = Duration::from_secs(9);
const UNCLEAN_SCAN: Duration = Duration::from_secs(300);

fn config() -> BrokerConfig {
    let defaults = BrokerConfig::resolve(KafkaVersion::new(3, 9), &[]).expect("the defaults are in order").config;
    BrokerConfig {
        broker_id: 100,
        broker_session_timeout_ms: SESSION,
        unclean_leader_election_interval_ms: UNCLEAN_SCAN,
        auto_leader_rebalance_enable: false,
        ..defaults
    }
}

/// A disk that can fail, and that knows which log segments are not on the device yet.
#[derive(Clone, Default)]
struct TestDisk {
    memory: MemoryStorage,
    sync_fails: bool,
    append_fails: bool,
    segments: BTreeSet<FileId>,
    dirty: BTreeSet<FileId>,
}

impl Storage for TestDisk {
    fn open(&mut self, path: &str, mode: OpenMode) -> io::Result<FileId> {
        let file = self.memory.open(path, mode)?;
        if path.ends_with(".log") {
            self.segments.insert(file);
        }
        Ok(file)
    }
    fn close(&mut self, file: FileId) {
        self.memory.close(file);
    }
    fn append(&mut self, file: FileId, data: Bytes) -> io::Result<()> {
        if self.append_fails {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if self.segments.contains(&file) {
            self.dirty.insert(file);
        }
        self.memory.append(file, data)
    }
    fn read_at(&mut self, file: FileId, position: u64, len: usize) -> io::Result<Bytes> {
        self.memory.read_at(file, position, len)
    }
    fn len(&self, file: FileId) -> io::Result<u64> {
        self.memory.len(file)
    }
    fn truncate(&mut self, file: FileId, len: u64) -> io::Result<()> {
        self.memory.truncate(file, len)
    }
    fn sync(&mut self, file: FileId) -> io::Result<()> {
        if self.sync_fails {
            return Err(io::Error::other("EIO"));
        }
        self.dirty.remove(&file);
        self.memory.sync(file)
    }
    fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        self.memory.sync_dir(path)
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.memory.rename(from, to)
    }
    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.memory.remove(path)
    }
    fn create_dir(&mut self, path: &str) -> io::Result<()> {
        self.memory.create_dir(path)
    }
    fn list(&mut self, path: &str) -> io::Result<Vec<String>> {
        self.memory.list(path)
    }
    fn exists(&self, path: &str) -> bool {
        self.memory.exists(path)
    }
    fn elapsed(&self) -> Duration {
        self.memory.elapsed()
    }
}

/// What one input led to.
#[derive(Default)]
struct Outcome {
    facts: Vec<Fact>,
    replies: Vec<(ConnectionId, CorrelationId, Response)>,
    closed: Vec<ConnectionId>,
    exited: bool,
}

/// A controller on its own, with its disk and its time.
#[derive(Clone)]
struct Rig {
    config: Arc<BrokerConfig>,
    controller: Controller,
    disk: TestDisk,
    rng: Prng,
    now: Instant,
}

/// The incarnation of broker `broker` that is named `life`.
fn incarnation(broker: i32, life: u8) -> Uuid {
    Uuid::from_u128(u128::from(broker.unsigned_abs()) << 8 | u128::from(life))
}

fn name(text: &str) -> TopicName {
    TopicName(StrBytes::from_string(text.to_owned()))
}

impl Rig {
    fn with(config: BrokerConfig) -> Self {
        let config = Arc::new(config);
        let mut rig = Self {
            controller: Controller::new(100, Arc::clone(&config)),
            config,
            disk: TestDisk::default(),
            rng: Prng::new(7),
            now: Instant::START,
        };
        assert!(!rig.handle(Input::Start).exited);
        rig
    }

    fn new() -> Self {
        Self::with(config())
    }

    /// Brokers 1 to `count`, registered, caught up and unfenced.
    fn with_brokers(count: i32) -> Self {
        let mut rig = Self::new();
        for broker in 1..=count {
            rig.join(broker, 1);
        }
        rig
    }

    fn handle(&mut self, input: Input) -> Outcome {
        let mut effects = Effects::default();
        let wall_clock = Timestamp(1_700_000_000_000);
        let mut ctx = Context::new(self.now, wall_clock, &mut self.rng, &mut self.disk, &mut effects);
        self.controller.handle(input, &mut ctx);
        let mut outcome = Outcome::default();
        for (_, effect) in effects.said {
            match effect {
                // The log speaks for itself.
                Effect::Fact(Fact::Appended { .. }) => {}
                Effect::Fact(fact) => outcome.facts.push(fact),
                Effect::Reply { connection, correlation_id, response } => {
                    outcome.replies.push((connection, correlation_id, response));
                }
                Effect::Close(connection) => outcome.closed.push(connection),
                Effect::Exit => outcome.exited = true,
                other => panic!("a controller does not say {other:?}"),
            }
        }
        let silent = outcome.facts.is_empty() && outcome.replies.is_empty();
        assert!(silent || outcome.exited || self.disk.dirty.is_empty(), "it spoke before the log was on the device");
        outcome
    }

    fn request(&mut self, connection: u64, correlation_id: i32, request: impl Into<Request>) -> Outcome {
        self.handle(Input::Request {
            connection: ConnectionId(connection),
            from: NodeId::Broker(1),
            correlation_id,
            request: request.into(),
        })
    }

    /// A request on a connection of its own, its facts and the one response it gets.
    fn ask(&mut self, request: impl Into<Request>) -> (Vec<Fact>, Response) {
        let mut outcome = self.request(9_999, 5, request);
        let at = outcome.replies.iter().position(|(connection, _, _)| *connection == ConnectionId(9_999));
        let (_, correlation_id, response) =
            outcome.replies.remove(at.unwrap_or_else(|| panic!("not answered: {:?}", outcome.facts)));
        assert_eq!(correlation_id, 5);
        (outcome.facts, response)
    }

    /// Time passes; the deadline is delivered when it comes.
    fn pass(&mut self, time: Duration) -> Vec<Fact> {
        let until = self.now + time;
        let mut facts = Vec::new();
        while let Some(due) = self.controller.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            facts.extend(self.handle(Input::Deadline).facts);
        }
        self.now = until;
        facts
    }

    /// The process dies and another one starts on the same disk.
    fn restart(&mut self) -> Outcome {
        self.controller = Controller::new(100, Arc::clone(&self.config));
        self.handle(Input::Start)
    }

    fn register(&mut self, broker: i32, life: u8) -> (Vec<Fact>, BrokerRegistrationResponse) {
        let request = BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(broker))
            .with_incarnation_id(incarnation(broker, life));
        match self.ask(request) {
            (facts, Response::BrokerRegistration(response)) => (facts, *response),
            other => panic!("not a registration: {other:?}"),
        }
    }

    fn epoch_of(&self, broker: i32) -> i64 {
        self.controller.image().brokers.get(&broker).map_or(-1, |registration| registration.epoch.0)
    }

    fn heartbeat(
        &mut self,
        broker: i32,
        change: impl FnOnce(BrokerHeartbeatRequest) -> BrokerHeartbeatRequest,
    ) -> (Vec<Fact>, BrokerHeartbeatResponse) {
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(broker))
            .with_broker_epoch(self.epoch_of(broker))
            .with_current_metadata_offset(self.controller.image().last_applied.0);
        match self.ask(change(request)) {
            (facts, Response::BrokerHeartbeat(response)) => (facts, *response),
            other => panic!("not a heartbeat: {other:?}"),
        }
    }

    fn join(&mut self, broker: i32, life: u8) -> Vec<Fact> {
        assert_eq!(self.register(broker, life).1.error_code, 0);
        let (facts, response) = self.heartbeat(broker, |request| request);
        assert!(!response.is_fenced);
        facts
    }

    /// Everybody but `silent` sends a heartbeat every second until the session of `silent` has run out.
    fn lose(&mut self, silent: &[i32]) -> Vec<Fact> {
        let unfenced: Vec<i32> = {
            let brokers = self.controller.image().brokers.iter();
            brokers.filter(|(id, broker)| !broker.fenced && !silent.contains(id)).map(|(id, _)| *id).collect()
        };
        let mut facts = Vec::new();
        for _ in 0..10 {
            for broker in &unfenced {
                facts.extend(self.heartbeat(*broker, |request| request).0);
            }
            facts.extend(self.pass(Duration::from_secs(1)));
        }
        facts
    }

    fn create_topics(&mut self, topics: Vec<CreatableTopic>) -> (Vec<Fact>, CreateTopicsResponse) {
        match self.ask(CreateTopicsRequest::default().with_topics(topics)) {
            (facts, Response::CreateTopics(response)) => (facts, *response),
            other => panic!("not a creation: {other:?}"),
        }
    }

    /// Topic `orders` with one partition on these brokers.
    fn create_orders(&mut self, replicas: &[i32]) -> Vec<Fact> {
        let (facts, response) = self.create_topics(vec![assigned("orders", &[replicas])]);
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
        facts
    }

    fn orders(&self) -> &PartitionRegistration {
        &self.controller.image().partitions[&TopicPartition::of("orders", 0)]
    }

    /// The partition in a line: leader, ISR, leader epoch, partition epoch.
    fn line(&self) -> String {
        let orders = self.orders();
        format!("{} {:?} e{} p{}", orders.leader, orders.isr, orders.leader_epoch, orders.partition_epoch)
    }

    fn alter_partition(
        &mut self,
        leader: i32,
        isr: &[i32],
        change: impl FnOnce(&mut AlterPartitionRequest),
    ) -> (Vec<Fact>, AlterPartitionResponse) {
        let states = isr.iter().map(|broker| {
            BrokerState::default().with_broker_id(BrokerId(*broker)).with_broker_epoch(self.epoch_of(*broker))
        });
        let partition = alter_partition_request::PartitionData::default()
            .with_leader_epoch(self.orders().leader_epoch.0)
            .with_partition_epoch(self.orders().partition_epoch.0)
            .with_new_isr_with_epochs(states.collect());
        let topic = alter_partition_request::TopicData::default()
            .with_topic_id(self.controller.image().topics[&name("orders")].id)
            .with_partitions(vec![partition]);
        let mut request = AlterPartitionRequest::default()
            .with_broker_id(BrokerId(leader))
            .with_broker_epoch(self.epoch_of(leader))
            .with_topics(vec![topic]);
        change(&mut request);
        match self.ask(request) {
            (facts, Response::AlterPartition(response)) => (facts, *response),
            other => panic!("not an answer to AlterPartition: {other:?}"),
        }
    }
}

/// A topic with given replicas.
fn assigned(topic: &str, partitions: &[&[i32]]) -> CreatableTopic {
    let assignments = (0..).zip(partitions).map(|(index, replicas)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(index)
            .with_broker_ids(replicas.iter().map(|replica| BrokerId(*replica)).collect())
    });
    CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(assignments.collect())
}

fn error(code: i16) -> ErrorCode {
    ErrorCode(code)
}

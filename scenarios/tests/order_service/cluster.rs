//! The cluster that the order service runs against, and what watches it.

use std::sync::{Arc, Mutex, MutexGuard};

use ackproof::log::FactLog;
use ackproof_core::client::NewTopic;
use ackproof_core::config::{BrokerConfig, ConsumerConfig, KafkaVersion, ProducerConfig, Property};
use ackproof_core::fact::{Event, Observer};
use ackproof_core::types::{Duration, TopicPartition};
use ackproof_reports::contract::{ConsumerContract, Contract, Ending, OnError, ProducerContract, TopicContract};
use ackproof_reports::{Judge, Judgement, explain};
use ackproof_sim::faults::{Action, Condition, FactPattern, MessageFault, Selector, Step, Trigger};
use ackproof_sim::workload::{self, AtEnd, ConsumerWorkload, ProducerWorkload, Template};
use ackproof_sim::world::{Direction, Interference};
use ackproof_sim::{ClientKind, ClientSpec, ClusterSpec};

/// A shop: a topic of orders on three brokers, an order producer, an order consumer.
#[derive(Clone)]
pub struct Shop {
    acks: &'static str,
    steps: Vec<Step>,
    programs_inside: bool,
    log: Option<FactLog>,
    /// Properties of a consumer in the group `billing`.
    group: Option<&'static [(&'static str, &'static str)]>,
}

impl Shop {
    /// acks=all, two in-sync replicas needed.
    pub fn safe() -> Self {
        Self { acks: "all", steps: Vec::new(), programs_inside: false, log: None, group: None }
    }

    /// The same, with every fact told to `tracing`.
    pub fn told_by(self, log: FactLog) -> Self {
        Self { log: Some(log), ..self }
    }

    /// acks=1, and from the tenth order on the followers' fetches do not arrive.
    pub fn with_acks_1_and_late_followers() -> Self {
        let partition = || TopicPartition::of("orders", 0);
        let tenth = FactPattern {
            kind: "appended".to_owned(),
            node: None,
            fields: vec![
                ("partition".to_owned(), Condition::Is("orders-0".into())),
                ("last_offset".to_owned(), Condition::AtLeast(10)),
            ],
            times: 1,
        };
        let step = Step {
            name: "the followers' fetches are lost".to_owned(),
            not_before: None,
            trigger: Trigger::Fact(tenth),
            delay: Duration::ZERO,
            action: Action::Messages(MessageFault {
                api: Some("Fetch".to_owned()),
                direction: Some(Direction::Request),
                from: Some(Selector::FollowersOf(partition())),
                to: Some(Selector::LeaderOf(partition())),
                partition: None,
                interference: Interference::Drop,
                times: None,
                skip: 0,
            }),
            bind: None,
            lasts: Some(Duration::from_secs(10)),
        };
        Self { acks: "1", steps: vec![step], ..Self::safe() }
    }

    /// The consumer is in a group, with these properties.
    pub fn in_a_group(properties: &'static [(&'static str, &'static str)]) -> Self {
        Self { group: Some(properties), ..Self::safe() }
    }

    /// The same with programs that the world itself runs.
    pub fn with_programs_inside() -> Self {
        Self { programs_inside: true, ..Self::safe() }
    }

    pub fn spec(&self, seed: u64) -> Arc<ClusterSpec> {
        let version = KafkaVersion::new(3, 9);
        let server = |id: i32| {
            let properties = [Property::new("broker.id", id.to_string()), Property::new("min.insync.replicas", "2")];
            Arc::new(BrokerConfig::resolve(version, &properties).expect("known properties").config)
        };
        let mut spec = ClusterSpec::new(seed, server(100), (1..=3).map(server).collect());
        let partition = TopicPartition::of("orders", 0);
        spec.topics = vec![NewTopic {
            name: partition.topic.clone(),
            partitions: 1,
            replication_factor: 3,
            assignments: Vec::new(),
            configs: Vec::new(),
        }];
        spec.steps = self.steps.clone();
        let producer =
            ProducerConfig::resolve(version, &[Property::new("acks", self.acks)]).expect("known properties").config;
        let mut properties = vec![Property::new("auto.offset.reset", "earliest")];
        if let Some(own) = self.group {
            properties.push(Property::new("group.id", "billing"));
            properties.extend(own.iter().map(|(name, value)| Property::new(*name, *value)));
        }
        let consumer = ConsumerConfig::resolve(version, &properties).expect("known properties").config;
        let sends = self.programs_inside.then(|| ProducerWorkload {
            topic: partition.topic.clone(),
            partition: None,
            records: 50,
            first_after: Duration::ZERO,
            every: Duration::from_millis(7),
            burst: 1,
            key: None,
            value: Template::parse("order {n}").expect("a template"),
            tombstones: false,
            on_error: workload::OnError::Ignore,
            at_end: AtEnd::Close(Duration::FOREVER),
        });
        let reads = self
            .programs_inside
            .then(|| ConsumerWorkload::reading(workload::Source::Assign(vec![partition]), Duration::from_millis(100)));
        let client = |name: &str, kind| ClientSpec { name: name.to_owned(), kind, starts_after: Duration::ZERO };
        spec.clients = vec![
            client("orders-out", ClientKind::Producer(Arc::new(producer), sends.map(Arc::new))),
            client("orders-in", ClientKind::Consumer(Arc::new(consumer), reads.map(Arc::new))),
        ];
        Arc::new(spec)
    }

    fn contract(&self) -> Contract {
        Contract {
            producers: vec![ProducerContract {
                client: 0,
                name: "orders-out".to_owned(),
                client_id: String::new(),
                acks: if self.acks == "1" { 1 } else { -1 },
                idempotence: self.acks != "1",
                retries: u32::MAX,
                max_in_flight: 5,
                bumps_epoch: true,
                legacy: None,
                on_error: OnError::Resend,
                ending: Ending::Closes,
            }],
            topics: vec![TopicContract {
                name: "orders".to_owned(),
                replication_factor: 3,
                min_insync_replicas: 2,
                unclean_leader_election: false,
                eligible_leader_replicas: false,
                unclean_by_operator: false,
                flush_messages: u64::MAX,
                compacted: false,
                delete_retention_ms: 86_400_000,
            }],
            consumers: vec![ConsumerContract {
                client: 1,
                name: "orders-in".to_owned(),
                resets_to_latest: false,
                validates_position: true,
                topics: Vec::new(),
                group: self.group.map(|_| "billing".to_owned()),
                instance: None,
                returns_without_leading: false,
                says_processed: self.group.is_some(),
                commits_before_processing: false,
                upserts: false,
                last_wins: false,
                versioned: false,
            }],
            lacks: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// The facts of a run and their judge, shared with the host of the world.
#[derive(Clone)]
pub struct Shared {
    watch: Arc<Mutex<Watch>>,
    contract: Contract,
    log: Option<FactLog>,
}

struct Watch {
    judge: Judge,
    events: Vec<Event>,
}

struct Ear(Arc<Mutex<Watch>>, Option<FactLog>);

impl Observer for Ear {
    fn observe(&mut self, event: &Event) {
        if let Some(log) = &mut self.1 {
            log.observe(event);
        }
        let mut watch = self.0.lock().expect("no test goes on after a panic");
        watch.judge.observe(event);
        watch.events.push(event.clone());
    }
}

impl Shared {
    pub fn new(shop: &Shop) -> Self {
        let contract = shop.contract();
        let watch = Watch { judge: Judge::new(contract.clone()), events: Vec::new() };
        Self { watch: Arc::new(Mutex::new(watch)), contract, log: shop.log.clone() }
    }

    pub fn observer(&self) -> Box<dyn Observer + Send> {
        Box::new(Ear(self.watch.clone(), self.log.clone()))
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().expect("no test goes on after a panic")
    }

    pub fn events(&self) -> Vec<Event> {
        self.watch().events.clone()
    }

    pub fn count(&self, kind: &str) -> usize {
        self.watch().events.iter().filter(|event| event.fact.kind() == kind).count()
    }

    pub fn judgement(&self) -> Judgement {
        self.watch().judge.clone().finish()
    }

    /// The judgement with causes.
    pub fn explained(&self) -> Judgement {
        let mut judgement = self.judgement();
        explain(&mut judgement, &self.events(), &self.contract);
        judgement
    }
}

//! A small cluster with one producer and one consumer, said in a few words.

use std::sync::Arc;

use ackproof_core::client::NewTopic;
use ackproof_core::config::{BrokerConfig, ConsumerConfig, KafkaVersion, ProducerConfig, Property};
use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::types::{Duration, TopicPartition};
use ackproof_sim::faults::{Action, Condition, FactPattern, Selector, Step, Trigger};
use ackproof_sim::workload::{AtEnd, ConsumerWorkload, OnError, ProducerWorkload, Source, Template};
use ackproof_sim::{ClientKind, ClientSpec, ClusterSpec, World};

/// All facts of a run.
#[derive(Default)]
pub struct Facts {
    pub events: Vec<Event>,
}

impl Observer for Facts {
    fn observe(&mut self, event: &Event) {
        self.events.push(event.clone());
    }
}

impl Facts {
    pub fn count(&self, is: impl Fn(&Fact) -> bool) -> usize {
        self.events.iter().filter(|event| is(&event.fact)).count()
    }

    pub fn acknowledged(&self) -> usize {
        self.count(|fact| matches!(fact, Fact::RecordAcknowledged { .. }))
    }

    pub fn surveyed(&self) -> usize {
        self.count(|fact| matches!(fact, Fact::RecordSurveyed { .. }))
    }

    pub fn polled_offsets(&self) -> Vec<i64> {
        let offset = |event: &Event| match &event.fact {
            Fact::Polled { offset, .. } => Some(offset.0),
            _ => None,
        };
        self.events.iter().filter_map(offset).collect()
    }
}

/// What the cluster is to be like.
pub struct Build {
    version: KafkaVersion,
    broker: Vec<Property>,
    racks: Vec<(i32, &'static str)>,
    producer: Vec<Property>,
    records: u64,
    every: Duration,
    value_bytes: usize,
    at_end: AtEnd,
    pub steps: Vec<Step>,
}

pub fn partition() -> TopicPartition {
    TopicPartition::of("orders", 0)
}

/// A step that happens when the leader has appended so many records.
pub fn when_appended(last_offset: i64, action: Action) -> Step {
    let fields = vec![
        ("partition".to_owned(), Condition::Is("orders-0".into())),
        ("role".to_owned(), Condition::Is("leader".into())),
        ("last_offset".to_owned(), Condition::AtLeast(last_offset)),
    ];
    let pattern = FactPattern { kind: "appended".to_owned(), node: None, fields, times: 1 };
    step(Trigger::Fact(pattern), action)
}

pub fn step(trigger: Trigger, action: Action) -> Step {
    Step {
        name: format!("{action:?}"),
        not_before: None,
        trigger,
        delay: Duration::ZERO,
        action,
        bind: None,
        lasts: None,
    }
}

pub fn leader() -> Selector {
    Selector::LeaderOf(partition())
}

impl Build {
    pub fn new(version: &str) -> Self {
        Self {
            version: version.parse().expect("a version of Kafka"),
            broker: Vec::new(),
            racks: Vec::new(),
            producer: Vec::new(),
            records: 100,
            every: Duration::from_millis(10),
            value_bytes: 0,
            at_end: AtEnd::Close(Duration::FOREVER),
            steps: Vec::new(),
        }
    }

    pub fn broker(mut self, name: &str, value: &str) -> Self {
        self.broker.push(Property::new(name, value));
        self
    }

    pub fn rack(mut self, broker: i32, rack: &'static str) -> Self {
        self.racks.push((broker, rack));
        self
    }

    pub fn producer(mut self, name: &str, value: &str) -> Self {
        self.producer.push(Property::new(name, value));
        self
    }

    pub fn records(mut self, records: u64) -> Self {
        self.records = records;
        self
    }

    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    pub fn value_bytes(mut self, bytes: usize) -> Self {
        self.value_bytes = bytes;
        self
    }

    pub fn at_end(mut self, at_end: AtEnd) -> Self {
        self.at_end = at_end;
        self
    }

    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The leader is killed when it has appended offset `last_offset`, and started again 30 s later.
    pub fn kill_leader_after(self, last_offset: i64) -> Self {
        let kill = when_appended(last_offset, Action::Kill(leader()));
        self.step(Step { lasts: Some(Duration::from_secs(30)), ..kill })
    }

    pub fn run(self, seed: u64) -> (World, Facts) {
        let mut world = self.world(seed);
        let mut facts = Facts::default();
        world.run(&mut facts);
        (world, facts)
    }

    pub fn world(self, seed: u64) -> World {
        World::new(Arc::new(self.spec(seed)))
    }

    pub fn spec(self, seed: u64) -> ClusterSpec {
        let server = |id: i32| {
            let mut properties = vec![Property::new("broker.id", id.to_string())];
            properties.extend(self.broker.iter().cloned());
            let rack = self.racks.iter().find(|(broker, _)| *broker == id);
            properties.extend(rack.map(|(_, rack)| Property::new("broker.rack", *rack)));
            Arc::new(BrokerConfig::resolve(self.version, &properties).expect("known properties").config)
        };
        let mut spec = ClusterSpec::new(seed, server(100), (1..=3).map(server).collect());
        spec.topics = vec![NewTopic {
            name: partition().topic,
            partitions: 1,
            replication_factor: 3,
            assignments: Vec::new(),
            configs: Vec::new(),
        }];
        spec.steps = self.steps;
        let producer = ProducerConfig::resolve(self.version, &self.producer).expect("known properties").config;
        let earliest = [Property::new("auto.offset.reset", "earliest")];
        let consumer = ConsumerConfig::resolve(self.version, &earliest).expect("known properties").config;
        let sends = ProducerWorkload {
            topic: partition().topic,
            partition: None,
            records: self.records,
            first_after: Duration::ZERO,
            every: self.every,
            burst: 1,
            key: Template::parse("k{n%5}").ok(),
            value: Template::parse("order {n}").expect("a template").padded_to(self.value_bytes),
            tombstones: false,
            on_error: OnError::Ignore,
            at_end: self.at_end,
        };
        let reads = ConsumerWorkload::reading(Source::Assign(vec![partition()]), Duration::from_millis(500));
        let client = |name: &str, kind| ClientSpec { name: name.to_owned(), kind, starts_after: Duration::ZERO };
        spec.clients = vec![
            client("p1", ClientKind::Producer(Arc::new(producer), Some(Arc::new(sends)))),
            client("c1", ClientKind::Consumer(Arc::new(consumer), Some(Arc::new(reads)))),
        ];
        spec
    }
}

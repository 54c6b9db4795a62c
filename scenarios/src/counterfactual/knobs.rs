//! What a search for a smaller wrong may change, and what each change costs.
//!
//! Costs are ours, and only break ties between changes of equally many settings: a client's promise is cheaper than a topic's,
//! configuration is cheaper than code, code is cheaper than throughput, and an upgrade is dearest.
//!
//! Not modelled: properties of one client or broker alone; values between those of the list.

use ackproof_core::config::Toggles;

use crate::document::{AtEnd, Fix, FixedCluster, FixedConfig, FixedProducer, FixedTopic, OnError, Properties};
use crate::document::{Value, Written};

/// One setting with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Knob {
    pub cost: u32,
    pub setting: Setting,
}

/// What a knob turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Producer(&'static str, &'static str),
    Consumer(&'static str, &'static str),
    Topic(&'static str, &'static str),
    Cluster(&'static str, &'static str),
    ReplicationFactor(i16),
    OnError(OnError),
    AtEnd(AtEnd),
    Toggle(&'static str, &'static str),
    Version(&'static str),
}

use Setting::{Cluster, Consumer, Producer, ReplicationFactor, Topic, Version};

const CLIENT: u32 = 1;
const PROMISE_OF_TOPIC: u32 = 2;
const LIMIT: u32 = 3;
const CODE: u32 = 4;
const THROUGHPUT: u32 = 5;
const HARDWARE: u32 = 6;
const UPGRADE: u32 = 9;

const SETTINGS: &[(u32, Setting)] = &[
    (CLIENT, Producer("acks", "1")),
    (CLIENT, Producer("acks", "all")),
    (CLIENT, Producer("request.required.acks", "1")),
    (CLIENT, Producer("request.required.acks", "-1")),
    (CLIENT, Producer("enable.idempotence", "true")),
    (CLIENT, Producer("retries", "2147483647")),
    (CLIENT, Producer("message.send.max.retries", "100")),
    (CLIENT, Consumer("auto.offset.reset", "earliest")),
    (CLIENT, Consumer("isolation.level", "read_committed")),
    (PROMISE_OF_TOPIC, Topic("min.insync.replicas", "2")),
    (PROMISE_OF_TOPIC, Topic("unclean.leader.election.enable", "false")),
    (PROMISE_OF_TOPIC, Topic("max.message.bytes", "1048588")),
    (PROMISE_OF_TOPIC, Topic("retention.ms", "-1")),
    (PROMISE_OF_TOPIC, Topic("retention.bytes", "-1")),
    (PROMISE_OF_TOPIC, Topic("cleanup.policy", "delete")),
    (LIMIT, Producer("delivery.timeout.ms", "300000")),
    (LIMIT, Producer("request.timeout.ms", "120000")),
    (LIMIT, Producer("max.block.ms", "300000")),
    (LIMIT, Producer("buffer.memory", "1073741824")),
    (LIMIT, Producer("max.request.size", "104857600")),
    (LIMIT, Producer("queue.enqueue.timeout.ms", "-1")),
    (LIMIT, Producer("queue.buffering.max.messages", "1000000")),
    (LIMIT, Producer("linger.ms", "0")),
    (LIMIT, Cluster("broker.session.timeout.ms", "60000")),
    (LIMIT, Cluster("replica.lag.time.max.ms", "120000")),
    (LIMIT, Cluster("replica.lag.time.max.ms", "10000")),
    (CODE, Setting::AtEnd(AtEnd::Close)),
    (CODE, Setting::OnError(OnError::Resend)),
    (CODE, Consumer("enable.auto.commit", "false")),
    (THROUGHPUT, Producer("max.in.flight.requests.per.connection", "1")),
    (THROUGHPUT, Producer("max.in.flight.requests.per.connection", "5")),
    (THROUGHPUT, Producer("producer.type", "sync")),
    (THROUGHPUT, Topic("flush.messages", "1")),
    (THROUGHPUT, Topic("min.insync.replicas", "3")),
    (HARDWARE, ReplicationFactor(3)),
    (HARDWARE, ReplicationFactor(5)),
    (UPGRADE, Version("3.9")),
    (UPGRADE, Version("4.1")),
];

/// All of them; historical fixes cost as much as the upgrade that brings them.
pub(super) fn all() -> Vec<Knob> {
    let settings = SETTINGS.iter().map(|(cost, setting)| Knob { cost: *cost, setting: *setting });
    let toggles = Toggles::NAMES.iter().map(|name| {
        let value = if *name == "truncation" { "truncate_on_fetch" } else { "true" };
        Knob { cost: UPGRADE, setting: Setting::Toggle(name, value) }
    });
    settings.chain(toggles).collect()
}

impl Knob {
    /// What it turns, so that one change does not turn it twice.
    pub fn name(&self) -> &'static str {
        match self.setting {
            Producer(name, _) | Consumer(name, _) | Topic(name, _) | Cluster(name, _) | Setting::Toggle(name, _) => {
                name
            }
            ReplicationFactor(_) => "replication factor",
            Setting::OnError(_) => "on-error",
            Setting::AtEnd(_) => "at-end",
            Version(_) => "version",
        }
    }
}

/// Several knobs as one change.
pub(super) fn change(knobs: &[Knob]) -> Fix {
    let mut producer = FixedProducer::default();
    let mut consumer = FixedConfig::default();
    let mut topic = FixedTopic::default();
    let mut cluster = FixedCluster::default();
    for knob in knobs {
        match knob.setting {
            Producer(name, value) => set(&mut producer.config, name, value),
            Consumer(name, value) => set(&mut consumer.config, name, value),
            Topic(name, value) => set(&mut topic.config, name, value),
            Cluster(name, value) => set(&mut cluster.config, name, value),
            ReplicationFactor(factor) => topic.replication_factor = Some(here(factor)),
            Setting::OnError(on_error) => producer.on_error = Some(here(on_error)),
            Setting::AtEnd(at_end) => producer.at_end = Some(here(at_end)),
            Setting::Toggle(name, value) => set(&mut cluster.toggles, name, value),
            Version(version) => cluster.kafka = Some(here(version.to_owned())),
        }
    }
    Fix { cluster: Some(cluster), topic: Some(topic), producer: Some(producer), consumer: Some(consumer) }
}

fn set(properties: &mut Properties, name: &str, value: &str) {
    properties.insert(here(name.to_owned()), here(Value::Text(value.to_owned())));
}

/// A value that stands in no file.
fn here<T>(value: T) -> Written<T> {
    Written::new(value, 0..0)
}

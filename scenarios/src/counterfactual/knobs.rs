//! What a search for a smaller wrong may change, and what each change costs.
//!
//! Costs are ours, and only break ties between changes of equally many settings: a client's promise is cheaper than a topic's,
//! configuration is cheaper than code, code is cheaper than throughput, and an upgrade is dearest.
//!
//! Not modelled: properties of one client or broker alone; values between those of the list.

use ackproof_core::config::{GroupProtocol, Toggles};
use ackproof_sim::{ClientKind, workload};

use crate::document::{
    AtEnd, Commit, CommitFailure, Fix, FixedCluster, FixedConsumer, FixedProducer, FixedTopic, OnError, OnFailure,
    Properties, Sink, Then, Value, Written,
};
use crate::scenario::Scenario;

/// One setting with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Knob {
    pub cost: u32,
    pub setting: Setting,
}

/// What a knob turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// Of Java producers.
    Producer(&'static str, &'static str),
    /// Of Scala producers.
    Legacy(&'static str, &'static str),
    Consumer(&'static str, &'static str),
    Topic(&'static str, &'static str),
    Cluster(&'static str, &'static str),
    ReplicationFactor(i16),
    OnError(OnError),
    AtEnd(AtEnd),
    HandOver(bool),
    Commit(Commit),
    Sink(Sink),
    CommitFailure(CommitFailure),
    OnFailure(Then),
    Toggle(&'static str, &'static str),
    Version(&'static str),
}

use Setting::{Cluster, Consumer, Legacy, Producer, ReplicationFactor, Topic, Version};

/// A historical fix, where something happened that no configuration permits: a bug is mended before it is worked round.
const BUG_FIX: u32 = 0;
/// What a client asks for.
const CLIENT: u32 = 1;
/// What a topic promises.
const PROMISE_OF_TOPIC: u32 = 2;
/// How long and how much a client waits.
const LIMIT: u32 = 3;
/// What the application does.
const CODE: u32 = 4;
/// What makes every write slower.
const THROUGHPUT: u32 = 5;
/// More disks.
const HARDWARE: u32 = 6;
/// What makes the cluster see a failure later, or more often where there is none.
const LATE: u32 = 7;
/// Another Kafka.
const UPGRADE: u32 = 9;

const SETTINGS: &[(u32, Setting)] = &[
    (CLIENT, Producer("acks", "1")),
    (CLIENT, Producer("acks", "all")),
    (CLIENT, Legacy("request.required.acks", "1")),
    (CLIENT, Legacy("request.required.acks", "-1")),
    (CLIENT, Producer("enable.idempotence", "true")),
    (CLIENT, Producer("retries", "2147483647")),
    (CLIENT, Legacy("message.send.max.retries", "100")),
    (CLIENT, Consumer("auto.offset.reset", "earliest")),
    (CLIENT, Consumer("isolation.level", "read_committed")),
    (PROMISE_OF_TOPIC, Topic("min.insync.replicas", "2")),
    (PROMISE_OF_TOPIC, Topic("unclean.leader.election.enable", "false")),
    (PROMISE_OF_TOPIC, Topic("max.message.bytes", "1048588")),
    (PROMISE_OF_TOPIC, Topic("retention.ms", "-1")),
    (PROMISE_OF_TOPIC, Topic("retention.bytes", "-1")),
    (PROMISE_OF_TOPIC, Topic("cleanup.policy", "delete")),
    (LIMIT, Cluster("group.share.record.lock.duration.ms", "60000")),
    (LIMIT, Cluster("group.share.delivery.count.limit", "10")),
    (LIMIT, Producer("delivery.timeout.ms", "300000")),
    (LIMIT, Producer("request.timeout.ms", "120000")),
    (LIMIT, Producer("max.block.ms", "300000")),
    (LIMIT, Producer("buffer.memory", "1073741824")),
    (LIMIT, Producer("max.request.size", "104857600")),
    (LIMIT, Legacy("retry.backoff.ms", "1000")),
    (LIMIT, Legacy("queue.enqueue.timeout.ms", "-1")),
    (LIMIT, Legacy("queue.buffering.max.messages", "1000000")),
    (CODE, Setting::AtEnd(AtEnd::Close)),
    (CODE, Setting::OnError(OnError::Resend)),
    (CODE, Consumer("enable.auto.commit", "false")),
    (CODE, Setting::HandOver(false)),
    (CODE, Setting::Commit(Commit::AfterProcessing)),
    (CODE, Setting::CommitFailure(CommitFailure::RepeatIfLatest)),
    (CODE, Setting::OnFailure(Then::Block)),
    (CODE, Setting::Sink(Sink::Upsert)),
    (CODE, Setting::Sink(Sink::Versioned)),
    (CODE, Setting::Sink(Sink::Transaction)),
    (CODE, Setting::Sink(Sink::CompareAndSet)),
    (THROUGHPUT, Producer("max.in.flight.requests.per.connection", "5")),
    (THROUGHPUT, Producer("max.in.flight.requests.per.connection", "1")),
    (THROUGHPUT, Producer("linger.ms", "0")),
    (THROUGHPUT, Legacy("producer.type", "sync")),
    (THROUGHPUT, Topic("flush.messages", "1")),
    (THROUGHPUT, Topic("min.insync.replicas", "3")),
    (HARDWARE, ReplicationFactor(3)),
    (HARDWARE, ReplicationFactor(5)),
    (LATE, Cluster("broker.session.timeout.ms", "60000")),
    (LATE, Cluster("replica.lag.time.max.ms", "10000")),
    (LATE, Cluster("replica.lag.time.max.ms", "120000")),
    (UPGRADE, Version("3.9")),
    (UPGRADE, Version("4.1")),
];

/// Those that mean something to a scenario, the cheaper ones first. Historical fixes cost as much as the upgrade that brings
/// them, unless it is a bug that is looked into.
pub(super) fn of(scenario: &Scenario, is_bug: bool) -> Vec<Knob> {
    let settings = SETTINGS.iter().map(|(cost, setting)| Knob { cost: *cost, setting: *setting });
    let toggles = Toggles::NAMES.iter().map(|name| {
        let value = match *name {
            "truncation" => "truncate_on_fetch",
            "dedupe_window" => "5",
            _ => "true",
        };
        Knob { cost: if is_bug { BUG_FIX } else { UPGRADE }, setting: Setting::Toggle(name, value) }
    });
    let mut knobs: Vec<Knob> = settings.chain(toggles).filter(|knob| knob.setting.concerns(scenario)).collect();
    knobs.sort_by_key(|knob| knob.cost);
    knobs
}

impl Setting {
    /// Whether the scenario has what it is a setting of.
    fn concerns(self, scenario: &Scenario) -> bool {
        let has = |fits: fn(&ClientKind) -> bool| scenario.clients.iter().any(|client| fits(&client.kind));
        match self {
            Producer(..) => has(|kind| matches!(kind, ClientKind::Producer(..))),
            Legacy(..) => has(|kind| matches!(kind, ClientKind::LegacyProducer(..))),
            Setting::Sink(Sink::Transaction | Sink::CompareAndSet) => {
                has(|kind| matches!(kind, ClientKind::Consumer(_, Some(workload)) if workload.store.is_some()))
            }
            // Only where a key has one value are there versions of it.
            Setting::Sink(Sink::Versioned) => has(
                |kind| matches!(kind, ClientKind::Consumer(_, Some(workload)) if workload.sink == workload::Sink::LastWrite),
            ),
            Setting::HandOver(_)
            | Setting::Commit(_)
            | Setting::Sink(_)
            | Setting::CommitFailure(_)
            | Setting::OnFailure(_) => {
                has(|kind| matches!(kind, ClientKind::Consumer(config, _) if config.group_id.is_some()))
            }
            Consumer(..) => has(|kind| matches!(kind, ClientKind::Consumer(..))),
            Setting::OnError(_) | Setting::AtEnd(_) => {
                has(|kind| matches!(kind, ClientKind::Producer(..) | ClientKind::LegacyProducer(..)))
            }
            Cluster(name, _) if name.starts_with("group.share.") => has(
                |kind| matches!(kind, ClientKind::Consumer(config, _) if config.group_protocol == GroupProtocol::Share),
            ),
            Topic(..) | Cluster(..) | ReplicationFactor(_) | Setting::Toggle(..) | Version(_) => true,
        }
    }
}

impl Knob {
    /// Whether it only makes the cluster see a failure later or earlier: that is the last resort.
    pub fn is_late(&self) -> bool {
        self.cost == LATE
    }

    /// What it turns, so that one change does not turn it twice.
    pub fn name(&self) -> &'static str {
        match self.setting {
            Producer(name, _)
            | Legacy(name, _)
            | Consumer(name, _)
            | Topic(name, _)
            | Cluster(name, _)
            | Setting::Toggle(name, _) => name,
            ReplicationFactor(_) => "replication factor",
            Setting::OnError(_) => "on-error",
            Setting::AtEnd(_) => "at-end",
            Setting::HandOver(_) => "hand-over",
            Setting::Commit(_) => "commit",
            Setting::Sink(_) => "sink",
            Setting::CommitFailure(_) => "commit-failure",
            Setting::OnFailure(_) => "on-failure",
            Version(_) => "version",
        }
    }
}

/// Several knobs as one change.
pub(super) fn change(knobs: &[Knob]) -> Fix {
    let mut producer = FixedProducer::default();
    let mut consumer = FixedConsumer::default();
    let mut topic = FixedTopic::default();
    let mut cluster = FixedCluster::default();
    for knob in knobs {
        match knob.setting {
            Producer(name, value) | Legacy(name, value) => set(&mut producer.config, name, value),
            Consumer(name, value) => set(&mut consumer.config, name, value),
            Topic(name, value) => set(&mut topic.config, name, value),
            Cluster(name, value) => set(&mut cluster.config, name, value),
            ReplicationFactor(factor) => topic.replication_factor = Some(here(factor)),
            Setting::OnError(on_error) => producer.on_error = Some(here(on_error)),
            Setting::AtEnd(at_end) => producer.at_end = Some(here(at_end)),
            Setting::HandOver(hand_over) => consumer.hand_over = Some(here(hand_over)),
            Setting::Commit(commit) => consumer.commit = Some(here(commit)),
            Setting::Sink(sink) => consumer.sink = Some(here(sink)),
            Setting::CommitFailure(failure) => consumer.commit_failure = Some(here(failure)),
            Setting::OnFailure(then) => {
                let then = Some(here(then));
                consumer.on_failure = Some(here(OnFailure { then, ..OnFailure::default() }));
            }
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

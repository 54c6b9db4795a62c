//! The plan of a world, drawn: cluster, topics and clients. Faults are `faults.rs`'s.
//!
//! Swarm testing (Groce et al., 2012): each world leaves most of what is possible out, so that no feature hides another.
//! What is drawn is a scenario file, so a world that fails can be read, changed and run again by anybody.
//!
//! Not modelled: ZooKeeper and the Scala producer are not drawn; names and texts are always the same few.

use std::fmt;
use std::str::FromStr;

use ackproof_sim::ClientKind;
use toml::{Table, Value};

use super::dice::Dice;
use super::faults;
use super::focus;
use super::groups;
use super::habits;
use super::sharing;
use super::survive::Budget;
use crate::diagnostics::Diagnostics;
use crate::form::{Form, table, text};
use crate::library::Place;
use crate::scenario::Scenario;
use crate::shrink::with_files;

/// The seeds of the parts of a plan. A world that is drawn afresh has its own number for each; one that was bred from
/// another keeps some of that one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parts {
    /// Of brokers, network and disks.
    pub cluster: u64,
    /// Of topics and clients.
    pub clients: u64,
    /// Of what is done to them.
    pub faults: u64,
}

impl Parts {
    /// All of one seed.
    pub fn fresh(seed: u64) -> Self {
        Self { cluster: seed, clients: seed, faults: seed }
    }

    /// The same with one or two parts drawn anew.
    pub fn bred(self, seed: u64) -> Self {
        match Dice::new(seed, "breed").between(0, 5) {
            0 => Self { cluster: seed, ..self },
            1 => Self { clients: seed, ..self },
            2 => Self { cluster: seed, clients: seed, ..self },
            _ => Self { faults: seed, ..self },
        }
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.clients, self.faults)
    }
}

impl FromStr for Parts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Option<Vec<u64>> = text.split('/').map(|part| part.parse().ok()).collect();
        match parts.as_deref() {
            Some([cluster, clients, faults]) => Ok(Parts { cluster: *cluster, clients: *clients, faults: *faults }),
            _ => Err(format!("`{text}`: write three seeds, like 17/17/903")),
        }
    }
}

/// What all worlds of a campaign have in common.
#[derive(Clone, Debug)]
pub enum Basis {
    /// Nothing: everything is drawn.
    Nothing,
    /// A scenario: only what is done to it is drawn.
    Given(Box<Given>),
}

/// A scenario whose own steps and expectations are left out.
#[derive(Clone, Debug)]
pub struct Given {
    /// What is left.
    form: Form,
    /// What faults can be done to.
    shape: Shape,
    /// Where it was read from: files that it names lie there.
    place: Place,
}

impl Given {
    /// From a file.
    pub fn load(place: &Place) -> Result<Given, Diagnostics> {
        // What is wrong with it is said with its own lines.
        Scenario::load(place)?.runs_alone()?;
        let bytes = place.read().unwrap_or_default();
        // It was read as a scenario just now, so it is text and TOML.
        Given::of(&Form::parse(&String::from_utf8_lossy(&bytes)).unwrap_or_default(), place)
    }

    /// From a form, as if it stood at a place.
    pub fn of(form: &Form, place: &Place) -> Result<Given, Diagnostics> {
        let scenario = form.understand(place)?;
        let mut form = form.clone();
        for key in ["step", "expect", "fix", "mutation", "seeds", "story", "catalog"] {
            form.0.remove(key);
        }
        Ok(Given { form, shape: Shape::of(&scenario), place: place.clone() })
    }

    /// What it is called.
    pub fn name(&self) -> String {
        self.place.name()
    }

    /// What it says, with the files that it names.
    pub fn text(&self) -> String {
        with_files(&self.form, &self.place).text()
    }
}

impl Basis {
    /// Where a world's file would lie, so that the files it names are found.
    pub fn place(&self, name: &str) -> Place {
        match self {
            Basis::Nothing => Place::Disk(name.into()),
            Basis::Given(given) => given.place.sibling(name),
        }
    }
}

/// What faults can be done to: the names of a plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// Ids of brokers.
    pub brokers: Vec<i32>,
    /// Names of racks with more than one broker in the cluster outside of them.
    pub racks: Vec<String>,
    /// Topics with the number of their partitions and of the replicas of each.
    pub topics: Vec<(String, u32, usize)>,
    /// The broker that most of what happens happens to: races are lost by who has just been hurt.
    pub victim: Option<i32>,
    /// Names of clients.
    pub clients: Vec<String>,
    /// The replicas of the one partition of a small world, the preferred leader first; none, if it is not small.
    pub replicas: Vec<i32>,
    /// The consumers of a small world.
    pub readers: Vec<String>,
    /// The members of the group of a small group; none, if it is not one.
    pub members: Vec<String>,
    /// Names of consumer groups.
    pub groups: Vec<String>,
    /// What its clients ask beside producing and fetching.
    pub apis: Vec<&'static str>,
    /// How many records are sent.
    pub records: u64,
    /// When the first one is, in milliseconds: what happens before meets no work.
    pub work_begins: u64,
}

impl Shape {
    /// That of a scenario.
    pub fn of(scenario: &Scenario) -> Shape {
        let mut shape = Shape::default();
        let mut begins: Option<u64> = None;
        for broker in &scenario.cluster.brokers {
            shape.brokers.push(broker.broker_id);
            if let Some(rack) = &broker.broker_rack
                && !shape.racks.contains(rack)
            {
                shape.racks.push(rack.clone());
            }
        }
        for topic in &scenario.topics {
            let given = (topic.assignments.len(), topic.assignments.first().map_or(0, Vec::len));
            let (partitions, replicas) = match given {
                (0, _) => (usize::try_from(topic.partitions), usize::try_from(topic.replication_factor)),
                (partitions, replicas) => (Ok(partitions), Ok(replicas)),
            };
            let partitions = u32::try_from(partitions.unwrap_or(1)).unwrap_or(1);
            let replicas = replicas.unwrap_or(scenario.cluster.brokers.len().min(3));
            shape.topics.push((topic.name.as_str().to_owned(), partitions.max(1), replicas.max(1)));
        }
        for client in &scenario.clients {
            shape.clients.push(client.name.clone());
            match &client.kind {
                ClientKind::Consumer(config, _) => {
                    if let Some(group) = config.group_id.clone().filter(|group| !shape.groups.contains(group)) {
                        shape.groups.push(group);
                    }
                }
                ClientKind::Producer(_, Some(load)) | ClientKind::LegacyProducer(_, Some(load)) => {
                    shape.records += load.records;
                    let first = (client.starts_after + load.first_after).as_millis();
                    begins = Some(begins.map_or(first, |known| known.min(first)));
                }
                _ => {}
            }
        }
        shape.work_begins = begins.unwrap_or(0);
        shape
    }
}

/// The plan of a world. The seed of its run is not a part of it.
pub fn draw(parts: Parts, basis: &Basis, budget: Option<&Budget>) -> Form {
    let (mut form, shape) = match basis {
        Basis::Given(given) => (given.form.clone(), given.shape.clone()),
        Basis::Nothing => drawn(parts, budget.is_some_and(Budget::has_racks)),
    };
    let steps = faults::draw(parts.faults, shape, budget);
    if !steps.is_empty() {
        form.sections_mut("step").extend(steps.into_iter().map(Value::Table));
    }
    form.0.entry("expect").or_insert_with(|| Value::Table(table([("clean", Value::Boolean(true))])));
    form
}

/// Without a basis. Where racks lose their power there are some.
fn drawn(parts: Parts, has_racks: bool) -> (Form, Shape) {
    let mut form = Form::default();
    let mut shape = Shape::default();
    form.0.insert("title".into(), text("Drawn by chaos"));
    // A JoinGroup request waits for max.poll.interval.ms and 5 s more when its broker is gone without a word.
    form.0.insert("settle-limit".into(), text("10m"));
    form.0.insert("time-limit".into(), text("15m"));
    if !has_racks && let Some(shape) = focus::add(parts, &mut form).or_else(|| groups::add(parts, &mut form)) {
        return (form, shape);
    }
    let mut dice = Dice::new(parts.cluster, "cluster");
    let mut cluster = cluster(&mut dice, &mut shape);
    if has_racks && shape.racks.is_empty() {
        with_racks(parts, &mut shape, &mut cluster);
    }
    form.0.insert("cluster".into(), Value::Table(cluster));
    let mut dice = Dice::new(parts.clients, "clients");
    let topics = usize::try_from(dice.between(1, 5)).map_or(1, |drawn| if drawn == 5 { 2 } else { 1 });
    for name in &["orders", "payments"][..topics] {
        let topic = topic(&mut dice, name, &mut shape);
        form.sections_mut("topic").push(Value::Table(topic));
    }
    for number in 1..=dice.between(1, 3) {
        let producer = producer(&mut dice, number, &mut shape);
        form.sections_mut("producer").push(Value::Table(producer));
    }
    for number in 1..=dice.between(0, 3) {
        let consumer = consumer(&mut dice, number, &mut shape);
        form.sections_mut("consumer").push(Value::Table(consumer));
    }
    habits::add(parts, &mut form);
    sharing::add(parts, &mut form);
    shape.apis = habits::spoken(&mut form);
    (form, shape)
}

const VERSIONS: [&str; 6] = ["2.2", "2.8", "3.5", "3.9", "4.0", "4.1"];

/// Brokers, network and disks.
pub(super) fn cluster(dice: &mut Dice, shape: &mut Shape) -> Table {
    let brokers = *dice.pick(&[1, 2, 3, 3, 3, 3, 4, 5]);
    shape.brokers = (1..=brokers).collect();
    let mut cluster = table([("kafka", text(*dice.pick(&VERSIONS))), ("brokers", Value::Integer(brokers.into()))]);
    let mut config = Table::new();
    config.insert("offsets.topic.replication.factor".into(), Value::Integer(brokers.min(3).into()));
    config.insert("offsets.topic.num.partitions".into(), Value::Integer(dice.number(1, 3)));
    if dice.chance(1, 4) {
        config.insert("replica.lag.time.max.ms".into(), Value::Integer(*dice.pick(&[500, 2_000, 10_000])));
    }
    if dice.chance(1, 8) {
        config.insert("num.replica.fetchers".into(), Value::Integer(2));
    }
    cluster.insert("config".into(), Value::Table(config));
    if brokers >= 3 && dice.chance(1, 3) {
        racks(dice, brokers, shape, &mut cluster);
    }
    if dice.chance(1, 3) {
        let latency = *dice.pick(&["100us..500us", "1ms..5ms", "50us..20ms", "20ms..40ms"]);
        let mut network = table([("latency", text(latency))]);
        if dice.chance(1, 3) {
            network.insert("loss".into(), text(*dice.pick(&["1/1000", "1/100", "1/20"])));
        }
        cluster.insert("network".into(), Value::Table(network));
    }
    if dice.chance(1, 3) {
        let disk = table([
            ("sync", text(*dice.pick(&["200us", "5ms", "50ms"]))),
            ("writeback", text(*dice.pick(&["1s", "5s", "30s"]))),
            ("writeback-interval", text("1s")),
        ]);
        cluster.insert("disk".into(), Value::Table(disk));
    }
    cluster
}

/// Puts the brokers of a cluster into racks, and adds some if there are too few.
fn with_racks(parts: Parts, shape: &mut Shape, cluster: &mut Table) {
    let brokers = i32::try_from(shape.brokers.len()).unwrap_or(i32::MAX).max(3);
    shape.brokers = (1..=brokers).collect();
    cluster.insert("brokers".into(), Value::Integer(brokers.into()));
    racks(&mut Dice::new(parts.cluster, "racks"), brokers, shape, cluster);
}

fn racks(dice: &mut Dice, brokers: i32, shape: &mut Shape, cluster: &mut Table) {
    let racks = i32::try_from(dice.between(2, 3)).unwrap_or(2);
    let of_broker = (1..=brokers).map(|id| {
        let config = table([("broker.rack", text(format!("r{}", id % racks + 1)))]);
        Value::Table(table([("id", Value::Integer(id.into())), ("config", Value::Table(config))]))
    });
    cluster.insert("broker".into(), Value::Array(of_broker.collect()));
    shape.racks = (1..=racks).map(|rack| format!("r{rack}")).collect();
}

/// A topic, and in the shape what can be done to it.
pub(super) fn topic(dice: &mut Dice, name: &str, shape: &mut Shape) -> Table {
    let brokers = u32::try_from(shape.brokers.len()).unwrap_or(1);
    let partitions = *dice.pick(&[1, 1, 1, 2, 3]);
    let replicas = if dice.chance(3, 4) { brokers.min(3) } else { dice.number(1, brokers).try_into().unwrap_or(1) };
    let mut config = Table::new();
    if replicas > 1 && dice.chance(2, 3) {
        config.insert("min.insync.replicas".into(), Value::Integer(dice.number(1, replicas)));
    }
    if dice.chance(1, 8) {
        config.insert("unclean.leader.election.enable".into(), Value::Boolean(true));
    }
    if dice.chance(1, 8) {
        config.insert("flush.messages".into(), Value::Integer(1));
    }
    if dice.chance(1, 5) {
        config.insert("segment.ms".into(), Value::Integer(*dice.pick(&[100, 1_000])));
    }
    shape.topics.push((name.to_owned(), partitions, replicas.try_into().unwrap_or(1)));
    table([
        ("name", text(name)),
        ("partitions", Value::Integer(partitions.into())),
        ("replication-factor", Value::Integer(replicas.into())),
        ("config", Value::Table(config)),
    ])
}

fn producer(dice: &mut Dice, number: u64, shape: &mut Shape) -> Table {
    let name = format!("p{number}");
    let (topic, ..) = dice.pick(&shape.topics).clone();
    let records = dice.number(10, 120);
    shape.records += records.unsigned_abs();
    let mut config = Table::new();
    let acks = *dice.pick(&["all", "all", "all", "all", "all", "1", "1", "0"]);
    config.insert("acks".into(), text(acks));
    let idempotent = acks == "all" && dice.chance(2, 3);
    config.insert("enable.idempotence".into(), Value::Boolean(idempotent));
    let mut set = |name: &str, value: i64| drop(config.insert(name.to_owned(), Value::Integer(value)));
    if dice.chance(1, 2) {
        set("linger.ms", *dice.pick(&[0, 5, 50]));
    }
    if dice.chance(1, 3) {
        set("batch.size", *dice.pick(&[0, 200, 1_000]));
    }
    if dice.chance(1, 3) {
        set("max.in.flight.requests.per.connection", *dice.pick(&[1, 2, 5]));
    }
    if !idempotent && dice.chance(1, 4) {
        set("retries", *dice.pick(&[0, 1, 3]));
    }
    if dice.chance(1, 3) {
        set("request.timeout.ms", *dice.pick(&[1_000, 3_000]));
        set("delivery.timeout.ms", *dice.pick(&[5_000, 20_000]));
    }
    let mut producer = table([
        ("name", text(&name)),
        ("topic", text(topic)),
        ("config", Value::Table(config)),
        ("records", Value::Integer(records)),
        ("every", text(dice.millis(1, 100))),
        ("value", text(format!("{name} {{n}}"))),
    ]);
    if dice.chance(2, 3) {
        producer.insert("key".into(), text("k{n%5}"));
    }
    if dice.chance(1, 3) {
        producer.insert("burst".into(), Value::Integer(dice.number(2, 20)));
    }
    if dice.chance(1, 4) {
        producer.insert("on-error".into(), text(*dice.pick(&["resend", "stop"])));
    }
    if dice.chance(1, 6) {
        producer.insert("starts-after".into(), text(dice.millis(100, 4_000)));
    }
    shape.clients.push(name);
    producer
}

fn consumer(dice: &mut Dice, number: u64, shape: &mut Shape) -> Table {
    let name = format!("c{number}");
    let (topic, ..) = dice.pick(&shape.topics).clone();
    let mut config = table([("auto.offset.reset", text("earliest"))]);
    let mut consumer = table([("name", text(&name)), ("topic", text(topic))]);
    if dice.chance(2, 3) {
        grouped(dice, &mut consumer, &mut config, shape);
    }
    consumer.insert("config".into(), Value::Table(config));
    if dice.chance(1, 4) {
        consumer.insert("starts-after".into(), text(dice.millis(100, 8_000)));
    }
    shape.clients.push(name);
    consumer
}

/// Makes a consumer a member of the group.
pub(super) fn grouped(dice: &mut Dice, consumer: &mut Table, config: &mut Table, shape: &mut Shape) {
    let group = "billing".to_owned();
    config.insert("group.id".into(), text(&group));
    consumer.insert("subscribe".into(), Value::Boolean(true));
    let auto = dice.chance(1, 3);
    config.insert("enable.auto.commit".into(), Value::Boolean(auto));
    if auto {
        config.insert("auto.commit.interval.ms".into(), Value::Integer(*dice.pick(&[200, 1_000, 5_000])));
    } else {
        let commit = *dice.pick(&["before-processing", "after-processing", "after-processing", "after-each"]);
        consumer.insert("commit".into(), text(commit));
        if dice.chance(1, 3) {
            consumer.insert("commit-mode".into(), text("async"));
        }
    }
    if dice.chance(1, 2) {
        config.insert("session.timeout.ms".into(), Value::Integer(6_000));
        config.insert("heartbeat.interval.ms".into(), Value::Integer(1_000));
    }
    if dice.chance(1, 3) {
        config.insert("max.poll.records".into(), Value::Integer(dice.number(1, 20)));
    }
    if dice.chance(1, 2) {
        consumer.insert("processing-each".into(), text(dice.millis(1, 100)));
    }
    if dice.chance(1, 8) {
        consumer.insert("hand-over".into(), Value::Boolean(true));
    }
    if dice.chance(1, 4) {
        consumer.insert("sink".into(), text("upsert"));
    }
    if !shape.groups.contains(&group) {
        shape.groups.push(group);
    }
}

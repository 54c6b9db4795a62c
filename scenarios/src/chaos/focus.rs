//! Small worlds: one partition whose replicas are named, producers that send in bursts with long pauses between, and consumers that begin at
//! any time, at the start or at the end.
//!
//! There is little in such a world, so it is fast, and what happens to one replica meets what happens to another. It is where `chains.rs` tells
//! its stories. Drawn from streams of its own: a world that is not small is what it was.

use toml::{Table, Value};

use super::dice::Dice;
use super::draw::{Parts, Shape};
use crate::form::{Form, table, text};

/// Of so many worlds one is small.
const ONE_OF: u64 = 3;
/// Old versions have races of their own, and there are fewer of them.
const VERSIONS: [&str; 8] = ["2.2", "2.2", "2.8", "3.5", "3.9", "3.9", "4.0", "4.1"];
/// The topic.
const TOPIC: &str = "orders";

/// The cluster, the topic and the clients of a small world. Nothing, if it is not one.
pub(super) fn add(parts: Parts, form: &mut Form) -> Option<Shape> {
    let mut dice = Dice::new(parts.clients, "focus");
    if !dice.chance(1, ONE_OF) {
        return None;
    }
    let mut shape = Shape::default();
    let cluster = cluster(Dice::new(parts.cluster, "focus"), &mut shape);
    form.0.insert("cluster".into(), Value::Table(cluster));
    let topic = topic(&mut dice, &shape);
    shape.topics.push((TOPIC.to_owned(), 1, shape.replicas.len()));
    form.sections_mut("topic").push(Value::Table(topic));
    for number in 1..=*dice.pick(&[1, 2, 2]) {
        let producer = producer(&mut dice, number, &mut shape);
        form.sections_mut("producer").push(Value::Table(producer));
    }
    for number in 1..=dice.between(0, 2) {
        let consumer = consumer(&mut dice, number, &mut shape);
        form.sections_mut("consumer").push(Value::Table(consumer));
    }
    Some(shape)
}

fn cluster(mut dice: Dice, shape: &mut Shape) -> Table {
    let brokers = *dice.pick(&[2, 3, 3, 3, 3, 3, 3, 4]);
    shape.brokers = (1..=brokers).collect();
    shape.replicas.clone_from(&shape.brokers);
    dice.shuffle(&mut shape.replicas);
    if brokers > 2 && dice.chance(1, 8) {
        shape.replicas.pop();
    }
    let mut config = Table::new();
    let mut set = |name: &str, value: i64| drop(config.insert(name.to_owned(), Value::Integer(value)));
    if dice.chance(7, 8) {
        set("replica.lag.time.max.ms", *dice.pick(&[2_000, 2_000, 2_000, 10_000, 10_000, 60_000]));
    }
    if dice.chance(1, 2) {
        set("replica.socket.timeout.ms", 2_000);
    }
    if dice.chance(1, 3) {
        set("leader.imbalance.check.interval.seconds", 5);
    }
    let version = *dice.pick(&VERSIONS);
    let mut cluster = table([
        ("kafka", text(version)),
        ("brokers", Value::Integer(brokers.into())),
        ("config", Value::Table(config)),
    ]);
    if dice.chance(1, 4) {
        let latency = *dice.pick(&["1ms..5ms", "50us..20ms", "20ms..40ms"]);
        cluster.insert("network".into(), Value::Table(table([("latency", text(latency))])));
    }
    if dice.chance(1, 4) {
        let disk = table([("writeback", text(*dice.pick(&["1s", "60s"]))), ("writeback-interval", text("1s"))]);
        cluster.insert("disk".into(), Value::Table(disk));
    }
    cluster
}

fn topic(dice: &mut Dice, shape: &Shape) -> Table {
    let mut config = Table::new();
    config.insert("min.insync.replicas".into(), Value::Integer(*dice.pick(&[1, 2, 2])));
    if dice.chance(1, 8) {
        config.insert("unclean.leader.election.enable".into(), Value::Boolean(true));
    }
    if dice.chance(1, 8) {
        config.insert("flush.messages".into(), Value::Integer(1));
    }
    let replicas = shape.replicas.iter().map(|id| Value::Integer((*id).into())).collect();
    table([
        ("name", text(TOPIC)),
        ("replicas", Value::Array(vec![Value::Array(replicas)])),
        ("config", Value::Table(config)),
    ])
}

/// A burst is one batch: all of it is there, or nothing.
fn producer(dice: &mut Dice, number: u64, shape: &mut Shape) -> Table {
    let name = format!("p{number}");
    let (burst, bursts) = (dice.number(5, 20), dice.number(3, 6));
    shape.records += (burst * bursts).unsigned_abs();
    let mut config = table([("acks", text("all")), ("linger.ms", Value::Integer(50))]);
    let mut producer = table([("name", text(&name)), ("topic", text(TOPIC))]);
    // One that gives up soon leaves records in the log that nobody was promised.
    let gives_up = dice.chance(number, 3);
    config.insert("enable.idempotence".into(), Value::Boolean(!gives_up && dice.chance(2, 3)));
    if gives_up {
        config.insert("retries".into(), Value::Integer(0));
        config.insert("request.timeout.ms".into(), Value::Integer(3_000));
        config.insert("delivery.timeout.ms".into(), Value::Integer(4_000));
        producer.insert("on-error".into(), text(*dice.pick(&["ignore", "stop"])));
    }
    producer.insert("config".into(), Value::Table(config));
    producer.insert("records".into(), Value::Integer(burst * bursts));
    producer.insert("burst".into(), Value::Integer(burst));
    producer.insert("every".into(), text(*dice.pick(&["1s", "2s", "5s", "10s", "20s"])));
    if dice.chance(2, 3) {
        producer.insert("first-after".into(), text(dice.millis(100, 8_000)));
    }
    if dice.chance(1, 2) {
        producer.insert("key".into(), text("k{n%5}"));
    }
    producer.insert("value".into(), text(format!("{name} {{n}}")));
    shape.clients.push(name);
    producer
}

fn consumer(dice: &mut Dice, number: u64, shape: &mut Shape) -> Table {
    let name = format!("c{number}");
    let reset = *dice.pick(&["earliest", "latest"]);
    let config = table([("auto.offset.reset", text(reset))]);
    let mut consumer = table([("name", text(&name)), ("topic", text(TOPIC)), ("config", Value::Table(config))]);
    if dice.chance(2, 3) {
        consumer.insert("starts-after".into(), text(dice.millis(100, 40_000)));
    }
    shape.readers.push(name.clone());
    shape.clients.push(name);
    consumer
}

//! Small groups: a few members of one group, work that lasts, and sessions that end soon.
//!
//! In most worlds a group has done its work before anything is wrong with it. Here records keep coming while members come and go. It is where
//! `group_stories.rs` tells its stories. Drawn from streams of its own: a world that is no small group is what it was.

use toml::{Table, Value};

use super::dice::Dice;
use super::draw::{self, Parts, Shape};
use super::habits;
use super::sharing;
use crate::form::{Form, table, text};

/// Of so many worlds that are not small otherwise, one is a small group.
const ONE_OF: u64 = 8;
/// Those with three protocols more often than the others, which have one.
const VERSIONS: [&str; 8] = ["2.2", "2.8", "3.5", "3.9", "4.0", "4.0", "4.1", "4.1"];

/// The cluster, the topic and the clients of a small group. Nothing, if this world is not one.
pub(super) fn add(parts: Parts, form: &mut Form) -> Option<Shape> {
    let mut dice = Dice::new(parts.clients, "groups");
    if !dice.chance(1, ONE_OF) {
        return None;
    }
    let mut shape = Shape::default();
    let mut of_cluster = Dice::new(parts.cluster, "groups");
    let mut cluster = draw::cluster(&mut of_cluster, &mut shape);
    cluster.insert("kafka".into(), text(*of_cluster.pick(&VERSIONS)));
    form.0.insert("cluster".into(), Value::Table(cluster));
    sessions_end_soon(&mut dice, form);
    let topic = draw::topic(&mut dice, "orders", &mut shape);
    form.sections_mut("topic").push(Value::Table(topic));
    for number in 1..=dice.between(1, 2) {
        let producer = producer(&mut dice, number, &mut shape);
        form.sections_mut("producer").push(Value::Table(producer));
    }
    for number in 1..=*dice.pick(&[1, 2, 2, 3]) {
        let member = member(&mut dice, number, &mut shape);
        form.sections_mut("consumer").push(Value::Table(member));
    }
    habits::add(parts, form);
    sharing::add(parts, form);
    shape.apis = habits::spoken_by_consumers(form);
    Some(shape)
}

/// Of the protocols in which brokers say how long a session is.
fn sessions_end_soon(dice: &mut Dice, form: &mut Form) {
    let cluster = habits::cluster(form);
    if !cluster["kafka"].as_str().is_some_and(|kafka| kafka.starts_with('4')) || !dice.chance(3, 4) {
        return;
    }
    for protocol in ["consumer", "share"] {
        for (name, millis) in [("session.timeout.ms", 6_000), ("heartbeat.interval.ms", 1_000)] {
            habits::set(cluster, &format!("group.{protocol}.min.{name}"), millis);
            habits::set(cluster, &format!("group.{protocol}.{name}"), millis);
        }
    }
}

/// Records come for a while, or late.
fn producer(dice: &mut Dice, number: u64, shape: &mut Shape) -> Table {
    let name = format!("p{number}");
    let records = dice.number(40, 160);
    shape.records += records.unsigned_abs();
    let config = table([("acks", text("all")), ("enable.idempotence", Value::Boolean(true))]);
    let mut producer = table([
        ("name", text(&name)),
        ("topic", text("orders")),
        ("config", Value::Table(config)),
        ("records", Value::Integer(records)),
        ("every", text(*dice.pick(&["20ms", "50ms", "100ms", "200ms", "500ms"]))),
        ("value", text(format!("{name} {{n}}"))),
    ]);
    if dice.chance(2, 3) {
        producer.insert("key".into(), text("k{n%5}"));
    }
    if dice.chance(1, 3) {
        producer.insert("burst".into(), Value::Integer(dice.number(2, 20)));
    }
    if number > 1 && dice.chance(1, 2) {
        producer.insert("first-after".into(), text(dice.millis(1_000, 40_000)));
    }
    shape.clients.push(name);
    producer
}

fn member(dice: &mut Dice, number: u64, shape: &mut Shape) -> Table {
    let name = format!("c{number}");
    let mut config = table([("auto.offset.reset", text("earliest"))]);
    let mut member = table([("name", text(&name)), ("topic", text("orders"))]);
    draw::grouped(dice, &mut member, &mut config, shape);
    config.insert("session.timeout.ms".into(), Value::Integer(6_000));
    config.insert("heartbeat.interval.ms".into(), Value::Integer(*dice.pick(&[1_000, 2_000])));
    if dice.chance(2, 3) {
        config.insert("max.poll.records".into(), Value::Integer(*dice.pick(&[1, 5, 20])));
    }
    member.insert("config".into(), Value::Table(config));
    member.insert("processing-each".into(), text(dice.millis(1, 300)));
    if number > 1 && dice.chance(1, 3) {
        member.insert("starts-after".into(), text(dice.millis(100, 20_000)));
    }
    shape.members.push(name.clone());
    shape.clients.push(name);
    member
}

//! Groups that share records instead of partitions (KIP-932): in some worlds of a version that has them, the group that was drawn is one.
//!
//! Drawn last and from a stream of its own: a world without them means what it always meant.

use toml::{Table, Value};

use super::dice::Dice;
use super::draw::Parts;
use super::habits::{cluster, set, tables};
use crate::form::{Form, table, text};

/// What a consumer of positions has, and a member of a share group has not.
const OF_POSITIONS: [&str; 2] = ["pause", "commit-failure"];

/// Makes the group of a drawn plan a share group.
pub(super) fn add(parts: Parts, form: &mut Form) {
    let mut dice = Dice::new(parts.clients, "sharing");
    let kafka = cluster(form).get("kafka").and_then(Value::as_str).unwrap_or_default().to_owned();
    let has_group = tables(form, "consumer").any(|consumer| consumer.contains_key("subscribe"));
    if !kafka.starts_with('4') || !has_group || !dice.chance(1, 3) {
        return;
    }
    brokers(&mut dice, cluster(form));
    let mut config = Table::new();
    if dice.chance(7, 8) {
        config.insert("share.auto.offset.reset".into(), text("earliest"));
    }
    if !config.is_empty() {
        let group = table([("name", text("billing")), ("config", Value::Table(config))]);
        form.sections_mut("group").push(Value::Table(group));
    }
    for consumer in tables(form, "consumer").filter(|consumer| consumer.contains_key("subscribe")) {
        member(&mut dice, kafka == "4.1", consumer);
    }
}

/// Locks are short enough to expire while a member stalls, and a record may be delivered often or twice.
fn brokers(dice: &mut Dice, cluster: &mut Table) {
    let brokers = cluster.get("brokers").and_then(Value::as_integer).unwrap_or(1);
    let config = cluster.entry("config").or_insert_with(|| Value::Table(Table::new()));
    if let Some(config) = config.as_table_mut() {
        config.insert("group.coordinator.rebalance.protocols".into(), text("classic,consumer,share"));
    }
    set(cluster, "share.coordinator.state.topic.num.partitions", dice.number(1, 3));
    set(cluster, "share.coordinator.state.topic.replication.factor", brokers.min(3));
    set(cluster, "share.coordinator.state.topic.min.isr", brokers.min(2));
    set(cluster, "group.share.min.record.lock.duration.ms", 1_000);
    set(cluster, "group.share.record.lock.duration.ms", *dice.pick(&[1_000, 3_000, 10_000, 30_000]));
    if dice.chance(1, 3) {
        set(cluster, "group.share.delivery.count.limit", dice.number(2, 6));
    }
    if dice.chance(1, 4) {
        set(cluster, "share.coordinator.snapshot.update.records.per.snapshot", dice.number(0, 5));
    }
}

fn member(dice: &mut Dice, may_be_explicit: bool, consumer: &mut Table) {
    consumer.insert("kind".into(), text("share"));
    OF_POSITIONS.iter().for_each(|key| drop(consumer.remove(*key)));
    let before = consumer.remove("config").and_then(|config| config.as_table().cloned()).unwrap_or_default();
    let of_both = |name: &&str| before.contains_key(*name);
    let mut config: Table = ["group.id", "max.poll.records"]
        .into_iter()
        .filter(of_both)
        .filter_map(|name| Some((name.to_owned(), before.get(name)?.clone())))
        .collect();
    if may_be_explicit && dice.chance(1, 2) {
        config.insert("share.acknowledgement.mode".into(), text("explicit"));
        consumer.remove("hand-over");
        if dice.chance(1, 4) {
            gives_back(dice, consumer);
        }
    }
    consumer.insert("config".into(), Value::Table(config));
}

/// A program that cannot process some records at first.
fn gives_back(dice: &mut Dice, consumer: &mut Table) {
    let fails = table([("key", text("k3")), ("attempts", Value::Integer(dice.number(1, 3)))]);
    consumer.insert("fails".into(), Value::Table(fails));
    let then = *dice.pick(&["release", "release", "release", "reject"]);
    let on_failure = table([("backoff", text(dice.millis(1, 500))), ("then", text(then))]);
    consumer.insert("on-failure".into(), Value::Table(on_failure));
}

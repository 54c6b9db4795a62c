//! What some worlds have and most do not: topics that forget, topics that keep the last of each key, other ways to share a
//! group, consumers that end politely, keys that are deleted.
//!
//! Each is drawn from a stream of its own, so that a new one changes no world that does not have it.
//!
//! Not modelled: no key is deleted twice. Two tombstones of one key are one to the judges, who know records by what they say.

use toml::{Table, Value};

use super::dice::Dice;
use super::draw::Parts;
use crate::form::{Form, table, text};

/// Adds to a drawn plan what this world has besides.
pub(super) fn add(parts: Parts, form: &mut Form) {
    forgetful(Dice::new(parts.clients, "retention"), form);
    compacted(Dice::new(parts.clients, "compaction"), form);
    membership(Dice::new(parts.clients, "membership"), form);
    endings(Dice::new(parts.clients, "endings"), form);
    deletions(Dice::new(parts.clients, "deletions"), form);
}

/// Topics whose records expire while the world lasts.
fn forgetful(mut dice: Dice, form: &mut Form) {
    if !dice.chance(1, 10) {
        return;
    }
    for topic in tables(form, "topic") {
        let (key, value) =
            *dice.pick(&[("retention.bytes", 1_000), ("retention.bytes", 5_000), ("retention.ms", 5_000)]);
        set(topic, key, value);
        small_segments(&mut dice, topic);
    }
    let cluster = cluster(form);
    set(cluster, "log.retention.check.interval.ms", 1_000);
    set(cluster, "log.initial.task.delay.ms", 500);
}

/// Topics that keep the last record of each key. Every record needs one.
fn compacted(mut dice: Dice, form: &mut Form) {
    if !dice.chance(1, 12) {
        return;
    }
    for topic in tables(form, "topic") {
        keep_last(topic, *dice.pick(&[0.0, 0.2]), *dice.pick(&[1_000, 60_000]));
        small_segments(&mut dice, topic);
    }
    for producer in tables(form, "producer") {
        producer.insert("key".into(), text("k{n%5}"));
    }
    set(cluster(form), "log.cleaner.backoff.ms", 1_000);
}

/// Keys that are written once and deleted once, in a compacted topic that is quiet for a while and then is not, and a reader who takes his time.
fn deletions(mut dice: Dice, form: &mut Form) {
    if !dice.chance(1, 16) {
        return;
    }
    let kafka = cluster(form).get("kafka").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(topic) = tables(form, "topic").next() else { return };
    let retention = *dice.pick(&[2_000, 10_000, 30_000]);
    keep_last(topic, *dice.pick(&[0.0, 0.2]), retention);
    small_segments(&mut dice, topic);
    if !kafka.starts_with('4') {
        set(topic, "segment.bytes", *dice.pick(&[500, 1_000]));
    }
    let name = topic.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    set(cluster(form), "log.cleaner.backoff.ms", 1_000);
    let keys = dice.number(1, 4);
    let deleted_at = dice.between(2_000, 12_000);
    let quiet_until = deleted_at + dice.between(1_000, 3 * retention.unsigned_abs());
    for producer in tables(form, "producer") {
        producer.insert("key".into(), text("k{n%5}"));
        producer.insert("records".into(), Value::Integer(dice.number(1, 20)));
        producer.insert("first-after".into(), text(format!("{quiet_until}ms")));
    }
    let mut writes = |name_of: &str, first: u64, records: i64, key: &str| {
        let config = table([("acks", text("all")), ("enable.idempotence", Value::Boolean(true))]);
        let mut producer = table([
            ("name", text(name_of)),
            ("topic", text(&name)),
            ("config", Value::Table(config)),
            ("records", Value::Integer(records)),
            ("every", text(if name_of == "wakes up" { "1s" } else { "20ms" })),
            ("first-after", text(format!("{first}ms"))),
            ("key", text(key)),
        ]);
        if name_of == "deletes" {
            producer.insert("tombstones".into(), Value::Boolean(true));
        } else {
            producer.insert("value".into(), text(format!("{name_of} {{n}}")));
            producer.insert("value-bytes".into(), Value::Integer(if name_of == "wakes up" { 350 } else { 20 }));
        }
        form.sections_mut("producer").push(Value::Table(producer));
    };
    writes("creates", dice.between(0, 1_000), keys, "gone {n}");
    writes("deletes", deleted_at, keys, "gone {n}");
    writes("wakes up", quiet_until, dice.number(5, 10), "new {n}");
    let config = table([
        ("auto.offset.reset", text("earliest")),
        ("max.partition.fetch.bytes", Value::Integer(*dice.pick(&[50, 500]))),
        ("max.poll.records", Value::Integer(1)),
    ]);
    let processing = dice.between(500, 8_000);
    let starts = quiet_until.saturating_sub(dice.between(0, processing * keys.unsigned_abs()));
    let reader = table([
        ("name", text("reader")),
        ("topic", text(&name)),
        ("starts-after", text(format!("{starts}ms"))),
        ("processing", text(format!("{processing}ms"))),
        ("config", Value::Table(config)),
    ]);
    form.sections_mut("consumer").push(Value::Table(reader));
}

fn keep_last(topic: &mut Table, dirty: f64, retention: i64) {
    let config = config(topic);
    config.insert("cleanup.policy".into(), text("compact"));
    config.insert("min.cleanable.dirty.ratio".into(), Value::Float(dirty));
    config.insert("delete.retention.ms".into(), Value::Integer(retention));
}

/// The protocol and the assignor of a group: all its members have the same.
fn membership(mut dice: Dice, form: &mut Form) {
    let kafka = cluster(form).get("kafka").and_then(Value::as_str).unwrap_or_default().to_owned();
    let new_protocol = kafka.starts_with('4') && dice.chance(1, 2);
    let assignors = ["RangeAssignor", "RoundRobinAssignor", "StickyAssignor", "CooperativeStickyAssignor"];
    let known = if kafka == "2.2" { &assignors[..3] } else { &assignors[..] };
    let assignor = dice.chance(1, 3).then(|| *dice.pick(known));
    let is_static = kafka != "2.2" && dice.chance(1, 10);
    for consumer in tables(form, "consumer").filter(|consumer| consumer.contains_key("subscribe")) {
        let name = consumer.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let config = config(consumer);
        if is_static {
            config.insert("group.instance.id".into(), text(name));
        }
        if new_protocol {
            config.insert("group.protocol".into(), text("consumer"));
            // Brokers say these.
            config.remove("session.timeout.ms");
            config.remove("heartbeat.interval.ms");
        } else if let Some(assignor) = assignor {
            let class = format!("org.apache.kafka.clients.consumer.{assignor}");
            config.insert("partition.assignment.strategy".into(), text(class));
        }
    }
}

/// How consumers end when they are stopped, and what they do while a worker works.
fn endings(mut dice: Dice, form: &mut Form) {
    for consumer in tables(form, "consumer").filter(|consumer| consumer.contains_key("subscribe")) {
        if dice.chance(1, 4) {
            consumer.insert("on-stop".into(), text(*dice.pick(&["wakeup", "break"])));
        }
        if consumer.contains_key("hand-over") && dice.chance(1, 2) {
            consumer.insert("pause".into(), Value::Boolean(true));
        }
        if consumer.contains_key("commit-mode") && dice.chance(1, 3) {
            consumer.insert("commit-failure".into(), text("repeat"));
        }
    }
}

/// What the clients of a drawn plan ask brokers for, beside producing and fetching.
pub(super) fn spoken(form: &mut Form) -> Vec<&'static str> {
    let mut apis = vec!["ListOffsets", "InitProducerId", "OffsetForLeaderEpoch", "FindCoordinator"];
    apis.extend(spoken_by_consumers(form));
    apis
}

/// What consumers ask, beside fetching.
pub(super) fn spoken_by_consumers(form: &mut Form) -> Vec<&'static str> {
    let mut apis = Vec::new();
    for consumer in tables(form, "consumer") {
        let protocol = consumer.get("config").and_then(|config| config.get("group.protocol")?.as_str());
        apis.extend(match (consumer.get("kind").and_then(Value::as_str), protocol) {
            (Some("share"), _) => ["ShareGroupHeartbeat", "ShareGroupHeartbeat", "ShareAcknowledge", "ShareFetch"],
            (_, Some("consumer")) => {
                ["ConsumerGroupHeartbeat", "ConsumerGroupHeartbeat", "OffsetCommit", "OffsetFetch"]
            }
            _ if consumer.contains_key("subscribe") => ["OffsetCommit", "OffsetFetch", "LeaveGroup", "SyncGroup"],
            _ => ["ListOffsets"; 4],
        });
    }
    apis
}

/// Nothing is taken from the segment that is written to. Since 4.1 segments are never smaller than a mebibyte, but may be younger.
fn small_segments(dice: &mut Dice, topic: &mut Table) {
    set(topic, "segment.ms", *dice.pick(&[100, 1_000]));
}

pub(super) fn tables<'f>(form: &'f mut Form, kind: &str) -> impl Iterator<Item = &'f mut Table> {
    form.sections_mut(kind).iter_mut().filter_map(Value::as_table_mut)
}

pub(super) fn cluster(form: &mut Form) -> &mut Table {
    let cluster = form.0.entry("cluster").or_insert_with(|| Value::Table(table([])));
    cluster.as_table_mut().expect("a drawn plan has a cluster")
}

fn config(of: &mut Table) -> &mut Table {
    let config = of.entry("config").or_insert_with(|| Value::Table(table([])));
    config.as_table_mut().expect("a drawn configuration is a table")
}

pub(super) fn set(of: &mut Table, key: &str, value: i64) {
    config(of).insert(key.into(), Value::Integer(value));
}

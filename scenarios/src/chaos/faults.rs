//! What is done to a drawn world: which faults, to whom, when, for how long.
//!
//! A crash at a random time rarely meets a race, so most of the steps wait for a fact of the protocol (a record appended, the
//! ISR changed, a leader elected) and come right behind it. Every fault ends by itself: safety first, then everything heals,
//! then the cluster must come to rest.
//!
//! Not modelled: lying disks, wiped and rolled-back disks, flipped bits and corrupted messages are not drawn: they break what
//! Kafka takes for granted, and every promise with it.

use toml::{Table, Value};

use super::chains;
use super::dice::Dice;
use super::draw::Shape;
use super::group_stories;
use super::returns;
use super::survive::{Budget, Class};
use crate::form::{table, text};

/// Steps of a world, in the order in which they were drawn.
pub(super) fn draw(seed: u64, mut shape: Shape, budget: Option<&Budget>) -> Vec<Table> {
    if budget.is_none()
        && let Some(story) = story(seed, &shape)
    {
        return story;
    }
    let mut victim = Dice::new(seed, "victim");
    shape.victim = (victim.chance(1, 4) && !shape.brokers.is_empty()).then(|| *victim.pick(&shape.brokers));
    let (shape, mut dice) = (&shape, Dice::new(seed, "faults"));
    let classes: Vec<Class> = match budget {
        Some(budget) => within(&mut dice, budget),
        None => swarm(&mut dice),
    };
    let mut steps: Vec<Table> = Vec::new();
    for class in classes {
        let name = format!("{class} {}", steps.len() + 1);
        let mut step = table([("name", text(name))]);
        if act(&mut dice, shape, class, &mut step) {
            trigger(&mut dice, shape, &steps, &mut step);
            let repaired = (class == Class::DiskError).then(|| repair(&step));
            steps.push(step);
            steps.extend(repaired);
        }
    }
    if budget.is_none() {
        besides(Dice::new(seed, "besides"), shape, &mut steps);
        spoken(Dice::new(seed, "spoken"), shape, &mut steps);
    }
    if steps.iter().any(|step| step.contains_key("when")) {
        // Facts of the time before the first record is sent do not count.
        let at = match shape.work_begins {
            0 => "0s".to_owned(),
            millis => format!("{millis}ms"),
        };
        steps.insert(0, table([("name", text(READY)), ("at", text(at)), ("mark", text("clients start"))]));
    }
    steps
}

/// In most of the small worlds and groups one story is told, and nothing else happens.
fn story(seed: u64, shape: &Shape) -> Option<Vec<Table>> {
    if !shape.members.is_empty() {
        let mut dice = Dice::new(seed, "group-stories");
        return dice.chance(4, 5).then(|| group_stories::draw(dice, shape));
    }
    let mut dice = Dice::new(seed, "chains");
    let tells = shape.replicas.len() > 1 && dice.chance(4, 5);
    tells.then(|| returns::draw(seed, shape).unwrap_or_else(|| chains::draw(dice, shape)))
}

/// What is rarer, from a stream of its own: brokers that hear late of what the controller says, and operators who delete records.
fn besides(mut dice: Dice, shape: &Shape, steps: &mut Vec<Table>) {
    if dice.chance(1, 8) {
        let lag = table([("nodes", text(broker(&mut dice, shape))), ("by", text(dice.millis(100, 10_000)))]);
        let mut step = table([("name", text("late metadata")), ("metadata-lag", Value::Table(lag))]);
        trigger(&mut dice, shape, steps, &mut step);
        lasts(&mut dice, &mut step);
        steps.push(step);
    }
    if dice.chance(1, 12) && !shape.topics.is_empty() {
        let records =
            table([("partition", text(partition(&mut dice, shape))), ("all-committed", Value::Boolean(true))]);
        let mut step = table([("name", text("records deleted")), ("delete-records", Value::Table(records))]);
        trigger(&mut dice, shape, steps, &mut step);
        steps.push(step);
    }
}

/// Facts of a group behind which its members are told something.
const SPOKEN_AFTER: [(&str, u32); 5] = [
    ("member-reconciled", 4),
    ("group-state-changed", 6),
    ("partitions-assigned", 4),
    ("partitions-added", 1),
    ("offset-committed", 10),
];

/// Something happens to a message of those that the clients of this plan send, whichever they are.
fn spoken(mut dice: Dice, shape: &Shape, steps: &mut Vec<Table>) {
    if shape.apis.is_empty() || !dice.chance(1, 4) {
        return;
    }
    let mut step = table([("name", text("message of a client"))]);
    let api = *dice.pick(&shape.apis);
    interfere(&mut dice, shape, api, &mut step);
    step.insert("after".into(), text(READY));
    let (fact, high) = *dice.pick(&SPOKEN_AFTER);
    let moment = table([("fact", text(fact)), ("times", Value::Integer(dice.number(1, high)))]);
    step.insert("when".into(), Value::Table(moment));
    steps.push(step);
}

/// The moment from which facts count.
const READY: &str = "ready";

/// A broker whose disk failed ends its process: somebody starts it again.
fn repair(failure: &Table) -> Table {
    let name = failure["name"].as_str().unwrap_or_default();
    table([
        ("name", text(format!("repair after {name}"))),
        ("after", text(name)),
        ("wait", text("45s")),
        ("start", text("all brokers")),
    ])
}

/// Some of what the budget allows, and always something.
fn within(dice: &mut Dice, budget: &Budget) -> Vec<Class> {
    let mut classes = Vec::new();
    for (class, number) in &budget.0 {
        let times =
            if budget.0.len() == 1 { dice.between(1, (*number).into()) } else { dice.between(0, (*number).into()) };
        classes.extend((0..times).map(|_| *class));
    }
    if classes.is_empty() && !budget.0.is_empty() {
        let all: Vec<Class> = budget.0.keys().copied().collect();
        classes.push(*dice.pick(&all));
    }
    dice.shuffle(&mut classes);
    classes
}

/// Without a budget each class is on or off, so that one does not hide another.
fn swarm(dice: &mut Dice) -> Vec<Class> {
    let on: Vec<Class> = Class::ALL.into_iter().filter(|_| dice.chance(1, 3)).collect();
    if on.is_empty() {
        return Vec::new();
    }
    let faults = dice.between(1, 8);
    (0..faults).map(|_| *dice.pick(&on)).collect()
}

/// When: at a time, behind a fact, or behind an earlier step.
fn trigger(dice: &mut Dice, shape: &Shape, earlier: &[Table], step: &mut Table) {
    match dice.between(0, 9) {
        0..=2 => drop(step.insert("at".into(), text(dice.millis_after(shape.work_begins, 50, 12_000)))),
        3..=4 if !earlier.is_empty() => {
            let name = dice.pick(earlier)["name"].clone();
            step.insert("after".into(), name);
            step.insert("wait".into(), text(dice.millis(1, 12_000)));
        }
        _ => {
            step.insert("after".into(), text(READY));
            step.insert("when".into(), Value::Table(moment(dice, shape)));
            // Most races are lost by who comes at once.
            if dice.chance(1, 3) {
                step.insert("wait".into(), text(dice.millis(1, 500)));
            }
        }
    }
}

/// A fact of the protocol that something may come behind.
fn moment(dice: &mut Dice, shape: &Shape) -> Table {
    let partition = partition(dice, shape);
    let mut fact = match dice.between(0, 13) {
        0..=3 => table([("fact", text("appended")), ("role", text(*dice.pick(&["leader", "leader", "follower"])))]),
        4 => table([("fact", text("high-watermark-advanced"))]),
        5 => table([("fact", text(*dice.pick(&["isr-changed", "isr-proposed"])))]),
        6 => table([("fact", text("leader-elected"))]),
        7 => table([("fact", text(*dice.pick(&["became-leader", "became-follower", "truncated"])))]),
        8..=10 => table([("fact", text("produce-answered"))]),
        11 if !shape.groups.is_empty() => return group_moment(dice),
        _ => {
            let told =
                ["record-acknowledged", "batch-retried", "broker-registered", "broker-unfenced", "broker-fenced"];
            let fact = *dice.pick(&told);
            let high = if fact.starts_with("broker") { 2 } else { 60 };
            return table([("fact", text(fact)), ("times", Value::Integer(dice.number(1, high)))]);
        }
    };
    let often = ["appended", "high-watermark-advanced", "produce-answered"];
    let is_often = fact["fact"].as_str().is_some_and(|fact| often.contains(&fact));
    fact.insert("times".into(), Value::Integer(dice.number(1, if is_often { 60 } else { 3 })));
    fact.insert("partition".into(), text(partition));
    fact
}

fn group_moment(dice: &mut Dice) -> Table {
    let (fact, high) = *dice.pick(&[("processed", 60), ("offset-committed", 10), ("group-state-changed", 6)]);
    table([("fact", text(fact)), ("times", Value::Integer(dice.number(1, high)))])
}

/// What happens to whom. Nothing, if the plan has nobody for it.
fn act(dice: &mut Dice, shape: &Shape, class: Class, step: &mut Table) -> bool {
    match class {
        Class::ProcessCrash => on_broker(dice, shape, step, "kill"),
        Class::Restart => on_broker(dice, shape, step, "stop"),
        Class::ClientCrash => return client_crash(dice, shape, step),
        Class::Pause => on_broker(dice, shape, step, "pause"),
        Class::MachinePowerLoss => {
            let nodes = broker(dice, shape);
            power_loss(dice, step, nodes);
        }
        Class::RackPowerLoss => {
            let Some(rack) = (!shape.racks.is_empty()).then(|| dice.pick(&shape.racks).clone()) else { return false };
            power_loss(dice, step, format!("rack {rack}"));
        }
        Class::TotalPowerLoss => power_loss(dice, step, "all brokers".into()),
        Class::Partition => partitioned(dice, shape, step),
        Class::MessageFault => message_fault(dice, shape, step),
        Class::SlowLink => slow_link(dice, shape, step),
        Class::SlowDisk => slow_disk(dice, shape, step),
        Class::DiskError => disk_error(dice, shape, step),
        Class::ClockJump => clock(dice, shape, step),
        Class::Operation => operation(dice, shape, step),
    }
    true
}

fn on_broker(dice: &mut Dice, shape: &Shape, step: &mut Table, action: &str) {
    let nodes = broker(dice, shape);
    step.insert(action.into(), text(nodes));
    away(dice, step);
}

/// How long somebody is away: within a session, or beyond it.
fn away(dice: &mut Dice, step: &mut Table) {
    step.insert("for".into(), text(*dice.pick(&["200ms", "1s", "3s", "8s", "12s", "25s", "40s"])));
}

fn lasts(dice: &mut Dice, step: &mut Table) {
    let time = dice.millis(50, 20_000);
    step.insert("for".into(), text(time));
}

fn client_crash(dice: &mut Dice, shape: &Shape, step: &mut Table) -> bool {
    if shape.clients.is_empty() {
        return false;
    }
    let (client, action) = (dice.pick(&shape.clients).clone(), *dice.pick(&["kill", "kill", "pause"]));
    step.insert(action.into(), text(client));
    away(dice, step);
    true
}

fn power_loss(dice: &mut Dice, step: &mut Table, nodes: String) {
    let keep = *dice.pick(&["nothing", "prefix", "prefix", "torn", "subset"]);
    step.insert("power-loss".into(), Value::Table(table([("nodes", text(nodes)), ("keep", text(keep))])));
    away(dice, step);
}

fn partitioned(dice: &mut Dice, shape: &Shape, step: &mut Table) {
    let one = broker(dice, shape);
    let others = match dice.between(0, 3) {
        0 => "controller".to_owned(),
        1 => "all clients".to_owned(),
        2 => "all brokers".to_owned(),
        _ => broker(dice, shape),
    };
    let others = if others == "all clients" && shape.clients.is_empty() { "controller".to_owned() } else { others };
    let mut cut = table([("from", text(one)), ("to", text(others))]);
    if dice.chance(1, 3) {
        if dice.chance(1, 2)
            && let Some(to) = cut.insert("from".into(), cut["to"].clone())
        {
            cut.insert("to".into(), to);
        }
        cut.insert("direction".into(), text("one-way"));
    }
    step.insert("cut".into(), Value::Table(cut));
    lasts(dice, step);
}

fn message_fault(dice: &mut Dice, shape: &Shape, step: &mut Table) {
    let apis = [
        "Produce",
        "Fetch",
        "AlterPartition",
        "Metadata",
        "OffsetCommit",
        "JoinGroup",
        "SyncGroup",
        "Heartbeat",
        "BrokerHeartbeat",
    ];
    let api = *dice.pick(&apis);
    interfere(dice, shape, api, step);
}

fn interfere(dice: &mut Dice, shape: &Shape, api: &str, step: &mut Table) {
    let action = *dice.pick(&["drop", "delay", "hold", "reset", "duplicate"]);
    let kind = if action == "duplicate" { "request" } else { *dice.pick(&["request", "response"]) };
    let mut messages = table([("api", text(api)), ("message", text(kind))]);
    if dice.chance(1, 2) {
        let side = if kind == "request" { "to" } else { "from" };
        let server = if api.starts_with("Broker") || api == "AlterPartition" {
            "controller".into()
        } else {
            broker(dice, shape)
        };
        messages.insert(side.into(), text(server));
    }
    if dice.chance(2, 3) || action == "duplicate" {
        messages.insert("times".into(), Value::Integer(dice.number(1, 5)));
    }
    if action == "delay" || (action == "duplicate" && dice.chance(1, 2)) {
        messages.insert("by".into(), text(dice.millis(10, 5_000)));
    }
    step.insert(action.into(), Value::Table(messages));
    lasts(dice, step);
}

fn slow_link(dice: &mut Dice, shape: &Shape, step: &mut Table) {
    let (one, other) = (broker(dice, shape), broker(dice, shape));
    let other = if dice.chance(1, 3) { "all brokers".to_owned() } else { other };
    let mut link = table([("from", text(one)), ("to", text(other))]);
    match dice.between(0, 2) {
        0 => drop(link.insert("latency".into(), text(*dice.pick(&["50ms", "300ms", "1s"])))),
        1 => drop(link.insert("loss".into(), text(*dice.pick(&["1/10", "1/3"])))),
        _ => drop(link.insert("bandwidth".into(), Value::Integer(*dice.pick(&[2_000, 50_000])))),
    }
    step.insert("link".into(), Value::Table(link));
    lasts(dice, step);
}

fn slow_disk(dice: &mut Dice, shape: &Shape, step: &mut Table) {
    let mut disk = table([("nodes", text(broker(dice, shape)))]);
    if dice.chance(1, 3) {
        disk.insert("faults".into(), Value::Array(vec![text("stalled")]));
    } else {
        disk.insert("slow".into(), text(*dice.pick(&["2ms", "20ms", "200ms"])));
    }
    step.insert("disk".into(), Value::Table(disk));
    lasts(dice, step);
}

fn disk_error(dice: &mut Dice, shape: &Shape, step: &mut Table) {
    let fault = *dice.pick(&["full", "io-error", "read-error", "write-error", "partial-write", "sync-error"]);
    let mut disk = table([("nodes", text(broker(dice, shape))), ("faults", Value::Array(vec![text(fault)]))]);
    if dice.chance(1, 2) {
        disk.insert("times".into(), Value::Integer(dice.number(1, 3)));
    }
    step.insert("disk".into(), Value::Table(disk));
    lasts(dice, step);
}

fn clock(dice: &mut Dice, shape: &Shape, step: &mut Table) {
    let nodes = text(broker(dice, shape));
    if dice.chance(2, 3) {
        let by = *dice.pick(&["+2s", "-2s", "+1h", "-1h", "-8s"]);
        step.insert("clock-jump".into(), Value::Table(table([("nodes", nodes), ("by", text(by))])));
    } else {
        let ppm = Value::Integer(*dice.pick(&[-50_000, -200, 200, 50_000]));
        step.insert("clock-drift".into(), Value::Table(table([("nodes", nodes), ("ppm", ppm)])));
    }
}

fn operation(dice: &mut Dice, shape: &Shape, step: &mut Table) {
    let partition = partition(dice, shape);
    match dice.between(0, 2) {
        0 => drop(step.insert("elect".into(), Value::Table(table([("partition", text(partition))])))),
        1 => {
            let mut brokers = shape.brokers.clone();
            dice.shuffle(&mut brokers);
            let replicas = shape.topics.iter().find(|(name, ..)| partition.starts_with(name.as_str()));
            brokers.truncate(replicas.map_or(1, |(_, _, replicas)| *replicas));
            let replicas = brokers.into_iter().map(|id| Value::Integer(id.into())).collect();
            let move_to = table([("partition", text(partition)), ("replicas", Value::Array(replicas))]);
            step.insert("reassign".into(), Value::Table(move_to));
        }
        _ => {
            let (topic, partitions, _) = dice.pick(&shape.topics).clone();
            let more = i64::from(partitions) + dice.number(1, 2);
            let change = table([("topic", text(topic)), ("partitions", Value::Integer(more))]);
            step.insert("add-partitions".into(), Value::Table(change));
        }
    }
}

/// A partition of a topic.
fn partition(dice: &mut Dice, shape: &Shape) -> String {
    let (topic, partitions, _) = dice.pick(&shape.topics);
    format!("{topic}-{}", dice.between(0, u64::from(partitions.saturating_sub(1))))
}

/// A broker, by its role or by its number.
fn broker(dice: &mut Dice, shape: &Shape) -> String {
    if let Some(victim) = shape.victim
        && dice.chance(2, 3)
    {
        return format!("broker {victim}");
    }
    let partition = partition(dice, shape);
    match dice.between(0, 9) {
        0..=3 => format!("leader of {partition}"),
        4..=5 if shape.brokers.len() > 1 => format!("a follower of {partition}"),
        6 if !shape.groups.is_empty() => format!("coordinator of {}", dice.pick(&shape.groups)),
        _ => format!("broker {}", dice.pick(&shape.brokers)),
    }
}

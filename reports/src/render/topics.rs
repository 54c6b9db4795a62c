//! The partitions at the end of a run, as `kafka-topics --describe` shows them, and the logs below.
//!
//! Kafka: `TopicCommand`, with `--exclude-internal`.

use ackproof_core::types::is_internal;

use crate::history::Replica;
use crate::verdict::{Judgement, PartitionState};

/// A table of every topic; ends with a line break.
pub fn topics(judgement: &Judgement) -> String {
    let mut out = String::new();
    let same_topic =
        |one: &PartitionState, other: &PartitionState| one.partition.topic.as_str() == other.partition.topic.as_str();
    for topic in judgement.partitions.chunk_by(same_topic) {
        if is_internal(topic[0].partition.topic.as_str()) {
            continue;
        }
        let factor = topic.iter().map(|partition| partition.assigned.len()).max().unwrap_or(0);
        let name = topic[0].partition.topic.as_str();
        out.push_str(&format!("Topic: {name}\tPartitionCount: {}\tReplicationFactor: {factor}\n", topic.len()));
        for partition in topic {
            describe(name, partition, &mut out);
        }
    }
    out
}

fn describe(topic: &str, state: &PartitionState, out: &mut String) {
    let leader = state.replicas.iter().find(|replica| replica.leader);
    let leader = leader.map_or("none".to_owned(), |replica| replica.broker.to_string());
    let in_sync = state
        .assigned
        .iter()
        .copied()
        .filter(|broker| state.replicas.iter().any(|replica| replica.broker == *broker && replica.in_isr));
    let epoch = state.leader_epoch.map(|epoch| format!("\tLeaderEpoch: {epoch}")).unwrap_or_default();
    let moving = &state.moving;
    let known = [
        ("Elr", &moving.elr),
        ("LastKnownElr", &moving.last_known_elr),
        ("Adding Replicas", &moving.adding),
        ("Removing Replicas", &moving.removing),
    ];
    let known = known.into_iter().filter(|(_, brokers)| !brokers.is_empty());
    let known: String = known.map(|(name, brokers)| format!("\t{name}: {}", list(brokers.iter().copied()))).collect();
    out.push_str(&format!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}{epoch}{known}\n",
        state.partition.partition,
        list(state.assigned.iter().copied()),
        list(in_sync),
    ));
    let width = |of: fn(&Replica) -> String| state.replicas.iter().map(|replica| of(replica).len()).max().unwrap_or(0);
    let widths = [width(|replica| replica.broker.to_string()), width(end), width(watermark)];
    for broker in &state.assigned {
        let Some(replica) = state.replicas.iter().find(|replica| replica.broker == *broker) else { continue };
        let running = if replica.running { "" } else { "  down" };
        let start = if replica.log_start.0 > 0 { format!("  start {}", replica.log_start) } else { String::new() };
        let last = match replica.log_end > replica.log_start {
            true => format!("last record's epoch {}", replica.leader_epoch),
            false => "no records".to_owned(),
        };
        let [broker_width, end_width, watermark_width] = widths;
        out.push_str(&format!(
            "\t\tbroker {broker:<broker_width$}  LEO {:<end_width$}  HW {:<watermark_width$}  {last}{start}{running}\n",
            end(replica),
            watermark(replica),
        ));
    }
}

fn end(replica: &Replica) -> String {
    replica.log_end.to_string()
}

fn watermark(replica: &Replica) -> String {
    replica.high_watermark.to_string()
}

fn list(brokers: impl Iterator<Item = i32>) -> String {
    brokers.map(|broker| broker.to_string()).collect::<Vec<String>>().join(",")
}

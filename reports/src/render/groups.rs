//! The consumer groups at the end of a run, as `kafka-consumer-groups --describe` shows them.
//!
//! Kafka: `ConsumerGroupCommand.printOffsets`, with the coordinator and the state that `--state` prints in front. Of groups of the
//! consumer protocol and of share groups also what `--state --verbose` and `--members --verbose` say of their epochs (KIP-1099, 4.0).

use std::collections::BTreeMap;

use ackproof_core::types::{NodeId, TopicPartition};

use crate::groups::{GroupPartition, GroupState, MemberProgress, SharedPartition};
use crate::verdict::Judgement;

const OFFSETS: [&str; 9] =
    ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"];

const MEMBERS: [&str; 9] = [
    "GROUP",
    "CONSUMER-ID",
    "HOST",
    "CLIENT-ID",
    "#PARTITIONS",
    "CURRENT-EPOCH",
    "CURRENT-ASSIGNMENT",
    "TARGET-EPOCH",
    "TARGET-ASSIGNMENT",
];

const SHARED: [&str; 9] =
    ["GROUP", "TOPIC", "PARTITION", "LEADER", "START-OFFSET", "END-OFFSET", "AVAILABLE", "ACQUIRED", "LOG-END-OFFSET"];

/// A table of every group; ends with a line break. Empty without groups.
pub fn groups(judgement: &Judgement) -> String {
    let mut out = String::new();
    for group in &judgement.groups {
        out.push_str(&headline(group));
        let is_share = !group.shared.is_empty();
        let rows = if is_share { Vec::new() } else { rows(group, judgement) };
        out.push_str(&table(OFFSETS, &rows));
        out.push_str(&table(SHARED, &shared(group, judgement)));
        out.push_str(&table(MEMBERS, &members(group)));
    }
    out
}

fn headline(group: &GroupState) -> String {
    let name = &group.group;
    let Some(coordinator) = group.coordinator else {
        return format!("Consumer group '{name}': no broker that runs coordinates it.\n");
    };
    let assignor = match group.assignor.as_str() {
        "" => String::new(),
        assignor => format!("\tAssignmentStrategy: {assignor}"),
    };
    let epochs = group
        .epochs
        .map_or_else(String::new, |(epoch, target)| format!("\tGroupEpoch: {epoch}\tTargetAssignmentEpoch: {target}"));
    let members = group.members.len();
    let nobody = if members == 0 { format!("Consumer group '{name}' has no active members.\n") } else { String::new() };
    format!(
        "Group: {name}\tCoordinator: {coordinator}{assignor}\tState: {}{epochs}\t#Members: {members}\n{nobody}",
        group.state
    )
}

/// The partitions of the group, and behind them its members that have none.
fn rows(group: &GroupState, judgement: &Judgement) -> Vec<[String; 9]> {
    let of_partition = |state: &GroupPartition| {
        let end = log_end(&state.partition, judgement);
        let lag = end.zip(state.committed).map(|(end, committed)| end - committed.0);
        let owner = state.owner.as_ref();
        [
            group.group.clone(),
            state.partition.topic.to_string(),
            state.partition.partition.to_string(),
            or_dash(state.committed),
            or_dash(end),
            or_dash(lag),
            or_dash(owner.map(|owner| &owner.member)),
            or_dash(owner.map(|owner| &owner.host)),
            or_dash(owner.map(|owner| &owner.client_id)),
        ]
    };
    let is_idle = |member: &&String| {
        !group.partitions.iter().any(|state| state.owner.as_ref().is_some_and(|owner| owner.member == **member))
    };
    let idle = group.members.iter().filter(is_idle).map(|member| {
        let mut row = std::array::from_fn(|_| "-".to_owned());
        row[0].clone_from(&group.group);
        row[6].clone_from(member);
        row
    });
    group.partitions.iter().map(of_partition).chain(idle).collect()
}

/// The members of a group of the consumer protocol, and how far each has come.
fn members(group: &GroupState) -> Vec<[String; 9]> {
    let target_epoch = group.epochs.map(|(_, target)| target);
    let row = |member: &MemberProgress| {
        [
            group.group.clone(),
            member.who.member.clone(),
            member.who.host.clone(),
            member.who.client_id.clone(),
            member.assigned.len().to_string(),
            member.epoch.to_string(),
            listed(&member.assigned),
            or_dash(target_epoch),
            listed(&member.target),
        ]
    };
    group.progress.iter().map(row).collect()
}

/// The partitions of a share group, as their leaders have them.
fn shared(group: &GroupState, judgement: &Judgement) -> Vec<[String; 9]> {
    let row = |state: &SharedPartition| {
        let leader = match state.leader {
            NodeId::Broker(id) => id.to_string(),
            other => other.to_string(),
        };
        [
            group.group.clone(),
            state.partition.topic.to_string(),
            state.partition.partition.to_string(),
            leader,
            state.start.to_string(),
            state.end.to_string(),
            state.available.to_string(),
            state.acquired.to_string(),
            or_dash(log_end(&state.partition, judgement)),
        ]
    };
    group.shared.iter().map(row).collect()
}

/// Partitions by topic: `orders:0,1;payments:0`.
fn listed(partitions: &[TopicPartition]) -> String {
    let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic.as_str()).or_default().push(partition.partition.to_string());
    }
    let of_topic = |(topic, indexes): (&str, Vec<String>)| format!("{topic}:{}", indexes.join(","));
    let listed: Vec<String> = topics.into_iter().map(of_topic).collect();
    if listed.is_empty() { "-".to_owned() } else { listed.join(";") }
}

/// What a consumer that reads to the end would reach: the leader's high watermark.
fn log_end(partition: &TopicPartition, judgement: &Judgement) -> Option<i64> {
    let state = judgement.partitions.iter().find(|state| state.partition == *partition)?;
    state.replicas.iter().find(|replica| replica.leader).map(|leader| leader.high_watermark.0)
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn table(header: [&str; 9], rows: &[[String; 9]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let header = header.map(str::to_owned);
    let lines: Vec<&[String; 9]> = std::iter::once(&header).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(width);
    let line = |cells: &[String; 9]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line: Vec<String> = padded.collect();
        format!("\t{}\n", line.join("  ").trim_end())
    };
    lines.into_iter().map(line).collect()
}

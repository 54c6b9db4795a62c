//! Every fact as a sentence.

use ackproof_core::fact::{
    Event, Fact, ForgottenReason, LogStartReason, Payload, RemovalReason, ResetReason, RetryReason, Role,
    TruncationReason,
};
use ackproof_core::types::TopicPartition;

use super::describe_shares::shares;
use crate::explain::steps::set;
use crate::names::NodeNames;

/// So many equal characters at the end of a text are padding.
const PADDING_LEAST: usize = 8;

/// What happened, in a sentence without its full stop: `broker 1 appended offset 17 of orders-0 as leader, epoch 4`.
pub fn describe(event: &Event, names: &NodeNames) -> String {
    let who = names.name(event.node);
    world(event, names, &who)
        .or_else(|| broker(event, names, &who))
        .or_else(|| coordinator(event, &who))
        .or_else(|| shares(&who, &event.fact))
        .or_else(|| forgotten(event, &who))
        .or_else(|| controller(event, &who))
        .or_else(|| client(event, &who))
        .or_else(|| program(event, &who))
        .or_else(|| survey(event))
        .unwrap_or_else(|| format!("{who}: {}", event.fact.kind()))
}

fn world(event: &Event, names: &NodeNames, who: &str) -> Option<String> {
    Some(match &event.fact {
        Fact::ClusterReady => "the cluster is ready".to_owned(),
        Fact::NodeStarted => format!("{who} started"),
        Fact::NodeKilled => format!("{who} was killed"),
        Fact::NodeStopped => format!("{who} stopped"),
        Fact::NodePaused => format!("{who} was paused"),
        Fact::NodeResumed => format!("{who} goes on"),
        Fact::PowerLost { unsynced_bytes, lost_bytes } => {
            format!("{who} lost power, and {lost_bytes} of {unsynced_bytes} unsynced bytes with it")
        }
        Fact::FaultInjected { fault, what } => format!("fault {fault}: {what}"),
        Fact::FaultBit { fault, what } => format!("fault {fault} bit: {what}"),
        Fact::FaultHealed { fault } => format!("fault {fault} is over"),
        Fact::DiskHarmed { what } => format!("the disk of {who} lost what was synced: {what}"),
        Fact::MessageLost { connection, to, what } => {
            format!("{what} to {} was lost on connection {}", names.name(*to), connection.0)
        }
        _ => return None,
    })
}

/// Under which producer id, epoch and sequence a batch is sent or appended.
fn producer(fact: &Fact) -> String {
    match fact {
        Fact::Appended { producer_id, producer_epoch, base_sequence, .. }
        | Fact::BatchSent { producer_id, producer_epoch, base_sequence, .. }
            if *producer_id >= 0 =>
        {
            format!(", producer id {producer_id} epoch {producer_epoch} sequence {base_sequence}")
        }
        _ => String::new(),
    }
}

fn broker(event: &Event, names: &NodeNames, who: &str) -> Option<String> {
    Some(match &event.fact {
        Fact::LogLoaded { partition, log_start, log_end, clean, hole } => {
            let stop = if *clean { "clean" } else { "unclean" };
            let hole = hole.map(|(from, to)| format!("; what was from {from} to {to} is missing")).unwrap_or_default();
            format!("{who} loaded {partition} from {log_start} to {log_end} after {stop} stop{hole}")
        }
        Fact::Appended { partition, role, base_offset, last_offset, leader_epoch, .. } => {
            let offsets = match base_offset == last_offset {
                true => format!("offset {base_offset}"),
                false => format!("offsets {base_offset}..{last_offset}"),
            };
            let producer = producer(&event.fact);
            format!("{who} appended {offsets} of {partition} as {}, epoch {leader_epoch}{producer}", role_name(*role))
        }
        Fact::DuplicateDetected { partition, base_offset, producer_id, producer_epoch, base_sequence } => format!(
            "{who} has sequence {base_sequence} of producer id {producer_id} epoch {producer_epoch} already, at offset {base_offset} of {partition}"
        ),
        Fact::AppendRefused { partition, error } => format!("{who} refused a batch for {partition}: {error}"),
        Fact::ProduceAnswered { partition, to, base_offset, acks, error } => {
            let answer = match error.is_none() {
                true => format!("offset {base_offset}"),
                false => error.to_string(),
            };
            format!("{who} answered {} for {partition}: {answer} (acks={acks})", names.name(*to))
        }
        Fact::FollowerFetched { partition, follower, log_end } => {
            format!("{who} learned that broker {follower} has {partition} up to {log_end}")
        }
        Fact::HighWatermarkAdvanced { partition, role, from, to } => {
            format!("{who} moved the high watermark of {partition} from {from} to {to} as {}", role_name(*role))
        }
        Fact::IsrProposed { partition, from, to } => {
            format!("{who} proposed the ISR of {partition}: {} → {}", set(from), set(to))
        }
        Fact::BecameLeader { partition, leader_epoch, isr, log_end } => {
            format!("{who} leads {partition}, epoch {leader_epoch}, ISR {}, from offset {log_end}", set(isr))
        }
        Fact::BecameFollower { partition, leader_epoch, leader, log_end } => match *leader >= 0 {
            true => {
                format!("{who} follows broker {leader} for {partition}, epoch {leader_epoch}, from offset {log_end}")
            }
            false => format!("{who} has no leader for {partition}, epoch {leader_epoch}, log end offset {log_end}"),
        },
        Fact::Truncated { partition, from, to, reason } => {
            let why = match reason {
                TruncationReason::Diverged => "it had diverged from its leader",
                TruncationReason::ToHighWatermark => "to its high watermark",
                TruncationReason::EpochsUnknown => "to its high watermark, because its log knows no leader epochs",
                TruncationReason::OutOfRange => "it went beyond its leader's end",
                TruncationReason::CorruptTail => "a batch was torn or corrupt",
                TruncationReason::InsideBatch => "it was empty, and began inside of a batch that its leader sent",
            };
            format!("{who} truncated {partition} from {from} to {to}: {why}")
        }
        Fact::ClientThrottled { client, api, throttle_ms } => {
            format!("{who} throttled {} for {throttle_ms} ms: {api}", names.name(*client))
        }
        Fact::SegmentRolled { partition, base_offset } => format!("{who} rolled {partition} at {base_offset}"),
        Fact::FetchRefused { partition, offset, error } => {
            format!("{who} refused what the leader of {partition} sent from offset {offset}: {error}")
        }
        Fact::StorageFailed { what } => format!("the disk of {who} failed: {what}"),
        _ => return heard(event, who),
    })
}

/// What a broker has heard from the controller.
fn heard(event: &Event, who: &str) -> Option<String> {
    Some(match &event.fact {
        Fact::IsrAdopted { partition, isr, partition_epoch } => {
            format!("{who} goes by the ISR {} of {partition}, partition epoch {partition_epoch}", set(isr))
        }
        Fact::MetadataHeldBack { base_offset, last_offset, lag_ms } => {
            format!("{who} has metadata {base_offset}..{last_offset} and will go by it {lag_ms} ms late")
        }
        Fact::MetadataReplayed { base_offset, last_offset, leader_epoch, .. } => {
            format!("{who} read metadata {base_offset}..{last_offset}, epoch {leader_epoch}")
        }
        _ => return None,
    })
}

/// What a coordinator does with the groups of its partitions.
fn coordinator(event: &Event, who: &str) -> Option<String> {
    Some(match &event.fact {
        Fact::OffsetCommitted { group, partition, offset, generation } => {
            format!("{who} wrote that group {group} is at offset {offset} of {partition}, generation {generation}")
        }
        Fact::CommitRefused { group, member, error } => match member.is_empty() {
            true => format!("{who} refused a commit for group {group}: {error}"),
            false => format!("{who} refused a commit of {member} for group {group}: {error}"),
        },
        Fact::GroupStateChanged { group, state, generation, members } => {
            format!("{who} has group {group} in {state}, generation {generation}, {} member(s)", members.len())
        }
        Fact::MemberRemoved { group, member, reason } => {
            format!("{who} removed {member} from group {group}: {}", removal(*reason))
        }
        Fact::MemberReconciled { group, member, epoch, state, assigned, revoking } => {
            let revoking = match &revoking[..] {
                [] => String::new(),
                some => format!(", once it has given up {}", partition_list(some)),
            };
            let assigned = partition_list(assigned);
            format!("{who} has {member} of group {group} in epoch {epoch}, {state}: {assigned}{revoking}")
        }
        Fact::GroupsLoaded { partition, groups } => {
            format!("{who} coordinates partition {partition} of __consumer_offsets: {groups} group(s)")
        }
        Fact::GroupsNotLoaded { partition } => {
            format!("{who} could not read partition {partition} of __consumer_offsets")
        }
        _ => return None,
    })
}

/// What a log forgets, and of whom, what it would have had to forget, and what it does not get.
fn forgotten(event: &Event, who: &str) -> Option<String> {
    Some(match &event.fact {
        Fact::TruncationForbidden { partition, leader_end, log_end } => format!(
            "{who} halted: its log of {partition} ends at {log_end}, its leader's at {leader_end}, and unclean elections are off"
        ),
        Fact::ReplicaThrottled { partition, follower, role } => {
            let whose = match role {
                Role::Leader => "leader",
                Role::Follower => "follower",
            };
            format!("{who} lets broker {follower} wait with {partition}: the {whose}'s replication is over its limit")
        }
        Fact::LogDeleted { partition, log_end } => {
            format!("{who} deleted its replica of {partition}, which ended at {log_end}")
        }
        Fact::LogStartOffsetAdvanced { partition, from, to, reason } => {
            let why = match reason {
                LogStartReason::RetentionMs => "older than retention.ms",
                LogStartReason::RetentionBytes => "above retention.bytes",
                LogStartReason::DeleteRecords => "an operator deleted them",
                LogStartReason::Leader => "its leader begins there",
            };
            format!("{who} dropped {partition} below {to}, from {from} on: {why}")
        }
        Fact::Cleaned { partition, from, to, records_before, records_after } => format!(
            "{who} compacted {partition} up to {to}, new since {from}: {records_after} of {records_before} records are left"
        ),
        Fact::CleaningFailed { partition, what } => format!("{who} compacts {partition} no more: {what}"),
        Fact::ProducerExpired { partition, producer_id, reason } => {
            format!("{who} forgot producer id {producer_id} in {partition}: {}", forgotten_reason(*reason))
        }
        _ => return None,
    })
}

/// Why a producer is forgotten, in words.
pub(crate) fn forgotten_reason(reason: ForgottenReason) -> &'static str {
    match reason {
        ForgottenReason::Silent => "it was silent for too long",
        ForgottenReason::RecordsDeleted => "its last record is deleted",
    }
}

fn controller(event: &Event, who: &str) -> Option<String> {
    Some(match &event.fact {
        Fact::BrokerRegistered { broker, epoch } => format!("{who} registered broker {broker}, broker epoch {epoch}"),
        Fact::BrokerUnfenced { broker } => format!("{who} unfenced broker {broker}"),
        Fact::BrokerFenced { broker } => format!("{who} fenced broker {broker}"),
        Fact::ControlledShutdownBegan { broker } => format!("{who} lets broker {broker} hand over its leaderships"),
        Fact::TopicCreated { topic, replicas } => {
            let replicas: Vec<String> = replicas.iter().map(|brokers| set(brokers)).collect();
            format!("{who} created topic {topic} on {}", replicas.join(" "))
        }
        Fact::LeaderElected { partition, leader, leader_epoch, partition_epoch, isr, clean } => {
            let how = if *clean { "cleanly" } else { "uncleanly" };
            let isr = set(isr);
            format!(
                "{who} elected broker {leader} for {partition} {how}, epoch {leader_epoch}, ISR {isr}, partition epoch {partition_epoch}"
            )
        }
        Fact::PartitionOffline { partition, isr, .. } => {
            format!("{who} found no replica to lead {partition}; it waits for {}", set(isr))
        }
        Fact::PartitionsAdded { topic, first, replicas } => {
            let replicas: Vec<String> = replicas.iter().map(|brokers| set(brokers)).collect();
            format!("{who} added partitions to topic {topic}, from {first} on, on {}", replicas.join(" "))
        }
        Fact::TopicDeleted { topic } => format!("{who} deleted topic {topic}"),
        Fact::ReplicasReassigned { partition, replicas, adding, removing } => {
            let moving = match adding.is_empty() && removing.is_empty() {
                true => String::new(),
                false => format!(", adding {}, removing {}", set(adding), set(removing)),
            };
            format!("{who} assigned {partition} to {}{moving}", set(replicas))
        }
        Fact::EligibleLeadersChanged { partition, elr, last_known_elr } => {
            let last = match last_known_elr.is_empty() {
                true => String::new(),
                false => format!(", last known leader {}", set(last_known_elr)),
            };
            format!("{who} changed the ELR of {partition} to {}{last}", set(elr))
        }
        Fact::ConfigAltered { resource, name, value } => match value {
            Some(value) => format!("{who} set {name}={value} for {resource}"),
            None => format!("{who} reset {name} of {resource}"),
        },
        Fact::IsrChanged { partition, from, to, partition_epoch } => {
            format!(
                "{who} changed the ISR of {partition}: {} → {}, partition epoch {partition_epoch}",
                set(from),
                set(to)
            )
        }
        _ => return None,
    })
}

fn client(event: &Event, who: &str) -> Option<String> {
    Some(match &event.fact {
        Fact::RecordSent { record, topic, key, value, resend_of } => {
            let again = resend_of.map(|of| format!(", repeating record {}", of.number)).unwrap_or_default();
            let content = content(key.as_ref(), value.as_ref());
            format!("{who} sent record {} to {topic}: {content}{again}", record.number)
        }
        Fact::RecordBatched { record, partition, batch } => {
            format!("{who} put record {} into batch {batch} for {partition}", record.number)
        }
        Fact::BatchSent { batch, partition, attempt, broker, .. } => {
            let producer = producer(&event.fact);
            format!("{who} sent batch {batch} for {partition} to broker {broker}, attempt {attempt}{producer}")
        }
        Fact::BatchRetried { batch, partition, reason } => {
            format!("{who} will send batch {batch} for {partition} again: {}", retry_reason(*reason))
        }
        Fact::BatchFailedAgain { batch, partition, error } => {
            format!("{who} counted batch {batch} for {partition}, which had expired, as failed once more: {error}")
        }
        Fact::RecordAcknowledged { record, partition, offset, acks } => match offset.0 >= 0 {
            true => format!(
                "{who} was told that record {} is at offset {offset} of {partition} (acks={acks})",
                record.number
            ),
            false => format!("{who} was told that record {} is in {partition}, not where (acks={acks})", record.number),
        },
        Fact::RecordFailed { record, partition, error, definite } => {
            let of = partition.as_ref().map(|partition| format!(" for {partition}")).unwrap_or_default();
            let certainty = if *definite { "certainly not written" } else { "perhaps written" };
            format!("{who} was told that record {}{of} failed: {error} ({certainty})", record.number)
        }
        Fact::RecordAbandoned { record, unsent } => {
            let where_it_was = if *unsent { "still in its memory" } else { "on its way" };
            format!("{who} ended with record {} {where_it_was}", record.number)
        }
        Fact::Polled { partition, offset, key, value } => {
            format!("{who} polled offset {offset} of {partition}: {}", content(key.as_ref(), value.as_ref()))
        }
        Fact::PollFailed { partition, position, error } => {
            format!("{who} could not read {partition} at offset {position}: {error}")
        }
        Fact::PositionReset { partition, from, to, reason, .. } => {
            format!("{who} set its position in {partition} from {from} to {to}: {}", reset_reason(*reason))
        }
        Fact::AdminAnswered { call, error } => match error.is_none() {
            true => format!("{who} was told that it is done: {call}"),
            false => format!("{who} was told {error}: {call}"),
        },
        Fact::ClientWarned { what } => format!("{who} warned: {what}"),
        Fact::PartitionsAssigned { group, member, generation, partitions } => {
            format!("{who} has {} in generation {generation} of group {group}, as {member}", partition_list(partitions))
        }
        Fact::PartitionsRevoked { group, partitions, lost } => {
            let how = if *lost { "lost" } else { "gave up" };
            format!("{who} {how} {} of group {group}", partition_list(partitions))
        }
        Fact::PartitionsPaused { partitions } => format!("{who} paused {}", partition_list(partitions)),
        Fact::PartitionsResumed { partitions } => format!("{who} resumed {}", partition_list(partitions)),
        Fact::WokenUp { call } => format!("{who} was woken up: {call} threw"),
        Fact::CommitAnswered { group, partition, offset, error } => match error.is_none() {
            true => format!("{who} was told that group {group} is at offset {offset} of {partition}"),
            false => format!(
                "{who} was told that offset {offset} of {partition} is not committed for group {group}: {error}"
            ),
        },
        _ => return None,
    })
}

/// What a program did with its records, and a store with what it was asked.
fn program(event: &Event, who: &str) -> Option<String> {
    Some(match &event.fact {
        Fact::Processed { partition, offset, .. } => format!("{who} processed offset {offset} of {partition}"),
        Fact::StoreWrote { transaction, group, partition, offset, results, .. } => format!(
            "{who} wrote transaction {transaction}: group {group} is at offset {offset} of {partition}, with {} result(s)",
            results.len()
        ),
        Fact::StoreRefused { group, partition, expected, found, .. } => {
            format!("{who} refused group {group} a transaction: {partition} is at {found}, not at {expected}")
        }
        Fact::StoreLoaded { transactions } => format!("{who} has the first {transactions} transaction(s)"),
        Fact::ProcessingFailed { partition, offset, attempt, .. } => {
            format!("{who} could not process offset {offset} of {partition}, attempt {attempt}")
        }
        Fact::GaveUp { partition, offset, to: None, .. } => {
            format!("{who} went on without offset {offset} of {partition}")
        }
        Fact::GaveUp { partition, offset, to: Some(topic), .. } => {
            format!("{who} handed offset {offset} of {partition} on to {topic}")
        }
        _ => return None,
    })
}

fn survey(event: &Event) -> Option<String> {
    Some(match &event.fact {
        Fact::PartitionSurveyed { partition, replicas, adding, removing, elr, last_known_elr } => format!(
            "at the end {partition} is on {}, adding {}, removing {}, ELR {}, last known leader {}",
            set(replicas),
            set(adding),
            set(removing),
            set(elr),
            set(last_known_elr)
        ),
        Fact::ReplicaSurveyed {
            partition,
            broker,
            running,
            leader,
            in_isr,
            log_start,
            high_watermark,
            log_end,
            leader_epoch,
        } => {
            let state =
                [(*running, "running", "down"), (*leader, "leader", "follower"), (*in_isr, "in sync", "not in sync")]
                    .map(|(is, yes, no)| if is { yes } else { no })
                    .join(", ");
            format!(
                "at the end broker {broker} ({state}) has {partition} from {log_start} to {log_end}, high watermark {high_watermark}, epoch {leader_epoch}"
            )
        }
        Fact::GroupEpochsSurveyed { group, epoch, target_epoch } => {
            format!("at the end group {group} is in epoch {epoch}, and its target is of epoch {target_epoch}")
        }
        Fact::GroupMemberSurveyed { group, member, epoch, assigned, target, .. } => format!(
            "at the end {member} of group {group} is in epoch {epoch}: it may use {} partition(s), and is to have {}",
            assigned.len(),
            target.len()
        ),
        Fact::GroupSurveyed { group, state, members, .. } => {
            format!("at the end group {group} is {state} with {} member(s)", members.len())
        }
        Fact::GroupPartitionSurveyed { group, partition, committed, member, .. } => {
            let owner = if member.is_empty() { "nobody's".to_owned() } else { format!("of {member}") };
            format!("at the end group {group} is at offset {committed} of {partition}, which is {owner}")
        }
        Fact::RecordSurveyed { partition, broker, offset, leader_epoch, key, value } => format!(
            "at the end broker {broker} has {} at offset {offset} of {partition}, epoch {leader_epoch}",
            content(key.as_ref(), value.as_ref())
        ),
        Fact::Stuck { what } => format!("stuck: {what}"),
        Fact::RunEnded { quiescent: true } => "the run is over, everything is at rest".to_owned(),
        Fact::RunEnded { quiescent: false } => "the run is over, time ran out".to_owned(),
        _ => return None,
    })
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
    }
}

fn retry_reason(reason: RetryReason) -> String {
    match reason {
        RetryReason::Error(error) => error.to_string(),
        RetryReason::Disconnected => "the connection broke before the answer".to_owned(),
        RetryReason::RequestTimeout => "request.timeout.ms passed".to_owned(),
    }
}

/// `orders-0, orders-1`, or `nothing`.
pub(crate) fn partition_list(partitions: &[TopicPartition]) -> String {
    match partitions {
        [] => "nothing".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Why a member is none any more.
pub(crate) fn removal(reason: RemovalReason) -> &'static str {
    match reason {
        RemovalReason::Left => "it left",
        RemovalReason::SessionExpired => "it was silent for session.timeout.ms",
        RemovalReason::DidNotJoin => "it did not join the next generation in time",
        RemovalReason::DidNotSync => "it did not ask for its assignment in time",
        RemovalReason::DidNotRevoke => "it did not give up in time what it had to",
    }
}

pub(crate) fn reset_reason(reason: ResetReason) -> &'static str {
    match reason {
        ResetReason::NoPosition => "it had none: auto.offset.reset",
        ResetReason::OutOfRange => "it lay outside the log: auto.offset.reset",
        ResetReason::Truncation => "the log was truncated below it",
        ResetReason::Committed => "as the group had committed",
        ResetReason::Seek => "the application sought",
    }
}

/// `key=k3 "order 42"`.
pub(crate) fn content(key: Option<&Payload>, value: Option<&Payload>) -> String {
    let value = match value {
        Some(value) => quoted(value, 60),
        None => "tombstone".to_owned(),
    };
    match key {
        Some(key) => {
            let text = key.to_text();
            let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.:/".contains(c));
            format!("key={} {value}", if plain && text.len() <= 60 { text } else { quoted(key, 30) })
        }
        None => value,
    }
}

/// Text in quotes, on one line, cut at so many characters. A long tail of one character is padding: `"order 7" (200 bytes)`.
fn quoted(payload: &Payload, most: usize) -> String {
    let text = payload.to_text();
    if let Some(content) = unpadded(&text, most) {
        return format!("{} ({} bytes)", quoted_text(content, most), payload.0.len());
    }
    quoted_text(&text, most)
}

/// What stands before the padding of a text that is too long to be shown.
fn unpadded(text: &str, most: usize) -> Option<&str> {
    let last = text.chars().next_back().filter(|_| text.chars().nth(most).is_some())?;
    let content = text.trim_end_matches(last);
    let padding = text.len() - content.len();
    (padding >= PADDING_LEAST * last.len_utf8() && content.chars().count() <= most).then(|| content.trim_end())
}

fn quoted_text(text: &str, most: usize) -> String {
    let mut cut: String = text
        .chars()
        .take(most)
        .flat_map(|c| match c {
            // Letters of every script stay; what would break the line or the terminal does not.
            c if c.is_control() || c == '"' || c == '\\' => c.escape_default().collect::<Vec<char>>(),
            c => vec![c],
        })
        .collect();
    if text.chars().nth(most).is_some() {
        cut.push('…');
    }
    format!("\"{cut}\"")
}

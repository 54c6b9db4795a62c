//! Facts as steps of a story: who, what, and what a reader needs beside it.

use ackproof_core::fact::{Event, Fact, LogStartReason, RemovalReason, RetryReason, Role, TruncationReason};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{Duration, NodeId, Offset};

use super::exceptions::exception;
use super::lineage::{At, Lineage};
use super::story::{Actor, Step};

/// `{1,2,3}`.
pub(crate) fn set(brokers: &[i32]) -> String {
    let list: Vec<String> = brokers.iter().map(i32::to_string).collect();
    format!("{{{}}}", list.join(","))
}

/// An event as a step.
pub(crate) fn step(lineage: &Lineage<'_>, at: At) -> Step {
    let event = &lineage.events[at];
    let (actor, what, note) = match &event.fact {
        Fact::NodeKilled | Fact::NodeStopped | Fact::NodePaused | Fact::NodeResumed | Fact::NodeStarted => {
            process(lineage, at, event)
        }
        Fact::PowerLost { unsynced_bytes, lost_bytes } => {
            let note = match unsynced_bytes {
                0 => "nothing was unsynced".to_owned(),
                _ => format!("{lost_bytes} of {unsynced_bytes} unsynced bytes gone"),
            };
            (Actor::node(event.node), "lost power".to_owned(), join(note, fault(lineage, at)))
        }
        Fact::LeaderElected { .. }
        | Fact::IsrChanged { .. }
        | Fact::PartitionOffline { .. }
        | Fact::IsrProposed { .. }
        | Fact::IsrAdopted { .. }
        | Fact::BrokerRegistered { .. }
        | Fact::ControlledShutdownBegan { .. }
        | Fact::BrokerFenced { .. } => decision(lineage, at, event),
        Fact::Appended { .. }
        | Fact::DuplicateDetected { .. }
        | Fact::AppendRefused { .. }
        | Fact::FetchRefused { .. }
        | Fact::Truncated { .. }
        | Fact::LogLoaded { .. }
        | Fact::BecameLeader { .. } => log(event),
        Fact::LogStartOffsetAdvanced { .. } | Fact::Cleaned { .. } | Fact::ProducerExpired { .. } => forgotten(event),
        Fact::MetadataHeldBack { last_offset, lag_ms, .. } => {
            let late = Duration::from_millis(*lag_ms);
            (
                Actor::node(event.node),
                format!("has read metadata up to {last_offset}"),
                format!("goes by it {late} late"),
            )
        }
        Fact::PartitionsAdded { topic, replicas, .. } => {
            let word = if replicas.len() == 1 { "partition" } else { "partitions" };
            (Actor::node(event.node), format!("added {} {word} to {topic}", replicas.len()), String::new())
        }
        Fact::FaultInjected { fault, what } => {
            let until = lineage.healed(*fault).map(|at| format!("in force until {}", lineage.events[at].time));
            (Actor::fault(event.node, *fault), what.clone(), until.unwrap_or_default())
        }
        Fact::FaultBit { fault, what } => (Actor::fault(event.node, *fault), what.clone(), String::new()),
        Fact::MessageLost { what, to, .. } => {
            (Actor::speaking(event.node, *to), format!("{what} lost"), fault(lineage, at).unwrap_or_default())
        }
        _ => client(lineage, event),
    };
    Step::new(event.sequence, event.time, actor, what).note(note)
}

fn process(lineage: &Lineage<'_>, at: At, event: &Event) -> (Actor, String, String) {
    if is_own_exit(lineage, event) {
        return (Actor::node(event.node), "exited".to_owned(), String::new());
    }
    let what = match &event.fact {
        Fact::NodeKilled => "killed",
        Fact::NodeStopped => "stopped",
        Fact::NodePaused => "paused",
        Fact::NodeResumed => "resumed",
        _ => "started",
    };
    let note = fault(lineage, at).unwrap_or_default();
    (Actor::node(event.node), what.to_owned(), note.replacen(": kill the ", ": ", 1).replacen(": kill ", ": ", 1))
}

/// Whether a client's program came to its end; a SIGTERM is a fault's doing.
fn is_own_exit(lineage: &Lineage<'_>, event: &Event) -> bool {
    let by_fault = lineage
        .find(event.cause)
        .is_some_and(|cause| matches!(lineage.events[cause].fact, Fact::FaultInjected { .. } | Fact::FaultBit { .. }));
    matches!((event.node, &event.fact), (NodeId::Client(_), Fact::NodeStopped)) && !by_fault
}

fn decision(lineage: &Lineage<'_>, at: At, event: &Event) -> (Actor, String, String) {
    let (what, note) = match &event.fact {
        Fact::LeaderElected { partition, leader, leader_epoch, clean, .. } => {
            let before = at.checked_sub(1).and_then(|before| lineage.isr(partition, before));
            let whether = match (clean, before.is_none_or(|isr| isr.contains(leader))) {
                (true, true) => "clean: in ISR",
                (true, false) => "clean: an eligible leader replica",
                (false, _) => "unclean: not in ISR",
            };
            let end = log_end_of_election(lineage, at).map(|end| format!("; log end offset {end}"));
            (format!("elected broker {leader}, epoch {leader_epoch}"), whether.to_owned() + &end.unwrap_or_default())
        }
        Fact::IsrChanged { from, to, .. } => (format!("ISR {} → {}", set(from), set(to)), String::new()),
        Fact::IsrProposed { from, to, .. } => (format!("proposes ISR {} → {}", set(from), set(to)), String::new()),
        Fact::IsrAdopted { isr, .. } => (format!("goes by ISR {}", set(isr)), String::new()),
        Fact::BrokerRegistered { broker, .. } => (format!("registered broker {broker}"), String::new()),
        Fact::PartitionOffline { isr, .. } => ("no replica may lead".to_owned(), format!("waits for {}", set(isr))),
        Fact::BrokerFenced { broker } => (format!("fenced broker {broker}"), String::new()),
        Fact::ControlledShutdownBegan { broker } => (format!("lets broker {broker} stop"), String::new()),
        _ => (event.fact.kind().to_owned(), String::new()),
    };
    (Actor::node(event.node), what, note)
}

fn log(event: &Event) -> (Actor, String, String) {
    let plain = Actor::node(event.node);
    match &event.fact {
        Fact::Appended { role, base_offset, last_offset, leader_epoch, .. } => {
            let role = match role {
                Role::Leader => "leader",
                Role::Follower => "follower",
            };
            let what = match base_offset == last_offset {
                true => format!("appended at offset {base_offset}"),
                false => format!("appended at offsets {base_offset}..{last_offset}"),
            };
            (Actor::with_role(event.node, format!("{role}, epoch {leader_epoch}")), what, String::new())
        }
        Fact::DuplicateDetected { base_offset, base_sequence, .. } => {
            (plain, format!("has sequence {base_sequence} already"), format!("at offset {base_offset}"))
        }
        Fact::FetchRefused { offset, error: ErrorCode::CORRUPT_MESSAGE, .. } => {
            (plain, "refused what the leader sent".to_owned(), format!("a broken batch, from offset {offset}"))
        }
        Fact::FetchRefused { offset, .. } => {
            (plain, "gave the partition up".to_owned(), format!("what the leader sent begins before offset {offset}"))
        }
        Fact::AppendRefused { error, .. } => (plain, "refused the batch".to_owned(), error.to_string()),
        Fact::Truncated { from, to, reason, .. } => {
            let note = match reason {
                TruncationReason::Diverged => "",
                TruncationReason::ToHighWatermark => "to its high watermark",
                TruncationReason::EpochsUnknown => "to its high watermark: its log knows no leader epochs",
                TruncationReason::OutOfRange => "beyond the leader's end",
                TruncationReason::CorruptTail => "torn or corrupt batch",
                TruncationReason::InsideBatch => "it was empty, and began inside of a batch",
            };
            let what = match from == to {
                true => format!("cut off what stood beyond {to}"),
                false => format!("truncated {from} → {to}"),
            };
            (plain, what, note.to_owned())
        }
        Fact::LogLoaded { log_end, clean, hole, .. } => {
            let note = if *clean { "after a clean stop" } else { "after an unclean stop" };
            let hole = hole.map(|(from, to)| format!("; {from} to {to} missing")).unwrap_or_default();
            (plain, format!("came back with log end offset {log_end}"), format!("{note}{hole}"))
        }
        Fact::BecameLeader { leader_epoch, log_end, .. } => {
            (plain, format!("leads, epoch {leader_epoch}"), format!("log end offset {log_end}"))
        }
        _ => (plain, event.fact.kind().to_owned(), String::new()),
    }
}

fn forgotten(event: &Event) -> (Actor, String, String) {
    let plain = Actor::node(event.node);
    match &event.fact {
        Fact::LogStartOffsetAdvanced { from, to, reason, .. } => {
            let why = match reason {
                LogStartReason::RetentionMs => "retention.ms",
                LogStartReason::RetentionBytes => "retention.bytes",
                LogStartReason::DeleteRecords => "an operator's wish",
                LogStartReason::Leader => "as its leader",
            };
            (plain, format!("deleted offsets {from} to {}", to.0 - 1), why.to_owned())
        }
        Fact::Cleaned { to, records_before, records_after, .. } => {
            (plain, format!("compacted up to {to}"), format!("{records_after} of {records_before} records left"))
        }
        Fact::ProducerExpired { producer_id, reason, .. } => {
            let why = crate::render::describe::forgotten_reason(*reason);
            (plain, format!("forgot producer id {producer_id}"), why.to_owned())
        }
        _ => (plain, event.fact.kind().to_owned(), String::new()),
    }
}

fn client(lineage: &Lineage<'_>, event: &Event) -> (Actor, String, String) {
    let plain = Actor::node(event.node);
    match &event.fact {
        Fact::RecordSent { resend_of: None, .. } => (plain, "send()".to_owned(), String::new()),
        Fact::RecordSent { resend_of: Some(of), .. } => {
            (plain, "send() again".to_owned(), format!("the application repeats record {}", of.number))
        }
        Fact::BatchSent { batch, attempt, broker, producer_id, producer_epoch, base_sequence, .. } => {
            let what = match attempt {
                0 | 1 => format!("sent batch {batch}"),
                _ => format!("sent batch {batch} again"),
            };
            // Most producers never leave their first epoch.
            let epoch = if producer_epoch.0 > 0 { format!(" epoch {producer_epoch}") } else { String::new() };
            let note = match *producer_id >= 0 {
                true => format!("attempt {attempt}, producer id {producer_id}{epoch}, sequence {base_sequence}"),
                false => format!("attempt {attempt}"),
            };
            (Actor::speaking(event.node, NodeId::Broker(*broker)), what, note)
        }
        Fact::BatchFailedAgain { batch, error, .. } => {
            (plain, format!("counted batch {batch} as failed once more"), exception(*error).0)
        }
        Fact::BatchRetried { batch, reason, .. } => {
            let why = match reason {
                RetryReason::Error(error) => match exception(*error) {
                    (name, "") => name,
                    (_, meaning) => meaning.to_owned(),
                },
                RetryReason::Disconnected => "disconnected before the answer".to_owned(),
                RetryReason::RequestTimeout => "no answer within request.timeout.ms".to_owned(),
            };
            (plain, format!("will retry batch {batch}"), why)
        }
        Fact::RecordAcknowledged { acks: 0, .. } => (plain, "reported as sent".to_owned(), "acks=0".to_owned()),
        Fact::RecordAcknowledged { offset, .. } => (plain, format!("acknowledged at offset {offset}"), String::new()),
        Fact::RecordFailed { error, definite, .. } => {
            let certainty = if *definite { "certainly not written" } else { "written or not: unknown" };
            let (name, meaning) = exception(*error);
            let gap = if meaning.is_empty() { "" } else { "; " };
            (plain, format!("failed: {name}"), format!("{meaning}{gap}{certainty}"))
        }
        Fact::RecordAbandoned { unsent, .. } => {
            let note = if *unsent { "it had never left the process" } else { "it was on its way" };
            (plain, "abandoned the record".to_owned(), note.to_owned())
        }
        Fact::ClientWarned { what } => (plain, "warned".to_owned(), one_sentence(what).to_owned()),
        Fact::PollFailed { position, error, .. } => {
            (plain, format!("could not read at offset {position}"), error.to_string())
        }
        Fact::Polled { offset, .. } => (plain, format!("polled offset {offset}"), String::new()),
        Fact::PositionReset { from, to, reason, .. } => {
            let why = crate::render::describe::reset_reason(*reason);
            let from = if from.0 < 0 { "none".to_owned() } else { from.to_string() };
            (plain, format!("position {from} → {to}"), why.to_owned())
        }
        _ => group(lineage, event),
    }
}

/// What a group and its members do.
fn group(lineage: &Lineage<'_>, event: &Event) -> (Actor, String, String) {
    if let Some(told) = super::share_steps::share(event) {
        return told;
    }
    let plain = Actor::node(event.node);
    let in_which = |group: &str, number: i32| {
        let word = if lineage.epochs.contains(group) { "epoch" } else { "generation" };
        format!("{word} {number}")
    };
    match &event.fact {
        Fact::Processed { offset, .. } => (plain, format!("processed offset {offset}"), String::new()),
        Fact::StoreWrote { transaction, offset, results, .. } => {
            (plain, format!("wrote offset {offset}"), in_transaction(*transaction, results))
        }
        Fact::StoreRefused { expected, found, .. } => {
            (plain, "refused the transaction".to_owned(), format!("offset {found} was there, not {expected}"))
        }
        Fact::StoreLoaded { transactions } => {
            (plain, format!("came back with {transactions} transactions"), String::new())
        }
        Fact::ProcessingFailed { offset, attempt, .. } => {
            (plain, format!("could not process offset {offset}"), format!("attempt {attempt}"))
        }
        Fact::GaveUp { offset, to: None, .. } => {
            (plain, format!("went on without offset {offset}"), "the exception was caught".to_owned())
        }
        Fact::GaveUp { offset, to: Some(topic), .. } => {
            (plain, format!("handed offset {offset} on to {topic}"), String::new())
        }
        Fact::OffsetCommitted { group, offset, generation, .. } => {
            let note = if *generation < 0 { String::new() } else { in_which(group, *generation) };
            (plain, format!("group {group} committed offset {offset}"), note)
        }
        Fact::PartitionsAssigned { group, generation, .. } => {
            (plain, "was assigned the partition".to_owned(), format!("group {group}, {}", in_which(group, *generation)))
        }
        Fact::TopicDeleted { topic } => (plain, format!("deleted topic {topic}"), String::new()),
        Fact::PartitionsRevoked { group, lost: false, .. } => {
            (plain, "gave up the partition".to_owned(), format!("group {group}"))
        }
        Fact::PartitionsRevoked { group, lost: true, .. } => {
            (plain, "lost the partition".to_owned(), format!("it is no member of group {group} any more"))
        }
        Fact::MemberRemoved { group, member, reason: RemovalReason::SessionExpired }
            if lineage.epochs.contains(group.as_str()) =>
        {
            let note = format!("group {group}: it was silent for group.consumer.session.timeout.ms");
            (plain, format!("removed {member}"), note)
        }
        Fact::MemberRemoved { group, member, reason } => (
            plain,
            format!("removed {member}"),
            format!("group {group}: {}", crate::render::describe::removal(*reason)),
        ),
        Fact::MemberReconciled { group, member, epoch, assigned, .. } => {
            let note = format!("group {group}, epoch {epoch}: {}", crate::render::describe::partition_list(assigned));
            (plain, format!("has a new assignment of {member}"), note)
        }
        Fact::GroupStateChanged { group, state, generation, .. } => {
            (plain, format!("has group {group} in {state}"), format!("generation {generation}"))
        }
        _ => (plain, event.fact.kind().to_owned(), String::new()),
    }
}

/// What a store has written together with an offset.
fn in_transaction(transaction: u64, results: &[Offset]) -> String {
    let with = match results[..] {
        [] => None,
        [one] => Some(format!("with the result of offset {one}")),
        [first, .., last] => Some(format!("with the results of offsets {first} to {last}")),
    };
    join(format!("transaction {transaction}"), with)
}

/// The first sentence of a text, without its full stop.
pub(crate) fn one_sentence(text: &str) -> &str {
    text.split(". ").next().unwrap_or(text).trim_end_matches('.')
}

/// `fault 1: leader of orders-0`.
fn fault(lineage: &Lineage<'_>, at: At) -> Option<String> {
    lineage.fault(at).map(|(fault, what)| format!("fault {fault}: {what}"))
}

fn join(note: String, more: Option<String>) -> String {
    match more {
        Some(more) => format!("{note}; {more}"),
        None => note,
    }
}

/// Where the log of a newly elected leader ended, as it said itself.
fn log_end_of_election(lineage: &Lineage<'_>, at: At) -> Option<i64> {
    let Fact::LeaderElected { partition, leader, leader_epoch, .. } = &lineage.events[at].fact else { return None };
    let structure = &lineage.partitions.get(partition)?.structure;
    let after = structure.partition_point(|other| *other <= at);
    structure[after..].iter().find_map(|other| match &lineage.events[*other].fact {
        Fact::BecameLeader { leader_epoch: epoch, log_end, .. }
            if epoch == leader_epoch && lineage.events[*other].node == NodeId::Broker(*leader) =>
        {
            Some(log_end.0)
        }
        _ => None,
    })
}

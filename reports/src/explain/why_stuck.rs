//! Why a partition has no leader, why a consumer cannot read what its position points at, and which faults keep something else
//! from its end.
//!
//! Source: `failure-catalog.md` PA-06, RE-02: without unclean election the partition waits for the last in-sync replica. ST-08: a
//! consumer does not get past a record whose checksum is wrong; a program does not get past one that it cannot process. ST-01, ST-02: what recovery
//! makes of a log after a loss of power (`LogLoader.recoverLog`, `LogSegment.readNextOffset`).

use ackproof_core::coordinator::group::GROUP_METADATA_TOPIC;
use ackproof_core::fact::{Event, Fact, Role};
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{Duration, LeaderEpoch, NodeId, Offset, TopicPartition};

use super::Tale;
use super::cause::Cause;
use super::lineage::{At, Lineage};
use super::steps::step;
use super::telling::Telling;
use crate::anomaly::{Anomaly, Kind};
use crate::contract::{Contract, OnError};

pub(crate) fn explain(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Tale {
    let Some(partition) = Tale::partition(anomaly) else { return without_partition(lineage, anomaly, contract) };
    let Some(line) = lineage.partitions.get(&partition) else { return waiting(lineage, anomaly) };
    if line.final_leader.is_some() || (anomaly.kind == Kind::Stuck && anomaly.record.is_some()) {
        let circles = anomaly.record.and_then(|record| sent_for_ever(lineage, record.client, contract));
        return circles.unwrap_or_else(|| waiting(lineage, anomaly));
    }
    leaderless(lineage, &partition, contract).unwrap_or_else(Tale::unknown)
}

/// Why a partition has no leader, if the controller's last word is that it has none.
pub(super) fn leaderless(lineage: &Lineage<'_>, partition: &TopicPartition, contract: &Contract) -> Option<Tale> {
    let line = lineage.partitions.get(partition)?;
    let last_word = line
        .structure
        .iter()
        .rev()
        .copied()
        .find(|at| matches!(lineage.events[*at].fact, Fact::PartitionOffline { .. } | Fact::LeaderElected { .. }));
    let offline = last_word?;
    let Fact::PartitionOffline { isr, .. } = &lineage.events[offline].fact else { return None };
    let mut places = vec![offline];
    // How those that it waits for went.
    places.extend(isr.iter().filter_map(|broker| lineage.last_death(NodeId::Broker(*broker), 0, lineage.events.len())));
    places.extend(line.structure.iter().rev().copied().find(|at| {
        *at < offline && matches!(&lineage.events[*at].fact, Fact::IsrChanged { from, to, .. } if to.len() < from.len())
    }));
    places.sort_unstable();
    let takes_any = contract.topic(partition.topic.as_str()).is_some_and(|topic| topic.unclean_leader_election);
    let cause = if takes_any && none_runs(lineage, partition) { Cause::NoLiveReplica } else { Cause::NoEligibleLeader };
    Some(Tale::new(cause, places.into_iter().map(|at| step(lineage, at)).collect()))
}

/// Whether the process of none of the replicas runs at the end: by whoever looked at them, or else by how their nodes went.
fn none_runs(lineage: &Lineage<'_>, partition: &TopicPartition) -> bool {
    let mut replicas = surveyed(lineage, partition);
    match replicas.next() {
        Some(first) => !first.runs && replicas.all(|replica| !replica.runs),
        None => none_lives(lineage, partition),
    }
}

fn none_lives(lineage: &Lineage<'_>, partition: &TopicPartition) -> bool {
    let number = usize::try_from(partition.partition).unwrap_or(usize::MAX);
    let replicas = lineage.events.iter().rev().find_map(|event| match &event.fact {
        Fact::TopicCreated { topic, replicas } if *topic == *partition.topic.as_str() => replicas.get(number),
        _ => None,
    });
    let is_dead = |broker: &i32| lineage.dead_since(NodeId::Broker(*broker), lineage.events.len()).is_some();
    replicas.is_some_and(|replicas| replicas.iter().all(is_dead))
}

/// A replica, as somebody found it at the end.
struct Surveyed {
    broker: i32,
    runs: bool,
    log_end: Offset,
    /// The epoch of its last record.
    epoch: LeaderEpoch,
}

fn surveyed<'l>(lineage: &'l Lineage<'_>, partition: &'l TopicPartition) -> impl Iterator<Item = Surveyed> + 'l {
    lineage.events.iter().filter_map(move |event| match &event.fact {
        Fact::ReplicaSurveyed { partition: of, broker, running, log_end, leader_epoch, .. } if of == partition => {
            Some(Surveyed { broker: *broker, runs: *running, log_end: *log_end, epoch: *leader_epoch })
        }
        _ => None,
    })
}

/// Whether the world speaks of a partition: of its replicas, or of somebody who reads it.
fn is_about(note: &str, partition: &TopicPartition) -> bool {
    note.starts_with(&format!("{partition}: ")) || note.contains(&format!(" of {partition}, which ends at "))
}

/// Whether it says that a high watermark stands still.
fn is_high_watermark(note: &str) -> bool {
    note.contains(": the high watermark ")
}

/// The partition that the world speaks of.
fn subject<'l>(lineage: &Lineage<'l>, note: &str) -> Option<&'l TopicPartition> {
    lineage.partitions.keys().copied().find(|partition| is_about(note, partition))
}

/// A follower refused what its leader offered, and holds a record of an epoch in which its leader wrote twice over, there or further on.
fn parted_in_one_epoch(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (refused, partition, offset) = last_refusal(lineage, anomaly)?;
    let appends = lineage.leader_appends(partition, offset.0.checked_sub(1)?);
    let twice = |again: At| Some((lineage.written_before_in_epoch(partition, again)?, again));
    let (first, again) = appends.into_iter().filter(|at| *at < refused).rev().find_map(twice)?;
    let mut telling = Telling::new(lineage);
    telling.tell_all([first, again, refused]);
    telling.tell_all(lineage.last_death(lineage.events[first].node, first, again));
    Some(Tale::new(Cause::WrittenTwiceInOneEpoch, telling.into_steps()))
}

/// The last time that a follower refused what its leader offered.
fn last_refusal<'l>(lineage: &Lineage<'l>, anomaly: &Anomaly) -> Option<(At, &'l TopicPartition, Offset)> {
    let note = anomaly.note.as_ref()?;
    lineage.events.iter().enumerate().rev().find_map(|(at, event)| {
        let Fact::FetchRefused { partition, offset, .. } = &event.fact else { return None };
        note.starts_with(&format!("{partition}: ")).then_some((at, partition, *offset))
    })
}

/// A follower refused what its leader offered, because more came at once than a segment may hold.
fn more_than_a_segment(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (refused, ..) = last_refusal(lineage, anomaly)?;
    let is_too_large =
        matches!(lineage.events[refused].fact, Fact::FetchRefused { error: ErrorCode::RECORD_LIST_TOO_LARGE, .. });
    is_too_large.then(|| Tale::new(Cause::FetchedMoreThanSegment, vec![step(lineage, refused)]))
}

/// A follower refused what its leader offered: it has records of its own there, and the leader, which came back from a loss of power or
/// had deleted what was there, had not known enough of its epochs to have them cut. A follower whose log does not fit gives it up until
/// there is a new epoch (KIP-461).
fn parted_without_epochs(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (refused, partition, offset) = last_refusal(lineage, anomaly)?;
    let line = lineage.partitions.get(partition)?;
    let leader = NodeId::Broker(line.final_leader?);
    let deletes = |at: &At| match &lineage.events[*at] {
        Event { node, fact: Fact::LogStartOffsetAdvanced { to, .. }, .. } => *node == leader && *to > offset,
        _ => false,
    };
    let (cause, at) = match lineage.last_power_loss(leader, 0, refused) {
        Some(power) => (Cause::EpochsLostWithPower, power),
        None => {
            (Cause::EpochsDeletedWithRecords, line.removals.iter().copied().rfind(|at| *at < refused && deletes(at))?)
        }
    };
    let mut telling = Telling::new(lineage);
    telling.tell_all([at, refused]);
    Some(Tale::new(cause, telling.into_steps()))
}

/// The same where the leader knows its epochs, and the follower was not cut all the same: two leaders wrote what stands there, and it has not moved
/// since.
fn kept_where_it_parted(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (refused, partition, offset) = last_refusal(lineage, anomaly)?;
    let appends = lineage.leader_appends(partition, offset.0.checked_sub(1)?);
    let parted = appends.windows(2).find(|pair| lineage.append_epoch(pair[0]) != lineage.append_epoch(pair[1]))?;
    let moves = |event: &Event| match &event.fact {
        Fact::Appended { partition: of, .. } | Fact::Truncated { partition: of, .. } => of == partition,
        _ => false,
    };
    let follower = lineage.events[refused].node;
    if lineage.events[refused..].iter().any(|event| event.node == follower && moves(event)) {
        return None;
    }
    let mut telling = Telling::new(lineage);
    telling.tell_all(parted.iter().copied().chain([refused]));
    Some(Tale::new(Cause::KeptWhereItParted, telling.into_steps()))
}

/// The leader's log ends with a hole. Two segments were on their way to the disk when the power went, and the second, which was
/// empty, is all that recovery found behind the rest (`LogLoader.recoverLog` looks at each by itself). Its followers fetch in vain
/// what would bring them to its end, and are not in sync until somebody has written behind it; consumers do not get past it either.
fn ends_with_hole(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let name = subject(lineage, anomaly.note.as_ref()?)?;
    let leader = NodeId::Broker(lineage.partitions.get(name)?.final_leader?);
    let Some(loaded) = last_recovery(lineage, name, leader) else { return cut_without_power(lineage, name, leader) };
    let ends_so = match &lineage.events[loaded].fact {
        Fact::LogLoaded { log_end, hole, .. } => hole.is_some_and(|(_, to)| to == *log_end),
        _ => false,
    };
    let has_changed =
        lineage.events[loaded..].iter().filter(|event| event.node == leader).any(|event| match &event.fact {
            Fact::Appended { partition: of, .. } | Fact::Truncated { partition: of, .. } => of == name,
            _ => false,
        });
    if !ends_so || has_changed {
        return cut_without_power(lineage, name, leader);
    }
    let power = lineage.last_power_loss(leader, 0, loaded)?;
    let mut telling = Telling::new(lineage);
    telling.tell_all([power, loaded]);
    Some(Tale::new(Cause::LogEndsWithHole, telling.into_steps()))
}

/// The last time that a broker loaded a log and looked at what is in it. After a clean stop it takes the segments as they are.
fn last_recovery(lineage: &Lineage<'_>, name: &TopicPartition, broker: NodeId) -> Option<At> {
    let is_as_it_was = |at: At| matches!(&lineage.events[at].fact, Fact::LogLoaded { clean: true, hole: None, .. });
    let last = lineage.last_load(name, broker, lineage.events.len())?;
    let mut loads = std::iter::successors(Some(last), |at| lineage.last_load(name, broker, *at));
    loads.find(|at| !is_as_it_was(*at)).or(Some(last))
}

/// The same without a loss of power: a cleaner left nothing of the records up to where the log was cut later, or it was cut inside of a
/// batch, which went whole (`LogSegment.truncateTo`).
fn cut_without_power(lineage: &Lineage<'_>, name: &TopicPartition, leader: NodeId) -> Option<Tale> {
    let of_leader = |at: &At| lineage.events[*at].node == leader;
    let last = |wanted: &dyn Fn(&Fact) -> bool| {
        (0..lineage.events.len()).rev().filter(of_leader).find(|at| wanted(&lineage.events[*at].fact))
    };
    let cut = last(&|fact| matches!(fact, Fact::Truncated { partition, .. } if partition == name))?;
    let Fact::Truncated { to: end, .. } = &lineage.events[cut].fact else { return None };
    let grown = last(&|fact| matches!(fact, Fact::Appended { partition, .. } if partition == name));
    if grown.is_some_and(|grown| grown > cut) {
        return None;
    }
    let cleaned = last(&|fact| matches!(fact, Fact::Cleaned { partition, to, .. } if partition == name && to >= end));
    let is_inside = |at: &At| match &lineage.events[*at].fact {
        Fact::Appended { base_offset, .. } => *at < cut && of_leader(at) && base_offset < end,
        _ => false,
    };
    let inside = || lineage.appends(name, end.0).into_iter().rev().find(is_inside);
    let reason = cleaned.filter(|cleaned| *cleaned < cut).or_else(inside)?;
    let mut telling = Telling::new(lineage);
    telling.tell_all([reason, cut]);
    Some(Tale::new(Cause::LogEndsWithHole, telling.into_steps()))
}

/// The high watermark stands still because the ISR cannot be as large as it has to be: so few replicas run. A broker that does not get
/// registered within a minute ends its process, for one (`initial.broker.registration.timeout.ms`).
fn too_few_run(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Option<Tale> {
    let note = anomaly.note.as_ref()?;
    let name = subject(lineage, note).filter(|_| is_high_watermark(note) || note.contains(", which ends at "))?;
    let least = contract.topic(name.topic.as_str())?.min_insync_replicas;
    let (run, down): (Vec<_>, Vec<_>) = surveyed(lineage, name).partition(|replica| replica.runs);
    if !contract.has_strict_min_isr() || down.is_empty() || run.len() >= usize::try_from(least).ok()? {
        return None;
    }
    let mut telling = Telling::new(lineage);
    let ends = |replica: Surveyed| lineage.last_death(NodeId::Broker(replica.broker), 0, lineage.events.len());
    telling.tell_all(down.into_iter().filter_map(ends));
    Some(Tale::new(Cause::TooFewReplicasRun, telling.into_steps()))
}

/// A partition moves when all who are to have it are in sync, and the process of one of them does not run.
fn target_down(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let note = anomaly.note.as_ref()?;
    let name = subject(lineage, note).filter(|_| note.contains(": the reassignment to "))?;
    let leaving = lineage.events.iter().rev().find_map(|event| match &event.fact {
        Fact::PartitionSurveyed { partition, removing, .. } if partition == name => Some(removing),
        _ => None,
    });
    let stays = |broker: i32| leaving.is_none_or(|leaving| !leaving.contains(&broker));
    let down = surveyed(lineage, name).filter(|replica| !replica.runs && stays(replica.broker));
    let ends: Vec<At> = down
        .filter_map(|replica| lineage.last_death(NodeId::Broker(replica.broker), 0, lineage.events.len()))
        .collect();
    let mut telling = Telling::new(lineage);
    telling.tell_all(ends.iter().copied());
    (!ends.is_empty()).then(|| Tale::new(Cause::TargetReplicaDown, telling.into_steps()))
}

/// An application has not sent everything, and what failed last was for a partition that is stuck itself: the reason is that one's.
fn behind_a_partition(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Option<Tale> {
    let client = NodeId::Client(unsent(anomaly, contract)?);
    let (failed, partition) = lineage.events.iter().enumerate().rev().find_map(|(at, event)| match &event.fact {
        Fact::RecordFailed { partition, .. } if event.node == client => Some((at, partition.as_ref()?)),
        _ => None,
    })?;
    let stuck = lineage.events.iter().rev().find_map(|event| match &event.fact {
        Fact::Stuck { what } if is_about(what, partition) => Some(what),
        _ => None,
    })?;
    let of_partition = Anomaly { note: Some(stuck.clone()), ..anomaly.clone() };
    let mut tale = without_partition(lineage, &of_partition, contract);
    tale.add([step(lineage, failed)]);
    (tale.cause != Cause::Unknown).then_some(tale)
}

/// The leader is back at the ISR that it had before its last proposal, and everybody in it has everything; nothing has been appended since.
fn refused_proposal(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let note = anomaly.note.as_ref()?;
    let name = subject(lineage, note).filter(|_| is_high_watermark(note))?;
    let structure = &lineage.partitions.get(name)?.structure;
    let back = structure.iter().rposition(|at| matches!(lineage.events[*at].fact, Fact::IsrAdopted { .. }))?;
    let asked = structure[..back]
        .iter()
        .rposition(|at| matches!(lineage.events[*at].fact, Fact::IsrProposed { .. } | Fact::IsrAdopted { .. }))?;
    let (back, asked) = (structure[back], structure[asked]);
    let (Fact::IsrAdopted { isr, .. }, Fact::IsrProposed { from, .. }) =
        (&lineage.events[back].fact, &lineage.events[asked].fact)
    else {
        return None;
    };
    let grows = |event: &Event| matches!(&event.fact, Fact::Appended { partition, .. } if partition == name);
    let in_sync = surveyed(lineage, name).filter(|replica| isr.contains(&replica.broker));
    let ends: Vec<Offset> = in_sync.map(|replica| replica.log_end).collect();
    let all_have_it = ends.len() == isr.len() && ends.windows(2).all(|two| two[0] == two[1]);
    let same_leader = lineage.events[asked].node == lineage.events[back].node;
    if isr != from || !same_leader || !all_have_it || lineage.events[back..].iter().any(grows) {
        return None;
    }
    let mut telling = Telling::new(lineage);
    telling.tell_all([asked, back]);
    Some(Tale::new(Cause::ProposalRefused, telling.into_steps()))
}

/// The leader has written nothing since it was elected, and a follower that it does not cut ends with a newer epoch than any record of the
/// leader's. Asked where that one ends, a leader that has not noted its own epoch knows of none so new: since 2.7 the follower is told that it is
/// out of range, finds that it is not (`Partition.readRecords`, `AbstractFetcherThread.fetchOffsetAndTruncate`), and asks again.
fn epoch_not_noted(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let name = subject(lineage, anomaly.note.as_ref()?)?;
    let line = lineage.partitions.get(name)?;
    let leads = line.final_leader?;
    let leader = surveyed(lineage, name).find(|replica| replica.broker == leads)?;
    let ahead = |replica: &Surveyed| replica.runs && replica.broker != leads && replica.epoch > leader.epoch;
    let follower = surveyed(lineage, name).find(ahead)?;
    let of_leader = |event: &Event| event.node == NodeId::Broker(leads);
    let elected = line.structure.iter().copied().rfind(|at| {
        let event = &lineage.events[*at];
        of_leader(event) && matches!(event.fact, Fact::BecameLeader { .. })
    })?;
    let grows = |event: &Event| matches!(&event.fact, Fact::Appended { partition, .. } if partition == name);
    if lineage.events[elected..].iter().any(|event| of_leader(event) && grows(event)) {
        return None;
    }
    let has_newer = lineage.events[..elected]
        .iter()
        .rposition(|event| event.node == NodeId::Broker(follower.broker) && grows(event));
    let mut telling = Telling::new(lineage);
    telling.tell_all(has_newer.into_iter().chain([elected]));
    Some(Tale::new(Cause::EpochNotNoted, telling.into_steps()))
}

/// So much time before the end a partition that gets on has got on.
const IN_MOTION: Duration = Duration::from_secs(30);

/// The run ended while an application was going round in circles, or consumers were committing; what was sent last was still on its way, or in the
/// hands of a consumer.
fn in_motion(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Option<Tale> {
    let note = anomaly.note.as_ref()?;
    let end = lineage.events.last()?.time;
    let worker = note.strip_suffix(" has not finished processing");
    let worker = worker.and_then(|name| contract.consumers.iter().find(|consumer| consumer.name == name));
    let works = |node: NodeId| worker.is_some_and(|worker| NodeId::Client(worker.client) == node);
    let got_on = |event: &Event| match &event.fact {
        Fact::HighWatermarkAdvanced { partition, role: Role::Leader, .. } => is_about(note, partition),
        Fact::Processed { .. } => works(event.node),
        _ => false,
    };
    let last = lineage.events.iter().rposition(|event| end.since(event.time) <= IN_MOTION && got_on(event))?;
    let circles = contract.producers.iter().find_map(|producer| sent_for_ever(lineage, producer.client, contract));
    circles.or_else(|| {
        let commits = note.starts_with(&format!("{GROUP_METADATA_TOPIC}-"));
        commits.then(|| Tale::new(Cause::CommittedAllTheTime, vec![step(lineage, last)]))
    })
}

/// Something waits although its partition is led: what the client did, and the faults that nobody has healed.
fn waiting(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let mut telling = Telling::new(lineage);
    if let Some(line) = anomaly.record.and_then(|record| lineage.records.get(&record)) {
        telling.tell_all(line.sent.into_iter().chain(line.told));
    }
    let open: Vec<(u32, At)> = lineage.faults_at_the_end().collect();
    telling.tell_all(open.iter().map(|(_, injected)| *injected));
    let names = open.iter().map(|(fault, injected)| match &lineage.events[*injected].fact {
        Fact::FaultInjected { what, .. } => format!("fault {fault} ({what})"),
        _ => format!("fault {fault}"),
    });
    let names = crate::names::listed(names.collect());
    let verb = if open.len() == 1 { "is" } else { "are" };
    let unhealed = (!open.is_empty()).then(|| format!("{names} {verb} in force to the end"));
    Tale { unhealed, ..Tale::new(Cause::Unknown, telling.into_steps()) }
}

fn without_partition(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Tale {
    let found = unreadable(lineage, anomaly, contract)
        .or_else(|| poisoned(lineage, anomaly))
        .or_else(|| super::why_unread::explain(lineage, anomaly, contract))
        .or_else(|| sent_for_ever(lineage, unsent(anomaly, contract)?, contract))
        .or_else(|| parted_in_one_epoch(lineage, anomaly))
        .or_else(|| more_than_a_segment(lineage, anomaly))
        .or_else(|| parted_without_epochs(lineage, anomaly))
        .or_else(|| kept_where_it_parted(lineage, anomaly))
        .or_else(|| ends_with_hole(lineage, anomaly))
        .or_else(|| too_few_run(lineage, anomaly, contract))
        .or_else(|| target_down(lineage, anomaly))
        .or_else(|| behind_a_partition(lineage, anomaly, contract))
        .or_else(|| refused_proposal(lineage, anomaly))
        .or_else(|| epoch_not_noted(lineage, anomaly))
        .or_else(|| in_motion(lineage, anomaly, contract));
    found.unwrap_or_else(|| waiting(lineage, anomaly))
}

/// After so many failures in a row, with no fault left, it is the application that goes round in circles.
const FAILURES_IN_A_CIRCLE: usize = 20;

/// An application repeats what failed, and it fails again, since the last fault was over: records too large for their topic, or so
/// many of them that those at the end of the queue expire before their turn comes (a retry storm).
fn sent_for_ever(lineage: &Lineage<'_>, client: u32, contract: &Contract) -> Option<Tale> {
    contract.producer(client).filter(|producer| producer.on_error == OnError::Resend)?;
    let is_fault = |event: &Event| matches!(event.fact, Fact::FaultInjected { .. } | Fact::FaultHealed { .. });
    let quiet = lineage.events.iter().rposition(is_fault).unwrap_or(0);
    let of_client = lineage.events[quiet..].iter().filter(|event| event.node == NodeId::Client(client));
    let (mut failed, mut acknowledged, mut last) = (0, 0, None);
    for event in of_client {
        match &event.fact {
            Fact::RecordFailed { record, .. } => (failed, last) = (failed + 1, Some(*record)),
            Fact::RecordAcknowledged { .. } => acknowledged += 1,
            _ => {}
        }
    }
    if failed < FAILURES_IN_A_CIRCLE || failed < acknowledged {
        return None;
    }
    let line = lineage.records.get(&last?)?;
    let mut telling = Telling::new(lineage);
    telling.tell_all(line.sent.into_iter().chain(line.told));
    if let (Some(batch), Some(told)) = (line.batch, line.told) {
        telling.transmissions(batch, told);
    }
    Some(Tale::new(Cause::SentAgainForEver, telling.into_steps()))
}

/// Whose application has not come to its end, if that is what waits.
fn unsent(anomaly: &Anomaly, contract: &Contract) -> Option<u32> {
    let name = anomaly.note.as_ref()?.strip_suffix(" has not finished sending")?;
    contract.producers.iter().find(|producer| producer.name == name).map(|producer| producer.client)
}

/// A program stands before a record that it cannot process.
fn poisoned(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let note = anomaly.note.as_ref()?;
    let is_it = |event: &Event| match &event.fact {
        Fact::ProcessingFailed { partition, offset, .. } => {
            note.ends_with(&format!("process offset {offset} of {partition}"))
        }
        _ => false,
    };
    let first = lineage.events.iter().position(is_it)?;
    let last = lineage.events.iter().rposition(is_it)?;
    let end = lineage.nodes.get(&lineage.events[last].node)?.iter().copied().find(|at| *at > last);
    let mut telling = Telling::new(lineage);
    telling.tell_all([first, last].into_iter().chain(end));
    Some(Tale::new(Cause::StoppedByRecord, telling.into_steps()))
}

/// A consumer stands at an offset, and the last thing that its `poll()` said is that the bytes there are corrupt, or those of another
/// partition: it says so until somebody seeks past them, and returns nothing else.
fn unreadable(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Option<Tale> {
    let note = anomaly.note.as_ref()?;
    let (name, _) = note.split_once(" is at offset ")?;
    let reader = contract.consumers.iter().find(|consumer| consumer.name == name);
    let reader = reader.map(|consumer| NodeId::Client(consumer.client));
    let failed = |event: &Event| match &event.fact {
        Fact::PollFailed { partition, position, error: ErrorCode::CORRUPT_MESSAGE } => {
            reader == Some(event.node) || note.contains(&format!("is at offset {position} of {partition}, "))
        }
        _ => false,
    };
    let at = lineage.events.iter().rposition(failed)?;
    let reader = lineage.events[at].node;
    let went_on =
        lineage.events[at..].iter().any(|event| event.node == reader && matches!(event.fact, Fact::Polled { .. }));
    if went_on {
        return None;
    }
    let faults = (0..at).filter(|at| matches!(lineage.events[*at].fact, Fact::FaultBit { .. }));
    let places: Vec<usize> = faults.chain([at]).collect();
    Some(Tale::new(Cause::CorruptRecord, places.into_iter().map(|at| step(lineage, at)).collect()))
}

//! Why a record that a log has forgotten by a rule is missed.
//!
//! Source: `failure-catalog.md` CP-01, NC-05, NC-06 (deleted unread), CP-09 (deleted before it was committed), CP-05 (compacted
//! without a key), KIP-534 (tombstones). A cleaner that drops a record for a later one of its key, which the log loses then, has taken
//! both: the cause is what took the later one.

use ackproof_core::fact::{Event, Fact, LogStartReason, Payload};
use ackproof_core::types::{Instant, NodeId, Offset, RecordId, TopicPartition};

use super::Tale;
use super::cause::Cause;
use super::fate::{fate, follow_copies};
use super::lineage::{At, Lineage};
use super::nodes::leaves_hole_at;
use super::promise::{Promise, promise};
use super::steps::step;
use super::story::Mark;
use super::telling::Telling;
use super::why_lost;
use crate::anomaly::{Anomaly, Kind};
use crate::contract::Contract;

/// The tale of a lost write that was deleted after it had been appended, and before it was committed.
pub(super) fn deleted(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (partition, offset) = (Tale::partition(anomaly)?, anomaly.offset?);
    let appends = lineage.leader_appends(&partition, offset.0);
    let told = told(lineage, anomaly);
    let written = appends.iter().copied().filter(|append| *append < told).max().unwrap_or(0);
    let given_away = given_away(&appends, told);
    // What was deleted after that was another record.
    let at = deletion(lineage, &partition, offset, written).filter(|at| given_away.is_none_or(|again| *at < again))?;
    let promise = anomaly.record.and_then(|record| promise(lineage, record, &partition, Some(offset.0)));
    let took_another = promise.is_some_and(|promise| {
        had_another(lineage, &partition, &promise, at)
            || begins_where_leader_lacks_it(lineage, &partition, &promise, at)
    });
    (!took_another).then(|| tell(lineage, anomaly, Cause::DeletedBeforeCommit, at))
}

/// Whether another record stood where a broker deleted than the one that was promised: a leader that had been deposed answered for that.
fn had_another(lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise, deleted: At) -> bool {
    let here = |at: &At| *at < deleted && lineage.events[*at].node == lineage.events[deleted].node;
    let last = lineage.appends(partition, promise.offset).into_iter().filter(here).max();
    last.is_some_and(|last| match &lineage.events[last].fact {
        Fact::Appended { leader_epoch, crc, .. } => (*leader_epoch, *crc) != (promise.epoch, promise.crc),
        _ => false,
    })
}

/// Whether a log began where its leader's does, and that leader never had the record: then it was not that one that the rules took.
fn begins_where_leader_lacks_it(lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise, at: At) -> bool {
    let as_leader =
        matches!(&lineage.events[at].fact, Fact::LogStartOffsetAdvanced { reason: LogStartReason::Leader, .. });
    let has_it = |leader| fate(lineage, partition, promise).holders.contains_key(&leader);
    as_leader && lineage.last_elected(partition, at).is_some_and(|(_, leader)| !has_it(leader))
}

/// Where somebody was told of the record.
fn told(lineage: &Lineage<'_>, anomaly: &Anomaly) -> At {
    anomaly.record.and_then(|record| lineage.records.get(&record)?.told).unwrap_or(0)
}

/// Where the offset of a record was given to another one, after somebody was told of the first.
fn given_away(appends: &[At], told: At) -> Option<At> {
    appends.iter().copied().filter(|append| *append >= told).min()
}

/// The tale of a lost write that the cleaner took, if it did.
pub(super) fn compacted(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (partition, offset) = (Tale::partition(anomaly)?, anomaly.offset?);
    // Where another record has its offset, the log had lost it before.
    let given_away = given_away(&lineage.leader_appends(&partition, offset.0), told(lineage, anomaly));
    let cleaned =
        cleanings(lineage, &partition, offset).find(|cleaned| given_away.is_none_or(|again| again >= *cleaned))?;
    let Some(key) = &anomaly.key else { return Some(tell(lineage, anomaly, Cause::CompactedWithoutKey, cleaned)) };
    let mut all = cleanings(lineage, &partition, offset);
    let for_another = all.find_map(|at| Some((at, successor_lost(lineage, (&partition, offset), key, at)?)));
    let Some((at, lost)) = for_another else { return Some(tell(lineage, anomaly, Cause::CompactedAway, cleaned)) };
    let mut tale = tell(lineage, anomaly, lost.cause, at);
    tale.contributing = [vec![Cause::CompactedAway], lost.contributing].concat();
    tale.add(lost.steps);
    tale.steps.dedup_by_key(|step| step.event);
    Some(tale)
}

/// The tale of the later record of its key for which a cleaner dropped a record, if the log was cut below that afterwards.
fn successor_lost(
    lineage: &Lineage<'_>,
    (partition, offset): (&TopicPartition, Offset),
    key: &Payload,
    cleaned: At,
) -> Option<Tale> {
    let Fact::Cleaned { to: limit, .. } = lineage.events[cleaned].fact else { return None };
    let cleaner = lineage.events[cleaned].node;
    let mut after = lineage.events[cleaned..].iter().filter(|event| event.node == cleaner);
    let cut = after.find_map(|event| match &event.fact {
        Fact::Truncated { partition: of, to: end, .. } | Fact::LogLoaded { partition: of, log_end: end, .. } => {
            (of == partition && *end < limit).then_some(*end)
        }
        _ => None,
    })?;
    let (append, record) = successor(lineage, (partition, cut.max(Offset(offset.0 + 1))), key, cleaned)?;
    let tale = why_lost::explain_from(lineage, record, partition, append);
    (tale.cause != Cause::Unknown).then_some(tale)
}

/// A record of a key that stood at an offset or behind it where a cleaner has been.
fn successor(
    lineage: &Lineage<'_>,
    (partition, from): (&TopicPartition, Offset),
    key: &Payload,
    cleaned: At,
) -> Option<(At, RecordId)> {
    let Fact::Cleaned { to: limit, .. } = lineage.events[cleaned].fact else { return None };
    let has_key =
        |sent: &At| matches!(&lineage.events[*sent].fact, Fact::RecordSent { key: Some(of), .. } if of == key);
    let same_key = lineage.records.iter().filter(|(_, line)| line.sent.as_ref().is_some_and(has_key));
    let mut appends = (from.0..limit.0).flat_map(|at| lineage.leader_appends(partition, at));
    appends.find_map(|append| {
        let mut same_key = same_key.clone().map(|(record, _)| *record);
        let is_its = |record: &RecordId| {
            let origin = lineage.origin(append, partition, &lineage.batches_of(*record));
            append < cleaned && origin.is_some_and(|origin| origin.certain)
        };
        Some((append, same_key.find(is_its)?))
    })
}

/// The tale of what is in the log and was passed over by a reader: where it read, a cleaner had taken it for a later record of its key, and the
/// log has lost that since. All that was passed over had to go like that, or as a tombstone.
pub(super) fn passed_over(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (partition, offset) = (Tale::partition(anomaly)?, anomaly.offset?);
    let leader = lineage.partitions.get(&partition)?.final_leader?;
    let (passed, told) = match anomaly.kind {
        Kind::PollSkip => (anomaly.other_offset?.0 + 1..offset.0, anomaly.told_at),
        _ => (offset.0..offset.0 + 1, None),
    };
    let left = lineage.events.iter().filter_map(|event| match &event.fact {
        Fact::RecordSurveyed { partition: of, broker, offset, key, value: Some(_), .. } => {
            (*of == partition && *broker == leader && passed.contains(&offset.0)).then_some((*offset, key.as_ref()))
        }
        _ => None,
    });
    let in_time = |at: &At| told.is_none_or(|told| lineage.events[*at].time <= told);
    let mut found = None;
    for (offset, key) in left {
        let key = key?;
        let behind = Offset(offset.0 + 1);
        let had_to_go = |at: &At| successor(lineage, (&partition, behind), key, *at).is_some();
        let cleaned = cleanings(lineage, &partition, offset).filter(in_time).find(had_to_go)?;
        let lost = || Some((offset, cleaned, successor_lost(lineage, (&partition, offset), key, cleaned)?));
        found = found.or_else(lost);
    }
    let (offset, cleaned, lost) = found?;
    let appended = lineage.surviving_append(&partition, offset.0);
    let mut tale = Tale::new(lost.cause, appended.into_iter().chain([cleaned]).map(|at| step(lineage, at)).collect());
    tale.contributing = [vec![Cause::CompactedAway], lost.contributing].concat();
    tale.add(lost.steps);
    tale.steps.dedup_by_key(|step| step.event);
    Some(tale)
}

/// Why a record was deleted before anybody had read it.
pub(super) fn expired(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Tale {
    let (Some(partition), Some(offset)) = (Tale::partition(anomaly), anomaly.offset) else { return Tale::unknown() };
    let Some(at) = deletion(lineage, &partition, offset, 0) else { return Tale::unknown() };
    let mut tale = tell(lineage, anomaly, deleted_by(lineage, at), at);
    // Who came too late.
    let resets = lineage.resets.iter().filter(|((_, of), _)| **of == partition).flat_map(|(_, places)| places);
    let after = resets.copied().filter(|reset| *reset > at).min();
    tale.steps.extend(after.map(|reset| step(lineage, reset)));
    tale
}

/// Why a consumer missed a tombstone.
pub(super) fn stale(lineage: &Lineage<'_>, anomaly: &Anomaly, contract: &Contract) -> Tale {
    let (Some(partition), Some(offset), Some(read), Some(client)) =
        (Tale::partition(anomaly), anomaly.offset, anomaly.other_offset, anomaly.client)
    else {
        return Tale::unknown();
    };
    let reads = |wanted: &dyn Fn(Offset, Instant) -> bool| {
        lineage.events.iter().position(|event| {
            event.node == NodeId::Client(client)
                && matches!(&event.fact,
                    Fact::Polled { partition: of, offset, .. } if *of == partition && wanted(*offset, event.time))
        })
    };
    // It may have got what lay beyond before, of a log that has lost its end since.
    let passes = |at: Offset, time: Instant| at > offset && anomaly.told_at == Some(time);
    let (Some(read), Some(passed)) = (reads(&|at, _| at == read), reads(&passes)) else {
        return Tale::unknown();
    };
    let began = reads(&|_, _| true).unwrap_or(read);
    let took = lineage.events[passed].time.since(lineage.events[began].time);
    let retention =
        anomaly.topic.as_deref().and_then(|topic| contract.topic(topic)).map(|topic| topic.delete_retention_ms);
    let moved = clock_moved_ahead(lineage, &partition, offset, passed);
    let lost = lost_tombstone(lineage, anomaly, passed, contract);
    let cause = match retention {
        _ if lost.is_some() => lost.as_ref().map_or(Cause::Unknown, |(cause, _)| *cause),
        _ if is_older_copy(lineage, &partition, offset, read) => Cause::ReadFromOlderCopy,
        Some(retention) if took.as_millis() > retention => Cause::ReaderSlowerThanTombstones,
        Some(_) | None if moved.is_some() => Cause::ClockMovedAhead,
        Some(_) | None => Cause::TombstoneRemovedEarly,
    };
    let mut telling = Telling::new(lineage);
    telling.tell(read);
    telling.tell_all(moved);
    telling.tell_all(lost.map(|(_, at)| at));
    let promise = anomaly.record.and_then(|record| lineage.records.get(&record)).and_then(|line| line.told);
    telling.tell_all(promise);
    for at in cleanings(lineage, &partition, offset).filter(|at| *at < passed) {
        telling.mark(at, Mark::Loss);
    }
    telling.tell(passed);
    Tale::new(cause, telling.into_steps())
}

/// Why whoever led when the reader got beyond had not the tombstone, and where that shows: its log had a hole there, or ended before.
fn lost_tombstone(lineage: &Lineage<'_>, anomaly: &Anomaly, passed: At, contract: &Contract) -> Option<(Cause, At)> {
    let (partition, offset) = (Tale::partition(anomaly)?, anomaly.offset?);
    let (elected, leader) = lineage.last_elected(&partition, passed)?;
    let loaded = lineage.last_load(&partition, NodeId::Broker(leader), passed);
    if let Some(loaded) = loaded.filter(|at| leaves_hole_at(&lineage.events[*at].fact, offset)) {
        return Some((Cause::UnsyncedDataLostWithPower, loaded));
    }
    let told = told(lineage, anomaly);
    let without = lineage.last_leader_without(&partition, offset, told..passed).filter(|at| *at >= elected)?;
    let lost = why_lost::explain(lineage, anomaly, contract);
    (lost.cause != Cause::Unknown).then_some((lost.cause, without))
}

/// Where the clock of a broker was moved ahead between the tombstone and a cleaning there, before the reader got beyond.
fn clock_moved_ahead(lineage: &Lineage<'_>, partition: &TopicPartition, tombstone: Offset, passed: At) -> Option<At> {
    let written = lineage.leader_appends(partition, tombstone.0).into_iter().find(|at| *at < passed)?;
    cleanings(lineage, partition, tombstone).filter(|cleaned| *cleaned < passed).find_map(|cleaned| {
        let cleaner = lineage.events[cleaned].node;
        let moves = |event: &Event| {
            event.node == cleaner
                && matches!(&event.fact, Fact::FaultBit { what, .. } if what.starts_with("moved ahead the clock of"))
        };
        (written..cleaned).find(|at| moves(&lineage.events[*at]))
    })
}

/// Whether the leader had compacted beyond the tombstone when the record that it deletes was read: then that came from a broker that did not
/// know of its successor yet, or had been fetched long before.
fn is_older_copy(lineage: &Lineage<'_>, partition: &TopicPartition, tombstone: Offset, read: At) -> bool {
    lineage.last_elected(partition, read).is_some_and(|(_, leader)| {
        cleanings(lineage, partition, tombstone)
            .any(|at| at < read && lineage.events[at].node == NodeId::Broker(leader))
    })
}

/// The tale of an offset with two values of which the first had been deleted by the rules before the second was written: a leader that does
/// not know of its successor gives the offset out once more.
pub(super) fn given_out_again(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (partition, offset) = (Tale::partition(anomaly)?, anomaly.offset?);
    let told = told(lineage, anomaly);
    let appends = lineage.leader_appends(&partition, offset.0);
    let written = appends.iter().copied().filter(|append| *append < told).max()?;
    let again = given_away(&appends, told)?;
    let at = deletion(lineage, &partition, offset, written).filter(|at| *at < again)?;
    let mut tale = tell(lineage, anomaly, deleted_by(lineage, at), at);
    tale.steps.push(step(lineage, again));
    Some(tale)
}

/// Where a broker that had the record, and knew that it was committed, deleted it by the rules. What a leader appends that nobody follows
/// any more takes nothing from it, so this may lie behind the moment at which its offset was given out again.
pub(super) fn deleted_where_it_stood(
    lineage: &Lineage<'_>,
    partition: &TopicPartition,
    promise: &Promise,
) -> Option<At> {
    deletions_where_it_stood(lineage, partition, promise).next()
}

/// All of these: each replica deletes what is in its own log.
fn deletions_where_it_stood<'l>(
    lineage: &'l Lineage<'_>,
    partition: &'l TopicPartition,
    promise: &'l Promise,
) -> impl Iterator<Item = At> + 'l {
    let takes_it = move |at: &At| match &lineage.events[*at].fact {
        Fact::LogStartOffsetAdvanced { from, to, .. } => (from.0..to.0).contains(&promise.offset),
        _ => false,
    };
    let is_committed = move |at: At| {
        let said =
            lineage.events[promise.append..at].iter().rev().filter(|event| event.node == lineage.events[at].node);
        let mut known = said.filter_map(|event| match &event.fact {
            Fact::HighWatermarkAdvanced { partition: of, to, .. } if of == partition => Some(to.0),
            _ => None,
        });
        known.next().is_some_and(|high_watermark| high_watermark > promise.offset)
    };
    let is_it = move |at: &At| *at > promise.append && is_committed(*at) && stood(lineage, partition, promise, *at);
    removals(lineage, partition).filter(takes_it).filter(is_it)
}

/// The tale of a lost write whose place was another's for a while: it stood there again, by an unclean election, when its leader deleted it by
/// the rules.
pub(super) fn deleted_when_back(lineage: &Lineage<'_>, anomaly: &Anomaly) -> Option<Tale> {
    let (record, partition, offset) = (anomaly.record?, Tale::partition(anomaly)?, anomaly.offset?);
    let promise = promise(lineage, record, &partition, Some(offset.0))?;
    let led = |at: At| {
        let leader = lineage.last_elected(&partition, at).map(|(_, leader)| NodeId::Broker(leader));
        leader == Some(lineage.events[at].node)
    };
    let by_rule = |at: At| match &lineage.events[at].fact {
        Fact::LogStartOffsetAdvanced { reason, .. } => *reason != LogStartReason::Leader,
        _ => false,
    };
    let at = deletions_where_it_stood(lineage, &partition, &promise).find(|at| led(*at) && by_rule(*at))?;
    Some(tell(lineage, anomaly, deleted_by(lineage, at), at))
}

/// Whether the broker that something happens on has the promised record then.
fn stood(lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise, at: At) -> bool {
    let NodeId::Broker(broker) = lineage.events[at].node else { return false };
    let fate = follow_copies(lineage, partition, &Promise { until: Some(at), ..promise.clone() });
    fate.holders.get(&broker).is_some_and(|holding| holding.taken.is_none())
}

/// Whether a cleaner was where the record stood, or it was deleted there: another one may have stood there by then, or on other brokers all the time.
pub(super) fn taken_where_it_stood(lineage: &Lineage<'_>, anomaly: &Anomaly) -> bool {
    let (Some(record), Some(partition), Some(offset)) = (anomaly.record, Tale::partition(anomaly), anomaly.offset)
    else {
        return false;
    };
    let promise = promise(lineage, record, &partition, Some(offset.0));
    promise.is_some_and(|promise| {
        let mut cleaned = cleanings(lineage, &partition, offset).filter(|at| *at > promise.append);
        cleaned.any(|at| stood(lineage, &partition, &promise, at))
            || deleted_where_it_stood(lineage, &partition, &promise).is_some()
    })
}

fn deleted_by(lineage: &Lineage<'_>, at: At) -> Cause {
    match &lineage.events[at].fact {
        Fact::LogStartOffsetAdvanced { reason: LogStartReason::DeleteRecords, .. } => Cause::DeletedByOperator,
        _ => Cause::DeletedByRetention,
    }
}

fn tell(lineage: &Lineage<'_>, anomaly: &Anomaly, cause: Cause, at: At) -> Tale {
    let mut telling = Telling::new(lineage);
    if let (Some(partition), Some(offset)) = (Tale::partition(anomaly), anomaly.offset) {
        telling.tell_all(lineage.leader_appends(&partition, offset.0).first().copied());
    }
    if let Some(line) = anomaly.record.and_then(|record| lineage.records.get(&record)) {
        telling.tell_all(line.sent);
        if let Some(told) = line.told {
            telling.mark(told, Mark::Promise);
        }
    }
    telling.mark(at, Mark::Loss);
    Tale::new(cause, telling.into_steps())
}

/// The first time since then that a log began behind the offset.
fn deletion(lineage: &Lineage<'_>, partition: &TopicPartition, offset: Offset, since: At) -> Option<At> {
    removals(lineage, partition).filter(|at| *at >= since).find(|at| {
        matches!(&lineage.events[*at].fact, Fact::LogStartOffsetAdvanced { from, to, .. } if *from <= offset && *to > offset)
    })
}

/// When the cleaner was there.
fn cleanings<'l>(
    lineage: &'l Lineage<'_>,
    partition: &TopicPartition,
    offset: Offset,
) -> impl Iterator<Item = At> + 'l + use<'l> {
    let events: &'l [Event] = lineage.events;
    removals(lineage, partition).filter(move |at| matches!(&events[*at].fact, Fact::Cleaned { to, .. } if *to > offset))
}

fn removals<'l>(lineage: &'l Lineage<'_>, partition: &TopicPartition) -> impl Iterator<Item = At> + 'l + use<'l> {
    lineage.partitions.get(partition).into_iter().flat_map(|line| line.removals.iter().copied())
}

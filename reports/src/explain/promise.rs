//! What an acknowledgement speaks of: which append, by which leader, in which ISR.
//!
//! Of a record that was sent again there may be several copies, and the leader that answers may have it from its predecessor: then it
//! recognises the batch and appends nothing.

use ackproof_core::fact::Fact;
use ackproof_core::protocol::ErrorCode;
use ackproof_core::types::{LeaderEpoch, NodeId, RecordId, TopicPartition};

use super::lineage::{At, Lineage, Origin, REACH};

/// The promise.
#[derive(Clone)]
pub(super) struct Promise {
    pub(super) append: At,
    pub(super) told: Option<At>,
    pub(super) acks: Option<i16>,
    pub(super) offset: i64,
    pub(super) epoch: LeaderEpoch,
    pub(super) crc: u32,
    pub(super) leader: i32,
    /// The ISR that the leader went by when it appended it.
    pub(super) isr_then: Vec<i32>,
    /// The ISR that the promise stands on: when the leader answered, or else when the client was told.
    pub(super) isr: Vec<i32>,
    /// What came afterwards is another story.
    pub(super) until: Option<At>,
}

/// The append that the acknowledgement speaks of: the last one by a leader before it, at its offset. Of a record that was sent
/// again another copy may be meant than the acknowledged one; and at acks=0 the client is told before a broker has heard of
/// the record, and hears of no offset. What nobody was told of somebody may have read: then it was there before.
pub(super) fn promise(
    lineage: &Lineage<'_>,
    record: RecordId,
    partition: &TopicPartition,
    offset: Option<i64>,
) -> Option<Promise> {
    let attempts = lineage.attempts(record);
    let acknowledged = attempts.iter().find_map(|attempt| {
        let told = lineage.records.get(attempt)?.told?;
        match &lineage.events[told].fact {
            Fact::RecordAcknowledged { offset: acked, .. }
                if acked.0 >= 0 && offset.is_none_or(|offset| offset == acked.0) =>
            {
                Some((*attempt, told, acked.0))
            }
            _ => None,
        }
    });
    let offset = acknowledged.map_or(offset, |(_, _, acked)| Some(acked))?;
    let appends = lineage.leader_appends(partition, offset);
    let told = acknowledged.map(|(_, told, _)| told);
    let answer = told.and_then(|told| answer(lineage, partition, offset, told));
    let seen = answer.or(told).or_else(|| first_read(lineage, record, partition, offset));
    let held = answer.and_then(|answer| held_by_who_answers(lineage, partition, offset, answer));
    let is_held = |at: &At| held.is_none_or(|held| is_same_batch(lineage, *at, held));
    let anywhere = !appends.iter().any(is_held);
    let before = |at: &&At| seen.is_none_or(|seen| **at < seen) && (anywhere || is_held(at));
    let batches = lineage.batches_of(record);
    let origin = |at: At| lineage.origin(at, partition, &batches).filter(|origin| origin.certain);
    let own = appends.iter().rev().filter(before).find_map(|at| Some((*at, Some(origin(*at)?))));
    let (append, origin) = own.or_else(|| Some((*appends.iter().rev().find(before)?, None)))?;
    let sent_by = |origin: Origin| {
        attempts
            .iter()
            .copied()
            .find(|attempt| lineage.records.get(attempt).and_then(|line| line.batch) == Some(origin.batch))
    };
    let attempt = acknowledged.map(|(attempt, _, _)| attempt).or_else(|| sent_by(origin?)).unwrap_or(record);
    promised_by(lineage, attempt, partition, offset, append)
}

/// Where a consumer got the record at an offset for the first time.
fn first_read(lineage: &Lineage<'_>, record: RecordId, partition: &TopicPartition, offset: i64) -> Option<At> {
    let Fact::RecordSent { key, value, .. } = &lineage.events[lineage.records.get(&record)?.sent?].fact else {
        return None;
    };
    let polls = lineage.polls.get(partition)?.get(&offset)?;
    let is_it = |at: &At| match &lineage.events[*at].fact {
        Fact::Polled { key: read, value: other, .. } | Fact::SharePolled { key: read, value: other, .. } => {
            (read, other) == (key, value)
        }
        _ => false,
    };
    polls.iter().copied().find(is_it)
}

/// What an acknowledgement promises that speaks of an append.
pub(super) fn promised_by(
    lineage: &Lineage<'_>,
    record: RecordId,
    partition: &TopicPartition,
    offset: i64,
    append: At,
) -> Option<Promise> {
    let event = &lineage.events[append];
    let (Fact::Appended { leader_epoch, crc, .. }, NodeId::Broker(leader)) = (&event.fact, event.node) else {
        return None;
    };
    let told = lineage.records.get(&record)?.told;
    let acks = told.and_then(|told| match &lineage.events[told].fact {
        Fact::RecordAcknowledged { acks, .. } => Some(*acks),
        _ => None,
    });
    let isr = |at: At| lineage.leader_isr(partition, leader, at).unwrap_or_default().to_vec();
    let answered = told.map(|told| answered(lineage, record.client, partition, append, told).unwrap_or(told));
    let (isr_then, isr) = (isr(append), isr(answered.unwrap_or(append)));
    Some(Promise { append, told, acks, offset, epoch: *leader_epoch, crc: *crc, leader, isr_then, isr, until: None })
}

/// The answer that a client's word comes from. It may have been long on its way, and the offset another record's by then.
fn answer(lineage: &Lineage<'_>, partition: &TopicPartition, offset: i64, told: At) -> Option<At> {
    let answer = lineage.causes(told).take(REACH).find(|at| match &lineage.events[*at].fact {
        Fact::ProduceAnswered { partition: of, base_offset, error: ErrorCode::NONE, .. } => {
            of == partition && base_offset.0 <= offset
        }
        _ => false,
    })?;
    held_by_who_answers(lineage, partition, offset, answer).map(|_| answer)
}

/// The append of what a leader had at an offset when it answered. A batch that it recognises it may have from its predecessor, and another leader
/// may have appended that once more in between.
fn held_by_who_answers(lineage: &Lineage<'_>, partition: &TopicPartition, offset: i64, answer: At) -> Option<At> {
    let is_by_it = |at: &At| *at < answer && lineage.events[*at].node == lineage.events[answer].node;
    lineage.appends(partition, offset).into_iter().rfind(is_by_it)
}

/// Where the leader answered for what it had appended. The answer may be long on its way, and the ISR another one by then.
fn answered(lineage: &Lineage<'_>, client: u32, partition: &TopicPartition, append: At, told: At) -> Option<At> {
    let Fact::Appended { base_offset: appended, .. } = &lineage.events[append].fact else { return None };
    let is_it = |at: &At| match &lineage.events[*at].fact {
        Fact::ProduceAnswered { partition: of, to, base_offset, .. } => {
            lineage.events[*at].node == lineage.events[append].node
                && (of, *to, base_offset) == (partition, NodeId::Client(client), appended)
        }
        _ => false,
    };
    let by_cause = lineage.causes(told).take(REACH).find(is_it);
    by_cause.or_else(|| (append..told).rev().find(is_it))
}

/// Whether two appends are of one batch of one epoch.
fn is_same_batch(lineage: &Lineage<'_>, one: At, other: At) -> bool {
    let name = |at: At| match &lineage.events[at].fact {
        Fact::Appended { leader_epoch, crc, .. } => Some((*leader_epoch, *crc)),
        _ => None,
    };
    name(one) == name(other)
}

//! One number per run: an order-sensitive digest of all facts, equal if and only if (but for luck) the runs are.
//!
//! The encoding is canonical: every field of every fact in order, integers as 64-bit words, text and bytes with their
//! length, options and variants with a tag. It depends on neither platform nor build, and serialises nothing.
//! The mixer is a multiply-xor-shift over 64-bit words; it is fast and well spread, and no defence against forgery.

use std::fmt;

use ackproof_core::fact::{
    Event, Fact, ForgottenReason, LogStartReason, Observer, Payload, RemovalReason, ResetReason, RetryReason, Role,
    TruncationReason,
};
use ackproof_core::types::{NodeId, RecordId, TopicPartition};

mod shares;
mod surveys;

/// Takes facts and holds their digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Digest {
    /// Of no facts.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number so far.
    pub fn value(self) -> u64 {
        let mut hash = self.0;
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }

    pub(crate) fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x2545_f491_4f6c_dd1d);
        self.0 = mixed ^ (mixed >> 29);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let mut words = bytes.chunks_exact(8);
        for chunk in &mut words {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        if let rest @ [_, ..] = words.remainder() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(word));
        }
    }

    pub(crate) fn payload(&mut self, payload: Option<&Payload>) {
        self.word(payload.is_some().into());
        if let Some(payload) = payload {
            self.bytes(&payload.0);
        }
    }

    fn list(&mut self, numbers: &[i32]) {
        self.word(numbers.len() as u64);
        for number in numbers {
            self.put(*number);
        }
    }

    fn put<T: Words>(&mut self, value: T) -> &mut Self {
        value.absorb(self);
        self
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.value())
    }
}

impl Observer for Digest {
    fn observe(&mut self, event: &Event) {
        self.put(event.sequence).put(event.time.0).put(event.node).put(event.cause);
        absorb_fact(self, &event.fact);
    }
}

/// A value as words.
trait Words {
    fn absorb(self, digest: &mut Digest);
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Words for $integer {
            fn absorb(self, digest: &mut Digest) { digest.word(self as u64); }
        }
    )*};
}
integers!(u64 i64 u32 i32 i16 bool);

impl Words for &str {
    fn absorb(self, digest: &mut Digest) {
        digest.bytes(self.as_bytes());
    }
}

impl Words for &TopicPartition {
    fn absorb(self, digest: &mut Digest) {
        digest.put(self.topic.as_str()).put(self.partition);
    }
}

impl Words for NodeId {
    fn absorb(self, digest: &mut Digest) {
        match self {
            NodeId::Controller(id) => digest.put(0u64).put(id),
            NodeId::Broker(id) => digest.put(1u64).put(id),
            NodeId::Client(id) => digest.put(2u64).put(id),
        };
    }
}

impl Words for RecordId {
    fn absorb(self, digest: &mut Digest) {
        digest.put(self.client).put(self.number);
    }
}

impl Words for Role {
    fn absorb(self, digest: &mut Digest) {
        digest.word(match self {
            Role::Leader => 0,
            Role::Follower => 1,
        });
    }
}

impl Words for TruncationReason {
    fn absorb(self, digest: &mut Digest) {
        digest.word(match self {
            TruncationReason::Diverged => 0,
            TruncationReason::ToHighWatermark => 1,
            TruncationReason::OutOfRange => 2,
            TruncationReason::CorruptTail => 3,
            TruncationReason::EpochsUnknown => 4,
            TruncationReason::InsideBatch => 5,
        });
    }
}

impl Words for ForgottenReason {
    fn absorb(self, digest: &mut Digest) {
        digest.word(match self {
            ForgottenReason::Silent => 0,
            ForgottenReason::RecordsDeleted => 1,
        });
    }
}

impl Words for LogStartReason {
    fn absorb(self, digest: &mut Digest) {
        digest.word(match self {
            LogStartReason::RetentionMs => 0,
            LogStartReason::RetentionBytes => 1,
            LogStartReason::DeleteRecords => 2,
            LogStartReason::Leader => 3,
        });
    }
}

impl Words for ResetReason {
    fn absorb(self, digest: &mut Digest) {
        digest.word(match self {
            ResetReason::NoPosition => 0,
            ResetReason::OutOfRange => 1,
            ResetReason::Truncation => 2,
            ResetReason::Seek => 3,
            ResetReason::Committed => 4,
        });
    }
}

impl Words for RemovalReason {
    fn absorb(self, digest: &mut Digest) {
        digest.word(match self {
            RemovalReason::Left => 0,
            RemovalReason::SessionExpired => 1,
            RemovalReason::DidNotJoin => 2,
            RemovalReason::DidNotSync => 3,
            RemovalReason::DidNotRevoke => 4,
        });
    }
}

impl Words for RetryReason {
    fn absorb(self, digest: &mut Digest) {
        match self {
            RetryReason::Error(error) => digest.put(0u64).put(error.0),
            RetryReason::Disconnected => digest.put(1u64),
            RetryReason::RequestTimeout => digest.put(2u64),
        };
    }
}

#[expect(clippy::too_many_lines, reason = "one arm per fact, exhaustive on purpose: a new field must enter the digest")]
fn absorb_fact(d: &mut Digest, fact: &Fact) {
    match fact {
        Fact::ClusterReady => d.word(1),
        Fact::NodeStarted => d.word(2),
        Fact::NodeKilled => d.word(3),
        Fact::NodeStopped => d.word(4),
        Fact::NodePaused => d.word(5),
        Fact::NodeResumed => d.word(6),
        Fact::PowerLost { unsynced_bytes, lost_bytes } => {
            d.put(7u64).put(*unsynced_bytes).put(*lost_bytes);
        }
        Fact::FaultInjected { fault, what } => {
            d.put(8u64).put(*fault).put(what.as_str());
        }
        Fact::FaultBit { fault, what } => {
            d.put(9u64).put(*fault).put(what.as_str());
        }
        Fact::FaultHealed { fault } => {
            d.put(10u64).put(*fault);
        }
        Fact::MessageLost { connection, to, what } => {
            d.put(11u64).put(connection.0).put(*to).put(what.as_str());
        }
        Fact::DiskHarmed { what } => {
            d.put(115u64).put(what.as_str());
        }
        Fact::LogLoaded { partition, log_start, log_end, clean, hole } => {
            let (from, to) = hole.map_or((-1, -1), |(from, to)| (from.0, to.0));
            d.put(12u64).put(partition).put(log_start.0).put(log_end.0).put(*clean).put(from).put(to);
        }
        Fact::Appended {
            partition,
            role,
            base_offset,
            last_offset,
            leader_epoch,
            producer_id,
            producer_epoch,
            base_sequence,
            crc,
        } => {
            d.put(13u64)
                .put(partition)
                .put(*role)
                .put(base_offset.0)
                .put(last_offset.0)
                .put(leader_epoch.0)
                .put(*producer_id)
                .put(producer_epoch.0)
                .put(base_sequence.0)
                .put(*crc);
        }
        Fact::DuplicateDetected { partition, base_offset, producer_id, producer_epoch, base_sequence } => {
            d.put(14u64).put(partition).put(base_offset.0).put(*producer_id).put(producer_epoch.0).put(base_sequence.0);
        }
        Fact::AppendRefused { partition, error } => {
            d.put(15u64).put(partition).put(error.0);
        }
        Fact::ProduceAnswered { partition, to, base_offset, acks, error } => {
            d.put(16u64).put(partition).put(*to).put(base_offset.0).put(*acks).put(error.0);
        }
        Fact::FollowerFetched { partition, follower, log_end } => {
            d.put(17u64).put(partition).put(*follower).put(log_end.0);
        }
        Fact::HighWatermarkAdvanced { partition, role, from, to } => {
            d.put(18u64).put(partition).put(*role).put(from.0).put(to.0);
        }
        Fact::IsrProposed { partition, from, to } => {
            d.put(19u64).put(partition);
            d.list(from);
            d.list(to);
        }
        Fact::BecameLeader { partition, leader_epoch, isr, log_end } => {
            d.put(20u64).put(partition).put(leader_epoch.0);
            d.list(isr);
            d.put(log_end.0);
        }
        Fact::BecameFollower { partition, leader_epoch, leader, log_end } => {
            d.put(21u64).put(partition).put(leader_epoch.0).put(*leader).put(log_end.0);
        }
        Fact::Truncated { partition, from, to, reason } => {
            d.put(22u64).put(partition).put(from.0).put(to.0).put(*reason);
        }
        Fact::TruncationForbidden { partition, leader_end, log_end } => {
            d.put(73u64).put(partition).put(leader_end.0).put(log_end.0);
        }
        Fact::ReplicaThrottled { partition, follower, role } => {
            d.put(74u64).put(partition).put(*follower).put(*role);
        }
        Fact::SegmentRolled { partition, base_offset } => {
            d.put(23u64).put(partition).put(base_offset.0);
        }
        Fact::LogStartOffsetAdvanced { partition, from, to, reason } => {
            d.put(60u64).put(partition).put(from.0).put(to.0).put(*reason);
        }
        Fact::Cleaned { partition, from, to, records_before, records_after } => {
            d.put(61u64).put(partition).put(from.0).put(to.0).put(*records_before).put(*records_after);
        }
        Fact::CleaningFailed { partition, what } => {
            d.put(62u64).put(partition).put(what.as_str());
        }
        Fact::ProducerExpired { partition, producer_id, reason } => {
            d.put(63u64).put(partition).put(*producer_id).put(*reason);
        }
        Fact::IsrAdopted { partition, isr, partition_epoch } => {
            d.put(71u64).put(partition).put(partition_epoch.0);
            d.list(isr);
        }
        Fact::MetadataHeldBack { base_offset, last_offset, lag_ms } => {
            d.put(200u64).put(base_offset.0).put(last_offset.0).put(*lag_ms);
        }
        Fact::FetchRefused { partition, offset, error } => {
            d.put(202u64).put(partition).put(offset.0).put(error.0);
        }
        Fact::ControlledShutdownBegan { broker } => {
            d.put(201u64).put(*broker);
        }
        Fact::MetadataReplayed { base_offset, last_offset, leader_epoch, crc } => {
            d.put(72u64).put(base_offset.0).put(last_offset.0).put(leader_epoch.0).put(*crc);
        }
        Fact::StorageFailed { what } => {
            d.put(24u64).put(what.as_str());
        }
        Fact::BrokerRegistered { broker, epoch } => {
            d.put(25u64).put(*broker).put(epoch.0);
        }
        Fact::BrokerUnfenced { broker } => {
            d.put(26u64).put(*broker);
        }
        Fact::BrokerFenced { broker } => {
            d.put(27u64).put(*broker);
        }
        Fact::TopicCreated { topic, replicas } => {
            d.put(28u64).put(topic.as_str());
            d.put(replicas.len() as u64);
            replicas.iter().for_each(|list| d.list(list));
        }
        Fact::LeaderElected { partition, leader, leader_epoch, partition_epoch, isr, clean } => {
            d.put(29u64).put(partition).put(*leader).put(leader_epoch.0).put(partition_epoch.0);
            d.list(isr);
            d.put(*clean);
        }
        Fact::PartitionOffline { partition, isr, leader_epoch, partition_epoch } => {
            d.put(30u64).put(partition);
            d.list(isr);
            d.put(leader_epoch.0).put(partition_epoch.0);
        }
        Fact::IsrChanged { partition, from, to, partition_epoch } => {
            d.put(31u64).put(partition);
            d.list(from);
            d.list(to);
            d.put(partition_epoch.0);
        }
        Fact::PartitionsAdded { topic, first, replicas } => {
            d.put(111u64).put(topic.as_str()).put(*first);
            d.put(replicas.len() as u64);
            replicas.iter().for_each(|list| d.list(list));
        }
        Fact::TopicDeleted { topic } => {
            d.put(112u64).put(topic.as_str());
        }
        Fact::ReplicasReassigned { partition, replicas, adding, removing } => {
            d.put(113u64).put(partition);
            [replicas, adding, removing].into_iter().for_each(|list| d.list(list));
        }
        Fact::EligibleLeadersChanged { partition, elr, last_known_elr } => {
            d.put(114u64).put(partition);
            d.list(elr);
            d.list(last_known_elr);
        }
        Fact::ConfigAltered { resource, name, value } => {
            d.put(64u64).put(resource.as_str()).put(name.as_str());
            match value {
                Some(value) => d.put(1u64).put(value.as_str()),
                None => d.put(0u64),
            };
        }
        Fact::AdminAnswered { call, error } => {
            d.put(65u64).put(call.as_str()).put(error.0);
        }
        Fact::LogDeleted { partition, log_end } => {
            d.put(66u64).put(partition).put(log_end.0);
        }
        Fact::ClientThrottled { client, api, throttle_ms } => {
            d.put(67u64).put(*client).put(api.as_str()).put(*throttle_ms);
        }
        Fact::PartitionSurveyed { partition, replicas, adding, removing, elr, last_known_elr } => {
            d.put(68u64).put(partition);
            [replicas, adding, removing, elr, last_known_elr].into_iter().for_each(|list| d.list(list));
        }
        Fact::RecordSent { record, topic, key, value, resend_of } => {
            d.put(32u64).put(*record).put(topic.as_str());
            d.payload(key.as_ref());
            d.payload(value.as_ref());
            match resend_of {
                Some(record) => d.put(1u64).put(*record),
                None => d.put(0u64),
            };
        }
        Fact::RecordBatched { record, partition, batch } => {
            d.put(33u64).put(*record).put(partition).put(*batch);
        }
        Fact::BatchSent { batch, partition, attempt, producer_id, producer_epoch, base_sequence, broker } => {
            d.put(34u64)
                .put(*batch)
                .put(partition)
                .put(*attempt)
                .put(*producer_id)
                .put(producer_epoch.0)
                .put(base_sequence.0)
                .put(*broker);
        }
        Fact::BatchRetried { batch, partition, reason } => {
            d.put(35u64).put(*batch).put(partition).put(*reason);
        }
        Fact::BatchFailedAgain { batch, partition, error } => {
            d.put(130u64).put(*batch).put(partition).put(error.0);
        }
        Fact::RecordAcknowledged { record, partition, offset, acks } => {
            d.put(36u64).put(*record).put(partition).put(offset.0).put(*acks);
        }
        Fact::RecordFailed { record, partition, error, definite } => {
            d.put(37u64).put(*record);
            match partition {
                Some(partition) => d.put(1u64).put(partition),
                None => d.put(0u64),
            };
            d.put(error.0).put(*definite);
        }
        Fact::RecordAbandoned { record, unsent } => {
            d.put(38u64).put(*record).put(*unsent);
        }
        Fact::Polled { partition, offset, key, value } => {
            d.put(39u64).put(partition).put(offset.0);
            d.payload(key.as_ref());
            d.payload(value.as_ref());
        }
        Fact::PollFailed { partition, position, error } => {
            d.put(70u64).put(partition).put(position.0).put(error.0);
        }
        Fact::PositionReset { partition, from, to, reason, told_by } => {
            d.put(40u64).put(partition).put(from.0).put(to.0).put(*reason);
            match told_by {
                Some(node) => d.put(1u64).put(*node),
                None => d.put(0u64),
            };
        }
        Fact::PartitionsAssigned { group, member, generation, partitions } => {
            d.put(100u64).put(group.as_str()).put(member.as_str()).put(*generation).put(partitions.len() as u64);
            partitions.iter().for_each(|partition| partition.absorb(d));
        }
        Fact::PartitionsRevoked { group, partitions, lost } => {
            d.put(101u64).put(group.as_str()).put(*lost).put(partitions.len() as u64);
            partitions.iter().for_each(|partition| partition.absorb(d));
        }
        Fact::PartitionsPaused { partitions } => {
            d.put(300u64).put(partitions.len() as u64);
            partitions.iter().for_each(|partition| partition.absorb(d));
        }
        Fact::PartitionsResumed { partitions } => {
            d.put(301u64).put(partitions.len() as u64);
            partitions.iter().for_each(|partition| partition.absorb(d));
        }
        Fact::WokenUp { call } => {
            d.put(302u64).put(call.as_str());
        }
        Fact::CommitAnswered { group, partition, offset, error } => {
            d.put(102u64).put(group.as_str()).put(partition).put(offset.0).put(error.0);
        }
        Fact::Processed { group, partition, offset } => {
            d.put(103u64).put(group.is_some()).put(group.as_deref().unwrap_or_default()).put(partition).put(offset.0);
        }
        Fact::ProcessingFailed { group, partition, offset, attempt } => {
            d.put(220u64).put(group.is_some()).put(group.as_deref().unwrap_or_default()).put(partition).put(offset.0);
            d.put(*attempt);
        }
        Fact::GaveUp { group, partition, offset, to } => {
            d.put(221u64).put(group.is_some()).put(group.as_deref().unwrap_or_default()).put(partition).put(offset.0);
            d.put(to.is_some()).put(to.as_deref().unwrap_or_default());
        }
        Fact::StoreWrote { transaction, group, partition, offset, results, client } => {
            d.put(222u64).put(*transaction).put(group.as_str()).put(partition).put(offset.0).put(*client);
            d.put(results.len() as u64);
            results.iter().for_each(|offset| d.word(offset.0 as u64));
        }
        Fact::StoreRefused { group, partition, expected, found, client } => {
            d.put(223u64).put(group.as_str()).put(partition).put(expected.0).put(found.0).put(*client);
        }
        Fact::StoreLoaded { transactions } => {
            d.put(224u64).put(*transactions);
        }
        Fact::OffsetCommitted { group, partition, offset, generation } => {
            d.put(104u64).put(group.as_str()).put(partition).put(offset.0).put(*generation);
        }
        Fact::CommitRefused { group, member, error } => {
            d.put(105u64).put(group.as_str()).put(member.as_str()).put(error.0);
        }
        Fact::GroupStateChanged { group, state, generation, members } => {
            d.put(106u64).put(group.as_str()).put(state.as_str()).put(*generation).put(members.len() as u64);
            members.iter().for_each(|member| member.as_str().absorb(d));
        }
        Fact::MemberRemoved { group, member, reason } => {
            d.put(107u64).put(group.as_str()).put(member.as_str()).put(*reason);
        }
        Fact::MemberReconciled { group, member, epoch, state, assigned, revoking } => {
            d.put(240u64).put(group.as_str()).put(member.as_str()).put(*epoch).put(state.as_str());
            for partitions in [assigned, revoking] {
                d.put(partitions.len() as u64);
                partitions.iter().for_each(|partition| partition.absorb(d));
            }
        }
        Fact::GroupsNotLoaded { partition } => {
            d.put(116u64).put(*partition);
        }
        Fact::GroupsLoaded { partition, groups } => {
            d.put(108u64).put(*partition).put(*groups);
        }
        Fact::ClientWarned { what } => {
            d.put(41u64).put(what.as_str());
        }
        Fact::GroupSurveyed { .. }
        | Fact::GroupEpochsSurveyed { .. }
        | Fact::GroupMemberSurveyed { .. }
        | Fact::GroupPartitionSurveyed { .. }
        | Fact::ReplicaSurveyed { .. }
        | Fact::RecordSurveyed { .. } => surveys::absorb(d, fact),
        Fact::SharePartitionsAssigned { .. }
        | Fact::SharePartitionLoaded { .. }
        | Fact::ShareAcquired { .. }
        | Fact::ShareStateChanged { .. }
        | Fact::ShareAcknowledgeRefused { .. }
        | Fact::SharePolled { .. }
        | Fact::ShareAcknowledgeAnswered { .. }
        | Fact::SharePartitionSurveyed { .. } => shares::absorb(d, fact),
        Fact::Stuck { what } => {
            d.put(44u64).put(what.as_str());
        }
        Fact::RunEnded { quiescent } => {
            d.put(45u64).put(*quiescent);
        }
    }
}

/// Of a key and a value under the digest of their topic: equal for equal content.
pub(crate) fn content(topic: Digest, key: Option<&Payload>, value: Option<&Payload>) -> u64 {
    let mut digest = topic;
    digest.payload(key);
    digest.payload(value);
    digest.value()
}

//! What `__consumer_offsets` holds of groups of the consumer protocol, in Kafka's own bytes.
//!
//! Kafka: `ConsumerGroupMetadataKey` (3), `ConsumerGroupPartitionMetadataKey` (4), `ConsumerGroupMemberMetadataKey` (5),
//! `ConsumerGroupTargetAssignmentMetadataKey` (6), `ConsumerGroupTargetAssignmentMemberKey` (7),
//! `ConsumerGroupCurrentMemberAssignmentKey` (8), and the values of version 0, which are flexible. Those of share groups have keys of their own:
//! `ShareGroupPartitionMetadataKey` (9) to `ShareGroupCurrentMemberAssignmentKey` (14).
//!
//! Not modelled: members that speak the classic protocol in such a group (`ClassicMemberMetadata` is read and left out of
//! account), subscriptions by regular expression, racks, the hash that 4.1 writes instead of topics (KIP-1101).

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::{ModernProtocol, Partitions};
use crate::metadata::WireError;
use crate::metadata::wire::{Reader, put_ids, put_list, put_nullable_string, put_string, put_varint};
use crate::types::{StrBytes, TopicName};

/// The version of a key says what it is.
const GROUP_METADATA: i16 = 3;
const PARTITION_METADATA: i16 = 4;
const MEMBER_METADATA: i16 = 5;
const TARGET_ASSIGNMENT_METADATA: i16 = 6;
const TARGET_ASSIGNMENT_MEMBER: i16 = 7;
const CURRENT_MEMBER_ASSIGNMENT: i16 = 8;
/// The same of share groups.
const SHARE_PARTITION_METADATA: i16 = 9;
const SHARE_MEMBER_METADATA: i16 = 10;
const SHARE_GROUP_METADATA: i16 = 11;
const SHARE_TARGET_ASSIGNMENT_METADATA: i16 = 12;
const SHARE_TARGET_ASSIGNMENT_MEMBER: i16 = 13;
const SHARE_CURRENT_MEMBER_ASSIGNMENT: i16 = 14;

/// What speaks who has written a record with this key, and whether the key names a member; none if it is no such record.
pub(in super::super) fn key_of(version: i16) -> Option<(ModernProtocol, bool)> {
    match version {
        GROUP_METADATA | PARTITION_METADATA | TARGET_ASSIGNMENT_METADATA => Some((ModernProtocol::Consumer, false)),
        MEMBER_METADATA | TARGET_ASSIGNMENT_MEMBER | CURRENT_MEMBER_ASSIGNMENT => {
            Some((ModernProtocol::Consumer, true))
        }
        SHARE_GROUP_METADATA | SHARE_PARTITION_METADATA | SHARE_TARGET_ASSIGNMENT_METADATA => {
            Some((ModernProtocol::Share, false))
        }
        SHARE_MEMBER_METADATA | SHARE_TARGET_ASSIGNMENT_MEMBER | SHARE_CURRENT_MEMBER_ASSIGNMENT => {
            Some((ModernProtocol::Share, true))
        }
        _ => None,
    }
}

/// A record of one group. One without a value takes back what its key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerGroupRecord {
    /// The group epoch.
    Epoch(Option<i32>),
    /// The topics that members subscribe to, as far as they exist.
    PartitionMetadata(Option<BTreeMap<TopicName, SubscribedTopic>>),
    /// A member.
    Member(StrBytes, Option<MemberMetadata>),
    /// The group epoch of which the target assignment is.
    TargetEpoch(Option<i32>),
    /// What a member is to have in the end.
    TargetMember(StrBytes, Option<Partitions>),
    /// How far a member is on its way there.
    CurrentMember(StrBytes, Option<CurrentAssignment>),
}

/// A topic that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribedTopic {
    /// Its id.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
}

/// What a member says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberMetadata {
    /// `group.instance.id`, if it is a static member.
    pub instance_id: Option<StrBytes>,
    /// `client.id`.
    pub client_id: StrBytes,
    /// Where it connected from.
    pub client_host: StrBytes,
    /// What it subscribed to, in order.
    pub topics: Vec<TopicName>,
    /// `max.poll.interval.ms`: how long it may take to give something up.
    pub rebalance_timeout_ms: i32,
    /// `group.remote.assignor`.
    pub assignor: Option<StrBytes>,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It has what it is to have.
    Stable,
    /// It must give something up first.
    UnrevokedPartitions,
    /// It waits for something that others still have.
    UnreleasedPartitions,
}

impl MemberState {
    /// As it is written.
    fn value(self) -> i8 {
        match self {
            MemberState::Stable => 1,
            MemberState::UnrevokedPartitions => 2,
            MemberState::UnreleasedPartitions => 3,
        }
    }

    fn of(value: i8) -> Result<MemberState, WireError> {
        match value {
            1 => Ok(MemberState::Stable),
            2 => Ok(MemberState::UnrevokedPartitions),
            3 => Ok(MemberState::UnreleasedPartitions),
            _ => Err(WireError::OutOfRange("the state of a member")),
        }
    }

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            MemberState::Stable => "STABLE",
            MemberState::UnrevokedPartitions => "UNREVOKED_PARTITIONS",
            MemberState::UnreleasedPartitions => "UNRELEASED_PARTITIONS",
        }
    }
}

/// How far a member has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentAssignment {
    /// The epoch that it is told, and must come with.
    pub epoch: i32,
    /// The one before: it comes with that if the answer was lost.
    pub previous_epoch: i32,
    /// Where it stands.
    pub state: MemberState,
    /// What it may use.
    pub assigned: Partitions,
    /// What it must give up.
    pub pending_revocation: Partitions,
}

impl ConsumerGroupRecord {
    /// The version of its key, and the member that it is about.
    pub(in super::super) fn key(&self, protocol: ModernProtocol) -> (i16, Option<&StrBytes>) {
        let ((consumer, share), member) = match self {
            ConsumerGroupRecord::Epoch(_) => ((GROUP_METADATA, SHARE_GROUP_METADATA), None),
            ConsumerGroupRecord::PartitionMetadata(_) => ((PARTITION_METADATA, SHARE_PARTITION_METADATA), None),
            ConsumerGroupRecord::Member(member, _) => ((MEMBER_METADATA, SHARE_MEMBER_METADATA), Some(member)),
            ConsumerGroupRecord::TargetEpoch(_) => {
                ((TARGET_ASSIGNMENT_METADATA, SHARE_TARGET_ASSIGNMENT_METADATA), None)
            }
            ConsumerGroupRecord::TargetMember(member, _) => {
                ((TARGET_ASSIGNMENT_MEMBER, SHARE_TARGET_ASSIGNMENT_MEMBER), Some(member))
            }
            ConsumerGroupRecord::CurrentMember(member, _) => {
                ((CURRENT_MEMBER_ASSIGNMENT, SHARE_CURRENT_MEMBER_ASSIGNMENT), Some(member))
            }
        };
        match protocol {
            ModernProtocol::Consumer => (consumer, member),
            ModernProtocol::Share => (share, member),
        }
    }

    /// Its value; none is a tombstone.
    pub(in super::super) fn value(&self, protocol: ModernProtocol) -> Option<Bytes> {
        let mut out = BytesMut::new();
        out.put_i16(0);
        match self {
            ConsumerGroupRecord::Epoch(epoch) | ConsumerGroupRecord::TargetEpoch(epoch) => out.put_i32((*epoch)?),
            ConsumerGroupRecord::PartitionMetadata(topics) => put_topics(&mut out, topics.as_ref()?),
            ConsumerGroupRecord::Member(_, metadata) => put_member(&mut out, metadata.as_ref()?, protocol),
            ConsumerGroupRecord::TargetMember(_, partitions) => put_partitions(&mut out, partitions.as_ref()?),
            ConsumerGroupRecord::CurrentMember(_, current) => put_current(&mut out, current.as_ref()?, protocol),
        }
        no_tags(&mut out);
        Some(out.freeze())
    }

    /// Reads a record whose key has this version and names this member.
    pub(in super::super) fn parse(
        version: i16,
        member: StrBytes,
        value: Option<Bytes>,
    ) -> Result<ConsumerGroupRecord, WireError> {
        let mut value = value.map(Reader::new);
        if let Some(value) = &mut value
            && value.i16("the version of a value")? != 0
        {
            return Err(WireError::OutOfRange("the version of a value"));
        }
        let value = value.as_mut();
        match version {
            GROUP_METADATA | SHARE_GROUP_METADATA => {
                Ok(ConsumerGroupRecord::Epoch(value.map(|v| v.i32("a group epoch")).transpose()?))
            }
            PARTITION_METADATA | SHARE_PARTITION_METADATA => {
                Ok(ConsumerGroupRecord::PartitionMetadata(value.map(read_topics).transpose()?))
            }
            MEMBER_METADATA => Ok(ConsumerGroupRecord::Member(member, value.map(read_member).transpose()?)),
            SHARE_MEMBER_METADATA => Ok(ConsumerGroupRecord::Member(member, value.map(read_share_member).transpose()?)),
            TARGET_ASSIGNMENT_METADATA | SHARE_TARGET_ASSIGNMENT_METADATA => {
                Ok(ConsumerGroupRecord::TargetEpoch(value.map(|v| v.i32("an assignment epoch")).transpose()?))
            }
            TARGET_ASSIGNMENT_MEMBER | SHARE_TARGET_ASSIGNMENT_MEMBER => {
                Ok(ConsumerGroupRecord::TargetMember(member, value.map(read_partitions).transpose()?))
            }
            CURRENT_MEMBER_ASSIGNMENT => {
                Ok(ConsumerGroupRecord::CurrentMember(member, value.map(read_current).transpose()?))
            }
            SHARE_CURRENT_MEMBER_ASSIGNMENT => {
                Ok(ConsumerGroupRecord::CurrentMember(member, value.map(read_share_current).transpose()?))
            }
            _ => Err(WireError::OutOfRange("the version of a key")),
        }
    }
}

fn no_tags(out: &mut BytesMut) {
    put_varint(out, 0);
}

fn put_partitions(out: &mut BytesMut, partitions: &Partitions) {
    let topics: Vec<_> = partitions.iter().collect();
    put_list(out, &topics, |out, (id, indexes)| {
        out.put_slice(id.as_bytes());
        put_ids(out, &indexes.iter().copied().collect::<Vec<i32>>());
        no_tags(out);
    });
}

fn read_partitions(value: &mut Reader) -> Result<Partitions, WireError> {
    let topics = value.list("partitions", |topic| {
        let id = topic.uuid("a topic id")?;
        let indexes = topic.ids("partitions")?;
        topic.no_tagged()?;
        Ok((id, indexes.into_iter().collect()))
    })?;
    Ok(topics.into_iter().collect())
}

fn put_topics(out: &mut BytesMut, topics: &BTreeMap<TopicName, SubscribedTopic>) {
    let topics: Vec<_> = topics.iter().collect();
    put_list(out, &topics, |out, (name, topic)| {
        out.put_slice(topic.id.as_bytes());
        put_string(out, name);
        out.put_i32(topic.partitions);
        // Racks of partitions: not used since 4.0.
        put_list(out, &[] as &[i32], |_, _| {});
        no_tags(out);
    });
}

fn read_topics(value: &mut Reader) -> Result<BTreeMap<TopicName, SubscribedTopic>, WireError> {
    let topics = value.list("topics", |topic| {
        let id = topic.uuid("a topic id")?;
        let name = TopicName(topic.string("a topic")?);
        let partitions = topic.i32("a number of partitions")?;
        topic.list("racks", |racks| {
            racks.i32("a partition")?;
            racks.list("racks", |rack| rack.string("a rack"))?;
            racks.no_tagged()
        })?;
        topic.no_tagged()?;
        Ok((name, SubscribedTopic { id, partitions }))
    })?;
    Ok(topics.into_iter().collect())
}

fn put_member(out: &mut BytesMut, member: &MemberMetadata, protocol: ModernProtocol) {
    if protocol == ModernProtocol::Share {
        put_nullable_string(out, None);
        put_string(out, &member.client_id);
        put_string(out, &member.client_host);
        return put_list(out, &member.topics, |out, topic| put_string(out, topic));
    }
    put_nullable_string(out, member.instance_id.as_deref());
    put_nullable_string(out, None);
    put_string(out, &member.client_id);
    put_string(out, &member.client_host);
    put_list(out, &member.topics, |out, topic| put_string(out, topic));
    put_nullable_string(out, None);
    out.put_i32(member.rebalance_timeout_ms);
    put_nullable_string(out, member.assignor.as_deref());
}

fn read_member(value: &mut Reader) -> Result<MemberMetadata, WireError> {
    let instance_id = value.nullable_string("an instance id")?;
    value.nullable_string("a rack")?;
    let client_id = value.string("a client id")?;
    let client_host = value.string("a client host")?;
    let topics = value.list("topics", |topic| topic.string("a topic").map(TopicName))?;
    value.nullable_string("a regular expression")?;
    let rebalance_timeout_ms = value.i32("a rebalance timeout")?;
    let assignor = value.nullable_string("an assignor")?;
    Ok(MemberMetadata { instance_id, client_id, client_host, topics, rebalance_timeout_ms, assignor })
}

fn read_share_member(value: &mut Reader) -> Result<MemberMetadata, WireError> {
    value.nullable_string("a rack")?;
    let client_id = value.string("a client id")?;
    let client_host = value.string("a client host")?;
    let topics = value.list("topics", |topic| topic.string("a topic").map(TopicName))?;
    Ok(MemberMetadata { client_id, client_host, topics, rebalance_timeout_ms: -1, ..MemberMetadata::default() })
}

fn put_current(out: &mut BytesMut, current: &CurrentAssignment, protocol: ModernProtocol) {
    out.put_i32(current.epoch);
    out.put_i32(current.previous_epoch);
    out.put_i8(current.state.value());
    put_partitions(out, &current.assigned);
    if protocol == ModernProtocol::Consumer {
        put_partitions(out, &current.pending_revocation);
    }
}

fn read_share_current(value: &mut Reader) -> Result<CurrentAssignment, WireError> {
    Ok(CurrentAssignment {
        epoch: value.i32("a member epoch")?,
        previous_epoch: value.i32("a member epoch")?,
        state: MemberState::of(value.i8("the state of a member")?)?,
        assigned: read_partitions(value)?,
        pending_revocation: Partitions::new(),
    })
}

fn read_current(value: &mut Reader) -> Result<CurrentAssignment, WireError> {
    Ok(CurrentAssignment {
        epoch: value.i32("a member epoch")?,
        previous_epoch: value.i32("a member epoch")?,
        state: MemberState::of(value.i8("the state of a member")?)?,
        assigned: read_partitions(value)?,
        pending_revocation: read_partitions(value)?,
    })
}

//! What `__consumer_offsets` holds: committed offsets and the groups themselves, in Kafka's own bytes.
//!
//! Kafka: `OffsetCommitKey` (version 1) and `OffsetCommitValue` (3), `GroupMetadataKey` (2) and `GroupMetadataValue` (2, and 3
//! since static membership, 2.3). A record without a value takes back what the key names.
//!
//! Records of the consumer protocol (keys 3 to 8) and of share groups (keys 9 to 14) are in `consumer::records`.
//!
//! Not modelled: `expireTimestamp` (version 1 of the value, for a commit with a retention time of its own: it is read
//! and left out of account), and values of version 4 (transactional, flexible), which no release
//! writes by default.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::GroupId;
use thiserror::Error;

use super::consumer::ModernProtocol;
use super::consumer::records::{ConsumerGroupRecord, key_of};
use super::offsets::CommittedOffset;
use crate::metadata::WireError;
use crate::types::{LeaderEpoch, Offset, StrBytes, Timestamp, TopicName, TopicPartition};

const OFFSET_COMMIT_KEY: i16 = 1;
const OFFSET_COMMIT_KEY_OLD: i16 = 0;
const GROUP_METADATA_KEY: i16 = 2;
const OFFSET_COMMIT_VALUE: i16 = 3;
const GROUP_METADATA_VALUE_DYNAMIC: i16 = 2;
const GROUP_METADATA_VALUE: i16 = 3;

/// A record of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRecord {
    /// How far a group has come in a partition; none is a tombstone.
    OffsetCommit {
        /// The group.
        group: GroupId,
        /// The partition.
        partition: TopicPartition,
        /// How far.
        committed: Option<CommittedOffset>,
    },
    /// A generation of a group; none is a tombstone.
    Group {
        /// The group.
        group: GroupId,
        /// Its state.
        metadata: Option<GroupMetadataRecord>,
    },
    /// Something of a group of the consumer protocol.
    Consumer {
        /// The group.
        group: GroupId,
        /// What.
        record: ConsumerGroupRecord,
    },
    /// Something of a share group.
    Share {
        /// The group.
        group: GroupId,
        /// What.
        record: ConsumerGroupRecord,
    },
}

/// A generation of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadataRecord {
    /// `consumer`, or empty for a group that only stores offsets.
    pub protocol_type: StrBytes,
    /// The generation.
    pub generation: i32,
    /// The assignor that all members speak.
    pub protocol: Option<StrBytes>,
    /// The member that assigns.
    pub leader: Option<StrBytes>,
    /// Since when the group is in this state.
    pub state_timestamp: Timestamp,
    /// The members.
    pub members: Vec<MemberRecord>,
}

/// A member of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// Its id.
    pub member_id: StrBytes,
    /// `group.instance.id`, if it is a static member.
    pub instance_id: Option<StrBytes>,
    /// `client.id`.
    pub client_id: StrBytes,
    /// Where it connected from.
    pub client_host: StrBytes,
    /// `max.poll.interval.ms`, as the protocol calls it.
    pub rebalance_timeout_ms: i32,
    /// `session.timeout.ms`.
    pub session_timeout_ms: i32,
    /// What it subscribed to.
    pub subscription: Bytes,
    /// What it was given.
    pub assignment: Bytes,
}

/// A record that is not one of these.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GroupRecordError {
    /// It ends too early, or a length in it is negative.
    #[error("a record of __consumer_offsets ends in the middle of {0}")]
    Truncated(&'static str),
    /// A string that is not UTF-8.
    #[error("{0} in a record of __consumer_offsets is not UTF-8")]
    NotUtf8(&'static str),
    /// A version that is not spoken.
    #[error("version {1} of {0} in __consumer_offsets is not known")]
    UnknownVersion(&'static str, i16),
    /// There is no key.
    #[error("a record of __consumer_offsets has no key")]
    NoKey,
    /// A record of the consumer protocol that is none.
    #[error("a record of __consumer_offsets is not sound: {0}")]
    Consumer(#[from] WireError),
}

impl GroupRecord {
    /// Its key and value. Before static membership (KIP-345, 2.3) members are written without an instance id.
    pub fn to_key_value(&self, static_membership: bool) -> (Bytes, Option<Bytes>) {
        match self {
            GroupRecord::OffsetCommit { group, partition, committed } => {
                let mut key = BytesMut::new();
                key.put_i16(OFFSET_COMMIT_KEY);
                put_string(&mut key, group);
                put_string(&mut key, &partition.topic);
                key.put_i32(partition.partition);
                (key.freeze(), committed.as_ref().map(offset_value))
            }
            GroupRecord::Group { group, metadata } => {
                let mut key = BytesMut::new();
                key.put_i16(GROUP_METADATA_KEY);
                put_string(&mut key, group);
                (key.freeze(), metadata.as_ref().map(|metadata| group_value(metadata, static_membership)))
            }
            GroupRecord::Consumer { group, record } => modern(ModernProtocol::Consumer, group, record),
            GroupRecord::Share { group, record } => modern(ModernProtocol::Share, group, record),
        }
    }

    /// Reads a record.
    pub fn parse(key: Option<Bytes>, value: Option<Bytes>) -> Result<GroupRecord, GroupRecordError> {
        let mut key = Reader(key.ok_or(GroupRecordError::NoKey)?);
        match key.i16("the version of a key")? {
            OFFSET_COMMIT_KEY | OFFSET_COMMIT_KEY_OLD => {
                let group = GroupId(key.string("a group id")?);
                let topic = TopicName(key.string("a topic")?);
                let partition = TopicPartition::new(topic, key.i32("a partition")?);
                let committed = value.map(parse_offset).transpose()?;
                Ok(GroupRecord::OffsetCommit { group, partition, committed })
            }
            GROUP_METADATA_KEY => {
                let group = GroupId(key.string("a group id")?);
                Ok(GroupRecord::Group { group, metadata: value.map(parse_group).transpose()? })
            }
            version => {
                let (protocol, names_member) =
                    key_of(version).ok_or(GroupRecordError::UnknownVersion("a key", version))?;
                let group = GroupId(key.string("a group id")?);
                let member = if names_member { key.string("a member id")? } else { StrBytes::default() };
                Ok(protocol.record(&group, ConsumerGroupRecord::parse(version, member, value)?))
            }
        }
    }
}

/// A record of a group whose coordinator decides who reads what.
fn modern(protocol: ModernProtocol, group: &GroupId, record: &ConsumerGroupRecord) -> (Bytes, Option<Bytes>) {
    let (version, member) = record.key(protocol);
    let mut key = BytesMut::new();
    key.put_i16(version);
    put_string(&mut key, group);
    if let Some(member) = member {
        put_string(&mut key, member);
    }
    (key.freeze(), record.value(protocol))
}

fn offset_value(committed: &CommittedOffset) -> Bytes {
    let mut value = BytesMut::new();
    value.put_i16(OFFSET_COMMIT_VALUE);
    value.put_i64(committed.offset.0);
    value.put_i32(committed.leader_epoch.0);
    put_string(&mut value, &committed.metadata);
    value.put_i64(committed.commit_timestamp.0);
    value.freeze()
}

fn group_value(metadata: &GroupMetadataRecord, static_membership: bool) -> Bytes {
    let mut value = BytesMut::new();
    value.put_i16(if static_membership { GROUP_METADATA_VALUE } else { GROUP_METADATA_VALUE_DYNAMIC });
    put_string(&mut value, &metadata.protocol_type);
    value.put_i32(metadata.generation);
    put_nullable_string(&mut value, metadata.protocol.as_ref());
    put_nullable_string(&mut value, metadata.leader.as_ref());
    value.put_i64(metadata.state_timestamp.0);
    value.put_i32(metadata.members.len() as i32);
    for member in &metadata.members {
        put_string(&mut value, &member.member_id);
        if static_membership {
            put_nullable_string(&mut value, member.instance_id.as_ref());
        }
        put_string(&mut value, &member.client_id);
        put_string(&mut value, &member.client_host);
        value.put_i32(member.rebalance_timeout_ms);
        value.put_i32(member.session_timeout_ms);
        put_bytes(&mut value, &member.subscription);
        put_bytes(&mut value, &member.assignment);
    }
    value.freeze()
}

fn parse_offset(value: Bytes) -> Result<CommittedOffset, GroupRecordError> {
    let mut value = Reader(value);
    let version = value.i16("the version of an offset")?;
    if !(0..=OFFSET_COMMIT_VALUE).contains(&version) {
        return Err(GroupRecordError::UnknownVersion("an offset", version));
    }
    let offset = Offset(value.i64("an offset")?);
    let leader_epoch = if version >= 3 { LeaderEpoch(value.i32("a leader epoch")?) } else { LeaderEpoch::NONE };
    let metadata = value.string("the metadata of an offset")?;
    let commit_timestamp = Timestamp(value.i64("a commit timestamp")?);
    Ok(CommittedOffset { offset, leader_epoch, metadata, commit_timestamp })
}

fn parse_group(value: Bytes) -> Result<GroupMetadataRecord, GroupRecordError> {
    let mut value = Reader(value);
    let version = value.i16("the version of a group")?;
    if !(0..=GROUP_METADATA_VALUE).contains(&version) {
        return Err(GroupRecordError::UnknownVersion("a group", version));
    }
    let protocol_type = value.string("a protocol type")?;
    let generation = value.i32("a generation")?;
    let protocol = value.nullable_string("a protocol")?;
    let leader = value.nullable_string("a leader")?;
    let state_timestamp = Timestamp(if version >= 2 { value.i64("a state timestamp")? } else { -1 });
    let count = value.i32("the number of members")?;
    let mut members = Vec::new();
    // No room is reserved for what is only announced.
    for _ in 0..count {
        members.push(parse_member(&mut value, version)?);
    }
    Ok(GroupMetadataRecord { protocol_type, generation, protocol, leader, state_timestamp, members })
}

fn parse_member(value: &mut Reader, version: i16) -> Result<MemberRecord, GroupRecordError> {
    let member_id = value.string("a member id")?;
    let instance_id = if version >= 3 { value.nullable_string("an instance id")? } else { None };
    let client_id = value.string("a client id")?;
    let client_host = value.string("a client host")?;
    let rebalance_timeout = if version >= 1 { Some(value.i32("a rebalance timeout")?) } else { None };
    let session_timeout_ms = value.i32("a session timeout")?;
    Ok(MemberRecord {
        member_id,
        instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms: rebalance_timeout.unwrap_or(session_timeout_ms),
        session_timeout_ms,
        subscription: value.bytes("a subscription")?,
        assignment: value.bytes("an assignment")?,
    })
}

fn put_string(out: &mut BytesMut, text: &StrBytes) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

fn put_nullable_string(out: &mut BytesMut, text: Option<&StrBytes>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &Bytes) {
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

/// Reads Kafka's inflexible format: two bytes of length before a string, four before bytes.
struct Reader(Bytes);

impl Reader {
    fn take(&mut self, length: usize, what: &'static str) -> Result<Bytes, GroupRecordError> {
        if length > self.0.len() {
            return Err(GroupRecordError::Truncated(what));
        }
        Ok(self.0.split_to(length))
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GroupRecordError> {
        <[u8; N]>::try_from(&self.take(N, what)?[..]).map_err(|_| GroupRecordError::Truncated(what))
    }

    fn i16(&mut self, what: &'static str) -> Result<i16, GroupRecordError> {
        Ok(i16::from_be_bytes(self.array(what)?))
    }

    fn i32(&mut self, what: &'static str) -> Result<i32, GroupRecordError> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    fn i64(&mut self, what: &'static str) -> Result<i64, GroupRecordError> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    fn nullable_string(&mut self, what: &'static str) -> Result<Option<StrBytes>, GroupRecordError> {
        let length = self.i16(what)?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| GroupRecordError::Truncated(what))?;
        let bytes = self.take(length, what)?;
        StrBytes::try_from(bytes).map(Some).map_err(|_| GroupRecordError::NotUtf8(what))
    }

    fn string(&mut self, what: &'static str) -> Result<StrBytes, GroupRecordError> {
        self.nullable_string(what)?.ok_or(GroupRecordError::Truncated(what))
    }

    fn bytes(&mut self, what: &'static str) -> Result<Bytes, GroupRecordError> {
        let length = usize::try_from(self.i32(what)?).map_err(|_| GroupRecordError::Truncated(what))?;
        self.take(length, what)
    }
}

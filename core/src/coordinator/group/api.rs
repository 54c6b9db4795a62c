//! What members ask of the coordinator, and what it answers and writes.

use bytes::Bytes;
use kafka_protocol::messages::GroupId;

use super::consumer::{ModernProtocol, Partitions};
use super::offsets::CommittedOffset;
use super::records::GroupRecord;
use crate::protocol::ErrorCode;
use crate::types::{Duration, StrBytes, TopicName, TopicPartition};

/// Names a request that waits for its answer; chosen by whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupToken(pub u64);

/// JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    /// The group.
    pub group: GroupId,
    /// The member, or empty.
    pub member_id: StrBytes,
    /// `group.instance.id`.
    pub instance_id: Option<StrBytes>,
    /// A member without an id is told one first and must come back with it (KIP-394: version 4 of the request).
    pub require_known_member_id: bool,
    /// `client.id`.
    pub client_id: StrBytes,
    /// Where it connected from.
    pub client_host: StrBytes,
    /// `max.poll.interval.ms`.
    pub rebalance_timeout: Duration,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `consumer`.
    pub protocol_type: StrBytes,
    /// The assignors it speaks, best first, each with its subscription.
    pub protocols: Vec<(StrBytes, Bytes)>,
}

/// What a join brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinResult {
    /// Whether it is a member of a new generation.
    pub error: ErrorCode,
    /// Its id.
    pub member_id: StrBytes,
    /// The generation; -1 with an error.
    pub generation: i32,
    /// The assignor.
    pub protocol: Option<StrBytes>,
    /// `consumer`.
    pub protocol_type: Option<StrBytes>,
    /// Who assigns.
    pub leader: StrBytes,
    /// For the leader: all members with their instance ids and subscriptions.
    pub members: Vec<(StrBytes, Option<StrBytes>, Bytes)>,
    /// A static leader that came back need not assign again (KIP-814).
    pub skip_assignment: bool,
}

impl JoinResult {
    /// It is not.
    pub fn failed(member_id: StrBytes, error: ErrorCode) -> JoinResult {
        JoinResult {
            error,
            member_id,
            generation: -1,
            protocol: None,
            protocol_type: None,
            leader: StrBytes::default(),
            members: Vec::new(),
            skip_assignment: false,
        }
    }
}

/// A member as it names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    /// The group.
    pub group: GroupId,
    /// Its id.
    pub member_id: StrBytes,
    /// `group.instance.id`.
    pub instance_id: Option<StrBytes>,
    /// The generation that it believes to be in; -1 is none.
    pub generation: i32,
}

/// SyncGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRequest {
    /// Who.
    pub member: MemberIdentity,
    /// What it believes the group speaks.
    pub protocol_type: Option<StrBytes>,
    /// The assignor.
    pub protocol: Option<StrBytes>,
    /// From the leader: what each member gets.
    pub assignments: Vec<(StrBytes, Bytes)>,
}

/// What a sync brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncResult {
    /// Whether there is an assignment.
    pub error: ErrorCode,
    /// `consumer`.
    pub protocol_type: Option<StrBytes>,
    /// The assignor.
    pub protocol: Option<StrBytes>,
    /// What the member got.
    pub assignment: Bytes,
}

impl SyncResult {
    /// There is none.
    pub fn failed(error: ErrorCode) -> SyncResult {
        SyncResult { error, protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

/// OffsetCommit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRequest {
    /// Who.
    pub member: MemberIdentity,
    /// What.
    pub offsets: Vec<(TopicPartition, CommittedOffset)>,
}

/// ConsumerGroupHeartbeat, or ShareGroupHeartbeat. What has not changed since the last one is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatRequest {
    /// Which of them.
    pub protocol: ModernProtocol,
    /// The group.
    pub group: GroupId,
    /// The member, or empty.
    pub member_id: StrBytes,
    /// Its epoch; 0 joins, -1 leaves, -2 leaves for a while.
    pub epoch: i32,
    /// `group.instance.id`.
    pub instance_id: Option<StrBytes>,
    /// `max.poll.interval.ms`.
    pub rebalance_timeout_ms: Option<i32>,
    /// What it subscribes to.
    pub topics: Option<Vec<TopicName>>,
    /// `group.remote.assignor`.
    pub assignor: Option<StrBytes>,
    /// What it has.
    pub owned: Option<Partitions>,
    /// `client.id`.
    pub client_id: StrBytes,
    /// Where it connected from.
    pub client_host: StrBytes,
}

/// What a heartbeat brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatResult {
    /// Whether it is a member.
    pub error: ErrorCode,
    /// Its id.
    pub member_id: StrBytes,
    /// Its epoch.
    pub epoch: i32,
    /// `group.consumer.heartbeat.interval.ms`.
    pub interval: Duration,
    /// What it may use, if that is news.
    pub assignment: Option<Partitions>,
}

impl HeartbeatResult {
    /// It is not.
    pub fn failed(member_id: StrBytes, error: ErrorCode) -> HeartbeatResult {
        HeartbeatResult { error, member_id, epoch: 0, interval: Duration::ZERO, assignment: None }
    }
}

/// An answer, to the token that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`JoinRequest`].
    Join(GroupToken, JoinResult),
    /// To [`SyncRequest`].
    Sync(GroupToken, SyncResult),
    /// To [`CommitRequest`]: the same for every partition.
    Commit(GroupToken, ErrorCode),
    /// To [`HeartbeatRequest`].
    Heartbeat(GroupToken, HeartbeatResult),
}

/// Records to be appended to a partition of the topic, with acks=all; [`super::GroupCoordinator::written`] takes the
/// result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its number.
    pub number: u64,
    /// The partition of the topic.
    pub partition: i32,
    /// What.
    pub records: Vec<GroupRecord>,
}

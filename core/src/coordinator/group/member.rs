//! A member of a classic group, and when its session ends.
//!
//! Kafka: `MemberMetadata.scala`, `DelayedHeartbeat`.
//!
//! A member that waits for the answer to a join or a sync cannot send heartbeats, so it cannot miss one; but one that is
//! new can: it may have gone away before the rebalance ended, and nobody would know.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::api::{GroupToken, JoinRequest};
use super::records::MemberRecord;
use crate::protocol::consumer_protocol;
use crate::types::{Duration, Instant, StrBytes, TopicPartition};

/// How long a new member may wait for its first generation, whatever its session timeout
/// (`GroupCoordinator.NewMemberJoinTimeoutMs`).
pub const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(300);

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: StrBytes,
    /// `group.instance.id`, if it is a static member.
    pub instance_id: Option<StrBytes>,
    /// `client.id`.
    pub client_id: StrBytes,
    /// Where it connected from.
    pub client_host: StrBytes,
    /// How long a rebalance waits for it.
    pub rebalance_timeout: Duration,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// The assignors it speaks, best first, each with its subscription.
    pub protocols: Vec<(StrBytes, Bytes)>,
    /// What it was given in this generation.
    pub assignment: Bytes,
    /// The join that waits for an answer.
    pub awaiting_join: Option<GroupToken>,
    /// The sync that waits for an answer.
    pub awaiting_sync: Option<GroupToken>,
    /// It has not been in any generation yet.
    pub is_new: bool,
    /// When its session ends unless it is heard of.
    pub expires_at: Option<Instant>,
}

impl Member {
    /// A member that joins.
    pub fn joining(id: StrBytes, request: &JoinRequest, token: GroupToken, now: Instant) -> Member {
        Member {
            id,
            instance_id: request.instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            rebalance_timeout: request.rebalance_timeout,
            session_timeout: request.session_timeout,
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            awaiting_join: Some(token),
            awaiting_sync: None,
            is_new: true,
            expires_at: Some(now + NEW_MEMBER_JOIN_TIMEOUT),
        }
    }

    /// A member as the log has it. Its session begins now.
    pub fn loaded(record: &MemberRecord, protocol: Option<&StrBytes>, now: Instant) -> Member {
        let mut member = Member {
            id: record.member_id.clone(),
            instance_id: record.instance_id.clone(),
            client_id: record.client_id.clone(),
            client_host: record.client_host.clone(),
            rebalance_timeout: Duration::from_request_millis(record.rebalance_timeout_ms),
            session_timeout: Duration::from_request_millis(record.session_timeout_ms),
            protocols: vec![(protocol.cloned().unwrap_or_default(), record.subscription.clone())],
            assignment: record.assignment.clone(),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
            expires_at: None,
        };
        member.heard_of(now);
        member
    }

    /// As the log has it.
    pub fn to_record(&self, protocol: Option<&StrBytes>, assignment: Bytes) -> MemberRecord {
        let millis = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        MemberRecord {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: millis(self.rebalance_timeout),
            session_timeout_ms: millis(self.session_timeout),
            subscription: protocol.map(|name| self.subscription(name)).unwrap_or_default(),
            assignment,
        }
    }

    /// Its session begins anew.
    pub fn heard_of(&mut self, now: Instant) {
        self.expires_at = Some(now + self.session_timeout);
    }

    /// The time of its session has come: whether it is over. One that waits for us is not silent.
    pub fn session_is_over(&mut self, now: Instant) -> bool {
        if self.expires_at.is_none_or(|at| at > now) {
            return false;
        }
        self.expires_at = None;
        self.is_new || (self.awaiting_join.is_none() && self.awaiting_sync.is_none())
    }

    /// Whether it speaks an assignor.
    pub fn speaks(&self, protocol: &StrBytes) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Its subscription under an assignor; empty if it does not speak it.
    pub fn subscription(&self, protocol: &StrBytes) -> Bytes {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, data)| data.clone()).unwrap_or_default()
    }

    /// The partitions that it was given in this generation.
    pub fn assigned(&self) -> BTreeSet<TopicPartition> {
        consumer_protocol::assignment(&self.assignment)
    }

    /// Takes what a join says of it.
    pub fn update(&mut self, request: &JoinRequest, token: GroupToken) {
        self.protocols.clone_from(&request.protocols);
        self.rebalance_timeout = request.rebalance_timeout;
        self.session_timeout = request.session_timeout;
        self.awaiting_join = Some(token);
    }
}

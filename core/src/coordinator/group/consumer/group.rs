//! A group of the consumer protocol at its coordinator: what its records say, what is being written, and its clocks.
//!
//! Kafka: `ConsumerGroup`; the timeline of `CoordinatorRuntime` (what was decided counts at once for what is decided next,
//! and is answered when it is written; if it cannot be written it is taken back).

use std::collections::{BTreeMap, VecDeque};

use kafka_protocol::messages::GroupId;

use super::records::{ConsumerGroupRecord, MemberState};
use super::state::ConsumerGroupState;
use crate::coordinator::group::offsets::GroupOffsets;
use crate::coordinator::group::records::GroupRecord;
use crate::fact::{Fact, RemovalReason};
use crate::machine::Context;
use crate::types::{Duration, Instant, StrBytes};

/// Until the end of a session is tried again whose record could not be written (`CoordinatorTimer`).
const RETRY: Duration = Duration::from_millis(500);

/// What the members of a group speak whose coordinator decides who reads what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModernProtocol {
    /// ConsumerGroupHeartbeat: a partition has one member (KIP-848).
    Consumer,
    /// ShareGroupHeartbeat: a partition may have several (KIP-932).
    Share,
}

impl ModernProtocol {
    /// A record of a group that speaks it.
    pub(in super::super) fn record(self, group: &GroupId, record: ConsumerGroupRecord) -> GroupRecord {
        let group = group.clone();
        match self {
            ModernProtocol::Consumer => GroupRecord::Consumer { group, record },
            ModernProtocol::Share => GroupRecord::Share { group, record },
        }
    }
}

/// When a member is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Unless it is heard of.
    pub session: Instant,
    /// Unless it leaves this epoch: it has something to give up.
    pub revocation: Option<(i32, Instant)>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroup {
    /// `group.id`.
    pub id: GroupId,
    /// What its members speak.
    pub protocol: ModernProtocol,
    /// With everything that has been decided.
    pub state: ConsumerGroupState,
    /// As far as it is written.
    pub written: ConsumerGroupState,
    /// What is being written, by the number of the write.
    pending: VecDeque<(u64, Vec<ConsumerGroupRecord>)>,
    /// Of every member.
    pub clocks: BTreeMap<StrBytes, Clocks>,
    /// Why members are out whose record is being written.
    pub removals: BTreeMap<StrBytes, RemovalReason>,
    /// How far it has come.
    pub offsets: GroupOffsets,
}

impl ConsumerGroup {
    /// A group of which nothing is known but, perhaps, how far it has come.
    pub fn new(id: GroupId, protocol: ModernProtocol, offsets: GroupOffsets) -> Self {
        Self {
            id,
            protocol,
            state: ConsumerGroupState::default(),
            written: ConsumerGroupState::default(),
            pending: VecDeque::new(),
            clocks: BTreeMap::new(),
            removals: BTreeMap::new(),
            offsets,
        }
    }

    /// A record of the log.
    pub fn load(&mut self, record: &ConsumerGroupRecord) {
        self.written.replay(record);
        self.state.replay(record);
    }

    /// This has been decided, and is being written.
    pub fn decided(&mut self, write: u64, state: ConsumerGroupState, records: Vec<ConsumerGroupRecord>) {
        self.state = state;
        self.pending.push_back((write, records));
        self.clocks.retain(|member, _| self.state.members.contains_key(member));
    }

    /// It is in the log: who watches hears of it now.
    pub fn written(&mut self, write: u64, ctx: &mut Context<'_>) {
        let Some(records) = self.take(write) else { return };
        let before = (self.state_name(), self.written.epoch);
        for record in &records {
            self.say(record, ctx);
            self.written.replay(record);
        }
        if before != (self.state_name(), self.written.epoch) {
            ctx.fact(Fact::GroupStateChanged {
                group: self.id.to_string(),
                state: self.state_name().to_owned(),
                generation: self.written.epoch,
                members: self.written.members.keys().map(ToString::to_string).collect(),
            });
        }
    }

    /// As `kafka-consumer-groups` or `kafka-share-groups` prints it, as far as it is written.
    pub fn state_name(&self) -> &'static str {
        match self.protocol {
            ModernProtocol::Consumer => self.written.name(),
            ModernProtocol::Share if self.written.members.is_empty() => "Empty",
            ModernProtocol::Share => "Stable",
        }
    }

    fn say(&mut self, record: &ConsumerGroupRecord, ctx: &mut Context<'_>) {
        match record {
            ConsumerGroupRecord::CurrentMember(member, Some(current)) => ctx.fact(Fact::MemberReconciled {
                group: self.id.to_string(),
                member: member.to_string(),
                epoch: current.epoch,
                state: current.state.name().to_owned(),
                assigned: self.written.named(&current.assigned),
                revoking: self.written.named(&current.pending_revocation),
            }),
            ConsumerGroupRecord::CurrentMember(member, None) => {
                let Some(reason) = self.removals.remove(member) else { return };
                ctx.fact(Fact::MemberRemoved { group: self.id.to_string(), member: member.to_string(), reason });
            }
            ConsumerGroupRecord::Epoch(_)
            | ConsumerGroupRecord::PartitionMetadata(_)
            | ConsumerGroupRecord::Member(..)
            | ConsumerGroupRecord::TargetEpoch(_)
            | ConsumerGroupRecord::TargetMember(..) => {}
        }
    }

    /// It is not, and will not be: it has not been decided.
    pub fn not_written(&mut self, write: u64, now: Instant) {
        if self.take(write).is_none() {
            return;
        }
        self.state = self.written.clone();
        for record in self.pending.iter().flat_map(|(_, records)| records) {
            self.state.replay(record);
        }
        self.clocks.retain(|member, _| self.state.members.contains_key(member));
        self.removals.retain(|member, _| !self.state.members.contains_key(member));
        for member in self.state.members.keys() {
            self.clocks.entry(member.clone()).or_insert(Clocks { session: now + RETRY, revocation: None });
        }
        self.set_revocations(now);
    }

    fn take(&mut self, write: u64) -> Option<Vec<ConsumerGroupRecord>> {
        let at = self.pending.iter().position(|(number, _)| *number == write)?;
        self.pending.remove(at).map(|(_, records)| records)
    }

    /// Whether nothing is said of it any more, and nothing is about to be.
    pub fn is_blank(&self) -> bool {
        self.state.is_blank() && self.pending.is_empty()
    }

    /// A member has been heard of.
    pub fn heard_of(&mut self, member: &StrBytes, session_timeout: Duration, now: Instant) {
        let session = now + session_timeout;
        self.clocks.entry(member.clone()).or_insert(Clocks { session, revocation: None }).session = session;
        self.set_revocations(now);
    }

    /// The log is read: all sessions begin now.
    pub fn start_clocks(&mut self, session_timeout: Duration, now: Instant) {
        let members: Vec<StrBytes> = self.state.members.keys().cloned().collect();
        for member in members {
            self.heard_of(&member, session_timeout, now);
        }
    }

    /// Who has something to give up has its rebalance timeout for it, from when that was decided.
    fn set_revocations(&mut self, now: Instant) {
        for (id, clocks) in &mut self.clocks {
            let Some(member) = self.state.members.get(id) else { continue };
            let epoch = member.current.epoch;
            let timeout = Duration::from_request_millis(member.metadata.rebalance_timeout_ms);
            clocks.revocation = match (member.current.state, clocks.revocation) {
                (MemberState::UnrevokedPartitions, Some((since, until))) if since == epoch => Some((since, until)),
                (MemberState::UnrevokedPartitions, _) => Some((epoch, now + timeout)),
                (MemberState::Stable | MemberState::UnreleasedPartitions, _) => None,
            };
        }
    }

    /// When the group next has something to do by itself.
    pub fn next_deadline(&self) -> Option<Instant> {
        let revocations = self.clocks.values().filter_map(|clocks| clocks.revocation).map(|(_, at)| at);
        self.clocks.values().map(|clocks| clocks.session).chain(revocations).min()
    }
}

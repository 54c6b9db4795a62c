//! What happens when nobody asks: sessions end, rebalances run out of time, offsets expire.
//!
//! Kafka: `onExpireHeartbeat`, `onExpirePendingSync`, `GroupMetadataManager.cleanupGroupMetadata`; KIP-211. And what goes with a
//! topic: `handleDeletedPartitions`, `onPartitionsDeleted`.

use std::collections::BTreeSet;

use kafka_protocol::messages::GroupId;

use super::classic_group::{ClassicGroup, GroupState};
use super::consumer::{ModernProtocol, Topics, expired_offsets_of_consumers};
use super::coordinator::{Group, GroupCoordinator, Purpose, Shard};
use super::records::GroupRecord;
use crate::fact::RemovalReason;
use crate::machine::Context;
use crate::protocol::consumer_protocol;
use crate::types::{Duration, Instant, StrBytes, Timestamp, TopicPartition};

impl GroupCoordinator {
    /// When [`GroupCoordinator::on_deadline`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.groups().filter_map(Group::next_deadline).chain(self.next_retention_check).min()
    }

    /// Something is due. `topics` are those of the cluster.
    pub fn on_deadline(&mut self, topics: &Topics, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let due: Vec<GroupId> = self
            .groups()
            .filter(|group| group.next_deadline().is_some_and(|at| at <= now))
            .map(|group| group.id().clone())
            .collect();
        for id in due {
            self.expire_consumers(&id, topics, ctx);
            self.expire_members(&id, ctx);
            self.expire_syncs(&id, ctx);
            let join_is_over = |group: &ClassicGroup| group.delayed_join.is_some_and(|join| join.deadline() <= now);
            if self.group_mut(&id).is_some_and(|group| join_is_over(group)) {
                self.join_expired(&id, ctx);
            }
        }
        if self.next_retention_check.is_some_and(|at| at <= now) {
            self.next_retention_check = Some(now + self.config.retention_check_interval);
            self.expire_offsets(ctx);
        }
    }

    fn expire_members(&mut self, id: &GroupId, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let Some(group) = self.group_mut(id) else { return };
        let pending: Vec<StrBytes> =
            group.pending_members.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone()).collect();
        for member in &pending {
            group.pending_members.remove(member);
        }
        let silent: Vec<StrBytes> = group
            .members
            .values_mut()
            .filter_map(|member| member.session_is_over(now).then(|| member.id.clone()))
            .collect();
        for member in silent {
            self.remove_member(id, &member, RemovalReason::SessionExpired, ctx);
        }
        if !pending.is_empty() {
            self.maybe_complete_join(id, ctx);
        }
    }

    /// Members that have joined and do not ask for their assignment hold nobody up for ever (KAFKA-13435).
    fn expire_syncs(&mut self, id: &GroupId, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let Some(group) = self.group_mut(id) else { return };
        if group.sync_deadline.is_none_or(|at| at > now) {
            return;
        }
        group.sync_deadline = None;
        if !matches!(group.state, GroupState::CompletingRebalance | GroupState::Stable) {
            return;
        }
        for member in std::mem::take(&mut group.pending_sync) {
            group.expel(&member, RemovalReason::DidNotSync, ctx);
        }
        self.prepare_rebalance(id, ctx);
    }

    /// What is committed for partitions that are deleted goes with them (`handleDeletedPartitions`). A commit that comes later, for
    /// another topic of the same name, is taken: a group knows topics by their names.
    pub fn partitions_deleted(&mut self, deleted: &BTreeSet<TopicPartition>) {
        if deleted.is_empty() {
            return;
        }
        let mut tombstones: Vec<(GroupId, Vec<GroupRecord>)> = Vec::new();
        for group in self.groups() {
            let gone = group.offsets().iter().map(|(partition, _)| partition).filter(|of| deleted.contains(*of));
            let tombstone = |partition: &TopicPartition| {
                let (group, partition) = (group.id().clone(), partition.clone());
                GroupRecord::OffsetCommit { group, partition, committed: None }
            };
            let records: Vec<GroupRecord> = gone.map(tombstone).collect();
            if !records.is_empty() {
                tombstones.push((group.id().clone(), records));
            }
        }
        for (id, records) in tombstones {
            self.write(&id, records, Purpose::Housekeeping { group: id.clone() });
        }
    }

    /// Offsets that nobody has renewed for `offsets.retention.minutes` go, and groups with them that have nothing else.
    fn expire_offsets(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.wall_clock();
        let (retention, when_empty) = (self.config.offsets_retention, self.config.expire_when_empty);
        let mut writes = Vec::new();
        for shard in self.shards.values() {
            let Shard::Active(_, groups) = shard else { continue };
            for group in groups.values() {
                let expired = match group {
                    Group::Classic(group) => expired_offsets(group, now, retention, when_empty),
                    Group::Consumer(group) => {
                        expired_offsets_of_consumers(group, |since| is_old(since, now, retention))
                    }
                };
                let nothing_left = group.offsets().iter().count() == expired.len();
                let goes = nothing_left && may_go(group);
                if !expired.is_empty() || goes {
                    writes.push((group.id().clone(), expired, goes));
                }
            }
        }
        for (id, expired, goes) in writes {
            let tombstone = |partition| GroupRecord::OffsetCommit { group: id.clone(), partition, committed: None };
            let mut records: Vec<GroupRecord> = expired.into_iter().map(tombstone).collect();
            let is_classic = self.group_mut(&id).is_some();
            if goes && is_classic {
                records.push(GroupRecord::Group { group: id.clone(), metadata: None });
            }
            if !records.is_empty() {
                self.write(&id, records, Purpose::Housekeeping { group: id.clone() });
            }
            if goes && !is_classic {
                self.delete_consumer_group(&id);
            }
        }
    }
}

/// Whether a group that has no offsets left has nothing else to keep, and something in the log to be taken back.
fn may_go(group: &Group) -> bool {
    match group {
        Group::Classic(group) => group.state == GroupState::Empty && group.generation > 0,
        // A share group stays until somebody deletes it.
        Group::Consumer(group) if group.protocol == ModernProtocol::Share => false,
        Group::Consumer(group) => group.state.members.is_empty() && !group.state.is_blank(),
    }
}

fn is_old(since: Timestamp, now: Timestamp, retention: Duration) -> bool {
    now.0.saturating_sub(since.0) >= i64::try_from(retention.as_millis()).unwrap_or(i64::MAX)
}

/// The commits of a group that are too old, by the rule of the version.
fn expired_offsets(group: &ClassicGroup, now: Timestamp, retention: Duration, when_empty: bool) -> Vec<TopicPartition> {
    let is_old = |since: Timestamp| is_old(since, now, retention);
    if !when_empty {
        return group.offsets.expired(|_, committed| is_old(committed.commit_timestamp));
    }
    match (&group.protocol_type, group.state) {
        (Some(_), GroupState::Empty) if group.state_timestamp != Timestamp::NONE => {
            group.offsets.expired(|_, _| is_old(group.state_timestamp))
        }
        (Some(_), GroupState::Empty) | (None, _) => {
            group.offsets.expired(|_, committed| is_old(committed.commit_timestamp))
        }
        (Some(_), GroupState::Stable) => match subscribed_topics(group) {
            Some(topics) => group.offsets.expired(|partition, committed| {
                !topics.contains(&partition.topic.0) && is_old(committed.commit_timestamp)
            }),
            None => Vec::new(),
        },
        (Some(_), GroupState::PreparingRebalance | GroupState::CompletingRebalance) => Vec::new(),
    }
}

/// The topics that members of a stable consumer group read; none if that cannot be known.
fn subscribed_topics(group: &ClassicGroup) -> Option<BTreeSet<StrBytes>> {
    let protocol = group.protocol.as_ref()?;
    let mut topics = BTreeSet::new();
    for member in group.members.values() {
        topics.extend(consumer_protocol::subscription(&member.subscription(protocol))?.topics);
    }
    Some(topics)
}

//! What the records of a group of the consumer protocol add up to.
//!
//! Kafka: `ConsumerGroup`, `ConsumerGroupMember`, the `replay` methods of `GroupMetadataManager`.
//! Invariant: nothing but [`ConsumerGroupState::replay`] changes it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::records::{ConsumerGroupRecord, CurrentAssignment, MemberMetadata, MemberState, SubscribedTopic};
use super::{JOIN_GROUP_EPOCH, LEAVE_GROUP_EPOCH, Partitions};
use crate::config::ServerAssignor;
use crate::types::{StrBytes, TopicName, TopicPartition};

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupMember {
    /// What it says of itself.
    pub metadata: MemberMetadata,
    /// How far it has come.
    pub current: CurrentAssignment,
}

impl ConsumerGroupMember {
    /// A member that has just come.
    pub fn new(metadata: MemberMetadata) -> Self {
        let current = CurrentAssignment {
            epoch: JOIN_GROUP_EPOCH,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: Partitions::new(),
            pending_revocation: Partitions::new(),
        };
        Self { metadata, current }
    }

    /// Whether it has everything that it is to have in this epoch.
    pub fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == target_epoch
    }

    /// Whether it holds a partition: has it, or has not given it up yet.
    fn holds(&self, topic: Uuid, partition: i32) -> bool {
        let has = |partitions: &Partitions| partitions.get(&topic).is_some_and(|indexes| indexes.contains(&partition));
        has(&self.current.assigned) || has(&self.current.pending_revocation)
    }
}

/// A group as a prefix of its records has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupState {
    /// Grows with every change of members, subscriptions or topics.
    pub epoch: i32,
    /// The group epoch of which the target assignment is; -1 if there never was one.
    pub target_epoch: i32,
    /// The members, by id.
    pub members: BTreeMap<StrBytes, ConsumerGroupMember>,
    /// What each is to have in the end.
    pub target: BTreeMap<StrBytes, Partitions>,
    /// The topics that members subscribe to, as far as they exist.
    pub topics: BTreeMap<TopicName, SubscribedTopic>,
}

impl Default for ConsumerGroupState {
    fn default() -> Self {
        Self { epoch: 0, target_epoch: -1, members: BTreeMap::new(), target: BTreeMap::new(), topics: BTreeMap::new() }
    }
}

impl ConsumerGroupState {
    /// Takes a record into account.
    pub fn replay(&mut self, record: &ConsumerGroupRecord) {
        match record.clone() {
            ConsumerGroupRecord::Epoch(epoch) => self.epoch = epoch.unwrap_or(0),
            ConsumerGroupRecord::PartitionMetadata(topics) => self.topics = topics.unwrap_or_default(),
            ConsumerGroupRecord::TargetEpoch(epoch) => self.target_epoch = epoch.unwrap_or(-1),
            ConsumerGroupRecord::Member(id, Some(metadata)) => match self.members.get_mut(&id) {
                Some(member) => member.metadata = metadata,
                None => {
                    self.members.insert(id, ConsumerGroupMember::new(metadata));
                }
            },
            ConsumerGroupRecord::Member(id, None) => {
                self.members.remove(&id);
            }
            ConsumerGroupRecord::TargetMember(id, Some(partitions)) => {
                self.target.insert(id, partitions);
            }
            ConsumerGroupRecord::TargetMember(id, None) => {
                self.target.remove(&id);
            }
            // Compaction may have left this record of a member and taken an older one: it can come first.
            ConsumerGroupRecord::CurrentMember(id, Some(current)) => {
                let new = || ConsumerGroupMember::new(MemberMetadata::default());
                self.members.entry(id).or_insert_with(new).current = current;
            }
            ConsumerGroupRecord::CurrentMember(id, None) => {
                if let Some(member) = self.members.get_mut(&id) {
                    let (epoch, previous_epoch) = (LEAVE_GROUP_EPOCH, LEAVE_GROUP_EPOCH);
                    member.current.assigned.clear();
                    member.current.pending_revocation.clear();
                    member.current = CurrentAssignment { epoch, previous_epoch, ..member.current.clone() };
                }
            }
        }
    }

    /// Whether no record says anything of it.
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// As `kafka-consumer-groups` prints it.
    pub fn name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.target_epoch {
            "Assigning"
        } else if self.members.values().any(|member| !member.is_reconciled_to(self.target_epoch)) {
            "Reconciling"
        } else {
            "Stable"
        }
    }

    /// The member that a `group.instance.id` belongs to.
    pub fn static_member(&self, instance: &StrBytes) -> Option<&StrBytes> {
        let mut members = self.members.iter();
        members.find(|(_, member)| member.metadata.instance_id.as_ref() == Some(instance)).map(|(id, _)| id)
    }

    /// Whether a member has a partition, or has not given it up yet.
    pub fn is_held(&self, topic: Uuid, partition: i32) -> bool {
        self.members.values().any(|member| member.holds(topic, partition))
    }

    /// What a member is to have in the end.
    pub fn target_of(&self, member: &StrBytes) -> Partitions {
        self.target.get(member).cloned().unwrap_or_default()
    }

    /// All topics that members subscribe to, whether they exist or not.
    pub fn subscribed(&self) -> BTreeSet<&TopicName> {
        self.members.values().flat_map(|member| &member.metadata.topics).collect()
    }

    /// The assignor that most members want. Kafka takes any of equals; here the one that comes first in the alphabet.
    pub fn preferred_assignor(&self) -> Option<ServerAssignor> {
        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for assignor in self.members.values().filter_map(|member| member.metadata.assignor.as_ref()) {
            *votes.entry(assignor).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).and_then(|(name, _)| ServerAssignor::by_name(name))
    }

    /// With the names of their topics; those of topics that are gone are left out.
    pub fn named(&self, partitions: &Partitions) -> Vec<TopicPartition> {
        let mut named = Vec::new();
        for (name, topic) in &self.topics {
            let indexes = partitions.get(&topic.id).into_iter().flatten();
            named.extend(indexes.map(|index| TopicPartition::new(name.clone(), *index)));
        }
        named
    }
}

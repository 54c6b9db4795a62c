//! What the coordinators know of consumer groups at the end.
//!
//! A group whose coordinator does not run is surveyed as `Unknown`, at the controller: `kafka-consumer-groups` would wait
//! for one and give up.

use std::collections::BTreeMap;

use ackproof_core::coordinator::group::consumer::records::MemberMetadata;
use ackproof_core::coordinator::group::consumer::{ConsumerGroupMember, ModernProtocol};
use ackproof_core::coordinator::group::member::Member as ClassicMember;
use ackproof_core::coordinator::group::{Group, GroupCoordinator, GroupId};
use ackproof_core::fact::{Fact, Observer};
use ackproof_core::types::{Offset, StrBytes, TopicPartition};

use super::spec::ClientKind;
use crate::world::{NodeIndex, SimMachine, World};

impl World {
    /// Says how far the groups are.
    pub(crate) fn survey_groups(&mut self, observer: &mut dyn Observer) {
        for (node, fact) in self.described_groups() {
            self.surveyed(node, fact, observer);
        }
    }

    fn described_groups(&self) -> Vec<(NodeIndex, Fact)> {
        let mut facts = Vec::new();
        for (node, coordinator) in self.coordinators() {
            for group in coordinator.groups() {
                facts.extend(describe(&described(coordinator, group)).into_iter().map(|fact| (node, fact)));
            }
        }
        facts.extend(self.described_share_partitions());
        let Some(controller) = self.find(self.servers().controllers[0]) else { return facts };
        for group in self.groups_of_clients() {
            let coordinated = self.coordinators().any(|(_, coordinator)| coordinator.coordinates(&group));
            if !coordinated {
                facts.push((controller, unknown(&group)));
            }
        }
        facts
    }

    /// How far share groups are with each partition, by the word of its leader.
    fn described_share_partitions(&self) -> Vec<(NodeIndex, Fact)> {
        let mut facts = Vec::new();
        for (index, node) in (0..).map(NodeIndex).zip(self.nodes()) {
            let Some(SimMachine::Broker(broker)) = node.machine.as_ref().filter(|_| node.is_alive()) else { continue };
            for (group, partition, state) in broker.share_partitions() {
                let (available, acquired) = state.in_flight();
                let count = |records: usize| u32::try_from(records).unwrap_or(u32::MAX);
                facts.push((
                    index,
                    Fact::SharePartitionSurveyed {
                        group: group.to_string(),
                        partition: partition.clone(),
                        start: state.start_offset(),
                        end: state.end_offset(),
                        available: count(available),
                        acquired: count(acquired),
                    },
                ));
            }
        }
        facts
    }

    fn coordinators(&self) -> impl Iterator<Item = (NodeIndex, &GroupCoordinator)> {
        (0..).map(NodeIndex).zip(self.nodes()).filter_map(|(index, node)| match &node.machine {
            Some(SimMachine::Broker(broker)) if node.is_alive() => Some((index, broker.group_coordinator())),
            _ => None,
        })
    }

    /// The groups that consumers of this run name, each once.
    fn groups_of_clients(&self) -> Vec<GroupId> {
        let mut groups: Vec<GroupId> = Vec::new();
        for client in &self.spec().clients {
            let ClientKind::Consumer(config, _) = &client.kind else { continue };
            let Some(group) = &config.group_id else { continue };
            let group = GroupId(StrBytes::from_string(group.clone()));
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }
}

fn unknown(group: &GroupId) -> Fact {
    Fact::GroupSurveyed {
        group: group.to_string(),
        state: "Unknown".to_owned(),
        assignor: String::new(),
        members: Vec::new(),
    }
}

/// A group, whatever its protocol.
struct Described<'a> {
    group: &'a Group,
    state: &'static str,
    assignor: String,
    members: BTreeMap<&'a StrBytes, Member<'a>>,
}

struct Member<'a> {
    host: &'a StrBytes,
    client_id: &'a StrBytes,
    assigned: Vec<TopicPartition>,
}

fn described<'a>(coordinator: &GroupCoordinator, group: &'a Group) -> Described<'a> {
    match group {
        Group::Classic(classic) => {
            let member = |member: &'a ClassicMember| {
                let assigned = member.assigned().into_iter().collect();
                (&member.id, Member { host: &member.client_host, client_id: &member.client_id, assigned })
            };
            Described {
                group,
                state: classic.state.name(),
                assignor: classic.protocol.as_ref().map(ToString::to_string).unwrap_or_default(),
                members: classic.members.values().map(member).collect(),
            }
        }
        Group::Consumer(consumer) => {
            let member = |(id, member): (&'a StrBytes, &'a ConsumerGroupMember)| {
                let assigned = consumer.written.named(&member.current.assigned);
                let MemberMetadata { client_host, client_id, .. } = &member.metadata;
                (id, Member { host: client_host, client_id, assigned })
            };
            let is_empty = consumer.written.members.is_empty();
            Described {
                group,
                state: consumer.state_name(),
                assignor: match consumer.protocol {
                    _ if is_empty => "",
                    ModernProtocol::Consumer => coordinator.assignor_of(consumer).name(),
                    ModernProtocol::Share => "simple",
                }
                .to_owned(),
                members: consumer.written.members.iter().map(member).collect(),
            }
        }
    }
}

/// The epochs of a group of the consumer protocol, and how far its members are.
fn epochs(group: &Group) -> Vec<Fact> {
    let Group::Consumer(consumer) = group else { return Vec::new() };
    let (written, group) = (&consumer.written, group.id().to_string());
    let mut facts = vec![Fact::GroupEpochsSurveyed {
        group: group.clone(),
        epoch: written.epoch,
        target_epoch: written.target_epoch,
    }];
    facts.extend(written.members.iter().map(|(id, member)| Fact::GroupMemberSurveyed {
        group: group.clone(),
        member: id.to_string(),
        host: member.metadata.client_host.to_string(),
        client_id: member.metadata.client_id.to_string(),
        epoch: member.current.epoch,
        assigned: written.named(&member.current.assigned),
        target: written.target.get(id).map(|target| written.named(target)).unwrap_or_default(),
    }));
    facts
}

/// The group, then its partitions in order: those that somebody has, and those that something is committed for.
fn describe(described: &Described<'_>) -> Vec<Fact> {
    let mut partitions: BTreeMap<TopicPartition, (Option<Offset>, Option<&StrBytes>)> = BTreeMap::new();
    for (partition, committed) in described.group.offsets().iter() {
        partitions.entry(partition.clone()).or_default().0 = Some(committed.offset);
    }
    // Of a share group no partition is one member's.
    let is_share = matches!(described.group, Group::Consumer(group) if group.protocol == ModernProtocol::Share);
    for (id, member) in described.members.iter().filter(|_| !is_share) {
        for partition in &member.assigned {
            partitions.entry(partition.clone()).or_default().1 = Some(id);
        }
    }
    let group = described.group.id().to_string();
    let mut facts = vec![Fact::GroupSurveyed {
        group: group.clone(),
        state: described.state.to_owned(),
        assignor: described.assignor.clone(),
        members: described.members.keys().map(ToString::to_string).collect(),
    }];
    facts.extend(epochs(described.group));
    facts.extend(partitions.into_iter().map(|(partition, (committed, owner))| {
        let member = owner.and_then(|id| described.members.get(id));
        let text = |text: Option<&StrBytes>| text.map(ToString::to_string).unwrap_or_default();
        Fact::GroupPartitionSurveyed {
            group: group.clone(),
            partition,
            committed: committed.unwrap_or(Offset::NONE),
            member: text(owner),
            host: text(member.map(|member| member.host)),
            client_id: text(member.map(|member| member.client_id)),
        }
    }));
    facts
}

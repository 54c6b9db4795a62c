//! What the coordinators know of consumer groups at the end.
//!
//! A group whose coordinator does not run is surveyed as `Unknown`, at the controller: `kafka-consumer-groups` would wait
//! for one and give up.

use std::collections::BTreeMap;

use ackproof_core::coordinator::group::classic_group::ClassicGroup;
use ackproof_core::coordinator::group::member::Member;
use ackproof_core::coordinator::group::{GroupCoordinator, GroupId};
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
                facts.extend(describe(group).into_iter().map(|fact| (node, fact)));
            }
        }
        let Some(controller) = self.find(self.servers().controllers[0]) else { return facts };
        for group in self.groups_of_clients() {
            let coordinated = self.coordinators().any(|(_, coordinator)| coordinator.coordinates(&group));
            if !coordinated {
                facts.push((controller, unknown(&group)));
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

/// The group, then its partitions in order: those that somebody has, and those that something is committed for.
fn describe(group: &ClassicGroup) -> Vec<Fact> {
    let mut partitions: BTreeMap<TopicPartition, (Option<Offset>, Option<&Member>)> = BTreeMap::new();
    for (partition, committed) in group.offsets.iter() {
        partitions.entry(partition.clone()).or_default().0 = Some(committed.offset);
    }
    for member in group.members.values() {
        for partition in member.assigned() {
            partitions.entry(partition).or_default().1 = Some(member);
        }
    }
    let mut facts = vec![Fact::GroupSurveyed {
        group: group.id.to_string(),
        state: group.state.name().to_owned(),
        assignor: group.protocol.as_ref().map(ToString::to_string).unwrap_or_default(),
        members: group.members.keys().map(ToString::to_string).collect(),
    }];
    let of = |member: Option<&Member>, part: fn(&Member) -> &StrBytes| {
        member.map(|member| part(member).to_string()).unwrap_or_default()
    };
    facts.extend(partitions.into_iter().map(|(partition, (committed, member))| Fact::GroupPartitionSurveyed {
        group: group.id.to_string(),
        partition,
        committed: committed.unwrap_or(Offset::NONE),
        member: of(member, |member| &member.id),
        host: of(member, |member| &member.client_host),
        client_id: of(member, |member| &member.client_id),
    }));
    facts
}

//! Finding nodes by role, as the controller sees the cluster at that moment.

use ackproof_core::coordinator::group::{GROUP_METADATA_TOPIC, GroupId, partition_for};
use ackproof_core::metadata::PartitionRegistration;
use ackproof_core::types::{NodeId, Prng, StrBytes, TopicPartition};

use crate::faults::Selector;
use crate::world::{SimMachine, World};

impl World {
    /// The nodes that a selector names now, in order, each once. Empty where there is none (a partition without leader).
    pub fn select(&self, selector: &Selector, rng: &mut Prng) -> Vec<NodeId> {
        let mut found = self.candidates(selector, rng);
        found.sort_unstable();
        found.dedup();
        found
    }

    fn candidates(&self, selector: &Selector, rng: &mut Prng) -> Vec<NodeId> {
        let brokers = |ids: &[i32]| ids.iter().copied().map(NodeId::Broker).collect::<Vec<NodeId>>();
        match selector {
            Selector::Node(id) => self.find(*id).map(|_| *id).into_iter().collect(),
            Selector::Client(name) => self
                .nodes()
                .iter()
                .filter(|node| is_client(node.id) && node.name == *name)
                .map(|node| node.id)
                .collect(),
            Selector::LeaderOf(partition) => self.registration(partition, |state| {
                if state.leader >= 0 { vec![NodeId::Broker(state.leader)] } else { Vec::new() }
            }),
            Selector::FollowersOf(partition) => self.registration(partition, |state| brokers(&followers(state))),
            Selector::AFollowerOf(partition) => self.registration(partition, |state| {
                let followers = followers(state);
                if followers.is_empty() {
                    return Vec::new();
                }
                vec![NodeId::Broker(followers[rng.below(followers.len() as u64) as usize])]
            }),
            Selector::IsrOf(partition) => self.registration(partition, |state| brokers(&state.isr)),
            Selector::InSyncFollowersOf(partition) => self.registration(partition, |state| {
                brokers(&state.isr).into_iter().filter(|id| *id != NodeId::Broker(state.leader)).collect()
            }),
            Selector::ReplicasOf(partition) => self.registration(partition, |state| brokers(&state.replicas)),
            Selector::CoordinatorOf(group) => self.coordinator_of(group).into_iter().collect(),
            Selector::AllBrokers => self.servers().brokers.clone(),
            Selector::Rack(rack) => self
                .spec()
                .brokers
                .iter()
                .filter(|config| config.broker_rack.as_ref().is_some_and(|own| **own == **rack))
                .map(|config| NodeId::Broker(config.broker_id))
                .collect(),
            Selector::AllClients => self.nodes().iter().filter(|node| is_client(node.id)).map(|node| node.id).collect(),
            Selector::Controller => self.servers().controllers.clone(),
            Selector::Bound(name) => self.bound().get(name).cloned().unwrap_or_default(),
            Selector::Any(selectors) => selectors.iter().flat_map(|selector| self.select(selector, rng)).collect(),
            Selector::Except(these, those) => {
                let those = self.select(those, rng);
                self.select(these, rng).into_iter().filter(|id| !those.contains(id)).collect()
            }
        }
    }

    /// Who leads the partition of `__consumer_offsets` in which a group lives.
    fn coordinator_of(&self, group: &str) -> Option<NodeId> {
        let topic = TopicPartition::of(GROUP_METADATA_TOPIC, 0).topic;
        let partitions = self.controller_image()?.topics.get(&topic)?.partitions;
        let group = GroupId(StrBytes::from_string(group.to_owned()));
        let partition = TopicPartition::new(topic, partition_for(&group, partitions));
        let leader = self.controller_image()?.partitions.get(&partition)?.leader;
        (leader >= 0).then_some(NodeId::Broker(leader))
    }

    fn registration(
        &self,
        partition: &TopicPartition,
        pick: impl FnOnce(&PartitionRegistration) -> Vec<NodeId>,
    ) -> Vec<NodeId> {
        self.controller_image().and_then(|image| image.partitions.get(partition)).map(pick).unwrap_or_default()
    }

    /// What the controller knows, if its process runs.
    pub fn controller_image(&self) -> Option<&ackproof_core::metadata::MetadataImage> {
        self.nodes().iter().find_map(|node| match &node.machine {
            Some(SimMachine::Controller(controller)) => Some(controller.image()),
            Some(
                SimMachine::Broker(_)
                | SimMachine::Producer(_)
                | SimMachine::LegacyProducer(_)
                | SimMachine::Consumer(_)
                | SimMachine::Admin(_)
                | SimMachine::Store(_),
            )
            | None => None,
        })
    }
}

fn followers(state: &PartitionRegistration) -> Vec<i32> {
    state.replicas.iter().copied().filter(|replica| *replica != state.leader).collect()
}

fn is_client(id: NodeId) -> bool {
    match id {
        NodeId::Client(_) => true,
        NodeId::Controller(_) | NodeId::Broker(_) => false,
    }
}

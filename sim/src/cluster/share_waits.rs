//! What keeps share groups from rest: records that no member is done with, and members on their way.
//!
//! A group whose members are all gone waits for nobody.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::share::SharePartition;
use ackproof_core::types::{NodeId, Offset, TopicName, TopicPartition};

use crate::world::{AnyConsumer, SimMachine, World};

/// The partitions of the topics that members of a group subscribe to, and those that members have.
#[derive(Default)]
struct Wanted {
    topics: BTreeSet<TopicName>,
    had: BTreeSet<TopicPartition>,
}

impl World {
    /// One sentence each.
    pub(super) fn unsettled_share_groups(&self, waits: &mut Vec<String>) {
        let Some(image) = self.controller_image() else { return };
        let mut groups: BTreeMap<String, Wanted> = BTreeMap::new();
        for node in self.nodes().iter().filter(|node| node.is_alive()) {
            let Some(SimMachine::Consumer(process)) = &node.machine else { continue };
            let AnyConsumer::Share(consumer) = &process.consumer else { continue };
            let (group, settled) = consumer.membership();
            if !settled {
                waits.push(format!("{} waits for its share group {group}", node.name));
            }
            if consumer.owes_words() {
                waits.push(format!("{} has not said what became of its records", node.name));
            }
            let wanted = groups.entry(group.to_owned()).or_default();
            wanted.topics.extend(image.topics.keys().filter(|topic| consumer.subscribes_to(topic)).cloned());
            wanted.had.extend(consumer.partitions().cloned());
        }
        for (group, wanted) in groups {
            for (partition, state) in wanted.topics.iter().flat_map(|topic| image.partitions_of(topic)) {
                if !wanted.had.contains(partition) {
                    waits.push(format!("{partition}: no member of share group {group} reads it"));
                }
                self.undone_records(&group, partition, state.leader, waits);
            }
        }
    }

    fn undone_records(&self, group: &str, partition: &TopicPartition, leader: i32, waits: &mut Vec<String>) {
        let Some(node) = self.find(NodeId::Broker(leader)) else { return };
        let Some(SimMachine::Broker(broker)) = &self.node_at(node).machine else { return };
        let Some(end) = broker.replica_manager().log(partition).map(ackproof_core::log::UnifiedLog::high_watermark)
        else {
            return;
        };
        let mut served = broker.share_partitions();
        match served.find(|(of, name, _)| of.as_str() == group && *name == partition) {
            Some((_, _, state)) if is_undone(state, end) => waits.push(format!(
                "{partition}: share group {group} is done with everything below offset {}, and the log ends at {end}",
                state.start_offset()
            )),
            Some(_) => {}
            None => waits
                .push(format!("{partition}: no member of share group {group} has asked broker {leader} for records")),
        }
    }
}

/// Whether there are records that nobody has had, or has said something final of. That all are done with, and the start stays behind them until the
/// next acknowledgement, is nobody's loss: so it is where the log has begun later meanwhile (`SharePartition.updateCacheAndOffsets`).
fn is_undone(state: &SharePartition, end: Offset) -> bool {
    state.start_offset() < end && (state.end_offset() < end || state.in_flight() != (0, 0))
}

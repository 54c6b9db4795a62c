//! What keeps a cluster from rest: who waits, for what, and what stands in between.
//!
//! After the last fault has healed a cluster must converge: every replica that runs in the ISR and as long as its leader,
//! nothing beyond the high watermark, nobody with something left to send or read. What does not get there in time is told
//! with the request, the partition and the broker that it waits for. A fault of the plan that is still in force is named:
//! nothing can be said against a replica behind a cut that never heals.
//!
//! Not modelled: requests that a broker has read and not answered are told by what they wait for (the high watermark, an ISR),
//! not one by one.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::coordinator::group::GROUP_METADATA_TOPIC;
use ackproof_core::metadata::{MetadataImage, PartitionRegistration};
use ackproof_core::types::{LeaderEpoch, NodeId, Offset, TopicName, TopicPartition};

use crate::faults::{Action, StepState};
use crate::world::{AnyConsumer, App, Interference, NodeIndex, Process, SimMachine, World};

impl World {
    /// What keeps the cluster from rest: one sentence each. Empty when everything has come to an end.
    pub(crate) fn pending(&self) -> Vec<String> {
        self.pending_since(&BTreeMap::new())
    }

    /// The same, where a log that has got beyond one of these offsets waits for nothing: members that commit again and again
    /// may keep the log of their group from rest for ever over a slow network, and yet everything comes to its end.
    pub(crate) fn pending_since(&self, ends: &BTreeMap<TopicPartition, Offset>) -> Vec<String> {
        let mut waits = Vec::new();
        let Some(image) = self.controller_image() else {
            return vec!["no controller runs".to_owned()];
        };
        self.fenced_brokers(image, &mut waits);
        for (partition, state) in &image.partitions {
            if !state.adding_replicas.is_empty() || !state.removing_replicas.is_empty() {
                waits.push(format!("{partition}: the reassignment to {:?} is not complete", state.replicas));
            }
            self.waits_of((partition, state), image, ends.get(partition), &mut waits);
        }
        self.busy_programs(&mut waits);
        self.unsettled_groups(&mut waits);
        self.unsettled_share_groups(&mut waits);
        waits
    }

    /// Where the logs of the groups end.
    pub(crate) fn ends_of_group_logs(&self) -> BTreeMap<TopicPartition, Offset> {
        let partitions = self.controller_image().into_iter().flat_map(|image| &image.partitions);
        let logs = partitions.filter(|(partition, _)| partition.topic.as_str() == GROUP_METADATA_TOPIC);
        let end = |leader, log: &TopicPartition| Some((log.clone(), self.running_replica(leader, log)?.log_end));
        logs.filter_map(|(log, state)| end(state.leader, log)).collect()
    }

    /// Programs that have something in hand, and those that an exception has ended.
    fn busy_programs(&self, waits: &mut Vec<String>) {
        for node in self.nodes() {
            let name = &node.name;
            match &node.app {
                App::Consumer(app) => match (app.crashed_at(), app.struggles_with()) {
                    (Some((partition, offset)), _) if !node.is_alive() => waits.push(format!(
                        "{name} ended with an exception: it could not process offset {offset} of {partition}"
                    )),
                    (_, Some((partition, offset))) if node.is_alive() => {
                        waits.push(format!("{name} tries again and again to process offset {offset} of {partition}"))
                    }
                    _ if node.is_alive() && app.is_processing() => {
                        waits.push(format!("{name} has not finished processing"));
                    }
                    _ => {}
                },
                App::None | App::Producer(_) | App::External(_) => {
                    if node.is_alive() && !node.app.is_done() {
                        waits.push(format!("{name} has not finished sending"));
                    }
                }
            }
        }
    }

    /// The same for people: with the messages that wait on connections, which alone keep nobody from rest.
    pub(crate) fn stuck(&self) -> Vec<String> {
        let mut waits = self.pending_since(&self.ends_at_half_time);
        if let Some(image) = self.controller_image() {
            for (partition, state) in image.partitions.iter().filter(|(_, state)| !state.has_leader()) {
                waits.extend(self.why_leaderless(partition, state, image));
            }
        }
        // Where nobody waits for anything, nobody waits for these.
        if !waits.is_empty() {
            waits.extend(self.waiting_messages());
        }
        waits
    }

    /// Partitions of a group that none of its members reads, and members that are between two generations.
    fn unsettled_groups(&self, waits: &mut Vec<String>) {
        let mut owned: BTreeMap<String, BTreeSet<TopicPartition>> = BTreeMap::new();
        let mut wanted: BTreeMap<String, BTreeSet<TopicName>> = BTreeMap::new();
        let Some(image) = self.controller_image() else { return };
        for node in self.nodes().iter().filter(|node| node.is_alive()) {
            let Some(SimMachine::Consumer(process)) = &node.machine else { continue };
            let AnyConsumer::Plain(consumer) = &process.consumer else { continue };
            let Some((group, settled)) = consumer.membership() else { continue };
            if !settled {
                waits.push(format!("{} waits for a rebalance of group {group}", node.name));
            }
            let topics = image.topics.keys().filter(|topic| consumer.subscribes_to(topic));
            wanted.entry(group.to_owned()).or_default().extend(topics.cloned());
            let reads = consumer.positions().map(|(partition, _)| partition.clone());
            owned.entry(group.to_owned()).or_default().extend(reads);
        }
        for (group, topics) in wanted {
            for (partition, _) in topics.iter().flat_map(|topic| image.partitions_of(topic)) {
                if !owned.get(&group).is_some_and(|owned| owned.contains(partition)) {
                    waits.push(format!("{partition}: no member of group {group} reads it"));
                }
            }
        }
    }

    /// Brokers that run, and that the controller does not count on, with nothing to explain it.
    fn fenced_brokers(&self, image: &MetadataImage, waits: &mut Vec<String>) {
        for (index, node) in (0..).map(NodeIndex).zip(self.nodes()) {
            let NodeId::Broker(broker) = node.id else { continue };
            if node.process != Process::Running || image.is_active(broker) {
                continue;
            }
            let controllers = self.servers().controllers.iter().filter_map(|controller| self.find(*controller));
            if controllers.into_iter().any(|controller| self.between(index, controller).is_some()) {
                continue;
            }
            waits.push(match image.brokers.get(&broker) {
                Some(registration) if !registration.fenced => format!(
                    "{} is told to stop, and waits until every active broker knows that it leads nothing any more",
                    node.name
                ),
                Some(_) => format!("{} runs and is fenced: it waits for the controller to let it in", node.name),
                None => format!("{} runs and is not registered: it waits for the controller to let it in", node.name),
            });
        }
    }

    fn waits_of(
        &self,
        (partition, state): (&TopicPartition, &PartitionRegistration),
        image: &MetadataImage,
        moved_from: Option<&Offset>,
        waits: &mut Vec<String>,
    ) {
        let has_moved = |offset: Offset| moved_from.is_some_and(|from| offset >= *from);
        // That nobody leads is for the survey to say.
        let Some(leader) = self.running_replica(state.leader, partition) else { return };
        let Some(leading) = self.find(NodeId::Broker(state.leader)) else { return };
        if leader.high_watermark < leader.log_end && !has_moved(leader.high_watermark) {
            let (mark, end) = (leader.high_watermark, leader.log_end);
            waits.push(format!(
                "{partition}: the high watermark {mark} of broker {} waits for the ISR {:?} to reach log end offset {end}",
                state.leader, state.isr
            ));
        }
        let others = state.replicas.iter().filter(|replica| **replica != state.leader && image.is_active(**replica));
        for replica in others {
            let Some(follower) = self.running_replica(*replica, partition) else { continue };
            let Some(following) = self.find(NodeId::Broker(*replica)) else { continue };
            let why = self.between(following, leading).map(|why| format!(" ({why})")).unwrap_or_default();
            if follower.log_end != leader.log_end && !has_moved(follower.log_end) {
                waits.push(format!(
                    "{partition}: broker {replica} is at offset {} and waits for broker {} to answer its fetch: the leader is at {}{why}",
                    follower.log_end, state.leader, leader.log_end
                ));
            } else if !state.isr.contains(replica) {
                waits.push(format!(
                    "{partition}: broker {replica} has caught up at offset {} and waits for broker {} to bring it into the ISR {:?}{why}",
                    follower.log_end, state.leader, state.isr
                ));
            }
        }
        self.lagging_consumers((partition, state.leader_epoch), (leading, leader.high_watermark), waits);
    }

    fn lagging_consumers(
        &self,
        (partition, epoch): (&TopicPartition, LeaderEpoch),
        (leading, end): (NodeIndex, Offset),
        waits: &mut Vec<String>,
    ) {
        for (index, node) in (0..).map(NodeIndex).zip(self.nodes()) {
            let Some(SimMachine::Consumer(process)) = &node.machine else { continue };
            let AnyConsumer::Plain(consumer) = &process.consumer else { continue };
            for (_, position) in consumer.positions().filter(|(read, _)| *read == partition) {
                if position != end {
                    let why = self.between(index, leading).map(|why| format!(" ({why})")).unwrap_or_default();
                    // It will be told at its next fetch that the log does not reach so far.
                    let ahead = if position > end { " now" } else { "" };
                    waits.push(format!(
                        "{} is at offset {position} of {partition}, which ends at {end}{ahead}{why}",
                        node.name
                    ));
                } else if node.process == Process::Running && !consumer.has_heard_of(partition, epoch) {
                    waits.push(format!("{} has not heard of the leader of {partition} in epoch {epoch}", node.name));
                }
            }
        }
    }

    /// Why nobody leads although somebody could.
    fn why_leaderless(
        &self,
        partition: &TopicPartition,
        state: &PartitionRegistration,
        image: &MetadataImage,
    ) -> Option<String> {
        // A replica on an offline log directory is in the ISR and cannot lead.
        let candidate = state.isr.iter().find(|broker| image.may_lead(state, **broker))?;
        Some(format!(
            "{partition}: nobody leads, although broker {candidate} is in the ISR and runs: the controller has not elected it"
        ))
    }

    /// What stands between two nodes: a fault that is still in force, or a process that cannot answer.
    fn between(&self, one: NodeIndex, other: NodeIndex) -> Option<String> {
        for node in [one, other] {
            match self.node_at(node).process {
                Process::Running => {}
                Process::Paused => {
                    let by = self.in_force(|action| matches!(action, Action::Pause(_)), node);
                    return Some(format!("{} is paused{}", self.node_at(node).name, by.unwrap_or_default()));
                }
                Process::Down | Process::PowerOff => return Some(format!("{} is down", self.node_at(node).name)),
            }
        }
        let pairs = [(one, other), (other, one)];
        let cut = self.cuts().find(|(_, cut)| cut.iter().any(|pair| pairs.contains(pair)));
        if let Some((step, _)) = cut {
            return Some(format!("under an unhealed cut: {}", self.fault(step)));
        }
        let concerns = |nodes: &Option<Vec<NodeIndex>>, node| nodes.as_ref().is_none_or(|nodes| nodes.contains(&node));
        let rule = self.message_rules().find(|(_, rule)| {
            pairs.iter().any(|(from, to)| concerns(&rule.filter.from, *from) && concerns(&rule.filter.to, *to))
        });
        if let Some((step, rule)) = rule {
            let api = rule.filter.api.as_deref().unwrap_or("any");
            let does = match rule.interference {
                Interference::Delay(_) => "delays",
                Interference::Hold => "holds",
                Interference::Drop => "drops",
                Interference::Reset => "resets connections of",
                Interference::Duplicate(_) => "repeats",
                Interference::Corrupt(_) => "corrupts",
                Interference::ReuseBuffer => "keeps the buffers of",
            };
            return Some(format!("{} {does} {api} messages", self.fault(step)));
        }
        let either =
            |is_such: fn(&Action) -> bool| [one, other].into_iter().find_map(|node| self.in_force(is_such, node));
        let disk = either(|action| matches!(action, Action::Disk(..))).map(|by| format!("a disk is not well{by}"));
        let lag = || either(|action| matches!(action, Action::MetadataLag(..)));
        disk.or_else(|| lag().map(|by| format!("a broker hears of the cluster late{by}")))
    }

    /// The step in force that did such a thing to a node.
    fn in_force(&self, is_such: impl Fn(&Action) -> bool, node: NodeIndex) -> Option<String> {
        let steps = self.faults().steps().iter().enumerate();
        let mut found = steps.filter(|(number, step)| {
            is_such(&step.action)
                && self.faults().state(*number) == StepState::InForce
                && self.targets_of(*number).contains(&node)
        });
        found.next().map(|(number, _)| format!(" by {}, which is not healed", self.fault(number)))
    }

    fn fault(&self, step: usize) -> String {
        format!("fault {} ({})", step + 1, self.faults().steps()[step].name)
    }

    /// Messages that wait behind a cut, or are held.
    fn waiting_messages(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (from, to, name, since) in self.queued_messages() {
            // What is under way to or from a dead process is nobody's any more.
            if ![from, to].into_iter().all(|node| self.node_at(node).is_alive()) {
                continue;
            }
            let Some(why) = self.between(from, to) else { continue };
            let line = format!(
                "{name} from {} to {} has waited since {since}: {why}",
                self.node_at(from).name,
                self.node_at(to).name
            );
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }
}

//! A cluster as its facts tell it: what the controller has decided, what each replica holds and believes.
//!
//! Every invariant looks at this view and at the one thing that has just changed in it. The view is fed by facts alone and
//! knows no machine, so a trace of a real cluster will do. What no fact has told is unknown: a replica counts only once
//! something was heard of it.

use std::collections::{BTreeMap, BTreeSet};

use ackproof_core::fact::{Event, Fact, Role};
use ackproof_core::types::{NodeId, TopicPartition};

use super::replica_log::{Batch, Commit, Committed, ReplicaLog, commit};

/// What the controller says of a partition.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    /// The leader, or -1.
    pub(super) leader: i32,
    /// The leader epoch, or -1 before the first leader.
    pub(super) leader_epoch: i32,
    /// The partition epoch, or -1.
    pub(super) partition_epoch: i32,
    /// The ISR.
    pub(super) isr: Vec<i32>,
    /// The eligible leader replicas (KIP-966).
    pub(super) elr: Vec<i32>,
    /// Who is remembered where ISR and ELR are empty (KIP-966).
    pub(super) last_known_elr: Vec<i32>,
    /// Whether a leader that was not in the ISR was ever elected.
    pub(super) unclean: bool,
}

/// A replica that leads, or believes so.
#[derive(Clone, Debug)]
pub(super) struct Leadership {
    /// In which epoch.
    pub(super) epoch: i32,
    /// Where the epoch begins in its log.
    pub(super) epoch_start: i64,
    /// The ISR that it knows to be decided.
    pub(super) isr: Vec<i32>,
    /// The ISR that it has asked for, until it knows the answer.
    pub(super) proposed: Option<Vec<i32>>,
    /// The partition epoch of the ISR that it knows; -1 before it has heard of one in this epoch.
    pub(super) partition_epoch: i32,
    /// Whether it has dropped a proposal because the metadata log told it once more of the ISR that it knew: nobody had
    /// answered the proposal yet. The request stays under way, and no other is attempted, until the partition epoch moves.
    /// So it is if the process before it in this epoch had asked, and ended.
    pub(super) forgot: bool,
}

impl Leadership {
    /// Whether it counts this replica as in sync, decided or proposed.
    pub(super) fn counts(&self, broker: i32) -> bool {
        self.isr.contains(&broker) || self.proposed.as_ref().is_some_and(|isr| isr.contains(&broker))
    }
}

/// One replica.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplicaView {
    /// Its log.
    pub(super) log: ReplicaLog,
    /// Its high watermark, as far as this life of the process has told.
    pub(super) high_watermark: i64,
    /// Its leadership, if it believes to lead.
    pub(super) leads: Option<Leadership>,
    /// The last leader epoch that it took over.
    pub(super) epoch: i32,
    /// The leader epoch in which its process has ended with a proposal under way. The controller takes it for one of the broker until the
    /// next process is registered.
    left_behind: Option<i32>,
}

/// One partition.
#[derive(Clone, Debug)]
pub(super) struct PartitionView {
    /// Its name.
    pub(super) name: TopicPartition,
    /// What the controller says.
    pub(super) decided: Decided,
    /// What was committed.
    pub(super) committed: Committed,
    /// The replicas of which something was heard.
    pub(super) replicas: BTreeMap<i32, ReplicaView>,
    /// Brokers that held a replica and hold none any more: what befell them may live on in those that copied from them.
    pub(super) former: BTreeSet<i32>,
    /// The offset after the furthest record that a consumer has read.
    pub(super) consumed: i64,
    /// Who led in which epoch.
    pub(super) leaders: BTreeMap<i32, i32>,
    /// A batch that was committed and then overruled.
    pub(super) overruled: Option<Batch>,
    /// Whether a leader that had dropped a proposal went on to commit: it may not have waited for whom the controller let in.
    pub(super) committed_after_drop: bool,
    /// Whether a leader that had lost its end with its power led on in the epoch in which it had written that.
    pub(super) led_on_after_loss: bool,
    /// Brokers for whose place in the ISR the leader has asked, and whose processes have been replaced since.
    replaced: BTreeSet<i32>,
    /// Those of them that got it, and have not been seen with what was committed.
    pub(super) replaced_in_isr: BTreeSet<i32>,
}

impl PartitionView {
    fn new(name: TopicPartition) -> Self {
        Self {
            name,
            decided: Decided {
                leader: -1,
                leader_epoch: -1,
                partition_epoch: -1,
                isr: Vec::new(),
                elr: Vec::new(),
                last_known_elr: Vec::new(),
                unclean: false,
            },
            committed: Committed::default(),
            replicas: BTreeMap::new(),
            former: BTreeSet::new(),
            consumed: 0,
            leaders: BTreeMap::new(),
            overruled: None,
            committed_after_drop: false,
            led_on_after_loss: false,
            replaced: BTreeSet::new(),
            replaced_in_isr: BTreeSet::new(),
        }
    }

    /// The replica on a broker, if anything was heard of it.
    pub(super) fn replica(&self, broker: i32) -> Option<&ReplicaView> {
        self.replicas.get(&broker)
    }

    /// Whether a broker holds a replica, or ever did.
    pub(super) fn is_or_was_on(&self, broker: i32) -> bool {
        self.replicas.contains_key(&broker) || self.former.contains(&broker)
    }

    /// The leader knows its ISR again. If everybody in it has what was committed, a dropped proposal has done no harm.
    fn caught_up(&mut self) {
        let committed = self.committed.high_watermark;
        let has_it = |member: &i32| self.replica(*member).is_some_and(|replica| replica.log.end >= committed);
        self.committed_after_drop &= !self.decided.isr.iter().all(has_it);
    }

    /// A new process of a broker is registered. Whoever has asked for the place of the one before does not know.
    fn registered(&mut self, broker: i32) {
        let asked = |leads: &Leadership| leads.proposed.as_ref().is_some_and(|isr| isr.contains(&broker));
        if !self.decided.isr.contains(&broker) && self.presumed_leaders().any(|(.., leads)| asked(leads)) {
            self.replaced.insert(broker);
        }
        // What the one before has sent is refused from now on.
        if let Some(replica) = self.replicas.get_mut(&broker) {
            replica.left_behind = None;
            replica.leads.iter_mut().for_each(|leads| leads.forgot = false);
        }
    }

    /// The controller has decided on an ISR.
    fn decided_on(&mut self, isr: &[i32]) {
        self.replaced_in_isr.extend(self.replaced.iter().filter(|broker| isr.contains(broker)));
        self.replaced.retain(|broker| !isr.contains(broker));
        self.decided.isr.clear();
        self.decided.isr.extend_from_slice(isr);
    }

    /// The leader has deleted by its rules: nothing is promised below this offset any more.
    fn deleted_below(&mut self, start: i64) {
        self.committed.delete_below(start);
        self.replicas.values_mut().for_each(|replica| replica.log.absorb(&self.committed));
    }

    /// A follower that has everything by now does no harm any more.
    fn has_up_to(&mut self, broker: i32, end: i64) {
        if end >= self.committed.high_watermark {
            self.replaced_in_isr.remove(&broker);
        }
    }

    fn replica_mut(&mut self, broker: i32) -> &mut ReplicaView {
        self.replicas.entry(broker).or_default()
    }

    /// Replicas that believe to lead.
    pub(super) fn presumed_leaders(&self) -> impl Iterator<Item = (i32, &ReplicaView, &Leadership)> {
        self.replicas.iter().filter_map(|(broker, replica)| Some((*broker, replica, replica.leads.as_ref()?)))
    }

    /// The replica that leads by the controller's word and knows it.
    pub(super) fn current_leader(&self) -> Option<(i32, &ReplicaView)> {
        let replica = self.replica(self.decided.leader)?;
        let leads = replica.leads.as_ref().is_some_and(|leads| leads.epoch == self.decided.leader_epoch);
        leads.then_some((self.decided.leader, replica))
    }
}

/// What has just changed, at which broker where it is about one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A replica has appended a batch after one of the epoch `before`.
    Appended { broker: i32, batch: Batch, before: i32 },
    /// A leader's high watermark has moved.
    Committed { broker: i32, from: i64, commit: Commit },
    /// A follower's high watermark has moved.
    Followed(i32),
    /// A replica has lost records: cut, or not found again.
    Lost(i32),
    /// A replica's log begins elsewhere: the offset before.
    LogStart(i32, i64),
    /// A replica believes to lead now; the epoch that it knew before.
    BecameLeader(i32, i32),
    /// A replica follows now; the epoch that it knew before.
    BecameFollower(i32, i32),
    /// A leader has asked for another ISR, or knows another one to be decided.
    LeaderIsr(i32),
    /// The controller has elected a leader; the epochs before.
    Elected { leader_epoch: i32, partition_epoch: i32 },
    /// The controller has changed the ISR, together with a leader or not; the partition epoch before.
    Isr { partition_epoch: i32, with_leader: bool },
    /// The controller has changed who may lead outside of the ISR, or who is remembered.
    Eligible,
    /// A decision of the controller that left nobody in the ISR is told to its end.
    Decided,
    /// A consumer has read a record.
    Consumed(i64),
}

/// What the disks and elections of a run have been through: under some of it, no protocol promises anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Ordeal {
    /// Brokers whose machines lost power together with unsynced bytes.
    pub(super) lossy: BTreeSet<i32>,
    /// Brokers whose machines lost power, whatever that took from them.
    pub(super) dark: BTreeSet<i32>,
    /// Nodes whose disks have lost or changed what was synced.
    pub(super) harmed: BTreeSet<NodeId>,
    /// Brokers at which an append had failed, perhaps after a part of it.
    pub(super) failed_appends: BTreeSet<i32>,
}

/// The cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct ClusterView {
    index: BTreeMap<TopicPartition, usize>,
    last: usize,
    /// The partitions, in the order in which they were first heard of.
    pub(super) partitions: Vec<PartitionView>,
    /// The brokers whose processes have ended and have not registered again.
    pub(super) down: BTreeSet<i32>,
    /// What befell disks.
    pub(super) ordeal: Ordeal,
    changed_with: Option<(usize, u64)>,
    loss: Option<i32>,
}

impl ClusterView {
    fn partition(&mut self, name: &TopicPartition) -> usize {
        if self.partitions.get(self.last).is_some_and(|partition| partition.name == *name) {
            return self.last;
        }
        self.last = match self.index.get(name) {
            Some(index) => *index,
            None => {
                self.partitions.push(PartitionView::new(name.clone()));
                self.index.insert(name.clone(), self.partitions.len() - 1);
                self.partitions.len() - 1
            }
        };
        self.last
    }

    /// Whether a member of the ISR other than the leader has everything committed, no disk has failed it, and epochs show that
    /// the leader has not.
    pub(super) fn has_intact_follower(&self, partition: &PartitionView) -> bool {
        let (decided, committed) = (&partition.decided, &partition.committed);
        let spared =
            |member: &i32| !self.ordeal.dark.contains(member) && !self.ordeal.harmed.contains(&NodeId::Broker(*member));
        let complete = |member: i32| {
            partition.replica(member).is_some_and(|replica| {
                replica.log.end >= committed.high_watermark && replica.log.holds(committed.end(), committed)
            })
        };
        // Of two records with one epoch nobody can tell which was first.
        let leader = partition.replica(decided.leader);
        let has_twin = leader.is_some_and(|leader| leader.log.contradicts_in_its_epoch(committed));
        let mut followers = decided.isr.iter().filter(|member| **member != decided.leader);
        !has_twin && followers.any(|member| spared(member) && complete(*member))
    }

    /// The broker whose log was found to be shorter than it was, by the fact that was taken last; it has also changed
    /// something else.
    pub(super) fn take_loss(&mut self) -> Option<i32> {
        self.loss.take()
    }

    /// Takes a fact. Says in which partition it has changed what.
    pub(super) fn take(&mut self, event: &Event) -> Option<(usize, Change)> {
        match event.node {
            NodeId::Broker(broker) => self.take_from_broker(broker, event),
            NodeId::Controller(_) => self.take_from_controller(event),
            NodeId::Client(_) => self.take_from_client(&event.fact),
        }
    }

    fn take_from_client(&mut self, fact: &Fact) -> Option<(usize, Change)> {
        let (Fact::Polled { partition, offset, .. } | Fact::SharePolled { partition, offset, .. }) = fact else {
            return None;
        };
        let index = self.partition(partition);
        let partition = &mut self.partitions[index];
        partition.consumed = partition.consumed.max(offset.0.saturating_add(1));
        Some((index, Change::Consumed(offset.0)))
    }

    fn take_from_controller(&mut self, event: &Event) -> Option<(usize, Change)> {
        match &event.fact {
            Fact::LeaderElected { partition, leader, leader_epoch, partition_epoch, isr, clean } => {
                let index = self.partition(partition);
                let decided = &mut self.partitions[index].decided;
                let change =
                    Change::Elected { leader_epoch: decided.leader_epoch, partition_epoch: decided.partition_epoch };
                (decided.leader, decided.leader_epoch) = (*leader, leader_epoch.0);
                decided.partition_epoch = partition_epoch.0;
                decided.isr.clone_from(isr);
                decided.unclean |= !clean;
                self.changed_with = Some((index, event.sequence));
                self.partitions[index].leaders.entry(leader_epoch.0).or_insert(*leader);
                Some((index, change))
            }
            Fact::PartitionOffline { partition, isr, leader_epoch, partition_epoch } => {
                let index = self.partition(partition);
                let decided = &mut self.partitions[index].decided;
                let change =
                    Change::Elected { leader_epoch: decided.leader_epoch, partition_epoch: decided.partition_epoch };
                (decided.leader, decided.leader_epoch) = (-1, leader_epoch.0);
                decided.partition_epoch = partition_epoch.0;
                decided.isr.clone_from(isr);
                self.changed_with = Some((index, event.sequence));
                Some((index, change))
            }
            Fact::IsrChanged { partition, to, partition_epoch, .. } => {
                let index = self.partition(partition);
                // One decision may elect a leader and change the ISR: then both facts stand side by side.
                let with_leader = self.changed_with == Some((index, event.sequence.saturating_sub(1)));
                let before = self.partitions[index].decided.partition_epoch;
                self.partitions[index].decided_on(to);
                self.partitions[index].decided.partition_epoch = partition_epoch.0;
                Some((index, Change::Isr { partition_epoch: before, with_leader }))
            }
            Fact::EligibleLeadersChanged { partition, elr, last_known_elr } => {
                let index = self.partition(partition);
                let decided = &mut self.partitions[index].decided;
                decided.elr.clone_from(elr);
                decided.last_known_elr.clone_from(last_known_elr);
                Some((index, Change::Eligible))
            }
            // A topic of this name that was there before is another one.
            Fact::TopicCreated { topic, .. } | Fact::TopicDeleted { topic } => {
                for partition in self.partitions.iter_mut().filter(|partition| partition.name.topic.as_str() == topic) {
                    *partition = PartitionView::new(partition.name.clone());
                }
                None
            }
            // Before, it may run and find out what its disk has lost; nobody counts on it yet.
            Fact::BrokerRegistered { broker, .. } => {
                self.down.remove(broker);
                self.partitions.iter_mut().for_each(|partition| partition.registered(*broker));
                None
            }
            Fact::DiskHarmed { .. } => {
                self.ordeal.harmed.insert(event.node);
                None
            }
            _ => None,
        }
    }

    fn take_from_broker(&mut self, broker: i32, event: &Event) -> Option<(usize, Change)> {
        match &event.fact {
            Fact::Appended { partition, role: _, base_offset, last_offset, leader_epoch, crc, .. } => {
                let batch = Batch { base: base_offset.0, last: last_offset.0, epoch: leader_epoch.0, crc: Some(*crc) };
                let index = self.partition(partition);
                let partition = &mut self.partitions[index];
                let replica = partition.replicas.entry(broker).or_default();
                let before = replica.log.last_epoch(&partition.committed);
                replica.log.append(batch, &partition.committed);
                let end = replica.log.end;
                partition.has_up_to(broker, end);
                Some((index, Change::Appended { broker, batch, before }))
            }
            Fact::HighWatermarkAdvanced { partition, role, to, .. } => {
                let index = self.partition(partition);
                Some((index, self.high_watermark(index, broker, *role, to.0)))
            }
            Fact::Truncated { partition, from, to, .. } => {
                let index = self.partition(partition);
                if to > from {
                    // It was given up whole, and begins anew where the leader's log does.
                    self.end_at(index, broker, 0);
                    let partition = &mut self.partitions[index];
                    partition.replicas.entry(broker).or_default().log.begin_at(to.0, &partition.committed);
                } else {
                    self.end_at(index, broker, to.0);
                }
                self.loss = None;
                Some((index, Change::Lost(broker)))
            }
            Fact::LogLoaded { partition, log_start, log_end, .. } => {
                let index = self.partition(partition);
                let partition = &mut self.partitions[index];
                let replica = partition.replicas.entry(broker).or_default();
                replica.log.found(log_start.0, log_end.0, &partition.committed);
                Some((index, Change::Lost(broker)))
            }
            _ => self.take_removal(broker, event).or_else(|| self.take_role(broker, event)),
        }
    }

    /// What was removed by the rules, or by an operator, is not lost.
    fn take_removal(&mut self, broker: i32, event: &Event) -> Option<(usize, Change)> {
        match &event.fact {
            Fact::LogStartOffsetAdvanced { partition, from, to, .. } => {
                let index = self.partition(partition);
                let partition = &mut self.partitions[index];
                let replica = partition.replicas.entry(broker).or_default();
                replica.log.begin_at(to.0, &partition.committed);
                let epoch = replica.leads.as_ref().map(|leads| leads.epoch);
                if partition.decided.leader == broker && epoch == Some(partition.decided.leader_epoch) {
                    partition.deleted_below(to.0);
                }
                return Some((index, Change::LogStart(broker, from.0)));
            }
            Fact::Cleaned { partition, to, .. } => {
                let index = self.partition(partition);
                self.partitions[index].committed.clean_below(to.0);
            }
            Fact::LogDeleted { partition, .. } => {
                let index = self.partition(partition);
                let partition = &mut self.partitions[index];
                partition.replicas.remove(&broker);
                partition.former.insert(broker);
                // What may come back there is another replica to a leader that has not heard that this one left the ISR.
                if !partition.decided.isr.contains(&broker) {
                    let leaders = partition.replicas.values_mut().filter_map(|replica| replica.leads.as_mut());
                    leaders.for_each(|leads| leads.isr.retain(|member| *member != broker));
                }
            }
            _ => {}
        }
        None
    }

    fn take_role(&mut self, broker: i32, event: &Event) -> Option<(usize, Change)> {
        match &event.fact {
            Fact::BecameLeader { partition, leader_epoch, isr, log_end } => {
                let index = self.partition(partition);
                self.end_at(index, broker, log_end.0);
                let is_lossy = self.ordeal.lossy.contains(&broker);
                let partition = &mut self.partitions[index];
                partition.leaders.entry(leader_epoch.0).or_insert(broker);
                let replica = partition.replica_mut(broker);
                let before = std::mem::replace(&mut replica.epoch, leader_epoch.0);
                partition.led_on_after_loss |= before == leader_epoch.0 && is_lossy;
                let replica = partition.replica_mut(broker);
                let (epoch, epoch_start) = (leader_epoch.0, log_end.0);
                let forgot = replica.left_behind.take() == Some(epoch);
                replica.leads = Some(Leadership {
                    epoch,
                    epoch_start,
                    isr: isr.clone(),
                    proposed: None,
                    partition_epoch: -1,
                    forgot,
                });
                // What it has deleted as a follower, each by itself, it tells the others as their leader.
                let start = replica.log.start;
                if start > 0 && partition.decided.leader == broker {
                    partition.deleted_below(start);
                }
                Some((index, Change::BecameLeader(broker, before)))
            }
            Fact::BecameFollower { partition, leader_epoch, log_end, .. } => {
                let index = self.partition(partition);
                self.end_at(index, broker, log_end.0);
                let replica = self.partitions[index].replica_mut(broker);
                let before = std::mem::replace(&mut replica.epoch, leader_epoch.0);
                replica.leads = None;
                Some((index, Change::BecameFollower(broker, before)))
            }
            Fact::IsrProposed { partition, to, .. } => {
                let index = self.partition(partition);
                let leads = self.partitions[index].replica_mut(broker).leads.as_mut()?;
                leads.proposed = Some(to.clone());
                self.partitions[index].replaced.clear();
                Some((index, Change::LeaderIsr(broker)))
            }
            Fact::IsrAdopted { partition, isr, partition_epoch } => {
                let index = self.partition(partition);
                let leads = self.partitions[index].replica_mut(broker).leads.as_mut()?;
                leads.isr.clone_from(isr);
                let had_asked = leads.proposed.take().is_some();
                let forgets = (had_asked || leads.forgot) && leads.partition_epoch == partition_epoch.0;
                let knows_again = std::mem::replace(&mut leads.forgot, forgets) && !forgets;
                leads.partition_epoch = partition_epoch.0;
                if knows_again {
                    self.partitions[index].caught_up();
                }
                Some((index, Change::LeaderIsr(broker)))
            }
            _ => {
                self.take_process(broker, event);
                // A broker of a ZooKeeper cluster may be its controller.
                self.take_from_controller(event)
            }
        }
    }

    fn take_process(&mut self, broker: i32, event: &Event) {
        match &event.fact {
            Fact::NodeKilled | Fact::NodeStopped => self.went_down(broker),
            Fact::StorageFailed { what } if what.starts_with("appending to ") => {
                self.ordeal.failed_appends.insert(broker);
            }
            Fact::PowerLost { lost_bytes, .. } => {
                self.ordeal.dark.insert(broker);
                if *lost_bytes > 0 {
                    self.ordeal.lossy.insert(broker);
                }
                self.went_down(broker);
            }
            _ => {}
        }
    }

    /// A dead process leads nothing and has no high watermark; its log stays.
    fn went_down(&mut self, broker: i32) {
        self.down.insert(broker);
        for replica in self.partitions.iter_mut().filter_map(|partition| partition.replicas.get_mut(&broker)) {
            let under_way = replica.leads.take().filter(|leads| leads.proposed.is_some() || leads.forgot);
            replica.left_behind = under_way.map(|leads| leads.epoch).or(replica.left_behind);
            replica.high_watermark = 0;
        }
    }

    /// A replica's log ends at `end`, whatever it was thought to hold beyond.
    fn end_at(&mut self, index: usize, broker: i32, end: i64) {
        let partition = &mut self.partitions[index];
        let replica = partition.replicas.entry(broker).or_default();
        if replica.log.end > end {
            self.loss = Some(broker);
        }
        let start = replica.log.start.min(end);
        replica.log.found(start, end, &partition.committed);
        replica.high_watermark = replica.high_watermark.min(end);
    }

    fn high_watermark(&mut self, index: usize, broker: i32, role: Role, to: i64) -> Change {
        let partition = &mut self.partitions[index];
        let replica = partition.replicas.entry(broker).or_default();
        let from = std::mem::replace(&mut replica.high_watermark, to);
        let Some((epoch, forgot)) = replica.leads.as_ref().map(|leads| (leads.epoch, leads.forgot)) else {
            return Change::Followed(broker);
        };
        if role == Role::Follower {
            return Change::Followed(broker);
        }
        partition.committed_after_drop |= forgot && to > from;
        let mut log = std::mem::take(&mut replica.log);
        let others = partition.replicas.iter_mut().filter(|(other, _)| **other != broker);
        let mut logs = others.map(|(_, replica)| &mut replica.log);
        let commit = commit(&mut partition.committed, &mut log, &mut logs, epoch, to);
        partition.replica_mut(broker).log = log;
        if let Commit::Overruled(batch) = commit {
            partition.consumed = partition.consumed.min(batch.base);
            partition.overruled.get_or_insert(batch);
        }
        Change::Committed { broker, from, commit }
    }
}

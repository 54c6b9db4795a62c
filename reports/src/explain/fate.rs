//! What became of the copies of a record: who got it, who lost it and how, and which leader without it decided its loss.
//!
//! Every copy is followed from the append on to the end of the trace. A copy that goes with the power goes when the power
//! goes, not when the broker comes back and finds it missing.

use std::collections::BTreeMap;

use ackproof_core::fact::{Event, Fact, LogStartReason, Role, TruncationReason};
use ackproof_core::types::{LeaderEpoch, NodeId, Offset, TopicPartition};

use super::lineage::{At, Lineage};
use super::nodes::{leaves_hole_at, took_something};
use super::promise::Promise;
use super::why_lost::election;

/// How a replica lost the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// When it went.
    pub(super) gone: At,
    /// When it was seen to be gone: the same, or the first start after a loss of power; none if the broker never started again.
    pub(super) found: Option<At>,
    pub(super) truncated: Option<TruncationReason>,
    pub(super) with_power: bool,
}

/// A replica that had the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holding {
    pub(super) since: At,
    /// The last time that it was seen to have it.
    pub(super) seen: At,
    pub(super) taken: Option<Taken>,
}

/// A leader that did not have the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision {
    /// Where it said that it leads.
    pub(super) became: At,
    /// The controller's word, or else its own.
    pub(super) place: At,
    /// How it had lost the record, if it had had it.
    pub(super) taken: Option<Taken>,
    pub(super) unclean: bool,
}

/// What became of the copies.
#[derive(Debug)]
pub(super) struct Fate {
    /// Whether a recovery that found a broken batch lost the record wherever it cut the log.
    recovery_takes: bool,
    pub(super) holders: BTreeMap<i32, Holding>,
    pub(super) decision: Option<Decision>,
    /// What had been decided before somebody led once more who still had the record.
    undone: Option<Decision>,
    /// A leader without the record in an epoch that had begun before: a restart.
    again: Option<Decision>,
    newest: LeaderEpoch,
    /// Who led last.
    leader: i32,
    /// Every time that a replica lost it.
    pub(super) destructions: Vec<At>,
}

/// Follows every copy to the end of the trace.
pub(super) fn fate(lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise) -> Fate {
    let fate = follow_copies(lineage, partition, promise);
    if fate.decision.is_some() || !fate.survives() {
        return fate;
    }
    // No log was cut below it, and yet it is gone: then what a recovery read from the bytes of a torn log was not what had
    // been appended there. Another record has its offset: the one whose write broke off. Or a segment came back without it
    // while the next one was written: a log is loaded with a hole in it.
    let reread = follow(lineage, partition, promise, true);
    if reread.decision.is_some() { reread } else { fate }
}

/// The same by what the brokers say of where they cut their logs.
pub(super) fn follow_copies(lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise) -> Fate {
    follow(lineage, partition, promise, false)
}

/// With `recovery_takes`, a recovery that found a broken batch lost the record wherever it cut the log.
fn follow(lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise, recovery_takes: bool) -> Fate {
    let mut fate = Fate {
        recovery_takes,
        holders: BTreeMap::new(),
        decision: None,
        undone: None,
        again: None,
        newest: promise.epoch,
        leader: promise.leader,
        destructions: Vec::new(),
    };
    let Some(line) = lineage.partitions.get(partition) else { return fate };
    // A leader of an epoch beyond that of the append counts even if it was there first: the append was a zombie's.
    let mut walk: Vec<At> = lineage.appends(partition, promise.offset);
    walk.retain(|at| *at >= promise.append);
    walk.extend(line.structure.iter().copied().filter(|at| {
        *at > promise.append || matches!(&lineage.events[*at].fact, Fact::BecameLeader { leader_epoch, .. } if *leader_epoch > promise.epoch)
    }));
    walk.extend(line.removals.iter().copied().filter(|at| {
        *at > promise.append
            && matches!(&lineage.events[*at].fact, Fact::LogStartOffsetAdvanced { to, reason: LogStartReason::Leader, .. }
                if to.0 > promise.offset)
    }));
    walk.retain(|at| promise.until.is_none_or(|until| *at < until));
    walk.sort_unstable();
    for at in walk {
        if let NodeId::Broker(broker) = lineage.events[at].node {
            fate.take(lineage, partition, at, broker, promise);
        }
    }
    if fate.decision.is_none() && line.final_leader.is_none() && line.replicas > 0 {
        fate.lose_with_machines(lineage);
    }
    fate.decision = fate.decision.or(fate.again);
    fate.destructions.sort_unstable();
    fate
}

impl Fate {
    fn take(&mut self, lineage: &Lineage<'_>, partition: &TopicPartition, at: At, broker: i32, promise: &Promise) {
        match &lineage.events[at].fact {
            Fact::Appended { leader_epoch, role, crc, .. } => {
                // A leader that lost its log and leads on in its epoch gives the offset away in that same epoch.
                let is_same = *leader_epoch == promise.epoch
                    && (*crc == promise.crc || is_compacted_copy(lineage, partition, at, promise));
                let is_copy = is_same && (*role == Role::Follower || at == promise.append);
                if is_copy {
                    self.holders.insert(broker, Holding { since: at, seen: at, taken: None });
                }
            }
            // Nothing was in it.
            Fact::Truncated { reason: TruncationReason::InsideBatch, .. } => {}
            // A log that lies outside the leader's is given up whole, and begins anew where that does.
            Fact::Truncated { from, to, reason, .. }
                if to.0 <= promise.offset
                    || to > from
                    || (self.recovery_takes && *reason == TruncationReason::CorruptTail) =>
            {
                self.lose(lineage, at, broker, Some(*reason));
            }
            Fact::LogLoaded { log_end, .. } if log_end.0 <= promise.offset => self.lose(lineage, at, broker, None),
            loaded @ Fact::LogLoaded { .. } if leaves_hole_at(loaded, Offset(promise.offset)) => {
                self.lose(lineage, at, broker, None);
            }
            Fact::LogLoaded { clean: false, .. } if self.recovery_takes && self.lost_something(lineage, at, broker) => {
                self.lose(lineage, at, broker, None);
            }
            // What its leader has deleted goes here too, and here it was the record.
            Fact::LogStartOffsetAdvanced { .. } if self.has_it(self.leader) => {}
            // Or it is no replica any more.
            Fact::LogStartOffsetAdvanced { .. } | Fact::LogDeleted { .. } => {
                self.holders.retain(|holder, holding| *holder != broker || holding.taken.is_some())
            }
            Fact::LogLoaded { .. } => {
                if let Some(holding) = self.holders.get_mut(&broker) {
                    holding.seen = at;
                }
            }
            Fact::BecameLeader { leader_epoch, .. } => self.lead(lineage, partition, at, broker, *leader_epoch),
            _ => {}
        }
    }

    fn has_it(&self, broker: i32) -> bool {
        self.holders.get(&broker).is_some_and(|holding| holding.taken.is_none())
    }

    /// Takes a broker's word that it leads.
    fn lead(&mut self, lineage: &Lineage<'_>, partition: &TopicPartition, at: At, leader: i32, epoch: LeaderEpoch) {
        let is_new = epoch > self.newest;
        if epoch >= self.newest {
            (self.newest, self.leader) = (epoch, leader);
        }
        let holding = self.holders.get(&leader);
        if self.has_it(leader) {
            // The record is back in the partition: what had been decided was not the end of it.
            if is_new {
                self.undone = self.decision.or(self.undone);
                (self.decision, self.again) = (None, None);
            }
            return;
        }
        let taken = holding.and_then(|holding| holding.taken);
        if is_new && self.decision.is_none() && self.is_cut_to_match(taken) {
            self.decision = self.undone;
        } else if is_new && (self.decision.is_none() || self.is_reopened(lineage, partition, at)) {
            let election = election(lineage, partition, at, leader, epoch);
            let election = unclean_before(lineage, partition, election.unwrap_or(at)).or(election);
            let unclean = election.is_some_and(|election| {
                matches!(lineage.events[election].fact, Fact::LeaderElected { clean: false, .. })
            });
            self.decision = Some(Decision { became: at, place: election.unwrap_or(at), taken, unclean });
        } else if epoch == self.newest && self.again.is_none() {
            // How it was elected lies before the promise, or has been looked at.
            self.again = Some(Decision { became: at, place: at, taken, unclean: false });
        }
    }

    /// Whether a replica had cut its log to match a leader that had lost the record: what that leader decided stands again where this one leads.
    fn is_cut_to_match(&self, taken: Option<Taken>) -> bool {
        let cut = taken.filter(|taken| taken.truncated == Some(TruncationReason::Diverged));
        matches!((cut, self.undone), (Some(cut), Some(undone)) if cut.gone > undone.place)
    }

    /// Whether the decision was open again: the first election was of a broker that had not even come back, and the same broker is
    /// elected once more, after a time without a leader in which no copy went, and its log has not grown.
    fn is_reopened(&self, lineage: &Lineage<'_>, partition: &TopicPartition, at: At) -> bool {
        let (Some(decision), Some(line)) = (self.decision, lineage.partitions.get(partition)) else { return false };
        let (before, now) = (&lineage.events[decision.became], &lineage.events[at]);
        let end = |event: &Event| match event.fact {
            Fact::BecameLeader { log_end, .. } => Some(log_end),
            _ => None,
        };
        let from = line.structure.partition_point(|other| *other <= decision.place);
        let between = line.structure[from..].iter().take_while(|other| **other < at);
        let was_offline =
            between.into_iter().any(|other| matches!(lineage.events[*other].fact, Fact::PartitionOffline { .. }));
        let kept = self.destructions.iter().all(|gone| *gone < decision.became);
        let life = lineage.nodes.get(&before.node).into_iter().flatten();
        let was_away = life.copied().any(|place| {
            (decision.place..decision.became).contains(&place)
                && matches!(lineage.events[place].fact, Fact::NodeStarted | Fact::NodeResumed)
        });
        !decision.unclean && was_away && kept && was_offline && before.node == now.node && end(before) == end(now)
    }

    /// Whether a holder's machine has lost bytes since it was last seen to have the record.
    fn lost_something(&self, lineage: &Lineage<'_>, at: At, broker: i32) -> bool {
        let holding = self.holders.get(&broker);
        holding.is_some_and(|holding| lineage.lost_something(NodeId::Broker(broker), holding.seen, at))
    }

    fn lose(&mut self, lineage: &Lineage<'_>, at: At, broker: i32, truncated: Option<TruncationReason>) {
        if let Some(holding) = self.holders.get_mut(&broker).filter(|holding| holding.taken.is_none()) {
            let power = match truncated {
                None | Some(TruncationReason::CorruptTail) => {
                    lineage.last_power_loss(NodeId::Broker(broker), holding.seen, at)
                }
                // What was lost was not the record but what the log knew about itself, perhaps a life ago.
                Some(TruncationReason::EpochsUnknown) => {
                    lineage.last_power_loss(NodeId::Broker(broker), holding.since, at).map(|_| at)
                }
                Some(_) => None,
            };
            let gone = power.unwrap_or(at);
            holding.taken = Some(Taken { gone, found: Some(at), truncated, with_power: power.is_some() });
            self.destructions.push(gone);
        }
    }

    /// Without a leader the judge looked for the record on every disk: a machine that lost power with data and did not load
    /// its log again lost it then.
    fn lose_with_machines(&mut self, lineage: &Lineage<'_>) {
        for (broker, holding) in self.holders.iter_mut().filter(|(_, holding)| holding.taken.is_none()) {
            let node = NodeId::Broker(*broker);
            let took = |at: &At| took_something(&lineage.events[*at].fact);
            let power = lineage.nodes.get(&node).into_iter().flatten().rev().copied();
            if let Some(gone) = power.take_while(|at| *at > holding.seen).find(took) {
                holding.taken = Some(Taken { gone, found: None, truncated: None, with_power: true });
                self.destructions.push(gone);
            }
        }
    }

    /// Whether a replica could not sync its copy, and had told the leader of none: it would have with its next fetch.
    pub(super) fn is_unfinished(
        &self,
        lineage: &Lineage<'_>,
        partition: &TopicPartition,
        broker: i32,
        offset: i64,
    ) -> bool {
        let Some(holding) = self.holders.get(&broker) else { return false };
        let flushing = format!("flushing {partition}:");
        let mut after = lineage.events[holding.since..].iter().filter_map(|event| match &event.fact {
            Fact::FollowerFetched { partition: of, follower, log_end } => {
                (of == partition && *follower == broker && log_end.0 > offset).then_some(false)
            }
            Fact::StorageFailed { what } => {
                (event.node == NodeId::Broker(broker) && what.starts_with(&flushing)).then_some(true)
            }
            _ => None,
        });
        after.next() == Some(true)
    }

    /// Whether who decided never had the record, and no leader had said until then that it is committed. With fewer in sync than
    /// `min.insync.replicas` all of them may have it, and the high watermark stands still.
    pub(super) fn is_uncommitted(&self, lineage: &Lineage<'_>, partition: &TopicPartition, promise: &Promise) -> bool {
        let Some(Decision { became, taken: None, .. }) = self.decision else { return false };
        let said = lineage.events.iter().enumerate().filter_map(|(at, event)| match &event.fact {
            Fact::HighWatermarkAdvanced { partition: of, role: Role::Leader, to, .. } => {
                Some(of == partition && (promise.append..became).contains(&at) && to.0 > promise.offset)
            }
            _ => None,
        });
        // A trace in which nobody says anything of it tells nothing.
        said.reduce(|committed, said| committed || said) == Some(false)
    }

    /// Whether a replica still has it.
    pub(super) fn survives(&self) -> bool {
        self.holders.values().any(|holding| holding.taken.is_none())
    }

    /// The copy that went last.
    pub(super) fn last_taken(&self) -> Option<Taken> {
        self.holders.values().filter_map(|holding| holding.taken).max_by_key(|taken| taken.gone)
    }
}

/// Whether a follower copied what a cleaner has left of the batch: that keeps its offsets and its producer, and has another checksum.
fn is_compacted_copy(lineage: &Lineage<'_>, partition: &TopicPartition, at: At, promise: &Promise) -> bool {
    let place = |at: At| match &lineage.events[at].fact {
        Fact::Appended { base_offset, last_offset, .. } => Some((*base_offset, *last_offset, lineage.identity(at))),
        _ => None,
    };
    let has_been_there = |removed: &At| {
        (promise.append..at).contains(removed)
            && matches!(&lineage.events[*removed].fact, Fact::Cleaned { to, .. } if to.0 > promise.offset)
    };
    let line = lineage.partitions.get(partition);
    place(at) == place(promise.append) && line.is_some_and(|line| line.removals.iter().any(has_been_there))
}

/// The unclean election that a clean one followed before anybody had led: it had decided already who is in the ISR.
fn unclean_before(lineage: &Lineage<'_>, partition: &TopicPartition, elected: At) -> Option<At> {
    let structure = &lineage.partitions.get(partition)?.structure;
    let end = structure.partition_point(|at| *at < elected);
    let mut newest_led = LeaderEpoch::NONE;
    for at in structure[..end].iter().rev() {
        match &lineage.events[*at].fact {
            Fact::BecameLeader { leader_epoch, .. } => newest_led = newest_led.max(*leader_epoch),
            // Somebody led meanwhile, and the ISR is whom it let in.
            Fact::LeaderElected { leader_epoch, .. } if *leader_epoch <= newest_led => return None,
            Fact::LeaderElected { clean: false, .. } => return Some(*at),
            _ => {}
        }
    }
    None
}

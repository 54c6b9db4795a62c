//! One replica of a partition: leader or follower, in which epoch, and who waits for it.
//!
//! Kafka: `cluster/Partition.scala` (`makeLeader`, `makeFollower`, `submitAlterPartition`).
//!
//! ```text
//!             make_leader, epoch e          make_follower, epoch e' > e
//!  Follower ─────────────────────▶ Leader ─────────────────────────────▶ Follower
//!     ▲ │ new epoch: fetch from the new leader                              │
//!     └─┘◀──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! State of an older partition epoch than the known one is ignored; of the same epoch it is taken (the answer to the
//! leader's own proposal may have come first), and drops a proposal that is under way, as in Kafka.
//!
//! Not modelled: future replicas (moves between log directories), leader recovery state.

use std::io;

use uuid::Uuid;

use super::api::{IsrProposal, LeaderAndIsr};
use super::leader::Leader;
use super::surroundings::Surroundings;
use crate::fact::Fact;
use crate::log::UnifiedLog;
use crate::machine::Context;
use crate::metadata::{NO_LEADER, PartitionRegistration};
use crate::protocol::ErrorCode;
use crate::types::{LeaderEpoch, PartitionEpoch, TopicPartition};

/// What the replica does.
#[derive(Clone, Debug)]
pub enum ReplicaRole {
    /// It leads.
    Leader(Leader),
    /// It follows.
    Follower {
        /// Whom; none if there is no leader.
        leader: Option<i32>,
    },
}

/// What new metadata means to a follower's fetching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// Nothing.
    AsBefore,
    /// It goes on from the same leader in a new epoch, without looking whether the logs agree (before KAFKA-7164).
    InNewEpoch,
    /// It begins anew: its log is compared with the leader's.
    Anew,
}

/// A replica on this broker.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Its name.
    pub name: TopicPartition,
    /// The topic's id.
    pub topic_id: Uuid,
    /// Leader or follower.
    pub role: ReplicaRole,
    /// The leader epoch; -1 before the first state.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch.
    pub partition_epoch: PartitionEpoch,
    /// The assigned replicas.
    pub replicas: Vec<i32>,
    /// The proposal that the broker is still asking the controller about, whatever became of this replica since.
    pub outstanding: Option<u64>,
    /// Delayed produce requests that wait for this partition.
    pub waiting_produces: Vec<u64>,
    /// Delayed fetch requests that wait for this partition, each with its place in the request.
    pub waiting_fetches: Vec<(u64, usize)>,
}

impl Partition {
    /// A replica of which nothing is known yet.
    pub fn new(name: TopicPartition, topic_id: Uuid) -> Self {
        Self {
            name,
            topic_id,
            role: ReplicaRole::Follower { leader: None },
            leader_epoch: LeaderEpoch::NONE,
            partition_epoch: PartitionEpoch(-1),
            replicas: Vec::new(),
            outstanding: None,
            waiting_produces: Vec::new(),
            waiting_fetches: Vec::new(),
        }
    }

    /// The leader's state, if it leads.
    pub fn leader(&self) -> Option<&Leader> {
        match &self.role {
            ReplicaRole::Leader(leader) => Some(leader),
            ReplicaRole::Follower { .. } => None,
        }
    }

    /// The leader's state, if it leads, to change it.
    pub fn leader_mut(&mut self) -> Option<&mut Leader> {
        match &mut self.role {
            ReplicaRole::Leader(leader) => Some(leader),
            ReplicaRole::Follower { .. } => None,
        }
    }

    /// Compares the epoch in which a client or a follower believes this partition to be (KIP-320). Without the fence a
    /// follower that missed an epoch counts as one that has everything up to the offset it asks for.
    pub fn check_epoch(&self, current: Option<LeaderEpoch>, around: &Surroundings) -> Result<(), ErrorCode> {
        match current {
            _ if !around.config.toggles.fetch_epoch_fencing => Ok(()),
            Some(theirs) if theirs < self.leader_epoch => Err(ErrorCode::FENCED_LEADER_EPOCH),
            Some(theirs) if theirs > self.leader_epoch => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
            Some(_) | None => Ok(()),
        }
    }

    /// Becomes, or stays, the leader. True if the high watermark moved.
    pub fn make_leader(
        &mut self,
        state: &PartitionRegistration,
        log: &mut UnifiedLog,
        around: &Surroundings,
        ctx: &mut Context<'_>,
    ) -> io::Result<bool> {
        if state.partition_epoch < self.partition_epoch {
            return Ok(false);
        }
        let new_epoch = state.leader_epoch > self.leader_epoch;
        let (mut leader, new_leader) = match &mut self.role {
            ReplicaRole::Leader(leader) => (std::mem::take(leader), false),
            ReplicaRole::Follower { .. } => (Leader::default(), true),
        };
        leader.assign(&state.replicas, around.config.broker_id);
        let news = leader.isr.is_inflight() || leader.isr.isr() != state.isr;
        leader.commit(state.isr.clone());
        if new_epoch {
            let start = log.log_end_offset();
            // Without it a leader that writes nothing leaves no trace of its epoch, and the next one answers followers as
            // if the epoch had never been (KAFKA-7415).
            if around.config.toggles.persist_epoch_on_election {
                log.assign_epoch_start_offset(state.leader_epoch, start, ctx)?;
            }
            leader.begin_epoch(start, new_leader, ctx.wall_clock());
            ctx.fact(Fact::BecameLeader {
                partition: self.name.clone(),
                leader_epoch: state.leader_epoch,
                isr: state.isr.clone(),
                log_end: start,
            });
        } else if news {
            ctx.fact(isr_adopted(&self.name, state.partition_epoch, &state.isr));
        }
        self.adopt(state);
        // The ISR may be this broker alone.
        let moved = leader.maybe_advance_high_watermark(&self.name, log, around, ctx);
        self.role = ReplicaRole::Leader(leader);
        Ok(moved)
    }

    /// Becomes, or stays, a follower.
    pub fn make_follower(
        &mut self,
        state: &PartitionRegistration,
        log: &UnifiedLog,
        around: &Surroundings,
        ctx: &mut Context<'_>,
    ) -> Following {
        if state.partition_epoch < self.partition_epoch {
            return Following::AsBefore;
        }
        let new_epoch = state.leader_epoch > self.leader_epoch;
        let same_leader = matches!(self.role, ReplicaRole::Follower { leader: Some(leader) } if leader == state.leader);
        self.role = ReplicaRole::Follower { leader: (state.leader != NO_LEADER).then_some(state.leader) };
        self.adopt(state);
        if new_epoch {
            ctx.fact(Fact::BecameFollower {
                partition: self.name.clone(),
                leader_epoch: state.leader_epoch,
                leader: state.leader,
                log_end: log.log_end_offset(),
            });
        }
        match new_epoch {
            false => Following::AsBefore,
            true if same_leader && !around.config.toggles.truncate_on_every_epoch => Following::InNewEpoch,
            true => Following::Anew,
        }
    }

    fn adopt(&mut self, state: &PartitionRegistration) {
        self.leader_epoch = state.leader_epoch;
        self.partition_epoch = state.partition_epoch;
        self.replicas.clone_from(&state.replicas);
    }

    /// Asks for the ISR that the leader's pending state stands for. While an older proposal is still out, the new one is
    /// not even attempted, and the state falls back to the committed ISR.
    pub fn propose(&mut self, number: u64, around: &Surroundings, ctx: &mut Context<'_>) -> Option<IsrProposal> {
        let refused = self.outstanding.is_some();
        let (leader_epoch, partition_epoch) = (self.leader_epoch, self.partition_epoch);
        let leader = self.leader_mut()?;
        if refused {
            leader.isr.reset();
            self.say_isr(ctx);
            return None;
        }
        leader.pending = Some(number);
        let new_isr = leader.wanted_with_epochs(around);
        ctx.fact(Fact::IsrProposed {
            from: leader.isr.isr().to_vec(),
            to: leader.isr.wanted(),
            partition: self.name.clone(),
        });
        self.outstanding = Some(number);
        Some(IsrProposal {
            number,
            partition: self.name.clone(),
            topic_id: self.topic_id,
            leader_epoch,
            partition_epoch,
            new_isr,
        })
    }

    /// Takes the controller's answer to a proposal. True if the committed ISR is another one now.
    pub fn proposal_accepted(&mut self, number: u64, state: LeaderAndIsr, ctx: &mut Context<'_>) -> bool {
        let (leader_epoch, partition_epoch) = (self.leader_epoch, self.partition_epoch);
        let Some(leader) = self.leader_mut() else { return false };
        if leader.pending != Some(number)
            || state.leader_epoch != leader_epoch
            || state.partition_epoch < partition_epoch
        {
            return false;
        }
        leader.commit(state.isr);
        self.partition_epoch = state.partition_epoch;
        self.say_isr(ctx);
        true
    }

    /// The proposal of this number failed; true if it is to be sent again.
    pub fn proposal_failed(&mut self, number: u64, error: ErrorCode, ctx: &mut Context<'_>) -> bool {
        let Some(leader) = self.leader_mut().filter(|leader| leader.pending == Some(number)) else { return false };
        if leader.proposal_failed(error) {
            self.outstanding = Some(number);
            return true;
        }
        if !leader.isr.is_inflight() {
            self.say_isr(ctx);
        }
        false
    }

    fn say_isr(&self, ctx: &mut Context<'_>) {
        if let Some(leader) = self.leader() {
            ctx.fact(isr_adopted(&self.name, self.partition_epoch, leader.isr.isr()));
        }
    }
}

fn isr_adopted(partition: &TopicPartition, partition_epoch: PartitionEpoch, isr: &[i32]) -> Fact {
    Fact::IsrAdopted { partition: partition.clone(), isr: isr.to_vec(), partition_epoch }
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;

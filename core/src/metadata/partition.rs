//! The state of one partition at the controller.
//!
//! Kafka: `PartitionRegistration`, `LeaderRecoveryState`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::records::{PartitionChangeRecord, PartitionRecord};
use crate::types::{LeaderEpoch, PartitionEpoch};

/// The leader of a partition that has none.
pub const NO_LEADER: i32 = -1;

/// Whether a leader that was elected uncleanly has recovered (KIP-704).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i8)]
pub enum LeaderRecoveryState {
    /// It was elected from the ISR, or has recovered.
    #[default]
    Recovered = 0,
    /// It was elected from outside the ISR; until it reports its recovery the ISR cannot grow.
    Recovering = 1,
}

impl LeaderRecoveryState {
    /// The state of that number.
    pub fn from_number(number: i8) -> Option<Self> {
        match number {
            0 => Some(Self::Recovered),
            1 => Some(Self::Recovering),
            _ => None,
        }
    }

    /// Its number.
    pub fn number(self) -> i8 {
        self as i8
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRegistration {
    /// The replicas, preferred leader first.
    pub replicas: Vec<i32>,
    /// The log directory of each replica, nil where it is not known (KIP-858); empty where no directory is told.
    pub directories: Vec<Uuid>,
    /// The in-sync replicas, in the order in which they were given. Never empty while there is no ELR.
    pub isr: Vec<i32>,
    /// Replicas on their way out (KIP-455).
    pub removing_replicas: Vec<i32>,
    /// Replicas on their way in (KIP-455).
    pub adding_replicas: Vec<i32>,
    /// The leader, or [`NO_LEADER`].
    pub leader: i32,
    /// Grows with every election.
    pub leader_epoch: LeaderEpoch,
    /// Grows with every change.
    pub partition_epoch: PartitionEpoch,
    /// Whether the leader was elected uncleanly and has not recovered.
    pub leader_recovery_state: LeaderRecoveryState,
    /// Replicas outside the ISR that have everything committed (KIP-966).
    pub elr: Vec<i32>,
    /// The last leader before ISR and ELR became empty (KIP-966).
    pub last_known_elr: Vec<i32>,
}

impl PartitionRegistration {
    /// A new partition.
    pub fn new(record: &PartitionRecord) -> Self {
        Self {
            replicas: record.replicas.clone(),
            directories: record.directories.clone(),
            isr: record.isr.clone(),
            removing_replicas: record.removing_replicas.clone(),
            adding_replicas: record.adding_replicas.clone(),
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            leader_recovery_state: record.leader_recovery_state,
            elr: record.eligible_leader_replicas.clone(),
            last_known_elr: record.last_known_elr.clone(),
        }
    }

    /// This partition after a change.
    pub fn apply(&mut self, change: &PartitionChangeRecord) {
        let set = |field: &mut Vec<i32>, value: &Option<Vec<i32>>| {
            if let Some(value) = value {
                field.clone_from(value);
            }
        };
        set(&mut self.replicas, &change.replicas);
        set(&mut self.isr, &change.isr);
        set(&mut self.removing_replicas, &change.removing_replicas);
        set(&mut self.adding_replicas, &change.adding_replicas);
        set(&mut self.elr, &change.eligible_leader_replicas);
        set(&mut self.last_known_elr, &change.last_known_elr);
        if let Some(directories) = &change.directories {
            self.directories.clone_from(directories);
        }
        if let Some(leader) = change.leader {
            self.leader = leader;
            self.leader_epoch = LeaderEpoch(self.leader_epoch.0.saturating_add(1));
        }
        if let Some(state) = change.leader_recovery_state {
            self.leader_recovery_state = state;
        }
        self.partition_epoch = PartitionEpoch(self.partition_epoch.0.saturating_add(1));
    }

    /// The log directory of a broker's replica, if it is known.
    pub fn directory_of(&self, broker: i32) -> Option<Uuid> {
        let place = self.replicas.iter().position(|replica| *replica == broker)?;
        self.directories.get(place).copied().filter(|id| !id.is_nil())
    }

    /// The log directories with another one for a broker's replica.
    pub fn directories_with(&self, broker: i32, directory: Uuid) -> Vec<Uuid> {
        let of = |replica: &i32| {
            if *replica == broker { directory } else { self.directory_of(*replica).unwrap_or_default() }
        };
        self.replicas.iter().map(of).collect()
    }

    /// Whether there is a leader.
    pub fn has_leader(&self) -> bool {
        self.leader != NO_LEADER
    }

    /// The replica that should lead while it can.
    pub fn preferred_replica(&self) -> i32 {
        self.replicas.first().copied().unwrap_or(NO_LEADER)
    }

    /// Whether the preferred replica leads.
    pub fn has_preferred_leader(&self) -> bool {
        self.leader == self.preferred_replica()
    }
}

//! All share-partitions whose partition of `__share_group_state` one broker leads.
//!
//! Kafka: `ShareCoordinatorService`, `ShareCoordinatorShard`. Driven by the broker as the group coordinator is: what is to be written is
//! taken with [`ShareCoordinator::take_writes`], [`ShareCoordinator::written`] says what became of it, answers are taken with
//! [`ShareCoordinator::take_answers`].
//!
//! Invariants: a write is answered when it is replicated. What is read is what was written, never what was only decided. Who leads a partition
//! in a former epoch writes nothing once somebody has read or written in a later one: a read in a new epoch is written too, so that the
//! next coordinator knows it (KAFKA-17796, 4.0).
//!
//! Not modelled: InitializeShareGroupState and DeleteShareGroupState (4.1: state epochs begin with the group; here they are all 0),
//! that old records of the topic are deleted, `share.coordinator.append.linger.ms`, `share.coordinator.threads`.

use std::collections::{BTreeMap, VecDeque};

use super::records::{StateKey, StateRecord};
use super::state::{KeptState, combine};
use crate::coordinator::group::partition_for;
use crate::protocol::ErrorCode;
use crate::share::StateBatch;
use crate::types::{LeaderEpoch, Offset};

/// What the leader of a partition wants to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateUpdate {
    /// Of which life of the group it speaks.
    pub state_epoch: i32,
    /// In which it leads.
    pub leader_epoch: LeaderEpoch,
    /// All before are done with; -1 if that has not changed.
    pub start_offset: Offset,
    /// Records behind, ascending.
    pub batches: Vec<StateBatch>,
}

/// Something that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWritten {
    /// Its number.
    pub number: u64,
    /// Where.
    pub partition: i32,
    /// What.
    pub record: StateRecord,
}

/// A partition of the topic that this broker leads.
#[derive(Clone, Debug)]
enum Shard {
    /// Its log is being read.
    Loading(LeaderEpoch),
    Active(LeaderEpoch, BTreeMap<StateKey, Kept>),
}

/// One share-partition.
#[derive(Clone, Debug, Default)]
struct Kept {
    written: Option<KeptState>,
    /// What is being written, by the number of the write: the state once it is.
    decided: VecDeque<(u64, StateRecord, KeptState)>,
    /// The highest epoch in which somebody has read or written.
    leader_epoch: Option<LeaderEpoch>,
}

/// What a request gets: who reads, what is written of a share-partition, if anything is.
pub type Answer = Result<Option<KeptState>, ErrorCode>;

/// Whose answer a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Reader,
    Writer,
}

impl Kept {
    fn latest(&self) -> Option<&KeptState> {
        self.decided.back().map(|(_, _, state)| state).or(self.written.as_ref())
    }
}

/// The coordinator.
#[derive(Clone, Debug)]
pub struct ShareCoordinator {
    partitions: i32,
    updates_per_snapshot: u32,
    shards: BTreeMap<i32, Shard>,
    writes: Vec<StateWritten>,
    answers: Vec<(u64, Answer)>,
    under_way: BTreeMap<u64, (u64, For, i32, StateKey)>,
    next_write: u64,
}

impl ShareCoordinator {
    /// A coordinator of no partition yet.
    pub fn new(partitions: i32, updates_per_snapshot: u32) -> Self {
        Self {
            partitions,
            updates_per_snapshot,
            shards: BTreeMap::new(),
            writes: Vec::new(),
            answers: Vec::new(),
            under_way: BTreeMap::new(),
            next_write: 1,
        }
    }

    /// The topic has this many partitions.
    pub fn set_partitions(&mut self, partitions: i32) {
        self.partitions = partitions;
    }

    /// What is to be written.
    pub fn take_writes(&mut self) -> Vec<StateWritten> {
        std::mem::take(&mut self.writes)
    }

    /// What was read, which updates are written, or why not.
    pub fn take_answers(&mut self) -> Vec<(u64, Answer)> {
        std::mem::take(&mut self.answers)
    }

    /// The broker leads a partition now; its log is to be read. False if that epoch is known already.
    pub fn elected(&mut self, partition: i32, epoch: LeaderEpoch) -> bool {
        match self.shards.get_mut(&partition) {
            Some(Shard::Loading(known) | Shard::Active(known, _)) if *known >= epoch => false,
            // It led before and went on leading.
            Some(Shard::Active(known, _)) => {
                *known = epoch;
                false
            }
            Some(Shard::Loading(_)) | None => {
                self.shards.insert(partition, Shard::Loading(epoch));
                true
            }
        }
    }

    /// What the log of a partition says, oldest first.
    pub fn loaded(&mut self, partition: i32, records: impl IntoIterator<Item = StateRecord>) {
        let Some(Shard::Loading(epoch)) = self.shards.get(&partition) else { return };
        let epoch = *epoch;
        let mut all: BTreeMap<StateKey, Kept> = BTreeMap::new();
        for record in records {
            let kept = all.entry(record.key.clone()).or_default();
            let state = KeptState::replay(kept.written.take(), &record);
            kept.leader_epoch = kept.leader_epoch.max(Some(state.leader_epoch));
            kept.written = Some(state);
        }
        self.shards.insert(partition, Shard::Active(epoch, all));
    }

    /// The broker does not lead a partition any more. Who waits for a write hears what became of it.
    pub fn resigned(&mut self, partition: i32) {
        self.shards.remove(&partition);
    }

    /// The same of all of them.
    pub fn resigned_from_all(&mut self) {
        self.shards.clear();
    }

    fn shard(&mut self, key: &StateKey) -> Result<&mut BTreeMap<StateKey, Kept>, ErrorCode> {
        let partition = partition_for(&key.coordinator_key(), self.partitions);
        match self.shards.get_mut(&partition) {
            None => Err(ErrorCode::NOT_COORDINATOR),
            Some(Shard::Loading(_)) => Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
            Some(Shard::Active(_, all)) => Ok(all),
        }
    }

    /// What is written of a share-partition, asked by who leads it in this epoch. It is answered under `token`: at once if the epoch is known,
    /// else when it is written; an error is the answer at once.
    pub fn read(&mut self, token: u64, key: &StateKey, leader_epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        let kept = self.shard(key)?.entry(key.clone()).or_default();
        kept.check(leader_epoch)?;
        if kept.leader_epoch == Some(leader_epoch) && kept.decided.is_empty() {
            let written = kept.written.clone();
            self.answers.push((token, Ok(written)));
            return Ok(());
        }
        // What was decided before is written before. (Kafka waits for it without a record where the epoch is known.)
        let state_epoch = kept.latest().map_or(0, |state| state.state_epoch);
        let start_offset = kept.latest().map_or(Offset(-1), |state| state.start_offset);
        let update = StateUpdate { state_epoch, leader_epoch, start_offset, batches: Vec::new() };
        self.decide((token, For::Reader), key, update)
    }

    /// Something has changed. It is answered under `token` when it is written; an error is the answer at once.
    pub fn write(&mut self, token: u64, key: &StateKey, update: StateUpdate) -> Result<(), ErrorCode> {
        let kept = self.shard(key)?.entry(key.clone()).or_default();
        kept.check(update.leader_epoch)?;
        if kept.latest().is_some_and(|state| state.state_epoch > update.state_epoch) {
            return Err(ErrorCode::FENCED_STATE_EPOCH);
        }
        self.decide((token, For::Writer), key, update)
    }

    fn decide(&mut self, (token, of): (u64, For), key: &StateKey, update: StateUpdate) -> Result<(), ErrorCode> {
        let (limit, number) = (self.updates_per_snapshot, self.next_write);
        let kept = self.shard(key)?.entry(key.clone()).or_default();
        kept.leader_epoch = Some(update.leader_epoch);
        let record = next_record(key, kept.latest(), update, limit);
        let state = KeptState::replay(kept.latest().cloned(), &record);
        kept.decided.push_back((number, record.clone(), state));
        let partition = partition_for(&key.coordinator_key(), self.partitions);
        self.next_write += 1;
        self.under_way.insert(number, (token, of, partition, key.clone()));
        self.writes.push(StateWritten { number, partition, record });
        Ok(())
    }

    /// A write is replicated; or is not, as far as is known.
    pub fn written(&mut self, number: u64, error: ErrorCode) {
        let Some((token, of, partition, key)) = self.under_way.remove(&number) else { return };
        let kept = match self.shards.get_mut(&partition) {
            Some(Shard::Active(_, all)) => all.get_mut(&key),
            Some(Shard::Loading(_)) | None => None,
        };
        let settled = kept.filter(|kept| kept.decided.iter().any(|(of, ..)| *of == number));
        let known = settled.map(|kept| {
            kept.settle(number, error);
            kept.written.clone()
        });
        let answer = match (error, of, known) {
            (ErrorCode::NONE, For::Writer, _) => Ok(None),
            (ErrorCode::NONE, For::Reader, Some(written)) => Ok(written),
            // It leads no more, and somebody else may have written since.
            (ErrorCode::NONE, For::Reader, None) => Err(ErrorCode::NOT_COORDINATOR),
            (error, For::Reader | For::Writer, _) => Err(write_error(error)),
        };
        self.answers.push((token, answer));
    }
}

impl Kept {
    /// Whether who leads in this epoch may still say or hear something.
    fn check(&self, leader_epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        let is_former = self.leader_epoch.is_some_and(|known| known > leader_epoch);
        if is_former { Err(ErrorCode::FENCED_LEADER_EPOCH) } else { Ok(()) }
    }

    fn settle(&mut self, number: u64, error: ErrorCode) {
        let Some(at) = self.decided.iter().position(|(of, ..)| *of == number) else { return };
        let Some((_, record, _)) = self.decided.remove(at) else { return };
        if error.is_none() {
            self.written = Some(KeptState::replay(self.written.take(), &record));
        }
        let mut state = self.written.clone();
        for (_, record, after) in &mut self.decided {
            *after = KeptState::replay(state, record);
            state = Some(after.clone());
        }
    }
}

/// The whole the first time, and each time that there was enough of what has changed.
fn next_record(
    key: &StateKey,
    before: Option<&KeptState>,
    update: StateUpdate,
    updates_per_snapshot: u32,
) -> StateRecord {
    let key = key.clone();
    let StateUpdate { state_epoch, leader_epoch, start_offset, batches } = update;
    let snapshot_of = Some(state_epoch);
    match before {
        None => StateRecord { key, snapshot_epoch: 0, snapshot_of, leader_epoch, start_offset, batches },
        Some(before) if before.updates >= updates_per_snapshot => {
            let start_offset = if start_offset == Offset(-1) { before.start_offset } else { start_offset };
            let batches = combine(&before.batches, &batches, start_offset);
            let snapshot_epoch = before.snapshot_epoch.wrapping_add(1);
            StateRecord { key, snapshot_epoch, snapshot_of, leader_epoch, start_offset, batches }
        }
        Some(before) => StateRecord {
            key,
            snapshot_epoch: before.snapshot_epoch,
            snapshot_of: None,
            leader_epoch,
            start_offset,
            batches,
        },
    }
}

/// What a failed append means to who wanted it (`CoordinatorOperationExceptionHelper`).
fn write_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => ErrorCode::NOT_COORDINATOR,
        other => other,
    }
}

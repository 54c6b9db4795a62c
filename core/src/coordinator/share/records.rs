//! What `__share_group_state` holds, in Kafka's own bytes.
//!
//! Kafka: `ShareSnapshotKey` (0), `ShareUpdateKey` (1), and the values of version 0, which are flexible.
//!
//! Not modelled: the times that 4.1 writes into snapshots.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::GroupId;
use uuid::Uuid;

use crate::fact::ShareState;
use crate::metadata::WireError;
use crate::metadata::wire::{Reader, put_list, put_varint};
use crate::share::StateBatch;
use crate::types::{LeaderEpoch, Offset, StrBytes};

/// The version of a key says what it is.
const SNAPSHOT: i16 = 0;
const UPDATE: i16 = 1;

/// A partition as one group has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateKey {
    /// The group.
    pub group: GroupId,
    /// The topic.
    pub topic_id: Uuid,
    /// The partition.
    pub partition: i32,
}

impl StateKey {
    /// What decides where it is kept (`SharePartitionKey.asCoordinatorKey`).
    pub fn coordinator_key(&self) -> GroupId {
        let id = base64(self.topic_id.as_bytes());
        GroupId(StrBytes::from_string(format!("{}:{id}:{}", self.group.as_str(), self.partition)))
    }
}

/// As Java writes a `Uuid`: for URLs, without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, index| bits << 8 | u32::from(chunk.get(index).copied().unwrap_or(0)));
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

/// A record of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRecord {
    /// Of what.
    pub key: StateKey,
    /// How often the whole was written before.
    pub snapshot_epoch: u16,
    /// Which life of the group has it; none if this is only what has changed.
    pub snapshot_of: Option<i32>,
    /// In which the partition was led.
    pub leader_epoch: LeaderEpoch,
    /// All before are done with; -1 if that has not changed.
    pub start_offset: Offset,
    /// Records behind, ascending.
    pub batches: Vec<StateBatch>,
}

impl StateRecord {
    /// As it is written.
    pub fn to_key_value(&self) -> (Bytes, Bytes) {
        let mut key = BytesMut::new();
        key.put_i16(if self.snapshot_of.is_some() { SNAPSHOT } else { UPDATE });
        let group = self.key.group.as_bytes();
        key.put_i16(i16::try_from(group.len()).unwrap_or(i16::MAX));
        key.put_slice(group);
        key.put_slice(self.key.topic_id.as_bytes());
        key.put_i32(self.key.partition);

        let mut value = BytesMut::new();
        value.put_i16(0);
        value.put_u16(self.snapshot_epoch);
        if let Some(state_epoch) = self.snapshot_of {
            value.put_i32(state_epoch);
        }
        value.put_i32(self.leader_epoch.0);
        value.put_i64(self.start_offset.0);
        put_list(&mut value, &self.batches, |out, batch| {
            out.put_i64(batch.first.0);
            out.put_i64(batch.last.0);
            out.put_i8(delivery_state(batch.state));
            out.put_u16(batch.delivery_count);
            put_varint(out, 0);
        });
        put_varint(&mut value, 0);
        (key.freeze(), value.freeze())
    }

    /// Reads one.
    pub fn parse(key: Bytes, value: Bytes) -> Result<StateRecord, WireError> {
        let (mut key, mut value) = (Reader::new(key), Reader::new(value));
        let is_snapshot = match key.i16("the version of a key")? {
            SNAPSHOT => true,
            UPDATE => false,
            _ => return Err(WireError::OutOfRange("the version of a key")),
        };
        let length = usize::from(key.u16("a group id")?);
        let group =
            StrBytes::try_from(key.take(length, "a group id")?).map_err(|_| WireError::NotUtf8("a group id"))?;
        let key =
            StateKey { group: GroupId(group), topic_id: key.uuid("a topic id")?, partition: key.i32("a partition")? };
        if value.i16("the version of a value")? != 0 {
            return Err(WireError::OutOfRange("the version of a value"));
        }
        Ok(StateRecord {
            key,
            snapshot_epoch: value.u16("a snapshot epoch")?,
            snapshot_of: if is_snapshot { Some(value.i32("a state epoch")?) } else { None },
            leader_epoch: LeaderEpoch(value.i32("a leader epoch")?),
            start_offset: Offset(value.i64("a start offset")?),
            batches: value.list("batches", |batch| {
                let read = StateBatch {
                    first: Offset(batch.i64("an offset")?),
                    last: Offset(batch.i64("an offset")?),
                    state: share_state(batch.i8("a delivery state")?)?,
                    delivery_count: batch.u16("a delivery count")?,
                };
                batch.no_tagged()?;
                Ok(read)
            })?,
        })
    }
}

/// What a record is, as it is written (`RecordState`).
pub fn delivery_state(state: ShareState) -> i8 {
    match state {
        ShareState::Available => 0,
        ShareState::Acquired => 1,
        ShareState::Acknowledged => 2,
        ShareState::Archived => 4,
    }
}

/// The other way.
pub fn share_state(written: i8) -> Result<ShareState, WireError> {
    match written {
        0 => Ok(ShareState::Available),
        1 => Ok(ShareState::Acquired),
        2 => Ok(ShareState::Acknowledged),
        4 => Ok(ShareState::Archived),
        _ => Err(WireError::OutOfRange("a delivery state")),
    }
}

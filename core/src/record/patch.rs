//! Changing a finished batch: what a leader does at the append, and a producer before a retry.
//!
//! Each function copies the batch once and changes the copy; the original may be in other hands still.
//!
//! Kafka: `DefaultRecordBatch.setLastOffset`, `setPartitionLeaderEpoch`, `setMaxTimestamp`;
//! `MemoryRecordsBuilder.reopenAndRewriteProducerState`.

use bytes::Bytes;

use super::ProducerState;
use super::batch::{Attributes, RecordBatch, field};
use crate::config::TimestampType;
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// The batch as a leader appends it: its offset assigned, its epoch stamped. Both lie outside the CRC, which stays.
pub fn with_offset_and_epoch(batch: &RecordBatch, base_offset: Offset, epoch: LeaderEpoch) -> Bytes {
    let mut bytes = batch.bytes().to_vec();
    put_offset_and_epoch(&mut bytes, base_offset, epoch);
    bytes.into()
}

/// As [`with_offset_and_epoch`], with the timestamp type of the topic as well: for
/// [`LogAppendTime`](TimestampType::LogAppendTime) the time of the append stands for every record's. The CRC is
/// computed anew only if that changes anything.
pub fn with_max_timestamp(
    batch: &RecordBatch,
    base_offset: Offset,
    epoch: LeaderEpoch,
    timestamp_type: TimestampType,
    max_timestamp: Timestamp,
) -> Bytes {
    let mut bytes = batch.bytes().to_vec();
    put_offset_and_epoch(&mut bytes, base_offset, epoch);
    if batch.timestamp_type() != timestamp_type || batch.max_timestamp() != max_timestamp {
        put_attributes(&mut bytes, batch.attributes().with_timestamp_type(timestamp_type));
        put(&mut bytes, field::MAX_TIMESTAMP, max_timestamp.0.to_be_bytes());
        seal(&mut bytes);
    }
    bytes.into()
}

/// The same records, sent by another incarnation of the producer or with other sequences.
pub fn with_producer_state(batch: &RecordBatch, state: ProducerState) -> Bytes {
    let mut bytes = batch.bytes().to_vec();
    put_producer_state(&mut bytes, batch.attributes(), state);
    seal(&mut bytes);
    bytes.into()
}

/// Writes the producer's fields; `attributes` are those that the batch has.
pub(super) fn put_producer_state(bytes: &mut [u8], attributes: Attributes, state: ProducerState) {
    put_attributes(bytes, attributes.with_transactional(state.transactional));
    put(bytes, field::PRODUCER_ID, state.producer_id.to_be_bytes());
    put(bytes, field::PRODUCER_EPOCH, state.producer_epoch.0.to_be_bytes());
    put(bytes, field::BASE_SEQUENCE, state.base_sequence.0.to_be_bytes());
}

pub(super) fn put_offset_and_epoch(bytes: &mut [u8], base_offset: Offset, epoch: LeaderEpoch) {
    put(bytes, field::BASE_OFFSET, base_offset.0.to_be_bytes());
    put(bytes, field::PARTITION_LEADER_EPOCH, epoch.0.to_be_bytes());
}

pub(super) fn put_attributes(bytes: &mut [u8], attributes: Attributes) {
    put(bytes, field::ATTRIBUTES, attributes.0.to_be_bytes());
}

/// Computes the CRC; the last thing to do.
pub(super) fn seal(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[field::ATTRIBUTES..]);
    put(bytes, field::CRC, crc.to_be_bytes());
}

/// Overwrites a field.
pub(super) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

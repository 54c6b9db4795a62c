//! One decision of the controller as one record batch: it is written whole or not at all.
//!
//! Kafka: `BatchBuilder` and `RecordsIterator` of the raft client.
//! Not modelled: compression of the metadata log (Kafka does not compress it either).

use bytes::Bytes;

use super::frame;
use super::records::MetadataRecord;
use super::wire::WireError;
use crate::record::{BatchBuilder, BatchError, Compression, RecordBatch, batches};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// A batch of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataBatch {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The offset of the last record.
    pub last_offset: Offset,
    /// The epoch of the controller that wrote it.
    pub epoch: LeaderEpoch,
    /// Its checksum.
    pub crc: u32,
    /// The records, at consecutive offsets; none in a control batch.
    pub records: Vec<MetadataRecord>,
}

/// The bytes of a batch that starts at `base_offset`. No records are no bytes.
pub fn encode(records: &[MetadataRecord], base_offset: Offset, epoch: LeaderEpoch, timestamp: Timestamp) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None, usize::MAX).at(base_offset, epoch);
    for record in records {
        builder.append(timestamp.max(Timestamp::NONE), None, Some(&frame::encode(record)), &[]);
    }
    builder.build().expect("an uncompressed batch needs no compressor")
}

/// The batches that the bytes of a log file or of a fetch response hold. An incomplete last one is left out.
pub fn decode(bytes: Bytes) -> Result<Vec<MetadataBatch>, WireError> {
    batches(bytes).map(|batch| batch.map_err(unsound).and_then(|batch| decode_one(&batch))).collect()
}

fn decode_one(batch: &RecordBatch) -> Result<MetadataBatch, WireError> {
    batch.verify_crc().map_err(unsound)?;
    let base = batch.base_offset().0;
    // The base offset lies outside the checksum: it can be anything.
    if base < 0 || base.checked_add(i64::from(batch.last_offset_delta())).is_none_or(|last| last < base) {
        return Err(WireError::Batch("its offsets are out of range".to_owned()));
    }
    let mut records = Vec::new();
    for (position, record) in (0i64..).zip(batch.records()) {
        let record = record.map_err(unsound)?;
        if record.offset.0 != base.saturating_add(position) {
            return Err(WireError::Batch(format!("record {position} has offset {}", record.offset)));
        }
        let value = record.value.ok_or(WireError::Truncated("a record without a value"))?;
        if !batch.is_control() {
            records.push(frame::decode(value)?);
        }
    }
    if !batch.is_control() && batch.records_count() != batch.last_offset_delta().saturating_add(1) {
        return Err(WireError::Batch("records are missing".to_owned()));
    }
    Ok(MetadataBatch {
        base_offset: batch.base_offset(),
        last_offset: batch.last_offset(),
        epoch: batch.partition_leader_epoch(),
        crc: batch.crc(),
        records,
    })
}

fn unsound(error: BatchError) -> WireError {
    WireError::Batch(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_decision_is_one_batch_and_comes_back_whole() {
        let records = vec![MetadataRecord::NoOp; 3];
        let bytes = encode(&records, Offset(40), LeaderEpoch(2), Timestamp(1_700_000_000_000));
        let (base_offset, last_offset, epoch) = (Offset(40), Offset(42), LeaderEpoch(2));
        let crc = RecordBatch::parse(&bytes, 0).expect("it is a batch").crc();
        assert_eq!(decode(bytes), Ok(vec![MetadataBatch { base_offset, last_offset, epoch, crc, records }]));
    }

    #[test]
    fn an_incomplete_last_batch_is_left_out() {
        let whole = encode(&[MetadataRecord::NoOp], Offset(0), LeaderEpoch(1), Timestamp(5));
        let torn = encode(&[MetadataRecord::NoOp], Offset(1), LeaderEpoch(1), Timestamp(5));
        let mut bytes = whole.to_vec();
        bytes.extend_from_slice(&torn[..torn.len() - 1]);
        assert_eq!(decode(bytes.into()).map(|batches| batches.len()), Ok(1));
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let mut bytes = encode(&[MetadataRecord::NoOp], Offset(0), LeaderEpoch(1), Timestamp(5)).to_vec();
        *bytes.last_mut().expect("not empty") ^= 1;
        assert!(matches!(decode(bytes.into()), Err(WireError::Batch(_))));
    }

    proptest! {
        #[test]
        fn decoding_whatever_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(bytes.clone().into());
            let _ = frame::decode(bytes.into());
        }

        #[test]
        fn decoding_a_sound_batch_around_whatever_bytes_never_panics(
            base in any::<i64>(), kind in 0u8..25, version in 0u8..4, rest in proptest::collection::vec(any::<u8>(), 0..120)
        ) {
            let mut frame = vec![1, kind, version];
            frame.extend_from_slice(&rest);
            let mut builder =
                BatchBuilder::new(Compression::None, usize::MAX).at(Offset(base), LeaderEpoch(1));
            builder.append(Timestamp(0), None, Some(&frame), &[]);
            builder.append(Timestamp(0), None, Some(&frame), &[]);
            let _ = decode(builder.build().expect("no compressor is needed"));
        }
    }
}

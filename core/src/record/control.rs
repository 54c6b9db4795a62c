//! The control record at the end of a transaction: how it ended in this partition, and who says so.
//!
//! ```text
//! key    version i16 │ type i16: 0 abort, 1 commit
//! value  version i16 │ epoch of the transaction coordinator i32
//! ```
//!
//! Kafka: `ControlRecordType`, `EndTransactionMarker`, `MemoryRecords.withEndTransactionMarker`; KIP-98.
//! Not modelled: the control records of the metadata log (leader changes, snapshots, voters); nobody reads them here.

use bytes::Bytes;

use super::{BatchBuilder, Compression, ProducerState, RecordBatch};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, Sequence, Timestamp};

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionResult {
    /// Whoever reads committed records passes over it.
    Abort,
    /// It is to be read.
    Commit,
}

/// What an end of a transaction says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// How it ended.
    pub result: TransactionResult,
    /// The epoch of the coordinator that decided it.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// What a control batch says, and when it was said; none if it ends no transaction: it is empty after a cleaning, or of
    /// another kind.
    pub fn of(batch: &RecordBatch) -> Option<(EndTransactionMarker, Timestamp)> {
        let record = batch.records().next()?.ok()?;
        let (key, value) = (record.key?, record.value?);
        let version = i16::from_be_bytes(*key.first_chunk()?);
        let result = match i16::from_be_bytes(*key.get(2..)?.first_chunk()?) {
            0 => TransactionResult::Abort,
            1 => TransactionResult::Commit,
            _ => return None,
        };
        let coordinator_epoch = i32::from_be_bytes(*value.get(2..)?.first_chunk()?);
        (version >= 0).then_some((EndTransactionMarker { result, coordinator_epoch }, record.timestamp))
    }

    /// The control batch that says it.
    pub fn batch(
        self,
        (producer_id, producer_epoch): (i64, ProducerEpoch),
        (base_offset, leader_epoch): (Offset, LeaderEpoch),
        timestamp: Timestamp,
    ) -> Bytes {
        let kind: i16 = match self.result {
            TransactionResult::Abort => 0,
            TransactionResult::Commit => 1,
        };
        let key = [0i16.to_be_bytes(), kind.to_be_bytes()].concat();
        let value = [&0i16.to_be_bytes()[..], &self.coordinator_epoch.to_be_bytes()].concat();
        let mut builder = BatchBuilder::new(Compression::None, usize::MAX).at(base_offset, leader_epoch).control();
        builder.append(timestamp, Some(&key), Some(&value), &[]);
        let (base_sequence, transactional) = (Sequence::NONE, true);
        builder.set_producer_state(ProducerState { producer_id, producer_epoch, base_sequence, transactional });
        builder.build().expect("an uncompressed batch needs no compressor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &Bytes) -> RecordBatch {
        RecordBatch::parse(bytes, 0).expect("a whole batch")
    }

    #[test]
    fn a_marker_says_what_it_was_made_to_say() {
        for result in [TransactionResult::Abort, TransactionResult::Commit] {
            let marker = EndTransactionMarker { result, coordinator_epoch: 3 };
            let bytes = marker.batch((9, ProducerEpoch(1)), (Offset(5), LeaderEpoch(2)), Timestamp(1_000));
            let batch = parse(&bytes);
            assert!(batch.is_control() && batch.is_transactional());
            assert_eq!((batch.base_offset(), batch.producer_id()), (Offset(5), 9));
            assert_eq!(EndTransactionMarker::of(&batch), Some((marker, Timestamp(1_000))));
        }
    }

    #[test]
    fn other_control_records_end_no_transaction() {
        let with_key = |key: &[u8]| {
            let mut builder = BatchBuilder::new(Compression::None, usize::MAX).control();
            builder.append(Timestamp(0), Some(key), Some(&[0, 0, 0, 0, 0, 3]), &[]);
            parse(&builder.build().expect("uncompressed"))
        };
        for key in [&[0, 0, 0, 2][..], &[0xFF, 0xFF, 0, 0], &[0, 0, 0], &[]] {
            assert_eq!(EndTransactionMarker::of(&with_key(key)), None, "{key:?}");
        }
    }
}

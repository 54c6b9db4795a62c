//! A batch with some of its records taken out, as the cleaner leaves it, or with all of them in another compression.
//!
//! What is left keeps its offsets: the base offset and the last one stay those of the original, so that a batch may begin
//! and end with gaps. Its producer, epoch and sequences stay too: the last batch of a producer is what its duplicates are
//! recognised by, so it is kept even without any record.
//!
//! Kafka: `MemoryRecords.filterTo`, `DefaultRecordBatch.writeEmptyHeader`; KIP-534.

use bytes::Bytes;

use super::batch::{BATCH_OVERHEAD, BatchError, LOG_OVERHEAD, RecordBatch, field};
use super::record::Record;
use super::{Compression, compression, patch, record};
use crate::config::TimestampType;
use crate::types::Timestamp;

/// What is left of a batch when none of its records is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenEmpty {
    /// Nothing.
    Drop,
    /// Its header: it is the last one of a producer.
    KeepHeader,
}

/// What is left of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// The batch; none if nothing is left.
    pub batch: Option<Bytes>,
    /// How many records it had.
    pub records_before: u32,
    /// How many it has.
    pub records_after: u32,
}

/// Takes out the records that `keep` does not want. If tombstones stay in a batch that does not say yet when they may
/// go, it is given `delete_horizon` to say so, if there is one.
pub fn filter(
    batch: &RecordBatch,
    when_empty: WhenEmpty,
    delete_horizon: Option<Timestamp>,
    mut keep: impl FnMut(&Record) -> bool,
) -> Result<Filtered, BatchError> {
    let mut kept = Vec::new();
    let mut before = 0;
    for found in batch.records() {
        let found = found?;
        before += 1;
        if keep(&found) {
            kept.push(found);
        }
    }
    let after = u32::try_from(kept.len()).unwrap_or(u32::MAX);
    let tombstones = kept.iter().any(|record| record.value.is_none());
    let horizon = delete_horizon.filter(|_| tombstones && batch.delete_horizon().is_none());
    let left = if kept.is_empty() {
        (when_empty == WhenEmpty::KeepHeader).then(|| empty(batch))
    } else if after == before && horizon.is_none() {
        Some(batch.bytes().clone())
    } else {
        Some(rebuild(batch, &kept, batch.compression()?, horizon.or(batch.delete_horizon()))?)
    };
    Ok(Filtered { batch: left, records_before: before, records_after: after })
}

/// The same records in another compression.
pub fn recompress(batch: &RecordBatch, compression: Compression) -> Result<Bytes, BatchError> {
    let records: Vec<Record> = batch.records().collect::<Result<_, _>>()?;
    rebuild(batch, &records, compression, batch.delete_horizon())
}

/// The header of `batch` over these records.
fn rebuild(
    batch: &RecordBatch,
    records: &[Record],
    compression: Compression,
    delete_horizon: Option<Timestamp>,
) -> Result<Bytes, BatchError> {
    let own = match batch.timestamp_type() {
        TimestampType::CreateTime => records.first().map(|record| record.timestamp),
        // The records' own times are not what they say; they count from here on.
        TimestampType::LogAppendTime => Some(batch.max_timestamp()),
    };
    let base_timestamp = delete_horizon.or(own).unwrap_or(Timestamp::NONE);
    let mut body = vec![0; BATCH_OVERHEAD];
    for record in records {
        let offset_delta = i32::try_from(record.offset.0.wrapping_sub(batch.base_offset().0)).unwrap_or(i32::MAX);
        let timestamp_delta = record.timestamp.0.wrapping_sub(base_timestamp.0);
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        record::put(&mut body, offset_delta, timestamp_delta, key, value, &record.headers);
    }
    let mut bytes = match compression {
        Compression::None => body,
        Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => {
            compression::compress(compression, &body[BATCH_OVERHEAD..], BATCH_OVERHEAD)?
        }
    };
    let max_timestamp = match batch.timestamp_type() {
        TimestampType::CreateTime => records.iter().map(|record| record.timestamp).max().unwrap_or(Timestamp::NONE),
        TimestampType::LogAppendTime => batch.max_timestamp(),
    };
    bytes[..BATCH_OVERHEAD].copy_from_slice(&batch.bytes()[..BATCH_OVERHEAD]);
    let attributes = batch.attributes().with_compression(compression).with_delete_horizon(delete_horizon.is_some());
    patch::put_attributes(&mut bytes, attributes);
    put_size_and_times(&mut bytes, records.len(), base_timestamp, max_timestamp);
    Ok(bytes.into())
}

/// Nothing but the header.
fn empty(batch: &RecordBatch) -> Bytes {
    let mut bytes = batch.bytes()[..BATCH_OVERHEAD].to_vec();
    let attributes = batch.attributes().with_compression(Compression::None).with_delete_horizon(false);
    patch::put_attributes(&mut bytes, attributes);
    put_size_and_times(&mut bytes, 0, Timestamp::NONE, batch.max_timestamp());
    bytes.into()
}

fn put_size_and_times(bytes: &mut [u8], records: usize, base_timestamp: Timestamp, max_timestamp: Timestamp) {
    let length = i32::try_from(bytes.len() - LOG_OVERHEAD).expect("a batch is smaller than 2 GiB");
    let records = i32::try_from(records).expect("a batch has at most 2^31 records");
    patch::put(bytes, field::LENGTH, length.to_be_bytes());
    patch::put(bytes, field::BASE_TIMESTAMP, base_timestamp.0.to_be_bytes());
    patch::put(bytes, field::MAX_TIMESTAMP, max_timestamp.0.to_be_bytes());
    patch::put(bytes, field::RECORDS_COUNT, records.to_be_bytes());
    patch::seal(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, ProducerState};
    use crate::types::{LeaderEpoch, Offset, ProducerEpoch, Sequence};

    /// Offsets 10 to 13: a=1, b=2, a is deleted, c=3.
    fn batch(compression: Compression) -> RecordBatch {
        let mut builder = BatchBuilder::new(compression, usize::MAX).at(Offset(10), LeaderEpoch(5));
        for (n, (key, value)) in [("a", Some("1")), ("b", Some("2")), ("a", None), ("c", Some("3"))].iter().enumerate()
        {
            let value = value.map(str::as_bytes);
            builder.append(Timestamp(1_000 + n as i64), Some(key.as_bytes()), value, &[]);
        }
        builder.set_producer_state(ProducerState {
            producer_id: 7,
            producer_epoch: ProducerEpoch(2),
            base_sequence: Sequence(40),
            transactional: false,
        });
        RecordBatch::parse(&builder.build().unwrap(), 0).unwrap()
    }

    fn parse(filtered: &Filtered) -> RecordBatch {
        let batch = RecordBatch::parse(filtered.batch.as_ref().unwrap(), 0).unwrap();
        batch.verify_crc().unwrap();
        batch
    }

    fn records(batch: &RecordBatch) -> Vec<(i64, i64)> {
        batch.records().map(|record| record.unwrap()).map(|record| (record.offset.0, record.timestamp.0)).collect()
    }

    #[test]
    fn what_stays_keeps_its_offsets_times_and_producer() {
        for compression in [Compression::None, Compression::Gzip] {
            let filtered =
                filter(&batch(compression), WhenEmpty::Drop, None, |record| record.offset != Offset(10)).unwrap();
            assert_eq!((filtered.records_before, filtered.records_after), (4, 3));
            let left = parse(&filtered);
            assert_eq!(records(&left), [(11, 1_001), (12, 1_002), (13, 1_003)]);
            assert_eq!((left.base_offset(), left.last_offset()), (Offset(10), Offset(13)));
            assert_eq!(
                (left.producer_id(), left.last_sequence(), left.max_timestamp()),
                (7, Sequence(43), Timestamp(1_003))
            );
            assert_eq!((left.compression(), left.partition_leader_epoch()), (Ok(compression), LeaderEpoch(5)));
        }
    }

    #[test]
    fn a_batch_that_loses_nothing_is_the_same_bytes() {
        let whole = batch(Compression::Gzip);
        let filtered = filter(&whole, WhenEmpty::Drop, None, |_| true).unwrap();
        assert_eq!(filtered.batch.as_ref(), Some(whole.bytes()));
    }

    #[test]
    fn tombstones_that_stay_are_given_a_horizon_once() {
        let whole = batch(Compression::None);
        let first = parse(&filter(&whole, WhenEmpty::Drop, Some(Timestamp(90_000)), |_| true).unwrap());
        assert_eq!(first.delete_horizon(), Some(Timestamp(90_000)));
        assert_eq!(records(&first), records(&whole), "times count from the horizon now and are the same");
        let again =
            filter(&first, WhenEmpty::Drop, Some(Timestamp(99_000)), |record| record.offset != Offset(13)).unwrap();
        assert_eq!(parse(&again).delete_horizon(), Some(Timestamp(90_000)));
        let values = filter(&whole, WhenEmpty::Drop, Some(Timestamp(90_000)), |record| record.value.is_some()).unwrap();
        assert_eq!(parse(&values).delete_horizon(), None);
    }

    #[test]
    fn without_records_the_header_stays_if_it_is_to() {
        let whole = batch(Compression::Gzip);
        assert_eq!(filter(&whole, WhenEmpty::Drop, None, |_| false).unwrap().batch, None);
        let empty = parse(&filter(&whole, WhenEmpty::KeepHeader, None, |_| false).unwrap());
        assert_eq!((empty.size_in_bytes(), empty.records_count()), (BATCH_OVERHEAD, 0));
        assert_eq!((empty.last_offset(), empty.last_sequence()), (Offset(13), Sequence(43)));
        assert_eq!(empty.max_timestamp(), Timestamp(1_003));
    }

    #[test]
    fn another_compression_has_the_same_records() {
        let whole = batch(Compression::None);
        let bytes = recompress(&whole, Compression::Gzip).unwrap();
        let zipped = RecordBatch::parse(&bytes, 0).unwrap();
        zipped.verify_crc().unwrap();
        assert_eq!((zipped.compression(), records(&zipped)), (Ok(Compression::Gzip), records(&whole)));
        let back = recompress(&zipped, Compression::None).unwrap();
        assert_eq!(&back, whole.bytes());
    }
}

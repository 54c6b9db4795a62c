//! What an append must satisfy before a byte of it is written.
//!
//! Kafka: `UnifiedLog.analyzeAndValidateRecords`, `LogValidator`, `ProduceRequest.validateRecords`.
//! Records are read one by one only where their keys or times matter: a compacted topic takes no record without a key, and
//! times may be bounded. Otherwise what the batch's header says is believed.
//! Not modelled: conversion between formats, the errors of single records in the response (KIP-467).

use bytes::Bytes;

use crate::config::{LogConfig, TimestampType};
use crate::protocol::ErrorCode;
use crate::record::filter::recompress;
use crate::record::{BatchError, RecordBatch, batches};
use crate::types::{Duration, LeaderEpoch, Offset, Sequence, Timestamp};

/// What a set of batches amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Analysis {
    /// Offset of its first record.
    pub(super) base_offset: Offset,
    /// Offset of its last record.
    pub(super) last_offset: Offset,
    /// The epoch of its last batch.
    pub(super) leader_epoch: LeaderEpoch,
    /// How many records.
    pub(super) records: u32,
    /// Its largest timestamp.
    pub(super) max_timestamp: Timestamp,
    /// The last offset of the first batch that has it.
    pub(super) offset_of_max_timestamp: Offset,
    /// The bytes of the whole batches; what follows is cut off.
    pub(super) valid_bytes: usize,
}

impl Analysis {
    /// Of one batch.
    pub(super) fn of(batch: &RecordBatch) -> Analysis {
        Analysis {
            base_offset: batch.base_offset(),
            last_offset: batch.last_offset(),
            leader_epoch: batch.partition_leader_epoch(),
            records: u32::try_from(batch.records_count()).unwrap_or(0),
            max_timestamp: batch.max_timestamp(),
            offset_of_max_timestamp: batch.last_offset(),
            valid_bytes: batch.size_in_bytes(),
        }
    }

    /// Of several, in order; none of none.
    pub(super) fn of_all(batches: &[RecordBatch]) -> Option<Analysis> {
        let (first, rest) = batches.split_first()?;
        let mut analysis = Analysis::of(first);
        rest.iter().for_each(|batch| analysis.add(batch));
        Some(analysis)
    }

    fn add(&mut self, batch: &RecordBatch) {
        let next = Analysis::of(batch);
        self.last_offset = next.last_offset;
        self.leader_epoch = next.leader_epoch;
        self.records = self.records.saturating_add(next.records);
        self.valid_bytes += next.valid_bytes;
        if next.max_timestamp > self.max_timestamp {
            self.max_timestamp = next.max_timestamp;
            self.offset_of_max_timestamp = next.offset_of_max_timestamp;
        }
    }
}

/// The one batch that a produce request holds for a partition; since format v2 there is never more than one.
/// `now` is the leader's wall clock.
pub(super) fn validate_from_client(bytes: Bytes, config: &LogConfig, now: Timestamp) -> Result<RecordBatch, ErrorCode> {
    let mut found = batches(bytes);
    let batch = found.next().ok_or(ErrorCode::INVALID_RECORD)?.map_err(|error| error_code(&error))?;
    if let Some(second) = found.next() {
        return Err(second.map_or_else(|error| error_code(&error), |_| ErrorCode::INVALID_RECORD));
    }
    if batch.base_offset() != Offset(0) {
        return Err(ErrorCode::INVALID_RECORD);
    }
    if batch.size_in_bytes() as u64 > config.max_message_bytes {
        return Err(ErrorCode::MESSAGE_TOO_LARGE);
    }
    batch.verify_crc().map_err(|error| error_code(&error))?;
    let counts_agree = batch.records_count() > 0 && batch.last_offset_delta() == batch.records_count() - 1;
    let sequence_fits = !batch.has_producer_id() || batch.base_sequence() >= Sequence(0);
    if !counts_agree || !sequence_fits || batch.is_control() || batch.compression().is_err() {
        return Err(ErrorCode::INVALID_RECORD);
    }
    check_records(&batch, config, now)?;
    if batch.size_in_bytes() as u64 > config.segment_bytes {
        return Err(ErrorCode::RECORD_LIST_TOO_LARGE);
    }
    Ok(batch)
}

/// Keys and times, where the topic has rules for them.
fn check_records(batch: &RecordBatch, config: &LogConfig, now: Timestamp) -> Result<(), ErrorCode> {
    let compact = config.cleanup_policy.compact;
    let (before, after) = (config.message_timestamp_before_max_ms, config.message_timestamp_after_max_ms);
    let bounded = config.message_timestamp_type == TimestampType::CreateTime;
    let further = |difference: i64, limit: Duration| {
        limit < Duration::FOREVER && u64::try_from(difference).is_ok_and(|difference| difference > limit.as_millis())
    };
    // The header has the largest time.
    if bounded && further(batch.max_timestamp().0.saturating_sub(now.0), after) {
        return Err(ErrorCode::INVALID_TIMESTAMP);
    }
    if !compact && (!bounded || before == Duration::FOREVER) {
        return Ok(());
    }
    for record in batch.records() {
        let record = record.map_err(|error| error_code(&error))?;
        if compact && record.key.is_none() {
            return Err(ErrorCode::INVALID_RECORD);
        }
        let has_time = record.timestamp != Timestamp::NONE;
        if bounded && has_time && further(now.0.saturating_sub(record.timestamp.0), before) {
            return Err(ErrorCode::INVALID_TIMESTAMP);
        }
    }
    Ok(())
}

/// The batch in the compression that the topic asks for.
pub(super) fn in_compression_of(config: &LogConfig, batch: RecordBatch) -> Result<RecordBatch, ErrorCode> {
    let Some(wanted) = config.compression_type.filter(|wanted| batch.compression() != Ok(*wanted)) else {
        return Ok(batch);
    };
    let bytes = recompress(&batch, wanted).map_err(|error| error_code(&error))?;
    if bytes.len() as u64 > config.max_message_bytes {
        return Err(ErrorCode::MESSAGE_TOO_LARGE);
    }
    RecordBatch::parse(&bytes, 0).map_err(|error| error_code(&error))
}

/// What a leader sent: batches with growing offsets from `log_end` on, and what they amount to. `None` if there is no
/// whole one.
///
/// Offsets that go back are no error of the protocol's but of the leader's or ours; Kafka throws
/// `UnexpectedAppendOffsetException` or `OffsetsOutOfOrderException`, here it is `UNKNOWN_SERVER_ERROR`.
pub(super) fn validate_from_leader(
    bytes: Bytes,
    log_end: Offset,
    config: &LogConfig,
) -> Result<Option<(Analysis, Vec<RecordBatch>)>, ErrorCode> {
    let mut analysis: Option<Analysis> = None;
    let mut whole = Vec::new();
    let mut expected = log_end;
    for batch in batches(bytes) {
        let batch = batch.and_then(|batch| batch.verify_crc().map(|()| batch)).map_err(|error| error_code(&error))?;
        if !offsets_follow(&batch, expected) {
            return Err(ErrorCode::UNKNOWN_SERVER_ERROR);
        }
        expected = batch.next_offset();
        match &mut analysis {
            Some(analysis) => analysis.add(&batch),
            None => analysis = Some(Analysis::of(&batch)),
        }
        whole.push(batch);
    }
    match analysis {
        Some(analysis) if analysis.valid_bytes as u64 > config.segment_bytes => Err(ErrorCode::RECORD_LIST_TOO_LARGE),
        analysis => Ok(analysis.map(|analysis| (analysis, whole))),
    }
}

/// Whether a batch may stand behind one that ends at `expected`, gaps allowed.
pub(super) fn offsets_follow(batch: &RecordBatch, expected: Offset) -> bool {
    batch.base_offset() >= expected
        && batch.last_offset_delta() >= 0
        // The offset after the last one must exist, too.
        && batch.base_offset().0.checked_add(i64::from(batch.last_offset_delta()) + 1).is_some()
}

fn error_code(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::BadMagic(_)
        | BatchError::BadRecordsCount(_)
        | BatchError::BadRecord { .. }
        | BatchError::TrailingBytes(_)
        | BatchError::UnknownCompression(_)
        | BatchError::BadCompression(_)
        | BatchError::TooLarge { .. } => ErrorCode::INVALID_RECORD,
        BatchError::UnsupportedCompression(_) => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
        BatchError::Truncated { .. } | BatchError::BadLength(_) | BatchError::BadCrc { .. } => {
            ErrorCode::CORRUPT_MESSAGE
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::config::CleanupPolicy;
    use crate::log::testing::{Batch, config};
    use crate::record::{BatchBuilder, Compression};

    fn corrupt(batch: &Bytes, at: usize) -> Bytes {
        let mut bytes = batch.to_vec();
        bytes[at] ^= 1;
        bytes.into()
    }

    fn two(first: &Bytes, second: &Bytes) -> Bytes {
        let mut both = BytesMut::from(&first[..]);
        both.extend_from_slice(second);
        both.freeze()
    }

    #[test]
    fn a_client_may_send_one_good_batch() {
        let good = Batch::of(3).build();
        let len = good.len() as u64;
        let room_for = |max_message_bytes: u64| LogConfig { max_message_bytes, ..config() };
        let segment_of = |segment_bytes: u64| LogConfig { segment_bytes, ..config() };
        // The number of records, and the offset of the last one relative to the first.
        let counts = |records: i32, last_offset_delta: i32| {
            let mut bytes = good.to_vec();
            bytes[57..61].copy_from_slice(&records.to_be_bytes());
            bytes[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
            let crc = crc32c::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            Bytes::from(bytes)
        };
        let table = [
            ("a good one", good.clone(), config(), Ok(())),
            ("with half of another behind it", two(&good, &good.slice(..40)), config(), Ok(())),
            ("nothing", Bytes::new(), config(), Err(ErrorCode::INVALID_RECORD)),
            ("half of one", good.slice(..40), config(), Err(ErrorCode::INVALID_RECORD)),
            ("two", two(&good, &good), config(), Err(ErrorCode::INVALID_RECORD)),
            ("at an offset", Batch::of(3).at(5, 0).build(), config(), Err(ErrorCode::INVALID_RECORD)),
            ("another magic", corrupt(&good, 16), config(), Err(ErrorCode::INVALID_RECORD)),
            ("a flipped bit", corrupt(&good, good.len() - 1), config(), Err(ErrorCode::CORRUPT_MESSAGE)),
            ("a sequence below 0", Batch::of(1).producer(7, 0, -1).build(), config(), Err(ErrorCode::INVALID_RECORD)),
            ("of three records, as it says", counts(3, 2), config(), Ok(())),
            ("of fewer records than offsets", counts(2, 2), config(), Err(ErrorCode::INVALID_RECORD)),
            ("without a record", counts(0, -1), config(), Err(ErrorCode::INVALID_RECORD)),
            ("of less than no record", counts(-1, -2), config(), Err(ErrorCode::INVALID_RECORD)),
            ("max.message.bytes to the byte", good.clone(), room_for(len), Ok(())),
            ("above max.message.bytes", good.clone(), room_for(len - 1), Err(ErrorCode::MESSAGE_TOO_LARGE)),
            ("segment.bytes to the byte", good.clone(), segment_of(len), Ok(())),
            ("above segment.bytes", good.clone(), segment_of(len - 1), Err(ErrorCode::RECORD_LIST_TOO_LARGE)),
        ];
        for (what, bytes, config, expected) in table {
            assert_eq!(validate_from_client(bytes, &config, Timestamp(1_000)).map(|_| ()), expected, "{what}");
        }
    }

    #[test]
    fn times_are_bounded_where_the_topic_says_so() {
        // Records at 1000 and 1001.
        let batch = Batch::of(2).build();
        let times = |before: u64, after: u64| LogConfig {
            message_timestamp_before_max_ms: Duration::from_millis(before),
            message_timestamp_after_max_ms: Duration::from_millis(after),
            ..config()
        };
        let table = [
            ("within", times(100, 100), 1_050, Ok(())),
            ("as old as may be", times(100, 100), 1_100, Ok(())),
            ("the first one too old", times(100, 100), 1_101, Err(ErrorCode::INVALID_TIMESTAMP)),
            ("as early as may be", times(100, 100), 901, Ok(())),
            ("the last one too early", times(100, 100), 900, Err(ErrorCode::INVALID_TIMESTAMP)),
            (
                "the leader's clock counts",
                LogConfig { message_timestamp_type: TimestampType::LogAppendTime, ..times(0, 0) },
                9_000,
                Ok(()),
            ),
        ];
        for (what, config, now, expected) in table {
            let found = validate_from_client(batch.clone(), &config, Timestamp(now)).map(|_| ());
            assert_eq!(found, expected, "{what}");
        }
        let unbounded = LogConfig {
            message_timestamp_before_max_ms: Duration::FOREVER,
            message_timestamp_after_max_ms: Duration::FOREVER,
            ..config()
        };
        let compact =
            |config: LogConfig| LogConfig { cleanup_policy: CleanupPolicy { delete: false, compact: true }, ..config };
        let appended =
            |config: LogConfig| LogConfig { message_timestamp_type: TimestampType::LogAppendTime, ..compact(config) };
        let too_old = Err(ErrorCode::INVALID_TIMESTAMP);
        for (what, config, timestamp, now, expected) in [
            ("at the end of time", unbounded.clone(), i64::MAX, 0, Ok(())),
            ("at its beginning", unbounded, 0, i64::MAX, Ok(())),
            ("too old, in a compacted topic", compact(times(100, 100)), 1_000, 1_101, too_old),
            ("the leader's clock counts there as well", appended(times(100, 100)), 1_000, 9_000, Ok(())),
            ("without a time", compact(times(100, 100)), -1, 9_000, Ok(())),
        ] {
            let mut keyed = BatchBuilder::new(Compression::None, usize::MAX);
            keyed.append(Timestamp(timestamp), Some(b"k"), None, &[]);
            let found = validate_from_client(keyed.build().unwrap(), &config, Timestamp(now)).map(|_| ());
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn records_are_looked_at_only_where_the_topic_has_rules_for_them() {
        // The first record has another length than it says; the header is sound.
        let mut bytes = Batch::of(3).build().to_vec();
        bytes[61] ^= 1;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let odd = Bytes::from(bytes);
        let old = |before: Duration| LogConfig { message_timestamp_before_max_ms: before, ..config() };
        let hour = Duration::from_secs(3_600);
        let appended = LogConfig { message_timestamp_type: TimestampType::LogAppendTime, ..old(hour) };
        let compact =
            LogConfig { cleanup_policy: CleanupPolicy { delete: true, compact: true }, ..old(Duration::FOREVER) };
        let refused = Err(ErrorCode::INVALID_RECORD);
        for (what, config, expected) in [
            ("no rules", old(Duration::FOREVER), Ok(())),
            ("times are the leader's", appended, Ok(())),
            ("none may be old", old(hour), refused),
            ("each has a key", compact, refused),
        ] {
            let found = validate_from_client(odd.clone(), &config, Timestamp(1_000)).map(|_| ());
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn a_compacted_topic_takes_no_record_without_a_key() {
        let compact = CleanupPolicy { delete: true, compact: true };
        let config = LogConfig { cleanup_policy: compact, ..config() };
        let found = validate_from_client(Batch::of(2).build(), &config, Timestamp(0));
        assert_eq!(found.map(|_| ()), Err(ErrorCode::INVALID_RECORD));
        let mut keyed = BatchBuilder::new(Compression::Gzip, usize::MAX);
        keyed.append(Timestamp(5), Some(b"k"), None, &[]);
        assert!(validate_from_client(keyed.build().unwrap(), &config, Timestamp(0)).is_ok());
    }

    #[test]
    fn a_topic_may_have_a_compression_of_its_own() {
        let batch = validate_from_client(Batch::of(3).build(), &config(), Timestamp(0)).unwrap();
        let zipped = LogConfig { compression_type: Some(Compression::Gzip), ..config() };
        let found = in_compression_of(&zipped, batch.clone()).unwrap();
        assert_eq!((found.compression(), found.records().count()), (Ok(Compression::Gzip), 3));
        assert_eq!(in_compression_of(&config(), batch.clone()), Ok(batch.clone()), "the producer's");
        let len = found.size_in_bytes() as u64;
        let room_for = |max_message_bytes: u64| LogConfig { max_message_bytes, ..zipped.clone() };
        assert_eq!(in_compression_of(&room_for(len), batch.clone()), Ok(found));
        assert_eq!(in_compression_of(&room_for(len - 1), batch), Err(ErrorCode::MESSAGE_TOO_LARGE));
    }

    #[test]
    fn a_leader_sends_batches_with_growing_offsets() {
        let (first, second) = (Batch::of(3).at(10, 1).build(), Batch::of(2).at(13, 2).timestamp(5).build());
        let (ok, whole) = validate_from_leader(two(&first, &second), Offset(10), &config()).unwrap().unwrap();
        assert_eq!(whole.len(), 2);
        assert_eq!((ok.base_offset, ok.last_offset, ok.records), (Offset(10), Offset(14), 5));
        assert_eq!((ok.max_timestamp, ok.offset_of_max_timestamp), (Timestamp(1_002), Offset(12)));
        assert_eq!(ok.leader_epoch, LeaderEpoch(2));

        let both = two(&first, &second);
        let segment_of = |segment_bytes: usize| LogConfig { segment_bytes: segment_bytes as u64, ..config() };
        assert!(validate_from_leader(both.clone(), Offset(10), &segment_of(both.len())).is_ok());
        let too_large = validate_from_leader(both.clone(), Offset(10), &segment_of(both.len() - 1));
        assert_eq!(too_large, Err(ErrorCode::RECORD_LIST_TOO_LARGE));
        // Of equal times the first one counts.
        let again = two(&first, &Batch::of(3).at(13, 2).build());
        let (same, _) = validate_from_leader(again, Offset(10), &config()).unwrap().unwrap();
        assert_eq!((same.max_timestamp, same.offset_of_max_timestamp), (Timestamp(1_002), Offset(12)));

        assert_eq!(validate_from_leader(first.slice(..60), Offset(10), &config()), Ok(None));
        let table = [
            ("below the log end", first.clone(), 11, ErrorCode::UNKNOWN_SERVER_ERROR),
            ("backwards", two(&second, &first), 0, ErrorCode::UNKNOWN_SERVER_ERROR),
            ("corrupt", corrupt(&first, 65), 10, ErrorCode::CORRUPT_MESSAGE),
            ("beyond all offsets", Batch::of(3).at(i64::MAX - 2, 0).build(), 0, ErrorCode::UNKNOWN_SERVER_ERROR),
        ];
        for (what, bytes, log_end, expected) in table {
            assert_eq!(validate_from_leader(bytes, Offset(log_end), &config()), Err(expected), "{what}");
        }
    }
}

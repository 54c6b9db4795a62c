//! A record batch, format v2, read where it lies.
//!
//! ```text
//!  0        8      12      16 17      21   23      27         35         43         51   53      57      61
//!  ┌────────┬───────┬───────┬──┬───────┬────┬───────┬──────────┬──────────┬──────────┬────┬───────┬───────┬────────┐
//!  │  base  │length │leader │ma│  CRC  │attr│ last  │   base   │   max    │ producer │ pr.│ base  │record │records │
//!  │ offset │       │ epoch │gi│       │    │offset │timestamp │timestamp │    id    │epo.│sequen.│ count │  ...   │
//!  │  i64   │  i32  │  i32  │c │  u32  │i16 │ delta │   i64    │   i64    │   i64    │i16 │  i32  │  i32  │        │
//!  └────────┴───────┴───────┴──┴───────┴────┴───────┴──────────┴──────────┴──────────┴────┴───────┴───────┴────────┘
//!   └──── a broker may change these ───┘└──────────────────────── covered by the CRC ─────────────────────────────┘
//!
//!  attributes: bits 0-2 compression · 3 timestamp type · 4 transactional · 5 control · 6 delete horizon
//!  length counts the bytes that follow it; everything is big-endian.
//! ```
//!
//! Kafka: `DefaultRecordBatch`, `ByteBufferLogInputStream`.
//! Not modelled: the message formats v0 and v1; they are [`BatchError::BadMagic`].

use bytes::Bytes;

use super::{Compression, Records};
use crate::config::TimestampType;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, Sequence, Timestamp};

/// The bytes of a batch in front of its records.
pub const BATCH_OVERHEAD: usize = 61;

/// What a batch's length field does not count: the base offset and the length itself.
pub(super) const LOG_OVERHEAD: usize = 12;
/// What must be there to know the format and the size of a batch.
const HEADER_UP_TO_MAGIC: usize = 17;
/// The only format there is here.
pub(super) const MAGIC_V2: i8 = 2;

pub(super) mod field {
    //! Where each field of the header starts.
    pub const BASE_OFFSET: usize = 0;
    pub const LENGTH: usize = 8;
    pub const PARTITION_LEADER_EPOCH: usize = 12;
    pub const MAGIC: usize = 16;
    pub const CRC: usize = 17;
    pub const ATTRIBUTES: usize = 21;
    pub const LAST_OFFSET_DELTA: usize = 23;
    pub const BASE_TIMESTAMP: usize = 27;
    pub const MAX_TIMESTAMP: usize = 35;
    pub const PRODUCER_ID: usize = 43;
    pub const PRODUCER_EPOCH: usize = 51;
    pub const BASE_SEQUENCE: usize = 53;
    pub const RECORDS_COUNT: usize = 57;
}

/// What is wrong with the bytes of a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("the batch is cut short: it needs {needed} bytes")]
    Truncated {
        /// How many bytes the batch needs, as far as what is there can tell.
        needed: usize,
    },
    /// Not format v2.
    #[error("the batch has magic {0}; only format 2 is supported")]
    BadMagic(i8),
    /// The length field cannot be right.
    #[error("the batch has length {0}, less than its own header")]
    BadLength(i32),
    /// The checksum does not fit the bytes.
    #[error("the batch is corrupt: its CRC is {stored:#010x}, that of its bytes {computed:#010x}")]
    BadCrc {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// The number of records is negative.
    #[error("the batch says that it has {0} records")]
    BadRecordsCount(i32),
    /// A record's structure is broken.
    #[error("record {index} of the batch is invalid: {reason}")]
    BadRecord {
        /// Its position in the batch, from 0.
        index: i32,
        /// What is wrong.
        reason: &'static str,
    },
    /// Bytes are left after the last record.
    #[error("{0} bytes are left after the last record of the batch")]
    TrailingBytes(usize),
    /// The attributes name a compression that does not exist.
    #[error("the batch has the unknown compression type {0}")]
    UnknownCompression(u8),
    /// A compression that this build lacks.
    #[error("this build cannot read or write {0}")]
    UnsupportedCompression(Compression),
    /// The compressed records cannot be decompressed.
    #[error("the records of the batch are not valid {0}")]
    BadCompression(Compression),
    /// The records decompress to more than anyone should allocate.
    #[error("the records of the batch decompress to more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

/// The attribute bits of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

impl Attributes {
    const COMPRESSION: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// How the records are compressed.
    pub fn compression(self) -> Result<Compression, BatchError> {
        let id = (self.0 & Self::COMPRESSION) as u8;
        Compression::from_id(id).ok_or(BatchError::UnknownCompression(id))
    }

    /// Whose clock the timestamps come from.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether it holds a control record (a transaction marker, a leader change) and nothing for applications.
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the time at which tombstones may go (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    pub(super) fn with_compression(self, compression: Compression) -> Attributes {
        Attributes(self.0 & !Self::COMPRESSION | i16::from(compression.id()))
    }

    pub(super) fn with_timestamp_type(self, timestamp_type: TimestampType) -> Attributes {
        self.with(Self::LOG_APPEND_TIME, timestamp_type == TimestampType::LogAppendTime)
    }

    pub(super) fn with_transactional(self, transactional: bool) -> Attributes {
        self.with(Self::TRANSACTIONAL, transactional)
    }

    pub(super) fn with_control(self, control: bool) -> Attributes {
        self.with(Self::CONTROL, control)
    }

    pub(super) fn with_delete_horizon(self, has: bool) -> Attributes {
        self.with(Self::DELETE_HORIZON, has)
    }

    fn with(self, bit: i16, set: bool) -> Attributes {
        Attributes(if set { self.0 | bit } else { self.0 & !bit })
    }
}

/// One batch: a window onto the bytes it was parsed from. Cloning it copies nothing.
///
/// That it exists means that the header is complete and the declared length is there. The checksum is looked at by
/// [`RecordBatch::verify_crc`], the records by [`RecordBatch::records`], both only when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBatch {
    bytes: Bytes,
}

impl RecordBatch {
    /// The batch that starts at byte `at`.
    pub fn parse(bytes: &Bytes, at: usize) -> Result<RecordBatch, BatchError> {
        let size = size_of_batch(bytes.get(at..).unwrap_or_default())?;
        Ok(RecordBatch { bytes: bytes.slice(at..at + size) })
    }

    /// The whole batch.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole batch.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// How many bytes it has, header included.
    pub fn size_in_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The offset of the first record (before compaction).
    pub fn base_offset(&self) -> Offset {
        Offset(self.i64_at(field::BASE_OFFSET))
    }

    /// The offset of the last record (before compaction). A hostile header may make it less than the base offset.
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset().0.wrapping_add(i64::from(self.last_offset_delta())))
    }

    /// The offset after the last one.
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.wrapping_add(1))
    }

    /// Last offset minus base offset.
    pub fn last_offset_delta(&self) -> i32 {
        self.i32_at(field::LAST_OFFSET_DELTA)
    }

    /// The epoch of the leader that appended it; -1 before that.
    pub fn partition_leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.i32_at(field::PARTITION_LEADER_EPOCH))
    }

    /// The format: always 2.
    pub fn magic(&self) -> i8 {
        self.bytes[field::MAGIC] as i8
    }

    /// The checksum in the header.
    pub fn crc(&self) -> u32 {
        self.i32_at(field::CRC) as u32
    }

    /// The attribute bits.
    pub fn attributes(&self) -> Attributes {
        Attributes(i16::from_be_bytes(self.array_at(field::ATTRIBUTES)))
    }

    /// How the records are compressed.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        self.attributes().compression()
    }

    /// Whose clock the timestamps come from.
    pub fn timestamp_type(&self) -> TimestampType {
        self.attributes().timestamp_type()
    }

    /// Whether it belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes().is_transactional()
    }

    /// Whether it holds a control record.
    pub fn is_control(&self) -> bool {
        self.attributes().is_control()
    }

    /// When tombstones in it may be removed, if the cleaner has said so (KIP-534).
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        self.attributes().has_delete_horizon().then(|| self.base_timestamp())
    }

    /// What the timestamps of the records are relative to.
    pub fn base_timestamp(&self) -> Timestamp {
        Timestamp(self.i64_at(field::BASE_TIMESTAMP))
    }

    /// The largest timestamp, or the time of the append where the topic says so.
    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp(self.i64_at(field::MAX_TIMESTAMP))
    }

    /// The producer's id, or -1.
    pub fn producer_id(&self) -> i64 {
        self.i64_at(field::PRODUCER_ID)
    }

    /// The producer's epoch, or -1.
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(i16::from_be_bytes(self.array_at(field::PRODUCER_EPOCH)))
    }

    /// Whether an idempotent producer sent it.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id() > -1
    }

    /// The sequence of the first record, or -1.
    pub fn base_sequence(&self) -> Sequence {
        Sequence(self.i32_at(field::BASE_SEQUENCE))
    }

    /// The sequence of the last record, or -1.
    pub fn last_sequence(&self) -> Sequence {
        match self.base_sequence() {
            Sequence::NONE => Sequence::NONE,
            Sequence(base) => {
                // As `Sequence::plus`, but with Java's arithmetic: a hostile header wraps, where ours would panic.
                let delta = self.last_offset_delta();
                let last = if base > i32::MAX.wrapping_sub(delta) {
                    delta.wrapping_sub(i32::MAX.wrapping_sub(base)).wrapping_sub(1)
                } else {
                    base.wrapping_add(delta)
                };
                Sequence(last)
            }
        }
    }

    /// How many records the header says there are. After compaction fewer than the offsets suggest.
    pub fn records_count(&self) -> i32 {
        self.i32_at(field::RECORDS_COUNT)
    }

    /// Whether the bytes are those that were sealed.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let (stored, computed) = (self.crc(), crc32c::crc32c(&self.bytes[field::ATTRIBUTES..]));
        if stored == computed { Ok(()) } else { Err(BatchError::BadCrc { stored, computed }) }
    }

    /// The records, one by one. Keys and values are slices of the batch, or of its decompressed form. What is wrong
    /// comes as an item, the last one.
    pub fn records(&self) -> Records {
        Records::of(self)
    }

    fn i64_at(&self, at: usize) -> i64 {
        i64::from_be_bytes(self.array_at(at))
    }

    fn i32_at(&self, at: usize) -> i32 {
        i32::from_be_bytes(self.array_at(at))
    }

    fn array_at<const N: usize>(&self, at: usize) -> [u8; N] {
        array_at(&self.bytes, at)
    }
}

/// The batches of `bytes`, one after the other, as fetch responses and log files hold them.
pub fn batches(bytes: Bytes) -> Batches {
    Batches { bytes, position: 0, failed: false }
}

/// Iterates over concatenated batches.
///
/// An incomplete last batch ends it quietly: a fetch response is cut at its size limit, wherever that falls. Broken
/// bytes are an error, after which it ends.
#[derive(Clone, Debug)]
pub struct Batches {
    bytes: Bytes,
    position: usize,
    failed: bool,
}

impl Batches {
    /// The end of the last batch that was given out.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match RecordBatch::parse(&self.bytes, self.position) {
            Ok(batch) => {
                self.position += batch.size_in_bytes();
                Some(Ok(batch))
            }
            Err(BatchError::Truncated { .. }) => None,
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

/// The size of the batch at the start of `bytes`, all of which is there.
fn size_of_batch(bytes: &[u8]) -> Result<usize, BatchError> {
    if bytes.len() < HEADER_UP_TO_MAGIC {
        return Err(BatchError::Truncated { needed: HEADER_UP_TO_MAGIC });
    }
    let magic = bytes[field::MAGIC] as i8;
    if magic != MAGIC_V2 {
        return Err(BatchError::BadMagic(magic));
    }
    let length = i32::from_be_bytes(array_at(bytes, field::LENGTH));
    let size = usize::try_from(length).map_err(|_| BatchError::BadLength(length))? + LOG_OVERHEAD;
    if size < BATCH_OVERHEAD {
        return Err(BatchError::BadLength(length));
    }
    if bytes.len() < size {
        return Err(BatchError::Truncated { needed: size });
    }
    Ok(size)
}

/// The bytes of a field. That they are there is the invariant of [`RecordBatch`].
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

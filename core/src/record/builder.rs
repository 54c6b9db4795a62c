//! Building a batch, record by record, as the producer does.
//!
//! Records are written straight into the buffer that becomes the batch. The header is filled in at the end, when the
//! producer's epoch and sequence are known; the CRC is computed once. Compression happens at the end too, so until
//! then the size of a compressed batch is an estimate, as it is for Kafka.
//!
//! Kafka: `MemoryRecordsBuilder`, `AbstractRecords.estimateSizeInBytesUpperBound`.
//! Not modelled: compressing while appending (Kafka's buffers show through only in its memory use).

use bytes::Bytes;

use super::batch::{Attributes, BATCH_OVERHEAD, BatchError, LOG_OVERHEAD, MAGIC_V2, field};
use super::{Compression, Header, compression, patch, record};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, Sequence, Timestamp};

/// A buffer starts with this much room and doubles.
const INITIAL_CAPACITY: usize = BATCH_OVERHEAD + 451;

/// Who sends a batch, and which of its sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// The producer's id; -1 without idempotence.
    pub producer_id: i64,
    /// Its epoch; -1 without idempotence.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of the first record; -1 without idempotence.
    pub base_sequence: Sequence,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
}

impl ProducerState {
    /// A producer without idempotence.
    pub const NONE: ProducerState = ProducerState {
        producer_id: -1,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: Sequence::NONE,
        transactional: false,
    };
}

impl Default for ProducerState {
    fn default() -> Self {
        ProducerState::NONE
    }
}

/// A batch in the making.
///
/// Ask [`has_room_for`](Self::has_room_for), then [`append`](Self::append), and at last [`build`](Self::build). What
/// was built can be sealed again for another producer epoch with
/// [`with_producer_state`](super::with_producer_state).
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    /// Room for the header, then the records, uncompressed.
    buffer: Vec<u8>,
    compression: Compression,
    write_limit: usize,
    /// Compressed size for 1000 bytes, as guessed from earlier batches.
    estimated_ratio_permille: u32,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    control: bool,
    producer_state: ProducerState,
    records_count: i32,
    last_offset_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// An empty batch which is full at `write_limit` bytes (the producer's `batch.size`, or the bound of its first
    /// record if that is larger).
    pub fn new(compression: Compression, write_limit: usize) -> BatchBuilder {
        let mut buffer = Vec::with_capacity(INITIAL_CAPACITY);
        buffer.resize(BATCH_OVERHEAD, 0);
        BatchBuilder {
            buffer,
            compression,
            write_limit,
            estimated_ratio_permille: 1000,
            base_offset: Offset(0),
            leader_epoch: LeaderEpoch::NONE,
            control: false,
            producer_state: ProducerState::NONE,
            records_count: 0,
            last_offset_delta: -1,
            base_timestamp: Timestamp::NONE.0,
            max_timestamp: Timestamp::NONE.0,
        }
    }

    /// No batch with one such record is larger, before compression.
    pub fn size_upper_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> usize {
        BATCH_OVERHEAD + record::size_upper_bound(key, value, headers)
    }

    /// Starts at an offset and carries an epoch: for logs that are written by their leader itself.
    #[must_use]
    pub fn at(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> BatchBuilder {
        self.base_offset = base_offset;
        self.leader_epoch = leader_epoch;
        self
    }

    /// Makes it a control batch.
    #[must_use]
    pub fn control(mut self) -> BatchBuilder {
        self.control = true;
        self
    }

    /// How well this topic's batches have compressed so far; see
    /// [`CompressionRatioEstimator`](super::CompressionRatioEstimator).
    #[must_use]
    pub fn with_estimated_ratio_permille(mut self, permille: u32) -> BatchBuilder {
        self.estimated_ratio_permille = permille;
        self
    }

    /// Who sends it; may be said, and said again, until it is built.
    pub fn set_producer_state(&mut self, state: ProducerState) {
        self.producer_state = state;
    }

    /// Whether a record fits. The first one always does.
    pub fn has_room_for(
        &self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> bool {
        if self.records_count == 0 {
            return true;
        }
        let timestamp_delta = timestamp.0.wrapping_sub(self.base_timestamp);
        let size = record::size_of(self.last_offset_delta + 1, timestamp_delta, key, value, headers);
        !self.is_full() && self.write_limit >= self.estimated_size_in_bytes() + size
    }

    /// Whether nothing more should go in. An empty batch never is, so that a `batch.size` of 0 means one record each.
    pub fn is_full(&self) -> bool {
        self.records_count > 0 && self.write_limit <= self.estimated_size_in_bytes()
    }

    /// Adds a record after the last one and says at which position, from 0.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> i32 {
        self.append_at(self.last_offset_delta + 1, timestamp, key, value, headers)
    }

    /// Adds a record at an offset relative to the base offset; offsets may leave gaps, as after compaction.
    ///
    /// # Panics
    /// If the offset is not larger than that of the last record, or the timestamp is less than -1.
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> i32 {
        assert!(offset_delta > self.last_offset_delta, "offsets must increase");
        assert!(timestamp >= Timestamp::NONE, "a timestamp must not be negative");
        if self.records_count == 0 {
            self.base_timestamp = timestamp.0;
        }
        record::put(&mut self.buffer, offset_delta, timestamp.0 - self.base_timestamp, key, value, headers);
        self.records_count += 1;
        self.last_offset_delta = offset_delta;
        self.max_timestamp = self.max_timestamp.max(timestamp.0);
        offset_delta
    }

    /// How many records it has.
    pub fn records_count(&self) -> i32 {
        self.records_count
    }

    /// Whether it has no records.
    pub fn is_empty(&self) -> bool {
        self.records_count == 0
    }

    /// Its size without compression, header included.
    pub fn uncompressed_size_in_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Its size, exact without compression and an estimate with it.
    pub fn estimated_size_in_bytes(&self) -> usize {
        match self.compression {
            Compression::None => self.buffer.len(),
            Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => {
                let uncompressed = (self.buffer.len() - BATCH_OVERHEAD) as u64;
                // Kafka adds 5 % to the estimated ratio.
                let estimate = uncompressed * u64::from(self.estimated_ratio_permille) * 105 / 100_000;
                BATCH_OVERHEAD + estimate as usize
            }
        }
    }

    /// The batch. Without records it is empty: no bytes at all.
    ///
    /// The only error is [`BatchError::UnsupportedCompression`].
    ///
    /// # Panics
    /// If the batch has 2 GiB or more.
    pub fn build(mut self) -> Result<Bytes, BatchError> {
        if self.records_count == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = match self.compression {
            Compression::None => std::mem::take(&mut self.buffer),
            compression => compression::compress(compression, &self.buffer[BATCH_OVERHEAD..], BATCH_OVERHEAD)?,
        };
        self.write_header(&mut bytes);
        Ok(bytes.into())
    }

    fn write_header(&self, bytes: &mut [u8]) {
        let length = i32::try_from(bytes.len() - LOG_OVERHEAD).expect("a batch is smaller than 2 GiB");
        let attributes = Attributes::default().with_compression(self.compression).with_control(self.control);
        patch::put_offset_and_epoch(bytes, self.base_offset, self.leader_epoch);
        patch::put(bytes, field::LENGTH, length.to_be_bytes());
        patch::put(bytes, field::MAGIC, MAGIC_V2.to_be_bytes());
        patch::put(bytes, field::LAST_OFFSET_DELTA, self.last_offset_delta.to_be_bytes());
        patch::put(bytes, field::BASE_TIMESTAMP, self.base_timestamp.to_be_bytes());
        patch::put(bytes, field::MAX_TIMESTAMP, self.max_timestamp.to_be_bytes());
        patch::put(bytes, field::RECORDS_COUNT, self.records_count.to_be_bytes());
        patch::put_producer_state(bytes, attributes, self.producer_state);
        patch::seal(bytes);
    }
}

//! A batch on its way: from the first record until every callback has run.
//!
//! Kafka: `ProducerBatch`.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::record::{
    BATCH_OVERHEAD, BatchBuilder, BatchError, Compression, CompressionRatioEstimator, ProducerState, RecordBatch,
    with_producer_state,
};
use crate::types::{Instant, LeaderEpoch, RecordId, Sequence, Timestamp, TopicPartition};

/// Every batch that is not done with, by its number.
pub(super) type Batches = BTreeMap<u64, ProducerBatch>;

/// The callback of a record, and what it will be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Callback {
    pub record: RecordId,
    pub timestamp: Timestamp,
}

/// Whether a batch is in a request, waits in its queue, or has told its callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the queue of its partition.
    Queued,
    /// In a request that was not answered yet.
    InRequest,
    /// Expired while in a request. The callbacks have run, but the answer, if one comes, still counts for the sequences.
    ExpiredInRequest,
}

/// A batch of one partition.
#[derive(Clone, Debug)]
pub(super) struct ProducerBatch {
    /// The n-th of this client, from 1.
    pub number: u64,
    /// Its own number, or that of the batch it was split off.
    pub origin: u64,
    pub partition: TopicPartition,
    pub callbacks: Vec<Callback>,
    records_count: i32,
    content: Content,
    /// Whose it is; the sequence is that of its first record.
    pub producer: ProducerState,
    /// The sequence was changed since the last transmission (`sequenceHasBeenReset`).
    pub sequence_was_reset: bool,
    pub created: Instant,
    /// Of its creation, or the last time it was put back.
    pub last_attempt: Instant,
    /// How often it was put back.
    pub attempts: u32,
    /// A retry waits until then.
    pub backoff_until: Instant,
    /// How often it was handed to the network.
    pub transmissions: u32,
    /// An earlier attempt ended without a word that nothing was written.
    pub maybe_written: bool,
    /// Taken from `buffer.memory`; the parts of a split batch take nothing.
    pub memory: u64,
    pub place: Place,
    leader_epoch: LeaderEpoch,
    attempts_when_leader_changed: u32,
}

#[derive(Clone, Debug)]
enum Content {
    Open(Box<BatchBuilder>),
    /// Complete, but nobody has needed the bytes yet.
    Full(Box<BatchBuilder>),
    Built {
        bytes: Bytes,
        producer: ProducerState,
    },
}

impl ProducerBatch {
    pub(super) fn new(
        number: u64,
        partition: TopicPartition,
        builder: BatchBuilder,
        memory: u64,
        now: Instant,
    ) -> Self {
        Self {
            number,
            origin: number,
            partition,
            callbacks: Vec::new(),
            records_count: 0,
            content: Content::Open(Box::new(builder)),
            producer: ProducerState::NONE,
            sequence_was_reset: false,
            created: now,
            last_attempt: now,
            attempts: 0,
            backoff_until: now,
            transmissions: 0,
            maybe_written: false,
            memory,
            place: Place::Queued,
            leader_epoch: LeaderEpoch::NONE,
            attempts_when_leader_changed: 0,
        }
    }

    /// Where records can still be appended.
    pub(super) fn builder(&mut self) -> Option<&mut BatchBuilder> {
        match &mut self.content {
            Content::Open(builder) => Some(builder),
            Content::Full(_) | Content::Built { .. } => None,
        }
    }

    /// Takes no more records (`closeForRecordAppends`).
    pub(super) fn close_for_appends(&mut self) {
        let closed = Content::Built { bytes: Bytes::new(), producer: ProducerState::NONE };
        self.content = match std::mem::replace(&mut self.content, closed) {
            Content::Open(builder) => Content::Full(builder),
            content @ (Content::Full(_) | Content::Built { .. }) => content,
        };
    }

    pub(super) fn is_full(&self) -> bool {
        match &self.content {
            Content::Open(builder) => builder.is_full(),
            Content::Full(_) | Content::Built { .. } => true,
        }
    }

    pub(super) fn records_count(&self) -> i32 {
        self.records_count
    }

    /// One more record was appended.
    pub(super) fn add(&mut self, callback: Callback) {
        self.callbacks.push(callback);
        self.records_count += 1;
    }

    /// What must be known of a batch that expired in a request, should the answer come. One that expires between queue and
    /// request goes out all the same, as in Kafka: the sender drains before it looks at the clock.
    pub(super) fn take_remains(&mut self) -> ProducerBatch {
        let nothing = Content::Built { bytes: Bytes::new(), producer: self.producer };
        ProducerBatch {
            partition: self.partition.clone(),
            callbacks: Vec::new(),
            content: std::mem::replace(&mut self.content, nothing),
            memory: 0,
            place: Place::ExpiredInRequest,
            ..*self
        }
    }

    pub(super) fn size_in_bytes(&self) -> usize {
        match &self.content {
            Content::Open(builder) | Content::Full(builder) => builder.estimated_size_in_bytes(),
            Content::Built { bytes, .. } => bytes.len(),
        }
    }

    /// The bytes to send, with the producer's id, epoch and sequence as they are now.
    pub(super) fn close(
        &mut self,
        compression: Compression,
        ratio: Option<&mut CompressionRatioEstimator>,
    ) -> Result<Bytes, BatchError> {
        let nothing = Content::Built { bytes: Bytes::new(), producer: ProducerState::NONE };
        let bytes = match std::mem::replace(&mut self.content, nothing) {
            Content::Open(mut builder) | Content::Full(mut builder) => {
                builder.set_producer_state(self.producer);
                let uncompressed = builder.uncompressed_size_in_bytes() - BATCH_OVERHEAD;
                let bytes = builder.build()?;
                if let Some(ratio) = ratio {
                    ratio.update(compression, uncompressed, bytes.len().saturating_sub(BATCH_OVERHEAD));
                }
                bytes
            }
            Content::Built { bytes, producer } if producer == self.producer => bytes,
            Content::Built { bytes, .. } => with_producer_state(&RecordBatch::parse(&bytes, 0)?, self.producer),
        };
        self.content = Content::Built { bytes: bytes.clone(), producer: self.producer };
        self.sequence_was_reset = false;
        Ok(bytes)
    }

    pub(super) fn has_sequence(&self) -> bool {
        self.producer.base_sequence != Sequence::NONE
    }

    pub(super) fn last_sequence(&self) -> Sequence {
        self.producer.base_sequence.plus(self.records_count() - 1)
    }

    /// Another identity and sequence for the next transmission.
    pub(super) fn reset_producer_state(&mut self, producer: ProducerState) {
        self.producer = producer;
        self.sequence_was_reset = true;
    }

    /// The leader's epoch as the metadata has it now.
    pub(super) fn maybe_update_leader_epoch(&mut self, latest: LeaderEpoch) {
        if latest > self.leader_epoch {
            self.attempts_when_leader_changed = self.attempts;
            self.leader_epoch = latest;
        }
    }

    /// Whether there is a new leader since it was put back the last time: no reason to wait then (3.7).
    pub(super) fn leader_changed_since_retry(&self, latest: LeaderEpoch) -> bool {
        self.attempts > 0 && (latest > self.leader_epoch || self.attempts == self.attempts_when_leader_changed)
    }

    pub(super) fn is_done(&self) -> bool {
        self.place == Place::ExpiredInRequest
    }
}

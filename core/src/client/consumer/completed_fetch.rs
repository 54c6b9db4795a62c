//! Records that have arrived and that `poll()` has not returned yet.
//!
//! Kafka: `CompletedFetch`, `FetchBuffer`.

use bytes::Bytes;

use crate::client::ConsumerRecord;
use crate::record::{BatchError, Batches, Records, batches};
use crate::types::{LeaderEpoch, Offset, TopicPartition};

/// The answer for one partition, being read.
#[derive(Clone, Debug)]
pub(super) struct CompletedFetch {
    pub partition: TopicPartition,
    /// The offset of the next record to return: what was asked for, then one past what was returned.
    pub next_offset: Offset,
    /// The epoch of the last batch entered, if it has one.
    pub last_epoch: Option<LeaderEpoch>,
    batches: Batches,
    records: Option<Records>,
    /// Where the batch entered ends. Compaction can have taken its last records.
    batch_end: Offset,
    check_crcs: bool,
}

impl CompletedFetch {
    pub fn new(partition: TopicPartition, fetch_offset: Offset, bytes: Bytes, check_crcs: bool) -> Self {
        Self {
            partition,
            next_offset: fetch_offset,
            last_epoch: None,
            batches: batches(bytes),
            records: None,
            batch_end: fetch_offset,
            check_crcs,
        }
    }

    /// The next record at or after the position; `None` at the end. Control batches are skipped.
    pub fn next(&mut self) -> Result<Option<ConsumerRecord>, BatchError> {
        loop {
            if let Some(records) = &mut self.records {
                for record in records.by_ref() {
                    let record = record?;
                    if record.offset < self.next_offset {
                        // A batch is sent whole: it can begin before what was asked for.
                        continue;
                    }
                    self.next_offset = record.offset.next();
                    return Ok(Some(ConsumerRecord {
                        partition: self.partition.clone(),
                        offset: record.offset,
                        timestamp: record.timestamp,
                        key: record.key,
                        value: record.value,
                        headers: record.headers.into_iter().map(|header| (header.0.to_string(), header.1)).collect(),
                    }));
                }
                self.records = None;
                self.next_offset = self.next_offset.max(self.batch_end);
            }
            let Some(batch) = self.batches.next() else { return Ok(None) };
            let batch = batch?;
            if self.check_crcs {
                batch.verify_crc()?;
            }
            self.last_epoch = Some(batch.partition_leader_epoch()).filter(|epoch| *epoch > LeaderEpoch::NONE);
            if batch.is_control() {
                self.next_offset = self.next_offset.max(batch.next_offset());
            } else {
                self.batch_end = batch.next_offset();
                self.records = Some(batch.records());
            }
        }
    }
}

//! Walks over the batches of a log file without trusting it.
//!
//! The file is read in windows: a header at a time would be a read per batch, the whole file a copy of it.
//!
//! Kafka: `FileLogInputStream`, `FileRecords.batches`.

use std::io;

use bytes::Bytes;

use crate::record::{BatchError, RecordBatch};
use crate::storage::{FileId, Storage};

/// How much is read at once; more where a batch is larger.
const WINDOW_BYTES: u64 = 64 * 1024;

/// A walk from some position to the end of a file.
#[derive(Debug)]
pub(super) struct BatchScanner {
    file: FileId,
    position: u64,
    end: u64,
    window: Bytes,
    window_at: u64,
}

/// What comes next in the file.
#[derive(Debug)]
pub(super) enum Scanned {
    /// A batch whose frame is whole: magic and length are possible, the bytes are there.
    Batch {
        /// Where it starts.
        position: u64,
        /// The batch, its CRC not looked at.
        batch: RecordBatch,
    },
    /// The end of the file, exactly after a batch.
    End,
    /// Not all of a batch, and the file is over.
    Torn,
    /// Something that is no batch. There is no going on from here.
    Broken,
}

impl BatchScanner {
    /// From `position` to `end`, both in bytes.
    pub(super) fn new(file: FileId, position: u64, end: u64) -> BatchScanner {
        BatchScanner { file, position, end, window: Bytes::new(), window_at: position }
    }

    /// The next one.
    pub(super) fn next(&mut self, storage: &mut dyn Storage) -> io::Result<Scanned> {
        let left = self.end.saturating_sub(self.position);
        if left == 0 {
            return Ok(Scanned::End);
        }
        loop {
            let at = usize::try_from(self.position - self.window_at).map_err(io::Error::other)?;
            match RecordBatch::parse(&self.window, at) {
                Ok(batch) => {
                    let position = self.position;
                    self.position += batch.size_in_bytes() as u64;
                    return Ok(Scanned::Batch { position, batch });
                }
                Err(BatchError::Truncated { needed }) => {
                    let wanted = WINDOW_BYTES.max(needed as u64).min(left) as usize;
                    self.window = storage.read_at(self.file, self.position, wanted)?;
                    self.window_at = self.position;
                    // It is torn. To go on would be to go on for ever, as with a disk that gives less than it has.
                    if self.window.len() < needed {
                        return Ok(Scanned::Torn);
                    }
                }
                Err(_) => return Ok(Scanned::Broken),
            }
        }
    }
}

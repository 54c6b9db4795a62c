//! The file under an index: entries of fixed size, appended, cut, synced.
//!
//! Kafka: `AbstractIndex`.
//! Not modelled: the memory map and its preallocation to `segment.index.bytes`; the file has the bytes of its entries
//! and no more, as Kafka's has after a clean stop.

use std::io;

use bytes::Bytes;

use crate::storage::{FileId, OpenMode, Storage};

/// An open index file.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexFile {
    file: FileId,
    unsynced: bool,
}

impl IndexFile {
    /// Opens the file and reads what it holds; it is created if absent.
    pub(super) fn open(path: &str, storage: &mut dyn Storage) -> io::Result<(IndexFile, Bytes)> {
        let file = storage.open(path, OpenMode::Create)?;
        let len = usize::try_from(storage.len(file)?).map_err(io::Error::other)?;
        let content = storage.read_at(file, 0, len)?;
        Ok((IndexFile { file, unsynced: false }, content))
    }

    /// Adds bytes at the end.
    pub(super) fn append(&mut self, bytes: &[u8], storage: &mut dyn Storage) -> io::Result<()> {
        self.unsynced = true;
        storage.append(self.file, Bytes::copy_from_slice(bytes))
    }

    /// Keeps the first `len` bytes.
    pub(super) fn truncate(&mut self, len: u64, storage: &mut dyn Storage) -> io::Result<()> {
        self.unsynced = true;
        storage.truncate(self.file, len)
    }

    /// Makes it durable, if there is anything new.
    pub(super) fn sync(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        if self.unsynced {
            storage.sync(self.file)?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Forgets the handle.
    pub(super) fn close(self, storage: &mut dyn Storage) {
        storage.close(self.file);
    }
}

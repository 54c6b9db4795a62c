//! A disk under a process that dies after so many calls to it.

use std::io;

use ackproof_core::storage::{FileId, OpenMode, Storage};
use ackproof_core::types::Duration;
use ackproof_sim::world::SimDisk;
use bytes::Bytes;

pub struct FusedDisk {
    pub disk: SimDisk,
    /// Calls until the process dies; for ever if there is no number.
    pub left: Option<u64>,
}

impl FusedDisk {
    /// Whether the process has died.
    pub fn is_blown(&self) -> bool {
        self.left == Some(0)
    }

    fn burn(&mut self) -> io::Result<()> {
        match &mut self.left {
            None => Ok(()),
            // The process is gone: nothing that it would still do reaches the disk.
            Some(0) => Err(io::Error::other("the process is dead")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

impl Storage for FusedDisk {
    fn open(&mut self, path: &str, mode: OpenMode) -> io::Result<FileId> {
        self.burn()?;
        self.disk.open(path, mode)
    }
    fn close(&mut self, file: FileId) {
        self.disk.close(file);
    }
    fn append(&mut self, file: FileId, data: Bytes) -> io::Result<()> {
        self.burn()?;
        self.disk.append(file, data)
    }
    fn read_at(&mut self, file: FileId, position: u64, len: usize) -> io::Result<Bytes> {
        self.disk.read_at(file, position, len)
    }
    fn len(&self, file: FileId) -> io::Result<u64> {
        self.disk.len(file)
    }
    fn truncate(&mut self, file: FileId, len: u64) -> io::Result<()> {
        self.burn()?;
        self.disk.truncate(file, len)
    }
    fn sync(&mut self, file: FileId) -> io::Result<()> {
        self.burn()?;
        self.disk.sync(file)
    }
    fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        self.burn()?;
        self.disk.sync_dir(path)
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.burn()?;
        self.disk.rename(from, to)
    }
    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.burn()?;
        self.disk.remove(path)
    }
    fn create_dir(&mut self, path: &str) -> io::Result<()> {
        self.burn()?;
        self.disk.create_dir(path)
    }
    fn list(&mut self, path: &str) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }
    fn exists(&self, path: &str) -> bool {
        self.disk.exists(path)
    }
    fn elapsed(&self) -> Duration {
        self.disk.elapsed()
    }
}

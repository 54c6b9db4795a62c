//! For tests: a disk that nothing can change any more, from now on or after so many calls that would. So a disk fails, and so a
//! process dies: nothing that it would still do reaches the disk.

use std::io;

use bytes::Bytes;

use super::{FileId, OpenMode, Storage};
use crate::types::Duration;

/// A disk that fails.
#[derive(Clone, Debug, Default)]
pub struct FailingDisk<S> {
    /// What is on it.
    pub disk: S,
    /// How many more calls change it; all of them if there is no number.
    pub left: Option<u64>,
}

impl<S> FailingDisk<S> {
    /// Whether it has failed.
    pub fn has_failed(&self) -> bool {
        self.left == Some(0)
    }

    fn spend(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("input/output error"))?;
        }
        Ok(())
    }
}

impl<S: Storage> Storage for FailingDisk<S> {
    fn open(&mut self, path: &str, mode: OpenMode) -> io::Result<FileId> {
        self.spend()?;
        self.disk.open(path, mode)
    }
    fn close(&mut self, file: FileId) {
        self.disk.close(file);
    }
    fn append(&mut self, file: FileId, data: Bytes) -> io::Result<()> {
        self.spend()?;
        self.disk.append(file, data)
    }
    fn read_at(&mut self, file: FileId, position: u64, len: usize) -> io::Result<Bytes> {
        self.disk.read_at(file, position, len)
    }
    fn len(&self, file: FileId) -> io::Result<u64> {
        self.disk.len(file)
    }
    fn truncate(&mut self, file: FileId, len: u64) -> io::Result<()> {
        self.spend()?;
        self.disk.truncate(file, len)
    }
    fn sync(&mut self, file: FileId) -> io::Result<()> {
        self.spend()?;
        self.disk.sync(file)
    }
    fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        self.spend()?;
        self.disk.sync_dir(path)
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.spend()?;
        self.disk.rename(from, to)
    }
    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.spend()?;
        self.disk.remove(path)
    }
    fn create_dir(&mut self, path: &str) -> io::Result<()> {
        self.spend()?;
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

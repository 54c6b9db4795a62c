//! A disk in memory on which, from some time on, nothing can be written.

use std::io;

use bytes::Bytes;

use crate::storage::{FileId, MemoryStorage, OpenMode, Storage};
use crate::types::Duration;

#[derive(Default)]
pub(super) struct FailingDisk {
    disk: MemoryStorage,
    fails: bool,
}

impl FailingDisk {
    pub(super) fn fail(&mut self) {
        self.fails = true;
    }

    fn check(&self) -> io::Result<()> {
        if self.fails { Err(io::Error::other("input/output error")) } else { Ok(()) }
    }
}

impl Storage for FailingDisk {
    fn open(&mut self, path: &str, mode: OpenMode) -> io::Result<FileId> {
        self.disk.open(path, mode)
    }
    fn close(&mut self, file: FileId) {
        self.disk.close(file);
    }
    fn append(&mut self, file: FileId, data: Bytes) -> io::Result<()> {
        self.check()?;
        self.disk.append(file, data)
    }
    fn read_at(&mut self, file: FileId, position: u64, len: usize) -> io::Result<Bytes> {
        self.disk.read_at(file, position, len)
    }
    fn len(&self, file: FileId) -> io::Result<u64> {
        self.disk.len(file)
    }
    fn truncate(&mut self, file: FileId, len: u64) -> io::Result<()> {
        self.check()?;
        self.disk.truncate(file, len)
    }
    fn sync(&mut self, file: FileId) -> io::Result<()> {
        self.check()?;
        self.disk.sync(file)
    }
    fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        self.check()?;
        self.disk.sync_dir(path)
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.check()?;
        self.disk.rename(from, to)
    }
    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn create_dir(&mut self, path: &str) -> io::Result<()> {
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

//! For tests: a disk that knows what is not durable yet, and which handles are open.
//!
//! A file is durable when it was synced after the last change of it; its name when its directory was.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;

use crate::storage::{FileId, MemoryStorage, OpenMode, Storage};
use crate::types::Duration;

/// A disk that watches what is done to it.
#[derive(Clone, Debug, Default)]
pub struct WatchedDisk {
    pub disk: MemoryStorage,
    /// Files by handle.
    open: BTreeMap<FileId, String>,
    /// Files whose content is not durable.
    unsynced: BTreeSet<String>,
    /// Directories in which names are not durable.
    unsynced_names: BTreeSet<String>,
    /// Files that say that they are so long.
    pub pretends: BTreeMap<String, u64>,
    /// A file that cannot be read.
    pub unreadable: Option<String>,
}

fn directory(path: &str) -> String {
    path.rsplit_once('/').map_or(String::new(), |(directory, _)| directory.to_owned())
}

impl WatchedDisk {
    pub fn of(disk: MemoryStorage) -> WatchedDisk {
        WatchedDisk { disk, ..WatchedDisk::default() }
    }

    /// Files whose content is not durable, without their directories.
    pub fn unsynced(&self) -> Vec<&str> {
        self.unsynced.iter().map(|path| path.rsplit('/').next().unwrap_or(path)).collect()
    }

    /// Directories in which a name is not durable.
    pub fn unsynced_names(&self) -> Vec<&str> {
        self.unsynced_names.iter().map(String::as_str).collect()
    }

    /// Files of which a handle is open.
    pub fn open_files(&self) -> Vec<&str> {
        self.open.values().map(String::as_str).collect()
    }

    fn touch(&mut self, file: FileId) {
        self.unsynced.extend(self.open.get(&file).cloned());
    }
}

impl Storage for WatchedDisk {
    fn open(&mut self, path: &str, mode: OpenMode) -> io::Result<FileId> {
        let is_new = !self.disk.exists(path);
        let file = self.disk.open(path, mode)?;
        if is_new {
            self.unsynced_names.insert(directory(path));
        }
        if mode == OpenMode::Truncate {
            self.unsynced.insert(path.to_owned());
        }
        self.open.insert(file, path.to_owned());
        Ok(file)
    }
    fn close(&mut self, file: FileId) {
        self.open.remove(&file);
        self.disk.close(file);
    }
    fn append(&mut self, file: FileId, data: Bytes) -> io::Result<()> {
        self.touch(file);
        self.disk.append(file, data)
    }
    fn read_at(&mut self, file: FileId, position: u64, len: usize) -> io::Result<Bytes> {
        if self.unreadable.as_ref().is_some_and(|path| self.open.get(&file) == Some(path)) {
            return Err(io::Error::other("input/output error"));
        }
        self.disk.read_at(file, position, len)
    }
    fn len(&self, file: FileId) -> io::Result<u64> {
        match self.open.get(&file).and_then(|path| self.pretends.get(path)) {
            Some(len) => Ok(*len),
            None => self.disk.len(file),
        }
    }
    fn truncate(&mut self, file: FileId, len: u64) -> io::Result<()> {
        self.touch(file);
        self.disk.truncate(file, len)
    }
    fn sync(&mut self, file: FileId) -> io::Result<()> {
        if let Some(path) = self.open.get(&file) {
            self.unsynced.remove(path);
        }
        self.disk.sync(file)
    }
    fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        self.unsynced_names.remove(path);
        self.disk.sync_dir(path)
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)?;
        self.unsynced_names.insert(directory(to));
        if self.unsynced.remove(from) {
            self.unsynced.insert(to.to_owned());
        }
        self.open.values_mut().filter(|path| *path == from).for_each(|path| to.clone_into(path));
        Ok(())
    }
    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.unsynced.remove(path);
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

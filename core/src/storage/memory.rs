//! A disk without faults and without cost, for tests, documentation and benches.
//!
//! Files are lists of the chunks that were appended; a read inside one chunk is a slice of it.
//! Not modelled: durability. Everything written is there at once and for ever, and no call takes time.

use std::collections::BTreeMap;
use std::io;

use bytes::{Bytes, BytesMut};

use super::{FileId, OpenMode, Storage};
use crate::types::Duration;

/// A fault-free disk in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    /// Path to index in `files`.
    paths: BTreeMap<String, usize>,
    directories: std::collections::BTreeSet<String>,
    /// Every file there ever was; removed ones are empty.
    files: Vec<File>,
    /// Handle to index in `files`.
    handles: Vec<Option<usize>>,
}

#[derive(Clone, Debug, Default)]
struct File {
    chunks: Vec<Chunk>,
    len: u64,
}

#[derive(Clone, Debug)]
struct Chunk {
    position: u64,
    bytes: Bytes,
}

impl MemoryStorage {
    /// The content of a file; `None` if there is none.
    pub fn content(&self, path: &str) -> Option<Bytes> {
        let file = &self.files[*self.paths.get(path)?];
        Some(file.read(0, usize::MAX))
    }

    /// Replaces the content of a file, or creates it: what a test does to plant a torn or corrupt file.
    pub fn put(&mut self, path: &str, content: Bytes) {
        let index = self.create(path);
        self.files[index].chunks.clear();
        self.files[index].len = 0;
        self.files[index].append(content);
    }

    fn create(&mut self, path: &str) -> usize {
        if let Some(index) = self.paths.get(path) {
            return *index;
        }
        self.files.push(File::default());
        self.paths.insert(path.to_owned(), self.files.len() - 1);
        self.files.len() - 1
    }

    fn file(&self, file: FileId) -> io::Result<usize> {
        self.handles.get(file.0 as usize).copied().flatten().ok_or_else(|| io::Error::other("a handle that is closed"))
    }
}

impl File {
    fn append(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.chunks.push(Chunk { position: self.len, bytes });
        self.len = self.chunks.last().map_or(0, Chunk::end);
    }

    fn read(&self, position: u64, len: usize) -> Bytes {
        let end = position.saturating_add(len as u64).min(self.len);
        if position >= end {
            return Bytes::new();
        }
        let first = self.chunks.partition_point(|chunk| chunk.end() <= position);
        let slice = |chunk: &Chunk| {
            let from = position.saturating_sub(chunk.position) as usize;
            let to = (end.min(chunk.end()) - chunk.position) as usize;
            chunk.bytes.slice(from..to)
        };
        if end <= self.chunks[first].end() {
            return slice(&self.chunks[first]);
        }
        let mut joined = BytesMut::with_capacity((end - position) as usize);
        for chunk in self.chunks[first..].iter().take_while(|chunk| chunk.position < end) {
            joined.extend_from_slice(&slice(chunk));
        }
        joined.freeze()
    }

    fn truncate(&mut self, len: u64) {
        if len >= self.len {
            return;
        }
        self.chunks.truncate(self.chunks.partition_point(|chunk| chunk.position < len));
        if let Some(last) = self.chunks.last_mut() {
            last.bytes.truncate((len - last.position) as usize);
        }
        self.len = len;
    }
}

impl Chunk {
    fn end(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn not_found(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no such file or directory: {path}"))
}

impl Storage for MemoryStorage {
    fn open(&mut self, path: &str, mode: OpenMode) -> io::Result<FileId> {
        if !parent(path).is_empty() && !self.directories.contains(parent(path)) {
            return Err(not_found(parent(path)));
        }
        let index = match mode {
            OpenMode::Existing => *self.paths.get(path).ok_or_else(|| not_found(path))?,
            OpenMode::Create => self.create(path),
            OpenMode::Truncate => {
                let index = self.create(path);
                self.files[index].truncate(0);
                index
            }
        };
        let handle = u32::try_from(self.handles.len()).map_err(io::Error::other)?;
        self.handles.push(Some(index));
        Ok(FileId(handle))
    }

    fn close(&mut self, file: FileId) {
        if let Some(handle) = self.handles.get_mut(file.0 as usize) {
            *handle = None;
        }
    }

    fn append(&mut self, file: FileId, data: Bytes) -> io::Result<()> {
        let index = self.file(file)?;
        self.files[index].append(data);
        Ok(())
    }

    fn read_at(&mut self, file: FileId, position: u64, len: usize) -> io::Result<Bytes> {
        Ok(self.files[self.file(file)?].read(position, len))
    }

    fn len(&self, file: FileId) -> io::Result<u64> {
        Ok(self.files[self.file(file)?].len)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> io::Result<()> {
        let index = self.file(file)?;
        self.files[index].truncate(len);
        Ok(())
    }

    fn sync(&mut self, file: FileId) -> io::Result<()> {
        self.file(file).map(|_| ())
    }

    fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        if path.is_empty() || self.directories.contains(path) { Ok(()) } else { Err(not_found(path)) }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        if let Some(index) = self.paths.remove(from) {
            if let Some(replaced) = self.paths.insert(to.to_owned(), index) {
                self.files[replaced] = File::default();
            }
            return Ok(());
        }
        if !self.directories.remove(from) {
            return Err(not_found(from));
        }
        self.directories.insert(to.to_owned());
        let below = format!("{from}/");
        let moved: Vec<String> = self.paths.keys().filter(|path| path.starts_with(&below)).cloned().collect();
        for path in moved {
            if let Some(index) = self.paths.remove(&path) {
                self.paths.insert(format!("{to}/{}", &path[below.len()..]), index);
            }
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        if let Some(index) = self.paths.remove(path) {
            self.files[index] = File::default();
            return Ok(());
        }
        if !self.directories.remove(path) {
            return Err(not_found(path));
        }
        let below = format!("{path}/");
        self.directories.retain(|directory| !directory.starts_with(&below));
        let files = &mut self.files;
        self.paths.retain(|path, index| {
            let stays = !path.starts_with(&below);
            if !stays {
                files[*index] = File::default();
            }
            stays
        });
        Ok(())
    }

    fn create_dir(&mut self, path: &str) -> io::Result<()> {
        self.directories.insert(path.to_owned());
        Ok(())
    }

    fn list(&mut self, path: &str) -> io::Result<Vec<String>> {
        if !path.is_empty() && !self.directories.contains(path) {
            return Err(not_found(path));
        }
        let mut names: Vec<String> = self
            .paths
            .keys()
            .filter(|file| parent(file) == path)
            .map(|file| file.rsplit_once('/').map_or(file.as_str(), |(_, name)| name).to_owned())
            .collect();
        names.extend(
            self.directories.iter().filter(|directory| parent(directory) == path).map(|directory| {
                format!("{}/", directory.rsplit_once('/').map_or(directory.as_str(), |(_, name)| name))
            }),
        );
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &str) -> bool {
        self.paths.contains_key(path) || self.directories.contains(path)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_inside_one_append_shares_its_bytes() {
        let mut disk = MemoryStorage::default();
        let file = disk.open("a", OpenMode::Create).unwrap();
        let chunk = Bytes::from_static(b"hello");
        disk.append(file, chunk.clone()).unwrap();
        disk.append(file, Bytes::from_static(b" world")).unwrap();
        let read = disk.read_at(file, 1, 4).unwrap();
        assert_eq!(read, "ello");
        assert_eq!(read.as_ptr(), chunk[1..].as_ptr(), "no copy");
        assert_eq!(disk.read_at(file, 3, 5).unwrap(), "lo wo");
        assert_eq!(disk.read_at(file, 9, 100).unwrap(), "ld");
        assert_eq!(disk.read_at(file, 11, 1).unwrap(), "");
    }

    #[test]
    fn truncation_cuts_inside_a_chunk_and_appending_goes_on_there() {
        let mut disk = MemoryStorage::default();
        let file = disk.open("a", OpenMode::Create).unwrap();
        disk.append(file, Bytes::from_static(b"abc")).unwrap();
        disk.append(file, Bytes::from_static(b"def")).unwrap();
        disk.truncate(file, 4).unwrap();
        disk.append(file, Bytes::from_static(b"x")).unwrap();
        assert_eq!(disk.content("a").unwrap(), "abcdx");
    }

    #[test]
    fn names_are_listed_in_order_and_directories_end_with_a_slash() {
        let mut disk = MemoryStorage::default();
        disk.create_dir("t-0").unwrap();
        disk.open("t-0/b", OpenMode::Create).unwrap();
        disk.open("t-0/a", OpenMode::Create).unwrap();
        disk.open("c", OpenMode::Create).unwrap();
        assert_eq!(disk.list("").unwrap(), ["c", "t-0/"]);
        assert_eq!(disk.list("t-0").unwrap(), ["a", "b"]);
        assert!(disk.open("missing/file", OpenMode::Create).is_err());
        disk.remove("t-0").unwrap();
        assert!(!disk.exists("t-0/a"));
    }
}

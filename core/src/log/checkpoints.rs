//! Small text files that say how far something has come, replaced as a whole.
//!
//! Kafka: `CheckpointFile`, `OffsetCheckpointFile`, `LeaderEpochCheckpointFile`; format version 0:
//!
//! ```text
//! 0                  version
//! 2                  number of entries
//! orders 0 17        one entry a line: topic, partition, offset (or, of epochs: epoch, start offset)
//! orders 1 23
//! ```
//!
//! A file is written beside the old one, synced and renamed over it, so that a crash leaves the old or the new one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use bytes::Bytes;

use crate::storage::{OpenMode, Storage};
use crate::types::{Offset, TopicPartition};

const VERSION: &str = "0";

/// A file of offsets by partition: `recovery-point-offset-checkpoint`, `replication-offset-checkpoint`,
/// `log-start-offset-checkpoint`, `cleaner-offset-checkpoint`.
#[derive(Clone, Debug)]
pub struct OffsetCheckpointFile {
    path: &'static str,
}

impl OffsetCheckpointFile {
    /// Below it, everything is on the device.
    pub const RECOVERY_POINT: OffsetCheckpointFile = OffsetCheckpointFile { path: "recovery-point-offset-checkpoint" };
    /// Where logs begin, as far as that is not where their first segment begins.
    pub const LOG_START: OffsetCheckpointFile = OffsetCheckpointFile { path: "log-start-offset-checkpoint" };
    /// How far the cleaner has come.
    pub const CLEANER: OffsetCheckpointFile = OffsetCheckpointFile { path: "cleaner-offset-checkpoint" };
    /// The high watermarks.
    pub const HIGH_WATERMARK: OffsetCheckpointFile = OffsetCheckpointFile { path: "replication-offset-checkpoint" };

    /// Replaces the file in the root of the storage.
    pub fn write<'a>(
        &self,
        offsets: impl IntoIterator<Item = (&'a TopicPartition, Offset)>,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        self.write_at(self.path, offsets, storage)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.path
    }

    /// Replaces the file at `path`.
    pub fn write_at<'a>(
        &self,
        path: &str,
        offsets: impl IntoIterator<Item = (&'a TopicPartition, Offset)>,
        storage: &mut dyn Storage,
    ) -> io::Result<()> {
        let lines = offsets
            .into_iter()
            .map(|(partition, offset)| format!("{} {} {offset}", partition.topic.as_str(), partition.partition));
        write_lines(path, lines, storage)
    }

    /// Reads the file in the root of the storage; empty if there is none, an error if it is malformed.
    pub fn read(&self, storage: &mut dyn Storage) -> io::Result<BTreeMap<TopicPartition, Offset>> {
        self.read_at(self.path, storage)
    }

    /// Reads the file at `path`.
    pub fn read_at(&self, path: &str, storage: &mut dyn Storage) -> io::Result<BTreeMap<TopicPartition, Offset>> {
        let mut offsets = BTreeMap::new();
        for line in read_lines(path, storage)? {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [topic, partition, offset] = fields[..] else { return Err(malformed(path, &line)) };
            let (Ok(partition), Ok(offset)) = (partition.parse(), offset.parse()) else {
                return Err(malformed(path, &line));
            };
            if offsets.insert(TopicPartition::of(topic, partition), Offset(offset)).is_some() {
                return Err(malformed(path, &line));
            }
        }
        Ok(offsets)
    }
}

/// Replaces the file at `path` by one with these entries.
pub(super) fn write_lines(
    path: &str,
    lines: impl Iterator<Item = String>,
    storage: &mut dyn Storage,
) -> io::Result<()> {
    let mut entries = String::new();
    let mut count = 0;
    for line in lines {
        entries.push_str(&line);
        entries.push('\n');
        count += 1;
    }
    let mut text = format!("{VERSION}\n{count}\n");
    // Writing to a String cannot fail.
    let _ = text.write_str(&entries);

    let temporary = format!("{path}.tmp");
    let file = storage.open(&temporary, OpenMode::Truncate)?;
    let written = storage.append(file, Bytes::from(text)).and_then(|()| storage.sync(file));
    storage.close(file);
    written?;
    storage.rename(&temporary, path)?;
    storage.sync_dir(path.rsplit_once('/').map_or("", |(directory, _)| directory))
}

/// The entries of the file at `path`; none if it does not exist.
pub(super) fn read_lines(path: &str, storage: &mut dyn Storage) -> io::Result<Vec<String>> {
    if !storage.exists(path) {
        return Ok(Vec::new());
    }
    let file = storage.open(path, OpenMode::Existing)?;
    let bytes = storage.len(file).and_then(|len| storage.read_at(file, 0, usize::try_from(len).unwrap_or(usize::MAX)));
    storage.close(file);
    let bytes = bytes?;
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed(path, "(not text)"))?;
    let mut lines = text.lines();
    match lines.next() {
        Some(version) if version.trim() == VERSION => {}
        Some(version) => return Err(malformed(path, version)),
        // Kafka creates the file before it has anything to say.
        None => return Ok(Vec::new()),
    }
    let count = lines.next().unwrap_or_default();
    let entries: Vec<String> = lines.map(str::to_owned).collect();
    if count.trim().parse() != Ok(entries.len()) {
        return Err(malformed(path, count));
    }
    Ok(entries)
}

/// The error for a file that says something it cannot say.
pub(super) fn malformed(path: &str, line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed line `{line}` in {path}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::MemoryStorage;

    fn put(storage: &mut MemoryStorage, path: &str, bytes: &[u8]) {
        let file = storage.open(path, OpenMode::Truncate).unwrap();
        storage.append(file, Bytes::copy_from_slice(bytes)).unwrap();
        storage.close(file);
    }

    #[test]
    fn the_file_is_kafkas_text() {
        let mut storage = MemoryStorage::default();
        let (orders, users) = (TopicPartition::of("orders", 0), TopicPartition::of("users", 12));
        OffsetCheckpointFile::HIGH_WATERMARK.write([(&orders, Offset(17)), (&users, Offset(0))], &mut storage).unwrap();
        let file = storage.open("replication-offset-checkpoint", OpenMode::Existing).unwrap();
        assert_eq!(storage.read_at(file, 0, 1000).unwrap(), "0\n2\norders 0 17\nusers 12 0\n");
        assert!(!storage.exists("replication-offset-checkpoint.tmp"));
        let read = OffsetCheckpointFile::HIGH_WATERMARK.read(&mut storage).unwrap();
        assert_eq!(read, BTreeMap::from([(orders, Offset(17)), (users, Offset(0))]));
    }

    #[test]
    fn a_missing_file_is_empty_and_a_malformed_one_is_an_error() {
        let mut storage = MemoryStorage::default();
        assert!(OffsetCheckpointFile::RECOVERY_POINT.read(&mut storage).unwrap().is_empty());
        for text in
            ["1\n0\n", "0\n2\nt 0 1\n", "0\n1\nt 0\n", "0\n1\nt x 1\n", "0\n2\nt 0 1\nt 0 2\n", "0", "\u{0}\u{0}"]
        {
            put(&mut storage, "recovery-point-offset-checkpoint", text.as_bytes());
            let error = OffsetCheckpointFile::RECOVERY_POINT.read(&mut storage).expect_err(text);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut storage = MemoryStorage::default();
            put(&mut storage, "recovery-point-offset-checkpoint", &bytes);
            if let Err(error) = OffsetCheckpointFile::RECOVERY_POINT.read(&mut storage) {
                prop_assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            }
        }
    }
}

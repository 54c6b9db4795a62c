//! `partition.metadata` in a log's directory: which topic the log belongs to. The name of a topic may come back after the
//! topic was deleted; its id never does.
//!
//! Kafka: `PartitionMetadataFile`, KIP-516.
//! Not modelled: Kafka makes the file durable before the first append; here the page cache holds it until it is written
//! back, and a log without a readable one is taken for that of the topic which has its name.

use std::io;

use bytes::Bytes;
use uuid::Uuid;

use crate::storage::{OpenMode, Storage};
use crate::types::kafka_uuid::{decode, encode};

/// The file is short.
const MAX_BYTES: usize = 1024;

fn path(directory: &str) -> String {
    format!("{directory}/partition.metadata")
}

/// The topic that the log in this directory belongs to; none if there is no such file, or none that can be read.
pub fn read_topic_id(directory: &str, storage: &mut dyn Storage) -> io::Result<Option<Uuid>> {
    let path = path(directory);
    if !storage.exists(&path) {
        return Ok(None);
    }
    let file = storage.open(&path, OpenMode::Existing)?;
    let bytes = storage.read_at(file, 0, MAX_BYTES);
    storage.close(file);
    let bytes = bytes?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    Ok(text.lines().find_map(|line| line.strip_prefix("topic_id: ")).and_then(decode))
}

/// Writes the file.
pub fn write_topic_id(directory: &str, topic_id: Uuid, storage: &mut dyn Storage) -> io::Result<()> {
    let text = format!("version: 0\ntopic_id: {}", encode(topic_id));
    let file = storage.open(&path(directory), OpenMode::Truncate)?;
    let written = storage.append(file, Bytes::from(text));
    storage.close(file);
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn what_was_written_is_read() {
        let mut disk = MemoryStorage::default();
        disk.create_dir("orders-0").expect("there is room");
        assert_eq!(read_topic_id("orders-0", &mut disk).expect("no file is no error"), None);
        write_topic_id("orders-0", Uuid::from_u128(7), &mut disk).expect("there is room");
        assert_eq!(read_topic_id("orders-0", &mut disk).expect("it is there"), Some(Uuid::from_u128(7)));
    }
}

//! The disk as a machine sees it: synchronous calls, real errors.
//!
//! What is written is visible to every later read; only [`Storage::sync`] makes it survive a loss of power. The
//! host keeps page cache and durable image apart, and turns the device time of the calls into the moment at which
//! what the machine says afterwards takes effect.
//!
//! Paths are relative to the node's log directory and use `/`: `orders-0/00000000000000000000.log`.

mod failing;
mod memory;

use std::io;

use bytes::Bytes;

pub use failing::FailingDisk;
pub use memory::MemoryStorage;

use crate::types::Duration;

/// An open file. It stays valid when the file is renamed, and until it is closed or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist.
    Existing,
    /// It is created if it does not exist; what it holds is kept.
    Create,
    /// It is created, or emptied if it exists.
    Truncate,
}

/// The disk of one node.
pub trait Storage {
    /// Opens a file. Parent directories must exist.
    fn open(&mut self, path: &str, mode: OpenMode) -> io::Result<FileId>;
    /// Forgets the handle. What was written stays.
    fn close(&mut self, file: FileId);
    /// Adds `data` at the end of the file. The bytes are shared, not copied.
    fn append(&mut self, file: FileId, data: Bytes) -> io::Result<()>;
    /// Reads at most `len` bytes from `position`; fewer at the end of the file, none beyond it.
    fn read_at(&mut self, file: FileId, position: u64, len: usize) -> io::Result<Bytes>;
    /// The length of the file in bytes.
    fn len(&self, file: FileId) -> io::Result<u64>;
    /// Cuts the file to `len` bytes; longer files only.
    fn truncate(&mut self, file: FileId, len: u64) -> io::Result<()>;
    /// Makes everything written to the file so far durable (`fsync`).
    fn sync(&mut self, file: FileId) -> io::Result<()>;
    /// Makes the entries of a directory durable (`fsync` of the directory); `""` is the root.
    fn sync_dir(&mut self, path: &str) -> io::Result<()>;
    /// Renames a file or directory, replacing a file that is there (`rename(2)`).
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file, or a directory with all that is in it.
    fn remove(&mut self, path: &str) -> io::Result<()>;
    /// Creates a directory; no error if it exists.
    fn create_dir(&mut self, path: &str) -> io::Result<()>;
    /// The names in a directory, sorted; directories end with `/`.
    fn list(&mut self, path: &str) -> io::Result<Vec<String>>;
    /// Whether a file or directory of this name exists.
    fn exists(&self, path: &str) -> bool;
    /// Device time spent by the calls since the current input began; what is said next takes effect that much later.
    fn elapsed(&self) -> Duration;
}

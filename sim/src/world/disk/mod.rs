//! The disk of one machine, and what it does when things go wrong.
//!
//! Fault model:
//! * What is written is in the page cache: every later read sees it, and a killed process leaves it there.
//! * `sync` makes a file durable; so does the operating system's write-back: every [`DiskSpec::writeback_interval`] it
//!   writes what is older than [`DiskSpec::writeback`] (`vm.dirty_writeback_centisecs`, `vm.dirty_expire_centisecs`), and
//!   the oldest pages at once when more than [`DiskSpec::dirty_bytes`] wait (`vm.dirty_background_bytes`). It writes
//!   nothing to a device that fails, is full of errors or stalls.
//! * A loss of power keeps what is durable, and of the rest what [`Keep`] says: nothing, a prefix, a prefix that ends
//!   inside a write, or any subset of pages. What is lost below something that survived reads as zeros.
//! * What is wrong with a disk, or with one log directory of it, is a [`DiskFaults`]; several can be in force at once.
//! * Files can be damaged behind the back of the process ([`damage`]): a flipped bit, a lost or zeroed tail, a file gone.
//!   A disk can be replaced by an empty one, or be as it was at an earlier time.
//!
//! Truth and fault are apart: the file holds what was written; each write says whether it would survive.
//!
//! Not modelled: names are durable at once (creating, renaming, removing and truncating a file), as on a journalling file
//! system that orders them; reads never need the device when it is well; calls do not queue up at the device.

mod damage;
mod faults;
mod file;
mod storage;

use std::collections::BTreeMap;

use ackproof_core::storage::FileId;
use ackproof_core::types::{Duration, Instant, Prng};

pub use damage::{Damage, Extent};
use faults::Active;
pub use faults::{DiskFault, DiskFaults, STALLED};
use file::File;

/// How a disk behaves when it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// Time of one write into the page cache.
    pub write: Duration,
    /// Time of one `sync` that has something to do.
    pub sync: Duration,
    /// The operating system writes dirty pages back when they are this old.
    pub writeback: Duration,
    /// How often it looks for old ones; zero is always.
    pub writeback_interval: Duration,
    /// When more bytes than this are dirty, the oldest are written back without waiting for their age.
    pub dirty_bytes: Option<u64>,
    /// How many bytes fit into each log directory; none is no limit.
    pub capacity: Option<u64>,
}

impl Default for DiskSpec {
    /// A solid-state disk under Linux defaults: 2 µs a write, 1 ms a sync, dirty pages expire after 30 s.
    fn default() -> Self {
        Self {
            write: Duration::from_micros(2),
            sync: Duration::from_millis(1),
            writeback: Duration::from_secs(30),
            writeback_interval: Duration::from_secs(5),
            dirty_bytes: None,
            capacity: None,
        }
    }
}

/// What of the unsynced data survives a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// The first so many writes of each file, drawn.
    Prefix,
    /// As [`Keep::Prefix`], and a piece of the next write.
    Torn,
    /// Any pages, drawn one by one.
    Subset,
    /// Everything: the power was back before it mattered.
    Everything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    File(FileId),
    Directory,
}

/// Bytes at risk and bytes lost when the power went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerLoss {
    /// Written but not durable.
    pub unsynced_bytes: u64,
    /// Of those, gone.
    pub lost_bytes: u64,
}

/// A simulated disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    spec: DiskSpec,
    names: BTreeMap<String, Entry>,
    files: BTreeMap<FileId, File>,
    next_file: u32,
    now: Instant,
    elapsed: Duration,
    /// Where a write breaks off.
    rng: Prng,
    /// The log directories that are devices of their own; none means that the whole disk is one.
    devices: Vec<String>,
    active: Vec<Active>,
    /// The steps whose faults made a call fail, lie or wait since the world last looked.
    bitten: Vec<usize>,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(spec: DiskSpec, rng: Prng) -> Self {
        Self {
            spec,
            names: BTreeMap::new(),
            files: BTreeMap::new(),
            next_file: 0,
            now: Instant::START,
            elapsed: Duration::ZERO,
            rng,
            devices: Vec::new(),
            active: Vec::new(),
            bitten: Vec::new(),
        }
    }

    /// The directories below the root that are devices of their own.
    pub fn with_devices(mut self, devices: Vec<String>) -> Self {
        self.devices = devices;
        self
    }

    /// A new input is being handled: device time counts from zero.
    pub fn begin(&mut self, now: Instant) {
        self.now = now;
        self.elapsed = Duration::ZERO;
    }

    /// The machine loses power at `now`. Open handles are gone with the process.
    pub fn lose_power(&mut self, now: Instant, keep: Keep, rng: &mut Prng) -> PowerLoss {
        self.now = now;
        self.write_back();
        let mut loss = PowerLoss::default();
        for file in self.files.values_mut() {
            let at_risk = file.bytes_at_risk();
            loss.unsynced_bytes += at_risk;
            if at_risk > 0 {
                loss.lost_bytes += file.lose_power(keep, rng);
            }
        }
        loss
    }

    /// Replaces the disk by an empty one. Returns how many bytes were on it.
    pub fn wipe(&mut self) -> u64 {
        let bytes = self.used("");
        self.names.clear();
        self.files.clear();
        bytes
    }

    /// The disk is as it was in `earlier`. What is wrong with it stays wrong. Returns how many bytes it had more then, or
    /// has more now.
    pub fn roll_back(&mut self, earlier: &SimDisk) -> u64 {
        let before = self.used("");
        self.names.clone_from(&earlier.names);
        self.files.clone_from(&earlier.files);
        // A handle of a later life must not open an earlier file.
        self.next_file = self.next_file.max(earlier.next_file);
        before.abs_diff(self.used(""))
    }

    /// What is on it, read by somebody for whom nothing is wrong with it.
    pub fn without_faults(&self) -> SimDisk {
        let mut well = self.clone();
        well.active.clear();
        well.spec.capacity = None;
        well
    }

    /// How many bytes of a file would survive a loss of power at `now`, and its length.
    pub fn durable_length(&self, path: &str, now: Instant) -> Option<(u64, u64)> {
        let mut file = self.file_at(path)?.clone();
        file.write_back(now, &self.spec);
        Some((file.durable_length(), file.len()))
    }

    /// The bytes of all files below a directory.
    pub fn used(&self, directory: &str) -> u64 {
        let files = self.names.iter().filter(|(name, _)| is_below(name, directory));
        let size = |entry: &Entry| match entry {
            Entry::File(id) => self.files.get(id).map_or(0, File::len),
            Entry::Directory => 0,
        };
        files.map(|(_, entry)| size(entry)).sum()
    }

    /// The operating system writes back what is due, where the device lets it.
    fn write_back(&mut self) {
        let (now, spec) = (self.now, &self.spec);
        for file in self.files.values_mut() {
            if !self.active.iter().any(|fault| fault.stops_write_back(file.path())) {
                file.write_back(now, spec);
            }
        }
    }

    /// Too many pages are dirty: the oldest go to the device at once.
    fn write_back_oldest(&mut self, limit: u64) {
        let mut dirty: u64 = self.files.values().map(File::dirty_bytes).sum();
        while dirty > limit {
            let blocked = |file: &File| self.active.iter().any(|fault| fault.stops_write_back(file.path()));
            let oldest = self
                .files
                .iter()
                .filter(|(_, file)| !blocked(file))
                .filter_map(|(id, file)| Some((file.oldest_dirty()?, *id)))
                .min();
            let Some((_, id)) = oldest else { return };
            let Some(file) = self.files.get_mut(&id) else { return };
            dirty -= file.write_back_oldest();
        }
    }

    fn file_at(&self, path: &str) -> Option<&File> {
        match self.names.get(path) {
            Some(Entry::File(id)) => self.files.get(id),
            Some(Entry::Directory) | None => None,
        }
    }

    fn file_at_mut(&mut self, path: &str) -> Option<&mut File> {
        match self.names.get(path) {
            Some(Entry::File(id)) => self.files.get_mut(id),
            Some(Entry::Directory) | None => None,
        }
    }
}

/// Whether a path is a directory or lies in it; everything lies in the root, `""`.
fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;

//! The disk of one machine, and what it does when things go wrong.
//!
//! Fault model:
//! * What is written is in the page cache: every later read sees it, and a killed process leaves it there.
//! * `sync` makes a file durable; so does the operating system's write-back, some time after the write
//!   ([`DiskSpec::writeback`], `vm.dirty_expire_centisecs`).
//! * A loss of power keeps what is durable, and of the rest what [`Keep`] says: nothing, a prefix, a prefix that ends
//!   inside a write, or any subset of pages (a lost page reads as zeros when a later one survived).
//! * A disk can refuse writes (`ENOSPC`), fail every call (`EIO`), fail every `sync`, lie about every `sync`, be slow,
//!   flip a bit, or be empty after a change of disks.
//!
//! Truth and fault are apart: the file holds what was written; [`File::durable`] says how much of it would survive.
//!
//! Not modelled: names are durable at once (creating, renaming, removing and truncating a file), as on a journalling file
//! system that orders them; a failed `sync` does not drop dirty pages; reads never need the device.

use std::collections::BTreeMap;
use std::io;

use ackproof_core::storage::{FileId, OpenMode, Storage};
use ackproof_core::types::{Duration, Instant, Prng};
use bytes::{Bytes, BytesMut};

const PAGE: u64 = 4096;

/// How a disk behaves when it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// Time of one write into the page cache.
    pub write: Duration,
    /// Time of one `sync` that has something to do.
    pub sync: Duration,
    /// The operating system writes dirty pages back after this long.
    pub writeback: Duration,
}

impl Default for DiskSpec {
    /// A solid-state disk under Linux defaults: 2 µs a write, 1 ms a sync, dirty pages expire after 30 s.
    fn default() -> Self {
        Self { write: Duration::from_micros(2), sync: Duration::from_millis(1), writeback: Duration::from_secs(30) }
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

/// What is wrong with the disk right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskFaults {
    /// Every call fails with EIO.
    pub io_error: bool,
    /// Every write fails with ENOSPC.
    pub full: bool,
    /// Every `sync` fails with EIO.
    pub sync_error: bool,
    /// Every `sync` says yes and does nothing.
    pub sync_lies: bool,
    /// Every call takes so much longer.
    pub slow: Duration,
}

#[derive(Clone, Debug)]
struct Write {
    start: u64,
    data: Bytes,
    at: Instant,
}

#[derive(Clone, Debug, Default)]
struct File {
    writes: Vec<Write>,
    len: u64,
    /// Bytes from the start that a `sync` made durable.
    durable: u64,
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
    /// What is wrong with it.
    pub faults: DiskFaults,
    /// How many calls failed, lied or were slow because of [`SimDisk::faults`] since the world last looked.
    pub bitten: u64,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(spec: DiskSpec) -> Self {
        Self {
            spec,
            names: BTreeMap::new(),
            files: BTreeMap::new(),
            next_file: 0,
            now: Instant::START,
            elapsed: Duration::ZERO,
            faults: DiskFaults::default(),
            bitten: 0,
        }
    }

    /// A new input is being handled: device time counts from zero.
    pub fn begin(&mut self, now: Instant) {
        self.now = now;
        self.elapsed = Duration::ZERO;
    }

    /// The machine loses power at `now`. Open handles are gone with the process.
    pub fn lose_power(&mut self, now: Instant, keep: Keep, rng: &mut Prng) -> PowerLoss {
        let mut loss = PowerLoss::default();
        for file in self.files.values_mut() {
            let safe = file.safe_length(now, self.spec.writeback);
            let at_risk = file.len - safe;
            loss.unsynced_bytes += at_risk;
            if at_risk > 0 {
                loss.lost_bytes += file.lose_unsynced(safe, keep, rng);
            }
            file.durable = file.len;
        }
        loss
    }

    /// Replaces the disk by an empty one. Returns how many bytes were on it.
    pub fn wipe(&mut self) -> u64 {
        let bytes = self.files.values().map(|file| file.len).sum();
        self.names.clear();
        self.files.clear();
        bytes
    }

    /// Flips one bit of a file. Returns whether the file is that long.
    pub fn flip_bit(&mut self, path: &str, bit: u64) -> bool {
        let Some(Entry::File(id)) = self.names.get(path).copied() else { return false };
        let Some(file) = self.files.get_mut(&id) else { return false };
        let position = bit / 8;
        let Some(write) = file.writes.iter_mut().find(|write| (write.start..write.end()).contains(&position)) else {
            return false;
        };
        let mut data = BytesMut::from(&write.data[..]);
        data[(position - write.start) as usize] ^= 1 << (bit % 8);
        write.data = data.freeze();
        true
    }

    /// How many bytes of a file would survive a loss of power at `now`, and its length.
    pub fn durable_length(&self, path: &str, now: Instant) -> Option<(u64, u64)> {
        let Some(Entry::File(id)) = self.names.get(path) else { return None };
        let file = self.files.get(id)?;
        Some((file.safe_length(now, self.spec.writeback), file.len))
    }

    fn spend(&mut self, cost: Duration) -> io::Result<()> {
        self.elapsed += cost + self.faults.slow;
        if self.faults.slow > Duration::ZERO {
            self.bitten += 1;
        }
        if self.faults.io_error {
            self.bitten += 1;
            return Err(io::Error::other("EIO: input/output error"));
        }
        Ok(())
    }

    fn file(&mut self, id: FileId) -> io::Result<&mut File> {
        self.files.get_mut(&id).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn parent_exists(&self, path: &str) -> bool {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.names.get(parent) == Some(&Entry::Directory),
            None => true,
        }
    }
}

impl Write {
    fn end(&self) -> u64 {
        self.start + self.data.len() as u64
    }
}

impl File {
    /// What is durable at `now`: synced, or written long enough ago that the system has written it back.
    fn safe_length(&self, now: Instant, writeback: Duration) -> u64 {
        let written_back = self.writes.partition_point(|write| write.at + writeback <= now);
        let written_back = written_back.checked_sub(1).map_or(0, |last| self.writes[last].end());
        self.durable.max(written_back).min(self.len)
    }

    fn cut(&mut self, len: u64) {
        let whole = self.writes.partition_point(|write| write.end() <= len);
        self.writes.truncate(whole + 1);
        if let Some(last) = self.writes.get_mut(whole) {
            if last.start < len {
                last.data.truncate((len - last.start) as usize);
            } else {
                self.writes.truncate(whole);
            }
        }
        self.len = self.len.min(len);
        self.durable = self.durable.min(len);
    }

    /// Applies a loss of power to everything above `safe`; returns how many bytes are gone.
    fn lose_unsynced(&mut self, safe: u64, keep: Keep, rng: &mut Prng) -> u64 {
        let before = self.len;
        match keep {
            Keep::Everything => {}
            Keep::Nothing => self.cut(safe),
            Keep::Prefix | Keep::Torn => {
                let ends: Vec<u64> = self.writes.iter().map(Write::end).filter(|end| *end > safe).collect();
                let kept = rng.below(ends.len() as u64 + 1) as usize;
                let mut len = kept.checked_sub(1).map_or(safe, |last| ends[last]);
                if keep == Keep::Torn
                    && let Some(next) = ends.get(kept)
                {
                    len += rng.below(next - len);
                }
                self.cut(len);
            }
            Keep::Subset => return self.lose_pages(safe, rng),
        }
        before - self.len
    }

    fn lose_pages(&mut self, safe: u64, rng: &mut Prng) -> u64 {
        let mut content = BytesMut::from(&self.read(0, self.len as usize)[..]);
        let mut lost = 0;
        let mut end = safe;
        let mut page_start = safe;
        while page_start < self.len {
            let page_end = ((page_start / PAGE + 1) * PAGE).min(self.len);
            if rng.below(2) == 0 {
                content[page_start as usize..page_end as usize].fill(0);
                lost += page_end - page_start;
            } else {
                end = page_end;
            }
            page_start = page_end;
        }
        content.truncate(end as usize);
        self.len = end;
        self.writes = vec![Write { start: 0, data: content.freeze(), at: Instant::START }];
        lost
    }

    fn read(&self, position: u64, len: usize) -> Bytes {
        let end = position.saturating_add(len as u64).min(self.len);
        if position >= end {
            return Bytes::new();
        }
        let first = self.writes.partition_point(|write| write.end() <= position);
        let write = &self.writes[first];
        if end <= write.end() {
            return write.data.slice((position - write.start) as usize..(end - write.start) as usize);
        }
        let mut joined = BytesMut::with_capacity((end - position) as usize);
        for write in &self.writes[first..] {
            if write.start >= end {
                break;
            }
            let from = position.max(write.start) - write.start;
            let to = end.min(write.end()) - write.start;
            joined.extend_from_slice(&write.data[from as usize..to as usize]);
        }
        joined.freeze()
    }
}

impl Storage for SimDisk {
    fn open(&mut self, path: &str, mode: OpenMode) -> io::Result<FileId> {
        self.spend(Duration::ZERO)?;
        if path.is_empty() || !self.parent_exists(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        match self.names.get(path) {
            Some(Entry::Directory) => Err(io::Error::other("EISDIR: is a directory")),
            Some(Entry::File(id)) => {
                let id = *id;
                if mode == OpenMode::Truncate {
                    self.file(id)?.cut(0);
                }
                Ok(id)
            }
            None if mode == OpenMode::Existing => Err(io::ErrorKind::NotFound.into()),
            None => {
                let id = FileId(self.next_file);
                self.next_file += 1;
                self.files.insert(id, File::default());
                self.names.insert(path.to_owned(), Entry::File(id));
                Ok(id)
            }
        }
    }

    fn close(&mut self, _file: FileId) {}

    fn append(&mut self, file: FileId, data: Bytes) -> io::Result<()> {
        self.spend(self.spec.write)?;
        if self.faults.full {
            self.bitten += 1;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let now = self.now;
        let file = self.file(file)?;
        if !data.is_empty() {
            let start = file.len;
            file.len += data.len() as u64;
            file.writes.push(Write { start, data, at: now });
        }
        Ok(())
    }

    fn read_at(&mut self, file: FileId, position: u64, len: usize) -> io::Result<Bytes> {
        self.spend(Duration::ZERO)?;
        Ok(self.file(file)?.read(position, len))
    }

    fn len(&self, file: FileId) -> io::Result<u64> {
        self.files.get(&file).map(|file| file.len).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn truncate(&mut self, file: FileId, len: u64) -> io::Result<()> {
        self.spend(self.spec.write)?;
        self.file(file)?.cut(len);
        Ok(())
    }

    fn sync(&mut self, file: FileId) -> io::Result<()> {
        let dirty = self.file(file)?;
        let has_work = dirty.durable < dirty.len;
        self.spend(if has_work { self.spec.sync } else { Duration::ZERO })?;
        if self.faults.sync_error {
            self.bitten += 1;
            return Err(io::Error::other("EIO: fsync failed"));
        }
        if self.faults.sync_lies {
            self.bitten += u64::from(has_work);
            return Ok(());
        }
        let file = self.file(file)?;
        file.durable = file.len;
        Ok(())
    }

    fn sync_dir(&mut self, _path: &str) -> io::Result<()> {
        self.spend(Duration::ZERO)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.spend(self.spec.write)?;
        let entry = *self.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        if !self.parent_exists(to) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(Entry::File(replaced)) = self.names.get(to).copied() {
            self.files.remove(&replaced);
        }
        if entry == Entry::Directory {
            let below = format!("{from}/");
            let moved: Vec<String> = self.names.keys().filter(|name| name.starts_with(&below)).cloned().collect();
            for name in moved {
                let inner = self.names.remove(&name).expect("its name was just listed");
                self.names.insert(format!("{to}/{}", &name[below.len()..]), inner);
            }
        }
        self.names.remove(from);
        self.names.insert(to.to_owned(), entry);
        Ok(())
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.spend(self.spec.write)?;
        let entry = self.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        let mut gone = vec![entry];
        if entry == Entry::Directory {
            let below = format!("{path}/");
            let inner: Vec<String> = self.names.keys().filter(|name| name.starts_with(&below)).cloned().collect();
            gone.extend(inner.iter().filter_map(|name| self.names.remove(name)));
        }
        for entry in gone {
            if let Entry::File(id) = entry {
                self.files.remove(&id);
            }
        }
        Ok(())
    }

    fn create_dir(&mut self, path: &str) -> io::Result<()> {
        self.spend(Duration::ZERO)?;
        if !self.parent_exists(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        match self.names.get(path) {
            Some(Entry::File(_)) => Err(io::ErrorKind::AlreadyExists.into()),
            Some(Entry::Directory) => Ok(()),
            None => {
                self.names.insert(path.to_owned(), Entry::Directory);
                Ok(())
            }
        }
    }

    fn list(&mut self, path: &str) -> io::Result<Vec<String>> {
        self.spend(Duration::ZERO)?;
        let below = if path.is_empty() {
            String::new()
        } else if self.names.get(path) == Some(&Entry::Directory) {
            format!("{path}/")
        } else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let inside = self.names.range(below.clone()..).take_while(|(name, _)| name.starts_with(&below));
        Ok(inside
            .filter(|(name, _)| !name[below.len()..].contains('/'))
            .map(|(name, entry)| match entry {
                Entry::File(_) => name[below.len()..].to_owned(),
                Entry::Directory => format!("{}/", &name[below.len()..]),
            })
            .collect())
    }

    fn exists(&self, path: &str) -> bool {
        self.names.contains_key(path)
    }

    fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(parts: &[&[u8]]) -> (SimDisk, FileId) {
        let mut disk = SimDisk::new(DiskSpec::default());
        let file = disk.open("a", OpenMode::Create).expect("the disk is well");
        for part in parts {
            disk.append(file, Bytes::copy_from_slice(part)).expect("the disk is well");
        }
        (disk, file)
    }

    fn content(disk: &mut SimDisk, file: FileId) -> Bytes {
        disk.read_at(file, 0, usize::MAX >> 1).expect("the disk is well")
    }

    #[test]
    fn a_killed_process_leaves_everything_and_a_loss_of_power_only_what_was_synced() {
        let (mut disk, file) = written(&[b"one", b"two"]);
        disk.sync(file).expect("the disk is well");
        disk.append(file, Bytes::from_static(b"three")).expect("the disk is well");
        assert_eq!(content(&mut disk, file), "onetwothree");
        let loss = disk.lose_power(Instant(1), Keep::Nothing, &mut Prng::new(1));
        assert_eq!(loss, PowerLoss { unsynced_bytes: 5, lost_bytes: 5 });
        assert_eq!(content(&mut disk, file), "onetwo");
    }

    #[test]
    fn the_operating_system_writes_back_after_a_while() {
        let (mut disk, file) = written(&[b"old"]);
        let later = Instant::START + DiskSpec::default().writeback;
        disk.begin(later);
        disk.append(file, Bytes::from_static(b"new")).expect("the disk is well");
        disk.lose_power(later, Keep::Nothing, &mut Prng::new(1));
        assert_eq!(content(&mut disk, file), "old");
    }

    #[test]
    fn a_lying_sync_keeps_nothing_and_counts_as_a_bite() {
        let (mut disk, file) = written(&[b"one"]);
        disk.faults.sync_lies = true;
        disk.sync(file).expect("it says yes");
        assert_eq!(disk.bitten, 1);
        disk.lose_power(Instant(1), Keep::Nothing, &mut Prng::new(1));
        assert_eq!(content(&mut disk, file), "");
    }

    #[test]
    fn names_move_with_their_directory() {
        let mut disk = SimDisk::new(DiskSpec::default());
        disk.create_dir("t-0").expect("the disk is well");
        let file = disk.open("t-0/log", OpenMode::Create).expect("the directory exists");
        disk.append(file, Bytes::from_static(b"x")).expect("the disk is well");
        disk.rename("t-0", "t-0-delete").expect("it exists");
        assert_eq!(disk.list("").expect("the disk is well"), ["t-0-delete/"]);
        assert_eq!(disk.list("t-0-delete").expect("it exists"), ["log"]);
        assert_eq!(content(&mut disk, file), "x", "a handle survives a rename");
        disk.remove("t-0-delete").expect("it exists");
        assert!(disk.read_at(file, 0, 1).is_err(), "a handle does not survive a removal");
    }

    proptest! {
        #[test]
        fn what_was_synced_survives_and_what_survives_was_written(
            parts in prop::collection::vec(prop::collection::vec(1u8.., 1..6000), 1..8),
            synced in 0usize..8,
            keep in prop::sample::select(vec![Keep::Nothing, Keep::Prefix, Keep::Torn, Keep::Subset, Keep::Everything]),
            seed in any::<u64>(),
        ) {
            let mut disk = SimDisk::new(DiskSpec::default());
            let file = disk.open("a", OpenMode::Create).unwrap();
            let mut all = Vec::new();
            let mut safe = 0;
            for (number, part) in parts.iter().enumerate() {
                disk.append(file, Bytes::copy_from_slice(part)).unwrap();
                all.extend_from_slice(part);
                if number == synced {
                    disk.sync(file).unwrap();
                    safe = all.len();
                }
            }
            disk.lose_power(Instant(1), keep, &mut Prng::new(seed));
            let left = content(&mut disk, file);
            prop_assert!(left.len() >= safe && left.len() <= all.len());
            prop_assert_eq!(&left[..safe], &all[..safe]);
            for (at, byte) in left.iter().enumerate() {
                prop_assert!(*byte == all[at] || (*byte == 0 && keep == Keep::Subset));
            }
        }

        #[test]
        fn reading_across_writes_is_reading_one_file(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10),
            cut in 0usize..200, position in 0usize..200, len in 0usize..200,
        ) {
            let mut disk = SimDisk::new(DiskSpec::default());
            let file = disk.open("a", OpenMode::Create).unwrap();
            for part in &parts {
                disk.append(file, Bytes::copy_from_slice(part)).unwrap();
            }
            let mut all: Vec<u8> = parts.concat();
            if cut < all.len() {
                disk.truncate(file, cut as u64).unwrap();
                all.truncate(cut);
            }
            let expected = &all[position.min(all.len())..(position + len).min(all.len())];
            let read = disk.read_at(file, position as u64, len).unwrap();
            prop_assert_eq!(&read[..], expected);
        }
    }
}

//! What is wrong with a disk, or with one log directory of it: what each call meets.

use std::io;

use ackproof_core::types::Duration;

use super::{SimDisk, is_below};

/// What a call costs whose device does not answer: the world keeps what is said after it until the device does.
pub const STALLED: Duration = Duration(1 << 61);

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Every call fails with EIO.
    IoError,
    /// Every read fails with EIO.
    ReadError,
    /// Every write fails with EIO, before a byte is written.
    WriteError,
    /// Every write fails with EIO after some of its bytes, drawn, have reached the file.
    PartialWrite,
    /// Every write fails with ENOSPC.
    Full,
    /// Every `sync` fails with EIO; the pages stay dirty.
    SyncError,
    /// Every `sync` fails with EIO and the system forgets that the pages are dirty: the next `sync` says yes, and they are
    /// never written (what Linux did, "fsyncgate").
    SyncErrorDropsPages,
    /// As that, but the error is told to nobody: `sync` says yes.
    SyncDropsPages,
    /// Every `sync` says yes and does nothing.
    SyncLies,
    /// No file can be opened: EMFILE.
    NoFileHandles,
    /// Calls do not come back until this ends.
    Stalled,
}

impl DiskFault {
    /// Whether what a `sync` said yes to may not be on the disk.
    pub fn forgets_what_was_synced(self) -> bool {
        match self {
            DiskFault::SyncErrorDropsPages | DiskFault::SyncDropsPages | DiskFault::SyncLies => true,
            DiskFault::IoError
            | DiskFault::ReadError
            | DiskFault::WriteError
            | DiskFault::PartialWrite
            | DiskFault::Full
            | DiskFault::SyncError
            | DiskFault::NoFileHandles
            | DiskFault::Stalled => false,
        }
    }
}

/// What is wrong, for as long as a step is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskFaults {
    /// Only with this log directory: in the plan its name in `log.dirs`, on a disk its root. None is the whole disk.
    pub directory: Option<String>,
    /// What happens to calls.
    pub kinds: Vec<DiskFault>,
    /// So many more bytes fit, from the beginning of the fault on; the write that does not fit is cut off with ENOSPC.
    pub room: Option<u64>,
    /// Every call takes so much longer.
    pub slow: Duration,
    /// How many calls are concerned; none is all.
    pub times: Option<u64>,
}

/// Faults in force.
#[derive(Clone, Debug)]
pub(super) struct Active {
    step: usize,
    faults: DiskFaults,
    /// How many bytes the directory may hold, once `room` has been counted.
    limit: Option<u64>,
    left: Option<u64>,
}

/// The kinds of call that faults tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Open,
    Read,
    Write,
    Sync,
    /// Names and lengths change, or are listed.
    Name,
}

/// What a write or a sync meets, if it does not simply fail or succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meets {
    Nothing,
    PartialWrite,
    SyncErrorDropsPages,
    SyncDropsPages,
    SyncLies,
}

impl Active {
    pub fn stops_write_back(&self, path: &str) -> bool {
        let stops = |kind: &DiskFault| matches!(kind, DiskFault::IoError | DiskFault::WriteError | DiskFault::Stalled);
        self.concerns(path) && self.faults.kinds.iter().any(stops)
    }

    fn concerns(&self, path: &str) -> bool {
        self.left != Some(0) && is_below(path, self.faults.directory.as_deref().unwrap_or_default())
    }
}

impl SimDisk {
    /// Something goes wrong from now on.
    pub fn add_faults(&mut self, step: usize, faults: DiskFaults, now: ackproof_core::types::Instant) {
        self.now = now;
        self.write_back();
        let limit = faults.room.map(|room| self.used(faults.directory.as_deref().unwrap_or_default()) + room);
        let left = faults.times;
        self.active.push(Active { step, faults, limit, left });
    }

    /// What a step made wrong is well again.
    pub fn end_faults(&mut self, step: usize, now: ackproof_core::types::Instant) {
        self.now = now;
        self.write_back();
        self.active.retain(|fault| fault.step != step);
    }

    /// The steps whose faults a call has met since the last call of this.
    pub fn take_bitten(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.bitten)
    }

    /// Whether no file can be opened now.
    pub fn is_out_of_handles(&self) -> bool {
        self.active.iter().any(|fault| fault.faults.kinds.contains(&DiskFault::NoFileHandles))
    }

    /// A call begins: it takes its time, and meets what is wrong with the path.
    pub(super) fn meet(&mut self, call: Call, path: &str, cost: Duration) -> io::Result<Meets> {
        self.elapsed += cost;
        if self.active.is_empty() {
            return Ok(Meets::Nothing);
        }
        let mut met = Meets::Nothing;
        for number in 0..self.active.len() {
            let fault = &self.active[number];
            if !fault.concerns(path) {
                continue;
            }
            let slow = fault.faults.slow;
            let kinds = fault.faults.kinds.clone();
            let mut bit = slow > Duration::ZERO;
            self.elapsed += slow;
            let mut failed = None;
            for kind in kinds {
                match outcome(kind, call) {
                    Outcome::Unmet => continue,
                    Outcome::Waits => self.elapsed = self.elapsed.max(STALLED),
                    Outcome::Fails(error) => failed = Some(error()),
                    Outcome::Meets(meets) => met = meets,
                }
                bit = true;
            }
            if bit {
                self.bite(number);
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(met)
    }

    fn bite(&mut self, number: usize) {
        let fault = &mut self.active[number];
        fault.left = fault.left.map(|left| left - 1);
        self.bitten.push(fault.step);
    }

    /// How many of `bytes` fit at a path. Fewer than asked for is ENOSPC.
    pub(super) fn fits(&mut self, path: &str, bytes: u64) -> u64 {
        let mut fits = bytes;
        if let Some(capacity) = self.spec.capacity {
            let device = self.devices.iter().find(|device| is_below(path, device)).map_or("", String::as_str);
            fits = fits.min(capacity.saturating_sub(self.used(device)));
        }
        for number in 0..self.active.len() {
            let fault = &self.active[number];
            let Some(limit) = fault.limit.filter(|_| fault.concerns(path)) else { continue };
            let left = limit.saturating_sub(self.used(fault.faults.directory.as_deref().unwrap_or_default()));
            if left < fits {
                fits = left;
                self.bite(number);
            }
        }
        fits
    }
}

enum Outcome {
    Unmet,
    Waits,
    Fails(fn() -> io::Error),
    Meets(Meets),
}

fn outcome(kind: DiskFault, call: Call) -> Outcome {
    let eio = || io::Error::other("EIO: input/output error");
    match (kind, call) {
        (DiskFault::Stalled, _) => Outcome::Waits,
        (DiskFault::IoError, _) | (DiskFault::ReadError, Call::Read) | (DiskFault::WriteError, Call::Write) => {
            Outcome::Fails(eio)
        }
        (DiskFault::PartialWrite, Call::Write) => Outcome::Meets(Meets::PartialWrite),
        (DiskFault::Full, Call::Write) => Outcome::Fails(|| io::Error::from(io::ErrorKind::StorageFull)),
        (DiskFault::SyncError, Call::Sync) => Outcome::Fails(sync_failed),
        (DiskFault::SyncErrorDropsPages, Call::Sync) => Outcome::Meets(Meets::SyncErrorDropsPages),
        (DiskFault::SyncDropsPages, Call::Sync) => Outcome::Meets(Meets::SyncDropsPages),
        (DiskFault::SyncLies, Call::Sync) => Outcome::Meets(Meets::SyncLies),
        (DiskFault::NoFileHandles, Call::Open) => Outcome::Fails(|| io::Error::other("EMFILE: too many open files")),
        (
            DiskFault::ReadError
            | DiskFault::WriteError
            | DiskFault::PartialWrite
            | DiskFault::Full
            | DiskFault::SyncError
            | DiskFault::SyncErrorDropsPages
            | DiskFault::SyncDropsPages
            | DiskFault::SyncLies
            | DiskFault::NoFileHandles,
            _,
        ) => Outcome::Unmet,
    }
}

pub(super) fn sync_failed() -> io::Error {
    io::Error::other("EIO: fsync failed")
}

impl DiskFaults {
    /// What it does, for its witness.
    pub fn did(&self) -> &'static str {
        match self.kinds.first() {
            Some(DiskFault::IoError | DiskFault::ReadError | DiskFault::WriteError) => "failed a call to the disk of",
            Some(DiskFault::PartialWrite) => "broke off a write to the disk of",
            Some(DiskFault::Full) => "refused a write to the disk of",
            Some(DiskFault::SyncError) => "failed a sync of the disk of",
            Some(DiskFault::SyncErrorDropsPages) => "failed a sync and dropped the pages of the disk of",
            Some(DiskFault::SyncDropsPages | DiskFault::SyncLies) => "lied about a sync to",
            Some(DiskFault::NoFileHandles) => "refused a file handle to",
            Some(DiskFault::Stalled) => "kept a call to the disk waiting of",
            None if self.room.is_some() => "refused a write to the disk of",
            None => "slowed the disk of",
        }
    }
}

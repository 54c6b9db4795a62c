//! A workbench for one machine: a clock set by hand, seeded randomness, no disk, and the effects in a list.

use std::io;

use bytes::Bytes;

use crate::machine::{Context, Effect, Effects};
use crate::storage::{FileId, OpenMode, Storage};
use crate::types::{Duration, Instant, Prng, Timestamp};

/// What a test hands to the machine under test.
pub(crate) struct Bench {
    now: Instant,
    rng: Prng,
    disk: NoDisk,
    effects: Effects,
}

impl Default for Bench {
    fn default() -> Self {
        Self { now: Instant::START, rng: Prng::new(1), disk: NoDisk, effects: Effects::default() }
    }
}

impl Bench {
    pub(crate) fn context(&mut self) -> Context<'_> {
        let wall_clock = Timestamp(1_000_000 + self.now.0 as i64 / 1_000_000);
        Context::new(self.now, wall_clock, &mut self.rng, &mut self.disk, &mut self.effects)
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn now_is(&mut self, now: Instant) {
        self.now = now;
    }

    pub(crate) fn advance(&mut self, length: Duration) {
        self.now += length;
    }

    /// What was said since the last time.
    pub(crate) fn take(&mut self) -> Vec<Effect> {
        self.effects.said.drain(..).map(|(_, effect)| effect).collect()
    }
}

/// Clients have no disk.
struct NoDisk;

fn none<T>() -> io::Result<T> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

impl Storage for NoDisk {
    fn open(&mut self, _: &str, _: OpenMode) -> io::Result<FileId> {
        none()
    }
    fn close(&mut self, _: FileId) {}
    fn append(&mut self, _: FileId, _: Bytes) -> io::Result<()> {
        none()
    }
    fn read_at(&mut self, _: FileId, _: u64, _: usize) -> io::Result<Bytes> {
        none()
    }
    fn len(&self, _: FileId) -> io::Result<u64> {
        none()
    }
    fn truncate(&mut self, _: FileId, _: u64) -> io::Result<()> {
        none()
    }
    fn sync(&mut self, _: FileId) -> io::Result<()> {
        none()
    }
    fn sync_dir(&mut self, _: &str) -> io::Result<()> {
        none()
    }
    fn rename(&mut self, _: &str, _: &str) -> io::Result<()> {
        none()
    }
    fn remove(&mut self, _: &str) -> io::Result<()> {
        none()
    }
    fn create_dir(&mut self, _: &str) -> io::Result<()> {
        none()
    }
    fn list(&mut self, _: &str) -> io::Result<Vec<String>> {
        none()
    }
    fn exists(&self, _: &str) -> bool {
        false
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

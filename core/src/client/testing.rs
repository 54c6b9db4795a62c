//! A workbench for one machine: a clock set by hand, seeded randomness, no disk, and the effects in a list.

use std::io;

use bytes::Bytes;

use crate::config::{KafkaVersion, ProducerConfig};
use crate::machine::{Context, Effect, Effects};
use crate::record::Compression;
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

/// The Java producer's defaults, whatever the version.
pub(crate) fn producer_config(version: KafkaVersion) -> ProducerConfig {
    let millis = Duration::from_millis;
    ProducerConfig {
        version,
        client_id: "p1".to_owned(),
        acks: -1,
        retries: i32::MAX as u32,
        enable_idempotence: false,
        max_in_flight_requests_per_connection: 5,
        batch_size: 16_384,
        linger_ms: Duration::ZERO,
        buffer_memory: 32 << 20,
        max_block_ms: millis(60_000),
        max_request_size: 1 << 20,
        request_timeout_ms: millis(30_000),
        delivery_timeout_ms: millis(120_000),
        retry_backoff_ms: millis(100),
        retry_backoff_max_ms: millis(100),
        reconnect_backoff_ms: millis(50),
        reconnect_backoff_max_ms: millis(1000),
        connections_max_idle_ms: Some(millis(540_000)),
        metadata_max_age_ms: millis(300_000),
        compression_type: Compression::None,
        round_robin_partitioner: false,
        partitioner_ignore_keys: false,
        warnings: Vec::new(),
    }
}

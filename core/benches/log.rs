//! What the log costs on a disk that costs nothing: append and read, single records and batches of 100.

use std::hint::black_box;

use ackproof_core::config::{BrokerConfig, KafkaVersion, LogConfig, Toggles};
use ackproof_core::log::UnifiedLog;
use ackproof_core::machine::{Context, Effects};
use ackproof_core::record::{BatchBuilder, Compression, RecordBatch, with_offset_and_epoch};
use ackproof_core::storage::MemoryStorage;
use ackproof_core::types::{Duration, Instant, LeaderEpoch, Offset, Prng, Timestamp, TopicPartition};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

/// Appends per sample: enough that the disk's and the log's own lists grow as they do in a run.
const APPENDS: usize = 1_000;

struct Bench {
    disk: MemoryStorage,
    rng: Prng,
    effects: Effects,
}

impl Bench {
    fn with<R>(&mut self, call: impl FnOnce(&mut Context<'_>) -> R) -> R {
        // What was said is taken away by the host after every input.
        self.effects.said.clear();
        call(&mut Context::new(Instant(0), Timestamp(0), &mut self.rng, &mut self.disk, &mut self.effects))
    }

    fn new() -> (Bench, UnifiedLog) {
        let mut bench = Bench { disk: MemoryStorage::default(), rng: Prng::new(1), effects: Effects::default() };
        let defaults = BrokerConfig::resolve(KafkaVersion::new(3, 9), &[]).expect("the defaults are in order").config;
        let config = LogConfig { segment_ms: Duration::FOREVER, ..defaults.log };
        let (partition, toggles) = (TopicPartition::of("orders", 0), Toggles::of(KafkaVersion::new(3, 9)));
        let log = bench.with(|ctx| UnifiedLog::load(partition, config, toggles, Offset(0), true, ctx));
        (bench, log.expect("a new log"))
    }

    fn append(&mut self, log: &mut UnifiedLog, batch: &Bytes) {
        self.with(|ctx| log.append_as_leader(batch.clone(), LeaderEpoch(0), ctx)).expect("a good batch");
    }
}

fn batch(records: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None, usize::MAX);
    for n in 0..records {
        builder.append(Timestamp(1_000 + n as i64), Some(b"key"), Some(&[b'v'; 100]), &[]);
    }
    builder.build().expect("uncompressed")
}

fn appends(criterion: &mut Criterion) {
    for records in [1, 100] {
        let sent = batch(records);
        let whole = RecordBatch::parse(&sent, 0).expect("a whole batch");
        criterion.bench_function(&format!("log/crc of {records}"), |bencher| {
            bencher.iter(|| black_box(&whole).verify_crc());
        });
        criterion.bench_function(&format!("log/1000 appends as leader of {records}"), |bencher| {
            bencher.iter_batched_ref(
                Bench::new,
                |(bench, log)| (0..APPENDS).for_each(|_| bench.append(log, &sent)),
                BatchSize::LargeInput,
            );
        });
        let replicated: Vec<Bytes> =
            (0..APPENDS).map(|n| with_offset_and_epoch(&whole, Offset((n * records) as i64), LeaderEpoch(0))).collect();
        criterion.bench_function(&format!("log/1000 appends as follower of {records}"), |bencher| {
            bencher.iter_batched_ref(
                Bench::new,
                |(bench, log)| {
                    for bytes in &replicated {
                        bench.with(|ctx| log.append_as_follower(bytes.clone(), ctx)).expect("a good batch");
                    }
                },
                BatchSize::LargeInput,
            );
        });
    }
}

fn reads(criterion: &mut Criterion) {
    for records in [1, 100] {
        let (mut bench, mut log) = Bench::new();
        let sent = batch(records);
        (0..APPENDS).for_each(|_| bench.append(&mut log, &sent));
        let end = log.log_end_offset();
        let mut read = |from: Offset, max_bytes: usize| {
            bench.with(|ctx| log.read(black_box(from), end, max_bytes, true, ctx)).expect("within the log")
        };
        let (last, middle) = (end.plus(-1), Offset(end.0 / 2));
        criterion.bench_function(&format!("log/read the last batch of {records}"), |bencher| {
            bencher.iter(|| read(last, 1 << 20));
        });
        criterion.bench_function(&format!("log/read one batch of {records} in the middle"), |bencher| {
            bencher.iter(|| read(middle, 1));
        });
    }
}

criterion_group!(benches, appends, reads);
criterion_main!(benches);

//! How fast worlds run, against a bare heap of events on the same machine in the same run.
//!
//! Reference world: 3 brokers, replication factor 3, acks=all, one producer, one consumer, one crash and restart. It runs
//! twice: with an observer that hears every fact and does nothing, and with the checkers and the digest of a real run.

#[path = "../tests/worlds/build.rs"]
#[expect(dead_code, reason = "the tests use more of it than the benchmarks do")]
mod build;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::sync::Arc;

use ackproof_core::fact::{Event, Observer};
use ackproof_core::types::{Duration, Instant};
use ackproof_reports::{Contract, Digest, Judge};
use ackproof_sim::World;
use ackproof_sim::world::EventQueue;
use build::Build;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// Events that wait at one time, as in a busy world.
const WAITING: u64 = 64;
const EVENTS: u64 = 100_000;

struct Deaf;

impl Observer for Deaf {
    fn observe(&mut self, event: &Event) {
        black_box(event);
    }
}

fn bare_heap() {
    let mut heap: BinaryHeap<Reverse<(u64, u64)>> = (0..WAITING).map(|n| Reverse((n, n))).collect();
    for n in WAITING..EVENTS {
        let Some(Reverse((time, _))) = heap.pop() else { return };
        heap.push(Reverse((time + n.wrapping_mul(2_654_435_761) % 1_000, n)));
    }
    black_box(heap);
}

fn event_queue() {
    let mut queue = EventQueue::default();
    for n in 0..WAITING {
        queue.push(Instant(n), [n; 6]);
    }
    for n in WAITING..EVENTS {
        let Some((time, event)) = queue.pop() else { return };
        queue.push(time + Duration(n.wrapping_mul(2_654_435_761) % 1_000), event);
    }
    black_box(queue);
}

fn heaps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("events");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("bare heap", |bencher| bencher.iter(bare_heap));
    group.bench_function("event queue", |bencher| bencher.iter(event_queue));
    group.finish();
}

/// What listens to a run of a scenario: the checkers and the digest.
struct Checkers {
    judge: Judge,
    digest: Digest,
}

impl Observer for Checkers {
    fn observe(&mut self, event: &Event) {
        self.judge.observe(event);
        self.digest.observe(event);
    }
}

fn run(world: &mut World) {
    world.run(&mut Deaf);
}

fn run_checked(world: &mut World) {
    let mut checkers = Checkers { judge: Judge::new(Contract::default()), digest: Digest::new() };
    world.run(&mut checkers);
    black_box((checkers.judge.finish(), checkers.digest.value()));
}

fn worlds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reference world");
    group.sample_size(10);
    for (name, per_second, seconds) in [("10 records/s", 10, 300_u64), ("100 records/s", 100, 60)] {
        let records = per_second * seconds;
        let build = || {
            Build::new("3.9")
                .broker("min.insync.replicas", "2")
                .records(records)
                .every(Duration(1_000_000_000 / per_second))
                .kill_leader_after((records / 2) as i64)
        };
        let spec = Arc::new(build().spec(7));
        let mut measured = World::new(spec.clone());
        run(&mut measured);
        let (simulated, events) = (measured.now().0 / 1_000_000_000, measured.events());
        group.throughput(Throughput::Elements(simulated));
        group.bench_function(format!("{name}: simulated seconds"), |bencher| {
            bencher.iter_batched(|| World::new(spec.clone()), |mut world| run(&mut world), BatchSize::SmallInput);
        });
        group.bench_function(format!("{name}: simulated seconds, checkers on"), |bencher| {
            bencher.iter_batched(
                || World::new(spec.clone()),
                |mut world| run_checked(&mut world),
                BatchSize::SmallInput,
            );
        });
        group.throughput(Throughput::Elements(events));
        group.bench_function(format!("{name}: events"), |bencher| {
            bencher.iter_batched(|| World::new(spec.clone()), |mut world| run(&mut world), BatchSize::SmallInput);
        });
    }
    let records = 200_000;
    let spec =
        Build::new("3.9").records(records).every(Duration::ZERO).value_bytes(100).producer("linger.ms", "5").spec(7);
    let spec = Arc::new(spec);
    group.throughput(Throughput::Elements(records));
    group.bench_function("full batches: replicated records", |bencher| {
        bencher.iter_batched(|| World::new(spec.clone()), |mut world| run(&mut world), BatchSize::SmallInput);
    });
    group.throughput(Throughput::Elements(1));
    let small = Arc::new(Build::new("3.9").records(1_000).spec(7));
    group.bench_function("making one", |bencher| bencher.iter(|| World::new(small.clone())));
    let mut used = World::new(small.clone());
    run(&mut used);
    group.bench_function("forking one with 1,000 records", |bencher| bencher.iter(|| used.clone()));
    group.finish();
}

criterion_group!(benches, heaps, worlds);
criterion_main!(benches);

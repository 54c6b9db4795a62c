//! The same work on this simulator and on its peers, in one run: records of 100 bytes are produced to one topic of one partition, and
//! consumed while they come.
//!
//! `one by one`: every record travels in a request of its own. `hundreds`: a hundred to a request.
//!
//! What the peers leave out stands in `docs/performance.md`; in short:
//! * bare heap: two events per request and nothing else, the limit of every simulator that has an event per message;
//! * madsim RPC: one server, a `Vec` behind `Endpoint::call`; no offsets, no bytes on a disk, no encoding;
//! * madsim-rdkafka: one node, a `Vec` per partition; no replication, no batches, no disk, no groups, no long poll;
//! * ackproof, one broker and three: record batches with CRC on a disk with a page cache, indexes, idempotence, sessions, a controller,
//!   and every fact told to an observer.
//!
//! The clocks are virtual everywhere, so latencies do not matter; what is measured is what the machine works.

#[cfg(madsim)]
mod madsim_rdkafka;
#[cfg(madsim)]
mod madsim_rpc;

#[path = "../../tests/worlds/build.rs"]
#[expect(dead_code, reason = "the tests use more of it than the benchmarks do")]
mod build;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::sync::Arc;

use ackproof_core::fact::{Event, Fact, Observer};
use ackproof_core::types::Duration;
use ackproof_sim::{ClusterSpec, World};
use build::Build;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const VALUE_BYTES: usize = 100;

/// How many records, and how many of them to a request.
#[derive(Clone, Copy)]
struct Work {
    records: usize,
    to_a_request: usize,
}

/// Counts what was delivered, and keeps nothing.
#[derive(Default)]
struct Delivered(usize);

impl Observer for Delivered {
    fn observe(&mut self, event: &Event) {
        if matches!(black_box(event).fact, Fact::Polled { .. }) {
            self.0 += 1;
        }
    }
}

/// A request and its response to produce, a request and its response to fetch: four events.
fn bare_heap(work: Work) -> usize {
    let waiting = 64_u64;
    let mut heap: BinaryHeap<Reverse<(u64, u64)>> = (0..waiting).map(|n| Reverse((n, n))).collect();
    for n in waiting..waiting + 4 * (work.records / work.to_a_request) as u64 {
        let Some(Reverse((time, _))) = heap.pop() else { break };
        heap.push(Reverse((time + n.wrapping_mul(2_654_435_761) % 1_000, n)));
    }
    black_box(heap.len());
    work.records
}

fn spec(work: Work, brokers: usize) -> ClusterSpec {
    let key_and_framing = 12;
    let batch_size = match work.to_a_request {
        1 => 0,
        many => 61 + many * (VALUE_BYTES + key_and_framing),
    };
    let mut spec = Build::new("3.9")
        .records(work.records as u64)
        .every(Duration::ZERO)
        .value_bytes(VALUE_BYTES)
        .producer("batch.size", &batch_size.to_string())
        .producer("linger.ms", "5")
        .spec(7);
    spec.brokers.truncate(brokers);
    spec.topics[0].replication_factor = brokers as i16;
    spec
}

fn ackproof(spec: &Arc<ClusterSpec>) -> usize {
    let mut delivered = Delivered::default();
    World::new(spec.clone()).run(&mut delivered);
    delivered.0
}

fn peers(criterion: &mut Criterion) {
    let one_by_one = Work { records: 10_000, to_a_request: 1 };
    let hundreds = Work { records: 100_000, to_a_request: 100 };
    for (name, work) in [("one by one", one_by_one), ("hundreds", hundreds)] {
        let mut group = criterion.benchmark_group(format!("produce and consume, {name}"));
        group.sample_size(10).throughput(Throughput::Elements(work.records as u64));
        let mut measure = |name: &str, run: &mut dyn FnMut() -> usize| {
            assert_eq!(run(), work.records, "{name} delivers everything");
            group.bench_function(name, |bencher| bencher.iter_batched(|| (), |()| run(), BatchSize::PerIteration));
        };
        measure("bare heap", &mut || bare_heap(work));
        #[cfg(madsim)]
        measure("madsim RPC", &mut || madsim_rpc::run(work));
        #[cfg(madsim)]
        measure("madsim-rdkafka", &mut || madsim_rdkafka::run(work));
        for brokers in [1, 3] {
            let spec = Arc::new(spec(work, brokers));
            let name = if brokers == 1 { "ackproof, one broker" } else { "ackproof, three replicas, acks=all" };
            measure(name, &mut || ackproof(&spec));
        }
        group.finish();
    }
}

criterion_group!(benches, peers);
criterion_main!(benches);

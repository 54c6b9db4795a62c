//! Encoding and decoding a batch of 100 records of 100 bytes, beside kafka-protocol's codec on the same work.

use ackproof_core::record::{BatchBuilder, Compression, RecordBatch, with_offset_and_epoch};
use ackproof_core::types::{LeaderEpoch, Offset, Timestamp};
use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kafka_protocol::records as peer;
use std::hint::black_box;

const RECORDS: i64 = 100;
const VALUE: [u8; 100] = [b'v'; 100];

fn encode() -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None, 16_384);
    for number in 0..RECORDS {
        builder.append(Timestamp(1_700_000_000_000 + number), Some(b"key"), Some(&VALUE), &[]);
    }
    builder.build().expect("nothing to compress")
}

fn decode(bytes: &Bytes) -> usize {
    let batch = RecordBatch::parse(bytes, 0).expect("a batch");
    batch.records().map(|record| record.expect("a record").value.map_or(0, |value| value.len())).sum()
}

fn peer_records() -> Vec<peer::Record> {
    let record = |number: i64| peer::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: peer::TimestampType::Creation,
        offset: number,
        sequence: -1,
        timestamp: 1_700_000_000_000 + number,
        key: Some(Bytes::from_static(b"key")),
        value: Some(Bytes::copy_from_slice(&VALUE)),
        headers: Default::default(),
    };
    (0..RECORDS).map(record).collect()
}

fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch of 100 x 100 B");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let bytes = encode();
    let batch = RecordBatch::parse(&bytes, 0).expect("a batch");
    group.bench_function("encode", |b| b.iter(encode));
    group.bench_function("decode", |b| b.iter(|| decode(black_box(&bytes))));
    group.bench_function("verify crc", |b| b.iter(|| black_box(&batch).verify_crc()));
    group.bench_function("assign offset", |b| {
        b.iter(|| with_offset_and_epoch(black_box(&batch), Offset(7), LeaderEpoch(3)));
    });

    let records = peer_records();
    let options = peer::RecordEncodeOptions { version: 2, compression: peer::Compression::None };
    group.bench_function("encode (kafka-protocol)", |b| {
        b.iter(|| {
            let mut buffer = BytesMut::new();
            peer::RecordBatchEncoder::encode(&mut buffer, &records, &options).expect("it encodes");
            buffer.freeze()
        });
    });
    group.bench_function("decode (kafka-protocol)", |b| {
        b.iter(|| peer::RecordBatchDecoder::decode(&mut black_box(&bytes).clone()).expect("it decodes"));
    });
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default(); targets = batch }
criterion_main!(benches);

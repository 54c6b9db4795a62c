//! Whole batches: what is built is read again, by us and by kafka-protocol; what is broken is an error, never a panic.

use std::collections::BTreeMap;

use ackproof_core::config::TimestampType;
use ackproof_core::record::{
    BATCH_OVERHEAD, BatchBuilder, BatchError, Compression, Header, ProducerState, Record, RecordBatch, batches,
    with_max_timestamp, with_offset_and_epoch, with_producer_state,
};
use ackproof_core::types::{LeaderEpoch, Offset, ProducerEpoch, Sequence, StrBytes, Timestamp};
use bytes::{Bytes, BytesMut};
use kafka_protocol::records as peer;
use proptest::collection::vec;
use proptest::prelude::*;

const T0: i64 = 1_700_000_000_000;

const STATE: ProducerState = ProducerState {
    producer_id: 4711,
    producer_epoch: ProducerEpoch(2),
    base_sequence: Sequence(i32::MAX - 1),
    transactional: false,
};

fn text(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

fn header(name: &'static str, value: Option<Bytes>) -> Header {
    (StrBytes::from_static_str(name), value)
}

fn record(offset: i64, key: Option<Bytes>, value: Option<Bytes>) -> Record {
    Record { offset: Offset(offset), timestamp: Timestamp(T0 + offset), key, value, headers: Vec::new() }
}

fn append(builder: &mut BatchBuilder, record: &Record) {
    let delta = i32::try_from(record.offset.0).expect("a small offset");
    builder.append_at(delta, record.timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers);
}

fn build(compression: Compression, records: &[Record], state: ProducerState) -> RecordBatch {
    let mut builder = BatchBuilder::new(compression, 16_384);
    for record in records {
        append(&mut builder, record);
    }
    builder.set_producer_state(state);
    parse(&builder.build().expect("it builds"))
}

fn parse(bytes: &Bytes) -> RecordBatch {
    RecordBatch::parse(bytes, 0).expect("a batch")
}

fn records(batch: &RecordBatch) -> Vec<Record> {
    batch.records().collect::<Result<_, _>>().expect("valid records")
}

fn three() -> Vec<Record> {
    vec![record(0, text("k"), text("one")), record(1, None, text("two")), record(2, text("k"), None)]
}

fn supported() -> Vec<Compression> {
    Compression::ALL.into_iter().filter(|compression| compression.is_supported()).collect()
}

#[test]
fn a_batch_has_these_bytes() {
    let records = [Record { headers: vec![header("h", text("x")), header("h", None)], ..three().remove(0) }];
    let batch = build(Compression::None, &records, ProducerState { transactional: true, ..STATE });
    let golden = "0000000000000000 00000043 ffffffff 02 8c6725fe 0010 00000000 0000018bcfe56800 0000018bcfe56800 \
                  0000000000001267 0002 7ffffffe 00000001 \
                  22 00 00 00 026b 066f6e65 04 0268 0278 0268 01";
    let hex: String = batch.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, golden.replace(' ', ""));
}

#[test]
fn a_batch_of_another_client_is_read() {
    // The test vector of Sarama (Go), encoded there as Kafka's own client does; its CRC is the proof.
    let bytes: &[u8] = &[
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 70, 0, 0, 0, 0, 2, 84, 121, 97, 253, 0, 0, 0, 0, 0, 0, 0, 0, 1, 88, 141, 205,
        89, 56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 40, 0, 10, 0, 8, 1, 2, 3,
        4, 6, 5, 6, 7, 2, 6, 8, 9, 10, 4, 11, 12,
    ];
    let batch = parse(&Bytes::from_static(bytes));
    assert_eq!(batch.verify_crc(), Ok(()));
    let expected = Record {
        offset: Offset(0),
        timestamp: Timestamp(1_479_847_795_000 + 5),
        key: Some(Bytes::from_static(&[1, 2, 3, 4])),
        value: Some(Bytes::from_static(&[5, 6, 7])),
        headers: vec![header("\u{8}\t\n", Some(Bytes::from_static(&[11, 12])))],
    };
    assert_eq!(records(&batch), [expected]);
}

#[test]
fn the_header_says_what_was_put_in() {
    let batch = build(Compression::Lz4, &three(), STATE);
    assert_eq!(batch.size_in_bytes(), batch.bytes().len());
    assert_eq!((batch.base_offset(), batch.last_offset(), batch.next_offset()), (Offset(0), Offset(2), Offset(3)));
    assert_eq!(batch.partition_leader_epoch(), LeaderEpoch::NONE);
    assert_eq!((batch.magic(), batch.records_count(), batch.last_offset_delta()), (2, 3, 2));
    assert_eq!((batch.base_timestamp(), batch.max_timestamp()), (Timestamp(T0), Timestamp(T0 + 2)));
    assert_eq!(batch.compression(), Ok(Compression::Lz4));
    assert_eq!(batch.timestamp_type(), TimestampType::CreateTime);
    assert_eq!((batch.producer_id(), batch.producer_epoch()), (4711, ProducerEpoch(2)));
    assert_eq!((batch.base_sequence(), batch.last_sequence()), (Sequence(i32::MAX - 1), Sequence(0)), "it wraps");
    assert!(batch.has_producer_id() && !batch.is_transactional() && !batch.is_control());
    assert_eq!(batch.delete_horizon(), None);
}

#[test]
fn gaps_between_offsets_and_repeated_header_names_survive() {
    let headers = vec![header("trace", text("a")), header("trace", text("b")), header("", None)];
    let sparse = vec![record(3, None, text("x")), Record { headers, ..record(17, text("k"), None) }];
    for compression in supported() {
        let batch = build(compression, &sparse, STATE);
        assert_eq!(records(&batch), sparse, "{compression}");
        assert_eq!((batch.records_count(), batch.last_offset()), (2, Offset(17)));
    }
}

#[test]
fn uncompressed_keys_and_values_are_slices_of_the_batch() {
    let batch = build(Compression::None, &three(), STATE);
    let inside = batch.bytes().as_ptr_range();
    for record in records(&batch) {
        for bytes in [record.key, record.value].into_iter().flatten() {
            assert!(inside.contains(&bytes.as_ptr()), "{bytes:?} was copied");
        }
    }
}

#[test]
fn a_leader_assigns_offsets_without_touching_the_crc() {
    let batch = build(Compression::Gzip, &three(), STATE);
    let appended = parse(&with_offset_and_epoch(&batch, Offset(1_000_000), LeaderEpoch(9)));
    assert_eq!(appended.verify_crc(), Ok(()));
    assert_eq!(appended.crc(), batch.crc());
    assert_eq!(appended.partition_leader_epoch(), LeaderEpoch(9));
    let offsets: Vec<i64> = records(&appended).iter().map(|record| record.offset.0).collect();
    assert_eq!(offsets, [1_000_000, 1_000_001, 1_000_002]);
    assert_eq!(batch.base_offset(), Offset(0), "the original is as it was");
}

#[test]
fn log_append_time_stands_for_every_record() {
    let batch = build(Compression::None, &three(), STATE);
    let time = Timestamp(T0 + 5_000);
    let bytes = with_max_timestamp(&batch, Offset(8), LeaderEpoch(1), TimestampType::LogAppendTime, time);
    let appended = parse(&bytes);
    assert_eq!(appended.verify_crc(), Ok(()));
    assert_ne!(appended.crc(), batch.crc());
    assert_eq!((appended.timestamp_type(), appended.max_timestamp()), (TimestampType::LogAppendTime, time));
    assert!(records(&appended).iter().all(|record| record.timestamp == time));

    let same = with_max_timestamp(&batch, Offset(8), LeaderEpoch(1), TimestampType::CreateTime, Timestamp(T0 + 2));
    assert_eq!(same, with_offset_and_epoch(&batch, Offset(8), LeaderEpoch(1)), "nothing to change");
}

#[test]
fn a_retry_may_carry_another_epoch() {
    for compression in supported() {
        let batch = build(compression, &three(), STATE);
        let state = ProducerState { producer_epoch: ProducerEpoch(3), base_sequence: Sequence(0), ..STATE };
        let resealed = parse(&with_producer_state(&batch, state));
        assert_eq!(resealed.verify_crc(), Ok(()));
        assert_eq!(resealed, build(compression, &three(), state), "as if it had been built so");
    }
}

#[test]
fn a_batch_is_full_at_its_limit() {
    let key: Option<&[u8]> = Some(b"key");
    let value = [0u8; 100];
    let mut builder = BatchBuilder::new(Compression::None, 500);
    let mut sizes = vec![builder.estimated_size_in_bytes()];
    while builder.has_room_for(Timestamp(T0), key, Some(&value), &[]) {
        builder.append(Timestamp(T0), key, Some(&value), &[]);
        sizes.push(builder.estimated_size_in_bytes());
    }
    assert_eq!(sizes, [61, 173, 285, 397], "a fourth would make 509");
    assert!(!builder.is_full());
    assert!(builder.has_room_for(Timestamp(T0), None, Some(&value[..90]), &[]), "a smaller one fits");
    assert_eq!(builder.build().expect("it builds").len(), 397);
}

#[test]
fn an_empty_batch_takes_one_record_however_large() {
    let value = [0u8; 1_000];
    let mut builder = BatchBuilder::new(Compression::None, 0);
    assert!(!builder.is_full() && builder.has_room_for(Timestamp(T0), None, Some(&value), &[]));
    builder.append(Timestamp(T0), None, Some(&value), &[]);
    assert!(builder.is_full() && !builder.has_room_for(Timestamp(T0), None, None, &[]));
    assert_eq!(BatchBuilder::new(Compression::None, 0).build(), Ok(Bytes::new()), "no records, no bytes");
}

#[test]
fn the_estimate_of_a_compressed_batch_follows_the_ratio() {
    let mut builder = BatchBuilder::new(Compression::Lz4, 16_384).with_estimated_ratio_permille(400);
    builder.append(Timestamp(T0), None, Some(&[0; 993]), &[]);
    assert_eq!(builder.uncompressed_size_in_bytes() - BATCH_OVERHEAD, 1_002);
    assert_eq!(builder.estimated_size_in_bytes(), BATCH_OVERHEAD + 1_002 * 400 * 105 / 100_000);
}

#[test]
fn concatenated_batches_come_one_by_one_and_a_cut_one_ends_them() {
    let first = build(Compression::None, &three(), STATE);
    let second = parse(&with_offset_and_epoch(&first, Offset(3), LeaderEpoch(0)));
    let all = [first.bytes().as_ref(), second.bytes().as_ref()].concat();
    for cut in 0..=all.len() {
        let mut found = batches(Bytes::copy_from_slice(&all[..cut]));
        let complete = cut / first.size_in_bytes();
        assert_eq!(found.by_ref().filter_map(Result::ok).count(), complete, "cut at {cut}");
        assert_eq!(found.position(), complete * first.size_in_bytes());
    }
}

#[test]
fn broken_headers_are_errors() {
    let good = build(Compression::None, &three(), STATE).into_bytes();
    let broken = |at: usize, bytes: &[u8]| {
        let mut copy = BytesMut::from(&good[..]);
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        copy.freeze()
    };
    let parse_error = |bytes: Bytes| batches(bytes).next().expect("an item").expect_err("an error");
    assert_eq!(parse_error(broken(16, &[1])), BatchError::BadMagic(1));
    assert_eq!(parse_error(broken(8, &48i32.to_be_bytes())), BatchError::BadLength(48));
    assert_eq!(parse_error(broken(8, &(-1i32).to_be_bytes())), BatchError::BadLength(-1));
    let needed = good.len();
    assert_eq!(RecordBatch::parse(&good.slice(..needed - 1), 0), Err(BatchError::Truncated { needed }));
    assert_eq!(RecordBatch::parse(&good, needed + 1), Err(BatchError::Truncated { needed: 17 }));

    let records_error = |bytes: Bytes| parse(&bytes).records().find_map(Result::err).expect("an error");
    assert_eq!(records_error(broken(57, &(-1i32).to_be_bytes())), BatchError::BadRecordsCount(-1));
    assert_eq!(records_error(broken(57, &1i32.to_be_bytes())), BatchError::TrailingBytes(18));
    assert!(matches!(records_error(broken(57, &4i32.to_be_bytes())), BatchError::BadRecord { index: 3, .. }));
    assert_eq!(records_error(broken(21, &7i16.to_be_bytes())), BatchError::UnknownCompression(7));
    assert_eq!(
        records_error(broken(21, &1i16.to_be_bytes())),
        BatchError::BadCompression(Compression::Gzip),
        "plain bytes are no gzip"
    );
}

#[test]
fn every_flipped_bit_that_the_crc_covers_is_noticed() {
    let good = build(Compression::Snappy, &three(), STATE).into_bytes();
    for bit in 0..good.len() * 8 {
        let mut copy = good.to_vec();
        copy[bit / 8] ^= 1 << (bit % 8);
        let Ok(batch) = RecordBatch::parse(&copy.into(), 0) else { continue };
        let covered = bit / 8 >= 17;
        assert_eq!(batch.verify_crc().is_err(), covered || batch.size_in_bytes() != good.len(), "bit {bit}");
    }
}

// ---- beside kafka-protocol ----

fn to_peer(record: &Record, state: ProducerState) -> peer::Record {
    peer::Record {
        transactional: state.transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: state.producer_id,
        producer_epoch: state.producer_epoch.0,
        timestamp_type: peer::TimestampType::Creation,
        offset: record.offset.0,
        sequence: state.base_sequence.0.wrapping_add(record.offset.0 as i32),
        timestamp: record.timestamp.0,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.iter().cloned().collect(),
    }
}

/// Records that kafka-protocol can hold too: offsets without gaps, header names that differ, timestamps that grow
/// (its base timestamp is the smallest, Kafka's the first).
fn plain_records() -> impl Strategy<Value = Vec<Record>> {
    let bytes = || proptest::option::of(vec(any::<u8>(), 0..80).prop_map(Bytes::from));
    let headers = proptest::collection::btree_map("[a-zé]{0,6}", bytes(), 0..4);
    vec((bytes(), bytes(), headers, 0..1_000i64), 1..20).prop_map(|rows| {
        let mut time = T0;
        let row = |(offset, (key, value, headers, step)): (i64, (_, _, BTreeMap<String, _>, i64))| {
            time += step;
            let headers = headers.into_iter().map(|(name, value)| (StrBytes::from_string(name), value)).collect();
            Record { offset: Offset(offset), timestamp: Timestamp(time), key, value, headers }
        };
        (0..).zip(rows).map(row).collect()
    })
}

/// Records with gaps, times that jump back and repeated header names.
fn wild_records() -> impl Strategy<Value = Vec<Record>> {
    let bytes = || proptest::option::of(vec(any::<u8>(), 0..80).prop_map(Bytes::from));
    let headers = vec(("[ab]{0,1}", bytes()), 0..4);
    vec((0..50i64, bytes(), bytes(), headers, -1..i64::MAX), 1..20).prop_map(|rows| {
        let mut next = 0;
        let row = |(gap, key, value, headers, time): (i64, _, _, Vec<(String, _)>, _)| {
            let offset = next + gap;
            next = offset + 1;
            let headers = headers.into_iter().map(|(name, value)| (StrBytes::from_string(name), value)).collect();
            Record { offset: Offset(offset), timestamp: Timestamp(time), key, value, headers }
        };
        rows.into_iter().map(row).collect()
    })
}

fn shared_compression() -> impl Strategy<Value = (Compression, peer::Compression)> {
    prop_oneof![
        Just((Compression::None, peer::Compression::None)),
        Just((Compression::Gzip, peer::Compression::Gzip)),
        Just((Compression::Snappy, peer::Compression::Snappy)),
    ]
}

const SMALL_STATE: ProducerState = ProducerState { base_sequence: Sequence(5), ..STATE };

proptest! {
    #[test]
    fn kafka_protocol_reads_what_we_write(records in plain_records(), compression in shared_compression()) {
        let mut bytes = build(compression.0, &records, SMALL_STATE).into_bytes();
        let read = peer::RecordBatchDecoder::decode(&mut bytes).expect("it decodes");
        let expected: Vec<peer::Record> = records.iter().map(|record| to_peer(record, SMALL_STATE)).collect();
        prop_assert_eq!(read.compression, compression.1);
        prop_assert_eq!(read.records, expected);
    }

    #[test]
    fn we_read_what_kafka_protocol_writes(expected in plain_records(), compression in shared_compression()) {
        let peer_records: Vec<peer::Record> = expected.iter().map(|record| to_peer(record, SMALL_STATE)).collect();
        let options = peer::RecordEncodeOptions { version: 2, compression: compression.1 };
        let mut bytes = BytesMut::new();
        peer::RecordBatchEncoder::encode(&mut bytes, &peer_records, &options).expect("it encodes");
        let batch = parse(&bytes.freeze());
        prop_assert_eq!(batch.verify_crc(), Ok(()));
        prop_assert_eq!(&records(&batch), &expected);
        prop_assert_eq!(batch.base_sequence(), Sequence(5));
        if compression.0 == Compression::None {
            prop_assert_eq!(batch, build(Compression::None, &expected, SMALL_STATE), "the same bytes");
        }
    }

    #[test]
    fn what_is_built_is_read(expected in wild_records(), offset in 0..i64::MAX / 2) {
        for compression in supported() {
            let batch = build(compression, &expected, STATE);
            prop_assert_eq!(batch.verify_crc(), Ok(()));
            prop_assert_eq!(&records(&batch), &expected);
            let moved = parse(&with_offset_and_epoch(&batch, Offset(offset), LeaderEpoch(1)));
            prop_assert!(records(&moved).iter().zip(&expected).all(|(a, b)| a.offset.0 == b.offset.0 + offset));
        }
    }

    #[test]
    fn no_batch_is_larger_than_its_upper_bound(expected in wild_records()) {
        for record in expected {
            let record = Record { offset: Offset(0), ..record };
            let size = build(Compression::None, std::slice::from_ref(&record), STATE).size_in_bytes();
            let bound = BatchBuilder::size_upper_bound(record.key.as_deref(), record.value.as_deref(), &record.headers);
            prop_assert!(size <= bound, "{} > {}", size, bound);
        }
    }

    #[test]
    fn room_is_exact_without_compression(expected in wild_records(), limit in 61..2_000usize) {
        let mut builder = BatchBuilder::new(Compression::None, limit);
        for record in &expected {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            let room = builder.has_room_for(record.timestamp, key, value, &record.headers);
            let first = builder.is_empty();
            let mut with = builder.clone();
            with.append(record.timestamp, key, value, &record.headers);
            prop_assert_eq!(room, first || with.estimated_size_in_bytes() <= limit);
            if room {
                builder = with;
            }
        }
        let estimate = builder.estimated_size_in_bytes();
        prop_assert_eq!(builder.build().expect("it builds").len(), estimate);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300), at in 0..400usize) {
        touch_everything(bytes.clone().into(), at);
        // With a header that lets it through to the records.
        let mut bytes = bytes;
        if bytes.len() >= BATCH_OVERHEAD {
            let length = bytes.len() as i32 - 12;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            bytes[57..61].copy_from_slice(&[0, 0, 0, 9]);
            touch_everything(bytes.into(), 0);
        }
    }

    #[test]
    fn no_broken_batch_makes_it_panic(expected in wild_records(), at in any::<prop::sample::Index>(), byte: u8) {
        for compression in supported() {
            let mut bytes = build(compression, &expected, STATE).into_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            touch_everything(bytes.into(), 0);
        }
    }
}

/// Calls whatever could go wrong. Batches never claim bytes that are not there, records never outnumber the bytes.
fn touch_everything(bytes: Bytes, at: usize) {
    let _ = RecordBatch::parse(&bytes, at).map(|batch| batch.size_in_bytes());
    let mut size = 0;
    for batch in batches(bytes.clone()).filter_map(Result::ok) {
        size += batch.size_in_bytes();
        let _ = (batch.verify_crc(), batch.compression(), batch.last_offset(), batch.next_offset());
        let _ = (batch.last_sequence(), batch.delete_horizon(), batch.timestamp_type());
        let mut results = batch.records();
        let errors = results.by_ref().filter(Result::is_err).count();
        assert!(errors <= 1, "an error is the last thing said");
        assert!(results.next().is_none());
    }
    assert!(size <= bytes.len());
}

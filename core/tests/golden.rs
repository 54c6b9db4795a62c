//! What Apache Kafka itself has written: it is read, and where we write the same it is the same to the byte.
//!
//! How the files were made is in `golden/README.md`.

use ackproof_core::config::{BrokerConfig, KafkaVersion, LogConfig, Toggles};
use ackproof_core::fact::TruncationReason;
use ackproof_core::log::producer_snapshot;
use ackproof_core::log::{EpochEntry, UnifiedLog};
use ackproof_core::machine::{Context, Effects};
use ackproof_core::record::filter::{WhenEmpty, filter};
use ackproof_core::record::{Compression, EndTransactionMarker, Record, RecordBatch, TransactionResult, batches};
use ackproof_core::storage::{MemoryStorage, OpenMode, Storage};
use ackproof_core::types::{Instant, LeaderEpoch, Offset, Prng, ProducerEpoch, Sequence, Timestamp, TopicPartition};
use bytes::Bytes;

macro_rules! golden {
    ($name:literal) => {
        Bytes::from_static(include_bytes!(concat!("golden/", $name)))
    };
}

const BASE: &str = "00000000000000001000";

fn parse(bytes: &Bytes) -> RecordBatch {
    let batch = RecordBatch::parse(bytes, 0).expect("a whole batch");
    assert_eq!(batch.size_in_bytes(), bytes.len());
    batch.verify_crc().expect("its checksum");
    batch
}

fn records(batch: &RecordBatch) -> Vec<Record> {
    batch.records().collect::<Result<_, _>>().expect("good records")
}

/// What `Golden.java` puts into a batch.
fn expected(n: i64) -> (Option<String>, Option<String>) {
    let key = (n % 3 != 2).then(|| format!("key {n}"));
    let value = (n % 4 != 3).then(|| format!("value {n} ").repeat(5));
    (key, value)
}

#[test]
fn batches_of_every_compression_are_read() {
    let table = [
        (Compression::None, golden!("batch-none.bin")),
        (Compression::Gzip, golden!("batch-gzip.bin")),
        (Compression::Snappy, golden!("batch-snappy.bin")),
        (Compression::Lz4, golden!("batch-lz4.bin")),
        (Compression::Zstd, golden!("batch-zstd.bin")),
    ];
    for (compression, bytes) in table {
        let batch = parse(&bytes);
        assert_eq!(batch.compression(), Ok(compression));
        assert_eq!((batch.base_offset(), batch.last_offset()), (Offset(40), Offset(46)));
        assert_eq!((batch.producer_id(), batch.producer_epoch()), (7, ProducerEpoch(2)));
        assert_eq!((batch.base_sequence(), batch.partition_leader_epoch()), (Sequence(40), LeaderEpoch(5)));
        assert_eq!(batch.max_timestamp(), Timestamp(1_700_000_000_060));
        if !compression.is_supported() {
            continue;
        }
        let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        for (n, record) in records(&batch).iter().enumerate() {
            let n = n as i64;
            assert_eq!((text(&record.key), text(&record.value)), expected(n), "{compression}, record {n}");
            assert_eq!((record.offset, record.timestamp), (Offset(40 + n), Timestamp(1_700_000_000_000 + n * 10)));
            assert_eq!(record.headers.len(), if n == 0 { 2 } else { 0 }, "{compression}, record {n}");
        }
    }
}

#[test]
fn a_transaction_and_its_marker_are_known_for_what_they_are() {
    let batch = parse(&golden!("batch-transactional.bin"));
    assert!(batch.is_transactional() && !batch.is_control());
    let marker = parse(&golden!("batch-commit-marker.bin"));
    assert!(marker.is_transactional() && marker.is_control());
    // Version 0, type 1: commit.
    assert_eq!(records(&marker)[0].key.as_deref(), Some(&[0, 0, 0, 1][..]));
    let (result, coordinator_epoch) = (TransactionResult::Commit, 3);
    let said = EndTransactionMarker { result, coordinator_epoch };
    let at = Timestamp(1_700_000_000_100);
    assert_eq!(EndTransactionMarker::of(&marker), Some((said, at)));
    let ours = said.batch((9, ProducerEpoch(0)), (Offset(5), LeaderEpoch(1)), at);
    assert_eq!(ours, golden!("batch-commit-marker.bin"));
}

#[test]
fn the_cleaner_leaves_what_kafkas_leaves() {
    let before = parse(&golden!("compaction-before.bin"));
    let horizon = Some(Timestamp(1_700_000_100_000 + 86_400_000));
    let kept = filter(&before, WhenEmpty::Drop, horizon, |record| record.offset != Offset(10)).expect("good records");
    assert_eq!(kept.batch, Some(golden!("compaction-after.bin")));
    let empty = filter(&before, WhenEmpty::KeepHeader, horizon, |_| false).expect("good records");
    assert_eq!(empty.batch, Some(golden!("compaction-empty.bin")));
}

fn config() -> LogConfig {
    let defaults = BrokerConfig::resolve(KafkaVersion::new(3, 9), &[]).expect("the defaults are in order").config;
    LogConfig { index_interval_bytes: 4096, ..defaults.log }
}

fn with<R>(disk: &mut MemoryStorage, call: impl FnOnce(&mut Context<'_>) -> R) -> R {
    let mut effects = Effects::default();
    call(&mut Context::new(Instant(0), Timestamp(0), &mut Prng::new(1), disk, &mut effects))
}

fn load(disk: &mut MemoryStorage) -> UnifiedLog {
    let toggles = Toggles::of(KafkaVersion::new(3, 9));
    let partition = TopicPartition::of("orders", 0);
    with(disk, |ctx| UnifiedLog::load(partition, config(), toggles, Offset(0), true, ctx)).expect("it loads")
}

fn put(disk: &mut MemoryStorage, name: &str, content: Bytes) {
    disk.create_dir("orders-0").expect("a new directory");
    let file = disk.open(&format!("orders-0/{name}"), OpenMode::Truncate).expect("a new file");
    disk.append(file, content).expect("room");
    disk.close(file);
}

fn content(disk: &mut MemoryStorage, name: &str) -> Bytes {
    let file = disk.open(&format!("orders-0/{name}"), OpenMode::Existing).expect("it is there");
    let len = disk.len(file).expect("it is open");
    disk.read_at(file, 0, len as usize).expect("it is open")
}

/// The batches of Kafka's segment, appended one by one: log, indexes and snapshot are Kafka's to the byte.
#[test]
fn a_segment_has_the_bytes_of_kafkas() {
    let mut disk = MemoryStorage::default();
    let mut log = load(&mut disk);
    with(&mut disk, |ctx| log.truncate_fully_and_start_at(Offset(1000), TruncationReason::OutOfRange, ctx))
        .expect("a new start");
    for batch in batches(golden!("orders-0/00000000000000001000.log")) {
        let bytes = batch.expect("a good batch").into_bytes();
        with(&mut disk, |ctx| log.append_as_follower(bytes, ctx)).expect("it is appended");
    }
    with(&mut disk, |ctx| log.close(ctx)).expect("it is closed");
    assert_eq!(content(&mut disk, &format!("{BASE}.log")), golden!("orders-0/00000000000000001000.log"));
    assert_eq!(content(&mut disk, &format!("{BASE}.index")), golden!("orders-0/00000000000000001000.index"));
    assert_eq!(content(&mut disk, &format!("{BASE}.timeindex")), golden!("orders-0/00000000000000001000.timeindex"));
    assert_eq!(content(&mut disk, "00000000000000001120.snapshot"), golden!("orders-0/00000000000000001120.snapshot"));
    assert_eq!(content(&mut disk, "leader-epoch-checkpoint"), "0\n1\n3 1000\n");
}

/// Transactions of three producers, two of them open at a time: index and snapshot are Kafka's to the byte, when the batches are
/// appended and when an unclean start finds nothing but the log.
#[test]
fn aborted_transactions_are_kafkas() {
    let mut disk = MemoryStorage::default();
    let mut log = load(&mut disk);
    with(&mut disk, |ctx| log.truncate_fully_and_start_at(Offset(1000), TruncationReason::OutOfRange, ctx))
        .expect("a new start");
    for batch in batches(golden!("transactions-0/00000000000000001000.log")) {
        let bytes = batch.expect("a good batch").into_bytes();
        with(&mut disk, |ctx| log.append_as_follower(bytes, ctx)).expect("it is appended");
    }
    with(&mut disk, |ctx| log.close(ctx)).expect("it is closed");
    let index = golden!("transactions-0/00000000000000001000.txnindex");
    let snapshot = golden!("transactions-0/00000000000000001015.snapshot");
    assert_eq!(content(&mut disk, &format!("{BASE}.txnindex")), index);
    assert_eq!(content(&mut disk, "00000000000000001015.snapshot"), snapshot);

    let mut disk = MemoryStorage::default();
    put(&mut disk, &format!("{BASE}.log"), golden!("transactions-0/00000000000000001000.log"));
    let (toggles, partition) = (Toggles::of(KafkaVersion::new(3, 9)), TopicPartition::of("orders", 0));
    let recovered = |ctx: &mut Context<'_>| UnifiedLog::load(partition, config(), toggles, Offset(0), false, ctx);
    with(&mut disk, recovered).expect("it recovers");
    assert_eq!(content(&mut disk, &format!("{BASE}.txnindex")), index);
    assert_eq!(content(&mut disk, "00000000000000001015.snapshot"), snapshot);
}

#[test]
fn a_directory_of_kafkas_is_loaded() {
    let mut disk = MemoryStorage::default();
    put(&mut disk, &format!("{BASE}.log"), golden!("orders-0/00000000000000001000.log"));
    put(&mut disk, &format!("{BASE}.index"), golden!("orders-0/00000000000000001000.index"));
    put(&mut disk, &format!("{BASE}.timeindex"), golden!("orders-0/00000000000000001000.timeindex"));
    put(&mut disk, "00000000000000001120.snapshot", golden!("orders-0/00000000000000001120.snapshot"));
    put(&mut disk, "leader-epoch-checkpoint", golden!("orders-0/leader-epoch-checkpoint"));
    put(&mut disk, "partition.metadata", golden!("orders-0/partition.metadata"));
    let log = load(&mut disk);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(1000), Offset(1120)));
    // Epochs that end before the log begins are forgotten.
    let epochs = [EpochEntry { epoch: LeaderEpoch(3), start_offset: Offset(1000) }];
    assert_eq!(log.leader_epochs().entries(), epochs);
    let producer = log.producers().entry(7).expect("it is in the snapshot");
    assert_eq!(producer.batches().len(), 1);
    assert_eq!(producer.batches()[0].last_offset, Offset(1119));
    assert_eq!(content(&mut disk, &format!("{BASE}.index")), golden!("orders-0/00000000000000001000.index"));
}

#[test]
fn a_snapshot_of_kafkas_comes_back_as_it_was() {
    let bytes = golden!("orders-0/00000000000000001120.snapshot");
    let entries = producer_snapshot::decode(&bytes).expect("it is good");
    assert_eq!(producer_snapshot::encode(&entries), bytes);
}

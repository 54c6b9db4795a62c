//! What waits, what goes out together, and what is known of a batch on its way.

use super::*;
use crate::client::producer::Producer;
use crate::client::producer::batch::Place;
use crate::client::testing::producer_config;
use crate::client::testing_cluster::Cluster;
use crate::record::BATCH_OVERHEAD;
use crate::types::{RecordId, Sequence, StrBytes};

fn config(version: KafkaVersion) -> ProducerConfig {
    ProducerConfig { linger_ms: Duration::from_secs(100), ..producer_config(version) }
}

/// A producer that keeps everything to itself: nothing lingers for so short a time.
fn cluster(config: ProducerConfig) -> Cluster<Producer> {
    Cluster::new(Producer::new(config.into(), vec![NodeId::Broker(1)], 0))
}

fn topic(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn record(number: u64, value: &[u8]) -> Append<'_> {
    let record = RecordId { client: 0, number };
    Append { record, timestamp: Timestamp(5), key: None, value: Some(value), headers: &[] }
}

fn drain(cluster: &mut Cluster<Producer>, size_max: usize) -> Vec<(String, i32)> {
    let Producer { accumulator, metadata, .. } = &mut cluster.machine;
    let drained = accumulator.drain(NodeId::Broker(1), metadata, size_max, None, Instant(0));
    let partition = |number: &u64| accumulator.batches[number].partition.clone();
    drained.iter().map(partition).map(|it| (it.topic.as_str().to_owned(), it.partition)).collect()
}

#[test]
fn a_request_has_at_most_one_batch_of_each_partition_and_no_more_than_fits() {
    let two = |cluster: &mut Cluster<Producer>| {
        for partition in 0..2 {
            cluster.send("orders", Some(partition), 0..1);
        }
    };
    let mut measured = cluster(config(KafkaVersion::new(3, 9)));
    two(&mut measured);
    let size = measured.machine.accumulator.batches[&1].size_in_bytes();
    assert!(size > BATCH_OVERHEAD + 40);
    for (size_max, expected) in [(2 * size, 2), (2 * size - 1, 1), (size, 1), (0, 1)] {
        let mut cluster = cluster(config(KafkaVersion::new(3, 9)));
        two(&mut cluster);
        assert_eq!(drain(&mut cluster, size_max).len(), expected, "{size_max} bytes");
    }
}

#[test]
fn where_one_request_ends_the_next_one_begins() {
    let mut cluster = cluster(config(KafkaVersion::new(3, 9)));
    for name in ["orders", "payments"] {
        for partition in 0..2 {
            cluster.send(name, Some(partition), 0..1);
        }
    }
    let all: Vec<Vec<(String, i32)>> = (0..5).map(|_| drain(&mut cluster, 1)).collect();
    let place = |name: &str, partition: i32| vec![(name.to_owned(), partition)];
    assert_eq!(all[..4], [place("orders", 0), place("orders", 1), place("payments", 0), place("payments", 1)]);
    assert_eq!(all[4], []);
}

#[test]
fn a_partition_that_is_muted_sends_nothing() {
    let mut cluster = cluster(config(KafkaVersion::new(3, 9)));
    cluster.send("orders", Some(0), 0..1);
    cluster.machine.accumulator.set_muted(&TopicPartition::of("orders", 0), true);
    assert_eq!(drain(&mut cluster, 1 << 20), []);
    cluster.machine.accumulator.set_muted(&TopicPartition::of("orders", 0), false);
    assert_eq!(drain(&mut cluster, 1 << 20).len(), 1);
}

#[test]
fn topics_without_a_leader_are_named_once() {
    let mut cluster = cluster(config(KafkaVersion::new(3, 9)));
    let all = ["orders", "payments"].iter().flat_map(|name| (0..2).map(|partition| ((*name).to_owned(), partition)));
    cluster.leaderless.extend(all.clone());
    for (name, partition) in all {
        cluster.send(&name, Some(partition), 0..1);
    }
    let Producer { accumulator, metadata, partitioner, .. } = &mut cluster.machine;
    let ready = accumulator.ready(metadata, false, partitioner, Instant(0));
    assert_eq!(ready.leaderless, [topic("orders"), topic("payments")]);
    assert_eq!((ready.nodes, ready.next_check), (vec![], None));
}

#[test]
fn appends_say_how_much_a_batch_grew_and_whether_the_sender_has_something_to_do() {
    let mut accumulator =
        RecordAccumulator::new(&ProducerConfig { batch_size: 200, ..config(KafkaVersion::new(3, 9)) });
    let (orders, place) = (topic("orders"), TopicPartition::of("orders", 0));
    assert!(accumulator.all_batches_full(&orders, 0), "there is none");
    assert!(accumulator.try_append(&orders, 0, record(0, &[1; 40])).is_none());
    let first = accumulator.append_to_new_batch(&place, record(0, &[1; 40]), Instant(0)).expect("there is memory");
    assert!(first.wakes_sender && !accumulator.all_batches_full(&orders, 0));
    let before = accumulator.batches[&first.batch].size_in_bytes();
    let second = accumulator.try_append(&orders, 0, record(1, &[1; 40])).expect("there is room");
    let after = accumulator.batches[&first.batch].size_in_bytes();
    assert_eq!((second.batch, second.bytes, second.wakes_sender), (first.batch, (after - before) as u64, false));
    // No room for a third: the batch takes nothing any more, not even what would fit.
    assert!(accumulator.try_append(&orders, 0, record(2, &[1; 100])).is_none());
    assert!(accumulator.all_batches_full(&orders, 0));
    assert!(accumulator.try_append(&orders, 0, record(2, &[])).is_none());
    let next = accumulator.append_to_new_batch(&place, record(2, &[1; 20]), Instant(0)).expect("there is memory");
    let more = accumulator.try_append(&orders, 0, record(3, &[1; 20])).expect("there is room");
    assert!(next.batch > first.batch && more.wakes_sender, "the first one waits");
}

#[test]
fn memory_is_taken_up_to_the_last_byte_and_no_further() {
    for (bytes, expected) in [(100, Ok(())), (101, Err(NoMemory::MoreThanTotal)), (0, Ok(()))] {
        assert_eq!(BufferPool::new(100).allocate(bytes), expected, "{bytes}");
    }
    let mut pool = BufferPool::new(100);
    assert_eq!([60, 41, 40].map(|bytes| pool.allocate(bytes)), [Ok(()), Err(NoMemory::Exhausted), Ok(())]);
}

fn batch(compression: Compression, records: u8) -> ProducerBatch {
    let builder = BatchBuilder::new(compression, 1 << 20);
    let mut batch = ProducerBatch::new(1, TopicPartition::of("orders", 0), builder, 0, Instant(0));
    for number in 0..records {
        let builder = batch.builder().expect("it takes records");
        builder.append(Timestamp(5), None, Some(&[number; 400]), &[]);
        batch.add(Callback { record: RecordId { client: 0, number: number.into() }, timestamp: Timestamp(5) });
    }
    batch
}

#[test]
fn a_batch_that_is_closed_takes_nothing_and_is_made_once() {
    let mut batch = batch(Compression::None, 3);
    assert!(batch.builder().is_some() && !batch.is_full());
    let size = batch.size_in_bytes();
    batch.close_for_appends();
    assert!(batch.builder().is_none() && batch.is_full());
    batch.producer.base_sequence = Sequence(5);
    assert_eq!(batch.last_sequence(), Sequence(7));
    let bytes = batch.close(Compression::None, None).expect("it is sound");
    assert_eq!((bytes.len(), batch.size_in_bytes()), (size, size));
    // The same bytes for every attempt, unless they have to say something else.
    assert_eq!(batch.close(Compression::None, None).expect("it is sound").as_ptr(), bytes.as_ptr());
    batch.reset_producer_state(ProducerState { base_sequence: Sequence(6), ..batch.producer });
    let renumbered = batch.close(Compression::None, None).expect("it is sound");
    assert_eq!(RecordBatch::parse(&renumbered, 0).map(|batch| batch.base_sequence()), Ok(Sequence(6)));
    assert!(!batch.is_done());
    assert!(batch.take_remains().is_done());
}

#[test]
fn how_well_batches_compress_is_remembered() {
    let bytes = batch(Compression::None, 3).close(Compression::None, None).expect("it is sound").len();
    let zipped = batch(Compression::Gzip, 3).close(Compression::Gzip, None).expect("it is sound").len();
    let (mut expected, mut found) = (CompressionRatioEstimator::default(), CompressionRatioEstimator::default());
    expected.update(Compression::Gzip, bytes - BATCH_OVERHEAD, zipped - BATCH_OVERHEAD);
    batch(Compression::Gzip, 3).close(Compression::Gzip, Some(&mut found)).expect("it is sound");
    assert_eq!(found.permille(Compression::Gzip), expected.permille(Compression::Gzip));
    assert!(found.permille(Compression::Gzip) < CompressionRatioEstimator::default().permille(Compression::Gzip));
    // What cannot be compressed becomes longer.
    let noise = [3, 141, 59, 26, 53, 58, 97, 93, 23, 84, 62, 64, 33, 83, 27, 95];
    let one = |compression: Compression, ratio: Option<&mut CompressionRatioEstimator>| {
        let builder = BatchBuilder::new(compression, 1 << 20);
        let mut batch = ProducerBatch::new(1, TopicPartition::of("orders", 0), builder, 0, Instant(0));
        batch.builder().expect("it takes records").append(Timestamp(5), None, Some(&noise), &[]);
        batch.close(compression, ratio).expect("it is sound").len()
    };
    let (mut expected, mut found) = (CompressionRatioEstimator::default(), CompressionRatioEstimator::default());
    let (bytes, zipped) = (one(Compression::None, None), one(Compression::Gzip, Some(&mut found)));
    expected.update(Compression::Gzip, bytes - BATCH_OVERHEAD, zipped - BATCH_OVERHEAD);
    assert_eq!(found.permille(Compression::Gzip), expected.permille(Compression::Gzip));
    assert!(found.permille(Compression::Gzip) > CompressionRatioEstimator::default().permille(Compression::Gzip));
    for (compression_type, remembered) in [(Compression::None, 0), (Compression::Gzip, 1)] {
        let mut cluster = cluster(ProducerConfig { compression_type, ..config(KafkaVersion::new(3, 9)) });
        cluster.send("orders", Some(0), 0..1);
        cluster.call(crate::client::Call::Flush);
        assert_eq!(cluster.produce.len(), 1);
        assert_eq!(cluster.machine.accumulator.ratios.len(), remembered, "{compression_type:?}");
    }
}

#[test]
fn a_new_leader_ends_the_backoff_of_the_retry_that_it_was_found_in() {
    let mut batch = batch(Compression::None, 1);
    let changed = |batch: &ProducerBatch, latest: i32| batch.leader_changed_since_retry(LeaderEpoch(latest));
    batch.maybe_update_leader_epoch(LeaderEpoch(3));
    assert!(!changed(&batch, 3) && !changed(&batch, 4), "it is no retry");
    batch.attempts = 1;
    assert!(!changed(&batch, 3) && !changed(&batch, 2) && changed(&batch, 4));
    batch.maybe_update_leader_epoch(LeaderEpoch(3));
    batch.maybe_update_leader_epoch(LeaderEpoch(2));
    assert!(!changed(&batch, 3), "the same leader as before");
    batch.maybe_update_leader_epoch(LeaderEpoch(4));
    assert!(changed(&batch, 4));
    batch.attempts = 2;
    assert!(!changed(&batch, 4), "that one has been tried");
}

#[test]
fn what_expired_in_a_request_is_done() {
    let mut cluster = cluster(config(KafkaVersion::new(3, 9)));
    cluster.send("orders", Some(0), 0..1);
    assert_eq!(drain(&mut cluster, 1 << 20).len(), 1);
    let accumulator = &mut cluster.machine.accumulator;
    assert!(accumulator.finish(1, true).is_some_and(|batch| batch.place == Place::InRequest));
    assert!(accumulator.finish(1, true).is_none(), "its callbacks have run");
    assert_eq!((accumulator.incomplete().count(), accumulator.abort(), accumulator.batches.len()), (0, vec![], 1));
}

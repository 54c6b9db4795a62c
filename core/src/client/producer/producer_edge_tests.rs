//! One producer at its edges: what fits to the byte, what ends at the moment, what one batch's fate does to the others.

use super::*;
use crate::client::testing::producer_config;
use crate::client::testing_cluster::Cluster;
use crate::fact::RetryReason;
use crate::record::{BatchBuilder, RecordBatch};

fn config(major: u16, minor: u16) -> ProducerConfig {
    ProducerConfig { batch_size: 0, ..producer_config(KafkaVersion::new(major, minor)) }
}

pub(super) fn idempotent(major: u16, minor: u16) -> ProducerConfig {
    ProducerConfig { enable_idempotence: true, ..config(major, minor) }
}

pub(super) fn cluster(config: ProducerConfig) -> Cluster<Producer> {
    Cluster::new(Producer::new(Arc::new(config), vec![NodeId::Broker(1)], 0))
}

pub(super) fn sequences(cluster: &Cluster<Producer>) -> Vec<(i64, i16, i32)> {
    let state = |batch: &RecordBatch| (batch.producer_id(), batch.producer_epoch().0, batch.base_sequence().0);
    cluster.produce.iter().flat_map(|request| &request.batches).map(|(_, batch)| state(batch)).collect()
}

/// The bytes that a record of 40 bytes takes up at most, in a batch of its own.
fn bound() -> usize {
    BatchBuilder::size_upper_bound(None, Some(&[0; 40]), &[])
}

#[test]
fn a_record_fits_to_the_byte() {
    let too_large = Err(ErrorCode::CLIENT_RECORD_TOO_LARGE);
    let fitting = |max_request_size: usize, buffer_memory: usize| ProducerConfig {
        max_request_size,
        buffer_memory: buffer_memory as u64,
        ..config(3, 9)
    };
    for (config, expected) in [
        (fitting(bound(), 1 << 20), Ok(())),
        (fitting(bound() - 1, 1 << 20), too_large),
        (fitting(1 << 20, bound()), Ok(())),
        (fitting(1 << 20, bound() - 1), too_large),
        // A batch is larger than all memory.
        (ProducerConfig { batch_size: bound() + 1, ..fitting(1 << 20, bound()) }, too_large),
    ] {
        let mut cluster = cluster(config);
        cluster.send("orders", Some(0), 0..1);
        assert_eq!(cluster.returned(), [(0, expected)]);
    }
}

#[test]
fn partitions_are_counted_from_zero() {
    let mut cluster = cluster(config(3, 9));
    cluster.send("orders", Some(1), 0..1);
    cluster.send("orders", Some(2), 1..2);
    assert_eq!(cluster.returned(), [(0, Ok(()))], "there are two");
}

#[test]
fn a_record_goes_to_the_partition_that_it_names_whatever_the_partitioner_would_say() {
    for partition in 0..2 {
        let mut cluster = cluster(config(3, 9));
        cluster.send("orders", Some(partition), 0..20);
        while !cluster.produce.is_empty() {
            assert!(cluster.produce[0].batches.iter().all(|(to, _)| to.partition == partition));
            cluster.answer_produce_in_sequence();
        }
        assert_eq!(cluster.delivered().len(), 20);
    }
}

#[test]
fn shorter_queues_get_more_since_3_3() {
    for partitions in [2, 3] {
        let mut cluster = cluster(ProducerConfig { max_in_flight_requests_per_connection: 1, ..config(3, 9) });
        cluster.partitions = partitions;
        for other in 1..partitions {
            cluster.send("orders", Some(other), 0..1);
            cluster.answer_produce_in_sequence();
        }
        cluster.send("orders", Some(0), 1..31);
        cluster.send("orders", None, 31..51);
        let batches = cluster.machine.accumulator.incomplete();
        let elsewhere = batches.filter(|batch| batch.partition.partition != 0).count();
        assert!(elsewhere >= 17, "{elsewhere} of twenty are not where thirty wait");
    }
}

#[test]
fn nothing_lingers_while_somebody_waits_for_memory_but_for_metadata_it_does() {
    let lingering =
        ProducerConfig { linger_ms: Duration::from_secs(100), buffer_memory: 2 * bound() as u64, ..config(2, 2) };
    let mut full = cluster(lingering.clone());
    full.send("orders", Some(0), 0..1);
    full.send("orders", Some(1), 1..2);
    assert!(full.produce.is_empty());
    full.send("payments", Some(0), 2..3);
    assert_eq!(full.produce_records().concat(), [0, 1]);
    let mut unknown = cluster(ProducerConfig { batch_size: bound(), ..lingering });
    unknown.unknown_topics.push("nowhere".to_owned());
    unknown.send("orders", Some(0), 0..1);
    unknown.send("nowhere", Some(0), 1..2);
    unknown.run_for(Duration::from_secs(1));
    assert!(unknown.produce.is_empty());
}

#[test]
fn what_got_its_memory_goes_out_although_the_one_behind_it_waits_for_metadata() {
    let mut cluster = cluster(ProducerConfig { buffer_memory: bound() as u64, ..config(3, 9) });
    for (number, topic) in [(0, "orders"), (1, "orders"), (2, "payments")] {
        cluster.send(topic, Some(0), number..number + 1);
    }
    cluster.run_for(Duration::from_secs(1));
    assert_eq!(cluster.produce_records(), [[0]]);
    cluster.holds_metadata = true;
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    assert_eq!((cluster.produce_records().concat(), cluster.asked.len()), (vec![1], 1));
}

/// Kafka: `BufferPool.deallocate` wakes whoever waits first.
#[test]
fn the_memory_of_a_batch_that_expires_goes_at_once_to_whoever_waits_for_it() {
    let delivery_timeout_ms = Duration::from_secs(20);
    let mut cluster = cluster(ProducerConfig { buffer_memory: bound() as u64, delivery_timeout_ms, ..config(3, 9) });
    cluster.send("orders", Some(0), 0..2);
    cluster.run_for(Duration::from_secs(20));
    assert_eq!(cluster.delivered(), [(0, Err(ErrorCode::CLIENT_DELIVERY_TIMEOUT))]);
    assert_eq!((cluster.returned().len(), cluster.produce_records().concat()), (2, vec![0, 1]));
}

#[test]
fn who_waits_behind_another_is_told_that_there_was_no_room_for_it() {
    let mut cluster = cluster(config(2, 2));
    cluster.send("orders", Some(0), 0..1);
    cluster.unknown_topics.push("nowhere".to_owned());
    cluster.send("nowhere", Some(0), 1..2);
    cluster.send("orders", Some(0), 2..3);
    cluster.run_for(Duration::from_secs(60));
    let expected = [(1, Err(ErrorCode::CLIENT_METADATA_TIMEOUT)), (2, Err(ErrorCode::CLIENT_BUFFER_EXHAUSTED))];
    assert_eq!(cluster.returned()[1..], expected);
}

#[test]
fn while_a_record_waits_for_memory_the_word_of_its_partitioner_stands_unless_it_looks_at_batches() {
    for (version, stands) in [((2, 2), true), ((2, 5), true), ((3, 9), false)] {
        let mut cluster = cluster(ProducerConfig { buffer_memory: bound() as u64, ..config(version.0, version.1) });
        cluster.send("orders", None, 0..2);
        cluster.run_for(Duration::from_secs(60));
        let placed = |fact: &Fact| {
            let Fact::RecordFailed { record, partition, .. } = fact else { return None };
            (record.number == 1).then_some(partition.is_some())
        };
        assert_eq!(cluster.facts().iter().find_map(placed), Some(stands), "{version:?}");
    }
}

#[test]
fn the_word_of_a_partitioner_stands_however_often_memory_is_looked_for() {
    let mut cluster = cluster(ProducerConfig {
        buffer_memory: bound() as u64,
        round_robin_partitioner: true,
        metadata_max_age_ms: Duration::from_secs(1),
        ..config(3, 9)
    });
    cluster.partitions = 7;
    cluster.send("orders", None, 0..2);
    cluster.run_for(Duration::from_secs(10));
    assert_eq!(cluster.produce_records(), [[0]]);
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    // A record that needs a batch takes two turns: 0 and 1, then 2 and 3.
    assert_eq!(cluster.produce[0].batches[0].0, TopicPartition::of("orders", 3));
}

#[test]
fn a_record_is_in_one_batch_whatever_the_partitioner_makes_of_new_ones() {
    for (version, round_robin_partitioner) in [((2, 3), false), ((2, 4), false), ((2, 4), true), ((3, 9), false)] {
        let mut cluster = cluster(ProducerConfig {
            linger_ms: Duration::from_secs(100),
            batch_size: 16_384,
            round_robin_partitioner,
            ..config(version.0, version.1)
        });
        cluster.send("orders", None, 0..10);
        cluster.call(Call::Flush);
        let mut went = cluster.produce_records().concat();
        went.sort_unstable();
        assert_eq!(went, (0..10).collect::<Vec<_>>(), "{version:?}, round robin: {round_robin_partitioner}");
    }
}

#[test]
fn batches_of_several_topics_go_out_together_each_to_its_own() {
    let mut cluster = cluster(ProducerConfig { linger_ms: Duration::from_secs(100), ..config(3, 9) });
    // What is known is known before.
    for name in ["orders", "payments"] {
        cluster.send(name, Some(0), 0..1);
        cluster.call(Call::Flush);
        cluster.answer_produce_in_sequence();
    }
    cluster.machine.accumulator.set_batch_size(1 << 14);
    for (number, (name, partition)) in
        [("orders", 0), ("payments", 0), ("orders", 1), ("payments", 1)].iter().enumerate()
    {
        let number = number as u64;
        cluster.send(name, Some(*partition), 10 + number..11 + number);
    }
    cluster.call(Call::Flush);
    assert_eq!(cluster.produce.len(), 1);
    let mut went: Vec<String> = cluster.produce[0].batches.iter().map(|(partition, _)| partition.to_string()).collect();
    went.sort();
    assert_eq!(went, ["orders-0", "orders-1", "payments-0", "payments-1"]);
}

#[test]
fn one_record_that_is_too_large_fails_and_is_not_split() {
    let mut cluster = cluster(config(3, 9));
    cluster.send("orders", Some(0), 0..1);
    cluster.answer_produce(0, ErrorCode::MESSAGE_TOO_LARGE, -1);
    assert_eq!(cluster.delivered(), [(0, Err(ErrorCode::MESSAGE_TOO_LARGE))]);
}

/// Ten records in one batch, which a broker finds too large: it goes out again in several.
fn split() -> (Cluster<Producer>, usize) {
    let mut cluster = cluster(ProducerConfig {
        batch_size: 2_000,
        linger_ms: Duration::from_secs(100),
        max_in_flight_requests_per_connection: 1,
        ..idempotent(2, 2)
    });
    cluster.send("orders", Some(0), 0..10);
    // With one request in flight at a time its id comes after the metadata.
    cluster.run_for(Duration::from_secs(1));
    cluster.call(Call::Flush);
    assert_eq!(cluster.produce_records().concat().len(), 10);
    cluster.machine.accumulator.set_batch_size(250);
    cluster.answer_produce(0, ErrorCode::MESSAGE_TOO_LARGE, -1);
    let parts = cluster.machine.accumulator.incomplete().count();
    assert!(parts >= 3);
    (cluster, parts)
}

#[test]
fn the_parts_of_a_batch_go_one_by_one_with_their_shares_of_its_sequences() {
    let (mut cluster, parts) = split();
    let mut next = 0;
    for _ in 0..parts {
        assert_eq!(cluster.produce.len(), 1, "one after the other");
        assert_eq!(sequences(&cluster), [(7, 0, next)]);
        next += i32::try_from(cluster.produce_records().concat().len()).expect("they are few");
        cluster.answer_produce_in_sequence();
    }
    assert_eq!((next, cluster.delivered().len()), (10, 10));
}

#[test]
fn parts_wait_for_one_another_even_if_more_requests_could_go_out() {
    let mut cluster =
        cluster(ProducerConfig { batch_size: 2_000, linger_ms: Duration::from_secs(100), ..idempotent(3, 9) });
    cluster.send("orders", Some(0), 0..10);
    cluster.call(Call::Flush);
    cluster.machine.accumulator.set_batch_size(250);
    cluster.answer_produce(0, ErrorCode::MESSAGE_TOO_LARGE, -1);
    assert_eq!(cluster.produce.len(), 1);
}

#[test]
fn a_flush_waits_for_every_part_and_for_nothing_that_came_later() {
    let (mut cluster, parts) = split();
    for part in 0..parts {
        assert!(!cluster.completed(&Completion::Flushed), "{part} of {parts} are there");
        cluster.answer_produce_in_sequence();
    }
    assert!(cluster.completed(&Completion::Flushed));

    let mut cluster = self::cluster(ProducerConfig { linger_ms: Duration::from_secs(100), ..config(3, 9) });
    cluster.send("orders", Some(0), 0..1);
    cluster.call(Call::Flush);
    cluster.send("orders", Some(1), 1..2);
    assert_eq!(cluster.produce.len(), 2);
    cluster.answer_produce(1, ErrorCode::NONE, 0);
    assert!(!cluster.completed(&Completion::Flushed), "that was not there");
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    assert!(cluster.completed(&Completion::Flushed));
}

#[test]
fn whatever_becomes_of_the_first_batch_the_second_expires_when_its_time_is_over() {
    // What the first one is answered with, and what both are told.
    let late = Err(ErrorCode::CLIENT_DELIVERY_TIMEOUT);
    for (error, first) in [
        (ErrorCode::NONE, Ok(0)),
        (ErrorCode::NOT_LEADER_OR_FOLLOWER, late),
        (ErrorCode::INVALID_RECORD, Err(ErrorCode::INVALID_RECORD)),
    ] {
        let mut cluster = cluster(ProducerConfig { delivery_timeout_ms: Duration::from_secs(20), ..config(3, 9) });
        cluster.send("orders", Some(0), 0..2);
        assert_eq!(cluster.produce.len(), 2);
        cluster.answer_produce(0, error, 0);
        cluster.run_for(Duration::from_secs(20));
        let mut told = cluster.delivered();
        told.sort_by_key(|(record, _)| *record);
        assert_eq!(told, [(0, first), (1, late)], "{error}");
        assert_eq!(cluster.machine.accumulator.memory_in_use(), 0);
    }
}

#[test]
fn a_batch_that_expires_in_a_request_is_remembered_until_the_answer_but_holds_no_memory() {
    let mut cluster = cluster(ProducerConfig { delivery_timeout_ms: Duration::from_secs(20), ..config(3, 9) });
    let held = |cluster: &Cluster<Producer>| {
        let batches = cluster.machine.accumulator.batches.values();
        (batches.clone().count(), batches.map(|batch| batch.memory).sum::<u64>())
    };
    cluster.send("orders", Some(0), 0..1);
    assert_eq!(held(&cluster), (1, cluster.machine.accumulator.memory_in_use()));
    cluster.run_for(Duration::from_secs(20));
    assert_eq!((held(&cluster), cluster.machine.accumulator.memory_in_use()), ((1, 0), 0));
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    assert_eq!(held(&cluster), (0, 0));
}

#[test]
fn a_batch_that_is_split_does_not_keep_another_from_expiring() {
    let mut cluster = cluster(ProducerConfig {
        batch_size: 2_000,
        linger_ms: Duration::from_secs(100),
        delivery_timeout_ms: Duration::from_secs(20),
        ..config(3, 9)
    });
    for numbers in [0..10, 10..11] {
        cluster.send("orders", Some(0), numbers);
        cluster.call(Call::Flush);
    }
    assert_eq!(cluster.produce.len(), 2);
    cluster.answer_produce(0, ErrorCode::MESSAGE_TOO_LARGE, -1);
    cluster.run_for(Duration::from_secs(20));
    assert!(cluster.delivered().contains(&(10, Err(ErrorCode::CLIENT_DELIVERY_TIMEOUT))));
}

#[test]
fn a_batch_that_fails_takes_nobody_along() {
    let mut cluster = cluster(ProducerConfig { max_in_flight_requests_per_connection: 1, ..config(3, 9) });
    cluster.send("orders", Some(0), 0..3);
    for number in 0..3 {
        assert_eq!(cluster.produce_records(), [[number]]);
        cluster.answer_produce(0, ErrorCode::INVALID_RECORD, -1);
    }
    assert_eq!(cluster.delivered().len(), 3);
}

#[test]
fn with_one_request_in_flight_a_new_leader_gets_nothing_before_the_old_one_has_answered() {
    let mut cluster = cluster(ProducerConfig {
        max_in_flight_requests_per_connection: 1,
        metadata_max_age_ms: Duration::from_secs(1),
        ..config(3, 9)
    });
    cluster.send("orders", Some(0), 0..2);
    cluster.leader = (2, 1);
    cluster.run_for(Duration::from_secs(5));
    assert_eq!(cluster.produce.iter().map(|request| request.node).collect::<Vec<_>>(), [1]);
    cluster.answer_produce(0, ErrorCode::NONE, 0);
    assert_eq!(cluster.produce.iter().map(|request| request.node).collect::<Vec<_>>(), [2]);
}

#[test]
fn before_3_7_nobody_listens_to_a_leader_hint() {
    for (version, at_once, later) in [((3, 6), None, Some(1)), ((3, 7), Some(2), Some(2))] {
        let mut cluster = cluster(config(version.0, version.1));
        cluster.send("orders", Some(0), 0..1);
        cluster.run_for(Duration::from_secs(1));
        cluster.answer_produce_with_hint(0, 2, 5);
        assert_eq!(cluster.produce.first().map(|request| request.node), at_once, "{version:?}");
        cluster.run_for(Duration::from_millis(200));
        assert_eq!(cluster.produce.first().map(|request| request.node), later, "{version:?}");
    }
}

#[test]
fn without_a_leader_the_metadata_are_asked_for_until_there_is_one() {
    let mut cluster = cluster(config(3, 9));
    cluster.leaderless.push(("orders".to_owned(), 0));
    cluster.send("orders", Some(0), 0..1);
    let asked = cluster.metadata_requests;
    cluster.run_for(Duration::from_secs(1));
    assert!(cluster.metadata_requests >= asked + 5, "{asked} {}", cluster.metadata_requests);
    assert!(cluster.produce.is_empty());
    cluster.leaderless.clear();
    cluster.run_for(Duration::from_secs(1));
    assert_eq!(cluster.produce_records(), [[0]]);
    let asked = cluster.metadata_requests;
    cluster.run_for(Duration::from_secs(10));
    assert_eq!(cluster.metadata_requests, asked, "all is known");
}

#[test]
fn a_batch_that_expires_as_it_leaves_its_queue_goes_out_and_nobody_knows() {
    let (linger_ms, delivery_timeout_ms) = (Duration::from_secs(20), Duration::from_secs(20));
    let mut cluster = cluster(ProducerConfig { linger_ms, delivery_timeout_ms, batch_size: 16_384, ..config(3, 9) });
    cluster.send("orders", Some(0), 0..1);
    cluster.run_for(Duration::from_secs(20));
    assert_eq!(cluster.delivered(), [(0, Err(ErrorCode::CLIENT_DELIVERY_TIMEOUT))]);
    assert_eq!(cluster.produce_records(), [[0]]);
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::RecordFailed { definite: false, .. })), 1);
}

#[test]
fn a_batch_that_was_refused_for_certain_and_expires_was_not_written() {
    for (error, definite) in
        [(ErrorCode::NOT_ENOUGH_REPLICAS, true), (ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, false)]
    {
        let mut cluster = cluster(ProducerConfig {
            delivery_timeout_ms: Duration::from_secs(20),
            retry_backoff_ms: Duration::from_secs(15),
            retry_backoff_max_ms: Duration::from_secs(15),
            ..config(3, 9)
        });
        cluster.send("orders", Some(0), 0..1);
        cluster.run_for(Duration::from_secs(10));
        cluster.answer_produce(0, error, -1);
        cluster.run_for(Duration::from_secs(10));
        assert_eq!(cluster.delivered(), [(0, Err(ErrorCode::CLIENT_DELIVERY_TIMEOUT))]);
        let said = cluster.count(|fact| matches!(fact, Fact::RecordFailed { definite: it, .. } if *it == definite));
        assert_eq!(said, 1, "{error}");
    }
}

#[test]
fn after_the_last_attempt_nobody_knows_whether_the_sequence_was_used() {
    // Since 2.5. How often it is tried again, what it is answered with each time, the next batch.
    let unknown = ErrorCode::NOT_ENOUGH_REPLICAS;
    for (retries, answers, next) in [
        (1, &[ErrorCode::INVALID_RECORD][..], (7, 1, 0)),
        (1, &[unknown, unknown], (7, 0, 1)),
        (0, &[unknown], (7, 0, 1)),
        (2, &[unknown, ErrorCode::INVALID_RECORD], (7, 1, 0)),
    ] {
        let mut cluster = cluster(ProducerConfig { retries, ..idempotent(3, 9) });
        cluster.send("orders", Some(0), 0..1);
        for error in answers {
            cluster.answer_produce(0, *error, -1);
            cluster.run_for(Duration::from_millis(200));
        }
        assert!(cluster.delivered().iter().all(|(_, result)| result.is_err()));
        cluster.send("orders", Some(0), 1..2);
        cluster.run_for(Duration::from_millis(200));
        assert_eq!(sequences(&cluster), [next], "{retries} retries, {answers:?}");
    }
}

#[test]
fn a_late_answer_to_a_batch_that_expired_is_held_against_it_a_second_time_before_3_6() {
    for (version, error, again) in [
        ((3, 5), ErrorCode::INVALID_RECORD, 1),
        ((3, 6), ErrorCode::INVALID_RECORD, 0),
        ((3, 5), ErrorCode::NONE, 0),
        ((3, 5), ErrorCode::DUPLICATE_SEQUENCE_NUMBER, 0),
    ] {
        let delivery_timeout_ms = Duration::from_secs(20);
        let mut cluster = cluster(ProducerConfig { delivery_timeout_ms, ..idempotent(version.0, version.1) });
        cluster.send("orders", Some(0), 0..1);
        cluster.run_for(Duration::from_secs(20));
        assert_eq!(cluster.delivered(), [(0, Err(ErrorCode::CLIENT_DELIVERY_TIMEOUT))]);
        cluster.answer_produce(0, error, -1);
        let said = cluster.count(|fact| matches!(fact, Fact::BatchFailedAgain { .. }));
        assert_eq!(said, again, "{version:?} {error}");
    }
}

/// After the last attempt nobody knows whether the sequence was used, and the epoch stays.
#[test]
fn a_late_refusal_of_the_last_attempt_costs_nothing_before_3_6() {
    for (retries, next) in [(0, (7, 0, 1)), (1, (7, 1, 0))] {
        let delivery_timeout_ms = Duration::from_secs(20);
        let mut cluster = cluster(ProducerConfig { delivery_timeout_ms, retries, ..idempotent(3, 5) });
        cluster.send("orders", Some(0), 0..1);
        cluster.run_for(Duration::from_secs(20));
        cluster.answer_produce(0, ErrorCode::INVALID_RECORD, -1);
        cluster.send("orders", Some(0), 1..2);
        cluster.run_for(Duration::from_millis(200));
        assert_eq!(sequences(&cluster), [next], "{retries} retries");
    }
}

#[test]
fn an_error_that_comes_when_the_time_is_over_is_the_last_word() {
    let error = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    for (millis, expected) in [(19_999, vec![]), (20_000, vec![(0, Err(error))])] {
        let mut cluster = cluster(ProducerConfig { delivery_timeout_ms: Duration::from_secs(20), ..config(3, 9) });
        cluster.send("orders", Some(0), 0..1);
        cluster.pass(Duration::from_millis(millis));
        cluster.answer_produce(0, error, -1);
        assert_eq!(cluster.delivered(), expected, "after {millis} ms");
    }
}

#[test]
fn close_waits_for_what_has_no_leader_yet_and_then_fails_all_of_it() {
    let mut cluster = cluster(config(3, 9));
    for partition in 0..2 {
        cluster.leaderless.push(("orders".to_owned(), partition));
    }
    cluster.send("orders", Some(0), 0..2);
    cluster.send("orders", Some(1), 2..3);
    cluster.call(Call::Close { timeout: Duration::from_secs(10) });
    cluster.run_for(Duration::from_millis(9_999));
    assert!(!cluster.completed(&Completion::Closed));
    cluster.run_for(Duration::from_millis(1));
    assert_eq!(cluster.delivered(), [0, 1, 2].map(|record| (record, Err(ErrorCode::CLIENT_CLOSED))));
    assert!(cluster.completed(&Completion::Closed));
    // There is nothing to be waited for any more.
    cluster.take_completions();
    cluster.call(Call::Flush);
    cluster.call(Call::Close { timeout: Duration::ZERO });
    assert_eq!(cluster.take_completions(), [Completion::Flushed, Completion::Closed]);
}

#[test]
fn a_closed_producer_that_may_take_for_ever_names_no_end() {
    let mut cluster = cluster(config(3, 9));
    cluster.call(Call::Close { timeout: Duration::FOREVER });
    assert!(cluster.completed(&Completion::Closed));
    assert_eq!(cluster.machine.next_deadline(), None);
    assert_eq!(cluster.count(|fact| matches!(fact, Fact::BatchRetried { reason: RetryReason::Error(_), .. })), 0);
}

/// A process may have several clients, and what happens on a connection is told to the one that opened it.
#[test]
fn a_producer_owns_the_connections_that_it_has_open_and_no_others() {
    let mut cluster = cluster(config(3, 9));
    cluster.send("orders", Some(0), 0..1);
    let [open] = cluster.connections()[..] else { panic!("there is one") };
    assert!(cluster.machine.owns(open));
    assert!(!cluster.machine.owns(ConnectionId(open.0 + 1)));
    cluster.disconnect(1);
    assert!(!cluster.machine.owns(open));
}

//! One consumer, the brokers played by the test: given calls and answers, which requests, records, exceptions and facts.
//! No deadline may still be due after it was handled.

use bytes::Bytes;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{FetchResponse, ListOffsetsResponse, OffsetForLeaderEpochResponse};

use super::*;
use crate::client::testing_cluster::Cluster;
use crate::protocol::Request;
use crate::record::{BatchBuilder, Compression};
use crate::types::{Duration, LeaderEpoch, StrBytes, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

type Polled = Result<Vec<i64>, ErrorCode>;

fn config(major: u16, minor: u16) -> ConsumerConfig {
    let resolved = ConsumerConfig::resolve(KafkaVersion::new(major, minor), &[]).expect("the defaults are good");
    ConsumerConfig { auto_offset_reset: AutoOffsetReset::Earliest, ..resolved.config }
}

fn cluster(config: ConsumerConfig) -> Cluster<Consumer> {
    let mut cluster = Cluster::new(Consumer::new(Arc::new(config), vec![NodeId::Broker(1)], 0));
    cluster.repeated_deadlines = 0;
    cluster
}

/// A consumer that reads partition 0 and has just asked for what follows offset `from`.
fn reading(config: ConsumerConfig, from: i64) -> Cluster<Consumer> {
    let mut cluster = cluster(config);
    cluster.call(Call::Assign(vec![orders(0)]));
    cluster.call(Call::Seek(orders(0), Offset(from)));
    if matches!(cluster.asked[0].request, Request::ListOffsets(_)) {
        // It looked for a position before it was given one; what it finds is of no interest.
        answer_look_up(&mut cluster, ErrorCode::NONE, 99);
    }
    assert_eq!(asked(&cluster), [format!("broker 1: Fetch 0 from {from}")]);
    cluster
}

/// Like [`reading`] from 0; records 0 to 2, of epoch 0, were returned and the next fetch is out.
fn having_read_three(config: ConsumerConfig) -> Cluster<Consumer> {
    let mut cluster = reading(config, 0);
    poll(&mut cluster, SECOND);
    answer_fetch(&mut cluster, batch(0, 3));
    assert_eq!(polled(&mut cluster), [Ok(vec![0, 1, 2])]);
    cluster
}

fn orders(partition: i32) -> TopicPartition {
    TopicPartition::new(TopicName(StrBytes::from_static_str("orders")), partition)
}

fn poll(cluster: &mut Cluster<Consumer>, timeout: Duration) {
    cluster.call(Call::Poll { timeout });
}

/// What `poll()` returned since the last time: offsets.
fn polled(cluster: &mut Cluster<Consumer>) -> Vec<Polled> {
    let offsets = |records: Vec<ConsumerRecord>| records.into_iter().map(|record| record.offset.0).collect();
    let completions = cluster.take_completions().into_iter();
    let polled = completions.map(|completion| match completion {
        Completion::Polled(result) => result.map(offsets),
        other => panic!("nobody asked for {other:?}"),
    });
    polled.collect()
}

/// The requests that wait for an answer.
fn asked(cluster: &Cluster<Consumer>) -> Vec<String> {
    let mut said = Vec::new();
    for asked in &cluster.asked {
        let what: Vec<String> = match &asked.request {
            Request::Fetch(request) => {
                let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.map(|p| format!("Fetch {} from {}", p.partition, p.fetch_offset)).collect()
            }
            Request::ListOffsets(request) => {
                let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.map(|p| format!("ListOffsets {} at {}", p.partition_index, p.timestamp)).collect()
            }
            Request::OffsetForLeaderEpoch(request) => {
                let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
                let say = |p: &OffsetForLeaderPartition| {
                    format!("OffsetForLeaderEpoch {} of {} in {}", p.partition, p.leader_epoch, p.current_leader_epoch)
                };
                partitions.map(say).collect()
            }
            other => panic!("a consumer does not send {}", other.name()),
        };
        said.push(format!("broker {}: {}", asked.node, what.join(", ")));
    }
    said
}

fn batch(base_offset: i64, records: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None, 1 << 20).at(Offset(base_offset), LeaderEpoch(0));
    for _ in 0..records {
        builder.append(Timestamp(7), None, Some(b"value"), &[]);
    }
    builder.build().expect("a good batch")
}

/// Answers the oldest request, a Fetch, with these records for each of its partitions.
fn answer_fetch(cluster: &mut Cluster<Consumer>, records: Bytes) {
    answer_fetch_each(cluster, |data| data.with_records(Some(records.clone())));
}

fn fail_fetch(cluster: &mut Cluster<Consumer>, error: ErrorCode) {
    answer_fetch_each(cluster, |data| data.with_error_code(error.0));
}

fn answer_fetch_each(cluster: &mut Cluster<Consumer>, answer: impl Fn(PartitionData) -> PartitionData) {
    let asked = cluster.take_asked();
    let Request::Fetch(request) = &asked.request else { panic!("it is {}", asked.request.name()) };
    let topics = request.topics.iter().map(|topic| {
        let each = topic.partitions.iter().map(|p| answer(PartitionData::default().with_partition_index(p.partition)));
        FetchableTopicResponse::default().with_topic(topic.topic.clone()).with_partitions(each.collect())
    });
    let response = FetchResponse::default().with_responses(topics.collect());
    cluster.answer(&asked, response);
}

/// Answers the oldest request, a ListOffsets of partition 0.
fn answer_look_up(cluster: &mut Cluster<Consumer>, error: ErrorCode, offset: i64) {
    let asked = cluster.take_asked();
    let partition = ListOffsetsPartitionResponse::default().with_error_code(error.0).with_offset(offset);
    let topic = ListOffsetsTopicResponse::default().with_name(orders(0).topic).with_partitions(vec![partition]);
    cluster.answer(&asked, ListOffsetsResponse::default().with_topics(vec![topic]));
}

/// Answers the oldest request, an OffsetForLeaderEpoch of partition 0.
fn answer_epoch(cluster: &mut Cluster<Consumer>, error: ErrorCode, epoch: i32, end: i64) {
    let asked = cluster.take_asked();
    let partition = EpochEndOffset::default().with_error_code(error.0).with_leader_epoch(epoch).with_end_offset(end);
    let topic = OffsetForLeaderTopicResult::default().with_topic(orders(0).topic).with_partitions(vec![partition]);
    cluster.answer(&asked, OffsetForLeaderEpochResponse::default().with_topics(vec![topic]));
}

/// Where positions were set, from, to and why.
fn resets(cluster: &Cluster<Consumer>) -> Vec<(i64, i64, ResetReason)> {
    let resets = cluster.facts().iter().filter_map(|fact| match fact {
        Fact::PositionReset { from, to, reason, .. } => Some((from.0, to.0, *reason)),
        _ => None,
    });
    resets.collect()
}

/// Broker 2 leads with epoch 1, and the consumer is told so when its fetch fails.
fn elect_broker_2(cluster: &mut Cluster<Consumer>) {
    // Its last metadata are so old that it may ask at once.
    cluster.run_for(SECOND);
    cluster.leader = (2, 1);
    fail_fetch(cluster, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    cluster.run_for(Duration::from_millis(100));
}

#[test]
fn without_a_position_the_reset_policy_says_where_to_look() {
    for (policy, timestamp) in [(AutoOffsetReset::Earliest, -2), (AutoOffsetReset::Latest, -1)] {
        let mut cluster = cluster(ConsumerConfig { auto_offset_reset: policy, ..config(3, 9) });
        cluster.call(Call::Assign(vec![orders(0)]));
        poll(&mut cluster, SECOND);
        assert_eq!(asked(&cluster), [format!("broker 1: ListOffsets 0 at {timestamp}")]);
        answer_look_up(&mut cluster, ErrorCode::NONE, 42);
        assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 42"]);
        assert_eq!(resets(&cluster), [(-1, 42, ResetReason::NoPosition)]);
        let leader = Some(NodeId::Broker(1));
        assert!(
            cluster
                .facts()
                .iter()
                .any(|fact| matches!(fact, Fact::PositionReset { told_by, .. } if *told_by == leader))
        );
    }
}

#[test]
fn a_failed_look_up_is_made_again_after_the_backoff() {
    let mut cluster = cluster(config(3, 9));
    cluster.call(Call::Assign(vec![orders(0)]));
    answer_look_up(&mut cluster, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1);
    cluster.run_for(Duration::from_millis(99));
    assert_eq!(asked(&cluster), [""; 0]);
    cluster.run_for(Duration::from_millis(1));
    assert_eq!(asked(&cluster), ["broker 1: ListOffsets 0 at -2"]);
}

#[test]
fn without_position_and_policy_every_poll_throws_at_once_until_the_application_seeks() {
    let mut cluster = cluster(ConsumerConfig { auto_offset_reset: AutoOffsetReset::None, ..config(3, 9) });
    cluster.call(Call::Assign(vec![orders(0)]));
    poll(&mut cluster, SECOND);
    poll(&mut cluster, SECOND);
    assert_eq!(polled(&mut cluster), [Err(ErrorCode::OFFSET_OUT_OF_RANGE), Err(ErrorCode::OFFSET_OUT_OF_RANGE)]);
    cluster.call(Call::Seek(orders(0), Offset(5)));
    poll(&mut cluster, SECOND);
    assert_eq!(polled(&mut cluster), []);
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 5"]);
}

#[test]
fn poll_with_nothing_to_return_waits_for_its_timeout_and_no_longer() {
    let mut cluster = reading(config(3, 9), 0);
    poll(&mut cluster, Duration::from_millis(200));
    answer_fetch(&mut cluster, Bytes::new());
    cluster.run_for(Duration::from_millis(199));
    assert_eq!(polled(&mut cluster), []);
    cluster.run_for(Duration::from_millis(1));
    assert_eq!(polled(&mut cluster), [Ok(vec![])]);
    poll(&mut cluster, Duration::ZERO);
    assert_eq!(polled(&mut cluster), [Ok(vec![])]);
}

#[test]
fn poll_returns_at_most_max_poll_records_and_nothing_is_fetched_while_some_are_left() {
    let mut cluster = reading(ConsumerConfig { max_poll_records: 2, ..config(3, 9) }, 0);
    answer_fetch(&mut cluster, batch(0, 5));
    for expected in [vec![0, 1], vec![2, 3]] {
        poll(&mut cluster, SECOND);
        assert_eq!(polled(&mut cluster), [Ok(expected)]);
        assert_eq!(asked(&cluster), [""; 0]);
    }
    poll(&mut cluster, SECOND);
    assert_eq!(polled(&mut cluster), [Ok(vec![4])]);
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 5"]);
}

#[test]
fn other_partitions_are_fetched_while_one_has_records_left() {
    let mut cluster = cluster(config(3, 9));
    cluster.call(Call::Assign(vec![orders(0), orders(1)]));
    cluster.call(Call::Seek(orders(0), Offset(0)));
    cluster.call(Call::Seek(orders(1), Offset(8)));
    cluster.asked.remove(0);
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 0"]);
    answer_fetch(&mut cluster, batch(0, 1));
    assert_eq!(asked(&cluster), ["broker 1: Fetch 1 from 8"]);
}

#[test]
fn what_a_batch_holds_before_the_position_is_skipped() {
    let mut cluster = reading(config(3, 9), 2);
    answer_fetch(&mut cluster, batch(0, 4));
    poll(&mut cluster, SECOND);
    assert_eq!(polled(&mut cluster), [Ok(vec![2, 3])]);
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 4"]);
}

#[test]
fn a_batch_whose_last_records_were_compacted_away_is_left_behind() {
    let mut compacted = batch(0, 1).to_vec();
    // The last offset delta.
    compacted[23..27].copy_from_slice(&6_i32.to_be_bytes());
    let mut cluster = reading(ConsumerConfig { check_crcs: false, ..config(3, 9) }, 0);
    answer_fetch(&mut cluster, compacted.into());
    poll(&mut cluster, SECOND);
    assert_eq!(polled(&mut cluster), [Ok(vec![0])]);
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 7"]);
}

#[test]
fn out_of_range_resets_by_the_policy() {
    let mut cluster = reading(config(3, 9), 50);
    fail_fetch(&mut cluster, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(asked(&cluster), ["broker 1: ListOffsets 0 at -2"]);
    answer_look_up(&mut cluster, ErrorCode::NONE, 10);
    assert_eq!(resets(&cluster).last(), Some(&(50, 10, ResetReason::OutOfRange)));
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 10"]);
}

#[test]
fn out_of_range_without_policy_is_thrown_and_a_seek_heals_it() {
    let mut cluster = reading(ConsumerConfig { auto_offset_reset: AutoOffsetReset::None, ..config(3, 9) }, 50);
    poll(&mut cluster, SECOND);
    fail_fetch(&mut cluster, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(polled(&mut cluster), [Err(ErrorCode::OFFSET_OUT_OF_RANGE)]);
    cluster.call(Call::Seek(orders(0), Offset(3)));
    poll(&mut cluster, SECOND);
    answer_fetch(&mut cluster, batch(3, 1));
    assert_eq!(polled(&mut cluster), [Ok(vec![3])]);
}

#[test]
fn not_leader_asks_who_leads_and_waits_for_the_backoff() {
    let mut cluster = reading(config(3, 9), 0);
    let before = cluster.metadata_requests;
    cluster.run_for(SECOND);
    cluster.leader = (2, 1);
    fail_fetch(&mut cluster, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(cluster.metadata_requests, before + 1);
    cluster.run_for(Duration::from_millis(99));
    assert_eq!(asked(&cluster), [""; 0]);
    cluster.run_for(Duration::from_millis(1));
    assert_eq!(asked(&cluster), ["broker 2: Fetch 0 from 0"]);
}

#[test]
fn where_nobody_leads_it_asks_once_per_backoff() {
    let mut cluster = cluster(config(3, 9));
    cluster.leaderless.push(("orders".to_owned(), 0));
    cluster.call(Call::Assign(vec![orders(0)]));
    let before = cluster.metadata_requests;
    cluster.run_for(SECOND);
    assert_eq!(cluster.metadata_requests, before + 10);
    cluster.leaderless.clear();
    cluster.run_for(Duration::from_millis(100));
    assert_eq!(asked(&cluster), ["broker 1: ListOffsets 0 at -2"]);
}

#[test]
fn errors_that_the_consumer_cannot_cure_are_thrown() {
    for (error, thrown) in [
        (ErrorCode::INVALID_TOPIC_EXCEPTION, true),
        (ErrorCode::CORRUPT_MESSAGE, true),
        (ErrorCode::UNKNOWN_SERVER_ERROR, false),
        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, false),
    ] {
        let mut cluster = reading(config(3, 9), 0);
        poll(&mut cluster, SECOND);
        fail_fetch(&mut cluster, error);
        let expected: &[Polled] = if thrown { &[Err(error)] } else { &[] };
        assert_eq!(polled(&mut cluster), expected);
    }
}

#[test]
fn a_truncated_position_goes_back_to_the_cut() {
    let mut cluster = having_read_three(config(2, 3));
    elect_broker_2(&mut cluster);
    assert_eq!(asked(&cluster), ["broker 2: OffsetForLeaderEpoch 0 of 0 in 1"]);
    answer_epoch(&mut cluster, ErrorCode::NONE, 0, 1);
    assert_eq!(resets(&cluster).last(), Some(&(3, 1, ResetReason::Truncation)));
    assert_eq!(asked(&cluster), ["broker 2: Fetch 0 from 1"]);
}

#[test]
fn a_position_that_the_new_leader_confirms_stays() {
    let mut cluster = having_read_three(config(3, 9));
    let before = resets(&cluster);
    elect_broker_2(&mut cluster);
    answer_epoch(&mut cluster, ErrorCode::FENCED_LEADER_EPOCH, -1, -1);
    assert_eq!(asked(&cluster), [""; 0]);
    cluster.run_for(Duration::from_millis(100));
    answer_epoch(&mut cluster, ErrorCode::NONE, 0, 3);
    assert_eq!(resets(&cluster), before);
    assert_eq!(asked(&cluster), ["broker 2: Fetch 0 from 3"]);
}

#[test]
fn before_2_3_nothing_is_validated_or_fenced() {
    let mut cluster = having_read_three(config(2, 2));
    elect_broker_2(&mut cluster);
    assert_eq!(asked(&cluster), ["broker 2: Fetch 0 from 3"]);
    let Request::Fetch(request) = &cluster.asked[0].request else { panic!("it fetches") };
    assert_eq!(request.topics[0].partitions[0].current_leader_epoch, -1);
}

#[test]
fn truncation_without_policy_is_thrown_and_nothing_is_read_until_the_application_seeks() {
    let mut cluster = having_read_three(ConsumerConfig { auto_offset_reset: AutoOffsetReset::None, ..config(3, 9) });
    elect_broker_2(&mut cluster);
    poll(&mut cluster, SECOND);
    answer_epoch(&mut cluster, ErrorCode::NONE, 0, 1);
    poll(&mut cluster, SECOND);
    cluster.run_for(SECOND);
    assert_eq!(polled(&mut cluster), [Err(ErrorCode::OFFSET_OUT_OF_RANGE), Ok(vec![])]);
    assert_eq!(asked(&cluster), [""; 0]);
    cluster.call(Call::Seek(orders(0), Offset(1)));
    assert_eq!(asked(&cluster), ["broker 2: Fetch 0 from 1"]);
}

#[test]
fn what_the_old_leader_sent_is_not_returned_once_the_new_one_is_known() {
    let mut cluster = having_read_three(config(3, 9));
    answer_fetch(&mut cluster, batch(3, 2));
    cluster.leader = (2, 1);
    cluster.disconnect(1);
    cluster.run_for(SECOND);
    poll(&mut cluster, SECOND);
    assert_eq!(polled(&mut cluster), []);
    assert_eq!(asked(&cluster), ["broker 2: OffsetForLeaderEpoch 0 of 0 in 1"]);
    answer_epoch(&mut cluster, ErrorCode::NONE, 0, 5);
    assert_eq!(asked(&cluster), ["broker 2: Fetch 0 from 3"]);
}

#[test]
fn a_corrupt_batch_is_thrown_after_the_records_before_it_and_until_the_application_seeks_past_it() {
    let mut bytes = batch(0, 2).to_vec();
    bytes.extend_from_slice(&batch(2, 1));
    *bytes.last_mut().expect("there are bytes") ^= 1;
    let corrupt = Bytes::from(bytes);
    let mut cluster = reading(config(3, 9), 0);
    poll(&mut cluster, SECOND);
    answer_fetch(&mut cluster, corrupt.clone());
    poll(&mut cluster, SECOND);
    assert_eq!(polled(&mut cluster), [Ok(vec![0, 1]), Err(ErrorCode::CORRUPT_MESSAGE)]);
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 2"]);
    poll(&mut cluster, SECOND);
    answer_fetch(&mut cluster, corrupt);
    assert_eq!(polled(&mut cluster), [Err(ErrorCode::CORRUPT_MESSAGE)]);
    cluster.call(Call::Seek(orders(0), Offset(3)));
    poll(&mut cluster, SECOND);
    cluster.run_for(SECOND);
    assert_eq!(polled(&mut cluster), [Ok(vec![])]);
}

#[test]
fn without_check_crcs_a_flipped_bit_reaches_the_application() {
    let mut bytes = batch(0, 1).to_vec();
    // The last byte of the value; the count of headers follows it.
    let at = bytes.len() - 2;
    bytes[at] ^= 1;
    let mut cluster = reading(ConsumerConfig { check_crcs: false, ..config(3, 9) }, 0);
    poll(&mut cluster, SECOND);
    answer_fetch(&mut cluster, bytes.into());
    let completions = cluster.take_completions();
    let [Completion::Polled(Ok(records))] = completions.as_slice() else { panic!("it is {completions:?}") };
    assert_eq!(records[0].value.as_deref(), Some(b"valud".as_slice()));
}

#[test]
fn a_fetch_whose_connection_breaks_is_made_again() {
    let mut cluster = reading(config(3, 9), 4);
    cluster.disconnect(1);
    assert_eq!(asked(&cluster), [""; 0]);
    cluster.run_for(SECOND);
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 4"]);
}

#[test]
fn while_nobody_answers_time_passes() {
    let mut cluster = reading(config(3, 9), 4);
    cluster.refuses_connections = true;
    cluster.disconnect(1);
    poll(&mut cluster, SECOND);
    cluster.run_for(Duration::from_secs(600));
    assert_eq!(polled(&mut cluster), [Ok(vec![])]);
    cluster.refuses_connections = false;
    cluster.run_for(Duration::from_secs(2));
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 4"]);
}

#[test]
fn a_seek_discards_what_is_buffered() {
    let mut cluster = reading(config(3, 9), 0);
    answer_fetch(&mut cluster, batch(0, 5));
    cluster.call(Call::Seek(orders(0), Offset(3)));
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 3"]);
    poll(&mut cluster, SECOND);
    answer_fetch(&mut cluster, batch(0, 5));
    assert_eq!(polled(&mut cluster), [Ok(vec![3, 4])]);
}

#[test]
fn a_seek_discards_what_is_under_way() {
    for target in [3, 0] {
        let mut cluster = reading(config(3, 9), 0);
        cluster.call(Call::Seek(orders(0), Offset(target)));
        poll(&mut cluster, SECOND);
        assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 0"], "one fetch per broker");
        answer_fetch(&mut cluster, batch(0, 3));
        assert_eq!(polled(&mut cluster), []);
        assert_eq!(asked(&cluster), [format!("broker 1: Fetch 0 from {target}")]);
    }
}

#[test]
fn a_partition_taken_away_and_given_back_starts_anew_and_is_read_once() {
    let mut cluster = cluster(config(3, 9));
    cluster.call(Call::Assign(vec![orders(0)]));
    cluster.call(Call::Assign(vec![]));
    cluster.call(Call::Assign(vec![orders(0)]));
    assert_eq!(asked(&cluster), ["broker 1: ListOffsets 0 at -2"; 2]);
    let second = cluster.asked.pop().expect("there are two");
    let first = std::mem::replace(&mut cluster.asked, vec![second]).pop().expect("the other");
    answer_look_up(&mut cluster, ErrorCode::NONE, 0);
    answer_fetch(&mut cluster, batch(0, 2));
    cluster.asked.push(first);
    answer_look_up(&mut cluster, ErrorCode::NONE, 0);
    poll(&mut cluster, SECOND);
    assert_eq!(polled(&mut cluster), [Ok(vec![0, 1])]);
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 2"]);
}

/// KAFKA-7548: before 2.4 what had been fetched of a paused partition was thrown away, and fetched again.
#[test]
fn nothing_of_a_paused_partition_is_returned_or_fetched_and_what_is_there_waits() {
    for (minor, asked_again) in [(4, None), (3, Some("broker 1: Fetch 0 from 0"))] {
        let mut cluster = reading(config(2, minor), 0);
        answer_fetch(&mut cluster, batch(0, 2));
        cluster.call(Call::Pause(vec![orders(0), orders(7)]));
        poll(&mut cluster, Duration::ZERO);
        assert_eq!(polled(&mut cluster), [Ok(vec![])]);
        assert_eq!(asked(&cluster), [""; 0]);
        cluster.call(Call::Resume(vec![orders(0)]));
        assert_eq!(asked(&cluster), asked_again.into_iter().collect::<Vec<_>>());
        if asked_again.is_some() {
            answer_fetch(&mut cluster, batch(0, 2));
        }
        poll(&mut cluster, SECOND);
        assert_eq!(polled(&mut cluster), [Ok(vec![0, 1])]);
        let said = |fact: &&Fact| matches!(fact, Fact::PartitionsPaused { .. } | Fact::PartitionsResumed { .. });
        let one = || vec![orders(0)];
        let expected = [Fact::PartitionsPaused { partitions: one() }, Fact::PartitionsResumed { partitions: one() }];
        assert_eq!(cluster.facts().iter().filter(said).cloned().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_paused_partition_is_given_a_position() {
    let mut cluster = cluster(config(3, 9));
    cluster.call(Call::Assign(vec![orders(0)]));
    cluster.call(Call::Pause(vec![orders(0)]));
    answer_look_up(&mut cluster, ErrorCode::NONE, 42);
    assert_eq!(asked(&cluster), [""; 0]);
    cluster.call(Call::Resume(vec![orders(0)]));
    assert_eq!(asked(&cluster), ["broker 1: Fetch 0 from 42"]);
}

#[test]
fn a_wakeup_ends_the_poll_that_waits_or_the_next_and_no_record_is_lost() {
    let mut cluster = reading(config(3, 9), 0);
    poll(&mut cluster, SECOND);
    cluster.call(Call::Wakeup);
    assert_eq!(polled(&mut cluster), [Err(ErrorCode::CLIENT_WAKEUP)]);
    cluster.call(Call::Wakeup);
    answer_fetch(&mut cluster, batch(0, 2));
    poll(&mut cluster, SECOND);
    assert_eq!(polled(&mut cluster), [Err(ErrorCode::CLIENT_WAKEUP)]);
    poll(&mut cluster, SECOND);
    assert_eq!(polled(&mut cluster), [Ok(vec![0, 1])]);
}

#[test]
fn close_ends_it() {
    let mut cluster = reading(config(3, 9), 0);
    cluster.call(Call::Close { timeout: SECOND });
    assert_eq!(cluster.take_completions(), [Completion::Closed]);
    assert_eq!(cluster.machine.next_deadline(), None);
    assert_eq!(asked(&cluster), [""; 0]);
}

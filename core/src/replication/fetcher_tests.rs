//! One fetcher at its edges: what an answer does to the partition it is about, and to no other.

use std::sync::Arc;

use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{ListOffsetsResponse, OffsetForLeaderEpochResponse};

use super::*;
use crate::config::{BrokerConfig, KafkaVersion};
use crate::machine::Effects;
use crate::metadata::records::ConfigRecord;
use crate::metadata::{MetadataDelta, MetadataImage, MetadataRecord};
use crate::protocol::Request;
use crate::record::{BatchBuilder, Compression};
use crate::replication::fetch_requests::{
    epochs_request, fetch_request, listed_offset, on_earliest_offset, on_epochs_response,
};
use crate::replication::fetch_session::Asked;
use crate::storage::MemoryStorage;
use crate::types::{Duration, Prng, StrBytes, Timestamp};

fn orders(partition: i32) -> TopicPartition {
    TopicPartition::of("orders", partition)
}

/// A follower of two partitions with three records each, and its disk.
struct Stage {
    around: Surroundings,
    logs: LogManager,
    fetcher: ReplicaFetcher,
    disk: MemoryStorage,
    rng: Prng,
    effects: Effects,
}

const EPOCH: LeaderEpoch = LeaderEpoch(4);

impl Stage {
    fn new(adjust: impl FnOnce(&mut BrokerConfig)) -> Stage {
        let mut config = BrokerConfig::resolve(KafkaVersion::new(3, 9), &[]).expect("the defaults are in order").config;
        config.broker_id = 2;
        adjust(&mut config);
        let config = Arc::new(config);
        let mut stage = Stage {
            around: Surroundings::new(config.clone()),
            logs: LogManager::new(config.clone()),
            fetcher: ReplicaFetcher::new(1),
            disk: MemoryStorage::default(),
            rng: Prng::new(1),
            effects: Effects::default(),
        };
        stage.with(|stage, ctx| stage.logs.load_all(ctx)).expect("the disk is well");
        for partition in 0..2 {
            let name = orders(partition);
            stage.with(|stage, ctx| {
                let log = stage.logs.get_or_create(&name, &config.log, None, ctx).expect("the disk is well");
                log.append_as_follower(batch(0, 3), ctx).expect("it follows");
            });
            stage.fetcher.add(name, from(3, Some(EPOCH)));
        }
        stage
    }

    fn with<R>(&mut self, call: impl FnOnce(&mut Parts<'_>, &mut Context<'_>) -> R) -> R {
        let Stage { around, logs, fetcher, disk, rng, effects } = self;
        let mut ctx = Context::new(Instant(5), Timestamp(0), rng, disk, effects);
        call(&mut Parts { around, logs, fetcher }, &mut ctx)
    }

    /// The fetcher has asked for everything, and this is the answer about the first partition.
    fn fetched(&mut self, fetched: FetchedPartition) {
        let asked = |state: &FetchState| Asked {
            topic_id: state.from.topic_id,
            fetch_offset: state.from.offset,
            log_start: Offset(0),
            current_leader_epoch: state.from.current_leader_epoch,
            last_fetched_epoch: state.from.last_fetched_epoch,
        };
        let ReplicaFetcher { session, partitions, .. } = &mut self.fetcher;
        session.on_failure();
        session.build(partitions.keys(), |name| partitions.get(name).map(asked));
        let answered =
            self.with(|stage, ctx| stage.fetcher.on_fetched(&orders(0), fetched, stage.around, stage.logs, ctx));
        assert_eq!(answered, Ok(()));
    }

    fn state(&self, partition: i32) -> Option<(i64, Phase, bool)> {
        let state = self.fetcher.partitions.get(&orders(partition))?;
        Some((state.from.offset.0, state.phase, state.rests()))
    }

    fn log(&self, partition: i32) -> (i64, i64) {
        let log = self.logs.get(&orders(partition)).expect("there is one");
        (log.log_start_offset().0, log.log_end_offset().0)
    }

    /// Both partitions have fallen out of the leader's range.
    fn out_of_range(&mut self, phase: Phase) {
        for name in [orders(0), orders(1)] {
            self.fetcher.out_of_range.push_back(name.clone());
            self.fetcher.partitions.get_mut(&name).expect("it is fetched").phase = phase;
        }
    }
}

struct Parts<'a> {
    around: &'a Surroundings,
    logs: &'a mut LogManager,
    fetcher: &'a mut ReplicaFetcher,
}

fn from(offset: i64, last_fetched_epoch: Option<LeaderEpoch>) -> FetchFrom {
    let topic_id = Uuid::from_u128(7);
    FetchFrom { topic_id, offset: Offset(offset), current_leader_epoch: EPOCH, last_fetched_epoch }
}

fn batch(base: i64, records: i64) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(Compression::None, usize::MAX).at(Offset(base), EPOCH);
    for _ in 0..records {
        builder.append(Timestamp(5), None, Some(b"v"), &[]);
    }
    builder.build().expect("uncompressed")
}

fn answer(high_watermark: i64, records: bytes::Bytes) -> FetchedPartition {
    let (error, log_start, diverging) = (ErrorCode::NONE, Offset(0), None);
    FetchedPartition { error, high_watermark: Offset(high_watermark), log_start, diverging, records }
}

const FETCHING: Option<(i64, Phase, bool)> = Some((3, Phase::Fetching, false));
const RESTING: Option<(i64, Phase, bool)> = Some((3, Phase::Fetching, true));

#[test]
fn an_error_lets_a_partition_rest_or_go_and_leaves_the_others_alone() {
    let mut flipped = batch(3, 1).to_vec();
    flipped[65] ^= 1;
    let refused = |error: ErrorCode| FetchedPartition { error, ..answer(3, bytes::Bytes::new()) };
    for (what, fetched, expected) in [
        ("nothing new", answer(3, bytes::Bytes::new()), FETCHING),
        ("not the leader", refused(ErrorCode::NOT_LEADER_OR_FOLLOWER), RESTING),
        ("an epoch that is over", refused(ErrorCode::FENCED_LEADER_EPOCH), None),
        ("out of range", refused(ErrorCode::OFFSET_OUT_OF_RANGE), Some((3, Phase::OutOfRange, false))),
        ("a flipped bit", answer(3, flipped.into()), RESTING),
        ("records that are there already", answer(3, batch(1, 1)), None),
        ("records", answer(3, batch(3, 2)), Some((5, Phase::Fetching, false))),
    ] {
        let mut stage = Stage::new(|_| ());
        stage.fetched(fetched);
        assert_eq!((stage.state(0), stage.state(1)), (expected, FETCHING), "{what}");
    }
}

#[test]
fn a_diverging_epoch_counts_since_the_fetch_carries_epochs() {
    for (truncation, end) in [(Truncation::OnFetch, 2), (Truncation::Kip279, 3)] {
        let mut stage = Stage::new(|config| config.toggles.truncation = truncation);
        stage.fetched(FetchedPartition { diverging: Some((EPOCH, Offset(2))), ..answer(3, bytes::Bytes::new()) });
        assert_eq!(stage.log(0), (0, end), "{truncation:?}");
    }
}

#[test]
fn how_far_it_is_behind_is_known_from_the_first_answer_and_from_records() {
    let mut stage = Stage::new(|_| ());
    let lag = |stage: &Stage| stage.fetcher.partitions[&orders(0)].lag;
    assert_eq!(lag(&stage), None);
    for (high_watermark, records, expected) in [(9, 0, 6), (12, 0, 6), (12, 2, 7), (4, 1, 0)] {
        let records = if records > 0 { batch(stage.log(0).1, records) } else { bytes::Bytes::new() };
        stage.fetched(answer(high_watermark, records));
        assert_eq!(lag(&stage), Some(expected), "high watermark {high_watermark}");
    }
}

#[test]
fn a_partition_that_is_removed_or_rests_leaves_the_questions_of_others() {
    let mut stage = Stage::new(|_| ());
    stage.out_of_range(Phase::OutOfRange);
    stage.fetcher.remove(&orders(0));
    assert_eq!(stage.fetcher.out_of_range, [orders(1)]);
    let mut stage = Stage::new(|_| ());
    stage.out_of_range(Phase::OutOfRangeBelow);
    stage.with(|stage, ctx| stage.fetcher.rest(&orders(0), stage.around, ctx.now()));
    assert_eq!(stage.fetcher.out_of_range, [orders(1)]);
    assert_eq!((stage.state(0), stage.state(1)), (RESTING, Some((3, Phase::OutOfRangeBelow, false))));
    // One that has to ask for its epochs has to after its rest as well.
    let mut stage = Stage::new(|_| ());
    stage.fetcher.add(orders(0), from(3, None));
    stage.with(|stage, ctx| stage.fetcher.rest(&orders(0), stage.around, ctx.now()));
    assert_eq!(stage.state(0), Some((3, Phase::Truncating, true)));
}

#[test]
fn only_what_is_fetched_goes_on_in_a_new_epoch() {
    let mut stage = Stage::new(|_| ());
    assert!(stage.fetcher.update_epoch(&orders(0), LeaderEpoch(5)));
    assert!(!stage.fetcher.update_epoch(&orders(7), LeaderEpoch(5)));
    let epochs: Vec<i32> = stage.fetcher.partitions.values().map(|state| state.from.current_leader_epoch.0).collect();
    assert_eq!(epochs, [5, 4]);
}

/// Batches of a leader come whole: what an empty log begins inside of is taken, and what a log has something of is not (KAFKA-6975).
#[test]
fn an_empty_log_that_begins_inside_of_a_batch_begins_with_it() {
    for (begin, has_record, sent, log) in [
        // Empty at 5, where its leader's log begins, and the batch is 3 to 7.
        (5, false, (3, 5), Some((3, 8))),
        (7, false, (3, 5), Some((3, 8))),
        // The batch ends before that, or begins there.
        (8, false, (3, 5), None),
        (3, false, (3, 5), Some((3, 8))),
        // It has a record of its own behind its start.
        (4, true, (3, 5), None),
    ] {
        let mut stage = Stage::new(|_| ());
        stage.with(|stage, ctx| {
            let (name, reason) = (orders(0), TruncationReason::OutOfRange);
            stage.logs.truncate_fully_and_start_at(&name, Offset(begin), reason, ctx).expect("the disk is well");
            if has_record {
                let log = stage.logs.get_mut(&name).expect("there is one");
                log.append_as_follower(batch(begin, 1), ctx).expect("it follows");
            }
        });
        let end = begin + i64::from(has_record);
        stage.fetcher.partitions.get_mut(&orders(0)).expect("it is fetched").from.offset = Offset(end);
        stage.fetched(answer(0, batch(sent.0, sent.1)));
        assert_eq!(stage.log(0), log.unwrap_or((begin, end)), "begins at {begin}");
        let next = log.map(|(_, end)| (end, Phase::Fetching, false));
        assert_eq!(stage.state(0), next, "who does not fit is given up until there is a new epoch");
    }
}

#[test]
fn where_the_leaders_log_ends_decides_whether_anything_is_cut() {
    // Where it ends, whether its start is to be asked for, and what is left of the own log.
    for (end, asks_start, left) in [(2, false, 2), (3, true, 3), (9, true, 3)] {
        let mut stage = Stage::new(|_| ());
        stage.out_of_range(Phase::OutOfRange);
        let found = stage
            .with(|stage, ctx| stage.fetcher.on_leader_end(&orders(0), Offset(end), stage.around, stage.logs, ctx));
        assert_eq!((found, stage.log(0)), (Ok(asks_start), (0, left)), "{end}");
        assert_eq!(stage.fetcher.out_of_range.contains(&orders(0)), asks_start);
        assert!(stage.fetcher.out_of_range.contains(&orders(1)));
    }
}

#[test]
fn where_the_leaders_log_starts_decides_whether_it_begins_anew() {
    for (start, keeps_log, log, offset, epoch) in [
        (0, true, (0, 3), 3, Some(EPOCH)),
        (3, true, (0, 3), 3, Some(EPOCH)),
        (4, true, (4, 4), 4, None),
        // Without KAFKA-2143 whatever it has goes.
        (2, false, (2, 2), 2, None),
    ] {
        let mut stage = Stage::new(|config| config.toggles.oor_keep_log = keeps_log);
        stage.out_of_range(Phase::OutOfRangeBelow);
        let answered = stage.with(|stage, ctx| {
            let answer = Ok(Offset(start));
            on_earliest_offset(stage.fetcher, &orders(0), EPOCH, answer, stage.around, stage.logs, ctx)
        });
        assert_eq!((answered, stage.log(0)), (Ok(()), log), "{start}");
        assert_eq!(stage.state(0), Some((offset, Phase::Fetching, false)));
        assert_eq!(stage.fetcher.partitions[&orders(0)].from.last_fetched_epoch, epoch);
        assert_eq!(stage.fetcher.out_of_range, [orders(1)]);
    }
}

#[test]
fn an_answer_counts_as_long_as_the_question_stands() {
    for (what, asked_in, phase, answer, expected) in [
        ("it stands", EPOCH, Phase::OutOfRangeBelow, Ok(Offset(9)), (9, 9)),
        ("there is a new epoch", LeaderEpoch(3), Phase::OutOfRangeBelow, Ok(Offset(9)), (0, 3)),
        ("it fetches again", EPOCH, Phase::Fetching, Ok(Offset(9)), (0, 3)),
        ("it was not answered", EPOCH, Phase::OutOfRangeBelow, Err(ErrorCode::UNKNOWN_SERVER_ERROR), (0, 3)),
    ] {
        let mut stage = Stage::new(|_| ());
        stage.out_of_range(phase);
        let answered = stage.with(|stage, ctx| {
            on_earliest_offset(stage.fetcher, &orders(0), asked_in, answer, stage.around, stage.logs, ctx)
        });
        assert_eq!((answered, stage.log(0)), (Ok(()), expected), "{what}");
        assert_eq!(stage.state(0).is_some_and(|(_, _, rests)| rests), answer.is_err(), "{what}");
    }
}

#[test]
fn an_answer_to_where_a_log_ends_is_an_offset_or_an_error() {
    let response = |error: ErrorCode, offset: i64| {
        let partition = ListOffsetsPartitionResponse::default().with_error_code(error.0).with_offset(offset);
        let topic = ListOffsetsTopicResponse::default().with_partitions(vec![partition]);
        ListOffsetsResponse::default().with_topics(vec![topic])
    };
    assert_eq!(listed_offset(response(ErrorCode::NONE, 7)), Ok(Offset(7)));
    let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    assert_eq!(listed_offset(response(gone, 7)), Err(gone));
    assert_eq!(listed_offset(ListOffsetsResponse::default()), Err(ErrorCode::UNKNOWN_SERVER_ERROR));
}

#[test]
fn epochs_are_asked_for_topic_by_topic_and_answered_as_they_were_asked() {
    let mut stage = Stage::new(|config| config.toggles.truncation = Truncation::Kip279);
    let other = TopicPartition::of("payments", 0);
    let config = stage.around.config.log.clone();
    stage.with(|stage, ctx| {
        let log = stage.logs.get_or_create(&other, &config, None, ctx).expect("the disk is well");
        log.append_as_follower(batch(0, 1), ctx).expect("it follows");
    });
    for name in [orders(0), orders(1), other] {
        stage.fetcher.add(name, from(3, None));
    }
    let (request, in_flight) = epochs_request(&stage.fetcher, &stage.logs, &stage.around).expect("three have epochs");
    let Request::OffsetForLeaderEpoch(request) = request else { panic!("{request:?}") };
    let asked: Vec<(&str, usize)> =
        request.topics.iter().map(|topic| (topic.topic.as_str(), topic.partitions.len())).collect();
    assert_eq!(asked, [("orders", 2), ("payments", 1)]);
    let InFlight::Epochs(asked) = in_flight else { panic!("{in_flight:?}") };
    assert!(asked.len() == 3 && asked.values().all(|epoch| *epoch == EPOCH));
    let rest = (3, Phase::Truncating, true);
    for (what, asked_in, phase, error, expected) in [
        ("it is answered", EPOCH, Phase::Truncating, ErrorCode::NONE, Some((2, Phase::Fetching, false))),
        ("not the leader", EPOCH, Phase::Truncating, ErrorCode::NOT_LEADER_OR_FOLLOWER, Some(rest)),
        ("an epoch that is over", EPOCH, Phase::Truncating, ErrorCode::FENCED_LEADER_EPOCH, None),
        ("a new epoch here", LeaderEpoch(3), Phase::Truncating, ErrorCode::NONE, Some((3, Phase::Truncating, false))),
        ("it fetches already", EPOCH, Phase::Fetching, ErrorCode::NONE, Some((3, Phase::Fetching, false))),
    ] {
        let mut stage = Stage::new(|config| config.toggles.truncation = Truncation::Kip279);
        stage.fetcher.add(orders(0), from(3, None));
        stage.fetcher.partitions.get_mut(&orders(0)).expect("it is there").phase = phase;
        let end = EpochEndOffset::default().with_leader_epoch(EPOCH.0).with_end_offset(2).with_error_code(error.0);
        let topic = OffsetForLeaderTopicResult::default().with_topic(orders(0).topic).with_partitions(vec![end]);
        let response = OffsetForLeaderEpochResponse::default().with_topics(vec![topic]);
        let asked = BTreeMap::from([(orders(0), asked_in)]);
        let answered =
            stage.with(|stage, ctx| on_epochs_response(stage.fetcher, &asked, response, stage.around, stage.logs, ctx));
        assert_eq!((answered, stage.state(0)), (Ok(()), expected), "{what}");
    }
}

#[test]
fn a_fetch_names_what_it_wants_of_each_topic_and_lets_the_leader_wait_as_configured() {
    let mut stage = Stage::new(|config| config.replica_fetch_wait_max_ms = Duration::from_millis(700));
    let other = TopicPartition::of("payments", 0);
    let config = stage.around.config.log.clone();
    stage.with(|stage, ctx| {
        let log = stage.logs.get_or_create(&other, &config, None, ctx).expect("the disk is well");
        log.append_as_follower(batch(0, 1), ctx).expect("it follows");
    });
    stage.fetcher.add(other, from(1, Some(EPOCH)));
    let asked = stage.with(|stage, _| fetch_request(stage.fetcher, stage.logs, stage.around));
    let (Request::Fetch(request), InFlight::Fetch) = asked.expect("three are ready") else { panic!("it fetches") };
    let topics = request.topics.iter().map(|topic| {
        let wanted = topic.partitions.iter().map(|wanted| (wanted.partition, wanted.fetch_offset));
        (topic.topic.as_str(), wanted.collect::<Vec<_>>())
    });
    assert_eq!(topics.collect::<Vec<_>>(), [("orders", vec![(0, 3), (1, 3)]), ("payments", vec![(0, 1)])]);
    assert_eq!(request.max_wait_ms, 700);
}

#[test]
fn what_is_behind_is_held_back_while_the_limit_is_exceeded_and_what_is_not_stays_in_the_isr() {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let property = |resource_type: i8, resource: &str, name: &str, value: &str| {
        let (resource_name, name, value) = (text(resource), text(name), Some(text(value)));
        MetadataRecord::Config(ConfigRecord { resource_type, resource_name, name, value })
    };
    // Whether there is a limit, how much was fetched, how far the first partition is behind, and whether it rests.
    for (limit, bytes, lag, rests) in [
        (true, 100_000, Some(5), true),
        (true, 100_000, None, true),
        (true, 100_000, Some(0), false),
        (true, 10, Some(5), false),
        (false, 100_000, Some(5), false),
    ] {
        let mut stage = Stage::new(|_| ());
        let (mut image, mut delta) = (MetadataImage::default(), MetadataDelta::default());
        let mut records =
            vec![property(ConfigRecord::TOPIC, "orders", "follower.replication.throttled.replicas", "0:2")];
        if limit {
            records.push(property(ConfigRecord::BROKER, "", "follower.replication.throttled.rate", "1000"));
        }
        for record in records {
            image.replay(&record, Offset(0), &mut delta).expect("a property fits everywhere");
        }
        let mut throttle = ReplicationThrottle::new(Role::Follower);
        throttle.update(2, &image, &delta);
        throttle.record(&orders(0), bytes, Instant(5));
        stage.fetcher.partitions.get_mut(&orders(0)).expect("it is fetched").lag = lag;
        stage.with(|stage, ctx| stage.fetcher.hold_back(&mut throttle, stage.around, ctx));
        let resting = [0, 1].map(|partition| stage.state(partition).is_some_and(|(_, _, rests)| rests));
        assert_eq!(resting, [rests, false], "limit: {limit}, {bytes} bytes, lag {lag:?}");
    }
}

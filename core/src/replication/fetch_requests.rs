//! The requests of a fetcher, and what it makes of the answers.
//!
//! Kafka: `RemoteLeaderEndPoint`; Fetch (KIP-227, KIP-320, KIP-595, KIP-903), OffsetForLeaderEpoch, ListOffsets.

use std::collections::BTreeMap;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{
    BrokerId, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

use super::api::ListOffsetsQuery;
use super::fetch_session::{Asked, SessionRequest};
use super::fetcher::{FetchedPartition, InFlight, Phase, ReplicaFetcher, StorageFailure};
use super::surroundings::Surroundings;
use crate::config::Truncation;
use crate::log::LogManager;
use crate::machine::Context;
use crate::protocol::{ErrorCode, Request};
use crate::types::{Duration, LeaderEpoch, Offset, TopicPartition};

/// Where does the leader's log end? For the first partition that fell out of its range.
pub(super) fn offset_request(fetcher: &ReplicaFetcher, around: &Surroundings) -> Option<(Request, InFlight)> {
    let name = fetcher.out_of_range.front()?;
    let epoch = fetcher.partitions.get(name)?.from.current_leader_epoch;
    // The end is asked for first. That it was not beyond the log is kept in the phase, not here.
    let (timestamp, in_flight) = match fetcher.partitions.get(name)?.phase {
        Phase::OutOfRangeBelow => (ListOffsetsQuery::EARLIEST, InFlight::EarliestOffset(name.clone(), epoch)),
        Phase::Truncating | Phase::Fetching | Phase::OutOfRange => {
            (ListOffsetsQuery::LATEST, InFlight::LatestOffset(name.clone(), epoch))
        }
    };
    let partition = ListOffsetsPartition::default()
        .with_partition_index(name.partition)
        .with_current_leader_epoch(epoch.0)
        .with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default().with_name(name.topic.clone()).with_partitions(vec![partition]);
    let request =
        ListOffsetsRequest::default().with_replica_id(BrokerId(around.config.broker_id)).with_topics(vec![topic]);
    Some((request.into(), in_flight))
}

/// Where do the last epochs of the truncating logs end at the leader?
pub(super) fn epochs_request(
    fetcher: &ReplicaFetcher,
    logs: &LogManager,
    around: &Surroundings,
) -> Option<(Request, InFlight)> {
    let mut asked = BTreeMap::new();
    let mut topics: Vec<OffsetForLeaderTopic> = Vec::new();
    for name in &fetcher.truncating {
        let Some(state) = fetcher.partitions.get(name).filter(|state| !state.rests()) else { continue };
        let Some(epoch) = logs.get(name).and_then(crate::log::UnifiedLog::latest_epoch) else { continue };
        asked.insert(name.clone(), state.from.current_leader_epoch);
        let partition = OffsetForLeaderPartition::default()
            .with_partition(name.partition)
            .with_current_leader_epoch(state.from.current_leader_epoch.0)
            .with_leader_epoch(epoch.0);
        match topics.last_mut().filter(|topic| topic.topic == name.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics
                .push(OffsetForLeaderTopic::default().with_topic(name.topic.clone()).with_partitions(vec![partition])),
        }
    }
    if asked.is_empty() {
        return None;
    }
    let request =
        OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(around.config.broker_id)).with_topics(topics);
    Some((request.into(), InFlight::Epochs(asked)))
}

/// The next fetch of everything that is ready.
pub(super) fn fetch_request(
    fetcher: &mut ReplicaFetcher,
    logs: &LogManager,
    around: &Surroundings,
) -> Option<(Request, InFlight)> {
    let on_fetch = around.config.toggles.truncation == Truncation::OnFetch;
    let partitions = &fetcher.partitions;
    let built = fetcher.session.build(partitions.keys(), |name| {
        let state = partitions.get(name).filter(|state| state.is_ready())?;
        Some(Asked {
            topic_id: state.from.topic_id,
            fetch_offset: state.from.offset,
            log_start: logs.get(name)?.log_start_offset(),
            current_leader_epoch: state.from.current_leader_epoch,
            last_fetched_epoch: state.from.last_fetched_epoch.filter(|_| on_fetch),
        })
    })?;
    Some((wire_fetch(built, around).into(), InFlight::Fetch))
}

fn wire_fetch(built: SessionRequest, around: &Surroundings) -> FetchRequest {
    let config = &around.config;
    let mut topics: Vec<FetchTopic> = Vec::new();
    for (name, asked) in built.to_send {
        // Field by field: each `with_` would move the whole of it.
        let mut partition = FetchPartition::default();
        partition.partition = name.partition;
        partition.current_leader_epoch = asked.current_leader_epoch.0;
        partition.fetch_offset = asked.fetch_offset.0;
        partition.last_fetched_epoch = asked.last_fetched_epoch.unwrap_or(LeaderEpoch::NONE).0;
        partition.log_start_offset = asked.log_start.0;
        partition.partition_max_bytes = config.replica_fetch_max_bytes;
        match topics.last_mut().filter(|topic| topic.topic == name.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => {
                let mut topic = FetchTopic::default();
                topic.topic = name.topic;
                topic.topic_id = asked.topic_id;
                topic.partitions = vec![partition];
                topics.push(topic);
            }
        }
    }
    let forgotten = built.forgotten.into_iter().map(|(name, topic_id)| {
        ForgottenTopic::default().with_topic(name.topic).with_topic_id(topic_id).with_partitions(vec![name.partition])
    });
    let mut request = FetchRequest::default();
    request.max_wait_ms = millis(config.replica_fetch_wait_max_ms);
    request.min_bytes = config.replica_fetch_min_bytes;
    request.max_bytes = config.replica_fetch_response_max_bytes;
    request.session_id = built.session_id;
    request.session_epoch = built.session_epoch;
    request.topics = topics;
    request.forgotten_topics_data = forgotten.collect();
    let id = BrokerId(config.broker_id);
    if !config.toggles.isr_broker_epoch {
        request.replica_id = id;
    } else {
        request.replica_id = BrokerId(-1);
        request.replica_state = ReplicaState::default().with_replica_id(id).with_replica_epoch(around.broker_epoch.0);
    }
    request
}

fn millis(length: Duration) -> i32 {
    i32::try_from(length.as_millis()).unwrap_or(i32::MAX)
}

/// A fetch was answered.
pub(super) fn on_fetch_response(
    fetcher: &mut ReplicaFetcher,
    response: FetchResponse,
    around: &Surroundings,
    logs: &mut LogManager,
    ctx: &mut Context<'_>,
) -> Result<(), StorageFailure> {
    if !fetcher.session.on_response(ErrorCode(response.error_code), response.session_id) {
        return Ok(());
    }
    for topic in response.responses {
        for data in topic.partitions {
            let name = TopicPartition::new(topic.topic.clone(), data.partition_index);
            let diverging = data.diverging_epoch;
            let fetched = FetchedPartition {
                error: ErrorCode(data.error_code),
                high_watermark: Offset(data.high_watermark),
                log_start: Offset(data.log_start_offset),
                diverging: (diverging.epoch >= 0)
                    .then_some((LeaderEpoch(diverging.epoch), Offset(diverging.end_offset))),
                records: data.records.unwrap_or_default(),
            };
            fetcher.on_fetched(&name, fetched, around, logs, ctx)?;
        }
    }
    Ok(())
}

/// The leader said where epochs end.
pub(super) fn on_epochs_response(
    fetcher: &mut ReplicaFetcher,
    asked: &BTreeMap<TopicPartition, LeaderEpoch>,
    response: OffsetForLeaderEpochResponse,
    around: &Surroundings,
    logs: &mut LogManager,
    ctx: &mut Context<'_>,
) -> Result<(), StorageFailure> {
    for topic in response.topics {
        for end in topic.partitions {
            let name = TopicPartition::new(topic.topic.clone(), end.partition);
            let Some(&asked_in) = asked.get(&name) else { continue };
            let unchanged = fetcher
                .partitions
                .get(&name)
                .is_some_and(|state| state.from.current_leader_epoch == asked_in && state.phase == Phase::Truncating);
            if !unchanged {
                continue;
            }
            match ErrorCode(end.error_code) {
                ErrorCode::NONE => {
                    let answer =
                        (end.end_offset >= 0).then_some((LeaderEpoch(end.leader_epoch), Offset(end.end_offset)));
                    fetcher.on_epoch_end(&name, answer, around, logs, ctx)?;
                }
                ErrorCode::FENCED_LEADER_EPOCH => fetcher.on_fenced(&name, asked_in, around, ctx.now()),
                _ => fetcher.rest(&name, around, ctx.now()),
            }
        }
    }
    Ok(())
}

/// The one offset in an answer.
pub(super) fn listed_offset(response: ListOffsetsResponse) -> Result<Offset, ErrorCode> {
    let partition = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
    let partition = partition.ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
    match ErrorCode(partition.error_code) {
        ErrorCode::NONE => Ok(Offset(partition.offset)),
        error => Err(error),
    }
}

/// The leader said where its log ends.
pub(super) fn on_latest_offset(
    fetcher: &mut ReplicaFetcher,
    name: &TopicPartition,
    asked_in: LeaderEpoch,
    answer: Result<Offset, ErrorCode>,
    around: &Surroundings,
    logs: &mut LogManager,
    ctx: &mut Context<'_>,
) -> Result<(), StorageFailure> {
    let Some(end) = usable(fetcher, name, asked_in, answer, around, ctx) else { return Ok(()) };
    if fetcher.on_leader_end(name, end, around, logs, ctx)?
        && let Some(state) = fetcher.partitions.get_mut(name)
    {
        state.phase = Phase::OutOfRangeBelow;
    }
    Ok(())
}

/// The leader said where its log starts.
pub(super) fn on_earliest_offset(
    fetcher: &mut ReplicaFetcher,
    name: &TopicPartition,
    asked_in: LeaderEpoch,
    answer: Result<Offset, ErrorCode>,
    around: &Surroundings,
    logs: &mut LogManager,
    ctx: &mut Context<'_>,
) -> Result<(), StorageFailure> {
    match usable(fetcher, name, asked_in, answer, around, ctx) {
        Some(start) => fetcher.on_leader_start(name, start, around, logs, ctx),
        None => Ok(()),
    }
}

/// The offset, if the question still stands and was answered.
fn usable(
    fetcher: &mut ReplicaFetcher,
    name: &TopicPartition,
    asked_in: LeaderEpoch,
    answer: Result<Offset, ErrorCode>,
    around: &Surroundings,
    ctx: &Context<'_>,
) -> Option<Offset> {
    let state = fetcher.partitions.get(name)?;
    if state.from.current_leader_epoch != asked_in || !state.phase.is_out_of_range() {
        return None;
    }
    match answer {
        Ok(offset) => Some(offset),
        Err(ErrorCode::FENCED_LEADER_EPOCH) => {
            fetcher.on_fenced(name, asked_in, around, ctx.now());
            None
        }
        Err(_) => {
            fetcher.rest(name, around, ctx.now());
            None
        }
    }
}

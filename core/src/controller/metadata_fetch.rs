//! How brokers hear what was decided: they fetch the metadata log, and wait here for what is not written yet.
//!
//! Kafka: `KafkaRaftClient.handleFetchRequest`, KIP-595, KIP-631.
//! A connection whose fetch waits is muted: what arrives on it is kept until the fetch is answered, as Kafka's
//! `SocketServer` does.
//! Not modelled: fetch sessions, voters, checks of the fetcher's leader epoch (there is one controller).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kafka_protocol::messages::fetch_response::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, fetch_request};

use super::metadata_log::MetadataLog;
use crate::machine::Context;
use crate::metadata::{CLUSTER_METADATA_TOPIC, CLUSTER_METADATA_TOPIC_ID};
use crate::protocol::{ErrorCode, Request};
use crate::types::{ConnectionId, CorrelationId, Duration, Instant, LeaderEpoch, Offset};

/// A fetch that waits for records.
#[derive(Clone, Debug)]
pub struct ParkedFetch {
    /// To be repeated in the response.
    pub correlation_id: CorrelationId,
    /// What was asked.
    pub request: FetchRequest,
    /// When it is answered whatever there is.
    pub deadline: Instant,
}

/// The fetches that wait, and what waits behind them.
#[derive(Clone, Debug, Default)]
pub struct FetchPurgatory {
    parked: BTreeMap<ConnectionId, ParkedFetch>,
    muted: BTreeMap<ConnectionId, VecDeque<(CorrelationId, Request)>>,
}

impl FetchPurgatory {
    /// Whether a fetch waits on this connection.
    pub fn is_muted(&self, connection: ConnectionId) -> bool {
        self.parked.contains_key(&connection)
    }

    /// Lets a fetch wait.
    pub fn park(&mut self, connection: ConnectionId, fetch: ParkedFetch) {
        self.parked.insert(connection, fetch);
    }

    /// Keeps a request until the fetch before it is answered.
    pub fn queue(&mut self, connection: ConnectionId, correlation_id: CorrelationId, request: Request) {
        self.muted.entry(connection).or_default().push_back((correlation_id, request));
    }

    /// The next request that came while a fetch waited, if none waits any more.
    pub fn unmuted(&mut self) -> Option<(ConnectionId, CorrelationId, Request)> {
        let connection = self.muted.keys().copied().find(|connection| !self.parked.contains_key(connection))?;
        let queue = self.muted.get_mut(&connection)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.muted.remove(&connection);
        }
        next.map(|(correlation_id, request)| (connection, correlation_id, request))
    }

    /// The connection is gone.
    pub fn forget(&mut self, connection: ConnectionId) {
        self.parked.remove(&connection);
        self.muted.remove(&connection);
    }

    /// When the first fetch has waited long enough.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.parked.values().map(|fetch| fetch.deadline).min()
    }

    /// Takes out the fetches that have waited long enough.
    pub fn take_expired(&mut self, now: Instant) -> Vec<(ConnectionId, ParkedFetch)> {
        let expired =
            |(connection, fetch): (&ConnectionId, &ParkedFetch)| (fetch.deadline <= now).then_some(*connection);
        let connections: Vec<ConnectionId> = self.parked.iter().filter_map(expired).collect();
        connections.into_iter().filter_map(|connection| self.parked.remove_entry(&connection)).collect()
    }

    /// Takes out all fetches, to see whether they can be answered now.
    pub fn take_all(&mut self) -> BTreeMap<ConnectionId, ParkedFetch> {
        std::mem::take(&mut self.parked)
    }
}

/// How long a fetch is willing to wait.
pub fn max_wait(request: &FetchRequest) -> Duration {
    Duration::from_request_millis(request.max_wait_ms)
}

/// Whether a fetch asks for nothing but what comes next, which there is not: it waits, as nearly all do.
pub fn is_at_the_end(request: &FetchRequest, log: &MetadataLog) -> bool {
    let end = log.end_offset();
    let mut partitions = request.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
    !request.topics.is_empty()
        && partitions.all(|(topic, partition)| {
            is_metadata(topic)
                && partition.partition == 0
                && Offset(partition.fetch_offset) == end
                && diverging(partition, log).is_none()
        })
}

fn is_metadata(topic: &fetch_request::FetchTopic) -> bool {
    topic.topic.as_str() == CLUSTER_METADATA_TOPIC || topic.topic_id == CLUSTER_METADATA_TOPIC_ID
}

/// The answer; and whether it is worth giving before the wait is over: there are enough bytes, or an error.
pub fn answer(
    request: &FetchRequest,
    node_id: i32,
    log: &MetadataLog,
    ctx: &mut Context<'_>,
) -> (FetchResponse, Worth) {
    let mut response = FetchResponse::default();
    let mut bytes_left = usize::try_from(request.max_bytes).unwrap_or(0);
    let mut bytes = 0;
    let mut worth = Worth::Waiting;
    for topic in &request.topics {
        let is_metadata = is_metadata(topic);
        let mut answered =
            FetchableTopicResponse::default().with_topic(topic.topic.clone()).with_topic_id(topic.topic_id);
        for partition in &topic.partitions {
            let data = if is_metadata && partition.partition == 0 {
                read(partition, bytes_left, node_id, log, ctx)
            } else {
                PartitionData::default()
                    .with_partition_index(partition.partition)
                    .with_error_code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0)
                    .with_high_watermark(-1)
            };
            let length = data.records.as_ref().map_or(0, Bytes::len);
            bytes += length;
            bytes_left = bytes_left.saturating_sub(length);
            if data.error_code != 0 || data.diverging_epoch.epoch >= 0 {
                worth = Worth::Giving;
            }
            answered.partitions.push(data);
        }
        response.responses.push(answered);
    }
    // As in Kafka an empty answer is never worth giving, whatever min_bytes says.
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).max(1);
    if bytes >= min_bytes || request.topics.is_empty() {
        worth = Worth::Giving;
    }
    (response, worth)
}

/// Whether an answer is given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It is.
    Giving,
    /// There may be more to say in a while.
    Waiting,
}

fn read(
    partition: &fetch_request::FetchPartition,
    max_bytes: usize,
    node_id: i32,
    log: &MetadataLog,
    ctx: &mut Context<'_>,
) -> PartitionData {
    let end = log.end_offset();
    let data = PartitionData::default()
        .with_partition_index(partition.partition)
        .with_high_watermark(end.0)
        .with_last_stable_offset(end.0)
        .with_log_start_offset(log.start_offset().0)
        .with_current_leader(
            LeaderIdAndEpoch::default().with_leader_id(BrokerId(node_id)).with_leader_epoch(log.epoch().0),
        )
        .with_records(Some(Bytes::new()));
    let from = Offset(partition.fetch_offset);
    if let Some((epoch, end_offset)) = diverging(partition, log) {
        let diverging = EpochEndOffset::default().with_epoch(epoch.0).with_end_offset(end_offset.0);
        return data.with_diverging_epoch(diverging);
    }
    if from < log.start_offset() || from > end {
        return data.with_error_code(ErrorCode::OFFSET_OUT_OF_RANGE.0);
    }
    if from == end {
        return data;
    }
    let max_bytes = max_bytes.min(usize::try_from(partition.partition_max_bytes).unwrap_or(0));
    match log.read(from, max_bytes, ctx) {
        Ok(records) => data.with_records(Some(records)),
        Err(error) => data.with_error_code(error.0),
    }
}

/// Where the fetcher's log stops being this one, if it says what it has.
fn diverging(partition: &fetch_request::FetchPartition, log: &MetadataLog) -> Option<(LeaderEpoch, Offset)> {
    if partition.last_fetched_epoch < 0 || partition.fetch_offset == 0 {
        return None;
    }
    let epoch = LeaderEpoch(partition.last_fetched_epoch);
    let (known, end) = log.end_offset_for_epoch(epoch).unwrap_or((LeaderEpoch(0), log.start_offset()));
    if known != epoch || end.0 < partition.fetch_offset { Some((known, end)) } else { None }
}

//! What this broker believes about the cluster: the metadata log, read from the controller and replayed.
//!
//! Kafka: `KafkaRaftClient` as an observer, `MetadataLoader`, `BrokerMetadataPublisher`, `KRaftMetadataCache`.
//! The log is read by Fetch of `__cluster_metadata`-0, only up to its high watermark; nothing is published until that
//! was reached for the first time.
//!
//! The thread that publishes (`MetadataLoader`) can fall behind: what has been read waits, and the broker goes by what it knew.
//! Its heartbeats say how far it has come with publishing, as Kafka's do (`MetadataLoader.lastAppliedOffset`).
//! Not modelled: the broker's local copy of the metadata log (every life reads from offset 0), snapshots, the ZooKeeper
//! controller's LeaderAndIsr and UpdateMetadata requests (versions before KRaft read the log too).

use std::collections::VecDeque;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::{FetchRequest, FetchResponse};

use crate::client::{Expect, ExponentialBackoff, NetworkClient, NetworkClientConfig, RequestToken};
use crate::fact::Fact;
use crate::machine::Context;
use crate::metadata::batch::{self, MetadataBatch};
use crate::metadata::{CLUSTER_METADATA_TOPIC, CLUSTER_METADATA_TOPIC_ID, MetadataDelta, MetadataImage};
use crate::protocol::{ErrorCode, Response};
use crate::types::{
    BrokerId, ConnectionId, CorrelationId, Duration, Instant, NodeId, Offset, StrBytes, TopicName, earliest,
};

/// `KafkaRaftClient.MAX_FETCH_WAIT_MS`.
const FETCH_MAX_WAIT_MS: i32 = 500;
/// `KafkaRaftClient.MAX_FETCH_SIZE_BYTES`.
const FETCH_MAX_BYTES: i32 = 8 * 1024 * 1024;
/// `controller.quorum.request.timeout.ms`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// `controller.quorum.retry.backoff.ms`.
const RETRY_BACKOFF: Duration = Duration::from_millis(20);

/// The image, and the fetcher that keeps it up to date.
#[derive(Clone, Debug)]
pub(super) struct MetadataPublisher {
    broker_id: i32,
    network: NetworkClient,
    controllers: Vec<NodeId>,
    active: usize,
    in_flight: Option<RequestToken>,
    retry_at: Option<Instant>,
    image: MetadataImage,
    next_offset: Offset,
    /// As the controller said last.
    high_watermark: Offset,
    /// How late everything is published.
    lag: Duration,
    /// What has been read and is not published yet, and when it will be.
    unpublished: VecDeque<(Instant, MetadataBatch)>,
    delta: MetadataDelta,
    caught_up: bool,
}

impl MetadataPublisher {
    pub fn new(broker_id: i32, controllers: Vec<NodeId>) -> Self {
        let network = NetworkClient::new(NetworkClientConfig {
            reconnect_backoff: ExponentialBackoff {
                initial: Duration::from_millis(50),
                max: Duration::from_millis(500),
            },
            connection_setup_timeout: Some(NetworkClientConfig::SETUP_TIMEOUT),
            max_in_flight: 1,
            max_idle: None,
        });
        Self {
            broker_id,
            network,
            controllers,
            active: 0,
            in_flight: None,
            retry_at: None,
            image: MetadataImage::default(),
            next_offset: Offset(0),
            high_watermark: Offset(0),
            lag: Duration::ZERO,
            unpublished: VecDeque::new(),
            delta: MetadataDelta::default(),
            caught_up: false,
        }
    }

    /// The cluster as of the last record read.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// Whether the high watermark of the metadata log was reached once.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// From now on the publishing thread is so late.
    pub fn set_lag(&mut self, lag: Duration, ctx: &mut Context<'_>) {
        self.lag = lag;
        let latest = ctx.now() + lag;
        for (due, _) in &mut self.unpublished {
            *due = latest.min(*due);
        }
        self.publish(ctx);
    }

    /// What changed since the last time, once there is something to publish.
    pub fn take_delta(&mut self) -> Option<MetadataDelta> {
        if !self.caught_up || self.delta.is_empty() {
            return None;
        }
        Some(std::mem::take(&mut self.delta))
    }

    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.network.owns(connection)
    }

    pub fn on_connected(&mut self, connection: ConnectionId, ctx: &Context<'_>) {
        self.network.on_connected(connection, ctx.now());
    }

    pub fn on_disconnected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) {
        if self.network.on_disconnected(connection, ctx).is_some() {
            self.failed();
        }
    }

    pub fn on_response(
        &mut self,
        connection: ConnectionId,
        correlation_id: CorrelationId,
        response: Response,
        ctx: &mut Context<'_>,
    ) {
        let Some((_, token, response)) = self.network.on_response(connection, correlation_id, response, ctx.now())
        else {
            return;
        };
        if self.in_flight.take_if(|sent| *sent == token).is_none() {
            return;
        }
        let error = match response {
            Response::Fetch(response) => self.apply(&response, ctx),
            _ => ErrorCode::UNKNOWN_SERVER_ERROR,
        };
        match error {
            ErrorCode::NONE => {}
            ErrorCode::OFFSET_OUT_OF_RANGE => self.start_over(),
            _ => {
                self.active = (self.active + 1) % self.controllers.len();
                self.retry_at = Some(ctx.now() + RETRY_BACKOFF);
            }
        }
    }

    pub fn on_deadline(&mut self, ctx: &mut Context<'_>) {
        if !self.network.on_deadline(ctx).is_empty() {
            self.failed();
        }
        self.retry_at = self.retry_at.filter(|at| *at > ctx.now());
        self.publish(ctx);
    }

    /// After every input: asks for more.
    pub fn poll(&mut self, ctx: &mut Context<'_>) {
        let controller = self.controllers[self.active];
        if self.in_flight.is_some() || self.retry_at.is_some() || !self.network.ready(controller, ctx) {
            return;
        }
        let request = self.request();
        self.in_flight = Some(self.network.send(controller, request, Expect::Response, REQUEST_TIMEOUT, ctx));
    }

    pub fn shutdown(&mut self, ctx: &mut Context<'_>) {
        self.network.close_all(ctx);
        self.in_flight = None;
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let due = self.unpublished.front().map(|(due, _)| *due);
        earliest([self.retry_at, due, self.network.next_deadline()])
    }

    fn failed(&mut self) {
        self.in_flight = None;
        self.active = (self.active + 1) % self.controllers.len();
    }

    /// The controller's log is not the one that was read: its disk was lost or replaced.
    fn start_over(&mut self) {
        let old = std::mem::take(&mut self.image);
        self.delta.partitions.extend(old.partitions.into_keys());
        self.delta.brokers.extend(old.brokers.into_keys());
        self.next_offset = Offset(0);
        self.high_watermark = Offset(0);
        self.unpublished.clear();
    }

    fn request(&self) -> FetchRequest {
        let partition = FetchPartition::default()
            .with_partition(0)
            .with_fetch_offset(self.next_offset.0)
            .with_partition_max_bytes(FETCH_MAX_BYTES);
        let topic = FetchTopic::default()
            .with_topic(TopicName(StrBytes::from_static_str(CLUSTER_METADATA_TOPIC)))
            .with_topic_id(CLUSTER_METADATA_TOPIC_ID)
            .with_partitions(vec![partition]);
        let replica_id = BrokerId(self.broker_id);
        FetchRequest::default()
            .with_replica_id(replica_id)
            .with_replica_state(ReplicaState::default().with_replica_id(replica_id))
            .with_max_wait_ms(FETCH_MAX_WAIT_MS)
            .with_min_bytes(1)
            .with_max_bytes(FETCH_MAX_BYTES)
            .with_topics(vec![topic])
    }

    fn apply(&mut self, response: &FetchResponse, ctx: &mut Context<'_>) -> ErrorCode {
        if response.error_code != 0 {
            return ErrorCode(response.error_code);
        }
        let Some(data) = response.responses.first().and_then(|topic| topic.partitions.first()) else {
            return ErrorCode::UNKNOWN_SERVER_ERROR;
        };
        if data.error_code != 0 {
            return ErrorCode(data.error_code);
        }
        if data.diverging_epoch.epoch >= 0 {
            return ErrorCode::OFFSET_OUT_OF_RANGE;
        }
        self.high_watermark = Offset(data.high_watermark);
        let is_sound = data.records.as_ref().is_none_or(|records| self.read(records, ctx));
        self.publish(ctx);
        if is_sound { ErrorCode::NONE } else { ErrorCode::CORRUPT_MESSAGE }
    }

    /// Takes what is below the high watermark; false if the bytes are not sound, and then they are asked for again.
    fn read(&mut self, records: &Bytes, ctx: &mut Context<'_>) -> bool {
        let Ok(batches) = batch::decode(records.clone()) else { return false };
        for batch in batches {
            if batch.base_offset >= self.high_watermark {
                break;
            }
            if batch.base_offset < self.next_offset {
                continue;
            }
            self.next_offset = batch.last_offset.next();
            if self.lag > Duration::ZERO {
                let (base_offset, last_offset) = (batch.base_offset, batch.last_offset);
                let lag_ms = self.lag.as_millis();
                ctx.fact(Fact::MetadataHeldBack { base_offset, last_offset, lag_ms });
            }
            self.unpublished.push_back((ctx.now() + self.lag, batch));
        }
        true
    }

    /// Replays what is due.
    fn publish(&mut self, ctx: &mut Context<'_>) {
        while self.unpublished.front().is_some_and(|(due, _)| *due <= ctx.now()) {
            let Some((_, batch)) = self.unpublished.pop_front() else { break };
            let mut offset = batch.base_offset;
            for record in &batch.records {
                // A record that does not fit is passed over, as the fault handler of a broker does.
                let _unfit = self.image.replay(record, offset, &mut self.delta);
                offset = offset.next();
            }
            ctx.fact(Fact::MetadataReplayed {
                base_offset: batch.base_offset,
                last_offset: batch.last_offset,
                leader_epoch: batch.epoch,
                crc: batch.crc,
            });
        }
        self.caught_up |= self.unpublished.is_empty() && self.next_offset >= self.high_watermark;
    }
}

#[cfg(test)]
#[path = "metadata_publisher_tests.rs"]
mod tests;

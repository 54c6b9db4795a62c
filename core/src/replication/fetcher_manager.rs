//! The fetchers of a broker, one per leader, and what they say on the wire.
//!
//! Kafka: `AbstractFetcherManager`, `ReplicaFetcherBlockingSend`, `RemoteLeaderEndPoint`.
//!
//! A fetcher that has a partition is never idle: it waits for an answer, for a connection, or for a rest to end.
//! One that has none is closed with its connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fetch_requests;
use super::fetcher::{FetchFrom, InFlight, ReplicaFetcher, StorageFailure};
use super::surroundings::Surroundings;
use super::throttle::ReplicationThrottle;
use crate::client::ExponentialBackoff;
use crate::client::network_client::{Disconnection, Expect, NetworkClient, NetworkClientConfig, RequestToken};
use crate::config::{BrokerConfig, KafkaVersion};
use crate::fact::Role;
use crate::log::LogManager;
use crate::machine::Context;
use crate::protocol::{Request, Response};
use crate::types::{ConnectionId, CorrelationId, Duration, Instant, LeaderEpoch, NodeId, TopicPartition, earliest};

/// Since when connecting has a limit of its own (KIP-601).
const SETUP_TIMEOUTS: KafkaVersion = KafkaVersion::new(2, 7);

/// The fetchers of a broker.
#[derive(Clone, Debug)]
pub struct FetcherManager {
    fetchers: BTreeMap<i32, ReplicaFetcher>,
    network: NetworkClient,
    /// When a log that a fetcher appended to has something to do in the background.
    task_due: Option<Instant>,
    /// Partitions whose high watermark the last answer has moved.
    advanced: Vec<TopicPartition>,
    /// The limit of this broker as a follower.
    pub(super) throttle: ReplicationThrottle,
}

impl FetcherManager {
    /// Without any fetcher.
    pub fn new(config: Arc<BrokerConfig>) -> Self {
        let setup = if config.version >= SETUP_TIMEOUTS {
            NetworkClientConfig::SETUP_TIMEOUT
        } else {
            ExponentialBackoff::constant(config.replica_socket_timeout_ms)
        };
        let network = NetworkClient::new(NetworkClientConfig {
            // Resting partitions are backoff enough.
            reconnect_backoff: ExponentialBackoff::constant(Duration::ZERO),
            connection_setup_timeout: Some(setup),
            max_in_flight: 1,
            max_idle: None,
        });
        let throttle = ReplicationThrottle::new(Role::Follower);
        Self { fetchers: BTreeMap::new(), network, task_due: None, advanced: Vec::new(), throttle }
    }

    /// Fetches a partition from `leader`; first call [`FetcherManager::remove`].
    pub fn add(&mut self, leader: i32, name: TopicPartition, from: FetchFrom) {
        self.fetchers.entry(leader).or_insert_with(|| ReplicaFetcher::new(leader)).add(name, from);
    }

    /// Stops fetching a partition.
    pub fn remove(&mut self, name: &TopicPartition) {
        for fetcher in self.fetchers.values_mut() {
            fetcher.remove(name);
        }
    }

    /// The leader of a partition is the same in a new epoch; false if it is not fetched at all.
    pub fn update_epoch(&mut self, name: &TopicPartition, epoch: LeaderEpoch) -> bool {
        self.fetchers.values_mut().any(|fetcher| fetcher.update_epoch(name, epoch))
    }

    /// Partitions were added and removed: fetchers without any close, the others go on.
    pub fn on_partitions_changed(
        &mut self,
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        let idle: Vec<i32> =
            self.fetchers.values().filter(|fetcher| fetcher.partitions.is_empty()).map(|f| f.leader).collect();
        for leader in idle {
            self.fetchers.remove(&leader);
            self.network.disconnect(NodeId::Broker(leader), ctx);
        }
        let Self { fetchers, network, throttle, .. } = self;
        fetchers.values_mut().try_for_each(|fetcher| pump(fetcher, (network, throttle), around, logs, ctx))
    }

    /// Whether a connection is one of the fetchers'.
    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.network.owns(connection)
    }

    /// A connection is open.
    pub fn on_connected(
        &mut self,
        connection: ConnectionId,
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        let Some(node) = self.network.on_connected(connection, ctx.now()) else { return Ok(()) };
        let Self { fetchers, network, throttle, .. } = self;
        match fetcher_of(fetchers, node) {
            Some(fetcher) => pump(fetcher, (network, throttle), around, logs, ctx),
            None => Ok(()),
        }
    }

    /// A connection is gone.
    pub fn on_disconnected(
        &mut self,
        connection: ConnectionId,
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        match self.network.on_disconnected(connection, ctx) {
            Some(gone) => self.on_disconnection(&gone, around, logs, ctx),
            None => Ok(()),
        }
    }

    /// An answer came.
    pub fn on_response(
        &mut self,
        (connection, correlation_id, response): (ConnectionId, CorrelationId, Response),
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        let Some((node, token, response)) = self.network.on_response(connection, correlation_id, response, ctx.now())
        else {
            return Ok(());
        };
        let Self { fetchers, network, throttle, .. } = self;
        let Some(fetcher) = fetcher_of(fetchers, node) else { return Ok(()) };
        let Some((_, in_flight)) = fetcher.in_flight.take_if(|(asked, _)| *asked == token) else { return Ok(()) };
        take_answer(fetcher, in_flight, response, around, logs, ctx)?;
        self.task_due = fetcher.task_due.take();
        self.advanced = std::mem::take(&mut fetcher.advanced);
        pump(fetcher, (network, throttle), around, logs, ctx)
    }

    /// Rests and timeouts that are due.
    pub fn on_deadline(
        &mut self,
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        for gone in self.network.on_deadline(ctx) {
            self.on_disconnection(&gone, around, logs, ctx)?;
        }
        let Self { fetchers, network, throttle, .. } = self;
        fetchers.values_mut().try_for_each(|fetcher| pump(fetcher, (network, throttle), around, logs, ctx))
    }

    /// When [`FetcherManager::on_deadline`] wants to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        let mut deadline = self.network.next_deadline();
        for fetcher in self.fetchers.values() {
            deadline = earliest([deadline, fetcher.next_deadline()]);
        }
        deadline
    }

    /// When a log that the last answer appended to has something to do in the background.
    pub fn take_task_due(&mut self) -> Option<Instant> {
        self.task_due.take()
    }

    /// The partitions whose high watermark the last answer has moved.
    pub fn take_advanced(&mut self) -> Vec<TopicPartition> {
        std::mem::take(&mut self.advanced)
    }

    /// Ends all fetching.
    pub fn close(&mut self, ctx: &mut Context<'_>) {
        self.fetchers.clear();
        self.network.close_all(ctx);
    }

    fn on_disconnection(
        &mut self,
        gone: &Disconnection,
        around: &Surroundings,
        logs: &mut LogManager,
        ctx: &mut Context<'_>,
    ) -> Result<(), StorageFailure> {
        let Self { fetchers, network, throttle, .. } = self;
        let Some(fetcher) = fetcher_of(fetchers, gone.node) else { return Ok(()) };
        fetcher.on_connection_lost(around, ctx.now());
        pump(fetcher, (network, throttle), around, logs, ctx)
    }
}

fn fetcher_of(fetchers: &mut BTreeMap<i32, ReplicaFetcher>, node: NodeId) -> Option<&mut ReplicaFetcher> {
    match node {
        NodeId::Broker(id) => fetchers.get_mut(&id),
        NodeId::Controller(_) | NodeId::Client(_) => None,
    }
}

/// Sends the next request, if there is one to send and nothing in flight.
fn pump(
    fetcher: &mut ReplicaFetcher,
    (network, throttle): (&mut NetworkClient, &mut ReplicationThrottle),
    around: &Surroundings,
    logs: &mut LogManager,
    ctx: &mut Context<'_>,
) -> Result<(), StorageFailure> {
    for (name, bytes) in fetcher.fetched.drain(..) {
        throttle.record(&name, bytes, ctx.now());
    }
    fetcher.wake(ctx.now());
    if fetcher.in_flight.is_some() {
        return Ok(());
    }
    if !fetcher.truncating.is_empty() {
        fetcher.truncate_without_epochs(around, logs, ctx)?;
    }
    fetcher.hold_back(throttle, around, ctx);
    let node = NodeId::Broker(fetcher.leader);
    let has_work = !fetcher.out_of_range.is_empty()
        || fetcher.truncating.iter().any(|name| fetcher.partitions.get(name).is_some_and(|state| !state.rests()))
        || fetcher.partitions.values().any(super::fetcher::FetchState::is_ready)
        || fetcher.session.has_to_forget();
    if !has_work || !network.ready(node, ctx) {
        return Ok(());
    }
    let request = fetch_requests::offset_request(fetcher, around)
        .or_else(|| fetch_requests::epochs_request(fetcher, logs, around))
        .or_else(|| fetch_requests::fetch_request(fetcher, logs, around));
    if let Some((request, in_flight)) = request {
        send(fetcher, network, request, in_flight, around, ctx);
    }
    Ok(())
}

fn send(
    fetcher: &mut ReplicaFetcher,
    network: &mut NetworkClient,
    request: Request,
    in_flight: InFlight,
    around: &Surroundings,
    ctx: &mut Context<'_>,
) -> RequestToken {
    let node = NodeId::Broker(fetcher.leader);
    let token = network.send(node, request, Expect::Response, around.config.replica_socket_timeout_ms, ctx);
    fetcher.in_flight = Some((token, in_flight));
    token
}

fn take_answer(
    fetcher: &mut ReplicaFetcher,
    in_flight: InFlight,
    response: Response,
    around: &Surroundings,
    logs: &mut LogManager,
    ctx: &mut Context<'_>,
) -> Result<(), StorageFailure> {
    match (in_flight, response) {
        (InFlight::Fetch, Response::Fetch(response)) => {
            fetch_requests::on_fetch_response(fetcher, *response, around, logs, ctx)
        }
        (InFlight::Epochs(asked), Response::OffsetForLeaderEpoch(response)) => {
            fetch_requests::on_epochs_response(fetcher, &asked, *response, around, logs, ctx)
        }
        (InFlight::LatestOffset(name, epoch), Response::ListOffsets(response)) => {
            let answer = fetch_requests::listed_offset(*response);
            fetch_requests::on_latest_offset(fetcher, &name, epoch, answer, around, logs, ctx)
        }
        (InFlight::EarliestOffset(name, epoch), Response::ListOffsets(response)) => {
            let answer = fetch_requests::listed_offset(*response);
            fetch_requests::on_earliest_offset(fetcher, &name, epoch, answer, around, logs, ctx)
        }
        // An answer to another question than the one asked: as if none had come.
        _ => {
            fetcher.on_connection_lost(around, ctx.now());
            Ok(())
        }
    }
}

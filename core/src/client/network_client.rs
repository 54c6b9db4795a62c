//! Connections from one node to others, and the requests in flight on them.
//!
//! Kafka: `clients/NetworkClient`, `ClusterConnectionStates`, `InFlightRequests`; KIP-144 (exponential reconnect
//! backoff), KIP-601 (connection setup timeout).
//!
//! ```text
//!            ready()                on_connected
//! (none) ───────────▶ Connecting ───────────────▶ Ready
//!    ▲                    │                          │
//!    └─ backoff is over ─ Disconnected ◀─────────────┘  refused, reset, a request or the setup timed out
//! ```
//!
//! It is part of a machine, not one: hand it the connection inputs, call [`NetworkClient::on_deadline`] on
//! `Input::Deadline`, and count [`NetworkClient::next_deadline`] among your own. What it does not know (a connection of
//! somebody else, an answer to a request that was given up) it answers with `None`.
//!
//! A node that has throttled this client is sent nothing until the time is over (KIP-219, 2.0).
//!
//! Not modelled: authentication, the ApiVersions exchange after connecting (one round trip), DNS.

use std::collections::VecDeque;

use super::ExponentialBackoff;
use crate::machine::Context;
use crate::protocol::{Request, Response};
use crate::types::{ConnectionId, CorrelationId, Duration, Instant, NodeId, Prng};

/// How a [`NetworkClient`] connects and how much it has in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkClientConfig {
    /// `reconnect.backoff.ms` to `reconnect.backoff.max.ms`.
    pub reconnect_backoff: ExponentialBackoff,
    /// `socket.connection.setup.timeout.ms` to its maximum (KIP-601, 2.7); before, connecting had no limit.
    pub connection_setup_timeout: Option<ExponentialBackoff>,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: usize,
    /// `connections.max.idle.ms`: a connection on which nothing is said for so long is closed.
    pub max_idle: Option<Duration>,
}

impl NetworkClientConfig {
    /// The setup timeout that every client has since 2.7: 10 s, growing to 30 s.
    pub const SETUP_TIMEOUT: ExponentialBackoff =
        ExponentialBackoff { initial: Duration::from_secs(10), max: Duration::from_secs(30) };
}

/// A request that was sent; unique in its [`NetworkClient`], ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestToken(pub u64);

/// Whether a request will be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It counts as in flight until the response is there.
    Response,
    /// It is complete when handed to the socket (Produce at acks=0): its token is never heard of again.
    Nothing,
}

/// Why a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// Refused, reset or closed by the other end.
    Remote,
    /// A request in flight was not answered in time; the connection was closed for it.
    RequestTimeout,
    /// Connecting took too long.
    SetupTimeout,
    /// Nothing was said on it for `connections.max.idle.ms`.
    Idle,
    /// The owner asked for it.
    Local,
}

/// A connection that is gone, with the requests that were in flight on it, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnection {
    /// The other end.
    pub node: NodeId,
    /// Why.
    pub reason: DisconnectReason,
    /// The requests that will not be answered any more.
    pub failed: Vec<RequestToken>,
}

/// Connections to other nodes, opened when first asked for.
#[derive(Clone, Debug)]
pub struct NetworkClient {
    config: NetworkClientConfig,
    // A client talks to a handful of nodes: a scan is faster than a tree.
    nodes: Vec<Node>,
    next_token: u64,
}

#[derive(Clone, Debug)]
struct Node {
    id: NodeId,
    state: State,
    in_flight: VecDeque<InFlight>,
    /// Of the last attempt or, once disconnected, of the disconnection: backoff counts from here.
    last_attempt: Instant,
    /// When something was last said on the connection.
    active: Instant,
    failures: u32,
    failed_setups: u32,
    /// Nothing is sent before; looked at on deadlines.
    throttled_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Disconnected {
        /// When to try again.
        retry_at: Instant,
        /// Somebody asked meanwhile, and must be woken then.
        wanted: bool,
    },
    Connecting {
        connection: ConnectionId,
        give_up_at: Instant,
    },
    Ready(ConnectionId),
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    token: RequestToken,
    times_out_at: Instant,
}

impl NetworkClient {
    /// Without any connection.
    pub fn new(config: NetworkClientConfig) -> Self {
        Self { config, nodes: Vec::new(), next_token: 1 }
    }

    /// Whether a request can be sent to `node` now. If there is no connection and the backoff is over, one is opened;
    /// during the backoff, [`Self::next_deadline`] includes its end, so that the caller can ask again then.
    pub fn ready(&mut self, node: NodeId, ctx: &mut Context<'_>) -> bool {
        let index = match self.nodes.iter().position(|n| n.id == node) {
            Some(index) => index,
            None => {
                self.nodes.push(Node::new(node, ctx.now()));
                self.nodes.len() - 1
            }
        };
        let max_in_flight = self.config.max_in_flight;
        let entry = &mut self.nodes[index];
        match &mut entry.state {
            State::Ready(_) => entry.has_room(max_in_flight),
            State::Connecting { .. } => false,
            State::Disconnected { retry_at, wanted } if ctx.now() < *retry_at => {
                *wanted = true;
                false
            }
            State::Disconnected { .. } => {
                let failed_setups = entry.failed_setups;
                let limit = self.config.connection_setup_timeout.map(|timeout| timeout.after(failed_setups, ctx.rng()));
                let give_up_at = limit.map_or(Instant::NEVER, |limit| ctx.now() + limit);
                entry.last_attempt = ctx.now();
                entry.state = State::Connecting { connection: ctx.connect(node), give_up_at };
                false
            }
        }
    }

    /// Whether there is a connection to `node` with room for one more request. Opens none.
    pub fn can_send(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|n| n.is_ready() && n.has_room(self.config.max_in_flight))
    }

    /// Whether there is a connection to `node`, with room or without.
    pub fn is_connected(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(Node::is_ready)
    }

    /// Whether the last connection to `node` was refused or lost, and no new one is being opened (`connectionFailed`).
    pub fn connection_failed(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|n| matches!(n.state, State::Disconnected { .. }))
    }

    /// How many requests to `node` wait for their response.
    pub fn in_flight(&self, node: NodeId) -> usize {
        self.node(node).map_or(0, |n| n.in_flight.len())
    }

    /// How many requests wait for their response, all nodes taken together.
    pub fn in_flight_total(&self) -> usize {
        self.nodes.iter().map(|n| n.in_flight.len()).sum()
    }

    /// Sends a request. One that expects a response times out `timeout` from now, which takes the connection with it.
    ///
    /// # Panics
    /// If [`Self::can_send`] is false.
    pub fn send(
        &mut self,
        node: NodeId,
        request: impl Into<Request>,
        expect: Expect,
        timeout: Duration,
        ctx: &mut Context<'_>,
    ) -> RequestToken {
        let max_in_flight = self.config.max_in_flight;
        let entry = self.nodes.iter_mut().find(|n| n.id == node && n.in_flight.len() < max_in_flight);
        let (connection, entry) = match entry.map(|n| (n.state, n)) {
            Some((State::Ready(connection), entry)) => (connection, entry),
            Some((State::Disconnected { .. } | State::Connecting { .. }, _)) | None => {
                panic!("{node} was sent a request while it was not ready")
            }
        };
        let token = RequestToken(self.next_token);
        self.next_token += 1;
        ctx.send(connection, correlation_of(token), request.into());
        entry.active = ctx.now();
        if expect == Expect::Response {
            entry.in_flight.push_back(InFlight { token, times_out_at: ctx.now() + timeout });
        }
        token
    }

    /// Whether this client opened the connection and has not given it up.
    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.nodes.iter().any(|n| n.connection() == Some(connection))
    }

    /// `Input::Connected`: the node that can be sent to now.
    pub fn on_connected(&mut self, connection: ConnectionId, now: Instant) -> Option<NodeId> {
        let node = self.nodes.iter_mut().find(|n| n.connection() == Some(connection))?;
        node.state = State::Ready(connection);
        node.active = now;
        node.failures = 0;
        node.failed_setups = 0;
        Some(node.id)
    }

    /// `Input::Disconnected`.
    pub fn on_disconnected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) -> Option<Disconnection> {
        let index = self.nodes.iter().position(|n| n.connection() == Some(connection))?;
        Some(self.drop_connection(index, DisconnectReason::Remote, ctx))
    }

    /// `Input::Response`: which request it answers.
    pub fn on_response(
        &mut self,
        connection: ConnectionId,
        correlation_id: CorrelationId,
        response: Response,
        now: Instant,
    ) -> Option<(NodeId, RequestToken, Response)> {
        let node = self.nodes.iter_mut().find(|n| n.connection() == Some(connection))?;
        node.active = now;
        let index = node.in_flight.iter().position(|request| correlation_of(request.token) == correlation_id)?;
        let request = node.in_flight.remove(index)?;
        Some((node.id, request.token, response))
    }

    /// A node has said in a response for how long this client is to be silent.
    pub fn throttle(&mut self, node: NodeId, response: &Response, now: Instant) {
        let Some(silence) = u64::try_from(response.throttle_time_ms()).ok().filter(|millis| *millis > 0) else {
            return;
        };
        if let Some(node) = self.nodes.iter_mut().find(|n| n.id == node) {
            node.throttled_until = node.throttled_until.max(Some(now + Duration::from_millis(silence)));
        }
    }

    /// `Input::Deadline`: closes connections that took too long to open or to answer, or were idle too long. Afterwards the caller asks
    /// [`Self::ready`] again for the nodes it wants.
    pub fn on_deadline(&mut self, ctx: &mut Context<'_>) -> Vec<Disconnection> {
        let now = ctx.now();
        let mut gone = Vec::new();
        for index in 0..self.nodes.len() {
            let max_idle = self.config.max_idle;
            let node = &mut self.nodes[index];
            node.throttled_until = node.throttled_until.filter(|until| *until > now);
            let reason = match &mut node.state {
                State::Disconnected { retry_at, wanted } => {
                    *wanted &= *retry_at > now;
                    continue;
                }
                State::Connecting { give_up_at, .. } if *give_up_at <= now => DisconnectReason::SetupTimeout,
                State::Ready(_) if node.in_flight.iter().any(|request| request.times_out_at <= now) => {
                    DisconnectReason::RequestTimeout
                }
                State::Ready(_) if max_idle.is_some_and(|max| node.active + max <= now) => DisconnectReason::Idle,
                State::Connecting { .. } | State::Ready(_) => continue,
            };
            gone.push(self.close_connection(index, reason, ctx));
        }
        gone
    }

    /// When [`Self::on_deadline`] has something to do, or a backoff that stopped [`Self::ready`] ends.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.nodes.iter().filter_map(|node| node.next_deadline(self.config.max_idle)).min()
    }

    /// When `node` can be asked again: the end of its backoff. `None` if there is nothing to wait for by the clock.
    pub fn retry_at(&self, node: NodeId) -> Option<Instant> {
        match self.node(node)?.state {
            State::Disconnected { retry_at, .. } => Some(retry_at),
            State::Connecting { .. } | State::Ready(_) => None,
        }
    }

    /// Closes the connection to `node`, if there is one or one is being opened.
    pub fn disconnect(&mut self, node: NodeId, ctx: &mut Context<'_>) -> Option<Disconnection> {
        let index = self.nodes.iter().position(|n| n.id == node && n.connection().is_some())?;
        Some(self.close_connection(index, DisconnectReason::Local, ctx))
    }

    /// Closes every connection; returns the requests that were in flight.
    pub fn close_all(&mut self, ctx: &mut Context<'_>) -> Vec<Disconnection> {
        let open: Vec<usize> = (0..self.nodes.len()).filter(|&i| self.nodes[i].connection().is_some()).collect();
        open.into_iter().map(|index| self.close_connection(index, DisconnectReason::Local, ctx)).collect()
    }

    /// The best of `nodes` for a request that any of them can answer: one that is connected and idle, else the connected
    /// one with the fewest requests in flight, else one that is being connected, else the one not tried for longest.
    /// Ties fall by `rng`. `None` if all are full or in backoff.
    pub fn least_loaded_node(&self, nodes: &[NodeId], now: Instant, rng: &mut Prng) -> Option<NodeId> {
        if nodes.is_empty() {
            return None;
        }
        let first = rng.below(nodes.len() as u64) as usize;
        let rotated = nodes[first..].iter().chain(&nodes[..first]).copied();
        // min_by_key takes the first of equals, which is what the random start decides.
        rotated.filter_map(|node| Some((self.load(node, now)?, node))).min_by_key(|(load, _)| *load).map(|(_, n)| n)
    }

    /// How long `node` would keep a request waiting, smaller is better: (connected, connecting, neither), then detail.
    fn load(&self, node: NodeId, now: Instant) -> Option<(u8, u64)> {
        let Some(entry) = self.node(node) else { return Some((2, 0)) };
        match entry.state {
            State::Ready(_) if entry.has_room(self.config.max_in_flight) => Some((0, entry.in_flight.len() as u64)),
            State::Ready(_) => None,
            State::Connecting { .. } => Some((1, 0)),
            State::Disconnected { retry_at, .. } => (retry_at <= now).then_some((2, entry.last_attempt.0)),
        }
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.iter().find(|n| n.id == id)
    }

    fn close_connection(&mut self, index: usize, reason: DisconnectReason, ctx: &mut Context<'_>) -> Disconnection {
        if let Some(connection) = self.nodes[index].connection() {
            ctx.close(connection);
        }
        self.drop_connection(index, reason, ctx)
    }

    fn drop_connection(&mut self, index: usize, reason: DisconnectReason, ctx: &mut Context<'_>) -> Disconnection {
        let node = &mut self.nodes[index];
        let was_connecting = matches!(node.state, State::Connecting { .. });
        node.failed_setups = if was_connecting { node.failed_setups.saturating_add(1) } else { 0 };
        node.last_attempt = ctx.now();
        let backoff = self.config.reconnect_backoff.after(node.failures, ctx.rng());
        node.failures = node.failures.saturating_add(1);
        node.throttled_until = None;
        node.state = State::Disconnected { retry_at: ctx.now() + backoff, wanted: false };
        let failed = node.in_flight.drain(..).map(|request| request.token).collect();
        Disconnection { node: node.id, reason, failed }
    }
}

impl Node {
    fn new(id: NodeId, now: Instant) -> Self {
        Self {
            id,
            state: State::Disconnected { retry_at: now, wanted: false },
            in_flight: VecDeque::new(),
            last_attempt: Instant::START,
            active: Instant::START,
            failures: 0,
            failed_setups: 0,
            throttled_until: None,
        }
    }

    fn has_room(&self, max_in_flight: usize) -> bool {
        self.in_flight.len() < max_in_flight && self.throttled_until.is_none()
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    fn connection(&self) -> Option<ConnectionId> {
        match self.state {
            State::Disconnected { .. } => None,
            State::Connecting { connection, .. } | State::Ready(connection) => Some(connection),
        }
    }

    fn next_deadline(&self, max_idle: Option<Duration>) -> Option<Instant> {
        match self.state {
            State::Disconnected { retry_at, wanted } => wanted.then_some(retry_at),
            State::Connecting { give_up_at, .. } => (give_up_at != Instant::NEVER).then_some(give_up_at),
            State::Ready(_) => {
                let times_out = self.in_flight.iter().map(|request| request.times_out_at).min();
                times_out.into_iter().chain(max_idle.map(|max| self.active + max)).chain(self.throttled_until).min()
            }
        }
    }
}

/// Correlation ids are the low bits of the token: unique among the few requests in flight.
fn correlation_of(token: RequestToken) -> CorrelationId {
    (token.0 & 0x7fff_ffff) as CorrelationId
}

#[cfg(test)]
#[path = "network_client_tests.rs"]
mod tests;

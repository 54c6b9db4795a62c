//! A program's connection to its store: one request at a time, and no second attempt. Whether an unanswered transaction was
//! written is not known; what to do about that is the program's affair.

use super::messages::{StoreRequest, StoreResponse};
use crate::client::{Completion, Disconnection, Expect, ExponentialBackoff, NetworkClient, NetworkClientConfig};
use crate::machine::Context;
use crate::protocol::{Request, Response};
use crate::types::{ConnectionId, CorrelationId, Duration, Instant, NodeId};

/// How long an answer, or a connection, is waited for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The client.
#[derive(Clone, Debug)]
pub struct StoreClient {
    store: NodeId,
    network: NetworkClient,
    wanted: Option<StoreRequest>,
    is_asked: bool,
}

impl StoreClient {
    /// Not connected yet.
    pub fn new(store: NodeId) -> Self {
        let network = NetworkClient::new(NetworkClientConfig {
            reconnect_backoff: ExponentialBackoff::constant(Duration::from_millis(50)),
            connection_setup_timeout: Some(ExponentialBackoff::constant(TIMEOUT)),
            max_in_flight: 1,
            max_idle: None,
        });
        Self { store, network, wanted: None, is_asked: false }
    }

    /// Whether a connection is its own.
    pub fn owns(&self, connection: ConnectionId) -> bool {
        self.network.owns(connection)
    }

    /// The program asks.
    pub fn ask(&mut self, request: StoreRequest, ctx: &mut Context<'_>) {
        self.wanted = Some(request);
        self.proceed(ctx);
    }

    fn proceed(&mut self, ctx: &mut Context<'_>) {
        if self.wanted.is_some()
            && self.network.ready(self.store, ctx)
            && let Some(request) = self.wanted.take()
        {
            let request = Request::Store(Box::new(request));
            self.network.send(self.store, request, Expect::Response, TIMEOUT, ctx);
            self.is_asked = true;
        }
    }

    fn answered(&mut self, answer: Option<StoreResponse>, ctx: &mut Context<'_>) {
        self.is_asked = false;
        self.wanted = None;
        ctx.complete(Completion::StoreAnswered(answer));
    }

    fn lost(&mut self, gone: bool, ctx: &mut Context<'_>) {
        if gone && (self.is_asked || self.wanted.is_some()) {
            self.answered(None, ctx);
        }
    }

    /// `Input::Connected`.
    pub fn on_connected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) {
        self.network.on_connected(connection, ctx.now());
        self.proceed(ctx);
    }

    /// `Input::Disconnected`.
    pub fn on_disconnected(&mut self, connection: ConnectionId, ctx: &mut Context<'_>) {
        let gone = self.network.on_disconnected(connection, ctx).is_some();
        self.lost(gone, ctx);
    }

    /// `Input::Response`.
    pub fn on_response(&mut self, at: (ConnectionId, CorrelationId), response: Response, ctx: &mut Context<'_>) {
        let (connection, correlation_id) = at;
        if let Some((_, _, Response::Store(response))) =
            self.network.on_response(connection, correlation_id, response, ctx.now())
        {
            self.answered(Some(*response), ctx);
        }
    }

    /// `Input::Deadline`.
    pub fn on_deadline(&mut self, ctx: &mut Context<'_>) {
        let gone: Vec<Disconnection> = self.network.on_deadline(ctx);
        self.lost(!gone.is_empty(), ctx);
        self.proceed(ctx);
    }

    /// When it wants to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.network.next_deadline()
    }
}

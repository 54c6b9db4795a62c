//! The connections that others opened to this broker, and the order in which their requests are served.
//!
//! Kafka: `network/SocketServer.scala` (Processor, channel mute states), `network/RequestChannel.scala`.
//! A channel is muted when a request has been read from it, and read again when its response was handed over (or, at
//! acks=0, when it turned out that there is none): one request at a time per connection, in order.
//! A client over its limit keeps its channel muted for as long as its last answer said (KIP-219).
//! Before the broker is unfenced for the first time connections are accepted by the kernel and nothing is read from them.
//! Not modelled: that since 3.7 they are refused by then; the pool of network threads. What waits in the socket when a connection ends is
//! discarded, also where a FIN would have left it readable.

use std::collections::{BTreeMap, VecDeque};

use crate::protocol::Request;
use crate::types::{ConnectionId, CorrelationId, Duration, Instant, NodeId};

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyTo {
    pub connection: ConnectionId,
    pub correlation_id: CorrelationId,
    pub from: NodeId,
    /// What led to the request: it may have to wait for others of its connection.
    pub cause: u64,
}

/// Every open connection that a request came on.
#[derive(Clone, Debug, Default)]
pub(super) struct SocketServer {
    channels: BTreeMap<ConnectionId, Channel>,
    /// Channels that stay muted for a time.
    throttled: BTreeMap<ConnectionId, Instant>,
    processing: Processing,
    /// `connections.max.idle.ms`.
    max_idle: Option<Duration>,
    now: Instant,
    /// No connection is idle too long before this.
    next_idle_check: Option<Instant>,
}

/// Whether requests are read at all: KRaft brokers begin when they are unfenced for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Processing {
    #[default]
    NotYet,
    Enabled,
    Stopped,
}

#[derive(Clone, Debug, Default)]
struct Channel {
    muted: bool,
    /// When something was last read from it or answered on it.
    active: Instant,
    unread: VecDeque<(ReplyTo, Request)>,
}

impl SocketServer {
    /// Without a connection. One that is idle for `max_idle` will be closed.
    pub fn new(max_idle: Option<Duration>) -> Self {
        Self { max_idle, ..Self::default() }
    }

    /// An input is handled at this time.
    pub fn begin(&mut self, now: Instant) {
        self.now = now;
    }

    /// The connections that are closed now because nothing was said on them for too long.
    pub fn close_idle(&mut self) -> Vec<ConnectionId> {
        let (Some(max), Some(_)) = (self.max_idle, self.next_idle_check.filter(|at| *at <= self.now)) else {
            return Vec::new();
        };
        let now = self.now;
        let idle = |channel: &Channel| channel.active + max <= now;
        let closed = self.channels.iter().filter(|(_, it)| idle(it)).map(|(id, _)| *id).collect();
        self.channels.retain(|_, channel| !idle(channel));
        self.next_idle_check = self.channels.values().map(|channel| channel.active + max).min();
        closed
    }

    /// A request arrived. It is given back if it is to be served now.
    pub fn receive(&mut self, reply_to: ReplyTo, request: Request) -> Option<(ReplyTo, Request)> {
        if self.next_idle_check.is_none() {
            self.next_idle_check = self.max_idle.map(|max| self.now + max);
        }
        let channel = self.channels.entry(reply_to.connection).or_default();
        channel.active = self.now;
        if channel.muted || self.processing != Processing::Enabled {
            channel.unread.push_back((reply_to, request));
            return None;
        }
        channel.muted = true;
        Some((reply_to, request))
    }

    /// The request being served on the connection is done: the next one, which is then the one being served.
    pub fn done(&mut self, connection: ConnectionId) -> Option<(ReplyTo, Request)> {
        // A connection may have ended while its request was being served.
        let channel = self.channels.get_mut(&connection)?;
        channel.active = self.now;
        if self.throttled.contains_key(&connection) {
            return None;
        }
        let next = if self.processing == Processing::Enabled { channel.unread.pop_front() } else { None };
        channel.muted = next.is_some();
        next
    }

    /// The connection ended, by either side: what was not read yet is gone.
    pub fn closed(&mut self, connection: ConnectionId) -> bool {
        self.throttled.remove(&connection);
        self.channels.remove(&connection).is_some()
    }

    /// The channel stays muted, from the answer that goes out now until then.
    pub fn throttle(&mut self, connection: ConnectionId, until: Instant) {
        if self.channels.contains_key(&connection) {
            self.throttled.insert(connection, until);
        }
    }

    /// Reads the channels on which silence is over. What has arrived on them is given back, one request each.
    pub fn unthrottle(&mut self, now: Instant) -> Vec<(ReplyTo, Request)> {
        let over: Vec<ConnectionId> =
            self.throttled.iter().filter(|(_, until)| **until <= now).map(|(connection, _)| *connection).collect();
        for connection in &over {
            self.throttled.remove(connection);
        }
        over.into_iter().filter_map(|connection| self.done(connection)).collect()
    }

    /// When [`SocketServer::close_idle`] or [`SocketServer::unthrottle`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next_idle_check.into_iter().chain(self.throttled.values().copied()).min()
    }

    /// Whether requests are read.
    pub fn is_processing(&self) -> bool {
        self.processing == Processing::Enabled
    }

    /// Begins to read. What has arrived on each connection is given back, one request each.
    pub fn enable_processing(&mut self) -> Vec<(ReplyTo, Request)> {
        if self.processing != Processing::NotYet {
            return Vec::new();
        }
        self.processing = Processing::Enabled;
        let connections: Vec<ConnectionId> = self.channels.keys().copied().collect();
        connections.into_iter().filter_map(|connection| self.done(connection)).collect()
    }

    /// Nothing more is read.
    pub fn stop_processing(&mut self) {
        self.processing = Processing::Stopped;
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{FetchRequest, MetadataRequest};

    use super::*;

    fn from(connection: u64, correlation_id: i32) -> ReplyTo {
        ReplyTo { connection: ConnectionId(connection), correlation_id, from: NodeId::Client(0), cause: 0 }
    }

    fn fetch() -> Request {
        FetchRequest::default().into()
    }

    fn served(taken: Option<(ReplyTo, Request)>) -> Option<i32> {
        taken.map(|(reply_to, _)| reply_to.correlation_id)
    }

    fn open() -> SocketServer {
        let mut server = SocketServer::default();
        assert!(server.enable_processing().is_empty());
        server
    }

    #[test]
    fn one_request_at_a_time_per_connection_in_order() {
        let mut server = open();
        assert_eq!(served(server.receive(from(1, 10), fetch())), Some(10));
        assert_eq!(served(server.receive(from(1, 11), fetch())), None, "muted until 10 is answered");
        assert_eq!(served(server.receive(from(1, 12), MetadataRequest::default().into())), None);
        assert_eq!(served(server.receive(from(2, 20), fetch())), Some(20), "another connection is not concerned");
        assert_eq!(served(server.done(ConnectionId(1))), Some(11));
        assert_eq!(served(server.receive(from(1, 13), fetch())), None, "11 is being served now");
        assert_eq!(served(server.done(ConnectionId(1))), Some(12));
        assert_eq!(served(server.done(ConnectionId(1))), Some(13));
        assert_eq!(served(server.done(ConnectionId(1))), None);
        assert_eq!(served(server.receive(from(1, 14), fetch())), Some(14), "unmuted again");
    }

    #[test]
    fn a_throttled_channel_is_read_when_its_silence_is_over() {
        let at = |millis: u64| Instant::START + crate::types::Duration::from_millis(millis);
        let mut server = open();
        server.receive(from(1, 10), fetch());
        server.throttle(ConnectionId(1), at(500));
        assert_eq!(served(server.done(ConnectionId(1))), None);
        assert_eq!(served(server.receive(from(1, 11), fetch())), None);
        assert_eq!(server.next_deadline(), Some(at(500)));
        assert!(server.unthrottle(at(499)).is_empty());
        let next: Vec<i32> = server.unthrottle(at(500)).iter().map(|(reply_to, _)| reply_to.correlation_id).collect();
        assert_eq!((next, server.next_deadline()), (vec![11], None));
        assert_eq!(served(server.done(ConnectionId(1))), None);
        assert_eq!(served(server.receive(from(1, 12), fetch())), Some(12));
    }

    #[test]
    fn what_waits_in_the_socket_goes_with_the_connection() {
        let mut server = open();
        server.receive(from(1, 10), fetch());
        server.receive(from(1, 11), fetch());
        assert!(server.closed(ConnectionId(1)));
        assert_eq!(served(server.done(ConnectionId(1))), None, "10 was served to the end, 11 never was read");
        assert!(!server.closed(ConnectionId(1)));
    }

    #[test]
    fn a_connection_on_which_nothing_is_said_is_closed() {
        let seconds = |seconds: u64| Instant(seconds * 1_000_000_000);
        let mut server = SocketServer::new(Some(Duration::from_secs(600)));
        server.enable_processing();
        server.receive(from(1, 10), fetch());
        server.receive(from(2, 20), fetch());
        server.begin(seconds(400));
        server.done(ConnectionId(2));
        assert_eq!(server.next_deadline(), Some(seconds(600)));
        server.begin(seconds(600));
        assert_eq!(server.close_idle(), [ConnectionId(1)]);
        assert_eq!(server.next_deadline(), Some(seconds(1_000)));
        server.begin(seconds(1_000));
        assert_eq!(server.close_idle(), [ConnectionId(2)]);
        assert_eq!(server.next_deadline(), None);
    }

    #[test]
    fn nothing_is_read_before_processing_is_enabled_or_after_it_stopped() {
        let mut server = SocketServer::default();
        for request in [from(2, 20), from(1, 10), from(1, 11)] {
            assert_eq!(served(server.receive(request, fetch())), None);
        }
        let first: Vec<i32> = server.enable_processing().iter().map(|(reply_to, _)| reply_to.correlation_id).collect();
        assert_eq!(first, [10, 20]);
        server.stop_processing();
        assert_eq!(served(server.done(ConnectionId(1))), None);
        assert_eq!(served(server.receive(from(3, 30), fetch())), None);
    }
}

//! The threads that serve requests, where a scenario says that serving takes time.
//!
//! Kafka: `KafkaRequestHandlerPool`, `RequestChannel`; `num.io.threads`.
//!
//! ```text
//! socket ──▶ queue, first come first served ──▶ one of num.io.threads, for so long ──▶ handled and answered
//! ```
//!
//! A request that waits for something (acks=all, fetch.min.bytes) holds no thread while it waits. Without times, which is how
//! it is unless a scenario has `[cluster.requests]`, a request is served as soon as it has been read.
//!
//! Not modelled: network threads; a control plane of its own (KIP-291); `queued.max.requests`: what does not fit into the queue
//! waits in the sockets and is served in nearly the same order.

use std::collections::VecDeque;

use super::socket_server::ReplyTo;
use crate::config::RequestTimes;
use crate::protocol::Request;
use crate::types::Instant;

/// A request and where its answer goes.
type Asked = (ReplyTo, Request);

/// The requests that are served or wait to be.
#[derive(Clone, Debug)]
pub(super) struct RequestHandlers {
    threads: usize,
    times: RequestTimes,
    queue: VecDeque<Asked>,
    /// With the time at which each is done, in the order in which they began.
    served: VecDeque<(Instant, Asked)>,
}

impl RequestHandlers {
    pub fn new(threads: usize, times: RequestTimes) -> Self {
        Self { threads: threads.max(1), times, queue: VecDeque::new(), served: VecDeque::new() }
    }

    /// A request has been read from its socket.
    pub fn add(&mut self, asked: Asked) {
        self.queue.push_back(asked);
    }

    /// The next request to be handled now: its time on a thread is over.
    pub fn next(&mut self, now: Instant) -> Option<Asked> {
        if self.times.are_nothing() {
            return self.queue.pop_front();
        }
        self.begin(now);
        let done = (0..self.served.len()).filter(|place| self.served[*place].0 <= now);
        let place = done.min_by_key(|place| self.served[*place].0)?;
        let (_, asked) = self.served.remove(place)?;
        self.begin(now);
        Some(asked)
    }

    /// When [`RequestHandlers::next`] has something again.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.served.iter().map(|(until, _)| *until).min()
    }

    /// Whether requests wait for a thread.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Nothing more is served.
    pub fn stop(&mut self) {
        self.queue.clear();
        self.served.clear();
    }

    fn begin(&mut self, now: Instant) {
        while self.served.len() < self.threads
            && let Some(asked) = self.queue.pop_front()
        {
            let until = now + self.times.of(asked.1.name());
            self.served.push_back((until, asked));
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{FetchRequest, MetadataRequest};

    use super::*;
    use crate::types::{ConnectionId, Duration, NodeId};

    fn asked(number: i32, request: impl Into<Request>) -> Asked {
        let reply_to =
            ReplyTo { connection: ConnectionId(1), correlation_id: number, from: NodeId::Client(0), cause: 0 };
        (reply_to, request.into())
    }

    fn served(handlers: &mut RequestHandlers, millis: u64) -> Vec<i32> {
        let now = Instant(millis * 1_000_000);
        std::iter::from_fn(|| handlers.next(now)).map(|(reply_to, _)| reply_to.correlation_id).collect()
    }

    #[test]
    fn without_times_requests_are_served_at_once() {
        let mut handlers = RequestHandlers::new(1, RequestTimes::default());
        handlers.add(asked(1, FetchRequest::default()));
        handlers.add(asked(2, FetchRequest::default()));
        assert_eq!(served(&mut handlers, 0), [1, 2]);
        assert_eq!(handlers.next_deadline(), None);
    }

    #[test]
    fn requests_wait_for_a_thread_in_the_order_in_which_they_came() {
        let times = RequestTimes::new(Duration::from_millis(1), vec![("Metadata".into(), Duration::from_millis(10))]);
        let mut handlers = RequestHandlers::new(2, times);
        handlers.add(asked(1, MetadataRequest::default()));
        handlers.add(asked(2, MetadataRequest::default()));
        handlers.add(asked(3, FetchRequest::default()));
        assert_eq!(served(&mut handlers, 0), [] as [i32; 0]);
        assert_eq!((handlers.waiting(), handlers.next_deadline()), (1, Some(Instant(10_000_000))));
        assert_eq!(served(&mut handlers, 10), [1, 2], "3 gets a thread now");
        assert_eq!(served(&mut handlers, 11), [3]);
    }
}
